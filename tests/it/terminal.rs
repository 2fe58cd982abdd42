//! Objects, events and answers of Meta's that would have a terminal do something: every command that reads them prints none
//! of it, on a terminal and off it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use kube::api::{DynamicObject, PostParams};
use nix::pty::openpty;
use serde_json::{Value, json};
use whatsapp_operator::escape;
use whatsapp_operator::sandbox::{Account, Fault, FaultKind, Match, Number, Portfolio};

use crate::cli::{editor, without_colours};
use crate::rig::{ACCOUNT, BUSINESS, Rig};

/// The title of a terminal, colours, a line of its own, and what turns and hides the words that follow.
const ACTING: &str = "\u{1b}]0;title\u{7}\u{1b}[32mgreen\r\n\u{85}\u{9b}2J\u{8}\u{202e}\u{200b}\u{2066}\u{2028}\u{feff}\u{e0041}Shop";
/// A word of it that is seen.
const SEEN: &str = "green";
const NUMBER: &str = "+5511918000001";
const REFUSED: &str = "+5511918000002";

fn acting(of: &str) -> String {
    format!("{of} {ACTING}")
}

/// What a command says, on a terminal or to two files.
fn said(kubeconfig: &Path, args: &[String], is_terminal: bool) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whatsapp-operator"));
    command.env_clear().env("KUBECONFIG", kubeconfig).args(args).stdin(Stdio::null());
    if !is_terminal {
        let output = command.env("CLICOLOR_FORCE", "1").output().expect("the binary runs");
        let all = [output.stdout, output.stderr].map(|said| String::from_utf8(said).expect("UTF-8"));
        return (all.concat(), output.status.code());
    }
    let pty = openpty(None, None).expect("a terminal");
    let terminal = pty.slave.try_clone().expect("a terminal");
    let mut child = command
        .env("TERM", "xterm-256color")
        .stdout(terminal)
        .stderr(pty.slave)
        .spawn()
        .expect("the binary runs");
    // What is left of it here would keep the terminal open.
    drop(command);
    let mut all = Vec::new();
    // It ends with an error, once nobody is at the other end any more.
    let _ = File::from(pty.master).read_to_end(&mut all);
    let code = child.wait().expect("our own child").code();
    (String::from_utf8(all).expect("UTF-8").replace("\r\n", "\n"), code)
}

/// An event of somebody who may write events.
fn event(rig: &Rig, name: &str, kind: &str, of: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": name},
        "involvedObject": {"apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": kind, "name": of,
                           "namespace": rig.namespace},
        "type": "Warning", "reason": acting("Reason"), "message": acting("an event"),
        "source": {"component": acting("component")}, "reportingComponent": acting("reporter"),
        "reportingInstance": "one", "action": acting("Action"),
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 1,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_object_event_or_answer_of_metas_has_a_terminal_do_anything() {
    let mut rig = Rig::new("terminal").await;
    let sandbox = &rig.sandbox;
    sandbox.add_portfolio(Portfolio::new(BUSINESS, &acting("Acme Ltda")).verified());
    sandbox.add_account(Account::new(ACCOUNT, BUSINESS, &acting("Acme")));
    for (n, number) in [NUMBER, REFUSED].into_iter().enumerate() {
        let id = format!("10000000000080{n}");
        sandbox.add_number(Number::new(&id, ACCOUNT, &number[1..], &acting("Meta's name")));
    }
    let words = |name: &str| acting(name);
    let envelope = json!({"error": {
        "message": words("(#136025) message"), "type": words("Type"), "code": 136_025, "error_subcode": 2_388_091,
        "error_user_title": words("title"), "error_user_msg": words("user message"),
        "error_data": {"details": words("details")}, "fbtrace_id": words("trace"),
    }});
    let on = Match::on("POST", "request_code");
    sandbox.inject(Fault { on: Match { nth: Some(1), ..on }, kind: FaultKind::Error { envelope } });
    rig.secret("acme-meta", json!({"token": rig.token})).await;
    rig.portfolio("acme", json!({})).await;
    rig.start().await;
    for (name, number) in [("support", NUMBER), ("refused", REFUSED)] {
        let channel: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel", "metadata": {"name": name},
            "spec": {"portfolioRef": {"name": "acme"}, "accountId": ACCOUNT, "phoneNumber": number,
                     "displayName": acting("Wanted").replace(['\r', '\n', '\u{85}', '\u{2028}'], "")},
        }))
        .expect("a channel");
        let created = rig.api("wac", &rig.namespace).create(&PostParams::default(), &channel).await;
        created.expect("the API server takes it");
        rig.until_condition(name, "NumberVerified", "False", Some("CodeNeeded")).await;
    }
    for (name, value) in [("refused", "first"), ("support", ACTING)] {
        rig.annotate(name, "send-code", value).await;
        rig.until(name, "an answer", Duration::from_secs(60), |status| {
            let answer = &status["memory"]["consents"]["sendCode"];
            answer["usedFor"].is_string() || answer["refused"].is_string()
        })
        .await;
    }
    rig.at_rest().await;
    rig.operator().kill_nine();

    // By somebody who may write statuses, or an operator that was taken over.
    for (kind, name) in [("wac", "support"), ("wac", "refused"), ("wap", "acme")] {
        let mut conditions = rig.get_of(kind, name).await["status"]["conditions"].clone();
        for condition in conditions.as_array_mut().expect("conditions") {
            let told = condition["message"].as_str().expect("a text").to_owned();
            condition["message"] = json!(acting(&told));
        }
        rig.edit_status(kind, name, json!({ "conditions": conditions })).await;
    }
    let waits = json!({"action": "Resume", "actor": "ClusterUser", "since": "2026-01-01T00:00:00Z",
                       "ifIgnored": acting("ignored"), "ifDone": acting("done"), "url": acting("https://x.example")});
    let waiting = json!({"waitingFor": [waits], "facts": {"verifiedName": acting("fact")}});
    rig.edit_status("wac", "support", waiting).await;
    for (name, kind, of) in [
        ("one", "WhatsAppChannel", "support"),
        ("two", "WhatsAppPortfolio", "acme"),
        ("three", "WhatsAppChannel", "refused"),
    ] {
        let event: DynamicObject = serde_json::from_value(event(&rig, name, kind, of)).expect("an event");
        let created = rig.api("Event", &rig.namespace).create(&PostParams::default(), &event).await;
        created.expect("the API server takes it");
    }

    let dir = tempfile::tempdir().expect("a folder");
    let (manifest, token) = (dir.path().join("m.yaml"), dir.path().join("token"));
    let channel = rig.get("support").await;
    let again = json!({"apiVersion": channel["apiVersion"], "kind": channel["kind"], "spec": channel["spec"],
                       "metadata": {"name": "support", "namespace": rig.namespace}});
    // As YAML has to have them.
    let escaped = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) };
    let again: String = again.to_string().chars().map(escaped).collect();
    std::fs::write(&manifest, again).expect("written");
    std::fs::write(&token, &rig.token).expect("written");
    let (manifest, token) = (manifest.display().to_string(), format!("acme={}", token.display()));
    let graph = rig.graph_url.as_str();
    let printing: [(&[&str], &[&str]); 16] = [
        (&["status"], &[]),
        (&["status", "support"], &[SEEN]),
        (&["status", "refused"], &[SEEN]),
        (&["status", "portfolio/acme"], &[SEEN]),
        (&["waiting"], &[]),
        (&["events", "support"], &["an event", SEEN]),
        (&["events", "refused"], &["an event", SEEN]),
        (&["events", "portfolio/acme"], &["an event", SEEN]),
        (&["timeline", "support"], &[SEEN]),
        (&["timeline", "refused"], &[SEEN]),
        (&["doctor", "support", "--token-file", &token, "--graph-url", graph], &[SEEN]),
        (&["plan", "-f", &manifest, "--token-file", &token, "--graph-url", graph], &[SEEN]),
        (&["plan", "-f", &manifest, "--whole-way", "--token-file", &token, "--graph-url", graph], &[SEEN]),
        (
            &[
                "import",
                "--portfolio",
                "acme",
                "--business",
                BUSINESS,
                "--token-file",
                &token,
                "--graph-url",
                graph,
            ],
            &[],
        ),
        (&["support-bundle"], &[]),
        (&["explain", ACTING], &[]),
    ];
    let kubeconfig = editor(&rig).await;
    let mut runs = Vec::new();
    for (args, words) in printing {
        for format in ["text", "json", "yaml"] {
            for is_terminal in [true, false] {
                let has_format = !matches!(args[0], "import" | "support-bundle");
                if !has_format && format != "text" {
                    continue;
                }
                let format: &[&str] = if has_format { &["-o", format] } else { &[] };
                let place: &[&str] = if args[0] == "explain" { &[] } else { &["-n", &rig.namespace] };
                let args: Vec<String> =
                    [args, format, place].concat().into_iter().map(str::to_owned).collect();
                runs.push((args, words, is_terminal));
            }
        }
    }
    for is_terminal in [true, false] {
        for args in [
            &["send-code", "support", "--wait", "--timeout", "1s"][..],
            &["retry", "refused", "--wait", "--timeout", "1s"],
            &["reconcile", "support", "--wait", "--timeout", "1s"],
            &["suspend", "support"],
            &["resume", "support"],
        ] {
            let args = [args, &["-n", &rig.namespace]].concat().into_iter().map(str::to_owned).collect();
            runs.push((args, &[], is_terminal));
        }
    }
    let mut silent = Vec::new();
    for (args, words, is_terminal) in runs {
        let (kubeconfig, of) = (kubeconfig.clone(), args.clone());
        let said = tokio::task::spawn_blocking(move || said(&kubeconfig, &of, is_terminal));
        let (said, code) = said.await.expect("the command is run");
        let plain = without_colours(&said);
        let acts: Vec<char> = plain.chars().filter(|c| escape::acts(*c) && *c != '\n').collect();
        assert!(acts.is_empty(), "{args:?}, on a terminal: {is_terminal}: {plain:?}");
        if said.is_empty() || !words.iter().all(|word| plain.contains(word)) {
            silent.push(format!("{args:?}, {code:?}: {plain}"));
        }
        assert!(!plain.lines().any(|line| line.starts_with("Shop")), "{args:?}: a line of its own: {plain}");
    }
    assert!(silent.is_empty(), "{silent:#?}");
}
