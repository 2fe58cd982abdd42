#![allow(clippy::unwrap_used)]

use rstest::rstest;

use crate::engine::{
    assess::tests::ready_of,
    value::{
        condition::Truth::{self, False, True, Unknown},
        desired::{Connection, DesiredProfile, ReadyWhen},
        id::{
            AccountMode, AccountStatus, Fact, Field, NumberStatus, ReviewStatus, Sendability,
            VerificationStatus,
        },
        observed::{HealthEntity, Profile},
        portfolio::BusinessFacts,
        reason::Reason,
        status::{Before, Stage},
        step::Step,
    },
};
use crate::engine::{fixture::*, value::condition_type::ConditionType::*};

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
#[case("EXPIRED", False, Reason::NameDiffers)]
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
fn a_registered_number_with_another_name_says_so_at_the_top() {
    let mut case = Case::ready();
    case.desired.display_name = "Acme Brasil".into();
    let assessment = case.assess();
    assert_eq!(assessment.verdict(DisplayNameApproved), Some((False, Reason::NameDiffers)));
    assert_eq!(assessment.verdict(Ready), Some((True, Reason::UsableUnderAnotherName)));
    let top = &assessment.conditions.get(Ready).unwrap().message;
    assert!(top.contains("Acme Suporte") && top.contains("Acme Brasil"), "{top}");
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
#[case("FLAGGED", True, Reason::NumberFlagged)]
#[case("RESTRICTED", True, Reason::NumberRestricted)]
#[case("RATE_LIMITED", True, Reason::NumberRateLimited)]
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
    #[case] entities: Vec<HealthEntity>,
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
fn a_limited_number_without_payment_tells_of_both() {
    let told = |sendability: Sendability, entities: &[HealthEntity]| {
        let mut case = Case::ready();
        case.number().status = Field::Is(NumberStatus::Restricted);
        case.number().health = Field::Is(health(sendability, entities));
        case.assess().conditions.get(Healthy).expect("it is told").clone()
    };
    let alone = told(Sendability::Available, &[]);
    let unpaid = told(Sendability::Blocked, &[entity("WABA", Sendability::Blocked, &[141_006])]);
    assert_eq!((unpaid.reason, alone.reason), (Reason::NumberRestricted, Reason::NumberRestricted));
    assert!(unpaid.message.starts_with(&alone.message), "{} / {}", unpaid.message, alone.message);
    assert!(unpaid.message.contains("payment method"), "{}", unpaid.message);
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
    case.observed.profile = Fact::Known(Profile::default());
    case.plan.aside = vec![(ProfileSynced, block(Reason::ProfileRefused))];
    let assessment = case.assess();
    assert_eq!(assessment.verdict(ProfileSynced), Some((False, Reason::ProfileRefused)));
    assert_eq!(assessment.verdict(Ready), Some((True, Reason::Usable)));
    assert_eq!(assessment.stage, Stage::Ready);
}

#[test]
fn no_more_is_said_of_sending_than_what_was_read() {
    let says = |change: fn(&mut crate::engine::value::observed::Number)| {
        let mut case = Case::ready();
        change(case.number());
        let assessment = case.assess();
        let message = |kind| assessment.conditions.get(kind).map(|c| c.message.clone()).unwrap_or_default();
        assert!(message(Ready).contains(&message(Healthy)), "{}", message(Ready));
        message(Healthy)
    };
    assert_eq!(says(|_| {}), "Meta reports that the number can send");
    assert_eq!(says(|n| n.health = Field::Refused), "Meta shows the number as connected");
    let hidden = says(|n| (n.health, n.status) = (Field::Absent, Field::Refused));
    assert!(!hidden.contains("connected") && !hidden.contains("reports"), "{hidden}");
}

#[test]
fn a_name_that_is_not_live_says_what_the_plan_says_of_it() {
    let mut case = Case::ready();
    case.number().verified_name = Field::Is("Acme Alt".into());
    let verdict = |case: &mut Case| case.assess().verdict(DisplayNameApproved);
    assert_eq!(verdict(&mut case), Some((False, Reason::NameDiffers)), "where the plan did not get so far");
    for reason in
        [Reason::NameNotLiveYet, Reason::NameInReview, Reason::PinNeeded, Reason::EffectNotVisibleYet]
    {
        case.plan.aside = vec![(DisplayNameApproved, block(reason))];
        assert_eq!(verdict(&mut case), Some((False, reason)));
        assert_eq!(case.assess().verdict(Ready), Some((True, Reason::UsableUnderAnotherName)));
    }
}

#[test]
fn of_a_coexistence_number_the_profile_is_only_told_and_the_webhook_is_managed() {
    let mut case = Case::ready();
    case.desired.connection = Connection::Coexistence;
    case.desired.webhook = Some(webhook());
    case.desired.profile = DesiredProfile { about: Some("Open 9-17".into()), ..DesiredProfile::default() };
    case.observed.profile = Fact::Known(Profile::default());
    case.number().webhook = Field::Absent;
    case.number().is_on_biz_app = Field::Is(true);
    case.plan.aside = vec![(WebhookRouted, block(Reason::WebhookHandshakeFailed))];
    let assessment = case.assess();
    assert_eq!(assessment.verdict(WebhookRouted), Some((False, Reason::WebhookHandshakeFailed)));
    assert_eq!(assessment.verdict(ProfileSynced), Some((False, Reason::ProfileDiffers)));
    assert_eq!(assessment.verdict(Registered), Some((True, Reason::RegisteredWithCloudApi)));
    assert_eq!(assessment.verdict(Reconciling), None);
}
