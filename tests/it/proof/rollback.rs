//! An operator that is rolled back finds a status that a newer one wrote.
//!
//! What it does not know stays as it is: nothing of it is acted on, nothing of it is lost, and a step that only the
//! newer version can decide keeps everything back that cannot be repeated.

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
    status["inFlight"] = newer_step(now);
    for list in ["registrations", "codes", "verifications", "names", "adds", "pins"] {
        let ledger = &mut status["ledger"];
        match ledger[list].as_array_mut() {
            Some(entries) => entries.push(entry.clone()),
            None => ledger[list] = json!([entry]),
        }
    }
    status["ledger"]["repeatable"]["WriteCatalogue"] = pace;
    status["ledger"]["transfers"] = json!([entry]);
    status["consents"]["retry"] =
        json!({"value": "9", "at": now, "usedFor": "TransferNumber", "askedBy": "somebody"});
    status["consents"]["transfer"] = json!({"value": "1", "at": now});
    status["marks"]["transferred"] = json!({"at": now, "from": "300000000000001"});
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
    let parts = ["inFlight", "ledger", "consents", "marks", "transfer"];
    parts.into_iter().map(|part| (part.to_owned(), status[part].clone())).collect()
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
    // A change that the older version does itself: the profile, which may be repeated.
    world.cluster.edit(CHANNEL, |desired| desired.profile.about = Some("We answer at once".into()));
    world.wake(CHANNEL, SECOND);
    world.run_for(HOUR).await;
    assert!(world.cluster.written_count() > written, "the older version wrote");
    let after = raw(&world);
    let mut found = Vec::new();
    let mut expected = remembered(&status);
    // It is the older version's own.
    expected["ledger"]["repeatable"]["WriteProfile"] = after["ledger"]["repeatable"]["WriteProfile"].clone();
    lost(&expected, &remembered(&after), "status", &mut found);
    assert!(found.is_empty(), "{found:#?}");
    assert!(world.cluster.status(CHANNEL).is_ready(), "nobody is alarmed about a number that works");
    let reconciling = world.cluster.status(CHANNEL).condition(ConditionType::Reconciling).cloned().unwrap();
    assert_eq!((reconciling.status, reconciling.reason), (Truth::True, Reason::EffectNotVisibleYet));
    assert!(reconciling.message.contains("began TransferNumber"), "{}", reconciling.message);
    assert_eq!(waits(&after), [("ClusterUser", "RunNewerVersion")]);
}

#[tokio::test]
async fn nothing_that_cannot_be_repeated_is_done_while_a_step_of_a_newer_version_is_open() {
    let mut world = World::new().await;
    world.cluster.apply(channel());
    let mut status = raw(&world);
    let began = world.now();
    status["inFlight"] = newer_step(began);
    world.cluster.overwrite(CHANNEL, status.clone());
    world.run_for(5 * MINUTE).await;
    // While operators are exchanged, the newer one decides it: nobody is called.
    assert_eq!(world.cluster.status(CHANNEL).ready_reason(), Some(Reason::EffectNotVisibleYet));
    assert_eq!(waits(&raw(&world)), [], "nobody has to act");
    world.run_for(DAY).await;
    let after = raw(&world);
    assert_eq!(world.cluster.status(CHANNEL).ready_reason(), Some(Reason::NewerStepOpen));
    assert_eq!(waits(&after), [("ClusterUser", "RunNewerVersion")]);
    assert_eq!(after["inFlight"], status["inFlight"]);
    assert_eq!(after["ledger"], Value::Null, "no attempt is burnt");
    assert_eq!(world.count(|what| matches!(what, What::NumberAdded { .. })), 0, "{}", world.story());
    // The newer version is back and decides it; from here on the older one may go on.
    let mut decided = after;
    decided["inFlight"].take();
    world.cluster.overwrite(CHANNEL, decided);
    world.wake(CHANNEL, SECOND);
    assert!(world.run_until_ready(DAY).await, "{}", world.story());
}

#[tokio::test]
async fn an_outcome_of_a_newer_version_counts_as_an_attempt() {
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
    status["ledger"]["registrations"] = json!(attempts);
    status["inFlight"].take();
    world.cluster.overwrite(CHANNEL, status);
    world.wake(CHANNEL, SECOND);
    world.run_for(2 * HOUR).await;
    assert_eq!(registered(&world), 0, "{}", world.story());
    assert_eq!(world.cluster.status(CHANNEL).ready_reason(), Some(Reason::RegistrationLimitReached));
}
