//! Requesting a code: one per consent, never one that could not be used; and the results of earlier requests.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::{
    plan::{
        naming,
        pass::{Gate, Pass, Seen, Stop},
        pin, remedy, undecided,
    },
    rule::{line, say},
    value::{
        block::Block,
        desired::CodeRequest,
        failure::Refusal,
        id::CodeStatus,
        memory::{Entry, EntryOutcome, Memory},
        observed::Number,
        reason::Reason,
        secret::SecretFact,
        step::{Cause, CodeMethod, Step, StepKind},
        time::{later, pause},
    },
};

/// A new code, when it was consented to or is the automatic one, and would not be wasted.
pub(super) fn by_consent(pass: &Pass, memory: &Memory, number: &Number, seen: &Seen) -> Gate<Option<Stop>> {
    let cause = match &pass.send_code {
        Some(consent) => Cause::SendCode(consent.value.clone()),
        None if may_be_automatic(pass, memory, number) => Cause::Automatic,
        None => return Ok(None),
    };
    is_worth_it(pass, memory, number)?;
    undecided::settled(pass, StepKind::RequestCode, memory, seen)?;
    may_request(pass, memory)?;
    undecided::may_send(pass, StepKind::RequestCode, memory)?;
    let secret_before = match &pass.observed.code_secret {
        SecretFact::Forbidden(why) => return Err(Stop::block(forbidden(pass, why))),
        SecretFact::Unreadable(why) => return Err(Stop::block(remedy::unreadable("the code Secret", why))),
        SecretFact::NotAsked => return Err(Stop::look_again("the code Secret has not been read yet")),
        fact => fact.version().cloned(),
    };
    let step = Step::RequestCode {
        account: seen.account.clone(),
        number: number.id.clone(),
        method: line::method(pass.desired.verification.method, &pass.desired.number),
        language: pass.desired.verification.language.clone(),
        secret_before,
    };
    Ok(Some(pass.step(step, format!("ask Meta to send a code to {}", pass.desired.number), cause)))
}

pub(super) fn is_worth_it(pass: &Pass, memory: &Memory, number: &Number) -> Gate {
    naming::allows_code(pass, number)?;
    pin::available(pass, memory, number).map(|_| ())
}

fn may_be_automatic(pass: &Pass, memory: &Memory, number: &Number) -> bool {
    pass.desired.verification.request == CodeRequest::Automatic
        && memory.knows_history()
        && memory.marks.automatic_code_used.is_none()
        && !memory.marks.needs_new_proof()
        && memory.ledger.last(StepKind::RequestCode).is_none()
        && number.code.value() != Some(&CodeStatus::Expired)
}

/// Limits and pauses, which apply to consents too.
fn may_request(pass: &Pass, memory: &Memory) -> Gate {
    locked(pass, memory)?;
    if let Some((until, last)) = refused_until(pass, memory).filter(|(until, _)| *until > pass.now) {
        return Err(Stop::block(postponed(pass, until, last)));
    }
    let limits = pass.limits;
    let is_consented = |entry: &Entry| matches!(entry.cause, Cause::SendCode(_));
    let daily = used_up(pass, memory, limits.codes_by_consent, limits.codes_window, is_consented);
    let total = used_up(pass, memory, limits.codes_total, limits.codes_total_window, |_| true);
    match daily.max(total) {
        Some((until, count, hours)) => Err(Stop::block(limit_reached(pass, until, count, hours))),
        None => Ok(()),
    }
}

/// Where a limit is reached: until when, by how many requests, in how many hours.
fn used_up(
    pass: &Pass,
    memory: &Memory,
    limit: usize,
    window: Duration,
    is_counted: impl Fn(&Entry) -> bool,
) -> Option<(Timestamp, usize, u64)> {
    let recent = memory.ledger.since(StepKind::RequestCode, pass.now.checked_sub(window).ok());
    let recent: Vec<_> = recent.filter(|entry| is_counted(entry)).map(|entry| entry.at).collect();
    let first = recent.len().checked_sub(limit).and_then(|before| recent.get(before))?;
    Some((later(*first, window), recent.len(), window.as_secs() / 3600))
}

fn limit_reached(pass: &Pass, until: Timestamp, count: usize, hours: u64) -> Block {
    Block::new(
        Reason::CodeLimitReached,
        format!(
            "{count} codes were asked for in {hours} hours; check that {} can receive them; the next can be asked for at {}",
            pass.desired.number,
            say::time(until)
        ),
    )
    .until(until)
}

/// Refused in a row: a pause, then a longer one.
pub(super) fn refused_until<'a>(pass: &Pass, memory: &'a Memory) -> Option<(Timestamp, &'a Entry)> {
    // Meta's own faults, the token, a permission or the account have nothing to do with how often a code was requested
    // for this number.
    let is_of_the_number = |refusal: &Refusal| !refusal.may_have_happened() && !refusal.is_shut_out();
    let codes = memory.ledger.codes.iter().rev().filter(|e| e.counts());
    let refused = codes.take_while(|e| e.outcome == EntryOutcome::Refused);
    let mut refused = refused.filter_map(|e| Some((e, e.refusal.as_ref().filter(|r| is_of_the_number(r))?)));
    let (last, refusal) = refused.next()?;
    let own = later(last.at, pause(&pass.limits.code_refused_pauses, 1 + refused.count()));
    Some((refusal.until.map_or(own, |until| until.max(own)), last))
}

/// Meta's pause after too many wrong codes.
pub(super) fn locked(pass: &Pass, memory: &Memory) -> Gate {
    let refusal = memory.ledger.last(StepKind::VerifyCode).and_then(|entry| entry.refusal.as_ref());
    let until = refusal.and_then(Refusal::paused_until).filter(|until| *until > pass.now);
    match until {
        Some(until) => Err(Stop::block(paused(until, refusal))),
        None => Ok(()),
    }
}

/// 136024 is the answer to too many requests, and for a number that is verified already. So the number is read before
/// anybody is told to wait.
pub(super) fn is_read_again(memory: &Memory, seen: &Seen) -> Gate {
    let last = memory.ledger.last(StepKind::RequestCode).filter(|last| last.refused_with(136_024).is_some());
    match last.filter(|last| seen.begun.is_none_or(|begun| begun <= last.at)) {
        Some(_) => Err(Stop::look_again("Meta sent no code; the next look shows whether one is needed")),
        None => Ok(()),
    }
}

/// Meta refused to send a code, and takes no request for a while.
pub(super) fn postponed(pass: &Pass, until: Timestamp, last: &Entry) -> Block {
    let mut block = paused(until, last.refusal.as_ref());
    if last.refused_with(136_024).is_some() {
        block.message.push_str(&or_call(pass, ""));
    }
    block
}

/// A call reaches lines that a text does not (recorded in September 2026: texts that Meta took for sent never came).
pub(super) fn or_call(pass: &Pass, when: &str) -> String {
    match line::method(pass.desired.verification.method, &pass.desired.number) {
        CodeMethod::Sms => format!(
            "; {when}set verification.method to Voice to get it by a call, which reaches numbers that a text does not"
        ),
        CodeMethod::Voice => String::new(),
    }
}

pub(super) fn paused(until: Timestamp, refusal: Option<&Refusal>) -> Block {
    let words = refusal.map_or_else(String::new, |refusal| format!(" ({})", say::words(refusal)));
    Block::new(
        Reason::CodeRequestPaused,
        format!(
            "Meta does not send or take codes for this number for a while{words}; a new one can be asked for at {}",
            say::time(until)
        ),
    )
    .refused(refusal)
    .until(until)
}

/// The request whose code may prove the number: the last that went out, whatever was refused since. One from before a
/// new proof was required did so already, and one of an object before was not asked for by this one.
pub(super) fn sent(memory: &Memory) -> Option<&Entry> {
    let is_sent = |entry: &&Entry| matches!(entry.outcome, EntryOutcome::Accepted | EntryOutcome::NoAnswer);
    let may_prove = |entry: &&Entry| memory.marks.is_current(entry) && memory.is_own(entry);
    memory.ledger.codes.iter().rev().find(is_sent).filter(may_prove)
}

/// Whether the code that was asked for before this one was never entered, so perhaps it never came.
pub(super) fn was_unused_before(pass: &Pass, memory: &Memory, request: &Entry) -> bool {
    let is_before = |entry: &&Entry| entry.at < request.at && entry.outcome == EntryOutcome::Accepted;
    memory.ledger.codes.iter().rev().find(is_before).is_some_and(|before| {
        let is_recent = request.at < later(before.at, pass.limits.codes_window);
        let mut tries = memory.ledger.since(StepKind::VerifyCode, Some(before.at));
        is_recent && !tries.any(|entry| entry.at < request.at)
    })
}

/// Whether the code that was asked for can still be used.
pub(super) fn is_live(pass: &Pass, request: &Entry) -> bool {
    pass.now < later(request.at, pass.limits.code_life)
}

/// A request that still waits for its code to be entered.
pub(super) fn awaits(pass: &Pass, memory: &Memory) -> bool {
    sent(memory).is_some_and(|request| {
        is_live(pass, request) && tries(memory, request) < pass.limits.verifications_per_code
    })
}

pub(super) fn tries(memory: &Memory, request: &Entry) -> usize {
    memory.ledger.since(StepKind::VerifyCode, Some(request.at)).count()
}

pub(super) fn forbidden(pass: &Pass, why: &str) -> Block {
    let place =
        format!("Secret {}, in which the code is to come", pass.desired.verification.code_secret.name);
    Block::new(Reason::SecretForbidden, say::forbidden(&place, Some(&pass.desired.namespace), why))
}

pub(super) fn then_ask(pass: &Pass) -> String {
    format!("then ask for a code with {}", pass.command("send-code"))
}

pub(super) fn refused(pass: &Pass, last: &Entry) -> Block {
    let other = last.refusal.as_ref().and_then(|r| say::not_for_its_value("RequestCode", r, &then_ask(pass)));
    if let Some(block) = other {
        return block;
    }
    Block::new(
        Reason::CodeRequestRefused,
        format!(
            "Meta refused at {} to send a code ({}); check that {} can receive it, then run {}{}",
            say::time(last.at),
            last.refusal.as_ref().map(say::words).unwrap_or_default(),
            pass.desired.number,
            pass.command("send-code"),
            if last.refused_with(136_024).is_some() { or_call(pass, "") } else { String::new() }
        ),
    )
    .refused(last.refusal.as_ref())
}
