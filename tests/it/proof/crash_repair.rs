//! Crash and lost reply at every call and every status write of a repair: what somebody else changed is written once, and our
//! own accidents are never taken for somebody who goes on changing it.

use whatsapp_operator::{
    engine::reason::Reason,
    sandbox::{Account, Fault, FaultKind, Lag, Match, Options, Profile, Rival, What, World as Meta},
};

use super::world::*;

/// Effects show up to this late; below every settle time.
const LAG: Lag = Lag::Seeded { max_secs: 50 };
const THEIRS: &str = "https://elsewhere.example/wa";
const FIELDS: [&str; 3] = ["profile", "webhook", "subscription"];

/// At rest with everything managed, and then somebody changes the profile and the webhook, and unsubscribes our app.
async fn changed(seed: u64) -> World {
    let mut world = World::with(Options { seed, lag: LAG, ..options() }, Meta::for_demo()).await;
    world.cluster.apply(channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(MINUTE * 20).await;
    somebody_changes(&world);
    world.sandbox.add_account(Account::new(ACCOUNT, BUSINESS, "Acme"));
    *world.accident.lock().unwrap() = Accident::default();
    world
}

/// Once, before anybody looks.
fn somebody_changes(world: &World) {
    let profile = Profile { about: Some("Closed for ever".into()), ..Profile::default() };
    let (profile, callback) = (Some(profile), Some(THEIRS.into()));
    let rival = Rival { profile, callback, after_secs: 1, times: Some(1), ..Rival::default() };
    world.sandbox.set_rival(DIGITS, Some(rival));
    for _ in 0..3 {
        world.sandbox.advance(SECOND);
    }
}

/// How often each field was written.
fn written(world: &World) -> [usize; 3] {
    [
        world.count(|what| matches!(what, What::ProfileWritten { .. })),
        world.count(|what| matches!(what, What::Overridden { .. })),
        world.count(|what| matches!(what, What::Subscribed { .. })),
    ]
}

/// Everything at Meta is as the spec asks, and status says so.
fn is_mended(world: &World) -> bool {
    let number = world.sandbox.number(DIGITS).expect("it is there");
    let is_there = number.profile.about.as_deref() == Some("We answer")
        && number.webhook.callback.as_deref() == Some("https://bot.acme.example/wa");
    let status = world.status();
    is_there && status.is_ready() && status.before.drift.is_empty() && status.memory.in_flight.is_none()
}

fn is_contended(world: &World, since: usize) -> bool {
    let written = world.cluster.written().split_off(since);
    let mut conditions = written.iter().flat_map(|written| &written.status.conditions);
    conditions.any(|condition| condition.reason == Reason::ContendedBy.as_str())
}

/// Each field is written once for this change, and once for each of two more within the hour. A repair may be repeated, so none
/// is announced in status before it is sent; where we die before it is told, the same value may be written once more.
async fn mends(mut world: World, before: [usize; 3], may_repeat: bool, accident: &str) -> Result<(), String> {
    let broken = |world: &World, what: String| Err(format!("{accident}: {what}\n{}", world.story()));
    let since = world.cluster.written_count();
    let mut wanted = before.map(|count| count + 1);
    for round in 1..=3 {
        let is_done = |world: &World| {
            let more: usize = written(world).iter().zip(wanted).map(|(did, least)| did.abs_diff(least)).sum();
            let is_all = written(world).iter().zip(wanted).all(|(did, least)| *did >= least);
            is_all && more <= usize::from(may_repeat && round == 1) && is_mended(world)
        };
        if !world.run_until(HOUR * 3, is_done).await {
            let did: Vec<_> = FIELDS.into_iter().zip(written(&world)).zip(wanted).collect();
            return broken(&world, format!("change {round} is not mended: {did:?}"));
        }
        if round == 1 {
            let faults = world.sandbox.faults();
            let has_met = faults.as_array().is_some_and(|all| all.iter().any(|fault| fault["applied"] != 0));
            if !has_met && !world.accident.lock().unwrap().fired {
                return broken(&world, "the accident never happened".into());
            }
        }
        // Whatever is still on its way shows by then.
        world.run_for(MINUTE * 6).await;
        if !is_done(&world) {
            return broken(&world, format!("change {round} is written again: {:?}", written(&world)));
        }
        wanted = written(&world);
        if round < 3 {
            somebody_changes(&world);
            (wanted[0], wanted[1]) = (wanted[0] + 1, wanted[1] + 1);
        }
    }
    match is_contended(&world, since) {
        true => broken(&world, "we contend with ourselves".into()),
        false => Ok(()),
    }
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

/// Calls of the port, writes of status and requests of a repair without accident.
async fn rehearse(seed: u64) -> (Vec<&'static str>, usize, Vec<(String, String)>) {
    let mut world = changed(seed).await;
    let (requests, before) = (world.sandbox.calls().len(), written(&world));
    let wanted = before.map(|count| count + 1);
    let is_done = |world: &World| written(world) == wanted && is_mended(world);
    assert!(!is_mended(&world) && world.run_until(HOUR, is_done).await, "{}", world.story());
    let made = world.sandbox.calls().split_off(requests);
    let accident = world.accident.lock().unwrap();
    let requests = made.into_iter().map(|call| (call.method, call.path)).collect();
    (accident.calls.clone(), accident.writes, requests)
}

#[tokio::test]
async fn a_repair_is_written_once_whatever_happens_to_a_status_write() {
    use WriteFault::{Conflict, CrashAfter, CrashBefore, Error, TimeoutLanded, TimeoutLost};
    let (_, writes, _) = rehearse(5).await;
    assert!(writes >= 6, "three repairs write status {writes} times");
    let mut results = Vec::new();
    for nth in 1..=writes {
        for fault in [CrashBefore, CrashAfter, Conflict, Error, TimeoutLanded, TimeoutLost] {
            let world = changed(5).await;
            let before = written(&world);
            world.accident.lock().unwrap().write = Some((nth, fault));
            let may_repeat = matches!(fault, CrashBefore | Error);
            let accident = format!("{fault:?} at status write {nth}");
            results.push(mends(world, before, may_repeat, &accident).await);
        }
    }
    report(results);
}

#[tokio::test]
async fn a_repair_is_written_once_although_the_process_dies_at_any_call() {
    let (calls, ..) = rehearse(6).await;
    let mut results = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        for fault in [CallFault::CrashBefore, CallFault::CrashAfter] {
            let world = changed(6).await;
            let before = written(&world);
            world.accident.lock().unwrap().call = Some((at + 1, fault));
            let accident = format!("{fault:?} at call {} ({call})", at + 1);
            results.push(mends(world, before, fault == CallFault::CrashAfter, &accident).await);
        }
    }
    report(results);
}

#[tokio::test]
async fn a_repair_is_written_once_although_any_reply_is_lost_or_its_effect_is_late() {
    let (.., requests) = rehearse(7).await;
    let kinds = [
        FaultKind::TimeoutBefore,
        FaultKind::TimeoutAfter,
        FaultKind::Status { code: 503 },
        FaultKind::StatusAfter { code: 500 },
        FaultKind::TruncatedBody,
        FaultKind::DelayedEffect { secs: 5 },
    ];
    let mut results = Vec::new();
    for (at, (method, path)) in requests.into_iter().enumerate() {
        for kind in &kinds {
            if method == "GET" && *kind == (FaultKind::DelayedEffect { secs: 5 }) {
                continue;
            }
            let world = changed(7).await;
            let before = written(&world);
            // The client tries a read once more, so that fails too.
            for nth in (at as u64 + 1..).take(if method == "GET" { 2 } else { 1 }) {
                world.sandbox.inject(Fault { on: Match::any().nth(nth), kind: kind.clone() });
            }
            let accident = format!("{kind:?} at request {} ({method} {path})", at + 1);
            results.push(mends(world, before, false, &accident).await);
        }
    }
    report(results);
}
