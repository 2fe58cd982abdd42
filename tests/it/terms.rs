//! The operator in this process, told to work and to stop again and again: what there is stays known, what is worked on is of
//! one term, and nothing is done twice.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use whatsapp_operator::engine::limits::Limits;
use whatsapp_operator::meta::client::Meta;
use whatsapp_operator::meta::port::{Clock, SystemClock};
use whatsapp_operator::meta::settings::Settings;
use whatsapp_operator::sandbox::{InitialStatus, Number, Switches};
use whatsapp_operator::telemetry::{health::Health, metrics::Metrics};
use whatsapp_operator::{cluster, controller, run::may_work::MayWork};

use crate::rig::{ACCOUNT, Rig, condition};

const NUMBER: &str = "+5511914000001";
const DIGITS: &str = "5511914000001";

struct Replica {
    told: watch::Sender<MayWork>,
    health: Health,
    stop: CancellationToken,
    running: JoinHandle<Result<(), controller::Error>>,
}

impl Replica {
    /// With the chart's ServiceAccount; it is not told to work yet.
    async fn start(rig: &Rig) -> Self {
        Self::start_by(rig, Arc::new(SystemClock), Limits::default()).await
    }

    /// The same by a clock of its own.
    async fn start_by<C: Clock>(rig: &Rig, clock: Arc<C>, limits: Limits) -> Self {
        let path = rig.plane.service_account_kubeconfig(&rig.namespace, rig.account_name()).await;
        let kubeconfig = Kubeconfig::read_from(path).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let client = cluster::client(config.expect("a configuration")).expect("a client");
        let settings = Settings {
            base_url: rig.graph_url.parse().expect("an address"),
            ..Settings::new(limits.clone()).expect("settings")
        };
        let meta = Meta::new(settings, clock.clone()).expect("a client of Meta");
        let (told, may_work) = watch::channel(MayWork::No);
        let (health, stop) = (Health::waiting_for([]), CancellationToken::new());
        let options = controller::Options {
            own_namespace: None,
            watched: controller::Watched {
                namespaces: vec![rig.namespace.clone()],
                ..controller::Watched::default()
            },
            limits,
            concurrency: 4,
            instance: None,
            may_work,
            election: None,
            health: health.clone(),
            metrics: Arc::new(Metrics::default()),
        };
        let running = tokio::spawn(controller::run(client, options, meta, clock, stop.clone()));
        Self { told, health, stop, running }
    }

    async fn until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.health.missing().is_empty() {
            assert!(Instant::now() < deadline, "{:?}", self.health.missing());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn end(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(60), self.running).await;
        assert!(
            ended.is_ok_and(|ended| ended.is_ok_and(|ended| ended.is_ok())),
            "it ends when it is asked to"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_told_to_work_knows_everything_and_does_nothing() {
    let rig = Rig::with_portfolio("standby").await;
    let standby = Replica::start(&rig).await;
    standby.until_ready().await;
    let mark = rig.plane.mark().await;
    rig.channel("support", NUMBER, json!({})).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let writes = rig.writes_since(mark).await;
    assert!(writes.is_empty() && rig.sandbox.calls().is_empty(), "{writes:#?}");

    // Everything is in its caches already.
    let begun = Instant::now();
    standby.told.send_replace(MayWork::Always);
    rig.until("support", "a first status", Duration::from_secs(10), |s| s["observedGeneration"] == 1).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "the first status took {:?}", begun.elapsed());
    standby.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_is_started_and_stopped_many_times_and_nothing_is_done_twice() {
    let rig = Rig::with_portfolio("terms").await;
    // A term that ends before a call left costs this pause each time.
    let limits = Limits { not_sent_pause: Duration::from_secs(2), ..Limits::default() };
    let replica = Replica::start_by(&rig, Arc::new(SystemClock), limits).await;
    let told = replica.told.clone();
    let over = CancellationToken::new();
    let turning = tokio::spawn({
        let over = over.clone();
        async move {
            let mut terms = 0;
            while !over.is_cancelled() {
                terms += 1;
                told.send_replace(MayWork::Always);
                // Long enough for a step, and cut off in the middle of many a pass.
                tokio::time::sleep(Duration::from_millis(300 + 170 * (terms % 9))).await;
                told.send_replace(MayWork::No);
                tokio::time::sleep(Duration::from_millis(40 * (terms % 5))).await;
            }
            terms
        }
    });
    rig.channel("support", NUMBER, json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate("support", "send-code", "one").await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    rig.type_code("support", NUMBER).await;
    rig.until_condition("support", "Ready", "True", None).await;
    // Twenty terms and more, also after there is nothing to do.
    tokio::time::sleep(Duration::from_secs(10)).await;
    over.cancel();
    let terms = turning.await.expect("it ends");
    assert!(terms >= 15, "{terms} terms");
    let mut effects = rig.effects_on(DIGITS);
    effects.sort_unstable();
    assert_eq!(effects, ["added", "code", "registered", "verified"]);

    // The last term is over once what it began has ended.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (mark, calls) = (rig.plane.mark().await, rig.sandbox.calls().len());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(rig.sandbox.calls().len(), calls, "nobody works");
    assert!(rig.writes_since(mark).await.is_empty());
    assert!(replica.health.missing().is_empty(), "it watches on: {:?}", replica.health.missing());
    replica.end().await;
}

/// A clock that is so many seconds ahead.
#[derive(Default)]
struct Jumping(AtomicI64);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// A clock that fails once it is told to, in every task but one.
#[derive(Default)]
struct Failing {
    fails: AtomicBool,
    spared: OnceLock<tokio::task::Id>,
}

impl Clock for Failing {
    fn now(&self) -> Timestamp {
        let is_spared = tokio::task::try_id() == self.spared.get().copied();
        assert!(is_spared || !self.fails.load(Ordering::Relaxed), "the clock fails");
        Timestamp::now()
    }
}

/// A part that is gone leaves the others working on what nobody tells them of: a new process is better than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_fails_ends_the_operator_and_is_named() {
    let rig = Rig::with_portfolio("fallen").await;
    for while_told in [MayWork::No, MayWork::Always] {
        let clock = Arc::new(Failing::default());
        let replica = Replica::start_by(&rig, clock.clone(), Limits::default()).await;
        clock.spared.set(replica.running.id()).expect("once");
        replica.until_ready().await;
        clock.fails.store(true, Ordering::Relaxed);
        replica.told.send_replace(while_told);
        if !while_told.holds() {
            rig.channel("support", NUMBER, json!({})).await;
        }
        let ended = tokio::time::timeout(Duration::from_secs(60), replica.running).await;
        let Ok(Ok(Err(error))) = ended else { panic!("told {while_told:?}: {ended:?}") };
        // Which of them asks the clock first is not said.
        let told = error.to_string();
        let name = told.strip_prefix("the ").and_then(|told| told.strip_suffix(" ended by itself"));
        assert!(name.is_some(), "told {while_told:?}: {told}");
    }
    assert!(rig.sandbox.calls().is_empty());
}

/// Does what a person does for a channel whose status asks for a code, until it is ready.
async fn help(rig: &Rig, name: &str, number: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut asked, mut typed) = (0, None);
    loop {
        let status = rig.get(name).await["status"].clone();
        if condition(&status, "Ready").is_some_and(|ready| ready["status"] == "True") {
            return;
        }
        let verified = condition(&status, "NumberVerified").cloned().unwrap_or_default();
        let delivered = rig.sandbox.delivered_code(number.trim_start_matches('+'));
        match verified["reason"].as_str() {
            Some("CodeAwaited") if typed != delivered => {
                rig.type_code(name, number).await;
                typed = delivered;
            }
            Some("CodeNeeded" | "CodeExpired") if asked < 2 => {
                asked += 1;
                rig.annotate(name, "send-code", &format!("help-{asked}")).await;
                // What was asked for shows with the next status.
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
            _ => {}
        }
        assert!(Instant::now() < deadline, "{name} is not ready: {status:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_an_hour_and_back_stops_nothing_and_repeats_nothing() {
    let rig = Rig::with_portfolio("jumping").await;
    // One that shows CONNECTED before it is registered has a wait of its own.
    let initial_status = InitialStatus::word("PENDING");
    rig.sandbox.set_switches(Switches { initial_status, ..Switches::default() });
    let number = |n: usize| format!("+551191400001{n}");
    let digits = |n: usize| format!("551191400001{n}");
    let resting = "100000000000777";
    rig.sandbox.add_number(Number::new(resting, ACCOUNT, &digits(0), "Acme Support").registered("271828"));
    let clock = Arc::new(Jumping::default());
    let limits = Limits { fresh_list: Duration::from_secs(2), ..Limits::default() };
    let replica = Replica::start_by(&rig, clock.clone(), limits).await;
    replica.until_ready().await;
    replica.told.send_replace(MayWork::Always);
    let account = json!({"accountId": ACCOUNT});
    rig.channel("resting", &number(0), account.clone()).await;
    rig.until_condition("resting", "Ready", "True", None).await;
    rig.channel("waiting", &number(1), account.clone()).await;
    rig.until_condition("waiting", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate("waiting", "send-code", "one").await;
    rig.until_condition("waiting", "NumberVerified", "False", Some("CodeAwaited")).await;

    rig.channel("asking", &number(2), account.clone()).await;
    rig.until_condition("asking", "NumberVerified", "False", Some("CodeNeeded")).await;
    let sees_at_meta = async |quality: &str| {
        assert!(rig.sandbox.set_field(resting, "quality_rating", json!(quality)));
        let is_seen = |s: &Value| s["facts"]["quality"] == quality;
        rig.until("resting", "what changed at Meta", Duration::from_secs(30), is_seen).await;
        assert!(replica.health.missing().is_empty(), "{:?}", replica.health.missing());
    };

    clock.0.store(3_600, Ordering::Relaxed);
    sees_at_meta("RED").await;
    rig.sandbox
        .add_number(Number::new("100000000000778", ACCOUNT, &digits(3), "Acme Support").registered("271828"));
    rig.channel("ahead", &number(3), account.clone()).await;
    rig.until_condition("ahead", "Ready", "True", None).await;
    // Nobody can tell this from a consent that was given an hour ago, so it is told and not done.
    rig.annotate("asking", "send-code", "too early").await;
    let is_told = |s: &Value| {
        let refused = s["memory"]["consents"]["sendCode"]["refused"].as_str();
        refused.is_some_and(|why| why.contains("the operator's clock is wrong"))
    };
    rig.until("asking", "why it is not done", Duration::from_secs(30), is_told).await;

    for (name, n, ahead, quality) in [("behind", 4, -3_600, "YELLOW"), ("right", 5, 0, "GREEN")] {
        clock.0.store(ahead, Ordering::Relaxed);
        sees_at_meta(quality).await;
        rig.channel(name, &number(n), account.clone()).await;
        help(&rig, name, &number(n)).await;
        assert_eq!(rig.effects_on(&digits(n)), ["added", "code", "verified", "registered"], "{name}");
    }
    help(&rig, "asking", &number(2)).await;
    assert_eq!(rig.effects_on(&digits(2)), ["added", "code", "verified", "registered"]);
    // By the clock that was ahead its code was too old, so a person may have to ask for another.
    help(&rig, "waiting", &number(1)).await;
    let effects = rig.effects_on(&digits(1));
    let count = |what: &str| effects.iter().filter(|effect| **effect == what).count();
    assert_eq!((count("added"), count("registered")), (1, 1), "{effects:?}");
    assert!(count("code") <= 2 && count("verified") <= 2, "{effects:?}");
    replica.end().await;
}
