//! What forbids every write to a number that was found.

use jiff::Timestamp;

use crate::engine::{
    plan::{
        aside::MayWrite,
        pass::{Gate, Pass, Seen, Stop, Writable},
        remedy,
    },
    rule::{say, shown, stood},
    value::{
        action::Action,
        block::Block,
        desired::{Connection, Management},
        id::{CodeStatus, Field, NumberStatus, PlatformType},
        memory::{EntryOutcome, Memory},
        observed::Number,
        page::Page,
        reason::Reason,
        step::StepKind,
        time::later,
    },
};

/// Where the number is registered, when it may be acted on at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    Registered,
    NotRegistered,
}

/// A number that is in the app is never touched, whatever the spec wants.
pub(super) fn connection(pass: &Pass, memory: &Memory, number: &Number, seen: &Seen) -> Gate {
    let wanted = pass.desired.connection;
    let is_in_app = is_in_app(memory, number);
    Err(Stop::block(match (wanted, is_in_app) {
        (Connection::CloudApi, Some(true)) => contradicts(format!(
            "{} lives in the WhatsApp Business app, and the spec wants it on the Cloud API alone; nothing is written to it; set connection to Coexistence; only if neither the app's account nor its chats are needed any more, delete the account in the app: that ends its chats, and was seen to take the number off the platform as well, so it can send nothing until it is registered again",
            pass.desired.number
        )),
        (Connection::Coexistence, Some(false)) if number.is_registered() => contradicts(format!(
            "{} is on the Cloud API alone, and the spec wants it in the WhatsApp Business app too; nothing is written to it; set connection to CloudApi, or connect it in the app through the partner's sign-up",
            pass.desired.number
        )),
        (Connection::Coexistence, _) if is_not_connected(number) => {
            platform_stands(pass, memory, number, seen)?;
            match memory.marks.seen_registered() {
                Some(_) => remedy::ended(&pass.desired.number),
                None => remedy::not_onboarded(&format!(
                    "{} is not connected to the platform",
                    pass.desired.number
                )),
            }
        }
        _ => return Ok(()),
    }))
}

/// Not on the platform yet: added only, or in the app alone, for which Meta shows ON_PREMISE.
fn is_not_connected(number: &Number) -> bool {
    matches!(number.platform.value(), Some(PlatformType::NotApplicable | PlatformType::OnPremise))
}

fn contradicts(message: String) -> Block {
    Block::new(Reason::ConnectionContradictsNumber, message)
}

/// `None` when it is unknown. Left out counts as no for a number that is not registered, or that this object
/// registered; refused never does.
pub(super) fn is_in_app(memory: &Memory, number: &Number) -> Option<bool> {
    match &number.is_on_biz_app {
        Field::Is(is) => Some(*is),
        Field::Refused => None,
        Field::Absent => {
            let is_free = number.platform.value() == Some(&PlatformType::NotApplicable);
            (is_free || memory.marks.has_registered()).then_some(false)
        }
    }
}

/// Statuses that forbid every write, and unknown statuses.
pub(super) fn status(pass: &Pass, memory: &Memory, number: &Number) -> Gate {
    let Some(status) = number.status.value() else { return Ok(()) };
    let counts_from = shown::ban_counts_from(memory, pass.limits, pass.now);
    Err(Stop::block(match (status, counts_from) {
        (NumberStatus::Banned, Some(until)) => Block::new(
            Reason::ObservationIncomplete,
            format!(
                "Meta shows the number as banned right after its registration, which was seen to pass within a day; nothing is written to it, and it counts as banned if it still reads so at {}",
                say::time(until)
            ),
        )
        .asks(Action::ConfirmChange)
        .at(Page::Numbers)
        .until(until),
        (NumberStatus::Banned, None) => Block::new(
            Reason::NumberBanned,
            "Meta banned the number; nothing is written to it; appeal in Business Support Home",
        ),
        (NumberStatus::Other(word), _) => remedy::not_known("status", word, "the number"),
        _ => return Ok(()),
    }))
}

/// Another platform than CLOUD_API counts, for a number that was registered, once it has stood for a while.
pub(super) fn platform_stands(pass: &Pass, memory: &Memory, number: &Number, seen: &Seen) -> Gate {
    let at = seen.begun.unwrap_or(pass.now);
    let stood = &pass.observed.process.stood;
    let Some(since) = stood::platform_doubted_since(stood, memory, number, at, pass.limits) else {
        return Ok(());
    };
    let shows = match number.platform.value() {
        Some(platform) => format!("shows the platform {platform}"),
        None => "does not tell platform_type".into(),
    };
    let until = later(since, pass.limits.shown_confirmed);
    let block = Block::new(
        Reason::ObservationIncomplete,
        format!(
            "the number was registered, and Meta {shows} since {}; nothing is written to it, and that counts if it still reads so at {}",
            say::time(since),
            say::time(until)
        ),
    );
    Err(Stop::block(block.asks(Action::ConfirmChange).at(Page::Numbers).until(until)))
}

/// Where it is registered, as far as Meta tells.
pub(super) fn platform(pass: &Pass, memory: &Memory, number: &Number) -> Gate<Platform> {
    match &number.platform {
        Field::Is(PlatformType::CloudApi) => Ok(Platform::Registered),
        Field::Is(PlatformType::NotApplicable) => is_free(pass, memory, number),
        Field::Is(PlatformType::OnPremise) => Err(Stop::block(Block::new(
            Reason::NumberOnPremises,
            format!(
                "Meta shows {} with the platform ON_PREMISE, which today means a number of the WhatsApp Business app; set connection to Coexistence and connect it in the app; or have it leave the app first, which ends its account and its chats there",
                pass.desired.number
            ),
        ))),
        Field::Is(PlatformType::Other(word)) => {
            Err(Stop::block(remedy::not_known("platform_type", word, "the number")))
        }
        Field::Refused | Field::Absent => Err(Stop::block(incomplete("platform_type"))),
    }
}

/// A status that only registered numbers have contradicts NOT_APPLICABLE. CONNECTED alone was seen beside it for numbers
/// that were added and never registered. It may also be the first effect of a registration to show, so the platform
/// decides after the time in which a registration shows.
fn is_free(pass: &Pass, memory: &Memory, number: &Number) -> Gate<Platform> {
    match number.status.value() {
        None | Some(NumberStatus::Pending | NumberStatus::Unverified | NumberStatus::Disconnected) => {
            Ok(Platform::NotRegistered)
        }
        // It was deregistered here, and its status shows that late.
        Some(NumberStatus::Connected) if memory.marks.is_moving => Ok(Platform::NotRegistered),
        Some(NumberStatus::Connected) => {
            let until = memory.marks.connected_since.map(|at| later(at, pass.limits.settle_register));
            match until.filter(|until| *until > pass.now) {
                None => Ok(Platform::NotRegistered),
                Some(until) => Err(Stop::block(
                    Block::new(
                        Reason::ObservationIncomplete,
                        format!(
                            "the number reads CONNECTED and is registered nowhere, as while a registration takes effect; if it still does at {}, it counts as not registered",
                            say::time(until)
                        ),
                    )
                    .asks(Action::Answer)
                    .until(until),
                )),
            }
        }
        Some(status) => Err(Stop::block(
            Block::new(
                Reason::ObservationIncomplete,
                format!("the number reads status {status} and is registered nowhere, which cannot both be; nothing is written until Meta's answer is consistent"),
            )
            .asks(Action::ChangeStatus)
            .at(Page::Numbers),
        )),
    }
}

fn incomplete(field: &str) -> Block {
    Block::new(
        Reason::ObservationIncomplete,
        format!(
            "Meta does not tell {field} of the number; nothing is written to it without that; it is asked again by itself"
        ),
    )
}

/// Without the critical fields nothing is written.
pub(super) fn is_complete(number: &Number) -> Gate {
    match missing(number) {
        Some(field) => Err(Stop::block(incomplete(field))),
        None => Ok(()),
    }
}

fn missing(number: &Number) -> Option<&'static str> {
    if number.code.value().is_none() {
        Some("code_verification_status")
    } else if number.is_on_biz_app.is_refused() {
        Some("is_on_biz_app")
    } else {
        None
    }
}

/// An unknown code status allows neither a code nor a registration.
pub(super) fn code_known(number: &Number) -> Gate {
    match number.code.value() {
        Some(CodeStatus::Other(word)) => {
            Err(Stop::block(remedy::not_known("code_verification_status", word, "the number")))
        }
        _ => Ok(()),
    }
}

/// What may be written to a registered number. One that lives in the WhatsApp Business app as well keeps the profile and the
/// name that it has there; its webhook is managed as for any number, since an override belongs to the app that writes it.
pub(super) fn may_write(pass: &Pass, memory: &Memory, number: &Number) -> MayWrite {
    let all = |writable: Writable| MayWrite {
        webhook: writable.clone(),
        profile: writable.clone(),
        name: writable.clone(),
        others: writable,
    };
    if pass.desired.management == Management::ObserveOnly {
        return all(Writable::No("managementPolicy is ObserveOnly".into()));
    }
    if let Some(field) = missing(number) {
        return all(Writable::Incomplete(format!("Meta does not tell {field} of the number")));
    }
    match is_in_app(memory, number) {
        Some(false) => all(Writable::Yes),
        Some(true) => MayWrite {
            webhook: Writable::Yes,
            profile: Writable::No(
                "a number that lives in the WhatsApp Business app keeps the profile that it has there".into(),
            ),
            name: Writable::No(
                "a number that lives in the WhatsApp Business app keeps the name that it has there".into(),
            ),
            others: Writable::No("a number that lives in the WhatsApp Business app is managed there".into()),
        },
        None => all(Writable::Incomplete(
            "Meta does not tell whether the number lives in the WhatsApp Business app".into(),
        )),
    }
}

/// Remembers that the number is registered, and whether that was our doing.
pub(super) fn note_registered(memory: &mut Memory, seen: &Seen, now: Timestamp) {
    // It was not seen before it was made, however exactly the two times are kept.
    let begun = seen.begun.unwrap_or(now);
    let at = memory.ledger.last(StepKind::Register).map_or(begun, |last| last.at.max(begun));
    // A registration from before it fell back did not bring it back.
    let fell_back = memory.marks.fell_back_since();
    let may_be_ours = memory
        .ledger
        .registrations
        .iter()
        .filter(|entry| fell_back.is_none_or(|since| entry.at >= since))
        .any(|entry| memory.may_have_done(entry));
    memory.ledger.repeatable.remove(&StepKind::CreatePin);
    memory.marks.note_registered(at, may_be_ours);
}

/// Remembers since when a number that was registered reads as not registered.
pub(super) fn note_not_registered(pass: &Pass, memory: &mut Memory, number: &Number, seen: &Seen) {
    if number.platform.value() != Some(&PlatformType::NotApplicable) {
        return;
    }
    let at = seen.begun.unwrap_or(pass.now);
    let since = pass.observed.process.stood.platform.as_ref().map_or(at, |(_, since)| *since);
    memory.marks.note_not_registered(since);
    note_without_effect(pass, memory, at);
}

/// What was to show by now and does not had no effect: a registration that shows later is of somebody else.
fn note_without_effect(pass: &Pass, memory: &mut Memory, begun: Timestamp) {
    let fell_back = memory.marks.fell_back_since();
    for entry in &mut memory.ledger.registrations {
        // One from before it fell back had its effect.
        let settled = pass.clock().shown(StepKind::Register, entry);
        let is_over =
            settled.is_some_and(|until| begun >= until) && fell_back.is_none_or(|since| entry.at >= since);
        if is_over && (entry.outcome == EntryOutcome::Accepted || entry.is_inconclusive()) {
            entry.settle_until = None;
            if entry.outcome == EntryOutcome::Accepted {
                entry.outcome = EntryOutcome::NoAnswer;
            }
        }
    }
}

/// Remembers when a number that is not registered first read CONNECTED. That may turn within minutes, so the first time counts.
pub(super) fn note_connected(pass: &Pass, memory: &mut Memory, number: &Number, seen: &Seen) {
    let is_free = number.platform.value() == Some(&PlatformType::NotApplicable);
    if is_free && number.status.value() == Some(&NumberStatus::Connected) {
        memory.marks.connected_since.get_or_insert(seen.begun.unwrap_or(pass.now));
    }
}
