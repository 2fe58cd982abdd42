//! Shown: which of our writes an observation shows already.
//!
//! A write makes every list before it too old, and is looked for every 30 seconds for a while. When it is visible,
//! the channel looks as often as every other channel again.

use jiff::Timestamp;

use crate::engine::{
    rule::{
        clock::Clock,
        naming::{has_approved_change, may_have_approved_change, shows},
    },
    value::{
        condition::Truth,
        condition_type::ConditionType,
        display_name::is_same,
        id::{CodeStatus, NameStatus, NumberStatus, PlatformType},
        limits::Limits,
        memory::{Entry, EntryOutcome, Memory},
        observed::Number,
        status::Before,
        step::{Shows, StepKind},
        time::later,
        word::Vocabulary,
    },
};

/// What was last seen of a number, in Meta's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Shown<'a> {
    is_listed: bool,
    is_verified: bool,
    is_connected: bool,
    names: [Option<&'a str>; 2],
    /// A name that was approved is not live.
    is_name_waiting: bool,
    /// Webhook and profile are as they should be, or not managed.
    settings_match: bool,
}

/// Until when BANNED is no verdict, since this object registered the number not long ago, or may have.
pub(in crate::engine) fn ban_counts_from(
    memory: &Memory,
    limits: &Limits,
    now: Timestamp,
) -> Option<Timestamp> {
    let last = memory.ledger.last(StepKind::Register)?;
    let until = later(last.at, limits.ban_confirmed);
    let may_be_ours = last.outcome == EntryOutcome::Accepted || last.is_inconclusive();
    (may_be_ours && memory.is_own(last) && now < until).then_some(until)
}

impl<'a> Shown<'a> {
    /// Where no list was read, or the number is in none.
    pub fn nothing() -> Self {
        Self {
            is_listed: false,
            is_verified: false,
            is_connected: false,
            names: [None, None],
            is_name_waiting: false,
            settings_match: false,
        }
    }

    /// As status has it.
    pub fn of_status(before: &'a Before) -> Self {
        let facts = &before.facts;
        let is = |fact: &Option<String>, word: &str| fact.as_deref() == Some(word);
        Self {
            is_listed: facts.code_status.is_some() || facts.platform.is_some(),
            is_verified: is(&facts.code_status, CodeStatus::Verified.as_str()),
            is_connected: is(&facts.platform, PlatformType::CloudApi.as_str())
                && is(&facts.status, NumberStatus::Connected.as_str()),
            names: [
                unless_expired(facts.verified_name.as_deref(), facts.name_status.as_deref()),
                unless_expired(facts.new_display_name.as_deref(), facts.new_name_status.as_deref()),
            ],
            is_name_waiting: is(&facts.new_name_status, NameStatus::Approved.as_str()),
            settings_match: [ConditionType::WebhookRouted, ConditionType::ProfileSynced]
                .into_iter()
                .all(|kind| before.conditions.get(kind).is_none_or(|c| c.status == Truth::True)),
        }
    }

    /// As a list has it; `settings_match` when webhook and profile are as desired.
    pub fn of_number(number: &'a Number, settings_match: bool) -> Self {
        Self {
            is_listed: true,
            is_verified: number.code.value() == Some(&CodeStatus::Verified),
            is_connected: number.is_registered() && number.status.value() == Some(&NumberStatus::Connected),
            names: [
                unless_expired(
                    number.verified_name.value().map(String::as_str),
                    number.name_status.value().map(NameStatus::as_str),
                ),
                unless_expired(
                    number.new_display_name.value().map(String::as_str),
                    number.new_name_status.value().map(NameStatus::as_str),
                ),
            ],
            is_name_waiting: has_approved_change(number),
            settings_match,
        }
    }

    /// Whether the last write of this kind shows, or never would.
    fn has(&self, kind: StepKind, subject: Option<&str>, memory: &Memory) -> bool {
        match kind {
            StepKind::AddNumber => self.is_listed,
            // VERIFIED from before proves nothing about a second proof.
            StepKind::VerifyCode => self.is_verified && !memory.marks.needs_new_proof(),
            StepKind::Register => {
                self.is_connected && !(self.is_name_waiting && memory.has_registered_again())
            }
            StepKind::SubmitName => {
                subject.is_some_and(|name| self.names.iter().flatten().any(|shown| is_same(shown, name)))
            }
            StepKind::SubscribeApp | StepKind::RouteWebhook | StepKind::WriteProfile => self.settings_match,
            // Of a deletion, which looks by rules of its own.
            StepKind::UnrouteWebhook => true,
            // The number is to come back, and cannot send meanwhile.
            StepKind::Deregister => !(self.is_connected && memory.comes_back()),
            StepKind::RequestCode
            | StepKind::SetPin
            | StepKind::CreatePin
            | StepKind::SetStorage
            | StepKind::WritePicture
            | StepKind::StartSync
            | StepKind::ClaimUsername
            | StepKind::RequestOfficial => true,
        }
    }
}

/// Whether a list that has the number as this shows the effect of a step.
pub(in crate::engine) fn in_number(
    number: &Number,
    kind: StepKind,
    subject: Option<&str>,
    memory: &Memory,
) -> bool {
    match kind {
        StepKind::AddNumber => true,
        // VERIFIED from before proves nothing about a second proof.
        StepKind::VerifyCode => {
            !memory.marks.needs_new_proof() && number.code.value() == Some(&CodeStatus::Verified)
        }
        StepKind::Register => {
            number.is_registered()
                && !(memory.has_registered_again() && may_have_approved_change(number, memory))
        }
        StepKind::SubmitName => subject.is_some_and(|name| shows(number, name)),
        StepKind::Deregister => number.platform.value() == Some(&PlatformType::NotApplicable),
        StepKind::RequestCode
        | StepKind::CreatePin
        | StepKind::SetPin
        | StepKind::SubscribeApp
        | StepKind::RouteWebhook
        | StepKind::WriteProfile
        | StepKind::WritePicture
        | StepKind::StartSync
        | StepKind::UnrouteWebhook
        | StepKind::SetStorage
        | StepKind::ClaimUsername
        | StepKind::RequestOfficial => false,
    }
}

/// One that expired is submitted again as it is, and shows only once its status is another.
fn unless_expired<'a>(name: Option<&'a str>, status: Option<&str>) -> Option<&'a str> {
    name.filter(|_| status != Some(NameStatus::Expired.as_str()))
}

/// The last attempts that may have taken effect and do not show it.
fn open<'a>(
    memory: &'a Memory,
    shown: &'a Shown<'a>,
    clock: Clock<'a>,
) -> impl Iterator<Item = (Timestamp, Option<Timestamp>)> {
    let attempts =
        StepKind::ALL.iter().filter(|kind| kind.shows() == Shows::InList).filter_map(move |kind| {
            let last = memory.ledger.last(*kind).filter(|entry| may_show(entry))?;
            (!shown.has(*kind, last.subject.as_deref(), memory)).then(|| (last.at, clock.shown(*kind, last)))
        });
    let paces = memory.ledger.repeatable.iter().filter(|(kind, _)| !shown.has(**kind, None, memory));
    let paces = paces.filter_map(|(_, pace)| Some((pace.last?, pace.settle_until)));
    let flight = memory.in_flight.iter().map(move |intent| (intent.started_at, Some(clock.settled(intent))));
    attempts.chain(paces).chain(flight)
}

fn may_show(entry: &Entry) -> bool {
    entry.outcome == EntryOutcome::Accepted || entry.settle_until.is_some() || entry.is_inconclusive()
}

/// Whether the effect of a recent write is still looked for.
pub(in crate::engine) fn is_awaited(memory: &Memory, shown: &Shown<'_>, clock: Clock<'_>) -> bool {
    let Clock { limits, now, .. } = clock;
    let span = limits.fresh_after_write * limits.fresh_after_write_times;
    open(memory, shown, clock).any(|(at, _)| now < later(at, span))
}

/// The ends of the settle times of effects that are not visible yet.
pub(in crate::engine) fn settle_times<'a>(
    memory: &'a Memory,
    shown: &'a Shown<'a>,
    clock: Clock<'a>,
) -> impl Iterator<Item = Timestamp> + 'a {
    open(memory, shown, clock).filter_map(|(_, until)| until)
}
