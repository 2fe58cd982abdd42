//! A profile picture on a real API server: read from a ConfigMap with the chart's rights, and uploaded once for each
//! content.

use std::time::{Duration, Instant};

use k8s_openapi::ByteString;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use whatsapp_operator::{
    run::picture::png,
    sandbox::{Number, What},
};

use crate::rig::{ACCOUNT, Rig};

const DIGITS: &str = "5511914000001";

fn picture(nth: u8) -> Vec<u8> {
    [png(640, 640), vec![nth; 20_000]].concat()
}

fn sum(nth: u8) -> String {
    digest(&SHA256, &picture(nth)).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn config_map(nth: u8) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "acme-logo"},
        "binaryData": {"logo.png": ByteString(picture(nth))},
    })
}

/// The pictures that were set at Meta, and how many uploads were begun for them.
fn uploaded(rig: &Rig) -> (Vec<String>, u64) {
    let set = rig.sandbox.effects().into_iter().filter_map(|effect| match effect.what {
        What::PictureSet { sha256, .. } => Some(sha256),
        _ => None,
    });
    (set.collect(), rig.sandbox.counters().get("POST /{app}/uploads").copied().unwrap_or_default())
}

async fn until_uploaded(rig: &Rig, pictures: &[u8]) {
    let expected: Vec<String> = pictures.iter().map(|nth| sum(*nth)).collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    while uploaded(rig).0 != expected {
        assert!(Instant::now() < deadline, "{:?} instead of {expected:?}\n{}", uploaded(rig), rig.logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Asks for a retry, which also looks at the source, and waits until it was answered.
async fn retry(rig: &Rig, value: &str) {
    rig.annotate("shown", "retry", value).await;
    rig.until("shown", "the retry", Duration::from_secs(60), |s| {
        s["memory"]["consents"]["retry"]["value"] == value
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_of_a_config_map_is_uploaded_once_and_once_more_when_it_changes() {
    let mut rig = Rig::with_portfolio("picture").await;
    rig.sandbox
        .add_number(Number::new("100000000000901", ACCOUNT, DIGITS, "Acme Support").registered("271828"));
    rig.apply(&config_map(1)).await;
    rig.start().await;
    let source = json!({"configMapKeyRef": {"name": "acme-logo", "key": "logo.png"}});
    rig.channel("shown", &format!("+{DIGITS}"), json!({"profile": {"pictureRef": source}})).await;
    let shown = rig.until_condition("shown", "ProfileSynced", "True", None).await;
    assert_eq!(shown["status"]["memory"]["marks"]["pictureSha256"], sum(1));
    assert_eq!(uploaded(&rig), (vec![sum(1)], 1));

    rig.apply(&config_map(2)).await;
    rig.annotate("shown", "retry", "changed").await;
    until_uploaded(&rig, &[1, 2]).await;
    rig.until("shown", "the second picture", Duration::from_secs(60), |s| {
        s["memory"]["marks"]["pictureSha256"] == sum(2)
    })
    .await;
    retry(&rig, "unchanged").await;
    rig.at_rest().await;
    assert_eq!(uploaded(&rig), (vec![sum(1), sum(2)], 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_a_secret_becomes_the_picture_only_where_its_label_allows_that() {
    let mut rig = Rig::with_portfolio("sealed").await;
    rig.sandbox
        .add_number(Number::new("100000000000901", ACCOUNT, DIGITS, "Acme Support").registered("271828"));
    let secret = |labels: Value| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "acme-logo", "labels": labels},
            "data": {"logo.png": ByteString(picture(3))},
        })
    };
    rig.apply(&secret(json!({"whatsapp-operator.dev/use": "verify-token"}))).await;
    rig.start().await;
    let source = json!({"secretKeyRef": {"name": "acme-logo", "key": "logo.png"}});
    rig.channel("shown", &format!("+{DIGITS}"), json!({"profile": {"pictureRef": source}})).await;
    let refused =
        rig.until_condition("shown", "ProfileSynced", "False", Some("PictureUnlabelled")).await.to_string();
    let command =
        format!("kubectl label secret acme-logo whatsapp-operator.dev/use=picture -n {}", rig.namespace);
    assert!(refused.contains(&command), "{refused}");
    rig.at_rest().await;
    assert_eq!(uploaded(&rig), (Vec::new(), 0));
    rig.apply(&secret(json!({"whatsapp-operator.dev/use": "picture"}))).await;
    rig.annotate("shown", "retry", "labelled").await;
    rig.until_condition("shown", "ProfileSynced", "True", None).await;
    assert_eq!(uploaded(&rig), (vec![sum(3)], 1));
}
