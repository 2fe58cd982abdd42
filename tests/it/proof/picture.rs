//! The profile picture, whole: read, uploaded, and told of, against the simulated Meta.

use whatsapp_operator::{
    engine::{
        condition::Truth,
        condition_type::ConditionType,
        desired::{Desired, DriftPolicy, PictureSource, SecretKey},
        reason::Reason,
    },
    run::picture::{PictureBytes, png},
    sandbox::{Fault, FaultKind, Match, What},
};

use super::world::*;

fn source() -> PictureSource {
    PictureSource::ConfigMap(SecretKey { name: "acme-logo".into(), key: "logo.png".into() })
}

/// A picture of some size that is like no other.
fn picture(nth: u8) -> Vec<u8> {
    [png(640, 640), vec![nth; 40_000]].concat()
}

fn found(nth: u8) -> PictureBytes {
    PictureBytes::Found(picture(nth).into())
}

/// Registered and at rest, and now its spec wants a picture.
async fn wants(there: PictureBytes, change: impl FnOnce(&mut Desired)) -> World {
    let mut world = World::new().await;
    world.cluster.put_picture(&source(), there);
    world.people.consents = 3;
    world.cluster.apply(plain_channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR).await;
    world.cluster.edit(CHANNEL, |desired| {
        desired.picture = Some(source());
        change(desired);
    });
    world.wake(CHANNEL, SECOND);
    *world.accident.lock().unwrap() = Accident::default();
    world
}

/// The sums of the pictures that were set at Meta.
fn set(world: &World) -> Vec<String> {
    let sum = |what| match what {
        What::PictureSet { sha256, .. } => Some(sha256),
        _ => None,
    };
    world.effects().into_iter().filter_map(|effect| sum(effect.what)).collect()
}

fn taken(world: &World) -> Option<String> {
    world.status().memory.marks.picture.map(|(sum, _)| sum)
}

fn posts(world: &World, path: &str) -> usize {
    world.sandbox.calls().iter().filter(|call| call.method == "POST" && call.path == path).count()
}

#[track_caller]
fn synced(world: &World, status: Truth, reason: Reason) -> String {
    let is = world.status().condition(ConditionType::ProfileSynced).cloned().expect("it is there");
    assert_eq!((is.status, is.reason), (status, reason), "{}\n{}", is.message, world.story());
    assert!(world.status().is_ready(), "a picture holds nothing up\n{}", world.story());
    is.message
}

#[tokio::test]
async fn a_picture_is_uploaded_once_and_again_only_when_its_source_changes() {
    let mut world = wants(found(1), |_| {}).await;
    world.run_for(HOUR).await;
    synced(&world, Truth::True, Reason::InSync);
    assert_eq!((set(&world).len(), set(&world).pop()), (1, taken(&world)), "{}", world.story());
    let (stands, calls) = (world.cluster.written_count(), posts(&world, "/{app}/uploads"));
    world.restart(0);
    world.run_for(DAY * 3).await;
    assert_eq!(
        (world.cluster.written_count(), posts(&world, "/{app}/uploads"), set(&world).len()),
        (stands, calls, 1)
    );
    world.cluster.put_picture(&source(), found(2));
    world.run_for(HOUR * 2).await;
    assert_eq!((set(&world).len(), set(&world).pop()), (2, taken(&world)), "{}", world.story());
}

#[tokio::test]
async fn a_picture_that_found_no_room_is_read_soon_and_nothing_is_lost_by_it() {
    let mut world = wants(PictureBytes::NoRoom, |_| {}).await;
    world.run_for(MINUTE).await;
    let told = synced(&world, Truth::False, Reason::PictureUnreadable);
    assert!(told.contains("no room in memory"), "{told}");
    world.cluster.put_picture(&source(), found(1));
    world.run_for(HOUR / 6).await;
    synced(&world, Truth::True, Reason::InSync);
    assert_eq!((set(&world).len(), set(&world).pop()), (1, taken(&world)), "{}", world.story());
    // What is there is not doubted where its source finds no room.
    let stands = world.cluster.written_count();
    world.cluster.put_picture(&source(), PictureBytes::NoRoom);
    world.run_for(HOUR * 3).await;
    synced(&world, Truth::True, Reason::InSync);
    assert_eq!((world.cluster.written_count(), set(&world).len()), (stands, 1));
}

/// As after the loss of a cluster: the manifest is there, and nothing that was remembered.
async fn created_anew(meanwhile: impl FnOnce(&World)) -> World {
    let mut world = wants(found(1), |_| {}).await;
    world.run_for(HOUR).await;
    assert_eq!(set(&world).len(), 1, "{}", world.story());
    let wanted = (*world.cluster.desired(CHANNEL)).clone();
    world.cluster.delete(CHANNEL);
    meanwhile(&world);
    world.cluster.apply(Desired { uid: "another".into(), generation: 1, ..wanted });
    world.restart(0);
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world
}

#[tokio::test]
async fn a_channel_that_is_created_anew_uploads_nothing_over_the_picture_that_meta_shows() {
    let mut world = created_anew(|_| {}).await;
    let posted = |world: &World| world.sandbox.calls().iter().filter(|call| call.method == "POST").count();
    let before = posted(&world);
    world.run_for(HOUR).await;
    synced(&world, Truth::True, Reason::InSync);
    let (stands, shown) = (world.cluster.written_count(), taken(&world));
    world.restart(0);
    world.run_for(DAY * 3).await;
    assert_eq!((posted(&world), set(&world).len()), (before, 1), "{}", world.story());
    assert_eq!((world.cluster.written_count(), set(&world).pop()), (stands, shown));

    world.cluster.put_picture(&source(), found(2));
    world.run_for(HOUR * 2).await;
    assert_eq!((set(&world).len(), set(&world).pop()), (2, taken(&world)), "{}", world.story());
}

#[tokio::test]
async fn a_person_has_a_picture_uploaded_over_the_one_that_was_found() {
    let mut world = created_anew(|_| {}).await;
    world.run_for(HOUR).await;
    world.retry(CHANNEL);
    world.run_for(HOUR).await;
    assert_eq!((set(&world).len(), set(&world).pop()), (2, taken(&world)), "{}", world.story());
    world.retry(CHANNEL);
    world.run_for(HOUR).await;
    assert_eq!(set(&world).len(), 2, "it is the operator's own now\n{}", world.story());
}

#[tokio::test]
async fn a_channel_that_is_created_anew_uploads_where_meta_shows_no_picture() {
    let mut world = created_anew(|world| assert!(world.sandbox.lose_picture(DIGITS))).await;
    world.run_for(HOUR).await;
    assert_eq!((set(&world).len(), set(&world).pop()), (2, taken(&world)), "{}", world.story());
    synced(&world, Truth::True, Reason::InSync);
}

#[tokio::test]
async fn an_upload_that_breaks_off_goes_on_where_it_broke() {
    for breaks in [vec![10_000], vec![10_000, 5], vec![0], vec![usize::MAX]] {
        let mut world = wants(found(1), |_| {}).await;
        for (at, bytes) in breaks.iter().enumerate() {
            let on = Match::on("POST", "upload").nth(at as u64 + 1);
            world.sandbox.inject(Fault { on, kind: FaultKind::BrokenUpload { bytes: *bytes } });
        }
        world.run_for(HOUR).await;
        // Where every byte came and the answer was lost, there is nothing left to send that would bring it.
        let starts = 1;
        assert_eq!(posts(&world, "/{app}/uploads"), starts, "{breaks:?}\n{}", world.story());
        assert_eq!(
            (set(&world).len(), set(&world).pop()),
            (1, taken(&world)),
            "{breaks:?}\n{}",
            world.story()
        );
        assert_eq!(posts(&world, "/{upload}"), breaks.len() + 1, "{breaks:?}");
    }
}

/// In the end the picture is there, whatever happened once, and it was not uploaded more often than that explains.
async fn comes_to_be(mut world: World, accident: &str) {
    world.run_for(HOUR * 3).await;
    let faults = world.sandbox.faults();
    let has_met = faults.as_array().is_some_and(|all| all.iter().any(|fault| fault["applied"] != 0));
    assert!(has_met || world.accident.lock().unwrap().fired, "{accident}: it never happened");
    let sums = set(&world);
    assert!((1..=2).contains(&sums.len()), "{accident}: {} pictures\n{}", sums.len(), world.story());
    assert_eq!(sums.last().cloned(), taken(&world), "{accident}\n{}", world.story());
    assert!(posts(&world, "/{app}/uploads") <= 2, "{accident}\n{}", world.story());
    synced(&world, Truth::True, Reason::InSync);
    world.check_nothing_twice();
}

async fn wanted() -> World {
    wants(found(1), |_| {}).await
}

#[tokio::test]
async fn a_crash_or_a_conflict_at_any_status_write_of_an_upload_ends_with_the_picture() {
    use WriteFault::{Conflict, CrashAfter, CrashBefore, Error, TimeoutLanded, TimeoutLost};
    let mut world = wanted().await;
    world.run_for(HOUR).await;
    let writes = world.accident.lock().unwrap().writes;
    assert!(writes >= 2, "it writes status {writes} times");
    for nth in 1..=writes {
        for fault in [CrashBefore, CrashAfter, Conflict, Error, TimeoutLanded, TimeoutLost] {
            let world = wanted().await;
            world.accident.lock().unwrap().write = Some((nth, fault));
            comes_to_be(world, &format!("{fault:?} at status write {nth}")).await;
        }
    }
}

#[tokio::test]
async fn a_crash_around_any_call_of_an_upload_ends_with_the_picture() {
    let mut world = wanted().await;
    world.run_for(MINUTE * 10).await;
    let calls = world.accident.lock().unwrap().calls.clone();
    let at = calls.iter().position(|call| *call == "write_picture").expect("it is uploaded") + 1;
    for fault in [CallFault::CrashBefore, CallFault::CrashAfter] {
        let world = wanted().await;
        world.accident.lock().unwrap().call = Some((at, fault));
        comes_to_be(world, &format!("{fault:?}")).await;
    }
}

#[tokio::test]
async fn a_reply_lost_or_garbled_at_any_request_of_an_upload_ends_with_the_picture() {
    let kinds = [
        FaultKind::TimeoutBefore,
        FaultKind::TimeoutAfter,
        FaultKind::Status { code: 503 },
        FaultKind::StatusAfter { code: 500 },
        FaultKind::Html { code: 502 },
        FaultKind::TruncatedBody,
    ];
    for edge in ["uploads", "upload", "whatsapp_business_profile"] {
        for kind in &kinds {
            let world = wanted().await;
            world.sandbox.inject(Fault { on: Match::on("POST", edge).nth(1), kind: kind.clone() });
            comes_to_be(world, &format!("{kind:?} at {edge}")).await;
        }
    }
}

#[tokio::test]
async fn a_source_without_a_picture_is_told_and_nothing_is_sent() {
    for (there, says) in [
        (PictureBytes::Found("<html>log in</html>".into()), "neither JPEG nor PNG"),
        (PictureBytes::Found(png(60_000, 60_000).into()), "60000 x 60000 pixels"),
        (PictureBytes::Found([picture(1), vec![0; 6_000_000]].concat().into()), "more than 5 MB"),
        (PictureBytes::Unusable("ConfigMap acme-logo has no key logo.png".into()), "has no key logo.png"),
    ] {
        let mut world = wants(there, |_| {}).await;
        let before = world.sandbox.calls().len();
        world.run_for(HOUR).await;
        let said = synced(&world, Truth::False, Reason::PictureUnusable);
        assert!(said.contains(says) && said.starts_with("spec.profile.pictureRef"), "{said}");
        let stands = world.cluster.written_count();
        world.run_for(DAY).await;
        assert_eq!(world.cluster.written_count(), stands, "{}", world.story());
        let sent = world.sandbox.calls().split_off(before);
        assert!(sent.iter().all(|call| call.method == "GET"), "{}", world.story());
        world.cluster.put_picture(&source(), found(1));
        world.run_for(HOUR).await;
        synced(&world, Truth::True, Reason::InSync);
    }
}

#[tokio::test]
async fn a_picture_that_meta_refuses_is_tried_a_few_times_a_day() {
    let mut world = wanted().await;
    let envelope = serde_json::json!({"error": {"code": 100, "message": "(#100) Invalid parameter"}});
    let on = Match::on("POST", "whatsapp_business_profile");
    world.sandbox.inject(Fault { on, kind: FaultKind::Error { envelope } });
    world.run_for(DAY).await;
    let said = synced(&world, Truth::False, Reason::PictureRefused);
    assert!(said.contains("Invalid parameter"), "{said}");
    let tries = posts(&world, "/{app}/uploads");
    assert!((2..=8).contains(&tries), "{tries} in a day\n{}", world.story());
    world.sandbox.clear_faults();
    world.retry(CHANNEL);
    world.run_for(MINUTE * 5).await;
    synced(&world, Truth::True, Reason::InSync);
}

#[tokio::test]
async fn a_picture_that_meta_lost_is_uploaded_again_or_told() {
    for (policy, times) in [(DriftPolicy::Enforce, 2), (DriftPolicy::Report, 1)] {
        let mut world = wants(found(1), |desired| desired.drift = policy).await;
        world.run_for(HOUR).await;
        assert!(world.sandbox.lose_picture(DIGITS));
        world.run_for(DAY * 3).await;
        assert_eq!(set(&world).len(), times, "{policy:?}\n{}", world.story());
        match policy {
            DriftPolicy::Enforce => synced(&world, Truth::True, Reason::InSync),
            DriftPolicy::Report => synced(&world, Truth::False, Reason::ProfileDiffers),
        };
        // Another process has not seen what Meta showed.
        let told = |world: &World| {
            let before = world.status().before;
            let waits: Vec<String> = before.waiting_for.into_iter().map(|wait| wait.action).collect();
            (before.drift, waits, world.cluster.written_count(), set(world).len())
        };
        let before = told(&world);
        let fields: Vec<&str> = before.0.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields == ["profile.picture"], policy == DriftPolicy::Report, "{fields:?}");
        world.restart(0);
        for time in [MINUTE, HOUR, DAY * 3] {
            world.run_for(time).await;
            assert_eq!(told(&world), before, "{policy:?}, {time:?} after a restart\n{}", world.story());
        }
    }
}
