//! Outcomes that could not be written yet: what Meta answered is known once, and an API server that is away must not
//! make us forget it. Only the end of the process does.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::{limits::Limits, memory::Memory, outcome::Outcome, plan::Plan, record::fold};

/// The outcome of one channel's last step with an intent, as long as status does not hold it.
#[derive(Debug, Default)]
pub struct Unwritten(Mutex<Option<Box<Kept>>>);

#[derive(Debug)]
struct Kept {
    outcome: Outcome,
    plan: Plan,
}

impl Unwritten {
    /// Keeps an outcome. One without an intent is not kept: its step may be repeated.
    pub fn keep(&self, outcome: &Outcome, plan: &Plan) {
        if outcome.intent.is_some() {
            let kept = Kept { outcome: outcome.clone(), plan: plan.clone() };
            *self.lock() = Some(Box::new(kept));
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_none()
    }

    /// What is remembered, with the outcome if it is this intent that is still in flight there. If it is not, the outcome
    /// was written after all, or belongs to a history that is no more.
    pub fn merge(&self, memory: Memory, limits: &Limits) -> Memory {
        let mut kept = self.lock();
        match kept.as_deref() {
            Some(Kept { outcome, plan })
                if memory
                    .in_flight
                    .as_ref()
                    .is_some_and(|intent| outcome.intent.as_ref() == Some(&intent.id)) =>
            {
                fold(&memory, outcome, plan, limits)
            }
            _ => {
                *kept = None;
                memory
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
