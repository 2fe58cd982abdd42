//! Events: what changed, once, in words that repeat.
//!
//! Notes come from the table of reasons, never from a message: they hold no ids, no
//! times and nothing that Meta or a user wrote. What the API server refuses is told in its words.

use crate::cluster::{Failed, read::Why};
use crate::engine::{
    condition::{Condition, ConditionSet, Truth},
    condition_type::ConditionType,
    failure::Failure,
    farewell::{Farewell, Parting},
    reason::Reason,
    status::{Assessment, Before, Facts, Stage},
};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub is_warning: bool,
    pub reason: String,
    pub note: String,
}

/// The transitions between what status showed and what it shows now. What the portfolio is the cause of, and its end, is
/// told there, once, and not on each of its channels.
pub fn transitions(before: &Before, after: &Assessment) -> Vec<Notice> {
    let mut notices = Vec::new();
    // A portfolio that was not read yet holds nothing up.
    let is_held = |set: &ConditionSet| {
        let portfolio = set.get(ConditionType::PortfolioReady);
        portfolio.is_some_and(|c| c.status != Truth::True && c.reason != Reason::NotObservedYet)
    };
    if is_held(&after.conditions) {
        return notices;
    }
    let was_held = is_held(&before.conditions);
    let ready = |set: &ConditionSet| set.get(ConditionType::Ready).map(|c| (c.status, c.reason));
    if let Some((status, reason)) =
        ready(&after.conditions).filter(|_| !was_held && after.stage != Stage::Deleting)
    {
        let was = ready(&before.conditions).map(|(status, _)| status);
        if was != Some(status) && (status == Truth::True || was == Some(Truth::True)) {
            let name = if status == Truth::True { "Ready" } else { "NotReady" };
            notices.push(told(status != Truth::True, name, reason));
        }
    }
    if !was_held && before.stage != Some(after.stage) && !matches!(after.stage, Stage::Ready | Stage::Pending)
    {
        let stalled = after.stage == Stage::Stalled;
        let reason = ready(&after.conditions).map(|(_, reason)| reason);
        notices.push(match reason.filter(|_| stalled) {
            Some(reason) => told(true, "Stalled", reason),
            None => Notice {
                is_warning: stalled,
                reason: after.stage.as_str().into(),
                note: format!("reached stage {}", after.stage.as_str()),
            },
        });
    }
    for wait in &after.waiting_for {
        if before.waiting_for.iter().any(|old| old.action == wait.action && old.actor == wait.actor) {
            continue;
        }
        notices.push(Notice {
            is_warning: false,
            reason: wait.action.clone(),
            note: format!("waits for {} to act: {}", wait.actor.as_str(), wait.action),
        });
    }
    let refusal = |facts: &Facts| facts.last_refusal.as_ref().map(|r| (r.code, r.subcode));
    if let Some((code, subcode)) = refusal(&after.facts).filter(|now| refusal(&before.facts) != Some(*now)) {
        let code = subcode.map_or_else(|| code.to_string(), |subcode| format!("{code}/{subcode}"));
        notices.push(Notice {
            is_warning: true,
            reason: "Refused".into(),
            note: format!("Meta refused with code {code}; status has its words and the remedy"),
        });
    }
    notices
}

/// How long a channel that has just become Ready had not been, in seconds. One of which that was unknown was perhaps Ready.
pub fn until_ready(before: &Before, after: &Assessment) -> Option<f64> {
    let ready = |set: &ConditionSet| set.get(ConditionType::Ready).map(|c| (c.status, c.since));
    let (Truth::False, since) = ready(&before.conditions)? else { return None };
    let (Truth::True, now) = ready(&after.conditions)? else { return None };
    Some(now.duration_since(since).as_secs_f64())
}

fn told(is_warning: bool, name: &str, reason: Reason) -> Notice {
    let row = reason.row();
    let words = [row.name, row.meaning, row.remedy].into_iter().filter(|part| !part.is_empty());
    Notice { is_warning, reason: name.into(), note: words.collect::<Vec<_>>().join(": ") }
}

impl Notice {
    /// For a condition of a portfolio that has just changed.
    pub fn of(condition: &Condition) -> Self {
        let is_good = condition.status == Truth::True;
        let name =
            if is_good { condition.kind.as_str().into() } else { format!("Not{}", condition.kind.as_str()) };
        Self { reason: name, ..told(!is_good, "", condition.reason) }
    }

    /// For an object that goes. It is told once, of an object that nobody can look at any more, so it names ids.
    pub fn farewell(farewell: &Farewell) -> Self {
        Self {
            is_warning: farewell.parting == Parting::LeftAtMeta,
            reason: farewell.parting.as_str().into(),
            note: cut(farewell.message.clone()),
        }
    }

    /// For an object whose finalizer cannot be written.
    pub fn finalizer_unwritten(error: &Failed) -> Self {
        let (reason, note) = match error {
            Failed::Forbidden(why) => (
                "FinalizerForbidden",
                format!(
                    "the operator may not write its finalizer, so a deletion takes nothing back at Meta; let its ServiceAccount patch whatsappchannels and whatsappportfolios, or ask whoever set the rule that forbids it: {why}"
                ),
            ),
            error => (
                "FinalizerNotWritten",
                format!(
                    "the finalizer cannot be written, so a deletion may take nothing back at Meta; do what the API server, or an admission policy, says: {error}"
                ),
            ),
        };
        Self { is_warning: true, reason: reason.into(), note: cut(note) }
    }

    /// For an object whose spec cannot be understood.
    pub fn spec_invalid() -> Self {
        told(true, "Stalled", Reason::SpecInvalid)
    }

    /// For a stored object that cannot be used.
    pub fn unusable(why: &Why) -> Self {
        let (reason, note) = match why {
            Why::Unparsed(_) => (
                Reason::SpecInvalid.as_str(),
                "the stored object does not parse; compare it with the installed CRD and apply it again"
                    .into(),
            ),
            Why::TooLarge => (
                "TooLarge",
                format!("nothing is done with this object: {why}; remove what makes it so large"),
            ),
        };
        Self { is_warning: true, reason: reason.into(), note }
    }
}

/// No more than an event takes, in bytes.
fn cut(mut note: String) -> String {
    const LENGTH: usize = 1_000;
    let end = (0..=LENGTH.min(note.len())).rev().find(|at| note.is_char_boundary(*at));
    note.truncate(end.unwrap_or_default());
    note
}

/// How a step went, in one word for metrics.
pub fn result<T>(result: &Result<T, Failure>) -> &'static str {
    match result {
        Ok(_) => "accepted",
        Err(Failure::Refused(_)) => "refused",
        Err(Failure::NoAnswer(_) | Failure::TooLarge(_)) => "no_answer",
        Err(Failure::NotSent(_)) => "not_sent",
        Err(Failure::Throttled(_) | Failure::NoRoom(_)) => "throttled",
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::engine::{assess::first, fixture};

    /// What an assessment shows with the portfolio and `Ready` as given.
    fn shown(portfolio: (Truth, Reason), ready: (Truth, Reason), stage: Stage) -> Assessment {
        let mut shown = first(&fixture::desired(), fixture::now());
        for (kind, (status, reason)) in
            [(ConditionType::PortfolioReady, portfolio), (ConditionType::Ready, ready)]
        {
            let since = Timestamp::UNIX_EPOCH;
            let message = String::new();
            shown.conditions.set(Condition { kind, status, reason, message, since, observed_generation: 1 });
        }
        shown.stage = stage;
        shown
    }

    fn told(before: &Assessment, after: &Assessment) -> Vec<String> {
        let before =
            Before { conditions: before.conditions.clone(), stage: Some(before.stage), ..Before::default() };
        transitions(&before, after).into_iter().map(|notice| notice.reason).collect()
    }

    #[test]
    fn a_cause_of_the_portfolio_is_not_told_on_a_channel_and_its_own_is() {
        let unread = first(&fixture::desired(), fixture::now());
        let works = (Truth::True, Reason::Usable);
        let ready = shown(works, (Truth::True, Reason::Usable), Stage::Ready);
        let dead = (Truth::False, Reason::TokenInvalid);
        let held = shown(dead, dead, Stage::Pending);
        let stopped = (Truth::False, Reason::NumberBanned);
        let banned = shown(works, stopped, Stage::Stalled);
        assert_eq!(told(&unread, &ready), ["Ready"], "a portfolio that was not read yet hides nothing");
        assert_eq!(told(&ready, &held), [""; 0]);
        assert_eq!(told(&held, &ready), [""; 0]);
        assert_eq!(told(&ready, &banned), ["NotReady", "Stalled"]);
    }

    #[test]
    fn why_a_finalizer_is_not_written_is_told_in_the_words_of_whoever_refuses_it_and_fits_an_event() {
        let rule = || "company rule 7: ask team-x".to_owned();
        for error in [Failed::Forbidden(rule()), Failed::Refused(rule()), Failed::NoAnswer(rule())] {
            let note = Notice::finalizer_unwritten(&error).note;
            assert!(note.contains(&rule()), "{note}");
        }
        let long = Notice::finalizer_unwritten(&Failed::Refused("é".repeat(1_000))).note;
        assert!((900..=1_000).contains(&long.len()), "{}", long.len());
    }

    #[test]
    fn the_time_to_ready_counts_from_when_it_was_known_not_to_be() {
        let works = (Truth::True, Reason::Usable);
        let mut ready = shown(works, (Truth::False, Reason::CodeNeeded), Stage::Verifying);
        let since = Timestamp::from_second(90).expect("a time");
        let turned = ready.conditions.get(ConditionType::Ready).cloned().expect("Ready");
        ready.conditions.set(Condition { status: Truth::True, since, ..turned });
        let before = |status| {
            let shown = shown(works, (status, Reason::CodeNeeded), Stage::Verifying);
            Before { conditions: shown.conditions, ..Before::default() }
        };
        assert_eq!(until_ready(&before(Truth::False), &ready), Some(90.0));
        assert_eq!(until_ready(&before(Truth::Unknown), &ready), None);
        assert_eq!(until_ready(&before(Truth::True), &ready), None);
        assert_eq!(until_ready(&Before::default(), &ready), None);
    }
}
