//! Attempts outlive the channel, on a real API server and with the rights of the chart.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::rig::{Rig, condition, message};

const NUMBER: &str = "+5511912345678";
const DIGITS: &str = "5511912345678";
const KEPT: &str = "whatsapp-attempts-5511912345678";
/// Of a number that no channel has.
const OTHER: &str = "whatsapp-attempts-12055550100";

fn codes(rig: &Rig) -> usize {
    rig.effects_on(DIGITS).iter().filter(|effect| **effect == "code").count()
}

/// The attempts that are kept of a number, by kind; `None` where nothing is kept.
async fn kept(rig: &Rig, name: &str) -> Option<Value> {
    let kept = rig.find("ConfigMap", name).await?;
    Some(serde_json::from_str(kept["data"]["attempts.json"].as_str()?).expect("JSON"))
}

/// Codes that were asked for before.
async fn keep(rig: &Rig, namespace: &str, name: &str, codes: &[Value]) {
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": name, "namespace": namespace,
            "labels": {"whatsapp-operator.dev/use": "attempts"},
        },
        "data": {"attempts.json": json!({ "codes": codes }).to_string()},
    }))
    .await;
}

/// Asks for a code and waits for the answer.
async fn ask(rig: &Rig, value: &str) -> Value {
    rig.annotate("support", "send-code", value).await;
    let answered = rig
        .until("support", "an answer to the consent", Duration::from_secs(60), |status| {
            let answer = &status["memory"]["consents"]["sendCode"];
            answer["value"] == value && (answer["usedFor"].is_string() || answer["refused"].is_string())
        })
        .await;
    answered["status"]["memory"]["consents"]["sendCode"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_for_before_a_channel_was_deleted_counts_for_the_next_one() {
    let mut rig = Rig::with_portfolio("attempts").await;
    let without_portfolio = rig.watch_also("left").await;
    // Three codes of this day, of objects that are gone, and what counts no more, of another number.
    let now = Timestamp::now();
    let code = |n: i64, hours: i64| {
        let at = now - SignedDuration::from_hours(hours);
        json!({"id": format!("before-{n}"), "at": at, "outcome": "Accepted", "cause": "SendCode"})
    };
    keep(&rig, &rig.namespace, KEPT, &[code(1, 8), code(2, 7), code(3, 6)]).await;
    keep(&rig, &rig.namespace, OTHER, &[code(5, 24 * 40)]).await;
    keep(&rig, &without_portfolio, OTHER, &[code(6, 24 * 40)]).await;
    keep(&rig, &without_portfolio, KEPT, &[code(7, 24 * 2)]).await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    let answer = ask(&rig, "please-4").await;
    assert_eq!((answer["usedFor"].as_str(), codes(&rig)), (Some("RequestCode"), 1), "{answer}");
    rig.until("support", "the outcome", Duration::from_secs(30), |status| {
        let codes = status["memory"]["ledger"]["codes"].as_array();
        codes.is_some_and(|all| all.len() == 4 && all.iter().all(|code| code["outcome"] == "Accepted"))
    })
    .await;
    rig.delete("support").await;
    assert_eq!(kept(&rig, KEPT).await.expect("it stays")["codes"].as_array().map(Vec::len), Some(4));
    assert!(kept(&rig, OTHER).await.is_none(), "what counts no more was removed");
    let maps = rig.api("ConfigMap", &without_portfolio);
    assert!(maps.get_opt(OTHER).await.expect("an answer").is_none(), "also where no portfolio is");
    assert!(maps.get_opt(KEPT).await.expect("an answer").is_some(), "what counts stays");
    let standing = rig.find("ConfigMap", KEPT).await.expect("it stays");
    assert!(standing["metadata"]["ownerReferences"].is_null(), "{standing}");
    assert!(!standing.to_string().contains("please-"), "{standing}");

    rig.channel("support", NUMBER, json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    let answer = ask(&rig, "please-5").await;
    let refused = answer["refused"].as_str().unwrap_or_default();
    assert!(refused.contains("4 codes were asked for in 24 hours"), "{answer}");
    assert_eq!(codes(&rig), 1);
    let status = rig.get("support").await["status"].clone();
    assert_eq!(status["memory"]["ledger"]["codes"].as_array().map(Vec::len), Some(4), "{status}");
    assert!(condition(&status, "Stalled").is_none(), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_config_maps_a_channel_comes_up_all_the_same() {
    let mut rig = Rig::with_portfolio("unkept").await;
    rig.take_away("configmaps").await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    // A right that was taken away for a moment would come back, so a step waits for it, and not for ever.
    let why = rig.until_condition("support", "NumberAdded", "False", Some("ObservationIncomplete")).await;
    assert!(message(&why, "NumberAdded").contains("earlier attempts"), "{why:#}");
    rig.until("support", "its number", Duration::from_secs(240), |s| s["phoneNumberId"].is_string()).await;
    rig.onboard("support", NUMBER).await;
    assert!(rig.find("ConfigMap", KEPT).await.is_none());
    let logs = rig.logs();
    for warning in ["earlier attempts of the number are not known", "attempts not kept beside the channel"] {
        assert!(logs.contains(warning), "{warning:?} is not in\n{logs}");
    }
}
