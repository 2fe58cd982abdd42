//! Times of a status are whole seconds.
//!
//! What is told to people to have begun is cut: it must not lie ahead. What a permission is counted from, or lasts until, is
//! raised, and so is all that it is compared with: what is read back then allows nothing sooner than what was written, and
//! what came at one time, or before another, still did.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// The first second of the year 1. The API server takes no year below zero, and whoever sets a consent may name one.
const FIRST: i64 = -62_135_596_800;

/// The second in which it lies.
pub(super) fn cut(at: Timestamp) -> Timestamp {
    let second = (at.as_second() - i64::from(at.subsec_nanosecond() < 0)).max(FIRST);
    Timestamp::from_second(second).unwrap_or(at)
}

/// The first second that is not before it; at the end of time there is none, and it is cut.
pub(super) fn raised(at: Timestamp) -> Timestamp {
    let cut = cut(at);
    if cut == at { at } else { Timestamp::from_second(cut.as_second() + 1).unwrap_or(cut) }
}

pub(super) fn raised_each(times: &BTreeMap<String, Timestamp>) -> BTreeMap<String, Timestamp> {
    times.iter().map(|(of, at)| (of.clone(), raised(*at))).collect()
}
