//! The controllers of both kinds: watch, trigger, reconcile, portfolio views, shutdown.
//!
//! Channels and portfolios each have one store of metadata, an index of claims, and a
//! controller; they meet in [`view::Portfolios`] and wake each other. Nothing here
//! decides what to do at Meta: that is the engine's.

mod channel;
mod claim;
mod pace;
mod portfolio;
mod queue;
mod records;
mod signal;
mod state;
mod tell;
mod view;
mod watch;

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, Stream, StreamExt};
use jiff::Timestamp;
use kube::{
    Client, Resource,
    core::DeserializeGuard,
    runtime::watcher::{self, Event},
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::engine::{desired::PortfolioRef, limits::Limits, look::Urgency};
use crate::{
    api::{
        lower,
        v1alpha1::{WhatsAppChannel, WhatsAppPortfolio},
    },
    cluster::{self, DEADLINE, event::Events},
    meta::port::{Clock, GraphSource},
    run::pass::{Ids, PassError, Shell, longest},
    telemetry::{health::Health, metrics::Metrics},
};

use claim::{Claims, Pauses, Ripple};
use portfolio::Desk;
use queue::{Lane, Seen, Target};
use signal::{Cluster, Signals};
use state::States;
use view::Portfolios;
use watch::{Key, watch};

/// Reading and deciding of one reconcile; what is carried out is not bounded by it.
const BUDGET: Duration = Duration::from_secs(60);
/// Portfolios worked on at the same time; one that waits, for Secrets or for Meta, does not count.
const PORTFOLIOS_AT_ONCE: usize = 16;
/// Gauges are counted anew this often.
const GAUGES: Duration = Duration::from_secs(15);
/// A missing CRD is looked for this often.
const CRDS: Duration = Duration::from_secs(5);

const CHANNELS: &str = "channels";
const PORTFOLIOS: &str = "portfolios";

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
    health.missing_part("crds", "the API server was not asked yet whether it serves the CRDs");
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
    let cluster = Cluster { client: client.clone(), events: Events::new(client.clone(), instance) };
    let portfolios = Arc::new(Portfolios::default());
    let states = Arc::new(States::default());
    let channels = Arc::new(channel::Context {
        cluster: cluster.clone(),
        shell: shell.clone(),
        claims: claims.clone(),
        portfolios: portfolios.clone(),
        states: states.clone(),
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
    info!(namespaces = ?namespaces, "starting");
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        () = run_channels::<S, C>(&client, &namespaces, channels, &health) => Some(CHANNELS),
        () = run_portfolios(&client, &namespaces, desks, &health) => Some(PORTFOLIOS),
        () = check_crds(&client, &health) => None,
        () = count(&claims, &states, &signals, &*clock) => None,
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
    namespaces: &[String],
    ctx: Arc<channel::Context<S::Graph, C>>,
    health: &Health,
) where
    S: GraphSource,
    C: Clock,
{
    let events = watch::<WhatsAppChannel>(client, namespaces);
    let queue = ctx.signals.channels.clone();
    let metrics = ctx.signals.metrics.clone();
    let seen = ctx.clone();
    let watching = taken(events, CHANNELS, health, |event| take_channel(&seen, &event));
    let working = queue.run(
        |turn| channel::work(ctx.clone(), turn),
        |class, delay| metrics.delay(CHANNELS, word(class), delay),
    );
    // Nothing is begun before every channel is known; from then on it works beside the watch.
    watched(watching, working).await;
}

/// Keeps the index of claims in step with the watch, and wakes whom a change concerns.
fn take_channel<G: Clone, C: Clock>(
    ctx: &channel::Context<G, C>,
    event: &Event<DeserializeGuard<WhatsAppChannel>>,
) {
    let now = ctx.shell.clock.now();
    match event {
        Event::Init => {}
        Event::InitDone => ctx.signals.spread(ctx.claims.filled(now)),
        Event::InitApply(object) | Event::Apply(object) => {
            // One that does not parse keeps its place: its number may well be managed.
            let (key, seen) = (Key::of(object.meta()), Seen::of(object.meta(), &ASKS));
            let (lane, begin) = match &object.0 {
                Ok(channel) => {
                    if matches!(event, Event::InitApply(_)) && channel.status.is_some() {
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
        Event::Delete(object) => {
            let key = Key::of(object.meta());
            ctx.signals.channels.forget(&key);
            ctx.states.remove(&key);
            spread(ctx, &key, ctx.claims.remove(&key, now));
        }
    }
}

/// Wakes whom a change of a channel concerns. A portfolio that it may not use is not among them.
fn spread<G: Clone, C>(ctx: &channel::Context<G, C>, key: &Key, ripple: Ripple) {
    ctx.signals.spread(ripple.within(|of| ctx.portfolios.may_use(of, &key.namespace)));
}

async fn run_portfolios<S, C>(
    client: &Client,
    namespaces: &[String],
    ctx: Arc<portfolio::Context<S, C>>,
    health: &Health,
) where
    S: GraphSource,
    C: Clock,
{
    let events = watch::<WhatsAppPortfolio>(client, namespaces);
    let queue = ctx.signals.portfolios.clone();
    let metrics = ctx.signals.metrics.clone();
    let seen = ctx.clone();
    let watching = taken(events, PORTFOLIOS, health, |event| take_portfolio(&seen, &event));
    let working = queue.run(
        |turn| portfolio::work(ctx.clone(), turn),
        |class, delay| metrics.delay(PORTFOLIOS, word(class), delay),
    );
    watched(watching, working).await;
}

/// Keeps what portfolios grant in step with the watch.
fn take_portfolio<S: GraphSource, C>(
    ctx: &portfolio::Context<S, C>,
    event: &Event<DeserializeGuard<WhatsAppPortfolio>>,
) {
    match event {
        Event::Init => {}
        Event::InitDone => {
            ctx.portfolios.filled();
            ctx.signals.channels.wake(ctx.desk.claims.keys());
        }
        Event::InitApply(object) | Event::Apply(object) => {
            let of = portfolio::reference(&Key::of(object.meta()));
            let lane = Lane { portfolio: of.clone(), target: Target::Portfolio };
            // A new one is worked on at once; what was published of the one before is not it.
            let seen = Seen::of(object.meta(), &ASKS);
            let Ok(object) = &object.0 else {
                ctx.signals.portfolios.shows(&of, lane, seen, Urgency::Edit);
                return;
            };
            if matches!(event, Event::InitApply(_)) && object.status.is_some() {
                ctx.desk.claims.inherits();
            }
            let access = lower::portfolio(object).map(|desired| desired.access).unwrap_or_default();
            let uid = object.metadata.uid.as_deref().unwrap_or_default();
            if ctx.portfolios.declare(&of, uid, access) {
                ctx.signals.channels.wake(ctx.desk.claims.of_portfolio(&of));
            }
            ctx.signals.portfolios.shows(&of, lane, seen, Urgency::Edit);
        }
        Event::Delete(object) => {
            let of = portfolio::reference(&Key::of(object.meta()));
            ctx.signals.portfolios.forget(&of);
            ctx.signals.take_doubt(&of);
            ctx.portfolios.remove(&of);
            ctx.desk.remove(&of);
            ctx.signals.metrics.forget(&of.namespace, &of.name);
            ctx.signals.channels.wake(ctx.desk.claims.of_portfolio(&of));
        }
    }
}

/// A reconcile ended in a panic.
#[derive(Debug)]
struct Panicked;

impl From<Panicked> for channel::Error {
    fn from(_: Panicked) -> Self {
        Self::Pass(PassError::Lost)
    }
}

impl From<Panicked> for portfolio::Error {
    fn from(_: Panicked) -> Self {
        Self::Lost
    }
}

/// Keeps a panic to the object that it is about: it comes again after a pause of its own, and every other object
/// goes on. What a reconcile leaves half done is dropped with it, and every lock of ours ignores poison.
async fn contained<T, E: From<Panicked>>(reconcile: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    AssertUnwindSafe(reconcile).catch_unwind().await.unwrap_or_else(|_| Err(Panicked.into()))
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

/// Takes in what a watch tells, and tells readiness how it goes. Each item says whether everything was listed by then.
fn taken<K: Resource>(
    events: impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>> + Send,
    part: &'static str,
    health: &Health,
    take: impl Fn(Event<DeserializeGuard<K>>),
) -> impl Stream<Item = bool> {
    let mut is_filled = false;
    events.map(move |event| {
        match event {
            Ok(event) => {
                is_filled |= matches!(event, Event::InitDone);
                if matches!(event, Event::InitDone) {
                    health.holds(part);
                }
                take(event);
            }
            Err(error) => {
                warn!(%error, part, "watch failed, tried again");
                if !is_filled {
                    let what = format!("the cache of {part} is not filled yet: {error}");
                    health.missing_part(part, &what);
                }
            }
        }
        is_filled
    })
}

/// Watches; works from the moment on at which everything was listed. Ends when the watch does.
async fn watched(watching: impl Stream<Item = bool>, working: impl Future<Output = ()>) {
    let mut watching = std::pin::pin!(watching);
    while let Some(is_filled) = watching.next().await {
        if is_filled {
            tokio::select! {
                () = watching.for_each(|_| std::future::ready(())) => {}
                () = working => {}
            }
            return;
        }
    }
}

/// Checks whether the API server has our kinds, until it has them.
async fn check_crds(client: &Client, health: &Health) {
    let version = WhatsAppChannel::api_version(&());
    let plurals = [WhatsAppChannel::plural(&()), WhatsAppPortfolio::plural(&())];
    let plurals: Vec<&str> = plurals.iter().map(AsRef::as_ref).collect();
    loop {
        match cluster::not_served(client, &version, &plurals).await {
            Ok(missing) if missing.is_empty() => break,
            Ok(missing) => {
                let names: Vec<String> =
                    missing.iter().map(|plural| format!("{plural}.{}", lower::GROUP)).collect();
                let text = format!(
                    "the API server does not serve {}; install them with: whatsapp-operator crd | kubectl apply --server-side -f -",
                    names.join(" and ")
                );
                warn!("{text}");
                health.missing_part("crds", &text);
            }
            Err(error) => health.missing_part("crds", &format!("the API server cannot be asked: {error}")),
        }
        tokio::time::sleep(CRDS).await;
    }
    health.holds("crds");
    std::future::pending::<()>().await;
}

/// Keeps the gauges.
async fn count<C: Clock>(claims: &Claims, states: &States, signals: &Signals, clock: &C) {
    let metrics = &signals.metrics;
    loop {
        for (kind, depths) in
            [(CHANNELS, signals.channels.depths()), (PORTFOLIOS, signals.portfolios.depths())]
        {
            for (class, depth) in depths {
                metrics.depth(kind, word(class), depth);
            }
        }
        let stages = claims.stages();
        metrics.channels(stages.iter().map(|(stage, count)| (stage.as_str(), *count)));
        let now: Timestamp = clock.now();
        let age = states.oldest_success().map_or(0.0, |at| now.duration_since(at).as_secs_f64());
        metrics.oldest_look(age);
        tokio::time::sleep(GAUGES).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_the_object_that_it_is_about() {
        let poisoned = async {
            tokio::task::yield_now().await;
            if true { panic!("poisoned") } else { Ok(()) }
        };
        let channel: Result<(), channel::Error> = contained(poisoned).await;
        assert!(matches!(channel, Err(channel::Error::Pass(PassError::Lost))));
        let portfolio: Result<(), portfolio::Error> = contained(async { panic!("poisoned") }).await;
        assert!(matches!(portfolio, Err(portfolio::Error::Lost)));
        let sound: Result<u8, channel::Error> = contained(async { Ok(7) }).await;
        assert!(matches!(sound, Ok(7)));
    }

    #[test]
    fn the_pod_is_given_the_time_that_what_was_begun_may_take() {
        let manifest = include_str!("../../charts/whatsapp-operator/templates/deployment.yaml");
        let given =
            manifest.lines().find_map(|line| line.trim().strip_prefix("terminationGracePeriodSeconds: "));
        let given = Duration::from_secs(given.and_then(|given| given.parse().ok()).unwrap_or_default());
        let needed = longest(&Limits::default(), DEADLINE);
        assert_eq!(needed, Duration::from_millis(114_250));
        assert!(given >= needed + Duration::from_secs(10), "{given:?} is too short for {needed:?}");
    }
}
