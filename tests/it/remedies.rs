//! What the API server refuses the operator, and why, is told where people look.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Rig, condition, message};

const NUMBER: &str = "+5511916000001";
const DIGITS: &str = "5511916000001";

/// A company's own rule about Secrets that controllers create in a namespace. It shows what it refuses.
fn rule(namespace: &str) -> String {
    let name = format!("rule-7-{namespace}");
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}
            ]},
            "matchConditions": [{
                "name": "controllers", "expression": "request.userInfo.username.startsWith('system:serviceaccount:')"
            }],
            "validations": [{
                "expression": "false", "message": "company rule 7: ask team-x",
                "messageExpression": "'company rule 7: ask team-x (got ' + string(object.data['pin']) + ')'"
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

/// Runs of digits of a text that may be a PIN.
fn sixes(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_ascii_digit()).filter(|digits| digits.len() == 6).collect()
}

fn registered(object: &Value) -> String {
    message(object, "Registered")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_refuses_the_secret_of_a_pin_is_heard_and_the_pin_is_not() {
    let mut rig = Rig::with_portfolio("rule").await;
    let rule = rule(&rig.namespace);
    let applied = rig.plane.kubectl_with_input(["apply", "-f", "-"], &rule).await;
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate("support", "send-code", "one").await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    rig.type_code("support", NUMBER).await;
    let told = rig.until_condition("support", "Registered", "False", Some("PinNeeded")).await;
    let text = registered(&told);
    assert!(text.contains("company rule 7: ask team-x (got [redacted])"), "{text}");
    assert_eq!(sixes(&text), [""; 0], "{text}");
    assert!(!rig.logs().contains("(got 0") && rig.logs().contains("company rule 7"), "{}", rig.logs());

    // The words are in no status but this message, and the next process hears them anew.
    rig.operator().kill_nine();
    let tries = |rig: &Rig| rig.logs().matches("step=\"CreatePin\"").count();
    let before = tries(&rig);
    rig.start().await;
    // The status of the try itself is written before the words are heard.
    let is_told = |s: &Value| condition(s, "Registered").is_some_and(|c| c["reason"] == "PinNeeded");
    let is_news = |s: &Value| tries(&rig) > before && is_told(s);
    let told = rig.until("support", "told by the next process", Duration::from_secs(60), is_news).await;
    assert!(registered(&told).contains("company rule 7: ask team-x"), "{told:#}");

    // What the message tells a person to do helps, and the rule stands.
    rig.secret("support-pin", json!({"pin": "271828"})).await;
    // The Secret is looked at once a minute.
    let is_ready = |s: &Value| condition(s, "Ready").is_some_and(|ready| ready["status"] == "True");
    rig.until("support", "Ready", Duration::from_secs(150), is_ready).await;
    assert_eq!(rig.effects_on(DIGITS), ["added", "code", "verified", "registered"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_ends_is_said_to_end() {
    let mut rig = Rig::with_portfolio("ending").await;
    rig.secret("support-code", json!({"code": "not yet"})).await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate("support", "send-code", "one").await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    // Nothing empties it here, so it goes on ending, and takes nothing new.
    let deleted = rig.plane.kubectl(["delete", "namespace", &rig.namespace, "--wait=false"]).await;
    assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
    rig.type_code("support", NUMBER).await;
    let told = rig.until_condition("support", "Registered", "False", Some("PinNeeded")).await;
    let text = registered(&told);
    assert!(
        text.contains("the namespace is being deleted") && text.contains("because it is being terminated"),
        "{text}"
    );
    assert!(!text.contains("six digits"), "no advice that nobody can follow: {text}");
    assert_eq!(rig.effects_on(DIGITS), ["added", "code", "verified"]);
}
