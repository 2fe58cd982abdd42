//! What a reason asks for, as an entry of `waitingFor`.

use jiff::Timestamp;

use crate::engine::value::{
    action::Action,
    id::BusinessId,
    reason::{Asks, Reason},
    status::WaitingFor,
};

/// The wait that a reason means where no block says it more exactly.
pub(in crate::engine) fn of_reason(
    reason: Reason,
    business: Option<&BusinessId>,
    now: Timestamp,
) -> Option<WaitingFor> {
    reason.asks().map(|asks| asked(reason, asks, business, now))
}

/// An act that a reason asks for, with the words of its actor and the page in the portfolio at hand.
pub(in crate::engine) fn asked(
    reason: Reason,
    asks: Asks,
    business: Option<&BusinessId>,
    now: Timestamp,
) -> WaitingFor {
    let actor = asks.action.actor();
    WaitingFor {
        actor,
        action: asks.action.as_str().to_owned(),
        since: now,
        expected_by: None,
        url: asks.page.map(|page| page.url(business)),
        if_ignored: actor.row().if_ignored.map(str::to_owned),
        if_done: destroyed(reason, asks.action).or(asks.action.row().if_done).map(str::to_owned),
    }
}

/// What an act destroys or interrupts where this reason asks for it, and elsewhere does not.
fn destroyed(reason: Reason, action: Action) -> Option<&'static str> {
    match (reason, action) {
        (Reason::StorageRegionDiffers, Action::ChangeSpec | Action::Retry) => Some(
            "a number that is registered again for its storage region can neither send nor receive for some minutes; to set the region back interrupts nothing",
        ),
        (Reason::FellBack, Action::Retry | Action::AskForCode) => Some(
            "where somebody moved the number on purpose, the registration takes it away from there, and whoever sends with it now no longer can",
        ),
        (Reason::UsernameInUse, Action::ChangeSpec) => Some(
            "a username that is moved to this number is lost to the other one; to set another username takes nothing away",
        ),
        (Reason::UsernameDiffers, Action::Retry) => Some("the number loses the username that it has now"),
        _ => None,
    }
}
