//! A channel, what was seen of it and what is remembered, for tests that read as sentences.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::engine::{
    assess::{Given, assess},
    look::{Follows, Look, look},
    plan::{Plan, plan},
    record::{fold, intend},
    value::{
        desired::{
            CodeRequest, Connection, Desired, DesiredConsents, DesiredProfile, Management, PinPolicy,
            PortfolioRef, ReadyWhen, Registration, SecretKey, Verification, VerificationMethod, Webhook,
            WhileNameInReview,
        },
        failure::{Class, Failure, Refusal, Scope},
        id::{
            AccountId, AccountStatus, BusinessId, CodeStatus, Fact, Field, NumberStatus, PlatformType,
            ReviewStatus,
        },
        limits::Limits,
        memory::{Memory, Origin},
        observed::{Account, Claim, ListState, Number, Observed, PortfolioState, ProcessFacts, Searched},
        outcome::{Accepted, Outcome},
        phone::E164,
        portfolio::{PortfolioView, Reach, Reachable},
        secret::{SecretFact, SecretVersion},
        status::Before,
        step::StepKind,
        time::later,
    },
};

pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const NAME: &str = "Acme Suporte";
pub const ACCOUNT: &str = "300000000000001";
pub const OTHER: &str = "300000000000002";
pub const NUMBER: &str = "100000000000001";

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
    let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    let view = view();
    World {
        desired: desired(),
        observed: observed(&view, now),
        memory: Memory::default(),
        view,
        account: account(),
        before: Before::default(),
        limits: Limits::default(),
        now,
        intents: 0,
    }
}

fn desired() -> Desired {
    let secret = |name: &str, key: &str| SecretKey { name: name.into(), key: key.into() };
    Desired {
        name: "support-br".into(),
        namespace: "shop".into(),
        uid: "u".into(),
        generation: 1,
        portfolio: PortfolioRef { namespace: "shop".into(), name: "acme".into() },
        account: None,
        number: E164::parse("+5511912345678").unwrap(),
        display_name: NAME.into(),
        connection: Connection::CloudApi,
        verification: Verification {
            method: VerificationMethod::Sms,
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

fn view() -> PortfolioView {
    PortfolioView {
        namespace: "shop".into(),
        name: "acme".into(),
        business: BusinessId::from("500000000000001"),
        credential_version: Some("1".into()),
        hold: None,
        token: Fact::NotAsked,
        facts: Fact::NotAsked,
        reach: Reach::Accounts(vec![reachable(ACCOUNT, Some(true))]),
        expect_country: Some("BR".into()),
        access: Vec::new(),
        throttled_until: None,
    }
}

pub fn reachable(id: &str, owned: Option<bool>) -> Reachable {
    Reachable { id: AccountId::from(id), name: None, owned }
}

fn account() -> Account {
    Account {
        id: Some(AccountId::from(ACCOUNT)),
        country: Some("BR".into()),
        status: Field::Is(AccountStatus::Active),
        review: Field::Is(ReviewStatus::Approved),
        owner: Some(BusinessId::from("500000000000001")),
        ..Account::default()
    }
}

fn observed(view: &PortfolioView, now: Timestamp) -> Observed {
    Observed {
        claim: Claim::Ours { act_from: None },
        portfolio: PortfolioState::View(Arc::new(view.clone())),
        account: Fact::Known(Arc::new(account())),
        search: vec![searched(ACCOUNT, now)],
        subscribed: Fact::Known(true),
        profile: Fact::NotAsked,
        code_secret: SecretFact::Missing,
        pin_secret: present("pin", 1),
        verify_token: present("token", 1),
        held: BTreeMap::new(),
        begun: now,
        process: ProcessFacts { started: now, last_success: None },
    }
}

pub fn searched(account: &str, begun: Timestamp) -> Searched {
    Searched { account: AccountId::from(account), list: ListState::Complete { begun }, numbers: Vec::new() }
}

pub fn version(uid: &str, version: u32) -> SecretVersion {
    SecretVersion { uid: uid.into(), resource_version: version.to_string() }
}

pub fn present(uid: &str, at: u32) -> SecretFact {
    SecretFact::Present { version: version(uid, at), well_formed: true, seen_before: false }
}

/// A number that was just added.
pub fn new_number() -> Number {
    Number {
        status: Field::Is(NumberStatus::Pending),
        code: Field::Is(CodeStatus::NotVerified),
        platform: Field::Is(PlatformType::NotApplicable),
        verified_name: Field::Is(NAME.into()),
        name_status: Field::Is("AVAILABLE_WITHOUT_REVIEW".into()),
        is_on_biz_app: Field::Is(false),
        is_pin_enabled: Field::Is(false),
        ..Number::bare(NUMBER.into(), "+55 11 91234-5678")
    }
}

pub fn refusal(code: i64, subcode: Option<i64>, class: Class) -> Refusal {
    Refusal {
        code,
        subcode,
        title: None,
        message: "words of Meta.".into(),
        trace_id: None,
        class,
        scope: Scope::Channel,
        until: None,
    }
}

pub fn refused(code: i64, subcode: Option<i64>, class: Class) -> Result<Accepted, Failure> {
    Err(Failure::Refused(refusal(code, subcode, class)))
}

pub fn no_answer() -> Result<Accepted, Failure> {
    Err(Failure::NoAnswer("time-out".into()))
}

pub fn accepted() -> Result<Accepted, Failure> {
    Ok(Accepted::default())
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

    pub fn registered(self) -> Self {
        self.verified().number(|n| {
            n.platform = Field::Is(PlatformType::CloudApi);
            n.status = Field::Is(NumberStatus::Connected);
        })
    }

    pub fn webhook(self) -> Self {
        self.desire(|d| {
            d.webhook = Some(Webhook {
                callback_url: "https://bot.acme.example/wa".into(),
                verify_token: SecretKey { name: "bot".into(), key: "verify".into() },
            });
        })
    }

    /// Later, with everything read anew.
    pub fn after(mut self, time: Duration) -> Self {
        self.now = later(self.now, time);
        self.observed.begun = self.now;
        for searched in &mut self.observed.search {
            if let ListState::Complete { begun } = &mut searched.list {
                *begun = self.now;
            }
        }
        self
    }

    pub fn plan(&self) -> Plan {
        plan(&self.desired, &self.observed, &self.memory, &self.limits, self.now)
    }

    pub fn look(&self) -> Look {
        let follows = Follows { before: &self.before, after_write: None, may_add: true };
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
