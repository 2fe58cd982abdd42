//! The reconcile of a portfolio: the only one who checks credentials, portfolio and
//! accounts, and who hands channels a view and what opens the Graph API.
//!
//! Secrets are read every minute, or every five where nothing is waited for; Meta is asked when a version is new, when
//! the last answer is old, or when a channel was refused.

mod app;
mod credential;
mod desk;
mod going;
mod reading;
mod state;

use std::{sync::Arc, time::Duration};

use app::Upkeep;
use credential::{Examination, Offer, Shown};
use going::Deletion;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::ObjectMeta;
use reading::Ring;
use state::{Around, Rest, State};
use tracing::{Instrument as _, error_span, warn};

use crate::{
    api::{
        lower,
        v1alpha1::{AccountInReach, ChannelCounts, WhatsAppPortfolio, WhatsAppPortfolioStatus},
    },
    cluster::{
        Failed, bounded,
        read::{Objects, Stored, Wanted},
        secret::NamespaceSecrets,
        status,
    },
    controller::{
        concern::waits,
        contained::{Panicked, contained},
        news::apps,
        pace, parting,
        queue::{Next, Seat, Turn},
        signal::{Cluster, Doubt, PORTFOLIOS, Signals, reference_to},
        tell::Notice,
        view::Portfolios,
        watch::Key,
    },
    engine::{
        assess::portfolio::{PortfolioGiven, PortfolioObserved, assess_app, assess_portfolio},
        condition::{Condition, ConditionSet, Truth},
        condition_type::ConditionType,
        desired::{DesiredPortfolio, PortfolioRef},
        farewell::Farewell,
        look::Urgency,
        portfolio::PortfolioView,
        status::WaitingFor,
        time::later,
    },
    meta::port::{Clock, Graph, GraphSource},
    run::pass::{Place, Shell, apart},
};

pub use desk::Desk;

/// Another writer changed the object; start again from its present state.
const SHORTLY: Duration = Duration::from_secs(1);
/// Looks that reads in the background ask for come no closer together than this.
const BETWEEN_RINGS: Duration = Duration::from_secs(2);

/// What a reconcile gets.
pub struct Context<S: GraphSource, C> {
    pub cluster: Cluster,
    pub shell: Shell<C>,
    pub source: Arc<S>,
    pub portfolios: Arc<Portfolios<S::Graph>>,
    pub signals: Signals,
    pub desk: Desk<S::Graph>,
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

impl From<Panicked> for Error {
    fn from(_: Panicked) -> Self {
        Self::Lost
    }
}

/// Namespace and name as the engine has them.
pub fn reference(key: &Key) -> PortfolioRef {
    PortfolioRef { namespace: key.namespace.clone(), name: key.name.clone() }
}

/// Reconciles one portfolio.
pub async fn work<S: GraphSource, C: Clock>(ctx: Arc<Context<S, C>>, turn: Turn<PortfolioRef>) -> Next {
    let _counted = ctx.shell.tasks.token();
    let _timed = ctx.signals.metrics.reconcile(PORTFOLIOS);
    let (of, class) = (turn.key, turn.place.class());
    let span = error_span!("reconcile", namespace = %of.namespace, portfolio = %of.name);
    let worked = async {
        let worked = contained(Box::pin(reconcile(&ctx, &of, turn.is_asked, turn.place))).await;
        worked.unwrap_or_else(|error| Next::again(ctx.failed(&of, &error), class))
    };
    worked.instrument(span).await
}

async fn reconcile<S: GraphSource, C: Clock>(
    ctx: &Context<S, C>,
    of: &PortfolioRef,
    is_asked: bool,
    mut place: Seat<PortfolioRef>,
) -> Result<Next, Error> {
    let state = ctx.desk.open(of);
    let mut state = state.lock().await;
    let doubt = ctx.signals.take_doubt(of);
    state.is_doubted |= doubt.is_some();
    state.is_nudged |= doubt == Some(Doubt::Reach);
    let one = One { ctx, of, class: place.class() };
    let rest = state.rest.take().filter(|_| !is_asked && !state.is_doubted);
    if let Some(rest) = rest
        && let Some(pause) = one.poll(&rest, &state, &mut place).await
    {
        state.rest = Some(rest);
        return Ok(in_time(pause));
    }
    // Only reads are in here, so giving up in the middle loses nothing.
    let budget = ctx.shell.budget;
    let next = tokio::time::timeout(budget, one.look(&mut state, &mut place))
        .await
        .map_err(|_| Error::Budget(budget))??;
    ctx.desk.succeeded(of);
    Ok(next)
}

impl<S: GraphSource, C: Clock> Context<S, C> {
    /// Says when to try again: later and later, for each object on its own.
    fn failed(&self, of: &PortfolioRef, error: &Error) -> Duration {
        let pause = pace::after_failures(self.desk.failed(of)).min(Duration::from_secs(60));
        if let Some(repeated) = self.shell.repeats.tell(&error.to_string()) {
            warn!(%error, pause_s = pause.as_secs(), repeated, "portfolio not reconciled");
        }
        self.signals.metrics.pass("portfolio", "failed");
        pause
    }
}

/// The next look, if nobody asks for one.
fn in_time(pause: Duration) -> Next {
    Next::after(pause, Urgency::Drift)
}

/// One reconcile of one portfolio.
struct One<'a, S: GraphSource, C> {
    ctx: &'a Context<S, C>,
    of: &'a PortfolioRef,
    /// In which it has its turn.
    class: Urgency,
}

impl<S: GraphSource, C: Clock> One<'_, S, C> {
    /// The object was changed meanwhile.
    fn again(&self) -> Next {
        Next::again(SHORTLY, self.class)
    }

    /// While nothing but a Secret can have changed, reads just those. `None`: a look is due.
    async fn poll(
        &self,
        rest: &Rest,
        state: &State<S::Graph>,
        place: &mut Seat<PortfolioRef>,
    ) -> Option<Duration> {
        let left = rest.left(self.now())?;
        if self.around(state) != rest.around {
            return None;
        }
        let secrets = NamespaceSecrets::new(&self.ctx.cluster.client, &self.of.namespace);
        let offer = apart(place, Offer::read(&secrets, &rest.desired)).await;
        (offer.facts() == rest.secrets).then(|| left.min(self.ctx.shell.limits.credential_poll_ready))
    }

    async fn look(&self, state: &mut State<S::Graph>, place: &mut Seat<PortfolioRef>) -> Result<Next, Error> {
        let objects = Objects::<WhatsAppPortfolio>::new(&self.ctx.cluster.client, Some(&self.of.namespace));
        let known = self.ctx.portfolios.uid(self.of);
        let portfolio = match bounded(objects.get(&self.of.name, Wanted::Live)).await {
            Ok(Stored(Ok(portfolio))) => portfolio,
            Ok(Stored(Err(invalid))) => {
                if let Some(repeated) =
                    self.ctx.shell.repeats.tell(&format!("stored portfolio: {}", invalid.why))
                {
                    warn!(why = %invalid.why, repeated, "stored portfolio cannot be used");
                }
                if let Deletion::Over(farewell) = self.deletion(&invalid.metadata) {
                    return self.part(&invalid.metadata, &farewell).await;
                }
                let uid = invalid.metadata.uid.unwrap_or_default();
                let notice = Notice::unusable(&invalid.why);
                self.hold(&uid, "", &notice.note);
                self.tell(&uid, vec![notice]);
                return Ok(in_time(pace::LONGEST));
            }
            Err(Failed::Gone(_)) => {
                self.ctx.desk.remove(self.of);
                // Its watch may be deaf, and nobody is served with the credential of what is gone.
                if known.is_some_and(|uid| self.ctx.portfolios.remove_if(self.of, &uid)) {
                    self.wake_channels(true);
                }
                return Ok(in_time(pace::LONGEST));
            }
            Err(error) => return Err(Error::Read(error)),
        };
        let mut portfolio = portfolio;
        let deletion = self.deletion(&portfolio.metadata);
        if let Deletion::Over(farewell) = &deletion {
            return self.part(&portfolio.metadata, farewell).await;
        }
        if let Deletion::None { is_needed: Some(is_needed) } = deletion
            && let Err(stop) = self.carry(&mut portfolio.metadata, is_needed).await
        {
            return stop;
        }
        let uid = portfolio.metadata.uid.clone().unwrap_or_default();
        if state.uid != uid {
            *state = State::of(uid.clone());
        }
        let desired = match lower::portfolio(&portfolio) {
            Ok(desired) => desired,
            Err(why) => {
                self.hold(&uid, &portfolio.spec.business_id, &why.to_string());
                let next = lower::portfolio_refused(&portfolio, &why, self.now());
                return self.write(&portfolio, next, vec![Notice::spec_invalid()], pace::LONGEST).await;
            }
        };
        if portfolio.seen().is_none() {
            // Secrets and Meta may take a while, and nobody is left to wonder whether anything happens.
            let next = self.first(&desired);
            return self.write(&portfolio, next, Vec::new(), Duration::ZERO).await;
        }
        state.note_nudge(portfolio.metadata.annotations.as_ref().and_then(|all| all.get(lower::RECONCILE)));
        let secrets = NamespaceSecrets::new(&self.ctx.cluster.client, &self.of.namespace);
        // It waits for Secrets and for Meta from here on.
        place.leave();
        let offer = Offer::read(&secrets, &desired).await.recognised(state);
        let (source, shell) = (&*self.ctx.source, &self.ctx.shell);
        let ring = self.ring();
        let examination = Examination { source, shell, desired: &desired, offer: &offer, ring: &ring };
        let (conditions, waiting) = standing(&portfolio);
        let shown = Shown { conditions: &conditions, waiting: &waiting };
        let is_asked = state.is_nudged;
        let mut assessment = examination.judge(state, shown).await;
        place.enter().await;
        state.view = Some(assessment.view.clone());
        let graph = assessment.view.credential_version.as_ref().and(state.in_use.as_ref());
        let graph = graph.map(|in_use| in_use.graph.clone());
        if self.ctx.portfolios.publish(self.of, &uid, assessment.view.clone(), graph) {
            self.wake_channels(assessment.view.hold.is_some());
        }
        let has_secret = desired.app_secret.is_some();
        if has_secret {
            place.leave();
        }
        let seen = portfolio.status.as_ref().and_then(|status| status.app_webhook.as_ref());
        let may_write = matches!(deletion, Deletion::None { .. });
        let app_webhook = match (&state.in_use, &assessment.view.credential_version) {
            (Some(in_use), Some(_)) => {
                let (graph, desired, before) = (&in_use.graph, &desired, &conditions);
                let is_reconciled = std::mem::take(&mut state.is_reconciled);
                let upkeep = Upkeep {
                    graph,
                    shell,
                    secrets: &secrets,
                    desired,
                    before,
                    is_asked,
                    is_reconciled,
                    may_write,
                };
                upkeep.go_on(&mut state.app, seen).await
            }
            _ => seen.cloned(),
        };
        let (set, waits) = (&mut assessment.conditions, &mut assessment.waiting_for);
        let observed = state.app.observed(app_webhook.as_ref());
        assess_app(&desired, &observed, (&conditions, &waiting), (set, waits), self.now());
        if has_secret {
            place.enter().await;
        }
        if let Deletion::Waits { message, .. } = &deletion {
            assessment.conditions.set(going::waits(&conditions, message, desired.generation, self.now()));
        }
        // What was counted before a restart stays until all channels are known again.
        let kept = || portfolio.status.as_ref().and_then(|status| status.channels).unwrap_or_default();
        let counts = self.counts().unwrap_or_else(kept);
        let mut next = lower::portfolio_status(&desired, &assessment, counts, portfolio.status.as_ref());
        next.app_webhook = app_webhook;
        if let Some(in_use) = &state.in_use {
            lower::subscribed_apps(&mut next.accounts, |account| in_use.graph.subscribed_known(account));
            next.refused_fields = lower::refused_fields(&next.refused_fields, &in_use.graph.refused_fields());
        }
        let limits = &self.ctx.shell.limits;
        let is_ready = assessment.conditions.is(ConditionType::Ready, Truth::True);
        let poll = if is_ready { limits.credential_poll_ready } else { limits.credential_poll };
        let pause = pace::until(assessment.next, self.now()).min(poll);
        let pause = state.until_due(self.now()).map_or(pause, |until| pause.min(until)).max(SHORTLY);
        let pause = state.app.due().map_or(pause, |at| pause.min(pace::until(at, self.now()))).max(SHORTLY);
        let pause = match deletion {
            Deletion::Waits { until, .. } => pause.min(pace::until(until, self.now())).max(SHORTLY),
            Deletion::None { .. } | Deletion::Over(_) => pause,
        };
        // What was not answered is asked again by the next look.
        let is_read = offer.unread().is_none();
        if is_ready && is_read && portfolio.status.as_ref() == Some(&next) && pause >= poll {
            let since = self.now();
            let again = state.until_due(since).map(|left| later(since, left));
            let due = [state.check_due(limits.fresh_portfolio), state.app.due(), again];
            let until = due.into_iter().flatten().min().unwrap_or(since);
            let around = self.around(state);
            state.rest = Some(Rest { desired, secrets: offer.facts(), around, since, until });
        }
        self.write(&portfolio, next, turns(&conditions, &assessment.conditions), pause).await
    }

    /// What becomes of the object if it is being deleted.
    fn deletion(&self, meta: &ObjectMeta) -> Deletion {
        let may_use = |of: &PortfolioRef, namespace: &str| self.ctx.portfolios.may_use(of, namespace);
        let holding = self.ctx.desk.claims.holding(self.of, may_use);
        let least = later(self.ctx.signals.started, self.ctx.shell.limits.cleanup_least);
        going::deletion(meta, holding, least, &self.ctx.shell.limits, self.now())
    }

    /// Has the object carry the finalizer while a channel needs it for its own deletion.
    async fn carry(&self, meta: &mut ObjectMeta, is_needed: bool) -> Result<(), Result<Next, Error>> {
        match parting::carry::<WhatsAppPortfolio>(&self.ctx.cluster.client, meta, is_needed).await {
            Ok(None) => {}
            Ok(Some(written)) => *meta = written,
            Err(Failed::Conflict(_)) => return Err(Ok(self.again())),
            Err(Failed::Gone(_)) => return Err(Ok(in_time(pace::LONGEST))),
            // Channels are served without it.
            Err(error) => {
                let repeats = &self.ctx.shell.repeats;
                parting::tell_unwritten::<WhatsAppPortfolio>(&self.ctx.cluster, repeats, meta, &error);
            }
        }
        Ok(())
    }

    /// Lets the object go, as it was when that was decided.
    async fn part(&self, meta: &ObjectMeta, farewell: &Farewell) -> Result<Next, Error> {
        if !self.ctx.shell.may_work.borrow().holds() {
            return Ok(self.again());
        }
        match parting::part::<WhatsAppPortfolio>(&self.ctx.cluster, meta, farewell).await {
            Ok(()) => Ok(in_time(pace::LONGEST)),
            Err(Failed::Conflict(_)) => Ok(self.again()),
            Err(error) => Err(Error::Write(error)),
        }
    }

    /// What is read in the background has the portfolio looked at when it is there; many pages make one look.
    fn ring(&self) -> Ring {
        let (portfolios, of) = (self.ctx.signals.portfolios.clone(), self.of.clone());
        Arc::new(move || portfolios.ask_within(&of, Urgency::Drift, BETWEEN_RINGS))
    }

    /// Channels are not served by a spec that cannot be understood, whatever it said before: its edit may have
    /// been meant to change just that. Credentials and facts are kept for when it is corrected. A claim that others can
    /// prove is not kept for longer than behind credentials that do not work.
    fn hold(&self, uid: &str, business: &str, why: &str) {
        let view = PortfolioView::spec_invalid(&self.of.namespace, &self.of.name, business, why);
        if self.ctx.portfolios.hold(self.of, uid, view, self.now()) {
            self.wake_channels(true);
        }
    }

    /// Its channels look at what it is now. Where it holds them up they ask nobody else, and write that.
    fn wake_channels(&self, is_on_hold: bool) {
        let (queue, channels) = (&self.ctx.signals.channels, self.ctx.desk.claims.of_portfolio(self.of));
        if is_on_hold {
            queue.wake_all_at_pace(&channels);
        } else {
            queue.wake(channels);
        }
    }

    /// What only a look tells, though none of it is read by one.
    fn around(&self, state: &State<S::Graph>) -> Around {
        let may_use = |of: &PortfolioRef, namespace: &str| self.ctx.portfolios.may_use(of, namespace);
        let holding = self.ctx.desk.claims.holding(self.of, may_use);
        let graph = state.in_use.as_ref().map(|in_use| &in_use.graph);
        Around {
            counts: self.counts(),
            is_needed: holding.map(|holding| !holding.is_empty()),
            throttled_until: graph.and_then(|graph| graph.throttled_until(None)),
            refused_fields: graph.map(Graph::refused_fields).unwrap_or_default(),
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
        let assessment = assess_portfolio(&PortfolioGiven {
            desired,
            observed: &unseen,
            before: &ConditionSet::default(),
            waiting_before: &[],
            view_before: None,
            limits: &self.ctx.shell.limits,
            now: self.now(),
        });
        let counts = self.counts().unwrap_or_default();
        lower::portfolio_status(desired, &assessment, counts, None)
    }

    /// One write, if anything changed, onto the version that was read. What there is to tell of it is told once it
    /// stands: a write that did not land is decided anew.
    async fn write(
        &self,
        portfolio: &WhatsAppPortfolio,
        next: WhatsAppPortfolioStatus,
        notices: Vec<Notice>,
        pause: Duration,
    ) -> Result<Next, Error> {
        self.ctx.signals.metrics.pass("portfolio", "done");
        let uid = portfolio.metadata.uid.as_deref().unwrap_or_default();
        self.ctx.portfolios.waits_for(self.of, uid, waits(&next.waiting_for, &next.conditions));
        if portfolio.status.as_ref() == Some(&next) {
            return Ok(in_time(pause));
        }
        let objects = Objects::<WhatsAppPortfolio>::new(&self.ctx.cluster.client, Some(&self.of.namespace));
        let version = portfolio.metadata.resource_version.as_deref().unwrap_or_default();
        match status::apply(&objects, &self.of.name, uid, version, &next).await {
            Ok(_) => {
                self.ctx.signals.metrics.status_writes("portfolio", 1);
                self.tell(uid, notices);
                let accounts = portfolio.status.as_ref().map(|status| status.accounts.as_slice());
                self.tell_apps(uid, accounts.unwrap_or_default(), &next.accounts);
                Ok(in_time(pause))
            }
            Err(Failed::Conflict(_)) => Ok(self.again()),
            Err(Failed::Gone(_)) => Ok(in_time(pace::LONGEST)),
            Err(error) => Err(Error::Write(error)),
        }
    }

    fn tell(&self, uid: &str, notices: Vec<Notice>) {
        let about = reference_to::<WhatsAppPortfolio>(&self.of.namespace, &self.of.name, uid);
        self.ctx.cluster.tell(&about, notices);
    }

    /// Events of one object are folded where they are about the same part of it.
    fn tell_apps(&self, uid: &str, before: &[AccountInReach], after: &[AccountInReach]) {
        let repeats = &self.ctx.shell.repeats;
        for (account, notice) in apps(before, after) {
            // One app comes to hundreds of accounts; status has them all.
            let object = format!("{}/{}", self.of.namespace, self.of.name);
            let Some(notice) = notice.paced(repeats, &object) else { continue };
            let about = ObjectReference {
                field_path: Some(format!("status.accounts{{{account}}}")),
                ..reference_to::<WhatsAppPortfolio>(&self.of.namespace, &self.of.name, uid)
            };
            self.ctx.cluster.tell(&about, vec![notice]);
        }
    }

    fn now(&self) -> Timestamp {
        self.ctx.shell.clock.now()
    }
}

/// What an event tells of: `Ready`, and the conditions that channels do not tell of, that stand otherwise than before. A
/// business that was verified from the start is no news.
fn turns(before: &ConditionSet, after: &ConditionSet) -> Vec<Notice> {
    let is_told = |now: &Condition| match now.kind {
        ConditionType::Ready => true,
        ConditionType::BusinessVerified => now.status == Truth::False || before.is(now.kind, Truth::False),
        kind => !ConditionType::CHANNEL.contains(&kind),
    };
    after
        .iter()
        .filter(|now| is_told(now) && now.status != Truth::Unknown)
        .filter(|now| {
            let was = before.get(now.kind).map(|c| (c.status, c.reason));
            was != Some((now.status, now.reason))
        })
        .map(Notice::of)
        .collect()
}

fn standing(portfolio: &WhatsAppPortfolio) -> (ConditionSet, Vec<WaitingFor>) {
    portfolio.status.as_ref().map_or_else(Default::default, |status| {
        (lower::conditions_from(&status.conditions), lower::waiting_from(&status.waiting_for))
    })
}

#[cfg(test)]
mod tests;
