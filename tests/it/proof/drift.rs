//! Fields that somebody else changes at Meta: written again, told, or left to him.

use whatsapp_operator::{
    engine::{
        condition::Truth,
        condition_type::ConditionType,
        desired::{Desired, DriftPolicy, PictureSource, SecretKey, Username},
        reason::Reason,
    },
    run::picture::{PictureBytes, png},
    sandbox::{Number, Profile, Rival, Switches, What, World as Meta},
};

use super::world::*;

const THEIRS: &str = "https://elsewhere.example/wa";

/// Everything managed, as desired and at rest.
async fn at_rest(change: impl FnOnce(&mut Desired)) -> World {
    let mut world = World::new().await;
    world.people.consents = 3;
    let mut wanted = channel();
    change(&mut wanted);
    world.cluster.apply(wanted);
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR * 2).await;
    world
}

fn rival(times: Option<u32>) -> Rival {
    let profile = Profile { about: Some("Closed for ever".into()), ..Profile::default() };
    let (profile, callback) = (Some(profile), Some(THEIRS.into()));
    Rival { profile, callback, after_secs: 60, times, ..Rival::default() }
}

/// How often the profile and the webhook were written.
fn written(world: &World) -> (usize, usize) {
    let profiles = world.count(|what| matches!(what, What::ProfileWritten { .. }));
    (profiles, world.count(|what| matches!(what, What::Overridden { .. })))
}

#[track_caller]
fn both(world: &World, reason: Reason) {
    for kind in [ConditionType::ProfileSynced, ConditionType::WebhookRouted] {
        let is = world.status().condition(kind).cloned().expect("it is there");
        assert_eq!((is.status, is.reason), (Truth::False, reason), "{}\n{}", is.message, world.story());
    }
}

#[tokio::test]
async fn what_somebody_changes_once_is_written_once_and_nothing_else_is() {
    let mut world = at_rest(|_| {}).await;
    let (profiles, webhooks) = written(&world);
    world.sandbox.set_rival(DIGITS, Some(rival(Some(1))));
    world.run_for(HOUR).await;
    assert_eq!(written(&world), (profiles + 1, webhooks + 1), "{}", world.story());
    assert!(world.status().is_ready() && world.status().before.drift.is_empty(), "{}", world.story());
    let stands = world.cluster.written_count();
    world.run_for(DAY).await;
    assert_eq!((world.cluster.written_count(), written(&world)), (stands, (profiles + 1, webhooks + 1)));
}

#[tokio::test]
async fn whoever_changes_a_field_again_and_again_has_the_last_word_until_a_person_asks() {
    let mut world = at_rest(|_| {}).await;
    let (profiles, webhooks) = written(&world);
    world.sandbox.set_rival(DIGITS, Some(rival(None)));
    world.run_for(HOUR * 3).await;
    assert_eq!(written(&world), (profiles + 3, webhooks + 3), "{}", world.story());
    both(&world, Reason::ContendedBy);
    let status = world.status();
    let message = &status.condition(ConditionType::WebhookRouted).expect("it is there").message;
    assert!(message.contains(THEIRS) && message.contains("since 2026-"), "{message}");
    let drift =
        status.before.drift.iter().find(|one| one.field == "webhook.callbackUrl").expect("it is told");
    assert_eq!(drift.live, THEIRS);
    let stands = world.cluster.written_count();
    world.run_for(HOUR * 6).await;
    assert_eq!((world.cluster.written_count(), written(&world)), (stands, (profiles + 3, webhooks + 3)));

    world.retry(CHANNEL);
    world.run_for(HOUR * 3).await;
    let (more_profiles, more_webhooks) = written(&world);
    assert_eq!(
        more_profiles + more_webhooks,
        profiles + webhooks + 7,
        "one retry is one write\n{}",
        world.story()
    );
    both(&world, Reason::ContendedBy);

    world.sandbox.set_rival(DIGITS, None);
    for _ in 0..2 {
        world.retry(CHANNEL);
        world.run_for(HOUR).await;
    }
    assert!(world.status().is_ready(), "once he has given in\n{}", world.story());
}

/// The list does not show profiles, so they are read once an hour, and whoever rewrites one does so when nobody looks.
#[tokio::test]
async fn whoever_rewrites_what_is_read_once_an_hour_has_the_last_word_too() {
    let mut world = at_rest(|_| {}).await;
    world.sandbox.set_switches(Switches { profile_expansion: false, ..Switches::default() });
    world.restart(0);
    world.run_for(HOUR).await;
    let (profiles, webhooks) = written(&world);
    world.sandbox.set_rival(DIGITS, Some(Rival { callback: None, after_secs: 20 * 60, ..rival(None) }));
    world.run_for(HOUR * 8).await;
    let told = |world: &World| world.status().condition(ConditionType::ProfileSynced).cloned();
    let is = told(&world).expect("it is there");
    assert_eq!((is.status, is.reason), (Truth::False, Reason::ContendedBy), "{}", world.story());
    assert!(is.message.contains("Closed for ever") && is.message.contains("since 2026-"), "{}", is.message);
    let stands = world.cluster.written_count();
    world.run_for(DAY * 7).await;
    let after = (world.cluster.written_count(), written(&world));
    assert_eq!(after, (stands, (profiles + 3, webhooks)), "{}", world.story());
    world.retry(CHANNEL);
    world.run_for(DAY).await;
    assert_eq!(written(&world), (profiles + 4, webhooks), "one retry is one write\n{}", world.story());
    assert_eq!(told(&world).map(|is| is.reason), Some(Reason::ContendedBy), "{}", world.story());
}

/// A field that somebody else changes after each write, and how often it is looked at.
struct Contest {
    kind: ConditionType,
    field: &'static str,
    rival: Rival,
    /// What the condition says of his value, and what status shows as live.
    theirs: (&'static str, &'static str),
    written: fn(&What) -> bool,
    /// Longer than four looks, and than one.
    looks: (std::time::Duration, std::time::Duration),
}

/// Three writes, then none for long; one more for each retry; and all is well once he has given in.
async fn has_the_last_word(mut world: World, contest: Contest) {
    let Contest { kind, field, rival, theirs, written, looks } = contest;
    let before = world.count(written);
    world.sandbox.set_rival(DIGITS, Some(Rival { after_secs: 60, ..rival }));
    world.run_for(looks.0).await;
    assert_eq!(world.count(written), before + 3, "{field}\n{}", world.story());
    let left = |world: &World| {
        let is = world.status().condition(kind).cloned().expect("it is there");
        assert_eq!(
            (is.status, is.reason),
            (Truth::False, Reason::ContendedBy),
            "{}\n{}",
            is.message,
            world.story()
        );
        assert!(is.message.contains(theirs.0) && is.message.contains("since 2026-"), "{}", is.message);
        let before = world.status().before;
        let waits: Vec<&str> = before.waiting_for.iter().map(|wait| wait.action.as_str()).collect();
        assert_eq!(waits, ["ResolveContention"], "{field}\n{}", world.story());
        let told: Vec<_> = before.drift.iter().map(|one| (one.field.as_str(), one.live.as_str())).collect();
        assert_eq!(told, [(field, theirs.1)], "{field}\n{}", world.story());
    };
    left(&world);
    let (events, effects) = (world.told.len(), world.effects().len());
    world.run_for(DAY * 9).await;
    left(&world);
    assert_eq!((world.told.len(), world.effects().len()), (events, effects), "{field}\n{}", world.story());
    world.retry(CHANNEL);
    world.run_for(looks.1).await;
    assert_eq!(world.count(written), before + 4, "{field}: one retry is one write\n{}", world.story());
    left(&world);
    world.sandbox.set_rival(DIGITS, None);
    world.retry(CHANNEL);
    world.run_for(looks.1).await;
    assert_eq!(world.count(written), before + 5, "{field}\n{}", world.story());
    assert!(world.status().is_ready() && world.status().before.drift.is_empty(), "{}", world.story());
    assert!(world.status().before.waiting_for.is_empty(), "{}", world.story());
}

#[tokio::test]
async fn whoever_unsubscribes_the_app_again_and_again_has_the_last_word() {
    let contest = Contest {
        kind: ConditionType::WebhookRouted,
        field: "webhook.subscription",
        rival: Rival { unsubscribes: Some(APP.into()), ..Rival::default() },
        theirs: ("not subscribed", "not subscribed"),
        written: |what| matches!(what, What::Subscribed { .. }),
        looks: (HOUR * 2, HOUR),
    };
    has_the_last_word(at_rest(|_| {}).await, contest).await;
}

/// The subscription is the account's: each of its channels would repair it, and the account is what is fought about.
#[tokio::test]
async fn whoever_unsubscribes_the_app_of_many_channels_has_the_last_word_after_three_repairs_of_all_together()
{
    let subscribed = |world: &World| world.count(|what| matches!(what, What::Subscribed { .. }));
    let numbers: Vec<String> = (0..12).map(|n| format!("551191234{n:04}")).collect();
    let meta = numbers.iter().enumerate().fold(Meta::for_demo(), |meta, (n, digits)| {
        let number = Number::new(&format!("1000000000010{n:02}"), ACCOUNT, digits, "Acme Suporte");
        meta.with_number(number.registered("135790"))
    });
    let mut world = World::with(options(), meta).await;
    let names: Vec<String> = numbers.iter().map(|digits| sibling(digits).name).collect();
    for digits in &numbers {
        world.cluster.apply(Desired { webhook: channel().webhook, ..sibling(digits) });
    }
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR * 2).await;
    let before = subscribed(&world);
    let rival = Rival { unsubscribes: Some(APP.into()), after_secs: 60, ..Rival::default() };
    world.sandbox.set_rival(&numbers[5], Some(rival));
    // Whoever looks first repairs it, and it is another one each time.
    let mut nth = 0;
    for _ in 0..40 {
        nth = (nth + 5) % names.len();
        world.wake(&names[nth], SECOND);
        world.run_for(MINUTE * 6).await;
    }
    assert_eq!(subscribed(&world), before + 3, "{}", world.story());
    let left = |world: &World, name: &String| {
        let status = world.cluster.status(name);
        status.condition(ConditionType::WebhookRouted).map(|is| (is.status, is.reason))
    };
    for name in &names {
        assert_eq!(
            left(&world, name),
            Some((Truth::False, Reason::ContendedBy)),
            "{name}\n{}",
            world.story()
        );
    }
    world.retry(&names[3]);
    world.run_for(HOUR * 3).await;
    assert_eq!(subscribed(&world), before + 4, "one retry is one write\n{}", world.story());
    for name in &names {
        assert_eq!(
            left(&world, name),
            Some((Truth::False, Reason::ContendedBy)),
            "{name}\n{}",
            world.story()
        );
    }
    world.sandbox.set_rival(&numbers[5], None);
    world.retry(&names[7]);
    world.run_for(HOUR).await;
    assert_eq!(subscribed(&world), before + 5, "{}", world.story());
    for name in &names {
        assert_eq!(left(&world, name), Some((Truth::True, Reason::Routed)), "{name}\n{}", world.story());
    }
}

#[tokio::test]
async fn whoever_gives_the_number_another_username_again_and_again_has_the_last_word() {
    let world = at_rest(|desired| {
        desired.username = Some(Username { name: "acme.suporte".into(), may_transfer: false });
    })
    .await;
    let contest = Contest {
        kind: ConditionType::UsernameClaimed,
        field: "username",
        rival: Rival { username: Some("acme.alheia".into()), ..Rival::default() },
        theirs: ("acme.alheia", "acme.alheia"),
        written: |what| matches!(what, What::UsernameClaimed { .. }),
        looks: (DAY * 5, HOUR * 27),
    };
    has_the_last_word(world, contest).await;
}

#[tokio::test]
async fn whoever_takes_the_picture_away_again_and_again_has_the_last_word() {
    let source = PictureSource::ConfigMap(SecretKey { name: "acme-logo".into(), key: "logo.png".into() });
    let mut world = World::new().await;
    world.cluster.put_picture(&source, PictureBytes::Found(png(640, 640).into()));
    world.people.consents = 3;
    world.cluster.apply(Desired { picture: Some(source), ..channel() });
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR * 2).await;
    let contest = Contest {
        kind: ConditionType::ProfileSynced,
        field: "profile.picture",
        rival: Rival { without_picture: true, ..Rival::default() },
        theirs: ("no picture", ""),
        written: |what| matches!(what, What::PictureSet { .. }),
        looks: (DAY * 5, HOUR * 27),
    };
    has_the_last_word(world, contest).await;
}

/// Somebody has a reason now and then: that is mended for years.
#[tokio::test]
async fn changes_that_are_days_apart_are_no_contest() {
    let mut world = at_rest(|desired| desired.interval = Some(DAY)).await;
    let (profiles, webhooks) = written(&world);
    for nth in 1..=5 {
        world.sandbox.set_rival(DIGITS, Some(rival(Some(1))));
        world.run_for(DAY * 5).await;
        assert!(world.status().is_ready() && world.status().before.drift.is_empty(), "{}", world.story());
        assert_eq!(written(&world), (profiles + nth, webhooks + nth));
    }
}

#[tokio::test]
async fn with_report_it_is_told_since_when_and_left() {
    let mut world = at_rest(|desired| desired.drift = DriftPolicy::Report).await;
    let before = written(&world);
    world.sandbox.set_rival(DIGITS, Some(rival(Some(1))));
    let from = world.now();
    world.run_for(HOUR * 6).await;
    assert_eq!(written(&world), before, "{}", world.story());
    let status = world.status();
    for field in ["profile.about", "webhook.callbackUrl"] {
        let drift = status.before.drift.iter().find(|one| one.field == field).expect("it is told");
        assert!(drift.since.duration_since(from).as_hours() < 1, "{drift:?}");
        assert!(drift.action.contains("driftPolicy"), "{drift:?}");
    }
    world.cluster.edit(CHANNEL, |desired| desired.profile.about = Some("We answer soon".into()));
    world.wake(CHANNEL, SECOND);
    world.run_for(HOUR).await;
    let left: Vec<String> = world.status().before.drift.iter().map(|one| one.field.clone()).collect();
    assert_eq!(left, ["webhook.callbackUrl"], "an edit is of its own field\n{}", world.story());
    assert_eq!(written(&world), (before.0 + 1, before.1));
    world.retry(CHANNEL);
    world.run_for(HOUR).await;
    assert!(world.status().is_ready() && world.status().before.drift.is_empty(), "{}", world.story());
}
