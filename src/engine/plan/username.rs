//! Is the username claimed? A refusal is remembered, and a claim is repeated only when a person asks, or when a read shows
//! that one whose answer was lost did nothing.

use jiff::Timestamp;

use crate::engine::{
    plan::{
        aside,
        pass::{Gate, Pass, Seen, Stop, Writable},
        remedy, undecided,
    },
    rule::{
        drift, say,
        upkeep::{self, Upkeep},
        username::{Lacks, claimed_in, lacks},
    },
    value::{
        action::Action,
        block::Block,
        failure::Refusal,
        id::{Fact, UsernameStatus},
        memory::{Entry, EntryOutcome, Memory},
        observed::Number,
        reason::Reason,
        step::{Cause, Step, StepKind},
        time::{earlier, later},
    },
};

/// Another number of the portfolio has the username.
const IN_USE: i64 = 147_005;

/// Claims the username, unless the number has it.
pub(super) fn claimed(
    pass: &Pass,
    memory: &mut Memory,
    number: &Number,
    seen: &Seen,
    writable: &Writable,
) -> Gate {
    let Some(wanted) = &pass.desired.username else { return Ok(()) };
    let live = match &pass.observed.username {
        Fact::Known(live) => live,
        Fact::NotAsked => return Err(Stop::look_again("the username of the number has not been read yet")),
        Fact::Unknown(failure) => {
            return Err(Stop::block(say::unreadable("the username of the number", failure)));
        }
    };
    if live.is(&wanted.name) {
        upkeep::note_same(pass.desired, memory, drift::USERNAME);
        return Ok(());
    }
    let other = live.name.as_deref();
    let kept = (other.unwrap_or_default(), pass.limits.fresh_aside);
    upkeep::note_other(pass.desired, memory, drift::USERNAME, kept, pass.limits, pass.now);
    aside::may_write(writable, Reason::UsernameDiffers, "the username").map_err(left_alone)?;
    let claims = Claims { pass, memory, name: &wanted.name, other };
    claims.settled()?;
    let (cause, transfer) = claims.allowed(wanted.may_transfer)?;
    undecided::may_send(pass, StepKind::ClaimUsername, memory)?;
    let step = Step::ClaimUsername {
        account: seen.account.clone(),
        number: number.id.clone(),
        username: wanted.name.clone(),
        transfer,
    };
    let why = match (transfer, other) {
        (true, _) => format!("take username {:?} from the other number that has it", wanted.name),
        (false, Some(other)) => format!("claim username {:?}; the number loses {other:?}", wanted.name),
        (false, None) => format!("claim username {:?}", wanted.name),
    };
    Err(pass.step(step, why, cause))
}

/// No retry has it written.
fn left_alone(stop: Stop) -> Stop {
    match stop {
        Stop::Block(block) if block.reason == Reason::UsernameDiffers => {
            Stop::block(block.asks(Action::AlignSettings))
        }
        stop => stop,
    }
}

/// When the state of the username is read again by itself, where no list shows it.
pub(super) fn look_at(pass: &Pass, memory: &Memory) -> Option<Timestamp> {
    let wanted = pass.desired.username.as_ref().filter(|_| !memory.is_unfinished())?;
    let mut entries = pass.observed.search.iter().flat_map(|searched| &searched.numbers);
    let number = entries.find(|number| Some(&number.id) == memory.number.as_ref())?;
    match &pass.observed.username {
        Fact::NotAsked => None,
        // What Meta does not show to this app is asked for as rarely as what is there.
        Fact::Unknown(failure) if failure.refusal().is_some() => {
            Some(later(pass.now, pass.limits.fresh_aside))
        }
        Fact::Unknown(_) => Some(later(pass.now, pass.limits.fresh_profile)),
        Fact::Known(live) if live.is(&wanted.name) => {
            let is_final = live.status == Some(UsernameStatus::Approved) && !number.username.is_refused();
            (!is_final).then(|| later(pass.now, pass.limits.fresh_aside))
        }
        Fact::Known(_) => None,
    }
}

/// The claims of the desired username so far.
struct Claims<'a> {
    pass: &'a Pass<'a>,
    memory: &'a Memory,
    name: &'a str,
    /// The username that the number has.
    other: Option<&'a str>,
}

impl Claims<'_> {
    fn last(&self) -> Option<&Entry> {
        self.all().next_back()
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        let claims = self.memory.ledger.usernames.iter().filter(|entry| entry.counts());
        claims.filter(|entry| entry.subject.as_deref().is_some_and(|kept| claimed_in(kept) == self.name))
    }

    /// Blocks while the last claim may still show.
    fn settled(&self) -> Gate {
        let last = self.memory.ledger.last(StepKind::ClaimUsername);
        let open = last
            .and_then(|last| Some((last, undecided::settling(self.pass, StepKind::ClaimUsername, last)?)));
        match open.filter(|(_, until)| self.pass.observed.begun < *until) {
            Some((last, until)) => Err(undecided::open(StepKind::ClaimUsername, last, until)),
            None => Ok(()),
        }
    }

    /// What allows a claim now, and whether it takes the username from another number.
    fn allowed(&self, may_transfer: bool) -> Gate<(Cause, bool)> {
        let (block, transfer) = match self.refusal() {
            Some((last, refusal)) if refusal.names(IN_USE) => {
                let was_forced = last.subject.as_deref().is_some_and(|kept| kept != self.name);
                if !may_transfer {
                    (self.in_use(refusal, "add TransferUsername to spec.acknowledge"), false)
                } else if was_forced || self.was_ours() {
                    // Whoever has it may have taken it on purpose.
                    (self.in_use(refusal, &format!("run {}", self.pass.command("retry"))), true)
                } else {
                    return Ok((Cause::Automatic, true));
                }
            }
            Some((_, refusal)) => (self.refused(refusal), false),
            None => match self.unrefused() {
                Some(block) => (block, false),
                None => return Ok((Cause::Automatic, false)),
            },
        };
        match &self.pass.retry {
            Some(retry) => Ok((Cause::Retry(retry.value.clone()), transfer)),
            None => Err(Stop::block(block)),
        }
    }

    /// What Meta said to the last claim, where that is an answer.
    fn refusal(&self) -> Option<(&Entry, &Refusal)> {
        let last = self.last().filter(|last| !last.is_inconclusive())?;
        Some((last, last.refusal.as_ref()?))
    }

    /// Whether the number was seen to have the username.
    fn was_ours(&self) -> bool {
        upkeep::is_in_sync(self.pass.desired, self.memory, drift::USERNAME)
    }

    /// What holds a claim up that Meta did not refuse.
    fn unrefused(&self) -> Option<Block> {
        let (pass, name) = (self.pass, self.name);
        let (found, retry) = (self.other.unwrap_or_default(), pass.command("retry"));
        let differs = |why: String| Some(Block::new(Reason::UsernameDiffers, why));
        match lacks(pass.desired, self.memory, self.other) {
            Lacks::Found => differs(format!(
                "the number was found with username {found:?}, and loses it with a claim of {name:?}; set spec.username to {found:?}, or run {retry}"
            )),
            Lacks::Lost => Some(Block::new(
                Reason::UsernameRevoked,
                format!(
                    "the number had username {name:?} and has none now: Meta revoked it, somebody removed it, or it was moved to another number; find out which in WhatsApp Manager; to claim it again run {retry}"
                ),
            )),
            Lacks::Upkeep(Upkeep::Report) => differs(format!(
                "somebody else gave the number username {found:?}, and driftPolicy is Report; to claim {name:?} once run {retry}"
            )),
            Lacks::Upkeep(Upkeep::Contended { value, since }) => {
                Some(remedy::contended(pass, drift::USERNAME, &value, since))
            }
            Lacks::Upkeep(Upkeep::Found) => self.claimed_in_vain().or_else(|| {
                differs(format!(
                    "the number was found without username {name:?}, and driftPolicy is Report; to claim it once run {retry}"
                ))
            }),
            Lacks::Upkeep(Upkeep::Asked | Upkeep::Repair) => self.claimed_in_vain(),
        }
    }

    /// A claim that Meta took and does not show is not repeated; one whose answer was lost is, a few times.
    fn claimed_in_vain(&self) -> Option<Block> {
        let pass = self.pass;
        let is_taken = self.last().is_some_and(|last| last.outcome == EntryOutcome::Accepted);
        let from = earlier(pass.now, pass.limits.names_window);
        // What was seen to be there, and was changed since, is counted as a repair.
        let shown = |entry: &&Entry| self.was_ours() && entry.outcome == EntryOutcome::Accepted;
        let tries = self.all().filter(|entry| entry.at > from && entry.cause == Cause::Automatic);
        let tries = tries.filter(|entry| !shown(entry)).count();
        let is_in_vain = is_taken && !self.was_ours();
        (is_in_vain || tries >= pass.limits.usernames_automatic).then(|| {
            Block::new(
                Reason::UsernameNotShown,
                format!(
                    "username {:?} was claimed, and Meta does not show it; look at the number in WhatsApp Manager, {}",
                    self.name,
                    pass.then_retry()
                ),
            )
        })
    }

    fn in_use(&self, refusal: &Refusal, how: &str) -> Block {
        Block::new(
            Reason::UsernameInUse,
            format!(
                "another number of the portfolio has username {:?} ({}); to move it to this number, which takes it from the other, {how}; else set another spec.username",
                self.name,
                say::words(refusal)
            ),
        )
        .refused(Some(refusal))
    }

    fn refused(&self, refusal: &Refusal) -> Block {
        let then = self.pass.then_retry();
        if let Some(block) = say::not_for_its_value("a claim of the username", refusal, &then) {
            return block;
        }
        let (name, words) = (self.name, say::words(refusal));
        let (reason, message) = match refusal.code {
            147_001 => (
                Reason::UsernameTaken,
                format!(
                    "username {name:?} is not available ({words}); set another spec.username, or once it is free run {}",
                    self.pass.command("retry")
                ),
            ),
            147_002 => (
                Reason::UsernameLimitTooLow,
                format!(
                    "the messaging limit of the portfolio is too low for a username ({words}); raise it, for example by verifying the business, {then}"
                ),
            ),
            147_003 => (
                Reason::UsernameNotLinked,
                format!(
                    "a Facebook Page has username {name:?} and is not linked ({words}); link the page in Meta Business Suite, {then}"
                ),
            ),
            147_004 => (
                Reason::UsernameNotLinked,
                format!(
                    "an Instagram account has username {name:?} and is not linked ({words}); link the account in Meta Business Suite, {then}"
                ),
            ),
            _ => (
                Reason::UsernameRefused,
                format!(
                    "Meta refused username {name:?} ({words}); set another spec.username, or remove the cause, {then}"
                ),
            ),
        };
        Block::new(reason, message).refused(Some(refusal))
    }
}
