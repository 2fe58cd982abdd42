//! The status of a number: what is shown stands first, and what is remembered under `memory`.

// The schema is derived from a copy of the status, and nobody reads its fields where serde leaves the trait to us.
#![allow(dead_code)]

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Map;

use super::{
    ledger::{Consents, InFlight, Ledger, Refusal},
    memory::{Memory, moved},
    newer::{Newer, readable},
    waiting::WaitingFor,
};
use crate::api::rule;

/// What the operator found, remembers and waits for. Nothing here changes merely because it looked.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct WhatsAppChannelStatus {
    /// The generation that the rest of the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The portfolio that was resolved first; fixed for the life of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub business_id: Option<String>,
    /// The account that was resolved first; fixed for the life of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub account_id: Option<String>,
    /// Meta's id of the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub phone_number_id: Option<String>,
    /// The state of the number, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub stage: Option<String>,
    /// Who has to act next, a person first, then Meta; the first is the printed one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["action".into()]))]
    pub waiting_for: Vec<WaitingFor>,
    /// Every prerequisite, each with its verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["item".into()]))]
    pub preflight: Vec<Check>,
    /// Everything managed that differs, and what happens with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["field".into()]))]
    pub drift: Vec<Drift>,
    /// What Meta last said, in its own words. A fact that was not readable keeps its last value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// The state in the form that Kubernetes tools read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// What the operator remembers between two looks. Nothing of it has to be read to know how the number stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// What is remembered was read in the layout before, so that it has to be written where it belongs.
    #[serde(skip)]
    #[schemars(skip)]
    pub moved: bool,
    /// Parts of a newer version. They are not in the schema, which stays strict here: only the schema of that version
    /// lets them through.
    #[serde(flatten)]
    #[schemars(skip)]
    pub newer: Newer,
}

/// What decisions rest on. The other members are shown, and one that cannot be read is written anew.
const REMEMBERED: [&str; 4] = ["businessId", "accountId", "phoneNumberId", "memory"];

impl WhatsAppChannelStatus {
    /// What is remembered and cannot be read, by its path, with the reason; it is kept as it stands.
    pub fn unread(&self) -> Option<(String, String)> {
        let at_the_top = self.newer.unread(&REMEMBERED, |member| Self::deserialize(member));
        let at_the_top = at_the_top.map(|(name, why)| (format!("status.{name}"), why));
        let in_memory = || self.memory.as_ref()?.unread();
        at_the_top.or_else(|| in_memory().map(|(name, why)| (format!("status.memory.{name}"), why)))
    }

    /// The attempts that are remembered.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.memory.as_ref()?.ledger.as_ref()
    }

    /// The step that is remembered as begun.
    pub fn in_flight(&self) -> Option<&InFlight> {
        self.memory.as_ref()?.in_flight.as_ref()
    }

    /// The answers to consents that are remembered.
    pub fn consents(&self) -> Option<&Consents> {
        self.memory.as_ref()?.consents.as_ref()
    }
}

impl Serialize for WhatsAppChannelStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for WhatsAppChannelStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::deserialize(deserializer)?;
        let moved = moved(&mut members);
        let (mut status, mut unread) = readable(members, |value| Self::deserialize(value))?;
        status.moved = moved;
        unread.retain(|name, _| REMEMBERED.contains(&name.as_str()));
        status.newer.keep(unread);
        Ok(status)
    }
}

/// One prerequisite.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What was checked, as a constant.
    #[schemars(length(max = 64))]
    pub item: String,
    /// Pass, Warn, Fail or NotCheckable.
    #[schemars(length(max = 64))]
    pub verdict: String,
    /// What was found, for people.
    #[schemars(length(max = 2048))]
    pub message: String,
}

/// One managed thing that differs.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// Path in the spec; webhook.subscription is the app's subscription to the account.
    #[schemars(length(max = 128))]
    pub field: String,
    /// What the spec asks for.
    #[schemars(length(max = 1024))]
    pub desired: String,
    /// What Meta has.
    #[schemars(length(max = 1024))]
    pub live: String,
    /// Since when it differs, as far as was seen.
    #[schemars(schema_with = "rule::time")]
    pub since: Timestamp,
    /// What happens with it.
    #[schemars(length(max = 1024))]
    pub action: String,
}

/// What Meta last said.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The portfolio now reached, where it is not the one that was resolved first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub business_id: Option<String>,
    /// The account now reached, where it is not the one that was resolved first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub account_id: Option<String>,
    /// The number's id now, where it is not the one above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub phone_number_id: Option<String>,
    /// The live display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub verified_name: Option<String>,
    /// Review status of the live name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub name_status: Option<String>,
    /// Since when the name has that status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub name_since: Option<Timestamp>,
    /// A name that waits to become the live one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub new_display_name: Option<String>,
    /// Review status of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub new_name_status: Option<String>,
    /// Whether ownership is proven by code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub code_status: Option<String>,
    /// Status of the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub status: Option<String>,
    /// Since when the number has that status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub status_since: Option<Timestamp>,
    /// Where the number is registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub platform: Option<String>,
    /// Quality rating.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub quality: Option<String>,
    /// Throughput level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub throughput: Option<String>,
    /// How many people may be written to in a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub messaging_limit: Option<String>,
    /// Whether the number can send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub health: Option<String>,
    /// What keeps the number from sending, or limits it; the first 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["entity".into()]))]
    pub health_entities: Vec<HealthFact>,
    /// Where messages go, by level; the most specific one counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookRouting>,
    /// Whether it is an official business account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub official: Option<bool>,
    /// Its username.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub username: Option<String>,
    /// What becomes of a request to be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub official_status: Option<String>,
    /// Meta's reason for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub official_message: Option<String>,
    /// Whether people can see it: approved, or reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub username_status: Option<String>,
    /// The apps of others that are subscribed to its account, where a channel has those read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub other_apps: Option<String>,
    /// Meta's last error on the way to Registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<Refusal>,
}

/// An entity of Meta's that is not well.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HealthFact {
    /// PHONE_NUMBER, WABA, BUSINESS, APP, or a new word of Meta's.
    #[schemars(length(max = 64))]
    pub entity: String,
    /// Whether it lets the number send, in Meta's word.
    #[schemars(length(max = 64))]
    pub can_send: String,
    /// Meta's codes for what is wrong; see explain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub codes: Vec<i64>,
}

/// URLs by level.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WebhookRouting {
    /// Override of the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub number: Option<String>,
    /// Override of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub account: Option<String>,
    /// URL of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub application: Option<String>,
}
