//! Verification: a code is sent to Meta once; until there is one, a person has to act.

use jiff::Timestamp;

use crate::engine::{
    plan::{
        pass::{Gate, Pass, Seen, Stop},
        remedy, request, undecided,
    },
    rule::say,
    value::{
        action::Action,
        block::Block,
        id::CodeStatus,
        memory::{Entry, EntryOutcome, Memory},
        observed::{CodeShared, Number},
        reason::Reason,
        secret::{SecretFact, SecretVersion},
        step::{Cause, Step, StepKind},
        time::later,
    },
};

/// Refusals by which Meta may mean that the number is proven already: of a request, and of a verification.
const PROVEN_AT_REQUEST: [i64; 2] = [136_024, 2_388_091];

const PROVEN_AT_VERIFICATION: i64 = 2_388_093;

/// Meta's answer to a wrong code, and to one that was used already.
const CODE_REFUSED: i64 = 136_025;
/// What happens while nobody asks for a code.
const UNASKED: &str = "the number stays unverified and is not registered";

/// Accepts VERIFIED again when it can only come from a new verification.
///
/// After 133006 Meta may still show the old one. It is a new one when another status was read in between, or when Meta
/// refuses a code as not needed. A registered number needs no verification.
pub(super) fn note_proof(pass: &Pass, memory: &mut Memory, seen: &Seen) {
    let (Some(required), Some(number), Some(begun)) =
        (memory.marks.new_proof_since(), seen.number.as_deref(), seen.begun)
    else {
        return;
    };
    if begun <= required {
        return;
    }
    let is_proven = match number.code.value() {
        Some(CodeStatus::Verified) => {
            memory.marks.proof_lapsed().is_some_and(|lapsed| begun > lapsed)
                || says_proven(pass, memory, required, begun)
        }
        Some(CodeStatus::Other(_)) | None => false,
        Some(_) => {
            // The old verification may not be visible everywhere yet, so this is no expiry.
            let old = memory.ledger.verifications.iter().rev().find(|entry| entry.at <= required);
            let settled = old.and_then(|entry| pass.clock().shown(StepKind::VerifyCode, entry));
            if settled.is_none_or(|until| begun >= until) {
                memory.marks.note_lapsed(begun);
            }
            false
        }
    };
    if number.is_registered() || is_proven {
        memory.marks.note_proven();
    }
}

/// Whether Meta's last answer about a code, given since a new proof is required, means that there is one. A code
/// that is refused means that only where an earlier one may have been taken.
fn says_proven(pass: &Pass, memory: &Memory, required: Timestamp, begun: Timestamp) -> bool {
    if begun < later(required, pass.limits.settle_verify) {
        return false;
    }
    let refused = |kind, numbers: &[i64]| {
        let last = memory.ledger.last(kind).filter(|entry| entry.at > required && entry.at < begun);
        last.is_some_and(|entry| numbers.iter().any(|number| entry.refused_with(*number).is_some()))
    };
    let may_have_worked =
        || memory.ledger.since(StepKind::VerifyCode, Some(required)).any(Entry::is_inconclusive);
    refused(StepKind::RequestCode, &PROVEN_AT_REQUEST)
        || refused(StepKind::VerifyCode, &[PROVEN_AT_VERIFICATION])
        || refused(StepKind::VerifyCode, &[CODE_REFUSED]) && may_have_worked()
}

/// Meta sent no code and shows the number as verified, and it is too early to tell whether that is the new proof. There is no
/// code to wait for.
fn counts_soon(pass: &Pass, memory: &Memory, number: &Number, seen: &Seen) -> Gate {
    let Some(required) = memory.marks.new_proof_since() else { return Ok(()) };
    let until = later(required, pass.limits.settle_verify);
    let last = memory.ledger.last(StepKind::RequestCode).filter(|last| last.at > required);
    let refused = |last: &Entry| PROVEN_AT_REQUEST.iter().any(|code| last.refused_with(*code).is_some());
    let is_shown = number.code.value() == Some(&CodeStatus::Verified);
    let is_early = seen.begun.is_none_or(|begun| begun < until);
    let Some(last) = last.filter(|last| refused(last) && is_shown && is_early) else { return Ok(()) };
    let message = format!(
        "Meta sent no code ({}), and shows {} as verified; where it still does at {}, no code is needed",
        last.refusal.as_ref().map(say::words).unwrap_or_default(),
        pass.desired.number,
        say::time(until)
    );
    let block = Block::new(Reason::EffectNotVisibleYet, message);
    Err(Stop::block(block.refused(last.refusal.as_ref()).until(until)))
}

/// Ownership is proven, or what is done or waited for until it is.
pub(super) fn verified(pass: &Pass, memory: &mut Memory, number: &Number, seen: &Seen) -> Gate {
    let status = number.code.value();
    if status == Some(&CodeStatus::Expired) {
        memory.marks.automatic_code_used.get_or_insert(pass.now);
    }
    if status == Some(&CodeStatus::Verified) && !memory.marks.needs_new_proof() {
        return Ok(());
    }
    undecided::settled(pass, StepKind::VerifyCode, memory, seen)?;
    let request = request::sent(memory).cloned();
    let answer = answer(pass, memory, request.as_ref());
    if let Answer::Use(version) = &answer {
        not_shared(pass)?;
        request::locked(pass, memory)?;
        undecided::may_send(pass, StepKind::VerifyCode, memory)?;
        return Err(verify(
            pass,
            seen,
            number,
            version.clone(),
            Cause::Secret,
            "verify the number with the code from its Secret",
        ));
    }
    counts_soon(pass, memory, number, seen)?;
    if let Some(stop) = request::by_consent(pass, memory, number, seen)? {
        return Err(stop);
    }
    Err(waiting(pass, memory, number, seen, request.as_ref(), &answer)?)
}

/// Each code that is wrong costs an attempt, and of two channels that wait for one in the same place one would send the
/// other's.
fn not_shared(pass: &Pass) -> Gate {
    let key = &pass.desired.verification.code_secret;
    match &pass.observed.process.code_shared {
        Some(CodeShared { name, is_awaited: true }) => Err(Stop::block(Block::new(
            Reason::CodeSecretShared,
            format!(
                "WhatsAppChannel {name} waits for a code under the key {} of Secret {} too, so it is not known whose code this is, and it is not sent; set verification.codeSecretRef of one of the two to a Secret of its own, or leave it out, and enter each code where it belongs",
                key.key, key.name
            ),
        ))),
        Some(_) | None => Ok(()),
    }
}

/// What the code Secret holds, seen from the last request.
enum Answer {
    /// Nothing that could be an answer.
    Nothing,
    /// A new version for a live request.
    Use(SecretVersion),
    Malformed,
    /// A new version, after the code's life.
    Late,
    /// A code without any request of ours.
    Unasked(SecretVersion),
    Forbidden(String),
    Unread(Option<String>),
}

fn answer(pass: &Pass, memory: &Memory, request: Option<&Entry>) -> Answer {
    let (version, well_formed, seen_before) = match &pass.observed.code_secret {
        SecretFact::Present { version, well_formed, seen_before } => (version, *well_formed, *seen_before),
        SecretFact::Forbidden(why) => return Answer::Forbidden(why.clone()),
        SecretFact::Unreadable(why) => return Answer::Unread(Some(why.clone())),
        SecretFact::NotAsked => return Answer::Unread(None),
        // It was written after the request, without a code: a person waits for a result and has to be told.
        SecretFact::KeyMissing { version } => {
            let is_new = |request: &&Entry| request.secret_before.as_ref() != Some(version);
            let is_answer = request.filter(is_new).is_some_and(|request| request::is_live(pass, request));
            return if is_answer { Answer::Malformed } else { Answer::Nothing };
        }
        SecretFact::Missing | SecretFact::Unlabelled => return Answer::Nothing,
    };
    let subject = version.as_subject();
    let was_tried = memory
        .ledger
        .of(StepKind::VerifyCode)
        .iter()
        .any(|e| e.counts() && e.subject.as_ref() == Some(&subject));
    if was_tried || seen_before {
        return Answer::Nothing;
    }
    let Some(request) = request else {
        return if well_formed { Answer::Unasked(version.clone()) } else { Answer::Nothing };
    };
    if request.secret_before.as_ref() == Some(version) {
        return Answer::Nothing;
    }
    if !request::is_live(pass, request) {
        return Answer::Late;
    }
    if request::tries(memory, request) >= pass.limits.verifications_per_code {
        return Answer::Nothing;
    }
    if well_formed { Answer::Use(version.clone()) } else { Answer::Malformed }
}

fn verify(pass: &Pass, seen: &Seen, number: &Number, secret: SecretVersion, cause: Cause, why: &str) -> Stop {
    let step = Step::VerifyCode { account: seen.account.clone(), number: number.id.clone(), secret };
    pass.step(step, why.into(), cause)
}

/// A verification that was refused for something else than the code: Meta takes none for a while, or none with this
/// token.
fn not_the_code(pass: &Pass, entry: &Entry) -> Option<Block> {
    let refusal = entry.refusal.as_ref()?;
    let pause = refusal.paused_until().filter(|until| *until > pass.now);
    match pause {
        Some(until) => Some(request::paused(until, Some(refusal))),
        None => say::not_for_its_value("VerifyCode", refusal, &request::then_ask(pass)),
    }
}

/// Nothing to send: who has to act.
fn waiting(
    pass: &Pass,
    memory: &Memory,
    number: &Number,
    seen: &Seen,
    request: Option<&Entry>,
    answer: &Answer,
) -> Gate<Stop> {
    if let (Answer::Malformed, Some(request)) = (answer, request) {
        return Ok(Stop::block(malformed(pass, request)));
    }
    // A person entered it and requested another one, which was refused. The refusal is more useful to them.
    let is_overtaken = |request: &&Entry| {
        let last = memory.ledger.last(StepKind::RequestCode).is_some_and(|last| last.id != request.id);
        last && request::tries(memory, request) > 0
    };
    if let Some(request) = request.filter(|r| request::awaits(pass, memory) && !is_overtaken(r)) {
        return Ok(Stop::block(match answer {
            Answer::Forbidden(why) => request::forbidden(pass, why),
            _ => awaited(pass, memory, request),
        }));
    }
    request::is_worth_it(pass, memory, number)?;
    if let Answer::Unread(why) = answer {
        return Ok(match why {
            Some(why) => Stop::block(remedy::unreadable("the code Secret", why)),
            None => Stop::look_again("the code Secret has not been read yet"),
        });
    }
    if let Answer::Unasked(version) = answer {
        return unasked(pass, memory, number, seen, version);
    }
    request::is_read_again(memory, seen)?;
    Ok(Stop::block(needed(pass, memory, request, answer)))
}

fn malformed(pass: &Pass, request: &Entry) -> Block {
    let key = &pass.desired.verification.code_secret;
    let block = Block::new(
        Reason::CodeMalformed,
        format!(
            "Secret {} does not hold six digits under the key {}, so nothing was sent; enter the code again with {}",
            key.name,
            key.key,
            pass.command("code")
        ),
    );
    enter_in_time(pass, request, block)
}

/// Until when the code can be entered, and what happens then.
fn enter_in_time(pass: &Pass, request: &Entry, block: Block) -> Block {
    let until = later(request.at, pass.limits.code_life);
    block.by(until).or_else(format!(
        "the code expires at {}, also while calls to Meta are held back; ask for a new one with {}",
        say::time(until),
        pass.command("send-code")
    ))
}

/// A code was sent, or may have been sent, or was wrong once.
fn awaited(pass: &Pass, memory: &Memory, request: &Entry) -> Block {
    let number = &pass.desired.number;
    let until = later(request.at, pass.limits.code_life);
    let wrong = memory.ledger.since(StepKind::VerifyCode, Some(request.at)).last();
    if let Some(block) = wrong.and_then(|entry| not_the_code(pass, entry)) {
        return if block.until.is_some() { block } else { block.until(until) };
    }
    let block = match wrong {
        Some(entry) if entry.is_inconclusive() => return unanswered(pass, entry).until(until),
        Some(entry) => Block::new(
            Reason::CodeWrong,
            format!(
                "the code that was entered at {} {}; enter the right one with {}, or ask for a new one with {}",
                say::time(entry.at),
                unproven(pass, request, entry),
                pass.command("code"),
                pass.command("send-code")
            ),
        )
        .refused(entry.refusal.as_ref()),
        None if request.outcome == EntryOutcome::NoAnswer => Block::new(
            Reason::CodeMayHaveBeenSent,
            format!(
                "Meta was asked at {} to send a code to {number} and gave no answer; if it arrives enter it with {}, else ask for another with {}",
                say::time(request.at),
                pass.command("code"),
                pass.command("send-code")
            ),
        ),
        None => Block::new(
            Reason::CodeAwaited,
            format!(
                "Meta sent a code to {number} at {}; enter it with {}{}",
                say::time(request.at),
                pass.command("code"),
                match request::was_unused_before(pass, memory, request) {
                    true => request::or_call(pass, "if this one does not come either, "),
                    false => String::new(),
                }
            ),
        ),
    };
    enter_in_time(pass, request, block).until(until)
}

/// The result of a code that was sent to Meta. Meta gives the same answer for a wrong and for an expired code, so after
/// the typical lifetime of a code it may be either.
fn unproven(pass: &Pass, request: &Entry, entry: &Entry) -> String {
    let is_doubtful = entry.at >= later(request.at, pass.limits.code_doubtful);
    format!(
        "did not prove the number{}{}",
        if is_doubtful { ": it was wrong, or had expired" } else { "" },
        entry.refusal.as_ref().map(|r| format!(" ({})", say::words(r))).unwrap_or_default()
    )
}

/// The code is used up, and it is unknown whether it was wrong. If it was right, Meta refuses to send another one, and
/// that refusal counts as a verification.
fn unanswered(pass: &Pass, entry: &Entry) -> Block {
    Block::new(
        Reason::CodeWrong,
        format!(
            "Meta gave no usable answer to the code that was entered at {}{} and does not show that it proved the number, so it is spent; ask for a new one with {}",
            say::time(entry.at),
            entry.refusal.as_ref().map(|r| format!(" ({})", say::words(r))).unwrap_or_default(),
            pass.command("send-code")
        ),
    )
    .refused(entry.refusal.as_ref())
    .asks(Action::AskForCode)
    .or_else(UNASKED)
}

fn unasked(
    pass: &Pass,
    memory: &Memory,
    number: &Number,
    seen: &Seen,
    version: &SecretVersion,
) -> Gate<Stop> {
    if let Some(retry) = &pass.retry {
        request::locked(pass, memory)?;
        undecided::may_send(pass, StepKind::VerifyCode, memory)?;
        let cause = Cause::Retry(retry.value.clone());
        return Ok(verify(
            pass,
            seen,
            number,
            version.clone(),
            cause,
            "verify the number with a code that a person vouches for",
        ));
    }
    Ok(Stop::block(Block::new(
        Reason::CodeFoundUnasked,
        format!(
            "Secret {} holds a code that this channel did not ask for, so it was not sent; to send it once run {}, to ask for a new one run {}",
            pass.desired.verification.code_secret.name,
            pass.command("retry"),
            pass.command("send-code")
        ),
    )))
}

/// No code is live: a new one needs consent.
fn needed(pass: &Pass, memory: &Memory, request: Option<&Entry>, answer: &Answer) -> Block {
    let number = &pass.desired.number;
    let ask = pass.command("send-code");
    if let Some((until, last)) = request::refused_until(pass, memory).filter(|(until, _)| *until > pass.now) {
        return request::postponed(pass, until, last);
    }
    // The pause is over, but the consent is used up. The person who gave it needs to know why.
    if let Some(last) = memory
        .ledger
        .last(StepKind::RequestCode)
        .filter(|e| e.outcome == EntryOutcome::Refused && memory.marks.is_current(e))
    {
        return request::refused(pass, last);
    }
    let wrong = request.and_then(|r| memory.ledger.since(StepKind::VerifyCode, Some(r.at)).last());
    // The Secret was written again after the wrong code.
    let is_late = matches!(answer, Answer::Late);
    let wrong = wrong.filter(|_| !is_late);
    if let Some(block) = wrong.and_then(|entry| not_the_code(pass, entry)) {
        return block;
    }
    let block = match (request, wrong) {
        (Some(_), Some(entry)) if entry.is_inconclusive() => unanswered(pass, entry),
        (Some(request), Some(entry)) => Block::new(
            Reason::CodeWrong,
            format!(
                "the code {}, and is spent; ask for a new one with {ask}",
                unproven(pass, request, entry)
            ),
        )
        .refused(entry.refusal.as_ref())
        .asks(Action::AskForCode),
        (Some(request), None) => Block::new(
            Reason::CodeLapsed,
            format!(
                "the code that was requested at {} expired{}; with a person at {number}, ask for a new one with {ask}{}",
                say::time(request.at),
                if is_late {
                    " before the one in the Secret could be sent, which was therefore not sent"
                } else {
                    " unused"
                },
                if is_late { String::new() } else { request::or_call(pass, "if none came, ") }
            ),
        ),
        (None, _) if memory.marks.needs_new_proof() => Block::new(
            Reason::ReverificationNeeded,
            format!(
                "Meta requires that {number} is verified again before it is registered; with a person at the phone, run {ask}"
            ),
        ),
        (None, _) => Block::new(
            Reason::CodeNeeded,
            format!("{number} has to be proven by a code; with a person at the phone, run {ask}"),
        ),
    };
    block.or_else(UNASKED)
}
