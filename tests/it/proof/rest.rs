//! Converges and rests: once it is as it should be, nothing is written, and little is read.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::json;
use whatsapp_operator::{
    engine::reason::Reason,
    sandbox::{Number, Options, ReviewPolicy, Switches, Verdict, World as Meta},
};

use super::world::*;

/// A day in which nothing changes: no status write, no write to Meta; says how many reads Meta got in it.
async fn quiet_day(world: &mut World) -> usize {
    let (written, effects, calls) =
        (world.cluster.written_count(), world.effects().len(), world.sandbox.calls().len());
    world.run_for(DAY).await;
    let added: Vec<_> = world.cluster.written().split_off(written);
    assert!(
        added.is_empty(),
        "{} status writes at rest, the first: {:#?}\n{}",
        added.len(),
        added[0],
        world.story()
    );
    assert_eq!(world.effects().len(), effects, "{}", world.story());
    let calls: Vec<_> = world.sandbox.calls().split_off(calls);
    assert!(calls.iter().all(|call| call.method == "GET"), "a write at rest");
    calls.len()
}

#[tokio::test]
async fn after_ready_a_day_goes_by_without_any_write_to_meta_or_to_the_cluster() {
    let mut world = World::new().await;
    world.cluster.apply(channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR).await;
    let reads = quiet_day(&mut world).await;
    // The list and the subscription at most every 5 minutes, the account's facts and the profile every hour.
    assert!(reads <= 24 * (12 * 2 + 2) + 5, "{reads} reads in a day");
}

#[tokio::test]
async fn siblings_share_their_reads() {
    let meta = Meta::for_demo();
    let numbers: Vec<String> = (0..10).map(|n| format!("551191234{n:04}")).collect();
    let meta = numbers.iter().enumerate().fold(meta, |meta, (n, digits)| {
        meta.with_number(
            Number::new(&format!("1000000000010{n:02}"), ACCOUNT, digits, "Acme Suporte")
                .registered("135790"),
        )
    });
    let mut world = World::with(options(), meta).await;
    for digits in &numbers {
        world.cluster.apply(sibling(digits));
    }
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR).await;
    let reads = quiet_day(&mut world).await;
    assert!(reads <= 24 * (12 + 1) + 5, "{reads} reads in a day for ten channels");
}

#[tokio::test]
async fn a_wait_for_a_person_is_as_quiet_as_ready() {
    let mut world = World::new().await;
    world.people.consents = 0;
    world.cluster.apply(channel());
    world.run_for(HOUR).await;
    quiet_day(&mut world).await;
}

#[tokio::test]
async fn a_code_that_nobody_enters_lapses_and_then_it_rests() {
    let mut world = World::new().await;
    world.people.enters = false;
    world.cluster.apply(channel());
    world.run_for(HOUR).await;
    quiet_day(&mut world).await;
}

#[tokio::test]
async fn a_review_and_a_declined_name_are_quiet() {
    let review = ReviewPolicy {
        min_secs: 48 * 3600,
        max_secs: 49 * 3600,
        verdict: Verdict::Decline,
        ..ReviewPolicy::default()
    };
    let switches = Switches { register_in_review: false, ..Switches::default() };
    let mut world = World::with(Options { review, switches, ..Options::default() }, Meta::for_demo()).await;
    world.cluster.apply(plain_channel());
    world.run_for(HOUR * 4).await;
    quiet_day(&mut world).await;
    world.run_for(DAY).await;
    quiet_day(&mut world).await;
}

#[tokio::test]
async fn a_new_process_finds_everything_as_it_should_be_and_writes_nothing() {
    let mut world = World::new().await;
    world.cluster.apply(channel());
    assert!(world.run_until_ready(HOUR).await);
    world.run_for(HOUR).await;
    let (written, effects) = (world.cluster.written_count(), world.effects().len());
    for _ in 0..5 {
        world.restart(0);
        world.run_for(MINUTE * 10).await;
    }
    assert_eq!(
        (world.cluster.written_count(), world.effects().len()),
        (written, effects),
        "{}",
        world.story()
    );
}

/// What Meta shows changes each minute: these words of the number in turn.
async fn turns(world: &mut World, field: &str, words: [&str; 2], time: Duration) {
    let minutes = time.as_secs() / 60;
    for minute in 0..minutes {
        let word = words[usize::from(minute % 2 == 1)];
        assert!(world.sandbox.set_field(DIGITS, field, json!(word)));
        world.run_for(MINUTE).await;
    }
}

fn conditions(world: &World) -> Vec<Condition> {
    world.cluster.raw(CHANNEL).conditions.clone()
}

/// Six hours in which a word of the number turns each minute: no condition changes, nobody is waited for, nothing is told,
/// and few statuses are written.
async fn quiet_turns(world: &mut World, field: &str, words: [&str; 2]) {
    let before = world.cluster.raw(CHANNEL);
    let written = world.cluster.written_count();
    let (told, effects) = (world.told.len(), world.effects().len());
    turns(world, field, words, HOUR * 6).await;
    let added = world.cluster.written().split_off(written);
    for status in added.iter().map(|written| &written.status) {
        assert_eq!(status.conditions, before.conditions, "{field} {words:?}\n{}", world.story());
        assert_eq!(
            (&status.waiting_for, &status.stage),
            (&before.waiting_for, &before.stage),
            "{field} {words:?}"
        );
        assert_eq!(status.preflight, before.preflight, "{field} {words:?}");
    }
    assert!(added.len() <= 36 + 2, "{field} {words:?}: {} writes", added.len());
    assert_eq!(
        (world.told.len(), world.effects().len()),
        (told, effects),
        "{field} {words:?}: {:?}",
        world.told
    );
}

#[tokio::test]
async fn words_that_turn_each_minute_change_no_condition_and_are_seldom_written() {
    let cases = [
        ("status", ["DISCONNECTED", "CONNECTED"]),
        ("status", ["FLAGGED", "CONNECTED"]),
        ("status", ["TO_BE_DECIDED", "CONNECTED"]),
        ("platform_type", ["NOT_APPLICABLE", "CLOUD_API"]),
        ("platform_type", ["ON_PREMISE", "CLOUD_API"]),
        ("platform_type", ["TO_BE_DECIDED", "CLOUD_API"]),
    ];
    for (field, words) in cases {
        let mut world = World::new().await;
        world.cluster.apply(channel());
        assert!(world.run_until_ready(HOUR).await, "{}", world.story());
        world.run_for(HOUR).await;
        quiet_turns(&mut world, field, words).await;
    }
}

#[tokio::test]
async fn a_number_of_the_business_app_that_turns_each_minute_is_as_quiet() {
    let mut world = World::new().await;
    world.cluster.apply(channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.sandbox.set_field(DIGITS, "platform_type", json!("ON_PREMISE"));
    world.run_for(HOUR).await;
    assert_eq!(world.cluster.ready(CHANNEL), (false, Some(Reason::NumberOnPremises)));
    quiet_turns(&mut world, "status", ["DISCONNECTED", "CONNECTED"]).await;
}

#[tokio::test]
async fn a_number_that_stays_disconnected_is_told_of_once_after_ten_minutes() {
    let mut world = World::new().await;
    world.cluster.apply(channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR).await;
    turns(&mut world, "status", ["DISCONNECTED", "CONNECTED"], HOUR).await;
    let before = conditions(&world);
    let (told, begun) = (world.told.len(), world.now());
    world.sandbox.set_field(DIGITS, "status", json!("DISCONNECTED"));
    world.run_for(MINUTE * 10).await;
    assert_eq!(conditions(&world), before, "told too soon\n{}", world.story());
    // A look at rest comes within five minutes, and from then on they come each minute.
    world.run_for(MINUTE * 7).await;
    assert_eq!(world.cluster.ready(CHANNEL), (false, Some(Reason::NotConnected)), "{}", world.story());
    let ready = conditions(&world).into_iter().find(|c| c.type_ == "Ready").unwrap();
    let after = ready.last_transition_time.0.duration_since(begun);
    assert!((10..=16).contains(&(after.as_secs() / 60)), "{after}");
    let now = conditions(&world);
    world.run_for(HOUR * 6).await;
    assert_eq!(conditions(&world), now, "told once");
    let told = &world.told[told..];
    assert_eq!(told.iter().filter(|line| line.contains("Ready False NotConnected")).count(), 1, "{told:?}");
    world.sandbox.set_field(DIGITS, "status", json!("CONNECTED"));
    world.run_for(MINUTE * 6).await;
    assert!(world.cluster.ready(CHANNEL).0, "back at once");
}
