//! Judgement of the settings that are written beside onboarding: webhook and profile.

use crate::engine::{
    assess::scene::{Judged, Scene},
    rule::drift,
    value::{
        condition::Truth,
        condition_type::ConditionType,
        desired::{Connection, Management},
        id::{Fact, OfficialStatus, UsernameStatus},
        observed::Number,
        reason::Reason,
    },
};

pub(super) fn webhook(scene: &Scene<'_>, number: &Number) -> Judged {
    let Some(desired) = scene.desired.webhook.as_ref() else { return Judged::Absent };
    if number.webhook.is_refused() {
        let before = scene.before.conditions.get(ConditionType::WebhookRouted);
        if before
            .is_some_and(|c| c.status == Truth::True && c.observed_generation == scene.desired.generation)
        {
            return Judged::Keep;
        }
        return match scene.block_on(ConditionType::WebhookRouted) {
            Some(block) => Judged::Unknown(Reason::WebhookNotReadable, block.message.clone()),
            None => Judged::Unknown(
                Reason::WebhookNotReadable,
                "Meta does not show this app where the number's webhook goes".into(),
            ),
        };
    }
    let live = number.webhook.value().and_then(|w| w.number.as_deref());
    let matches = live.is_some_and(|url| drift::same_url(url, &desired.callback_url));
    match (matches, &scene.observed.subscribed) {
        (true, Fact::Known(true)) => {
            Judged::True(Reason::Routed, "messages of the number go to callbackUrl".into())
        }
        (true, Fact::Known(false)) => open_setting(
            observes_only(scene),
            Reason::WebhookDiffers,
            "our app is not subscribed to the account",
        ),
        (true, _) => Judged::Keep,
        (false, Fact::Unknown(_)) if !scene.was_true(ConditionType::WebhookRouted) => Judged::Keep,
        (false, _) => open_setting(
            observes_only(scene),
            Reason::WebhookDiffers,
            "the number's webhook is not callbackUrl",
        ),
    }
}

pub(super) fn profile(scene: &Scene<'_>, number: &Number) -> Judged {
    let Some(live) = scene.observed.profile_of(number) else {
        return match number.is_registered() {
            true => Judged::Keep,
            false => Judged::Open("the profile is written once the number is registered".into()),
        };
    };
    let differing = drift::profile_fields(&scene.desired.profile, live);
    if differing.is_empty() {
        return Judged::True(Reason::InSync, "every managed profile field matches".into());
    }
    // One that lives in the WhatsApp Business app keeps the profile that it has there.
    open_setting(
        is_left_alone(scene),
        Reason::ProfileDiffers,
        &format!("the profile differs in {}", differing.join(", ")),
    )
}

pub(super) fn username(scene: &Scene<'_>, number: &Number) -> Judged {
    let (Some(wanted), Fact::Known(live)) = (&scene.desired.username, &scene.observed.username) else {
        return match number.is_registered() {
            true => Judged::Keep,
            false => Judged::Open("the username is claimed once the number is registered".into()),
        };
    };
    if !live.is(&wanted.name) {
        let has = live.name.as_ref().map_or("no username".into(), |name| format!("username {name:?}"));
        let message = format!("the number has {has}, and not {:?}", wanted.name);
        return open_setting(is_left_alone(scene), Reason::UsernameDiffers, &message);
    }
    match &live.status {
        Some(UsernameStatus::Approved) => {
            Judged::True(Reason::UsernameApproved, format!("people can find the number as {:?}", wanted.name))
        }
        Some(UsernameStatus::Reserved) => Judged::True(
            Reason::UsernameReserved,
            format!("Meta holds {:?} for the number, and people cannot see it yet", wanted.name),
        ),
        Some(UsernameStatus::Other(_)) | None => Judged::Keep,
    }
}

pub(super) fn official(scene: &Scene<'_>, number: &Number) -> Judged {
    match scene.observed.official_of(number).map(|shown| &shown.status) {
        Some(OfficialStatus::Approved) => Judged::True(
            Reason::OfficialAccountApproved,
            "Meta shows the number as an official business account".into(),
        ),
        Some(OfficialStatus::Other(_)) | None => match number.is_registered() {
            true => Judged::Keep,
            false => Judged::Open("it is looked at once the number is registered".into()),
        },
        Some(word) if is_left_alone(scene) => Judged::False(
            Reason::OfficialAccountNotRequested,
            format!("Meta shows {word}; nothing is requested here"),
        ),
        Some(word) => Judged::Open(format!("Meta shows {word}")),
    }
}

/// Whether the number is not written to by this channel, or is managed in the WhatsApp Business app.
fn is_left_alone(scene: &Scene<'_>) -> bool {
    observes_only(scene) || scene.desired.connection == Connection::Coexistence
}

fn open_setting(is_only_told: bool, reason: Reason, message: &str) -> Judged {
    if is_only_told {
        return Judged::False(reason, format!("{message}; it is not written here"));
    }
    Judged::Open(message.into())
}

fn observes_only(scene: &Scene<'_>) -> bool {
    scene.desired.management == Management::ObserveOnly
}
