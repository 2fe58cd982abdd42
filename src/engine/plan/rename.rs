//! The display name of a registered number: submitted once, waited for, and made live. The number goes on serving under the
//! name that is live.

use std::time::Duration;

use crate::engine::{
    plan::{
        go_live, naming,
        pass::{Pass, Seen, Stop, Writable},
        remedy, undecided,
    },
    rule::{
        drift,
        naming::{NameState, Standing, has_approved_change, is_change_hidden, standing},
        upkeep::{self, Upkeep, upkeep},
    },
    value::{
        action::Action,
        block::Block,
        display_name::{is_same, written},
        memory::{EntryOutcome, Memory},
        observed::Number,
        reason::Reason,
        step::{Cause, Step, StepKind},
    },
};

/// The next step to the desired name, or what it waits for. `is_free` when the pass takes no other step.
pub(super) fn renamed(
    pass: &Pass,
    memory: &mut Memory,
    number: &Number,
    seen: &Seen,
    may_write: &Writable,
    is_free: bool,
) -> Result<(), Stop> {
    let standing = standing(number, &pass.desired.display_name, memory);
    note(pass, memory, number, seen, &standing);
    let rename = Rename { pass, memory, number, seen, may_write, is_free };
    match standing {
        Standing::Live(NameState::Expired) => rename.submitted(true),
        Standing::Live(NameState::Declined) => Err(Stop::block(rename.declined())),
        Standing::Live(_) | Standing::Hidden => Ok(()),
        Standing::Other => rename.submitted(false),
        Standing::Waiting(state) => rename.waits(&state),
    }
}

/// Remembers whether the desired name is live, and since when it is approved and not live.
fn note(pass: &Pass, memory: &mut Memory, number: &Number, seen: &Seen, standing: &Standing) {
    let (desired, name) = (pass.desired, &pass.desired.display_name);
    match standing {
        Standing::Live(_) => upkeep::note_same(desired, memory, drift::NAME),
        Standing::Waiting(_) | Standing::Other => {
            let live = number.verified_name.value().map_or("", String::as_str);
            upkeep::note_other(desired, memory, drift::NAME, (live, Duration::ZERO), pass.limits, pass.now);
        }
        Standing::Hidden => return,
    }
    // An approval that cannot be read now may go on, and what was registered for it counts.
    if !matches!(standing, Standing::Live(_)) && number.new_name_status.is_refused() {
        return;
    }
    let approved = &mut memory.marks.approved;
    if *standing != Standing::Waiting(NameState::Usable) {
        *approved = None;
    } else if approved.as_ref().is_none_or(|(of, _)| !is_same(of, name)) {
        *approved = Some((name.clone(), seen.begun.unwrap_or(pass.now)));
    }
}

/// A name that is to become the live one.
struct Rename<'a> {
    pass: &'a Pass<'a>,
    memory: &'a Memory,
    number: &'a Number,
    seen: &'a Seen,
    may_write: &'a Writable,
    is_free: bool,
}

impl Rename<'_> {
    /// Meta has the name beside the live one.
    fn waits(&self, state: &NameState) -> Result<(), Stop> {
        let name = &self.pass.desired.display_name;
        Err(Stop::block(match state {
            NameState::Usable => {
                let Self { pass, memory, number, seen, may_write, is_free } = *self;
                return go_live::go_live(pass, memory, number, seen, may_write, is_free);
            }
            NameState::Expired => return self.submitted(true),
            NameState::Declined => self.declined(),
            NameState::InReview => Block::new(
                Reason::NameInReview,
                format!(
                    "Meta reviews display name {name:?}, mostly for two to five days; {}, and is not registered again before that has ended",
                    self.serves()
                ),
            ),
            NameState::NotReady | NameState::Blind => Block::new(
                Reason::NameNotReady,
                format!(
                    "Meta shows display name {name:?} beside the live one, and not what becomes of it; {}",
                    self.serves()
                ),
            ),
            NameState::Unknown(word) => remedy::not_known("new_name_status", word, "the number"),
        }))
    }

    fn declined(&self) -> Block {
        let block = naming::declined(self.pass);
        Block { message: format!("{}; {}", block.message, self.serves()), ..block }
    }

    /// Submits the name where that is allowed. A review must not be wasted: the PIN for the registration that may follow has
    /// to be there before.
    fn submitted(&self, is_expired: bool) -> Result<(), Stop> {
        let (pass, memory, number) = (self.pass, self.memory, self.number);
        let name = &pass.desired.display_name;
        match self.may_write {
            Writable::Yes => {}
            Writable::No(why) => return Err(Stop::block(self.differs(why))),
            Writable::Incomplete(why) => {
                let block = self.differs(&format!("{why}, and nothing is written to it without that"));
                return Err(Stop::block(block.asks(Action::ShowField)));
            }
        }
        if !is_expired && memory.marks.has_declined(name) {
            return Err(Stop::block(self.declined()));
        }
        undecided::settled(pass, StepKind::SubmitName, memory, self.seen)?;
        undecided::settled(pass, StepKind::Register, memory, self.seen)?;
        naming::not_queued(number)?;
        // A submission may undo a change that Meta approved, as was recorded.
        let is_untold = number.new_display_name.value().is_none() && has_approved_change(number);
        if is_untold && pass.retry.is_none() {
            let why = format!(
                "Meta approved another one and does not tell which, and a submission may undo that; look at the number in WhatsApp Manager; to submit it all the same run {}",
                pass.command("retry")
            );
            return Err(Stop::block(self.differs(&why)));
        }
        let agreed = self.agreed(is_expired)?;
        let agreed = if !is_expired && is_change_hidden(number) { self.asked_blindly()? } else { agreed };
        if standing(number, name, memory) != Standing::Live(NameState::Expired) {
            go_live::may_follow(pass, memory, number, self.seen)?;
        }
        let allowed = if !is_expired && self.is_new_wish() {
            naming::within_limit(pass, memory).map(|()| Cause::Automatic)
        } else {
            naming::allowed(pass, memory, name, is_expired)
        };
        let cause = match (agreed, allowed?) {
            (retry @ Cause::Retry(_), _) => retry,
            (_, cause) => cause,
        };
        undecided::may_send(pass, StepKind::SubmitName, memory)?;
        if !self.is_free {
            return Err(Stop::block(Block::new(
                Reason::SubmittingName,
                format!("display name {name:?} is submitted next"),
            )));
        }
        let step = Step::SubmitName {
            account: self.seen.account.clone(),
            number: number.id.clone(),
            name: written(name),
        };
        let why = format!("submit display name {name:?} for Meta's review; {}", self.serves());
        Err(pass.step(step, why, cause))
    }

    /// Whether the number may be renamed: by the spec alone, or by a person as well.
    fn agreed(&self, is_expired: bool) -> Result<Cause, Stop> {
        let (pass, memory) = (self.pass, self.memory);
        if is_expired {
            return Ok(Cause::Automatic);
        }
        let cost = format!(
            "to have it renamed run {}, which costs a review and perhaps a registration; else set displayName to the live name",
            pass.command("retry")
        );
        let block = match upkeep(pass.desired, memory, drift::NAME) {
            Upkeep::Found => self
                .differs(&format!("the number was found live under that name, so a person decides; {cost}")),
            Upkeep::Asked | Upkeep::Repair => return Ok(Cause::Automatic),
            Upkeep::Report => {
                self.differs(&format!("somebody else changed it, and driftPolicy is Report; {cost}"))
            }
            Upkeep::Contended { value, since } => remedy::contended(pass, drift::NAME, &value, since),
        };
        match &pass.retry {
            Some(retry) => Ok(Cause::Retry(retry.value.clone())),
            None => Err(Stop::block(block)),
        }
    }

    /// A submission goes over a review or an approval, so while none can be read a person decides.
    fn asked_blindly(&self) -> Result<Cause, Stop> {
        if let Some(retry) = &self.pass.retry {
            return Ok(Cause::Retry(retry.value.clone()));
        }
        let name = &self.pass.desired.display_name;
        Err(Stop::block(Block::new(
            Reason::ObservationIncomplete,
            format!(
                "{}, and {name:?} is not submitted: Meta does not show now whether a change of the name is in review or approved, and a submission may undo that; it goes on by itself when Meta shows it; to submit the name all the same run {}",
                self.serves(),
                self.pass.command("retry")
            ),
        )))
    }

    /// Whether the name was submitted before, and what was wished then is over: it was live since, or another one was
    /// wished after it.
    fn is_new_wish(&self) -> bool {
        let name = self.pass.desired.display_name.as_str();
        let mut entries = self.memory.ledger.names.iter().rev().filter(|entry| entry.counts());
        let last = entries.find(|entry| entry.is_about_name(name));
        let was_live = || upkeep::was_live_since(self.pass.desired, self.memory, drift::NAME);
        last.filter(|last| last.outcome == EntryOutcome::Accepted)
            .is_some_and(|last| was_live() || naming::is_replaced(self.memory, last))
    }

    fn differs(&self, why: &str) -> Block {
        let name = &self.pass.desired.display_name;
        Block::new(Reason::NameDiffers, format!("{}, and {name:?} is not submitted: {why}", self.serves()))
    }

    fn serves(&self) -> String {
        match self.number.verified_name.value() {
            Some(live) => format!("the number goes on serving as {live:?}"),
            None => "the number goes on serving".into(),
        }
    }
}
