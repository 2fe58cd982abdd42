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
    secret::SecretFact,
    time::{is_set_back, later},
};
use crate::{
    controller::{room::Room, watch::Key},
    run::{
        pass::Done,
        secret::{Purpose, Volatile},
    },
};

/// A plan's poll and ours are told apart from anything else by this much; jitter is in it.
const SLACK: Duration = Duration::from_secs(15);

/// Every channel that a pass has run over.
#[derive(Default)]
pub struct States(Mutex<HashMap<Key, Slot>>);

/// What is kept of a channel.
enum Slot {
    Whole(Arc<State>),
    /// Of one that is left alone, as most of a crowd are.
    Brief(Brief),
}

/// What no next pass would do without.
struct Brief {
    uid: Arc<str>,
    /// Of the last success, else of the first work.
    at: Timestamp,
    has_succeeded: bool,
    is_idle: bool,
    /// What is known of the PIN that counts. Without it a label on its Secret would have it sent once more.
    pin: Option<u64>,
}

impl Slot {
    fn uid(&self) -> &str {
        match self {
            Self::Whole(state) => &state.uid,
            Self::Brief(brief) => &brief.uid,
        }
    }

    /// Since when it was not looked at with success; none of one that nobody looks at.
    fn unseen_since(&self) -> Option<Timestamp> {
        match self {
            Self::Whole(state) => {
                let soft = state.soft();
                (!soft.is_idle).then(|| soft.last_success.unwrap_or(state.made))
            }
            Self::Brief(brief) => (!brief.is_idle).then_some(brief.at),
        }
    }
}

impl States {
    /// The state of this object; another uid begins anew.
    pub fn of(&self, key: &Key, uid: &Arc<str>, now: Timestamp) -> Arc<State> {
        let mut states = self.lock();
        let state = match states.get(key).filter(|slot| *slot.uid() == **uid) {
            Some(Slot::Whole(state)) => return state.clone(),
            Some(Slot::Brief(brief)) => State::again(brief),
            None => State::new(uid.clone(), now),
        };
        let state = Arc::new(state);
        states.insert(key.clone(), Slot::Whole(state.clone()));
        state
    }

    /// The state of this object, unless it is forgotten already.
    pub fn get(&self, key: &Key, uid: &str) -> Option<Arc<State>> {
        match self.lock().get(key) {
            Some(Slot::Whole(state)) if *state.uid == *uid => Some(state.clone()),
            Some(Slot::Whole(_) | Slot::Brief(_)) | None => None,
        }
    }

    /// An object came to rest with a list that was begun then, and its account counts for it. What is remembered of it is
    /// forgotten, unless it may still matter.
    pub fn retire(&self, key: &Key, uid: &str, begun: Timestamp, now: Timestamp) {
        let mut states = self.lock();
        let Some(slot) = states.get_mut(key).filter(|slot| *slot.uid() == *uid) else { return };
        let Slot::Whole(state) = &*slot else { return };
        {
            let mut soft = state.soft();
            soft.is_idle = true;
            // Every list from now on is of after that write.
            soft.after_write = soft.after_write.filter(|at| *at >= begun);
        }
        if state.at_rest(now).is_some() {
            states.remove(key);
        }
    }

    /// Nothing is begun on an object. What the next pass would not miss is forgotten.
    pub fn shorten(&self, key: &Key, uid: &str, now: Timestamp) {
        let mut states = self.lock();
        let Some(slot) = states.get_mut(key).filter(|slot| *slot.uid() == *uid) else { return };
        let Slot::Whole(state) = &*slot else { return };
        let is_empty = state.is_spare(now, Volatile::is_empty) && state.soft().rest.is_none();
        if is_empty {
            let brief = state.brief();
            *slot = Slot::Brief(brief);
        }
    }

    /// Forgets an object.
    pub fn remove(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// Gives back the room that a crowd took, and what has come to be of no use since an object came to rest.
    pub fn tidy(&self, now: Timestamp) {
        let mut states = self.lock();
        for slot in states.values_mut() {
            if let Slot::Whole(state) = &*slot
                && Arc::strong_count(state) == 1
                && let Some(brief) = state.at_rest(now)
            {
                *slot = Slot::Brief(brief);
            }
        }
        states.give_back();
    }

    /// How much room there is for channels.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        self.lock().capacity()
    }

    /// Those whose last pass failed.
    pub fn failing(&self) -> Vec<Key> {
        let states = self.lock();
        let has_failed = |slot: &Slot| match slot {
            Slot::Whole(state) => state.soft().failures > 0,
            Slot::Brief(_) => false,
        };
        let failing = states.iter().filter(|(_, slot)| has_failed(slot));
        failing.map(|(key, _)| key.clone()).collect()
    }

    /// Whether an object was worked on and is remembered.
    pub fn has(&self, key: &Key) -> bool {
        self.lock().contains_key(key)
    }

    /// The oldest last success among all channels that are looked at; those at rest count by what is `resting`, and those
    /// that were never worked on by what is `unbegun`. One without any counts from when it was first worked on.
    pub fn oldest_success(
        &self,
        resting: Option<Timestamp>,
        unbegun: Option<Timestamp>,
    ) -> Option<Timestamp> {
        self.lock().values().filter_map(Slot::unseen_since).chain(resting).chain(unbegun).min()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One channel.
pub struct State {
    pub uid: Arc<str>,
    /// When this process first worked on it.
    made: Timestamp,
    /// Held by a pass until all of it has ended, its task included.
    pub busy: Arc<tokio::sync::Mutex<()>>,
    pub volatile: Arc<Mutex<Volatile>>,
    soft: Mutex<Soft>,
}

#[derive(Default)]
pub struct Soft {
    pub after_write: Option<Timestamp>,
    pub last_success: Option<Timestamp>,
    /// Suspended, or another manages the number, or a person has to correct something first: nothing is looked at, and that is
    /// told elsewhere.
    pub is_idle: bool,
    pub failures: u32,
    /// Passes in a row that took a step.
    pub acts: u32,
    /// Its first look let others go first.
    pub gave_way: bool,
    /// What can end the pause before anybody asks.
    pub rest: Option<Box<Rest>>,
    /// A code that was sent and may be used.
    pub code: Option<Box<LiveCode>>,
    /// Consents that were met while the object could not be used, since when.
    pub met: Option<Box<DesiredConsents>>,
    /// Consents that its portfolio holds up and was told of.
    passed_on: Vec<(ConsentKind, Box<str>)>,
}

impl Soft {
    /// Whether it holds nothing that the next pass would miss, beside what can end a pause.
    fn is_spare(&self) -> bool {
        let Self {
            after_write,
            last_success: _,
            is_idle: _,
            failures,
            acts,
            gave_way: _,
            rest: _,
            code,
            met,
            passed_on,
        } = self;
        let is_steady = after_write.is_none() && (*failures, *acts) == (0, 0);
        is_steady && code.is_none() && met.is_none() && passed_on.is_empty()
    }

    /// Notes when the consents of an object that cannot be used were first met: nothing can be written to it.
    pub fn note_met(&mut self, consents: DesiredConsents, now: Timestamp) {
        let met = consents.is_timed().then(|| Box::new(consents.met(self.met.as_deref(), now)));
        self.met = met;
    }

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
    fn new(uid: Arc<str>, made: Timestamp) -> Self {
        Self { uid, made, busy: Arc::default(), volatile: Arc::default(), soft: Mutex::default() }
    }

    /// Of an object of which only that was kept.
    fn again(brief: &Brief) -> Self {
        let state = Self::new(brief.uid.clone(), brief.at);
        let mut soft = state.soft();
        soft.last_success = brief.has_succeeded.then_some(brief.at);
        soft.is_idle = brief.is_idle;
        drop(soft);
        *state.volatile.lock().unwrap_or_else(PoisonError::into_inner) = Volatile::of_pin(brief.pin);
        state
    }

    /// What is kept of one that is at rest, if that is all that its next pass needs.
    fn at_rest(&self, now: Timestamp) -> Option<Brief> {
        let is_idle = |soft: &Soft| soft.is_idle && soft.rest.is_none();
        (is_idle(&self.soft()) && self.is_spare(now, Volatile::is_spare)).then(|| self.brief())
    }

    fn brief(&self) -> Brief {
        let soft = self.soft();
        Brief {
            uid: self.uid.clone(),
            at: soft.last_success.unwrap_or(self.made),
            has_succeeded: soft.last_success.is_some(),
            is_idle: soft.is_idle,
            pin: self.volatile.lock().unwrap_or_else(PoisonError::into_inner).known_pin(),
        }
    }

    /// Whether it holds nothing that the next pass would miss, beside times.
    fn is_spare(&self, now: Timestamp, is_all: impl FnOnce(&Volatile, Timestamp) -> bool) -> bool {
        let volatile = self.volatile.lock().unwrap_or_else(PoisonError::into_inner);
        self.soft().is_spare() && is_all(&volatile, now)
    }

    /// Never held across an await.
    pub fn soft(&self) -> MutexGuard<'_, Soft> {
        self.soft.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more failure in a row; gives back their number.
    pub fn failed(&self) -> u32 {
        let mut soft = self.soft();
        soft.is_idle = false;
        soft.failures = soft.failures.saturating_add(1);
        soft.failures
    }
}

/// A pause that a Secret can end.
#[derive(Clone, Debug, PartialEq)]
pub struct Rest {
    pub secrets: Vec<(Purpose, SecretKey, SecretFact)>,
    pub every: Duration,
    /// When it began, and when to look at everything again.
    pub since: Timestamp,
    pub look_at: Timestamp,
}

impl Rest {
    /// Which Secrets could end what a pass waits for, and how often to read them. While a person has a code in hand, that
    /// is the one Secret worth reading, and every few seconds.
    pub fn after(
        done: &Done,
        desired: &Desired,
        code: Option<&LiveCode>,
        look_at: Timestamp,
        limits: &Limits,
        now: Timestamp,
    ) -> Option<Self> {
        let is_waiting = done.outcome.is_none() && done.plan.is_waiting();
        let (secrets, every) = match code {
            Some(code) => (vec![code.secret()], limits.secret_poll_live),
            None if is_waiting => (awaited(done, desired), limits.secret_poll),
            None => return None,
        };
        // A plan that comes back just to poll does not ask for a look each time.
        let polls = now + every;
        let look_at = if is_waiting && (polls..=polls + SLACK).contains(&look_at) {
            now + if code.is_some() { limits.fresh_after_write } else { limits.secret_poll * 2 }
        } else {
            look_at
        };
        (!secrets.is_empty()).then_some(Self { secrets, every, since: now, look_at })
    }

    /// Of a pass that failed: a code is used as soon as it is there all the same.
    pub fn after_failure(
        code: Option<&LiveCode>,
        look_at: Timestamp,
        limits: &Limits,
        now: Timestamp,
    ) -> Option<Self> {
        let code = code.filter(|code| now < code.until)?;
        let every = limits.secret_poll_live;
        Some(Self { secrets: vec![code.secret()], every, since: now, look_at })
    }

    /// Whether it is time to look at everything again.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.look_at || is_set_back(self.since, now)
    }

    /// How long until there is something to look at again.
    pub fn pause(&self, now: Timestamp) -> Duration {
        let left = Duration::try_from(self.look_at.duration_since(now)).unwrap_or_default();
        self.every.min(left)
    }
}

/// The Secrets that a pass looked for.
fn awaited(done: &Done, desired: &Desired) -> Vec<(Purpose, SecretKey, SecretFact)> {
    let (look, observed) = (&done.look, &done.observed);
    let code = look
        .code_secret
        .then(|| (Purpose::Code, desired.verification.code_secret.clone(), observed.code_secret.clone()));
    let pin = look
        .pin_secret
        .then(|| (Purpose::Pin, desired.registration.pin_secret.clone(), observed.pin_secret.clone()));
    let webhook = desired.webhook.as_ref().filter(|_| look.verify_token);
    let token = webhook
        .map(|webhook| (Purpose::VerifyToken, webhook.verify_token.clone(), observed.verify_token.clone()));
    [code, pin, token].into_iter().flatten().collect()
}

/// A code that was sent and may be used.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveCode {
    /// Where it will be written.
    secret: SecretKey,
    /// What stood there when a pass last looked.
    seen: SecretFact,
    until: Timestamp,
}

impl LiveCode {
    /// What there is to look for after a pass, whatever it did.
    pub fn after(done: &Done, desired: &Desired, limits: &Limits, now: Timestamp) -> Option<Self> {
        let until = live_until(&done.memory, limits).filter(|until| done.look.code_secret && now < *until)?;
        let secret = desired.verification.code_secret.clone();
        Some(Self { secret, seen: done.observed.code_secret.clone(), until })
    }

    fn secret(&self) -> (Purpose, SecretKey, SecretFact) {
        (Purpose::Code, self.secret.clone(), self.seen.clone())
    }
}

/// Until when the last code that went out may be used, whatever was refused since.
fn live_until(memory: &Memory, limits: &Limits) -> Option<Timestamp> {
    let sent = |code: &&Entry| !matches!(code.outcome, EntryOutcome::Refused | EntryOutcome::NotSent);
    memory.ledger.codes.iter().rev().find(sent).map(|code| later(code.at, limits.code_life))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    use crate::engine::step::Cause;

    fn key() -> Key {
        Key { namespace: "shop".into(), name: "a".into() }
    }

    #[test]
    fn a_failure_after_the_deletion_leaves_nothing_behind() {
        let states = States::default();
        let state = states.of(&key(), &"1".into(), Timestamp::UNIX_EPOCH);
        assert_eq!((state.failed(), state.failed()), (1, 2));
        assert_eq!(states.failing(), [key()]);
        states.remove(&key());
        assert!(states.get(&key(), "1").is_none() && states.lock().is_empty());
    }

    #[test]
    fn a_channel_that_is_left_alone_does_not_age() {
        let (states, started) = (States::default(), Timestamp::UNIX_EPOCH);
        let later = started + Duration::from_secs(60);
        assert_eq!(states.oldest_success(None, None), None, "there is nothing to look at");
        assert_eq!(states.oldest_success(None, Some(started)), Some(started), "nothing was looked at yet");
        let state = states.of(&key(), &"1".into(), Timestamp::UNIX_EPOCH);
        assert_eq!(states.oldest_success(None, None), Some(started), "nor was it with success");
        state.soft().last_success = Some(later);
        assert_eq!(states.oldest_success(None, None), Some(later));
        assert_eq!(states.oldest_success(Some(later), Some(started)), Some(started), "another one was not");
        state.soft().is_idle = true;
        assert_eq!(states.oldest_success(None, None), None);
    }

    #[test]
    fn of_a_channel_that_is_left_alone_the_times_are_kept_and_no_more() {
        let (states, started) = (States::default(), Timestamp::UNIX_EPOCH);
        let (seen, now) = (started + Duration::from_secs(60), started + Duration::from_secs(90));
        let uid: Arc<str> = "1".into();
        let kept = |states: &States| matches!(states.lock().get(&key()), Some(Slot::Whole(_)));
        let state = states.of(&key(), &uid, started);
        state.soft().acts = 1;
        states.shorten(&key(), &uid, now);
        assert!(kept(&states), "a step was just taken");
        (state.soft().acts, state.soft().last_success) = (0, Some(seen));
        states.shorten(&key(), "2", now);
        assert!(kept(&states), "it is another object");
        states.shorten(&key(), &uid, now);
        assert!(!kept(&states) && states.get(&key(), &uid).is_none());
        assert_eq!(states.oldest_success(None, None), Some(seen));
        assert_eq!(states.of(&key(), &uid, now).soft().last_success, Some(seen));
        // One without a success ages from when it was first worked on.
        let states = States::default();
        states.of(&key(), &uid, started);
        states.shorten(&key(), &uid, now);
        let again = states.of(&key(), &uid, now);
        assert_eq!((again.soft().last_success, again.made), (None, started));
        assert_eq!(states.of(&key(), &"2".into(), now).made, now);
    }

    #[test]
    fn of_a_channel_at_rest_nothing_is_kept_that_its_next_pass_would_not_miss() {
        let (begun, now) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + Duration::from_secs(600));
        let uid: Arc<str> = "1".into();
        let (before, after) = (begun - Duration::from_secs(1), begun + Duration::from_secs(1));
        for (what, after_write, failures, is_kept) in [
            ("nothing of note", None, 0, false),
            ("a write that the list shows", Some(before), 0, false),
            ("a write that it may not show", Some(after), 0, true),
            ("a failure", None, 1, true),
        ] {
            let states = States::default();
            let state = states.of(&key(), &uid, begun);
            let mut soft = state.soft();
            (soft.after_write, soft.failures) = (after_write, failures);
            drop(soft);
            states.retire(&key(), "2", begun, now);
            assert!(states.get(&key(), &uid).is_some(), "{what}: it is another object");
            states.retire(&key(), &uid, begun, now);
            assert_eq!(states.get(&key(), &uid).is_some(), is_kept, "{what}");
            assert_eq!(states.has(&key()), is_kept, "{what}");
        }
    }

    #[test]
    fn what_was_of_use_for_a_while_is_forgotten_when_nobody_works_on_it() {
        let (states, now) = (States::default(), Timestamp::UNIX_EPOCH + Duration::from_secs(600));
        let uid: Arc<str> = "1".into();
        let is_whole = |states: &States| states.get(&key(), &uid).is_some();
        let state = states.of(&key(), &uid, now);
        state.soft().is_idle = true;
        states.tidy(now);
        assert!(is_whole(&states), "somebody works on it");
        let code = SecretString::from("123456".to_owned());
        state.volatile.lock().expect("sound").remember(&code, now, Duration::from_secs(60));
        drop(state);
        states.tidy(now);
        assert!(is_whole(&states), "the code may still live");
        states.tidy(now + Duration::from_secs(61));
        assert!(!is_whole(&states));
        states.of(&key(), &uid, now);
        states.tidy(now);
        assert!(!is_whole(&states), "it was worked on, and rests as before");
        let state = states.of(&key(), &"2".into(), now);
        drop(state);
        states.tidy(now);
        assert!(states.get(&key(), "2").is_some(), "it is looked at");
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
            trace_id: None,
            refusal: None,
        });
        assert_eq!(live_until(&memory, &Limits::default()), Some(Timestamp::MAX));
    }

    #[test]
    fn a_code_is_looked_for_until_it_lapses_whatever_fails_meanwhile() {
        let (now, limits) = (Timestamp::UNIX_EPOCH, Limits::default());
        let until = now + Duration::from_secs(60);
        let secret = SecretKey { name: "a-code".into(), key: "code".into() };
        let code = LiveCode { secret, seen: SecretFact::Missing, until };
        let look_at = now + Duration::from_secs(300);
        let rest = Rest::after_failure(Some(&code), look_at, &limits, now).expect("a code is live");
        assert_eq!((rest.pause(now), &rest.secrets[..]), (limits.secret_poll_live, &[code.secret()][..]));
        assert_eq!(Rest::after_failure(Some(&code), look_at, &limits, until), None);
        assert_eq!(Rest::after_failure(None, look_at, &limits, now), None);
        assert_eq!(Rest { look_at: now, ..rest }.pause(now), Duration::ZERO);
    }

    #[test]
    fn a_pause_is_over_when_its_time_has_come_and_when_the_clock_was_set_back_past_its_beginning() {
        let since = Timestamp::UNIX_EPOCH + Duration::from_secs(10_000);
        let (every, look_at) = (Duration::from_secs(60), since + Duration::from_secs(900));
        let rest = Rest { secrets: Vec::new(), every, since, look_at };
        for (seconds, is_over) in
            [(-3_600, true), (-30, false), (0, false), (899, false), (900, true), (3_600, true)]
        {
            let now = since + jiff::SignedDuration::from_secs(seconds);
            assert_eq!(rest.is_over(now), is_over, "{seconds}");
        }
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
}
