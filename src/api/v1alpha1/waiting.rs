//! How both kinds say who has to act.

use jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::rule;

/// Who has to act.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WaitingFor {
    /// PhoneHolder, PortfolioAdmin, ClusterUser or Meta.
    #[schemars(length(max = 64))]
    pub actor: String,
    /// What they have to do, as a constant; `explain` tells what it means.
    #[schemars(length(max = 64))]
    pub action: String,
    /// Since when this is waited for.
    #[schemars(schema_with = "rule::time")]
    pub since: Timestamp,
    /// When it should have happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub expected_by: Option<Timestamp>,
    /// Where to act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub url: Option<String>,
    /// What happens if nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub if_ignored: Option<String>,
    /// What the act destroys: chats, sessions on other devices, service for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub if_done: Option<String>,
}
