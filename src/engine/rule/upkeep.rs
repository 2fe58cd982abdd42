//! Upkeep: a managed field that was as desired and is not any more was changed by somebody else. May it be written again?

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::value::{
    desired::{Desired, DriftPolicy},
    drift::NAME,
    limits::Limits,
    memory::Memory,
    time::later,
};

/// What is remembered of a foreign value, in characters.
const SHORT: usize = 120;

/// Why a field differs, and what that allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Upkeep {
    /// Meta was never seen to have what this generation asks for: it is written.
    Asked,
    /// The number was found live under another name, and nobody said yet that it is to be renamed. A wrong name in a
    /// manifest must not cost a live number its own.
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
    if memory.marks.in_sync.get(field) != Some(&desired.generation) {
        return if field == NAME && was_found_otherwise(memory) { Upkeep::Found } else { Upkeep::Asked };
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

/// Remembers that Meta has the desired value of a field.
pub(in crate::engine) fn note_same(desired: &Desired, memory: &mut Memory, field: &str) {
    let marks = &mut memory.marks;
    if marks.in_sync.get(field) != Some(&desired.generation) {
        marks.in_sync.insert(field.to_owned(), desired.generation);
        // An edit is a new word.
        marks.repairs.remove(field);
    }
    if let Some(repairs) = marks.repairs.get_mut(field) {
        repairs.is_open = false;
        // After a contest one more change soon after the last write is enough.
        if let (Some(_), Some(last)) = (repairs.contended.take(), repairs.at.last().copied()) {
            repairs.at.fill(last);
        }
    }
}

/// Whether Meta was seen to have what this generation asks for, since it was last written again.
pub(in crate::engine) fn was_live_since(desired: &Desired, memory: &Memory, field: &str) -> bool {
    let is_open = memory.marks.repairs.get(field).is_some_and(|repairs| repairs.is_open);
    memory.marks.in_sync.get(field) == Some(&desired.generation) && !is_open
}

/// Remembers what somebody else made of a field, once that was repaired too often.
pub(in crate::engine) fn note_other(
    desired: &Desired,
    memory: &mut Memory,
    field: &str,
    live: &str,
    limits: &Limits,
    now: Timestamp,
) {
    if matches!(upkeep(desired, memory, field), Upkeep::Asked | Upkeep::Found) {
        return;
    }
    let Some(repairs) = memory.marks.repairs.get_mut(field) else { return };
    let window = window(field, limits);
    let recent = repairs.at.iter().filter(|at| later(**at, window) > now).count();
    if let Some((value, _)) = &mut repairs.contended {
        *value = short(live);
    } else if recent >= limits.repairs {
        repairs.contended = Some((short(live), now));
    }
}

/// Counts a write that Meta took, of fields that somebody else had changed in this generation.
pub(in crate::engine) fn note_written(
    memory: &mut Memory,
    generation: i64,
    fields: &[String],
    limits: &Limits,
    at: Timestamp,
) {
    for field in fields {
        if memory.marks.in_sync.get(field) == Some(&generation) {
            memory.marks.note_repair(field, at, limits.repairs);
        }
    }
}

fn window(field: &str, limits: &Limits) -> Duration {
    if field == NAME { limits.names_window } else { limits.repairs_window }
}

/// The beginning of a text of others. Who shows it writes out what it must not do.
fn short(text: &str) -> String {
    text.chars().take(SHORT).collect()
}
