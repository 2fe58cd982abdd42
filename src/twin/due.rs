//! What a process knows of one channel and loses with its life: when the next pass is due, and what it relies on.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    engine::time::later,
    run::{
        pass::{Done, may_have_written},
        secret::Volatile,
        unwritten::Unwritten,
    },
};

/// Between two passes.
const SECOND: Duration = Duration::from_secs(1);
/// A list is begun before the write that it leads to, and the clock may stand still within a pass.
const AFTER: SignedDuration = SignedDuration::from_millis(1);
/// Failures in a row beyond which the pause grows no more.
const DOUBLED: u32 = 6;

/// What is remembered between the passes over one channel.
#[derive(Clone)]
pub struct Fleeting {
    pub volatile: Arc<Mutex<Volatile>>,
    pub unwritten: Arc<Unwritten>,
    pub after_write: Option<Timestamp>,
    pub last_success: Option<Timestamp>,
    pub due: Timestamp,
    failures: u32,
}

impl Fleeting {
    /// Nothing is known yet, and the first pass is due.
    pub fn new(now: Timestamp) -> Self {
        Self {
            volatile: Arc::default(),
            unwritten: Arc::default(),
            after_write: None,
            last_success: None,
            due: now,
            failures: 0,
        }
    }

    /// Takes in what a pass came to. The next one follows a step at once.
    pub fn took(&mut self, done: &Done, now: Timestamp) {
        self.failures = 0;
        self.last_success = done.last_success;
        if let Some(outcome) = done.outcome.as_ref().filter(|outcome| may_have_written(outcome)) {
            self.after_write = outcome.at.checked_add(AFTER).ok();
        }
        let soon = later(now, SECOND);
        self.due = if done.outcome.is_some() { soon } else { done.plan.next.max(soon) };
    }

    /// Takes in that a pass came to nothing. The pause doubles.
    pub fn failed(&mut self, now: Timestamp) {
        self.failures += 1;
        self.due = later(now, SECOND * (1 << self.failures.min(DOUBLED)));
    }

    /// A watch tells that something changed.
    pub fn wake(&mut self, at: Timestamp) {
        self.due = self.due.min(at);
    }
}
