//! A channel that is being deleted: what is taken back at Meta before it goes, and what is left there.
//!
//! Only what is this object's own is taken back: the override that its spec names or that it wrote, and a registration that it
//! made. What cannot be read or done is tried until the time is over. Then the object goes, with a word on what was left.

use std::{fmt::Write, sync::Arc};

use jiff::Timestamp;

use crate::engine::{
    drift::same_url,
    plan::{
        find, guard, held,
        pass::{Gate, Pass, Seen, Stop},
        remedy, resolve, undecided,
    },
    rule::{say, upkeep},
    value::{
        block::Block,
        desired::{Connection, DeletionPolicy, Management},
        failure::{Failure, Refusal},
        farewell::{Farewell, Parting},
        id::{AccountId, Fact, Field, NumberId, NumberStatus, PlatformType},
        memory::{EntryOutcome, Memory, Registration},
        observed::{Claim, ListState, Number},
        reason::Reason,
        step::{Cause, Planned, Step, StepKind},
        time::{earlier, later},
    },
};

/// What is decided about a channel that is being deleted.
pub(super) enum Away {
    Step(Planned),
    Block(Block),
    Farewell(Farewell),
}

/// What may be taken back, piece by piece.
struct Pieces {
    webhook: Piece,
    registration: Piece,
}

/// How far one piece is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Not this object's to take back, or not there.
    Nothing,
    /// It may still be there.
    Open,
    /// Taken back, as far as Meta tells.
    Done(&'static str),
    /// It is there and not this object's, and why that is known.
    NotOurs(String),
    /// It stays, why, and how a person goes on with it.
    Left(String, How),
}

/// How a person goes on with what was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// By the call that was not made, once a person has seen that it harms nobody: it was not looked at.
    LookFirst,
    /// By the call that was not made.
    Call,
    /// The same, and only when Meta's lock is over: each try before makes it longer.
    CallLater,
    /// No call does it.
    InApp,
    /// By nothing that could be told without a look at whose it is.
    Nothing,
}

/// The next step, why there is none now, or that the object may go.
pub(super) fn plan(pass: &Pass, memory: &mut Memory, since: Timestamp) -> Away {
    let mut pieces = Pieces::of(pass, memory);
    if let Some(farewell) = at_once(pass, memory, &mut pieces, since) {
        return Away::Farewell(farewell);
    }
    let stop = match course(pass, memory, since, &mut pieces) {
        Ok(()) => match on_its_way(pass, memory) {
            None => return Away::Farewell(pieces.farewell(memory, "")),
            Some(block) => return Away::Block(block),
        },
        Err(Halt::Gone(why)) => return Away::Farewell(gone(why)),
        Err(Halt::Hidden(why)) => return Away::Farewell(pieces.farewell(memory, &why)),
        Err(Halt::Stop(stop)) => stop,
    };
    let block = match stop {
        Stop::Step(planned) => match held::back(pass, planned.step.kind()) {
            None => return Away::Step(*planned),
            Some(block) => block,
        },
        Stop::Block(block) => *block,
    };
    if pass.now < ends(pass, since) || !is_quiet(pass, memory) {
        return Away::Block(block);
    }
    pieces.believe_accepted(memory, since);
    let tried = match pass.desired.deletion.timeout.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds => format!("{} minutes", seconds / 60),
    };
    Away::Farewell(pieces.farewell(memory, &format!("after {tried}: {}", block.message)))
}

/// When to look again: when something may be otherwise, and when the time is over.
pub(super) fn next(pass: &Pass, memory: &Memory, block: &Block, since: Timestamp) -> Timestamp {
    let flight = memory.in_flight.as_ref();
    let dates = [
        block.until,
        Some(ends(pass, since)),
        flight.map(|intent| pass.clock().ended(intent)),
        flight.map(|intent| pass.clock().settled(intent)),
        Some(later(pass.now, pass.limits.fresh_after_write)),
    ];
    let next = dates.into_iter().flatten().filter(|at| *at > pass.now).min();
    next.unwrap_or_else(|| later(pass.now, pass.limits.fresh_after_write))
}

/// When no more is tried.
fn ends(pass: &Pass, since: Timestamp) -> Timestamp {
    // A process that has just begun had no chance to try.
    let least = later(pass.observed.process.started, pass.limits.cleanup_least);
    later(since, pass.desired.deletion.timeout).max(least)
}

/// Nothing that was begun can be on its way any more.
fn is_quiet(pass: &Pass, memory: &Memory) -> bool {
    on_its_way(pass, memory).is_none()
}

/// What was begun before the deletion, or in it, and may be on its way.
fn on_its_way(pass: &Pass, memory: &Memory) -> Option<Block> {
    let intent = memory.in_flight.as_ref()?;
    let quiet = pass.clock().ended(intent);
    let message = format!("{} was begun and may be on its way", intent.step);
    (quiet > pass.now).then(|| Block::new(Reason::EffectNotVisibleYet, message).until(quiet))
}

impl Pieces {
    fn of(pass: &Pass, memory: &Memory) -> Self {
        let may_be_routed = pass.desired.webhook.is_some() || was_there(memory);
        let webhook = if may_be_routed { Piece::Open } else { Piece::Nothing };
        let registration = match pass.desired.deletion.policy {
            DeletionPolicy::Retain | DeletionPolicy::Unroute => Piece::Nothing,
            DeletionPolicy::Deregister => registration(pass, memory),
        };
        Self { webhook, registration }
    }

    fn all(&self) -> [(&Piece, &'static str); 2] {
        [(&self.webhook, "its webhook override"), (&self.registration, "its registration")]
    }

    /// The time is over for what Meta accepted and does not show yet. What it accepted before and never showed speaks against
    /// that.
    fn believe_accepted(&mut self, memory: &Memory, since: Timestamp) {
        let removal = memory.ledger.repeatable.get(&StepKind::UnrouteWebhook);
        let is_removed = removal.is_some_and(|pace| (pace.accepted, pace.failed) == (1, 1));
        if self.webhook == Piece::Open && is_removed {
            self.webhook =
                Piece::Done("Meta accepted the removal of the webhook override, and does not show it yet");
        }
        let mut tries = memory.ledger.since(StepKind::Deregister, Some(from(since)));
        let is_accepted = tries.next().is_some_and(|entry| entry.outcome == EntryOutcome::Accepted)
            && tries.next().is_none();
        if self.registration == Piece::Open && is_accepted {
            self.registration = Piece::Done("Meta accepted the deregistration, and does not show it yet");
        }
    }

    fn is_open(&self) -> bool {
        self.all().iter().any(|(piece, _)| **piece == Piece::Open)
    }

    /// What became of each piece, and how a person goes on with what is left.
    fn farewell(&self, memory: &Memory, why: &str) -> Farewell {
        let number = memory.number.as_ref();
        let (mut done, mut not_ours, mut left, mut by_hand) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (at, (piece, name)) in self.all().into_iter().enumerate() {
            let how = match piece {
                Piece::Nothing => continue,
                Piece::Done(what) => {
                    done.push((*what).to_owned());
                    continue;
                }
                Piece::NotOurs(why) => {
                    not_ours.push(format!("{} ({why})", name.trim_start_matches("its ")));
                    continue;
                }
                Piece::Open => {
                    left.push(format!("perhaps {name}"));
                    How::LookFirst
                }
                Piece::Left(why, how) => {
                    left.push(format!("{name} ({why})"));
                    *how
                }
            };
            by_hand
                .extend(number.and_then(|number| by_hand_of(at == 0, how, number, memory.account.as_ref())));
        }
        let mut message = String::new();
        if !done.is_empty() {
            _ = write!(message, "{}. ", done.join("; "));
        }
        if !not_ours.is_empty() {
            _ = write!(message, "Not of this object, so it stays at Meta: {}. ", not_ours.join("; "));
        }
        if left.is_empty() {
            if message.is_empty() {
                message.push_str("Nothing was to be taken back at Meta. ");
            }
            let is_retained = done.is_empty() && !not_ours.is_empty();
            let parting = if is_retained { Parting::Retained } else { Parting::CleanedUp };
            return Farewell { parting, message: message.trim_end().to_owned() };
        }
        let of = number.map_or_else(String::new, |number| format!(" of number {number}"));
        _ = write!(message, "Left at Meta{of}: {}.", left.join("; "));
        if number.is_none() {
            message.push_str(" Look in WhatsApp Manager for what it had.");
        } else if !by_hand.is_empty() {
            _ = write!(message, " By hand: {}.", by_hand.join("; "));
        }
        if !why.is_empty() {
            _ = write!(message, " Cleanup ended {why}");
        }
        Farewell { parting: Parting::LeftAtMeta, message }
    }
}

/// How a person goes on with the override, or with the registration.
fn by_hand_of(is_webhook: bool, how: How, number: &NumberId, account: Option<&AccountId>) -> Option<String> {
    let unroute = format!(
        "POST /{number} with {{\"webhook_configuration\":{{\"override_callback_uri\":\"\"}}}} and a token of the same app removes the override"
    );
    let deregister = format!("POST /{number}/deregister ends the registration");
    match how {
        How::LookFirst if is_webhook => Some(format!(
            "GET /{number}?fields=webhook_configuration shows the override; only if it is still this channel's, {unroute}"
        )),
        How::LookFirst => {
            let account = account.map_or("{account}", AccountId::as_str);
            Some(format!(
                "GET /{account}/subscribed_apps shows who else uses it, and so do the lists of your other accounts; only if nobody does, {deregister}"
            ))
        }
        How::Call if is_webhook => Some(unroute),
        How::Call => Some(deregister),
        How::CallLater => Some(format!("{deregister}, once the 72 hours are over and not before")),
        How::InApp => Some("disconnect the number in the WhatsApp Business app".into()),
        How::Nothing => None,
    }
}

/// Whether there may be a registration that this object made.
fn registration(pass: &Pass, memory: &Memory) -> Piece {
    if pass.desired.connection == Connection::Coexistence {
        return in_app();
    }
    // What is not understood may tell of one.
    if memory.unknown.is_some() {
        return Piece::Open;
    }
    match memory.marks.registration {
        _ if memory.may_have_registered() => Piece::Open,
        Registration::Seen { .. } => Piece::NotOurs(NOT_OURS.into()),
        Registration::NotSeen => Piece::Nothing,
    }
}

const NOT_OURS: &str = "this object did not make it";

fn in_app() -> Piece {
    Piece::Left("a number of the WhatsApp Business app is never deregistered".into(), How::InApp)
}

/// What this deletion sent before somebody had it end.
fn sent_before(memory: &Memory, since: Timestamp) -> Option<String> {
    let removal = memory.ledger.repeatable.get(&StepKind::UnrouteWebhook);
    let removal = removal.filter(|pace| pace.last.is_some_and(|last| last >= from(since)));
    let removal = removal.map(|pace| match pace.accepted {
        0 => "the removal of its webhook override was tried",
        _ => "its webhook override was removed",
    });
    let tries: Vec<_> = memory.ledger.since(StepKind::Deregister, Some(from(since))).collect();
    let is_accepted = tries.iter().any(|entry| entry.outcome == EntryOutcome::Accepted);
    let deregistration = tries.last().map(|_| match is_accepted {
        true => "it was deregistered",
        false => "its deregistration was tried",
    });
    let sent: Vec<_> = removal.into_iter().chain(deregistration).collect();
    (!sent.is_empty()).then(|| sent.join(" and "))
}

/// Times are kept in whole seconds.
fn from(since: Timestamp) -> Timestamp {
    earlier(since, std::time::Duration::from_secs(1))
}

/// What is known without a look at Meta.
fn at_once(pass: &Pass, memory: &Memory, pieces: &mut Pieces, since: Timestamp) -> Option<Farewell> {
    let (desired, deletion) = (pass.desired, &pass.desired.deletion);
    let retained = |message: &str| Some(Farewell { parting: Parting::Retained, message: message.into() });
    let stays = |why: &str| match sent_before(memory, since) {
        None => retained(&format!("{why}, so everything stays at Meta as it is")),
        Some(sent) => {
            retained(&format!("{why}, so nothing more is done at Meta; in this deletion {sent} before"))
        }
    };
    if deletion.policy == DeletionPolicy::Retain {
        return stays("deletionPolicy is Retain");
    }
    if let Claim::Other { .. } = pass.observed.claim {
        return stays("another WhatsAppChannel manages the number");
    }
    // A memory that is not understood may hide a number.
    if memory.number.is_none() && memory.unknown.is_none() {
        let is_added = memory.ledger.last(StepKind::AddNumber).is_some();
        return retained(if is_added {
            "the number was asked to be added and never seen; if WhatsApp Manager shows it, it can be deleted there"
        } else {
            "nothing was done at Meta for this channel"
        });
    }
    let is_observed = desired.management == Management::ObserveOnly;
    // What it never wrote is not its own, unless this deletion began to remove it.
    let is_removing = memory.ledger.repeatable.contains_key(&StepKind::UnrouteWebhook);
    if is_observed && pieces.webhook == Piece::Open && !was_there(memory) && !is_removing {
        pieces.webhook = Piece::Nothing;
    }
    if deletion.is_skipped || desired.suspend || is_observed {
        pieces.believe_accepted(memory, since);
    }
    if deletion.is_skipped {
        return Some(pieces.farewell(memory, "because the annotation skip-cleanup asks for it"));
    }
    if desired.suspend {
        return Some(
            pieces.farewell(memory, "because spec.suspend is true: nothing is written at Meta then"),
        );
    }
    if is_observed {
        let why = "because managementPolicy is ObserveOnly: nothing is written at Meta then";
        return Some(pieces.farewell(memory, why));
    }
    (!pieces.is_open() && memory.unknown.is_none()).then(|| pieces.farewell(memory, ""))
}

/// Why the course goes no further.
enum Halt {
    Stop(Stop),
    /// Meta shows that there is nothing any more to take back.
    Gone(String),
    /// What there is cannot be seen, and time will not change that.
    Hidden(String),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// The override first, since it belongs to a number that can send.
fn course(pass: &Pass, memory: &mut Memory, since: Timestamp, pieces: &mut Pieces) -> Result<(), Halt> {
    if pass.observed.claim == Claim::Undecided {
        let message = "not every watched namespace has been read yet, so no channel acts";
        return Err(Stop::block(Block::new(Reason::NotObservedYet, message)).into());
    }
    undecided::understood(pass, memory)?;
    let view = resolve::portfolio(pass)?;
    let account = resolve::fixed_account(pass, memory, view)?;
    let (number, seen) = number(pass, memory, account, since)?;
    if number.is_registered() {
        guard::note_registered(memory, &seen, pass.now);
    }
    undecided::judge(pass, memory, &seen);
    give_up_others(pass, memory);
    // It is repeatable, and waits for no other step.
    if pieces.webhook == Piece::Open {
        let is_registration_open = pieces.registration == Piece::Open;
        pieces.webhook = unroute(pass, memory, &number, &seen, is_registration_open)?;
    }
    if pieces.registration == Piece::Open {
        undecided::none_open(pass, memory)?;
        pieces.registration = deregister(pass, memory, &number, &seen, since)?;
    }
    Ok(())
}

/// What else was begun, and cannot be on its way any more, changes nothing of what is taken back. It counts as sent.
fn give_up_others(pass: &Pass, memory: &mut Memory) {
    if !is_quiet(pass, memory) {
        return;
    }
    let bears = |step| matches!(step, StepKind::Register | StepKind::Deregister);
    let Some(intent) =
        memory.in_flight.take_if(|intent| intent.step.known().is_some_and(|step| !bears(step)))
    else {
        return;
    };
    let entries = intent.step.known().and_then(|step| memory.ledger.of_mut(step));
    if let Some(entry) = entries.and_then(|entries| entries.iter_mut().find(|entry| entry.id == intent.id)) {
        entry.outcome = EntryOutcome::NoAnswer;
    }
}

/// The number by its id: another entry with its digits is another registration.
fn number(
    pass: &Pass,
    memory: &mut Memory,
    account: AccountId,
    since: Timestamp,
) -> Result<(Arc<Number>, Seen), Halt> {
    let unread = || {
        Stop::look_again(format!("the numbers of account {account} have not been read since the deletion"))
    };
    let searched =
        pass.observed.search.iter().find(|searched| searched.account == account).ok_or_else(unread)?;
    let begun = match &searched.list {
        ListState::Complete { begun } if *begun >= since => *begun,
        ListState::Complete { .. } => return Err(unread().into()),
        ListState::NotCheckable(failure) if is_hidden(failure) && is_account_hidden(pass) => {
            let from = *memory.marks.missing_since.get_or_insert(pass.now);
            let until = later(from, pass.limits.fresh_after_write);
            if pass.now < until {
                let block = remedy::unreadable_account(&account, &format!("account {account}"), failure);
                return Err(Stop::block(block.until(until)).into());
            }
            return Err(Halt::Hidden(format!(
                "because Meta shows neither account {account} nor its numbers any more: it was deleted, or is hidden from the token"
            )));
        }
        ListState::NotCheckable(failure) | ListState::Failed(failure) => {
            let what = format!("the numbers of account {account}");
            return Err(Stop::block(remedy::unreadable_account(&account, &what, failure)).into());
        }
    };
    let mut entries = searched.numbers.iter().chain(&searched.without_digits);
    let entry = entries.find(|entry| Some(&entry.id) == memory.number.as_ref()).cloned();
    let Some(entry) = entry else {
        let from = *memory.marks.missing_since.get_or_insert(begun);
        let until = later(from, pass.limits.fresh_after_write);
        if begun < until {
            let message =
                format!("the number is no longer listed in account {account}; it is looked for once more");
            return Err(Stop::block(Block::new(Reason::ObservationIncomplete, message).until(until)).into());
        }
        return Err(Halt::Gone(format!("the number is not in account {account} any more")));
    };
    memory.marks.missing_since = None;
    match entry.status.value() {
        Some(NumberStatus::Migrated) => {
            Err(Halt::Gone(format!("the number was moved from account {account} to another")))
        }
        Some(NumberStatus::Deleted) => {
            Err(Halt::Gone(format!("the number was deleted from account {account}")))
        }
        _ => Ok((entry.clone(), Seen { account, begun: Some(begun), number: Some(entry) })),
    }
}

fn is_hidden(failure: &Failure) -> bool {
    failure.refusal().is_some_and(Refusal::hides_object)
}

fn is_account_hidden(pass: &Pass) -> bool {
    matches!(&pass.observed.account, Fact::Unknown(failure) if is_hidden(failure))
}

fn gone(why: String) -> Farewell {
    Farewell { parting: Parting::CleanedUp, message: format!("{why}, so there is nothing to take back.") }
}

/// Whether an address is the one that the spec names, or one that this object wrote before an edit.
fn is_own(pass: &Pass, memory: &Memory, url: &str) -> bool {
    let named = pass.desired.webhook.as_ref().map(|webhook| webhook.callback_url.as_str());
    let mut own = named.into_iter().chain(memory.marks.routed.iter().map(String::as_str));
    own.any(|own| same_url(url, own)) || upkeep::was_routed(memory, url)
}

/// Whether this object wrote an override that was not seen to be gone before the deletion.
fn was_there(memory: &Memory) -> bool {
    !memory.marks.routed.is_empty() || upkeep::may_have_routed(memory)
}

/// Takes this object's own override away; no other.
fn unroute(
    pass: &Pass,
    memory: &Memory,
    number: &Number,
    seen: &Seen,
    is_registration_open: bool,
) -> Gate<Piece> {
    let paces = &memory.ledger.repeatable;
    let pace = paces.get(&StepKind::UnrouteWebhook);
    let live = match &number.webhook {
        Field::Refused => {
            let why = "Meta does not let this app read where the webhook points";
            return Ok(Piece::Left(why.into(), How::Nothing));
        }
        Field::Absent => None,
        Field::Is(shown) => shown.number.as_deref(),
    };
    match live {
        Some(url) if is_own(pass, memory, url) => {}
        Some(_) => {
            let why = "it is another address than the one in the spec, and this object did not write it";
            return Ok(Piece::NotOurs(why.into()));
        }
        None => {
            let written = paces.get(&StepKind::RouteWebhook);
            let until = written.and_then(|pace| pace.settle_until);
            let may_show = until.filter(|until| seen.begun.is_none_or(|begun| begun < *until));
            return match may_show {
                Some(until) => {
                    let refusal = written.and_then(|pace| pace.refusal.as_ref());
                    Err(Stop::block(late(StepKind::RouteWebhook, refusal, until)))
                }
                None if pace.is_some() => Ok(Piece::Done("The webhook override was removed")),
                // A removal that Meta took right before the process ended was not remembered.
                None if was_there(memory) => {
                    Ok(Piece::Done("The webhook override of this object is not there any more"))
                }
                None => Ok(Piece::Nothing),
            };
        }
    }
    if let Some(pace) = pace {
        if let Some(until) = pace.held_until.filter(|until| *until > pass.now) {
            return Err(Stop::block(say::not_sent(StepKind::UnrouteWebhook, until)));
        }
        if let Some(until) = pace.settle_until.filter(|until| seen.begun.is_none_or(|begun| begun < *until)) {
            return Err(Stop::block(late(StepKind::UnrouteWebhook, None, until)));
        }
        if pace.accepted >= pass.limits.repeatable_without_effect {
            let why = format!("Meta accepted its removal {} times and still shows it", pace.accepted);
            return Ok(Piece::Left(why, How::Call));
        }
        // The other piece does not wait for this one to the end.
        if let Some(refusal) = pace.refusal.as_ref().filter(|_| is_registration_open)
            && pace.failed as usize >= pass.limits.cleanup_tries
        {
            let why = format!("it was tried {} times: {}", pace.failed, say::words(refusal));
            return Ok(Piece::Left(why, How::Call));
        }
        if let Some(last) = pace.last.filter(|_| pace.held_until.is_none()) {
            paced(pass, StepKind::UnrouteWebhook, pace.failed as usize, last, pace.refusal.as_ref())?;
        }
    }
    let step = Step::UnrouteWebhook { account: seen.account.clone(), number: number.id.clone() };
    Err(pass.step(step, "remove the webhook override of this number".into(), Cause::Automatic))
}

/// Ends a registration that this object made, where nobody else depends on it.
fn deregister(pass: &Pass, memory: &Memory, number: &Number, seen: &Seen, since: Timestamp) -> Gate<Piece> {
    let from = from(since);
    let tries = memory.ledger.since(StepKind::Deregister, Some(from)).count();
    match &number.platform {
        Field::Is(PlatformType::CloudApi) => {}
        Field::Is(PlatformType::NotApplicable) => {
            // One of ours may still take effect, and would stay behind.
            undecided::settled(pass, StepKind::Register, memory, seen)?;
            return Ok(Piece::Done(if tries > 0 {
                "The number was deregistered"
            } else {
                "The number is not registered"
            }));
        }
        Field::Is(PlatformType::OnPremise) => return Ok(in_app()),
        Field::Is(PlatformType::Other(word)) => {
            return Err(Stop::block(remedy::not_known("platform_type", word, "the number")));
        }
        Field::Refused | Field::Absent => return Err(Stop::block(untold("platform_type"))),
    }
    if !memory.marks.has_registered() {
        return Ok(Piece::NotOurs(NOT_OURS.into()));
    }
    match guard::is_in_app(memory, number) {
        Some(false) => {}
        Some(true) => return Ok(in_app()),
        None => return Err(Stop::block(untold("is_on_biz_app"))),
    }
    if let Some(why) = depended_on(pass, memory, number, seen, since)? {
        return Ok(Piece::Left(why, How::Nothing));
    }
    let last = memory.ledger.last(StepKind::Deregister).filter(|last| last.at > from);
    if let Some(refusal) = last.and_then(|last| last.refusal.as_ref()) {
        if refusal.names(133_010) || refusal.names(2_207_051) {
            return Ok(Piece::Done("Meta says that the number is not registered"));
        }
        if refusal.names(133_016) {
            let why = format!("Meta allows no more deregistrations for 72 hours ({})", say::words(refusal));
            return Ok(Piece::Left(why, How::CallLater));
        }
    }
    undecided::may_send(pass, StepKind::Deregister, memory)?;
    undecided::settled(pass, StepKind::Deregister, memory, seen)?;
    let window = earlier(pass.now, pass.limits.registration_window);
    let all = memory.ledger.since(StepKind::Deregister, Some(window)).count();
    if all >= pass.limits.deregistrations_total {
        let why = format!("the number was deregistered {all} times in 72 hours, and Meta allows 10");
        return Ok(Piece::Left(why, How::CallLater));
    }
    if let Some(last) = last {
        if tries >= pass.limits.cleanup_tries {
            let words = last.refusal.as_ref().map_or_else(|| "without effect".into(), say::words);
            return Ok(Piece::Left(format!("it was tried {tries} times: {words}"), How::Call));
        }
        paced(pass, StepKind::Deregister, tries, last.at, last.refusal.as_ref())?;
    }
    let step = Step::Deregister { account: seen.account.clone(), number: number.id.clone(), region: None };
    Err(pass.step(step, "deregister the number from the Cloud API".into(), Cause::Automatic))
}

/// Whether somebody else has an interest in the number, as far as Meta tells.
fn depended_on(
    pass: &Pass,
    memory: &Memory,
    number: &Number,
    seen: &Seen,
    since: Timestamp,
) -> Gate<Option<String>> {
    let is_foreign = |url: &Option<String>| url.as_deref().is_some_and(|url| !is_own(pass, memory, url));
    let (of_number, of_account) = match &number.webhook {
        Field::Refused => return Ok(Some("Meta does not let this app read where the webhook points".into())),
        Field::Absent => (false, false),
        Field::Is(shown) => (is_foreign(&shown.number), is_foreign(&shown.account)),
    };
    if of_number {
        return Ok(Some("the number has a webhook override that is not of this object".into()));
    }
    match &pass.observed.subscribed {
        Fact::Known(_) => {}
        Fact::NotAsked => {
            return Err(Stop::look_again("the account's subscribed apps have not been read yet"));
        }
        Fact::Unknown(failure) => {
            return Err(Stop::block(say::unreadable("the account's subscribed apps", failure)));
        }
    }
    if pass.desired.deletion.may_deregister_shared {
        return Ok(None);
    }
    let unsaid = "and spec.acknowledge does not name DeregisterSharedNumber";
    if of_account {
        return Ok(Some(format!(
            "the account has a webhook override that is not of this object, to which the number's messages go where it has none of its own, {unsaid}"
        )));
    }
    let ids: Vec<&str> = pass.observed.foreign_apps().take(3).map(|app| app.id.as_str()).collect();
    if !ids.is_empty() {
        return Ok(Some(format!("other apps are subscribed to the account ({}), {unsaid}", ids.join(", "))));
    }
    let view = resolve::portfolio(pass)?;
    if let Some(place) = find::sharer(pass, view, seen, number) {
        return Ok(Some(format!("the number is in {place} too, {unsaid}")));
    }
    match find::unknown_sharer(pass, view, seen, number, Some(since)) {
        None => Ok(None),
        Some(block) => Err(Stop::block(Block {
            message: format!("whether another account has the number too is not known: {}", block.message),
            ..block
        })),
    }
}

/// A step that did not do is tried again after a pause.
fn paced(pass: &Pass, kind: StepKind, tries: usize, last: Timestamp, refusal: Option<&Refusal>) -> Gate {
    let pauses = &pass.limits.cleanup_pauses;
    let at = tries.saturating_sub(1).min(pauses.len() - 1);
    let until = later(last, pauses[at]);
    let message = match refusal {
        Some(refusal) => format!("Meta refused {} ({})", kind.as_str(), say::words(refusal)),
        None => format!("{} was sent and has no effect", kind.as_str()),
    };
    if pass.now >= until {
        return Ok(());
    }
    let message = format!("{message}; it is tried again at {}", say::time(until));
    Err(Stop::block(Block::new(Reason::CleaningUp, message).refused(refusal).until(until)))
}

fn late(kind: StepKind, refusal: Option<&Refusal>, until: Timestamp) -> Block {
    let words = refusal.map_or_else(String::new, |refusal| format!(" ({})", say::words(refusal)));
    let message = format!("{} was sent and does not show yet{words}; it is looked at again", kind.as_str());
    Block::new(Reason::EffectNotVisibleYet, message).refused(refusal).until(until)
}

fn untold(field: &str) -> Block {
    Block::new(
        Reason::ObservationIncomplete,
        format!("Meta does not tell {field} of the number; it is not deregistered without that"),
    )
}

#[cfg(test)]
mod tests;
