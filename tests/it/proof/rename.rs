//! Renames of registered numbers, from the edit to the live name: what they cost at Meta, and what they say meanwhile.

use serde_json::json;
use whatsapp_operator::{
    engine::{
        action::Actor,
        condition::Truth,
        condition_type::ConditionType,
        desired::{Desired, DriftPolicy},
        reason::Reason,
    },
    sandbox::{Number, Options, ReviewPolicy, Rival, Switches, Verdict, What, World as Meta},
};

use super::world::*;

const LIVE: &str = "Acme Suporte";
const WANTED: &str = "Acme Vendas";
const PIN: &str = "135790";

/// A channel at rest, whose number is registered under its name.
async fn at_rest(switches: Switches, review: ReviewPolicy, change: impl FnOnce(&mut Desired)) -> World {
    let number = Number::new("100000000000077", ACCOUNT, DIGITS, LIVE).registered(PIN);
    let meta = Meta::for_demo().with_number(number);
    let mut world = World::with(Options { switches, review, ..options() }, meta).await;
    let mut wanted = plain_channel();
    change(&mut wanted);
    world.cluster.put_secret(&wanted.registration.pin_secret, PIN, false);
    world.cluster.apply(wanted);
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR).await;
    world
}

/// Reviews end by a word of the test.
fn by_hand() -> ReviewPolicy {
    ReviewPolicy { verdict: Verdict::Defer, ..ReviewPolicy::default() }
}

fn wish(world: &mut World, name: &str) {
    world.cluster.edit(CHANNEL, |desired| desired.display_name = name.into());
    world.wake(CHANNEL, SECOND);
}

fn live(world: &World) -> String {
    world.sandbox.number(DIGITS).expect("it is there").verified_name
}

fn submitted(world: &World) -> Vec<String> {
    let names = world.effects().into_iter().filter_map(|effect| match effect.what {
        What::NameSubmitted { name, .. } => Some(name),
        _ => None,
    });
    names.collect()
}

fn registered(world: &World) -> usize {
    world.count(|what| matches!(what, What::RegisterAttempt { .. }))
}

#[track_caller]
fn name_is(world: &World, status: Truth, reason: Reason) {
    let name = world.status().condition(ConditionType::DisplayNameApproved).cloned().expect("it is there");
    assert_eq!((name.status, name.reason), (status, reason), "{}\n{}", name.message, world.story());
}

/// The top of the status while a rename goes on: usable, under the old name, and somebody is waited for.
#[track_caller]
fn says_at_the_top(world: &World, actor: Actor) {
    let before = world.status().before;
    let ready = before.conditions.get(ConditionType::Ready).expect("it is there");
    assert_eq!(
        (ready.status, ready.reason),
        (Truth::True, Reason::UsableUnderAnotherName),
        "{}",
        ready.message
    );
    assert!(ready.message.contains(LIVE) && ready.message.contains(WANTED), "{}", ready.message);
    assert_eq!(before.waiting_for.first().map(|wait| wait.actor), Some(actor), "{}", world.story());
    assert_eq!(before.facts.verified_name.as_deref(), Some(LIVE), "the column NAME");
}

#[tokio::test]
async fn a_rename_costs_one_review_and_a_registration_only_where_meta_needs_one() {
    for needs_register in [true, false] {
        let switches = Switches { rename_needs_register: needs_register, ..Switches::default() };
        let mut world = at_rest(switches, by_hand(), |_| {}).await;
        let ready = |world: &World| world.status().condition(ConditionType::Ready).map(|ready| ready.since);
        let since = ready(&world);
        wish(&mut world, WANTED);
        world.run_for(DAY).await;
        assert_eq!(submitted(&world), [WANTED], "{}", world.story());
        name_is(&world, Truth::False, Reason::NameInReview);
        says_at_the_top(&world, Actor::Meta);
        // Whoever asks: never a registration while the review is open.
        world.retry(CHANNEL);
        world.run_for(HOUR * 4).await;
        assert_eq!((registered(&world), live(&world).as_str()), (0, LIVE), "{}", world.story());

        assert!(world.sandbox.decide_name(DIGITS, Verdict::Approve));
        world.run_for(HOUR).await;
        if needs_register {
            name_is(&world, Truth::False, Reason::NameNotLiveYet);
            says_at_the_top(&world, Actor::Meta);
        }
        world.run_for(HOUR * 3).await;
        assert_eq!((live(&world).as_str(), registered(&world)), (WANTED, usize::from(needs_register)));
        name_is(&world, Truth::True, Reason::NameApproved);
        let status = world.status();
        assert!(status.before.drift.is_empty() && status.before.waiting_for.is_empty(), "{}", world.story());
        assert_eq!(status.ready_reason(), Some(Reason::Usable));
        assert_eq!(ready(&world), since, "Ready never left True");
        let (written, effects) = (world.cluster.written_count(), world.effects().len());
        world.run_for(DAY).await;
        assert_eq!((world.cluster.written_count(), world.effects().len()), (written, effects), "it rests");
        world.check_nothing_twice();
    }
}

#[tokio::test]
async fn a_declined_rename_is_never_sent_again_and_the_number_goes_on_serving() {
    let mut world = at_rest(Switches::default(), by_hand(), |_| {}).await;
    wish(&mut world, WANTED);
    world.run_for(HOUR).await;
    world.sandbox.decide_name(DIGITS, Verdict::Decline);
    world.run_for(DAY * 2).await;
    name_is(&world, Truth::False, Reason::NameDeclined);
    says_at_the_top(&world, Actor::ClusterUser);
    world.retry(CHANNEL);
    world.run_for(DAY * 2).await;
    assert_eq!(submitted(&world), [WANTED], "{}", world.story());
    wish(&mut world, LIVE);
    world.run_for(HOUR).await;
    name_is(&world, Truth::True, Reason::NameApproved);
    wish(&mut world, WANTED);
    world.run_for(HOUR).await;
    name_is(&world, Truth::False, Reason::NameDeclined);
    wish(&mut world, "Acme Brasil");
    world.run_for(HOUR).await;
    assert_eq!(submitted(&world), [WANTED, "Acme Brasil"], "{}", world.story());
    assert_eq!((registered(&world), live(&world).as_str()), (0, LIVE));
}

#[tokio::test]
async fn an_approval_that_ran_out_costs_another_review() {
    let switches = Switches { certificate_days: 2, ..Switches::default() };
    let mut world = at_rest(switches, by_hand(), |_| {}).await;
    let key = world.cluster.desired(CHANNEL).registration.pin_secret.clone();
    wish(&mut world, WANTED);
    world.run_for(HOUR).await;
    // Somebody breaks the PIN, so that nothing can be registered.
    world.cluster.put_secret(&key, "no PIN", false);
    world.sandbox.decide_name(DIGITS, Verdict::Approve);
    world.run_for(DAY).await;
    name_is(&world, Truth::False, Reason::PinMalformed);
    says_at_the_top(&world, Actor::ClusterUser);
    world.run_for(DAY * 2).await;
    assert_eq!(submitted(&world).len(), 1, "no review is spent before the PIN is there: {}", world.story());
    world.cluster.put_secret(&key, PIN, false);
    world.run_for(HOUR).await;
    assert_eq!(submitted(&world).len(), 2, "{}", world.story());
    world.sandbox.decide_name(DIGITS, Verdict::Approve);
    world.run_for(HOUR * 4).await;
    assert_eq!((live(&world).as_str(), registered(&world)), (WANTED, 1), "{}", world.story());
    name_is(&world, Truth::True, Reason::NameApproved);
}

#[tokio::test]
async fn a_second_wish_waits_until_the_first_was_reviewed() {
    for verdict in [Verdict::Approve, Verdict::Decline] {
        let mut world = at_rest(Switches::default(), by_hand(), |_| {}).await;
        wish(&mut world, "Acme Um");
        world.run_for(HOUR).await;
        wish(&mut world, WANTED);
        world.run_for(DAY).await;
        name_is(&world, Truth::False, Reason::NameChangeQueued);
        says_at_the_top(&world, Actor::Meta);
        assert_eq!(submitted(&world), ["Acme Um"], "{}", world.story());
        world.sandbox.decide_name(DIGITS, verdict);
        world.run_for(HOUR * 4).await;
        assert_eq!(submitted(&world), ["Acme Um", WANTED], "{}", world.story());
        assert_eq!(registered(&world), 0, "no registration for a name that nobody wants any more");
        world.sandbox.decide_name(DIGITS, Verdict::Approve);
        world.run_for(HOUR * 4).await;
        assert_eq!((live(&world).as_str(), registered(&world)), (WANTED, 1), "{}", world.story());
    }
}

#[tokio::test]
async fn a_pin_that_nobody_knows_is_asked_for_before_a_review_is_spent() {
    let mut world = at_rest(Switches::default(), by_hand(), |_| {}).await;
    let key = world.cluster.desired(CHANNEL).registration.pin_secret.clone();
    world.cluster.put_secret(&key, "", false);
    wish(&mut world, WANTED);
    world.run_for(DAY).await;
    assert!(submitted(&world).is_empty(), "{}", world.story());
    says_at_the_top(&world, Actor::ClusterUser);
    world.cluster.put_secret(&key, PIN, false);
    world.run_for(HOUR).await;
    assert_eq!(submitted(&world), [WANTED], "{}", world.story());
}

#[tokio::test]
async fn a_name_changed_by_hand_is_submitted_again_or_told_as_the_policy_says() {
    for policy in [DriftPolicy::Enforce, DriftPolicy::Report] {
        let mut world = at_rest(Switches::default(), by_hand(), |desired| desired.drift = policy).await;
        world.sandbox.set_field(DIGITS, "verified_name", json!("Acme Alheia"));
        world.run_for(DAY).await;
        let status = world.status();
        let drift = status.before.drift.first().expect("it is told");
        assert_eq!((drift.field.as_str(), drift.live.as_str()), ("displayName", "Acme Alheia"));
        if policy == DriftPolicy::Enforce {
            assert_eq!(submitted(&world), [LIVE], "{}", world.story());
            continue;
        }
        assert!(submitted(&world).is_empty(), "{}", world.story());
        name_is(&world, Truth::False, Reason::NameDiffers);
        assert!(drift.action.contains("driftPolicy"), "{}", drift.action);
        world.retry(CHANNEL);
        world.run_for(HOUR).await;
        assert_eq!(submitted(&world), [LIVE], "a person has it changed back");
    }
}

#[tokio::test]
async fn whoever_renames_a_number_again_and_again_has_the_last_word() {
    let review = ReviewPolicy { min_secs: 60, max_secs: 600, ..ReviewPolicy::default() };
    let mut world = at_rest(Switches::default(), review, |_| {}).await;
    let rival = Rival { name: Some("Acme Alheia".into()), after_secs: 7200, ..Rival::default() };
    world.sandbox.set_rival(DIGITS, Some(rival));
    world.run_for(DAY * 20).await;
    assert_eq!(submitted(&world).len(), 3, "{}", world.story());
    name_is(&world, Truth::False, Reason::ContendedBy);
    let message =
        world.status().condition(ConditionType::DisplayNameApproved).expect("there").message.clone();
    assert!(message.contains("Acme Alheia") && message.contains("since"), "{message}");
    world.retry(CHANNEL);
    world.run_for(DAY * 5).await;
    assert_eq!(submitted(&world).len(), 4, "{}", world.story());
    name_is(&world, Truth::False, Reason::ContendedBy);
}

#[tokio::test]
async fn a_number_found_live_under_another_name_keeps_it_until_a_person_says_otherwise() {
    let number = Number::new("100000000000077", ACCOUNT, DIGITS, LIVE).registered(PIN);
    let mut world = World::with(options(), Meta::for_demo().with_number(number)).await;
    let wanted = Desired { display_name: WANTED.into(), ..plain_channel() };
    world.cluster.put_secret(&wanted.registration.pin_secret, PIN, false);
    world.cluster.apply(wanted);
    world.run_for(DAY).await;
    assert!(submitted(&world).is_empty(), "{}", world.story());
    name_is(&world, Truth::False, Reason::NameDiffers);
    says_at_the_top(&world, Actor::ClusterUser);
    world.retry(CHANNEL);
    world.run_for(HOUR).await;
    assert_eq!(submitted(&world), [WANTED], "{}", world.story());
}

#[tokio::test]
async fn a_region_that_is_edited_together_with_the_name_waits_until_the_review_is_over() {
    for register_takes_pending_name in [false, true] {
        let switches = Switches { register_takes_pending_name, ..Switches::default() };
        let review = ReviewPolicy { verdict: Verdict::Defer, ..ReviewPolicy::without_first_review() };
        let mut world = World::with(Options { switches, review, ..options() }, Meta::for_demo()).await;
        let mut wanted = channel();
        wanted.registration.storage_region = Some("DE".into());
        world.cluster.apply(wanted);
        assert!(world.run_until_ready(HOUR).await, "{}", world.story());
        world.run_for(HOUR).await;
        let (name, attempts) = (live(&world), registered(&world));
        world.cluster.edit(CHANNEL, |desired| {
            desired.display_name = WANTED.into();
            desired.registration.storage_region = Some("BR".into());
            desired.registration.may_move = true;
        });
        world.wake(CHANNEL, SECOND);
        world.run_for(DAY).await;
        let ended = |world: &World| world.count(|what| matches!(what, What::Deregistered { .. }));
        assert_eq!(submitted(&world), [WANTED], "{}", world.story());
        // Whoever asks.
        world.retry(CHANNEL);
        world.run_for(HOUR * 4).await;
        assert_eq!(
            (live(&world), registered(&world), ended(&world)),
            (name, attempts, 0),
            "{}",
            world.story()
        );
        let synced = world.status().condition(ConditionType::RegistrationSynced).cloned();
        let synced = synced.expect("it is there");
        assert_eq!(synced.reason, Reason::StorageRegionDiffers, "{}", synced.message);
        assert!(synced.message.contains("reviews a display name"), "{}", synced.message);

        assert!(world.sandbox.decide_name(DIGITS, Verdict::Approve));
        world.run_for(DAY).await;
        let number = world.sandbox.number(DIGITS).expect("it is there");
        assert_eq!(number.storage_region.as_deref(), Some("BR"), "{}", world.story());
        assert_eq!((live(&world).as_str(), ended(&world)), (WANTED, 1), "{}", world.story());
        // One for the name, one for the region.
        assert_eq!(registered(&world), attempts + 2, "{}", world.story());
        assert_eq!(number.platform_type, "CLOUD_API");
        world.check_nothing_twice();
    }
}
