#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;

use crate::engine::{
    assess::{
        assess,
        chain::{LinkKind, Mark, OfPortfolio, of_portfolio},
        portfolio::{
            PortfolioAssessment, assess_portfolio,
            scene::{PortfolioGiven, PortfolioObserved},
        },
        scene::Given,
    },
    value::{
        action::Actor,
        condition::{
            ConditionSet,
            Truth::{self, False, True, Unknown},
        },
        condition_type::ConditionType::{
            self, BusinessVerified, CredentialsValid, IdentityConfirmed, Ready, Reconciling, Stalled,
        },
        desired::{Access, DesiredAppWebhook, DesiredPortfolio, SecretKey},
        failure::{Class, Failure, Refusal, Said},
        id::{Fact, TokenType},
        limits::Limits,
        portfolio::{
            AppSubscription, Backing, PortfolioView, REQUIRED_SCOPES, Reach, Reachable, SCOPE_BUSINESS,
            TokenFacts, granted,
        },
        reason::{Reason, ReasonKind},
        secret::{SecretFact, SecretVersion, Unread},
        status::{Before, WaitingFor},
    },
};

use crate::engine::fixture::*;

/// A look at a portfolio.
#[derive(Clone)]
struct Case {
    desired: DesiredPortfolio,
    observed: PortfolioObserved,
    before: ConditionSet,
    waiting: Vec<WaitingFor>,
    view: Option<PortfolioView>,
    now: Timestamp,
}

impl Case {
    fn new() -> Self {
        Self {
            desired: desired_portfolio(),
            observed: PortfolioObserved {
                access_token: present("1"),
                app_secret: SecretFact::NotAsked,
                unread: None,
                in_use: None,
                offered: Some("v1".into()),
                token: Fact::Known(token()),
                token_in_use: Fact::NotAsked,
                proof: Fact::NotAsked,
                business: Fact::Known(business()),
                owned: Fact::Known([reachable(ACCOUNT)].into()),
                client: Fact::Known([].into()),
                seen: Vec::new(),
                app_webhook: Fact::NotAsked,
                throttled_until: None,
                app_blocked: None,
            },
            before: ConditionSet::default(),
            waiting: Vec::new(),
            view: None,
            now: now(),
        }
    }

    fn assess(&self) -> PortfolioAssessment {
        let assessment = assess_portfolio(&PortfolioGiven {
            desired: &self.desired,
            observed: &self.observed,
            before: &self.before,
            waiting_before: &self.waiting,
            view_before: self.view.as_ref(),
            limits: &Limits::default(),
            now: self.now,
        });
        assessment.conditions.iter().for_each(check_table);
        assessment
    }

    fn settle(&mut self) -> PortfolioAssessment {
        let assessment = self.assess();
        self.before = assessment.conditions.clone();
        self.waiting = assessment.waiting_for.clone();
        self.view = Some(assessment.view.clone());
        self.observed.in_use = assessment.view.credential_version.clone();
        assessment
    }

    /// A later look that asks for nothing but the Secrets.
    fn quiet(mut self) -> Self {
        self.observed.token = Fact::NotAsked;
        self.observed.token_in_use = Fact::NotAsked;
        self.observed.business = Fact::NotAsked;
        self.observed.owned = Fact::NotAsked;
        self.observed.client = Fact::NotAsked;
        self.now = later(1);
        self
    }

    fn token(&mut self) -> &mut TokenFacts {
        match &mut self.observed.token {
            Fact::Known(token) => token,
            _ => panic!("the token is not known"),
        }
    }
}

fn present(version: &str) -> SecretFact {
    SecretFact::Present {
        version: SecretVersion { uid: "s".into(), resource_version: version.into() },
        well_formed: true,
        seen_before: false,
    }
}

fn verdict(assessment: &PortfolioAssessment, kind: ConditionType) -> Option<(Truth, Reason)> {
    assessment.conditions.get(kind).map(|c| (c.status, c.reason))
}

fn refused(code: i64, subcode: Option<i64>, message: &str) -> Failure {
    let mut refusal = refusal(code, subcode, "T1");
    refusal.message = message.into();
    refusal.class = Class::Credentials;
    Failure::Refused(refusal)
}

fn in_days(days: i64) -> Option<Timestamp> {
    Some(now() + SignedDuration::from_hours(24 * days))
}

#[test]
fn a_working_token_makes_a_portfolio_ready() {
    let assessment = Case::new().assess();
    assert_eq!(verdict(&assessment, Ready), Some((True, Reason::Usable)));
    assert_eq!(verdict(&assessment, CredentialsValid), Some((True, Reason::TokenAccepted)));
    assert_eq!(verdict(&assessment, IdentityConfirmed), Some((True, Reason::IdentityNotCheckable)));
    assert_eq!(verdict(&assessment, BusinessVerified), Some((True, Reason::BusinessIsVerified)));
    assert_eq!(assessment.view.credential_version.as_deref(), Some("v1"));
    assert_eq!(assessment.view.hold, None);
    assert!(assessment.accept_offered);
    assert_eq!(assessment.next, later(5));
}

/// `doctor` says of an app, whose secret is known, what its own webhook lacks.
#[test]
fn the_link_of_the_app_tells_what_its_own_webhook_lacks() {
    const OWN: &str = "https://hooks.example/wa";
    let live = |url: Option<&str>, is_active: Option<bool>, fields: &[&str]| {
        Some(AppSubscription {
            callback_url: url.map(str::to_owned),
            is_active,
            fields: fields.iter().map(|&field| field.to_owned()).collect(),
        })
    };
    let wants = || DesiredAppWebhook {
        callback_url: OWN.into(),
        verify_token: SecretKey { name: "hook".into(), key: "token".into() },
        fields: vec!["messages".into(), "account_update".into()],
        adopt: false,
    };
    let (all, both) = (["messages"], ["account_update", "messages"]);
    for (what, shown, wanted, mark, says) in [
        ("none", None, None, Mark::Warn, "it has no webhook of its own"),
        ("no address", live(None, None, &all), None, Mark::Warn, "it has no webhook of its own"),
        (
            "well",
            live(Some(OWN), Some(true), &all),
            None,
            Mark::Ok,
            "its webhook is https://hooks.example/wa",
        ),
        ("off", live(Some(OWN), Some(false), &all), None, Mark::Warn, "and it is not active"),
        ("deaf", live(Some(OWN), Some(true), &["flows"]), None, Mark::Warn, "and it is not told of messages"),
        ("as wanted", live(Some(OWN), None, &both), Some(wants()), Mark::Ok, "its webhook is"),
        (
            "elsewhere, and deaf to one",
            live(Some("https://other.example/"), None, &all),
            Some(wants()),
            Mark::Warn,
            "it is not https://hooks.example/wa, it is not told of account_update",
        ),
    ] {
        let mut case = Case::new();
        case.desired.app_secret = Some(SecretKey { name: "acme-app".into(), key: "appSecret".into() });
        case.desired.app_webhook = wanted;
        case.observed.app_secret = present("1");
        case.observed.app_webhook = Fact::Known(shown);
        let assessment = case.assess();
        let of = OfPortfolio { desired: &case.desired, observed: &case.observed, assessment: &assessment };
        let links = of_portfolio(of).links;
        let link = links.iter().find(|link| link.kind == LinkKind::App).unwrap();
        assert_eq!(link.mark, mark, "{what}: {link:?}");
        assert!(link.read.contains(says), "{what}: {link:?}");
    }
}

#[test]
fn a_quiet_look_changes_nothing() {
    let mut case = Case::new();
    let first = case.settle();
    let second = case.quiet().assess();
    assert_eq!(second.conditions, first.conditions);
    assert_eq!(second.view, first.view);
}

// Which errors speak of the credentials.

#[rstest]
#[case(0, None, "", Reason::TokenInvalid)]
#[case(102, None, "", Reason::TokenInvalid)]
#[case(190, None, "", Reason::TokenInvalid)]
#[case(190, Some(458), "", Reason::TokenInvalid)]
#[case(190, Some(460), "", Reason::TokenInvalid)]
#[case(190, Some(463), "", Reason::TokenExpired)]
#[case(104, None, "", Reason::TokenInvalid)]
#[case(100, None, "API calls from the server require an appsecret_proof argument", Reason::AppSecretWrong)]
fn dead_credentials_are_said_wherever_meta_says_it(
    #[case] code: i64,
    #[case] subcode: Option<i64>,
    #[case] message: &str,
    #[case] reason: Reason,
) {
    let mut case = Case::new();
    case.settle();
    let mut asked = case.clone();
    asked.observed.token = Fact::Unknown(refused(code, subcode, message));
    assert_eq!(verdict(&asked.assess(), CredentialsValid), Some((False, reason)));
    let mut read = case.quiet();
    read.observed.business = Fact::Unknown(refused(code, subcode, message));
    let assessment = read.assess();
    assert_eq!(verdict(&assessment, Ready), Some((False, reason)));
    assert_eq!(assessment.view.hold.as_ref().map(|h| h.reason), Some(reason));
    assert_eq!(assessment.view.credential_version, None);
    assert_eq!(verdict(&assessment, Stalled), None);
}

#[rstest]
#[case(104, "", "signature")]
#[case(100, "Invalid appsecret_proof provided in the API argument", "leave appSecretRef out")]
fn with_an_app_secret_a_wrong_signature_is_its_fault(
    #[case] code: i64,
    #[case] message: &str,
    #[case] remedy: &str,
) {
    let mut case = Case::new();
    case.desired.app_secret = Some(SecretKey { name: "acme-app".into(), key: "appSecret".into() });
    case.observed.app_secret = present("1");
    case.observed.token = Fact::Unknown(refused(code, None, message));
    let assessment = case.assess();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((False, Reason::AppSecretWrong)));
    assert!(assessment.conditions.get(CredentialsValid).unwrap().message.contains(remedy));
}

#[rstest]
#[case(Failure::NoAnswer("timed out".into()))]
#[case(Failure::Throttled(later(5)))]
#[case(refused(200, None, "no permission"))]
#[case(refused(10, None, "no permission"))]
#[case(refused(3, None, "no capability"))]
#[case(refused(100, None, "something else"))]
#[case(refused(2, None, "down"))]
fn no_other_error_touches_the_credentials(#[case] failure: Failure) {
    let mut case = Case::new();
    let first = case.settle();
    case.observed.token = Fact::Unknown(failure.clone());
    case.observed.business = Fact::Unknown(failure.clone());
    case.observed.owned = Fact::Unknown(Failure::NoAnswer(String::new()));
    let assessment = case.assess();
    assert_eq!(assessment.conditions, first.conditions);
    assert_eq!(assessment.view, first.view);
}

#[test]
fn before_the_first_look_nothing_is_judged_and_nobody_is_waited_for() {
    let mut case = Case::new();
    case.desired.expect_name = Some("Acme Ltda".into());
    case.observed = PortfolioObserved::default();
    let assessment = case.assess();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((Unknown, Reason::NotObservedYet)));
    assert_eq!(verdict(&assessment, IdentityConfirmed), Some((Unknown, Reason::NotObservedYet)));
    assert_eq!(verdict(&assessment, Ready), Some((Unknown, Reason::PortfolioNotReadYet)));
    assert_eq!(verdict(&assessment, Reconciling), Some((True, Reason::PortfolioNotReadYet)));
    assert_eq!(assessment.waiting_for, []);
}

#[test]
fn nothing_known_is_unknown_and_holds_channels() {
    let mut case = Case::new();
    case.observed.token = Fact::Unknown(retry_failure());
    case.observed.business = Fact::Unknown(retry_failure());
    case.observed.owned = Fact::Unknown(retry_failure());
    let assessment = case.assess();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((Unknown, Reason::NotObservedYet)));
    assert_eq!(verdict(&assessment, Ready), Some((Unknown, Reason::PortfolioNotReadYet)));
    assert_eq!(verdict(&assessment, Reconciling), Some((True, Reason::PortfolioNotReadYet)));
    assert_eq!(assessment.view.hold.map(|h| h.reason), Some(Reason::PortfolioNotReadYet));
}

#[test]
fn after_a_restart_meta_being_down_leaves_a_ready_portfolio_ready() {
    let mut case = Case::new();
    case.settle();
    case.view = None;
    case.observed.in_use = None;
    case.observed.token = Fact::Unknown(retry_failure());
    let assessment = case.assess();
    assert_eq!(verdict(&assessment, Ready), Some((True, Reason::Usable)));
    assert!(!assessment.accept_offered);
    assert_eq!(assessment.view.hold.map(|h| h.reason), Some(Reason::PortfolioNotReadYet));
}

// Secrets.

#[rstest]
#[case(SecretFact::Missing, Reason::SecretMissing)]
#[case(SecretFact::Forbidden(String::new()), Reason::SecretForbidden)]
#[case(SecretFact::KeyMissing { version: SecretVersion { uid: "s".into(), resource_version: "1".into() } }, Reason::SecretKeyMissing)]
fn a_secret_that_cannot_be_used_is_named(#[case] secret: SecretFact, #[case] reason: Reason) {
    let mut case = Case::new();
    case.observed.access_token = secret.clone();
    case.observed.offered = None;
    case.observed.token = Fact::NotAsked;
    let assessment = case.assess();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((False, reason)));
    assert!(assessment.conditions.get(Ready).unwrap().message.contains("acme-meta"));
    assert!(matches!(assessment.view.backing(), Backing::Lost(_)), "a claim behind it is not kept for ever");
    let mut case = Case::new();
    case.desired.app_secret = Some(SecretKey { name: "acme-app".into(), key: "appSecret".into() });
    case.observed.app_secret = secret;
    assert_eq!(verdict(&case.assess(), CredentialsValid), Some((False, reason)));
}

#[rstest]
#[case(SecretFact::Missing)]
#[case(SecretFact::Forbidden(String::new()))]
fn what_was_won_stays_while_the_credentials_in_use_work(#[case] secret: SecretFact) {
    let mut case = Case::new();
    case.settle();
    case.observed.access_token = secret;
    case.observed.offered = None;
    assert_eq!(case.assess().view.backing(), Backing::Proven);
}

#[test]
fn a_text_that_meta_never_gave_is_said_to_be_malformed() {
    let malformed = || match present("1") {
        SecretFact::Present { version, .. } => {
            SecretFact::Present { version, well_formed: false, seen_before: false }
        }
        other => other,
    };
    let mut case = Case::new();
    case.observed.access_token = malformed();
    case.observed.offered = None;
    case.observed.token = Fact::NotAsked;
    let assessment = case.assess();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((False, Reason::TokenInvalid)));
    let message = &assessment.conditions.get(Ready).unwrap().message;
    assert!(message.contains("under the key token of Secret acme-meta"), "{message}");
    let mut case = Case::new();
    case.desired.app_secret = Some(SecretKey { name: "acme-app".into(), key: "appSecret".into() });
    case.observed.app_secret = malformed();
    assert_eq!(verdict(&case.assess(), CredentialsValid), Some((False, Reason::AppSecretWrong)));
}

#[test]
fn a_secret_that_could_not_be_read_now_says_nothing() {
    let mut case = Case::new();
    let first = case.settle();
    let mut case = case.quiet();
    case.observed.access_token = SecretFact::Unreadable("timed out".into());
    case.observed.offered = None;
    let assessment = case.assess();
    assert_eq!(assessment.conditions, first.conditions);
    assert_eq!(assessment.view.credential_version.as_deref(), Some("v1"));
}

#[test]
fn a_secret_that_cannot_be_read_for_long_is_told_beside_what_is_known_until_it_can_be_read() {
    let mut case = Case::new();
    let first = case.settle();
    let mut case = case.quiet();
    case.observed.access_token = SecretFact::Unreadable("timed out".into());
    case.observed.offered = None;
    let told = |case: &mut Case| {
        let condition = case.settle().conditions.get(CredentialsValid).cloned().expect("it is judged");
        ((condition.status, condition.reason), condition.message)
    };
    let first = first.conditions.get(CredentialsValid).expect("it is judged");
    let known = (first.status, first.reason);
    for (minutes, is_told) in [(0, false), (4, false), (5, true), (600, true)] {
        let (since, why) = (now(), "error decrypting key".to_owned());
        case.now = since + SignedDuration::from_mins(minutes);
        case.observed.unread = Some(Unread { since, why });
        let (stands, message) = told(&mut case);
        assert_eq!(stands, known);
        assert_eq!(message.contains("(error decrypting key)"), is_told, "{minutes}: {message}");
        assert_eq!(message.matches("cannot be read since").count(), usize::from(is_told), "{message}");
    }
    // After a restart it is as if it had begun now, and another word comes with it.
    let (_, stands) = told(&mut case);
    for minutes in [600, 610] {
        let (since, why) = (now() + SignedDuration::from_mins(600), "no answer from key store 7".to_owned());
        case.now = now() + SignedDuration::from_mins(minutes);
        case.observed.unread = Some(Unread { since, why });
        assert_eq!(told(&mut case), (known, stands.clone()), "{minutes}");
    }
    case.observed.unread = None;
    assert_eq!(told(&mut case), (known, first.message.clone()));
}

// Rotation.

#[test]
fn a_new_token_is_taken_up_once_it_was_found_to_work() {
    let mut case = Case::new();
    case.settle();
    case.observed.offered = Some("v2".into());
    case.observed.token = Fact::Unknown(retry_failure());
    let waiting = case.assess();
    assert!(!waiting.accept_offered);
    assert_eq!(waiting.view.credential_version.as_deref(), Some("v1"));
    case.observed.token = Fact::Known(token());
    let taken = case.assess();
    assert!(taken.accept_offered);
    assert_eq!(taken.view.credential_version.as_deref(), Some("v2"));
}

#[test]
fn a_new_token_that_does_not_work_leaves_the_old_one_serving() {
    let mut case = Case::new();
    case.settle();
    case.observed.offered = Some("v2".into());
    case.observed.token = Fact::Unknown(refused(190, None, "dead"));
    let assessment = case.settle();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((True, Reason::NewTokenRejected)));
    assert_eq!(verdict(&assessment, Ready), Some((True, Reason::Usable)));
    assert_eq!(assessment.view.credential_version.as_deref(), Some("v1"));
    assert_eq!(assessment.view.token, Fact::Known(token()));
    assert!(!assessment.accept_offered);
    assert_eq!(assessment.waiting_for[0].action, "ReplaceToken");
    assert_eq!(assessment.waiting_for[0].actor, Actor::PortfolioAdmin);
    let quiet = case.clone().quiet().assess();
    assert_eq!(quiet.conditions, assessment.conditions);
    assert_eq!(quiet.waiting_for, assessment.waiting_for);
    let mut back = case.quiet();
    back.observed.offered = Some("v1".into());
    assert_eq!(verdict(&back.assess(), CredentialsValid), Some((True, Reason::TokenAccepted)));
}

/// A rejected version beside one in use that works.
fn rejected() -> Case {
    let mut case = Case::new();
    case.settle();
    case.observed.offered = Some("v2".into());
    case.token().scopes.clear();
    case.observed.proof = Fact::Unknown(refused(200, None, "no permission"));
    case.settle();
    case
}

#[rstest]
#[case::checked(|o: &mut PortfolioObserved| o.token_in_use = Fact::Known(TokenFacts { expires_at: Some(now()), ..token() }))]
#[case::refused(|o: &mut PortfolioObserved| o.token_in_use = Fact::Unknown(refused(190, Some(463), "expired")))]
#[case::read(|o: &mut PortfolioObserved| o.business = Fact::Unknown(refused(190, Some(463), "expired")))]
fn a_token_that_dies_while_another_one_is_rejected_serves_no_longer(
    #[case] dies: fn(&mut PortfolioObserved),
) {
    let mut case = rejected();
    assert_eq!(verdict(&case.assess(), CredentialsValid), Some((True, Reason::NewTokenRejected)));
    dies(&mut case.observed);
    let assessment = case.settle();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((False, Reason::ScopesMissing)));
    assert_eq!(verdict(&assessment, Ready), Some((False, Reason::ScopesMissing)));
    assert_eq!(assessment.view.credential_version, None);
    assert_eq!(
        assessment.missing_scopes,
        REQUIRED_SCOPES.into_iter().chain([SCOPE_BUSINESS]).collect::<Vec<_>>()
    );
    case.observed.in_use = Some("v1".into());
    let said = case.observed.token.clone();
    let mut quiet = case.quiet();
    quiet.observed.token = said;
    let quiet = quiet.assess();
    assert_eq!(quiet.conditions, assessment.conditions, "nothing was said that would bring it back");
    assert_eq!(quiet.view.credential_version, None);
}

#[test]
fn a_rejected_token_brings_no_dead_one_back() {
    let mut case = Case::new();
    case.settle();
    case.token().expires_at = Some(now());
    assert_eq!(verdict(&case.settle(), CredentialsValid), Some((False, Reason::TokenExpired)));
    case.observed.in_use = Some("v1".into());
    case.observed.offered = Some("v2".into());
    case.observed.token = Fact::Known(TokenFacts { scopes: Vec::new(), ..token() });
    case.observed.proof = Fact::Unknown(refused(200, None, "no permission"));
    let assessment = case.settle();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((False, Reason::ScopesMissing)));
    assert_eq!(assessment.view.credential_version, None);
    // Meta accepts it again, and says so itself.
    case.observed.in_use = Some("v1".into());
    case.observed.token_in_use = Fact::Known(token());
    let assessment = case.settle();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((True, Reason::NewTokenRejected)));
    assert_eq!(assessment.view.credential_version.as_deref(), Some("v1"));
}

#[test]
fn a_token_that_dies_before_anything_is_known_of_the_next_one_is_said_to_be_dead() {
    let mut case = Case::new();
    case.settle();
    case.observed.offered = Some("v2".into());
    case.observed.token = Fact::Unknown(retry_failure());
    case.observed.token_in_use = Fact::Unknown(refused(190, Some(463), "expired"));
    let assessment = case.settle();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((False, Reason::TokenExpired)));
    assert_eq!(assessment.view.credential_version, None);
    case.observed.in_use = Some("v1".into());
    case.observed.token_in_use = Fact::NotAsked;
    assert_eq!(case.assess().conditions, assessment.conditions);
    case.observed.token_in_use = Fact::Known(token());
    assert_eq!(verdict(&case.assess(), CredentialsValid), Some((True, Reason::TokenAccepted)));
}

#[test]
fn what_was_read_with_the_old_token_says_nothing_about_the_new_one() {
    let mut case = Case::new();
    case.settle();
    let mut case = case.quiet();
    case.observed.offered = None;
    case.observed.access_token = SecretFact::Unreadable("timed out".into());
    case.observed.owned = Fact::Unknown(refused(190, None, "dead"));
    let assessment = case.assess();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((False, Reason::TokenInvalid)));
    assert_eq!(assessment.view.credential_version, None);
}

#[test]
fn after_a_restart_there_is_no_old_token_to_serve() {
    let mut case = Case::new();
    case.settle();
    case.observed.in_use = None;
    case.view = None;
    case.observed.offered = Some("v2".into());
    case.observed.token = Fact::Unknown(refused(190, None, "dead"));
    let assessment = case.assess();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((False, Reason::TokenInvalid)));
    assert_eq!(verdict(&assessment, Ready), Some((False, Reason::TokenInvalid)));
}

// Kinds of tokens, their ends and their scopes.

#[rstest]
#[case(TokenType::SystemUser, None, Some(Reason::TokenAccepted))]
#[case(TokenType::SystemUser, in_days(60), Some(Reason::TokenAccepted))]
#[case(TokenType::SystemUser, in_days(6), Some(Reason::TokenExpiresSoon))]
#[case(TokenType::User, in_days(60), Some(Reason::TokenAccepted))]
#[case(TokenType::Other("NEW".into()), None, Some(Reason::TokenAccepted))]
fn a_token_that_lasts_is_used(
    #[case] kind: TokenType,
    #[case] expires: Option<Timestamp>,
    #[case] reason: Option<Reason>,
) {
    let mut case = Case::new();
    case.token().kind = kind;
    case.token().expires_at = expires;
    let assessment = case.assess();
    assert_eq!(verdict(&assessment, CredentialsValid), reason.map(|r| (True, r)));
    assert_eq!(verdict(&assessment, Ready), Some((True, Reason::Usable)));
    let warned = reason == Some(Reason::TokenExpiresSoon);
    assert_eq!(
        assessment.waiting_for.iter().any(|w| w.expected_by == expires && w.action == "ReplaceToken"),
        warned
    );
}

#[rstest]
#[case(TokenType::User, in_days(6), Reason::TokenTypeNotUsable)]
#[case(TokenType::Page, None, Reason::TokenTypeNotUsable)]
#[case(TokenType::App, None, Reason::TokenTypeNotUsable)]
#[case(TokenType::SystemUser, in_days(0), Reason::TokenExpired)]
#[case(TokenType::User, in_days(-1), Reason::TokenExpired)]
fn a_token_that_cannot_last_is_refused(
    #[case] kind: TokenType,
    #[case] expires: Option<Timestamp>,
    #[case] reason: Reason,
) {
    let mut case = Case::new();
    case.token().kind = kind;
    case.token().expires_at = expires;
    assert_eq!(verdict(&case.assess(), CredentialsValid), Some((False, reason)));
}

#[test]
fn a_token_that_meta_calls_invalid_says_what_meta_says() {
    let mut case = Case::new();
    case.token().is_valid = false;
    case.token().error = Some(refusal(190, Some(460), "T1"));
    let assessment = case.assess();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((False, Reason::TokenInvalid)));
    let message = &assessment.conditions.get(Ready).unwrap().message;
    assert!(message.contains("password") && message.contains("code 190, subcode 460"), "{message}");
}

/// What a read that needs the scope came to.
fn denied() -> Failure {
    refused(200, None, "Requires business_management permission to manage the object")
}

#[rstest]
#[case::shown("whatsapp_business_management", Fact::Known(()), Some((True, Reason::TokenAccepted)))]
#[case::shown("whatsapp_business_messaging", Fact::Known(()), Some((True, Reason::TokenAccepted)))]
#[case::denied("whatsapp_business_management", Fact::Unknown(denied()), Some((False, Reason::ScopesMissing)))]
#[case::denied("whatsapp_business_messaging", Fact::Unknown(denied()), Some((False, Reason::ScopesMissing)))]
#[case::lost("whatsapp_business_management", Fact::Unknown(Failure::NoAnswer("time-out".into())), None)]
#[case::facts_alone("business_management", Fact::NotAsked, Some((True, Reason::TokenAccepted)))]
fn a_scope_that_is_not_listed_is_a_suspicion_and_a_read_decides(
    #[case] scope: &str,
    #[case] proof: Fact<()>,
    #[case] expected: Option<(Truth, Reason)>,
) {
    let mut case = Case::new();
    case.token().scopes.retain(|s| s != scope);
    case.observed.proof = proof;
    let assessment = case.assess();
    let found = verdict(&assessment, CredentialsValid).filter(|(status, _)| *status != Truth::Unknown);
    assert_eq!(found, expected);
    assert_eq!(assessment.missing_scopes, [scope]);
    let is_usable = expected.is_some_and(|(status, _)| status == True);
    assert_eq!(assessment.accept_offered, is_usable, "nothing is used that is not known to work");
}

#[test]
fn a_token_in_use_that_lists_a_scope_no_more_is_judged_by_the_lists_that_it_reads() {
    let mut case = Case::new();
    case.settle();
    case.observed.in_use = Some("v1".into());
    case.token().scopes.retain(|s| s != "whatsapp_business_messaging");
    assert_eq!(verdict(&case.assess(), CredentialsValid), Some((True, Reason::TokenAccepted)));
    case.observed.owned = Fact::Unknown(denied());
    case.observed.client = Fact::Unknown(denied());
    assert_eq!(verdict(&case.assess(), CredentialsValid), Some((False, Reason::ScopesMissing)));
    // Without the scope for lists their refusal proves nothing about the others.
    case.token().scopes.retain(|s| s != SCOPE_BUSINESS);
    assert_eq!(verdict(&case.assess(), CredentialsValid), Some((True, Reason::TokenAccepted)));
}

#[rstest]
#[case::shown(Fact::Known(()), true)]
#[case::denied(Fact::Unknown(denied()), true)]
#[case::lost(Fact::Unknown(Failure::NoAnswer("time-out".into())), false)]
#[case::not_asked(Fact::NotAsked, false)]
fn a_token_that_may_not_inspect_itself_is_taken_when_a_read_is_answered(
    #[case] proof: Fact<()>,
    #[case] is_taken: bool,
) {
    let mut case = Case::new();
    case.observed.token = Fact::Unknown(refused(100, None, "may not be inspected"));
    for fact in [&mut case.observed.owned, &mut case.observed.client] {
        *fact = Fact::NotAsked;
    }
    case.observed.proof = proof;
    let assessment = case.assess();
    assert_eq!(assessment.accept_offered, is_taken);
    let condition = assessment.conditions.get(CredentialsValid);
    assert_eq!(condition.is_some_and(|c| c.status == True), is_taken);
    assert_eq!(condition.is_some_and(|c| c.message.contains("give appId and appSecretRef")), is_taken);

    case.observed.proof = Fact::Unknown(refused(190, Some(467), "revoked"));
    assert_eq!(verdict(&case.assess(), CredentialsValid), Some((False, Reason::TokenInvalid)));
}

#[test]
fn a_token_that_works_is_not_given_up_for_one_of_which_only_a_refusal_is_known() {
    let mut case = Case::new();
    case.settle();
    case.observed.in_use = Some("v1".into());
    case.observed.offered = Some("v2".into());
    case.observed.token = Fact::Unknown(refused(100, None, "may not be inspected"));
    case.observed.proof = Fact::Unknown(denied());
    let assessment = case.settle();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((True, Reason::NewTokenRejected)));
    assert!(!assessment.accept_offered);

    // Nor is a rejected one taken for the one that worked, after a restart.
    let mut page = Case::new();
    page.settle();
    page.observed.in_use = Some("v1".into());
    page.observed.offered = Some("v2".into());
    page.token().kind = TokenType::Page;
    assert_eq!(verdict(&page.settle(), CredentialsValid), Some((True, Reason::NewTokenRejected)));
    page.observed.in_use = None;
    assert_eq!(verdict(&page.assess(), CredentialsValid), Some((False, Reason::TokenTypeNotUsable)));
}

#[test]
fn a_persons_token_that_is_in_use_works_until_it_ends() {
    let mut case = Case::new();
    case.token().kind = TokenType::User;
    case.settle();
    for in_use in [Some("v1".to_owned()), None] {
        case.observed.in_use = in_use;
        case.token().expires_at = in_days(2);
        let assessment = case.assess();
        assert_eq!(verdict(&assessment, CredentialsValid), Some((True, Reason::TokenExpiresSoon)));
        assert!(assessment.view.credential_version.is_some());
    }
    case.observed.offered = Some("v2".into());
    case.observed.in_use = Some("v1".into());
    assert_eq!(verdict(&case.assess(), CredentialsValid), Some((True, Reason::NewTokenRejected)));
}

#[test]
fn a_token_of_another_app_is_refused() {
    let mut case = Case::new();
    case.desired.app = Some("200000000000002".into());
    let assessment = case.assess();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((False, Reason::AppSecretWrong)));
}

// Identity.

#[rstest]
#[case("Acme Ltda", True, Reason::IdentityMatches)]
#[case("ACME  ltda", True, Reason::IdentityMatches)]
#[case("Acme GmbH", False, Reason::IdentityMismatch)]
fn the_expected_name_is_compared(#[case] expected: &str, #[case] status: Truth, #[case] reason: Reason) {
    let mut case = Case::new();
    case.desired.expect_name = Some(expected.into());
    let assessment = case.assess();
    assert_eq!(verdict(&assessment, IdentityConfirmed), Some((status, reason)));
    assert_eq!(assessment.view.hold.is_some(), status == False);
    assert_eq!(assessment.conditions.is(Stalled, True), status == False);
}

#[test]
fn without_business_management_portfolio_facts_stay_unknown_and_hold_nothing_up() {
    let mut case = Case::new();
    case.desired.expect_name = Some("Acme Ltda".into());
    case.observed.business = Fact::Unknown(refused(200, None, "no permission"));
    let assessment = case.assess();
    assert_eq!(verdict(&assessment, IdentityConfirmed), Some((Unknown, Reason::IdentityNotCheckable)));
    assert_eq!(verdict(&assessment, BusinessVerified), Some((Unknown, Reason::BusinessNotReadable)));
    assert_eq!(verdict(&assessment, Ready), Some((True, Reason::Usable)));
}

#[rstest]
#[case("+5511912345678", "phone number")]
#[case("300000000000001", "WhatsApp Business Account")]
#[case("500000000000009", "no access")]
fn an_id_that_is_no_portfolio_is_said_to_be_what_it_may_be(#[case] id: &str, #[case] text: &str) {
    let mut case = Case::new();
    case.desired.business = id.into();
    case.token().targets = Some(vec![ACCOUNT.into()]);
    case.observed.business = Fact::Unknown(refused(100, Some(33), "Unsupported get request"));
    let assessment = case.settle();
    assert_eq!(verdict(&assessment, IdentityConfirmed), Some((False, Reason::WrongBusiness)));
    let message = &assessment.conditions.get(Ready).unwrap().message;
    assert!(message.contains(id) && message.contains(text), "{message}");
    assert_eq!(verdict(&assessment, CredentialsValid), Some((True, Reason::TokenAccepted)));
    assert_eq!(case.quiet().assess().conditions, assessment.conditions);
}

// Reach.

#[test]
fn what_ready_means_of_a_portfolio_asks_for_nothing_that_a_portfolio_has_not() {
    let meaning = Reason::Usable.row().meaning;
    assert!(meaning.starts_with("The object can be used.") && meaning.contains("Of a channel"), "{meaning}");
}

#[test]
fn owned_and_shared_accounts_are_in_reach() {
    let mut case = Case::new();
    case.observed.client = Fact::Known([Reachable { owned: Some(false), ..reachable(OTHER_ACCOUNT) }].into());
    let Reach::Accounts(list) = case.assess().view.reach else { panic!("the reach is not known") };
    assert_eq!(list.iter().map(|a| a.owned).collect::<Vec<_>>(), [Some(true), Some(false)]);
}

#[test]
fn a_target_beside_the_whole_list_of_owned_accounts_is_a_shared_one() {
    let mut case = Case::new();
    case.observed.client = Fact::Unknown(refused(200, None, "no permission"));
    case.token().targets = Some(vec![OTHER_ACCOUNT.into(), ACCOUNT.into()]);
    let Reach::Accounts(list) = case.assess().view.reach else { panic!("the reach is not known") };
    assert_eq!(list.iter().map(|a| a.owned).collect::<Vec<_>>(), [Some(true), Some(false)]);
}

#[test]
fn a_token_that_may_not_list_reaches_its_targets() {
    let mut case = Case::new();
    case.observed.owned = Fact::Unknown(refused(200, None, "no permission"));
    case.observed.client = Fact::Unknown(refused(200, None, "no permission"));
    assert_eq!(case.assess().view.reach, Reach::Unknown);
    assert_eq!(verdict(&case.assess(), Ready), Some((True, Reason::Usable)));
    case.token().targets = Some(vec![OTHER_ACCOUNT.into(), ACCOUNT.into()]);
    let Reach::Accounts(list) = case.assess().view.reach else { panic!("the reach is not known") };
    assert_eq!(list.iter().map(|a| a.id.as_str()).collect::<Vec<_>>(), [ACCOUNT, OTHER_ACCOUNT]);
    assert!(list.iter().all(|a| a.owned.is_none()));
}

/// As a list has it that was read to its end.
fn list(ids: &[&str], owned: bool) -> Fact<Arc<[Reachable]>> {
    Fact::Known(ids.iter().map(|id| reachable_as(id, Some(owned))).collect())
}

fn reached(assessment: &PortfolioAssessment) -> Vec<&str> {
    match &assessment.view.reach {
        Reach::Accounts(list) | Reach::Owned(list) => list.iter().map(|a| a.id.as_str()).collect(),
        reach => panic!("{reach:?}"),
    }
}

#[test]
fn facts_come_one_after_the_other_and_each_is_told_as_it_comes() {
    let mut case = Case::new();
    case.observed.business = Fact::NotAsked;
    case.observed.owned = Fact::NotAsked;
    case.observed.client = Fact::NotAsked;
    let credential = case.settle();
    assert_eq!(verdict(&credential, CredentialsValid), Some((True, Reason::TokenAccepted)));
    assert_eq!(verdict(&credential, Ready), Some((True, Reason::Usable)), "channels that name an account");
    assert_eq!(verdict(&credential, BusinessVerified).map(|v| v.0), Some(Unknown));
    assert_eq!(credential.view.reach, Reach::Unread, "not read yet is not none");
    assert!(credential.view.credential_version.is_some() && credential.view.hold.is_none());

    let mut case = case.quiet();
    case.observed.owned = list(&["3", "1"], true);
    let owned = case.settle();
    assert!(matches!(owned.view.reach, Reach::Owned(_)));
    assert_eq!(reached(&owned), ["1", "3"]);
    case.observed.client = list(&["2"], false);
    let all = case.settle();
    assert!(matches!(all.view.reach, Reach::Accounts(_)));
    assert_eq!(reached(&all), ["1", "2", "3"]);
}

#[test]
fn no_account_of_its_own_is_no_alarm_before_the_shared_ones_are_read() {
    let mut case = Case::new();
    case.observed.owned = list(&[], true);
    case.observed.client = Fact::NotAsked;
    assert_eq!(verdict(&case.settle(), Ready), Some((True, Reason::Usable)));
    case.observed.client = list(&[], false);
    assert_eq!(verdict(&case.settle(), Ready), Some((False, Reason::NoAccountInReach)));
}

#[test]
fn a_list_that_is_read_anew_opens_what_is_new_and_closes_nothing_until_it_is_whole() {
    let mut case = Case::new();
    case.observed.owned = list(&["1", "2"], true);
    case.settle();
    case.observed.seen = vec![reachable("3")];
    assert_eq!(reached(&case.settle()), ["1", "2", "3"]);
    case.observed.owned = Fact::NotAsked;
    case.observed.seen = Vec::new();
    assert_eq!(reached(&case.clone().quiet().settle()), ["1", "2", "3"], "between two looks");
    case.observed.owned = list(&["1", "3"], true);
    assert_eq!(reached(&case.settle()), ["1", "3"]);
}

#[test]
fn with_a_new_credential_the_accounts_of_the_old_one_stand_until_both_lists_are_read() {
    let mut case = Case::new();
    case.observed.owned = list(&["1", "2"], true);
    case.observed.client = list(&["5"], false);
    case.settle();
    case.observed.owned = list(&["1", "3"], true);
    case.observed.client = Fact::NotAsked;
    assert_eq!(reached(&case.settle()), ["1", "2", "3", "5"]);
    case.observed.client = list(&[], false);
    assert_eq!(reached(&case.settle()), ["1", "3"]);
}

#[test]
fn a_list_of_shared_accounts_that_is_refused_for_an_unknown_cause_holds_no_owned_one_up() {
    let mut case = Case::new();
    case.observed.client = Fact::NotAsked;
    case.settle();
    let mut unknown = refusal(987_654, None, "T1");
    unknown.class = Class::Person;
    case.observed.client = Fact::Unknown(Failure::Refused(unknown));
    assert!(matches!(case.settle().view.reach, Reach::Accounts(_)));
}

#[test]
fn thousands_of_accounts_are_joined_in_no_time() {
    let ids: Vec<String> = (0..5_000).map(|id| format!("3{id:014}")).collect();
    let all: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut case = Case::new();
    case.observed.owned = list(&all, true);
    case.observed.client = list(&all, false);
    case.observed.seen = all.iter().map(|id| reachable(id)).collect();
    let assessment = case.settle();
    assert_eq!(reached(&assessment), all);
    let Reach::Accounts(list) = &assessment.view.reach else { panic!("they are all read") };
    assert!(list.iter().all(|account| account.owned == Some(true)), "one that is in both lists is its own");
}

#[test]
fn a_list_that_could_not_be_read_now_leaves_the_reach_as_it_was() {
    let mut case = Case::new();
    let first = case.settle();
    case.observed.owned = Fact::Unknown(retry_failure());
    assert_eq!(case.assess().view.reach, first.view.reach);
}

#[test]
fn a_blocked_app_is_one_reason_of_the_portfolio_and_takes_nothing_away() {
    let mut case = Case::new();
    let before = case.settle();
    let blocked =
        Refusal { said: Some(Said::AppBlocked), class: Class::WaitUntil, ..refusal(200, None, "T1") };
    let mut case = case.quiet();
    case.observed.app_blocked = Some(blocked.clone());
    case.observed.business = Fact::Unknown(Failure::Refused(blocked.clone()));
    case.observed.owned = Fact::Unknown(Failure::Refused(blocked.clone()));
    case.observed.client = Fact::Unknown(Failure::Throttled(later(30)));
    let during = case.settle();
    assert_eq!(verdict(&during, Ready), Some((False, Reason::AppBlocked)));
    assert_eq!(during.view.hold.as_ref().map(|hold| hold.reason), Some(Reason::AppBlocked));
    assert_eq!(during.waiting_for[0].action, "UnblockApp");
    assert_eq!(during.waiting_for[0].actor, Actor::PortfolioAdmin);
    for kind in
        [ConditionType::CredentialsValid, ConditionType::IdentityConfirmed, ConditionType::BusinessVerified]
    {
        assert_eq!(during.conditions.get(kind), before.conditions.get(kind), "{kind:?}");
    }
    assert_eq!((&during.view.reach, &during.view.facts), (&before.view.reach, &before.view.facts));
    assert_eq!(during.view.credential_version, before.view.credential_version);
    case.observed.app_blocked = None;
    let after = case.quiet().assess();
    assert_eq!(verdict(&after, Ready), Some((True, Reason::Usable)));
    assert_eq!((after.view.hold, after.waiting_for.len()), (None, 0));
}

#[test]
fn a_portfolio_without_accounts_waits_for_its_admin() {
    let mut case = Case::new();
    case.observed.owned = Fact::Known([].into());
    let assessment = case.settle();
    assert_eq!(verdict(&assessment, Ready), Some((False, Reason::NoAccountInReach)));
    assert_eq!(verdict(&assessment, Stalled), None);
    let wait = &assessment.waiting_for[0];
    assert_eq!(
        (wait.actor, wait.action.as_str(), wait.since),
        (Actor::PortfolioAdmin, "CreateAccount", now())
    );
    assert!(wait.url.as_ref().unwrap().contains(BUSINESS));
    assert_eq!(case.quiet().assess().waiting_for, assessment.waiting_for);
}

#[test]
fn another_trace_of_the_same_error_changes_nothing() {
    let mut case = Case::new();
    case.observed.token = Fact::Unknown(Failure::Refused(refusal(190, None, "T1")));
    let first = case.settle();
    case.observed.token = Fact::Unknown(Failure::Refused(refusal(190, None, "T2")));
    case.now = later(1);
    assert_eq!(case.assess().conditions, first.conditions);
}

// Access.

#[test]
fn a_namespace_uses_what_access_grants_it_and_its_own_whole() {
    let entry = |namespaces: &[&str], accounts: Option<&[&str]>| Access {
        namespaces: namespaces.iter().collect(),
        accounts: accounts.map(|list| list.iter().collect()),
    };
    let access =
        [entry(&["shop"], Some(&[ACCOUNT])), entry(&["*"], Some(&[OTHER_ACCOUNT])), entry(&["all"], None)];
    assert_eq!(granted("own", &access, "own"), Some(None));
    assert_eq!(granted("own", &access, "all"), Some(None));
    assert_eq!(granted("own", &access, "else"), Some(Some(vec![OTHER_ACCOUNT.into()])));
    assert_eq!(granted("own", &access, "shop"), Some(Some(vec![ACCOUNT.into(), OTHER_ACCOUNT.into()])));
    assert_eq!(granted("own", &access[..1], "else"), None);
}

#[test]
fn a_token_that_expires_soon_is_told_with_its_date_between_two_checks_too() {
    let mut case = Case::new();
    case.token().expires_at = in_days(6);
    case.settle();
    let told = case.settle();
    let quiet = case.quiet().assess();
    assert_eq!(quiet.waiting_for, told.waiting_for);
    assert_eq!(quiet.conditions, told.conditions);
}

#[test]
fn an_error_that_nobody_knows_takes_no_account_out_of_reach() {
    let mut case = Case::new();
    let first = case.settle();
    let mut unknown = refusal(987_654, None, "T1");
    unknown.class = Class::Person;
    case.observed.owned = Fact::Unknown(Failure::Refused(unknown));
    assert_eq!(case.assess().view.reach, first.view.reach);
}

#[test]
fn accounts_of_its_own_that_may_not_be_listed_are_not_out_of_reach() {
    let mut case = Case::new();
    case.token().targets = None;
    case.observed.owned = Fact::Unknown(refused(200, None, ""));
    case.observed.client = Fact::Known([Reachable { owned: Some(false), ..reachable(OTHER_ACCOUNT) }].into());
    assert_eq!(case.assess().view.reach, Reach::Unknown);
}

#[test]
fn a_dead_credential_stays_out_of_use_between_two_checks() {
    let mut case = Case::new();
    case.settle();
    case.observed.token = Fact::Unknown(refused(190, None, ""));
    let dead = case.settle();
    assert_eq!(dead.view.credential_version, None);
    case.observed.in_use = Some("v1".into());
    let mut case = case.quiet();
    assert_eq!(case.assess().view, dead.view);
    case.observed.token = Fact::Known(token());
    let mended = case.assess();
    assert_eq!(mended.view.credential_version, Some("v1".into()));
    assert_eq!(verdict(&mended, CredentialsValid), Some((True, Reason::TokenAccepted)));
}

#[test]
fn a_status_that_was_not_written_does_not_undo_what_this_process_found() {
    let mut case = Case::new();
    let secret = std::mem::replace(&mut case.observed.access_token, SecretFact::Missing);
    case.observed.token = Fact::NotAsked;
    case.observed.offered = None;
    let standing = case.settle();
    assert_eq!(verdict(&standing, CredentialsValid), Some((False, Reason::SecretMissing)));
    case.observed.access_token = secret;
    case.observed.token = Fact::Known(token());
    case.observed.offered = Some("v1".into());
    case.settle();
    case.before = standing.conditions;
    let assessment = case.quiet().assess();
    assert_eq!(verdict(&assessment, CredentialsValid), Some((True, Reason::TokenAccepted)));
    assert_eq!(verdict(&assessment, Ready), Some((True, Reason::Usable)));
}

#[test]
fn a_spec_that_cannot_be_understood_names_its_portfolio() {
    let view = PortfolioView::spec_invalid("shop-br", "acme", "x", "spec.businessId is not an id");
    let hold = view.hold.expect("a hold");
    assert_eq!(hold.reason, Reason::SpecInvalid);
    assert_eq!(hold.message, "WhatsAppPortfolio shop-br/acme: spec.businessId is not an id");
    assert!(view.credential_version.is_none());
}

#[test]
fn a_channel_below_a_held_portfolio_waits_for_whom_the_portfolio_waits() {
    let case = |change: fn(&mut Case)| {
        let mut case = Case::new();
        change(&mut case);
        case
    };
    let mut held = vec![
        case(|c| c.observed.access_token = SecretFact::Missing),
        case(|c| {
            let version = SecretVersion { uid: "s".into(), resource_version: "1".into() };
            c.observed.access_token = SecretFact::KeyMissing { version };
        }),
        case(|c| c.observed.access_token = SecretFact::Forbidden(String::new())),
        case(|c| c.token().is_valid = false),
        case(|c| c.token().expires_at = Some(now())),
        case(|c| c.token().kind = TokenType::Page),
        case(|c| {
            c.token().scopes.clear();
            c.observed.proof = Fact::Unknown(denied());
        }),
        case(|c| c.desired.expect_name = Some("Another".into())),
        case(|c| c.observed.owned = Fact::Known([].into())),
        case(|c| c.observed.token = Fact::Unknown(Failure::NoAnswer("time-out".into()))),
    ];
    let mut signature = Case::new();
    signature.desired.app_secret = Some(SecretKey { name: "acme-app".into(), key: "appSecret".into() });
    signature.observed.app_secret = present("1");
    signature.observed.token = Fact::Unknown(refused(104, None, "no"));
    let mut id = Case::new();
    id.observed.business = Fact::Unknown(refused(100, Some(33), "no"));
    held.extend([signature, id]);
    let mut told = std::collections::BTreeSet::new();
    for case in held {
        let portfolio = case.assess();
        let hold = portfolio.view.hold.clone().unwrap();
        let world = crate::engine::fixture::world().portfolio(|view| view.hold = Some(hold.clone()));
        let plan = world.plan();
        let given = Given {
            desired: &world.desired,
            observed: &world.observed,
            plan: &plan,
            outcome: None,
            before: &Before::default(),
            limits: &world.limits,
            now: world.now,
        };
        let channel = assess(&given, &mut plan.memory.clone());
        let waits = |list: &[WaitingFor]| -> Vec<_> {
            list.iter().map(|w| (w.actor, w.action.clone(), w.url.clone(), w.if_ignored.clone())).collect()
        };
        assert_eq!(waits(&channel.waiting_for), waits(&portfolio.waiting_for), "{}", hold.reason.as_str());
        told.insert(hold.reason);
    }
    let mut all: std::collections::BTreeSet<_> = crate::engine::reason::TABLE
        .iter()
        .filter(|row| matches!(row.kind, ReasonKind::Person | ReasonKind::Stalled))
        .filter(|row| matches!(row.conditions.first(), Some(CredentialsValid | IdentityConfirmed)))
        .map(|row| row.reason)
        .collect();
    all.extend([Reason::NoAccountInReach, Reason::PortfolioNotReadYet]);
    assert_eq!(told, all, "every hold is tried");
}
