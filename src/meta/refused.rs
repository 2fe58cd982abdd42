//! What Meta refused to show: which fields, to whom, since when. Knows nothing of calls.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::OwnedMutexGuard, time::timeout};

use super::{
    bounded::{lock, make_room},
    budget::Payer,
    edge::Edge,
};
use crate::engine::{id::AccountId, time::later};

/// Who was refused something: an app, at one of its accounts or at all of them. New fields of Meta's come to one account
/// after another, and a refusal of one account says nothing about the next. The Graph version is fixed for the process,
/// so it is no part of the key; the edge tells the type of the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asker {
    pub(super) payer: Payer,
    pub(super) edge: Edge,
    /// `None` for what was refused because of what the app or its business is.
    pub(super) account: Option<AccountId>,
}

/// Why a field is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    /// Meta refuses it.
    Refused,
    /// A read failed with a fault that may have any cause, and worked without the field. That counts as a refusal once it
    /// happened again.
    Suspected,
}

/// A field that is left out.
#[derive(Clone, Copy, Debug)]
struct LeftOut {
    since: Timestamp,
    ground: Ground,
}

/// What one asker was refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    fields: HashMap<&'static str, LeftOut>,
    /// When the object was refused altogether.
    object: Option<Timestamp>,
}

impl Refusals {
    fn last(&self) -> Option<Timestamp> {
        self.fields.values().map(|left_out| left_out.since).chain(self.object).max()
    }
}

/// How long a read waits for the first one of its kind. An account that answers late holds up no other one for longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The turn to be the first.
type Turn = Arc<tokio::sync::Mutex<()>>;

/// What was refused, by who asked for what.
pub(super) struct Refused {
    kept_for: Duration,
    suspected_for: Duration,
    pub(super) known: Mutex<HashMap<Asker, Refusals>>,
    /// When Meta last answered an app on an edge, at any account.
    answered: Mutex<HashMap<(Payer, Edge), Timestamp>>,
    /// Who reads an edge for an app before Meta answered on it.
    first: Mutex<HashMap<(Payer, Edge), Turn>>,
}

impl Refused {
    /// Nothing yet. After `kept_for` a field is asked for again, after `suspected_for` one that is only suspected.
    pub(super) fn new(kept_for: Duration, suspected_for: Duration) -> Self {
        Self {
            kept_for,
            suspected_for,
            known: Mutex::default(),
            answered: Mutex::default(),
            first: Mutex::default(),
        }
    }

    /// Waits until Meta has answered the app once on this edge, or until it is this read's turn to be the first. What the
    /// app as a whole is refused is then learnt by one account, and not by every account that is read at the start.
    pub(super) async fn wait_for_the_first(&self, asker: &Asker) -> Option<OwnedMutexGuard<()>> {
        let key = (asker.payer.clone(), asker.edge);
        let is_answered = || lock(&self.answered).contains_key(&key);
        if is_answered() {
            return None;
        }
        let first = {
            let mut first = lock(&self.first);
            first.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(first.entry(key.clone()).or_default())
        };
        let turn = timeout(PATIENCE, first.lock_owned()).await.ok()?;
        (!is_answered()).then_some(turn)
    }

    /// Whether the field is left out still.
    fn is_current(&self, left_out: &LeftOut, now: Timestamp) -> bool {
        let kept_for = match left_out.ground {
            Ground::Refused => self.kept_for,
            Ground::Suspected => self.suspected_for,
        };
        later(left_out.since, kept_for) > now
    }

    /// The fields that one of them was refused a short time ago; older ones are asked for again.
    pub(super) fn fields(&self, askers: &[Asker], now: Timestamp) -> Vec<&'static str> {
        let known = lock(&self.known);
        let of = askers.iter().filter_map(|asker| known.get(asker));
        let recent = of.flat_map(|refusals| &refusals.fields);
        let recent = recent.filter(|(_, left_out)| self.is_current(left_out, now));
        recent.map(|(name, _)| *name).collect()
    }

    /// Meta answered a read that was begun then, and showed these fields. Of one that it refused since, that stands.
    pub(super) fn note_answer(
        &self,
        askers: &[Asker],
        shown: &BTreeSet<&'static str>,
        begun: Timestamp,
        now: Timestamp,
    ) {
        let mut known = lock(&self.known);
        for asker in askers {
            if let Some(refusals) = known.get_mut(asker) {
                refusals.fields.retain(|name, left_out| !shown.contains(name) || left_out.since >= begun);
            }
        }
        drop(known);
        let mut answered = lock(&self.answered);
        for asker in askers {
            let key = (asker.payer.clone(), asker.edge);
            make_room(&mut answered, &key, |at| *at);
            answered.insert(key, now);
        }
    }

    /// What payers are refused on an edge, by all accounts or some; what is only suspected is not told. One that is due to be asked for again stands until Meta
    /// has answered. `None` before the first answer.
    pub(super) fn of(&self, payers: &[Payer], edge: Edge) -> Option<BTreeSet<&'static str>> {
        let answered = lock(&self.answered);
        if !payers.iter().any(|payer| answered.contains_key(&(payer.clone(), edge))) {
            return None;
        }
        let known = lock(&self.known);
        let of = known.iter().filter(|(asker, _)| asker.edge == edge && payers.contains(&asker.payer));
        let fields = of.flat_map(|(_, refusals)| &refusals.fields);
        Some(fields.filter(|(_, left)| left.ground == Ground::Refused).map(|(name, _)| *name).collect())
    }

    /// Whether the last answer about the object was that it is not shown at all.
    pub(super) fn is_object(&self, asker: &Asker, now: Timestamp) -> bool {
        let known = lock(&self.known);
        known.get(asker).and_then(|refusals| refusals.object).is_some_and(|at| later(at, self.kept_for) > now)
    }

    /// Meta refused this field, or may have.
    pub(super) fn remember_field(&self, asker: Asker, name: &'static str, ground: Ground, now: Timestamp) {
        tracing::debug!(
            edge = asker.edge.as_str(),
            account = asker.account.as_ref().map(AccountId::as_str),
            field = name,
            ?ground,
            "Meta refuses a field, left out for a while"
        );
        self.note(asker, now, |refusals| {
            let before = refusals.fields.get(name).copied();
            let left_out = match (ground, before) {
                // Of a read that was under way together with the first.
                (Ground::Suspected, Some(before)) if self.is_current(&before, now) => before,
                // It was asked for again, and the same happened.
                (Ground::Suspected, Some(_)) | (Ground::Refused, _) => {
                    LeftOut { since: now, ground: Ground::Refused }
                }
                (Ground::Suspected, None) => LeftOut { since: now, ground },
            };
            refusals.fields.insert(name, left_out);
        });
    }

    /// Whether Meta shows the object at all.
    pub(super) fn remember_object(&self, asker: Asker, is_refused: bool, now: Timestamp) {
        if is_refused || self.is_object(&asker, now) {
            self.note(asker, now, |refusals| refusals.object = is_refused.then_some(now));
        }
    }

    fn note(&self, asker: Asker, now: Timestamp, note: impl FnOnce(&mut Refusals)) {
        let mut known = lock(&self.known);
        known.retain(|_, refusals| {
            // What is due to be asked for again is shown until that was answered.
            refusals.fields.retain(|_, left_out| later(left_out.since, self.kept_for * 2) > now);
            refusals.object = refusals.object.filter(|since| later(*since, self.kept_for) > now);
            refusals.last().is_some()
        });
        make_room(&mut known, &asker, Refusals::last);
        note(known.entry(asker).or_default());
    }
}
