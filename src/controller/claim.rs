//! Which channel manages a number, among all with the same digits in whichever spelling.
//!
//! An index kept up to date by the watch, so that a reconcile asks one question about
//! a handful of rivals and never scans ten thousand channels. It decides nothing but
//! the order: one with a number goes before one without, then the older, then the uid.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::api::v1alpha1::ChannelCounts;
use crate::engine::{desired::PortfolioRef, observed::Claim, spelling::Canonical, status::Stage};

use super::watch::Key;

/// What the index keeps of a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimant {
    pub uid: Arc<str>,
    pub digits: Canonical,
    pub portfolio: PortfolioRef,
    /// Full, not suspended before its first act, and not being deleted, unless it still takes something back at Meta.
    pub is_eligible: bool,
    /// It has something to take back at Meta before it goes, for which it needs its portfolio.
    pub holds: Option<Holds>,
    pub has_number: bool,
    /// Its status shows that it managed the number when it was last written.
    pub has_managed: bool,
    pub created: Timestamp,
    /// For counting.
    pub stage: Stage,
    /// What it adds to the counts of its portfolio.
    pub counts: ChannelCounts,
}

/// A channel that needs its portfolio for its own deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    /// Since when it is being deleted.
    pub since: Option<Timestamp>,
    /// How long its deletion tries.
    pub seconds: u32,
}

/// Whom a change concerns.
#[derive(Debug, Default, PartialEq)]
pub struct Ripple {
    /// Channels whose claim may be another now.
    pub woken: Vec<Key>,
    /// Portfolios whose counts are others now.
    pub recount: Vec<PortfolioRef>,
}

impl Ripple {
    /// Without portfolios that the changed object may not use: it must not wake them.
    #[must_use]
    pub fn within(mut self, may_use: impl Fn(&PortfolioRef) -> bool) -> Self {
        self.recount.retain(may_use);
        self
    }
}

/// How long the next channel waits, because a call of the last one may still be in flight.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// After a claim ended: its object is gone or was edited, so no intent of it can be written any more.
    pub gone: Duration,
    /// After a claim was taken over by a channel with precedence. The object of the last one is unchanged, and a pass
    /// that began before may still write an intent.
    pub displaced: Duration,
}

/// Every channel in the watched namespaces.
#[derive(Debug)]
pub struct Claims {
    inner: Mutex<Inner>,
    pauses: Pauses,
}

#[derive(Debug, Default)]
struct Inner {
    filled: Option<Timestamp>,
    /// Another process acted here before this one, and what it was about is known from statuses alone.
    is_inherited: bool,
    channels: HashMap<Key, Claimant>,
    by_digits: HashMap<Canonical, Rivals>,
    by_portfolio: HashMap<PortfolioRef, BTreeSet<Key>>,
    /// Digits without a channel that still hold a pause, oldest first.
    vacant: VecDeque<(Timestamp, Canonical)>,
}

#[derive(Debug, Default)]
struct Rivals {
    keys: Vec<Key>,
    /// Uid of the channel that was last found to manage the number.
    holder: Option<Arc<str>>,
    act_from: Option<Timestamp>,
}

impl Claims {
    /// Without any channel.
    pub fn new(pauses: Pauses) -> Self {
        Self { inner: Mutex::default(), pauses }
    }

    /// Every watched namespace is in the index.
    pub fn filled(&self, now: Timestamp) -> Ripple {
        let mut inner = self.lock();
        inner.filled.get_or_insert(now);
        Ripple { woken: Vec::new(), recount: inner.by_portfolio.keys().cloned().collect() }
    }

    /// From now on this process acts. Another may have acted until now, so what this one decided in an earlier term says
    /// nothing any more, and pauses count from now.
    pub fn take_over(&self, now: Timestamp) {
        let mut inner = self.lock();
        inner.filled = inner.filled.map(|_| now);
        let has_acted = |claimant: &Claimant| {
            claimant.has_number || claimant.has_managed || claimant.stage != Stage::Pending
        };
        inner.is_inherited |= inner.channels.values().any(has_acted);
        for rivals in inner.by_digits.values_mut() {
            rivals.holder = None;
        }
    }

    /// Something was found that another process had worked on. It is unknown which claims
    /// ended just before this process began to watch.
    pub fn inherits(&self) {
        self.lock().is_inherited = true;
    }

    /// Takes in a channel as it is now; gives back whom that concerns.
    pub fn apply(&self, key: &Key, next: Claimant, now: Timestamp) -> Ripple {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let next = inner.sharing_text(key, next);
        let (mut ripple, is_known) = match inner.channels.get(key) {
            Some(before) if before.uid == next.uid && before.digits == next.digits => {
                (Ripple::default(), true)
            }
            Some(_) => (inner.remove(key, now, self.pauses.gone), false),
            None => (Ripple::default(), false),
        };
        let rivals = inner.by_digits.entry(next.digits.clone()).or_default();
        if !is_known {
            // Mostly the only one.
            rivals.keys.reserve_exact(1);
            rivals.keys.push(key.clone());
        }
        let changed = inner.channels.get(key).is_none_or(|before| {
            before.is_eligible != next.is_eligible
                || before.has_number != next.has_number
                || before.portfolio != next.portfolio
        });
        if changed {
            ripple.woken.extend(rivals.keys.iter().filter(|rival| *rival != key).cloned());
        }
        let counted = inner.channels.get(key).map(|before| (&before.portfolio, &before.counts, before.holds));
        if counted != Some((&next.portfolio, &next.counts, next.holds)) {
            ripple.recount.push(next.portfolio.clone());
        }
        if let Some(before) = inner.channels.get(key).filter(|before| before.portfolio != next.portfolio) {
            let portfolio = before.portfolio.clone();
            inner.leave(&portfolio, key);
            ripple.recount.push(portfolio);
        }
        inner.by_portfolio.entry(next.portfolio.clone()).or_default().insert(key.clone());
        inner.channels.insert(key.clone(), next);
        ripple
    }

    /// A channel is gone; gives back whom that concerns.
    pub fn remove(&self, key: &Key, now: Timestamp) -> Ripple {
        self.lock().remove(key, now, self.pauses.gone)
    }

    /// Takes out an object that a live read did not find, unless the watch has shown another one of that name since.
    pub fn remove_if(&self, key: &Key, uid: &str, now: Timestamp) -> Ripple {
        let mut inner = self.lock();
        let is_it = inner.channels.get(key).is_some_and(|claimant| *claimant.uid == *uid);
        if is_it { inner.remove(key, now, self.pauses.gone) } else { Ripple::default() }
    }

    /// Whether this channel manages its number, and whom to wake because that has just changed.
    ///
    /// `may_use` tells whether a namespace may use a portfolio: a channel that may not does not claim.
    pub fn claim(
        &self,
        key: &Key,
        may_use: impl Fn(&PortfolioRef, &str) -> bool,
        now: Timestamp,
    ) -> (Claim, Vec<Key>) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let Some(filled) = inner.filled else { return (Claim::Undecided, Vec::new()) };
        let Some(own) = inner.channels.get(key) else { return (Claim::Undecided, Vec::new()) };
        let Some(rivals) = inner.by_digits.get_mut(&own.digits) else {
            return (Claim::Undecided, Vec::new());
        };
        let channels = &inner.channels;
        let winner = rivals
            .keys
            .iter()
            .filter_map(|rival| channels.get(rival).map(|claimant| (rival, claimant)))
            .filter(|(rival, c)| c.is_eligible && may_use(&c.portfolio, &rival.namespace))
            .min_by_key(|(_, c)| (!c.has_number, c.created, c.uid.clone()))
            .map(|(rival, c)| (rival.clone(), c.uid.clone()));
        // No pause is longer, also when the clock went back since it began.
        rivals.act_from = rivals.act_from.map(|at| at.min(now + self.pauses.displaced.max(self.pauses.gone)));
        let Some((winner, uid)) = winner else {
            // No channel claims it, so this one does not wait for the claim.
            return (Claim::Ours { act_from: rivals.act_from.filter(|at| *at > now) }, Vec::new());
        };
        let mut woken = Vec::new();
        if rivals.holder.as_ref() != Some(&uid) {
            let pause = match rivals.holder.replace(uid) {
                Some(last) => {
                    // On an object that may not be used any more, no intent can be written.
                    let stands = rivals.keys.iter().filter_map(|rival| channels.get(rival));
                    let is_displaced = stands.clone().any(|c| c.uid == last && c.is_eligible);
                    Some(now + if is_displaced { self.pauses.displaced } else { self.pauses.gone })
                }
                // The first that this process finds. Unless it managed the number all along, the one before it
                // may have ended while no process watched.
                None => {
                    let is_continued = channels.get(&winner).is_some_and(|c| c.has_managed);
                    (inner.is_inherited && !is_continued).then(|| filled + self.pauses.gone)
                }
            };
            rivals.act_from = rivals.act_from.max(pause);
            woken.extend(rivals.keys.iter().filter(|rival| *rival != key).cloned());
        }
        let claim = if winner == *key || !own.is_eligible && rivals.keys.len() == 1 {
            Claim::Ours { act_from: rivals.act_from.filter(|at| *at > now) }
        } else {
            Claim::Other { name: (winner.namespace == key.namespace).then(|| winner.name.to_string()) }
        };
        (claim, woken)
    }

    /// Key and uid as the index holds them: clones share their text with it.
    pub fn known(&self, key: &Key) -> Option<(Key, Arc<str>)> {
        self.lock().channels.get_key_value(key).map(|(key, own)| (key.clone(), own.uid.clone()))
    }

    /// The channels that name a portfolio.
    pub fn of_portfolio(&self, portfolio: &PortfolioRef) -> Vec<Key> {
        self.lock().by_portfolio.get(portfolio).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }

    /// The channels that need a portfolio for their own deletion, and may use it; none before all of them are known.
    pub fn holding(
        &self,
        portfolio: &PortfolioRef,
        may_use: impl Fn(&PortfolioRef, &str) -> bool,
    ) -> Option<Vec<(Key, Holds)>> {
        let inner = self.lock();
        inner.filled?;
        let keys = inner.by_portfolio.get(portfolio).into_iter().flatten();
        let keys = keys.filter(|key| may_use(portfolio, &key.namespace));
        Some(keys.filter_map(|key| Some((key.clone(), inner.channels.get(key)?.holds?))).collect())
    }

    /// How many channels are known.
    pub fn len(&self) -> usize {
        self.lock().channels.len()
    }

    /// Every channel.
    pub fn keys(&self) -> Vec<Key> {
        self.lock().channels.keys().cloned().collect()
    }

    /// Channels that may use a portfolio, by state; none before all of them are known.
    pub fn counts_of(
        &self,
        portfolio: &PortfolioRef,
        may_use: impl Fn(&PortfolioRef, &str) -> bool,
    ) -> Option<ChannelCounts> {
        let inner = self.lock();
        inner.filled?;
        let keys = inner.by_portfolio.get(portfolio).into_iter().flatten();
        let keys = keys.filter(|key| may_use(portfolio, &key.namespace));
        let counted = keys.filter_map(|key| inner.channels.get(key));
        Some(counted.fold(ChannelCounts::default(), |sum, channel| {
            let one = &channel.counts;
            ChannelCounts {
                total: sum.total + one.total,
                ready: sum.ready + one.ready,
                waiting: sum.waiting + one.waiting,
                stalled: sum.stalled + one.stalled,
            }
        }))
    }

    /// All channels, by stage.
    pub fn stages(&self) -> HashMap<Stage, usize> {
        let mut stages = HashMap::new();
        for channel in self.lock().channels.values() {
            *stages.entry(channel.stage).or_default() += 1;
        }
        stages
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The same with texts that the index holds already.
    fn sharing_text(&self, key: &Key, mut next: Claimant) -> Claimant {
        if let Some(before) = self.channels.get(key).filter(|before| before.uid == next.uid) {
            next.uid = before.uid.clone();
        }
        if let Some((digits, _)) = self.by_digits.get_key_value(&next.digits) {
            next.digits = digits.clone();
        }
        if let Some((portfolio, _)) = self.by_portfolio.get_key_value(&next.portfolio) {
            next.portfolio = portfolio.clone();
        }
        next
    }

    fn remove(&mut self, key: &Key, now: Timestamp, pause: Duration) -> Ripple {
        self.forget(now);
        let Some(own) = self.channels.remove(key) else { return Ripple::default() };
        self.leave(&own.portfolio, key);
        let mut ripple = Ripple { woken: Vec::new(), recount: vec![own.portfolio] };
        let Some(rivals) = self.by_digits.get_mut(&own.digits) else { return ripple };
        rivals.keys.retain(|rival| rival != key);
        // Whether it was the holder may not have been asked yet; then the pause costs little.
        if rivals.holder.as_ref().is_none_or(|holder| *holder == own.uid) {
            rivals.holder = None;
            rivals.act_from = rivals.act_from.max(Some(now + pause));
        }
        match (rivals.keys.is_empty(), rivals.act_from.filter(|at| *at > now)) {
            (true, Some(until)) => self.vacant.push_back((until, own.digits)),
            (true, None) => drop(self.by_digits.remove(&own.digits)),
            (false, _) => ripple.woken.clone_from(&rivals.keys),
        }
        ripple
    }

    /// Drops pauses that are over, of digits without a channel.
    fn forget(&mut self, now: Timestamp) {
        while self.vacant.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, digits)) = self.vacant.pop_front() else { return };
            // Who had the digits meanwhile may have left a pause of its own, which comes later in the queue.
            let is_over =
                |rivals: &Rivals| rivals.keys.is_empty() && rivals.act_from.is_none_or(|until| until <= now);
            if self.by_digits.get(&digits).is_some_and(is_over) {
                self.by_digits.remove(&digits);
            }
        }
    }

    fn leave(&mut self, portfolio: &PortfolioRef, key: &Key) {
        if let Some(keys) = self.by_portfolio.get_mut(portfolio) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_portfolio.remove(portfolio);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: Pauses = Pauses { gone: Duration::from_secs(30), displaced: Duration::from_secs(90) };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn key(namespace: &str, name: &str) -> Key {
        Key { namespace: namespace.into(), name: name.into() }
    }

    fn claimant(uid: &str, created: i64) -> Claimant {
        Claimant {
            uid: uid.into(),
            digits: Canonical::of("5511912345678"),
            portfolio: PortfolioRef { namespace: "shop".into(), name: "acme".into() },
            is_eligible: true,
            holds: None,
            has_number: false,
            has_managed: false,
            created: at(created),
            stage: Stage::Pending,
            counts: ChannelCounts::default(),
        }
    }

    fn ask(claims: &Claims, who: &Key, now: i64) -> Claim {
        claims.claim(who, |_, _| true, at(now)).0
    }

    const OURS: Claim = Claim::Ours { act_from: None };

    #[test]
    fn nobody_acts_before_every_namespace_is_known() {
        let claims = Claims::new(PAUSES);
        claims.apply(&key("shop", "a"), claimant("1", 0), at(0));
        assert_eq!(ask(&claims, &key("shop", "a"), 1), Claim::Undecided);
        claims.filled(at(0));
        assert_eq!(ask(&claims, &key("shop", "a"), 1), OURS);
    }

    #[test]
    fn the_older_channel_manages_the_number_unless_another_has_it_already() {
        let claims = Claims::new(PAUSES);
        claims.filled(at(0));
        let (old, young) = (key("shop", "old"), key("other", "young"));
        claims.apply(&old, claimant("1", 0), at(0));
        claims.apply(&young, claimant("2", 5), at(5));
        assert_eq!(ask(&claims, &old, 6), OURS);
        assert_eq!(ask(&claims, &young, 6), Claim::Other { name: None });
        claims.apply(&young, Claimant { has_number: true, ..claimant("2", 5) }, at(7));
        // The old one was not edited: a pass of it that began before may still write its intent.
        assert_eq!(ask(&claims, &young, 8), Claim::Ours { act_from: Some(at(98)) });
        assert_eq!(ask(&claims, &old, 8), Claim::Other { name: None });
        claims.remove(&old, at(9));
        assert_eq!(ask(&claims, &young, 10), Claim::Ours { act_from: Some(at(98)) });
    }

    #[test]
    fn a_claim_that_its_own_edit_gives_up_wakes_the_next_which_waits() {
        let claims = Claims::new(PAUSES);
        claims.filled(at(0));
        let (old, young) = (key("shop", "old"), key("shop", "young"));
        claims.apply(&old, claimant("1", 0), at(0));
        claims.apply(&young, claimant("2", 5), at(5));
        assert_eq!(ask(&claims, &old, 6), OURS);
        let woken = claims.apply(&old, Claimant { is_eligible: false, ..claimant("1", 0) }, at(10)).woken;
        assert_eq!(woken, std::slice::from_ref(&young));
        assert_eq!(ask(&claims, &young, 11), Claim::Ours { act_from: Some(at(41)) });
    }

    #[test]
    fn what_one_term_decided_says_nothing_in_the_next_and_pauses_count_from_there() {
        let claims = Claims::new(PAUSES);
        claims.filled(at(0));
        let (old, young) = (key("shop", "old"), key("shop", "young"));
        claims.apply(&old, claimant("1", 0), at(0));
        claims.apply(&young, Claimant { digits: Canonical::of("3"), ..claimant("2", 5) }, at(5));
        assert_eq!((ask(&claims, &old, 6), ask(&claims, &young, 6)), (OURS, OURS));
        // Until now another process acted, and what it managed until a moment ago is not known.
        claims.apply(&old, Claimant { has_number: true, has_managed: true, ..claimant("1", 0) }, at(100));
        claims.take_over(at(200));
        assert_eq!(ask(&claims, &old, 201), OURS, "its status shows that it goes on");
        assert_eq!(ask(&claims, &young, 201), Claim::Ours { act_from: Some(at(230)) });
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_pause_longer() {
        let claims = Claims::new(PAUSES);
        claims.filled(at(0));
        let (old, young) = (key("shop", "old"), key("shop", "young"));
        claims.apply(&old, claimant("1", 0), at(0));
        claims.apply(&young, claimant("2", 5), at(5));
        assert_eq!(ask(&claims, &old, 6), OURS);
        claims.remove(&old, at(7_200));
        let Claim::Ours { act_from: Some(until) } = ask(&claims, &young, 3_600) else { panic!("a pause") };
        assert!(until <= at(3_600) + PAUSES.displaced, "{until}");
    }

    #[test]
    fn after_a_restart_only_who_managed_the_number_goes_on_at_once() {
        let (went_on, found) = (key("shop", "went-on"), key("shop", "found"));
        let claims = Claims::new(PAUSES);
        claims.inherits();
        claims.apply(&went_on, Claimant { has_managed: true, ..claimant("1", 0) }, at(0));
        // Another channel with its digits may have gone, call on the wire, while nobody watched.
        claims.apply(&found, Claimant { digits: Canonical::of("1"), ..claimant("2", 0) }, at(0));
        claims.filled(at(1));
        assert_eq!(ask(&claims, &went_on, 2), OURS);
        assert_eq!(ask(&claims, &found, 2), Claim::Ours { act_from: Some(at(31)) });
        assert_eq!(ask(&claims, &found, 31), OURS);
        let late = key("shop", "late");
        claims.apply(&late, Claimant { digits: Canonical::of("2"), ..claimant("3", 40) }, at(40));
        assert_eq!(ask(&claims, &late, 41), OURS);
    }

    #[test]
    fn where_nobody_was_before_nobody_waits() {
        let claims = Claims::new(PAUSES);
        claims.apply(&key("shop", "a"), claimant("1", 0), at(0));
        claims.filled(at(1));
        assert_eq!(ask(&claims, &key("shop", "a"), 2), OURS);
    }

    #[test]
    fn a_claim_that_goes_away_wakes_the_next_which_waits() {
        let claims = Claims::new(PAUSES);
        claims.filled(at(0));
        let (old, young) = (key("shop", "old"), key("shop", "young"));
        claims.apply(&old, claimant("1", 0), at(0));
        claims.apply(&young, claimant("2", 5), at(5));
        assert_eq!(ask(&claims, &young, 6), Claim::Other { name: Some("old".into()) });
        assert_eq!(claims.remove(&old, at(10)).woken, std::slice::from_ref(&young));
        assert_eq!(ask(&claims, &young, 11), Claim::Ours { act_from: Some(at(40)) });
        assert_eq!(ask(&claims, &young, 41), OURS);
    }

    #[test]
    fn two_spellings_of_one_number_are_one_claim() {
        for (written, shown) in [
            ("+5531987654321", "+553187654321"),
            ("+526120000000", "+5216120000000"),
            ("+5491123456789", "+541123456789"),
        ] {
            let claims = Claims::new(PAUSES);
            claims.filled(at(0));
            let spelled =
                |uid, created, text| Claimant { digits: Canonical::of(text), ..claimant(uid, created) };
            let (old, young) = (key("shop", "old"), key("shop", "young"));
            claims.apply(&old, spelled("1", 0, written), at(0));
            claims.apply(&young, spelled("2", 5, shown), at(5));
            assert_eq!(ask(&claims, &old, 6), OURS, "{written}");
            assert_eq!(ask(&claims, &young, 6), Claim::Other { name: Some("old".into()) }, "{shown}");
            // The other spelling of the same claim is no end of it: nobody else gets a turn.
            assert_eq!(claims.apply(&old, spelled("1", 0, shown), at(10)), Ripple::default());
            assert_eq!(ask(&claims, &young, 11), Claim::Other { name: Some("old".into()) });
        }
    }

    #[test]
    fn a_recreated_channel_waits_too() {
        let claims = Claims::new(PAUSES);
        claims.filled(at(0));
        let it = key("shop", "it");
        claims.apply(&it, claimant("1", 0), at(0));
        assert_eq!(ask(&claims, &it, 1), OURS);
        claims.remove(&it, at(10));
        claims.apply(&it, claimant("2", 11), at(11));
        assert_eq!(ask(&claims, &it, 12), Claim::Ours { act_from: Some(at(40)) });
    }

    #[test]
    fn digits_that_changed_hands_keep_the_pause_of_whoever_had_them_last() {
        let claims = Claims::new(PAUSES);
        claims.filled(at(0));
        let (first, second, third) = (key("shop", "first"), key("shop", "second"), key("shop", "third"));
        claims.apply(&first, claimant("1", 0), at(0));
        claims.remove(&first, at(10));
        claims.apply(&second, claimant("2", 20), at(20));
        claims.remove(&second, at(30));
        let passer_by = Claimant { digits: Canonical::of("1"), ..claimant("4", 45) };
        claims.apply(&third, passer_by, at(45));
        claims.remove(&third, at(45));
        claims.apply(&third, claimant("3", 46), at(46));
        assert_eq!(ask(&claims, &third, 46), Claim::Ours { act_from: Some(at(60)) });
    }

    #[test]
    fn a_channel_that_may_not_use_its_portfolio_neither_counts_nor_wakes_it() {
        let claims = Claims::new(PAUSES);
        claims.filled(at(0));
        let portfolio = claimant("1", 0).portfolio;
        let counts = ChannelCounts { total: 1, ..ChannelCounts::default() };
        let counted = |uid| Claimant { counts, ..claimant(uid, 0) };
        claims.apply(&key("shop", "own"), counted("1"), at(0));
        let ripple = claims.apply(&key("stranger", "other"), counted("2"), at(0));
        assert_eq!(ripple.recount, std::slice::from_ref(&portfolio));
        let may_use = |_: &PortfolioRef, namespace: &str| namespace == "shop";
        assert_eq!(ripple.within(|of| may_use(of, "stranger")).recount, []);
        assert_eq!(claims.counts_of(&portfolio, may_use).map(|counts| counts.total), Some(1));
    }

    #[test]
    fn a_channel_that_may_not_use_its_portfolio_holds_nothing() {
        let claims = Claims::new(PAUSES);
        claims.filled(at(0));
        let (old, young) = (key("stranger", "old"), key("shop", "young"));
        claims.apply(&old, claimant("1", 0), at(0));
        claims.apply(&young, claimant("2", 5), at(5));
        let (claim, _) = claims.claim(&young, |_, namespace| namespace == "shop", at(6));
        assert_eq!(claim, OURS);
    }

    #[test]
    fn a_portfolio_is_counted_anew_only_when_a_count_changes() {
        let claims = Claims::new(PAUSES);
        let it = key("shop", "it");
        let portfolio = claimant("1", 0).portfolio;
        claims.filled(at(0));
        assert_eq!(claims.apply(&it, claimant("1", 0), at(0)).recount, std::slice::from_ref(&portfolio));
        assert!(claims.apply(&it, claimant("1", 0), at(1)).recount.is_empty());
        let counts = ChannelCounts { total: 1, ready: 1, ..ChannelCounts::default() };
        let ready = Claimant { counts, ..claimant("1", 0) };
        assert_eq!(claims.apply(&it, ready, at(2)).recount, std::slice::from_ref(&portfolio));
        assert_eq!(claims.remove(&it, at(3)).recount, [portfolio]);
    }

    #[test]
    fn nothing_is_counted_before_every_channel_is_known_and_everything_then() {
        let claims = Claims::new(PAUSES);
        let portfolio = claimant("1", 0).portfolio;
        for name in ["one", "other"] {
            let counts = ChannelCounts { total: 1, ..ChannelCounts::default() };
            claims.apply(&key("shop", name), Claimant { counts, ..claimant(name, 0) }, at(0));
            assert_eq!(claims.counts_of(&portfolio, |_, _| true), None);
        }
        assert_eq!(claims.filled(at(1)).recount, std::slice::from_ref(&portfolio));
        assert_eq!(claims.counts_of(&portfolio, |_, _| true).map(|counts| counts.total), Some(2));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let claims = Claims::new(PAUSES);
        claims.apply(&key("shop", "a"), claimant("1", 0), at(0));
        claims.remove(&key("shop", "a"), at(1));
        claims.apply(&key("shop", "b"), Claimant { digits: Canonical::of("1"), ..claimant("2", 0) }, at(2));
        claims.remove(&key("shop", "b"), at(100));
        claims.remove(&key("shop", "c"), at(200));
        let inner = claims.lock();
        assert!(inner.by_digits.is_empty() && inner.by_portfolio.is_empty() && inner.vacant.is_empty());
    }
}
