//! May a step that is due be taken yet?

use crate::engine::{
    plan::{pass::Pass, remedy},
    rule::say,
    value::{
        block::Block,
        observed::{Claim, PortfolioState},
        reason::Reason,
        step::StepKind,
    },
};

/// A step that would be due, and may not be taken yet.
pub(super) fn back(pass: &Pass, kind: StepKind) -> Option<Block> {
    if let Some(why) = pass.observed.attempts_unread.as_ref().filter(|_| !kind.is_repeatable()) {
        return Some(remedy::unreadable_attempts(pass, why));
    }
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
