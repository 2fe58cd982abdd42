//! What the app holds is asked for once in an onboarding, while Meta takes it, and never holds anything else up.

use std::time::Duration;

use super::*;
use crate::engine::{
    assess::{Given, assess},
    value::{desired::AppData, observed::OtherApp},
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
    let found = |field: fn() -> Field<jiff::Timestamp>| connected(HOUR).number(|n| n.onboarded = field());
    // A look before, in which it was not connected.
    let looked = |world: World, ago: Duration| {
        let at = earlier(world.now, ago);
        world.see(|o| o.process.looked_before = Some(at))
    };
    for field in [|| Field::Absent, || Field::Refused] {
        let seen = || looked(found(field), 10 * MINUTE);
        says("seen to be connected", &seen(), "smb_app_state_sync");
        let kept = seen().pass().see(|o| o.process.looked_before = None).after(HOUR);
        says("and the process was restarted", &kept, "smb_app_state_sync");
        says("later", &seen().pass().after(25 * HOUR), Reason::SyncTooLate.as_str());
        let done = ask(ask(seen(), accepted()), accepted());
        let told = done.number(|n| n.onboarded = Field::Is(world_now(0)));
        says("Meta tells of it afterwards", &told, "Rest");
    }
}

#[test]
fn after_the_loss_of_a_cluster_nothing_is_asked_for_unless_the_onboarding_is_known_to_be_of_today() {
    let untold = || connected(HOUR).number(|n| n.onboarded = Field::Absent);
    let unknown = Reason::SyncOnboardingUnknown.as_str();
    says("Meta tells that it was an hour ago", &connected(HOUR), "smb_app_state_sync");
    says("Meta tells that it was a month ago", &connected(30 * 24 * HOUR), Reason::SyncTooLate.as_str());
    says("found connected", &untold(), unknown);
    says("found connected, an hour later", &untold().pass().after(HOUR), unknown);
    let after_days = untold().see(|o| o.process.looked_before = Some(earlier(o.begun, 25 * HOUR)));
    says("not looked at for a day", &after_days, unknown);
    let next = untold().pass().after(MINUTE).see(|o| o.process.looked_before = Some(o.begun));
    says("the looks after the first prove nothing", &next, unknown);
    says("a day later", &untold().pass().after(25 * HOUR), Reason::SyncTooLate.as_str());
    let asked = ask(untold().desire(retry("1")), accepted());
    says("a person asks", &untold().desire(retry("1")), "smb_app_state_sync");
    says("one word is one sync", &asked, unknown);
    says("and asks again", &asked.clone().desire(retry("2")), "history");
    assert_eq!(ask(asked.desire(retry("2")), accepted()).says(), "Rest");
    let (reason, message) = condition(&untold());
    assert_eq!(reason, Reason::SyncOnboardingUnknown);
    assert!(
        message.contains("kubectl whatsapp retry support-br") && message.contains("first saw it"),
        "{message}"
    );
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

#[test]
fn without_a_webhook_of_the_spec_it_is_asked_for_only_where_an_app_is_subscribed() {
    let new = || connected(HOUR);
    let apps = |subscribed: Fact<bool>, other: Option<&str>| {
        let other = other.map(|name| OtherApp { id: "200000000000009".into(), name: Some(name.into()) });
        new().see(|o| (o.subscribed, o.other_apps) = (subscribed, other.into_iter().collect()))
    };
    let failed = |failure| apps(Fact::Unknown(failure), None);
    let forbidden = Failure::Refused(refusal_of(200, None, Class::Person));
    let passing = |code, class| Failure::Refused(refusal_of(code, None, class));
    let waits = Reason::SyncAwaitsWebhook.as_str();
    for (what, world, expected) in [
        ("ours", apps(Fact::Known(true), None), "smb_app_state_sync"),
        ("another", apps(Fact::Known(false), Some("Acme CRM")), "smb_app_state_sync"),
        ("none", apps(Fact::Known(false), None), waits),
        ("Meta's own alone", apps(Fact::Known(false), Some("WA DevX Webhook Events 1P App")), waits),
        ("not read yet", apps(Fact::NotAsked, None), Reason::NotObservedYet.as_str()),
        ("no answer", failed(Failure::NoAnswer("timed out".into())), Reason::MetaUnavailable.as_str()),
        ("a failure of Meta's own", failed(passing(2, Class::Retry)), Reason::MetaUnavailable.as_str()),
        ("the credential", failed(passing(190, Class::Credentials)), Reason::TokenInvalid.as_str()),
        ("not shown", failed(forbidden.clone()), "smb_app_state_sync"),
        ("none, too late", apps(Fact::Known(false), None).after(23 * HOUR), Reason::SyncTooLate.as_str()),
    ] {
        says(what, &world, expected);
    }
    let why = failed(forbidden).plan().step.expect("a step").why;
    assert!(why.contains("perhaps nobody gets them") && why.contains("takes that until"), "{why}");
    for held in [apps(Fact::Known(false), None), failed(Failure::NoAnswer("timed out".into()))] {
        let (_, block) = held.plan().aside.remove(0);
        assert_eq!(block.until, Some(later(held.now, 23 * HOUR)), "the deadline is told");
        assert!(block.message.contains("takes that until"), "{}", block.message);
    }
}

#[test]
fn the_subscribed_apps_are_read_until_everything_was_asked_for_or_it_is_too_late() {
    let reads = |world: &World| world.clone().assess().look().subscription.is_some();
    let new = || connected(HOUR);
    let done = || ask(ask(new(), accepted()), accepted());
    assert!(new().look().subscription.is_some() && reads(&new()));
    assert!(reads(&ask(new(), refused(133_010, None, Class::WaitUntil))));
    assert!(!reads(&done()) && !reads(&ask(ask(new(), no_answer()), accepted())));
    assert!(!reads(&connected(25 * HOUR)));
    assert!(!reads(&new().desire(|d| d.syncs.clear())), "who asks for nothing reads nothing");
    assert!(!reads(&new().desire(|d| d.management = Management::ObserveOnly)));
    // Connected again: a look finds out about it, and the next one reads them.
    let again = done().assess().after(48 * HOUR).see(|o| o.subscribed = Fact::NotAsked);
    let at = again.now;
    let again = again.number(|n| n.onboarded = Field::Is(at));
    says("again", &again, Reason::NotObservedYet.as_str());
    assert!(again.assess().look().subscription.is_some());
}

#[test]
fn a_webhook_that_meta_does_not_show_holds_nothing_up() {
    let hidden = |world: World| world.number(|n| n.webhook = Field::Refused);
    let written = hidden(connected(HOUR).webhook()).act(StepKind::RouteWebhook, accepted()).after(HOUR);
    says("written once, and not shown", &written, "smb_app_state_sync");
    let (_, block) = written.plan().aside.remove(0);
    assert_eq!(block.reason, Reason::WebhookNotReadable);
    let refused =
        hidden(connected(HOUR).webhook()).act(StepKind::RouteWebhook, refused(2200, None, Class::Person));
    says("refused, and not shown", &refused.after(MINUTE), Reason::SyncAwaitsWebhook.as_str());
}
