//! A portfolio of many accounts before the simulated Meta, over HTTP on this machine and in virtual time.

#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use url::Url;

use super::{
    app::{AppState, Upkeep},
    credential::{Examination, Offer, Shown},
    reading::Ring,
    state::State,
    turns,
};
use crate::{
    api::{
        lower,
        v1alpha1::{AppWebhookSeen, ChannelCounts},
    },
    engine::{
        assess::portfolio::{PortfolioAssessment, assess_app},
        condition::{Condition, ConditionSet, Truth},
        condition_type::ConditionType,
        desired::{Desired, DesiredAppWebhook, DesiredPortfolio, SecretKey},
        fixture::{desired, desired_portfolio},
        limits::Limits,
        look::{Follows, look},
        memory::Memory,
        observed::{Claim, PortfolioState, ProcessFacts},
        plan::{Plan, plan},
        portfolio::{PortfolioView, Reach},
        reason::Reason,
        status::{Before, WaitingFor},
        step::StepKind,
    },
    meta::{
        client::{GraphClient, Meta},
        port::{Credential, GraphSource},
        settings::Settings,
        transport::install_crypto,
    },
    run::{
        may_work::MayWork,
        observe::{Circumstances, Sources, observe},
        pass::{Ids, Shell},
        secret::Volatile,
    },
    sandbox::{
        Account, App, Fault, FaultKind, Match, Number, Options, Portfolio, Sandbox, Token, What, World,
    },
    twin::{self, Drawer, VirtualClock},
};

const BUSINESS: &str = "500000000000001";
const APP: &str = "200000000000001";
const TOKEN: &str = "EAAfirst";
const OWNED: &str = "owned_whatsapp_business_accounts";
/// As many as one portfolio is promised to have.
const MANY: usize = 5_000;

fn account(n: usize) -> String {
    format!("3{n:014}")
}

/// Meta with one portfolio, and what the operator remembers of it.
struct Bench {
    sandbox: Sandbox,
    meta: Meta,
    shell: Shell<VirtualClock>,
    secrets: Drawer,
    desired: DesiredPortfolio,
    state: State<GraphClient>,
    conditions: ConditionSet,
    waiting: Vec<WaitingFor>,
    rings: Arc<AtomicUsize>,
    _stop: DropGuard,
}

impl Bench {
    async fn new(accounts: usize) -> Self {
        install_crypto();
        let mut app = App::new(APP, "Acme");
        app.daily_active_users = 1_000;
        let mut world = World::default()
            .with_app(app)
            .with_portfolio(Portfolio::new(BUSINESS, "Acme"))
            .with_token(TOKEN, Token::system_user(APP, BUSINESS));
        for n in 0..accounts {
            world = world.with_account(Account::new(&account(n), BUSINESS, "Acme"));
        }
        let sandbox = Sandbox::from_world(Options::default(), world);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(sandbox.clone().serve(listener, stop.clone()));
        let clock = Arc::new(VirtualClock(sandbox.clone()));
        let limits = Limits::default();
        let settings = Settings { base_url, ..Settings::new(limits.clone()).unwrap() };
        let meta = Meta::new(settings, clock.clone()).unwrap();
        let desired = desired_portfolio();
        let cluster = Arc::new(twin::Cluster::new(VirtualClock(sandbox.clone())));
        cluster.put_secret(&desired.access_token, TOKEN, false);
        let shell = Shell {
            clock,
            limits: Arc::new(limits),
            ids: Arc::new(Ids::new(7)),
            tasks: TaskTracker::new(),
            may_work: MayWork::always(),
            budget: Duration::from_secs(60),
            repeats: Arc::default(),
        };
        Self {
            sandbox,
            meta,
            shell,
            secrets: Drawer(cluster),
            desired,
            state: State::default(),
            conditions: ConditionSet::default(),
            waiting: Vec::new(),
            rings: Arc::default(),
            _stop: stop.drop_guard(),
        }
    }

    /// One look, as the reconcile makes it.
    async fn look(&mut self) -> PortfolioAssessment {
        let offer = Offer::read(&self.secrets, &self.desired).await.recognised(&self.state);
        let rings = self.rings.clone();
        let ring: Ring = Arc::new(move || {
            rings.fetch_add(1, Ordering::SeqCst);
        });
        let (source, shell) = (&self.meta, &self.shell);
        let examination = Examination { source, shell, desired: &self.desired, offer: &offer, ring: &ring };
        let shown = Shown { conditions: &self.conditions, waiting: &self.waiting };
        let assessment = examination.judge(&mut self.state, shown).await;
        self.state.view = Some(assessment.view.clone());
        self.conditions = assessment.conditions.clone();
        self.waiting = assessment.waiting_for.clone();
        assessment
    }

    /// Looks, each time when the look before asks for it, until every list is read.
    async fn look_until_whole(&mut self) -> PortfolioAssessment {
        for _ in 0..100 {
            let assessment = self.look().await;
            if matches!(assessment.view.reach, Reach::Accounts(_)) {
                return assessment;
            }
            // What a look did not wait for, on a busy machine, has come before the next one.
            while !self.shell.tasks.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let now = self.sandbox.now();
            if let Some(until) = self.state.until_due(now) {
                self.sandbox.advance(until);
            }
        }
        panic!("the lists have no end")
    }

    fn calls(&self, edge: &str) -> usize {
        let calls = self.sandbox.calls();
        calls.iter().filter(|call| call.path.ends_with(edge)).count()
    }

    /// What a channel with this number, which names this account, would do below the portfolio now.
    async fn plan_in(&self, view: &PortfolioView, account: &str, number: &str) -> Plan {
        let desired = Desired {
            account: Some(account.into()),
            number: crate::engine::phone::E164::parse(number).unwrap(),
            ..desired()
        };
        let (memory, before, now) = (Memory::default(), Before::default(), self.sandbox.now());
        let claim = Claim::Ours { act_from: None };
        let portfolio = PortfolioState::View(Arc::new(view.clone()));
        let (before, process) = (&before, &ProcessFacts::new(now));
        let follows = Follows { before, after_write: None, may_add: true, process, picture: None };
        let limits = &self.shell.limits;
        let look = look(&desired, &memory, &claim, &portfolio, follows, limits, now);
        let given = Circumstances { claim, portfolio, process: ProcessFacts::new(now) };
        let graph = self.state.in_use.as_ref().map(|in_use| &in_use.graph);
        let (clock, seen) = (&*self.shell.clock, &Volatile::default());
        let sources = Sources { graph, secrets: &self.secrets, clock, seen };
        let (observed, _) = observe(&desired, &look, given, &sources).await;
        plan(&desired, &observed, &memory, limits, self.sandbox.now())
    }
}

fn reached(assessment: &PortfolioAssessment) -> usize {
    match &assessment.view.reach {
        Reach::Accounts(list) | Reach::Owned(list) => list.len(),
        reach => panic!("{reach:?}"),
    }
}

fn reason(plan: &Plan) -> Option<Reason> {
    plan.block.as_ref().map(|block| block.reason)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_accounts_come_into_reach_and_a_channel_of_the_last_takes_its_first_step() {
    let mut bench = Bench::new(MANY).await;
    let last = account(MANY - 1);
    let assessment = bench.look_until_whole().await;
    assert_eq!(reached(&assessment), MANY);
    assert_eq!(bench.calls(OWNED), 50);
    let status = lower::portfolio_status(&bench.desired, &assessment, ChannelCounts::default(), None);
    assert_eq!((status.accounts.len(), status.more_accounts), (256, Some(4_744)));

    let plan = bench.plan_in(&assessment.view, &last, "+5511912345678").await;
    assert_eq!(plan.step.map(|step| step.step.kind()), Some(StepKind::AddNumber), "{:?}", plan.block);

    let (calls, rings) = (bench.sandbox.calls().len(), bench.rings.load(Ordering::SeqCst));
    bench.sandbox.advance(Duration::from_secs(60));
    bench.look().await;
    assert_eq!(bench.sandbox.calls().len(), calls, "nothing is due");
    assert_eq!(bench.rings.load(Ordering::SeqCst), rings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_fails_five_times_costs_five_calls_more() {
    let mut bench = Bench::new(MANY).await;
    for nth in 30..35 {
        let kind = FaultKind::Status { code: 503 };
        bench.sandbox.inject(Fault { on: Match::on("GET", OWNED).nth(nth), kind });
    }
    assert_eq!(reached(&bench.look_until_whole().await), MANY);
    assert_eq!(bench.calls(OWNED), 50 + 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_page_is_slow_channels_are_served_and_a_new_token_is_checked() {
    let mut bench = Bench::new(MANY).await;
    let (first, digits) = (account(0), "5511912345678");
    bench
        .sandbox
        .add_number(Number::new("100000000000001", &first, digits, "Acme Suporte").registered("271828"));
    // As long as a call may take.
    bench
        .sandbox
        .inject(Fault { on: Match::on("GET", OWNED).nth(20), kind: FaultKind::Latency { ms: 19_000 } });
    let begun = Instant::now();
    let early = bench.look().await;
    assert_eq!(early.view.reach, Reach::Unread);
    assert!(early.view.hold.is_none() && early.view.facts.known().is_some(), "{:?}", early.view.hold);

    let registered = bench.plan_in(&early.view, &first, &format!("+{digits}")).await;
    assert_eq!((reason(&registered), registered.step), (None, None), "it is as it should be");
    let unlisted = bench.plan_in(&early.view, &account(MANY - 1), "+5511912345679").await;
    assert_eq!(
        reason(&unlisted),
        Some(Reason::PortfolioNotReadYet),
        "it may be on a page that is not read yet"
    );
    assert!(unlisted.step.is_none_or(|step| step.step.kind() != StepKind::AddNumber));

    let second = "EAAsecond";
    bench.sandbox.add_token(second, Token::system_user(APP, BUSINESS));
    bench.secrets.0.put_secret(&bench.desired.access_token, second, false);
    bench.sandbox.advance(Duration::from_secs(60));
    let rotated = bench.look().await;
    assert_ne!(rotated.view.credential_version, early.view.credential_version);
    assert!(begun.elapsed() < Duration::from_secs(15), "it waited for the page: {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_under_way_ends_with_its_portfolio() {
    let mut bench = Bench::new(101).await;
    bench
        .sandbox
        .inject(Fault { on: Match::on("GET", OWNED).nth(2), kind: FaultKind::Latency { ms: 19_000 } });
    bench.look().await;
    assert_eq!(bench.shell.tasks.len(), 1, "the list alone is left");
    bench.state = State::default();
    bench.shell.tasks.close();
    let ended = tokio::time::timeout(Duration::from_secs(5), bench.shell.tasks.wait()).await;
    assert!(ended.is_ok(), "{} are left", bench.shell.tasks.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_old_is_read_anew_and_one_that_is_asked_for_at_once() {
    let mut bench = Bench::new(250).await;
    assert_eq!(reached(&bench.look_until_whole().await), 250);
    bench.sandbox.add_account(Account::new(&account(900), BUSINESS, "Acme"));
    bench.sandbox.advance(Duration::from_secs(120));
    assert_eq!(reached(&bench.look().await), 250, "not old yet");
    bench.state.note_nudge(Some(&"now".to_owned()));
    assert_eq!(reached(&bench.look().await), 251);
    bench.sandbox.add_account(Account::new(&account(901), BUSINESS, "Acme"));
    bench.sandbox.advance(Limits::default().fresh_portfolio + Duration::from_secs(60));
    assert_eq!(reached(&bench.look().await), 252);
    assert_eq!(bench.calls(OWNED), 3 * 3);
}

/// The app has the desired address and lacks a field, and the verify token is not there at first. Somebody else sets an address
/// of his own in a pass, if he does, and the token comes in a later one. A pass is a minute. Gives back how often the webhook was
/// written, and as what it is told in each pass.
async fn app_webhook(theirs_in: Option<usize>, token_in: usize) -> (usize, Vec<Option<Reason>>) {
    const OURS: &str = "https://bot.acme.example/wa";
    let mut bench = Bench::new(1).await;
    let app = App::new(APP, "Acme").with_secret("app secret");
    bench.sandbox.add_app(App { callback_url: Some(OURS.into()), messages_field: false, ..app });
    let key = |name: &str, key: &str| SecretKey { name: name.into(), key: key.into() };
    let verify_token = key("bot", "verify");
    bench.desired.app_secret = Some(key("acme-app", "secret"));
    bench.desired.app_webhook = Some(DesiredAppWebhook {
        callback_url: OURS.into(),
        verify_token: verify_token.clone(),
        fields: vec!["messages".into()],
        adopt: false,
    });
    let graph = bench.meta.graph(Credential {
        business: BUSINESS.into(),
        version: "1".into(),
        token: TOKEN.into(),
        app_secret: Some("app secret".into()),
        app: Some(APP.into()),
    });
    let mut state = AppState::default();
    let mut seen = Some(AppWebhookSeen { written: vec![OURS.into()], ..AppWebhookSeen::default() });
    let (mut conditions, none) = (ConditionSet::default(), ConditionSet::default());
    let mut told = Vec::new();
    for pass in 0..token_in + 10 {
        if theirs_in == Some(pass) {
            assert!(bench.sandbox.set_app_address(APP, "https://crm.example/wa"));
        }
        if pass == token_in {
            bench.secrets.0.put_secret(&verify_token, "word", true);
        }
        let upkeep = Upkeep {
            graph: &graph,
            shell: &bench.shell,
            secrets: &bench.secrets,
            desired: &bench.desired,
            before: &none,
            is_asked: false,
            is_reconciled: false,
            may_write: true,
        };
        seen = upkeep.go_on(&mut state, seen.as_ref()).await;
        let (observed, now) = (state.observed(seen.as_ref()), bench.sandbox.now());
        assess_app(&bench.desired, &observed, (&none, &[]), (&mut conditions, &mut Vec::new()), now);
        told.push(conditions.get(ConditionType::AppWebhookSet).map(|told| told.reason));
        bench.sandbox.advance(Duration::from_secs(60));
    }
    (bench.sandbox.count(|what| matches!(what, What::AppWebhookSet { .. })), told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_somebody_set_while_the_verify_token_was_missing_is_never_written_over() {
    // What is missing for long is looked at again meanwhile, and what is there is looked at right before a write.
    for (theirs_in, token_in) in [(2, 10), (7, 7), (7, 8)] {
        let (written, told) = app_webhook(Some(theirs_in), token_in).await;
        let last = told.last().copied().flatten();
        assert_eq!(
            (written, last),
            (0, Some(Reason::AppWebhookForeign)),
            "{theirs_in}, {token_in}: {told:?}"
        );
        assert_eq!(told[1], Some(Reason::AppVerifyTokenNotUsable), "{told:?}");
        let before = told[token_in - 1] == Some(Reason::AppWebhookForeign);
        assert_eq!(before, token_in == 10, "it is told before the token comes: {told:?}");
    }
    for token_in in [0, 8] {
        let (written, told) = app_webhook(None, token_in).await;
        let last = told.last().copied().flatten();
        assert_eq!((written, last), (1, Some(Reason::AppWebhookMatches)), "{token_in}: {told:?}");
    }
}

/// Channels wait for it without telling, so that it is told once.
#[test]
fn a_portfolio_tells_that_its_business_is_not_verified_and_that_it_is_at_last() {
    let set = |status, reason| {
        let mut set = ConditionSet::default();
        for (kind, status, reason) in [
            (ConditionType::AccountUsable, Truth::False, Reason::AccountDisabled),
            (ConditionType::BusinessVerified, status, reason),
        ] {
            let (since, message) = (Timestamp::UNIX_EPOCH, String::new());
            set.set(Condition { kind, status, reason, message, since, observed_generation: 1 });
        }
        set
    };
    let unread = ConditionSet::default();
    let open = set(Truth::False, Reason::BusinessNotVerified);
    let verified = set(Truth::True, Reason::BusinessIsVerified);
    let told = |before: &ConditionSet, after: &ConditionSet| -> Vec<String> {
        turns(before, after).into_iter().map(|notice| notice.reason).collect()
    };
    assert_eq!(told(&unread, &open), ["NotBusinessVerified"]);
    assert_eq!(told(&open, &open), [""; 0]);
    assert_eq!(told(&open, &verified), ["BusinessVerified"]);
    assert_eq!(told(&unread, &verified), [""; 0], "one that always was is no news");
}
