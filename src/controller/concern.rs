//! What a channel's status says that somebody has to act on, in short: most channels have nothing, and it takes no room.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::v1alpha1::{WaitingFor, WhatsAppChannelStatus};
use crate::engine::{
    action::{Action, Actor},
    condition::Truth,
    condition_type::ConditionType,
    id::Quality,
    memory::EntryOutcome,
    reason::Reason,
    status::Stage,
    step::StepKind,
};

/// What Meta says of a number's quality, in one of few words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rating {
    Green,
    Yellow,
    Red,
    Unknown,
    /// A word that this version does not know.
    Other,
    /// None was told.
    #[default]
    Absent,
}

impl Rating {
    fn of(word: Option<&str>) -> Self {
        match word.map(Quality::from) {
            None | Some(Quality::NotApplicable) => Self::Absent,
            Some(Quality::Green) => Self::Green,
            Some(Quality::Yellow) => Self::Yellow,
            Some(Quality::Red) => Self::Red,
            Some(Quality::Unknown) => Self::Unknown,
            Some(Quality::Other(_)) => Self::Other,
        }
    }

    /// Meta's word, or one of ours.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Green => "GREEN",
            Self::Yellow => "YELLOW",
            Self::Red => "RED",
            Self::Unknown => "UNKNOWN",
            Self::Other => "other",
            Self::Absent => "",
        }
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub action: Action,
    pub since: Timestamp,
    /// Why.
    pub reason: Option<Reason>,
}

impl Wait {
    /// Whether a person should act. Who suspended a channel, or lets it only observe, wants it so.
    fn is_for_person(&self) -> bool {
        let is_on_purpose = matches!(self.action, Action::Resume | Action::AllowManagement);
        self.action.actor() != Actor::Meta && !is_on_purpose
    }
}

/// What somebody has to act on.
#[derive(Clone, Debug, PartialEq)]
pub struct Concern {
    pub waits: Box<[Wait]>,
    pub is_ready: bool,
    /// Of the condition `Ready`.
    pub reason: Option<Reason>,
    pub is_stalled: bool,
    pub is_red: bool,
    /// Fields that differ, where the spec wants them in line.
    pub drifted: usize,
    /// Whether what differs is written only when a person sees to it.
    pub is_drift_left: bool,
    /// When codes were asked for, and registrations tried, as far as that counts.
    pub codes: Box<[Timestamp]>,
    pub registrations: Box<[Timestamp]>,
}

impl Concern {
    /// Whether a person has to act, and not Meta alone.
    pub fn is_of_person(&self) -> bool {
        self.is_worst() || self.is_drift_left || self.waits.iter().any(Wait::is_for_person)
    }

    /// Whether it is told of before all that is waited for.
    pub fn is_worst(&self) -> bool {
        self.is_stalled || self.is_red
    }

    /// Since when a person is waited for.
    pub fn since(&self) -> Option<Timestamp> {
        self.waits.iter().filter(|wait| wait.is_for_person()).map(|wait| wait.since).min()
    }
}

/// What a status waits for, each with its reason: of a condition that does not hold, else of one that holds and asks for
/// something nevertheless, else of `Ready`.
pub fn waits(waiting_for: &[WaitingFor], conditions: &[Condition]) -> Box<[Wait]> {
    let holds = |c: &&Condition| c.status == Truth::True.as_str();
    let of = |action: Action| {
        let (held, open): (Vec<_>, Vec<_>) = conditions.iter().partition(holds);
        let mut reasons = open.into_iter().chain(held).filter_map(|c| Reason::from_name(&c.reason));
        let ready = conditions.iter().find(|c| c.type_ == ConditionType::Ready.as_str());
        let asking = reasons.find(|reason| reason.may_ask(action));
        asking.or_else(|| Reason::from_name(&ready?.reason))
    };
    let known = waiting_for.iter().filter_map(|wait| {
        let action = Action::from_name(&wait.action)?;
        Some(Wait { action, since: wait.since, reason: of(action) })
    });
    known.collect()
}

/// What a status says of quality, and of what somebody has to act on. Drift counts where the spec does not leave it, and needs a
/// person where the operator does not end it by itself.
pub fn concern(status: &WhatsAppChannelStatus, leaves_drift: bool) -> (Rating, Option<Box<Concern>>) {
    let rating = Rating::of(status.facts.as_ref().and_then(|facts| facts.quality.as_deref()));
    let is_stalled = status.stage.as_deref() == Some(Stage::Stalled.as_str());
    let (is_red, drifted) = (rating == Rating::Red, if leaves_drift { 0 } else { status.drift.len() });
    if status.waiting_for.is_empty() && !is_stalled && !is_red && drifted == 0 {
        return (rating, None);
    }
    let ready = status.conditions.iter().find(|c| c.type_ == ConditionType::Ready.as_str());
    let reason = ready.and_then(|ready| Reason::from_name(&ready.reason));
    let is_contended = || status.conditions.iter().any(|c| c.reason == Reason::ContendedBy.as_str());
    let attempts = |step| {
        let entries = status.ledger().map_or(&[][..], |ledger| ledger.of(step));
        let counted = entries.iter().filter(|entry| entry.outcome != EntryOutcome::NotSent);
        counted.map(|entry| entry.at).collect()
    };
    let concern = Concern {
        waits: waits(&status.waiting_for, &status.conditions),
        is_ready: ready.is_some_and(|ready| ready.status == Truth::True.as_str()),
        reason,
        is_stalled,
        is_red,
        drifted,
        is_drift_left: drifted > 0 && is_contended(),
        codes: attempts(StepKind::RequestCode),
        registrations: attempts(StepKind::Register),
    };
    (rating, Some(Box::new(concern)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::v1alpha1::WhatsAppPortfolioStatus;

    fn of(status: serde_json::Value) -> (Rating, Option<Box<Concern>>) {
        concern(&serde_json::from_value(status).expect("a status"), false)
    }

    #[test]
    fn a_channel_for_which_nothing_is_left_to_be_done_takes_no_room() {
        let ready = json!({"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": "2026-01-01T00:00:00Z", "message": ""});
        let (rating, concern) =
            of(json!({"stage": "Ready", "facts": {"quality": "GREEN"}, "conditions": [ready]}));
        assert_eq!((rating, concern), (Rating::Green, None));
        assert_eq!(std::mem::size_of::<Option<Box<Concern>>>(), 8);
        assert_eq!(of(json!({"facts": {"quality": "PURPLE"}})).0, Rating::Other);
        assert_eq!(of(json!({})).0, Rating::Absent);
    }

    #[test]
    fn who_waits_for_meta_alone_needs_no_person() {
        let wait = |action: &str, at: &str| json!({"actor": "", "action": action, "since": at});
        let meta = crate::engine::action::ACTIONS
            .iter()
            .find(|row| row.actor == Actor::Meta)
            .expect("one of Meta's");
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let (_, alone) = of(json!({"waitingFor": [wait(meta.name, early)]}));
        let alone = alone.expect("it waits");
        assert!(!alone.is_of_person() && alone.since().is_none());
        let (_, both) = of(
            json!({"waitingFor": [wait(meta.name, early), wait("AskForCode", late), wait("Unheard", early)]}),
        );
        let both = both.expect("it waits");
        assert!(both.is_of_person());
        assert_eq!((both.waits.len(), both.since()), (2, late.parse().ok()));
    }

    #[test]
    fn who_is_suspended_or_observes_on_purpose_needs_no_person() {
        let wait = |action: &str, at: &str| json!({"actor": "", "action": action, "since": at});
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        for action in ["Resume", "AllowManagement"] {
            let (_, alone) = of(json!({"waitingFor": [wait(action, early)]}));
            let alone = alone.expect("it waits");
            assert!(!alone.is_of_person() && alone.since().is_none(), "{action}");
            let (_, both) = of(json!({"waitingFor": [wait(action, early), wait("ReplaceToken", late)]}));
            let both = both.expect("it waits");
            assert_eq!((both.is_of_person(), both.since()), (true, late.parse().ok()), "{action}");
        }
    }

    #[test]
    fn red_and_stalled_channels_need_a_person_also_where_nothing_is_waited_for() {
        for status in [json!({"facts": {"quality": "RED"}}), json!({"stage": "Stalled"})] {
            assert!(of(status).1.is_some_and(|concern| concern.is_of_person() && concern.is_worst()));
        }
    }

    #[test]
    fn drift_needs_a_person_only_where_it_is_neither_left_on_purpose_nor_ended_by_itself() {
        let drift = json!({"field": "displayName", "desired": "a", "live": "b", "since": "2026-01-01T00:00:00Z", "action": "shown"});
        let contended = json!({"type": "ProfileSynced", "status": "False", "reason": "ContendedBy", "lastTransitionTime": "2026-01-01T00:00:00Z", "message": ""});
        for (status, leaves_drift, expected) in [
            (json!({"drift": [drift]}), false, Some(false)),
            (json!({"drift": [drift]}), true, None),
            (json!({"drift": [drift], "conditions": [contended]}), false, Some(true)),
        ] {
            let status = serde_json::from_value(status).expect("a status");
            let concern = concern(&status, leaves_drift).1;
            assert_eq!(concern.map(|concern| concern.is_of_person()), expected);
        }
    }

    #[test]
    fn a_portfolio_that_works_on_old_credentials_still_says_why_somebody_is_asked() {
        let since = "2026-01-01T00:00:00Z";
        let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "lastTransitionTime": since, "message": ""});
        let status: WhatsAppPortfolioStatus = serde_json::from_value(json!({
            "conditions": [
                condition("CredentialsValid", "True", "NewTokenRejected"),
                condition("AppWebhookSet", "False", "AppWebhookForeign"),
                condition("Ready", "True", "Usable"),
            ],
            "waitingFor": [
                {"actor": "PortfolioAdmin", "action": "ReplaceToken", "since": since},
                {"actor": "ClusterUser", "action": "AdoptAppWebhook", "since": since},
            ],
        }))
        .expect("a status");
        let waits = waits(&status.waiting_for, &status.conditions);
        let reasons: Vec<_> = waits.iter().map(|wait| wait.reason).collect();
        assert_eq!(reasons, [Some(Reason::NewTokenRejected), Some(Reason::AppWebhookForeign)]);
    }

    #[test]
    fn a_wait_names_the_reason_that_asks_for_it_and_what_was_sent_counts_as_attempt() {
        let entry = |outcome: &str| json!({"id": "a", "at": "2026-01-01T00:00:00Z", "outcome": outcome, "cause": "Automatic"});
        let condition = |kind: &str, reason: &str| {
            json!({
                "type": kind, "status": "False", "reason": reason, "lastTransitionTime": "2026-01-01T00:00:00Z", "message": ""
            })
        };
        let (_, concern) = of(json!({
            "conditions": [condition("NumberVerified", "CodeNeeded"), condition("Ready", "CodeNeeded")],
            "waitingFor": [{"actor": "PhoneHolder", "action": "AskForCode", "since": "2026-01-01T00:00:00Z"}],
            "memory": {"ledger": {"codes": [entry("Accepted"), entry("NotSent")]}},
        }));
        let concern = concern.expect("it waits");
        assert_eq!(concern.waits[0].reason, Some(Reason::CodeNeeded));
        assert_eq!((concern.codes.len(), concern.registrations.len(), concern.is_ready), (1, 0, false));
    }
}
