//! Clock: until when what was begun may still happen or show, by the clock of this process.
//!
//! What another process began stands in status with the times of its clock, and the clocks of two nodes differ. It was
//! begun before the term of this process, at the latest. So the whole time is counted from there, on one's own clock.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::value::{
    limits::Limits,
    memory::{Entry, Intent},
    observed::ProcessFacts,
    step::StepKind,
    time::later,
};

/// Clocks of nodes that keep time at all differ by less. What was over for longer is over by any of them.
const DIFFER: Duration = Duration::from_secs(15 * 60);

/// The clock of this process.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Clock<'a> {
    pub process: &'a ProcessFacts,
    pub limits: &'a Limits,
    pub now: Timestamp,
}

impl Clock<'_> {
    /// When the call of an intent must have ended.
    pub fn ended(&self, intent: &Intent) -> Timestamp {
        let until = later(intent.send_before, self.limits.call_timeout);
        self.counted(&intent.id, intent.started_at, until, self.call())
    }

    /// When the effect of an intent must show.
    pub fn settled(&self, intent: &Intent) -> Timestamp {
        let (began, until) = (intent.started_at, intent.settle_until);
        let said = || Duration::try_from(until.duration_since(began)).unwrap_or_default();
        let lasts = intent.step.known().map_or_else(said, |kind| self.call() + kind.settle(self.limits));
        self.counted(&intent.id, began, until, lasts)
    }

    /// When the effect of an attempt must show, where it may still.
    pub fn shown(&self, kind: StepKind, entry: &Entry) -> Option<Timestamp> {
        let lasts = self.call() + kind.settle(self.limits);
        Some(self.counted(&entry.id, entry.at, entry.settle_until?, lasts))
    }

    /// From an intent to the end of its call, at most.
    fn call(&self) -> Duration {
        self.limits.send_before + self.limits.call_timeout
    }

    /// The later of two readings: what the other clock says, and the time that it lasts from the start of the own term. A
    /// clock that is ahead says nothing, and none is believed to be so wrong that what is long over counts again.
    fn counted(&self, id: &str, began: Timestamp, until: Timestamp, lasts: Duration) -> Timestamp {
        if self.process.is_own(id) {
            return until;
        }
        let here = later(self.process.started, lasts);
        if began > self.now {
            return here;
        }
        here.min(later(until, DIFFER)).max(until)
    }
}
