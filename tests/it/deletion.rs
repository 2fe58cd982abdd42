//! Deleting channels and portfolios on a real API server: what is taken back, what is left, what the events say of it, and
//! that it ends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use whatsapp_operator::sandbox::{Account, App, CallRecord, Fault, FaultKind, Match, Number, What};

use crate::{
    cli::{stderr, stdout},
    rig::{ACCOUNT, APP, BUSINESS, Rig, message},
};

/// Another account of the portfolio.
const BESIDE: &str = "300000000000002";
const FINALIZER: &str = "whatsapp-operator.dev/cleanup";
const HOOK: &str = "https://bot.acme.example/wa";
/// A deletion that cannot do anything gives up after its timeout of ten seconds, and a look or two.
const SOON: Duration = Duration::from_secs(180);

fn digits(n: usize) -> String {
    format!("55119150{n:05}")
}

fn id(n: usize) -> String {
    format!("1000000000{n:05}")
}

/// A registered number with the override of the channels here.
fn number(n: usize) -> Number {
    let mut number = Number::new(&id(n), ACCOUNT, &digits(n), "Acme Support").registered("135790");
    number.webhook.callback = Some(HOOK.into());
    number
}

/// A rig whose Meta has so many such numbers, and the Secret that their webhooks need.
async fn rig(prefix: &str, numbers: usize) -> Rig {
    let rig = Rig::with_portfolio(prefix).await;
    for n in 0..numbers {
        rig.sandbox.add_number(number(n));
    }
    assert!(rig.sandbox.set_field(ACCOUNT, "subscriptions", json!({APP: {}})));
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "bot", "labels": {"whatsapp-operator.dev/use": "verify-token"}},
        "stringData": {"verify": "word"},
    }))
    .await;
    rig
}

/// A channel of number `n`, whose deletion tries for ten seconds.
async fn channel(rig: &Rig, name: &str, n: usize, policy: &str) {
    let more = json!({
        "accountId": ACCOUNT, "deletionPolicy": policy, "deletionTimeoutSeconds": 10,
        "webhook": {"callbackUrl": HOOK, "verifyTokenSecretRef": {"name": "bot", "key": "verify"}},
    });
    rig.channel(name, &format!("+{}", digits(n)), more).await;
}

/// What an operator remembers that registered a number itself.
const OWN: [&str; 3] = ["added", "registered", "seenRegistered"];

/// The same as an operator left it that registered the number itself. One by one they would take minutes, so only "brought"
/// below is brought up, and what is written here is compared with what that leaves.
async fn registered(rig: &Rig, name: &str, n: usize, policy: &str) {
    channel(rig, name, n, policy).await;
    let marks: serde_json::Map<_, _> =
        OWN.map(|mark| (mark.into(), json!("2026-01-01T00:00:00Z"))).into_iter().collect();
    rig.edit_status(
        "wac",
        name,
        json!({
            "observedGeneration": 1, "businessId": BUSINESS, "accountId": ACCOUNT, "phoneNumberId": id(n),
            "memory": {"marks": marks},
        }),
    )
    .await;
}

fn has_finalizer(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|all| all.contains(&json!(FINALIZER)))
}

/// Waits until the finalizer is on the object, or is not.
async fn until_finalizer(rig: &Rig, kind: &str, name: &str, expected: bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while has_finalizer(&rig.get_of(kind, name).await) != expected {
        assert!(Instant::now() < deadline, "{kind} {name}: finalizer {expected} never\n{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn kubectl(rig: &Rig, args: &[&str]) -> String {
    let out = rig.plane.kubectl(args.iter().copied().chain(["-n", &rig.namespace])).await;
    assert!(out.status.success(), "{args:?}: {}", stderr(&out));
    stdout(&out)
}

async fn delete(rig: &Rig, kind: &str, names: &[&str]) {
    let mut args = vec!["delete", kind, "--wait=false"];
    args.extend(names);
    kubectl(rig, &args).await;
}

pub async fn until_gone(rig: &Rig, kind: &str, name: &str, limit: Duration) {
    let deadline = Instant::now() + limit;
    while let Some(found) = rig.find(kind, name).await {
        assert!(Instant::now() < deadline, "{name} does not go: {found:#}\n{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The event of a reason about an object, once it is there.
pub async fn event(rig: &Rig, name: &str, reason: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let listed: Value =
            serde_json::from_str(&kubectl(rig, &["get", "events.events.k8s.io", "-o", "json"]).await)
                .expect("JSON");
        let items = listed["items"].as_array().expect("a list");
        let found = items.iter().find(|e| e["regarding"]["name"] == name && e["reason"] == reason);
        if let Some(found) = found {
            return found["note"].as_str().unwrap_or_default().to_owned();
        }
        let told: Vec<String> =
            items.iter().map(|e| format!("{} {}", e["regarding"]["name"], e["reason"])).collect();
        assert!(Instant::now() < deadline, "no event {reason} of {name}: {told:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn overridden(rig: &Rig, n: usize) -> Option<String> {
    rig.sandbox.number(&digits(n)).and_then(|number| number.webhook.callback)
}

fn deregistered(rig: &Rig, n: usize) -> usize {
    rig.sandbox.count(|what| matches!(what, What::Deregistered { digits: of } if *of == digits(n)))
}

/// How often the number's own override was taken away.
fn unrouted(rig: &Rig, n: usize) -> usize {
    let is_it = |what: &What| matches!(what, What::Overridden { target, url: None } if *target == digits(n));
    rig.sandbox.count(is_it)
}

/// How many writes to an edge of the number got as far as the sandbox; `phone` is the number itself.
fn sent(rig: &Rig, n: usize, edge: &str) -> usize {
    let end = if edge == "phone" { "}".to_owned() } else { format!("/{edge}") };
    let calls = rig.sandbox.calls();
    let is_it =
        |call: &&CallRecord| call.method == "POST" && call.id == Some(id(n)) && call.path.ends_with(&end);
    calls.iter().filter(is_it).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_the_channels_own_is_taken_back_and_the_event_says_what_was_left() {
    let mut rig = rig("away", 13).await;
    rig.sandbox.add_account(Account::new(BESIDE, BUSINESS, "Acme Shop"));
    for n in 10..13 {
        rig.sandbox.add_number(number(n).also_in(BESIDE));
    }
    rig.start().await;
    let names = ["retain", "unroute", "other", "moved", "deleted", "suspended", "skipped"];
    for (n, name) in names.into_iter().enumerate() {
        channel(&rig, name, n, if name == "retain" { "Retain" } else { "Unroute" }).await;
    }
    channel(&rig, "found", 7, "Deregister").await;
    registered(&rig, "own", 8, "Deregister").await;
    registered(&rig, "moved-own", 9, "Deregister").await;
    channel(&rig, "shared-unroute", 10, "Unroute").await;
    registered(&rig, "shared", 11, "Deregister").await;
    registered(&rig, "shared-said", 12, "Deregister").await;
    rig.edit("wac", "shared-said", json!({"acknowledge": ["DeregisterSharedNumber"]})).await;
    // Nobody registered this one yet, so the operator does.
    let number = Number::new(&id(13), ACCOUNT, &digits(13), "Acme Support");
    rig.sandbox.add_number(number.verified(rig.sandbox.now()));
    channel(&rig, "brought", 13, "Deregister").await;
    let more = ["found", "own", "moved-own", "shared-unroute", "shared", "shared-said", "brought"];
    let all: Vec<&str> = names.into_iter().chain(more).collect();
    for name in &all {
        rig.until_condition(name, "Ready", "True", None).await;
        until_finalizer(&rig, "wac", name, *name != "retain").await;
    }
    until_finalizer(&rig, "wap", "acme", true).await;
    let brought = rig.get_of("wac", "brought").await;
    let marks = brought["status"]["memory"]["marks"].as_object().expect("it remembers");
    let times: Vec<&str> =
        OWN.into_iter().filter(|mark| marks.get(*mark).is_some_and(Value::is_string)).collect();
    assert_eq!(times, OWN, "what the tests put into a status is what an operator writes: {marks:#?}");
    assert_eq!(rig.sandbox.count(|what| matches!(what, What::Registered { .. })), 1);

    // The finalizer follows the policy, both ways, and nothing else is written to the object.
    for (policy, expected) in [("Unroute", true), ("Retain", false)] {
        rig.edit("wac", "retain", json!({"deletionPolicy": policy})).await;
        until_finalizer(&rig, "wac", "retain", expected).await;
    }
    rig.edit("wac", "suspended", json!({"suspend": true})).await;
    rig.until_condition("suspended", "WebhookRouted", "True", None).await;
    rig.sandbox.set_field(&digits(2), "webhook", json!({"callback": "https://other.example/wa"}));
    rig.sandbox.set_field(&digits(3), "status", json!("MIGRATED"));
    rig.sandbox.set_field(&digits(9), "status", json!("MIGRATED"));
    assert!(rig.sandbox.delete_number(&digits(4)));
    rig.annotate("skipped", "skip-cleanup", "true").await;
    // The time of a deletion is in whole seconds, so a list of the same second counts as one from after it.
    tokio::time::sleep(Duration::from_millis(1_100)).await;

    let begun = Instant::now();
    delete(&rig, "wac", &all).await;
    for name in &all {
        until_gone(&rig, "wac", name, SOON).await;
    }
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let told = [
        ("unroute", "CleanedUp", "was removed"),
        ("other", "Retained", "another address"),
        ("moved", "CleanedUp", "was moved"),
        ("deleted", "CleanedUp", "is not in account"),
        ("suspended", "LeftAtMeta", "spec.suspend is true"),
        ("skipped", "LeftAtMeta", "skip-cleanup"),
        ("found", "CleanedUp", "this object did not make it"),
        ("own", "CleanedUp", "was deregistered"),
        ("moved-own", "CleanedUp", "was moved"),
        ("shared-unroute", "CleanedUp", "was removed"),
        ("shared", "LeftAtMeta", "is in account 300000000000002 too"),
        ("shared-said", "CleanedUp", "was deregistered"),
        ("brought", "CleanedUp", "deregist"),
    ];
    for (name, reason, words) in told {
        let note = event(&rig, name, reason).await;
        assert!(note.contains(words), "{name}: {note}");
    }
    let left: Vec<usize> = (0..14).filter(|n| overridden(&rig, *n).is_some()).collect();
    assert_eq!(left, [0, 2, 3, 5, 6, 9], "numbers that still have an override");
    let ended: Vec<usize> = (0..14).filter(|n| deregistered(&rig, *n) > 0).collect();
    assert_eq!(ended, [8, 12, 13], "numbers that were deregistered");
    assert_eq!(rig.sandbox.count(|what| matches!(what, What::Unsubscribed { .. })), 0);
    let kept = rig.get_of("ConfigMap", &format!("whatsapp-attempts-{}", digits(8))).await;
    assert!(kept["data"]["attempts.json"].as_str().is_some_and(|text| text.contains("deregistrations")));
    // Nobody needs the portfolio any more.
    until_finalizer(&rig, "wap", "acme", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_cannot_be_reached_a_deletion_ends_in_its_time() {
    const ROWS: [&str; 6] = ["hidden", "down", "secret", "throttled", "revoked", "portfolio"];
    let mut rig = rig("away-rows", ROWS.len() * 3).await;
    let names = |row: usize| [format!("{}-u", ROWS[row]), format!("{}-d", ROWS[row])];
    let retained = |row: usize| format!("{}-r", ROWS[row]);
    for row in 0..ROWS.len() {
        let [unroute, deregister] = names(row);
        channel(&rig, &unroute, row * 2, "Unroute").await;
        registered(&rig, &deregister, row * 2 + 1, "Deregister").await;
        channel(&rig, &retained(row), ROWS.len() * 2 + row, "Retain").await;
    }
    rig.start().await;
    for row in 0..ROWS.len() {
        for name in names(row) {
            rig.until_condition(&name, "Ready", "True", None).await;
            until_finalizer(&rig, "wac", &name, true).await;
        }
        rig.until_condition(&retained(row), "Ready", "True", None).await;
    }
    until_finalizer(&rig, "wap", "acme", true).await;
    for (row, what) in ROWS.into_iter().enumerate() {
        let hidden = json!({"error": {"message": "Unsupported get request", "type": "GraphMethodException", "code": 100, "error_subcode": 33}});
        match what {
            "down" => rig.sandbox.inject(Fault { on: Match::any(), kind: FaultKind::Disconnect }),
            "hidden" => {
                // It counts as gone at the second look.
                for name in names(row) {
                    rig.edit("wac", &name, json!({"deletionTimeoutSeconds": 600})).await;
                }
                for edge in ["waba", "phone_numbers"] {
                    let kind = FaultKind::Error { envelope: hidden.clone() };
                    rig.sandbox.inject(Fault { on: Match::on("GET", edge), kind });
                }
                // The time of a deletion is in whole seconds, so a list of the same second counts as one from after it.
                tokio::time::sleep(Duration::from_millis(1_100)).await;
            }
            "secret" => {
                // The token in use serves until the operator ends.
                kubectl(&rig, &["delete", "secret", "acme-meta"]).await;
                rig.operator().kill_nine();
                rig.operator().wait(Duration::from_secs(10)).await;
                rig.start().await;
                rig.until_condition_of("wap", "acme", "CredentialsValid", "False", None).await;
            }
            "throttled" => {
                rig.secret("acme-meta", json!({"token": rig.token})).await;
                rig.until_condition_of("wap", "acme", "Ready", "True", None).await;
                let kind = FaultKind::Throttle { code: 80_008, minutes: 30 };
                rig.sandbox.inject(Fault { on: Match::any(), kind });
            }
            "revoked" => assert!(rig.sandbox.revoke_token(&rig.token)),
            _ => {
                // Somebody does not wait for it.
                delete(&rig, "wap", &["acme"]).await;
                kubectl(
                    &rig,
                    &["patch", "wap", "acme", "--type=merge", "-p", r#"{"metadata":{"finalizers":[]}}"#],
                )
                .await;
                until_gone(&rig, "wap", "acme", SOON).await;
            }
        }
        // Without a finalizer it goes at once, whatever Meta does.
        let (name, n) = (retained(row), ROWS.len() * 2 + row);
        delete(&rig, "wac", &[&name]).await;
        until_gone(&rig, "wac", &name, Duration::from_secs(5)).await;
        assert_eq!((overridden(&rig, n).as_deref(), deregistered(&rig, n)), (Some(HOOK), 0), "{name}");
        let names = names(row);
        let begun = Instant::now();
        delete(&rig, "wac", &names.each_ref().map(String::as_str)).await;
        if what == "down" {
            // What it waits for can be read while it does.
            let going = rig.until_condition(&names[0], "Ready", "False", Some("CleaningUp")).await;
            assert_eq!(going["status"]["stage"], "Deleting");
            assert!(message(&going, "Ready").contains("Unroute"), "{}", message(&going, "Ready"));
        }
        for (name, n) in names.iter().zip([row * 2, row * 2 + 1]) {
            until_gone(&rig, "wac", name, SOON).await;
            let note = event(&rig, name, "LeftAtMeta").await;
            assert!(note.contains(&id(n)) && note.contains("override_callback_uri"), "{name}: {note}");
            let is_told = what != "hidden" || note.contains("shows neither account");
            assert!(is_told, "{name}: {note}");
            assert_eq!(note.contains("/deregister"), name.ends_with("-d"), "{name}: {note}");
            assert_eq!(overridden(&rig, n).as_deref(), Some(HOOK), "{name}");
            assert_eq!(deregistered(&rig, n), 0, "{name}");
        }
        assert!(begun.elapsed() < SOON, "{what}: {:?}", begun.elapsed());
        rig.sandbox.clear_faults();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_goes_on_after_a_restart_and_begins_when_no_operator_ran_and_ends_in_a_namespace_that_goes()
 {
    let mut rig = rig("away-restart", 9).await;
    for n in 0..9 {
        // The first four of them have more to be taken back.
        registered(&rig, &format!("c{n}"), n, if n < 4 { "Deregister" } else { "Unroute" }).await;
    }
    rig.start().await;
    for n in 0..9 {
        rig.until_condition(&format!("c{n}"), "Ready", "True", None).await;
        until_finalizer(&rig, "wac", &format!("c{n}"), true).await;
    }
    // No answer comes, and the process dies meanwhile: two calls had their effect, and one did not get to Meta.
    let begun = [
        (0, "deregister", FaultKind::TimeoutAfter),
        (7, "phone", FaultKind::TimeoutAfter),
        (8, "phone", FaultKind::TimeoutBefore),
    ];
    for (n, edge, kind) in begun {
        rig.sandbox.inject(Fault { on: Match::on("POST", edge).times(1), kind });
        let name = format!("c{n}");
        rig.edit("wac", &name, json!({"deletionTimeoutSeconds": 600})).await;
        delete(&rig, "wac", &[&name]).await;
        let deadline = Instant::now() + Duration::from_secs(60);
        while sent(&rig, n, edge) == 0 {
            assert!(Instant::now() < deadline, "{name}: {}", rig.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    rig.operator().kill_nine();
    rig.operator().wait(Duration::from_secs(10)).await;
    let standing = rig.get("c0").await;
    assert_eq!(standing["status"]["memory"]["inFlight"]["step"], "Deregister", "{standing:#}");
    assert_eq!((overridden(&rig, 7), overridden(&rig, 8).as_deref()), (None, Some(HOOK)));
    for name in ["c7", "c8"] {
        assert!(has_finalizer(&rig.get(name).await), "{name} is half-way");
    }
    // While no operator runs, more are deleted, and their time is long over when one does.
    delete(&rig, "wac", &["c1", "c4"]).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    for name in ["c1", "c4"] {
        assert!(rig.find("wac", name).await.is_some(), "{name} waits for an operator");
    }
    rig.start().await;
    let ends = [
        (0, "deregistered", [1, 1]),
        (1, "deregistered", [1, 1]),
        (4, "was removed", [1, 0]),
        // Where the process lived to see that no answer came, it knows that it removed it.
        (7, "", [1, 0]),
        (8, "was removed", [2, 0]),
    ];
    for (n, words, calls) in ends {
        let name = format!("c{n}");
        until_gone(&rig, "wac", &name, SOON).await;
        let note = event(&rig, &name, "CleanedUp").await;
        assert!(note.contains(words), "{name}: {note}");
        assert_eq!((deregistered(&rig, n), overridden(&rig, n)), (usize::from(n < 4), None), "{name}");
        assert_eq!(unrouted(&rig, n), 1, "{name}: taken back once");
        assert_eq!(
            ["phone", "deregister"].map(|edge| sent(&rig, n, edge)),
            calls,
            "{name}: its effect was seen"
        );
    }

    // Four go with their namespace, which takes no events any more; Meta is there for two of them.
    let out = rig.plane.kubectl(["delete", "namespace", &rig.namespace, "--wait=false"]).await;
    assert!(out.status.success(), "{}", stderr(&out));
    delete(&rig, "wac", &["c2", "c5"]).await;
    for n in [2, 5] {
        until_gone(&rig, "wac", &format!("c{n}"), SOON).await;
        assert_eq!((deregistered(&rig, n), overridden(&rig, n)), (usize::from(n < 4), None), "{n}");
    }
    rig.sandbox.inject(Fault { on: Match::any(), kind: FaultKind::Disconnect });
    delete(&rig, "wac", &["c3", "c6"]).await;
    for n in [3, 6] {
        until_gone(&rig, "wac", &format!("c{n}"), SOON).await;
    }
    let logs = rig.logs();
    for n in [3, 6] {
        let is_it = |line: &str| {
            line.contains("LeftAtMeta") && line.contains(&format!("c{n}")) && line.contains(&id(n))
        };
        assert!(logs.lines().any(is_it), "the log is the only account of c{n}:\n{logs}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_portfolio_waits_for_its_channels_and_not_for_ever() {
    const OTHER: &str = "200000000000009";
    let mut rig = rig("away-portfolio", 2).await;
    rig.sandbox.add_app(App::new(OTHER, "Another"));
    rig.sandbox.set_field(ACCOUNT, "subscriptions", json!({APP: {}, OTHER: {}}));
    registered(&rig, "together", 0, "Deregister").await;
    rig.edit("wac", "together", json!({"deletionTimeoutSeconds": 120})).await;
    rig.start().await;
    rig.until_condition("together", "Ready", "True", None).await;
    until_finalizer(&rig, "wap", "acme", true).await;

    // Portfolio first, channel a moment later, as `kubectl delete -f` may do.
    delete(&rig, "wap", &["acme"]).await;
    let waiting = rig.until_condition_of("wap", "acme", "Ready", "False", Some("CleaningUp")).await;
    assert!(message(&waiting, "Ready").contains("together"), "{}", message(&waiting, "Ready"));
    // An edit still counts while it goes.
    rig.edit("wac", "together", json!({"acknowledge": ["DeregisterSharedNumber"]})).await;
    delete(&rig, "wac", &["together"]).await;
    until_gone(&rig, "wac", "together", SOON).await;
    assert!(event(&rig, "together", "CleanedUp").await.contains("deregistered"));
    until_gone(&rig, "wap", "acme", SOON).await;
    assert_eq!((deregistered(&rig, 0), overridden(&rig, 0)), (1, None));

    // A channel that nobody deletes holds its portfolio for as long as its own deletion would take.
    rig.portfolio("acme", json!({})).await;
    channel(&rig, "stays", 1, "Unroute").await;
    rig.until_condition("stays", "Ready", "True", None).await;
    until_finalizer(&rig, "wap", "acme", true).await;
    delete(&rig, "wap", &["acme"]).await;
    until_gone(&rig, "wap", "acme", Duration::from_secs(110)).await;
    let note = event(&rig, "acme", "LeftAtMeta").await;
    assert!(note.contains("stays"), "{note}");
    assert!(rig.find("wac", "stays").await.is_some());
}

/// A company's own rule against finalizers.
fn no_finalizers(namespace: &str) -> String {
    let name = format!("no-finalizers-{namespace}");
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["whatsapp-operator.dev"], "apiVersions": ["*"], "operations": ["UPDATE"],
                "resources": ["whatsappchannels", "whatsappportfolios"],
            }]},
            "validations": [{
                "expression": "!has(object.metadata.finalizers) || size(object.metadata.finalizers) == 0",
                "message": "company rule 9: no finalizers", "reason": "Invalid",
            }]
        }
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
        }
    });
    format!("{policy}\n---\n{binding}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_policy_denies_finalizers_channels_are_served_without_them() {
    let mut rig = rig("away-denied", 2).await;
    // From before the rule: it needs its portfolio until the end.
    channel(&rig, "held", 1, "Unroute").await;
    let patch = json!({"metadata": {"finalizers": [FINALIZER]}}).to_string();
    kubectl(&rig, &["patch", "wac", "held", "--type=merge", "-p", &patch]).await;
    let applied = rig.plane.kubectl_with_input(["apply", "-f", "-"], &no_finalizers(&rig.namespace)).await;
    assert!(applied.status.success(), "{}", stderr(&applied));
    // The API server takes a moment to keep to it.
    let patch = r#"{"metadata":{"finalizers":["example.com/probe"]}}"#;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let args = ["patch", "wap", "acme", "--type=merge", "--dry-run=server", "-p", patch, "-n"];
        let out = rig.plane.kubectl(args.into_iter().chain([rig.namespace.as_str()])).await;
        if stderr(&out).contains("company rule 9") {
            break;
        }
        assert!(Instant::now() < deadline, "the policy is not kept to: {} {}", stdout(&out), stderr(&out));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    channel(&rig, "served", 0, "Unroute").await;
    rig.start().await;
    let served = rig.until_condition("served", "Ready", "True", None).await;
    assert!(!has_finalizer(&served) && !has_finalizer(&rig.get_of("wap", "acme").await));
    rig.until_condition("held", "Ready", "True", None).await;
    for name in ["acme", "served"] {
        assert!(event(&rig, name, "FinalizerNotWritten").await.contains("company rule 9"), "{name}");
    }
    let told = rig.logs().matches("the finalizer cannot be written").count();
    assert!((2..=4).contains(&told), "told {told} times:\n{}", rig.logs());
}
