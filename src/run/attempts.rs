//! Attempts that outlive the object: the port to where they are kept, and when they are read and written.
//!
//! They are kept beside the portfolio, and a second time with the operator, and written after an outcome, like any effect that may be repeated: a write that
//! failed is made again by a later pass, and holds nothing up. They are read before the first step of a process that cannot
//! be repeated, and again after others may have had the number. What either shows goes into the status.

use std::{
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::engine::{
    limits::Limits,
    memory::{Ledger, Memory},
    observed::Observed,
    time::{is_set_back, later},
};

/// No write of attempts takes longer, since a step may have to be waited for.
pub(super) const LONGEST: Duration = Duration::from_secs(5);
/// A step waits no longer than this for attempts that cannot be read: a right that was taken away for a moment comes back.
const UNREAD: Duration = Duration::from_secs(120);
/// Who waited so long for them does not wait again this soon: each step of a channel would.
const WAITED: Duration = Duration::from_secs(3_600);
/// Pauses after a write that somebody else's came before, or that was not answered.
const SOON: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(300)];

/// What is kept of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptsRead {
    Absent,
    /// It cannot be understood, and that will not change by itself. It counts as absent.
    Unusable(String),
    /// It may not be read.
    Forbidden(String),
    /// Could not be read now, with why.
    Failed(String),
    Kept(Box<Ledger>),
}

impl AttemptsRead {
    /// The memory with which a plan is made anew, now that the attempts of other objects were read: where there are any,
    /// and where that is not known, which `observed` then tells.
    pub fn taken_over(
        self,
        memory: &Memory,
        observed: &mut Observed,
        limits: &Limits,
        now: Timestamp,
    ) -> Option<Memory> {
        let mut memory = memory.clone();
        match self {
            Self::Kept(kept) => memory.take_over(&kept, limits, now).then_some(memory),
            Self::Failed(why) => {
                observed.attempts_unread = Some(why);
                Some(memory)
            }
            Self::Absent | Self::Unusable(_) | Self::Forbidden(_) => None,
        }
    }

    /// Why nothing of them is known, where that is so.
    fn unknown(&self) -> Option<&String> {
        match self {
            Self::Unusable(why) | Self::Forbidden(why) | Self::Failed(why) => Some(why),
            Self::Absent | Self::Kept(_) => None,
        }
    }
}

/// What was read in both places, and what may count as none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// What either place shows; [`AttemptsRead::Failed`] where a step has to wait.
    pub read: AttemptsRead,
    /// Why nothing is known of the first place.
    pub unread: Option<String>,
    /// Why nothing is known of the second one.
    pub unread_with_operator: Option<String>,
}

/// Why attempts were not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotKept {
    /// Somebody else wrote at that moment, or there was no answer.
    Passing(String),
    /// It will be refused again.
    Refused(String),
}

/// What of the attempts does not outlive an object, in the words of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// They cannot be kept.
    NotKept(String),
    /// Earlier ones cannot be read, and count as none.
    NotRead(String),
}

/// Where the attempts of one number are kept, whichever object makes them.
pub trait Attempts: Send + Sync + 'static {
    /// Reads past every cache.
    fn read(&self) -> impl Future<Output = AttemptsRead> + Send;

    /// Adds these attempts to those that are kept; writes nothing that is there already. Gives back all that are kept then.
    fn keep(
        &self,
        own: &Ledger,
        limits: &Limits,
        now: Timestamp,
    ) -> impl Future<Output = Result<Ledger, NotKept>> + Send;

    /// What tells this place from every other one. None where nothing may be written to it.
    fn place(&self) -> Option<String>;

    /// Where a second copy is, which outlives the portfolio's namespace.
    fn with_operator(&self) -> Option<&Self> {
        None
    }
}

/// Reads both places. What there is no second place for is absent there.
pub(super) async fn read<A: Attempts>(attempts: &A) -> [AttemptsRead; 2] {
    let second = async {
        match attempts.with_operator() {
            Some(second) => second.read().await,
            None => AttemptsRead::Absent,
        }
    };
    let (first, second) = tokio::join!(attempts.read(), second);
    [first, second]
}

/// Keeps attempts in both places, each with what only the other one had. Gives back all that are kept then, and why the second
/// place did not take them.
pub(super) async fn keep<A: Attempts>(
    attempts: &A,
    own: &Ledger,
    limits: &Limits,
    now: Timestamp,
) -> (Result<Ledger, NotKept>, Option<NotKept>) {
    let until = Instant::now() + LONGEST;
    let Some(second) = attempts.with_operator() else {
        return (within(until, attempts.keep(own, limits, now)).await, None);
    };
    let first = within(until, attempts.keep(own, limits, now));
    match tokio::join!(first, within(until, second.keep(own, limits, now))) {
        (Ok(here), Ok(there)) => {
            // What people may write to does not say what was tried otherwise than the operator's own namespace does.
            let all = there.kept(&here, limits, now);
            let here =
                if here == all { Ok(here) } else { within(until, attempts.keep(&all, limits, now)).await };
            let there =
                if there == all { Ok(there) } else { within(until, second.keep(&all, limits, now)).await };
            (here, there.err())
        }
        (here, there) => (here, there.err()),
    }
}

pub(super) async fn within(
    until: Instant,
    keeping: impl Future<Output = Result<Ledger, NotKept>> + Send,
) -> Result<Ledger, NotKept> {
    let unanswered = |_| Err(NotKept::Passing(format!("no answer within {LONGEST:?}")));
    timeout_at(until, keeping).await.unwrap_or_else(unanswered)
}

/// What this process knows of the attempts that are kept of one channel. After a restart it knows nothing, so the
/// first pass over a channel with recent attempts looks whether all are there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Keeping {
    kept: Option<u64>,
    failed: usize,
    /// A write failed then, and is made again not before that.
    failed_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
    /// All that others tried is known, since this channel has the number.
    is_known: bool,
    /// What was read, until a status shows it.
    found: Option<Box<Ledger>>,
    /// Since when they cannot be read.
    unread: Option<Timestamp>,
    /// The second copy lacks what was written last: how often that failed, and when it is tried again.
    owes_operator: Option<(usize, Timestamp)>,
    /// Where they are kept: the portfolio's namespace, and the business portfolio of the second copy, if there is one.
    place: Box<str>,
}

impl Keeping {
    /// Whether it knows nothing, beside where they would be.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self { place: self.place.clone(), ..Self::default() }
    }

    /// They are kept in this namespace from now on, and a second time for this business portfolio. Of those in another place
    /// nothing is known here. A second place that is away for a while is the same one when it is back.
    pub(super) fn at(&mut self, namespace: &str, business: Option<&str>) {
        let (known, of) = self.place.split_once('/').unwrap_or((&self.place, ""));
        if known == namespace && business.is_none_or(|business| business == of) {
            return;
        }
        let place = business.map_or_else(|| namespace.into(), |business| format!("{namespace}/{business}"));
        *self = Self { place: place.into(), ..Self::default() };
    }

    /// Nothing needs them now, so the next step that does waits anew, unless one waited to the end lately.
    pub(super) fn not_needed(&mut self, now: Timestamp) {
        self.unread =
            self.unread.filter(|since| (later(*since, UNREAD)..later(*since, WAITED)).contains(&now));
    }

    /// Whether something has to be kept that is not known to be there, and it may be tried. The second copy counts where it can be
    /// written.
    pub(super) fn is_due(&self, ledger: &Ledger, has_second: bool, limits: &Limits, now: Timestamp) -> bool {
        let is_set_back = self.failed_at.is_some_and(|at| is_set_back(at, now));
        let is_paused = !is_set_back && self.not_before.is_some_and(|until| now < until);
        // No pause is longer, also when the clock went back since it began.
        let longest = limits.repeatable_pauses.last().copied().unwrap_or_default();
        let is_owed =
            |(_, from): (usize, Timestamp)| has_second && (from <= now || from > later(now, longest));
        mark(ledger, limits, now).is_some_and(|mark| {
            !is_paused && self.kept != Some(mark) || self.owes_operator.is_some_and(is_owed)
        })
    }

    /// When the next pass is due: at once where something was found, else when a write that failed is made again.
    pub(super) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        if self.found.is_some() { Some(now) } else { self.not_before }
    }

    /// Whether all of them are known to be there, and a status shows all that is.
    pub(super) fn is_done(&self, ledger: &Ledger, limits: &Limits, now: Timestamp) -> bool {
        let unpaused = Self { not_before: None, ..self.clone() };
        self.found.is_none() && !unpaused.is_due(ledger, false, limits, now)
    }

    /// They are there, and that is all there is. What is not in `own` goes into the status with the next pass.
    pub(super) fn note_kept(&mut self, own: &Ledger, all: Ledger, limits: &Limits, now: Timestamp) {
        let both = own.with(&all, limits, now);
        let kept = mark(both.as_ref().unwrap_or(own), limits, now);
        let (found, place) = (both.map(|_| Box::new(all)), std::mem::take(&mut self.place));
        *self = Self { kept, is_known: true, found, place, ..Self::default() };
    }

    /// The second copy does not have them: what it holds is read before the next step, and it is written again after the pauses of
    /// any step that may be repeated, or once there is one again. That holds nothing up.
    pub(super) fn note_owed(&mut self, before: usize, was_refused: bool, limits: &Limits, now: Timestamp) {
        let pauses = &limits.repeatable_pauses;
        let pause = pauses.get(before).or(pauses.last()).copied().filter(|_| was_refused).unwrap_or_default();
        self.owes_operator = Some((before + 1, later(now, pause)));
        self.is_known = false;
    }

    /// How often the second copy could not be written in a row.
    pub(super) fn owed(&self) -> usize {
        self.owes_operator.map_or(0, |(failed, _)| failed)
    }

    /// Whether there was a second copy before.
    pub(super) fn had_second(&self) -> bool {
        self.place.contains('/')
    }

    /// They could not be written: again in a moment, or after the pauses of any step that may be repeated.
    pub(super) fn note_failed(&mut self, why: &NotKept, limits: &Limits, now: Timestamp) {
        let pause = pause_after(why, self.failed, limits);
        self.failed += 1;
        (self.failed_at, self.not_before) = (Some(now), Some(later(now, pause)));
    }

    /// It is the last time, so no pause is kept.
    pub(super) fn hurry(&mut self) {
        self.not_before = None;
    }

    /// Somebody else may have the number, and may try what we do not see.
    pub(super) fn lose_sight(&mut self) {
        self.is_known = false;
    }

    /// Whether what others tried has to be read before a step that cannot be repeated.
    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Whether a write to the second place that failed is made again soon. It holds nothing up for good.
    pub(super) fn is_patient(&self) -> bool {
        self.failed < SOON.len()
    }

    /// What reads of both places are worth: what either shows counts. The first place holds a step up as it would alone; the
    /// second one does where it gave no answer, and not where a right to it is missing.
    pub(super) fn heard_both(
        &mut self,
        [first, second]: [AttemptsRead; 2],
        limits: &Limits,
        now: Timestamp,
    ) -> Heard {
        let (unread, unread_with_operator) = (first.unknown().cloned(), second.unknown().cloned());
        let all = match (&first, &second) {
            (AttemptsRead::Kept(here), AttemptsRead::Kept(there)) => {
                Some(Box::new(there.kept(here, limits, now)))
            }
            (AttemptsRead::Kept(all), _) | (_, AttemptsRead::Kept(all)) => Some(all.clone()),
            _ => None,
        };
        let decides = match (&first, &second) {
            (AttemptsRead::Failed(_) | AttemptsRead::Forbidden(_), _) => first,
            (_, AttemptsRead::Failed(_)) => second,
            _ => first,
        };
        let read = self.heard(decides, now);
        if matches!(read, AttemptsRead::Failed(_)) {
            return Heard { read, unread: None, unread_with_operator: None };
        }
        // Nothing is lost that the other place has.
        let unread = unread.filter(|_| all.is_none());
        if all.is_some() {
            self.found.clone_from(&all);
        }
        let read = all.map_or(AttemptsRead::Absent, AttemptsRead::Kept);
        Heard { read, unread, unread_with_operator }
    }

    /// What a read is worth. One that failed holds a step up for a while, and then counts as if there were none.
    pub(super) fn heard(&mut self, read: AttemptsRead, now: Timestamp) -> AttemptsRead {
        match read {
            AttemptsRead::Failed(why) | AttemptsRead::Forbidden(why) => {
                let since = self.unread.map_or(now, |since| since.min(now));
                self.unread = Some(since);
                if now < later(since, UNREAD) {
                    AttemptsRead::Failed(why)
                } else {
                    AttemptsRead::Unusable(why)
                }
            }
            read => {
                (self.is_known, self.unread) = (true, None);
                if let AttemptsRead::Kept(all) = &read {
                    self.found = Some(all.clone());
                }
                read
            }
        }
    }

    /// What is owed to either place counts as if it had been read there, once a step does not wait for a read.
    pub(super) fn heard_owed(
        &mut self,
        read: AttemptsRead,
        owed: Option<Ledger>,
        limits: &Limits,
        now: Timestamp,
    ) -> AttemptsRead {
        let all = match (read, owed) {
            (read, None) | (read @ AttemptsRead::Failed(_), Some(_)) => return read,
            (AttemptsRead::Kept(read), Some(owed)) => Box::new(owed.kept(&read, limits, now)),
            (_, Some(owed)) => Box::new(owed),
        };
        self.found = Some(all.clone());
        AttemptsRead::Kept(all)
    }

    /// The memory of a status with what was found beside it since, until it is all in there.
    pub(super) fn merge(&mut self, mut memory: Memory, limits: &Limits, now: Timestamp) -> Memory {
        let is_news = self.found.as_ref().is_some_and(|found| memory.take_over(found, limits, now));
        if !is_news {
            self.found = None;
        }
        memory
    }
}

/// Until a write is made again that failed so often before.
pub(super) fn pause_after(why: &NotKept, failed: usize, limits: &Limits) -> Duration {
    let pauses = match why {
        NotKept::Passing(_) => &SOON[..],
        NotKept::Refused(_) => &limits.repeatable_pauses[..],
    };
    pauses.get(failed).or(pauses.last()).copied().unwrap_or_default()
}

/// What of a ledger is kept, in short; `None` if nothing is.
fn mark(ledger: &Ledger, limits: &Limits, now: Timestamp) -> Option<u64> {
    let mut marks = ledger.marks(limits, now).peekable();
    marks.peek()?;
    let mut hasher = DefaultHasher::new();
    marks.for_each(|(id, outcome)| (id, outcome.as_str()).hash(&mut hasher));
    Some(hasher.finish())
}
