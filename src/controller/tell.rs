//! Events: what changed, once, in words that repeat.
//!
//! Notes come from the table of reasons, never from a message: they hold no ids, no
//! times and nothing that Meta or a user wrote. What the API server refuses is told in its words.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::{Failed, read::Why};
use crate::engine::{
    action::Action,
    condition::{Condition, ConditionSet, Truth},
    condition_type::ConditionType,
    failure::Failure,
    farewell::{Farewell, Parting},
    reason::Reason,
    status::{Assessment, Before, Facts, Stage},
};
use crate::repeat::Repeats;
use crate::run::attempts::Lost;

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

/// Who tells of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Teller {
    /// Each channel that has it.
    Channel,
    /// The account: all of its channels have it alike. With the condition that it is told with.
    Account(ConditionType),
    /// The portfolio, by a condition of its own.
    Portfolio,
}

/// Who tells of a reason that a channel shows. What an account or a portfolio is the cause of is told there, once.
fn teller(reason: Reason) -> Teller {
    use Reason::{
        AccountDisabled, AccountInReview, AccountLocked, AccountNotInReach, AccountRejected,
        AccountRestricted, AppNotSubscribedToMessages, BusinessInReview, BusinessIneligible,
        BusinessNotVerified, CountryMismatch, MetaUnavailable, NoAccountInReach, NoAppSubscribed,
        NotObserved, NumberLimitReached, PaymentProblem, PermissionMissing, TermsNotAccepted, Throttled,
    };
    match reason {
        AccountDisabled | AccountInReview | AccountLocked | AccountNotInReach | AccountRejected
        | AccountRestricted | CountryMismatch | MetaUnavailable | NoAccountInReach | NotObserved
        | PermissionMissing | TermsNotAccepted | Throttled => Teller::Account(ConditionType::AccountUsable),
        AppNotSubscribedToMessages => Teller::Account(ConditionType::WebhookRouted),
        NoAppSubscribed => Teller::Account(ConditionType::Ready),
        NumberLimitReached => Teller::Account(ConditionType::NumberAdded),
        PaymentProblem => Teller::Account(ConditionType::PaymentReady),
        BusinessIneligible | BusinessInReview | BusinessNotVerified => Teller::Portfolio,
        _ => Teller::Channel,
    }
}

/// What keeps a channel from going on that all channels of its account share. A pause does not: what was reached
/// meanwhile is the channel's own.
fn held_by_account(set: &ConditionSet) -> bool {
    let reason = |kind| set.get(kind).filter(|c| c.status != Truth::True).map(|c| c.reason);
    let is_pause = |reason| matches!(reason, Reason::MetaUnavailable | Reason::Throttled);
    let holds =
        |reason: Reason| teller(reason) == Teller::Account(ConditionType::AccountUsable) && !is_pause(reason);
    [ConditionType::AccountUsable, ConditionType::Ready].into_iter().filter_map(reason).any(holds)
}

/// Of the entities of a health, the one that is the channel's own, and those that all accounts of a portfolio share.
const NUMBER: &str = "PHONE_NUMBER";
const OF_PORTFOLIO: [&str; 2] = ["BUSINESS", "APP"];

/// Whether a number can send within limits that are not its own, but of its account or of what is above it.
pub fn is_limited_above(set: &ConditionSet, facts: &Facts) -> bool {
    let is_limited = set.get(ConditionType::Healthy).is_some_and(|c| c.reason == Reason::Limited);
    let is_unpaid = set.get(ConditionType::PaymentReady).is_some_and(|c| c.reason == Reason::PaymentProblem);
    let entities = &facts.health_entities;
    let is_of_others = !entities.is_empty() && entities.iter().all(|health| health.entity != NUMBER);
    is_limited && (is_unpaid || is_of_others)
}

/// What an account is the cause of, by the condition that it is told with.
fn causes(set: &ConditionSet, facts: &Facts) -> BTreeMap<ConditionType, Reason> {
    let open = set.iter().filter(|c| c.status != Truth::True).map(|c| c.reason);
    let mut causes = BTreeMap::new();
    for reason in open {
        if let Teller::Account(kind) = teller(reason) {
            causes.entry(kind).or_insert(reason);
        }
    }
    if is_limited_above(set, facts) && !causes.contains_key(&ConditionType::PaymentReady) {
        causes.insert(ConditionType::Healthy, Reason::Limited);
    }
    causes
}

/// What turned of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountTurn {
    pub kind: ConditionType,
    /// Why the condition does not hold; `None` where the account is no cause any more.
    pub why: Option<Reason>,
}

/// What turned of an account, by one of its channels. Nothing where the portfolio is the cause.
pub fn account_turns(before: &Before, after: &Assessment) -> Vec<AccountTurn> {
    if is_held_by_portfolio(&after.conditions) {
        return Vec::new();
    }
    let was = causes(&before.conditions, &before.facts);
    let now = causes(&after.conditions, &after.facts);
    let kinds: BTreeSet<_> = was.keys().chain(now.keys()).copied().collect();
    let turn = |kind| {
        let why = now.get(&kind).copied();
        (why != was.get(&kind).copied()).then_some(AccountTurn { kind, why })
    };
    // What limits a number that was never seen without that is no news: each new one of the account has it.
    let is_news = |turn: &AccountTurn| {
        turn.kind != ConditionType::Healthy || before.conditions.is(ConditionType::Healthy, Truth::True)
    };
    kinds.into_iter().filter_map(turn).filter(is_news).collect()
}

/// Whether what turned of an account turned of all accounts of its portfolio.
pub fn spans_portfolio(turn: AccountTurn, before: &Before, after: &Assessment) -> bool {
    let facts = if turn.why.is_some() { &after.facts } else { &before.facts };
    let is_of_all = |entity: &str| OF_PORTFOLIO.contains(&entity);
    turn.kind == ConditionType::Healthy
        && facts.health_entities.iter().all(|health| is_of_all(&health.entity))
}

/// Whether the channel tells that it waits for an act: not where all reasons for it are told elsewhere.
fn tells_wait(set: &ConditionSet, action: &str) -> bool {
    let Some(action) = Action::from_name(action) else { return true };
    let mut asking = set
        .iter()
        .filter(|c| c.status != Truth::True && c.reason.may_ask(action))
        .map(|c| c.reason)
        .peekable();
    asking.peek().is_none() || asking.any(|reason| teller(reason) == Teller::Channel)
}

/// The transitions between what status showed and what it shows now. What the portfolio or the account is the cause of, and
/// its end, is told on the portfolio, once, and not on each of its channels.
pub fn transitions(before: &Before, after: &Assessment) -> Vec<Notice> {
    let mut notices = Vec::new();
    let is_held = |set: &ConditionSet| is_held_by_portfolio(set) || held_by_account(set);
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
        let was_there =
            before.waiting_for.iter().any(|old| old.action == wait.action && old.actor == wait.actor);
        if was_there || !tells_wait(&after.conditions, &wait.action) {
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

/// A notice of this name in the words of a reason.
pub fn told(is_warning: bool, name: &str, reason: Reason) -> Notice {
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

    /// For a portfolio: what turned of a part of it, an account, or a namespace that has none. Of what ended is told only
    /// that the account can be used again.
    pub fn part(part: &str, turn: AccountTurn) -> Option<Self> {
        let kind = turn.kind.as_str();
        let told = match turn.why {
            // It can send.
            Some(reason) if turn.kind == ConditionType::Healthy => told(true, reason.as_str(), reason),
            Some(reason) => told(true, &format!("Not{kind}"), reason),
            None if turn.kind == ConditionType::AccountUsable => told(false, kind, Reason::AccountActive),
            None => return None,
        };
        Some(Self { note: format!("{part}: {}", told.note), ..told })
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

    /// For a channel whose attempts would be lost with it, and the namespace of its portfolio.
    pub fn lost(lost: &Lost, namespace: &str) -> Self {
        let (reason, what, verbs, why) = match lost {
            Lost::NotKept(why) => (
                "AttemptsNotKept",
                "what was tried at Meta cannot be kept beside the channel, so one that is created anew after a deletion begins to count at none",
                "get, create and patch",
                why,
            ),
            Lost::NotRead(why) => (
                "AttemptsNotRead",
                "what earlier channels of the number tried at Meta cannot be read, and counts as none",
                "get",
                why,
            ),
        };
        let note = format!(
            "{what}; let the operator's ServiceAccount {verbs} ConfigMaps in namespace {namespace}, or do what the API server, a quota or an admission policy there says: {why}"
        );
        Self { is_warning: true, reason: reason.into(), note: cut(note) }
    }

    /// Itself, unless this object was told the same within a minute. Its words may differ from write to write, so they do not
    /// make it another cause.
    pub fn paced(self, repeats: &Repeats, object: &str) -> Option<Self> {
        repeats.tell(&format!("{} {object}", self.reason)).map(|_| self)
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
    use crate::engine::{assess::first, fixture, reason::ReasonKind, status::WaitingFor};

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

    /// What all channels of an account, or of a portfolio, may show alike, and who tells of it.
    const SHARED: &[(Reason, Teller)] = {
        use Reason::{
            AccountAmbiguous, AccountChanged, AccountDisabled, AccountInReview, AccountLocked,
            AccountNotInReach, AccountReachUnknown, AccountRejected, AccountRestricted, AddedByHandOnly,
            AddingRestricted, AppNotSubscribedToMessages, Blocked, BusinessInReview, BusinessIneligible,
            BusinessNotVerified, CountryMismatch, MetaUnavailable, NoAccountInReach, NoAppSubscribed,
            NotAnAccount, NotConnected, NotObserved, NumberBanned, NumberDeleted, NumberLimitReached,
            PaymentProblem, PermissionMissing, StatusNotKnown, TermsNotAccepted, Throttled,
        };
        const ACCOUNT: Teller = Teller::Account(ConditionType::AccountUsable);
        &[
            (AccountDisabled, ACCOUNT),
            (AccountInReview, ACCOUNT),
            (AccountLocked, ACCOUNT),
            (AccountNotInReach, ACCOUNT),
            (AccountRejected, ACCOUNT),
            (AccountRestricted, ACCOUNT),
            (CountryMismatch, ACCOUNT),
            (MetaUnavailable, ACCOUNT),
            (NoAccountInReach, ACCOUNT),
            (NotObserved, ACCOUNT),
            (PermissionMissing, ACCOUNT),
            (TermsNotAccepted, ACCOUNT),
            (Throttled, ACCOUNT),
            (AppNotSubscribedToMessages, Teller::Account(ConditionType::WebhookRouted)),
            (NoAppSubscribed, Teller::Account(ConditionType::Ready)),
            (NumberLimitReached, Teller::Account(ConditionType::NumberAdded)),
            (PaymentProblem, Teller::Account(ConditionType::PaymentReady)),
            (BusinessIneligible, Teller::Portfolio),
            (BusinessInReview, Teller::Portfolio),
            (BusinessNotVerified, Teller::Portfolio),
            // Only the spec of the channel ends it.
            (AccountAmbiguous, Teller::Channel),
            (AccountChanged, Teller::Channel),
            (AccountReachUnknown, Teller::Channel),
            (NotAnAccount, Teller::Channel),
            // A number at a time.
            (AddedByHandOnly, Teller::Channel),
            (AddingRestricted, Teller::Channel),
            (Blocked, Teller::Channel),
            (NotConnected, Teller::Channel),
            (NumberBanned, Teller::Channel),
            (NumberDeleted, Teller::Channel),
            (StatusNotKnown, Teller::Channel),
        ]
    };

    fn with(ready: (Truth, Reason), others: &[(ConditionType, Truth, Reason)], stage: Stage) -> Assessment {
        let mut shown = shown((Truth::True, Reason::PortfolioUsable), ready, stage);
        for (kind, status, reason) in others {
            let (kind, status, reason) = (*kind, *status, *reason);
            let (since, message) = (Timestamp::UNIX_EPOCH, String::new());
            shown.conditions.set(Condition { kind, status, reason, message, since, observed_generation: 1 });
        }
        shown
    }

    fn turned(before: &Assessment, after: &Assessment) -> Vec<(ConditionType, Option<Reason>)> {
        let before = Before { conditions: before.conditions.clone(), ..Before::default() };
        account_turns(&before, after).into_iter().map(|turn| (turn.kind, turn.why)).collect()
    }

    const WORKS: (Truth, Reason) = (Truth::True, Reason::Usable);
    const NONE: [(ConditionType, Option<Reason>); 0] = [];
    const ACTIVE: (ConditionType, Truth, Reason) =
        (ConditionType::AccountUsable, Truth::True, Reason::AccountActive);

    #[test]
    fn who_tells_is_settled_for_each_reason_of_an_account_or_of_whoever_administers_the_portfolio() {
        use crate::engine::{action::Actor, reason::TABLE};
        let settled = |reason| SHARED.iter().find(|(shared, _)| *shared == reason).map(|(_, who)| *who);
        for row in TABLE.iter().filter(|row| row.kind != ReasonKind::Settled) {
            let homes =
                [ConditionType::AccountUsable, ConditionType::BusinessVerified, ConditionType::PaymentReady];
            let is_alike = row.conditions.first().is_some_and(|home| homes.contains(home));
            let is_for_all = row.asks.is_some_and(|asks| asks.action.actor() == Actor::PortfolioAdmin);
            // A portfolio that may not be used holds all of its channels up, and tells why.
            let is_of_portfolio = row.conditions.contains(&ConditionType::PortfolioReady);
            let expected = settled(row.reason);
            assert!(
                expected.is_some() || is_of_portfolio || !(is_alike || is_for_all),
                "who tells of {}? Say it in the list of this test",
                row.name
            );
            assert_eq!(teller(row.reason), expected.unwrap_or(Teller::Channel), "{}", row.name);
        }
    }

    #[test]
    fn what_an_account_is_the_cause_of_is_told_of_the_account_and_not_on_a_channel() {
        let ready = with(WORKS, &[ACTIVE], Stage::Ready);
        let unread = first(&fixture::desired(), fixture::now());
        assert_eq!(turned(&unread, &ready), NONE, "an account that was not read yet was not unusable");
        let usable = ConditionType::AccountUsable;
        let holding = SHARED.iter().filter(|(reason, who)| {
            *who == Teller::Account(usable)
                && !matches!(reason, Reason::Throttled | Reason::MetaUnavailable | Reason::NotObserved)
        });
        for (reason, _) in holding {
            let bad = (Truth::False, *reason);
            let shut = with(bad, &[(usable, Truth::False, *reason)], Stage::Stalled);
            // A refusal of a step says so too, of an account that is shown as usable.
            let refused =
                with(bad, &[ACTIVE, (ConditionType::Registered, Truth::False, *reason)], Stage::Stalled);
            for held in [shut, refused] {
                assert_eq!(
                    (told(&ready, &held), told(&held, &ready)),
                    (Vec::new(), Vec::new()),
                    "{reason:?}"
                );
                assert_eq!(turned(&ready, &held), [(usable, Some(*reason))]);
                assert_eq!((turned(&held, &held), turned(&held, &ready)), (vec![], vec![(usable, None)]));
            }
        }
        let unseen = with((Truth::Unknown, Reason::NotObserved), &[ACTIVE], Stage::Ready);
        assert_eq!((told(&ready, &unseen), told(&unseen, &ready)), (Vec::new(), Vec::new()));
        assert_eq!(turned(&ready, &unseen), [(usable, Some(Reason::NotObserved))]);
        let lost = with(
            (Truth::Unknown, Reason::NotObserved),
            &[ACTIVE, (ConditionType::PortfolioReady, Truth::False, Reason::TokenInvalid)],
            Stage::Ready,
        );
        assert_eq!((turned(&ready, &lost), told(&ready, &lost)), (vec![], vec![]), "the portfolio tells");
    }

    #[test]
    fn what_the_spec_of_a_channel_is_the_cause_of_is_its_own() {
        let ready = with(WORKS, &[ACTIVE], Stage::Ready);
        for (reason, _) in SHARED.iter().filter(|(_, who)| *who == Teller::Channel) {
            let wrong = (Truth::False, *reason);
            let own = with(wrong, &[(ConditionType::AccountUsable, wrong.0, wrong.1)], Stage::Stalled);
            assert_eq!(turned(&ready, &own), NONE, "{reason:?}");
            assert_eq!(told(&ready, &own), ["NotReady", "Stalled"], "{reason:?}");
        }
    }

    #[test]
    fn a_wait_that_an_account_or_a_portfolio_asks_for_is_not_told_on_each_channel() {
        let before = with(WORKS, &[ACTIVE], Stage::Ready);
        let waits = |reason: Reason, action: Action| {
            let kind = *reason.row().conditions.first().expect("it is about a condition");
            let mut after = with(WORKS, &[ACTIVE, (kind, Truth::False, reason)], Stage::Ready);
            after.waiting_for = vec![WaitingFor {
                actor: action.actor(),
                action: action.as_str().into(),
                since: fixture::now(),
                expected_by: None,
                url: None,
                if_ignored: None,
                if_done: None,
            }];
            (told(&before, &after), turned(&before, &after))
        };
        for (reason, who) in SHARED {
            let kind = *reason.row().conditions.first().expect("it is about a condition");
            let Some(asks) = reason.row().asks.filter(|_| kind != ConditionType::Ready) else { continue };
            let (told, turned) = waits(*reason, asks.action);
            match who {
                Teller::Account(of) => assert_eq!((told, turned), (vec![], vec![(*of, Some(*reason))])),
                Teller::Portfolio => assert_eq!((told, turned), (vec![], vec![]), "{reason:?}"),
                Teller::Channel => assert_eq!(told, [asks.action.as_str()], "{reason:?}"),
            }
        }
        assert_eq!(waits(Reason::CodeNeeded, Action::AskForCode).0, ["AskForCode"]);
    }

    #[test]
    fn a_limit_of_an_account_is_told_of_it_once_and_one_of_the_business_of_all_its_accounts() {
        use crate::engine::status::HealthFact;
        let shown = |reason, entities: &[&str], payment: (Truth, Reason)| {
            let mut shown = with(
                WORKS,
                &[
                    ACTIVE,
                    (ConditionType::Healthy, Truth::True, reason),
                    (ConditionType::PaymentReady, payment.0, payment.1),
                ],
                Stage::Ready,
            );
            let named = |entity: &&str| HealthFact {
                entity: (*entity).into(),
                can_send: "LIMITED".into(),
                codes: Vec::new(),
            };
            shown.facts.health_entities = entities.iter().map(named).collect();
            shown
        };
        let turns = |before: &Assessment, after: &Assessment| -> Vec<(ConditionType, Option<Reason>, bool)> {
            let before = Before {
                conditions: before.conditions.clone(),
                facts: before.facts.clone(),
                ..Before::default()
            };
            let turns = account_turns(&before, after).into_iter();
            turns.map(|turn| (turn.kind, turn.why, spans_portfolio(turn, &before, after))).collect()
        };
        let paid = (Truth::True, Reason::PaymentMethodPresent);
        let well = shown(Reason::CanSend, &[], paid);
        for (entities, spans) in [(&["WABA"][..], false), (&["WABA", "APP"], false), (&["BUSINESS"], true)] {
            let limited = shown(Reason::Limited, entities, paid);
            let kind = ConditionType::Healthy;
            assert_eq!(turns(&well, &limited), [(kind, Some(Reason::Limited), spans)], "{entities:?}");
            assert_eq!(turns(&limited, &well), [(kind, None, spans)], "{entities:?}");
            assert_eq!(turns(&limited, &limited), []);
            let unseen = Assessment { conditions: ConditionSet::default(), ..well.clone() };
            assert_eq!(turns(&unseen, &limited), [], "a new number of an account that was limited before");
        }
        let own = shown(Reason::Limited, &["PHONE_NUMBER"], paid);
        assert_eq!(turns(&well, &own), []);
        let unpaid = shown(Reason::Limited, &["WABA"], (Truth::False, Reason::PaymentProblem));
        let payment = (ConditionType::PaymentReady, Some(Reason::PaymentProblem), false);
        assert_eq!(turns(&well, &unpaid), [payment], "one cause is told once");
        let turn = AccountTurn { kind: ConditionType::Healthy, why: Some(Reason::Limited) };
        let told = Notice::part("every account", turn).expect("it is told");
        assert_eq!((told.is_warning, told.reason.as_str()), (true, "Limited"));
    }

    #[test]
    fn what_was_reached_before_an_account_paused_is_told() {
        let before = with((Truth::False, Reason::CodeNeeded), &[ACTIVE], Stage::Adding);
        let paused = (Truth::False, Reason::Throttled);
        let after =
            with(paused, &[ACTIVE, (ConditionType::Registered, paused.0, paused.1)], Stage::Verifying);
        assert_eq!(told(&before, &after), ["Verifying"]);
        assert_eq!(turned(&before, &after), [(ConditionType::AccountUsable, Some(Reason::Throttled))]);
    }

    #[test]
    fn a_part_of_a_portfolio_is_told_by_its_id_with_the_words_of_the_condition() {
        let turn = |kind, why| Notice::part("account 300000000000001", AccountTurn { kind, why });
        let bad = turn(ConditionType::AccountUsable, Some(Reason::AccountDisabled)).expect("it is told");
        assert_eq!((bad.is_warning, bad.reason.as_str()), (true, "NotAccountUsable"));
        assert!(bad.note.starts_with("account 300000000000001: AccountDisabled: "), "{}", bad.note);
        let good = turn(ConditionType::AccountUsable, None).expect("it is told");
        assert_eq!((good.is_warning, good.reason.as_str()), (false, "AccountUsable"));
        assert!(good.note.starts_with("account 300000000000001: AccountActive"), "{}", good.note);
        let unpaid = turn(ConditionType::PaymentReady, Some(Reason::PaymentProblem)).expect("it is told");
        assert_eq!(unpaid.reason, "NotPaymentReady");
        assert_eq!(turn(ConditionType::PaymentReady, None), None);
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

    #[tokio::test(start_paused = true)]
    async fn attempts_that_are_lost_are_told_in_the_words_of_whoever_refuses_them_and_once_a_minute() {
        let repeats = Repeats::default();
        let told = |lost: Lost, object: &str| Notice::lost(&lost, "acme").paced(&repeats, object);
        let kept = |n: u32| Lost::NotKept(format!("company rule 7: ask team-x, request {n}"));
        let first = told(kept(1), "shop/a").expect("it is told");
        assert_eq!((first.is_warning, first.reason.as_str()), (true, "AttemptsNotKept"));
        assert!(
            first.note.contains("namespace acme,") && first.note.contains("rule 7: ask team-x"),
            "{first:?}"
        );
        assert_eq!(told(kept(2), "shop/a"), None, "in whatever words");
        assert!(told(kept(3), "shop/b").is_some(), "another channel");
        let read = told(Lost::NotRead("no right".into()), "shop/a").expect("another cause");
        assert!(read.reason == "AttemptsNotRead" && read.note.ends_with(": no right"), "{read:?}");
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
        assert!(told(kept(4), "shop/a").is_some());
        let long = Notice::lost(&Lost::NotKept("é".repeat(1_000)), "acme").note;
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
