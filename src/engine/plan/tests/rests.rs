//! Whatever a channel looks like and whatever Meta answers: a plan is carried out, its outcome remembered, the
//! world seen again, and in the end there is nothing left to do, or one and the same thing that is waited for.

use std::time::Duration;

use jiff::SignedDuration;
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed},
};

use crate::api::{lower, v1alpha1::WhatsAppChannelStatus};
use crate::engine::{
    fixture::{
        HOUR, MINUTE, NAME, SECOND, World, accepted, no_answer, now, present, refusal_of, refused, version,
        world,
    },
    plan::Plan,
    value::{
        desired::{
            CodeRequest, Connection, Desired, Management, OfficialApplication, PinPolicy, Username,
            WhileNameInReview,
        },
        failure::{Class, Failure, Scope},
        id::{
            AccountMode, CodeStatus, Fact, Field, NumberStatus, OfficialStatus, PlatformType, UsernameStatus,
        },
        memory::{Entry, EntryOutcome, Ledger},
        observed::{self, Number, Official, Profile},
        outcome::Accepted,
        secret::SecretFact,
        step::{Cause, Step, StepKind},
        time::later,
        word::Vocabulary,
    },
};

/// What Meta does with a step.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// Says yes; it shows, or it does not.
    Yes(bool),
    /// Says nothing; it shows, or it does not.
    Silence(bool),
    No(i64, Option<i64>, Class, Scope),
    /// It was never sent.
    NotSent,
    /// Our own budget held it back: it was never sent either.
    Throttled,
}

fn answers() -> impl Strategy<Value = Answer> {
    let no = |code, subcode, class| Answer::No(code, subcode, class, Scope::Channel);
    prop_oneof![
        4 => Just(Answer::Yes(true)),
        2 => Just(Answer::Yes(false)),
        2 => any::<bool>().prop_map(Answer::Silence),
        1 => Just(Answer::NotSent),
        1 => Just(Answer::Throttled),
        4 => prop::sample::select(vec![
            no(100, None, Class::Person),
            no(100, Some(2_388_001), Class::Person),
            no(100, Some(2_388_001), Class::WaitUntil),
            no(100, Some(2_388_012), Class::AlreadyDone),
            no(133_000, None, Class::Person),
            no(133_005, None, Class::Person),
            no(133_006, None, Class::Person),
            no(133_016, None, Class::WaitUntil),
            no(136_024, None, Class::Person),
            no(136_025, None, Class::Person),
            no(131_000, None, Class::Retry),
            no(131_031, None, Class::Person),
            no(200, None, Class::Credentials),
            Answer::No(190, None, Class::Credentials, Scope::Portfolio),
            Answer::No(80_008, None, Class::WaitUntil, Scope::Account),
        ]),
    ]
}

fn field<T: From<&'static str> + Clone + std::fmt::Debug + 'static>(
    words: &'static [&'static str],
) -> impl Strategy<Value = Field<T>> {
    prop_oneof![
        1 => Just(Field::Absent),
        1 => Just(Field::Refused),
        12 => prop::sample::select(words).prop_map(|word| Field::Is(T::from(word))),
    ]
}

fn truth() -> impl Strategy<Value = Field<bool>> {
    prop::sample::select(vec![Field::Is(false), Field::Is(true), Field::Absent, Field::Refused])
}

fn names() -> impl Strategy<Value = Field<String>> {
    prop::sample::select(vec![Field::Is(NAME.into()), Field::Is("Acme Antiga".into()), Field::Absent])
}

const NAME_WORDS: &[&str] =
    &["NONE", "AVAILABLE_WITHOUT_REVIEW", "PENDING_REVIEW", "APPROVED", "DECLINED", "EXPIRED", "NOVEL"];

/// A number in any state, likely or not.
fn numbers() -> impl Strategy<Value = Number> {
    let state = (
        field::<NumberStatus>(&["PENDING", "UNVERIFIED", "CONNECTED", "DISCONNECTED", "BANNED", "NOVEL"]),
        field::<CodeStatus>(&["NOT_VERIFIED", "VERIFIED", "EXPIRED", "NOVEL"]),
        field::<PlatformType>(&["NOT_APPLICABLE", "NOT_APPLICABLE", "CLOUD_API", "ON_PREMISE", "NOVEL"]),
        field::<AccountMode>(&["LIVE", "LIVE", "SANDBOX"]),
    );
    let names = (names(), field(NAME_WORDS), names(), field(NAME_WORDS));
    (state, names, truth(), truth()).prop_map(|(state, names, is_on_biz_app, is_pin_enabled)| {
        let mut number = crate::engine::fixture::new_number();
        (number.status, number.code, number.platform, number.account_mode) = state;
        (number.verified_name, number.name_status, number.new_display_name, number.new_name_status) = names;
        (number.is_on_biz_app, number.is_pin_enabled) = (is_on_biz_app, is_pin_enabled);
        number
    })
}

fn secrets() -> impl Strategy<Value = SecretFact> {
    prop::sample::select(vec![
        present("s", 1),
        present("s", 1),
        SecretFact::Missing,
        SecretFact::KeyMissing { version: version("s", 1) },
        SecretFact::Forbidden(String::new()),
        SecretFact::Present { version: version("s", 1), well_formed: false, seen_before: false },
    ])
}

/// A channel before its first look, or in the middle of its life.
fn worlds() -> impl Strategy<Value = World> {
    let number = prop_oneof![1 => Just(None), 3 => numbers().prop_map(Some)];
    let wishes = prop::collection::vec(any::<bool>(), 11);
    (number, 0..3, wishes, secrets(), secrets()).prop_map(|(number, history, wishes, code, pin)| {
        let mut world = match (&number, history) {
            (None, _) | (_, 0) => world(),
            (_, 1) => world().own(),
            _ => world().adopted(),
        };
        if let Some(wanted) = number {
            world = world.number(|number| *number = wanted);
        }
        let asked = |is: bool| is.then(|| "1".to_owned());
        world = world.desire(|d| {
            d.registration.pin_policy = if wishes[0] { PinPolicy::Overwrite } else { PinPolicy::Keep };
            d.registration.while_name_in_review =
                if wishes[1] { WhileNameInReview::Wait } else { WhileNameInReview::TryOnce };
            d.verification.request = if wishes[2] { CodeRequest::Automatic } else { CodeRequest::OnDemand };
            d.connection =
                if wishes[3] && wishes[4] { Connection::Coexistence } else { Connection::CloudApi };
            d.management = if wishes[3] && wishes[5] { Management::ObserveOnly } else { Management::Full };
            d.profile.about = wishes[6].then(|| "We answer".to_owned());
            d.consents.send_code = asked(wishes[7]);
            d.consents.retry = asked(wishes[8]);
            d.username = wishes[9].then(|| Username { name: "acme.suporte".into(), may_transfer: wishes[0] });
            d.official = wishes[10].then(OfficialApplication::default);
            d.consents.official = asked(wishes[10]);
        });
        if wishes[4] {
            world = world.webhook();
        }
        world.see(|o| {
            o.code_secret = code;
            o.pin_secret = pin;
            o.subscribed = Fact::Known(wishes[5]);
            o.profile = Fact::Known(Profile::default());
            o.username = Fact::Known(observed::Username::default());
            o.official = Fact::Known(Official { status: OfficialStatus::NotStarted, message: None });
        })
    })
}

/// What the world looks like once a step took effect.
fn effect(world: World, step: &Step, nth: u32) -> World {
    match step {
        Step::AddNumber { .. } => world.number(|_| {}),
        // A person types the code that came.
        Step::RequestCode { .. } => world.see(|o| o.code_secret = present("code", 100 + nth)),
        Step::VerifyCode { .. } => world.number(|n| n.code = Field::Is(CodeStatus::Verified)),
        Step::SubmitName { name, .. } => world.number(|n| {
            n.new_display_name = Field::Is(name.clone());
            n.new_name_status = Field::Is("APPROVED".into());
        }),
        Step::CreatePin { .. } => world.see(|o| o.pin_secret = present("pin", nth)),
        Step::SetPin { .. } | Step::SetStorage { .. } | Step::StartSync { .. } => world,
        Step::Register { .. } => world.number(|n| {
            n.platform = Field::Is(PlatformType::CloudApi);
            n.status = Field::Is(NumberStatus::Connected);
        }),
        Step::SubscribeApp { .. } => world.see(|o| o.subscribed = Fact::Known(true)),
        Step::RouteWebhook { url, .. } => world.number(|n| {
            n.webhook = crate::engine::fixture::routed_to(Some(url));
        }),
        Step::WriteProfile { fields, .. } => world.see(|o| {
            let about = fields.about.clone();
            o.profile = Fact::Known(Profile { about, ..Profile::default() });
        }),
        Step::WritePicture { .. } => world,
        Step::UnrouteWebhook { .. } => world.number(|n| n.webhook = crate::engine::fixture::routed_to(None)),
        Step::Deregister { .. } => world.number(|n| n.platform = Field::Is(PlatformType::NotApplicable)),
        Step::ClaimUsername { username, .. } => world.see(|o| {
            let status = Some(UsernameStatus::Reserved);
            o.username = Fact::Known(observed::Username { name: Some(username.clone()), status });
        }),
        Step::RequestOfficial { .. } => world.see(|o| {
            o.official = Fact::Known(Official { status: OfficialStatus::Pending, message: None });
        }),
    }
}

fn carry_out(world: World, step: &Step, answer: Answer, nth: u32) -> World {
    let until = later(world.now, 10 * MINUTE);
    // A Secret is made in the cluster, where nothing of Meta's is in the way.
    let answer = match (step, answer) {
        (Step::CreatePin { .. }, Answer::No(..) | Answer::Throttled) => Answer::NotSent,
        (_, answer) => answer,
    };
    let number = matches!(step, Step::AddNumber { .. }).then(|| crate::engine::fixture::NUMBER.into());
    let (result, shows) = match answer {
        Answer::Yes(shows) => (Ok(Accepted { number, ..Accepted::default() }), shows),
        Answer::Silence(shows) => (no_answer(), shows),
        Answer::No(code, subcode, class, scope) => {
            let until = (class == Class::WaitUntil).then_some(until);
            (
                Err(Failure::Refused(crate::engine::failure::Refusal {
                    scope,
                    until,
                    ..refusal_of(code, subcode, class)
                })),
                false,
            )
        }
        Answer::NotSent => (Err(Failure::NotSent("no route".into())), false),
        Answer::Throttled => (Err(Failure::Throttled(until)), false),
    };
    let world = world.act(step.kind(), result);
    if shows { effect(world, step, nth) } else { world }
}

/// What a plan waits for, in full.
fn waits(plan: &Plan) -> String {
    format!("{:?} {:?}", plan.block, plan.aside)
}

fn step_of(plan: &Plan) -> Option<StepKind> {
    plan.step.as_ref().map(|planned| planned.step.kind())
}

fn rests(mut world: World, script: Vec<Answer>) -> Result<(), TestCaseError> {
    let mut script = script.into_iter();
    let (mut steps, mut quiet) = (0, 0);
    let mut registered = Vec::new();
    while quiet < 60 {
        let plan = world.plan();
        prop_assert_eq!(&plan, &world.plan(), "the same is planned from the same");
        let Some(planned) = plan.step.clone() else {
            quiet += 1;
            let until = plan.next;
            world = world.pass();
            let again = world.plan();
            prop_assert_eq!(step_of(&again), None, "{} and then a step", waits(&plan));
            // An answered `retry` opens nothing any more, so what it met is not what is waited for without it.
            if plan.answered.is_empty() {
                prop_assert_eq!(waits(&again), waits(&plan));
            }
            prop_assert!(again.answered.is_empty(), "a consent is answered twice: {:?}", again.answered);
            prop_assert_eq!(&again.memory, &plan.memory, "looking again would write");
            let pause = until.duration_since(world.now).unsigned_abs().clamp(SECOND, 6 * HOUR);
            world = world.after(pause);
            continue;
        };
        (steps, quiet) = (steps + 1, 0);
        prop_assert!(steps < 60, "no end of steps: {:?}", planned);
        let kind = planned.step.kind();
        let answer = script.next().unwrap_or(Answer::Yes(true));
        if kind == StepKind::Register && !matches!(answer, Answer::NotSent | Answer::Throttled) {
            registered.push((world.now, matches!(planned.cause, Cause::Retry(_))));
        }
        world = carry_out(world, &planned.step, answer, steps);
        for _ in 0..2 {
            world = world.after(SECOND);
            let again = world.plan().step;
            let by_itself = again.filter(|again| matches!(again.cause, Cause::Automatic | Cause::Secret));
            let again = by_itself.map(|planned| planned.step.kind());
            prop_assert_ne!(again, Some(kind), "at once again: {:?}", world.memory);
        }
    }
    let own: Vec<_> = registered.iter().filter(|(_, is_asked)| !is_asked).collect();
    for four in own.windows(4) {
        let apart = four[3].0.duration_since(four[0].0).unsigned_abs();
        prop_assert!(apart >= 72 * HOUR, "four registrations in {apart:?}");
    }
    Ok(())
}

/// Attempts that somebody kept, or forged: any outcome, any time of the last days or of the next hour.
fn kept() -> impl Strategy<Value = Ledger> {
    let kinds = vec![StepKind::RequestCode, StepKind::VerifyCode, StepKind::SubmitName, StepKind::Register];
    let refusals = vec![
        (100, Some(2_388_001), Class::Person),
        (133_005, None, Class::Person),
        (133_006, None, Class::Person),
        (133_016, None, Class::WaitUntil),
        (136_024, None, Class::Person),
        (136_025, None, Class::Person),
        (131_000, None, Class::Retry),
        (190, None, Class::Credentials),
    ];
    let outcomes = EntryOutcome::ALL.to_vec();
    let entry = (
        prop::sample::select(kinds),
        -60..80 * 60_i64,
        prop::sample::select(outcomes),
        prop::option::of(prop::sample::select(refusals)),
        prop::option::of(0..10_000_i64),
        prop::sample::select(vec![None, Some(NAME.to_owned()), Some(version("s", 1).as_subject())]),
    );
    prop::collection::vec(entry, 1..12).prop_map(|entries| {
        let mut kept = Ledger::default();
        for (at, (kind, minutes, outcome, refusal, settles, subject)) in entries.into_iter().enumerate() {
            let ago = |minutes| now() - SignedDuration::from_mins(minutes);
            let refusal = refusal.filter(|_| outcome == EntryOutcome::Refused);
            let Some(list) = kept.of_mut(kind) else { continue };
            list.push(Entry {
                id: format!("kept-{at}"),
                at: ago(minutes),
                outcome,
                cause: Cause::Automatic,
                subject,
                settle_until: settles.map(|settles| ago(minutes - settles)),
                secret_before: None,
                trace_id: None,
                refusal: refusal.map(|(code, subcode, class)| refusal_of(code, subcode, class)),
            });
        }
        kept
    })
}

/// What an object before left behind is taken over: nothing is done now, or later, that would not be done without it.
fn allows_no_more(mut without: World, kept: &Ledger) -> Result<(), TestCaseError> {
    let mut with = without.clone();
    with.memory.take_over(kept, &with.limits, with.now);
    for pause in [MINUTE, 20 * MINUTE, 5 * HOUR, 30 * HOUR] {
        let (plan, bare) = (with.plan(), without.plan());
        if let Some(planned) = &plan.step {
            prop_assert_eq!(
                Some(planned.step.kind()),
                step_of(&bare),
                "{:?} beside {}",
                planned,
                waits(&bare)
            );
        }
        if bare.step.is_some() {
            break;
        }
        (with, without) = (with.pass().after(pause), without.pass().after(pause));
    }
    Ok(())
}

/// The same world with what is remembered as status keeps it, in whole seconds.
fn kept_in_status(world: &World) -> World {
    let status = lower::with_memory(&WhatsAppChannelStatus::default(), &world.memory, None);
    world.clone().remember(|memory| *memory = lower::memory_of(&status))
}

/// Status keeps whole seconds. Whatever is planned from it, now or a fraction of a second before or after it is due, would be
/// planned from the exact times as well.
fn allows_nothing_sooner(world: World, script: Vec<(Answer, u64, bool)>) -> Result<(), TestCaseError> {
    let mut world = world.after(Duration::from_millis(300));
    for (nth, (answer, millis, soon)) in script.into_iter().enumerate() {
        let kept = kept_in_status(&world);
        let due = kept.plan().next.duration_since(world.now).unsigned_abs().min(6 * HOUR);
        for after in [Duration::ZERO, due.saturating_sub(Duration::from_millis(millis)), due] {
            let (exact, kept) = (world.clone().after(after).plan(), kept.clone().after(after).plan());
            // What a code may still be used for may end a moment later.
            if let Some(planned) = kept.step.filter(|planned| planned.step.kind() != StepKind::VerifyCode) {
                let says = format!("{:?} beside {} after {after:?}", planned, waits(&exact));
                prop_assert_eq!(Some(planned.step.kind()), step_of(&exact), "{}", says);
            }
        }
        world = match kept.plan().step {
            Some(planned) => carry_out(kept, &planned.step, answer, u32::try_from(nth).unwrap_or_default()),
            None => kept.pass(),
        };
        world = world.after(if soon { Duration::from_millis(millis) } else { due });
    }
    Ok(())
}

/// Steps follow each other within one second, and status is read back after each.
#[test]
fn what_came_later_comes_later_in_status_too() {
    let instant = Duration::from_millis(200);
    let then = |world: World| kept_in_status(&world).after(instant);
    let by_itself = |d: &mut Desired| d.verification.request = CodeRequest::Automatic;
    let asked = then(world().own().desire(by_itself).after(instant).act(StepKind::RequestCode, accepted()));
    let entered = asked.see(|o| o.code_secret = present("code", 1)).act(StepKind::VerifyCode, accepted());
    let proven = then(entered.verified());
    let after = |world: &World, kind, from| world.memory.ledger.since(kind, from).count();
    let request = proven.memory.ledger.codes[0].at;
    assert_eq!(
        after(&proven, StepKind::VerifyCode, Some(request)),
        1,
        "it is of the code that was asked for"
    );

    let registered = then(proven.clone().act(StepKind::Register, accepted()).registered()).pass();
    assert!(!then(registered).memory.has_registered_again(), "it is the first");

    let lapsed = then(proven.act(StepKind::Register, refused(133_006, None, Class::Person)));
    let required = lapsed.memory.marks.new_proof_since();
    assert!(required.is_some());
    assert_eq!(after(&lapsed, StepKind::VerifyCode, required), 0, "what was proven before proves nothing");
}

proptest! {
    // The same cases on every run, so that a red run is about a change; more of them try others.
    #![proptest_config(Config {
        cases: 2_000,
        max_shrink_iters: 4_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Config::default()
    })]

    #[test]
    fn acting_and_looking_again_ends_in_an_empty_plan_or_in_the_same_blocked_one(
        world in worlds(),
        script in prop::collection::vec(answers(), 0..12),
    ) {
        rests(world, script)?;
    }

    #[test]
    fn attempts_of_an_object_before_allow_no_step_that_would_not_be_taken_without_them(
        world in worlds(),
        kept in kept(),
        hours in 0..30_u32,
    ) {
        allows_no_more(world.after(HOUR * hours), &kept)?;
    }

    #[test]
    fn whole_seconds_allow_nothing_sooner_than_exact_times(
        world in worlds(),
        script in prop::collection::vec((answers(), 1_u64..1_000, any::<bool>()), 1..16),
    ) {
        allows_nothing_sooner(world, script)?;
    }
}
