//! What a reason asks for, as an entry of `waitingFor`.

use jiff::Timestamp;

use crate::engine::value::{
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
    reason.asks().map(|asks| asked(asks, business, now))
}

/// An act, with the words of its actor and the page in the portfolio at hand.
pub(in crate::engine) fn asked(asks: Asks, business: Option<&BusinessId>, now: Timestamp) -> WaitingFor {
    let actor = asks.action.actor();
    WaitingFor {
        actor,
        action: asks.action.as_str().to_owned(),
        since: now,
        expected_by: None,
        url: asks.page.map(|page| page.url(business)),
        if_ignored: actor.row().if_ignored.map(str::to_owned),
        if_done: asks.action.row().if_done.map(str::to_owned),
    }
}
