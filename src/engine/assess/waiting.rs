//! Who is waited for: the plan's own waits, and those that follow from conditions.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::engine::{
    assess::scene::Scene,
    rule::waiting::{asked, of_reason},
    value::{
        action::Actor,
        block::Block,
        condition::{ConditionSet, Truth},
        condition_type::ConditionType,
        id::BusinessId,
        observed::PortfolioState,
        reason::{Asks, Reason},
        status::WaitingFor,
    },
};

/// Gives every wait the time since when it lasts, and forgets those that ended. A person comes before Meta.
pub(super) fn settle_since(
    list: &mut Vec<WaitingFor>,
    since: &mut BTreeMap<String, Timestamp>,
    now: Timestamp,
) {
    let mut seen = Vec::new();
    list.retain(|w| {
        let fresh = !seen.contains(&w.action);
        seen.push(w.action.clone());
        fresh
    });
    since.retain(|action, _| seen.contains(action));
    for wait in list.iter_mut() {
        wait.since = *since.entry(wait.action.clone()).or_insert(now);
    }
    list.sort_by_key(|w| w.actor == Actor::Meta);
}

/// The waits of a pass. Nobody is asked about what may be gone in minutes, unless it is why the channel is not Ready.
pub(super) fn list(scene: &Scene<'_>, set: &ConditionSet) -> Vec<WaitingFor> {
    let mut list = Vec::new();
    if let Some(ready) = set.get(ConditionType::Ready)
        && ready.status != Truth::True
        && !covers(scene, ready.reason)
    {
        list.extend(of_reason(ready.reason, business(scene), scene.now));
    }
    let is_why = |b: &Block| set.get(ConditionType::Ready).is_some_and(|ready| ready.reason == b.reason);
    let blocks = scene.plan.block.iter().filter(|b| !scene.is_doubted(b) || is_why(b));
    list.extend(blocks.filter_map(|b| of_block(scene, b)));
    list.extend(scene.plan.aside.iter().filter_map(|(_, b)| of_block(scene, b)));
    list
}

/// The wait that a reason means: as a block of the plan says it, else as the table does.
pub(super) fn on(scene: &Scene<'_>, reason: Reason) -> Option<WaitingFor> {
    let blocks = scene.plan.block.iter().chain(scene.plan.aside.iter().map(|(_, b)| b));
    let told = blocks.filter(|b| b.reason == reason).find_map(|b| of_block(scene, b));
    told.or_else(|| of_reason(reason, business(scene), scene.now))
}

fn covers(scene: &Scene<'_>, reason: Reason) -> bool {
    let blocks = scene.plan.block.iter().chain(scene.plan.aside.iter().map(|(_, b)| b));
    blocks.into_iter().any(|b| b.reason == reason && (b.wait.is_some() || b.until.is_some()))
}

fn business<'a>(scene: &'a Scene<'_>) -> Option<&'a BusinessId> {
    match &scene.observed.portfolio {
        PortfolioState::View(view) => Some(&view.business),
        _ => scene.memory.business.as_ref(),
    }
}

fn of_block(scene: &Scene<'_>, block: &Block) -> Option<WaitingFor> {
    let wait = block.wait.as_ref()?;
    let asks = Asks { action: wait.action, page: wait.page };
    let asked = asked(block.reason, asks, business(scene), scene.now);
    Some(WaitingFor {
        expected_by: wait.expected_by.or(block.until),
        if_ignored: wait.if_ignored.clone().or(asked.if_ignored),
        ..asked
    })
}

#[cfg(test)]
mod tests;
