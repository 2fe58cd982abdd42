//! Crash and lost reply at every call and every status write of the full onboarding.
//!
//! One onboarding without accidents tells how many calls and writes there are; then each
//! is hit in every way, one accident per run, on a Meta whose effects show late. What is
//! counted is what happened at Meta.

use whatsapp_operator::sandbox::{Effect, Fault, FaultKind, Lag, Match, Options, What, World as Meta};

use super::world::*;

/// Effects show up to this late; below every settle time.
const LAG: Lag = Lag::Seeded { max_secs: 50 };

async fn world(seed: u64) -> World {
    let mut world = World::with(Options { seed, lag: LAG, ..options() }, Meta::for_demo()).await;
    world.people.consents = 3;
    world.cluster.apply(channel());
    world
}

/// The words for the effects that must not happen twice.
fn scarce(effects: &[Effect]) -> Vec<&'static str> {
    let word = |effect: &Effect| match effect.what {
        What::NumberAdded { .. } => Some("added"),
        What::CodeVerified { .. } => Some("verified"),
        What::Registered { .. } => Some("registered"),
        _ => None,
    };
    effects.iter().filter_map(word).collect()
}

/// Comes to Ready and rests there, and everything that is scarce happened just once.
async fn converges(mut world: World, accident: &str) -> Result<(), String> {
    let broken = |world: &World, what: &str| Err(format!("{accident}: {what}\n{}", world.story()));
    let is_ready = world.run_until_ready(DAY).await;
    let faults = world.sandbox.faults();
    let has_met = faults.as_array().is_some_and(|all| all.iter().any(|fault| fault["applied"] != 0));
    if !has_met && !world.accident.lock().unwrap().fired {
        return broken(&world, "the accident never happened");
    }
    if !is_ready {
        return broken(&world, "not Ready after a day");
    }
    world.run_for(MINUTE * 25).await;
    if let Err(what) = world.nothing_twice(CHANNEL) {
        return broken(&world, &what);
    }
    if scarce(&world.effects()) != ["added", "verified", "registered"] {
        return broken(&world, "the effects are not those of one onboarding");
    }
    if !world.status().is_ready() {
        return broken(&world, "Ready did not last");
    }
    Ok(())
}

/// Every accident is tried, and all that went wrong is told at once.
fn report(results: Vec<Result<(), String>>) {
    let tried = results.len();
    let broken: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    let first = broken.first().cloned().unwrap_or_default();
    let names: Vec<&str> = broken.iter().filter_map(|b| b.lines().next()).collect();
    assert!(
        broken.is_empty(),
        "{} of {tried} accidents:\n{}\n\nthe first:\n{first}",
        broken.len(),
        names.join("\n")
    );
}

/// The calls of the port and the number of writes of an onboarding without accident.
async fn rehearse(seed: u64) -> (Vec<&'static str>, usize) {
    let mut world = world(seed).await;
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.check_nothing_twice();
    let accident = world.accident.lock().unwrap();
    (accident.calls.clone(), accident.writes)
}

fn is_read(call: &str) -> bool {
    matches!(call, "account" | "numbers" | "subscribed" | "profile")
}

async fn hit_writes(faults: &[WriteFault]) {
    let (_, writes) = rehearse(7).await;
    assert!(writes > 12, "an onboarding writes status {writes} times");
    let mut results = Vec::new();
    for nth in 1..=writes {
        for fault in faults {
            let world = world(7).await;
            world.accident.lock().unwrap().write = Some((nth, *fault));
            results.push(converges(world, &format!("{fault:?} at status write {nth}")).await);
        }
    }
    report(results);
}

#[tokio::test]
async fn a_crash_before_or_after_any_status_write_costs_nothing_twice() {
    hit_writes(&[WriteFault::CrashBefore, WriteFault::CrashAfter]).await;
}

#[tokio::test]
async fn a_conflict_or_a_refusal_at_any_status_write_costs_nothing_twice() {
    hit_writes(&[WriteFault::Conflict, WriteFault::Error]).await;
}

#[tokio::test]
async fn an_unanswered_status_write_costs_nothing_twice_whether_it_landed_or_not() {
    hit_writes(&[WriteFault::TimeoutLanded, WriteFault::TimeoutLost]).await;
}

#[tokio::test]
async fn a_crash_before_or_after_any_call_costs_nothing_twice() {
    let (calls, _) = rehearse(8).await;
    let mut results = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        for fault in [CallFault::CrashBefore, CallFault::CrashAfter] {
            if is_read(call) && fault == CallFault::CrashAfter {
                // Nothing happens between a read and what comes next, which is hit by itself.
                continue;
            }
            let world = world(8).await;
            world.accident.lock().unwrap().call = Some((at + 1, fault));
            results.push(converges(world, &format!("{fault:?} at call {} ({call})", at + 1)).await);
        }
    }
    report(results);
}

/// Every request that reaches Meta, by what an onboarding without accident sent.
async fn requests(seed: u64) -> Vec<(String, String)> {
    let mut world = world(seed).await;
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.sandbox.calls().into_iter().map(|call| (call.method, call.path)).collect()
}

async fn hit_requests(kinds: &[FaultKind], method: &str) {
    let mut results = Vec::new();
    for (at, (_, path)) in requests(9).await.into_iter().enumerate().filter(|(_, (m, _))| m == method) {
        for kind in kinds {
            let world = world(9).await;
            // The client tries a read once more, so that fails too.
            for nth in (at as u64 + 1..).take(if method == "GET" { 2 } else { 1 }) {
                world.sandbox.inject(Fault { on: Match::any().nth(nth), kind: kind.clone() });
            }
            results
                .push(converges(world, &format!("{kind:?} at request {} ({method} {path})", at + 1)).await);
        }
    }
    report(results);
}

#[tokio::test]
async fn a_reply_lost_before_or_after_the_effect_of_any_write_costs_nothing_twice() {
    hit_requests(&[FaultKind::TimeoutBefore, FaultKind::TimeoutAfter], "POST").await;
}

#[tokio::test]
async fn a_server_error_or_a_cut_reply_around_the_effect_of_any_write_costs_nothing_twice() {
    let kinds = [
        FaultKind::Status { code: 503 },
        FaultKind::StatusAfter { code: 500 },
        FaultKind::Html { code: 502 },
        FaultKind::TruncatedBody,
    ];
    hit_requests(&kinds, "POST").await;
}

#[tokio::test]
async fn a_read_that_fails_anywhere_costs_nothing_twice() {
    hit_requests(&[FaultKind::Disconnect, FaultKind::StatusAfter { code: 500 }], "GET").await;
}

/// An effect that comes so late that it shows just before it counts as absent.
fn just_in_time(path: &str) -> u64 {
    let settle = if path.ends_with("/register") {
        600
    } else if path.contains("profile") || path.ends_with("apps") {
        60
    } else {
        120
    };
    settle - 55
}

#[tokio::test]
async fn a_call_that_takes_effect_only_after_its_reply_was_lost_is_not_repeated_meanwhile() {
    let mut results = Vec::new();
    for (at, (_, path)) in requests(9).await.into_iter().enumerate().filter(|(_, (m, _))| m == "POST") {
        let world = world(9).await;
        let kind = FaultKind::DelayedEffect { secs: just_in_time(&path) };
        let accident = format!("{kind:?} at request {} (POST {path})", at + 1);
        world.sandbox.inject(Fault { on: Match::any().nth(at as u64 + 1), kind });
        results.push(converges(world, &accident).await);
    }
    report(results);
}

#[tokio::test]
async fn an_effect_that_shows_just_within_its_time_is_waited_for_and_not_repeated() {
    for (edge, secs) in [("phone_numbers", 115), ("verify_code", 115), ("register", 590)] {
        for lost in [false, true] {
            let world = world(10).await;
            let on = || Match::on("POST", edge).times(1);
            world.sandbox.inject(Fault { on: on(), kind: FaultKind::LateEffect { secs } });
            if lost {
                world.sandbox.inject(Fault { on: on(), kind: FaultKind::TimeoutAfter });
            }
            report(vec![converges(world, &format!("{edge} shows after {secs} s, reply lost: {lost}")).await]);
        }
    }
}
