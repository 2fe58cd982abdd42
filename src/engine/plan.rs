//! Turns a difference into at most one step, and everything else into words.
//!
//! Pure: the same inputs give the same plan, byte for byte. Nothing here knows
//! whether a cluster or a file asked.

use jiff::Timestamp;

use super::{
    condition::ConditionType,
    desired::Desired,
    failure::Failure,
    limits::Limits,
    memory::{ConsentAnswer, ConsentKind, Memory},
    observed::Observed,
    reason::Reason,
    step::Planned,
};

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
/// The plan holds at most one step; the rest waits for the next pass.
pub fn plan(
    _desired: &Desired,
    _observed: &Observed,
    _memory: &Memory,
    _limits: &Limits,
    _now: Timestamp,
) -> Plan {
    unimplemented!()
}
