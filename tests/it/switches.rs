//! The switches of a channel on a real API server, as a table: what is done about a change that somebody else made at Meta, what
//! is told, and whether a look that is asked for is answered. Every combination is in `proof/levers.rs`, in virtual time.

use std::time::Duration;

use serde_json::{Value, json};
use whatsapp_operator::sandbox::{Number, What};

use crate::rig::{ACCOUNT, APP, Rig, condition};

const HOOK: &str = "https://bot.acme.example/wa";
const THEIRS: &str = "https://elsewhere.example/wa";
const ASKED: &str = "after-the-change";
const SOON: Duration = Duration::from_secs(60);

struct Row {
    name: &'static str,
    /// What the edit sets beside what the channel wants.
    switches: fn() -> Value,
    /// Whether what somebody else changed is written again, and told while it is not.
    is_repaired: bool,
    is_told: bool,
    /// Whether the look that is asked for is answered.
    is_answered: bool,
    /// `Ready` in the end.
    ready: &'static str,
}

const ROWS: [Row; 5] = [
    Row {
        name: "enforced",
        switches: || json!({"interval": "6h"}),
        is_repaired: true,
        is_told: false,
        is_answered: true,
        ready: "True",
    },
    Row {
        name: "reported",
        switches: || json!({"driftPolicy": "Report", "interval": "6h"}),
        is_repaired: false,
        is_told: true,
        is_answered: true,
        ready: "False",
    },
    Row {
        name: "observed",
        switches: || json!({"managementPolicy": "ObserveOnly"}),
        is_repaired: false,
        is_told: true,
        is_answered: true,
        ready: "False",
    },
    Row {
        name: "observed-reported",
        switches: || json!({"managementPolicy": "ObserveOnly", "driftPolicy": "Report", "interval": "24h"}),
        is_repaired: false,
        is_told: true,
        is_answered: true,
        ready: "False",
    },
    Row {
        name: "suspended",
        switches: || json!({"suspend": true, "driftPolicy": "Report", "interval": "1m"}),
        is_repaired: false,
        is_told: false,
        is_answered: false,
        ready: "True",
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

fn is_answered(status: &Value) -> bool {
    status["memory"]["consents"]["reconcile"]["value"] == ASKED
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_of_switches_does_and_tells_what_the_table_says() {
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
        number.webhook.callback = Some(HOOK.into());
        rig.sandbox.add_number(number);
        let hook = json!({"callbackUrl": HOOK, "verifyTokenSecretRef": {"name": "bot", "key": "verify"}});
        rig.channel(row.name, &format!("+{}", digits(n)), json!({"accountId": ACCOUNT, "webhook": hook}))
            .await;
    }
    rig.start().await;
    for row in &ROWS {
        rig.until_condition(row.name, "Ready", "True", None).await;
        rig.edit("wac", row.name, (row.switches)()).await;
    }
    for row in &ROWS {
        rig.until(row.name, "the edit is seen", SOON, |status| status["observedGeneration"] == 2).await;
    }
    assert!((0..ROWS.len()).all(|n| writes(&rig, n) == 0), "nothing was to be written yet");
    for (n, row) in ROWS.iter().enumerate() {
        assert!(rig.sandbox.set_field(&digits(n), "webhook", json!({"callback": THEIRS})));
        rig.annotate(row.name, "reconcile", ASKED).await;
    }
    for row in &ROWS {
        if row.is_answered {
            rig.until(row.name, "the look is answered", SOON, is_answered).await;
        }
        if row.is_repaired {
            rig.until_condition(row.name, "WebhookRouted", "True", None).await;
        }
        rig.until_condition(row.name, "Ready", row.ready, None).await;
    }
    rig.at_rest().await;
    for (n, row) in ROWS.iter().enumerate() {
        let object = rig.get(row.name).await;
        let status = &object["status"];
        let told = status["drift"].as_array().is_some_and(|all| {
            all.iter().any(|one| one["field"] == "webhook.callbackUrl" && one["live"] == THEIRS)
        });
        let live = rig.sandbox.number(&digits(n)).and_then(|number| number.webhook.callback);
        let is_repaired = live.as_deref() == Some(HOOK);
        let routed = |what: &What| matches!(what, What::Overridden { target, .. } if *target == digits(n));
        let ready = condition(status, "Ready").map(|ready| ready["status"].clone());
        assert_eq!(
            (is_repaired, told, is_answered(status), ready, rig.sandbox.count(routed), writes(&rig, n)),
            (
                row.is_repaired,
                row.is_told,
                row.is_answered,
                Some(json!(row.ready)),
                usize::from(row.is_repaired),
                usize::from(row.is_repaired),
            ),
            "{}: {status:#}",
            row.name
        );
    }
}
