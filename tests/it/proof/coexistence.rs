//! A number that lives in the WhatsApp Business app: onboarded there, asked for what the app holds, disconnected, and connected
//! again. It is never registered or deregistered.

use serde_json::json;
use whatsapp_operator::{
    engine::{
        condition::Truth,
        condition_type::ConditionType,
        desired::{AppData, Connection, Desired, DesiredProfile},
        reason::Reason,
    },
    sandbox::{Number, What, World as Meta},
};

use super::world::*;

const HOOK: &str = "https://bot.acme.example/wa";

/// Connected from the app a moment ago, and asked for all that it holds.
async fn onboarded() -> World {
    let mut world = World::with(options(), Meta::for_demo()).await;
    world.cluster.apply(Desired {
        connection: Connection::Coexistence,
        syncs: vec![AppData::Contacts, AppData::History],
        profile: DesiredProfile::default(),
        ..channel()
    });
    world.run_for(MINUTE * 10).await;
    told(&world, ConditionType::NumberAdded, Truth::False, Reason::CoexistenceNotOnboarded);
    assert_eq!(written(&world, 0), [""; 0], "{}", world.story());
    let number = Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Suporte").coexisting();
    let now = Some(world.now());
    world.sandbox.add_number(Number { last_onboarded_time: now, added: world.now(), ..number });
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR).await;
    is_right(&world);
    assert_eq!(written(&world, 0), ["contacts", "history", "subscribed", "webhook"], "{}", world.story());
    world
}

/// What we did at Meta since then, in the order of the alphabet. Whatever no number of the app may get has a word, too.
fn written(world: &World, since: usize) -> Vec<String> {
    let word = |what: &What| match what {
        What::SyncStarted { kind, .. } if kind == "history" => "history".to_owned(),
        What::SyncStarted { .. } => "contacts".to_owned(),
        What::Subscribed { .. } => "subscribed".to_owned(),
        What::Overridden { url: Some(url), .. } if url == HOOK => "webhook".to_owned(),
        other => format!("{other:?}"),
    };
    let mut words: Vec<String> = world.effects()[since..].iter().map(|effect| word(&effect.what)).collect();
    words.sort();
    words
}

fn posts(world: &World) -> usize {
    world.sandbox.calls().iter().filter(|call| call.method != "GET").count()
}

#[track_caller]
fn told(world: &World, kind: ConditionType, status: Truth, reason: Reason) {
    let is = world.status().condition(kind).cloned().expect("it is there");
    assert_eq!((is.status, is.reason), (status, reason), "{}\n{}", is.message, world.story());
}

/// Ready, with subscription, webhook and all that was asked for, and nobody waited for.
#[track_caller]
fn is_right(world: &World) {
    assert!(world.status().is_ready(), "{}", world.story());
    told(world, ConditionType::Registered, Truth::True, Reason::RegisteredWithCloudApi);
    told(world, ConditionType::WebhookRouted, Truth::True, Reason::Routed);
    told(world, ConditionType::AppSynced, Truth::True, Reason::SyncsAsked);
    let before = world.status().before;
    assert!(before.waiting_for.is_empty() && before.drift.is_empty(), "{}", world.story());
    let number = world.sandbox.number(DIGITS).expect("the number");
    assert_eq!(number.webhook.callback.as_deref(), Some(HOOK));
}

#[tokio::test]
async fn a_number_that_left_the_platform_is_told_of_and_comes_back_with_a_day_of_its_own_to_ask_for_the_syncs()
 {
    // Longer than the day in which Meta takes the first two, and within it.
    for away in [HOUR * 30, HOUR * 2] {
        let mut world = onboarded().await;
        assert!(world.sandbox.disconnect_in_app(DIGITS));
        let (effects, calls) = (world.effects().len(), posts(&world));
        let limit = MINUTE * 20;
        let is_over = |world: &World| world.status().ready_reason() == Some(Reason::CoexistenceEnded);
        assert!(world.run_until(limit, is_over).await, "{}", world.story());
        told(&world, ConditionType::Registered, Truth::False, Reason::CoexistenceEnded);
        let waits: Vec<String> =
            world.status().before.waiting_for.into_iter().map(|wait| wait.action).collect();
        assert_eq!(waits, ["ConnectInApp"], "{}", world.story());
        world.run_for(away).await;
        told(&world, ConditionType::Registered, Truth::False, Reason::CoexistenceEnded);
        assert_eq!((world.effects().len(), posts(&world)), (effects, calls), "{}", world.story());

        assert!(world.sandbox.connect_in_app(DIGITS));
        assert!(world.run_until_ready(MINUTE * 20).await, "{}", world.story());
        world.run_for(HOUR).await;
        is_right(&world);
        assert_eq!(written(&world, effects), ["contacts", "history"], "subscription and webhook survived");
        let stands = (world.effects().len(), posts(&world), world.cluster.written_count());
        world.run_for(DAY * 3).await;
        is_right(&world);
        let after = (world.effects().len(), posts(&world), world.cluster.written_count());
        assert_eq!(after, stands, "each is asked for once\n{}", world.story());
    }
}

/// As after a change of the phone, where Meta mostly connects the number again within minutes.
#[tokio::test]
async fn a_number_that_is_away_for_minutes_is_not_told_of() {
    for is_new_onboarding in [false, true] {
        let mut world = onboarded().await;
        let onboarded = world.sandbox.number(DIGITS).and_then(|number| number.last_onboarded_time);
        let (effects, events) = (world.effects().len(), world.told.len());
        let stood = world.status().before.conditions;
        assert!(world.sandbox.disconnect_in_app(DIGITS));
        for _ in 0..8 {
            world.run_for(MINUTE).await;
            assert!(world.status().is_ready(), "{}", world.story());
        }
        assert_eq!(world.effects().len(), effects, "{}", world.story());
        assert!(world.sandbox.connect_in_app(DIGITS));
        if !is_new_onboarding {
            assert!(world.sandbox.set_field(DIGITS, "last_onboarded_time", json!(onboarded)));
        }
        world.run_for(HOUR * 2).await;
        is_right(&world);
        let expected: &[&str] = if is_new_onboarding { &["contacts", "history"] } else { &[] };
        assert_eq!(written(&world, effects), expected, "{}", world.story());
        assert_eq!(world.told[events..], [""; 0], "{}", world.story());
        if !is_new_onboarding {
            let reasons = |set: &whatsapp_operator::engine::condition::ConditionSet| -> Vec<_> {
                set.iter().map(|is| (is.kind, is.status, is.reason, is.since)).collect()
            };
            assert_eq!(reasons(&world.status().before.conditions), reasons(&stood), "{}", world.story());
        }
    }
}
