//! The reconcile of a channel: reads it live, runs one pass, says when to come back.
//!
//! No object is kept. What a pass decides on is read live, so a cache that has not seen
//! our own last write can never be acted on, and memory does not grow with what statuses
//! hold.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::ObjectMeta;
use tracing::{Instrument as _, debug, error_span, info, warn};

use crate::engine::{
    action::Action,
    assess::first,
    condition_type::ConditionType,
    desired::{Desired, DesiredConsents, Management, PortfolioRef},
    farewell::Farewell,
    id::{AccountId, CodeStatus, NumberId, PlatformType},
    limits::Limits,
    look::{Follows, Urgency, look, target},
    memory::{ConsentKind, Memory},
    observed::{Claim, ListState, PortfolioState, ProcessFacts},
    plan::{Plan, note_met},
    portfolio::Backing,
    reason::{Reason, ReasonKind},
    spelling::Canonical,
    status::{Before, Stage},
    time::earlier,
    word::Vocabulary,
};
use crate::{
    api::{
        lower,
        v1alpha1::{
            ChannelCounts, DriftPolicy, ManagementPolicy, WhatsAppChannel, WhatsAppChannelStatus,
            WhatsAppPortfolio,
        },
    },
    cluster::{Failed, attempts::NumberAttempts, finalizer, read::Stored, secret::NamespaceSecrets},
    controller::{
        claim::{Answer, Claimant, Claims, Holds, Sighting, Yields},
        concern::concern,
        contained::{Panicked, contained},
        newcomer::Newcomers,
        news::{news, repaired},
        pace, parting,
        queue::{Lane, Next, Seat, Target, Turn},
        records::{ChannelRecords, Standing, live},
        resting::{AccountOf, Accounts, BACKSTOP},
        signal::{CHANNELS, Cluster, Doubt, Signals, reference_to},
        state::{LiveCode, Rest, State, States},
        tell::{Notice, account_turns, result, spans_portfolio, transitions, until_ready},
        view::Portfolios,
        watch::Key,
    },
    meta::port::{Clock, Graph},
    run::{
        attempts::Lost,
        pass::{
            Done, Input, Live, PassError, Record, Records, Shell, WriteError, apart, may_have_written, pass,
        },
        rested::Rested,
        secret::{glance, is_same_version},
        unwritten::Unwritten,
    },
};

/// An effect often shows at once; what does not is looked for at the pace of the plan.
const AFTER_ACT: Duration = Duration::from_secs(2);
/// After this many steps in a row something is wrong, so the channel pauses.
const ACTS_IN_A_ROW: u32 = 24;
/// Somebody else holds the object for a moment.
const SHORTLY: Duration = Duration::from_secs(1);
/// After the first status others of a crowd get theirs, and what is applied together with a channel gets there. A step writes
/// three times as much, and the API server has only so much time.
const AFTER_FIRST: Duration = Duration::from_secs(2);

/// The list of an account that a crowd of new channels needs is waited for no longer than this.
const GIVES_WAY: Duration = Duration::from_millis(500);

/// A number whose claim another channel may lose is looked for this often. Whatever that one does to be looked at again,
/// it has no list read sooner.
const LOOKS_FOR_IT: Duration = Duration::from_secs(60 * 60);

/// Nothing is expected to change.
const AT_LAST: Next = Next::after(pace::LONGEST, Urgency::Drift);

/// What a reconcile gets.
pub struct Context<G, C> {
    pub cluster: Cluster,
    pub shell: Shell<C>,
    pub claims: Arc<Claims>,
    pub portfolios: Arc<Portfolios<G>>,
    pub newcomers: Arc<Newcomers>,
    pub states: Arc<States>,
    pub accounts: Arc<Accounts>,
    /// Of the process, not of the term.
    pub unwritten: Arc<Unwritten>,
    /// What an object has to carry for this operator to see it.
    pub labels: Option<Arc<str>>,
    /// The operator's own namespace, where that is known: attempts are kept there a second time.
    pub own_namespace: Option<Arc<str>>,
    pub signals: Signals,
}

impl<G, C: Clock> Context<G, C> {
    /// Why a channel was not reconciled is told, and when to try again: later and later, for each object on its own.
    fn failed(&self, key: &Key, uid: &str, class: Urgency, error: &Error) -> Next {
        let state = self.states.get(key, uid);
        let pause = pace::after_failures(state.as_ref().map_or(1, |state| state.failed()));
        if let Some(repeated) = self.shell.repeats.tell(&error.to_string()) {
            warn!(%error, pause_s = pause.as_secs(), repeated, "channel not reconciled");
        }
        self.signals.metrics.pass("channel", "failed");
        let now = self.shell.clock.now();
        let after = state.map_or(pause, |state| {
            let mut soft = state.soft();
            let rest =
                Rest::after_failure(soft.code.as_deref(), now + pause, &self.shell.limits, now).map(Box::new);
            soft.rest = rest;
            soft.rest.as_ref().map_or(pause, |rest| rest.pause(now))
        });
        Next::again(after, class)
    }
}

/// Why a reconcile failed; each is tried again after a pause of its own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the channel could not be read: {0}")]
    Read(Failed),
    #[error("the status could not be written: {0}")]
    Write(WriteError),
    #[error("the finalizer could not be written: {0}")]
    Finalizer(Failed),
    #[error("the pass came to nothing: {0}")]
    Pass(PassError),
}

impl From<Panicked> for Error {
    fn from(_: Panicked) -> Self {
        Self::Pass(PassError::Lost)
    }
}

fn created(channel: &WhatsAppChannel) -> Timestamp {
    channel.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |at| at.0)
}

/// What the index keeps of a channel. The number's shape does not matter here: the same digits, in whichever spelling,
/// are rivals.
pub fn claimant(channel: &WhatsAppChannel) -> Claimant {
    let spec = &channel.spec;
    let meta = &channel.metadata;
    let status = channel.seen();
    let number = status.and_then(|s| s.phone_number_id.as_deref()).map(NumberId::from);
    let has_acted = number.is_some()
        || status.is_some_and(|s| s.in_flight().is_some() || s.ledger().is_some() || s.unread().is_some());
    let is_observed = status.is_some_and(|s| s.observed_generation == meta.generation);
    let is_left_alone = status.is_some_and(|s| s.conditions.iter().any(|c| is_left_alone(&c.reason)));
    let is_claimed =
        status.is_some_and(|s| s.conditions.iter().any(|c| c.reason == Reason::NumberClaimed.as_str()));
    let is_full = !matches!(spec.management_policy, Some(ManagementPolicy::ObserveOnly));
    let mut counts = ChannelCounts::default();
    lower::count(&mut counts, status);
    let is_reported = matches!(spec.drift_policy, Some(DriftPolicy::Report));
    let leaves_drift = is_reported || !is_full || spec.suspend.unwrap_or(false);
    let (rating, concern) = status.map(|status| concern(status, leaves_drift)).unwrap_or_default();
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    Claimant {
        uid: meta.uid.as_deref().unwrap_or_default().into(),
        digits: Canonical::of(&spec.phone_number),
        portfolio: PortfolioRef {
            namespace: spec.portfolio_ref.namespace.as_deref().unwrap_or(namespace).into(),
            name: spec.portfolio_ref.name.as_str().into(),
        },
        is_eligible: is_full
            && (meta.deletion_timestamp.is_none() || parting::is_waiting(meta))
            && (!spec.suspend.unwrap_or(false) || has_acted),
        // One that only observes takes nothing back, so it needs no portfolio for it.
        holds: (is_full && finalizer::is_there(meta, lower::CLEANUP)).then(|| Holds {
            since: meta.deletion_timestamp.as_ref().map(|at| at.0),
            seconds: lower::deletion_seconds(spec),
        }),
        number,
        has_acted: has_acted && !is_claimed,
        has_managed: has_acted && is_observed && !is_left_alone,
        yields: yields(status),
        code_secret: spec
            .verification
            .as_ref()
            .and_then(|verification| verification.code_secret_ref.as_ref())
            .map(|place| Arc::new((place.name.as_str().into(), place.key.as_str().into()))),
        awaits_code: status
            .is_some_and(|s| s.waiting_for.iter().any(|wait| wait.action == Action::EnterCode.as_str())),
        created: created(channel),
        stage: status.and_then(|s| Stage::from_word(s.stage.as_deref()?)).unwrap_or(Stage::Pending),
        counts,
        rating,
        concern,
    }
}

/// How its claim gives way, as its status tells: not while it has the number, or while a step of it is in flight. An entry that
/// nobody verified or registered is no number: anybody may have one.
fn yields(status: Option<&WhatsAppChannelStatus>) -> Option<Box<Yields>> {
    let Some(status) = status else { return Some(Box::new(Yields { has_looked: false, account: None })) };
    let added = status.conditions.iter().find(|c| c.type_ == ConditionType::NumberAdded.as_str());
    let reason = added.and_then(|added| Reason::from_name(&added.reason));
    let is_gone =
        matches!(reason, Some(Reason::NumberDeleted | Reason::NumberMigrated | Reason::NumberInOtherAccount));
    let is_unproven = status.facts.as_ref().is_some_and(|facts| {
        let unverified = [CodeStatus::NotVerified, CodeStatus::Unverified];
        facts.code_status.as_deref().is_some_and(|code| unverified.iter().any(|one| one.as_str() == code))
            && facts.platform.as_deref() == Some(PlatformType::NotApplicable.as_str())
    });
    let has_number = status.phone_number_id.is_some() && !is_gone && !is_unproven;
    if has_number || status.in_flight().is_some() || status.unread().is_some() {
        return None;
    }
    let has_added = status.ledger().is_some_and(|ledger| !ledger.adds.is_empty());
    let passes = |reason: Reason| matches!(reason.kind(), ReasonKind::Progress | ReasonKind::Time);
    Some(Box::new(Yields {
        has_looked: has_added || is_unproven || reason.is_some_and(|reason| !passes(reason)),
        account: status.account_id.as_deref().map(AccountId::from),
    }))
}

/// Whether a condition tells that the channel did not manage its number when it was written.
fn is_left_alone(reason: &str) -> bool {
    [Reason::NumberClaimed, Reason::Suspended, Reason::ObserveOnly, Reason::PortfolioNotUsable]
        .iter()
        .any(|alone| alone.as_str() == reason)
}

/// The status of a channel whose spec cannot be understood. When a consent was first met goes into it as well: once the spec
/// is corrected, that counts.
fn refused(
    channel: &WhatsAppChannel,
    met: Option<&DesiredConsents>,
    why: &lower::SpecInvalid,
    now: Timestamp,
) -> WhatsAppChannelStatus {
    let before = lower::memory(channel);
    let mut memory = before.clone();
    note_met(&lower::consents(&channel.metadata).met(met, now), &mut memory, now);
    if memory == before {
        return lower::refused(channel, why, now);
    }
    let standing = channel.status.clone().unwrap_or_default();
    let status = Some(lower::remembering(&memory, &standing));
    lower::refused(&WhatsAppChannel { status, ..channel.clone() }, why, now)
}

/// What somebody asked for, a look or another attempt, and the portfolio holds up, or only a look at the portfolio can
/// answer: what a person may have mended at Meta since is then seen at once, and not with the next look at it.
/// Answers that were given before `since` were passed on before.
fn asked_in_vain(desired: &Desired, done: &Done, since: Timestamp) -> Vec<(ConsentKind, Box<str>)> {
    let is_held = match &done.observed.portfolio {
        PortfolioState::View(view) => view.hold.is_some(),
        PortfolioState::NotUsable | PortfolioState::NotYet => false,
    };
    let of_reach = |reason| {
        use Reason::{AccountAmbiguous, AccountNotInReach, AccountReachUnknown, NoAccountInReach};
        matches!(reason, AccountAmbiguous | AccountNotInReach | AccountReachUnknown | NoAccountInReach)
    };
    let is_about_reach = done.plan.block.as_ref().is_some_and(|block| of_reach(block.reason));
    let wanted = &desired.consents;
    if !(is_held || is_about_reach) || desired.suspend {
        return Vec::new();
    }
    let is_open = |kind, value: &str| match done.memory.answered(kind, value) {
        None => true,
        Some(answer) => is_about_reach && answer.at >= since,
    };
    [(ConsentKind::Reconcile, &wanted.reconcile), (ConsentKind::Retry, &wanted.retry)]
        .into_iter()
        .filter_map(|(kind, value)| Some((kind, value.as_deref()?)))
        .filter(|(kind, value)| is_open(*kind, value))
        .map(|(kind, value)| (kind, value.into()))
        .collect()
}

/// How long until the next look: with whoever shares the list, where nothing is waited for sooner.
/// Whether Meta is asked nothing because a person has to correct something first, such as a portfolio that is not there. That is
/// told by its own reason, and however old it is it tells of no outage.
fn is_for_a_person(done: &Done) -> bool {
    let kind = done.plan.block.as_ref().map(|block| block.reason.kind());
    !done.look.meta && matches!(kind, Some(ReasonKind::Person | ReasonKind::Stalled))
}

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

/// Whom a channel is worked on for, and how urgent it is when the watch tells of it first.
pub fn lane(channel: &WhatsAppChannel, portfolio: &PortfolioRef) -> (Lane, Urgency) {
    let status = channel.seen();
    let account = status.and_then(|s| s.account_id.as_deref()).or(channel.spec.account_id.as_deref());
    let is_ready = status.is_some_and(|s| s.stage.as_deref() == Some(Stage::Ready.as_str()));
    let (target, begin) = match (status, account) {
        (None, _) => (Target::Status, Urgency::Edit),
        (Some(_), Some(account)) => (Target::Account(AccountId::from(account)), Urgency::Transitional),
        (Some(_), None) => (Target::Portfolio, Urgency::Transitional),
    };
    (Lane { portfolio: portfolio.clone(), target }, if is_ready { Urgency::Drift } else { begin })
}

/// Reconciles one channel.
pub async fn work<G: Graph, C: Clock>(ctx: Arc<Context<G, C>>, turn: Turn<Key>) -> Next {
    // Counted until it has ended or was dropped, so that a shutdown sees the task that it may still spawn.
    let _counted = ctx.shell.tasks.token();
    let _timed = ctx.signals.metrics.reconcile(CHANNELS);
    let (key, uid) = ctx.claims.known(&turn.key).unwrap_or_else(|| (turn.key.clone(), Arc::default()));
    // At the highest level, so that each line carries it, whichever are shown.
    let span = error_span!("reconcile", namespace = %key.namespace, channel = %key.name);
    let class = turn.place.class();
    let worked = async {
        let worked = contained(Box::pin(reconcile(&ctx, &key, &uid, turn))).await;
        worked.unwrap_or_else(|error| ctx.failed(&key, &uid, class, &error))
    };
    worked.instrument(span).await
}

async fn reconcile<G: Graph, C: Clock>(
    ctx: &Context<G, C>,
    key: &Key,
    uid: &Arc<str>,
    turn: Turn<Key>,
) -> Result<Next, Error> {
    let state = ctx.states.of(key, uid, ctx.shell.clock.now());
    let mut place = turn.place;
    if turn.is_asked {
        state.soft().rest = None;
    }
    let one = One { ctx, key, uid, state: &state, class: place.class() };
    let Ok(hold) = state.busy.clone().try_lock_owned() else {
        return Ok(one.again());
    };
    // One that waits goes on waiting while its Secret is the same.
    if let Some(next) = one.poll(&mut place).await {
        return Ok(next);
    }
    if let Some((seen, pin)) = ctx.accounts.leave(key) {
        state.volatile.lock().unwrap_or_else(PoisonError::into_inner).know_pin(pin);
        let mut soft = state.soft();
        soft.last_success = soft.last_success.max(Some(seen));
    }
    one.look((hold, place)).await
}

/// Whether what a first look needs was read already.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AtHand {
    Yes,
    No,
    /// The list of this account is read for it.
    Wished(AccountOf),
}

/// One reconcile at a time of an object, and its place in the queue.
type Held = (tokio::sync::OwnedMutexGuard<()>, Seat<Key>);

/// What a channel has to prove its claim with.
struct Own<'a, G> {
    desired: &'a Desired,
    memory: &'a Memory,
    portfolio: &'a PortfolioState,
    graph: Option<&'a G>,
}

impl<G> Clone for Own<'_, G> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<G> Copy for Own<'_, G> {}

impl<'a, G> Own<'a, G> {
    /// The account that it would act in; none while it is suspended.
    fn reach(&self) -> Option<(&'a G, AccountId)> {
        let account = target(self.desired, self.memory, self.portfolio).filter(|_| !self.desired.suspend)?;
        Some((self.graph?, account))
    }
}

/// One reconcile of one channel.
struct One<'a, G, C> {
    ctx: &'a Context<G, C>,
    key: &'a Key,
    uid: &'a str,
    state: &'a Arc<State>,
    /// In which it has its turn.
    class: Urgency,
}

impl<G: Graph, C: Clock> One<'_, G, C> {
    /// The object was changed meanwhile.
    fn again(&self) -> Next {
        Next::again(SHORTLY, self.class)
    }

    /// While nothing but a Secret can have changed, reads just that: no look, no write. `None`: a pass is due.
    async fn poll(&self, place: &mut Seat<Key>) -> Option<Next> {
        let (rest, class) = {
            let soft = self.state.soft();
            let class = match soft.code {
                Some(_) => Urgency::Person,
                None => Urgency::Transitional,
            };
            (soft.rest.clone().filter(|rest| !rest.is_over(self.now()))?, class)
        };
        let secrets = NamespaceSecrets::new(&self.ctx.cluster.client, &self.key.namespace);
        let is_same = async {
            for (purpose, key, before) in &rest.secrets {
                if !is_same_version(before, &glance(&secrets, *purpose, key).await) {
                    return false;
                }
            }
            true
        };
        apart(place, is_same).await.then(|| Next::after(rest.pause(self.now()), class))
    }

    async fn look(&self, mut place: Held) -> Result<Next, Error> {
        let client = &self.ctx.cluster.client;
        let records = ChannelRecords::new(client, &self.key.namespace, &self.key.name, self.uid);
        let shown = self.ctx.newcomers.take(self.key, self.uid);
        let is_shown = shown.is_some();
        let read = match shown {
            Some(channel) => Ok(Stored(Ok(channel))),
            None => records.object().await,
        };
        let channel = match read {
            Ok(Stored(Ok(channel))) if channel.metadata.uid.as_deref() == Some(self.uid) => channel,
            Ok(Stored(Ok(_))) | Err(Failed::Gone(_)) => return Ok(self.gone()),
            Ok(Stored(Err(invalid))) => {
                if let Some(repeated) =
                    self.ctx.shell.repeats.tell(&format!("stored channel: {}", invalid.why))
                {
                    warn!(why = %invalid.why, repeated, "stored channel cannot be used");
                }
                if parting::is_waiting(&invalid.metadata) {
                    let farewell = parting::not_understood(&invalid.why.to_string());
                    return self.part(&invalid.metadata, &farewell).await;
                }
                let consents = lower::consents(&invalid.metadata);
                let uid = invalid.metadata.uid.unwrap_or_default();
                self.tell_of(&uid, vec![Notice::unusable(&invalid.why)]);
                let mut soft = self.state.soft();
                soft.note_met(consents, self.now());
                soft.is_idle = true;
                return Ok(AT_LAST);
            }
            Err(error) => return Err(Error::Read(error)),
        };
        let is_going = channel.metadata.deletion_timestamp.is_some();
        if is_going && !parting::is_waiting(&channel.metadata) {
            return Ok(self.forget());
        }
        let met = self.state.soft().met.clone();
        let desired = match lower::channel(&channel) {
            Ok(mut desired) => {
                desired.interval = self.ctx.shell.limits.interval(desired.interval);
                if let Some(met) = met {
                    desired.consents = desired.consents.met(Some(&met), self.now());
                }
                Arc::new(desired)
            }
            Err(why) if is_going => {
                return self.part(&channel.metadata, &parting::not_understood(&why.to_string())).await;
            }
            Err(why) => return self.refuse(&records, &channel, &why).await,
        };
        let mut channel = channel;
        if !is_going && let Err(stop) = self.carry(&mut channel.metadata, desired.needs_cleanup()).await {
            return stop;
        }
        let live = live(&channel);
        let (portfolio, graph) = self.ctx.portfolios.state(&desired.portfolio, &desired.namespace);
        let own =
            Own { desired: &desired, memory: &live.memory, portfolio: &portfolio, graph: graph.as_ref() };
        let (claim, look_in) = self.claim_of(own, &mut place).await;
        if channel.seen().is_none() {
            match self.is_at_hand(&desired, &claim, &portfolio, graph.as_ref()) {
                AtHand::Yes => {}
                at_hand => return self.begin(&records, channel, &live.version, &desired, at_hand).await,
            }
        }
        let idle = match claim {
            _ if desired.suspend => Some(BACKSTOP),
            Claim::Other { .. } => Some(look_in.unwrap_or(BACKSTOP)),
            Claim::Undecided | Claim::Ours { .. } => None,
        };
        let ends_anyway = self.is_overdue(&desired, &live.memory).then(|| live.memory.clone());
        let input = Input { is_shown, ..self.input(&desired, live, claim, portfolio) };
        let secrets = Arc::new(NamespaceSecrets::new(client, &self.key.namespace));
        let beside = &desired.portfolio.namespace;
        let number = desired.number.canonical();
        let mut attempts = NumberAttempts::new(client, beside, &number);
        if let Some(own) = &self.ctx.own_namespace {
            attempts = attempts.also_with_operator(client, own, &input.portfolio, &number);
        }
        let kept = (Arc::new(records), Arc::new(attempts));
        match pass(&self.ctx.shell, input, graph, secrets, kept, place).await {
            Ok(Done { plan: Plan { farewell: Some(farewell), .. }, lost, .. }) => {
                self.tell_lost(&desired, &lost);
                self.part(&channel.metadata, &farewell).await
            }
            Ok(done) => Ok(self.after(&desired, created(&channel), idle, done)),
            Err(PassError::Gone) => Ok(self.gone()),
            Err(PassError::Conflict) => {
                debug!("changed meanwhile");
                Ok(self.again())
            }
            Err(error) => match ends_anyway {
                Some(memory) => {
                    self.part(&channel.metadata, &parting::undecided(&memory, &error.to_string())).await
                }
                None => Err(Error::Pass(error)),
            },
        }
    }

    /// Whether its deletion ends with this pass, whatever comes of it.
    fn is_overdue(&self, desired: &Desired, memory: &Memory) -> bool {
        let (started, limits) = (self.ctx.signals.started, &self.ctx.shell.limits);
        parting::is_overdue(desired, memory, started, limits, self.now())
    }

    /// Has the object carry the finalizer before anything is done that may have to be taken back.
    async fn carry(&self, meta: &mut ObjectMeta, is_needed: bool) -> Result<(), Result<Next, Error>> {
        match parting::carry::<WhatsAppChannel>(&self.ctx.cluster.client, meta, is_needed).await {
            Ok(None) => {}
            Ok(Some(written)) => *meta = written,
            Err(Failed::Conflict(_)) => return Err(Ok(self.again())),
            Err(Failed::Gone(_)) => return Err(Ok(self.gone())),
            // A right that is missing, or a policy that denies it, holds nothing else up.
            Err(error @ (Failed::Forbidden(_) | Failed::Refused(_))) => {
                let repeats = &self.ctx.shell.repeats;
                parting::tell_unwritten::<WhatsAppChannel>(&self.ctx.cluster, repeats, meta, &error);
            }
            Err(error) => return Err(Err(Error::Finalizer(error))),
        }
        Ok(())
    }

    /// Lets the object go, as it was when that was decided.
    async fn part(&self, meta: &ObjectMeta, farewell: &Farewell) -> Result<Next, Error> {
        if !self.ctx.shell.may_work.borrow().holds() {
            return Ok(self.again());
        }
        match parting::part::<WhatsAppChannel>(&self.ctx.cluster, meta, farewell).await {
            Ok(()) => Ok(self.forget()),
            Err(Failed::Conflict(_)) => Ok(self.again()),
            Err(error) => Err(Error::Finalizer(error)),
        }
    }

    /// Whether a first look waits for nothing and finds the number, so that it can write the first status: in a crowd of
    /// channels of numbers that exist, one list serves all. Where it would wait, the list is wished for.
    fn is_at_hand(
        &self,
        desired: &Desired,
        claim: &Claim,
        portfolio: &PortfolioState,
        graph: Option<&G>,
    ) -> AtHand {
        let (limits, now) = (&*self.ctx.shell.limits, self.now());
        let (memory, before, process) = (Memory::default(), Before::default(), ProcessFacts::new(now));
        let (before, process) = (&before, &process);
        let follows = Follows { before, after_write: None, may_add: true, process, picture: None };
        let look = look(desired, &memory, claim, portfolio, follows, limits, now);
        let of = |account: &AccountId| AccountOf {
            portfolio: desired.portfolio.clone(),
            account: account.clone(),
        };
        if let Some(account) = &desired.account {
            self.ctx.newcomers.looked_in(&of(account));
        }
        let Some((graph, target)) = graph.zip(look.accounts.first()) else { return AtHand::No };
        if let Some(has_it) = graph.known(&look, &desired.number.canonical()) {
            return if has_it { AtHand::Yes } else { AtHand::No };
        }
        // Those of the crowd that come after this one find their lists then.
        let crowd = self.ctx.newcomers.take_accounts(&desired.portfolio).into_iter();
        let in_reach = |of: &AccountOf| look.accounts.iter().any(|wanted| wanted.account == of.account);
        let (accounts, own) = (&self.ctx.signals.accounts, of(&target.account));
        for of in std::iter::once(own.clone()).chain(crowd.filter(in_reach)) {
            accounts.know(&of, || of.lane());
            accounts.ask(&of, Urgency::Drift);
        }
        AtHand::Wished(own)
    }

    /// The first status of a new channel, where no look can write it.
    async fn begin(
        &self,
        records: &ChannelRecords,
        channel: WhatsAppChannel,
        version: &Standing,
        desired: &Desired,
        at_hand: AtHand,
    ) -> Result<Next, Error> {
        // Others of the crowd stand before it anyway, and the list may well be there when they had their turn.
        let is_in_crowd = || self.ctx.signals.channels.is_crowded(Urgency::Edit);
        if let AtHand::Wished(of) = at_hand
            && is_in_crowd()
            && !self.state.soft().gave_way
        {
            self.state.soft().gave_way = true;
            self.ctx.newcomers.waits(self.key, of);
            self.ctx.newcomers.give_back(self.key, &channel);
            if self.ctx.claims.known(self.key).is_none_or(|(_, uid)| *uid != *self.uid) {
                self.ctx.newcomers.forget(self.key);
            }
            return Ok(Next::after(GIVES_WAY, Urgency::Edit));
        }
        match self.write_first(records, desired, version).await {
            Ok(()) => Ok(Next::after(AFTER_FIRST, Urgency::Transitional)),
            Err(WriteError::Conflict) => Ok(self.again()),
            Err(WriteError::Gone) => Ok(self.gone()),
            Err(error) => Err(Error::Write(error)),
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
            is_shown: false,
            claim,
            portfolio,
            after_write: soft.after_write,
            process: ProcessFacts {
                intents: Some(self.ctx.shell.ids.prefix()),
                last_success: soft.last_success,
                code_shared: self.ctx.claims.code_shared(self.key),
                labels: self.ctx.labels.clone(),
                ..ProcessFacts::new(self.ctx.signals.started)
            },
            volatile: self.state.volatile.clone(),
            unwritten: self.ctx.unwritten.clone(),
            is_of_another: {
                let (claims, key) = (self.ctx.claims.clone(), self.key.clone());
                Arc::new(move |number| claims.is_of_another(&key, number))
            },
        }
    }

    /// A spec that cannot be understood stalls, in one write.
    async fn refuse(
        &self,
        records: &ChannelRecords,
        channel: &WhatsAppChannel,
        why: &lower::SpecInvalid,
    ) -> Result<Next, Error> {
        let next = refused(channel, self.state.soft().met.as_deref(), why, self.now());
        self.state.soft().is_idle = true;
        if channel.status.as_ref() == Some(&next) {
            return Ok(AT_LAST);
        }
        let version = channel.metadata.resource_version.as_deref().unwrap_or_default();
        match records.apply(&next, version).await {
            Ok(_) => {
                self.ctx.signals.metrics.status_writes("channel", 1);
                self.tell(vec![Notice::spec_invalid()]);
                Ok(AT_LAST)
            }
            Err(WriteError::Conflict) => Ok(self.again()),
            Err(WriteError::Gone) => Ok(self.gone()),
            Err(error) => Err(Error::Write(error)),
        }
    }

    /// Remembers, tells, and says when to come back.
    fn after(&self, desired: &Desired, created: Timestamp, idle: Option<Duration>, done: Done) -> Next {
        let now = self.now();
        let limits = &self.ctx.shell.limits;
        let metrics = &self.ctx.signals.metrics;
        metrics.pass("channel", "done");
        metrics.status_writes("channel", done.writes);
        if done.credential_refused {
            info!("Meta refused the credential; the portfolio looks at it");
            self.ctx.signals.doubt(&desired.portfolio, Doubt::Credential);
        }
        if let Some(seconds) = until_ready(&done.before, &done.after) {
            metrics.became_ready(seconds);
        }
        self.tell(transitions(&done.before, &done.after));
        self.tell(news(&done.before, &done.after));
        self.tell_repaired(&desired.portfolio, &done);
        self.tell_account(desired, &done);
        self.tell_lost(desired, &done.lost);
        if done.observed.account.known().is_some() {
            self.note_account(&desired.portfolio, &done.observed.portfolio);
        }
        let look_pause = look_pause(&done, limits, now).max(SHORTLY);
        let mut soft = self.state.soft();
        let asked = asked_in_vain(desired, &done, soft.last_success.unwrap_or(self.ctx.signals.started));
        if soft.passes_on(asked) {
            self.ctx.signals.doubt(&desired.portfolio, Doubt::Reach);
        }
        soft.last_success = done.last_success;
        soft.met = None;
        soft.is_idle = idle.is_some() || is_for_a_person(&done);
        soft.failures = 0;
        soft.code = LiveCode::after(&done, desired, limits, now).map(Box::new);
        let pause = match &done.outcome {
            None => {
                soft.acts = 0;
                look_pause
            }
            Some(outcome) => {
                metrics.step(outcome.step.as_str(), result(&outcome.result));
                if may_have_written(outcome) {
                    soft.after_write = Some(outcome.at);
                }
                soft.acts = soft.acts.saturating_add(1);
                if soft.acts > ACTS_IN_A_ROW { pace::LONGEST } else { AFTER_ACT * soft.acts.div_ceil(4) }
            }
        };
        let rest = Rest::after(&done, desired, soft.code.as_deref(), now + pause, limits, now);
        let after = rest.as_ref().map_or(pause, |rest| rest.pause(now).min(pause));
        soft.rest = rest.map(Box::new);
        let class = match done.look.urgency {
            _ if soft.code.is_some() => Urgency::Person,
            Urgency::Edit => Urgency::Transitional,
            other => other,
        };
        let is_over = |rested: &Rested| rested.date.is_none_or(|date| date > now + limits.fresh_list);
        let rested = done.rested.clone().filter(|_| soft.rest.is_none() && soft.code.is_none());
        let rested = rested.filter(is_over);
        drop(soft);
        match rested {
            Some(rested) => {
                let registered = done.after.conditions.get(ConditionType::Registered);
                let newest = registered.map_or(created, |registered| created.max(registered.since));
                self.rest(desired, newest, &rested, now)
            }
            // Whoever ends that wakes it.
            _ => {
                self.ctx.states.shorten(self.key, self.uid, now);
                idle.map_or(Next::after(after, class), |pause| Next::after(pause, Urgency::Drift))
            }
        }
    }

    /// From here on its account looks for it.
    fn rest(&self, desired: &Desired, newest: Timestamp, rested: &Rested, now: Timestamp) -> Next {
        // Somebody wrote to it while this pass wrote: that is not at rest with it.
        if self.ctx.signals.channels.has_shown_later(self.key, &rested.version) {
            self.ctx.states.shorten(self.key, self.uid, now);
            return Next::after(SHORTLY, Urgency::Transitional);
        }
        // To this process, all that there is at its start is new.
        let newest = newest.max(self.ctx.signals.started);
        let pin = self.state.volatile.lock().unwrap_or_else(PoisonError::into_inner).known_pin();
        let of = self.ctx.accounts.rest(&desired.portfolio, self.key, newest, rested, pin);
        let accounts = &self.ctx.signals.accounts;
        accounts.know(&of, || of.lane());
        let every = self.ctx.shell.limits.fresh_list;
        accounts.within(&of, pace::at_rest(&of.account, rested.begun, every, rested.interval, now));
        self.ctx.states.retire(self.key, self.uid, rested.begun, now);
        if self.ctx.claims.known(self.key).is_none_or(|(_, uid)| *uid != *self.uid) {
            self.ctx.accounts.leave(self.key);
        }
        if self.ctx.are_at_rest(&of)
            && self.ctx.accounts.lets_go(&of, every, now)
            && let Some(graph) = self.ctx.portfolios.state(&desired.portfolio, &desired.namespace).1
        {
            graph.let_go(&of.account);
        }
        let date = rested.date.map(|date| Duration::try_from(date.duration_since(now)).unwrap_or_default());
        Next { after: date, class: Urgency::Drift }
    }

    /// Whether it manages the number, and when to ask again where that may change without anybody being woken.
    async fn claim_of(&self, own: Own<'_, G>, place: &mut Held) -> (Claim, Option<Duration>) {
        let Own { desired, .. } = own;
        if !self.ctx.portfolios.is_filled() {
            return (Claim::Undecided, None);
        }
        if desired.management == Management::ObserveOnly {
            return (Claim::Ours { act_from: None }, None);
        }
        let is_contested = self.ctx.claims.has_rival(self.key);
        if is_contested {
            self.prove(own, place).await;
        }
        let mut answer = self.claim();
        let is_due = |contest: Option<Timestamp>| contest.is_some_and(|from| from <= self.now());
        if is_due(answer.contest)
            && let Some(sighting) = self.sighting(own, place).await
        {
            let backing = |of: &PortfolioRef, namespace: &str| self.ctx.portfolios.backing(of, namespace);
            self.ctx.claims.proves(self.key, sighting, backing);
            answer = self.claim();
        }
        let backing = self.ctx.portfolios.backing(&desired.portfolio, &desired.namespace);
        let look_in = match answer.contest {
            Some(from) if from > self.now() => Some(pace::until(from, self.now()).max(SHORTLY)),
            Some(_) => Some(LOOKS_FOR_IT),
            None => (backing == Some(Backing::Works)).then_some(self.ctx.shell.limits.fresh_list),
        };
        (answer.claim, look_in.filter(|_| is_contested))
    }

    fn claim(&self) -> Answer {
        let backing = |of: &PortfolioRef, namespace: &str| self.ctx.portfolios.backing(of, namespace);
        let mut answer = self.ctx.claims.claim(self.key, backing, self.now());
        self.ctx.signals.channels.wake(std::mem::take(&mut answer.woken));
        answer
    }

    /// Where Meta shows nothing of the portfolio to its credentials, an account in reach proves it as well.
    async fn prove(&self, own: Own<'_, G>, place: &mut Held) {
        let of = &own.desired.portfolio;
        if self.ctx.portfolios.backing(of, &own.desired.namespace) != Some(Backing::Works) {
            return;
        }
        let Some((graph, account)) = own.reach() else { return };
        let not_before = earlier(self.now(), self.ctx.shell.limits.fresh_portfolio);
        if apart(place, graph.account(&account, not_before, Urgency::Transitional)).await.is_ok() {
            self.note_account(of, own.portfolio);
        }
    }

    /// Meta showed an account to the credentials of its portfolio, so the claims below it count.
    fn note_account(&self, of: &PortfolioRef, portfolio: &PortfolioState) {
        let PortfolioState::View(view) = portfolio else { return };
        let version = view.credential_version.as_deref();
        if version.is_some_and(|version| self.ctx.portfolios.shows_account(of, version)) {
            let claims = &self.ctx.claims;
            let contested = claims.of_portfolio(of).into_iter().filter(|key| claims.has_rival(key));
            self.ctx.signals.channels.wake(contested.collect::<Vec<_>>());
        }
    }

    /// Where the number is in an account that its own portfolio reaches. The list that shows it is fresh; one that does
    /// not may be older, unless somebody asks.
    async fn sighting(&self, own: Own<'_, G>, place: &mut Held) -> Option<Sighting> {
        let (graph, account) = own.reach()?;
        let number = own.desired.number.canonical();
        let fresh = self.ctx.shell.limits.fresh_list;
        let mut is_owned = false;
        for age in [if self.class <= Urgency::Edit { fresh } else { LOOKS_FOR_IT.max(fresh) }, fresh] {
            let read = graph.numbers(&account, earlier(self.now(), age), Urgency::Transitional);
            let entries = apart(place, read).await.ok()?.entries_of(&number, own.memory.number.as_ref());
            if entries.is_empty() {
                return None;
            }
            is_owned = entries.iter().any(|entry| entry.is_owned());
        }
        Some(Sighting { account, is_owned })
    }

    async fn write_first(
        &self,
        records: &ChannelRecords,
        desired: &Desired,
        version: &Standing,
    ) -> Result<(), WriteError> {
        let record = Record { assessment: first(desired, self.now()), memory: Memory::default() };
        records.write(&record, version).await?;
        self.ctx.signals.metrics.status_writes("channel", 1);
        Ok(())
    }

    /// What its account is the cause of is told once, on the portfolio. Where no account can be told, it is told of the
    /// namespace.
    fn tell_account(&self, desired: &Desired, done: &Done) {
        let turns = account_turns(&done.before, &done.after);
        let of = &desired.portfolio;
        let Some(uid) = self.ctx.portfolios.uid(of).filter(|_| !turns.is_empty()) else { return };
        let searched = || done.observed.search.first().map(|searched| &searched.account);
        let account = done.memory.account.as_ref().or(desired.account.as_ref()).or_else(searched);
        let part = match account {
            Some(account) => format!("account {account}"),
            None => format!("namespace {}", desired.namespace),
        };
        let whole = reference_to::<WhatsAppPortfolio>(&of.namespace, &of.name, &uid);
        let about = ObjectReference {
            // Events of one object are folded where they are about the same part of it.
            field_path: account.map(|account| format!("status.accounts{{{account}}}")),
            ..whole.clone()
        };
        for turn in turns {
            let (about, part) = match spans_portfolio(turn, &done.before, &done.after) {
                true => (&whole, "every account"),
                false => (&about, part.as_str()),
            };
            if self.ctx.signals.is_turn((of.clone(), part.into()), turn, self.now()) {
                self.ctx.cluster.tell(about, Notice::part(part, turn).into_iter().collect());
            }
        }
    }

    /// What was written again because somebody else had changed it: other fields are another event.
    fn tell_repaired(&self, portfolio: &PortfolioRef, done: &Done) {
        let Some(fields) = repaired(&done.plan, done.outcome.as_ref(), &done.memory) else { return };
        let about = ObjectReference {
            field_path: Some(format!("spec{{{fields}}}")),
            ..reference_to::<WhatsAppChannel>(&self.key.namespace, &self.key.name, self.uid)
        };
        // One cause changes thousands of channels, and is told once a minute.
        let cause = format!("{fields} {}/{}", portfolio.namespace, portfolio.name);
        let notice = Notice::repaired(&fields).paced(&self.ctx.shell.repeats, &cause);
        self.ctx.cluster.tell(&about, notice.into_iter().collect());
    }

    /// Tells which attempts would not outlive the channel.
    fn tell_lost(&self, desired: &Desired, lost: &[Lost]) {
        let (repeats, object) =
            (&self.ctx.shell.repeats, format!("{}/{}", self.key.namespace, self.key.name));
        let notices = lost.iter().map(|lost| Notice::lost(lost, &desired.portfolio.namespace));
        self.tell(notices.filter_map(|notice| notice.paced(repeats, &object)).collect());
    }

    fn tell(&self, notices: Vec<Notice>) {
        self.tell_of(self.uid, notices);
    }

    fn tell_of(&self, uid: &str, notices: Vec<Notice>) {
        let about = reference_to::<WhatsAppChannel>(&self.key.namespace, &self.key.name, uid);
        self.ctx.cluster.tell(&about, notices);
    }

    /// The API server has no such object, whether a watch told so or not: it has no claim any more, and the next one is woken.
    fn gone(&self) -> Next {
        let ripple = self.ctx.claims.remove_if(self.key, self.uid, self.now());
        let may_use = |of: &PortfolioRef| self.ctx.portfolios.may_use(of, &self.key.namespace);
        self.ctx.signals.spread(ripple.within(may_use));
        self.forget()
    }

    fn forget(&self) -> Next {
        self.ctx.states.remove(self.key);
        self.ctx.unwritten.forget(self.uid);
        AT_LAST
    }

    fn now(&self) -> Timestamp {
        self.ctx.shell.clock.now()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use axum::{body::Body, http};
    use kube::Client;
    use secrecy::SecretString;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        controller::{fixture, queue::Seen, supervise::Pulse},
        engine::{
            self,
            portfolio::{Hold, PortfolioView, Reach},
        },
        meta::{
            client::Meta,
            port::{Credential, GraphSource as _},
            settings::Settings,
            transport::install_crypto,
        },
        sandbox::{Options, Sandbox, World},
        twin::VirtualClock,
    };

    fn new_channel() -> Value {
        json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
            "metadata": {"name": "support", "namespace": "shop", "uid": "1", "resourceVersion": "7", "generation": 1},
            "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme"},
        })
    }

    fn answered(code: u16, body: &Value) -> http::Response<Body> {
        http::Response::builder().status(code).body(Body::from(body.to_string())).expect("an answer")
    }

    fn refused(code: u16, reason: &str) -> http::Response<Body> {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "not now", "reason": reason, "code": code});
        answered(code, &status)
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_a_person_waits_for_keeps_its_class_through_failures_and_conflicts() {
        // The first two reads fail, and each write finds that somebody else was faster.
        let reads = Arc::new(AtomicUsize::new(0));
        let asked = reads.clone();
        let server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let reads = asked.clone();
            async move {
                let is_failing = || reads.fetch_add(1, Ordering::SeqCst) < 2;
                Ok::<_, Infallible>(match *request.method() {
                    http::Method::GET if is_failing() => refused(500, "InternalError"),
                    http::Method::GET => answered(200, &new_channel()),
                    _ => refused(409, "Conflict"),
                })
            }
        });
        let sandbox = Sandbox::from_world(Options::default(), World::default());
        let ctx = fixture::context(Client::new(server, "shop"), sandbox);
        let channel: WhatsAppChannel = serde_json::from_value(new_channel()).expect("a channel");
        let key = Key::of(&channel.metadata);
        let claimant = claimant(&channel);
        let (lane, _) = lane(&channel, &claimant.portfolio);
        ctx.claims.apply(&key, claimant, ctx.shell.clock.now());
        let queue = ctx.signals.channels.clone();
        queue.shows(&key, lane, Seen::of(&channel.metadata, &[]), Urgency::Person);
        let classes = Mutex::new(Vec::new());
        let told = |class, _| classes.lock().expect("sound").push(class);
        let running = queue.run(Pulse::new(), |turn| work(ctx.clone(), turn), told);
        let _ = tokio::time::timeout(Duration::from_secs(15), running).await;
        let classes = classes.into_inner().expect("sound");
        assert!(classes.len() > 5 && reads.load(Ordering::SeqCst) > 5, "{classes:?}");
        assert!(classes.iter().all(|class| *class == Urgency::Person), "{classes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_that_the_api_server_does_not_find_leaves_its_claim_to_the_next_whatever_watches_told()
    {
        type Case = (&'static str, http::Method, Value);
        let seen = json!({"status": {"observedGeneration": 1}});
        let cases: [Case; 5] = [
            ("a read", http::Method::GET, json!({})),
            ("its first status", http::Method::PATCH, json!({})),
            ("a later status", http::Method::PATCH, seen.clone()),
            ("the status of a refused spec", http::Method::PATCH, json!({"spec": {"phoneNumber": "+1"}})),
            ("its finalizer", http::Method::PATCH, json!({"spec": {"deletionPolicy": "Unroute"}})),
        ];
        for (what, missing, more) in cases {
            let mut object = new_channel();
            for (part, fields) in more.as_object().expect("parts") {
                for (field, value) in fields.as_object().expect("fields") {
                    object[part][field] = value.clone();
                }
            }
            let (stored, asked) = (object.clone(), Arc::new(Mutex::new(Vec::new())));
            let heard = asked.clone();
            let server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
                heard.lock().expect("sound").push(request.method().clone());
                let answer = match *request.method() == missing {
                    false => answered(200, &stored),
                    true => {
                        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                            "message": "not found", "reason": "NotFound", "code": 404,
                            "details": {"name": "support", "kind": "whatsappchannels"}});
                        answered(404, &status)
                    }
                };
                async move { Ok::<_, Infallible>(answer) }
            });
            let sandbox = Sandbox::from_world(Options::default(), World::default());
            let ctx = fixture::context(Client::new(server, "shop"), sandbox);
            let now = ctx.shell.clock.now();
            ctx.claims.filled(now);
            ctx.portfolios.filled();
            let channel: WhatsAppChannel = serde_json::from_value(object).expect("a channel");
            let key = Key::of(&channel.metadata);
            let of = claimant(&channel).portfolio;
            // Its number, whatever stands in its spec now.
            let digits = Canonical::of("+5511912345678");
            ctx.claims.apply(&key, Claimant { digits: digits.clone(), ..claimant(&channel) }, now);
            let heir = Key { namespace: "shop".into(), name: "heir".into() };
            let younger = Claimant { uid: "2".into(), created: now, digits, ..claimant(&channel) };
            ctx.claims.apply(&heir, younger, now);
            let claim = |at| ctx.claims.claim(&heir, |_, _| Some(Backing::Proven), at).claim;
            let later = now + Duration::from_secs(3_600);
            assert!(matches!(claim(later), Claim::Other { .. }), "{what}");
            let queue = ctx.signals.channels.clone();
            let (lane, _) = lane(&channel, &of);
            queue.shows(&key, lane, Seen::of(&channel.metadata, &[]), Urgency::Edit);
            let running = queue.run(Pulse::new(), |turn| work(ctx.clone(), turn), |_, _| ());
            let _ = tokio::time::timeout(Duration::from_secs(5), running).await;
            assert!(!asked.lock().expect("sound").is_empty(), "{what}");
            assert!(matches!(claim(later), Claim::Ours { act_from: None }), "{what}: {:?}", claim(later));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_that_a_person_has_to_correct_first_is_not_among_those_that_are_unseen() {
        let view = |reason: Option<Reason>| PortfolioView {
            namespace: "shop".into(),
            hold: reason.map(|reason| Hold { reason, message: "why".into(), failure: None }),
            ..engine::fixture::view()
        };
        let number = |number: &str| json!({"spec": {"phoneNumber": number}});
        let good = || number("+5511912345678");
        for (what, portfolio, channel, is_unseen) in [
            ("its portfolio is not there", None, good(), false),
            ("its portfolio was not read yet", Some(None), good(), true),
            (
                "a person has to replace the token",
                Some(Some(view(Some(Reason::TokenInvalid)))),
                good(),
                false,
            ),
            (
                "Meta gives no answer about the token",
                Some(Some(view(Some(Reason::PortfolioNotReadYet)))),
                good(),
                true,
            ),
            (
                "the account is not in reach",
                Some(Some(view(None))),
                json!({"spec": {"accountId": "7"}}),
                false,
            ),
            ("its spec is refused", Some(None), number("+1"), false),
            ("it does not parse", Some(None), json!({"spec": {"displayName": 7}}), false),
        ] {
            let mut object = new_channel();
            object["status"] = json!({"observedGeneration": 1});
            for (field, value) in channel["spec"].as_object().expect("fields") {
                object["spec"][field] = value.clone();
            }
            let stored = object.clone();
            let server = tower::service_fn(move |_: http::Request<kube::client::Body>| {
                let answer = answered(200, &stored);
                async move { Ok::<_, Infallible>(answer) }
            });
            let sandbox = Sandbox::from_world(Options::default(), World::default());
            let ctx = fixture::context(Client::new(server, "shop"), sandbox);
            ctx.portfolios.filled();
            ctx.claims.filled(ctx.shell.clock.now());
            let of = PortfolioRef { namespace: "shop".into(), name: "acme".into() };
            if let Some(view) = portfolio {
                ctx.portfolios.declare(&of, "1", [].into());
                if let Some(view) = view {
                    ctx.portfolios.publish(&of, "1", view, None);
                }
            }
            let channel: WhatsAppChannel = serde_json::from_value(new_channel()).expect("a channel");
            let (key, claimant) = (Key::of(&channel.metadata), claimant(&channel));
            ctx.claims.apply(&key, claimant, ctx.shell.clock.now());
            let queue = ctx.signals.channels.clone();
            let (lane, _) = lane(&channel, &of);
            queue.shows(&key, lane, Seen::of(&channel.metadata, &[]), Urgency::Drift);
            let turns = AtomicUsize::new(0);
            let told = |_, _| {
                turns.fetch_add(1, Ordering::SeqCst);
            };
            let running = queue.run(Pulse::new(), |turn| work(ctx.clone(), turn), told);
            let _ = tokio::time::timeout(Duration::from_millis(500), running).await;
            assert_eq!(turns.load(Ordering::SeqCst), 1, "{what}");
            let oldest = ctx.states.oldest_success(None, None);
            assert_eq!(oldest.is_some(), is_unseen, "{what}");
            assert_eq!(ctx.states.failing(), [], "{what}");
        }
    }

    #[tokio::test]
    async fn a_channel_that_was_written_to_meanwhile_does_not_rest_and_of_one_that_does_a_pin_that_is_known_is_kept()
     {
        let nobody = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Ok::<_, Infallible>(refused(500, "InternalError"))
        });
        let sandbox = Sandbox::from_world(Options::default(), World::default());
        let ctx = fixture::context(Client::new(nobody, "shop"), sandbox);
        let channel: WhatsAppChannel = serde_json::from_value(new_channel()).expect("a channel");
        let (key, uid, now) = (Key::of(&channel.metadata), Arc::<str>::from("1"), ctx.shell.clock.now());
        let claimant = claimant(&channel);
        let (lane, _) = lane(&channel, &claimant.portfolio);
        ctx.claims.apply(&key, claimant, now);
        let desired = lower::channel(&channel).expect("it is understood");
        let rested = Rested {
            account: AccountId::from("300"),
            number: "100".into(),
            digits: desired.number.canonical(),
            needs_subscription: false,
            is_received: None,
            needs_profile: false,
            shown: 1,
            profile: None,
            begun: now,
            interval: None,
            date: None,
            version: "7".into(),
        };
        let pin = SecretString::from("271828");
        let known = |state: &State| state.volatile.lock().unwrap().is_pin(&pin);
        for (shown, has_pin, is_at_rest) in [("8", true, false), ("7", true, true), ("7", false, true)] {
            let meta = ObjectMeta { resource_version: Some(shown.into()), ..channel.metadata.clone() };
            ctx.signals.channels.forget(&key);
            ctx.signals.channels.shows(&key, lane.clone(), Seen::of(&meta, &[]), Urgency::Drift);
            ctx.states.remove(&key);
            let state = ctx.states.of(&key, &uid, now);
            if has_pin {
                state.volatile.lock().unwrap().note_pin(&pin);
            }
            let one = One { ctx: &ctx, key: &key, uid: &uid, state: &state, class: Urgency::Drift };
            let next = one.rest(&desired, now, &rested, now);
            let after = (!is_at_rest).then_some(SHORTLY);
            assert_eq!((next.after, ctx.accounts.has(&key)), (after, is_at_rest), "{shown}");
            assert_eq!(ctx.states.has(&key), !is_at_rest, "{shown}");
            let again = ctx.states.of(&key, &uid, now);
            if let Some((_, pin)) = ctx.accounts.leave(&key) {
                again.volatile.lock().unwrap().know_pin(pin);
            }
            assert_eq!(known(&again), has_pin, "a label on its Secret is no other PIN");
        }
    }

    #[tokio::test]
    async fn the_first_pass_of_a_crowd_wishes_for_the_lists_of_all_accounts_that_it_names() {
        install_crypto();
        let nobody = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Ok::<_, Infallible>(refused(500, "InternalError"))
        });
        let sandbox = Sandbox::from_world(Options::default(), World::default());
        let ctx = fixture::context(Client::new(nobody, "shop"), sandbox.clone());
        let settings = Settings::new(Limits::default()).expect("settings");
        let meta = Meta::new(settings, Arc::new(VirtualClock(sandbox))).expect("a client");
        let graph = meta.graph(Credential {
            business: "500".into(),
            version: "1".into(),
            token: SecretString::from("EAAfirst"),
            app_secret: None,
            app: None,
        });
        let in_reach = ["30000", "30001", "30002"].map(engine::fixture::reachable).to_vec();
        let (namespace, reach) = ("shop".into(), Reach::Accounts(in_reach));
        let view = PortfolioView { namespace, reach, ..engine::fixture::view() };
        let portfolio = PortfolioState::View(Arc::new(view));
        let desired_in = |account: &str| {
            let mut channel: WhatsAppChannel = serde_json::from_value(new_channel()).expect("a channel");
            channel.spec.account_id = Some(account.into());
            let desired = lower::channel(&channel).expect("it is understood");
            let key = Key { namespace: "shop".into(), name: account.into() };
            ctx.newcomers.shows(&key, &desired.portfolio, &channel);
            (key, desired)
        };
        let (key, desired) = desired_in("30000");
        for account in ["30001", "99999"] {
            desired_in(account);
        }
        let state = ctx.states.of(&key, &Arc::from("1"), ctx.shell.clock.now());
        let one = One { ctx: &ctx, key: &key, uid: "1", state: &state, class: Urgency::Edit };
        let asked = || {
            let ours = Claim::Ours { act_from: None };
            let at_hand = one.is_at_hand(&desired, &ours, &portfolio, Some(&graph));
            let of = AccountOf { portfolio: desired.portfolio.clone(), account: "30000".into() };
            assert_eq!(at_hand, AtHand::Wished(of));
            ctx.signals.accounts.depths().iter().map(|(_, standing)| standing).sum::<usize>()
        };
        // 30002 has no new channel, and 99999 is not in reach. Nobody is asked twice.
        assert_eq!((asked(), asked()), (2, 2));

        // In a crowd it waits for the list, once.
        let mut channel: WhatsAppChannel = serde_json::from_value(new_channel()).expect("a channel");
        channel.metadata.uid = Some("1".into());
        ctx.claims.apply(&key, claimant(&channel), ctx.shell.clock.now());
        let lane = lane(&channel, &desired.portfolio).0;
        for n in 0..10_000 {
            let other = Key { namespace: "shop".into(), name: format!("c{n}").as_str().into() };
            ctx.signals.channels.know(&other, || lane.clone());
            ctx.signals.channels.ask(&other, Urgency::Edit);
            if ctx.signals.channels.is_crowded(Urgency::Edit) {
                break;
            }
        }
        let of = AccountOf { portfolio: desired.portfolio.clone(), account: "30000".into() };
        let records = ChannelRecords::new(&ctx.cluster.client, "shop", &key.name, "1");
        let version = live(&channel).version;
        let next = one.begin(&records, channel, &version, &desired, AtHand::Wished(of.clone())).await;
        assert_eq!(next.ok(), Some(Next::after(GIVES_WAY, Urgency::Edit)));
        let woken = ctx.newcomers.take_waiting(&of);
        assert_eq!(woken, [key], "the poller of the account wakes it");
    }

    /// With one value of `retry`, as it stands after somebody applied its file again: who owns it tells of no time before.
    fn asking(value: &str, spec: Value) -> Value {
        let mut object = new_channel();
        object["metadata"]["annotations"] = json!({ lower::RETRY: value });
        object["status"] = json!({"observedGeneration": 1});
        object["spec"].as_object_mut().expect("fields").extend(spec.as_object().expect("fields").clone());
        object
    }

    #[test]
    fn a_consent_that_is_met_while_the_spec_is_refused_counts_from_then() {
        let noon: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a time");
        let mut channel: WhatsAppChannel =
            serde_json::from_value(asking("git-1", json!({"phoneNumber": "+1"}))).expect("a channel");
        let why = lower::channel(&channel).expect_err("it is refused");
        let first = super::refused(&channel, None, &why, noon);
        let met = |status: &WhatsAppChannelStatus| {
            let memory = lower::memory_of(status);
            let kept = memory.consents.get(&ConsentKind::Retry).expect("it was met").clone();
            (kept.value, kept.at, kept.refused)
        };
        assert_eq!(met(&first), ("git-1".into(), noon, None));
        assert_eq!(first.stage.as_deref(), Some("Stalled"));
        channel.status = Some(first.clone());
        let again = super::refused(&channel, None, &why, noon + Duration::from_secs(3_600));
        assert_eq!(again, first, "nothing is written a second time");
        channel.status = None;
        let before = lower::consents(&channel.metadata).met(None, noon - Duration::from_secs(60));
        let earlier = super::refused(&channel, Some(&before), &why, noon);
        assert_eq!(met(&earlier).1, noon - Duration::from_secs(60), "it could not be read at all before");
    }

    #[tokio::test(start_paused = true)]
    async fn a_consent_that_is_met_while_the_object_cannot_be_used_counts_from_then() {
        let stored = Arc::new(Mutex::new(asking("git-1", json!({"displayName": 7}))));
        let (standing, written) = (stored.clone(), Arc::new(Mutex::new(Vec::new())));
        let taken = written.clone();
        let server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let (standing, taken) = (standing.clone(), taken.clone());
            async move {
                let (is_read, path) =
                    (request.method() == http::Method::GET, request.uri().path().to_owned());
                let body = request.into_body().collect_bytes().await.expect("a body");
                if !is_read && path.ends_with("/status") {
                    let body: Value = serde_json::from_slice(&body).expect("JSON");
                    taken.lock().expect("sound").push(body["status"]["memory"]["consents"]["retry"].clone());
                }
                Ok::<_, Infallible>(match is_read {
                    true => answered(200, &standing.lock().expect("sound")),
                    false => refused(409, "Conflict"),
                })
            }
        });
        let sandbox = Sandbox::from_world(Options::default(), World::default());
        let ctx = fixture::context(Client::new(server, "shop"), sandbox.clone());
        let channel: WhatsAppChannel = serde_json::from_value(new_channel()).expect("a channel");
        let (key, claimant) = (Key::of(&channel.metadata), claimant(&channel));
        let lane = lane(&channel, &claimant.portfolio).0;
        ctx.claims.apply(&key, claimant, ctx.shell.clock.now());
        let begun = ctx.shell.clock.now();
        for minutes in [0, 16] {
            sandbox.advance(Duration::from_secs(minutes * 60));
            if minutes > 0 {
                *stored.lock().expect("sound") = asking("git-1", json!({"suspend": true}));
            }
            let queue = ctx.signals.channels.clone();
            queue.forget(&key);
            queue.shows(&key, lane.clone(), Seen::of(&channel.metadata, &[]), Urgency::Edit);
            let running = queue.run(Pulse::new(), |turn| work(ctx.clone(), turn), |_, _| {});
            let _ = tokio::time::timeout(Duration::from_millis(500), running).await;
        }
        let written = written.lock().expect("sound");
        let kept = written.last().expect("a status");
        assert_eq!(kept["value"], "git-1", "{written:?}");
        let at: Timestamp = kept["at"].as_str().expect("a time").parse().expect("a time");
        assert!(at.duration_since(begun).as_secs().abs() <= 1, "{at} is not {begun}");
    }

    #[test]
    fn a_channel_with_our_finalizer_needs_its_portfolio_unless_it_only_observes() {
        for (more, needs) in [
            (json!({"deletionPolicy": "Deregister"}), true),
            (json!({"deletionPolicy": "Deregister", "managementPolicy": "ObserveOnly"}), false),
        ] {
            let mut object = new_channel();
            object["metadata"]["finalizers"] = json!([lower::CLEANUP]);
            for (key, value) in more.as_object().expect("fields") {
                object["spec"][key] = value.clone();
            }
            let channel: WhatsAppChannel = serde_json::from_value(object).expect("a channel");
            assert_eq!(claimant(&channel).holds.is_some(), needs, "{more}");
        }
    }

    #[test]
    fn a_claim_gives_way_while_its_status_shows_no_number_and_no_step_in_flight() {
        let of = |status: Value| {
            let channel: WhatsAppChannel = serde_json::from_value(json!({
                "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
                "metadata": {"name": "support", "namespace": "shop"}, "status": status,
                "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme"},
            }))
            .expect("a channel");
            claimant(&channel).yields.map(|yields| *yields)
        };
        let added = |reason: &str| {
            json!([{"type": "NumberAdded", "status": "False", "reason": reason, "message": "",
                "lastTransitionTime": "2026-03-01T12:00:00Z"}])
        };
        let add = |outcome: &str| json!({"id": "a-1", "at": "2026-03-01T12:00:00Z", "outcome": outcome, "cause": "Automatic"});
        let in_flight = json!({"id": "a-1", "step": "AddNumber", "reason": "", "startedAt": "2026-03-01T12:00:00Z",
            "sendBefore": "2026-03-01T12:00:30Z", "settleUntil": "2026-03-01T12:02:00Z", "generation": 1});
        let yields =
            |has_looked, account: Option<&str>| Some(Yields { has_looked, account: account.map(Into::into) });
        let id = json!("100000000000001");
        let table = [
            (json!({}), yields(false, None)),
            (json!({"conditions": added("NotObservedYet")}), yields(false, None)),
            (json!({"conditions": added("MetaUnavailable")}), yields(false, None)),
            (json!({"conditions": added("OfANewerVersion")}), yields(false, None)),
            (json!({"conditions": added("AccountAmbiguous")}), yields(true, None)),
            (json!({"conditions": added("NumberClaimed"), "accountId": "300"}), yields(true, Some("300"))),
            (
                json!({"conditions": added("MetaUnavailable"), "accountId": "300", "memory": {"ledger": {"adds": [add("Refused")]}}}),
                yields(true, Some("300")),
            ),
            (json!({"phoneNumberId": id, "conditions": added("InAccount")}), None),
            (json!({"phoneNumberId": id, "conditions": added("MetaUnavailable")}), None),
            (json!({"phoneNumberId": id, "conditions": added("NumberClaimed")}), None),
            (
                json!({"phoneNumberId": id, "accountId": "300", "facts": {"codeStatus": "NOT_VERIFIED", "platform": "NOT_APPLICABLE"}}),
                yields(true, Some("300")),
            ),
            (
                json!({"phoneNumberId": id, "facts": {"codeStatus": "NOT_VERIFIED", "platform": "CLOUD_API"}}),
                None,
            ),
            (
                json!({"phoneNumberId": id, "facts": {"codeStatus": "VERIFIED", "platform": "NOT_APPLICABLE"}}),
                None,
            ),
            (
                json!({"phoneNumberId": id, "facts": {"codeStatus": "EXPIRED", "platform": "NOT_APPLICABLE"}}),
                None,
            ),
            (json!({"phoneNumberId": id, "facts": {"codeStatus": "NOT_VERIFIED"}}), None),
            (json!({"phoneNumberId": id, "conditions": added("NumberDeleted")}), yields(true, None)),
            (json!({"phoneNumberId": id, "conditions": added("NumberMigrated")}), yields(true, None)),
            (json!({"phoneNumberId": id, "conditions": added("NumberInOtherAccount")}), yields(true, None)),
            (json!({"conditions": added("AddRefused"), "memory": {"inFlight": in_flight}}), None),
            (
                json!({"phoneNumberId": id, "conditions": added("NumberDeleted"), "memory": {"inFlight": in_flight}}),
                None,
            ),
            // What is remembered cannot be read: it may be a step in flight, or the number.
            (json!({"conditions": added("AddRefused"), "memory": {"ledger": 7}}), None),
        ];
        for (status, expected) in table {
            assert_eq!(of(status.clone()), expected, "{status}");
        }
    }

    #[test]
    fn what_no_operator_has_seen_gets_its_first_status_before_others_are_looked_at() {
        let lane_of = |status: serde_json::Value| {
            let channel: WhatsAppChannel = serde_json::from_value(json!({
                "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
                "metadata": {"name": "support", "namespace": "shop"}, "status": status,
                "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme"},
            }))
            .expect("a channel");
            lane(&channel, &claimant(&channel).portfolio)
        };
        let (lane, urgency) = lane_of(json!({"observedGeneration": -1}));
        assert_eq!((lane.target, urgency), (Target::Status, Urgency::Edit));
        let (lane, urgency) = lane_of(json!({"observedGeneration": 1}));
        assert_eq!((lane.target, urgency), (Target::Portfolio, Urgency::Transitional));
    }
}
