//! Outcomes that could not be written yet: what Meta answered is known once, and neither an API server that is away nor
//! a Lease that is lost meanwhile must make us forget it. Only the end of the process does.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::engine::{
    limits::Limits, memory::Memory, outcome::Outcome, plan::Plan, record::fold, time::later,
};

/// The outcome of the last step with an intent, as long as status does not hold it, of each object by its uid.
#[derive(Debug, Default)]
pub struct Unwritten(Mutex<HashMap<Box<str>, Box<Kept>>>);

#[derive(Debug)]
struct Kept {
    outcome: Outcome,
    plan: Plan,
}

impl Unwritten {
    /// Keeps an outcome. One without an intent is not kept: its step may be repeated. What is so old that it counts for
    /// nothing goes: nobody asked for it again, so its object is gone.
    pub fn keep(&self, uid: &str, outcome: &Outcome, plan: &Plan, limits: &Limits) {
        if outcome.intent.is_some() {
            let new = Kept { outcome: outcome.clone(), plan: plan.clone() };
            let mut all = self.lock();
            all.retain(|_, kept| later(kept.outcome.at, limits.longest_window()) > outcome.at);
            all.insert(uid.into(), Box::new(new));
        }
    }

    /// What is remembered of an object, with the outcome if it is this intent that is still in flight there. If it is not,
    /// the outcome was written after all, or belongs to a history that is no more, or somebody else has decided.
    pub fn merge(&self, uid: &str, memory: Memory, limits: &Limits) -> Memory {
        let mut all = self.lock();
        let Some(Kept { outcome, plan }) = all.get(uid).map(|kept| &**kept) else { return memory };
        let is_open = |intent| outcome.intent.as_ref() == Some(intent);
        if memory.in_flight.as_ref().is_some_and(|intent| is_open(&intent.id)) {
            return fold(&memory, outcome, plan, limits);
        }
        all.remove(uid);
        memory
    }

    /// Forgets the outcome of an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Box<Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
