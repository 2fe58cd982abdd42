//! Bounds of what is written into a status: the lengths of the schema.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

/// Cuts a text to a number of characters, as the schema counts them.
pub(super) fn bounded(mut text: String, most: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(most) {
        text.truncate(at);
    }
    text
}

pub(super) fn some(text: Option<&String>, most: usize) -> Option<String> {
    text.map(|text| bounded(text.clone(), most))
}

/// The newest entries of a list.
pub(super) fn newest<T>(mut list: Vec<T>, most: usize) -> Vec<T> {
    if list.len() > most {
        list.drain(..list.len() - most);
    }
    list
}

/// The newest entries of a map of times.
pub(super) fn newest_times(map: &BTreeMap<String, Timestamp>, most: usize) -> BTreeMap<String, Timestamp> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(_, at)| **at);
    newest(entries, most).into_iter().map(|(k, at)| (k.clone(), *at)).collect()
}

/// Drops entries whose key was there before; the API server refuses a list that has one twice.
pub(super) fn unique<T>(list: impl Iterator<Item = T>, key: impl Fn(&T) -> String, most: usize) -> Vec<T> {
    let mut seen = BTreeSet::new();
    list.filter(|entry| seen.insert(key(entry))).take(most).collect()
}

pub(super) fn non_empty<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}
