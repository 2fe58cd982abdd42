//! What a channel costs: Graph calls, status writes, CPU and memory of the operator as a process, on a real API
//! server and a sandbox that answers after 50 ms.
//!
//! `make bench` runs it and prints a table and JSON. Each figure is measured in this run, on this machine; ratios
//! and counts travel, seconds do not. It fails where a goal is missed. `FLEET=rest,large,huge,restart,burst,start,fair,drift,churn` picks scenarios, `FLEET_WINDOW=690`
//! sets how many seconds a fleet at rest is watched, `FLEET_HUGE=1000` how many accounts the hundred thousand have, and
//! `FLEET_LARGE=100` how many the ten thousand have, and `FLEET_CHURN=50` how many those have that come and go three times.
//!
//! Calls at rest are of two kinds. Those that come every few minutes are counted in the window and brought to an
//! hour. All channels of an account ask for its list together, 330 to 360 seconds after the last, so a window of twice
//! 345 seconds holds as many of them as its length is worth; one of ten minutes held only one of two. Those that come once an hour (the facts of an account, the token, the portfolio and its accounts) cannot
//! fall into it; a restart shows which they are: what it asks for and a fleet at rest did not in all of the window
//! counts once for each hour. What is held against the goal is the sum.

#[path = "../tests/it/control_plane.rs"]
mod control_plane;
mod figures;
mod stand_in;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use control_plane::{ControlPlane, Options as PlaneOptions, Process};
use figures::{Figures, figure};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use whatsapp_operator::controller::BACKSTOP;
use whatsapp_operator::sandbox::{
    Account, App, Fault, FaultKind, Match, Number, Options, Pace, Portfolio, ReviewPolicy, Sandbox, Token,
    What, World,
};

const BUSINESS: &str = "500000000000001";
const APP: &str = "200000000000001";
const PER_ACCOUNT: usize = 100;
const NAMESPACE: &str = "bench";
/// Accounts that answer late, of 100 channels each.
const FAIR_SLOW: usize = 3;
/// Consents on the account that does not: so many while none of the others can have been answered, and as many while they are.
const FAIR_ASKED: usize = 20;
const AT_REST: &str = "1,000 at rest";
const BURST: &str = "apply to first status, burst of 1,000";
/// As the chart's Deployment has it.
const ALLOCATOR: (&str, &str) = (
    "_RJEM_MALLOC_CONF",
    "narenas:1,background_thread:true,dirty_decay_ms:0,muzzy_decay_ms:0,tcache_max:1024",
);

fn main() -> ExitCode {
    let wanted = std::env::var("FLEET")
        .unwrap_or_else(|_| "start,burst,fair,drift,rest,restart,churn,large,huge".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let figures = runtime.block_on(measure(&wanted));
    figures::print(&figures)
}

async fn measure(wanted: &str) -> Figures {
    let picked: Vec<&str> = wanted.split(',').map(str::trim).collect();
    let picks = |scenario: &str| picked.contains(&scenario);
    let mut figures = Figures::new();
    if picks("start") {
        size_and_version(&mut figures);
        let mut fleet = Fleet::new(1, false).await;
        fleet.cold_start(&mut figures).await;
        fleet.stop().await;
    }
    if picks("burst") {
        let mut fleet = Fleet::new(11, false).await;
        fleet.first_status(&mut figures).await;
        fleet.burst_yardstick(&mut figures).await;
        fleet.stop().await;
    }
    if picks("fair") {
        let fleet = Fleet::new(FAIR_SLOW + 1, false).await;
        fleet.fairness(&mut figures).await;
        fleet.stop().await;
    }
    if picks("drift") {
        let mut fleet = Fleet::new(10, true).await;
        fleet.flags = vec!["--list-freshness".into(), "50s".into()];
        fleet.start();
        fleet.drift(&mut figures).await;
        fleet.stop().await;
    }
    if picks("rest") || picks("restart") {
        let mut fleet = Fleet::new(10, true).await;
        fleet.follow_pins().await;
        fleet.settle().await;
        let mut at_rest = None;
        if picks("rest") {
            at_rest = Some(fleet.at_rest(&mut figures).await);
            fleet.memory(&mut figures, AT_REST, 20.0);
        }
        let first = fleet.restart(&mut figures, "restart with 1,000", 30.0).await;
        if let Some(at_rest) = at_rest {
            fleet.calls_at_rest(&mut figures, &at_rest, &first);
        }
        fleet.stop().await;
    }
    if picks("churn") {
        let accounts = std::env::var("FLEET_CHURN").ok().and_then(|text| text.parse().ok()).unwrap_or(50);
        let fleet = Fleet::new(accounts, true).await;
        fleet.churn(&mut figures).await;
        fleet.stop().await;
    }
    if picks("large") {
        let accounts = std::env::var("FLEET_LARGE").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
        let mut fleet = Fleet::new(accounts, true).await;
        fleet.adopt(&mut figures).await;
        fleet.memory(&mut figures, "10,000 at rest, adopted by this process", 40.0);
        fleet.crowd(&mut figures).await;
        fleet.restart(&mut figures, "restart with 10,000", 230.0).await;
        // Until every account was looked at once more.
        tokio::time::sleep(Duration::from_secs(280)).await;
        fleet.memory(&mut figures, "10,000 at rest, after a restart", 40.0);
        fleet.yardstick(&mut figures).await;
        fleet.stop().await;
    }
    if picks("huge") {
        huge(&mut figures).await;
    }
    figures
}

/// 100,000 channels that were Ready before. A stand-in takes the place of the API server.
#[allow(clippy::cast_precision_loss)]
async fn huge(figures: &mut Figures) {
    let accounts = std::env::var("FLEET_HUGE").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let all = accounts * PER_ACCOUNT;
    eprintln!("{all} channels in {accounts} accounts, with a stand-in for the API server");
    let token = "EAAsandbox-bench";
    let (sandbox, graph_url, stop) = meta(accounts, true, token).await;
    let meta_of = |name: &str| {
        json!({"name": name, "namespace": NAMESPACE, "uid": format!("u-{name}"), "generation": 1,
               "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"})
    };
    let portfolio = json!({"apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppPortfolio",
        "metadata": meta_of("acme"), "spec": {"businessId": BUSINESS,
            "credentials": {"accessTokenSecretRef": {"name": "acme-meta", "key": "token"}}}});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta_of("acme-meta"),
        "data": {"token": k8s_openapi::ByteString(token.into())}});
    let words = |n: usize| {
        let digits = digits(n / PER_ACCOUNT, n % PER_ACCOUNT);
        let national = digits.trim_start_matches("55").to_owned();
        vec![format!("c{n:06}"), digits, national, account_id(n / PER_ACCOUNT)]
    };
    let first = json!({"apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
        "metadata": meta_of("c000000"),
        "spec": {"portfolioRef": {"name": "acme"}, "accountId": account_id(0),
                 "phoneNumber": format!("+{}", digits(0, 0)), "displayName": "Acme Support"}});

    // One channel shows what a status of all looks like.
    let shape = stand_in::Shape { object: first.to_string(), words };
    let one = stand_in::StandIn::new(shape, 1, portfolio, secret.clone());
    let (operator, _) = Lone::start(one.serve(stop.clone()).await, &graph_url);
    let deadline = Instant::now() + Duration::from_secs(180);
    while !one.first()["status"]["conditions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
    {
        assert!(Instant::now() < deadline, "the first channel is not Ready: {:#}", one.first());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(operator);

    let mut first = one.first();
    first["metadata"]["resourceVersion"] = json!("1");
    let mut portfolio = one.portfolio();
    portfolio["metadata"]["resourceVersion"] = json!("1");
    let shape = stand_in::Shape { object: first.to_string(), words };
    let fleet = stand_in::StandIn::new(shape, all, portfolio, secret);
    let calls: u64 = sandbox.counters().values().sum();
    let begun = Instant::now();
    let (operator, health) = Lone::start(fleet.serve(stop.clone()).await, &graph_url);
    while passes(health) < all as f64 {
        assert!(begun.elapsed() < Duration::from_secs(1_200), "only {} passes", passes(health));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let scenario = format!("{all} at rest, after a restart, with a stand-in for the API server");
    let scenario = scenario.as_str();
    figure(figures, scenario, "until each was looked at", begun.elapsed().as_secs_f64(), "s", None);
    // Until every account was looked at once more, which it is 330 to 360 seconds after the first time.
    let (pid, rests) = (operator.0.id(), Instant::now());
    let (mut most, mut heap) = (0.0_f64, 0.0_f64);
    while rests.elapsed() < Duration::from_secs(400) {
        (most, heap) = (most.max(memory_mib(pid, "VmRSS:")), heap.max(memory_mib(pid, "RssAnon:")));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    figure(figures, scenario, "RSS at its most, once all were looked at", most, "MiB", Some(250.0));
    figure(figures, scenario, "RSS, of that heap and stacks", heap, "MiB", None);
    figure(figures, scenario, "status writes", fleet.writes() as f64, "", Some(1.0));
    let calls = sandbox.counters().values().sum::<u64>() - calls;
    figure(figures, scenario, "Graph calls", calls as f64, "", None);
    stop.cancel();
}

/// An operator without a cluster of its own.
struct Lone(Process);

impl Lone {
    fn start(api_server: SocketAddr, graph_url: &str) -> (Self, SocketAddr) {
        let dir = std::env::temp_dir().join(format!("whatsapp-operator-bench-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let kubeconfig = dir.join("kubeconfig");
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": format!("http://{api_server}")}}],
            "users": [{"name": "it", "user": {}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}]});
        std::fs::write(&kubeconfig, config.to_string()).expect("a file");
        let health =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let mut command = Command::new(operator_binary());
        command.env_clear().env(ALLOCATOR.0, ALLOCATOR.1).env("KUBECONFIG", &kubeconfig).args([
            "run",
            "--graph-url",
            graph_url,
            "--health-listen",
            &health.to_string(),
            "--log-level",
            "warn",
        ]);
        (Self(Process::spawn(command, dir.join("operator.log")).expect("the operator starts")), health)
    }
}

/// Passes over channels that were done so far.
fn passes(health: SocketAddr) -> f64 {
    let text = ask(health, "/metrics").unwrap_or_default();
    let series = "whatsapp_operator_passes_total{kind=\"channel\",result=\"done\"";
    let counted = text.lines().filter(|line| line.starts_with(series));
    counted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn operator_binary() -> &'static str {
    env!("CARGO_BIN_EXE_whatsapp-operator")
}

/// Size of the binary, and from exec to the end of the smallest command.
fn size_and_version(figures: &mut Figures) {
    let size = std::fs::metadata(operator_binary()).expect("the binary is there").len();
    #[allow(clippy::cast_precision_loss)]
    figure(figures, "binary", "size", size as f64 / 1_048_576.0, "MiB", None);
    let mut times: Vec<f64> = (0..20)
        .map(|_| {
            let started = Instant::now();
            let out = Command::new(operator_binary()).arg("--version").output().expect("it runs");
            assert!(out.status.success());
            started.elapsed().as_secs_f64() * 1_000.0
        })
        .collect();
    figure(figures, "binary", "exec to the end of --version, median", percentile(&mut times, 50), "ms", None);
}

/// The simulated Meta, with 100 numbers in each account: registered, or none.
async fn meta(accounts: usize, registered: bool, token: &str) -> (Sandbox, String, CancellationToken) {
    let mut portfolio = Portfolio::new(BUSINESS, "Acme Ltda").verified();
    portfolio.number_limit = Some(1_000_000);
    let mut world = World::default()
        .with_app(App::new(APP, "Acme Ops"))
        .with_portfolio(portfolio)
        .with_token(token, Token::system_user(APP, BUSINESS));
    for account in 0..accounts {
        world = world.with_account(Account::new(&account_id(account), BUSINESS, "Acme"));
        for n in (0..PER_ACCOUNT).filter(|_| registered) {
            let digits = digits(account, n);
            let id = format!("1{digits}");
            let number = Number::new(&id, &account_id(account), &digits, "Acme Support");
            world = world.with_number(number.registered("271828"));
        }
    }
    let options = Options {
        start: Timestamp::now(),
        pace: Pace::Follow { speed: 1.0 },
        review: ReviewPolicy::without_first_review(),
        ..Options::default()
    };
    let sandbox = Sandbox::from_world(options, world);
    for account in 0..accounts {
        // Somebody gets the messages, as on most accounts.
        assert!(sandbox.subscribe(&account_id(account), App::new("200000000000009", "Acme CRM")));
    }
    sandbox.inject(Fault { on: Match::any(), kind: FaultKind::Latency { ms: 50 } });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let graph_url = format!("http://{}", listener.local_addr().expect("bound"));
    let stop = CancellationToken::new();
    tokio::spawn(sandbox.clone().serve(listener, stop.clone()));
    (sandbox, graph_url, stop)
}

/// A control plane, a sandbox and a number of channels.
struct Fleet {
    plane: ControlPlane,
    client: Client,
    sandbox: Sandbox,
    graph_url: String,
    kubeconfig: PathBuf,
    /// Where the operator answers for its health.
    health: SocketAddr,
    accounts: usize,
    /// More flags for the operator.
    flags: Vec<String>,
    follows_pins: bool,
    operator: Option<Process>,
    /// Watched, and not listed again and again: lists of all channels would slow down what is measured.
    told: Told,
    stop: CancellationToken,
}

/// The conditions of each channel: type, status, reason.
type Told = Arc<Mutex<BTreeMap<String, Vec<[String; 3]>>>>;

impl Fleet {
    /// Numbers that are registered already, or none.
    async fn new(accounts: usize, registered: bool) -> Self {
        eprintln!("{} channels in {accounts} accounts", accounts * PER_ACCOUNT);
        let plane = ControlPlane::start(PlaneOptions::default()).await.expect("the control plane starts");
        let token = "EAAsandbox-bench";
        let (sandbox, graph_url, stop) = meta(accounts, registered, token).await;

        let client = plane.admin_client();
        let out = plane.kubectl(["create", "namespace", NAMESPACE]).await;
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let rendered = plane.helm_template(NAMESPACE, &json!({})).await;
        plane.apply_rendered(NAMESPACE, &rendered).await;
        plane.kubectl(["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).await;
        let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "acme-meta"}, "stringData": {"token": token}},
            {"apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppPortfolio", "metadata": {"name": "acme"},
             "spec": {"businessId": BUSINESS, "credentials": {"accessTokenSecretRef": {"name": "acme-meta", "key": "token"}}}}]});
        let out = plane.kubectl_with_input(["apply", "-n", NAMESPACE, "-f", "-"], &objects.to_string()).await;
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let kubeconfig = plane.service_account_kubeconfig(NAMESPACE, "whatsapp-operator").await;
        let health =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let told = Told::default();
        tokio::spawn(follow(channels(&client), told.clone(), stop.clone()));
        let mut fleet = Self {
            told,
            plane,
            client,
            sandbox,
            graph_url,
            kubeconfig,
            health,
            accounts,
            flags: Vec::new(),
            follows_pins: false,
            operator: None,
            stop,
        };
        fleet.start();
        fleet
    }

    fn channels(&self) -> Api<DynamicObject> {
        channels(&self.client)
    }

    fn start(&mut self) {
        let health = self.health.to_string();
        let mut command = Command::new(operator_binary());
        // As the chart's Deployment has it.
        command.env_clear().env(ALLOCATOR.0, ALLOCATOR.1).env("KUBECONFIG", &self.kubeconfig).args([
            "run",
            "--graph-url",
            &self.graph_url,
            "--health-listen",
            &health,
            "--log-level",
            "warn",
        ]);
        command.args(&self.flags);
        // One at a time has this address.
        self.operator = None;
        let log = self.plane.dir().join("operator.log");
        self.operator = Some(Process::spawn(command, log).expect("the operator starts"));
    }

    /// From exec to the first answer that the operator is ready, on a cluster without channels.
    async fn cold_start(&mut self, figures: &mut Figures) {
        let mut times = Vec::new();
        for _ in 0..10 {
            self.operator = None;
            let started = Instant::now();
            self.start();
            while !is_ready(self.health) {
                assert!(started.elapsed() < Duration::from_secs(60), "the operator does not become ready");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            times.push(started.elapsed().as_secs_f64() * 1_000.0);
        }
        figure(
            figures,
            "binary",
            "cold start, exec to /readyz, median",
            percentile(&mut times, 50),
            "ms",
            None,
        );
    }

    /// Each channel gets the Secret of a PIN that it follows, as one has that was registered by the operator.
    async fn follow_pins(&mut self) {
        self.follows_pins = true;
        let all = self.accounts * PER_ACCOUNT;
        let items: Vec<_> = (0..all)
            .map(|n| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("c{n:05}-pin")}, "stringData": {"pin": "271828"}}))
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
        let out = self.plane.kubectl_with_input(["create", "-n", NAMESPACE, "-f", "-"], &list).await;
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Creates every channel and returns when each was sent.
    async fn create(&self, range: std::ops::Range<usize>) -> BTreeMap<String, Instant> {
        let api = self.channels();
        stream::iter(range)
            .map(|n| {
                let api = api.clone();
                async move {
                    let (account, number) = (n / PER_ACCOUNT, n % PER_ACCOUNT);
                    let name = format!("c{n:05}");
                    let mut object: DynamicObject = serde_json::from_value(json!({
                        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
                        "metadata": {"name": name},
                        "spec": {"portfolioRef": {"name": "acme"}, "accountId": account_id(account),
                                 "phoneNumber": format!("+{}", digits(account, number)), "displayName": "Acme Support"}
                    }))
                    .expect("a channel");
                    if self.follows_pins {
                        let secret = json!({"name": format!("{name}-pin"), "key": "pin"});
                        object.data["spec"]["registration"] = json!({"pinSecretRef": secret});
                    }
                    let sent = Instant::now();
                    api.create(&PostParams::default(), &object).await.expect("the channel is accepted");
                    (name, sent)
                }
            })
            .buffer_unordered(16)
            .collect()
            .await
    }

    /// Until every channel is Ready and nothing is written any more.
    async fn settle(&self) {
        let all = self.accounts * PER_ACCOUNT;
        self.create(0..all).await;
        let deadline = Instant::now() + Duration::from_secs(1_500);
        loop {
            let ready = self.ready();
            eprintln!("  {ready} of {all} ready");
            if ready == all {
                break;
            }
            assert!(Instant::now() < deadline, "the fleet does not settle");
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        // Until the last of their events are out, and every account was looked at once more, which tells who is subscribed.
        tokio::time::sleep(Duration::from_secs(400)).await;
    }

    fn ready(&self) -> usize {
        self.with_condition("Ready", "True", None)
    }

    /// How many channels have this condition.
    fn with_condition(&self, kind: &str, status: &str, reason: Option<&str>) -> usize {
        let told = self.told.lock().expect("no panic");
        let has = |all: &&Vec<[String; 3]>| {
            all.iter().any(|[k, s, r]| k == kind && s == status && reason.is_none_or(|reason| r == reason))
        };
        told.values().filter(has).count()
    }

    /// The calls that a fleet at rest makes in the window, by their kind.
    #[allow(clippy::cast_precision_loss)]
    async fn at_rest(&self, figures: &mut Figures) -> BTreeMap<String, u64> {
        let window = window();
        let pid = self.operator.as_ref().expect("running").id();
        let (calls, mark, cpu) = (self.sandbox.counters(), self.plane.mark().await, cpu_seconds(pid));
        tokio::time::sleep(Duration::from_secs(window)).await;
        let made = self.calls_since(&calls);
        let writes = self.writes_since(mark).await as f64;
        figure(figures, AT_REST, "status writes", writes, "", Some(0.0));
        let asked = self.asked_since(mark).await as f64 * 3_600.0 / window as f64;
        let each = asked / (self.accounts * PER_ACCOUNT) as f64;
        figure(
            figures,
            AT_REST,
            "requests to the API server per channel and hour, from the window",
            each,
            "",
            None,
        );
        // A PIN's Secret is read once a day, and a page of the list shows a hundred channels. A pass of its own reads the object and
        // that Secret.
        let each = each + (1.0 + 0.01) / 24.0 + 2.0 * 3_600.0 / BACKSTOP.as_secs_f64();
        figure(figures, AT_REST, "the same with what comes once a day and once a week", each, "", Some(0.1));
        let lists = made.get("GET /{waba}/phone_numbers").copied().unwrap_or_default();
        assert!(lists > 0, "an operator at rest reads its accounts: {made:?}");
        let cpu = (cpu_seconds(pid) - cpu) / window as f64 * 100.0;
        figure(figures, AT_REST, "CPU", cpu, "% of a core", Some(0.1));
        made
    }

    /// The calls of an hour at rest: those of the window, and those that only come once in an hour.
    #[allow(clippy::cast_precision_loss)]
    fn calls_at_rest(
        &self,
        figures: &mut Figures,
        at_rest: &BTreeMap<String, u64>,
        first: &BTreeMap<String, u64>,
    ) {
        let per_hour = 3_600.0 / window() as f64;
        let mut all = 0.0;
        for (call, count) in at_rest {
            let calls = *count as f64 * per_hour;
            figure(figures, AT_REST, &format!("calls in an hour, from the window: {call}"), calls, "", None);
            all += calls;
        }
        for (call, count) in first.iter().filter(|(call, _)| !at_rest.contains_key(*call)) {
            figure(figures, AT_REST, &format!("calls once an hour: {call}"), *count as f64, "", None);
            all += *count as f64;
        }
        let each = all / (self.accounts * PER_ACCOUNT) as f64;
        figure(figures, AT_REST, "Graph calls per channel and hour", each, "", Some(0.12));
    }

    fn memory(&self, figures: &mut Figures, scenario: &str, goal: f64) {
        let pid = self.operator.as_ref().expect("running").id();
        figure(figures, scenario, "RSS", memory_mib(pid, "VmRSS:"), "MiB", Some(goal));
        figure(figures, scenario, "RSS, of that heap and stacks", memory_mib(pid, "RssAnon:"), "MiB", None);
    }

    #[allow(clippy::cast_precision_loss)]
    async fn restart(&mut self, figures: &mut Figures, scenario: &str, goal: f64) -> BTreeMap<String, u64> {
        self.operator = None;
        let (calls, mark) = (self.sandbox.counters(), self.plane.mark().await);
        let started = Instant::now();
        self.start();
        while !is_ready(self.health) {
            assert!(started.elapsed() < Duration::from_secs(120), "the operator does not become ready");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let filled = started.elapsed().as_secs_f64();
        figure(figures, scenario, "until every watch is filled", filled, "s", Some(10.0));
        tokio::time::sleep(Duration::from_secs(120)).await;
        let made = self.calls_since(&calls);
        eprintln!("  calls after the restart: {made:?}");
        let all = made.values().sum::<u64>() as f64;
        figure(figures, scenario, "Graph calls", all, "", Some(goal));
        figure(figures, scenario, "writes", self.writes_since(mark).await as f64, "", Some(0.0));
        made
    }

    /// From the start of the operator until every channel that was there before is Ready. Then until all are at rest.
    async fn adopt(&mut self, figures: &mut Figures) {
        let all = self.accounts * PER_ACCOUNT;
        self.operator = None;
        self.create(0..all).await;
        let (started, mark) = (Instant::now(), self.plane.mark().await);
        self.start();
        loop {
            let ready = self.ready();
            eprintln!("  {ready} of {all} ready after {:.0} s", started.elapsed().as_secs_f64());
            if ready == all {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(1_500), "the fleet does not settle");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let took = started.elapsed().as_secs_f64();
        self.print_asked(mark).await;
        figure(figures, "10,000 existing channels", "cold start until all are Ready", took, "s", Some(60.0));
        // Until the last of their events are out, and every account was looked at once more.
        tokio::time::sleep(Duration::from_secs(400)).await;
    }

    /// All channels are created and deleted three times. What a first few had the process load stays and is not counted.
    #[allow(clippy::cast_precision_loss)]
    async fn churn(&self, figures: &mut Figures) {
        let pid = self.operator.as_ref().expect("running").id();
        self.come_and_go(PER_ACCOUNT).await;
        let (before, heap) = (memory_mib(pid, "VmRSS:"), memory_mib(pid, "RssAnon:"));
        let (all, mut most) = (self.accounts * PER_ACCOUNT, 0.0_f64);
        for _ in 0..3 {
            most = most.max(self.come_and_go(all).await);
        }
        let scenario = format!("{} channels created and deleted", 3 * all);
        let scenario = scenario.as_str();
        figure(figures, scenario, "RSS before", before, "MiB", None);
        figure(figures, scenario, "RSS while all were there", most, "MiB", None);
        figure(figures, scenario, "growth of RSS", memory_mib(pid, "VmRSS:") - before, "MiB", Some(1.0));
        let growth = memory_mib(pid, "RssAnon:") - heap;
        figure(figures, scenario, "growth of RSS, of that heap and stacks", growth, "MiB", None);
    }

    /// So many channels are created and, once they are Ready, deleted. Gives back the memory before that.
    async fn come_and_go(&self, count: usize) -> f64 {
        self.create(0..count).await;
        let begun = Instant::now();
        while self.ready() < count {
            assert!(begun.elapsed() < Duration::from_secs(1_500), "the channels do not get ready");
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        let memory = memory_mib(self.operator.as_ref().expect("running").id(), "VmRSS:");
        let api = self.channels();
        while !api.list(&ListParams::default().limit(1)).await.expect("channels are listed").items.is_empty()
        {
            let (delete, all) = (DeleteParams::default(), ListParams::default());
            api.delete_collection(&delete, &all).await.expect("they are deleted");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // Longer than the pause of a number whose channel is gone, and than what was begun may take.
        tokio::time::sleep(Duration::from_secs(90)).await;
        // What is followed is told of objects that are there alone.
        self.told.lock().expect("no panic").clear();
        memory
    }

    /// What the API server alone needs on this machine for as many reads and writes of a status as an adoption takes:
    /// sixteen at a time, and nobody else works. A tenth of them are done.
    #[allow(clippy::cast_precision_loss)]
    async fn yardstick(&mut self, figures: &mut Figures) {
        self.operator = None;
        let all = self.accounts * PER_ACCOUNT;
        let api = self.channels();
        let params = PatchParams::apply("whatsapp-operator").force();
        let started = Instant::now();
        let writes = (0..all / 10).map(|n| {
            let (api, params) = (&api, &params);
            async move {
                let name = format!("c{n:05}");
                let channel = api.get(&name).await.expect("the channel is there");
                let mut status = channel.data["status"].clone();
                status["conditions"][0]["message"] =
                    json!("another message of about the same length as before");
                let body = json!({"apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
                    "metadata": {"resourceVersion": channel.metadata.resource_version}, "status": status});
                api.patch_status(&name, params, &Patch::Apply(&body)).await.expect("it is written");
            }
        });
        stream::iter(writes).buffer_unordered(16).collect::<Vec<()>>().await;
        let took = started.elapsed().as_secs_f64() * 10.0;
        let what = "of that the API server alone: a read and a status write of each, 16 at a time";
        figure(figures, "10,000 existing channels", what, took, "s", None);
    }

    /// The Secret of the portfolio of all channels vanishes, and comes back.
    #[allow(clippy::cast_precision_loss)]
    async fn crowd(&self, figures: &mut Figures) {
        let pid = self.operator.as_ref().expect("running").id();
        let all = self.accounts * PER_ACCOUNT;
        let scenario = "10,000 under a portfolio whose Secret vanishes";
        // The token is dead as well, or it would go on to serve.
        let (before, mark) = (memory_mib(pid, "VmRSS:"), self.plane.mark().await);
        let token = "EAAsandbox-bench";
        self.sandbox.revoke_token(token);
        self.plane.kubectl(["delete", "secret", "acme-meta", "-n", NAMESPACE]).await;
        let mut most: f64 = 0.0;
        for (what, status) in [("vanished", "False"), ("is back", "True")] {
            if status == "True" {
                let token = "EAAsandbox-bench-second";
                self.sandbox.add_token(token, Token::system_user(APP, BUSINESS));
                let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "acme-meta"},
                    "stringData": {"token": token}});
                let out = self
                    .plane
                    .kubectl_with_input(["apply", "-n", NAMESPACE, "-f", "-"], &secret.to_string())
                    .await;
                assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            }
            let (begun, phase) = (Instant::now(), self.plane.mark().await);
            loop {
                tokio::time::sleep(Duration::from_secs(3)).await;
                most = most.max(memory_mib(pid, "VmRSS:"));
                let told = self.with_condition("PortfolioReady", status, None);
                eprintln!("  {told} of {all} told that it {what}");
                if told == all {
                    break;
                }
                assert!(begun.elapsed() < Duration::from_secs(900), "the channels are not told");
            }
            let took = begun.elapsed().as_secs_f64();
            figure(figures, scenario, &format!("{what}: until all say so"), took, "s", None);
            self.print_asked(phase).await;
            let mut writes = self.audit_since(phase).await;
            writes.retain(|e| e.is_write() && e.resource == "whatsappchannels");
            let peak = most_in_a_second(writes.iter().map(|e| e.at));
            figure(
                figures,
                scenario,
                &format!("{what}: most status writes in a second"),
                peak,
                "",
                Some(200.0),
            );
        }
        let written = self.audit_since(mark).await;
        let events = written.iter().filter(|e| e.is_write() && e.resource == "events").count();
        let listed = self.plane.kubectl(["get", "events", "-n", NAMESPACE, "-o",
            "jsonpath={range .items[*]}{.involvedObject.kind}{.regarding.kind} {.reason} {.type}{\"\\n\"}{end}"]).await;
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for line in String::from_utf8_lossy(&listed.stdout).lines() {
            *kinds.entry(line.to_owned()).or_default() += 1;
        }
        eprintln!("  events of all times: {kinds:?}");
        figure(figures, scenario, "events", events as f64, "", Some(100.0));
        figure(figures, scenario, "growth of RSS at its most", most - before, "MiB", Some(5.0));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let after = memory_mib(pid, "VmRSS:") - before;
        figure(figures, scenario, "growth of RSS, a minute after the recovery", after, "MiB", Some(1.0));
    }

    /// From a change at Meta until the status tells it.
    async fn drift(&self, figures: &mut Figures) {
        let all = self.accounts * PER_ACCOUNT;
        self.settle().await;
        // What was written is looked at once more before it rests.
        tokio::time::sleep(Duration::from_secs(120)).await;
        let changes = (0..100_usize).map(|n| async move {
            // Not in step with the lists.
            tokio::time::sleep(Duration::from_millis(u64::try_from(n).expect("few") * 1_170)).await;
            let channel = n * 37 % all;
            let (account, number) = (channel / PER_ACCOUNT, channel % PER_ACCOUNT);
            let changed = Instant::now();
            let id = format!("1{}", digits(account, number));
            assert!(self.sandbox.set_field(&id, "quality_rating", json!("YELLOW")));
            let api = self.channels();
            loop {
                let channel = api.get(&format!("c{channel:05}")).await.expect("the channel is there");
                if channel.data["status"]["facts"]["quality"] == "YELLOW" {
                    return changed.elapsed().as_secs_f64();
                }
                assert!(changed.elapsed() < Duration::from_secs(300), "the change is not noticed");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        let mut times: Vec<f64> = stream::iter(changes).buffer_unordered(100).collect().await;
        let scenario = "change at Meta to status, --list-freshness 50s";
        figure(figures, scenario, "p50", percentile(&mut times, 50), "s", None);
        figure(figures, scenario, "p99", percentile(&mut times, 99), "s", Some(60.0));
    }

    async fn audit_since(&self, mark: control_plane::Mark) -> Vec<control_plane::AuditEntry> {
        let mut audit = self.plane.audit_since(mark).await;
        audit.retain(|e| e.is_from_service_account(NAMESPACE, "whatsapp-operator"));
        audit
    }

    /// What the operator asked of the API server since then, by kind.
    async fn print_asked(&self, mark: control_plane::Mark) {
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for e in self.audit_since(mark).await {
            *kinds.entry(format!("{} {} {} {}", e.verb, e.resource, e.subresource, e.code)).or_default() += 1;
        }
        eprintln!("  asked of the API server: {kinds:?}");
    }

    async fn asked_since(&self, mark: control_plane::Mark) -> usize {
        self.audit_since(mark).await.len()
    }

    /// From a create that is sent to the first status, alone and in a burst.
    async fn first_status(&self, figures: &mut Figures) {
        let mut alone = Vec::new();
        for n in 0..20 {
            alone.extend(self.first_status_of(n..n + 1).await);
        }
        figure(figures, "apply to first status, alone", "p50", percentile(&mut alone, 50), "ms", None);
        figure(figures, "apply to first status, alone", "p99", percentile(&mut alone, 99), "ms", None);
        let mut burst = self.first_status_of(20..1_020).await;
        figure(figures, BURST, "p50", percentile(&mut burst, 50), "ms", None);
        figure(figures, BURST, "p99", percentile(&mut burst, 99), "ms", Some(1_000.0));
    }

    /// What the API server alone needs on this machine for such a burst: the same creates, and the status of each is
    /// written as soon as it is there, by whoever knows it already. Nobody else works.
    async fn burst_yardstick(&mut self, figures: &mut Figures) {
        self.operator = None;
        let api = self.channels();
        let written = api.get("c01019").await.expect("the channel is there").data["status"].clone();
        let params = PatchParams::apply("whatsapp-operator").force();
        let created = stream::iter(1_100..2_100).map(|n| self.create(n..n + 1)).buffer_unordered(16);
        let seen = created.map(|created| {
            let (api, params, status) = (&api, &params, &written);
            async move {
                let (name, sent) = created.first_key_value().expect("one");
                let body = json!({"apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
                    "status": status});
                api.patch_status(name, params, &Patch::Apply(&body)).await.expect("it is written");
                sent.elapsed().as_secs_f64() * 1_000.0
            }
        });
        let mut seen = seen.buffer_unordered(1_000).collect::<Vec<f64>>().await;
        for (what, share) in [("p50", 50), ("p99", 99)] {
            let what = format!("of that the API server alone: a create and a status write of each, {what}");
            let took = percentile(&mut seen, share);
            figure(figures, BURST, &what, took, "ms", None);
        }
    }

    async fn first_status_of(&self, range: std::ops::Range<usize>) -> Vec<f64> {
        let api = self.channels();
        let expected = range.len();
        let seen =
            tokio::spawn(first_seen(api, range.clone().map(|n| format!("c{n:05}")).collect(), expected));
        tokio::time::sleep(Duration::from_millis(200)).await;
        let created = self.create(range).await;
        let seen = seen.await.expect("the watch ends");
        created
            .iter()
            .map(|(name, at)| seen[name].saturating_duration_since(*at).as_secs_f64() * 1_000.0)
            .collect()
    }

    /// From a consent on a healthy account to its code, while every channel of others waits for Meta, and while they are served.
    #[allow(clippy::cast_precision_loss)]
    async fn fairness(&self, figures: &mut Figures) {
        let number = |account: usize, n: usize| {
            let digits = digits(account, n);
            Number::new(&format!("1{digits}"), &account_id(account), &digits, "Acme Support")
        };
        for account in 0..FAIR_SLOW {
            for n in 0..PER_ACCOUNT {
                self.sandbox.add_number(number(account, n).registered("271828"));
            }
        }
        for n in 0..2 * FAIR_ASKED {
            self.sandbox.add_number(number(FAIR_SLOW, n));
        }
        let others = FAIR_SLOW * PER_ACCOUNT;
        let healthy = others..others + 2 * FAIR_ASKED;
        self.create(healthy.clone()).await;
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.with_condition("NumberVerified", "False", Some("CodeNeeded")) < healthy.len() {
            assert!(Instant::now() < deadline, "the healthy channels do not get to their consent");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        for account in 0..FAIR_SLOW {
            let on = Match { account: Some(account_id(account)), ..Match::on("GET", "*") };
            self.sandbox.inject(Fault { on, kind: FaultKind::Latency { ms: 19_000 } });
        }
        let begun = Instant::now();
        self.create(0..others).await;
        let scenario = "consent to code, 300 others wait for slow accounts";
        let (mut first, mut later) = (Vec::new(), Vec::new());
        for n in healthy.clone() {
            let took = self.code(n).await;
            let nth = n - healthy.start + 1;
            if nth <= FAIR_ASKED {
                first.push(took);
                // Twenty in half of the time that an answer of the others takes.
                tokio::time::sleep(Duration::from_millis(400)).await;
            } else {
                later.push(took);
                // Twenty in a minute, in which the others are answered and ask again.
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
            if nth == FAIR_ASKED {
                let waiting = others - self.ready();
                let since = begun.elapsed().as_secs_f64();
                figure(
                    figures,
                    scenario,
                    "since the others were created, at the twentieth",
                    since,
                    "s",
                    Some(19.0),
                );
                figure(
                    figures,
                    scenario,
                    "of the others, served by then",
                    (others - waiting) as f64,
                    "",
                    Some(0.0),
                );
            }
        }
        for (when, times) in [("while none is answered", &mut first), ("while they are answered", &mut later)]
        {
            figure(figures, scenario, &format!("{when}, p50"), percentile(times, 50), "ms", None);
            figure(
                figures,
                scenario,
                &format!("{when}, longest"),
                percentile(times, 100),
                "ms",
                Some(3_000.0),
            );
        }
    }

    /// Milliseconds from a consent to its code.
    async fn code(&self, n: usize) -> f64 {
        let asked = Instant::now();
        let consent = json!({"metadata": {"annotations": {"whatsapp-operator.dev/send-code": "one"}}});
        let api = self.channels();
        let merge = Patch::Merge(consent);
        api.patch(&format!("c{n:05}"), &PatchParams::default(), &merge).await.expect("the consent is taken");
        let wanted = digits(n / PER_ACCOUNT, n % PER_ACCOUNT);
        let is_sent = |what: &What| matches!(what, What::CodeSent { digits } if *digits == wanted);
        while !self.sandbox.effects().iter().any(|effect| is_sent(&effect.what)) {
            assert!(asked.elapsed() < Duration::from_secs(180), "the consent is not served");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        asked.elapsed().as_secs_f64() * 1_000.0
    }

    fn calls_since(&self, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let made = |(call, count): (String, u64)| {
            let made = count - before.get(&call).copied().unwrap_or_default();
            (made > 0).then_some((call, made))
        };
        self.sandbox.counters().into_iter().filter_map(made).collect()
    }

    async fn writes_since(&self, mark: control_plane::Mark) -> usize {
        let audit = self.audit_since(mark).await;
        let writes: Vec<_> = audit.iter().filter(|e| e.is_write()).collect();
        for write in writes.iter().take(10) {
            eprintln!("  {write:?}");
        }
        writes.len()
    }

    async fn stop(mut self) {
        self.operator = None;
        self.stop.cancel();
        self.plane.stop().await;
    }
}

fn channels(client: &Client) -> Api<DynamicObject> {
    let resource = ApiResource {
        group: "whatsapp-operator.dev".into(),
        version: "v1alpha1".into(),
        api_version: "whatsapp-operator.dev/v1alpha1".into(),
        kind: "WhatsAppChannel".into(),
        plural: "whatsappchannels".into(),
    };
    Api::namespaced_with(client.clone(), NAMESPACE, &resource)
}

/// The most that came within any second.
#[allow(clippy::cast_precision_loss)]
fn most_in_a_second(times: impl Iterator<Item = Timestamp>) -> f64 {
    let mut times: Vec<_> = times.map(Timestamp::as_millisecond).collect();
    times.sort_unstable();
    let (mut first, mut most) = (0, 0);
    for (n, at) in times.iter().enumerate() {
        while *at - times[first] >= 1_000 {
            first += 1;
        }
        most = most.max(n + 1 - first);
    }
    most as f64
}

/// Keeps `told` as the API server has it.
async fn follow(api: Api<DynamicObject>, told: Told, stop: CancellationToken) {
    use kube::runtime::{WatchStreamExt, watcher};
    let stream = watcher(api, watcher::Config::default()).default_backoff().applied_objects();
    let mut stream = std::pin::pin!(stream.take_until(stop.cancelled_owned()));
    while let Some(channel) = stream.next().await {
        let Ok(channel) = channel else { continue };
        let all = channel.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let word = |c: &serde_json::Value, name: &str| c[name].as_str().unwrap_or_default().to_owned();
        let conditions = all.iter().map(|c| ["type", "status", "reason"].map(|name| word(c, name))).collect();
        told.lock().expect("no panic").insert(channel.metadata.name.unwrap_or_default(), conditions);
    }
}

/// How many seconds a fleet at rest is watched.
fn window() -> u64 {
    std::env::var("FLEET_WINDOW").ok().and_then(|text| text.parse().ok()).unwrap_or(2 * 345)
}

/// Whether whoever listens there says that it is ready.
fn is_ready(health: SocketAddr) -> bool {
    ask(health, "/readyz").is_ok_and(|reply| reply.starts_with("HTTP/1.1 200"))
}

fn ask(health: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(health)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

/// When each of these channels was first seen with a status.
async fn first_seen(
    api: Api<DynamicObject>,
    mut names: Vec<String>,
    expected: usize,
) -> BTreeMap<String, Instant> {
    use kube::runtime::{WatchStreamExt, watcher};
    let mut seen = BTreeMap::new();
    let stream = watcher(api, watcher::Config::default()).default_backoff().applied_objects();
    let mut stream = std::pin::pin!(stream);
    while let Some(Ok(channel)) = stream.next().await {
        let name = channel.metadata.name.clone().unwrap_or_default();
        if channel.data["status"]["conditions"].is_array()
            && let Some(at) = names.iter().position(|n| *n == name)
        {
            names.swap_remove(at);
            seen.insert(name, Instant::now());
            if seen.len() == expected {
                break;
            }
        }
    }
    seen
}

fn account_id(n: usize) -> String {
    format!("3{n:014}")
}

fn digits(account: usize, n: usize) -> String {
    format!("55119{:08}", account * PER_ACCOUNT + n)
}

#[allow(clippy::cast_precision_loss)]
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the operator runs");
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

fn memory_mib(pid: u32, line: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the operator runs");
    let kib =
        status.lines().find_map(|l| l.strip_prefix(line)?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    // One that has ended has no memory.
    kib.expect("the operator runs") / 1_024.0
}

fn percentile(values: &mut [f64], p: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    *values.get((values.len() * p / 100).min(values.len().saturating_sub(1))).expect("something was measured")
}
