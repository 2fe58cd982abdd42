//! Upkeep: a managed field that was as desired and is not any more was changed by somebody else. May it be written again?

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::value::{
    consent::sum,
    desired::{Desired, DesiredProfile, DriftPolicy},
    display_name::written,
    drift::{CALLBACK, NAME, PICTURE, PROFILE, SUBSCRIPTION, USERNAME},
    limits::Limits,
    memory::Memory,
    step::{Step, StepKind},
    time::later,
};

/// The sum of a value has this bit, and no number of a generation is so large. Larger ones would not be exact in JSON.
const SUM: i64 = 1 << 48;
/// Kept where the spec asks for another value than Meta was seen to have.
const ASKED: i64 = 0;
/// Beside the sum: the number was found while the spec asked for this value already, and Meta was not seen to have it.
const FOUND: i64 = 1 << 49;

/// What is remembered of a foreign value, in characters.
const SHORT: usize = 120;

/// Why a field differs, and what that allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Upkeep {
    /// Meta was never seen to have the value that the spec asks for: it is written.
    Asked,
    /// The number was found so, and nobody said yet that it is to be changed. A wrong name in a manifest must not cost a
    /// live number its own; of other fields that is only so where differences are told.
    Found,
    /// Somebody else changed it: it is written again.
    Repair,
    /// Somebody else changed it, and that is only told.
    Report,
    /// Somebody else changes it again and again, and has the last word.
    Contended { value: String, since: Timestamp },
}

/// What a difference in a field allows.
pub(in crate::engine) fn upkeep(desired: &Desired, memory: &Memory, field: &str) -> Upkeep {
    if !is_in_sync(desired, memory, field) {
        let is_left = match field {
            NAME => was_found_otherwise(memory),
            _ => desired.drift == DriftPolicy::Report && is_as_found(desired, memory, field),
        };
        return if is_left { Upkeep::Found } else { Upkeep::Asked };
    }
    if desired.drift == DriftPolicy::Report {
        return Upkeep::Report;
    }
    let contended = memory.marks.repairs.get(field).and_then(|repairs| repairs.contended.as_ref());
    match contended {
        Some((value, since)) => Upkeep::Contended { value: value.clone(), since: *since },
        None => Upkeep::Repair,
    }
}

fn was_found_otherwise(memory: &Memory) -> bool {
    let was_wished = || memory.ledger.names.iter().any(|entry| entry.counts() && memory.is_own(entry));
    !memory.knows_history()
        && !memory.marks.has_registered()
        && !memory.marks.in_sync.contains_key(NAME)
        && !was_wished()
}

/// Remembers that the spec asked for the value already when the number was found.
pub(in crate::engine) fn note_found(desired: &Desired, memory: &mut Memory, field: &str) {
    if let Some(now) = wanted(desired, field) {
        memory.marks.in_sync.entry(field.to_owned()).or_insert(now | FOUND);
    }
}

/// Whether the spec asks for what it asked for when the number was found, and Meta was not seen to have it.
fn is_as_found(desired: &Desired, memory: &Memory, field: &str) -> bool {
    let kept = memory.marks.in_sync.get(field).copied();
    wanted(desired, field).is_some_and(|now| kept == Some(now | FOUND))
}

/// Whether Meta was ever seen to have a desired value of the field.
pub(in crate::engine) fn was_ever_in_sync(memory: &Memory, field: &str) -> bool {
    memory.marks.in_sync.get(field).is_some_and(|kept| kept & FOUND == 0)
}

/// Remembers that Meta has the desired value of a field.
pub(in crate::engine) fn note_same(desired: &Desired, memory: &mut Memory, field: &str) {
    note_shared_same(desired, memory, field, &[]);
}

/// The same, of a field that channels share. `others` is when any of them wrote it again, as far as this process knows.
pub(in crate::engine) fn note_shared_same(
    desired: &Desired,
    memory: &mut Memory,
    field: &str,
    others: &[Timestamp],
) {
    let Some(now) = wanted(desired, field) else { return };
    let is_new = !is_in_sync(desired, memory, field);
    let marks = &mut memory.marks;
    marks.in_sync.insert(field.to_owned(), now);
    if is_new {
        // An edit of the field is a new word.
        marks.repairs.remove(field);
    }
    if let Some(repairs) = marks.repairs.get_mut(field) {
        repairs.is_open = false;
        // After a contest one more change soon after the last write is enough.
        let last = repairs.at.last().max(others.last()).copied();
        if let (Some(_), Some(last)) = (repairs.contended.take(), last) {
            repairs.at.fill(last);
        }
    }
}

/// Remembers that the spec asks for another value than Meta was seen to have, however soon it asks for that one again.
pub(in crate::engine) fn note_edit(desired: &Desired, memory: &mut Memory, field: &str) {
    if is_in_sync(desired, memory, field) || is_as_found(desired, memory, field) {
        return;
    }
    if let Some(kept) = memory.marks.in_sync.get_mut(field) {
        *kept = ASKED | (*kept & FOUND);
    }
}

/// Forgets the settings that the spec does not manage any more. When it does again, that is a new word.
pub(in crate::engine) fn forget_unmanaged(desired: &Desired, memory: &mut Memory) {
    let is_setting =
        |field: &str| matches!(field, CALLBACK | SUBSCRIPTION | USERNAME) || field.starts_with(PROFILE);
    let stays = |field: &str| !is_setting(field) || wanted(desired, field).is_some();
    memory.marks.in_sync.retain(|field, _| stays(field));
    memory.marks.repairs.retain(|field, _| stays(field));
}

/// Whether this is the webhook address that the spec named when Meta was last seen to have it, and this object wrote one. Where
/// an operator wrote it that remembered no addresses, nothing else tells whose it is.
pub(in crate::engine) fn was_routed(memory: &Memory, url: &str) -> bool {
    let was_named = memory.marks.in_sync.get(CALLBACK) == Some(&of_text(url));
    was_named && may_have_routed(memory)
}

/// Whether this object ever sent a webhook address, as far as its pace tells, or that one was written again.
pub(in crate::engine) fn may_have_routed(memory: &Memory) -> bool {
    let was_repaired = || memory.marks.repairs.get(CALLBACK).is_some_and(|repairs| !repairs.at.is_empty());
    let pace = memory.ledger.repeatable.get(&StepKind::RouteWebhook);
    pace.is_some_and(|pace| pace.last.is_some()) || was_repaired()
}

/// Whether Meta was seen to have the value that the spec asks for.
pub(in crate::engine) fn is_in_sync(desired: &Desired, memory: &Memory, field: &str) -> bool {
    let kept = memory.marks.in_sync.get(field);
    wanted(desired, field).is_some_and(|now| kept.is_some_and(|kept| stands_for(*kept, now)))
}

/// Before there were sums, the generation was kept, which does not tell the value. Nothing is written for that.
fn stands_for(kept: i64, value: i64) -> bool {
    kept == value || (kept != ASKED && kept & (SUM | FOUND) == 0)
}

/// The sum of the value that the spec asks for.
fn wanted(desired: &Desired, field: &str) -> Option<i64> {
    let webhook = desired.webhook.as_ref();
    match field {
        NAME => Some(of_name(&desired.display_name)),
        CALLBACK => webhook.map(|webhook| of_text(&webhook.callback_url)),
        SUBSCRIPTION => webhook.map(|_| of_text("")),
        PICTURE => desired.picture.as_ref().map(|source| of_text(&source.whole())),
        USERNAME => desired.username.as_ref().map(|username| of_text(&username.name)),
        _ => of_profile(&desired.profile, field.strip_prefix(PROFILE)?),
    }
}

fn of_name(name: &str) -> i64 {
    of_text(&written(name))
}

fn of_profile(profile: &DesiredProfile, field: &str) -> Option<i64> {
    let text = match field {
        "about" => profile.about.as_deref(),
        "address" => profile.address.as_deref(),
        "description" => profile.description.as_deref(),
        "email" => profile.email.as_deref(),
        "websites" => return profile.websites.as_ref().map(|all| of_text(&all.join("\n"))),
        "vertical" => profile.vertical.as_deref(),
        _ => None,
    };
    text.map(of_text)
}

#[expect(clippy::cast_possible_wrap, reason = "it is below 2^48")]
fn of_text(text: &str) -> i64 {
    SUM | (sum(text) & (SUM as u64 - 1)) as i64
}

/// The value that a step writes to a field.
fn sent(step: &Step, field: &str) -> Option<i64> {
    match step {
        Step::RouteWebhook { url, .. } => Some(of_text(url)),
        Step::SubscribeApp { .. } => Some(of_text("")),
        Step::WriteProfile { fields, .. } => of_profile(fields, field.strip_prefix(PROFILE)?),
        _ => None,
    }
}

/// Whether Meta was seen to have what the spec asks for, since it was last written again.
pub(in crate::engine) fn was_live_since(desired: &Desired, memory: &Memory, field: &str) -> bool {
    let is_open = memory.marks.repairs.get(field).is_some_and(|repairs| repairs.is_open);
    let kept = memory.marks.in_sync.get(field).copied();
    let was_seen = kept.is_some() && (kept == wanted(desired, field) || kept == Some(desired.generation));
    was_seen && !is_open
}

/// Remembers what somebody else made of a field, once that was repaired too often. `age` is how old what a look sees of the
/// field may be where no list shows it.
pub(in crate::engine) fn note_other(
    desired: &Desired,
    memory: &mut Memory,
    field: &str,
    (live, age): (&str, Duration),
    limits: &Limits,
    now: Timestamp,
) {
    note_shared_other(desired, memory, field, (live, age, &[]), limits, now);
}

/// The same, of a field that channels share: what they wrote together counts for each of them.
pub(in crate::engine) fn note_shared_other(
    desired: &Desired,
    memory: &mut Memory,
    field: &str,
    (live, age, others): (&str, Duration, &[Timestamp]),
    limits: &Limits,
    now: Timestamp,
) {
    note_edit(desired, memory, field);
    if matches!(upkeep(desired, memory, field), Upkeep::Asked | Upkeep::Found) {
        return;
    }
    let window = window(desired, field, age, limits);
    let recent = |times: &[Timestamp]| times.iter().filter(|at| later(**at, window) > now).count();
    let of_others = recent(others);
    if of_others >= limits.repairs {
        let repairs = memory.marks.repairs.entry(field.to_owned()).or_default();
        if recent(&repairs.at) < of_others {
            repairs.at = others.to_vec();
        }
    }
    let Some(repairs) = memory.marks.repairs.get_mut(field) else { return };
    let recent = recent(&repairs.at);
    if let Some((value, _)) = &mut repairs.contended {
        *value = short(live);
    } else if recent >= limits.repairs {
        repairs.contended = Some((short(live), now));
    }
}

/// Counts a write that Meta took, of fields that somebody else had changed.
pub(in crate::engine) fn note_written(
    memory: &mut Memory,
    step: &Step,
    fields: &[String],
    limits: &Limits,
    at: Timestamp,
) {
    for field in fields {
        note_value(memory, field, sent(step, field), limits, at);
    }
}

/// Counts a username that Meta took.
pub(in crate::engine) fn note_claimed(memory: &mut Memory, username: &str, limits: &Limits, at: Timestamp) {
    note_value(memory, USERNAME, Some(of_text(username)), limits, at);
}

/// Counts an upload that Meta took of the picture that it had and showed no more. Another picture is a new word.
pub(in crate::engine) fn note_uploaded(memory: &mut Memory, sum: &str, limits: &Limits, at: Timestamp) {
    let marks = &mut memory.marks;
    if marks.picture.as_ref().is_none_or(|(taken, _)| taken != sum) {
        marks.repairs.remove(PICTURE);
    } else if marks.picture_lost.is_some() && !marks.picture_found {
        marks.note_repair(PICTURE, at, limits.repairs);
    }
}

/// Counts a name that Meta took.
pub(in crate::engine) fn note_submitted(memory: &mut Memory, name: &str, limits: &Limits, at: Timestamp) {
    note_value(memory, NAME, Some(of_name(name)), limits, at);
}

fn note_value(memory: &mut Memory, field: &str, value: Option<i64>, limits: &Limits, at: Timestamp) {
    let kept = memory.marks.in_sync.get(field).copied();
    if value.zip(kept).is_some_and(|(value, kept)| stands_for(kept, value)) {
        memory.marks.note_repair(field, at, limits.repairs);
    }
}

/// The time in which the last repairs count. Whoever changes a field after each of them is seen doing it at the next look, so a
/// field that is looked at rarely needs a longer one: half a look more than all of them take.
fn window(desired: &Desired, field: &str, age: Duration, limits: &Limits) -> Duration {
    if field == NAME {
        return limits.names_window;
    }
    let look = age.max(limits.fresh_list).max(desired.interval.unwrap_or_default());
    let halves = u32::try_from(2 * limits.repairs + 1).unwrap_or(u32::MAX);
    limits.repairs_window.max((look.min(limits.looked_at_least) * halves) / 2)
}

/// The beginning of a text of others. Who shows it writes out what it must not do.
fn short(text: &str) -> String {
    text.chars().take(SHORT).collect()
}
