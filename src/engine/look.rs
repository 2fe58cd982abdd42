//! Look: which facts a pass needs, how fresh and how urgent, before anything is spent.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    desired::Desired,
    id::{AccountId, NumberId},
    limits::Limits,
    memory::Memory,
    observed::{Claim, PortfolioState},
};

/// What to find out.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Nothing of Meta and no Secret is read: suspended, claimed by another, portfolio not usable.
    pub meta: bool,
    /// Accounts whose facts and numbers are needed.
    pub accounts: Vec<AccountLook>,
    /// Whether our app's subscription to the account is needed.
    pub subscription: Option<AccountId>,
    /// The profile is needed, at most this old.
    pub profile: Option<(NumberId, Duration)>,
    pub code_secret: bool,
    pub pin_secret: bool,
    pub verify_token: bool,
    pub urgency: Urgency,
}

/// One account to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountLook {
    pub account: AccountId,
    /// The account's own facts too (not only its numbers).
    pub facts: bool,
    /// A list begun before this does not serve.
    pub not_before: Timestamp,
}

/// Order in which a budget is spent; the first is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// A person is waiting: a code is live, a consent was given.
    Person,
    /// The user edited the object.
    Edit,
    /// Something is on its way.
    Transitional,
    /// Nothing is; looking for drift.
    Drift,
}

/// Says what a pass needs to know, before anything is spent.
///
/// `after_write` tells when this channel last wrote something at Meta: a list begun before it does not serve.
pub fn look(
    _desired: &Desired,
    _memory: &Memory,
    _claim: &Claim,
    _portfolio: &PortfolioState,
    _after_write: Option<Timestamp>,
    _limits: &Limits,
    _now: Timestamp,
) -> Look {
    unimplemented!()
}
