//! Look: which facts a pass needs, how fresh and how urgent, before anything is spent.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    desired::{Connection, Desired, Management},
    id::{AccountId, NumberId},
    limits::{Limits, earlier, later},
    memory::{ConsentKind, Memory, StepKind},
    observed::{Claim, PortfolioState},
    portfolio::PortfolioView,
    reach,
};

/// What to find out.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Nothing of Meta and no Secret is read: suspended, claimed by another, portfolio not usable.
    pub meta: bool,
    /// Accounts whose facts and numbers are needed.
    pub accounts: Vec<AccountLook>,
    /// Whether our app's subscription to the account is needed.
    pub subscription: Option<AccountId>,
    /// The profile is needed, at most this old.
    pub profile: Option<(NumberId, Duration)>,
    pub code_secret: bool,
    pub pin_secret: bool,
    pub verify_token: bool,
    pub urgency: Urgency,
}

impl Look {
    /// What an edit asks for comes before what is merely on its way: `observed` is the generation that was last
    /// observed.
    #[must_use]
    pub fn after_edit(self, desired: &Desired, observed: Option<i64>) -> Self {
        let is_edited = observed != Some(desired.generation);
        let urgency = if is_edited { self.urgency.min(Urgency::Edit) } else { self.urgency };
        Self { urgency, ..self }
    }
}

/// One account to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountLook {
    pub account: AccountId,
    /// The account's own facts too (not only its numbers).
    pub facts: bool,
    /// A list begun before this does not serve.
    pub not_before: Timestamp,
}

/// Order in which a budget is spent; the first is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// A person is waiting: a code is live, a consent was given.
    Person,
    /// The user edited the object.
    Edit,
    /// Something is on its way.
    Transitional,
    /// Nothing is; looking for drift.
    Drift,
}

/// Says what a pass needs to know, before anything is spent.
///
/// `after_write` tells when this channel last wrote something at Meta: a list begun before it does not serve.
/// Only what the rules need is asked for: a suspended channel, or one that another manages, reads nothing.
pub fn look(
    desired: &Desired,
    memory: &Memory,
    claim: &Claim,
    portfolio: &PortfolioState,
    after_write: Option<Timestamp>,
    limits: &Limits,
    now: Timestamp,
) -> Look {
    let urgency = urgency(desired, memory, limits, now);
    let observes_only = desired.management == Management::ObserveOnly;
    let may_look = !desired.suspend && (observes_only || matches!(claim, Claim::Ours { .. }));
    let Some(view) = usable(portfolio).filter(|_| may_look) else { return nothing(urgency) };
    let Ok(target) = reach::choose(desired, memory, view) else { return nothing(urgency) };
    let open = !observes_only
        && desired.connection == Connection::CloudApi
        && memory.number.is_some()
        && is_unfinished(memory);
    Look {
        meta: true,
        accounts: accounts(desired, memory, view, &target, after_write, limits, now),
        subscription: desired.webhook.is_some().then(|| target.clone()),
        profile: profile(desired, memory, limits, now),
        code_secret: open,
        pin_secret: open,
        verify_token: !observes_only && desired.webhook.is_some(),
        urgency,
    }
}

fn nothing(urgency: Urgency) -> Look {
    Look {
        meta: false,
        accounts: Vec::new(),
        subscription: None,
        profile: None,
        code_secret: false,
        pin_secret: false,
        verify_token: false,
        urgency,
    }
}

fn usable(portfolio: &PortfolioState) -> Option<&PortfolioView> {
    match portfolio {
        PortfolioState::View(view) if view.hold.is_none() && view.credential_version.is_some() => Some(view),
        _ => None,
    }
}

/// Not seen registered, or seen to have fallen back.
fn is_unfinished(memory: &Memory) -> bool {
    memory.marks.seen_registered.is_none() || memory.marks.fell_back_since.is_some()
}

/// The target, and every account in reach while the number is not known to be in the target.
fn accounts(
    desired: &Desired,
    memory: &Memory,
    view: &PortfolioView,
    target: &AccountId,
    after_write: Option<Timestamp>,
    limits: &Limits,
    now: Timestamp,
) -> Vec<AccountLook> {
    let is_sought = memory.number.is_none() || memory.marks.missing_since.is_some();
    let not_before = not_before(desired, memory, is_sought, after_write, limits, now);
    let mut ids = vec![target];
    if is_sought {
        let others = reach::all(view).unwrap_or_default().iter().map(|account| &account.id);
        ids.extend(others.filter(|id| *id != target));
    }
    ids.into_iter().map(|id| AccountLook { account: id.clone(), facts: id == target, not_before }).collect()
}

fn not_before(
    desired: &Desired,
    memory: &Memory,
    is_sought: bool,
    after_write: Option<Timestamp>,
    limits: &Limits,
    now: Timestamp,
) -> Timestamp {
    if asks_to_look(desired, memory) {
        return now;
    }
    let may_add = is_sought
        && desired.connection == Connection::CloudApi
        && !is_add_paused(desired, memory, limits, now);
    let wrote = wrote(memory, after_write);
    let recently =
        wrote.is_some_and(|at| now < later(at, limits.fresh_after_write * limits.fresh_after_write_times));
    let age = match (may_add, recently) {
        (_, true) => limits.fresh_after_write.min(limits.fresh_list),
        (true, false) => limits.fresh_for_add.min(limits.fresh_list),
        (false, false) => limits.fresh_list,
    };
    let adopted = memory.marks.adopted.filter(|_| !memory.knows_history());
    let adopted = adopted.map(|at| later(at, limits.settle_register));
    // What is believed only from a second look.
    let missing = memory.marks.missing_since.map(|at| later(at, limits.fresh_after_write));
    let fell_back = memory.marks.fell_back_since.map(|at| later(at, limits.fall_back_confirmed));
    let due = memory.settle_times().chain(adopted).chain(missing).chain(fell_back);
    let settled = due.filter(|until| *until <= now).max();
    [Some(earlier(now, age)), wrote, settled].into_iter().flatten().max().unwrap_or(now).min(now)
}

/// A refused add that waits for hours does not need lists of the last minute.
fn is_add_paused(desired: &Desired, memory: &Memory, limits: &Limits, now: Timestamp) -> bool {
    let retry = desired.consents.retry.as_deref();
    let is_asked = retry.is_some_and(|value| memory.answered(ConsentKind::Retry, value).is_none());
    let refused = memory.ledger.last(StepKind::AddNumber).filter(|last| last.refusal.is_some());
    let is_paused = refused.is_some_and(|last| now < later(last.at, limits.add_refused_pause));
    is_paused && !is_asked && memory.marks.missing_since.is_none()
}

fn wrote(memory: &Memory, after_write: Option<Timestamp>) -> Option<Timestamp> {
    after_write.max(memory.last_write())
}

fn profile(
    desired: &Desired,
    memory: &Memory,
    limits: &Limits,
    now: Timestamp,
) -> Option<(NumberId, Duration)> {
    let number = memory.number.clone().filter(|_| desired.profile.is_managed())?;
    let pace = memory.ledger.repeatable.get(&StepKind::WriteProfile).and_then(|pace| pace.last);
    let recently =
        pace.filter(|at| now < later(*at, limits.fresh_after_write * limits.fresh_after_write_times));
    let age = match recently {
        Some(at) => {
            limits.fresh_after_write.min(Duration::try_from(now.duration_since(at)).unwrap_or_default())
        }
        None if asks_to_look(desired, memory) => Duration::ZERO,
        None => limits.fresh_profile,
    };
    Some((number, age))
}

fn asks_to_look(desired: &Desired, memory: &Memory) -> bool {
    let value = desired.consents.reconcile.as_deref();
    value.is_some_and(|value| memory.answered(ConsentKind::Reconcile, value).is_none())
}

fn urgency(desired: &Desired, memory: &Memory, limits: &Limits, now: Timestamp) -> Urgency {
    let consents = [
        (ConsentKind::SendCode, &desired.consents.send_code),
        (ConsentKind::Retry, &desired.consents.retry),
        (ConsentKind::Reconcile, &desired.consents.reconcile),
    ];
    let is_used = |kind| desired.management == Management::Full || kind == ConsentKind::Reconcile;
    let mut open = consents
        .iter()
        .filter(|(kind, _)| is_used(*kind))
        .filter_map(|(kind, value)| Some((*kind, value.as_deref()?)));
    let is_asked = open.any(|(kind, value)| memory.answered(kind, value).is_none());
    let code = memory.ledger.last(StepKind::RequestCode);
    let is_live = is_unfinished(memory) && code.is_some_and(|code| now < later(code.at, limits.code_life));
    if is_asked || is_live {
        Urgency::Person
    } else if is_unfinished(memory) || memory.in_flight.is_some() {
        Urgency::Transitional
    } else {
        Urgency::Drift
    }
}

#[cfg(test)]
mod tests;
