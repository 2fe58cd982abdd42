//! The switches of a channel on a real API server, as a table over their pairs: what is done about a change that somebody else made
//! at Meta and about another name, what is told, whether a look that is asked for is answered, and what a deletion takes back.
//! Every combination is in `proof/levers.rs`, in virtual time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use whatsapp_operator::sandbox::{Number, What};

use crate::deletion::{event, until_gone};
use crate::rig::{ACCOUNT, APP, Rig, condition};

const HOOK: &str = "https://bot.acme.example/wa";
const THEIRS: &str = "https://elsewhere.example/wa";
const ASKS: &str = "after-the-change";
const SOON: Duration = Duration::from_secs(60);
/// Somebody waits for Meta's review of the name.
const RENAMED: (&str, &str) = ("True", "UsableUnderAnotherName");
const REVIEW: Option<&str> = Some("ReviewName");

/// One combination: what is set, what happens then, and what follows. Each pair of settings, and of a setting with what
/// happens, is in some row, where `interval` counts as set or left out.
struct Row {
    name: &'static str,
    /// What an edit sets beside what the channel wants.
    set: &'static str,
    /// Somebody else changes its webhook at Meta.
    drifts: bool,
    /// Another display name is wanted.
    is_renamed: bool,
    /// A look is asked for, and whether it is answered.
    is_asked: bool,
    is_answered: bool,
    /// What is written at Meta, in order of the alphabet.
    writes: &'static [&'static str],
    /// `Ready` in the end, and the first that is waited for.
    ready: (&'static str, &'static str),
    waits: Option<&'static str>,
    /// Fields that are told as drift.
    told: &'static [&'static str],
    /// The event of its deletion, where it has a finalizer, and what that takes back.
    ends: Option<&'static str>,
    taken: &'static [&'static str],
}

const WELL: (&str, &str) = ("True", "Usable");
const DIFFERS: (&str, &str) = ("False", "WebhookDiffers");
const WEBHOOK: &[&str] = &["webhook.callbackUrl"];
const NAME: &[&str] = &["displayName"];
const BOTH: &[&str] = &["displayName", "webhook.callbackUrl"];

/// A channel that needs nothing and is asked for nothing.
const QUIET: Row = Row {
    name: "quiet",
    set: r#"{"interval": "24h"}"#,
    drifts: false,
    is_renamed: false,
    is_asked: false,
    is_answered: false,
    writes: &[],
    ready: WELL,
    waits: None,
    told: &[],
    ends: None,
    taken: &[],
};

/// One for which a look is asked and answered.
const ASKED: Row = Row { is_asked: true, is_answered: true, ..QUIET };

/// Nothing is read of it, so nothing is told.
const SUSPENDED: Row = Row { is_asked: true, waits: Some("Resume"), ..QUIET };

const ROWS: [Row; 16] = [
    QUIET,
    Row {
        name: "asked",
        set: r#"{"interval": "24h", "deletionPolicy": "Deregister"}"#,
        // It was found registered, so that stays.
        ends: Some("CleanedUp"),
        taken: &["unrouted"],
        ..ASKED
    },
    Row { name: "enforced", set: r#"{"interval": "6h"}"#, drifts: true, writes: &["webhook"], ..ASKED },
    Row {
        name: "enforced-unroute",
        set: r#"{"deletionPolicy": "Unroute"}"#,
        drifts: true,
        writes: &["webhook"],
        ends: Some("CleanedUp"),
        taken: &["unrouted"],
        ..ASKED
    },
    Row {
        name: "renamed",
        set: r#"{"interval": "24h", "deletionPolicy": "Unroute"}"#,
        is_renamed: true,
        writes: &["name"],
        ready: RENAMED,
        waits: REVIEW,
        told: NAME,
        ends: Some("CleanedUp"),
        taken: &["unrouted"],
        ..QUIET
    },
    Row {
        name: "renamed-and-drifts",
        set: r#"{"interval": "1m", "deletionPolicy": "Deregister"}"#,
        is_renamed: true,
        drifts: true,
        writes: &["name", "webhook"],
        ready: RENAMED,
        waits: REVIEW,
        told: NAME,
        ends: Some("CleanedUp"),
        taken: &["unrouted"],
        ..ASKED
    },
    Row {
        name: "reported",
        set: r#"{"driftPolicy": "Report", "interval": "6h", "deletionPolicy": "Unroute"}"#,
        drifts: true,
        ready: DIFFERS,
        waits: Some("AlignSettings"),
        told: WEBHOOK,
        // Somebody else's address stays.
        ends: Some("Retained"),
        ..ASKED
    },
    Row {
        name: "reported-renamed",
        set: r#"{"driftPolicy": "Report", "deletionPolicy": "Deregister"}"#,
        is_renamed: true,
        writes: &["name"],
        ready: RENAMED,
        waits: REVIEW,
        told: NAME,
        ends: Some("CleanedUp"),
        taken: &["unrouted"],
        ..ASKED
    },
    Row {
        name: "reported-renamed-and-drifts",
        set: r#"{"driftPolicy": "Report", "interval": "1m"}"#,
        is_renamed: true,
        drifts: true,
        writes: &["name"],
        ready: DIFFERS,
        waits: Some("AlignSettings"),
        told: BOTH,
        ..ASKED
    },
    Row {
        name: "observed",
        set: r#"{"managementPolicy": "ObserveOnly", "interval": "6h", "deletionPolicy": "Unroute"}"#,
        drifts: true,
        ready: DIFFERS,
        waits: Some("AlignSettings"),
        told: WEBHOOK,
        ends: Some("CleanedUp"),
        ..ASKED
    },
    Row {
        name: "observed-renamed",
        set: r#"{"managementPolicy": "ObserveOnly", "interval": "24h", "deletionPolicy": "Deregister"}"#,
        is_renamed: true,
        ready: RENAMED,
        waits: Some("AlignName"),
        told: NAME,
        ends: Some("Retained"),
        ..QUIET
    },
    Row {
        name: "observed-reported-both",
        set: r#"{"managementPolicy": "ObserveOnly", "driftPolicy": "Report"}"#,
        is_renamed: true,
        drifts: true,
        ready: DIFFERS,
        waits: Some("AlignSettings"),
        told: BOTH,
        ..ASKED
    },
    Row {
        name: "suspended",
        set: r#"{"suspend": true, "interval": "1m", "deletionPolicy": "Unroute"}"#,
        drifts: true,
        ends: Some("LeftAtMeta"),
        ..SUSPENDED
    },
    Row {
        name: "suspended-reported-renamed",
        set: r#"{"suspend": true, "driftPolicy": "Report", "interval": "24h", "deletionPolicy": "Deregister"}"#,
        is_renamed: true,
        ends: Some("LeftAtMeta"),
        ..SUSPENDED
    },
    Row {
        name: "suspended-observed-both",
        set: r#"{"suspend": true, "managementPolicy": "ObserveOnly", "deletionPolicy": "Unroute"}"#,
        is_renamed: true,
        drifts: true,
        ends: Some("CleanedUp"),
        ..SUSPENDED
    },
    Row {
        name: "suspended-all-reported",
        set: r#"{"suspend": true, "managementPolicy": "ObserveOnly", "driftPolicy": "Report", "interval": "6h"}"#,
        drifts: true,
        ..SUSPENDED
    },
];

fn digits(n: usize) -> String {
    format!("55119160{n:05}")
}

fn id(n: usize) -> String {
    format!("1000000002{n:05}")
}

/// Writes to the number that Meta got.
fn writes(rig: &Rig, n: usize) -> usize {
    let calls = rig.sandbox.calls();
    calls.iter().filter(|call| call.method != "GET" && call.id == Some(id(n))).count()
}

/// What was written of the number, in order of the alphabet.
fn written(rig: &Rig, n: usize) -> Vec<&'static str> {
    let word = |what: &What| match what {
        What::Overridden { target, url: Some(_) } if *target == digits(n) => Some("webhook"),
        What::Overridden { target, url: None } if *target == digits(n) => Some("unrouted"),
        What::NameSubmitted { digits: of, .. } if *of == digits(n) => Some("name"),
        What::Deregistered { digits: of } if *of == digits(n) => Some("deregistered"),
        What::RegisterAttempt { digits: of, .. } if *of == digits(n) => Some("registered"),
        _ => None,
    };
    let mut all: Vec<_> = rig.sandbox.effects().iter().filter_map(|effect| word(&effect.what)).collect();
    all.sort_unstable();
    all
}

fn is_answered(status: &Value) -> bool {
    status["memory"]["consents"]["reconcile"]["value"] == ASKS
}

/// What the row has, in the words of the table.
fn seen(rig: &Rig, n: usize, status: &Value) -> String {
    let ready = condition(status, "Ready").expect("Ready");
    let mut told: Vec<&str> =
        status["drift"].as_array().into_iter().flatten().filter_map(|one| one["field"].as_str()).collect();
    told.sort_unstable();
    let waits = status["waitingFor"][0]["action"].as_str();
    let ready = (ready["status"].as_str(), ready["reason"].as_str());
    let asked = is_answered(status);
    let (did, sent) = (written(rig, n), writes(rig, n));
    format!(
        "written {did:?} by {sent} calls, Ready {ready:?}, waits {waits:?}, told {told:?}, answered {asked}"
    )
}

fn expected(row: &Row) -> String {
    let Row { writes, ready, waits, told, is_answered, .. } = row;
    let (did, sent, ready) = (writes, writes.len(), (Some(ready.0), Some(ready.1)));
    format!(
        "written {did:?} by {sent} calls, Ready {ready:?}, waits {waits:?}, told {told:?}, answered {is_answered}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_of_switches_does_and_tells_what_the_table_says_and_ends_so() {
    let mut rig = Rig::with_portfolio("switches").await;
    assert!(rig.sandbox.set_field(ACCOUNT, "subscriptions", json!({APP: {}})));
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "bot", "labels": {"whatsapp-operator.dev/use": "verify-token"}},
        "stringData": {"verify": "word"},
    }))
    .await;
    for (n, row) in ROWS.iter().enumerate() {
        let mut number = Number::new(&id(n), ACCOUNT, &digits(n), "Acme Support").registered("135790");
        number.name_status = "APPROVED".into();
        number.webhook.callback = Some(HOOK.into());
        rig.sandbox.add_number(number);
        // No review is spent on a number that could not be registered under its new name.
        rig.secret(&format!("{}-pin", row.name), json!({"pin": "135790"})).await;
        let hook = json!({"callbackUrl": HOOK, "verifyTokenSecretRef": {"name": "bot", "key": "verify"}});
        rig.channel(row.name, &format!("+{}", digits(n)), json!({"accountId": ACCOUNT, "webhook": hook}))
            .await;
    }
    rig.start().await;
    for row in &ROWS {
        rig.until_condition(row.name, "Ready", "True", None).await;
        rig.edit("wac", row.name, serde_json::from_str(row.set).expect("JSON")).await;
    }
    for row in &ROWS {
        rig.until(row.name, "the edit is seen", SOON, |status| status["observedGeneration"] == 2).await;
    }
    assert!((0..ROWS.len()).all(|n| writes(&rig, n) == 0), "nothing was to be written yet");
    for (n, row) in ROWS.iter().enumerate() {
        if row.drifts {
            assert!(rig.sandbox.set_field(&digits(n), "webhook", json!({"callback": THEIRS})));
        }
    }
    for row in &ROWS {
        if row.is_renamed {
            rig.edit("wac", row.name, json!({"displayName": "Acme Help"})).await;
        }
        if row.is_asked {
            rig.annotate(row.name, "reconcile", ASKS).await;
        }
    }
    for (n, row) in ROWS.iter().enumerate() {
        let generation = if row.is_renamed { 3 } else { 2 };
        rig.until(row.name, "the rename is seen", SOON, |status| status["observedGeneration"] == generation)
            .await;
        if row.is_answered {
            rig.until(row.name, "the look is answered", SOON, is_answered).await;
        }
        rig.until_condition(row.name, "Ready", row.ready.0, None).await;
        let deadline = Instant::now() + SOON;
        while written(&rig, n).len() < row.writes.len() {
            assert!(Instant::now() < deadline, "{}: {:?}\n{}", row.name, written(&rig, n), rig.logs());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    // What was written shows with the next look, a minute later at most.
    let deadline = Instant::now() + SOON * 2;
    for (n, row) in ROWS.iter().enumerate() {
        while seen(&rig, n, &rig.get(row.name).await["status"]) != expected(row) && Instant::now() < deadline
        {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    rig.at_rest().await;
    let mut wrong = Vec::new();
    for (n, row) in ROWS.iter().enumerate() {
        let status = &rig.get(row.name).await["status"];
        let (is, expected) = (seen(&rig, n, status), expected(row));
        if is != expected {
            wrong.push(format!("{}:\n  {is}, and the table says\n  {expected}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let out = rig.plane.kubectl(["delete", "wac", "--all", "--wait=false", "-n", &rig.namespace]).await;
    assert!(out.status.success(), "{out:?}");
    for (n, row) in ROWS.iter().enumerate() {
        until_gone(&rig, "wac", row.name, SOON * 3).await;
        let event = match row.ends {
            Some(reason) => event(&rig, row.name, reason).await,
            None => String::new(),
        };
        let mut all: Vec<_> = row.writes.iter().chain(row.taken).copied().collect();
        all.sort_unstable();
        assert_eq!(written(&rig, n), all, "{}: {event}", row.name);
        let live = rig.sandbox.number(&digits(n)).and_then(|number| number.webhook.callback);
        assert_eq!(live.is_some(), row.taken.is_empty(), "{}: {event}", row.name);
    }
}
