//! What a pass over a channel that is being deleted needs to know.

use jiff::Timestamp;

use super::{AccountLook, Follows, Look, Urgency, nothing, usable};
use crate::engine::{
    rule::reach,
    value::{
        desired::{Deletion, DeletionPolicy, Desired},
        limits::Limits,
        memory::Memory,
        observed::{Claim, PortfolioState},
        step::StepKind,
        time::{earlier, later},
    },
};

/// The number as it is since the deletion, and who else is subscribed where it may be deregistered.
pub(super) fn look(
    desired: &Desired,
    memory: &Memory,
    (claim, portfolio): (&Claim, &PortfolioState),
    follows: Follows<'_>,
    since: Timestamp,
    limits: &Limits,
    now: Timestamp,
) -> Look {
    let nothing = nothing(Urgency::Edit);
    let may_look = desired.is_cleaning_up() && matches!(claim, Claim::Ours { .. }) && memory.number.is_some();
    let Some(view) = usable(portfolio).filter(|_| may_look) else { return nothing };
    let Ok(account) = reach::choose(desired, memory, view) else { return nothing };
    let not_before = not_before(memory, follows, since, limits, now);
    let Deletion { policy, .. } = desired.deletion;
    Look {
        meta: true,
        subscription: (policy == DeletionPolicy::Deregister).then(|| account.clone()),
        accounts: vec![AccountLook { account, facts: Some(not_before), not_before }],
        number: memory.number.clone(),
        ..nothing
    }
}

/// Of half a minute ago, and not from before the deletion, a write, or the end of the time that an effect had to show.
fn not_before(
    memory: &Memory,
    follows: Follows<'_>,
    since: Timestamp,
    limits: &Limits,
    now: Timestamp,
) -> Timestamp {
    let (ledger, paces) = (&memory.ledger, &memory.ledger.repeatable);
    let entries = [StepKind::Register, StepKind::Deregister].map(|kind| ledger.last(kind)?.settle_until);
    let paces = [StepKind::RouteWebhook, StepKind::UnrouteWebhook].map(|kind| paces.get(&kind)?.settle_until);
    let missing = memory.marks.missing_since.map(|at| later(at, limits.fresh_after_write));
    let flight = memory.in_flight.as_ref().map(|intent| intent.settle_until);
    let due = entries.into_iter().chain(paces).chain([missing, flight]).flatten().filter(|at| *at <= now);
    let wrote = follows.after_write.max(memory.last_listed_write());
    let recent = earlier(now, limits.fresh_after_write.min(limits.fresh_list));
    [Some(recent), Some(since), wrote, due.max()].into_iter().flatten().max().unwrap_or(now).min(now)
}
