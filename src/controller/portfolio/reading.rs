//! What Meta says about a portfolio beside its credential, told as it comes.
//!
//! The lists of accounts may have many pages, and each page may take as long as a call may. So nobody waits for them: each of
//! the three reads has a task of its own, which tells what it found and ends. It does not sleep: when a page is to be asked
//! for again, the portfolio is looked at then, and the read goes on from there.

use std::{
    future::Future,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use jiff::Timestamp;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument as _;

use crate::{
    engine::{
        failure::Failure,
        id::Fact,
        look::Urgency,
        portfolio::{BusinessFacts, Reachable},
        time::{earlier, is_set_back, later},
    },
    meta::port::{Clock, Graph, Listing},
    run::observe::PortfolioFacts,
};

/// Facts that come within this time are published together, since each time all channels are looked at: a hundred accounts are
/// four pages and more.
const TOGETHER: Duration = Duration::from_secs(5);
/// A read of the portfolio itself that gave no answer is made again after this long.
const PAUSE: Duration = Duration::from_secs(30);

/// Has the portfolio looked at.
pub type Ring = Arc<dyn Fn() + Send + Sync>;

/// What a read needs besides the credential.
#[derive(Clone)]
pub struct Means<C> {
    pub clock: Arc<C>,
    /// The tasks that end before the process does.
    pub tasks: TaskTracker,
    pub ring: Ring,
}

/// How fresh things are wanted.
#[derive(Clone, Copy)]
pub struct Wanted {
    pub now: Timestamp,
    pub fresh: Duration,
    /// The credential is doubted, so the portfolio is asked for whatever is known of it.
    pub business_now: bool,
    /// Somebody asked to look now, so lists that were begun before do not serve.
    pub lists_now: bool,
}

/// One of the three facts.
#[derive(Debug)]
struct Told<T> {
    /// The last that was answered.
    fact: Fact<T>,
    /// When what was answered began.
    at: Option<Timestamp>,
    /// What came in place of an answer, until it is told.
    trouble: Option<Failure>,
    /// A read that was not answered is made again then.
    again: Option<Timestamp>,
    /// Since when it is not answered.
    failed_at: Option<Timestamp>,
}

impl<T> Default for Told<T> {
    fn default() -> Self {
        Self { fact: Fact::NotAsked, at: None, trouble: None, again: None, failed_at: None }
    }
}

impl<T: Clone> Told<T> {
    fn is_due(&self, oldest: Timestamp, now: Timestamp) -> bool {
        let is_back = |at: Option<Timestamp>| at.is_some_and(|at| is_set_back(at, now));
        (self.at.is_none_or(|at| at < oldest) || is_back(self.at))
            && (self.again.is_none_or(|again| again <= now) || is_back(self.failed_at))
    }

    fn answered(&mut self, fact: Fact<T>, at: Timestamp) {
        *self = Self { fact, at: Some(at), ..Self::default() };
    }

    /// What was known stays known: a read that was not answered says nothing about it.
    fn failed(&mut self, failure: Failure, now: Timestamp, again: Timestamp) {
        if failure.is_answer() {
            self.answered(Fact::Unknown(failure), now);
        } else {
            (self.trouble, self.again, self.failed_at) = (Some(failure), Some(again), Some(now));
        }
    }

    fn tell(&mut self) -> Fact<T> {
        self.trouble.take().map_or_else(|| self.fact.clone(), Fact::Unknown)
    }
}

/// A list of accounts, with what a newer one has shown so far.
#[derive(Debug, Default)]
struct List {
    told: Told<Arc<[Reachable]>>,
    newer: Vec<Reachable>,
}

impl List {
    /// Takes in what is known after a page. Tells whether it is more than before, and whether to ask for the next page.
    fn take(&mut self, listing: Listing, not_before: Timestamp, now: Timestamp) -> (bool, bool) {
        if let Some(list) = listing.since(not_before) {
            self.told.answered(Fact::Known(Arc::clone(&list.accounts)), list.begun);
            self.newer = Vec::new();
            return (true, false);
        }
        if let (Some(whole), Fact::NotAsked) = (&listing.whole, &self.told.fact) {
            self.told.fact = Fact::Known(Arc::clone(&whole.accounts));
        }
        let is_more = self.newer.len() != listing.newer.len();
        self.newer = listing.newer;
        let Some((failure, again)) = listing.held else { return (is_more, true) };
        self.told.failed(failure, now, again);
        (true, false)
    }
}

/// What was told.
#[derive(Default)]
struct Board {
    business: Told<BusinessFacts>,
    owned: List,
    client: List,
    is_news: bool,
    /// Somebody waits for the reads, and is not to be rung for.
    is_awaited: bool,
}

/// Which list of accounts.
#[derive(Clone, Copy)]
enum Which {
    Owned,
    Client,
}

impl Board {
    fn list(&mut self, which: Which) -> &mut List {
        match which {
            Which::Owned => &mut self.owned,
            Which::Client => &mut self.client,
        }
    }
}

/// The board, with the bell of its portfolio.
#[derive(Clone)]
struct Teller {
    board: Arc<Mutex<Board>>,
    ring: Ring,
}

impl Teller {
    fn put<T>(&self, change: impl FnOnce(&mut Board) -> (bool, T)) -> T {
        let mut board = lock(&self.board);
        let (is_news, rest) = change(&mut board);
        board.is_news |= is_news;
        let is_rung = is_news && !board.is_awaited;
        drop(board);
        if is_rung {
            (self.ring)();
        }
        rest
    }
}

/// The reads of one portfolio with one credential. They end with it.
#[derive(Default)]
pub struct Reading {
    board: Arc<Mutex<Board>>,
    /// Of the portfolio, its own accounts, and those that are shared with it.
    jobs: [Option<AbortOnDropHandle<()>>; 3],
    /// Lists that were begun before this do not serve.
    floor: Option<Timestamp>,
}

impl Reading {
    /// Begins what is due, waits a moment for it, and gives what was told since this was last asked.
    pub async fn go_on<G: Graph, C: Clock>(
        &mut self,
        graph: &G,
        means: &Means<C>,
        wanted: Wanted,
    ) -> Option<PortfolioFacts> {
        if self.begin(graph, means, wanted) {
            lock(&self.board).is_awaited = true;
            let jobs = self.jobs.iter_mut().flatten().filter(|job| !job.is_finished());
            let _ = tokio::time::timeout(TOGETHER, join_all(jobs)).await;
        }
        let mut board = lock(&self.board);
        board.is_awaited = false;
        mem::take(&mut board.is_news).then(|| PortfolioFacts {
            business: board.business.tell(),
            owned: board.owned.told.tell(),
            client: board.client.told.tell(),
            seen: board.owned.newer.iter().chain(&board.client.newer).cloned().collect(),
        })
    }

    /// When a read that was not answered is to be made again.
    pub fn again(&self, now: Timestamp) -> Option<Timestamp> {
        let board = lock(&self.board);
        let all = [board.business.again, board.owned.told.again, board.client.told.again];
        all.into_iter().flatten().filter(|again| *again > now).min()
    }

    /// Tells whether anything was begun.
    fn begin<G: Graph, C: Clock>(&mut self, graph: &G, means: &Means<C>, wanted: Wanted) -> bool {
        let Wanted { now, fresh, business_now, lists_now } = wanted;
        let is_idle =
            |job: &Option<AbortOnDropHandle<()>>| job.as_ref().is_none_or(AbortOnDropHandle::is_finished);
        let board = lock(&self.board);
        let is_business_due = business_now || board.business.is_due(earlier(now, fresh), now);
        let lists = [(1, Which::Owned, &board.owned), (2, Which::Client, &board.client)];
        if lists_now {
            self.floor = Some(now);
        }
        let not_before = earlier(now, fresh).max(self.floor.unwrap_or(Timestamp::MIN));
        let due = lists.map(|(at, which, list)| {
            let urgency =
                if list.told.fact.known().is_some() { Urgency::Drift } else { Urgency::Transitional };
            (at, which, list.told.is_due(not_before, now).then_some(urgency))
        });
        drop(board);
        let teller = Teller { board: Arc::clone(&self.board), ring: Arc::clone(&means.ring) };
        let is_business_begun = is_business_due && is_idle(&self.jobs[0]);
        let mut is_begun = is_business_begun;
        if is_business_begun {
            let reading = read_business(graph.clone(), Arc::clone(&means.clock), teller.clone());
            self.jobs[0] = Some(AbortOnDropHandle::new(means.tasks.spawn(reading.in_current_span())));
        }
        for (at, which, urgency) in due {
            let Some(urgency) = urgency.filter(|_| is_idle(&self.jobs[at])) else { continue };
            let (graph, clock, teller) = (graph.clone(), Arc::clone(&means.clock), teller.clone());
            let reading = async move {
                let page = || async {
                    match which {
                        Which::Owned => graph.owned_accounts(not_before, urgency).await,
                        Which::Client => graph.client_accounts(not_before, urgency).await,
                    }
                };
                read_list(page, which, not_before, &*clock, &teller).await;
            };
            self.jobs[at] = Some(AbortOnDropHandle::new(means.tasks.spawn(reading.in_current_span())));
            is_begun = true;
        }
        is_begun
    }
}

async fn read_business<G: Graph, C: Clock>(graph: G, clock: Arc<C>, teller: Teller) {
    let begun = clock.now();
    let read = graph.business(Urgency::Transitional).await;
    let now = clock.now();
    teller.put(|board| {
        match read {
            Ok(facts) => board.business.answered(Fact::Known(facts), begun),
            Err(failure) => {
                let again = failure.paused_until().unwrap_or_else(|| later(now, PAUSE));
                board.business.failed(failure, begun, again);
            }
        }
        (true, ())
    });
}

/// Reads a list to its end, or to a page that does not come.
async fn read_list<R: Future<Output = Listing>>(
    page: impl Fn() -> R,
    which: Which,
    not_before: Timestamp,
    clock: &impl Clock,
    teller: &Teller,
) {
    loop {
        let listing = page().await;
        let now = clock.now();
        if !teller.put(|board| board.list(which).take(listing, not_before, now)) {
            return;
        }
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
