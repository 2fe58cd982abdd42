//! The number: found, adopted, added, or somewhere else.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Block, Gate, Pass, Seen, Stop, naming, say, undecided};
use crate::engine::{
    action::Action,
    desired::{Connection, Desired, Management},
    failure::{Class, Refusal},
    id::{AccountId, NumberStatus},
    limits::{Limits, earlier, later},
    memory::{Cause, Entry, EntryOutcome, Memory, StepKind},
    observed::{ListState, Number, Searched},
    page::Page,
    portfolio::PortfolioView,
    reach,
    reason::Reason,
    step::Step,
};

/// What the target account's list shows of the number.
pub(super) fn see(pass: &Pass, memory: &Memory, account: AccountId) -> Gate<Seen> {
    let Some(searched) = list_of(pass, &account) else {
        return Err(Stop::look_again(format!("the numbers of account {account} have not been read yet")));
    };
    let begun = match &searched.list {
        ListState::Complete { begun } => Some(*begun),
        ListState::Failed(failure) | ListState::NotCheckable(failure) => {
            return Err(Stop::block(say::unreadable(&format!("the numbers of account {account}"), failure)));
        }
    };
    let number = pick(memory, searched);
    Ok(Seen { account, begun, number })
}

fn list_of<'a>(pass: &Pass<'a>, account: &AccountId) -> Option<&'a Searched> {
    pass.observed.search.iter().find(|searched| searched.account == *account)
}

/// The live entry: the one already known, else the first by id.
fn pick(memory: &Memory, searched: &Searched) -> Option<Arc<Number>> {
    let live = searched.numbers.iter().filter(|number| !has_left(number));
    live.min_by_key(|number| (Some(&number.id) != memory.number.as_ref(), number.id.clone())).cloned()
}

fn has_left(number: &Number) -> bool {
    matches!(number.status.value(), Some(NumberStatus::Migrated | NumberStatus::Deleted))
}

/// Remembers a number that was found: whose it is, and under which id.
pub(super) fn note(pass: &Pass, memory: &mut Memory, number: &Number) {
    let is_new = memory.number.as_ref() != Some(&number.id);
    let own =
        memory.ledger.last(StepKind::AddNumber).filter(|entry| may_be_ours(entry)).map(|entry| entry.at);
    memory.marks.missing_since = None;
    if is_new {
        let was_known = memory.number.replace(number.id.clone()).is_some();
        match own.filter(|_| {
            !was_known || memory.marks.added.is_none_or(|added| own.is_some_and(|own| added < own))
        }) {
            Some(at) => memory.marks.note_added(at),
            None => memory.marks.adopted = Some(pass.now),
        }
    } else if memory.marks.added.is_none() && memory.marks.adopted.is_none() {
        memory.marks.adopted = Some(pass.now);
    }
}

/// An add that was answered, may have worked, or met its own earlier effect.
fn may_be_ours(entry: &Entry) -> bool {
    entry.outcome == EntryOutcome::Accepted
        || entry.is_inconclusive()
        || entry.refused_with(2_388_012).is_some()
}

/// The number, or the reason why it is not there; adds it where every list is complete and none has it.
pub(super) fn number(
    pass: &Pass,
    memory: &mut Memory,
    view: &PortfolioView,
    seen: &Seen,
) -> Gate<Arc<Number>> {
    if let Some(number) = &seen.number {
        return Ok(Arc::clone(number));
    }
    has_not_left(pass, seen)?;
    undecided::none_open(pass, memory)?;
    undecided::settled(pass, StepKind::AddNumber, memory, seen)?;
    is_nowhere_else(pass, memory, view, seen)?;
    if memory.number.is_some() {
        missing(pass, memory, view, seen)?;
    }
    may_be_added(pass)?;
    let cause = add_cause(pass, memory)?;
    undecided::may_send(pass, StepKind::AddNumber, memory)?;
    lists_complete(pass, view, seen)?;
    Err(add(pass, seen, cause))
}

/// An entry that says so ends it: such a number is not added again by itself.
fn has_not_left(pass: &Pass, seen: &Seen) -> Gate {
    let gone =
        list_of(pass, &seen.account).and_then(|searched| searched.numbers.iter().find(|n| has_left(n)));
    let Some(number) = gone else { return Ok(()) };
    let digits = &pass.desired.number;
    let account = &seen.account;
    Err(Stop::block(match number.status.value() {
        Some(NumberStatus::Migrated) => Block::new(
            Reason::NumberMigrated,
            format!(
                "{digits} was migrated from account {account} to another; point the channel at that account by creating it anew with its accountId, or delete the channel"
            ),
        ),
        _ => Block::new(
            Reason::NumberDeleted,
            format!(
                "{digits} was deleted from account {account} in WhatsApp Manager; add it there again, or delete the channel"
            ),
        ),
    }))
}

fn is_nowhere_else(pass: &Pass, memory: &Memory, view: &PortfolioView, seen: &Seen) -> Gate {
    let hit = pass.observed.search.iter().find(|searched| {
        searched.account != seen.account && searched.numbers.iter().any(|number| !has_left(number))
    });
    let Some(hit) = hit else { return Ok(()) };
    let digits = &pass.desired.number;
    let place = if reach::is_granted(view, &pass.desired.namespace, &hit.account) {
        format!("account {}", hit.account)
    } else {
        "another account of the portfolio".into()
    };
    let remedy = match &memory.account {
        Some(_) if memory.number.is_some() => {
            "create the channel anew with that accountId, or move the number back"
        }
        _ => "create the channel with that accountId, or migrate the number in WhatsApp Manager",
    };
    Err(Stop::block(Block::new(
        Reason::NumberInOtherAccount,
        format!(
            "{digits} is in {place} and not in account {}; it is not added a second time; {remedy}",
            seen.account
        ),
    )))
}

/// A number that was there and is not: believed from the second look on, and added again only when asked.
fn missing(pass: &Pass, memory: &mut Memory, view: &PortfolioView, seen: &Seen) -> Gate {
    let digits = &pass.desired.number;
    let account = &seen.account;
    let begun = seen.begun.unwrap_or(pass.now);
    let since = *memory.marks.missing_since.get_or_insert(begun);
    if begun < later(since, pass.limits.fresh_after_write) {
        return Err(Stop::block(
            Block::new(
                Reason::ObservationIncomplete,
                format!("{digits} is no longer listed in account {account}; it is looked for once more before anything is concluded"),
            )
            .asks(Action::ConfirmChange)
            .at(Page::Numbers)
            .until(later(since, pass.limits.fresh_after_write)),
        ));
    }
    lists_complete(pass, view, seen)?;
    if pass.retry.is_some() && pass.desired.management == Management::Full {
        return Ok(());
    }
    Err(Stop::block(
        Block::new(
            Reason::NumberDeleted,
            format!(
                "{digits} was in account {account} and is in no account in reach any more; to add it again run {}",
                pass.command("retry")
            ),
        )
        .asks(Action::Retry)
        .at(Page::Numbers),
    ))
}

fn may_be_added(pass: &Pass) -> Gate {
    let digits = &pass.desired.number;
    if pass.desired.management == Management::ObserveOnly {
        return Err(Stop::block(super::observe_only(pass, &format!("{digits} is in no account in reach"))));
    }
    if pass.desired.connection == Connection::Coexistence {
        return Err(Stop::block(super::not_onboarded(&format!("{digits} is in no account in reach"))));
    }
    Ok(())
}

/// Absence is believed only from complete, recent lists of every account in reach.
fn lists_complete(pass: &Pass, view: &PortfolioView, seen: &Seen) -> Gate {
    let Some(all) = reach::all(view) else {
        return Err(Stop::block(
            Block::new(
                Reason::ObservationIncomplete,
                "the accounts in reach could not be listed, so nobody can tell that the number is in none of them; they are asked for again by themselves",
            )
            .asks(Action::Answer),
        ));
    };
    let oldest = earlier(pass.now, pass.limits.fresh_for_add);
    let others = all.iter().map(|account| &account.id).filter(|id| **id != seen.account);
    for id in others.chain([&seen.account]) {
        match list_of(pass, id).map(|searched| &searched.list) {
            Some(ListState::NotCheckable(_)) => {}
            Some(ListState::Complete { begun }) if *begun >= oldest => {}
            Some(ListState::Failed(failure)) => return Err(Stop::block(not_listed(view, pass, id, failure))),
            Some(ListState::Complete { .. }) | None => {
                return Err(Stop::look_again(
                    "the number has to be looked for in every account in reach first",
                ));
            }
        }
    }
    Ok(())
}

fn not_listed(
    view: &PortfolioView,
    pass: &Pass,
    id: &AccountId,
    failure: &crate::engine::failure::Failure,
) -> Block {
    let is_granted = reach::is_granted(view, &pass.desired.namespace, id);
    let name = if is_granted { format!("account {id}") } else { "an account of the portfolio".into() };
    let mut block = say::unreadable(&format!("the numbers of {name}"), failure);
    if !is_granted {
        // Meta's words may name what `access` hides.
        block.failure = None;
        if failure.refusal().is_some() {
            block.message = format!(
                "Meta does not list the numbers of {name} now; they are asked for again by themselves"
            );
        }
    }
    if block.reason == Reason::MetaUnavailable {
        block.reason = Reason::ObservationIncomplete;
    }
    block
}

fn add(pass: &Pass, seen: &Seen, cause: Cause) -> Stop {
    let step = Step::AddNumber {
        account: seen.account.clone(),
        number: pass.desired.number.clone(),
        name: pass.desired.display_name.clone(),
    };
    pass.step(
        step,
        format!("add {} to account {}: no account in reach has it", pass.desired.number, seen.account),
        cause,
    )
}

fn add_cause(pass: &Pass, memory: &Memory) -> Gate<Cause> {
    let block = memory.ledger.last(StepKind::AddNumber).and_then(|last| {
        match again(pass.desired, memory, last, pass.limits) {
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

/// A restriction with a date is Meta's own clock; a person cannot shorten it.
fn may_retry_add(block: &Block) -> bool {
    !matches!(
        block.reason,
        Reason::AddingRestricted | Reason::NumberDeletedRecently | Reason::MetaUnavailable
    )
}

/// When an add that did not work may be made again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Now,
    At(Timestamp),
    WhenAsked,
}

/// Whether the next add waits for a date or a person, so that nobody needs the lists that it would rely on.
pub(in crate::engine) fn add_waits(
    desired: &Desired,
    memory: &Memory,
    limits: &Limits,
    now: Timestamp,
) -> bool {
    match memory.ledger.last(StepKind::AddNumber).map(|last| again(desired, memory, last, limits)) {
        None | Some(Again::Now) => false,
        Some(Again::At(until)) => now < until,
        Some(Again::WhenAsked) => true,
    }
}

fn again(desired: &Desired, memory: &Memory, last: &Entry, limits: &Limits) -> Again {
    let is_edited = last.subject.as_deref() != Some(desired.display_name.as_str());
    if let Some(refusal) = refused(last) {
        return after_refusal(memory, last, refusal, is_edited, limits);
    }
    if !is_edited && is_given_up(memory, last, limits) {
        return Again::WhenAsked;
    }
    match unanswered(memory) {
        0 => Again::Now,
        tries => Again::At(later(last.at, naming::pause(&limits.repeatable_pauses, tries - 1))),
    }
}

/// A refusal that proves that nothing was added.
fn refused(last: &Entry) -> Option<&Refusal> {
    let refusal = last.refusal.as_ref()?;
    (last.outcome == EntryOutcome::Refused && refusal.class != Class::Retry).then_some(refusal)
}

fn after_refusal(
    memory: &Memory,
    last: &Entry,
    refusal: &Refusal,
    is_edited: bool,
    limits: &Limits,
) -> Again {
    if refusal.names(2_388_001) {
        return Again::WhenAsked;
    }
    if let (Class::WaitUntil, Some(until)) = (refusal.class, refusal.until) {
        return Again::At(until);
    }
    if is_limit(refusal) || is_not_told(refusal) {
        return Again::At(later(last.at, limits.add_limit_pause));
    }
    if refusal.code == 368 {
        return Again::At(later(last.at, limits.add_refused_pause));
    }
    if refusal.is_shut_out() || say::is_gone(refusal) {
        return Again::WhenAsked;
    }
    let same = memory.ledger.adds.iter().rev().take_while(|e| e.subject == last.subject);
    let tries = same.take_while(|e| e.refusal.is_some()).count();
    let is_plain = refusal.is(100, None) || refusal.names(2_388_012);
    match (is_edited, is_plain && tries < limits.add_refused_tries) {
        (true, _) => Again::Now,
        (false, true) => Again::At(later(last.at, limits.add_refused_pause)),
        (false, false) => Again::WhenAsked,
    }
}

/// Meta answered, said nothing about the number, and did so again and again. A time-out and a service that is down are
/// waited out instead: they end by themselves.
fn is_given_up(memory: &Memory, last: &Entry, limits: &Limits) -> bool {
    let Some(refusal) = last.refusal.as_ref() else { return false };
    let repeats = match refusal.code {
        1 => limits.add_unknown_repeats,
        300 => limits.add_not_made_repeats,
        131_000 => limits.add_wrong_repeats,
        _ => return false,
    };
    tries_alike(memory, last, refusal.code) > repeats
}

/// Adds in a row that this code left open.
fn tries_alike(memory: &Memory, last: &Entry, code: i64) -> usize {
    let tries = memory.ledger.adds.iter().rev().filter(|entry| entry.counts());
    tries
        .take_while(|entry| entry.is_inconclusive() && entry.subject == last.subject)
        .filter(|entry| entry.refused_with(code).is_some())
        .count()
}

fn unanswered(memory: &Memory) -> usize {
    memory.ledger.adds.iter().rev().take_while(|entry| entry.is_inconclusive()).count()
}

/// What an add that did not work waits for, in words.
fn not_added(pass: &Pass, memory: &Memory, last: &Entry) -> Block {
    let block = match (refused(last), &last.refusal) {
        (Some(refusal), _) => add_refused(pass, refusal),
        (None, Some(refusal)) if is_given_up(memory, last, pass.limits) => {
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
            "Meta answered {} times that adding {} failed, and not why ({}); look at the account in WhatsApp Manager, or ask Meta's support with the trace id, {}",
            tries_alike(memory, last, refusal.code),
            pass.desired.number,
            say::words(refusal),
            pass.then_retry()
        ),
    )
    .at(Page::Support)
}

fn add_unanswered(pass: &Pass, memory: &Memory, last: &Entry) -> Block {
    let tries = unanswered(memory);
    let until = later(last.at, naming::pause(&pass.limits.repeatable_pauses, tries.saturating_sub(1)));
    Block::new(
        Reason::MetaUnavailable,
        format!(
            "adding {} got no usable answer {tries} times and had no effect; again at {}",
            pass.desired.number,
            say::time(until)
        ),
    )
}

fn add_refused(pass: &Pass, refusal: &Refusal) -> Block {
    let words = say::words(refusal);
    let digits = &pass.desired.number;
    if refusal.names(2_388_001) {
        on_phone(pass, refusal)
    } else if let (Class::WaitUntil, Some(until)) = (refusal.class, refusal.until) {
        postponed(digits.as_str(), refusal, until, &words)
    } else if is_limit(refusal) {
        limit_reached(digits.as_str(), &words)
    } else if refusal.code == 368 {
        Block::new(
            Reason::AccountRestricted,
            format!("Meta restricts the account ({words}); appeal in Business Support Home"),
        )
    } else if is_not_told(refusal) {
        full_or_another_cause(&words, pass, refusal)
    } else if let Some(block) = say::not_for_its_value("AddNumber", refusal, &pass.then_retry()) {
        block
    } else if say::is_gone(refusal) {
        no_permission(&words, pass)
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

fn is_limit(refusal: &Refusal) -> bool {
    refusal.names(1_349_175)
}

/// Codes by which Meta means a full portfolio or something else: a plain 200 a missing permission as well, and
/// 200000, whatever its pages call generic, a number that is in use.
fn is_not_told(refusal: &Refusal) -> bool {
    refusal.is(200, None) || refusal.names(200_000)
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

fn no_permission(words: &str, pass: &Pass) -> Block {
    Block::new(
        Reason::PermissionMissing,
        format!(
            "the token may not add numbers to this account ({words}); give the system user full control of the account, {}",
            pass.then_retry()
        ),
    )
}

/// The exact remedy for a number that is still in an app.
pub(super) fn on_phone(pass: &Pass, refusal: &Refusal) -> Block {
    Block::new(
        Reason::NumberOnPhone,
        format!(
            "{} still belongs to an account in a WhatsApp app ({}); on that phone choose Settings > Account > Delete account (uninstalling is not enough), wait five minutes, {}",
            pass.desired.number,
            say::words(refusal),
            pass.then_retry()
        ),
    )
    .refused(Some(refusal))
    .or_else("nothing is tried again by itself; the number stays where it is")
}
