//! The display name: what may be submitted, and when, and what it allows before the first registration.

use jiff::Timestamp;

use crate::engine::{
    plan::{
        pass::{Gate, Pass, Seen, Stop},
        remedy, undecided,
    },
    rule::{
        naming::{NameState, is, is_change_in_review, is_in_review, own_state, shows, state},
        say,
    },
    value::{
        block::Block,
        display_name::{is_same, written},
        id::{Field, NameStatus},
        memory::{Entry, EntryOutcome, Memory},
        observed::Number,
        reason::Reason,
        step::{Cause, Step, StepKind},
        time::{later, pause},
    },
};

/// Remembers that Meta declined the desired name.
pub(super) fn note_declined(pass: &Pass, memory: &mut Memory, number: &Number) {
    let name = &pass.desired.display_name;
    let current =
        is(&number.verified_name, name) && number.name_status.value() == Some(&NameStatus::Declined);
    let new =
        is(&number.new_display_name, name) && number.new_name_status.value() == Some(&NameStatus::Declined);
    let is_fine = shows(number, name) && own_state(number, name) == NameState::Usable;
    let was_declined = memory.marks.has_declined(name);
    let declined = &mut memory.marks.declined;
    if is_fine {
        declined.retain(|declined, _| !is_same(declined, name));
    } else if (current || new) && !was_declined {
        declined.insert(written(name), pass.now);
        while declined.len() > pass.limits.declined_names {
            let Some(oldest) = declined.iter().min_by_key(|(_, at)| **at).map(|(name, _)| name.clone())
            else {
                break;
            };
            declined.remove(&oldest);
        }
    }
}

/// Submits the desired name where Meta does not have it, or has let it expire.
pub(super) fn submitted(pass: &Pass, memory: &Memory, number: &Number, seen: &Seen) -> Gate {
    let name = &pass.desired.display_name;
    let state = state(number, name);
    if let NameState::Unknown(word) = &state {
        return Err(Stop::block(remedy::not_known("name_status", word, "the number")));
    }
    let is_expired = is_expired(memory, number, name, &state);
    if is_there(memory, number, name) && state != NameState::Expired && !is_expired {
        return Ok(());
    }
    undecided::settled(pass, StepKind::SubmitName, memory, seen)?;
    if memory.marks.has_declined(name) {
        return if state == NameState::Usable { Ok(()) } else { Err(Stop::block(declined(pass))) };
    }
    not_queued(number)?;
    let cause = allowed(pass, memory, name, is_expired)?;
    undecided::may_send(pass, StepKind::SubmitName, memory)?;
    let step =
        Step::SubmitName { account: seen.account.clone(), number: number.id.clone(), name: written(name) };
    Err(pass.step(step, format!("submit display name {name:?} for Meta's review"), cause))
}

/// What cannot be read is not submitted again.
fn is_there(memory: &Memory, number: &Number, name: &str) -> bool {
    is_hidden(memory, number) || is_carried(number, name)
}

fn is_hidden(memory: &Memory, number: &Number) -> bool {
    match &number.verified_name {
        Field::Refused => true,
        Field::Absent => memory.knows_history(),
        Field::Is(_) => false,
    }
}

fn is_carried(number: &Number, name: &str) -> bool {
    is(&number.verified_name, name) || is(&number.new_display_name, name)
}

/// Whether the desired name itself expired, whatever the state of another one that is live.
fn is_expired(memory: &Memory, number: &Number, name: &str, state: &NameState) -> bool {
    if is_carried(number, name) {
        return !shows(number, name);
    }
    is_hidden(memory, number) && *state == NameState::Expired
}

/// Only one change may be in review.
pub(super) fn not_queued(number: &Number) -> Gate {
    if !is_in_review(number) {
        return Ok(());
    }
    let other = number
        .new_display_name
        .value()
        .or(number.verified_name.value())
        .map_or("another name", String::as_str);
    Err(Stop::block(Block::new(
        Reason::NameChangeQueued,
        format!("Meta still reviews {other:?}; the desired display name is submitted after that"),
    )))
}

/// What allows one more submission of a name: the policy itself, or a person.
pub(super) fn allowed(pass: &Pass, memory: &Memory, name: &str, expired: bool) -> Gate<Cause> {
    within_limit(pass, memory)?;
    let Some(last) = memory.ledger.names.iter().rev().find(|e| e.counts() && e.is_about_name(name)) else {
        return Ok(Cause::Automatic);
    };
    match repeat(pass, memory, name, expired, last) {
        Ok(()) => Ok(Cause::Automatic),
        Err(block) => match (&pass.retry, block.until) {
            (Some(retry), None) => Ok(Cause::Retry(retry.value.clone())),
            _ => Err(Stop::Block(block)),
        },
    }
}

/// The limit of submissions, which no consent opens.
pub(super) fn within_limit(pass: &Pass, memory: &Memory) -> Gate {
    let limits = pass.limits;
    let from = pass.now.checked_sub(limits.names_window).ok();
    let recent: Vec<_> = memory.ledger.since(StepKind::SubmitName, from).collect();
    if recent.len() < limits.names {
        return Ok(());
    }
    let until = later(recent[recent.len() - limits.names].at, limits.names_window);
    Err(Stop::block(limit_reached(recent.len(), until)))
}

/// Whether a name that was submitted before may be submitted again without being asked.
fn repeat(pass: &Pass, memory: &Memory, name: &str, expired: bool, last: &Entry) -> Result<(), Box<Block>> {
    if last.is_inconclusive() {
        let tries = memory.ledger.names.iter().rev().take_while(|e| e.is_inconclusive()).count();
        let until = later(last.at, pause(&pass.limits.repeatable_pauses, tries));
        return if pass.now >= until { Ok(()) } else { Err(Box::new(unanswered(name, until))) };
    }
    if let Some(refusal) = last.refusal.as_ref().filter(|_| last.outcome == EntryOutcome::Refused) {
        return match refusal.paused_until() {
            Some(until) if pass.now >= until => Ok(()),
            Some(until) => Err(Box::new(say::throttled(until).refused(Some(refusal)))),
            None => Err(Box::new(
                say::not_for_its_value("SubmitName", refusal, &pass.then_retry())
                    .unwrap_or_else(|| refused(pass, name, last)),
            )),
        };
    }
    let until = later(last.at, pass.limits.name_expired_pause);
    match expired {
        true if pass.now >= until => Ok(()),
        true => Err(Box::new(
            Block::new(
                Reason::NameExpiredWaits,
                format!(
                    "display name {name:?} expired at Meta; it is submitted again at {}",
                    say::time(until)
                ),
            )
            .until(until),
        )),
        false => Err(Box::new(Block::new(
            Reason::NameNotTaken,
            format!(
                "Meta accepted display name {name:?} at {} and {}; look at the number in WhatsApp Manager, {}",
                say::time(last.at),
                if is_replaced(memory, last) { "another one after it" } else { "does not show it" },
                pass.then_retry()
            ),
        ))),
    }
}

/// Whether another name was submitted since.
pub(super) fn is_replaced(memory: &Memory, last: &Entry) -> bool {
    let newer = memory.ledger.since(StepKind::SubmitName, Some(last.at));
    newer.into_iter().any(|entry| entry.outcome == EntryOutcome::Accepted && !entry.is_about_same_name(last))
}

fn limit_reached(count: usize, until: Timestamp) -> Block {
    Block::new(
        Reason::NameLimitReached,
        format!("display names were submitted {count} times in 30 days, which is close to Meta's limit; the next at {}", say::time(until)),
    )
    .until(until)
}

fn unanswered(name: &str, until: Timestamp) -> Block {
    Block::new(
        Reason::MetaUnavailable,
        format!(
            "submitting display name {name:?} got no usable answer and had no effect; again at {}",
            say::time(until)
        ),
    )
    .until(until)
}

fn refused(pass: &Pass, name: &str, last: &Entry) -> Block {
    let words = last.refusal.as_ref().map(say::words).unwrap_or_default();
    Block::new(
        Reason::NameRefused,
        format!(
            "Meta refused display name {name:?} ({words}); change spec.displayName, or put right what Meta names, {}",
            pass.then_retry()
        ),
    )
    .refused(last.refusal.as_ref())
}

pub(super) fn declined(pass: &Pass) -> Block {
    Block::new(
        Reason::NameDeclined,
        format!(
            "Meta declined display name {:?}; it is never sent again unchanged: set another spec.displayName, or appeal in WhatsApp Manager",
            pass.desired.display_name
        ),
    )
}

/// A code is not wasted on a name that could not be registered.
pub(super) fn allows_code(pass: &Pass, number: &Number) -> Gate {
    match state(number, &pass.desired.display_name) {
        NameState::Declined => Err(Stop::block(declined(pass))),
        NameState::Unknown(word) => Err(Stop::block(remedy::not_known("name_status", &word, "the number"))),
        _ => Ok(()),
    }
}

/// How a registration may go with the name as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    Usable,
    /// One try, since Meta's own pages disagree.
    TryOnce,
    /// Meta does not tell the name's state.
    Blind,
}

/// Whether the number was registered before, and Meta reviews another name of it. One that this object took off the platform
/// comes back all the same.
pub(super) fn is_renamed(memory: &Memory, number: &Number) -> bool {
    memory.marks.seen_registered().is_some() && !memory.marks.is_moving && is_change_in_review(number)
}

/// The changed name that Meta reviews.
pub(super) fn reviewed(number: &Number) -> String {
    number.new_display_name.value().map_or_else(
        || "its changed display name".into(),
        |name| format!("its changed display name {name:?}"),
    )
}

/// Whether the name's state allows a registration.
pub(super) fn allows_registration(pass: &Pass, memory: &Memory, number: &Number) -> Gate<Grant> {
    use crate::engine::value::desired::WhileNameInReview::TryOnce;
    if is_renamed(memory, number) {
        return Err(Stop::block(Block::new(
            Reason::NameInReview,
            format!(
                "{} was registered before, and Meta reviews {}, mostly for two to five days; a registration would make that live unreviewed, so a retry does not register it meanwhile; when the review has ended, run {}",
                pass.desired.number,
                reviewed(number),
                pass.command("retry")
            ),
        )));
    }
    let name = &pass.desired.display_name;
    let tries = pass.desired.registration.while_name_in_review == TryOnce;
    let review = |reason, message: String| Stop::block(Block::new(reason, message));
    match state(number, name) {
        NameState::Usable => Ok(Grant::Usable),
        NameState::Blind => Ok(Grant::Blind),
        NameState::InReview if tries && !memory.marks.was_tried_in_review(name) => Ok(Grant::TryOnce),
        NameState::InReview => Err(review(
            Reason::NameInReview,
            format!(
                "Meta reviews display name {name:?}, usually within 48 hours; the number is registered by itself after that"
            ),
        )),
        NameState::NotReady => Err(review(
            Reason::NameNotReady,
            format!(
                "Meta has not made display name {name:?} usable yet; the number is registered by itself after that"
            ),
        )),
        NameState::Expired => Err(review(
            Reason::NameExpiredWaits,
            format!("display name {name:?} expired at Meta and has to be submitted again first"),
        )),
        NameState::Declined => Err(Stop::block(declined(pass))),
        NameState::Unknown(word) => Err(Stop::block(remedy::not_known("name_status", &word, "the number"))),
    }
}
