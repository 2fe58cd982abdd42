//! Converges and rests: once it is as it should be, nothing is written, and little is read.

use whatsapp_operator::sandbox::{Number, Options, ReviewPolicy, Switches, Verdict, World as Meta};

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
