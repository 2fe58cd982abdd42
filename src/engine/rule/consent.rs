//! Open consents: which value on the object has no answer yet, and for how long it may be used.

use jiff::Timestamp;

use crate::engine::value::{
    consent::is_too_long,
    desired::DesiredConsents,
    limits::Limits,
    memory::{ConsentKind, Memory},
    time::later,
};

/// A consent value that has no answer yet.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Pending {
    pub value: String,
    /// When it was set, or first met where that is not known.
    pub since: Timestamp,
    /// It was not met before.
    pub is_new: bool,
    /// It came with the object, so nobody set it on this one.
    pub came: bool,
}

/// The open value of a consent, as far as a rule may use it.
pub(in crate::engine) fn usable(
    consents: &DesiredConsents,
    kind: ConsentKind,
    memory: &Memory,
    limits: &Limits,
    now: Timestamp,
) -> Option<Pending> {
    open(consents, kind, memory, now).filter(|pending| !is_late(pending, limits, now) && !pending.came)
}

/// The value that stands on the object.
pub(in crate::engine) fn standing(consents: &DesiredConsents, kind: ConsentKind) -> Option<&String> {
    match kind {
        ConsentKind::SendCode => consents.send_code.as_ref(),
        ConsentKind::Retry => consents.retry.as_ref(),
        ConsentKind::Official => consents.official.as_ref(),
        ConsentKind::Reconcile => consents.reconcile.as_ref(),
    }
}

/// The value of a consent that is still to be answered. There is none for who does not understand all that is
/// remembered: it waits for whoever does.
pub(in crate::engine) fn asked<'a>(
    consents: &'a DesiredConsents,
    kind: ConsentKind,
    memory: &Memory,
) -> Option<&'a String> {
    let is_open =
        |value: &&String| memory.unknown.is_none() && !is_too_long(value) && !memory.is_spent(kind, value);
    standing(consents, kind).filter(is_open)
}

pub(in crate::engine) fn open(
    consents: &DesiredConsents,
    kind: ConsentKind,
    memory: &Memory,
    now: Timestamp,
) -> Option<Pending> {
    let value = asked(consents, kind, memory)?;
    let kept = memory.consents.get(&kind).filter(|answer| answer.value == *value);
    let (set, came) = match kind {
        ConsentKind::SendCode => (consents.send_code_set, consents.send_code_came),
        ConsentKind::Retry => (consents.retry_set, consents.retry_came),
        ConsentKind::Official => (consents.official_set, consents.official_came),
        ConsentKind::Reconcile => (None, false),
    };
    // Clocks differ: what was set ahead of ours is set now. Whoever applies a manifest anew is told to have set it then,
    // so the first sight of a value counts too.
    let since = kept.map(|answer| answer.at).into_iter().chain(set).fold(now, Timestamp::min);
    let is_new = kept.is_none();
    Some(Pending { value: value.clone(), since, is_new, came: is_new && came })
}

/// One that was set, or kept, too long ago. The person may have left the phone, so no rule may use it.
pub(in crate::engine) fn is_late(pending: &Pending, limits: &Limits, now: Timestamp) -> bool {
    now >= later(pending.since, limits.consent_kept)
}
