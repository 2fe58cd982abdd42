//! Conditions: one of each type, with the time at which its status flipped.

use jiff::Timestamp;

use crate::engine::value::{condition_type::ConditionType, reason::Reason, word::words};

words! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Truth {
        True,
        False,
        Unknown,
    }
}

/// One condition; `lastTransitionTime` moves only when `status` flips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub kind: ConditionType,
    pub status: Truth,
    pub reason: Reason,
    pub message: String,
    pub since: Timestamp,
    pub observed_generation: i64,
}

/// Conditions in the order of [`ConditionType`], at most one of each.
///
/// ```
/// use whatsapp_operator::engine::condition::{Condition, ConditionSet, Truth};
/// use whatsapp_operator::engine::{condition_type::ConditionType, reason::Reason};
/// let condition = |status, since: &str| Condition {
///     kind: ConditionType::Ready,
///     status,
///     reason: Reason::Usable,
///     message: "the number can send".into(),
///     since: since.parse().expect("a time"),
///     observed_generation: 1,
/// };
/// let mut set = ConditionSet::default();
/// set.set(condition(Truth::True, "2026-03-01T12:00:00Z"));
/// set.set(condition(Truth::True, "2026-03-01T13:00:00Z"));
/// assert!(set.is(ConditionType::Ready, Truth::True));
/// // The status did not change, so neither did its time.
/// let ready = set.get(ConditionType::Ready).expect("it was set");
/// assert_eq!((ready.since.to_string().as_str(), ready.status.as_str()), ("2026-03-01T12:00:00Z", "True"));
/// set.remove(ConditionType::Ready);
/// assert_eq!(set.iter().count(), 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConditionSet(Vec<Condition>);

impl ConditionSet {
    /// Inserts or replaces; keeps the transition time while the status stays.
    pub fn set(&mut self, mut next: Condition) {
        match self.0.binary_search_by_key(&next.kind, |c| c.kind) {
            Ok(at) => {
                if self.0[at].status == next.status {
                    next.since = self.0[at].since;
                }
                self.0[at] = next;
            }
            Err(at) => self.0.insert(at, next),
        }
    }

    /// Removes one, if it is there.
    pub fn remove(&mut self, kind: ConditionType) {
        self.0.retain(|c| c.kind != kind);
    }

    /// Looks one up.
    pub fn get(&self, kind: ConditionType) -> Option<&Condition> {
        self.0.binary_search_by_key(&kind, |c| c.kind).ok().map(|at| &self.0[at])
    }

    /// Whether a condition is there with this status.
    pub fn is(&self, kind: ConditionType, status: Truth) -> bool {
        self.get(kind).is_some_and(|c| c.status == status)
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }
}
