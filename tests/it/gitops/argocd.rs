//! What is for Argo CD: its ConfigMap holds the scripts, and its own form of test data says what they do.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use whatsapp_operator::api::lower;

use super::{KINDS, answers, judge, read};
use crate::kept;

const FOLDER: &str = "deploy/argocd";
/// In the order in which a person meets them.
const ACTIONS: [&str; 5] = ["send-code", "retry", "reconcile", "suspend", "resume"];

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn indented(text: &str, by: usize) -> String {
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{:by$}{line}\n", "") };
    text.lines().map(line).collect()
}

/// The scripts, as Argo CD reads them.
fn config_map() -> String {
    let mut text = "# The health and the actions of the kinds, for the ConfigMap of Argo CD. Applied with --server-side, what else it \
                    holds stays.\n# Written from health.lua and actions; do not edit.\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  \
                    name: argocd-cm\n  namespace: argocd\n  labels:\n    app.kubernetes.io/name: argocd-cm\n    \
                    app.kubernetes.io/part-of: argocd\ndata:\n"
        .to_owned();
    for kind in KINDS {
        let _ = writeln!(text, "  resource.customizations.health.{}_{kind}: |", lower::GROUP);
        text.push_str(&indented(&read(&format!("{FOLDER}/health.lua")), 4));
    }
    let _ = writeln!(text, "  resource.customizations.actions.{}_WhatsAppChannel: |", lower::GROUP);
    text.push_str("    discovery.lua: |\n");
    text.push_str(&indented(&read(&format!("{FOLDER}/actions/discovery.lua")), 6));
    text.push_str("    definitions:\n");
    for action in ACTIONS {
        let _ = writeln!(text, "    - name: {action}\n      action.lua: |");
        text.push_str(&indented(&read(&format!("{FOLDER}/actions/{action}/action.lua")), 8));
    }
    text
}

#[test]
fn the_config_map_holds_the_scripts() {
    let file = format!("{FOLDER}/argocd-cm.yaml");
    let stale = kept::difference(&file, &config_map());
    assert!(stale.is_none(), "{}\nstale, run make gen and commit the result", stale.unwrap_or_default());
    let data = &yaml(&file)["data"];
    let script = |path: &str| read(&format!("{FOLDER}/{path}"));
    for kind in KINDS {
        let health = &data[format!("resource.customizations.health.{}_{kind}", lower::GROUP)];
        assert_eq!(health, &json!(script("health.lua")));
    }
    let actions = data[format!("resource.customizations.actions.{}_WhatsAppChannel", lower::GROUP)].as_str();
    let actions: Value = serde_saphyr::from_str(actions.expect("text")).expect("YAML in YAML");
    assert_eq!(actions["discovery.lua"], script("actions/discovery.lua"));
    for (n, action) in ACTIONS.into_iter().enumerate() {
        assert_eq!(actions["definitions"][n]["name"], action);
        assert_eq!(actions["definitions"][n]["action.lua"], script(&format!("actions/{action}/action.lua")));
    }
}

#[test]
fn the_health_is_as_its_test_data_says() {
    let data = yaml(&format!("{FOLDER}/health_test.yaml"));
    let tests = data["tests"].as_array().expect("tests");
    assert!(tests.len() >= 8);
    let path = |test: &Value| format!("{FOLDER}/{}", test["inputPath"].as_str().expect("a path"));
    let objects: Vec<Value> = tests.iter().map(|test| yaml(&path(test))).collect();
    for (test, (verdict, message)) in tests.iter().zip(judge(&objects)) {
        let given = json!({"status": verdict.argocd, "message": message});
        assert_eq!(given, test["healthStatus"], "{}", path(test));
    }
}

/// With the times of consents made one: they are those of now.
fn at_one_time(mut object: Value) -> Value {
    let annotations = object["metadata"]["annotations"].as_object_mut();
    for (key, value) in annotations.into_iter().flatten() {
        if [lower::SEND_CODE, lower::RETRY, lower::RECONCILE].contains(&key.as_str()) {
            let text = value.as_str().expect("text");
            let at: Timestamp = text.parse().unwrap_or_else(|error| panic!("{key}: {text}: {error}"));
            let off = Timestamp::now().duration_since(at).abs();
            *value = json!(if off < SignedDuration::from_hours(1) { "now" } else { "then" });
        }
    }
    object
}

#[test]
fn the_actions_do_what_their_test_data_says() {
    let data = yaml(&format!("{FOLDER}/actions/action_test.yaml"));
    let list = |key: &str| data[key].as_array().cloned().expect("tests");
    let object =
        |test: &Value, key: &str| yaml(&format!("{FOLDER}/actions/{}", test[key].as_str().expect("a path")));
    let ask = |object: Value, script: &str| json!({"ask": "lua", "object": object, "script": read(&format!("{FOLDER}/actions/{script}"))});
    let (discoveries, actions) = (list("discoveryTests"), list("actionTests"));
    let questions: Vec<Value> =
        discoveries.iter().map(|test| ask(object(test, "inputPath"), "discovery.lua")).collect();
    for (test, answer) in discoveries.iter().zip(answers(&questions)) {
        let found = answer["value"].as_object().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(found.len(), ACTIONS.len());
        for wanted in test["result"].as_array().expect("a result") {
            let found = &found[wanted["name"].as_str().expect("a name")];
            assert_eq!(found["disabled"], wanted["disabled"], "{wanted}");
        }
    }
    let questions: Vec<Value> = actions
        .iter()
        .map(|test| {
            ask(
                object(test, "inputPath"),
                &format!("{}/action.lua", test["action"].as_str().expect("a name")),
            )
        })
        .collect();
    let mut tried = Vec::new();
    for (test, answer) in actions.iter().zip(answers(&questions)) {
        let mut wanted = object(test, "expectedOutputPath");
        if let Some(annotations) = wanted["metadata"]["annotations"].as_object_mut() {
            annotations.values_mut().for_each(|value| *value = json!("now"));
        }
        // Lua has one kind of number.
        let (given, wanted) = (crate::chart::plain(&answer["value"]), crate::chart::plain(&wanted));
        assert_eq!(at_one_time(given), wanted, "{test}: {answer}");
        tried.push(test["action"].as_str().expect("a name").to_owned());
    }
    assert!(ACTIONS.iter().all(|action| tried.iter().any(|tried| tried == action)), "{tried:?}");
}
