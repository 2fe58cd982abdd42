//! From the schemas that were served before to those of today: what stood in an object still may, and what was remembered is
//! taken over.
//!
//! `upgrade/` holds the CRDs that upgrades begin at: those of the last release. Until there is one, they are those of version 0.1.0,
//! whose chart is kept, too: of revision 3 of the schema, under which a status was still owned member by member.

mod compare;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::{Value, json};
use whatsapp_operator::{
    api,
    sandbox::{Number, What},
};

use crate::rig::{ACCOUNT, Rig, condition};
use compare::{crd_changes, fits};

const NUMBER: &str = "+5511912345678";
const BEFORE: [(&str, &str); 2] = [
    ("whatsappchannels", include_str!("upgrade/whatsappchannels.yaml")),
    ("whatsappportfolios", include_str!("upgrade/whatsappportfolios.yaml")),
];

/// What was changed on purpose though it takes something away, and why nobody's object breaks by it.
const DELIBERATE: [(&str, &str); 14] = {
    const ATOMIC: &str =
        "one writer owns each part whole; shown below to be safe for what was owned member by member";
    const NEW_MEMBER: &str = "asks only of a member that no object has yet";
    [
        (
            "whatsappchannels: asks that: !(has(self.spec.connection) && self.spec.connection == 'Coexistence' && \
             has(self.spec.deletionPolicy) && self.spec.deletionPolicy == 'Deregister')",
            NEW_MEMBER,
        ),
        (
            "whatsappchannels: asks that: !(has(self.spec.connection) && self.spec.connection == 'Coexistence' && \
             has(self.spec.registration) && has(self.spec.registration.storageRegion))",
            NEW_MEMBER,
        ),
        (
            "whatsappchannels: asks that: !has(self.spec.coexistence) || (has(self.spec.connection) && \
             self.spec.connection == 'Coexistence')",
            NEW_MEMBER,
        ),
        ("whatsappchannels.status.conditions[]: x-kubernetes-map-type is \"atomic\", and was null", ATOMIC),
        ("whatsappchannels.status.drift[]: x-kubernetes-map-type is \"atomic\", and was null", ATOMIC),
        ("whatsappchannels.status.facts: x-kubernetes-map-type is \"atomic\", and was null", ATOMIC),
        ("whatsappchannels.status.memory: x-kubernetes-map-type is \"atomic\", and was null", ATOMIC),
        ("whatsappchannels.status.preflight[]: x-kubernetes-map-type is \"atomic\", and was null", ATOMIC),
        ("whatsappchannels.status.waitingFor[]: x-kubernetes-map-type is \"atomic\", and was null", ATOMIC),
        (
            "whatsappportfolios.spec: asks that: !has(self.appWebhook) || has(self.credentials.appSecretRef)",
            NEW_MEMBER,
        ),
        ("whatsappportfolios.status.accounts[]: x-kubernetes-map-type is \"atomic\", and was null", ATOMIC),
        ("whatsappportfolios.status.channels: x-kubernetes-map-type is \"atomic\", and was null", ATOMIC),
        ("whatsappportfolios.status.conditions[]: x-kubernetes-map-type is \"atomic\", and was null", ATOMIC),
        ("whatsappportfolios.status.waitingFor[]: x-kubernetes-map-type is \"atomic\", and was null", ATOMIC),
    ]
};

/// The last version before this one that the changelog gives a date: `## [0.1.0] - 2026-10-01`.
fn last_released(changelog: &str, own: &str) -> Option<String> {
    let heads = changelog.lines().filter_map(|line| line.strip_prefix("## [")?.split_once("] - "));
    let mut released =
        heads.filter(|(version, on)| *version != own && on.trim().parse::<jiff::civil::Date>().is_ok());
    released.next().map(|(version, _)| version.to_owned())
}

fn parts(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().expect("a version of three numbers")).collect()
}

#[test]
fn the_kept_copies_are_of_the_last_release() {
    let text = |file: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    let chart = yaml(&text("tests/it/chart/before/Chart.yaml"));
    let kept = chart["version"].as_str().expect("a version");
    assert_eq!(chart["appVersion"], kept);
    for (kind, crd) in BEFORE {
        let first = crd.lines().next().unwrap_or_default();
        assert!(first.starts_with(&format!("# Of version {kept}. ")), "{kind} and the chart: {first}");
        assert!(crd.contains("\nkind: CustomResourceDefinition\n"));
    }
    let own = env!("CARGO_PKG_VERSION");
    assert!(parts(kept) < parts(own), "{kept} is not before {own}");
    let changelog = text("CHANGELOG.md");
    assert!(changelog.contains(&format!("\n## [{own}] - ")), "the changelog says nothing of {own}");
    if let Some(last) = last_released(&changelog, own) {
        assert_eq!(kept, last, "do what CONTRIBUTING.md says of a release after its tag");
    }
    let page = text("CONTRIBUTING.md");
    let steps = page.split_once("\n## Release\n").expect("a section").1;
    let steps = steps.split("\n## ").next().expect("its text");
    for named in [
        "tests/it/upgrade",
        "tests/it/chart/before",
        "CHANGELOG.md",
        "make image reproduce plugin",
        "DELIBERATE",
    ] {
        assert!(steps.contains(named), "{named}");
    }
}

#[test]
fn a_version_is_released_when_the_changelog_has_its_date() {
    let begun = "# Changelog\n\n## [0.3.0] - Unreleased\n\n- New.\n";
    let with = |released: &str| format!("{begun}\n{released}");
    for (text, last) in [
        (with(""), None),
        (with("## [0.2.0] - 2026-12-01\n\n## [0.1.0] - 2026-10-01\n"), Some("0.2.0")),
        (with("## [0.2.0] - soon\n\n## [0.1.0] - 2026-10-01\n"), Some("0.1.0")),
        // The tag of a version has its own date.
        ("## [0.3.0] - 2027-01-01\n## [0.2.0] - 2026-12-01\n".to_owned(), Some("0.2.0")),
    ] {
        assert_eq!(last_released(&text, "0.3.0").as_deref(), last, "{text}");
    }
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

#[test]
fn no_field_was_removed_or_tightened_but_on_purpose() {
    let now = api::crds().expect("the types make CRDs");
    let mut found = Vec::new();
    for (kind, before) in BEFORE {
        let (_, now) = now.iter().find(|(file, _)| file.starts_with(kind)).expect("the kind is still there");
        found.extend(crd_changes(kind, &yaml(before), &yaml(now)));
    }
    let is_meant = |change: &String| DELIBERATE.iter().any(|(meant, _)| meant == change);
    let unmeant: Vec<_> = found.iter().filter(|change| !is_meant(change)).collect();
    assert!(unmeant.is_empty(), "objects of the version before break by this:\n{unmeant:#?}");
    let stale: Vec<_> = DELIBERATE.iter().filter(|(meant, _)| !found.iter().any(|f| f == meant)).collect();
    assert!(stale.is_empty(), "these are no changes any more, strike them: {stale:#?}");
}

/// Channels as the operator of that revision left them, by its golden cases.
const LEFT: &str = include_str!("upgrade/left.yaml");

/// A channel that the last release has brought somewhere.
struct Left {
    name: String,
    spec: Value,
    status: Value,
}

/// Those channels, as if the last look had just been.
fn left() -> Vec<Left> {
    let all = yaml(LEFT);
    let seen: Timestamp = serde_json::from_value(all["at"].clone()).expect("when they were read");
    let later = Timestamp::now().duration_since(seen);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let all = all["channels"].as_array().expect("channels").clone();
    all.into_iter()
        .map(|mut one| {
            shift(&mut one["status"], later);
            Left { name: text(&one["name"]), spec: one["spec"].take(), status: one["status"].take() }
        })
        .collect()
}

/// Moves each time in a value.
fn shift(value: &mut Value, by: SignedDuration) {
    match value {
        Value::String(text) => {
            if let Ok(at) = text.parse::<Timestamp>() {
                let moved = (at + by).round(Unit::Second).expect("a time");
                *text = moved.to_string();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shift(item, by)),
        Value::Object(members) => members.values_mut().for_each(|member| shift(member, by)),
        _ => {}
    }
}

/// What must outlive an upgrade, of one status and of a later one.
fn forgotten(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for part in ["ledger", "marks", "format"] {
        lost(&before["memory"][part], &after["memory"][part], part, &mut found);
    }
    for part in ["businessId", "accountId", "phoneNumberId"] {
        lost(&before[part], &after[part], part, &mut found);
    }
    found
}

/// What the schema before names, of a status that today's operator wrote.
fn under((_, crd): (&str, &str), status: &Value) -> Value {
    let crd = yaml(crd);
    fits(crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status").expect("a status"), status)
}

/// The status of a channel without what only today's schema names, and with a drift as it was told then.
fn of_the_version_before(status: &Value) -> Value {
    let mut status = under(BEFORE[0], status);
    let drift =
        json!([{"field": "profile.about", "desired": "Hello", "observed": "Hi", "action": "it is written"}]);
    status["drift"] = drift;
    status
}

async fn apply_crds(rig: &Rig, crds: &str) {
    let args = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    let out = rig.plane.kubectl_with_input(args, crds).await;
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// The entry of the operator in the `managedFields` of the status.
fn owned(object: &Value) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().expect("somebody owns it");
    let own = entries.iter().find(|e| e["manager"] == "whatsapp-operator" && e["subresource"] == "status");
    own.expect("the operator owns its status")["fieldsV1"]["f:status"].clone()
}

/// What the first holds and the second does not, by path.
fn lost(before: &Value, after: &Value, path: &str, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(_)) => {
            for (key, value) in before {
                lost(value, &after[key], &format!("{path}.{key}"), found);
            }
        }
        _ if before == after => {}
        _ => found.push(format!("{path}: {before} is now {after}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_of_the_older_schema_is_read_and_reconciled_and_nothing_of_it_is_lost() {
    let mut rig = Rig::apart("upgrade").await;
    for one in left() {
        let text = |of: &Value| of.as_str().expect("text").to_owned();
        let digits = text(&one.spec["phoneNumber"]).trim_start_matches('+').to_owned();
        let Some(id) = one.status["phoneNumberId"].as_str() else { continue };
        let number = Number::new(id, ACCOUNT, &digits, &text(&one.spec["displayName"]));
        let is_ready = one.status["stage"] == "Ready";
        rig.sandbox.add_number(if is_ready { number.registered("271828") } else { number });
    }
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    let ready = rig.onboard("support", NUMBER).await;
    rig.at_rest().await;
    rig.operator().kill_nine();

    // As if the version before had brought it so far, under its own schema.
    apply_crds(&rig, &BEFORE.map(|(_, yaml)| yaml).join("\n---\n")).await;
    let unknown = json!({"facts": {"username": "acme"}});
    for wait in 0.. {
        if rig.write_status("wac", "support", &unknown).await.is_err() {
            break;
        }
        assert!(wait < 120, "the older schema is not served");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let written = of_the_version_before(&ready["status"]);
    rig.write_status("wac", "support", &written).await.expect("the version before wrote it");
    let older = rig.get("support").await;
    assert_eq!(older["status"], written, "its schema takes it whole");
    let per_member = owned(&older);
    assert!(!per_member["f:memory"]["f:ledger"].is_null(), "owned member by member: {per_member}");
    let looked_at = rig.get_of("wap", "acme").await["status"].take();
    let mut portfolio = under(BEFORE[1], &looked_at);
    portfolio["name"] = json!("What it was called before");
    rig.write_status("wap", "acme", &portfolio).await.expect("the version before wrote it");
    assert_eq!(rig.get_of("wap", "acme").await["status"], portfolio, "its schema takes it whole");
    let left = left();
    for one in &left {
        rig.apply(&json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
            "metadata": {"name": one.name}, "spec": one.spec,
        }))
        .await;
        rig.write_status("wac", &one.name, &one.status).await.expect("the last release wrote it");
        assert_eq!(rig.get(&one.name).await["status"], one.status, "{}: its schema takes it whole", one.name);
    }
    // Somebody has put a hand to a member of a part that is the operator's.
    rig.edit_status("wac", "support", json!({"facts": {"quality": "RED"}})).await;

    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_whatsapp-operator")).arg("crd").output();
    apply_crds(&rig, &String::from_utf8(printed.expect("it runs").stdout).expect("YAML")).await;
    let effects = rig.sandbox.effects().len();
    // An edit goes through though the drift that stands there lacks what today's version writes.
    for wait in 0.. {
        // Only the newer schema knows an interval.
        let patch = kube::api::Patch::Merge(json!({"spec": {"interval": "1h"}}));
        let strict = kube::api::PatchParams::default().validation_strict();
        let edited = rig.api("wac", &rig.namespace).patch("support", &strict, &patch).await;
        match edited {
            Ok(_) => break,
            Err(error) => assert!(wait < 120, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    rig.start().await;
    let looked = rig.look("support", "after the upgrade").await;
    let taken = rig
        .until("support", "a status of its own", Duration::from_secs(60), |status| {
            status["drift"].is_null() && status["facts"]["quality"] != "RED"
        })
        .await;
    let now = [looked, taken];
    for object in &now {
        let found = forgotten(&written, &object["status"]);
        assert!(found.is_empty(), "{found:#?}");
        assert_eq!(condition(&object["status"], "Ready").map(|c| &c["status"]), Some(&json!("True")));
    }
    for one in &left {
        let looked = rig.look(&one.name, "after the upgrade").await;
        let found = forgotten(&one.status, &looked["status"]);
        assert!(found.is_empty(), "{}: {found:#?}", one.name);
        assert_eq!(looked["status"]["stage"], one.status["stage"], "{}", one.name);
    }
    let again = |status: &Value| {
        condition(status, "Ready").is_some_and(|ready| ready["status"] == "True")
            && status["name"] == looked_at["name"]
            && status["accounts"] == looked_at["accounts"]
    };
    rig.until_of("wap", "acme", "a status of its own", Duration::from_secs(60), again).await;
    let again: Vec<_> = rig.sandbox.effects().split_off(effects);
    assert!(
        !again.iter().any(|e| !matches!(e.what, What::ProfileWritten { .. })),
        "nothing twice: {again:#?}"
    );

    let by_part = owned(&now[1]);
    for part in ["memory", "facts"] {
        assert_eq!(by_part[format!("f:{part}")], json!({}), "{part} is owned whole: {by_part}");
    }
    let (long, short) = (per_member.to_string().len(), by_part.to_string().len());
    assert!(short * 3 < long, "who owns what took {long} bytes, and takes {short}");
    let managers = now[1]["metadata"]["managedFields"].to_string();
    assert!(!managers.contains("f:quality"), "the hand that was put to it owns nothing any more: {managers}");

    // And back: only the image is rolled back, and the version before goes on writing under today's schema.
    rig.operator().kill_nine();
    rig.write_status("wac", "support", &written)
        .await
        .expect("today's schema takes what the version before writes");
    rig.write_status("wap", "acme", &portfolio).await.expect("of a portfolio, too");
}
