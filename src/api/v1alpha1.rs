//! The kinds of `whatsapp-operator.dev/v1alpha1`, as users write and read them.
//!
//! A field is here only when it works. Nothing has a default in the schema, so that nobody's spec is
//! written to; what an unset field means is decided in `lower`. Every string and list is bounded, which
//! the API server's cost budget for rules demands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule;
use crate::engine::{
    failure::{Class, Scope},
    memory::EntryOutcome,
    step::StepKind,
};

/// What the number should be, and how to get there. Fields that are left out are not managed.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "whatsapp-operator.dev",
    version = "v1alpha1",
    kind = "WhatsAppChannel",
    plural = "whatsappchannels",
    namespaced,
    status = "WhatsAppChannelStatus",
    derive = "PartialEq",
    doc = "One WhatsApp Business phone number, brought to the state that its spec describes and kept there.",
    shortname = "wac",
    category = "whatsapp",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Stage", type_ = "string", json_path = ".status.stage"),
    printcolumn(name = "Waiting-For", type_ = "string", json_path = ".status.waitingFor[0].actor"),
    printcolumn(name = "Action", type_ = "string", json_path = ".status.waitingFor[0].action"),
    printcolumn(name = "Number", type_ = "string", json_path = ".spec.phoneNumber"),
    printcolumn(name = "Name", type_ = "string", json_path = ".spec.displayName"),
    printcolumn(name = "Quality", type_ = "string", json_path = ".status.facts.quality"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Name-Status",
        type_ = "string",
        json_path = ".status.facts.nameStatus",
        priority = 1
    ),
    printcolumn(name = "Account", type_ = "string", json_path = ".status.accountId", priority = 1),
    printcolumn(name = "Number-Id", type_ = "string", json_path = ".status.phoneNumberId", priority = 1),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.waitingFor[0].since", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    validation = rule::object_name(),
    validation = rule::code_and_pin_apart(),
    cel
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::not_removed("accountId"))]
pub struct WhatsAppChannelSpec {
    /// The portfolio whose credentials reach the number.
    pub portfolio_ref: PortfolioRef,
    /// Id of the WhatsApp Business Account that holds the number. May be left out while exactly one account
    /// is in reach. Once set it can be neither changed nor removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rule::not_a_phone_number("accountId", "a WhatsApp Business Account"))]
    #[x_kube(validation = rule::digits("accountId", "a WhatsApp Business Account"))]
    #[x_kube(validation = rule::unchanged("accountId", "cannot be changed once set"))]
    pub account_id: Option<String>,
    /// The number with country and area code, digits only after the plus, in quotes: "+5511912345678".
    /// Immutable.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rule::phone_plus())]
    #[x_kube(validation = rule::phone_digits())]
    #[x_kube(validation = rule::phone_leading_zero())]
    #[x_kube(validation = rule::phone_length())]
    #[x_kube(validation = rule::unchanged("phoneNumber", "is immutable"))]
    pub phone_number: String,
    /// The name that people see in their chats. Meta reviews it, also after every change.
    #[schemars(length(min = 3, max = 75))]
    #[x_kube(validation = rule::trimmed("displayName"))]
    pub display_name: String,
    /// How the number is connected: CloudApi (the meaning of an unset field), or Coexistence for a number
    /// that stays in the WhatsApp Business app, which is only observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// How ownership of the number is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// How the number is registered with the Cloud API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
    /// Texts of the business profile. Fields that are left out are not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// IANA name of the time zone that the account is expected to have. It is compared, never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = rule::time_zone())]
    pub time_zone: Option<String>,
    /// Where this number's messages go. Left out: the number's webhook is not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// What Ready means: Registered (the meaning of an unset field), NameApproved, or FullyVerified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_when: Option<ReadyWhen>,
    /// Full (the meaning of an unset field), or ObserveOnly: looks and reports, writes nothing at Meta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_policy: Option<ManagementPolicy>,
    /// While true: no call to Meta, no step, no Secret read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// Where a portfolio object is.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PortfolioRef {
    /// Name of the WhatsAppPortfolio.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rule::dns_name("portfolioRef.name", "of a WhatsAppPortfolio"))]
    pub name: String,
    /// Its namespace; left out: the channel's own. The portfolio's `access` has to allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rule::dns_label("portfolioRef.namespace"))]
    pub namespace: Option<String>,
}

/// How a number is connected.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Connection {
    CloudApi,
    Coexistence,
}

/// How ownership is proven.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// How the code travels: Auto (the meaning of an unset field: a certain fixed line by voice, everything
    /// else by SMS), Sms or Voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<VerificationMethod>,
    /// Language of the code's text or call, in Meta's form: pt_BR. Left out: en_US.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(validation = rule::language())]
    pub language: Option<String>,
    /// OnDemand (the meaning of an unset field): a code is sent when somebody asks for it. Automatic: the
    /// first one goes out by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<CodeRequest>,
    /// Where the received code is put. Left out: Secret <channel>-code, key code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_secret_ref: Option<SecretKeyRef>,
}

/// How the code travels.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum VerificationMethod {
    Auto,
    Sms,
    Voice,
}

/// Who asks for the first code.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum CodeRequest {
    OnDemand,
    Automatic,
}

/// How the number is registered.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The six digits of two-step verification. Left out: Secret <channel>-pin, key pin; created when it
    /// is absent and no PIN can be in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_secret_ref: Option<SecretKeyRef>,
    /// Keep (the meaning of an unset field), or Overwrite: an unknown PIN may be replaced once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_policy: Option<PinPolicy>,
    /// TryOnce (the meaning of an unset field): one attempt while Meta reviews the name. Wait: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub while_name_in_review: Option<WhileNameInReview>,
}

/// What happens to a PIN that nobody knows.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum PinPolicy {
    Keep,
    Overwrite,
}

/// Whether to register while the name is in review.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum WhileNameInReview {
    TryOnce,
    Wait,
}

/// A key in a Secret of the object's own namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rule::dns_name("name", "of a Secret"))]
    pub name: String,
    /// Key in the Secret's data.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rule::secret_key())]
    pub key: String,
}

/// Texts of the business profile.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// The line below the name. Meta does not let it be emptied again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 139))]
    pub about: Option<String>,
    /// Postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub address: Option<String>,
    /// What the business does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub description: Option<String>,
    /// Contact address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rule::email())]
    pub email: Option<String>,
    /// One or two sites, each with http:// or https://.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2), inner(length(min = 1, max = 256)))]
    #[x_kube(validation = rule::websites())]
    pub websites: Option<Vec<String>>,
    /// Line of business, by Meta's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vertical: Option<Vertical>,
}

/// Meta's words for a line of business.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Vertical {
    Alcohol,
    Apparel,
    Auto,
    Beauty,
    Edu,
    Entertain,
    EventPlan,
    Finance,
    Govt,
    Grocery,
    Health,
    Hotel,
    Nonprofit,
    OnlineGambling,
    OtcDrugs,
    Other,
    PhysicalGambling,
    ProfServices,
    Restaurant,
    Retail,
    Travel,
}

impl Vertical {
    /// Meta's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alcohol => "ALCOHOL",
            Self::Apparel => "APPAREL",
            Self::Auto => "AUTO",
            Self::Beauty => "BEAUTY",
            Self::Edu => "EDU",
            Self::Entertain => "ENTERTAIN",
            Self::EventPlan => "EVENT_PLAN",
            Self::Finance => "FINANCE",
            Self::Govt => "GOVT",
            Self::Grocery => "GROCERY",
            Self::Health => "HEALTH",
            Self::Hotel => "HOTEL",
            Self::Nonprofit => "NONPROFIT",
            Self::OnlineGambling => "ONLINE_GAMBLING",
            Self::OtcDrugs => "OTC_DRUGS",
            Self::Other => "OTHER",
            Self::PhysicalGambling => "PHYSICAL_GAMBLING",
            Self::ProfServices => "PROF_SERVICES",
            Self::Restaurant => "RESTAURANT",
            Self::Retail => "RETAIL",
            Self::Travel => "TRAVEL",
        }
    }
}

/// Where a number's messages go.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// An https URL; Meta calls it with the messages of this number.
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(validation = rule::callback_url())]
    pub callback_url: String,
    /// The token that Meta repeats in its handshake with that URL. The Secret has to carry the label
    /// whatsapp-operator.dev/use with the value verify-token.
    pub verify_token_secret_ref: SecretKeyRef,
}

/// What Ready means.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ReadyWhen {
    Registered,
    NameApproved,
    FullyVerified,
}

/// How much the operator may do.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ManagementPolicy {
    Full,
    ObserveOnly,
}

/// What the operator found, remembers and waits for. Nothing here changes merely because it looked.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
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
    /// Where the number stands, in one word.
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
    /// Attempts that Meta counts, the last ten of each kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Ledger>,
    /// The step that was begun and is not decided yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
    /// The last answer to each consent annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consents: Option<Consents>,
    /// Facts about the past that Meta does not keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Marks>,
    /// Since when each wait lasts, by its action.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "rule::times", extend("maxProperties" = 64))]
    pub since: BTreeMap<String, Timestamp>,
    /// The state in the form that Kubernetes tools read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

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
    /// Path in the spec.
    #[schemars(length(max = 128))]
    pub field: String,
    /// What the spec asks for.
    #[schemars(length(max = 1024))]
    pub desired: String,
    /// What Meta has.
    #[schemars(length(max = 1024))]
    pub observed: String,
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
    /// Where messages go, by level; the most specific one counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookRouting>,
    /// Whether it is an official business account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub official: Option<bool>,
    /// Meta's last error on the way to Registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<Refusal>,
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

/// An error of Meta's.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Meta's code.
    pub code: i64,
    /// Meta's subcode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subcode: Option<i64>,
    /// Meta's title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub title: Option<String>,
    /// Meta's best sentence about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub message: String,
    /// The trace id to quote to Meta's support; the first that was seen with this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub trace_id: Option<String>,
    /// What the error asks for.
    #[schemars(schema_with = "rule::word")]
    pub class: Class,
    /// How far it reaches.
    #[schemars(schema_with = "rule::word")]
    pub scope: Scope,
    /// When calls are welcome again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub until: Option<Timestamp>,
}

/// A version of a Secret; never anything of its content.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecretVersion {
    /// Uid of the Secret.
    #[schemars(length(max = 128))]
    pub uid: String,
    /// Its resourceVersion.
    #[schemars(length(max = 128))]
    pub resource_version: String,
}

/// Attempts that count, newest last.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Registrations; Meta allows ten in 72 hours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub registrations: Vec<Entry>,
    /// Requests for a code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub codes: Vec<Entry>,
    /// Codes that were entered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub verifications: Vec<Entry>,
    /// Display names that were submitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub names: Vec<Entry>,
    /// Attempts to add the number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub adds: Vec<Entry>,
    /// PINs that were set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub pins: Vec<Entry>,
    /// Pace of the steps that may be repeated, by step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Pace>", extend("maxProperties" = 32))]
    pub repeatable: BTreeMap<StepKind, Pace>,
}

/// One attempt.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Id of the intent that was written before the attempt.
    #[schemars(length(max = 128))]
    pub id: String,
    /// When it was begun.
    #[schemars(schema_with = "rule::time")]
    pub at: Timestamp,
    /// Started, Accepted, Refused, NoAnswer or NotSent.
    #[schemars(schema_with = "rule::word")]
    pub outcome: EntryOutcome,
    /// What allowed it: Automatic, SendCode, Retry or Secret.
    pub cause: Cause,
    /// The value of the consent that allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub consent: Option<String>,
    /// The name, or the version of the Secret, that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub subject: Option<String>,
    /// Until when its effect is given time to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub settle_until: Option<Timestamp>,
    /// Version of the code Secret when the code was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_before: Option<SecretVersion>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

/// What allowed an attempt.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Cause {
    Automatic,
    SendCode,
    Retry,
    Secret,
}

/// Pace of a step that may be repeated.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// The generation it speaks of.
    pub generation: i64,
    /// The Secret version it was tried with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVersion>,
    /// Tries in a row that were refused or had no effect.
    #[schemars(schema_with = "rule::count")]
    pub failed: u32,
    /// Tries that were accepted in this generation without visible effect.
    #[schemars(schema_with = "rule::count")]
    pub accepted: u32,
    /// The last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub last: Option<Timestamp>,
    /// Until when its effect is given time to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub settle_until: Option<Timestamp>,
    /// The last try was never sent, and is made again from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub held_until: Option<Timestamp>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

/// A step that cannot be repeated, written down before it is done.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct InFlight {
    /// Unique for each intent.
    #[schemars(length(max = 128))]
    pub id: String,
    /// The step.
    #[schemars(schema_with = "rule::word")]
    pub step: StepKind,
    /// Why it is taken, for people.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// When it was written down.
    #[schemars(schema_with = "rule::time")]
    pub started_at: Timestamp,
    /// The call is not sent after this.
    #[schemars(schema_with = "rule::time")]
    pub send_before: Timestamp,
    /// Until when its effect is given time to show.
    #[schemars(schema_with = "rule::time")]
    pub settle_until: Timestamp,
    /// The generation that asked for it.
    pub generation: i64,
    /// The name, or the version of the Secret, that is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub subject: Option<String>,
    /// Of an add: whether every list was complete and without the number before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_before: Option<bool>,
}

/// The last answer to each consent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Consents {
    /// To whatsapp-operator.dev/send-code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_code: Option<ConsentAnswer>,
    /// To whatsapp-operator.dev/retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<ConsentAnswer>,
    /// To whatsapp-operator.dev/reconcile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<ConsentAnswer>,
}

/// How a consent was answered; a value is answered once.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConsentAnswer {
    /// The annotation's value.
    #[schemars(length(max = 256))]
    pub value: String,
    /// When it was answered.
    #[schemars(schema_with = "rule::time")]
    pub at: Timestamp,
    /// The step that it was used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::word")]
    pub used_for: Option<StepKind>,
    /// Why it was refused, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub refused: Option<String>,
}

/// Facts about the past, each with its time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Marks {
    /// This object added the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub added: Option<Timestamp>,
    /// This object found the number in the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub adopted: Option<Timestamp>,
    /// The one automatic code was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub automatic_code_used: Option<Timestamp>,
    /// Ownership has to be proven anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub reverify_required: Option<Timestamp>,
    /// When Meta first showed, after that, that the number is not proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub proof_lapsed: Option<Timestamp>,
    /// The PIN was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub pin_set: Option<Timestamp>,
    /// This object registered the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub registered: Option<Timestamp>,
    /// When the number was first seen registered, by whomever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub seen_registered: Option<Timestamp>,
    /// Since when a number that was found is absent from its account's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub missing_since: Option<Timestamp>,
    /// Since when a registered number reads as not registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub fell_back_since: Option<Timestamp>,
    /// Names with which a registration was tried while they were in review.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "rule::times", extend("maxProperties" = 64))]
    pub tried_in_review: BTreeMap<String, Timestamp>,
    /// Names that Meta declined.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "rule::times", extend("maxProperties" = 64))]
    pub declined: BTreeMap<String, Timestamp>,
    /// Meta said that the number is still in use in the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub on_phone: Option<Timestamp>,
}

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

/// What the operator found.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
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
    /// Accounts in reach, the first 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub accounts: Vec<AccountInReach>,
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
