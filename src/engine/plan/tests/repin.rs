//! A changed PIN is set once for each version of its Secret, and what was first seen is no change.

use super::*;
use crate::engine::fixture::{self, version};

const LONG: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// A registered number whose PIN is that of version 1 of its Secret.
fn held() -> World {
    let named = world().adopted().registered().desire(|d| d.registration.is_pin_named = true);
    named.after(HOUR).pass()
}

fn changed() -> World {
    held().after(HOUR).see(|o| o.pin_secret = present("pin", 2))
}

fn answered(code: i64, class: Class) -> World {
    changed().act(StepKind::SetPin, refused(code, None, class)).after(SECOND)
}

/// The step, or what keeps the PIN from being set.
#[track_caller]
fn says(what: &str, world: &World, expected: &str) {
    let plan = world.plan();
    let block = plan.aside.iter().find(|(on, _)| *on == ConditionType::RegistrationSynced);
    let said = match (&plan.step, block) {
        (Some(planned), _) => planned.step.kind().as_str(),
        (None, Some((_, block))) => block.reason.as_str(),
        (None, None) => "Rest",
    };
    assert_eq!(said, expected, "{what}: {plan:#?}");
}

#[test]
fn a_changed_pin_is_set_once_for_each_version_of_its_secret() {
    let set = || changed().act(StepKind::SetPin, accepted()).after(MINUTE).pass();
    let lost = || changed().act(StepKind::SetPin, no_answer()).after(HOUR).pass();
    let malformed =
        SecretFact::Present { version: version("pin", 2), well_formed: false, seen_before: false };
    for (what, world, expected) in [
        ("nothing changed", held(), "Rest"),
        ("changed", changed(), "SetPin"),
        ("set", set(), "Rest"),
        ("changed once more", set().see(|o| o.pin_secret = present("pin", 3)), "SetPin"),
        ("another key", set().desire(|d| d.registration.pin_secret.key = "other".into()), "SetPin"),
        ("another Secret", set().see(|o| o.pin_secret = present("another", 2)), "SetPin"),
        ("no six digits", held().see(|o| o.pin_secret = malformed), Reason::PinMalformed.as_str()),
        ("the Secret is gone", held().see(|o| o.pin_secret = SecretFact::Missing), "Rest"),
        ("no answer", lost(), Reason::PinNotSet.as_str()),
        ("no answer, much later", lost().after(LONG), Reason::PinNotSet.as_str()),
        ("no answer, asked", lost().desire(retry("1")), "SetPin"),
        ("no answer, changed", lost().see(|o| o.pin_secret = present("pin", 3)), "SetPin"),
        ("a fault of Meta's", answered(131_000, Class::Retry).after(HOUR), Reason::PinNotSet.as_str()),
        ("too simple", answered(100, Class::Spec), Reason::PinNotSet.as_str()),
        ("too simple, asked", answered(100, Class::Spec).desire(retry("1")), "SetPin"),
        (
            "too simple, and the value came with the object",
            answered(100, Class::Spec).desire(retry("1")).desire(came),
            Reason::PinNotSet.as_str(),
        ),
        ("too many", answered(133_008, Class::WaitUntil).after(11 * HOUR), Reason::PinLocked.as_str()),
        ("too many, half a day later", answered(133_008, Class::WaitUntil).after(12 * HOUR), "SetPin"),
        ("too fast", answered(133_009, Class::WaitUntil).after(4 * MINUTE), Reason::PinLocked.as_str()),
        (
            "too fast, asked",
            answered(133_009, Class::WaitUntil).desire(retry("1")),
            Reason::PinLocked.as_str(),
        ),
        ("too fast, later", answered(133_009, Class::WaitUntil).after(HOUR), "SetPin"),
        ("observed only", changed().desire(|d| d.management = Management::ObserveOnly), "Rest"),
        ("in the app", changed().number(|n| n.is_on_biz_app = Field::Is(true)), "Rest"),
    ] {
        says(what, &world, expected);
    }
}

#[test]
fn a_pause_that_meta_names_is_kept() {
    let until = later(changed().now, 2 * LONG);
    let mut refusal = refusal_of(133_009, None, Class::WaitUntil);
    refusal.until = Some(until);
    let told = changed().act(StepKind::SetPin, Err(Failure::Refused(refusal)));
    says("as told", &told.after(LONG), Reason::PinLocked.as_str());
}

#[test]
fn the_first_sight_of_a_secret_is_no_change_and_costs_nothing_where_the_spec_names_none() {
    let unnamed = world().adopted().registered().after(HOUR).pass();
    assert_eq!(unnamed.memory.marks.pin, None, "nothing is remembered, so nothing is written");
    assert!(!unnamed.look().pin_secret, "and it is not read");
    says("not followed", &unnamed.after(HOUR).see(|o| o.pin_secret = present("pin", 2)), "Rest");
    let named = held();
    assert_eq!(named.memory.marks.pin.as_deref(), Some("pin/1/pin"));
    assert!(named.look().pin_secret);
    // One that was not there before is no change either.
    let absent = world().adopted().registered().desire(|d| d.registration.is_pin_named = true);
    let absent = absent.see(|o| o.pin_secret = SecretFact::Missing).after(HOUR).pass();
    says("created later", &absent.after(HOUR).see(|o| o.pin_secret = present("pin", 7)), "Rest");
}

#[test]
fn the_same_pin_in_another_version_is_remembered_and_not_sent() {
    let same = SecretFact::Present { version: version("pin", 2), well_formed: true, seen_before: true };
    let touched = held().after(HOUR).see(|o| o.pin_secret = same);
    says("touched", &touched, "Rest");
    assert_eq!(touched.pass().memory.marks.pin.as_deref(), Some("pin/2/pin"));
}

#[test]
fn the_pin_of_before_is_sent_again_where_one_in_between_may_have_been_set() {
    let seen = |version: u32| SecretFact::Present {
        version: fixture::version("pin", version),
        well_formed: true,
        seen_before: true,
    };
    let back = |world: World| world.see(|o| o.pin_secret = seen(3));
    let lost = changed().act(StepKind::SetPin, no_answer()).after(HOUR).pass();
    says("no answer, and back", &back(lost.clone()), "SetPin");
    says("a fault of Meta's, and back", &back(answered(131_000, Class::Retry).after(HOUR)), "SetPin");
    says("refused, and back", &back(answered(100, Class::Spec)), "Rest");
    let refused = back(lost.clone()).act(StepKind::SetPin, refused(100, None, Class::Spec)).after(HOUR);
    says("back is refused, and the Secret is touched", &refused.see(|o| o.pin_secret = seen(4)), "SetPin");
    let set = back(lost.clone()).act(StepKind::SetPin, accepted()).after(HOUR).pass();
    says("back is set, and the Secret is touched", &set.clone().see(|o| o.pin_secret = seen(4)), "Rest");
    assert!(crate::engine::plan::repin::is_in_doubt(&back(lost).memory, &fixture::version("pin", 3)));
    assert!(!crate::engine::plan::repin::is_in_doubt(&set.memory, &fixture::version("pin", 3)));
}

#[test]
fn a_registration_of_our_own_tells_which_pin_is_in_force_unless_meta_kept_another() {
    let registered = |has_kept_pin| {
        let done = Ok(Accepted { has_kept_pin, ..Accepted::default() });
        world().own().verified().act(StepKind::Register, done).registered().after(MINUTE).pass()
    };
    says("its own", &registered(false), "Rest");
    says("changed", &registered(false).see(|o| o.pin_secret = present("pin", 2)), "SetPin");
    says("kept", &registered(true), Reason::PinMismatch.as_str());
    let overwrites = registered(true).desire(|d| d.registration.pin_policy = PinPolicy::Overwrite);
    says("kept, and may be replaced", &overwrites, "SetPin");
}

#[test]
fn a_registration_whose_answer_was_lost_tells_the_same_once_it_shows() {
    let shown = world().own().verified().act(StepKind::Register, no_answer()).registered().after(HOUR).pass();
    assert_eq!(shown.memory.marks.pin.as_deref(), Some("pin/1/pin"));
}

#[test]
fn one_more_registration_tells_nothing_of_the_pin() {
    let mut memory = held().memory;
    let entry = |memory: &mut crate::engine::value::memory::Memory| {
        memory.note_pin_of_registration(Some("pin/9"), true);
    };
    entry(&mut memory);
    assert_eq!(memory.marks.pin.as_deref(), Some("pin/1/pin"));
}

#[test]
fn a_name_that_is_to_become_live_waits_for_the_changed_pin() {
    let waiting = changed().number(|n| {
        n.new_display_name = Field::Is("Acme Vendas".into());
        n.new_name_status = Field::Is("APPROVED".into());
    });
    let waiting = waiting.desire(|d| {
        d.display_name = "Acme Vendas".into();
        d.consents.retry = Some("1".into());
    });
    says("the PIN goes first", &waiting, "SetPin");
    let lost = waiting.act(StepKind::SetPin, refused(100, None, Class::Spec)).after(HOUR).desire(|d| {
        d.consents.retry = None;
    });
    says("nothing is registered with it", &lost, Reason::PinNotSet.as_str());
    let mended = lost.see(|o| o.pin_secret = present("pin", 3)).act(StepKind::SetPin, accepted());
    assert_eq!(mended.after(3 * HOUR).says(), "Register");
}

#[test]
fn what_replaces_an_unknown_pin_before_a_registration_waits_as_told() {
    let replaced = |code| {
        world()
            .own()
            .verified()
            .desire(|d| d.registration.pin_policy = PinPolicy::Overwrite)
            .act(StepKind::Register, refused(133_005, None, Class::Person))
            .after(MINUTE)
            .act(StepKind::SetPin, refused(code, None, Class::WaitUntil))
    };
    check(vec![
        ("too many", replaced(133_008).after(11 * HOUR), Reason::PinLocked.as_str()),
        ("too many, half a day later", replaced(133_008).after(12 * HOUR), "SetPin"),
        ("too fast", replaced(133_009).after(4 * MINUTE), Reason::PinLocked.as_str()),
        ("too fast, later", replaced(133_009).after(HOUR), "SetPin"),
    ]);
}

/// Something else made another version of the Secret. The PIN in it is the one of the last attempt, or another one.
fn touched(world: World, version: u32, is_same: bool) -> World {
    let ledger = &world.memory.ledger;
    let last = ledger.pins.iter().chain(&ledger.registrations).max_by_key(|entry| entry.at);
    let attempt = last.map(|last| last.id.clone()).unwrap_or_default();
    world.see(|o| {
        o.pin_secret = present("pin", version);
        o.process.pin_sent = is_same.then(|| attempt.into());
    })
}

#[test]
fn a_label_on_the_secret_of_a_pin_that_was_sent_sends_it_no_second_time() {
    for (what, result) in [
        ("refused", refused(100, None, Class::Spec)),
        ("no answer", no_answer()),
        ("a fault of Meta's", refused(131_000, None, Class::Retry)),
    ] {
        let mut world = changed().act(StepKind::SetPin, result).after(HOUR).pass();
        for version in 3..6 {
            world = touched(world, version, true).pass().after(HOUR);
            says(what, &world, Reason::PinNotSet.as_str());
        }
        let before = world.memory.clone();
        assert_eq!(world.clone().pass().memory, before, "{what}: and nothing is written for it");
        says(what, &touched(world.clone(), 9, false), "SetPin");
        says(what, &world.desire(retry("1")), "SetPin");
    }
}

#[test]
fn a_label_on_the_secret_of_a_wrong_pin_makes_nobody_register_again() {
    let wrong = || {
        let world = world().own().verified();
        world.act(StepKind::Register, refused(133_005, None, Class::Person)).after(24 * HOUR)
    };
    check(vec![
        ("wrong", wrong(), Reason::PinMismatch.as_str()),
        ("a label", touched(wrong(), 2, true), Reason::PinMismatch.as_str()),
        ("another label", touched(touched(wrong(), 2, true).pass(), 3, true), Reason::PinMismatch.as_str()),
        ("another PIN", touched(wrong(), 2, false), "Register"),
        ("another PIN after a label", touched(touched(wrong(), 2, true).pass(), 3, false), "Register"),
    ]);
}

#[test]
fn a_pin_that_goes_back_and_forth_is_set_once_at_each_turn() {
    let mut world = held();
    for version in 2..6 {
        world = touched(world.after(HOUR), version, false).act(StepKind::SetPin, accepted()).after(MINUTE);
        says("set", &world.clone().pass(), "Rest");
        world = world.pass();
    }
}
