//! Adding the number: when it is tried, and what an add that did not work waits for.

use std::convert::Infallible;

use jiff::Timestamp;

use crate::engine::{
    plan::{
        find,
        pass::{Gate, Pass, Seen, Stop},
        remedy, undecided,
    },
    rule::{
        adding::{self, Again},
        say,
    },
    value::{
        action::Action,
        block::Block,
        desired::{Connection, Management},
        display_name::written,
        failure::Refusal,
        memory::{Entry, Memory},
        page::Page,
        portfolio::PortfolioView,
        reason::Reason,
        step::{Cause, Step, StepKind},
        time::{later, pause},
    },
};

/// Adds the number, once every list is complete and none has it, or says what that waits for.
pub(super) fn add(pass: &Pass, memory: &Memory, view: &PortfolioView, seen: &Seen) -> Gate<Infallible> {
    may_be_added(pass)?;
    let cause = unless_unread(pass, memory, view, seen, add_cause(pass, memory))?;
    undecided::may_send(pass, StepKind::AddNumber, memory)?;
    find::lists_complete(pass, view, seen)?;
    Err(step(pass, memory, view, seen, cause))
}

fn may_be_added(pass: &Pass) -> Gate {
    let digits = &pass.desired.number;
    if pass.desired.management == Management::ObserveOnly {
        return Err(Stop::block(remedy::observe_only(pass, &format!("{digits} is in no account in reach"))));
    }
    if pass.desired.connection == Connection::Coexistence {
        return Err(Stop::block(remedy::not_onboarded(&format!("{digits} is in no account in reach"))));
    }
    Ok(())
}

/// What is not known to be absent is added once per `retry`, and not by itself.
fn unless_unread(
    pass: &Pass,
    memory: &Memory,
    view: &PortfolioView,
    seen: &Seen,
    cause: Gate<Cause>,
) -> Gate<Cause> {
    let is_due = match &cause {
        Ok(cause) => *cause == Cause::Automatic,
        // Meta has said already what these entries leave open.
        Err(_) => memory.ledger.last(StepKind::AddNumber).is_some_and(find::is_held_already),
    };
    match (find::unread_entries(pass, memory, view, seen).filter(|_| is_due), &pass.retry) {
        (None, _) => cause,
        (Some(_), Some(retry)) => Ok(Cause::Retry(retry.value.clone())),
        (Some(block), None) => Err(Stop::block(block)),
    }
}

fn step(pass: &Pass, memory: &Memory, view: &PortfolioView, seen: &Seen, cause: Cause) -> Stop {
    let step = Step::AddNumber {
        account: seen.account.clone(),
        number: pass.desired.number.clone(),
        name: written(&pass.desired.display_name),
    };
    let why = match find::unread_entries(pass, memory, view, seen) {
        None => "no account in reach has it",
        Some(_) => "no account in reach shows it, and an entry shows no number",
    };
    pass.step(step, format!("add {} to account {}: {why}", pass.desired.number, seen.account), cause)
}

fn add_cause(pass: &Pass, memory: &Memory) -> Gate<Cause> {
    let block = memory.ledger.last(StepKind::AddNumber).and_then(|last| {
        match adding::again(pass.desired, memory, last, pass.limits) {
            Again::At(until) if pass.now < until => Some(not_added(pass, memory, last).until(until)),
            Again::WhenAsked => Some(not_added(pass, memory, last)),
            Again::Now | Again::At(_) => None,
        }
    });
    match (block, &pass.retry) {
        // A number that vanished is added again by `retry` alone, whatever became of its first add.
        (None, Some(retry)) if memory.number.is_some() => Ok(Cause::Retry(retry.value.clone())),
        (None, _) => Ok(Cause::Automatic),
        (Some(block), Some(retry)) if may_retry_add(&block) => Ok(Cause::Retry(retry.value.clone())),
        (Some(block), _) => Err(Stop::block(block)),
    }
}

/// A restriction with a date ends at that date; a person cannot shorten it.
fn may_retry_add(block: &Block) -> bool {
    !matches!(
        block.reason,
        Reason::AddingRestricted | Reason::NumberDeletedRecently | Reason::MetaUnavailable
    )
}

/// What an add that did not work waits for, in words.
fn not_added(pass: &Pass, memory: &Memory, last: &Entry) -> Block {
    let block = match (adding::refused(last), &last.refusal) {
        (Some(refusal), _) => add_refused(pass, refusal),
        (None, Some(refusal)) if adding::is_given_up(memory, last, pass.limits) => {
            add_given_up(pass, memory, last, refusal)
        }
        (None, _) => return add_unanswered(pass, memory, last),
    };
    block.refused(last.refusal.as_ref())
}

fn add_given_up(pass: &Pass, memory: &Memory, last: &Entry, refusal: &Refusal) -> Block {
    Block::new(
        Reason::AddRefused,
        format!(
            "Meta answered {} times that adding {} failed, without a reason ({}); look at the account in WhatsApp Manager, or ask Meta's support with the trace id, {}",
            adding::tries_alike(memory, last, refusal.code),
            pass.desired.number,
            say::words(refusal),
            pass.then_retry()
        ),
    )
    .at(Page::Support)
}

fn add_unanswered(pass: &Pass, memory: &Memory, last: &Entry) -> Block {
    let refusal = last.refusal.as_ref();
    let tries = adding::unanswered(memory);
    let until = later(last.at, pause(&pass.limits.repeatable_pauses, tries.saturating_sub(1)));
    Block::new(
        Reason::MetaUnavailable,
        format!(
            "adding {} got no usable answer {tries} times and had no effect{}; again at {}",
            pass.desired.number,
            refusal.map_or_else(String::new, |refusal| format!(" ({})", say::words(refusal))),
            say::time(until)
        ),
    )
    .refused(refusal)
}

fn add_refused(pass: &Pass, refusal: &Refusal) -> Block {
    let words = say::words(refusal);
    let digits = &pass.desired.number;
    if refusal.names(2_388_001) {
        remedy::certificate(pass, refusal)
    } else if adding::is_by_hand(refusal) {
        by_hand(pass, &words)
    } else if let Some(until) = refusal.paused_until() {
        postponed(digits.as_str(), refusal, until, &words)
    } else if adding::is_limit(refusal) {
        limit_reached(digits.as_str(), &words)
    } else if refusal.code == 368 {
        Block::new(
            Reason::AccountRestricted,
            format!("Meta restricts the account ({words}); appeal in Business Support Home"),
        )
    } else if adding::is_not_told(refusal) {
        full_or_another_cause(&words, pass, refusal)
    } else if let Some(block) = say::not_for_its_value("AddNumber", refusal, &pass.then_retry()) {
        block
    } else {
        one_of_four_causes(pass, &words)
    }
}

fn one_of_four_causes(pass: &Pass, words: &str) -> Block {
    Block::new(
        Reason::AddRefused,
        format!(
            "Meta refused to add {} ({words}); it may be active in a WhatsApp app, registered with another provider, banned, or the number or name may not be valid; put that right, {}",
            pass.desired.number,
            pass.then_retry()
        ),
    )
    .asks(Action::FreeNumber)
    .at(Page::Numbers)
}

fn by_hand(pass: &Pass, words: &str) -> Block {
    Block::new(
        Reason::AddedByHandOnly,
        format!(
            "Meta takes no number for this account by a call ({words}); add {} in WhatsApp Manager, and it is taken up from there; an account of the WhatsApp Business app takes no second number at all: create another account, and create the channel anew with its accountId; to try once more run {}",
            pass.desired.number,
            pass.command("retry")
        ),
    )
}

fn limit_reached(digits: &str, words: &str) -> Block {
    Block::new(
        Reason::NumberLimitReached,
        format!(
            "the portfolio may hold no further number, so {digits} was not added ({words}); verify the business, or ask Meta's support for more, or delete a number; it is tried again daily"
        ),
    )
}

/// A wait of Meta's own about the number; one about the account is a throttle, and the add was never counted.
fn postponed(digits: &str, refusal: &Refusal, until: Timestamp, words: &str) -> Block {
    let (reason, message) = match refusal.code {
        133_015 => (Reason::NumberDeletedRecently, format!("{digits} was deleted a moment ago")),
        _ => (Reason::AddingRestricted, format!("Meta does not add {digits} for now")),
    };
    Block::new(reason, format!("{message} ({words}); it is added at {}", say::time(until)))
}

fn full_or_another_cause(words: &str, pass: &Pass, refusal: &Refusal) -> Block {
    let other = if refusal.names(200_000) {
        "the number may be in use in a WhatsApp app, with another provider or in another business (release it there)"
    } else {
        "the token's user may lack full control of the account (grant it in the business settings)"
    };
    Block::new(
        Reason::AddRefused,
        format!(
            "Meta does not let {} be added ({words}), and does not tell which of two causes it has: the portfolio may hold no further number (verify the business, delete a number, or ask Meta's support for more), or {other}; it is tried again daily; sooner: {}",
            pass.desired.number,
            pass.command("retry")
        ),
    )
    .asks(Action::AllowNumber)
    .at(Page::Numbers)
}
