//! One retry is one act: of what is meant for it, never of what goes on by itself, and an outage comes last.

use super::*;
use crate::engine::value::{
    desired::{self, DriftPolicy, PictureSource},
    observed::Username,
    picture::{PictureFact, PictureRead},
};

/// A number that this object registered with region BR, for which DE was tried without effect.
fn held_region(world: World) -> World {
    let region =
        |region: &'static str| move |d: &mut Desired| d.registration.storage_region = Some(region.into());
    let set = world.own().verified().desire(region("BR")).act(StepKind::SetStorage, accepted());
    let held = set.act(StepKind::Register, accepted()).registered().after(HOUR).pass();
    let consented = held.after(4 * 24 * HOUR).desire(region("DE")).desire(|d| d.registration.may_move = true);
    consented.act(StepKind::Deregister, no_answer()).after(HOUR).pass()
}

/// The wanted username is somebody else's, as Meta said.
fn refused_username(world: World) -> World {
    let wanted = desired::Username { name: "acme.br".into(), may_transfer: false };
    let world =
        world.desire(|d| d.username = Some(wanted)).see(|o| o.username = Fact::Known(Username::default()));
    world.act(StepKind::ClaimUsername, refused(147_001, None, Class::Spec)).after(MINUTE)
}

/// Somebody changed a text, and that is only told.
fn told_profile(world: World) -> World {
    let world = world.desire(|d| d.profile.about = Some("We answer".into()));
    let as_desired = Profile { about: Some("We answer".into()), ..Profile::default() };
    let world = world.see(|o| o.profile = Fact::Known(as_desired)).pass();
    let world = world.desire(|d| d.drift = DriftPolicy::Report);
    world.see(|o| o.profile = Fact::Known(Profile::default()))
}

fn refused_webhook(world: World) -> World {
    world.webhook().act(StepKind::RouteWebhook, refused(2200, None, Class::Person)).after(MINUTE)
}

fn with_picture(world: World) -> World {
    let source = PictureSource::Url("https://acme.example/logo.png".into());
    let usable = PictureFact::Usable { sum: "a".into() };
    let world = world.desire(|d| d.picture = Some(source.clone()));
    world.see(|o| {
        let at = o.begun;
        o.process.picture.read = Some(PictureRead { source, at, fact: usable });
    })
}

/// What a retry does, and what the same does without one.
#[track_caller]
fn serves(what: &str, world: &World, unasked: &str, asked: &[&str]) {
    assert_eq!(world.says(), unasked, "{what}, without a retry: {:#?}", world.plan().aside);
    let mut world = world.clone();
    for (turn, expected) in asked.iter().enumerate() {
        let value = format!("retry-{turn}");
        world = world.desire(retry(&value));
        let plan = world.plan();
        let Some(planned) = &plan.step else { panic!("{what}: {:#?}", plan.aside) };
        let told = (planned.step.kind().as_str(), &planned.cause);
        assert_eq!(told, (*expected, &Cause::Retry(value)), "{what}");
        let kind = planned.step.kind();
        world = world.act(kind, no_answer()).after(SECOND).pass();
        assert_eq!(world.plan().step, None, "{what}: the same retry does nothing else");
    }
}

#[test]
fn a_retry_serves_first_what_costs_nothing_and_what_does_not_go_on_by_itself() {
    let registered = || world().own().registered();
    serves("the webhook alone", &refused_webhook(registered()), "Rest", &["RouteWebhook"]);
    let both = refused_webhook(told_profile(registered()));
    serves("the text waits for nothing else", &both, "Rest", &["WriteProfile", "RouteWebhook"]);
    let both = refused_webhook(refused_username(registered()));
    serves("a claim costs an attempt", &both, "Rest", &["RouteWebhook", "ClaimUsername"]);
}

#[test]
fn a_retry_deregisters_a_number_only_where_nothing_else_may_want_it() {
    let alone = || held_region(world());
    serves("the region alone", &alone(), "Rest", &["Deregister"]);
    let both = told_profile(alone());
    serves("a text goes first", &both, "Rest", &["WriteProfile"]);
    let told = both.desire(retry("1")).plan();
    let region = told.aside.iter().find(|(on, _)| *on == ConditionType::RegistrationSynced).expect("a block");
    assert!(!region.1.message.contains("deregistered next"), "this retry is used up: {region:?}");
    let both = refused_username(alone());
    serves("a username goes first", &both, "Rest", &["ClaimUsername"]);
    // Neither budget nor Meta takes the claim now, and the retry may be meant for it.
    let until = later(both.now, 5 * MINUTE);
    let full = both.clone().see(|o| o.held = [(StepKind::ClaimUsername, until)].into());
    let unsent = both.clone().desire(retry("0")).act(StepKind::ClaimUsername, Err(Failure::Throttled(until)));
    for (what, world) in [("no room", full.desire(retry("1"))), ("not looked at", unsent)] {
        let plan = world.plan();
        assert_eq!(plan.step, None, "{what}");
        assert!(plan.answered.is_empty(), "{what}: it is kept: {:?}", plan.answered);
    }
    let routed = alone().webhook().act(StepKind::RouteWebhook, accepted()).after(SECOND).pass();
    let plan = routed.desire(retry("0")).plan();
    assert_eq!((plan.step, plan.answered.is_empty()), (None, true), "a webhook that may still show");
    let full = alone().webhook().see(|o| o.held = [(StepKind::RouteWebhook, later(o.begun, MINUTE))].into());
    let unsent = alone().webhook().act(StepKind::RouteWebhook, Err(Failure::NotSent(String::new())));
    for (what, world) in [("a webhook without room", full), ("a webhook that was not sent", unsent)] {
        assert_eq!(world.desire(retry("0")).plan().step, None, "{what}");
    }
    let served = both.desire(retry("1")).act(StepKind::ClaimUsername, no_answer()).after(MINUTE).pass();
    assert_eq!(served.desire(retry("2")).plan().step, None, "a claim that may still show");
}

#[test]
fn a_retry_reaches_the_region_whose_message_names_it_before_what_names_none() {
    let hidden = |world: World| {
        let hidden = world.webhook().number(|n| n.webhook = Field::Refused);
        hidden.act(StepKind::RouteWebhook, accepted()).after(HOUR).pass()
    };
    serves("the webhook alone", &hidden(world().own().registered()), "Rest", &["RouteWebhook"]);
    let both = refused_username(hidden(world().own().registered()));
    serves("a username that names it goes before what costs nothing", &both, "Rest", &["ClaimUsername"]);
    let both = hidden(held_region(world()));
    serves("the region was told to want it", &both, "Rest", &["Deregister"]);
    let unconsented = both.clone().desire(|d| d.registration.may_move = false);
    serves("the region's message names no retry", &unconsented, "Rest", &["RouteWebhook"]);
    let three = refused_username(both);
    serves("a username that names it goes first", &three, "Rest", &["ClaimUsername"]);
}

#[test]
fn what_goes_on_by_itself_uses_no_retry_up() {
    let claim = || refused_username(world().own().registered()).desire(retry("1"));
    let picture = with_picture(claim().portfolio(|v| v.app = Some("200000000000001".into())));
    let plan = picture.plan();
    let told = plan.step.map(|planned| (planned.step.kind(), planned.cause));
    assert_eq!(told, Some((StepKind::WritePicture, Cause::Automatic)));
    let taken = picture.act(StepKind::WritePicture, accepted()).after(SECOND);
    let told = taken.plan().step.map(|planned| (planned.step.kind(), planned.cause));
    assert_eq!(told, Some((StepKind::ClaimUsername, Cause::Retry("1".into()))));
    let route = claim().webhook().plan().step.map(|planned| (planned.step.kind(), planned.cause));
    assert_eq!(route, Some((StepKind::RouteWebhook, Cause::Automatic)));
}

#[test]
fn a_retry_is_kept_for_what_has_no_room_now_and_for_what_wanted_it_before_it_was_asked() {
    // Never claimed yet, and the budget is used up: the message names no retry.
    let wanted = desired::Username { name: "acme.br".into(), may_transfer: false };
    let full = held_region(world()).desire(|d| d.username = Some(wanted)).see(|o| {
        o.username = Fact::Known(Username::default());
        o.held = [(StepKind::ClaimUsername, later(o.begun, HOUR))].into();
    });
    let block = full.plan().aside.into_iter().find(|(on, _)| *on == ConditionType::UsernameClaimed);
    let (_, block) = block.expect("it has no room");
    assert!(block.reason == Reason::Throttled && !block.message.contains("retry"), "{block:?}");
    assert_eq!(full.desire(retry("0")).plan().step, None, "no outage for a word that may be meant for it");
    // The picture was refused and names it; asked, it is first read once more, which names nothing.
    let app = |world: World| world.portfolio(|v| v.app = Some("200000000000001".into()));
    let picture =
        with_picture(app(held_region(world()))).act(StepKind::WritePicture, refused(100, None, Class::Spec));
    let picture = picture.after(2 * MINUTE).see(|o| {
        o.process.picture.read.as_mut().expect("a read").at =
            crate::engine::value::time::earlier(o.begun, SECOND);
    });
    let asked = picture.desire(retry("0")).plan();
    let told = asked.aside.iter().find(|(on, _)| *on == ConditionType::ProfileSynced).expect("a block");
    assert_eq!((asked.step, told.1.reason), (None, Reason::NotObservedYet), "{told:?}");
}

#[test]
fn the_region_goes_on_telling_of_a_retry_while_another_step_goes_by_itself() {
    let routes = held_region(world()).webhook().desire(retry("1"));
    let plan = routes.plan();
    let told = plan.step.map(|planned| (planned.step.kind(), planned.cause));
    assert_eq!(told, Some((StepKind::RouteWebhook, Cause::Automatic)));
    let region = plan.aside.iter().find(|(on, _)| *on == ConditionType::RegistrationSynced).expect("a block");
    assert!(region.1.message.contains("kubectl whatsapp retry"), "{region:?}");
    assert!(!region.1.message.contains("deregistered next"), "{region:?}");
}
