//! Attempts outlive the object: whatever becomes of a channel, Meta is not asked more often than the limits allow.

use serde_json::json;
use whatsapp_operator::{
    api::lower,
    engine::{
        condition_type::ConditionType,
        desired::{AppData, Connection, Desired},
        memory::Ledger,
        reason::Reason,
        step::StepKind,
    },
    sandbox::{Fault, FaultKind, Match, Number, What, World as Meta},
};

use super::world::*;

fn codes(world: &World) -> usize {
    world.count(|what| matches!(what, What::CodeSent { .. }))
}

fn registrations(world: &World) -> usize {
    world.sandbox.calls().iter().filter(|call| call.path.ends_with("/register")).count()
}

/// What is kept of the number.
fn kept(world: &World) -> Ledger {
    let text = world.cluster.attempts(&channel().number.canonical()).unwrap_or_default();
    lower::attempts(&text).unwrap_or_default()
}

/// `kubectl delete` and `apply`, to an operator that remembers nothing: another object with the same number.
fn again(world: &mut World, name: &str, change: impl FnOnce(&mut Desired)) -> String {
    let mut wanted = plain_channel();
    wanted.uid = format!("{name}-again-{}", world.passes);
    change(&mut wanted);
    world.cluster.delete(name);
    let name = wanted.name.clone();
    world.cluster.apply(wanted);
    world.restart(0);
    name
}

/// A channel for which four codes were asked for, and none was entered.
async fn four_codes() -> World {
    let mut world = World::new().await;
    world.people.enters = false;
    world.people.consents = 4;
    world.cluster.apply(plain_channel());
    assert!(world.run_until(HOUR * 12, |world| codes(world) == 4).await, "{}", world.story());
    world.people.consents = 0;
    world.run_for(MINUTE * 30).await;
    world
}

/// Asks for a code and waits for the answer.
async fn ask(world: &mut World, name: &str) {
    world.run_for(MINUTE * 2).await;
    world.consent(name);
    world.run_for(MINUTE * 30).await;
}

#[tokio::test]
async fn a_channel_that_is_deleted_and_applied_again_gets_no_fifth_code() {
    type Change = fn(&mut Desired);
    let ways: [(&str, Change); 2] = [
        ("the same manifest", |_| {}),
        ("a namespace of its own", |wanted| {
            wanted.namespace = "shop-mx".into();
            wanted.name = "support-moved".into();
        }),
    ];
    for (way, change) in ways {
        let mut world = four_codes().await;
        let name = again(&mut world, CHANNEL, change);
        ask(&mut world, &name).await;
        assert_eq!(codes(&world), 4, "{way}: {}", world.story());
        let status = world.cluster.raw(&name);
        let answer = status.consents().and_then(|consents| consents.send_code.clone()).unwrap();
        let refused = answer.refused.unwrap_or_default();
        assert!(refused.contains("4 codes were asked for in 24 hours"), "{way}: {refused}");
        // A third object, and the day after the first code.
        let name = again(&mut world, &name, change);
        ask(&mut world, &name).await;
        assert_eq!(codes(&world), 4, "{way}: {}", world.story());
        world.run_for(DAY).await;
        ask(&mut world, &name).await;
        assert_eq!(codes(&world), 5, "{way}: {}", world.story());
    }
}

#[tokio::test]
async fn codes_of_another_channel_that_had_the_number_in_between_count_once_it_is_back() {
    let mut world = World::new().await;
    (world.people.enters, world.people.consents) = (false, 0);
    world.cluster.apply(plain_channel());
    ask(&mut world, CHANNEL).await;
    assert_eq!(codes(&world), 1, "{}", world.story());
    let suspend = |world: &mut World, name: &str, is: bool| {
        let mut wanted = (*world.cluster.desired(name)).clone();
        wanted.suspend = is;
        world.cluster.apply(wanted);
    };
    suspend(&mut world, CHANNEL, true);
    world.run_for(DAY * 2).await;
    let mut other = plain_channel();
    (other.name, other.uid) = ("support-other".into(), "other".into());
    world.cluster.apply(other);
    for _ in 0..4 {
        ask(&mut world, "support-other").await;
    }
    let sent = codes(&world);
    assert!(sent >= 4, "{}", world.story());
    suspend(&mut world, "support-other", true);
    world.run_for(HOUR).await;
    suspend(&mut world, CHANNEL, false);
    for _ in 0..3 {
        ask(&mut world, CHANNEL).await;
    }
    assert_eq!(codes(&world), sent, "{}", world.story());
}

#[tokio::test]
async fn a_consent_in_the_manifest_does_not_fire_again_for_the_next_object() {
    let mut world = World::new().await;
    (world.people.enters, world.people.consents) = (false, 0);
    let manifest =
        |value: &'static str| move |wanted: &mut Desired| wanted.consents.send_code = Some(value.into());
    let mut wanted = plain_channel();
    manifest("from Git")(&mut wanted);
    world.cluster.apply(wanted);
    world.run_for(HOUR).await;
    assert_eq!(codes(&world), 1, "{}", world.story());
    for _ in 0..2 {
        again(&mut world, CHANNEL, manifest("from Git"));
        world.run_for(HOUR).await;
        assert_eq!(codes(&world), 1, "{}", world.story());
        let answer = world.cluster.raw(CHANNEL).consents().and_then(|c| c.send_code.clone()).unwrap();
        assert!(
            answer.refused.is_some_and(|why| why.contains("each value counts once")),
            "{}",
            world.story()
        );
    }
    again(&mut world, CHANNEL, manifest("from Git, anew"));
    world.run_for(HOUR).await;
    assert_eq!(codes(&world), 2, "{}", world.story());
}

#[tokio::test]
async fn eight_codes_in_three_days_are_enough_whoever_asks() {
    let mut world = World::new().await;
    world.people.enters = false;
    world.people.consents = 0;
    world.cluster.apply(plain_channel());
    let mut name = CHANNEL.to_owned();
    for day in 0..3 {
        for _ in 0..6 {
            ask(&mut world, &name).await;
        }
        name = again(&mut world, &name, |_| {});
        world.run_for(HOUR * 18).await;
        assert!(codes(&world) <= [4, 8, 8][day], "day {day}: {}", world.story());
    }
    assert_eq!(codes(&world), 8, "{}", world.story());
}

#[tokio::test]
async fn registrations_that_are_used_up_stay_so_for_the_next_object() {
    let number = Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Suporte").verified(options().start);
    let mut world = World::with(options(), Meta::for_demo().with_number(number)).await;
    let envelope =
        json!({"error": {"message": "(#133000) Incomplete", "type": "OAuthException", "code": 133_000}});
    world.sandbox.inject(Fault { on: Match::on("POST", "register"), kind: FaultKind::Error { envelope } });
    let wanted = plain_channel();
    world.cluster.put_secret(&wanted.registration.pin_secret, "482913", false);
    world.cluster.apply(wanted);
    for _ in 0..12 {
        world.run_for(MINUTE * 30).await;
        world.retry(CHANNEL);
    }
    world.run_for(MINUTE * 30).await;
    assert_eq!(registrations(&world), 9, "{}", world.story());
    for _ in 0..2 {
        again(&mut world, CHANNEL, |_| {});
        world.run_for(HOUR).await;
        world.retry(CHANNEL);
        world.run_for(HOUR * 12).await;
        assert_eq!(registrations(&world), 9, "{}", world.story());
        assert_eq!(
            world.status().ready_reason(),
            Some(Reason::RegistrationLimitReached),
            "{}",
            world.story()
        );
    }
}

#[tokio::test]
async fn whatever_is_lost_or_forged_the_next_object_does_no_more_than_without_it() {
    let future = "2999-01-01T00:00:00Z";
    let entry = |at: &str| json!({"id": "x", "at": at, "outcome": "Accepted", "cause": "Automatic"});
    let texts = [
        "not JSON at all".to_owned(),
        json!({"codes": "five"}).to_string(),
        json!({"codes": [entry(future)], "registrations": [entry(future)]}).to_string(),
        json!({"codes": [{"id": "x", "at": future, "outcome": "NotSent", "cause": "Automatic"}]}).to_string(),
    ];
    for text in texts {
        let mut world = four_codes().await;
        assert_eq!(kept(&world).of(StepKind::RequestCode).len(), 4, "{}", world.story());
        world.cluster.put_attempts(&channel().number.canonical(), &text);
        let name = again(&mut world, CHANNEL, |_| {});
        ask(&mut world, &name).await;
        // As without it: the new object asks, and what it did is kept over what stood there.
        assert_eq!(codes(&world), 5, "{text}: {}", world.story());
        assert_eq!(kept(&world).of(StepKind::RequestCode).len(), 1, "{text}: {}", world.story());
    }
}

#[tokio::test]
async fn an_onboarding_leaves_what_counts_and_nothing_of_whom_it_was() {
    let mut world = World::new().await;
    world.cluster.apply(plain_channel());
    assert!(world.run_until_ready(HOUR * 12).await, "{}", world.story());
    let kept = kept(&world);
    let counts = |kind| kept.of(kind).len();
    let all = [StepKind::RequestCode, StepKind::VerifyCode, StepKind::Register, StepKind::AddNumber];
    assert_eq!(all.map(counts), [1, 1, 1, 0], "{}", world.story());
    let text = world.cluster.attempts(&channel().number.canonical()).unwrap();
    let given = world.consents_given[CHANNEL];
    assert_eq!(given, 1);
    assert!(!text.contains("please-1"), "whose consent it was is told to nobody: {text}");
}

/// The manifests are applied to an empty cluster: neither status nor attempts are there any more.
fn lost(world: &mut World) {
    let number = world.cluster.desired(CHANNEL).number.canonical();
    let wanted = (*world.cluster.desired(CHANNEL)).clone();
    again(world, CHANNEL, |new| *new = Desired { uid: new.uid.clone(), ..wanted });
    world.cluster.put_attempts(&number, "{}");
}

#[tokio::test]
async fn after_the_loss_of_the_cluster_no_sync_of_the_app_is_asked_for_that_may_have_been_before() {
    let asked = |world: &World| {
        let calls = world.sandbox.calls();
        calls.iter().filter(|call| call.path.ends_with("/smb_app_data")).count()
    };
    let started = |world: &World| world.count(|what| matches!(what, What::SyncStarted { .. }));
    let told = |world: &World| world.status().condition(ConditionType::AppSynced).map(|synced| synced.reason);
    // Meta tells when it was onboarded, or does not; the number is connected all the time.
    for onboarded in [Some(options().start), None] {
        let number = Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Suporte").coexisting();
        let mut meta = Meta::for_demo().with_number(Number { last_onboarded_time: onboarded, ..number });
        if let Some(account) = meta.accounts.get_mut(ACCOUNT) {
            account.subscriptions.entry(APP.into()).or_default();
        }
        let mut world = World::with(options(), meta).await;
        world.cluster.apply(Desired {
            connection: Connection::Coexistence,
            syncs: vec![AppData::Contacts, AppData::History],
            ..plain_channel()
        });
        world.run_for(HOUR).await;
        let first = if onboarded.is_some() { 2 } else { 0 };
        assert_eq!((asked(&world), started(&world)), (first, first), "{}", world.story());
        // A channel that is created anew asks for nothing twice.
        let wanted = (*world.cluster.desired(CHANNEL)).clone();
        again(&mut world, CHANNEL, |new| *new = Desired { uid: new.uid.clone(), ..wanted });
        world.run_for(HOUR).await;
        assert_eq!((asked(&world), started(&world)), (first, first), "{}", world.story());
        lost(&mut world);
        world.run_for(HOUR).await;
        assert_eq!(started(&world), first, "Meta takes each once\n{}", world.story());
        let reason = if onboarded.is_some() { Reason::SyncsAsked } else { Reason::SyncOnboardingUnknown };
        assert_eq!(told(&world), Some(reason), "{}", world.story());
        // The next loss is days later.
        world.run_for(DAY * 3).await;
        let before = asked(&world);
        lost(&mut world);
        world.run_for(DAY * 3).await;
        assert_eq!((asked(&world), started(&world)), (before, first), "{}", world.story());
        assert_eq!(told(&world), Some(Reason::SyncTooLate), "{}", world.story());
    }
}

/// A channel for which four codes were asked for, by an operator that keeps them in its own namespace, too.
async fn four_codes_of(business: &'static str) -> World {
    let mut world = World::new().await;
    world.second_copy_of = Some(business);
    (world.people.enters, world.people.consents) = (false, 0);
    world.cluster.apply(plain_channel());
    for sent in 1..=4 {
        ask(&mut world, CHANNEL).await;
        assert_eq!(codes(&world), sent, "{}", world.story());
    }
    world
}

#[tokio::test]
async fn codes_outlive_the_namespace_of_portfolio_and_channel() {
    type Change = fn(&mut Desired);
    let ways: [(&str, &'static str, Change, usize); 3] = [
        ("the same namespace", BUSINESS, |_| {}, 4),
        (
            "another namespace",
            BUSINESS,
            |wanted| {
                wanted.namespace = "shop-mx".into();
                wanted.portfolio.namespace = "shop-mx".into();
            },
            4,
        ),
        ("another business", "500000000000099", |_| {}, 5),
    ];
    for (way, business, change, expected) in ways {
        let mut world = four_codes_of(BUSINESS).await;
        world.cluster.lose_attempts(&channel().number.canonical());
        world.second_copy_of = Some(business);
        let name = again(&mut world, CHANNEL, change);
        ask(&mut world, &name).await;
        assert_eq!(codes(&world), expected, "{way}: {}", world.story());
        let is_refused = expected == 4;
        let status = world.cluster.raw(&name);
        let answer = status.consents().and_then(|consents| consents.send_code.clone()).unwrap();
        let refused = answer.refused.unwrap_or_default();
        assert_eq!(refused.contains("codes were asked for in 24 hours"), is_refused, "{way}: {refused}");
        // What only the operator's namespace had is beside the portfolio again.
        let beside = kept(&world).of(StepKind::RequestCode).len();
        assert_eq!(beside, if is_refused { 4 } else { 1 }, "{way}: {}", world.story());
        // And the copy beside the portfolio is worth as much as before, should the other one be lost.
        world.second_copy_of = None;
        let name = again(&mut world, &name, change);
        ask(&mut world, &name).await;
        assert_eq!(codes(&world), if is_refused { 4 } else { 6 }, "{way}: {}", world.story());
    }
}
