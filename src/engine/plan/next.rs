//! When to look again, at the latest.

use jiff::Timestamp;

use crate::engine::{
    plan::{consent, official, pass::Pass, picture, request, username},
    rule::{
        shown::{self, Shown},
        stood,
    },
    value::{
        block::Block, condition_type::ConditionType, memory::Memory, reason::Reason, step::Planned,
        time::later,
    },
};

/// The earliest of everything that may change something; and the same without what Meta may show by itself.
pub(super) fn next(
    pass: &Pass,
    memory: &Memory,
    step: Option<&Planned>,
    block: Option<&Block>,
    aside: &[(ConditionType, Block)],
) -> (Timestamp, Option<Timestamp>) {
    if step.is_some() || pass.is_first_sight(memory) {
        return (pass.now, Some(pass.now));
    }
    let limits = pass.limits;
    let blocks = || block.into_iter().chain(aside.iter().map(|(_, block)| block));
    let until = blocks().filter_map(|block| block.until).filter(|until| *until > pass.now).min();
    // Who is held back has nothing to look for until there is room.
    let is_held = block.is_some_and(|block| block.reason == Reason::Throttled && block.until == until)
        && until.is_some();
    // Nor has who waits for the portfolio. The portfolio reads its own Secret, and wakes its channels.
    let waits = pass.observed.portfolio.usable().is_none();
    let is_left_alone = is_held || waits;
    let pace = if is_left_alone { limits.look_at_least } else { limits.fresh_list.min(limits.look_at_least) };
    let polls = blocks().filter(|_| !waits).filter_map(|block| secret_poll(pass, memory, block));
    let dates = [
        until,
        polls.min(),
        after_write(pass, memory, block.is_none() && aside.iter().all(|(on, _)| is_of_name(*on))),
        watched(pass, memory),
        picture::due(pass, memory),
        username::look_at(pass, memory),
        official::look_at(pass, memory),
        shown::ban_counts_from(memory, limits, pass.now),
        memory.in_flight.as_ref().map(|intent| pass.clock().settled(intent)).filter(|at| *at > pass.now),
        consent::kept_until(pass, memory)
            .map(|at| at.min(later(pass.now, limits.fresh_after_write)).max(pass.now)),
    ];
    let date = dates.into_iter().flatten().min();
    let look = later(pass.now, pace);
    (date.map_or(look, |date| date.min(look)), date)
}

/// What may turn again within minutes is looked at until it counts.
fn watched(pass: &Pass, memory: &Memory) -> Option<Timestamp> {
    let from = stood::counts_from(&pass.observed.process.stood, memory, pass.limits);
    from.filter(|from| *from > pass.now).map(|from| from.min(later(pass.now, pass.limits.shown_watched)))
}

/// Every 30 s for a while after a write of ours, until it shows.
fn after_write(pass: &Pass, memory: &Memory, settings_match: bool) -> Option<Timestamp> {
    let number = pass.observed.search.iter().flat_map(|searched| &searched.numbers);
    let number = number.into_iter().find(|number| Some(&number.id) == memory.number.as_ref());
    let shown = number.map_or_else(Shown::nothing, |number| Shown::of_number(number, settings_match));
    shown::is_awaited(memory, &shown, pass.clock()).then(|| later(pass.now, pass.limits.fresh_after_write))
}

/// A wait that a Secret can end polls that Secret.
fn secret_poll(pass: &Pass, memory: &Memory, block: &Block) -> Option<Timestamp> {
    let every = match block.reason {
        _ if request::awaits(pass, memory) && is_code_wait(block.reason) => pass.limits.secret_poll_live,
        Reason::PinNeeded
        | Reason::PinMalformed
        | Reason::PinMismatch
        | Reason::CodeNeeded
        | Reason::CodeLapsed
        | Reason::CodeWrong
        | Reason::ReverificationNeeded
        | Reason::SecretMissing
        | Reason::SecretKeyMissing
        | Reason::SecretForbidden
        | Reason::VerifyTokenUnlabelled => pass.limits.secret_poll,
        Reason::NotObservedYet => pass.limits.fresh_after_write,
        _ => return None,
    };
    Some(later(pass.now, every))
}

/// The name is no setting, and shows by itself.
fn is_of_name(condition: ConditionType) -> bool {
    condition == ConditionType::DisplayNameApproved
}

fn is_code_wait(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::CodeAwaited
            | Reason::CodeMayHaveBeenSent
            | Reason::CodeSecretShared
            | Reason::CodeWrong
            | Reason::CodeMalformed
            | Reason::EffectNotVisibleYet
            | Reason::SecretForbidden
    )
}
