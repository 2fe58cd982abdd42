//! The world at Meta, as values.
//!
//! Portfolios, accounts, numbers, apps and tokens, in the form in which a file, the
//! control API or a test describes them. Fields that Meta has too carry Meta's name
//! and its raw words, so that any value can be put there, known or not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::number::Number;
use super::part::{Late, Override, only_digits};
use super::spelling::Spellings;
use super::switch::EndpointAnswer;

/// The token of the demo world. It is no credential: only the sandbox knows it.
pub const DEMO_TOKEN: &str = "EAAsandbox-acme-permanent";
/// The app secret of the demo world.
pub const DEMO_APP_SECRET: &str = "sandbox-app-secret";

/// Everything that exists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct World {
    /// By portfolio id.
    pub portfolios: BTreeMap<String, Portfolio>,
    /// By account id.
    pub accounts: BTreeMap<String, Account>,
    /// By phone number id.
    pub numbers: BTreeMap<String, Number>,
    /// By app id.
    pub apps: BTreeMap<String, App>,
    /// By the token itself.
    pub tokens: BTreeMap<String, Token>,
    /// Digits that are in use in an app on somebody's phone.
    pub phones: BTreeMap<String, Phone>,
    /// Digits that WhatsApp banned.
    pub banned: BTreeSet<String>,
    /// When digits were deleted from the platform.
    pub deleted: BTreeMap<String, Timestamp>,
    /// What webhooks answer to a handshake, by URL.
    pub webhook_endpoints: BTreeMap<String, EndpointAnswer>,
}

impl World {
    /// One portfolio with one account and a permanent token for it, no number yet.
    pub fn for_demo() -> Self {
        Self::default()
            .with_app(App::new("200000000000001", "Acme Ops").with_secret(DEMO_APP_SECRET))
            .with_portfolio(Portfolio::new("500000000000001", "Acme Ltda"))
            .with_account(Account::new("300000000000001", "500000000000001", "Acme"))
            .with_token(DEMO_TOKEN, Token::system_user("200000000000001", "500000000000001"))
    }

    /// Adds or replaces a portfolio.
    #[must_use]
    pub fn with_portfolio(mut self, portfolio: Portfolio) -> Self {
        self.portfolios.insert(portfolio.id.clone(), portfolio);
        self
    }

    /// Adds or replaces an account.
    #[must_use]
    pub fn with_account(mut self, account: Account) -> Self {
        self.accounts.insert(account.id.clone(), account);
        self
    }

    /// Adds or replaces a number.
    #[must_use]
    pub fn with_number(mut self, number: Number) -> Self {
        self.numbers.insert(number.id.clone(), number);
        self
    }

    /// Adds or replaces an app.
    #[must_use]
    pub fn with_app(mut self, app: App) -> Self {
        self.apps.insert(app.id.clone(), app);
        self
    }

    /// Adds or replaces a token.
    #[must_use]
    pub fn with_token(mut self, value: &str, token: Token) -> Self {
        self.tokens.insert(value.to_owned(), token);
        self
    }

    /// The account's numbers, in the default order of Meta: last onboarded first.
    pub(super) fn numbers_of<'a>(&'a self, account: &'a str) -> Vec<&'a Number> {
        let mut numbers: Vec<&Number> =
            self.numbers.values().filter(|number| number.is_in(account)).collect();
        numbers.sort_by(|a, b| (b.onboarded(), &b.id).cmp(&(a.onboarded(), &a.id)));
        numbers
    }

    /// The id of the number with these digits, in any spelling; one that is still there goes before one
    /// that was migrated away or deleted.
    pub(super) fn number_id(&self, digits: &str) -> Option<String> {
        let digits = only_digits(digits);
        let spellings = Spellings::of(&digits);
        self.numbers
            .values()
            .filter(|number| spellings.has(&number.digits))
            .min_by_key(|number| (number.is_gone(), number.id.clone()))
            .map(|number| number.id.clone())
    }

    /// WhatsApp banned the number.
    pub(super) fn is_banned(&self, digits: &str) -> bool {
        let spellings = Spellings::of(digits);
        self.banned.iter().any(|banned| spellings.has(banned))
    }

    /// When the number was last deleted from the platform.
    pub(super) fn deleted_at(&self, digits: &str) -> Option<Timestamp> {
        let spellings = Spellings::of(digits);
        self.deleted.iter().filter(|(deleted, _)| spellings.has(deleted)).map(|(_, at)| *at).max()
    }

    /// Says how a number stands in the app, whatever was said of it in another spelling.
    pub(super) fn put_phone(&mut self, digits: &str, phone: Phone) {
        let digits = only_digits(digits);
        let spellings = Spellings::of(&digits);
        self.phones.retain(|known, _| !spellings.has(known));
        self.phones.insert(digits, phone);
    }

    /// The account has a number that is registered with Cloud API.
    pub(super) fn is_active(&self, account: &str) -> bool {
        self.numbers.values().any(|number| number.account == account && number.is_registered())
    }

    /// The numbers that count against the portfolio's limit.
    pub(super) fn numbers_of_portfolio(&self, portfolio: &str) -> usize {
        let owned =
            |account: &str| self.accounts.get(account).is_some_and(|account| account.owner == portfolio);
        self.numbers.values().filter(|number| owned(&number.account) && !number.is_gone()).count()
    }

    /// Digits are in use on a phone, and not released at least three minutes ago.
    pub(super) fn is_on_phone(&self, digits: &str, now: Timestamp) -> bool {
        let spellings = Spellings::of(digits);
        let mut known = self.phones.iter().filter(|(known, _)| spellings.has(known));
        known.any(|(_, phone)| phone.free_from.is_none_or(|from| from > now))
    }
}

/// A number in use in an app of WhatsApp.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phone {
    /// Set once the account was deleted in the app: it takes some minutes.
    pub free_from: Option<Timestamp>,
}

/// A business portfolio.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Portfolio {
    /// Meta's id.
    pub id: String,
    /// The name, which a change of Meta's binds to verification.
    pub name: String,
    /// `not_verified`, `verified` and so on, in lower case.
    pub verification_status: String,
    /// Meta's numeric time zone.
    pub timezone_id: i64,
    /// A site, where one is set.
    pub link: Option<String>,
    /// Id and name of the page.
    pub primary_page: Option<Reference>,
    /// `TIER_250` and so on.
    pub whatsapp_business_manager_messaging_limit: String,
    /// The number limit, where Meta raised it; else 2, or 20 once verified.
    pub number_limit: Option<usize>,
    /// Raw values on top, by field; null leaves a field out.
    pub raw: BTreeMap<String, Value>,
}

impl Portfolio {
    /// A portfolio that is not verified.
    pub fn new(id: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            verification_status: "not_verified".to_owned(),
            timezone_id: 25,
            link: None,
            primary_page: Some(Reference {
                id: format!("6{}", id.get(1..).unwrap_or_default()),
                name: name.to_owned(),
            }),
            whatsapp_business_manager_messaging_limit: "TIER_250".to_owned(),
            number_limit: None,
            raw: BTreeMap::new(),
        }
    }

    /// The same, verified, with the limits that come with it.
    #[must_use]
    pub fn verified(mut self) -> Self {
        self.verification_status = "verified".to_owned();
        self.whatsapp_business_manager_messaging_limit = "TIER_2K".to_owned();
        self
    }

    /// How many numbers it may have.
    pub(super) fn limit(&self) -> usize {
        let raised = self.verification_status == "verified"
            || !matches!(self.whatsapp_business_manager_messaging_limit.as_str(), "TIER_250" | "UNTIERED");
        self.number_limit.unwrap_or(if raised { 20 } else { 2 })
    }
}

/// Id and name of something else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A WhatsApp Business Account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Account {
    /// Meta's id.
    pub id: String,
    /// The portfolio that owns it; for good.
    pub owner: String,
    /// Portfolios that it is shared with: a client account for them.
    pub shared_with: BTreeSet<String>,
    /// Its name.
    pub name: String,
    /// ISO 4217.
    pub currency: String,
    /// ISO 3166 alpha-2; left out of replies when unset.
    pub country: Option<String>,
    /// Meta's numeric time zone, as text.
    pub timezone_id: String,
    /// `ACTIVE` and so on.
    pub status: String,
    /// `PENDING`, `APPROVED`, `REJECTED` and so on.
    pub account_review_status: String,
    /// Opaque text.
    pub ownership_type: String,
    /// The payment credential, where there is one.
    pub primary_funding_id: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Locked for a policy: writes are answered with 131031.
    pub locked: bool,
    /// Adding numbers is restricted until then.
    pub add_restricted_until: Option<Timestamp>,
    /// The apps subscribed to it, by app id.
    pub subscriptions: BTreeMap<String, Override>,
    /// What shows late.
    pub late: Vec<Late>,
    /// Raw values on top, by field; null leaves a field out.
    pub raw: BTreeMap<String, Value>,
}

impl Account {
    /// An approved, active account with a payment method.
    pub fn new(id: &str, owner: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            owner: owner.to_owned(),
            shared_with: BTreeSet::new(),
            name: name.to_owned(),
            currency: "BRL".to_owned(),
            country: Some("BR".to_owned()),
            timezone_id: "25".to_owned(),
            status: "ACTIVE".to_owned(),
            account_review_status: "APPROVED".to_owned(),
            ownership_type: "SELF".to_owned(),
            primary_funding_id: Some(format!("7{}", id.get(1..).unwrap_or_default())),
            created: Timestamp::UNIX_EPOCH,
            locked: false,
            add_restricted_until: None,
            subscriptions: BTreeMap::new(),
            late: Vec::new(),
            raw: BTreeMap::new(),
        }
    }

    /// The same, shared with another portfolio.
    #[must_use]
    pub fn shared_with(mut self, portfolio: &str) -> Self {
        self.shared_with.insert(portfolio.to_owned());
        self
    }

    /// Reviewed, and found fit for use.
    pub(super) fn is_approved(&self) -> bool {
        self.account_review_status == "APPROVED"
    }

    /// Out of use by policy: every write is refused.
    pub(super) fn is_disabled(&self) -> bool {
        matches!(self.status.as_str(), "DISABLED" | "INACTIVE")
    }
}

/// A Meta app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// Meta's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The secret that `appsecret_proof` is checked with.
    pub secret: Option<String>,
    /// Calls without a proof are refused.
    pub require_proof: bool,
    /// The app's own callback, if any.
    pub callback_url: Option<String>,
    /// The app has subscribed to the field `messages`, which an override needs.
    pub messages_field: bool,
    /// The other webhook fields that it has subscribed to.
    pub other_fields: BTreeSet<String>,
    /// Meta sends nothing to its callback.
    pub webhook_off: bool,
    /// Where it may only reach accounts of one portfolio: no advanced access.
    pub only_portfolio: Option<String>,
    /// Its share of the platform limit is 200 calls an hour for each.
    pub daily_active_users: usize,
    /// Fields that are not rolled out to it: a read that names one fails.
    pub refused_fields: BTreeSet<String>,
    /// Whether its business is a partner of Meta's, a Business Solution Provider. Meta shows the payment method of an
    /// account to partners alone; a read by any other app that names it fails with code 10 and does not say why.
    pub is_partner: bool,
}

impl App {
    /// An app without a secret that we know, subscribed to messages.
    pub fn new(id: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            secret: None,
            require_proof: false,
            callback_url: Some(format!("https://hooks.example.org/{id}")),
            messages_field: true,
            other_fields: BTreeSet::new(),
            webhook_off: false,
            only_portfolio: None,
            daily_active_users: 50,
            refused_fields: BTreeSet::new(),
            is_partner: false,
        }
    }

    /// The same, of a partner of Meta's.
    #[must_use]
    pub fn of_partner(mut self) -> Self {
        self.is_partner = true;
        self
    }

    /// The same with a secret.
    #[must_use]
    pub fn with_secret(mut self, secret: &str) -> Self {
        self.secret = Some(secret.to_owned());
        self
    }
}

/// An access token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Token {
    /// The app that it belongs to.
    pub app: String,
    /// The portfolio of its system user or person.
    pub portfolio: String,
    /// `SYSTEM_USER`, `USER`, `PAGE` or `APP`.
    pub kind: String,
    /// The id behind it.
    pub user_id: String,
    /// An employee reaches assigned accounts only, and may not list accounts.
    pub employee: bool,
    /// The accounts assigned to an employee.
    pub assigned: BTreeSet<String>,
    /// The granted permissions.
    pub scopes: BTreeSet<String>,
    /// Granted permissions that `debug_token` does not list.
    pub unlisted: BTreeSet<String>,
    /// It may not inspect itself: a plain 100.
    pub hides_itself: bool,
    /// The accounts that management is limited to; none means all.
    pub target_ids: Option<Vec<String>>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires; none means never.
    pub expires_at: Option<Timestamp>,
    /// When its access to data ends; none means never.
    pub data_access_expires_at: Option<Timestamp>,
    /// Set when it was revoked: the subcode of 190.
    pub dead: Option<i64>,
}

impl Token {
    /// A permanent token of an admin system user with every scope that we need.
    pub fn system_user(app: &str, portfolio: &str) -> Self {
        let scopes = [
            "business_management",
            "public_profile",
            "whatsapp_business_management",
            "whatsapp_business_messaging",
        ];
        Self {
            app: app.to_owned(),
            portfolio: portfolio.to_owned(),
            kind: "SYSTEM_USER".to_owned(),
            user_id: format!("4{}", portfolio.get(1..).unwrap_or_default()),
            employee: false,
            assigned: BTreeSet::new(),
            scopes: scopes.into_iter().map(str::to_owned).collect(),
            unlisted: BTreeSet::new(),
            hides_itself: false,
            target_ids: None,
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: None,
            data_access_expires_at: None,
            dead: None,
        }
    }

    /// The subcode of 190 if it may not be used any more.
    pub(super) fn dead_at(&self, now: Timestamp) -> Option<i64> {
        self.dead.or_else(|| self.expires_at.is_some_and(|at| at <= now).then_some(463))
    }
}
