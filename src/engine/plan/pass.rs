//! One pass: everything a rule may ask, what was seen of the number, and how a rule stops.

use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::{
    rule::{
        clock::Clock,
        consent::{self, Pending},
    },
    value::{
        block::Block,
        desired::Desired,
        id::{AccountId, NumberId},
        limits::Limits,
        memory::{ConsentKind, Memory},
        observed::{Number, Observed},
        reason::Reason,
        step::{Cause, Planned, Step},
    },
};

/// Everything a rule may ask, but memory, which rules also change.
pub(super) struct Pass<'a> {
    pub(super) desired: &'a Desired,
    pub(super) observed: &'a Observed,
    pub(super) limits: &'a Limits,
    pub(super) now: Timestamp,
    pub(super) send_code: Option<Pending>,
    pub(super) retry: Option<Pending>,
    pub(super) official: Option<Pending>,
    pub(super) number_before: Option<NumberId>,
}

/// What the target account's list showed.
pub(super) struct Seen {
    pub(super) account: AccountId,
    /// When the list was begun; only complete lists get here.
    pub(super) begun: Option<Timestamp>,
    pub(super) number: Option<Arc<Number>>,
}

/// Whether a setting may be written, or why not.
#[derive(Clone)]
pub(super) enum Writable {
    Yes,
    /// Observed only, with why.
    No(String),
    Incomplete(String),
}

/// Why a rule goes no further.
pub(super) enum Stop {
    Step(Box<Planned>),
    Block(Box<Block>),
}

/// A rule lets the next one go on, or stops.
pub(super) type Gate<T = ()> = Result<T, Stop>;

impl Stop {
    pub(super) fn block(block: Block) -> Self {
        Self::Block(Box::new(block))
    }

    /// Something that the look did not bring yet.
    pub(super) fn look_again(message: impl Into<String>) -> Self {
        Self::block(Block::new(Reason::NotObservedYet, message))
    }
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        desired: &'a Desired,
        observed: &'a Observed,
        memory: &Memory,
        limits: &'a Limits,
        now: Timestamp,
    ) -> Self {
        let usable = |kind| consent::usable(&desired.consents, kind, memory, limits, now);
        Self {
            desired,
            observed,
            limits,
            now,
            send_code: usable(ConsentKind::SendCode),
            retry: usable(ConsentKind::Retry),
            official: usable(ConsentKind::Official),
            number_before: memory.number.clone(),
        }
    }

    /// The same, as if nobody had asked for anything to be tried again.
    pub(super) fn without_retry(&self) -> Self {
        let (send_code, official) = (self.send_code.clone(), self.official.clone());
        Self { send_code, retry: None, official, number_before: self.number_before.clone(), ..*self }
    }

    /// The retry, where it was set since the number was found. What stood in a manifest before that was meant for something else.
    pub(super) fn retry_since_found(&self, memory: &Memory) -> Option<&Pending> {
        let found = memory.marks.adopted_since();
        self.retry.as_ref().filter(|retry| found.is_none_or(|found| retry.since > found))
    }

    pub(super) fn step(&self, step: Step, why: String, cause: Cause) -> Stop {
        Stop::Step(Box::new(Planned { step, why, cause }))
    }

    /// The number was found just now, so the look could not ask for what belongs to it.
    pub(super) fn is_first_sight(&self, memory: &Memory) -> bool {
        memory.number != self.number_before
    }

    /// By which it is told what may still happen.
    pub(super) fn clock(&self) -> Clock<'a> {
        Clock { process: &self.observed.process, limits: self.limits, now: self.now }
    }

    /// The exact command for this channel.
    pub(super) fn command(&self, verb: &str) -> String {
        format!("kubectl whatsapp {verb} {} -n {}", self.desired.name, self.desired.namespace)
    }

    /// Asks for `retry` once something was put right.
    pub(super) fn then_retry(&self) -> String {
        format!("then run {}", self.command("retry"))
    }
}
