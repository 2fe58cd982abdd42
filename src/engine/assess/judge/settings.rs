//! Judgement of the settings that are written beside onboarding: webhook, profile, and what the number is registered with.

use crate::engine::{
    assess::scene::{Judged, Scene},
    rule::{
        drift, picture, say,
        sync::{self, State, Window},
    },
    value::{
        condition::Truth,
        condition_type::ConditionType,
        desired::{Connection, Management},
        id::{Fact, OfficialStatus, UsernameStatus},
        observed::Number,
        reason::Reason,
        step::StepKind,
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

/// The texts, and then the picture.
pub(super) fn profile(scene: &Scene<'_>, number: &Number) -> Judged {
    let texts = match scene.desired.profile.is_managed() {
        true => texts(scene, number),
        false => in_sync(),
    };
    match (&texts, &scene.desired.picture) {
        (Judged::True(..) | Judged::Keep, Some(_)) => picture(scene, number).unwrap_or(texts),
        _ => texts,
    }
}

fn in_sync() -> Judged {
    Judged::True(Reason::InSync, "every managed profile field matches".into())
}

/// What keeps the picture from being there, if anything does. Its source is read now and then only.
fn picture(scene: &Scene<'_>, number: &Number) -> Option<Judged> {
    if observes_only(scene) {
        return None;
    }
    if !number.is_registered() {
        return Some(Judged::Open("the picture is uploaded once the number is registered".into()));
    }
    let (memory, facts) = (&scene.plan.memory, &scene.observed.process.picture);
    match picture::read(scene.desired, facts) {
        Some(read) if picture::is_settled(memory, facts, &read.fact) => None,
        Some(read) if read.fact.is_unread() && picture::was_settled(scene.desired, memory, facts) => None,
        Some(_) => Some(Judged::Open("the picture of the source is not uploaded".into())),
        None if scene.desired.connection == Connection::Coexistence => {
            Some(Judged::Open("the picture of the source is not uploaded".into()))
        }
        None if memory.marks.picture.is_none() => Some(Judged::Open("the picture was not read yet".into())),
        // Not read since the start: what was told of it stays.
        None => {
            let before = scene.before.conditions.get(ConditionType::ProfileSynced);
            let is_told = before.is_some_and(|condition| condition.status != Truth::True);
            is_told.then_some(Judged::Keep)
        }
    }
}

fn texts(scene: &Scene<'_>, number: &Number) -> Judged {
    let Some(live) = scene.observed.profile_of(number) else {
        return match number.is_registered() {
            true => Judged::Keep,
            false => Judged::Open("the profile is written once the number is registered".into()),
        };
    };
    let differing = drift::profile_fields(&scene.desired.profile, live);
    if differing.is_empty() {
        return in_sync();
    }
    // One that lives in the WhatsApp Business app keeps the profile that it has there.
    open_setting(
        is_left_alone(scene),
        Reason::ProfileDiffers,
        &format!("the profile differs in {}", differing.join(", ")),
    )
}

/// Told of a registered number only, and once there was something to do about it.
pub(super) fn registration(scene: &Scene<'_>, number: &Number) -> Judged {
    let kind = ConditionType::RegistrationSynced;
    if !number.is_registered() {
        return Judged::Absent;
    }
    let is_blocked = scene.plan.aside.iter().any(|(on, _)| *on == kind);
    let step = scene.plan.step.as_ref().map(|planned| planned.step.kind());
    if is_blocked || matches!(step, Some(StepKind::SetPin | StepKind::Deregister)) {
        return Judged::Open("Meta does not have what the number is to be registered with".into());
    }
    // The plan did not get so far.
    if scene.plan.block.is_some() && scene.before.conditions.get(kind).is_some() {
        return Judged::Keep;
    }
    match scene.memory.marks.pin_set.filter(|_| scene.memory.marks.pin.is_some()) {
        Some(at) => Judged::True(
            Reason::PinSet,
            format!("the PIN in the Secret was set at Meta on {}", say::time(at)),
        ),
        None => Judged::Absent,
    }
}

/// What was asked for of the app. What was not is told by the plan.
pub(super) fn app(scene: &Scene<'_>, number: &Number) -> Judged {
    let wanted = &scene.desired.syncs;
    let memory = &scene.plan.memory;
    let window = Window::of(memory, number, scene.limits).filter(|_| number.is_registered());
    let Some(window) = window else {
        return Judged::Open("the number is not connected from the WhatsApp Business app".into());
    };
    let mut asked = Vec::new();
    for sync in wanted {
        match window.state(memory, *sync) {
            State::Asked(entry) => asked.push((*sync, entry.at)),
            State::Unanswered(entry) => {
                return Judged::Unknown(
                    Reason::SyncUnanswered,
                    format!(
                        "{} were asked for at {}, and {}; they count as asked for, since Meta takes that only once; see whether they arrive at the webhook",
                        sync::names(&[*sync]),
                        say::time(entry.at),
                        say::undecided(entry.refusal.as_ref())
                    ),
                );
            }
            State::NotAsked | State::Late(_) | State::Refused(_) => {
                return Judged::Open(format!("{} are not asked for", sync::names(&[*sync])));
            }
        }
    }
    let last = asked.iter().map(|(_, at)| *at).max().unwrap_or(scene.now);
    Judged::True(
        Reason::SyncsAsked,
        format!("{} were asked for, at {}", sync::names(wanted), say::time(last)),
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
