//! Stood: whether what Meta shows of a number has stood long enough to count.
//!
//! `status` and `platform_type` may turn within minutes. What holds against a registered number changes conditions, and asks
//! somebody to act, only once every look for a while showed it.

use jiff::Timestamp;

use crate::engine::value::{
    id::{NumberStatus, PlatformType},
    limits::Limits,
    memory::Memory,
    observed::{Number, Stood},
    time::later,
};

/// Whether a look that was begun then confirms what was first seen at that time.
fn is_confirmed(since: Timestamp, seen_at: Timestamp, limits: &Limits) -> bool {
    seen_at >= later(since, limits.shown_confirmed)
}

/// Whether a registered number has long enough not been CONNECTED.
pub(in crate::engine) fn is_not_connected(stood: &Stood, seen_at: Timestamp, limits: &Limits) -> bool {
    stood.not_connected.is_some_and(|since| is_confirmed(since, seen_at, limits))
}

/// Whether this `status` has stood long enough.
pub(in crate::engine) fn has_status(
    stood: &Stood,
    word: &NumberStatus,
    seen_at: Timestamp,
    limits: &Limits,
) -> bool {
    let since = stood.status.as_ref().filter(|(stood, _)| stood == word).map(|(_, since)| *since);
    since.is_some_and(|since| is_confirmed(since, seen_at, limits))
}

/// Since when a number that was registered reads another platform, where that does not count yet.
pub(in crate::engine) fn platform_doubted_since(
    stood: &Stood,
    memory: &Memory,
    number: &Number,
    seen_at: Timestamp,
    limits: &Limits,
) -> Option<Timestamp> {
    let platform = number.platform.value();
    // One that was deregistered here is expected to read so.
    let is_expected = memory.is_unfinished() || memory.marks.is_moving;
    if is_expected || platform == Some(&PlatformType::CloudApi) {
        return None;
    }
    let since = stood.platform.as_ref().filter(|(stood, _)| stood.as_ref() == platform);
    let since = since.map_or(seen_at, |(_, since)| *since);
    (!is_confirmed(since, seen_at, limits)).then_some(since)
}

/// Whether a number that was registered counts as not registered with the next look, if that shows it so too: then what is
/// needed to register it is looked for already.
pub(in crate::engine) fn is_falling_back(stood: &Stood, limits: &Limits, now: Timestamp) -> bool {
    let (platform, since) = match &stood.platform {
        Some((platform, since)) => (platform.as_ref(), *since),
        None => return false,
    };
    platform == Some(&PlatformType::NotApplicable) && is_confirmed(since, now, limits)
}

/// When what is shown now counts, if it goes on. Until then it is looked at more often.
pub(in crate::engine) fn counts_from(stood: &Stood, memory: &Memory, limits: &Limits) -> Option<Timestamp> {
    let platform = stood.platform.as_ref().filter(|_| !memory.is_unfinished()).map(|(_, since)| *since);
    stood.not_connected.max(platform).map(|since| later(since, limits.shown_confirmed))
}
