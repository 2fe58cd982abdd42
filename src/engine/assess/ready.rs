//! Readiness: the conditions that follow from the others, and the stage.

use crate::engine::{
    assess::{
        apply::{new_condition, place},
        judge::is_shown,
        scene::Scene,
    },
    value::{
        condition::{Condition, ConditionSet, Truth},
        condition_type::{Blocks, ConditionType},
        desired::ReadyWhen,
        display_name::is_same,
        id::Fact,
        reason::{Reason, ReasonKind},
        status::{Facts, Stage},
    },
};

/// `Ready` copies the first blocking condition that is not True. One that was never observed is
/// skipped when another is False. One that only repeats a reason is skipped for the one that the reason is about.
pub(super) fn ready(scene: &Scene<'_>, facts: &Facts, set: &ConditionSet) -> Condition {
    let open: Vec<&Condition> = ConditionType::CHANNEL
        .iter()
        .filter(|kind| blocks(scene, set, **kind))
        .filter_map(|kind| set.get(*kind))
        .filter(|c| c.status != Truth::True)
        .collect();
    if let Some(block) = scene.contradiction()
        && open.first().is_none_or(|condition| condition.kind > ConditionType::Registered)
    {
        return new_condition(scene, ConditionType::Ready, Truth::False, block.reason, block.message.clone());
    }
    let Some(head) = open.first() else {
        if is_unheard(scene) {
            let (reason, message) = (Reason::NoAppSubscribed, NO_APP.to_owned());
            return new_condition(scene, ConditionType::Ready, Truth::False, reason, message);
        }
        let (reason, message) = usable(scene, facts, set);
        return new_condition(scene, ConditionType::Ready, Truth::True, reason, message);
    };
    let known = open.iter().find(|c| {
        c.status == Truth::False && (head.reason == Reason::NotObservedYet || c.reason == head.reason)
    });
    let top = if head.status == Truth::Unknown { known.unwrap_or(head) } else { head };
    new_condition(scene, ConditionType::Ready, top.status, top.reason, top.message.clone())
}

const NO_APP: &str = "no app is subscribed to the account: messages to the number reach nobody";
const HEARD: &str = "; an app is subscribed to the account";
const UNTOLD: &str = "; Meta does not tell which apps are subscribed to the account";
const UNREAD: &str = "; which apps are subscribed to the account is not known yet";

/// Whether messages reach nobody, where that counts. What is not known now is as it was, and nothing at first.
fn is_unheard(scene: &Scene<'_>) -> bool {
    let stands = scene.before.conditions.get(ConditionType::Ready);
    let was = stands.is_some_and(|ready| ready.reason == Reason::NoAppSubscribed);
    scene.desired.ready_when == ReadyWhen::Operational && !scene.observed.is_received().unwrap_or(!was)
}

/// What Meta tells of the account's apps. Where it was only not reached, what it told before.
fn heard(scene: &Scene<'_>) -> &'static str {
    match &scene.observed.subscribed {
        Fact::Known(_) => HEARD,
        Fact::Unknown(failure) if failure.is_decision() => UNTOLD,
        Fact::Unknown(_) | Fact::NotAsked => {
            let stands = scene.before.conditions.get(ConditionType::Ready);
            let said = |words: &&str| stands.is_some_and(|ready| ready.message.contains(words));
            [HEARD, UNTOLD].into_iter().find(said).unwrap_or(UNREAD)
        }
    }
}

/// Whether a condition that is not True keeps `Ready` from being True.
fn blocks(scene: &Scene<'_>, set: &ConditionSet, kind: ConditionType) -> bool {
    match kind.blocks() {
        Blocks::Always => true,
        Blocks::UntilRegistered => !set.is(ConditionType::Registered, Truth::True),
        Blocks::WhenManaged => {
            is_shown(kind, scene.desired)
                && set.get(kind).is_none_or(|c| {
                    !matches!(c.reason, Reason::WebhookNotReadable | Reason::ObservationIncomplete)
                })
        }
        Blocks::WhenOperational => {
            scene.desired.ready_when == ReadyWhen::Operational
                && set.get(kind).is_some_and(|c| c.status == Truth::False)
        }
        Blocks::From(level) => scene.desired.ready_when >= level,
        Blocks::OfPortfolio | Blocks::Never => false,
    }
}

/// What a usable number is told to be. While it serves under another name than the desired one, that comes first, with what
/// becomes of it.
fn usable(scene: &Scene<'_>, facts: &Facts, set: &ConditionSet) -> (Reason, String) {
    let live = facts.verified_name.as_ref().filter(|live| !is_same(live, &scene.desired.display_name));
    let name = set.get(ConditionType::DisplayNameApproved).filter(|name| name.status != Truth::True);
    match live.zip(name) {
        Some((live, name)) => (
            Reason::UsableUnderAnotherName,
            format!(
                "{}, as {live:?} and not as {:?}; {}",
                ready_message(scene, set),
                scene.desired.display_name,
                name.message
            ),
        ),
        None => (Reason::Usable, ready_message(scene, set)),
    }
}

/// Says no more of sending than what `Healthy` read.
fn ready_message(scene: &Scene<'_>, set: &ConditionSet) -> String {
    let sends = match set.get(ConditionType::Healthy) {
        Some(healthy) if healthy.reason == Reason::CanSend => format!(", and {}", healthy.message),
        Some(healthy) if healthy.status == Truth::True => {
            ", and Meta shows that it can send within limits".into()
        }
        _ => String::new(),
    };
    let more = match scene.desired.ready_when {
        ReadyWhen::Registered => "",
        ReadyWhen::Operational => {
            return format!(
                "the number is registered{sends}{}, and no payment problem is shown",
                heard(scene)
            );
        }
        ReadyWhen::NameApproved => "; its display name is approved",
        ReadyWhen::FullyVerified => "; its display name is approved, and the business is verified",
    };
    format!("the number is registered{sends}{more}")
}

/// `Reconciling` while the operator has something to do. `Stalled` when an edit or an action at Meta is needed, and
/// waiting does not help. Never both.
pub(super) fn progress(scene: &Scene<'_>, set: &mut ConditionSet) {
    set.remove(ConditionType::Reconciling);
    set.remove(ConditionType::Stalled);
    let Some(ready) = set.get(ConditionType::Ready).cloned() else { return };
    if let Some((reason, message)) = under_way(scene, set) {
        let next = new_condition(scene, ConditionType::Reconciling, Truth::True, reason, message);
        place(set, &scene.before.conditions, next);
    } else if ready.status != Truth::True && ready.reason.kind() == ReasonKind::Stalled && !scene.has_clock()
    {
        let next = new_condition(scene, ConditionType::Stalled, Truth::True, ready.reason, ready.message);
        place(set, &scene.before.conditions, next);
    }
}

/// What the operator is doing now, if anything.
fn under_way(scene: &Scene<'_>, set: &ConditionSet) -> Option<(Reason, String)> {
    if let Some(planned) = &scene.plan.step {
        return Some((planned.step.kind().reason(), planned.why.clone()));
    }
    // Where the number is ready without it, no other condition tells of what a newer version wrote.
    if let Some(block) = scene.plan.block.as_ref().filter(|_| set.is(ConditionType::Ready, Truth::True)) {
        match block.reason {
            Reason::NewerStepOpen => return Some((Reason::EffectNotVisibleYet, block.message.clone())),
            Reason::StatusNotUnderstood => return Some((block.reason, block.message.clone())),
            _ => {}
        }
    }
    if let Some(step) = scene.memory.in_flight.as_ref().and_then(|intent| intent.step.known()) {
        return Some((
            Reason::EffectNotVisibleYet,
            format!("{} was sent; waiting for its effect", step.as_str()),
        ));
    }
    let blocks = scene.plan.block.iter().chain(scene.plan.aside.iter().map(|(_, b)| b));
    if let Some(block) = blocks.into_iter().find(|b| b.reason.kind() == ReasonKind::Progress) {
        return Some((block.reason, block.message.clone()));
    }
    ConditionType::CHANNEL
        .iter()
        .filter_map(|kind| set.get(*kind))
        .filter(|c| c.kind != ConditionType::Ready && c.status != Truth::True)
        .find(|c| c.reason.kind() == ReasonKind::Progress && c.reason != Reason::NotObservedYet)
        .map(|c| (c.reason, c.message.clone()))
}

pub(super) fn stage(scene: &Scene<'_>, set: &ConditionSet) -> Stage {
    let is_true = |kind| set.is(kind, Truth::True);
    if set.get(ConditionType::Stalled).is_some() {
        return Stage::Stalled;
    }
    if is_true(ConditionType::Ready) {
        return Stage::Ready;
    }
    if is_true(ConditionType::Registered) {
        return Stage::Configuring;
    }
    if !is_true(ConditionType::PortfolioReady) || !is_true(ConditionType::AccountUsable) {
        return Stage::Pending;
    }
    if !is_true(ConditionType::NumberAdded) {
        return Stage::Adding;
    }
    if scene.held_by_name() {
        return Stage::NameReview;
    }
    if is_true(ConditionType::NumberVerified) { Stage::Registering } else { Stage::Verifying }
}

#[cfg(test)]
mod tests;
