//! The portfolio as channels see it: its credential, its business and the accounts in reach.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use crate::engine::value::{
    desired::Access,
    failure::{Failure, Refusal},
    id::{AccountId, AppId, BusinessId, Fact, MessagingLimit, TokenType, VerificationStatus},
    reason::Reason,
};

/// Everything on accounts and numbers (Meta, page "Access tokens").
pub const SCOPE_MANAGEMENT: &str = "whatsapp_business_management";
/// Registering, two-step verification, and receiving messages.
pub const SCOPE_MESSAGING: &str = "whatsapp_business_messaging";
/// Name and verification of the portfolio, and the list of its accounts.
pub const SCOPE_BUSINESS: &str = "business_management";
/// Scopes without which nothing can be done.
pub const REQUIRED_SCOPES: [&str; 2] = [SCOPE_MANAGEMENT, SCOPE_MESSAGING];

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
    /// Since when it is known that its credentials do not work, or that its business is none that they show, or that its
    /// object cannot be used.
    pub lost: Option<Timestamp>,
    pub token: Fact<TokenFacts>,
    /// The app that the token is of: as the token tells, else as the spec does.
    pub app: Option<AppId>,
    pub facts: Fact<BusinessFacts>,
    pub reach: Reach,
    /// `expect.country`, to be compared with the account's.
    pub expect_country: Option<String>,
    pub access: Arc<[Access]>,
    pub throttled_until: Option<Timestamp>,
}

/// What stands behind the claim of a channel: how far its portfolio is proven to be a portfolio of whoever created it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Nothing was found out about it since this process began to work.
    Unknown,
    /// Its credentials work; neither its business nor an account in its reach was read.
    Works,
    /// Its credentials work, and Meta showed its business or an account in its reach to them.
    Proven,
    /// Since then it is known that the credentials do not work, or that the business is none that they show, or that the
    /// object cannot be used.
    Lost(Timestamp),
}

/// A block that the portfolio puts on every channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    pub reason: Reason,
    pub message: String,
    pub failure: Option<Failure>,
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
    pub error: Option<Refusal>,
}

impl TokenFacts {
    /// Those of `scopes` that the token does not have.
    pub(in crate::engine) fn lacks(&self, scopes: &[&'static str]) -> Vec<&'static str> {
        scopes.iter().filter(|scope| !self.scopes.iter().any(|s| s == **scope)).copied().collect()
    }

    /// The earlier of the two ends of a token.
    pub fn end(&self) -> Option<Timestamp> {
        [self.expires_at, self.data_access_expires_at].into_iter().flatten().min()
    }
}

/// What the portfolio node said.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BusinessFacts {
    pub name: Option<String>,
    pub verification: Option<VerificationStatus>,
    pub messaging_limit: Option<MessagingLimit>,
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
    /// Every account of its own; those that are shared with it are not read yet.
    Owned(Vec<Reachable>),
    /// Every account, owned and shared.
    Accounts(Vec<Reachable>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reachable {
    pub id: AccountId,
    pub name: Option<Arc<str>>,
    /// `None` when it cannot be told (accounts learnt from the token's targets).
    pub owned: Option<bool>,
}

impl PortfolioView {
    /// Whether Meta showed the business itself to the credentials, or an account as its own. None: that was not read yet.
    ///
    /// Somebody may write down the id of a business that is not his.
    pub fn is_business_shown(&self) -> Option<bool> {
        let listed: &[Reachable] = match &self.reach {
            Reach::Accounts(list) | Reach::Owned(list) => list,
            Reach::Unknown | Reach::Unread => &[],
        };
        if listed.iter().any(|account| account.owned == Some(true)) {
            return Some(true);
        }
        match &self.facts {
            Fact::Known(_) => Some(true),
            Fact::Unknown(failure) if failure.is_answer() => Some(false),
            Fact::Unknown(_) | Fact::NotAsked => None,
        }
    }

    /// Of a portfolio whose spec cannot be understood: nothing below it is looked at or written until it is
    /// corrected. `business` is what the spec says, which may be what is wrong.
    ///
    /// ```
    /// use whatsapp_operator::engine::{portfolio::PortfolioView, reason::Reason};
    /// let view = PortfolioView::spec_invalid("meta", "acme", "x", "businessId is not a number");
    /// assert_eq!(view.hold.map(|hold| hold.reason), Some(Reason::SpecInvalid));
    /// ```
    pub fn spec_invalid(namespace: &str, name: &str, business: &str, why: &str) -> Self {
        let message = format!("WhatsAppPortfolio {namespace}/{name}: {why}");
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            business: BusinessId::from(business),
            credential_version: None,
            hold: Some(Hold { reason: Reason::SpecInvalid, message, failure: None }),
            lost: None,
            token: Fact::NotAsked,
            app: None,
            facts: Fact::NotAsked,
            reach: Reach::Unread,
            expect_country: None,
            access: Arc::default(),
            throttled_until: None,
        }
    }

    /// What stands behind the claims of its channels, as far as the portfolio itself was read.
    ///
    /// ```
    /// use whatsapp_operator::engine::portfolio::{Backing, PortfolioView};
    /// let unread = PortfolioView { hold: None, ..PortfolioView::spec_invalid("meta", "acme", "1", "") };
    /// assert_eq!(unread.backing(), Backing::Unknown);
    /// let works = PortfolioView { credential_version: Some("1".into()), ..unread.clone() };
    /// assert_eq!(works.backing(), Backing::Works);
    /// let since = "2026-03-01T12:00:00Z".parse().unwrap();
    /// assert_eq!(PortfolioView { lost: Some(since), ..works }.backing(), Backing::Lost(since));
    /// ```
    pub fn backing(&self) -> Backing {
        let is_listed = match &self.reach {
            // An account that is only a target of the token was not read.
            Reach::Owned(list) | Reach::Accounts(list) => list.iter().any(|account| account.owned.is_some()),
            Reach::Unread | Reach::Unknown => false,
        };
        match self.lost {
            Some(since) => Backing::Lost(since),
            None if self.credential_version.is_none() => Backing::Unknown,
            None if self.facts.known().is_some() || is_listed => Backing::Proven,
            None => Backing::Works,
        }
    }

    /// The accounts that `namespace` may use: everything in its own namespace, else what `access` grants.
    ///
    /// `None` when the portfolio may not be used from there at all; `Some(None)` for all accounts in reach.
    pub(in crate::engine) fn granted(&self, namespace: &str) -> Option<Option<Vec<AccountId>>> {
        granted(&self.namespace, &self.access, namespace)
    }
}

/// The rule of `access`, also for callers that have no view yet.
///
/// ```
/// use whatsapp_operator::engine::{desired::Access, portfolio::granted};
/// let access = [Access { namespaces: ["shop"].into(), accounts: Some(["300000000000001"].into()) }];
/// assert_eq!(granted("meta", &access, "other"), None);
/// assert_eq!(granted("meta", &access, "meta"), Some(None));
/// assert_eq!(granted("meta", &access, "shop"), Some(Some(vec!["300000000000001".into()])));
/// ```
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
            Some(list) => accounts.get_or_insert_default().extend(list.iter().map(AccountId::from)),
        }
    }
    accounts.map(Some)
}

/// What an app has subscribed to for itself, of WhatsApp accounts.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AppSubscription {
    /// Where its events go, unless an account or a number has another address.
    pub callback_url: Option<String>,
    pub is_active: Option<bool>,
    /// What it is told of, by name.
    pub fields: BTreeSet<String>,
}
