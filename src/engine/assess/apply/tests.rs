#![allow(clippy::unwrap_used)]

use rstest::rstest;

use crate::engine::{
    assess::{
        apply::{with_refusal, without_trace},
        tests::ready_of,
    },
    value::{
        condition::Truth::{False, True, Unknown},
        failure::Failure,
        id::{AccountStatus, Fact, Field},
        memory::Memory,
        reason::Reason,
        status::Stage,
    },
};
use crate::engine::{fixture::*, value::condition_type::ConditionType::*};

// A block is carried by every condition that it keeps from being True.

#[rstest]
#[case(Reason::NameDeclined, true)]
#[case(Reason::NameInReview, false)]
#[case(Reason::PinNeeded, false)]
#[case(Reason::Throttled, false)]
fn verification_and_registration_repeat_what_blocks_the_plan(#[case] reason: Reason, #[case] stalled: bool) {
    let mut case = Case::with(fresh()).blocked(reason);
    let assessment = case.assess();
    for kind in [NumberVerified, Registered, Healthy, Ready] {
        assert_eq!(assessment.verdict(kind), Some((False, reason)), "{}", kind.as_str());
    }
    assert_eq!(assessment.conditions.is(Stalled, True), stalled);
    assert_eq!(assessment.verdict(Reconciling), None);
}

#[rstest]
#[case(Reason::NumberLimitReached)]
#[case(Reason::AddingRestricted)]
#[case(Reason::NumberOnPhone)]
#[case(Reason::AddRefused)]
#[case(Reason::NumberInOtherAccount)]
fn a_number_that_cannot_be_added_says_why_on_every_condition(#[case] reason: Reason) {
    let mut case = Case::absent().blocked(reason);
    let assessment = case.assess();
    for kind in [NumberAdded, NumberVerified, Registered, Ready] {
        assert_eq!(assessment.verdict(kind), Some((False, reason)), "{}", kind.as_str());
    }
}

#[rstest]
#[case(Reason::AccountAmbiguous)]
#[case(Reason::AccountReachUnknown)]
#[case(Reason::AccountNotInReach)]
fn an_account_that_is_not_settled_is_said_on_the_account(#[case] reason: Reason) {
    let mut case = Case::absent().blocked(reason);
    case.memory = Memory::default();
    case.desired.account = None;
    case.observed.account = Fact::NotAsked;
    case.observed.search = Vec::new();
    let assessment = case.assess();
    assert_eq!(assessment.verdict(AccountUsable), Some((False, reason)));
    assert_eq!(assessment.verdict(NumberAdded), Some((Unknown, reason)));
    assert_eq!(assessment.verdict(Ready), Some((False, reason)));
    assert_eq!(assessment.stage, Stage::Pending);
}

#[test]
fn a_true_condition_is_not_touched_by_a_block() {
    let mut case = Case::ready();
    case.settle();
    let mut case = case.blocked(Reason::Throttled);
    assert_eq!(ready_of(&mut case), (True, Reason::Usable));
}

// Ready copies the deepest cause, with Meta's words.

#[test]
fn ready_carries_metas_code_subcode_title_and_trace() {
    let mut case = Case::with(fresh()).blocked(Reason::NumberOnPhone);
    case.plan.block.as_mut().unwrap().failure = Some(Failure::Refused(refusal(100, Some(2_388_001), "T1")));
    let assessment = case.assess();
    let ready = assessment.conditions.get(Ready).unwrap();
    assert_eq!(
        ready.message,
        "held up by NumberOnPhone (Meta: code 100, subcode 2388001, \"Title of Meta's\", trace T1)"
    );
    assert_eq!(assessment.facts.last_refusal.unwrap().trace_id.as_deref(), Some("T1"));
}

#[test]
fn a_repeated_error_with_a_new_trace_changes_nothing() {
    let mut case = Case::with(fresh()).blocked(Reason::PinMismatch);
    case.plan.block.as_mut().unwrap().failure = Some(Failure::Refused(refusal(133_005, None, "T1")));
    case.settle();
    let first = case.settle();
    case.plan.block.as_mut().unwrap().failure = Some(Failure::Refused(refusal(133_005, None, "T2")));
    case.now = later(10);
    assert_eq!(case.assess(), first);
}

#[test]
fn a_repeated_error_of_the_webhook_with_a_new_trace_changes_nothing() {
    let mut case = Case::ready();
    case.desired.webhook = Some(webhook());
    case.number().webhook = Field::Absent;
    let with = |trace: &str| {
        let mut block = block(Reason::WebhookRefused);
        block.failure = Some(Failure::Refused(refusal(100, None, trace)));
        vec![(WebhookRouted, block)]
    };
    case.plan.aside = with("T1");
    let first = case.settle();
    case.plan.aside = with("T2");
    assert_eq!(case.assess(), first);
}

#[test]
fn another_error_has_its_own_trace() {
    let mut case = Case::with(fresh()).blocked(Reason::PinMismatch);
    case.plan.block.as_mut().unwrap().failure = Some(Failure::Refused(refusal(133_005, None, "T1")));
    case.settle();
    let mut case = case.blocked(Reason::RegistrationRefused);
    case.plan.block.as_mut().unwrap().failure = Some(Failure::Refused(refusal(131_009, None, "T2")));
    assert!(case.assess().conditions.get(Ready).unwrap().message.ends_with("trace T2)"));
}

#[test]
fn a_success_forgets_the_error() {
    let mut case = Case::with(fresh()).blocked(Reason::PinMismatch);
    case.plan.block.as_mut().unwrap().failure = Some(Failure::Refused(refusal(133_005, None, "T1")));
    let before = case.settle();
    let mut case = Case::ready();
    case.before = crate::engine::fixture::before(&before);
    assert_eq!(case.assess().facts.last_refusal, None);
}

#[test]
fn ready_copies_the_first_blocking_condition_in_the_order_of_the_table() {
    let mut case = Case::with(fresh()).blocked(Reason::CodeNeeded);
    case.account().status = Field::Is(AccountStatus::Restricted);
    assert_eq!(ready_of(&mut case), (False, Reason::AccountRestricted));
}

#[test]
fn metas_code_is_said_once() {
    let said = refusal(133_005, None, "T1");
    assert_eq!(
        with_refusal("wrong (code 133005)", &said),
        "wrong (code 133005) (Meta: \"Title of Meta's\", trace T1)"
    );
    assert_eq!(without_trace("a trace of it (Meta: code 1, trace T1)"), "a trace of it (Meta: code 1, ");
    assert_eq!(without_trace("a trace of it"), "a trace of it");
}
