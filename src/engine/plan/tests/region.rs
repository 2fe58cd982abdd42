//! Where messages are stored is set before a registration, and changed only by a consent, which never loses the number.

use super::*;
use crate::engine::value::secret::SecretFact;

fn stored_in(region: &'static str) -> impl FnOnce(&mut Desired) {
    move |d| d.registration.storage_region = Some(region.into())
}

fn may_move(d: &mut Desired) {
    d.registration.may_move = true;
}

/// A registered number of this object's own that is stored in BR.
fn held() -> World {
    let set = world().own().verified().desire(stored_in("BR")).act(StepKind::SetStorage, accepted());
    set.act(StepKind::Register, accepted()).registered().after(HOUR).pass()
}

fn wanted() -> World {
    held().after(4 * 24 * HOUR).desire(stored_in("DE"))
}

fn gone(world: World) -> World {
    world.after(MINUTE).number(|n| {
        n.platform = Field::Is(PlatformType::NotApplicable);
        n.status = Field::Is(NumberStatus::Disconnected);
    })
}

/// The step, or what keeps the region from being changed.
#[track_caller]
fn says(what: &str, world: &World, expected: &str) {
    let plan = world.plan();
    let block = plan.aside.iter().find(|(on, _)| *on == ConditionType::RegistrationSynced);
    let said = match (&plan.step, &plan.block, block) {
        (Some(planned), ..) => planned.step.kind().as_str(),
        (None, Some(block), _) | (None, None, Some((_, block))) => block.reason.as_str(),
        (None, None, None) => "Rest",
    };
    assert_eq!(said, expected, "{what}: {plan:#?}");
}

#[test]
fn the_region_is_set_before_the_first_registration_and_holds_it_up_where_meta_refuses_it() {
    let new = || world().own().verified().desire(stored_in("BR"));
    let refused = || new().act(StepKind::SetStorage, refused(100, None, Class::Spec)).after(SECOND);
    says("not managed", &world().own().verified(), "Register");
    says("managed", &new(), "SetStorage");
    says("set", &new().act(StepKind::SetStorage, accepted()), "Register");
    says("no answer", &new().act(StepKind::SetStorage, no_answer()).after(HOUR), "SetStorage");
    says("refused", &refused(), Reason::StorageRegionRefused.as_str());
    says("refused, later", &refused().after(HOUR), "SetStorage");
    says("refused, asked", &refused().desire(retry("1")), "SetStorage");
    says("removed", &refused().desire(|d| d.registration.storage_region = None), "Register");
    says("observed", &new().desire(|d| d.management = Management::ObserveOnly), "ObserveOnly");
}

#[test]
fn a_registered_number_is_left_as_it_is_without_the_consent() {
    says("as desired", &held(), "Rest");
    says("another", &wanted(), Reason::StorageRegionDiffers.as_str());
    says("set back", &wanted().desire(stored_in("BR")), "Rest");
    says("not managed any more", &wanted().desire(|d| d.registration.storage_region = None), "Rest");
    let unknown = world().adopted().registered().desire(stored_in("BR"));
    says("not known", &unknown, Reason::StorageRegionDiffers.as_str());
    assert_eq!(wanted().look(), wanted().desire(stored_in("BR")).look(), "nothing more is read for it");
}

#[test]
fn with_the_consent_the_number_is_deregistered_once_and_registered_again_at_once() {
    let begun = || wanted().desire(may_move).act(StepKind::Deregister, accepted());
    says("the consent", &wanted().desire(may_move), "Deregister");
    says("not seen yet", &begun().after(MINUTE), Reason::EffectNotVisibleYet.as_str());
    says("seen", &gone(begun()), "SetStorage");
    let set = || gone(begun()).act(StepKind::SetStorage, accepted()).after(SECOND);
    says("set", &set(), "Register");
    let back = set().act(StepKind::Register, accepted()).registered().after(MINUTE).pass();
    says("back", &back, "Rest");
    assert_eq!((back.memory.marks.storage.as_deref(), back.memory.marks.is_moving), (Some("DE"), false));
    assert!(back.memory.marks.has_registered());
}

#[test]
fn a_number_that_was_deregistered_for_it_is_registered_again_whatever_happens() {
    let begun = || wanted().desire(may_move).act(StepKind::Deregister, accepted());
    let refused_set =
        || gone(begun()).act(StepKind::SetStorage, refused(100, None, Class::Spec)).after(SECOND);
    says("the region is refused", &refused_set(), "Register");
    says(
        "the consent is taken back",
        &gone(begun()).desire(|d| d.registration.may_move = false),
        "SetStorage",
    );
    says("the field is removed", &gone(begun()).desire(|d| d.registration.storage_region = None), "Register");
    says(
        "the answer was lost",
        &gone(wanted().desire(may_move).act(StepKind::Deregister, no_answer())),
        "SetStorage",
    );
    says("the process died", &gone(wanted().desire(may_move).die(StepKind::Deregister)), "SetStorage");
    let connected = gone(begun()).number(|n| n.status = Field::Is(NumberStatus::Connected));
    says("its status shows late", &connected, "SetStorage");
    let mut unanswered = gone(begun());
    for _ in 0..3 {
        unanswered = unanswered.act(StepKind::SetStorage, no_answer()).after(HOUR);
    }
    says("no answer, three times", &unanswered, "Register");
    let again = refused_set().act(StepKind::Register, refused(131_000, None, Class::Retry));
    says("the registration fails", &again.after(HOUR), "Register");
    let back = refused_set().act(StepKind::Register, accepted()).desire(stored_in("BR"));
    says("the old region may be gone", &back.registered().after(MINUTE), "Deregister");
    let kept = refused_set().act(StepKind::Register, accepted()).registered().after(MINUTE).pass();
    says("it is back without it", &kept, Reason::StorageRegionDiffers.as_str());
    says(
        "and is not moved again by itself",
        &kept.after(30 * 24 * HOUR),
        Reason::StorageRegionDiffers.as_str(),
    );
}

#[test]
fn nothing_is_deregistered_that_might_not_be_registered_again() {
    let consented = || wanted().desire(may_move);
    let twice =
        || consented().act(StepKind::Deregister, refused(133_016, None, Class::WaitUntil)).after(MINUTE);
    for (what, world) in [
        ("the PIN is gone", consented().see(|o| o.pin_secret = SecretFact::Missing)),
        ("the proof has lapsed", consented().number(|n| n.code = Field::Is(CodeStatus::Expired))),
        ("refused", twice()),
        ("nothing shows which PIN Meta has", consented().remember(|m| m.marks.pin = Some(String::new()))),
        ("no effect", consented().act(StepKind::Deregister, no_answer()).after(HOUR)),
    ] {
        let said = world.plan().aside.iter().any(|(on, block)| {
            *on == ConditionType::RegistrationSynced
                && [Reason::StorageRegionDiffers, Reason::PinNeeded].contains(&block.reason)
        });
        assert!(said && world.plan().step.is_none(), "{what}: {:#?}", world.plan());
    }
    says(
        "asked, with the phone at hand",
        &consented().number(|n| n.code = Field::Is(CodeStatus::Expired)).desire(retry("1")),
        "Deregister",
    );
    let beside = consented().webhook();
    says("another step goes first", &beside, "RouteWebhook");
    assert_eq!(beside.plan().memory.marks.moved, consented().memory.marks.moved, "nothing was tried yet");
    says(
        "tried once, asked",
        &consented().act(StepKind::Deregister, no_answer()).after(HOUR).desire(retry("1")),
        "Deregister",
    );
    let crowded = consented().remember(|m| {
        let entry = m.ledger.registrations[0].clone();
        let at = later(entry.at, 4 * 24 * HOUR);
        m.ledger.registrations = vec![crate::engine::value::memory::Entry { at, ..entry }; 8];
    });
    says("too few attempts are left", &crowded, Reason::StorageRegionDiffers.as_str());
}

#[test]
fn only_a_deregistration_that_was_sent_or_may_have_been_counts_as_tried() {
    let consented = || wanted().desire(may_move);
    let paused = later(consented().now, HOUR);
    for (what, held) in [
        ("a claim pauses", consented().see(|o| o.claim = Claim::Ours { act_from: Some(paused) })),
        ("throttled", consented().portfolio(|view| view.throttled_until = Some(paused))),
        ("earlier attempts unread", consented().see(|o| o.attempts_unread = Some("no answer".into()))),
    ] {
        assert_eq!(held.plan().step, None, "{what}");
        let marks = held.pass().memory.marks;
        assert_eq!((marks.moved, marks.is_moving), (None, false), "{what}");
    }
    let throttled = Err(Failure::Throttled(paused));
    let busy = Refusal { scope: Scope::App, ..refusal_of(4, None, Class::WaitUntil) };
    for (what, result) in [
        ("this process may not work", Err(Failure::NotSent(String::new()))),
        ("no room in the budget", throttled),
        ("Meta did not look at it", Err(Failure::Refused(busy))),
    ] {
        let unsent = consented().act(StepKind::Deregister, result.clone()).after(2 * HOUR);
        assert_eq!((&unsent.memory.marks.moved, unsent.memory.marks.is_moving), (&None, false), "{what}");
        says(what, &unsent, "Deregister");
        // One that was sent before goes on counting.
        let tried = consented().act(StepKind::Deregister, no_answer()).after(HOUR).pass();
        let moved = tried.memory.marks.moved.clone();
        let again = tried.desire(retry("1")).act(StepKind::Deregister, result).after(2 * HOUR);
        assert!(moved.is_some() && again.memory.marks.moved == moved, "{what}");
    }
    for (what, world) in [
        ("no answer", consented().act(StepKind::Deregister, no_answer())),
        ("the process died", consented().die(StepKind::Deregister)),
        ("refused", consented().act(StepKind::Deregister, refused(100, None, Class::Spec))),
    ] {
        assert!(world.memory.marks.moved.is_some(), "{what}");
        says(what, &world.after(HOUR).pass(), Reason::StorageRegionDiffers.as_str());
    }
}
