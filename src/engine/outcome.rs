//! Outcome of a step.

use jiff::Timestamp;

use super::{
    failure::Failure,
    id::NumberId,
    limits::Limits,
    memory::{Intent, Memory, StepKind},
    plan::Plan,
};

/// What a step gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The intent's id; repeatable steps have none.
    pub intent: Option<String>,
    pub step: StepKind,
    pub at: Timestamp,
    pub result: Result<Accepted, Failure>,
}

/// Meta (or the cluster, for `CreatePin`) said yes.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Accepted {
    /// The new number's id, of an add.
    pub number: Option<NumberId>,
}

/// Memory with the step of the plan written down, before it is done: `inFlight`, the ledger entry, the consumed
/// consent. `None` when the plan's step needs no intent. `id` is fresh and unique.
pub fn intend(
    _plan: &Plan,
    _generation: i64,
    _id: &str,
    _limits: &Limits,
    _now: Timestamp,
) -> Option<(Memory, Intent)> {
    unimplemented!()
}

/// Folds an outcome into memory: closes the intent where Meta answered, moves the settle time into the ledger,
/// sets marks. Works on any memory that holds the intent, so it can be merged into a live ledger after a conflict.
pub fn fold(_memory: &Memory, _outcome: &Outcome, _plan: &Plan, _limits: &Limits) -> Memory {
    unimplemented!()
}
