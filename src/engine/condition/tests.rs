#![allow(clippy::unwrap_used)]

use rstest::rstest;

use super::*;
use crate::engine::{
    desired::{Connection, DesiredProfile, Management},
    face_fixture::*,
    failure::{Class, Failure},
    id::{AccountMode, AccountStatus, Fact, Field, ReviewStatus, Sendability, VerificationStatus},
    memory::{Entry, EntryOutcome, Intent},
    observed::{Health, ListState, Searched},
    portfolio::{Hold, PortfolioView},
    step::{Cause, Step, StepKind},
    wait::Wait,
};

use ConditionType::*;
use Truth::{False, True, Unknown};

fn ready_of(case: &mut Case) -> (Truth, Reason) {
    case.assess().verdict(Ready).unwrap()
}

fn entry(outcome: EntryOutcome, settle_until: Timestamp) -> Entry {
    Entry {
        id: "i1".into(),
        at: now(),
        outcome,
        cause: Cause::Automatic,
        subject: None,
        settle_until: Some(settle_until),
        secret_before: None,
        refusal: None,
    }
}

// The table of conditions.

#[test]
fn a_registered_connected_number_is_ready() {
    let assessment = Case::ready().assess();
    for (kind, reason) in [
        (PortfolioReady, Reason::PortfolioUsable),
        (AccountUsable, Reason::AccountActive),
        (NumberAdded, Reason::InAccount),
        (NumberVerified, Reason::NotNeededWhenRegistered),
        (DisplayNameApproved, Reason::NameApproved),
        (Registered, Reason::RegisteredWithCloudApi),
        (Healthy, Reason::CanSend),
        (BusinessVerified, Reason::BusinessIsVerified),
        (PaymentReady, Reason::PaymentMethodPresent),
        (Ready, Reason::Usable),
    ] {
        assert_eq!(assessment.verdict(kind), Some((True, reason)), "{}", kind.as_str());
    }
    assert_eq!(assessment.stage, Stage::Ready);
    assert_eq!(assessment.waiting_for, []);
    assert_eq!(assessment.observed_generation, Some(3));
}

#[test]
fn what_is_not_managed_has_no_condition() {
    let assessment = Case::ready().assess();
    for kind in [WebhookRouted, ProfileSynced, Reconciling, Stalled, CredentialsValid, IdentityConfirmed] {
        assert_eq!(assessment.verdict(kind), None, "{}", kind.as_str());
    }
}

#[rstest]
#[case(AccountStatus::Pending, ReviewStatus::Approved, Reason::AccountInReview)]
#[case(AccountStatus::Restricted, ReviewStatus::Approved, Reason::AccountRestricted)]
#[case(AccountStatus::Disabled, ReviewStatus::Approved, Reason::AccountDisabled)]
#[case(AccountStatus::Inactive, ReviewStatus::Approved, Reason::AccountDisabled)]
#[case(AccountStatus::Active, ReviewStatus::Pending, Reason::AccountInReview)]
#[case(AccountStatus::Active, ReviewStatus::Deferred, Reason::AccountInReview)]
#[case(AccountStatus::Active, ReviewStatus::Rejected, Reason::AccountRejected)]
#[case(AccountStatus::Active, ReviewStatus::Restricted, Reason::AccountRestricted)]
#[case(AccountStatus::Active, ReviewStatus::LimitReached, Reason::AccountRestricted)]
fn an_account_is_usable_when_it_is_active_and_reviewed(
    #[case] status: AccountStatus,
    #[case] review: ReviewStatus,
    #[case] reason: Reason,
) {
    let mut case = Case::ready();
    case.account().status = Field::Is(status);
    case.account().review = Field::Is(review);
    let assessment = case.assess();
    assert_eq!(assessment.verdict(AccountUsable), Some((False, reason)));
    assert_eq!(assessment.verdict(Ready), Some((False, reason)));
}

#[test]
fn a_banned_account_is_not_usable() {
    let mut case = Case::ready();
    case.account().health =
        Field::Is(health(Sendability::Blocked, &[entity("WABA", Sendability::Blocked, &[141_014])]));
    assert_eq!(ready_of(&mut case), (False, Reason::AccountDisabled));
    assert_eq!(case.assess().stage, Stage::Stalled);
}

#[test]
fn an_account_in_another_country_stalls_everything_below_the_portfolio() {
    let mut case = Case::ready();
    case.view().expect_country = Some("PT".into());
    let assessment = case.assess();
    assert_eq!(assessment.verdict(AccountUsable), Some((False, Reason::CountryMismatch)));
    assert!(assessment.conditions.is(Stalled, True));
    case.account().country = None;
    case.before = Before::default();
    assert_eq!(ready_of(&mut case), (True, Reason::Usable));
}

#[rstest]
#[case("VERIFIED", True, Reason::CodeVerified)]
#[case("NOT_VERIFIED", False, Reason::CodeNeeded)]
#[case("UNVERIFIED", False, Reason::CodeNeeded)]
#[case("EXPIRED", False, Reason::CodeNeeded)]
fn ownership_is_proven_by_the_code_status_until_the_number_is_registered(
    #[case] word: &str,
    #[case] status: Truth,
    #[case] reason: Reason,
) {
    let mut case = Case::with(fresh()).blocked(Reason::CodeNeeded);
    case.number().code = Field::Is(word.into());
    assert_eq!(case.assess().verdict(NumberVerified), Some((status, reason)));
    let mut case = Case::ready();
    case.number().code = Field::Is(word.into());
    assert_eq!(case.assess().verdict(NumberVerified), Some((True, Reason::NotNeededWhenRegistered)));
}

#[test]
fn a_number_that_meta_wants_verified_again_is_not_verified_whatever_it_reads() {
    let mut case = Case::with(fresh()).blocked(Reason::ReverificationNeeded);
    case.number().code = Field::Is("VERIFIED".into());
    case.memory.marks.require_proof(now());
    assert_eq!(case.assess().verdict(NumberVerified), Some((False, Reason::ReverificationNeeded)));
}

#[rstest]
#[case("APPROVED", True, Reason::NameApproved)]
#[case("AVAILABLE_WITHOUT_REVIEW", True, Reason::NameAvailableWithoutReview)]
#[case("PENDING_REVIEW", False, Reason::NameInReview)]
#[case("DECLINED", False, Reason::NameDeclined)]
#[case("EXPIRED", False, Reason::RenameNotManaged)]
#[case("NONE", False, Reason::NameNotReady)]
#[case("NON_EXISTS", False, Reason::NameNotReady)]
fn the_live_name_is_judged_by_its_status(#[case] word: &str, #[case] status: Truth, #[case] reason: Reason) {
    let mut case = Case::ready();
    case.number().name_status = Field::Is(word.into());
    let assessment = case.assess();
    assert_eq!(assessment.verdict(DisplayNameApproved), Some((status, reason)));
    assert_eq!(assessment.verdict(Ready), Some((True, Reason::Usable)), "a name does not hold up Registered");
    case.desired.ready_when = ReadyWhen::NameApproved;
    assert_eq!(ready_of(&mut case).0, status);
}

#[test]
fn the_better_of_two_statuses_of_the_desired_name_counts() {
    let mut case = Case::ready();
    case.number().name_status = Field::Is("EXPIRED".into());
    case.number().new_display_name = Field::Is("Acme Suporte".into());
    case.number().new_name_status = Field::Is("PENDING_REVIEW".into());
    assert_eq!(case.assess().verdict(DisplayNameApproved), Some((False, Reason::NameInReview)));
}

#[test]
fn a_registered_number_with_another_name_is_told_and_not_renamed() {
    let mut case = Case::ready();
    case.desired.display_name = "Acme Brasil".into();
    let assessment = case.assess();
    assert_eq!(assessment.verdict(DisplayNameApproved), Some((False, Reason::RenameNotManaged)));
    assert_eq!(assessment.verdict(Ready), Some((True, Reason::Usable)));
    assert!(assessment.drift[0].action.starts_with("only shown"));
}

#[test]
fn another_name_in_review_queues_the_desired_one() {
    let mut case = Case::with(fresh()).blocked(Reason::NameChangeQueued);
    case.number().new_display_name = Field::Is("Acme Brasil".into());
    case.number().verified_name = Field::Is("Acme".into());
    case.number().new_name_status = Field::Is("PENDING_REVIEW".into());
    assert_eq!(case.assess().verdict(DisplayNameApproved), Some((False, Reason::NameChangeQueued)));
}

#[test]
fn a_name_that_meta_declined_before_stays_declined() {
    let mut case = Case::with(fresh()).blocked(Reason::NameDeclined);
    case.number().verified_name = Field::Is("Acme".into());
    case.memory.marks.declined.insert("Acme Suporte".into(), now());
    let assessment = case.assess();
    for kind in [NumberVerified, DisplayNameApproved, Registered, Ready, Stalled] {
        assert_eq!(
            assessment.conditions.get(kind).map(|c| c.reason),
            Some(Reason::NameDeclined),
            "{}",
            kind.as_str()
        );
    }
}

#[rstest]
#[case("CONNECTED", True, Reason::CanSend)]
#[case("FLAGGED", True, Reason::Limited)]
#[case("RESTRICTED", True, Reason::Limited)]
#[case("RATE_LIMITED", True, Reason::Limited)]
#[case("BANNED", False, Reason::NumberBanned)]
#[case("DISCONNECTED", False, Reason::NotConnected)]
#[case("PENDING", False, Reason::NotConnected)]
#[case("UNVERIFIED", False, Reason::NotConnected)]
#[case("SOMETHING_NEW", Unknown, Reason::StatusNotKnown)]
fn a_registered_number_is_healthy_by_its_status(
    #[case] word: &str,
    #[case] status: Truth,
    #[case] reason: Reason,
) {
    let mut case = Case::ready();
    case.number().status = Field::Is(word.into());
    assert_eq!(case.assess().verdict(Healthy), Some((status, reason)));
    assert_eq!(ready_of(&mut case).0, status);
}

#[test]
fn a_sandbox_number_need_not_be_connected() {
    let mut case = Case::ready();
    case.number().status = Field::Is(NumberStatus::Disconnected);
    case.number().account_mode = Field::Is(AccountMode::Sandbox);
    assert_eq!(ready_of(&mut case), (True, Reason::Usable));
}

use crate::engine::id::NumberStatus;

#[rstest]
#[case(Sendability::Available, vec![], True, Reason::CanSend)]
#[case(Sendability::Limited, vec![entity("BUSINESS", Sendability::Limited, &[141_010])], True, Reason::Limited)]
#[case(Sendability::Blocked, vec![entity("WABA", Sendability::Blocked, &[141_006])], True, Reason::Limited)]
#[case(Sendability::Blocked, vec![entity("WABA", Sendability::Blocked, &[141_006, 141_099])], False, Reason::Blocked)]
#[case(Sendability::Blocked, vec![entity("WABA", Sendability::Blocked, &[141_006]), entity("BUSINESS", Sendability::Blocked, &[])], False, Reason::Blocked)]
#[case(Sendability::Blocked, vec![], False, Reason::Blocked)]
#[case(Sendability::Available, vec![entity("PHONE_NUMBER", Sendability::Available, &[138_024])], True, Reason::CanSend)]
fn health_counts_by_whether_messages_can_be_sent(
    #[case] overall: Sendability,
    #[case] entities: Vec<crate::engine::observed::HealthEntity>,
    #[case] status: Truth,
    #[case] reason: Reason,
) {
    let mut case = Case::ready();
    case.number().health = Field::Is(health(overall, &entities));
    assert_eq!(case.assess().verdict(Healthy), Some((status, reason)));
}

#[test]
fn a_payment_problem_is_told_and_holds_nothing_up() {
    let mut case = Case::ready();
    case.number().health =
        Field::Is(health(Sendability::Blocked, &[entity("WABA", Sendability::Blocked, &[141_006])]));
    let assessment = case.assess();
    assert_eq!(assessment.verdict(PaymentReady), Some((False, Reason::PaymentProblem)));
    assert_eq!(assessment.verdict(Ready), Some((True, Reason::Usable)));
}

#[test]
fn of_several_payment_problems_the_same_one_is_told_in_any_order() {
    let told = |codes: &[i64]| {
        let mut case = Case::ready();
        case.number().health =
            Field::Is(health(Sendability::Blocked, &[entity("WABA", Sendability::Blocked, codes)]));
        let assessment = case.assess();
        assessment.conditions.get(PaymentReady).map(|c| c.message.clone())
    };
    assert_eq!(told(&[141_006, 131_042]), told(&[131_042, 141_006]));
    assert!(told(&[141_006, 131_042]).is_some_and(|message| message.contains("131042")));
}

#[rstest]
#[case(Field::Is("987".to_owned()), True, Reason::PaymentMethodPresent)]
#[case(Field::Is("0".to_owned()), Unknown, Reason::PaymentNotKnown)]
#[case(Field::Absent, Unknown, Reason::PaymentNotKnown)]
fn a_missing_funding_id_proves_nothing(
    #[case] funding: Field<String>,
    #[case] status: Truth,
    #[case] reason: Reason,
) {
    let mut case = Case::ready();
    case.account().funding = funding;
    assert_eq!(case.assess().verdict(PaymentReady), Some((status, reason)));
}

#[rstest]
#[case(VerificationStatus::Verified, True, Reason::BusinessIsVerified)]
#[case(VerificationStatus::Pending, False, Reason::BusinessInReview)]
#[case(VerificationStatus::NotVerified, False, Reason::BusinessNotVerified)]
#[case(VerificationStatus::PendingSubmission, False, Reason::BusinessNotVerified)]
#[case(VerificationStatus::PendingNeedMoreInfo, False, Reason::BusinessNotVerified)]
#[case(VerificationStatus::Rejected, False, Reason::BusinessNotVerified)]
#[case(VerificationStatus::Failed, False, Reason::BusinessNotVerified)]
#[case(VerificationStatus::Revoked, False, Reason::BusinessNotVerified)]
#[case(VerificationStatus::Expired, False, Reason::BusinessNotVerified)]
#[case(VerificationStatus::Ineligible, False, Reason::BusinessIneligible)]
fn business_verification_mirrors_the_portfolio(
    #[case] word: VerificationStatus,
    #[case] status: Truth,
    #[case] reason: Reason,
) {
    let mut case = Case::ready();
    case.view().facts = Fact::Known(BusinessFacts { verification: Some(word), ..business() });
    let assessment = case.assess();
    assert_eq!(assessment.verdict(BusinessVerified), Some((status, reason)));
    assert_eq!(assessment.verdict(Ready), Some((True, Reason::Usable)));
    case.desired.ready_when = ReadyWhen::FullyVerified;
    assert_eq!(ready_of(&mut case).0, status);
}

use crate::engine::portfolio::BusinessFacts;

#[test]
fn a_number_that_left_the_account_stalls() {
    for (word, reason) in [("MIGRATED", Reason::NumberMigrated), ("DELETED", Reason::NumberDeleted)] {
        let mut case = Case::ready();
        case.number().status = Field::Is(word.into());
        let assessment = case.assess();
        assert_eq!(assessment.verdict(NumberAdded), Some((False, reason)));
        assert_eq!(assessment.verdict(Ready), Some((False, reason)));
        assert!(assessment.conditions.is(Stalled, True));
    }
}

#[test]
fn a_number_on_premises_stalls() {
    let mut case = Case::ready();
    case.number().platform = Field::Is("ON_PREMISE".into());
    let assessment = case.assess();
    assert_eq!(assessment.verdict(Registered), Some((False, Reason::NumberOnPremises)));
}

// Webhook and profile.

#[test]
fn a_webhook_is_routed_when_the_app_is_subscribed_and_the_url_is_the_desired_one() {
    let mut case = Case::ready();
    case.desired.webhook = Some(webhook());
    assert_eq!(case.assess().verdict(WebhookRouted), Some((True, Reason::Routed)));
    case.observed.subscribed = Fact::Known(false);
    let mut case = case.step(Step::SubscribeApp { account: ACCOUNT.into() });
    assert_eq!(case.assess().verdict(WebhookRouted), Some((False, Reason::Subscribing)));
    assert_eq!(ready_of(&mut case), (False, Reason::Subscribing));
}

#[rstest]
#[case(Reason::WebhookHandshakeFailed)]
#[case(Reason::AppNotSubscribedToMessages)]
#[case(Reason::NotTakenByMeta)]
#[case(Reason::VerifyTokenUnlabelled)]
fn what_holds_the_webhook_up_stands_on_it_and_on_ready(#[case] reason: Reason) {
    let mut case = Case::ready();
    case.desired.webhook = Some(webhook());
    case.number().webhook = Field::Absent;
    case.plan.aside = vec![(WebhookRouted, block(reason))];
    let assessment = case.assess();
    assert_eq!(assessment.verdict(WebhookRouted), Some((False, reason)));
    assert_eq!(assessment.verdict(Ready), Some((False, reason)));
    assert_eq!(assessment.verdict(Reconciling), None);
    assert_eq!(assessment.verdict(Stalled), None);
    assert_eq!(assessment.waiting_for.len(), 1);
}

#[test]
fn a_webhook_that_meta_does_not_show_does_not_hold_up_ready() {
    let mut case = Case::ready();
    case.desired.webhook = Some(webhook());
    case.number().webhook = Field::Refused;
    let assessment = case.assess();
    assert_eq!(assessment.verdict(WebhookRouted), Some((Unknown, Reason::WebhookNotReadable)));
    assert_eq!(assessment.verdict(Ready), Some((True, Reason::Usable)));
}

#[test]
fn a_profile_that_differs_never_holds_up_ready() {
    let mut case = Case::ready();
    case.desired.profile = DesiredProfile { about: Some("Open 9-17".into()), ..DesiredProfile::default() };
    case.observed.profile = Fact::Known(crate::engine::observed::Profile::default());
    case.plan.aside = vec![(ProfileSynced, block(Reason::ProfileRefused))];
    let assessment = case.assess();
    assert_eq!(assessment.verdict(ProfileSynced), Some((False, Reason::ProfileRefused)));
    assert_eq!(assessment.verdict(Ready), Some((True, Reason::Usable)));
    assert_eq!(assessment.stage, Stage::Ready);
}

#[test]
fn settings_of_a_coexistence_number_are_only_told() {
    let mut case = Case::ready();
    case.desired.connection = Connection::Coexistence;
    case.desired.webhook = Some(webhook());
    case.number().webhook = Field::Absent;
    case.number().is_on_biz_app = Field::Is(true);
    let assessment = case.assess();
    assert_eq!(assessment.verdict(WebhookRouted), Some((False, Reason::WebhookDiffers)));
    assert_eq!(assessment.verdict(Registered), Some((True, Reason::RegisteredWithCloudApi)));
    assert_eq!(assessment.verdict(Reconciling), None);
}

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
    case.before = crate::engine::face_fixture::before(&before);
    assert_eq!(case.assess().facts.last_refusal, None);
}

#[test]
fn ready_copies_the_first_blocking_condition_in_the_order_of_the_table() {
    let mut case = Case::with(fresh()).blocked(Reason::CodeNeeded);
    case.account().status = Field::Is(AccountStatus::Restricted);
    assert_eq!(ready_of(&mut case), (False, Reason::AccountRestricted));
}

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
        let until = time::later(case.now, std::time::Duration::from_secs(seconds));
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
    let other = Searched {
        account: OTHER_ACCOUNT.into(),
        list: ListState::Failed(retry_failure()),
        numbers: Vec::new(),
    };
    case.observed.search.push(other);
    assert_eq!(case.assess().observed_generation, None);
    let mut case = Case::ready();
    case.observed.search.push(Searched {
        account: OTHER_ACCOUNT.into(),
        list: ListState::Failed(retry_failure()),
        numbers: Vec::new(),
    });
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
    case.observed.process =
        crate::engine::observed::ProcessFacts { started: later(-500), last_success: None };
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
    case.observed.process =
        crate::engine::observed::ProcessFacts { started: later(-500), last_success: None };
    assert_eq!(ready_of(&mut case), (False, Reason::CodeNeeded));
}

// Reconciling and Stalled.

#[test]
fn a_step_makes_a_ready_channel_reconciling() {
    let mut case = Case::ready();
    case.desired.profile.about = Some("Open".into());
    case.observed.profile = Fact::Known(crate::engine::observed::Profile::default());
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
    case.outcome = Some(accepted(StepKind::Register));
    let assessment = case.assess();
    assert_eq!(assessment.verdict(Registered), Some((False, Reason::EffectNotVisibleYet)));
    assert_eq!(assessment.verdict(Reconciling), Some((True, Reason::Registering)));
    assert_eq!(assessment.stage, Stage::Registering);
}

// observedGeneration.

#[test]
fn the_first_status_has_the_generation_and_knows_nothing() {
    let assessment = first(&desired(), now());
    assert_eq!(assessment.observed_generation, Some(3));
    assert_eq!(assessment.verdict(Ready), Some((Unknown, Reason::NotObservedYet)));
    assert_eq!(assessment.verdict(Reconciling), Some((True, Reason::NotObservedYet)));
    assert_eq!(assessment.verdict(Stalled), None);
    assert_eq!(assessment.stage, Stage::Pending);
    assessment.conditions.iter().for_each(check_table);
}

#[test]
fn an_edit_is_observed_only_by_a_look() {
    let mut case = Case::ready();
    case.settle();
    case.desired.generation = 4;
    let failed = case.clone().fail_look().assess();
    assert_eq!(failed.observed_generation, None);
    assert_eq!(failed.conditions.get(Ready).unwrap().observed_generation, 3);
    let seen = case.assess();
    assert_eq!(seen.observed_generation, Some(4));
    assert_eq!(seen.conditions.get(Ready).unwrap().observed_generation, 4);
}

#[test]
fn where_no_look_is_needed_an_edit_is_observed_at_once() {
    let mut not_usable = Case::absent().blocked(Reason::PortfolioNotUsable);
    not_usable.observed.portfolio = PortfolioState::NotUsable;
    let mut claimed = Case::absent().blocked(Reason::NumberClaimed);
    claimed.observed.claim = Claim::Other { name: Some("support".into()) };
    let mut held = Case::absent().blocked(Reason::TokenInvalid);
    held.view().hold =
        Some(Hold { reason: Reason::TokenInvalid, message: "dead".into(), failure: None, url: None });
    let mut suspended = Case::absent();
    suspended.desired.suspend = true;
    let invalid = Case::absent().blocked(Reason::SpecInvalid);
    for mut case in [not_usable, claimed, held, suspended, invalid] {
        case.observed.account = Fact::NotAsked;
        case.observed.search = Vec::new();
        assert_eq!(case.assess().observed_generation, Some(3));
    }
}

#[test]
fn a_portfolio_that_was_not_looked_at_yet_changes_nothing() {
    let mut case = Case::ready();
    let first = case.settle();
    case.observed.portfolio = PortfolioState::NotYet;
    let mut case = case.blocked(Reason::PortfolioNotReadYet);
    assert_eq!(case.assess(), Assessment { observed_generation: None, ..first });
}

// Portfolio and claim.

#[test]
fn dead_credentials_are_on_top_of_what_was_true() {
    let mut case = Case::ready();
    case.settle();
    case.view().hold = Some(Hold {
        reason: Reason::TokenExpired,
        message: "the token expired".into(),
        failure: None,
        url: None,
    });
    case.observed.account = Fact::NotAsked;
    case.observed.search = Vec::new();
    let mut case = case.blocked(Reason::TokenExpired);
    let assessment = case.assess();
    assert_eq!(assessment.verdict(PortfolioReady), Some((False, Reason::TokenExpired)));
    assert_eq!(assessment.verdict(Registered), Some((True, Reason::RegisteredWithCloudApi)));
    assert_eq!(assessment.verdict(Ready), Some((False, Reason::TokenExpired)));
    assert_eq!(assessment.verdict(Stalled), None);
    assert_eq!(assessment.waiting_for[0].actor, Actor::PortfolioAdmin);
}

#[test]
fn a_portfolio_without_accounts_is_a_wait_of_the_account() {
    let mut case = Case::absent().blocked(Reason::NoAccountInReach);
    case.memory = Memory::default();
    case.observed.account = Fact::NotAsked;
    case.observed.search = Vec::new();
    case.view().hold = Some(Hold {
        reason: Reason::NoAccountInReach,
        message: "no account".into(),
        failure: None,
        url: None,
    });
    let assessment = case.assess();
    assert_eq!(assessment.verdict(PortfolioReady), Some((True, Reason::PortfolioUsable)));
    assert_eq!(assessment.verdict(AccountUsable), Some((False, Reason::NoAccountInReach)));
    assert_eq!(assessment.verdict(Ready), Some((False, Reason::NoAccountInReach)));
    let wait = &assessment.waiting_for[0];
    assert_eq!((wait.actor, wait.url.is_some()), (Actor::PortfolioAdmin, true));
}

#[test]
fn an_identity_mismatch_stalls() {
    let mut case = Case::absent().blocked(Reason::IdentityMismatch);
    case.view().hold =
        Some(Hold { reason: Reason::IdentityMismatch, message: "another".into(), failure: None, url: None });
    let assessment = case.assess();
    assert_eq!(assessment.verdict(Ready), Some((False, Reason::IdentityMismatch)));
    assert!(assessment.conditions.is(Stalled, True));
}

#[test]
fn a_portfolio_whose_spec_cannot_be_understood_stalls_what_was_ready() {
    let mut case = Case::ready();
    case.settle();
    // The spec may be wrong in the very id that tells the business.
    *case.view() = PortfolioView::spec_invalid("shop-br", "acme", "", "spec.businessId is not an id");
    case.observed.account = Fact::NotAsked;
    case.observed.search = Vec::new();
    let mut case = case.blocked(Reason::SpecInvalid);
    case.memory.business = Some("500000000000001".into());
    let assessment = case.assess();
    assert_eq!(assessment.verdict(PortfolioReady), Some((False, Reason::SpecInvalid)));
    assert_eq!(assessment.verdict(Ready), Some((False, Reason::SpecInvalid)));
    assert_eq!(assessment.verdict(Registered), Some((True, Reason::RegisteredWithCloudApi)));
    assert!(assessment.conditions.is(Stalled, True));
}

#[test]
fn another_business_than_before_stalls() {
    let mut case = Case::ready().blocked(Reason::PortfolioChanged);
    case.memory.business = Some("500000000000002".into());
    let assessment = case.assess();
    assert_eq!(assessment.verdict(PortfolioReady), Some((False, Reason::PortfolioChanged)));
    assert!(assessment.conditions.is(Stalled, True));
}

#[test]
fn a_claimed_number_says_so_and_names_only_a_neighbour() {
    let mut case = Case::absent().blocked(Reason::NumberClaimed);
    case.observed.account = Fact::NotAsked;
    case.observed.search = Vec::new();
    case.observed.claim = Claim::Other { name: Some("support".into()) };
    case.plan.block = None;
    case.before = before(&first(&case.desired, now()));
    let assessment = case.assess();
    assert_eq!(assessment.verdict(NumberAdded), Some((False, Reason::NumberClaimed)));
    assert_eq!(assessment.verdict(Ready), Some((False, Reason::NumberClaimed)));
    assert!(assessment.conditions.get(Ready).unwrap().message.contains("support"));
    assert!(assessment.conditions.is(Stalled, True));
    case.observed.claim = Claim::Other { name: None };
    assert!(case.assess().conditions.get(Ready).unwrap().message.starts_with("another channel"));
}

#[test]
fn an_account_that_meta_does_not_show_is_an_answer() {
    let mut case = Case::absent().blocked(Reason::PermissionMissing);
    case.observed.account = Fact::Unknown(Failure::Refused(refusal(200, None, "T1")));
    case.observed.search[0].list = ListState::NotCheckable(Failure::Refused(refusal(200, None, "T1")));
    let assessment = case.assess();
    assert_eq!(assessment.verdict(AccountUsable), Some((False, Reason::PermissionMissing)));
    assert_eq!(assessment.observed_generation, Some(3));
    let mut throttled = refusal(80_008, None, "T1");
    throttled.class = Class::WaitUntil;
    case.observed.account = Fact::Unknown(Failure::Refused(throttled));
    assert_eq!(case.assess().observed_generation, None);
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
    case.observed.process =
        crate::engine::observed::ProcessFacts { started: later(-5000), last_success: None };
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

// Waits.

fn wait(actor: Actor, action: &'static str) -> Wait {
    Wait { actor, action, expected_by: None, url: None, if_ignored: None }
}

#[test]
fn a_person_is_printed_before_meta() {
    let mut case = Case::ready().blocked(Reason::NameInReview);
    case.plan.block.as_mut().unwrap().wait = Some(wait(Actor::Meta, "ReviewName"));
    let mut aside = block(Reason::WebhookHandshakeFailed);
    aside.wait = Some(wait(Actor::ClusterUser, "MendWebhook"));
    case.plan.aside = vec![(WebhookRouted, aside)];
    let actions: Vec<_> = case.assess().waiting_for.into_iter().map(|w| w.action).collect();
    assert_eq!(actions, ["MendWebhook", "ReviewName"]);
}

#[test]
fn a_wait_keeps_its_beginning_while_it_lasts() {
    let mut case = Case::with(fresh()).blocked(Reason::CodeAwaited);
    case.plan.block.as_mut().unwrap().wait = Some(wait(Actor::PhoneHolder, "EnterCode"));
    case.settle();
    case.now = later(5);
    assert_eq!(case.settle().waiting_for[0].since, now());
    let mut other = case.clone().blocked(Reason::NameInReview);
    let assessment = other.settle();
    assert_eq!(assessment.waiting_for[0].action, "ReviewName");
    assert_eq!(assessment.waiting_for[0].since, later(5));
    assert_eq!(other.memory.since.len(), 1);
}

#[test]
fn every_reason_that_waits_names_who_acts() {
    for row in crate::engine::reason::TABLE {
        let waits = matches!(row.kind, ReasonKind::Person | ReasonKind::Time | ReasonKind::Stalled);
        if waits && row.reason != Reason::NotObserved {
            assert!(wait::default_wait(row.reason, None, "support-br", now()).is_some(), "{}", row.name);
        }
    }
}

// Nothing changes merely because we looked.

#[test]
fn equal_inputs_give_an_equal_assessment_however_late() {
    for mut case in [
        Case::ready(),
        Case::with(fresh()).blocked(Reason::CodeNeeded),
        Case::absent().blocked(Reason::AddRefused),
    ] {
        let first = case.settle();
        case.now = later(17);
        case.observed.begun = later(17);
        case.observed.process.last_success = Some(later(17));
        case.observed.search[0].list = ListState::Complete { begun: later(17) };
        assert_eq!(case.assess(), first);
    }
}

#[test]
fn facts_keep_the_last_value_of_what_could_not_be_read() {
    let mut case = Case::ready();
    case.number().quality = Some("GREEN".into());
    case.settle();
    case.number().quality = None;
    case.number().status = Field::Refused;
    case.now = later(9);
    let facts = case.settle().facts;
    assert_eq!(facts.quality.as_deref(), Some("GREEN"));
    assert_eq!(facts.status.as_deref(), Some("CONNECTED"));
    assert_eq!(facts.status_since, Some(now()));
    case.number().status = Field::Is(NumberStatus::Flagged);
    assert_eq!(case.assess().facts.status_since, Some(later(9)));
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

#[test]
fn preflight_lists_every_prerequisite_at_once() {
    let mut case = Case::absent().blocked(Reason::AddRefused);
    case.desired.time_zone = Some("America/Sao_Paulo".into());
    let assessment = case.assess();
    let items: Vec<_> = assessment.preflight.iter().map(|c| c.item).collect();
    assert_eq!(items, preflight::ITEMS);
    assert!(assessment.preflight.iter().all(|c| !c.message.is_empty()));
}

#[test]
fn preflight_keeps_what_this_look_did_not_ask() {
    let mut case = Case::ready();
    let first = case.settle();
    case.observed.account = Fact::NotAsked;
    assert_eq!(case.assess().preflight, first.preflight);
}

// With the real plan.

/// Plans for real, judges, and takes the result as what stands.
fn pass(case: &mut Case) -> Assessment {
    case.plan =
        crate::engine::plan::plan(&case.desired, &case.observed, &case.memory, &case.limits, case.now);
    let since = std::mem::take(&mut case.memory.since);
    case.memory = case.plan.memory.clone();
    case.memory.since = since;
    for block in case.plan.block.iter().chain(case.plan.aside.iter().map(|(_, b)| b)) {
        assert!(
            block.reason.may_be_on(Ready) || block.reason.may_be_on(ProfileSynced),
            "{}",
            block.reason.as_str()
        );
    }
    for (kind, block) in &case.plan.aside {
        assert!(block.reason.may_be_on(*kind), "{} may not be on {}", block.reason.as_str(), kind.as_str());
    }
    case.settle()
}

const STATUSES: [&str; 10] = [
    "PENDING",
    "UNVERIFIED",
    "CONNECTED",
    "DISCONNECTED",
    "FLAGGED",
    "BANNED",
    "MIGRATED",
    "DELETED",
    "RESTRICTED",
    "NEW",
];
const NAMES: [&str; 7] =
    ["NONE", "AVAILABLE_WITHOUT_REVIEW", "PENDING_REVIEW", "APPROVED", "DECLINED", "EXPIRED", "NEW"];

#[test]
fn every_state_that_meta_can_show_is_judged_and_rests() {
    for platform in ["CLOUD_API", "NOT_APPLICABLE", "ON_PREMISE", "NEW"] {
        for status in STATUSES {
            for code in ["VERIFIED", "NOT_VERIFIED", "EXPIRED", "NEW"] {
                for name in NAMES {
                    for live in ["Acme Suporte", "Acme"] {
                        let mut case = Case::ready();
                        case.desired.webhook = Some(webhook());
                        case.number().platform = Field::Is(platform.into());
                        case.number().status = Field::Is(status.into());
                        case.number().code = Field::Is(code.into());
                        case.number().name_status = Field::Is(name.into());
                        case.number().verified_name = Field::Is(live.into());
                        let first = pass(&mut case);
                        let what = format!("{platform} {status} {code} {name} {live}");
                        let ready = first.conditions.get(Ready).unwrap();
                        let waits = !first.waiting_for.is_empty() || first.conditions.is(Reconciling, True);
                        assert!(ready.status == True || waits, "{what}: nobody acts: {ready:?}");
                        case.now = later(1);
                        assert_eq!(pass(&mut case), first, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_number_that_falls_back_is_believed_at_the_second_look() {
    let mut case = Case::ready();
    pass(&mut case);
    case.number().platform = Field::Is("NOT_APPLICABLE".into());
    case.number().status = Field::Is("DISCONNECTED".into());
    let first = pass(&mut case);
    assert_eq!(first.verdict(Ready), Some((True, Reason::Usable)));
    case.now = later(11);
    case.observed.begun = later(11);
    case.observed.search[0].list = ListState::Complete { begun: later(11) };
    let second = pass(&mut case);
    assert_eq!(second.verdict(Registered).map(|v| v.0), Some(False));
    assert_eq!(second.verdict(Ready).map(|v| v.0), Some(False));
}

#[test]
fn a_registered_number_that_contradicts_the_connection_stalls() {
    let mut case = Case::ready();
    case.number().is_on_biz_app = Field::Is(true);
    let assessment = pass(&mut case);
    assert_eq!(assessment.verdict(Ready), Some((False, Reason::ConnectionContradictsNumber)));
    assert!(assessment.conditions.is(Stalled, True));
}

#[test]
fn a_ready_channel_whose_spec_names_another_account_stalls() {
    let mut case = Case::ready();
    pass(&mut case);
    case.desired.account = Some(OTHER_ACCOUNT.into());
    case.observed.account = Fact::NotAsked;
    case.observed.search = Vec::new();
    let assessment = pass(&mut case);
    assert_eq!(assessment.verdict(AccountUsable), Some((False, Reason::AccountChanged)));
    assert_eq!(assessment.verdict(Ready), Some((False, Reason::AccountChanged)));
    assert!(assessment.conditions.is(Stalled, True));
}

#[test]
fn a_ready_channel_whose_account_left_the_reach_says_so() {
    let mut case = Case::ready();
    pass(&mut case);
    case.view().reach = crate::engine::portfolio::Reach::Accounts(vec![reachable(OTHER_ACCOUNT)]);
    case.observed.account = Fact::NotAsked;
    case.observed.search = Vec::new();
    let assessment = pass(&mut case);
    assert_eq!(assessment.verdict(Ready), Some((False, Reason::AccountNotInReach)));
}

#[test]
fn a_webhook_that_was_changed_in_the_spec_is_not_taken_for_finished() {
    let mut case = Case::ready();
    case.desired.webhook = Some(webhook());
    pass(&mut case);
    case.desired.generation = 4;
    case.desired.webhook.as_mut().unwrap().callback_url = "https://other.example/wa".into();
    case.observed.subscribed = Fact::NotAsked;
    let assessment = pass(&mut case);
    assert_eq!(assessment.verdict(WebhookRouted).map(|v| v.0), Some(False));
    assert_eq!(assessment.verdict(Reconciling).map(|v| v.0), Some(True));
}

#[test]
fn an_edit_that_changes_nothing_moves_the_generation_and_is_not_reconciling() {
    let mut case = Case::ready();
    pass(&mut case);
    case.desired.generation = 4;
    let assessment = pass(&mut case);
    assert_eq!(assessment.observed_generation, Some(4));
    assert_eq!(assessment.verdict(Reconciling), None);
}

#[test]
fn a_channel_that_only_observes_obeys_no_claim() {
    let mut case = Case::ready();
    case.desired.management = Management::ObserveOnly;
    case.observed.claim = Claim::Other { name: None };
    assert_eq!(pass(&mut case).verdict(Ready), Some((True, Reason::Usable)));
}

#[test]
fn what_a_channel_that_only_observes_would_do_shows_as_drift() {
    let mut case = Case::absent();
    case.desired.management = Management::ObserveOnly;
    let fields = |a: Assessment| a.drift.into_iter().map(|d| d.field).collect::<Vec<_>>();
    assert_eq!(fields(pass(&mut case)), ["phoneNumber"]);
    let mut case = Case::with(fresh());
    case.desired.management = Management::ObserveOnly;
    assert_eq!(fields(pass(&mut case)), ["registration"]);
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

#[rstest]
#[case(190, "")]
#[case(104, "")]
#[case(100, "Invalid appsecret_proof provided in the API argument")]
fn a_refused_credential_says_nothing_about_the_account(#[case] code: i64, #[case] message: &str) {
    let mut case = Case::ready();
    let first = case.settle();
    let mut case = case.blocked(Reason::PermissionMissing);
    let mut refused = refusal(code, None, "T1");
    refused.class = Class::Credentials;
    refused.message = message.into();
    case.observed.account = Fact::Unknown(Failure::Refused(refused));
    assert_eq!(case.assess().conditions, first.conditions);
}

#[test]
fn an_error_that_nobody_knows_turns_no_usable_account_unusable() {
    let mut case = Case::ready();
    let first = case.settle();
    let mut case = case.blocked(Reason::PermissionMissing);
    case.observed.account = Fact::Unknown(Failure::Refused(refusal(987_654, None, "T1")));
    assert_eq!(case.assess().conditions, first.conditions);
}

#[rstest]
#[case(Field::Refused)]
#[case(Field::Absent)]
fn a_block_is_not_lifted_by_a_look_that_does_not_show_the_health(#[case] hidden: Field<Health>) {
    let mut case = Case::ready();
    case.number().health = Field::Is(health(Sendability::Blocked, &[]));
    let first = case.settle();
    assert_eq!(first.verdict(Healthy), Some((False, Reason::Blocked)));
    case.number().health = hidden;
    assert_eq!(case.assess().conditions, first.conditions);
}

#[test]
fn a_profile_that_was_not_read_this_time_keeps_its_drift() {
    let mut case = Case::ready();
    case.desired.profile = DesiredProfile { about: Some("Open".into()), ..DesiredProfile::default() };
    case.desired.management = Management::ObserveOnly;
    case.observed.profile = Fact::Known(crate::engine::observed::Profile::default());
    let first = pass(&mut case);
    assert_eq!(first.drift.len(), 1);
    case.observed.profile = Fact::Unknown(Failure::Throttled(later(30)));
    assert_eq!(pass(&mut case).drift, first.drift);
    case.desired.profile = DesiredProfile::default();
    assert_eq!(pass(&mut case).drift, []);
}
