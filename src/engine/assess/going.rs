//! What status shows of an object that is being deleted: what it still waits for. What was seen of the number stays.

use crate::engine::{
    assess::{scene::Given, waiting::settle_since},
    rule::waiting::asked,
    value::{
        condition::{Condition, Truth},
        condition_type::ConditionType,
        memory::Memory,
        reason::{Asks, Reason},
        status::{Assessment, Stage, WaitingFor},
    },
};

/// Nothing is judged any more: what happens next is all that matters of it.
pub(super) fn going(given: &Given<'_>, memory: &mut Memory) -> Assessment {
    let Given { desired, plan, before, now, .. } = *given;
    let policy = desired.deletion.policy.as_str();
    let what = match (&plan.step, &plan.block) {
        (Some(planned), _) => planned.why.clone(),
        (None, Some(block)) => block.message.clone(),
        (None, None) => "nothing is left to be done".into(),
    };
    let message = format!("the channel is being deleted with deletionPolicy {policy}: {what}");
    let mut conditions = before.conditions.clone();
    conditions.remove(ConditionType::Stalled);
    for (kind, status) in [(ConditionType::Ready, Truth::False), (ConditionType::Reconciling, Truth::True)] {
        let stood = conditions.get(kind).filter(|stood| stood.status == status);
        let since = stood.map_or(now, |stood| stood.since);
        conditions.set(Condition {
            kind,
            status,
            reason: Reason::CleaningUp,
            message: message.clone(),
            since,
            observed_generation: desired.generation,
        });
    }
    let wait = plan.block.as_ref().and_then(|block| Some((block, block.wait.as_ref()?)));
    let mut waiting_for: Vec<WaitingFor> = wait
        .map(|(block, wait)| WaitingFor {
            expected_by: wait.expected_by.or(block.until),
            if_ignored: Some(
                "the channel is deleted all the same, and what could not be taken back stays at Meta".into(),
            ),
            ..asked(
                block.reason,
                Asks { action: wait.action, page: wait.page },
                memory.business.as_ref(),
                now,
            )
        })
        .into_iter()
        .collect();
    settle_since(&mut waiting_for, &mut memory.since, now);
    Assessment {
        observed_generation: Some(desired.generation),
        conditions,
        stage: Stage::Deleting,
        waiting_for,
        preflight: before.preflight.clone(),
        drift: before.drift.clone(),
        facts: before.facts.clone(),
    }
}
