//! Status: what a pass says about a channel, and what stood there before it.

use jiff::Timestamp;

use crate::engine::value::{
    action::Actor,
    condition::ConditionSet,
    drift::Drift,
    failure::Refusal,
    id::{AccountId, BusinessId, NumberId},
    observed::WebhookConfiguration,
    word::words,
};

/// What a pass means for a channel. `api` lowers it into status and nothing else does.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// `None`: this pass proves nothing about a newer generation.
    pub observed_generation: Option<i64>,
    pub conditions: ConditionSet,
    pub stage: Stage,
    pub waiting_for: Vec<WaitingFor>,
    pub preflight: Vec<Check>,
    pub drift: Vec<Drift>,
    pub facts: Facts,
}

words! {
    /// Where the number stands, in one word.
    ///
    /// ```
    /// use whatsapp_operator::engine::status::{Stage, Verdict};
    /// assert_eq!((Stage::Verifying.as_str(), Verdict::Warn.as_str()), ("Verifying", "Warn"));
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Stage {
        /// Not looked at yet.
        Pending,
        /// The number is not in the account yet.
        Adding,
        /// Ownership has to be proven.
        Verifying,
        /// The display name holds things up.
        NameReview,
        /// Verified, on the way to registered.
        Registering,
        /// Registered; webhook, profile or health still open.
        Configuring,
        Ready,
        Stalled,
        Suspended,
        /// The object is being deleted, and something is taken back at Meta before.
        Deleting,
    }
}

/// An entry of `waitingFor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingFor {
    pub actor: Actor,
    pub action: String,
    pub since: Timestamp,
    pub expected_by: Option<Timestamp>,
    pub url: Option<String>,
    pub if_ignored: Option<String>,
    /// What the act destroys or interrupts.
    pub if_done: Option<String>,
}

/// An entry of `preflight`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// A constant in CamelCase: `NumberShape`, `TokenScopes`.
    pub item: &'static str,
    pub verdict: Verdict,
    pub message: String,
}

words! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Verdict {
        Pass,
        Warn,
        Fail,
        NotCheckable,
    }
}

/// An entity of Meta's that is not well, in its words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HealthFact {
    /// `PHONE_NUMBER`, `WABA`, `BUSINESS`, `APP`, or a new word.
    pub entity: String,
    pub can_send: String,
    /// Meta's codes for what is wrong with it.
    pub codes: Vec<i64>,
}

/// Facts with Meta's raw words, as last seen. A fact that was not readable keeps its last value.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Facts {
    pub business: Option<BusinessId>,
    pub account: Option<AccountId>,
    pub number: Option<NumberId>,
    pub verified_name: Option<String>,
    pub name_status: Option<String>,
    pub name_since: Option<Timestamp>,
    pub new_display_name: Option<String>,
    pub new_name_status: Option<String>,
    pub code_status: Option<String>,
    pub status: Option<String>,
    pub status_since: Option<Timestamp>,
    pub platform: Option<String>,
    pub quality: Option<String>,
    pub throughput: Option<String>,
    pub messaging_limit: Option<String>,
    pub health: Option<String>,
    /// What keeps the number from sending, or limits it.
    pub health_entities: Vec<HealthFact>,
    pub webhook: Option<WebhookConfiguration>,
    pub is_official: Option<bool>,
    pub username: Option<String>,
    /// What becomes of a request to be one, and Meta's reason. Not there while nobody asked for it.
    pub official_status: Option<String>,
    pub official_message: Option<String>,
    /// Only where the spec manages the username.
    pub username_status: Option<String>,
    /// The apps of others that are subscribed to its account. Only where the channel needs to know who is.
    pub other_apps: Option<String>,
    /// Meta's last error on the way to Registered, for `explain`; the trace id is the first seen with that code.
    pub last_refusal: Option<Refusal>,
}

/// What status showed before this pass; a condition about which nothing new is known stays as it was.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Before {
    pub observed_generation: Option<i64>,
    pub conditions: ConditionSet,
    pub facts: Facts,
    pub stage: Option<Stage>,
    pub waiting_for: Vec<WaitingFor>,
    pub preflight: Vec<Check>,
    pub drift: Vec<Drift>,
}
