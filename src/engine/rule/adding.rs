//! Adds that did not work: whether another one is made by itself, when, or only on request.

use jiff::Timestamp;

use crate::engine::value::{
    desired::Desired,
    failure::Refusal,
    limits::Limits,
    memory::{Entry, EntryOutcome, Memory},
    step::StepKind,
    time::{later, pause},
};

/// When an add that did not work may be made again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Again {
    Now,
    At(Timestamp),
    WhenAsked,
}

/// Whether the next add waits for a date or a person. Then the lists that it needs are not read.
pub(in crate::engine) fn waits(desired: &Desired, memory: &Memory, limits: &Limits, now: Timestamp) -> bool {
    match memory.ledger.last(StepKind::AddNumber).map(|last| again(desired, memory, last, limits)) {
        None | Some(Again::Now) => false,
        Some(Again::At(until)) => now < until,
        Some(Again::WhenAsked) => true,
    }
}

/// When the next add may be made, after the last one did not work.
pub(in crate::engine) fn again(desired: &Desired, memory: &Memory, last: &Entry, limits: &Limits) -> Again {
    let is_edited = !last.is_about_name(&desired.display_name);
    if let Some(refusal) = refused(last) {
        return after_refusal(memory, last, refusal, is_edited, limits);
    }
    if !is_edited && is_given_up(memory, last, limits) {
        return Again::WhenAsked;
    }
    match unanswered(memory) {
        0 => Again::Now,
        tries => Again::At(later(last.at, pause(&limits.repeatable_pauses, tries - 1))),
    }
}

/// A refusal that proves that nothing was added.
pub(in crate::engine) fn refused(last: &Entry) -> Option<&Refusal> {
    let refusal = last.refusal.as_ref()?;
    (last.outcome == EntryOutcome::Refused && !refusal.may_have_happened()).then_some(refusal)
}

fn after_refusal(
    memory: &Memory,
    last: &Entry,
    refusal: &Refusal,
    is_edited: bool,
    limits: &Limits,
) -> Again {
    if refusal.names(2_388_001) || is_by_hand(refusal) {
        return Again::WhenAsked;
    }
    if let Some(until) = refusal.paused_until() {
        return Again::At(until);
    }
    if is_limit(refusal) || is_not_told(refusal) {
        return Again::At(later(last.at, limits.add_limit_pause));
    }
    if refusal.code == 368 {
        return Again::At(later(last.at, limits.add_refused_pause));
    }
    if refusal.is_shut_out() {
        return Again::WhenAsked;
    }
    let same = memory.ledger.adds.iter().rev().take_while(|e| e.is_about_same_name(last));
    let tries = same.filter(|e| e.counts()).take_while(|e| e.refusal.is_some()).count();
    let is_plain = refusal.is(100, None) || refusal.names(2_388_012);
    match (is_edited, is_plain && tries < limits.add_refused_tries) {
        (true, _) => Again::Now,
        (false, true) => Again::At(later(last.at, limits.add_refused_pause)),
        (false, false) => Again::WhenAsked,
    }
}

/// Meta takes no number for this account by a call, today or tomorrow.
pub(in crate::engine) fn is_by_hand(refusal: &Refusal) -> bool {
    refusal.names(3_095_008)
}

/// The portfolio is full.
pub(in crate::engine) fn is_limit(refusal: &Refusal) -> bool {
    refusal.names(1_349_175)
}

/// Codes by which Meta means a full portfolio or something else: a plain 200 a missing permission as well, and
/// 200000, whatever its pages call generic, a number that is in use.
pub(in crate::engine) fn is_not_told(refusal: &Refusal) -> bool {
    refusal.is(200, None) || refusal.names(200_000)
}

/// Meta answered several times and said nothing about the number. Time-outs and a service that is down do not count:
/// they end by themselves.
pub(in crate::engine) fn is_given_up(memory: &Memory, last: &Entry, limits: &Limits) -> bool {
    let Some(refusal) = last.refusal.as_ref() else { return false };
    let repeats = match refusal.code {
        1 => limits.add_unknown_repeats,
        300 => limits.add_not_made_repeats,
        131_000 => limits.add_wrong_repeats,
        _ => return false,
    };
    tries_alike(memory, last, refusal.code) > repeats
}

/// Adds in a row that this code left open.
pub(in crate::engine) fn tries_alike(memory: &Memory, last: &Entry, code: i64) -> usize {
    let tries = memory.ledger.adds.iter().rev().filter(|entry| entry.counts());
    tries
        .take_while(|entry| entry.is_inconclusive() && entry.is_about_same_name(last))
        .filter(|entry| entry.refused_with(code).is_some())
        .count()
}

/// Adds in a row that got no usable answer.
pub(in crate::engine) fn unanswered(memory: &Memory) -> usize {
    memory.ledger.adds.iter().rev().take_while(|entry| entry.is_inconclusive()).count()
}
