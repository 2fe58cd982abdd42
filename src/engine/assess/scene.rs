//! The scene: what an assessment is given, and what every part of it may ask about it.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::{
    plan::Plan,
    rule::{clock::Clock, stood},
    value::{
        block::Block,
        condition::Truth,
        condition_type::ConditionType,
        desired::{Desired, Management},
        failure::{Failure, Refusal},
        id::{AccountId, Fact, NumberStatus},
        limits::Limits,
        memory::{Entry, EntryOutcome, Memory},
        observed::{Account, Claim, ListState, Number, Observed, PortfolioState, Searched},
        outcome::Outcome,
        portfolio::PortfolioView,
        reason::{Reason, ReasonKind},
        status::Before,
        step::{Planned, StepKind},
        time::later,
    },
};

/// What an assessment is made from.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub desired: &'a Desired,
    pub observed: &'a Observed,
    pub plan: &'a Plan,
    /// There once the step of the plan was carried out.
    pub outcome: Option<&'a Outcome>,
    pub before: &'a Before,
    pub limits: &'a Limits,
    pub now: Timestamp,
}

/// What is known about one condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Judged {
    /// Nothing new: it stays as it was.
    Keep,
    /// Not managed: the condition is not there.
    Absent,
    True(Reason, String),
    Unknown(Reason, String),
    /// Not True, and not for a reason of its own: the plan says what holds it up.
    Open(String),
    /// Not True, by what was read.
    False(Reason, String),
}

/// Where the number was found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// Not known: not read, or a write may not show yet.
    Unknown,
    /// In no account that could be read.
    Absent,
    /// In the channel's account.
    Here(&'a Number),
    /// In the channel's account, as MIGRATED or DELETED.
    Left(&'a Number),
}

/// Everything that a judgement may look at.
pub(super) struct Scene<'a> {
    pub desired: &'a Desired,
    pub observed: &'a Observed,
    pub plan: &'a Plan,
    pub outcome: Option<&'a Outcome>,
    pub memory: &'a Memory,
    pub before: &'a Before,
    pub limits: &'a Limits,
    pub now: Timestamp,
    /// The account that the channel uses.
    pub account: Option<AccountId>,
    pub place: Place<'a>,
}

impl<'a> Scene<'a> {
    pub fn new(given: &Given<'a>, memory: &'a Memory) -> Self {
        let Given { desired, observed, plan, outcome, before, limits, now } = *given;
        let account = memory.account.clone().or_else(|| desired.account.clone());
        let account = account.or_else(|| match &observed.account {
            Fact::Known(known) => known.id.clone(),
            _ => None,
        });
        let place = Place::Unknown;
        let mut scene =
            Self { desired, observed, plan, outcome, memory, before, limits, now, account, place };
        scene.place = scene.find();
        scene
    }

    fn own_list(&self) -> Option<&'a Searched> {
        let account = self.account.as_ref()?;
        self.observed.search.iter().find(|s| &s.account == account)
    }

    fn find(&self) -> Place<'a> {
        let Some(list) = self.own_list() else { return Place::Unknown };
        let known = |n: &&Number| Some(&n.id) == self.memory.number.as_ref();
        let all = || list.numbers.iter().map(AsRef::as_ref);
        let here = all().filter(|n: &&Number| !n.has_left());
        let unread = || list.without_digits.iter().map(AsRef::as_ref).filter(known);
        if let Some(number) =
            here.clone().find(known).or_else(|| here.clone().next()).or_else(|| unread().next())
        {
            return Place::Here(number);
        }
        if let Some(number) = all().find(|n: &&Number| n.has_left()) {
            return Place::Left(number);
        }
        match list.list {
            // One that shows no digits may be the number.
            _ if self.memory.number.is_none() && list.unread().next().is_some() => Place::Unknown,
            ListState::Complete { begun }
                if !self.is_settling(StepKind::AddNumber, begun) && !self.is_missed_once(begun) =>
            {
                Place::Absent
            }
            _ => Place::Unknown,
        }
    }

    pub fn number(&self) -> Option<&'a Number> {
        match self.place {
            Place::Here(number) => Some(number),
            _ => None,
        }
    }

    pub fn view(&self) -> Option<&'a PortfolioView> {
        match &self.observed.portfolio {
            PortfolioState::View(view) => Some(view),
            _ => None,
        }
    }

    pub fn account_facts(&self) -> Option<&'a Account> {
        self.observed.account.known().map(AsRef::as_ref)
    }

    /// Who manages the number; a channel that only observes has no claim and ignores those of others.
    pub fn claim(&self) -> &'a Claim {
        match self.desired.management {
            Management::ObserveOnly => &Claim::Ours { act_from: None },
            Management::Full => &self.observed.claim,
        }
    }

    /// Whether a condition was True before.
    pub fn was_true(&self, kind: ConditionType) -> bool {
        self.before.conditions.is(kind, Truth::True)
    }

    /// Whether a condition was True or False before.
    pub fn was_judged(&self, kind: ConditionType) -> bool {
        self.before.conditions.get(kind).is_some_and(|c| c.status != Truth::Unknown)
    }

    /// A number that was registered reads another platform, which does not count yet.
    pub fn is_platform_doubted(&self) -> bool {
        let stood = &self.observed.process.stood;
        self.number().is_some_and(|number| {
            stood::platform_doubted_since(stood, self.memory, number, self.seen_at(), self.limits).is_some()
        })
    }

    /// A block that rests on a word of a registered number that may be gone in minutes.
    pub fn is_doubted(&self, block: &Block) -> bool {
        let status = self.number().and_then(|number| number.status.value());
        let is_new = status.is_some_and(|word| !word.is_known() && !self.has_status_stood(word));
        is_passing(block.reason) && (self.is_platform_doubted() || (is_new && !self.memory.is_unfinished()))
    }

    /// Whether this `status` has stood long enough to count.
    pub fn has_status_stood(&self, word: &NumberStatus) -> bool {
        stood::has_status(&self.observed.process.stood, word, self.seen_at(), self.limits)
    }

    /// Whether the number has long enough not been CONNECTED, whatever the word.
    pub fn is_not_connected(&self) -> bool {
        stood::is_not_connected(&self.observed.process.stood, self.seen_at(), self.limits)
    }

    /// A number that is no longer listed counts as gone only after a second look.
    fn is_missed_once(&self, begun: Timestamp) -> bool {
        let since = self.memory.marks.missing_since;
        since.is_some_and(|at| begun < later(at, self.limits.fresh_after_write))
    }

    /// When the list that showed the number was begun.
    fn seen_at(&self) -> Timestamp {
        match self.own_list().map(|s| &s.list) {
            Some(ListState::Complete { begun }) => *begun,
            _ => self.observed.begun,
        }
    }

    /// Whether an effect of this step may not be visible yet in an observation begun at that time.
    fn is_settling(&self, step: StepKind, begun: Timestamp) -> bool {
        let clock = Clock { process: &self.observed.process, limits: self.limits, now: self.now };
        let in_flight = self.memory.in_flight.as_ref().filter(|i| i.step == step);
        if in_flight.is_some_and(|i| clock.settled(i) >= begun) {
            return true;
        }
        let entries = self.memory.ledger.of(step);
        let sent = |e: &Entry| !matches!(e.outcome, EntryOutcome::Refused | EntryOutcome::NotSent);
        entries
            .iter()
            .rev()
            .find(|e| sent(e))
            .and_then(|e| clock.shown(step, e))
            .is_some_and(|until| until >= begun)
    }

    pub fn is_settling_now(&self, step: StepKind) -> bool {
        self.is_settling(step, self.seen_at())
    }

    pub fn is_registered(&self) -> bool {
        self.number().is_some_and(Number::is_registered)
    }

    /// Whether the number itself, or what has to be known of it, could not be read.
    pub fn look_failed(&self) -> bool {
        if let Fact::Unknown(failure) = &self.observed.account
            && !self.tells_of_account(failure)
        {
            return true;
        }
        let failed = |s: &Searched| matches!(&s.list, ListState::Failed(_));
        match self.place {
            Place::Here(_) | Place::Left(_) => false,
            Place::Absent | Place::Unknown => self.observed.search.iter().any(failed),
        }
    }

    /// Whether a failed read of the account is an answer about it. An unknown error is none while the account
    /// is usable.
    pub fn tells_of_account(&self, failure: &Failure) -> bool {
        let is_usable = self.before.conditions.is(ConditionType::AccountUsable, Truth::True);
        let denies = failure.refusal().is_some_and(Refusal::denies_object);
        failure.is_answer() && (denies || !is_usable)
    }

    pub fn nothing_asked(&self) -> bool {
        self.observed.account == Fact::NotAsked && self.observed.search.is_empty()
    }

    /// How long it may go without a look.
    pub fn unseen_after(&self) -> Duration {
        self.limits.unseen_at(self.desired.interval)
    }

    /// Counted from the last success or the start of the process, whichever is later.
    pub fn is_long_unseen(&self) -> bool {
        let process = &self.observed.process;
        let last = process.last_success.unwrap_or(process.started).max(process.started);
        self.now >= later(last, self.unseen_after())
    }

    /// The block that keeps a condition from being True: first of its own setting, then of the steps to Registered.
    pub fn block_on(&self, kind: ConditionType) -> Option<&'a Block> {
        let aside =
            self.plan.aside.iter().find(|(on, b)| *on == kind && b.reason.may_be_on(kind)).map(|(_, b)| b);
        // What holds up the first registration says nothing about the name.
        let is_of_name = |b: &Block| {
            kind != ConditionType::DisplayNameApproved
                || b.reason.row().conditions.first() != Some(&ConditionType::Registered)
        };
        aside.or_else(|| self.plan.block.as_ref().filter(|b| b.reason.may_be_on(kind) && is_of_name(b)))
    }

    /// The step of the plan, where it is about a condition. A step to another name of a registered number is about that alone.
    pub fn step_on(&self, kind: ConditionType) -> Option<&'a Planned> {
        let step = self.plan.step.as_ref();
        let step = step.filter(|planned| planned.step.kind().reason().may_be_on(kind));
        step.filter(|planned| {
            let is_of_way =
                matches!(planned.step.kind(), StepKind::SubmitName | StepKind::SetPin | StepKind::Register);
            let is_own =
                matches!(kind, ConditionType::DisplayNameApproved | ConditionType::RegistrationSynced);
            is_own || !(is_of_way && self.is_registered())
        })
    }

    /// What an open condition says when nothing blocks it.
    pub fn open_reason(&self, kind: ConditionType) -> Reason {
        if self.desired.management == Management::ObserveOnly && Reason::ObserveOnly.may_be_on(kind) {
            return Reason::ObserveOnly;
        }
        let settled = self.outcome.is_some_and(|o| o.result.is_ok());
        if let Some(planned) = self.step_on(kind).filter(|_| !settled) {
            return planned.step.kind().reason();
        }
        if Reason::EffectNotVisibleYet.may_be_on(kind) {
            Reason::EffectNotVisibleYet
        } else {
            Reason::NotObservedYet
        }
    }

    /// A spec that contradicts a number which is fine in itself.
    pub fn contradiction(&self) -> Option<&'a Block> {
        let spoils =
            |b: &&Block| matches!(b.reason, Reason::ConnectionContradictsNumber | Reason::SpecInvalid);
        self.plan.block.as_ref().filter(spoils)
    }

    /// Whether a date is set at which things go on by themselves.
    pub fn has_clock(&self) -> bool {
        self.plan.block.as_ref().is_some_and(|b| b.until.is_some())
    }

    /// Whether nothing but the display name holds the registration up.
    pub fn held_by_name(&self) -> bool {
        self.plan
            .block
            .as_ref()
            .is_some_and(|b| b.reason.row().conditions.first() == Some(&ConditionType::DisplayNameApproved))
    }
}

/// Reasons that say something about the look or the moment, not about what was looked for.
pub(super) fn is_passing(reason: Reason) -> bool {
    matches!(reason.kind(), ReasonKind::Progress | ReasonKind::Time)
}
