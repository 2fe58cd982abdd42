//! Work: passes, pollers and steps, while this process is told to. What it remembers is of one term, and is forgotten with
//! it: between two terms another process may have acted. Only what Meta answered to an intent outlives it.

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
        unwritten::Unwritten,
    },
    telemetry::{
        fleet::{Detail, Fleet},
        health::Health,
        metrics::Metrics,
    },
};

use super::{
    channel,
    claim::Claims,
    index::{Follower, Index},
    pins, poller,
    portfolio::{self, Desk},
    queue::{Lane, Target},
    resting::Accounts,
    signal::{ACCOUNTS, CHANNELS, Cluster, PORTFOLIOS, Signals},
    state::States,
    supervise::{Fallen, Pulse, Tasks},
    survey::survey,
    sweep,
    watch::{Key, Watched},
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
    pub watched: Watched,
    /// The operator's own namespace, where that is known.
    pub own_namespace: Option<Arc<str>>,
    pub events: Events,
    pub source: Arc<S>,
    pub clock: Arc<C>,
    pub limits: Arc<Limits>,
    pub ids: Arc<Ids>,
    /// Reading and deciding of one reconcile; what is carried out is not bounded by it.
    pub budget: Duration,
    /// What Meta answered and no status holds yet.
    pub unwritten: Arc<Unwritten>,
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
            repeats: Arc::default(),
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
            unwritten: self.unwritten.clone(),
            labels: index.labels.clone(),
            own_namespace: self.own_namespace.clone(),
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
        let places = sweep::places(&self.watched.namespaces, self.own_namespace.as_deref());
        let (client, limits, clock) = (self.client.clone(), self.limits.clone(), self.clock.clone());
        tasks.begin("the sweeping", |pulse| async move {
            sweep::sweep(&client, &places, &limits, &clock, &pulse).await;
        });
        let (ctx, watched) = (channels.clone(), self.watched.clone());
        tasks.begin("the look at PINs", |pulse| async move { pins::follow(&ctx, &watched, &pulse).await });
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
    let unbegun = unbegun(claims, |key| states.has(key) || accounts.has(key), signals.started);
    let resting = accounts.oldest_look(shell.limits.fresh_list);
    let oldest = states.oldest_success(resting, unbegun);
    Fleet {
        depths: depths.collect(),
        oldest_look: oldest.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0)),
        ..survey(claims, portfolios, &shell.limits, detail, now)
    }
}

/// Since when the oldest of those waits that never had a turn. What was there at the start waits since then.
fn unbegun(claims: &Claims, had_turn: impl Fn(&Key) -> bool, started: Timestamp) -> Option<Timestamp> {
    let mut oldest: Option<Timestamp> = None;
    claims.each(|key, channel| {
        if !had_turn(key) {
            let since = channel.created.max(started);
            oldest = Some(oldest.map_or(since, |oldest| oldest.min(since)));
        }
    });
    oldest
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
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::controller::claim::Pauses;

    #[test]
    fn a_channel_that_never_had_a_turn_is_unseen_since_it_is_there_or_since_the_start() {
        let pause = Duration::from_secs(30);
        let claims = Claims::new(Pauses { gone: pause, displaced: pause, kept: pause });
        let at = |second: i64| Timestamp::from_second(second).expect("a time");
        let made = |name: &str, second: i64| {
            let key = Key { namespace: "shop".into(), name: name.into() };
            let channel = serde_json::from_value(json!({
                "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
                "metadata": {"name": name, "namespace": "shop", "uid": name, "creationTimestamp": at(second).to_string()},
                "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": format!("+55119{second:08}"), "displayName": "Acme"},
            }));
            claims.apply(&key, channel::claimant(&channel.expect("a channel")), at(1_000));
        };
        let oldest = |begun: &[&str]| unbegun(&claims, |key| begun.contains(&&*key.name), at(500));
        assert_eq!(oldest(&[]), None, "there are none");
        made("old", 7);
        made("new", 900);
        made("newer", 950);
        assert_eq!(oldest(&["new"]), Some(at(500)), "one is, whatever else was looked at");
        assert_eq!(oldest(&["old"]), Some(at(900)), "it was not there before");
        assert_eq!(oldest(&["old", "new", "newer"]), None);
    }

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
