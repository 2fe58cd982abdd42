//! Attempts: which of them outlive the object that made them, and how they are taken over.
//!
//! Meta counts the attempts of a number, whichever object made them. So they are kept beside the channel, and an object
//! that has none of its own counts those of the objects before it. They only ever add to what is counted: none proves,
//! allows or removes anything.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::value::{
    consent::digest,
    limits::Limits,
    memory::{Entry, EntryOutcome, Ledger},
    step::{Cause, StepKind},
    time::{CLOCKS_DIFFER, earlier, later},
    word::Vocabulary,
};

/// What Meta limits for a number.
const KEPT: [StepKind; 8] = [
    StepKind::RequestCode,
    StepKind::VerifyCode,
    StepKind::SubmitName,
    StepKind::Register,
    StepKind::Deregister,
    StepKind::StartSync,
    StepKind::ClaimUsername,
    StepKind::RequestOfficial,
];
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
    /// use whatsapp_operator::engine::{consent, limits::Limits, memory::{Entry, EntryOutcome, Ledger}, step::{Cause, StepKind}};
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
    /// // Whose consent it was is nobody else's business; the same value is known again all the same.
    /// assert_eq!(kept.codes[0].cause, Cause::SendCode(consent::digest("anna-1")));
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
    entry.counts() && is_recent && entry.at <= later(now, CLOCKS_DIFFER)
}

/// Consents and Secrets are of one object, and perhaps of another namespace. A consent is known again by its digest, should
/// it stand in the manifest of the next object.
fn without_circumstances(entry: &Entry) -> Entry {
    let cause = match &entry.cause {
        Cause::SendCode(value) => Cause::SendCode(in_short(value)),
        Cause::Retry(value) => Cause::Retry(in_short(value)),
        Cause::Official(value) => Cause::Official(in_short(value)),
        same @ (Cause::Automatic | Cause::Secret) => same.clone(),
    };
    Entry { cause, secret_before: None, ..entry.clone() }
}

/// The digest of a consent, once. Versions before wrote nothing.
fn in_short(value: &str) -> String {
    let is_digest = value.len() == 17 && value.starts_with('#');
    if value.is_empty() || is_digest { value.to_owned() } else { digest(value) }
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

#[cfg(test)]
mod tests {
    use super::{
        EntryOutcome::{Accepted, NotSent, Started},
        *,
    };
    use crate::engine::fixture::{now, refusal};

    /// A code that was asked for so many minutes ago; below zero, ahead.
    fn code(id: &str, minutes: i64, outcome: EntryOutcome) -> Entry {
        Entry {
            id: id.into(),
            at: now() - jiff::SignedDuration::from_mins(minutes),
            outcome,
            cause: Cause::SendCode("anna-1".into()),
            subject: None,
            settle_until: None,
            secret_before: None,
            refusal: None,
        }
    }

    fn codes(codes: impl IntoIterator<Item = Entry>) -> Ledger {
        Ledger { codes: codes.into_iter().collect(), ..Ledger::default() }
    }

    fn ids(ledger: &Ledger) -> Vec<&str> {
        ledger.codes.iter().map(|entry| entry.id.as_str()).collect()
    }

    #[test]
    fn each_attempt_is_kept_once_and_as_its_own_channel_knows_it() {
        type Case = (&'static str, Vec<Entry>, Vec<Entry>, &'static [&'static str]);
        let cases: [Case; 6] = [
            ("nothing", vec![], vec![], &[]),
            ("own alone", vec![code("a", 9, Accepted)], vec![], &["a"]),
            ("others alone", vec![], vec![code("a", 9, Accepted)], &["a"]),
            (
                "in the order of time",
                vec![code("a", 9, Accepted), code("c", 3, Accepted)],
                vec![code("b", 5, Accepted)],
                &["a", "b", "c"],
            ),
            ("not sent after all", vec![code("a", 9, NotSent)], vec![code("a", 9, Started)], &[]),
            (
                "forged",
                vec![code("a", 9, Accepted)],
                vec![code("a", 9, NotSent), code("b", 5, Accepted), code("b", 4, Accepted)],
                &["a", "b"],
            ),
        ];
        for (what, own, standing, expected) in cases {
            let kept = codes(own).kept(&codes(standing), &Limits::default(), now());
            assert_eq!(ids(&kept), expected, "{what}");
            assert_eq!(codes([]).kept(&kept, &Limits::default(), now()), kept, "{what}: merging again");
        }
    }

    #[test]
    fn what_counts_in_no_window_is_dropped_and_so_is_what_no_clock_wrote() {
        let limits = Limits::default();
        let month = 30 * 24 * 60;
        for (minutes, counts) in [(0, true), (month - 1, true), (month, false), (-59, true), (-61, false)] {
            let ledger = codes([code("a", minutes, Accepted)]);
            assert_eq!(ledger.is_kept(&limits, now()), counts, "{minutes}");
            assert_eq!(ids(&ledger.kept(&Ledger::default(), &limits, now())).len(), usize::from(counts));
            assert_eq!(Ledger::default().take_over(&ledger, now(), &limits, now()), counts, "{minutes}");
        }
    }

    #[test]
    fn a_list_holds_the_newest_and_no_more_than_a_ledger_does() {
        let limits = Limits::default();
        let most = StepKind::RequestCode.remembered(&limits);
        let names: Vec<_> = (0..40).map(|n| format!("{n}")).collect();
        let many = codes(names.iter().zip(0..).map(|(name, n)| code(name, 400 - n, Accepted)));
        let kept = Ledger::default().kept(&many, &limits, now());
        let mut taken = Ledger::default();
        assert!(taken.take_over(&many, now(), &limits, now()));
        for ledger in [&kept, &taken] {
            assert_eq!(ids(ledger), names[40 - most..], "{ledger:?}");
        }
    }

    #[test]
    fn what_is_taken_over_is_older_than_the_object_and_lasts_no_longer_than_it_could() {
        let limits = Limits::default();
        let mut forged = code("a", -30, Accepted);
        forged.settle_until = Some(Timestamp::MAX);
        let until = Some(Timestamp::MAX);
        forged.refusal = Some(crate::engine::failure::Refusal { until, ..refusal(136_024, None, "T1") });
        let mut taken = Ledger::default();
        let known = now() - jiff::SignedDuration::from_hours(2);
        assert!(taken.take_over(&codes([forged]), known, &limits, now()));
        let entry = &taken.codes[0];
        assert!(entry.at < known);
        assert!(entry.settle_until < Some(later(now(), 2 * CLOCKS_DIFFER)));
        let until = entry.refusal.as_ref().and_then(|refusal| refusal.until);
        assert!(until <= Some(later(now(), limits.longest_window() + CLOCKS_DIFFER)));
        assert_eq!(entry.cause, Cause::SendCode(digest("anna-1")));
    }

    #[test]
    fn only_what_meta_limits_is_kept() {
        for kind in StepKind::ALL.iter().copied() {
            let mut own = Ledger::default();
            let Some(list) = own.of_mut(kind) else { continue };
            list.push(code("a", 5, Accepted));
            let kept = own.kept(&Ledger::default(), &Limits::default(), now());
            assert_eq!(kept.is_untouched(), !KEPT.contains(&kind), "{kind:?}");
            assert!(!own.is_untouched(), "{kind:?}");
        }
    }
}
