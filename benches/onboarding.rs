//! What it costs Meta to bring up many numbers: Graph calls until each is Registered, against the least there can be.
//!
//! Whole passes with the real client, against a simulated Meta that enforces its budgets, on a virtual clock, so
//! that nothing here depends on the machine. Names need no review, each channel asks for its first code by itself,
//! and a person enters every code at once and consents at once to another when one lapsed. What stands in for the
//! portfolio's controller reads token, portfolio and accounts once an hour.
//!
//! `make bench` runs it: 1,000 channels in 10 accounts, or 100 in one where that takes longer than three minutes,
//! which it says. `ONBOARDING=10` sets the number of accounts, with 100 channels each.

mod figures;
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#[path = "../tests/it/proof/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use figures::{Figures, figure};
use jiff::Timestamp;
use whatsapp_operator::engine::desired::{CodeRequest, Desired};
use whatsapp_operator::engine::id::AccountId;
use whatsapp_operator::engine::limits::Limits;
use whatsapp_operator::engine::look::Urgency;
use whatsapp_operator::engine::reason::Reason;
use whatsapp_operator::meta::port::{Graph, GraphSource};
use whatsapp_operator::run::observe::whole;
use whatsapp_operator::sandbox::{Account, Portfolio, World as Meta};
use world::{BUSINESS, HOUR, World, asks_for_consent, later, options, sibling};

const PER_ACCOUNT: usize = 100;
/// Whoever is not Registered by then is counted as such.
const LONGEST: Duration = Duration::from_secs(14 * 86_400);
/// Real time for 1,000 channels; beyond it 100 must do.
const PATIENCE: Duration = Duration::from_secs(180);

fn main() -> ExitCode {
    let wanted: Option<usize> = std::env::var("ONBOARDING").ok().and_then(|text| text.parse().ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let figures = runtime.block_on(async {
        match wanted {
            Some(accounts) => measure(accounts.max(1), None).await.unwrap_or_default(),
            None => if let Some(figures) = measure(10, Some(PATIENCE)).await { figures } else {
                println!("1,000 channels took longer than {PATIENCE:?} on this machine: 100 in one account instead");
                measure(1, None).await.unwrap_or_default()
            },
        }
    });
    figures::print(&figures)
}

/// The least number of calls, by what the simulated Meta counts them as.
fn least(accounts: usize) -> BTreeMap<&'static str, usize> {
    let channels = accounts * PER_ACCOUNT;
    BTreeMap::from([
        ("add", channels),
        ("request code", channels),
        ("verify code", channels),
        ("register", channels),
        ("list", 2 * accounts),
        ("token, portfolio and accounts", 4),
    ])
}

/// How many bursts of adds there are: a quarter of the hour's allowance for all but lists goes to adds, so they go out in one burst
/// an hour.
fn bursts() -> usize {
    let adds_an_hour = usize::try_from(Limits::default().budget_rest / 4).unwrap_or(usize::MAX);
    PER_ACCOUNT.div_ceil(adds_an_hour)
}

/// The least number of calls that our own rules allow, in the least time that they allow: an hour from each burst to the next.
///
/// An add needs a list of the last minute, and what a burst added, verified and registered each shows in a list that was begun
/// later: four lists a burst.
/// Whoever is Registered is looked for with a list again and again, and one of each burst's lists is such a one. Token,
/// portfolio, its two lists of accounts and the facts of an account are read once an hour.
fn least_by_rules(accounts: usize) -> usize {
    // A pause is stretched by a fifth at most.
    let at_latest = Limits::default().fresh_list.as_secs() * 120 / 100;
    let lists_an_hour = usize::try_from(3_600 / at_latest).unwrap_or(usize::MAX);
    let lists = 3 * bursts() + lists_an_hour * (bursts() - 1);
    4 * accounts * PER_ACCOUNT + accounts * (lists + bursts()) + 4 * bursts()
}

fn group(counter: &str) -> &'static str {
    let (method, path) = counter.split_once(' ').unwrap_or_default();
    let edge = path.rsplit('/').next().unwrap_or_default();
    match (method, edge) {
        ("POST", "phone_numbers") => "add",
        ("POST", "request_code") => "request code",
        ("POST", "verify_code") => "verify code",
        ("POST", "register") => "register",
        ("GET", "phone_numbers") => "list",
        (
            "GET",
            "debug_token"
            | "{business}"
            | "owned_whatsapp_business_accounts"
            | "client_whatsapp_business_accounts",
        ) => "token, portfolio and accounts",
        ("GET", "{waba}") => "facts of an account",
        _ => "else",
    }
}

#[allow(clippy::cast_precision_loss)]
async fn measure(accounts: usize, patience: Option<Duration>) -> Option<Figures> {
    let channels = accounts * PER_ACCOUNT;
    let started = Instant::now();
    let mut crowd = Crowd::new(accounts).await;
    if !crowd.run(patience.map(|patience| started + patience)).await {
        return None;
    }
    eprintln!(
        "  took {:.0} s of real time for {} passes",
        started.elapsed().as_secs_f64(),
        crowd.world.passes
    );

    let mut figures = Figures::new();
    let scenario = format!("{channels} new channels in {accounts} accounts");
    let counters = crowd.world.sandbox.counters();
    let mut made: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (counter, count) in &counters {
        eprintln!("  {count:>6} {counter}");
        *made.entry(group(counter)).or_default() += usize::try_from(*count).unwrap_or(usize::MAX);
    }
    let least = least(accounts);
    let (calls, fewest) = (made.values().sum::<usize>() as f64, least.values().sum::<usize>() as f64);
    let mut say = |what: &str, value: f64, unit: &str, goal| {
        figure(&mut figures, &scenario, what, value, unit, goal);
    };
    say("not Registered at the end", crowd.open.len() as f64, "", Some(0.0));
    say("Graph calls", calls, "", None);
    let took = Duration::try_from(crowd.world.now().duration_since(crowd.world.begun)).unwrap_or_default();
    let by_rules = least_by_rules(accounts) as f64;
    say("least possible without our rules", fewest, "", None);
    say("ratio to that", calls / fewest, "", None);
    say("least that our rules allow", by_rules, "", None);
    say("ratio", calls / by_rules, "", Some(1.05));
    say("lists that channels at rest asked for meanwhile", crowd.lists_at_rest as f64, "", None);
    let without = (calls - crowd.lists_at_rest as f64) / fewest;
    say("ratio to the least without our rules, without those lists", without, "", None);
    for (what, count) in &made {
        let above = *count as f64 - least.get(what).copied().unwrap_or(0) as f64;
        say(&format!("above the least: {what}"), above, "", None);
    }
    let refused = crowd.world.sandbox.calls().iter().filter(|call| call.code.is_some()).count();
    say("answered with an error", refused as f64, "", None);
    let consents: usize = crowd.world.consents_given.values().sum();
    say("further consents to a code", consents as f64, "", None);
    say("virtual time", took.as_secs_f64() / 3_600.0, "h", Some(bursts() as f64 - 0.75));
    let writes = crowd.world.cluster.written_count() as f64 / channels as f64;
    say("status writes per channel", writes, "", None);
    Some(figures)
}

/// All channels, one operator, and the people with the phones.
struct Crowd {
    world: World,
    /// Who is not Registered yet.
    open: BTreeSet<String>,
    /// When each is looked at next.
    due: BTreeSet<(Timestamp, String)>,
    /// Lists that were read in passes of channels that were Registered before.
    lists_at_rest: u64,
}

impl Crowd {
    async fn new(accounts: usize) -> Self {
        let mut portfolio = Portfolio::new(BUSINESS, "Acme Ltda").verified();
        portfolio.number_limit = Some(1_000_000);
        let meta = (0..accounts).fold(Meta::for_demo().with_portfolio(portfolio), |meta, n| {
            meta.with_account(Account::new(&account_id(n), BUSINESS, "Acme"))
        });
        let world = World::with(options(), meta).await;
        let mut crowd = Self { world, open: BTreeSet::new(), due: BTreeSet::new(), lists_at_rest: 0 };
        for n in 0..accounts * PER_ACCOUNT {
            let channel = channel(n);
            crowd.open.insert(channel.name.clone());
            crowd.due.insert((crowd.world.now(), channel.name.clone()));
            crowd.world.cluster.apply(channel);
        }
        crowd
    }

    /// Until all are Registered, or the virtual time is over; false when the real time is.
    async fn run(&mut self, deadline: Option<Instant>) -> bool {
        let end = later(self.world.now(), LONGEST);
        let mut portfolio = self.world.now();
        while let Some((at, name)) = self.due.pop_first() {
            if at >= end {
                return true;
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return false;
            }
            self.world.advance_to(at);
            if self.world.now() >= portfolio {
                self.read_portfolio().await;
                portfolio = later(self.world.now(), HOUR);
            }
            let rests = !self.open.contains(&name);
            let before = self.lists();
            self.world.pass(0, &name).await;
            if rests {
                self.lists_at_rest += self.lists() - before;
            }
            if self.world.cluster.ready(&name).0 {
                self.open.remove(&name);
                if self.open.is_empty() {
                    return true;
                }
            }
            self.answer(&name);
            // Channels that are Registered rest, and are looked at as well.
            let due = self.world.due(&self.world.processes[0], &name);
            self.due.insert((due, name));
            self.tell();
        }
        true
    }

    /// How often Meta was asked for a list so far.
    fn lists(&self) -> u64 {
        self.world.sandbox.counters().get("GET /{waba}/phone_numbers").copied().unwrap_or_default()
    }

    /// What the portfolio's controller asks.
    async fn read_portfolio(&self) {
        let graph = self.world.processes[0].source.graph(World::credential());
        graph.debug_token().await.expect("the token is read");
        graph.business(Urgency::Transitional).await.expect("the portfolio is read");
        let now = self.world.sandbox.now();
        let owned = whole(now, || graph.owned_accounts(now, Urgency::Transitional));
        owned.await.expect("the accounts are read");
        let client = whole(now, || graph.client_accounts(now, Urgency::Transitional));
        client.await.expect("the shared accounts are read");
    }

    /// The phone holder enters the code that has just come, or consents to another.
    fn answer(&mut self, name: &str) {
        let desired = self.world.cluster.desired(name);
        match self.world.cluster.ready(name).1 {
            Some(Reason::CodeAwaited) => {
                let requests = self.world.cluster.status(name).memory.ledger.codes.len();
                if self.world.times_entered(name) < requests {
                    self.world.enter_code(name);
                }
            }
            reason if asks_for_consent(reason) => {
                let answer = self.world.cluster.raw(name).consents().and_then(|c| c.send_code.clone());
                let wanted = desired.consents.send_code.as_ref();
                if wanted.is_none() || answer.map(|a| a.value).as_ref() == wanted {
                    self.world.consent(name);
                }
            }
            _ => {}
        }
    }

    fn tell(&self) {
        if self.world.passes.is_multiple_of(10_000) {
            let hours = self.world.now().duration_since(self.world.begun).as_secs_f64() / 3_600.0;
            eprintln!("  {} passes, {hours:.1} h, {} to go", self.world.passes, self.open.len());
        }
    }
}

fn channel(n: usize) -> Desired {
    let mut channel = sibling(&format!("551191234{n:04}"));
    channel.account = Some(AccountId::from(account_id(n / PER_ACCOUNT).as_str()));
    channel.verification.request = CodeRequest::Automatic;
    channel
}

/// The first is the one of the demo world.
fn account_id(n: usize) -> String {
    format!("3{:014}", n + 1)
}
