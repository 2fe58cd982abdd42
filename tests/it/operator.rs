//! The operator as a process on a real API server, with the chart's account, against the sandbox.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};
use whatsapp_operator::sandbox::{Fault, FaultKind, Hold, Match, Number, ReviewPolicy, Verdict, What};

use crate::rig::{ACCOUNT, Rig, condition, free_address, http_get};

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

    // The portfolio's count of its channels belongs to the way, not to the rest.
    tokio::time::sleep(Duration::from_secs(35)).await;
    let mark = rig.plane.mark().await;
    let meta = rig.sandbox.effects().len();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let writes = rig.writes_since(mark).await;
    assert!(writes.is_empty(), "a settled channel causes no writes: {writes:#?}");
    assert_eq!(rig.sandbox.effects().len(), meta, "nor anything at Meta");

    rig.operator().terminate();
    assert!(rig.operator().wait(Duration::from_secs(30)).await.is_some_and(|status| status.success()));
    let mark = rig.plane.mark().await;
    rig.start().await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let writes = rig.writes_since(mark).await;
    assert!(writes.is_empty(), "a restart writes nothing: {writes:#?}");
    assert_eq!(rig.sandbox.effects().len(), meta, "nor does it do anything at Meta");
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
    assert_eq!(written["status"]["inFlight"]["step"], step, "the intent stands before the call");
    rig.operator().kill_nine();
    rig.start().await;

    if step == "RequestCode" {
        // It counts as sent: nobody asks again, and the code that came is used.
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
async fn a_status_apply_from_an_old_copy_is_refused_and_the_ledger_stays() {
    let mut rig = Rig::with_portfolio("old").await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    let old = rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate("support", "send-code", "one").await;
    let new = rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    assert!(new["status"]["ledger"]["codes"].as_array().is_some_and(|codes| codes.len() == 1));

    let apply = json!({
        "apiVersion": old["apiVersion"], "kind": old["kind"],
        "metadata": {"name": "support", "namespace": rig.namespace, "resourceVersion": old["metadata"]["resourceVersion"]},
        "status": old["status"],
    });
    let out = rig
        .plane
        .kubectl_with_input(
            [
                "apply",
                "--server-side",
                "--force-conflicts",
                "--field-manager=whatsapp-operator",
                "--subresource=status",
                "-f",
                "-",
            ],
            &apply.to_string(),
        )
        .await;
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.contains("the object has been modified"), "{said}");
    assert_eq!(rig.get("support").await["status"]["ledger"], new["status"]["ledger"]);
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
    rig.until("support", "an intent", Duration::from_secs(30), |s| s["inFlight"]["step"] == "AddNumber")
        .await;
    let health = rig.health();
    assert!(http_get(health, "/readyz").await.is_some_and(|reply| reply.starts_with("HTTP/1.1 200")));
    // Whoever keeps a connection to the health server must not keep the operator.
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
    assert!(status["inFlight"].is_null(), "{status:#}");
    assert!(status["phoneNumberId"].is_string(), "{status:#}");
    assert_eq!(count(&rig, DIGITS).get("added"), Some(&1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_that_leaves_the_operator_holds_a_secret() {
    let mut rig = Rig::with_portfolio("canary").await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({"registration": {"pinPolicy": "Keep"}})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate("support", "send-code", "one").await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    let code = rig.sandbox.delivered_code(DIGITS).expect("a code");
    rig.type_code("support", NUMBER).await;
    let ready = rig.until_condition("support", "Ready", "True", None).await;
    let out = rig
        .plane
        .kubectl(["get", "secret", "support-pin", "-n", &rig.namespace, "-o", "jsonpath={.data.pin}"])
        .await;
    let pin = from_base64(&String::from_utf8_lossy(&out.stdout)).and_then(|pin| String::from_utf8(pin).ok());
    let pin = pin.expect("the PIN is text");
    assert_eq!(pin.len(), 6);

    let events = rig.plane.kubectl(["get", "events", "-n", &rig.namespace, "-o", "json"]).await;
    let everything = [
        ready["status"].to_string(),
        String::from_utf8_lossy(&events.stdout).into_owned(),
        rig.logs(),
        rig.metrics().await,
        rig.cli(&["status", "support"]).await,
        rig.cli(&["status", "support", "-o", "json"]).await,
    ]
    .join("\n");
    for (what, secret) in [("token", rig.token.as_str()), ("code", &code), ("PIN", &pin)] {
        assert!(!everything.contains(secret), "the {what} leaked");
    }
    assert_no_digest_of_six_digits(&everything);
}

/// Every word that could be a digest, in hex or base64, is compared with the digests of all six-digit values.
///
/// The space has only a million values, so whoever finds such a digest has the value.
fn assert_no_digest_of_six_digits(text: &str) {
    use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512, digest};
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '_');
    let suspects: std::collections::HashSet<Vec<u8>> = text
        .split(|c| !is_word(c))
        .filter(|word| word.len() >= 16)
        .flat_map(|word| [from_hex(word), from_base64(word)])
        .flatten()
        .collect();
    for value in 0..1_000_000_u32 {
        let value = format!("{value:06}");
        for algorithm in [&SHA1_FOR_LEGACY_USE_ONLY, &SHA256, &SHA512] {
            let digest = digest(algorithm, value.as_bytes());
            for length in [8, 16, digest.as_ref().len()] {
                assert!(!suspects.contains(&digest.as_ref()[..length]), "a digest of six digits leaked");
            }
        }
    }
}

fn from_hex(word: &str) -> Option<Vec<u8>> {
    let pairs = word.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn from_base64(word: &str) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for byte in word.bytes().filter(|b| *b != b'=') {
        let value = ALPHABET.iter().position(|a| *a == byte)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Some(bytes)
}

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[test]
fn the_search_for_digests_finds_one() {
    let hex = "8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92";
    let base64 = "jZae727K08KaOmKSgOaGzww/XVqGr/PKEgIMkjrcbJI=";
    for leak in [hex, base64] {
        let text = format!("{{\"note\": \"seen {leak}\"}}");
        assert!(std::panic::catch_unwind(|| assert_no_digest_of_six_digits(&text)).is_err(), "{leak}");
    }
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
