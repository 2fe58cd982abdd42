//! One pass: look → observe → plan → intent → act → outcome.
//!
//! Reading and deciding may be given up at any point. From the intent on nothing may:
//! intent, call and outcome run in a task of their own that neither the budget of a
//! reconcile nor a SIGTERM cancels, since a future dropped in mid-call is a lost reply
//! that we made ourselves. Where intent and outcome are kept is a port, [`Records`].

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug_span, error_span, info, warn};

use crate::engine::{
    assess::{Given, assess},
    desired::{Desired, Management},
    failure::{Failure, Refusal, Said},
    id::{AccountId, Fact, NumberId},
    limits::Limits,
    look::{AccountLook, Follows, Look, look, target},
    memory::{Intent, Ledger, Memory},
    observed::{Claim, ListState, Number, Observed, PortfolioState, ProcessFacts},
    outcome::Outcome,
    plan::{Plan, plan},
    record::{fold, intend},
    secret::SecretFact,
    status::{Assessment, Before, Facts},
    step::{Shows, Step, StepKind},
};
use crate::meta::port::{Clock, Graph};
use crate::repeat::Repeats;

use super::{
    act::act,
    attempts::{self, Attempts, AttemptsRead, Heard, Lost, NotKept},
    may_work::MayWork,
    observe::{Circumstances, Sources, observe},
    rested::Rested,
    secret::{Materials, Secrets, Volatile},
    unwritten::Unwritten,
};

/// An outcome that does not land is merged into what stands then and tried again after each of these: a known
/// answer must outlive an API server that is away for a moment.
const PAUSES: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3)];

/// How long what was begun may take at most, when every call to the API server takes up to `deadline`: the intent
/// and its call (without an answer to the intent, a read in place of the call), or a call with what it has to look
/// at right before, then every try of the outcome with a read between two, and the attempts.
pub fn longest(limits: &Limits, deadline: Duration) -> Duration {
    let sent = (limits.send_before + limits.call_timeout).max(limits.call_timeout * 2);
    let tries = PAUSES.iter().fold(deadline, |sum, _| sum + deadline * 2);
    sent.max(deadline * 2) + tries + PAUSES.iter().sum::<Duration>() + attempts::LONGEST
}

/// What is written: the assessment to be shown, and the memory to be kept.
#[derive(Clone, Debug)]
pub struct Record {
    pub assessment: Assessment,
    pub memory: Memory,
}

/// What is in status now.
#[derive(Clone, Debug)]
pub struct Live<V> {
    /// What a write must be computed from.
    pub version: V,
    /// The object's identity; a re-created one is another.
    pub uid: String,
    pub memory: Memory,
    pub before: Before,
}

/// Why a write did not succeed, as far as the rules differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The status stands at another version than the one this was computed from.
    #[error("the object was changed meanwhile")]
    Conflict,
    /// The object is gone, or its namespace is going.
    #[error("the object is gone")]
    Gone,
    /// No usable answer: it may have been written.
    #[error("the write was not answered: {0}")]
    Timeout(String),
    /// Refused for good: nothing was written.
    #[error("the write was refused: {0}")]
    Other(String),
}

/// Why a read did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the object is gone")]
    Gone,
    #[error("the object could not be read: {0}")]
    Failed(String),
}

/// Where one channel's status is kept.
pub trait Records: Send + Sync + 'static {
    type Version: Clone + Send + Sync + 'static;

    /// What the version is known by, where it is shown.
    fn name(version: &Self::Version) -> String;

    /// Whether this version shows the record already, so that writing it would change nothing.
    fn shows(&self, version: &Self::Version, record: &Record) -> bool;

    /// Writes onto exactly this version, or not at all.
    fn write(
        &self,
        record: &Record,
        expected: &Self::Version,
    ) -> impl Future<Output = Result<Self::Version, WriteError>> + Send;

    /// Reads past every cache.
    fn read_live(&self) -> impl Future<Output = Result<Live<Self::Version>, ReadError>> + Send;
}

/// Ids of intents: unique for each, so that whoever finds one in status knows whose step it is.
#[derive(Debug)]
pub struct Ids {
    prefix: Arc<str>,
    next: AtomicU64,
}

impl Ids {
    /// `process` is random for each start.
    pub fn new(process: u64) -> Self {
        Self { prefix: format!("{process:016x}-").into(), next: AtomicU64::new(1) }
    }

    /// How those of this process begin.
    pub fn prefix(&self) -> Arc<str> {
        self.prefix.clone()
    }

    fn fresh(&self) -> String {
        format!("{}{}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// Where a pass works. It leaves its place while it waits for Meta or for a Secret, so that another pass can use it.
pub trait Place: Send + 'static {
    /// Gives the place back.
    fn leave(&mut self);

    /// Waits for a place.
    fn enter(&mut self) -> impl Future<Output = ()> + Send;
}

/// There is room for everybody.
impl Place for () {
    fn leave(&mut self) {}

    async fn enter(&mut self) {}
}

/// Whoever guards an object by something keeps it for as long as the place.
impl<G: Send + 'static, P: Place> Place for (G, P) {
    fn leave(&mut self) {
        self.1.leave();
    }

    async fn enter(&mut self) {
        self.1.enter().await;
    }
}

/// Does what may have to wait, without a place from the moment on at which it does.
pub async fn apart<P: Place, T>(place: &mut P, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Poll::Ready(done) = futures::poll!(work.as_mut()) {
        return done;
    }
    place.leave();
    let done = work.await;
    place.enter().await;
    done
}

/// What every pass of a process shares.
#[derive(Debug)]
pub struct Shell<C> {
    pub clock: Arc<C>,
    pub limits: Arc<Limits>,
    pub ids: Arc<Ids>,
    /// Holds the tasks that must end before the process does.
    pub tasks: TaskTracker,
    /// Asked right before anything is sent.
    pub may_work: watch::Receiver<MayWork>,
    /// For reading and deciding; carrying out is not bounded by it.
    pub budget: Duration,
    /// What was told of what fails.
    pub repeats: Arc<Repeats>,
}

impl<C> Clone for Shell<C> {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            limits: self.limits.clone(),
            ids: self.ids.clone(),
            tasks: self.tasks.clone(),
            may_work: self.may_work.clone(),
            budget: self.budget,
            repeats: self.repeats.clone(),
        }
    }
}

/// What one pass is given.
pub struct Input<V> {
    pub desired: Arc<Desired>,
    /// Read live, so that no step is decided on a cache that has not seen our own last write.
    pub live: Live<V>,
    /// It is as a watch showed it, which is enough to look and to write on that version. No step is taken by it that is not
    /// written first: who asked may have thought better of it since.
    pub is_shown: bool,
    pub claim: Claim,
    pub portfolio: PortfolioState,
    /// When this channel last wrote something that a list shows, in this process.
    pub after_write: Option<Timestamp>,
    pub process: ProcessFacts,
    pub volatile: Arc<Mutex<Volatile>>,
    /// Kept by the process, from pass to pass.
    pub unwritten: Arc<Unwritten>,
    /// Whether a number is known to be that of another channel with other digits.
    pub is_of_another: OfAnother,
}

/// Tells of the id of a number whether a channel with other digits has it.
pub type OfAnother = Arc<dyn Fn(&NumberId) -> bool + Send + Sync>;

/// Nothing is known of other channels.
pub fn no_other() -> OfAnother {
    Arc::new(|_| false)
}

/// What a pass came to.
#[derive(Debug)]
pub struct Done {
    /// What status showed before, and what it shows now: for events and metrics.
    pub before: Before,
    pub after: Assessment,
    /// What was looked for, to know which Secrets can end a wait.
    pub look: Look,
    pub observed: Observed,
    pub memory: Memory,
    pub outcome: Option<Outcome>,
    /// What was decided, and when to look again, at the latest.
    pub plan: Plan,
    /// Writes of status.
    pub writes: u32,
    /// Meta refused the credential, so the portfolio has to look at it now.
    pub credential_refused: bool,
    pub last_success: Option<Timestamp>,
    /// What of the attempts this pass found to be lost with the object.
    pub lost: Vec<Lost>,
    /// Nothing is left to do, and what was seen of Meta is all that it depends on.
    pub rested: Option<Rested>,
}

/// Why a pass ended without a result. Each is tried again, after a pause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    #[error("reading and deciding took longer than {0:?}")]
    Budget(Duration),
    /// The object was changed meanwhile, or may have been; the next pass starts from what stands there.
    #[error("the object was changed meanwhile, or may have been")]
    Conflict,
    #[error("the object is gone")]
    Gone,
    #[error("the status could not be written: {0}")]
    Write(WriteError),
    #[error("the pass ended without a result")]
    Lost,
}

/// Runs one pass.
///
/// At most one step is carried out. A pass that takes an unrepeatable step writes
/// status twice, any other at most once, and none when nothing changed. Cancelling
/// the returned future is safe at any point: what was begun goes on in its task.
///
/// `place` is kept until the pass has ended, its task included, so that whoever guards
/// an object by it never runs two. It is left while the pass waits, and for good once a step is sent: what was begun
/// waits for nobody.
///
/// # Errors
///
/// Says why nothing came of it; no step was sent then, except with [`PassError::Lost`]
/// and a failed write of an outcome. That is kept in the process and written by the next pass, or by
/// [`Writer`](super::late::Writer); after the end of the process the engine decides from the intent.
pub async fn pass<G, S, R, A, C, P>(
    shell: &Shell<C>,
    mut input: Input<R::Version>,
    graph: Option<G>,
    secrets: Arc<S>,
    (records, attempts): (Arc<R>, Arc<A>),
    mut place: P,
) -> Result<Done, PassError>
where
    G: Graph,
    S: Secrets + 'static,
    R: Records,
    A: Attempts,
    C: Clock,
    P: Place,
{
    input.live.memory = input.unwritten.merge(&input.live.uid, input.live.memory, &shell.limits);
    {
        let mut volatile = input.volatile.lock().unwrap_or_else(PoisonError::into_inner);
        let acts = !input.desired.suspend && input.desired.management == Management::Full;
        if !acts || !matches!(input.claim, Claim::Ours { act_from: None }) {
            volatile.keeping.lose_sight();
        }
        let business = match &input.portfolio {
            PortfolioState::View(view) if attempts.with_operator().is_some() => Some(view.business.as_str()),
            _ => None,
        };
        volatile.keeping.at(&input.desired.portfolio.namespace, business);
        let now = shell.clock.now();
        input.live.memory = volatile.keeping.merge(input.live.memory, &shell.limits, now);
    }
    let decided = decide(shell, &input, graph.as_ref(), (&*secrets, &*attempts), &mut place);
    let decided =
        tokio::time::timeout(shell.budget, decided).await.map_err(|_| PassError::Budget(shell.budget))?;
    let carrier = Carrier { shell: shell.clone(), input, decided, graph, secrets, records, attempts };
    // A future that goes through several hands goes in a box: each would need room for it on the stack.
    let carried = Box::pin(async move {
        let done = carrier.carry_out(&mut place).await;
        drop(place);
        done
    });
    let task = shell.tasks.spawn(carried.in_current_span());
    task.await.unwrap_or(Err(PassError::Lost))
}

/// What became of a write that follows no step.
enum Ordinary<V> {
    /// Status shows it already.
    Shown,
    /// It can wait.
    HeldBack,
    /// It is this version.
    Written(V),
}

struct Decided {
    look: Look,
    /// When it was decided what to look at.
    looked_at: Timestamp,
    observed: Observed,
    materials: Materials,
    plan: Plan,
    lost: Vec<Lost>,
}

async fn decide<G: Graph, S: Secrets, A: Attempts, C: Clock, V, P: Place>(
    shell: &Shell<C>,
    input: &Input<V>,
    graph: Option<&G>,
    (secrets, attempts): (&S, &A),
    place: &mut P,
) -> Decided {
    let Input {
        desired,
        live,
        is_shown: _,
        claim,
        portfolio,
        after_write,
        process,
        volatile,
        unwritten,
        is_of_another,
    } = input;
    let may_add = match (graph, target(desired, &live.memory, portfolio)) {
        (Some(graph), Some(account)) => graph.held_until(&account, StepKind::AddNumber).is_none(),
        _ => true,
    };
    let seen = {
        let mut volatile = volatile.lock().unwrap_or_else(PoisonError::into_inner);
        volatile.forget(shell.clock.now());
        volatile.clone()
    };
    let process = ProcessFacts {
        stood: seen.stood.clone(),
        picture: seen.picture.clone(),
        pin_not_created: seen.pin_not_created.clone(),
        ..process.clone()
    };
    let picture = Some((&process.picture, process.started));
    let follows =
        Follows { before: &live.before, after_write: *after_write, may_add, process: &process, picture };
    let looked_at = shell.clock.now();
    let look = look(desired, &live.memory, claim, portfolio, follows, &shell.limits, looked_at)
        .after_edit(desired, live.before.observed_generation);
    let given = Circumstances { claim: claim.clone(), portfolio: portfolio.clone(), process };
    let sources = Sources { graph, secrets, clock: &*shell.clock, seen: &seen };
    let observing = Box::pin(observe(desired, &look, given, &sources)).instrument(debug_span!("look"));
    let (mut observed, mut materials) = apart(place, observing).await;
    // What shows no digits may be any number, but not one that another channel has.
    let may_be_ours =
        |entry: &Arc<Number>| Some(&entry.id) == live.memory.number.as_ref() || !is_of_another(&entry.id);
    observed.search.iter_mut().for_each(|searched| searched.without_digits.retain(may_be_ours));
    {
        let mut volatile = volatile.lock().unwrap_or_else(PoisonError::into_inner);
        volatile.stood = observed.process.stood.clone();
        volatile.picture = observed.process.picture.clone();
    }
    let (limits, now) = (&*shell.limits, shell.clock.now());
    let mut decided = plan(desired, &observed, &live.memory, limits, now);
    let mut lost = Vec::new();
    if decided.needs_attempts() {
        // Before the read: what is written meanwhile is owed no more.
        let is_news = |owed: &Ledger| live.memory.ledger.with(owed, limits, now).is_some();
        let owed = unwritten.attempts.of(attempts, limits, now).filter(is_news);
        let keeping = || volatile.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = if seen.keeping.is_known() {
            Heard { read: AttemptsRead::Absent, unread: None, unread_with_operator: None }
        } else {
            let read = apart(place, attempts::read(attempts)).await;
            keeping().keeping.heard_both(read, limits, shell.clock.now())
        };
        let now = shell.clock.now();
        let Heard { read, unread, unread_with_operator } = heard;
        let read = keeping().keeping.heard_owed(read, owed, limits, now);
        if let Some(why) = unread {
            if let Some(repeated) = shell.repeats.tell(&format!("attempts: {why}")) {
                warn!(why, repeated, "earlier attempts of the number are not known and count as none");
            }
            lost.push(Lost::NotRead(why));
        }
        if let Some(why) = unread_with_operator
            && let Some(repeated) = shell.repeats.tell(&format!("attempts with the operator: {why}"))
        {
            warn!(
                why,
                repeated,
                "attempts in the operator's own namespace are not known; those beside the portfolio count alone"
            );
        }
        if let AttemptsRead::Failed(why) = &read
            && let Some(repeated) = shell.repeats.tell(&format!("attempts waited for: {why}"))
        {
            warn!(why, repeated, "a step waits for earlier attempts of the number");
        }
        if let Some(memory) = read.taken_over(&live.memory, &mut observed, limits, now) {
            decided = plan(desired, &observed, &memory, limits, now);
        }
    } else {
        volatile.lock().unwrap_or_else(PoisonError::into_inner).keeping.not_needed(now);
    }
    if !matches!(decided.step.as_ref().map(|planned| &planned.step), Some(Step::WritePicture { .. })) {
        // Others wait for its room.
        materials.picture = None;
    }
    if let (SecretFact::Present { version, .. }, Some(pin)) = (&observed.pin_secret, &materials.pin)
        && decided.memory.marks.is_pin_of(version)
    {
        volatile.lock().unwrap_or_else(PoisonError::into_inner).note_pin(pin);
    }
    Decided { look, looked_at, observed, materials, plan: decided, lost }
}

/// Everything from the plan on, owned, so that it can run in a task of its own.
struct Carrier<G, S, R: Records, A, C> {
    shell: Shell<C>,
    input: Input<R::Version>,
    decided: Decided,
    graph: Option<G>,
    secrets: Arc<S>,
    records: Arc<R>,
    attempts: Arc<A>,
}

impl<G: Graph, S: Secrets, R: Records, A: Attempts, C: Clock> Carrier<G, S, R, A, C> {
    async fn carry_out<P: Place>(mut self, place: &mut P) -> Result<Done, PassError> {
        let live = self.input.live.clone();
        let Some(planned) = self.decided.plan.step.clone() else {
            let record = self.record(None, self.decided.plan.memory.clone(), &live.before);
            if self.decided.plan.farewell.is_some() {
                // Nobody reads a status of what is gone; the attempts outlive it.
                self.input.volatile.lock().unwrap_or_else(PoisonError::into_inner).keeping.hurry();
                self.keep_attempts(&record.memory.ledger).await;
                return Ok(self.done(record, None, 0));
            }
            let ordinary = self.write_ordinary(&record, &live).await?;
            // Of a status that is not understood nothing changed, and what is kept stays.
            let is_kept = record.memory.unknown.is_some() || self.keep_attempts(&record.memory.ledger).await;
            let (rested, writes) = match ordinary {
                Ordinary::Shown => (self.rested(&self.decided.look, &self.decided.plan, &live.version), 0),
                Ordinary::HeldBack => (None, 0),
                Ordinary::Written(version) => (self.rested_after(&record, &version), 1),
            };
            let rested = rested.filter(|_| is_kept);
            if !is_kept {
                let now = self.shell.clock.now();
                let again =
                    self.input.volatile.lock().unwrap_or_else(PoisonError::into_inner).keeping.next(now);
                let plan = &mut self.decided.plan;
                plan.next = again.map_or(plan.next, |again| plan.next.min(again));
            }
            return Ok(Done { rested, ..self.done(record, None, writes) });
        };
        let now = self.shell.clock.now();
        let id = self.shell.ids.fresh();
        let intended =
            intend(&self.decided.plan, self.input.desired.generation, &id, &self.shell.limits, now);
        let (base, intent, writes) = match intended {
            Some((memory, intent)) => {
                let record = self.record(None, memory, &live.before);
                let version = self.write_intent(&record, &live.version, &intent).await?;
                let before = before(&record.assessment, &live.before);
                let base = Live { version, uid: live.uid.clone(), memory: record.memory, before };
                (base, Some(intent), 1)
            }
            None if self.input.is_shown => return Err(PassError::Conflict),
            None => (Live { memory: self.decided.plan.memory.clone(), ..live }, None, 0),
        };
        place.leave();
        let intended = intent.as_ref().map(|intent| intent.id.clone());
        let acting = act(
            &planned.step,
            self.graph.as_ref(),
            &self.decided.materials,
            &*self.secrets,
            intent.as_ref(),
            (&*self.shell.clock, &self.shell.may_work),
        );
        let span = error_span!("step", step = planned.step.kind().as_str(), intent = intended.as_deref());
        let outcome = Box::pin(acting).instrument(span).await;
        // From here on only the end of the process loses it, whatever happens to this task.
        self.input.unwritten.hold(&self.input.desired, &outcome);
        // Also where no status takes it any more: the attempt was made.
        let made = fold(&base.memory, &outcome, &self.decided.plan, &self.shell.limits);
        if outcome.intent.is_some() {
            let (limits, now) = (&self.shell.limits, self.shell.clock.now());
            self.input.unwritten.attempts.hold(&self.attempts, &made.ledger, limits, now);
        }
        self.decided.materials.picture = None;
        if outcome.is_attempt() {
            self.remember(&planned.step, intended.as_deref(), now);
        }
        if let Step::CreatePin { .. } = planned.step {
            let why = match &outcome.result {
                Err(Failure::NotSent(why)) => Some(why.as_str().into()),
                Ok(_) | Err(_) => None,
            };
            self.input.volatile.lock().unwrap_or_else(PoisonError::into_inner).pin_not_created = why;
        }
        info!(
            step = planned.step.kind().as_str(),
            why = %planned.why,
            intent = intended,
            result = describe(&outcome),
            "step carried out"
        );
        let written = self.write_outcome(base, &outcome).await;
        if written.is_ok() {
            self.input.unwritten.settle(&self.input.desired.uid, &outcome);
        }
        self.keep_attempts(written.as_ref().map_or(&made.ledger, |(record, _)| &record.memory.ledger)).await;
        let (record, written) = written?;
        Ok(self.done(record, Some(outcome), writes + written))
    }

    /// Keeps the attempts beside the channel, where they are not known to be there. What fails is tried again later.
    /// Gives back whether nothing is left to be kept.
    async fn keep_attempts(&mut self, ledger: &Ledger) -> bool {
        let Input { desired, claim, portfolio, volatile, unwritten, .. } = &self.input;
        let is_ours = matches!((claim, portfolio), (Claim::Ours { .. }, PortfolioState::View(_)));
        if desired.suspend || !is_ours {
            return true;
        }
        let (limits, now) = (&*self.shell.limits, self.shell.clock.now());
        let keeping = || volatile.lock().unwrap_or_else(PoisonError::into_inner);
        let has_second = self.attempts.with_operator().is_some();
        let (owing, first, second) = (&unwritten.attempts, (&*self.attempts, false), (&*self.attempts, true));
        if !keeping().keeping.is_due(ledger, has_second, limits, now) {
            let is_done = keeping().keeping.is_done(ledger, limits, now);
            let is_owed = keeping().keeping.owed() > 0;
            if is_done {
                owing.settle(first, ledger, limits, now);
            }
            if is_done && !is_owed {
                owing.settle(second, ledger, limits, now);
            }
            return is_done;
        }
        let (kept, not_with_operator) = attempts::keep(&*self.attempts, ledger, limits, now).await;
        match &kept {
            Ok(all) => owing.settle(first, all, limits, now),
            Err(why) => owing.owe((&self.attempts, false), ledger, why, limits, now),
        }
        match &not_with_operator {
            None => owing.settle(second, kept.as_ref().unwrap_or(ledger), limits, now),
            Some(why) => owing.owe((&self.attempts, true), ledger, why, limits, now),
        }
        if kept.is_err() || not_with_operator.is_some() {
            unwritten.note_unkept();
        }
        if let Some(NotKept::Passing(why) | NotKept::Refused(why)) = &not_with_operator
            && let Some(repeated) =
                self.shell.repeats.tell(&format!("attempts not kept with the operator: {why}"))
        {
            warn!(why, repeated, "attempts not kept in the operator's own namespace");
        }
        match (kept, not_with_operator) {
            (Ok(_), Some(passing @ NotKept::Passing(_))) if keeping().keeping.is_patient() => {
                keeping().keeping.note_failed(&passing, limits, now);
            }
            (Ok(all), not_with_operator) => {
                let keeping = &mut keeping().keeping;
                let owed = keeping.owed();
                let is_missing = keeping.had_second() && !has_second;
                keeping.note_kept(ledger, all, limits, now);
                if not_with_operator.is_some() || is_missing {
                    keeping.note_owed(owed, not_with_operator.is_some(), limits, now);
                }
            }
            (Err(not_kept), _) => {
                let (NotKept::Passing(why) | NotKept::Refused(why)) = &not_kept;
                if let Some(repeated) = self.shell.repeats.tell(&format!("attempts not kept: {why}")) {
                    warn!(why, repeated, "attempts not kept beside the channel");
                }
                keeping().keeping.note_failed(&not_kept, limits, now);
                if let NotKept::Refused(why) = not_kept {
                    self.decided.lost.push(Lost::NotKept(why));
                }
            }
        }
        keeping().keeping.is_done(ledger, limits, now)
    }

    /// Assesses; the memory that comes back is the one to be written along.
    fn record(&self, outcome: Option<&Outcome>, mut memory: Memory, before: &Before) -> Record {
        let given = Given {
            desired: &self.input.desired,
            observed: &self.decided.observed,
            plan: &self.decided.plan,
            outcome,
            before,
            limits: &self.shell.limits,
            now: self.shell.clock.now(),
        };
        let assessment = assess(&given, &mut memory);
        Record { assessment, memory }
    }

    fn rested(&self, look: &Look, plan: &Plan, version: &R::Version) -> Option<Rested> {
        Rested::after(&self.input.desired, look, &self.decided.observed, plan, R::name(version))
    }

    /// The same for what was just written: one more pass, on what this one saw. None where that would look for more, or
    /// have something to do or to write.
    fn rested_after(&self, record: &Record, version: &R::Version) -> Option<Rested> {
        let Input { desired, claim, portfolio, after_write, process, .. } = &self.input;
        let Decided { look: looked, looked_at, observed, .. } = &self.decided;
        let (limits, now) = (&*self.shell.limits, self.shell.clock.now());
        let (memory, before) = (&record.memory, before(&record.assessment, &self.input.live.before));
        let seen = &observed.process;
        let picture = Some((&seen.picture, process.started));
        let follows =
            Follows { before: &before, after_write: *after_write, may_add: true, process: seen, picture };
        let asks = |at| look(desired, memory, claim, portfolio, follows, limits, at);
        let look = asks(now);
        let begun = |account: &AccountId| {
            let searched = observed.search.iter().find(|searched| searched.account == *account)?;
            if let ListState::Complete { begun } = searched.list { Some(begun) } else { None }
        };
        let is_fresh = |wanted: &AccountLook| begun(&wanted.account) >= Some(wanted.not_before);
        // How old facts are does not show, so they are as old as they were when the pass began: writing took its time.
        if !asks(*looked_at).is_within(looked) || !look.accounts.iter().all(is_fresh) {
            return None;
        }
        let plan = plan(desired, observed, memory, limits, now);
        let mut memory = plan.memory.clone();
        let given = Given { desired, observed, plan: &plan, outcome: None, before: &before, limits, now };
        let assessment = assess(&given, &mut memory);
        let is_shown = self.records.shows(version, &Record { assessment, memory });
        self.rested(&look, &plan, version).filter(|_| is_shown)
    }

    /// One write, if anything changed. A conflict ends the pass: the next one starts from what stands there.
    async fn write_ordinary(
        &self,
        record: &Record,
        live: &Live<R::Version>,
    ) -> Result<Ordinary<R::Version>, PassError> {
        let version = &live.version;
        if self.records.shows(version, record) {
            return Ok(Ordinary::Shown);
        }
        let is_facts_alone = self.records.shows(version, &without_new_facts(record, &live.before));
        if is_facts_alone && self.are_facts_paused() {
            return Ok(Ordinary::HeldBack);
        }
        match self.records.write(record, version).await {
            Ok(version) => {
                if is_facts_alone {
                    self.pause_facts();
                }
                Ok(Ordinary::Written(version))
            }
            Err(WriteError::Conflict) => Err(PassError::Conflict),
            Err(WriteError::Gone) => Err(PassError::Gone),
            Err(error) => Err(PassError::Write(error)),
        }
    }

    fn are_facts_paused(&self) -> bool {
        let volatile = self.input.volatile.lock().unwrap_or_else(PoisonError::into_inner);
        volatile.are_facts_paused(self.shell.clock.now())
    }

    fn pause_facts(&self) {
        let mut volatile = self.input.volatile.lock().unwrap_or_else(PoisonError::into_inner);
        volatile.pause_facts(self.shell.clock.now(), self.shell.limits.facts_pause);
    }

    /// The intent stands before anything is sent, or nothing is sent. After a conflict or no answer only a
    /// live read can tell, and it must hold this very intent.
    async fn write_intent(
        &self,
        record: &Record,
        version: &R::Version,
        intent: &Intent,
    ) -> Result<R::Version, PassError> {
        let error = match self.records.write(record, version).await {
            Ok(version) => return Ok(version),
            Err(error @ (WriteError::Conflict | WriteError::Timeout(_))) => error,
            Err(WriteError::Gone) => return Err(PassError::Gone),
            Err(error) => return Err(PassError::Write(error)),
        };
        let live = match self.records.read_live().await {
            Ok(live) if live.uid == self.input.desired.uid => live,
            Ok(_) | Err(ReadError::Gone) => return Err(PassError::Gone),
            Err(ReadError::Failed(_)) => return Err(PassError::Write(error)),
        };
        match live.memory.in_flight {
            Some(standing) if standing.id == intent.id => Ok(live.version),
            _ if error == WriteError::Conflict => Err(PassError::Conflict),
            _ => Err(PassError::Write(error)),
        }
    }

    /// Folds the outcome into what stands in status and writes it. An outcome for an object that is gone is
    /// logged and dropped: a re-created object has a history of its own.
    async fn write_outcome(
        &self,
        mut base: Live<R::Version>,
        outcome: &Outcome,
    ) -> Result<(Record, u32), PassError> {
        let mut pauses = PAUSES.into_iter();
        let mut unanswered: Option<Record> = None;
        loop {
            if let Some(record) = unanswered.take_if(|record| self.records.shows(&base.version, record)) {
                return Ok((record, 1));
            }
            let memory = fold(&base.memory, outcome, &self.decided.plan, &self.shell.limits);
            let record = self.record(Some(outcome), memory, &base.before);
            if self.records.shows(&base.version, &record) {
                return Ok((record, 0));
            }
            let error = match self.records.write(&record, &base.version).await {
                Ok(_) => return Ok((record, 1)),
                Err(error @ (WriteError::Conflict | WriteError::Timeout(_))) => error,
                Err(WriteError::Gone) => return Err(self.dropped(outcome)),
                Err(error) => return Err(self.unwritten(outcome, error)),
            };
            let Some(pause) = pauses.next() else { return Err(self.unwritten(outcome, error)) };
            tokio::time::sleep(pause).await;
            base = match self.records.read_live().await {
                Ok(live) if live.uid == self.input.desired.uid => live,
                Ok(_) | Err(ReadError::Gone) => return Err(self.dropped(outcome)),
                // Tried again onto the same version: a conflict there is the same conflict.
                Err(ReadError::Failed(_)) => base,
            };
            if matches!(error, WriteError::Timeout(_)) {
                unanswered = Some(record);
            }
        }
    }

    fn dropped(&self, outcome: &Outcome) -> PassError {
        self.log_unwritten(outcome, "its object is gone");
        self.input.unwritten.settle(&self.input.desired.uid, outcome);
        PassError::Gone
    }

    fn unwritten(&self, outcome: &Outcome, error: WriteError) -> PassError {
        self.log_unwritten(outcome, &error.to_string());
        self.input.unwritten.keep(&self.input.desired, outcome);
        PassError::Write(error)
    }

    fn log_unwritten(&self, outcome: &Outcome, why: &str) {
        let Some(repeated) = self.shell.repeats.tell(&format!("outcome: {why}")) else { return };
        warn!(
            step = outcome.step.as_str(),
            intent = outcome.intent.as_deref(),
            result = describe(outcome),
            why,
            repeated,
            "outcome not written"
        );
    }

    /// The value in the Secret when a code is asked for, and each value that is tried, are no answer later. A PIN that was sent
    /// is no other one because something else made a new version of its Secret.
    fn remember(&self, step: &Step, intent: Option<&str>, now: Timestamp) {
        let Materials { code, pin, .. } = &self.decided.materials;
        let mut volatile = self.input.volatile.lock().unwrap_or_else(PoisonError::into_inner);
        match (step, code, pin, intent) {
            (Step::RequestCode { .. } | Step::VerifyCode { .. }, Some(code), ..) => {
                volatile.remember(code, now, self.shell.limits.code_life);
            }
            (Step::Register { .. } | Step::SetPin { .. }, _, Some(pin), Some(attempt)) => {
                volatile.note_sent_pin(pin, attempt);
            }
            _ => {}
        }
    }

    fn done(self, record: Record, outcome: Option<Outcome>, writes: u32) -> Done {
        let Decided { look, observed, plan, lost, .. } = self.decided;
        let credential_refused = is_credential_refused(&observed, outcome.as_ref());
        Done {
            before: self.input.live.before,
            after: record.assessment,
            look,
            last_success: observed.process.last_success,
            observed,
            memory: record.memory,
            outcome,
            plan,
            writes,
            credential_refused,
            lost,
            rested: None,
        }
    }
}

/// The same record with Meta's words as status shows them. A refusal is told in an event, once it is written.
fn without_new_facts(record: &Record, before: &Before) -> Record {
    let mut record = record.clone();
    let last_refusal = record.assessment.facts.last_refusal.take();
    record.assessment.facts = Facts { last_refusal, ..before.facts.clone() };
    record
}

/// What status shows once an assessment is written.
fn before(assessment: &Assessment, before: &Before) -> Before {
    Before {
        observed_generation: assessment.observed_generation.or(before.observed_generation),
        conditions: assessment.conditions.clone(),
        facts: assessment.facts.clone(),
        stage: Some(assessment.stage),
        waiting_for: assessment.waiting_for.clone(),
        preflight: assessment.preflight.clone(),
        drift: assessment.drift.clone(),
    }
}

/// Whether a failure is the portfolio's matter: of its credential, or of an app that Meta blocks.
pub fn doubts_credential(failure: &Failure) -> bool {
    let is_its = |refusal: &Refusal| refusal.is_about_credentials() || refusal.says(Said::AppBlocked);
    failure.refusal().is_some_and(is_its)
}

fn is_credential_refused(observed: &Observed, outcome: Option<&Outcome>) -> bool {
    let refused = doubts_credential;
    let unknown = |fact: Option<&Failure>| fact.is_some_and(refused);
    observed.search.iter().any(|s| match &s.list {
        ListState::NotCheckable(failure) | ListState::Failed(failure) => refused(failure),
        ListState::Complete { .. } => false,
    }) || unknown(failure_of(&observed.account))
        || unknown(failure_of(&observed.subscribed))
        || unknown(failure_of(&observed.profile))
        || unknown(outcome.and_then(|o| o.result.as_ref().err()))
}

fn failure_of<T>(fact: &Fact<T>) -> Option<&Failure> {
    match fact {
        Fact::Unknown(failure) => Some(failure),
        Fact::NotAsked | Fact::Known(_) => None,
    }
}

/// How a step went, in a word or two for logs; Meta's texts are redacted before they get here.
fn describe(outcome: &Outcome) -> String {
    outcome.result.as_ref().map_or_else(in_short, |_| "accepted".into())
}

/// What went wrong with a call, in a word or two for logs.
pub fn in_short(failure: &Failure) -> String {
    match failure {
        Failure::Refused(r) => match r.subcode {
            Some(subcode) => format!("refused {}/{subcode}: {}", r.code, r.message),
            None => format!("refused {}: {}", r.code, r.message),
        },
        Failure::NoAnswer(why) | Failure::TooLarge(why) => format!("no answer: {why}"),
        Failure::NotSent(why) => format!("not sent: {why}"),
        Failure::Throttled(until) => format!("throttled until {until}"),
        Failure::NoRoom(until) => format!("no room for the list until {until}"),
    }
}

/// Whether an outcome may have changed something that a list shows, so that older lists do not serve any more.
pub fn may_have_written(outcome: &Outcome) -> bool {
    outcome.step.shows() != Shows::Nowhere
        && !matches!(outcome.result, Err(Failure::NotSent(_) | Failure::Throttled(_) | Failure::NoRoom(_)))
}

#[cfg(test)]
mod tests;
