//! The full way of a number, and the ways around it.

use serde_json::json;
use whatsapp_operator::{
    engine::{
        condition::Truth,
        condition_type::ConditionType,
        desired::{CodeRequest, Desired, ReadyWhen, VerificationMethod, WhileNameInReview},
        reason::Reason,
    },
    sandbox::{
        AlreadyVerified, Fault, FaultKind, Lag, Match, Number, Options, Portfolio, ReviewPolicy, Switches,
        Verdict, What, World as Meta,
    },
};

use super::world::*;
use crate::kept;

/// Stages and conditions as they changed, and the effects at Meta, with times since the beginning.
fn golden(world: &World) -> String {
    let mut text = String::from("passes\n");
    for line in &world.trace {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str("effects at Meta\n");
    for effect in world.effects() {
        text.push_str(&format!("  {} {:?}\n", world.since(effect.at), effect.what));
    }
    text.push_str("conditions\n");
    for c in world.status().before.conditions.iter() {
        text.push_str(&format!(
            "  {}={} {}: {}\n",
            c.kind.as_str(),
            c.status.as_str(),
            c.reason.as_str(),
            c.message
        ));
    }
    text.push_str("waiting for\n");
    for wait in world.status().before.waiting_for {
        text.push_str(&format!(
            "  {} {}: {}\n",
            wait.actor.as_str(),
            wait.action,
            wait.if_ignored.unwrap_or_default()
        ));
    }
    text
}

/// More numbers than an account's allowance has room for in an hour.
#[tokio::test]
async fn many_come_up_together_and_waste_neither_calls_nor_writes() {
    const MANY: usize = 45;
    let mut portfolio = Portfolio::new(BUSINESS, "Acme Ltda").verified();
    portfolio.number_limit = Some(100);
    let mut world = World::with(options(), Meta::for_demo().with_portfolio(portfolio)).await;
    for n in 0..MANY {
        let mut channel = sibling(&format!("551191234{n:04}"));
        channel.verification.request = CodeRequest::Automatic;
        world.cluster.apply(channel);
    }
    assert!(world.run_until_ready(HOUR * 2).await, "{}", world.story());
    world.check_nothing_twice();
    assert_eq!(world.count(|what| matches!(what, What::CodeSent { .. })), MANY, "no code lapsed");
    let refused: Vec<_> = world.sandbox.calls().into_iter().filter(|call| call.code.is_some()).collect();
    // The payment method is asked for once, for all of them.
    let once = |call: &whatsapp_operator::sandbox::CallRecord| {
        (call.path.as_str(), call.code) == ("/{waba}", Some(10))
    };
    assert!(refused.len() == 1 && once(&refused[0]), "{refused:?}");
    let reads = |path| world.sandbox.counters().get(path).copied().unwrap_or_default();
    let hours = world.now().duration_since(world.begun).as_hours().unsigned_abs() + 1;
    let lists = reads("GET /{waba}/phone_numbers");
    // Every 5 minutes, and for each of the two crowds before and after what it does.
    assert!(lists <= hours * 12 + 2 * 5, "{lists} lists in {hours} h");
    assert!(reads("GET /{waba}") <= hours + 2, "facts of the account");
    for n in 0..MANY {
        let ledger = world.cluster.status(&format!("other-551191234{n:04}")).memory.ledger;
        let all = [ledger.adds, ledger.codes, ledger.verifications, ledger.registrations].concat();
        assert_eq!(all.len(), 4, "nothing is written down that there is no room for: {all:#?}");
    }
    let writes = world.cluster.written_count();
    assert!(writes <= MANY * 14, "{writes} writes of status");
}

async fn reviewed(review: ReviewPolicy, switches: Switches) -> World {
    World::with(Options { review, switches, ..Options::default() }, Meta::for_demo()).await
}

fn in_review() -> ReviewPolicy {
    ReviewPolicy::default()
}

#[tokio::test]
async fn a_number_comes_up_by_one_consent_and_one_code() {
    let mut world = World::new().await;
    world.cluster.apply(channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR).await;
    world.check_nothing_twice();
    kept::check(
        "tests/it/proof/kept/a_number_comes_up_by_one_consent_and_one_code.snap",
        &kept::wrapped(&golden(&world)),
    );
}

/// One number in nine: no switch is set for it.
#[tokio::test]
async fn a_number_that_is_connected_before_it_is_registered_comes_up_by_one_registration() {
    let mut world = World::new().await;
    assert_eq!(world.sandbox.switches(), Switches::default());
    world.cluster.apply(sibling("5511912345679"));
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(DAY).await;
    world.check_nothing_twice();
    let written = world.cluster.written();
    let shown = written.iter().filter_map(|written| written.status.facts.as_ref());
    let mut words = shown.map(|facts| (facts.status.as_deref(), facts.platform.as_deref()));
    assert!(words.any(|words| words == (Some("CONNECTED"), Some("NOT_APPLICABLE"))), "{}", world.story());
    assert_eq!(world.count(|w| matches!(w, What::RegisterAttempt { accepted: true, .. })), 1);
    assert_eq!(world.count(|w| matches!(w, What::RegisterAttempt { .. })), 1);
    assert_eq!(codes_sent(&world), 1);
}

#[tokio::test]
async fn without_a_consent_no_code_is_ever_asked_for() {
    let mut world = World::new().await;
    world.people.consents = 0;
    world.cluster.apply(channel());
    world.run_for(DAY).await;
    assert_eq!(world.count(|w| matches!(w, What::CodeSent { .. })), 0);
    assert_eq!(world.status().ready_reason(), Some(Reason::CodeNeeded));
    kept::check(
        "tests/it/proof/kept/without_a_consent_no_code_is_ever_asked_for.snap",
        &kept::wrapped(&golden(&world)),
    );
}

#[tokio::test]
async fn automatic_asks_for_the_first_code_by_itself_and_for_no_other() {
    let mut world = World::new().await;
    world.people.consents = 0;
    world.people.enters = false;
    let mut wanted = channel();
    wanted.verification.request = CodeRequest::Automatic;
    world.cluster.apply(wanted);
    world.run_for(DAY * 2).await;
    world.check_nothing_twice();
    assert_eq!(world.count(|w| matches!(w, What::CodeSent { .. })), 1, "{}", world.story());
}

#[tokio::test]
async fn a_number_that_asks_for_voice_is_called() {
    let mut world = World::new().await;
    let mut wanted = plain_channel();
    wanted.verification.method = VerificationMethod::Voice;
    world.cluster.apply(wanted);
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.check_nothing_twice();
}

#[tokio::test]
async fn a_registered_number_is_adopted_and_only_what_is_managed_is_written() {
    let number = Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Suporte").registered("135790");
    let mut world = World::with(options(), Meta::for_demo().with_number(number)).await;
    world.people.consents = 0;
    world.cluster.apply(channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR).await;
    assert_eq!(world.cluster.pins_created(), 0);
    kept::check(
        "tests/it/proof/kept/a_registered_number_is_adopted_and_only_what_is_managed_is_written.snap",
        &golden(&world),
    );
}

#[tokio::test]
async fn a_registered_number_with_nothing_else_managed_is_adopted_without_any_write() {
    let number = Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Suporte").registered("135790");
    let mut world = World::with(options(), Meta::for_demo().with_number(number)).await;
    world.cluster.apply(plain_channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(DAY).await;
    assert_eq!(world.effects(), []);
}

#[tokio::test]
async fn a_number_that_somebody_added_and_verified_needs_no_code() {
    let mut world = World::new().await;
    let number = Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Suporte").verified(world.now());
    world.sandbox.add_number(number);
    world.people.consents = 0;
    world.cluster.apply(plain_channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    assert_eq!(world.count(|w| matches!(w, What::CodeSent { .. } | What::VerifyAttempt { .. })), 0);
    world.check_nothing_twice();
}

#[tokio::test]
async fn a_name_in_review_is_tried_once_and_then_waited_for() {
    let refused = Switches { register_in_review: false, ..Switches::default() };
    let mut world = reviewed(in_review(), refused).await;
    world.cluster.apply(plain_channel());
    world.run_for(HOUR * 20).await;
    assert_eq!(world.status().ready_reason(), Some(Reason::NameInReview), "{}", world.story());
    assert_eq!(world.count(|w| matches!(w, What::RegisterAttempt { accepted: false, .. })), 1);
    assert!(world.run_until_ready(DAY * 2).await, "{}", world.story());
    assert_eq!(world.count(|w| matches!(w, What::RegisterAttempt { .. })), 2);
    world.check_nothing_twice();
    kept::check(
        "tests/it/proof/kept/a_name_in_review_is_tried_once_and_then_waited_for.snap",
        &golden(&world),
    );
}

#[tokio::test]
async fn a_name_in_review_that_meta_takes_at_once_is_registered_at_once() {
    let mut world = reviewed(in_review(), Switches::default()).await;
    world.cluster.apply(plain_channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.check_nothing_twice();
}

#[tokio::test]
async fn with_wait_a_name_in_review_is_not_tried() {
    let mut world = reviewed(in_review(), Switches::default()).await;
    let mut wanted = plain_channel();
    wanted.registration.while_name_in_review = WhileNameInReview::Wait;
    world.cluster.apply(wanted);
    world.run_for(HOUR * 20).await;
    assert_eq!(world.status().ready_reason(), Some(Reason::NameInReview), "{}", world.story());
    assert_eq!(world.count(|w| matches!(w, What::RegisterAttempt { .. })), 0);
    assert!(world.run_until_ready(DAY * 2).await, "{}", world.story());
    assert_eq!(world.count(|w| matches!(w, What::RegisterAttempt { .. })), 1);
}

#[tokio::test]
async fn a_declined_name_stalls_until_another_is_chosen() {
    let refused = Switches { register_in_review: false, ..Switches::default() };
    let mut world = reviewed(ReviewPolicy { verdict: Verdict::Decline, ..in_review() }, refused).await;
    world.cluster.apply(plain_channel());
    world.run_for(DAY * 4).await;
    let status = world.status();
    assert_eq!(status.ready_reason(), Some(Reason::NameDeclined), "{}", world.story());
    assert!(status.before.conditions.is(ConditionType::Stalled, Truth::True));
    for kind in [ConditionType::Registered, ConditionType::DisplayNameApproved] {
        assert_eq!(status.condition(kind).map(|c| c.reason), Some(Reason::NameDeclined), "{}", world.story());
    }
    assert_eq!(
        world.count(|w| matches!(w, What::NameSubmitted { .. })),
        0,
        "a declined string is not sent again"
    );
    kept::check(
        "tests/it/proof/kept/a_declined_name_stalls_until_another_is_chosen.snap",
        &kept::wrapped(&golden(&world)),
    );

    world.sandbox.set_review(in_review());
    world.people.consents = 2;
    world.cluster.edit(CHANNEL, |desired| desired.display_name = "Acme Atendimento".into());
    world.wake(CHANNEL, SECOND);
    assert!(world.run_until_ready(DAY * 4).await, "{}", world.story());
    assert_eq!(world.count(|w| matches!(w, What::NameSubmitted { .. })), 1);
    world.check_nothing_twice();
}

#[tokio::test]
async fn ready_when_name_approved_waits_for_the_review_and_nothing_is_written_meanwhile() {
    let mut world = reviewed(in_review(), Switches::default()).await;
    let mut wanted = plain_channel();
    wanted.ready_when = ReadyWhen::NameApproved;
    world.cluster.apply(wanted);
    assert!(world.run_until(HOUR, |w| w.count(|e| matches!(e, What::Registered { .. })) == 1).await);
    world.run_for(HOUR).await;
    assert!(!world.status().is_ready());
    let (written, effects) = (world.cluster.written_count(), world.effects().len());
    world.run_for(HOUR * 12).await;
    assert_eq!(
        (world.cluster.written_count(), world.effects().len()),
        (written, effects),
        "{}",
        world.story()
    );
    assert!(world.run_until_ready(DAY * 3).await, "{}", world.story());
    world.check_nothing_twice();
}

#[tokio::test]
async fn a_wrong_code_costs_one_attempt_and_a_right_one_follows() {
    let mut world = World::new().await;
    world.people.enters = false;
    world.cluster.apply(plain_channel());
    assert!(world.run_until(HOUR, |w| w.sandbox.delivered_code(DIGITS).is_some()).await);
    let right = world.sandbox.delivered_code(DIGITS).unwrap();
    let wrong = if right == "000000" { "111111" } else { "000000" };
    let key = plain_channel().verification.code_secret;
    world.cluster.put_secret(&key, wrong, false);
    world.wake_by_secrets(CHANNEL);
    world.run_for(MINUTE * 3).await;
    assert_eq!(world.count(|w| matches!(w, What::VerifyAttempt { .. })), 1, "{}", world.story());
    world.touch_code_secret(CHANNEL);
    world.run_for(MINUTE).await;
    assert_eq!(
        world.count(|w| matches!(w, What::VerifyAttempt { .. })),
        1,
        "the same value is no answer\n{}",
        world.story()
    );
    world.enter_code(CHANNEL);
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    assert_eq!(world.count(|w| matches!(w, What::VerifyAttempt { .. })), 2);
}

fn asked_for(world: &World, edge: &str) -> usize {
    world.sandbox.calls().iter().filter(|call| call.path.ends_with(edge)).count()
}

#[tokio::test]
async fn a_lock_of_codes_that_meta_names_is_kept_to_its_end_whoever_asks() {
    let half_a_day = 12 * 3_600;
    let switches = Switches {
        codes_allowed: 1,
        code_request_window_secs: half_a_day,
        code_request_lock_secs: half_a_day,
        ..Switches::default()
    };
    let mut world = World::with(Options { switches, ..options() }, Meta::for_demo()).await;
    (world.people.enters, world.people.consents) = (false, 0);
    world.cluster.apply(plain_channel());
    world.run_for(MINUTE * 5).await;
    world.consent(CHANNEL);
    world.run_for(MINUTE * 40).await;
    world.consent(CHANNEL);
    world.run_for(MINUTE * 5).await;
    assert_eq!(
        asked_for(&world, "/request_code"),
        2,
        "the second is refused for 12 hours\n{}",
        world.story()
    );
    // Longer than the pause of our own.
    for _ in 0..5 {
        world.run_for(HOUR * 2).await;
        world.consent(CHANNEL);
        world.run_for(MINUTE * 10).await;
    }
    assert_eq!(asked_for(&world, "/request_code"), 2, "none goes into the lock\n{}", world.story());
    world.people.enters = true;
    world.run_for(HOUR * 2).await;
    world.consent(CHANNEL);
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    assert_eq!(asked_for(&world, "/request_code"), 3);
}

#[tokio::test]
async fn a_lock_after_wrong_codes_is_kept_to_its_end_whatever_is_entered() {
    let switches =
        Switches { wrong_codes_allowed: 1, wrong_code_lock_secs: 6 * 3_600, ..Switches::default() };
    let mut world = World::with(Options { switches, ..options() }, Meta::for_demo()).await;
    (world.people.enters, world.people.consents) = (false, 0);
    world.cluster.apply(plain_channel());
    world.run_for(MINUTE * 5).await;
    world.consent(CHANNEL);
    assert!(world.run_until(HOUR, |w| w.sandbox.delivered_code(DIGITS).is_some()).await);
    let right = world.sandbox.delivered_code(DIGITS).unwrap();
    world.enter(CHANNEL, if right == "000000" { "111111" } else { "000000" });
    world.run_for(MINUTE * 3).await;
    world.enter_code(CHANNEL);
    world.run_for(MINUTE * 3).await;
    assert_eq!(asked_for(&world, "/verify_code"), 2, "the second is not looked at\n{}", world.story());
    let told = world.status().ready_reason();
    assert_eq!(told, Some(Reason::CodeRequestPaused), "{}", world.story());
    for _ in 0..2 {
        world.run_for(HOUR * 2).await;
        world.consent(CHANNEL);
        world.run_for(MINUTE * 10).await;
    }
    let calls = (asked_for(&world, "/request_code"), asked_for(&world, "/verify_code"));
    assert_eq!(calls, (1, 2), "nothing goes into the lock\n{}", world.story());
    world.people.enters = true;
    world.run_for(HOUR * 3).await;
    world.consent(CHANNEL);
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
}

#[tokio::test]
async fn a_code_that_comes_too_late_is_not_sent() {
    let mut world = World::new().await;
    world.people.enters = false;
    world.cluster.apply(plain_channel());
    assert!(world.run_until(HOUR, |w| w.sandbox.delivered_code(DIGITS).is_some()).await);
    world.run_for(MINUTE * 16).await;
    world.enter_code(CHANNEL);
    world.run_for(HOUR).await;
    assert_eq!(world.count(|w| matches!(w, What::VerifyAttempt { .. })), 0, "{}", world.story());
    let status = world.status();
    for kind in [ConditionType::NumberVerified, ConditionType::Ready] {
        let condition = status.condition(kind).expect("it is there");
        assert_eq!((condition.status, condition.reason), (Truth::False, Reason::CodeLapsed));
        assert!(condition.message.contains("which was therefore not sent"), "{}", condition.message);
        assert!(condition.message.contains("kubectl whatsapp send-code support-br"), "{}", condition.message);
    }
    let wait = &status.before.waiting_for[0];
    assert_eq!((wait.actor.as_str(), wait.action.as_str()), ("PhoneHolder", "AskForCode"));

    // The late code in the Secret is no answer to the next one either; the code that comes then is.
    world.consent(CHANNEL);
    assert!(
        world.run_until(MINUTE, |w| w.count(|e| matches!(e, What::CodeSent { .. })) == 2).await,
        "{}",
        world.story()
    );
    world.run_for(MINUTE).await;
    assert_eq!(world.status().ready_reason(), Some(Reason::CodeAwaited), "{}", world.story());
    assert_eq!(world.count(|w| matches!(w, What::VerifyAttempt { .. })), 0, "{}", world.story());
    world.enter_code(CHANNEL);
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    assert_eq!(world.count(|w| matches!(w, What::VerifyAttempt { accepted: true, .. })), 1);
    world.check_nothing_twice();
}

/// Meta refuses the first registration: it wants the number proven anew.
fn refuse_unproven(world: &World) {
    let envelope = json!({"error": {"message": "(#133006) Phone number re-verification needed", "type": "OAuthException", "code": 133_006, "fbtrace_id": "Aq"}});
    let on = Match::on("POST", "register").times(1);
    world.sandbox.inject(Fault { on, kind: FaultKind::Error { envelope } });
}

fn codes_sent(world: &World) -> usize {
    world.count(|w| matches!(w, What::CodeSent { .. }))
}

/// No status ever said that a code was wrong.
fn no_code_was_called_wrong(world: &World) {
    for written in world.cluster.written() {
        let wrong = written.status.conditions.iter().find(|c| c.reason == Reason::CodeWrong.as_str());
        assert!(wrong.is_none(), "{wrong:?}\n{}", world.story());
    }
}

#[tokio::test]
async fn a_second_proof_whose_reply_is_lost_is_enough() {
    for lag in [Lag::None, Lag::Seeded { max_secs: 90 }] {
        let mut world = World::with(Options { lag, ..options() }, Meta::for_demo()).await;
        world.people.consents = 2;
        refuse_unproven(&world);
        world.cluster.apply(plain_channel());
        let asked = |w: &World| w.status().ready_reason() == Some(Reason::ReverificationNeeded);
        assert!(world.run_until(HOUR, asked).await, "{}", world.story());
        assert_eq!(codes_sent(&world), 1, "a second code needs a consent");
        assert!(world.sandbox.set_field(DIGITS, "code_verification_status", json!("EXPIRED")));
        let on = Match::on("POST", "verify_code").times(1);
        world.sandbox.inject(Fault { on, kind: FaultKind::TimeoutAfter });
        assert!(world.run_until_ready(HOUR * 2).await, "{}", world.story());
        world.check_nothing_twice();
        no_code_was_called_wrong(&world);
        assert_eq!(codes_sent(&world), 2, "{}", world.story());
        assert_eq!(world.count(|w| matches!(w, What::VerifyAttempt { .. })), 2);
        assert_eq!(world.count(|w| matches!(w, What::RegisterAttempt { .. })), 1);
    }
}

#[tokio::test]
async fn a_number_that_meta_sends_no_second_code_to_counts_as_proven() {
    for already_verified in [AlreadyVerified::Generic, AlreadyVerified::NotEligible] {
        let switches = Switches { already_verified, ..Switches::default() };
        let mut world = World::with(Options { switches, ..options() }, Meta::for_demo()).await;
        world.people.consents = 2;
        refuse_unproven(&world);
        world.cluster.apply(plain_channel());
        assert!(world.run_until_ready(HOUR * 2).await, "{}", world.story());
        world.check_nothing_twice();
        no_code_was_called_wrong(&world);
        assert_eq!(codes_sent(&world), 1, "{}", world.story());
        assert_eq!(world.count(|w| matches!(w, What::RegisterAttempt { .. })), 1);
    }
}

#[tokio::test]
async fn an_approved_name_goes_live_with_the_pin_of_the_number_and_with_no_other() {
    let number = Number {
        new_display_name: Some("Acme Vendas".into()),
        new_name_status: Some("APPROVED".into()),
        ..Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Suporte").registered("135790")
    };
    let mut world = World::with(options(), Meta::for_demo().with_number(number)).await;
    let wanted = Desired { display_name: "Acme Vendas".into(), ..plain_channel() };
    let key = wanted.registration.pin_secret.clone();
    world.cluster.put_secret(&key, "482913", false);
    world.cluster.apply(wanted);
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    let attempts = |w: &World| w.count(|what| matches!(what, What::RegisterAttempt { .. }));
    assert_eq!(attempts(&world), 0, "Meta may make it live by itself");

    world.run_for(DAY).await;
    assert_eq!(attempts(&world), 1, "{}", world.story());
    let refused = world.sandbox.calls().into_iter().find(|call| call.path == "/{phone}/register");
    assert_eq!(refused.and_then(|call| call.code), Some(133_005));
    let name = world.status().condition(ConditionType::DisplayNameApproved).cloned().expect("it is there");
    assert_eq!((name.status, name.reason), (Truth::False, Reason::PinMismatch), "{}", name.message);
    assert!(world.status().is_ready(), "it goes on sending under its old name");

    world.cluster.put_secret(&key, "135790", false);
    world.run_for(DAY).await;
    assert_eq!(attempts(&world), 2, "{}", world.story());
    assert_eq!(world.sandbox.number(DIGITS).unwrap().verified_name, "Acme Vendas");
    assert!(world.status().before.conditions.is(ConditionType::DisplayNameApproved, Truth::True));
    assert_eq!(world.count(|what| matches!(what, What::PinSet { .. })), 0, "and no PIN was replaced");
}
