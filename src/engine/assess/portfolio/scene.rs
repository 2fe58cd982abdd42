//! What the assessment of a portfolio is given, and how it sets a condition.

use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::{
    assess::{
        apply::{self, with_refusal},
        scene::Judged,
    },
    value::{
        condition::{Condition, ConditionSet, Truth},
        condition_type::ConditionType,
        desired::DesiredPortfolio,
        failure::{Failure, Refusal},
        id::Fact,
        limits::Limits,
        portfolio::{AppSubscription, BusinessFacts, PortfolioView, Reachable, TokenFacts},
        reason::Reason,
        secret::{SecretFact, Unread},
        status::WaitingFor,
    },
};

/// What a look at a portfolio found; nothing, before the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PortfolioObserved {
    pub access_token: SecretFact,
    pub app_secret: SecretFact,
    /// While one of the two cannot be read.
    pub unread: Option<Unread>,
    /// The version of the credential in use, if one was found to work in this process.
    pub in_use: Option<String>,
    /// The version that the Secrets hold now.
    pub offered: Option<String>,
    /// `debug_token` with the offered credential (the one in use, when both are the same).
    pub token: Fact<TokenFacts>,
    /// `debug_token` with the credential in use, while another is offered.
    pub token_in_use: Fact<TokenFacts>,
    /// A cheap read with the offered credential, made where `debug_token` leaves a doubt about it.
    pub proof: Fact<()>,
    /// With the credential that will be in use.
    pub business: Fact<BusinessFacts>,
    /// The last lists that were read to their end, or why there is none.
    pub owned: Fact<Arc<[Reachable]>>,
    pub client: Fact<Arc<[Reachable]>>,
    /// What newer lists have shown so far beyond them, while these are being read.
    pub seen: Vec<Reachable>,
    /// The app's own webhook, as `doctor` reads it; nothing, where it has none.
    pub app_webhook: Fact<Option<AppSubscription>>,
    pub throttled_until: Option<Timestamp>,
    /// Meta's words, while it keeps the token's app from calling.
    pub app_blocked: Option<Refusal>,
}

/// What an assessment of a portfolio is made from.
#[derive(Clone, Copy)]
pub struct PortfolioGiven<'a> {
    pub desired: &'a DesiredPortfolio,
    pub observed: &'a PortfolioObserved,
    /// The conditions and the waits that stand.
    pub before: &'a ConditionSet,
    pub waiting_before: &'a [WaitingFor],
    /// The last view of this process.
    pub view_before: Option<&'a PortfolioView>,
    pub limits: &'a Limits,
    pub now: Timestamp,
}

/// A judgement, with the error that it was made from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub judged: Judged,
    pub refusal: Option<Refusal>,
}

impl Verdict {
    pub(super) fn plain(judged: Judged) -> Self {
        Self { judged, refusal: None }
    }
}

impl PortfolioGiven<'_> {
    pub(super) fn never_judged(&self, kind: ConditionType) -> bool {
        self.before.get(kind).is_none_or(|c| c.status == Truth::Unknown)
    }

    pub(super) fn put(&self, set: &mut ConditionSet, kind: ConditionType, verdict: Verdict) {
        let (status, reason, message) = match verdict.judged {
            Judged::Absent => return set.remove(kind),
            Judged::True(reason, message) => (Truth::True, reason, message),
            Judged::False(reason, message) => (Truth::False, reason, message),
            Judged::Unknown(reason, message) => (Truth::Unknown, reason, message),
            Judged::Open(_) | Judged::Keep if set.get(kind).is_some() => return,
            Judged::Open(_) | Judged::Keep => {
                (Truth::Unknown, Reason::NotObservedYet, "not read from Meta yet".to_owned())
            }
        };
        let message = verdict.refusal.map_or(message.clone(), |r| with_refusal(&message, &r));
        self.place(set, kind, status, reason, message);
    }

    /// Sets a condition of the generation that was judged.
    pub(super) fn place(
        &self,
        set: &mut ConditionSet,
        kind: ConditionType,
        status: Truth,
        reason: Reason,
        message: String,
    ) {
        let observed_generation = self.desired.generation;
        let next = Condition { kind, status, reason, message, since: self.now, observed_generation };
        apply::place(set, self.before, next);
    }
}

pub(super) fn keep_known<T: Clone>(new: &Fact<T>, old: Option<&Fact<T>>) -> Fact<T> {
    match (new, old) {
        (Fact::Known(_), _) => new.clone(),
        (_, Some(old @ Fact::Known(_))) => old.clone(),
        (Fact::NotAsked, Some(old)) => old.clone(),
        _ => new.clone(),
    }
}

pub(super) fn failure<T>(fact: &Fact<T>) -> Option<&Failure> {
    match fact {
        Fact::Unknown(failure) => Some(failure),
        _ => None,
    }
}
