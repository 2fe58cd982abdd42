//! Is the number an official business account, or is a request for it open? One goes out only when a person asks, and never
//! again within 30 days: a denied one locks the number out for so long.

use jiff::Timestamp;

use crate::engine::{
    plan::{
        pass::{Gate, Pass, Seen, Stop, Writable},
        remedy, undecided,
    },
    rule::say,
    value::{
        action::Action,
        block::Block,
        failure::Refusal,
        id::{Fact, NameStatus, OfficialStatus, VerificationStatus},
        memory::{Entry, EntryOutcome, Memory},
        observed::{Number, Official, PortfolioState},
        reason::Reason,
        step::{Cause, Step, StepKind},
        time::later,
    },
};

/// Requests an official business account, once a person has asked for it.
pub(super) fn requested(
    pass: &Pass,
    memory: &mut Memory,
    number: &Number,
    seen: &Seen,
    writable: &Writable,
) -> Gate {
    let Some(application) = &pass.desired.official else { return Ok(()) };
    let shown = match (pass.observed.official_of(number), &pass.observed.official) {
        (Some(shown), _) => shown,
        (None, Fact::Unknown(failure)) => {
            return Err(Stop::block(say::unreadable("the official business account", failure)));
        }
        (None, _) => {
            return Err(Stop::look_again("the official business account has not been read yet"));
        }
    };
    if proves_request(&shown.status) {
        note_arrived(memory);
    }
    match &shown.status {
        OfficialStatus::Approved => return Ok(()),
        OfficialStatus::Pending | OfficialStatus::UnderReview => {
            return Err(Stop::block(Block::new(
                Reason::OfficialAccountInReview,
                format!("Meta reviews the request for an official business account{}", reason_of(shown)),
            )));
        }
        OfficialStatus::Other(word) => {
            return Err(Stop::block(remedy::not_known("oba_status", word, "the number")));
        }
        OfficialStatus::NotStarted
        | OfficialStatus::Rejected
        | OfficialStatus::Expired
        | OfficialStatus::Cancelled => {}
    }
    may_request(writable)?;
    paused(pass, memory, shown)?;
    let block = wanting(pass, memory, shown);
    let missing = missing(pass, memory, number);
    if !missing.is_empty() {
        let message = format!("{}; Meta wants before: {}", block.message, missing.join(", "));
        return Err(Stop::block(Block { message, ..block }));
    }
    let Some(consent) = &pass.official else { return Err(Stop::block(block)) };
    undecided::may_send(pass, StepKind::RequestOfficial, memory)?;
    let step = Step::RequestOfficial {
        account: seen.account.clone(),
        number: number.id.clone(),
        application: application.clone(),
    };
    let why = "request an official business account; Meta takes no other request for 30 days";
    Err(pass.step(step, why.into(), Cause::Official(consent.value.clone())))
}

/// Whether Meta shows that a request arrived: none is sent while it shows one of these. NOT_STARTED proves nothing, since nobody
/// recorded how soon a request shows; the other words may be of a request before.
fn proves_request(status: &OfficialStatus) -> bool {
    matches!(status, OfficialStatus::Pending | OfficialStatus::UnderReview | OfficialStatus::Approved)
}

/// The last request, whose answer was lost, arrived.
fn note_arrived(memory: &mut Memory) {
    let last = memory.ledger.officials.iter_mut().rev().find(|entry| entry.counts());
    if let Some(last) = last.filter(|last| last.outcome != EntryOutcome::Started && last.is_inconclusive()) {
        (last.outcome, last.refusal) = (EntryOutcome::Accepted, None);
    }
}

/// When the state is read again by itself, where no list shows it.
pub(super) fn look_at(pass: &Pass, memory: &Memory) -> Option<Timestamp> {
    pass.desired.official.as_ref().filter(|_| !memory.is_unfinished())?;
    match &pass.observed.official {
        Fact::NotAsked => None,
        // What Meta does not show to this app is asked for as rarely as what is there.
        Fact::Unknown(failure) if failure.refusal().is_some() => {
            Some(later(pass.now, pass.limits.fresh_aside))
        }
        Fact::Unknown(_) => Some(later(pass.now, pass.limits.fresh_profile)),
        Fact::Known(_) => Some(later(pass.now, pass.limits.fresh_aside)),
    }
}

/// Whether Meta may have taken a request.
fn may_be_open(entry: &Entry) -> bool {
    entry.outcome != EntryOutcome::Refused || entry.is_inconclusive()
}

fn may_request(writable: &Writable) -> Gate {
    let not_requested = |reason, why: &str| {
        let block = Block::new(reason, format!("no official business account is requested: {why}"));
        Stop::block(match reason {
            Reason::OfficialAccountNotRequested => block.asks(Action::AlignSettings),
            _ => block,
        })
    };
    match writable {
        Writable::Yes => Ok(()),
        Writable::No(why) => Err(not_requested(Reason::OfficialAccountNotRequested, why)),
        Writable::Incomplete(why) => Err(not_requested(Reason::ObservationIncomplete, why)),
    }
}

/// Blocks for 30 days after a request that Meta may have taken.
fn paused(pass: &Pass, memory: &Memory, shown: &Official) -> Gate {
    let last = memory.ledger.last(StepKind::RequestOfficial).filter(|last| may_be_open(last));
    let Some(last) = last else { return Ok(()) };
    let until = later(last.at, pass.limits.official_pause);
    if pass.now >= until {
        return Ok(());
    }
    if memory.in_flight.as_ref().is_some_and(|intent| intent.id == last.id) {
        return undecided::none_open(pass, memory);
    }
    let settling = undecided::settling(pass, StepKind::RequestOfficial, last).filter(|at| pass.now < *at);
    if let (OfficialStatus::NotStarted, Some(at)) = (&shown.status, settling) {
        return Err(undecided::open(StepKind::RequestOfficial, last, at));
    }
    let (at, again) = (say::time(last.at), format!("from {} on it can be requested again", say::time(until)));
    let block = match shown.status {
        OfficialStatus::NotStarted if last.outcome == EntryOutcome::Accepted => Block::new(
            Reason::OfficialAccountInReview,
            format!(
                "an official business account was requested at {at}, and Meta has not told what becomes of it; {again}"
            ),
        ),
        OfficialStatus::NotStarted => Block::new(
            Reason::OfficialAccountPaused,
            format!(
                "an official business account was requested at {at}, and {}; Meta shows NOT_STARTED, which does not prove that the request did not arrive, and a second one may lock the number out for 30 days, so it counts as sent; look in WhatsApp Manager whether a request is open, and request it there if none is; {again} with {}",
                say::undecided(last.refusal.as_ref()),
                command(pass)
            ),
        ),
        _ => Block::new(
            Reason::OfficialAccountPaused,
            format!(
                "Meta shows {} for the official business account that was requested at {at}{}; {again} with {}",
                shown.status,
                reason_of(shown),
                command(pass)
            ),
        ),
    };
    Err(Stop::block(block.refused(last.refusal.as_ref()).until(until)))
}

/// What waits for a person, as things are.
fn wanting(pass: &Pass, memory: &Memory, shown: &Official) -> Block {
    let last = memory.ledger.last(StepKind::RequestOfficial);
    if let Some(refusal) = last.filter(|last| !may_be_open(last)).and_then(|last| last.refusal.as_ref()) {
        return refused(pass, refusal);
    }
    let (reason, fact) = match shown.status {
        OfficialStatus::Rejected => (
            Reason::OfficialAccountRejected,
            format!(
                "Meta rejected a request for an official business account{}{}",
                reason_of(shown),
                match last {
                    Some(_) => "",
                    None => "; this channel did not make it, and Meta wants 30 days between two, so look in WhatsApp Manager when it was",
                }
            ),
        ),
        OfficialStatus::Expired => (
            Reason::OfficialAccountNotRequested,
            format!("the official business account has expired{}", reason_of(shown)),
        ),
        OfficialStatus::Cancelled => (
            Reason::OfficialAccountNotRequested,
            format!("the request for an official business account was cancelled{}", reason_of(shown)),
        ),
        _ => (
            Reason::OfficialAccountNotRequested,
            "no official business account was requested; Meta wants a notable brand, a verified business, an approved name, two-step verification and 30 days on the platform".into(),
        ),
    };
    Block::new(reason, format!("{fact}; to request it run {}", command(pass)))
}

fn refused(pass: &Pass, refusal: &Refusal) -> Block {
    let then = format!("then run {}", command(pass));
    if let Some(block) =
        say::not_for_its_value("the request for an official business account", refusal, &then)
    {
        return block;
    }
    Block::new(
        Reason::OfficialAccountRefused,
        format!(
            "Meta refused the request for an official business account ({}); correct spec.officialBusinessAccount, {then}",
            say::words(refusal)
        ),
    )
    .refused(Some(refusal))
}

/// What Meta wants before, and is known not to be there. A request that is denied for it costs 30 days.
fn missing(pass: &Pass, memory: &Memory, number: &Number) -> Vec<String> {
    let verification = match &pass.observed.portfolio {
        PortfolioState::View(view) => view.facts.known().and_then(|business| business.verification.as_ref()),
        _ => None,
    };
    let is_named = number.name_status.value().is_none_or(|status| *status == NameStatus::Approved);
    let stands = [
        (verification.is_some_and(|word| *word != VerificationStatus::Verified), "a verified business"),
        (!is_named, "an approved display name"),
        (number.is_pin_enabled.value() == Some(&false), "two-step verification"),
    ];
    let mut missing: Vec<String> =
        stands.iter().filter(|(is_missing, _)| *is_missing).map(|(_, what)| (*what).to_owned()).collect();
    if let Some(until) = young_until(pass, memory) {
        missing.push(format!("30 days on the platform, which are over at {}", say::time(until)));
    }
    missing
}

/// Until when a number is known to be too new. Only of one that this object added is it known when that began.
fn young_until(pass: &Pass, memory: &Memory) -> Option<Timestamp> {
    let began = memory.marks.seen_registered().filter(|_| memory.knows_history())?;
    let until = later(began, pass.limits.official_age);
    (pass.now < until).then_some(until)
}

fn reason_of(shown: &Official) -> String {
    shown
        .message
        .as_ref()
        .map_or_else(String::new, |why| format!(" (Meta says: {})", why.trim_end_matches('.')))
}

fn command(pass: &Pass) -> String {
    pass.command("request-official-account")
}
