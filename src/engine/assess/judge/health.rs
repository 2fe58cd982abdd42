//! Judgement of the number's health: whether it can send.

use std::collections::BTreeSet;

use crate::engine::{
    assess::scene::{Judged, Scene},
    rule::shown,
    value::{
        condition::Truth,
        condition_type::ConditionType,
        id::{AccountMode, NumberStatus, PlatformType, Sendability},
        observed::{Health, Number},
        reason::Reason,
        step::StepKind,
    },
};

pub(super) fn healthy(scene: &Scene<'_>, number: &Number) -> Judged {
    if number.status.value() == Some(&NumberStatus::Banned) {
        if shown::ban_counts_from(scene.memory, scene.limits, scene.now).is_some() {
            return ban_in_doubt(scene);
        }
        return Judged::False(
            Reason::NumberBanned,
            "Meta has banned the number; appeal in Business Support Home".into(),
        );
    }
    match number.platform.value() {
        Some(PlatformType::CloudApi) => {}
        Some(PlatformType::NotApplicable | PlatformType::OnPremise) => return unregistered_health(scene),
        Some(PlatformType::Other(_)) | None => return Judged::Keep,
    }
    let stands = scene.before.conditions.get(ConditionType::Healthy);
    if number.status.is_refused()
        && stands.is_some_and(|c| matches!(c.reason, Reason::NumberBanned | Reason::NotConnected))
    {
        return Judged::Keep;
    }
    let limited = match standing(number) {
        Standing::Connected => None,
        Standing::Limited(word) if is_judged(scene) && !scene.has_status_stood(word) => return Judged::Keep,
        Standing::Limited(word) => Some((reason_of(word), format!("Meta limits the number (status {word})"))),
        Standing::NotKnown(word) => return not_known(scene, "status", word),
        Standing::NotConnected(word) => return not_connected(scene, word),
    };
    let was_blocked =
        scene.before.conditions.get(ConditionType::Healthy).is_some_and(|c| c.reason == Reason::Blocked);
    match number.health.value() {
        None if was_blocked => Judged::Keep,
        None => limited.map_or_else(|| unreported(number), |(reason, text)| Judged::True(reason, text)),
        Some(health) => with_health(scene, health, limited),
    }
}

fn unregistered_health(scene: &Scene<'_>) -> Judged {
    let late = scene.was_true(ConditionType::Healthy) && scene.is_settling_now(StepKind::Register);
    if late || (is_judged(scene) && scene.is_platform_doubted()) {
        return Judged::Keep;
    }
    Judged::Open("the number cannot send before it is registered".into())
}

/// What `status` says about a registered number.
enum Standing<'a> {
    Connected,
    Limited(&'a NumberStatus),
    NotConnected(&'a NumberStatus),
    NotKnown(Option<&'a str>),
}

fn standing(number: &Number) -> Standing<'_> {
    if number.account_mode.value() == Some(&AccountMode::Sandbox) {
        return Standing::Connected;
    }
    match number.status.value() {
        Some(NumberStatus::Connected) => Standing::Connected,
        Some(s @ (NumberStatus::Flagged | NumberStatus::Restricted | NumberStatus::RateLimited)) => {
            Standing::Limited(s)
        }
        Some(NumberStatus::Other(word)) => Standing::NotKnown(Some(word)),
        Some(s) => Standing::NotConnected(s),
        // Not every app is shown it. Platform and health tell.
        None if number.status.is_refused() => Standing::Connected,
        None => Standing::NotKnown(None),
    }
}

/// Meta sent an unknown word, or none: the condition stays as an earlier word left it. A condition that only waited for
/// the registration changes.
fn not_known(scene: &Scene<'_>, what: &str, word: Option<&str>) -> Judged {
    let before = scene.before.conditions.get(ConditionType::Healthy);
    let (reason, message) = match word {
        Some(word) => {
            (Reason::StatusNotKnown, format!("Meta shows the {what} {word}, which is not known here"))
        }
        None => (Reason::ObservationIncomplete, format!("Meta does not tell the {what} of the number")),
    };
    match before {
        _ if is_judged(scene) => Judged::Keep,
        Some(c) if c.status == Truth::False => Judged::False(reason, message),
        Some(_) | None => Judged::Unknown(reason, message),
    }
}

/// Whether the condition already says whether the number can send. One that only waited for the registration does not.
fn is_judged(scene: &Scene<'_>) -> bool {
    scene.before.conditions.get(ConditionType::Healthy).is_some_and(|c| match c.status {
        Truth::True => true,
        Truth::False => c.reason.row().conditions.first() == Some(&ConditionType::Healthy),
        Truth::Unknown => false,
    })
}

/// Meta shows the effects of a registration one after another.
fn just_registered(scene: &Scene<'_>) -> Judged {
    if scene.was_true(ConditionType::Healthy) {
        return Judged::Keep;
    }
    Judged::Unknown(
        Reason::JustRegistered,
        "the number was registered a moment ago; Meta does not show it as connected yet".into(),
    )
}

/// Right after a registration of ours it was seen to pass.
fn ban_in_doubt(scene: &Scene<'_>) -> Judged {
    if scene.was_true(ConditionType::Healthy) {
        return Judged::Keep;
    }
    Judged::Unknown(
        Reason::ObservationIncomplete,
        "Meta shows the number as banned right after its registration, which counts only if it lasts for a day"
            .into(),
    )
}

/// What was judged stays until no look for a while showed the number connected: that word may turn within minutes.
fn not_connected(scene: &Scene<'_>, word: &NumberStatus) -> Judged {
    if scene.is_settling_now(StepKind::Register) {
        return just_registered(scene);
    }
    let is_told =
        scene.before.conditions.get(ConditionType::Healthy).is_some_and(|c| c.reason == Reason::NotConnected);
    let counts = scene.has_status_stood(word) || (!is_told && scene.is_not_connected());
    if is_judged(scene) && !counts {
        return Judged::Keep;
    }
    Judged::False(
        Reason::NotConnected,
        format!(
            "the number is registered, but not connected (status {word}); see WhatsApp Manager and Business Support Home"
        ),
    )
}

fn can_send() -> Judged {
    Judged::True(Reason::CanSend, "Meta reports that the number can send".into())
}

/// Meta does not tell its health: no more is said than what was read.
fn unreported(number: &Number) -> Judged {
    let shows = match number.status.value() {
        Some(NumberStatus::Connected) => "Meta shows the number as connected",
        _ => "Meta shows the number as registered, and nothing that keeps it from sending",
    };
    Judged::True(Reason::CanSend, shows.into())
}

/// What a word of Meta's that limits a number is told as.
const fn reason_of(word: &NumberStatus) -> Reason {
    match word {
        NumberStatus::Flagged => Reason::NumberFlagged,
        NumberStatus::Restricted => Reason::NumberRestricted,
        NumberStatus::RateLimited => Reason::NumberRateLimited,
        _ => Reason::Limited,
    }
}

/// `limited` is what the status of the number says, which is about it alone and so goes first.
fn with_health(scene: &Scene<'_>, health: &Health, limited: Option<(Reason, String)>) -> Judged {
    let reason = limited.as_ref().map_or(Reason::Limited, |(reason, _)| *reason);
    let limits = |text: String| Judged::True(reason, text);
    let limited = limited.map(|(_, text)| text);
    match &health.can_send {
        Sendability::Available => limited.map_or_else(can_send, limits),
        Sendability::Limited => {
            let texts: Vec<String> = limited.into_iter().chain(told(health, &Sendability::Limited)).collect();
            limits(if texts.is_empty() { "Meta limits sending".into() } else { texts.join("; ") })
        }
        Sendability::Blocked if health.is_blocked_only_by(&Health::PAYMENT) => {
            let unpaid = "the account has no working payment method: messages that cost are refused, replies among them; see PaymentReady";
            limits(limited.map_or_else(|| unpaid.into(), |limited| format!("{limited}; {unpaid}")))
        }
        Sendability::Blocked
            if scene.is_settling_now(StepKind::Register)
                && health.is_blocked_only_by(&[Health::NOT_REGISTERED]) =>
        {
            just_registered(scene)
        }
        Sendability::Blocked => Judged::False(
            Reason::Blocked,
            told(health, &Sendability::Blocked)
                .unwrap_or_else(|| "Meta does not let the number send; see Business Support Home".into()),
        ),
        Sendability::Other(word) => not_known(scene, "ability to send", Some(word)),
    }
}

/// Meta's texts about the entities in this state, in a fixed order.
fn told(health: &Health, state: &Sendability) -> Option<String> {
    let entities = health.entities.iter().filter(|e| e.can_send == *state);
    let mut texts = BTreeSet::new();
    for entity in entities {
        for error in &entity.errors {
            texts.insert(
                format!("{} {}: {} {}", entity.kind, error.code, error.description, error.solution)
                    .trim()
                    .to_owned(),
            );
        }
        texts.extend(entity.info.iter().map(|info| format!("{}: {info}", entity.kind)));
    }
    let joined = texts.into_iter().collect::<Vec<_>>().join("; ");
    (!joined.is_empty()).then_some(joined)
}
