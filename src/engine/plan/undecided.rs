//! Steps whose effect is not known yet.
//!
//! Meta shows effects late and replies get lost. We wait until the effect must be visible: it counts as absent only in
//! a complete list that was begun after its settle time. Until then nothing is repeated.

use jiff::Timestamp;

use crate::engine::{
    plan::pass::{Gate, Pass, Seen, Stop},
    rule::{say, shown, username},
    value::{
        block::Block,
        desired::Desired,
        id::Fact,
        memory::{Entry, EntryOutcome, Intent, Memory},
        reason::Reason,
        step::StepKind,
    },
};

/// Decides the step in flight, if what was seen allows it.
pub(super) fn judge(pass: &Pass, memory: &mut Memory, seen: &Seen) {
    let Some(intent) = memory.in_flight.clone() else { return };
    // Only the newer version that began its step can tell what became of it.
    let Some(step) = intent.step.known() else { return };
    let Some(outcome) = verdict(pass, memory, seen, step, &intent) else { return };
    memory.in_flight = None;
    if outcome == EntryOutcome::Accepted && step == StepKind::AddNumber && intent.absent_before == Some(true)
    {
        memory.marks.note_added(intent.started_at);
    }
    if outcome == EntryOutcome::Accepted && step == StepKind::Register {
        memory.note_pin_of_registration(intent.subject.as_deref(), false);
    }
    let Some(list) = memory.ledger.of_mut(step) else { return };
    if let Some(entry) = list.iter_mut().find(|entry| entry.id == intent.id) {
        entry.outcome = outcome;
    }
}

fn verdict(
    pass: &Pass,
    memory: &Memory,
    seen: &Seen,
    step: StepKind,
    intent: &Intent,
) -> Option<EntryOutcome> {
    let (is_quiet, settled) = (pass.now >= pass.clock().ended(intent), pass.clock().settled(intent));
    let absent = Some(EntryOutcome::NoAnswer);
    match step {
        // Counts as sent, whatever became of it.
        StepKind::RequestCode => absent.filter(|_| is_quiet),
        // Nothing shows a PIN, which picture it is, or that a sync began. That a request arrived may show at any time.
        StepKind::SetPin | StepKind::WritePicture | StepKind::StartSync | StepKind::RequestOfficial => {
            absent.filter(|_| pass.now >= settled)
        }
        // Only its own read shows it, which is as fresh as the look asks for.
        StepKind::ClaimUsername => {
            let Some(live) = pass.observed.username.known() else {
                // Nobody asks for it any more, or Meta does not show it: nothing else waits for that.
                let is_hidden = match &pass.observed.username {
                    Fact::NotAsked => pass.desired.username.is_none() || memory.is_unfinished(),
                    Fact::Unknown(failure) => failure.refusal().is_some(),
                    Fact::Known(_) => false,
                };
                return absent.filter(|_| is_quiet && is_hidden && pass.now >= settled);
            };
            let is_late = pass.observed.begun >= settled;
            match intent.subject.as_deref().is_some_and(|subject| live.is(username::claimed_in(subject))) {
                true => Some(EntryOutcome::Accepted).filter(|_| is_quiet),
                false => absent.filter(|_| is_quiet && is_late),
            }
        }
        kind if is_visible(kind, intent.subject.as_deref(), memory, seen) => {
            Some(EntryOutcome::Accepted).filter(|_| is_quiet)
        }
        _ => absent.filter(|_| is_quiet && seen.begun.is_some_and(|begun| begun >= settled)),
    }
}

/// Whether what was seen shows the step's effect.
fn is_visible(kind: StepKind, subject: Option<&str>, memory: &Memory, seen: &Seen) -> bool {
    seen.number.as_deref().is_some_and(|number| shown::in_number(number, kind, subject, memory))
}

/// Blocks while a step in flight is undecided: no other unrepeatable step is planned.
pub(super) fn none_open(pass: &Pass, memory: &Memory) -> Gate {
    let Some(intent) = &memory.in_flight else { return Ok(()) };
    let until = Some(pass.clock().settled(intent)).filter(|until| *until > pass.now);
    Err(match intent.step.known() {
        Some(step) => waits(step, intent.started_at, until),
        None => of_newer_version(intent, until),
    })
}

/// Blocks while the last attempt of a kind may still show. A request for a code never does: time alone ends it.
pub(super) fn settled(pass: &Pass, kind: StepKind, memory: &Memory, seen: &Seen) -> Gate {
    let Some(entry) = memory.ledger.last(kind) else { return Ok(()) };
    // What it proved was seen before Meta required another proof.
    if kind == StepKind::VerifyCode && !memory.marks.is_current(entry) {
        return Ok(());
    }
    let Some(until) = settling(pass, kind, entry) else { return Ok(()) };
    let is_over = match kind {
        StepKind::RequestCode => pass.now >= until,
        _ => seen.begun.is_some_and(|begun| begun >= until),
    };
    if is_over || is_visible(kind, entry.subject.as_deref(), memory, seen) {
        return Ok(());
    }
    Err(open(kind, entry, until))
}

/// The block of an attempt that may still show. What Meta said is told at once, also where it proves nothing.
pub(super) fn open(kind: StepKind, entry: &Entry, until: Timestamp) -> Stop {
    let Some(refusal) = &entry.refusal else { return waits(kind, entry.at, Some(until)) };
    let at = say::time(entry.at);
    let said = if refusal.holds_already() {
        format!(
            "{} was sent at {at}; Meta answered that there was nothing to be done ({}), and does not show that yet",
            kind.as_str(),
            say::words(refusal)
        )
    } else {
        format!("{} was sent at {at}, and {}", kind.as_str(), say::undecided(Some(refusal)))
    };
    let message = format!("{said}; nothing is repeated before {}", say::time(until));
    Stop::block(Block::new(Reason::EffectNotVisibleYet, message).refused(Some(refusal)).until(until))
}

/// Until when the effect of an attempt may still be invisible.
pub(super) fn settling(pass: &Pass, kind: StepKind, entry: &Entry) -> Option<Timestamp> {
    let may_show = match entry.outcome {
        EntryOutcome::Accepted | EntryOutcome::NoAnswer => true,
        EntryOutcome::Refused => {
            entry.refusal.as_ref().is_some_and(|r| r.may_have_happened() || r.holds_already())
        }
        EntryOutcome::Started | EntryOutcome::NotSent => false,
    };
    pass.clock().shown(kind, entry).filter(|_| may_show)
}

/// Blocks while our own budget has no room for a kind, or its last try was not looked at and its pause lasts.
pub(super) fn may_send(pass: &Pass, kind: StepKind, memory: &Memory) -> Gate {
    if let Some(until) = pass.observed.held.get(&kind).filter(|until| **until > pass.now) {
        return Err(Stop::block(say::throttled(*until)));
    }
    let last = memory.ledger.of(kind).last().filter(|entry| !entry.counts());
    let until = last.and_then(|entry| entry.settle_until).filter(|until| *until > pass.now);
    let Some(until) = until else { return Ok(()) };
    let refusal = last.and_then(|entry| entry.refusal.as_ref());
    Err(Stop::block(say::not_looked_at(kind, refusal, until)))
}

/// Nothing is done from a memory of which a part is not understood: it may be the part that forbids it.
pub(super) fn understood(pass: &Pass, memory: &Memory) -> Gate {
    let Some(unknown) = &memory.unknown else { return Ok(()) };
    let Desired { name, namespace, .. } = pass.desired;
    Err(Stop::block(Block::new(
        Reason::StatusNotUnderstood,
        format!(
            "{unknown}; nothing is done until it is understood, and nothing of it is lost; run the version of the operator that wrote it, or a later one; if somebody edited the status by hand, correct it with: kubectl edit whatsappchannel {name} -n {namespace} --subresource=status"
        ),
    )))
}

/// A newer version of the operator began a step that this one does not know. It is the newer one that decides it, in
/// its usual time while operators are exchanged; only after that a person has to run it again.
fn of_newer_version(intent: &Intent, until: Option<Timestamp>) -> Stop {
    let began = format!(
        "a newer version of the operator began {} at {}, which this version does not know",
        intent.step,
        say::time(intent.started_at)
    );
    Stop::block(match until {
        Some(until) => Block::new(
            Reason::EffectNotVisibleYet,
            format!("{began}; nothing that cannot be repeated is done before it is decided"),
        )
        .until(until),
        None => Block::new(
            Reason::NewerStepOpen,
            format!(
                "{began}; nothing that cannot be repeated is done until that version, or a later one, runs again and decides it"
            ),
        ),
    })
}

fn waits(kind: StepKind, since: Timestamp, until: Option<Timestamp>) -> Stop {
    let block = Block::new(
        Reason::EffectNotVisibleYet,
        format!(
            "{} was sent at {}; Meta does not show its effect yet, so nothing is repeated",
            kind.as_str(),
            say::time(since)
        ),
    );
    Stop::block(match until {
        Some(until) => block.until(until),
        None => block,
    })
}
