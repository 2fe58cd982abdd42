//! Where messages are stored is set before a registration, and changed only by a consent, which never loses the number.

use std::time::Duration;

use super::*;
use crate::engine::value::{action::Action, secret::SecretFact, time::earlier};

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
    let back = back.registered().after(MINUTE);
    says("the old region may be gone, or not", &back, Reason::StorageRegionDiffers.as_str());
    says("and a person asks", &back.desire(retry("1")), "Deregister");
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
    let unread = two(|other| other.list = ListState::NotCheckable(Failure::NoAnswer("denied".into())));
    assert!(waits("not read", &unread).contains("another account may have it too"));
    waits("not read, asked", &unread.desire(retry("1")));
}
