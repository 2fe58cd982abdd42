//! Which replica works: the one that holds a Lease.
//!
//! A holder works until [`Election::deadline`] after it sent the last renewal that landed. A rival takes the Lease once it
//! has seen it unchanged for longer than the holder asked for, which is later, whatever becomes of calls and answers. Both
//! measure with their own monotonic clock alone; the times in the Lease are for people.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::Client;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tracing::{info, warn};

use crate::{
    cluster::{Failed, lease::OneLease},
    run::may_work::MayWork,
    telemetry::{health::Health, metrics::Metrics},
};

use super::supervise::Pulse;

/// What readiness calls it.
pub const PART: &str = "leader election";
/// A Lease that has ended is looked at this soon after.
const MOMENT: Duration = Duration::from_millis(1);
/// A release that meets a rival or an old renewal is tried so often.
const RELEASES: usize = 3;
/// And no longer than this, however long the Lease is: the pod's time to end is bounded.
pub const RELEASE: Duration = Duration::from_secs(5);

/// Which Lease, and who asks for it.
#[derive(Clone, Debug)]
pub struct Election {
    namespace: String,
    name: String,
    /// Tells this process from every other one, also from the one before it in the same pod.
    identity: String,
    /// How long others leave the Lease alone after they saw a renewal. Whole seconds.
    term: Duration,
}

/// Whether a holder calls itself as a replica of this operator does.
fn is_replica(holder: &str) -> bool {
    holder.rsplit_once('_').is_some_and(|(_, process)| {
        process.len() == 16 && process.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

impl Election {
    /// Of a process in a pod; `process` is random for each start.
    pub fn new((namespace, name): (&str, &str), (pod, process): (&str, u64), term: Duration) -> Self {
        let identity = format!("{pod}_{process:016x}");
        Self { namespace: namespace.to_owned(), name: name.to_owned(), identity, term }
    }

    /// What it is about, for people.
    pub fn named(&self) -> String {
        format!("Lease {} in namespace {}", self.name, self.namespace)
    }

    /// The Lease itself.
    pub fn lease(&self, client: &Client) -> OneLease {
        OneLease::new(client, &self.namespace, &self.name)
    }

    /// So long after the last renewal a holder works at most.
    fn deadline(&self) -> Duration {
        self.term * 2 / 3
    }

    /// Between two renewals.
    fn pause(&self) -> Duration {
        self.term * 2 / 15
    }

    /// Between two looks at a Lease that another holds, and between two tries.
    fn look(&self) -> Duration {
        self.pause() / 2
    }

    /// A call without an answer in this time is given up, which leaves time for others before the deadline.
    fn patience(&self) -> Duration {
        self.deadline() / 3
    }

    /// The Lease as this process holds it from now on.
    fn claim(&self, mut lease: Lease) -> Lease {
        let now = MicroTime(Timestamp::now());
        let own = &self.identity;
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() != Some(own) {
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
            spec.acquire_time = Some(now.clone());
        }
        spec.holder_identity = Some(own.clone());
        spec.lease_duration_seconds = i32::try_from(self.term.as_secs()).ok();
        spec.renew_time = Some(now);
        lease
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        holder(lease) == Some(&self.identity)
    }
}

/// Where the Lease is.
pub trait Leases: Send + Sync {
    fn read(&self) -> impl Future<Output = Result<Option<Lease>, Failed>> + Send;

    /// Onto the version that it carries, or not at all.
    fn write(&self, lease: &Lease) -> impl Future<Output = Result<Lease, Failed>> + Send;
}

impl Leases for OneLease {
    async fn read(&self) -> Result<Option<Lease>, Failed> {
        Self::read(self).await
    }

    async fn write(&self, lease: &Lease) -> Result<Lease, Failed> {
        Self::write(self, lease).await
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

fn version(lease: &Lease) -> &str {
    lease.metadata.resource_version.as_deref().unwrap_or_default()
}

/// A version of the Lease, and when this process saw it first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sighting {
    version: String,
    at: Instant,
}

impl Sighting {
    fn of(lease: &Lease, before: Option<&Self>, now: Instant) -> Self {
        let version = version(lease);
        match before.filter(|before| before.version == version) {
            Some(before) => before.clone(),
            None => Self { version: version.to_owned(), at: now },
        }
    }
}

/// Until when a Lease that is seen like this belongs to somebody else.
fn taken_until(lease: &Lease, seen: &Sighting, election: &Election) -> Option<Instant> {
    if holder(lease).is_none() || election.is_ours(lease) {
        return None;
    }
    Some(seen.at + term_of(lease, election))
}

/// For how long after a renewal a Lease is left alone.
fn term_of(lease: &Lease, election: &Election) -> Duration {
    let asked = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    let asked = asked.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
    asked.map_or(election.term, Duration::from_secs)
}

/// A Lease that is ours, and when the call was sent that made it so.
struct Held {
    lease: Lease,
    since: Instant,
}

/// One replica's part in an election.
pub struct Candidate<L> {
    pub leases: L,
    pub election: Election,
    /// Everybody who works hears of it here.
    pub told: watch::Sender<MayWork>,
    pub health: Health,
    pub metrics: Arc<Metrics>,
}

impl<L: Leases> Candidate<L> {
    /// Stands for election for good, and says who may work.
    pub async fn run(&self, pulse: &Pulse) {
        let mut told = Told::default();
        let named = self.election.named();
        loop {
            let held = self.campaign(&mut told, pulse).await;
            self.renewed(held.since);
            self.metrics.leads(true);
            told.well(&self.health, format!("this replica leads: it holds the {named}"));
            info!(identity = %self.election.identity, "leading");
            let why = self.keep(held, pulse).await;
            self.told.send_replace(MayWork::No);
            self.metrics.leads(false);
            warn!(identity = %self.election.identity, why, "leading no more");
            told.lost(&self.health, format!("this replica leads no more: {why}"));
        }
    }

    fn renewed(&self, since: Instant) {
        self.told.send_replace(MayWork::Until(since + self.election.deadline()));
    }

    /// Waits until the Lease is ours.
    async fn campaign(&self, told: &mut Told, pulse: &Pulse) -> Held {
        let mut seen: Option<Sighting> = None;
        loop {
            pulse.beat();
            let next = match self.bounded(self.leases.read()).await {
                Err(error) => Err(("read", error)),
                Ok(None) => self.take(Lease::default()).await,
                Ok(Some(lease)) => {
                    let now = Instant::now();
                    let sighting = Sighting::of(&lease, seen.as_ref(), now);
                    let taken = taken_until(&lease, &sighting, &self.election).filter(|end| now <= *end);
                    seen = Some(sighting);
                    if let Some(end) = taken {
                        told.well(&self.health, self.standing_by(&lease));
                        sleep_until((now + self.election.look()).min(end + MOMENT)).await;
                        continue;
                    }
                    self.take(lease).await
                }
            };
            match next {
                Ok(Some(held)) => return held,
                // Somebody else was faster.
                Ok(None) => {}
                Err((done, error)) => told.failed(&self.health, &self.election, done, &error),
            }
            sleep(self.election.look()).await;
        }
    }

    async fn take(&self, lease: Lease) -> Result<Option<Held>, (&'static str, Failed)> {
        let since = Instant::now();
        match self.bounded(self.leases.write(&self.election.claim(lease))).await {
            Ok(lease) => Ok(Some(Held { lease, since })),
            Err(Failed::Conflict(_)) => Ok(None),
            Err(error) => Err(("written", error)),
        }
    }

    /// Renews the Lease for as long as it is ours; then says why it is not.
    async fn keep(&self, mut held: Held, pulse: &Pulse) -> String {
        let mut failure = None;
        loop {
            let end = held.since + self.election.deadline();
            match timeout_at(end, self.renew(held.lease, &mut failure, pulse)).await {
                Ok(Ok(next)) => held = next,
                Ok(Err(why)) => return why,
                Err(_) => {
                    let why = failure.unwrap_or_else(|| "this process stood still".to_owned());
                    let deadline = self.election.deadline();
                    return format!("the {} was not renewed for {deadline:?}: {why}", self.election.named());
                }
            }
            self.renewed(held.since);
            failure = None;
        }
    }

    /// Tries until a renewal lands, or the Lease is seen not to be ours.
    async fn renew(
        &self,
        mut lease: Lease,
        failure: &mut Option<String>,
        pulse: &Pulse,
    ) -> Result<Held, String> {
        let named = self.election.named();
        sleep(self.election.pause()).await;
        loop {
            pulse.beat();
            let since = Instant::now();
            let error = match self.bounded(self.leases.write(&self.election.claim(lease.clone()))).await {
                Ok(lease) => return Ok(Held { lease, since }),
                Err(error) => error,
            };
            match error {
                Failed::Gone(_) => return Err(format!("the {named} was deleted")),
                // It may be a renewal of our own that landed unheard.
                Failed::Conflict(_) => match self.bounded(self.leases.read()).await {
                    Ok(Some(standing)) if self.election.is_ours(&standing) => {
                        lease = standing;
                        continue;
                    }
                    Ok(Some(standing)) => {
                        let holder = holder(&standing).unwrap_or("nobody");
                        return Err(format!("the {named} is held by {holder}"));
                    }
                    Ok(None) => return Err(format!("the {named} was deleted")),
                    Err(error) => *failure = Some(error.to_string()),
                },
                error => {
                    if failure.is_none() {
                        warn!(%error, "the Lease was not renewed; it is tried again");
                    }
                    *failure = Some(error.to_string());
                }
            }
            sleep(self.election.look()).await;
        }
    }

    async fn bounded<T>(&self, call: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
        let patience = self.election.patience();
        let late = |_| Err(Failed::NoAnswer(format!("none within {patience:?}")));
        timeout(patience, call).await.unwrap_or_else(late)
    }

    fn standing_by(&self, lease: &Lease) -> String {
        let (named, holder) = (self.election.named(), holder(lease).unwrap_or("nobody"));
        let waits = format!("this replica stands by: the {named} is held by {holder}");
        if is_replica(holder) {
            return waits;
        }
        format!(
            "{waits}, which is no replica of this operator; nothing is done while it renews it. End it, or give this \
             operator a Lease of its own with --leader-election-name. If it has ended, this replica takes over by \
             itself within about {} s, or at once when somebody deletes the Lease",
            term_of(lease, &self.election).as_secs()
        )
    }
}

/// Gives the Lease up, if it is ours. Whoever calls it works no more, and what did not end in its time begins no call any more:
/// the next holder may. What fails is not tried for long: the Lease then ends by itself.
pub async fn release<L: Leases>(leases: &L, election: &Election, told: &watch::Sender<MayWork>) {
    told.send_replace(MayWork::No);
    let releasing = async {
        for _ in 0..RELEASES {
            let Some(mut lease) = leases.read().await?.filter(|lease| election.is_ours(lease)) else {
                return Ok(());
            };
            let spec: &mut LeaseSpec = lease.spec.get_or_insert_default();
            spec.holder_identity = None;
            spec.renew_time = Some(MicroTime(Timestamp::now()));
            match leases.write(&lease).await {
                // A last renewal of ours may have landed in between.
                Err(Failed::Conflict(_)) => {}
                other => return other.map(drop),
            }
        }
        Err(Failed::Conflict("it changed again and again".to_owned()))
    };
    match timeout(election.patience().min(RELEASE), releasing).await {
        Ok(Ok(())) => info!(identity = %election.identity, "the Lease is released"),
        Ok(Err(error)) => warn!(%error, "the Lease was not released; it ends by itself"),
        Err(_) => warn!("the Lease was not released in time; it ends by itself"),
    }
}

/// What readiness and log were told last, so that nothing is logged twice.
#[derive(Default)]
struct Told {
    last: Option<String>,
    /// Since when calls fail.
    failing: Option<Instant>,
}

impl Told {
    fn well(&mut self, health: &Health, note: String) {
        self.failing = None;
        if self.last.as_ref() != Some(&note) {
            info!("{note}");
        }
        health.holds(PART);
        health.note(PART, vec![note.clone()]);
        self.last = Some(note);
    }

    /// Who lost the Lease stands by; what it sees next is told then.
    fn lost(&mut self, health: &Health, note: String) {
        health.note(PART, vec![note]);
        self.last = None;
    }

    /// An API server that is away or starts is no news at first; what it refuses is.
    fn failed(&mut self, health: &Health, election: &Election, done: &str, error: &Failed) {
        let since = *self.failing.get_or_insert_with(Instant::now);
        let named = election.named();
        let text = match error {
            Failed::NoAnswer(_) | Failed::NotServed(_) if since.elapsed() < election.term => return,
            Failed::Forbidden(why) => format!(
                "the {named} may not be {done}, so this replica does not work ({why}); let the operator's ServiceAccount \
                 create Leases in namespace {namespace}, and get and update this one, as the chart does; it is tried \
                 again by itself",
                namespace = election.namespace
            ),
            Failed::NotServed(_) => format!(
                "the API server serves no Leases, so this replica does not work ({error}); run one replica with \
                 --leader-election=false; it is tried again by itself"
            ),
            Failed::Gone(why) => format!(
                "the {named} cannot be {done}, so this replica does not work ({why}); name the namespace in which the \
                 operator runs with --leader-election-namespace; it is tried again by itself"
            ),
            error => format!(
                "the {named} cannot be {done}, so this replica does not work ({error}); it is tried again by itself"
            ),
        };
        if self.last.as_ref() != Some(&text) {
            warn!("{text}");
        }
        health.missing_part(PART, &text);
        health.note(PART, Vec::new());
        self.last = Some(text);
    }
}

#[cfg(test)]
mod tests;
