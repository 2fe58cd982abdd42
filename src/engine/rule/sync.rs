//! Was what the WhatsApp Business app holds asked for, and until when may it be?
//!
//! Meta takes each kind once, within a day of the number's onboarding. An attempt remembers which onboarding it was of, so
//! that after another one it may be asked for anew.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::{
    rule::say,
    value::{
        desired::AppData,
        failure::Refusal,
        limits::Limits,
        memory::{Entry, EntryOutcome, Memory},
        observed::Number,
        step::StepKind,
        time::later,
    },
};

/// The day in which Meta takes it.
pub(in crate::engine) struct Window {
    /// When the number was onboarded, or else when it was first seen connected.
    pub since: Timestamp,
    pub until: Timestamp,
    /// Meta tells when it was onboarded.
    is_told: bool,
    /// That the day began then is known, and not only that it began before.
    pub is_proven: bool,
}

/// How far one kind is.
pub(in crate::engine) enum State<'a> {
    NotAsked,
    Asked(&'a Entry),
    /// Nobody knows whether Meta took it. It counts as asked for.
    Unanswered(&'a Entry),
    /// Meta says that the day is over.
    Late(&'a Refusal),
    Refused(&'a Refusal),
}

impl Window {
    pub fn of(memory: &Memory, number: &Number, limits: &Limits) -> Option<Self> {
        let told = number.onboarded.value().copied();
        let since = told.or_else(|| memory.marks.seen_registered())?;
        let is_proven = told.is_some() || memory.marks.has_seen_onboarding;
        Some(Self { since, until: later(since, limits.sync_window), is_told: told.is_some(), is_proven })
    }

    /// From when to when it lasts, for people.
    pub fn text(&self) -> String {
        let (since, until) = (say::time(self.since), say::time(self.until));
        match self.is_told {
            true => format!("the number was onboarded at {since}, and Meta takes that until {until}"),
            false => format!(
                "Meta does not tell when the number was onboarded; it was first seen connected at {since}, so that ends by {until}"
            ),
        }
    }

    /// How far one kind is in this onboarding.
    pub fn state<'a>(&self, memory: &'a Memory, sync: AppData) -> State<'a> {
        let mut tries = memory.ledger.of(StepKind::StartSync).iter().rev();
        let Some(last) = tries.find(|entry| entry.counts() && self.has(entry, sync)) else {
            return State::NotAsked;
        };
        match (&last.outcome, &last.refusal) {
            (EntryOutcome::Accepted, _) => State::Asked(last),
            (EntryOutcome::Refused, Some(refusal)) if refusal.holds_already() => State::Asked(last),
            (EntryOutcome::Refused, Some(refusal)) if refusal.names(TOO_LATE) => State::Late(refusal),
            (EntryOutcome::Refused, Some(refusal)) if !refusal.may_have_happened() => State::Refused(refusal),
            _ => State::Unanswered(last),
        }
    }

    /// Whether an attempt was of this kind and of this onboarding. Clocks differ, and an onboarding that Meta tells of late is
    /// the one that was seen.
    fn has(&self, entry: &Entry, sync: AppData) -> bool {
        let Some((kind, since)) = entry.subject.as_deref().and_then(|subject| subject.split_once('/')) else {
            return false;
        };
        let since = since.parse().unwrap_or(entry.at);
        kind == sync.as_str() && self.since <= later(entry.at.max(since), SKEW)
    }
}

/// "The allowed 24 hours are over."
const TOO_LATE: i64 = 2_593_108;

/// Meta's clock and ours differ by no more.
const SKEW: Duration = Duration::from_secs(300);

/// What an attempt is kept as: the kind, and the onboarding.
pub(in crate::engine) fn subject(sync: AppData, onboarded: Timestamp) -> String {
    format!("{}/{onboarded}", sync.as_str())
}

/// "the contacts and the history of the WhatsApp Business app".
pub(in crate::engine) fn names(syncs: &[AppData]) -> String {
    let all: Vec<_> = syncs.iter().map(|sync| sync.name()).collect();
    format!("{} of the WhatsApp Business app", all.join(" and "))
}
