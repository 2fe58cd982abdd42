//! The kind of a portfolio: what its spec says, and its status.

// The schema is derived from a copy of the status, and nobody reads its fields where serde leaves the trait to us.
#![allow(dead_code)]

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Map;

use super::{
    UNSEEN,
    newer::{Newer, readable},
    secret::SecretKeyRef,
    waiting::WaitingFor,
};
use crate::api::rule;

/// Which portfolio it is and how to reach it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "whatsapp-operator.dev",
    version = "v1alpha1",
    kind = "WhatsAppPortfolio",
    plural = "whatsappportfolios",
    namespaced,
    status = "WhatsAppPortfolioStatus",
    derive = "PartialEq",
    doc = "A Meta business portfolio: its credentials, whom they serve, and what can be reached with them.",
    shortname = "wap",
    category = "whatsapp",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Waiting-For", type_ = "string", json_path = ".status.waitingFor[0].actor"),
    printcolumn(name = "Action", type_ = "string", json_path = ".status.waitingFor[0].action"),
    printcolumn(name = "Business", type_ = "string", json_path = ".spec.businessId"),
    printcolumn(name = "Name", type_ = "string", json_path = ".status.name"),
    printcolumn(name = "Verification", type_ = "string", json_path = ".status.verificationStatus"),
    printcolumn(name = "Channels", type_ = "integer", json_path = ".status.channels.total"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Token", type_ = "string", json_path = ".status.tokenType", priority = 1),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.waitingFor[0].since", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    validation = rule::object_name(),
    cel
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::app_webhook_needs_secret())]
pub struct WhatsAppPortfolioSpec {
    /// Id of the business portfolio. Immutable.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rule::not_a_phone_number("businessId", "a business portfolio"))]
    #[x_kube(validation = rule::digits("businessId", "a business portfolio"))]
    #[x_kube(validation = rule::unchanged("businessId", "is immutable"))]
    pub business_id: String,
    /// How to reach it.
    pub credentials: Credentials,
    /// Identity check; a readable mismatch stops everything below before the first write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// The app's own webhook: where Meta sends what no account and no number sends elsewhere. Left out: it is only shown.
    /// It needs credentials.appSecretRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_webhook: Option<AppWebhook>,
    /// Who may use the portfolio from beyond its own namespace; nobody when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub access: Vec<Access>,
}

/// How to reach a portfolio.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::token_and_app_secret_apart())]
pub struct Credentials {
    /// The access token of a system user.
    pub access_token_secret_ref: SecretKeyRef,
    /// The app's secret; with it every call carries a proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_secret_ref: Option<SecretKeyRef>,
    /// Id of the app; left out: learnt from the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rule::not_a_phone_number("appId", "an app"))]
    #[x_kube(validation = rule::digits("appId", "an app"))]
    pub app_id: Option<String>,
}

/// What the portfolio should turn out to be.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Expect {
    /// The portfolio's name, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = rule::trimmed("expect.name"))]
    pub name: Option<String>,
    /// Country of its accounts, two capital letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(validation = rule::country())]
    pub country: Option<String>,
}

/// The webhook of an app.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AppWebhook {
    /// An https URL; Meta calls it with what the fields tell.
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(validation = rule::callback_url("appWebhook"))]
    pub callback_url: String,
    /// The token that Meta repeats in its handshake with that URL. The Secret has to carry the label
    /// whatsapp-operator.dev/use with the value verify-token.
    pub verify_token_secret_ref: SecretKeyRef,
    /// Fields that it has to receive, such as messages. Others that it receives stay.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = rule::webhook_fields())]
    pub fields: Vec<String>,
    /// True: a webhook that somebody else gave the app may be replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<bool>,
}

/// One grant.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// Namespaces whose channels may use the portfolio; "*" is every namespace.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(validation = rule::namespaces())]
    pub namespaces: Vec<String>,
    /// Ids of the accounts that they may use; left out: all in reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 32)))]
    #[x_kube(validation = rule::account_ids())]
    pub accounts: Option<Vec<String>>,
}

/// What the operator found. All of it is shown, and no decision rests on it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct WhatsAppPortfolioStatus {
    /// The generation that the rest of the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The portfolio's name at Meta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub name: Option<String>,
    /// Whether Meta verified the business, in its own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub verification_status: Option<String>,
    /// How many people its numbers may write to in a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub messaging_limit: Option<String>,
    /// Id of the primary Facebook page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub primary_page: Option<String>,
    /// Type of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub token_type: Option<String>,
    /// When the token ends; absent for one that does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub token_expires_at: Option<Timestamp>,
    /// Permissions that the token lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub missing_scopes: Vec<String>,
    /// Fields that Meta refuses to the token's app, at some account at least: the type of the object, a dot, and the field.
    /// The operator works without them, and asks for each again after a day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub refused_fields: Vec<String>,
    /// Accounts in reach, the first 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub accounts: Vec<AccountInReach>,
    /// How many more accounts are in reach than `accounts` lists; absent when it lists all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::count")]
    pub more_accounts: Option<u32>,
    /// The app's own webhook, where the app secret is there to read it with; once a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_webhook: Option<AppWebhookSeen>,
    /// Channels of this portfolio, by state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<ChannelCounts>,
    /// Until when Meta wants no calls of the token's app at all. An account that is held back alone is told of by its
    /// channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub throttled_until: Option<Timestamp>,
    /// Who has to act next; the first is the printed one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["action".into()]))]
    pub waiting_for: Vec<WaitingFor>,
    /// The state in the form that Kubernetes tools read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Parts of a newer version, as of a channel.
    #[serde(flatten)]
    #[schemars(skip)]
    pub newer: Newer,
}

impl Serialize for WhatsAppPortfolioStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for WhatsAppPortfolioStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        readable(Map::deserialize(deserializer)?, |value| Self::deserialize(value)).map(|(status, _)| status)
    }
}

impl WhatsAppPortfolio {
    /// The status that an operator wrote, as of a channel.
    pub fn seen(&self) -> Option<&WhatsAppPortfolioStatus> {
        let unseen = WhatsAppPortfolioStatus {
            observed_generation: Some(UNSEEN),
            ..WhatsAppPortfolioStatus::default()
        };
        self.status.as_ref().filter(|status| **status != unseen)
    }
}

/// An account in reach.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AccountInReach {
    /// Its id.
    #[schemars(length(max = 64))]
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub name: Option<String>,
    /// Whether the portfolio owns it; false: shared with it. Absent when it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<bool>,
    /// Which apps get its messages, as last read; once a day where no channel needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apps: Option<SubscribedApps>,
}

/// The app's own webhook at Meta.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AppWebhookSeen {
    /// The generation of the spec for which it was last read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_for: Option<i64>,
    /// Where it goes; absent: the app has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub callback_url: Option<String>,
    /// Whether it is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// What it is told of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub fields: Vec<String>,
    /// Addresses that this object set, the last 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(max = 200)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub written: Vec<String>,
    /// The address of somebody else that is being replaced, by `adopt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub adopting: Option<String>,
    /// Addresses of others that were replaced since the last edit, at most 4; they are not replaced again, and with 4 of them
    /// no other is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(max = 1024)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub adopted: Vec<String>,
}

/// The apps that are subscribed to an account. Each gets every message.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SubscribedApps {
    /// Whether the app of the token is.
    pub ours: bool,
    /// Other apps, the first 8 by id. Meta's own is among them where it is subscribed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub others: Vec<OtherApp>,
    /// How many more there are than `others` lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::count")]
    pub more_others: Option<u32>,
    /// Override of the account: where its messages go in place of the app's own URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub override_url: Option<String>,
}

/// An app of somebody else.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OtherApp {
    /// Its id.
    #[schemars(length(max = 64))]
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub name: Option<String>,
}

/// Channels of a portfolio, by state.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ChannelCounts {
    /// All of them.
    #[schemars(schema_with = "rule::count")]
    pub total: u32,
    /// Ready ones.
    #[schemars(schema_with = "rule::count")]
    pub ready: u32,
    /// Those that wait for a person.
    #[schemars(schema_with = "rule::count")]
    pub waiting: u32,
    /// Those that only an edit, or a person at Meta, can move.
    #[schemars(schema_with = "rule::count")]
    pub stalled: u32,
}
