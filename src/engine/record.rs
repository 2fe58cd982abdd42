//! Record: what memory keeps of a step.
//!
//! Writing down before (`intend`) and after (`fold`): together they make sure that a crash, a lost reply or
//! another leader at any point loses no attempt and repeats none.

use jiff::Timestamp;

use crate::engine::{
    plan::Plan,
    rule::{drift, sync, upkeep, username},
    value::{
        failure::{Failure, Refusal, Said},
        limits::Limits,
        memory::{ConsentAnswer, ConsentKind, Entry, EntryOutcome, Intent, Memory},
        outcome::{Accepted, Outcome, is_postponed},
        step::{Cause, Planned, Step, StepKind},
        time::later,
        word::Vocabulary,
    },
};

/// Memory with the step of the plan written down, before it is done: `inFlight`, the ledger entry, the consumed
/// consent, and the marks that must not be lost with the process. `None` when the plan's step needs no intent.
/// `id` is fresh and unique. See the example of [the engine](crate::engine).
pub fn intend(
    plan: &Plan,
    generation: i64,
    id: &str,
    limits: &Limits,
    now: Timestamp,
) -> Option<(Memory, Intent)> {
    let planned = plan.step.as_ref()?;
    let kind = planned.step.kind();
    if kind.is_repeatable() {
        return None;
    }
    // By one's own clock, whenever it is said to begin.
    let send_before = later(now, limits.send_before);
    let now = plan.memory.begins(now);
    let settle = limits.send_before + limits.call_timeout + kind.settle(limits);
    let intent = Intent {
        id: id.into(),
        step: kind.into(),
        reason: planned.why.clone(),
        started_at: now,
        send_before,
        settle_until: later(now, settle),
        generation,
        subject: subject(&planned.step),
        absent_before: (kind == StepKind::AddNumber).then_some(true),
    };
    let mut memory = plan.memory.clone();
    memory.ledger.push(kind, entry(planned, &intent), kind.remembered(limits));
    memory.in_flight = Some(intent.clone());
    mark(&mut memory, planned, now);
    consume(&mut memory, planned, now);
    Some((memory, intent))
}

fn entry(planned: &Planned, intent: &Intent) -> Entry {
    let secret_before = match &planned.step {
        Step::RequestCode { secret_before, .. } => secret_before.clone(),
        _ => None,
    };
    Entry {
        id: intent.id.clone(),
        at: intent.started_at,
        outcome: EntryOutcome::Started,
        cause: planned.cause.clone(),
        subject: intent.subject.clone(),
        settle_until: None,
        secret_before,
        trace_id: None,
        refusal: None,
    }
}

/// What an unknown outcome is later decided by.
fn subject(step: &Step) -> Option<String> {
    match step {
        Step::AddNumber { name, .. } | Step::SubmitName { name, .. } => Some(name.clone()),
        Step::ClaimUsername { username, transfer, .. } => Some(username::subject(username, *transfer)),
        Step::VerifyCode { secret, .. } | Step::SetPin { secret, .. } | Step::Register { secret, .. } => {
            Some(secret.as_subject())
        }
        Step::WritePicture { sum, .. } => Some(sum.clone()),
        Step::StartSync { sync, onboarded, .. } => Some(sync::subject(*sync, *onboarded)),
        Step::Deregister { region, .. } => region.clone(),
        Step::RequestCode { .. }
        | Step::CreatePin { .. }
        | Step::SubscribeApp { .. }
        | Step::RouteWebhook { .. }
        | Step::WriteProfile { .. }
        | Step::UnrouteWebhook { .. }
        | Step::SetStorage { .. }
        | Step::RequestOfficial { .. } => None,
    }
}

fn mark(memory: &mut Memory, planned: &Planned, now: Timestamp) {
    match &planned.step {
        Step::RequestCode { .. } if planned.cause == Cause::Automatic => {
            memory.marks.automatic_code_used.get_or_insert(now);
        }
        Step::Register { in_review: Some(name), .. } => {
            memory.marks.note_tried_in_review(name, now);
        }
        Step::Deregister { region: Some(region), .. } => {
            memory.marks.moved = Some((region.clone(), now));
            memory.marks.is_moving = true;
            memory.ledger.repeatable.remove(&StepKind::SetStorage);
        }
        Step::AddNumber { .. }
        | Step::RequestCode { .. }
        | Step::VerifyCode { .. }
        | Step::SubmitName { .. }
        | Step::CreatePin { .. }
        | Step::SetPin { .. }
        | Step::Register { .. }
        | Step::SubscribeApp { .. }
        | Step::RouteWebhook { .. }
        | Step::WriteProfile { .. }
        | Step::WritePicture { .. }
        | Step::StartSync { .. }
        | Step::UnrouteWebhook { .. }
        | Step::SetStorage { .. }
        | Step::Deregister { .. }
        | Step::ClaimUsername { .. }
        | Step::RequestOfficial { .. } => {}
    }
}

fn consume(memory: &mut Memory, planned: &Planned, now: Timestamp) {
    if let Some((kind, value)) = consent(&planned.cause) {
        let used_for = Some(planned.step.kind().into());
        // Since when it was kept, should it be given back: no throttle makes it younger.
        let kept = memory.consents.get(&kind).filter(|kept| kept.value == value);
        let at = kept.map_or(now, |kept| kept.at);
        let answer = ConsentAnswer { value: value.into(), at, used_for, refused: None, again: None };
        memory.note_answer(kind, answer);
    }
}

fn consent(cause: &Cause) -> Option<(ConsentKind, &str)> {
    match cause {
        Cause::SendCode(value) => Some((ConsentKind::SendCode, value)),
        Cause::Retry(value) => Some((ConsentKind::Retry, value)),
        Cause::Official(value) => Some((ConsentKind::Official, value)),
        Cause::Automatic | Cause::Secret => None,
    }
}

/// Folds an outcome into memory: closes the intent where Meta answered, moves the settle time into the ledger,
/// sets marks. Works on any memory that holds the intent, so it can be merged into a live ledger after a
/// conflict; folding the same outcome twice changes nothing more.
pub fn fold(memory: &Memory, outcome: &Outcome, plan: &Plan, limits: &Limits) -> Memory {
    let mut memory = memory.clone();
    match &outcome.intent {
        Some(id) => fold_attempt(&mut memory, id, outcome, limits),
        None => fold_repeatable(&mut memory, outcome, plan, limits),
    }
    memory
}

/// What an outcome is worth to a memory that others may have written since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Late {
    /// The memory is this one with it.
    News(Box<Memory>),
    /// The memory holds it already.
    Known,
    /// Somebody else has decided what became of the intent, or the intent is not there any more.
    Decided,
    /// A part of the memory is not understood, so nothing may be written into it.
    NotUnderstood,
}

/// Folds an outcome into a memory that others may have written since. As long as its intent is in flight, it counts. Where
/// somebody has decided meanwhile that nothing became of it, only a refusal that proves so still counts, and only while
/// nothing else was begun: it allows less than not to know. What Meta accepted shows there, and what was not looked at
/// would give back an attempt that somebody counts on.
pub fn fold_late(memory: &Memory, outcome: &Outcome, limits: &Limits) -> Late {
    if memory.unknown.is_some() {
        return Late::NotUnderstood;
    }
    let of = |memory: &Memory| {
        let mut entries = memory.ledger.of(outcome.step).iter();
        entries.find(|entry| Some(&entry.id) == outcome.intent.as_ref()).cloned()
    };
    let (Some(id), Some(entry)) = (&outcome.intent, of(memory)) else { return Late::Decided };
    let mut folded = memory.clone();
    fold_attempt(&mut folded, id, outcome, limits);
    let is_open = memory.in_flight.as_ref().is_some_and(|intent| intent.id == *id);
    let is_same = of(&folded).is_some_and(|folded| folded.outcome == entry.outcome);
    let is_last = || {
        let mut all = StepKind::ALL.iter().flat_map(|kind| memory.ledger.of(*kind));
        memory.in_flight.is_none() && all.all(|other| other.at <= entry.at)
    };
    let is_refusal = || match &outcome.result {
        Err(Failure::Refused(refusal)) => {
            !is_postponed(outcome.step, refusal) && !refusal.may_have_happened() && !refusal.holds_already()
        }
        Ok(_) | Err(_) => false,
    };
    match () {
        () if is_same && folded.in_flight == memory.in_flight => Late::Known,
        () if is_open => Late::News(Box::new(folded)),
        () if entry.is_inconclusive() && is_refusal() && is_last() => Late::News(Box::new(folded)),
        () => Late::Decided,
    }
}

fn fold_attempt(memory: &mut Memory, id: &str, outcome: &Outcome, limits: &Limits) {
    let kind = outcome.step;
    let Some(at) = memory.ledger.of(kind).iter().position(|entry| entry.id == id) else { return };
    // What came of an attempt did not come before it, however exactly the two times are kept.
    let now = outcome.at.max(memory.ledger.of(kind)[at].at);
    let settle = later(now, kind.settle(limits));
    match &outcome.result {
        Ok(accepted) => {
            let intent = memory.in_flight.as_ref().filter(|intent| intent.id == id);
            match (kind, intent.and_then(|intent| intent.subject.clone())) {
                (StepKind::SubmitName, Some(name)) => upkeep::note_submitted(memory, &name, limits, now),
                (StepKind::ClaimUsername, Some(subject)) => {
                    upkeep::note_claimed(memory, username::claimed_in(&subject), limits, now);
                }
                _ => {}
            }
            if kind == StepKind::WritePicture {
                let sum = memory.ledger.of(kind)[at].subject.clone();
                upkeep::note_uploaded(memory, sum.as_deref().unwrap_or_default(), limits, now);
                memory.marks.picture = sum.map(|sum| (sum, now));
                memory.marks.picture_found = false;
                memory.marks.picture_lost = None;
            }
            close(memory, kind, at, EntryOutcome::Accepted, Some(settle), None);
            entry_mut(memory, kind, at, |entry| entry.trace_id.clone_from(&accepted.trace_id));
            let subject = memory.ledger.of(kind)[at].subject.clone();
            accept(memory, kind, accepted, subject, now);
        }
        Err(Failure::Refused(refusal)) if is_postponed(kind, refusal) => {
            let until = refusal.until.unwrap_or_else(|| later(now, limits.throttled_pause));
            // A throttle is a pause and nothing else; these have a cause that somebody has to be told.
            let has_cause = refusal.is_about_credentials() || refusal.says(Said::AppBlocked);
            not_sent(memory, kind, at, until, has_cause.then_some(refusal));
        }
        Err(Failure::Refused(refusal)) => {
            let may_have_happened = refusal.may_have_happened() && kind != StepKind::RequestCode;
            let may_show = may_have_happened || refusal.holds_already();
            close(memory, kind, at, EntryOutcome::Refused, may_show.then_some(settle), Some(refusal.clone()));
            refuse(memory, kind, at, refusal, now);
        }
        // Nothing shows what became of it.
        Err(Failure::NoAnswer(_) | Failure::TooLarge(_))
            if matches!(
                kind,
                StepKind::RequestCode
                    | StepKind::WritePicture
                    | StepKind::RequestOfficial
                    | StepKind::StartSync
            ) =>
        {
            close(memory, kind, at, EntryOutcome::NoAnswer, Some(settle), None);
        }
        Err(Failure::NoAnswer(_) | Failure::TooLarge(_)) => {
            entry_mut(memory, kind, at, |entry| entry.outcome = EntryOutcome::NoAnswer);
        }
        Err(Failure::Throttled(until) | Failure::NoRoom(until)) => not_sent(memory, kind, at, *until, None),
        Err(Failure::NotSent(_)) => {
            not_sent(memory, kind, at, later(now, limits.not_sent_pause), None);
        }
    }
}

fn entry_mut(memory: &mut Memory, kind: StepKind, at: usize, change: impl FnOnce(&mut Entry)) {
    if let Some(entry) = memory.ledger.of_mut(kind).and_then(|list| list.get_mut(at)) {
        change(entry);
    }
}

fn close(
    memory: &mut Memory,
    kind: StepKind,
    at: usize,
    outcome: EntryOutcome,
    settle_until: Option<Timestamp>,
    refusal: Option<Refusal>,
) {
    let id = memory.ledger.of(kind)[at].id.clone();
    entry_mut(memory, kind, at, |entry| {
        entry.outcome = outcome;
        entry.settle_until = settle_until;
        entry.refusal = refusal;
    });
    memory.in_flight.take_if(|intent| intent.id == id);
}

fn accept(memory: &mut Memory, kind: StepKind, accepted: &Accepted, subject: Option<String>, at: Timestamp) {
    match kind {
        StepKind::AddNumber => {
            if accepted.number.is_some() {
                memory.number.clone_from(&accepted.number);
            }
            memory.marks.note_added(at);
        }
        StepKind::VerifyCode => memory.marks.note_proven(),
        StepKind::SetPin => {
            memory.marks.pin_set = Some(at);
            memory.marks.pin = subject;
        }
        StepKind::Register => memory.note_pin_of_registration(subject.as_deref(), accepted.has_kept_pin),
        StepKind::RequestCode
        | StepKind::SubmitName
        | StepKind::CreatePin
        | StepKind::SubscribeApp
        | StepKind::RouteWebhook
        | StepKind::WriteProfile
        | StepKind::WritePicture
        | StepKind::StartSync
        | StepKind::UnrouteWebhook
        | StepKind::SetStorage
        | StepKind::Deregister
        | StepKind::ClaimUsername
        | StepKind::RequestOfficial => {}
    }
}

fn refuse(memory: &mut Memory, kind: StepKind, entry: usize, refusal: &Refusal, at: Timestamp) {
    let started = memory.ledger.of(kind)[entry].at;
    match kind {
        StepKind::Register if refusal.names(133_006) => memory.marks.require_proof(at),
        StepKind::RequestCode => {
            memory.marks.automatic_code_used.get_or_insert(at);
        }
        StepKind::AddNumber if refusal.names(2_388_001) => memory.marks.on_phone = Some(started),
        StepKind::AddNumber
        | StepKind::VerifyCode
        | StepKind::SubmitName
        | StepKind::CreatePin
        | StepKind::SetPin
        | StepKind::Register
        | StepKind::SubscribeApp
        | StepKind::RouteWebhook
        | StepKind::WriteProfile
        | StepKind::WritePicture
        | StepKind::StartSync
        | StepKind::UnrouteWebhook
        | StepKind::SetStorage
        | StepKind::Deregister
        | StepKind::ClaimUsername
        | StepKind::RequestOfficial => {}
    }
}

/// Proven not to have been looked at: no attempt, and what it had used up is given back. `until` is when it may be
/// tried again, and `refusal` what Meta said instead.
fn not_sent(memory: &mut Memory, kind: StepKind, at: usize, until: Timestamp, refusal: Option<&Refusal>) {
    let entry = memory.ledger.of(kind)[at].clone();
    close(memory, kind, at, EntryOutcome::NotSent, Some(until), refusal.cloned());
    let marks = &mut memory.marks;
    if kind == StepKind::RequestCode && entry.cause == Cause::Automatic {
        marks.automatic_code_used.take_if(|used| *used == entry.at);
    }
    if kind == StepKind::Register {
        marks.tried_in_review.retain(|_, tried| *tried != entry.at);
    }
    if kind == StepKind::Deregister {
        let mut before = memory.ledger.of(kind).iter().rev().filter(|entry| entry.counts());
        marks.moved = before.find_map(|entry| Some((entry.subject.clone()?, entry.at)));
        marks.is_moving = false;
    }
    if let Some((kind, value)) = consent(&entry.cause)
        && let Some(answer) = memory.consents.get_mut(&kind).filter(|answer| answer.value == value)
    {
        answer.used_for = None;
    }
}

fn fold_repeatable(memory: &mut Memory, outcome: &Outcome, plan: &Plan, limits: &Limits) {
    let planned = plan.memory.ledger.repeatable.get(&outcome.step).cloned().unwrap_or_default();
    let pace = memory.ledger.repeatable.entry(outcome.step).or_default();
    // Folded already, and perhaps kept in whole seconds since; planned with it, it is another try.
    if pace.last.is_some_and(|last| last >= outcome.at) && pace.last != planned.last {
        return;
    }
    *pace = planned;
    pace.held_until = match &outcome.result {
        Err(Failure::Throttled(until) | Failure::NoRoom(until)) => Some(*until),
        // A Secret that the cluster does not take is a try that failed; whether Meta was reached is no matter.
        Err(Failure::NotSent(_)) if outcome.step != StepKind::CreatePin => {
            Some(later(outcome.at, limits.not_sent_pause))
        }
        _ => None,
    };
    if pace.held_until.is_some() {
        return;
    }
    pace.last = Some(outcome.at);
    pace.refusal = None;
    pace.settle_until = None;
    if let Some(Planned { step: Step::RouteWebhook { url, .. }, .. }) = &plan.step
        && may_have_effect(&outcome.result)
    {
        memory.marks.note_route(url);
        // Also after a refusal it may still show, and is not forgotten with the next list.
        pace.settle_until = Some(later(outcome.at, outcome.step.settle(limits)));
    }
    match &outcome.result {
        Err(Failure::Refused(refusal)) if !refusal.holds_already() => {
            pace.failed += 1;
            pace.refusal = Some(refusal.clone());
        }
        // What already holds is as good as accepted: it has to show.
        Ok(_) | Err(Failure::Refused(_)) => {
            if let Some(Planned { step: Step::SetStorage { region, .. }, .. }) = &plan.step {
                memory.ledger.repeatable.remove(&StepKind::SetStorage);
                memory.marks.storage = Some(region.clone());
                return;
            }
            pace.accepted += 1;
            pace.failed += 1;
            pace.settle_until = Some(later(outcome.at, outcome.step.settle(limits)));
            // One that is sent again, since it does not show, is the same repair.
            if pace.accepted == 1
                && let Some(planned) = &plan.step
            {
                let fields = drift::written(&planned.step);
                upkeep::note_written(memory, &planned.step, &fields, limits, outcome.at);
            }
        }
        Err(Failure::NotSent(_) | Failure::Throttled(_) | Failure::NoRoom(_)) => {
            pace.failed = pace.failed.max(1);
        }
        Err(Failure::NoAnswer(_) | Failure::TooLarge(_)) => {
            pace.failed += 1;
            pace.settle_until = Some(later(outcome.at, outcome.step.settle(limits)));
        }
    }
}

/// Whether Meta took it, or may have.
fn may_have_effect(result: &Result<Accepted, Failure>) -> bool {
    match result {
        Ok(_) | Err(Failure::NoAnswer(_) | Failure::TooLarge(_)) => true,
        Err(Failure::Refused(refusal)) => refusal.holds_already() || refusal.may_have_happened(),
        Err(Failure::NotSent(_) | Failure::Throttled(_) | Failure::NoRoom(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{
        fixture::{accepted, later as in_minutes, no_answer, on_its_way, outcome, refused},
        value::failure::{Class, Scope},
    };

    /// How a memory is when another leader has looked for the effect in vain.
    fn decided(kind: StepKind) -> Memory {
        let mut memory = on_its_way(kind);
        memory.in_flight = None;
        entry_mut(&mut memory, kind, 0, |entry| entry.outcome = EntryOutcome::NoAnswer);
        memory
    }

    fn with(mut memory: Memory, change: impl FnOnce(&mut Memory)) -> Memory {
        change(&mut memory);
        memory
    }

    fn mismatch() -> Result<Accepted, Failure> {
        refused(133_005, None, Class::Person)
    }

    fn throttled() -> Result<Accepted, Failure> {
        let Err(Failure::Refused(refusal)) = refused(80_007, None, Class::WaitUntil) else { unreachable!() };
        Err(Failure::Refused(Refusal { scope: Scope::Account, ..refusal }))
    }

    fn not_sent() -> Result<Accepted, Failure> {
        Err(Failure::NotSent("no connection".into()))
    }

    #[test]
    fn what_meta_accepted_keeps_the_trace_id_of_its_answer() {
        let done = Ok(Accepted { trace_id: Some("Ab1".into()), ..Accepted::default() });
        let outcome = Outcome { result: done, ..outcome(StepKind::Register) };
        let Late::News(memory) = fold_late(&on_its_way(StepKind::Register), &outcome, &Limits::default())
        else {
            panic!("it is news")
        };
        let last = memory.ledger.last(StepKind::Register).expect("an attempt");
        assert_eq!((last.outcome, last.trace_id.as_deref()), (EntryOutcome::Accepted, Some("Ab1")));
    }

    #[test]
    fn what_comes_late_counts_while_its_intent_is_open_and_after_that_only_if_it_allows_less() {
        use StepKind::{Register, RequestCode, SetPin};
        let open = || on_its_way(Register);
        let later_one =
            |kind, at| Entry { id: "i2".into(), at, ..on_its_way(kind).ledger.of(kind)[0].clone() };
        let then = |kind: StepKind| {
            with(decided(Register), |m| m.ledger.push(kind, later_one(kind, in_minutes(11)), 10))
        };
        let written = |kind, result| {
            let outcome = Outcome { result, ..outcome(kind) };
            let Late::News(memory) = fold_late(&on_its_way(kind), &outcome, &Limits::default()) else {
                panic!("it is news")
            };
            *memory
        };
        let seen = with(decided(Register), |m| {
            entry_mut(m, Register, 0, |one| one.outcome = EntryOutcome::Accepted);
        });
        let rows = [
            ("refused, open", open(), Register, mismatch(), Ok(EntryOutcome::Refused)),
            ("accepted, open", open(), Register, accepted(), Ok(EntryOutcome::Accepted)),
            ("not sent, open", open(), Register, not_sent(), Ok(EntryOutcome::NotSent)),
            ("no answer, open", open(), Register, no_answer(), Ok(EntryOutcome::NoAnswer)),
            ("written", written(Register, mismatch()), Register, mismatch(), Err(Late::Known)),
            ("written, open", written(Register, no_answer()), Register, no_answer(), Err(Late::Known)),
            ("refused, decided", decided(Register), Register, mismatch(), Ok(EntryOutcome::Refused)),
            ("accepted, decided", decided(SetPin), SetPin, accepted(), Err(Late::Decided)),
            ("not sent, decided", decided(Register), Register, not_sent(), Err(Late::Decided)),
            ("not looked at, decided", decided(RequestCode), RequestCode, throttled(), Err(Late::Decided)),
            (
                "may have happened",
                decided(Register),
                Register,
                refused(2, None, Class::Retry),
                Err(Late::Decided),
            ),
            (
                "was done before",
                decided(SetPin),
                SetPin,
                refused(1, None, Class::AlreadyDone),
                Err(Late::Decided),
            ),
            ("the same again since", then(Register), Register, mismatch(), Err(Late::Decided)),
            ("another step since", then(RequestCode), Register, mismatch(), Err(Late::Decided)),
            ("its effect was seen", seen, Register, mismatch(), Err(Late::Decided)),
            ("another history", Memory::default(), Register, mismatch(), Err(Late::Decided)),
        ];
        for (what, memory, step, result, expected) in rows {
            let late = fold_late(&memory, &Outcome { result, ..outcome(step) }, &Limits::default());
            let told = match late {
                Late::News(folded) => {
                    let entry = &folded.ledger.of(step)[0];
                    let is_closed = entry.outcome != EntryOutcome::NoAnswer;
                    assert_eq!(folded.in_flight.is_none(), is_closed, "{what}");
                    Ok(entry.outcome)
                }
                other => Err(other),
            };
            assert_eq!(told, expected, "{what}");
        }
        let newer = with(on_its_way(Register), |m| m.unknown = Some("a newer format".into()));
        let late =
            fold_late(&newer, &Outcome { result: mismatch(), ..outcome(Register) }, &Limits::default());
        assert_eq!(late, Late::NotUnderstood);
    }
}
