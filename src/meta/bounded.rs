//! What stays bounded: maps that several tasks share, and lists of Meta's over all their pages.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
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
/// How long a list waits for others to end, and how often it looks.
const WAIT: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(100);

/// How much lists that are being read have in memory, beyond what each has for itself.
#[derive(Debug, Default)]
pub(super) struct Together(AtomicUsize);

impl Together {
    /// For one more list.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share { of: Arc::clone(self), held: 0 }
    }
}

/// What one list has; given back with it.
#[derive(Debug)]
pub(super) struct Share {
    of: Arc<Together>,
    held: usize,
}

impl Share {
    /// Has so many bytes from now on, in place of those before. Where there is no room for them it waits a while, and
    /// tells then that there is none.
    pub(super) async fn hold(&mut self, bytes: usize) -> bool {
        let until = tokio::time::Instant::now() + WAIT;
        while !self.try_hold(bytes) {
            if tokio::time::Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    fn try_hold(&mut self, bytes: usize) -> bool {
        let (before, after) = (self.held.saturating_sub(OWN), bytes.saturating_sub(OWN));
        let changed = |all: usize| {
            let others = all.checked_sub(before)?;
            let all = others.checked_add(after)?;
            // What a list may have that is alone is not decided here.
            (after <= before || all <= TOGETHER || others == 0).then_some(all)
        };
        let is_held = self.of.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, changed).is_ok();
        if is_held {
            self.held = bytes;
        }
        is_held
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.held.saturating_sub(OWN), Ordering::AcqRel);
    }
}

/// What lists of numbers may have together that are kept after they were read, in bytes, and so may lists of accounts.
pub(super) const KEPT_LISTS: usize = 64 * 1_048_576;
/// The same of each other kind of fact. Those of 10,000 numbers have some 5 MiB.
pub(super) const KEPT_FACTS: usize = 12 * 1_048_576;

/// About as many bytes as a value has in memory: as many as it has when it is written out.
pub(super) fn extent(value: &impl fmt::Debug) -> usize {
    struct Count(usize);
    impl fmt::Write for Count {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let mut count = Count(0);
    // It counts, so it cannot fail.
    let _ = write!(count, "{value:?}");
    count.0
}

/// How much is kept of what was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Store(Arc<AtomicUsize>);

impl Store {
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// Counts what is kept, until it is dropped.
    pub(super) fn keep(&self, bytes: usize) -> Kept {
        self.0.fetch_add(bytes, Ordering::AcqRel);
        Kept { of: self.clone(), bytes }
    }
}

/// One thing that is kept.
#[derive(Debug)]
pub(super) struct Kept {
    of: Store,
    bytes: usize,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.bytes, Ordering::AcqRel);
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
    fn the_extent_of_a_value_counts_all_its_texts() {
        use crate::engine::observed::{OtherApp, Profile, Subscribed};
        let app = OtherApp { id: "7".into(), name: Some("x".repeat(256).into()) };
        let subscribed = |apps| Subscribed {
            ours: true,
            others: vec![app.clone(); apps].into(),
            override_url: None,
            again: [].into(),
        };
        assert!((256_000..512_000).contains(&extent(&subscribed(1_000))), "{}", extent(&subscribed(1_000)));
        assert!(extent(&subscribed(0)) < 256);
        let websites = vec!["w".repeat(1_000); 2];
        assert!(extent(&Profile { websites, about: Some("a".repeat(500)), ..Profile::default() }) > 2_500);
    }

    #[tokio::test(start_paused = true)]
    async fn large_lists_share_what_there_is_and_a_small_one_always_has_room() {
        let together = Arc::new(Together::default());
        let (mut one, mut other) = (together.share(), together.share());
        assert!(one.hold(50 * MIB).await);
        assert!(other.hold((TOGETHER + 2 * OWN) - 50 * MIB).await);
        assert!(!one.hold(51 * MIB).await);
        let mut small = together.share();
        assert!(small.hold(2 * MIB).await);
        assert!(!small.hold(3 * MIB).await, "it is small no longer");
        assert!(one.hold(49 * MIB).await, "less has room");
        assert!(small.hold(3 * MIB).await, "and makes some");
        drop(one);
        assert!(other.hold(60 * MIB).await);
        assert!(!other.hold(90 * MIB).await);
        drop(small);
        assert!(other.hold(90 * MIB).await, "alone it waits for nobody");
        drop(other);
        assert_eq!(together.0.load(Ordering::Acquire), 0, "all is given back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_list_waits_a_while_for_another_to_end_and_leaves_nothing_when_it_is_given_up() {
        let together = Arc::new(Together::default());
        let (mut one, mut other) = (together.share(), together.share());
        assert!(one.hold(TOGETHER + OWN).await && other.hold(OWN).await);
        let ending = async {
            tokio::time::sleep(WAIT / 2).await;
            drop(one);
        };
        let (is_held, ()) = tokio::join!(other.hold(30 * MIB), ending);
        assert!(is_held);
        let mut third = together.share();
        assert!(third.hold(10 * MIB).await);
        let given_up = async move { third.hold(60 * MIB).await };
        assert!(tokio::time::timeout(WAIT / 2, given_up).await.is_err());
        assert_eq!(together.0.load(Ordering::Acquire), 28 * MIB, "of the other alone");
    }
}
