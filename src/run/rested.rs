//! Rested: what a pass that came to rest saw of Meta. Whoever reads for the whole account can tell by it whether there is
//! anything new for the number, without a pass.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use crate::engine::{
    desired::Desired,
    id::{AccountId, Fact, NumberId},
    look::Look,
    observed::{Account, ListState, Number, Observed, OtherApp},
    plan::Plan,
    spelling::Canonical,
};

/// A number for which only a change of what Meta shows, a date or a person makes a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rested {
    pub account: AccountId,
    pub number: NumberId,
    pub digits: Canonical,
    /// Beside the list and the account: which apps are subscribed.
    pub needs_subscription: bool,
    /// Whether an app was subscribed, as far as that was known.
    pub is_received: Option<bool>,
    /// Beside the list, which does not show it: the number's profile.
    pub needs_profile: bool,
    /// What was seen of list, account and subscription, in short.
    pub shown: u64,
    /// What was seen of the profile by a read of its own.
    pub profile: Option<u64>,
    /// When the list was begun.
    pub begun: Timestamp,
    /// How often it asks to be looked at; none: as often as any.
    pub interval: Option<Duration>,
    /// When something is due, whatever Meta shows.
    pub date: Option<Timestamp>,
    /// The version of the object as the pass left it.
    pub version: String,
}

/// What Meta shows about one number to whoever reads for its account.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Shown<'a> {
    /// Every entry of the number.
    pub entries: &'a [Arc<Number>],
    pub account: &'a Account,
    /// Whether our app is subscribed, and which others are.
    pub subscribed: Option<(bool, &'a [OtherApp])>,
}

/// The same for the same facts, in this process.
pub fn digest(facts: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    facts.hash(&mut hasher);
    hasher.finish()
}

impl Rested {
    /// After a pass that saw all it wanted of one account, and has nothing to do. None: the next look is a pass again.
    pub(super) fn after(
        desired: &Desired,
        look: &Look,
        observed: &Observed,
        plan: &Plan,
        version: String,
    ) -> Option<Self> {
        let [wanted] = &look.accounts[..] else { return None };
        let searched = observed.search.iter().find(|searched| searched.account == wanted.account)?;
        let ListState::Complete { begun } = searched.list else { return None };
        let number = plan.memory.number.clone().filter(|_| plan.is_at_rest())?;
        let entry = searched.numbers.iter().find(|entry| entry.id == number)?;
        let needs_profile = look.profile.is_some() && entry.profile.value().is_none();
        let subscribed = match &observed.subscribed {
            Fact::Unknown(_) => return None,
            Fact::Known(ours) if look.subscription.is_some() => Some((*ours, &*observed.other_apps)),
            Fact::NotAsked | Fact::Known(_) => None,
        };
        let account = observed.account.known()?;
        let profile = observed.profile.known().filter(|_| needs_profile).map(digest);
        Some(Self {
            account: wanted.account.clone(),
            digits: desired.number.canonical(),
            needs_subscription: subscribed.is_some(),
            is_received: observed.is_received(),
            shown: digest(&Shown { entries: &searched.numbers, account, subscribed }),
            needs_profile,
            profile,
            number,
            begun,
            interval: desired.interval,
            date: plan.date,
            version,
        })
    }
}
