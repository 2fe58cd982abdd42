//! Which channel manages a number, among all with the same digits in whichever spelling.
//!
//! An index kept up to date by the watch, so that a reconcile asks one question about
//! a handful of rivals and never scans ten thousand channels. It decides nothing but
//! the order: one with a number goes before one without, then the older, then the uid. Only what its portfolio stands
//! behind is a claim, so nobody gets a number by writing it down. Whoever has not found the number gives way to one that
//! Meta shows to have it.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::api::v1alpha1::ChannelCounts;
use crate::engine::{
    desired::PortfolioRef,
    id::{AccountId, NumberId},
    observed::{Claim, CodeShared},
    portfolio::Backing,
    spelling::Canonical,
    status::Stage,
    time::later,
};

use super::{
    concern::{Concern, Rating},
    room::Room,
    watch::Key,
};

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
    /// The id of its number, once it is known.
    pub number: Option<NumberId>,
    /// Its status shows that it acted on the number, and does not say that another one manages it.
    pub has_acted: bool,
    /// Its status shows that it managed the number when it was last written.
    pub has_managed: bool,
    /// It has not found the number, or found that it is gone, and no step of it is in flight.
    pub yields: Option<Box<Yields>>,
    pub created: Timestamp,
    /// Where its code comes from, if its spec says so: Secret and key.
    pub code_secret: Option<CodeSecret>,
    /// A code was asked for, and has not come.
    pub awaits_code: bool,
    /// For counting.
    pub stage: Stage,
    /// What it adds to the counts of its portfolio.
    pub counts: ChannelCounts,
    /// For metrics: the quality that Meta shows, and what somebody has to act on.
    pub rating: Rating,
    pub concern: Option<Box<Concern>>,
}

/// A channel that needs its portfolio for its own deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    /// Since when it is being deleted.
    pub since: Option<Timestamp>,
    /// How long its deletion tries.
    pub seconds: u32,
}

/// How the claim of a channel without the number gives way to one that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yields {
    /// It looked for the number, or what keeps it from looking does not pass by itself. Else it may just be about to.
    pub has_looked: bool,
    /// The account that its steps are made in, which Meta showed to it. What is there may be its own doing.
    pub account: Option<AccountId>,
}

/// A number as an account shows it to the credentials of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub account: AccountId,
    /// It is verified or registered there, which takes its code. Anybody may have an entry that is neither.
    pub is_owned: bool,
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
    /// How long a claim is kept while it is known that the credentials behind it do not work, and by one that may not have
    /// looked for its number yet.
    pub kept: Duration,
}

/// Whether a channel manages its number.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub claim: Claim,
    /// Whom to wake, because what was answered them may be another now.
    pub woken: Vec<Key>,
    /// From when on the claim of another one is lost to this one, if it sees the number through its own portfolio.
    pub contest: Option<Timestamp>,
}

impl Answer {
    fn plain(claim: Claim) -> Self {
        Self { claim, woken: Vec::new(), contest: None }
    }
}

/// How good a claim is; the best comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The id of its number is known.
    Number,
    /// Its portfolio is proven, or it acted already.
    Backed,
    /// Its portfolio is not proven yet. It gives way to each of those above.
    Hoped,
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
    /// In boxes, as the rivals: a table keeps room for up to twice as many as there are.
    channels: HashMap<Key, Box<Claimant>>,
    by_digits: HashMap<Canonical, Box<Rivals>>,
    /// Who knows the number with an id as its own. Nothing is decided by it alone: it tells whose an entry is that shows no
    /// digits.
    by_number: BTreeSet<(NumberId, Key)>,
    by_portfolio: HashMap<PortfolioRef, BTreeSet<Key>>,
    /// Channels whose spec names the Secret of their code, by namespace and place.
    by_code: HashMap<(Arc<str>, CodeSecret), BTreeSet<Key>>,
    /// Digits without a channel that still hold a pause, oldest first.
    vacant: VecDeque<(Timestamp, Canonical)>,
}

/// A Secret and a key of it.
type CodeSecret = Arc<(Box<str>, Box<str>)>;

/// The key of a code whose place the spec does not name; its Secret is `<channel>-code`.
const DEFAULT_KEY: &str = "code";

#[derive(Debug, Default)]
struct Rivals {
    keys: Vec<Key>,
    /// Uid of the channel that was last found to manage the number, with a portfolio that lets it act.
    holder: Option<Arc<str>>,
    /// What was last answered: uid of the first, and what stands behind it.
    told: Option<(Arc<str>, Backing)>,
    /// Uid of a channel that saw the number through its own portfolio, when that decided, and where it saw it.
    prover: Option<Box<(Arc<str>, Sighting)>>,
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
            claimant.number.is_some() || claimant.has_managed || claimant.stage != Stage::Pending
        };
        inner.is_inherited |= inner.channels.values().any(|claimant| has_acted(claimant));
        for rivals in inner.by_digits.values_mut() {
            (rivals.holder, rivals.told, rivals.prover) = (None, None, None);
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
                || before.number.is_some() != next.number.is_some()
                || before.has_acted != next.has_acted
                || before.yields != next.yields
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
        let before = inner.channels.insert(key.clone(), Box::new(next.clone()));
        if before.as_deref().and_then(|before| before.number.as_ref()) != next.number.as_ref() {
            if let Some(before) = &before {
                inner.leave_number(key, before);
            }
            if let Some(number) = &next.number {
                inner.by_number.insert((number.clone(), key.clone()));
            }
        }
        let is_same = |before: &Claimant| {
            before.code_secret == next.code_secret && before.awaits_code == next.awaits_code
        };
        if !before.as_deref().is_some_and(is_same) {
            if let Some(before) = before {
                ripple.woken.extend(inner.shares_code(key, &before));
                inner.leave_code(key, &before);
            }
            if let Some(place) = &next.code_secret {
                let place = (key.namespace.clone(), place.clone());
                inner.by_code.entry(place).or_default().insert(key.clone());
            }
            ripple.woken.extend(inner.shares_code(key, &next));
        }
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
    /// `backing` tells what stands behind a portfolio, or nothing where a namespace may not use it: a channel that may not
    /// does not claim.
    pub fn claim(
        &self,
        key: &Key,
        backing: impl Fn(&PortfolioRef, &str) -> Option<Backing>,
        now: Timestamp,
    ) -> Answer {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let Some(filled) = inner.filled else { return Answer::plain(Claim::Undecided) };
        let Some(own) = inner.channels.get(key) else { return Answer::plain(Claim::Undecided) };
        let Some(rivals) = inner.by_digits.get_mut(&own.digits) else {
            return Answer::plain(Claim::Undecided);
        };
        let channels = &inner.channels;
        let known = rivals.keys.iter().filter_map(|rival| channels.get_key_value(rival));
        let candidates: Vec<Candidate<'_>> = known
            .filter(|(_, claimant)| claimant.is_eligible)
            .filter_map(|(rival, claimant)| {
                let backing = backing(&claimant.portfolio, &rival.namespace)?;
                let rank = rank(claimant, backing, self.pauses.kept, now)?;
                Some(Candidate { key: rival, claimant, backing, rank })
            })
            .collect();
        // No pause is longer, also when the clock went back since it began.
        rivals.act_from = rivals.act_from.map(|at| at.min(now + self.pauses.displaced.max(self.pauses.gone)));
        let pause = rivals.act_from;
        let ours = |act_from: Option<Timestamp>| Claim::Ours { act_from: act_from.filter(|at| *at > now) };
        let Some((winner, is_by_proof)) = first(&candidates, rivals.prover.as_deref(), self.pauses.kept, now)
        else {
            let woken = rivals.tell(None, key);
            // No channel claims it, so this one does not wait for the claim.
            return Answer { woken, ..Answer::plain(ours(pause)) };
        };
        let uid = &winner.claimant.uid;
        let can_act = matches!(winner.backing, Backing::Works | Backing::Proven);
        if can_act && rivals.holder.as_ref() != Some(uid) {
            let pause = match rivals.holder.replace(uid.clone()) {
                Some(last) => {
                    // On an object that may not be used any more, no intent can be written.
                    let stands = rivals.keys.iter().filter_map(|rival| channels.get(rival));
                    let is_displaced = stands.clone().any(|c| c.uid == last && c.is_eligible);
                    Some(now + if is_displaced { self.pauses.displaced } else { self.pauses.gone })
                }
                // The first that this process finds. Unless it managed the number all along, the one before it
                // may have ended while no process watched, or its portfolio was not read yet.
                None => {
                    let goes_before =
                        |c: &Candidate<'_>| c.backing == Backing::Unknown && c.age() < winner.age();
                    let may_follow = inner.is_inherited || candidates.iter().any(goes_before);
                    (may_follow && !winner.claimant.has_managed).then(|| filled + self.pauses.gone)
                }
            };
            rivals.act_from = rivals.act_from.max(pause);
        }
        let woken = rivals.tell(Some((uid.clone(), winner.backing)), key);
        let own_rank = candidates.iter().find(|one| one.key == key).map(|one| one.rank);
        let is_open = !is_by_proof && winner.key != key && own_rank.is_some();
        let contest = winner.lost_from(&own.portfolio, None, self.pauses.kept).filter(|_| is_open);
        let is_settled = match winner.rank {
            // What its status says of this one stands until it is known whether the other one is served.
            _ if own.has_acted && winner.backing == Backing::Unknown => false,
            Rank::Number => {
                !(own.has_acted && winner.dead_from(self.pauses.kept).is_some_and(|from| from <= now))
            }
            Rank::Backed => true,
            Rank::Hoped => own_rank != Some(Rank::Hoped),
        };
        let claim = if winner.key == key || !own.is_eligible && rivals.keys.len() == 1 {
            ours(rivals.act_from)
        } else if is_settled {
            let is_near = winner.key.namespace == key.namespace;
            Claim::Other { name: is_near.then(|| winner.key.name.to_string()) }
        } else {
            Claim::Undecided
        };
        Answer { claim, woken, contest }
    }

    /// A channel saw the number through its own portfolio. That decides where the claim of another one is open to that;
    /// who has it by such a proof keeps it for as long as it does not lose the number.
    pub fn proves(
        &self,
        key: &Key,
        sighting: Sighting,
        backing: impl Fn(&PortfolioRef, &str) -> Option<Backing>,
    ) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let is_proven = |key: &Key, claimant: &Claimant| {
            claimant.is_eligible && backing(&claimant.portfolio, &key.namespace) == Some(Backing::Proven)
        };
        let Some(own) = inner.channels.get(key).filter(|own| is_proven(key, own)) else { return };
        let Some(rivals) = inner.by_digits.get_mut(&own.digits) else { return };
        let others = rivals.keys.iter().filter_map(|rival| inner.channels.get_key_value(rival));
        let mut others = others.map(|(key, claimant)| (key, &**claimant));
        let (prover, holder) = (rivals.prover.as_ref().map(|prover| &prover.0), rivals.holder.as_ref());
        let stays = |key: &Key, c: &Claimant| {
            let has_lost_it = c.number.is_some() && c.yields.is_some();
            prover == Some(&c.uid) && holder == Some(&c.uid) && is_proven(key, c) && !has_lost_it
        };
        if !others.any(|(key, claimant)| stays(key, claimant)) {
            rivals.prover = Some(Box::new((own.uid.clone(), sighting)));
        }
    }

    /// Another channel that takes its code from the same place; one that waits for it, if any does.
    pub fn code_shared(&self, key: &Key) -> Option<CodeShared> {
        let inner = self.lock();
        let sharers = inner.shares_code(key, inner.channels.get(key)?);
        let sharers = sharers.into_iter().filter_map(|sharer| {
            let is_awaited = inner.channels.get(&sharer)?.awaits_code;
            Some(CodeShared { name: sharer.name.as_ref().into(), is_awaited })
        });
        sharers.max_by_key(|shared| shared.is_awaited)
    }

    /// Whether another channel has the same number.
    pub fn has_rival(&self, key: &Key) -> bool {
        let inner = self.lock();
        let own = inner.channels.get(key);
        own.and_then(|own| inner.by_digits.get(&own.digits)).is_some_and(|rivals| rivals.keys.len() > 1)
    }

    /// Whether a number is that of a channel with other digits, which knows it by its id: then an entry of that id that shows
    /// no digits is not this channel's.
    pub fn is_of_another(&self, key: &Key, number: &NumberId) -> bool {
        let inner = self.lock();
        let Some(own) = inner.channels.get(key) else { return false };
        inner.of_number(number).any(|(other, of)| other != key && of.digits != own.digits)
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

    /// Forgets pauses that are over, and gives back the room that a crowd took.
    pub fn tidy(&self, now: Timestamp) {
        let mut inner = self.lock();
        inner.forget(now);
        let Inner {
            filled: _,
            is_inherited: _,
            channels,
            by_digits,
            by_number: _,
            by_portfolio,
            by_code,
            vacant,
        } = &mut *inner;
        channels.give_back();
        by_digits.give_back();
        by_portfolio.give_back();
        by_code.give_back();
        vacant.give_back();
    }

    /// How much room there is for channels and what they are found by.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        let inner = self.lock();
        let Inner { channels, by_digits, by_portfolio, by_code, vacant, .. } = &*inner;
        let found_by = by_digits.capacity() + by_portfolio.capacity() + by_code.capacity();
        channels.capacity() + found_by + vacant.capacity()
    }

    /// Shows every channel.
    pub fn each(&self, mut show: impl FnMut(&Key, &Claimant)) {
        self.lock().channels.iter().for_each(|(key, channel)| show(key, channel));
    }

    /// Shows one channel, if it is still known.
    pub fn one(&self, key: &Key, show: impl FnOnce(&Claimant)) {
        if let Some(channel) = self.lock().channels.get(key) {
            show(channel);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A channel that claims a number, and what stands behind it.
struct Candidate<'a> {
    key: &'a Key,
    claimant: &'a Claimant,
    backing: Backing,
    rank: Rank,
}

impl Candidate<'_> {
    fn age(&self) -> (Timestamp, &Arc<str>) {
        (self.claimant.created, &self.claimant.uid)
    }

    fn is(&self, prover: Option<&(Arc<str>, Sighting)>) -> bool {
        prover.is_some_and(|(uid, _)| *uid == self.claimant.uid)
    }

    /// From when on its claim is lost to a channel of that portfolio that saw the number there, or that sees it anywhere.
    /// Channels of one portfolio, or in one account, never lose it to each other while their credentials work: in the
    /// middle of an onboarding each would see what the other one did.
    fn lost_from(
        &self,
        portfolio: &PortfolioRef,
        seen: Option<&Sighting>,
        kept: Duration,
    ) -> Option<Timestamp> {
        let is_elsewhere = |yields: &&Yields| {
            let is_owned = |seen: &Sighting| seen.is_owned && yields.account.as_ref() != Some(&seen.account);
            self.claimant.portfolio != *portfolio && seen.is_none_or(is_owned)
        };
        let by_number = self.claimant.yields.as_deref().filter(is_elsewhere);
        let by_number = by_number.map(|yields| match yields.has_looked {
            true => self.claimant.created,
            false => later(self.claimant.created, kept),
        });
        self.dead_from(kept).into_iter().chain(by_number).min()
    }

    /// From when on its credentials count as dead.
    fn dead_from(&self, kept: Duration) -> Option<Timestamp> {
        match self.backing {
            Backing::Lost(since) => Some(later(since, kept)),
            Backing::Unknown | Backing::Works | Backing::Proven => None,
        }
    }
}

/// How good a claim is, if it is one. Unknown is not false: what was won is kept while nothing is known of the portfolio.
fn rank(claimant: &Claimant, backing: Backing, kept: Duration, now: Timestamp) -> Option<Rank> {
    match backing {
        _ if claimant.number.is_some() => Some(Rank::Number),
        Backing::Proven => Some(Rank::Backed),
        Backing::Unknown | Backing::Works if claimant.has_acted => Some(Rank::Backed),
        Backing::Unknown | Backing::Works => Some(Rank::Hoped),
        Backing::Lost(since) => (claimant.has_acted && now < later(since, kept)).then_some(Rank::Backed),
    }
}

/// The first of them, and whether it is by the proof that it has. One whose own status says that another one manages the
/// number comes after the one that does, and one that proved to have it before all others with a number.
fn first<'a>(
    candidates: &'a [Candidate<'a>],
    prover: Option<&(Arc<str>, Sighting)>,
    kept: Duration,
    now: Timestamp,
) -> Option<(&'a Candidate<'a>, bool)> {
    let first = candidates.iter().min_by_key(|c| {
        let is_proven = c.rank == Rank::Number && c.is(prover);
        (c.rank, !is_proven, !c.claimant.has_acted, c.age())
    })?;
    let wins = |c: &&Candidate<'_>| {
        let seen = prover.filter(|_| c.is(prover)).map(|(_, seen)| seen);
        let from = seen.and_then(|seen| first.lost_from(&c.claimant.portfolio, Some(seen), kept));
        c.backing == Backing::Proven && from.is_some_and(|from| from <= now)
    };
    Some(candidates.iter().find(wins).map_or((first, false), |prover| (prover, true)))
}

impl Rivals {
    /// Notes what is answered, and gives back whom that concerns beside the one that asked.
    fn tell(&mut self, told: Option<(Arc<str>, Backing)>, asked: &Key) -> Vec<Key> {
        if self.told == told {
            return Vec::new();
        }
        self.told = told;
        self.keys.iter().filter(|rival| *rival != asked).cloned().collect()
    }
}

impl Inner {
    /// The same with texts that the index holds already.
    fn sharing_text(&self, key: &Key, mut next: Claimant) -> Claimant {
        if let Some(before) = self.channels.get(key).filter(|before| before.uid == next.uid) {
            next.uid = before.uid.clone();
            if before.number == next.number {
                next.number = before.number.clone();
            }
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
        self.leave_code(key, &own);
        self.leave_number(key, &own);
        let mut ripple = Ripple { woken: self.shares_code(key, &own), recount: vec![own.portfolio] };
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
            (false, _) => ripple.woken.extend(rivals.keys.iter().cloned()),
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
            if self.by_digits.get(&digits).is_some_and(|rivals| is_over(rivals)) {
                self.by_digits.remove(&digits);
            }
        }
    }

    /// The channels that know a number by its id; mostly one.
    fn of_number(&self, number: &NumberId) -> impl Iterator<Item = (&Key, &Claimant)> {
        let first = Key { namespace: "".into(), name: "".into() };
        let from = self.by_number.range((Bound::Included((number.clone(), first)), Bound::Unbounded));
        let keys = from.take_while(move |(of, _)| of == number).map(|(_, key)| key);
        keys.filter_map(|key| Some((key, &**self.channels.get(key)?)))
    }

    /// Other channels whose code comes from where that of this one does. One whose spec names no place has a Secret of its
    /// own name, which another may name.
    fn shares_code(&self, key: &Key, own: &Claimant) -> Vec<Key> {
        let namespace = &key.namespace;
        let default = || Arc::new((format!("{}-code", key.name).into(), DEFAULT_KEY.into()));
        let place = own.code_secret.clone().unwrap_or_else(default);
        let of_name = (*place.1 == *DEFAULT_KEY).then(|| place.0.strip_suffix("-code")).flatten();
        let of_name = of_name.map(|name| Key { namespace: namespace.clone(), name: name.into() });
        let of_name = of_name.filter(|key| self.channels.get(key).is_some_and(|c| c.code_secret.is_none()));
        let named = self.by_code.get(&(namespace.clone(), place)).into_iter().flatten().cloned();
        named.chain(of_name).filter(|sharer| sharer != key).collect()
    }

    fn leave_code(&mut self, key: &Key, own: &Claimant) {
        let Some(place) = &own.code_secret else { return };
        let place = (key.namespace.clone(), place.clone());
        if let Some(keys) = self.by_code.get_mut(&place) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_code.remove(&place);
            }
        }
    }

    fn leave_number(&mut self, key: &Key, own: &Claimant) {
        if let Some(number) = &own.number {
            self.by_number.remove(&(number.clone(), key.clone()));
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

    const PAUSES: Pauses = Pauses {
        gone: Duration::from_secs(30),
        displaced: Duration::from_secs(90),
        kept: Duration::from_secs(3_600),
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn id() -> Option<NumberId> {
        Some("100000000000001".into())
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
            number: None,
            has_acted: false,
            has_managed: false,
            yields: None,
            created: at(created),
            code_secret: None,
            awaits_code: false,
            stage: Stage::Pending,
            counts: ChannelCounts::default(),
            rating: Rating::Absent,
            concern: None,
        }
    }

    fn ask(claims: &Claims, who: &Key, now: i64) -> Claim {
        claims.claim(who, |_, _| Some(Backing::Proven), at(now)).claim
    }

    const OURS: Claim = Claim::Ours { act_from: None };

    #[test]
    fn a_number_is_known_by_its_id_for_as_long_as_a_channel_with_other_digits_has_it() {
        let claims = Claims::new(PAUSES);
        let (old, new) = (key("shop", "old"), key("shop", "new"));
        let [seven, nine]: [NumberId; 2] = ["7".into(), "9".into()];
        let other_digits = || Claimant { digits: Canonical::of("5511912345679"), ..claimant("2", 5) };
        claims.apply(&old, Claimant { number: Some(seven.clone()), ..claimant("1", 0) }, at(0));
        assert!(!claims.is_of_another(&new, &seven), "nothing is known of who asks");
        claims.apply(&new, other_digits(), at(0));
        let who = |number: &NumberId| [&new, &old].map(|key| claims.is_of_another(key, number));
        assert_eq!((who(&seven), who(&nine)), ([true, false], [false, false]));
        // One that has the same digits in another spelling is a rival, and its entry may be the one that is looked for.
        claims.apply(&new, claimant("2", 5), at(1));
        assert_eq!(who(&seven), [false, false]);
        claims.apply(&new, other_digits(), at(2));
        assert_eq!(who(&seven), [true, false]);
        // The other one gets another id, loses it, has it again, and is gone.
        claims.apply(&old, Claimant { number: Some(nine.clone()), ..claimant("1", 0) }, at(3));
        assert_eq!((who(&seven), who(&nine)), ([false, false], [true, false]));
        claims.apply(&old, claimant("1", 0), at(4));
        assert_eq!(who(&nine), [false, false]);
        claims.apply(&old, Claimant { number: Some(nine.clone()), ..claimant("1", 0) }, at(5));
        assert_eq!(who(&nine), [true, false]);
        claims.remove(&old, at(6));
        assert_eq!(who(&nine), [false, false]);
        assert!(claims.lock().by_number.is_empty());
    }

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
        claims.apply(&young, Claimant { number: id(), ..claimant("2", 5) }, at(7));
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
        claims.apply(&old, Claimant { number: id(), has_managed: true, ..claimant("1", 0) }, at(100));
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
        let usable = |_: &PortfolioRef, namespace: &str| (namespace == "shop").then_some(Backing::Proven);
        let claim = claims.claim(&young, usable, at(6)).claim;
        assert_eq!(claim, OURS);
    }

    /// Two channels with portfolios of their own: an older one and a younger one.
    struct Two {
        claims: Claims,
        old: Key,
        young: Key,
    }

    impl Two {
        fn new(old: Claimant, young: Claimant) -> Self {
            let it = Self { claims: Claims::new(PAUSES), old: key("a", "old"), young: key("b", "young") };
            it.claims.filled(at(0));
            it.old(old);
            it.young(young);
            it
        }

        fn put(&self, key: &Key, claimant: Claimant) {
            let portfolio = PortfolioRef { namespace: key.namespace.clone(), name: "acme".into() };
            self.claims.apply(key, Claimant { portfolio, ..claimant }, at(0));
        }

        fn old(&self, claimant: Claimant) {
            self.put(&self.old, claimant);
        }

        fn young(&self, claimant: Claimant) {
            self.put(&self.young, claimant);
        }

        /// What both are answered, the older one first.
        fn ask(&self, (old, young): (Backing, Backing), now: i64) -> (Claim, Claim) {
            let ask = |who| self.claims.claim(who, backed(old, young), at(now)).claim;
            (ask(&self.old), ask(&self.young))
        }
    }

    fn backed(old: Backing, young: Backing) -> impl Fn(&PortfolioRef, &str) -> Option<Backing> {
        move |_, namespace| Some(if namespace == "a" { old } else { young })
    }

    fn numbered(uid: &str, created: i64) -> Claimant {
        Claimant { number: id(), has_acted: true, has_managed: true, ..claimant(uid, created) }
    }

    const OTHER: Claim = Claim::Other { name: None };
    use Backing::{Lost, Proven, Unknown, Works};

    #[test]
    fn an_invented_portfolio_claims_nothing_and_who_comes_later_acts_at_once() {
        let two = Two::new(claimant("1", 0), claimant("2", 50));
        // First nobody was looked at, then the older one has no credentials: it could not act meanwhile.
        assert_eq!(two.ask((Unknown, Unknown), 51), (OURS, Claim::Undecided));
        assert_eq!(two.ask((Lost(at(52)), Unknown), 52), (OTHER, OURS));
        assert_eq!(two.ask((Lost(at(52)), Proven), 53), (OTHER, OURS));
        // Credentials that work take nothing from one that acted, and nothing from one that is proven.
        two.young(Claimant { has_acted: true, ..claimant("2", 50) });
        assert_eq!(two.ask((Works, Proven), 54), (OTHER, OURS));
        two.young(numbered("2", 50));
        assert_eq!(two.ask((Proven, Proven), 55), (OTHER, OURS));
    }

    #[test]
    fn credentials_alone_claim_a_number_only_as_long_as_nobody_proves_more() {
        let two = Two::new(claimant("1", 0), claimant("2", 50));
        assert_eq!(two.ask((Works, Works), 60), (OURS, Claim::Undecided));
        assert_eq!(two.ask((Works, Proven), 61), (OTHER, Claim::Ours { act_from: Some(at(151)) }));
        let acted = Two::new(Claimant { has_acted: true, ..claimant("1", 0) }, claimant("2", 50));
        assert_eq!(acted.ask((Works, Proven), 61), (OURS, OTHER));
    }

    #[test]
    fn nothing_known_of_a_portfolio_takes_no_claim_that_was_won() {
        for won in [numbered("1", 0), Claimant { has_acted: true, ..claimant("1", 0) }] {
            let two = Two::new(won.clone(), claimant("2", 50));
            two.claims.inherits();
            assert_eq!(two.ask((Unknown, Proven), 60), (OURS, OTHER));
            assert_eq!(two.ask((Proven, Proven), 7_200), (OURS, OTHER));
            // What the status of the other one says stands until the first is known to be served.
            two.young(numbered("2", 50));
            two.claims.take_over(at(8_000));
            two.old(Claimant { created: at(0), ..numbered("1", 0) });
            assert_eq!(two.ask((Unknown, Proven), 8_001), (OURS, Claim::Undecided));
        }
    }

    #[test]
    fn after_a_take_over_a_newcomer_leaves_an_older_one_half_a_minute_to_be_read() {
        let two = Two::new(claimant("1", 0), claimant("2", 50));
        two.claims.take_over(at(100));
        assert_eq!(two.ask((Unknown, Proven), 101).1, Claim::Ours { act_from: Some(at(130)) });
        // It was read in time, and nobody acted before.
        assert_eq!(two.ask((Proven, Proven), 110).1, OTHER);
    }

    #[test]
    fn dead_credentials_lose_a_number_after_an_hour_and_only_to_who_proves_it() {
        let two = Two::new(numbered("1", 0), claimant("2", 50));
        let ask = |old, now| {
            let answer = two.claims.claim(&two.young, backed(old, Proven), at(now));
            (answer.claim, answer.contest)
        };
        assert_eq!(ask(Proven, 100), (OTHER, None));
        let dead = Lost(at(1_000));
        assert_eq!(ask(dead, 1_001), (OTHER, Some(at(4_600))));
        two.claims.proves(&two.young, entry("300"), backed(dead, Proven));
        assert_eq!(ask(dead, 4_599), (OTHER, Some(at(4_600))), "proven, and not an hour yet");
        assert_eq!(ask(dead, 4_600), (Claim::Ours { act_from: Some(at(4_690)) }, None));
        assert_eq!(two.ask((dead, Proven), 4_700), (OTHER, OURS));
        // From here on the statuses tell the same, also after a restart and when the credentials work again.
        two.old(Claimant { has_acted: false, has_managed: false, ..numbered("1", 0) });
        two.young(numbered("2", 50));
        assert_eq!(two.ask((Proven, Proven), 4_800), (OTHER, OURS));
        two.claims.take_over(at(5_000));
        assert_eq!(two.ask((Unknown, Unknown), 5_001), (OTHER, OURS));
    }

    #[test]
    fn dead_credentials_keep_a_number_that_nobody_proves() {
        let two = Two::new(numbered("1", 0), claimant("2", 50));
        let dead = Lost(at(1_000));
        assert_eq!(two.ask((dead, Proven), 90_000), (OURS, OTHER));
        // Who cannot prove its own portfolio proves no number.
        two.claims.proves(&two.young, entry("300"), backed(dead, Works));
        assert_eq!(two.ask((dead, Proven), 90_001), (OURS, OTHER));
    }

    #[test]
    fn who_acted_and_has_no_number_yet_keeps_its_claim_for_an_hour_without_credentials() {
        let two = Two::new(Claimant { has_acted: true, ..claimant("1", 0) }, claimant("2", 50));
        let dead = Lost(at(1_000));
        assert_eq!(two.ask((Works, Proven), 999), (OURS, OTHER));
        assert_eq!(two.claims.claim(&two.young, backed(dead, Proven), at(1_001)).contest, Some(at(4_600)));
        assert_eq!(two.ask((dead, Proven), 4_599), (OURS, OTHER));
        assert_eq!(two.ask((dead, Proven), 4_600), (OTHER, Claim::Ours { act_from: Some(at(4_690)) }));
    }

    fn entry(account: &str) -> Sighting {
        Sighting { account: account.into(), is_owned: false }
    }

    fn owned(account: &str) -> Sighting {
        Sighting { is_owned: true, ..entry(account) }
    }

    /// How an older channel that looked in the account 400 and did not find the number gives way.
    fn looked() -> Option<Box<Yields>> {
        Some(Box::new(Yields { has_looked: true, account: Some("400".into()) }))
    }

    fn with(change: impl FnOnce(&mut Claimant)) -> Claimant {
        let mut old = Claimant { yields: looked(), has_acted: true, ..claimant("1", 0) };
        change(&mut old);
        old
    }

    #[test]
    fn a_number_goes_from_who_has_not_found_it_to_who_has_it_elsewhere_and_from_nobody_else() {
        let lost = Lost(at(400));
        let (seen, lost_soon) = (owned("300"), Lost(at(4_000)));
        // The older channel, what is behind both, what the younger one sees, and whether it goes over.
        let table = [
            ("an add of it was refused", with(|_| ()), (Proven, Proven), &seen, true),
            ("it never acted", with(|old| old.has_acted = false), (Proven, Proven), &seen, true),
            ("its portfolio is not proven", with(|_| ()), (Works, Proven), &seen, true),
            ("nothing is known of its portfolio yet", with(|_| ()), (Unknown, Proven), &seen, true),
            ("its credentials died a moment ago", with(|_| ()), (lost_soon, Proven), &seen, true),
            ("it has found the number", with(|old| *old = numbered("1", 0)), (Proven, Proven), &seen, false),
            ("and its portfolio is not proven", numbered("1", 0), (Works, Proven), &seen, false),
            ("and nothing is known of its portfolio", numbered("1", 0), (Unknown, Proven), &seen, false),
            ("and its credentials died a moment ago", numbered("1", 0), (lost_soon, Proven), &seen, false),
            ("and its credentials died long ago", numbered("1", 0), (lost, Proven), &seen, true),
            (
                "it found that the number is gone",
                with(|old| old.number = id()),
                (Proven, Proven),
                &seen,
                true,
            ),
            ("a step is in flight", with(|old| old.yields = None), (Proven, Proven), &seen, false),
            ("both act in one account", with(|_| ()), (Proven, Proven), &owned("400"), false),
            ("anybody may have such an entry", with(|_| ()), (Proven, Proven), &entry("300"), false),
            ("the portfolio that sees it is not proven", with(|_| ()), (Proven, Works), &seen, false),
            ("nothing is known of that portfolio", with(|_| ()), (Proven, Unknown), &seen, false),
            ("the credentials that saw it died since", with(|_| ()), (Proven, lost_soon), &seen, false),
        ];
        for (what, old, behind, seen, goes_over) in table {
            let two = Two::new(old.clone(), claimant("2", 50));
            let answer = |old| two.claims.claim(old, backed(behind.0, behind.1), at(5_000));
            assert_ne!(answer(&two.old).claim, OTHER, "{what}: nobody has proven anything yet");
            two.claims.proves(&two.young, seen.clone(), backed(Proven, Proven));
            let expected = if goes_over { OTHER } else { OURS };
            assert_eq!(answer(&two.old).claim, expected, "{what}");
            let young = answer(&two.young);
            assert_eq!(matches!(young.claim, Claim::Ours { .. }), goes_over, "{what}: {:?}", young.claim);
            if goes_over {
                // The last one may be in the middle of a pass, if it could act.
                let act_from = matches!(behind.0, Works | Proven).then(|| at(5_090));
                assert_eq!(young.claim, Claim::Ours { act_from }, "{what}");
                assert_eq!(young.contest, None, "{what}: it has it, and reads nothing more for it");
            }
        }
    }

    #[test]
    fn channels_of_one_portfolio_never_take_a_number_from_each_other() {
        let claims = Claims::new(PAUSES);
        claims.filled(at(0));
        let (old, young) = (key("shop", "old"), key("shop", "young"));
        claims.apply(&old, with(|_| ()), at(0));
        claims.apply(&young, claimant("2", 50), at(50));
        let backing = |_: &PortfolioRef, _: &str| Some(Proven);
        assert_eq!(claims.claim(&young, backing, at(60)).contest, None, "it looks for nothing");
        claims.proves(&young, owned("300"), backing);
        let answer = claims.claim(&young, backing, at(60));
        assert_eq!(answer.claim, Claim::Other { name: Some("old".into()) });
    }

    #[test]
    fn who_acted_says_that_a_number_is_anothers_while_that_one_is_served_and_may_lose_it() {
        let gone = with(|old| (old.number, old.has_managed) = (id(), true));
        let two = Two::new(gone, Claimant { has_acted: true, ..claimant("2", 50) });
        assert_eq!(two.ask((Proven, Proven), 60), (OURS, OTHER));
        assert_eq!(two.ask((Lost(at(0)), Proven), 3_600), (OURS, Claim::Undecided), "it is looked for first");
    }

    #[test]
    fn who_may_not_have_looked_for_its_number_yet_has_an_hour_for_it() {
        let yields = Some(Box::new(Yields { has_looked: false, account: None }));
        let two = Two::new(with(|old| old.yields = yields), claimant("2", 50));
        let contest = |now| two.claims.claim(&two.young, backed(Proven, Proven), at(now)).contest;
        assert_eq!(contest(60), Some(at(3_600)));
        two.claims.proves(&two.young, owned("300"), backed(Proven, Proven));
        assert_eq!(two.ask((Proven, Proven), 3_599), (OURS, OTHER));
        assert_eq!(two.ask((Proven, Proven), 3_600).0, OTHER);
        // It looked meanwhile, and whom that concerns looks as well.
        let two = Two::new(with(|_| ()), claimant("2", 50));
        assert_eq!(two.claims.claim(&two.young, backed(Proven, Proven), at(60)).contest, Some(at(0)));
        let now_looks = |old: Claimant| {
            let portfolio = PortfolioRef { namespace: "a".into(), name: "acme".into() };
            two.claims.apply(&two.old, Claimant { portfolio, ..old }, at(61)).woken
        };
        assert_eq!(now_looks(with(|old| old.yields = None)), std::slice::from_ref(&two.young));
        assert!(now_looks(with(|old| old.yields = None)).is_empty());
    }

    #[test]
    fn a_number_that_went_over_stays_whatever_the_last_one_does_and_after_a_restart() {
        let two = Two::new(with(|_| ()), claimant("2", 50));
        let proves = |who, seen| two.claims.proves(who, seen, backed(Proven, Proven));
        proves(&two.young, owned("300"));
        assert_eq!(two.ask((Proven, Proven), 60).0, OTHER);
        // Before anything of it was stored, a restart finds what was there before, and the same proof decides anew.
        two.claims.take_over(at(70));
        assert_eq!(two.ask((Proven, Proven), 71), (OURS, OTHER));
        proves(&two.young, owned("300"));
        assert_eq!(two.ask((Proven, Proven), 72).0, OTHER);
        // From here on the statuses tell it: this one has the number, and the other one says that it is another's.
        two.young(numbered("2", 50));
        two.old(with(|old| old.has_acted = false));
        assert_eq!(two.ask((Proven, Proven), 300), (OTHER, OURS));
        // Somebody writes an id into the status of the older one, and takes away what it says.
        let forged = with(|old| (old.number, old.yields) = (id(), None));
        two.old(forged.clone());
        assert_eq!(two.ask((Proven, Proven), 301), (OTHER, OURS));
        two.claims.take_over(at(400));
        assert_eq!(two.ask((Proven, Proven), 401).1, OTHER, "a status is believed until it is looked at");
        two.old(with(|old| old.number = id()));
        proves(&two.young, owned("300"));
        assert_eq!(two.ask((Proven, Proven), 402).0, OTHER);
        // Created anew it comes last.
        two.old(Claimant { uid: "3".into(), ..claimant("3", 500) });
        two.claims.take_over(at(600));
        assert_eq!(two.ask((Proven, Proven), 601), (OTHER, OURS));
    }

    #[test]
    fn of_two_that_have_the_number_the_one_that_took_it_keeps_it_until_it_loses_it() {
        let two = Two::new(with(|_| ()), claimant("2", 50));
        let third = key("c", "third");
        let looked = Some(Box::new(Yields { has_looked: true, account: Some("300".into()) }));
        two.put(&third, Claimant { yields: looked.clone(), ..claimant("3", 60) });
        let proven = |_: &PortfolioRef, _: &str| Some(Proven);
        let manages =
            |who: &Key, now| matches!(two.claims.claim(who, proven, at(now)).claim, Claim::Ours { .. });
        let who = |now| [&two.old, &two.young, &third].map(|who| manages(who, now));
        // One that proves nothing against the first keeps no other from doing so.
        for useless in [entry("300"), owned("400")] {
            two.claims.proves(&two.young, useless, proven);
            assert_eq!(who(70), [true, false, false]);
        }
        two.claims.proves(&third, owned("300"), proven);
        assert_eq!(who(71), [false, false, true]);
        two.claims.proves(&two.young, owned("500"), proven);
        assert_eq!(who(72), [false, false, true], "it was there first");
        assert_eq!(two.claims.claim(&two.young, proven, at(72)).contest, None);
        two.put(&third, numbered("3", 60));
        assert_eq!(two.claims.claim(&two.young, proven, at(73)).contest, None);
        // Its number is gone, and another one has it.
        two.put(&third, Claimant { yields: looked, ..numbered("3", 60) });
        assert_eq!(two.claims.claim(&two.young, proven, at(74)).contest, Some(at(60)));
        two.claims.proves(&two.young, owned("500"), proven);
        assert_eq!(who(75), [false, true, false]);
    }

    #[test]
    fn what_changes_behind_a_claim_wakes_whom_it_concerns_once() {
        let two = Two::new(claimant("1", 0), claimant("2", 50));
        let woken = |old, now| two.claims.claim(&two.old, backed(old, Proven), at(now)).woken;
        assert_eq!(woken(Proven, 60), std::slice::from_ref(&two.young));
        assert!(woken(Proven, 61).is_empty());
        assert_eq!(woken(Lost(at(62)), 62), std::slice::from_ref(&two.young));
        assert!(woken(Lost(at(62)), 63).is_empty());
    }

    mod whatever_happens {
        use proptest::prelude::*;

        use super::*;

        #[derive(Clone, Debug)]
        enum Event {
            Backing(usize, Backing),
            Becomes(usize, bool, bool, Option<bool>),
            Eligible(usize, bool),
            Proves(usize, bool),
            TakeOver,
        }

        fn backing() -> impl Strategy<Value = Backing> {
            prop_oneof![
                Just(Unknown),
                Just(Works),
                Just(Proven),
                (0_i64..4_000).prop_map(|s| Lost(at(s - 4_000)))
            ]
        }

        fn event() -> impl Strategy<Value = Event> {
            prop_oneof![
                (0_usize..3, backing()).prop_map(|(who, backing)| Event::Backing(who, backing)),
                (0_usize..3, any::<bool>(), any::<bool>(), any::<Option<bool>>())
                    .prop_map(|(who, number, acted, looked)| Event::Becomes(who, number, acted, looked)),
                (0_usize..3, any::<bool>()).prop_map(|(who, is)| Event::Eligible(who, is)),
                (0_usize..3, any::<bool>()).prop_map(|(who, is_owned)| Event::Proves(who, is_owned)),
                Just(Event::TakeOver),
            ]
        }

        proptest! {
            /// A channel may act when it is told so and its portfolio serves it. Between two that may lies the pause.
            #[test]
            fn no_two_channels_act_within_the_pause(
                events in prop::collection::vec((1_i64..200, event()), 1..60),
            ) {
                let claims = Claims::new(PAUSES);
                let keys = ["a", "b", "c"].map(|name| key(name, "it"));
                let mut channels: Vec<Claimant> = (0..3)
                    .map(|i| Claimant {
                        portfolio: PortfolioRef { namespace: keys[i].namespace.clone(), name: "acme".into() },
                        ..claimant(&i.to_string(), i64::try_from(i).unwrap())
                    })
                    .collect();
                let mut behind = [Unknown; 3];
                for (key, channel) in keys.iter().zip(&channels) {
                    claims.apply(key, channel.clone(), at(0));
                }
                claims.inherits();
                claims.filled(at(0));
                let (mut now, mut last): (i64, Option<(usize, i64)>) = (0, None);
                for (pause, event) in events {
                    now += pause;
                    match event {
                        Event::Backing(who, backing) => behind[who] = backing,
                        Event::Becomes(who, has_number, has_acted, looked) => {
                            (channels[who].number, channels[who].has_acted) = (id().filter(|_| has_number), has_acted);
                            channels[who].yields =
                                looked.map(|has_looked| Box::new(Yields { has_looked, account: None }));
                            claims.apply(&keys[who], channels[who].clone(), at(now));
                        }
                        Event::Eligible(who, is) => {
                            channels[who].is_eligible = is;
                            claims.apply(&keys[who], channels[who].clone(), at(now));
                        }
                        Event::Proves(who, is_owned) => claims.proves(&keys[who], Sighting { is_owned, ..entry("300") }, |_, namespace| {
                            keys.iter().position(|k| &*k.namespace == namespace).map(|i| behind[i])
                        }),
                        Event::TakeOver => claims.take_over(at(now)),
                    }
                    let backing = |_: &PortfolioRef, namespace: &str| {
                        keys.iter().position(|k| &*k.namespace == namespace).map(|i| behind[i])
                    };
                    for (who, key) in keys.iter().enumerate() {
                        let answer = claims.claim(key, backing, at(now));
                        let may = matches!(answer.claim, Claim::Ours { act_from: None });
                        if !may || !channels[who].is_eligible || !matches!(behind[who], Works | Proven) {
                            continue;
                        }
                        if let Some((before, then)) = last.filter(|(before, _)| *before != who) {
                            prop_assert!(now - then >= 30, "{before} at {then}, {who} at {now}");
                        }
                        last = Some((who, now));
                    }
                }
            }
        }
    }

    #[test]
    fn channels_that_take_their_code_from_one_place_know_of_each_other() {
        let claims = Claims::new(PAUSES);
        let place = |name: &str| Some(Arc::new((name.into(), "code".into())));
        let number = |uid: &str| Claimant { digits: Canonical::of(uid), ..claimant(uid, 0) };
        let put = |name: &str, claimant: Claimant| claims.apply(&key("shop", name), claimant, at(0)).woken;
        let shared =
            |name: &str| claims.code_shared(&key("shop", name)).map(|s| (s.name.into_string(), s.is_awaited));
        put("a", number("1"));
        claims.apply(&key("other", "b"), Claimant { code_secret: place("a-code"), ..number("2") }, at(0));
        assert_eq!(shared("a"), None, "a Secret of another namespace is another one");
        assert_eq!(put("c", Claimant { code_secret: place("a-code"), ..number("3") }), [key("shop", "a")]);
        assert_eq!((shared("a"), shared("c")), (Some(("c".into(), false)), Some(("a".into(), false))));
        let waits = Claimant { code_secret: place("a-code"), awaits_code: true, ..number("3") };
        assert!(put("c", waits.clone()).contains(&key("shop", "a")), "it hears of it");
        assert_eq!(shared("a"), Some(("c".into(), true)));
        assert!(put("c", Claimant { code_secret: place("c"), ..waits.clone() }).contains(&key("shop", "a")));
        assert_eq!((shared("a"), shared("c")), (None, None));
        put("c", waits);
        assert!(claims.remove(&key("shop", "c"), at(1)).woken.contains(&key("shop", "a")));
        claims.remove(&key("other", "b"), at(1));
        assert_eq!(shared("a"), None);
        assert!(claims.lock().by_code.is_empty());
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
