//! How many calls ended how, and how long they took.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{bounded::lock, edge::Edge};
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
            Some(Failure::Throttled(_) | Failure::NoRoom(_)) => Self::Throttled,
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

/// How often a call was refused with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusals {
    pub edge: Edge,
    /// None: with any code that is not counted by itself.
    pub code: Option<i64>,
    pub calls: u64,
}

/// How long the calls of an edge took.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    pub edge: Edge,
    pub sum: Duration,
    /// How many took at most so long, and longer than those of the bucket before. The last took longer than all.
    pub buckets: Vec<(Option<Duration>, u64)>,
}

/// Everything that was counted.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub counts: Vec<Count>,
    pub refusals: Vec<Refusals>,
    pub times: Vec<Times>,
}

/// Ends of the buckets, in milliseconds. No call is waited for much longer than the last.
const BUCKETS: [u64; 9] = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000];

/// Pairs of edge and code that are counted by themselves. Meta has fewer codes for what we call, and may make up more.
const CODES: usize = 256;

#[derive(Debug, Default)]
struct Timer {
    micros: AtomicU64,
    buckets: [AtomicU64; BUCKETS.len() + 1],
}

/// Counters of every edge.
#[derive(Debug, Default)]
pub(super) struct Counters {
    endings: [[AtomicU64; Ending::ALL.len()]; Edge::COUNT],
    timers: [Timer; Edge::COUNT],
    refusals: Mutex<BTreeMap<(usize, Option<i64>), u64>>,
}

impl Counters {
    /// A call ended so, after so long, perhaps with a code of Meta's.
    pub(super) fn count(&self, edge: Edge, ending: Ending, took: Duration, code: Option<i64>) {
        self.endings[edge as usize][ending as usize].fetch_add(1, Ordering::Relaxed);
        if matches!(ending, Ending::Answered | Ending::Refused | Ending::NoAnswer) {
            let timer = &self.timers[edge as usize];
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            timer.micros.fetch_add(micros, Ordering::Relaxed);
            let bucket = BUCKETS.iter().position(|end| micros <= end * 1_000).unwrap_or(BUCKETS.len());
            timer.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        if let Some(code) = code {
            let mut refusals = lock(&self.refusals);
            let key = (edge as usize, Some(code));
            let is_counted = refusals.contains_key(&key) || refusals.len() < CODES;
            *refusals.entry(if is_counted { key } else { (edge as usize, None) }).or_default() += 1;
        }
    }

    /// Only what happened at all.
    pub(super) fn read(&self) -> Stats {
        let all =
            Edge::ALL.into_iter().flat_map(|edge| Ending::ALL.iter().map(move |ending| (edge, *ending)));
        let counts = all.map(|(edge, ending)| Count {
            edge,
            ending,
            calls: self.endings[edge as usize][ending as usize].load(Ordering::Relaxed),
        });
        let refusals = lock(&self.refusals);
        let refusals = refusals.iter().map(|((edge, code), calls)| Refusals {
            edge: Edge::ALL[*edge],
            code: *code,
            calls: *calls,
        });
        let times = Edge::ALL.into_iter().map(|edge| {
            let timer = &self.timers[edge as usize];
            let ends = BUCKETS.into_iter().map(|end| Some(Duration::from_millis(end))).chain([None]);
            let counts = timer.buckets.iter().map(|count| count.load(Ordering::Relaxed));
            let sum = Duration::from_micros(timer.micros.load(Ordering::Relaxed));
            Times { edge, sum, buckets: ends.zip(counts).collect() }
        });
        Stats {
            counts: counts.filter(|count| count.calls > 0).collect(),
            refusals: refusals.collect(),
            times: times.filter(|times| times.buckets.iter().any(|(_, count)| *count > 0)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_not_sent_took_no_time() {
        let counters = Counters::default();
        let second = Duration::from_secs(1);
        for ending in [Ending::Throttled, Ending::NotSent] {
            counters.count(Edge::Numbers, ending, second, None);
        }
        let read = counters.read();
        assert_eq!((read.counts.len(), read.times.len()), (2, 0));
        counters.count(Edge::Numbers, Ending::Answered, second, None);
        counters.count(Edge::Numbers, Ending::NoAnswer, 40 * second, None);
        let [times] = &counters.read().times[..] else { panic!("one edge was called") };
        assert_eq!((times.edge, times.sum), (Edge::Numbers, 41 * second));
        let filled: Vec<_> = times.buckets.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [&(Some(second), 1), &(None, 1)]);
    }

    #[test]
    fn however_many_codes_meta_has_the_series_are_bounded() {
        let counters = Counters::default();
        let count = |code| counters.count(Edge::Register, Ending::Refused, Duration::ZERO, Some(code));
        (0..1_000).for_each(count);
        count(0);
        let refusals = counters.read().refusals;
        assert_eq!(refusals.len(), CODES + 1);
        let of = |code| refusals.iter().find(|one| one.code == code).map(|one| one.calls);
        assert_eq!((of(Some(0)), of(Some(1)), of(Some(999)), of(None)), (Some(2), Some(1), None, Some(744)));
    }
}
