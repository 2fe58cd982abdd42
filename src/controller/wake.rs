//! "Look at this soon": a set, so that it never holds more than there are objects.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use tokio::sync::Notify;

/// Keys to be looked at soon. Clones share one set; one reader takes from it.
#[derive(Debug)]
pub struct Wakes<K>(Arc<Inner<K>>);

#[derive(Debug)]
struct Inner<K> {
    keys: Mutex<BTreeSet<K>>,
    more: Notify,
}

impl<K> Clone for Wakes<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> Default for Wakes<K> {
    fn default() -> Self {
        Self(Arc::new(Inner { keys: Mutex::default(), more: Notify::new() }))
    }
}

impl<K: Ord + Send + 'static> Wakes<K> {
    /// Asks for these to be looked at.
    pub fn wake(&self, keys: impl IntoIterator<Item = K>) {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
        self.0.more.notify_one();
    }

    /// The keys, without end.
    pub fn stream(self) -> impl Stream<Item = K> + Send + 'static {
        stream::unfold(self, |wakes| async move {
            loop {
                let next = wakes.0.keys.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
                match next {
                    Some(key) => return Some((key, wakes)),
                    None => wakes.0.more.notified().await,
                }
            }
        })
    }

    /// The keys, without end, in groups: the first key waits this long for others, and then all of them are returned
    /// together.
    pub fn crowds(self, pause: Duration) -> impl Stream<Item = K> + Send + 'static {
        stream::unfold(self, move |wakes| async move {
            loop {
                wakes.0.more.notified().await;
                tokio::time::sleep(pause).await;
                let crowd = std::mem::take(&mut *wakes.0.keys.lock().unwrap_or_else(PoisonError::into_inner));
                if !crowd.is_empty() {
                    return Some((stream::iter(crowd), wakes));
                }
            }
        })
        .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_crowd_waits_once_for_all_of_it() {
        let wakes = Wakes::default();
        wakes.wake(1..=3);
        let begun = tokio::time::Instant::now();
        let stream = wakes.clone().crowds(Duration::from_secs(2));
        let mut stream = std::pin::pin!(stream);
        for expected in 1..=3 {
            assert_eq!(stream.next().await, Some(expected));
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
        wakes.wake([2]);
        assert_eq!(stream.next().await, Some(2), "what is handed on may come again");
    }
}
