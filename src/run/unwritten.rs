//! Outcomes that could not be written yet: what Meta answered is known once, and neither an API server that is away nor
//! a Lease that is lost meanwhile must make us forget it. Only the end of the process does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::Notify, time::Instant};
use tracing::warn;

use crate::engine::{
    desired::Desired,
    limits::Limits,
    memory::Memory,
    outcome::Outcome,
    record::{Late, fold_late},
    time::later,
};

use super::unkept::Unkept;

/// Most that are kept. No process has as many calls on the wire.
const MOST: usize = 10_000;
/// Until the first try, and between two of them: a leader decides from an intent half a minute after its start.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);
/// The pass that has an outcome writes it within this; only if it cannot, somebody else does.
const OWN: Duration = Duration::from_secs(120);

/// The outcome of the last step with an intent, as long as status does not hold it, of each object by its uid.
#[derive(Debug, Default)]
pub struct Unwritten {
    /// The attempts, whatever becomes of the object.
    pub attempts: Unkept,
    kept: Mutex<HashMap<Arc<str>, Kept>>,
    more: Notify,
}

/// An outcome, and whose it is.
#[derive(Clone, Debug)]
pub struct Owed {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub uid: Arc<str>,
    pub outcome: Arc<Outcome>,
}

#[derive(Debug)]
struct Kept {
    owed: Owed,
    tries: u32,
    /// When it is tried again.
    due: Instant,
}

impl Unwritten {
    /// Keeps an outcome that its pass could not write. One without an intent is not kept: its step may be repeated.
    pub fn keep(&self, of: &Desired, outcome: &Outcome) {
        self.put(of, outcome, FIRST);
        self.more.notify_one();
    }

    /// Keeps an outcome that its pass is about to write, should that come to nothing.
    pub(super) fn hold(&self, of: &Desired, outcome: &Outcome) {
        self.put(of, outcome, OWN);
    }

    fn put(&self, of: &Desired, outcome: &Outcome, pause: Duration) {
        if outcome.intent.is_none() {
            return;
        }
        let owed = Owed {
            namespace: of.namespace.as_str().into(),
            name: of.name.as_str().into(),
            uid: of.uid.as_str().into(),
            outcome: Arc::new(outcome.clone()),
        };
        let mut all = self.lock();
        if all.len() >= MOST && !all.contains_key(&owed.uid) {
            let oldest = all.values().min_by_key(|kept| kept.owed.outcome.at).map(|kept| kept.owed.clone());
            if let Some(oldest) = oldest {
                all.remove(&oldest.uid);
                oldest.dropped("too many are kept");
            }
        }
        let kept = Kept { owed, tries: 0, due: Instant::now() + pause };
        all.insert(kept.owed.uid.clone(), kept);
    }

    /// What is remembered of an object, with the outcome as far as it still counts there.
    pub fn merge(&self, uid: &str, memory: Memory, limits: &Limits) -> Memory {
        let Some(owed) = self.lock().get(uid).map(|kept| kept.owed.clone()) else { return memory };
        match fold_late(&memory, &owed.outcome, limits) {
            Late::News(folded) => *folded,
            Late::NotUnderstood => memory,
            Late::Known => {
                self.settle(uid, &owed.outcome);
                memory
            }
            Late::Decided => {
                self.decided(&owed);
                memory
            }
        }
    }

    /// Forgets the outcome of an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Forgets one that a status holds, or that nobody asks for any more.
    pub(super) fn settle(&self, uid: &str, outcome: &Outcome) {
        let mut all = self.lock();
        if all.get(uid).is_some_and(|kept| kept.owed.outcome.intent == outcome.intent) {
            all.remove(uid);
        }
    }

    /// Somebody else has decided about the intent.
    pub(super) fn decided(&self, owed: &Owed) {
        owed.dropped("its intent was decided meanwhile, or is not there any more");
        self.settle(&owed.uid, &owed.outcome);
    }

    /// It was tried in vain, so it is tried again after a longer pause.
    pub(super) fn failed(&self, owed: &Owed) {
        if let Some(kept) = self.lock().get_mut(&owed.uid) {
            kept.tries = kept.tries.saturating_add(1);
            kept.due = Instant::now() + FIRST.saturating_mul(1 << kept.tries.min(8)).min(LONGEST);
        }
    }

    /// Those that have waited for the longest, as far as they are to be tried now.
    pub(super) fn due(&self, most: usize) -> Vec<Owed> {
        let (all, now) = (self.lock(), Instant::now());
        let mut due: Vec<_> = all.values().filter(|kept| kept.due <= now).collect();
        due.sort_unstable_by_key(|kept| kept.due);
        due.into_iter().take(most).map(|kept| kept.owed.clone()).collect()
    }

    /// Forgets those that are so old that they count for nothing. Gives back when the next one is to be tried.
    pub(super) fn next(&self, now: Timestamp, limits: &Limits) -> Option<Instant> {
        let mut all = self.lock();
        all.retain(|_, kept| later(kept.owed.outcome.at, limits.longest_window()) > now);
        let next = all.values().map(|kept| kept.due).min();
        [next, self.attempts.next(now, limits)].into_iter().flatten().min()
    }

    /// No pass is on its way any more: all are tried now.
    pub fn hurry(&self) {
        let now = Instant::now();
        for kept in self.lock().values_mut() {
            kept.due = now;
        }
        self.attempts.hurry();
    }

    /// Attempts were not kept, and are tried again.
    pub(super) fn note_unkept(&self) {
        self.more.notify_one();
    }

    /// Waits until one more is kept.
    pub(super) async fn more(&self) {
        self.more.notified().await;
    }

    /// How many there are.
    pub fn left(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owed {
    /// It is not written any more, for this reason.
    pub(super) fn dropped(&self, why: &str) {
        let Self { namespace, name, outcome, .. } = self;
        let (step, intent) = (outcome.step.as_str(), outcome.intent.as_deref());
        warn!(%namespace, channel = %name, step, intent, why, "an outcome is not written any more");
    }
}
