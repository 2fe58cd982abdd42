//! What is looked at, as sentences.
#![allow(clippy::unwrap_used)]

use crate::engine::{
    fixture::{
        ACCOUNT, HOUR, MINUTE, NUMBER, OTHER_ACCOUNT, SECOND, World, accepted, no_answer, reachable_as,
        refused, world,
    },
    look::{Follows, Look, Urgency, look},
    value::{
        desired::{Connection, Management},
        failure::Class,
        id::{CodeStatus, Field, PlatformType},
        observed::{Claim, PortfolioState},
        portfolio::Reach,
        secret::SecretFact,
        step::StepKind,
        time::{earlier, later},
    },
};

/// How old a list of the target may be.
fn age(world: &World) -> std::time::Duration {
    let not_before = world.look().accounts[0].not_before;
    world.now.duration_since(not_before).unsigned_abs()
}

#[test]
fn nothing_is_read_where_nothing_may_be_done() {
    for (what, world) in [
        ("suspended", world().desire(|d| d.suspend = true)),
        ("claimed", world().see(|o| o.claim = Claim::Other { name: None })),
        ("claim undecided", world().see(|o| o.claim = Claim::Undecided)),
        ("not usable", world().see(|o| o.portfolio = PortfolioState::NotUsable)),
        ("no account", world().portfolio(|v| v.reach = Reach::Accounts(vec![]))),
        ("other business", world().remember(|m| m.business = Some("7".into()))),
    ] {
        let look = world.look();
        assert!(!look.meta && look.accounts.is_empty() && look.profile.is_none(), "{what}: {look:?}");
        assert!(!look.code_secret && !look.pin_secret && !look.verify_token, "{what}: {look:?}");
    }
}

#[test]
fn every_account_in_reach_is_searched_until_the_number_is_registered() {
    let two = || {
        let reach =
            Reach::Accounts(vec![reachable_as(OTHER_ACCOUNT, Some(true)), reachable_as(ACCOUNT, Some(true))]);
        world().desire(|d| d.account = Some(ACCOUNT.into())).portfolio(|v| v.reach = reach)
    };
    let accounts = |world: World| {
        world
            .look()
            .accounts
            .into_iter()
            .map(|a| (a.account.to_string(), a.facts.is_some()))
            .collect::<Vec<_>>()
    };
    let target = (ACCOUNT.to_owned(), true);
    assert_eq!(accounts(two()), [target.clone(), (OTHER_ACCOUNT.to_owned(), false)]);
    assert_eq!(accounts(two().own()), [target.clone(), (OTHER_ACCOUNT.to_owned(), false)]);
    let registered = || two().own().registered().pass();
    assert_eq!(accounts(registered()), std::slice::from_ref(&target));
    let approved =
        registered().remember(|m| m.marks.approved = m.marks.origin.at().map(|at| ("Acme".into(), at)));
    assert_eq!(accounts(approved), [target.clone(), (OTHER_ACCOUNT.to_owned(), false)]);
    let vanished = registered().remember(|m| m.marks.missing_since = m.marks.origin.at());
    assert_eq!(accounts(vanished), [target, (OTHER_ACCOUNT.to_owned(), false)]);
}

#[test]
fn among_hundreds_of_accounts_the_lists_of_others_may_be_a_second_older_for_each() {
    let ages = |many: usize| {
        let others = (1..many).map(|n| reachable_as(&format!("39{n:013}"), Some(true)));
        let reach = Reach::Accounts(others.chain([reachable_as(ACCOUNT, Some(true))]).collect());
        let world = world().desire(|d| d.account = Some(ACCOUNT.into())).portfolio(|v| v.reach = reach);
        let accounts = world.look().accounts;
        assert_eq!(accounts.len(), many);
        [0, 1].map(|at: usize| world.now.duration_since(accounts[at].not_before).unsigned_abs())
    };
    assert_eq!(ages(60), [MINUTE, MINUTE], "all can be read within a minute");
    assert_eq!(ages(300), [MINUTE, 5 * MINUTE], "the target first");
    assert_eq!(ages(5_000), [MINUTE, HOUR], "and never older than the portfolio");
}

#[test]
fn a_list_is_as_fresh_as_its_use_needs() {
    assert_eq!(age(&world()), MINUTE, "before an add");
    let observing = world().desire(|d| d.management = Management::ObserveOnly);
    assert_eq!(age(&observing), 5 * MINUTE, "whoever only observes adds nothing");
    assert_eq!(age(&world().own()), 5 * MINUTE, "in transition");
    assert_eq!(age(&world().own().registered().pass()), 5 * MINUTE, "at rest");
    let wrote = world().own().verified().act(StepKind::Register, accepted());
    assert_eq!(age(&wrote), std::time::Duration::ZERO, "right after a write");
    assert_eq!(age(&wrote.clone().after(20 * SECOND)), 20 * SECOND, "begun after the write");
    assert_eq!(age(&wrote.clone().after(MINUTE)), 30 * SECOND, "every 30 s for a while");
    assert_eq!(age(&wrote.clone().after(6 * MINUTE)), 5 * MINUTE, "then as ever");
    let shown = wrote.clone().registered().assess().after(MINUTE);
    assert_eq!(
        age(&shown),
        MINUTE,
        "what shows is not looked for, though a list from before the write is none"
    );
    assert_eq!(age(&shown.after(20 * MINUTE)), 5 * MINUTE, "also when it had its time to show");
    assert!(age(&wrote.after(11 * MINUTE)) < 2 * MINUTE, "absent only in a list begun after that time");
    let paused = world().act(StepKind::AddNumber, refused(100, None, Class::Spec)).after(HOUR);
    assert_eq!(age(&paused), 5 * MINUTE, "a refused add waits for hours");
}

#[test]
fn a_request_for_a_code_makes_no_list_too_old() {
    let asked = world().own().desire(|d| d.consents.send_code = Some("1".into())).assess().after(MINUTE);
    let asked = asked.act(StepKind::RequestCode, accepted()).after(SECOND);
    assert_eq!(age(&asked), 5 * MINUTE);
    let kept = world().own().verified().assess().see(|o| o.pin_secret = SecretFact::Missing).after(SECOND);
    assert_eq!(
        age(&kept.act(StepKind::CreatePin, accepted()).after(SECOND)),
        5 * MINUTE,
        "nor does a Secret"
    );
}

#[test]
fn without_room_for_an_add_nobody_needs_what_it_relies_on() {
    let world = world();
    let (before, process) = (&world.before, &world.observed.process);
    let follows = |may_add| Follows { before, after_write: None, may_add, process, picture: None };
    let age = |may_add| {
        let (claim, portfolio) = (&world.observed.claim, &world.observed.portfolio);
        let look =
            look(&world.desired, &world.memory, claim, portfolio, follows(may_add), &world.limits, world.now);
        world.now.duration_since(look.accounts[0].not_before).unsigned_abs()
    };
    assert_eq!((age(true), age(false)), (MINUTE, 5 * MINUTE));
}

#[test]
fn facts_of_an_account_keep_longer_than_its_list_and_no_write_ages_them() {
    let age =
        |world: &World| world.now.duration_since(world.look().accounts[0].facts.unwrap()).unsigned_abs();
    assert_eq!(age(&world()), 5 * MINUTE, "not known to be usable");
    let usable = world().own().verified().assess();
    assert_eq!(age(&usable), HOUR);
    assert_eq!(age(&usable.act(StepKind::Register, accepted())), HOUR, "right after a write");
    let asked = world().own().assess().desire(|d| d.consents.reconcile = Some("1".into()));
    assert_eq!(age(&asked), std::time::Duration::ZERO);
}

#[test]
fn an_undecided_step_is_judged_by_a_list_begun_after_it_settled() {
    let lost = world().own().verified().act(StepKind::Register, no_answer());
    let settled = lost.memory.in_flight.as_ref().unwrap().settle_until;
    let world = lost.after(11 * MINUTE);
    assert_eq!(world.look().accounts[0].not_before, settled);
    assert!(settled > earlier(world.now, 5 * MINUTE));
}

#[test]
fn what_another_process_began_is_judged_by_a_list_begun_after_it_settled_here() {
    let lost = world().own().verified().act(StepKind::Register, no_answer());
    let taken = lost.taken_over(jiff::SignedDuration::from_mins(5));
    let settled = later(taken.now, 10 * MINUTE + 30 * SECOND);
    let world = taken.after(11 * MINUTE);
    assert_eq!(world.look().accounts[0].not_before, settled);
}

#[test]
fn secrets_are_read_when_they_could_be_used() {
    let secrets = |world: World| {
        let look = world.look();
        (look.code_secret, look.pin_secret, look.verify_token)
    };
    assert_eq!(secrets(world()), (false, false, false));
    assert_eq!(secrets(world().own()), (true, true, false));
    assert_eq!(secrets(world().own().registered().pass()), (false, false, false));
    assert_eq!(secrets(world().own().registered().pass().webhook()), (false, false, true));
    assert_eq!(
        secrets(world().own().desire(|d| d.connection = Connection::Coexistence)),
        (false, false, false)
    );
    let fell =
        world().own().registered().pass().number(|n| n.platform = Field::Is(PlatformType::NotApplicable));
    let fell = fell.number(|n| n.status = Field::Absent).pass();
    assert_eq!(secrets(fell.after(10 * MINUTE).pass()), (true, true, false));
}

#[test]
fn settings_are_read_only_when_they_are_managed() {
    let look = world().own().look();
    assert!(look.subscription.is_none() && look.profile.is_none());
    let look = world().own().webhook().desire(|d| d.profile.about = Some("Open".into())).look();
    assert_eq!(look.subscription, Some(ACCOUNT.into()));
    assert_eq!(look.profile, Some((NUMBER.into(), HOUR)));
}

#[test]
fn who_waits_is_served_first() {
    let urgency = |world: World| world.look().urgency;
    assert_eq!(urgency(world().own()), Urgency::Transitional);
    assert_eq!(urgency(world().own().registered().pass()), Urgency::Drift);
    assert_eq!(urgency(world().own().desire(|d| d.consents.send_code = Some("1".into()))), Urgency::Person);
    let sent = world()
        .own()
        .desire(|d| d.consents.send_code = Some("1".into()))
        .act(StepKind::RequestCode, accepted());
    assert_eq!(urgency(sent.clone()), Urgency::Person);
    assert_eq!(urgency(sent.after(HOUR)), Urgency::Transitional);
    let observing = world().own().registered().pass().desire(|d| {
        d.management = Management::ObserveOnly;
        d.consents.send_code = Some("1".into());
        d.consents.retry = Some("1".into());
    });
    assert_eq!(urgency(observing), Urgency::Drift, "nobody waits for a consent that is never answered");
}

#[test]
fn a_wait_with_a_date_is_looked_at_on_that_date_at_the_latest() {
    let wrong = world().own().number(|n| n.code = Field::Is(CodeStatus::Verified));
    let paused = wrong.act(StepKind::Register, refused(133_009, None, Class::WaitUntil)).after(4 * MINUTE);
    let plan = paused.plan();
    assert_eq!(plan.block.unwrap().until, Some(later(paused.now, MINUTE)));
    assert!(plan.next <= later(paused.now, MINUTE));
}

#[test]
fn an_edit_is_served_before_what_is_on_its_way() {
    let urgency = |world: World, observed| world.look().after_edit(&world.desired, observed).urgency;
    let rest = || world().own().registered().pass();
    let now = rest().desired.generation;
    assert_eq!(urgency(rest(), Some(now)), Urgency::Drift);
    assert_eq!(urgency(rest(), Some(now - 1)), Urgency::Edit);
    assert_eq!(urgency(world().own(), None), Urgency::Edit);
    let asked = world().own().desire(|d| d.consents.send_code = Some("1".into()));
    assert_eq!(urgency(asked, None), Urgency::Person, "a person goes before");
}

#[test]
fn other_accounts_are_waited_for_briefly_while_a_person_waits_for_a_code_and_for_nothing_else() {
    let found = || world().remember(|m| m.number = Some(NUMBER.into()));
    let asked = |name: &str| {
        found().desire(|d| {
            let value = Some("1".to_owned());
            match name {
                "send-code" => d.consents.send_code = value,
                "retry" => d.consents.retry = value,
                _ => d.consents.reconcile = value,
            }
        })
    };
    let within = crate::engine::value::limits::Limits::default().others_within;
    for (what, world, expected) in [
        ("a code", asked("send-code"), Some(within)),
        // A registration takes a number from another account.
        ("another try", asked("retry"), None),
        ("a look", asked("reconcile"), None),
        ("nothing", found(), None),
        (
            "a code of a number that is not found yet",
            world().desire(|d| d.consents.send_code = Some("1".into())),
            None,
        ),
    ] {
        assert_eq!(world.look().others_within, expected, "{what}");
    }
}

type Ask = fn(&mut Look);

#[test]
fn a_look_is_within_another_that_asked_for_all_that_it_asks_for() {
    let look = world().look();
    let asks: [(&str, Ask); 9] = [
        ("another account", |l| l.accounts[0].account = OTHER_ACCOUNT.into()),
        ("subscription", |l| l.subscription = Some(OTHER_ACCOUNT.into())),
        ("profile", |l| l.profile = Some((NUMBER.into(), HOUR))),
        ("picture", |l| l.picture = true),
        ("picture at Meta", |l| l.picture_shown = Some(NUMBER.into())),
        ("official account", |l| l.official = Some((NUMBER.into(), HOUR))),
        ("code", |l| l.code_secret = true),
        ("PIN", |l| l.pin_secret = true),
        ("verify token", |l| l.verify_token = true),
    ];
    let less = Look {
        subscription: None,
        profile: None,
        code_secret: false,
        pin_secret: false,
        verify_token: false,
        ..look.clone()
    };
    assert!(less.is_within(&look) && less.is_within(&less));
    for (what, ask) in asks {
        let mut more = less.clone();
        ask(&mut more);
        assert!(!more.is_within(&less), "{what}");
        assert!(more.is_within(&more), "{what}");
    }
    let mut sooner = look.clone();
    sooner.urgency = Urgency::Person;
    sooner.accounts[0].not_before = later(sooner.accounts[0].not_before, MINUTE);
    assert!(sooner.is_within(&look), "how soon is another question");
    let mut fresher = look.clone();
    fresher.accounts[0].facts = look.accounts[0].facts.map(|at| later(at, SECOND));
    assert!(look.is_within(&fresher) && !fresher.is_within(&look));
    let mut without_facts = look.clone();
    without_facts.accounts[0].facts = None;
    assert_eq!(look.is_within(&without_facts), look.accounts[0].facts.is_none());
}
