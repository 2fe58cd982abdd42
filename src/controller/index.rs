//! Index: what the API server has, kept warm by every replica: the objects, which channel manages which number, and what
//! portfolios grant. It works on nothing; whoever does follows it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::engine::{desired::PortfolioRef, look::Urgency};
use crate::{
    api::{
        lower,
        v1alpha1::{WhatsAppChannel, WhatsAppPortfolio},
    },
    cluster::read::{Readable, Stored},
    meta::port::Clock,
    telemetry::{health::Health, metrics::Metrics},
};

use super::{
    channel,
    claim::{Claimant, Claims, Ripple},
    left,
    newcomer::Newcomers,
    portfolio,
    queue::{Lane, Queue, Seen, Target},
    signal::{CHANNELS, PORTFOLIOS, spread},
    supervise::Pulse,
    view::Portfolios,
    watch::{Key, News, Refusal, Standing, Watched, Watches, watch},
};

/// Readiness and metrics are told of the watches this often.
const WATCHES: Duration = Duration::from_secs(2);
/// A watch without a sign of life for this long makes the operator not ready.
const DEAF: Duration = Duration::from_secs(300);

/// Who works on what the index shows has more to forget, and may have something to try again.
pub trait Follower: Send + Sync {
    /// Tells whether to look at a channel because of a write that asks for nothing, such as one to its status by hand.
    fn is_news(&self, key: &Key, version: &str) -> bool;
    /// With its lane, if it was the last one in it.
    fn channel_gone(&self, key: &Key, left: Option<&Lane>);
    fn portfolio_gone(&self, of: &PortfolioRef);
    /// Channels whose last pass failed.
    fn failing(&self) -> Vec<Key>;
}

/// What is known. The queues hold every object, whether anybody works on them or not.
pub struct Index<G> {
    clock: Arc<dyn Clock>,
    pub claims: Arc<Claims>,
    pub portfolios: Arc<Portfolios<G>>,
    pub channels: Queue<Key>,
    pub desks: Queue<PortfolioRef>,
    pub newcomers: Arc<Newcomers>,
    /// The labels that everything in it carries, if it does not hold all that there is.
    pub labels: Option<Arc<str>>,
    watches: [(&'static str, Watches); 2],
    filled: [CancellationToken; 2],
    follower: Mutex<Option<Arc<dyn Follower>>>,
}

impl<G: Clone + Send + Sync + 'static> Index<G> {
    /// Of these objects. The queues have this many places.
    pub fn new(
        clock: Arc<dyn Clock>,
        claims: Claims,
        watched: &Watched,
        (channels, portfolios): (usize, usize),
    ) -> Self {
        Self {
            clock,
            claims: Arc::new(claims),
            portfolios: Arc::new(Portfolios::default()),
            channels: Queue::new(channels),
            desks: Queue::new(portfolios),
            newcomers: Arc::default(),
            labels: watched.labels(),
            // A portfolio may be used from namespaces that can be read.
            watches: [(CHANNELS, Watches::new(watched).forgetting()), (PORTFOLIOS, Watches::new(watched))],
            filled: Default::default(),
            follower: Mutex::default(),
        }
    }

    /// Who works from now on; nobody, with none.
    pub fn follow(&self, follower: Option<Arc<dyn Follower>>) {
        *self.follower() = follower;
    }

    /// Waits until everything was listed.
    pub async fn filled(&self) {
        for filled in &self.filled {
            filled.cancelled().await;
        }
    }

    /// Watches channels until it is dropped.
    pub async fn watch_channels(&self, client: &Client, health: &Health, pulse: &Pulse) {
        self.watched(client, 0, health, pulse, |news| self.take_channel(news)).await;
    }

    /// Watches portfolios until it is dropped.
    pub async fn watch_portfolios(&self, client: &Client, health: &Health, pulse: &Pulse) {
        self.watched(client, 1, health, pulse, |news| self.take_portfolio(news)).await;
    }

    async fn watched<K: Readable>(
        &self,
        client: &Client,
        at: usize,
        health: &Health,
        pulse: &Pulse,
        take: impl Fn(&News<'_, K>) + Sync,
    ) {
        let (part, watches) = &self.watches[at];
        let take = |news: News<'_, K>| {
            take(&news);
            if matches!(news, News::Filled) {
                health.holds(part);
                self.filled[at].cancel();
            }
        };
        watch(client, watches, || pulse.beat(), take).await;
    }

    /// Keeps the index of claims in step with the watch, and wakes whom a change concerns.
    fn take_channel(&self, news: &News<'_, WhatsAppChannel>) {
        let now = self.clock.now();
        match news {
            News::Filled => self.spread(self.claims.filled(now)),
            News::Back(of) => {
                let mut failing = self.followed(|one| one.failing()).unwrap_or_default();
                failing.retain(|key| of.is_none_or(|of| *key.namespace == *of));
                self.channels.wake(failing);
            }
            News::Shown { key, object, is_first } => {
                // One that cannot be used keeps its place and its claim: its number may well be managed.
                // One that can be used again is worked on at once, whatever was changed about it.
                let seen = seen(object);
                let (lane, begin) = match &object.0 {
                    Ok(channel) => {
                        if *is_first && channel.seen().is_some() {
                            self.claims.inherits();
                        }
                        let claimant = channel::claimant(channel);
                        let lane = channel::lane(channel, &claimant.portfolio);
                        self.newcomers.shows(key, &claimant.portfolio, channel);
                        self.spread_of(key, self.claims.apply(key, claimant, now));
                        lane
                    }
                    Err(unusable) => {
                        self.newcomers.forget(key);
                        let uid = unusable.metadata.uid.as_deref().unwrap_or_default();
                        let is_known = self.claims.known(key).is_some_and(|(_, known)| *known == *uid);
                        if !is_known && let Some(channel) = left::channel(unusable) {
                            if *is_first && channel.seen().is_some() {
                                self.claims.inherits();
                            }
                            // Its deletion asks nothing of Meta, so it holds up no portfolio.
                            let claimant = Claimant { holds: None, ..channel::claimant(&channel) };
                            self.spread_of(key, self.claims.apply(key, claimant, now));
                        }
                        (nowhere(key), Urgency::Transitional)
                    }
                };
                self.channels.shows(key, lane, seen, begin);
                let version = object.meta().resource_version.as_deref().unwrap_or_default();
                if self.followed(|one| one.is_news(key, version)).unwrap_or_default() {
                    self.channels.wake([(*key).clone()]);
                }
            }
            News::Gone(key) => {
                let left = self.channels.forget(key);
                let ripple = self.claims.remove(key, now);
                // A pass that is still on its way looks whether it is known before it leaves anything behind.
                self.newcomers.forget(key);
                self.followed(|one| one.channel_gone(key, left.as_ref()));
                self.spread_of(key, ripple);
            }
        }
    }

    /// Wakes whom a change of a channel concerns. A portfolio that it may not use is not among them.
    fn spread_of(&self, key: &Key, ripple: Ripple) {
        self.spread(ripple.within(|of| self.portfolios.may_use(of, &key.namespace)));
    }

    fn spread(&self, ripple: Ripple) {
        spread(&self.channels, &self.desks, ripple);
    }

    /// Keeps what portfolios grant in step with the watch.
    fn take_portfolio(&self, news: &News<'_, WhatsAppPortfolio>) {
        match news {
            News::Filled => {
                self.portfolios.filled();
                self.channels.wake(self.claims.keys());
            }
            // A portfolio that could not be read is tried again within a minute.
            News::Back(_) => {}
            News::Shown { key, object, is_first } => {
                let of = portfolio::reference(key);
                let lane = Lane { portfolio: of.clone(), target: Target::Portfolio };
                // A new one is worked on at once; what was published of the one before is not it.
                // One that can be used again is worked on at once, whatever was changed about it.
                let seen = seen(object);
                let uid = object.meta().uid.as_deref().unwrap_or_default();
                let portfolios = &self.portfolios;
                let is_news = match &object.0 {
                    Ok(portfolio) => {
                        if *is_first && portfolio.seen().is_some() {
                            self.claims.inherits();
                        }
                        let desired = lower::portfolio(portfolio);
                        portfolios.declare(
                            &of,
                            uid,
                            desired.map(|desired| desired.access).unwrap_or_default(),
                        )
                    }
                    // It stands behind the claims of its channels as before.
                    Err(_) if portfolios.uid(&of).is_some_and(|known| *known == *uid) => false,
                    Err(unusable) => match left::access(unusable) {
                        Some(access) => portfolios.declare(&of, uid, access),
                        None => portfolios.declare_unknown(&of, uid, self.clock.now()),
                    },
                };
                if is_news {
                    self.channels.wake(self.claims.of_portfolio(&of));
                }
                self.desks.shows(&of, lane, seen, Urgency::Edit);
            }
            News::Gone(key) => {
                let of = portfolio::reference(key);
                self.desks.forget(&of);
                self.portfolios.remove(&of);
                self.followed(|one| one.portfolio_gone(&of));
                self.channels.wake(self.claims.of_portfolio(&of));
            }
        }
    }

    /// Forgets what is over, and gives back the room that a crowd took.
    fn tidy(&self) {
        self.claims.tidy(self.clock.now());
        self.channels.tidy();
        self.desks.tidy();
    }

    /// Tells readiness and metrics how the watches go, and keeps the index tidy.
    pub async fn check_watches(&self, health: &Health, metrics: &Metrics, pulse: &Pulse) {
        loop {
            pulse.beat();
            self.tidy();
            for (part, watches) in &self.watches {
                let standing = watches.standing();
                for one in &standing {
                    let namespace = one.namespace.as_deref().unwrap_or_default();
                    metrics.watch(part, namespace, one.age, one.refused.is_some());
                }
                let notes: Vec<String> = standing.iter().filter_map(|one| note(part, one)).collect();
                let missing = missing(part, watches.is_filled(), &standing, &notes);
                if missing.is_empty() {
                    health.holds(part);
                } else {
                    health.missing_part(part, &missing.join("; "));
                }
                health.note(part, notes);
            }
            tokio::time::sleep(WATCHES).await;
        }
    }

    fn followed<T>(&self, tell: impl FnOnce(&dyn Follower) -> T) -> Option<T> {
        let follower = self.follower().clone();
        follower.as_deref().map(tell)
    }

    fn follower(&self) -> MutexGuard<'_, Option<Arc<dyn Follower>>> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the watch of a namespace is of, in words.
fn about(part: &str, one: &Standing) -> String {
    one.namespace.as_ref().map_or_else(|| part.to_owned(), |name| format!("{part} in {name}"))
}

/// That a namespace may not be read.
fn note(part: &str, one: &Standing) -> Option<String> {
    let Refusal { why, remedy } = one.refused.as_ref()?;
    let about = about(part, one);
    Some(format!("{about} cannot be read and count as none ({why}); {remedy}; it is tried again by itself"))
}

/// Why the index of a kind is not as it has to be. One namespace that may not be read is no reason, but all of them are.
fn missing(part: &str, is_filled: bool, standing: &[Standing], notes: &[String]) -> Vec<String> {
    let mut missing = Vec::new();
    if !is_filled {
        missing.push(format!("the cache of {part} is not filled yet"));
    }
    missing.extend(standing.iter().filter_map(|one| {
        let (about, is_deaf) = (about(part, one), one.age > DEAF && one.refused.is_none());
        match &one.failure {
            Some(why) if is_deaf || !is_filled => {
                Some(format!("the watch of {about} fails and is tried again by itself: {why}"))
            }
            None if is_deaf => Some(format!(
                "the API server has told nothing of {about} for {} s; look at what stands between it and the operator",
                one.age.as_secs()
            )),
            _ => None,
        }
    }));
    if !is_filled || standing.iter().all(|one| one.refused.is_some()) {
        missing.extend(notes.iter().cloned());
    }
    missing
}

/// The annotations by which people ask for something.
const ASKS: [&str; 5] = {
    let [send_code, retry, official, reconcile] = lower::CONSENTS;
    [send_code, retry, official, reconcile, lower::SKIP_CLEANUP]
};

/// One that cannot be used can still be deleted, or let go by annotation.
fn seen<K: Readable>(object: &Stored<K>) -> Seen {
    let seen = Seen::of(object.meta(), &ASKS);
    if object.0.is_ok() { seen } else { seen.unusable() }
}

/// One that cannot be used names no portfolio.
fn nowhere(key: &Key) -> Lane {
    let portfolio = PortfolioRef { namespace: key.namespace.clone(), name: "".into() };
    Lane { portfolio, target: Target::Status }
}

#[cfg(test)]
mod tests;
