//! Memory: what the engine remembers between passes. Given in, given back.
//!
//! It lives in the status of the channel and nowhere else, so it survives restarts,
//! leader changes and kill -9. It holds nothing secret and nothing from which a
//! secret can be computed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    failure::Refusal,
    id::{AccountId, BusinessId, NumberId},
    observed::SecretVersion,
};

/// Everything that is remembered of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Memory {
    /// The first resolution, fixed for the life of the object.
    pub business: Option<BusinessId>,
    pub account: Option<AccountId>,
    pub number: Option<NumberId>,
    pub ledger: Ledger,
    pub in_flight: Option<Intent>,
    /// The last answer to each consent.
    pub consents: BTreeMap<ConsentKind, ConsentAnswer>,
    pub marks: Marks,
    /// Since when each wait lasts, keyed by action; carried while the wait lasts.
    pub since: BTreeMap<String, Timestamp>,
}

/// A step that cannot be repeated, written down before it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Unique for each intent; who finds it in status knows whose step it is.
    pub id: String,
    pub step: StepKind,
    /// Why, for people.
    pub reason: String,
    pub started_at: Timestamp,
    /// The call is not sent after this.
    pub send_before: Timestamp,
    /// An effect counts as absent only in an observation begun after this.
    pub settle_until: Timestamp,
    /// Generation that asked for it.
    pub generation: i64,
    /// What was sent that is needed to decide an unknown outcome: the name, or the version of the code Secret. Never a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Add: whether every list was complete and without the number before the intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_before: Option<bool>,
}

/// The steps, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StepKind {
    AddNumber,
    RequestCode,
    VerifyCode,
    SubmitName,
    CreatePin,
    SetPin,
    Register,
    SubscribeApp,
    RouteWebhook,
    WriteProfile,
}

impl StepKind {
    /// Whether doing it twice could cost something that cannot be had back.
    pub fn is_repeatable(self) -> bool {
        matches!(self, Self::CreatePin | Self::SubscribeApp | Self::RouteWebhook | Self::WriteProfile)
    }

    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddNumber => "AddNumber",
            Self::RequestCode => "RequestCode",
            Self::VerifyCode => "VerifyCode",
            Self::SubmitName => "SubmitName",
            Self::CreatePin => "CreatePin",
            Self::SetPin => "SetPin",
            Self::Register => "Register",
            Self::SubscribeApp => "SubscribeApp",
            Self::RouteWebhook => "RouteWebhook",
            Self::WriteProfile => "WriteProfile",
        }
    }
}

/// Attempts that count, newest last, at most ten of each kind.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registrations: Vec<Entry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<Entry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verifications: Vec<Entry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Entry>,
    /// Refused adds; not scarce, but paced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adds: Vec<Entry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<Entry>,
    /// Pacing of the repeatable steps.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repeatable: BTreeMap<StepKind, Pace>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The id of the intent.
    pub id: String,
    pub at: Timestamp,
    pub outcome: EntryOutcome,
    /// What allowed it.
    pub cause: Cause,
    /// A name, or the version of the code Secret. Never a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_until: Option<Timestamp>,
    /// Code requests: the version of the code Secret when it was asked for; `None` also when it was absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_before: Option<SecretVersion>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EntryOutcome {
    /// Written before the call; stays when the process died.
    Started,
    Accepted,
    Refused,
    /// Sent, no usable answer. Counts as an attempt.
    NoAnswer,
    /// Proven not to have been sent. Does not count.
    NotSent,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// By the policy's own schedule.
    Automatic,
    /// By a `send-code` consent with this value.
    SendCode(String),
    /// By a `retry` consent with this value.
    Retry(String),
    /// By a new version of a Secret.
    Secret,
}

/// Pace of a repeatable step.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    pub generation: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVersion>,
    /// Tries in a row that were refused or had no effect.
    pub failed: u32,
    /// Accepted in this generation without visible effect.
    pub accepted: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
    /// Until when an accepted write is given time to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConsentKind {
    SendCode,
    Retry,
    Reconcile,
}

/// How a consent value was answered; a value is answered once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsentAnswer {
    pub value: String,
    pub at: Timestamp,
    /// What it was used for; `None` when it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_for: Option<StepKind>,
    /// Why it was refused, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Facts about the past that Meta does not keep for us. Never evicted, each with its time.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Marks {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic_code_used: Option<Timestamp>,
    /// 133006 or a lapse: a new code is needed, by consent, until one succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverify_required: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_set: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Timestamp>,
    /// Since when a number that was Registered reads NOT_APPLICABLE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fell_back_since: Option<Timestamp>,
    /// Names for which one registration was tried while they were in review.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tried_in_review: BTreeMap<String, Timestamp>,
    /// The last twenty names that Meta declined.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub declined: BTreeMap<String, Timestamp>,
    /// 2388001 with a usable name: the number is still on a phone; one try per `retry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_phone: Option<Timestamp>,
}
