//! The PIN: kept in a Secret before it is sent, never guessed.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::{
    plan::{
        pass::{Gate, Pass, Stop},
        remedy,
    },
    rule::say,
    value::{
        action::Action,
        block::Block,
        desired::SecretKey,
        failure::Refusal,
        id::Field,
        memory::{Entry, EntryOutcome, Memory, Pace},
        observed::{Health, Number},
        reason::Reason,
        secret::{ENDING, SecretFact, SecretVersion},
        step::{Cause, Step, StepKind},
        time::{later, pause},
    },
};

/// How the PIN of the next registration is there.
pub(super) enum Pin {
    Kept(SecretVersion),
    /// Missing, and we may create it right before our own registration.
    Creatable,
}

/// The PIN, or who has to provide it.
pub(super) fn available(pass: &Pass, memory: &Memory, number: &Number) -> Gate<Pin> {
    let key = &pass.desired.registration.pin_secret;
    let place = format!("Secret {}, key {}", key.name, key.key);
    Err(Stop::block(match &pass.observed.pin_secret {
        SecretFact::Present { version, well_formed: true, .. } => return Ok(Pin::Kept(version.clone())),
        SecretFact::Present { .. } => Block::new(
            Reason::PinMalformed,
            format!("the PIN in {place} is not exactly six digits; write the number's PIN there"),
        ),
        SecretFact::Missing if may_create(memory, number) => return Ok(Pin::Creatable),
        SecretFact::Missing => Block::new(
            Reason::PinNeeded,
            format!(
                "the number already has a two-step PIN that this channel does not know; write it to {place}, or {}",
                switch_off(number)
            ),
        ),
        SecretFact::KeyMissing { .. } | SecretFact::Unlabelled => Block::new(
            Reason::PinNeeded,
            format!(
                "{place}: the Secret is there and the key is not; add the key with the number's six-digit PIN"
            ),
        ),
        SecretFact::Forbidden(why) => {
            Block::new(Reason::PinNeeded, say::forbidden(&place, Some(&pass.desired.namespace), why))
                .asks(Action::AllowSecret)
        }
        SecretFact::Unreadable(why) => remedy::unreadable(&place, why),
        SecretFact::NotAsked => return Err(Stop::look_again(format!("{place} has not been read yet"))),
    }))
}

/// The way out where nobody knows the PIN. WhatsApp Manager knows no number before its first registration here (recorded in
/// September 2026).
pub(super) fn switch_off(number: &Number) -> &'static str {
    if number.is_registered() {
        "have two-step verification switched off in WhatsApp Manager"
    } else {
        "have two-step verification switched off in the account, or with the provider, where the number was registered last"
    }
}

/// An unknown PIN of Meta's is never shadowed by one of ours.
fn may_create(memory: &Memory, number: &Number) -> bool {
    memory.knows_history() || number.is_pin_enabled != Field::Is(true)
}

/// Meta's refusal of a registration for its PIN.
pub(super) fn wrong<'a>(number: &Number, last: &'a Entry) -> Option<&'a Refusal> {
    last.refused_with(133_005).or_else(|| last.refused_with(131_031).filter(|_| !is_locked(number)))
}

/// Meta blocks the number for another reason than that it is not registered or not paid for.
pub(super) fn is_locked(number: &Number) -> bool {
    let [missing, unpaid] = Health::PAYMENT;
    let no_locks = [Health::NOT_REGISTERED, missing, unpaid];
    number.health.value().is_some_and(|health| health.is_blocked() && !health.is_blocked_only_by(&no_locks))
}

/// Something else made a new version of the Secret in which the PIN is the one that was sent last: what came of that counts for
/// this version, too. A label is no reason for another registration.
pub(super) fn note_touched(pass: &Pass, memory: &mut Memory) {
    let (Some(attempt), Some(version)) =
        (pass.observed.process.pin_sent.as_deref(), pass.observed.pin_secret.version())
    else {
        return;
    };
    let Memory { ledger, in_flight: None, .. } = memory else { return };
    let mut all = ledger.registrations.iter().chain(&ledger.pins);
    let Some(sent) = all.find(|entry| entry.id == attempt).map(|entry| entry.subject.clone()) else { return };
    let now = Some(version.as_subject());
    for entry in ledger.registrations.iter_mut().chain(&mut ledger.pins) {
        if entry.subject == sent {
            entry.subject.clone_from(&now);
        }
    }
}

/// The tries to set the PIN of this version of its Secret, newest first.
pub(super) fn tried<'a>(memory: &'a Memory, version: &SecretVersion) -> impl Iterator<Item = &'a Entry> {
    let (tries, subject) = (memory.ledger.of(StepKind::SetPin), Some(version.as_subject()));
    tries.iter().rev().filter(move |entry| entry.counts() && entry.subject == subject)
}

/// How long Meta takes no PIN, where it names no time.
pub(super) fn pause_of(pass: &Pass, refusal: &Refusal) -> Option<Duration> {
    match refusal.code {
        133_008 => Some(pass.limits.pin_locked_pause),
        133_009 => Some(pass.limits.pin_fast_pause),
        _ => None,
    }
}

/// Until when a PIN is not sent again of which Meta said only that it takes none now: as long as it says, and longer each
/// time.
pub(super) fn pause_after<'a>(
    pass: &Pass,
    memory: &Memory,
    version: &SecretVersion,
    last: &'a Entry,
) -> Option<(Timestamp, &'a Refusal)> {
    let refusal = last.refusal.as_ref().filter(|_| last.outcome == EntryOutcome::Refused)?;
    let told = pause_of(pass, refusal)?;
    let until = refusal.until.unwrap_or_else(|| later(last.at, told));
    let own = pause(&pass.limits.repeatable_pauses, tried(memory, version).count());
    Some((until.max(later(last.at, own)), refusal))
}

/// Meta takes no PIN for a while, which no consent changes.
pub(super) fn locked(refusal: &Refusal, until: Timestamp) -> Block {
    Block::new(
        Reason::PinLocked,
        format!(
            "Meta takes no new PIN for the number until {} ({}); it is sent again then, and the one from before stays in force",
            say::time(until),
            say::words(refusal)
        ),
    )
    .refused(Some(refusal))
    .until(until)
}

/// Creates the Secret, with pauses when the cluster refuses. Why it does only the process knows that heard it, so another one
/// tries once at once.
pub(super) fn create(pass: &Pass, memory: &mut Memory) -> Stop {
    let key = pass.desired.registration.pin_secret.clone();
    let pace = memory.ledger.repeatable.entry(StepKind::CreatePin).or_default();
    if pace.generation != pass.desired.generation {
        *pace = Pace { generation: pass.desired.generation, ..Default::default() };
    }
    let heard = pace.last.filter(|last| !is_unheard(pass, *last));
    let until = heard.map(|last| later(last, pause(&pass.limits.repeatable_pauses, pace.failed as usize)));
    match until.filter(|until| *until > pass.now) {
        Some(until) => Stop::block(not_created(pass, &key, until)),
        None => pass.step(
            Step::CreatePin { secret: key },
            "keep a new PIN before it is sent".into(),
            Cause::Automatic,
        ),
    }
}

/// Whether the last try was another process's, and its words are lost.
fn is_unheard(pass: &Pass, last: Timestamp) -> bool {
    let process = &pass.observed.process;
    process.intents.is_some() && process.pin_not_created.is_none() && last < process.started
}

fn not_created(pass: &Pass, key: &SecretKey, until: Timestamp) -> Block {
    let why = pass.observed.process.pin_not_created.as_deref();
    let what = format!("Secret {} could not be created in namespace {}", key.name, pass.desired.namespace);
    let message = match why {
        Some(why) if why.starts_with(ENDING) => {
            format!(
                "{what} ({why}); the number is not registered from a namespace that ends; create the channel in another one"
            )
        }
        Some(why) => format!(
            "{what} ({why}); do what that asks for, or create the Secret with key {} and six digits; again at {}",
            key.key,
            say::time(until)
        ),
        None => format!(
            "{what}; create it with key {} and six digits, or let the operator create Secrets; again at {}",
            key.key,
            say::time(until)
        ),
    };
    Block::new(Reason::PinNeeded, message).until(until)
}
