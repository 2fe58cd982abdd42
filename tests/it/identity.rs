//! Objects of one name that are not the same: what was begun for the one is nothing to the other.

use std::time::{Duration, Instant};

use serde_json::json;
use whatsapp_operator::sandbox::{App, Fault, FaultKind, Match, Token};

use crate::rig::{APP, BUSINESS, Rig, condition};

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
