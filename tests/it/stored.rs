//! What the API server keeps of a status: of an object that nobody has seen, of a newer version, of an edit by hand. And what
//! the operator says of a CRD that keeps something else.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::{Value, json};
use whatsapp_operator::sandbox::Number;

use crate::chart::life::{older_crds, shell};
use crate::rig::{ACCOUNT, BUSINESS, Rig, condition, free_address, http_get, message};

const NUMBER: &str = "+5511912345678";
const CRD: &str = "whatsappchannels.whatsapp-operator.dev";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_no_operator_has_seen_is_current_for_nobody() {
    let mut rig = Rig::with_portfolio("unseen").await;
    rig.channel("support", NUMBER, json!({})).await;
    for (kind, name) in [("wac", "support"), ("wap", "acme")] {
        let object = rig.get_of(kind, name).await;
        assert_eq!(object["status"], json!({"observedGeneration": -1}), "{kind}");
        assert_eq!(object["metadata"]["generation"], 1, "so whoever compares the two waits: {kind}");
    }
    let wait = ["wait", "--for=condition=Ready", "--timeout=3s", "-n", &rig.namespace, "wac/support"];
    assert!(!rig.plane.kubectl(wait).await.status.success(), "nobody has made it ready");

    let told = rig.listen().await;
    rig.start().await;
    for (kind, name) in [("wac", "support"), ("wap", "acme")] {
        let limit = Duration::from_secs(30);
        rig.until_of(kind, name, "a status", limit, |status| status["observedGeneration"] == 1).await;
    }
    rig.onboard("support", NUMBER).await;
    for (kind, name) in [("wac", "support"), ("wap", "acme")] {
        let status = rig.get_of(kind, name).await["status"].to_string();
        let times: Vec<Timestamp> = status.split('"').filter_map(|text| text.parse().ok()).collect();
        assert!(times.len() > 3, "{status}");
        assert!(times.iter().all(|time| time.subsec_nanosecond() == 0), "whole seconds: {status}");
    }
    let told = told.lock().expect("nobody panicked").clone();
    for kind in ["a version of whatsappchannels", "a version of whatsappportfolios"] {
        let versions: Vec<_> = told.iter().filter(|(of, _)| of == kind).map(|(_, text)| text).collect();
        let first = versions.iter().find(|text| text.contains("\"conditions\"")).expect("a status");
        assert!(first.contains("NotObservedYet"), "nothing is looked at before the first: {first}");
    }
}

/// Names one more part of the status in the schema of a kind, as the CRD of a newer version does.
async fn name_in_schema(rig: &Rig, plural: &str, part: &str) {
    let path = format!("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/{part}");
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let patch = json!([{"op": "add", "path": path, "value": open}]).to_string();
    let crd = format!("{plural}.whatsapp-operator.dev");
    let out = rig.plane.kubectl(["patch", "crd", &crd, "--type=json", "-p", &patch]).await;
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Writes what a newer version would, until the API server takes it whole: a new schema is served after a moment.
async fn write_as_newer(rig: &Rig, kind: &str, name: &str, part: &str, more: impl Fn(&mut Value)) {
    for _ in 0..60 {
        let mut status = rig.get_of(kind, name).await["status"].take();
        more(&mut status);
        if rig.write_status(kind, name, &status).await.is_ok() {
            assert!(!rig.get_of(kind, name).await["status"][part].is_null(), "{part} is kept");
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("{part} is not taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_newer_version_wrote_outlives_the_writes_of_this_one() {
    let mut rig = Rig::apart("newer").await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.onboard("support", NUMBER).await;
    let transfer = json!({"to": "300000000000009", "steps": [{"name": "export"}]});
    let newer = |status: &mut Value| {
        status["transfer"] = transfer.clone();
        status["memory"]["ledger"]["transfers"] = json!([{"id": "t-1"}]);
        status["memory"]["marks"]["transferred"] = json!("2026-03-01T12:00:00Z");
    };

    // The schema of this version refuses a write with a part beside those that it names. What remembers is open.
    let mut status = rig.get("support").await["status"].take();
    newer(&mut status);
    let refused = rig.write_status("wac", "support", &status).await.expect_err("the part is not named");
    assert!(refused.contains(".status.transfer: field not declared in schema"), "{refused}");
    let mut open = status.clone();
    open.as_object_mut().expect("members").remove("transfer");
    rig.write_status("wac", "support", &open).await.expect("it is taken");
    assert_eq!(
        rig.get("support").await["status"]["memory"]["ledger"]["transfers"],
        status["memory"]["ledger"]["transfers"]
    );

    // A newer schema, and this version beside it.
    name_in_schema(&rig, "whatsappchannels", "transfer").await;
    name_in_schema(&rig, "whatsappportfolios", "partners").await;
    write_as_newer(&rig, "wac", "support", "transfer", newer).await;
    write_as_newer(&rig, "wap", "acme", "partners", |status| status["partners"] = transfer.clone()).await;

    let written = rig.look("support", "after-the-newer-one").await["status"].take();
    assert_eq!(written["transfer"], transfer);
    assert_eq!(written["memory"]["ledger"]["transfers"], status["memory"]["ledger"]["transfers"]);
    assert_eq!(written["memory"]["marks"]["transferred"], status["memory"]["marks"]["transferred"]);
    rig.edit("wap", "acme", json!({"expect": {"name": "Somebody Else"}})).await;
    let written = rig.until_condition_of("wap", "acme", "IdentityConfirmed", "False", None).await;
    assert_eq!(written["status"]["partners"], transfer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_is_not_understood_is_held_until_it_is_put_right() {
    let mut rig = Rig::with_portfolio("held").await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.onboard("support", NUMBER).await;
    let about = async |text: &str| rig.edit("wac", "support", json!({"profile": {"about": text}})).await;
    let is_held = |status: &Value| {
        condition(status, "Reconciling").is_some_and(|c| c["reason"] == "StatusNotUnderstood")
    };
    let limit = Duration::from_secs(60);
    // The last has a time that the schema takes and that this version cannot read.
    for (at, (edit, back, says)) in [
        (json!({"format": 2}), json!({"format": null}), "status.memory.format is 2"),
        (
            json!({"marks": {"pinSet": "9999-12-31T23:59:59Z"}}),
            json!({"marks": {"pinSet": null}}),
            "status.memory.marks cannot be read",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        rig.edit_status("wac", "support", json!({"memory": edit})).await;
        about(&format!("text {at}")).await;
        let held = rig.until("support", "the hold", limit, is_held).await;
        assert!(message(&held, "Reconciling").starts_with(says), "{}", message(&held, "Reconciling"));
        assert_eq!(condition(&held["status"], "Ready").map(|c| &c["status"]), Some(&json!("True")));
        assert_eq!(held["status"]["waitingFor"][0]["action"], "RunNewerVersion");
        let profiles =
            || rig.effects_on(NUMBER.trim_start_matches('+')).iter().filter(|e| **e == "profile").count();
        assert_eq!(profiles(), at, "nothing is written to Meta");
        for (member, value) in edit.as_object().expect("members") {
            let stands = &held["status"]["memory"][member];
            let kept = value.as_object().map_or(stands == value, |v| v.iter().all(|(k, v)| &stands[k] == v));
            assert!(kept, "{stands}");
        }
        rig.edit_status("wac", "support", json!({"memory": back})).await;
        rig.look("support", &format!("put right {at}")).await;
        rig.until("support", "the profile", limit, |status| !is_held(status) && profiles() == at + 1).await;
    }
}

/// What memory holds and the layout before had at the top of the status.
const BEFORE: [&str; 6] = ["format", "ledger", "inFlight", "consents", "marks", "since"];

/// Serves the CRD of channels as the version before had it, until the API server knows of no memory.
async fn serve_layout_before(rig: &Rig) {
    let out = rig.plane.kubectl(["get", "crd", CRD, "-o", "json"]).await;
    let mut crd: Value = serde_json::from_slice(&out.stdout).expect("a CRD");
    let members = crd
        .pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties")
        .and_then(Value::as_object_mut)
        .expect("a status");
    let memory = members.remove("memory").expect("a memory");
    for part in BEFORE {
        members.insert(part.to_owned(), memory["properties"][part].clone());
    }
    kubectl(rig, &["replace", "-f", "-"], &crd.to_string()).await;
    for _ in 0..60 {
        if let Err(refused) = rig.write_status("wac", "support", &json!({"memory": {}})).await {
            assert!(refused.contains(".status.memory: field not declared in schema"), "{refused}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("the schema of the version before is not served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_version_before_remembered_is_moved_and_nothing_is_done_twice() {
    let mut rig = Rig::apart("layout").await;
    let (digits, id) = (NUMBER.trim_start_matches('+'), "100000000000777");
    let now = Timestamp::now();
    let at = |seconds: i64| (now + SignedDuration::from_secs(seconds)).round(Unit::Second).expect("a time");
    rig.sandbox.add_number(Number::new(id, ACCOUNT, digits, "Acme Support").verified(at(-40)));
    rig.channel("support", NUMBER, json!({})).await;
    serve_layout_before(&rig).await;

    let entry = |id: &str, seconds: i64, outcome: &str, cause: &str| json!({"id": id, "at": at(seconds), "outcome": outcome, "cause": cause});
    let mut asked = entry("c-1", -90, "Accepted", "SendCode");
    asked["consent"] = json!("please");
    let remembered = json!({
        "format": 1,
        "ledger": {
            "adds": [entry("a-1", -120, "Accepted", "Automatic")],
            "codes": [asked],
            "verifications": [entry("v-1", -40, "Accepted", "Secret")],
            "registrations": [entry("r-1", -30, "Started", "Automatic")],
        },
        "inFlight": {
            "id": "r-1", "step": "Register", "reason": "the number is verified", "startedAt": at(-30),
            "sendBefore": at(-20), "settleUntil": at(600), "generation": 1,
        },
        "consents": {"sendCode": {"value": "please", "at": at(-90), "usedFor": "RequestCode"}},
        "marks": {"added": at(-120)},
        "since": {"EnterCode": at(-90)},
    });
    let mut status = json!({
        "observedGeneration": 1, "businessId": BUSINESS, "accountId": ACCOUNT, "phoneNumberId": id,
    });
    status.as_object_mut().expect("members").extend(remembered.as_object().expect("members").clone());
    rig.write_status("wac", "support", &status).await.expect("the version before wrote it");
    rig.annotate("support", "send-code", "please").await;
    assert_eq!(rig.get("support").await["status"], status);

    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_whatsapp-operator")).arg("crd").output();
    let printed = String::from_utf8(printed.expect("it runs").stdout).expect("YAML");
    kubectl(&rig, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &printed).await;
    rig.start().await;
    let moved = rig.until("support", "a memory", Duration::from_secs(60), |s| s["memory"].is_object()).await;
    let looked = rig.look("support", "once more").await;
    for status in [&moved["status"], &looked["status"]] {
        for part in BEFORE {
            assert!(status[part].is_null(), "nothing is left at the top: {status:#}");
        }
        for part in ["format", "ledger", "inFlight", "marks"] {
            assert_eq!(status["memory"][part], remembered[part], "{part}");
        }
        assert_eq!(status["memory"]["consents"]["sendCode"], remembered["consents"]["sendCode"]);
    }
    rig.until_condition("support", "Registered", "False", Some("EffectNotVisibleYet")).await;
    assert!(rig.effects_on(digits).is_empty(), "{:?}", rig.effects_on(digits));
}

/// Runs kubectl, with more on its standard input, and it has to succeed.
async fn kubectl(rig: &Rig, args: &[&str], input: &str) {
    let out = rig.plane.kubectl_with_input(args, input).await;
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Changes the schema of channels, by a path in it.
async fn patch_schema(rig: &Rig, mut op: Value) {
    let path = op["path"].as_str().expect("a path");
    op["path"] = json!(format!("/spec/versions/0/schema/openAPIV3Schema{path}"));
    kubectl(rig, &["patch", "crd", CRD, "--type=json", "-p", &json!([op]).to_string()], "").await;
}

/// Waits until the API server publishes schemas that say this, or that do not.
async fn until_published(rig: &Rig, text: &str, is_there: bool) {
    for _ in 0..150 {
        let of = "/openapi/v3/apis/whatsapp-operator.dev/v1alpha1";
        let out = rig.plane.kubectl(["get", "--raw", of]).await;
        if String::from_utf8_lossy(&out.stdout).contains(text) == is_there {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{text}: never {is_there}");
}

/// Waits until an operator says this of its readiness, with this code.
pub async fn until_readiness(at: std::net::SocketAddr, code: &str, says: &str) -> String {
    let mut last = String::new();
    for _ in 0..300 {
        last = http_get(at, "/readyz").await.unwrap_or_default();
        if last.starts_with(&format!("HTTP/1.1 {code}")) && last.contains(says) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("not said: {code} {says}\n{last}");
}

/// Runs the command that readiness names.
fn do_as_said(rig: &Rig, said: &str) {
    let command = said.split("run: ").nth(1).and_then(|rest| rest.split(['"', ';', '\n']).next());
    let command = command.unwrap_or_else(|| panic!("no command: {said}"));
    shell(rig.plane, command).unwrap_or_else(|error| panic!("{command}: {error}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_tells_of_a_crd_of_another_version() {
    let mut rig = Rig::apart("crds").await;
    let health = free_address();
    let flags = ["--health-listen", &health.to_string()];

    // The operator watches a single namespace, and has no right in the cluster: what the API server publishes is enough.
    let mut operator = rig.spawn_operator(&flags).await;
    assert!(!until_readiness(health, "200", "").await.contains(CRD), "nothing is to be said");
    operator.kill_nine();

    let title = |revision: &str| json!({"op": "replace", "path": "/title", "value": format!("whatsapp-operator.dev/schema: {revision}")});
    patch_schema(&rig, title("0.aa")).await;
    until_published(&rig, "schema: 0.aa", true).await;
    let mut operator = rig.spawn_operator(&flags).await;
    let said = until_readiness(health, "503", &format!("{CRD} is not the one of this version")).await;
    assert!(said.contains("its schema is revision 0") && said.contains("crd | kubectl apply --server-side"));
    // The operator was rolled back, and the CRDs were not.
    patch_schema(&rig, title("900.aa")).await;
    until_readiness(health, "200", &format!("{CRD} is of a newer version")).await;
    operator.kill_nine();

    // Without the title, as before this version, the members tell.
    for path in ["/title", "/properties/status/properties/format"] {
        patch_schema(&rig, json!({"op": "remove", "path": path})).await;
    }
    until_published(&rig, "schema: 900.aa", false).await;
    let mut operator = rig.spawn_operator(&flags).await;
    let said = until_readiness(health, "503", "it does not name status.format and 0 others").await;
    do_as_said(&rig, &said);
    assert!(!until_readiness(health, "200", "").await.contains(CRD), "nothing is to be said any more");
    operator.kill_nine();

    // Whoever owns the older ones, what is said is enough.
    for owner in ["helm", "kubectl"] {
        let files = older_crds().map(|file| format!("-f {}", file.display())).join(" ");
        let apply = format!("kubectl apply --server-side --force-conflicts --field-manager={owner} {files}");
        shell(rig.plane, &apply).expect("the older ones are there");
        let mut operator = rig.spawn_operator(&flags).await;
        let said = until_readiness(health, "503", "it does not name spec.acknowledge and").await;
        do_as_said(&rig, &said);
        assert!(!until_readiness(health, "200", "").await.contains(CRD), "{owner}");
        operator.kill_nine();
    }
}
