//! What is remembered of one portfolio beside its status, and when Meta is to be asked about it again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::engine::{
    desired::DesiredPortfolio,
    failure::{Failure, Refusal},
    id::{AppId, Fact},
    portfolio::{PortfolioView, TokenFacts},
    secret::{SecretFact, Unread},
    time::{is_set_back, later},
};
use crate::{api::v1alpha1::ChannelCounts, meta::port::Graph};

use super::{app::AppState, reading::Reading};

/// Channels may report a refused credential all at once; Meta is asked about it no more often than this.
const BETWEEN_CHECKS: Duration = Duration::from_secs(30);

/// Whether so much has passed since then, also by a clock that was set back.
fn has_passed(pause: Duration, since: Timestamp, now: Timestamp) -> bool {
    now >= later(since, pause) || is_set_back(since, now)
}

/// One portfolio, beside its status.
pub struct State<G> {
    pub uid: String,
    pub in_use: Option<InUse<G>>,
    /// The last version that was checked and not taken up, with what came of it.
    pub tried: Option<Tried<G>>,
    pub reading: Reading,
    pub app: AppState,
    pub view: Option<PortfolioView>,
    /// Since when a Secret cannot be read.
    pub unread: Option<Unread>,
    pub is_doubted: bool,
    /// The last look changed nothing and nothing is due.
    pub rest: Option<Rest>,
    /// Somebody asked to look now, and the lists were not begun since.
    pub is_nudged: bool,
    /// Its own annotation asks for that.
    pub is_reconciled: bool,
    /// The value of the annotation by which somebody asked to look now, as last met.
    nudge: Option<String>,
    /// When Meta was last asked about the credential, whatever came of it.
    pub asked_at: Option<Timestamp>,
    /// When Meta last answered about it.
    checked_at: Option<Timestamp>,
}

impl<G> Default for State<G> {
    fn default() -> Self {
        Self {
            uid: String::new(),
            in_use: None,
            tried: None,
            reading: Reading::default(),
            app: AppState::default(),
            view: None,
            unread: None,
            is_doubted: false,
            rest: None,
            is_nudged: false,
            is_reconciled: false,
            nudge: None,
            asked_at: None,
            checked_at: None,
        }
    }
}

impl<G: Graph> State<G> {
    /// What Meta said when it blocked the app of the credential in use, or else of the one on offer.
    pub fn app_blocked(&self) -> Option<Refusal> {
        let in_use = self.in_use.as_ref().map(|in_use| &in_use.graph);
        in_use.or(self.tried.as_ref().map(|tried| &tried.graph))?.app_blocked()
    }
}

impl<G> State<G> {
    /// Of the object with this uid, of which nothing is known yet.
    pub fn of(uid: String) -> Self {
        Self { uid, ..Self::default() }
    }

    /// A value that was not there before asks to look now. What stands there at the start asks for nothing, since
    /// everything is looked at then.
    pub fn note_nudge(&mut self, value: Option<&String>) {
        if self.nudge.as_ref() != value {
            let is_asked = value.is_some() && self.asked_at.is_some();
            self.is_doubted |= is_asked;
            self.is_nudged |= is_asked;
            self.is_reconciled |= is_asked;
            self.nudge = value.cloned();
        }
    }

    /// How long a look that was asked for, or a read that is to be made again, still has to wait.
    pub fn until_due(&self, now: Timestamp) -> Option<Duration> {
        let asked = self.asked_at.filter(|_| self.is_doubted).map(|at| at + BETWEEN_CHECKS);
        let at = asked.into_iter().chain(self.reading.again(now)).min()?;
        let is_now = asked.is_some() && self.may_ask(now);
        Some(if is_now {
            Duration::ZERO
        } else {
            Duration::try_from(at.duration_since(now)).unwrap_or_default()
        })
    }

    /// When the credential is to be checked anew for the age of what Meta said. Whatever else is read once an hour is read
    /// about then.
    pub fn check_due(&self, fresh: Duration) -> Option<Timestamp> {
        self.checked_at.map(|at| later(at, fresh))
    }

    /// Whether the Secrets could be read.
    pub fn note_read(&mut self, why_not: Option<&str>, now: Timestamp) {
        self.unread = Unread::after(self.unread.take(), why_not, now);
    }

    pub fn may_ask(&self, now: Timestamp) -> bool {
        self.asked_at.is_none_or(|at| has_passed(BETWEEN_CHECKS, at, now))
    }

    /// What was not answered is still due, and is asked again as soon as it may be.
    pub fn is_check_due(&self, fresh: Duration, now: Timestamp) -> bool {
        self.may_ask(now) && (self.is_doubted || self.checked_at.is_none_or(|at| has_passed(fresh, at, now)))
    }

    pub fn note_check<T>(&mut self, token: &Fact<T>, now: Timestamp) {
        self.asked_at = Some(now);
        if !is_open(token) {
            self.note_answer(now);
        }
    }

    pub fn note_answer(&mut self, at: Timestamp) {
        self.checked_at = Some(at);
        self.is_doubted = false;
    }

    /// What Meta said about an offered version before, unless it is to be asked again. An unchanged version is
    /// asked about as rarely as one in use: after an answer when that is old or doubted.
    pub fn said_of(
        &self,
        version: &str,
        fresh: Duration,
        now: Timestamp,
    ) -> Option<(Fact<TokenFacts>, Fact<()>)> {
        let tried = self.tried.as_ref().filter(|tried| tried.version == version)?;
        let is_unanswered = is_open(&tried.token) || is_open(&tried.proof);
        let is_due = is_unanswered || self.is_doubted || has_passed(fresh, tried.at, now);
        (!is_due || !self.may_ask(now)).then(|| (tried.token.clone(), tried.proof.clone()))
    }
}

/// The bytes of a credential, in memory alone. Not `Debug`, and no digest of them is kept anywhere.
#[derive(Clone)]
pub struct Key {
    pub token: SecretString,
    pub app_secret: Option<SecretString>,
    /// From the spec.
    pub app: Option<AppId>,
}

impl Key {
    /// Whether it is the same credential.
    pub fn is(&self, other: &Self) -> bool {
        let same = |a: &SecretString, b: &SecretString| a.expose_secret().trim() == b.expose_secret().trim();
        let same_secret = match (&self.app_secret, &other.app_secret) {
            (Some(a), Some(b)) => same(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        same(&self.token, &other.token) && same_secret && self.app == other.app
    }
}

/// A pause that a Secret, a channel or an answer of Meta's to one can end early, and an edit or a doubt at once.
pub struct Rest {
    pub desired: DesiredPortfolio,
    /// What they were like.
    pub secrets: [SecretFact; 2],
    pub around: Around,
    pub since: Timestamp,
    /// When something is due by its age.
    pub until: Timestamp,
}

/// What a portfolio tells and does because of its channels, or because of what their passes met at Meta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Around {
    pub counts: Option<ChannelCounts>,
    /// Whether some of them need it for their own deletion.
    pub is_needed: Option<bool>,
    pub throttled_until: Option<Timestamp>,
    pub refused_fields: BTreeMap<&'static str, BTreeSet<&'static str>>,
}

impl Rest {
    /// How long until everything is looked at again; `None` when that is due.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        let left = self.until.duration_since(now);
        Duration::try_from(left).ok().filter(|left| !left.is_zero() && !is_set_back(self.since, now))
    }
}

/// The credential that channels are served with.
pub struct InUse<G> {
    pub version: String,
    pub key: Key,
    pub graph: G,
}

/// An offered credential, with what Meta said about it.
pub struct Tried<G> {
    pub version: String,
    pub key: Key,
    pub graph: G,
    pub token: Fact<TokenFacts>,
    /// What a read with it came to, where that leaves a doubt.
    pub proof: Fact<()>,
    pub at: Timestamp,
}

fn failure<T>(fact: &Fact<T>) -> Option<&Failure> {
    match fact {
        Fact::Unknown(failure) => Some(failure),
        Fact::NotAsked | Fact::Known(_) => None,
    }
}

/// No usable answer: not sent, held back, or lost.
pub fn is_open<T>(fact: &Fact<T>) -> bool {
    failure(fact).is_some_and(|failure| !failure.is_decision())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{
        failure::{Class, Refusal},
        fixture,
    };

    fn key(token: &str, app_secret: Option<&str>) -> Key {
        let secret = |text: &str| SecretString::from(text.to_owned());
        Key { token: secret(token), app_secret: app_secret.map(secret), app: None }
    }

    #[test]
    fn a_credential_is_its_bytes() {
        assert!(key("a", Some("b")).is(&key("a\n", Some("b"))), "a line break at the end is none of them");
        for other in [key("A", Some("b")), key("a", Some("B")), key("a", None)] {
            assert!(!key("a", Some("b")).is(&other));
        }
        let named = Key { app: Some("200000000000001".into()), ..key("a", None) };
        assert!(!key("a", None).is(&named));
    }

    #[test]
    fn a_check_without_an_answer_is_made_again_after_a_pause() {
        let (fresh, start) = (Duration::from_secs(3_600), fixture::now());
        let mut state = State::<()>::default();
        assert!(state.is_check_due(fresh, start));
        state.note_check(&Fact::<()>::Unknown(Failure::NoAnswer("time-out".into())), start - BETWEEN_CHECKS);
        state.note_check(&Fact::<()>::Unknown(Failure::NotSent("no connection".into())), start);
        assert!(!state.is_check_due(fresh, start + BETWEEN_CHECKS / 2), "not at once");
        let again = start + BETWEEN_CHECKS;
        assert!(state.is_check_due(fresh, again));
        state.note_check(&Fact::Known(()), again);
        assert!(!state.is_check_due(fresh, again + BETWEEN_CHECKS), "answered");
        assert!(state.is_check_due(fresh, again + fresh));
        state.is_doubted = true;
        state.note_check(&Fact::<()>::Unknown(Failure::NoAnswer("time-out".into())), again + fresh);
        assert!(state.is_doubted, "a doubt lasts until it is answered");
    }

    #[test]
    fn a_clock_that_is_set_back_or_forward_keeps_no_check_and_no_look_waiting() {
        let (fresh, hour) = (Duration::from_secs(3_600), jiff::SignedDuration::from_hours(1));
        let begun = fixture::now();
        for now in [begun - hour - hour / 60, begun + hour + hour / 60] {
            let mut state = State::<()>::default();
            state.note_check(&Fact::Known(()), begun);
            assert!(state.is_check_due(fresh, now), "{now}");
            state.is_doubted = true;
            assert!(state.may_ask(now) && state.until_due(now) == Some(Duration::ZERO), "{now}");
            let tried = Tried {
                version: "1".into(),
                key: key("a", None),
                graph: (),
                token: Fact::Known(fixture::token()),
                proof: Fact::NotAsked,
                at: begun,
            };
            let state = State::<()> { tried: Some(tried), asked_at: Some(begun), ..State::default() };
            assert!(state.said_of("1", fresh, now).is_none(), "{now}");
            let rest = Rest {
                desired: fixture::desired_portfolio(),
                secrets: [SecretFact::Missing, SecretFact::Missing],
                around: Around {
                    counts: None,
                    is_needed: None,
                    throttled_until: None,
                    refused_fields: BTreeMap::new(),
                },
                since: begun,
                until: later(begun, fresh),
            };
            assert_eq!(rest.left(now), None, "{now}");
            assert_eq!(rest.left(begun), Some(fresh));
        }
    }

    fn refused(code: i64, class: Class, until: Option<Timestamp>) -> Failure {
        Failure::Refused(Refusal { class, until, ..fixture::refusal(code, None, "T1") })
    }

    #[test]
    fn an_unchanged_credential_is_asked_about_again_only_when_it_is_doubted_or_its_answer_is_old() {
        let (now, fresh) = (fixture::now(), Duration::from_secs(3_600));
        let tried = |token, at| State::<()> {
            tried: Some(Tried {
                version: "1".into(),
                key: key("a", None),
                graph: (),
                token,
                proof: Fact::NotAsked,
                at,
            }),
            asked_at: Some(at),
            ..State::default()
        };
        let is_asked = |state: &State<()>, version: &str, at| state.said_of(version, fresh, at).is_none();
        for answer in [Fact::Known(fixture::token()), Fact::Unknown(refused(190, Class::Credentials, None))] {
            let mut state = tried(answer, now);
            assert!(!is_asked(&state, "1", now + fresh - BETWEEN_CHECKS));
            assert!(is_asked(&state, "1", now + fresh));
            assert!(is_asked(&state, "2", now), "another version is asked about at once");
            state.is_doubted = true;
            assert!(!is_asked(&state, "1", now), "not more often than this");
            assert!(is_asked(&state, "1", now + BETWEEN_CHECKS));
        }
        let state = tried(Fact::Unknown(Failure::NoAnswer("time-out".into())), now);
        assert!(!is_asked(&state, "1", now));
        assert!(is_asked(&state, "1", now + BETWEEN_CHECKS));
    }

    #[test]
    fn a_new_value_of_the_annotation_asks_to_look_now() {
        let (now, fresh) = (fixture::now(), Duration::from_secs(3_600));
        let value = |text: &str| Some(text.to_owned());
        let mut state = State::<()>::default();
        state.note_nudge(value("1").as_ref());
        assert!(!state.is_doubted, "at the start everything is looked at anyway");
        state.note_check(&Fact::Known(()), now);
        state.note_nudge(value("1").as_ref());
        assert!(!state.is_doubted);
        state.note_nudge(value("2").as_ref());
        assert!(state.is_nudged && state.is_reconciled, "lists too, and the owner has the last word");
        assert_eq!(state.until_due(now), Some(BETWEEN_CHECKS), "not more often than this");
        assert!(state.is_check_due(fresh, now + BETWEEN_CHECKS));
        state.note_check(&Fact::Known(()), now + BETWEEN_CHECKS);
        state.note_nudge(None);
        assert!(!state.is_doubted && state.until_due(now).is_none());
    }
}
