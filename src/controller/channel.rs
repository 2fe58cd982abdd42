//! The reconcile of a channel: reads it live, runs one pass, says when to come back.
//!
//! The store holds metadata only. What a pass decides on is read live, so a cache that
//! has not seen our own last write can never be acted on, and memory does not grow
//! with what statuses hold.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{
    Api, Resource,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::controller::Action,
};
use tracing::{debug, info, warn};

use crate::engine::{
    assess::first,
    desired::{Desired, Management, PortfolioRef},
    limits::Limits,
    memory::{ConsentKind, Memory},
    observed::{Claim, ListState, PortfolioState, ProcessFacts},
    reason::Reason,
    spelling::Canonical,
    status::Stage,
    word::Vocabulary,
};
use crate::{
    api::{
        lower,
        v1alpha1::{ChannelCounts, ManagementPolicy, WhatsAppChannel},
    },
    cluster::{Failed, bounded, secret::NamespaceSecrets},
    controller::{
        claim::{Claimant, Claims},
        pace,
        records::{ChannelRecords, Standing, live},
        signal::{Cluster, Signals},
        state::{LiveCode, Stamp, State, States, Wait},
        tell::{Notice, result, transitions},
        view::Portfolios,
        watch::Key,
    },
    meta::port::{Clock, Graph, GraphSource},
    run::{
        pass::{Done, Input, Live, PassError, Record, Records, Shell, WriteError, may_have_written, pass},
        secret::{Purpose, glance, is_same_version},
    },
};

/// What the store keeps of a channel.
pub type Lean = PartialObjectMeta<WhatsAppChannel>;

/// An effect often shows at once; what does not is looked for at the pace of the plan.
const AFTER_ACT: Duration = Duration::from_secs(2);
/// After this many steps in a row something is wrong, so the channel pauses.
const ACTS_IN_A_ROW: u32 = 24;
/// Somebody else holds the object for a moment.
const SHORTLY: Duration = Duration::from_secs(1);

/// What a reconcile gets.
pub struct Context<G, C> {
    pub cluster: Cluster,
    pub shell: Shell<C>,
    pub claims: Arc<Claims>,
    pub portfolios: Arc<Portfolios<G>>,
    pub states: Arc<States>,
    pub signals: Signals,
}

impl<G, C: Clock> Context<G, C> {
    /// Gives a channel its first status as soon as the watch has told of it: nobody waits for that behind looks at
    /// Meta, which are slow, nor behind the pause in which changes come together. Whatever does not go well here
    /// is left to the reconcile.
    pub async fn give_birth(&self, key: &Key) {
        let Some(uid) = self.claims.newborn(key) else { return };
        let state = self.states.of(key, &uid);
        let Ok(_busy) = state.busy.clone().try_lock_owned() else { return };
        let records = ChannelRecords::new(&self.cluster.client, &key.namespace, &key.name, &uid);
        match records.object().await {
            Ok(DeserializeGuard(Ok(channel))) if is_unborn(&channel, &uid) => {
                if let Ok(desired) = lower::channel(&channel) {
                    let written = self.write_first(key, &records, &desired, &live(&channel).version).await;
                    if let Err(error) = written {
                        debug!(namespace = %key.namespace, channel = %key.name, %error, "first status not written yet");
                    }
                }
            }
            Err(Failed::Gone) => self.states.remove(key),
            Ok(_) | Err(_) => {}
        }
        self.claims.born(key);
        self.signals.channels.wake([key.clone()]);
    }

    /// Why a channel was not reconciled is told, and when to try again: later and later, for each object on its own.
    pub fn failed(&self, key: &Key, uid: &str, error: &Error) -> Duration {
        let pause = pace::after_failures(self.states.failed(key, uid));
        warn!(namespace = %key.namespace, channel = %key.name, %error, pause_s = pause.as_secs(), "channel not reconciled");
        self.signals.metrics.pass("channel", "failed");
        pause
    }

    async fn write_first(
        &self,
        key: &Key,
        records: &ChannelRecords,
        desired: &Desired,
        version: &Standing,
    ) -> Result<(), WriteError> {
        let record = Record { assessment: first(desired, self.shell.clock.now()), memory: Memory::default() };
        records.write(&record, version).await?;
        self.signals.metrics.status_writes("channel", 1);
        self.claims.born(key);
        Ok(())
    }
}

impl<G: Graph, C: Clock> Context<G, C> {
    /// Uses the code that a person has written meanwhile; says when to come back, or `None` when there is none yet.
    ///
    /// # Errors
    ///
    /// As of a reconcile.
    pub async fn take_code(
        &self,
        key: &Key,
        state: &Arc<State>,
        code: &LiveCode,
    ) -> Result<Option<Duration>, Error> {
        let client = &self.cluster.client;
        let secrets = NamespaceSecrets::new(client, &key.namespace);
        if is_same_version(&code.seen, &glance(&secrets, Purpose::Code, &code.secret).await) {
            return Ok(None);
        }
        // Whoever works on it may have looked before the code was there; the next round finds out.
        let Ok(hold) = state.busy.clone().try_lock_owned() else { return Ok(None) };
        let api: Api<WhatsAppChannel> = Api::namespaced(client.clone(), &key.namespace);
        let object = match bounded(api.get_metadata(&key.name)).await {
            Ok(object) => object,
            Err(Failed::Gone) => return Ok(None),
            Err(error) => return Err(Error::Read(error)),
        };
        let one = One { ctx: self, object: &object, key, uid: &state.uid, state };
        one.look(hold).await.map(Some)
    }
}

/// Whether this is still the object that waits for its first status.
fn is_unborn(channel: &WhatsAppChannel, uid: &str) -> bool {
    channel.status.is_none()
        && channel.metadata.deletion_timestamp.is_none()
        && channel.metadata.uid.as_deref() == Some(uid)
}

/// Why a reconcile failed; each is tried again after a pause of its own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the channel could not be read: {0}")]
    Read(Failed),
    #[error("the status could not be written: {0}")]
    Write(WriteError),
    #[error("the pass came to nothing: {0}")]
    Pass(PassError),
}

/// What the index keeps of a channel. The number's shape does not matter here: the same digits, in whichever spelling,
/// are rivals.
pub fn claimant(channel: &WhatsAppChannel) -> Claimant {
    let spec = &channel.spec;
    let meta = &channel.metadata;
    let status = channel.status.as_ref();
    let has_number = status.is_some_and(|s| s.phone_number_id.is_some());
    let has_acted = has_number || status.is_some_and(|s| s.in_flight.is_some() || s.ledger.is_some());
    let is_observed = status.is_some_and(|s| s.observed_generation == meta.generation);
    let is_left_alone = status.is_some_and(|s| s.conditions.iter().any(|c| is_left_alone(&c.reason)));
    let is_full = !matches!(spec.management_policy, Some(ManagementPolicy::ObserveOnly));
    let mut counts = ChannelCounts::default();
    lower::count(&mut counts, status);
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    Claimant {
        uid: meta.uid.as_deref().unwrap_or_default().into(),
        digits: Canonical::of(&spec.phone_number),
        portfolio: PortfolioRef {
            namespace: spec.portfolio_ref.namespace.as_deref().unwrap_or(namespace).into(),
            name: spec.portfolio_ref.name.as_str().into(),
        },
        is_eligible: is_full
            && meta.deletion_timestamp.is_none()
            && (!spec.suspend.unwrap_or(false) || has_acted),
        has_number,
        has_managed: has_acted && is_observed && !is_left_alone,
        is_new: status.is_none() && meta.deletion_timestamp.is_none(),
        created: meta.creation_timestamp.as_ref().map_or(Timestamp::MIN, |at| at.0),
        stage: status.and_then(|s| Stage::from_word(s.stage.as_deref()?)).unwrap_or(Stage::Pending),
        counts,
    }
}

/// Whether a condition tells that the channel did not manage its number when it was written.
fn is_left_alone(reason: &str) -> bool {
    [Reason::NumberClaimed, Reason::Suspended, Reason::ObserveOnly, Reason::PortfolioNotUsable]
        .iter()
        .any(|alone| alone.as_str() == reason)
}

/// What somebody asked for, a look or another attempt, and the portfolio holds up: what a person may have mended at
/// Meta since is then seen at once, and not with the next look at the portfolio.
fn asked_in_vain(desired: &Desired, done: &Done) -> Vec<(ConsentKind, Box<str>)> {
    let is_held = match &done.observed.portfolio {
        PortfolioState::View(view) => view.hold.is_some(),
        PortfolioState::NotUsable | PortfolioState::NotYet => false,
    };
    let wanted = &desired.consents;
    if !is_held || desired.suspend {
        return Vec::new();
    }
    [(ConsentKind::Reconcile, &wanted.reconcile), (ConsentKind::Retry, &wanted.retry)]
        .into_iter()
        .filter_map(|(kind, value)| Some((kind, value.as_deref()?)))
        .filter(|(kind, value)| done.memory.answered(*kind, value).is_none())
        .map(|(kind, value)| (kind, value.into()))
        .collect()
}

/// How long until the next look: with whoever shares the list, where nothing is waited for sooner.
fn look_pause(done: &Done, limits: &Limits, now: Timestamp) -> Duration {
    let pause = Duration::try_from(done.plan.next.duration_since(now)).unwrap_or_default();
    let begun = done.memory.account.as_ref().and_then(|account| {
        let list = done.observed.search.iter().find(|searched| searched.account == *account)?;
        match list.list {
            ListState::Complete { begun } => Some((account, begun)),
            ListState::NotCheckable(_) | ListState::Failed(_) => None,
        }
    });
    // A pass takes a moment itself.
    let is_pace = (limits.fresh_list * 9 / 10..=limits.fresh_list).contains(&pause);
    match begun.filter(|_| is_pace) {
        Some((account, begun)) => pace::with_siblings(account, begun, limits.fresh_list, now),
        None => pace::until(done.plan.next, now),
    }
}

/// Reconciles one channel.
///
/// # Errors
///
/// See [`Error`]; [`error_policy`] says when to try again.
pub async fn reconcile<S, C>(object: Arc<Lean>, ctx: Arc<Context<S::Graph, C>>) -> Result<Action, Error>
where
    S: GraphSource,
    C: Clock,
{
    let meta = &object.metadata;
    let key = Key::of(meta);
    if meta.deletion_timestamp.is_some() {
        // Nothing of ours holds it, and nothing is written at Meta for a channel that goes.
        ctx.states.remove(&key);
        return Ok(Action::requeue(pace::LONGEST));
    }
    // Counted until it has ended or was dropped, so that a shutdown sees the task that it may still spawn.
    let _counted = ctx.shell.tasks.token();
    let uid: Arc<str> = meta.uid.as_deref().unwrap_or_default().into();
    let known = ctx.claims.known(&key).filter(|(_, known)| *known == uid);
    let (key, uid) = known.unwrap_or((key, uid));
    let state = ctx.states.of(&key, &uid);
    // First statuses go first, on a lane of their own: only an order, which nothing depends on.
    if state.gives_way(ctx.claims.has_newborn(), &ctx.shell.limits) {
        return Ok(Action::requeue(SHORTLY));
    }
    let Ok(hold) = state.busy.clone().try_lock_owned() else { return Ok(Action::requeue(SHORTLY)) };
    let one = One { ctx: &ctx, object: &object, key: &key, uid: &uid, state: &state };
    if let Some(pause) = one.poll().await {
        return Ok(Action::requeue(pause));
    }
    one.look(hold).await.map(Action::requeue)
}

/// See [`Context::failed`].
pub fn error_policy<G, C: Clock>(object: Arc<Lean>, error: &Error, ctx: Arc<Context<G, C>>) -> Action {
    let key = Key::of(&object.metadata);
    Action::requeue(ctx.failed(&key, object.metadata.uid.as_deref().unwrap_or_default(), error))
}

/// One reconcile of one channel.
struct One<'a, G, C> {
    ctx: &'a Context<G, C>,
    object: &'a Lean,
    key: &'a Key,
    uid: &'a str,
    state: &'a Arc<State>,
}

impl<G: Graph, C: Clock> One<'_, G, C> {
    /// While nothing but a Secret can have changed, reads just that: no look, no write. `None`: a pass is due.
    async fn poll(&self) -> Option<Duration> {
        let wait = self.state.soft().wait.clone()?;
        let now = self.now();
        let of = wait.stamp.view.as_ref().map(|view| PortfolioRef {
            namespace: view.namespace.as_str().into(),
            name: view.name.as_str().into(),
        })?;
        let (portfolio, _) = self.ctx.portfolios.state(&of, &self.key.namespace);
        let consents = lower::consents(self.object.metadata.annotations.as_ref().unwrap_or(&NO_ANNOTATIONS));
        let generation = self.object.metadata.generation.unwrap_or_default();
        // An observer's claim does not come from the index; its wait has no Secrets, so it never gets here.
        let stamp = Stamp::new(generation, consents, self.claim(now), &portfolio);
        if !wait.holds(&stamp, now) {
            return None;
        }
        let left = || {
            let left = Duration::try_from(wait.look_at.duration_since(self.now())).unwrap_or_default();
            left.max(Duration::from_millis(100))
        };
        if wait.is_live(&self.ctx.shell.limits) {
            // Codes have a lane of their own.
            return Some(left());
        }
        let secrets = NamespaceSecrets::new(&self.ctx.cluster.client, &self.key.namespace);
        for (purpose, key, before) in &wait.secrets {
            if !is_same_version(before, &glance(&secrets, *purpose, key).await) {
                return None;
            }
        }
        Some(wait.every.min(left()))
    }

    async fn look(&self, hold: tokio::sync::OwnedMutexGuard<()>) -> Result<Duration, Error> {
        let client = &self.ctx.cluster.client;
        let records = ChannelRecords::new(client, &self.key.namespace, &self.key.name, self.uid);
        let channel = match records.object().await {
            Ok(DeserializeGuard(Ok(channel))) if channel.metadata.uid.as_deref() == Some(self.uid) => channel,
            Ok(DeserializeGuard(Ok(_))) | Err(Failed::Gone) => return Ok(self.gone()),
            Ok(DeserializeGuard(Err(invalid))) => {
                warn!(namespace = %self.key.namespace, channel = %self.key.name, error = %invalid.error, "stored channel does not parse");
                self.tell(vec![Notice::unreadable()]);
                return Ok(pace::LONGEST);
            }
            Err(error) => return Err(Error::Read(error)),
        };
        if channel.metadata.deletion_timestamp.is_some() {
            return Ok(self.gone());
        }
        let desired = match lower::channel(&channel) {
            Ok(desired) => Arc::new(desired),
            Err(why) => return self.refuse(&records, &channel, &why).await,
        };
        let live = live(&channel);
        if channel.status.is_none() {
            return match self.ctx.write_first(self.key, &records, &desired, &live.version).await {
                Ok(()) => Ok(Duration::ZERO),
                Err(WriteError::Conflict) => Ok(SHORTLY),
                Err(WriteError::Gone) => Ok(self.gone()),
                Err(error) => Err(Error::Write(error)),
            };
        }
        let now = self.now();
        let (portfolio, graph) = self.ctx.portfolios.state(&desired.portfolio, &desired.namespace);
        let claim = self.claim_of(&desired, now);
        let stamp = Stamp::new(desired.generation, desired.consents.clone(), claim.clone(), &portfolio);
        let input = self.input(&desired, live, claim, portfolio);
        let secrets = Arc::new(NamespaceSecrets::new(client, &self.key.namespace));
        match pass(&self.ctx.shell, input, graph, secrets, Arc::new(records), hold).await {
            Ok(done) => Ok(self.after(&desired, stamp, done)),
            Err(PassError::Gone) => Ok(self.gone()),
            Err(PassError::Conflict) => {
                debug!(namespace = %self.key.namespace, channel = %self.key.name, "changed meanwhile");
                Ok(SHORTLY)
            }
            Err(error) => Err(Error::Pass(error)),
        }
    }

    fn input<V>(
        &self,
        desired: &Arc<Desired>,
        live: Live<V>,
        claim: Claim,
        portfolio: PortfolioState,
    ) -> Input<V> {
        let soft = self.state.soft();
        Input {
            desired: desired.clone(),
            live,
            claim,
            portfolio,
            after_write: soft.after_write,
            process: ProcessFacts { started: self.ctx.signals.started, last_success: soft.last_success },
            volatile: self.state.volatile.clone(),
        }
    }

    /// A spec that cannot be understood stalls, in one write.
    async fn refuse(
        &self,
        records: &ChannelRecords,
        channel: &WhatsAppChannel,
        why: &lower::SpecInvalid,
    ) -> Result<Duration, Error> {
        let next = lower::refused(channel, why, self.now());
        if channel.status.as_ref() == Some(&next) {
            return Ok(pace::LONGEST);
        }
        let version = channel.metadata.resource_version.as_deref().unwrap_or_default();
        match records.apply(&next, version).await {
            Ok(_) => {
                self.ctx.signals.metrics.status_writes("channel", 1);
                self.tell(vec![Notice::spec_invalid()]);
                Ok(pace::LONGEST)
            }
            Err(WriteError::Conflict) => Ok(SHORTLY),
            Err(WriteError::Gone) => Ok(self.gone()),
            Err(error) => Err(Error::Write(error)),
        }
    }

    /// Remembers, tells, and says when to come back.
    fn after(&self, desired: &Desired, stamp: Stamp, done: Done) -> Duration {
        let now = self.now();
        let limits = &self.ctx.shell.limits;
        let metrics = &self.ctx.signals.metrics;
        metrics.pass("channel", "done");
        metrics.status_writes("channel", done.writes);
        if done.credential_refused {
            info!(namespace = %self.key.namespace, channel = %self.key.name, "Meta refused the credential; the portfolio looks at it");
            self.ctx.signals.doubts.wake([desired.portfolio.clone()]);
        }
        self.tell(transitions(&done.before, &done.after));
        let look_pause = look_pause(&done, limits, now).max(SHORTLY);
        let asked = asked_in_vain(desired, &done);
        let mut soft = self.state.soft();
        if soft.passes_on(asked) {
            self.ctx.signals.doubts.wake([desired.portfolio.clone()]);
        }
        soft.last_success = done.last_success;
        soft.is_idle = desired.suspend || matches!(stamp.claim, Claim::Other { .. });
        soft.failures = 0;
        soft.wait = None;
        soft.code = LiveCode::after(&done, desired, limits, now).map(Box::new);
        let Some(outcome) = &done.outcome else {
            soft.acts = 0;
            let wait = Wait::after(&done, desired, stamp, now + look_pause, limits, now);
            let every = wait.as_ref().map_or(Duration::MAX, |wait| wait.every);
            soft.wait = wait.map(Box::new);
            return look_pause.min(every);
        };
        metrics.step(outcome.step.as_str(), result(&outcome.result));
        if may_have_written(outcome) {
            soft.after_write = Some(outcome.at);
        }
        soft.acts = soft.acts.saturating_add(1);
        if soft.acts > ACTS_IN_A_ROW { pace::LONGEST } else { AFTER_ACT * soft.acts.div_ceil(4) }
    }

    fn claim_of(&self, desired: &Desired, now: Timestamp) -> Claim {
        if desired.management == Management::ObserveOnly && self.ctx.portfolios.is_filled() {
            return Claim::Ours { act_from: None };
        }
        self.claim(now)
    }

    fn claim(&self, now: Timestamp) -> Claim {
        if !self.ctx.portfolios.is_filled() {
            return Claim::Undecided;
        }
        let may_use = |of: &PortfolioRef, namespace: &str| self.ctx.portfolios.may_use(of, namespace);
        let (claim, woken) = self.ctx.claims.claim(self.key, may_use, now);
        self.ctx.signals.channels.wake(woken);
        claim
    }

    fn tell(&self, notices: Vec<Notice>) {
        self.ctx.cluster.tell(&self.ctx.shell.tasks, self.object.object_ref(&()), notices);
    }

    fn gone(&self) -> Duration {
        self.ctx.states.remove(self.key);
        pace::LONGEST
    }

    fn now(&self) -> Timestamp {
        self.ctx.shell.clock.now()
    }
}

static NO_ANNOTATIONS: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
