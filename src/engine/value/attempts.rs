//! Attempts: which of them outlive the object that made them, and how they are taken over.
//!
//! Meta counts the attempts of a number, whichever object made them. So they are kept beside the channel, and an object
//! that has none of its own counts those of the objects before it. They only ever add to what is counted: none proves,
//! allows or removes anything.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::value::{
    limits::Limits,
    memory::{Entry, EntryOutcome, Ledger},
    step::{Cause, StepKind},
    time::{earlier, later},
    word::Vocabulary,
};

/// What Meta limits for a number.
const KEPT: [StepKind; 4] =
    [StepKind::RequestCode, StepKind::VerifyCode, StepKind::SubmitName, StepKind::Register];
/// Clocks differ; what lies further ahead was not written by a clock.
const AHEAD: Duration = Duration::from_secs(3600);
/// What is taken over lies so much before everything of the object itself.
const BEFORE: Duration = Duration::from_secs(1);

impl Ledger {
    /// Whether it knows of any attempt.
    pub fn is_untouched(&self) -> bool {
        StepKind::ALL.iter().all(|kind| self.of(*kind).is_empty())
    }

    /// What is to be kept beside the channel, where `standing` is kept now: both, each attempt once, and as it is known
    /// here. What counts in no window any more is left out, and so is what only this object needs to know.
    ///
    /// ```
    /// use whatsapp_operator::engine::{limits::Limits, memory::{Entry, EntryOutcome, Ledger}, step::{Cause, StepKind}};
    /// let now = "2026-03-01T12:00:00Z".parse().unwrap();
    /// let entry = |id: &str, outcome| Entry {
    ///     id: id.into(),
    ///     at: now,
    ///     outcome,
    ///     cause: Cause::SendCode("anna-1".into()),
    ///     subject: None,
    ///     settle_until: None,
    ///     secret_before: None,
    ///     refusal: None,
    /// };
    /// let (mut own, mut standing) = (Ledger::default(), Ledger::default());
    /// own.codes = vec![entry("b", EntryOutcome::Accepted)];
    /// standing.codes = vec![entry("a", EntryOutcome::Accepted), entry("b", EntryOutcome::Started)];
    /// let kept = own.kept(&standing, &Limits::default(), now);
    /// let ids: Vec<_> = kept.codes.iter().map(|entry| (entry.id.as_str(), entry.outcome)).collect();
    /// assert_eq!(ids, [("a", EntryOutcome::Accepted), ("b", EntryOutcome::Accepted)]);
    /// // Whose consent it was is nobody else's business.
    /// assert_eq!(kept.codes[0].cause, Cause::SendCode(String::new()));
    /// ```
    #[must_use]
    pub fn kept(&self, standing: &Self, limits: &Limits, now: Timestamp) -> Self {
        let mut kept = Self::default();
        for kind in KEPT {
            let is_other = |entry: &&Entry| !self.of(kind).iter().any(|own| own.id == entry.id);
            let others = standing.of(kind).iter().filter(is_other);
            let all = others.chain(self.of(kind)).filter(|entry| is_counted(entry, limits, now));
            kept.fill(kind, all.map(without_circumstances).collect(), limits);
        }
        kept
    }

    /// Takes over what was kept, into a ledger that has no attempts of its own. `known` is since when the object has its
    /// number: what is taken over counts as older. Says whether there was anything.
    ///
    /// ```
    /// use whatsapp_operator::engine::{limits::Limits, memory::{Entry, EntryOutcome, Ledger}, step::{Cause, StepKind}};
    /// let now: jiff::Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    /// let entry = Entry {
    ///     id: "a".into(),
    ///     at: now,
    ///     outcome: EntryOutcome::Started,
    ///     cause: Cause::Automatic,
    ///     subject: None,
    ///     settle_until: None,
    ///     secret_before: None,
    ///     refusal: None,
    /// };
    /// let kept = Ledger { registrations: vec![entry], ..Ledger::default() };
    /// let mut ledger = Ledger::default();
    /// assert!(ledger.is_untouched() && ledger.take_over(&kept, now, &Limits::default(), now));
    /// // What became of it nobody knows, so its effect may still show.
    /// let taken = ledger.last(StepKind::Register).unwrap();
    /// assert!(taken.at < now && taken.outcome == EntryOutcome::NoAnswer && taken.settle_until > Some(now));
    /// ```
    pub fn take_over(&mut self, kept: &Self, known: Timestamp, limits: &Limits, now: Timestamp) -> bool {
        let before = earlier(known, BEFORE);
        for kind in KEPT {
            let all = kept.of(kind).iter().filter(|entry| is_counted(entry, limits, now));
            self.fill(kind, all.map(|entry| taken(kind, entry, before, limits)).collect(), limits);
        }
        !self.is_untouched()
    }

    /// Whether anything in it still counts.
    pub fn is_kept(&self, limits: &Limits, now: Timestamp) -> bool {
        KEPT.iter().any(|kind| self.of(*kind).iter().any(|entry| is_counted(entry, limits, now)))
    }

    /// What of it is kept, in short: attempts and outcomes.
    pub fn marks(&self, limits: &Limits, now: Timestamp) -> impl Iterator<Item = (&str, EntryOutcome)> {
        let all = KEPT.into_iter().flat_map(|kind| self.of(kind));
        let counted = all.filter(move |entry| is_counted(entry, limits, now));
        counted.map(|entry| (entry.id.as_str(), entry.outcome))
    }

    /// Sets a list: each attempt once, in the order of time, the newest where there are too many.
    fn fill(&mut self, kind: StepKind, mut all: Vec<Entry>, limits: &Limits) {
        let Some(list) = self.of_mut(kind) else { return };
        all.sort_by_key(|entry| entry.at);
        list.clear();
        for entry in all.into_iter().rev() {
            if list.len() < kind.remembered(limits) && !list.iter().any(|has| has.id == entry.id) {
                list.push(entry);
            }
        }
        list.reverse();
    }
}

fn is_counted(entry: &Entry, limits: &Limits, now: Timestamp) -> bool {
    let is_recent = later(entry.at, limits.longest_window()) > now;
    entry.counts() && is_recent && entry.at <= later(now, AHEAD)
}

/// Consents and Secrets are of one object, and perhaps of another namespace.
fn without_circumstances(entry: &Entry) -> Entry {
    let cause = match &entry.cause {
        Cause::SendCode(_) => Cause::SendCode(String::new()),
        Cause::Retry(_) => Cause::Retry(String::new()),
        same @ (Cause::Automatic | Cause::Secret) => same.clone(),
    };
    Entry { cause, secret_before: None, ..entry.clone() }
}

/// An attempt of an object before. It is no answer's, nobody waits for it, and it lasts no longer than any could.
fn taken(kind: StepKind, entry: &Entry, before: Timestamp, limits: &Limits) -> Entry {
    let mut entry = without_circumstances(entry);
    let longest = later(entry.at, limits.send_before + limits.call_timeout + kind.settle(limits));
    entry.settle_until = match entry.outcome {
        EntryOutcome::Started | EntryOutcome::NoAnswer => Some(entry.settle_until.unwrap_or(longest)),
        EntryOutcome::Accepted | EntryOutcome::Refused | EntryOutcome::NotSent => entry.settle_until,
    };
    entry.settle_until = entry.settle_until.map(|until| until.min(longest));
    if entry.outcome == EntryOutcome::Started {
        entry.outcome = EntryOutcome::NoAnswer;
    }
    let last = later(entry.at, limits.longest_window());
    if let Some(refusal) = &mut entry.refusal {
        refusal.until = refusal.until.map(|until| until.min(last));
    }
    entry.at = entry.at.min(before);
    entry
}
