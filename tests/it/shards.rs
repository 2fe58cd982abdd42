//! Several operators that share a cluster by labels: each works on what carries its own, and nobody on the rest.

use std::time::Duration;

use serde_json::json;

use crate::control_plane::Process;
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
