//! What stays bounded: maps that several tasks share, and lists of Meta's over all their pages.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Portfolios, and payers by edge, of which something is remembered. Each token in use is asked about every hour,
/// so what makes room first belongs to a portfolio that is gone.
pub(super) const REMEMBERED: usize = 1_024;

/// Keeps a map bounded before `key` is inserted: the entry that was used least recently is removed.
pub(super) fn make_room<K: Clone + Eq + Hash, V, T: Ord>(
    map: &mut HashMap<K, V>,
    key: &K,
    heard: impl Fn(&V) -> T,
) {
    if map.len() >= REMEMBERED && !map.contains_key(key) {
        let oldest = map.iter().min_by_key(|(_, value)| heard(value)).map(|(key, _)| key.clone());
        oldest.map(|key| map.remove(&key));
    }
}

/// What a list may have over all its pages. A part never passes for the whole, so one that has more is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) entries: usize,
    /// As they are in memory while they are read.
    pub(super) bytes: usize,
    pub(super) pages: usize,
}

impl Room {
    /// Takes in a page of so many entries, of this room that is left of all. Gives back why there is no room for it.
    pub(super) fn take(&mut self, entries: usize, bytes: usize, all: &Self) -> Result<(), String> {
        let left = Self {
            entries: self.entries.checked_sub(entries).ok_or_else(|| all.entries_told())?,
            bytes: self.bytes.checked_sub(bytes).ok_or_else(|| all.bytes_told())?,
            pages: self.pages.saturating_sub(1),
        };
        *self = left;
        Ok(())
    }

    fn entries_told(&self) -> String {
        format!("Meta's list has more than {} entries", self.entries)
    }

    fn bytes_told(&self) -> String {
        format!("Meta's list has more than {} MiB", self.bytes / 1_048_576)
    }

    /// Of a list that goes on where no page is left.
    pub(super) fn pages_told(&self) -> String {
        format!("Meta's list has more than {} pages", self.pages)
    }
}

/// What a list may have beside those that are read at the same time, in bytes: more than all but a few have.
const OWN: usize = 2 * 1_048_576;
/// What all that are being read may have together beyond that.
const TOGETHER: usize = 64 * 1_048_576;

/// How much lists that are being read have in memory, beyond what each has for itself.
#[derive(Debug, Default)]
pub(super) struct Together(AtomicUsize);

impl Together {
    /// For one more list.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share { of: Arc::clone(self), taken: 0 }
    }
}

/// What one list has; given back with it.
#[derive(Debug)]
pub(super) struct Share {
    of: Arc<Together>,
    taken: usize,
}

impl Share {
    /// Takes in so many bytes more. Gives back why there is no room for them now.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), String> {
        let taken = self.taken.saturating_add(bytes);
        let more = taken.saturating_sub(OWN) - self.taken.saturating_sub(OWN);
        let add = |all: usize| all.checked_add(more).filter(|all| more == 0 || *all <= TOGETHER);
        if self.of.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).is_err() {
            return Err(format!(
                "lists that are read at the same time have {} MiB already",
                TOGETHER / 1_048_576
            ));
        }
        self.taken = taken;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.taken.saturating_sub(OWN), Ordering::AcqRel);
    }
}

/// The lock of a mutex. A panic of another task leaves at worst one value less, so what it held stays usable.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1_048_576;

    #[test]
    fn large_lists_share_what_there_is_and_a_small_one_always_has_room() {
        let together = Arc::new(Together::default());
        let (mut one, mut other) = (together.share(), together.share());
        for _ in 0..50 {
            assert_eq!(one.take(MIB), Ok(()));
        }
        let taken = (0..50).take_while(|_| other.take(MIB).is_ok()).count();
        assert_eq!(taken, (TOGETHER + 2 * OWN) / MIB - 50);
        assert!(one.take(MIB).is_err_and(|why| why.contains("have 64 MiB already")));
        let mut small = together.share();
        assert_eq!((small.take(MIB), small.take(MIB)), (Ok(()), Ok(())));
        assert!(small.take(MIB).is_err(), "it is small no longer");
        drop(one);
        assert_eq!(other.take(40 * MIB), Ok(()));
        drop((other, small));
        assert_eq!(together.0.load(Ordering::Acquire), 0, "all is given back");
    }
}
