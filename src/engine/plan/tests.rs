//! Every state and every answer of Meta's has a decision.
#![allow(clippy::unwrap_used)]

mod badge;
mod contest;
mod picture;
mod refused;
mod region;
mod repin;
mod rests;
mod serve;
mod sync;

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;

use crate::engine::{
    fixture::{
        ACCOUNT, HOUR, MINUTE, NAME, NUMBER, OTHER_ACCOUNT, SECOND, World, accepted, entity, new_number,
        no_answer, present, reachable_as, refusal_of, refused, searched, version, world,
    },
    look::Urgency,
    value::{
        action::Action,
        condition_type::ConditionType,
        desired::{
            Access, CodeRequest, Connection, Desired, DesiredConsents, DesiredProfile, Management, Names,
            PinPolicy, VerificationMethod, WhileNameInReview,
        },
        failure::{Class, Failure, Refusal, Said, Scope},
        id::{
            AccountMode, AccountStatus, CodeStatus, Fact, Field, NameStatus, NumberStatus, PlatformType,
            ReviewStatus, Sendability,
        },
        memory::{ConsentAnswer, ConsentKind, EntryOutcome, Ledger, Origin, Proof, Registration},
        observed::{
            Claim, CodeShared, Health, ListState, Number, Observed, PortfolioState, Profile, Searched,
            WebhookConfiguration,
        },
        outcome::Accepted,
        portfolio::{Hold, Reach},
        reason::{Reason, ReasonKind},
        secret::SecretFact,
        step::{Cause, Step, StepKind},
        time::{earlier, later},
    },
};

/// Says what each world leads to; every block must hold words and be deterministic.
#[track_caller]
fn check(cases: Vec<(&str, World, &str)>) {
    for (what, world, expected) in cases {
        let plan = world.plan();
        assert_eq!(world.says(), expected, "{what}: {:?}", plan.block);
        assert_eq!(plan, world.plan(), "{what}: the same inputs give the same plan");
        assert!(
            plan.next >= world.now && plan.next <= later(world.now, world.limits.look_at_least),
            "{what}: {}",
            plan.next
        );
        for (on, block) in &plan.aside {
            assert!(
                block.reason.may_be_on(*on),
                "{what}: {} is not on {}",
                block.reason.as_str(),
                on.as_str()
            );
        }
        if let Some(block) = &plan.block {
            let is_on =
                block.reason.may_be_on(ConditionType::Registered) || block.reason == Reason::Suspended;
            assert!(is_on, "{what}: {} is not on Registered", block.reason.as_str());
        }
        for block in plan.block.iter().chain(plan.aside.iter().map(|(_, block)| block)) {
            assert!(!block.message.is_empty() && !block.message.contains('\n'), "{what}");
            let is_person = matches!(block.reason.kind(), ReasonKind::Person | ReasonKind::Stalled);
            assert!(
                !is_person
                    || block.wait.is_some()
                    || block.reason == Reason::WebhookDiffers
                    || block.reason == Reason::ProfileDiffers,
                "{what}: nobody is waited for"
            );
        }
    }
}

fn added() -> Result<Accepted, Failure> {
    Ok(Accepted { number: Some(NUMBER.into()), ..Accepted::default() })
}

fn consent(kind: ConsentKind, value: &str) -> impl FnOnce(&mut crate::engine::desired::Desired) {
    let value = Some(value.to_owned());
    move |desired| match kind {
        ConsentKind::SendCode => desired.consents.send_code = value,
        ConsentKind::Retry => desired.consents.retry = value,
        ConsentKind::Official => desired.consents.official = value,
        ConsentKind::Reconcile => desired.consents.reconcile = value,
    }
}

fn retry(value: &str) -> impl FnOnce(&mut crate::engine::desired::Desired) {
    consent(ConsentKind::Retry, value)
}

fn send_code(value: &str) -> impl FnOnce(&mut crate::engine::desired::Desired) {
    consent(ConsentKind::SendCode, value)
}

/// The sentence of 2388001 that is known.
fn in_use(class: Class) -> Result<Accepted, Failure> {
    let said = Some(Said::NumberInUse);
    Err(Failure::Refused(Refusal { said, ..refusal_of(100, Some(2_388_001), class) }))
}

/// What Meta's table makes of 2388001 at a registration: an hour's wait, which is not what it comes to.
fn certificate() -> Result<Accepted, Failure> {
    let until = Some(later(world().now, HOUR));
    Err(Failure::Refused(Refusal { until, ..refusal_of(100, Some(2_388_001), Class::WaitUntil) }))
}

fn business_app() -> Result<Accepted, Failure> {
    let said = Some(Said::BusinessAppNumber);
    Err(Failure::Refused(Refusal { said, ..refusal_of(100, None, Class::Person) }))
}

fn name(status: &'static str) -> impl FnOnce(&mut crate::engine::observed::Number) {
    move |number| number.name_status = Field::Is(status.into())
}

#[test]
fn nothing_is_done_below_a_portfolio_that_may_not_be_used() {
    let hold = |reason| Hold { reason, message: "no".into(), failure: None };
    check(vec![
        ("not usable", world().see(|o| o.portfolio = PortfolioState::NotUsable), "PortfolioNotUsable"),
        ("not read yet", world().see(|o| o.portfolio = PortfolioState::NotYet), "PortfolioNotReadYet"),
        ("held", world().portfolio(|v| v.hold = Some(hold(Reason::TokenInvalid))), "TokenInvalid"),
        ("refused", world().portfolio(|v| v.hold = Some(hold(Reason::SpecInvalid))), "SpecInvalid"),
        ("no credential yet", world().portfolio(|v| v.credential_version = None), "PortfolioNotReadYet"),
        ("other namespace", world().portfolio(|v| v.namespace = "elsewhere".into()), "PortfolioNotUsable"),
        ("other business", world().remember(|m| m.business = Some("5".into())), "PortfolioChanged"),
        ("suspended", world().desire(|d| d.suspend = true), "Suspended"),
        ("claimed", world().see(|o| o.claim = Claim::Other { name: None }), "NumberClaimed"),
        ("claim undecided", world().see(|o| o.claim = Claim::Undecided), "NotObservedYet"),
        (
            "claim is young",
            world().see(|o| o.claim = Claim::Ours { act_from: Some(later(o.begun, SECOND)) }),
            "ClaimPause",
        ),
        (
            "throttled",
            world().portfolio(|v| v.throttled_until = Some("2026-03-01T12:10:00Z".parse().unwrap())),
            "Throttled",
        ),
    ]);
}

#[test]
fn who_waits_for_its_portfolio_is_woken_by_it_and_looks_for_nothing_itself() {
    let hold = |reason| Hold { reason, message: "no".into(), failure: None };
    // It is the Secret of the portfolio that is missing, and ten thousand channels may be below it.
    for (what, world) in [
        ("not usable", world().see(|o| o.portfolio = PortfolioState::NotUsable)),
        ("not read yet", world().see(|o| o.portfolio = PortfolioState::NotYet)),
        ("no credential yet", world().portfolio(|v| v.credential_version = None)),
        ("no Secret", world().portfolio(|v| v.hold = Some(hold(Reason::SecretMissing)))),
        ("dead token", world().portfolio(|v| v.hold = Some(hold(Reason::TokenInvalid)))),
    ] {
        let plan = world.plan();
        assert_eq!(plan.next, later(world.now, world.limits.look_at_least), "{what}");
        assert_eq!(plan.date, None, "{what}");
    }
}

#[test]
fn the_account_is_told_or_asked_for() {
    let two = vec![reachable_as(ACCOUNT, Some(true)), reachable_as(OTHER_ACCOUNT, Some(true))];
    let shared = vec![reachable_as(ACCOUNT, Some(false))];
    check(vec![
        ("none", world().portfolio(|v| v.reach = Reach::Accounts(vec![])), "NoAccountInReach"),
        (
            "only a shared one",
            world().portfolio(|v| v.reach = Reach::Accounts(shared.clone())),
            "NoAccountInReach",
        ),
        (
            "a shared one, named",
            world()
                .desire(|d| d.account = Some(ACCOUNT.into()))
                .portfolio(|v| v.reach = Reach::Accounts(shared)),
            "AddNumber",
        ),
        ("two", world().portfolio(|v| v.reach = Reach::Accounts(two.clone())), "AccountAmbiguous"),
        ("unknown", world().portfolio(|v| v.reach = Reach::Unknown), "AccountReachUnknown"),
        ("unread", world().portfolio(|v| v.reach = Reach::Unread), "PortfolioNotReadYet"),
        (
            "unread but named cannot be searched",
            world().desire(|d| d.account = Some(ACCOUNT.into())).portfolio(|v| v.reach = Reach::Unread),
            "PortfolioNotReadYet",
        ),
        (
            "the only owned one, while shared ones are not read, cannot be searched",
            world().portfolio(|v| v.reach = Reach::Owned(vec![reachable_as(ACCOUNT, Some(true))])),
            "PortfolioNotReadYet",
        ),
        (
            "two owned ones, while shared ones are not read",
            world().portfolio(|v| v.reach = Reach::Owned(two)),
            "AccountAmbiguous",
        ),
        (
            "one that may be shared and is not read yet",
            world()
                .desire(|d| d.account = Some(ACCOUNT.into()))
                .portfolio(|v| v.reach = Reach::Owned(vec![reachable_as(OTHER_ACCOUNT, Some(true))])),
            "PortfolioNotReadYet",
        ),
        (
            "fixed, of an owner that is not told, before the lists are read",
            world()
                .remember(|m| m.account = Some(ACCOUNT.into()))
                .account(|a| a.owner = None)
                .portfolio(|v| v.reach = Reach::Unread),
            "PortfolioNotReadYet",
        ),
        ("named and not in reach", world().desire(|d| d.account = Some("9".into())), "AccountNotInReach"),
        (
            "changed",
            world().desire(|d| d.account = Some("9".into())).remember(|m| m.account = Some(ACCOUNT.into())),
            "AccountChanged",
        ),
        ("foreign owner, not named", world().account(|a| a.owner = Some("7".into())), "AccountNotInReach"),
        ("not read", world().see(|o| o.account = Fact::NotAsked), "NotObservedYet"),
        (
            "time-out",
            world().see(|o| o.account = Fact::Unknown(Failure::NoAnswer("t".into()))),
            "MetaUnavailable",
        ),
        (
            "gone",
            world().see(|o| {
                o.account = Fact::Unknown(Failure::Refused(refusal_of(100, Some(33), Class::Person)));
            }),
            "AccountNotInReach",
        ),
        (
            "forbidden",
            world().see(|o| {
                o.account = Fact::Unknown(Failure::Refused(refusal_of(200, None, Class::Credentials)));
            }),
            "PermissionMissing",
        ),
    ]);
}

#[test]
fn every_state_of_an_account_has_a_decision() {
    let mut cases = Vec::new();
    for (word, expected) in [
        ("APPROVED", "AddNumber"),
        ("PENDING", "AccountInReview"),
        ("DEFERRED", "AccountInReview"),
        ("REJECTED", "AccountRejected"),
        ("RESTRICTED", "AccountRestricted"),
        ("LIMIT_REACHED", "AccountRestricted"),
        ("SOMETHING_NEW", "StatusNotKnown"),
    ] {
        cases.push((word, world().account(|a| a.review = Field::Is(ReviewStatus::from(word))), expected));
    }
    for (word, expected) in [
        ("ACTIVE", "AddNumber"),
        ("PENDING", "AccountInReview"),
        ("RESTRICTED", "AccountRestricted"),
        ("DISABLED", "AccountDisabled"),
        ("INACTIVE", "AccountDisabled"),
        ("SOMETHING_NEW", "StatusNotKnown"),
    ] {
        cases.push((word, world().account(|a| a.status = Field::Is(AccountStatus::from(word))), expected));
    }
    cases.push(("country", world().account(|a| a.country = Some("PT".into())), "CountryMismatch"));
    cases.push(("country unset", world().account(|a| a.country = None), "AddNumber"));
    check(cases);
}

#[test]
fn a_number_is_added_only_when_every_list_is_complete_and_recent_and_none_has_it() {
    let two = || {
        let begun = world().now;
        world()
            .desire(|d| d.account = Some(ACCOUNT.into()))
            .portfolio(|v| {
                v.reach = Reach::Accounts(vec![
                    reachable_as(ACCOUNT, Some(true)),
                    reachable_as(OTHER_ACCOUNT, Some(true)),
                ]);
            })
            .see(|o| o.search.push(searched(OTHER_ACCOUNT, begun)))
    };
    let elsewhere = |status| {
        two().see(|o| {
            let mut number = new_number();
            number.status = Field::Is(status);
            o.search[1].numbers.push(Arc::new(number));
        })
    };
    let denied = Failure::Refused(refusal_of(200, None, Class::Credentials));
    check(vec![
        ("nowhere", two(), "AddNumber"),
        ("the other list was not read", two().see(|o| o.search.truncate(1)), "NotObservedYet"),
        (
            "the other list failed",
            two().see(|o| o.search[1].list = ListState::Failed(Failure::NoAnswer("t".into()))),
            "ObservationIncomplete",
        ),
        (
            "the other list may not be read",
            two().see(|o| o.search[1].list = ListState::NotCheckable(denied.clone())),
            "AddNumber",
        ),
        (
            "the own list failed",
            two().see(|o| o.search[0].list = ListState::Failed(Failure::NoAnswer("t".into()))),
            "MetaUnavailable",
        ),
        (
            "the own list may not be read",
            two().see(|o| o.search[0].list = ListState::NotCheckable(denied)),
            "PermissionMissing",
        ),
        ("in the other", elsewhere(NumberStatus::Pending), "NumberInOtherAccount"),
        ("migrated away from the other", elsewhere(NumberStatus::Migrated), "AddNumber"),
        ("deleted from the other", elsewhere(NumberStatus::Deleted), "AddNumber"),
        (
            "old lists",
            {
                let mut w = two();
                w.now = later(w.now, 2 * MINUTE);
                w
            },
            "NotObservedYet",
        ),
        (
            "coexistence",
            world().desire(|d| d.connection = Connection::Coexistence),
            "CoexistenceNotOnboarded",
        ),
        ("only observed", world().desire(|d| d.management = Management::ObserveOnly), "ObserveOnly"),
        (
            "migrated from here",
            world().number(|n| n.status = Field::Is(NumberStatus::Migrated)),
            "NumberMigrated",
        ),
        ("deleted here", world().number(|n| n.status = Field::Is(NumberStatus::Deleted)), "NumberDeleted"),
    ]);
}

#[test]
fn nothing_is_registered_while_an_account_in_reach_may_not_be_known_yet() {
    let ready = |reach: Reach| {
        let named = world().own().verified().desire(|d| d.account = Some(ACCOUNT.into()));
        named.portfolio(|v| v.reach = reach)
    };
    let own = vec![reachable_as(ACCOUNT, Some(true))];
    check(vec![
        ("all are read", ready(Reach::Accounts(own.clone())), "Register"),
        ("the token tells none", ready(Reach::Unknown), "Register"),
        ("none is read", ready(Reach::Unread), "PortfolioNotReadYet"),
        ("shared ones are not read", ready(Reach::Owned(own.clone())), "PortfolioNotReadYet"),
        ("registered", ready(Reach::Unread).registered(), "Rest"),
    ]);
}

#[test]
fn another_account_is_named_only_to_those_who_may_use_it() {
    let elsewhere = |accounts: Option<Names>| {
        let begun = world().now;
        let world = world().desire(|d| d.account = Some(ACCOUNT.into())).portfolio(|v| {
            v.namespace = "platform".into();
            v.access = [Access { namespaces: ["shop-br"].into(), accounts }].into();
            v.reach = Reach::Accounts(vec![
                reachable_as(ACCOUNT, Some(true)),
                reachable_as(OTHER_ACCOUNT, Some(true)),
            ]);
        });
        let world = world.see(|o| {
            o.search.push(searched(OTHER_ACCOUNT, begun));
            o.search[1].numbers.push(Arc::new(new_number()));
        });
        world.plan().block.unwrap().message
    };
    assert!(elsewhere(None).contains(OTHER_ACCOUNT));
    assert!(!elsewhere(Some([ACCOUNT].into())).contains(OTHER_ACCOUNT));
}

#[test]
fn what_meta_says_of_another_account_is_told_only_to_those_who_may_use_it() {
    let unlisted = |class, accounts: Option<Names>| {
        let begun = world().now;
        let mut refusal = refusal_of(2, None, class);
        refusal.message = format!("account {OTHER_ACCOUNT} is broken");
        let world = world().desire(|d| d.account = Some(ACCOUNT.into())).portfolio(|v| {
            v.namespace = "platform".into();
            v.access = [Access { namespaces: ["shop-br"].into(), accounts }].into();
            v.reach = Reach::Accounts(vec![
                reachable_as(ACCOUNT, Some(true)),
                reachable_as(OTHER_ACCOUNT, Some(true)),
            ]);
        });
        let world = world.see(|o| {
            o.search.push(searched(OTHER_ACCOUNT, begun));
            o.search[1].list = ListState::Failed(Failure::Refused(refusal));
        });
        format!("{:?}", world.plan().block.unwrap())
    };
    for class in [Class::Retry, Class::WaitUntil, Class::Credentials, Class::Person, Class::Spec] {
        assert!(unlisted(class, None).contains(OTHER_ACCOUNT), "{class:?}");
        let told = unlisted(class, Some([ACCOUNT].into()));
        assert!(!told.contains(OTHER_ACCOUNT), "{told}");
    }
}

#[test]
fn every_refusal_of_an_add_has_a_decision() {
    let after = |result, time| world().act(StepKind::AddNumber, result).after(time);
    let plain = || refused(100, None, Class::Spec);
    let until = |until: &str| {
        let mut refusal = refusal_of(100, None, Class::WaitUntil);
        refusal.until = Some(until.parse().unwrap());
        Err(Failure::Refused(refusal))
    };
    check(vec![
        ("accepted, not listed yet", after(added(), MINUTE), "EffectNotVisibleYet"),
        ("no answer", after(no_answer(), 2 * MINUTE), "EffectNotVisibleYet"),
        ("no answer, absent after settling", after(no_answer(), 3 * MINUTE), "AddNumber"),
        ("no answer, there", after(no_answer(), 3 * MINUTE).number(|_| {}), "CodeNeeded"),
        (
            "already in the list",
            after(refused(100, Some(2_388_012), Class::AlreadyDone), MINUTE),
            "EffectNotVisibleYet",
        ),
        ("plain", after(plain(), 5 * HOUR), "AddRefused"),
        ("plain, later", after(plain(), 6 * HOUR), "AddNumber"),
        ("plain, asked", after(plain(), MINUTE).desire(retry("1")), "AddNumber"),
        ("plain, edited", after(plain(), MINUTE).desire(|d| d.display_name = "Acme".into()), "AddNumber"),
        (
            "plain, three times",
            after(plain(), 6 * HOUR)
                .act(StepKind::AddNumber, plain())
                .after(6 * HOUR)
                .act(StepKind::AddNumber, plain())
                .after(72 * HOUR),
            "AddRefused",
        ),
        ("in use", after(in_use(Class::Person), 99 * HOUR), "NumberOnPhone"),
        ("in use, asked", after(in_use(Class::Person), HOUR).desire(retry("1")), "AddNumber"),
        ("certificate", after(refused(100, Some(2_388_001), Class::Person), 99 * HOUR), "CertificateRefused"),
        (
            "certificate, asked",
            after(refused(100, Some(2_388_001), Class::Person), HOUR).desire(retry("1")),
            "AddNumber",
        ),
        ("limit", after(refused(200, Some(1_349_175), Class::Person), 23 * HOUR), "NumberLimitReached"),
        ("limit, a day later", after(refused(200, Some(1_349_175), Class::Person), 24 * HOUR), "AddNumber"),
        ("limit or in use", after(refused(200_000, None, Class::Person), 23 * HOUR), "AddRefused"),
        (
            "limit or in use, a day later",
            after(refused(200_000, None, Class::Person), 24 * HOUR),
            "AddNumber",
        ),
        ("restricted", after(until("2026-03-04T12:00:00Z"), 71 * HOUR), "AddingRestricted"),
        (
            "restricted, no consent shortens it",
            after(until("2026-03-04T12:00:00Z"), HOUR).desire(retry("1")),
            "AddingRestricted",
        ),
        ("restriction over", after(until("2026-03-04T12:00:00Z"), 72 * HOUR), "AddNumber"),
        ("policy", after(refused(368, None, Class::Person), HOUR), "AccountRestricted"),
        ("permission", after(refused(10, None, Class::Credentials), 99 * HOUR), "PermissionMissing"),
        (
            "permission, by its subcode",
            after(refused(200, Some(1_349_174), Class::Credentials), HOUR),
            "PermissionMissing",
        ),
        ("permission or limit", after(refused(200, None, Class::Credentials), 23 * HOUR), "AddRefused"),
        (
            "permission or limit, a day later",
            after(refused(200, None, Class::Credentials), 24 * HOUR),
            "AddNumber",
        ),
        (
            "permission or limit, asked",
            after(refused(200, None, Class::Credentials), HOUR).desire(retry("1")),
            "AddNumber",
        ),
        ("by hand", after(refused(200_000, Some(3_095_008), Class::Person), 99 * HOUR), "AddedByHandOnly"),
        (
            "by hand, asked",
            after(refused(200_000, Some(3_095_008), Class::Person), HOUR).desire(retry("1")),
            "AddNumber",
        ),
        (
            "by hand, and done",
            after(refused(200_000, Some(3_095_008), Class::Person), HOUR).number(|_| {}),
            "CodeNeeded",
        ),
        ("unknown", after(refused(2_388_103, None, Class::Person), 99 * HOUR), "AddRefused"),
        ("transient", after(refused(2, None, Class::Retry), MINUTE), "EffectNotVisibleYet"),
        ("transient, absent after settling", after(refused(2, None, Class::Retry), 3 * MINUTE), "AddNumber"),
        (
            "died, seen at once",
            world().die(StepKind::AddNumber).after(SECOND).number(|_| {}),
            "EffectNotVisibleYet",
        ),
        ("died", world().die(StepKind::AddNumber).after(MINUTE), "EffectNotVisibleYet"),
        ("not sent", after(Err(Failure::NotSent("no connection".into())), 30 * SECOND), "NotSentYet"),
        ("not sent, later", after(Err(Failure::NotSent("no connection".into())), MINUTE), "AddNumber"),
    ]);
}

#[test]
fn an_add_that_fails_again_and_again_without_a_cause_becomes_a_persons() {
    let times = |code, count: usize| {
        (0..count).fold(world(), |world, _| {
            world.act(StepKind::AddNumber, refused(code, None, Class::Retry)).after(7 * HOUR)
        })
    };
    let mut slow = times(1, 5);
    for _ in 0..3 {
        slow = slow.act(StepKind::AddNumber, no_answer()).after(7 * HOUR);
    }
    check(vec![
        ("unknown, five times", times(1, 5), "AddNumber"),
        ("unknown, six times", times(1, 6), "AddRefused"),
        ("unknown, six times, much later", times(1, 6).after(99 * HOUR), "AddRefused"),
        ("unknown, asked", times(1, 6).desire(retry("1")), "AddNumber"),
        ("unknown, edited", times(1, 6).desire(|d| d.display_name = "Acme".into()), "AddNumber"),
        ("not made, once", times(300, 1), "AddNumber"),
        ("not made, twice", times(300, 2), "AddRefused"),
        ("went wrong, three times", times(131_000, 3), "AddNumber"),
        ("went wrong, four times", times(131_000, 4), "AddRefused"),
        ("down, nine times", times(2, 9), "AddNumber"),
        ("no answer in between", slow.clone(), "AddNumber"),
        (
            "no answer in between, and once more",
            slow.act(StepKind::AddNumber, refused(1, None, Class::Retry)).after(7 * HOUR),
            "AddRefused",
        ),
    ]);
    let again = times(1, 6)
        .desire(retry("1"))
        .act(StepKind::AddNumber, refused(1, None, Class::Retry))
        .after(7 * HOUR);
    assert_eq!(again.says(), "AddRefused", "one retry is one attempt");
}

#[test]
fn a_refusal_with_two_causes_names_both_and_has_a_date() {
    let plan = world().act(StepKind::AddNumber, refused(200, None, Class::Credentials)).after(HOUR).plan();
    let block = plan.block.unwrap();
    assert!(block.message.contains("no further number") && block.message.contains("full control"));
    assert_eq!(block.until, Some(later(world().now, 24 * HOUR)));
    assert_eq!(block.wait.unwrap().action.actor(), crate::engine::value::action::Actor::PortfolioAdmin);
}

#[test]
fn a_number_that_appears_after_an_add_of_ours_is_added_and_any_other_is_adopted() {
    let came = |world: World| world.pass().memory.marks.origin;
    assert!(matches!(came(world().number(|_| {})), Origin::Adopted(_)));
    let answered = world().act(StepKind::AddNumber, added()).after(HOUR).number(|_| {});
    assert!(matches!(came(answered), Origin::Added(_)));
    assert!(matches!(
        came(world().act(StepKind::AddNumber, no_answer()).after(MINUTE).number(|_| {})),
        Origin::Added(_)
    ));
    assert!(matches!(came(world().die(StepKind::AddNumber).after(MINUTE).number(|_| {})), Origin::Added(_)));
    let twice =
        world().act(StepKind::AddNumber, refused(100, Some(2_388_012), Class::AlreadyDone)).after(MINUTE);
    assert!(matches!(came(twice.number(|_| {})), Origin::Added(_)));
    let by_hand =
        world().act(StepKind::AddNumber, refused(100, None, Class::Spec)).after(HOUR).number(|_| {});
    assert!(matches!(came(by_hand), Origin::Adopted(_)));
}

#[test]
fn of_two_entries_of_a_number_in_its_account_the_registered_one_is_taken_until_one_is_known() {
    let twin = |o: &mut Observed| {
        let number = Number { id: "1".into(), ..crate::engine::fixture::new_number() };
        o.search[0].numbers.insert(0, Arc::new(number));
    };
    let taken = |world: World| world.pass().memory.number;
    assert_eq!(taken(world().registered().see(twin)), Some(NUMBER.into()));
    assert_eq!(taken(world().number(|_| {}).see(twin)), Some("1".into()), "neither is registered");
    let known = world().number(|_| {}).remember(|m| m.number = Some(NUMBER.into()));
    assert_eq!(taken(known.see(twin)), Some(NUMBER.into()));
}

#[test]
fn a_number_that_vanished_is_believed_gone_at_the_second_look_and_added_again_only_when_asked() {
    let once = world().own().pass().after(HOUR).without_number();
    let twice = once.clone().pass().after(MINUTE);
    check(vec![
        ("once", once, "ObservationIncomplete"),
        ("twice", twice.clone(), "NumberDeleted"),
        ("asked", twice.clone().desire(retry("1")), "AddNumber"),
        ("back", twice.number(|_| {}), "CodeNeeded"),
    ]);
}

#[test]
fn every_status_of_a_number_has_a_decision() {
    let mut cases = Vec::new();
    for (word, expected) in [
        ("PENDING", "Register"),
        ("UNVERIFIED", "Register"),
        ("DISCONNECTED", "Register"),
        ("CONNECTED", "ObservationIncomplete"),
        ("FLAGGED", "ObservationIncomplete"),
        ("RESTRICTED", "ObservationIncomplete"),
        ("RATE_LIMITED", "ObservationIncomplete"),
        ("BANNED", "NumberBanned"),
        ("MIGRATED", "NumberMigrated"),
        ("DELETED", "NumberDeleted"),
        ("UNKNOWN", "StatusNotKnown"),
        ("LINKED", "StatusNotKnown"),
    ] {
        cases.push((word, world().own().verified().number(|n| n.status = Field::Is(word.into())), expected));
    }
    cases.push(("absent", world().own().verified().number(|n| n.status = Field::Absent), "Register"));
    for (word, expected) in [
        ("CONNECTED", "Rest"),
        ("FLAGGED", "Rest"),
        ("RESTRICTED", "Rest"),
        ("RATE_LIMITED", "Rest"),
        ("DISCONNECTED", "Rest"),
        ("BANNED", "NumberBanned"),
        ("UNKNOWN", "StatusNotKnown"),
    ] {
        cases.push((
            word,
            world().own().registered().number(|n| n.status = Field::Is(word.into())),
            expected,
        ));
    }
    for (word, expected) in
        [("ON_PREMISE", "NumberOnPremises"), ("CLOUD_API", "Rest"), ("NEW", "StatusNotKnown")]
    {
        cases.push((
            word,
            world().own().verified().number(|n| n.platform = Field::Is(word.into())),
            expected,
        ));
    }
    check(cases);
}

#[test]
fn nothing_is_written_to_a_number_whose_critical_fields_are_hidden() {
    let own = || world().own().verified();
    check(vec![
        ("platform refused", own().number(|n| n.platform = Field::Refused), "ObservationIncomplete"),
        ("platform absent", own().number(|n| n.platform = Field::Absent), "ObservationIncomplete"),
        ("code refused", own().number(|n| n.code = Field::Refused), "ObservationIncomplete"),
        ("code absent", own().number(|n| n.code = Field::Absent), "ObservationIncomplete"),
        ("code word unknown", own().number(|n| n.code = Field::Is("NEW".into())), "StatusNotKnown"),
        ("app refused", own().number(|n| n.is_on_biz_app = Field::Refused), "ObservationIncomplete"),
        (
            "app absent counts as no before registering",
            own().number(|n| n.is_on_biz_app = Field::Absent),
            "Register",
        ),
        ("in the app", own().number(|n| n.is_on_biz_app = Field::Is(true)), "ConnectionContradictsNumber"),
    ]);
    let aside =
        |world: World| world.webhook().plan().aside.into_iter().map(|(on, block)| (on, block.reason)).next();
    let hidden = |n: &mut crate::engine::observed::Number| n.is_on_biz_app = Field::Absent;
    let incomplete = Some((ConditionType::WebhookRouted, Reason::ObservationIncomplete));
    assert_eq!(aside(world().adopted().registered().number(hidden)), incomplete);
    assert_eq!(aside(world().own().registered().number(|n| n.code = Field::Refused)), incomplete);
}

#[test]
fn of_a_number_in_the_app_only_the_webhook_is_written() {
    let coexists = || {
        world()
            .adopted()
            .registered()
            .desire(|d| d.connection = Connection::Coexistence)
            .number(|n| n.is_on_biz_app = Field::Is(true))
            .desire(|d| d.profile.about = Some("Open 9-17".into()))
            .see(|o| o.profile = Fact::Known(Profile::default()))
    };
    let platform = |platform| move |n: &mut crate::engine::observed::Number| n.platform = Field::Is(platform);
    check(vec![
        ("coexists", coexists(), "Rest"),
        ("with an expired code", coexists().number(|n| n.code = Field::Is(CodeStatus::Expired)), "Rest"),
        (
            "the spec wants the Cloud API",
            coexists().desire(|d| d.connection = Connection::CloudApi),
            "ConnectionContradictsNumber",
        ),
        (
            "the number is not in the app",
            coexists().number(|n| n.is_on_biz_app = Field::Is(false)),
            "ConnectionContradictsNumber",
        ),
        (
            "not connected",
            coexists().number(platform(PlatformType::NotApplicable)),
            "CoexistenceNotOnboarded",
        ),
        ("in the app alone", coexists().number(platform(PlatformType::OnPremise)), "CoexistenceNotOnboarded"),
        ("the webhook", coexists().webhook(), "RouteWebhook"),
        ("not subscribed", coexists().webhook().see(|o| o.subscribed = Fact::Known(false)), "SubscribeApp"),
        (
            "nobody tells whether it is in the app",
            coexists().webhook().number(|n| n.is_on_biz_app = Field::Refused),
            "Rest",
        ),
        ("consents do nothing", coexists().desire(send_code("1")).desire(retry("1")), "Rest"),
    ]);
    assert_eq!(coexists().plan().aside[0].1.reason, Reason::ProfileDiffers);
    let left_out = coexists().webhook().number(|n| n.is_on_biz_app = Field::Absent).plan();
    let reasons: Vec<_> = left_out.aside.iter().map(|(_, block)| block.reason).collect();
    assert_eq!(reasons, [Reason::ObservationIncomplete; 2], "nothing is written on a guess");
    let flips = coexists().pass().number(platform(PlatformType::OnPremise));
    assert_eq!(flips.says(), "ObservationIncomplete", "a word that may turn within minutes");
    assert_eq!(flips.pass().after(11 * MINUTE).says(), "CoexistenceEnded");
}

#[test]
fn observe_only_plans_nothing_and_uses_no_consent() {
    let only = |world: World| {
        world.desire(|d| d.management = Management::ObserveOnly).desire(send_code("1")).desire(retry("2"))
    };
    let worlds = [
        world(),
        world().own(),
        world().own().verified(),
        world().own().registered().webhook().see(|o| o.subscribed = Fact::Known(false)),
    ];
    for world in worlds.map(only) {
        let plan = world.plan();
        let is_kept = |answer: &ConsentAnswer| answer.used_for.is_none() && answer.refused.is_none();
        assert!(plan.step.is_none() && plan.answered.is_empty(), "{plan:?}");
        assert!(plan.memory.consents.values().all(is_kept), "{plan:?}");
        let look = world.look();
        assert!(look.meta && !look.code_secret && !look.pin_secret && !look.verify_token);
    }
    assert_eq!(
        only(world().own()).see(|o| o.claim = Claim::Other { name: None }).says(),
        "ObserveOnly",
        "a claim is neither held nor obeyed"
    );
}

#[test]
fn a_code_is_asked_for_by_consent_and_once_by_itself_for_a_number_of_our_own() {
    let automatic = |world: World| world.desire(|d| d.verification.request = CodeRequest::Automatic);
    let adopted = || automatic(world().adopted());
    check(vec![
        ("on demand", world().own(), "CodeNeeded"),
        ("consent", world().own().desire(send_code("1")), "RequestCode"),
        ("automatic", automatic(world().own()), "RequestCode"),
        ("automatic, adopted", adopted(), "CodeNeeded"),
        ("adopted, consent", adopted().desire(send_code("1")), "RequestCode"),
        (
            "automatic, expired",
            automatic(world().own()).number(|n| n.code = Field::Is(CodeStatus::Expired)),
            "CodeNeeded",
        ),
        (
            "automatic, after an expiry",
            automatic(world().own())
                .number(|n| n.code = Field::Is(CodeStatus::Expired))
                .pass()
                .number(|n| n.code = Field::Is(CodeStatus::NotVerified)),
            "CodeNeeded",
        ),
        (
            "automatic, used",
            automatic(world().own()).act(StepKind::RequestCode, accepted()).after(HOUR),
            "CodeLapsed",
        ),
        (
            "automatic, refused",
            automatic(world().own())
                .act(StepKind::RequestCode, refused(136_024, None, Class::Person))
                .after(2 * HOUR),
            "CodeRequestRefused",
        ),
        (
            "automatic, lost with the process",
            automatic(world().own()).die(StepKind::RequestCode).after(HOUR),
            "CodeLapsed",
        ),
        (
            "automatic, not sent",
            automatic(world().own())
                .act(StepKind::RequestCode, Err(Failure::NotSent("x".into())))
                .after(MINUTE),
            "RequestCode",
        ),
        ("already proven", world().own().verified().desire(send_code("1")), "Register"),
    ]);
}

#[test]
fn a_code_is_not_asked_for_when_it_would_be_wasted() {
    let asked = || world().own().desire(send_code("1"));
    check(vec![
        ("name declined", asked().number(name("DECLINED")), "NameDeclined"),
        ("name expired is submitted first", asked().number(name("EXPIRED")), "SubmitName"),
        ("name in review", asked().number(name("PENDING_REVIEW")), "RequestCode"),
        ("name not ready", asked().number(name("NONE")), "RequestCode"),
        ("no PIN, ours", asked().see(|o| o.pin_secret = SecretFact::Missing), "RequestCode"),
        (
            "no PIN, adopted without one",
            world().adopted().desire(send_code("1")).see(|o| o.pin_secret = SecretFact::Missing),
            "RequestCode",
        ),
        (
            "no PIN, adopted with one",
            world()
                .adopted()
                .desire(send_code("1"))
                .number(|n| n.is_pin_enabled = Field::Is(true))
                .see(|o| o.pin_secret = SecretFact::Missing),
            "PinNeeded",
        ),
        (
            "PIN without key",
            asked().see(|o| o.pin_secret = SecretFact::KeyMissing { version: version("p", 1) }),
            "PinNeeded",
        ),
        ("PIN forbidden", asked().see(|o| o.pin_secret = SecretFact::Forbidden(String::new())), "PinNeeded"),
        (
            "PIN malformed",
            asked().see(|o| {
                o.pin_secret =
                    SecretFact::Present { version: version("p", 1), well_formed: false, seen_before: false }
            }),
            "PinMalformed",
        ),
        (
            "PIN unreadable",
            asked().see(|o| o.pin_secret = SecretFact::Unreadable("x".into())),
            "ObservationIncomplete",
        ),
        (
            "code Secret forbidden",
            asked().see(|o| o.code_secret = SecretFact::Forbidden(String::new())),
            "SecretForbidden",
        ),
        (
            "account in review",
            asked().account(|a| a.review = Field::Is(ReviewStatus::Pending)),
            "AccountInReview",
        ),
    ]);
}

#[test]
fn a_code_that_meta_refuses_late_is_wrong_or_expired() {
    let message = |minutes: u32| {
        let entered = world()
            .own()
            .desire(send_code("1"))
            .act(StepKind::RequestCode, accepted())
            .after(minutes * MINUTE)
            .see(|o| o.code_secret = present("c", 2))
            .act(StepKind::VerifyCode, refused(136_025, None, Class::Person));
        let block = entered.after(SECOND).plan().block.unwrap();
        assert_eq!(block.reason, Reason::CodeWrong);
        block.message
    };
    assert!(!message(9).contains("expired"), "{}", message(9));
    assert!(message(10).contains("it was wrong, or had expired"), "{}", message(10));
}

#[test]
fn only_a_new_version_within_the_codes_life_is_an_answer() {
    let sent = || {
        let world = world().own().desire(send_code("1")).see(|o| o.code_secret = present("c", 1));
        world.act(StepKind::RequestCode, accepted()).after(2 * MINUTE)
    };
    let holds = |version| sent().see(|o| o.code_secret = present("c", version));
    let malformed = SecretFact::Present { version: version("c", 2), well_formed: false, seen_before: false };
    let seen = SecretFact::Present { version: version("c", 2), well_formed: true, seen_before: true };
    let wrong = || holds(2).act(StepKind::VerifyCode, refused(136_025, None, Class::Person)).after(SECOND);
    let twice = || {
        wrong()
            .see(|o| o.code_secret = present("c", 3))
            .act(StepKind::VerifyCode, refused(136_025, None, Class::Person))
            .after(SECOND)
    };
    check(vec![
        ("nothing came", sent(), "CodeAwaited"),
        ("the old version", holds(1), "CodeAwaited"),
        ("the Secret went away", sent().see(|o| o.code_secret = SecretFact::Missing), "CodeAwaited"),
        ("a new version", holds(2), "VerifyCode"),
        ("another object", sent().see(|o| o.code_secret = present("other", 1)), "VerifyCode"),
        ("a value seen before", sent().see(|o| o.code_secret = seen), "CodeAwaited"),
        ("not six digits", sent().see(|o| o.code_secret = malformed), "CodeMalformed"),
        ("late", holds(2).after(15 * MINUTE), "CodeLapsed"),
        ("late, asked to retry", holds(2).after(15 * MINUTE).desire(retry("1")), "CodeLapsed"),
        ("wrong", wrong(), "CodeWrong"),
        ("wrong, a new one", wrong().see(|o| o.code_secret = present("c", 3)), "VerifyCode"),
        ("wrong twice", twice().see(|o| o.code_secret = present("c", 4)), "CodeWrong"),
        (
            "wrong, and the right one late",
            wrong().see(|o| o.code_secret = present("c", 3)).after(15 * MINUTE),
            "CodeLapsed",
        ),
        ("wrong twice, a new consent", twice().desire(send_code("2")), "RequestCode"),
        ("lost", holds(2).act(StepKind::VerifyCode, no_answer()).after(MINUTE), "EffectNotVisibleYet"),
        ("lost, no effect", holds(2).act(StepKind::VerifyCode, no_answer()).after(3 * MINUTE), "CodeWrong"),
        (
            "lost, proven",
            holds(2).act(StepKind::VerifyCode, no_answer()).after(MINUTE).verified(),
            "Register",
        ),
        (
            "accepted, not shown yet",
            holds(2).act(StepKind::VerifyCode, accepted()).after(MINUTE),
            "EffectNotVisibleYet",
        ),
        (
            "accepted, shown",
            holds(2).act(StepKind::VerifyCode, accepted()).after(MINUTE).verified(),
            "Register",
        ),
    ]);
    assert_eq!(sent().plan().next, later(sent().now, 5 * SECOND), "a live code is polled");
}

#[test]
fn a_request_without_an_answer_counts_as_sent() {
    let lost = world().own().desire(send_code("1")).act(StepKind::RequestCode, no_answer()).after(2 * MINUTE);
    assert!(lost.memory.in_flight.is_none());
    check(vec![
        ("lost", lost.clone(), "CodeMayHaveBeenSent"),
        ("its code", lost.clone().see(|o| o.code_secret = present("c", 1)), "VerifyCode"),
        ("another consent", lost.clone().desire(send_code("2")), "RequestCode"),
        (
            "died at once",
            world().own().desire(send_code("1")).die(StepKind::RequestCode).after(SECOND),
            "EffectNotVisibleYet",
        ),
        (
            "died",
            world().own().desire(send_code("1")).die(StepKind::RequestCode).after(MINUTE),
            "CodeMayHaveBeenSent",
        ),
    ]);
}

#[test]
fn a_code_that_nobody_asked_for_is_sent_once_for_each_retry() {
    let found = || world().adopted().see(|o| o.code_secret = present("c", 1));
    let sent = || {
        found()
            .desire(retry("1"))
            .act(StepKind::VerifyCode, refused(136_025, None, Class::Person))
            .after(MINUTE)
    };
    check(vec![
        ("found", found(), "CodeFoundUnasked"),
        ("vouched for", found().desire(retry("1")), "VerifyCode"),
        ("sent", sent(), "CodeNeeded"),
        ("sent, asked again", sent().desire(retry("2")), "CodeNeeded"),
    ]);
}

#[test]
fn code_requests_stop_at_their_limits() {
    let mut many = world().own();
    for value in ["1", "2", "3", "4"] {
        many = many.desire(send_code(value)).act(StepKind::RequestCode, accepted()).after(HOUR);
    }
    let refused_once = || {
        world().own().desire(send_code("1")).act(StepKind::RequestCode, refused(136_024, None, Class::Person))
    };
    let refused_twice = || {
        refused_once()
            .after(HOUR)
            .desire(send_code("2"))
            .act(StepKind::RequestCode, refused(136_024, None, Class::Person))
    };
    check(vec![
        ("a fifth in a day", many.clone().desire(send_code("5")), "CodeLimitReached"),
        ("a day later", many.after(21 * HOUR).desire(send_code("5")), "RequestCode"),
        ("refused", refused_once().after(59 * MINUTE).desire(send_code("2")), "CodeRequestPaused"),
        ("refused, an hour later", refused_once().after(HOUR), "CodeRequestRefused"),
        ("refused, an hour later, asked", refused_once().after(HOUR).desire(send_code("2")), "RequestCode"),
        ("refused twice", refused_twice().after(11 * HOUR).desire(send_code("3")), "CodeRequestPaused"),
        (
            "refused twice, half a day later",
            refused_twice().after(12 * HOUR).desire(send_code("3")),
            "RequestCode",
        ),
        ("refused, but proven", refused_once().verified(), "Register"),
    ]);
}

#[test]
fn a_refused_request_does_not_spoil_the_code_that_came_before_it() {
    let asked =
        || world().own().desire(send_code("1")).act(StepKind::RequestCode, accepted()).after(2 * MINUTE);
    let again = || {
        let again = asked().desire(send_code("2"));
        again.act(StepKind::RequestCode, refused(136_024, None, Class::WaitUntil)).after(MINUTE)
    };
    check(vec![
        ("waited for", again(), "CodeAwaited"),
        ("entered", again().see(|o| o.code_secret = present("code", 1)), "VerifyCode"),
        (
            "entered after its life",
            again().after(15 * MINUTE).see(|o| o.code_secret = present("code", 1)),
            "CodeRequestPaused",
        ),
    ]);
}

#[test]
fn only_a_refusal_that_is_about_the_number_lets_the_next_code_wait() {
    let after = |result| {
        let asked = world().own().desire(send_code("1")).act(StepKind::RequestCode, result);
        asked.after(2 * MINUTE).desire(send_code("2"))
    };
    check(vec![
        ("too many", after(refused(136_024, None, Class::WaitUntil)), "CodeRequestPaused"),
        ("new to us", after(refused(999_999, None, Class::Person)), "CodeRequestPaused"),
        ("a permission that was granted since", after(refused(200, None, Class::Credentials)), "RequestCode"),
        ("an account that was unlocked since", after(refused(131_031, None, Class::Person)), "RequestCode"),
    ]);
}

#[test]
fn a_code_that_meta_takes_none_of_for_a_while_is_not_called_wrong() {
    let until = Some(later(world().now, 6 * MINUTE));
    let maintenance =
        || Err(Failure::Refused(Refusal { until, ..refusal_of(2_494_100, None, Class::WaitUntil) }));
    let tried = || {
        let asked = world().own().desire(send_code("1")).act(StepKind::RequestCode, accepted()).after(MINUTE);
        asked
            .see(|o| o.code_secret = present("code", 1))
            .act(StepKind::VerifyCode, maintenance())
            .after(MINUTE)
    };
    check(vec![
        ("meanwhile", tried(), "CodeRequestPaused"),
        ("afterwards", tried().after(5 * MINUTE), "CodeWrong"),
    ]);
}

#[test]
fn every_state_of_a_name_has_a_decision_before_registering() {
    let own = |status| world().own().verified().number(name(status));
    let wait = |status| own(status).desire(|d| d.registration.while_name_in_review = WhileNameInReview::Wait);
    check(vec![
        ("APPROVED", own("APPROVED"), "Register"),
        ("AVAILABLE_WITHOUT_REVIEW", own("AVAILABLE_WITHOUT_REVIEW"), "Register"),
        ("PENDING_REVIEW", own("PENDING_REVIEW"), "Register"),
        ("PENDING_REVIEW, wait", wait("PENDING_REVIEW"), "NameInReview"),
        ("NONE", own("NONE"), "NameNotReady"),
        ("NON_EXISTS", own("NON_EXISTS"), "NameNotReady"),
        ("DECLINED", own("DECLINED"), "NameDeclined"),
        ("EXPIRED", own("EXPIRED"), "SubmitName"),
        ("a new word", own("NEW"), "StatusNotKnown"),
        ("refused", own("NONE").number(|n| n.name_status = Field::Refused), "Register"),
    ]);
}

#[test]
fn the_desired_name_is_submitted_once_before_registering() {
    let named = |status: &'static str| {
        world().own().verified().number(|n| {
            n.verified_name = Field::Is("Old".into());
            n.name_status = Field::Is(status.into());
        })
    };
    let pending = |status: &'static str| {
        named("DECLINED").number(|n| {
            n.new_display_name = Field::Is(NAME.into());
            n.new_name_status = Field::Is(status.into());
        })
    };
    let beside =
        |status: &'static str| pending(status).number(|n| n.name_status = Field::Is(NameStatus::Approved));
    let sent = |result| named("APPROVED").act(StepKind::SubmitName, result);
    let expired = || world().own().verified().number(name("EXPIRED")).act(StepKind::SubmitName, accepted());
    check(vec![
        ("another name", named("APPROVED"), "SubmitName"),
        ("another in review", named("PENDING_REVIEW"), "NameChangeQueued"),
        ("submitted, in review", pending("PENDING_REVIEW"), "Register"),
        ("submitted, approved", pending("APPROVED"), "Register"),
        ("submitted, declined", pending("DECLINED"), "NameDeclined"),
        ("an older one approved, submitted, in review", beside("PENDING_REVIEW"), "Register"),
        ("an older one approved, submitted, expired", beside("EXPIRED"), "SubmitName"),
        (
            "an older one approved, submitted again, still expired",
            beside("EXPIRED").act(StepKind::SubmitName, accepted()).after(11 * MINUTE),
            "NameExpiredWaits",
        ),
        (
            "an older one approved, expired, a day later",
            beside("EXPIRED").act(StepKind::SubmitName, accepted()).after(24 * HOUR),
            "SubmitName",
        ),
        (
            "an older one expired, the desired one never shown",
            named("EXPIRED").act(StepKind::SubmitName, accepted()).after(24 * HOUR),
            "NameNotTaken",
        ),
        (
            "declined before",
            named("NONE").remember(|m| {
                m.marks.declined.insert(NAME.into(), "2026-01-01T00:00:00Z".parse().unwrap());
            }),
            "NameDeclined",
        ),
        ("accepted, not shown yet", sent(accepted()).after(MINUTE), "EffectNotVisibleYet"),
        ("accepted, never shown", sent(accepted()).after(11 * MINUTE), "NameNotTaken"),
        (
            "accepted, never shown, asked",
            sent(accepted()).after(11 * MINUTE).desire(retry("1")),
            "SubmitName",
        ),
        ("refused", sent(refused(100, None, Class::Spec)).after(99 * HOUR), "NameRefused"),
        (
            "refused, asked",
            sent(refused(100, None, Class::Spec)).after(HOUR).desire(retry("1")),
            "SubmitName",
        ),
        (
            "refused, edited",
            sent(refused(100, None, Class::Spec)).after(HOUR).desire(|d| d.display_name = "Acme".into()),
            "SubmitName",
        ),
        ("lost", sent(no_answer()).after(MINUTE), "EffectNotVisibleYet"),
        ("lost, no effect", sent(no_answer()).after(11 * MINUTE), "SubmitName"),
        ("expired, submitted, still expired", expired().after(11 * MINUTE), "NameExpiredWaits"),
        ("expired, a day later", expired().after(24 * HOUR), "SubmitName"),
    ]);
}

#[test]
fn name_submissions_stop_below_metas_limit() {
    let mut world = world().own().verified().number(|n| n.verified_name = Field::Is("Old".into()));
    for at in 0..8 {
        world = world
            .desire(|d| d.display_name = format!("Name {at}"))
            .act(StepKind::SubmitName, refused(100, None, Class::Spec))
            .after(HOUR);
    }
    let world = world.desire(|d| d.display_name = "Name 9".into());
    check(vec![
        ("eight", world.clone(), "NameLimitReached"),
        ("a consent does not help", world.clone().desire(retry("1")), "NameLimitReached"),
        ("a month later", world.after(30 * 24 * HOUR), "SubmitName"),
    ]);
}

#[test]
fn every_refusal_of_a_registration_has_a_decision() {
    let sent = |result, time| world().own().verified().act(StepKind::Register, result).after(time);
    let person = |code| refused(code, None, Class::Person);
    let wait = |code| refused(code, None, Class::WaitUntil);
    let locked = Health { can_send: Sendability::Blocked, entities: vec![] };
    let unpaid = entity("PHONE_NUMBER", Sendability::Blocked, &[141_000, 141_006, 138_024]);
    let unpaid = Health { can_send: Sendability::Blocked, entities: vec![unpaid] };
    let again = || world().own().verified().act(StepKind::Register, person(133_006)).after(HOUR);
    check(vec![
        ("accepted, not shown yet", sent(accepted(), 9 * MINUTE), "EffectNotVisibleYet"),
        ("accepted, never shown", sent(accepted(), 10 * MINUTE), "Register"),
        ("accepted, shown", sent(accepted(), MINUTE).registered(), "Rest"),
        ("lost", sent(no_answer(), 10 * MINUTE), "EffectNotVisibleYet"),
        ("lost, no effect", sent(no_answer(), 11 * MINUTE), "Register"),
        ("lost, shown", sent(no_answer(), MINUTE).registered(), "Rest"),
        ("server trouble", sent(refused(131_000, None, Class::Retry), 9 * MINUTE), "EffectNotVisibleYet"),
        ("server trouble, settled", sent(refused(131_000, None, Class::Retry), 10 * MINUTE), "Register"),
        ("PIN", sent(person(133_005), 99 * HOUR), "PinMismatch"),
        (
            "PIN, a new Secret",
            sent(person(133_005), 5 * MINUTE).see(|o| o.pin_secret = present("pin", 2)),
            "Register",
        ),
        ("PIN, asked", sent(person(133_005), MINUTE).desire(retry("1")), "Register"),
        ("proof", again(), "ReverificationNeeded"),
        ("proof, consent", again().desire(send_code("1")), "RequestCode"),
        ("PIN lock", sent(wait(133_008), 11 * HOUR), "PinLocked"),
        ("PIN lock, no consent opens it", sent(wait(133_008), 11 * HOUR).desire(retry("1")), "PinLocked"),
        ("PIN lock over", sent(wait(133_008), 12 * HOUR), "PinMismatch"),
        ("PIN too fast", sent(wait(133_009), 4 * MINUTE), "PinLocked"),
        ("PIN too fast, over", sent(wait(133_009), 5 * MINUTE), "Register"),
        ("deleted just now", sent(wait(133_015), 4 * MINUTE), "NumberDeletedRecently"),
        ("deleted, over", sent(wait(133_015), 5 * MINUTE), "Register"),
        ("limit", sent(wait(133_016), 71 * HOUR), "RegistrationLimitReached"),
        (
            "limit, no consent opens it",
            sent(wait(133_016), HOUR).desire(retry("1")),
            "RegistrationLimitReached",
        ),
        ("limit over", sent(wait(133_016), 72 * HOUR), "Register"),
        ("deregistration", sent(person(133_000), 99 * HOUR), "IncompleteDeregistration"),
        ("deregistration, asked", sent(person(133_000), HOUR).desire(retry("1")), "Register"),
        (
            "locked account",
            sent(person(131_031), HOUR).number(|n| n.health = Field::Is(locked)),
            "AccountLocked",
        ),
        ("131031 and not locked", sent(person(131_031), HOUR), "PinMismatch"),
        (
            "131031 where nobody pays and calls are not set up",
            sent(person(131_031), HOUR).number(|n| n.health = Field::Is(unpaid)),
            "PinMismatch",
        ),
        ("certificate, name usable", sent(certificate(), SECOND), "CertificateRefused"),
        ("in use", sent(in_use(Class::WaitUntil), SECOND), "NumberOnPhone"),
        (
            "in use, whatever the name",
            sent(in_use(Class::WaitUntil), SECOND).number(name("PENDING_REVIEW")),
            "NumberOnPhone",
        ),
        ("hidden", sent(refused(100, Some(33), Class::Person), 4 * MINUTE), "RegistrationPaused"),
        ("hidden, later", sent(refused(100, Some(33), Class::Person), 5 * MINUTE), "Register"),
        ("hidden as 803, later", sent(person(803), 5 * MINUTE), "Register"),
        (
            "hidden in two words",
            sent(person(803), 5 * MINUTE).act(StepKind::Register, person(33)).after(99 * HOUR),
            "RegistrationRefused",
        ),
        (
            "hidden twice",
            sent(refused(100, Some(33), Class::Person), 5 * MINUTE)
                .act(StepKind::Register, refused(100, Some(33), Class::Person))
                .after(99 * HOUR),
            "RegistrationRefused",
        ),
        (
            "banned right after it",
            sent(accepted(), 23 * HOUR).number(|n| n.status = Field::Is("BANNED".into())),
            "ObservationIncomplete",
        ),
        (
            "banned a day after it",
            sent(accepted(), 24 * HOUR).number(|n| n.status = Field::Is("BANNED".into())),
            "NumberBanned",
        ),
        (
            "banned after a lost reply",
            sent(no_answer(), 23 * HOUR).number(|n| n.status = Field::Is("BANNED".into())),
            "ObservationIncomplete",
        ),
        (
            "banned after a refusal",
            sent(person(133_000), HOUR).number(|n| n.status = Field::Is("BANNED".into())),
            "NumberBanned",
        ),
        ("token", sent(refused(190, None, Class::Credentials), MINUTE), "TokenInvalid"),
        ("token, later", sent(refused(190, None, Class::Credentials), 5 * MINUTE), "Register"),
        ("of the Business app", sent(business_app(), 99 * HOUR), "ConnectionContradictsNumber"),
        ("of the Business app, asked", sent(business_app(), HOUR).desire(retry("1")), "Register"),
        ("certificate, asked", sent(certificate(), SECOND).desire(retry("1")), "Register"),
        (
            "certificate, name in review",
            sent(certificate(), HOUR).number(name("PENDING_REVIEW")),
            "NameInReview",
        ),
        ("permission", sent(refused(200, None, Class::Credentials), HOUR), "PermissionMissing"),
        ("parameter", sent(refused(100, None, Class::Spec), 99 * HOUR), "RegistrationRefused"),
        ("unknown", sent(person(999_999), 99 * HOUR), "RegistrationRefused"),
        ("maintenance", sent(wait(2_494_100), MINUTE), "RegistrationPaused"),
        ("already", sent(refused(506, None, Class::AlreadyDone), MINUTE), "EffectNotVisibleYet"),
    ]);
}

/// A number that this object proved by a code just now, whose registration Meta refuses with 133006.
fn unproven() -> World {
    unproven_after(SECOND)
}

fn unproven_after(time: std::time::Duration) -> World {
    let proved = world()
        .own()
        .desire(send_code("1"))
        .act(StepKind::RequestCode, accepted())
        .after(MINUTE)
        .see(|o| o.code_secret = present("c", 1))
        .act(StepKind::VerifyCode, accepted())
        .after(time)
        .verified();
    proved.act(StepKind::Register, refused(133_006, None, Class::Person))
}

fn code(status: &'static str) -> impl FnOnce(&mut crate::engine::observed::Number) {
    move |number| number.code = Field::Is(status.into())
}

#[test]
fn a_new_proof_is_asked_for_whatever_the_code_before_did() {
    let soon = || unproven().after(SECOND);
    let fresh = || soon().desire(send_code("2")).act(StepKind::RequestCode, accepted()).after(MINUTE);
    check(vec![
        ("soon", soon(), "ReverificationNeeded"),
        ("once the code's life is over", unproven().after(HOUR), "ReverificationNeeded"),
        ("as Meta shows it", soon().number(code("EXPIRED")), "ReverificationNeeded"),
        ("a tool touches the Secret", soon().see(|o| o.code_secret = present("c", 2)), "CodeFoundUnasked"),
        ("consent", soon().desire(send_code("2")), "RequestCode"),
        ("a retry does not skip it", soon().desire(retry("1")), "ReverificationNeeded"),
        ("a new code is awaited", fresh(), "CodeAwaited"),
        ("a new code came", fresh().see(|o| o.code_secret = present("c", 2)), "VerifyCode"),
        (
            "taken, shown as before",
            fresh()
                .see(|o| o.code_secret = present("c", 2))
                .act(StepKind::VerifyCode, accepted())
                .after(6 * MINUTE),
            "Register",
        ),
    ]);
    assert_eq!(soon().plan().next, later(soon().now, 30 * SECOND), "no code is live, so none is polled for");
}

#[test]
fn a_second_proof_whose_answer_was_lost_is_believed_only_when_meta_shows_a_new_one() {
    let sent = |world: World| {
        world
            .desire(send_code("2"))
            .act(StepKind::RequestCode, accepted())
            .after(MINUTE)
            .see(|o| o.code_secret = present("c", 2))
    };
    let lost = |world: World| sent(world).act(StepKind::VerifyCode, no_answer()).after(6 * MINUTE);
    let died = |world: World| sent(world).die(StepKind::VerifyCode).after(6 * MINUTE);
    let lapsed = || unproven().after(3 * MINUTE).number(code("EXPIRED")).pass();
    let stale = || unproven().after(3 * MINUTE);
    let again = |result| lost(stale()).desire(send_code("3")).act(StepKind::RequestCode, result);
    let retyped = |result| {
        sent(stale())
            .act(StepKind::VerifyCode, no_answer())
            .after(3 * MINUTE)
            .see(|o| o.code_secret = present("c", 3))
            .act(StepKind::VerifyCode, result)
            .after(6 * MINUTE)
    };
    let wrong =
        || sent(stale()).act(StepKind::VerifyCode, refused(136_025, None, Class::Person)).after(6 * MINUTE);
    let old = |world: World| {
        world.see(|o| {
            o.search[0].list = ListState::Complete { begun: "2026-03-01T12:01:00Z".parse().unwrap() }
        })
    };
    check(vec![
        ("shown", lost(lapsed()).verified(), "Register"),
        ("shown after a crash", died(lapsed()).verified(), "Register"),
        ("not shown", lost(lapsed()), "CodeWrong"),
        ("a list from before the refusal", old(lost(lapsed()).verified()), "EffectNotVisibleYet"),
        ("VERIFIED all along", lost(stale()), "CodeWrong"),
        ("VERIFIED all along, asked to retry", lost(stale()).desire(retry("1")), "CodeWrong"),
        ("a new code, refused", again(refused(136_024, None, Class::WaitUntil)).after(SECOND), "Register"),
        (
            "a new code, not eligible",
            again(refused(100, Some(2_388_091), Class::Person)).after(SECOND),
            "Register",
        ),
        ("a new code, sent", again(accepted()).after(SECOND), "CodeAwaited"),
        (
            "a new code, refused, and not proven",
            again(refused(136_024, None, Class::WaitUntil)).after(SECOND).number(code("EXPIRED")),
            "CodeRequestPaused",
        ),
        ("entered again, refused as used", retyped(refused(136_025, None, Class::Person)), "Register"),
        ("entered again, not eligible", retyped(refused(100, Some(2_388_093), Class::Person)), "Register"),
        ("a wrong code proves nothing", wrong(), "CodeWrong"),
        (
            "refused before the lapse could show",
            unproven()
                .after(SECOND)
                .desire(send_code("2"))
                .act(StepKind::RequestCode, refused(136_024, None, Class::WaitUntil))
                .after(MINUTE),
            "EffectNotVisibleYet",
        ),
        (
            "refused, and the lapse had its time to show",
            unproven()
                .after(SECOND)
                .desire(send_code("2"))
                .act(StepKind::RequestCode, refused(136_024, None, Class::WaitUntil))
                .after(6 * MINUTE),
            "Register",
        ),
    ]);
}

#[test]
fn what_meta_showed_before_it_wanted_a_new_proof_is_no_lapse() {
    let early = unproven().after(SECOND).number(code("NOT_VERIFIED")).pass();
    assert!(early.memory.marks.proof_lapsed().is_none(), "the first proof may not show everywhere yet");
    assert_eq!(early.after(6 * MINUTE).verified().says(), "ReverificationNeeded");
    let old = unproven_after(HOUR).number(code("EXPIRED"));
    assert!(old.plan().memory.marks.proof_lapsed().is_none(), "a list begun no later than the refusal");
    let lapsed = unproven().after(3 * MINUTE).number(code("EXPIRED")).pass();
    assert!(lapsed.memory.marks.proof_lapsed().is_some());
    let unread = lapsed.clone().after(MINUTE).number(code("NEW"));
    assert!(unread.plan().memory.marks.needs_new_proof(), "a word that nobody knows proves nothing");
    let proven = lapsed.after(MINUTE).verified().pass();
    assert_eq!(proven.memory.marks.proof, Proof::AsShown);
    let registered = unproven().after(MINUTE).registered().pass();
    assert!(!registered.memory.marks.needs_new_proof(), "a registered number needs no proof");
}

#[test]
fn a_new_proof_that_is_noted_twice_forgets_no_lapse() {
    let mut marks = unproven().after(3 * MINUTE).number(code("EXPIRED")).pass().memory.marks;
    let before = marks.clone();
    marks.require_proof(before.new_proof_since().unwrap());
    assert_eq!(marks, before);
    marks.require_proof(later(before.new_proof_since().unwrap(), HOUR));
    assert!(marks.proof_lapsed().is_none(), "another refusal asks anew");
}

#[test]
fn a_pause_of_metas_outlives_a_new_proof_and_is_then_forgotten() {
    let paused = || {
        world()
            .own()
            .desire(send_code("1"))
            .act(StepKind::RequestCode, refused(136_024, None, Class::WaitUntil))
            .after(SECOND)
            .verified()
            .act(StepKind::Register, refused(133_006, None, Class::Person))
    };
    check(vec![
        ("meanwhile", paused().after(59 * MINUTE), "CodeRequestPaused"),
        ("afterwards", paused().after(2 * HOUR), "ReverificationNeeded"),
    ]);
}

#[test]
fn a_refused_certificate_in_review_means_the_review() {
    let tried = || {
        world()
            .own()
            .verified()
            .number(name("PENDING_REVIEW"))
            .act(StepKind::Register, certificate())
            .after(HOUR)
    };
    let late = || {
        world()
            .own()
            .verified()
            .act(StepKind::Register, certificate())
            .after(MINUTE)
            .number(name("PENDING_REVIEW"))
            .pass()
    };
    check(vec![
        ("tried once", tried(), "NameInReview"),
        ("a consent does not help", tried().desire(retry("1")), "NameInReview"),
        ("approved", tried().number(name("APPROVED")), "Register"),
        ("review seen after the refusal", late().after(HOUR).number(name("APPROVED")), "Register"),
        (
            "lost in review",
            world()
                .own()
                .verified()
                .number(name("PENDING_REVIEW"))
                .act(StepKind::Register, no_answer())
                .after(HOUR),
            "NameInReview",
        ),
    ]);
}

#[test]
fn automatic_registrations_stop_at_three_and_all_at_nine() {
    let transient = || refused(131_000, None, Class::Retry);
    let one = || world().own().verified().act(StepKind::Register, transient());
    let two = || one().after(10 * MINUTE).act(StepKind::Register, transient());
    let three = || two().after(2 * HOUR).act(StepKind::Register, transient());
    let mut nine = three().after(HOUR);
    for value in ["1", "2", "3", "4", "5", "6"] {
        nine = nine.desire(retry(value)).act(StepKind::Register, transient()).after(HOUR);
    }
    check(vec![
        ("after the first", one().after(10 * MINUTE), "Register"),
        ("after the second", two().after(119 * MINUTE), "RegistrationPaused"),
        ("after the second, later", two().after(2 * HOUR), "Register"),
        ("a consent shortens a pause", two().after(HOUR).desire(retry("1")), "Register"),
        ("after the third", three().after(24 * HOUR), "RegistrationLimitReached"),
        ("after the third, asked", three().after(HOUR).desire(retry("1")), "Register"),
        ("the window is over", three().after(70 * HOUR), "Register"),
        ("nine", nine.clone().desire(retry("7")), "RegistrationLimitReached"),
        ("nine, the window is over", nine.after(72 * HOUR), "Register"),
    ]);
}

#[test]
fn a_registration_that_shows_after_ours_was_looked_for_in_vain_is_somebody_elses() {
    let sent = |result: Result<_, _>, time| {
        world().own().verified().act(StepKind::Register, result).after(time).pass()
    };
    let died = |time| world().own().verified().die(StepKind::Register).after(time).pass();
    let trouble = || refused(131_000, None, Class::Retry);
    for (what, world, is_own) in [
        ("accepted, shown in its time", sent(accepted(), MINUTE), true),
        ("lost, shown in its time", sent(no_answer(), MINUTE), true),
        ("server trouble, shown in its time", sent(trouble(), MINUTE), true),
        ("the process died, shown in its time", died(MINUTE), true),
        ("accepted, without effect", sent(accepted(), 10 * MINUTE), false),
        ("lost, without effect", sent(no_answer(), 11 * MINUTE), false),
        ("server trouble, without effect", sent(trouble(), 10 * MINUTE), false),
        ("the process died, without effect", died(11 * MINUTE), false),
        (
            "accepted, without effect, and once more",
            sent(accepted(), 10 * MINUTE).act(StepKind::Register, accepted()),
            true,
        ),
    ] {
        let shown = world.after(SECOND).registered().pass().after(MINUTE).pass().after(HOUR).pass();
        let registration = shown.memory.marks.registration;
        assert!(matches!(registration, Registration::Seen { .. }), "{what}: {registration:?}");
        assert_eq!(shown.memory.marks.has_registered(), is_own, "{what}: {:#?}", shown.memory.ledger);
    }
    let kept = sent(accepted(), MINUTE).registered().pass().after(HOUR).pass();
    let fell_back = kept.number(|n| *n = new_number()).verified().pass().after(HOUR).pass();
    let outcomes: Vec<_> = fell_back.memory.ledger.registrations.iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [EntryOutcome::Accepted], "what had its effect stays told so");
}

#[test]
fn an_unknown_history_allows_one_registration_a_day() {
    let tried = || {
        world()
            .adopted()
            .verified()
            .after(10 * MINUTE)
            .act(StepKind::Register, refused(131_000, None, Class::Retry))
    };
    check(vec![
        ("found just now", world().adopted().verified(), "RegistrationPaused"),
        ("found just now, asked", world().adopted().verified().desire(retry("1")), "Register"),
        ("the first", world().adopted().verified().after(10 * MINUTE), "Register"),
        (
            "an old list",
            world().adopted().verified().after(10 * MINUTE).see(|o| {
                let begun = crate::engine::value::time::earlier(o.begun, SECOND);
                o.search[0].list = ListState::Complete { begun };
            }),
            "NotObservedYet",
        ),
        ("within a day", tried().after(23 * HOUR), "RegistrationPaused"),
        ("a day later", tried().after(24 * HOUR), "Register"),
    ]);
}

#[test]
fn without_a_name_status_registrations_are_far_apart() {
    let blind = || world().own().verified().number(|n| n.name_status = Field::Refused);
    let tried = || blind().act(StepKind::Register, certificate());
    check(vec![
        ("the first", blind(), "Register"),
        ("within half a day", tried().after(11 * HOUR), "RegistrationPaused"),
        ("half a day later", tried().after(12 * HOUR), "Register"),
    ]);
}

#[test]
fn overwrite_replaces_an_unknown_pin_once_and_then_registers_once() {
    let mismatch = || refused(133_005, None, Class::Person);
    let refused_once = || {
        world()
            .own()
            .verified()
            .desire(|d| d.registration.pin_policy = PinPolicy::Overwrite)
            .act(StepKind::Register, mismatch())
            .after(MINUTE)
    };
    let set = || refused_once().act(StepKind::SetPin, accepted()).after(SECOND);
    let not_replaced =
        |code| refused_once().act(StepKind::SetPin, refused(code, None, Class::Person)).after(HOUR);
    let again = || set().act(StepKind::Register, mismatch()).after(HOUR);
    check(vec![
        ("mismatch", refused_once(), "SetPin"),
        ("not registered", not_replaced(133_010), "PinMismatch"),
        ("not registered, asked", not_replaced(133_010).desire(retry("1")), "Register"),
        ("not replaced, asked", not_replaced(100).desire(retry("1")), "SetPin"),
        ("set", set(), "Register"),
        ("mismatch again", again(), "PinMismatch"),
        ("mismatch again, asked", again().desire(retry("1")), "SetPin"),
        ("lost", refused_once().act(StepKind::SetPin, no_answer()).after(HOUR), "PinMismatch"),
        (
            "refused",
            refused_once().act(StepKind::SetPin, refused(100, None, Class::Spec)).after(HOUR),
            "PinMismatch",
        ),
    ]);
}

#[test]
fn a_pin_is_kept_before_it_is_sent() {
    let missing = || world().own().verified().see(|o| o.pin_secret = SecretFact::Missing);
    check(vec![
        ("missing", missing(), "CreatePin"),
        (
            "created",
            missing().act(StepKind::CreatePin, accepted()).see(|o| o.pin_secret = present("pin", 1)),
            "Register",
        ),
        (
            "could not be created",
            missing().act(StepKind::CreatePin, Err(Failure::NotSent("x".into()))).after(MINUTE),
            "PinNeeded",
        ),
        (
            "tried again",
            missing().act(StepKind::CreatePin, Err(Failure::NotSent("x".into()))).after(5 * MINUTE),
            "CreatePin",
        ),
    ]);
}

#[test]
fn a_number_that_fell_back_is_registered_again_only_when_asked() {
    let fell = || {
        world().own().registered().pass().after(HOUR).number(|n| {
            n.platform = Field::Is(PlatformType::NotApplicable);
            n.status = Field::Is(NumberStatus::Disconnected);
        })
    };
    let automatic = |d: &mut crate::engine::desired::Desired| d.verification.request = CodeRequest::Automatic;
    let unproven = || fell().pass().after(10 * MINUTE).number(code("NOT_VERIFIED"));
    let sent = || {
        let asked = unproven().desire(send_code("1")).act(StepKind::RequestCode, accepted());
        asked.after(2 * MINUTE).desire(automatic)
    };
    let renamed = || fell().pass().after(10 * MINUTE).desire(|d| d.display_name = "Acme Vendas".into());
    check(vec![
        ("once", fell(), "ObservationIncomplete"),
        ("soon after", fell().pass().after(9 * MINUTE), "ObservationIncomplete"),
        ("ten minutes later", fell().pass().after(10 * MINUTE), "FellBack"),
        ("asked", fell().pass().after(10 * MINUTE).desire(retry("1")), "Register"),
        ("back", fell().pass().after(10 * MINUTE).registered(), "Rest"),
        ("unproven", unproven(), "FellBack"),
        ("unproven, with a code by itself", unproven().desire(automatic), "FellBack"),
        ("unproven, asked", unproven().desire(send_code("1")), "RequestCode"),
        ("unproven, asked, sent", sent(), "CodeAwaited"),
        ("unproven, asked, entered", sent().see(|o| o.code_secret = present("c", 2)), "VerifyCode"),
        ("unproven, asked, lapsed", sent().after(HOUR), "CodeLapsed"),
        ("unproven, asked, proven", sent().verified(), "FellBack"),
        ("unproven, asked, proven, asked again", sent().verified().desire(retry("1")), "Register"),
        ("another name", renamed(), "FellBack"),
        ("another name, asked", renamed().desire(retry("1")), "SubmitName"),
    ]);
}

#[test]
fn a_number_that_was_registered_is_not_registered_while_its_changed_name_is_in_review_whoever_asks() {
    let fall = |world: World| {
        let fell = world.pass().after(HOUR).number(|n| {
            n.platform = Field::Is(PlatformType::NotApplicable);
            n.status = Field::Is(NumberStatus::Disconnected);
        });
        fell.pass().after(10 * MINUTE).number(|n| {
            n.verified_name = Field::Is("Acme Alt".into());
            n.name_status = Field::Is(NameStatus::Approved);
        })
    };
    let own = || fall(world().own().registered());
    let found = || fall(world().adopted().registered());
    let in_review = || own().number(beside("PENDING_REVIEW"));
    let declined = |n: &mut Number| n.name_status = Field::Is(NameStatus::Declined);
    let hidden = |n: &mut Number| n.new_display_name = Field::Absent;
    let theirs = |n: &mut Number| {
        n.verified_name = Field::Is(NAME.into());
        n.new_display_name = Field::Is("Somebody".into());
    };
    let unproven = || in_review().number(code("NOT_VERIFIED"));
    check(vec![
        ("not asked", in_review(), "FellBack"),
        ("asked", in_review().desire(retry("1")), "NameInReview"),
        ("found, asked", found().number(beside("PENDING_REVIEW")).desire(retry("1")), "NameInReview"),
        ("the live one was declined, asked", in_review().number(declined).desire(retry("1")), "NameInReview"),
        ("another name, asked", in_review().number(theirs).desire(retry("1")), "NameInReview"),
        ("not told which, asked", in_review().number(hidden).desire(retry("1")), "NameChangeQueued"),
        ("unproven, asked for a code", unproven().desire(send_code("1")), "RequestCode"),
        ("approved, not asked", own().number(beside("APPROVED")), "FellBack"),
        ("approved, asked", own().number(beside("APPROVED")).desire(retry("1")), "Register"),
        ("deregistered to be moved", in_review().remember(|m| m.marks.is_moving = true), "Register"),
    ]);
    for world in [in_review(), unproven()] {
        let told = world.plan().block.unwrap();
        assert!(told.message.contains("ask them first") && told.message.contains("reviews"), "{told:?}");
        assert!(!told.message.contains("kubectl"), "{}", told.message);
        assert_eq!(told.wait.map(|wait| wait.action), Some(Action::ReviewName));
    }
    let plan = in_review().desire(retry("1")).plan();
    let message = plan.block.unwrap().message;
    assert!(message.contains("a retry does not register it meanwhile"), "{message}");
    let (_, answer) = plan.answered.into_iter().next().unwrap();
    assert!(answer.refused.is_some_and(|why| why.contains("reviews")), "the retry is used up");
}

#[test]
fn a_sandbox_number_that_is_not_proven_is_registered_only_when_asked() {
    let sandbox = || world().adopted().number(|n| n.account_mode = Field::Is(AccountMode::Sandbox));
    check(vec![
        ("not proven", sandbox(), "SandboxNumberNotVerified"),
        ("asked", sandbox().desire(retry("1")), "Register"),
        ("proven", sandbox().verified().after(10 * MINUTE), "Register"),
    ]);
}

#[test]
fn the_webhook_is_routed_after_the_app_is_subscribed() {
    let url = || "https://bot.acme.example/wa".to_owned();
    let routed = |n: &mut crate::engine::observed::Number| {
        n.webhook = crate::engine::fixture::routed_to(Some(&url()));
    };
    let own = || world().own().registered().webhook();
    let hidden = || own().number(|n| n.webhook = Field::Refused);
    check(vec![
        ("not subscribed", own().see(|o| o.subscribed = Fact::Known(false)), "SubscribeApp"),
        ("subscribed", own(), "RouteWebhook"),
        ("routed", own().number(routed), "Rest"),
        (
            "routed to another path",
            own().number(routed).pass().desire(|d| {
                d.generation = 2;
                d.webhook.as_mut().expect("a webhook").callback_url.push('/');
            }),
            "RouteWebhook",
        ),
        ("not known", own().see(|o| o.subscribed = Fact::Unknown(Failure::NoAnswer("t".into()))), "Rest"),
        ("not managed", world().own().registered().see(|o| o.subscribed = Fact::Known(false)), "Rest"),
        ("not shown yet", own().act(StepKind::RouteWebhook, accepted()).after(MINUTE), "Rest"),
        ("no effect", own().act(StepKind::RouteWebhook, accepted()).after(5 * MINUTE), "RouteWebhook"),
        ("hidden", hidden(), "RouteWebhook"),
        ("hidden, written", hidden().act(StepKind::RouteWebhook, accepted()).after(99 * HOUR), "Rest"),
        (
            "hidden, edited",
            hidden().act(StepKind::RouteWebhook, accepted()).after(HOUR).desire(|d| d.generation = 2),
            "RouteWebhook",
        ),
        ("not registered", world().own().webhook().see(|o| o.subscribed = Fact::Known(false)), "CodeNeeded"),
    ]);
}

#[test]
fn what_holds_the_webhook_up_is_said() {
    let own = || world().own().registered().webhook();
    let after = |code, class| own().act(StepKind::RouteWebhook, refused(code, None, class)).after(MINUTE);
    let token = |fact| own().see(|o| o.verify_token = fact);
    let mut thrice = own();
    for _ in 0..3 {
        thrice = thrice.act(StepKind::RouteWebhook, accepted()).after(3 * HOUR);
    }
    for (world, expected) in [
        (after(2200, Class::Person), Reason::WebhookHandshakeFailed),
        (after(2201, Class::Person), Reason::WebhookHandshakeFailed),
        (after(100, Class::Spec), Reason::AppNotSubscribedToMessages),
        (after(10, Class::Credentials), Reason::PermissionMissing),
        (after(987_654, Class::Person), Reason::WebhookRefused),
        (after(368, Class::Person), Reason::AccountRestricted),
        (after(2, Class::Retry), Reason::MetaUnavailable),
        (token(SecretFact::Missing), Reason::SecretMissing),
        (token(SecretFact::KeyMissing { version: version("t", 1) }), Reason::SecretKeyMissing),
        (token(SecretFact::Forbidden(String::new())), Reason::SecretForbidden),
        (token(SecretFact::Unlabelled), Reason::VerifyTokenUnlabelled),
        (thrice, Reason::NotTakenByMeta),
        // Seen before anything is sent that would be refused.
        (own().number(|n| n.webhook = Field::Absent), Reason::AppNotSubscribedToMessages),
    ] {
        let plan = world.plan();
        assert!(plan.step.is_none(), "{expected:?}: {:?}", plan.step);
        assert_eq!(plan.aside[0].1.reason, expected);
        assert!(expected.may_be_on(ConditionType::WebhookRouted), "{expected:?}");
        assert!(plan.aside[0].1.wait.is_some(), "{expected:?}");
    }
}

#[test]
fn a_refused_repeatable_step_is_tried_at_lengthening_pauses_or_at_once_when_something_changed() {
    let refused = || {
        world().own().registered().webhook().act(StepKind::RouteWebhook, refused(2200, None, Class::Person))
    };
    check(vec![
        ("soon", refused().after(4 * MINUTE), "Rest"),
        ("after five minutes", refused().after(5 * MINUTE), "RouteWebhook"),
        ("a new generation", refused().after(MINUTE).desire(|d| d.generation = 2), "RouteWebhook"),
        (
            "a new Secret",
            refused().after(MINUTE).see(|o| o.verify_token = present("token", 2)),
            "RouteWebhook",
        ),
        ("asked", refused().after(MINUTE).desire(retry("1")), "RouteWebhook"),
    ]);
    let asked = refused().after(MINUTE).desire(retry("1")).plan();
    assert_eq!(asked.answered[0].1.used_for, Some(StepKind::RouteWebhook.into()));
}

#[test]
fn one_retry_opens_one_repeatable_step() {
    let refused = |world: World, kind| world.act(kind, refused(100, None, Class::Spec)).after(SECOND);
    let both = world().own().registered().webhook().desire(|d| d.profile.about = Some("We answer".into()));
    let both = both.see(|o| o.profile = Fact::Known(Profile::default()));
    let both = refused(refused(both, StepKind::RouteWebhook), StepKind::WriteProfile);
    assert_eq!(both.says(), "Rest");
    let asked = refused(both.desire(retry("1")), StepKind::RouteWebhook);
    assert_eq!(asked.says(), "Rest", "the profile waits on: {:?}", asked.plan().step);
    // While nothing may be sent a retry uses nothing up.
    let until = later(asked.now, HOUR);
    let held = asked
        .desire(retry("2"))
        .portfolio(|v| v.throttled_until = Some(until))
        .pass()
        .after(16 * MINUTE)
        .pass();
    assert_eq!(
        held.portfolio(|v| v.throttled_until = None).desire(|d| d.consents.retry = None).says(),
        "RouteWebhook"
    );
}

#[test]
fn a_repeatable_step_that_was_never_sent_says_so_and_is_sent_soon() {
    let webhook = || world().own().registered().webhook();
    let after = |failure, time| webhook().act(StepKind::RouteWebhook, Err(failure)).after(time);
    let aside = |world: World| world.plan().aside.first().map(|(_, block)| block.reason);
    let not_sent = || Failure::NotSent("no connection".into());
    assert_eq!(aside(after(not_sent(), 30 * SECOND)), Some(Reason::NotSentYet));
    assert_eq!(after(not_sent(), MINUTE).says(), "RouteWebhook");
    let throttled = || Failure::Throttled(later(world().now, 3 * MINUTE));
    assert_eq!(aside(after(throttled(), 2 * MINUTE)), Some(Reason::NotSentYet), "it never got to Meta");
    assert_eq!(after(throttled(), 3 * MINUTE).says(), "RouteWebhook");
}

#[test]
fn one_step_in_back_off_does_not_hold_up_the_other() {
    let world = world()
        .own()
        .registered()
        .webhook()
        .act(StepKind::RouteWebhook, refused(2200, None, Class::Person))
        .after(MINUTE);
    let world = world
        .desire(|d| d.profile.about = Some("Open".into()))
        .see(|o| o.profile = Fact::Known(Profile::default()));
    assert_eq!(world.says(), "WriteProfile");
    let Some(Step::WriteProfile { fields, .. }) = world.plan().step.map(|planned| planned.step) else {
        panic!()
    };
    assert_eq!(fields, DesiredProfile { about: Some("Open".into()), ..Default::default() });
}

#[test]
fn a_consent_is_one_act_or_one_refusal() {
    let used = world().own().desire(send_code("1")).act(StepKind::RequestCode, accepted()).after(HOUR);
    assert_eq!(used.says(), "CodeLapsed", "one value sends one code");
    assert_eq!(used.memory.consents[&ConsentKind::SendCode].used_for, Some(StepKind::RequestCode.into()));

    for world in [
        world().own().registered().desire(send_code("1")).desire(retry("1")),
        world().own().number(name("DECLINED")).desire(send_code("1")).desire(retry("1")),
    ] {
        let plan = world.plan();
        assert_eq!(plan.answered.len(), 2, "{plan:?}");
        assert!(plan.answered.iter().all(|(_, answer)| answer.refused.is_some()));
        let world = world.pass();
        assert!(world.plan().answered.is_empty(), "a value is answered once");
        assert_eq!(world.memory, world.plan().memory, "and causes no second write");
    }
}

/// One pass over each value as it is set, an hour apart. Gives back which of them were used, in order.
fn set_in_turn(mut world: World, kind: ConsentKind, step: StepKind, values: &[&str]) -> (World, Vec<String>) {
    let mut used = Vec::new();
    for value in values {
        world = world.desire(consent(kind, value)).after(HOUR);
        world = match world.says() == step.as_str() {
            true => {
                used.push((*value).to_owned());
                world.act(step, accepted())
            }
            false => world.pass(),
        };
        let settled = world.clone().after(30 * MINUTE).pass();
        assert!(settled.plan().answered.is_empty(), "{value} is answered twice");
        assert_eq!(settled.plan().memory, settled.memory, "{value} is written twice");
    }
    (world, used)
}

#[test]
fn a_value_of_a_consent_fires_once_ever() {
    let codes = |values: &[&str]| {
        let (world, used) = set_in_turn(world().own(), ConsentKind::SendCode, StepKind::RequestCode, values);
        assert_eq!(world.memory.ledger.codes.len(), used.len(), "what is sent has its consent");
        used
    };
    assert_eq!(codes(&["A", "B", "A", "B", "A"]), ["A", "B"]);
    assert_eq!(codes(&["A", "A", "B"]), ["A", "B"]);

    let (asks, registers) = (ConsentKind::Retry, StepKind::Register);
    let values = ["r1", "1", "r1", "2", "r1", "r1", "3", "r1"];
    let (world, used) = set_in_turn(approved_and_not_live(), asks, registers, &values);
    assert_eq!(used, ["r1", "1", "2", "3"]);
    // It was told once, and what was answered since goes on being told.
    let last = &world.memory.consents[&ConsentKind::Retry];
    assert_eq!((last.value.as_str(), last.used_for.clone()), ("3", Some(registers.into())));
    let told = world.memory.answered(ConsentKind::Retry, "r1").unwrap();
    assert_eq!((told.again.is_some(), told.used_for.clone()), (true, Some(registers.into())));
}

#[test]
fn a_value_that_comes_again_is_refused_with_the_reason_and_no_look_is_made_for_it() {
    let (world, _) =
        set_in_turn(world().own(), ConsentKind::SendCode, StepKind::RequestCode, &["one", "two"]);
    let again = world.after(HOUR).desire(send_code("one"));
    let plan = again.plan();
    let (_, answer) = &plan.answered[0];
    let why = answer.refused.as_deref().unwrap();
    assert!(why.contains("answered on 2026-03-01 13:00 UTC") && why.contains("never there"), "{why}");
    assert_eq!(plan.memory.consents[&ConsentKind::SendCode].value, "one");
    assert!(plan.memory.answered(ConsentKind::SendCode, "two").is_some());

    let asked = |value| consent(ConsentKind::Reconcile, value);
    let rest = crate::engine::fixture::world().own().registered().pass();
    let urgency = |world: &World| world.look().urgency;
    let first = rest.clone().desire(asked("1"));
    assert_eq!(urgency(&first), Urgency::Person);
    let second = first.pass().after(HOUR).desire(asked("2")).pass();
    let back = second.after(HOUR).desire(asked("1"));
    assert_eq!(urgency(&back), Urgency::Drift);
    let told = back.plan();
    assert!(told.answered.iter().all(|(_, answer)| answer.refused.is_some()), "{:?}", told.answered);
    assert_eq!(told.answered.len(), 1);
    let left = crate::engine::fixture::world().own().registered().desire(|d| {
        d.management = Management::ObserveOnly;
        d.consents.retry = Some("x".repeat(300));
    });
    assert_eq!(left.plan().answered, [], "an observer answers for a look alone");
}

#[test]
fn a_value_that_the_ledger_names_does_not_fire_again() {
    let attempts = || {
        let asked = world().own().desire(send_code("from Git")).act(StepKind::RequestCode, accepted());
        asked.memory.ledger.kept(&Ledger::default(), &asked.limits, asked.now)
    };
    let next = |value| {
        let world = world().adopted().after(HOUR).desire(send_code(value));
        let (limits, now) = (world.limits.clone(), world.now);
        world.remember(|m| assert!(m.take_over(&attempts(), &limits, now)))
    };
    check(vec![("the same", next("from Git"), "CodeNeeded"), ("another", next("new"), "RequestCode")]);
    let again = next("from Git");
    let (_, answer) = again.plan().answered[0].clone();
    assert_eq!(answer.used_for, Some(StepKind::RequestCode.into()));
    assert!(answer.refused.is_some() && answer.again.is_some(), "{answer:?}");
    assert_eq!(again.pass().plan().answered, [], "it is told once");
}

#[test]
fn a_value_that_is_too_long_is_refused_and_none_is_cut() {
    let long = |end: &str| format!("{}{end}", "x".repeat(256));
    let first = world().own().desire(send_code(&long("a")));
    let (_, answer) = first.plan().answered[0].clone();
    let why = answer.refused.unwrap();
    assert!(why.contains("257 characters") && why.contains("at most 256"), "{why}");
    assert!(answer.value.len() < 64, "{}", answer.value);
    let told = first.pass().after(HOUR);
    assert_eq!((told.says().as_str(), told.plan().answered.len()), ("CodeNeeded", 0));
    let other = told.desire(send_code(&long("b")));
    assert_eq!(other.plan().answered.len(), 1, "it is another value");
    assert_eq!(other.pass().desire(send_code(&long("")[..256])).says(), "RequestCode");
}

#[test]
fn a_consent_is_for_now() {
    let ago = |seconds: i64| Some(world().now - SignedDuration::from_secs(seconds));
    let code = |seconds| {
        let world = world().own().desire(send_code("1"));
        world.desire(|d| d.consents.send_code_set = ago(seconds))
    };
    let retry = |seconds| {
        let world = approved_and_not_live().desire(retry("1"));
        world.desire(|d| d.consents.retry_set = ago(seconds))
    };
    check(vec![
        ("set now", code(0), "RequestCode"),
        ("set a moment ago", code(14 * 60 + 59), "RequestCode"),
        ("set by a clock that is ahead", code(-300), "RequestCode"),
        ("set by a clock that is far ahead", code(-86_400), "RequestCode"),
        ("set by a clock that is behind", code(300), "RequestCode"),
        ("set while nobody was there", code(17 * 60), "CodeNeeded"),
        ("a retry of now", retry(60), "Register"),
        ("a retry of long ago", retry(17 * 60), "Rest"),
    ]);
    let refused = |world: &World| world.plan().answered[0].1.refused.clone().unwrap();
    let why = refused(&code(17 * 60 + 5));
    let expected = "not done: it was set at 2026-03-01 11:42:55 UTC, and came to be looked at 17 minutes later; it is good for 15 minutes, so set it again, to a new value; if it was set just now, the operator's clock is wrong";
    assert_eq!(why, expected);
    assert!(refused(&code(26 * 3600)).contains("26 hours later"));
    assert!(refused(&code(5 * 86_400)).contains("5 days later"));
    let told = code(17 * 60).pass().after(MINUTE);
    assert_eq!((told.says().as_str(), told.plan().answered.len()), ("CodeNeeded", 0));
    assert_eq!(told.desire(send_code("2")).desire(|d| d.consents.send_code_set = None).says(), "RequestCode");

    // The time goes on while nothing is looked at, and while it is kept.
    let suspended = code(0).desire(|d| d.suspend = true).after(16 * MINUTE);
    assert_eq!(suspended.says(), "Suspended");
    assert_eq!(suspended.desire(|d| d.suspend = false).says(), "CodeNeeded");
    // Also where whoever applies a manifest sets it anew, in the eyes of the API server, with the edit that ends that.
    let ours = world().own().observed.claim;
    for stop in 0..3 {
        let stopped = |world: World, is: bool| match stop {
            0 => world.desire(|d| d.suspend = is),
            1 => world.desire(|d| {
                d.management = if is { Management::ObserveOnly } else { Management::Full };
            }),
            _ => world.see(|o| o.claim = if is { Claim::Other { name: None } } else { ours.clone() }),
        };
        for (minutes, expected) in [(14, "RequestCode"), (16, "CodeNeeded")] {
            let met = stopped(code(0), true).pass();
            assert_eq!((met.plan().step, met.plan().answered), (None, vec![]), "{stop}");
            let resumed = stopped(met.pass().after(minutes * MINUTE), false);
            let now = resumed.now;
            let resumed = resumed.desire(|d| d.consents.send_code_set = Some(now));
            assert_eq!(resumed.says(), expected, "{stop}: {minutes}");
            let refused = resumed.plan().answered.len();
            assert_eq!(refused, usize::from(minutes == 16), "{stop}: {minutes}");
        }
    }
    // Nor does it begin anew where another value stood in its place meanwhile, however often that is done.
    let git = || code(0).desire(|d| d.suspend = true).pass().after(10 * MINUTE);
    let both = git().desire(send_code("person")).pass().after(MINUTE);
    let again = both.desire(send_code("1")).desire(|d| (d.suspend, d.consents.send_code_set) = (false, None));
    assert_eq!(again.says(), "CodeNeeded");
    let expected = "not done: this value was there before, on 2026-03-01 12:00 UTC, and each value counts once; set one that was never there";
    assert_eq!(refused(&again), expected);

    let until = later(world().now, HOUR);
    let kept = code(600).portfolio(|v| v.throttled_until = Some(until)).pass();
    assert!(kept.plan().answered.is_empty());
    let free = |world: World| world.portfolio(|v| v.throttled_until = None);
    assert_eq!(free(kept.clone().after(4 * MINUTE)).says(), "RequestCode");
    let late = kept.after(5 * MINUTE);
    assert_eq!(late.plan().answered.len(), 1, "it is kept since it was set");
    assert_eq!(free(late.pass()).says(), "CodeNeeded");
}

/// The values stood in what the object was created from.
fn came(desired: &mut crate::engine::desired::Desired) {
    let consents = &mut desired.consents;
    (consents.send_code_came, consents.retry_came, consents.official_came) = (true, true, true);
}

/// A manifest in Git that is applied to an object that was deleted.
#[test]
fn a_consent_that_came_with_the_object_does_nothing_and_says_so_and_one_that_is_set_on_it_does() {
    let unset = || {
        world().own().registered().webhook().act(StepKind::RouteWebhook, refused(2200, None, Class::Person))
    };
    let cases: [(World, ConsentKind, StepKind); 3] = [
        (world().own(), ConsentKind::SendCode, StepKind::RequestCode),
        (approved_and_not_live(), ConsentKind::Retry, StepKind::Register),
        (unset().after(MINUTE), ConsentKind::Retry, StepKind::RouteWebhook),
    ];
    for (world, kind, step) in cases {
        let asked = || world.clone().desire(consent(kind, "from Git"));
        assert_eq!(asked().says(), step.as_str(), "where it was set on the object");
        let first = asked().desire(came);
        let plan = first.plan();
        assert_eq!(plan.step, None, "{kind:?}");
        let (of, answer) = &plan.answered[0];
        let why = answer.refused.as_deref().unwrap();
        assert_eq!((*of, answer.used_for.clone(), plan.answered.len()), (kind, None, 1));
        assert!(
            why.contains("came with the object") && why.contains("set it again, to a new value"),
            "{why}"
        );
        // Whoever created it changes something else, which makes the value look as if it was set then.
        let told =
            first.pass().desire(|d| (d.consents.send_code_came, d.consents.retry_came) = (false, false));
        assert_eq!((told.plan().step, told.plan().answered.len()), (None, 0), "{kind:?}");
        assert_eq!(told.desire(consent(kind, "anna-1")).says(), step.as_str());
        // The same where nothing may be done when it is first met.
        for stop in 0..3 {
            let ours = world.observed.claim.clone();
            let stopped = |world: World, is: bool| match stop {
                0 => world.desire(|d| d.suspend = is),
                1 => world.desire(|d| {
                    d.management = if is { Management::ObserveOnly } else { Management::Full };
                }),
                _ => world.see(|o| o.claim = if is { Claim::Other { name: None } } else { ours.clone() }),
            };
            let met = stopped(asked().desire(came), true);
            assert_eq!((met.plan().step, met.plan().answered.len()), (None, 1), "{kind:?}, {stop}");
            let resumed = stopped(met.pass(), false).desire(|d| d.consents = DesiredConsents::default());
            assert_eq!(resumed.desire(consent(kind, "from Git")).plan().step, None, "{kind:?}, {stop}");
        }
        // A version before kept it, and it goes on being kept.
        let until = later(world.now, MINUTE);
        let kept = asked()
            .portfolio(|v| v.throttled_until = Some(until))
            .pass()
            .portfolio(|v| v.throttled_until = None);
        assert_eq!(kept.desire(came).says(), step.as_str(), "{kind:?}");
    }
}

#[test]
fn a_consent_is_kept_while_something_is_on_its_way_and_for_a_bounded_time() {
    let busy =
        world().own().verified().act(StepKind::Register, no_answer()).after(MINUTE).desire(retry("1")).pass();
    assert!(busy.plan().answered.is_empty(), "kept while a step is in flight");
    assert!(
        !busy.clone().after(15 * MINUTE).plan().answered.is_empty()
            || busy.clone().after(15 * MINUTE).says() == "Register"
    );

    let until = later(world().now, HOUR);
    let throttled =
        world().own().desire(send_code("1")).portfolio(|v| v.throttled_until = Some(until)).pass();
    assert_eq!(throttled.says(), "Throttled");
    assert!(throttled.plan().answered.is_empty());
    let late = throttled.after(15 * MINUTE).plan();
    assert!(late.answered[0].1.refused.is_some(), "{late:?}");

    let not_sent =
        world().own().desire(send_code("1")).act(StepKind::RequestCode, Err(Failure::NotSent("x".into())));
    assert_eq!(
        not_sent.after(MINUTE).says(),
        "RequestCode",
        "what was proven not to have been sent uses nothing up"
    );
}

#[test]
fn a_consent_that_was_kept_too_long_is_refused_and_no_throttle_makes_it_younger() {
    let minutes = |n: u32| Some(later(world().now, n * MINUTE));
    let kept = || {
        world()
            .own()
            .desire(send_code("1"))
            .see(|o| _ = o.held.insert(StepKind::RequestCode, minutes(9).unwrap()))
            .pass()
    };
    let room = |world: World| world.see(|o| o.held.clear());
    assert_eq!(room(kept().after(14 * MINUTE)).says(), "RequestCode");
    // Suspended, say, for the rest of the time: resuming sends nobody a code.
    let late =
        room(kept().desire(|d| d.suspend = true).after(16 * MINUTE).pass().desire(|d| d.suspend = false));
    assert_eq!(late.says(), "CodeNeeded");
    assert!(late.plan().answered[0].1.refused.is_some());
    let throttled = |world: World, until| {
        world.act(StepKind::RequestCode, Err(Failure::Throttled(later(world_now(until), SECOND))))
    };
    let twice = throttled(world().own().desire(send_code("1")), 7).after(8 * MINUTE);
    let twice = throttled(twice, 14).after(8 * MINUTE);
    assert_eq!(twice.says(), "CodeNeeded", "given back twice, and kept since the first time");
    assert!(twice.plan().answered[0].1.refused.is_some());
}

fn world_now(minutes: u32) -> jiff::Timestamp {
    later(world().now, minutes * MINUTE)
}

#[test]
fn a_retry_given_before_a_step_fails_is_no_second_try_of_it() {
    let early = world().desire(retry("1"));
    assert_eq!(early.plan().answered[0].1.refused.as_deref(), Some("nothing waits for a retry"));
    let plain = || refused(100, None, Class::Spec);
    assert_eq!(early.act(StepKind::AddNumber, plain()).after(3 * MINUTE).says(), "AddRefused");
    // A code is for later: it is kept until the number is there.
    let code = world().desire(send_code("1")).act(StepKind::AddNumber, added());
    assert_eq!(code.after(3 * MINUTE).number(|_| {}).says(), "RequestCode");
}

#[test]
fn a_number_that_was_deleted_and_added_again_is_a_new_one() {
    let gone = world().own().registered().pass().after(HOUR).without_number().pass().after(MINUTE);
    assert_eq!(gone.says(), "NumberDeleted");
    let again = gone
        .desire(retry("1"))
        .act(StepKind::AddNumber, Ok(Accepted { number: Some("9".into()), ..Accepted::default() }));
    let again = again
        .after(MINUTE)
        .number(|n| *n = crate::engine::observed::Number { id: "9".into(), ..new_number() });
    assert_eq!(again.says(), "CodeNeeded", "it was never registered, so it did not fall back");
}

#[test]
fn a_retry_of_a_vanished_number_opens_no_lock_of_metas() {
    let gone = world().own().registered().pass().after(HOUR).without_number().pass().after(MINUTE);
    let until = Some(later(gone.now, 5 * MINUTE));
    let deleted = Err(Failure::Refused(Refusal { until, ..refusal_of(133_015, None, Class::WaitUntil) }));
    let refused = gone.desire(retry("1")).act(StepKind::AddNumber, deleted).after(MINUTE);
    check(vec![
        ("asked at once", refused.clone().desire(retry("2")), "NumberDeletedRecently"),
        ("asked when it is over", refused.after(5 * MINUTE).desire(retry("3")), "AddNumber"),
    ]);
}

#[test]
fn an_add_that_waits_for_a_person_needs_no_list_of_the_last_minute() {
    let begun = |world: &World| world.look().accounts[0].not_before;
    let plain = || refused(200, Some(1_349_175), Class::Person);
    let refused = world().act(StepKind::AddNumber, plain()).after(8 * HOUR);
    assert_eq!(begun(&refused), refused.now - jiff::SignedDuration::from_mins(5));
    let due = refused.clone().after(17 * HOUR);
    assert_eq!(begun(&due), due.now - jiff::SignedDuration::from_mins(1));
    let asked = refused.desire(retry("1"));
    assert_eq!(begun(&asked), asked.now - jiff::SignedDuration::from_mins(1));
}

#[test]
fn a_look_that_can_answer_a_consent_does() {
    let asked = |world: World| world.desire(send_code("1")).desire(retry("1")).plan().answered;
    let lost = Failure::NoAnswer("t".into());
    let unanswered = world().act(StepKind::AddNumber, no_answer()).after(HOUR);
    let unanswered = unanswered.act(StepKind::AddNumber, no_answer()).after(3 * MINUTE);
    for (what, world, is_answered) in [
        ("a field is hidden", world().own().number(|n| n.code = Field::Refused), true),
        (
            "it fell back and is looked at again",
            world().own().registered().pass().after(HOUR).number(|n| {
                n.platform = Field::Is(PlatformType::NotApplicable);
                n.status = Field::Is(NumberStatus::Disconnected);
            }),
            true,
        ),
        ("an add without an answer has a date", unanswered, true),
        ("the account cannot be read", world().own().see(|o| o.account = Fact::Unknown(lost.clone())), false),
        (
            "the list cannot be read",
            world().see(|o| o.search[0].list = ListState::Failed(lost.clone())),
            false,
        ),
        (
            "the PIN cannot be read",
            world().own().verified().see(|o| o.pin_secret = SecretFact::Unreadable("x".into())),
            false,
        ),
        (
            "a claim is young",
            world().see(|o| o.claim = Claim::Ours { act_from: Some(later(o.begun, SECOND)) }),
            false,
        ),
        ("a step is on its way", world().own().verified().die(StepKind::Register).after(HOUR / 12), false),
    ] {
        let says = world.says();
        assert_eq!(!asked(world).is_empty(), is_answered, "{what}: {says}");
    }
}

#[test]
fn a_bound_of_the_operators_own_is_not_said_to_be_metas() {
    let until = later(world().now, 10 * SECOND);
    for at in [0, 1] {
        let world = world().desire(|d| d.account = Some(ACCOUNT.into())).portfolio(|v| {
            v.reach = Reach::Accounts(vec![
                reachable_as(ACCOUNT, Some(true)),
                reachable_as(OTHER_ACCOUNT, Some(true)),
            ]);
        });
        let begun = world.now;
        let world = world.see(|o| o.search.push(searched(OTHER_ACCOUNT, begun)));
        let plan = world.see(|o| o.search[at].list = ListState::Failed(Failure::NoRoom(until))).plan();
        let block = plan.block.expect("no number is added without the list");
        assert_eq!((block.reason, block.until, block.wait), (Reason::NotObservedYet, Some(until), None));
        assert!(block.message.starts_with("the operator is reading other large lists"), "{}", block.message);
        assert!(!block.message.contains("Meta"), "{}", block.message);
        assert_eq!(plan.next, until);
    }
}

#[test]
fn a_number_is_not_registered_before_a_list_that_comes_in_a_moment() {
    let begun = world().now;
    let beside = |failure: Failure| {
        let named = world().own().verified().desire(|d| d.account = Some(ACCOUNT.into()));
        let world = named.portfolio(|v| {
            v.reach = Reach::Accounts(vec![
                reachable_as(ACCOUNT, Some(true)),
                reachable_as(OTHER_ACCOUNT, Some(true)),
            ]);
        });
        world.see(move |o| {
            let list = ListState::Failed(failure);
            o.search.push(Searched { list, ..searched(OTHER_ACCOUNT, begun) });
        })
    };
    let until = |pause| later(begun, pause);
    check(vec![
        ("no room for it now", beside(Failure::NoRoom(until(10 * SECOND))), "NotObservedYet"),
        ("lists of it are gathered", beside(Failure::Throttled(until(30 * SECOND))), "Throttled"),
        ("Meta holds it back for an hour", beside(Failure::Throttled(until(HOUR))), "Register"),
    ]);
}

#[test]
fn nothing_is_written_down_for_a_step_that_our_own_budget_holds_back() {
    let held = |kind, until| move |o: &mut crate::engine::observed::Observed| _ = o.held.insert(kind, until);
    let until = later(world().now, 20 * MINUTE);
    let world = || world().own();
    let plan = world().verified().see(held(StepKind::Register, until)).plan();
    assert!(plan.step.is_none(), "{plan:?}");
    assert_eq!(plan.block.as_ref().map(|b| (b.reason, b.until)), Some((Reason::Throttled, Some(until))));
    assert_eq!(
        plan.next,
        later(world().now, 15 * MINUTE),
        "no look before there is room, but one in a while"
    );
    let soon = later(world().now, MINUTE);
    assert_eq!(world().verified().see(held(StepKind::Register, soon)).plan().next, soon);
    assert_eq!(world().verified().see(held(StepKind::AddNumber, until)).says(), "Register", "another step");

    let asked = || world().desire(send_code("1"));
    let refused = asked().see(held(StepKind::RequestCode, until)).plan();
    assert!(
        refused.answered[0].1.refused.is_some(),
        "room comes too late for who is at the phone: {refused:?}"
    );
    let kept = asked().see(held(StepKind::RequestCode, soon)).pass();
    assert!(kept.plan().answered.is_empty() && kept.plan().step.is_none());
    assert_eq!(kept.after(MINUTE).says(), "RequestCode", "and is used when there is room");
}

#[test]
fn reconcile_is_recorded_once_by_the_look_that_it_caused() {
    let asked = || world().own().desire(consent(ConsentKind::Reconcile, "1"));
    assert_eq!(asked().look().accounts[0].not_before, asked().now);
    let done = asked().pass();
    assert_eq!(done.memory.consents[&ConsentKind::Reconcile].value, "1");
    assert_eq!(done.memory, done.plan().memory);
    let failed = asked().see(|o| o.search[0].list = ListState::Failed(Failure::NoAnswer("t".into())));
    assert!(failed.plan().answered.is_empty());
}

#[test]
fn a_look_at_a_number_that_another_channel_manages_is_refused_and_one_under_suspension_is_kept() {
    let asked = || world().own().desire(consent(ConsentKind::Reconcile, "1"));
    let claimed = asked().see(|o| o.claim = Claim::Other { name: None }).pass();
    let answer = &claimed.memory.consents[&ConsentKind::Reconcile];
    let why = answer.refused.as_deref().expect("refused");
    assert!(
        answer.value == "1" && why.starts_with("not done: a WhatsAppChannel of another namespace manages")
    );
    assert!(claimed.plan().answered.is_empty(), "once");
    let undecided = asked().see(|o| o.claim = Claim::Undecided);
    assert!(undecided.plan().answered.is_empty(), "the claim may be ours");
    let suspended = asked().desire(|d| d.suspend = true).pass();
    assert!(suspended.plan().answered.is_empty());
    let resumed = suspended.desire(|d| d.suspend = false).pass();
    assert_eq!(resumed.memory.consents[&ConsentKind::Reconcile].refused, None);
}

#[test]
fn nothing_unrepeatable_is_planned_while_a_step_is_undecided() {
    let open = world().own().verified().die(StepKind::Register);
    for minutes in [0, 1, 5, 10] {
        assert_eq!(open.clone().after(minutes * MINUTE).says(), "EffectNotVisibleYet", "{minutes}");
    }
    let unread =
        open.after(HOUR).see(|o| o.search[0].list = ListState::Failed(Failure::NoAnswer("t".into())));
    assert!(
        unread.plan().step.is_none() && unread.plan().memory.in_flight.is_some(),
        "a failed read decides nothing"
    );
}

/// The clocks of two nodes differ by up to ten minutes, where each is wrong by five.
const AHEAD: [i64; 7] = [-600, -300, -60, 0, 60, 300, 600];

#[test]
fn a_step_that_another_process_began_is_decided_when_its_whole_time_was_counted_here() {
    let limits = world().limits;
    let scarce = about_to_write().into_iter().filter(|(kind, _)| !kind.is_repeatable());
    for (kind, about) in scarce {
        let open = about.die(kind);
        let calls = limits.send_before + limits.call_timeout;
        let whole = match kind {
            StepKind::RequestCode | StepKind::RequestOfficial => calls,
            kind => calls + kind.settle(&limits),
        };
        for ahead in AHEAD {
            let taken = open.clone().taken_over(SignedDuration::from_secs(ahead));
            let is_open = |after| {
                let world = taken.clone().after(after);
                world.plan().memory.in_flight.is_some()
            };
            assert!(is_open(Duration::ZERO), "{kind:?}, {ahead} s ahead: at once");
            assert!(is_open(whole.saturating_sub(SECOND)), "{kind:?}, {ahead} s ahead: too early");
            // The clock that was ahead is waited for, and no longer.
            let behind = Duration::from_secs((-ahead).max(0).unsigned_abs());
            assert!(!is_open(whole + behind + SECOND), "{kind:?}, {ahead} s ahead: never");
        }
    }
}

#[test]
fn what_another_process_was_told_to_be_done_may_show_until_its_whole_time_was_counted_here() {
    let registered = world().own().verified().act(StepKind::Register, accepted());
    for ahead in AHEAD {
        let mut taken = registered.clone().taken_over(SignedDuration::from_secs(ahead));
        let settle = taken.limits.settle_register;
        for _ in 0..9 {
            assert_eq!(taken.says(), "EffectNotVisibleYet", "{ahead} s ahead");
            taken = taken.after(settle / 10).pass();
        }
        assert!(taken.memory.may_have_registered(), "{ahead} s ahead: it may still be its own");
    }
}

/// By the time that it wrote itself, which no other clock has to confirm.
#[test]
fn what_a_process_began_itself_lasts_as_it_wrote_it_also_when_its_clock_is_set_back() {
    let mut open = world().own().verified().die(StepKind::Register);
    open.observed.process.intents = Some("intent-".into());
    open.observed.process.started = earlier(open.now, HOUR);
    let until = open.memory.in_flight.as_ref().unwrap().settle_until;
    let is_open = |at| {
        let mut world = open.clone();
        world.now = at;
        world.after(Duration::ZERO).plan().memory.in_flight.is_some()
    };
    assert!(is_open(earlier(open.now, 5 * MINUTE)), "set back");
    assert!(is_open(earlier(until, SECOND)), "to the end");
    assert!(!is_open(later(until, SECOND)), "and no longer");
}

/// Whoever wrote it may have waited longer for such effects.
#[test]
fn what_another_process_gave_more_time_than_this_one_would_has_that_time() {
    let mut open = world().own().verified().die(StepKind::Register);
    let intent = open.memory.in_flight.as_mut().unwrap();
    intent.settle_until = later(intent.settle_until, HOUR);
    let taken = open.taken_over(SignedDuration::ZERO);
    assert!(taken.clone().after(HOUR).plan().memory.in_flight.is_some());
    assert!(taken.after(2 * HOUR).plan().memory.in_flight.is_none());
}

/// What comes first in status is taken to have happened first.
#[test]
fn an_attempt_begins_behind_the_one_before_it_also_on_a_clock_that_was_set_back_or_is_behind() {
    let registered = world().own().verified().act(StepKind::Register, accepted());
    let last = registered.memory.ledger.last(StepKind::Register).unwrap().at;
    for behind in [0, 1, 60, 300, 599] {
        let now = earlier(last, Duration::from_secs(behind));
        assert_eq!(registered.memory.begins(now), later(last, SECOND), "{behind} s behind");
    }
    for behind in [601, 3_600, 86_400] {
        let now = earlier(last, Duration::from_secs(behind));
        assert_eq!(registered.memory.begins(now), now, "{behind} s: no clock wrote that");
    }
    let now = later(last, MINUTE);
    assert_eq!(registered.memory.begins(now), now);
}

#[test]
fn what_was_over_long_ago_by_any_clock_is_decided_at_once() {
    let open = world().own().verified().die(StepKind::Register).after(2 * HOUR);
    let taken = open.taken_over(SignedDuration::ZERO);
    assert!(taken.plan().memory.in_flight.is_none());
    // A time that no clock wrote holds nobody up for longer than one from now.
    let mut forged = world().own().verified().die(StepKind::Register);
    let intent = forged.memory.in_flight.as_mut().unwrap();
    for at in [&mut intent.started_at, &mut intent.send_before, &mut intent.settle_until] {
        *at = later(*at, 1000 * HOUR);
    }
    let taken = forged.taken_over(SignedDuration::ZERO);
    assert_eq!(taken.says(), "EffectNotVisibleYet");
    assert!(taken.after(11 * MINUTE).plan().memory.in_flight.is_none());
}

#[test]
fn an_old_list_proves_no_absence() {
    let lost = world().own().verified().act(StepKind::Register, no_answer());
    let mut old = lost.after(10 * MINUTE);
    old.now = later(old.now, HOUR);
    assert_eq!(old.says(), "EffectNotVisibleYet", "the list was begun before the effect had its time");
}

#[test]
fn the_ledger_keeps_ten_and_forgets_what_does_not_count_first() {
    let mut world = world().own().desire(|d| d.verification.request = CodeRequest::Automatic);
    for _ in 0..15 {
        world = world.act(StepKind::RequestCode, Err(Failure::NotSent("x".into()))).after(MINUTE);
    }
    assert!(world.memory.ledger.codes.len() <= world.limits.ledger_entries);
    world = world.act(StepKind::RequestCode, accepted());
    assert_eq!(world.memory.ledger.codes.iter().filter(|e| e.outcome == EntryOutcome::Accepted).count(), 1);
    let limits = world.limits;
    for (kind, limit) in [
        (StepKind::Register, limits.registrations_total),
        (StepKind::RequestCode, limits.codes_total.max(limits.codes_by_consent + 1)),
        (StepKind::SubmitName, limits.names),
    ] {
        assert!(
            kind.remembered(&limits) > limit,
            "{kind:?}: a full ledger still shows that the limit is reached"
        );
    }
}

#[test]
fn a_throttled_call_is_no_attempt_but_a_throttled_registration_is() {
    let throttle = || {
        let mut refusal = refusal_of(80_008, None, Class::WaitUntil);
        refusal.scope = Scope::Account;
        Err(Failure::Refused(refusal))
    };
    let code = world().own().desire(send_code("1")).act(StepKind::RequestCode, throttle());
    assert!(!code.memory.ledger.codes[0].counts());
    assert_eq!(code.after(5 * MINUTE).says(), "RequestCode");
    let register = world().own().verified().act(StepKind::Register, throttle());
    assert!(register.memory.ledger.registrations[0].counts());
    check(vec![
        ("paused", register.clone().after(MINUTE), "Throttled"),
        ("later", register.after(5 * MINUTE), "Register"),
    ]);
}

#[test]
fn causes_are_written_down() {
    let cause = |world: World| world.plan().step.unwrap().cause;
    assert_eq!(cause(world().own().verified()), Cause::Automatic);
    assert_eq!(cause(world().own().desire(send_code("7"))), Cause::SendCode("7".into()));
    let mismatch =
        world().own().verified().act(StepKind::Register, refused(133_005, None, Class::Person)).after(HOUR);
    assert_eq!(cause(mismatch.clone().desire(retry("8"))), Cause::Retry("8".into()));
    assert_eq!(cause(mismatch.see(|o| o.pin_secret = present("pin", 2))), Cause::Secret);
}

#[test]
fn a_step_names_the_commands_and_the_page() {
    let block = world().own().plan().block.unwrap();
    assert!(block.message.contains("kubectl whatsapp send-code support-br -n shop-br"), "{}", block.message);
    let declined = world().own().number(name("DECLINED")).plan().block.unwrap();
    assert_eq!(declined.wait.unwrap().page, Some(crate::engine::value::page::Page::Numbers));
}

#[test]
fn a_code_that_two_channels_find_is_sent_for_neither_while_both_wait() {
    let waits = || {
        let asked = world().own().desire(send_code("1")).act(StepKind::RequestCode, accepted());
        asked.after(MINUTE).see(|o| o.code_secret = present("code", 2))
    };
    let shared = |is_awaited| {
        move |o: &mut Observed| {
            o.process.code_shared = Some(CodeShared { name: "sales".into(), is_awaited });
        }
    };
    assert_eq!(waits().says(), "VerifyCode");
    assert_eq!(waits().see(shared(false)).says(), "VerifyCode", "the other one waits for none");
    let both = waits().see(shared(true));
    assert_eq!(both.says(), "CodeSecretShared");
    assert!(both.plan().block.unwrap().message.contains("WhatsAppChannel sales waits for a code"));
}

#[test]
fn what_the_cluster_says_stands_in_the_remedy() {
    let said = |world: World| world.plan().block.unwrap().message;
    let forbidden = || SecretFact::Forbidden("User \"robot\" cannot get resource".into());
    let asked = || world().own().desire(send_code("1"));
    for world in [asked().see(|o| o.pin_secret = forbidden()), asked().see(|o| o.code_secret = forbidden())] {
        let text = said(world);
        assert!(text.contains("(User \"robot\" cannot get resource); allow it"), "{text}");
    }
    let refused = |why: Option<&'static str>| {
        let world = world().own().verified().see(|o| o.pin_secret = SecretFact::Missing);
        let not_sent = Err(Failure::NotSent("refused".into()));
        let world = world.act(StepKind::CreatePin, not_sent).after(SECOND);
        said(world.see(|o| o.process.pin_not_created = why.map(Into::into)))
    };
    assert!(refused(Some("rule 7: ask team-x")).contains("(rule 7: ask team-x); do what that asks for"));
    let ending = refused(Some("the namespace is being deleted: no new content"));
    assert!(ending.contains("no new content") && !ending.contains("six digits"), "{ending}");
    assert!(refused(None).contains("create it with key"), "nobody works here who heard the words");
}

#[test]
fn why_a_pin_secret_could_not_be_created_is_heard_anew_by_the_next_process_at_once_and_once() {
    let not_sent = || Err(Failure::NotSent("rule 7".into()));
    let hears = |o: &mut Observed| o.process.pin_not_created = Some("rule 7: ask team-x".into());
    let world = world().own().verified().see(|o| o.pin_secret = SecretFact::Missing);
    let refused = || world.clone().act(StepKind::CreatePin, not_sent()).see(hears).after(MINUTE);
    assert_eq!(refused().says(), "PinNeeded");
    let next =
        || refused().see(|o| o.process.pin_not_created = None).taken_over(SignedDuration::ZERO).after(SECOND);
    assert_eq!(next().says(), "CreatePin");
    let again = || next().act(StepKind::CreatePin, not_sent()).see(hears).after(SECOND);
    assert!(again().plan().block.unwrap().message.contains("(rule 7: ask team-x)"));
    assert_eq!(again().after(4 * MINUTE).says(), "PinNeeded");
    assert_eq!(again().after(5 * MINUTE).says(), "CreatePin");
    let unheard = next().act(StepKind::CreatePin, not_sent()).after(SECOND);
    assert_eq!(unheard.says(), "PinNeeded", "it tries at once no second time");
}

#[test]
fn a_step_that_was_not_sent_blames_nobody() {
    let late = Err(Failure::NotSent("its time to be sent had passed".into()));
    let world = world().own().verified().act(StepKind::Register, late).after(SECOND);
    let block = world.plan().block.unwrap();
    assert_eq!((block.reason, block.wait), (Reason::NotSentYet, None));
    assert!(block.message.contains("was not sent") && !block.message.contains("Meta"), "{}", block.message);
    assert_eq!(world.after(MINUTE).says(), "Register");
}

#[test]
fn a_name_in_another_encoding_is_the_same_name() {
    const COMPOSED: &str = "Caf\u{e9} Acme";
    const DECOMPOSED: &str = "Cafe\u{301}\u{a0}Acme";
    let desired = |name: &'static str| move |d: &mut Desired| d.display_name = name.into();
    let shown = |name: &'static str, status: NameStatus| {
        move |n: &mut Number| {
            n.verified_name = Field::Is(name.into());
            n.name_status = Field::Is(status);
        }
    };
    let sent = |world: World| match world.plan().step.map(|planned| planned.step) {
        Some(Step::AddNumber { name, .. } | Step::SubmitName { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(sent(world().desire(desired(DECOMPOSED))), COMPOSED, "an add");
    for (wanted, other) in [(DECOMPOSED, COMPOSED), (COMPOSED, DECOMPOSED)] {
        let own = || world().own().verified().desire(desired(wanted));
        let live = own().number(shown(other, NameStatus::Approved));
        assert_eq!(live.says(), "Register", "{other:?} is live");
        let declined = own().number(shown(other, NameStatus::Declined)).pass();
        let declined = declined.number(shown("Old", NameStatus::None));
        assert_eq!(declined.says(), "NameDeclined", "{other:?} was declined");
        let tried = own().remember(|m| {
            m.marks.note_tried_in_review(other, "2026-01-01T00:00:00Z".parse().unwrap());
        });
        let tried = tried.number(shown(other, NameStatus::PendingReview));
        assert_eq!(tried.says(), "NameInReview", "{other:?} was tried in review");
    }
    let refused = |name| {
        let world = world().desire(desired(DECOMPOSED));
        let world = world.act(StepKind::AddNumber, refused(100, None, Class::Spec)).after(MINUTE);
        world.desire(desired(name)).says()
    };
    assert_eq!(refused(COMPOSED), refused(DECOMPOSED), "no edited name");
    assert_ne!(refused(COMPOSED), refused(NAME));
    let own = world().own().verified().number(shown("Old", NameStatus::Approved)).desire(desired(DECOMPOSED));
    assert_eq!(sent(own.clone()), COMPOSED, "a submission");
    let own = own.act(StepKind::SubmitName, accepted()).desire(desired(COMPOSED)).after(11 * MINUTE);
    assert_eq!(own.says(), "NameNotTaken", "it was submitted before");
}

#[test]
fn a_name_seen_declined_is_remembered_and_an_appeal_is_believed() {
    let declined = world().own().number(name("DECLINED")).pass();
    assert!(declined.memory.marks.declined.contains_key(NAME));
    let won = declined.number(|n| n.name_status = Field::Is(NameStatus::Approved)).pass();
    assert!(won.memory.marks.declined.is_empty());
}

#[test]
fn a_channel_at_rest_remembers_nothing_new() {
    let rest = world().own().registered().pass();
    assert_eq!(rest.clone().after(HOUR).plan().memory, rest.memory);
    assert_eq!(rest.plan().next, later(rest.now, 5 * MINUTE));
}

#[test]
fn what_is_not_known_after_a_write_is_looked_for_every_half_minute_and_when_it_has_settled() {
    let lost = world().own().verified().act(StepKind::Register, no_answer());
    let settled = lost.memory.in_flight.as_ref().unwrap().settle_until;
    let unseen = |world: World| {
        let failed = ListState::Failed(Failure::NoAnswer("HTML".into()));
        world.see(|o| o.search = vec![Searched { list: failed, ..searched(ACCOUNT, lost.now) }])
    };
    for (what, after, sees, expected) in [
        ("settling", MINUTE, true, Some(30 * SECOND)),
        ("settling, and the look fails", MINUTE, false, Some(30 * SECOND)),
        ("ten looks later", 5 * MINUTE, false, Some(5 * MINUTE)),
        ("when its effect has to show", 7 * MINUTE, true, None),
        ("when it has to, and the look fails", 7 * MINUTE, false, None),
        ("it should have shown, and the look fails", 11 * MINUTE, false, Some(5 * MINUTE)),
    ] {
        let world = lost.clone().after(after);
        let world = if sees { world } else { unseen(world) };
        let expected = expected.map_or(settled, |pause| later(world.now, pause));
        assert_eq!(world.plan().next, expected, "{what}");
    }
}

#[test]
fn a_step_refused_for_its_credential_goes_on_by_itself_with_the_next_one() {
    let revoked = || refused(190, None, Class::Credentials);
    let add = world().act(StepKind::AddNumber, revoked());
    assert!(add.memory.ledger.last(StepKind::AddNumber).is_none(), "no attempt: Meta did not look at it");
    assert_eq!(add.says(), "TokenInvalid", "told although the portfolio has not looked yet");
    assert_eq!(add.after(10 * MINUTE).says(), "AddNumber");
    let register = world().own().verified().act(StepKind::Register, revoked());
    assert!(register.memory.ledger.last(StepKind::Register).is_some(), "counted, to be on the safe side");
    assert_eq!(register.says(), "TokenInvalid");
    assert_eq!(register.after(10 * MINUTE).says(), "Register");
}

/// Every write of a channel, each about to be sent.
fn about_to_write() -> Vec<(StepKind, World)> {
    let mismatch = || refused(133_005, None, Class::Person);
    let asked = world().own().desire(send_code("1"));
    let code_is_there = asked
        .clone()
        .act(StepKind::RequestCode, accepted())
        .after(2 * MINUTE)
        .see(|o| o.code_secret = present("c", 2));
    let pin_is_another =
        world().own().verified().desire(|d| d.registration.pin_policy = PinPolicy::Overwrite);
    let routed = world().own().registered().webhook();
    vec![
        (StepKind::AddNumber, world()),
        (StepKind::RequestCode, asked),
        (StepKind::VerifyCode, code_is_there),
        (
            StepKind::SubmitName,
            world().own().verified().number(|n| n.verified_name = Field::Is("Old".into())),
        ),
        (StepKind::SetPin, pin_is_another.act(StepKind::Register, mismatch()).after(MINUTE)),
        (StepKind::SubscribeApp, routed.clone().see(|o| o.subscribed = Fact::Known(false))),
        (StepKind::RouteWebhook, routed),
        (
            StepKind::WriteProfile,
            world()
                .own()
                .registered()
                .desire(|d| d.profile.about = Some("Open".into()))
                .see(|o| o.profile = Fact::Known(Profile::default())),
        ),
    ]
}

/// What holds the way or a setting up.
fn held_up(world: &World) -> (Reason, String) {
    let plan = world.plan();
    assert!(plan.step.is_none(), "{:?}", plan.step);
    let block = plan.block.or_else(|| plan.aside.first().map(|(_, block)| block.clone())).unwrap();
    (block.reason, block.message)
}

#[test]
fn a_write_to_what_meta_hides_lacks_a_permission() {
    let hidden = || {
        let of_number = [(100, Some(33)), (33, None), (803, None)];
        of_number.map(|(code, subcode)| refusal_of(code, subcode, Class::Person))
    };
    let permission =
        Refusal { said: Some(Said::PermissionMissing), ..refusal_of(100, None, Class::Credentials) };
    for (kind, world) in about_to_write() {
        for refusal in hidden().into_iter().chain([permission.clone()]) {
            let after = world.clone().act(kind, Err(Failure::Refused(refusal.clone()))).after(SECOND);
            let (reason, message) = held_up(&after);
            let what = format!("{}: {}/{:?}: {message}", kind.as_str(), refusal.code, refusal.subcode);
            assert_eq!(reason, Reason::PermissionMissing, "{what}");
            assert!(message.contains("give the system user full control of the account"), "{what}");
        }
        // Trouble of Meta's own is none.
        let passing = Refusal { class: Class::Retry, ..refusal_of(100, Some(33), Class::Retry) };
        let after = world.act(kind, Err(Failure::Refused(passing))).after(SECOND).plan();
        let blocks = after.block.iter().chain(after.aside.iter().map(|(_, block)| block));
        assert!(blocks.into_iter().all(|b| b.reason != Reason::PermissionMissing), "{}", kind.as_str());
    }
}

#[test]
fn a_signature_that_meta_does_not_take_is_a_matter_of_the_app_secret() {
    let proof = || Refusal {
        message: "Invalid appsecret_proof provided in the API argument".into(),
        scope: Scope::Portfolio,
        ..refusal_of(100, None, Class::Credentials)
    };
    let register = (StepKind::Register, world().own().verified());
    for (kind, world) in about_to_write().into_iter().chain([register]) {
        let after = world.act(kind, Err(Failure::Refused(proof()))).after(SECOND);
        let (reason, message) = held_up(&after);
        assert_eq!(reason, Reason::AppSecretWrong, "{}: {message}", kind.as_str());
    }
    let read = world().own().see(|o| o.search[0].list = ListState::Failed(Failure::Refused(proof())));
    assert_eq!(held_up(&read).0, Reason::AppSecretWrong);
}

#[test]
fn a_number_is_read_again_before_anybody_is_told_to_wait_for_a_code() {
    let refusal = || refused(136_024, None, Class::WaitUntil);
    let asked = world().own().desire(send_code("1")).act(StepKind::RequestCode, refusal());
    assert!(asked.memory.last_listed_write().is_some_and(|at| at > asked.now), "no list from before serves");
    assert_eq!(asked.says(), "NotObservedYet");
    assert_eq!(asked.clone().after(SECOND).says(), "CodeRequestPaused");
    assert_eq!(asked.after(SECOND).verified().says(), "Register");
}

#[test]
fn a_number_that_shows_as_verified_when_a_code_is_refused_waits_for_no_code() {
    let lapsed = || world().own().verified().act(StepKind::Register, refused(133_006, None, Class::Person));
    let asked = |result| {
        let asked = lapsed().after(SECOND).desire(send_code("1"));
        asked.act(StepKind::RequestCode, result).after(2 * SECOND)
    };
    for (code, subcode) in [(136_024, None), (136_024, Some(2_388_091)), (100, Some(2_388_091))] {
        let shown = || asked(refused(code, subcode, Class::WaitUntil));
        let (reason, message) = held_up(&shown());
        assert_eq!(reason, Reason::EffectNotVisibleYet, "{message}");
        assert!(message.contains("as verified") && !message.contains("a new one"), "{message}");
        assert!(shown().plan().next <= lapsed().now + 2 * MINUTE, "it is not waited for an hour");
        let again = shown().desire(send_code("2"));
        assert_eq!(again.says(), "EffectNotVisibleYet", "nor is another one asked for");
        assert_eq!(shown().after(2 * MINUTE).pass().after(HOUR).says(), "Register", "{code}");
        let not_shown = shown().number(|n| n.code = Field::Is(CodeStatus::NotVerified));
        assert_eq!(not_shown.says(), "CodeRequestPaused");
    }
    let other = asked(refused(2_388_004, None, Class::WaitUntil));
    assert_eq!(other.says(), "CodeRequestPaused", "this one does not mean it");
    let before = world()
        .own()
        .desire(send_code("1"))
        .act(StepKind::RequestCode, refused(136_024, None, Class::WaitUntil));
    let before =
        before.after(SECOND).verified().act(StepKind::Register, refused(133_006, None, Class::Person));
    assert_ne!(
        before.after(2 * SECOND).says(),
        "EffectNotVisibleYet",
        "it was said before a new proof was required"
    );
}

#[test]
fn a_retry_that_only_work_beside_the_way_could_use_is_refused_in_its_words() {
    let world = world().own().registered().webhook().desire(retry("1"));
    let plan = world.see(|o| o.verify_token = SecretFact::Missing).plan();
    let answer = &plan.answered.iter().find(|(kind, _)| *kind == ConsentKind::Retry).unwrap().1;
    let told = answer.refused.as_deref().unwrap();
    assert_eq!(told, format!("not done: {}", plan.aside[0].1.message));
}

/// Registered under another name, with the desired one approved.
fn approved_and_not_live() -> World {
    world().adopted().registered().pass().number(|n| {
        n.verified_name = Field::Is("Acme Alt".into());
        n.name_status = Field::Is(NameStatus::Declined);
        n.new_display_name = Field::Is(NAME.into());
        n.new_name_status = Field::Is(NameStatus::Approved);
    })
}

/// The same, seen for long enough: Meta does not make it live by itself.
fn stays_approved() -> World {
    let seen = approved_and_not_live().remember(|m| m.marks.origin = Origin::Added(world().now)).pass();
    seen.after(2 * HOUR)
}

fn live(number: &mut Number) {
    number.verified_name = Field::Is(NAME.into());
    number.name_status = Field::Is(NameStatus::Approved);
    number.new_display_name = Field::Absent;
    number.new_name_status = Field::Is(NameStatus::None);
}

/// What the name of a registered number waits for.
fn name_says(world: &World) -> (Reason, String) {
    let plan = world.plan();
    let name = plan.aside.into_iter().find(|(on, _)| *on == ConditionType::DisplayNameApproved);
    let (_, block) = name.unwrap_or_else(|| panic!("{:?}", plan.step));
    (block.reason, block.message)
}

#[test]
fn an_approved_name_is_given_time_to_become_live_by_itself_and_then_one_registration() {
    let waits = approved_and_not_live;
    let due = stays_approved;
    let asked = || waits().after(HOUR).desire(retry("1"));
    let done = |result| due().act(StepKind::Register, result);
    check(vec![
        ("just approved", waits(), "Rest"),
        ("for less than two hours", waits().pass().after(119 * MINUTE), "Rest"),
        ("for two hours", due(), "Register"),
        ("a person asks", asked(), "Register"),
        ("a person asks, and it is back in review", asked().number(in_review), "Rest"),
        ("it is back in review", due().number(in_review), "Rest"),
        ("the live name is in review", due().number(name("PENDING_REVIEW")), "Rest"),
        ("usable without review", due().number(without_review), "Register"),
        ("only observed", due().desire(|d| d.management = Management::ObserveOnly), "Rest"),
        ("it may be in the app", due().number(|n| n.is_on_biz_app = Field::Refused), "Rest"),
        ("the code status is hidden", due().number(|n| n.code = Field::Refused), "Rest"),
        ("the PIN is not there", due().see(|o| o.pin_secret = SecretFact::Missing), "Rest"),
        ("the PIN was not read", due().see(|o| o.pin_secret = SecretFact::NotAsked), "Rest"),
        ("a webhook goes first", due().webhook(), "RouteWebhook"),
        ("live", done(accepted()).after(SECOND).number(live), "Rest"),
        ("not shown yet", done(accepted()).after(MINUTE), "Rest"),
        ("never shown", done(accepted()).after(99 * HOUR), "Rest"),
        ("never shown, asked", done(accepted()).after(HOUR).desire(retry("2")), "Register"),
        ("refused", done(refused(100, None, Class::Person)).after(99 * HOUR), "Rest"),
        (
            "refused, asked",
            done(refused(100, None, Class::Person)).after(HOUR).desire(retry("2")),
            "Register",
        ),
        (
            "locked, asked",
            done(refused(133_016, None, Class::WaitUntil)).after(HOUR).desire(retry("2")),
            "Rest",
        ),
        ("an outage", done(refused(133_004, None, Class::Retry)).after(MINUTE), "Rest"),
        ("an outage is over", done(refused(133_004, None, Class::Retry)).after(24 * HOUR), "Register"),
    ]);
    let (reason, message) = name_says(&waits());
    assert_eq!(reason, Reason::NameNotLiveYet);
    assert!(
        message.contains("2026-03-01 14:00 UTC") && message.contains("2026-03-15 12:00 UTC"),
        "{message}"
    );
    assert_eq!(name_says(&due().number(in_review)).0, Reason::NameInReview);
    assert_eq!(name_says(&due().number(name("PENDING_REVIEW"))).0, Reason::NameChangeQueued);
    assert_eq!(
        name_says(
            &due()
                .webhook()
                .see(|o| o.verify_token = SecretFact::Missing)
                .desire(|d| d.webhook = None)
                .see(|o| o.pin_secret = SecretFact::Missing)
        )
        .0,
        Reason::PinNeeded
    );
    assert_eq!(name_says(&done(accepted()).after(MINUTE)).0, Reason::EffectNotVisibleYet);
    let (reason, message) = name_says(&done(accepted()).after(HOUR));
    assert_eq!(reason, Reason::NameNotLive);
    assert!(message.contains("did not change that") && message.contains("ten registrations"), "{message}");
    let refused_so = name_says(&done(refused(100, None, Class::Person)).after(HOUR));
    assert!(
        refused_so.0 == Reason::RegistrationRefused && refused_so.1.contains("code 100"),
        "{refused_so:?}"
    );
    assert_eq!(
        name_says(&done(refused(131_005, None, Class::Credentials)).after(HOUR)).0,
        Reason::PermissionMissing
    );
    let by = done(accepted()).after(HOUR).plan().aside[0].1.wait.clone().unwrap();
    assert_eq!(by.expected_by, Some("2026-03-15T12:00:00Z".parse().unwrap()), "the approval ends");
}

fn in_review(number: &mut Number) {
    number.new_name_status = Field::Is(NameStatus::PendingReview);
}

fn without_review(number: &mut Number) {
    number.new_name_status = Field::Is(NameStatus::AvailableWithoutReview);
}

#[test]
fn a_registration_that_is_to_make_a_name_live_is_decided_by_the_name() {
    let lost = || stays_approved().die(StepKind::Register);
    check(vec![
        ("the reply was lost", lost().after(MINUTE), "EffectNotVisibleYet"),
        ("for good", lost().after(11 * MINUTE), "Register"),
        ("for good, and a person asks", lost().after(11 * MINUTE).desire(retry("2")), "Register"),
    ]);
    let shown = lost().after(MINUTE).number(live).plan();
    assert_eq!(shown.memory.in_flight, None);
    assert_eq!(shown.memory.ledger.registrations[0].outcome, EntryOutcome::Accepted);
    assert_eq!(lost().after(HOUR).plan().memory.ledger.registrations[0].outcome, EntryOutcome::NoAnswer);
    assert_eq!(lost().after(HOUR).plan().memory.ledger.registrations.len(), 1, "it counts");
    let mut world = stays_approved();
    for _ in 0..3 {
        world = world.act(StepKind::Register, no_answer()).after(13 * HOUR);
    }
    assert_eq!(name_says(&world).0, Reason::RegistrationLimitReached, "three by itself in three days");
}

/// Added and registered by this object under the name `Acme Alt`, which is live; another one is desired.
fn renamed() -> World {
    let registered = world().own().registered().desire(|d| d.display_name = "Acme Alt".into());
    let registered = registered.number(|n| {
        n.verified_name = Field::Is("Acme Alt".into());
        n.name_status = Field::Is(NameStatus::Approved);
    });
    registered.pass().desire(|d| (d.generation, d.display_name) = (2, NAME.into()))
}

/// What Meta shows beside the live name.
fn beside(status: &'static str) -> impl FnOnce(&mut Number) {
    move |number| {
        number.new_display_name = Field::Is(NAME.into());
        number.new_name_status = Field::Is(status.into());
    }
}

#[test]
fn a_new_name_of_a_registered_number_is_submitted_once() {
    let sent = |result| renamed().act(StepKind::SubmitName, result);
    let declined = |w: World| w.number(beside("DECLINED")).after(HOUR).pass();
    check(vec![
        ("another name is live", renamed(), "SubmitName"),
        ("it is in review", renamed().number(beside("PENDING_REVIEW")), "Rest"),
        (
            "another one is in review",
            renamed().number(|n| {
                n.new_display_name = Field::Is("Acme Dois".into());
                n.new_name_status = Field::Is(NameStatus::PendingReview);
            }),
            "Rest",
        ),
        (
            "another one was approved",
            renamed().number(|n| {
                n.new_display_name = Field::Is("Acme Dois".into());
                n.new_name_status = Field::Is(NameStatus::Approved);
            }),
            "SubmitName",
        ),
        ("the live one is in review", renamed().number(name("PENDING_REVIEW")), "Rest"),
        ("the live name is not told", renamed().number(|n| n.verified_name = Field::Refused), "Rest"),
        ("accepted, not shown yet", sent(accepted()).after(MINUTE), "Rest"),
        ("accepted, never shown", sent(accepted()).after(HOUR), "Rest"),
        ("accepted, never shown, asked", sent(accepted()).after(HOUR).desire(retry("1")), "SubmitName"),
        ("refused", sent(refused(100, None, Class::Spec)).after(HOUR), "Rest"),
        ("the reply was lost", renamed().die(StepKind::SubmitName).after(MINUTE), "EffectNotVisibleYet"),
        ("lost for good", renamed().die(StepKind::SubmitName).after(HOUR), "SubmitName"),
        (
            "lost, and shown",
            renamed().die(StepKind::SubmitName).number(beside("PENDING_REVIEW")).after(MINUTE),
            "Rest",
        ),
        ("declined", declined(sent(accepted())), "Rest"),
        ("declined, asked", declined(sent(accepted())).desire(retry("1")), "Rest"),
        (
            "declined, and not shown any more",
            declined(sent(accepted()))
                .number(|n| {
                    n.new_display_name = Field::Absent;
                    n.new_name_status = Field::Absent;
                })
                .after(HOUR)
                .desire(retry("1")),
            "Rest",
        ),
        (
            "declined, and another wish",
            declined(sent(accepted())).desire(|d| d.display_name = "Acme Brasil".into()),
            "SubmitName",
        ),
        ("expired, just submitted", sent(accepted()).number(beside("EXPIRED")).after(HOUR), "Rest"),
        ("expired", sent(accepted()).number(beside("EXPIRED")).after(25 * HOUR), "SubmitName"),
        ("the live one has expired", renamed().number(live).number(name("EXPIRED")), "SubmitName"),
        ("only observed", renamed().desire(|d| d.management = Management::ObserveOnly), "Rest"),
        (
            "in the app",
            renamed()
                .desire(|d| d.connection = Connection::Coexistence)
                .number(|n| n.is_on_biz_app = Field::Is(true)),
            "Rest",
        ),
        ("it may be in the app", renamed().number(|n| n.is_on_biz_app = Field::Refused), "Rest"),
        ("a webhook goes first", renamed().webhook(), "RouteWebhook"),
        ("the PIN is not there", renamed().see(|o| o.pin_secret = SecretFact::Missing), "Rest"),
        ("the PIN was not read", renamed().see(|o| o.pin_secret = SecretFact::NotAsked), "Rest"),
        (
            "the account is throttled",
            renamed().portfolio(|v| v.throttled_until = Some("2026-03-01T12:10:00Z".parse().unwrap())),
            "Throttled",
        ),
    ]);
    let reason = |world: World| name_says(&world).0;
    assert_eq!(reason(renamed().number(beside("PENDING_REVIEW"))), Reason::NameInReview);
    assert_eq!(reason(renamed().number(name("PENDING_REVIEW"))), Reason::NameChangeQueued);
    assert_eq!(reason(declined(sent(accepted()))), Reason::NameDeclined);
    assert_eq!(reason(renamed().see(|o| o.pin_secret = SecretFact::Missing)), Reason::PinNeeded);
    assert_eq!(reason(renamed().desire(|d| d.management = Management::ObserveOnly)), Reason::NameDiffers);
    assert_eq!(reason(sent(accepted()).number(beside("EXPIRED")).after(HOUR)), Reason::NameExpiredWaits);
    assert_eq!(reason(sent(accepted()).after(HOUR)), Reason::NameNotTaken);
    assert_eq!(reason(renamed().number(beside("SOMETHING_NEW"))), Reason::StatusNotKnown);
    let unnamed = |n: &mut Number| {
        (n.new_display_name, n.new_name_status) = (Field::Refused, Field::Is(NameStatus::Approved));
    };
    assert_eq!(reason(renamed().number(unnamed)), Reason::NameDiffers, "an approval may be lost");
    let hidden = sent(accepted()).after(HOUR).number(|n| {
        n.new_display_name = Field::Refused;
        n.new_name_status = Field::Is(NameStatus::Approved);
    });
    assert_eq!(reason(hidden), Reason::NameNotLiveYet, "it can only be ours");
}

#[test]
fn a_number_that_is_live_in_another_account_too_is_not_registered_once_more_by_itself() {
    let twin = |is_live: bool| {
        stays_approved().see(move |o| {
            let mut number = crate::engine::fixture::new_number();
            number.id = "777".into();
            let platform = if is_live { PlatformType::CloudApi } else { PlatformType::NotApplicable };
            number.platform = Field::Is(platform);
            let begun = o.begun;
            o.search.push(searched(OTHER_ACCOUNT, begun));
            o.search[1].numbers.push(Arc::new(number));
        })
    };
    let other = |change: fn(&mut crate::engine::observed::Number)| {
        let mut world = twin(true);
        change(Arc::make_mut(&mut world.observed.search[1].numbers[0]));
        world
    };
    let here = || {
        let mut world = twin(true);
        let number = world.observed.search.remove(1).numbers.remove(0);
        world.observed.search[0].numbers.push(number);
        world
    };
    check(vec![
        ("the same entry there", other(|n| n.id = NUMBER.into()), "Register"),
        ("it left that account", other(|n| n.status = Field::Is(NumberStatus::Migrated)), "Register"),
        ("another entry of its own account", here(), "Rest"),
        ("another entry of its own account, asked", here().desire(retry("1")), "Register"),
        ("not live there", twin(false), "Register"),
        ("live there", twin(true), "Rest"),
        ("live there, asked", twin(true).desire(retry("1")), "Register"),
    ]);
    let (reason, message) = name_says(&twin(true));
    assert_eq!(reason, Reason::NameNotLive);
    assert!(message.contains(OTHER_ACCOUNT) && message.contains("takes it away"), "{message}");
    let (_, message) = name_says(&here());
    assert!(message.contains(&format!("account {ACCOUNT} under the id 777")), "{message}");
}

/// A look that did not get what waits beside the live name.
fn change_hidden(number: &mut Number) {
    (number.new_display_name, number.new_name_status) = (Field::Refused, Field::Refused);
}

#[test]
fn a_look_without_what_waits_beside_the_live_name_forgets_no_approval() {
    let status_hidden: fn(&mut Number) = |number| number.new_name_status = Field::Refused;
    let done = || stays_approved().act(StepKind::Register, accepted()).after(3 * HOUR).pass();
    let told = name_says(&done());
    for hides in [status_hidden, change_hidden] {
        let hidden = done().number(hides).pass();
        assert_eq!(hidden.says(), "Rest");
        let back = hidden.after(3 * HOUR).number(beside("APPROVED")).pass().after(3 * HOUR);
        assert_eq!((back.says(), name_says(&back)), ("Rest".into(), told.clone()), "one registration");
        let lost = stays_approved().die(StepKind::Register).number(hides).after(MINUTE).pass();
        assert_eq!(lost.says(), "EffectNotVisibleYet", "a lost reply is not answered by what is not shown");
        assert!(lost.memory.in_flight.is_some());
        let shown = lost.number(live).after(MINUTE).pass();
        assert!(shown.memory.in_flight.is_none(), "it is live");
    }
}

#[test]
fn no_name_is_submitted_by_itself_over_what_cannot_be_read() {
    let status_hidden: fn(&mut Number) = |number| number.new_name_status = Field::Refused;
    let name_hidden: fn(&mut Number) = |number| number.new_display_name = Field::Refused;
    for hides in [status_hidden, name_hidden, change_hidden] {
        let hidden = renamed().number(hides);
        check(vec![
            ("by itself", hidden.clone(), "Rest"),
            ("after a day", hidden.clone().pass().after(24 * HOUR), "Rest"),
            ("a person asks", hidden.clone().desire(retry("1")), "SubmitName"),
            (
                "a person asked once",
                hidden.clone().desire(retry("1")).act(StepKind::SubmitName, accepted()).after(25 * HOUR),
                "Rest",
            ),
            ("shown again", hidden.clone().pass().number(nothing_beside), "SubmitName"),
        ]);
        let (reason, message) = name_says(&hidden);
        assert_eq!(reason, Reason::ObservationIncomplete);
        assert!(message.contains("retry"), "{message}");
    }
}

fn nothing_beside(number: &mut Number) {
    (number.new_display_name, number.new_name_status) = (Field::Absent, Field::Is(NameStatus::None));
}

#[test]
fn a_review_is_not_spent_where_the_registration_after_it_would_fail() {
    let wrong = stays_approved().act(StepKind::Register, refused(133_005, None, Class::Person)).after(HOUR);
    let other = wrong.desire(|d| d.display_name = "Acme Dois".into());
    check(vec![
        ("the PIN was a wrong one", other.clone(), "Rest"),
        ("another PIN", other.clone().see(|o| o.pin_secret = present("pin", 2)), "SubmitName"),
    ]);
    assert_eq!(name_says(&other).0, Reason::PinMismatch);
}

#[test]
fn a_number_that_was_found_live_under_another_name_is_renamed_when_a_person_says_so() {
    let found = || {
        world()
            .adopted()
            .registered()
            .number(|n| n.verified_name = Field::Is("Acme Alt".into()))
            .pass()
            .after(HOUR)
    };
    let asked = || found().desire(retry("1")).act(StepKind::SubmitName, accepted());
    check(vec![
        ("found", found(), "Rest"),
        ("a person says so", found().desire(retry("1")), "SubmitName"),
        (
            "found under its name, and the spec was edited",
            found().number(live).pass().desire(|d| {
                d.generation = 3;
                d.display_name = "Acme Brasil".into();
            }),
            "SubmitName",
        ),
        (
            "a second wish after the first",
            asked().after(HOUR).desire(|d| d.display_name = "Acme Brasil".into()),
            "SubmitName",
        ),
    ]);
    let (reason, message) = name_says(&found());
    assert!(reason == Reason::NameDiffers && message.contains("kubectl whatsapp retry"), "{message}");
}

#[test]
fn a_name_that_somebody_else_changed_is_submitted_again_where_the_policy_says_so() {
    use crate::engine::value::desired::DriftPolicy;
    let by_hand = |world: World| {
        world.number(live).pass().number(|n| n.verified_name = Field::Is("Acme Alheia".into())).after(HOUR)
    };
    let report = |world: World| world.desire(|d| d.drift = DriftPolicy::Report);
    check(vec![
        ("enforced", by_hand(renamed()), "SubmitName"),
        ("reported", by_hand(report(renamed())), "Rest"),
        ("reported, and a person asks", by_hand(report(renamed())).desire(retry("1")), "SubmitName"),
        (
            "an edit is no such change",
            report(renamed()).number(live).pass().desire(|d| {
                d.generation = 3;
                d.display_name = "Acme Brasil".into();
            }),
            "SubmitName",
        ),
    ]);
    assert_eq!(name_says(&by_hand(report(renamed()))).0, Reason::NameDiffers);
    let mut world = renamed();
    for _ in 0..3 {
        world = by_hand(world).act(StepKind::SubmitName, accepted()).after(24 * HOUR);
    }
    let world = by_hand(world).pass();
    let (reason, message) = name_says(&world);
    assert!(reason == Reason::ContendedBy && message.contains("Acme Alheia"), "{message}");
    let more = vec![
        ("again and again", world.clone(), "Rest"),
        ("after two months", world.clone().after(60 * 24 * HOUR), "Rest"),
        ("a person asks", world.clone().desire(retry("1")), "SubmitName"),
        (
            "another wish",
            world.desire(|d| (d.generation, d.display_name) = (3, "Acme Brasil".into())),
            "SubmitName",
        ),
    ];
    check(more);
}

#[test]
fn whoever_wishes_an_earlier_name_back_is_not_asked_again() {
    let wish = |world: World, generation: i64, name: &'static str| {
        world.desire(move |d| (d.generation, d.display_name) = (generation, name.into()))
    };
    let mut world = renamed();
    for (generation, name) in [(2, "Acme Um"), (3, "Acme Dois"), (4, "Acme Um"), (5, "Acme Dois")] {
        world = wish(world, generation, name).act(StepKind::SubmitName, accepted()).after(24 * HOUR);
        world = world.number(|n| n.verified_name = Field::Is(name.into())).pass();
    }
    assert_eq!(world.memory.ledger.names.len(), 4);
}

#[test]
fn renames_stop_below_metas_limit_and_tell_what_is_left() {
    let mut world = renamed();
    for at in 0..8 {
        let plan = world.desire(|d| d.display_name = format!("Acme {at}"));
        let cost = plan.plan().rename_cost(&plan.limits, plan.now).unwrap();
        assert_eq!((cost.reviews_left, cost.registrations_left), (8 - at, 9));
        world = plan.act(StepKind::SubmitName, refused(100, None, Class::Spec)).after(HOUR);
    }
    let world = world.desire(|d| d.display_name = "Acme 9".into());
    assert_eq!(name_says(&world).0, Reason::NameLimitReached);
    assert_eq!(name_says(&world.clone().desire(retry("1"))).0, Reason::NameLimitReached, "whoever asks");
    assert_eq!(world.after(30 * 24 * HOUR).says(), "SubmitName");
}

#[test]
fn what_a_rename_costs_is_told_before_it_is_its_turn_and_not_once_it_was_reviewed() {
    let costs = |world: &World| world.plan().rename_cost(&world.limits, world.now).map(|cost| cost.reviews);
    let no_pin = |world: World| world.see(|o| o.pin_secret = SecretFact::Missing);
    for (what, world, first, expected) in [
        ("it is next", renamed(), "SubmitName", Some(1)),
        ("the webhook goes first", renamed().webhook(), "RouteWebhook", Some(1)),
        ("its PIN is not there", no_pin(renamed()), "Rest", Some(1)),
        ("both", no_pin(renamed()).webhook(), "RouteWebhook", Some(1)),
        ("in review", renamed().number(beside("PENDING_REVIEW")), "Rest", None),
        ("approved, and its PIN is not there", no_pin(approved_and_not_live()), "Rest", None),
        ("no rename", world().own().registered().webhook(), "RouteWebhook", None),
        ("the first name", world().own(), "CodeNeeded", None),
    ] {
        assert_eq!((world.says().as_str(), costs(&world)), (first, expected), "{what}");
    }
}

#[test]
fn a_retry_waits_for_its_turn_beside_a_setting_that_is_written_first() {
    let both = approved_and_not_live().webhook().desire(retry("1"));
    let plan = both.plan();
    assert_eq!(plan.step.map(|planned| planned.cause), Some(Cause::Automatic));
    assert_eq!(plan.answered, [], "the consent is kept");
    assert_eq!(plan.memory.consents[&ConsentKind::Retry].used_for, None);
}

#[test]
fn the_app_that_meta_blocks_at_a_registration_is_named() {
    let blocked = Refusal {
        said: Some(Said::AppBlocked),
        scope: Scope::App,
        ..refusal_of(200, None, Class::WaitUntil)
    };
    let world =
        world().own().verified().act(StepKind::Register, Err(Failure::Refused(blocked))).after(SECOND);
    check(vec![("blocked", world.clone(), "AppBlocked"), ("asked", world.desire(retry("1")), "AppBlocked")]);
}

#[test]
fn a_text_that_did_not_come_is_followed_by_the_offer_of_a_call() {
    const CALL: &str = "verification.method to Voice";
    let message = |world: World| world.plan().block.unwrap().message;
    let sent = || world().own().desire(send_code("1")).act(StepKind::RequestCode, accepted());
    assert!(!message(sent().after(MINUTE)).contains(CALL), "the first may still come");
    let lapsed = || sent().after(HOUR);
    assert_eq!(lapsed().says(), "CodeLapsed");
    assert!(message(lapsed()).contains(CALL));
    let again = || lapsed().desire(send_code("2")).act(StepKind::RequestCode, accepted()).after(MINUTE);
    assert_eq!(again().says(), "CodeAwaited");
    assert!(message(again()).contains(CALL));
    let by_call = |world: World| world.desire(|d| d.verification.method = VerificationMethod::Voice);
    assert!(!message(by_call(lapsed())).contains(CALL) && !message(by_call(again())).contains(CALL));
    let late = lapsed().see(|o| o.code_secret = present("code", 1));
    assert!(late.says() == "CodeLapsed" && !message(late).contains(CALL), "it came, too late");
}

#[test]
fn whoever_knows_no_pin_is_sent_where_that_can_be_changed() {
    let knows = |world: World| world.plan().block.unwrap().message;
    let missing = world().adopted().verified().number(|n| n.is_pin_enabled = Field::Is(true));
    let missing = missing.see(|o| o.pin_secret = SecretFact::Missing).after(HOUR);
    let wrong =
        world().own().verified().act(StepKind::Register, refused(133_005, None, Class::Person)).after(HOUR);
    for message in [knows(missing), knows(wrong)] {
        assert!(message.contains("registered last") && !message.contains("WhatsApp Manager"), "{message}");
    }
}

/// Registered and as desired in everything.
fn in_sync() -> World {
    let world = world().own().registered().webhook().desire(|d| {
        d.profile = DesiredProfile {
            about: Some("Open 9-17".into()),
            email: Some("help@acme.example".into()),
            ..DesiredProfile::default()
        };
    });
    as_desired(world).pass()
}

fn as_desired(world: World) -> World {
    let url = world.desired.webhook.as_ref().unwrap().callback_url.clone();
    let world = world.number(|n| {
        n.webhook = Field::Is(Box::new(WebhookConfiguration {
            number: Some(url),
            application: Some("https://app.acme.example".into()),
            ..WebhookConfiguration::default()
        }));
    });
    world.see(|o| {
        o.subscribed = Fact::Known(true);
        o.profile = Fact::Known(Profile {
            about: Some("Open 9-17".into()),
            email: Some("help@acme.example".into()),
            ..Profile::default()
        });
    })
}

type Changes = fn(World) -> World;

/// Each thing that is managed, as somebody else leaves it, the step that writes it, and its field.
fn foreign() -> Vec<(&'static str, Changes, StepKind)> {
    let about: Changes = |w| {
        w.see(|o| {
            let Fact::Known(profile) = &mut o.profile else { panic!() };
            profile.about = Some("Closed \u{1b}[2J for ever".into());
        })
    };
    let callback: Changes = |w| {
        w.number(|n| {
            n.webhook = Field::Is(Box::new(WebhookConfiguration {
                number: Some("https://elsewhere.example/wa".into()),
                application: Some("https://app.acme.example".into()),
                ..WebhookConfiguration::default()
            }));
        })
    };
    let subscription: Changes = |w| w.see(|o| o.subscribed = Fact::Known(false));
    vec![
        ("profile.about", about, StepKind::WriteProfile),
        ("webhook.callbackUrl", callback, StepKind::RouteWebhook),
        ("webhook.subscription", subscription, StepKind::SubscribeApp),
    ]
}

/// The spec asks for another value of this very field. The subscription has none: it is managed with the webhook.
fn edited(world: World, field: &str) -> World {
    let webhook = world.desired.webhook.clone();
    match field {
        "profile.about" => world.desire(|d| d.profile.about = Some("Open 10-18".into())),
        "webhook.callbackUrl" => world.desire(|d| {
            d.webhook.as_mut().unwrap().callback_url = "https://acme.example/wa/2".into();
        }),
        "webhook.subscription" => world.desire(|d| d.webhook = None).pass().desire(|d| d.webhook = webhook),
        _ => panic!("{field}"),
    }
    .desire(|d| d.generation += 1)
}

/// What a setting waits for.
fn setting_says(world: &World) -> (Reason, String) {
    let plan = world.plan();
    let block = plan.aside.first().unwrap_or_else(|| panic!("{:?}", plan.step));
    (block.1.reason, block.1.message.clone())
}

#[test]
fn whoever_changes_a_field_a_fourth_time_in_an_hour_has_the_last_word() {
    for (field, change, step) in foreign() {
        let mut world = in_sync();
        for _ in 0..3 {
            world = change(world.after(10 * MINUTE)).act(step, accepted());
            world = as_desired(world.after(5 * MINUTE)).pass();
        }
        // What is read once an hour has longer.
        let longer = if field.starts_with("profile") { 3 * HOUR } else { HOUR };
        let slow = change(world.clone().after(longer)).pass();
        assert_eq!(slow.says(), step.as_str(), "{field}: not in its window");
        let world = change(world.after(5 * MINUTE)).pass();
        let (reason, message) = setting_says(&world);
        assert_eq!(reason, Reason::ContendedBy, "{field}");
        assert!(message.contains(field) && message.contains("since 2026-03-01"), "{message}");
        assert!(!message.contains('\u{1b}'), "what others wrote is written out: {message}");
        let asked = world.clone().desire(retry("1"));
        check(vec![
            ("left", world.clone(), "Rest"),
            ("left after a day", world.clone().after(24 * HOUR), "Rest"),
            ("a person asks", asked.clone(), step.as_str()),
            ("an edit of something else", world.clone().desire(|d| d.generation = 2), "Rest"),
            ("an edit", edited(world.clone(), field), step.as_str()),
        ]);
        let once = asked.act(step, accepted()).after(5 * MINUTE);
        assert_eq!(change(as_desired(once).pass().after(MINUTE)).pass().says(), "Rest", "{field}: once");
    }
}

#[test]
fn writes_that_do_not_show_are_no_contest() {
    for (field, change, step) in foreign() {
        let mut world = change(in_sync().after(MINUTE));
        for _ in 0..3 {
            world = world.act(step, accepted()).after(3 * HOUR);
        }
        assert_eq!(setting_says(&world).0, Reason::NotTakenByMeta, "{field}");
    }
}

#[test]
fn a_field_under_contest_holds_up_no_other() {
    let (_, change, step) = foreign().remove(0);
    let mut world = in_sync();
    for _ in 0..3 {
        world = change(world.after(10 * MINUTE)).act(step, accepted());
        world = as_desired(world.after(5 * MINUTE)).pass();
    }
    let world = change(world.after(5 * MINUTE)).pass().see(|o| {
        let Fact::Known(profile) = &mut o.profile else { panic!() };
        profile.email = Some("boss@acme.example".into());
    });
    let Some(Step::WriteProfile { fields, .. }) = world.plan().step.map(|planned| planned.step) else {
        panic!()
    };
    assert_eq!((fields.about, fields.email.as_deref()), (None, Some("help@acme.example")));
}

#[test]
fn with_report_a_change_by_somebody_else_is_told_and_an_edit_is_written() {
    use crate::engine::value::desired::DriftPolicy;
    let report = |world: World| world.desire(|d| d.drift = DriftPolicy::Report);
    for (field, change, step) in foreign() {
        let drifted = change(report(in_sync()).after(MINUTE)).pass();
        let never = report(in_sync()).remember(|m| m.marks.in_sync.clear());
        check(vec![
            ("told", drifted.clone(), "Rest"),
            ("told after a day", drifted.clone().after(24 * HOUR), "Rest"),
            ("a person asks", drifted.clone().desire(retry("1")), step.as_str()),
            ("an edit of something else", drifted.clone().desire(|d| d.generation = 2), "Rest"),
            ("an edit", edited(drifted.clone(), field), step.as_str()),
            ("never as desired yet", change(never.after(MINUTE)), step.as_str()),
        ]);
        let (reason, message) = setting_says(&drifted);
        assert!(matches!(reason, Reason::ProfileDiffers | Reason::WebhookDiffers), "{reason:?}");
        assert!(message.contains(field) && message.contains("driftPolicy"), "{message}");
        let once = drifted.desire(retry("1")).act(step, accepted()).after(5 * MINUTE);
        assert_eq!(once.says(), "Rest", "{field}: one retry is one write");
    }
}

#[test]
fn with_report_nothing_is_written_to_a_number_that_was_found_before_an_edit_or_a_retry() {
    use crate::engine::value::desired::DriftPolicy;
    let wanted = |world: World| {
        let desired = in_sync().desired;
        as_desired(world.registered().desire(|d| (d.webhook, d.profile) = (desired.webhook, desired.profile)))
    };
    let policy = |drift| move |d: &mut Desired| d.drift = drift;
    let (report, enforce) = (policy(DriftPolicy::Report), policy(DriftPolicy::Enforce));
    for (field, change, step) in foreign() {
        let found = |drift: DriftPolicy| change(wanted(world().adopted()).desire(policy(drift))).pass();
        let told = found(DriftPolicy::Report).after(MINUTE);
        let own = change(wanted(world().own()).desire(report)).pass().after(MINUTE);
        let later = wanted(world().adopted()).desire(|d| (d.webhook, d.profile) = Default::default());
        let later = change(wanted(later.desire(report).pass().after(MINUTE)));
        check(vec![
            ("told at once", change(wanted(world().adopted()).desire(report)), "Rest"),
            ("told", told.clone(), "Rest"),
            ("told after a day", told.clone().pass().after(24 * HOUR), "Rest"),
            ("an edit of something else", told.clone().desire(|d| d.generation = 2), "Rest"),
            ("a person asks", told.clone().desire(retry("1")), step.as_str()),
            ("an edit", edited(told.clone(), field), step.as_str()),
            ("an edit, seen before", edited(told.clone(), field).pass().after(MINUTE), step.as_str()),
            ("wished only later", later, step.as_str()),
            ("Enforce", found(DriftPolicy::Enforce).after(MINUTE), step.as_str()),
            ("Report only afterwards", found(DriftPolicy::Enforce).desire(report).after(MINUTE), "Rest"),
            ("Enforce afterwards", told.clone().desire(enforce), step.as_str()),
            ("added by this object", own, step.as_str()),
        ]);
        let (reason, message) = setting_says(&told);
        assert!(matches!(reason, Reason::ProfileDiffers | Reason::WebhookDiffers), "{reason:?}");
        assert!(message.contains(field) && message.contains("was found"), "{message}");
        let once = told.clone().desire(retry("1")).act(step, accepted()).after(5 * MINUTE);
        assert_eq!(once.says(), "Rest", "{field}: one retry is one write");
        let seen = as_desired(told.desire(enforce)).pass();
        assert_eq!(change(seen.desire(report).after(MINUTE)).says(), "Rest", "{field}: had, and changed");
    }
    let unread = wanted(world().adopted()).desire(report).number(|n| n.webhook = Field::Refused);
    check(vec![
        ("a webhook that cannot be read", unread.clone(), "Rest"),
        ("a webhook that cannot be read, asked", unread.desire(retry("1")), "RouteWebhook"),
    ]);
}

#[test]
fn to_ask_for_a_report_writes_nothing_that_somebody_else_changed() {
    use crate::engine::value::desired::DriftPolicy;
    let report = |d: &mut Desired| (d.generation, d.drift) = (2, DriftPolicy::Report);
    for (field, change, _) in foreign() {
        check(vec![(field, change(in_sync().after(MINUTE)).desire(report), "Rest")]);
    }
    let theirs = renamed().desire(|d| d.display_name = "Acme Alt".into()).pass().number(|n| {
        n.verified_name = Field::Is("Somebody".into());
    });
    check(vec![
        ("a name, with Enforce", theirs.clone().after(MINUTE), "SubmitName"),
        ("a name", theirs.after(MINUTE).desire(report), "Rest"),
    ]);
}

#[test]
fn an_edit_that_is_taken_back_is_a_new_word_too() {
    use crate::engine::value::desired::DriftPolicy;
    let about = |text: &'static str| move |d: &mut Desired| d.profile.about = Some(text.into());
    let world = in_sync().desire(|d| d.drift = DriftPolicy::Report).desire(about("Open 10-18"));
    let world = world.act(StepKind::WriteProfile, accepted()).desire(about("Open 9-17"));
    let written = world.desire(|d| d.generation = 3).after(MINUTE).see(|o| {
        let Fact::Known(profile) = &mut o.profile else { panic!() };
        profile.about = Some("Open 10-18".into());
    });
    assert_eq!(written.says(), "WriteProfile");
}

#[test]
fn a_generation_that_an_earlier_version_kept_makes_nothing_be_written() {
    use crate::engine::value::desired::DriftPolicy;
    let earlier = |m: &mut crate::engine::value::memory::Memory| {
        m.marks.in_sync.values_mut().for_each(|kept| *kept = 1);
    };
    for (field, change, step) in foreign() {
        let world = in_sync().remember(earlier).desire(|d| d.generation = 7);
        let kept = world.memory.marks.in_sync.clone();
        let drifted = change(world.clone().after(MINUTE));
        check(vec![
            (field, drifted.clone().desire(|d| d.drift = DriftPolicy::Report), "Rest"),
            (field, drifted, step.as_str()),
        ]);
        let seen = world.pass().memory.marks.in_sync;
        assert!(kept.keys().eq(seen.keys()) && seen.values().all(|sum| *sum > 1 << 32), "{seen:?}");
    }
}
