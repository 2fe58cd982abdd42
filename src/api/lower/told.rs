//! One message stands in a status where it is looked for, and no more than twice: in `Ready`, and on the condition that is its
//! cause. Whatever else says the same names the one to see, and is read back as if it said it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::v1alpha1::WhatsAppChannelStatus;
use crate::engine::condition_type::ConditionType;

/// A message that is no longer than this is said as often as it applies: to look it up would take longer.
const SHORT: usize = 60;

const SEE: &str = "see ";

fn is_short(message: &str) -> bool {
    message.chars().nth(SHORT).is_none()
}

fn is_ready(condition: &Condition) -> bool {
    condition.type_ == ConditionType::Ready.as_str()
}

/// Leaves a message in `Ready`, and on the first other condition that has it.
pub(super) fn once(list: &mut [Condition]) {
    for at in 0..list.len() {
        let message = &list[at].message;
        if is_ready(&list[at]) || is_short(message) {
            continue;
        }
        let same = |condition: &&Condition| condition.message == *message;
        if list[..at].iter().filter(|before| !is_ready(before)).any(|before| same(&before)) {
            let first = list.iter().find(|c| is_ready(c) && same(c)).or_else(|| list.iter().find(same));
            let see = first.map(|first| format!("{SEE}{}", first.type_));
            list[at].message = see.unwrap_or_default();
        }
    }
}

/// Names the condition where a message beside the conditions is on one that is not `Ready`.
pub(super) fn in_short(status: &mut WhatsAppChannelStatus) {
    let list = &status.conditions;
    let checks = status.preflight.iter_mut().map(|check| &mut check.message);
    let step = status.memory.as_mut().and_then(|memory| memory.in_flight.as_mut());
    for message in checks.chain(step.map(|step| &mut step.reason)).filter(|message| !is_short(message)) {
        if let Some(first) = list.iter().find(|c| !is_ready(c) && c.message == *message) {
            *message = format!("{SEE}{}", first.type_);
        }
    }
}

/// A message in full.
pub(super) fn full<'a>(message: &'a str, list: &'a [Condition]) -> &'a str {
    let named = message.strip_prefix(SEE).and_then(|name| list.iter().find(|c| c.type_ == name));
    named.map_or(message, |condition| &condition.message)
}

/// Writes every message of a status out, for whoever shows one of them alone.
pub fn in_full(status: &mut WhatsAppChannelStatus) {
    let list = status.conditions.clone();
    let conditions = status.conditions.iter_mut().map(|condition| &mut condition.message);
    let checks = status.preflight.iter_mut().map(|check| &mut check.message);
    let step = status.memory.as_mut().and_then(|memory| memory.in_flight.as_mut());
    for message in conditions.chain(checks).chain(step.map(|step| &mut step.reason)) {
        *message = full(message, &list).to_owned();
    }
}
