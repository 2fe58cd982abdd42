//! The virtual clock.
//!
//! Nothing in the sandbox asks the machine for the time: every lock-out, review
//! and lapse is a date on this clock, so a test crosses 14 days in one call and
//! two runs see the same dates.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// How virtual time passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pace {
    /// Only `advance` moves it.
    #[default]
    Manual,
    /// It follows the clock of tokio, that many times as fast. A paused tokio
    /// clock thus pauses it as well.
    Follow {
        /// Virtual seconds per second.
        speed: f64,
    },
}

/// A date that moves by hand or with real time, from an anchor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Clock {
    at: Timestamp,
    pace: Pace,
    #[serde(skip, default = "Instant::now")]
    anchor: Instant,
}

impl Clock {
    pub(super) fn new(at: Timestamp, pace: Pace) -> Self {
        Self { at, pace, anchor: Instant::now() }
    }

    pub(super) fn now(&self) -> Timestamp {
        match self.pace {
            Pace::Manual => self.at,
            Pace::Follow { speed } => {
                let passed = self.anchor.elapsed().as_secs_f64() * speed.clamp(0.0, 1e6);
                later(self.at, SignedDuration::from_secs_f64(passed.min(1e12)))
            }
        }
    }

    /// Moves the clock forward; it never goes back.
    pub(super) fn advance(&mut self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.at = later(self.now(), by);
        self.anchor = Instant::now();
    }

    pub(super) fn set_pace(&mut self, pace: Pace) {
        self.advance(Duration::ZERO);
        self.pace = pace;
    }

    /// Takes up the current date, so that what is stored is now.
    pub(super) fn settle(&mut self) {
        self.advance(Duration::ZERO);
    }
}

/// A date plus a duration, or the end of time.
pub(super) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// A date plus seconds, or the end of time.
pub(super) fn after_secs(at: Timestamp, secs: u64) -> Timestamp {
    later(at, SignedDuration::from_secs(i64::try_from(secs).unwrap_or(i64::MAX)))
}

/// A date plus days, or the end of time.
pub(super) fn after_days(at: Timestamp, days: u32) -> Timestamp {
    after_secs(at, u64::from(days) * 86_400)
}

/// The form of dates in Meta's replies, always UTC.
pub(super) fn meta_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string()
}
