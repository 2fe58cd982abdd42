//! Outcome of a step: what the call gave.

use jiff::Timestamp;

use crate::engine::value::{
    failure::{Failure, Refusal, Scope},
    id::NumberId,
    step::StepKind,
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

impl Outcome {
    /// Whether it counts as an attempt. A step that was not sent, or throttled before Meta looked at it, does not.
    ///
    /// ```
    /// use whatsapp_operator::engine::{failure::Failure, outcome::Outcome, step::StepKind};
    /// let outcome = |failure| Outcome {
    ///     intent: None,
    ///     step: StepKind::Register,
    ///     at: jiff::Timestamp::UNIX_EPOCH,
    ///     result: Err(failure),
    /// };
    /// assert!(outcome(Failure::NoAnswer("time-out".into())).is_attempt());
    /// assert!(!outcome(Failure::NotSent("no connection".into())).is_attempt());
    /// ```
    pub fn is_attempt(&self) -> bool {
        match &self.result {
            Ok(_) | Err(Failure::NoAnswer(_) | Failure::TooLarge(_)) => true,
            Err(Failure::Refused(refusal)) => !is_postponed(self.step, refusal),
            Err(Failure::NotSent(_) | Failure::Throttled(_) | Failure::NoRoom(_)) => false,
        }
    }
}

/// Meta (or the cluster, for `CreatePin`) said yes.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Accepted {
    /// The new number's id, of an add.
    pub number: Option<NumberId>,
    /// Of a registration: Meta said that it left another PIN in force.
    pub has_kept_pin: bool,
    /// By which Meta's support finds the call again.
    pub trace_id: Option<String>,
}

/// A throttle or a dead credential is no attempt: Meta did not look at the step. Only registrations are counted
/// even then, because Meta does not document whether it counts them.
pub(in crate::engine) fn is_postponed(kind: StepKind, refusal: &Refusal) -> bool {
    let is_throttle =
        refusal.is_pause() && matches!(refusal.scope, Scope::Account | Scope::Portfolio | Scope::App);
    (is_throttle || refusal.is_about_credentials()) && kind != StepKind::Register
}
