//! The part of an object that says how it stands, without whose it is and since when: what a delivery tool judges it by.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Of one object. Two that are equal have to be judged alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    pub kind: String,
    /// Status and reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// `Reconciling` or `Stalled`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Who is waited for, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The status tells of an earlier generation, or of none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unseen: bool,
}

impl State {
    pub fn of(object: &Value) -> Self {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (status, metadata) = (&object["status"], &object["metadata"]);
        let conditions = list(&status["conditions"]);
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
        let also = conditions.iter().filter(|condition| {
            condition["status"] == "True"
                && ["Reconciling", "Stalled"].contains(&text(&condition["type"]).as_str())
        });
        let mut waits: Vec<String> = Vec::new();
        for actor in list(&status["waitingFor"]).iter().map(|wait| text(&wait["actor"])) {
            if !waits.contains(&actor) {
                waits.push(actor);
            }
        }
        Self {
            kind: text(&object["kind"]),
            ready: ready.map(|ready| format!("{} {}", text(&ready["status"]), text(&ready["reason"]))),
            also: also.map(|condition| text(&condition["type"])).collect(),
            waits,
            suspended: object["spec"]["suspend"] == true,
            deleted: !metadata["deletionTimestamp"].is_null(),
            unseen: status["observedGeneration"] != metadata["generation"],
        }
    }

    /// The least object that stands like that.
    pub fn object(&self) -> Value {
        let time = "2026-10-01T00:00:00Z";
        let condition = |kind: &str, status: &str, reason: &str| {
            json!({
                "type": kind, "status": status, "reason": reason, "message": format!("{kind} because of {reason}"),
                "lastTransitionTime": time, "observedGeneration": 2,
            })
        };
        let mut conditions = Vec::new();
        if let Some((status, reason)) = self.ready.as_deref().and_then(|ready| ready.split_once(' ')) {
            conditions.push(condition("Ready", status, reason));
            conditions.extend(self.also.iter().map(|kind| condition(kind, "True", reason)));
        }
        let waits: Vec<Value> = self
            .waits
            .iter()
            .map(|actor| json!({"actor": actor, "action": "Something", "since": time}))
            .collect();
        let mut object = json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1",
            "kind": self.kind,
            "metadata": {"name": "support", "namespace": "shop", "generation": 2},
            "spec": {},
            "status": {"observedGeneration": if self.unseen { 1 } else { 2 }},
        });
        if !conditions.is_empty() {
            object["status"]["conditions"] = json!(conditions);
        }
        if !waits.is_empty() {
            object["status"]["waitingFor"] = json!(waits);
        }
        if self.suspended {
            object["spec"]["suspend"] = json!(true);
        }
        if self.deleted {
            object["metadata"]["deletionTimestamp"] = json!(time);
        }
        object
    }

    /// Status and reason of `Ready`.
    pub fn ready(&self) -> (&str, &str) {
        self.ready.as_deref().and_then(|ready| ready.split_once(' ')).unwrap_or(("-", "-"))
    }
}
