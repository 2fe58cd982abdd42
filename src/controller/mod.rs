//! The controllers of both kinds: watch, trigger, reconcile, portfolio views, shutdown.
//!
//! Channels and portfolios each have one store of metadata, an index of claims, and a
//! controller; they meet in [`view::Portfolios`] and wake each other. Nothing here
//! decides what to do at Meta: that is the engine's.

mod channel;
mod claim;
mod contained;
mod crds;
mod pace;
mod poller;
mod portfolio;
mod queue;
mod records;
mod repeat;
mod resting;
mod signal;
mod state;
mod tell;
mod view;
mod watch;

use std::{future::Future, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{Client, Resource};
use ring::rand::{SecureRandom, SystemRandom};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::engine::{desired::PortfolioRef, limits::Limits, look::Urgency};
use crate::{
    api::{
        lower,
        v1alpha1::{WhatsAppChannel, WhatsAppPortfolio},
    },
    cluster::{DEADLINE, event::Events},
    meta::port::{Clock, GraphSource},
    run::pass::{Ids, Shell, longest},
    telemetry::{health::Health, metrics::Metrics},
};

use claim::{Claims, Pauses, Ripple};
use portfolio::Desk;
use queue::{Lane, Seen, Target};
use resting::Accounts;
use signal::{Cluster, Signals};
use state::States;
use view::Portfolios;
use watch::{Key, News, Standing, Watches, watch};

/// Reading and deciding of one reconcile; what is carried out is not bounded by it.
const BUDGET: Duration = Duration::from_secs(60);
/// Portfolios worked on at the same time; one that waits, for Secrets or for Meta, does not count.
const PORTFOLIOS_AT_ONCE: usize = 16;
/// Gauges are counted anew this often.
const GAUGES: Duration = Duration::from_secs(15);
/// Readiness and metrics are told of the watches this often.
const WATCHES: Duration = Duration::from_secs(2);
/// A watch without a sign of life for this long makes the operator not ready.
const DEAF: Duration = Duration::from_secs(300);

const CHANNELS: &str = "channels";
const PORTFOLIOS: &str = "portfolios";
const ACCOUNTS: &str = "accounts";

/// What the operator is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Namespaces to watch; none: all.
    pub namespaces: Vec<String>,
    /// Carries what flags may change: how fresh lists are, when a channel counts as unseen.
    pub limits: Limits,
    /// Channels worked on at the same time; one that waits for Meta does not count.
    pub concurrency: u16,
    /// Tells replicas apart in events; usually the pod's name.
    pub instance: Option<String>,
    pub health: Health,
    pub metrics: Arc<Metrics>,
}

/// Why the controllers ended other than by `stop`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the system gives no randomness, so intents could not be told apart")]
    Randomness,
    #[error("the controller of {0} ended by itself")]
    Ended(&'static str),
}

/// Runs both controllers until `stop`, then ends what was begun: no new work, and every intent, call and outcome
/// on its way is written before this returns, for which it takes at most [`longest`].
///
/// Needs the CRDs only when they are there: until then it is not ready and says what to do.
///
/// # Errors
///
/// When it cannot start, or a controller ends by itself.
pub async fn run<S, C>(
    client: Client,
    options: Options,
    source: S,
    clock: Arc<C>,
    stop: CancellationToken,
) -> Result<(), Error>
where
    S: GraphSource,
    C: Clock,
{
    let Options { namespaces, limits, concurrency, instance, health, metrics } = options;
    for part in [CHANNELS, PORTFOLIOS] {
        health.missing_part(part, &format!("the cache of {part} is not filled yet"));
    }
    health.missing_part(crds::PART, "the API server was not asked yet whether it serves the CRDs");
    let tasks = TaskTracker::new();
    let grace = longest(&limits, DEADLINE);
    let displaced = BUDGET + limits.send_before + limits.call_timeout;
    let pauses = Pauses { gone: limits.claim_pause, displaced: displaced.max(limits.claim_pause) };
    let claims = Arc::new(Claims::new(pauses));
    let shell = Shell {
        clock: clock.clone(),
        limits: Arc::new(limits),
        ids: Arc::new(Ids::new(random()?)),
        tasks: tasks.clone(),
        budget: BUDGET,
    };
    let signals = Signals::new(usize::from(concurrency), PORTFOLIOS_AT_ONCE, metrics.clone(), clock.now());
    let cluster = Cluster { client: client.clone(), events: Events::new(client.clone(), instance, &tasks) };
    let portfolios = Arc::new(Portfolios::default());
    let states = Arc::new(States::default());
    let accounts = Arc::new(Accounts::default());
    let channels = Arc::new(channel::Context {
        cluster: cluster.clone(),
        shell: shell.clone(),
        claims: claims.clone(),
        portfolios: portfolios.clone(),
        states: states.clone(),
        accounts: accounts.clone(),
        signals: signals.clone(),
    });
    let desks = Arc::new(portfolio::Context {
        cluster,
        shell,
        source,
        portfolios,
        signals: signals.clone(),
        desk: Desk::new(claims.clone()),
    });
    let watched = [CHANNELS, PORTFOLIOS].map(|part| (part, Watches::new(&namespaces)));
    info!(namespaces = ?namespaces, "starting");
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        () = run_channels::<S, C>(&client, &watched[0].1, channels, &health) => Some(CHANNELS),
        () = run_portfolios(&client, &watched[1].1, desks, &health) => Some(PORTFOLIOS),
        () = crds::check(&client, &health) => None,
        () = count(&claims, &states, &accounts, &signals, &*clock) => None,
        () = check_watches(&watched, &health, &metrics) => None,
    };
    health.missing_part("stop", "the operator is stopping");
    // The controllers are dropped by now, and their reconciles with them; what was begun goes on in its tasks.
    tasks.close();
    if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
        warn!(left = tasks.len(), "some work was still on its way when the time for it had passed");
    }
    info!("stopped");
    ended.map_or(Ok(()), |kind| Err(Error::Ended(kind)))
}

fn random() -> Result<u64, Error> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Randomness)?;
    Ok(u64::from_le_bytes(bytes))
}

async fn run_channels<S, C>(
    client: &Client,
    watches: &Watches,
    ctx: Arc<channel::Context<S::Graph, C>>,
    health: &Health,
) where
    S: GraphSource,
    C: Clock,
{
    let queue = ctx.signals.channels.clone();
    let metrics = ctx.signals.metrics.clone();
    let channels = queue.run(
        |turn| channel::work(ctx.clone(), turn),
        |class, delay| metrics.delay(CHANNELS, word(class), delay),
    );
    let accounts = ctx.signals.accounts.run(
        |turn| poller::work(ctx.clone(), turn),
        |class, delay| metrics.delay(ACCOUNTS, word(class), delay),
    );
    let working = async {
        futures::join!(channels, accounts);
    };
    watched(client, watches, CHANNELS, health, |news| take_channel(&ctx, news), working).await;
}

/// Keeps the index of claims in step with the watch, and wakes whom a change concerns.
fn take_channel<G: Clone, C: Clock>(ctx: &channel::Context<G, C>, news: &News<'_, WhatsAppChannel>) {
    let now = ctx.shell.clock.now();
    match news {
        News::Filled => ctx.signals.spread(ctx.claims.filled(now)),
        News::Back => ctx.signals.channels.wake(ctx.states.failing()),
        News::Shown { object, is_first } => {
            // One that does not parse keeps its place: its number may well be managed.
            let (key, seen) = (Key::of(object.meta()), Seen::of(object.meta(), &ASKS));
            let (lane, begin) = match &object.0 {
                Ok(channel) => {
                    if *is_first && channel.seen().is_some() {
                        ctx.claims.inherits();
                    }
                    let claimant = channel::claimant(channel);
                    let lane = channel::lane(channel, &claimant.portfolio);
                    spread(ctx, &key, ctx.claims.apply(&key, claimant, now));
                    lane
                }
                Err(_) => (nowhere(&key), Urgency::Transitional),
            };
            let key = ctx.claims.known(&key).map_or(key, |(key, _)| key);
            ctx.signals.channels.shows(&key, lane, seen, begin);
        }
        News::Gone(key) => {
            ctx.signals.channels.forget(key);
            ctx.states.remove(key);
            ctx.accounts.leave(key);
            spread(ctx, key, ctx.claims.remove(key, now));
        }
    }
}

/// Wakes whom a change of a channel concerns. A portfolio that it may not use is not among them.
fn spread<G: Clone, C>(ctx: &channel::Context<G, C>, key: &Key, ripple: Ripple) {
    ctx.signals.spread(ripple.within(|of| ctx.portfolios.may_use(of, &key.namespace)));
}

async fn run_portfolios<S, C>(
    client: &Client,
    watches: &Watches,
    ctx: Arc<portfolio::Context<S, C>>,
    health: &Health,
) where
    S: GraphSource,
    C: Clock,
{
    let queue = ctx.signals.portfolios.clone();
    let metrics = ctx.signals.metrics.clone();
    let working = queue.run(
        |turn| portfolio::work(ctx.clone(), turn),
        |class, delay| metrics.delay(PORTFOLIOS, word(class), delay),
    );
    watched(client, watches, PORTFOLIOS, health, |news| take_portfolio(&ctx, news), working).await;
}

/// Keeps what portfolios grant in step with the watch.
fn take_portfolio<S: GraphSource, C>(ctx: &portfolio::Context<S, C>, news: &News<'_, WhatsAppPortfolio>) {
    match news {
        News::Filled => {
            ctx.portfolios.filled();
            ctx.signals.channels.wake(ctx.desk.claims.keys());
        }
        // A portfolio is looked at every minute anyway.
        News::Back => {}
        News::Shown { object, is_first } => {
            let of = portfolio::reference(&Key::of(object.meta()));
            let lane = Lane { portfolio: of.clone(), target: Target::Portfolio };
            // A new one is worked on at once; what was published of the one before is not it.
            let seen = Seen::of(object.meta(), &ASKS);
            let Ok(object) = &object.0 else {
                ctx.signals.portfolios.shows(&of, lane, seen, Urgency::Edit);
                return;
            };
            if *is_first && object.seen().is_some() {
                ctx.desk.claims.inherits();
            }
            let access = lower::portfolio(object).map(|desired| desired.access).unwrap_or_default();
            let uid = object.metadata.uid.as_deref().unwrap_or_default();
            if ctx.portfolios.declare(&of, uid, access) {
                ctx.signals.channels.wake(ctx.desk.claims.of_portfolio(&of));
            }
            ctx.signals.portfolios.shows(&of, lane, seen, Urgency::Edit);
        }
        News::Gone(key) => {
            let of = portfolio::reference(key);
            ctx.signals.portfolios.forget(&of);
            ctx.signals.take_doubt(&of);
            ctx.portfolios.remove(&of);
            ctx.desk.remove(&of);
            ctx.signals.metrics.forget(&of.namespace, &of.name);
            ctx.signals.channels.wake(ctx.desk.claims.of_portfolio(&of));
        }
    }
}

/// The annotations by which people ask for something.
const ASKS: [&str; 3] = [lower::SEND_CODE, lower::RETRY, lower::RECONCILE];

/// One that does not parse names no portfolio.
fn nowhere(key: &Key) -> Lane {
    let portfolio = PortfolioRef { namespace: key.namespace.clone(), name: "".into() };
    Lane { portfolio, target: Target::Status }
}

/// The word for a class in metrics.
fn word(class: Urgency) -> &'static str {
    match class {
        Urgency::Person => "person",
        Urgency::Edit => "edit",
        Urgency::Transitional => "transitional",
        Urgency::Drift => "drift",
    }
}

/// Watches; works from the moment on at which everything was listed.
async fn watched<K: watch::Watched>(
    client: &Client,
    watches: &Watches,
    part: &'static str,
    health: &Health,
    take: impl Fn(&News<'_, K>) + Sync,
    working: impl Future<Output = ()>,
) {
    let filled = CancellationToken::new();
    let watching = watch(client, watches, |news| {
        let is_filled = matches!(news, News::Filled);
        take(&news);
        if is_filled {
            health.holds(part);
            filled.cancel();
        }
    });
    tokio::select! {
        () = watching => {}
        () = async { filled.cancelled().await; working.await } => {}
    }
}

/// Tells readiness and metrics how the watches go.
async fn check_watches(watched: &[(&'static str, Watches)], health: &Health, metrics: &Metrics) {
    loop {
        for (part, watches) in watched {
            let standing = watches.standing();
            for one in &standing {
                let namespace = one.namespace.as_deref().unwrap_or_default();
                metrics.watch(part, namespace, one.age, one.refused.is_some());
            }
            let is_filled = watches.is_filled();
            let about = |one: &Standing| {
                one.namespace.as_ref().map_or_else(String::new, |name| format!(" in {name}"))
            };
            let notes = standing.iter().filter_map(|one| {
                let why = one.refused.as_ref()?;
                let remedy = "let the operator's ServiceAccount list and watch them, or do not watch the namespace";
                Some(format!(
                    "{part}{} cannot be read and count as none ({why}); {remedy}; it is tried again by itself",
                    about(one)
                ))
            });
            let notes: Vec<String> = notes.collect();
            let failures = standing.iter().filter_map(|one| {
                let why = one.failure.as_ref()?;
                let is_missed = !is_filled || one.age > DEAF;
                is_missed.then(|| {
                    format!("the watch of {part}{} fails and is tried again by itself: {why}", about(one))
                })
            });
            let mut missing: Vec<String> = failures.collect();
            if !is_filled {
                missing.insert(0, format!("the cache of {part} is not filled yet"));
                missing.extend(notes.iter().cloned());
            }
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

/// Keeps the gauges.
async fn count<C: Clock>(
    claims: &Claims,
    states: &States,
    accounts: &Accounts,
    signals: &Signals,
    clock: &C,
) {
    let metrics = &signals.metrics;
    loop {
        let depths = [
            (CHANNELS, signals.channels.depths()),
            (PORTFOLIOS, signals.portfolios.depths()),
            (ACCOUNTS, signals.accounts.depths()),
        ];
        for (kind, depths) in depths {
            for (class, depth) in depths {
                metrics.depth(kind, word(class), depth);
            }
        }
        let stages = claims.stages();
        metrics.channels(stages.iter().map(|(stage, count)| (stage.as_str(), *count)));
        let now: Timestamp = clock.now();
        let oldest = states.oldest_success(accounts.oldest_look(), signals.started, claims.len());
        let age = oldest.map_or(0.0, |at| now.duration_since(at).as_secs_f64());
        metrics.oldest_look(age);
        tokio::time::sleep(GAUGES).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_is_given_the_time_that_what_was_begun_may_take() {
        let manifest = include_str!("../../charts/whatsapp-operator/templates/deployment.yaml");
        let given =
            manifest.lines().find_map(|line| line.trim().strip_prefix("terminationGracePeriodSeconds: "));
        let given = Duration::from_secs(given.and_then(|given| given.parse().ok()).unwrap_or_default());
        let needed = longest(&Limits::default(), DEADLINE);
        assert_eq!(needed, Duration::from_millis(119_250));
        assert!(given >= needed + Duration::from_secs(10), "{given:?} is too short for {needed:?}");
    }
}
