//! The number: found, adopted, missing, or somewhere else.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::engine::{
    plan::{
        pass::{Gate, Pass, Seen, Stop},
        remedy, undecided,
    },
    rule::{drift, reach, say},
    value::{
        action::Action,
        block::Block,
        desired::Management,
        failure::Failure,
        id::{AccountId, NumberStatus, PlatformType},
        memory::{Entry, EntryOutcome, Memory, Origin},
        observed::{ListState, Number, Searched},
        page::Page,
        portfolio::PortfolioView,
        reason::Reason,
        step::{Cause, StepKind},
        time::{earlier, later},
    },
};

/// What the target account's list shows of the number.
pub(super) fn see(pass: &Pass, memory: &Memory, account: AccountId) -> Gate<Seen> {
    let Some(searched) = list_of(pass, &account) else {
        return Err(Stop::look_again(format!("the numbers of account {account} have not been read yet")));
    };
    let begun = match &searched.list {
        ListState::Complete { begun } => Some(*begun),
        ListState::Failed(failure) | ListState::NotCheckable(failure) => {
            let what = format!("the numbers of account {account}");
            return Err(Stop::block(remedy::unreadable_account(&account, &what, failure)));
        }
    };
    let number = drift::entry(memory, searched.numbers.iter())
        .cloned()
        .or_else(|| held_already(pass, memory, searched));
    Ok(Seen { account, begun, number })
}

fn list_of<'a>(pass: &Pass<'a>, account: &AccountId) -> Option<&'a Searched> {
    pass.observed.search.iter().find(|searched| searched.account == *account)
}

/// The only entry that shows no digits, where Meta answered an add by saying that the account has the number, and no entry
/// shows it although it has had its time.
fn held_already(pass: &Pass, memory: &Memory, searched: &Searched) -> Option<Arc<Number>> {
    let ListState::Complete { begun } = searched.list else { return None };
    if memory.number.is_some() {
        return None;
    }
    let refused = memory.ledger.last(StepKind::AddNumber).filter(|add| is_held_already(add))?;
    let has_settled = pass.clock().shown(StepKind::AddNumber, refused).is_none_or(|until| begun >= until);
    let mut unread = searched.unread().filter(|_| has_settled);
    unread.next().filter(|_| unread.next().is_none()).cloned()
}

/// Meta answered that the account has the number.
pub(super) fn is_held_already(add: &Entry) -> bool {
    add.refused_with(2_388_012).is_some()
}

/// Entries that show no digits, of which one may be the number: nobody knows that it is absent. A person may have it added
/// all the same.
pub(super) fn unread_entries(
    pass: &Pass,
    memory: &Memory,
    view: &PortfolioView,
    seen: &Seen,
) -> Option<Block> {
    let is_open = |searched: &&Searched| searched.unread().next().is_some();
    let mut all = list_of(pass, &seen.account).into_iter().chain(&pass.observed.search);
    let searched = all.find(is_open)?;
    let (digits, is_here) = (&pass.desired.number, searched.account == seen.account);
    let is_named = is_here || reach::is_granted(view, &pass.desired.namespace, &searched.account);
    let place =
        if is_here { format!("account {}", seen.account) } else { place(pass, view, &searched.account) };
    let entries = without_number(searched.unread(), is_named);
    let is_held = memory.ledger.last(StepKind::AddNumber).is_some_and(is_held_already);
    if is_held && is_here {
        let message = format!(
            "{place} has {entries}, and Meta says that it has {digits} already; which of them that is cannot be told; look in WhatsApp Manager, under Phone numbers, and ask Meta's support about these ids; the entry is taken up by itself once it shows its number or is the only one; to have Meta asked once more run {}",
            pass.command("retry")
        );
        return Some(Block::new(Reason::EntryWithoutNumber, message));
    }
    let elsewhere =
        if is_here { "" } else { "if it is this number, create the channel with that accountId; else " };
    let message = format!(
        "{place} has {entries}; {digits} may be there, so it is not added by itself; look in WhatsApp Manager, under Phone numbers; {elsewhere}run {}, which adds it once, and nothing where Meta says that the account has it",
        pass.command("retry")
    );
    Some(Block::new(Reason::EntryWithoutNumber, message))
}

/// Entries that show no number: by their ids where the namespace may know the account.
fn without_number<'a>(entries: impl Iterator<Item = &'a Arc<Number>>, is_named: bool) -> String {
    let mut ids: Vec<&str> = entries.map(|entry| entry.id.as_str()).collect();
    ids.sort_unstable();
    match ids.as_slice() {
        _ if !is_named => "an entry that shows no number".into(),
        [id] => format!("an entry that shows no number, with the id {id}"),
        ids => format!("entries that show no number, with the ids {}", ids.join(", ")),
    }
}

/// How another account is called: by its id only where `access` lets this namespace know it.
fn place(pass: &Pass, view: &PortfolioView, account: &AccountId) -> String {
    if reach::is_granted(view, &pass.desired.namespace, account) {
        format!("account {account}")
    } else {
        "another account of the portfolio".into()
    }
}

/// The number is live under another id in an account in reach. Registering it here would take it away from whoever sends
/// with it there.
pub(super) fn live_elsewhere(
    pass: &Pass,
    view: &PortfolioView,
    seen: &Seen,
    number: &Number,
) -> Option<Block> {
    let place = twin(pass, view, seen, number)?;
    Some(Block::new(
        Reason::NumberLiveElsewhere,
        format!(
            "{} is live in {place}, and registering the entry {} in account {} takes it away from there; create the channel anew with that accountId, which takes up the entry that is live, or have the number deregistered there; to take it over, run {} for a code and {} for the registration",
            pass.desired.number,
            number.id,
            seen.account,
            pass.command("send-code"),
            pass.command("retry")
        ),
    ))
}

/// The account in reach in which the number is live under another id: the own one too. Digits tell nobody which entry is meant
/// (recorded answers, 5.10).
pub(super) fn twin(pass: &Pass, view: &PortfolioView, seen: &Seen, number: &Number) -> Option<String> {
    let is_twin = |other: &&Arc<Number>| other.id != number.id && !other.has_left() && other.is_registered();
    pass.observed.search.iter().find_map(|searched| {
        let other = searched.numbers.iter().find(is_twin)?;
        let is_named = searched.account == seen.account
            || reach::is_granted(view, &pass.desired.namespace, &searched.account);
        Some(match is_named {
            true => format!("account {} under the id {}", searched.account, other.id),
            false => place(pass, view, &searched.account),
        })
    })
}

/// The other account in reach whose messages end with this number's registration: it has the same entry, as an account of
/// another partner of the number has, or the number is live under another id, there or in its own.
pub(super) fn sharer(pass: &Pass, view: &PortfolioView, seen: &Seen, number: &Number) -> Option<String> {
    let is_same = |other: &Arc<Number>| other.id == number.id && !other.has_left();
    let mut others = pass.observed.search.iter().filter(|searched| searched.account != seen.account);
    let hit = others.find(|searched| searched.numbers.iter().any(is_same));
    hit.map(|hit| place(pass, view, &hit.account)).or_else(|| twin(pass, view, seen, number))
}

/// Why it is not known whether another account in reach has the number too, where none is a [`sharer`]. A list of before
/// `not_before` tells nothing.
pub(super) fn unknown_sharer(
    pass: &Pass,
    view: &PortfolioView,
    seen: &Seen,
    number: &Number,
    not_before: Option<Timestamp>,
) -> Option<Block> {
    let is_twin = |other: &&Arc<Number>| other.id != number.id && may_be_live(other);
    let own = list_of(pass, &seen.account).and_then(|searched| searched.numbers.iter().find(is_twin));
    if let Some(other) = own {
        let message = format!(
            "account {} has the number under the id {} too, and Meta does not tell whether it is registered there",
            seen.account, other.id
        );
        return Some(Block::new(Reason::ObservationIncomplete, message));
    }
    let Some(all) = reach::all(view) else { return Some(remedy::reach_unread()) };
    let mut others = all.iter().map(|account| &account.id).filter(|id| **id != seen.account);
    others.find_map(|id| {
        let Some(searched) = list_of(pass, id) else { return Some(not_looked_for()) };
        match &searched.list {
            ListState::Complete { begun } if not_before.is_some_and(|from| *begun < from) => {
                Some(not_looked_for())
            }
            ListState::Complete { .. } => perhaps_shared(pass, view, searched),
            ListState::Failed(failure) | ListState::NotCheckable(failure) => {
                Some(not_listed(view, pass, id, failure))
            }
        }
    })
}

fn not_looked_for() -> Block {
    Block::new(Reason::NotObservedYet, "the number has to be looked for in every account in reach first")
}

/// Entries of another account of which Meta does not tell whether they are the number, or whether it is live there. What is no
/// question was found before: see [`sharer`].
fn perhaps_shared(pass: &Pass, view: &PortfolioView, searched: &Searched) -> Option<Block> {
    let what = if searched.numbers.iter().any(may_be_live) {
        "the number, and Meta does not tell whether it is registered there".into()
    } else {
        searched.unread().find(|other| may_be_live(other))?;
        let is_named = reach::is_granted(view, &pass.desired.namespace, &searched.account);
        let entries = without_number(searched.unread().filter(|other| may_be_live(other)), is_named);
        format!("{entries}, and it may be registered there")
    };
    let place = place(pass, view, &searched.account);
    Some(Block::new(Reason::ObservationIncomplete, format!("{place} has {what}")))
}

fn may_be_live(other: &Arc<Number>) -> bool {
    let is_elsewhere =
        matches!(other.platform.value(), Some(PlatformType::NotApplicable | PlatformType::OnPremise));
    !other.has_left() && !is_elsewhere
}

/// So long a list that is held back is waited for.
const SOON: Duration = Duration::from_secs(60);

/// An account that may have the number, and whose list could not be read now, or that is not known yet to be in reach. One
/// that is hidden from the token, or whose calls are held back for long, holds nothing up.
pub(super) fn unread_elsewhere(pass: &Pass, view: &PortfolioView, seen: &Seen) -> Option<Block> {
    if reach::all(view).is_none() {
        return Some(remedy::reach_unread());
    }
    let mut others = pass.observed.search.iter().filter(|searched| searched.account != seen.account);
    others.find_map(|searched| match &searched.list {
        // A throttle of Meta's may last for hours; a bound and a pace of our own pass in seconds.
        ListState::Failed(failure)
            if failure.paused_until().is_none_or(|until| until <= later(pass.now, SOON)) =>
        {
            let place = place(pass, view, &searched.account);
            Some(say::unreadable(&format!("the numbers of {place}"), failure))
        }
        _ => None,
    })
}

/// Remembers a number that was found: whose it is, and under which id.
pub(super) fn note(pass: &Pass, memory: &mut Memory, number: &Number) {
    let is_new = memory.number.as_ref() != Some(&number.id);
    let own = own_add(memory).map(|entry| entry.at);
    memory.marks.missing_since = None;
    if is_new {
        let was_known = memory.number.replace(number.id.clone()).is_some();
        match own.filter(|_| {
            !was_known || memory.marks.origin.at().is_none_or(|at| own.is_some_and(|own| at < own))
        }) {
            Some(at) => memory.marks.note_added(at),
            None => memory.marks.origin = Origin::Adopted(pass.now),
        }
    } else if memory.marks.origin == Origin::Unknown {
        memory.marks.origin = Origin::Adopted(pass.now);
    }
}

/// The last add, if it was answered, may have worked, or met its own earlier effect. One that a person asked for, and that
/// Meta answered by saying that the account has the number, brought nothing: the one before it counts.
fn own_add(memory: &Memory) -> Option<&Entry> {
    let was_asked = |add: &Entry| matches!(add.cause, Cause::Retry(_));
    let mut adds = memory.ledger.adds.iter().rev().filter(|add| add.counts());
    let last = adds.find(|add| !(was_asked(add) && is_held_already(add)))?;
    let may_be_ours =
        last.outcome == EntryOutcome::Accepted || last.is_inconclusive() || is_held_already(last);
    may_be_ours.then_some(last)
}

/// The number is absent where it should be, and nothing explains that: it has not left, no add of ours may still
/// show, no other account has it, and it was not there before.
pub(super) fn absent(pass: &Pass, memory: &mut Memory, view: &PortfolioView, seen: &Seen) -> Gate {
    has_not_left(pass, seen)?;
    undecided::none_open(pass, memory)?;
    undecided::settled(pass, StepKind::AddNumber, memory, seen)?;
    is_nowhere_else(pass, memory, view, seen)?;
    if memory.number.is_some() {
        missing(pass, memory, view, seen)?;
    }
    Ok(())
}

/// The entry says that the number left the account. Such a number is not added again by itself.
fn has_not_left(pass: &Pass, seen: &Seen) -> Gate {
    let gone =
        list_of(pass, &seen.account).and_then(|searched| searched.numbers.iter().find(|n| n.has_left()));
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
        searched.account != seen.account && searched.numbers.iter().any(|number| !number.has_left())
    });
    let Some(hit) = hit else { return Ok(()) };
    let digits = &pass.desired.number;
    let place = place(pass, view, &hit.account);
    let remedy = match &memory.account {
        Some(_) if memory.number.is_some() => {
            "create the channel anew with that accountId, or have the number registered in this account again"
        }
        _ => {
            "create the channel with that accountId, or have the number shared with this account, or registered in it, by those who have it"
        }
    };
    Err(Stop::block(Block::new(
        Reason::NumberInOtherAccount,
        format!(
            "{digits} is in {place} and not in account {}; it is not added a second time; {remedy}",
            seen.account
        ),
    )))
}

/// A number that was there and is not: it counts as gone from the second look on, and is added again only on request.
fn missing(pass: &Pass, memory: &mut Memory, view: &PortfolioView, seen: &Seen) -> Gate {
    let digits = &pass.desired.number;
    let account = &seen.account;
    let begun = seen.begun.unwrap_or(pass.now);
    let since = *memory.marks.missing_since.get_or_insert(begun);
    if begun < later(since, pass.limits.fresh_after_write) {
        return Err(Stop::block(
            Block::new(
                Reason::ObservationIncomplete,
                format!("{digits} is no longer listed in account {account}; it is searched once more before any condition changes"),
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

/// A number is absent only if complete, recent lists of every account in reach do not have it.
pub(super) fn lists_complete(pass: &Pass, view: &PortfolioView, seen: &Seen) -> Gate {
    let Some(all) = reach::all(view) else { return Err(Stop::block(remedy::reach_unread())) };
    let fresh = pass.limits.fresh_for_add;
    let slack = reach::slack(view, pass.limits).unwrap_or(fresh);
    let others = all.iter().map(|account| &account.id).filter(|id| **id != seen.account);
    for (id, age) in others.map(|id| (id, slack)).chain([(&seen.account, fresh)]) {
        match list_of(pass, id).map(|searched| &searched.list) {
            Some(ListState::NotCheckable(_)) => {}
            Some(ListState::Complete { begun }) if *begun >= earlier(pass.now, age) => {}
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

fn not_listed(view: &PortfolioView, pass: &Pass, id: &AccountId, failure: &Failure) -> Block {
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
