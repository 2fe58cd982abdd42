//! Crash and lost reply at every call and every status write of the full onboarding.
//!
//! One onboarding without accidents tells how many calls and writes there are; then each
//! is hit in every way, one accident per run, on a Meta whose effects show late. What is
//! counted is what happened at Meta.

use whatsapp_operator::{
    engine::{
        condition::Truth,
        condition_type::ConditionType,
        desired::{AppData, Connection, PinPolicy, ReadyWhen},
        reason::Reason,
    },
    sandbox::{
        CallRecord, Effect, Fault, FaultKind, Lag, Match, Number, Options, ReviewPolicy, Switches, What,
        World as Meta,
    },
};

use super::world::*;

/// Effects show up to this late; below every settle time.
const LAG: Lag = Lag::Seeded { max_secs: 50 };

/// The PIN that the cluster keeps for the number.
const PIN: &str = "482913";
/// Another one, which is written into its Secret.
const CHANGED_PIN: &str = "775533";

/// Which number comes up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// One that was not added yet.
    New,
    /// One that somebody else added, with another live name and a PIN that nobody knows.
    Adopted,
    /// One that is registered and at rest, and is to have another name.
    Renamed,
    /// One that is registered and at rest, and whose PIN is changed in its Secret.
    Repinned,
    /// One that was not added yet, and whose messages are to be stored in a country.
    Stored,
    /// One that this operator registered, at rest, and that is deregistered for another country.
    Moved,
    /// One that was just connected from the WhatsApp Business app, which is asked for what it holds.
    Synced,
}

/// Where messages are to be stored.
const REGION: &str = "BR";

impl Way {
    async fn world(self, seed: u64) -> World {
        let review = ReviewPolicy { min_secs: 60, max_secs: 600, ..ReviewPolicy::without_first_review() };
        let mut meta = Meta::for_demo();
        let mut wanted = channel();
        if self == Self::Adopted {
            let number = Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Antiga");
            meta = meta.with_number(Number { pin: Some("135790".into()), ..number });
            wanted = plain_channel();
            wanted.registration.pin_policy = PinPolicy::Overwrite;
        }
        if self == Self::Stored {
            wanted.registration.storage_region = Some(REGION.into());
        }
        if self == Self::Moved {
            wanted.registration.storage_region = Some("DE".into());
        }
        if matches!(self, Self::Renamed | Self::Repinned) {
            let number = Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Suporte");
            meta = meta.with_number(number.registered(PIN));
            wanted = plain_channel();
        }
        if self == Self::Synced {
            let number = Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Suporte").coexisting();
            meta = meta.with_number(Number { last_onboarded_time: Some(options().start), ..number });
            if let Some(account) = meta.accounts.get_mut(ACCOUNT) {
                account.subscriptions.entry("200000000000009".into()).or_default();
            }
            wanted = plain_channel();
            wanted.connection = Connection::Coexistence;
            wanted.syncs = vec![AppData::Contacts, AppData::History];
        }
        let switches = Switches { pin_on_unregistered: true, ..Switches::default() };
        let mut world = World::with(Options { seed, lag: LAG, review, switches, ..options() }, meta).await;
        world.people.consents = 3;
        if !matches!(self, Self::New | Self::Stored | Self::Moved | Self::Synced) {
            world.cluster.put_secret(&wanted.registration.pin_secret, PIN, false);
        }
        world.cluster.apply(wanted);
        if matches!(self, Self::Renamed | Self::Repinned | Self::Moved) {
            assert!(world.run_until_ready(HOUR).await, "{}", world.story());
            world.run_for(HOUR).await;
            if self == Self::Renamed {
                world.cluster.edit(CHANNEL, |desired| {
                    (desired.display_name, desired.ready_when) =
                        ("Acme Vendas".into(), ReadyWhen::NameApproved);
                });
            } else if self == Self::Moved {
                world.cluster.edit(CHANNEL, |desired| {
                    desired.registration.storage_region = Some(REGION.into());
                    desired.registration.may_move = true;
                });
            } else {
                let key = world.cluster.desired(CHANNEL).registration.pin_secret.clone();
                world.cluster.put_secret(&key, CHANGED_PIN, false);
            }
            world.wake(CHANNEL, SECOND);
            *world.accident.lock().unwrap() = Accident::default();
        }
        world
    }

    fn effects(self) -> &'static [&'static str] {
        match self {
            Self::New => &["added", "verified", "registered"],
            Self::Adopted => &["named", "verified", "registered"],
            Self::Renamed => &["named", "registered"],
            Self::Repinned => &["pinned"],
            Self::Stored => &["added", "verified", "stored", "registered"],
            Self::Moved => {
                &["added", "verified", "stored", "registered", "deregistered", "stored", "registered"]
            }
            Self::Synced => &["contacts", "history"],
        }
    }

    fn pin(self) -> &'static str {
        if self == Self::Repinned { CHANGED_PIN } else { PIN }
    }
}

/// Comes to Ready; where the PIN is the matter a person looks every two hours and asks for one more try. An attempt
/// of unknown outcome on a number of unknown history is followed by a day of rest.
async fn comes_up(way: Way, world: &mut World) -> bool {
    let is_up = |world: &World| {
        let (status, desired) = (world.status(), world.cluster.desired(CHANNEL));
        let synced = status.condition(ConditionType::RegistrationSynced);
        let is_pinned = way != Way::Repinned || synced.is_some_and(|pin| pin.status == Truth::True);
        let stored = world.sandbox.number(DIGITS).and_then(|number| number.storage_region);
        let is_moved = way != Way::Moved || stored.as_deref() == Some(REGION);
        let app = status.condition(ConditionType::AppSynced).map(|app| app.reason);
        let is_synced = matches!(app, Some(Reason::SyncsAsked | Reason::SyncUnanswered));
        status.is_ready()
            && (way != Way::Synced || is_synced)
            && is_pinned
            && is_moved
            && status.before.observed_generation == Some(desired.generation)
    };
    for _ in 0..30 {
        if world.run_until(HOUR * 2, is_up).await {
            return true;
        }
        let synced = world.status().condition(ConditionType::RegistrationSynced).map(|pin| pin.reason);
        let reasons = [world.status().ready_reason(), synced];
        let asking = [Reason::PinMismatch, Reason::PinNotSet, Reason::StorageRegionDiffers];
        if asking.into_iter().any(|reason| reasons.contains(&Some(reason))) {
            world.retry(CHANNEL);
        }
    }
    false
}

/// The words for the effects that must not happen twice.
fn scarce(effects: &[Effect]) -> Vec<&'static str> {
    let word = |effect: &Effect| match effect.what {
        What::NumberAdded { .. } => Some("added"),
        What::CodeVerified { .. } => Some("verified"),
        What::Registered { .. } => Some("registered"),
        What::NameSubmitted { .. } => Some("named"),
        What::PinSet { .. } => Some("pinned"),
        What::StorageSet { .. } => Some("stored"),
        What::Deregistered { .. } => Some("deregistered"),
        What::SyncStarted { ref kind, .. } if kind == "history" => Some("history"),
        What::SyncStarted { .. } => Some("contacts"),
        _ => None,
    };
    effects.iter().filter_map(word).collect()
}

/// Comes to Ready and rests there, and everything that is scarce happened just once.
async fn converges(way: Way, mut world: World, accident: &str) -> Result<(), String> {
    let broken = |world: &World, what: &str| Err(format!("{accident}: {what}\n{}", world.story()));
    let is_ready = comes_up(way, &mut world).await;
    let faults = world.sandbox.faults();
    let has_met = faults.as_array().is_some_and(|all| all.iter().any(|fault| fault["applied"] != 0));
    if !has_met && !world.accident.lock().unwrap().fired {
        return broken(&world, "the accident never happened");
    }
    if !is_ready {
        return broken(&world, "not Ready after two days");
    }
    world.run_for(MINUTE * 25).await;
    if let Err(what) = world.nothing_twice(CHANNEL) {
        return broken(&world, &what);
    }
    let mut effects = scarce(&world.effects());
    match way {
        // One that no answer came for is sent again when a person asks, and then twice at most; a region by itself.
        Way::Repinned => effects.dedup(),
        Way::Stored | Way::Moved => {
            let is_again = |one: &mut &str, before: &mut &str| *one == "stored" && one == before;
            effects.dedup_by(is_again);
        }
        // What no answer came for counts as asked for, so one may be missing.
        Way::Synced => {
            let is_sync = |call: &CallRecord| call.path.ends_with("/smb_app_data");
            let sent = world.sandbox.calls().iter().filter(|call| is_sync(call)).count();
            effects.dedup();
            let is_once = world.count(|what| matches!(what, What::SyncStarted { .. })) == effects.len();
            if sent > 2 || !is_once || effects.is_empty() {
                return broken(&world, "it was not asked for just once");
            }
            return Ok(());
        }
        Way::New | Way::Adopted | Way::Renamed => effects.retain(|effect| *effect != "pinned"),
    }
    if effects != way.effects() || world.count(|what| matches!(what, What::PinSet { .. })) > 2 {
        return broken(&world, "the effects are not those of one onboarding");
    }
    if world.sandbox.number(DIGITS).and_then(|number| number.pin).as_deref() != Some(way.pin()) {
        return broken(&world, "the PIN is not the one that is kept");
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
async fn rehearse(way: Way, seed: u64) -> (Vec<&'static str>, usize) {
    let mut world = way.world(seed).await;
    assert!(comes_up(way, &mut world).await, "{}", world.story());
    world.check_nothing_twice();
    let accident = world.accident.lock().unwrap();
    (accident.calls.clone(), accident.writes)
}

fn is_read(call: &str) -> bool {
    matches!(call, "account" | "numbers" | "subscribed" | "profile")
}

async fn hit_writes(way: Way, faults: &[WriteFault]) {
    let (_, writes) = rehearse(way, 7).await;
    assert!(writes > 1, "it writes status {writes} times");
    let mut results = Vec::new();
    for nth in 1..=writes {
        for fault in faults {
            let world = way.world(7).await;
            world.accident.lock().unwrap().write = Some((nth, *fault));
            results.push(converges(way, world, &format!("{fault:?} at status write {nth}")).await);
        }
    }
    report(results);
}

#[tokio::test]
async fn a_crash_before_or_after_any_status_write_costs_nothing_twice() {
    hit_writes(Way::New, &[WriteFault::CrashBefore, WriteFault::CrashAfter]).await;
}

#[tokio::test]
async fn a_conflict_or_a_refusal_at_any_status_write_costs_nothing_twice() {
    hit_writes(Way::New, &[WriteFault::Conflict, WriteFault::Error]).await;
}

#[tokio::test]
async fn an_unanswered_status_write_costs_nothing_twice_whether_it_landed_or_not() {
    hit_writes(Way::New, &[WriteFault::TimeoutLanded, WriteFault::TimeoutLost]).await;
}

async fn hit_calls(way: Way) {
    let (calls, _) = rehearse(way, 8).await;
    let mut results = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        for fault in [CallFault::CrashBefore, CallFault::CrashAfter] {
            if is_read(call) && fault == CallFault::CrashAfter {
                // Nothing happens between a read and what comes next, which is hit by itself.
                continue;
            }
            let world = way.world(8).await;
            world.accident.lock().unwrap().call = Some((at + 1, fault));
            results.push(converges(way, world, &format!("{fault:?} at call {} ({call})", at + 1)).await);
        }
    }
    report(results);
}

#[tokio::test]
async fn a_crash_before_or_after_any_call_costs_nothing_twice() {
    hit_calls(Way::New).await;
}

/// Every request that reaches Meta, by what an onboarding without accident sent.
async fn requests(way: Way, seed: u64) -> Vec<(String, String)> {
    let mut world = way.world(seed).await;
    let before = world.sandbox.calls().len();
    assert!(comes_up(way, &mut world).await, "{}", world.story());
    world.sandbox.calls().into_iter().skip(before).map(|call| (call.method, call.path)).collect()
}

async fn hit_requests(way: Way, kinds: &[FaultKind], method: &str) {
    let mut results = Vec::new();
    for (at, (_, path)) in requests(way, 9).await.into_iter().enumerate().filter(|(_, (m, _))| m == method) {
        for kind in kinds {
            let world = way.world(9).await;
            // The client tries a read once more, so that fails too.
            for nth in (at as u64 + 1..).take(if method == "GET" { 2 } else { 1 }) {
                world.sandbox.inject(Fault { on: Match::any().nth(nth), kind: kind.clone() });
            }
            results.push(
                converges(way, world, &format!("{kind:?} at request {} ({method} {path})", at + 1)).await,
            );
        }
    }
    report(results);
}

#[tokio::test]
async fn a_reply_lost_before_or_after_the_effect_of_any_write_costs_nothing_twice() {
    hit_requests(Way::New, &[FaultKind::TimeoutBefore, FaultKind::TimeoutAfter], "POST").await;
}

#[tokio::test]
async fn a_server_error_or_a_cut_reply_around_the_effect_of_any_write_costs_nothing_twice() {
    let kinds = [
        FaultKind::Status { code: 503 },
        FaultKind::StatusAfter { code: 500 },
        FaultKind::Html { code: 502 },
        FaultKind::TruncatedBody,
    ];
    hit_requests(Way::New, &kinds, "POST").await;
}

#[tokio::test]
async fn a_read_that_fails_anywhere_costs_nothing_twice() {
    hit_requests(Way::New, &[FaultKind::Disconnect, FaultKind::StatusAfter { code: 500 }], "GET").await;
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

async fn hit_requests_late(way: Way) {
    let mut results = Vec::new();
    for (at, (_, path)) in requests(way, 9).await.into_iter().enumerate().filter(|(_, (m, _))| m == "POST") {
        let world = way.world(9).await;
        let kind = FaultKind::DelayedEffect { secs: just_in_time(&path) };
        let accident = format!("{kind:?} at request {} (POST {path})", at + 1);
        world.sandbox.inject(Fault { on: Match::any().nth(at as u64 + 1), kind });
        results.push(converges(way, world, &accident).await);
    }
    report(results);
}

#[tokio::test]
async fn a_call_that_takes_effect_only_after_its_reply_was_lost_is_not_repeated_meanwhile() {
    hit_requests_late(Way::New).await;
}

#[tokio::test]
async fn an_adopted_number_gets_its_name_and_its_pin_once_whatever_happens_to_a_status_write() {
    hit_writes(Way::Adopted, &[WriteFault::CrashBefore, WriteFault::CrashAfter, WriteFault::TimeoutLanded])
        .await;
}

#[tokio::test]
async fn an_adopted_number_gets_its_name_and_its_pin_once_although_the_process_dies_at_any_call() {
    hit_calls(Way::Adopted).await;
}

#[tokio::test]
async fn an_adopted_number_gets_its_name_and_its_pin_once_although_any_reply_is_lost() {
    let kinds = [FaultKind::TimeoutBefore, FaultKind::TimeoutAfter, FaultKind::Status { code: 503 }];
    hit_requests(Way::Adopted, &kinds, "POST").await;
    hit_requests_late(Way::Adopted).await;
}

#[tokio::test]
async fn an_effect_that_shows_just_within_its_time_is_waited_for_and_not_repeated() {
    for (edge, secs) in [("phone_numbers", 115), ("verify_code", 115), ("register", 590)] {
        for lost in [false, true] {
            let world = Way::New.world(10).await;
            let on = || Match::on("POST", edge).times(1);
            world.sandbox.inject(Fault { on: on(), kind: FaultKind::LateEffect { secs } });
            if lost {
                world.sandbox.inject(Fault { on: on(), kind: FaultKind::TimeoutAfter });
            }
            report(vec![
                converges(Way::New, world, &format!("{edge} shows after {secs} s, reply lost: {lost}")).await,
            ]);
        }
    }
}

#[tokio::test]
async fn a_rename_costs_one_review_and_one_registration_whatever_happens_to_a_status_write() {
    use WriteFault::{Conflict, CrashAfter, CrashBefore, Error, TimeoutLanded, TimeoutLost};
    hit_writes(Way::Renamed, &[CrashBefore, CrashAfter, Conflict, Error, TimeoutLanded, TimeoutLost]).await;
}

#[tokio::test]
async fn a_rename_costs_one_review_and_one_registration_although_the_process_dies_at_any_call() {
    hit_calls(Way::Renamed).await;
}

#[tokio::test]
async fn a_rename_costs_one_review_and_one_registration_although_any_reply_is_lost() {
    let kinds = [FaultKind::TimeoutBefore, FaultKind::TimeoutAfter, FaultKind::Status { code: 503 }];
    hit_requests(Way::Renamed, &kinds, "POST").await;
    hit_requests_late(Way::Renamed).await;
}

#[tokio::test]
async fn a_changed_pin_is_set_once_whatever_happens_to_a_status_write_or_a_call() {
    use WriteFault::{Conflict, CrashAfter, CrashBefore, Error, TimeoutLanded, TimeoutLost};
    hit_writes(Way::Repinned, &[CrashBefore, CrashAfter, Conflict, Error, TimeoutLanded, TimeoutLost]).await;
    hit_calls(Way::Repinned).await;
}

#[tokio::test]
async fn a_changed_pin_whose_answer_is_lost_is_sent_again_only_when_a_person_asks() {
    let kinds = [FaultKind::TimeoutBefore, FaultKind::TimeoutAfter, FaultKind::Status { code: 503 }];
    hit_requests(Way::Repinned, &kinds, "POST").await;
    hit_requests_late(Way::Repinned).await;
}

#[tokio::test]
async fn a_storage_region_is_set_before_the_registration_whatever_happens() {
    use WriteFault::{CrashAfter, CrashBefore, TimeoutLanded};
    hit_writes(Way::Stored, &[CrashBefore, CrashAfter, TimeoutLanded]).await;
    hit_calls(Way::Stored).await;
    let kinds = [FaultKind::TimeoutBefore, FaultKind::TimeoutAfter, FaultKind::Status { code: 503 }];
    hit_requests(Way::Stored, &kinds, "POST").await;
    hit_requests_late(Way::Stored).await;
}

#[tokio::test]
async fn a_number_that_is_deregistered_for_its_region_comes_back_whatever_happens_to_a_write_or_a_call() {
    use WriteFault::{Conflict, CrashAfter, CrashBefore, Error, TimeoutLanded, TimeoutLost};
    hit_writes(Way::Moved, &[CrashBefore, CrashAfter, Conflict, Error, TimeoutLanded, TimeoutLost]).await;
    hit_calls(Way::Moved).await;
}

#[tokio::test]
async fn a_number_that_is_deregistered_for_its_region_comes_back_although_any_reply_is_lost() {
    let kinds = [FaultKind::TimeoutBefore, FaultKind::TimeoutAfter, FaultKind::Status { code: 503 }];
    hit_requests(Way::Moved, &kinds, "POST").await;
    hit_requests_late(Way::Moved).await;
}

#[tokio::test]
async fn the_app_is_asked_once_for_what_it_holds_whatever_happens_to_a_status_write_or_a_call() {
    use WriteFault::{Conflict, CrashAfter, CrashBefore, Error, TimeoutLanded, TimeoutLost};
    hit_writes(Way::Synced, &[CrashBefore, CrashAfter, Conflict, Error, TimeoutLanded, TimeoutLost]).await;
    hit_calls(Way::Synced).await;
}

#[tokio::test]
async fn the_app_is_asked_once_for_what_it_holds_although_any_reply_is_lost() {
    let kinds = [FaultKind::TimeoutBefore, FaultKind::TimeoutAfter, FaultKind::Status { code: 503 }];
    hit_requests(Way::Synced, &kinds, "POST").await;
    hit_requests_late(Way::Synced).await;
}
