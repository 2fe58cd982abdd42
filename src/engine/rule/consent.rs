//! Open consents: which value on the object has no answer yet, and for how long it may be used.

use jiff::Timestamp;

use crate::engine::value::{
    desired::Desired,
    limits::Limits,
    memory::{ConsentKind, Memory},
    time::later,
};

/// A consent value that has no answer yet.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Pending {
    pub value: String,
    /// When it was first met.
    pub since: Timestamp,
}

/// The open value of a consent, as far as a rule may use it.
pub(in crate::engine) fn usable(
    desired: &Desired,
    kind: ConsentKind,
    memory: &Memory,
    limits: &Limits,
    now: Timestamp,
) -> Option<Pending> {
    open(desired, kind, memory, now).filter(|pending| !is_late(pending, limits, now))
}

/// The value of a consent that is still to be answered. There is none for who does not understand all that is
/// remembered: it waits for whoever does.
pub(in crate::engine) fn asked<'a>(
    desired: &'a Desired,
    kind: ConsentKind,
    memory: &Memory,
) -> Option<&'a String> {
    let value = match kind {
        ConsentKind::SendCode => desired.consents.send_code.as_ref(),
        ConsentKind::Retry => desired.consents.retry.as_ref(),
        ConsentKind::Reconcile => desired.consents.reconcile.as_ref(),
    };
    value.filter(|value| memory.unknown.is_none() && memory.answered(kind, value).is_none())
}

pub(in crate::engine) fn open(
    desired: &Desired,
    kind: ConsentKind,
    memory: &Memory,
    now: Timestamp,
) -> Option<Pending> {
    let value = asked(desired, kind, memory)?;
    let kept = memory.consents.get(&kind).filter(|answer| answer.value == *value);
    Some(Pending { value: value.clone(), since: kept.map_or(now, |answer| answer.at) })
}

/// One that was kept for too long. The person may have left the phone, so no rule may use it.
pub(in crate::engine) fn is_late(pending: &Pending, limits: &Limits, now: Timestamp) -> bool {
    now >= later(pending.since, limits.consent_kept)
}
