//! The reconcile of a portfolio: the only one who checks credentials, portfolio and
//! accounts, and who hands channels a view and what opens the Graph API.
//!
//! A new version of the credential is checked before it is used, and the old one serves
//! until then. Secrets are read every minute; Meta is asked when a version is new, when
//! the last answer is old, or when a channel was refused.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use kube::{
    Api, Resource,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::controller::Action,
};
use secrecy::{ExposeSecret, SecretString};
use tracing::{info, warn};

use crate::{
    api::{
        lower,
        v1alpha1::{ChannelCounts, WhatsAppPortfolio, WhatsAppPortfolioStatus},
    },
    cluster::{Failed, bounded, status},
    engine::{
        condition::{ConditionSet, ConditionType, Truth, WaitingFor},
        desired::{DesiredPortfolio, PortfolioRef, SecretKey},
        failure::{Class, Failure},
        id::{AppId, Fact},
        look::Urgency,
        portfolio::{
            BusinessFacts, PortfolioAssessment, PortfolioObserved, PortfolioView, Reachable, TokenFacts,
            assess_portfolio,
        },
        secret::{SecretFact, SecretVersion},
    },
    meta::port::{Clock, Credential, Graph, GraphSource},
    run::{
        observe::{SecretRead, Secrets},
        pass::Shell,
    },
};

use super::{
    channel::{Cluster, Signals},
    claim::Claims,
    pace,
    records::NamespaceSecrets,
    tell::Notice,
    view::Portfolios,
    watch::Key,
};

/// What the store keeps of a portfolio.
pub type Lean = PartialObjectMeta<WhatsAppPortfolio>;

/// Channels may report a refused credential all at once; Meta is asked about it no more often than this.
const BETWEEN_CHECKS: Duration = Duration::from_secs(30);
/// Somebody else wrote; start again from what stands there.
const SHORTLY: Duration = Duration::from_secs(1);
/// What channels are told of a portfolio that does not parse.
const UNREADABLE: &str =
    "the stored object does not parse; compare it with the installed CRD and apply it again";

/// What a reconcile gets.
pub struct Context<S: GraphSource, C> {
    pub cluster: Cluster,
    pub shell: Shell<C>,
    pub source: S,
    pub portfolios: Arc<Portfolios<S::Graph>>,
    pub signals: Signals,
    pub desk: Desk<S::Graph>,
}

/// What the portfolio controller alone knows.
pub struct Desk<G> {
    pub claims: Arc<Claims>,
    entries: Mutex<HashMap<PortfolioRef, Entry<G>>>,
}

/// One portfolio on the desk. What others tell of it is beside its state, which a look holds for as long as Meta
/// and Secrets take: nobody waits for that.
struct Entry<G> {
    state: Arc<tokio::sync::Mutex<State<G>>>,
    is_doubted: bool,
    failures: u32,
}

impl<G> Default for Entry<G> {
    fn default() -> Self {
        Self { state: Arc::default(), is_doubted: false, failures: 0 }
    }
}

impl<G> Desk<G> {
    /// Knows nothing yet.
    pub fn new(claims: Arc<Claims>) -> Self {
        Self { claims, entries: Mutex::default() }
    }

    /// A channel was refused its credential, so Meta is asked at the next reconcile. A portfolio that is forgotten
    /// already stays so.
    pub fn doubt(&self, of: &PortfolioRef) {
        if let Some(entry) = self.lock().get_mut(of) {
            entry.is_doubted = true;
        }
    }

    /// Forgets a portfolio, its credential with it.
    pub fn remove(&self, of: &PortfolioRef) {
        self.lock().remove(of);
    }

    /// The state of a portfolio, and whether it was doubted since this was last asked.
    fn open(&self, of: &PortfolioRef) -> (Arc<tokio::sync::Mutex<State<G>>>, bool) {
        let mut entries = self.lock();
        let entry = entries.entry(of.clone()).or_default();
        (entry.state.clone(), std::mem::take(&mut entry.is_doubted))
    }

    /// One more failure in a row. A portfolio that is forgotten already stays so.
    fn failed(&self, of: &PortfolioRef) -> u32 {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(of) else { return 1 };
        entry.failures = entry.failures.saturating_add(1);
        entry.failures
    }

    fn succeeded(&self, of: &PortfolioRef) {
        if let Some(entry) = self.lock().get_mut(of) {
            entry.failures = 0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PortfolioRef, Entry<G>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One portfolio, beside its status.
struct State<G> {
    uid: String,
    in_use: Option<InUse<G>>,
    /// The last version that was checked and not taken up, with what came of it.
    tried: Option<Tried<G>>,
    facts: Facts,
    view: Option<PortfolioView>,
    is_doubted: bool,
    /// The value of the annotation by which somebody asked to look now, as last met.
    nudge: Option<String>,
    /// When Meta was last asked about the credential, whatever came of it.
    asked_at: Option<Timestamp>,
    /// When Meta last answered about it.
    checked_at: Option<Timestamp>,
}

impl<G> Default for State<G> {
    fn default() -> Self {
        Self {
            uid: String::new(),
            in_use: None,
            tried: None,
            facts: Facts::default(),
            view: None,
            is_doubted: false,
            nudge: None,
            asked_at: None,
            checked_at: None,
        }
    }
}

impl<G> State<G> {
    /// A value that was not there before asks to look now. What stands there at the start asks for nothing, since
    /// everything is looked at then.
    fn note_nudge(&mut self, value: Option<&String>) {
        if self.nudge.as_ref() != value {
            self.is_doubted |= value.is_some() && self.asked_at.is_some();
            self.nudge = value.cloned();
        }
    }

    /// How long a look that was asked for, or one that Meta gave a date for, still has to wait.
    fn until_due(&self, now: Timestamp) -> Option<Duration> {
        let asked = self.asked_at.filter(|_| self.is_doubted).map(|at| at + BETWEEN_CHECKS);
        let given = self.facts.open_until().filter(|until| *until > now);
        let at = asked.into_iter().chain(given).min()?;
        Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
    }

    fn may_ask(&self, now: Timestamp) -> bool {
        self.asked_at.is_none_or(|at| now >= at + BETWEEN_CHECKS)
    }

    /// What was not answered is still due, and is asked again as soon as it may be.
    fn is_check_due(&self, fresh: Duration, now: Timestamp) -> bool {
        self.may_ask(now) && (self.is_doubted || self.checked_at.is_none_or(|at| now >= at + fresh))
    }

    fn note_check<T>(&mut self, token: &Fact<T>, now: Timestamp) {
        self.asked_at = Some(now);
        if !is_open(token) {
            self.note_answer(now);
        }
    }

    fn note_answer(&mut self, at: Timestamp) {
        self.checked_at = Some(at);
        self.is_doubted = false;
    }

    /// What Meta said about an offered version before, unless it is to be asked again. An unchanged version is
    /// asked about as rarely as one in use: after an answer when that is old or doubted.
    fn said_of(&self, version: &str, fresh: Duration, now: Timestamp) -> Option<&Fact<TokenFacts>> {
        let tried = self.tried.as_ref().filter(|tried| tried.version == version)?;
        let is_due = is_open(&tried.token) || self.is_doubted || now >= tried.at + fresh;
        (!is_due || !self.may_ask(now)).then_some(&tried.token)
    }
}

struct InUse<G> {
    version: String,
    graph: G,
}

struct Tried<G> {
    version: String,
    graph: G,
    token: Fact<TokenFacts>,
    at: Timestamp,
}

/// What Meta said with the credential in use.
#[derive(Clone, Default)]
struct Facts {
    business: Fact<BusinessFacts>,
    owned: Fact<Vec<Reachable>>,
    client: Fact<Vec<Reachable>>,
    read_at: Option<Timestamp>,
}

impl Facts {
    /// Whether a read is to be made again before its time: one that was not answered, but not before the date that
    /// came in place of the answer.
    fn is_incomplete(&self, now: Timestamp) -> bool {
        let open = [is_open(&self.business), is_open(&self.owned), is_open(&self.client)];
        open.contains(&true) && self.open_until().is_none_or(|until| until <= now)
    }

    /// When the last of those reads is welcome that are held back until a date.
    fn open_until(&self) -> Option<Timestamp> {
        [open_until(&self.business), open_until(&self.owned), open_until(&self.client)].into_iter().max()?
    }
}

fn failure<T>(fact: &Fact<T>) -> Option<&Failure> {
    match fact {
        Fact::Unknown(failure) => Some(failure),
        Fact::NotAsked | Fact::Known(_) => None,
    }
}

/// Asked in vain: not sent, held back, or without a usable answer.
fn is_open<T>(fact: &Fact<T>) -> bool {
    failure(fact).is_some_and(|failure| match failure {
        Failure::Refused(refusal) => matches!(refusal.class, Class::Retry | Class::WaitUntil),
        Failure::NoAnswer(_) | Failure::NotSent(_) | Failure::Throttled(_) => true,
    })
}

/// The date that came in place of an answer.
fn open_until<T>(fact: &Fact<T>) -> Option<Timestamp> {
    match failure(fact)? {
        Failure::Refused(refusal) => refusal.until.filter(|_| refusal.class == Class::WaitUntil),
        Failure::Throttled(until) => Some(*until),
        Failure::NoAnswer(_) | Failure::NotSent(_) => None,
    }
}

/// Why a reconcile failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the portfolio could not be read: {0}")]
    Read(Failed),
    #[error("the status could not be written: {0}")]
    Write(Failed),
    #[error("looking took longer than {0:?}")]
    Budget(Duration),
    #[error("the look ended without a result")]
    Lost,
}

/// Namespace and name as the engine has them.
pub fn reference(key: &Key) -> PortfolioRef {
    PortfolioRef { namespace: key.namespace.clone(), name: key.name.clone() }
}

/// Reconciles one portfolio.
///
/// # Errors
///
/// See [`Error`]; [`error_policy`] says when to try again.
pub async fn reconcile<S, C>(object: Arc<Lean>, ctx: Arc<Context<S, C>>) -> Result<Action, Error>
where
    S: GraphSource,
    C: Clock,
{
    let of = reference(&Key::of(&object.metadata));
    let _counted = ctx.shell.tasks.token();
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::requeue(pace::LONGEST));
    }
    let (state, is_doubted) = ctx.desk.open(&of);
    let mut state = state.lock().await;
    state.is_doubted |= is_doubted;
    let one = One { ctx: &ctx, object: &object, of: &of };
    // Only reads are in here, so giving up in the middle loses nothing.
    let budget = ctx.shell.budget;
    let pause =
        tokio::time::timeout(budget, one.look(&mut state)).await.map_err(|_| Error::Budget(budget))??;
    ctx.desk.succeeded(&of);
    Ok(Action::requeue(pause))
}

/// Says when to try again: later and later, for each object on its own.
pub fn error_policy<S: GraphSource, C>(object: Arc<Lean>, error: &Error, ctx: Arc<Context<S, C>>) -> Action {
    let of = reference(&Key::of(&object.metadata));
    let pause = pace::after_failures(ctx.desk.failed(&of)).min(Duration::from_secs(60));
    warn!(namespace = %of.namespace, portfolio = %of.name, %error, pause_s = pause.as_secs(), "portfolio not reconciled");
    ctx.signals.metrics.pass("portfolio", "failed");
    Action::requeue(pause)
}

/// Both Secrets of a credential, as they stand.
struct Offer {
    access_token: SecretFact,
    app_secret: SecretFact,
    /// Version and values, when both are there.
    credential: Option<(String, SecretString, Option<SecretString>)>,
}

/// What Meta said about tokens in one look.
#[derive(Clone)]
struct Said {
    /// About the one that the Secrets hold.
    offered: Fact<TokenFacts>,
    /// About the one in use, where that is another.
    in_use: Fact<TokenFacts>,
}

/// One reconcile of one portfolio.
struct One<'a, S: GraphSource, C> {
    ctx: &'a Context<S, C>,
    object: &'a Lean,
    of: &'a PortfolioRef,
}

impl<S: GraphSource, C: Clock> One<'_, S, C> {
    async fn look(&self, state: &mut State<S::Graph>) -> Result<Duration, Error> {
        let api: Api<DeserializeGuard<WhatsAppPortfolio>> =
            Api::namespaced(self.ctx.cluster.client.clone(), &self.of.namespace);
        let portfolio = match bounded(api.get(&self.of.name)).await {
            Ok(DeserializeGuard(Ok(portfolio))) => portfolio,
            Ok(DeserializeGuard(Err(invalid))) => {
                warn!(namespace = %self.of.namespace, portfolio = %self.of.name, error = %invalid.error, "stored portfolio does not parse");
                self.hold(None, UNREADABLE);
                self.publish(vec![Notice::unreadable()]);
                return Ok(pace::LONGEST);
            }
            Err(Failed::Gone) => {
                self.ctx.desk.remove(self.of);
                return Ok(pace::LONGEST);
            }
            Err(error) => return Err(Error::Read(error)),
        };
        let uid = portfolio.metadata.uid.clone().unwrap_or_default();
        if state.uid != uid {
            *state = State { uid, ..State::default() };
        }
        let desired = match lower::portfolio(&portfolio) {
            Ok(desired) => desired,
            Err(why) => {
                self.hold(Some(&portfolio), &why.to_string());
                let next = lower::portfolio_refused(&portfolio, &why, self.now());
                return self.write(&portfolio, next, vec![Notice::spec_invalid()], pace::LONGEST).await;
            }
        };
        if portfolio.status.is_none() {
            // Secrets and Meta may take a while, and nobody is left to wonder whether anything happens.
            let next = self.first(&desired);
            return self.write(&portfolio, next, Vec::new(), Duration::ZERO).await;
        }
        state.note_nudge(portfolio.metadata.annotations.as_ref().and_then(|all| all.get(lower::RECONCILE)));
        let offer = self.read_offer(&desired).await;
        let (conditions, waiting) = standing(&portfolio);
        let assessment = self.judge(state, &desired, &offer, &conditions, &waiting).await;
        state.view = Some(assessment.view.clone());
        let graph = assessment.view.credential_version.as_ref().and(state.in_use.as_ref());
        let graph = graph.map(|in_use| in_use.graph.clone());
        if self.ctx.portfolios.publish(self.of, assessment.view.clone(), graph) {
            self.ctx.signals.channels.wake(self.ctx.desk.claims.of_portfolio(self.of));
        }
        let held =
            assessment.view.throttled_until.map_or(0, |at| at.duration_since(self.now()).as_secs().max(0));
        self.ctx.signals.metrics.held_back(&self.of.namespace, &self.of.name, held);
        // What was counted before a restart stays until all channels are known again.
        let kept = || portfolio.status.as_ref().and_then(|status| status.channels).unwrap_or_default();
        let counts = self.counts().unwrap_or_else(kept);
        let next = lower::portfolio_status(&desired, &assessment, counts, portfolio.status.as_ref());
        let poll = self.ctx.shell.limits.credential_poll;
        let pause = pace::until(assessment.next, self.now()).min(poll);
        let pause = state.until_due(self.now()).map_or(pause, |until| pause.min(until)).max(SHORTLY);
        self.write(&portfolio, next, turns(&conditions, &assessment.conditions), pause).await
    }

    /// Channels are not served by a spec that cannot be understood, whatever it said before: its edit may have
    /// been meant to change just that. Credentials and facts are kept for when it is corrected.
    fn hold(&self, portfolio: Option<&WhatsAppPortfolio>, why: &str) {
        let business = portfolio.map(|p| p.spec.business_id.as_str()).unwrap_or_default();
        let view = PortfolioView::spec_invalid(&self.of.namespace, &self.of.name, business, why);
        if self.ctx.portfolios.publish(self.of, view, None) {
            self.ctx.signals.channels.wake(self.ctx.desk.claims.of_portfolio(self.of));
        }
    }

    /// Its channels by state. Who may not use it does not count: nobody can put a number into a foreign status.
    fn counts(&self) -> Option<ChannelCounts> {
        let may_use = |of: &PortfolioRef, namespace: &str| self.ctx.portfolios.may_use(of, namespace);
        self.ctx.desk.claims.counts_of(self.of, may_use)
    }

    /// The first status, before anything was looked at.
    fn first(&self, desired: &DesiredPortfolio) -> WhatsAppPortfolioStatus {
        let unseen = PortfolioObserved::default();
        let (limits, now) = (&self.ctx.shell.limits, self.now());
        let assessment = assess_portfolio(desired, &unseen, &ConditionSet::default(), &[], None, limits, now);
        let counts = self.counts().unwrap_or_default();
        lower::portfolio_status(desired, &assessment, counts, None)
    }

    /// Asks Meta what has to be asked, and judges. An offered credential that is taken up is in use when this ends.
    async fn judge(
        &self,
        state: &mut State<S::Graph>,
        desired: &DesiredPortfolio,
        offer: &Offer,
        conditions: &ConditionSet,
        waiting: &[WaitingFor],
    ) -> PortfolioAssessment {
        let now = self.now();
        let fresh = self.ctx.shell.limits.fresh_portfolio;
        let is_old = |at: Option<Timestamp>| at.is_none_or(|at| now >= at + fresh);
        let may_ask = state.may_ask(now);
        let is_doubted = state.is_doubted && may_ask;
        let offered = offer.credential.as_ref().map(|(version, ..)| version.clone());
        let is_in_use =
            offered.is_some() && offered == state.in_use.as_ref().map(|in_use| in_use.version.clone());
        let token_in_use = match &state.in_use {
            Some(in_use) if state.is_check_due(fresh, now) => fact(in_use.graph.debug_token().await),
            _ => Fact::NotAsked,
        };
        let offered_token =
            if is_in_use { Fact::NotAsked } else { self.try_offer(state, desired, offer).await };
        if token_in_use != Fact::NotAsked {
            state.note_check(&token_in_use, now);
        }
        let said = if is_in_use {
            state.tried = None;
            Said { offered: token_in_use, in_use: Fact::NotAsked }
        } else {
            Said { offered: offered_token, in_use: token_in_use }
        };
        // Where there was nothing to ask, the Secrets are the answer.
        if may_ask && !is_open(&said.offered) && !is_open(&said.in_use) {
            state.is_doubted = false;
        }
        let first = self.assess(
            state,
            desired,
            offer,
            offered.clone(),
            said.clone(),
            Facts::default(),
            conditions,
            waiting,
        );
        if first.accept_offered && !is_in_use {
            self.take_up(state, desired, offer, &said.offered);
        }
        let is_due = is_doubted || is_old(state.facts.read_at) || (state.facts.is_incomplete(now) && may_ask);
        if !is_due || first.view.credential_version.is_none() {
            return first;
        }
        if let Some(in_use) = &state.in_use {
            state.facts = read_facts(&in_use.graph, now).await;
            state.asked_at = state.asked_at.max(Some(now));
        }
        let facts = state.facts.clone();
        state.view = Some(first.view.clone());
        self.assess(state, desired, offer, offered, said, facts, &first.conditions, &first.waiting_for)
    }

    #[allow(clippy::too_many_arguments)]
    fn assess(
        &self,
        state: &State<S::Graph>,
        desired: &DesiredPortfolio,
        offer: &Offer,
        offered: Option<String>,
        said: Said,
        facts: Facts,
        conditions: &ConditionSet,
        waiting: &[WaitingFor],
    ) -> PortfolioAssessment {
        let observed = PortfolioObserved {
            access_token: offer.access_token.clone(),
            app_secret: offer.app_secret.clone(),
            in_use: state.in_use.as_ref().map(|in_use| in_use.version.clone()),
            offered,
            token: said.offered,
            token_in_use: said.in_use,
            business: facts.business,
            owned: facts.owned,
            client: facts.client,
            throttled_until: state.in_use.as_ref().and_then(|in_use| in_use.graph.throttled_until(None)),
        };
        let now = self.now();
        let limits = &self.ctx.shell.limits;
        assess_portfolio(desired, &observed, conditions, waiting, state.view.as_ref(), limits, now)
    }

    /// Asks Meta about a version that is not in use, unless it was asked about that version before.
    async fn try_offer(
        &self,
        state: &mut State<S::Graph>,
        desired: &DesiredPortfolio,
        offer: &Offer,
    ) -> Fact<TokenFacts> {
        let Some((version, ..)) = &offer.credential else { return Fact::NotAsked };
        let now = self.now();
        if let Some(said) = state.said_of(version, self.ctx.shell.limits.fresh_portfolio, now) {
            return said.clone();
        }
        let Some(graph) = self.graph(desired, offer, desired.app.clone()) else { return Fact::NotAsked };
        let token = fact(graph.debug_token().await);
        state.asked_at = Some(now);
        if state.in_use.is_none() {
            // There is nothing else that a doubt could be about.
            state.note_check(&token, now);
        }
        state.tried = Some(Tried { version: version.clone(), graph, token: token.clone(), at: now });
        token
    }

    /// From now on channels are served with the offered credential.
    fn take_up(
        &self,
        state: &mut State<S::Graph>,
        desired: &DesiredPortfolio,
        offer: &Offer,
        token: &Fact<TokenFacts>,
    ) {
        let Some(tried) = state.tried.take() else { return };
        info!(namespace = %self.of.namespace, portfolio = %self.of.name, "new credential in use");
        let learnt = token.known().and_then(|token| token.app.clone()).filter(|_| desired.app.is_none());
        let graph = match learnt {
            Some(app) => self.graph(desired, offer, Some(app)).unwrap_or(tried.graph),
            None => tried.graph,
        };
        state.in_use = Some(InUse { version: tried.version, graph });
        state.note_answer(tried.at);
        state.facts = Facts::default();
    }

    fn graph(&self, desired: &DesiredPortfolio, offer: &Offer, app: Option<AppId>) -> Option<S::Graph> {
        let (version, token, app_secret) = offer.credential.clone()?;
        Some(self.ctx.source.graph(Credential {
            business: desired.business.clone(),
            version,
            token,
            app_secret,
            app,
        }))
    }

    async fn read_offer(&self, desired: &DesiredPortfolio) -> Offer {
        let secrets = NamespaceSecrets::new(&self.ctx.cluster.client, &self.of.namespace);
        let (token_fact, token) = read_secret(&secrets, Some(&desired.access_token)).await;
        let (app_fact, app_secret) = read_secret(&secrets, desired.app_secret.as_ref()).await;
        let complete = token.filter(|_| desired.app_secret.is_none() || app_secret.is_some());
        let credential = complete.map(|(version, token)| {
            let app = desired.app_secret.as_ref().zip(app_secret.as_ref());
            let secrets = [(&desired.access_token, &version)]
                .into_iter()
                .chain(app.map(|(key, (version, _))| (key, version)));
            let version = version_of(secrets, desired.app.as_ref());
            (version, token, app_secret.map(|(_, secret)| secret))
        });
        Offer { access_token: token_fact, app_secret: app_fact, credential }
    }

    /// One write, if anything changed, onto the version that was read. What there is to tell of it is told once it
    /// stands: a write that did not land is decided anew.
    async fn write(
        &self,
        portfolio: &WhatsAppPortfolio,
        next: WhatsAppPortfolioStatus,
        notices: Vec<Notice>,
        pause: Duration,
    ) -> Result<Duration, Error> {
        self.ctx.signals.metrics.pass("portfolio", "done");
        if portfolio.status.as_ref() == Some(&next) {
            return Ok(pause);
        }
        let api: Api<WhatsAppPortfolio> =
            Api::namespaced(self.ctx.cluster.client.clone(), &self.of.namespace);
        let uid = portfolio.metadata.uid.as_deref().unwrap_or_default();
        let version = portfolio.metadata.resource_version.as_deref().unwrap_or_default();
        match status::apply(&api, &self.of.name, uid, version, &next).await {
            Ok(_) => {
                self.ctx.signals.metrics.status_writes("portfolio", 1);
                self.publish(notices);
                Ok(pause)
            }
            Err(Failed::Conflict) => Ok(SHORTLY),
            Err(Failed::Gone) => Ok(pace::LONGEST),
            Err(error) => Err(Error::Write(error)),
        }
    }

    fn publish(&self, notices: Vec<Notice>) {
        if notices.is_empty() {
            return;
        }
        let about = self.object.object_ref(&());
        let events = self.ctx.cluster.events.clone();
        self.ctx.shell.tasks.spawn(async move {
            for notice in notices {
                events.publish(&about, notice.is_warning, &notice.reason, notice.note).await;
            }
        });
    }

    fn now(&self) -> Timestamp {
        self.ctx.shell.clock.now()
    }
}

/// What an event tells of: conditions that stand otherwise than before.
fn turns(before: &ConditionSet, after: &ConditionSet) -> Vec<Notice> {
    let kinds = [ConditionType::Ready, ConditionType::CredentialsValid, ConditionType::IdentityConfirmed];
    kinds
        .into_iter()
        .filter_map(|kind| {
            let after = after.get(kind)?;
            let was = before.get(kind).map(|c| (c.status, c.reason));
            (was != Some((after.status, after.reason)) && after.status != Truth::Unknown)
                .then(|| Notice::of(after))
        })
        .collect()
}

fn standing(portfolio: &WhatsAppPortfolio) -> (ConditionSet, Vec<WaitingFor>) {
    portfolio.status.as_ref().map_or_else(Default::default, |status| {
        (lower::conditions_from(&status.conditions), lower::waiting_from(&status.waiting_for))
    })
}

fn fact<T>(read: Result<T, Failure>) -> Fact<T> {
    read.map_or_else(Fact::Unknown, Fact::Known)
}

/// Tells credentials apart: another key of the same Secret holds another one.
fn version_of<'a>(
    secrets: impl Iterator<Item = (&'a SecretKey, &'a SecretVersion)>,
    app: Option<&AppId>,
) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for (key, version) in secrets {
        parts.extend([version.uid.as_str(), version.resource_version.as_str(), key.key.as_str()]);
    }
    parts.extend(app.map(AppId::as_str));
    parts.join("/")
}

async fn read_facts<G: Graph>(graph: &G, now: Timestamp) -> Facts {
    let (business, owned, client) = futures::join!(
        graph.business(Urgency::Transitional),
        graph.owned_accounts(),
        graph.client_accounts()
    );
    Facts { business: fact(business), owned: fact(owned), client: fact(client), read_at: Some(now) }
}

/// The fact about a Secret that may hold any text, and its value beside.
async fn read_secret(
    secrets: &NamespaceSecrets,
    key: Option<&SecretKey>,
) -> (SecretFact, Option<(SecretVersion, SecretString)>) {
    let Some(key) = key else { return (SecretFact::NotAsked, None) };
    match secrets.read(key).await {
        SecretRead::Missing => (SecretFact::Missing, None),
        SecretRead::Forbidden => (SecretFact::Forbidden, None),
        SecretRead::Failed(why) => (SecretFact::Unreadable(why), None),
        SecretRead::Found { version, value: None, .. } => (SecretFact::KeyMissing { version }, None),
        SecretRead::Found { version, value: Some(value), .. } => {
            let is_empty = value.expose_secret().trim().is_empty();
            let well_formed = is_of_meta(value.expose_secret());
            if is_empty {
                return (SecretFact::KeyMissing { version }, None);
            }
            let fact = SecretFact::Present { version: version.clone(), well_formed, seen_before: false };
            (fact, well_formed.then_some((version, value)))
        }
    }
}

/// Whether a text can be a token or an app secret: visible ASCII. A line break at its end is from writing it by hand.
fn is_of_meta(text: &str) -> bool {
    text.trim().bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controller::claim::Pauses,
        engine::{face_fixture as face, failure::Refusal},
    };

    #[test]
    fn a_check_without_an_answer_is_made_again_after_a_pause() {
        let (fresh, start) = (Duration::from_secs(3_600), face::now());
        let mut state = State::<()>::default();
        assert!(state.is_check_due(fresh, start));
        state.note_check(&Fact::<()>::Unknown(Failure::NoAnswer("time-out".into())), start - BETWEEN_CHECKS);
        state.note_check(&Fact::<()>::Unknown(Failure::NotSent("no connection".into())), start);
        assert!(!state.is_check_due(fresh, start + BETWEEN_CHECKS / 2), "not at once");
        let again = start + BETWEEN_CHECKS;
        assert!(state.is_check_due(fresh, again));
        state.note_check(&Fact::Known(()), again);
        assert!(!state.is_check_due(fresh, again + BETWEEN_CHECKS), "answered");
        assert!(state.is_check_due(fresh, again + fresh));
        state.is_doubted = true;
        state.note_check(&Fact::<()>::Unknown(Failure::NoAnswer("time-out".into())), again + fresh);
        assert!(state.is_doubted, "a doubt lasts until it is answered");
    }

    fn desk() -> (Desk<()>, PortfolioRef) {
        let pauses = Pauses { gone: Duration::ZERO, displaced: Duration::ZERO };
        let of = PortfolioRef { namespace: "shop".into(), name: "acme".into() };
        (Desk::new(Arc::new(Claims::new(pauses))), of)
    }

    #[test]
    fn a_look_under_way_holds_up_no_doubt() {
        let (desk, of) = desk();
        let (state, _) = desk.open(&of);
        let _look = state.try_lock().unwrap();
        desk.doubt(&of);
        assert!(desk.open(&of).1);
        assert!(!desk.open(&of).1, "told once");
    }

    #[test]
    fn a_portfolio_that_is_gone_leaves_nothing_behind() {
        let (desk, of) = desk();
        desk.open(&of);
        assert_eq!((desk.failed(&of), desk.failed(&of)), (1, 2));
        desk.succeeded(&of);
        assert_eq!(desk.failed(&of), 1);
        desk.remove(&of);
        desk.doubt(&of);
        assert_eq!((desk.failed(&of), desk.lock().len()), (1, 0));
    }

    fn refused(code: i64, class: Class, until: Option<Timestamp>) -> Failure {
        Failure::Refused(Refusal { class, until, ..face::refusal(code, None, "T1") })
    }

    #[test]
    fn an_unchanged_credential_is_asked_about_again_only_when_it_is_doubted_or_its_answer_is_old() {
        let (now, fresh) = (face::now(), Duration::from_secs(3_600));
        let tried = |token, at| State::<()> {
            tried: Some(Tried { version: "1".into(), graph: (), token, at }),
            asked_at: Some(at),
            ..State::default()
        };
        let is_asked = |state: &State<()>, version: &str, at| state.said_of(version, fresh, at).is_none();
        for answer in [Fact::Known(face::token()), Fact::Unknown(refused(190, Class::Credentials, None))] {
            let mut state = tried(answer, now);
            assert!(!is_asked(&state, "1", now + fresh - BETWEEN_CHECKS));
            assert!(is_asked(&state, "1", now + fresh));
            assert!(is_asked(&state, "2", now), "another version is asked about at once");
            state.is_doubted = true;
            assert!(!is_asked(&state, "1", now), "not more often than this");
            assert!(is_asked(&state, "1", now + BETWEEN_CHECKS));
        }
        let state = tried(Fact::Unknown(Failure::NoAnswer("time-out".into())), now);
        assert!(!is_asked(&state, "1", now));
        assert!(is_asked(&state, "1", now + BETWEEN_CHECKS));
    }

    #[test]
    fn a_read_that_was_not_answered_is_made_again_at_its_date_and_not_with_the_next_look() {
        let (now, date) = (face::now(), face::later(5));
        let facts = |failure| Facts {
            business: Fact::Known(face::business()),
            owned: Fact::Unknown(failure),
            client: Fact::Known(Vec::new()),
            read_at: Some(now),
        };
        let dated = [Failure::Throttled(date), refused(80_008, Class::WaitUntil, Some(date))];
        for failure in dated {
            let state = State::<()> { facts: facts(failure), ..State::default() };
            assert!(!state.facts.is_incomplete(now));
            assert!(state.facts.is_incomplete(date));
            assert_eq!(state.until_due(now), Some(Duration::from_secs(5 * 60)));
        }
        for failure in [
            Failure::NotSent("no connection".into()),
            Failure::NoAnswer("time-out".into()),
            refused(2, Class::Retry, None),
        ] {
            assert!(facts(failure.clone()).is_incomplete(now), "{failure:?}");
            assert!(is_open(&Fact::<()>::Unknown(failure)));
        }
        let denied = refused(200, Class::Credentials, None);
        assert!(!facts(denied).is_incomplete(date), "an answer");
    }

    #[test]
    fn another_key_of_a_secret_is_another_credential() {
        let version = SecretVersion { uid: "u".into(), resource_version: "7".into() };
        let key = |key: &str| SecretKey { name: "acme-meta".into(), key: key.into() };
        let of = |token: &str, app: Option<&str>| {
            let keys = [Some(key(token)), app.map(key)];
            version_of(keys.iter().flatten().map(|key| (key, &version)), None)
        };
        let all = [of("token", None), of("other", None), of("token", Some("app")), of("token", Some("old"))];
        let told_apart: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(told_apart.len(), all.len(), "{all:?}");
        assert_eq!(of("token", None), of("token", None));
    }

    #[test]
    fn only_visible_ascii_can_be_a_token() {
        for (text, expected) in [
            ("EAAx1\n", true),
            ("EAA x1", false),
            ("EAA\nx1", false),
            ("“EAAx1”", false),
            ("EAAx1\u{200b}", false),
        ] {
            assert_eq!(is_of_meta(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_new_value_of_the_annotation_asks_to_look_now() {
        let (now, fresh) = (face::now(), Duration::from_secs(3_600));
        let value = |text: &str| Some(text.to_owned());
        let mut state = State::<()>::default();
        state.note_nudge(value("1").as_ref());
        assert!(!state.is_doubted, "at the start everything is looked at anyway");
        state.note_check(&Fact::Known(()), now);
        state.note_nudge(value("1").as_ref());
        assert!(!state.is_doubted);
        state.note_nudge(value("2").as_ref());
        assert_eq!(state.until_due(now), Some(BETWEEN_CHECKS), "not more often than this");
        assert!(state.is_check_due(fresh, now + BETWEEN_CHECKS));
        state.note_check(&Fact::Known(()), now + BETWEEN_CHECKS);
        state.note_nudge(None);
        assert!(!state.is_doubted && state.until_due(now).is_none());
    }
}
