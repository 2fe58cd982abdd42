//! What both controllers use: the cluster, and the signals by which they wake each other and count what they did.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Client, Resource};

use crate::engine::{
    condition_type::ConditionType, desired::PortfolioRef, look::Urgency, reason::Reason, time::earlier,
};
use crate::{cluster::event::Events, telemetry::metrics::Metrics};

use super::{
    claim::Ripple,
    queue::Queue,
    resting::AccountOf,
    tell::{AccountTurn, Notice},
    watch::Key,
};

/// The queues, in health and metrics.
pub const CHANNELS: &str = "channels";
pub const PORTFOLIOS: &str = "portfolios";
pub const ACCOUNTS: &str = "accounts";
/// Channels that change together are counted together.
const RECOUNT: Duration = Duration::from_secs(2);

/// What an account was told to be is told again after this long.
const TURNED: Duration = Duration::from_secs(60 * 60);

/// Kubernetes, as both controllers use it.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    pub events: Events,
}

impl Cluster {
    /// Publishes notices about an object in the background: nothing waits for an event.
    pub fn tell(&self, about: &ObjectReference, notices: Vec<Notice>) {
        for notice in notices {
            self.events.publish(about.clone(), notice.is_warning, notice.reason, notice.note);
        }
    }
}

/// Names an object of one of our kinds.
pub fn reference_to<K: Resource<DynamicType = ()>>(
    namespace: &str,
    name: &str,
    uid: &str,
) -> ObjectReference {
    ObjectReference {
        api_version: Some(K::api_version(&()).into()),
        kind: Some(K::kind(&()).into()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

/// What is to be asked anew about a portfolio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// Meta refused its credential to a channel.
    Credential,
    /// Somebody asked to look at what it reaches, too.
    Reach,
}

/// A part of a portfolio, in the words that are told of it: one of its accounts, or a namespace that has none.
pub type Part = (PortfolioRef, Box<str>);

/// Why a condition of a part does not hold, if it does not, and when that was last shown.
type Turned = (Option<Reason>, Timestamp);

/// What both controllers tell each other and the world.
#[derive(Clone)]
pub struct Signals {
    pub channels: Queue<Key>,
    pub portfolios: Queue<PortfolioRef>,
    /// Accounts in which numbers are at rest.
    pub accounts: Queue<AccountOf>,
    /// Portfolios of which something is to be asked anew.
    doubts: Arc<Mutex<HashMap<PortfolioRef, Doubt>>>,
    /// As it was told of each.
    turns: Arc<Mutex<HashMap<(Part, ConditionType), Turned>>>,
    pub metrics: Arc<Metrics>,
    /// Since when this process works.
    pub started: Timestamp,
}

impl Signals {
    /// With the queues of both kinds, and places for this many accounts.
    pub fn new(
        (channels, portfolios): (Queue<Key>, Queue<PortfolioRef>),
        accounts: usize,
        metrics: Arc<Metrics>,
        started: Timestamp,
    ) -> Self {
        Self {
            channels,
            portfolios,
            accounts: Queue::new(accounts),
            doubts: Arc::default(),
            turns: Arc::default(),
            metrics,
            started,
        }
    }

    /// Wakes whom a change of a channel concerns.
    pub fn spread(&self, ripple: Ripple) {
        spread(&self.channels, &self.portfolios, ripple);
    }

    /// Meta is asked about it soon.
    pub fn doubt(&self, of: &PortfolioRef, what: Doubt) {
        let mut doubts = self.doubts();
        let doubt = doubts.entry(of.clone()).or_insert(what);
        *doubt = what.max(*doubt);
        drop(doubts);
        self.portfolios.ask(of, Urgency::Edit);
    }

    /// Whether it is news what turned of a part: the first of its channels that shows it tells.
    pub fn is_turn(&self, of: Part, turn: AccountTurn, now: Timestamp) -> bool {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, (_, at)| *at > earlier(now, TURNED));
        turns.insert((of, turn.kind), (turn.why, now)).is_none_or(|(before, _)| before != turn.why)
    }

    /// What was doubted of a portfolio since this was last asked.
    pub fn take_doubt(&self, of: &PortfolioRef) -> Option<Doubt> {
        self.doubts().remove(of)
    }

    fn doubts(&self) -> MutexGuard<'_, HashMap<PortfolioRef, Doubt>> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes whom a change of a channel concerns.
pub fn spread(channels: &Queue<Key>, portfolios: &Queue<PortfolioRef>, ripple: Ripple) {
    channels.wake(ripple.woken);
    for of in ripple.recount {
        // Many counts change at the same time; a portfolio is written once for all of them.
        portfolios.ask_within(&of, Urgency::Drift, RECOUNT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_account_turned_to_is_told_by_one_of_its_channels_and_again_when_it_turns() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let signals = Signals::new((Queue::new(1), Queue::new(1)), 1, Arc::default(), at(0));
        let portfolio = PortfolioRef { namespace: "shop".into(), name: "acme".into() };
        let of = |account: &str| (portfolio.clone(), account.into());
        let banned = Some(Reason::AccountDisabled);
        let turn = |kind, why| AccountTurn { kind, why };
        let told = |account: &str, to, second| {
            let turn = turn(ConditionType::AccountUsable, to);
            (0..120).filter(|_| signals.is_turn(of(account), turn, at(second))).count()
        };
        assert_eq!((told("1", banned, 10), told("2", banned, 10)), (1, 1), "once for each account");
        assert_eq!(told("1", Some(Reason::AccountRestricted), 20), 1, "for another reason");
        assert_eq!((told("1", None, 30), told("1", None, 40)), (1, 0));
        assert_eq!(told("1", banned, 50), 1);
        let unpaid = turn(ConditionType::PaymentReady, Some(Reason::PaymentProblem));
        assert_eq!([50, 51].map(|second| signals.is_turn(of("1"), unpaid, at(second))), [true, false]);
        assert_eq!(told("1", banned, 52), 0, "each condition turns by itself");
        // What nobody showed for long is forgotten.
        let later = 52 + i64::try_from(TURNED.as_secs()).expect("a time");
        assert_eq!(told("1", banned, later), 1);
        assert_eq!(signals.turns.lock().expect("sound").len(), 1);
    }
}
