//! Application: how a judgement becomes a condition, with the block that holds it up and Meta's words about it.

use crate::engine::{
    assess::scene::{Judged, Place, Scene, is_passing},
    value::{
        block::Block,
        condition::{Condition, ConditionSet, Truth},
        condition_type::ConditionType,
        failure::{Failure, Refusal},
        reason::{Reason, ReasonKind},
        status::Facts,
    },
};

pub(super) fn apply(
    scene: &Scene<'_>,
    facts: &Facts,
    set: &mut ConditionSet,
    kind: ConditionType,
    verdict: Judged,
) {
    let (status, reason, message) = match verdict {
        Judged::Absent => return set.remove(kind),
        Judged::True(reason, message) => (Truth::True, reason, message),
        Judged::Unknown(reason, message) => (Truth::Unknown, reason, message),
        Judged::False(reason, message) => match scene.block_on(kind).filter(|b| b.reason == reason) {
            Some(block) => (Truth::False, reason, carried_message(block, facts.last_refusal.as_ref())),
            None => (Truth::False, reason, message),
        },
        Judged::Open(message) => match scene.block_on(kind) {
            Some(block) => (Truth::False, block.reason, carried_message(block, facts.last_refusal.as_ref())),
            None => (Truth::False, scene.open_reason(kind), message),
        },
        Judged::Keep => return kept(scene, facts, set, kind),
    };
    place(set, &scene.before.conditions, new_condition(scene, kind, status, reason, message));
}

/// Nothing is known anew: the condition stays, but says what holds it up when it is not True anyway.
fn kept(scene: &Scene<'_>, facts: &Facts, set: &mut ConditionSet, kind: ConditionType) {
    let old = set.get(kind).cloned();
    let block = scene.block_on(kind);
    if old.as_ref().is_some_and(|c| c.status == Truth::True)
        && !block.is_some_and(|b| ends(scene, kind, b.reason))
    {
        return;
    }
    let is_first =
        old.as_ref().is_none_or(|c| c.status == Truth::Unknown && c.reason == Reason::NotObservedYet);
    // What the operator was at is over, once something else holds it up.
    let is_over = old.as_ref().is_some_and(|c| c.reason.kind() == ReasonKind::Progress);
    let Some(block) = block.filter(|b| is_first || is_over || !is_passing(b.reason)) else {
        let is_open = old.as_ref().is_none_or(|c| c.status != Truth::True);
        let step = scene.step_on(kind).filter(|_| is_open);
        let (reason, message) = match step {
            Some(planned) => (scene.open_reason(kind), planned.why.clone()),
            None if old.is_none() => (Reason::NotObservedYet, "not read from Meta yet".into()),
            None => return,
        };
        let status = old.map_or(Truth::Unknown, |c| c.status);
        place(set, &scene.before.conditions, new_condition(scene, kind, status, reason, message));
        return;
    };
    // Nobody knows whether the number is the entry that shows none.
    let is_known = !is_passing(block.reason) && block.reason != Reason::EntryWithoutNumber;
    let status = if is_known && (ends(scene, kind, block.reason) || is_home(set, kind, block.reason)) {
        Truth::False
    } else {
        old.map_or(Truth::Unknown, |c| c.status)
    };
    let message = carried_message(block, facts.last_refusal.as_ref());
    place(set, &scene.before.conditions, new_condition(scene, kind, status, block.reason, message));
}

/// Whether a block is an answer about this very condition, which nothing else that was read contradicts.
fn ends(scene: &Scene<'_>, kind: ConditionType, reason: Reason) -> bool {
    let about = reason.row().conditions.first() == Some(&kind);
    about && !is_passing(reason) && matches!(scene.place, Place::Unknown)
}

/// Whether a reason is about this condition: the first of its row that is not True.
fn is_home(set: &ConditionSet, kind: ConditionType, reason: Reason) -> bool {
    let open = |c: &&ConditionType| ConditionType::WAY.contains(c) && !set.is(**c, Truth::True);
    reason.row().conditions.iter().find(open) == Some(&kind)
}

pub(super) fn new_condition(
    scene: &Scene<'_>,
    kind: ConditionType,
    status: Truth,
    reason: Reason,
    message: String,
) -> Condition {
    Condition {
        kind,
        status,
        reason,
        message,
        since: scene.now,
        observed_generation: scene.desired.generation,
    }
}

/// Sets a condition. Its beginning stays while its status does; where only the trace id of an error differs, the
/// first one seen stays.
pub(super) fn place(set: &mut ConditionSet, before: &ConditionSet, mut next: Condition) {
    if let Some(old) = before.get(next.kind) {
        if old.status == next.status {
            next.since = old.since;
        }
        if old.reason == next.reason && without_trace(&old.message) == without_trace(&next.message) {
            next.message.clone_from(&old.message);
        }
    }
    set.set(next);
}

const META: &str = " (Meta: ";
const TRACE: &str = "trace ";

/// The message up to the trace id, which is its last part.
fn without_trace(message: &str) -> &str {
    let meta = message.rfind(META).and_then(|at| message[at..].rfind(TRACE).map(|trace| at + trace));
    meta.map_or(message, |at| &message[..at])
}

/// What a block says, with Meta's code, subcode, title and the trace id that was seen first with that code.
pub(super) fn carried_message(block: &Block, first_seen: Option<&Refusal>) -> String {
    let Some(refusal) = block.failure.as_ref().and_then(Failure::refusal) else {
        return block.message.clone();
    };
    let first = first_seen.filter(|f| f.is(refusal.code, refusal.subcode));
    with_refusal(&block.message, first.unwrap_or(refusal))
}

/// Adds Meta's code, subcode, title and trace id to a sentence, unless it has them.
pub(super) fn with_refusal(message: &str, refusal: &Refusal) -> String {
    if message.contains(META) {
        return message.to_owned();
    }
    let code = match refusal.subcode {
        Some(subcode) => format!("code {}, subcode {subcode}", refusal.code),
        None => format!("code {}", refusal.code),
    };
    let said = message.contains(&code);
    let title = refusal.title.as_deref().filter(|t| !t.is_empty()).map(|t| format!("\"{t}\""));
    let trace = refusal.trace_id.as_ref().map(|id| format!("trace {id}"));
    let parts: Vec<String> = [Some(code).filter(|_| !said), title, trace].into_iter().flatten().collect();
    if parts.is_empty() { message.to_owned() } else { format!("{message}{META}{})", parts.join(", ")) }
}

#[cfg(test)]
mod tests;
