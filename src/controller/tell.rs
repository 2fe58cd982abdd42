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
    id::AccountId,
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

/// A portfolio that was not read yet holds nothing up.
fn is_held_by_portfolio(set: &ConditionSet) -> bool {
    let portfolio = set.get(ConditionType::PortfolioReady);
    portfolio.is_some_and(|c| c.status != Truth::True && c.reason != Reason::NotObservedYet)
}

/// What an account is the cause of, for all of its channels alike: it is told on the portfolio, once.
fn of_account(set: &ConditionSet) -> Option<Reason> {
    use Reason::{
        AccountDisabled, AccountInReview, AccountLocked, AccountRejected, AccountRestricted, CountryMismatch,
        PermissionMissing,
    };
    let usable = set.get(ConditionType::AccountUsable).filter(|c| c.status != Truth::True).map(|c| c.reason);
    let is_its = |reason: &Reason| {
        matches!(
            reason,
            AccountDisabled
                | AccountInReview
                | AccountLocked
                | AccountRejected
                | AccountRestricted
                | CountryMismatch
                | PermissionMissing
        )
    };
    let unseen = || set.get(ConditionType::Ready).map(|c| c.reason).filter(|r| *r == Reason::NotObserved);
    usable.filter(is_its).or_else(unseen)
}

/// What an account turned to, by one of its channels: usable, or why it is not. `None`: it did not, or its portfolio is the
/// cause.
pub fn account_turn(before: &Before, after: &Assessment) -> Option<Option<Reason>> {
    if is_held_by_portfolio(&after.conditions) {
        return None;
    }
    let now = of_account(&after.conditions);
    (now != of_account(&before.conditions)).then_some(now)
}

/// The transitions between what status showed and what it shows now. What the portfolio or the account is the cause of, and
/// its end, is told on the portfolio, once, and not on each of its channels.
pub fn transitions(before: &Before, after: &Assessment) -> Vec<Notice> {
    let mut notices = Vec::new();
    let is_held = |set: &ConditionSet| is_held_by_portfolio(set) || of_account(set).is_some();
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
    // Sentences. One more that says to do nothing is of no use in a list of events.
    let words = [row.meaning, row.remedy].into_iter().filter(|part| !part.is_empty() && *part != "Nothing.");
    let note = format!("{}: {}", row.name, words.collect::<Vec<_>>().join(" "));
    Notice { is_warning, reason: name.into(), note }
}

impl Notice {
    /// For a condition of a portfolio that has just changed.
    pub fn of(condition: &Condition) -> Self {
        let is_good = condition.status == Truth::True;
        let name =
            if is_good { condition.kind.as_str().into() } else { format!("Not{}", condition.kind.as_str()) };
        Self { reason: name, ..told(!is_good, "", condition.reason) }
    }

    /// For a portfolio: that one of its accounts can be used, or why not.
    pub fn account(account: &AccountId, why: Option<Reason>) -> Self {
        let kind = ConditionType::AccountUsable.as_str();
        let told = match why {
            Some(reason) => told(true, &format!("Not{kind}"), reason),
            None => told(false, kind, Reason::AccountActive),
        };
        Self { note: format!("account {account}: {}", told.note), ..told }
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
    fn a_note_has_the_remedy_only_where_there_is_one() {
        let note = |reason| super::told(false, "", reason).note;
        assert_eq!(
            note(Reason::IdentityMatches),
            "IdentityMatches: The portfolio's name is the expected one."
        );
        let row = Reason::TokenInvalid.row();
        assert_eq!(note(Reason::TokenInvalid), format!("TokenInvalid: {} {}", row.meaning, row.remedy));
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
    fn a_cause_of_the_account_is_told_of_the_account_and_not_on_a_channel() {
        let works = (Truth::True, Reason::Usable);
        let with = |account: (Truth, Reason), ready: (Truth, Reason), stage| {
            let mut shown = shown(works, ready, stage);
            let usable = shown.conditions.get(ConditionType::AccountUsable).cloned().expect("it is shown");
            shown.conditions.set(Condition { status: account.0, reason: account.1, ..usable });
            shown
        };
        let active = (Truth::True, Reason::AccountActive);
        let ready = with(active, works, Stage::Ready);
        let turn = |before: &Assessment, after: &Assessment| {
            let before = Before { conditions: before.conditions.clone(), ..Before::default() };
            account_turn(&before, after)
        };
        let unread = first(&fixture::desired(), fixture::now());
        assert_eq!(turn(&unread, &ready), None, "an account that was not read yet was not unusable");
        for reason in [
            Reason::AccountDisabled,
            Reason::AccountRejected,
            Reason::AccountRestricted,
            Reason::AccountInReview,
            Reason::AccountLocked,
            Reason::PermissionMissing,
            Reason::CountryMismatch,
        ] {
            let bad = (Truth::False, reason);
            let held = with(bad, bad, Stage::Stalled);
            assert_eq!((told(&ready, &held), told(&held, &ready)), (Vec::new(), Vec::new()), "{reason:?}");
            assert_eq!(turn(&ready, &held), Some(Some(reason)));
            assert_eq!((turn(&held, &held), turn(&held, &ready)), (None, Some(None)));
        }
        let unseen = with(active, (Truth::Unknown, Reason::NotObserved), Stage::Ready);
        assert_eq!((told(&ready, &unseen), told(&unseen, &ready)), (Vec::new(), Vec::new()));
        assert_eq!(turn(&ready, &unseen), Some(Some(Reason::NotObserved)));
        // What the spec of a channel is the cause of is its own.
        let mut lost = unseen.clone();
        let portfolio = lost.conditions.get(ConditionType::PortfolioReady).cloned().expect("it is shown");
        lost.conditions.set(Condition { status: Truth::False, reason: Reason::TokenInvalid, ..portfolio });
        assert_eq!((turn(&ready, &lost), told(&ready, &lost)), (None, Vec::new()), "the portfolio tells");
        let wrong = (Truth::False, Reason::AccountNotInReach);
        let own = with(wrong, wrong, Stage::Stalled);
        assert_eq!(
            (turn(&ready, &own), told(&ready, &own)),
            (None, vec!["NotReady".into(), "Stalled".into()])
        );
    }

    #[test]
    fn an_account_is_told_by_its_id_with_the_words_of_the_condition() {
        let account = AccountId::from("300000000000001");
        let bad = Notice::account(&account, Some(Reason::AccountDisabled));
        assert_eq!((bad.is_warning, bad.reason.as_str()), (true, "NotAccountUsable"));
        assert!(bad.note.starts_with("account 300000000000001: AccountDisabled: "), "{}", bad.note);
        let good = Notice::account(&account, None);
        assert_eq!((good.is_warning, good.reason.as_str()), (false, "AccountUsable"));
        assert!(good.note.starts_with("account 300000000000001: AccountActive"), "{}", good.note);
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
