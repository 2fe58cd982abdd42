//! The controllers of both kinds: an index of what there is, kept by every replica, and the work on it, which is done while a
//! replica is told to, by the Lease where there is more than one.
//!
//! Channels and portfolios meet in [`view::Portfolios`] and wake each other. Nothing here decides what to do at Meta: that is
//! the engine's.

mod channel;
mod claim;
mod concern;
mod contained;
mod crds;
#[cfg(test)]
mod fixture;
mod index;
mod lead;
mod left;
mod newcomer;
mod news;
mod pace;
mod parting;
mod pins;
mod poller;
mod portfolio;
mod queue;
mod records;
mod resting;
mod room;
mod signal;
mod state;
mod supervise;
mod survey;
mod sweep;
mod tell;
mod view;
mod watch;
mod work;

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};

use kube::Client;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::{
    sync::watch as told,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::engine::limits::Limits;
use crate::{
    cluster::{DEADLINE, event::Events},
    meta::port::{Clock, GraphSource},
    repeat::Repeats,
    run::{
        late::Writer,
        may_work::MayWork,
        pass::{Ids, longest},
        unwritten::Unwritten,
    },
    telemetry::{health::Health, metrics::Metrics},
};

use claim::{Claims, Pauses};
use index::Index;
use lead::Candidate;
use records::ChannelMemories;
use signal::{CHANNELS, PORTFOLIOS};
use supervise::{Fallen, Tasks};
pub use watch::Watched;
use work::Work;

pub use lead::Election;
pub use resting::BACKSTOP;

/// Reading and deciding of one reconcile; what is carried out is not bounded by it.
const BUDGET: Duration = Duration::from_secs(60);
/// Portfolios worked on at the same time; one that waits, for Secrets or for Meta, does not count.
const PORTFOLIOS_AT_ONCE: usize = 16;
/// Whoever waits for the index gives a sign of life this often.
const FILLING: Duration = Duration::from_secs(10);

/// What the operator is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to watch.
    pub watched: Watched,
    /// The operator's own namespace, where that is known: attempts are kept there a second time.
    pub own_namespace: Option<String>,
    /// Carries what flags may change: how fresh lists are, when a channel counts as unseen.
    pub limits: Limits,
    /// Channels worked on at the same time; one that waits for Meta does not count.
    pub concurrency: u16,
    /// Tells replicas apart in events; usually the pod's name.
    pub instance: Option<String>,
    /// Whether to work now, and not only to watch.
    pub may_work: told::Receiver<MayWork>,
    /// Who tells it; nobody, where there is one replica.
    pub election: Option<(Election, told::Sender<MayWork>)>,
    pub health: Health,
    pub metrics: Arc<Metrics>,
}

/// Why the controllers ended other than by `stop`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the system gives no randomness, so intents could not be told apart")]
    Randomness,
    #[error(transparent)]
    Fallen(#[from] Fallen),
}

/// Runs the operator until `stop`, then ends what was begun. It watches all the time, and works while it is told to.
///
/// Needs the CRDs only when they are there: until then it is not ready and says what to do.
///
/// # Errors
///
/// When it cannot start, or a task that has to go on ends by itself or falls silent.
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
    let Options {
        watched,
        own_namespace,
        limits,
        concurrency,
        instance,
        may_work,
        election,
        health,
        metrics,
    } = options;
    for part in [CHANNELS, PORTFOLIOS] {
        health.missing_part(part, &format!("the cache of {part} is not filled yet"));
    }
    health.missing_part(crds::PART, "the API server was not asked yet whether it serves the CRDs");
    let displaced = BUDGET + limits.send_before + limits.call_timeout;
    let pauses = Pauses {
        gone: limits.claim_pause,
        displaced: displaced.max(limits.claim_pause),
        kept: limits.claim_kept,
    };
    let places = (usize::from(concurrency), PORTFOLIOS_AT_ONCE);
    let index = Arc::new(Index::new(clock.clone(), Claims::new(pauses), &watched, places));
    let publishing = TaskTracker::new();
    let (limits, unwritten) = (Arc::new(limits), Arc::<Unwritten>::default());
    let late = Arc::new(Writer {
        memories: ChannelMemories(client.clone()),
        unwritten: unwritten.clone(),
        clock: clock.clone(),
        limits: limits.clone(),
        repeats: Repeats::default(),
    });
    let counted = metrics.clone();
    let work = Work {
        index: index.clone(),
        client: client.clone(),
        watched: watched.clone(),
        own_namespace: own_namespace.map(Arc::from),
        events: Events::new(client.clone(), instance, move || counted.event_lost(), &publishing),
        source: Arc::new(source),
        clock,
        limits: limits.clone(),
        ids: Arc::new(Ids::new(random()?)),
        budget: BUDGET,
        unwritten: unwritten.clone(),
        told: may_work,
        health: health.clone(),
        metrics: metrics.clone(),
    };
    info!(namespaces = ?watched.namespaces, labels = index.labels.as_deref(), "starting");
    let mut tasks = Tasks::new("index", health.clone());
    let (own, to, told) = (index.clone(), client.clone(), health.clone());
    tasks.begin("the watch of channels", |pulse| async move { own.watch_channels(&to, &told, &pulse).await });
    let (own, to, told) = (index.clone(), client.clone(), health.clone());
    tasks.begin(
        "the watch of portfolios",
        |pulse| async move { own.watch_portfolios(&to, &told, &pulse).await },
    );
    let (to, told) = (client.clone(), health.clone());
    tasks.begin("the look at the CRDs", |pulse| async move { crds::check(&to, &told, &pulse).await });
    let (own, told, to) = (index.clone(), health.clone(), metrics.clone());
    tasks.begin("the look at the watches", |pulse| async move {
        own.check_watches(&told, &to, &pulse).await;
    });
    let own = late.clone();
    tasks.begin("the writing of late outcomes", |pulse| async move { own.run(|| pulse.beat()).await });
    let held = election.map(|(election, told)| {
        health.missing_part(lead::PART, &format!("the {} was not read yet", election.named()));
        let last = told.clone();
        let candidate = Candidate {
            leases: election.lease(&client),
            election: election.clone(),
            told,
            health: health.clone(),
            metrics: metrics.clone(),
        };
        tasks.begin("the Lease", |pulse| async move {
            // Who cannot see what there is to do leaves it to others.
            while timeout(FILLING, index.filled()).await.is_err() {
                pulse.beat();
            }
            candidate.run(&pulse).await;
        });
        (election.lease(&client), election, last)
    });
    metrics.leads(held.is_none());
    let asked = OnceLock::new();
    let ended = {
        let mut working = std::pin::pin!(work.terms(&stop));
        // What was begun may take a while to end; it is told before.
        let stopping = async {
            stop.cancelled().await;
            let _ = asked.set(Instant::now());
            health.missing_part("stop", "the operator is stopping");
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            ended = &mut working => ended,
            never = stopping => match never {},
            fallen = tasks.fallen() => {
                let _ = asked.set(Instant::now());
                stop.cancel();
                working.await.and(Err(fallen))
            }
        }
    };
    health.missing_part("stop", "the operator is stopping");
    drop(work);
    tasks.end().await;
    // Only now: until here what was begun was still on its way.
    if let Some((lease, election, told)) = &held {
        lead::release(lease, election, told).await;
    }
    metrics.leads(false);
    publishing.close();
    unwritten.hurry();
    let writing = async {
        // No longer than what was begun may take: the pod is given that time.
        let end = *asked.get_or_init(Instant::now) + longest(&limits, DEADLINE);
        if timeout_at(end, late.drain(|| ())).await.is_err() {
            warn!(
                left = unwritten.left(),
                unkept = unwritten.attempts.left(),
                "some outcomes were not written; the next process decides from their intents"
            );
        }
    };
    // What is told of the last passes; nothing waits long for an event.
    let _ = tokio::join!(writing, timeout(DEADLINE, publishing.wait()));
    info!("stopped");
    Ok(ended?)
}

/// By which a process is told from every other one.
///
/// # Errors
///
/// When the system gives no randomness.
pub fn random() -> Result<u64, Error> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Randomness)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::pass::longest;

    #[test]
    fn the_pod_is_given_the_time_that_what_was_begun_may_take() {
        let manifest = include_str!("../../charts/whatsapp-operator/templates/deployment.yaml");
        let given =
            manifest.lines().find_map(|line| line.trim().strip_prefix("terminationGracePeriodSeconds: "));
        let given = Duration::from_secs(given.and_then(|given| given.parse().ok()).unwrap_or_default());
        let needed = longest(&Limits::default(), DEADLINE);
        assert_eq!(needed, Duration::from_millis(119_250));
        // The Lease is released and the last events are told one after the other.
        let after = lead::RELEASE + DEADLINE;
        assert!(given >= needed + after + Duration::from_secs(5), "{given:?} is too short for {needed:?}");
    }
}
