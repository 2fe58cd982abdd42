//! Where messages are stored is set before a registration, and changed only by a consent, which never loses the number.

use std::time::Duration;

use super::*;
use crate::engine::{
    fixture,
    value::{action::Action, secret::SecretFact, time::earlier},
};

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
    let there = new().act(StepKind::SetStorage, fixture::refused(100, None, Class::AlreadyDone));
    says("it was set already", &there, "Register");
    let set = new().act(StepKind::SetStorage, accepted());
    assert!(set.memory.ledger.repeatable.is_empty(), "no pace is kept of what is done");
    let edited = refused().desire(|d| d.generation += 1).desire(stored_in("DE"));
    says("refused, and edited", &edited, "SetStorage");
    let held = new().act(StepKind::SetStorage, Err(Failure::Throttled(later(new().now, HOUR))));
    says("throttled", &held.clone().after(59 * MINUTE), Reason::NotSentYet.as_str());
    says("throttled, later", &held.after(HOUR), "SetStorage");
}

#[test]
fn a_region_that_meta_does_not_take_is_told_with_its_cause_and_tried_again_in_longer_pauses() {
    let new = || world().own().verified().desire(stored_in("BR"));
    let once = || new().act(StepKind::SetStorage, refused(100, None, Class::Spec));
    let told = once().after(SECOND).plan().block.expect("it is held up");
    assert!(told.message.contains("code 100") && told.message.contains("BR"), "{}", told.message);
    assert!(told.failure.is_some() && told.until == Some(later(new().now, 30 * SECOND)), "{told:?}");
    says("at the end of the first pause", &once().after(30 * SECOND), "SetStorage");
    let twice = || once().after(30 * SECOND).act(StepKind::SetStorage, refused(100, None, Class::Spec));
    says("the second pause is longer", &twice().after(119 * SECOND), Reason::StorageRegionRefused.as_str());
    says("and ends", &twice().after(120 * SECOND), "SetStorage");
    let asked = once().after(SECOND).desire(retry("1"));
    assert_eq!(asked.plan().step.expect("a step").cause, Cause::Retry("1".into()));
    let asked = asked.act(StepKind::SetStorage, refused(100, None, Class::Spec)).after(SECOND);
    says("the same retry does nothing more", &asked, Reason::StorageRegionRefused.as_str());
    let denied = new().act(StepKind::SetStorage, refused(200, None, Class::Credentials)).after(SECOND);
    says("not for its value", &denied, Reason::PermissionMissing.as_str());
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
    let told = waits("its cost", &wanted());
    for words in ["registered with storage region BR", "(9 left in 72 hours)", "one registration (9 left)"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let lately = waits("its cost soon after the registration", &held().desire(stored_in("DE")));
    assert!(
        lately.contains("(9 left in 72 hours)") && lately.contains("one registration (8 left)"),
        "{lately}"
    );
    let hidden = wanted().number(|n| n.is_on_biz_app = Field::Refused);
    says("nothing may be written to it", &hidden, "Rest");
}

#[test]
fn what_a_move_needs_is_read_for_a_move_alone() {
    let two = |world: World| {
        world.portfolio(|view| {
            let both = [ACCOUNT, OTHER_ACCOUNT].map(|id| reachable_as(id, Some(true)));
            view.reach = Reach::Accounts(both.into());
        })
    };
    let reads = |world: World| two(world).look().accounts.len();
    let consented = || wanted().desire(may_move);
    let tried = || consented().act(StepKind::Deregister, no_answer()).after(HOUR).pass();
    let found = || world().adopted().registered().desire(stored_in("BR")).desire(may_move).pass().after(HOUR);
    for (what, world, expected) in [
        ("it goes by itself", consented(), 2),
        ("without the consent", wanted(), 1),
        ("without the consent, asked", wanted().desire(retry("1")), 1),
        ("as desired", consented().desire(stored_in("BR")), 1),
        ("as desired, asked", consented().desire(stored_in("BR")).desire(retry("1")), 1),
        ("it was tried", tried(), 1),
        ("it was tried, asked", tried().desire(retry("1")), 2),
        ("another was tried", tried().desire(stored_in("US")), 2),
        ("not known", found(), 1),
        ("not known, asked", found().desire(retry("1")), 2),
        ("observed", consented().desire(|d| d.management = Management::ObserveOnly), 1),
    ] {
        assert_eq!(reads(world), expected, "{what}");
    }
    let look = consented().act(StepKind::Deregister, accepted()).after(MINUTE).look();
    assert!(look.code_secret && look.pin_secret, "whatever the number needs to come back");
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
    says(
        "another one was tried before",
        &wanted().desire(may_move).remember(|m| {
            m.marks.moved = Some(("US".into(), world().now));
        }),
        "Deregister",
    );
    let unasked = wanted().desire(may_move).desire(retry("1")).plan().step.expect("a step");
    assert_eq!(unasked.cause, Cause::Automatic, "what goes on by itself uses no retry up");
}

/// Deregistered, and the region is set.
fn set_often(begun: World) -> World {
    gone(begun).act(StepKind::SetStorage, accepted()).after(SECOND)
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
    let again = refused_set().act(StepKind::Register, refused(133_004, None, Class::Retry));
    let soon = again.remember(|m| m.ledger.registrations.last_mut().expect("one").settle_until = None);
    assert_eq!(soon.after(4 * MINUTE).plan().step, None, "the next one has its pause");
    let busy = gone(begun()).act(StepKind::SetStorage, refused(4, None, Class::WaitUntil)).after(SECOND);
    says("Meta wants a pause", &busy, Reason::StorageRegionRefused.as_str());
    says("and has it", &busy.after(MINUTE), "SetStorage");
    let fault = gone(begun()).act(StepKind::SetStorage, refused(1, None, Class::Retry)).after(SECOND);
    says("a fault of Meta's", &fault.after(MINUTE), "SetStorage");
    // Pauses and limits of a registration are for one that failed, not for the first after the deregistration.
    let often = || {
        set_often(begun()).remember(|m| {
            let first = m.ledger.registrations[0].clone();
            let at = earlier(m.ledger.deregistrations[0].at, MINUTE);
            m.ledger.registrations = vec![crate::engine::value::memory::Entry { at, ..first }; 3];
        })
    };
    says("it was registered three times lately", &often(), "Register");
    let live_elsewhere = set_often(begun()).see(|o| {
        let begun = o.begun;
        let mut other = new_number();
        (other.id, other.platform) = ("7".into(), Field::Is(PlatformType::CloudApi));
        o.search.push(Searched { numbers: vec![Arc::new(other)], ..searched(OTHER_ACCOUNT, begun) });
    });
    says("it is live in another account by now", &live_elsewhere, "Register");
    // What an object before did says nothing of this one.
    let inherited = world().own().verified().act(StepKind::Register, refused(133_004, None, Class::Retry));
    let inherited = inherited.remember(|m| {
        m.ledger.registrations[0].settle_until = None;
        let first = m.ledger.registrations[0].clone();
        let at = later(first.at, SECOND);
        m.ledger.deregistrations = vec![crate::engine::value::memory::Entry { at, refusal: None, ..first }];
    });
    assert_eq!(inherited.after(4 * MINUTE).plan().step, None, "it was not deregistered to come back");
    let back = refused_set().act(StepKind::Register, accepted()).desire(stored_in("BR"));
    let back = back.registered().after(MINUTE);
    says("the old region may be gone, or not", &back, Reason::StorageRegionDiffers.as_str());
    says("and a person asks", &back.clone().desire(retry("1")), "Deregister");
    let asked = gone(back.desire(retry("1")).act(StepKind::Deregister, accepted()));
    says("what was refused before is tried once more", &asked, "SetStorage");
    let kept = refused_set().act(StepKind::Register, accepted()).registered().after(MINUTE).pass();
    assert!(waits("it is back without it", &kept).contains("code 100"), "in Meta's words");
    let doubted = wanted().desire(may_move).act(StepKind::Deregister, refused(1, None, Class::Retry));
    let doubted = gone(doubted).act(StepKind::SetStorage, refused(100, None, Class::Spec)).after(SECOND);
    let doubted = doubted.act(StepKind::Register, accepted()).registered().after(MINUTE).pass();
    assert!(waits("both were refused", &doubted).contains("code 100"), "the last of Meta's words");
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
        ("its name is not told", consented().number(|n| n.name_status = Field::Refused)),
        (
            "the PIN was wrong",
            consented().remember(|m| refuse_last(m, refusal_of(133_005, None, Class::Person))),
        ),
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
    let told = beside.plan().aside.into_iter().find(|(on, _)| *on == ConditionType::RegistrationSynced);
    assert!(told.is_some_and(|(_, block)| block.message.contains("deregistered next")));
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
    let message = waits("the PIN is gone", &consented().see(|o| o.pin_secret = SecretFact::Missing));
    assert!(message.contains("its PIN is not in the Secret"), "{message}");
    // Its new PIN was refused, so Meta has the old one.
    let changed = consented().see(|o| o.pin_secret = present("pin", 2));
    let changed = changed.act(StepKind::SetPin, refused(100, None, Class::Spec)).after(SECOND);
    let told = changed.plan();
    assert!(
        told.step.is_none() && told.aside.iter().any(|(_, b)| b.message.contains("another PIN")),
        "{told:#?}"
    );
    let locked = consented().remember(|m| {
        let until = Some(later(m.ledger.registrations[0].at, 10 * 24 * HOUR));
        refuse_last(m, Refusal { until, ..refusal_of(133_016, None, Class::WaitUntil) });
    });
    says("Meta takes no registration", &locked, Reason::RegistrationLimitReached.as_str());
    let late = held().after(MINUTE).desire(stored_in("DE")).desire(may_move);
    let late = late.remember(|m| m.ledger.registrations[0].at = later(world().now, HOUR));
    let late = late.number(|n| n.platform = Field::Is(PlatformType::CloudApi));
    says("the registration has shown", &late, "Deregister");
}

/// The last registration was refused like this.
fn refuse_last(memory: &mut crate::engine::value::memory::Memory, refusal: Refusal) {
    let last = memory.ledger.registrations.last_mut().expect("a registration");
    last.outcome = crate::engine::value::memory::EntryOutcome::Refused;
    last.refusal = Some(refusal);
}

#[test]
fn both_attempts_and_one_more_registration_have_to_fit_into_what_meta_allows() {
    let used = |registrations: u32, deregistrations: u32| {
        wanted().desire(may_move).remember(move |m| {
            let entry = m.ledger.registrations[0].clone();
            let ago = |n: u32| {
                let at = earlier(wanted().now, n * HOUR);
                crate::engine::value::memory::Entry { at, ..entry.clone() }
            };
            // The deregistrations are the older ones.
            m.ledger.registrations = (1..=registrations).rev().map(ago).collect();
            m.ledger.deregistrations = (11..11 + deregistrations).rev().map(ago).collect();
        })
    };
    says("seven", &used(4, 3), "Deregister");
    says("eight", &used(4, 4), Reason::StorageRegionDiffers.as_str());
    let until = |world: World| world.plan().aside.iter().find_map(|(_, block)| block.until);
    let from = |ago: u32| Some(later(earlier(wanted().now, ago * HOUR), 72 * HOUR));
    assert_eq!(until(used(4, 4)), from(14), "the oldest ends first, whatever it was");
    assert_eq!(until(used(4, 5)), from(14), "and of nine the second oldest lets it go on");
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
    let no_room = consented().see(|o| o.held = [(StepKind::Register, paused)].into());
    assert_eq!(no_room.plan().step, None, "the registration could not follow at once");
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
        let at_once = consented().act(StepKind::Deregister, result.clone()).after(SECOND);
        assert_eq!(at_once.plan().step, None, "{what}: it has its pause");
        let told = at_once.plan().aside;
        let told = told.iter().find(|(on, _)| *on == ConditionType::RegistrationSynced).expect("a block");
        assert!(!told.1.message.contains("deregistered next"), "{what}: {told:?}");
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

/// The block about the region, of a pass that takes no step.
#[track_caller]
fn waits(what: &str, world: &World) -> String {
    says(what, world, Reason::StorageRegionDiffers.as_str());
    let aside = world.plan().aside;
    let block = aside.into_iter().find(|(on, _)| *on == ConditionType::RegistrationSynced);
    block.map(|(_, block)| block.message).unwrap_or_default()
}

#[test]
fn a_number_whose_region_is_not_known_is_moved_by_a_person_alone() {
    // As after a lost cluster: Meta shows a proven number, and the consent still stands in the manifest.
    let found = || world().adopted().registered().desire(stored_in("BR")).desire(may_move).pass().after(HOUR);
    let message = waits("found", &found());
    assert!(
        message.contains("is not known here") && message.contains("never gave Meta the PIN"),
        "{message}"
    );
    waits("a PIN that was only seen, asked", &found().desire(retry("1")));
    waits(
        "its PIN is named",
        &found().desire(|d| d.registration.is_pin_named = true).pass().desire(retry("1")),
    );
    assert_eq!(found().look().accounts.len(), 1, "nothing more is read for it");
    // This object set its PIN since.
    let changed = |w: World| w.see(|o| o.pin_secret = present("pin", 2));
    let named = found().desire(|d| d.registration.is_pin_named = true).pass();
    let set = || changed(named.clone()).act(StepKind::SetPin, accepted()).after(HOUR).pass();
    let message = waits("its PIN is known", &set());
    for words in
        ["is not known here", "kubectl whatsapp retry", "outage", "remove registration.storageRegion"]
    {
        assert!(message.contains(words), "{words}: {message}");
    }
    let plan = set().plan();
    let wait = plan.aside.iter().find_map(|(_, block)| block.wait.as_ref());
    assert_eq!(wait.map(|wait| wait.action), Some(Action::Retry), "{plan:#?}");
    let asked = set().desire(retry("1"));
    says("asked", &asked, "Deregister");
    // One that stood in the manifest when the number was found was meant for something else.
    let found_lately = |world: World| {
        let at = earlier(world.now, MINUTE);
        world.remember(|m| m.marks.origin = Origin::Adopted(at))
    };
    let set_ago = |world: World, ago: Duration| {
        let at = earlier(world.now, ago);
        world.desire(retry("1")).desire(|d| d.consents.retry_set = Some(at))
    };
    for (what, world) in [
        ("not known", set()),
        ("tried before", set().remember(|m| m.marks.moved = Some(("BR".into(), world().now)))),
        ("its names are not told", set().number(|n| n.new_name_status = Field::Refused)),
        ("its proof has lapsed", set().number(|n| n.code = Field::Is(CodeStatus::Expired))),
    ] {
        waits(what, &set_ago(found_lately(world.clone()), 2 * MINUTE));
        says(what, &set_ago(found_lately(world), SECOND), "Deregister");
    }
    // Where it is not for the region, somebody else has a use for it.
    let hidden = set().webhook().number(|n| n.webhook = Field::Refused);
    let hidden = hidden.act(StepKind::RouteWebhook, accepted()).after(HOUR).pass();
    says("of both the region", &set_ago(found_lately(hidden.clone()), SECOND), "Deregister");
    says("of both the webhook", &set_ago(found_lately(hidden), 2 * MINUTE), "RouteWebhook");
    let retried = asked.act(StepKind::Deregister, accepted());
    says("and goes on as ever", &gone(retried), "SetStorage");
    // A registration of its own without a region tells as little.
    let own = world().own().verified().act(StepKind::Register, accepted()).registered().after(HOUR).pass();
    waits("its own", &own.clone().desire(stored_in("BR")).desire(may_move));
    says("its own, asked", &own.desire(stored_in("BR")).desire(may_move).desire(retry("1")), "Deregister");
}

#[test]
fn no_registration_goes_over_a_name_that_waits_beside_the_live_one() {
    let consented = || wanted().desire(may_move);
    let other = |status: &'static str| {
        consented().number(move |n| {
            n.new_display_name = Field::Is("Acme Vendas".into());
            n.new_name_status = Field::Is(status.into());
        })
    };
    let message = waits("in review", &other("PENDING_REVIEW"));
    assert!(message.contains("reviews a display name"), "{message}");
    waits("in review, asked", &other("PENDING_REVIEW").desire(retry("1")));
    waits("approved, and not the spec's", &other("APPROVED"));
    waits("approved, and asked", &other("APPROVED").desire(retry("1")));
    says("declined", &other("DECLINED"), "Deregister");
    let first = consented().number(|n| n.name_status = Field::Is(NameStatus::PendingReview));
    assert!(first.plan().step.is_none(), "the first name: {:#?}", first.plan());
    for (what, world) in [
        ("not told", consented().number(|n| n.new_name_status = Field::Refused)),
        ("a new word", other("ELSEWHERE")),
    ] {
        assert!(waits(what, &world).contains("kubectl whatsapp retry"), "{what}");
        says(what, &world.desire(retry("1")), "Deregister");
    }
    // One more registration, which was to make that name live, may still do so.
    let registered_again = other("APPROVED").remember(|m| {
        let first = m.ledger.registrations[0].clone();
        let at = later(first.at, 4 * 24 * HOUR);
        let settle_until = Some(later(at, 24 * HOUR));
        m.ledger.registrations.push(crate::engine::value::memory::Entry {
            id: "again".into(),
            at,
            settle_until,
            ..first
        });
    });
    says("registered again, and not shown", &registered_again, Reason::EffectNotVisibleYet.as_str());
    // One edit of both: the name is submitted, and the number is moved once that is over.
    let both = || consented().desire(|d| d.display_name = "Acme Vendas".into());
    says("both", &both(), "SubmitName");
    let sent = || both().act(StepKind::SubmitName, accepted()).after(MINUTE);
    says("not shown yet", &sent(), Reason::EffectNotVisibleYet.as_str());
    // A name that is edited while the number is away waits until it is back.
    let begun = gone(consented().act(StepKind::Deregister, accepted())).desire(|d| {
        d.display_name = "Acme Vendas".into();
    });
    says("edited on the way", &begun, "SetStorage");
    let unusable = begun.clone().number(|n| n.name_status = Field::Is(NameStatus::PendingReview));
    says("edited on the way, and none is usable", &unusable, Reason::NameChangeQueued.as_str());
    let set = begun.act(StepKind::SetStorage, accepted()).after(SECOND);
    says("and set", &set, "Register");
    let back = set.act(StepKind::Register, accepted()).registered().after(MINUTE);
    says("and back", &back, "SubmitName");
}

#[test]
fn a_number_that_another_account_has_too_is_not_moved() {
    let consented = || wanted().desire(may_move);
    let two = |change: fn(&mut Searched)| {
        consented()
            .portfolio(|view| {
                view.reach = Reach::Accounts(vec![
                    reachable_as(ACCOUNT, Some(true)),
                    reachable_as(OTHER_ACCOUNT, Some(true)),
                ]);
            })
            .see(move |o| {
                let begun = o.begun;
                let mut other = searched(OTHER_ACCOUNT, begun);
                change(&mut other);
                o.search.push(other);
            })
    };
    let entry = |id: &str| {
        let mut number = new_number();
        number.id = id.into();
        number.platform = Field::Is(PlatformType::CloudApi);
        Arc::new(number)
    };
    assert_eq!(two(|_| {}).look().accounts.len(), 2, "both lists are read");
    says("not there", &two(|_| {}), "Deregister");
    let mut shared = two(|_| {});
    shared.observed.search[1].numbers = vec![entry(NUMBER)];
    assert!(waits("shared", &shared).contains("would lose it"));
    shared.observed.search[1].numbers = vec![entry("7")];
    waits("a twin", &shared);
    let mut twin = two(|_| {});
    twin.observed.search[0].numbers.push(entry("7"));
    waits("a twin in its own account", &twin);
    let unread = two(|other| other.list = ListState::NotCheckable(Failure::NoAnswer("denied".into())));
    assert!(waits("not read", &unread).contains("another account may have it too"));
    waits("not read, asked", &unread.desire(retry("1")));
    let mut unlisted = two(|_| {});
    unlisted.observed.search.truncate(1);
    says("not looked for yet", &unlisted, Reason::NotObservedYet.as_str());
    let unfinished = two(|other| other.list = ListState::Failed(Failure::NoAnswer("time-out".into())));
    waits("no answer", &unfinished);
}

#[test]
fn a_number_that_is_about_to_go_is_looked_at_until_it_does() {
    let begun = wanted().desire(may_move).assess().act(StepKind::Deregister, accepted()).after(MINUTE);
    let soon = begun.limits.fresh_after_write;
    assert_eq!(begun.plan().next, later(begun.now, soon), "the next look");
    assert_eq!(begun.look().accounts[0].not_before, earlier(begun.now, soon), "and it is a new list");
    let away = gone(begun.assess());
    let back = away.remember(|m| m.marks.is_moving = false).registered().pass().assess().after(MINUTE);
    assert!(back.look().accounts[0].not_before < earlier(back.now, soon), "one that is not to come back");
}
