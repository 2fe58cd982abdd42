//! Attempts: which of them outlive the object that made them, and how they are taken over.
//!
//! Meta counts the attempts of a number, whichever object made them. So they are kept beside the channel, and an object
//! counts those of the objects before it, and of others that had the number in between. They only ever add to what is counted: none proves,
//! allows or removes anything.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::value::{
    consent::digest,
    limits::Limits,
    memory::{Entry, EntryOutcome, Ledger, Memory},
    step::{Cause, StepKind},
    time::{CLOCKS_DIFFER, earlier, later},
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
/// What is taken over lies so much before now, and before everything that the object does by itself from then on.
const BEFORE: Duration = Duration::from_secs(1);

impl Ledger {
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
    ///     trace_id: None,
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

    /// The same with the attempts that are kept beside the channel, if those show any that are not in here.
    pub fn with(&self, kept: &Self, limits: &Limits, now: Timestamp) -> Option<Self> {
        let mut both = self.clone();
        both.take_in(kept, limits, now).map(|_| both)
    }

    /// Adds the attempts that it does not have. Gives back when the last of those was begun that were new to it.
    fn take_in(&mut self, kept: &Self, limits: &Limits, now: Timestamp) -> Option<Timestamp> {
        let before = earlier(now, BEFORE);
        let mut newest = None;
        for kind in KEPT {
            let own = self.of(kind).to_vec();
            let is_new = |entry: &Entry| !own.iter().any(|has| has.id == entry.id);
            let others = kept.of(kind).iter().filter(|entry| is_new(entry) && is_counted(entry, limits, now));
            let others: Vec<Entry> = others.map(|entry| taken(kind, entry, before, limits)).collect();
            if others.is_empty() {
                continue;
            }
            let mut all = own.clone();
            all.extend(others);
            if all.len() > kind.remembered(limits) {
                // The last one says when the next may be sent, whether it counts or not.
                let last = own.last().map(|entry| entry.id.clone());
                all.retain(|entry| entry.counts() || Some(&entry.id) == last.as_ref());
            }
            self.fill(kind, all, limits);
            let taken = self.of(kind).iter().filter(|entry| is_new(entry)).map(|entry| entry.at).max();
            newest = newest.max(taken);
        }
        newest
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

impl Memory {
    /// Takes over what is kept beside the channel: attempts of objects before this one, and of those that had the number in
    /// between. Says whether there was anything that it did not know.
    ///
    /// ```
    /// use whatsapp_operator::engine::{limits::Limits, memory::{Entry, EntryOutcome, Ledger, Memory}, step::{Cause, StepKind}};
    /// let now: jiff::Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    /// let entry = Entry {
    ///     id: "a".into(),
    ///     at: now,
    ///     outcome: EntryOutcome::Started,
    ///     cause: Cause::Automatic,
    ///     subject: None,
    ///     settle_until: None,
    ///     secret_before: None,
    ///     trace_id: None,
    ///     refusal: None,
    /// };
    /// let kept = Ledger { registrations: vec![entry], ..Ledger::default() };
    /// let mut memory = Memory::default();
    /// assert!(memory.take_over(&kept, &Limits::default(), now));
    /// // What became of it nobody knows, so its effect may still show.
    /// let taken = memory.ledger.last(StepKind::Register).unwrap();
    /// assert!(taken.at < now && taken.outcome == EntryOutcome::NoAnswer && taken.settle_until > Some(now));
    /// assert!(!memory.take_over(&kept, &Limits::default(), now));
    /// ```
    pub fn take_over(&mut self, kept: &Ledger, limits: &Limits, now: Timestamp) -> bool {
        let Some(newest) = self.ledger.take_in(kept, limits, now) else { return false };
        // None of them is this object's own, and nothing that it did before them may explain what shows now.
        if self.marks.origin.at().is_some_and(|at| at <= newest) {
            self.marks.origin = self.marks.origin.moved(later(newest, BEFORE));
        }
        true
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
    Entry { cause, secret_before: None, trace_id: None, ..entry.clone() }
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
    use crate::engine::{
        fixture::{now, refusal},
        memory::Origin,
        word::Vocabulary,
    };

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
            trace_id: None,
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
            assert_eq!(Memory::default().take_over(&ledger, &limits, now()), counts, "{minutes}");
        }
    }

    #[test]
    fn a_list_holds_the_newest_and_no_more_than_a_ledger_does() {
        let limits = Limits::default();
        let most = StepKind::RequestCode.remembered(&limits);
        let names: Vec<_> = (0..40).map(|n| format!("{n}")).collect();
        let many = codes(names.iter().zip(0..).map(|(name, n)| code(name, 400 - n, Accepted)));
        let kept = Ledger::default().kept(&many, &limits, now());
        let mut taken = Memory::default();
        assert!(taken.take_over(&many, &limits, now()) && !taken.take_over(&many, &limits, now()));
        for ledger in [&kept, &taken.ledger] {
            assert_eq!(ids(ledger), names[40 - most..], "{ledger:?}");
        }
    }

    #[test]
    fn an_old_attempt_that_is_taken_in_does_not_end_the_pause_after_one_that_was_not_sent() {
        let limits = Limits::default();
        let most = i64::try_from(StepKind::RequestCode.remembered(&limits)).expect("few");
        let names: Vec<_> = (0..most).map(|n| format!("{n}")).collect();
        let counted = || names.iter().zip(0..).map(|(name, n)| code(name, 400 - n, Accepted));
        let own = counted().skip(1).chain([code("not sent", 1, NotSent)]);
        let mut memory = Memory { ledger: codes(own), ..Memory::default() };
        memory.take_over(&codes(counted()), &limits, now());
        assert_eq!(ids(&memory.ledger).last(), Some(&"not sent"));
        assert!(!memory.take_over(&codes(counted()), &limits, now()), "and there is no room for more");
    }

    #[test]
    fn what_is_taken_over_is_not_its_own_and_lasts_no_longer_than_it_could() {
        let limits = Limits::default();
        let mut forged = code("a", -30, Accepted);
        forged.settle_until = Some(Timestamp::MAX);
        let until = Some(Timestamp::MAX);
        forged.refusal = Some(crate::engine::failure::Refusal { until, ..refusal(136_024, None, "T1") });
        let mut taken = Memory::default();
        taken.marks.origin = Origin::Added(now() - jiff::SignedDuration::from_hours(2));
        assert!(taken.take_over(&codes([forged]), &limits, now()));
        let entry = &taken.ledger.codes[0];
        assert!(entry.at < now() && !taken.is_own(entry), "{taken:?}");
        assert_eq!(taken.marks.origin, Origin::Added(now()));
        assert!(entry.settle_until < Some(later(now(), 2 * CLOCKS_DIFFER)));
        let until = entry.refusal.as_ref().and_then(|refusal| refusal.until);
        assert!(until <= Some(later(now(), limits.longest_window() + CLOCKS_DIFFER)));
        assert_eq!(entry.cause, Cause::SendCode(digest("anna-1")));
    }

    #[test]
    fn attempts_of_another_object_in_between_count_with_their_times_and_nothing_before_them_explains_what_shows()
     {
        type Case = (&'static str, i64, &'static [&'static str], Origin);
        let (limits, found) = (Limits::default(), now() - jiff::SignedDuration::from_hours(9));
        let cases: [Case; 3] = [
            ("before this one", 10 * 60, &["other", "own"], Origin::Adopted(found)),
            (
                "between two of this one",
                4 * 60,
                &["own", "other"],
                Origin::Adopted(now() - hours(4) + second()),
            ),
            ("just now", 0, &["own", "other"], Origin::Adopted(now())),
        ];
        for (what, minutes, expected, origin) in cases {
            let mut memory = Memory { ledger: codes([code("own", 8 * 60, Accepted)]), ..Memory::default() };
            memory.marks.origin = Origin::Adopted(found);
            let kept = codes([code("own", 8 * 60, NotSent), code("other", minutes, Accepted)]);
            assert!(memory.take_over(&kept, &limits, now()), "{what}");
            assert_eq!((ids(&memory.ledger), memory.marks.origin), (expected.to_vec(), origin), "{what}");
            assert!(
                memory.ledger.codes.iter().all(|entry| entry.outcome == Accepted),
                "{what}: its own word counts"
            );
            let before = memory.clone();
            assert!(!memory.take_over(&kept, &limits, now()) && memory == before, "{what}: merging again");
        }
    }

    fn hours(hours: i64) -> jiff::SignedDuration {
        jiff::SignedDuration::from_hours(hours)
    }

    fn second() -> jiff::SignedDuration {
        jiff::SignedDuration::from_secs(1)
    }

    #[test]
    fn only_what_meta_limits_is_kept() {
        for kind in StepKind::ALL.iter().copied() {
            let mut own = Ledger::default();
            let Some(list) = own.of_mut(kind) else { continue };
            list.push(code("a", 5, Accepted));
            let kept = own.kept(&Ledger::default(), &Limits::default(), now());
            let is_kept = StepKind::ALL.iter().any(|kind| !kept.of(*kind).is_empty());
            assert_eq!(is_kept, KEPT.contains(&kind), "{kind:?}");
        }
    }
}
