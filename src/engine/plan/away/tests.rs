//! Whatever Meta shows of a number, its channel can be deleted, and nothing of others is taken back.

use crate::engine::{
    fixture::{
        ACCOUNT, BUSINESS, HOOK, HOUR, MINUTE, NUMBER, OTHER_ACCOUNT, SECOND, World, accepted, new_number,
        no_answer, reachable_as, refused, routed_to, searched, webhook, world,
    },
    value::{
        desired::{Connection, DeletionPolicy, Management, Webhook},
        drift::CALLBACK,
        failure::{Class, Failure},
        id::{Fact, Field, NumberStatus, PlatformType},
        memory::{Entry, EntryOutcome, Intent, Memory, Origin, Registration},
        observed::{Claim, ListState, OtherApp, PortfolioState, Searched, WebhookConfiguration},
        portfolio::{Hold, Reach},
        reason::Reason,
        step::{Cause, StepKind},
        time::later,
    },
};

const OTHER: &str = "https://other.example/wa";

/// A registered number that this object added, registered and routed, and whose channel is being deleted since now.
fn going(policy: DeletionPolicy) -> World {
    let at = world().now;
    world()
        .own()
        .registered()
        .webhook()
        .number(|n| n.webhook = routed_to(Some(HOOK)))
        .remember(|m| {
            m.business = Some(BUSINESS.into());
            m.account = Some(ACCOUNT.into());
            let first = at - HOUR;
            m.marks.registration = Registration::Seen { first, own: Some(first), fell_back: None };
        })
        .see(|o| o.subscribed = Fact::Known(true))
        .desire(|d| {
            d.deletion.policy = policy;
            d.deletion.since = Some(at);
        })
}

fn unroute() -> World {
    going(DeletionPolicy::Unroute)
}

fn observes(world: World) -> World {
    world.desire(|d| d.management = Management::ObserveOnly)
}

/// The override is gone already.
fn deregister() -> World {
    going(DeletionPolicy::Deregister).number(|n| n.webhook = routed_to(None))
}

/// One word: the step, the reason that holds it up, or how it ended.
fn says(world: &World) -> String {
    let plan = world.plan();
    assert_eq!(plan, world.plan(), "the same inputs give the same plan");
    assert!(plan.next >= world.now, "{}", plan.next);
    assert!(!plan.is_at_rest(), "an object that goes does not rest");
    plan.farewell.map_or_else(|| world.says(), |farewell| farewell.parting.as_str().into())
}

fn message(world: &World) -> String {
    world.plan().farewell.expect("it may go").message
}

#[track_caller]
fn check(cases: Vec<(&str, World, &str)>) {
    for (what, world, expected) in cases {
        assert_eq!(says(&world), expected, "{what}: {:#?}", world.plan());
    }
}

fn failed() -> ListState {
    ListState::Failed(Failure::NoAnswer("time-out".into()))
}

fn unread(world: World) -> World {
    world.see(|o| {
        o.search[0].list = failed();
        o.search[0].numbers.clear();
    })
}

fn hidden(world: World) -> World {
    let hidden = || refused(100, Some(33), Class::Person).expect_err("a refusal");
    world.see(|o| {
        o.search[0].list = ListState::NotCheckable(hidden());
        o.search[0].numbers.clear();
        o.account = Fact::Unknown(hidden());
    })
}

fn held(world: World) -> World {
    let hold = Hold { reason: Reason::TokenInvalid, message: "the token was revoked".into(), failure: None };
    world.portfolio(|view| view.hold = Some(hold))
}

#[test]
fn what_this_object_made_is_taken_back_and_no_more_than_its_policy_says() {
    check(vec![
        ("retain", going(DeletionPolicy::Retain), "Retained"),
        ("retain, and nothing can be read", unread(going(DeletionPolicy::Retain)), "Retained"),
        ("unroute", unroute(), "UnrouteWebhook"),
        ("unroute before deregister", going(DeletionPolicy::Deregister), "UnrouteWebhook"),
        ("deregister", deregister(), "Deregister"),
        ("nothing routed", unroute().number(|n| n.webhook = routed_to(None)), "CleanedUp"),
        ("no webhook in the spec", unroute().desire(|d| d.webhook = None), "CleanedUp"),
        ("deregister, and no webhook in the spec", deregister().desire(|d| d.webhook = None), "Deregister"),
        ("observes only", observes(unroute().remember(|m| m.marks.routed = vec![HOOK.into()])), "LeftAtMeta"),
        ("observes only, and wrote nothing", observes(unroute()), "CleanedUp"),
        ("suspended", unroute().desire(|d| d.suspend = true), "LeftAtMeta"),
        ("skipped", unroute().desire(|d| d.deletion.is_skipped = true), "LeftAtMeta"),
        ("managed by another", unroute().see(|o| o.claim = Claim::Other { name: None }), "Retained"),
        ("never found", unroute().remember(|m| m.number = None), "Retained"),
    ]);
}

#[test]
fn what_is_not_of_this_object_stays() {
    let stranger = |world: World| world.number(|n| n.webhook = routed_to(Some("https://other.example/wa")));
    let adopted = |world: World| {
        world.remember(|m| {
            let at = world_now();
            m.marks.origin = Origin::Adopted(at);
            m.marks.registration = Registration::Seen { first: at, own: None, fell_back: None };
        })
    };
    let shared = |world: World| {
        world.see(|o| o.other_apps = [OtherApp { id: "200000000000009".into(), name: None }].into())
    };
    // What the account has counts again once the number's own override is away.
    let gathered = |url: Option<&str>| {
        let account = url.map(str::to_owned);
        deregister().number(|n| {
            let shown = WebhookConfiguration { account, ..WebhookConfiguration::default() };
            n.webhook = Field::Is(shown.into());
        })
    };
    let beside_meta = |world: World, more: &[&str]| {
        let names = ["WA DevX Webhook Events 1P App"].into_iter().chain(more.iter().copied());
        let apps = names.zip(1..).map(|(name, id)| OtherApp {
            id: format!("20000000000000{id}").as_str().into(),
            name: Some(name.into()),
        });
        world.see(|o| o.other_apps = apps.collect())
    };
    check(vec![
        ("another address", stranger(unroute()), "Retained"),
        ("another address, deregister", stranger(going(DeletionPolicy::Deregister)), "LeftAtMeta"),
        (
            "an override and none in the spec",
            { going(DeletionPolicy::Deregister).desire(|d| d.webhook = None) },
            "LeftAtMeta",
        ),
        ("the webhook cannot be read", unroute().number(|n| n.webhook = Field::Refused), "LeftAtMeta"),
        (
            "nor is one in the spec",
            deregister().desire(|d| d.webhook = None).number(|n| n.webhook = Field::Refused),
            "LeftAtMeta",
        ),
        ("registered by another", adopted(deregister()), "Retained"),
        (
            "registered by another, and no webhook",
            adopted(deregister()).desire(|d| d.webhook = None),
            "Retained",
        ),
        ("its override all the same", adopted(going(DeletionPolicy::Deregister)), "UnrouteWebhook"),
        ("shared", shared(deregister()), "LeftAtMeta"),
        (
            "shared, and acknowledged",
            shared(deregister()).desire(|d| d.deletion.may_deregister_shared = true),
            "Deregister",
        ),
        ("the account has an override", gathered(Some("https://other.example/wa")), "LeftAtMeta"),
        (
            "the account has an override, acknowledged",
            gathered(Some("https://other.example/wa")).desire(|d| d.deletion.may_deregister_shared = true),
            "Deregister",
        ),
        ("the account has one that goes where this object's went", gathered(Some(HOOK)), "Deregister"),
        ("shared with Meta's own app alone", beside_meta(deregister(), &[]), "Deregister"),
        ("shared with Meta's own app and another", beside_meta(deregister(), &["Acme CRM"]), "LeftAtMeta"),
        ("in the app", deregister().number(|n| n.is_on_biz_app = Field::Is(true)), "LeftAtMeta"),
        (
            "in the app alone",
            deregister().number(|n| n.platform = Field::Is(PlatformType::OnPremise)),
            "LeftAtMeta",
        ),
        ("coexistence", deregister().desire(|d| d.connection = Connection::Coexistence), "LeftAtMeta"),
        (
            "who is subscribed is unknown",
            deregister().see(|o| o.subscribed = Fact::Unknown(Failure::NoAnswer("time-out".into()))),
            "MetaUnavailable",
        ),
        (
            "the app is not told",
            deregister().number(|n| n.is_on_biz_app = Field::Refused),
            "ObservationIncomplete",
        ),
        (
            "an unknown platform",
            deregister().number(|n| n.platform = Field::Is("ELSEWHERE".into())),
            "StatusNotKnown",
        ),
    ]);
    assert!(message(&shared(deregister())).contains("200000000000009"));
    assert!(message(&gathered(Some("https://other.example/wa"))).contains("DeregisterSharedNumber"));
    let many = message(&beside_meta(deregister(), &["A", "B", "C", "D"]));
    assert!(many.contains("(200000000000002, 200000000000003, 200000000000004)"), "the first three: {many}");
    // Nobody is told to do by hand what the operator does not do for a reason.
    for (what, world) in [
        ("another address", stranger(unroute())),
        ("another address, deregister", stranger(going(DeletionPolicy::Deregister))),
        ("registered by another", adopted(deregister())),
        ("shared", shared(deregister())),
        ("the webhook cannot be read", unroute().number(|n| n.webhook = Field::Refused)),
    ] {
        assert!(!message(&world).contains("POST"), "{what}: {}", message(&world));
    }
    let app = message(&deregister().number(|n| n.is_on_biz_app = Field::Is(true)));
    assert!(
        app.contains("disconnect the number in the WhatsApp Business app") && !app.contains("POST"),
        "{app}"
    );
    let locked =
        deregister().act(StepKind::Deregister, refused(133_016, None, Class::WaitUntil)).after(SECOND);
    assert!(message(&locked).contains("once the 72 hours are over and not before"), "{}", message(&locked));
    let unknown = going(DeletionPolicy::Deregister).after(10 * MINUTE).remember(|m| {
        m.unknown = Some("x".into());
        m.number = None;
        m.marks.registration = Registration::NotSeen;
    });
    assert_eq!(says(&unknown), "LeftAtMeta");
    let unknown = message(&unknown);
    assert!(unknown.contains("its registration") && unknown.contains("WhatsApp Manager"), "{unknown}");
    assert!(!unknown.contains("POST"), "{unknown}");
}

fn world_now() -> jiff::Timestamp {
    world().now
}

#[test]
fn one_more_registration_of_a_number_that_others_registered_is_no_proof() {
    let at = world_now();
    let entry = |outcome| Entry {
        id: "r".into(),
        at: at + SECOND,
        outcome,
        cause: Cause::Automatic,
        subject: None,
        settle_until: None,
        secret_before: None,
        trace_id: None,
        refusal: None,
    };
    let with = |first, outcome| {
        deregister().after(HOUR).desire(|d| d.deletion.since = Some(at + HOUR)).remember(move |m| {
            m.marks.registration = first;
            m.marks.origin = Origin::Adopted(at);
            m.ledger.registrations = vec![entry(outcome)];
        })
    };
    let lost = |world: World| {
        world.remember(|m| {
            m.in_flight = Some(Intent {
                id: "r".into(),
                step: StepKind::Register.into(),
                reason: String::new(),
                started_at: at + SECOND,
                send_before: at + 6 * SECOND,
                settle_until: at + 3 * MINUTE,
                generation: 1,
                subject: None,
                absent_before: None,
            });
        })
    };
    let others = Registration::Seen { first: at, own: None, fell_back: None };
    check(vec![
        ("others' registration, made once more", with(others, EntryOutcome::Accepted), "Retained"),
        (
            "ours, whose answer was lost",
            lost(with(Registration::NotSeen, EntryOutcome::NoAnswer)),
            "Deregister",
        ),
        ("ours, looked for in vain", with(Registration::NotSeen, EntryOutcome::NoAnswer), "CleanedUp"),
        ("ours was refused", with(Registration::NotSeen, EntryOutcome::Refused), "CleanedUp"),
    ]);
}

#[test]
fn whatever_cannot_be_read_ends_when_the_time_is_over_and_tells_what_is_left() {
    type Row = (&'static str, fn(World) -> World, &'static str);
    let claimless = |world: World| world.see(|o| o.claim = Claim::Undecided);
    let portfolioless = |world: World| world.see(|o| o.portfolio = PortfolioState::NotUsable);
    let refused_list = |world: World| {
        let denied = refused(200, None, Class::Credentials).expect_err("a refusal");
        world.see(move |o| o.search[0].list = ListState::NotCheckable(denied))
    };
    let throttled = |world: World| {
        let until = world.now + HOUR;
        world.see(move |o| o.search[0].list = ListState::Failed(Failure::Throttled(until)))
    };
    let rows: [Row; 7] = [
        ("no answer", unread, "MetaUnavailable"),
        ("throttled", throttled, "Throttled"),
        ("the token was revoked", held, "TokenInvalid"),
        ("no right to the account", refused_list, "PermissionMissing"),
        ("no portfolio", portfolioless, "PortfolioNotUsable"),
        ("not every namespace was read", claimless, "NotObservedYet"),
        (
            "a status that is not understood",
            |w| w.remember(|m| m.unknown = Some("x".into())),
            "StatusNotUnderstood",
        ),
    ];
    for policy in [DeletionPolicy::Unroute, DeletionPolicy::Deregister] {
        for (what, change, reason) in &rows {
            let just = |time| change(going(policy).after(time));
            assert_eq!(says(&change(going(policy))), *reason, "{what}");
            assert_eq!(says(&just(9 * MINUTE + 59 * SECOND)), *reason, "{what}");
            assert_eq!(just(9 * MINUTE + 59 * SECOND).plan().next, world_now() + 10 * MINUTE, "{what}");
            let over = just(10 * MINUTE);
            assert_eq!(says(&over), "LeftAtMeta", "{what}");
            let message = message(&over);
            assert!(message.contains(&format!("POST /{NUMBER} with")), "{what}: {message}");
            let names_deregister = message.contains(&format!("POST /{NUMBER}/deregister"));
            assert_eq!(names_deregister, policy == DeletionPolicy::Deregister, "{what}: {message}");
            // Nobody has looked whose it is, so no call is named without a look before it.
            let looks = message.matches("only if").count();
            assert_eq!(looks, 1 + usize::from(names_deregister), "{what}: {message}");
            assert_eq!(message.contains("subscribed_apps"), names_deregister, "{what}: {message}");
            assert!(message.contains("after 10 minutes"), "{what}: {message}");
            assert!(message.len() < 1_000, "{what}: an event takes no more: {message}");
        }
    }
    let longer = unread(unroute().after(10 * MINUTE)).desire(|d| d.deletion.timeout = HOUR);
    assert_eq!(says(&longer), "MetaUnavailable");
}

#[test]
fn what_can_be_done_is_done_however_late_and_a_new_process_gets_a_chance() {
    let late = |world: World| world.after(2 * HOUR);
    check(vec![
        ("it can be done", late(unroute()), "UnrouteWebhook"),
        ("it cannot", unread(late(unroute())), "LeftAtMeta"),
    ]);
    let started = |seconds| {
        let world = late(unroute());
        let at = world.now - seconds * SECOND;
        unread(world.see(|o| o.process.started = at))
    };
    check(vec![
        ("it has just begun", started(59), "MetaUnavailable"),
        ("it has tried", started(60), "LeftAtMeta"),
    ]);
}

#[test]
fn a_number_that_is_gone_has_nothing_to_be_taken_back() {
    let status =
        |word: NumberStatus| going(DeletionPolicy::Deregister).number(|n| n.status = Field::Is(word));
    let absent = || going(DeletionPolicy::Deregister).without_number();
    check(vec![
        ("moved", status(NumberStatus::Migrated), "CleanedUp"),
        ("deleted", status(NumberStatus::Deleted), "CleanedUp"),
        ("no longer listed, at first", absent(), "ObservationIncomplete"),
        ("no longer listed, and looked for again", absent().pass().after(30 * SECOND), "CleanedUp"),
        (
            "it came back",
            absent().pass().after(30 * SECOND).number(|n| {
                *n = new_number();
                n.platform = Field::Is(PlatformType::CloudApi);
                n.webhook = routed_to(Some(HOOK));
            }),
            "UnrouteWebhook",
        ),
        (
            "another entry with its digits",
            going(DeletionPolicy::Deregister).number(|n| n.id = "7".into()),
            "ObservationIncomplete",
        ),
        ("the account is not shown, at first", hidden(unroute()), "AccountNotInReach"),
        ("the account is not shown", hidden(unroute()).pass().after(30 * SECOND), "LeftAtMeta"),
        ("its list alone is not shown", hidden(unroute()).account(|_| {}), "AccountNotInReach"),
        (
            "it is not registered",
            deregister().number(|n| n.platform = Field::Is(PlatformType::NotApplicable)),
            "CleanedUp",
        ),
    ]);
}

#[test]
fn nothing_is_decided_by_what_was_read_before_the_deletion() {
    let at = world_now() + MINUTE;
    let early = unroute().desire(|d| d.deletion.since = Some(at));
    assert_eq!(says(&early), "NotObservedYet");
    assert_eq!(says(&early.after(MINUTE)), "UnrouteWebhook");
}

#[test]
fn an_override_is_removed_once_and_seen_to_be_gone() {
    let sent = unroute().act(StepKind::UnrouteWebhook, accepted());
    let routed_late = |world: World| {
        world.number(|n| n.webhook = routed_to(None)).remember(|m| {
            let pace = m.ledger.repeatable.entry(StepKind::RouteWebhook).or_default();
            pace.settle_until = Some(later(world_now(), MINUTE));
        })
    };
    check(vec![
        ("accepted", sent.clone().after(SECOND), "EffectNotVisibleYet"),
        ("and gone", sent.clone().after(2 * SECOND).number(|n| n.webhook = routed_to(None)), "CleanedUp"),
        ("and still there", sent.clone().after(61 * SECOND), "UnrouteWebhook"),
        ("lost", unroute().act(StepKind::UnrouteWebhook, no_answer()).after(SECOND), "EffectNotVisibleYet"),
        (
            "lost, and gone",
            unroute()
                .act(StepKind::UnrouteWebhook, no_answer())
                .after(SECOND)
                .number(|n| n.webhook = routed_to(None)),
            "CleanedUp",
        ),
        (
            "refused",
            unroute().act(StepKind::UnrouteWebhook, refused(200, None, Class::Credentials)).after(SECOND),
            "CleaningUp",
        ),
        (
            "refused, and tried again",
            unroute()
                .act(StepKind::UnrouteWebhook, refused(200, None, Class::Credentials))
                .after(30 * SECOND),
            "UnrouteWebhook",
        ),
        ("one that was written just before may still show", routed_late(unroute()), "EffectNotVisibleYet"),
        ("and did not", routed_late(unroute()).after(MINUTE), "CleanedUp"),
    ]);
    let over = |world: World| {
        world.desire(|d| d.deletion.timeout = 10 * SECOND).see(|o| o.process.started = world_now() - HOUR)
    };
    let believed = over(sent.clone().after(11 * SECOND));
    assert_eq!(says(&believed), "CleanedUp");
    assert!(message(&believed).contains("does not show it yet"), "{}", message(&believed));
    assert_eq!(
        says(&over(deregister().act(StepKind::Deregister, accepted()).after(11 * SECOND))),
        "CleanedUp"
    );
    let twice = unroute().act(StepKind::UnrouteWebhook, accepted()).after(2 * MINUTE);
    let twice = twice.act(StepKind::UnrouteWebhook, accepted()).after(SECOND);
    assert_eq!(says(&over(twice)), "LeftAtMeta", "what it accepted before never showed");
    let lost = unroute().act(StepKind::UnrouteWebhook, no_answer()).after(11 * SECOND);
    assert_eq!(says(&over(lost)), "LeftAtMeta", "what had no answer was not accepted");
    assert!(message(&sent.clone().number(|n| n.webhook = routed_to(None))).contains("was removed"));
    // The process ended right after Meta took the removal, before anything was written of it.
    let gone = |world: World| message(&world.after(SECOND).number(|n| n.webhook = routed_to(None)));
    let told = gone(unroute().remember(|m| m.marks.note_route(HOOK)));
    assert_eq!(told, "The webhook override of this object is not there any more.");
    let kept = gone(unroute().remember(|m| {
        m.ledger.repeatable.entry(StepKind::RouteWebhook).or_default().last = Some(world_now() - HOUR);
    }));
    assert_eq!(kept, told, "its pace tells that it wrote one, too");
    assert_eq!(gone(unroute()), "Nothing was to be taken back at Meta.", "this object wrote none");
    let mut many = unroute();
    for _ in 0..3 {
        many = many.act(StepKind::UnrouteWebhook, accepted()).after(6 * MINUTE);
    }
    assert_eq!(says(&many), "LeftAtMeta", "Meta does not take it");
}

#[test]
fn a_number_is_deregistered_once_and_seen_to_be() {
    let free = |world: World| world.number(|n| n.platform = Field::Is(PlatformType::NotApplicable));
    let sent = |result| deregister().act(StepKind::Deregister, result);
    let again = |code, subcode, class| sent(refused(code, subcode, class));
    check(vec![
        ("accepted", sent(accepted()).after(SECOND), "EffectNotVisibleYet"),
        ("and shown", free(sent(accepted()).after(SECOND)), "CleanedUp"),
        ("and not shown in its time", sent(accepted()).after(2 * MINUTE), "Deregister"),
        ("lost", sent(no_answer()).after(MINUTE), "EffectNotVisibleYet"),
        ("lost, and shown", free(sent(no_answer()).after(MINUTE)), "CleanedUp"),
        ("lost, and not shown in its time", sent(no_answer()).after(3 * MINUTE), "Deregister"),
        ("the process died", deregister().die(StepKind::Deregister).after(SECOND), "EffectNotVisibleYet"),
        ("it died, and it is shown", free(deregister().die(StepKind::Deregister).after(MINUTE)), "CleanedUp"),
        ("not registered", again(133_010, None, Class::AlreadyDone).after(SECOND), "CleanedUp"),
        (
            "not registered, in the other words",
            again(100, Some(2_207_051), Class::AlreadyDone).after(SECOND),
            "CleanedUp",
        ),
        ("too often", again(133_016, None, Class::WaitUntil).after(SECOND), "LeftAtMeta"),
        ("refused", again(200, None, Class::Credentials).after(SECOND), "CleaningUp"),
        ("refused, and tried again", again(200, None, Class::Credentials).after(30 * SECOND), "Deregister"),
        (
            "unknown, and nothing to see yet",
            again(1, None, Class::Retry).after(SECOND),
            "EffectNotVisibleYet",
        ),
    ]);
    let mut many = deregister();
    for _ in 0..3 {
        many = many.act(StepKind::Deregister, refused(200, None, Class::Credentials)).after(6 * MINUTE);
    }
    assert_eq!(says(&many), "LeftAtMeta");
    assert!(message(&many).contains("3 times"), "{}", message(&many));
}

#[test]
fn a_removal_that_meta_refuses_again_and_again_does_not_hold_up_the_deregistration() {
    let refused = || refused(200, None, Class::Credentials);
    let both = |policy| {
        let mut world = going(policy).desire(|d| d.deletion.timeout = HOUR);
        for _ in 0..3 {
            world = world.act(StepKind::UnrouteWebhook, refused()).after(6 * MINUTE);
        }
        world
    };
    let done = both(DeletionPolicy::Deregister).act(StepKind::Deregister, accepted()).after(MINUTE);
    let done = done.number(|n| n.platform = Field::Is(PlatformType::NotApplicable));
    check(vec![
        ("nothing else is to be done", both(DeletionPolicy::Unroute), "UnrouteWebhook"),
        ("it was done", done.clone(), "LeftAtMeta"),
    ]);
    let message = message(&done);
    assert!(message.starts_with("The number was deregistered") && message.contains("3 times"), "{message}");
    assert!(message.contains("override_callback_uri") && !message.contains("/deregister"), "{message}");
}

#[test]
fn deregistrations_of_objects_before_count() {
    let kept = |count: u32| {
        deregister().remember(|m| {
            m.ledger.deregistrations = (0..count)
                .map(|n| Entry {
                    id: format!("d{n}"),
                    at: world_now() - (n + 1) * HOUR,
                    outcome: EntryOutcome::Accepted,
                    cause: Cause::Automatic,
                    subject: None,
                    settle_until: None,
                    secret_before: None,
                    trace_id: None,
                    refusal: None,
                })
                .collect();
        })
    };
    check(vec![("eight", kept(8), "Deregister"), ("nine", kept(9), "LeftAtMeta")]);
}

#[test]
fn a_registration_that_may_still_take_effect_is_waited_for() {
    let world = world().own().verified().remember(|m| {
        m.business = Some(BUSINESS.into());
        m.account = Some(ACCOUNT.into());
    });
    let sent = world.die(StepKind::Register).desire(|d| {
        d.deletion.policy = DeletionPolicy::Deregister;
        d.deletion.since = Some(world_now());
    });
    let sent = sent.see(|o| o.subscribed = Fact::Known(true));
    check(vec![
        ("on its way", sent.clone().after(MINUTE), "EffectNotVisibleYet"),
        ("it took effect", sent.clone().registered().after(MINUTE), "Deregister"),
        ("it had its time", sent.clone().after(11 * MINUTE), "CleanedUp"),
    ]);
    // What may be on the wire is never left behind unseen.
    let short =
        sent.desire(|d| d.deletion.timeout = 10 * SECOND).see(|o| o.process.started = world_now() - HOUR);
    check(vec![
        ("the call may be on the wire", short.clone().after(29 * SECOND), "EffectNotVisibleYet"),
        ("it cannot", short.after(30 * SECOND), "LeftAtMeta"),
    ]);
}

#[test]
fn a_claim_that_was_just_taken_over_waits_its_pause() {
    let until = world_now() + MINUTE;
    let paused = |world: World| world.see(|o| o.claim = Claim::Ours { act_from: Some(until) });
    check(vec![
        ("pause", paused(unroute()), "ClaimPause"),
        ("over", paused(unroute()).after(MINUTE), "UnrouteWebhook"),
    ]);
}

#[test]
fn a_look_reads_the_number_alone_and_nothing_where_nothing_is_to_be_done() {
    let looks = |world: World| {
        let look = world.look();
        (look.meta, look.subscription.is_some(), look.code_secret || look.pin_secret || look.verify_token)
    };
    assert_eq!(looks(unroute()), (true, false, false));
    assert_eq!(looks(deregister()), (true, true, false));
    for idle in [
        going(DeletionPolicy::Retain),
        unroute().desire(|d| d.suspend = true),
        unroute().desire(|d| d.deletion.is_skipped = true),
        unroute().desire(|d| d.management = Management::ObserveOnly),
        unroute().remember(|m| m.number = None),
        unroute().see(|o| o.claim = Claim::Other { name: None }),
    ] {
        assert_eq!(looks(idle), (false, false, false));
    }
    let look = unroute().after(MINUTE).look();
    assert_eq!(look.accounts.len(), 1);
    assert_eq!(look.accounts[0].not_before, world_now() + 30 * SECOND, "what siblings have just read serves");
    assert_eq!(unroute().look().accounts[0].not_before, world_now(), "and nothing from before the deletion");
    let ahead = deregister().desire(|d| d.deletion.since = Some(world_now() + MINUTE));
    let not_before =
        beside(ahead, |_| {}).look().accounts.into_iter().map(|account| account.not_before).max();
    assert_eq!(
        not_before,
        Some(world_now()),
        "a deletion that the API server dates later is no reason to wait"
    );
    let wrote = unroute().after(20 * SECOND).act(StepKind::UnrouteWebhook, accepted()).after(5 * SECOND);
    assert_eq!(wrote.look().accounts[0].not_before, world_now() + 20 * SECOND, "nor from before a write");
}

/// Another account is in reach, and its list says this.
fn beside(world: World, change: impl FnOnce(&mut Searched)) -> World {
    let begun = world.now;
    let mut other = searched(OTHER_ACCOUNT, begun);
    change(&mut other);
    let both = [ACCOUNT, OTHER_ACCOUNT].map(|id| reachable_as(id, Some(true)));
    world.portfolio(|view| view.reach = Reach::Accounts(both.into())).see(|o| o.search.push(other))
}

#[test]
fn a_number_that_another_account_in_reach_has_too_stays_registered() {
    let entry = |id: &str, platform: PlatformType| {
        let mut number = new_number();
        (number.id, number.platform) = (id.into(), Field::Is(platform));
        vec![std::sync::Arc::new(number)]
    };
    let has = |numbers: Vec<_>| beside(deregister(), move |other| other.numbers = numbers);
    let shared = || has(entry(NUMBER, PlatformType::CloudApi));
    let own = |id: &str, platform: Option<PlatformType>| {
        let mut other = new_number();
        (other.id, other.platform) = (id.into(), platform.map_or(Field::Refused, Field::Is));
        beside(deregister(), |_| {}).see(|o| o.search[0].numbers.push(std::sync::Arc::new(other)))
    };
    let gone_from_there = || {
        let mut numbers = entry(NUMBER, PlatformType::CloudApi);
        std::sync::Arc::make_mut(&mut numbers[0]).status = Field::Is(NumberStatus::Migrated);
        numbers
    };
    let both = || Reach::Accounts([ACCOUNT, OTHER_ACCOUNT].map(|id| reachable_as(id, Some(true))).into());
    let silent = |list: ListState| beside(deregister(), move |other| other.list = list);
    let denied = || ListState::NotCheckable(refused(200, None, Class::Credentials).expect_err("a refusal"));
    let may = |world: World| world.desire(|d| d.deletion.may_deregister_shared = true);
    check(vec![
        ("not there", has(Vec::new()), "Deregister"),
        ("the same entry", shared(), "LeftAtMeta"),
        ("the same entry, acknowledged", may(shared()), "Deregister"),
        ("the same entry, gone from there", has(gone_from_there()), "Deregister"),
        ("its list is not read yet", deregister().portfolio(|v| v.reach = both()), "NotObservedYet"),
        (
            "an entry without digits in its own account",
            beside(deregister(), |_| {})
                .see(|o| o.search[0].without_digits = entry("8", PlatformType::CloudApi)),
            "Deregister",
        ),
        ("another live entry in its own account", own("7", Some(PlatformType::CloudApi)), "LeftAtMeta"),
        (
            "another live entry in its own account, acknowledged",
            may(own("7", Some(PlatformType::CloudApi))),
            "Deregister",
        ),
        ("another entry there that is not live", own("7", Some(PlatformType::NotApplicable)), "Deregister"),
        ("another entry there of which that is not told", own("7", None), "ObservationIncomplete"),
        ("live there on premise", has(entry("7", PlatformType::OnPremise)), "Deregister"),
        ("live there under another id", has(entry("7", PlatformType::CloudApi)), "LeftAtMeta"),
        ("added there and not live", has(entry("7", PlatformType::NotApplicable)), "Deregister"),
        ("no answer", silent(failed()), "ObservationIncomplete"),
        ("may not be read", silent(denied()), "PermissionMissing"),
        ("may not be read, acknowledged", may(silent(denied())), "Deregister"),
        ("not read yet", deregister().portfolio(|view| view.reach = Reach::Unread), "PortfolioNotReadYet"),
        (
            "its override goes all the same",
            {
                let both =
                    |world| beside(world, |other| other.numbers = entry(NUMBER, PlatformType::CloudApi));
                both(going(DeletionPolicy::Deregister))
            },
            "UnrouteWebhook",
        ),
    ]);
    let told = message(&shared());
    assert!(told.contains("DeregisterSharedNumber") && !told.contains("POST"), "{told}");
    let late = silent(denied()).after(10 * MINUTE);
    assert_eq!(says(&late), "LeftAtMeta");
    assert!(message(&late).contains("another account has the number too is not known"), "{}", message(&late));
    // The lists are read for a deregistration, and for nothing else.
    let reads = |world: World| beside(world, |_| {}).look().accounts.len();
    let foreign = |m: &mut Memory| {
        m.marks.registration = Registration::Seen { first: world_now(), own: None, fell_back: None };
    };
    assert_eq!(
        [
            reads(deregister()),
            reads(unroute()),
            reads(may(deregister())),
            reads(deregister().remember(foreign)),
        ],
        [2, 1, 1, 1]
    );
}

#[test]
fn what_an_entry_of_another_account_does_not_show_is_not_taken_for_an_absence() {
    let entry = |id: &str, platform: Field<PlatformType>| {
        let mut number = new_number();
        (number.id, number.platform) = (id.into(), platform);
        number
    };
    let live = || Field::Is(PlatformType::CloudApi);
    let blind =
        |number| beside(deregister(), move |other| other.without_digits = vec![std::sync::Arc::new(number)]);
    let shown = |number| beside(deregister(), move |other| other.numbers = vec![std::sync::Arc::new(number)]);
    let left = || {
        let mut number = entry("7", live());
        number.status = Field::Is(NumberStatus::Migrated);
        number
    };
    let may = |world: World| world.desire(|d| d.deletion.may_deregister_shared = true);
    check(vec![
        ("no digits, live", blind(entry("7", live())), "ObservationIncomplete"),
        (
            "no digits, and whether it is live is hidden",
            blind(entry("7", Field::Refused)),
            "ObservationIncomplete",
        ),
        ("no digits, not live", blind(entry("7", Field::Is(PlatformType::NotApplicable))), "Deregister"),
        ("no digits, gone", blind(left()), "Deregister"),
        ("no digits, acknowledged", may(blind(entry("7", live()))), "Deregister"),
        (
            "the digits, and whether it is live is hidden",
            shown(entry("7", Field::Absent)),
            "ObservationIncomplete",
        ),
        (
            "the digits, and it left",
            shown({
                let mut number = entry("7", Field::Absent);
                number.status = Field::Is(NumberStatus::Migrated);
                number
            }),
            "Deregister",
        ),
        (
            "no digits, beside the entry that shows them",
            blind(entry("7", live())).see(|o| {
                let known = entry("8", Field::Is(PlatformType::NotApplicable));
                o.search[1].numbers = vec![std::sync::Arc::new(known)];
            }),
            "Deregister",
        ),
    ]);
    let told = message(&blind(entry("7", live())).after(10 * MINUTE));
    let named = format!("account {OTHER_ACCOUNT} has an entry that shows no number, with the id 7");
    assert!(told.starts_with("Left at Meta") && told.contains(&named), "{told}");
    let beside_one = blind(entry("7", live())).see(|o| {
        let known = entry("8", Field::Is(PlatformType::NotApplicable));
        o.search[1].without_digits.push(std::sync::Arc::new(known));
    });
    let told = message(&beside_one.after(10 * MINUTE));
    assert!(told.contains(&named), "one that is not live is no question: {told}");
}

#[test]
fn no_list_from_before_the_deletion_proves_that_nobody_shares_the_number() {
    let read = |before| {
        let begun = world_now().checked_sub(before).expect("a time");
        beside(deregister(), move |other| other.list = ListState::Complete { begun })
    };
    check(vec![
        ("right at the deletion", read(std::time::Duration::ZERO), "Deregister"),
        ("a second before", read(SECOND), "NotObservedYet"),
        (
            "a second before, acknowledged",
            read(SECOND).desire(|d| d.deletion.may_deregister_shared = true),
            "Deregister",
        ),
    ]);
    let many = || {
        let others = (1..100).map(|n| reachable_as(&format!("39{n:013}"), Some(true)));
        let reach = Reach::Accounts(others.chain([reachable_as(ACCOUNT, Some(true))]).collect());
        deregister().portfolio(|view| view.reach = reach)
    };
    let oldest = |world: World| world.look().accounts.iter().map(|account| account.not_before).min();
    assert_eq!(many().look().accounts.len(), 100);
    assert_eq!(oldest(many()), Some(world_now()), "however many accounts there are");
    assert_eq!(oldest(many().after(2 * MINUTE)), Some(world_now()), "each is read once");
    assert_eq!(
        oldest(many().after(HOUR)),
        Some(world_now() + HOUR - 5 * MINUTE),
        "and again in a long deletion"
    );
}

#[test]
fn a_step_that_is_undecided_holds_up_the_deregistration_alone() {
    let open = |policy, step: StepKind| {
        going(policy).remember(move |m| {
            m.in_flight = Some(Intent {
                id: "x".into(),
                step: step.into(),
                reason: String::new(),
                started_at: world_now() - SECOND,
                send_before: world_now() + 9 * SECOND,
                settle_until: world_now() + 630 * SECOND,
                generation: 1,
                subject: None,
                absent_before: None,
            });
        })
    };
    for step in [StepKind::SubmitName, StepKind::SetPin, StepKind::WritePicture, StepKind::Register] {
        let (unrouted, both) = (open(DeletionPolicy::Unroute, step), open(DeletionPolicy::Deregister, step));
        let gone = |world: World| world.number(|n| n.webhook = routed_to(None));
        check(vec![
            ("the override", unrouted.clone(), "UnrouteWebhook"),
            ("the call may be on its way", gone(unrouted.clone()).after(28 * SECOND), "EffectNotVisibleYet"),
            ("it cannot any more", gone(unrouted.clone()).after(29 * SECOND), "CleanedUp"),
            ("the override first", both.clone(), "UnrouteWebhook"),
        ]);
        if step != StepKind::Register {
            check(vec![
                (
                    "and the registration not yet",
                    gone(both.clone()).after(28 * SECOND),
                    "EffectNotVisibleYet",
                ),
                ("until the call cannot be on its way", gone(both).after(29 * SECOND), "Deregister"),
            ]);
        }
    }
}

#[test]
fn an_override_that_this_object_wrote_is_its_own_after_an_edit_too() {
    let wrote = |world: World| world.remember(|m| m.marks.note_route(HOOK));
    let unnamed = |world: World| world.desire(|d| d.webhook = None);
    let edited = |world: World| {
        world.desire(|d| d.webhook = Some(Webhook { callback_url: OTHER.into(), ..webhook() }))
    };
    let shows = |world: World, url| world.number(move |n| n.webhook = routed_to(url));
    check(vec![
        ("removed from the spec", wrote(unnamed(unroute())), "UnrouteWebhook"),
        ("and never written", unnamed(unroute()), "CleanedUp"),
        ("an edit that was not taken", wrote(edited(unroute())), "UnrouteWebhook"),
        ("an edit of what was found", edited(unroute()), "Retained"),
        ("gone already", shows(wrote(unnamed(unroute())), None), "CleanedUp"),
        ("somebody else's by now", shows(wrote(unnamed(unroute())), Some(OTHER)), "Retained"),
        ("Retain", wrote(unnamed(going(DeletionPolicy::Retain))), "Retained"),
        ("it keeps no registration up", wrote(unnamed(going(DeletionPolicy::Deregister))), "UnrouteWebhook"),
    ]);
    // What was written, or may have been, and nothing else is remembered, until Meta shows that it is gone.
    let live = || world().own().registered().webhook().number(|n| n.webhook = routed_to(None));
    let live = || live().see(|o| o.subscribed = Fact::Known(true));
    let sent = |result| live().act(StepKind::RouteWebhook, result);
    let routed = |world: &World| world.memory.marks.routed.clone();
    assert_eq!(routed(&sent(accepted())), [HOOK]);
    assert_eq!(routed(&sent(no_answer())), [HOOK]);
    assert_eq!(routed(&sent(refused(2_200, None, Class::Person))), [""; 0]);
    assert_eq!(routed(&sent(accepted()).after(SECOND).pass()), [HOOK], "it shows late");
    let taken = || shows(sent(accepted()).after(MINUTE), Some(HOOK)).pass();
    assert_eq!(routed(&taken()), [HOOK]);
    assert_eq!(routed(&unnamed(taken()).pass()), [HOOK], "it stays live, so it stays this object's");
    assert_eq!(routed(&shows(taken().after(HOUR), Some(OTHER)).pass()), [""; 0]);
    assert_eq!(routed(&taken().after(HOUR).number(|n| n.webhook = Field::Refused).pass()), [HOOK]);
}

#[test]
fn an_override_from_before_addresses_were_remembered_is_looked_at_and_taken_back() {
    let unnamed = |world: World| world.desire(|d| d.webhook = None);
    let edited = |world: World| {
        world.desire(|d| d.webhook = Some(Webhook { callback_url: OTHER.into(), ..webhook() }))
    };
    let deleted = |world: World| {
        let at = world.now;
        world.desire(|d| (d.deletion.policy, d.deletion.since) = (DeletionPolicy::Unroute, Some(at)))
    };
    // Meta shows what this object wrote, and status holds what it held before.
    let live = world().own().registered().webhook().see(|o| o.subscribed = Fact::Known(true));
    let first = live.now - HOUR;
    let live = live.remember(|m| {
        (m.business, m.account) = (Some(BUSINESS.into()), Some(ACCOUNT.into()));
        m.marks.registration = Registration::Seen { first, own: Some(first), fell_back: None };
    });
    let live = live.number(|n| n.webhook = routed_to(None)).act(StepKind::RouteWebhook, accepted());
    let live = live.after(MINUTE).number(|n| n.webhook = routed_to(Some(HOOK))).pass();
    let old = || live.clone().remember(|m| m.marks.routed.clear()).after(HOUR);
    assert_eq!(old().pass().memory, old().memory, "nothing is written for it at rest");
    let found = || old().remember(|m| m.ledger.repeatable.clear());
    // Another field is edited, and the pace of before counts no more.
    let edited_elsewhere = |world: World| world.desire(|d| d.generation += 1).pass();
    // Somebody changed it, and it was written again; then came another edit.
    let at = old().now;
    let repaired = || found().remember(|m| m.marks.note_repair(CALLBACK, at, 3));
    // What was refused was not written, whoever wrote it then.
    let unrouted = || world().own().registered().webhook().see(|o| o.subscribed = Fact::Known(true));
    let by_hand = || {
        let refused = unrouted().act(StepKind::RouteWebhook, refused(2_200, None, Class::Person));
        let shown = refused.after(HOUR).number(|n| n.webhook = routed_to(Some(HOOK))).pass();
        shown.remember(|m| (m.business, m.account) = (Some(BUSINESS.into()), Some(ACCOUNT.into())))
    };
    let next = |world: World| deleted(world.after(HOUR));
    check(vec![
        ("removed, and deleted later", next(unnamed(old()).pass()), "UnrouteWebhook"),
        ("removed and deleted at once", deleted(unnamed(old())), "UnrouteWebhook"),
        ("edited and deleted at once", deleted(edited(old())), "UnrouteWebhook"),
        ("found, removed, and deleted later", next(unnamed(found()).pass()), "CleanedUp"),
        (
            "another one by now",
            next(unnamed(old()).pass()).number(|n| n.webhook = routed_to(Some(OTHER))),
            "Retained",
        ),
        ("gone by now", next(unnamed(old()).pass()).number(|n| n.webhook = routed_to(None)), "CleanedUp"),
        (
            "another edit came first",
            next(unnamed(edited_elsewhere(old()).after(HOUR)).pass()),
            "UnrouteWebhook",
        ),
        (
            "another edit came first to what was found",
            next(unnamed(edited_elsewhere(found())).pass()),
            "CleanedUp",
        ),
        ("written again in the version before", next(unnamed(repaired()).pass()), "UnrouteWebhook"),
        ("refused, and mended by hand", next(unnamed(by_hand()).pass()), "CleanedUp"),
    ]);
    let kept = edited_elsewhere(old());
    assert_eq!(kept.memory.marks.routed, [HOOK], "with the pass of the edit, which is written anyway");
    assert_eq!(kept.clone().after(HOUR).pass().memory, kept.memory);
    assert_eq!(
        edited(old()).pass().memory.marks.routed,
        [HOOK],
        "an edit keeps it until the new one is there"
    );
}

#[test]
fn an_address_that_meta_may_have_taken_although_it_refused_is_not_forgotten_before_it_could_show() {
    let live = world().own().registered().webhook().number(|n| n.webhook = routed_to(None));
    let sent = live.see(|o| o.subscribed = Fact::Known(true));
    let sent = sent.act(StepKind::RouteWebhook, refused(2, None, Class::Retry)).after(SECOND).pass();
    assert_eq!(sent.memory.marks.routed, [HOOK]);
    let shown = sent.after(SECOND).number(|n| n.webhook = routed_to(Some(HOOK))).pass();
    assert_eq!(shown.memory.marks.routed, [HOOK]);
}

#[test]
fn a_policy_that_changes_half_way_tells_what_was_done_before() {
    let changes: [fn(World) -> World; 2] = [
        |world| world.desire(|d| d.deletion.policy = DeletionPolicy::Retain),
        |world| world.see(|o| o.claim = Claim::Other { name: None }),
    ];
    for change in changes {
        let untouched = message(&change(going(DeletionPolicy::Deregister)));
        assert!(untouched.contains("everything stays at Meta as it is"), "{untouched}");
        let removed = || going(DeletionPolicy::Deregister).act(StepKind::UnrouteWebhook, accepted());
        let removed = || removed().after(2 * SECOND).number(|n| n.webhook = routed_to(None));
        let told = message(&change(removed()));
        assert!(told.contains("its webhook override was removed") && !told.contains("everything"), "{told}");
        let ended = message(&change(removed().act(StepKind::Deregister, accepted())));
        assert!(ended.contains("was removed and it was deregistered"), "{ended}");
        let lost = message(&change(removed().act(StepKind::Deregister, no_answer())));
        assert!(lost.contains("its deregistration was tried"), "{lost}");
    }
    let stops: [fn(World) -> World; 3] = [
        |world| world.desire(|d| d.deletion.is_skipped = true),
        |world| world.desire(|d| d.suspend = true),
        observes,
    ];
    for stop in stops {
        let routed = going(DeletionPolicy::Deregister).remember(|m| m.marks.routed = vec![HOOK.into()]);
        let untouched = message(&stop(routed));
        assert!(untouched.contains("perhaps its webhook override; perhaps its registration"), "{untouched}");
        let removed = || going(DeletionPolicy::Deregister).act(StepKind::UnrouteWebhook, accepted());
        let told = message(&stop(removed().after(SECOND)));
        assert!(
            told.contains("Meta accepted the removal") && told.contains("perhaps its registration"),
            "{told}"
        );
        let removed = removed().after(2 * SECOND).number(|n| n.webhook = routed_to(None));
        let ended = message(&stop(removed.act(StepKind::Deregister, accepted())));
        assert!(ended.contains("Meta accepted the deregistration"), "{ended}");
    }
}
