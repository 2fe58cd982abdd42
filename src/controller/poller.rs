//! The poller of accounts: what Meta shows is read once for all numbers at rest in an account, when the last list is old
//! enough, and only those for which it changed are worked on.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tracing::{Instrument as _, error_span, info, warn};

use jiff::Timestamp;

use crate::engine::{failure::Failure, id::AccountId, look::Urgency, time::later};
use crate::{
    controller::{
        channel::Context,
        contained::{Panicked, contained},
        pace,
        queue::{Next, Turn},
        resting::{AccountOf, Reading},
        signal::{ACCOUNTS, Doubt},
    },
    meta::port::{Clock, Graph},
    run::{
        pass::{Place, doubts_credential, in_short},
        rested,
    },
};

/// What failed is tried again at least this often.
const LONGEST: Duration = Duration::from_secs(300);

/// Why an account was not read.
enum Unread {
    /// Its portfolio has nothing to read it with.
    Closed,
    Failed(Failure),
    Lost,
}

impl From<Panicked> for Unread {
    fn from(_: Panicked) -> Self {
        Self::Lost
    }
}

/// Reads one account for all its numbers at rest.
pub async fn work<G: Graph, C: Clock>(ctx: Arc<Context<G, C>>, turn: Turn<AccountOf>) -> Next {
    // Counted, so that the end of a term waits until it is dropped.
    let _counted = ctx.shell.tasks.token();
    let _timed = ctx.signals.metrics.reconcile(ACCOUNTS);
    let of = turn.key;
    let span = error_span!("read_account", namespace = %of.portfolio.namespace, portfolio = %of.portfolio.name, account = %of.account);
    let polled = contained(Box::pin(poll(&ctx, &of, turn.is_asked, turn.place))).instrument(span);
    let after = match polled.await {
        Ok(after) => after,
        Err(why) => ctx.unread(&of, &why),
    };
    if after.is_none() {
        let accounts = &ctx.signals.accounts;
        accounts.forget(&of);
        // A number that came to rest meanwhile.
        if ctx.accounts.needs(&of).is_some() {
            accounts.know(&of, || of.lane());
            let every = ctx.shell.limits.fresh_list;
            accounts.within(&of, ctx.accounts.interval(&of).map_or(every, |interval| interval.max(every)));
        }
    }
    Next { after, class: Urgency::Drift }
}

/// Gives back when to read again: never, where no number is at rest any more.
async fn poll<G: Graph, C: Clock>(
    ctx: &Context<G, C>,
    of: &AccountOf,
    is_asked: bool,
    mut place: impl Place,
) -> Result<Option<Duration>, Unread> {
    let resting = ctx.accounts.needs(of);
    if resting.is_none() && !is_asked {
        return Ok(None);
    }
    let (needs_subscription, wanted) = resting.unwrap_or_default();
    // Whether each namespace may use the portfolio is watched; a channel that may not is woken.
    let graph = ctx.portfolios.state(&of.portfolio, &of.portfolio.namespace).1.ok_or(Unread::Closed)?;
    let (limits, now) = (&*ctx.shell.limits, ctx.shell.clock.now());
    place.leave();
    // Who asks is about to look whether it has to add its number.
    let age = if is_asked { limits.fresh_for_add.min(limits.fresh_list) } else { limits.fresh_list };
    let day = pace::day_of(&of.account, now);
    // What a term found at its start is in status, and is read anew on the next day.
    let is_day = day > ctx.signals.started && ctx.accounts.takes_apps(of, day);
    let wanted_apps = if needs_subscription { Apps::Needed } else { Apps::of_the_day(is_day.then_some(day)) };
    let read = read(&graph, &of.account, wanted_apps, (age, limits.fresh_portfolio), now);
    let reading = read.await.map_err(Unread::Failed)?;
    let mut profiles = HashMap::new();
    for (key, number) in wanted {
        let profile = graph.profile(&of.account, &number, limits.fresh_profile, Urgency::Drift).await;
        match profile {
            Ok(profile) => drop(profiles.insert(key, rested::digest(&profile))),
            // The next round goes on where this one ended.
            Err(Failure::Throttled(_)) => break,
            Err(_) => {}
        }
    }
    place.enter().await;
    let now = ctx.shell.clock.now();
    let woken = ctx.accounts.compare(of, &reading, &profiles, now);
    // Who is woken, or asked, is about to look at the list.
    if woken.is_empty() && !is_asked {
        ctx.let_go(of, &graph);
    }
    ctx.signals.channels.wake(woken);
    if ctx.accounts.needs(of).is_none() {
        return Ok(None);
    }
    let interval = ctx.accounts.interval(of);
    Ok(Some(pace::at_rest(&of.account, reading.list.begun, limits.fresh_list, interval, now)))
}

/// Whether the apps that are subscribed to an account are read.
#[derive(Clone, Copy)]
enum Apps {
    /// A number needs them.
    Needed,
    /// They are only told, so what was read since then will do.
    Since(Timestamp),
    No,
}

impl Apps {
    fn of_the_day(day: Option<Timestamp>) -> Self {
        day.map_or(Self::No, Self::Since)
    }
}

async fn read<G: Graph>(
    graph: &G,
    account: &AccountId,
    apps: Apps,
    (fresh_list, fresh_facts): (Duration, Duration),
    now: Timestamp,
) -> Result<Reading, Failure> {
    let fresh = |age: Duration| now.checked_sub(age).unwrap_or(Timestamp::MIN);
    let list = graph.numbers(account, fresh(fresh_list), Urgency::Drift).await?;
    // What cannot be read now is as it was: the list alone may tell enough.
    let facts = async {
        match graph.account(account, fresh(fresh_facts), Urgency::Drift).await {
            Err(failure) if !failure.is_answer() => {
                graph.account(account, Timestamp::MIN, Urgency::Drift).await
            }
            read => read,
        }
    };
    let subscribed = async {
        match apps {
            Apps::Needed => {}
            Apps::Since(day) => return Ok(graph.subscribed(account, day, Urgency::Drift).await.ok()),
            Apps::No => return Ok(None),
        }
        let read = match graph.subscribed(account, fresh(fresh_list), Urgency::Drift).await {
            Err(failure) if !failure.is_answer() => {
                graph.subscribed(account, Timestamp::MIN, Urgency::Drift).await
            }
            read => read,
        };
        read.map(Some)
    };
    let (facts, subscribed) = futures::join!(facts, subscribed);
    Ok(Reading { list, account: facts?, subscribed: subscribed? })
}

impl<G: Graph, C: Clock> Context<G, C> {
    /// The list of an account is most of what is kept of its numbers. Where all of them are at rest nobody needs it before
    /// the account is read again.
    fn let_go(&self, of: &AccountOf, graph: &G) {
        if self.are_at_rest(of) {
            graph.let_go(&of.account);
        }
    }

    /// Whether all numbers of an account are at rest.
    pub(super) fn are_at_rest(&self, of: &AccountOf) -> bool {
        self.accounts.count(of) >= self.signals.channels.crowd(&of.lane())
    }

    /// An account that was not read wakes its numbers where that is an answer, or where they were not seen for so long
    /// that they have to tell so.
    fn unread(&self, of: &AccountOf, why: &Unread) -> Option<Duration> {
        let (failures, last) = self.accounts.failed(of)?;
        let (limits, now) = (&*self.shell.limits, self.shell.clock.now());
        let failure = match why {
            Unread::Failed(failure) => Some(failure),
            Unread::Closed | Unread::Lost => None,
        };
        if failure.is_some_and(doubts_credential) {
            info!(account = %of.account, "Meta refused the credential; the portfolio looks at it");
            self.signals.doubt(&of.portfolio, Doubt::Credential);
        }
        let unseen = limits.unseen_at(self.accounts.interval(of));
        let is_told = failure.is_some_and(Failure::is_answer) || now >= later(last, unseen);
        if is_told {
            self.signals.channels.wake(self.accounts.all(of));
        }
        let is_news = |failure: &&Failure| !matches!(failure, Failure::Throttled(_) | Failure::NoRoom(_));
        if let Some(why) = failure.filter(is_news).map(in_short)
            && let Some(repeated) = self.signals.repeats.tell(&why)
        {
            warn!(account = %of.account, portfolio = %of.portfolio.name, why, repeated, "account not read");
        }
        let pause = pace::after_failures(failures).min(LONGEST);
        Some(match failure {
            Some(Failure::Throttled(until) | Failure::NoRoom(until)) => {
                let until = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                until.clamp(Duration::from_secs(1), LONGEST)
            }
            _ => pause,
        })
    }
}
