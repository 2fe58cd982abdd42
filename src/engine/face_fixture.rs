//! Small builders for the tests of the engine's face: a channel that is ready, to be spoilt one thing at a time.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use crate::engine::{
    assess::{Given, assess},
    plan::Plan,
    value::{
        block::Block,
        condition::{Condition, Truth},
        condition_type::ConditionType,
        desired::{
            CodeRequest, Connection, Desired, DesiredConsents, DesiredPortfolio, DesiredProfile, Management,
            PinPolicy, PortfolioRef, ReadyWhen, Registration, SecretKey, Verification, VerificationMethod,
            Webhook, WhileNameInReview,
        },
        failure::{Class, Failure, Refusal, Scope},
        id::{
            AccountMode, AccountStatus, Fact, Field, NameStatus, NumberId, NumberStatus, PlatformType,
            ReviewStatus, Sendability, TokenType, VerificationStatus,
        },
        limits::Limits,
        memory::Memory,
        observed::{
            Account, Claim, Health, HealthEntity, HealthError, ListState, Number, Observed, PortfolioState,
            ProcessFacts, Searched, WebhookConfiguration,
        },
        outcome::Outcome,
        phone::E164,
        portfolio::{BusinessFacts, PortfolioView, Reach, Reachable, TokenFacts},
        reason::Reason,
        secret::SecretFact,
        status::{Assessment, Before},
        step::{Cause, Planned, Step, StepKind},
    },
};

pub const ACCOUNT: &str = "300000000000001";
pub const OTHER_ACCOUNT: &str = "300000000000002";
pub const BUSINESS: &str = "500000000000001";
pub const NUMBER: &str = "100000000000001";
pub const HOOK: &str = "https://bot.acme.example/wa";

pub fn now() -> Timestamp {
    "2026-05-04T12:00:00Z".parse().expect("a time")
}

pub fn later(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

fn secret(name: &str, key: &str) -> SecretKey {
    SecretKey { name: name.into(), key: key.into() }
}

pub fn desired() -> Desired {
    Desired {
        name: "support-br".into(),
        namespace: "shop-br".into(),
        uid: "u1".into(),
        generation: 3,
        portfolio: PortfolioRef { namespace: "shop-br".into(), name: "acme".into() },
        account: Some(ACCOUNT.into()),
        number: E164::parse("+5511912345678").expect("a number"),
        display_name: "Acme Suporte".into(),
        connection: Connection::CloudApi,
        verification: Verification {
            method: VerificationMethod::Auto,
            language: "pt_BR".into(),
            request: CodeRequest::OnDemand,
            code_secret: secret("support-br-code", "code"),
        },
        registration: Registration {
            pin_secret: secret("support-br-pin", "pin"),
            pin_policy: PinPolicy::Keep,
            while_name_in_review: WhileNameInReview::TryOnce,
        },
        profile: DesiredProfile::default(),
        time_zone: None,
        webhook: None,
        ready_when: ReadyWhen::Registered,
        management: Management::Full,
        suspend: false,
        consents: DesiredConsents::default(),
    }
}

pub fn webhook() -> Webhook {
    Webhook { callback_url: HOOK.into(), verify_token: secret("bot", "verify") }
}

pub fn desired_portfolio() -> DesiredPortfolio {
    DesiredPortfolio {
        name: "acme".into(),
        namespace: "shop-br".into(),
        generation: 2,
        business: BUSINESS.into(),
        access_token: secret("acme-meta", "token"),
        app_secret: None,
        app: None,
        expect_name: None,
        expect_country: None,
        access: Vec::new(),
    }
}

pub fn token() -> TokenFacts {
    TokenFacts {
        is_valid: true,
        kind: TokenType::SystemUser,
        expires_at: None,
        data_access_expires_at: None,
        app: Some("200000000000001".into()),
        scopes: ["business_management", "whatsapp_business_management", "whatsapp_business_messaging"]
            .map(String::from)
            .to_vec(),
        targets: None,
        error: None,
    }
}

pub fn business() -> BusinessFacts {
    BusinessFacts {
        name: Some("Acme Ltda".into()),
        verification: Some(VerificationStatus::Verified),
        messaging_limit: Some("TIER_2K".into()),
        primary_page: Some("Acme".into()),
    }
}

pub fn reachable(id: &str) -> Reachable {
    Reachable { id: id.into(), name: None, owned: Some(true) }
}

pub fn view() -> PortfolioView {
    PortfolioView {
        namespace: "shop-br".into(),
        name: "acme".into(),
        business: BUSINESS.into(),
        credential_version: Some("v1".into()),
        hold: None,
        token: Fact::Known(token()),
        facts: Fact::Known(business()),
        reach: Reach::Accounts(vec![reachable(ACCOUNT)]),
        expect_country: None,
        access: Vec::new(),
        throttled_until: None,
    }
}

pub fn account() -> Account {
    Account {
        id: Some(ACCOUNT.into()),
        name: Some("Acme Support".into()),
        currency: Some("BRL".into()),
        country: Some("BR".into()),
        timezone_id: Some("25".into()),
        status: Field::Is(AccountStatus::Active),
        review: Field::Is(ReviewStatus::Approved),
        owner: Some(BUSINESS.into()),
        ownership_type: Some("SELF".into()),
        funding: Field::Is("987".into()),
        health: Field::Absent,
    }
}

/// A number that is registered, approved and connected.
pub fn number() -> Number {
    let mut number = Number::bare(NumberId::new(NUMBER), "+55 11 91234-5678");
    number.status = Field::Is(NumberStatus::Connected);
    number.code = Field::Is("VERIFIED".into());
    number.platform = Field::Is(PlatformType::CloudApi);
    number.verified_name = Field::Is("Acme Suporte".into());
    number.name_status = Field::Is(NameStatus::Approved);
    number.new_name_status = Field::Is(NameStatus::None);
    number.account_mode = Field::Is(AccountMode::Live);
    number.is_on_biz_app = Field::Is(false);
    number.health = Field::Is(health(Sendability::Available, &[]));
    number.webhook =
        Field::Is(Box::new(WebhookConfiguration { number: Some(HOOK.into()), ..Default::default() }));
    number
}

/// A number that was just added.
pub fn fresh() -> Number {
    let mut number = number();
    number.status = Field::Is(NumberStatus::Pending);
    number.code = Field::Is("NOT_VERIFIED".into());
    number.platform = Field::Is(PlatformType::NotApplicable);
    number.health = Field::Absent;
    number.webhook = Field::Absent;
    number
}

pub fn entity(kind: &str, can_send: Sendability, codes: &[i64]) -> HealthEntity {
    HealthEntity {
        kind: kind.into(),
        can_send,
        info: Vec::new(),
        errors: codes
            .iter()
            .map(|code| HealthError {
                code: *code,
                description: format!("error {code}."),
                solution: "Mend it.".into(),
            })
            .collect(),
    }
}

pub fn health(can_send: Sendability, entities: &[HealthEntity]) -> Health {
    Health { can_send, entities: entities.to_vec() }
}

pub fn refusal(code: i64, subcode: Option<i64>, trace: &str) -> Refusal {
    Refusal {
        code,
        subcode,
        title: Some("Title of Meta's".into()),
        message: "Message of Meta's.".into(),
        trace_id: Some(trace.into()),
        class: Class::Person,
        scope: Scope::Channel,
        until: None,
    }
}

pub fn retry_failure() -> Failure {
    Failure::NoAnswer("timed out".into())
}

pub fn complete(number: Option<Number>) -> Searched {
    Searched {
        account: ACCOUNT.into(),
        list: ListState::Complete { begun: now() },
        numbers: number.into_iter().map(Arc::new).collect(),
    }
}

pub fn block(reason: Reason) -> Block {
    Block::new(reason, format!("held up by {}", reason.as_str()))
}

/// One pass.
#[derive(Clone)]
pub struct Case {
    pub desired: Desired,
    pub observed: Observed,
    pub plan: Plan,
    pub outcome: Option<Outcome>,
    pub memory: Memory,
    pub before: Before,
    pub limits: Limits,
    pub now: Timestamp,
}

impl Case {
    /// A look that found this number, and nothing planned.
    pub fn with(number: Number) -> Self {
        let memory = Memory {
            business: Some(BUSINESS.into()),
            account: Some(ACCOUNT.into()),
            number: Some(NUMBER.into()),
            ..Memory::default()
        };
        Self {
            desired: desired(),
            observed: Observed {
                claim: Claim::Ours { act_from: None },
                portfolio: PortfolioState::View(Arc::new(view())),
                account: Fact::Known(Arc::new(account())),
                search: vec![complete(Some(number))],
                subscribed: Fact::Known(true),
                profile: Fact::NotAsked,
                code_secret: SecretFact::NotAsked,
                pin_secret: SecretFact::NotAsked,
                verify_token: SecretFact::NotAsked,
                held: BTreeMap::new(),
                begun: now(),
                process: ProcessFacts { started: later(-60), last_success: Some(later(-5)) },
            },
            plan: Plan {
                step: None,
                block: None,
                aside: Vec::new(),
                answered: Vec::new(),
                memory: memory.clone(),
                next: later(5),
            },
            outcome: None,
            memory,
            before: Before::default(),
            limits: Limits::default(),
            now: now(),
        }
    }

    pub fn ready() -> Self {
        Self::with(number())
    }

    pub fn absent() -> Self {
        let mut case = Self::ready();
        case.observed.search = vec![complete(None)];
        case.memory.number = None;
        case
    }

    pub fn blocked(mut self, reason: Reason) -> Self {
        self.plan.block = Some(block(reason));
        self
    }

    pub fn step(mut self, step: Step) -> Self {
        self.plan.step =
            Some(Planned { step, why: "because a test wants it".into(), cause: Cause::Automatic });
        self
    }

    pub fn number(&mut self) -> &mut Number {
        Arc::make_mut(&mut self.observed.search[0].numbers[0])
    }

    pub fn account(&mut self) -> &mut Account {
        match &mut self.observed.account {
            Fact::Known(account) => Arc::make_mut(account),
            _ => panic!("the account is not known"),
        }
    }

    pub fn view(&mut self) -> &mut PortfolioView {
        match &mut self.observed.portfolio {
            PortfolioState::View(view) => Arc::make_mut(view),
            _ => panic!("there is no view"),
        }
    }

    /// Nothing could be read.
    pub fn fail_look(mut self) -> Self {
        self.observed.account = Fact::Unknown(retry_failure());
        self.observed.search = vec![Searched {
            account: ACCOUNT.into(),
            list: ListState::Failed(retry_failure()),
            numbers: Vec::new(),
        }];
        self
    }

    pub fn given(&self) -> Given<'_> {
        Given {
            desired: &self.desired,
            observed: &self.observed,
            plan: &self.plan,
            outcome: self.outcome.as_ref(),
            before: &self.before,
            limits: &self.limits,
            now: self.now,
        }
    }

    /// Judges, and checks the table of reasons on the way.
    pub fn assess(&mut self) -> Assessment {
        let mut memory = self.memory.clone();
        let assessment = assess(&self.given(), &mut memory);
        self.memory = memory;
        for condition in assessment.conditions.iter() {
            check_table(condition);
        }
        assessment
    }

    /// Judges, and takes the result as what stands before the next pass.
    pub fn settle(&mut self) -> Assessment {
        let assessment = self.assess();
        self.before = before(&assessment);
        assessment
    }
}

pub fn check_table(condition: &Condition) {
    assert!(
        condition.reason.may_be_on(condition.kind),
        "{} may not be on {}",
        condition.reason.as_str(),
        condition.kind.as_str()
    );
}

pub fn before(assessment: &Assessment) -> Before {
    Before {
        observed_generation: assessment.observed_generation,
        conditions: assessment.conditions.clone(),
        facts: assessment.facts.clone(),
        stage: Some(assessment.stage),
        waiting_for: assessment.waiting_for.clone(),
        preflight: assessment.preflight.clone(),
        drift: assessment.drift.clone(),
    }
}

impl Assessment {
    /// Status and reason of a condition.
    pub fn verdict(&self, kind: ConditionType) -> Option<(Truth, Reason)> {
        self.conditions.get(kind).map(|c| (c.status, c.reason))
    }
}

pub fn register() -> Step {
    Step::Register {
        account: ACCOUNT.into(),
        number: NUMBER.into(),
        secret: super::value::secret::SecretVersion { uid: "s".into(), resource_version: "1".into() },
        in_review: None,
    }
}

pub fn accepted(step: StepKind) -> Outcome {
    Outcome { intent: Some("i1".into()), step, at: now(), result: Ok(super::outcome::Accepted::default()) }
}
