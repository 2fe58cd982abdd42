//! Attempts that outlive the object: the port to where they are kept, and when they are written.
//!
//! They are kept beside the channel and written after an outcome, like any effect that may be repeated: a write that
//! failed is made again by a later pass, and holds nothing up.

use std::{
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use jiff::Timestamp;

use crate::engine::{
    limits::Limits,
    memory::{Ledger, Memory},
    observed::Observed,
    plan::Plan,
};

/// No write of attempts takes longer, since a step may have to be waited for.
pub(super) const LONGEST: Duration = Duration::from_secs(5);

/// What is kept of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptsRead {
    Absent,
    /// It may not be read, or cannot be understood, and that will not change by itself. It counts as absent.
    Unusable(String),
    /// Could not be read now, with why.
    Failed(String),
    Kept(Box<Ledger>),
}

impl AttemptsRead {
    /// The memory with which a plan is made anew, now that the attempts of objects before this one were read: where there
    /// are any, and where that is not known, which `observed` then tells.
    pub fn taken_over(
        self,
        decided: &Plan,
        memory: &Memory,
        observed: &mut Observed,
        limits: &Limits,
        now: Timestamp,
    ) -> Option<Memory> {
        let mut memory = memory.clone();
        match self {
            Self::Kept(kept) => {
                let known = decided.memory.marks.origin.at().unwrap_or(now);
                memory.ledger.take_over(&kept, known, limits, now).then_some(memory)
            }
            Self::Failed(why) => {
                observed.attempts_unread = Some(why);
                Some(memory)
            }
            Self::Absent | Self::Unusable(_) => None,
        }
    }
}

/// Where the attempts of one number are kept, whichever object makes them.
pub trait Attempts: Send + Sync + 'static {
    /// Reads past every cache.
    fn read(&self) -> impl Future<Output = AttemptsRead> + Send;

    /// Adds these attempts to those that are kept; writes nothing that is there already.
    fn keep(
        &self,
        own: &Ledger,
        limits: &Limits,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

/// What this process knows of the attempts that are kept of one channel. After a restart it knows nothing, so the
/// first pass over a channel with recent attempts looks whether all are there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Keeping {
    kept: Option<u64>,
    failed: usize,
    not_before: Option<Timestamp>,
}

impl Keeping {
    /// What has to be kept, in short, if that is not known to be there, and it may be tried.
    pub(super) fn due(&self, ledger: &Ledger, limits: &Limits, now: Timestamp) -> Option<u64> {
        let mut marks = ledger.marks(limits, now).peekable();
        marks.peek()?;
        let mut hasher = DefaultHasher::new();
        marks.for_each(|(id, outcome)| (id, outcome.as_str()).hash(&mut hasher));
        let mark = hasher.finish();
        let is_paused = self.not_before.is_some_and(|until| now < until);
        (self.kept != Some(mark) && !is_paused).then_some(mark)
    }

    /// Whether all of them are known to be there.
    pub(super) fn is_done(&self, ledger: &Ledger, limits: &Limits, now: Timestamp) -> bool {
        Self { not_before: None, ..self.clone() }.due(ledger, limits, now).is_none()
    }

    /// They are there.
    pub(super) fn note_kept(&mut self, mark: u64) {
        *self = Self { kept: Some(mark), failed: 0, not_before: None };
    }

    /// They could not be written: again after the pauses of any step that may be repeated.
    pub(super) fn note_failed(&mut self, limits: &Limits, now: Timestamp) {
        let pauses = &limits.repeatable_pauses;
        let pause = pauses.get(self.failed).or(pauses.last()).copied().unwrap_or_default();
        self.failed += 1;
        self.not_before = Some(now.checked_add(pause).unwrap_or(Timestamp::MAX));
    }
}
