#![allow(clippy::unwrap_used)]

use rstest::rstest;

use crate::engine::{
    assess::{preflight::ITEMS, unseen::first},
    value::{
        action::Actor,
        condition::Truth::{self, False, True, Unknown},
        desired::{DesiredProfile, Management},
        failure::{Class, Failure},
        id::{Fact, Field, NumberStatus, Sendability},
        memory::Memory,
        observed::{Claim, CodeShared, Health, ListState, OtherApp, PortfolioState, Profile},
        portfolio::{Hold, PortfolioView, Reach},
        reason::Reason,
        status::{Assessment, Stage},
    },
};
use crate::engine::{fixture::*, value::condition_type::ConditionType::*};

pub(super) fn ready_of(case: &mut Case) -> (Truth, Reason) {
    case.assess().verdict(Ready).unwrap()
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
    held.view().hold = Some(Hold { reason: Reason::TokenInvalid, message: "dead".into(), failure: None });
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
    case.view().hold =
        Some(Hold { reason: Reason::TokenExpired, message: "the token expired".into(), failure: None });
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
    case.view().hold =
        Some(Hold { reason: Reason::NoAccountInReach, message: "no account".into(), failure: None });
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
        Some(Hold { reason: Reason::IdentityMismatch, message: "another".into(), failure: None });
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
    assert!(
        case.assess().conditions.get(Ready).unwrap().message.starts_with("a channel of another namespace")
    );
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

// Preflight.

#[test]
fn preflight_lists_every_prerequisite_at_once() {
    let mut case = Case::absent().blocked(Reason::AddRefused);
    case.desired.time_zone = Some("America/Sao_Paulo".into());
    case.observed.process.code_shared = Some(CodeShared { name: "sales".into(), is_awaited: false });
    case.observed.subscribed = Fact::Known(false);
    let assessment = case.assess();
    let items: Vec<_> = assessment.preflight.iter().map(|c| c.item).collect();
    assert_eq!(items, ITEMS);
    assert!(assessment.preflight.iter().all(|c| !c.message.is_empty()));
}

#[test]
fn preflight_keeps_what_this_look_did_not_ask() {
    let mut case = Case::ready();
    let first = case.settle();
    case.observed.account = Fact::NotAsked;
    assert_eq!(case.assess().preflight, first.preflight);
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
fn the_apps_of_others_are_a_fact_only_where_there_are_some_and_the_channel_asks() {
    let app = |(id, name): (&str, Option<&str>)| OtherApp { id: id.into(), name: name.map(Into::into) };
    let told = |case: &mut Case| case.assess().facts.other_apps;
    let mut case = Case::ready();
    case.desired.webhook = Some(webhook());
    case.observed.subscribed = Fact::Known(true);
    assert_eq!(told(&mut case), None);
    case.observed.other_apps = [app(("9", Some(OtherApp::OF_META)))].into();
    assert_eq!(told(&mut case), None, "a name is enough for what only tells");
    case.observed.other_apps = [("21", Some("Acme CRM")), ("22", None)].map(app).into();
    assert_eq!(told(&mut case).as_deref(), Some("Acme CRM (21), 22"));
    let many = ["1", "2", "3", "4", "5"].map(|id| app((id, None)));
    case.observed.other_apps = many.into();
    assert_eq!(told(&mut case).as_deref(), Some("1, 2, 3, 2 more"));
    case.before.facts.other_apps = Some("1".into());
    case.observed.subscribed = Fact::NotAsked;
    assert_eq!(told(&mut case).as_deref(), Some("1"), "not known now, so as it was");
    case.desired.webhook = None;
    assert_eq!(told(&mut case), None, "nobody asks any more");
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

// With the real plan.

/// Plans for real, judges, and takes the result as what stands.
fn pass(case: &mut Case) -> Assessment {
    note_look(&mut case.observed);
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
fn a_number_that_falls_back_is_believed_after_ten_minutes() {
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
    case.view().reach = Reach::Accounts(vec![reachable(OTHER_ACCOUNT)]);
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
    case.observed.profile = Fact::Known(Profile::default());
    let first = pass(&mut case);
    assert_eq!(first.drift.len(), 1);
    case.observed.profile = Fact::Unknown(Failure::Throttled(later(30)));
    assert_eq!(pass(&mut case).drift, first.drift);
    case.desired.profile = DesiredProfile::default();
    assert_eq!(pass(&mut case).drift, []);
}

#[test]
fn a_picture_that_was_not_read_this_time_keeps_its_drift_and_is_listed_once() {
    use crate::engine::value::{
        desired::{PictureSource, SecretKey},
        picture::{PictureFact, PictureFacts, PictureRead},
    };
    let mut case = Case::ready();
    let source = PictureSource::ConfigMap(SecretKey { name: "logo".into(), key: "logo.png".into() });
    case.desired.profile = DesiredProfile { about: Some("Open".into()), ..DesiredProfile::default() };
    case.desired.picture = Some(source.clone());
    case.observed.profile = Fact::Known(Profile::default());
    let fact = PictureFact::Usable { sum: "a".into() };
    let read = PictureFacts { read: Some(PictureRead { source, at: now(), fact }), shown: None };
    case.observed.process.picture = read.clone();
    let first = pass(&mut case);
    let fields: Vec<&str> = first.drift.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["profile.about", "profile.picture"]);
    for is_profile_read in [true, false] {
        for is_picture_read in [true, false] {
            let unread = Fact::Unknown(Failure::Throttled(later(30)));
            case.observed.profile = if is_profile_read { Fact::Known(Profile::default()) } else { unread };
            case.observed.process.picture =
                if is_picture_read { read.clone() } else { PictureFacts::default() };
            assert_eq!(pass(&mut case).drift, first.drift, "{is_profile_read} {is_picture_read}");
        }
    }
    case.desired.picture = None;
    assert_eq!(pass(&mut case).drift, first.drift[..1]);
}
