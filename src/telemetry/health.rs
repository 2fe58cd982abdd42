//! Readiness as a list of what is still missing, in words that say what to do.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What has to hold before the operator is ready. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, Option<String>>>>);

impl Health {
    /// Starts with these missing, so that nothing is ready before it was looked at.
    pub fn waiting_for<'a>(parts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let health = Self::default();
        for (part, missing) in parts {
            health.missing_part(part, missing);
        }
        health
    }

    /// The part holds.
    pub fn holds(&self, part: &str) {
        self.lock().insert(part.to_owned(), None);
    }

    /// The part is missing; `what` is one sentence with the remedy.
    pub fn missing_part(&self, part: &str, what: &str) {
        self.lock().insert(part.to_owned(), Some(what.to_owned()));
    }

    /// Everything that is missing, in words; empty when ready. Before anybody has named a part nothing is ready.
    pub fn missing(&self) -> Vec<String> {
        let parts = self.lock();
        if parts.is_empty() {
            return vec!["the operator is starting".to_owned()];
        }
        parts.values().flatten().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ready_before_every_part_holds() {
        let health =
            Health::waiting_for([("crds", "the CRDs are missing"), ("cache", "the cache is not filled")]);
        health.holds("crds");
        assert_eq!(health.missing(), ["the cache is not filled"]);
        health.holds("cache");
        assert!(health.missing().is_empty());
    }
}
