//! Others on the number: what another partner or app does is neither undone nor taken for one's own.

use serde_json::json;
use whatsapp_operator::{
    engine::{
        condition::Truth,
        condition_type::ConditionType,
        desired::{CodeRequest, PinPolicy},
        id::{AccountId, AppId},
        look::Urgency,
        reason::Reason,
    },
    meta::port::{Credential, Graph, GraphSource},
    sandbox::{App, Fault, FaultKind, Match, Number, Rival, Token, What, World as Meta},
};

use super::world::*;

/// Writes that reached Meta, whatever it answered.
fn writes(world: &World) -> usize {
    world.sandbox.calls().iter().filter(|call| call.method != "GET").count()
}

/// A number that was Ready for an hour, and was deregistered by another partner a moment ago.
async fn deregistered() -> World {
    let mut world = World::new().await;
    world.people.consents = 1;
    world.cluster.apply(channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR).await;
    assert!(world.sandbox.deregister_number(DIGITS));
    world
}

/// Whether the channel says that the number is registered no more.
fn has_fallen_back(world: &World) -> bool {
    let status = world.status();
    let registered = status.condition(ConditionType::Registered);
    registered.is_some_and(|c| (c.status, c.reason) == (Truth::False, Reason::FellBack))
}

#[tokio::test]
async fn what_another_partner_deregistered_is_not_registered_again_without_a_person() {
    let mut world = deregistered().await;
    let (before, registered) = (writes(&world), world.count(|w| matches!(w, What::Registered { .. })));
    assert!(world.run_until(HOUR, has_fallen_back).await, "{}", world.story());
    let status = world.status();
    assert_eq!(status.ready_reason(), Some(Reason::FellBack), "{}", world.story());
    let told = status.condition(ConditionType::Registered).expect("it is there");
    for words in ["another partner of the number", "ask them first", "kubectl whatsapp retry support-br"] {
        assert!(told.message.contains(words), "{}", told.message);
    }
    let waits = &status.before.waiting_for;
    assert!(waits.iter().any(|wait| wait.action.as_str() == "Retry"), "{waits:#?}");

    // Days go by, the operator starts anew, and somebody edits the channel: nothing is written to Meta.
    world.run_for(DAY).await;
    world.restart(0);
    world.cluster.edit(CHANNEL, |wanted| {
        wanted.profile.about = Some("We are here".into());
        wanted.verification.request = CodeRequest::Automatic;
    });
    world.wake(CHANNEL, SECOND);
    world.run_for(DAY * 3).await;
    assert_eq!(writes(&world), before, "{}", world.story());
    assert!(has_fallen_back(&world), "{}", world.story());

    world.retry(CHANNEL);
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    assert_eq!(world.count(|w| matches!(w, What::Registered { .. })), registered + 1, "{}", world.story());
    world.check_nothing_twice();
}

/// Two that each register the number back, or each end that, would burn the ten attempts that Meta takes in 72 hours.
#[tokio::test]
async fn whoever_registers_and_deregisters_the_number_again_and_again_is_left_alone() {
    let mut world = World::new().await;
    world.people.consents = 1;
    world.cluster.apply(channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR).await;
    let before = writes(&world);
    let rival = |is| Some(Rival { registered: Some(is), after_secs: 60, ..Rival::default() });
    for _ in 0..3 {
        world.sandbox.set_rival(DIGITS, rival(false));
        assert!(world.run_until(HOUR * 3, has_fallen_back).await, "{}", world.story());
        world.sandbox.set_rival(DIGITS, rival(true));
        assert!(world.run_until_ready(HOUR * 3).await, "it works again by itself\n{}", world.story());
        assert!(world.status().before.waiting_for.is_empty(), "{}", world.story());
    }
    assert_eq!(writes(&world), before, "{}", world.story());

    // Whoever wants it undone once more has it undone: the person has the last word, and each word is one attempt.
    world.sandbox.set_rival(DIGITS, rival(false));
    assert!(world.run_until(HOUR * 3, has_fallen_back).await, "{}", world.story());
    let tried = |world: &World| world.count(|what| matches!(what, What::RegisterAttempt { .. }));
    let registered = tried(&world);
    world.retry(CHANNEL);
    world.run_for(DAY).await;
    assert_eq!(tried(&world), registered + 1, "{}", world.story());
    assert!(has_fallen_back(&world), "{}", world.story());
}

/// The proof of ownership lapses after 14 days: then a code comes first, by a consent as ever.
#[tokio::test]
async fn where_the_proof_has_lapsed_as_well_a_code_and_the_registration_each_need_a_consent() {
    let mut world = deregistered().await;
    let before = writes(&world);
    world.run_for(DAY * 15).await;
    assert_eq!(writes(&world), before, "{}", world.story());
    assert!(has_fallen_back(&world), "{}", world.story());
    let status = world.status();
    let told = status.condition(ConditionType::Registered).expect("it is there");
    for words in ["ask them first", "send-code support-br -n shop-br, and then run kubectl whatsapp retry"] {
        assert!(told.message.contains(words), "{}", told.message);
    }
    let codes = |w: &World| w.count(|what| matches!(what, What::CodeVerified { .. }));
    assert_eq!(codes(&world), 1, "{}", world.story());
    world.people.consents = 2;
    world.consent(CHANNEL);
    assert!(world.run_until(HOUR, |w| codes(w) == 2).await, "{}", world.story());
    world.run_for(DAY).await;
    assert_eq!(world.count(|w| matches!(w, What::Registered { .. })), 1, "{}", world.story());
    assert_eq!(world.status().ready_reason(), Some(Reason::FellBack), "{}", world.story());
    world.retry(CHANNEL);
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.check_nothing_twice();
}

/// Recorded: Meta takes no new PIN for a number that is registered nowhere.
#[tokio::test]
async fn a_pin_of_another_partner_that_cannot_be_replaced_is_switched_off_by_a_person() {
    let number = Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Suporte");
    let number = Number { pin: Some("135790".into()), ..number };
    let mut world = World::with(options(), Meta::for_demo().with_number(number)).await;
    let mut wanted = channel();
    wanted.registration.pin_policy = PinPolicy::Overwrite;
    world.cluster.put_secret(&wanted.registration.pin_secret, "482913", false);
    world.cluster.apply(wanted);
    let is_told = |w: &World| w.status().ready_reason() == Some(Reason::PinMismatch);
    assert!(world.run_until(DAY, is_told).await, "{}", world.story());
    let tried = |w: &World| w.count(|what| matches!(what, What::RegisterAttempt { .. }));
    let before = (tried(&world), writes(&world));
    world.run_for(DAY).await;
    assert_eq!((tried(&world), writes(&world)), before, "{}", world.story());
    assert!(world.sandbox.disable_pin(DIGITS));
    world.retry(CHANNEL);
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    assert_eq!(tried(&world), before.0 + 1, "{}", world.story());
    world.check_nothing_twice();
}

#[tokio::test]
async fn what_meta_refuses_one_app_of_a_business_holds_the_other_up_in_nothing() {
    const OTHER_APP: &str = "200000000000009";
    const OTHER_TOKEN: &str = "EAAsandbox-other-app";
    let meta = Meta::for_demo()
        .with_app(App::new(OTHER_APP, "Acme Reports"))
        .with_token(OTHER_TOKEN, Token::system_user(OTHER_APP, BUSINESS));
    let account = AccountId::from(ACCOUNT);
    // Whether or not a token has told its app when Meta refuses it something.
    for is_told in [false, true] {
        let mut world = World::with(options(), meta.clone()).await;
        let of = |edge: &str| Match { app: Some(OTHER_APP.into()), edge: edge.into(), ..Match::any() };
        let source = &world.processes[0].source;
        let mine = source.graph(World::credential());
        let other = source.graph(Credential {
            version: "2".into(),
            token: OTHER_TOKEN.to_owned().into(),
            app_secret: None,
            app: Some(AppId::from(OTHER_APP)),
            ..World::credential()
        });
        if is_told {
            mine.debug_token().await.expect("the token is told");
            other.debug_token().await.expect("the token is told");
        }
        let refused = FaultKind::RefuseField { field: "country".into(), envelope: None };
        world.sandbox.inject(Fault { on: of("waba"), kind: refused });
        let facts = other.account(&account, world.now(), Urgency::Edit).await.expect("the rest is shown");
        assert_eq!(facts.country, None);
        let blocked =
            json!({"error": {"message": "API access blocked.", "type": "OAuthException", "code": 200}});
        world.sandbox.inject(Fault { on: of("*"), kind: FaultKind::Error { envelope: blocked } });
        assert!(other.numbers(&account, world.now(), Urgency::Edit).await.is_err());
        assert!(other.app_blocked().is_some());

        assert!(mine.app_blocked().is_none(), "told: {is_told}");
        let facts = mine.account(&account, world.now(), Urgency::Edit).await.expect("it is shown");
        assert_eq!(facts.country.as_deref(), Some("BR"), "told: {is_told}");
        world.cluster.apply(channel());
        assert!(world.run_until_ready(HOUR).await, "told: {is_told}\n{}", world.story());
        world.check_nothing_twice();
        assert!(other.app_blocked().is_some(), "and what lets one app through lets not the other through");
    }
}
