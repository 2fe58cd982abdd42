//! Shared reads: one call for all callers that wait for the same fact.
//!
//! Every channel of an account needs the account's facts and its list of numbers. A caller names a
//! time, and gets the result of a read that was begun at that time or later. So a write makes the list
//! too old for the channel that wrote, and for no other channel. There is one read per key at a time.
//! After a failure there is a pause before the next read, short for an edit, and none when a person waits. What failed for
//! one channel of an account would fail for each of the others, and each would spend a call.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;
use tracing::Instrument as _;

use super::{
    bounded::{Kept, Store, lock},
    port::Clock,
};
use crate::engine::{
    failure::Failure,
    id::{AccountId, BusinessId},
    look::Urgency,
    time::later,
};

/// What a read is shared under: nothing crosses portfolios or versions of a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey {
    pub business: BusinessId,
    pub version: String,
    pub account: AccountId,
}

type Answer<V> = Result<Arc<V>, Failure>;

/// A read under way.
struct Flight<V> {
    begun: Timestamp,
    urgency: Urgency,
    answer: watch::Receiver<Option<Answer<V>>>,
}

impl<V> Clone for Flight<V> {
    fn clone(&self) -> Self {
        Self { begun: self.begun, urgency: self.urgency, answer: self.answer.clone() }
    }
}

impl<V> Flight<V> {
    /// Waits for the answer; `None` when the read was given up without one.
    async fn land(mut self) -> Option<Answer<V>> {
        let answer = self.answer.wait_for(Option::is_some).await.ok()?;
        answer.clone()
    }
}

/// The last read failed.
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// Failures since the last answer, each after the pause of the one before.
    pub(super) in_a_row: u32,
    /// When the last of them began.
    begun: Timestamp,
    /// Until then this failure is the answer.
    pub(super) not_before: Timestamp,
}

impl Failed {
    /// Of a read begun at `begun`. A read during the pause, for a person who waits, does not make the pause longer.
    pub(super) fn after(last: Option<Self>, failure: Failure, begun: Timestamp) -> Self {
        if let Some(last) = last {
            if begun < last.not_before {
                return Self { failure, begun, ..last };
            }
            return Self::pausing(failure, last.in_a_row.saturating_add(1), begun);
        }
        Self::pausing(failure, 1, begun)
    }

    pub(super) fn pausing(failure: Failure, in_a_row: u32, begun: Timestamp) -> Self {
        let pause = FIRST_PAUSE.saturating_mul(1 << (in_a_row - 1).min(8)).min(LONGEST_PAUSE);
        Self { failure, in_a_row, begun, not_before: later(begun, pause) }
    }

    /// When the read began.
    pub(super) fn begun(&self) -> Timestamp {
        self.begun
    }

    /// Whether this failure is the answer still. A person who waits is never given it, and who edited a manifest only for
    /// a short time: the cause may be gone long before the pause ends.
    pub(super) fn answers(&self, urgency: Urgency, now: Timestamp) -> bool {
        match urgency {
            Urgency::Person => false,
            Urgency::Edit => now < self.not_before.min(later(self.begun, EDIT_PAUSE)),
            Urgency::Transitional | Urgency::Drift => now < self.not_before,
        }
    }
}

/// Whether the next read would fail in the same way. A read that a bound of our own held back has a date. A
/// refused credential is checked by the portfolio.
fn is_kept(failure: &Failure) -> bool {
    match failure {
        Failure::Throttled(_) | Failure::NoRoom(_) => false,
        Failure::Refused(refusal) => !refusal.is_about_credentials(),
        Failure::NoAnswer(_) | Failure::TooLarge(_) | Failure::NotSent(_) => true,
    }
}

/// What the last read gave.
struct Latest<V> {
    begun: Timestamp,
    value: Arc<V>,
    _kept: Kept,
}

struct Slot<V> {
    latest: Option<Latest<V>>,
    flight: Option<Flight<V>>,
    failed: Option<Box<Failed>>,
    /// What was read before this serves nobody.
    floor: Timestamp,
}

impl<V> Slot<V> {
    fn empty() -> Self {
        Self { latest: None, flight: None, failed: None, floor: Timestamp::MIN }
    }

    fn begun(&self) -> Option<Timestamp> {
        self.latest.as_ref().map(|latest| latest.begun)
    }

    /// After a clock that went back: what was begun in what is the future now is of unknown age.
    fn mend(&mut self, now: Timestamp) {
        self.latest.take_if(|latest| latest.begun > now);
        self.failed.take_if(|failed| failed.begun > now);
        self.floor = self.floor.min(now);
    }

    fn is_idle(&self, now: Timestamp) -> bool {
        let failed = self.failed.as_ref().map(|failed| failed.not_before);
        let touched = self.begun().max(failed).map_or(self.floor, |at| at.max(self.floor));
        self.flight.is_none() && touched <= now.checked_sub(IDLE).unwrap_or(Timestamp::MIN)
    }
}

/// Reads of one kind, shared.
pub struct Shared<K, V> {
    clock: Arc<dyn Clock>,
    slots: Arc<Mutex<HashMap<K, Slot<V>>>>,
    bound: Bound<V>,
}

/// How much is kept of what was read.
struct Bound<V> {
    store: Store,
    most: usize,
    weigh: fn(&V) -> usize,
}

impl<V> Clone for Bound<V> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), ..*self }
    }
}

impl<V> Bound<V> {
    /// What was read last stays. Of all others the oldest go first, which would be read again the soonest.
    fn shed<K: PartialEq>(&self, slots: &mut HashMap<K, Slot<V>>, newest: &K) {
        if self.store.bytes() <= self.most {
            return;
        }
        let others = slots.iter_mut().filter(|(key, slot)| *key != newest && slot.latest.is_some());
        let mut others: Vec<_> = others.map(|(_, slot)| slot).collect();
        others.sort_unstable_by_key(|slot| slot.begun());
        for slot in others {
            if self.store.bytes() <= self.most {
                return;
            }
            slot.latest = None;
        }
    }
}

/// Keys that are kept at least; beyond it, what was read over an hour ago goes first.
const KEPT: usize = 1_024;
/// Beyond this many keys the older half goes.
const KEPT_AT_MOST: usize = 14_000;
const IDLE: Duration = Duration::from_secs(60 * 60);
/// How long a failure answers in place of another read: doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 60);
/// How long it does so for channels that were edited.
const EDIT_PAUSE: Duration = Duration::from_secs(30);

impl<K, V> Shared<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Nothing read yet. No more is kept than `most` in the measure of `weigh`, or the last that was read.
    pub(super) fn within(clock: Arc<dyn Clock>, most: usize, weigh: fn(&V) -> usize) -> Self {
        Self { clock, slots: Arc::default(), bound: Bound { store: Store::default(), most, weigh } }
    }

    /// How much is kept.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bound.store.bytes()
    }

    /// A value whose read began at `not_before` or later: the kept one, the one under way, or a new one.
    ///
    /// The read runs to its end even when whoever asked goes away, for those who wait with them.
    ///
    /// # Errors
    ///
    /// The failure of the read that was waited for, or of one that failed a moment ago.
    pub async fn get<F, R>(&self, key: K, not_before: Timestamp, urgency: Urgency, read: F) -> Answer<V>
    where
        F: FnOnce() -> R,
        R: Future<Output = Result<V, Failure>> + Send + 'static,
    {
        let mut read = Some(read);
        loop {
            let (flight, may_serve) = {
                let mut slots = self.lock();
                let now = self.clock.now();
                if let Some(slot) = slots.get_mut(&key) {
                    slot.mend(now);
                }
                let not_before = not_before.max(slots.get(&key).map_or(Timestamp::MIN, |slot| slot.floor));
                if let Some(latest) = slots.get(&key).and_then(|slot| slot.latest.as_ref())
                    && latest.begun >= not_before
                {
                    return Ok(Arc::clone(&latest.value));
                }
                if not_before > now {
                    return Err(Failure::Throttled(not_before));
                }
                let under_way = slots.get(&key).and_then(|slot| slot.flight.clone());
                match under_way.filter(|flight| flight.answer.has_changed().is_ok()) {
                    Some(flight) => {
                        let may_serve = flight.begun >= not_before;
                        (flight, may_serve)
                    }
                    None => {
                        let failed = slots.get(&key).and_then(|slot| slot.failed.as_ref());
                        if let Some(failed) = failed.filter(|failed| failed.answers(urgency, now)) {
                            return Err(failed.failure.clone());
                        }
                        let Some(read) = read.take() else {
                            return Err(Failure::NotSent(
                                "the read that was waited for gave no answer".into(),
                            ));
                        };
                        let flight = self.start(&mut slots, &key, urgency, now, read());
                        (flight, true)
                    }
                }
            };
            let more_urgent = urgency < flight.urgency;
            let answer = flight.land().await;
            match answer {
                Some(Err(Failure::Throttled(_))) if more_urgent && read.is_some() => {}
                Some(answer) if may_serve => return answer,
                _ => {}
            }
        }
    }

    /// The kept value if its read began at `not_before` or later, without any read.
    pub fn kept(&self, key: &K, not_before: Timestamp) -> Option<Arc<V>> {
        let slots = self.lock();
        let latest = slots.get(key)?.latest.as_ref()?;
        (latest.begun >= not_before).then(|| Arc::clone(&latest.value))
    }

    /// Makes everything read before now too old for everybody: the fact itself was changed.
    pub fn forget(&self, key: &K) {
        let now = self.clock.now();
        let mut slots = self.lock();
        make_room(&mut slots, now);
        slots.entry(key.clone()).or_insert_with(Slot::empty).floor = now;
    }

    /// The same for every key: somebody else may have changed anything.
    pub fn forget_all(&self) {
        let now = self.clock.now();
        let mut slots = self.lock();
        slots.retain(|_, slot| slot.flight.is_some());
        for slot in slots.values_mut() {
            *slot = Slot { flight: slot.flight.take(), floor: now, ..Slot::empty() };
        }
    }

    /// Nobody will ask for what was read before it is due to be read again, so it is not kept.
    pub fn let_go(&self, key: &K) {
        if let Some(slot) = self.lock().get_mut(key) {
            slot.latest = None;
        }
    }

    /// What was read before this serves nobody.
    pub fn floor(&self, key: &K) -> Timestamp {
        self.lock().get(key).map_or(Timestamp::MIN, |slot| slot.floor)
    }

    fn start<R>(
        &self,
        slots: &mut HashMap<K, Slot<V>>,
        key: &K,
        urgency: Urgency,
        begun: Timestamp,
        reading: R,
    ) -> Flight<V>
    where
        R: Future<Output = Result<V, Failure>> + Send + 'static,
    {
        make_room(slots, begun);
        let (teller, answer) = watch::channel(None);
        let flight = Flight { begun, urgency, answer };
        slots.entry(key.clone()).or_insert_with(Slot::empty).flight = Some(flight.clone());
        let (key, slots, reading) = (key.clone(), Arc::clone(&self.slots), reading.in_current_span());
        let bound = self.bound.clone();
        tokio::spawn(async move {
            let answer = reading.await.map(Arc::new);
            {
                let mut slots = lock(&slots);
                if let Some(slot) = slots.get_mut(&key) {
                    slot.flight = None;
                    match &answer {
                        Ok(value) => {
                            let kept = bound.store.keep((bound.weigh)(value));
                            slot.latest = Some(Latest { begun, value: Arc::clone(value), _kept: kept });
                            slot.failed = None;
                            bound.shed(&mut slots, &key);
                        }
                        Err(failure) if is_kept(failure) => {
                            let last = slot.failed.take().map(|last| *last);
                            slot.failed = Some(Box::new(Failed::after(last, failure.clone(), begun)));
                        }
                        Err(_) if slot.is_idle(begun) => {
                            slots.remove(&key);
                        }
                        Err(_) => {}
                    }
                }
            }
            let _ = teller.send(Some(answer));
        });
        flight
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Slot<V>>> {
        lock(&self.slots)
    }
}

/// Keeps memory bounded: old values go first, then the oldest ones.
fn make_room<K: Clone + Eq + Hash, V>(slots: &mut HashMap<K, Slot<V>>, now: Timestamp) {
    if slots.len() < KEPT || slots.len() < slots.capacity() {
        return;
    }
    slots.retain(|_, slot| !slot.is_idle(now));
    if slots.len() >= KEPT_AT_MOST {
        let mut times: Vec<_> = slots.values().map(Slot::begun).collect();
        times.sort_unstable();
        let oldest_kept = times[times.len() / 2];
        slots.retain(|_, slot| slot.flight.is_some() || slot.begun() >= oldest_kept);
    }
}

#[cfg(test)]
mod tests;
