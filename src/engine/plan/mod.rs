//! Turns a difference into at most one step, and everything else into words.
//!
//! Pure: the same inputs give the same plan, byte for byte. Nothing here knows
//! whether a cluster or a file asked.

mod add;
mod aside;
mod away;
mod consent;
mod find;
mod go_live;
mod guard;
mod held;
mod naming;
mod next;
mod official;
mod pass;
mod picture;
mod pin;
mod region;
mod register;
mod remedy;
mod rename;
mod repin;
mod request;
mod resolve;
mod serve;
mod sync;
#[cfg(test)]
mod tests;
mod undecided;
mod username;
mod verify;

pub use consent::note_met;

use std::{convert::Infallible, sync::Arc};

use jiff::Timestamp;

use crate::engine::{
    plan::{
        aside::MayWrite,
        away::Away,
        guard::Platform,
        pass::{Gate, Pass, Seen, Stop},
        serve::Found,
    },
    rule::reach,
    value::{
        action::Action,
        block::Block,
        condition_type::ConditionType,
        desired::{Desired, Management},
        farewell::Farewell,
        id::PlatformType,
        limits::Limits,
        memory::{ConsentAnswer, ConsentKind, Memory},
        observed::{Claim, ListState, Number, Observed},
        portfolio::PortfolioView,
        reason::Reason,
        step::{Cause, Planned, StepKind},
        time::{earlier, later},
    },
};

/// What a pass decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The one step of this pass; the rest waits for the next.
    pub step: Option<Planned>,
    /// Why the next step to Registered is not taken now: the first cause.
    pub block: Option<Block>,
    /// Blocks of what is beside the way (webhook, profile, the name of a registered number), by the condition that they
    /// keep from being True.
    pub aside: Vec<(ConditionType, Block)>,
    /// Consents answered by this pass.
    pub answered: Vec<(ConsentKind, ConsentAnswer)>,
    /// Memory after looking (adopted, marks, undecided steps closed), before any intent.
    pub memory: Memory,
    /// When to look again, at the latest.
    pub next: Timestamp,
    /// When something is due, whatever Meta shows. None: only a change of what was looked at can change anything.
    pub date: Option<Timestamp>,
    /// Of an object that is being deleted: nothing is left to be done, and it may go.
    pub farewell: Option<Farewell>,
}

/// What a rename costs, and how much of that is left before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenameCost {
    pub reviews: usize,
    /// In 30 days.
    pub reviews_left: usize,
    /// Where Meta does not make the approved name live by itself.
    pub registrations: usize,
    /// In 72 hours.
    pub registrations_left: usize,
}

impl Plan {
    /// Whether the attempts of other objects are needed: a step that cannot be repeated is due.
    pub fn needs_attempts(&self) -> bool {
        self.step.as_ref().is_some_and(|planned| !planned.step.kind().is_repeatable())
    }

    /// Whether the number is where it should be: only a change of what was looked at, a date or a person changes anything.
    pub fn is_at_rest(&self) -> bool {
        if self.farewell.is_some() {
            return false;
        }
        let is_sought = self.memory.number.is_none() || self.memory.marks.missing_since.is_some();
        self.step.is_none() && self.block.is_none() && self.memory.in_flight.is_none() && !is_sought
    }

    /// Whether this plan, or what it does first, leads to a review of the name of a registered number.
    fn renames(&self) -> bool {
        let submits = self.step.as_ref().is_some_and(|planned| planned.step.kind() == StepKind::SubmitName);
        // What Meta approved was reviewed, whatever the registration for it waits for.
        let is_ahead = |block: &Block| match block.reason {
            Reason::SubmittingName => true,
            Reason::PinNeeded | Reason::PinMalformed | Reason::PinMismatch | Reason::NotObservedYet => {
                self.memory.marks.approved.is_none()
            }
            _ => false,
        };
        let mut aside = self.aside.iter();
        let is_next = aside.any(|(on, block)| *on == ConditionType::DisplayNameApproved && is_ahead(block));
        (submits || is_next) && !self.memory.is_unfinished()
    }

    /// What the rename of a registered number costs, where this plan leads to one.
    pub fn rename_cost(&self, limits: &Limits, now: Timestamp) -> Option<RenameCost> {
        if !self.renames() {
            return None;
        }
        let left = |kind, limit: usize, window| {
            limit.saturating_sub(self.memory.ledger.since(kind, Some(earlier(now, window))).count())
        };
        Some(RenameCost {
            reviews: 1,
            reviews_left: left(StepKind::SubmitName, limits.names, limits.names_window),
            registrations: 1,
            registrations_left: left(
                StepKind::Register,
                limits.registrations_total,
                limits.registration_window,
            ),
        })
    }

    /// Whether a step to Registered or a setting waits for something.
    pub fn is_waiting(&self) -> bool {
        self.block.is_some() || !self.aside.is_empty()
    }
}

/// Plans one pass over a channel.
///
/// The plan holds at most one step; the rest waits for the next pass. An observation that failed blocks every
/// step that depends on it instead of guessing.
///
/// Not promised: that the step succeeds, or that Meta still shows what `observed` says.
///
/// See the example of [the engine](crate::engine).
pub fn plan(
    desired: &Desired,
    observed: &Observed,
    memory: &Memory,
    limits: &Limits,
    now: Timestamp,
) -> Plan {
    let pass = Pass::new(desired, observed, memory, limits, now);
    let mut memory = memory.clone();
    if let Some(since) = desired.deletion.since {
        return going(&pass, memory, since);
    }
    if let Some(block) = idle(&pass) {
        let mut answered = consent::note_met(&desired.consents, &mut memory, now);
        answered.extend(consent::answer_idle(&pass, &mut memory, &block));
        let next = later(now, limits.look_at_least);
        return Plan {
            step: None,
            block: Some(block),
            aside: Vec::new(),
            answered,
            memory,
            next,
            date: None,
            farewell: None,
        };
    }
    let (mut step, mut block, aside) = decide(&pass, &mut memory);
    if let Some(held) = step.as_ref().and_then(|planned| held::back(&pass, planned.step.kind())) {
        (step, block) = (None, Some(held));
    }
    if let Some(planned) = &step {
        aside::begin(&pass, &mut memory, planned);
    }
    let has_looked = has_looked(&pass, &memory);
    let answered = consent::answer(&pass, &mut memory, step.as_ref(), block.as_ref(), &aside, has_looked);
    let (next, date) = next::next(&pass, &memory, step.as_ref(), block.as_ref(), &aside);
    Plan { step, block, aside, answered, memory, next, date, farewell: None }
}

/// Plans one pass over a channel that is being deleted.
fn going(pass: &Pass, mut memory: Memory, since: Timestamp) -> Plan {
    let (step, block, farewell) = match away::plan(pass, &mut memory, since) {
        Away::Step(step) => (Some(step), None, None),
        Away::Block(block) => (None, Some(block), None),
        Away::Farewell(farewell) => (None, None, Some(farewell)),
    };
    let next = block.as_ref().map_or(pass.now, |block| away::next(pass, &memory, block, since));
    let (aside, answered) = (Vec::new(), Vec::new());
    Plan { step, block, aside, answered, memory, next, date: Some(next), farewell }
}

/// Nothing is looked at and nothing is done.
fn idle(pass: &Pass) -> Option<Block> {
    if pass.desired.suspend {
        return Some(Block::new(
            Reason::Suspended,
            "suspended: nothing is read from or written to Meta; set spec.suspend to false to go on",
        ));
    }
    if pass.desired.management == Management::ObserveOnly {
        return None;
    }
    match &pass.observed.claim {
        Claim::Ours { .. } => None,
        Claim::Undecided => Some(Block::new(
            Reason::NotObservedYet,
            "it is not known yet which channel manages the number, so this one does not act",
        )),
        Claim::Other { name } => Some(claimed(pass, name.as_deref())),
    }
}

fn claimed(pass: &Pass, name: Option<&str>) -> Block {
    let number = &pass.desired.number;
    let said = match name {
        Some(name) => format!(
            "WhatsAppChannel {name} manages {number}; this one writes nothing until that one is gone; delete one of the two"
        ),
        None => format!(
            "a WhatsAppChannel of another namespace manages {number}; this one writes nothing meanwhile; {FOREIGN_CLAIM}"
        ),
    };
    Block::new(Reason::NumberClaimed, said)
}

/// What a person can do about an object that they may not see.
const FOREIGN_CLAIM: &str = "delete this one if it is not to manage the number; if Meta shows the number as verified or registered in this one's account, and the other one has not found it, it comes here by itself within an hour; else ask whoever runs the operator, who finds the other one with kubectl get whatsappchannels --all-namespaces";

type Decision = (Option<Planned>, Option<Block>, Vec<(ConditionType, Block)>);

fn decide(pass: &Pass, memory: &mut Memory) -> Decision {
    match way(pass, memory) {
        Err(Stop::Step(planned)) => (Some(*planned), None, Vec::new()),
        Err(Stop::Block(block)) => (None, Some(*block), Vec::new()),
        Ok((number, seen, may_write)) => {
            let aside =
                serve::plan(pass, memory, &Found { number: &number, seen: &seen, may_write: &may_write });
            (aside.step, None, aside.blocks)
        }
    }
}

/// The steps to Registered: the rules in order of depth. The first rule that does not hold decides.
fn way(pass: &Pass, memory: &mut Memory) -> Gate<(Arc<Number>, Seen, MayWrite)> {
    let view = resolve::portfolio(pass)?;
    let account = resolve::account(pass, memory, view)?;
    undecided::understood(pass, memory)?;
    let seen = find::see(pass, memory, account)?;
    verify::note_proof(pass, memory, &seen);
    undecided::judge(pass, memory, &seen);
    pin::note_touched(pass, memory);
    let number = number(pass, memory, view, &seen)?;
    find::note(pass, memory, &number);
    picture::note_found(pass, memory);
    aside::note_found(pass, memory);
    naming::note_declined(pass, memory, &number);
    guard::connection(pass, memory, &number, &seen)?;
    guard::status(pass, memory, &number)?;
    guard::platform_stands(pass, memory, &number, &seen)?;
    guard::note_not_registered(pass, memory, &number, &seen);
    guard::note_connected(pass, memory, &number, &seen);
    let platform = match guard::platform(pass, memory, &number) {
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
            sync::note_onboarded(pass, memory);
            guard::note_registered(memory, &seen, pass.now);
            undecided::none_open(pass, memory)?;
            let may_write = guard::may_write(pass, memory, &number);
            Ok((number, seen, may_write))
        }
        Platform::NotRegistered => {
            let elsewhere = find::live_elsewhere(pass, view, &seen, &number);
            let Err(stop) = unregistered(pass, memory, &number, &seen);
            Err(match elsewhere {
                // It was registered here a moment ago, and comes back whoever else has it.
                _ if memory.marks.is_moving => stop,
                Some(block) => unless_asked(pass, stop, block),
                None => unless_unread(pass, view, stop, &seen),
            })
        }
    }
}

/// The number, which is added where no account in reach has it.
fn number(pass: &Pass, memory: &mut Memory, view: &PortfolioView, seen: &Seen) -> Gate<Arc<Number>> {
    if let Some(number) = &seen.number {
        return Ok(Arc::clone(number));
    }
    find::absent(pass, memory, view, seen)?;
    match add::add(pass, memory, view, seen)? {}
}

/// Before Registered: name, code, registration.
fn unregistered(pass: &Pass, memory: &mut Memory, number: &Number, seen: &Seen) -> Gate<Infallible> {
    if pass.desired.management == Management::ObserveOnly {
        return Err(Stop::block(remedy::observe_only(
            pass,
            &format!("{} is not registered", pass.desired.number),
        )));
    }
    guard::is_complete(number)?;
    guard::code_known(number)?;
    undecided::none_open(pass, memory)?;
    register::asked_since_it_fell_back(pass, memory, number)?;
    // A name that is submitted now would be in review when the number is registered again.
    let comes_back = memory.marks.is_moving
        && matches!(naming::allows_registration(pass, memory, number), Ok(naming::Grant::Usable));
    if !comes_back {
        naming::submitted(pass, memory, number, seen)?;
    }
    if !register::is_unproven_sandbox(number) {
        verify::verified(pass, memory, number, seen)?;
    }
    region::configured(pass, memory, number, seen)?;
    register::register(pass, memory, number, seen)
}

/// What takes a number away from another account is done once per `retry`, and a code is sent by consent.
fn unless_asked(pass: &Pass, stop: Stop, block: Block) -> Stop {
    match stop {
        Stop::Step(mut planned) if !is_consented(&planned.cause) && takes_over(planned.step.kind()) => {
            match &pass.retry {
                Some(retry) => {
                    planned.cause = Cause::Retry(retry.value.clone());
                    Stop::Step(planned)
                }
                None => Stop::block(block),
            }
        }
        // Whoever does what such a block asks for would take the number over without knowing it.
        Stop::Block(held) if invites(&held) => Stop::block(block),
        stop => stop,
    }
}

/// Nothing is registered by itself while an account cannot be read in which the number may be live.
fn unless_unread(pass: &Pass, view: &PortfolioView, stop: Stop, seen: &Seen) -> Stop {
    match (&stop, find::unread_elsewhere(pass, view, seen)) {
        (Stop::Step(planned), Some(block))
            if !is_consented(&planned.cause) && takes_over(planned.step.kind()) =>
        {
            Stop::block(block)
        }
        _ => stop,
    }
}

fn is_consented(cause: &Cause) -> bool {
    matches!(cause, Cause::Retry(_) | Cause::SendCode(_) | Cause::Official(_))
}

/// Whether it ends with a consent, or by itself with a registration. A lock of Meta's is ended by neither.
fn invites(block: &Block) -> bool {
    let asked = block.reason.asks().map(|asks| asks.action);
    matches!(asked, Some(Action::Retry | Action::AskForCode))
        || (block.reason == Reason::RegistrationPaused && block.failure.is_none())
}

fn takes_over(step: StepKind) -> bool {
    matches!(step, StepKind::RequestCode | StepKind::SetPin | StepKind::Register)
}

/// Whether the look found out what it wanted; consents are answered by such a pass.
fn has_looked(pass: &Pass, memory: &Memory) -> bool {
    let Some(view) = pass.observed.portfolio.usable() else { return false };
    match reach::choose(pass.desired, memory, view) {
        Ok(target) => {
            let list = pass.observed.search.iter().find(|searched| searched.account == target);
            list.is_some_and(|searched| !matches!(searched.list, ListState::Failed(_)))
        }
        Err(why) => why != reach::NoAccount::ReachUnread,
    }
}
