//! Assessment: what a pass means, as conditions and everything else that status shows.

use jiff::Timestamp;

use super::{
    desired::Desired,
    failure::Refusal,
    id::{AccountId, BusinessId, NumberId},
    limits::Limits,
    memory::Memory,
    observed::{Observed, WebhookConfiguration},
    outcome::Outcome,
    plan::{Actor, Plan},
    reason::Reason,
};

/// The conditions of a channel, in the order of their depth: `Ready` copies the first that blocks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    PortfolioReady,
    AccountUsable,
    NumberAdded,
    NumberVerified,
    DisplayNameApproved,
    Registered,
    Healthy,
    WebhookRouted,
    ProfileSynced,
    BusinessVerified,
    PaymentReady,
    Ready,
    Reconciling,
    Stalled,
    /// Of a portfolio only.
    CredentialsValid,
    /// Of a portfolio only.
    IdentityConfirmed,
}

impl ConditionType {
    /// The types of a channel, in order.
    pub const CHANNEL: [Self; 14] = [
        Self::PortfolioReady,
        Self::AccountUsable,
        Self::NumberAdded,
        Self::NumberVerified,
        Self::DisplayNameApproved,
        Self::Registered,
        Self::Healthy,
        Self::WebhookRouted,
        Self::ProfileSynced,
        Self::BusinessVerified,
        Self::PaymentReady,
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
    ];

    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PortfolioReady => "PortfolioReady",
            Self::AccountUsable => "AccountUsable",
            Self::NumberAdded => "NumberAdded",
            Self::NumberVerified => "NumberVerified",
            Self::DisplayNameApproved => "DisplayNameApproved",
            Self::Registered => "Registered",
            Self::Healthy => "Healthy",
            Self::WebhookRouted => "WebhookRouted",
            Self::ProfileSynced => "ProfileSynced",
            Self::BusinessVerified => "BusinessVerified",
            Self::PaymentReady => "PaymentReady",
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::CredentialsValid => "CredentialsValid",
            Self::IdentityConfirmed => "IdentityConfirmed",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One condition; `lastTransitionTime` moves only when `status` flips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub kind: ConditionType,
    pub status: Truth,
    pub reason: Reason,
    pub message: String,
    pub since: Timestamp,
    pub observed_generation: i64,
}

/// Conditions in the order of [`ConditionType`], at most one of each.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConditionSet(Vec<Condition>);

impl ConditionSet {
    /// Inserts or replaces; keeps the transition time while the status stays.
    pub fn set(&mut self, mut next: Condition) {
        match self.0.binary_search_by_key(&next.kind, |c| c.kind) {
            Ok(at) => {
                if self.0[at].status == next.status {
                    next.since = self.0[at].since;
                }
                self.0[at] = next;
            }
            Err(at) => self.0.insert(at, next),
        }
    }

    /// Removes one, if it is there.
    pub fn remove(&mut self, kind: ConditionType) {
        self.0.retain(|c| c.kind != kind);
    }

    /// Looks one up.
    pub fn get(&self, kind: ConditionType) -> Option<&Condition> {
        self.0.binary_search_by_key(&kind, |c| c.kind).ok().map(|at| &self.0[at])
    }

    /// Whether a condition is there with this status.
    pub fn is(&self, kind: ConditionType, status: Truth) -> bool {
        self.get(kind).is_some_and(|c| c.status == status)
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }
}

/// What a pass means for a channel. `api` lowers it into status and nothing else does.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// `None`: this pass proves nothing about a newer generation.
    pub observed_generation: Option<i64>,
    pub conditions: ConditionSet,
    pub stage: Stage,
    pub waiting_for: Vec<WaitingFor>,
    pub preflight: Vec<Check>,
    pub drift: Vec<super::drift::Drift>,
    pub facts: Facts,
}

/// Where the number stands, in one word.
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
}

impl Stage {
    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Adding => "Adding",
            Self::Verifying => "Verifying",
            Self::NameReview => "NameReview",
            Self::Registering => "Registering",
            Self::Configuring => "Configuring",
            Self::Ready => "Ready",
            Self::Stalled => "Stalled",
            Self::Suspended => "Suspended",
        }
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
}

/// An entry of `preflight`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// A constant in CamelCase: `NumberShape`, `TokenScopes`.
    pub item: &'static str,
    pub verdict: Verdict,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Pass,
    Warn,
    Fail,
    NotCheckable,
}

impl Verdict {
    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Warn => "Warn",
            Self::Fail => "Fail",
            Self::NotCheckable => "NotCheckable",
        }
    }
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
    pub webhook: Option<WebhookConfiguration>,
    pub is_official: Option<bool>,
    /// Meta's last error on the way to Registered, for `explain`; the trace id is the first seen with that code.
    pub last_refusal: Option<Refusal>,
}

/// What status showed before this pass; conditions that cannot be judged anew stay as they were.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Before {
    pub observed_generation: Option<i64>,
    pub conditions: ConditionSet,
    pub facts: Facts,
    pub stage: Option<Stage>,
    pub waiting_for: Vec<WaitingFor>,
    pub preflight: Vec<Check>,
    pub drift: Vec<super::drift::Drift>,
}

/// Says what a pass means. `memory` is the memory that will be written along (with the intent, or the folded
/// outcome); `outcome` is there once the step was carried out.
#[allow(clippy::too_many_arguments)]
pub fn assess(
    _desired: &Desired,
    _observed: &Observed,
    _plan: &Plan,
    _outcome: Option<&Outcome>,
    _memory: &mut Memory,
    _before: &Before,
    _limits: &Limits,
    _now: Timestamp,
) -> Assessment {
    unimplemented!()
}

/// The first status of a new object, before anything was looked at.
pub fn first(_desired: &Desired, _now: Timestamp) -> Assessment {
    unimplemented!()
}
