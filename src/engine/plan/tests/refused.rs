//! What Meta answered with an error is told at once, whichever step it was, and for as long as nothing else is done.

use std::time::Duration;

use super::*;
use crate::engine::{
    fixture::{BUSINESS, HOOK, routed_to},
    value::{
        desired::{AppData, DeletionPolicy, OfficialApplication, PictureSource, SecretKey, Username},
        id::{OfficialStatus, VerificationStatus},
        observed::{Official, Username as Shown},
        picture::{PictureFact, PictureRead},
        time::earlier,
    },
};

/// A registered number of this object's own, for which nothing is left to be done.
fn live() -> World {
    let world = world().own().registered().number(|n| {
        n.name_status = Field::Is(NameStatus::Approved);
        n.is_pin_enabled = Field::Is(true);
    });
    world.see(|o| o.subscribed = Fact::Known(true)).pass()
}

/// A channel that is being deleted, whose number is routed to this address.
fn going(policy: DeletionPolicy, url: Option<&str>) -> World {
    let world = live().webhook().number(|n| n.webhook = routed_to(url));
    let (at, first) = (world.now, earlier(world.now, HOUR));
    world.desire(|d| (d.deletion.policy, d.deletion.since) = (policy, Some(at))).remember(|m| {
        (m.business, m.account) = (Some(BUSINESS.into()), Some(ACCOUNT.into()));
        m.marks.registration = Registration::Seen { first, own: Some(first), fell_back: None };
    })
}

/// A world in which this step comes next.
fn before(kind: StepKind) -> World {
    match kind {
        StepKind::AddNumber => world(),
        StepKind::RequestCode => world().own().desire(send_code("1")),
        StepKind::VerifyCode => {
            let sent = before(StepKind::RequestCode).see(|o| o.code_secret = present("c", 1));
            let sent = sent.act(StepKind::RequestCode, accepted()).after(2 * MINUTE);
            sent.see(|o| o.code_secret = present("c", 2))
        }
        StepKind::SubmitName => world().own().verified().number(|n| {
            n.verified_name = Field::Is("Old".into());
            n.name_status = Field::Is(NameStatus::Approved);
        }),
        StepKind::CreatePin => world().own().verified().see(|o| o.pin_secret = SecretFact::Missing),
        StepKind::SetPin => {
            let named = world().adopted().registered().desire(|d| d.registration.is_pin_named = true);
            named.after(HOUR).pass().after(HOUR).see(|o| o.pin_secret = present("pin", 2))
        }
        StepKind::Register => world().own().verified(),
        StepKind::SubscribeApp => live().webhook().see(|o| o.subscribed = Fact::Known(false)),
        StepKind::RouteWebhook => live().webhook(),
        StepKind::WriteProfile => live()
            .desire(|d| d.profile.about = Some("We answer".into()))
            .see(|o| o.profile = Fact::Known(Profile::default())),
        StepKind::WritePicture => {
            let source = PictureSource::ConfigMap(SecretKey { name: "logo".into(), key: "logo.png".into() });
            let world = live().desire(|d| d.picture = Some(source.clone())).pass();
            let read = PictureRead { source, at: world.now, fact: PictureFact::Usable { sum: "a".into() } };
            world.see(|o| o.process.picture.read = Some(read))
        }
        StepKind::UnrouteWebhook => going(DeletionPolicy::Unroute, Some(HOOK)),
        StepKind::SetStorage => {
            world().own().verified().desire(|d| d.registration.storage_region = Some("BR".into()))
        }
        StepKind::StartSync => {
            let world = world().adopted().registered();
            let at = earlier(world.now, HOUR);
            let world = world.desire(|d| {
                (d.connection, d.syncs) = (Connection::Coexistence, vec![AppData::Contacts]);
            });
            world.number(|n| (n.is_on_biz_app, n.onboarded) = (Field::Is(true), Field::Is(at)))
        }
        StepKind::Deregister => going(DeletionPolicy::Deregister, None),
        StepKind::ClaimUsername => live()
            .desire(|d| d.username = Some(Username { name: "acme.suporte".into(), may_transfer: false }))
            .see(|o| o.username = Fact::Known(Shown { name: None, status: None })),
        StepKind::RequestOfficial => live()
            .registered_for(HOUR * 24 * 60)
            .portfolio(|view| {
                if let Fact::Known(business) = &mut view.facts {
                    business.verification = Some(VerificationStatus::Verified);
                }
            })
            .number(|n| {
                n.official = Field::Is(Official { status: OfficialStatus::NotStarted, message: None });
            })
            .desire(|d| {
                d.official = Some(OfficialApplication::default());
                d.consents.official = Some("1".into());
            }),
    }
}

/// The source of a picture is read with the look.
fn read_anew(world: World) -> World {
    let at = world.now;
    world.see(|o| {
        if let Some(read) = &mut o.process.picture.read {
            read.at = at;
        }
    })
}

/// Whether a condition has the words of an answer with this code.
fn tells(world: &World, code: i64) -> bool {
    let words = format!("code {code}: Message of Meta's");
    world.clone().assess().before.conditions.iter().any(|condition| condition.message.contains(&words))
}

#[test]
fn whatever_meta_answers_a_step_with_is_told_until_the_step_is_taken_again() {
    const ANSWERS: [(i64, Class); 6] = [
        (2, Class::Retry),
        (131_000, Class::Retry),
        (987_654, Class::Person),
        (100, Class::Spec),
        (10, Class::Credentials),
        (368, Class::Person),
    ];
    const TIMES: [Duration; 5] = [
        SECOND,
        Duration::from_secs(45),
        Duration::from_secs(90),
        Duration::from_secs(240),
        Duration::from_secs(660),
    ];
    let mut silent = Vec::new();
    for kind in StepKind::at_meta() {
        for (code, class) in ANSWERS {
            let answered = before(kind).act(kind, refused(code, None, class)).pass();
            for time in TIMES {
                let world = read_anew(answered.clone().after(time)).pass();
                if world.plan().step.is_some() || world.plan().farewell.is_some() {
                    break;
                }
                if !tells(&world, code) {
                    silent.push(format!(
                        "{} {code} {class:?} after {time:?}: {}",
                        kind.as_str(),
                        world.says()
                    ));
                }
            }
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn what_meta_says_is_done_already_and_does_not_show_is_told_in_its_words() {
    for kind in [StepKind::AddNumber, StepKind::Register, StepKind::SubmitName] {
        let answered = before(kind).act(kind, refused(987_654, None, Class::AlreadyDone)).after(SECOND);
        assert_eq!(answered.says(), Reason::EffectNotVisibleYet.as_str());
        assert!(tells(&answered, 987_654), "{:#?}", answered.plan().block);
    }
}
