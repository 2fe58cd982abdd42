//! What is due beside the way to Registered, and whom a `retry` serves: one retry is one act.
//!
//! What goes on by itself goes first and uses no retry up. The rest is asked in turn what it would do with one.

use crate::engine::{
    plan::{
        aside::{self, Aside, MayWrite},
        official,
        pass::{Gate, Pass, Seen, Stop, Writable},
        picture, region, rename, repin, sync, username,
    },
    rule::upkeep,
    value::{
        action::Action, block::Block, condition_type::ConditionType, memory::Memory, observed::Number,
        reason::Reason, step::Cause,
    },
};

/// A registered number.
pub(super) struct Found<'a> {
    pub(super) number: &'a Number,
    pub(super) seen: &'a Seen,
    pub(super) may_write: &'a MayWrite,
}

struct Rule {
    on: ConditionType,
    /// Whether its steps cost nothing that cannot be had back.
    costs_nothing: bool,
    asked: fn(&Pass, &mut Memory, &Found, &Aside) -> Gate,
}

/// In the order in which their steps are taken.
const RULES: [Rule; 8] = [
    Rule {
        on: ConditionType::WebhookRouted,
        costs_nothing: true,
        asked: |pass, memory, of, _| aside::routed(pass, memory, of.number, of.seen, &of.may_write.webhook),
    },
    Rule {
        on: ConditionType::ProfileSynced,
        costs_nothing: true,
        asked: |pass, memory, of, _| aside::profile(pass, memory, of.number, of.seen, &of.may_write.profile),
    },
    Rule {
        on: ConditionType::ProfileSynced,
        costs_nothing: true,
        asked: |pass, memory, of, _| {
            picture::uploaded(pass, memory, of.number, of.seen, &of.may_write.profile)
        },
    },
    Rule {
        on: ConditionType::RegistrationSynced,
        costs_nothing: false,
        asked: |pass, memory, of, _| repin::repinned(pass, memory, of.number, of.seen, &of.may_write.name),
    },
    Rule {
        on: ConditionType::AppSynced,
        costs_nothing: false,
        asked: |pass, memory, of, aside| {
            sync::asked(pass, memory, of.number, of.seen, &of.may_write.webhook, aside)
        },
    },
    Rule {
        on: ConditionType::DisplayNameApproved,
        costs_nothing: false,
        asked: |pass, memory, of, aside| {
            rename::renamed(pass, memory, of.number, of.seen, &of.may_write.name, aside.step.is_none())
        },
    },
    Rule {
        on: ConditionType::UsernameClaimed,
        costs_nothing: false,
        asked: |pass, memory, of, _| {
            username::claimed(pass, memory, of.number, of.seen, &of.may_write.others)
        },
    },
    Rule {
        on: ConditionType::OfficialAccount,
        costs_nothing: false,
        asked: |pass, memory, of, _| {
            official::requested(pass, memory, of.number, of.seen, &of.may_write.others)
        },
    },
];

/// The next step beside the way, and what holds the others up.
pub(super) fn plan(pass: &Pass, memory: &mut Memory, of: &Found) -> Aside {
    aside::note_edited(pass, memory, of.number);
    upkeep::forget_unmanaged(pass.desired, memory);
    let unasked = pass.without_retry();
    let mut aside = Aside::default();
    let mut held: Vec<(&Rule, Block)> = Vec::new();
    for rule in &RULES {
        let asked = (rule.asked)(&unasked, memory, of, &aside);
        if let Err(Stop::Block(block)) = &asked {
            held.push((rule, (**block).clone()));
        }
        aside.take(rule.on, asked);
    }
    let moved = |pass: &Pass, memory: &mut Memory, is_free: bool| {
        region::moved(pass, memory, of.number, of.seen, &of.may_write.name, is_free)
    };
    if aside.step.is_none() && pass.retry.is_some() {
        let unserved = moved(&unasked, &mut memory.clone(), true);
        let is_told = pass.retry_since_found(memory).is_some()
            && matches!(unserved, Err(Stop::Block(block)) if names_retry(pass, &block));
        serve(pass, memory, of, &held, is_told, &mut aside);
    }
    let mut others = held.iter().map(|(_, block)| block).chain(aside.blocks.iter().map(|(_, block)| block));
    let is_wanted = others.any(|other| may_want(pass, other));
    let is_wanted = is_wanted || over_found(pass, memory, of, &mut aside);
    // Last, and alone: whatever else a person asked to be tried again costs no outage.
    let is_free = aside.step.is_none();
    let mut asked = moved(&unasked, memory, is_free);
    if matches!(asked, Err(Stop::Block(_))) && is_free && !is_wanted {
        asked = moved(pass, memory, is_free);
        if let (Err(Stop::Step(planned)), Some(retry)) = (&mut asked, &pass.retry) {
            planned.cause = Cause::Retry(retry.value.clone());
        }
    }
    aside.take(ConditionType::RegistrationSynced, asked);
    aside
}

/// A retry that nobody else has a use for replaces the picture that the number was found with. Whether it is taken up, also
/// where the picture cannot be uploaded now.
fn over_found(pass: &Pass, memory: &mut Memory, of: &Found, aside: &mut Aside) -> bool {
    let may_write = &of.may_write.profile;
    let is_left = aside.step.is_none() && matches!(may_write, Writable::Yes);
    let retry = pass.retry.as_ref().filter(|_| is_left && picture::replaces_found(pass, memory));
    let Some(retry) = retry else { return false };
    match picture::uploaded(pass, memory, of.number, of.seen, may_write) {
        Ok(()) => return false,
        Err(Stop::Step(mut planned)) => {
            planned.cause = Cause::Retry(retry.value.clone());
            aside.step = Some(*planned);
        }
        Err(Stop::Block(block)) => {
            let held = (ConditionType::ProfileSynced, *block);
            if !aside.blocks.contains(&held) {
                aside.blocks.push(held);
            }
        }
    }
    true
}

/// Gives the retry to one of those that would do something with it: to one whose message names it, of those to one that
/// costs nothing, and of those to one that does not go on by itself. Where the region's message names it (`is_told`), one
/// whose message does not leaves it to the region.
fn serve(
    pass: &Pass,
    memory: &mut Memory,
    of: &Found,
    held: &[(&Rule, Block)],
    is_told: bool,
    aside: &mut Aside,
) {
    let Some(retry) = &pass.retry else { return };
    let (mut takers, mut others) = (Vec::new(), Vec::new());
    for (at, (rule, block)) in held.iter().enumerate() {
        let mut changed = memory.clone();
        match (rule.asked)(pass, &mut changed, of, aside) {
            Err(Stop::Step(_)) if is_told && !names_retry(pass, block) => {}
            Err(Stop::Step(planned)) => {
                let rank = (!names_retry(pass, block), !rule.costs_nothing, block.until.is_some(), at);
                takers.push((rank, planned, changed));
            }
            Err(Stop::Block(block)) => others.push((at, *block)),
            Ok(()) => {}
        }
    }
    let first = takers.into_iter().min_by_key(|(rank, ..)| *rank);
    let Some(((.., at), mut planned, changed)) = first else {
        // Why none of them can use it now.
        for (at, block) in others {
            aside.blocks[at].1 = block;
        }
        return;
    };
    planned.cause = Cause::Retry(retry.value.clone());
    *memory = changed;
    aside.step = Some(*planned);
    aside.blocks.remove(at);
}

/// Whether somebody was told that a retry has it done.
fn names_retry(pass: &Pass, block: &Block) -> bool {
    let is_asked = block.wait.as_ref().is_some_and(|wait| wait.action == Action::Retry);
    is_asked || block.message.contains(&pass.command("retry"))
}

/// Whether a retry may be meant for this, also where it cannot use one at the moment.
fn may_want(pass: &Pass, block: &Block) -> bool {
    let is_under_way =
        matches!(block.reason, Reason::EffectNotVisibleYet | Reason::Throttled | Reason::NotSentYet);
    is_under_way || names_retry(pass, block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fixture::{now, world};

    #[test]
    fn a_retry_is_wanted_by_whoever_waits_for_one_and_perhaps_by_what_is_under_way() {
        let world = world();
        let pass = Pass::new(&world.desired, &world.observed, &world.memory, &world.limits, now());
        let command = format!("to have it done run {}", pass.command("retry"));
        for (reason, message, asks, names, wants) in [
            (Reason::ProfileDiffers, "it differs", None, false, false),
            (Reason::ProfileDiffers, &*command, None, true, true),
            (Reason::ProfileDiffers, "it differs", Some(Action::AlignSettings), false, false),
            (Reason::StorageRegionDiffers, "it differs", Some(Action::Retry), true, true),
            (Reason::EffectNotVisibleYet, "it may show", None, false, true),
            (Reason::Throttled, "there is no room", None, false, true),
            (Reason::NotSentYet, "it was not sent", None, false, true),
            (Reason::NotObservedYet, "it is read next", None, false, false),
        ] {
            let block = Block::new(reason, message);
            let block = asks.map_or(block.clone(), |action| block.asks(action));
            assert_eq!((names_retry(&pass, &block), may_want(&pass, &block)), (names, wants), "{block:?}");
        }
    }
}
