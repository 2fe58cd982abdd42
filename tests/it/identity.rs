//! Objects of one name that are not the same: what was begun for the one is nothing to the other.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use whatsapp_operator::sandbox::{App, CallRecord, Fault, FaultKind, Match, Token};

use crate::rig::{ACCOUNT, APP, BUSINESS, Rig, condition};

const NUMBER: &str = "+5511912345678";
const DIGITS: &str = "5511912345678";

fn slow(on: Match) -> Fault {
    Fault { on, kind: FaultKind::Latency { ms: 8_000 } }
}

fn codes(rig: &Rig) -> usize {
    rig.effects_on(DIGITS).iter().filter(|effect| **effect == "code").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_answers_to_a_channel_that_is_gone_is_nothing_to_the_next_one_of_its_name() {
    let mut rig = Rig::with_portfolio("again").await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    let first = rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.sandbox.inject(slow(Match::on("POST", "request_code")));
    rig.annotate("support", "send-code", "one").await;
    rig.until("support", "an intent", Duration::from_secs(30), |status| {
        status["memory"]["inFlight"]["step"] == "RequestCode"
    })
    .await;
    rig.delete("support").await;
    rig.channel("support", NUMBER, json!({})).await;
    assert_eq!(codes(&rig), 0, "the call is still on the wire");

    let asked = Instant::now();
    while codes(&rig) == 0 {
        assert!(asked.elapsed() < Duration::from_secs(30), "no code:\n{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    rig.sandbox.clear_faults();
    rig.at_rest().await;
    let second = rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
    let memory = &second["status"]["memory"];
    assert!(memory["inFlight"].is_null() && memory["ledger"]["codes"].is_null(), "{memory:#}");
    assert!(memory["consents"]["sendCode"].is_null(), "{memory:#}");
    // The code of the first is not asked for again; whoever wants one consents on this object, and the first one counts.
    rig.annotate("support", "send-code", "two").await;
    // It waits until the first one has had its time to show.
    rig.until("support", "both codes in the ledger", Duration::from_secs(120), |status| {
        status["memory"]["ledger"]["codes"].as_array().map(Vec::len) == Some(2)
    })
    .await;
    assert_eq!(codes(&rig), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_made_anew_while_its_token_is_looked_at_is_looked_at_itself() {
    const OF_SECOND: &str = "200000000000002";
    let mut rig = Rig::with_portfolio("renewed").await;
    rig.start().await;
    rig.until_condition_of("wap", "acme", "CredentialsValid", "True", None).await;
    let [second, third] = ["second", "third"].map(|nth| format!("{}-{nth}", rig.token));
    rig.sandbox.add_app(App::new(OF_SECOND, "Acme Old"));
    rig.sandbox.add_token(&second, Token::system_user(OF_SECOND, BUSINESS));
    rig.sandbox.add_token(&third, Token::system_user(APP, BUSINESS));
    rig.sandbox.inject(slow(Match { app: Some(OF_SECOND.to_owned()), ..Match::any() }));
    let renew = async |token: &str| {
        let out =
            rig.plane.kubectl(["delete", "secret", "acme-meta", "-n", &rig.namespace, "--timeout=20s"]).await;
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        rig.secret("acme-meta", json!({"token": token})).await;
    };
    let ask = async |value: &str| {
        let nudge = json!({"metadata": {"annotations": {"whatsapp-operator.dev/reconcile": value}}});
        rig.merge("wap", "acme", &nudge).await;
    };
    let before = rig.sandbox.calls().len();
    renew(&second).await;
    ask("second").await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let answered = rig.sandbox.calls().split_off(before);
    assert!(answered.iter().all(|call| call.faults.is_empty()), "it is still looked at: {answered:#?}");
    renew(&third).await;
    rig.sandbox.revoke_token(&second);
    ask("third").await;

    let in_use = |rig: &Rig| rig.logs().lines().filter(|line| line.contains("new credential in use")).count();
    let asked = Instant::now();
    while in_use(&rig) < 2 {
        assert!(
            asked.elapsed() < Duration::from_secs(60),
            "the third token is not taken up:\n{}",
            rig.logs()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    rig.sandbox.revoke_token(&rig.token);
    let mark = rig.sandbox.calls().len();
    rig.channel("support", NUMBER, json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    ask("at last").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let denied = rig.sandbox.calls().split_off(mark).into_iter().filter(|call| call.code == Some(190));
    assert_eq!(denied.count(), 0, "no call by a token that is not in the Secret:\n{}", rig.logs());
    let portfolio = rig.get_of("wap", "acme").await;
    let valid = condition(&portfolio["status"], "CredentialsValid").expect("it is told");
    assert_eq!(
        (valid["status"].as_str(), valid["reason"].as_str()),
        (Some("True"), Some("TokenAccepted")),
        "{valid}"
    );
}

/// A prune deletes a channel of which neither its status nor a ConfigMap could take what Meta answered, and it is applied again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_could_be_kept_nowhere_before_its_channel_was_gone_counts_for_the_next_one_of_its_name()
 {
    let mut rig = Rig::with_portfolio("pruned").await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.sandbox.inject(slow(Match::on("POST", "request_code")));
    rig.annotate("support", "send-code", "one").await;
    rig.until("support", "an intent", Duration::from_secs(30), |status| {
        status["memory"]["inFlight"]["step"] == "RequestCode"
    })
    .await;
    let role = rig.get_of("Role", rig.account_name()).await;
    let mut rules = role["rules"].as_array().expect("rules").clone();
    let before = rules.len();
    rules.retain(|rule| {
        let resources = rule["resources"].to_string();
        !resources.contains("configmaps") && !resources.contains("/status")
    });
    assert!(rules.len() < before, "the chart gives no such right");
    rig.merge("Role", rig.account_name(), &json!({ "rules": rules })).await;
    let asked = Instant::now();
    while !rig.logs().contains("attempts not kept beside the channel") {
        assert!(asked.elapsed() < Duration::from_secs(60), "it is not over:\n{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    rig.delete("support").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    rig.sandbox.clear_faults();
    rig.merge("Role", rig.account_name(), &json!({ "rules": role["rules"] })).await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.annotate("support", "send-code", "one").await;
    let told = rig
        .until("support", "the code of the first one", Duration::from_secs(120), |status| {
            status["memory"]["ledger"]["codes"].as_array().is_some_and(|all| !all.is_empty())
        })
        .await;
    let memory = &told["status"]["memory"];
    assert_eq!(memory["ledger"]["codes"].as_array().map(Vec::len), Some(1), "{memory:#}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(codes(&rig), 1, "its consent is used up:\n{}", rig.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_portfolio_that_is_made_anew_while_its_token_is_looked_at_serves_no_channel_with_that_token() {
    const OF_SECOND: &str = "200000000000002";
    let mut rig = Rig::new("reborn").await;
    rig.start().await;
    let second = format!("{}-second", rig.token);
    rig.sandbox.add_app(App::new(OF_SECOND, "Acme New"));
    rig.sandbox.add_token(&second, Token::system_user(OF_SECOND, BUSINESS));
    rig.sandbox.inject(slow(Match::on("GET", "debug_token")));
    // Whoever calls with the first token meets this.
    let first = Match { app: Some(APP.to_owned()), ..Match::any() };
    rig.sandbox.inject(Fault { on: first, kind: FaultKind::Latency { ms: 1 } });
    rig.channel("support", NUMBER, json!({"accountId": ACCOUNT})).await;
    rig.secret("acme-meta", json!({"token": rig.token})).await;
    rig.portfolio("acme", json!({})).await;
    rig.until_of("wap", "acme", "a first status", Duration::from_secs(30), Value::is_object).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let of_token = |call: &&CallRecord| call.path.ends_with("debug_token");
    let answered = |rig: &Rig| rig.sandbox.calls().iter().filter(of_token).count();
    assert_eq!(answered(&rig), 0, "it is still looked at");

    for (kind, name) in [("wap", "acme"), ("secret", "acme-meta")] {
        let out = rig.plane.kubectl(["delete", kind, name, "-n", &rig.namespace, "--timeout=20s"]).await;
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    rig.secret("acme-meta", json!({"token": second})).await;
    rig.portfolio("acme", json!({})).await;
    assert_eq!(answered(&rig), 0, "it is still looked at");
    rig.until_condition_of("wap", "acme", "CredentialsValid", "True", None).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;

    let calls = rig.sandbox.calls();
    assert!(answered(&rig) >= 2, "both tokens were looked at: {calls:#?}");
    let is_for_channel = |call: &&CallRecord| call.path.contains("{phone}") || call.path.contains("{waba}");
    let (by_first, by_second): (Vec<_>, Vec<_>) =
        calls.iter().filter(is_for_channel).partition(|call| !call.faults.is_empty());
    assert!(!by_second.is_empty(), "{calls:#?}");
    assert!(by_first.is_empty(), "calls with the first token: {by_first:#?}");
}
