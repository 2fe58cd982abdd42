//! The registration: ten attempts in 72 hours, of which few are taken without being asked.

use std::convert::Infallible;

use jiff::Timestamp;

use crate::engine::{
    plan::{
        naming::{self, Grant},
        pass::{Gate, Pass, Seen, Stop},
        pin::{self, Pin},
        remedy, undecided,
    },
    rule::{
        naming::{NameState, state},
        say,
    },
    value::{
        action::Action,
        block::Block,
        desired::PinPolicy,
        display_name::written,
        failure::{Failure, Refusal, Said, Scope},
        id::{AccountMode, CodeStatus, Field},
        memory::{Entry, EntryOutcome, Memory},
        observed::Number,
        page::Page,
        reason::Reason,
        step::{Cause, Step, StepKind},
        time::{self, earlier, later},
    },
};

/// What may be done about the last refusal.
pub(super) enum Next {
    /// By the schedule.
    Schedule(Cause),
    /// At once: the cause of the last refusal was just removed.
    AtOnce,
    /// Only when a person asks.
    Asked(Box<Block>),
}

/// Registers, or says what the registration waits for. It always returns one of the two.
pub(super) fn register(pass: &Pass, memory: &mut Memory, number: &Number, seen: &Seen) -> Gate<Infallible> {
    undecided::settled(pass, StepKind::Register, memory, seen)?;
    note_refusal(pass, memory, number, seen);
    is_free(pass, memory)?;
    let grant = naming::allows_registration(pass, memory, number)?;
    unlocked(pass, memory)?;
    below_total(pass, memory)?;
    let next = match memory.comes_back() {
        true => Next::AtOnce,
        false => if_asked(pass, memory, number, next(pass, memory, number, seen)?),
    };
    let cause = match (next, &pass.retry) {
        (Next::AtOnce, _) => Cause::Automatic,
        (_, Some(retry)) => Cause::Retry(retry.value.clone()),
        (Next::Asked(block), None) => return Err(Stop::Block(block)),
        (Next::Schedule(cause), None) => {
            scheduled(pass, memory, grant)?;
            after_others(pass, memory, seen)?;
            cause
        }
    };
    undecided::may_send(pass, StepKind::Register, memory)?;
    Err(attempt(pass, memory, number, seen, grant, cause)?)
}

fn attempt(
    pass: &Pass,
    memory: &mut Memory,
    number: &Number,
    seen: &Seen,
    grant: Grant,
    cause: Cause,
) -> Gate<Stop> {
    let secret = match pin::available(pass, memory, number)? {
        Pin::Creatable => return Ok(pin::create(pass, memory)),
        Pin::Kept(version) => version,
    };
    let in_review = (grant != Grant::Usable).then(|| written(&pass.desired.display_name));
    let why = match grant {
        Grant::Usable => "register: the number is proven and its name is usable",
        Grant::TryOnce => {
            "register once while the name is in review: Meta's own pages disagree on whether that works"
        }
        Grant::Blind => "register: the number is proven, and Meta does not tell its name's state",
    };
    let step = Step::Register { account: seen.account.clone(), number: number.id.clone(), secret, in_review };
    Ok(pass.step(step, why.into(), cause))
}

/// 2388001 speaks of the name where that is in review, unless Meta's sentence says otherwise. The first look after it
/// tells, and that is remembered.
fn note_refusal(pass: &Pass, memory: &mut Memory, number: &Number, seen: &Seen) {
    let Some(last) = memory.ledger.last(StepKind::Register) else { return };
    let at = last.at;
    if in_use(last).is_some() {
        memory.marks.on_phone = Some(at);
        return;
    }
    let is_new = last.refused_with(2_388_001).is_some()
        && !memory.marks.tried_in_review.values().any(|tried| *tried == at)
        && memory.marks.on_phone != Some(at);
    if !is_new || seen.begun.is_none_or(|begun| begun <= at) {
        return;
    }
    let name = &pass.desired.display_name;
    if state(number, name) == NameState::Usable {
        memory.marks.on_phone = Some(at);
    } else {
        memory.marks.note_tried_in_review(&written(name), at);
    }
}

/// Meta's refusal that says that another account has the number, whatever became of its name.
fn in_use(last: &Entry) -> Option<&Refusal> {
    last.refused_with(2_388_001).filter(|refusal| refusal.says(Said::NumberInUse))
}

/// While another account has the number, that is what people are told: a name that is approved would not help.
fn is_free(pass: &Pass, memory: &Memory) -> Gate {
    let refusal = memory.ledger.last(StepKind::Register).and_then(in_use);
    match refusal.filter(|_| pass.retry.is_none()) {
        Some(refusal) => Err(Stop::block(remedy::certificate(pass, refusal))),
        None => Ok(()),
    }
}

/// Locks of Meta's own, which no consent opens.
pub(super) fn unlocked(pass: &Pass, memory: &Memory) -> Gate {
    let Some(last) = memory.ledger.last(StepKind::Register) else { return Ok(()) };
    let Some(refusal) = last.refusal.as_ref().filter(|_| last.outcome == EntryOutcome::Refused) else {
        return Ok(());
    };
    let Some((reason, until)) = lock(pass, last, refusal).filter(|(_, until)| *until > pass.now) else {
        return Ok(());
    };
    if refusal.says(Said::AppBlocked) {
        return Err(Stop::block(say::of_app(refusal)));
    }
    let what = match reason {
        Reason::RegistrationLimitReached => "Meta takes no registration of this number",
        Reason::NumberDeletedRecently => "the number was deleted just now and cannot be registered",
        Reason::PinLocked => "Meta takes no PIN for this number",
        _ => "Meta takes no registration",
    };
    let block = Block::new(
        reason,
        format!("{what} until {} ({}); trying sooner would not help", say::time(until), say::words(refusal)),
    );
    let block = match reason {
        // Adding needs the same pause; here it is the registration that waits.
        Reason::NumberDeletedRecently => block.asks(Action::AllowRegistration).at(Page::Numbers),
        _ => block,
    };
    Err(Stop::block(block.refused(Some(refusal)).until(until)))
}

fn lock(pass: &Pass, last: &Entry, refusal: &Refusal) -> Option<(Reason, Timestamp)> {
    let limits = pass.limits;
    let (reason, pause) = match refusal.code {
        133_016 => (Reason::RegistrationLimitReached, limits.registration_window),
        133_015 => (Reason::NumberDeletedRecently, limits.deleted_pause),
        133_008 | 133_009 => (Reason::PinLocked, pin::pause_of(pass, refusal)?),
        // Waiting helps with none of its causes.
        _ if refusal.names(2_388_001) => return None,
        _ if refusal.is_pause() => {
            let reason = match refusal.scope {
                Scope::Channel | Scope::Call => Reason::RegistrationPaused,
                _ => Reason::Throttled,
            };
            (reason, limits.throttled_pause)
        }
        _ => return None,
    };
    Some((reason, refusal.until.unwrap_or_else(|| later(last.at, pause))))
}

pub(super) fn below_total(pass: &Pass, memory: &Memory) -> Gate {
    let recent = recent(pass, memory);
    let total = pass.limits.registrations_total;
    if recent.len() < total {
        return Ok(());
    }
    let until = later(recent[recent.len() - total].at, pass.limits.registration_window);
    Err(Stop::block(limit_reached(recent.len(), until, "also with retry")))
}

fn recent<'a>(pass: &Pass, memory: &'a Memory) -> Vec<&'a Entry> {
    let from = Some(earlier(pass.now, pass.limits.registration_window));
    memory.ledger.since(StepKind::Register, from).collect()
}

fn limit_reached(count: usize, until: Timestamp, which: &str) -> Block {
    Block::new(
        Reason::RegistrationLimitReached,
        format!(
            "the number was registered {count} times in 72 hours without effect; Meta blocks it after ten, so the next attempt, {which}, is at {}",
            say::time(until)
        ),
    )
    .until(until)
}

/// Meta's last word, and what follows from it.
pub(super) fn next(pass: &Pass, memory: &Memory, number: &Number, seen: &Seen) -> Gate<Next> {
    let automatic = || Ok(Next::Schedule(Cause::Automatic));
    let Some(last) = memory.ledger.last(StepKind::Register) else { return automatic() };
    let Some(refusal) = last.refusal.as_ref().filter(|_| last.outcome == EntryOutcome::Refused) else {
        return automatic();
    };
    match refusal.code {
        133_005 | 133_008 => pin_mismatch(pass, memory, seen, number, last, refusal),
        131_031 if pin::is_locked(number) => Ok(Next::Asked(Box::new(account_locked(pass, refusal)))),
        131_031 => pin_mismatch(pass, memory, seen, number, last, refusal),
        133_000 => Ok(Next::Asked(Box::new(incomplete(pass, refusal)))),
        133_004 | 133_006 | 133_009 | 133_015 | 133_016 => automatic(),
        _ if refusal.says(Said::BusinessAppNumber) => {
            Ok(Next::Asked(Box::new(remedy::business_app(pass, refusal))))
        }
        _ if refusal.names(2_388_001) => certificate(pass, memory, seen, last, refusal),
        _ if refusal.hides_object() => hidden(pass, memory, refusal),
        // The next credential goes on from here.
        _ if refusal.is_about_credentials() => automatic(),
        _ if !refusal.asks_for_a_person() => automatic(),
        _ => {
            let block = say::not_for_its_value("Register", refusal, &then(pass, refusal));
            Ok(Next::Asked(Box::new(block.unwrap_or_else(|| refused(pass, refusal)))))
        }
    }
}

/// A plain 100 without a permission has two causes at a registration (recorded in May and August 2026).
fn then(pass: &Pass, refusal: &Refusal) -> String {
    let other = match refusal.code {
        100 if refusal.says(Said::PermissionMissing) => {
            "; where it has that already, the number may be one of the WhatsApp Business app, which no call registers: then set connection to Coexistence, and connect it in the app"
        }
        _ => "",
    };
    format!("{}{other}", pass.then_retry())
}

/// "Cannot create certificate": not the name where that was usable before and after.
fn certificate(pass: &Pass, memory: &Memory, seen: &Seen, last: &Entry, refusal: &Refusal) -> Gate<Next> {
    if memory.marks.on_phone == Some(last.at) {
        return Ok(Next::Asked(Box::new(remedy::certificate(pass, refusal))));
    }
    if seen.begun.is_none_or(|begun| begun <= last.at) {
        return Err(Stop::look_again("Meta refused the registration; the next look at the name shows why"));
    }
    Ok(Next::Schedule(Cause::Automatic))
}

/// Meta shows the number, and says at its registration that there is none: neither a wrong value nor proof that it is
/// gone. Few tries, then Meta's support.
fn hidden(pass: &Pass, memory: &Memory, refusal: &Refusal) -> Gate<Next> {
    let tries = memory.ledger.since(StepKind::Register, None).collect::<Vec<_>>();
    let is_hidden = |entry: &&&Entry| entry.refusal.as_ref().is_some_and(Refusal::hides_object);
    let alike = tries.iter().rev().take_while(is_hidden).count();
    if alike < pass.limits.registrations_hidden {
        return Ok(Next::Schedule(Cause::Automatic));
    }
    let trace = refusal.trace_id.as_deref().map(|id| format!(" and the trace id {id}")).unwrap_or_default();
    let block = Block::new(
        Reason::RegistrationRefused,
        format!(
            "Meta shows the number, and said at {alike} registrations that it does not exist ({}); see whether the system user has full control of the account; if it has, ask Meta's support, with the number{trace}; {}",
            say::words(refusal),
            pass.then_retry()
        ),
    );
    Ok(Next::Asked(Box::new(block.at(Page::Support).refused(Some(refusal)))))
}

/// Another version of the Secret is another PIN; Overwrite replaces Meta's once.
fn pin_mismatch(
    pass: &Pass,
    memory: &Memory,
    seen: &Seen,
    number: &Number,
    last: &Entry,
    refusal: &Refusal,
) -> Gate<Next> {
    let Pin::Kept(version) = pin::available(pass, memory, number)? else {
        return Ok(Next::Asked(Box::new(mismatch(pass, number, refusal))));
    };
    let set = memory.ledger.last(StepKind::SetPin);
    if set.is_some_and(|set| set.at > last.at && set.outcome == EntryOutcome::Accepted) {
        return Ok(Next::AtOnce);
    }
    // A PIN that was changed in its Secret replaced none that was unknown.
    let mut replaced = memory.ledger.of(StepKind::SetPin).iter().rev();
    let set = replaced.find(|entry| entry.counts() && entry.cause != Cause::Secret);
    if last.subject != Some(version.as_subject()) {
        return Ok(Next::Schedule(Cause::Secret));
    }
    // No PIN of Meta's is replaced for what an object before this one was told.
    if pass.desired.registration.pin_policy == PinPolicy::Overwrite && !memory.is_own(last) {
        return Ok(Next::Schedule(Cause::Automatic));
    }
    if pass.desired.registration.pin_policy == PinPolicy::Keep {
        return Ok(Next::Asked(Box::new(mismatch(pass, number, refusal))));
    }
    let set = match set.and_then(|set| pin::pause_after(pass, memory, &version, set)) {
        Some((until, refusal)) if until > pass.now => {
            return Err(Stop::block(pin::locked(refusal, until)));
        }
        Some(_) => None,
        None => set,
    };
    let cause = match (&pass.retry, set) {
        // The registration itself sets the PIN where there is none any more.
        (Some(_), Some(set)) if set.refused_with(NOT_REGISTERED).is_some() => {
            return Ok(Next::Schedule(Cause::Automatic));
        }
        (Some(retry), _) => Cause::Retry(retry.value.clone()),
        (None, None) => Cause::Automatic,
        (None, Some(set)) => return Ok(Next::Asked(Box::new(not_replaced(pass, number, set, refusal)))),
    };
    undecided::may_send(pass, StepKind::SetPin, memory)?;
    let step = Step::SetPin { account: seen.account.clone(), number: number.id.clone(), secret: version };
    Err(pass.step(step, "replace the unknown PIN, as pinPolicy Overwrite allows".into(), cause))
}

/// Meta's answer to a new PIN for a number that is registered nowhere (recorded in June 2026).
const NOT_REGISTERED: i64 = 133_010;

/// Replacing the PIN did not help; why, where Meta said so.
fn not_replaced(pass: &Pass, number: &Number, set: &Entry, refusal: &Refusal) -> Block {
    let Some(why) = set.refusal.as_ref() else { return mismatch(pass, number, refusal) };
    say::not_for_its_value("SetPin", why, &pass.then_retry()).unwrap_or_else(|| {
        let key = &pass.desired.registration.pin_secret;
        let (what, other) = if why.names(NOT_REGISTERED) {
            let off = format!("{}, {}", pin::switch_off(number), pass.then_retry());
            ("replaces none while the number is not registered", off)
        } else {
            ("refused to replace it", format!("replace it once more with {}", pass.command("retry")))
        };
        Block::new(
            Reason::PinMismatch,
            format!(
                "the PIN is not the one that Meta holds for the number, and Meta {what} ({}); write the right one to Secret {}, key {}, or {other}",
                say::words(why),
                key.name,
                key.key,
            ),
        )
        .refused(Some(why))
    })
}

fn mismatch(pass: &Pass, number: &Number, refusal: &Refusal) -> Block {
    let key = &pass.desired.registration.pin_secret;
    let remedy = match pass.desired.registration.pin_policy {
        PinPolicy::Keep => format!(
            "write the right one to Secret {}, key {}, or {}, {}; registration.pinPolicy Overwrite replaces it, which Meta refuses with code 133010 while the number is registered nowhere",
            key.name,
            key.key,
            pin::switch_off(number),
            pass.then_retry()
        ),
        PinPolicy::Overwrite => format!(
            "replacing it was tried; write the right one to Secret {}, key {}, or replace it once more with {}",
            key.name,
            key.key,
            pass.command("retry")
        ),
    };
    Block::new(
        Reason::PinMismatch,
        format!("the PIN is not the one that Meta holds for the number ({}); {remedy}", say::words(refusal)),
    )
    .refused(Some(refusal))
}

fn account_locked(pass: &Pass, refusal: &Refusal) -> Block {
    Block::new(
        Reason::AccountLocked,
        format!(
            "Meta locked the account ({}); see why and appeal in Business Support Home, {}",
            say::words(refusal),
            pass.then_retry()
        ),
    )
    .refused(Some(refusal))
}

fn incomplete(pass: &Pass, refusal: &Refusal) -> Block {
    Block::new(
        Reason::IncompleteDeregistration,
        format!(
            "an earlier deregistration of the number did not complete at Meta ({}); have it deregistered again where it was, {}",
            say::words(refusal),
            pass.then_retry()
        ),
    )
    .refused(Some(refusal))
}

fn refused(pass: &Pass, refusal: &Refusal) -> Block {
    Block::new(
        Reason::RegistrationRefused,
        format!(
            "Meta refused to register the number ({}); put right what it names, {}",
            say::words(refusal),
            pass.then_retry()
        ),
    )
    .refused(Some(refusal))
}

/// Some numbers are registered only when a person asks, whatever the schedule says.
fn if_asked(pass: &Pass, memory: &Memory, number: &Number, next: Next) -> Next {
    match next {
        Next::Schedule(_) if memory.marks.fell_back_since().is_some() && !memory.marks.is_moving => {
            Next::Asked(Box::new(fell_back(pass, memory, number)))
        }
        Next::Schedule(_) if is_unproven_sandbox(number) => Next::Asked(Box::new(sandbox(pass))),
        next => next,
    }
}

/// A sandbox number may work without being proven.
pub(super) fn is_unproven_sandbox(number: &Number) -> bool {
    number.account_mode == Field::Is(AccountMode::Sandbox)
        && number.code.value() != Some(&CodeStatus::Verified)
}

/// A number that fell back may have been moved on purpose. So nothing at all is written to it, no name and no code
/// either, before a person has asked for something since.
pub(super) fn asked_since_it_fell_back(pass: &Pass, memory: &Memory, number: &Number) -> Gate {
    let since = memory.marks.fell_back_since().filter(|_| !memory.marks.is_moving);
    let Some(since) = since else { return Ok(()) };
    let is_asked = pass.retry.is_some() || pass.send_code.is_some();
    let was_asked = [StepKind::RequestCode, StepKind::Register].into_iter().any(|kind| {
        let tries = memory.ledger.since(kind, Some(since));
        tries.into_iter().any(|entry| matches!(entry.cause, Cause::SendCode(_) | Cause::Retry(_)))
    });
    if is_asked || was_asked { Ok(()) } else { Err(Stop::block(fell_back(pass, memory, number))) }
}

fn fell_back(pass: &Pass, memory: &Memory, number: &Number) -> Block {
    let was = format!(
        "{} was registered and is not any more; a person, or another partner of the number, may have deregistered or moved it on purpose: ask them first",
        pass.desired.number,
    );
    let if_ignored = "the number stays unregistered and cannot send or receive";
    if naming::is_renamed(memory, number) {
        let block = Block::new(
            Reason::FellBack,
            format!(
                "{was}; Meta reviews {}, and nobody can have the number registered before that has ended, since that would make the name live unreviewed",
                naming::reviewed(number)
            ),
        );
        return block.asks(Action::ReviewName).at(Page::Numbers).or_else(if_ignored);
    }
    let is_proven = number.code.value() == Some(&CodeStatus::Verified) && !memory.marks.needs_new_proof();
    let needs_code = !is_proven && !is_unproven_sandbox(number);
    let how = if needs_code {
        format!("ask for a code with {}, and then run {}", pass.command("send-code"), pass.command("retry"))
    } else {
        format!("run {}", pass.command("retry"))
    };
    let block = Block::new(Reason::FellBack, format!("{was}; to register it again {how}"));
    let block = if needs_code { block.asks(Action::AskForCode) } else { block };
    block.or_else(if_ignored)
}

fn sandbox(pass: &Pass) -> Block {
    Block::new(
        Reason::SandboxNumberNotVerified,
        format!(
            "{} is a sandbox number that is not proven by a code; such numbers may register without one: to try it once run {}",
            pass.desired.number,
            pass.command("retry")
        ),
    )
}

/// The limit of automatic attempts, and the pauses between them.
pub(super) fn scheduled(pass: &Pass, memory: &Memory, grant: Grant) -> Gate {
    let limits = pass.limits;
    let recent = recent(pass, memory);
    let own: Vec<_> = recent.iter().filter(|entry| !matches!(entry.cause, Cause::Retry(_))).collect();
    if own.len() >= limits.registrations_automatic {
        let until = later(own[own.len() - limits.registrations_automatic].at, limits.registration_window);
        let mut block =
            limit_reached(own.len(), until, &format!("unless asked for with {},", pass.command("retry")));
        block.failure = recent.last().and_then(|e| e.refusal.clone()).map(Failure::Refused);
        return Err(Stop::block(block));
    }
    let Some(last) = recent.last() else { return Ok(()) };
    let mut pause = time::pause(&limits.registration_pauses, recent.len());
    if grant == Grant::Blind {
        pause = pause.max(limits.registration_blind_pause);
    }
    if is_history_unknown(pass, memory) {
        pause = pause.max(limits.registration_unknown_history);
    }
    let until = later(last.at, pause);
    if pass.now >= until {
        return Ok(());
    }
    Err(Stop::block(paused(pass, last, until)))
}

/// A number that was adopted may have been registered just now, for example by another object of the same name, and Meta
/// shows that late. So we wait. Only a verified number can be registered: if this object verified it, there is no wait.
fn after_others(pass: &Pass, memory: &Memory, seen: &Seen) -> Gate {
    let ledger = &memory.ledger;
    let own = |kind| ledger.last(kind).filter(|last| memory.is_own(last));
    let proved = own(StepKind::VerifyCode).is_some_and(|last| last.outcome == EntryOutcome::Accepted);
    let Some(adopted) = memory.marks.adopted_since() else { return Ok(()) };
    if proved || own(StepKind::Register).is_some() {
        return Ok(());
    }
    let until = later(adopted, pass.limits.settle_register);
    if pass.now < until {
        return Err(Stop::block(
            Block::new(
                Reason::RegistrationPaused,
                format!(
                    "{} was found in the account, and a registration by its previous user may not be visible yet; the first of this object is at {}; to register sooner run {}",
                    pass.desired.number,
                    say::time(until),
                    pass.command("retry")
                ),
            )
            .until(until),
        ));
    }
    if seen.begun.is_none_or(|begun| begun < until) {
        return Err(Stop::look_again("the next look shows whether the number was registered before"));
    }
    Ok(())
}

/// Meta remembers attempts of others for as long as its window lasts.
fn is_history_unknown(pass: &Pass, memory: &Memory) -> bool {
    let adopted = memory.marks.adopted_since();
    adopted.is_some_and(|at| pass.now < later(at, pass.limits.registration_window))
}

fn paused(pass: &Pass, last: &Entry, until: Timestamp) -> Block {
    if let Some(block) = last.refusal.as_ref().and_then(|refusal| say::of_token("Register", refusal)) {
        return block.until(until);
    }
    let words = match &last.refusal {
        Some(refusal) => format!("was refused ({})", say::words(refusal)),
        None => "had no effect that Meta shows".into(),
    };
    Block::new(
        Reason::RegistrationPaused,
        format!(
            "the registration at {} {words}; the next is at {}, since attempts are few; to try sooner run {}",
            say::time(last.at),
            say::time(until),
            pass.command("retry")
        ),
    )
    .refused(last.refusal.as_ref())
    .until(until)
}
