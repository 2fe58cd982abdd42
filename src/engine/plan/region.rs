//! Where Meta stores a number's messages: set before its registration. A registered number is deregistered for it and
//! registered again, where the spec consents to that.

use jiff::Timestamp;

use crate::engine::{
    plan::{
        find, naming,
        pass::{Gate, Pass, Seen, Stop, Writable},
        pin::{self, Pin},
        register, repin, resolve, undecided,
    },
    rule::{
        naming::{has_approved_change, is_change_hidden, is_in_review},
        say,
    },
    value::{
        action::Action,
        block::Block,
        id::{CodeStatus, NameStatus},
        memory::{Memory, Pace},
        observed::Number,
        reason::Reason,
        step::{Cause, Step, StepKind},
        time::{earlier, later, pause},
    },
};

/// Meta's own limit of registrations and deregistrations together, as one reading of its page has it.
const ATTEMPTS: usize = 10;
/// After this many tries a number that was deregistered for it is registered without it.
const TRIES: u32 = 3;

/// Before a registration: the region is set, or it is told why not. A number that was deregistered for it is registered again
/// in any case.
pub(super) fn configured(pass: &Pass, memory: &mut Memory, number: &Number, seen: &Seen) -> Gate {
    let Some(region) = wanted(pass, memory) else { return Ok(()) };
    let pace = memory.ledger.repeatable.entry(StepKind::SetStorage).or_default();
    if pace.generation != pass.desired.generation {
        *pace = Pace { generation: pass.desired.generation, ..Pace::default() };
    }
    let is_refused =
        pace.refusal.as_ref().is_some_and(|refusal| !refusal.is_pause() && !refusal.may_have_happened());
    if memory.marks.is_moving && (is_refused || pace.failed >= TRIES) {
        return Ok(());
    }
    let until = pace.held_until.or_else(|| {
        let last = pace.last?;
        Some(later(last, pause(&pass.limits.cleanup_pauses, pace.failed as usize)))
    });
    let cause = match (until.filter(|until| *until > pass.now), &pass.retry) {
        (None, _) => Cause::Automatic,
        (Some(_), Some(retry)) => Cause::Retry(retry.value.clone()),
        (Some(until), None) if pace.held_until.is_some() => {
            return Err(Stop::block(say::not_sent(StepKind::SetStorage, until)));
        }
        (Some(until), None) => return Err(Stop::block(not_set(pass, &region, pace, until))),
    };
    let (account, number) = (seen.account.clone(), number.id.clone());
    let step = Step::SetStorage { account, number, region };
    Err(pass.step(
        step,
        "set where messages are stored, which Meta takes only before a registration".into(),
        cause,
    ))
}

fn not_set(pass: &Pass, region: &str, pace: &Pace, until: Timestamp) -> Block {
    let words = pace.refusal.as_ref().map_or_else(|| "no answer came".into(), say::words);
    let other = pace
        .refusal
        .as_ref()
        .and_then(|refusal| say::not_for_its_value("SetStorage", refusal, &pass.then_retry()));
    let block = other.unwrap_or_else(|| {
        Block::new(
            Reason::StorageRegionRefused,
            format!(
                "Meta did not take storage region {region} ({words}), and the number is not registered without it; it is tried again at {}, or at once with {}; to register it without, remove registration.storageRegion",
                say::time(until),
                pass.command("retry")
            ),
        )
    });
    block.refused(pace.refusal.as_ref()).until(until)
}

/// The region that Meta is not known to have, in the spec's word.
fn wanted(pass: &Pass, memory: &Memory) -> Option<String> {
    let region = pass.desired.registration.storage_region.as_ref();
    region.filter(|region| memory.marks.storage.as_ref() != Some(region)).cloned()
}

/// A registered number: deregisters it where it is to be stored elsewhere and the spec consents, or says what that costs. `is_free` when the pass takes
/// no other step.
pub(super) fn moved(
    pass: &Pass,
    memory: &mut Memory,
    number: &Number,
    seen: &Seen,
    may_write: &Writable,
    is_free: bool,
) -> Gate {
    if memory.marks.is_moving {
        if memory.comes_back() {
            undecided::settled(pass, StepKind::Deregister, memory, seen)?;
        }
        memory.marks.is_moving = false;
    }
    let Some(region) = wanted(pass, memory).filter(|_| matches!(may_write, Writable::Yes)) else {
        return Ok(());
    };
    let cost = cost(pass, memory);
    let stored = match memory.marks.storage.as_deref() {
        Some(live) => {
            format!("the number was registered with storage region {live}, and the spec wants {region}")
        }
        None => format!(
            "the spec wants storage region {region}, and this object did not register the number with one; where Meta stores its messages is not known here"
        ),
    };
    if !pass.desired.registration.may_move {
        let how = format!(
            "Meta changes that only while a number is not registered; it goes on serving as it is; to have it changed set acknowledge: [ReregisterForStorageRegion], which {cost}; or set registration.storageRegion back, or remove it"
        );
        return Err(Stop::block(differs(&format!("{stored}; {how}"))));
    }
    let waits =
        |why: &str| Err(Stop::block(differs(&format!("{stored}; it is not deregistered now: {why}"))));
    let retry = pass.retry_since_found(memory);
    if let Some((_, since)) =
        memory.marks.moved.as_ref().filter(|(tried, _)| *tried == region && retry.is_none())
    {
        let last = memory.ledger.last(StepKind::Deregister).and_then(|last| last.refusal.as_ref());
        let set = memory.ledger.repeatable.get(&StepKind::SetStorage).and_then(|pace| pace.refusal.as_ref());
        let words = set.or(last).map_or(String::new(), |refusal| format!(" ({})", say::words(refusal)));
        let why = format!(
            "it was tried on {}, without effect{words}; to try once more run {}, which {cost}",
            say::time(*since),
            pass.command("retry")
        );
        return Err(Stop::block(differs(&format!("{stored}; {why}")).asks(Action::Retry)));
    }
    if !repin::is_proven(memory) {
        let key = &pass.desired.registration.pin_secret;
        return waits(&format!(
            "this object never gave Meta the PIN in Secret {}, and a wrong one would keep the number down; name the Secret in registration.pinSecretRef and put other six digits there, which the operator then sets",
            key.name
        ));
    }
    undecided::settled(pass, StepKind::Register, memory, seen)?;
    undecided::settled(pass, StepKind::SubmitName, memory, seen)?;
    if let Some(why) = named(pass, number, retry.is_some()) {
        return waits(&why);
    }
    // A status that was lost, and a region that Meta refused, look the same: perhaps it is stored there already.
    if memory.marks.storage.is_none() && retry.is_none() {
        let why = format!(
            "so it is not moved by itself; if it is there already, remove registration.storageRegion; to have it moved run {}, which {cost}",
            pass.command("retry")
        );
        return Err(Stop::block(differs(&format!("{stored}; {why}")).asks(Action::Retry)));
    }
    register::unlocked(pass, memory)?;
    if let Some(until) = full_until(pass, memory) {
        let why = format!(
            "too few of the ten registrations and deregistrations in 72 hours are left; it is done at {}",
            say::time(until)
        );
        return Err(Stop::block(Block { until: Some(until), ..differs(&format!("{stored}; {why}")) }));
    }
    let view = resolve::portfolio(pass)?;
    if let Some(place) = find::sharer(pass, view, seen, number) {
        return waits(&format!("it is in {place} too, and whoever sends with it there would lose it"));
    }
    if let Some(block) = find::unknown_sharer(pass, view, seen, number, None) {
        return match block.reason {
            Reason::NotObservedYet => Err(Stop::block(block)),
            _ => waits(&format!("another account may have it too: {}", block.message)),
        };
    }
    if number.code.value() != Some(&CodeStatus::Verified) && retry.is_none() {
        return waits(&format!(
            "Meta does not show its proof as valid, and may want a new code before it registers the number again; with the phone at hand run {}",
            pass.command("retry")
        ));
    }
    if naming::allows_registration(pass, memory, number)? != naming::Grant::Usable {
        return waits("its display name is not approved, so it might not be registered again");
    }
    let Pin::Kept(version) = pin::available(pass, memory, number)? else {
        return waits("its PIN is not in the Secret, and without it the number is not registered again");
    };
    let is_wrong =
        memory.ledger.last(StepKind::Register).is_some_and(|last| pin::wrong(number, last).is_some());
    if is_wrong || repin::is_due(pass, memory, number, &version) || repin::is_in_doubt(memory, &version) {
        return waits("Meta may hold another PIN than the Secret, and would not register the number again");
    }
    undecided::may_send(pass, StepKind::Deregister, memory)?;
    undecided::may_send(pass, StepKind::Register, memory)?;
    if !is_free {
        return Err(Stop::look_again(format!(
            "the number is deregistered next, to be registered with storage region {region}"
        )));
    }
    let why =
        format!("deregister the number, to register it again with storage region {region}; that {cost}");
    let (account, number) = (seen.account.clone(), number.id.clone());
    Err(pass.step(Step::Deregister { account, number, region: Some(region) }, why, Cause::Automatic))
}

/// Why the number's names forbid a registration now: it makes a name live that waits beside the live one, reviewed or not.
fn named(pass: &Pass, number: &Number, is_asked: bool) -> Option<String> {
    if is_in_review(number) {
        return Some("Meta reviews a display name, and a registration would end that".into());
    }
    if has_approved_change(number) {
        return Some(
            "another display name is approved and not live yet, and a registration would make it live".into(),
        );
    }
    let is_untold =
        is_change_hidden(number) || matches!(number.new_name_status.value(), Some(NameStatus::Other(_)));
    (is_untold && !is_asked).then(|| {
        format!(
            "Meta does not tell whether another display name is in review or approved, and a registration would make that one live; if none is, run {}",
            pass.command("retry")
        )
    })
}

fn differs(message: &str) -> Block {
    Block::new(Reason::StorageRegionDiffers, message)
        .or_else("the number goes on serving, and its messages stay where they are stored")
}

/// What the change takes, and what is left of it.
fn cost(pass: &Pass, memory: &Memory) -> String {
    let left = |kind, limit: usize| limit.saturating_sub(recent(pass, memory, kind).count());
    format!(
        "costs one deregistration ({} left in 72 hours), one registration ({} left) and an outage of some minutes, in which the number can neither send nor receive",
        left(StepKind::Deregister, pass.limits.deregistrations_total),
        left(StepKind::Register, pass.limits.registrations_total)
    )
}

fn recent<'a>(pass: &Pass, memory: &'a Memory, kind: StepKind) -> impl Iterator<Item = Timestamp> + 'a {
    let from = Some(earlier(pass.now, pass.limits.registration_window));
    memory.ledger.since(kind, from).map(|entry| entry.at)
}

/// Until when not both attempts, and one more registration, fit into what Meta allows.
fn full_until(pass: &Pass, memory: &Memory) -> Option<Timestamp> {
    let mut all: Vec<_> = [StepKind::Register, StepKind::Deregister]
        .into_iter()
        .flat_map(|kind| recent(pass, memory, kind))
        .collect();
    all.sort();
    let room = ATTEMPTS - 3;
    let first = all.len().checked_sub(room + 1)?;
    Some(later(all[first], pass.limits.registration_window))
}
