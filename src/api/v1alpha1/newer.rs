//! Members that a newer version wrote.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::{Map, Value, json};

/// Members of an object of the status that this version does not know, as they came.
///
/// An operator that is rolled back writes whole objects, so what it dropped when it read would be lost when it
/// writes. It keeps such members, and the schema lets them through where an object says
/// `x-kubernetes-preserve-unknown-fields`. The memory and every object in it say so, so what must never be lost has its
/// place there. An API server that has an older schema refuses a write with a new part of the status beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Newer(Option<Box<Map<String, Value>>>);

impl Newer {
    /// The first of the named ones that is here because it could not be read, with the reason.
    pub(super) fn unread<T>(
        &self,
        names: &[&'static str],
        read: impl Fn(&Value) -> serde_json::Result<T>,
    ) -> Option<(&'static str, String)> {
        names.iter().find_map(|name| {
            let member = json!({*name: self.0.as_ref()?.get(*name)?});
            let why = read(&member).err().map(|error| error.to_string());
            Some((*name, why.unwrap_or_default()))
        })
    }

    /// Whether one is here.
    pub fn holds(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|members| members.contains_key(name))
    }

    /// Keeps these too.
    pub(super) fn keep(&mut self, members: Map<String, Value>) {
        if !members.is_empty() {
            self.0.get_or_insert_default().extend(members);
        }
    }
}

/// Reads an object of which every member may be absent: whole, or else what of it can be read, beside the members that
/// cannot. One member that a newer version, or somebody by hand, wrote otherwise must not make the rest unreadable.
pub(super) fn readable<T, E: Error>(
    members: Map<String, Value>,
    read: impl Fn(&Value) -> serde_json::Result<T>,
) -> Result<(T, Map<String, Value>), E> {
    let whole = Value::Object(members);
    if let Ok(object) = read(&whole) {
        return Ok((object, Map::new()));
    }
    let members = whole.as_object().into_iter().flatten();
    let one = |name: &str, value: &Value| Map::from_iter([(name.to_owned(), value.clone())]);
    let (readable, unread): (Map<_, _>, Map<_, _>) = members
        .map(|(name, value)| (name.clone(), value.clone()))
        .partition(|(name, value)| read(&Value::Object(one(name, value))).is_ok());
    Ok((read(&Value::Object(readable)).map_err(E::custom)?, unread))
}

impl Serialize for Newer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().flat_map(|members| members.iter()))
    }
}

impl<'de> Deserialize<'de> for Newer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Map::deserialize(deserializer)?;
        Ok(Self((!members.is_empty()).then(|| Box::new(members))))
    }
}

impl JsonSchema for Newer {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Newer".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": true})
    }
}
