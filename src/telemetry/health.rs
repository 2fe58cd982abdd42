//! Readiness as a list of what is still missing, in words that say what to do.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What has to hold before the operator is ready. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Parts>>);

#[derive(Debug, Default)]
struct Parts {
    missing: BTreeMap<String, Option<String>>,
    notes: BTreeMap<String, Vec<String>>,
}

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
        self.lock().missing.insert(part.to_owned(), None);
    }

    /// What a reader of readiness should know of a part, and what does not make the operator less ready.
    pub fn note(&self, part: &str, notes: Vec<String>) {
        self.lock().notes.insert(part.to_owned(), notes);
    }

    /// All notes.
    pub fn notes(&self) -> Vec<String> {
        self.lock().notes.values().flatten().cloned().collect()
    }

    /// The part is missing; `what` is one sentence with the remedy.
    pub fn missing_part(&self, part: &str, what: &str) {
        self.lock().missing.insert(part.to_owned(), Some(what.to_owned()));
    }

    /// Everything that is missing, in words; empty when ready. Before anybody has named a part nothing is ready.
    pub fn missing(&self) -> Vec<String> {
        let parts = self.lock();
        if parts.missing.is_empty() {
            return vec!["the operator is starting".to_owned()];
        }
        parts.missing.values().flatten().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
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
