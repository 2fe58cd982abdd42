//! Numbers at rest, by the account that looks for them.
//!
//! A number at rest has no date of its own and is not read from the API server. What its last pass saw of Meta is kept here
//! in short, and compared whenever its account was read.

use std::{
    collections::{HashMap, hash_map},
    num::{NonZeroU32, NonZeroU64},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::engine::{
    desired::PortfolioRef,
    id::{AccountId, NumberId},
    observed::{Account, Subscribed},
    spelling::Canonical,
    time::{earlier, is_set_back, later},
};
use crate::{
    controller::{
        queue::{Lane, Target},
        room::Room,
        watch::Key,
    },
    meta::port::NumberList,
    run::rested::{self, Rested, Shown},
};

/// A number is looked at by a pass of its own this often at least.
pub const BACKSTOP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// An account, as one portfolio reaches it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountOf {
    pub portfolio: PortfolioRef,
    pub account: AccountId,
}

impl AccountOf {
    /// Where it stands in line.
    pub fn lane(&self) -> Lane {
        Lane { portfolio: self.portfolio.clone(), target: Target::Account(self.account.clone()) }
    }
}

/// Every account in which a number is at rest.
#[derive(Debug, Default)]
pub struct Accounts(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    accounts: HashMap<Arc<AccountOf>, Resting>,
    channels: HashMap<Key, Arc<AccountOf>>,
}

/// One account.
#[derive(Debug)]
struct Resting {
    channels: HashMap<Key, Parked>,
    /// When the last list was begun that could be read.
    last: Timestamp,
    /// When the last channel of it was made, or its number registered.
    newest: Timestamp,
    /// When its list was last let go of because a number came to rest.
    let_go: Option<Timestamp>,
    failures: u32,
    /// The day for which the subscribed apps were asked for.
    apps_of: Option<Timestamp>,
    /// Whether an app was subscribed when that was last known.
    is_received: Option<bool>,
}

impl Resting {
    fn interval(&self) -> Option<Duration> {
        let least = self.channels.values().map(|parked| parked.interval).min()?;
        least.map(|seconds| Duration::from_secs(seconds.get().into()))
    }
}

/// One number.
#[derive(Debug)]
struct Parked {
    number: NumberId,
    digits: Canonical,
    needs_subscription: bool,
    /// In seconds.
    interval: Option<NonZeroU32>,
    shown: u64,
    /// What its own read showed of the profile, where it needs one.
    profile: Option<Box<OwnProfile>>,
    begun: Timestamp,
    /// The version of the object as its last pass left it.
    version: Option<u64>,
    /// What is known of the PIN that counts. Without it a label on its Secret would have it sent once more.
    pin: Option<NonZeroU64>,
}

/// A profile that has to be read by itself.
#[derive(Debug)]
struct OwnProfile {
    shown: Option<u64>,
    /// When it was last read, or could not be.
    read: Timestamp,
}

/// What a read of the account gave.
pub struct Reading {
    pub list: Arc<NumberList>,
    pub account: Arc<Account>,
    /// Not read, where no number needs it and its day has not come.
    pub subscribed: Option<Subscribed>,
}

impl Reading {
    fn shows(&self, parked: &Parked) -> u64 {
        let entries = self.list.entries_of(&parked.digits, Some(&parked.number));
        let subscribed = self.subscribed.as_ref().filter(|_| parked.needs_subscription);
        let subscribed = subscribed.map(|apps| (apps.ours, &*apps.others));
        rested::digest(&Shown { entries: &entries, account: &self.account, subscribed })
    }
}

impl Accounts {
    /// A number came to rest.
    pub fn rest(
        &self,
        portfolio: &PortfolioRef,
        key: &Key,
        newest: Timestamp,
        rested: &Rested,
        pin: Option<u64>,
    ) -> Arc<AccountOf> {
        let of = AccountOf { portfolio: portfolio.clone(), account: rested.account.clone() };
        let mut inner = self.lock();
        inner.leave(key);
        let of = match inner.accounts.get_key_value(&of) {
            Some((of, _)) => of.clone(),
            None => Arc::new(of),
        };
        let empty = || Resting {
            channels: HashMap::new(),
            last: rested.begun,
            newest,
            let_go: None,
            failures: 0,
            apps_of: None,
            is_received: None,
        };
        let account = inner.accounts.entry(of.clone()).or_insert_with(empty);
        account.last = account.last.max(rested.begun);
        account.newest = account.newest.max(newest);
        // Where all were woken for it, nobody but they still knows.
        account.is_received = account.is_received.or(rested.is_received);
        let parked = Parked {
            number: rested.number.clone(),
            digits: rested.digits.clone(),
            needs_subscription: rested.needs_subscription,
            interval: rested.interval.and_then(|every| NonZeroU32::new(every.as_secs().try_into().ok()?)),
            shown: rested.shown,
            profile: rested.needs_profile.then(|| {
                let read = if rested.profile.is_some() { rested.begun } else { Timestamp::MIN };
                Box::new(OwnProfile { shown: rested.profile, read })
            }),
            begun: rested.begun,
            version: rested.version.parse().ok(),
            pin: pin.and_then(NonZeroU64::new),
        };
        account.channels.insert(key.clone(), parked);
        inner.channels.insert(key.clone(), of.clone());
        of
    }

    /// A number is worked on, or gone. Gives back when its account was last seen, if it was at rest, and what is known of
    /// its PIN.
    pub fn leave(&self, key: &Key) -> Option<(Timestamp, Option<u64>)> {
        self.lock().leave(key)
    }

    /// Whether somebody else wrote to an object since its last pass: we write nothing to one at rest. Where versions are not
    /// numbers that cannot be told.
    pub fn is_written(&self, key: &Key, version: &str) -> bool {
        let inner = self.lock();
        let parked = inner.channels.get(key).and_then(|of| inner.accounts.get(of)?.channels.get(key));
        let known = parked.and_then(|parked| parked.version);
        known.zip(version.parse::<u64>().ok()).is_some_and(|(known, now)| now > known)
    }

    /// Whether a number is at rest.
    pub fn has(&self, key: &Key) -> bool {
        self.lock().channels.contains_key(key)
    }

    /// The oldest last look among all accounts, where any is due this long after the one before. What an account may wait
    /// beyond that does not count, since nobody looked too late.
    pub fn oldest_look(&self, every: Duration) -> Option<Timestamp> {
        let inner = self.lock();
        let counted = inner.accounts.values().map(|account| {
            let beyond = account.interval().unwrap_or_default().saturating_sub(every);
            later(account.last, beyond)
        });
        counted.min()
    }

    /// Whether a number is at rest in an account, and the subscription has to be read beside list and account.
    pub fn needs_subscription(&self, of: &AccountOf) -> Option<bool> {
        let inner = self.lock();
        Some(inner.accounts.get(of)?.channels.values().any(|parked| parked.needs_subscription))
    }

    /// The profiles that have to be read one by one. The one that was not read for longest comes first, so that a budget that
    /// ends before all of them leaves none out for good.
    pub fn profiles(&self, of: &AccountOf) -> Vec<(Key, NumberId)> {
        let inner = self.lock();
        let channels = inner.accounts.get(of).into_iter().flat_map(|account| &account.channels);
        let read = |(key, parked): (&Key, &Parked)| {
            Some((parked.profile.as_ref()?.read, key.clone(), parked.number.clone()))
        };
        let mut profiles: Vec<_> = channels.filter_map(read).collect();
        profiles.sort_unstable();
        profiles.into_iter().map(|(_, key, number)| (key, number)).collect()
    }

    /// A profile was read, or could not be. Tells whether its number is to be woken for what it shows.
    pub fn shows_profile(&self, of: &AccountOf, key: &Key, shown: Option<u64>, now: Timestamp) -> bool {
        let mut inner = self.lock();
        let parked = inner.accounts.get_mut(of).and_then(|account| account.channels.get_mut(key));
        let Some(profile) = parked.and_then(|parked| parked.profile.as_mut()) else { return false };
        profile.read = now;
        shown.is_some() && shown != profile.shown
    }

    /// How often the numbers of an account ask to be looked at, by the most eager of them. None: as often as any.
    pub fn interval(&self, of: &AccountOf) -> Option<Duration> {
        self.lock().accounts.get(of)?.interval()
    }

    /// Whether the subscribed apps of an account are to be read for the day that began then, until Meta told. What this term
    /// found at its start is in status, so it reads them on the next day; those of a number that is new since are not known.
    pub fn takes_apps(&self, of: &AccountOf, day: Timestamp, started: Timestamp) -> bool {
        let inner = self.lock();
        let Some(account) = inner.accounts.get(of) else { return false };
        let is_new = account.newest > started && account.is_received.is_none();
        (day > started || is_new) && account.apps_of != Some(day)
    }

    /// Meta told of them on that day, or refused to.
    pub fn took_apps(&self, of: &AccountOf, day: Timestamp) {
        if let Some(account) = self.lock().accounts.get_mut(of) {
            account.apps_of = Some(day);
        }
    }

    /// Those to be woken now that the account was read: what they depend on changed, or they were not looked at for long.
    pub fn compare(&self, of: &AccountOf, reading: &Reading, now: Timestamp) -> Vec<Key> {
        let mut inner = self.lock();
        let Some(account) = inner.accounts.get_mut(of) else { return Vec::new() };
        account.last = if is_set_back(account.last, now) {
            reading.list.begun
        } else {
            account.last.max(reading.list.begun)
        };
        account.failures = 0;
        let is_received = reading.subscribed.as_ref().map(Subscribed::is_received);
        let is_turned = match (account.is_received, is_received) {
            (before, Some(false)) => before != Some(false),
            (before, Some(true)) => before == Some(false),
            (_, None) => false,
        };
        account.is_received = is_received.or(account.is_received);
        let changed = account.channels.iter().filter(|(_, parked)| {
            // What a pass saw later is newer than this list, unless that was by a clock that was ahead.
            let is_newer = reading.list.begun >= parked.begun || is_set_back(parked.begun, now);
            is_turned
                || is_newer && reading.shows(parked) != parked.shown
                || now >= later(parked.begun, BACKSTOP)
        });
        changed.map(|(key, _)| key.clone()).collect()
    }

    /// Whether the list of an account is let go of because a number came to rest: not while channels of it are made, since
    /// more may come, and once in this time, since passes that come one at a time would have it read for each.
    pub fn lets_go(&self, of: &AccountOf, every: Duration, now: Timestamp) -> bool {
        let mut inner = self.lock();
        let Some(account) = inner.accounts.get_mut(of) else { return false };
        let since = earlier(now, every);
        let lets_go = account.newest < since && account.let_go.is_none_or(|at| at < since);
        if lets_go {
            account.let_go = Some(now);
        }
        lets_go
    }

    /// How many numbers are at rest in an account.
    pub fn count(&self, of: &AccountOf) -> usize {
        self.lock().accounts.get(of).map_or(0, |account| account.channels.len())
    }

    /// The account could not be read. Gives back how often in a row, and since when it was not seen.
    pub fn failed(&self, of: &AccountOf) -> Option<(u32, Timestamp)> {
        let mut inner = self.lock();
        let account = inner.accounts.get_mut(of)?;
        account.failures = account.failures.saturating_add(1);
        Some((account.failures, account.last))
    }

    /// Gives back the room that a crowd took.
    pub fn tidy(&self) {
        let mut inner = self.lock();
        let Inner { accounts, channels } = &mut *inner;
        accounts.give_back();
        channels.give_back();
        for account in accounts.values_mut() {
            account.channels.give_back();
        }
    }

    /// How much room there is for accounts and channels.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        let inner = self.lock();
        inner.accounts.capacity() + inner.channels.capacity()
    }

    /// Every number at rest in an account.
    pub fn all(&self, of: &AccountOf) -> Vec<Key> {
        self.lock()
            .accounts
            .get(of)
            .map(|account| account.channels.keys().cloned().collect())
            .unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn leave(&mut self, key: &Key) -> Option<(Timestamp, Option<u64>)> {
        let of = self.channels.remove(key)?;
        let hash_map::Entry::Occupied(mut account) = self.accounts.entry(of) else { return None };
        let pin = account.get_mut().channels.remove(key).and_then(|parked| parked.pin);
        let last = account.get().last;
        if account.get().channels.is_empty() {
            account.remove();
        }
        Some((last, pin.map(NonZeroU64::get)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{
        id::{Field, Quality},
        observed::{Number, OtherApp, Profile},
    };

    /// How often accounts are looked at that ask for nothing.
    const EVERY: Duration = Duration::from_secs(300);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key(name: &str) -> Key {
        Key { namespace: "shop".into(), name: name.into() }
    }

    fn portfolio() -> PortfolioRef {
        PortfolioRef { namespace: "shop".into(), name: "acme".into() }
    }

    fn number(n: u32) -> Number {
        Number::bare(NumberId::new(format!("10{n}")), format!("+55 11 91234-000{n}"))
    }

    /// A list of these numbers, begun then.
    fn reading(begun: i64, numbers: &[Number]) -> Reading {
        let mut list =
            NumberList { begun: at(begun), numbers: HashMap::new(), without_digits: Vec::new(), bytes: 0 };
        for number in numbers {
            let digits = Canonical::of(&number.display_phone_number);
            list.numbers.entry(digits).or_default().push(Arc::new(number.clone()));
        }
        Reading { list: Arc::new(list), account: Arc::new(Account::default()), subscribed: None }
    }

    /// What a pass saw of a number in a reading.
    fn rested(number: &Number, seen: &Reading) -> Rested {
        let entries = [Arc::new(number.clone())];
        let shown = rested::digest(&Shown { entries: &entries, account: &seen.account, subscribed: None });
        Rested {
            account: AccountId::from("300"),
            number: number.id.clone(),
            digits: Canonical::of(&number.display_phone_number),
            needs_subscription: false,
            is_received: None,
            needs_profile: false,
            shown,
            profile: None,
            begun: seen.list.begun,
            interval: None,
            date: None,
            version: "7".into(),
        }
    }

    /// Two numbers at rest, seen at 100.
    fn two() -> (Accounts, Arc<AccountOf>) {
        let (accounts, seen) = (Accounts::default(), reading(100, &[number(1), number(2)]));
        accounts.rest(&portfolio(), &key("a"), at(0), &rested(&number(1), &seen), None);
        let of = accounts.rest(&portfolio(), &key("b"), at(0), &rested(&number(2), &seen), None);
        (accounts, of)
    }

    fn woken(accounts: &Accounts, of: &AccountOf, reading: &Reading, now: i64) -> Vec<Key> {
        accounts.compare(of, reading, at(now))
    }

    #[test]
    fn only_the_number_that_changed_is_woken() {
        let (accounts, of) = two();
        assert!(woken(&accounts, &of, &reading(400, &[number(1), number(2)]), 400).is_empty());
        let mut changed = number(2);
        changed.quality = Some(Quality::from("RED"));
        let third = Number { name_status: Field::Is("DECLINED".into()), ..number(3) };
        let list = reading(700, &[number(1), changed, third]);
        assert_eq!(woken(&accounts, &of, &list, 700), [key("b")], "nobody rests with the third");
        assert_eq!(woken(&accounts, &of, &reading(800, &[number(2)]), 800), [key("a")], "it is not listed");
        let twin = Number { id: "999".into(), ..number(1) };
        let list = reading(900, &[number(1), twin, number(2)]);
        assert_eq!(woken(&accounts, &of, &list, 900), [key("a")], "another entry has its digits");
    }

    #[test]
    fn a_list_is_let_go_of_when_no_channel_is_new_and_once_in_a_while() {
        let (accounts, of) = two();
        let every = Duration::from_secs(300);
        let seen = reading(100, &[number(3)]);
        accounts.rest(&portfolio(), &key("c"), at(90), &rested(&number(3), &seen), None);
        accounts.rest(&portfolio(), &key("a"), at(0), &rested(&number(1), &seen), None);
        let lets_go = |now| accounts.lets_go(&of, every, at(now));
        assert!(!lets_go(200) && !lets_go(390), "more channels may come");
        assert!(lets_go(391));
        assert!(!lets_go(392) && !lets_go(691), "passes that come one at a time share one list");
        assert!(lets_go(692));
    }

    #[test]
    fn a_change_of_the_account_wakes_all_and_one_of_the_subscription_those_that_need_it() {
        let (accounts, of) = two();
        let seen = reading(100, &[number(1)]);
        let entries = [Arc::new(number(1))];
        let shown = Shown { entries: &entries, account: &seen.account, subscribed: Some((true, &[])) };
        let needing =
            Rested { needs_subscription: true, shown: rested::digest(&shown), ..rested(&number(1), &seen) };
        accounts.rest(&portfolio(), &key("a"), at(0), &needing, None);
        assert_eq!(accounts.needs_subscription(&of), Some(true));
        let both = reading(400, &[number(1), number(2)]);
        let subscribed = |apps| Reading { subscribed: Some(apps), ..reading(400, &[number(1), number(2)]) };
        assert!(woken(&accounts, &of, &subscribed(apps(true, &[])), 400).is_empty());
        assert_eq!(woken(&accounts, &of, &subscribed(apps(false, &["9"])), 400), [key("a")]);
        let named = Account { name: Some("Acme".into()), ..Account::default() };
        let mut all = woken(&accounts, &of, &Reading { account: Arc::new(named), ..both }, 400);
        all.sort();
        assert_eq!(all, [key("a"), key("b")]);
    }

    #[test]
    fn an_account_is_read_as_often_as_its_most_eager_number_asks() {
        let (accounts, of) = two();
        let seen = reading(100, &[number(1), number(2)]);
        let rest = |name, n, interval: Option<u64>| {
            let interval = interval.map(Duration::from_secs);
            accounts.rest(
                &portfolio(),
                &key(name),
                at(0),
                &Rested { interval, ..rested(&number(n), &seen) },
                None,
            );
        };
        let asked = || accounts.interval(&of).map(|every| every.as_secs());
        rest("a", 1, Some(7200));
        assert_eq!(asked(), None, "the second asks for nothing, so it is looked at as any");
        rest("b", 2, Some(3600));
        assert_eq!(asked(), Some(3600));
        accounts.leave(&key("b"));
        assert_eq!(asked(), Some(7200));
    }

    #[test]
    fn a_look_is_old_from_when_the_next_one_was_due() {
        let (accounts, of) = two();
        let seen = reading(100, &[number(1), number(2)]);
        let rest = |portfolio: &PortfolioRef, name, n, interval: Option<u64>| {
            let interval = interval.map(Duration::from_secs);
            accounts.rest(
                portfolio,
                &key(name),
                at(0),
                &Rested { interval, ..rested(&number(n), &seen) },
                None,
            );
        };
        let oldest = || accounts.oldest_look(EVERY);
        rest(&portfolio(), "a", 1, Some(86_400));
        assert_eq!(oldest(), Some(at(100)), "the other one is looked at as any");
        rest(&portfolio(), "b", 2, Some(7_200));
        assert_eq!(oldest(), Some(at(100 + 7_200 - 300)));
        rest(&portfolio(), "b", 2, Some(60));
        assert_eq!(oldest(), Some(at(100)), "nobody is looked at more often");
        woken(&accounts, &of, &reading(400, &[number(1), number(2)]), 400);
        rest(&portfolio(), "b", 2, Some(86_400));
        assert_eq!(oldest(), Some(at(400 + 86_400 - 300)));
        rest(&PortfolioRef { name: "other".into(), ..portfolio() }, "c", 1, Some(7_200));
        assert_eq!(oldest(), Some(at(100 + 7_200 - 300)), "each account has its own");
    }

    fn apps(ours: bool, others: &[&str]) -> Subscribed {
        let others = others.iter().map(|id| OtherApp { id: (*id).into(), name: None }).collect();
        Subscribed { ours, others, override_url: None, again: [].into() }
    }

    #[test]
    fn all_are_woken_once_when_messages_begin_to_reach_nobody_and_when_somebody_gets_them_again() {
        let (accounts, of) = two();
        let read = |apps| Reading { subscribed: Some(apps), ..reading(400, &[number(1), number(2)]) };
        let count = |apps| woken(&accounts, &of, &read(apps), 400).len();
        assert_eq!(count(apps(false, &["9"])), 0, "another app gets them");
        assert_eq!(count(apps(false, &[])), 2);
        assert_eq!(count(apps(false, &[])), 0, "they know");
        assert!(woken(&accounts, &of, &reading(400, &[number(1), number(2)]), 400).is_empty(), "not read");
        assert_eq!(count(apps(true, &[])), 2);
        assert_eq!(count(apps(true, &["9"])), 0);
    }

    #[test]
    fn a_number_that_nobody_receives_for_is_woken_for_it_once_and_then_rests() {
        let (accounts, seen) = (Accounts::default(), reading(100, &[number(1)]));
        let entries = [Arc::new(number(1))];
        let nobody = || Reading { subscribed: Some(apps(false, &[])), ..reading(400, &[number(1)]) };
        for needs_subscription in [true, false] {
            let subscribed = needs_subscription.then_some((false, &[][..]));
            let shown = rested::digest(&Shown { entries: &entries, account: &seen.account, subscribed });
            let before = Rested { needs_subscription, shown, ..rested(&number(1), &seen) };
            let of = accounts.rest(&portfolio(), &key("a"), at(0), &before, None);
            assert_eq!(woken(&accounts, &of, &nobody(), 400), [key("a")], "it was not known before");
            // It was the only one, so the account is forgotten with it until its pass is over.
            accounts.leave(&key("a"));
            let told = Rested { is_received: Some(false), ..before };
            let of = accounts.rest(&portfolio(), &key("a"), at(0), &told, None);
            assert!(woken(&accounts, &of, &nobody(), 700).is_empty(), "its pass knew");
            let again = Reading { subscribed: Some(apps(true, &[])), ..nobody() };
            assert_eq!(woken(&accounts, &of, &again, 700), [key("a")]);
            accounts.leave(&key("a"));
        }
    }

    #[test]
    fn the_apps_of_an_account_are_read_once_for_each_of_its_days() {
        let (accounts, of) = two();
        let takes = |day| {
            let takes = accounts.takes_apps(&of, at(day), at(1_000));
            assert_eq!(takes, accounts.takes_apps(&of, at(day), at(1_000)), "until it was told");
            accounts.took_apps(&of, at(day));
            takes
        };
        assert!(!takes(0), "what was known at the start is in status");
        assert!(takes(86_400) && !takes(86_400));
        assert!(takes(2 * 86_400) && !takes(2 * 86_400));
    }

    #[test]
    fn the_apps_of_an_account_are_read_at_once_for_a_number_that_is_new_since_the_start() {
        let (accounts, seen) = (Accounts::default(), reading(100, &[number(1), number(2)]));
        let made = |name, n, newest, is_received| {
            let before = Rested { is_received, ..rested(&number(n), &seen) };
            accounts.rest(&portfolio(), &key(name), at(newest), &before, None)
        };
        let of = made("a", 1, 500, None);
        assert!(!accounts.takes_apps(&of, at(0), at(1_000)), "it was there before");
        made("b", 2, 2_000, None);
        assert!(accounts.takes_apps(&of, at(0), at(1_000)));
        accounts.took_apps(&of, at(0));
        assert!(!accounts.takes_apps(&of, at(0), at(1_000)));
        accounts.leave(&key("a"));
        accounts.leave(&key("b"));
        made("b", 2, 2_000, Some(true));
        assert!(!accounts.takes_apps(&of, at(0), at(1_000)), "its pass knew");
    }

    #[test]
    fn an_older_list_says_nothing_against_a_newer_look() {
        let (accounts, of) = two();
        let mut before = number(1);
        before.quality = Some(Quality::from("RED"));
        assert!(woken(&accounts, &of, &reading(99, &[before, number(2)]), 500).is_empty());
    }

    #[test]
    fn a_clock_that_is_set_back_or_forward_hides_no_change() {
        for (what, now) in [("back", 10_000 - 3_600), ("forward", 10_000 + 3_600)] {
            let (accounts, seen) = (Accounts::default(), reading(10_000, &[number(1), number(2)]));
            accounts.rest(&portfolio(), &key("a"), at(0), &rested(&number(1), &seen), None);
            let of = accounts.rest(&portfolio(), &key("b"), at(0), &rested(&number(2), &seen), None);
            let mut changed = number(2);
            changed.quality = Some(Quality::from("RED"));
            let list = reading(now, &[number(1), changed]);
            assert_eq!(woken(&accounts, &of, &list, now), [key("b")], "{what}");
            assert_eq!(accounts.oldest_look(EVERY), Some(at(now)), "{what}");
        }
    }

    #[test]
    fn a_profile_that_has_to_be_read_by_itself_is_compared_where_it_could_be_read() {
        let (accounts, seen) = (Accounts::default(), reading(100, &[number(1)]));
        let profile = Profile { about: Some("Open".into()), ..Profile::default() };
        let known = rested::digest(&profile);
        let needing = Rested { needs_profile: true, profile: Some(known), ..rested(&number(1), &seen) };
        let of = accounts.rest(&portfolio(), &key("a"), at(0), &needing, None);
        assert_eq!(accounts.needs_subscription(&of), Some(false));
        assert_eq!(accounts.profiles(&of), [(key("a"), "101".into())]);
        let is_news = |profile| accounts.shows_profile(&of, &key("a"), profile, at(400));
        assert!(!is_news(None) && !is_news(Some(known)));
        assert!(is_news(Some(known + 1)));
        // One that no pass could read so far is news.
        accounts.rest(&portfolio(), &key("a"), at(0), &Rested { profile: None, ..needing }, None);
        assert!(is_news(Some(known)));
        assert!(!accounts.shows_profile(&of, &key("b"), Some(known), at(400)), "it is not at rest");
    }

    #[test]
    fn the_profile_that_was_not_read_for_longest_is_read_first_whatever_came_of_it() {
        const MANY: u32 = 200;
        const AN_HOUR: usize = 60;
        let (accounts, numbers): (_, Vec<Number>) = (Accounts::default(), (0..MANY).map(number).collect());
        let seen = reading(100, &numbers);
        let mut of = Arc::new(AccountOf { portfolio: portfolio(), account: AccountId::from("300") });
        for (n, number) in numbers.iter().enumerate() {
            let profile = (n % 2 == 0).then_some(7);
            let needing = Rested { needs_profile: true, profile, ..rested(number, &seen) };
            of = accounts.rest(&portfolio(), &key(&format!("c{n:03}")), at(0), &needing, None);
        }
        let mut read = std::collections::BTreeSet::new();
        for hour in 1..=4 {
            let wanted = accounts.profiles(&of);
            assert_eq!(wanted.len(), numbers.len());
            for (key, _) in wanted.into_iter().take(AN_HOUR) {
                // Each third cannot be read.
                let shown = (read.len() % 3 > 0).then_some(7);
                accounts.shows_profile(&of, &key, shown, at(3_600 * hour));
                read.insert(key);
            }
        }
        assert_eq!(read.len(), numbers.len(), "each had its turn in four hours");
    }

    #[test]
    fn a_number_that_was_not_looked_at_for_a_week_is() {
        let (accounts, of) = two();
        let a_week = 100 + i64::try_from(BACKSTOP.as_secs()).unwrap();
        let list = |begun| reading(begun, &[number(1), number(2)]);
        assert!(woken(&accounts, &of, &list(a_week - 1), a_week - 1).is_empty());
        assert_eq!(woken(&accounts, &of, &list(a_week), a_week).len(), 2);
    }

    #[test]
    fn an_account_in_which_nobody_rests_any_more_is_forgotten() {
        let (accounts, of) = two();
        assert_eq!((accounts.failed(&of), accounts.failed(&of)), (Some((1, at(100))), Some((2, at(100)))));
        woken(&accounts, &of, &reading(400, &[number(1), number(2)]), 400);
        assert_eq!((accounts.oldest_look(EVERY), accounts.failed(&of)), (Some(at(400)), Some((1, at(400)))));
        assert_eq!(accounts.leave(&key("a")), Some((at(400), None)));
        assert_eq!(accounts.leave(&key("a")), None);
        assert_eq!((accounts.all(&of), accounts.leave(&key("b"))), (vec![key("b")], Some((at(400), None))));
        assert_eq!(
            (accounts.needs_subscription(&of), accounts.oldest_look(EVERY), accounts.failed(&of)),
            (None, None, None)
        );
    }

    #[test]
    fn a_write_of_somebody_else_shows_by_the_version_and_our_own_does_not() {
        let (accounts, _) = two();
        // What the last pass read, and what it read was written before.
        assert!(!accounts.is_written(&key("a"), "7") && !accounts.is_written(&key("a"), "6"));
        assert!(accounts.is_written(&key("a"), "8"));
        assert!(!accounts.is_written(&key("a"), "not-a-number"));
        assert!(!accounts.is_written(&key("elsewhere"), "8"), "it is worked on anyway");
    }
}
