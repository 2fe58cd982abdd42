//! The command line of a help desk, on a real API server: who is waited for, codes for many, and a role that can do no more.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, pki_types::PrivateKeyDer};

use crate::cli::{editor, run_as, stderr, stdout};
use crate::output;
use crate::rig::{ACCOUNT, Rig};
use whatsapp_operator::sandbox::{Fault, FaultKind, Match, Number};

const NUMBER: &str = "+5511917000001";
const DIGITS: &str = "5511917000001";
const OTHER: &str = "+5511917000004";
const OTHER_DIGITS: &str = "5511917000004";
/// Secrets that no object of the rig has.
const APP_SECRET: &str = "0123456789abcdef0123456789abcdef";
const VERIFY_TOKEN: &str = "open-sesame";
/// Garbage collection deletes what has no owner any more.
const OWNED: &str = r#"{"metadata":{"ownerReferences":[
    {"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"00000000-0000-0000-0000-000000000000"}]}}"#;

fn said(output: &Output) -> String {
    format!("{}{}", stdout(output), stderr(output))
}

async fn json_of(kubeconfig: &Path, rig: &Rig, args: &[&str], kind: &str) -> Value {
    let output = run_as(kubeconfig, rig, &[args, &["-o", "json"]].concat(), "").await;
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", said(&output)));
    assert_eq!(
        (&told["apiVersion"], &told["kind"]),
        (&json!("whatsapp-operator.dev/v1alpha1"), &json!(kind))
    );
    output::documented(&told);
    told
}

/// Somebody with the chart's role for phones in the namespace, and nothing else.
async fn phone_helper(rig: &Rig, channels: &[&str]) -> PathBuf {
    let values =
        json!({"namespaces": [rig.namespace], "phoneHelper": {"enabled": true, "channels": channels}});
    let rendered = rig.plane.helm_template(&rig.namespace, &values).await;
    let is_ours = |object: &&str| object.contains("whatsapp-operator-phone-helper");
    let objects: Vec<&str> = rendered.split("\n---\n").filter(is_ours).collect();
    assert_eq!(objects.len(), 5, "a role, two policies and their bindings");
    rig.plane.apply_rendered(&rig.namespace, &objects.join("\n---\n")).await;
    let name = "help-desk";
    rig.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})).await;
    rig.apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "whatsapp-operator-phone-helper"
        },
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": rig.namespace}],
    }))
    .await;
    rig.plane.service_account_kubeconfig(&rig.namespace, name).await
}

/// A wave of two channels and one that is suspended: from the list of who is waited for to Ready, with the role for
/// phones alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_helper_does_the_codes_of_a_wave_and_can_do_nothing_else() {
    let mut rig = Rig::with_portfolio("desk").await;
    let elsewhere = rig.watch_also("desk-elsewhere").await;
    rig.edit("wap", "acme", json!({"access": [{"namespaces": [elsewhere], "accounts": [ACCOUNT]}]})).await;
    rig.start().await;
    let of = json!({"portfolioRef": {"name": "acme", "namespace": rig.namespace}});
    rig.channel(&format!("{elsewhere}/away"), "+5511917000005", of).await;
    rig.until_condition(&format!("{elsewhere}/away"), "NumberVerified", "False", Some("CodeNeeded")).await;
    for (name, number) in [("front", NUMBER), ("back", OTHER)] {
        rig.channel(name, number, json!({})).await;
        rig.merge("wac", name, &json!({"metadata": {"labels": {"wave": "3"}}})).await;
    }
    rig.channel("asleep", "+5511917000003", json!({"suspend": true})).await;
    rig.merge("wac", "asleep", &json!({"metadata": {"labels": {"wave": "3"}}})).await;
    let helper = phone_helper(&rig, &["front", "back"]).await;
    for name in ["front", "back"] {
        rig.until_condition(name, "NumberVerified", "False", Some("CodeNeeded")).await;
    }
    rig.until("asleep", "Suspended", Duration::from_secs(30), |s| s["stage"] == "Suspended").await;

    // The fleet, and the list to work from.
    let fleet = json_of(&helper, &rig, &["status"], "Fleet").await;
    let stages = json!([{"stage": "Verifying", "channels": 2}, {"stage": "Suspended", "channels": 1}]);
    assert_eq!(fleet["stages"], stages, "{fleet:#}");
    let waiting = json_of(&helper, &rig, &["waiting", "--actor", "PhoneHolder"], "WaitingList").await;
    let items = waiting["items"].as_array().expect("a list");
    assert_eq!(items.len(), 2, "{waiting:#}");
    let since = |item: &Value| item["since"].as_str().expect("a time").to_owned();
    assert!(since(&items[0]) <= since(&items[1]), "longest first: {waiting:#}");
    let remedy = format!(
        "kubectl whatsapp send-code {} -n {}",
        items[0]["name"].as_str().expect("a name"),
        rig.namespace
    );
    assert!(items[0]["remedy"].as_str().is_some_and(|told| told.contains(&remedy)), "{waiting:#}");
    // The same of every namespace, for whoever may see them; other tests have numbers there, too.
    let (admin, whole) = (rig.plane.admin_kubeconfig(), ["waiting", "-A", "--actor", "PhoneHolder"]);
    let everywhere = json_of(&admin, &rig, &whole, "WaitingList").await;
    let all = everywhere["items"].as_array().expect("a list");
    assert!(all.iter().all(|item| item["actor"] == "PhoneHolder"), "{everywhere:#}");
    assert!(all.is_sorted_by_key(since), "longest first: {everywhere:#}");
    for item in [&items[0], &items[1]] {
        assert!(all.contains(item), "{item:#} is not in {everywhere:#}");
    }
    assert!(
        all.iter().any(|item| item["namespace"] == elsewhere.as_str() && item["name"] == "away"),
        "{everywhere:#}"
    );
    let refused = run_as(&helper, &rig, &whole, "").await;
    assert!(!refused.status.success() && stderr(&refused).contains("whatsappchannels"), "{}", said(&refused));
    let all = run_as(&helper, &rig, &["waiting"], "").await;
    assert!(stdout(&all).contains("not read: cannot list the portfolios"), "{}", said(&all));

    // Nobody waits a minute for a channel that does nothing, and nothing is written to it.
    let begun = Instant::now();
    let asleep = run_as(&helper, &rig, &["send-code", "asleep", "--wait"], "").await;
    assert_eq!(asleep.status.code(), Some(3), "{}", said(&asleep));
    assert!(
        stderr(&asleep).contains("suspended") && stderr(&asleep).contains("suspend: false"),
        "{}",
        said(&asleep)
    );
    assert!(begun.elapsed() < Duration::from_secs(15), "it waited");
    assert!(rig.get("asleep").await["metadata"]["annotations"]["whatsapp-operator.dev/send-code"].is_null());
    // Nor is a code taken for it, which nobody would enter.
    let typed = run_as(&helper, &rig, &["code", "asleep"], "123456").await;
    assert_eq!(typed.status.code(), Some(3), "{}", said(&typed));
    assert!(stderr(&typed).contains("suspend: false"), "{}", said(&typed));
    assert!(rig.find("secret", "asleep-code").await.is_none(), "the code lies in a Secret");

    // The wave.
    let sent = json_of(&helper, &rig, &["send-code", "-l", "wave=3", "--wait"], "ConsentAnswerList").await;
    let of = |name: &str| {
        let items = sent["items"].as_array().expect("a list");
        items.iter().find(|item| item["channel"] == name).unwrap_or_else(|| panic!("{name}: {sent:#}"))
    };
    assert_eq!(of("asleep")["verdict"], "Skipped");
    for name in ["front", "back"] {
        assert_eq!(
            (&of(name)["verdict"], &of(name)["method"]),
            (&json!("Accepted"), &json!("SMS")),
            "{sent:#}"
        );
        assert!(of(name)["enterBefore"].is_string(), "{sent:#}");
    }
    let again = json_of(&helper, &rig, &["send-code", "-l", "wave=3"], "ConsentAnswerList").await;
    let is_skipped = |item: &Value| item["verdict"] == "Skipped";
    assert!(
        again["items"].as_array().is_some_and(|items| items.iter().all(is_skipped)),
        "no code is wasted: {again:#}"
    );
    assert_eq!(rig.effects_on(DIGITS), ["added", "code"]);

    // A code that is handed over tells where to look, with the namespace.
    let code = rig.sandbox.delivered_code(DIGITS).expect("a code");
    let handed = run_as(&helper, &rig, &["code", "front", "--no-wait"], &code).await;
    assert_eq!(handed.status.code(), Some(0), "{}", said(&handed));
    assert!(
        stdout(&handed).contains(&format!("kubectl whatsapp status front -n {}", rig.namespace)),
        "{}",
        said(&handed)
    );
    let code = rig.sandbox.delivered_code(OTHER_DIGITS).expect("a code");
    let wrong = if code == "000000" { "000001" } else { "000000" };
    assert_eq!(run_as(&helper, &rig, &["code", "back"], wrong).await.status.code(), Some(3));
    let taken = run_as(&helper, &rig, &["code", "back"], &code).await;
    assert_eq!(taken.status.code(), Some(0), "a second code goes into the same Secret: {}", said(&taken));
    for name in ["front", "back"] {
        rig.until_condition(name, "Ready", "True", None).await;
    }

    // And nothing else.
    let kubeconfig = helper.display().to_string();
    let namespace = rig.namespace.clone();
    for args in [
        &["get", "secret", "acme-meta"][..],
        &["get", "secret", "front-pin"],
        &["get", "secrets"],
        &["delete", "wac", "front"],
        &["get", "wap"],
        &["patch", "wac", "front", "--type=merge", "-p", r#"{"spec":{"displayName":"Mine"}}"#],
        &["label", "wac", "front", "wave=4", "--overwrite"],
        &[
            "patch",
            "wac",
            "front",
            "--subresource=status",
            "--type=merge",
            "-p",
            r#"{"status":{"stage":"Ready"}}"#,
        ],
        &[
            "patch",
            "wac",
            "front",
            "--type=merge",
            "-p",
            r#"{"metadata":{"finalizers":["example.com/mine"]}}"#,
        ],
        &["patch", "wac", "front", "--type=merge", "-p", OWNED],
    ] {
        let args = [&["--kubeconfig", &kubeconfig, "-n", &namespace], args].concat();
        let output = rig.plane.kubectl(&args).await;
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert!(!output.status.success(), "{args:?} is let through: {said}");
        assert!(said.contains("orbidden") || said.contains("ask for the role edit"), "{args:?}: {said}");
    }
    // A Secret that Kubernetes would fill with the operator's token, under a name that the helper may read.
    let taken_away = rig.plane.kubectl(["-n", &namespace, "delete", "secret", "front-code"]).await;
    assert!(taken_away.status.success(), "{}", said(&taken_away));
    for (kind, is_taken) in [("kubernetes.io/service-account-token", false), ("Opaque", true)] {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind,
            "metadata": {"name": "front-code", "annotations": {"kubernetes.io/service-account.name": "default"}},
        });
        let create = ["--kubeconfig", &kubeconfig, "-n", &namespace, "create", "-f", "-"];
        let output = rig.plane.kubectl_with_input(create, &secret.to_string()).await;
        assert_eq!(output.status.success(), is_taken, "{kind}: {}", said(&output));
        assert!(is_taken || said(&output).contains("leave its type out"), "{}", said(&output));
    }
    // Whoever may edit still may.
    let editor = editor(&rig).await.display().to_string();
    let spec = r#"{"spec":{"readyWhen":"Registered"}}"#;
    let edit =
        ["--kubeconfig", &editor, "-n", &namespace, "patch", "wac", "front", "--type=merge", "-p", spec];
    let edited = rig.plane.kubectl(edit).await;
    assert!(edited.status.success(), "{}", said(&edited));
    // And the operator, which may not update channels, keeps hold of one and lets it go.
    rig.edit("wac", "back", json!({"deletionPolicy": "Unroute"})).await;
    let held = "--for=jsonpath={.metadata.finalizers[0]}=whatsapp-operator.dev/cleanup";
    let wait = ["-n", &namespace, "wait", held, "--timeout=30s", "wac/back"];
    let waited = rig.plane.kubectl(wait).await;
    assert!(waited.status.success(), "{}", said(&waited));
    let free = r#"{"metadata":{"finalizers":null}}"#;
    let patch =
        ["--kubeconfig", &kubeconfig, "-n", &namespace, "patch", "wac", "back", "--type=merge", "-p", free];
    let freed = rig.plane.kubectl(patch).await;
    assert!(!freed.status.success() && said(&freed).contains("finalizers or the owners"), "{}", said(&freed));
    rig.delete("back").await;
}

/// Meta refuses to register two numbers: both are tried once more with one command, and the timeline of each has Meta's trace id of
/// the refusal, and that of what was accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wave_is_tried_once_more_and_the_timeline_has_the_trace_of_each_answer() {
    let mut rig = Rig::with_portfolio("again").await;
    let refusal = json!({"error": {
        "message": "(#133005) Two step verification PIN Mismatch", "type": "OAuthException", "code": 133_005,
        "fbtrace_id": "AfakeTrace",
    }});
    let kind = FaultKind::Error { envelope: refusal };
    rig.sandbox.inject(Fault { on: Match::on("POST", "register"), kind });
    let wave = [("front", "+5511917000011"), ("back", "+5511917000012")];
    for (at, (name, number)) in (71..).zip(wave) {
        let id = format!("1000000000000{at}");
        let number = Number::new(&id, ACCOUNT, number.trim_start_matches('+'), "Acme Support");
        rig.sandbox.add_number(number.verified(jiff::Timestamp::now()));
        rig.secret(&format!("{name}-pin"), json!({"pin": "271828"})).await;
    }
    for (name, number) in wave.into_iter().chain([("new", "+5511917000013")]) {
        rig.channel(name, number, json!({})).await;
        rig.merge("wac", name, &json!({"metadata": {"labels": {"wave": "4"}}})).await;
    }
    rig.start().await;
    for (name, _) in wave {
        rig.until_condition(name, "Registered", "False", Some("RegistrationPaused")).await;
    }
    rig.until_condition("new", "NumberVerified", "False", Some("CodeNeeded")).await;

    // The first time Meta refuses, and the second time it accepts. Who waits for no retry is left out.
    let editor = editor(&rig).await;
    for verdict in ["Refused", "Accepted"] {
        let given = json_of(&editor, &rig, &["retry", "-l", "wave=4", "--wait"], "ConsentAnswerList").await;
        let items = given["items"].as_array().expect("a list");
        assert_eq!(items.len(), 3, "{given:#}");
        for item in items {
            let is_left_out = item["channel"] == "new";
            let told = if is_left_out { ("Skipped", Value::Null) } else { (verdict, json!("Register")) };
            assert_eq!((&item["verdict"], &item["step"]), (&json!(told.0), &told.1), "{given:#}");
        }
        rig.sandbox.clear_faults();
        for (name, _) in wave.into_iter().filter(|_| verdict == "Refused") {
            rig.until_condition(name, "Registered", "False", Some("PinMismatch")).await;
        }
    }
    for (name, number) in wave {
        rig.until_condition(name, "Ready", "True", None).await;
        assert_eq!(rig.effects_on(number.trim_start_matches('+')).len(), 1, "one that was accepted");
        let timeline = json_of(&editor, &rig, &["timeline", name], "Timeline").await;
        let entries = timeline["entries"].as_array().expect("a list");
        let tried: Vec<_> = entries
            .iter()
            .filter(|entry| entry["what"] == "Attempt" && entry["name"] == "Register")
            .map(|entry| ["state", "cause", "code", "traceId"].map(|field| entry[field].clone()))
            .collect();
        let [refused, accepted] = &tried[..] else { panic!("{timeline:#}") };
        let told = [json!("Refused"), json!("Retry"), json!(133_005), json!("AfakeTrace")];
        assert_eq!(*refused, told, "{timeline:#}");
        assert_eq!(accepted[..3], [json!("Accepted"), json!("Retry"), Value::Null], "{timeline:#}");
        // The id that a refusal of the sandbox has as `fbtrace_id`, which the status keeps.
        let id = accepted[3].as_str().unwrap_or_else(|| panic!("{timeline:#}"));
        assert!(id.len() == 17 && id.starts_with('A'), "{id}");
        let kept = &rig.get(name).await["status"]["memory"]["ledger"]["registrations"][1]["traceId"];
        assert_eq!(kept, id, "{timeline:#}");
        let page = run_as(&editor, &rig, &["timeline", name], "").await;
        assert!(stdout(&page).contains("(133005, trace AfakeTrace)"), "{}", said(&page));
        assert!(stdout(&page).contains(&format!("(trace {id})")), "{}", said(&page));
    }
}

/// A node, and a kubelet that answers for it with one log, whichever container it is asked for.
async fn node(rig: &Rig, log: String) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("its key");
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).expect("they fit");
    let tls = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("a bound port").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, log) = (tls.clone(), log.clone());
            tokio::spawn(async move {
                let mut stream = tls.accept(stream).await.expect("the API server calls");
                let mut asked = vec![0; 16 * 1024];
                let count = stream.read(&mut asked).await.expect("a request");
                assert!(asked[..count].starts_with(b"GET /containerLogs/"));
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
                let answer = format!("{head}Content-Length: {}\r\n\r\n{log}", log.len());
                stream.write_all(answer.as_bytes()).await.expect("taken");
                stream.shutdown().await.expect("ended");
            });
        }
    });
    let name = format!("{}-node", rig.namespace);
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        },
    });
    rig.plane.apply_rendered("default", &node.to_string()).await;
    // What is applied has no status.
    let patch = json!({"status": node["status"]}).to_string();
    let patched =
        rig.plane.kubectl(["patch", "node", &name, "--subresource=status", "--type=merge", "-p", &patch]);
    let patched = patched.await;
    assert!(patched.status.success(), "{}", said(&patched));
    name
}

/// A pod of the operator with this log.
pub async fn pod(rig: &Rig, log: String) {
    let node = node(rig, log).await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "operator-0", "labels": {"app.kubernetes.io/name": "whatsapp-operator"}},
        "spec": {
            "automountServiceAccountToken": false, "nodeName": node,
            "containers": [{"name": "operator", "image": "acme/operator:1"}],
        },
    });
    rig.plane.apply_rendered(&rig.namespace, &pod.to_string()).await;
}

/// What a process that watches had printed, once it was asked to end.
async fn ended(mut watch: tokio::process::Child) -> String {
    let id = watch.id().expect("it still runs").to_string();
    assert!(
        std::process::Command::new("kill").args(["-TERM", &id]).status().is_ok_and(|done| done.success())
    );
    let mut shown = String::new();
    let mut pipe = watch.stdout.take().expect("a pipe");
    pipe.read_to_string(&mut shown).await.expect("text");
    assert_eq!(watch.wait().await.expect("it ends").code(), Some(0), "{shown}");
    shown
}

/// The commands that look, and what a support bundle must not hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_shown_and_a_bundle_for_support_holds_no_secret() {
    let mut rig = Rig::with_portfolio("looks").await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    let editor = editor(&rig).await;

    // A page that is watched, or the fleet, is shown again after a change, and ends when it is asked to.
    let watched = |which: &[&str]| {
        tokio::process::Command::new(env!("CARGO_BIN_EXE_whatsapp-operator"))
            .env_clear()
            .env("KUBECONFIG", &editor)
            .args(["status", "--watch", "-n", &rig.namespace])
            .args(which)
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts")
    };
    let (page, fleet) = (watched(&["support"]), watched(&["-l", "!retired"]));
    let ready = rig.onboard("support", NUMBER).await;
    // A token where nobody should have written it.
    let notes = json!({"metadata": {"annotations": {"notes": rig.token}}});
    rig.merge("wac", "support", &notes).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let shown = ended(page).await;
    assert!(shown.matches("\n--- 20").count() > 1 && shown.contains("Ready for"), "{shown}");
    let shown = ended(fleet).await;
    let tables: Vec<&str> = shown.split("\n--- 20").collect();
    assert!(
        tables.len() > 1 && tables.iter().all(|table| table.contains("1 channel in namespace")),
        "{shown}"
    );
    assert!(tables.last().is_some_and(|last| last.contains("\n  Ready  1\n")), "{shown}");
    assert!(!shown.contains('\u{1b}'), "what is no screen is not cleared: {shown}");

    let timeline = json_of(&editor, &rig, &["timeline", "support"], "Timeline").await;
    let entries = timeline["entries"].as_array().expect("a list");
    let names: Vec<&str> = entries
        .iter()
        .filter(|entry| entry["what"] == "Attempt" && entry["state"] == "Accepted")
        .filter_map(|entry| entry["name"].as_str())
        .collect();
    for step in ["AddNumber", "RequestCode", "VerifyCode", "Register"] {
        assert!(names.contains(&step), "{step}: {timeline:#}");
    }
    let times: Vec<&str> = entries.iter().filter_map(|entry| entry["at"].as_str()).collect();
    let sorted = times.iter().map(|at| at.parse::<jiff::Timestamp>().expect("a time")).collect::<Vec<_>>();
    assert!(sorted.is_sorted(), "{timeline:#}");
    assert!(entries.iter().any(|entry| entry["what"] == "Event"), "{timeline:#}");

    let events = json_of(&editor, &rig, &["events", "support"], "EventList").await;
    assert!(events["events"].as_array().is_some_and(|events| !events.is_empty()), "{events:#}");

    let portfolio = json_of(&editor, &rig, &["status", "portfolio/acme"], "PortfolioStatus").await;
    assert_eq!(portfolio["ready"]["status"], "True", "{portfolio:#}");
    let page = run_as(&editor, &rig, &["status", "portfolio/acme"], "").await;
    assert!(stdout(&page).contains("Accounts in reach"), "{}", said(&page));
    let waits = run_as(&editor, &rig, &["reconcile", "portfolio/acme", "--wait"], "").await;
    assert_eq!(waits.status.code(), Some(1), "nobody could tell when to end: {}", said(&waits));
    assert!(stderr(&waits).contains("status portfolio/acme --watch"), "{}", said(&waits));

    // What kubectl asks while somebody types.
    for (words, offered) in [
        (&["status", "-n", &rig.namespace, "su"][..], "support"),
        (&["status", "-n", &rig.namespace, "portfolio/"], "portfolio/acme"),
    ] {
        let told = tokio::process::Command::new(env!("CARGO_BIN_EXE_whatsapp-operator"))
            .env_clear()
            .env("KUBECONFIG", &editor)
            .arg("__complete")
            .args(words)
            .output()
            .await
            .expect("it runs");
        assert_eq!(stdout(&told), format!("{offered}\n:4\n"), "{}", said(&told));
    }

    // Flags on either side of the command.
    let ahead = tokio::process::Command::new(env!("CARGO_BIN_EXE_whatsapp-operator"))
        .env_clear()
        .env("KUBECONFIG", &editor)
        .args(["-n", &rig.namespace, "suspend", "support", "-o", "json"])
        .output()
        .await
        .expect("it runs");
    let told: Value =
        serde_json::from_slice(&ahead.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&ahead)));
    assert_eq!((&told["kind"], &told["items"][0]["changed"]), (&json!("ChannelSuspension"), &json!(true)));
    rig.until("support", "Suspended", Duration::from_secs(30), |s| s["stage"] == "Suspended").await;
    for changed in [true, false] {
        let told = json_of(&editor, &rig, &["resume", "support"], "ChannelSuspension").await;
        assert_eq!(told["items"][0]["changed"], changed, "{told:#}");
    }
    rig.until_condition("support", "Ready", "True", None).await;
    let before = ready["status"]["memory"]["consents"]["reconcile"]["value"].clone();
    let looked = json_of(&editor, &rig, &["reconcile", "support", "--wait"], "ConsentAnswer").await;
    assert_eq!(looked["verdict"], "Accepted", "{looked:#}");
    let after = rig.get("support").await;
    assert_ne!(after["status"]["memory"]["consents"]["reconcile"]["value"], before);

    // Canaries wherever others write: an annotation, an event, the message of a condition, and the log.
    let pin = rig.get_of("secret", "support-pin").await;
    let code = rig.get_of("secret", "support-code").await;
    let value = |secret: &Value, key: &str| secret["data"][key].as_str().expect("data").to_owned();
    let plain = |text: &str| {
        let bytes: k8s_openapi::ByteString = serde_json::from_value(json!(text)).expect("base64");
        String::from_utf8(bytes.0).expect("text")
    };
    let (pin, code) = (value(&pin, "pin"), value(&code, "code"));
    let planted = format!(
        "planted: POST override_callback_uri=https://a.example&verify_token={VERIFY_TOKEN}&access_token={} \
         app secret {APP_SECRET}",
        rig.token
    );
    rig.operator().kill_nine();
    let notes = json!({"notes": planted, "whatsapp-operator.dev/retry": planted});
    rig.merge("wac", "support", &json!({"metadata": {"annotations": notes}})).await;
    let mut conditions = rig.get("support").await["status"]["conditions"].clone();
    conditions[0]["message"] = json!(planted);
    rig.edit_status("wac", "support", json!({ "conditions": conditions })).await;
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {"name": "planted", "namespace": rig.namespace},
        "eventTime": "2026-03-01T12:00:00.000000Z", "type": "Warning", "reason": "Planted", "action": "Plant",
        "note": planted, "reportingController": "somebody", "reportingInstance": "somebody-0",
        "regarding": {
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel", "name": "support",
            "namespace": rig.namespace,
        },
    });
    rig.plane.apply_rendered(&rig.namespace, &event.to_string()).await;
    let line = format!("{planted} pin={} code {} of {NUMBER}", plain(&pin), plain(&code));

    // A pod of the operator is found by its label, and its log is read from its node.
    pod(&rig, format!("started\n{line}\n")).await;
    let bundle = run_as(&editor, &rig, &["support-bundle"], "").await;
    let whole = stdout(&bundle).split_whitespace().collect::<Vec<_>>().join(" ");
    let log = format!("logs: - pod: {}/operator-0 container: operator", rig.namespace);
    assert!(whole.contains(&log), "{}", said(&bundle));
    assert_eq!(bundle.status.code(), Some(0), "{}", said(&bundle));
    let text = stdout(&bundle);
    assert!(text.contains("SupportBundle") && text.contains(NUMBER) && text.contains("acme-meta"), "{text}");
    // An annotation of the operator's, the condition, the event and the log are told, but for the secrets in them.
    let told = whole.matches("planted: POST override_callback_uri=https://a.example").count();
    assert_eq!(told, 4, "{text}");
    assert!(text.contains("started") && text.contains("+***0001"), "the log is there: {text}");
    for (what, canary) in [
        ("token", rig.token.clone()),
        ("app secret", APP_SECRET.to_owned()),
        ("verify token", VERIFY_TOKEN.to_owned()),
        ("PIN", plain(&pin)),
        ("PIN in base64", pin),
        ("code", plain(&code)),
        ("code in base64", code),
    ] {
        let is_there =
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| word == canary);
        assert!(!is_there && (canary.len() < 8 || !text.contains(&canary)), "the {what} is in the bundle");
    }
}

/// Flags of kubectl, as they reach a real API server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_flags_of_kubectl_reach_the_cluster() {
    let rig = Rig::with_portfolio("flags").await;
    rig.channel("support", NUMBER, json!({})).await;
    let admin = rig.plane.admin_kubeconfig().display().to_string();
    let run = async |args: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_whatsapp-operator"));
        command.env_clear().args(args).output().await.expect("the binary runs")
    };
    let namespace = rig.namespace.as_str();
    let kubeconfig = ["status", "support", "-n", namespace, "--kubeconfig", admin.as_str()];
    let seen = run(&kubeconfig).await;
    assert_eq!(seen.status.code(), Some(0), "{}", said(&seen));
    let nobody =
        run(&[&kubeconfig[..], &["--as", "nobody", "--as-group", "system:authenticated"]].concat()).await;
    assert_eq!(nobody.status.code(), Some(1), "{}", said(&nobody));
    assert!(stderr(&nobody).contains("User \"nobody\" cannot get"), "{}", said(&nobody));
    let away =
        run(&[&kubeconfig[..], &["--server", "https://127.0.0.1:9", "--request-timeout", "2s"]].concat())
            .await;
    assert_eq!(away.status.code(), Some(1), "{}", said(&away));
    assert!(stderr(&away).contains("check that the cluster can be reached"), "{}", said(&away));

    // Without any kubeconfig: an address, a token and no check of the certificate.
    let file = editor(&rig).await;
    let file: Value =
        serde_saphyr::from_str(&std::fs::read_to_string(file).expect("a kubeconfig")).expect("YAML");
    let token = file["users"][0]["user"]["token"].as_str().expect("a token");
    let url = rig.plane.url();
    let bare =
        ["status", "support", "-n", namespace, "-s", url, "--token", token, "--insecure-skip-tls-verify"];
    let seen = run(&bare).await;
    assert_eq!(seen.status.code(), Some(0), "{}", said(&seen));
    assert!(stdout(&seen).contains("the operator has not seen it yet"), "{}", said(&seen));
    let checked = run(&bare[..bare.len() - 1]).await;
    assert_eq!(
        checked.status.code(),
        Some(1),
        "its certificate is of no known authority: {}",
        said(&checked)
    );
}
