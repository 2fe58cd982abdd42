//! The rest of the way, as far as it can be hoped for: what was observed is loaded into a simulated Meta, and the
//! operator's own passes go on there in virtual time until each channel is Ready, while everybody acts as hoped.
//!
//! Nothing here decides about a channel, and nothing leaves this process. Tokens, PINs and codes are made up.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::engine::{
    action::Action,
    block::Block,
    condition::Truth,
    condition_type::ConditionType,
    desired::{Desired, DesiredPortfolio},
    id::AccountId,
    memory::Memory,
    observed::{Claim, Observed, ProcessFacts},
    plan::Plan,
    reason::Reason,
    step::Step,
    time::later,
};
use crate::{
    api::lower,
    cli::exit::Problem,
    meta::{client::Meta, settings::Settings},
    run::{
        may_work::MayWork,
        pass::{Done, Ids, Input, Shell, no_other, pass},
    },
    sandbox::{
        Account, App, FaultKind, Hold, InitialStatus, Number, Options, ReviewPolicy, Sandbox, Switches,
        Token, Verdict, What,
    },
    twin::{Cluster, Drawer, Fleeting, Folder, Shelf, VirtualClock},
};

use super::{
    course::{Costs, Course, Ending, Kind, days},
    hope::{Deed, Hope, TIMES, follows, hope},
    input::Manifest,
    load::{self, Held, Loaded, PIN, VERIFY_TOKEN},
    portfolio::{Found, Known, Portfolios},
    secret::{Opener, Origin, made_up},
};

/// A forecast looks no further ahead.
const AHEAD: SignedDuration = SignedDuration::from_hours(60 * 24);
/// No channel gets more passes.
pub const PASSES: usize = 10_000;
/// Passes that may be learnt by before a plan is settled.
const LOOKS: usize = 4;
/// With nobody to wait for, it goes on this long without news.
const QUIET: SignedDuration = SignedDuration::from_hours(24);
/// Codes that the simulated Meta sends at most; the operator's own limit lies far below.
const CODES: u32 = 1000;
/// An account that is made in the forecast.
const NEW_ACCOUNT: &str = "399000000000001";
/// A payment method that is added in the forecast.
const PAYMENT: &str = "799000000000001";
/// The limit of numbers that a portfolio is given in the forecast.
const NUMBERS: usize = 1000;

/// A channel as it was planned.
pub struct Case<'a> {
    pub manifest: &'a Manifest,
    pub claim: Claim,
    pub observed: Observed,
    pub plan: Plan,
}

/// The forecasts of all channels, in their order, and what their portfolios are looked at for beside them.
pub struct Forecasts {
    pub courses: Vec<Course>,
    pub beside: Costs,
}

/// Plays the rest of the way of every channel, with so many passes over each at most. `found` says how the portfolio of a
/// channel was found.
///
/// # Errors
///
/// When no simulated Meta can be started.
pub async fn forecast<'a>(
    cases: &[Case<'a>],
    portfolios: &'a [DesiredPortfolio],
    found: impl Fn(&Desired) -> Found<'a>,
    settings: &Settings,
    passes: usize,
) -> Result<Forecasts, Problem> {
    let mut played: BTreeMap<usize, Course> = BTreeMap::new();
    let mut beside = Costs::default();
    for portfolio in portfolios {
        let of = portfolio.reference();
        let of_it = cases.iter().enumerate().filter(|(_, case)| case.manifest.desired.portfolio == of);
        let of_it: Vec<(usize, &Case<'a>)> = of_it.collect();
        let Some((_, first)) = of_it.first() else { continue };
        let Found::Known(known) = found(&first.manifest.desired) else { continue };
        if known.graph.is_none() {
            continue;
        }
        let mut play = Play::new(portfolio, known, &of_it, settings).await?;
        beside += play.run(passes).await?;
        played.extend(play.actors.into_iter().map(|actor| (actor.at, actor.course)));
    }
    let courses = cases.iter().enumerate();
    let courses = courses.map(|(at, case)| {
        played.remove(&at).unwrap_or_else(|| Course::none(unplayed(case, &found(&case.manifest.desired))))
    });
    Ok(Forecasts { courses: courses.collect(), beside })
}

/// Why there is no forecast.
fn unplayed(case: &Case<'_>, found: &Found<'_>) -> String {
    let action = case.plan.block.as_ref().and_then(|block| block.wait.as_ref()).map(|wait| wait.action);
    match (action.map(hope), found) {
        (Some(Hope::Nobody(why)), _) => ends(why, action),
        (_, Found::Known(_)) => {
            "nothing was read from Meta; that needs working credentials of the portfolio".to_owned()
        }
        (_, Found::NotReadable) => "the portfolio cannot be read from here".to_owned(),
        (_, Found::NotThere) => {
            "the portfolio is not there, or may not be used from this namespace".to_owned()
        }
    }
}

/// Why it does not go on, and what would have to be done.
fn ends(why: &str, action: Option<Action>) -> String {
    let Some(action) = action else { return why.to_owned() };
    format!("{why}. {}, {}: {}", action.actor().as_str(), action.as_str(), action.row().remedy)
}

/// A channel on its way.
struct Actor<'a> {
    /// Its place among all channels.
    at: usize,
    case: &'a Case<'a>,
    cluster: Arc<Cluster>,
    fleeting: Fleeting,
    course: Course,
    /// What is about to be done, and when.
    hoped: BTreeMap<Action, Timestamp>,
    /// How often each act was done.
    done: BTreeMap<Action, usize>,
    /// Until when Meta was said to allow something again.
    dates: BTreeMap<Action, Timestamp>,
    /// The waits of the last pass.
    waits: BTreeSet<(Reason, Option<Action>)>,
    passes: usize,
    /// Whether the first decision was found to be the plan's.
    is_begun: bool,
    is_over: bool,
    last_news: Timestamp,
}

impl Actor<'_> {
    fn desired(&self) -> Arc<Desired> {
        self.cluster.desired(&self.case.manifest.desired.name)
    }

    fn end(&mut self, now: Timestamp, ending: Ending, says: impl Into<String>) {
        self.is_over = true;
        self.hoped.clear();
        self.course.end(now, ending, says);
    }

    fn give_up(&mut self, now: Timestamp, passes: usize) {
        let bound = format!("it looks {} and {passes} passes ahead", days(AHEAD));
        self.end(now, Ending::Unfinished, format!("the forecast ends here: not Ready; {bound}"));
    }

    fn annotate(&mut self, now: Timestamp, change: impl FnOnce(&mut Desired)) {
        let mut desired = (*self.desired()).clone();
        change(&mut desired);
        self.cluster.apply(desired);
        // The watch tells at once.
        self.fleeting.wake(now);
    }
}

/// One portfolio and its channels in a simulated Meta.
struct Play<'a> {
    portfolio: &'a DesiredPortfolio,
    portfolios: Portfolios<VirtualClock>,
    known: Known,
    sandbox: Sandbox,
    shell: Shell<VirtualClock>,
    start: Timestamp,
    look_at: Timestamp,
    token: String,
    app: App,
    faults: Vec<Held>,
    actors: Vec<Actor<'a>>,
    _stop: DropGuard,
}

impl<'a> Play<'a> {
    async fn new(
        portfolio: &'a DesiredPortfolio,
        known: &Known,
        cases: &[(usize, &'a Case<'a>)],
        settings: &Settings,
    ) -> Result<Self, Problem> {
        let cannot =
            |error: &dyn std::fmt::Display| Problem::new(format!("no forecast can be made: {error}"));
        let limits = settings.limits.clone();
        let start = whole_second(Timestamp::now());
        let opener: Opener = (
            made_up().map_err(|error| cannot(&error))?,
            match portfolio.app_secret {
                Some(_) => Some(made_up().map_err(|error| cannot(&error))?),
                None => None,
            },
        );
        let token = opener.0.expose_secret().to_owned();
        let mut loaded = Loaded::new(portfolio, &known.observed, &opener);
        let mut assumed = Vec::new();
        for (_, case) in cases {
            let memory = lower::memory(&case.manifest.object);
            let business = portfolio.business.as_str();
            let mut taken = loaded.channel(&case.manifest.desired, business, &case.observed, &memory, start);
            taken.extend(loaded.picture(&case.observed, &case.plan.memory));
            assumed.push(taken);
        }
        let app = loaded.world.apps.get(&loaded.app).cloned().unwrap_or_default();
        let sandbox = Sandbox::from_world(options(start), loaded.world);
        for held in &loaded.faults {
            sandbox.inject(held.fault.clone());
        }
        let clock = VirtualClock(sandbox.clone());
        let actors = cases.iter().zip(assumed).map(|((at, case), assumed)| {
            let cluster = Arc::new(Cluster::new(clock.clone()));
            let desired = &case.manifest.desired;
            cluster.apply(desired.clone());
            if let Some(status) = case.manifest.object.seen() {
                cluster.overwrite(&desired.name, status.clone());
            }
            // What the plan took over of objects before this one.
            let attempts = lower::attempts_text(&case.plan.memory.ledger, None);
            cluster.put_attempts(&desired.number.canonical(), &attempts);
            let mut course = Course::new(start);
            for assumed in assumed.into_iter().chain(load::secrets(desired, &case.observed, &cluster)) {
                course.assume(assumed);
            }
            Actor {
                at: *at,
                case,
                cluster,
                fleeting: Fleeting::new(start),
                course,
                hoped: BTreeMap::new(),
                done: BTreeMap::new(),
                dates: BTreeMap::new(),
                waits: BTreeSet::new(),
                passes: 0,
                is_begun: false,
                is_over: false,
                last_news: start,
            }
        });
        let actors = actors.collect();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| cannot(&error))?;
        let address = listener.local_addr().map_err(|error| cannot(&error))?;
        let stop = CancellationToken::new();
        tokio::spawn(sandbox.clone().serve(listener, stop.clone()));
        let base_url =
            format!("http://{address}").parse().map_err(|error: url::ParseError| cannot(&error))?;
        let settings = Settings { base_url, ..settings.clone() };
        let meta = Meta::new(settings, Arc::new(clock.clone())).map_err(|error| cannot(&error))?;
        let origin = Origin::Sandbox(BTreeMap::from([(portfolio.reference(), opener)]));
        let portfolios = Portfolios { meta, origin, limits: limits.clone(), clock: clock.clone() };
        let known = portfolios.judge(portfolio).await?;
        let look_at = later(start, limits.fresh_portfolio);
        let shell = Shell {
            clock: Arc::new(clock),
            limits: Arc::new(limits),
            ids: Arc::new(Ids::new(0)),
            tasks: TaskTracker::new(),
            may_work: MayWork::always(),
            budget: Duration::from_secs(30),
            repeats: Arc::default(),
        };
        let faults = loaded.faults;
        Ok(Self {
            portfolio,
            portfolios,
            known,
            sandbox,
            shell,
            start,
            look_at,
            token,
            app,
            faults,
            actors,
            _stop: stop.drop_guard(),
        })
    }

    /// Goes on until every channel's way has ended. Returns what was spent beside the channels.
    async fn run(&mut self, passes: usize) -> Result<Costs, Problem> {
        let mut beside = Costs { calls: self.calls(), ..Costs::default() };
        let end = self.start.checked_add(AHEAD).unwrap_or(Timestamp::MAX);
        while let Some(next) = self.next() {
            self.advance_to(next.min(end));
            for actor in &mut self.actors {
                if !actor.is_over && (next >= end || actor.passes >= passes) {
                    actor.give_up(next.min(end), passes);
                }
            }
            let now = self.now();
            for at in 0..self.actors.len() {
                let due: Vec<Action> =
                    self.actors[at].hoped.iter().filter(|(_, due)| **due <= now).map(|(a, _)| *a).collect();
                for action in due {
                    self.act(at, action);
                }
            }
            if self.look_at <= now {
                let before = self.calls();
                self.look().await?;
                beside.calls += self.calls() - before;
            }
            for at in 0..self.actors.len() {
                let actor = &self.actors[at];
                if !actor.is_over && actor.fleeting.due <= now && self.pass(at).await {
                    let before = self.calls();
                    self.look().await?;
                    beside.calls += self.calls() - before;
                }
            }
        }
        Ok(beside)
    }

    fn now(&self) -> Timestamp {
        self.sandbox.now()
    }

    fn calls(&self) -> u64 {
        self.sandbox.counters().values().sum()
    }

    fn advance_to(&self, at: Timestamp) {
        let by = at.duration_since(self.now());
        if by > SignedDuration::ZERO {
            self.sandbox.advance(by.unsigned_abs());
        }
    }

    /// The next moment at which anybody does anything; none when every way has ended.
    fn next(&self) -> Option<Timestamp> {
        let open = self.actors.iter().filter(|actor| !actor.is_over);
        let next = open.flat_map(|actor| actor.hoped.values().copied().chain([actor.fleeting.due])).min()?;
        Some(next.min(self.look_at).max(self.now()))
    }

    /// The portfolio's own look; channels wake when something about it changed.
    async fn look(&mut self) -> Result<(), Problem> {
        let now = self.now();
        let known = self.portfolios.judge(self.portfolio).await?;
        self.look_at = later(now, self.shell.limits.fresh_portfolio);
        if known.assessment.view != self.known.assessment.view {
            for actor in &mut self.actors {
                actor.fleeting.wake(now);
            }
        }
        self.known = known;
        Ok(())
    }

    /// One pass over one channel. Says whether the portfolio has to be looked at.
    async fn pass(&mut self, at: usize) -> bool {
        let now = self.now();
        let (calls, effects) = (self.calls(), self.sandbox.effects().len());
        let found = Found::Known(&self.known);
        let actor = &mut self.actors[at];
        actor.passes += 1;
        let desired = actor.desired();
        let Some(live) = actor.cluster.read(&desired.name, 0) else { return false };
        let records =
            Shelf { cluster: actor.cluster.clone(), name: desired.name.clone(), uid: desired.uid.clone() };
        let input = Input {
            live,
            is_shown: false,
            claim: actor.case.claim.clone(),
            portfolio: found.state(&desired.namespace),
            after_write: actor.fleeting.after_write,
            process: ProcessFacts {
                last_success: actor.fleeting.last_success,
                ..ProcessFacts::new(self.start)
            },
            unwritten: actor.fleeting.unwritten.clone(),
            is_of_another: no_other(),
            volatile: actor.fleeting.volatile.clone(),
            desired,
        };
        let secrets = Arc::new(Drawer(actor.cluster.clone()));
        let attempts = Folder::new(actor.cluster.clone(), &actor.desired().number.canonical());
        let kept = (Arc::new(records), Arc::new(attempts));
        let ended = pass(&self.shell, input, found.graph().cloned(), secrets, kept, ()).await;
        let spent = self.spent(calls, effects);
        let actor = &mut self.actors[at];
        actor.course.spend(spent);
        match ended {
            Ok(done) => {
                actor.fleeting.took(&done, now);
                actor.tell(&done, now);
                done.credential_refused
            }
            Err(_) => {
                actor.fleeting.failed(now);
                false
            }
        }
    }

    /// What was spent since then.
    fn spent(&self, calls: u64, effects: usize) -> Costs {
        let mut costs = Costs { calls: self.calls() - calls, ..Costs::default() };
        for effect in self.sandbox.effects().into_iter().skip(effects) {
            match effect.what {
                What::CodeSent { .. } => costs.codes += 1,
                What::RegisterAttempt { .. } => costs.registrations += 1,
                // A number comes with its first name.
                What::NameSubmitted { .. } | What::NumberAdded { .. } => costs.reviews += 1,
                _ => {}
            }
        }
        costs
    }

    /// Somebody does what is hoped of him.
    fn act(&mut self, at: usize, action: Action) {
        let now = self.now();
        let actor = &mut self.actors[at];
        actor.hoped.remove(&action);
        let Hope::Done { deed, says, assumes, .. } = hope(action) else { return };
        *actor.done.entry(action).or_default() += 1;
        actor.course.assume(assumes);
        actor.course.line(now, Kind::Act, action.as_str(), Some(action.actor().as_str()), says);
        actor.last_news = now;
        self.carry_out(at, deed, now);
    }

    fn carry_out(&mut self, at: usize, deed: Deed, now: Timestamp) {
        let sandbox = &self.sandbox;
        let business = self.portfolio.business.as_str();
        let actor = &mut self.actors[at];
        let desired = actor.desired();
        let digits = desired.number.digits();
        let target = target(actor.case, &actor.cluster);
        let account = target.as_ref().map(AccountId::as_str).unwrap_or_default();
        let value = format!("forecast-{}", actor.done.values().sum::<usize>());
        let retry = |actor: &mut Actor<'_>| {
            actor.annotate(now, |desired| desired.consents.retry = Some(value.clone()));
        };
        match deed {
            Deed::AskForCode => {
                actor.annotate(now, |desired| desired.consents.send_code = Some(value.clone()));
            }
            Deed::EnterCode => {
                if let Some(code) = sandbox.delivered_code(digits) {
                    actor.cluster.put_secret(&desired.verification.code_secret, &code, false);
                }
            }
            Deed::Retry => retry(actor),
            Deed::ReleaseNumber => {
                sandbox.release_phone(digits);
                retry(actor);
            }
            Deed::ConnectInApp => {
                let id = sandbox.number(digits).map(|number| number.id).unwrap_or_default();
                sandbox.add_number(Number::new(&id, account, digits, &desired.display_name));
                sandbox.connect_in_app(digits);
            }
            Deed::CreateAccount => {
                let mut new = Account::new(NEW_ACCOUNT, business, &self.portfolio.name);
                new.country = self.portfolio.expect_country.clone().or(new.country);
                new.primary_funding_id = None;
                sandbox.add_account(new);
            }
            Deed::AssignAccount => {
                if let Some(named) = &desired.account {
                    let mut new = Account::new(named.as_str(), business, named.as_str());
                    new.country = self.portfolio.expect_country.clone().or(new.country);
                    sandbox.add_account(new);
                }
            }
            Deed::GrantPermissions => {
                let all = Token::system_user(&self.app.id, business);
                sandbox.set_scopes(&self.token, all.scopes);
                self.faults.retain(|held| matches!(held.fault.kind, FaultKind::RefuseField { .. }));
                self.hold_again();
            }
            Deed::AddByHand => {
                sandbox.add_number(Number::new("", account, digits, &desired.display_name));
            }
            Deed::RaiseLimit => {
                sandbox.set_field(business, "number_limit", NUMBERS.into());
                retry(actor);
            }
            Deed::VerifyBusiness => {
                sandbox.set_field(business, "verification_status", "verified".into());
            }
            Deed::AddPaymentMethod => {
                sandbox.set_field(account, "primary_funding_id", PAYMENT.into());
            }
            Deed::SubscribeToMessages => {
                let receiving = App::new(&self.app.id, &self.app.name);
                self.app.callback_url = receiving.callback_url;
                self.app.messages_field = true;
                sandbox.add_app(self.app.clone());
                retry(actor);
            }
            Deed::LabelSecret | Deed::ProvideVerifyToken => {
                if let Some(webhook) = &desired.webhook {
                    actor.cluster.put_secret(&webhook.verify_token, VERIFY_TOKEN, true);
                }
            }
            Deed::ProvidePin => {
                let pin = sandbox.number(digits).and_then(|number| number.pin);
                let pin = pin.as_deref().unwrap_or(PIN);
                actor.cluster.put_secret(&desired.registration.pin_secret, pin, false);
            }
            Deed::AllowSecrets => {
                let code = sandbox.delivered_code(digits).unwrap_or_default();
                actor.cluster.allow_secret(&desired.verification.code_secret, &code, false);
                actor.cluster.allow_secret(&desired.registration.pin_secret, PIN, false);
                if let Some(webhook) = &desired.webhook {
                    actor.cluster.allow_secret(&webhook.verify_token, VERIFY_TOKEN, true);
                }
            }
            Deed::ApproveName => {
                sandbox.decide_name(digits, Verdict::Approve);
            }
            Deed::ApproveAccount => {
                sandbox.set_field(account, "status", "ACTIVE".into());
                sandbox.set_field(account, "account_review_status", "APPROVED".into());
            }
            Deed::Answer => {
                self.faults.retain(|held| !held.passes);
                self.hold_again();
            }
        }
    }

    /// Only the faults that are left.
    fn hold_again(&self) {
        self.sandbox.clear_faults();
        for held in &self.faults {
            self.sandbox.inject(held.fault.clone());
        }
    }
}

impl Actor<'_> {
    /// Takes in what a pass came to.
    fn tell(&mut self, done: &Done, now: Timestamp) {
        let is_at_rest = done.outcome.is_none() && done.plan.next > now;
        if !self.is_begun {
            if !is_at_rest && done.outcome.is_none() && self.passes < LOOKS {
                return;
            }
            self.is_begun = true;
            if let Some(differs) = differs(&self.case.plan, &done.plan) {
                self.end(now, Ending::None, differs);
                return;
            }
        }
        if let Some(outcome) = &done.outcome {
            let first = self.case.plan.step.as_ref().filter(|_| self.course.is_empty());
            let why =
                first.or(done.plan.step.as_ref()).map(|planned| planned.why.clone()).unwrap_or_default();
            let why = match &outcome.result {
                Ok(_) => why,
                Err(failure) => format!("{why}; not accepted: {}", failure.told()),
            };
            self.course.line(now, Kind::Step, outcome.step.as_str(), None, why);
            for assumed in done.plan.step.iter().flat_map(|planned| assumed(&planned.step)) {
                self.course.assume(*assumed);
            }
            self.last_news = now;
            self.hoped.clear();
            return;
        }
        self.tell_waits(done, now);
        if is_at_rest {
            self.settle(done, now);
        }
    }

    /// Tells the waits that begin.
    fn tell_waits(&mut self, done: &Done, now: Timestamp) {
        let ready =
            done.after.conditions.get(ConditionType::Ready).filter(|ready| ready.status != Truth::True);
        let first = self.course.is_empty();
        let blocks: Vec<&Block> = blocks(&done.plan).collect();
        let mut waits = BTreeSet::new();
        for block in &blocks {
            let action = block.wait.as_ref().map(|wait| wait.action);
            waits.insert((block.reason, action));
            self.dates.extend(action.zip(block.until));
            if !self.waits.contains(&(block.reason, action)) {
                let mut planned = blocks_of_reason(&self.case.plan, block.reason).filter(|_| first);
                let message = planned.next().unwrap_or(block).message.clone();
                let who = action.map(|action| action.actor().as_str());
                self.course.line(now, Kind::Wait, block.reason.as_str(), who, message);
                self.last_news = now;
            }
        }
        if let Some(ready) = ready.filter(|_| blocks.is_empty()) {
            let action = done.after.waiting_for.first().and_then(|wait| Action::from_name(&wait.action));
            waits.insert((ready.reason, action));
            if !self.waits.contains(&(ready.reason, action)) {
                let who = action.map(|action| action.actor().as_str());
                self.course.line(now, Kind::Wait, ready.reason.as_str(), who, ready.message.clone());
                self.last_news = now;
            }
        }
        self.waits = waits;
    }

    /// Nothing is to be done before the next look: it is over, or somebody is hoped to act, or time goes on.
    fn settle(&mut self, done: &Done, now: Timestamp) {
        let is_ready = done.after.conditions.is(ConditionType::Ready, Truth::True);
        if is_ready && !done.plan.is_waiting() {
            let (ending, says) = match self.course.is_empty() {
                true => (Ending::NothingToDo, "nothing to do"),
                false => (Ending::Ready, "Ready"),
            };
            self.end(now, ending, says);
            return;
        }
        // A status that proves nothing new waits for nobody; the plan does.
        let shown = done.after.waiting_for.iter().filter_map(|wait| Action::from_name(&wait.action));
        let planned = blocks(&done.plan).filter_map(|block| Some(block.wait.as_ref()?.action));
        let waits: BTreeSet<Action> = shown.chain(planned).collect();
        self.hoped.retain(|action, _| waits.contains(action));
        let mut goes_on = blocks(&done.plan).any(|block| block.until.is_some_and(|until| until > now));
        let mut hopeless = None;
        for action in &waits {
            match hope(*action) {
                Hope::Time => goes_on = true,
                Hope::Done { after, .. } if self.done.get(action).copied().unwrap_or_default() < TIMES => {
                    let date = follows(*action).and_then(|meta| self.dates.get(&meta).copied());
                    let from = date.map_or(now, |date| date.max(now));
                    self.hoped.entry(*action).or_insert_with(|| later(from, after));
                    goes_on = true;
                }
                Hope::Done { .. } => {
                    hopeless.get_or_insert((*action, "it was done before, and did not help"));
                }
                Hope::Nobody(why) => {
                    hopeless.get_or_insert((*action, why));
                }
            }
        }
        if goes_on {
            return;
        }
        let ready = if is_ready { "Ready; " } else { "" };
        match hopeless {
            Some((action, why)) => {
                let says = format!("{ready}the forecast ends here: {}", ends(why, Some(action)));
                self.end(now, Ending::Waits, says);
            }
            None if now.duration_since(self.last_news) > QUIET => {
                let says =
                    format!("{ready}the forecast ends here: nothing happens any more that can be foreseen");
                self.end(now, Ending::Unfinished, says);
            }
            None => {}
        }
    }
}

fn blocks(plan: &Plan) -> impl Iterator<Item = &Block> {
    plan.block.iter().chain(plan.aside.iter().map(|(_, block)| block))
}

fn blocks_of_reason(plan: &Plan, reason: Reason) -> impl Iterator<Item = &Block> {
    blocks(plan).filter(move |block| block.reason == reason)
}

/// Where the simulated Meta leads to another decision than Meta itself does, a forecast would be of something else.
fn differs(planned: &Plan, played: &Plan) -> Option<String> {
    let word = |plan: &Plan| match (&plan.step, &plan.block) {
        (Some(planned), _) => planned.step.kind().as_str(),
        (None, Some(block)) => block.reason.as_str(),
        (None, None) => "nothing",
    };
    let (planned, played) = (word(planned), word(played));
    (planned != played).then(|| {
        format!("the simulated Meta cannot show what Meta shows here; it would lead to {played} in place of {planned}")
    })
}

/// What is taken for given when a step is accepted.
fn assumed(step: &Step) -> &'static [&'static str] {
    const PIN: &str = "the PIN in the Secret is the number's, and no app on a phone holds the number";
    match step {
        Step::AddNumber { .. } => &["nobody else uses the number, and Meta lets it be added"],
        Step::Register { in_review: Some(_), .. } => {
            &[PIN, "Meta registers a number whose name is in review, as it was seen to do"]
        }
        Step::Register { in_review: None, .. } => &[PIN],
        Step::RouteWebhook { .. } => &["the webhook answers Meta's handshake"],
        Step::RequestCode { .. } => &["each code arrives on the phone"],
        Step::VerifyCode { .. } => &["each code is typed right"],
        Step::SubmitName { .. }
        | Step::CreatePin { .. }
        | Step::SetPin { .. }
        | Step::SubscribeApp { .. }
        | Step::WriteProfile { .. }
        | Step::WritePicture { .. }
        | Step::StartSync { .. }
        | Step::UnrouteWebhook { .. }
        | Step::SetStorage { .. }
        | Step::Deregister { .. }
        | Step::RequestOfficial { .. } => &[],
        Step::ClaimUsername { .. } => &["nobody else has the username"],
    }
}

/// The account that a channel uses.
fn target(case: &Case<'_>, cluster: &Cluster) -> Option<AccountId> {
    let desired = &case.manifest.desired;
    let memory: Memory = cluster.status(&desired.name).memory;
    let searched = || case.observed.search.first().map(|searched| searched.account.clone());
    memory.account.or_else(|| desired.account.clone()).or_else(searched).or_else(|| Some(NEW_ACCOUNT.into()))
}

/// Status holds whole seconds.
fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second() + 1).unwrap_or(now)
}

/// As hoped: effects show at once, nothing is refused, and reviews end when the table says so.
fn options(start: Timestamp) -> Options {
    Options {
        start,
        hold: Hold::Drop,
        review: ReviewPolicy { verdict: Verdict::Defer, ..ReviewPolicy::default() },
        switches: Switches {
            codes_allowed: CODES,
            initial_status: InitialStatus::word("PENDING"),
            register_in_review: true,
            ..Switches::default()
        },
        ..Options::default()
    }
}
