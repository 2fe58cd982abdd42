//! Fields that Meta refused: which, to whom, since when, and what to ask for instead.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use jiff::Timestamp;

use super::{
    bounded::{lock, make_room},
    budget::Payer,
    edge::Edge,
    wire::Asked,
};
use crate::engine::time::later;

/// Fields with the time of their refusal.
type Fields = HashMap<&'static str, Timestamp>;

/// What was refused, by who asked for what. The Graph version is fixed for the process, so it
/// is no part of the key.
pub(super) struct RefusedFields {
    kept_for: Duration,
    pub(super) known: Mutex<HashMap<(Payer, Edge), Fields>>,
}

impl RefusedFields {
    /// None yet. After `kept_for` a field is asked for again.
    pub(super) fn new(kept_for: Duration) -> Self {
        Self { kept_for, known: Mutex::default() }
    }

    /// Those that were refused a short time ago; older ones are asked for again.
    pub(super) fn recent(&self, payer: Payer, edge: Edge, now: Timestamp) -> Vec<&'static str> {
        let known = lock(&self.known);
        let Some(fields) = known.get(&(payer, edge)) else { return Vec::new() };
        let recent = fields.iter().filter(|(_, since)| later(**since, self.kept_for) > now);
        recent.map(|(name, _)| *name).collect()
    }

    /// Meta refused this one.
    pub(super) fn remember(&self, payer: Payer, edge: Edge, name: &'static str, now: Timestamp) {
        tracing::debug!(edge = edge.as_str(), field = name, "Meta refuses a field, left out for a day");
        let key = (payer, edge);
        let mut known = lock(&self.known);
        known.retain(|_, fields| {
            fields.retain(|_, since| later(*since, self.kept_for) > now);
            !fields.is_empty()
        });
        make_room(&mut known, &key, |fields| fields.values().max().copied());
        known.entry(key).or_default().insert(name, now);
    }
}

/// The field that we asked for when Meta refuses `refused`: itself, or the expansion it is in.
pub(super) fn asked_as(asked: &'static [Asked], refused: &str) -> Option<&'static str> {
    let inside = |field: &Asked| field.expression.split(['{', '}', ',']).any(|part| part == refused);
    asked
        .iter()
        .find(|field| field.name == refused)
        .or_else(|| asked.iter().find(|field| inside(field)))
        .map(|field| field.name)
}
