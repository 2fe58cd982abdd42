//! The profile picture: uploaded when its source has another one, seldom looked at, and never in anybody's way.

use jiff::Timestamp;

use super::super::super::{
    fixture::{HOUR, MINUTE, SECOND, World, accepted, no_answer, refused, world},
    value::{
        block::Block,
        condition_type::ConditionType,
        desired::{Connection, DriftPolicy, Management, PictureSource, SecretKey},
        failure::{Class, Failure},
        memory::EntryOutcome,
        picture::{PictureFact, PictureFacts, PictureRead, Shown},
        reason::Reason,
        step::{Step, StepKind},
    },
};

const DAY: std::time::Duration = HOUR.saturating_mul(24);
const UPLOAD: StepKind = StepKind::WritePicture;

fn map() -> PictureSource {
    PictureSource::ConfigMap(SecretKey { name: "acme-logo".into(), key: "logo.png".into() })
}

fn address() -> PictureSource {
    PictureSource::Url("https://acme.example/logo.png".into())
}

fn usable(sum: &str) -> PictureFact {
    PictureFact::Usable { sum: sum.into() }
}

/// A registered number whose spec wants a picture that was not read yet.
fn wanted(source: PictureSource) -> World {
    world().own().registered().desire(|d| d.picture = Some(source)).pass()
}

/// One look that reads the source, if it is due.
fn reads(world: World, fact: PictureFact) -> World {
    let look = world.look();
    let (source, at) = (world.desired.picture.clone(), world.now);
    world.see(|o| {
        if let Some(source) = source.filter(|_| look.picture) {
            o.process.picture.read = Some(PictureRead { source, at, fact });
        }
    })
}

fn uploaded() -> World {
    reads(wanted(map()), usable("a")).act(UPLOAD, accepted()).after(SECOND).pass()
}

fn block(world: &World) -> Option<Block> {
    let aside = world.plan().aside;
    aside.into_iter().find(|(on, _)| *on == ConditionType::ProfileSynced).map(|(_, block)| block)
}

fn reason(world: &World) -> Option<Reason> {
    block(world).map(|block| block.reason)
}

fn is_read(world: &World) -> bool {
    world.look().picture
}

#[test]
fn what_was_read_is_uploaded_once_and_then_rests() {
    let world = reads(wanted(map()), usable("a"));
    let Some(Step::WritePicture { sum, .. }) = world.plan().step.map(|planned| planned.step) else {
        panic!()
    };
    assert_eq!(sum, "a");
    let done = world.act(UPLOAD, accepted());
    assert_eq!(done.memory.marks.picture.as_ref().map(|(sum, _)| sum.as_str()), Some("a"));
    let done = done.after(SECOND).pass();
    assert_eq!((done.says().as_str(), reason(&done)), ("Rest", None));
    assert_eq!(done.plan().date, Some(done.now + HOUR - SECOND), "and nothing is due before the next read");
    assert!(!is_read(&done));
}

#[test]
fn a_picture_is_read_every_hour_in_the_cluster_and_every_day_at_an_address() {
    for (source, every) in [(map(), HOUR), (address(), DAY)] {
        let world = reads(wanted(source), usable("a")).act(UPLOAD, accepted()).after(SECOND).pass();
        let before = world.after(every.saturating_sub(2 * SECOND));
        assert!(!is_read(&before));
        let due = before.after(SECOND);
        assert!(is_read(&due));
        assert_eq!(reads(due, usable("b")).says(), "WritePicture");
    }
    let asked = uploaded().desire(|d| d.consents.reconcile = Some("now".into()));
    assert!(is_read(&asked), "at once where a person asks");
    let other = uploaded().desire(|d| d.picture = Some(address()));
    assert!(is_read(&other), "and where the spec names another source");
}

#[test]
fn another_source_with_the_same_picture_uploads_nothing() {
    let moved = reads(uploaded().desire(|d| d.picture = Some(address())), usable("a"));
    assert_eq!(moved.says(), "Rest");
}

#[test]
fn a_new_process_reads_what_meta_has_some_time_later_and_what_is_missing_at_once() {
    let forgets = |world: World| {
        let now = world.now;
        world.see(|o| {
            o.process.picture = crate::engine::value::picture::PictureFacts::default();
            o.process.started = now;
        })
    };
    let known = forgets(uploaded());
    assert!(!is_read(&known) && reason(&known).is_none() && known.says() == "Rest");
    assert!(known.plan().date.is_some_and(|date| date <= known.now + HOUR));
    assert!(is_read(&known.after(HOUR)));
    assert!(is_read(&forgets(wanted(map()))));
    assert!(is_read(&forgets(uploaded()).desire(|d| d.picture = Some(address()))), "edited meanwhile");
}

#[test]
fn who_has_no_picture_reads_and_remembers_nothing() {
    let world = world().own().registered().pass();
    let (look, plan) = (world.look(), world.plan());
    assert_eq!((look.picture, look.picture_shown, plan.date), (false, None, None));
    assert_eq!(plan.memory.marks.picture, None);
    let removed = uploaded().desire(|d| d.picture = None).pass();
    assert_eq!((removed.memory.marks.picture.clone(), removed.says().as_str()), (None, "Rest"));
    assert!(!removed.memory.marks.in_sync.contains_key("profile.picture"));
}

#[test]
fn a_source_that_holds_no_picture_is_told_and_holds_nothing_else_up() {
    let bad = reads(wanted(map()), PictureFact::Unusable("it is empty; put a JPEG or PNG there".into()));
    let told = block(&bad).expect("a block");
    assert_eq!((bad.says().as_str(), told.reason), ("Rest", Reason::PictureUnusable));
    let said = "spec.profile.pictureRef.configMapKeyRef: it is empty; put a JPEG or PNG there; it is looked at again by itself, at once with kubectl whatsapp retry support-br -n shop-br";
    assert_eq!(told.message, said);
    assert!(!is_read(&bad.clone().after(14 * MINUTE)) && is_read(&bad.clone().after(15 * MINUTE)));
    assert!(is_read(&bad.clone().desire(|d| d.consents.retry = Some("mended".into()))));
    assert_eq!(reads(bad.after(15 * MINUTE), usable("a")).says(), "WritePicture");
    let away = reads(wanted(address()), PictureFact::Unreadable("acme.example: no answer".into()));
    assert_eq!((away.says().as_str(), reason(&away)), ("Rest", Some(Reason::PictureUnreadable)));
    assert!(!is_read(&away.clone().after(59 * MINUTE)) && is_read(&away.after(HOUR)));
}

#[test]
fn what_is_in_a_secret_becomes_public_only_with_its_label() {
    let secret = || PictureSource::Secret(SecretKey { name: "acme-logo".into(), key: "logo.png".into() });
    let refused = reads(wanted(secret()), PictureFact::Unlabelled("acme-logo".into()));
    let told = block(&refused).expect("a block");
    assert_eq!((refused.says().as_str(), told.reason), ("Rest", Reason::PictureUnlabelled));
    let command = "kubectl label secret acme-logo whatsapp-operator.dev/use=picture -n shop-br";
    assert!(told.message.contains(command), "{}", told.message);
    assert_eq!(reads(refused.after(15 * MINUTE), usable("a")).says(), "WritePicture");
    let unlabelled_since = reads(wanted(secret()), usable("a")).act(UPLOAD, accepted()).after(HOUR);
    let told = reads(unlabelled_since, PictureFact::Unlabelled("acme-logo".into()));
    assert_eq!((told.says().as_str(), reason(&told)), ("Rest", Some(Reason::PictureUnlabelled)));
}

#[test]
fn a_source_that_cannot_be_read_now_says_nothing_of_the_picture_that_meta_took() {
    let taken = reads(wanted(address()), usable("a")).act(StepKind::WritePicture, accepted()).pass();
    let away = reads(taken.after(25 * HOUR), PictureFact::Unreadable("acme.example: no answer".into()));
    assert_eq!((away.says().as_str(), reason(&away)), ("Rest", None));
}

#[test]
fn without_the_id_of_the_app_that_is_told_and_everything_else_goes_on() {
    let world = reads(wanted(map()), usable("a")).portfolio(|v| v.app = None);
    assert_eq!((world.says().as_str(), reason(&world)), ("Rest", Some(Reason::AppIdMissing)));
    assert!(block(&world).expect("a block").message.contains("set credentials.appId"));
    assert_eq!(world.clone().webhook().says(), "RouteWebhook");
    assert_eq!(
        reads(world.portfolio(|v| v.app = Some("1".into())).after(MINUTE), usable("a")).says(),
        "WritePicture"
    );
}

#[test]
fn what_meta_does_not_take_is_tried_again_later_and_later_and_on_retry() {
    let world = reads(wanted(map()), usable("a")).act(UPLOAD, refused(100, None, Class::Spec)).after(SECOND);
    let told = block(&world).expect("a block");
    assert_eq!((world.says().as_str(), told.reason), ("Rest", Reason::PictureRefused));
    assert!(told.message.contains("Message of Meta's") && told.failure.is_some(), "{}", told.message);
    let again = |world: &World, time| reads(world.clone().after(time), usable("a")).says();
    assert_eq!(again(&world, 14 * MINUTE), "Rest");
    assert_eq!(again(&world, 15 * MINUTE), "WritePicture");
    let twice = reads(world.clone().after(15 * MINUTE), usable("a")).act(UPLOAD, no_answer()).after(SECOND);
    assert_eq!(
        (again(&twice, 29 * MINUTE), again(&twice, 30 * MINUTE)),
        ("Rest".into(), "WritePicture".into())
    );
    assert_eq!(reason(&twice), Some(Reason::PicturePaused));
    let asked = reads(world.clone().desire(|d| d.consents.retry = Some("1".into())), usable("a"));
    assert_eq!(asked.says(), "WritePicture");
    let other = reads(world.after(15 * MINUTE), usable("b"));
    assert_eq!(other.says(), "WritePicture", "another picture waits for none of that");
}

#[test]
fn uploads_of_a_day_are_bounded_however_often_the_source_changes() {
    let mut world = wanted(map());
    let mut times = 0;
    for hour in 0..24 {
        world = reads(world.after(HOUR), usable(&format!("{hour}")));
        if world.says() == "WritePicture" {
            world = world.act(UPLOAD, accepted()).after(SECOND).pass();
            times += 1;
        }
    }
    assert_eq!((times, reason(&world)), (8, Some(Reason::PicturePaused)));
    assert!(block(&world).expect("a block").until.is_some_and(|until| until > world.now));
}

#[test]
fn who_died_in_an_upload_makes_another_after_a_while_and_what_was_not_sent_soon() {
    let died = reads(wanted(map()), usable("a")).die(UPLOAD).after(MINUTE);
    assert_eq!(died.says(), Reason::EffectNotVisibleYet.as_str());
    let died = died.after(MINUTE).pass();
    assert_eq!(died.memory.ledger.pictures[0].outcome, EntryOutcome::NoAnswer);
    assert!(died.memory.in_flight.is_none() && died.memory.marks.picture.is_none());
    assert_eq!(reads(died.clone(), usable("a")).says(), "Rest");
    assert_eq!(reads(died.after(15 * MINUTE), usable("a")).says(), "WritePicture");
    let not_sent = Err(Failure::NotSent("no route".into()));
    let held = reads(wanted(map()), usable("a")).act(UPLOAD, not_sent).after(SECOND);
    assert_eq!(reason(&held), Some(Reason::NotSentYet));
    assert_eq!(reads(held.after(MINUTE), usable("a")).says(), "WritePicture");
}

#[test]
fn a_picture_that_meta_lost_is_uploaded_again_unless_that_is_only_told() {
    let shown = |world: World, has_one: bool| {
        let at = world.now;
        assert!(world.look().picture_shown.is_some());
        reads(world.see(|o| o.process.picture.shown = Some((at, shows(has_one)))), usable("a"))
    };
    let next = || uploaded().after(DAY).after(DAY);
    assert!(uploaded().after(HOUR).look().picture_shown.is_none(), "it is asked once a day");
    assert_eq!(shown(next(), true).says(), "Rest");
    assert!(shown(next(), true).after(HOUR).look().picture_shown.is_none());
    let lost = shown(next(), false);
    assert_eq!(lost.says(), "WritePicture");
    let again = lost.act(UPLOAD, accepted()).after(SECOND).pass();
    assert_eq!((again.says().as_str(), reason(&again)), ("Rest", None));
    let told = shown(next().desire(|d| d.drift = DriftPolicy::Report), false);
    assert_eq!((told.says().as_str(), reason(&told)), ("Rest", Some(Reason::ProfileDiffers)));
    assert_eq!(
        reads(told.desire(|d| d.consents.retry = Some("1".into())), usable("a")).says(),
        "WritePicture"
    );
}

/// A look that finds no picture at Meta, so long after the one before, and the upload that follows.
fn uploaded_again(world: World, pause: std::time::Duration) -> World {
    let lost = asked_for_one(world.after(pause), Some(false));
    assert_eq!(lost.says(), "WritePicture");
    lost.act(UPLOAD, accepted()).after(SECOND).pass()
}

/// Somebody takes the picture away after each of three uploads, and it is seen after such a time each.
fn taken_away_every(pause: std::time::Duration) -> World {
    let mut world = uploaded().after(DAY);
    for _ in 0..3 {
        world = uploaded_again(world, pause);
    }
    asked_for_one(world.after(pause), Some(false)).pass()
}

#[test]
fn whoever_takes_the_picture_away_at_each_look_has_the_last_word_until_a_person_asks_or_it_is_another_one() {
    assert_eq!(
        taken_away_every(29 * HOUR).says(),
        "WritePicture",
        "rarely enough that each may have a reason"
    );
    let left = taken_away_every(27 * HOUR);
    let told = block(&left).expect("a block");
    assert_eq!((left.says().as_str(), told.reason), ("Rest", Reason::ContendedBy));
    for words in
        ["profile.picture was written 3 times", "\"no picture\"", "kubectl whatsapp retry support-br"]
    {
        assert!(told.message.contains(words), "{words}: {}", told.message);
    }
    let listed = crate::engine::drift::diff(&left.desired, &left.observed, &left.memory, left.now);
    let drift = listed.iter().find(|one| one.field == "profile.picture").expect("it is listed");
    assert!(drift.live.is_empty() && drift.action.contains("again and again"), "{drift:?}");
    let later = asked_for_one(left.clone().after(30 * DAY), Some(false)).pass();
    assert_eq!((later.says().as_str(), reason(&later)), ("Rest", Some(Reason::ContendedBy)));
    assert!(
        is_read(&left.clone().after(15 * MINUTE)) && !is_read(&left.clone().after(14 * MINUTE)),
        "few reads"
    );

    let retried =
        reads(left.clone().after(HOUR).desire(|d| d.consents.retry = Some("1".into())), usable("a"));
    assert_eq!(retried.says(), "WritePicture");
    let once = retried.act(UPLOAD, accepted()).after(SECOND).pass();
    assert_eq!((once.says().as_str(), reason(&once)), ("Rest", None));
    let again = asked_for_one(once.after(DAY), Some(false)).pass();
    assert_eq!(
        (again.says().as_str(), reason(&again)),
        ("Rest", Some(Reason::ContendedBy)),
        "one retry is one"
    );

    for (what, world) in [
        ("another picture", reads(left.clone().after(HOUR), usable("b"))),
        (
            "another source",
            reads(left.clone().after(HOUR).desire(|d| d.picture = Some(address())), usable("a")),
        ),
    ] {
        assert_eq!(world.says(), "WritePicture", "{what}");
        let anew = world.act(UPLOAD, accepted()).after(SECOND).pass();
        assert!(!anew.memory.marks.repairs.contains_key("profile.picture"), "{what} is a new word");
    }
    let shown = asked_for_one(left.after(30 * DAY), Some(true)).pass();
    assert_eq!((shown.says().as_str(), reason(&shown)), ("Rest", None), "he gave in");
    assert_eq!(uploaded_again(shown, DAY).says(), "Rest", "and what is lost much later is no contest");
}

#[test]
fn what_is_told_of_a_lost_picture_stays_while_its_source_cannot_be_read() {
    let report = |world: World| world.desire(|d| d.drift = DriftPolicy::Report);
    let lost = |world: World| asked_for_one(world.after(DAY).after(DAY), Some(false));
    let refused = lost(uploaded()).act(UPLOAD, refused(100, None, Class::Spec)).after(SECOND).pass();
    for (told, world) in [
        (Reason::ProfileDiffers, lost(report(uploaded())).pass().after(15 * MINUTE)),
        (Reason::ContendedBy, taken_away_every(27 * HOUR).after(15 * MINUTE)),
        (Reason::PictureRefused, refused.after(MINUTE)),
    ] {
        assert_eq!(reason(&world), Some(told));
        let before = world.assess();
        for unread in [PictureFact::Unreadable("no answer".into()), PictureFact::NoRoom] {
            let (source, at) = (map(), before.now);
            let away = before.clone().see(|o| {
                o.process.picture.read = Some(PictureRead { source, at, fact: unread.clone() });
            });
            assert_eq!((away.says().as_str(), reason(&away)), ("Rest", Some(told)), "{unread:?}");
            let after = away.assess();
            let synced = |world: &World| {
                let set = &world.before.conditions;
                set.get(ConditionType::ProfileSynced).map(|c| (c.status, c.reason, c.message.clone()))
            };
            assert_eq!(synced(&after), synced(&before), "{told:?}, {unread:?}");
        }
    }
    // What only the source holds up is told as that.
    let away = lost(uploaded()).see(|o| {
        o.process.picture.read.as_mut().expect("a read").fact = PictureFact::Unreadable("no answer".into());
    });
    assert_eq!((away.says().as_str(), reason(&away)), ("Rest", Some(Reason::PictureUnreadable)));
}

#[test]
fn a_picture_that_is_known_to_be_lost_is_lost_for_the_next_process_too() {
    let report = |world: World| world.desire(|d| d.drift = DriftPolicy::Report);
    let restarted = |world: World| world.after(MINUTE).see(|o| o.process.picture = PictureFacts::default());
    let lost = asked_for_one(report(uploaded().after(DAY).after(DAY)), Some(false)).pass().assess();
    let since = lost.memory.marks.picture_lost;
    assert!(since.is_some());
    let next = restarted(lost.clone());
    assert!(next.look().picture, "what was told is judged anew at once");
    let next = reads(next, usable("a")).pass();
    assert_eq!((next.says().as_str(), reason(&next)), ("Rest", Some(Reason::ProfileDiffers)));
    assert_eq!(next.memory.marks.picture_lost, since);
    // What ends it.
    let shown = asked_for_one(next.clone().after(DAY).after(DAY), Some(true)).pass();
    assert_eq!((reason(&shown), shown.memory.marks.picture_lost), (None, None));
    let retried = reads(next.desire(|d| d.consents.retry = Some("1".into())), usable("a"));
    let again = retried.act(UPLOAD, accepted()).after(SECOND).pass();
    assert_eq!((reason(&again), again.memory.marks.picture_lost), (None, None));
    let unwanted = lost.desire(|d| d.picture = None).pass();
    assert_eq!(unwanted.memory.marks.picture_lost, None);
    // One that is as it should be is looked at in its turn.
    assert!(!restarted(uploaded().assess()).look().picture);
}

/// One look at a number whose account has it already, and that shows a picture or none.
fn found(has_one: Option<bool>) -> World {
    found_with(has_one.map(shows))
}

fn found_with(shown: Option<Shown>) -> World {
    let world = world().number(|_| {}).registered().desire(|d| d.picture = Some(map())).pass();
    asked(world, shown)
}

fn asked_for_one(world: World, has_one: Option<bool>) -> World {
    asked(world, has_one.map(shows))
}

fn asked(world: World, shown: Option<Shown>) -> World {
    assert!(world.look().picture_shown.is_some(), "it is asked at once");
    let at = world.now;
    reads(world.see(|o| o.process.picture.shown = shown.map(|shown| (at, shown))), usable("a"))
}

fn shows(has_one: bool) -> Shown {
    if has_one { Shown::Picture } else { Shown::NoPicture }
}

fn unknown(read: Result<crate::engine::outcome::Accepted, Failure>) -> Shown {
    read.map_or_else(Shown::Unknown, |_| Shown::Picture)
}

#[test]
fn a_number_that_was_found_keeps_the_picture_that_it_shows_until_the_source_has_another_one() {
    let kept = found(Some(true)).pass();
    assert_eq!((kept.says().as_str(), reason(&kept)), ("Rest", None));
    assert_eq!(kept.memory.marks.picture.as_ref().map(|(sum, _)| sum.as_str()), Some("a"));
    assert!(kept.clone().after(MINUTE).look().picture_shown.is_none(), "it is asked once");
    assert_eq!(reads(kept.clone().after(HOUR), usable("a")).says(), "Rest");
    let changed = reads(kept.after(HOUR), usable("b"));
    assert_eq!(changed.says(), "WritePicture");
    let changed = changed.act(UPLOAD, accepted());
    assert!(!changed.memory.marks.picture_found);
    let lost = found(Some(true)).pass().after(DAY).after(DAY);
    assert_eq!(asked_for_one(lost, Some(false)).says(), "WritePicture");
}

#[test]
fn a_number_that_was_found_without_a_picture_gets_that_of_the_source() {
    let world = found(Some(false));
    assert_eq!(world.says(), "WritePicture");
    let done = world.act(UPLOAD, accepted()).after(SECOND).pass();
    assert_eq!((done.says().as_str(), done.memory.marks.picture_found), ("Rest", false));
}

#[test]
fn with_report_a_number_that_was_found_without_a_picture_is_told_of_and_gets_none_before_an_edit_or_a_retry()
{
    let report = |world: World| world.desire(|d| d.drift = DriftPolicy::Report);
    let told = report(found(Some(false)));
    let block = block(&told).expect("a block");
    assert_eq!((told.says().as_str(), block.reason), ("Rest", Reason::ProfileDiffers));
    for words in ["found without a picture", "driftPolicy is Report", "kubectl whatsapp retry support-br"] {
        assert!(block.message.contains(words), "{}", block.message);
    }
    let kept = told.pass();
    let later = reads(asked_for_one(kept.clone().after(DAY).after(DAY), Some(false)), usable("a"));
    assert_eq!((later.says().as_str(), reason(&later)), ("Rest", Some(Reason::ProfileDiffers)));
    let listed = crate::engine::drift::diff(&later.desired, &later.observed, &later.memory, later.now);
    let picture = listed.iter().find(|one| one.field == "profile.picture").expect("it is listed");
    assert!(picture.live.is_empty() && picture.action.contains("driftPolicy is Report"), "{picture:?}");
    for (what, world) in [
        (
            "a retry",
            reads(kept.clone().after(MINUTE).desire(|d| d.consents.retry = Some("1".into())), usable("a")),
        ),
        ("another picture", reads(kept.clone().after(HOUR), usable("b"))),
        ("Enforce", reads(later.desire(|d| d.drift = DriftPolicy::Enforce), usable("a"))),
    ] {
        assert_eq!(world.says(), "WritePicture", "{what}");
    }
    // Nobody takes a picture from those who have one, and whoever added the number wants what the spec says.
    assert_eq!(report(found(Some(true))).says(), "Rest");
    assert_eq!(report(reads(wanted(map()), usable("a"))).says(), "WritePicture");
}

#[test]
fn nothing_is_uploaded_while_meta_does_not_show_whether_a_found_number_has_a_picture() {
    let unknown = found(None);
    assert_eq!((unknown.says().as_str(), reason(&unknown)), ("Rest", Some(Reason::ObservationIncomplete)));
    let later = unknown.clone().pass().after(15 * MINUTE);
    assert_eq!(asked_for_one(later, Some(true)).says(), "Rest");
    let asked = unknown.pass().after(MINUTE).desire(|d| d.consents.retry = Some("1".into()));
    assert_eq!(reads(asked, usable("a")).says(), "WritePicture");
}

#[test]
fn a_retry_that_was_set_before_the_number_was_found_uploads_nothing() {
    let at = world().now;
    let before = |world: World| {
        world.desire(|d| (d.consents.retry, d.consents.retry_set) = (Some("r1".into()), Some(at - MINUTE)))
    };
    for has_one in [Some(true), None] {
        let found = before(found(has_one));
        assert_eq!(found.says(), "Rest", "{has_one:?}");
        let later = reads(found.pass().after(SECOND), usable("a"));
        assert_eq!(later.says(), "Rest", "{has_one:?}, later");
    }
}

/// A number that was found, whose region is not known, whose PIN this object set since, and which shows a picture.
fn found_somewhere() -> World {
    let consented = |world: World| {
        world.desire(|d| {
            d.registration.storage_region = Some("BR".into());
            d.registration.may_move = true;
            d.registration.is_pin_named = true;
        })
    };
    let named = consented(found(Some(true))).pass().after(MINUTE);
    let other = named.see(|o| o.pin_secret = crate::engine::fixture::present("pin", 2));
    other.act(StepKind::SetPin, accepted()).after(MINUTE).pass()
}

#[test]
fn a_retry_for_a_picture_that_was_found_causes_no_outage() {
    let retried = |value: &str, world: World| {
        let value = Some(value.to_owned());
        world.after(MINUTE).desire(|d| d.consents.retry = value)
    };
    let asked = reads(retried("1", found_somewhere()), usable("a"));
    assert_eq!(asked.says(), "WritePicture");
    let done = asked.act(UPLOAD, accepted()).after(SECOND).pass();
    assert_eq!(done.says(), "Rest", "the same retry does nothing else");
    assert_eq!(retried("2", done).says(), "Deregister", "the next one is the region's");
    let away = reads(retried("1", found_somewhere()), PictureFact::Unreadable("no answer".into()));
    assert_eq!((away.says().as_str(), reason(&away)), ("Rest", Some(Reason::PictureUnreadable)));
    let without = reads(retried("1", found_somewhere()), usable("a")).portfolio(|v| v.app = None);
    assert_eq!((without.says().as_str(), reason(&without)), ("Rest", Some(Reason::AppIdMissing)));
}

#[test]
fn a_question_whose_answer_was_lost_marks_nothing_and_is_asked_again_within_the_hour() {
    let lost = found_with(Some(unknown(no_answer()))).pass();
    assert_eq!((lost.says().as_str(), reason(&lost)), ("Rest", Some(Reason::ObservationIncomplete)));
    assert!(lost.memory.marks.picture.is_none() && lost.memory.marks.picture_found);
    assert!(lost.clone().after(59 * MINUTE).look().picture_shown.is_none(), "few calls");
    let without = asked_for_one(lost.clone().after(HOUR), Some(false));
    assert_eq!(without.says(), "WritePicture");
    let with = asked_for_one(lost.after(HOUR), Some(true)).pass();
    assert_eq!((with.says().as_str(), reason(&with)), ("Rest", None));
    assert!(with.memory.marks.picture.is_some());
}

#[test]
fn a_question_that_meta_refuses_marks_nothing_and_leaves_the_upload_to_a_retry() {
    let refused = found_with(Some(unknown(refused(100, Some(33), Class::Spec)))).pass();
    let told = block(&refused).expect("a block");
    assert_eq!((refused.says().as_str(), told.reason), ("Rest", Reason::ObservationIncomplete));
    for words in ["refuses to tell", "(100/33)", "kubectl whatsapp retry support-br -n shop-br"] {
        assert!(told.message.contains(words), "{words}: {}", told.message);
    }
    assert!(refused.memory.marks.picture.is_none() && refused.memory.marks.picture_found);
    assert!(refused.clone().after(23 * HOUR).look().picture_shown.is_none(), "it is asked once a day");
    assert!(refused.clone().after(24 * HOUR).look().picture_shown.is_some());
    let retried = refused.after(MINUTE).desire(|d| d.consents.retry = Some("1".into()));
    assert_eq!(reads(retried, usable("a")).says(), "WritePicture");
}

#[test]
fn a_question_that_fails_says_nothing_of_a_picture_that_was_uploaded() {
    for failed in [no_answer(), refused(100, Some(33), Class::Spec)] {
        let kept = asked(uploaded().after(DAY).after(DAY), Some(unknown(failed))).pass();
        assert_eq!((kept.says().as_str(), reason(&kept)), ("Rest", None));
        assert!(kept.after(HOUR).look().picture_shown.is_none(), "it is asked once a day");
    }
}

#[test]
fn a_retry_that_nobody_else_needs_uploads_over_a_picture_that_was_found_once() {
    let kept = found(Some(true)).pass().after(MINUTE);
    let asked = reads(kept.clone().desire(|d| d.consents.retry = Some("1".into())), usable("a"));
    assert_eq!(asked.says(), "WritePicture");
    let done = asked.act(UPLOAD, accepted()).after(SECOND).pass();
    assert_eq!(done.says(), "Rest");
    let again = reads(done.after(MINUTE).desire(|d| d.consents.retry = Some("2".into())), usable("a"));
    assert_eq!(again.says(), "Rest", "our own is there");
    let other = kept.webhook().act(StepKind::RouteWebhook, refused(2200, None, Class::Person)).after(MINUTE);
    let other = reads(other.desire(|d| d.consents.retry = Some("1".into())), usable("a"));
    assert_eq!(other.says(), "RouteWebhook", "who was told to ask gets it");
}

#[test]
fn whoever_wishes_for_a_picture_after_the_number_was_found_gets_it() {
    let world = world().number(|_| {}).registered().pass().after(HOUR).desire(|d| d.picture = Some(map()));
    assert_eq!(reads(world, usable("a")).says(), "WritePicture");
    let removed = found(Some(true)).pass().desire(|d| d.picture = None).pass();
    let wished = removed.after(HOUR).desire(|d| d.picture = Some(map()));
    assert_eq!(reads(wished, usable("a")).says(), "WritePicture");
    let observed = world_that_observes().desire(|d| d.management = Management::Full);
    assert_eq!(asked_for_one(observed, Some(true)).says(), "Rest", "found while it only observed");
}

fn world_that_observes() -> World {
    let world = world().number(|_| {}).registered();
    world.desire(|d| (d.picture, d.management) = (Some(map()), Management::ObserveOnly)).pass()
}

#[test]
fn a_new_picture_is_an_edit_whatever_becomes_of_changes_of_others() {
    let world = reads(uploaded().desire(|d| d.drift = DriftPolicy::Report).after(HOUR), usable("b"));
    assert_eq!(world.says(), "WritePicture");
}

#[test]
fn nothing_is_read_or_uploaded_for_whoever_writes_nothing() {
    let of = |change: fn(&mut crate::engine::value::desired::Desired)| {
        let world = wanted(map()).desire(change);
        (world.look().picture, reads(world, usable("a")).plan().step)
    };
    assert_eq!(of(|d| d.suspend = true), (false, None));
    assert_eq!(of(|d| d.management = Management::ObserveOnly), (false, None));
    assert!(!of(|d| d.connection = Connection::Coexistence).0);
    let before = world().own().desire(|d| d.picture = Some(map()));
    assert!(!before.look().picture, "nor before the number is registered");
}

#[test]
fn bytes_of_an_earlier_look_are_read_once_more_before_they_are_sent() {
    let world = reads(wanted(map()), usable("a"));
    let stale: Timestamp = world.now - SECOND;
    let world = world.see(|o| o.process.picture.read.as_mut().expect("a read").at = stale);
    assert_eq!((world.says().as_str(), reason(&world)), ("Rest", Some(Reason::NotObservedYet)));
    assert!(is_read(&world.after(30 * SECOND)));
}
