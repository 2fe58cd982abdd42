//! Attempts outlive the channel, on a real API server and with the rights of the chart.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};
use whatsapp_operator::sandbox::{Account, Portfolio, Token};

use crate::rig::{APP, BUSINESS, Rig, condition, message};

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
    ask_of(rig, "support", value).await
}

/// The same of a channel of any namespace.
async fn ask_of(rig: &Rig, channel: &str, value: &str) -> Value {
    rig.annotate(channel, "send-code", value).await;
    let answered = rig
        .until(channel, "an answer to the consent", Duration::from_secs(60), |status| {
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

/// What a namespace holds for a number, with a portfolio that has a token of its own.
async fn apply_in(rig: &Rig, namespace: &str, business: &str, token: &str, number: &str) {
    rig.secret(&format!("{namespace}/acme-meta"), json!({ "token": token })).await;
    rig.apply(&json!({
        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppPortfolio",
        "metadata": {"name": "acme", "namespace": namespace},
        "spec": {
            "businessId": business,
            "credentials": {"accessTokenSecretRef": {"name": "acme-meta", "key": "token"}}
        }
    }))
    .await;
    let channel = format!("{namespace}/support");
    rig.channel(&channel, number, json!({})).await;
    rig.until_condition(&channel, "NumberVerified", "False", Some("CodeNeeded")).await;
}

/// `kubectl delete namespace`, with what the controllers of a cluster do then.
async fn delete_namespace(rig: &Rig, namespace: &str) {
    let kubectl = async |args: &[&str]| {
        let out = rig.plane.kubectl(args).await;
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    kubectl(&["delete", "namespace", namespace, "--wait=false"]).await;
    kubectl(&["delete", "wac,wap,configmap,secret,role,rolebinding", "--all", "-n", namespace]).await;
    let namespaces: Api<Namespace> = Api::all(rig.plane.admin_client());
    let mut ending = namespaces.get(namespace).await.expect("it ends");
    ending.spec.get_or_insert_default().finalizers = Some(Vec::new());
    let params = PostParams::default();
    namespaces.replace_subresource("finalize", namespace, &params, &ending).await.expect("it may go");
    assert!(namespaces.get_opt(namespace).await.expect("an answer").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_for_before_a_namespace_was_deleted_counts_where_its_manifests_are_applied_again() {
    const ELSEWHERE: &str = "500000000000009";
    let second = format!("whatsapp-attempts-{BUSINESS}-{DIGITS}");
    let mut rig = Rig::with_portfolio("home").await;
    let shop = rig.watch_also("shop").await;
    let moved = rig.watch_also("moved").await;
    let theirs = rig.watch_also("theirs").await;
    // Three codes of this day, of objects that are gone. The fourth one is sent here.
    let now = Timestamp::now();
    let code = |n: i64| {
        let at = now - SignedDuration::from_hours(9 - n);
        json!({"id": format!("before-{n}"), "at": at, "outcome": "Accepted", "cause": "SendCode"})
    };
    keep(&rig, &shop, KEPT, &[code(1), code(2), code(3)]).await;
    rig.start().await;
    apply_in(&rig, &shop, BUSINESS, &rig.token, NUMBER).await;
    let answer = ask_of(&rig, &format!("{shop}/support"), "please-4").await;
    assert_eq!((answer["usedFor"].as_str(), codes(&rig)), (Some("RequestCode"), 1), "{answer}");
    let begun = std::time::Instant::now();
    while kept(&rig, &second).await.is_none_or(|kept| kept["codes"].as_array().map(Vec::len) != Some(4)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let standing = rig.find("ConfigMap", &second).await.expect("it is there");
    assert!(standing["metadata"]["ownerReferences"].is_null(), "{standing}");
    assert!(!standing.to_string().contains("please-"), "{standing}");

    delete_namespace(&rig, &shop).await;
    let namespaces: Api<Namespace> = Api::all(rig.plane.admin_client());
    let anew = serde_json::from_value(json!({"metadata": {"name": shop}})).expect("a namespace");
    namespaces.create(&PostParams::default(), &anew).await.expect("it is made anew");
    rig.grant().await;
    for namespace in [&shop, &moved] {
        let channel = format!("{namespace}/support");
        apply_in(&rig, namespace, BUSINESS, &rig.token, NUMBER).await;
        let answer = ask_of(&rig, &channel, "please-5").await;
        let refused = answer["refused"].as_str().unwrap_or_default();
        assert!(refused.contains("4 codes were asked for in 24 hours"), "{namespace}: {answer}");
        rig.until_condition(&channel, "NumberVerified", "False", Some("CodeLimitReached")).await;
        assert_eq!(codes(&rig), 1, "{namespace}: Meta got no request");
        // The status is written first, so it is there a moment later.
        let beside = rig.api("ConfigMap", namespace);
        let begun = std::time::Instant::now();
        while beside.get_opt(KEPT).await.expect("an answer").is_none() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{namespace}: beside it, too");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if *namespace == shop {
            delete_namespace(&rig, namespace).await;
        }
    }

    // Of another business portfolio the same digits are another matter.
    let (other, of_ours) = ("12055550100", format!("whatsapp-attempts-{BUSINESS}-12055550100"));
    let own = format!("{}-of-elsewhere", rig.token);
    rig.sandbox.add_portfolio(Portfolio::new(ELSEWHERE, "Elsewhere").verified());
    rig.sandbox.add_account(Account::new("300000000000909", ELSEWHERE, "Elsewhere"));
    rig.sandbox.add_token(&own, Token::system_user(APP, ELSEWHERE));
    keep(&rig, &rig.namespace, &of_ours, &[code(1), code(2), code(3), code(4)]).await;
    apply_in(&rig, &theirs, ELSEWHERE, &own, "+12055550100").await;
    let answer = ask_of(&rig, &format!("{theirs}/support"), "please-1").await;
    assert_eq!(answer["usedFor"], "RequestCode", "{answer}");
    let ids = |kept: Option<Value>| {
        let kept = kept.unwrap_or_default();
        kept["codes"].as_array().into_iter().flatten().map(|code| code["id"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(kept(&rig, &of_ours).await).len(), 4);
    let begun = std::time::Instant::now();
    loop {
        let theirs = ids(kept(&rig, &format!("whatsapp-attempts-{ELSEWHERE}-{other}")).await);
        if theirs.len() == 1 {
            assert!(!theirs[0].contains("before-"), "{theirs:?}");
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30) && theirs.is_empty(), "{theirs:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
