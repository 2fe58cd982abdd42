//! What the app holds is asked for once in an onboarding, while Meta takes it, and never holds anything else up.

use std::time::Duration;

use super::*;
use crate::engine::{
    assess::{Given, assess},
    value::desired::AppData,
};

/// Connected from the app some time before now; Meta tells of it.
fn connected(before: Duration) -> World {
    let world = world().adopted().registered();
    let at = crate::engine::value::time::earlier(world.now, before);
    let both = vec![AppData::Contacts, AppData::History];
    world.desire(|d| (d.connection, d.syncs) = (Connection::Coexistence, both)).number(|n| {
        n.is_on_biz_app = Field::Is(true);
        n.onboarded = Field::Is(at);
    })
}

/// The kind that is asked for, or what holds it up.
fn said(world: &World) -> String {
    let plan = world.plan();
    assert_eq!(plan.block, None, "it holds nothing up");
    let block = plan.aside.iter().find(|(on, _)| *on == ConditionType::AppSynced);
    match (plan.step.map(|planned| planned.step), block) {
        (Some(Step::StartSync { sync, .. }), _) => sync.as_str().into(),
        (Some(step), _) => step.kind().as_str().into(),
        (None, Some((_, block))) => block.reason.as_str().into(),
        (None, None) => "Rest".into(),
    }
}

#[track_caller]
fn says(what: &str, world: &World, expected: &str) {
    assert_eq!(said(world), expected, "{what}: {:#?}", world.plan());
}

fn ask(world: World, result: Result<Accepted, Failure>) -> World {
    world.act(StepKind::StartSync, result).after(MINUTE)
}

/// Reason and message of the condition.
fn condition(world: &World) -> (Reason, String) {
    let (plan, mut memory) = (world.plan(), world.memory.clone());
    let World { desired, observed, before, limits, now, .. } = world;
    let given = Given { desired, observed, plan: &plan, outcome: None, before, limits, now: *now };
    let shown = assess(&given, &mut memory);
    let condition = shown.conditions.get(ConditionType::AppSynced).expect("it is told").clone();
    let ready = shown.conditions.get(ConditionType::Ready).expect("it is told");
    assert_eq!(ready.status, crate::engine::value::condition::Truth::True, "it never holds up Ready");
    (condition.reason, condition.message)
}

#[test]
fn each_kind_is_asked_for_once_within_a_day_of_the_onboarding() {
    let new = || connected(HOUR);
    says("both", &new(), "smb_app_state_sync");
    says("the second", &ask(new(), accepted()), "history");
    says("done", &ask(ask(new(), accepted()), accepted()), "Rest");
    says("later", &ask(ask(new(), accepted()), accepted()).after(24 * HOUR), "Rest");
    says("one only", &new().desire(|d| d.syncs = vec![AppData::History]), "history");
    says("none", &new().desire(|d| d.syncs.clear()), "Rest");
    says("in time", &connected(23 * HOUR), "smb_app_state_sync");
    says("too late", &connected(24 * HOUR), Reason::SyncTooLate.as_str());
    says("half of it is too late", &ask(new(), accepted()).after(24 * HOUR), Reason::SyncTooLate.as_str());
    says("observed only", &new().desire(|d| d.management = Management::ObserveOnly), "Rest");
    says(
        "it may not be in the app",
        &new().number(|n| n.is_on_biz_app = Field::Absent),
        Reason::ObservationIncomplete.as_str(),
    );
    assert_eq!(new().desire(|d| d.suspend = true).says(), Reason::Suspended.as_str());
    let why = new().plan().step.expect("a step").why;
    assert!(why.contains("Meta takes that until"), "{why}");
}

#[test]
fn what_nobody_answered_counts_as_asked_for() {
    let new = || connected(HOUR);
    let lost = ask(new(), no_answer());
    says("no answer", &lost, "history");
    says("no answer, and a person asks", &lost.desire(retry("1")), "history");
    let died = new().die(StepKind::StartSync).after(HOUR).pass();
    says("the process died", &died, "history");
    says("Meta was busy with it", &ask(new(), refused(2, None, Class::Retry)), "history");
    says(
        "throttled, and tried again",
        &ask(new(), Err(Failure::NotSent(String::new()))).after(HOUR),
        "smb_app_state_sync",
    );
    let both = ask(ask(new(), no_answer()), accepted());
    let (reason, message) = condition(&both);
    assert_eq!(reason, Reason::SyncUnanswered);
    assert!(message.contains("the contacts of the WhatsApp Business app were asked for at"), "{message}");
}

#[test]
fn what_meta_refuses_is_asked_for_again_by_a_person_alone_and_what_it_has_counts() {
    let new = || connected(HOUR);
    let after = |code, class| ask(ask(new(), refused(code, None, class)), accepted());
    says("not registered", &after(133_010, Class::WaitUntil), Reason::SyncRefused.as_str());
    says("a person asks", &after(133_010, Class::WaitUntil).desire(retry("1")), "smb_app_state_sync");
    says("asked for before", &after(2_593_107, Class::AlreadyDone), "Rest");
    says(
        "refused, and then too late",
        &after(100, Class::Spec).after(24 * HOUR),
        Reason::SyncTooLate.as_str(),
    );
    let late = ask(new(), refused(2_593_108, None, Class::Spec));
    says("Meta says that it is too late", &late, Reason::SyncTooLate.as_str());
    says("and a person asks", &late.desire(retry("1")), Reason::SyncTooLate.as_str());
}

#[test]
fn another_onboarding_has_a_day_of_its_own() {
    let done = || ask(ask(connected(HOUR), accepted()), accepted()).after(10 * 24 * HOUR);
    let onboarded = |world: World, before: Duration| {
        let at = crate::engine::value::time::earlier(world.now, before);
        world.number(|n| n.onboarded = Field::Is(at))
    };
    says("the same", &done(), "Rest");
    says("another", &onboarded(done(), MINUTE), "smb_app_state_sync");
    let too_late = connected(48 * HOUR);
    says("too late", &too_late, Reason::SyncTooLate.as_str());
    says("connected again", &onboarded(too_late, MINUTE), "smb_app_state_sync");
    let lost = ask(ask(connected(Duration::ZERO), no_answer()), no_answer());
    let shifted = lost.number(|n| n.onboarded = Field::Is(world_now(2)));
    says("clocks differ", &shifted, "Rest");
}

#[test]
fn where_meta_does_not_tell_of_the_onboarding_the_day_begins_when_it_was_first_seen_connected() {
    let untold = |field: fn() -> Field<jiff::Timestamp>| connected(HOUR).number(|n| n.onboarded = field());
    for field in [|| Field::Absent, || Field::Refused] {
        says("first seen", &untold(field), "smb_app_state_sync");
        says("later", &untold(field).pass().after(25 * HOUR), Reason::SyncTooLate.as_str());
        let done = ask(ask(untold(field), accepted()), accepted());
        let told = done.number(|n| n.onboarded = Field::Is(world_now(0)));
        says("Meta tells of it afterwards", &told, "Rest");
    }
}

#[test]
fn it_is_asked_for_once_the_webhook_is_where_the_data_should_go() {
    let new = || connected(HOUR).webhook();
    says("not routed", &new(), StepKind::RouteWebhook.as_str());
    says(
        "not subscribed",
        &new().see(|o| o.subscribed = Fact::Known(false)),
        StepKind::SubscribeApp.as_str(),
    );
    let held = || new().see(|o| o.verify_token = SecretFact::Missing);
    says("held up", &held(), Reason::SyncAwaitsWebhook.as_str());
    let until =
        held().plan().aside.iter().find_map(|(on, b)| b.until.filter(|_| *on == ConditionType::AppSynced));
    assert_eq!(until, Some(later(held().now, 23 * HOUR)), "the deadline is told");
    says("held up for too long", &held().after(23 * HOUR), Reason::SyncTooLate.as_str());
    let routed = new().number(|n| {
        n.webhook = crate::engine::fixture::routed_to(Some(&crate::engine::fixture::webhook().callback_url));
    });
    says("routed", &routed, "smb_app_state_sync");
}

#[test]
fn what_came_of_it_is_told_and_never_holds_up_ready() {
    let done = ask(ask(connected(HOUR), accepted()), accepted());
    assert_eq!(condition(&done).0, Reason::SyncsAsked);
    let (reason, message) = condition(&connected(25 * HOUR));
    assert_eq!(reason, Reason::SyncTooLate);
    for part in
        ["the contacts and the history", "Meta takes that until", "disconnect the number", "spec.coexistence"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    let mut next = connected(25 * HOUR).plan();
    next.aside.retain(|(on, _)| *on == ConditionType::AppSynced);
    assert_eq!(next.date, None, "nothing is due, so nothing is read for it");
}
