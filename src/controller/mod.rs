//! The controllers of both kinds: watch, trigger, reconcile, portfolio views, shutdown.
//!
//! Channels and portfolios each have one store of metadata, an index of claims, and a
//! controller; they meet in [`view::Portfolios`] and wake each other. Nothing here
//! decides what to do at Meta: that is the engine's.

mod channel;
mod claim;
mod pace;
mod portfolio;
mod records;
mod signal;
mod state;
mod tell;
mod view;
mod wake;
mod watch;

use std::{
    collections::BTreeMap,
    fmt::Debug,
    future::{Future, ready},
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, Stream, StreamExt, stream};
use jiff::Timestamp;
use kube::{
    Client, Resource,
    api::ObjectMeta,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        Controller, Predicate, PredicateConfig, WatchStreamExt,
        controller::{self, Action},
        predicates,
        reflector::{self, ObjectRef, Store},
        watcher::{self, Event},
    },
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use crate::engine::limits::Limits;
use crate::{
    api::{
        lower,
        v1alpha1::{WhatsAppChannel, WhatsAppPortfolio},
    },
    cluster::{self, DEADLINE, event::Events},
    meta::port::{Clock, Graph, GraphSource},
    run::pass::{Ids, PassError, Shell, longest},
    telemetry::{health::Health, metrics::Metrics},
};

use claim::{Claims, Pauses, Ripple};
use portfolio::Desk;
use signal::{Cluster, Signals};
use state::States;
use view::Portfolios;
use watch::{Key, watch};

/// Reading and deciding of one reconcile; what is carried out is not bounded by it.
const BUDGET: Duration = Duration::from_secs(60);
/// A look at a portfolio mostly waits, for Secrets and for Meta; slow ones must not hold up the others.
const PORTFOLIOS_AT_ONCE: u16 = 16;
/// First statuses written at the same time; each is a read and a write at the API server and nothing at Meta.
const BIRTHS_AT_ONCE: usize = 32;
/// Codes that are used at the same time, beside whatever the reconciles wait for.
const CODES_AT_ONCE: usize = 32;
/// Changes that come together are one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(250);
/// Gauges are counted anew this often.
const GAUGES: Duration = Duration::from_secs(15);
/// Channels that change together are counted together.
const RECOUNT: Duration = Duration::from_secs(2);
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
    /// Channels worked on at the same time.
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
    let signals = Signals::new(metrics.clone(), clock.now());
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
        signals,
        desk: Desk::new(claims.clone()),
    });
    let newborn = channels.clone();
    let births = channels.signals.births.clone().stream().for_each_concurrent(BIRTHS_AT_ONCE, |key| {
        let ctx = newborn.clone();
        // A task of its own each: the watches and queues of this one have enough to do in a burst.
        let birth = newborn.shell.tasks.spawn(async move { ctx.give_birth(&key).await });
        birth.map(|_| ())
    });
    let codes = use_codes(channels.clone());
    info!(namespaces = ?namespaces, "starting");
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        () = run_channels::<S, C>(&client, &namespaces, concurrency, channels, &health) => Some(CHANNELS),
        () = run_portfolios(&client, &namespaces, desks, &health) => Some(PORTFOLIOS),
        () = births => None,
        () = codes => None,
        () = check_crds(&client, &health) => None,
        () = count(&claims, &states, &metrics, &*clock) => None,
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
    concurrency: u16,
    ctx: Arc<channel::Context<S::Graph, C>>,
    health: &Health,
) where
    S: GraphSource,
    C: Clock,
{
    let seen = ctx.clone();
    let events = watch::<WhatsAppChannel>(client, namespaces);
    let events = told(events, CHANNELS, health.clone()).map(move |event| {
        event.map(|event| {
            take_channel(&seen, &event);
            lean(event)
        })
    });
    let wakes = ctx.signals.channels.clone().stream().map(|key| at::<channel::Lean>(&key));
    let config = controller::Config::default().concurrency(concurrency);
    control(events, wakes, config, channel::reconcile::<S, C>, channel::error_policy, ctx).await;
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
            if let Ok(channel) = &object.0 {
                if matches!(event, Event::InitApply(_)) && channel.status.is_some() {
                    ctx.claims.inherits();
                }
                let key = Key::of(&channel.metadata);
                let claimant = channel::claimant(channel);
                let is_new = claimant.is_new;
                spread(ctx, &key, ctx.claims.apply(&key, claimant, now));
                ctx.signals.births.wake(is_new.then_some(key));
            }
        }
        Event::Delete(object) => {
            let key = Key::of(object.meta());
            ctx.states.remove(&key);
            spread(ctx, &key, ctx.claims.remove(&key, now));
        }
    }
}

/// Wakes whom a change of a channel concerns. A portfolio that it may not use is not among them.
fn spread<G: Clone, C>(ctx: &channel::Context<G, C>, key: &Key, ripple: Ripple) {
    ctx.signals.spread(ripple.within(|of| ctx.portfolios.may_use(of, &key.namespace)));
}

/// Looks for codes that people hand over, and uses them. Reconciles may all be waiting for a slow Meta while a code
/// lapses, so this is a lane of its own.
async fn use_codes<G: Graph, C: Clock>(ctx: Arc<channel::Context<G, C>>) {
    let rounds = stream::unfold(ctx.clone(), |ctx| async move {
        tokio::time::sleep(ctx.shell.limits.secret_poll_live).await;
        Some((stream::iter(ctx.states.with_live_code(ctx.shell.clock.now())), ctx))
    });
    let lane = rounds.flatten().for_each_concurrent(CODES_AT_ONCE, |(key, state, code)| {
        let ctx = ctx.clone();
        async move {
            let pause = match contained(ctx.take_code(&key, &state, &code)).await {
                Ok(None) => return,
                Ok(Some(pause)) => pause,
                Err(error) => ctx.failed(&key, &state.uid, &error),
            };
            // What comes after it has the time of every other reconcile.
            let channels = ctx.signals.channels.clone();
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                channels.wake([key]);
            });
        }
    });
    lane.await;
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
    let seen = ctx.clone();
    let events = watch::<WhatsAppPortfolio>(client, namespaces);
    let events = told(events, PORTFOLIOS, health.clone()).map(move |event| {
        event.map(|event| {
            take_portfolio(&seen, &event);
            lean(event)
        })
    });
    let doubted = ctx.clone();
    let doubts = ctx.signals.doubts.clone().stream().inspect(move |of| doubted.desk.doubt(of));
    // Many counts change at the same time; a portfolio is written once for all of them.
    let recounts = ctx.signals.recounts.clone().crowds(RECOUNT);
    let wakes = stream::select(doubts, recounts)
        .map(|of| ObjectRef::<portfolio::Lean>::new(&of.name).within(&of.namespace));
    let config = controller::Config::default().concurrency(PORTFOLIOS_AT_ONCE);
    control(events, wakes, config, portfolio::reconcile, portfolio::error_policy, ctx).await;
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
            let Ok(object) = &object.0 else { return };
            if matches!(event, Event::InitApply(_)) && object.status.is_some() {
                ctx.desk.claims.inherits();
            }
            let of = portfolio::reference(&Key::of(&object.metadata));
            let access = lower::portfolio(object).map(|desired| desired.access).unwrap_or_default();
            let uid = object.metadata.uid.as_deref().unwrap_or_default();
            if ctx.portfolios.declare(&of, uid, access) {
                ctx.signals.channels.wake(ctx.desk.claims.of_portfolio(&of));
            }
        }
        Event::Delete(object) => {
            let of = portfolio::reference(&Key::of(object.meta()));
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

/// Runs one controller over metadata.
async fn control<K, Ctx, E, R, F>(
    events: impl Stream<Item = watcher::Result<Event<PartialObjectMeta<K>>>> + Send + 'static,
    wakes: impl Stream<Item = ObjectRef<PartialObjectMeta<K>>> + Send + 'static,
    config: controller::Config,
    mut reconcile: R,
    error_policy: fn(Arc<PartialObjectMeta<K>>, &E, Arc<Ctx>) -> Action,
    ctx: Arc<Ctx>,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    PartialObjectMeta<K>: Resource<DynamicType = ()>,
    E: std::error::Error + From<Panicked> + Send + 'static,
    R: FnMut(Arc<PartialObjectMeta<K>>, Arc<Ctx>) -> F,
    F: Future<Output = Result<Action, E>> + Send + 'static,
    Ctx: Send + Sync + 'static,
    ObjectRef<PartialObjectMeta<K>>: Hash + Eq,
{
    let (store, writer): (Store<PartialObjectMeta<K>>, _) = reflector::store();
    let objects =
        events.reflect(writer).applied_objects().predicate_filter(trigger(), PredicateConfig::default());
    Controller::for_stream(objects, store)
        .with_config(config.debounce(DEBOUNCE))
        .reconcile_on(wakes)
        .run(move |object, ctx| contained(reconcile(object, ctx)), error_policy, ctx)
        .for_each(|result| {
            match result {
                Ok((object, _)) => debug!(%object, "reconciled"),
                Err(controller::Error::ObjectNotFound(object)) => debug!(%object, "gone before its turn"),
                Err(controller::Error::ReconcilerFailed(..)) => {} // told by the error policy
                Err(error) => warn!(%error, "watch or queue failed, tried again"),
            }
            ready(())
        })
        .await;
}

/// Edits of the spec, consents, finalizers and deletion; never our own writes of status.
fn trigger<K: Resource>() -> impl Predicate<K> {
    fn deleting<K: Resource>(object: &K) -> Option<u64> {
        object.meta().deletion_timestamp.as_ref().map(|_| 1)
    }
    predicates::generation.combine(predicates::finalizers).combine(predicates::annotations).combine(deleting)
}

/// Reports the state of a watch to readiness.
fn told<T: Send + 'static>(
    events: impl Stream<Item = watcher::Result<Event<T>>> + Send + 'static,
    part: &'static str,
    health: Health,
) -> impl Stream<Item = watcher::Result<Event<T>>> + Send + 'static {
    let is_filled = AtomicBool::new(false);
    events.inspect(move |event| match event {
        Ok(Event::InitDone) => {
            is_filled.store(true, Ordering::Relaxed);
            health.holds(part);
        }
        Err(error) if !is_filled.load(Ordering::Relaxed) => {
            health.missing_part(part, &format!("the cache of {part} is not filled yet: {error}"));
        }
        _ => {}
    })
}

/// Keeps of each object only what a trigger and a key need.
fn lean<K: Resource>(event: Event<DeserializeGuard<K>>) -> Event<PartialObjectMeta<K>> {
    let lean = |mut object: DeserializeGuard<K>| {
        let meta = std::mem::take(object.meta_mut());
        let annotations: BTreeMap<String, String> = meta
            .annotations
            .unwrap_or_default()
            .into_iter()
            .filter(|(name, _)| [lower::SEND_CODE, lower::RETRY, lower::RECONCILE].contains(&name.as_str()))
            .collect();
        PartialObjectMeta {
            types: None,
            metadata: ObjectMeta {
                name: meta.name,
                namespace: meta.namespace,
                uid: meta.uid,
                generation: meta.generation,
                deletion_timestamp: meta.deletion_timestamp,
                finalizers: meta.finalizers,
                annotations: (!annotations.is_empty()).then_some(annotations),
                ..ObjectMeta::default()
            },
            _phantom: std::marker::PhantomData,
        }
    };
    match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(object) => Event::InitApply(lean(object)),
        Event::Apply(object) => Event::Apply(lean(object)),
        Event::Delete(object) => Event::Delete(lean(object)),
    }
}

fn at<K: Resource<DynamicType = ()>>(key: &Key) -> ObjectRef<K> {
    ObjectRef::new(&key.name).within(&key.namespace)
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
async fn count<C: Clock>(claims: &Claims, states: &States, metrics: &Metrics, clock: &C) {
    loop {
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
