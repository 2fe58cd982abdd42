//! `status.memory`: what the engine remembers of a number. Nobody has to read it to know how the number stands.

// The schema is derived from a copy of the object, and nobody reads its fields where serde leaves the trait to us.
#![allow(dead_code)]

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{
    ledger::{Consents, InFlight, Ledger, Marks},
    newer::{Newer, readable},
};
use crate::api::rule;

/// What the engine remembers between two looks. It is written for the operator alone.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Memory {
    /// How to read the rest; absent: 1. A version of the operator that does not know the format acts on nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub format: Option<i64>,
    /// Attempts that Meta counts, the last ten of each kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Ledger>,
    /// The step that was begun and is not decided yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
    /// The last answer to each consent annotation, and what was answered before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consents: Option<Consents>,
    /// Facts about the past that Meta does not keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Marks>,
    /// Since when each wait lasts, by its action.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "rule::times", extend("maxProperties" = 64))]
    pub since: BTreeMap<String, Timestamp>,
    /// Members of a newer version.
    #[serde(flatten)]
    pub newer: Newer,
}

/// The format of what is remembered. It is raised when a version that knows the one before would read it wrongly.
pub const FORMAT: i64 = 1;

/// What decisions rest on. Since when a wait lasts is shown, and written anew where it cannot be read.
const REMEMBERED: [&str; 5] = ["format", "ledger", "inFlight", "consents", "marks"];

/// Where all of it stood in the layout before: at the top of the status. The schema goes on naming these members, since an
/// API server drops what its schema does not name when it reads a stored object.
pub(in crate::api) const BEFORE: [&str; 6] = ["format", "ledger", "inFlight", "consents", "marks", "since"];

impl Memory {
    /// What is remembered and cannot be read, with the reason; it is kept as it stands.
    pub(super) fn unread(&self) -> Option<(&'static str, String)> {
        self.newer.unread(&REMEMBERED, |member| Self::deserialize(member))
    }
}

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (mut memory, mut unread) =
            readable(Map::deserialize(deserializer)?, |value| Self::deserialize(value))?;
        unread.retain(|name, _| REMEMBERED.contains(&name.as_str()));
        memory.newer.keep(unread);
        Ok(memory)
    }
}

/// Takes what stands in the layout before to where it belongs, and tells whether there was something to take. Beside a
/// memory it is a leftover, and means nothing.
pub(super) fn moved(status: &mut Map<String, Value>) -> bool {
    let before = BEFORE.into_iter().filter_map(|name| Some((name.to_owned(), status.remove(name)?)));
    let before: Map<_, _> = before.collect();
    if before.is_empty() || status.contains_key("memory") {
        return false;
    }
    status.insert("memory".to_owned(), json!(before));
    true
}
