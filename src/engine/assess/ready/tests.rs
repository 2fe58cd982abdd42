#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use rstest::rstest;

use crate::engine::{
    assess::tests::ready_of,
    value::{
        condition::Truth::{False, True, Unknown},
        desired::{DesiredProfile, ReadyWhen},
        failure::{Class, Failure},
        id::{Fact, Field, NumberStatus, Sendability},
        memory::{Entry, EntryOutcome, Intent},
        observed::Profile,
        reason::Reason,
        status::Stage,
        step::{Cause, Step, StepKind},
    },
};
use crate::engine::{fixture::*, value::condition_type::ConditionType::*};

fn entry(outcome: EntryOutcome, settle_until: Timestamp) -> Entry {
    Entry {
        id: "i1".into(),
        at: now(),
        outcome,
        cause: Cause::Automatic,
        subject: None,
        settle_until: Some(settle_until),
        secret_before: None,
        trace_id: None,
        refusal: None,
    }
}

// Reconciling and Stalled.

#[test]
fn a_step_makes_a_ready_channel_reconciling() {
    let mut case = Case::ready();
    case.desired.profile.about = Some("Open".into());
    case.observed.profile = Fact::Known(Profile::default());
    let mut case = case.step(Step::WriteProfile {
        account: ACCOUNT.into(),
        number: NUMBER.into(),
        fields: DesiredProfile::default(),
    });
    let assessment = case.assess();
    assert_eq!(assessment.verdict(Reconciling), Some((True, Reason::WritingProfile)));
    assert_eq!(assessment.verdict(Ready), Some((True, Reason::Usable)));
}

#[test]
fn a_step_in_flight_is_reconciling_until_it_is_decided() {
    let mut case = Case::with(fresh());
    case.memory.in_flight = Some(Intent {
        id: "i1".into(),
        step: StepKind::Register.into(),
        reason: String::new(),
        started_at: now(),
        send_before: now(),
        settle_until: later(10),
        generation: 3,
        subject: None,
        absent_before: None,
    });
    assert_eq!(case.assess().verdict(Reconciling), Some((True, Reason::EffectNotVisibleYet)));
}

#[rstest]
#[case(Reason::CodeNeeded)]
#[case(Reason::NameInReview)]
#[case(Reason::RegistrationPaused)]
#[case(Reason::RegistrationLimitReached)]
fn waiting_is_neither_reconciling_nor_stalled(#[case] reason: Reason) {
    let assessment = Case::with(fresh()).blocked(reason).assess();
    assert_eq!(assessment.verdict(Ready), Some((False, reason)));
    assert_eq!(assessment.verdict(Reconciling), None);
    assert_eq!(assessment.verdict(Stalled), None);
}

#[test]
fn what_a_clock_ends_is_not_stalled() {
    let mut case = Case::with(fresh()).blocked(Reason::NameDeclined);
    case.plan.block.as_mut().unwrap().until = Some(later(60));
    assert_eq!(case.assess().verdict(Stalled), None);
}

#[test]
fn a_ready_channel_is_never_stalled() {
    let mut case = Case::ready().blocked(Reason::NameDeclined);
    case.number().name_status = Field::Is("DECLINED".into());
    let assessment = case.assess();
    assert_eq!(assessment.verdict(Ready), Some((True, Reason::Usable)));
    assert_eq!(assessment.verdict(Stalled), None);
}

#[test]
fn an_operational_number_says_of_its_apps_what_meta_told_last() {
    let mut case = Case::ready();
    case.desired.ready_when = ReadyWhen::Operational;
    let unread = || Fact::Unknown(Failure::NoAnswer("time-out".into()));
    let denied = || Fact::Unknown(Failure::Refused(refusal_of(200, None, Class::Credentials)));
    for (subscribed, says) in [
        (
            unread(),
            "; which apps are subscribed to the account is not known yet, and no payment problem is shown",
        ),
        (Fact::Known(true), "; an app is subscribed to the account, and no payment problem is shown"),
        (unread(), "; an app is subscribed to the account, and"),
        (denied(), "; Meta does not tell which apps are subscribed to the account, and"),
        (unread(), "; Meta does not tell which apps"),
        (Fact::Known(true), "; an app is subscribed to the account, and"),
    ] {
        case.observed.subscribed = subscribed;
        let ready = case.settle().conditions.get(Ready).cloned().unwrap();
        assert_eq!(ready.status, True, "{ready:?}");
        assert!(ready.message.contains(says), "{says}: {}", ready.message);
    }
}

#[test]
fn a_registered_number_that_is_not_connected_yet_is_unknown_and_reconciling() {
    let mut case = Case::ready();
    case.number().status = Field::Is(NumberStatus::Pending);
    case.memory.ledger.registrations = vec![entry(EntryOutcome::Accepted, later(10))];
    let assessment = case.assess();
    assert_eq!(assessment.verdict(Healthy), Some((Unknown, Reason::JustRegistered)));
    assert_eq!(assessment.verdict(Ready), Some((Unknown, Reason::JustRegistered)));
    assert_eq!(assessment.verdict(Reconciling), Some((True, Reason::JustRegistered)));
    case.memory.ledger.registrations = vec![entry(EntryOutcome::Accepted, later(-1))];
    assert_eq!(ready_of(&mut case), (False, Reason::NotConnected));
}

#[test]
fn health_that_lags_behind_a_registration_is_no_block() {
    let mut case = Case::ready();
    case.memory.ledger.registrations = vec![entry(EntryOutcome::Accepted, later(10))];
    let blocked = |codes: &[i64]| {
        Field::Is(health(Sendability::Blocked, &[entity("PHONE_NUMBER", Sendability::Blocked, codes)]))
    };
    case.number().health = blocked(&[141_000, 138_024]);
    assert_eq!(ready_of(&mut case), (Unknown, Reason::JustRegistered));
    case.number().health = blocked(&[141_000, 141_014]);
    assert_eq!(ready_of(&mut case), (False, Reason::Blocked));
    case.number().health = blocked(&[141_000]);
    case.memory.ledger.registrations = vec![entry(EntryOutcome::Accepted, later(-1))];
    assert_eq!(ready_of(&mut case), (False, Reason::Blocked));
}

#[test]
fn a_number_that_one_list_lacks_turns_nothing_false() {
    let mut case = Case::ready();
    case.settle();
    case.observed.search[0].numbers.clear();
    case.memory.marks.missing_since = Some(case.now);
    assert_eq!(ready_of(&mut case), (True, Reason::Usable));
    case.memory.marks.missing_since = Some(later(-1));
    assert_eq!(case.assess().verdict(NumberAdded).map(|(status, _)| status), Some(False));
}

#[test]
fn until_a_write_has_settled_its_missing_effect_turns_nothing_false() {
    let mut case = Case::ready();
    case.settle();
    case.memory.ledger.registrations = vec![entry(EntryOutcome::NoAnswer, later(10))];
    case.number().platform = Field::Is("NOT_APPLICABLE".into());
    let assessment = case.assess();
    assert_eq!(assessment.verdict(Registered), Some((True, Reason::RegisteredWithCloudApi)));
    assert_eq!(assessment.verdict(Healthy), Some((True, Reason::CanSend)));
}

#[test]
fn a_number_that_was_just_added_is_not_absent_before_the_add_has_settled() {
    let mut case = Case::absent();
    case.memory.ledger.adds = vec![entry(EntryOutcome::Accepted, later(2))];
    case.before = before(&Case::with(fresh()).assess());
    assert_eq!(case.assess().verdict(NumberAdded).map(|v| v.0), Some(True));
    case.memory.ledger.adds = vec![entry(EntryOutcome::Refused, later(2))];
    assert_eq!(case.assess().verdict(NumberAdded).map(|v| v.0), Some(False));
}

#[test]
fn a_step_is_named_and_then_its_effect_is_awaited() {
    let mut case = Case::with(fresh()).step(register());
    case.number().code = Field::Is("VERIFIED".into());
    assert_eq!(case.assess().verdict(Registered), Some((False, Reason::Registering)));
    case.outcome = Some(outcome(StepKind::Register));
    let assessment = case.assess();
    assert_eq!(assessment.verdict(Registered), Some((False, Reason::EffectNotVisibleYet)));
    assert_eq!(assessment.verdict(Reconciling), Some((True, Reason::Registering)));
    assert_eq!(assessment.stage, Stage::Registering);
}

#[rstest]
#[case(Case::absent().blocked(Reason::AddRefused), Stage::Adding)]
#[case(Case::with(fresh()).blocked(Reason::CodeNeeded), Stage::Verifying)]
#[case(Case::with(fresh()).blocked(Reason::NameInReview), Stage::NameReview)]
#[case(Case::with(fresh()).blocked(Reason::NameDeclined), Stage::Stalled)]
#[case(Case::ready(), Stage::Ready)]
fn the_stage_says_where_the_number_stands(#[case] mut case: Case, #[case] stage: Stage) {
    assert_eq!(case.assess().stage, stage);
}

#[test]
fn a_transition_time_moves_only_when_the_status_flips() {
    let mut case = Case::with(fresh()).blocked(Reason::CodeNeeded);
    case.settle();
    case.now = later(5);
    let mut case = case.blocked(Reason::PinNeeded);
    assert_eq!(case.settle().conditions.get(Ready).unwrap().since, now());
    let mut ready = Case::ready();
    ready.before = case.before;
    ready.now = later(9);
    assert_eq!(ready.assess().conditions.get(Ready).unwrap().since, later(9));
}
