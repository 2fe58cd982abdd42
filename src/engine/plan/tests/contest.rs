//! Who has the last word on a field is told by how often it is looked at.

use std::time::Duration;

use crate::engine::{
    fixture::{HOUR, MINUTE, World, accepted},
    value::{
        id::{Fact, Field},
        observed::Profile,
        reason::Reason,
        step::StepKind,
    },
};

use super::{Changes, as_desired, check, foreign, in_sync, setting_says};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Everything managed, asked to be looked at this often.
fn looked_at(interval: Option<Duration>) -> World {
    in_sync().desire(|d| d.interval = interval)
}

/// Somebody else changes a field after each of three repairs, and each time it is seen only after such a time.
fn changed_every(mut world: World, pause: Duration, change: Changes, step: StepKind) -> World {
    for _ in 0..3 {
        world = change(world.after(pause)).act(step, accepted());
        world = as_desired(world.after(MINUTE)).pass();
    }
    change(world.after(pause)).pass()
}

/// The list shows the profile as it is.
fn listed(change: Changes) -> impl Fn(World) -> World {
    move |world| {
        change(world).see(|o| {
            let Fact::Known(profile) = std::mem::replace(&mut o.profile, Fact::NotAsked) else { panic!() };
            let number = std::sync::Arc::make_mut(&mut o.search[0].numbers[0]);
            number.profile = Field::Is(Box::new(profile));
        })
    }
}

#[test]
fn whoever_changes_a_field_at_each_look_has_the_last_word_however_rare_those_are() {
    let [about, callback, subscription] = foreign().try_into().unwrap_or_else(|_| panic!());
    let often = [
        (callback, None, 18 * MINUTE),
        (callback, Some(6 * HOUR), 6 * HOUR),
        (subscription, Some(6 * HOUR), 6 * HOUR),
        (callback, Some(DAY), DAY),
        // Read once an hour, unless the list shows it.
        (about, None, 66 * MINUTE),
        (about, Some(MINUTE), 66 * MINUTE),
        (about, Some(6 * HOUR), 6 * HOUR),
        (about, Some(DAY), DAY),
    ];
    for ((field, change, step), interval, pause) in often {
        let world = changed_every(looked_at(interval), pause, change, step);
        let what = format!("{field}, looked at every {interval:?}, changed every {pause:?}");
        assert_eq!(setting_says(&world).0, Reason::ContendedBy, "{what}");
        check(vec![(&what, world.after(30 * DAY), "Rest")]);
    }
    // Rarely enough that others may have a reason each time.
    let seldom = [
        (callback, None, 25 * MINUTE),
        (callback, Some(6 * HOUR), 8 * HOUR),
        (about, None, 80 * MINUTE),
        (about, Some(6 * HOUR), 8 * HOUR),
        (about, Some(DAY), 60 * DAY),
        (subscription, Some(DAY), 60 * DAY),
    ];
    for ((field, change, step), interval, pause) in seldom {
        let world = changed_every(looked_at(interval), pause, change, step);
        assert_eq!(world.says(), step.as_str(), "{field}, looked at every {interval:?}, every {pause:?}");
    }
}

#[test]
fn a_profile_that_the_list_shows_is_looked_at_as_often_as_the_list() {
    let (_, change, step) = foreign().remove(0);
    let shown = listed(change);
    let after = |pause: Duration| {
        let mut world = in_sync();
        for _ in 0..3 {
            world = shown(world.after(pause)).act(step, accepted());
            world = as_desired(world.after(MINUTE)).pass();
        }
        shown(world.after(pause)).pass()
    };
    assert_eq!(setting_says(&after(18 * MINUTE)).0, Reason::ContendedBy);
    assert_eq!(after(30 * MINUTE).says(), step.as_str());
}

#[test]
fn edits_of_the_spec_are_no_contest_however_many_they_are() {
    let mut world = looked_at(Some(6 * HOUR));
    for nth in 0..6 {
        let text = if nth % 2 == 0 { "Open 10-18" } else { "Open 9-17" };
        world = world.after(5 * MINUTE).desire(|d| {
            d.generation += 1;
            d.profile.about = Some(text.into());
        });
        assert_eq!(world.says(), "WriteProfile", "edit {nth}");
        world = world.act(StepKind::WriteProfile, accepted()).after(MINUTE).see(|o| {
            let email = Some("help@acme.example".into());
            o.profile = Fact::Known(Profile { about: Some(text.into()), email, ..Profile::default() });
        });
        world = world.pass();
        assert_eq!(world.says(), "Rest", "edit {nth}");
    }
}
