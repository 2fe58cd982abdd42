//! What Meta's documentation leaves open: each other reading, in a situation where it shows.
//!
//! Whichever reading is right, the number comes up, or a wait has a name. No reading may
//! make the operator do anything twice or go on trying without end. Each is held against
//! the same scene with Meta's other word: had Meta said the same, nothing would be shown.

use std::collections::{BTreeMap, BTreeSet};

use rstest::rstest;
use serde_json::{Map, Value};
use whatsapp_operator::{
    engine::{
        condition::Truth,
        condition_type::ConditionType,
        desired::{Connection, PinPolicy, WhileNameInReview},
        reason::{Reason, ReasonKind},
    },
    sandbox::{
        Account, AlreadyVerified, App, Attempts, CodeRefusal, DEMO_APP_SECRET, DEMO_TOKEN, EndpointAnswer,
        Fault, FaultKind, InitialStatus, Lag, Late, Match, MissingObject, NoChange, Number, NumberElsewhere,
        NumberLimit, NumberSpelling, OnPhoneAtAdd, Options, PinMismatch, Portfolio, RegisteredPin,
        ReviewPolicy, Switches, What, World as Meta, WrongCode,
    },
};

use super::{faults::look_at_portfolio, world::*};

/// The situation in which a switch shows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scene {
    /// Everything managed, nothing in the way.
    Plain,
    /// The first code is typed wrong.
    Typo,
    /// The first code is never typed, so a second is asked for.
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
    /// The name is reviewed for a day or two; the people take four days to consent to a code.
    SlowPeople,
    /// The name is reviewed for a day or two, and one registration is tried before.
    Review,
    /// Somebody else added the number under another name.
    OtherName,
    /// The name is reviewed for a day or two, and nothing is tried before.
    SlowReview,
    /// The number was migrated to another account.
    Migrated,
    /// The account goes to another portfolio once the number is ready; ours is looked at an hour later.
    Unshared,
    /// Meta throttles the account on the way.
    Throttled,
    /// The account has no payment method.
    Unfunded,
    /// The token expires once the number is ready, and the portfolio is looked at.
    DeadToken,
    /// Two days go by after the number is ready.
    Lasting,
    /// The sites of the profile are taken away once they are there.
    Cleared,
    /// The number falls back while its profile is edited, and Meta shows that it fell a little later.
    FallsBack,
    /// The number was registered by somebody else, and Meta shows it some minutes later.
    ShownLate,
    /// Another partner registers the number under a PIN of its own once it is proven, and Meta shows it some minutes later.
    TakenMeanwhile,
    /// The PIN is not known until a person finds it.
    WrongPin,
    /// The PIN is not known, and somebody else has tried nine times.
    Spent,
}

/// Readings that make no difference, and why.
const UNSEEN: &[(&str, &str)] = &[
    ("notModified", "the client sends no If-None-Match"),
    ("nestedReadCounts", "the client asks for no list within a node"),
    ("localeParameter", "the client sends no locale"),
    ("registerCoexistence", "a number that is in the app is never registered"),
];

/// Played with each of their readings elsewhere: deletions in `away.rs`, the app's own webhook in `whole.rs`, usernames in
/// `badge.rs`, names in review in `rename.rs`.
const ELSEWHERE: [&str; 7] = [
    "deregistersShareLimit",
    "notRegistered",
    "appFieldsAreReplaced",
    "heldUsernames",
    "usernamesReserved",
    "reservedUsernamesListed",
    "registerTakesPendingName",
];

/// The PIN that the cluster keeps for the number.
const PIN: &str = "482913";

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
    use Reason::{AddRefused, NumberOnPhone, WebhookHandshakeFailed};
    use Scene::*;
    vec![
        reading("numberSpelling", Plain, READY, |s| s.number_spelling = NumberSpelling::Plain),
        reading("initialStatus: unverified", Plain, READY, |s| {
            s.initial_status = InitialStatus::word("UNVERIFIED");
        }),
        reading("initialStatus: connected", Plain, READY, |s| {
            s.initial_status = InitialStatus::word("CONNECTED");
        }),
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
        reading("pinMismatch", UnknownPin, READY, |s| {
            s.pin_on_unregistered = true;
            s.pin_mismatch = PinMismatch::Locked;
        }),
        reading("wrongPinsAllowed", UnknownPin, READY, |s| {
            s.pin_on_unregistered = true;
            s.wrong_pins_allowed = 1;
        }),
        reading("wrongPinLockSecs", UnknownPin, READY, |s| {
            s.pin_on_unregistered = true;
            s.wrong_pins_allowed = 1;
            s.wrong_pin_lock_secs = 60;
        }),
        reading("pinIntervalSecs", WrongPin, READY, |s| s.pin_interval_secs = 3600),
        reading("pinOnUnregistered", UnknownPin, READY, |s| s.pin_on_unregistered = true),
        reading("registeredPin", TakenMeanwhile, READY, |s| s.registered_pin = RegisteredPin::Kept),
        reading("failedRegistersCount", Spent, READY, |s| {
            s.pin_on_unregistered = true;
            s.failed_registers_count = false;
        }),
        reading("registerCoexistence", Coexisting, READY, |s| s.register_coexistence = true),
        reading("reregisterNeedsVerified", ShownLate, READY, |s| s.reregister_needs_verified = true),
        reading("registeredCodeExpires", Lasting, READY, |s| {
            s.registered_code_expires = false;
            s.verification_days = 1;
        }),
        reading("verificationDays", SlowReview, READY, |s| s.verification_days = 1),
        reading("certificateDays", SlowPeople, READY, |s| s.certificate_days = 1),
        reading("registerInReview", Review, READY, |s| s.register_in_review = false),
        reading("renameNeedsRegister", OtherName, READY, |s| s.rename_needs_register = false),
        reading("noChange", Plain, READY, |s| s.no_change = NoChange::Absent),
        reading("numberLimit: plainPermission", Full, &[AddRefused], |s| {
            s.number_limit = NumberLimit::PlainPermission;
        }),
        reading("numberLimit: generic", Full, &[AddRefused], |s| s.number_limit = NumberLimit::Generic),
        reading("numberElsewhere", Elsewhere, &[AddRefused], |s| {
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
        reading("errorDataAsText", UnknownPin, &[Reason::PinMismatch], |s| s.error_data_as_text = true),
        reading("subcodes", OnPhone, &[AddRefused, NumberOnPhone], |s| s.subcodes = false),
        reading("localeParameter", OnPhone, &[NumberOnPhone], |s| s.locale_parameter = false),
        reading("notModified", Plain, READY, |s| s.not_modified = true),
        reading("missingObject", Unshared, &[Reason::AccountNotInReach], |s| {
            s.missing_object = MissingObject::NotFound;
        }),
        reading("deadTokenInspectsItself", DeadToken, READY, |s| s.dead_token_inspects_itself = false),
        reading("profileOnUnregistered", FallsBack, &[Reason::FellBack], |s| {
            s.profile_on_unregistered = false;
        }),
        reading("profileClears", Cleared, READY, |s| s.profile_clears = false),
        reading("websitesNormalised", Plain, READY, |s| s.websites_normalised = false),
        reading("shortPages", Plain, READY, |s| s.short_pages = true),
        reading("nextHoldsToken", Plain, READY, |s| {
            s.short_pages = true;
            s.next_holds_token = true;
        }),
        reading("profileExpansion", Plain, READY, |s| s.profile_expansion = false),
        reading("fundingZero", Unfunded, READY, |s| s.funding_zero = true),
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
        let is_managed = matches!(self, Self::Plain | Self::Cleared | Self::FallsBack);
        let mut wanted = if is_managed { channel() } else { plain_channel() };
        let mut review = ReviewPolicy::without_first_review();
        match self {
            Self::UnknownPin => {
                meta = meta.with_number(Number { pin: Some("135790".into()), ..mine() });
                wanted.registration.pin_policy = PinPolicy::Overwrite;
            }
            Self::WrongPin => meta = meta.with_number(Number { pin: Some("135790".into()), ..mine() }),
            Self::OtherName => {
                meta = meta.with_number(Number { verified_name: "Acme Antiga".into(), ..mine() });
                review = ReviewPolicy { min_secs: 60, max_secs: 60, ..ReviewPolicy::without_first_review() };
            }
            Self::Spent => {
                let registers = vec![Options::default().start; 9];
                let attempts = Attempts { registers, ..Attempts::default() };
                meta = meta.with_number(Number { pin: Some("135790".into()), attempts, ..mine() });
                wanted.registration.pin_policy = PinPolicy::Overwrite;
            }
            Self::ShownLate => {
                let until = later(Options::default().start, MINUTE * 8);
                let late = [("platform_type", "NOT_APPLICABLE"), ("status", "PENDING")]
                    .map(|(field, value)| Late { field: field.into(), until, value: Some(value.into()) });
                meta = meta.with_number(Number { late: late.into(), ..mine().registered(PIN) });
            }
            Self::Unfunded => {
                let account = Account::new(ACCOUNT, BUSINESS, "Acme");
                meta = meta.with_account(Account { primary_funding_id: None, ..account }).with_app(
                    App::new("200000000000001", "Acme Ops").with_secret(DEMO_APP_SECRET).of_partner(),
                );
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
            Self::SlowPeople | Self::Review => review = ReviewPolicy::default(),
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
        if self == Self::SlowPeople {
            let days = world.sandbox.switches().certificate_days;
            world.name_lives = Some(DAY * days);
        }
        match self {
            Self::UnknownPin | Self::WrongPin | Self::ShownLate | Self::Spent => {
                world.cluster.put_secret(&wanted.registration.pin_secret, PIN, false);
            }
            Self::OnPhone => world.sandbox.put_on_phone(DIGITS),
            Self::SlowPeople => world.people.takes = DAY * 4,
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
                world.throw_code_away(CHANNEL);
                world.people.enters = true;
            }
            Self::SlowPeople => {
                world.run_until(DAY * 8, |w| sent(w) == 1).await;
                world.people.takes = MINUTE;
            }
            Self::WrongPin => {
                let refused = |w: &World| w.status().ready_reason() == Some(Reason::PinMismatch);
                assert!(world.run_until(HOUR, refused).await, "{}", world.story());
                let key = world.cluster.desired(CHANNEL).registration.pin_secret.clone();
                world.cluster.put_secret(&key, "135790", false);
                world.run_for(MINUTE * 6).await;
                world.retry(CHANNEL);
            }
            Self::TakenMeanwhile => {
                let is_proven = |w: &World| w.count(|what| matches!(what, What::CodeVerified { .. })) == 1;
                assert!(world.run_until(HOUR, is_proven).await, "{}", world.story());
                let number = world.sandbox.number(DIGITS).unwrap();
                let until = later(world.now(), MINUTE * 8);
                let late = [("platform_type", "NOT_APPLICABLE"), ("status", "PENDING")]
                    .map(|(field, value)| Late { field: field.into(), until, value: Some(value.into()) });
                let taken = Number {
                    platform_type: "CLOUD_API".into(),
                    status: "CONNECTED".into(),
                    pin: Some("135790".into()),
                    late: late.into_iter().chain(number.late.clone()).collect(),
                    ..number
                };
                world.sandbox.add_number(taken);
                world.run_for(HOUR * 2).await;
            }
            Self::Unshared => {
                assert!(world.run_until_ready(HOUR).await, "{}", world.story());
                world.sandbox.add_account(Account::new(ACCOUNT, "500000000000099", "Others"));
                world.run_for(HOUR).await;
                world.accounts.clear();
                world.run_for(HOUR).await;
            }
            Self::Unfunded => {
                assert!(world.run_until_ready(HOUR).await, "{}", world.story());
                assert!(!world.status().before.conditions.is(ConditionType::PaymentReady, Truth::True));
            }
            Self::DeadToken => {
                assert!(world.run_until_ready(HOUR).await, "{}", world.story());
                let before = look_at_portfolio(world, None).await;
                assert!(world.sandbox.expire_token(DEMO_TOKEN));
                world.run_for(HOUR).await;
                let after = look_at_portfolio(world, Some(&before)).await;
                assert!(after.conditions.is(ConditionType::CredentialsValid, Truth::False), "{after:#?}");
            }
            Self::Lasting => {
                assert!(world.run_until_ready(HOUR).await, "{}", world.story());
                world.run_for(HOUR).await;
                let written = world.cluster.written_count();
                world.run_for(DAY * 2).await;
                // The proof that lapsed is a fact, and no more than that.
                assert!(world.cluster.written_count() <= written + 1, "{}", world.story());
            }
            Self::Cleared => {
                assert!(world.run_until_ready(HOUR).await, "{}", world.story());
                world.run_for(HOUR).await;
                world.cluster.edit(CHANNEL, |wanted| wanted.profile.websites = Some(Vec::new()));
                world.wake(CHANNEL, SECOND);
                world.run_for(HOUR).await;
                let writes = world.sandbox.calls();
                let writes = writes.iter().filter(|c| c.method == "POST" && c.path.ends_with("_profile"));
                assert!(writes.count() <= 4, "{}", world.story());
            }
            Self::FallsBack => {
                assert!(world.run_until_ready(HOUR).await, "{}", world.story());
                world.run_for(HOUR).await;
                let number = world.sandbox.number(DIGITS).unwrap();
                let until = later(world.now(), MINUTE * 2);
                let late = [("platform_type", "CLOUD_API"), ("status", "CONNECTED")]
                    .map(|(field, value)| Late { field: field.into(), until, value: Some(value.into()) });
                world.sandbox.add_number(Number {
                    platform_type: "NOT_APPLICABLE".into(),
                    status: "DISCONNECTED".into(),
                    late: late.into(),
                    ..number
                });
                world.cluster.edit(CHANNEL, |wanted| wanted.profile.about = Some("We are moving".into()));
                world.wake(CHANNEL, SECOND);
                world.run_for(HOUR).await;
            }
            _ => {}
        }
    }
}

/// A scene from its beginning to its end.
async fn run(scene: Scene, switches: Switches, looks: usize) -> World {
    let mut world = scene.world(switches).await;
    scene.play(&mut world).await;
    // Nothing that time or Meta ends takes longer; people consent again as long as they are asked, and ask for one
    // more try where the PIN is the matter.
    for _ in 0..looks {
        if world.run_until_ready(HOUR * 6).await {
            break;
        }
        world.people.consents = world.consents_given.get(CHANNEL).copied().unwrap_or(0) + 1;
        if world.status().ready_reason() == Some(Reason::PinMismatch) {
            world.retry(CHANNEL);
        }
    }
    world
}

/// Everything that Meta said and did, in any order: reads run side by side.
type Said = BTreeMap<String, usize>;

fn said(world: &World) -> Said {
    let mut said = Said::new();
    for call in world.sandbox.calls() {
        let line = format!("{} {} {:?} {:?} {}", call.method, call.path, call.status, call.code, call.bytes);
        *said.entry(line).or_default() += 1;
    }
    for effect in world.effects() {
        *said.entry(format!("{:?}", effect.what)).or_default() += 1;
    }
    said
}

/// Goes through a reading; says what is wrong with how it ended. `others` keeps what Meta said under the other ones.
async fn ends_well(reading: &Reading, others: &mut BTreeMap<String, Said>) -> Result<(), String> {
    let looks = if reading.waits.is_empty() { 20 } else { 3 };
    let other = otherwise(reading);
    let key = serde_json::to_string(&other).unwrap();
    if !others.contains_key(&key) {
        others.insert(key.clone(), said(&run(reading.scene, other, looks).await));
    }
    let world = run(reading.scene, flipped(reading), looks).await;
    let is_ready = world.status().is_ready();
    let broken = |why: &str| Err(format!("{} ({:?}): {why}\n{}", reading.what, reading.scene, world.story()));
    let unseen = UNSEEN.iter().find(|(what, _)| *what == reading.what);
    if unseen.is_none() == (said(&world) == others[&key]) {
        return broken(&format!("whether it makes a difference is not as said: {unseen:?}"));
    }
    if let Err(what) = world.nothing_twice(CHANNEL) {
        return broken(&what);
    }
    if is_ready != reading.waits.is_empty() {
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
    if !reading.waits.contains(&reason) {
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

fn keys(switches: &Switches) -> Map<String, Value> {
    match serde_json::to_value(switches) {
        Ok(Value::Object(keys)) => keys,
        other => panic!("{other:?}"),
    }
}

fn flipped(reading: &Reading) -> Switches {
    let mut switches = Switches::default();
    (reading.flip)(&mut switches);
    switches
}

/// The switch that a reading is about.
fn key(reading: &Reading) -> &str {
    reading.what.split(':').next().unwrap()
}

/// The same, but for the switch that it is about.
fn otherwise(reading: &Reading) -> Switches {
    let mut switches = keys(&flipped(reading));
    let default = keys(&Switches::default())[key(reading)].clone();
    switches.insert(key(reading).to_owned(), default);
    serde_json::from_value(Value::Object(switches)).unwrap()
}

fn changed(reading: &Reading) -> BTreeSet<String> {
    let (before, after) = (keys(&Switches::default()), keys(&flipped(reading)));
    after.into_iter().filter(|(key, value)| before[key] != *value).map(|(key, _)| key).collect()
}

#[test]
fn every_switch_has_a_reading_that_is_tried() {
    let tried: BTreeSet<String> = readings().iter().flat_map(changed).collect();
    let all = keys(&Switches::default()).into_iter().map(|(key, _)| key);
    let all: BTreeSet<String> = all.filter(|key| !ELSEWHERE.contains(&key.as_str())).collect();
    assert_eq!(tried, all);
    for reading in readings() {
        let changed = changed(&reading);
        assert!(changed.contains(key(&reading)), "{} changes {changed:?}", reading.what);
        // A scene without a case below would never be played.
        let case = format!("(Scene::{:?})]", reading.scene);
        assert!(include_str!("switches.rs").contains(&case), "{} has a scene without a case", reading.what);
    }
    for (what, why) in UNSEEN {
        assert!(readings().iter().any(|reading| reading.what == *what), "{what}: {why}");
    }
}

#[rstest]
#[case::slow_people(Scene::SlowPeople)]
#[case::plain(Scene::Plain)]
#[case::typo(Scene::Typo)]
#[case::forgetful(Scene::Forgetful)]
#[case::late_proof(Scene::LateProof)]
#[case::unknown_pin(Scene::UnknownPin)]
#[case::full(Scene::Full)]
#[case::elsewhere(Scene::Elsewhere)]
#[case::on_phone(Scene::OnPhone)]
#[case::coexisting(Scene::Coexisting)]
#[case::review(Scene::Review)]
#[case::other_name(Scene::OtherName)]
#[case::slow_review(Scene::SlowReview)]
#[case::migrated(Scene::Migrated)]
#[case::unshared(Scene::Unshared)]
#[case::wrong_pin(Scene::WrongPin)]
#[case::throttled(Scene::Throttled)]
#[case::unfunded(Scene::Unfunded)]
#[case::dead_token(Scene::DeadToken)]
#[case::lasting(Scene::Lasting)]
#[case::cleared(Scene::Cleared)]
#[case::falls_back(Scene::FallsBack)]
#[case::shown_late(Scene::ShownLate)]
#[case::taken_meanwhile(Scene::TakenMeanwhile)]
#[case::spent(Scene::Spent)]
#[tokio::test]
async fn whatever_the_documentation_means_it_ends_in_ready_or_in_a_named_wait(#[case] scene: Scene) {
    let (mut broken, mut others) = (Vec::new(), BTreeMap::new());
    for reading in readings().iter().filter(|reading| reading.scene == scene) {
        broken.extend(ends_well(reading, &mut others).await.err());
    }
    let first = broken.first().cloned().unwrap_or_default();
    let names: Vec<&str> = broken.iter().filter_map(|b| b.lines().next()).collect();
    assert!(broken.is_empty(), "{}\n\nthe first:\n{first}", names.join("\n"));
}
