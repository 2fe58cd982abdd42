//! What people change of a number that exists, on a real API server and with the chart's rights: each is done at Meta once.

use jiff::Timestamp;
use serde_json::{Value, json};
use whatsapp_operator::sandbox::{Number, What};

use crate::rig::{ACCOUNT, Rig};

const SYNCED: &str = "5511914000101";
const NAMED: &str = "5511914000102";
const PINNED: &str = "5511914000103";
const STORED: &str = "5511914000105";
/// An app of somebody else.
const OTHER_APP: &str = "200000000000009";

/// What was done at Meta of what this is about.
fn done(rig: &Rig, digits: &str) -> Vec<String> {
    let told = |what: What| match what {
        What::SyncStarted { digits, kind } => Some((digits, kind)),
        What::UsernameClaimed { digits, username } => Some((digits, username)),
        What::PinSet { digits } => Some((digits, "PIN".into())),
        What::StorageSet { digits, region } => Some((digits, region)),
        What::Registered { digits } => Some((digits, "registered".into())),
        What::Deregistered { digits } => Some((digits, "deregistered".into())),
        _ => None,
    };
    let all = rig.sandbox.effects().into_iter().filter_map(|effect| told(effect.what));
    all.filter(|(of, _)| of == digits).map(|(_, what)| what).collect()
}

async fn channel(rig: &Rig, name: &str, digits: &str, spec: Value) {
    rig.channel(name, &format!("+{digits}"), spec).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_a_username_a_changed_pin_and_a_storage_region_each_come_to_meta_once() {
    let mut rig = Rig::with_portfolio("day-two").await;
    let number = |id: &str, digits: &str| Number::new(id, ACCOUNT, digits, "Acme Support");
    let onboarded = Some(Timestamp::now());
    rig.sandbox.add_number(Number {
        last_onboarded_time: onboarded,
        ..number("100000000000911", SYNCED).coexisting()
    });
    rig.sandbox.add_number(number("100000000000912", NAMED).registered("271828"));
    rig.sandbox.add_number(number("100000000000913", PINNED).registered("271828"));
    rig.secret("pinned-pin", json!({"pin": "271828"})).await;
    rig.start().await;
    let sync =
        json!({"connection": "Coexistence", "coexistence": {"syncContacts": true, "syncHistory": true}});
    channel(&rig, "synced", SYNCED, sync).await;
    channel(&rig, "named", NAMED, json!({"username": "acme.support"})).await;
    let pin = json!({"pinSecretRef": {"name": "pinned-pin", "key": "pin"}});
    channel(&rig, "pinned", PINNED, json!({"registration": pin})).await;
    channel(&rig, "stored", STORED, json!({"registration": {"storageRegion": "BR"}})).await;

    // Nobody would get what the app sends, and it comes once.
    rig.until_condition("synced", "AppSynced", "False", Some("SyncAwaitsWebhook")).await;
    assert_eq!(done(&rig, SYNCED), [""; 0]);
    assert!(rig.sandbox.set_field(ACCOUNT, "subscriptions", json!({ OTHER_APP: {} })));

    rig.until_condition("pinned", "Ready", "True", None).await;
    rig.look("pinned", "before").await;
    assert_eq!(done(&rig, PINNED), [""; 0], "what is first seen is no change");
    rig.secret("pinned-pin", json!({"pin": "314159"})).await;
    rig.annotate("pinned", "reconcile", "changed").await;
    rig.onboard("stored", &format!("+{STORED}")).await;
    rig.until_condition("pinned", "RegistrationSynced", "True", Some("PinSet")).await;
    assert_eq!(rig.sandbox.number(PINNED).and_then(|number| number.pin).as_deref(), Some("314159"));
    rig.until_condition("named", "UsernameClaimed", "True", None).await;
    rig.annotate("synced", "reconcile", "subscribed").await;
    rig.until_condition("synced", "AppSynced", "True", Some("SyncsAsked")).await;

    for name in ["synced", "named", "pinned", "stored"] {
        rig.look(name, "once more").await;
    }
    rig.at_rest().await;
    assert_eq!(done(&rig, SYNCED), ["smb_app_state_sync", "history"]);
    assert_eq!(done(&rig, NAMED), ["acme.support"]);
    assert_eq!(done(&rig, PINNED), ["PIN"]);
    assert_eq!(done(&rig, STORED), ["BR", "registered"]);
}
