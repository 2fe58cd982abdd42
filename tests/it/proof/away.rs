//! A channel is deleted: what is its own is taken back at Meta, once, whatever happens on the way, and nothing holds the
//! deletion up for longer than its time.

use std::ops::RangeInclusive;

use serde_json::json;
use whatsapp_operator::{
    api::lower,
    engine::{
        desired::{DeletionPolicy, Desired},
        farewell::Parting,
        observed::PortfolioState,
    },
    sandbox::{
        Account, App, DEMO_TOKEN, EndpointAnswer, Fault, FaultKind, Lag, Match, NotRegistered, Number,
        Options, Portfolio, Switches, What, World as Meta,
    },
};

use super::world::*;

/// Effects show up to this late; below every settle time.
const LAG: Lag = Lag::Seeded { max_secs: 50 };

fn with(policy: DeletionPolicy) -> Desired {
    let mut wanted = channel();
    wanted.deletion.policy = policy;
    wanted
}

/// Another account in reach.
const BESIDE: &str = "300000000000002";

/// A channel whose number is not there yet, where another account is in reach too.
async fn new(policy: DeletionPolicy, seed: u64) -> World {
    let meta = Meta::for_demo().with_account(Account::new(BESIDE, "500000000000001", "Acme Shop"));
    let world = World::with(Options { seed, lag: LAG, ..options() }, meta).await;
    world.cluster.apply(Desired { account: Some(ACCOUNT.into()), ..with(policy) });
    world
}

/// A channel that this operator brought to Ready, at rest.
async fn ready(policy: DeletionPolicy, seed: u64) -> World {
    let mut world = new(policy, seed).await;
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(MINUTE * 30).await;
    world
}

fn removed(world: &World) -> usize {
    world.count(|what| matches!(what, What::Overridden { url: None, .. }))
}

fn deregistered(world: &World) -> usize {
    world.count(|what| matches!(what, What::Deregistered { .. }))
}

fn calls(world: &World, edge: &str) -> usize {
    world.sandbox.calls().iter().filter(|call| call.path.ends_with(edge)).count()
}

/// Deletes the channel and says in a few words what came of it.
async fn delete(world: &mut World) -> (Parting, String, u64) {
    let begun = world.now();
    world.delete(CHANNEL);
    let farewell = world.run_until_gone(CHANNEL, HOUR).await;
    let Some(farewell) = farewell else { panic!("the deletion never ends\n{}", world.story()) };
    let took = world.now().duration_since(begun).as_secs().unsigned_abs();
    (farewell.parting, farewell.message, took)
}

#[tokio::test]
async fn each_policy_takes_back_what_it_names_and_nothing_else() {
    let rows = [
        (DeletionPolicy::Retain, Parting::Retained, 0, 0),
        (DeletionPolicy::Unroute, Parting::CleanedUp, 1, 0),
        (DeletionPolicy::Deregister, Parting::CleanedUp, 1, 1),
    ];
    for (policy, expected, overrides, registrations) in rows {
        let mut world = ready(policy, 3).await;
        let before = world.effects().len();
        let (parting, message, took) = delete(&mut world).await;
        let story = world.story();
        assert_eq!(parting, expected, "{message}\n{story}");
        assert_eq!((removed(&world), deregistered(&world)), (overrides, registrations), "{story}");
        assert_eq!(world.effects().len() - before, overrides + registrations, "{story}");
        assert_eq!(world.count(|what| matches!(what, What::Unsubscribed { .. })), 0, "{story}");
        assert!(took < 300, "{policy:?} took {took} s: {story}");
        let kept = world.cluster.attempts(&channel().number.canonical()).unwrap_or_default();
        let kept = lower::attempts(&kept).unwrap_or_default();
        assert_eq!(kept.deregistrations.len(), registrations, "it counts for the next object");
    }
}

/// The deletion ends with everything taken back, and no deregistration was sent that an earlier one may have made needless.
async fn ends(mut world: World, accident: &str) -> Result<(), String> {
    let (parting, message, _) = delete(&mut world).await;
    let broken = |what: &str| Err(format!("{accident}: {what} ({message})\n{}", world.story()));
    let faults = world.sandbox.faults();
    let has_met = faults.as_array().is_some_and(|all| all.iter().any(|fault| fault["applied"] != 0));
    if !has_met && !world.accident.lock().unwrap().fired {
        return broken("the accident never happened");
    }
    let number = world.sandbox.number(DIGITS).expect("the number stays in the account");
    if parting != Parting::CleanedUp {
        return broken("something was left");
    }
    if number.platform_type != "NOT_APPLICABLE" || number.webhook.callback.is_some() {
        return broken("something is still there");
    }
    if deregistered(&world) != 1 {
        return broken("it was not deregistered once");
    }
    // Also where the process ended right after Meta took the removal.
    if !message.contains("webhook override") {
        return broken("the event does not tell of the override");
    }
    Ok(())
}

fn report(results: Vec<Result<(), String>>) {
    let tried = results.len();
    let broken: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    let first = broken.first().cloned().unwrap_or_default();
    let names: Vec<&str> = broken.iter().filter_map(|b| b.lines().next()).collect();
    assert!(
        broken.is_empty() && tried > 0,
        "{} of {tried} accidents:\n{}\n\nthe first:\n{first}",
        broken.len(),
        names.join("\n")
    );
}

/// How many writes of status, calls of the port and requests there were until Ready, and in a deletion without accident.
async fn rehearse(seed: u64) -> (usize, Vec<&'static str>, usize, Vec<(String, String)>) {
    let mut world = ready(DeletionPolicy::Deregister, seed).await;
    let counted = |world: &World| {
        let accident = world.accident.lock().unwrap();
        (accident.writes, accident.calls.len(), world.sandbox.calls().len())
    };
    let (writes, calls, requests) = counted(&world);
    delete(&mut world).await;
    let made = world.sandbox.calls().split_off(requests);
    let requests = made.into_iter().map(|call| (call.method, call.path)).collect();
    let accident = world.accident.lock().unwrap();
    (accident.writes - writes, accident.calls[calls..].to_vec(), calls, requests)
}

#[tokio::test]
async fn an_accident_at_any_status_write_of_a_deletion_takes_nothing_back_twice() {
    let (writes, ..) = rehearse(4).await;
    assert!(writes >= 4, "a deletion writes status {writes} times");
    let mut results = Vec::new();
    for nth in 1..=writes {
        for fault in [
            WriteFault::CrashBefore,
            WriteFault::CrashAfter,
            WriteFault::Conflict,
            WriteFault::TimeoutLanded,
            WriteFault::TimeoutLost,
            WriteFault::Error,
        ] {
            let world = ready(DeletionPolicy::Deregister, 4).await;
            {
                let mut accident = world.accident.lock().unwrap();
                let nth = accident.writes + nth;
                accident.write = Some((nth, fault));
            }
            results.push(ends(world, &format!("{fault:?} at status write {nth}")).await);
        }
    }
    report(results);
}

#[tokio::test]
async fn a_crash_at_any_call_of_a_deletion_takes_nothing_back_twice() {
    let (_, calls, before, _) = rehearse(5).await;
    assert!(calls.contains(&"unroute_webhook") && calls.contains(&"deregister"), "{calls:?}");
    let mut results = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        for fault in [CallFault::CrashBefore, CallFault::CrashAfter] {
            let world = ready(DeletionPolicy::Deregister, 5).await;
            world.accident.lock().unwrap().call = Some((before + at + 1, fault));
            results.push(ends(world, &format!("{fault:?} at call {} ({call})", at + 1)).await);
        }
    }
    report(results);
}

#[tokio::test]
async fn a_reply_that_is_lost_or_broken_in_a_deletion_takes_nothing_back_twice() {
    let (.., requests) = rehearse(6).await;
    let mut results = Vec::new();
    for (at, (method, path)) in requests.iter().enumerate() {
        let kinds = if method == "POST" {
            vec![
                FaultKind::TimeoutBefore,
                FaultKind::TimeoutAfter,
                FaultKind::Status { code: 503 },
                FaultKind::StatusAfter { code: 500 },
                FaultKind::Html { code: 502 },
                FaultKind::TruncatedBody,
                FaultKind::DelayedEffect { secs: 20 },
            ]
        } else {
            vec![FaultKind::Disconnect, FaultKind::StatusAfter { code: 500 }]
        };
        for kind in kinds {
            let world = ready(DeletionPolicy::Deregister, 6).await;
            // Counted from here on; the client tries a read once more, so that fails too.
            for nth in (at as u64 + 1..).take(if method == "GET" { 2 } else { 1 }) {
                world.sandbox.inject(Fault { on: Match::any().nth(nth), kind: kind.clone() });
            }
            results.push(ends(world, &format!("{kind:?} at request {} ({method} {path})", at + 1)).await);
        }
    }
    report(results);
}

#[tokio::test]
async fn whatever_meta_does_a_deletion_ends_in_its_time_and_tells_what_is_left() {
    let throttle = || FaultKind::Throttle { code: 80_008, minutes: 120 };
    let denied = || FaultKind::Error {
        envelope: json!({"error": {"message": "(#200) Permissions error", "type": "OAuthException", "code": 200}}),
    };
    let rows = [
        ("down", Match::any(), FaultKind::Disconnect),
        ("pages of a proxy", Match::any(), FaultKind::Html { code: 502 }),
        ("no answers", Match::any(), FaultKind::TimeoutBefore),
        ("throttled", Match::any(), throttle()),
        ("no right to read", Match::any(), denied()),
        ("no right to write", Match::on("POST", "*"), denied()),
    ];
    for policy in [DeletionPolicy::Unroute, DeletionPolicy::Deregister] {
        for (what, on, kind) in &rows {
            let mut world = ready(policy, 7).await;
            world.sandbox.inject(Fault { on: on.clone(), kind: kind.clone() });
            let (parting, message, took) = delete(&mut world).await;
            assert_eq!(parting, Parting::LeftAtMeta, "{what}: {message}\n{}", world.story());
            // Where each was refused three times nothing is left to try.
            let is_refused = *what == "no right to write" && policy == DeletionPolicy::Deregister;
            let least = if is_refused { 300 } else { 595 };
            assert!((least..=700).contains(&took), "{what}, {policy:?}: {took} s: {message}");
            assert!(message.contains("override_callback_uri"), "{what}: {message}");
            assert_eq!(
                message.contains("/deregister"),
                policy == DeletionPolicy::Deregister,
                "{what}: {message}"
            );
            assert_eq!((removed(&world), deregistered(&world)), (0, 0), "{what}");
        }
    }
}

/// What has happened when a channel is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    MetaDown,
    Throttled,
    TokenRevoked,
    SecretGone,
    PortfolioGone,
    AccountGone,
    NumberMoved,
    NumberShared,
}

const CAUSES: [Cause; 8] = [
    Cause::MetaDown,
    Cause::Throttled,
    Cause::TokenRevoked,
    Cause::SecretGone,
    Cause::PortfolioGone,
    Cause::AccountGone,
    Cause::NumberMoved,
    Cause::NumberShared,
];

const POLICIES: [DeletionPolicy; 3] =
    [DeletionPolicy::Retain, DeletionPolicy::Unroute, DeletionPolicy::Deregister];

impl Cause {
    /// Changes the world. Only what Meta itself does to a call is a fault.
    fn happens(self, world: &mut World) {
        let fault = |kind| Fault { on: Match::any(), kind };
        match self {
            Self::MetaDown => world.sandbox.inject(fault(FaultKind::Disconnect)),
            Self::Throttled => {
                world.sandbox.inject(fault(FaultKind::Throttle { code: 80_008, minutes: 120 }));
            }
            Self::TokenRevoked => assert!(world.sandbox.revoke_token(DEMO_TOKEN)),
            Self::SecretGone => world.lose_secret(),
            Self::PortfolioGone => world.portfolio = Some(PortfolioState::NotUsable),
            Self::AccountGone => {
                let other = Portfolio::new("500000000000009", "Somebody Else");
                world.sandbox.add_portfolio(other);
                assert!(world.sandbox.set_field(ACCOUNT, "owner", json!("500000000000009")));
            }
            Self::NumberMoved => assert!(world.sandbox.set_field(DIGITS, "status", json!("MIGRATED"))),
            Self::NumberShared => assert!(world.sandbox.set_field(DIGITS, "also_in", json!([BESIDE]))),
        }
    }

    fn ends(self, policy: DeletionPolicy) -> End {
        let nothing =
            End { parting: Parting::Retained, secs: 0..=1, taken: (0, 0), says: &[], by_hand: false };
        let left = |says| End { parting: Parting::LeftAtMeta, says, by_hand: true, ..nothing.clone() };
        match (self, policy) {
            (_, DeletionPolicy::Retain) => {
                End { says: &["deletionPolicy is Retain", "stays at Meta as it is"], ..nothing }
            }
            // Nothing can be seen, so it is tried until the time is over.
            (Self::MetaDown, _) => {
                End { secs: 595..=700, ..left(&["after 10 minutes", "Meta gave no usable answer"]) }
            }
            (Self::Throttled, _) => {
                End { secs: 595..=700, ..left(&["after 10 minutes", "calls to Meta are held back"]) }
            }
            (Self::TokenRevoked, _) => End { secs: 595..=700, ..left(&["after 10 minutes", "190"]) },
            (Self::SecretGone, _) => End { secs: 595..=700, ..left(&["after 10 minutes", SECRET_GONE]) },
            (Self::PortfolioGone, _) => {
                End { secs: 595..=700, ..left(&["after 10 minutes", "does not exist or may not be used"]) }
            }
            // Time changes nothing about it, so it is looked at once more and no longer.
            (Self::AccountGone, _) => End { secs: 30..=120, ..left(&["shows neither account"]) },
            (Self::NumberMoved, _) => End {
                parting: Parting::CleanedUp,
                secs: 0..=90,
                says: &["was moved", "there is nothing to take back"],
                ..nothing
            },
            (Self::NumberShared, DeletionPolicy::Unroute) => End {
                parting: Parting::CleanedUp,
                secs: 0..=300,
                taken: (1, 0),
                says: &["webhook override was removed"],
                ..nothing
            },
            // The call would end it for the other account, so it is not named.
            (Self::NumberShared, DeletionPolicy::Deregister) => End {
                parting: Parting::LeftAtMeta,
                secs: 0..=300,
                taken: (1, 0),
                says: &["webhook override was removed", "its registration", "DeregisterSharedNumber"],
                ..nothing
            },
        }
    }
}

const SECRET_GONE: &str = "there is no Secret acme-meta";

/// How a deletion is to end.
#[derive(Clone)]
struct End {
    parting: Parting,
    /// In how many seconds.
    secs: RangeInclusive<u64>,
    /// Overrides that were removed, and registrations that were ended.
    taken: (usize, usize),
    says: &'static [&'static str],
    /// Whether the calls are named by which a person goes on.
    by_hand: bool,
}

async fn ends_as_told(cause: Cause, policy: DeletionPolicy) -> Result<(), String> {
    let mut world = ready(policy, 7).await;
    cause.happens(&mut world);
    let (parting, message, took) = delete(&mut world).await;
    let end = cause.ends(policy);
    let broken =
        |what: &str| Err(format!("{cause:?}, {policy:?}: {what} ({took} s: {message})\n{}", world.story()));
    if parting != end.parting {
        return broken(&format!("it ends with {parting:?}"));
    }
    if !end.secs.contains(&took) {
        return broken("it does not take its time");
    }
    if (removed(&world), deregistered(&world)) != end.taken {
        return broken("not that was taken back");
    }
    if let Some(word) = end.says.iter().find(|word| !message.contains(**word)) {
        return broken(&format!("it does not say {word:?}"));
    }
    // What is left is named, and nothing else.
    let deregisters = policy == DeletionPolicy::Deregister;
    for (call, is_named) in
        [("override_callback_uri", end.by_hand), ("/deregister", end.by_hand && deregisters)]
    {
        if message.contains(call) != is_named {
            return broken(&format!("{call} is named: {}", !is_named));
        }
    }
    let Some(number) = world.sandbox.number(DIGITS) else { return broken("the number is gone") };
    let stays = (number.webhook.callback.is_some(), number.platform_type == "CLOUD_API");
    if stays != (end.taken.0 == 0, true) {
        return broken("Meta is not as it should be");
    }
    Ok(())
}

#[tokio::test]
async fn each_cause_ends_a_deletion_with_each_policy_as_the_table_says() {
    let mut results = Vec::new();
    for cause in CAUSES {
        for policy in POLICIES {
            results.push(ends_as_told(cause, policy).await);
        }
    }
    assert_eq!(results.len(), 24);
    report(results);
}

#[tokio::test]
async fn a_number_that_others_use_is_not_deregistered_unless_somebody_acknowledges_that() {
    const OTHER: &str = "200000000000009";
    for acknowledged in [false, true] {
        let mut world = ready(DeletionPolicy::Deregister, 8).await;
        world.sandbox.add_app(App::new(OTHER, "Another"));
        assert!(world.sandbox.set_field(ACCOUNT, "subscriptions", json!({APP: {}, OTHER: {}})));
        world.cluster.edit(CHANNEL, |desired| desired.deletion.may_deregister_shared = acknowledged);
        let (parting, message, took) = delete(&mut world).await;
        let expected = if acknowledged { Parting::CleanedUp } else { Parting::LeftAtMeta };
        assert_eq!(parting, expected, "{message}");
        assert_eq!(message.contains(OTHER), !acknowledged, "{message}");
        assert_eq!(
            (removed(&world), deregistered(&world)),
            (1, usize::from(acknowledged)),
            "{}",
            world.story()
        );
        assert!(took < 300, "{took}");
    }
}

#[tokio::test]
async fn a_number_that_was_found_registered_stays_registered() {
    let number = Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Suporte").registered("135790");
    let mut world = World::with(options(), Meta::for_demo().with_number(number)).await;
    world.cluster.apply(with(DeletionPolicy::Deregister));
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    let (parting, message, _) = delete(&mut world).await;
    assert_eq!(parting, Parting::CleanedUp, "{message}");
    assert!(message.contains("this object did not make it") && !message.contains("POST"), "{message}");
    assert_eq!((removed(&world), deregistered(&world)), (1, 0), "{}", world.story());
}

#[tokio::test]
async fn an_override_that_somebody_else_wrote_stays() {
    for (policy, expected) in
        [(DeletionPolicy::Unroute, Parting::Retained), (DeletionPolicy::Deregister, Parting::LeftAtMeta)]
    {
        let mut world = ready(policy, 9).await;
        let other = json!({"callback": "https://other.example/wa"});
        assert!(world.sandbox.set_field(DIGITS, "webhook", other));
        let (parting, message, _) = delete(&mut world).await;
        assert_eq!(parting, expected, "{message}");
        assert!(!message.contains("POST"), "{message}");
        assert_eq!((removed(&world), deregistered(&world)), (0, 0), "{}", world.story());
    }
}

#[tokio::test]
async fn a_number_that_is_gone_or_moved_ends_a_deletion_soon() {
    type Change = fn(&World);
    let rows: [(&str, Change); 3] = [
        ("deleted by hand", |world| assert!(world.sandbox.delete_number(DIGITS))),
        ("moved", |world| assert!(world.sandbox.set_field(DIGITS, "status", json!("MIGRATED")))),
        ("deregistered by hand", |world| {
            assert!(world.sandbox.deregister_number(DIGITS));
            assert!(world.sandbox.set_field(DIGITS, "webhook", json!({})));
        }),
    ];
    for (what, change) in rows {
        let mut world = ready(DeletionPolicy::Deregister, 10).await;
        change(&world);
        let by_others = deregistered(&world);
        let (parting, message, took) = delete(&mut world).await;
        assert_eq!(parting, Parting::CleanedUp, "{what}: {message}\n{}", world.story());
        assert_eq!((removed(&world), deregistered(&world) - by_others), (0, 0), "{what}");
        assert!(took <= 90, "{what}: {took} s");
    }
}

#[tokio::test]
async fn what_meta_answers_for_a_number_that_is_not_registered_is_as_good_as_done() {
    for not_registered in [NotRegistered::Plain, NotRegistered::Parameter] {
        let mut world = ready(DeletionPolicy::Deregister, 11).await;
        world.sandbox.set_switches(Switches { not_registered, ..world.sandbox.switches() });
        // It still reads as registered, as Meta's pages lag behind.
        assert!(world.sandbox.deregister_number(DIGITS));
        assert!(world.sandbox.set_field(DIGITS, "platform_type", json!("NOT_APPLICABLE")));
        world.sandbox.inject(Fault {
            on: Match::on("GET", "phone_numbers"),
            kind: FaultKind::UnknownEnum { field: "platform_type".into(), value: json!("CLOUD_API") },
        });
        let (parting, message, _) = delete(&mut world).await;
        assert_eq!(parting, Parting::CleanedUp, "{not_registered:?}: {message}\n{}", world.story());
        assert_eq!(calls(&world, "/deregister"), 1, "{}", world.story());
    }
}

#[tokio::test]
async fn the_limit_of_deregistrations_ends_a_deletion_whether_or_not_registrations_share_it() {
    for deregisters_share_limit in [false, true] {
        let mut world = ready(DeletionPolicy::Deregister, 12).await;
        world.sandbox.set_switches(Switches { deregisters_share_limit, ..world.sandbox.switches() });
        let (now, attempts) =
            (world.now(), if deregisters_share_limit { "registers" } else { "deregisters" });
        assert!(world.sandbox.set_field(DIGITS, "attempts", json!({attempts: vec![now; 10]})));
        let (parting, message, took) = delete(&mut world).await;
        assert_eq!(parting, Parting::LeftAtMeta, "{message}");
        assert!(message.contains("133016"), "{message}");
        assert_eq!(calls(&world, "/deregister"), 1, "every further try would push the end away");
        assert!(took < 300, "{took}");
    }
}

/// Whether the fault that was injected has happened.
fn has_met(world: &World) -> bool {
    world.sandbox.faults().as_array().is_some_and(|all| all.iter().any(|fault| fault["applied"] != 0))
}

#[tokio::test]
async fn a_deletion_that_begins_while_another_step_is_in_flight_ends_soon_and_leaves_nothing() {
    let posts: Vec<(usize, String)> = {
        let mut world = new(DeletionPolicy::Unroute, 13).await;
        assert!(world.run_until_ready(HOUR).await, "{}", world.story());
        let calls = world.sandbox.calls().into_iter().enumerate();
        calls.filter(|(_, call)| call.method == "POST").map(|(at, call)| (at, call.path)).collect()
    };
    assert!(posts.len() >= 5, "{posts:?}");
    let mut results = Vec::new();
    for policy in [DeletionPolicy::Unroute, DeletionPolicy::Deregister] {
        for (at, path) in &posts {
            for kind in [FaultKind::TimeoutBefore, FaultKind::TimeoutAfter] {
                let mut world = new(policy, 13).await;
                world.sandbox.inject(Fault { on: Match::any().nth(*at as u64 + 1), kind: kind.clone() });
                assert!(world.run_until(HOUR, has_met).await, "{kind:?} of {path}: {}", world.story());
                world.run_for(SECOND).await;
                let (parting, message, took) = delete(&mut world).await;
                results.push(left_nothing(&world, policy, parting, took).map_err(|what| {
                    format!("{kind:?} of {path}, {policy:?}: {what} ({took} s: {message})\n{}", world.story())
                }));
            }
        }
    }
    report(results);
}

fn left_nothing(
    world: &World,
    policy: DeletionPolicy,
    parting: Parting,
    took: u64,
) -> Result<(), &'static str> {
    // A registration without an answer may take effect until its time is over, which is that of the deletion.
    let registers = world.sandbox.calls().into_iter().filter(|call| call.path.ends_with("/register"));
    let is_registering = registers.count() > 0 && policy == DeletionPolicy::Deregister;
    if took > if is_registering { 700 } else { 200 } {
        return Err("it took long");
    }
    let Some(number) = world.sandbox.number(DIGITS) else { return Ok(()) };
    let is_live = number.platform_type == "CLOUD_API";
    if number.webhook.callback.is_some() {
        return Err("the override stays");
    }
    if is_live && policy == DeletionPolicy::Deregister {
        return Err("it stays registered");
    }
    // Of a registration that never came nobody knows that it never will.
    if parting == Parting::LeftAtMeta && !(is_registering && !is_live && deregistered(world) == 0) {
        return Err("something was left");
    }
    Ok(())
}

#[tokio::test]
async fn a_number_that_another_account_has_too_is_not_deregistered_unless_somebody_acknowledges_that() {
    for acknowledged in [false, true] {
        let mut world = ready(DeletionPolicy::Deregister, 14).await;
        assert!(world.sandbox.set_field(DIGITS, "also_in", json!([BESIDE])));
        world.cluster.edit(CHANNEL, |desired| desired.deletion.may_deregister_shared = acknowledged);
        let (parting, message, took) = delete(&mut world).await;
        let expected = if acknowledged { Parting::CleanedUp } else { Parting::LeftAtMeta };
        assert_eq!(parting, expected, "{message}");
        assert_eq!(message.contains("DeregisterSharedNumber"), !acknowledged, "{message}");
        assert!(!message.contains("POST"), "{message}");
        assert_eq!((removed(&world), deregistered(&world)), (1, usize::from(acknowledged)));
        assert!(took < 300, "{took}");
    }
    // An account that may not be read may have it.
    let mut world = ready(DeletionPolicy::Deregister, 15).await;
    let envelope =
        json!({"error": {"message": "(#200) Permissions error", "type": "OAuthException", "code": 200}});
    let on = Match { account: Some(BESIDE.into()), ..Match::on("GET", "phone_numbers") };
    world.sandbox.inject(Fault { on, kind: FaultKind::Error { envelope } });
    let (parting, message, _) = delete(&mut world).await;
    assert_eq!((parting, removed(&world), deregistered(&world)), (Parting::LeftAtMeta, 1, 0), "{message}");
    assert!(message.contains("another account has the number too is not known"), "{message}");
    assert!(message.contains("only if nobody does"), "{message}");
}

#[tokio::test]
async fn an_override_that_the_spec_does_not_name_any_more_is_taken_back() {
    type Edit = fn(&mut Desired);
    let edits: [(&str, Edit); 2] = [
        ("removed", |desired| desired.webhook = None),
        ("edited, and not taken", |desired| {
            if let Some(webhook) = &mut desired.webhook {
                webhook.callback_url = "https://gone.example/wa".into();
            }
        }),
    ];
    for (what, edit) in edits {
        let mut world = ready(DeletionPolicy::Unroute, 16).await;
        let switches = Switches { unknown_webhook: EndpointAnswer::Silent, ..world.sandbox.switches() };
        world.sandbox.set_switches(switches);
        world.cluster.edit(CHANNEL, edit);
        world.wake(CHANNEL, SECOND);
        world.run_for(HOUR * 5).await;
        let live = world.sandbox.number(DIGITS).and_then(|number| number.webhook.callback);
        assert!(live.is_some(), "{what}: what is not managed stays while the channel does");
        let (parting, message, took) = delete(&mut world).await;
        assert_eq!(
            (parting, removed(&world)),
            (Parting::CleanedUp, 1),
            "{what}: {message}\n{}",
            world.story()
        );
        assert!(took < 200, "{what}: {took} s");
    }
}
