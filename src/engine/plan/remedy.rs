//! Blocks that several rules of the plan share, each with its remedy.

use crate::engine::{
    plan::pass::Pass,
    rule::say,
    value::{action::Action, block::Block, failure::Refusal, reason::Reason},
};

/// Work that is due, on a channel that only observes.
pub(super) fn observe_only(pass: &Pass, fact: &str) -> Block {
    Block::new(
        Reason::ObserveOnly,
        format!(
            "{fact}, and managementPolicy ObserveOnly writes nothing; set it to Full to have {} brought up",
            pass.desired.name
        ),
    )
}

/// A number that stays in the app and was not connected there.
pub(super) fn not_onboarded(fact: &str) -> Block {
    Block::new(
        Reason::CoexistenceNotOnboarded,
        format!(
            "{fact}, and a number that stays in the WhatsApp Business app can only be connected there; do it in the app through the partner's sign-up, or set connection to CloudApi"
        ),
    )
}

/// A word of Meta's that this version does not know: nothing is written on its strength.
pub(super) fn not_known(field: &str, word: &str, of: &str) -> Block {
    Block::new(
        Reason::StatusNotKnown,
        format!(
            "{field} of {of} reads {word}, which this version does not know; nothing is written until it reads a known value; a newer version may know it"
        ),
    )
}

/// The exact remedy for a number that is still in an app.
pub(super) fn on_phone(pass: &Pass, refusal: &Refusal) -> Block {
    Block::new(
        Reason::NumberOnPhone,
        format!(
            "{} still belongs to an account in a WhatsApp app ({}); on that phone choose Settings > Account > Delete account (uninstalling is not enough), wait five minutes, {}",
            pass.desired.number,
            say::words(refusal),
            pass.then_retry()
        ),
    )
    .refused(Some(refusal))
    .or_else("nothing is tried again by itself; the number stays where it is")
}

/// A Secret that could not be read now.
pub(super) fn unreadable(place: &str, why: &str) -> Block {
    Block::new(
        Reason::ObservationIncomplete,
        format!("{place} could not be read from the cluster now ({why}); it is read again by itself"),
    )
    .asks(Action::CheckCluster)
}
