//! Usernames and official business accounts: crash and lost reply at every call and status write, on a Meta whose effects show
//! late, and what a channel costs that manages them.

use whatsapp_operator::{
    engine::{
        condition::Truth,
        condition_type::ConditionType,
        desired::{Desired, OfficialApplication, Username},
        memory::{ConsentKind, EntryOutcome},
        reason::Reason,
        step::StepKind,
    },
    sandbox::{
        Fault, FaultKind, HeldUsername, Lag, Match, Number, Official, Options, Switches, What, World as Meta,
    },
};

use super::world::*;

const WANTED: &str = "acme.suporte";
const OTHER: &str = "5511912345670";
/// Effects show up to this late; below the settle time.
const LAG: Lag = Lag::Seeded { max_secs: 50 };

fn claims(world: &World) -> usize {
    world.count(|what| matches!(what, What::UsernameClaimed { .. }))
}

fn requests(world: &World) -> usize {
    world.count(|what| matches!(what, What::OfficialRequested { .. }))
}

/// A number at rest, whose channel is then changed.
async fn at_rest(options: Options, change: impl FnOnce(&mut Desired)) -> World {
    let number = Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Suporte");
    let other = Number::new("100000000000078", ACCOUNT, OTHER, "Acme Vendas");
    let mut meta = Meta::for_demo().with_number(number.registered("482913"));
    meta = meta.with_number(other.registered("482914"));
    for portfolio in meta.portfolios.values_mut() {
        portfolio.verification_status = "verified".into();
    }
    let mut world = World::with(options, meta).await;
    world.cluster.apply(plain_channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR).await;
    world.cluster.edit(CHANNEL, change);
    world.wake(CHANNEL, SECOND);
    *world.accident.lock().unwrap() = Accident::default();
    world
}

fn wants(desired: &mut Desired) {
    desired.username = Some(Username { name: WANTED.into(), may_transfer: false });
}

fn application(desired: &mut Desired) {
    desired.official = Some(OfficialApplication {
        website: "https://acme.example".into(),
        country: "Brazil".into(),
        language: "Portuguese".into(),
        ..OfficialApplication::default()
    });
}

async fn official(options: Options) -> World {
    at_rest(options, |desired| {
        application(desired);
        desired.consents.official = Some("anna-1".into());
    })
    .await
}

fn late() -> Options {
    Options { seed: 11, lag: LAG, ..options() }
}

#[track_caller]
fn is(world: &World, kind: ConditionType, status: Truth, reason: Reason) {
    let found = world.status().condition(kind).cloned().expect("it is managed");
    assert_eq!((found.status, found.reason), (status, reason), "{}\n{}", found.message, world.story());
}

/// What a run with one accident has to come to, where the write that the run is about reached Meta or not before the process
/// knew more.
type Ends = fn(&World, bool) -> Result<(), String>;

/// A read tells whether a claim had its effect, so another one follows where it did not.
fn claimed_once(world: &World, _: bool) -> Result<(), String> {
    let has = world.sandbox.number(DIGITS).and_then(|number| number.username).map(|username| username.name);
    match (claims(world), has.as_deref(), world.status().is_ready()) {
        (1, Some(WANTED), true) => Ok(()),
        other => Err(format!("claims, username and Ready are {other:?}")),
    }
}

/// A request that may have arrived counts as sent. Where it did, what Meta shows settles it.
fn requested_once(world: &World, arrives: bool) -> Result<(), String> {
    let (status, wanted) = (world.status(), if arrives { 1 } else { 0 });
    let reason = status.condition(ConditionType::OfficialAccount).map(|is| is.reason);
    let outcomes: Vec<_> = status.memory.ledger.officials.iter().map(|entry| entry.outcome).collect();
    let counted: Vec<_> = outcomes.iter().filter(|outcome| **outcome != EntryOutcome::NotSent).collect();
    let is_right = match (arrives, &counted[..]) {
        (true, [EntryOutcome::Accepted]) => reason == Some(Reason::OfficialAccountInReview),
        (false, [EntryOutcome::NoAnswer | EntryOutcome::Refused]) => {
            reason == Some(Reason::OfficialAccountPaused)
        }
        _ => false,
    };
    match (requests(world), status.is_ready()) {
        (is, true) if is == wanted && is_right => Ok(()),
        other => Err(format!("requests and Ready are {other:?}, {reason:?}, {outcomes:?}")),
    }
}

/// Every write of status, every call, and every reply that may be lost, around the one call that cannot be repeated.
async fn hit<F: Future<Output = World>>(begin: impl Fn() -> F, step: StepKind, call: &str, ends: Ends) {
    use WriteFault::{Conflict, CrashAfter, CrashBefore, Error, TimeoutLanded, TimeoutLost};
    let mut world = begin().await;
    let (from, stood) = (world.sandbox.calls().len(), world.cluster.written_count());
    world.run_for(MINUTE * 40).await;
    ends(&world, true).unwrap_or_else(|why| panic!("without an accident: {why}\n{}", world.story()));
    let posts: Vec<usize> = {
        let calls = world.sandbox.calls();
        (from..calls.len()).filter(|at| calls[*at].method == "POST").map(|at| at - from).collect()
    };
    let (calls, writes) = {
        let accident = world.accident.lock().unwrap();
        (accident.calls.clone(), accident.writes)
    };
    let written = world.cluster.written().split_off(stood);
    assert_eq!(written.len(), writes, "each write of status landed");
    let is_intent = |one: &Written| {
        let in_flight = one.status.memory.as_ref().and_then(|memory| memory.in_flight.as_ref());
        in_flight.is_some_and(|intent| intent.step == step)
    };
    let intent = written.iter().position(is_intent).expect("it is written down first") + 1;
    let sent = calls.iter().position(|name| *name == call).expect("it is called") + 1;
    assert!(posts.len() == 1 && calls.len() > 2 && writes > 2, "{}", world.story());
    let mut broken = Vec::new();
    let mut runs = 0;
    let mut tell = |accident: String, result: Result<(), String>, story: &dyn Fn() -> String| {
        runs += 1;
        if let Err(why) = result {
            broken.push(format!("{accident}: {why}\n{}", story()));
        }
    };
    for nth in 1..=writes {
        for fault in [CrashBefore, CrashAfter, Conflict, Error, TimeoutLanded, TimeoutLost] {
            let mut world = begin().await;
            world.accident.lock().unwrap().write = Some((nth, fault));
            world.run_for(MINUTE * 40).await;
            let arrives = (nth, fault) != (intent, CrashAfter);
            tell(format!("{fault:?} at write {nth}"), ends(&world, arrives), &|| world.story());
        }
    }
    for nth in 1..=calls.len() {
        for fault in [CallFault::CrashBefore, CallFault::CrashAfter] {
            let mut world = begin().await;
            world.accident.lock().unwrap().call = Some((nth, fault));
            world.run_for(MINUTE * 40).await;
            let arrives = (nth, fault) != (sent, CallFault::CrashBefore);
            tell(format!("{fault:?} at call {nth}"), ends(&world, arrives), &|| world.story());
        }
    }
    for (kind, arrives) in [
        (FaultKind::TimeoutBefore, false),
        (FaultKind::TimeoutAfter, true),
        (FaultKind::Status { code: 503 }, false),
        (FaultKind::TruncatedBody, true),
        (FaultKind::DelayedEffect { secs: 5 }, true),
    ] {
        let mut world = begin().await;
        world.sandbox.inject(Fault { on: Match::any().nth(posts[0] as u64 + 1), kind: kind.clone() });
        world.run_for(MINUTE * 40).await;
        tell(format!("{kind:?}"), ends(&world, arrives), &|| world.story());
    }
    assert!(broken.is_empty(), "{} of {runs} accidents:\n{}", broken.len(), broken[0]);
}

#[tokio::test]
async fn a_username_is_claimed_once_whatever_happens_around_any_call_and_write() {
    hit(|| at_rest(late(), wants), StepKind::ClaimUsername, "claim_username", claimed_once).await;
}

#[tokio::test]
async fn an_official_account_is_requested_once_or_told_as_perhaps_sent_whatever_happens_around_any_call_and_write()
 {
    hit(|| official(late()), StepKind::RequestOfficial, "request_official", requested_once).await;
}

#[tokio::test]
async fn a_reserved_username_is_read_once_a_day_until_people_can_see_it_and_then_no_more() {
    for reserved_usernames_listed in [false, true] {
        let switches =
            Switches { usernames_reserved: true, reserved_usernames_listed, ..Switches::default() };
        let mut world = at_rest(Options { switches, ..options() }, wants).await;
        world.run_for(HOUR).await;
        is(&world, ConditionType::UsernameClaimed, Truth::True, Reason::UsernameReserved);
        let reads = |world: &World| {
            let calls = world.sandbox.calls();
            calls.iter().filter(|call| call.method == "GET" && call.path.ends_with("/username")).count()
        };
        let (before, written) = (reads(&world), world.cluster.written_count());
        world.run_for(DAY * 4).await;
        assert!((3..=5).contains(&(reads(&world) - before)), "{}", reads(&world) - before);
        assert_eq!(world.cluster.written_count(), written, "nothing changed");
        let username = serde_json::json!({"name": WANTED, "status": "approved"});
        assert!(world.sandbox.set_field(DIGITS, "username", username));
        world.run_for(DAY + HOUR).await;
        is(&world, ConditionType::UsernameClaimed, Truth::True, Reason::UsernameApproved);
        let before = reads(&world);
        world.run_for(DAY * 5).await;
        assert_eq!((reads(&world), claims(&world)), (before, 1), "a list shows it");
    }
}

#[tokio::test]
async fn a_username_that_is_taken_away_is_told_and_claimed_again_only_by_a_person() {
    let mut world = at_rest(options(), wants).await;
    world.run_for(HOUR).await;
    is(&world, ConditionType::UsernameClaimed, Truth::True, Reason::UsernameApproved);
    assert!(world.sandbox.set_field(DIGITS, "username", serde_json::Value::Null));
    world.run_for(HOUR).await;
    is(&world, ConditionType::UsernameClaimed, Truth::False, Reason::UsernameRevoked);
    assert!(world.status().is_ready(), "it holds nothing up");
    assert!(world.status().before.drift.iter().any(|drift| drift.field == "username"));
    world.run_for(DAY * 3).await;
    assert_eq!(claims(&world), 1);
    world.retry(CHANNEL);
    world.run_for(HOUR).await;
    is(&world, ConditionType::UsernameClaimed, Truth::True, Reason::UsernameApproved);
    assert_eq!(claims(&world), 2);
}

#[tokio::test]
async fn a_taken_username_is_claimed_once_and_one_of_another_number_is_moved_by_consent() {
    let held = [(WANTED.to_owned(), HeldUsername::Taken)].into();
    let switches = Switches { held_usernames: held, ..Switches::default() };
    let mut world = at_rest(Options { switches, ..options() }, wants).await;
    world.run_for(DAY * 3).await;
    is(&world, ConditionType::UsernameClaimed, Truth::False, Reason::UsernameTaken);
    let posts = |world: &World| {
        let calls = world.sandbox.calls();
        calls.iter().filter(|call| call.method == "POST" && call.path.ends_with("/username")).count()
    };
    assert_eq!((posts(&world), world.status().is_ready()), (1, true));
    let username = serde_json::json!({"name": "acme.vendas", "status": "approved"});
    assert!(world.sandbox.set_field(OTHER, "username", username));
    world.cluster.edit(CHANNEL, |desired| desired.username.as_mut().unwrap().name = "acme.vendas".into());
    world.wake(CHANNEL, SECOND);
    world.run_for(DAY).await;
    is(&world, ConditionType::UsernameClaimed, Truth::False, Reason::UsernameInUse);
    assert_eq!(posts(&world), 2);
    world.cluster.edit(CHANNEL, |desired| desired.username.as_mut().unwrap().may_transfer = true);
    world.wake(CHANNEL, SECOND);
    world.run_for(HOUR).await;
    is(&world, ConditionType::UsernameClaimed, Truth::True, Reason::UsernameApproved);
    assert_eq!(world.sandbox.number(OTHER).and_then(|number| number.username), None);
}

#[tokio::test]
async fn an_official_account_goes_from_a_consent_to_a_decision_and_not_again_for_30_days() {
    let mut world = official(options()).await;
    world.run_for(HOUR).await;
    is(&world, ConditionType::OfficialAccount, Truth::False, Reason::OfficialAccountInReview);
    let decided =
        Official { status: "REJECTED".into(), message: Some("Not notable.".into()), requested: None };
    let decided = serde_json::to_value(decided).unwrap();
    assert!(world.sandbox.set_field(DIGITS, "official", decided));
    world.run_for(HOUR).await;
    is(&world, ConditionType::OfficialAccount, Truth::False, Reason::OfficialAccountPaused);
    assert_eq!(world.status().before.facts.official_message.as_deref(), Some("Not notable."));
    world.cluster.annotate(CHANNEL, |consents| consents.official = Some("anna-2".into()));
    world.wake(CHANNEL, SECOND);
    world.run_for(HOUR).await;
    let answer = world.status().memory.consents[&ConsentKind::Official].clone();
    assert!(answer.refused.is_some_and(|why| why.contains("it can be requested again")), "{}", world.story());
    world.run_for(DAY * 30).await;
    is(&world, ConditionType::OfficialAccount, Truth::False, Reason::OfficialAccountRejected);
    world.cluster.annotate(CHANNEL, |consents| consents.official = Some("anna-3".into()));
    world.wake(CHANNEL, SECOND);
    world.run_for(HOUR).await;
    assert_eq!(requests(&world), 2, "{}", world.story());
    let approved = serde_json::json!({"status": "APPROVED"});
    assert!(world.sandbox.set_field(DIGITS, "official", approved));
    world.run_for(HOUR).await;
    is(&world, ConditionType::OfficialAccount, Truth::True, Reason::OfficialAccountApproved);
}

#[tokio::test]
async fn where_meta_refuses_the_fields_both_are_read_by_themselves_once_a_day() {
    let both = |desired: &mut Desired| {
        wants(desired);
        application(desired);
    };
    let mut world = at_rest(options(), both).await;
    for field in ["username", "official_business_account"] {
        let kind = FaultKind::RefuseField { field: field.into(), envelope: None };
        world.sandbox.inject(Fault { on: Match::any(), kind });
    }
    world.run_for(DAY * 2).await;
    is(&world, ConditionType::UsernameClaimed, Truth::True, Reason::UsernameApproved);
    is(&world, ConditionType::OfficialAccount, Truth::False, Reason::OfficialAccountNotRequested);
    let reads = |world: &World| {
        let own = |path: &str| path.ends_with("/username") || path.ends_with("/official_business_account");
        world.sandbox.calls().iter().filter(|call| call.method == "GET" && own(&call.path)).count()
    };
    let before = reads(&world);
    world.run_for(DAY * 4).await;
    assert!((6..=10).contains(&(reads(&world) - before)), "{}", reads(&world) - before);
}
