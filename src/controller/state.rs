//! What the process remembers of a channel beside its status: nothing that must survive.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::engine::{
    desired::{Desired, DesiredConsents, SecretKey},
    limits::Limits,
    memory::{ConsentKind, Entry, EntryOutcome, Memory},
    observed::{Claim, PortfolioState},
    portfolio::PortfolioView,
    secret::SecretFact,
    time::later,
};
use crate::{
    controller::watch::Key,
    run::{
        pass::Done,
        secret::{Purpose, Volatile},
    },
};

/// A plan's poll and ours are told apart from anything else by this much; jitter is in it.
const SLACK: Duration = Duration::from_secs(15);

/// A channel waits for first statuses at most this often in a row, so that one which cannot be written blocks no other.
const GIVEN_WAY: u32 = 20;

/// Every channel that a pass has run over.
#[derive(Default)]
pub struct States(Mutex<HashMap<Key, Arc<State>>>);

impl States {
    /// The state of this object; another uid begins anew.
    pub fn of(&self, key: &Key, uid: &Arc<str>) -> Arc<State> {
        let mut states = self.lock();
        match states.get(key) {
            Some(state) if state.uid == *uid => state.clone(),
            _ => {
                let state = Arc::new(State::new(uid.clone()));
                states.insert(key.clone(), state.clone());
                state
            }
        }
    }

    /// One more failure in a row of this object. One that is forgotten already stays so.
    pub fn failed(&self, key: &Key, uid: &str) -> u32 {
        let state = self.lock().get(key).filter(|state| *state.uid == *uid).cloned();
        state.map_or(1, |state| state.failed())
    }

    /// Forgets an object.
    pub fn remove(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// Channels that a person may hand a code to, with what to look for.
    pub fn with_live_code(&self, now: Timestamp) -> Vec<(Key, Arc<State>, LiveCode)> {
        let states = self.lock();
        let live = |(key, state): (&Key, &Arc<State>)| {
            let code = state.soft().code.as_deref().filter(|code| now < code.until).cloned()?;
            Some((key.clone(), state.clone(), code))
        };
        states.iter().filter_map(live).collect()
    }

    /// The oldest last success among all channels that are looked at.
    pub fn oldest_success(&self) -> Option<Timestamp> {
        let states: Vec<Arc<State>> = self.lock().values().cloned().collect();
        let last = |state: &Arc<State>| {
            let soft = state.soft();
            soft.last_success.filter(|_| !soft.is_idle)
        };
        states.iter().filter_map(last).min()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<State>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One channel.
pub struct State {
    pub uid: Arc<str>,
    /// Held by a pass until all of it has ended, its task included.
    pub busy: Arc<tokio::sync::Mutex<()>>,
    pub volatile: Arc<Mutex<Volatile>>,
    soft: Mutex<Soft>,
}

#[derive(Default)]
pub struct Soft {
    pub after_write: Option<Timestamp>,
    pub last_success: Option<Timestamp>,
    /// Suspended, or another manages the number: nothing is looked at, and that is fine.
    pub is_idle: bool,
    pub failures: u32,
    /// Passes in a row that took a step.
    pub acts: u32,
    pub wait: Option<Box<Wait>>,
    pub code: Option<Box<LiveCode>>,
    /// Consents that its portfolio holds up and was told of.
    passed_on: Vec<(ConsentKind, Box<str>)>,
    /// How often it let others go first since it last had no reason to.
    given_way: u32,
}

impl Soft {
    /// Whether the portfolio is to be told that somebody asks for this in vain: once for each value, however long
    /// it stands there unanswered.
    pub fn passes_on(&mut self, asked: Vec<(ConsentKind, Box<str>)>) -> bool {
        let is_news = asked.iter().any(|one| !self.passed_on.contains(one));
        if is_news {
            self.passed_on = asked;
        }
        is_news
    }
}

impl State {
    fn new(uid: Arc<str>) -> Self {
        Self { uid, busy: Arc::default(), volatile: Arc::default(), soft: Mutex::default() }
    }

    /// Never held across an await.
    pub fn soft(&self) -> MutexGuard<'_, Soft> {
        self.soft.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether to step back for a moment for `others`, who wait for their first status. Nobody with a code in
    /// hand is made to wait, and nobody for long.
    pub fn gives_way(&self, others: bool, limits: &Limits) -> bool {
        let mut soft = self.soft();
        if !others {
            soft.given_way = 0;
            return false;
        }
        let has_live_code = soft.wait.as_ref().is_some_and(|wait| wait.is_live(limits));
        if has_live_code || soft.given_way >= GIVEN_WAY {
            return false;
        }
        soft.given_way += 1;
        true
    }

    fn failed(&self) -> u32 {
        let mut soft = self.soft();
        soft.failures = soft.failures.saturating_add(1);
        soft.wait = None;
        soft.failures
    }
}

/// What a pass depended on beside Meta and Secrets: while none of it moves, a Secret can be polled without a pass.
#[derive(Clone, Debug)]
pub struct Stamp {
    pub generation: i64,
    pub consents: DesiredConsents,
    pub claim: Claim,
    pub view: Option<Arc<PortfolioView>>,
}

impl Stamp {
    /// Of the inputs of a pass.
    pub fn new(generation: i64, consents: DesiredConsents, claim: Claim, portfolio: &PortfolioState) -> Self {
        let view = match portfolio {
            PortfolioState::View(view) => Some(view.clone()),
            PortfolioState::NotUsable | PortfolioState::NotYet => None,
        };
        Self { generation, consents, claim, view }
    }

    fn is_same(&self, other: &Self) -> bool {
        let same_view = match (&self.view, &other.view) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        same_view
            && self.generation == other.generation
            && self.consents == other.consents
            && self.claim == other.claim
    }
}

/// A wait that a Secret can end.
#[derive(Clone, Debug)]
pub struct Wait {
    pub stamp: Stamp,
    pub secrets: Vec<(Purpose, SecretKey, SecretFact)>,
    pub every: Duration,
    /// When to look at everything again.
    pub look_at: Timestamp,
}

impl Wait {
    /// Which Secrets could end what a pass waits for, and how often to read them.
    pub fn after(
        done: &Done,
        desired: &Desired,
        stamp: Stamp,
        look_at: Timestamp,
        limits: &Limits,
        now: Timestamp,
    ) -> Option<Self> {
        if done.outcome.is_some() || !done.plan.is_waiting() {
            return None;
        }
        let mut secrets = Vec::new();
        let mut every = limits.secret_poll;
        if done.look.code_secret {
            if is_code_live(&done.memory, limits, now) {
                every = limits.secret_poll_live;
            }
            secrets.push((
                Purpose::Code,
                desired.verification.code_secret.clone(),
                done.observed.code_secret.clone(),
            ));
        }
        if done.look.pin_secret {
            secrets.push((
                Purpose::Pin,
                desired.registration.pin_secret.clone(),
                done.observed.pin_secret.clone(),
            ));
        }
        if let Some(webhook) = desired.webhook.as_ref().filter(|_| done.look.verify_token) {
            secrets.push((
                Purpose::VerifyToken,
                webhook.verify_token.clone(),
                done.observed.verify_token.clone(),
            ));
        }
        // While a person has a code in hand that is the one Secret worth reading every few seconds.
        let is_live = every == limits.secret_poll_live;
        if is_live {
            secrets.retain(|(purpose, ..)| *purpose == Purpose::Code);
        }
        // A plan that comes back just to poll does not ask for a look each time.
        let polls = now + every;
        let look_at = if (polls..=polls + SLACK).contains(&look_at) {
            now + if is_live { limits.fresh_after_write } else { limits.secret_poll * 2 }
        } else {
            look_at
        };
        (!secrets.is_empty()).then_some(Self { stamp, secrets, every, look_at })
    }

    /// Whether a person may have a code in hand.
    pub fn is_live(&self, limits: &Limits) -> bool {
        self.every == limits.secret_poll_live
    }

    /// Whether only the Secrets need to be looked at now.
    pub fn holds(&self, stamp: &Stamp, now: Timestamp) -> bool {
        now < self.look_at && self.stamp.is_same(stamp)
    }
}

/// A code that was sent and may be used.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveCode {
    /// Where it will be written.
    pub secret: SecretKey,
    /// What stood there when a pass last looked.
    pub seen: SecretFact,
    until: Timestamp,
}

impl LiveCode {
    /// What there is to look for after a pass, whatever it did.
    pub fn after(done: &Done, desired: &Desired, limits: &Limits, now: Timestamp) -> Option<Self> {
        let until = live_until(&done.memory, limits).filter(|until| done.look.code_secret && now < *until)?;
        let secret = desired.verification.code_secret.clone();
        Some(Self { secret, seen: done.observed.code_secret.clone(), until })
    }
}

/// Until when the last code that went out may be used, whatever was refused since.
fn live_until(memory: &Memory, limits: &Limits) -> Option<Timestamp> {
    let sent = |code: &&Entry| !matches!(code.outcome, EntryOutcome::Refused | EntryOutcome::NotSent);
    memory.ledger.codes.iter().rev().find(sent).map(|code| later(code.at, limits.code_life))
}

/// Whether a code that was sent may still be used.
fn is_code_live(memory: &Memory, limits: &Limits, now: Timestamp) -> bool {
    live_until(memory, limits).is_some_and(|until| now < until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::step::Cause;

    fn key() -> Key {
        Key { namespace: "shop".into(), name: "a".into() }
    }

    #[test]
    fn a_failure_after_the_deletion_leaves_nothing_behind() {
        let states = States::default();
        states.of(&key(), &"1".into());
        assert_eq!((states.failed(&key(), "1"), states.failed(&key(), "1")), (1, 2));
        states.remove(&key());
        assert_eq!(states.failed(&key(), "1"), 1);
        assert!(states.lock().is_empty());
    }

    #[test]
    fn a_channel_that_is_left_alone_does_not_age() {
        let states = States::default();
        let state = states.of(&key(), &"1".into());
        state.soft().last_success = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(states.oldest_success(), Some(Timestamp::UNIX_EPOCH));
        state.soft().is_idle = true;
        assert_eq!(states.oldest_success(), None);
    }

    #[test]
    fn a_time_at_the_end_of_time_breaks_nothing() {
        let mut memory = Memory::default();
        memory.ledger.codes.push(Entry {
            id: "i".into(),
            at: Timestamp::MAX,
            outcome: EntryOutcome::Accepted,
            cause: Cause::Automatic,
            subject: None,
            settle_until: None,
            secret_before: None,
            refusal: None,
        });
        assert!(is_code_live(&memory, &Limits::default(), Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn a_code_is_looked_for_until_it_lapses() {
        let states = States::default();
        let until = Timestamp::UNIX_EPOCH + Duration::from_secs(60);
        let secret = SecretKey { name: "a-code".into(), key: "code".into() };
        let code = LiveCode { secret, seen: SecretFact::Missing, until };
        states.of(&key(), &"1".into()).soft().code = Some(Box::new(code.clone()));
        states.of(&Key { name: "b".into(), ..key() }, &"2".into());
        let live = states.with_live_code(Timestamp::UNIX_EPOCH);
        assert_eq!(live.into_iter().map(|(key, _, code)| (key, code)).collect::<Vec<_>>(), [(key(), code)]);
        assert!(states.with_live_code(until).is_empty());
    }

    #[test]
    fn what_is_asked_for_in_vain_is_passed_on_once() {
        let (look, retry) = (
            |value: &str| (ConsentKind::Reconcile, Box::from(value)),
            |value: &str| (ConsentKind::Retry, Box::from(value)),
        );
        let mut soft = Soft::default();
        assert!(!soft.passes_on(Vec::new()));
        assert!(soft.passes_on(vec![look("1")]));
        assert!(!soft.passes_on(vec![look("1")]));
        assert!(soft.passes_on(vec![look("1"), retry("1")]), "another kind with the same value");
        assert!(soft.passes_on(vec![look("2"), retry("1")]));
        // What an observer is never answered stands there for good.
        assert!(!soft.passes_on(vec![retry("1")]));
        assert!(!soft.passes_on(Vec::new()));
        assert!(!soft.passes_on(vec![retry("1")]), "held up again");
    }

    fn gives_way(state: &State) -> bool {
        state.gives_way(true, &Limits::default())
    }

    #[test]
    fn a_channel_steps_back_for_first_statuses_but_not_for_ever() {
        let state = State::new("1".into());
        assert_eq!((0..100).filter(|_| gives_way(&state)).count(), GIVEN_WAY as usize);
        assert!(!state.gives_way(false, &Limits::default()));
        assert!(gives_way(&state));
    }

    #[test]
    fn nobody_with_a_code_in_hand_steps_back() {
        let limits = Limits::default();
        for (every, expected) in [(limits.secret_poll_live, false), (limits.secret_poll, true)] {
            let state = State::new("1".into());
            let claim = Claim::Ours { act_from: None };
            let stamp = Stamp::new(1, DesiredConsents::default(), claim, &PortfolioState::NotYet);
            let look_at = Timestamp::UNIX_EPOCH;
            state.soft().wait = Some(Box::new(Wait { stamp, secrets: Vec::new(), every, look_at }));
            assert_eq!(gives_way(&state), expected);
        }
    }
}
