//! One test world: a channel, its portfolio and account, what was seen of its number and what is remembered.
//!
//! A [`Case`] is a pass that was planned, to be assessed; it starts Ready and is spoilt one thing at a time. A [`World`]
//! is what a plan is made of; it starts without the number. Both are made from the same values.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::engine::{
    assess::{Given, assess},
    look::{Follows, Look, look},
    plan::{Plan, plan},
    record::{fold, intend},
    value::{
        block::Block,
        condition::{Condition, Truth},
        condition_type::ConditionType,
        desired::{
            CodeRequest, Connection, Deletion, Desired, DesiredConsents, DesiredPortfolio, DesiredProfile,
            DriftPolicy, Management, PinPolicy, PortfolioRef, ReadyWhen, Registration, SecretKey,
            Verification, VerificationMethod, Webhook, WhileNameInReview,
        },
        failure::{Class, Failure, Refusal, Scope},
        id::{
            AccountMode, AccountStatus, CodeStatus, Fact, Field, NameStatus, NumberId, NumberStatus,
            PlatformType, ReviewStatus, Sendability, TokenType, VerificationStatus,
        },
        limits::Limits,
        memory::{self, Entry, EntryOutcome, Intent, Memory, Origin},
        observed::{
            Account, Claim, Health, HealthEntity, HealthError, ListState, Number, Observed, PortfolioState,
            ProcessFacts, Searched, WebhookConfiguration,
        },
        outcome::{Accepted, Outcome},
        phone::E164,
        portfolio::{BusinessFacts, PortfolioView, Reach, Reachable, TokenFacts},
        reason::Reason,
        secret::{SecretFact, SecretVersion},
        status::{Assessment, Before},
        step::{Cause, Planned, Step, StepKind},
        time,
    },
};

pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const NAME: &str = "Acme Suporte";
pub const ACCOUNT: &str = "300000000000001";
pub const OTHER_ACCOUNT: &str = "300000000000002";
pub const BUSINESS: &str = "500000000000001";
pub const NUMBER: &str = "100000000000001";
pub const HOOK: &str = "https://bot.acme.example/wa";

pub fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("a time")
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
        display_name: NAME.into(),
        connection: Connection::CloudApi,
        syncs: Vec::new(),
        verification: Verification {
            method: VerificationMethod::Auto,
            language: "pt_BR".into(),
            request: CodeRequest::OnDemand,
            code_secret: secret("support-br-code", "code"),
        },
        registration: Registration {
            pin_secret: secret("support-br-pin", "pin"),
            is_pin_named: false,
            storage_region: None,
            may_move: false,
            pin_policy: PinPolicy::Keep,
            while_name_in_review: WhileNameInReview::TryOnce,
        },
        profile: DesiredProfile::default(),
        picture: None,
        time_zone: None,
        webhook: None,
        username: None,
        official: None,
        ready_when: ReadyWhen::Registered,
        management: Management::Full,
        drift: DriftPolicy::Enforce,
        interval: None,
        suspend: false,
        deletion: Deletion::default(),
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
        access: Arc::default(),
        app_webhook: None,
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
    reachable_as(id, Some(true))
}

pub fn reachable_as(id: &str, owned: Option<bool>) -> Reachable {
    Reachable { id: id.into(), name: None, owned }
}

pub fn view() -> PortfolioView {
    PortfolioView {
        namespace: "shop-br".into(),
        name: "acme".into(),
        business: BUSINESS.into(),
        credential_version: Some("v1".into()),
        hold: None,
        lost: None,
        app: token().app,
        token: Fact::Known(token()),
        facts: Fact::Known(business()),
        reach: Reach::Accounts(vec![reachable(ACCOUNT)]),
        expect_country: None,
        access: Arc::default(),
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
    number.verified_name = Field::Is(NAME.into());
    number.name_status = Field::Is(NameStatus::Approved);
    number.new_name_status = Field::Is(NameStatus::None);
    number.account_mode = Field::Is(AccountMode::Live);
    number.is_on_biz_app = Field::Is(false);
    number.health = Field::Is(health(Sendability::Available, &[]));
    number.webhook = routed_to(Some(HOOK));
    number
}

/// What Meta shows of a number's webhook to an app that has a callback URL of its own.
pub fn routed_to(number: Option<&str>) -> Field<Box<WebhookConfiguration>> {
    let (number, application) = (number.map(str::to_owned), Some("https://bot.acme.example/app".to_owned()));
    Field::Is(Box::new(WebhookConfiguration { number, application, account: None }))
}

/// A number that was just added.
pub fn fresh() -> Number {
    let mut number = number();
    number.status = Field::Is(NumberStatus::Pending);
    number.code = Field::Is("NOT_VERIFIED".into());
    number.platform = Field::Is(PlatformType::NotApplicable);
    number.health = Field::Absent;
    number.webhook = routed_to(None);
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
        said: None,
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
    Searched { numbers: number.into_iter().map(Arc::new).collect(), ..searched(ACCOUNT, now()) }
}

pub fn block(reason: Reason) -> Block {
    Block::new(reason, format!("held up by {}", reason.as_str()))
}

pub fn searched(account: &str, begun: Timestamp) -> Searched {
    let list = ListState::Complete { begun };
    Searched { account: account.into(), list, numbers: Vec::new(), without_digits: Vec::new() }
}

pub fn version(uid: &str, version: u32) -> SecretVersion {
    SecretVersion { uid: uid.into(), resource_version: version.to_string() }
}

pub fn present(uid: &str, at: u32) -> SecretFact {
    SecretFact::Present { version: version(uid, at), well_formed: true, seen_before: false }
}

/// A number that was just added, with a name that may be used without review and no PIN.
pub fn new_number() -> Number {
    Number {
        name_status: Field::Is(NameStatus::AvailableWithoutReview),
        is_pin_enabled: Field::Is(false),
        ..fresh()
    }
}

pub fn refusal_of(code: i64, subcode: Option<i64>, class: Class) -> Refusal {
    Refusal { class, ..refusal(code, subcode, "T1") }
}

pub fn refused(code: i64, subcode: Option<i64>, class: Class) -> Result<Accepted, Failure> {
    Err(Failure::Refused(refusal_of(code, subcode, class)))
}

pub fn no_answer() -> Result<Accepted, Failure> {
    Err(retry_failure())
}

pub fn accepted() -> Result<Accepted, Failure> {
    Ok(Accepted::default())
}

/// What a look brings that found this.
fn observed(search: Searched) -> Observed {
    Observed {
        claim: Claim::Ours { act_from: None },
        portfolio: PortfolioState::View(Arc::new(view())),
        account: Fact::Known(Arc::new(account())),
        search: vec![search],
        subscribed: Fact::Known(true),
        resubscribed: [].into(),
        other_apps: Arc::default(),
        profile: Fact::NotAsked,
        username: Fact::NotAsked,
        official: Fact::NotAsked,
        code_secret: SecretFact::NotAsked,
        pin_secret: SecretFact::NotAsked,
        verify_token: SecretFact::NotAsked,
        held: BTreeMap::new(),
        attempts_unread: None,
        begun: now(),
        process: ProcessFacts { last_success: Some(later(-5)), ..ProcessFacts::new(later(-60)) },
    }
}

/// What the process remembers of a look.
pub fn note_look(observed: &mut Observed) {
    if let [Searched { list: ListState::Complete { begun }, numbers, .. }, ..] = &observed.search[..]
        && let Some(number) = numbers.first()
    {
        observed.process.stood = observed.process.stood.after(number, *begun);
    }
}

/// One pass that was planned, to be assessed.
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
            observed: observed(complete(Some(number))),
            plan: Plan {
                step: None,
                block: None,
                aside: Vec::new(),
                answered: Vec::new(),
                memory: memory.clone(),
                next: later(5),
                date: None,
                farewell: None,
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
            without_digits: Vec::new(),
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
        secret: version("s", 1),
        in_review: None,
    }
}

pub fn outcome(step: StepKind) -> Outcome {
    Outcome { intent: Some("i1".into()), step, at: now(), result: accepted() }
}

/// A memory in which this step is on its way, of which [`outcome`] tells.
pub fn on_its_way(step: StepKind) -> Memory {
    let entry = Entry {
        id: "i1".into(),
        at: now(),
        outcome: EntryOutcome::Started,
        cause: Cause::Automatic,
        subject: None,
        settle_until: None,
        secret_before: None,
        trace_id: None,
        refusal: None,
    };
    let intent = Intent {
        id: entry.id.clone(),
        step: step.into(),
        reason: "it is due".into(),
        started_at: entry.at,
        send_before: later(1),
        settle_until: later(10),
        generation: 1,
        subject: None,
        absent_before: None,
    };
    let mut memory = Memory { in_flight: Some(intent), ..Memory::default() };
    memory.ledger.push(step, entry, 10);
    memory
}

/// Everything that a plan is made of.
#[derive(Clone, Debug)]
pub struct World {
    pub desired: Desired,
    pub observed: Observed,
    pub memory: Memory,
    pub view: PortfolioView,
    pub account: Account,
    /// What status showed.
    pub before: Before,
    pub limits: Limits,
    pub now: Timestamp,
    intents: u32,
}

/// A world without the number, in which everything else is as it should be.
pub fn world() -> World {
    let view = PortfolioView { expect_country: Some("BR".into()), ..view() };
    World {
        desired: Desired { generation: 1, account: None, ..desired() },
        observed: Observed {
            portfolio: PortfolioState::View(Arc::new(view.clone())),
            code_secret: SecretFact::Missing,
            pin_secret: present("pin", 1),
            verify_token: present("token", 1),
            process: ProcessFacts::new(now()),
            ..observed(complete(None))
        },
        memory: Memory::default(),
        view,
        account: account(),
        before: Before::default(),
        limits: Limits::default(),
        now: now(),
        intents: 0,
    }
}

impl World {
    pub fn desire(mut self, change: impl FnOnce(&mut Desired)) -> Self {
        change(&mut self.desired);
        self
    }

    pub fn remember(mut self, change: impl FnOnce(&mut Memory)) -> Self {
        change(&mut self.memory);
        self
    }

    pub fn see(mut self, change: impl FnOnce(&mut Observed)) -> Self {
        change(&mut self.observed);
        self
    }

    pub fn portfolio(mut self, change: impl FnOnce(&mut PortfolioView)) -> Self {
        change(&mut self.view);
        self.observed.portfolio = PortfolioState::View(Arc::new(self.view.clone()));
        self
    }

    pub fn account(mut self, change: impl FnOnce(&mut Account)) -> Self {
        change(&mut self.account);
        self.observed.account = Fact::Known(Arc::new(self.account.clone()));
        self
    }

    /// The number is in the account, as `change` leaves it.
    pub fn number(mut self, change: impl FnOnce(&mut Number)) -> Self {
        let mut number =
            self.observed.search[0].numbers.first().map_or_else(new_number, |n| Number::clone(n));
        change(&mut number);
        self.observed.search[0].numbers = vec![Arc::new(number)];
        self
    }

    pub fn without_number(mut self) -> Self {
        self.observed.search[0].numbers.clear();
        self
    }

    /// A number in the account that this object added.
    pub fn own(self) -> Self {
        let at = self.now;
        self.number(|_| {}).remember(|m| {
            m.number = Some(NUMBER.into());
            m.marks.origin = Origin::Added(at);
        })
    }

    /// A number in the account that somebody else added just now.
    pub fn adopted(self) -> Self {
        let at = self.now;
        self.number(|_| {}).remember(|m| {
            m.number = Some(NUMBER.into());
            m.marks.origin = Origin::Adopted(at);
        })
    }

    pub fn verified(self) -> Self {
        self.number(|n| n.code = Field::Is(CodeStatus::Verified))
    }

    /// It was first seen registered so long ago, by this object.
    pub fn registered_for(self, time: Duration) -> Self {
        let first = time::earlier(self.now, time);
        let registration = memory::Registration::Seen { first, own: Some(first), fell_back: None };
        self.remember(|memory| memory.marks.registration = registration)
    }

    pub fn registered(self) -> Self {
        self.verified().number(|n| {
            n.platform = Field::Is(PlatformType::CloudApi);
            n.status = Field::Is(NumberStatus::Connected);
        })
    }

    pub fn webhook(self) -> Self {
        self.desire(|d| {
            d.webhook = Some(webhook());
        })
    }

    /// Later, with everything read anew.
    pub fn after(mut self, time: Duration) -> Self {
        self.now = time::later(self.now, time);
        self.observed.begun = self.now;
        for searched in &mut self.observed.search {
            if let ListState::Complete { begun } = &mut searched.list {
                *begun = self.now;
            }
        }
        self
    }

    /// Another process takes over, whose clock is that much ahead.
    pub fn taken_over(mut self, ahead: SignedDuration) -> Self {
        self.now += ahead;
        self.observed.process.started = self.now;
        self.observed.process.intents = Some("another-".into());
        self.after(Duration::ZERO)
    }

    pub fn plan(&self) -> Plan {
        plan(&self.desired, &self.observed, &self.memory, &self.limits, self.now)
    }

    pub fn look(&self) -> Look {
        let follows = Follows {
            before: &self.before,
            after_write: None,
            may_add: true,
            process: &self.observed.process,
            picture: Some((&self.observed.process.picture, self.observed.process.started)),
        };
        let (claim, portfolio) = (&self.observed.claim, &self.observed.portfolio);
        look(&self.desired, &self.memory, claim, portfolio, follows, &self.limits, self.now)
    }

    /// One word: the step, or the reason that holds it up.
    pub fn says(&self) -> String {
        let plan = self.plan();
        match (&plan.step, &plan.block) {
            (Some(planned), _) => planned.step.kind().as_str().into(),
            (None, Some(block)) => block.reason.as_str().into(),
            (None, None) => "Rest".into(),
        }
    }

    /// Remembers what a pass without a step would write.
    pub fn pass(mut self) -> Self {
        note_look(&mut self.observed);
        self.memory = self.plan().memory;
        self
    }

    /// Shows in status what was seen.
    pub fn assess(mut self) -> Self {
        let plan = self.plan();
        let mut memory = plan.memory.clone();
        let given = Given {
            desired: &self.desired,
            observed: &self.observed,
            plan: &plan,
            outcome: None,
            before: &self.before,
            limits: &self.limits,
            now: self.now,
        };
        let shown = assess(&given, &mut memory);
        self.before.conditions = shown.conditions;
        self.before.facts = shown.facts;
        self
    }

    /// Takes the planned step, which must be this one, and folds its outcome in.
    pub fn act(mut self, kind: StepKind, result: Result<Accepted, Failure>) -> Self {
        let plan = self.plan();
        assert_eq!(self.says(), kind.as_str(), "{plan:#?}");
        self.intents += 1;
        let id = format!("intent-{}", self.intents);
        let intended = intend(&plan, self.desired.generation, &id, &self.limits, self.now);
        let (memory, intent) = match intended {
            Some((memory, intent)) => (memory, Some(intent.id)),
            None => (plan.memory.clone(), None),
        };
        let outcome = Outcome { intent, step: kind, at: self.now, result };
        self.memory = fold(&memory, &outcome, &plan, &self.limits);
        assert_eq!(
            self.memory,
            fold(&self.memory, &outcome, &plan, &self.limits),
            "folding twice changes nothing more"
        );
        self
    }

    /// Takes the planned step and dies before its outcome is known.
    pub fn die(mut self, kind: StepKind) -> Self {
        let plan = self.plan();
        assert_eq!(self.says(), kind.as_str(), "{plan:#?}");
        self.intents += 1;
        let id = format!("intent-{}", self.intents);
        self.memory = intend(&plan, self.desired.generation, &id, &self.limits, self.now).unwrap().0;
        self
    }
}
