//! What a plan wanted to read and could not: without it the plan is not whole, and nobody may take it for "nothing to
//! change". An answer of Meta's about the thing itself (no permission, no such object) is something that was read.

use schemars::JsonSchema;
use serde::Serialize;

use crate::engine::{
    assess::portfolio::{PortfolioAssessment, PortfolioObserved},
    condition::ConditionSet,
    condition_type::ConditionType,
    desired::Desired,
    id::Fact,
    observed::{ListState, Observed},
    secret::SecretFact,
};

/// Something that was not read, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unread {
    /// What it is.
    pub what: String,
    /// Why it was not read.
    pub why: String,
}

impl Unread {
    /// A thing by its name.
    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into() }
    }
}

/// Of a portfolio. Credentials that do not work leave everything below it unread.
pub fn portfolio(name: &str, observed: &PortfolioObserved, assessment: &PortfolioAssessment) -> Vec<Unread> {
    if !assessment.accept_offered {
        let secrets = [&observed.access_token, &observed.app_secret];
        let unreadable = secrets.into_iter().find_map(|secret| match secret {
            SecretFact::Unreadable(why) => Some(why.clone()),
            _ => None,
        });
        let why = unreadable.unwrap_or_else(|| not_accepted(assessment, &assessment.conditions));
        return vec![Unread::new(format!("the credentials of portfolio {name}"), why)];
    }
    [
        failed(&format!("portfolio {name}"), &observed.business),
        failed(&format!("the accounts that portfolio {name} owns"), &observed.owned),
        failed(&format!("the accounts that are shared with portfolio {name}"), &observed.client),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn not_accepted(assessment: &PortfolioAssessment, conditions: &ConditionSet) -> String {
    let told = assessment.view.hold.as_ref().map(|hold| hold.message.clone());
    told.or_else(|| conditions.get(ConditionType::CredentialsValid).map(|told| told.message.clone()))
        .unwrap_or_else(|| "they were not accepted".to_owned())
}

/// Of a channel: what Meta did not tell, and Secrets that nobody could open.
pub fn channel(desired: &Desired, observed: &Observed) -> Vec<Unread> {
    let of = format!("channel {}/{}", desired.namespace, desired.name);
    let mut unread: Vec<Unread> = observed
        .search
        .iter()
        .filter_map(|searched| match &searched.list {
            ListState::Failed(failure) => {
                Some(Unread::new(format!("the numbers of account {}", searched.account), failure.told()))
            }
            ListState::Complete { .. } | ListState::NotCheckable(_) => None,
        })
        .collect();
    unread.extend(failed(&format!("the account of {of}"), &observed.account));
    unread.extend(failed(&format!("the app's subscription to the account of {of}"), &observed.subscribed));
    unread.extend(failed(&format!("the profile of {of}"), &observed.profile));
    let mut secret = |fact: &SecretFact, name: &str| {
        let why = match fact {
            SecretFact::Forbidden(why) => {
                let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
                format!("you may not get it{why}; ask for the role edit there")
            }
            SecretFact::Unreadable(why) => why.clone(),
            _ => return,
        };
        unread.push(Unread::new(format!("Secret {name} in namespace {}", desired.namespace), why));
    };
    secret(&observed.code_secret, &desired.verification.code_secret.name);
    secret(&observed.pin_secret, &desired.registration.pin_secret.name);
    if let Some(webhook) = &desired.webhook {
        secret(&observed.verify_token, &webhook.verify_token.name);
    }
    unread
}

fn failed<T>(what: &str, fact: &Fact<T>) -> Option<Unread> {
    match fact {
        Fact::Unknown(failure) if !failure.is_answer() => Some(Unread::new(what, failure.told())),
        Fact::Unknown(_) | Fact::Known(_) | Fact::NotAsked => None,
    }
}
