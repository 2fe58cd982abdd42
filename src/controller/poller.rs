//! The poller of accounts: what Meta shows is read once for all numbers at rest in an account, when the last list is old
//! enough, and only those for which it changed are worked on.

use std::{sync::Arc, time::Duration};

use tracing::{Instrument as _, error_span, info, warn};

use jiff::Timestamp;

use crate::engine::{
    failure::Failure,
    id::AccountId,
    look::Urgency,
    time::{is_set_back, later},
};
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
    ctx.serve_waiting(&of);
    if after.is_none() {
        let accounts = &ctx.signals.accounts;
        accounts.forget(&of);
        // A number that came to rest meanwhile.
        if ctx.accounts.needs_subscription(&of).is_some() {
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
    let resting = ctx.accounts.needs_subscription(of);
    if resting.is_none() && !is_asked {
        return Ok(None);
    }
    let needs_subscription = resting.unwrap_or_default();
    // Whether each namespace may use the portfolio is watched; a channel that may not is woken.
    let graph = ctx.portfolios.state(&of.portfolio, &of.portfolio.namespace).1.ok_or(Unread::Closed)?;
    let (limits, now) = (&*ctx.shell.limits, ctx.shell.clock.now());
    place.leave();
    // Who asks is about to look whether it has to add its number.
    let age = if is_asked { limits.fresh_for_add.min(limits.fresh_list) } else { limits.fresh_list };
    let day = pace::day_of(&of.account, now);
    let is_day = ctx.accounts.takes_apps(of, day, ctx.signals.started);
    let wanted_apps = if needs_subscription { Apps::Needed } else { Apps::of_the_day(is_day.then_some(day)) };
    let read = read(&graph, &of.account, wanted_apps, (age, limits.fresh_portfolio), now);
    let (reading, is_told) = read.await.map_err(Unread::Failed)?;
    ctx.serve_waiting(of);
    if is_told {
        ctx.accounts.took_apps(of, day);
    }
    place.enter().await;
    let woken = ctx.accounts.compare(of, &reading, ctx.shell.clock.now());
    let mut is_at_rest = woken.is_empty() && !is_asked;
    ctx.signals.channels.wake(woken);
    let begun = reading.list.begun;
    drop(reading);
    place.leave();
    is_at_rest &= !read_profiles(ctx, of, &graph, begun).await;
    place.enter().await;
    // Who is woken, or asked, is about to look at the list.
    if is_at_rest {
        ctx.let_go(of, &graph);
    }
    if ctx.accounts.needs_subscription(of).is_none() {
        return Ok(None);
    }
    Ok(Some(ctx.next_list(of, begun)))
}

/// Reads profiles that are in no list, until the list is due again: nothing waits for them. Tells whether one changed.
async fn read_profiles<G: Graph, C: Clock>(
    ctx: &Context<G, C>,
    of: &AccountOf,
    graph: &G,
    begun: Timestamp,
) -> bool {
    let mut is_changed = false;
    for (key, number) in ctx.accounts.profiles(of) {
        let read = graph.profile(&of.account, &number, ctx.shell.limits.fresh_profile, Urgency::Drift).await;
        // The next round goes on where this one ended.
        if matches!(read, Err(Failure::Throttled(_) | Failure::NoRoom(_))) {
            break;
        }
        let shown = read.ok().map(|profile| rested::digest(&profile));
        if ctx.accounts.shows_profile(of, &key, shown, ctx.shell.clock.now()) {
            is_changed = true;
            ctx.signals.channels.wake([key]);
        }
        if ctx.next_list(of, begun).is_zero() {
            break;
        }
    }
    is_changed
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

/// Gives back whether Meta told of the apps, or refused to, beside what was read.
async fn read<G: Graph>(
    graph: &G,
    account: &AccountId,
    apps: Apps,
    (fresh_list, fresh_facts): (Duration, Duration),
    now: Timestamp,
) -> Result<(Reading, bool), Failure> {
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
            Apps::Since(day) => {
                let read = graph.subscribed(account, day, Urgency::Drift).await;
                let is_told = read.as_ref().err().is_none_or(Failure::is_answer);
                return Ok((read.ok(), is_told));
            }
            Apps::No => return Ok((None, false)),
        }
        let read = match graph.subscribed(account, fresh(fresh_list), Urgency::Drift).await {
            Err(failure) if !failure.is_answer() => {
                graph.subscribed(account, Timestamp::MIN, Urgency::Drift).await
            }
            read => read,
        };
        read.map(|apps| (Some(apps), true))
    };
    let (facts, subscribed) = futures::join!(facts, subscribed);
    let (subscribed, is_told) = subscribed?;
    Ok((Reading { list, account: facts?, subscribed }, is_told))
}

/// What a failure is by, however Meta's words name the account.
fn cause(failure: &Failure) -> String {
    match failure.refusal() {
        Some(refusal) => format!("account refused with {}/{:?}", refusal.code, refusal.subcode),
        None => format!("account: {}", in_short(failure)),
    }
}

impl<G: Graph, C: Clock> Context<G, C> {
    /// New channels that gave way for the list of this account come to their first pass.
    fn serve_waiting(&self, of: &AccountOf) {
        for key in self.newcomers.take_waiting(of) {
            self.signals.channels.ask(&key, Urgency::Edit);
        }
    }

    /// How long until an account of which the list was begun then is read again.
    fn next_list(&self, of: &AccountOf, begun: Timestamp) -> Duration {
        let (every, now) = (self.shell.limits.fresh_list, self.shell.clock.now());
        pace::at_rest(&of.account, begun, every, self.accounts.interval(of), now)
    }

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
        let is_told =
            failure.is_some_and(Failure::is_answer) || now >= later(last, unseen) || is_set_back(last, now);
        if is_told {
            self.signals.channels.wake(self.accounts.all(of));
        }
        let is_news = |failure: &&Failure| !matches!(failure, Failure::Throttled(_) | Failure::NoRoom(_));
        if let Some(failure) = failure.filter(is_news)
            && let Some(repeated) = self.shell.repeats.tell(&cause(failure))
        {
            let why = in_short(failure);
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

#[cfg(test)]
mod tests {
    use kube::Client;
    use secrecy::SecretString;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;
    use url::Url;

    use super::*;
    use crate::{
        controller::{fixture, supervise::Pulse, watch::Key},
        engine::{desired::PortfolioRef, limits::Limits, portfolio::PortfolioView, spelling::Canonical},
        meta::{
            client::Meta,
            port::{Credential, GraphSource as _},
            settings::Settings,
            transport::install_crypto,
        },
        run::rested::Rested,
        sandbox::{self, App, Fault, FaultKind, Match, Options, Portfolio, Sandbox, Token, World},
        twin::VirtualClock,
    };

    const ACCOUNT: &str = "300000000000001";
    const BUSINESS: &str = "500000000000001";
    const APP: &str = "200000000000001";
    const TOKEN: &str = "EAAfirst";

    /// Numbers at rest of which all changed in the list, and whose profiles have to be read one by one, which takes long.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_the_list_shows_is_worked_on_before_profiles_are_read() {
        install_crypto();
        let mut world = World::default()
            .with_app(App::new(APP, "Acme"))
            .with_portfolio(Portfolio::new(BUSINESS, "Acme"))
            .with_account(sandbox::Account::new(ACCOUNT, BUSINESS, "Acme"))
            .with_token(TOKEN, Token::system_user(APP, BUSINESS));
        let digits = |n: usize| format!("551191234567{n}");
        let id = |n: usize| format!("10000000000000{n}");
        for n in 0..3 {
            world = world.with_number(sandbox::Number::new(&id(n), ACCOUNT, &digits(n), "Acme"));
        }
        let sandbox = Sandbox::from_world(Options::default(), world);
        let on = Match::on("GET", "whatsapp_business_profile");
        sandbox.inject(Fault { on, kind: FaultKind::Latency { ms: 19_000 } });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base_url = Url::parse(&format!("http://{}/", listener.local_addr().expect("an address")));
        let stop = CancellationToken::new();
        tokio::spawn(sandbox.clone().serve(listener, stop.clone()));
        let settings = Settings::new(Limits::default()).expect("settings");
        let settings = Settings { base_url: base_url.expect("an address"), ..settings };
        let meta = Meta::new(settings, Arc::new(VirtualClock(sandbox.clone()))).expect("a client");
        let graph = meta.graph(Credential {
            business: BUSINESS.into(),
            version: "1".into(),
            token: SecretString::from(TOKEN),
            app_secret: None,
            app: Some(APP.into()),
        });
        // Nobody asks the API server.
        let nobody = tower::service_fn(|_: axum::http::Request<kube::client::Body>| {
            std::future::pending::<Result<axum::http::Response<axum::body::Body>, std::convert::Infallible>>()
        });
        let ctx = fixture::context(Client::new(nobody, "shop"), sandbox.clone());
        let portfolio = PortfolioRef { namespace: "shop".into(), name: "acme".into() };
        ctx.portfolios.declare(&portfolio, "1", Arc::default());
        let view = PortfolioView::spec_invalid("shop", "acme", BUSINESS, "");
        ctx.portfolios.publish(&portfolio, "1", view, Some(graph));
        let channels = &ctx.signals.channels;
        let now = ctx.shell.clock.now();
        let mut of = None;
        for n in 0..3 {
            let key = Key { namespace: "shop".into(), name: format!("c{n}").as_str().into() };
            let rested = Rested {
                account: ACCOUNT.into(),
                number: id(n).as_str().into(),
                digits: Canonical::of(&digits(n)),
                needs_subscription: false,
                is_received: None,
                needs_profile: true,
                shown: 0,
                profile: Some(0),
                begun: now,
                interval: None,
                date: None,
                version: "7".into(),
            };
            let account = ctx.accounts.rest(&portfolio, &key, now, &rested, None);
            channels.know(&key, || account.lane());
            of = Some(account);
        }
        let of = of.expect("an account");
        let late = Key { namespace: "shop".into(), name: "late".into() };
        channels.know(&late, || of.lane());
        ctx.newcomers.waits(&late, AccountOf::clone(&of));
        sandbox.advance(Duration::from_secs(600));
        let accounts = ctx.signals.accounts.clone();
        accounts.know(&of, || of.lane());
        accounts.ask(&of, Urgency::Drift);
        let polling = accounts.run(Pulse::new(), |turn| work(ctx.clone(), turn), |_, _| {});
        let standing = || channels.depths().iter().map(|(_, standing)| standing).sum::<usize>();
        let is_read = || sandbox.calls().iter().any(|call| call.path.ends_with("/whatsapp_business_profile"));
        let woken = async {
            while standing() < 4 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = polling => {}
            () = woken => {}
        }
        let edits = channels.depths().iter().find(|(class, _)| *class == Urgency::Edit).map(|(_, n)| *n);
        assert_eq!(edits, Some(1), "a new channel that waited for the list has its turn as any new one has");
        assert!(!is_read(), "no profile was answered by then: {:?}", sandbox.calls());
        stop.cancel();
    }
}
