//! Turns a difference into at most one step, and everything else into words.
//!
//! Pure: the same inputs give the same plan, byte for byte. Nothing here knows
//! whether a cluster or a file asked.

mod aside;
mod code;
mod consent;
mod find;
mod guard;
mod naming;
mod next;
mod pin;
mod register;
mod resolve;
#[cfg(test)]
mod rests;
mod say;
#[cfg(test)]
mod tests;
mod undecided;

use std::{convert::Infallible, sync::Arc};

use jiff::Timestamp;

use self::{aside::Writable, consent::Pending, guard::Platform};
use super::{
    condition::ConditionType,
    desired::{Desired, Management},
    failure::Failure,
    id::{AccountId, BusinessId, NumberId, PlatformType},
    limits::{Limits, later},
    memory::{Cause, ConsentAnswer, ConsentKind, Memory, StepKind},
    observed::{Claim, ListState, Number, Observed, PortfolioState},
    reach,
    reason::Reason,
    step::{Planned, Step},
};

pub use aside::profile_difference;
pub(super) use find::add_waits;

/// What a pass decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The one step of this pass; the rest waits for the next.
    pub step: Option<Planned>,
    /// Why the way to Registered is not taken further now: the deepest cause.
    pub block: Option<Block>,
    /// Blocks of work beside that way (webhook, profile), by the condition they hold.
    pub aside: Vec<(ConditionType, Block)>,
    /// Consents answered by this pass.
    pub answered: Vec<(ConsentKind, ConsentAnswer)>,
    /// Memory as it stands after looking (adopted, marks, undecided steps closed), before any intent.
    pub memory: Memory,
    /// When to look again, at the latest.
    pub next: Timestamp,
}

/// Something that is waited for, or that nobody but an edit can end.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub reason: Reason,
    /// One sentence with the facts, then what to do.
    pub message: String,
    /// Meta's words about it.
    pub failure: Option<Failure>,
    pub wait: Option<Wait>,
    /// When time ends it.
    pub until: Option<Timestamp>,
}

/// Who has to act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    pub actor: Actor,
    /// A constant in CamelCase: `EnterCode`, `ChooseName`.
    pub action: &'static str,
    pub expected_by: Option<Timestamp>,
    pub url: Option<String>,
    pub if_ignored: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    PhoneHolder,
    PortfolioAdmin,
    ClusterUser,
    Meta,
}

impl Actor {
    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PhoneHolder => "PhoneHolder",
            Self::PortfolioAdmin => "PortfolioAdmin",
            Self::ClusterUser => "ClusterUser",
            Self::Meta => "Meta",
        }
    }
}

/// Plans one pass over a channel.
///
/// The plan holds at most one step; the rest waits for the next pass. An observation that failed blocks every
/// step that depends on it instead of guessing.
///
/// Not promised: that the step succeeds, or that Meta still looks as `observed` says.
pub fn plan(
    desired: &Desired,
    observed: &Observed,
    memory: &Memory,
    limits: &Limits,
    now: Timestamp,
) -> Plan {
    let pass = Pass::new(desired, observed, memory, limits, now);
    let mut memory = memory.clone();
    if let Some(block) = idle(&pass) {
        let next = later(now, limits.look_at_least);
        return Plan {
            step: None,
            block: Some(block),
            aside: Vec::new(),
            answered: Vec::new(),
            memory,
            next,
        };
    }
    let (mut step, mut block, aside) = decide(&pass, &mut memory);
    if let Some(held) = step.as_ref().and_then(|planned| held_back(&pass, planned.step.kind())) {
        (step, block) = (None, Some(held));
    }
    if let Some(planned) = &step {
        aside::begin(&pass, &mut memory, planned);
    }
    let has_looked = has_looked(&pass, &memory);
    let answered = consent::answer(&pass, &mut memory, step.as_ref(), block.as_ref(), &aside, has_looked);
    let next = next::next(&pass, &memory, step.as_ref(), block.as_ref(), &aside);
    let business = pass.business();
    let block = block.map(|block| block.linked(business));
    let aside = aside.into_iter().map(|(on, block)| (on, block.linked(business))).collect();
    Plan { step, block, aside, answered, memory, next }
}

/// Everything a rule may ask, but memory, which rules also change.
struct Pass<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    limits: &'a Limits,
    now: Timestamp,
    send_code: Option<Pending>,
    retry: Option<Pending>,
    number_before: Option<NumberId>,
}

/// What the target account's list showed.
struct Seen {
    account: AccountId,
    /// When the list was begun; only complete lists get here.
    begun: Option<Timestamp>,
    number: Option<Arc<Number>>,
}

/// Why a rule goes no further.
enum Stop {
    Step(Box<Planned>),
    Block(Box<Block>),
}

type Gate<T = ()> = Result<T, Stop>;

impl Stop {
    fn block(block: Block) -> Self {
        Self::Block(Box::new(block))
    }

    /// Something that the look did not bring yet.
    fn look_again(message: impl Into<String>) -> Self {
        Self::block(Block::new(Reason::NotObservedYet, message))
    }
}

impl<'a> Pass<'a> {
    fn new(
        desired: &'a Desired,
        observed: &'a Observed,
        memory: &Memory,
        limits: &'a Limits,
        now: Timestamp,
    ) -> Self {
        let usable = |kind| consent::usable(desired, kind, memory, limits, now);
        Self {
            desired,
            observed,
            limits,
            now,
            send_code: usable(ConsentKind::SendCode),
            retry: usable(ConsentKind::Retry),
            number_before: memory.number.clone(),
        }
    }

    fn business(&self) -> Option<&BusinessId> {
        match &self.observed.portfolio {
            PortfolioState::View(view) => Some(&view.business),
            PortfolioState::NotUsable | PortfolioState::NotYet => None,
        }
    }

    fn step(&self, step: Step, why: String, cause: Cause) -> Stop {
        Stop::Step(Box::new(Planned { step, why, cause }))
    }

    /// The number was found just now, so the look could not ask for what belongs to it.
    fn is_first_sight(&self, memory: &Memory) -> bool {
        memory.number != self.number_before
    }
}

/// Nothing is looked at and nothing is done.
fn idle(pass: &Pass) -> Option<Block> {
    if pass.desired.suspend {
        return Some(
            Block::new(
                Reason::Suspended,
                "suspended: nothing is read from or written to Meta; set spec.suspend to false to go on",
            )
            .waits(Wait::on(Actor::ClusterUser, "Resume")),
        );
    }
    if pass.desired.management == Management::ObserveOnly {
        return None;
    }
    match &pass.observed.claim {
        Claim::Ours { .. } => None,
        Claim::Undecided => Some(Block::new(
            Reason::NotObservedYet,
            "not every watched namespace has been read yet, so nobody acts",
        )),
        Claim::Other { name } => Some(claimed(pass, name.as_deref())),
    }
}

fn claimed(pass: &Pass, name: Option<&str>) -> Block {
    let other =
        name.map_or_else(|| "another WhatsAppChannel".into(), |name| format!("WhatsAppChannel {name}"));
    Block::new(
        Reason::NumberClaimed,
        format!(
            "{other} manages {}; this one writes nothing until that one is gone; delete one of the two",
            pass.desired.number
        ),
    )
    .waits(Wait::on(Actor::ClusterUser, "ResolveClaim"))
}

type Decision = (Option<Planned>, Option<Block>, Vec<(ConditionType, Block)>);

fn decide(pass: &Pass, memory: &mut Memory) -> Decision {
    match way(pass, memory) {
        Err(Stop::Step(planned)) => (Some(*planned), None, Vec::new()),
        Err(Stop::Block(block)) => (None, Some(*block), Vec::new()),
        Ok((number, seen, writable)) => {
            let aside = aside::plan(pass, memory, &number, &seen, &writable);
            (aside.step, None, aside.blocks)
        }
    }
}

/// The way to Registered: every rule in order of depth, the first that does not hold ends it.
fn way(pass: &Pass, memory: &mut Memory) -> Gate<(Arc<Number>, Seen, Writable)> {
    let view = resolve::portfolio(pass)?;
    let account = resolve::account(pass, memory, view)?;
    let seen = find::see(pass, memory, account)?;
    code::note_proof(pass, memory, &seen);
    undecided::judge(pass, memory, &seen);
    let number = find::number(pass, memory, view, &seen)?;
    find::note(pass, memory, &number);
    naming::note_declined(pass, memory, &number);
    guard::connection(pass, memory, &number)?;
    guard::status(&number)?;
    guard::note_not_registered(pass, memory, &number, &seen);
    let platform = match guard::platform(pass, &number) {
        // Each field shows by its own: right after a registration they may contradict each other.
        Err(stop) if number.platform.value() == Some(&PlatformType::NotApplicable) => {
            undecided::none_open(pass, memory)?;
            undecided::settled(pass, StepKind::Register, memory, &seen)?;
            return Err(stop);
        }
        platform => platform?,
    };
    match platform {
        Platform::Registered => {
            guard::note_registered(memory, &seen, pass.now);
            undecided::none_open(pass, memory)?;
            let writable = guard::writable(pass, memory, &number);
            Ok((number, seen, writable))
        }
        Platform::NotRegistered => match unregistered(pass, memory, &number, &seen)? {},
    }
}

/// Before Registered: name, code, registration.
fn unregistered(pass: &Pass, memory: &mut Memory, number: &Number, seen: &Seen) -> Gate<Infallible> {
    if pass.desired.management == Management::ObserveOnly {
        return Err(Stop::block(observe_only(pass, &format!("{} is not registered", pass.desired.number))));
    }
    guard::is_complete(number)?;
    guard::code_known(number)?;
    undecided::none_open(pass, memory)?;
    guard::fallen_back(pass, memory, seen)?;
    naming::submitted(pass, memory, number, seen)?;
    if !register::is_unproven_sandbox(number) {
        code::verified(pass, memory, number, seen)?;
    }
    register::register(pass, memory, number, seen)
}

fn observe_only(pass: &Pass, fact: &str) -> Block {
    Block::new(
        Reason::ObserveOnly,
        format!(
            "{fact}, and managementPolicy ObserveOnly writes nothing; set it to Full to have {} brought up",
            pass.desired.name
        ),
    )
    .waits(Wait::on(Actor::ClusterUser, "AllowManagement"))
}

fn not_onboarded(fact: &str) -> Block {
    Block::new(
        Reason::CoexistenceNotOnboarded,
        format!("{fact}, and a number that stays in the WhatsApp Business app can only be connected there; do it in the app through the partner's sign-up, or set connection to CloudApi"),
    )
    .waits(Wait::on(Actor::PhoneHolder, "ConnectInApp").at(say::NUMBERS))
}

/// A step that would be due, and may not be taken yet.
fn held_back(pass: &Pass, kind: StepKind) -> Option<Block> {
    if let Claim::Ours { act_from: Some(from) } = pass.observed.claim
        && from > pass.now
    {
        return Some(
            Block::new(
                Reason::ClaimPause,
                format!(
                    "the number was managed by another channel until just now; steps are taken from {}",
                    say::time(from)
                ),
            )
            .until(from),
        );
    }
    let PortfolioState::View(view) = &pass.observed.portfolio else { return None };
    let held = pass.observed.held.get(&kind).copied();
    view.throttled_until.max(held).filter(|until| *until > pass.now).map(say::throttled)
}

/// What a throttle comes to.
pub(super) fn held_back_until(until: Timestamp) -> Block {
    say::throttled(until)
}

/// Whether the look found out what it wanted; consents are answered by such a pass.
fn has_looked(pass: &Pass, memory: &Memory) -> bool {
    let PortfolioState::View(view) = &pass.observed.portfolio else { return false };
    if view.hold.is_some() || view.credential_version.is_none() {
        return false;
    }
    match reach::choose(pass.desired, memory, view) {
        Ok(target) => {
            let list = pass.observed.search.iter().find(|searched| searched.account == target);
            list.is_some_and(|searched| !matches!(searched.list, ListState::Failed(_)))
        }
        Err(why) => why != reach::NoAccount::ReachUnread,
    }
}
