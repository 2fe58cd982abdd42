//! The portfolio: what its controller knows and hands to channels.

use jiff::Timestamp;

use super::{
    condition::{
        Condition, ConditionSet, ConditionType, Truth, WaitingFor, span, with_refusal, without_trace,
    },
    desired::{Access, DesiredPortfolio, SecretKey},
    failure::{Class, Failure, Refusal},
    id::{AccountId, AppId, BusinessId, Fact, MessagingLimit, TokenType, VerificationStatus},
    judge::{Judged, judge_business},
    limits::Limits,
    page,
    reason::{Reason, ReasonKind},
    secret::SecretFact,
    waiting as wait,
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
    /// Of a portfolio whose spec cannot be understood: nothing below it is looked at or written until it is
    /// corrected. `business` is what the spec says, which may be what is wrong.
    pub fn spec_invalid(namespace: &str, name: &str, business: &str, why: &str) -> Self {
        let message = format!("WhatsAppPortfolio {namespace}/{name}: {why}");
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            business: BusinessId::from(business),
            credential_version: None,
            hold: Some(Hold { reason: Reason::SpecInvalid, message, failure: None, url: None }),
            token: Fact::NotAsked,
            facts: Fact::NotAsked,
            reach: Reach::Unread,
            expect_country: None,
            access: Vec::new(),
            throttled_until: None,
        }
    }

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

/// What a look at a portfolio found; nothing, before the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PortfolioObserved {
    pub access_token: SecretFact,
    pub app_secret: SecretFact,
    /// The version of the credential in use, if one was found to work in this process.
    pub in_use: Option<String>,
    /// The version that the Secrets hold now.
    pub offered: Option<String>,
    /// `debug_token` with the offered credential (the one in use, when both are the same).
    pub token: Fact<TokenFacts>,
    /// `debug_token` with the credential in use, while another is offered.
    pub token_in_use: Fact<TokenFacts>,
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
///
/// What could not be read leaves its condition, and its part of the view, as it was.
pub fn assess_portfolio(
    desired: &DesiredPortfolio,
    observed: &PortfolioObserved,
    before: &ConditionSet,
    waiting_before: &[WaitingFor],
    view_before: Option<&PortfolioView>,
    limits: &Limits,
    now: Timestamp,
) -> PortfolioAssessment {
    let pass = Pass { desired, observed, before, view_before, limits, now };
    let credentials = pass.credentials();
    let business = pass.business();
    let reach = pass.reach();
    let identity = pass.identity(&business);
    let mut set = before.clone();
    pass.put(&mut set, ConditionType::CredentialsValid, credentials.verdict.clone());
    pass.put(&mut set, ConditionType::IdentityConfirmed, identity.clone());
    pass.put(&mut set, ConditionType::BusinessVerified, pass.verified(&business));
    let hold = pass.hold(&set, &credentials, &identity, &reach);
    pass.conclude(&mut set, hold.as_ref());
    let token = pass.token(&credentials);
    let mut waiting_for = pass.waits(&set, hold.as_ref(), &token);
    let mut since = waiting_before.iter().map(|w| (w.action.clone(), w.since)).collect();
    wait::settle_since(&mut waiting_for, &mut since, now);
    PortfolioAssessment {
        missing_scopes: token.known().map(missing_scopes).unwrap_or_default(),
        view: PortfolioView {
            namespace: desired.namespace.clone(),
            name: desired.name.clone(),
            business: desired.business.clone(),
            credential_version: credentials.version.clone(),
            hold,
            token,
            facts: business,
            reach,
            expect_country: desired.expect_country.clone(),
            access: desired.access.clone(),
            throttled_until: observed.throttled_until,
        },
        conditions: set,
        waiting_for,
        accept_offered: credentials.accept,
        next: pass.next(),
    }
}

/// What a token lacks of the three scopes, in a fixed order.
fn missing_scopes(token: &TokenFacts) -> Vec<String> {
    REQUIRED_SCOPES
        .iter()
        .chain(&[SCOPE_BUSINESS])
        .filter(|scope| !token.scopes.iter().any(|s| s == **scope))
        .map(|scope| (*scope).to_owned())
        .collect()
}

/// What was found out about one set of credentials.
#[derive(Clone, Debug, PartialEq)]
enum Trial {
    /// Nothing was found out.
    Unknown,
    Works {
        expires: Option<Timestamp>,
    },
    Fails {
        reason: Reason,
        message: String,
        refusal: Option<Refusal>,
    },
}

/// The judgement of the credentials.
struct Credentials<'a> {
    verdict: Verdict,
    /// The version in use from now on.
    version: Option<String>,
    /// Whether the offered version is taken up.
    accept: bool,
    /// What `debug_token` said about the version that the verdict is about.
    token: &'a Fact<TokenFacts>,
}

#[derive(Clone, Debug, PartialEq)]
struct Verdict {
    judged: Judged,
    refusal: Option<Refusal>,
}

impl Verdict {
    fn plain(judged: Judged) -> Self {
        Self { judged, refusal: None }
    }
}

struct Pass<'a> {
    desired: &'a DesiredPortfolio,
    observed: &'a PortfolioObserved,
    before: &'a ConditionSet,
    view_before: Option<&'a PortfolioView>,
    limits: &'a Limits,
    now: Timestamp,
}

impl<'a> Pass<'a> {
    /// A new version is checked before it is used, and the old one serves until then. Answers to another version
    /// say nothing about the one in use.
    fn credentials(&self) -> Credentials<'a> {
        let observed = self.observed;
        match self.trial() {
            Trial::Works { expires } => Credentials {
                verdict: self.works(expires),
                version: observed.offered.clone(),
                accept: true,
                token: &observed.token,
            },
            trial if self.is_rotating() => self.rotation(trial),
            Trial::Unknown => Credentials {
                verdict: Verdict::plain(self.not_tried()),
                version: observed.in_use.clone().filter(|_| !self.is_dead()),
                accept: false,
                token: &observed.token,
            },
            Trial::Fails { reason, message, refusal } => Credentials {
                verdict: Verdict { judged: Judged::False(reason, message), refusal },
                version: None,
                accept: false,
                token: &observed.token,
            },
        }
    }

    /// Whether another version than the one in use is offered.
    fn is_rotating(&self) -> bool {
        self.observed.in_use.is_some() && self.observed.offered != self.observed.in_use
    }

    /// The offered version is not taken up: the one in use serves on for as long as it works itself. Where neither
    /// works, the one that is offered is what somebody has to mend.
    fn rotation(&self, offered: Trial) -> Credentials<'a> {
        let observed = self.observed;
        let serving = self.serving();
        let is_dead = match serving {
            Trial::Works { .. } => false,
            Trial::Fails { .. } => true,
            Trial::Unknown => self.is_dead(),
        };
        let (judged, refusal) = match (offered, serving) {
            (Trial::Fails { message, refusal, .. }, _) if !is_dead => {
                let text = format!(
                    "the new credentials do not work: {message}; the old ones are still used, until the operator restarts"
                );
                (Judged::True(Reason::NewTokenRejected, text), refusal)
            }
            (Trial::Fails { reason, message, refusal }, _)
            | (_, Trial::Fails { reason, message, refusal }) => (Judged::False(reason, message), refusal),
            _ if !is_dead && self.before.is(ConditionType::CredentialsValid, Truth::False) => {
                (accepted(), None)
            }
            _ => (Judged::Keep, None),
        };
        Credentials {
            verdict: Verdict { judged, refusal },
            version: observed.in_use.clone().filter(|_| !is_dead),
            accept: false,
            token: if is_dead { &observed.token } else { &observed.token_in_use },
        }
    }

    /// What was found out about the version in use while another is offered.
    fn serving(&self) -> Trial {
        match &self.observed.token_in_use {
            Fact::Known(token) => self.try_token(token),
            Fact::Unknown(failure) => self.try_failure(failure),
            Fact::NotAsked => self.try_reads(),
        }
    }

    /// Nothing new is known; only a rejected version that was taken back is no longer told of.
    fn not_tried(&self) -> Judged {
        let told = self.before.get(ConditionType::CredentialsValid);
        let is_outdated =
            told.is_some_and(|c| c.reason == Reason::NewTokenRejected || c.status == Truth::False);
        if self.observed.in_use.is_some() && is_outdated && !self.is_dead() {
            return accepted();
        }
        Judged::Keep
    }

    /// Whether this process found that the credentials in use do not work any more. What status shows may be
    /// older than what this process found, when it could not be written.
    fn is_dead(&self) -> bool {
        self.view_before.is_some_and(|view| view.credential_version.is_none())
            && self.before.is(ConditionType::CredentialsValid, Truth::False)
    }

    fn works(&self, expires: Option<Timestamp>) -> Verdict {
        let judged = match expires {
            Some(at) if at.duration_since(self.now) < span(self.limits.token_warning) => Judged::True(
                Reason::TokenExpiresSoon,
                format!("the token works until {at}; put a new one into the Secret"),
            ),
            _ => accepted(),
        };
        Verdict::plain(judged)
    }

    fn trial(&self) -> Trial {
        if let Some(trial) = self.secrets() {
            return trial;
        }
        match &self.observed.token {
            Fact::Known(token) => self.try_token(token),
            Fact::Unknown(failure) => self.try_failure(failure),
            // Reads are made with the version in use.
            Fact::NotAsked if self.is_rotating() => Trial::Unknown,
            Fact::NotAsked => self.try_reads(),
        }
    }

    /// What the Secrets themselves already tell.
    fn secrets(&self) -> Option<Trial> {
        let token =
            secret_trial(&self.observed.access_token, &self.desired.access_token, Reason::TokenInvalid);
        token.or_else(|| {
            let wanted = self.desired.app_secret.as_ref()?;
            secret_trial(&self.observed.app_secret, wanted, Reason::AppSecretWrong)
        })
    }

    fn try_token(&self, token: &TokenFacts) -> Trial {
        if let Some(expired) = token.expires_at.filter(|at| *at <= self.now) {
            return fails(
                Reason::TokenExpired,
                format!("the token expired at {expired}; {NEW_TOKEN}"),
                token.error.clone(),
            );
        }
        if !token.is_valid {
            return invalid(token.error.clone());
        }
        if let Some(trial) = self.try_kind(token) {
            return trial;
        }
        if let (Some(wanted), Some(app)) = (&self.desired.app, &token.app)
            && wanted != app
        {
            return fails(
                Reason::AppSecretWrong,
                format!(
                    "the token belongs to app {app}, and spec.credentials.appId says {wanted}; correct appId, or take a token of that app"
                ),
                None,
            );
        }
        let missing: Vec<&str> =
            REQUIRED_SCOPES.iter().filter(|s| !token.scopes.iter().any(|t| t == *s)).copied().collect();
        if !missing.is_empty() {
            let text = format!(
                "the token lacks {}; generate one with these scopes and put it into the Secret",
                missing.join(" and ")
            );
            return fails(Reason::ScopesMissing, text, None);
        }
        Trial::Works { expires: earliest(token) }
    }

    /// A system user's token is the normal one; a person's that soon expires would work today and fail tomorrow.
    fn try_kind(&self, token: &TokenFacts) -> Option<Trial> {
        let text = match token.kind {
            TokenType::SystemUser | TokenType::Other(_) => return None,
            TokenType::User => {
                let soon = earliest(token)
                    .is_some_and(|at| at.duration_since(self.now) < span(self.limits.token_warning));
                if !soon {
                    return None;
                }
                "it is a person's token and expires within days"
            }
            TokenType::Page => "it is a page's token",
            TokenType::App => "it is an app's token",
        };
        Some(fails(
            Reason::TokenTypeNotUsable,
            format!("{text}; generate one for a system user of the portfolio"),
            None,
        ))
    }

    fn try_failure(&self, failure: &Failure) -> Trial {
        match failure.refusal() {
            Some(refusal) => self.about_credentials(refusal).unwrap_or(Trial::Unknown),
            None => Trial::Unknown,
        }
    }

    /// Without `debug_token`, a read with the credential in use may still say that it is dead.
    fn try_reads(&self) -> Trial {
        let failures =
            [failure(&self.observed.business), failure(&self.observed.owned), failure(&self.observed.client)];
        let refusals = failures.into_iter().flatten().filter_map(Failure::refusal);
        refusals.into_iter().find_map(|refusal| self.about_credentials(refusal)).unwrap_or(Trial::Unknown)
    }

    /// The codes that speak of the credentials; a permission error on one object does not.
    fn about_credentials(&self, refusal: &Refusal) -> Option<Trial> {
        if !refusal.is_about_credentials() {
            return None;
        }
        let signed = self.desired.app_secret.is_some();
        let text = match refusal.code {
            104 if signed => {
                format!("Meta does not accept the signature made with the app secret; {APP_SECRET}")
            }
            100 if signed => format!("the app secret is not the one of the token's app; {APP_SECRET}"),
            100 => "the token's app demands that calls are signed; put its app secret, from the app's basic settings, into a Secret and name it in spec.credentials.appSecretRef".into(),
            _ => return Some(invalid(Some(refusal.clone()))),
        };
        Some(fails(Reason::AppSecretWrong, text, Some(refusal.clone())))
    }

    /// The facts that stand: what was read now, else what was read before.
    fn business(&self) -> Fact<BusinessFacts> {
        if self.wrong_business(&self.observed.business).is_some() {
            return self.observed.business.clone();
        }
        keep_known(&self.observed.business, self.view_before.map(|v| &v.facts))
    }

    fn token(&self, credentials: &Credentials<'_>) -> Fact<TokenFacts> {
        keep_known(credentials.token, self.view_before.map(|v| &v.token))
    }

    /// The accounts in reach: listed, else learnt from the token's targets, else unknown.
    fn reach(&self) -> Reach {
        let old = self.view_before.map(|v| v.reach.clone()).unwrap_or_default();
        let listed = |fact| match listed(fact) {
            // What nobody knows takes no account out of a reach that was read.
            Listed::Refused if old == Reach::Unread => Listed::No,
            listed => listed,
        };
        match (listed(&self.observed.owned), listed(&self.observed.client)) {
            (Listed::Yes(owned), Listed::Yes(client)) => Reach::Accounts(union(owned, client)),
            // Every owned account is listed, so the other targets are shared ones.
            (Listed::Yes(list), Listed::No) => {
                let targets = self.targets().unwrap_or_default().into_iter();
                let shared: Vec<_> =
                    targets.map(|target| Reachable { owned: Some(false), ..target }).collect();
                Reach::Accounts(union(list, &shared))
            }
            (Listed::No, Listed::Yes(list)) => {
                self.targets().map_or(Reach::Unknown, |targets| Reach::Accounts(union(list, &targets)))
            }
            (Listed::No, Listed::No) => self.targets().map_or(Reach::Unknown, Reach::Accounts),
            _ => old,
        }
    }

    fn targets(&self) -> Option<Vec<Reachable>> {
        let token = self.observed.token.known().or_else(|| self.view_before.and_then(|v| v.token.known()))?;
        let mut ids = token.targets.clone()?;
        ids.sort();
        Some(ids.into_iter().map(|id| Reachable { id, name: None, owned: None }).collect())
    }

    fn identity(&self, business: &Fact<BusinessFacts>) -> Verdict {
        if let Some(refusal) = self.wrong_business(business) {
            return Verdict {
                judged: Judged::False(Reason::WrongBusiness, self.wrong_id()),
                refusal: Some(refusal.clone()),
            };
        }
        let Some(expected) = &self.desired.expect_name else {
            return Verdict::plain(Judged::True(Reason::IdentityNotCheckable, "no name is expected".into()));
        };
        let link = page::business_info(Some(&self.desired.business));
        Verdict::plain(match business {
            Fact::NotAsked => Judged::Keep,
            Fact::Unknown(failure)
                if is_answer(failure) && self.never_judged(ConditionType::IdentityConfirmed) =>
            {
                Judged::Unknown(
                    Reason::IdentityNotCheckable,
                    format!("the token may not read the portfolio's name; look at {link}"),
                )
            }
            Fact::Unknown(_) => Judged::Keep,
            Fact::Known(facts) => match &facts.name {
                None if !self.never_judged(ConditionType::IdentityConfirmed) => Judged::Keep,
                None => Judged::Unknown(
                    Reason::IdentityNotCheckable,
                    format!("Meta does not show the portfolio's name; look at {link}"),
                ),
                Some(name) if same_name(name, expected) => Judged::True(
                    Reason::IdentityMatches,
                    format!(
                        "the portfolio is \"{name}\"; web site and legal address cannot be read, see {link}"
                    ),
                ),
                Some(name) => Judged::False(
                    Reason::IdentityMismatch,
                    format!(
                        "the portfolio is \"{name}\", and expect.name says \"{expected}\"; nothing is written below it; check businessId and the token, or correct expect"
                    ),
                ),
            },
        })
    }

    /// 100/33: the id is not one of a portfolio that the token sees. A plain 100 from the node and from its list of
    /// accounts: it is the id of something that has neither.
    fn wrong_business<'b>(&self, business: &'b Fact<BusinessFacts>) -> Option<&'b Refusal> {
        let refusal = failure(business).and_then(Failure::refusal)?;
        let told = self.before.get(ConditionType::IdentityConfirmed);
        let lists_nothing = match &self.observed.owned {
            Fact::NotAsked => told.is_some_and(|c| c.reason == Reason::WrongBusiness),
            Fact::Unknown(Failure::Refused(list)) => matches!(list.code, 33 | 100 | 803),
            Fact::Unknown(_) | Fact::Known(_) => false,
        };
        let is_wrong = refusal.is(100, Some(33))
            || matches!(refusal.code, 33 | 803)
            || (refusal.is(100, None) && lists_nothing);
        is_wrong.then_some(refusal)
    }

    fn wrong_id(&self) -> String {
        let id = &self.desired.business;
        let is_account = self.targets().is_some_and(|t| t.iter().any(|a| a.id.as_str() == id.as_str()));
        if is_account {
            return format!(
                "businessId {id} is the id of a WhatsApp Business Account, not of a portfolio; copy the portfolio's id from Business settings, Business info"
            );
        }
        if id.as_str().starts_with('+') {
            return format!(
                "businessId {id} is a phone number, not the id of a portfolio; copy the portfolio's id from Business settings, Business info"
            );
        }
        format!(
            "Meta shows no portfolio {id} to this token: it is not a portfolio's id (perhaps that of an account or a phone number), or the token's user has no access to it; copy the portfolio's id from Business settings, Business info"
        )
    }

    fn verified(&self, business: &Fact<BusinessFacts>) -> Verdict {
        Verdict::plain(match business {
            Fact::Known(facts) => facts.verification.as_ref().map_or(Judged::Keep, judge_business),
            Fact::Unknown(failure)
                if is_answer(failure) && self.never_judged(ConditionType::BusinessVerified) =>
            {
                Judged::Unknown(
                    Reason::BusinessNotReadable,
                    format!("the token may not read the portfolio; give it {SCOPE_BUSINESS}"),
                )
            }
            _ => Judged::Keep,
        })
    }

    fn never_judged(&self, kind: ConditionType) -> bool {
        self.before.get(kind).is_none_or(|c| c.status == Truth::Unknown)
    }

    fn put(&self, set: &mut ConditionSet, kind: ConditionType, verdict: Verdict) {
        let (status, reason, message) = match verdict.judged {
            Judged::Absent => return set.remove(kind),
            Judged::True(reason, message) => (Truth::True, reason, message),
            Judged::False(reason, message) => (Truth::False, reason, message),
            Judged::Unknown(reason, message) => (Truth::Unknown, reason, message),
            Judged::Open(_) | Judged::Keep if set.get(kind).is_some() => return,
            Judged::Open(_) | Judged::Keep => {
                (Truth::Unknown, Reason::NotObservedYet, "not looked at yet".to_owned())
            }
        };
        let message = verdict.refusal.map_or(message.clone(), |r| with_refusal(&message, &r));
        self.place(set, kind, status, reason, message);
    }

    /// Sets a condition; where only the trace id of an error differs, the first one seen stays.
    fn place(
        &self,
        set: &mut ConditionSet,
        kind: ConditionType,
        status: Truth,
        reason: Reason,
        message: String,
    ) {
        let old = self
            .before
            .get(kind)
            .filter(|c| c.reason == reason && without_trace(&c.message) == without_trace(&message));
        let message = old.map_or(message, |c| c.message.clone());
        let since = self.before.get(kind).filter(|c| c.status == status).map_or(self.now, |c| c.since);
        set.set(Condition {
            kind,
            status,
            reason,
            message,
            since,
            observed_generation: self.desired.generation,
        });
    }

    /// Why channels may not act: dead credentials, the wrong portfolio, or no account to act in.
    fn hold(
        &self,
        set: &ConditionSet,
        credentials: &Credentials<'_>,
        identity: &Verdict,
        reach: &Reach,
    ) -> Option<Hold> {
        let of = |kind| set.get(kind).filter(|c| c.status == Truth::False);
        if let Some(bad) = of(ConditionType::CredentialsValid) {
            return Some(self.hold_of(bad, credentials.verdict.refusal.clone()));
        }
        if let Some(bad) = of(ConditionType::IdentityConfirmed) {
            return Some(self.hold_of(bad, identity.refusal.clone()));
        }
        if credentials.version.is_none() {
            return Some(Hold {
                reason: Reason::PortfolioNotReadYet,
                message: self.not_checked(),
                failure: None,
                url: None,
            });
        }
        match reach {
            Reach::Accounts(list) if list.is_empty() => Some(Hold {
                reason: Reason::NoAccountInReach,
                message: "the token reaches no WhatsApp Business Account of the portfolio; create one, or assign one to the system user".into(),
                failure: None,
                url: Some(page::accounts(Some(&self.desired.business))),
            }),
            _ => None,
        }
    }

    /// Why nothing is known about the credentials yet.
    fn not_checked(&self) -> String {
        let why = match &self.observed.token {
            Fact::Unknown(Failure::NotSent(why) | Failure::NoAnswer(why)) => why.clone(),
            Fact::Unknown(Failure::Refused(refusal)) => with_refusal("Meta's words", refusal),
            Fact::Unknown(Failure::Throttled(_)) | Fact::NotAsked | Fact::Known(_) => {
                return "the credentials have not been checked yet".into();
            }
        };
        format!(
            "Meta gave no usable answer about the credentials ({why}); see whether the cluster reaches graph.facebook.com; it is asked again by itself"
        )
    }

    fn hold_of(&self, condition: &Condition, refusal: Option<Refusal>) -> Hold {
        let wait =
            wait::default_wait(condition.reason, Some(&self.desired.business), &self.desired.name, self.now);
        let told = self.view_before.and_then(|view| view.hold.as_ref());
        let told = told.filter(|hold| hold.reason == condition.reason && hold.message == condition.message);
        let refusal = refusal.or_else(|| told?.failure.as_ref()?.refusal().cloned());
        Hold {
            reason: condition.reason,
            message: condition.message.clone(),
            failure: refusal.map(Failure::Refused),
            url: wait.and_then(|w| w.url),
        }
    }

    fn conclude(&self, set: &mut ConditionSet, hold: Option<&Hold>) {
        set.remove(ConditionType::Reconciling);
        set.remove(ConditionType::Stalled);
        match hold {
            None => self.place(
                set,
                ConditionType::Ready,
                Truth::True,
                Reason::Usable,
                "channels can use the portfolio".into(),
            ),
            Some(hold) if hold.reason == Reason::PortfolioNotReadYet => self.not_read_yet(set, hold),
            Some(hold) => {
                self.place(set, ConditionType::Ready, Truth::False, hold.reason, hold.message.clone());
                if hold.reason.kind() == ReasonKind::Stalled {
                    self.place(set, ConditionType::Stalled, Truth::True, hold.reason, hold.message.clone());
                }
            }
        }
    }

    /// Nothing is known in this process yet: what stood before still stands.
    fn not_read_yet(&self, set: &mut ConditionSet, hold: &Hold) {
        let stands = set.get(ConditionType::Ready);
        if stands.is_none_or(|ready| ready.status == Truth::Unknown) {
            self.place(
                set,
                ConditionType::Ready,
                Truth::Unknown,
                Reason::PortfolioNotReadYet,
                hold.message.clone(),
            );
        }
        if !set.is(ConditionType::Ready, Truth::True) {
            self.place(
                set,
                ConditionType::Reconciling,
                Truth::True,
                Reason::PortfolioNotReadYet,
                hold.message.clone(),
            );
        }
    }

    fn waits(&self, set: &ConditionSet, hold: Option<&Hold>, token: &Fact<TokenFacts>) -> Vec<WaitingFor> {
        let default =
            |reason| wait::default_wait(reason, Some(&self.desired.business), &self.desired.name, self.now);
        let held = hold.and_then(|h| {
            default(h.reason).map(|w| WaitingFor { url: h.url.clone().or(w.url.clone()), ..w })
        });
        let credentials = set.get(ConditionType::CredentialsValid);
        let warned =
            credentials.filter(|c| c.status == Truth::True).and_then(|c| self.replace_token(c.reason, token));
        held.into_iter().chain(warned).collect()
    }

    /// A token that works, and will not for ever.
    fn replace_token(&self, reason: Reason, token: &Fact<TokenFacts>) -> Option<WaitingFor> {
        let if_ignored = match reason {
            Reason::NewTokenRejected => "after a restart of the operator no credentials work",
            Reason::TokenExpiresSoon => {
                "when the token expires, nothing below the portfolio is looked at or written"
            }
            _ => return None,
        };
        let expected_by = match reason {
            Reason::TokenExpiresSoon => token.known().and_then(earliest),
            _ => None,
        };
        Some(WaitingFor {
            actor: super::wait::Actor::PortfolioAdmin,
            action: "ReplaceToken".into(),
            since: self.now,
            expected_by,
            url: Some(page::system_users(Some(&self.desired.business))),
            if_ignored: Some(if_ignored.into()),
        })
    }

    /// Secrets are read again every minute; everything else is asked for by its own age.
    fn next(&self) -> Timestamp {
        self.now.checked_add(span(self.limits.credential_poll)).unwrap_or(self.now)
    }
}

fn keep_known<T: Clone>(new: &Fact<T>, old: Option<&Fact<T>>) -> Fact<T> {
    match (new, old) {
        (Fact::Known(_), _) => new.clone(),
        (_, Some(old @ Fact::Known(_))) => old.clone(),
        (Fact::NotAsked, Some(old)) => old.clone(),
        _ => new.clone(),
    }
}

fn failure<T>(fact: &Fact<T>) -> Option<&Failure> {
    match fact {
        Fact::Unknown(failure) => Some(failure),
        _ => None,
    }
}

fn fails(reason: Reason, message: String, refusal: Option<Refusal>) -> Trial {
    Trial::Fails { reason, message, refusal }
}

fn accepted() -> Judged {
    Judged::True(Reason::TokenAccepted, "Meta accepts the token".into())
}

/// What a Secret tells by itself; `malformed` is what a text is called that cannot be what it should be.
fn secret_trial(secret: &SecretFact, at: &SecretKey, malformed: Reason) -> Option<Trial> {
    let SecretKey { name, key } = at;
    match secret {
        SecretFact::Missing => Some(fails(
            Reason::SecretMissing,
            format!("there is no Secret {name}; create it, with the key {key}"),
            None,
        )),
        SecretFact::KeyMissing { .. } => Some(fails(
            Reason::SecretKeyMissing,
            format!("Secret {name} has no text under the key {key}; put it there"),
            None,
        )),
        SecretFact::Forbidden => {
            let text =
                format!("the operator may not read Secret {name}; allow its service account to get it");
            Some(fails(Reason::SecretForbidden, text, None))
        }
        SecretFact::Unreadable(_) => Some(Trial::Unknown),
        SecretFact::Present { well_formed: false, .. } => {
            let text = format!(
                "the text under the key {key} of Secret {name} holds characters that Meta never uses there, such as spaces, line breaks in the middle or curly quotes; copy it from Meta again, and write it without anything around it"
            );
            Some(fails(malformed, text, None))
        }
        SecretFact::NotAsked | SecretFact::Unlabelled | SecretFact::Present { .. } => None,
    }
}

/// What helps against a token that does not work.
const NEW_TOKEN: &str = "generate one for the system user and put it into the Secret";
/// What helps against a wrong signature.
const APP_SECRET: &str = "copy it from the app's basic settings into the Secret, or leave appSecretRef out if the app does not demand it";

fn invalid(error: Option<Refusal>) -> Trial {
    let (reason, text) = match error.as_ref().and_then(|e| e.subcode) {
        Some(463) => (Reason::TokenExpired, "the token has expired"),
        Some(458) => (Reason::TokenInvalid, "the app is no longer allowed to act for the token's user"),
        Some(459 | 464) => (Reason::TokenInvalid, "the token's user has to log in to Meta first"),
        Some(460) => (Reason::TokenInvalid, "the password of the token's user was changed"),
        _ => (Reason::TokenInvalid, "Meta does not accept the token"),
    };
    fails(reason, format!("{text}; {NEW_TOKEN}"), error)
}

/// The earlier of the two ends of a token.
fn earliest(token: &TokenFacts) -> Option<Timestamp> {
    [token.expires_at, token.data_access_expires_at].into_iter().flatten().min()
}

fn is_answer(failure: &Failure) -> bool {
    failure
        .refusal()
        .is_some_and(|r| !matches!(r.class, Class::Retry | Class::WaitUntil) && !r.is_about_credentials())
}

fn same_name(a: &str, b: &str) -> bool {
    let normal = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    normal(a) == normal(b)
}

/// An edge that lists accounts.
enum Listed<'a> {
    Yes(&'a [Reachable]),
    /// The token may not list: a fact, not a failure.
    No,
    /// Refused, and not for a permission.
    Refused,
    /// Not read now.
    Unread,
}

fn listed(fact: &Fact<Vec<Reachable>>) -> Listed<'_> {
    match fact {
        Fact::Known(list) => Listed::Yes(list),
        Fact::Unknown(failure) if is_answer(failure) => {
            let is_permission = failure.refusal().is_some_and(|r| matches!(r.code, 3 | 10 | 200..=299));
            if is_permission { Listed::No } else { Listed::Refused }
        }
        _ => Listed::Unread,
    }
}

fn union(a: &[Reachable], b: &[Reachable]) -> Vec<Reachable> {
    let mut all: Vec<Reachable> = a.to_vec();
    all.extend(b.iter().filter(|x| !a.iter().any(|y| y.id == x.id)).cloned());
    all.sort_by(|x, y| x.id.cmp(&y.id));
    all
}

#[cfg(test)]
mod tests;
