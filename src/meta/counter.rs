//! How many calls ended how.

use std::sync::atomic::{AtomicU64, Ordering};

use super::edge::Edge;
use crate::engine::{
    failure::Failure,
    word::{Vocabulary, words},
};

words! {
    /// How a call ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Ending {
        Answered = "answered",
        Refused = "refused",
        NoAnswer = "no_answer",
        NotSent = "not_sent",
        Throttled = "throttled",
    }
}

impl Ending {
    /// How a call ended that came to this.
    pub(super) fn of(failure: Option<&Failure>) -> Self {
        match failure {
            None => Self::Answered,
            Some(Failure::Refused(_)) => Self::Refused,
            Some(Failure::NoAnswer(_) | Failure::TooLarge(_)) => Self::NoAnswer,
            Some(Failure::NotSent(_)) => Self::NotSent,
            Some(Failure::Throttled(_)) => Self::Throttled,
        }
    }
}

/// How many calls ended how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub edge: Edge,
    pub ending: Ending,
    pub calls: u64,
}

/// Counters of every edge and ending.
#[derive(Debug, Default)]
pub(super) struct Counters([[AtomicU64; Ending::ALL.len()]; Edge::COUNT]);

impl Counters {
    pub(super) fn count(&self, edge: Edge, ending: Ending) {
        self.0[edge as usize][ending as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Only what happened at all.
    pub(super) fn read(&self) -> Vec<Count> {
        let all =
            Edge::ALL.into_iter().flat_map(|edge| Ending::ALL.iter().map(move |ending| (edge, *ending)));
        all.map(|(edge, ending)| Count {
            edge,
            ending,
            calls: self.0[edge as usize][ending as usize].load(Ordering::Relaxed),
        })
        .filter(|count| count.calls > 0)
        .collect()
    }
}
