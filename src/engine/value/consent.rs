//! Answers to consents: a value is one act, ever, and is known again for as long as it is remembered.
//!
//! Who sets a value does not know whether it was there before: a manifest in Git brings an old one back each time that it is
//! applied.

use jiff::Timestamp;

use crate::engine::value::{
    memory::{ConsentAnswer, ConsentKind, Ledger, Memory},
    step::{Cause, StepKind},
    word::Vocabulary,
};

/// Characters that the value of a consent may have.
pub const CONSENT_LENGTH: usize = 256;
/// So many values of a kind are remembered beside the last one. What the ledger names is known beyond that.
const EARLIER: usize = 32;
/// A value that comes again and again is told of once, and brought up to the newest before it can be forgotten.
const NEWEST: usize = EARLIER / 2;
/// Longer ones are remembered by their digest.
const SHORT: usize = 64;

/// What a value is known again by, where it is not kept itself: because it is long, or because it is nobody else's
/// business. It is no secret, and whoever finds two values with one digest can only refuse a consent to himself.
///
/// ```
/// use whatsapp_operator::engine::consent::digest;
/// assert_eq!(digest("anna-1").len(), 17);
/// assert_ne!(digest("anna-1"), digest("anna-2"));
/// ```
pub fn digest(value: &str) -> String {
    format!("#{:016x}", sum(value))
}

/// FNV-1a, of 64 bits: the same in every version.
pub(in crate::engine) fn sum(text: &str) -> u64 {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Whether a value is longer than a consent may be. Cut, two of them might be one.
pub(in crate::engine) fn is_too_long(value: &str) -> bool {
    value.chars().nth(CONSENT_LENGTH).is_some()
}

/// The value, or its digest where it has more characters than that.
fn within(value: &str, most: usize) -> String {
    if value.chars().nth(most).is_some() { digest(value) } else { value.to_owned() }
}

/// Whether what is kept stands for this value.
fn stands_for(kept: &str, value: &str) -> bool {
    kept == value || (kept.starts_with('#') && kept == digest(value))
}

impl ConsentAnswer {
    /// A refusal, for people.
    pub(in crate::engine) fn refused(value: &str, at: Timestamp, why: String) -> Self {
        let value = within(value, CONSENT_LENGTH);
        Self { value, at, used_for: None, refused: Some(why), again: None }
    }

    fn is_decided(&self, kind: ConsentKind) -> bool {
        self.used_for.is_some() || self.refused.is_some() || kind == ConsentKind::Reconcile
    }
}

impl Memory {
    /// The answer that stands for a consent's value; `None` while it is open or kept, and once it is forgotten.
    ///
    /// ```
    /// use whatsapp_operator::engine::memory::{ConsentAnswer, ConsentKind, Memory};
    /// let mut memory = Memory::default();
    /// assert_eq!(memory.answered(ConsentKind::Retry, "1"), None);
    /// let answer = ConsentAnswer {
    ///     value: "1".into(),
    ///     at: jiff::Timestamp::UNIX_EPOCH,
    ///     used_for: None,
    ///     refused: Some("nothing waits for a retry".into()),
    ///     again: None,
    /// };
    /// memory.consents.insert(ConsentKind::Retry, answer.clone());
    /// assert_eq!(memory.answered(ConsentKind::Retry, "1"), Some(&answer));
    /// ```
    pub fn answered(&self, kind: ConsentKind, value: &str) -> Option<&ConsentAnswer> {
        let last = self.consents.get(&kind).filter(|answer| answer.is_decided(kind));
        let mut all = last.into_iter().chain(self.earlier_of(kind));
        all.find(|answer| stands_for(&answer.value, value))
    }

    /// Whether a value had its answer, as far as that is remembered, in whatever object.
    pub(in crate::engine) fn is_spent(&self, kind: ConsentKind, value: &str) -> bool {
        self.answered(kind, value).is_some() || self.ledger.named(kind, value).is_some()
    }

    /// The answer that a value had, where it comes again and that was not told yet.
    pub(in crate::engine) fn came_again(&self, kind: ConsentKind, value: &str) -> Option<ConsentAnswer> {
        let is_it = |answer: &&ConsentAnswer| stands_for(&answer.value, value);
        if self.consents.get(&kind).filter(is_it).is_some_and(|last| last.is_decided(kind)) {
            return None;
        }
        let earlier = self.earlier_of(kind);
        if let Some(at) = earlier.iter().position(|answer| is_it(&answer)) {
            let is_told = earlier[at].again.is_some() && earlier.len() - at <= NEWEST;
            return (!is_told).then(|| earlier[at].clone());
        }
        self.ledger.named(kind, value)
    }

    /// Notes an answer, or that a value is kept. The value before it is remembered in short, whether it had an answer or only
    /// was there: whoever sets it again does not make it new.
    pub(in crate::engine) fn note_answer(&mut self, kind: ConsentKind, answer: ConsentAnswer) {
        let earlier = self.earlier.entry(kind).or_default();
        earlier.retain(|before| !stands_for(&before.value, &answer.value));
        let is_another = |last: &ConsentAnswer| !stands_for(&last.value, &answer.value);
        let last = self.consents.get(&kind).filter(|last| is_another(last));
        if let Some(last) = last {
            earlier.push(ConsentAnswer { value: within(&last.value, SHORT), refused: None, ..last.clone() });
        }
        earlier.drain(..earlier.len().saturating_sub(EARLIER));
        if earlier.is_empty() {
            self.earlier.remove(&kind);
        }
        self.consents.insert(kind, answer);
    }

    fn earlier_of(&self, kind: ConsentKind) -> &[ConsentAnswer] {
        self.earlier.get(&kind).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Ledger {
    /// The last attempt that a value allowed, as its answer.
    fn named(&self, kind: ConsentKind, value: &str) -> Option<ConsentAnswer> {
        let is_it = |cause: &Cause| match (kind, cause) {
            (ConsentKind::SendCode, Cause::SendCode(kept))
            | (ConsentKind::Retry, Cause::Retry(kept))
            | (ConsentKind::Official, Cause::Official(kept)) => stands_for(kept, value),
            _ => false,
        };
        let all = StepKind::ALL.iter().flat_map(|step| self.of(*step).iter().map(move |entry| (step, entry)));
        let of_value = all.filter(|(_, entry)| entry.counts() && is_it(&entry.cause));
        let (step, entry) = of_value.max_by_key(|(_, entry)| entry.at)?;
        let used_for = Some((*step).into());
        Some(ConsentAnswer { value: value.to_owned(), at: entry.at, used_for, refused: None, again: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fixture::now;

    fn refuse(memory: &mut Memory, value: &str) {
        memory.note_answer(ConsentKind::Retry, ConsentAnswer::refused(value, now(), "no".into()));
    }

    /// What a pass does with a value that stands on the object.
    fn meet(memory: &mut Memory, value: &str) -> bool {
        let Some(before) = memory.came_again(ConsentKind::Retry, value) else { return false };
        let refused = Some("it was there before".into());
        memory.note_answer(ConsentKind::Retry, ConsentAnswer { refused, again: Some(now()), ..before });
        true
    }

    #[test]
    fn the_last_values_are_known_again_and_the_oldest_are_forgotten() {
        let mut memory = Memory::default();
        let values: Vec<_> = (0..100).map(|n| format!("value-{n}")).collect();
        for value in &values {
            refuse(&mut memory, value);
        }
        let known = values.iter().filter(|value| memory.is_spent(ConsentKind::Retry, value));
        assert_eq!(known.collect::<Vec<_>>(), values[100 - EARLIER - 1..].iter().collect::<Vec<_>>());
        assert!(!memory.is_spent(ConsentKind::SendCode, "value-99"), "another kind");
    }

    #[test]
    fn what_is_remembered_of_long_values_is_short_and_tells_them_apart() {
        let mut memory = Memory::default();
        let long = |n: usize| format!("{}{n}", "ä".repeat(250));
        for n in 0..60 {
            refuse(&mut memory, &long(n));
        }
        let size: usize = memory.earlier_of(ConsentKind::Retry).iter().map(|answer| answer.value.len()).sum();
        assert!(size <= EARLIER * SHORT, "{size}");
        let known = (0..70).filter(|n| memory.is_spent(ConsentKind::Retry, &long(*n)));
        assert_eq!(known.collect::<Vec<_>>(), (60 - EARLIER - 1..60).collect::<Vec<_>>());
    }

    #[test]
    fn a_value_that_comes_again_and_again_is_told_of_once() {
        let mut memory = Memory::default();
        for value in ["a", "b", "c"] {
            refuse(&mut memory, value);
        }
        let told = ["a", "b", "a", "b", "a", "b"].map(|value| meet(&mut memory, value));
        assert_eq!(told, [true, true, false, false, false, false], "two that fight write no more");
    }

    #[test]
    fn a_value_that_comes_again_after_each_other_one_is_never_forgotten() {
        let mut memory = Memory::default();
        refuse(&mut memory, "git");
        let mut told = 0;
        for n in 0..500 {
            refuse(&mut memory, &format!("{n}"));
            assert!(memory.is_spent(ConsentKind::Retry, "git"), "{n}");
            told += usize::from(meet(&mut memory, "git"));
        }
        assert!(told < 60, "{told}");
    }
}
