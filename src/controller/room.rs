//! Tables that give back the room that a crowd took. Of its own accord none does.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
};

/// So much is not worth the work.
const SMALL: usize = 128;

/// A table with room for more than it holds.
pub trait Room {
    /// Gives room back when most of it is empty.
    fn give_back(&mut self);
}

/// What is left of this much room for so many entries, if some is to be given back.
fn kept(room: usize, entries: usize) -> Option<usize> {
    (room > SMALL && entries < room / 4).then_some(entries * 2)
}

impl<K: Eq + Hash, V> Room for HashMap<K, V> {
    fn give_back(&mut self) {
        if let Some(kept) = kept(self.capacity(), self.len()) {
            self.shrink_to(kept);
        }
    }
}

impl<T: Eq + Hash> Room for HashSet<T> {
    fn give_back(&mut self) {
        if let Some(kept) = kept(self.capacity(), self.len()) {
            self.shrink_to(kept);
        }
    }
}

impl<T> Room for VecDeque<T> {
    fn give_back(&mut self) {
        if let Some(kept) = kept(self.capacity(), self.len()) {
            self.shrink_to(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back_when_most_of_it_is_empty() {
        let mut table: HashMap<usize, usize> = (0..10_000).map(|n| (n, n)).collect();
        table.retain(|n, _| *n < 5_000);
        table.give_back();
        assert!(table.capacity() > 10_000, "half of it is in use");
        table.retain(|n, _| *n < 100);
        table.give_back();
        assert!((100..1_000).contains(&table.capacity()), "{}", table.capacity());
        assert_eq!(table.len(), 100);
        table.clear();
        table.give_back();
        assert!(table.capacity() <= SMALL * 2);
    }
}
