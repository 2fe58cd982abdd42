//! Proof of ownership: one code per consent, each used once.

use jiff::Timestamp;

use super::{Block, Gate, Pass, Seen, Stop, naming, pin, say, undecided};
use crate::engine::{
    action::Action,
    desired::CodeRequest,
    failure::{Class, Refusal},
    id::{CodeStatus, PlatformType},
    limits::later,
    memory::{Cause, Entry, EntryOutcome, Memory, StepKind},
    observed::{Number, SecretFact, SecretVersion},
    phone,
    reason::Reason,
    step::Step,
};

/// Refusals by which Meta may mean that the number is proven already: of a request, and of a verification.
const PROVEN_AT_REQUEST: [i64; 2] = [136_024, 2_388_091];
const PROVEN_AT_VERIFICATION: i64 = 2_388_093;
/// A code that was used is refused like a wrong one.
const CODE_REFUSED: i64 = 136_025;
/// What happens while nobody asks for a code.
const UNASKED: &str = "the number stays unverified and is not registered";

/// Believes VERIFIED again once it can only come from a new proof.
///
/// After 133006 Meta may go on to show the old one. It speaks of a new one when the status was read otherwise in
/// between, or when Meta refuses a code as if it needed none; and a registered number needs none.
pub(super) fn note_proof(pass: &Pass, memory: &mut Memory, seen: &Seen) {
    let (Some(required), Some(number), Some(begun)) =
        (memory.marks.reverify_required, seen.number.as_deref(), seen.begun)
    else {
        return;
    };
    if begun <= required {
        return;
    }
    let is_registered = number.platform.value() == Some(&PlatformType::CloudApi);
    let is_proven = match number.code.value() {
        Some(CodeStatus::Verified) => {
            memory.marks.proof_lapsed.is_some_and(|lapsed| begun > lapsed)
                || says_proven(pass, memory, required, begun)
        }
        Some(CodeStatus::Other(_)) | None => false,
        Some(_) => {
            // The old proof may not show everywhere yet; that is no lapse.
            let old = memory.ledger.verifications.iter().rev().find(|entry| entry.at <= required);
            if old.and_then(|entry| entry.settle_until).is_none_or(|until| begun >= until) {
                memory.marks.proof_lapsed.get_or_insert(begun);
            }
            false
        }
    };
    if is_registered || is_proven {
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

/// Ownership is proven, or what is done or waited for until it is.
pub(super) fn verified(pass: &Pass, memory: &mut Memory, number: &Number, seen: &Seen) -> Gate {
    let status = number.code.value();
    if status == Some(&CodeStatus::Expired) {
        memory.marks.automatic_code_used.get_or_insert(pass.now);
    }
    if status == Some(&CodeStatus::Verified) && memory.marks.reverify_required.is_none() {
        return Ok(());
    }
    undecided::settled(pass, StepKind::VerifyCode, memory, seen)?;
    let request = sent_request(memory).cloned();
    let answer = answer(pass, memory, request.as_ref());
    if let Answer::Use(version) = &answer {
        locked(pass, memory)?;
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
    if let Some(stop) = request_by_consent(pass, memory, number, seen)? {
        return Err(stop);
    }
    Err(waiting(pass, memory, number, seen, request.as_ref(), &answer)?)
}

/// The request whose code may prove the number: the last that went out, whatever was refused since. One from before a
/// new proof was required did so already.
fn sent_request(memory: &Memory) -> Option<&Entry> {
    let is_sent = |entry: &&Entry| matches!(entry.outcome, EntryOutcome::Accepted | EntryOutcome::NoAnswer);
    memory.ledger.codes.iter().rev().find(is_sent).filter(|entry| is_current(memory, entry))
}

/// Not from before Meta required a new proof.
pub(super) fn is_current(memory: &Memory, entry: &Entry) -> bool {
    memory.marks.reverify_required.is_none_or(|required| entry.at > required)
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
    Forbidden,
    Unread(Option<String>),
}

fn answer(pass: &Pass, memory: &Memory, request: Option<&Entry>) -> Answer {
    let (version, well_formed, seen_before) = match &pass.observed.code_secret {
        SecretFact::Present { version, well_formed, seen_before } => (version, *well_formed, *seen_before),
        SecretFact::Forbidden => return Answer::Forbidden,
        SecretFact::Unreadable(why) => return Answer::Unread(Some(why.clone())),
        SecretFact::NotAsked => return Answer::Unread(None),
        // Written after the request, and not as a code: whoever wrote it waits for what does not come.
        SecretFact::KeyMissing { version } => {
            let is_new = |request: &&Entry| request.secret_before.as_ref() != Some(version);
            let is_answer = request.filter(is_new).is_some_and(|request| is_live(pass, request));
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
    if !is_live(pass, request) {
        return Answer::Late;
    }
    if tries(memory, request) >= pass.limits.verifications_per_code {
        return Answer::Nothing;
    }
    if well_formed { Answer::Use(version.clone()) } else { Answer::Malformed }
}

/// Whether the code that was asked for can still be used.
pub(super) fn is_live(pass: &Pass, request: &Entry) -> bool {
    pass.now < later(request.at, pass.limits.code_life)
}

/// A request that still waits for its code to be entered.
pub(super) fn awaits(pass: &Pass, memory: &Memory) -> bool {
    sent_request(memory).is_some_and(|request| {
        is_live(pass, request) && tries(memory, request) < pass.limits.verifications_per_code
    })
}

fn tries(memory: &Memory, request: &Entry) -> usize {
    memory.ledger.since(StepKind::VerifyCode, Some(request.at)).count()
}

fn verify(pass: &Pass, seen: &Seen, number: &Number, secret: SecretVersion, cause: Cause, why: &str) -> Stop {
    let step = Step::VerifyCode { account: seen.account.clone(), number: number.id.clone(), secret };
    pass.step(step, why.into(), cause)
}

/// Too many wrong codes: Meta's own clock.
fn locked(pass: &Pass, memory: &Memory) -> Gate {
    let refusal = memory.ledger.last(StepKind::VerifyCode).and_then(|entry| entry.refusal.as_ref());
    let until = refusal
        .filter(|r| r.class == Class::WaitUntil)
        .and_then(|r| r.until)
        .filter(|until| *until > pass.now);
    match until {
        Some(until) => Err(Stop::block(paused(until).refused(refusal))),
        None => Ok(()),
    }
}

fn paused(until: Timestamp) -> Block {
    Block::new(
        Reason::CodeRequestPaused,
        format!(
            "Meta does not send or take codes for this number for a while; a new one can be asked for at {}",
            say::time(until)
        ),
    )
    .until(until)
}

/// A new code, when it was consented to or is the automatic one, and would not be wasted.
fn request_by_consent(pass: &Pass, memory: &Memory, number: &Number, seen: &Seen) -> Gate<Option<Stop>> {
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
        SecretFact::Forbidden => return Err(Stop::block(forbidden(pass))),
        SecretFact::Unreadable(why) => return Err(Stop::block(pin::unreadable("the code Secret", why))),
        SecretFact::NotAsked => return Err(Stop::look_again("the code Secret has not been read yet")),
        fact => fact.version().cloned(),
    };
    let step = Step::RequestCode {
        account: seen.account.clone(),
        number: number.id.clone(),
        method: phone::method(pass.desired.verification.method, &pass.desired.number),
        language: pass.desired.verification.language.clone(),
        secret_before,
    };
    Ok(Some(pass.step(step, format!("ask Meta to send a code to {}", pass.desired.number), cause)))
}

fn is_worth_it(pass: &Pass, memory: &Memory, number: &Number) -> Gate {
    naming::allows_code(pass, number)?;
    pin::available(pass, memory, number).map(|_| ())
}

fn may_be_automatic(pass: &Pass, memory: &Memory, number: &Number) -> bool {
    pass.desired.verification.request == CodeRequest::Automatic
        && memory.knows_history()
        && memory.marks.automatic_code_used.is_none()
        && memory.marks.reverify_required.is_none()
        && memory.ledger.last(StepKind::RequestCode).is_none()
        && number.code.value() != Some(&CodeStatus::Expired)
}

/// Limits and pauses, which hold for consents too.
fn may_request(pass: &Pass, memory: &Memory) -> Gate {
    locked(pass, memory)?;
    if let Some((until, last)) = refused_until(pass, memory).filter(|(until, _)| *until > pass.now) {
        return Err(Stop::block(paused(until).refused(last.refusal.as_ref())));
    }
    let limits = pass.limits;
    let from = pass.now.checked_sub(limits.codes_window).ok();
    let recent: Vec<_> = memory
        .ledger
        .since(StepKind::RequestCode, from)
        .filter(|entry| matches!(entry.cause, Cause::SendCode(_)))
        .map(|entry| entry.at)
        .collect();
    if recent.len() < limits.codes_by_consent {
        return Ok(());
    }
    let until = later(recent[recent.len() - limits.codes_by_consent], limits.codes_window);
    Err(Stop::block(
        Block::new(
            Reason::CodeLimitReached,
            format!(
                "{} codes were asked for in 24 hours; check that {} can receive them; the next can be asked for at {}",
                recent.len(),
                pass.desired.number,
                say::time(until)
            ),
        )
        .until(until),
    ))
}

/// Refused in a row: a pause, then a longer one.
fn refused_until<'a>(pass: &Pass, memory: &'a Memory) -> Option<(Timestamp, &'a Entry)> {
    // Trouble of Meta's, the token, a permission or the account have nothing to do with how often this number was
    // asked for.
    let is_of_the_number = |refusal: &Refusal| refusal.class != Class::Retry && !refusal.is_shut_out();
    let codes = memory.ledger.codes.iter().rev().filter(|e| e.counts());
    let refused = codes.take_while(|e| e.outcome == EntryOutcome::Refused);
    let mut refused = refused.filter_map(|e| Some((e, e.refusal.as_ref().filter(|r| is_of_the_number(r))?)));
    let (last, refusal) = refused.next()?;
    let own = later(last.at, naming::pause(&pass.limits.code_refused_pauses, 1 + refused.count()));
    Some((refusal.until.map_or(own, |until| until.max(own)), last))
}

fn then_ask(pass: &Pass) -> String {
    format!("then ask for a code with {}", pass.command("send-code"))
}

/// A verification that was refused for something else than the code: Meta takes none for a while, or none with this
/// token.
fn not_the_code(pass: &Pass, entry: &Entry) -> Option<Block> {
    let refusal = entry.refusal.as_ref()?;
    let pause = refusal.until.filter(|until| refusal.class == Class::WaitUntil && *until > pass.now);
    match pause {
        Some(until) => Some(paused(until).refused(Some(refusal))),
        None => say::not_for_its_value("VerifyCode", refusal, &then_ask(pass)),
    }
}

fn forbidden(pass: &Pass) -> Block {
    let key = &pass.desired.verification.code_secret;
    Block::new(
        Reason::SecretForbidden,
        format!(
            "the operator may not read Secret {}, in which the code is to come; allow it to get Secrets in namespace {}",
            key.name, pass.desired.namespace
        ),
    )
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
    // Whoever entered it and then asked for another in vain is told of that.
    let is_overtaken = |request: &&Entry| {
        let last = memory.ledger.last(StepKind::RequestCode).is_some_and(|last| last.id != request.id);
        last && tries(memory, request) > 0
    };
    if let Some(request) = request.filter(|r| awaits(pass, memory) && !is_overtaken(r)) {
        return Ok(Stop::block(match answer {
            Answer::Forbidden => forbidden(pass),
            _ => awaited(pass, memory, request),
        }));
    }
    is_worth_it(pass, memory, number)?;
    if let Answer::Unread(why) = answer {
        return Ok(match why {
            Some(why) => Stop::block(pin::unreadable("the code Secret", why)),
            None => Stop::look_again("the code Secret has not been read yet"),
        });
    }
    if let Answer::Unasked(version) = answer {
        return unasked(pass, memory, number, seen, version);
    }
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
        "the code lapses at {}, also while calls to Meta are held back; ask for a new one with {}",
        say::time(until),
        pass.command("send-code")
    ))
}

/// A code is on its way, or perhaps is, or was wrong once.
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
                "Meta sent a code to {number} at {}; enter it with {}",
                say::time(request.at),
                pass.command("code")
            ),
        ),
    };
    enter_in_time(pass, request, block).until(until)
}

/// What became of a code that Meta was given. Its answer is one for a wrong and for an expired code, so beyond the
/// time that a code typically lives there nobody can tell which.
fn unproven(pass: &Pass, request: &Entry, entry: &Entry) -> String {
    let is_doubtful = entry.at >= later(request.at, pass.limits.code_doubtful);
    format!(
        "did not prove the number{}{}",
        if is_doubtful { ": it was wrong, or had expired" } else { "" },
        entry.refusal.as_ref().map(|r| format!(" ({})", say::words(r))).unwrap_or_default()
    )
}

/// The code is spent; whether it was wrong nobody knows. Where it was right after all, Meta refuses to send another,
/// and that is understood.
fn unanswered(pass: &Pass, entry: &Entry) -> Block {
    Block::new(
        Reason::CodeWrong,
        format!(
            "Meta gave no usable answer to the code that was entered at {} and does not show that it proved the number, so it is spent; ask for a new one with {}",
            say::time(entry.at),
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
        locked(pass, memory)?;
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
    if let Some((until, last)) = refused_until(pass, memory).filter(|(until, _)| *until > pass.now) {
        return paused(until).refused(last.refusal.as_ref());
    }
    // No pause, or none any more; but the consent is used up, and whoever gave it is told why.
    if let Some(last) = memory
        .ledger
        .last(StepKind::RequestCode)
        .filter(|e| e.outcome == EntryOutcome::Refused && is_current(memory, e))
    {
        return request_refused(pass, last);
    }
    let wrong = request.and_then(|r| memory.ledger.since(StepKind::VerifyCode, Some(r.at)).last());
    // What lies there now came after the one that was wrong.
    let wrong = wrong.filter(|_| !matches!(answer, Answer::Late));
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
                "the code that was asked for at {} lapsed{}; have somebody at {number} and ask for a new one with {ask}",
                say::time(request.at),
                if matches!(answer, Answer::Late) {
                    " before the one in the Secret could be sent, which was therefore not sent"
                } else {
                    " unused"
                }
            ),
        ),
        (None, _) if memory.marks.reverify_required.is_some() => Block::new(
            Reason::ReverificationNeeded,
            format!(
                "Meta wants {number} proven again before it registers it; have somebody at the phone and run {ask}"
            ),
        ),
        (None, _) => Block::new(
            Reason::CodeNeeded,
            format!("{number} has to be proven by a code; have somebody at the phone and run {ask}"),
        ),
    };
    block.or_else(UNASKED)
}

fn request_refused(pass: &Pass, last: &Entry) -> Block {
    let other = last.refusal.as_ref().and_then(|r| say::not_for_its_value("RequestCode", r, &then_ask(pass)));
    if let Some(block) = other {
        return block;
    }
    Block::new(
        Reason::CodeRequestRefused,
        format!(
            "Meta refused at {} to send a code ({}); check that {} can receive it, then run {}",
            say::time(last.at),
            last.refusal.as_ref().map(say::words).unwrap_or_default(),
            pass.desired.number,
            pass.command("send-code")
        ),
    )
    .refused(last.refusal.as_ref())
}
