//! Arithmetic with times, which ends at the ends of time and never fails.

use std::time::Duration;

use jiff::Timestamp;

/// Clocks differ by less. What lies further ahead was not written by a clock.
pub(in crate::engine) const CLOCKS_DIFFER: Duration = Duration::from_secs(3600);
/// Clocks are set right by less all the time.
const SET_RIGHT: Duration = Duration::from_secs(60);

/// Whether the clock was set back since it showed this time. How long ago that was nobody knows then, so a wait that began at
/// it is over, and what was read at it is old.
pub(crate) fn is_set_back(since: Timestamp, now: Timestamp) -> bool {
    now < earlier(since, SET_RIGHT)
}

/// A time so much later; at the end of time it stays there.
pub(crate) fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// A time so much earlier.
pub(crate) fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// The pause after so many tries: none before the first, and the last one again and again.
pub(in crate::engine) fn pause(pauses: &[Duration], tries: usize) -> Duration {
    tries.checked_sub(1).and_then(|at| pauses.get(at).or(pauses.last())).copied().unwrap_or_default()
}
