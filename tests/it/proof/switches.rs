//! What Meta's documentation leaves open: each other reading, in a situation where it shows.
//!
//! Whichever reading is right, the number comes up, or a wait has a name. No reading may
//! make the operator do anything twice or go on trying without end.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::Value;
use whatsapp_operator::{
    engine::{
        desired::{Connection, PinPolicy, WhileNameInReview},
        reason::{Reason, ReasonKind},
    },
    sandbox::{
        Account, AlreadyVerified, CodeRefusal, EndpointAnswer, Fault, FaultKind, Lag, Match, MissingObject,
        NoChange, Number, NumberElsewhere, NumberLimit, OnPhoneAtAdd, Options, PinMismatch, Portfolio,
        ReviewPolicy, Switches, What, World as Meta, WrongCode,
    },
};

use super::world::*;

/// The situation in which a switch shows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scene {
    /// Everything managed, nothing in the way.
    Plain,
    /// The first code is typed wrong.
    Typo,
    /// The first two codes are never typed, so three are asked for.
    Forgetful,
    /// Meta takes the code, loses its reply, and shows the proof an hour later.
    LateProof,
    /// The number was there, its PIN is not known and may be replaced.
    UnknownPin,
    /// The portfolio is full.
    Full,
    /// Another portfolio has the number.
    Elsewhere,
    /// The number is in use in an app.
    OnPhone,
    /// The number is in the app and on Cloud API at once, and shall stay so.
    Coexisting,
    /// The name is reviewed for a day or two; the people take two days for anything.
    SlowPeople,
    /// The name is reviewed for a day or two, and nothing is tried before.
    SlowReview,
    /// The number was migrated to another account.
    Migrated,
    /// The number is deleted by hand once it is ready.
    Deleted,
    /// Meta throttles the account on the way.
    Throttled,
}

/// One other reading.
struct Reading {
    what: &'static str,
    scene: Scene,
    flip: fn(&mut Switches),
    /// How it may end; nothing means Ready.
    waits: &'static [Reason],
}

const READY: &[Reason] = &[];

fn reading(what: &'static str, scene: Scene, waits: &'static [Reason], flip: fn(&mut Switches)) -> Reading {
    Reading { what, scene, flip, waits }
}

fn readings() -> Vec<Reading> {
    use Reason::{AddRefused, NumberLimitReached, NumberOnPhone, WebhookHandshakeFailed};
    use Scene::*;
    vec![
        reading("initialStatus", Plain, READY, |s| s.initial_status = "UNVERIFIED".into()),
        reading("codesAllowed", Forgetful, READY, |s| s.codes_allowed = 1),
        reading("codeRequestWindowSecs", Forgetful, READY, |s| {
            s.codes_allowed = 1;
            s.code_request_window_secs = 60;
        }),
        reading("codeRequestLockSecs", Forgetful, READY, |s| {
            s.codes_allowed = 1;
            s.code_request_lock_secs = 60;
        }),
        reading("codeRefusal: cannotSend", Forgetful, READY, |s| {
            s.codes_allowed = 1;
            s.code_refusal = CodeRefusal::CannotSend;
        }),
        reading("codeRefusal: customLimit", Forgetful, READY, |s| {
            s.codes_allowed = 1;
            s.code_refusal = CodeRefusal::CustomLimit;
        }),
        reading("alreadyVerified", LateProof, READY, |s| s.already_verified = AlreadyVerified::NotEligible),
        reading("wrongCode", Typo, READY, |s| s.wrong_code = WrongCode::Plain),
        reading("wrongCodesAllowed", Typo, READY, |s| s.wrong_codes_allowed = 1),
        reading("wrongCodeLockSecs", Typo, READY, |s| {
            s.wrong_codes_allowed = 1;
            s.wrong_code_lock_secs = 60;
        }),
        reading("pinMismatch", UnknownPin, READY, |s| s.pin_mismatch = PinMismatch::Locked),
        reading("wrongPinsAllowed", UnknownPin, READY, |s| s.wrong_pins_allowed = 1),
        reading("wrongPinLockSecs", UnknownPin, READY, |s| {
            s.wrong_pins_allowed = 1;
            s.wrong_pin_lock_secs = 60;
        }),
        reading("pinIntervalSecs", UnknownPin, READY, |s| s.pin_interval_secs = 3600),
        reading("pinOnUnregistered", UnknownPin, &[Reason::PinMismatch], |s| s.pin_on_unregistered = false),
        reading("failedRegistersCount", UnknownPin, READY, |s| s.failed_registers_count = false),
        reading("registerCoexistence", Coexisting, READY, |s| s.register_coexistence = true),
        reading("reregisterNeedsVerified", UnknownPin, READY, |s| s.reregister_needs_verified = true),
        reading("registeredCodeExpires", Plain, READY, |s| {
            s.registered_code_expires = false;
            s.verification_days = 1;
        }),
        reading("verificationDays", SlowReview, READY, |s| s.verification_days = 1),
        reading("certificateDays", SlowPeople, READY, |s| s.certificate_days = 1),
        reading("registerInReview", SlowReview, READY, |s| s.register_in_review = true),
        reading("renameNeedsRegister", SlowReview, READY, |s| s.rename_needs_register = false),
        reading("noChange", Plain, READY, |s| s.no_change = NoChange::Absent),
        reading("numberLimit: plainPermission", Full, &[AddRefused], |s| {
            s.number_limit = NumberLimit::PlainPermission;
        }),
        reading("numberLimit: generic", Full, &[NumberLimitReached], |s| {
            s.number_limit = NumberLimit::Generic
        }),
        reading("numberElsewhere", Elsewhere, &[NumberLimitReached, AddRefused], |s| {
            s.number_elsewhere = NumberElsewhere::Generic;
        }),
        reading("onPhoneAtAdd: plain", OnPhone, &[AddRefused], |s| s.on_phone_at_add = OnPhoneAtAdd::Plain),
        reading("onPhoneAtAdd: accept", OnPhone, &[NumberOnPhone], |s| {
            s.on_phone_at_add = OnPhoneAtAdd::Accept;
        }),
        // What Meta does not show is not there, and Meta takes it anew.
        reading("migratedReads", Migrated, READY, |s| s.migrated_reads = false),
        reading("accountThrottleCode", Throttled, READY, |s| s.account_throttle_code = 80_007),
        reading("retryAfter", Throttled, READY, |s| s.retry_after = true),
        reading("nestedReadCounts", Plain, READY, |s| s.nested_read_counts = true),
        reading("usageFromPercent", Plain, READY, |s| s.usage_from_percent = 50),
        reading("errorDataAsText", UnknownPin, READY, |s| s.error_data_as_text = true),
        reading("subcodes", OnPhone, &[AddRefused, NumberOnPhone], |s| s.subcodes = false),
        reading("localeParameter", OnPhone, &[NumberOnPhone], |s| s.locale_parameter = false),
        reading("notModified", Plain, READY, |s| s.not_modified = true),
        reading("missingObject", Deleted, &[Reason::NumberDeleted], |s| {
            s.missing_object = MissingObject::NotFound
        }),
        reading("deadTokenInspectsItself", Plain, READY, |s| s.dead_token_inspects_itself = false),
        reading("profileOnUnregistered", Plain, READY, |s| s.profile_on_unregistered = false),
        reading("profileClears", Plain, READY, |s| s.profile_clears = false),
        reading("websitesNormalised", Plain, READY, |s| s.websites_normalised = false),
        reading("shortPages", Plain, READY, |s| s.short_pages = true),
        reading("nextHoldsToken", Plain, READY, |s| {
            s.short_pages = true;
            s.next_holds_token = true;
        }),
        reading("profileExpansion", Plain, READY, |s| s.profile_expansion = false),
        reading("fundingZero", Plain, READY, |s| s.funding_zero = true),
        reading("unknownWebhook: wrongChallenge", Plain, &[WebhookHandshakeFailed], |s| {
            s.unknown_webhook = EndpointAnswer::WrongChallenge;
        }),
        reading("unknownWebhook: refuse", Plain, &[WebhookHandshakeFailed], |s| {
            s.unknown_webhook = EndpointAnswer::Refuse;
        }),
        reading("unknownWebhook: silent", Plain, &[WebhookHandshakeFailed], |s| {
            s.unknown_webhook = EndpointAnswer::Silent;
        }),
    ]
}

impl Scene {
    async fn world(self, switches: Switches) -> World {
        let other = |nth: u64| {
            let digits = format!("551191234000{nth}");
            Number::new(&format!("10000000000009{nth}"), ACCOUNT, &digits, "Acme Suporte")
                .registered("135790")
        };
        let mine = || Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Suporte");
        let mut meta = Meta::for_demo();
        let mut wanted = if self == Self::Plain { channel() } else { plain_channel() };
        let mut review = ReviewPolicy::without_first_review();
        match self {
            Self::UnknownPin => {
                meta = meta.with_number(Number { pin: Some("135790".into()), ..mine() });
                wanted.registration.pin_policy = PinPolicy::Overwrite;
            }
            Self::Full => meta = meta.with_number(other(1)).with_number(other(2)),
            Self::Elsewhere => {
                const THEIRS: &str = "300000000000099";
                meta = meta
                    .with_portfolio(Portfolio::new("500000000000099", "Others"))
                    .with_account(Account::new(THEIRS, "500000000000099", "Others"))
                    .with_number(Number { account: THEIRS.into(), ..mine() });
            }
            Self::Coexisting => {
                meta = meta.with_number(mine().coexisting());
                wanted.connection = Connection::Coexistence;
            }
            Self::SlowPeople => review = ReviewPolicy::default(),
            Self::SlowReview => {
                review = ReviewPolicy::default();
                wanted.registration.while_name_in_review = WhileNameInReview::Wait;
            }
            Self::Migrated => meta = meta.with_number(Number { status: "MIGRATED".into(), ..mine() }),
            _ => {}
        }
        let options = Options { review, switches, lag: Lag::Seeded { max_secs: 20 }, ..Options::default() };
        let mut world = World::with(options, meta).await;
        world.accounts = vec![ACCOUNT];
        world.people.consents = 4;
        match self {
            Self::UnknownPin => world.cluster.put_secret(&wanted.registration.pin_secret, "482913", false),
            Self::OnPhone => world.sandbox.put_on_phone(DIGITS),
            Self::SlowPeople => world.people.takes = DAY * 2,
            Self::Throttled => {
                let code = world.sandbox.switches().account_throttle_code;
                let on = Match { method: Some("POST".into()), times: Some(1), ..Match::any() };
                world.sandbox.inject(Fault { on, kind: FaultKind::Throttle { code, minutes: 30 } });
            }
            Self::LateProof => {
                for kind in [FaultKind::LateEffect { secs: 3600 }, FaultKind::TimeoutAfter] {
                    world.sandbox.inject(Fault { on: Match::on("POST", "verify_code").times(1), kind });
                }
            }
            _ => {}
        }
        world.cluster.apply(wanted);
        world
    }

    /// What the people do beyond consenting and typing codes.
    async fn play(self, world: &mut World) {
        let sent = |w: &World| w.count(|what| matches!(what, What::CodeSent { .. }));
        match self {
            Self::Typo => {
                world.people.enters = false;
                world.run_until(HOUR, |w| w.sandbox.delivered_code(DIGITS).is_some()).await;
                let right = world.sandbox.delivered_code(DIGITS).unwrap();
                let wrong = if right == "000000" { "111111" } else { "000000" };
                world.enter(CHANNEL, wrong);
                world.run_for(MINUTE * 2).await;
                world.people.enters = true;
            }
            Self::Forgetful => {
                world.people.enters = false;
                world.run_until(DAY, |w| sent(w) == 1).await;
                world.run_for(MINUTE * 40).await;
                world.people.enters = true;
                // Nobody types the old code any more.
                world.sandbox.advance(MINUTE);
            }
            Self::Deleted => {
                assert!(world.run_until_ready(HOUR).await, "{}", world.story());
                world.run_for(HOUR).await;
                assert!(world.sandbox.delete_number(DIGITS));
                world.run_for(DAY).await;
            }
            _ => {}
        }
    }
}

/// Goes through a reading; says what is wrong with how it ended.
async fn ends_well(reading: &Reading) -> Result<(), String> {
    let mut switches = Switches::default();
    (reading.flip)(&mut switches);
    let mut world = reading.scene.world(switches).await;
    reading.scene.play(&mut world).await;
    // Nothing that time or Meta ends takes longer; people consent again as long as they are asked.
    let mut is_ready = false;
    let looks = if reading.waits.is_empty() { 20 } else { 3 };
    for _ in 0..looks {
        is_ready = world.run_until_ready(HOUR * 6).await;
        if is_ready {
            break;
        }
        world.people.consents = world.consents_given.get(CHANNEL).copied().unwrap_or(0) + 1;
    }
    let broken = |why: &str| Err(format!("{} ({:?}): {why}\n{}", reading.what, reading.scene, world.story()));
    // A name that expires is submitted again, which is as it should be.
    if let Err(what) = world.nothing_twice(CHANNEL).or_else(|what| {
        if reading.scene == Scene::SlowPeople && what.contains("submitted twice") {
            Ok(())
        } else {
            Err(what)
        }
    }) {
        return broken(&what);
    }
    // Here it depends on how often people come; any wait with a name will do.
    let is_open = matches!(reading.scene, Scene::Forgetful | Scene::UnknownPin | Scene::SlowPeople);
    if !is_open && is_ready != reading.waits.is_empty() {
        return broken(if is_ready {
            "Ready, where a wait was expected"
        } else {
            "not Ready after five days"
        });
    }
    if is_ready {
        return Ok(());
    }
    let status = world.status();
    let Some(reason) = status.ready_reason() else { return broken("Ready has no reason") };
    if !is_open && !reading.waits.contains(&reason) {
        return broken(&format!("waits for {reason:?}"));
    }
    if !matches!(reason.kind(), ReasonKind::Person | ReasonKind::Time | ReasonKind::Stalled) {
        return broken(&format!("{reason:?} is no wait"));
    }
    if status.before.waiting_for.is_empty() {
        return broken("nobody is named who has to act");
    }
    Ok(())
}

fn changed(reading: &Reading) -> BTreeSet<String> {
    let keys = |switches: &Switches| match serde_json::to_value(switches) {
        Ok(Value::Object(keys)) => keys,
        other => panic!("{other:?}"),
    };
    let mut flipped = Switches::default();
    (reading.flip)(&mut flipped);
    let (before, after) = (keys(&Switches::default()), keys(&flipped));
    after.into_iter().filter(|(key, value)| before[key] != *value).map(|(key, _)| key).collect()
}

#[test]
fn every_switch_has_a_reading_that_is_tried() {
    let tried: BTreeSet<String> = readings().iter().flat_map(changed).collect();
    let Ok(Value::Object(all)) = serde_json::to_value(Switches::default()) else { panic!("no object") };
    let all: BTreeSet<String> = all.into_iter().map(|(key, _)| key).collect();
    assert_eq!(tried, all);
    for reading in readings() {
        let key = reading.what.split(':').next().unwrap();
        assert!(changed(&reading).contains(key), "{} changes {:?}", reading.what, changed(&reading));
    }
}

#[rstest]
#[case::plain(Scene::Plain)]
#[case::typo(Scene::Typo)]
#[case::forgetful(Scene::Forgetful)]
#[case::late_proof(Scene::LateProof)]
#[case::unknown_pin(Scene::UnknownPin)]
#[case::full(Scene::Full)]
#[case::elsewhere(Scene::Elsewhere)]
#[case::on_phone(Scene::OnPhone)]
#[case::coexisting(Scene::Coexisting)]
#[case::slow_people(Scene::SlowPeople)]
#[case::slow_review(Scene::SlowReview)]
#[case::migrated(Scene::Migrated)]
#[case::deleted(Scene::Deleted)]
#[case::throttled(Scene::Throttled)]
#[tokio::test]
async fn whatever_the_documentation_means_it_ends_in_ready_or_in_a_named_wait(#[case] scene: Scene) {
    let mut broken = Vec::new();
    for reading in readings().iter().filter(|reading| reading.scene == scene) {
        broken.extend(ends_well(reading).await.err());
    }
    let first = broken.first().cloned().unwrap_or_default();
    let names: Vec<&str> = broken.iter().filter_map(|b| b.lines().next()).collect();
    assert!(broken.is_empty(), "{}\n\nthe first:\n{first}", names.join("\n"));
}
