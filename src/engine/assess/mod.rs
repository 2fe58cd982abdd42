//! Assessment: what a pass means, as conditions and everything else that status shows.
//!
//! `judge` says what was read about each condition. `apply` makes a condition of it, with the block that prevents it and
//! the condition from before. `Ready` follows from the others (`ready`). A failed look proves nothing (`unseen`).
//! Nothing here plans or writes.

mod apply;
pub mod chain;
mod facts;
mod going;
mod judge;
pub mod portfolio;
pub mod preflight;
mod ready;
mod scene;
mod unseen;
mod waiting;

use jiff::Timestamp;

pub use self::{scene::Given, unseen::first};
use crate::engine::{
    assess::scene::{Place, Scene, is_passing},
    plan::Plan,
    rule::{drift, picture, say},
    value::{
        condition::ConditionSet,
        condition_type::{ConditionType, Part},
        drift::Drift,
        failure::Failure,
        memory::Memory,
        observed::{Claim, PortfolioState},
        outcome::Outcome,
        reason::Reason,
        status::{Assessment, Facts},
    },
};

/// Says what a pass means. `memory` is the memory that will be written along (with the intent, or the folded
/// outcome). Of it only `since` is changed.
///
/// Equal inputs give an equal assessment: no time of a look and no trace id of the latest one is in it.
///
/// See the example of [the engine](crate::engine).
pub fn assess(given: &Given<'_>, memory: &mut Memory) -> Assessment {
    if given.desired.deletion.since.is_some() {
        return going::going(given, memory);
    }
    if given.desired.suspend {
        return unseen::suspended(given.desired, memory, given.before, given.now);
    }
    let held_up = given.outcome.and_then(|outcome| held_up(given.plan, outcome, given.now));
    let given = match &held_up {
        Some(plan) => Given { plan, outcome: None, ..*given },
        None => *given,
    };
    let scene = Scene::new(&given, memory);
    let mut assessment = match sight(&scene) {
        Sight::Failed => unseen::unseen(&scene),
        sight => seen(&scene, sight),
    };
    waiting::settle_since(&mut assessment.waiting_for, &mut memory.since, given.now);
    assessment
}

/// The plan after its step was throttled: no step is in progress, and the wait ends at a date. The looks that
/// follow fail by the same throttle and could not say so any more.
fn held_up(plan: &Plan, outcome: &Outcome, now: Timestamp) -> Option<Plan> {
    let until = match &outcome.result {
        Err(Failure::Throttled(until)) => Some(*until),
        Err(Failure::Refused(refusal)) if !outcome.is_attempt() => refusal.paused_until(),
        _ => None,
    }?;
    let block = say::throttled(until.max(now));
    Some(Plan { step: None, block: Some(block), ..plan.clone() })
}

/// What this pass could see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// The number's account and its list were read, or the answer is that they cannot be.
    Whole,
    /// Nothing has to be read to know what holds things up.
    NotNeeded,
    /// Something that should have been read was not: nothing is proven.
    Failed,
}

fn sight(scene: &Scene<'_>) -> Sight {
    match (&scene.observed.portfolio, scene.claim()) {
        (PortfolioState::NotYet, _) => return Sight::Failed,
        (PortfolioState::NotUsable, _) => return Sight::NotNeeded,
        (PortfolioState::View(view), _) if view.hold.is_some() => {
            let passing = view.hold.as_ref().is_some_and(|h| is_passing(h.reason));
            return if passing { Sight::Failed } else { Sight::NotNeeded };
        }
        (_, Claim::Undecided) => return Sight::Failed,
        (_, Claim::Other { .. }) => return Sight::NotNeeded,
        _ => {}
    }
    if scene.plan.step.is_some() || scene.outcome.is_some() {
        return Sight::Whole;
    }
    let block = scene.plan.block.as_ref();
    if block.is_some_and(|b| {
        matches!(b.reason, Reason::SpecInvalid | Reason::PortfolioChanged | Reason::AccountChanged)
    }) {
        return Sight::NotNeeded;
    }
    if scene.look_failed() {
        return Sight::Failed;
    }
    if scene.nothing_asked() && block.is_none_or(|b| is_passing(b.reason)) {
        return Sight::Failed;
    }
    Sight::Whole
}

fn seen(scene: &Scene<'_>, sight: Sight) -> Assessment {
    let facts = facts::facts(scene);
    let mut conditions = judged(scene, &facts);
    let ready = ready::ready(scene, &facts, &conditions);
    apply::place(&mut conditions, &scene.before.conditions, ready);
    ready::progress(scene, &mut conditions);
    let whole = sight == Sight::Whole;
    Assessment {
        observed_generation: Some(scene.desired.generation),
        stage: ready::stage(scene, &conditions),
        waiting_for: waiting::list(scene, &conditions),
        preflight: preflight::check(scene),
        drift: if whole && !matches!(scene.place, Place::Unknown) {
            drift_seen(scene)
        } else {
            scene.before.drift.clone()
        },
        conditions,
        facts,
    }
}

/// What differs, with what differed in a profile, or in its picture, that was not read this time: they are read in turns.
fn drift_seen(scene: &Scene<'_>) -> Vec<Drift> {
    let mut list = drift::diff(scene.desired, scene.observed, scene.memory, scene.now);
    for one in &mut list {
        let before = scene.before.drift.iter().find(|old| old.field == one.field);
        if let Some(old) = before.filter(|old| old.desired == one.desired) {
            one.since = old.since;
        }
    }
    let is_profile_read = scene.number().is_some_and(|number| scene.observed.profile_of(number).is_some());
    let picture = picture::read(scene.desired, &scene.observed.process.picture);
    let is_picture_read = picture.is_some_and(|read| !read.fact.is_unread());
    let is_kept = |old: &&Drift| match old.field.as_str() {
        drift::PICTURE => !is_picture_read && picture::is_kept(scene.desired, scene.memory),
        field => field.starts_with(drift::PROFILE) && !is_profile_read && scene.desired.profile.is_managed(),
    };
    let after = |d: &Drift| [drift::PICTURE, drift::USERNAME, drift::TIME_ZONE].contains(&d.field.as_str());
    let place = list.iter().position(after).unwrap_or(list.len());
    list.splice(place..place, scene.before.drift.iter().filter(is_kept).cloned());
    list
}

/// Every condition but the three that follow from the others.
fn judged(scene: &Scene<'_>, facts: &Facts) -> ConditionSet {
    let mut set = scene.before.conditions.clone();
    for kind in ConditionType::CHANNEL {
        if kind.part() == Part::Summary {
            continue;
        }
        let verdict = judge::judge(kind, scene);
        apply::apply(scene, facts, &mut set, kind, verdict);
    }
    set
}

#[cfg(test)]
mod tests;
