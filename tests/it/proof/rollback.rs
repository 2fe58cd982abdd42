//! An operator that is rolled back finds a status that a newer one wrote.
//!
//! What it does not know stays as it is: nothing of it is acted on, nothing of it is lost, and nothing is done from a
//! ledger of which a part is not understood. A step that only the newer version can decide keeps everything back that
//! cannot be repeated.

use rstest::rstest;
use serde_json::{Value, json};
use whatsapp_operator::engine::{condition::Truth, condition_type::ConditionType, reason::Reason};
use whatsapp_operator::sandbox::What;

use super::world::*;

/// A step that this version does not know, begun at the given time.
fn newer_step(now: jiff::Timestamp) -> Value {
    json!({
        "id": "from-the-future",
        "step": "TransferNumber",
        "reason": "the number goes to another account",
        "startedAt": now,
        "sendBefore": later(now, MINUTE),
        "settleUntil": later(now, 10 * MINUTE),
        "generation": 1,
        "transferTo": "300000000000009",
    })
}

/// What a newer version wrote, in every place that remembers something.
fn from_the_future(status: &mut Value, now: jiff::Timestamp) {
    let refusal = json!({
        "code": 999_999, "message": "no", "class": "AskAgainTomorrow", "scope": "Continent", "hint": {"days": 1},
    });
    let entry = json!({
        "id": "e-1", "at": now, "outcome": "HalfDone", "cause": "Webhook", "refusal": refusal, "cost": 3,
        "secretBefore": {"uid": "s", "resourceVersion": "1", "digest": "none"},
    });
    let pace =
        json!({"generation": 1, "failed": 1, "accepted": 0, "last": now, "refusal": refusal, "burst": 2});
    status["memory"]["inFlight"] = newer_step(now);
    for list in ["registrations", "codes", "verifications", "names", "adds", "pins"] {
        let ledger = &mut status["memory"]["ledger"];
        match ledger[list].as_array_mut() {
            Some(entries) => entries.push(entry.clone()),
            None => ledger[list] = json!([entry]),
        }
    }
    status["memory"]["ledger"]["repeatable"]["WriteCatalogue"] = pace;
    status["memory"]["ledger"]["transfers"] = json!([entry]);
    status["memory"]["consents"]["retry"] =
        json!({"value": "9", "at": now, "usedFor": "TransferNumber", "askedBy": "somebody"});
    status["memory"]["consents"]["transfer"] = json!({"value": "1", "at": now});
    status["memory"]["marks"]["transferred"] = json!({"at": now, "from": "300000000000001"});
    status["transfer"] = json!({"to": "300000000000009", "since": now});
}

/// What `before` holds and `after` does not, by path.
fn lost(before: &Value, after: &Value, path: &str, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                lost(value, after.get(key).unwrap_or(&Value::Null), &format!("{path}.{key}"), found);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (at, (before, after)) in before.iter().zip(after).enumerate() {
                lost(before, after, &format!("{path}[{at}]"), found);
            }
        }
        _ if before == after => {}
        _ => found.push(format!("{path}: {before} is now {after}")),
    }
}

/// The parts of a status that remember.
fn remembered(status: &Value) -> Value {
    let parts = ["inFlight", "ledger", "consents", "marks"];
    let parts = parts.into_iter().map(|part| (part.to_owned(), status["memory"][part].clone()));
    parts.chain([("transfer".to_owned(), status["transfer"].clone())]).collect()
}

fn raw(world: &World) -> Value {
    serde_json::to_value(&*world.cluster.raw(CHANNEL)).unwrap()
}

fn waits(status: &Value) -> Vec<(&str, &str)> {
    let list = status["waitingFor"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|wait| (wait["actor"].as_str().unwrap(), wait["action"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_status_from_the_future_outlives_the_passes_of_an_older_operator() {
    let mut world = World::new().await;
    world.cluster.apply(channel());
    assert!(world.run_until_ready(DAY).await);
    let mut status = raw(&world);
    from_the_future(&mut status, world.now());
    world.cluster.overwrite(CHANNEL, status.clone());
    assert_eq!(raw(&world), status, "it is read whole");
    let written = world.cluster.written_count();
    let profiles = |world: &World| world.count(|what| matches!(what, What::ProfileWritten { .. }));
    let before = profiles(&world);
    // A change that the older version would make itself, and a consent.
    world.cluster.edit(CHANNEL, |desired| {
        desired.profile.about = Some("We answer at once".into());
        desired.consents.retry = Some("10".into());
    });
    world.wake(CHANNEL, SECOND);
    world.run_for(HOUR).await;
    assert!(world.cluster.written_count() > written, "the older version wrote");
    let written = world.cluster.written_count();
    world.run_for(DAY).await;
    assert_eq!(world.cluster.written_count(), written, "it is told once");
    let after = raw(&world);
    let mut found = Vec::new();
    lost(&remembered(&status), &remembered(&after), "status", &mut found);
    lost(&remembered(&after), &remembered(&status), "status", &mut found);
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(profiles(&world), before, "{}", world.story());
    assert!(world.cluster.status(CHANNEL).is_ready(), "nobody is alarmed about a number that works");
    let reconciling = world.cluster.status(CHANNEL).condition(ConditionType::Reconciling).cloned().unwrap();
    assert_eq!((reconciling.status, reconciling.reason), (Truth::True, Reason::StatusNotUnderstood));
    let first = "status.memory.ledger.registrations[";
    assert!(reconciling.message.starts_with(first), "{}", reconciling.message);
    assert_eq!(waits(&after), [("ClusterUser", "RunNewerVersion")]);
}

/// Nothing is done for a day, everything stays as it stands, and once it is understood the channel goes on.
#[rstest]
#[case::a_newer_format(json!({"format": 2}), "status.memory.format is 2, and this version knows 1")]
#[case::a_newer_format_of_the_ledger(
    json!({"format": 2, "ledger": {"attempts": 3}, "marks": "a packed text"}),
    "status.memory.marks cannot be read"
)]
#[case::a_ledger_of_another_shape(
    json!({"ledger": {"registrations": {"r-1": "Accepted"}}}),
    "status.memory.ledger cannot be read"
)]
#[case::a_time_that_is_none(json!({"marks": {"added": "2026-02-30T00:00:00Z"}}), "status.memory.marks cannot be read")]
#[case::a_word_that_decides(
    json!({"ledger": {"adds": [{"id": "a", "at": "2026-03-01T12:00:00Z", "outcome": "HalfDone", "cause": "Automatic"}]}}),
    "status.memory.ledger.adds[0].outcome is HalfDone, which this version does not know"
)]
#[tokio::test]
async fn a_ledger_that_is_not_understood_holds_everything_and_loses_nothing(
    #[case] written: Value,
    #[case] says: &str,
) {
    let mut world = World::new().await;
    world.cluster.apply(channel());
    let before = raw(&world);
    let mut status = before.clone();
    status["accountId"] = json!(ACCOUNT);
    for (member, value) in written.as_object().unwrap() {
        status["memory"][member] = value.clone();
    }
    world.cluster.overwrite(CHANNEL, status.clone());
    world.wake(CHANNEL, SECOND);
    world.run_for(DAY).await;
    let after = raw(&world);
    let ready = world.cluster.status(CHANNEL).condition(ConditionType::Ready).cloned().unwrap();
    assert_eq!(
        (ready.status, ready.reason),
        (Truth::False, Reason::StatusNotUnderstood),
        "{}",
        ready.message
    );
    assert!(ready.message.starts_with(says), "{}", ready.message);
    assert!(ready.message.contains("kubectl edit whatsappchannel"), "{}", ready.message);
    assert_eq!(waits(&after), [("ClusterUser", "RunNewerVersion")]);
    let mut found = Vec::new();
    lost(&status["memory"], &after["memory"], "status.memory", &mut found);
    assert!(found.is_empty(), "{found:#?}");
    for member in ["accountId", "businessId", "phoneNumberId"] {
        assert!(status[member].is_null() || after[member] == status[member], "{member}: {}", after[member]);
    }
    assert_eq!(world.count(|_| true), 0, "{}", world.story());
    // Whoever understands it has written it anew, or the hand-made edit was taken back.
    world.cluster.overwrite(CHANNEL, before);
    world.wake(CHANNEL, SECOND);
    assert!(world.run_until_ready(DAY).await, "{}", world.story());
}

#[tokio::test]
async fn nothing_that_cannot_be_repeated_is_done_while_a_step_of_a_newer_version_is_open() {
    let mut world = World::new().await;
    world.cluster.apply(channel());
    let mut status = raw(&world);
    let began = world.now();
    status["memory"]["inFlight"] = newer_step(began);
    world.cluster.overwrite(CHANNEL, status.clone());
    world.run_for(5 * MINUTE).await;
    // While operators are exchanged, the newer one decides it: nobody is called.
    assert_eq!(world.cluster.status(CHANNEL).ready_reason(), Some(Reason::EffectNotVisibleYet));
    assert_eq!(waits(&raw(&world)), [], "nobody has to act");
    world.run_for(DAY).await;
    let after = raw(&world);
    assert_eq!(world.cluster.status(CHANNEL).ready_reason(), Some(Reason::NewerStepOpen));
    assert_eq!(waits(&after), [("ClusterUser", "RunNewerVersion")]);
    assert_eq!(after["memory"]["inFlight"], status["memory"]["inFlight"]);
    assert_eq!(after["memory"]["ledger"], Value::Null, "no attempt is burnt");
    assert_eq!(world.count(|what| matches!(what, What::NumberAdded { .. })), 0, "{}", world.story());
    // The newer version is back and decides it; from here on the older one may go on.
    let mut decided = after;
    decided["memory"]["inFlight"].take();
    world.cluster.overwrite(CHANNEL, decided);
    world.wake(CHANNEL, SECOND);
    assert!(world.run_until_ready(DAY).await, "{}", world.story());
}

#[tokio::test]
async fn no_attempt_is_made_beside_outcomes_of_a_newer_version() {
    let mut world = World::new().await;
    world.cluster.apply(channel());
    let registered = |world: &World| world.count(|what| matches!(what, What::Registered { .. }));
    let is_verified = |world: &World| {
        world.cluster.status(CHANNEL).before.conditions.is(ConditionType::NumberVerified, Truth::True)
    };
    assert!(world.run_until(DAY, |world| is_verified(world) && registered(world) == 0).await);
    let mut status = raw(&world);
    let attempts: Vec<_> = (0..10)
        .map(
            |n| json!({"id": format!("r-{n}"), "at": world.now(), "outcome": "HalfDone", "cause": "Webhook"}),
        )
        .collect();
    status["memory"]["ledger"]["registrations"] = json!(attempts);
    status["memory"]["inFlight"].take();
    world.cluster.overwrite(CHANNEL, status);
    world.wake(CHANNEL, SECOND);
    world.run_for(2 * HOUR).await;
    assert_eq!(registered(&world), 0, "{}", world.story());
    assert_eq!(world.cluster.status(CHANNEL).ready_reason(), Some(Reason::StatusNotUnderstood));
}
