//! Shared reads: one call for everybody who waits for the same fact.
//!
//! Every channel of an account needs the account's facts and its list of numbers. Whoever asks
//! names a time, and only a read begun at or after it serves: so a write makes the list too old
//! for the channel that wrote, and for nobody else. One read per key is under way at a time;
//! its failure is told to those who waited for it, and to nobody later.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;

use super::port::Clock;
use crate::engine::{
    failure::Failure,
    id::{AccountId, BusinessId},
    look::Urgency,
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

struct Slot<V> {
    latest: Option<(Timestamp, Arc<V>)>,
    flight: Option<Flight<V>>,
    /// What was read before this serves nobody.
    floor: Timestamp,
}

impl<V> Slot<V> {
    fn empty() -> Self {
        Self { latest: None, flight: None, floor: Timestamp::MIN }
    }

    fn begun(&self) -> Option<Timestamp> {
        self.latest.as_ref().map(|(begun, _)| *begun)
    }

    fn is_idle(&self, now: Timestamp) -> bool {
        let touched = self.begun().map_or(self.floor, |begun| begun.max(self.floor));
        self.flight.is_none() && touched <= now.checked_sub(IDLE).unwrap_or(Timestamp::MIN)
    }
}

/// Reads of one kind, shared.
pub struct Shared<K, V> {
    clock: Arc<dyn Clock>,
    slots: Arc<Mutex<HashMap<K, Slot<V>>>>,
}

/// Keys that are kept at least; beyond it, what was read over an hour ago goes first.
const KEPT: usize = 1_024;
/// Beyond this many keys the older half goes.
const KEPT_AT_MOST: usize = 14_000;
const IDLE: Duration = Duration::from_secs(60 * 60);

impl<K, V> Shared<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Nothing read yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, slots: Arc::default() }
    }

    /// A value whose read began at `not_before` or later: the kept one, the one under way, or a new one.
    ///
    /// The read runs to its end even when whoever asked goes away, for those who wait with them.
    ///
    /// # Errors
    ///
    /// The failure of the read that was waited for.
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
                let not_before = not_before.max(slots.get(&key).map_or(Timestamp::MIN, |slot| slot.floor));
                if let Some((begun, value)) = slots.get(&key).and_then(|slot| slot.latest.as_ref())
                    && *begun >= not_before
                {
                    return Ok(Arc::clone(value));
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
        let (begun, value) = slots.get(key)?.latest.as_ref()?;
        (*begun >= not_before).then(|| Arc::clone(value))
    }

    /// Makes everything read before now too old for everybody: the fact itself was changed.
    pub fn forget(&self, key: &K) {
        let now = self.clock.now();
        let mut slots = self.lock();
        make_room(&mut slots, now);
        slots.entry(key.clone()).or_insert_with(Slot::empty).floor = now;
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
        let (key, slots) = (key.clone(), Arc::clone(&self.slots));
        tokio::spawn(async move {
            let answer = reading.await.map(Arc::new);
            {
                let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(slot) = slots.get_mut(&key) {
                    slot.flight = None;
                    match &answer {
                        Ok(value) => slot.latest = Some((begun, Arc::clone(value))),
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
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
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
