//! Members that a newer version wrote.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Members of an object of the status that this version does not know, as they came.
///
/// An operator that is rolled back writes whole objects, so what it dropped when it read would be lost when it
/// writes. It keeps such members, and the schema keeps them too: an API server removes a member that its schema does
/// not name, unless the object says `x-kubernetes-preserve-unknown-fields`. The ledger, the step in flight, the consents,
/// the marks and every object in them say so, so what must never be lost has its place in one of these. A new part of
/// the status beside them is kept by an older operator, and removed by an API server that has the older schema. What a
/// schema from before this promise does not name, its API server removes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Newer(Option<Box<Map<String, Value>>>);

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
