//! An approved name of a registered number: where Meta does not make it live by itself, one more registration does.

use jiff::Timestamp;

use crate::engine::{
    plan::{
        find,
        naming::{self, Grant},
        pass::{Gate, Pass, Seen, Stop, Writable},
        pin::{self, Pin},
        register::{self, Next},
        repin, resolve, undecided,
    },
    rule::say,
    value::{
        action::Action,
        block::Block,
        memory::{Entry, EntryOutcome, Memory},
        observed::Number,
        reason::Reason,
        secret::SecretVersion,
        step::{Cause, Step, StepKind},
        time::later,
    },
};

/// Registers the number once more, or says what that waits for. `is_free` when the pass takes no other step.
pub(super) fn go_live(
    pass: &Pass,
    memory: &Memory,
    number: &Number,
    seen: &Seen,
    may_write: &Writable,
    is_free: bool,
) -> Result<(), Stop> {
    match may_write {
        Writable::Yes => {}
        Writable::No(why) => return Err(Stop::block(left_alone(pass, why))),
        Writable::Incomplete(why) => {
            let block = waits(pass, memory, &format!("{why}, and nothing is written to it without that"));
            return Err(Stop::block(block.asks(Action::ShowField)));
        }
    }
    // A registration moves a name that is in review to where the live one is, unreviewed.
    naming::not_queued(number)?;
    let cause = unless_elsewhere(pass, memory, number, seen, registered_again(pass, memory, number, seen)?)?;
    if !is_free {
        return Err(Stop::block(Block::new(
            Reason::NameNotLiveYet,
            "the number is registered once more next, which makes the approved display name live",
        )));
    }
    let secret = pin(pass, memory, number)?;
    undecided::may_send(pass, StepKind::Register, memory)?;
    let (account, number) = (seen.account.clone(), number.id.clone());
    let step = Step::Register { account, number, secret, in_review: None };
    Err(pass.step(step, "register once more: that makes the approved display name live".into(), cause))
}

/// A registration takes the number away from another account in which it is live too, so a person decides.
fn unless_elsewhere(pass: &Pass, memory: &Memory, number: &Number, seen: &Seen, cause: Cause) -> Gate<Cause> {
    let Some(place) = find::twin(pass, resolve::portfolio(pass)?, seen, number) else { return Ok(cause) };
    match &pass.retry {
        Some(retry) => Ok(Cause::Retry(retry.value.clone())),
        None => Err(Stop::block(waits(
            pass,
            memory,
            &format!(
                "{} is live in {place} too, and that takes it away from there, so it is not done by itself; to do it all the same run {}",
                pass.desired.number,
                pass.command("retry")
            ),
        ))),
    }
}

/// Why it may be registered once more now.
fn registered_again(pass: &Pass, memory: &Memory, number: &Number, seen: &Seen) -> Gate<Cause> {
    undecided::settled(pass, StepKind::Register, memory, seen)?;
    register::unlocked(pass, memory)?;
    register::below_total(pass, memory)?;
    let last = since_approved(pass, memory);
    let next = match last.filter(|last| last.outcome == EntryOutcome::Refused) {
        Some(_) => register::next(pass, memory, number, seen)?,
        None => Next::Schedule(Cause::Automatic),
    };
    let cause = match (next, &pass.retry) {
        (Next::AtOnce, _) => return Ok(Cause::Automatic),
        (_, Some(retry)) => return Ok(Cause::Retry(retry.value.clone())),
        (Next::Asked(block), None) => return Err(Stop::Block(by_the_deadline(pass, memory, block))),
        (Next::Schedule(cause), None) => cause,
    };
    match last {
        Some(last) if last.outcome == EntryOutcome::Accepted => Err(Stop::block(waits(
            pass,
            memory,
            &format!(
                "the registration at {} did not change that; to try once more run {}, which costs one of the ten registrations that Meta takes in 72 hours",
                say::time(last.at),
                pass.command("retry")
            ),
        ))),
        Some(_) => register::scheduled(pass, memory, Grant::Usable).map(|()| cause),
        None => {
            by_itself(pass, memory)?;
            register::scheduled(pass, memory, Grant::Usable).map(|()| cause)
        }
    }
}

/// The last registration since the name was seen approved. What came before says nothing about it.
fn since_approved<'a>(pass: &Pass, memory: &'a Memory) -> Option<&'a Entry> {
    let since = approved_since(pass, memory);
    memory.ledger.last(StepKind::Register).filter(|last| last.at >= since)
}

fn approved_since(pass: &Pass, memory: &Memory) -> Timestamp {
    memory.marks.approved.as_ref().map_or(pass.now, |(_, since)| *since)
}

/// Meta may make the name live by itself, and then no registration is spent.
fn by_itself(pass: &Pass, memory: &Memory) -> Gate {
    let until = later(approved_since(pass, memory), pass.limits.name_live_pause);
    if pass.now >= until {
        return Ok(());
    }
    let name = &pass.desired.display_name;
    Err(Stop::block(
        Block::new(
            Reason::NameNotLiveYet,
            format!(
                "Meta approved display name {name:?}, and may make it live by itself; if it is not live at {}, the number is registered once more, which makes it live; to have that done now run {}; the approval lasts until {}",
                say::time(until),
                pass.command("retry"),
                say::time(deadline(pass, memory))
            ),
        )
        .until(until),
    ))
}

/// When Meta drops an approval that was not applied, at the latest: it may have been given before it was seen.
fn deadline(pass: &Pass, memory: &Memory) -> Timestamp {
    later(approved_since(pass, memory), pass.limits.name_approval)
}

/// Whether a registration could follow a review: its PIN is there, and no earlier refusal stands in its way.
pub(super) fn may_follow(pass: &Pass, memory: &Memory, number: &Number, seen: &Seen) -> Gate {
    let wrong = memory.ledger.last(StepKind::Register).filter(|_| memory.has_registered_again());
    let wrong = wrong.filter(|last| last.refused_with(133_005).is_some());
    let stop = match wrong.map(|_| register::next(pass, memory, number, seen)).transpose() {
        Ok(Some(Next::Asked(block))) if pass.retry.is_none() => Stop::Block(block),
        Ok(_) => match pin(pass, memory, number) {
            Ok(_) => return Ok(()),
            Err(stop) => stop,
        },
        Err(stop) => stop,
    };
    let name = &pass.desired.display_name;
    Err(match stop {
        Stop::Block(block) if block.reason != Reason::NotObservedYet => Stop::block(Block {
            message: format!(
                "a registration may have to follow the review of display name {name:?}, so the name is not submitted before its PIN is known: {}",
                block.message
            ),
            ..*block
        }),
        stop => stop,
    })
}

/// A registered number has a PIN, so none is made up for it.
fn pin(pass: &Pass, memory: &Memory, number: &Number) -> Gate<SecretVersion> {
    match pin::available(pass, memory, number)? {
        Pin::Kept(version) if repin::is_due(pass, memory, number, &version) => {
            Err(Stop::look_again("the PIN in the Secret was changed, and Meta gets it first"))
        }
        Pin::Kept(version) => Ok(version),
        Pin::Creatable => {
            let key = &pass.desired.registration.pin_secret;
            Err(Stop::block(Block::new(
                Reason::PinNeeded,
                format!(
                    "a registered number keeps the PIN that it has; write it to Secret {}, key {}; if nobody knows it, set another one in WhatsApp Manager first",
                    key.name, key.key
                ),
            )))
        }
    }
}

fn left_alone(pass: &Pass, why: &str) -> Block {
    let name = &pass.desired.display_name;
    Block::new(
        Reason::NameDiffers,
        format!(
            "Meta approved display name {name:?}, and another one is live; it becomes live when the number is registered once more, which is not done here: {why}"
        ),
    )
}

fn waits(pass: &Pass, memory: &Memory, what: &str) -> Block {
    let name = &pass.desired.display_name;
    let block = Block::new(
        Reason::NameNotLive,
        format!(
            "Meta approved display name {name:?}, and makes it live when the number is registered once more; {what}"
        ),
    );
    *by_the_deadline(pass, memory, Box::new(block))
}

/// What a person has to do before the approval ends.
fn by_the_deadline(pass: &Pass, memory: &Memory, block: Box<Block>) -> Box<Block> {
    let deadline = deadline(pass, memory);
    let if_ignored = format!(
        "people go on seeing the name that is live now; the approval ends on {}, and the name has to be reviewed again then",
        say::time(deadline)
    );
    Box::new(block.by(deadline).or_else(if_ignored))
}
