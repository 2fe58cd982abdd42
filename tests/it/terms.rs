//! The operator in this process, told to work and to stop again and again: what there is stays known, what is worked on is of
//! one term, and nothing is done twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use whatsapp_operator::engine::limits::Limits;
use whatsapp_operator::meta::client::Meta;
use whatsapp_operator::meta::port::SystemClock;
use whatsapp_operator::meta::settings::Settings;
use whatsapp_operator::telemetry::{health::Health, metrics::Metrics};
use whatsapp_operator::{cluster, controller, run::may_work::MayWork};

use crate::rig::Rig;

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
        let path = rig.plane.service_account_kubeconfig(&rig.namespace, rig.account_name()).await;
        let kubeconfig = Kubeconfig::read_from(path).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let client = cluster::client(config.expect("a configuration")).expect("a client");
        let limits = Limits::default();
        let settings = Settings {
            base_url: rig.graph_url.parse().expect("an address"),
            ..Settings::new(limits.clone()).expect("settings")
        };
        let meta = Meta::new(settings, Arc::new(SystemClock)).expect("a client of Meta");
        let (told, may_work) = watch::channel(MayWork::No);
        let (health, stop) = (Health::waiting_for([]), CancellationToken::new());
        let options = controller::Options {
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
        let running =
            tokio::spawn(controller::run(client, options, meta, Arc::new(SystemClock), stop.clone()));
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
    let replica = Replica::start(&rig).await;
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
