//! What status shows where nothing was looked at: at first, after a look that failed, and while suspended.

use jiff::Timestamp;

use crate::engine::{
    assess::{
        apply::{carried_message, new_condition},
        judge::is_shown,
        scene::Scene,
        waiting::settle_since,
    },
    rule::waiting::of_reason,
    value::{
        action::Action,
        block::Block,
        condition::{Condition, ConditionSet, Truth},
        condition_type::ConditionType,
        desired::Desired,
        memory::Memory,
        reason::Reason,
        status::{Assessment, Before, Facts, Stage, WaitingFor},
        time::later,
    },
};

/// The first status of a new object, before anything was looked at.
///
/// ```
/// use whatsapp_operator::api::{lower, v1alpha1::WhatsAppChannel};
/// use whatsapp_operator::engine::{assess, condition::Truth, condition_type::ConditionType};
/// # let manifest = serde_json::json!({
/// #     "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
/// #     "metadata": {"name": "support-br", "namespace": "shop", "uid": "u1", "generation": 1},
/// #     "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme Suporte"},
/// # });
/// let channel: WhatsAppChannel = serde_json::from_value(manifest)?;
/// let desired = lower::channel(&channel).expect("a valid spec");
/// let status = assess::first(&desired, "2026-03-01T12:00:00Z".parse()?);
/// assert!(status.conditions.is(ConditionType::Ready, Truth::Unknown));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn first(desired: &Desired, now: Timestamp) -> Assessment {
    if desired.suspend {
        return suspended(desired, &mut Memory::default(), &Before::default(), now);
    }
    let mut conditions = ConditionSet::default();
    let message = "not read from Meta yet";
    for kind in ConditionType::CHANNEL {
        if is_shown(kind, desired) && kind != ConditionType::Stalled {
            let status = if kind == ConditionType::Reconciling { Truth::True } else { Truth::Unknown };
            conditions.set(Condition {
                kind,
                status,
                reason: Reason::NotObservedYet,
                message: message.into(),
                since: now,
                observed_generation: desired.generation,
            });
        }
    }
    Assessment {
        observed_generation: Some(desired.generation),
        conditions,
        stage: Stage::Pending,
        waiting_for: Vec::new(),
        preflight: Vec::new(),
        drift: Vec::new(),
        facts: Facts::default(),
    }
}

/// A failed look changes no condition, but in time a True `Ready` becomes Unknown.
pub(super) fn unseen(scene: &Scene<'_>) -> Assessment {
    let resumed = (scene.before.stage == Some(Stage::Suspended)).then(|| resumed(scene.before, scene));
    let before = resumed.as_ref().unwrap_or(scene.before);
    let mut conditions = before.conditions.clone();
    let ready = conditions.get(ConditionType::Ready).cloned();
    match ready {
        None => conditions = first(scene.desired, scene.now).conditions,
        Some(ready) if ready.status == Truth::True && scene.is_long_unseen() => {
            conditions.set(Condition {
                status: Truth::Unknown,
                reason: Reason::NotObserved,
                message: format!(
                    "nothing could be read from Meta for {} hours, so what was True may no longer be; see whether the cluster reaches graph.facebook.com",
                    scene.unseen_after().as_secs() / 3600
                ),
                since: scene.now,
                ..ready
            });
        }
        // Said once, but the portfolio's own words may only come to be known later.
        Some(ready)
            if ready.status == Truth::Unknown
                && matches!(ready.reason, Reason::NotObservedYet | Reason::PortfolioNotReadYet) =>
        {
            // A pause of seconds is over before anybody reads of it.
            let soon = later(scene.now, scene.limits.fresh_after_write);
            if let Some(block) = scene.plan.block.as_ref().filter(|block| !is_over_by(block, soon)) {
                conditions.set(Condition {
                    reason: first_unseen_reason(block),
                    message: carried_message(block, None),
                    ..ready
                });
            }
        }
        Some(_) => {}
    }
    Assessment {
        observed_generation: None,
        conditions,
        stage: before.stage.unwrap_or(Stage::Pending),
        waiting_for: before.waiting_for.clone(),
        preflight: before.preflight.clone(),
        drift: before.drift.clone(),
        facts: before.facts.clone(),
    }
}

/// The channel is no longer suspended, also when the look failed: status must not wait for a person to resume it.
fn resumed(before: &Before, scene: &Scene<'_>) -> Before {
    let mut after = before.clone();
    after.waiting_for.retain(|wait| wait.action != Action::Resume.as_str());
    let is_ready = after.conditions.is(ConditionType::Ready, Truth::True);
    after.stage = Some(if is_ready { Stage::Ready } else { Stage::Pending });
    let message = "not read since it was resumed";
    if let Some(ready) =
        after.conditions.get(ConditionType::Ready).filter(|c| c.reason == Reason::Suspended).cloned()
    {
        let block = scene.plan.block.as_ref();
        let (reason, message) = block.map_or((Reason::NotObservedYet, message.into()), |block| {
            (first_unseen_reason(block), carried_message(block, None))
        });
        after.conditions.set(Condition { reason, message, since: scene.now, ..ready });
    }
    let reason = Reason::NotObservedYet;
    let next = new_condition(scene, ConditionType::Reconciling, Truth::True, reason, message.into());
    after.conditions.set(next);
    after
}

fn is_over_by(block: &Block, time: Timestamp) -> bool {
    matches!(block.reason, Reason::Throttled | Reason::NotSentYet)
        && block.until.is_some_and(|until| until <= time)
}

fn first_unseen_reason(block: &Block) -> Reason {
    if block.reason.may_be_on(ConditionType::Ready) { block.reason } else { Reason::NotObservedYet }
}

/// A suspended channel: nothing is looked at; what was True stays.
pub(super) fn suspended(
    desired: &Desired,
    memory: &mut Memory,
    before: &Before,
    now: Timestamp,
) -> Assessment {
    let mut conditions = before.conditions.clone();
    conditions.remove(ConditionType::Reconciling);
    conditions.remove(ConditionType::Stalled);
    let ready = conditions.get(ConditionType::Ready).cloned();
    if ready.as_ref().is_none_or(|c| c.status != Truth::True) {
        conditions.set(Condition {
            kind: ConditionType::Ready,
            status: ready.map_or(Truth::Unknown, |c| c.status),
            reason: Reason::Suspended,
            message: "suspended: nothing is read and nothing is done; set suspend: false to go on".into(),
            since: now,
            observed_generation: desired.generation,
        });
    }
    let resume = of_reason(Reason::Suspended, None, now)
        .map(|wait| WaitingFor { if_ignored: Some("nothing is read and nothing is done".into()), ..wait });
    let rest = before.waiting_for.iter().filter(|w| w.action != Action::Resume.as_str()).cloned();
    let mut waiting_for: Vec<WaitingFor> = resume.into_iter().chain(rest).collect();
    settle_since(&mut waiting_for, &mut memory.since, now);
    Assessment {
        observed_generation: Some(desired.generation),
        conditions,
        stage: Stage::Suspended,
        waiting_for,
        preflight: before.preflight.clone(),
        drift: before.drift.clone(),
        facts: before.facts.clone(),
    }
}

#[cfg(test)]
mod tests;
