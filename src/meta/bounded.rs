//! Maps that several tasks share and that stay bounded.

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

/// The lock of a mutex. A panic of another task leaves at worst one value less, so what it held stays usable.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
