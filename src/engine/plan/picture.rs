//! Is the picture of the source uploaded?
//!
//! What holds it up is told and holds nothing else up. An upload that is repeated does no harm, and their number is bounded.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::{
    plan::{
        pass::{Gate, Pass, Seen, Stop, Writable},
        remedy, undecided,
    },
    rule::{
        picture::{
            held_until, is_kept, is_lost, is_open, is_settled, last_failed, note_lost, read, read_due,
            shown_due, spent_until, taken, was_just_tried,
        },
        say,
        upkeep::{self, Upkeep},
    },
    value::{
        block::Block,
        desired::{DriftPolicy, Management, PictureSource},
        drift::PICTURE,
        memory::Memory,
        observed::{Number, PortfolioState},
        picture::{PictureFact, Shown},
        reason::Reason,
        step::{Cause, Step, StepKind},
        time::{earlier, later},
    },
};

const KIND: StepKind = StepKind::WritePicture;

/// The upload, where the picture that was read is not the one that Meta took last.
pub(super) fn uploaded(
    pass: &Pass,
    memory: &mut Memory,
    number: &Number,
    seen: &Seen,
    writable: &Writable,
) -> Gate {
    let Some(source) = &pass.desired.picture else {
        memory.marks.picture = None;
        memory.marks.picture_found = false;
        memory.marks.picture_lost = None;
        return Ok(());
    };
    let facts = &pass.observed.process.picture;
    note_lost(memory, facts, pass.now);
    if pass.desired.management == Management::ObserveOnly {
        return Ok(());
    }
    if is_lost(memory, facts) && upkeep::is_in_sync(pass.desired, memory, PICTURE) {
        let live = ("no picture", pass.limits.picture_shown);
        upkeep::note_other(pass.desired, memory, PICTURE, live, pass.limits, pass.now);
    }
    match writable {
        Writable::Yes if is_kept(pass.desired, memory) => {}
        Writable::Yes => return Ok(()),
        Writable::No(why) => {
            return Err(stop(Reason::ProfileDiffers, format!("the picture is not uploaded: {why}")));
        }
        Writable::Incomplete(why) => {
            return Err(stop(Reason::ObservationIncomplete, format!("the picture is not uploaded: {why}")));
        }
    }
    let is_asked = replaces_found(pass, memory);
    let is_only_told = pass.desired.drift == DriftPolicy::Report && !is_asked;
    if is_open(memory) && matches!(facts.shown, Some((_, Shown::NoPicture))) && !is_only_told {
        memory.marks.picture_found = false;
    }
    let Some(read) = read(pass.desired, facts) else { return Ok(()) };
    let (sum, unread) = match &read.fact {
        PictureFact::Usable { sum } => (sum.clone(), None),
        PictureFact::Unlabelled(secret) => {
            let said = format!(
                "{}: what is in Secret {secret} may not become public; if it is the picture run kubectl label secret {secret} whatsapp-operator.dev/use=picture -n {}; {}",
                source.field(),
                pass.desired.namespace,
                again(pass)
            );
            return Err(stop(Reason::PictureUnlabelled, said));
        }
        PictureFact::Unusable(why) => {
            return Err(stop(Reason::PictureUnusable, format!("{}: {why}; {}", source.field(), again(pass))));
        }
        PictureFact::Unreadable(_) | PictureFact::NoRoom => {
            let unread = Err(unread(pass, source, &read.fact));
            // What was known of the picture that Meta took is known all the same.
            match taken(pass.desired, memory).filter(|_| !is_asked) {
                Some(sum) => (sum.to_owned(), Some(unread)),
                None => return unread,
            }
        }
    };
    if is_open(memory) && !is_asked {
        found(pass, memory, &sum)?;
    }
    if is_settled(memory, facts, &read.fact) && !is_asked {
        upkeep::note_same(pass.desired, memory, PICTURE);
        return Ok(());
    }
    let is_same = memory.marks.picture.as_ref().is_some_and(|(taken, _)| *taken == sum);
    match (unread.is_some(), is_same && is_lost(memory, facts)) {
        (true, false) => return Ok(()),
        (_, true) if pass.retry.is_none() => may_be_replaced(pass, memory)?,
        _ => {}
    }
    if !knows_app(pass) {
        return Err(stop(
            Reason::AppIdMissing,
            "a picture is uploaded to the app of the token, and Meta does not tell the id of that app; set credentials.appId of the portfolio; everything else goes on without the picture".into(),
        ));
    }
    may_be_sent(pass, memory, &sum)?;
    if let Some(unread) = unread {
        return unread;
    }
    undecided::may_send(pass, KIND, memory)?;
    if read.at < pass.observed.begun {
        return Err(Stop::look_again("the picture is read once more before it is uploaded"));
    }
    let step = Step::WritePicture { account: seen.account.clone(), number: number.id.clone(), sum };
    Err(pass.step(step, why(memory, is_same).into(), Cause::Automatic))
}

/// Why nothing is known of the source now.
fn unread(pass: &Pass, source: &PictureSource, fact: &PictureFact) -> Stop {
    let field = source.field();
    let said = match fact {
        PictureFact::Unreadable(why) => format!("{field} could not be read now ({why}); {}", again(pass)),
        _ => format!(
            "{field} was not read: the operator has no room in memory for one more picture at the moment; {}",
            again(pass)
        ),
    };
    stop(Reason::PictureUnreadable, said)
}

/// Whether the picture that Meta took, and shows no more, is uploaded again without being asked.
fn may_be_replaced(pass: &Pass, memory: &Memory) -> Gate {
    if pass.desired.drift == DriftPolicy::Report {
        let said = if memory.marks.picture_found {
            "the number was found without a picture, and none is uploaded: driftPolicy is Report; to have it uploaded once run"
        } else {
            "Meta shows no picture any more, and it is not uploaded again: driftPolicy is Report; to have it uploaded once run"
        };
        return Err(stop(Reason::ProfileDiffers, format!("{said} {}", pass.command("retry"))));
    }
    match upkeep::upkeep(pass.desired, memory, PICTURE) {
        Upkeep::Contended { value, since } => {
            Err(Stop::block(remedy::contended(pass, PICTURE, &value, since)))
        }
        _ => Ok(()),
    }
}

/// Remembers that the number was found by this pass while the spec wanted a picture already: whoever puts the manifest of a
/// number that works into another cluster does not ask for an upload.
pub(super) fn note_found(pass: &Pass, memory: &mut Memory) {
    let is_found = memory.marks.adopted_since() == Some(pass.now);
    if is_found && pass.desired.picture.is_some() && memory.marks.picture.is_none() {
        memory.marks.picture_found = true;
    }
}

/// Whether a retry has the picture uploaded over the one that the number was found with.
pub(super) fn replaces_found(pass: &Pass, memory: &Memory) -> bool {
    memory.marks.picture_found && pass.retry_since_found(memory).is_some()
}

/// The picture that the number was found with is taken for that of the source as it is now.
fn found(pass: &Pass, memory: &mut Memory, sum: &str) -> Gate {
    let why = match &pass.observed.process.picture.shown {
        Some((_, Shown::Picture)) => {
            memory.marks.picture = Some((sum.to_owned(), pass.now));
            return Ok(());
        }
        // Where differences are only told: as if it had been lost since, so that only another picture is an edit.
        Some((at, Shown::NoPicture)) => {
            memory.marks.picture = Some((sum.to_owned(), earlier(*at, Duration::from_secs(1))));
            note_lost(memory, &pass.observed.process.picture, pass.now);
            return Ok(());
        }
        Some((_, Shown::Unknown(failure))) if failure.is_answer() => format!(
            "Meta refuses to tell whether it has a picture ({}); nothing is uploaded over one that may be there; to have the picture uploaded all the same run",
            failure.told()
        ),
        Some((_, Shown::Unknown(_))) | None => "Meta did not show yet whether it has a picture; it is asked again by itself; to have the picture uploaded without that run".into(),
    };
    let said = format!("the number was found in the account, and {why} {}", pass.command("retry"));
    Err(stop(Reason::ObservationIncomplete, said))
}

fn why(memory: &Memory, is_same: bool) -> &'static str {
    match memory.marks.picture {
        Some(_) if memory.marks.picture_found && is_same => {
            "upload the profile picture over the one that the number was found with"
        }
        None => "upload the profile picture",
        Some(_) if is_same => "upload the profile picture again, since Meta shows none any more",
        Some(_) => "upload the profile picture, since its source has another one now",
    }
}

fn stop(reason: Reason, message: String) -> Stop {
    Stop::block(Block::new(reason, message))
}

/// Whoever mended the source need not wait for the next look.
fn again(pass: &Pass) -> String {
    format!("it is looked at again by itself, at once with {}", pass.command("retry"))
}

fn knows_app(pass: &Pass) -> bool {
    matches!(&pass.observed.portfolio, PortfolioState::View(view) if view.app.is_some())
}

/// After what Meta did not take there is a pause, unless a person asks for one more try.
fn may_be_sent(pass: &Pass, memory: &Memory, sum: &str) -> Gate {
    let Some(until) = held_until(memory, sum, pass.limits).filter(|until| *until > pass.now) else {
        return Ok(());
    };
    if pass.retry.is_some() && !was_just_tried(memory, pass.limits, pass.now) {
        return Ok(());
    }
    let failed = last_failed(memory, sum);
    let refusal = failed.and_then(|entry| entry.refusal.as_ref());
    let again = format!("tried again at {}, or at once with {}", say::time(until), pass.command("retry"));
    let block = match refusal {
        Some(refusal) => {
            if let Some(block) = say::not_for_its_value(KIND.as_str(), refusal, &pass.then_retry()) {
                return Err(Stop::block(block.until(until)));
            }
            let said = say::words(refusal);
            Block::new(
                Reason::PictureRefused,
                format!("Meta refused the picture ({said}); take another picture; {again}"),
            )
        }
        None if failed.is_none() || spent_until(memory, pass.limits) == Some(until) => Block::new(
            Reason::PicturePaused,
            format!("{} pictures were uploaded within a day; the next one is {again}", pass.limits.pictures),
        ),
        None => Block::new(
            Reason::PicturePaused,
            format!("the last upload of the picture brought no usable answer of Meta's; {again}"),
        ),
    };
    Err(Stop::block(block.refused(refusal).until(until)))
}

/// When the source is looked at again, or Meta is asked whether the picture is still there.
pub(super) fn due(pass: &Pass, memory: &Memory) -> Option<Timestamp> {
    let (process, limits) = (&pass.observed.process, pass.limits);
    let facts = &process.picture;
    let read = read_due(pass.desired, memory, facts, process.started, limits)?;
    let shown = shown_due(pass.desired, memory, facts, process.started, limits);
    // What is due already, and was not found out by this look, is by one of the next.
    let soon = if facts.read.is_none() { limits.fresh_after_write } else { limits.look_at_least };
    let due = shown.map_or(read, |shown| read.min(shown));
    Some(if due > pass.now { due } else { later(pass.now, soon) })
}
