//! An approved name of a registered number: it becomes live with one more registration, which a person asks for.

use crate::engine::{
    plan::{
        aside::Writable,
        pass::{Pass, Seen, Stop},
        pin::{self, Pin},
        register::{self, Next},
        undecided,
    },
    rule::{naming::is_approved_and_not_live, say},
    value::{
        action::Action,
        block::Block,
        condition_type::ConditionType,
        memory::{EntryOutcome, Memory},
        observed::Number,
        reason::Reason,
        secret::SecretVersion,
        step::{Cause, Step, StepKind},
    },
};

/// Registers the number once more where its approved name is not live, or says what that waits for. `is_free` when the
/// pass takes no other step.
pub(super) fn go_live(
    pass: &Pass,
    memory: &Memory,
    number: &Number,
    seen: &Seen,
    may_write: &Writable,
    is_free: bool,
) -> Result<(), Stop> {
    if !is_approved_and_not_live(number, &pass.desired.display_name) {
        return Ok(());
    }
    match may_write {
        Writable::Yes => {}
        Writable::No(_) => return Ok(()),
        Writable::Incomplete(why) => {
            let block = waits(pass, &format!("{why}, and nothing is written to it without that"));
            return Err(Stop::block(block.asks(Action::ShowField)));
        }
    }
    let result = match registered_again(pass, memory, number, seen) {
        Ok(cause) if is_free => attempt(pass, number, seen, memory, cause),
        Ok(_) => Err(Stop::block(asked(pass))),
        Err(stop) => Err(stop),
    };
    result.map_err(of_name)
}

/// Why it may be registered once more now.
fn registered_again(pass: &Pass, memory: &Memory, number: &Number, seen: &Seen) -> Result<Cause, Stop> {
    undecided::settled(pass, StepKind::Register, memory, seen)?;
    register::unlocked(pass, memory)?;
    register::below_total(pass, memory)?;
    // What was refused before the number was registered says nothing about it now.
    let last = memory.ledger.last(StepKind::Register).filter(|_| memory.has_registered_again());
    let next = match last.filter(|last| last.outcome == EntryOutcome::Refused) {
        Some(_) => register::next(pass, memory, number, seen)?,
        None => Next::Schedule(Cause::Automatic),
    };
    match (next, &pass.retry) {
        (Next::AtOnce, _) => Ok(Cause::Automatic),
        (_, Some(retry)) => Ok(Cause::Retry(retry.value.clone())),
        (Next::Asked(block), None) => Err(Stop::Block(block)),
        (Next::Schedule(_), None) => Err(Stop::block(match last {
            Some(last) => waits(
                pass,
                &format!(
                    "the registration at {} {}; to try once more run {}, which costs one of the ten registrations that Meta takes in 72 hours",
                    say::time(last.at),
                    last.refusal.as_ref().map_or("did not change that".into(), |r| format!("was refused ({})", say::words(r))),
                    pass.command("retry")
                ),
            )
            .refused(last.refusal.as_ref()),
            None => asked(pass),
        })),
    }
}

fn attempt(pass: &Pass, number: &Number, seen: &Seen, memory: &Memory, cause: Cause) -> Result<(), Stop> {
    let secret = pin(pass, memory, number)?;
    undecided::may_send(pass, StepKind::Register, memory)?;
    let (account, number) = (seen.account.clone(), number.id.clone());
    let step = Step::Register { account, number, secret, in_review: None };
    Err(pass.step(step, "register once more: that makes the approved display name live".into(), cause))
}

/// A registered number has a PIN, so none is made up for it.
fn pin(pass: &Pass, memory: &Memory, number: &Number) -> Result<SecretVersion, Stop> {
    match pin::available(pass, memory, number)? {
        Pin::Kept(version) => Ok(version),
        Pin::Creatable => {
            let key = &pass.desired.registration.pin_secret;
            let block = waits(
                pass,
                &format!(
                    "that needs the number's PIN; write it to Secret {}, key {} (if nobody knows it, set another one in WhatsApp Manager first), {}",
                    key.name,
                    key.key,
                    pass.then_retry()
                ),
            );
            Err(Stop::block(block.asks(Action::ProvidePin)))
        }
    }
}

fn asked(pass: &Pass) -> Block {
    let key = &pass.desired.registration.pin_secret;
    waits(
        pass,
        &format!(
            "to have that done run {}, with the number's PIN in Secret {}, key {}; it costs one of the ten registrations that Meta takes in 72 hours; do not submit the name once more, an approval was lost that way",
            pass.command("retry"),
            key.name,
            key.key
        ),
    )
}

fn waits(pass: &Pass, what: &str) -> Block {
    let name = &pass.desired.display_name;
    Block::new(
        Reason::NameNotLive,
        format!("Meta approved the display name {name:?}, and makes it live when the number is registered once more; {what}"),
    )
    .or_else("people go on seeing the name that is live now")
}

/// What holds up the registration of a registered number holds up its name, and nothing else.
fn of_name(stop: Stop) -> Stop {
    match stop {
        Stop::Block(block) if !block.reason.may_be_on(ConditionType::DisplayNameApproved) => {
            Stop::block(Block { reason: Reason::NameNotLive, ..*block })
        }
        stop => stop,
    }
}
