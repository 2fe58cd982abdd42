//! A PIN that is changed in its Secret: a registered number gets it at Meta, once for each version of the Secret.
//!
//! What a Secret held when it was first seen is taken for the number's PIN. A plain digest of six digits gives them away, so
//! the version of the Secret is remembered, and equal values are told within a process alone.

use crate::engine::{
    plan::{
        pass::{Gate, Pass, Seen, Stop, Writable},
        pin::{self, Pin},
        undecided,
    },
    rule::say,
    value::{
        action::Action,
        block::Block,
        desired::PinPolicy,
        failure::Refusal,
        memory::{Entry, EntryOutcome, Memory},
        observed::Number,
        reason::Reason,
        secret::{SecretFact, SecretVersion},
        step::{Cause, Step, StepKind},
    },
};

/// Sets the PIN of a changed Secret, or says what that waits for.
pub(super) fn repinned(
    pass: &Pass,
    memory: &mut Memory,
    number: &Number,
    seen: &Seen,
    may_write: &Writable,
) -> Gate {
    let SecretFact::Present { version, well_formed, seen_before } = &pass.observed.pin_secret else {
        return Ok(());
    };
    if !matches!(may_write, Writable::Yes) {
        return Ok(());
    }
    let held = held(pass, version);
    match &memory.marks.pin {
        None if !*well_formed || !pass.desired.registration.is_pin_named => return Ok(()),
        Some(pin) if !is_changed(pass, pin, version) && *pin == held => return Ok(()),
        // After one that was lost, even the PIN of before may be no longer that of Meta.
        Some(pin) if is_changed(pass, pin, version) && (!*seen_before || is_lost(memory)) => {}
        // Seen for the first time, or the same PIN in a version that something else made.
        None | Some(_) => {
            memory.marks.pin = Some(held);
            return Ok(());
        }
    }
    if let Some(block) = unknown(pass, memory, number) {
        return Err(Stop::block(block));
    }
    let Pin::Kept(version) = pin::available(pass, memory, number)? else { return Ok(()) };
    let cause = cause(pass, memory, &version)?;
    undecided::may_send(pass, StepKind::SetPin, memory)?;
    let step = Step::SetPin { account: seen.account.clone(), number: number.id.clone(), secret: version };
    Err(pass.step(step, "set the PIN that was changed in its Secret".into(), cause))
}

/// Nothing is registered with a changed PIN before Meta has it: it would be refused as a wrong one.
pub(super) fn is_due(pass: &Pass, memory: &Memory, number: &Number, version: &SecretVersion) -> bool {
    let is_changed = memory.marks.pin.as_deref().is_some_and(|pin| is_changed(pass, pin, version));
    let is_lost = pin::tried(memory, version).any(|last| last.outcome != EntryOutcome::Refused);
    is_changed && !is_lost && unknown(pass, memory, number).is_none()
}

/// Whether nothing shows which PIN Meta holds: one was sent without an answer, or Meta said that it kept another.
pub(super) fn is_in_doubt(memory: &Memory, version: &SecretVersion) -> bool {
    let is_open = |outcome| !matches!(outcome, EntryOutcome::Accepted | EntryOutcome::Refused);
    memory.marks.pin.as_deref() == Some("")
        || pin::tried(memory, version).next().is_some_and(|last| is_open(last.outcome))
        || is_lost(memory)
}

/// Whether one of any version may have been set, and none was accepted since.
fn is_lost(memory: &Memory) -> bool {
    let tries = memory.ledger.of(StepKind::SetPin).iter().rev();
    tries.take_while(|entry| entry.outcome != EntryOutcome::Accepted).any(Entry::is_inconclusive)
}

/// Whether this object gave Meta the PIN that it remembers, by itself or with the registration that made the number its own. A
/// Secret that was only seen proves nothing.
pub(super) fn is_proven(memory: &Memory) -> bool {
    memory.marks.pin.is_some() && (memory.marks.pin_set.is_some() || memory.marks.has_registered())
}

/// What is remembered of a Secret whose PIN counts.
fn held(pass: &Pass, version: &SecretVersion) -> String {
    format!("{}/{}", version.as_subject(), pass.desired.registration.pin_secret.key)
}

/// Right after it was sent, the key is not remembered yet.
fn is_changed(pass: &Pass, pin: &str, version: &SecretVersion) -> bool {
    pin != held(pass, version) && pin != version.as_subject()
}

/// Meta holds a PIN that nobody here knows, and `Keep` protects it: the Secret is to get that one, and not the other way
/// round. The next registration tries it.
fn unknown(pass: &Pass, memory: &Memory, number: &Number) -> Option<Block> {
    if pass.desired.registration.pin_policy == PinPolicy::Overwrite {
        return None;
    }
    let last = memory.ledger.last(StepKind::Register).and_then(|last| pin::wrong(number, last));
    let was_kept = memory.marks.pin.as_deref() == Some("");
    let why = match last {
        Some(refusal) => format!("the last registration was refused for its PIN ({})", say::words(refusal)),
        None if was_kept => "Meta said at the registration that it left another PIN in force".into(),
        None => return None,
    };
    let key = &pass.desired.registration.pin_secret;
    let block = Block::new(
        Reason::PinMismatch,
        format!(
            "the PIN in Secret {}, key {}, may not be the one that Meta holds for the number: {why}; the number goes on serving, and the next registration tries the PIN in the Secret; registration.pinPolicy Overwrite has Meta's replaced by it",
            key.name, key.key
        ),
    );
    Some(block.refused(last))
}

/// Once for each version, again after a pause that Meta asks for, and else when a person asks.
fn cause(pass: &Pass, memory: &Memory, version: &SecretVersion) -> Gate<Cause> {
    // One that was accepted was another key's.
    let last = pin::tried(memory, version).next().filter(|last| last.outcome != EntryOutcome::Accepted);
    let Some(last) = last else { return Ok(Cause::Secret) };
    match pin::pause_after(pass, memory, version, last) {
        Some((until, refusal)) if until > pass.now => return Err(Stop::block(pin::locked(refusal, until))),
        Some(_) => return Ok(Cause::Secret),
        None => {}
    }
    let refusal = last.refusal.as_ref().filter(|_| last.outcome == EntryOutcome::Refused);
    match &pass.retry {
        Some(retry) => Ok(Cause::Retry(retry.value.clone())),
        None => Err(Stop::block(not_set(pass, last, refusal))),
    }
}

fn not_set(pass: &Pass, last: &Entry, refusal: Option<&Refusal>) -> Block {
    let key = &pass.desired.registration.pin_secret;
    let Some(decided) = refusal.filter(|refusal| !refusal.may_have_happened()) else {
        return Block::new(
            Reason::PinNotSet,
            format!(
                "the PIN in Secret {}, key {}, was sent to Meta at {}, and {}; nothing shows which PIN is in force, so it is not sent again by itself; to send it once more run {}",
                key.name,
                key.key,
                say::time(last.at),
                say::undecided(refusal),
                pass.command("retry")
            ),
        )
        .refused(refusal)
        .asks(Action::Retry);
    };
    say::not_for_its_value("SetPin", decided, &pass.then_retry()).unwrap_or_else(|| {
        Block::new(
            Reason::PinNotSet,
            format!(
                "Meta refused the PIN in Secret {}, key {} ({}); the one from before stays in force; write other six digits there, or send these once more with {}",
                key.name,
                key.key,
                say::words(decided),
                pass.command("retry")
            ),
        )
        .refused(Some(decided))
    })
}
