//! What the API server keeps of a status: of an object that nobody has seen, of a newer version, of an edit by hand. And what
//! the operator says of a CRD that keeps something else.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Rig, condition, free_address, http_get, message};

const NUMBER: &str = "+5511912345678";

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
        status["ledger"]["transfers"] = json!([{"id": "t-1"}]);
        status["marks"]["transferred"] = json!("2026-03-01T12:00:00Z");
    };

    // The schema of this version refuses a write with a part beside those that it names. What remembers is open.
    let mut status = rig.get("support").await["status"].take();
    newer(&mut status);
    let refused = rig.write_status("wac", "support", &status).await.expect_err("the part is not named");
    assert!(refused.contains(".status.transfer: field not declared in schema"), "{refused}");
    let mut open = status.clone();
    open.as_object_mut().expect("members").remove("transfer");
    rig.write_status("wac", "support", &open).await.expect("it is taken");
    assert_eq!(rig.get("support").await["status"]["ledger"]["transfers"], status["ledger"]["transfers"]);

    // A newer schema, and this version beside it.
    name_in_schema(&rig, "whatsappchannels", "transfer").await;
    name_in_schema(&rig, "whatsappportfolios", "partners").await;
    write_as_newer(&rig, "wac", "support", "transfer", newer).await;
    write_as_newer(&rig, "wap", "acme", "partners", |status| status["partners"] = transfer.clone()).await;

    let written = rig.look("support", "after-the-newer-one").await["status"].take();
    assert_eq!(written["transfer"], transfer);
    assert_eq!(written["ledger"]["transfers"], status["ledger"]["transfers"]);
    assert_eq!(written["marks"]["transferred"], status["marks"]["transferred"]);
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
        (json!({"format": 2}), json!({"format": null}), "status.format is 2"),
        (
            json!({"marks": {"pinSet": "9999-12-31T23:59:59Z"}}),
            json!({"marks": {"pinSet": null}}),
            "status.marks cannot be read",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        rig.edit_status("wac", "support", edit.clone()).await;
        about(&format!("text {at}")).await;
        let held = rig.until("support", "the hold", limit, is_held).await;
        assert!(message(&held, "Reconciling").starts_with(says), "{}", message(&held, "Reconciling"));
        assert_eq!(condition(&held["status"], "Ready").map(|c| &c["status"]), Some(&json!("True")));
        assert_eq!(held["status"]["waitingFor"][0]["action"], "RunNewerVersion");
        let profiles =
            || rig.effects_on(NUMBER.trim_start_matches('+')).iter().filter(|e| **e == "profile").count();
        assert_eq!(profiles(), at, "nothing is written to Meta");
        for (member, value) in edit.as_object().expect("members") {
            let stands = &held["status"][member];
            let kept = value.as_object().map_or(stands == value, |v| v.iter().all(|(k, v)| &stands[k] == v));
            assert!(kept, "{stands}");
        }
        rig.edit_status("wac", "support", back).await;
        rig.look("support", &format!("put right {at}")).await;
        rig.until("support", "the profile", limit, |status| !is_held(status) && profiles() == at + 1).await;
    }
}

/// Runs kubectl, with more on its standard input, and it has to succeed.
async fn kubectl(rig: &Rig, args: &[&str], input: &str) {
    let out = rig.plane.kubectl_with_input(args, input).await;
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Waits until an operator says this of its readiness, with this code.
async fn until_readiness(at: std::net::SocketAddr, code: &str, says: &str) -> String {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_tells_of_a_crd_of_another_version() {
    const CRD: &str = "whatsappchannels.whatsapp-operator.dev";
    let mut rig = Rig::apart("crds").await;
    let health = free_address();
    let flags = ["--health-listen", &health.to_string()];

    // Where single namespaces are watched the chart gives no right in the cluster.
    let mut operator = rig.spawn_operator(&flags).await;
    until_readiness(health, "200", &format!("{CRD} cannot be read, so it is not known")).await;
    until_readiness(health, "200", "not permitted: customresourcedefinitions.apiextensions.k8s.io").await;
    operator.kill_nine();

    let whole = rig.plane.helm_template(&rig.namespace, &json!({"crds": {"install": false}})).await;
    kubectl(&rig, &["apply", "--server-side", "-f", "-"], &whole).await;
    let mut operator = rig.spawn_operator(&flags).await;
    assert!(!until_readiness(health, "200", "").await.contains(CRD), "nothing is to be said");
    operator.kill_nine();

    let mark = |revision: &str| format!("whatsapp-operator.dev/schema={revision}");
    kubectl(&rig, &["annotate", "crd", CRD, "--overwrite", &mark("0.aa")], "").await;
    let mut operator = rig.spawn_operator(&flags).await;
    let said = until_readiness(health, "503", &format!("{CRD} is not the one of this version")).await;
    assert!(
        said.contains("its schema is revision 0") && said.contains("crd | kubectl apply --server-side -f -")
    );
    // The operator was rolled back, and the CRDs were not.
    kubectl(&rig, &["annotate", "crd", CRD, "--overwrite", &mark("900.aa")], "").await;
    until_readiness(health, "200", &format!("{CRD} is of a newer version")).await;
    operator.kill_nine();

    // Without the annotation the members tell.
    kubectl(&rig, &["annotate", "crd", CRD, "whatsapp-operator.dev/schema-"], "").await;
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/format";
    let patch = json!([{"op": "remove", "path": path}]).to_string();
    kubectl(&rig, &["patch", "crd", CRD, "--type=json", "-p", &patch], "").await;
    let mut operator = rig.spawn_operator(&flags).await;
    until_readiness(health, "503", "it does not name status.format and 0 others").await;
    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_whatsapp-operator")).arg("crd").output();
    let printed = String::from_utf8(printed.expect("it runs").stdout).expect("YAML");
    kubectl(&rig, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &printed).await;
    assert!(!until_readiness(health, "200", "").await.contains(CRD), "nothing is to be said any more");
    operator.kill_nine();
}
