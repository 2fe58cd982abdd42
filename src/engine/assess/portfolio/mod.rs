//! Assessment of a portfolio: its conditions, and the view of it that is handed to channels.

mod app;
mod credentials;
mod identity;
mod reach;
mod scene;

use jiff::Timestamp;

pub use self::{
    app::{AppObserved, MOST_ADOPTED, Standing, assess_app, standing},
    credentials::needs_proof,
    scene::{PortfolioGiven, PortfolioObserved},
};
use crate::engine::{
    assess::{
        apply::with_refusal,
        portfolio::{credentials::Credentials, scene::Verdict},
        waiting::settle_since,
    },
    rule::{say, waiting::of_reason},
    value::{
        condition::{Condition, ConditionSet, Truth},
        condition_type::ConditionType,
        failure::{Failure, Refusal},
        id::Fact,
        portfolio::{Hold, PortfolioView, REQUIRED_SCOPES, Reach, SCOPE_BUSINESS, TokenFacts},
        reason::{Reason, ReasonKind},
        status::WaitingFor,
        time::later,
    },
};

/// What it means.
#[derive(Clone, Debug, PartialEq)]
pub struct PortfolioAssessment {
    /// Ready, CredentialsValid, IdentityConfirmed, BusinessVerified, and Reconciling or Stalled when True.
    pub conditions: ConditionSet,
    pub waiting_for: Vec<WaitingFor>,
    pub view: PortfolioView,
    /// Whether the offered credential is to be used from now on.
    pub accept_offered: bool,
    pub missing_scopes: Vec<String>,
    pub next: Timestamp,
}

/// Judges a portfolio.
///
/// What could not be read leaves its condition, and its part of the view, as it was.
///
/// ```
/// use whatsapp_operator::api::{lower, v1alpha1::WhatsAppPortfolio};
/// use whatsapp_operator::engine::assess::portfolio::{PortfolioGiven, PortfolioObserved, assess_portfolio};
/// use whatsapp_operator::engine::{condition::{ConditionSet, Truth}, condition_type::ConditionType};
/// use whatsapp_operator::engine::limits::Limits;
/// let object: WhatsAppPortfolio = serde_json::from_value(serde_json::json!({
///     "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppPortfolio",
///     "metadata": {"name": "acme", "namespace": "meta", "generation": 1},
///     "spec": {
///         "businessId": "500000000000001",
///         "credentials": {"accessTokenSecretRef": {"name": "acme-meta", "key": "token"}},
///     },
/// }))?;
/// let desired = lower::portfolio(&object).expect("a valid spec");
/// let assessed = assess_portfolio(&PortfolioGiven {
///     desired: &desired,
///     observed: &PortfolioObserved::default(),
///     before: &ConditionSet::default(),
///     waiting_before: &[],
///     view_before: None,
///     limits: &Limits::default(),
///     now: "2026-03-01T12:00:00Z".parse()?,
/// });
/// // Nothing was read yet: unknown, and not false.
/// let ready = assessed.conditions.get(ConditionType::Ready).expect("it is always there");
/// assert_eq!(ready.status, Truth::Unknown);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn assess_portfolio(given: &PortfolioGiven<'_>) -> PortfolioAssessment {
    let PortfolioGiven { desired, observed, now, .. } = *given;
    let credentials = given.credentials();
    let business = given.business();
    let reach = given.reach();
    let identity = given.identity(&business);
    let mut set = given.before.clone();
    given.put(&mut set, ConditionType::CredentialsValid, credentials.verdict.clone());
    given.put(&mut set, ConditionType::IdentityConfirmed, identity.clone());
    given.put(&mut set, ConditionType::BusinessVerified, given.verified(&business));
    let hold = given.hold(&set, &credentials, &identity, &reach);
    given.conclude(&mut set, hold.as_ref());
    let token = given.token(&credentials);
    let mut waiting_for = given.waits(&set, hold.as_ref(), &token);
    let mut since = given.waiting_before.iter().map(|w| (w.action.clone(), w.since)).collect();
    settle_since(&mut waiting_for, &mut since, now);
    let limits = given.limits;
    let is_ready = set.is(ConditionType::Ready, Truth::True);
    let poll = if is_ready { limits.credential_poll_ready } else { limits.credential_poll };
    PortfolioAssessment {
        missing_scopes: token.known().map(missing_scopes).unwrap_or_default(),
        view: PortfolioView {
            namespace: desired.namespace.clone(),
            name: desired.name.clone(),
            business: desired.business.clone(),
            credential_version: credentials.version.clone(),
            hold,
            lost: lost(&set),
            app: token.known().and_then(|token| token.app.clone()).or_else(|| desired.app.clone()),
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
        // That is when Secrets are read again; everything else is asked for by its own age.
        next: later(now, poll),
    }
}

/// Since when the credentials do not work, or show another business. A Secret that the operator may not read counts only
/// once nothing else is in use: until then the credentials in use are what is judged.
fn lost(set: &ConditionSet) -> Option<Timestamp> {
    let credentials = set.get(ConditionType::CredentialsValid);
    let business = set.get(ConditionType::IdentityConfirmed).filter(|c| c.reason == Reason::WrongBusiness);
    [credentials, business]
        .into_iter()
        .flatten()
        .filter(|c| c.status == Truth::False)
        .map(|condition| condition.since)
        .min()
}

/// What a token lacks of the three scopes, in a fixed order.
fn missing_scopes(token: &TokenFacts) -> Vec<String> {
    let mut missing = token.lacks(&REQUIRED_SCOPES);
    missing.extend(token.lacks(&[SCOPE_BUSINESS]));
    missing.into_iter().map(str::to_owned).collect()
}

impl PortfolioGiven<'_> {
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
        if let Some(refusal) = &self.observed.app_blocked {
            return Some(say::app_blocked(refusal));
        }
        if credentials.version.is_none() {
            return Some(Hold {
                reason: Reason::PortfolioNotReadYet,
                message: self.not_checked(),
                failure: None,
            });
        }
        match reach {
            Reach::Accounts(list) if list.is_empty() => Some(Hold {
                reason: Reason::NoAccountInReach,
                message: format!(
                    "the token reaches no WhatsApp Business Account of the portfolio; assign one to the system user, or {}",
                    say::create_account(self.desired.expect_country.as_deref())
                ),
                failure: None,
            }),
            _ => None,
        }
    }

    /// Why nothing is known about the credentials yet.
    fn not_checked(&self) -> String {
        let why = match &self.observed.token {
            Fact::Unknown(Failure::NotSent(why) | Failure::NoAnswer(why) | Failure::TooLarge(why)) => {
                why.clone()
            }
            Fact::Unknown(Failure::Refused(refusal)) => with_refusal("Meta's words", refusal),
            Fact::Unknown(Failure::Throttled(_) | Failure::NoRoom(_)) | Fact::NotAsked | Fact::Known(_) => {
                return "the credentials have not been checked yet".into();
            }
        };
        format!(
            "Meta gave no usable answer about the credentials ({why}); see whether the cluster reaches graph.facebook.com; it is asked again by itself"
        )
    }

    fn asked(&self, reason: Reason) -> Option<WaitingFor> {
        of_reason(reason, Some(&self.desired.business), self.now)
    }

    fn hold_of(&self, condition: &Condition, refusal: Option<Refusal>) -> Hold {
        let told = self.view_before.and_then(|view| view.hold.as_ref());
        let told = told.filter(|hold| hold.reason == condition.reason && hold.message == condition.message);
        let refusal = refusal.or_else(|| told?.failure.as_ref()?.refusal().cloned());
        Hold {
            reason: condition.reason,
            message: condition.message.clone(),
            failure: refusal.map(Failure::Refused),
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

    /// Nothing is known in this process yet, so everything stays as it was.
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
        let held = hold.and_then(|hold| self.asked(hold.reason));
        let credentials = set.get(ConditionType::CredentialsValid);
        let warned =
            credentials.filter(|c| c.status == Truth::True).and_then(|c| self.replace_token(c.reason, token));
        held.into_iter().chain(warned).collect()
    }

    /// A token that works now and expires soon.
    fn replace_token(&self, reason: Reason, token: &Fact<TokenFacts>) -> Option<WaitingFor> {
        let if_ignored = match reason {
            Reason::NewTokenRejected => "after a restart of the operator no credentials work",
            Reason::TokenExpiresSoon => {
                "when the token expires, nothing below the portfolio is read or written"
            }
            _ => return None,
        };
        let expected_by = match reason {
            Reason::TokenExpiresSoon => token.known().and_then(TokenFacts::end),
            _ => None,
        };
        let asked = self.asked(reason)?;
        Some(WaitingFor { expected_by, if_ignored: Some(if_ignored.into()), ..asked })
    }
}

#[cfg(test)]
mod tests;
