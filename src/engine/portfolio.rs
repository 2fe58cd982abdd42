//! The portfolio: what its controller knows and hands to channels.

use jiff::Timestamp;

use super::{
    condition::ConditionSet,
    desired::{Access, DesiredPortfolio},
    failure::Failure,
    id::{AccountId, AppId, BusinessId, Fact, TokenType, VerificationStatus},
    limits::Limits,
    observed::SecretFact,
    plan::Actor,
    reason::Reason,
};

/// What the portfolio controller alone checks, and every channel below may use.
///
/// A channel wakes when the conditions or the credential's version in it change,
/// never when a counter does.
#[derive(Clone, Debug, PartialEq)]
pub struct PortfolioView {
    /// Namespace and name of the portfolio object.
    pub namespace: String,
    pub name: String,
    pub business: BusinessId,
    /// `None` until credentials were found to work; then their version (uid and resourceVersion of the Secrets).
    pub credential_version: Option<String>,
    /// Why channels may not act below this portfolio, if they may not.
    pub hold: Option<Hold>,
    pub token: Fact<TokenFacts>,
    pub facts: Fact<BusinessFacts>,
    pub reach: Reach,
    /// `expect.country`, to be compared with the account's.
    pub expect_country: Option<String>,
    pub access: Vec<Access>,
    pub throttled_until: Option<Timestamp>,
}

/// A block that the portfolio puts on every channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    pub reason: Reason,
    pub message: String,
    pub failure: Option<Failure>,
    /// Where a person acts.
    pub url: Option<String>,
}

/// What `debug_token` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    pub is_valid: bool,
    pub kind: TokenType,
    /// `None`: never.
    pub expires_at: Option<Timestamp>,
    pub data_access_expires_at: Option<Timestamp>,
    pub app: Option<AppId>,
    pub scopes: Vec<String>,
    /// `target_ids` of `whatsapp_business_management`; `None`: all assets.
    pub targets: Option<Vec<AccountId>>,
    /// The error inside the answer, when the token is not valid.
    pub error: Option<super::failure::Refusal>,
}

/// What the portfolio node said.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BusinessFacts {
    pub name: Option<String>,
    pub verification: Option<VerificationStatus>,
    pub messaging_limit: Option<String>,
    pub primary_page: Option<String>,
}

/// The accounts that the token reaches.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Reach {
    /// Not read yet, or could not be read.
    #[default]
    Unread,
    /// The token may not list accounts and names no targets: a channel must name `accountId`, which is read directly.
    Unknown,
    /// Every account, owned and shared.
    Accounts(Vec<Reachable>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reachable {
    pub id: AccountId,
    pub name: Option<String>,
    /// `None` when it cannot be told (accounts learnt from the token's targets).
    pub owned: Option<bool>,
}

impl PortfolioView {
    /// The accounts that `namespace` may use: everything in its own namespace, else what `access` grants.
    ///
    /// `None` when the portfolio may not be used from there at all; `Some(None)` for all accounts in reach.
    pub fn granted(&self, namespace: &str) -> Option<Option<Vec<AccountId>>> {
        granted(&self.namespace, &self.access, namespace)
    }
}

/// The rule of `access`, also for callers that have no view yet.
pub fn granted(own: &str, access: &[Access], namespace: &str) -> Option<Option<Vec<AccountId>>> {
    if own == namespace {
        return Some(None);
    }
    let mut accounts: Option<Vec<AccountId>> = None;
    for entry in access {
        if !entry.namespaces.iter().any(|n| n == "*" || n == namespace) {
            continue;
        }
        match &entry.accounts {
            None => return Some(None),
            Some(list) => accounts.get_or_insert_default().extend(list.iter().cloned()),
        }
    }
    accounts.map(Some)
}

/// What a look at a portfolio found.
#[derive(Clone, Debug, PartialEq)]
pub struct PortfolioObserved {
    pub access_token: SecretFact,
    pub app_secret: SecretFact,
    /// The version of the credential in use, if one was found to work in this process.
    pub in_use: Option<String>,
    /// The version that the Secrets hold now.
    pub offered: Option<String>,
    /// `debug_token` with the offered credential (the one in use, when both are the same).
    pub token: Fact<TokenFacts>,
    /// With the credential that will be in use.
    pub business: Fact<BusinessFacts>,
    pub owned: Fact<Vec<Reachable>>,
    pub client: Fact<Vec<Reachable>>,
    pub throttled_until: Option<Timestamp>,
}

/// What it means.
#[derive(Clone, Debug, PartialEq)]
pub struct PortfolioAssessment {
    /// Ready, CredentialsValid, IdentityConfirmed, BusinessVerified, and Reconciling or Stalled when True.
    pub conditions: ConditionSet,
    pub waiting_for: Vec<super::condition::WaitingFor>,
    pub view: PortfolioView,
    /// Whether the offered credential is to be used from now on.
    pub accept_offered: bool,
    pub missing_scopes: Vec<String>,
    pub next: Timestamp,
}

/// Judges a portfolio. `before` are the conditions that stand; `view_before` the last view of this process.
pub fn assess_portfolio(
    _desired: &DesiredPortfolio,
    _observed: &PortfolioObserved,
    _before: &ConditionSet,
    _waiting_before: &[super::condition::WaitingFor],
    _view_before: Option<&PortfolioView>,
    _limits: &Limits,
    _now: Timestamp,
) -> PortfolioAssessment {
    let _ = Actor::PortfolioAdmin;
    unimplemented!()
}
