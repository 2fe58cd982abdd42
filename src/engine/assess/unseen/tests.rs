#![allow(clippy::unwrap_used)]

use rstest::rstest;

use crate::engine::{
    assess::{tests::ready_of, unseen::first},
    value::{
        action::Actor,
        condition::Truth::{self, False, True, Unknown},
        desired::Management,
        id::{AccountStatus, Fact, Field, Sendability},
        observed::{ListState, ProcessFacts, Searched},
        reason::Reason,
        status::{Assessment, Stage},
    },
};
use crate::engine::{fixture::*, value::condition_type::ConditionType::*};

// Unknown is only a first state.

#[test]
fn a_fact_that_becomes_unreadable_leaves_its_condition_as_it_was() {
    let mut case = Case::ready();
    let first = case.settle();
    case.number().platform = Field::Refused;
    case.number().name_status = Field::Absent;
    case.number().status = Field::Is("SOMETHING_NEW".into());
    case.number().code = Field::Is("SOMETHING_NEW".into());
    case.number().health = Field::Is(health(Sendability::Other("NEW".into()), &[]));
    case.account().status = Field::Is(AccountStatus::Other("NEW".into()));
    case.account().review = Field::Refused;
    case.account().funding = Field::Refused;
    case.view().facts = Fact::Unknown(retry_failure());
    let second = case.assess();
    assert_eq!(second.conditions, first.conditions);
    assert_eq!(second.stage, first.stage);
}

#[test]
fn a_failed_look_changes_no_condition() {
    let mut case = Case::ready();
    let first = case.settle();
    let mut case = case.fail_look().blocked(Reason::MetaUnavailable);
    case.now = later(30);
    let second = case.assess();
    assert_eq!(second, Assessment { observed_generation: None, ..first });
}

#[test]
fn a_failed_look_keeps_a_wait_and_its_date() {
    let mut case = Case::with(fresh()).blocked(Reason::CodeNeeded);
    let first = case.settle();
    let mut case = case.fail_look().blocked(Reason::Throttled);
    case.now = later(30);
    assert_eq!(case.assess(), Assessment { observed_generation: None, ..first });
}

#[test]
fn a_first_look_that_waits_for_seconds_says_nothing_of_it() {
    let reason_after = |seconds| {
        let mut case = Case::absent().fail_look().blocked(Reason::Throttled);
        case.before = before(&first(&case.desired, now()));
        let until = crate::engine::time::later(case.now, std::time::Duration::from_secs(seconds));
        case.plan.block.as_mut().unwrap().until = Some(until);
        case.assess().verdict(Ready).map(|(_, reason)| reason)
    };
    assert_eq!(reason_after(1), Some(Reason::NotObservedYet));
    assert_eq!(reason_after(3_600), Some(Reason::Throttled));
}

#[test]
fn a_first_look_that_fails_says_why_and_says_it_once() {
    let mut case = Case::absent().fail_look().blocked(Reason::MetaUnavailable);
    case.before = before(&first(&case.desired, now()));
    let once = case.settle();
    assert_eq!(once.verdict(Ready), Some((Unknown, Reason::MetaUnavailable)));
    assert_eq!(once.verdict(Reconciling).map(|v| v.0), Some(True));
    let mut case = case.blocked(Reason::Throttled);
    assert_eq!(case.assess(), once);
}

#[test]
fn another_accounts_list_that_fails_holds_up_a_number_that_is_nowhere() {
    let mut case = Case::absent();
    case.settle();
    let other = Searched { list: ListState::Failed(retry_failure()), ..searched(OTHER_ACCOUNT, now()) };
    case.observed.search.push(other);
    assert_eq!(case.assess().observed_generation, None);
    let mut case = Case::ready();
    case.observed
        .search
        .push(Searched { list: ListState::Failed(retry_failure()), ..searched(OTHER_ACCOUNT, now()) });
    assert_eq!(ready_of(&mut case), (True, Reason::Usable));
}

// Six hours without a look.

#[rstest]
#[case(-400, Some(-359), True, Reason::Usable)]
#[case(-400, Some(-360), Unknown, Reason::NotObserved)]
#[case(-359, Some(-700), True, Reason::Usable)]
#[case(-360, None, Unknown, Reason::NotObserved)]
fn a_ready_channel_unseen_for_six_hours_becomes_unknown(
    #[case] started: i64,
    #[case] success: Option<i64>,
    #[case] status: Truth,
    #[case] reason: Reason,
) {
    let mut case = Case::ready();
    case.settle();
    let mut case = case.fail_look();
    case.observed.process.started = later(started);
    case.observed.process.last_success = success.map(later);
    assert_eq!(ready_of(&mut case), (status, reason));
}

#[test]
fn unseen_is_said_once_and_ends_with_the_next_look() {
    let mut case = Case::ready();
    case.settle();
    let seen = case.clone();
    let mut case = case.fail_look();
    case.observed.process = ProcessFacts::new(later(-500));
    let once = case.settle();
    case.now = later(500);
    assert_eq!(case.assess(), once);
    let mut seen = Case { before: case.before, ..seen };
    assert_eq!(ready_of(&mut seen), (True, Reason::Usable));
}

#[test]
fn a_channel_that_is_not_ready_is_never_unseen() {
    let mut case = Case::with(fresh()).blocked(Reason::CodeNeeded);
    case.settle();
    let mut case = case.fail_look();
    case.observed.process = ProcessFacts::new(later(-500));
    assert_eq!(ready_of(&mut case), (False, Reason::CodeNeeded));
}

// Suspended and ObserveOnly.

#[test]
fn suspending_a_ready_channel_leaves_ready_true() {
    let mut case = Case::ready();
    case.settle();
    case.desired.suspend = true;
    case.desired.generation = 4;
    let assessment = case.settle();
    assert_eq!(assessment.verdict(Ready), Some((True, Reason::Usable)));
    assert_eq!(assessment.stage, Stage::Suspended);
    assert_eq!(assessment.observed_generation, Some(4));
    assert_eq!(assessment.waiting_for[0].action, "Resume");
    assert_eq!(assessment.waiting_for[0].actor, Actor::ClusterUser);
    case.now = later(5000);
    case.observed.process = ProcessFacts::new(later(-5000));
    assert_eq!(case.assess(), assessment);
}

#[test]
fn suspending_a_channel_that_is_not_ready_says_so_and_nothing_else_is_under_way() {
    let mut case = Case::with(fresh()).step(register());
    assert!(case.settle().conditions.is(Reconciling, True));
    case.desired.suspend = true;
    let assessment = case.assess();
    assert_eq!(assessment.verdict(Ready), Some((False, Reason::Suspended)));
    assert_eq!(assessment.verdict(Reconciling), None);
    assert_eq!(assessment.verdict(Stalled), None);
    assert_eq!(first(&case.desired, now()).verdict(Ready), Some((Unknown, Reason::Suspended)));
}

#[test]
fn a_channel_that_is_resumed_waits_for_nobody_to_resume_it_although_meta_gives_no_answer() {
    for (mut case, expected) in [
        (Case::with(fresh()).blocked(Reason::CodeNeeded), (False, Reason::NotObservedYet)),
        (Case::ready(), (True, Reason::Usable)),
    ] {
        case.settle();
        case.desired.suspend = true;
        case.settle();
        case.desired.suspend = false;
        case.plan.block = None;
        case.observed.search[0].list = ListState::Failed(retry_failure());
        case.observed.search[0].numbers.clear();
        let assessment = case.settle();
        assert_eq!(assessment.verdict(Ready), Some(expected));
        assert!(assessment.conditions.is(Reconciling, True));
        assert!(assessment.waiting_for.iter().all(|wait| wait.action != "Resume"));
        assert_ne!(assessment.stage, Stage::Suspended);
        assert_eq!(case.assess().conditions, assessment.conditions, "said once");
    }
}

#[test]
fn a_number_that_is_only_observed_waits_for_the_cluster_user() {
    let mut case = Case::with(fresh());
    case.desired.management = Management::ObserveOnly;
    let assessment = case.assess();
    assert_eq!(assessment.verdict(Registered), Some((False, Reason::ObserveOnly)));
    assert_eq!(assessment.verdict(Ready), Some((False, Reason::ObserveOnly)));
    assert_eq!(assessment.waiting_for[0].actor, Actor::ClusterUser);
    assert_eq!(assessment.verdict(Reconciling), None);
}

#[test]
fn missing_facts_about_a_registered_number_do_not_hold_up_ready() {
    let mut case = Case::ready().blocked(Reason::ObservationIncomplete);
    case.desired.webhook = Some(webhook());
    case.number().webhook = Field::Absent;
    case.number().is_on_biz_app = Field::Absent;
    let assessment = case.assess();
    assert_eq!(assessment.verdict(WebhookRouted), Some((False, Reason::ObservationIncomplete)));
    assert_eq!(assessment.verdict(Ready), Some((True, Reason::Usable)));
}
