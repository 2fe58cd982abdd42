//! The operator as a process on a real API server, with the chart's account, against the sandbox.

mod attempts;
mod leak;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};
use whatsapp_operator::api::v1alpha1::WhatsAppChannel;
use whatsapp_operator::cluster::{Failed, read::Objects, status};
use whatsapp_operator::sandbox::{
    App, Fault, FaultKind, Hold, Match, Number, ReviewPolicy, Switches, Verdict, What,
};

use leak::{Canary, Place};

use crate::cli::{editor, run_as, stderr, stdout};
use crate::control_plane::client_from;
use crate::rig::{ACCOUNT, APP, Rig, condition, free_address, http_get};

const NUMBER: &str = "+5511912345678";
const DIGITS: &str = "5511912345678";

/// How often each effect happened to the number.
fn count(rig: &Rig, digits: &str) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for effect in rig.sandbox.effects() {
        let (name, of) = match &effect.what {
            What::NumberAdded { digits, .. } => ("added", digits.clone()),
            What::CodeSent { digits } => ("codes", digits.clone()),
            What::VerifyAttempt { digits, .. } => ("verifications", digits.clone()),
            What::RegisterAttempt { digits, .. } => ("registrations", digits.clone()),
            _ => continue,
        };
        if of == digits {
            *counts.entry(name).or_default() += 1;
        }
    }
    counts
}

fn once() -> BTreeMap<&'static str, usize> {
    BTreeMap::from([("added", 1), ("codes", 1), ("verifications", 1), ("registrations", 1)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_goes_from_apply_to_ready_and_then_rests() {
    let mut rig = Rig::with_portfolio("ready").await;
    // Looked at often, so that a short rest holds many passes.
    rig.flags = vec!["--list-freshness".into(), "2s".into()];
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;

    let born = Instant::now();
    let first = rig
        .until("support", "a first status", Duration::from_secs(10), |s| s["observedGeneration"] == 1)
        .await;
    assert!(born.elapsed() < Duration::from_secs(2), "the first status took {:?}", born.elapsed());
    assert!(condition(&first["status"], "Ready").is_some_and(|ready| ready["status"] != "True"));

    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate("support", "send-code", "one").await;
    let waiting = rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    assert_eq!(waiting["status"]["waitingFor"][0]["actor"], "PhoneHolder");
    assert_eq!(waiting["status"]["waitingFor"][0]["action"], "EnterCode");
    assert!(condition(&waiting["status"], "Stalled").is_none());

    let typed = Instant::now();
    rig.type_code("support", NUMBER).await;
    rig.until("support", "the code used", Duration::from_secs(20), |_| {
        count(&rig, DIGITS).contains_key("verifications")
    })
    .await;
    assert!(typed.elapsed() < Duration::from_secs(10), "the code was used after {:?}", typed.elapsed());

    let ready = rig.until_condition("support", "Ready", "True", None).await;
    assert_eq!(ready["status"]["stage"], "Ready");
    assert_eq!(count(&rig, DIGITS), once());
    let wait = rig
        .plane
        .kubectl(["wait", "--for=condition=Ready", "--timeout=5s", "-n", &rig.namespace, "wac/support"])
        .await;
    assert!(wait.status.success());

    // The portfolio counts its channels once a minute; that write belongs to the way, not to the rest.
    rig.until_of("wap", "acme", "the channel counted as ready", Duration::from_secs(90), |s| {
        s["channels"]["ready"] == 1
    })
    .await;
    // The app of a direct business; said once, by the portfolio, and still after the restart below.
    let refused = &rig.get_of("wap", "acme").await["status"]["refusedFields"];
    assert_eq!(*refused, json!(["WhatsAppBusinessAccount.primary_funding_id"]));
    tokio::time::sleep(Duration::from_secs(5)).await;
    rests(&rig, Duration::from_secs(20), 5).await;

    rig.operator().terminate();
    assert!(rig.operator().wait(Duration::from_secs(30)).await.is_some_and(|status| status.success()));
    let (mark, meta) = (rig.plane.mark().await, rig.sandbox.effects().len());
    rig.start().await;
    rests(&rig, Duration::from_secs(15), 3).await;
    let writes = rig.writes_since(mark).await;
    assert!(writes.is_empty(), "a restart writes nothing: {writes:#?}");
    assert_eq!(rig.sandbox.effects().len(), meta, "nor does it do anything at Meta");
}

/// Nothing is written for so long, neither to the cluster nor to Meta, although the account is looked at. The channel itself
/// is not worked on.
async fn rests(rig: &Rig, time: Duration, looks: u64) {
    let mark = rig.at_rest().await;
    let before = (rig.counted("passes", "channel").await, lists(rig));
    let meta = rig.sandbox.effects().len();
    tokio::time::sleep(time).await;
    let writes = rig.writes_since(mark).await;
    assert!(writes.is_empty(), "a settled channel causes no writes: {writes:#?}");
    assert_eq!(rig.sandbox.effects().len(), meta, "nor anything at Meta");
    let passes = rig.counted("passes", "channel").await - before.0;
    let lists = lists(rig) - before.1;
    assert!(passes == 0 && lists >= looks, "{passes} passes and {lists} lists in {time:?}");
}

fn lists(rig: &Rig) -> u64 {
    rig.sandbox.counters().get("GET /{waba}/phone_numbers").copied().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_read_by_name_and_never_listed() {
    let mut rig = Rig::with_portfolio("secrets").await;
    let mark = rig.plane.mark().await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.onboard("support", NUMBER).await;
    let mut verbs: Vec<String> = rig
        .plane
        .audit_since(mark)
        .await
        .into_iter()
        .filter(|e| e.is_from_service_account(&rig.namespace, rig.account_name()) && e.resource == "secrets")
        .map(|e| e.verb)
        .collect();
    verbs.sort();
    verbs.dedup();
    assert_eq!(verbs, ["create", "get"]);
}

/// The process is killed while a call is on the wire; the call had its effect, and its reply is never seen.
#[rstest]
#[case::add("phone_numbers", "AddNumber")]
#[case::request_code("request_code", "RequestCode")]
#[case::verify("verify_code", "VerifyCode")]
#[case::register("register", "Register")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_around_a_call_repeats_nothing(#[case] edge: &str, #[case] step: &str) {
    let mut rig = Rig::with_portfolio("kill").await;
    rig.sandbox.set_hold(Hold::Keep { secs: 30 });
    rig.sandbox.inject(Fault { on: Match::on("POST", edge).times(1), kind: FaultKind::TimeoutAfter });
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;

    let reached = |rig: &Rig| count(rig, DIGITS).get(name_of(step)).copied().unwrap_or(0) > 0;
    let deadline = Instant::now() + Duration::from_secs(90);
    let mut typed = false;
    let mut asked = false;
    while !reached(&rig) {
        assert!(Instant::now() < deadline, "{step} was never sent\n{}", rig.logs());
        let status = rig.get("support").await["status"].clone();
        let verified = condition(&status, "NumberVerified").cloned().unwrap_or_default();
        if !asked && verified["reason"] == "CodeNeeded" {
            rig.annotate("support", "send-code", "one").await;
            asked = true;
        }
        if !typed && verified["reason"] == "CodeAwaited" {
            rig.type_code("support", NUMBER).await;
            typed = true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let written = rig.get("support").await;
    assert_eq!(written["status"]["memory"]["inFlight"]["step"], step, "the intent stands before the call");
    rig.operator().kill_nine();
    rig.start().await;

    if step == "RequestCode" {
        // It counts as sent: no other code is requested, and the one that came is used.
        rig.until_condition("support", "NumberVerified", "False", Some("CodeMayHaveBeenSent")).await;
        rig.type_code("support", NUMBER).await;
    } else if step == "AddNumber" {
        rig.onboard("support", NUMBER).await;
    }
    rig.until("support", "Ready", Duration::from_secs(120), |s| {
        condition(s, "Ready").is_some_and(|c| c["status"] == "True")
    })
    .await;
    assert_eq!(count(&rig, DIGITS), once());
}

/// The process is killed while it waits for a reply to a call that Meta never got. Nobody knows that, so it counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_before_a_code_was_sent_asks_for_no_other_without_a_consent() {
    let mut rig = Rig::with_portfolio("unsent").await;
    rig.sandbox.set_hold(Hold::Keep { secs: 30 });
    rig.sandbox
        .inject(Fault { on: Match::on("POST", "request_code").times(1), kind: FaultKind::TimeoutBefore });
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate("support", "send-code", "one").await;
    let requests = |rig: &Rig| {
        let calls = rig.sandbox.calls();
        calls.iter().filter(|call| call.path == "/{phone}/request_code").count()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while requests(&rig) == 0 {
        assert!(Instant::now() < deadline, "no code was asked for\n{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let written = rig.get("support").await;
    assert_eq!(
        written["status"]["memory"]["inFlight"]["step"], "RequestCode",
        "the intent stands before the call"
    );
    rig.operator().kill_nine();
    rig.start().await;

    rig.until_condition("support", "NumberVerified", "False", Some("CodeMayHaveBeenSent")).await;
    rig.look("support", "and-now").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(requests(&rig), 1, "nobody asks again");
    assert_eq!(count(&rig, DIGITS), BTreeMap::from([("added", 1)]));
    rig.annotate("support", "send-code", "two").await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    rig.type_code("support", NUMBER).await;
    rig.until_condition("support", "Ready", "True", None).await;
    assert_eq!((requests(&rig), count(&rig, DIGITS)), (2, once()));
}

fn name_of(step: &str) -> &'static str {
    match step {
        "AddNumber" => "added",
        "RequestCode" => "codes",
        "VerifyCode" => "verifications",
        _ => "registrations",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_operators_at_once_do_nothing_twice() {
    let mut rig = Rig::with_portfolio("two").await;
    rig.start().await;
    let health = free_address();
    let second = rig.spawn_operator(&["--health-listen", &health.to_string()]).await;
    rig.until_serving(health).await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.onboard("support", NUMBER).await;
    assert_eq!(count(&rig, DIGITS), once());
    drop(second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_write_from_an_old_copy_is_refused_and_the_ledger_stays() {
    let mut rig = Rig::with_portfolio("old").await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    let old = rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate("support", "send-code", "one").await;
    let new = rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    assert!(new["status"]["memory"]["ledger"]["codes"].as_array().is_some_and(|codes| codes.len() == 1));

    // The operator's own write, with the operator's own rights.
    let kubeconfig = rig.plane.service_account_kubeconfig(&rig.namespace, rig.account_name()).await;
    let channels = Objects::<WhatsAppChannel>::new(&client_from(&kubeconfig), Some(&rig.namespace));
    let write = async |copy: &Value| {
        let text = |key: &str| copy["metadata"][key].as_str().expect("text").to_owned();
        status::apply(&channels, "support", &text("uid"), &text("resourceVersion"), &copy["status"]).await
    };
    assert!(matches!(write(&old).await, Err(Failed::Conflict(_))));
    assert_eq!(rig.get("support").await["status"], new["status"]);
    let written = write(&rig.get("support").await).await;
    assert!(written.is_ok(), "the same from the live copy is accepted: {written:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_channel_ends_at_once_and_touches_nothing_at_meta() {
    let mut rig = Rig::with_portfolio("delete").await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.onboard("support", NUMBER).await;
    let before = rig.sandbox.effects().len();
    let started = Instant::now();
    let out = rig.plane.kubectl(["delete", "wac", "support", "-n", &rig.namespace, "--timeout=10s"]).await;
    assert!(out.status.success() && started.elapsed() < Duration::from_secs(8));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.sandbox.effects().len(), before);
}

/// What may be wrong while a channel is deleted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    MetaIsSilent,
    TokenRevoked,
    AccountDisabled,
    PortfolioGone,
    CallOnTheWire,
}

#[rstest]
#[case::meta_is_silent(Trouble::MetaIsSilent)]
#[case::token_revoked(Trouble::TokenRevoked)]
#[case::account_disabled(Trouble::AccountDisabled)]
#[case::portfolio_gone(Trouble::PortfolioGone)]
#[case::call_on_the_wire(Trouble::CallOnTheWire)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_is_deleted_at_once_whatever_is_wrong(#[case] trouble: Trouble) {
    let mut rig = Rig::with_portfolio("trouble").await;
    rig.flags = vec!["--list-freshness".into(), "2s".into()];
    rig.start().await;
    let slow =
        Fault { on: Match::on("POST", "phone_numbers").times(1), kind: FaultKind::Latency { ms: 15_000 } };
    if trouble == Trouble::CallOnTheWire {
        rig.sandbox.inject(slow);
        rig.channel("support", NUMBER, json!({})).await;
        rig.until("support", "an intent", Duration::from_secs(30), |s| {
            s["memory"]["inFlight"]["step"] == "AddNumber"
        })
        .await;
    } else {
        rig.channel("support", NUMBER, json!({})).await;
        rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    }
    match trouble {
        Trouble::MetaIsSilent => {
            rig.sandbox.set_hold(Hold::Keep { secs: 60 });
            rig.sandbox.inject(Fault { on: Match::any(), kind: FaultKind::TimeoutBefore });
            // A look hangs on the wire by now.
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
        Trouble::TokenRevoked => {
            assert!(rig.sandbox.revoke_token(&rig.token));
            rig.until_condition("support", "PortfolioReady", "False", None).await;
        }
        Trouble::AccountDisabled => {
            assert!(rig.sandbox.ban(ACCOUNT));
            rig.annotate("support", "reconcile", "now").await;
            rig.until_condition("support", "AccountUsable", "False", None).await;
        }
        Trouble::PortfolioGone => {
            let out =
                rig.plane.kubectl(["delete", "wap", "acme", "-n", &rig.namespace, "--timeout=10s"]).await;
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
        Trouble::CallOnTheWire => {}
    }
    let started = Instant::now();
    let out = rig.plane.kubectl(["delete", "wac", "support", "-n", &rig.namespace, "--timeout=10s"]).await;
    assert!(out.status.success() && started.elapsed() < Duration::from_secs(8), "{trouble:?}");
    let (mark, before) = (rig.plane.mark().await, rig.sandbox.effects().len());
    tokio::time::sleep(Duration::from_secs(8)).await;
    let writes = rig.writes_since(mark).await;
    let landed: Vec<_> = writes.iter().filter(|e| e.resource == "whatsappchannels" && e.code < 300).collect();
    assert!(landed.is_empty(), "{trouble:?}: {landed:#?}");
    assert!(!rig.logs().contains("panic"), "{}", rig.logs());

    if trouble == Trouble::CallOnTheWire {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !count(&rig, DIGITS).contains_key("added") && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(
            count(&rig, DIGITS),
            BTreeMap::from([("added", 1)]),
            "the call that was on its way arrived"
        );
        // The next process finds the number and does not add it again.
        rig.channel("support", NUMBER, json!({})).await;
        rig.onboard("support", NUMBER).await;
        assert_eq!(count(&rig, DIGITS), once());
    } else {
        assert_eq!(rig.sandbox.effects().len(), before, "{trouble:?}: something was done at Meta");
        // The operator is well: the next channel gets its first status.
        rig.channel("next", "+5511912345679", json!({"suspend": true})).await;
        rig.until("next", "a first status", Duration::from_secs(10), |s| s["observedGeneration"] == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_name_stalls_and_is_never_sent_again_unchanged() {
    let mut rig = Rig::with_portfolio("declined").await;
    let declined_at_once =
        ReviewPolicy { min_secs: 0, max_secs: 0, verdict: Verdict::Decline, ..ReviewPolicy::default() };
    rig.sandbox.set_review(declined_at_once);
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    let stalled = rig.until_condition("support", "Stalled", "True", None).await;
    let ready = condition(&stalled["status"], "Ready").expect("Ready is always there");
    assert_eq!(ready["reason"], "NameDeclined");
    assert!(ready["message"].as_str().is_some_and(|m| m.contains("displayName")));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!count(&rig, DIGITS).contains_key("codes"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_portfolio_of_another_namespace_needs_its_access_and_refusals_look_like_absence() {
    let mut rig = Rig::with_portfolio("access").await;
    let other = rig.plane.namespace("elsewhere").await;
    rig.start().await;
    rig.channel("foreign", "+5511912345679", json!({"portfolioRef": {"name": "acme", "namespace": other}}))
        .await;
    let refused = rig.until_condition("foreign", "PortfolioReady", "False", Some("PortfolioNotUsable")).await;
    rig.channel("absent", "+5511912345670", json!({"portfolioRef": {"name": "nothing", "namespace": other}}))
        .await;
    let absent = rig.until_condition("absent", "PortfolioReady", "False", Some("PortfolioNotUsable")).await;
    let message = |v: &Value| {
        condition(&v["status"], "PortfolioReady").expect("it is there")["message"]
            .as_str()
            .expect("text")
            .replace("nothing", "acme")
    };
    assert_eq!(message(&refused), message(&absent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminated_operator_writes_the_outcome_of_the_call_on_the_wire() {
    let mut rig = Rig::with_portfolio("drain").await;
    rig.sandbox.inject(Fault {
        on: Match::on("POST", "phone_numbers").times(1),
        kind: FaultKind::Latency { ms: 3_000 },
    });
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.until("support", "an intent", Duration::from_secs(30), |s| {
        s["memory"]["inFlight"]["step"] == "AddNumber"
    })
    .await;
    let health = rig.health();
    assert!(http_get(health, "/readyz").await.is_some_and(|reply| reply.starts_with("HTTP/1.1 200")));
    // An open connection to the health server must not keep the operator from stopping.
    let silent = tokio::net::TcpStream::connect(health).await.expect("it is served");
    rig.operator().terminate();
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut stopping = String::new();
    while !stopping.contains("the operator is stopping") {
        assert!(Instant::now() < deadline, "readiness does not turn off: {stopping:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        stopping = http_get(health, "/readyz").await.unwrap_or_default();
    }
    assert!(stopping.starts_with("HTTP/1.1 503"), "{stopping}");
    let alive = http_get(health, "/healthz").await;
    assert!(alive.is_some_and(|reply| reply.starts_with("HTTP/1.1 200")), "health is served to the end");
    assert!(rig.operator().wait(Duration::from_secs(30)).await.is_some_and(|s| s.success()));
    drop(silent);
    let status = rig.get("support").await["status"].clone();
    assert!(status["memory"]["inFlight"].is_null(), "{status:#}");
    assert!(status["phoneNumberId"].is_string(), "{status:#}");
    assert_eq!(count(&rig, DIGITS).get("added"), Some(&1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_that_leaves_the_operator_holds_a_secret() {
    let mut rig = Rig::new("canary").await;
    rig.log_level = "trace";
    let app_secret = format!("{:032x}", 0x00c0_ffee_u128 * 0x0123_4567_89ab_cdef_0123_4567);
    let app = App { secret: Some(app_secret.clone()), require_proof: true, ..App::new(APP, "Acme Ops") };
    rig.sandbox.add_app(app);
    // Meta tells the address of the next page, with the token in it, whenever a list goes on.
    let switches = Switches { next_holds_token: true, short_pages: true, ..rig.sandbox.switches() };
    rig.sandbox.set_switches(switches);
    rig.secret("acme-meta", json!({"token": rig.token, "appSecret": app_secret})).await;
    let told = rig.listen().await;
    rig.portfolio(
        "acme",
        json!({"credentials": {"appSecretRef": {"name": "acme-meta", "key": "appSecret"}}}),
    )
    .await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    let editor = editor(&rig).await;
    let manifest = rig.plane.dir().join(format!("{}.yaml", rig.namespace));
    let text = format!(
        "apiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppChannel\nmetadata: {{name: support}}\nspec:\n  \
         portfolioRef: {{name: acme}}\n  phoneNumber: \"{NUMBER}\"\n  displayName: Acme Support\n"
    );
    std::fs::write(&manifest, text).expect("written");
    let manifest = manifest.display().to_string();
    let plan = ["plan", "-f", manifest.as_str(), "--graph-url", rig.graph_url.as_str(), "-o", "json"];

    let mut places = Vec::new();
    let mut canaries = vec![
        Canary { what: "token", value: rig.token.clone() },
        Canary { what: "app secret", value: app_secret },
    ];
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    say(&rig, &editor, &mut places, &plan, "").await;
    say(&rig, &editor, &mut places, &["send-code", "support", "--wait"], "").await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    say(&rig, &editor, &mut places, &["status", "support"], "").await;
    let code = rig.sandbox.delivered_code(DIGITS).expect("a code");
    let wrong = if code == "048213" { "048214" } else { "048213" };
    say(&rig, &editor, &mut places, &["code", "support"], wrong).await;
    say(&rig, &editor, &mut places, &["code", "support", "-o", "json"], &code).await;
    canaries.push(Canary { what: "wrong code", value: wrong.into() });
    canaries.push(Canary { what: "code", value: code });
    rig.until_condition("support", "Ready", "True", None).await;
    for args in [
        &["status", "support"][..],
        &["status", "support", "-o", "json"],
        &["retry", "support", "--wait"],
        &["explain", "PinMismatch"],
        &plan,
    ] {
        say(&rig, &editor, &mut places, args, "").await;
    }
    let pin = rig.get_of("secret", "support-pin").await;
    let value =
        pin["data"]["pin"].as_str().and_then(leak::from_base64).and_then(|pin| String::from_utf8(pin).ok());
    let value = value.expect("the PIN is text");
    assert_eq!(value.len(), 6);
    canaries.push(Canary { what: "PIN", value });

    let paged = rig.sandbox.calls().iter().any(|call| call.parameters.iter().any(|name| name == "after"));
    assert!(paged, "an address with the token in it was told, and went on from");
    let events = rig.plane.kubectl(["get", "events", "-n", &rig.namespace, "-o", "json"]).await;
    places.push(("events".to_owned(), String::from_utf8_lossy(&events.stdout).into_owned()));
    places.push(("logs".to_owned(), rig.logs()));
    places.push(("metrics".to_owned(), rig.metrics().await));
    let told = told.lock().expect("nobody panicked").clone();
    assert!(
        told.iter().filter(|(what, _)| what.contains("channel")).count() > 8,
        "every status there was: {told:?}"
    );
    assert!(told.iter().any(|(what, _)| what.contains("portfolio")), "the portfolio's too");
    places.extend(told);

    let channel = rig.get("support").await;
    let portfolio = rig.get_of("wap", "acme").await;
    let code_secret = rig.get_of("secret", "support-code").await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let salts = [
        text(&channel["metadata"]["uid"]),
        format!("{}/support", rig.namespace),
        rig.namespace.clone(),
        "support".to_owned(),
        text(&portfolio["metadata"]["uid"]),
        text(&pin["metadata"]["uid"]),
        text(&pin["metadata"]["resourceVersion"]),
        text(&code_secret["metadata"]["uid"]),
        text(&code_secret["metadata"]["resourceVersion"]),
        "support-code".to_owned(),
        "support-pin".to_owned(),
        text(&channel["status"]["phoneNumberId"]),
        DIGITS.to_owned(),
        NUMBER.to_owned(),
        "whatsapp-operator".to_owned(),
    ];
    let leaks = tokio::task::spawn_blocking(move || leak::find(&places, &canaries, &salts)).await;
    let leaks = leaks.expect("the search ends");
    assert!(leaks.is_empty(), "{leaks:#?}");
}

/// Runs a command as an editor of the namespace and keeps what it says.
async fn say(rig: &Rig, editor: &Path, places: &mut Vec<Place>, args: &[&str], input: &str) {
    let output = run_as(editor, rig, args, input).await;
    let said = format!("{}{}", stdout(&output), stderr(&output));
    assert!(!said.is_empty(), "{args:?} says nothing");
    places.push((format!("what {:?} says", args.join(" ")), said));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_is_already_in_the_account_is_adopted() {
    let mut rig = Rig::with_portfolio("adopt").await;
    let existing = Number::new("100000000000777", ACCOUNT, DIGITS, "Acme Support").registered("271828");
    let id = rig.sandbox.add_number(existing);
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    let ready = rig.until_condition("support", "Ready", "True", None).await;
    assert_eq!(ready["status"]["phoneNumberId"], id);
    assert_eq!(count(&rig, DIGITS).get("added"), None);
    assert_eq!(count(&rig, DIGITS).get("registrations"), None);
}
