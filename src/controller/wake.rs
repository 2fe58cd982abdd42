//! "Look at this soon": a set, so that it never holds more than there are objects.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{Stream, stream};
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

    /// What is to be looked at, for ever.
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
}
