//! Picture: is the one of the source at Meta, and when is it looked at again?
//!
//! Meta shows a picture under an address that changes with every read, so what is at Meta cannot be compared. The sum of
//! the bytes that Meta took last is compared with that of the source.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::{
    rule::upkeep::{self, Upkeep},
    value::{
        consent::sum,
        desired::{Connection, Desired, DriftPolicy, Management, PictureSource},
        drift::PICTURE,
        limits::Limits,
        memory::{Entry, EntryOutcome, Memory},
        picture::{PictureFact, PictureFacts, PictureRead, Shown},
        step::StepKind,
        time::{earlier, later, pause},
    },
};

/// Whether this channel uploads a picture: only a registered number of the Cloud API gets one.
pub(in crate::engine) fn is_kept(desired: &Desired, memory: &Memory) -> bool {
    desired.picture.is_some()
        && desired.management == Management::Full
        && desired.connection == Connection::CloudApi
        && memory.number.is_some()
        && !memory.is_unfinished()
}

/// The last read of the source that the spec names now.
pub(in crate::engine) fn read<'a>(desired: &Desired, facts: &'a PictureFacts) -> Option<&'a PictureRead> {
    let source = desired.picture.as_ref()?;
    facts.read.as_ref().filter(|read| read.source == *source)
}

/// Whether it is not known yet if a number that was found shows a picture, which is then taken for that of the source.
pub(in crate::engine) fn is_open(memory: &Memory) -> bool {
    memory.marks.picture_found && memory.marks.picture.is_none()
}

/// Whether Meta took the picture, and shows none any more. What it showed last counts, also where another process asked it.
pub(in crate::engine) fn is_lost(memory: &Memory, facts: &PictureFacts) -> bool {
    let Some((_, taken)) = &memory.marks.picture else { return false };
    match &facts.shown {
        Some((at, Shown::NoPicture)) if at > taken => true,
        Some((at, Shown::Picture)) if at > taken => false,
        Some(_) | None => memory.marks.picture_lost.is_some(),
    }
}

/// Remembers whether Meta shows the picture that it took.
pub(in crate::engine) fn note_lost(memory: &mut Memory, facts: &PictureFacts, now: Timestamp) {
    let since = memory.marks.picture_lost.unwrap_or(now);
    memory.marks.picture_lost = is_lost(memory, facts).then_some(since);
}

/// The picture of this source that Meta took, as far as it was ever read. That it cannot be read now changes nothing of it.
pub(in crate::engine) fn taken<'a>(desired: &Desired, memory: &'a Memory) -> Option<&'a str> {
    let (sum, _) = memory.marks.picture.as_ref()?;
    upkeep::is_in_sync(desired, memory, PICTURE).then_some(sum)
}

/// Whether Meta has that picture.
pub(in crate::engine) fn was_settled(desired: &Desired, memory: &Memory, facts: &PictureFacts) -> bool {
    taken(desired, memory).is_some() && !is_lost(memory, facts)
}

/// Whether the picture that Meta took, and shows no more, is not uploaded again by itself.
pub(in crate::engine) fn is_left(desired: &Desired, memory: &Memory, facts: &PictureFacts) -> bool {
    is_lost(memory, facts)
        && (desired.drift == DriftPolicy::Report
            || matches!(upkeep::upkeep(desired, memory, PICTURE), Upkeep::Contended { .. }))
}

/// Whether Meta has what was read.
pub(in crate::engine) fn is_settled(memory: &Memory, facts: &PictureFacts, fact: &PictureFact) -> bool {
    let taken = memory.marks.picture.as_ref().map(|(sum, _)| sum);
    matches!(fact, PictureFact::Usable { sum } if Some(sum) == taken) && !is_lost(memory, facts)
}

/// When the source is to be read, which may be long ago.
pub(in crate::engine) fn read_due(
    desired: &Desired,
    memory: &Memory,
    facts: &PictureFacts,
    started: Timestamp,
    limits: &Limits,
) -> Option<Timestamp> {
    let source = desired.picture.as_ref().filter(|_| is_kept(desired, memory))?;
    let is_url = matches!(source, PictureSource::Url(_));
    let Some(read) = read(desired, facts) else {
        let is_known = memory.marks.picture.is_some() && upkeep::is_in_sync(desired, memory, PICTURE);
        return Some(if is_known { spread(desired, started, every(is_url, limits)) } else { Timestamp::MIN });
    };
    if is_settled(memory, facts, &read.fact) {
        return Some(later(read.at, every(is_url, limits)));
    }
    let pause = match (&read.fact, is_url) {
        // Others are done soon.
        (PictureFact::NoRoom, _) => limits.credential_poll_ready,
        (_, true) => limits.picture_url_again,
        (_, false) => limits.look_at_least,
    };
    let again = later(read.at, pause);
    let PictureFact::Usable { sum } = &read.fact else { return Some(again) };
    let is_same = memory.marks.picture.as_ref().is_some_and(|(taken, _)| taken == sum);
    if is_same && is_left(desired, memory, facts) {
        return Some(again);
    }
    let from = held_until(memory, sum, limits).unwrap_or(Timestamp::MIN);
    let mut tries = memory.ledger.of(StepKind::WritePicture).iter().filter(|entry| entry.counts());
    let was_tried = tries.any(|entry| entry.at >= read.at);
    // What another step of the same pass went before is read once more: no bytes are kept.
    let soon = later(read.at, limits.credential_poll);
    Some(match (was_tried, is_url) {
        (true, _) => from.max(again),
        (false, true) => from.max(soon),
        (false, false) => from,
    })
}

/// When Meta is to be asked whether the number still has a picture.
pub(in crate::engine) fn shown_due(
    desired: &Desired,
    memory: &Memory,
    facts: &PictureFacts,
    started: Timestamp,
    limits: &Limits,
) -> Option<Timestamp> {
    let every = limits.picture_shown;
    if is_open(memory) && is_kept(desired, memory) {
        // What Meta refuses to tell is asked for as seldom as what it tells, and a lost answer sooner.
        let again = |shown: &Shown| if shown.is_refused() { every } else { limits.picture_url_again };
        return Some(facts.shown.as_ref().map_or(Timestamp::MIN, |(at, shown)| later(*at, again(shown))));
    }
    let (_, taken) = memory.marks.picture.as_ref().filter(|_| is_kept(desired, memory))?;
    let first = spread(desired, started, every);
    Some(later(*taken, every).max(facts.shown.as_ref().map_or(first, |(at, _)| later(*at, every))))
}

fn every(is_url: bool, limits: &Limits) -> Duration {
    if is_url { limits.picture_url } else { limits.picture }
}

/// Somewhere in the time after the start, the same for the same object: a start is no reason to look at everything.
fn spread(desired: &Desired, started: Timestamp, within: Duration) -> Timestamp {
    later(started, Duration::from_secs(sum(&desired.uid) % within.as_secs().max(1)))
}

/// The last uploads of this picture in a row that Meta did not take.
fn failed<'a>(memory: &'a Memory, of: &str) -> impl Iterator<Item = &'a Entry> {
    let of = of.to_owned();
    let counted = memory.ledger.of(StepKind::WritePicture).iter().rev().filter(|entry| entry.counts());
    counted.take_while(move |entry| {
        entry.outcome != EntryOutcome::Accepted && entry.subject.as_deref() == Some(of.as_str())
    })
}

/// The last upload of this picture, unless Meta took it.
pub(in crate::engine) fn last_failed<'a>(memory: &'a Memory, of: &str) -> Option<&'a Entry> {
    failed(memory, of).next()
}

/// Until when a picture is not uploaded: after those that Meta did not take, and after too many of any kind.
pub(in crate::engine) fn held_until(memory: &Memory, of: &str, limits: &Limits) -> Option<Timestamp> {
    let failures = failed(memory, of).count();
    let paused =
        last_failed(memory, of).map(|last| later(last.at, pause(&limits.repeatable_pauses, failures)));
    paused.max(spent_until(memory, limits))
}

/// Until when as many pictures as are uploaded in a day were.
pub(in crate::engine) fn spent_until(memory: &Memory, limits: &Limits) -> Option<Timestamp> {
    let mut counted = memory.ledger.of(StepKind::WritePicture).iter().rev().filter(|entry| entry.counts());
    let first = counted.nth(limits.pictures.saturating_sub(1))?;
    Some(later(first.at, limits.pictures_window))
}

/// Whether an upload of this picture may be under way in a process that is not seen any more.
pub(in crate::engine) fn was_just_tried(memory: &Memory, limits: &Limits, now: Timestamp) -> bool {
    let last = memory.ledger.last(StepKind::WritePicture);
    last.is_some_and(|last| last.at > earlier(now, limits.settle_other) && last.is_inconclusive())
}
