//! What people do with the command line in a cluster, with an editor's rights, beyond the straight way to Ready.

use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use whatsapp_operator::sandbox::What;

use crate::cli::{editor, run_as, stderr, stdout};
use crate::rig::Rig;

const NUMBER: &str = "+5511914000001";
const DIGITS: &str = "5511914000001";

fn said(output: &Output) -> String {
    format!("{}{}", stdout(output), stderr(output))
}

fn verifications(rig: &Rig) -> usize {
    let effects = rig.sandbox.effects();
    effects
        .iter()
        .filter(|e| matches!(&e.what, What::VerifyAttempt { digits, .. } if digits == DIGITS))
        .count()
}

/// Puts the last request of a code so many minutes back in the ledger, and before it the time since which the number is
/// the channel's: the operator's clock cannot be moved.
async fn asked_earlier(rig: &Rig, minutes: i64) {
    let channel = rig.get("support").await;
    let status = &channel["status"];
    let codes = status["memory"]["ledger"]["codes"].as_array().expect("codes");
    let code = format!("/memory/ledger/codes/{}/at", codes.len() - 1);
    let mut patch = Vec::new();
    for path in [code.as_str(), "/memory/marks/added", "/memory/marks/adopted"] {
        let Some(at) = status.pointer(path) else { continue };
        let at: jiff::Timestamp = at.as_str().expect("a time").parse().expect("a time");
        let at = at - jiff::SignedDuration::from_mins(minutes);
        patch.push(json!({"op": "replace", "path": format!("/status{path}"), "value": at.to_string()}));
    }
    assert_eq!(patch.len(), 2, "{status:#}");
    let patch = json!(patch).to_string();
    let args = ["patch", "wac", "support", "-n", &rig.namespace, "--subresource=status", "--type=json", "-p"];
    let output = rig.plane.kubectl(args.into_iter().chain([patch.as_str()])).await;
    assert!(output.status.success(), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_code_that_does_not_do_is_told_apart_and_the_next_step_is_named() {
    let mut rig = Rig::with_portfolio("people").await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    let kubeconfig = editor(&rig).await;
    let run = |args: &'static [&'static str], input: &str| {
        let (kubeconfig, rig, input) = (kubeconfig.clone(), &rig, input.to_owned());
        async move { run_as(&kubeconfig, rig, args, &input).await }
    };
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;

    let status = run(&["status", "support"], "").await;
    assert_eq!(status.status.code(), Some(0), "{}", said(&status));
    assert!(stdout(&status).contains("kubectl whatsapp send-code support"), "{}", stdout(&status));
    assert!(!said(&status).contains('\u{1b}'), "colours in a pipe");

    // Nothing waits for another attempt: the answer is no, and why.
    let retry = run(&["retry", "support", "--wait"], "").await;
    assert_eq!(retry.status.code(), Some(3), "{}", said(&retry));
    assert!(stdout(&retry).contains("refused"), "{}", said(&retry));

    let sent = run(&["send-code", "support", "--wait", "-o", "json"], "").await;
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));
    let answer: Value = serde_json::from_slice(&sent.stdout).expect("JSON");
    assert_eq!(
        (answer["verdict"].as_str(), answer["step"].as_str()),
        (Some("Accepted"), Some("RequestCode"))
    );

    // Letters, too few digits, nothing at all: never handed over, and not repeated in the error.
    for typed in ["12345a", "12345", ""] {
        let malformed = run(&["code", "support"], typed).await;
        assert_eq!(malformed.status.code(), Some(1), "{}", said(&malformed));
        assert!(stderr(&malformed).contains("six digits"), "{}", said(&malformed));
        assert!(typed.is_empty() || !said(&malformed).contains(typed), "what was typed is repeated");
    }
    assert_eq!(verifications(&rig), 0);

    // The right code, too late: Meta gives the same answer as to a wrong one.
    let code = rig.sandbox.delivered_code(DIGITS).expect("a code was delivered");
    rig.sandbox.advance(Duration::from_secs(11 * 60));
    asked_earlier(&rig, 11).await;
    let late = run(&["code", "support"], &code).await;
    assert_eq!(late.status.code(), Some(3), "{}", said(&late));
    assert!(stdout(&late).contains("code wrong or expired"), "{}", said(&late));
    assert!(said(&late).contains("kubectl whatsapp send-code support"), "{}", said(&late));
    assert!(!said(&late).contains(&code));

    // The same code again is no new answer, and is not spent on Meta.
    let again = run(&["code", "support"], &code).await;
    assert_ne!(again.status.code(), Some(0), "{}", said(&again));
    assert_eq!(verifications(&rig), 1);

    // Too late by every clock: it is not sent any more, and a new one is asked for by consent.
    let sent = run(&["send-code", "support", "--wait"], "").await;
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));
    let lapsed = rig.sandbox.delivered_code(DIGITS).expect("a code was delivered");
    rig.sandbox.advance(Duration::from_secs(16 * 60));
    asked_earlier(&rig, 16).await;
    let expired = run(&["code", "support", "-o", "json"], &lapsed).await;
    assert_eq!(expired.status.code(), Some(3), "{}", said(&expired));
    let answer: Value = serde_json::from_slice(&expired.stdout).expect("JSON");
    assert_eq!(answer["verdict"], "Expired", "{answer:#}");
    assert!(said(&expired).contains("kubectl whatsapp send-code support"), "{}", said(&expired));
    rig.until_condition("support", "NumberVerified", "False", Some("CodeLapsed")).await;
    assert_eq!(verifications(&rig), 1, "a code that lapsed is not sent");

    let sent = run(&["send-code", "support", "--wait"], "").await;
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));
    assert!(stdout(&sent).contains("code sent by SMS"), "{}", said(&sent));
    let next = rig.sandbox.delivered_code(DIGITS).expect("a code was delivered");
    assert_ne!(
        next,
        code,
        "a new code was sent: {}\n{}",
        rig.logs(),
        rig.get("support").await["status"]["memory"]["ledger"]
    );
    let code = next;
    let taken = run(&["code", "support", "-o", "json"], &code).await;
    assert_eq!(taken.status.code(), Some(0), "{}", said(&taken));
    let answer: Value = serde_json::from_slice(&taken.stdout).expect("JSON");
    assert_eq!(answer["verdict"], "Accepted");
    rig.until_condition("support", "Ready", "True", None).await;

    // A code that is not needed any more is not sent.
    let before = verifications(&rig);
    let needless = run(&["send-code", "support", "--wait"], "").await;
    assert_eq!(needless.status.code(), Some(3), "{}", said(&needless));
    let needless = run(&["code", "support", "--timeout", "15s"], "123456").await;
    assert_eq!(needless.status.code(), Some(3), "{}", said(&needless));
    assert_eq!(verifications(&rig), before);

    // A plan of what is done has no changes; one with an edit has.
    let dir = tempfile::tempdir().expect("a folder");
    let manifest = |name: &str, more: &str| {
        let path = dir.path().join(name);
        let text = format!(
            "apiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppChannel\nmetadata: {{name: support}}\nspec:\n  \
             portfolioRef: {{name: acme}}\n  phoneNumber: \"{NUMBER}\"\n  displayName: Acme Support\n{more}"
        );
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (same, edited) = (manifest("same.yaml", ""), manifest("edited.yaml", "  profile: {about: Open}\n"));
    for (path, exit, changes) in [(same, 0, 0), (edited, 2, 1)] {
        let args = ["plan", "-f", &path, "--graph-url", &rig.graph_url, "-o", "json"];
        let plan = run_as(&kubeconfig, &rig, &args, "").await;
        assert_eq!(plan.status.code(), Some(exit), "{}", said(&plan));
        let report: Value = serde_json::from_slice(&plan.stdout).expect("JSON");
        assert_eq!(report["changes"], changes, "{report:#}");
    }
}
