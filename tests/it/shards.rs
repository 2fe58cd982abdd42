//! Several operators that share a cluster by labels: each works on what carries its own, and nobody on the rest.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::{Value, json};

use crate::control_plane::Process;
use crate::lead::Replica;
use crate::rig::{Rig, free_address, message};

const LABEL: &str = "sharding.whatsapp-operator.dev/key";
const NUMBERS: [&str; 3] = ["+5511918000002", "+5511918000003", "+5511918000004"];

/// An operator of one shard, ready.
async fn shard(rig: &mut Rig, name: &str) -> Process {
    let health = free_address();
    let (listen, selector) = (health.to_string(), format!("{LABEL}={name}"));
    let process =
        rig.spawn_operator(&["--health-listen", &listen, "--watch-label-selector", &selector]).await;
    rig.until_serving(health).await;
    process
}

async fn label(rig: &Rig, kind: &str, name: &str, shard: &str) {
    rig.merge(kind, name, &json!({"metadata": {"labels": {LABEL: shard}}})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operator_works_on_what_carries_its_labels_and_on_what_is_moved_to_it() {
    let mut rig = Rig::new("shards").await;
    for (at, name) in ["a", "b"].into_iter().enumerate() {
        rig.secret(&format!("{name}-meta"), json!({"token": rig.token})).await;
        rig.portfolio(name, json!({})).await;
        label(&rig, "wap", name, name).await;
        rig.channel(name, NUMBERS[at], json!({"portfolioRef": {"name": name}})).await;
        label(&rig, "wac", name, name).await;
    }
    // One that nobody watches, and one whose portfolio its operator does not see.
    rig.channel("nobody", NUMBERS[2], json!({"portfolioRef": {"name": "a"}})).await;
    rig.channel("astray", NUMBERS[2], json!({"portfolioRef": {"name": "a"}})).await;
    label(&rig, "wac", "astray", "b").await;

    let mut first = shard(&mut rig, "a").await;
    rig.onboard("a", NUMBERS[0]).await;
    let waits = rig.get("b").await;
    assert_eq!(waits["status"]["observedGeneration"], -1, "nobody of its shard runs: {waits:#}");
    let second = shard(&mut rig, "b").await;
    rig.onboard("b", NUMBERS[1]).await;
    let astray = rig.until_condition("astray", "Ready", "False", Some("PortfolioNotUsable")).await;
    let told = message(&astray, "Ready");
    assert!(told.contains(&format!("{LABEL}=b")), "{told}");
    assert_eq!(rig.get("nobody").await["status"]["observedGeneration"], -1);

    // Moved as the page says: first the portfolio, then its channels. What was done is not done again.
    label(&rig, "wap", "a", "b").await;
    label(&rig, "wac", "a", "b").await;
    first.kill_nine();
    first.wait(Duration::from_secs(10)).await;
    rig.annotate("a", "reconcile", "moved").await;
    let moved = rig
        .until("a", "the answer of the other operator", Duration::from_secs(90), |status| {
            status["memory"]["consents"]["reconcile"]["value"] == "moved"
        })
        .await;
    assert_eq!(moved["status"]["stage"], "Ready");
    rig.until_condition("astray", "NumberVerified", "False", Some("CodeNeeded")).await;
    for number in &NUMBERS[..2] {
        let digits = number.trim_start_matches('+');
        assert_eq!(rig.effects_on(digits), ["added", "code", "verified", "registered"]);
    }
    drop(second);
}

/// Channels of a shard, each with its portfolio's labels.
async fn channel_in(rig: &Rig, shard: &str, name: &str, number: &str) {
    rig.channel(name, number, json!({"portfolioRef": {"name": shard}})).await;
    label(rig, "wac", name, shard).await;
}

/// One number, twice in a shard and once in another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_counts_inside_its_shard_and_attempts_count_across() {
    let mut rig = Rig::new("shard-claims").await;
    for name in ["a", "b"] {
        rig.secret(&format!("{name}-meta"), json!({"token": rig.token})).await;
        rig.portfolio(name, json!({})).await;
        label(&rig, "wap", name, name).await;
    }
    let _both = [shard(&mut rig, "a").await, shard(&mut rig, "b").await];
    let digits = NUMBERS[0].trim_start_matches('+');
    channel_in(&rig, "a", "first", NUMBERS[0]).await;
    rig.until_condition("first", "NumberVerified", "False", Some("CodeNeeded")).await;
    channel_in(&rig, "a", "second", NUMBERS[0]).await;
    let second = rig.until_condition("second", "Ready", "False", Some("NumberClaimed")).await;
    assert!(message(&second, "Ready").contains("first"), "{}", message(&second, "Ready"));

    // Nobody of the other shard sees that claim. What Meta shows is taken over, and nothing is added twice.
    channel_in(&rig, "b", "across", NUMBERS[0]).await;
    rig.until_condition("across", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate("first", "send-code", "one").await;
    rig.until_condition("first", "NumberVerified", "False", Some("CodeAwaited")).await;
    // The attempts of the number are beside the portfolios, so the other one knows that a code has just been sent.
    rig.annotate("across", "send-code", "one").await;
    let knows = |status: &serde_json::Value| {
        status["memory"]["ledger"]["codes"].as_array().is_some_and(|codes| !codes.is_empty())
    };
    rig.until("across", "the code of the other one", Duration::from_secs(30), knows).await;
    rig.look("across", "after").await;
    assert_eq!(rig.effects_on(digits), ["added", "code"]);
    rig.type_code("first", NUMBERS[0]).await;
    rig.until_condition("first", "Ready", "True", None).await;
    let across = rig.look("across", "when registered").await;
    assert_eq!(across["status"]["stage"], "Ready", "{across:#}");
    assert_eq!(rig.effects_on(digits), ["added", "code", "verified", "registered"]);

    // What is asked of the one that holds no claim does nothing.
    rig.annotate("second", "send-code", "one").await;
    let heard = |status: &serde_json::Value| status["memory"]["consents"]["sendCode"]["value"] == "one";
    let second = rig.until("second", "the consent", Duration::from_secs(30), heard).await;
    assert_eq!(second["status"]["memory"]["ledger"], json!(null), "{second:#}");
    assert_eq!(rig.effects_on(digits), ["added", "code", "verified", "registered"]);
}

/// The values of both releases, as the page has them.
pub fn values() -> [Value; 2] {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/growing.md"));
    let page = page.expect("the page is there");
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let values = blocks.filter(|block| block.contains("\nwatchLabelSelector: "));
    let values: Vec<Value> = values.map(|block| serde_saphyr::from_str(block).expect("YAML")).collect();
    values.try_into().expect("two releases")
}

/// What the chart starts the replicas of a release with: its account, and the arguments of its Deployment.
struct Release {
    kubeconfig: PathBuf,
    args: Vec<String>,
}

impl Release {
    async fn install(rig: &Rig, release: &str, mut values: Value) -> Self {
        // All tests share the CRDs.
        values["crds"] = json!({"enabled": false});
        let rendered = rig.plane.helm_template_of(release, &rig.namespace, &values).await;
        rig.plane.apply_rendered(&rig.namespace, &rendered).await;
        let name = format!("{release}-whatsapp-operator");
        let deployment = rig.get_of("Deployment", &name).await;
        let args = deployment["spec"]["template"]["spec"]["containers"][0]["args"].clone();
        let args: Vec<String> = serde_json::from_value(args).expect("flags");
        let own = ["--health-listen", "--log-format", "--log-level"];
        let is_own = |flag: &String| own.iter().any(|own| flag.starts_with(own));
        Self {
            kubeconfig: rig.plane.service_account_kubeconfig(&rig.namespace, &name).await,
            args: args.into_iter().skip(1).filter(|flag| !is_own(flag)).collect(),
        }
    }

    fn start(&self, rig: &mut Rig) -> Replica {
        let health = free_address();
        let listen = health.to_string();
        let mut flags = vec!["--health-listen", &listen];
        flags.extend(self.args.iter().map(String::as_str));
        Replica { process: rig.spawn_with(&self.kubeconfig, &flags), health }
    }

    /// One that leads, and one that stands by.
    async fn pair(&self, rig: &mut Rig) -> (Replica, Replica) {
        let first = self.start(rig);
        first.until_it_leads(Duration::from_secs(20)).await;
        let second = self.start(rig);
        second.until_it_says("200", "stands by").await;
        (first, second)
    }
}

/// The two releases of `docs/growing.md`, with two replicas each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_shard_elects_a_leader_of_its_own_and_only_its_own_follows_one_that_is_killed() {
    let mut rig = Rig::new("shard-leads").await;
    let mut pairs = Vec::new();
    for (name, values) in ["shard1", "shard2"].into_iter().zip(values()) {
        rig.secret(&format!("{name}-meta"), json!({"token": rig.token})).await;
        rig.portfolio(name, json!({})).await;
        label(&rig, "wap", name, name).await;
        pairs.push(Release::install(&rig, name, values).await.pair(&mut rig).await);
    }
    let (other, spare) = pairs.pop().expect("the second shard");
    let (mut first, second) = pairs.pop().expect("the first shard");
    let leases = Api::<Lease>::namespaced(rig.plane.admin_client(), &rig.namespace);
    let held = async |shard: &str| {
        let lease = leases.get(&format!("{shard}-whatsapp-operator")).await.expect("a Lease of its own");
        let spec = lease.spec.expect("it is held");
        (spec.holder_identity, spec.lease_transitions)
    };
    let before = (held("shard1").await, held("shard2").await);
    assert_ne!(before.0.0, before.1.0);

    first.process.kill_nine();
    second.until_it_leads(Duration::from_secs(30)).await;
    channel_in(&rig, "shard1", "one", NUMBERS[0]).await;
    channel_in(&rig, "shard2", "two", NUMBERS[1]).await;
    for name in ["one", "two"] {
        rig.until_condition(name, "NumberVerified", "False", Some("CodeNeeded")).await;
    }
    assert!(held("shard1").await.0 != before.0.0 && held("shard2").await == before.1);
    assert!(second.leads().await && other.leads().await && !spare.leads().await);
    assert_eq!(other.all_logged(" leading ").len(), 1);
}
