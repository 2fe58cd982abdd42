//! What stays bounded: maps that several tasks share, and lists of Meta's over all their pages.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
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

/// The lock of a mutex. A panic of another task leaves at worst one value less, so what it held stays usable.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
