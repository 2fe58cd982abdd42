//! Call budgets and the headers that tell of them.
//!
//! A budget is a rolling hour. Calls that are refused count as well, so who goes on
//! calling while throttled stays throttled.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::clock::{after_secs, later};

/// Calls per hour, app and account, before the first number is registered, and for
/// everything off the short list afterwards.
pub(super) const ACCOUNT_CALLS: usize = 200;
/// Calls per hour on the short list once a number is registered.
pub(super) const ACTIVE_ACCOUNT_CALLS: usize = 5000;
/// Calls per hour and daily active user of an app.
pub(super) const APP_CALLS_PER_USER: usize = 200;

/// One rolling hour of calls.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Budget {
    calls: VecDeque<Timestamp>,
    /// Set by a fault: throttled until then, with this code.
    forced: Option<(Timestamp, i64)>,
}

/// What a call learns about its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) percent: u32,
    pub(super) regain_minutes: i64,
    pub(super) throttled: bool,
    pub(super) code: Option<i64>,
}

impl Budget {
    /// Counts one call and says whether it may go on.
    pub(super) fn charge(&mut self, allowance: usize, now: Timestamp) -> Usage {
        let hour_ago = later(now, SignedDuration::from_hours(-1));
        while self.calls.front().is_some_and(|at| *at <= hour_ago) {
            self.calls.pop_front();
        }
        let spent = self.calls.len() >= allowance;
        self.calls.push_back(now);
        while self.calls.len() > allowance {
            self.calls.pop_front();
        }
        let mut regain = now;
        if spent {
            regain = self.calls.front().map_or(now, |at| after_secs(*at, 3600));
        }
        let mut code = None;
        if let Some((until, forced)) = self.prolong(now) {
            regain = regain.max(until);
            code = Some(forced);
        }
        let throttled = spent || code.is_some();
        let percent = if throttled { 100 } else { self.calls.len() * 100 / allowance.max(1) };
        Usage {
            percent: u32::try_from(percent).unwrap_or(100),
            regain_minutes: minutes_until(regain, now),
            throttled,
            code,
        }
    }

    /// What a call learns that counts elsewhere, while a fault throttles this budget.
    pub(super) fn meet(&mut self, now: Timestamp) -> Option<Usage> {
        self.prolong(now).map(|(until, code)| Usage {
            percent: 100,
            regain_minutes: minutes_until(until, now),
            throttled: true,
            code: Some(code),
        })
    }

    /// Whoever goes on calling while a fault throttles is throttled longer.
    fn prolong(&mut self, now: Timestamp) -> Option<(Timestamp, i64)> {
        self.forced = self.forced.filter(|(until, _)| *until > now);
        let forced = self.forced.as_mut()?;
        forced.0 = after_secs(forced.0, 60);
        Some(*forced)
    }

    /// Throttles from now on, whatever was called.
    pub(super) fn force(&mut self, until: Timestamp, code: i64) {
        self.forced = Some((until, code));
    }
}

/// Whole minutes until then, rounded up.
pub(super) fn minutes_until(then: Timestamp, now: Timestamp) -> i64 {
    let secs = then.duration_since(now).as_secs();
    if secs <= 0 { 0 } else { (secs + 59) / 60 }
}
