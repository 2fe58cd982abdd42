//! Work: passes, pollers and steps, while this process is told to. Everything that it remembers is of one term, and is
//! forgotten with it: between two terms another process may have acted.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::engine::{desired::PortfolioRef, limits::Limits, look::Urgency};
use crate::{
    cluster::{DEADLINE, event::Events},
    meta::port::{Clock, Graph, GraphSource},
    run::{
        may_work::MayWork,
        pass::{Ids, Shell, longest},
    },
    telemetry::{
        fleet::{Detail, Fleet},
        health::Health,
        metrics::Metrics,
    },
};

use super::{
    channel,
    index::{Follower, Index},
    poller,
    portfolio::{self, Desk},
    queue::{Lane, Target},
    resting::Accounts,
    signal::{ACCOUNTS, CHANNELS, Cluster, PORTFOLIOS, Signals},
    state::States,
    supervise::{Fallen, Pulse, Tasks},
    survey::survey,
    watch::Key,
};

/// Room that a crowd took is given back this often.
const TIDYING: Duration = Duration::from_secs(15);
/// Accounts that are worked on at the same time; one that waits for Meta does not count.
const ACCOUNTS_AT_ONCE: usize = 16;
/// What readiness calls the tasks of a term.
const PART: &str = "work";

/// What every term has.
pub struct Work<S: GraphSource, C> {
    pub index: Arc<Index<S::Graph>>,
    pub client: Client,
    pub events: Events,
    pub source: Arc<S>,
    pub clock: Arc<C>,
    pub limits: Arc<Limits>,
    pub ids: Arc<Ids>,
    /// Reading and deciding of one reconcile; what is carried out is not bounded by it.
    pub budget: Duration,
    /// Whether to work now, and not only to watch.
    pub told: watch::Receiver<MayWork>,
    pub health: Health,
    pub metrics: Arc<Metrics>,
}

/// What is remembered in one term.
struct Term<S: GraphSource, C> {
    channels: Arc<channel::Context<S::Graph, C>>,
    desks: Arc<portfolio::Context<S, C>>,
}

impl<S: GraphSource, C: Clock> Follower for Term<S, C> {
    fn is_news(&self, key: &Key, version: &str) -> bool {
        self.channels.accounts.is_written(key, version)
    }

    fn channel_gone(&self, key: &Key, left: Option<&Lane>) {
        self.channels.states.remove(key);
        self.channels.accounts.leave(key);
        // Nobody is left who needs the list of the account.
        if let Some(Lane { portfolio, target: Target::Account(account) }) = left
            && let Some(graph) = self.channels.portfolios.state(portfolio, &portfolio.namespace).1
        {
            graph.let_go(account);
        }
    }

    fn portfolio_gone(&self, of: &PortfolioRef) {
        self.desks.signals.take_doubt(of);
        self.desks.desk.remove(of);
    }

    fn failing(&self) -> Vec<Key> {
        self.channels.states.failing()
    }
}

impl<S: GraphSource, C: Clock> Work<S, C> {
    /// Works in every term for which it is told to, until `stop`.
    ///
    /// # Errors
    ///
    /// When a task of a term ends by itself, or falls silent.
    pub async fn terms(&self, stop: &CancellationToken) -> Result<(), Fallen> {
        let mut may_work = self.told.clone();
        loop {
            let begin = async {
                self.index.filled().await;
                until(&mut may_work, true).await;
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = begin => {}
            }
            let over = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = until(&mut may_work, false) => {}
                }
            };
            self.term(over).await?;
        }
    }

    /// Works until `over`, then ends what was begun: no new work, and every intent, call and outcome on its way is written
    /// before this returns, for which it takes at most [`longest`].
    async fn term(&self, over: impl Future<Output = ()>) -> Result<(), Fallen> {
        let started = self.clock.now();
        self.source.take_over();
        self.index.claims.take_over(started);
        let (term, begun) = self.begin(started);
        self.index.follow(Some(Arc::new(term)));
        let (mut tasks, carried) = begun;
        info!("working");
        let ended = tokio::select! {
            () = over => Ok(()),
            fallen = tasks.fallen() => Err(fallen),
        };
        if ended.is_ok() {
            info!("ending the work");
        }
        // Reconciles are dropped with their tasks; what was begun goes on in tasks of its own.
        drop(tasks);
        self.index.follow(None);
        self.metrics.ask_nobody();
        carried.close();
        if tokio::time::timeout(longest(&self.limits, DEADLINE), carried.wait()).await.is_err() {
            warn!(left = carried.len(), "some work was still on its way when the time for it had passed");
        }
        self.index.portfolios.close();
        ended
    }

    fn begin(&self, started: Timestamp) -> (Term<S, C>, (Tasks, TaskTracker)) {
        let carried = TaskTracker::new();
        let shell = Shell {
            clock: self.clock.clone(),
            limits: self.limits.clone(),
            ids: self.ids.clone(),
            tasks: carried.clone(),
            may_work: self.told.clone(),
            budget: self.budget,
        };
        let index = &self.index;
        let signals = Signals::new(
            (index.channels.clone(), index.desks.clone()),
            ACCOUNTS_AT_ONCE,
            self.metrics.clone(),
            started,
        );
        let cluster = Cluster { client: self.client.clone(), events: self.events.clone() };
        let channels = Arc::new(channel::Context {
            cluster: cluster.clone(),
            shell: shell.clone(),
            claims: index.claims.clone(),
            portfolios: index.portfolios.clone(),
            newcomers: index.newcomers.clone(),
            states: Arc::new(States::default()),
            accounts: Arc::new(Accounts::default()),
            labels: index.labels.clone(),
            signals: signals.clone(),
        });
        let desks = Arc::new(portfolio::Context {
            cluster,
            shell,
            source: self.source.clone(),
            portfolios: index.portfolios.clone(),
            signals,
            desk: Desk::new(index.claims.clone()),
        });
        let mut tasks = Tasks::new(PART, self.health.clone());
        let ctx = channels.clone();
        tasks.begin("the work on channels", |pulse| async move {
            let (queue, metrics) = (ctx.signals.channels.clone(), ctx.signals.metrics.clone());
            let told = |class, delay| metrics.delay(CHANNELS, word(class), delay);
            queue.run(pulse, |turn| channel::work(ctx.clone(), turn), told).await;
        });
        let ctx = channels.clone();
        tasks.begin("the work on accounts", |pulse| async move {
            let (queue, metrics) = (ctx.signals.accounts.clone(), ctx.signals.metrics.clone());
            let told = |class, delay| metrics.delay(ACCOUNTS, word(class), delay);
            queue.run(pulse, |turn| poller::work(ctx.clone(), turn), told).await;
        });
        let ctx = desks.clone();
        tasks.begin("the work on portfolios", |pulse| async move {
            let (queue, metrics) = (ctx.signals.portfolios.clone(), ctx.signals.metrics.clone());
            let told = |class, delay| metrics.delay(PORTFOLIOS, word(class), delay);
            queue.run(pulse, |turn| portfolio::work(ctx.clone(), turn), told).await;
        });
        let ctx = channels.clone();
        tasks.begin("the tidying", |pulse| async move { tidy(&ctx, &pulse).await });
        let ctx = channels.clone();
        self.metrics.ask(move |detail| standing(&ctx, detail));
        (Term { channels, desks }, (tasks, carried))
    }
}

/// Waits until it is told so, or until the time that it was told is over. Who told last is believed for good.
async fn until(told: &mut watch::Receiver<MayWork>, what: bool) {
    loop {
        let now = *told.borrow_and_update();
        if now.holds() == what {
            return;
        }
        let over = async {
            match now {
                MayWork::Until(end) if now.holds() => tokio::time::sleep_until(end).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            told_more = told.changed() => {
                if told_more.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            () = over => {}
        }
    }
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

/// How things stand, for a scrape.
fn standing<G: Graph, C: Clock>(ctx: &channel::Context<G, C>, detail: Detail) -> Fleet {
    let channel::Context { shell, claims, portfolios, states, accounts, signals, .. } = ctx;
    let now = shell.clock.now();
    let lines = [
        (CHANNELS, signals.channels.depths()),
        (PORTFOLIOS, signals.portfolios.depths()),
        (ACCOUNTS, signals.accounts.depths()),
    ];
    let depths = lines
        .into_iter()
        .flat_map(|(kind, depths)| depths.into_iter().map(move |(class, depth)| (kind, word(class), depth)));
    let resting = accounts.oldest_look(shell.limits.fresh_list);
    let oldest = states.oldest_success(resting, signals.started, claims.len());
    Fleet {
        depths: depths.collect(),
        oldest_look: oldest.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0)),
        ..survey(claims, portfolios, &shell.limits, detail, now)
    }
}

/// Gives back what a crowd took.
async fn tidy<G, C: Clock>(ctx: &channel::Context<G, C>, pulse: &Pulse) {
    loop {
        pulse.beat();
        ctx.states.tidy(ctx.shell.clock.now());
        ctx.accounts.tidy();
        ctx.signals.accounts.tidy();
        tokio::time::sleep(TIDYING).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_is_told_nothing_more_stops_when_its_time_is_over() {
        let begun = Instant::now();
        let (tells, mut told) = watch::channel(MayWork::No);
        tells.send_replace(MayWork::Until(begun + Duration::from_secs(10)));
        until(&mut told, true).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let renewing = async {
            tokio::time::sleep(Duration::from_secs(6)).await;
            tells.send_replace(MayWork::Until(begun + Duration::from_secs(16)));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = renewing => {}
            () = until(&mut told, false) => {}
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(16));
    }
}
