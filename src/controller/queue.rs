//! Which object is worked on next, and how many at once.
//!
//! Four classes, the urgent first: a person waits, an edit, a step in progress, a look for drift. Within a class the
//! portfolios take turns, within a portfolio its accounts, and who came first goes first. Where nobody is in a hurry, many of
//! an account have their turns together, since they share a list.
//!
//! Work needs a place. It leaves its place while it waits for Meta or for a Secret, and stands in line for another
//! when it has what it waited for. So a slow account never holds a place that another could use. How many may wait
//! for one account is bounded, so that a slow one does not fill the memory either.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque, hash_map::Entry::Occupied},
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::{
    sync::{Notify, oneshot},
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::error;

use crate::engine::{desired::PortfolioRef, id::AccountId, look::Urgency};
use crate::run::pass::Place;

use super::{room::Room, supervise::Pulse};

/// Whom work is done for: whoever shares it waits for the same things.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    pub portfolio: PortfolioRef,
    pub target: Target,
}

/// What work in a lane waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Nothing: a first status is written.
    Status,
    /// The portfolio, or whichever account it leads to.
    Portfolio,
    Account(AccountId),
}

/// When an object is worked on again, if nothing asks for it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// None: not by itself.
    pub after: Option<Duration>,
    pub class: Urgency,
}

impl Next {
    /// After this long.
    pub const fn after(pause: Duration, class: Urgency) -> Self {
        Self { after: Some(pause), class }
    }

    /// What came to nothing in this class is tried again after this long: whoever waits for it still does.
    pub fn again(pause: Duration, class: Urgency) -> Self {
        Self::after(pause, class.min(Urgency::Transitional))
    }
}

/// Work on one object.
pub struct Turn<K: Handle> {
    pub key: K,
    /// Somebody asked for it: it is not only its time that has come.
    pub is_asked: bool,
    pub place: Seat<K>,
}

/// What objects are known by.
pub trait Handle: Clone + Ord + Hash + Send + Sync + 'static {}

impl<K: Clone + Ord + Hash + Send + Sync + 'static> Handle for K {}

/// The queue. Clones share it.
pub struct Queue<K>(Arc<Shared<K>>);

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Shared<K> {
    inner: Mutex<Inner<K>>,
    more: Notify,
}

impl<K> Shared<K> {
    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Inner<K> {
    places: usize,
    free: usize,
    /// Places of work that can wait.
    beside: usize,
    /// Until when what can wait keeps out of the way of what was begun for an edit or a person.
    pressed: Option<Instant>,
    /// Counts the runs. What is left of an earlier one has no say any more.
    run: u64,
    /// In boxes: a table keeps room for up to twice as many as there are.
    entries: HashMap<K, Box<Entry>>,
    dates: BTreeSet<(Instant, K)>,
    /// Those who were woken and wait for the pace, one crowd for each wake, with its time. The crowds take turns.
    woken: VecDeque<(Instant, VecDeque<(K, u64)>)>,
    /// At this time [`CROWD`] may be woken at once again.
    rested: Instant,
    /// At this time so many of a crowd may be begun at once again: those that had to wait for a place do not come all together.
    begun: Instant,
    /// How many of a crowd stand in line.
    roused: usize,
    /// By class, in its order.
    lines: [Line<K>; CLASSES.len()],
    /// Every lane in which an object is, once.
    lanes: HashSet<Arc<Lane>>,
    /// How many in a lane wait without a place.
    away: HashMap<Lane, usize>,
    /// Those in line for another place, by the ticket with which they were begun.
    returning: HashMap<u64, Return>,
    /// How long those stood in line that were let in again, until it is told.
    returned: Vec<(Urgency, Duration)>,
    tickets: u64,
    /// About how many tickets in the lines nobody has any more.
    stale: usize,
}

/// One object that is known.
struct Entry {
    lane: Arc<Lane>,
    /// What its next date is about.
    class: Urgency,
    date: Option<Instant>,
    stands: Option<Stand>,
    /// The ticket with which it was begun.
    running: Option<u64>,
    /// The ticket of the last work that came to its end.
    last: u64,
    /// What the watch last showed of it.
    seen: Seen,
    /// Somebody asked since it was last begun.
    asked: Option<Urgency>,
    /// It was woken, with this ticket, and waits for the pace.
    woken: Option<u64>,
    /// It stands in line as one of a crowd.
    is_roused: bool,
}

impl Entry {
    fn new(lane: Arc<Lane>, class: Urgency) -> Self {
        let seen = Seen::default();
        let (stands, running) = (None, None);
        let is_roused = false;
        Self { lane, class, date: None, stands, running, last: 0, seen, asked: None, woken: None, is_roused }
    }

    /// It is one of a crowd from now on. Tells whether it was not.
    fn joins_crowd(&mut self) -> bool {
        !std::mem::replace(&mut self.is_roused, true)
    }
}

/// Its place in a line.
struct Stand {
    class: Urgency,
    ticket: u64,
    since: Instant,
}

/// Changes that come together are worked on once.
const DEBOUNCE: Duration = Duration::from_millis(250);
/// So many are woken at once, by however many wakes, and of those behind them one after each [`PACE`].
const CROWD: u32 = 30;
const PACE: Duration = Duration::from_millis(7);
/// For so long after an edit, or a person's wish, was begun no work in other classes is begun where it has [`BESIDE`] places
/// already: most work is the API server's, and what it does for them those in a hurry have to wait for.
const PRESSED: Duration = Duration::from_millis(500);
const BESIDE: usize = 2;
/// A run gives a sign of life this often, when it has nothing to do.
const ALIVE: Duration = Duration::from_secs(60);
/// So many tickets that nobody has any more may stand in the lines.
const STALE: usize = 128;
/// No date is further away than this, whatever is asked for.
const HORIZON: Duration = Duration::from_secs(24 * 60 * 60);

fn later(now: Instant, pause: Duration) -> Instant {
    now + pause.min(HORIZON)
}

/// What a watch shows of an object, as far as a change of it asks for work: never our own writes of status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    uid: u64,
    object: u64,
    asks: u64,
    is_unusable: bool,
    /// Of the object. None where versions are not numbers.
    version: Option<NonZeroU64>,
}

impl Seen {
    /// Of an object with this metadata; `asks` are the annotations by which people ask for something.
    pub fn of(meta: &ObjectMeta, asks: &[&str]) -> Self {
        let annotations = meta.annotations.as_ref();
        let asks: Vec<_> = asks.iter().map(|name| annotations.and_then(|all| all.get(*name))).collect();
        let is_going = meta.deletion_timestamp.is_some();
        Self {
            uid: digest(&meta.uid),
            object: digest(&(meta.generation, &meta.finalizers, is_going)),
            asks: digest(&asks),
            is_unusable: false,
            version: meta.resource_version.as_deref().and_then(|version| version.parse().ok()),
        }
    }

    /// Of one that cannot be used, which is all that is known of it beside its metadata.
    #[must_use]
    pub fn unusable(self) -> Self {
        Self { is_unusable: true, ..self }
    }

    /// What kind of work the change since then asks for.
    fn news(&self, before: &Self) -> Option<Urgency> {
        match () {
            () if self.asks != before.asks => Some(Urgency::Person),
            () if (self.object, self.is_unusable) != (before.object, before.is_unusable) => {
                Some(Urgency::Edit)
            }
            () => None,
        }
    }
}

fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Work that has what it waited for, and stands in line for a place.
struct Return {
    class: Urgency,
    since: Instant,
    lane: Lane,
    /// It has the place once it is told in which class.
    seat: oneshot::Sender<Urgency>,
}

const CLASSES: [Urgency; 4] = [Urgency::Person, Urgency::Edit, Urgency::Transitional, Urgency::Drift];

/// How many may wait in one lane before no more of a class are begun there: the list that they wait for serves all,
/// and those behind them need not wait for it once it is there.
const fn room(class: Urgency) -> usize {
    match class {
        Urgency::Person => 16,
        Urgency::Edit => 8,
        Urgency::Transitional => 4,
        Urgency::Drift => 2,
    }
}

/// How many of a lane are let in one after the other while others stand in line. They share one list: where nobody is in a
/// hurry they have their turns together, so that not the lists of all accounts are needed again and again.
const fn stint(class: Urgency) -> u32 {
    if is_urgent(class) { 1 } else { 128 }
}

/// Crowds of accounts that have their turns at the same time in a class where nobody is in a hurry: their lists are kept
/// until then.
const OPEN: usize = 64;
/// One that waits for Meta for so long does not count.
const SLOW: Duration = Duration::from_secs(1);

/// Whether somebody is in a hurry.
const fn is_urgent(class: Urgency) -> bool {
    matches!(class, Urgency::Person | Urgency::Edit)
}

const fn index(class: Urgency) -> usize {
    match class {
        Urgency::Person => 0,
        Urgency::Edit => 1,
        Urgency::Transitional => 2,
        Urgency::Drift => 3,
    }
}

enum Ticket<K> {
    Begin {
        key: K,
        ticket: u64,
    },
    /// Work that was begun with this ticket and has what it waited for.
    Resume(u64),
}

const fn is_resume<K>(ticket: &Ticket<K>) -> bool {
    matches!(ticket, Ticket::Resume(_))
}

/// Who stands in line in one class.
struct Line<K> {
    portfolios: VecDeque<PortfolioRef>,
    /// With how many were let in since its turn came.
    targets: HashMap<PortfolioRef, VecDeque<(Target, u32)>>,
    tickets: HashMap<Lane, VecDeque<Ticket<K>>>,
    /// How many of these are of work that was begun.
    resumes: usize,
    /// Of which a crowd has its turns, and when the last of it was let in.
    open: HashMap<Lane, Instant>,
}

impl<K> Default for Line<K> {
    fn default() -> Self {
        let (portfolios, targets) = (VecDeque::new(), HashMap::new());
        Self { portfolios, targets, tickets: HashMap::new(), resumes: 0, open: HashMap::new() }
    }
}

impl<K> Line<K> {
    fn push(&mut self, lane: &Lane, ticket: Ticket<K>) {
        self.resumes += usize::from(matches!(ticket, Ticket::Resume(_)));
        let tickets = self.tickets.entry(lane.clone()).or_default();
        let at = match &ticket {
            Ticket::Begin { .. } => tickets.len(),
            // Who was begun goes on before another begins: it may be the one that the others have to wait for.
            Ticket::Resume(_) => tickets.partition_point(|ticket| matches!(ticket, Ticket::Resume(_))),
        };
        tickets.insert(at, ticket);
        if tickets.len() > 1 {
            return;
        }
        let targets = self.targets.entry(lane.portfolio.clone()).or_default();
        targets.push_back((lane.target.clone(), 0));
        if targets.len() == 1 {
            self.portfolios.push_back(lane.portfolio.clone());
        }
    }

    /// Keeps only these tickets.
    fn retain(&mut self, is_kept: impl Fn(&Ticket<K>) -> bool) {
        let Self { portfolios, targets, tickets, resumes, open } = self;
        for tickets in tickets.values_mut() {
            tickets.retain(&is_kept);
        }
        let is_begun = |ticket: &&Ticket<K>| matches!(ticket, Ticket::Resume(_));
        *resumes = tickets.values().flatten().filter(is_begun).count();
        tickets.retain(|_, tickets| !tickets.is_empty());
        for (portfolio, targets) in targets.iter_mut() {
            targets.retain(|(target, _)| {
                tickets.contains_key(&Lane { portfolio: portfolio.clone(), target: target.clone() })
            });
        }
        targets.retain(|_, targets| !targets.is_empty());
        portfolios.retain(|portfolio| targets.contains_key(portfolio));
        // Whose crowd has its turns in another class now, or nowhere, keeps no other from beginning.
        open.retain(|lane, _| tickets.contains_key(lane));
    }

    /// One of a lane is let in, and more of it are next, or it comes to the end of the line.
    fn open(&mut self, lane: &Lane, goes_on: bool, now: Instant) {
        match (self.open.get_mut(lane), goes_on) {
            (Some(at), true) => *at = now,
            (Some(_), false) => _ = self.open.remove(lane),
            (None, true) => _ = self.open.insert(lane.clone(), now),
            (None, false) => {}
        }
    }

    /// Where no other crowd may begin: the one that waits for Meta the longest, and since when.
    fn slowest(&self, away: &HashMap<Lane, usize>) -> Option<(Lane, Instant)> {
        if self.open.len() < OPEN {
            return None;
        }
        let is_back = |lane: &Lane| self.tickets.get(lane).and_then(VecDeque::front).is_some_and(is_resume);
        let waiting = self.open.iter().filter(|(lane, _)| away.contains_key(*lane) && !is_back(lane));
        waiting.min_by_key(|(_, at)| **at).map(|(lane, at)| (lane.clone(), *at))
    }

    /// The first ticket that `admits` lets through, and whether its lane goes on: after so many, or the last, lane and
    /// portfolio go to the end.
    fn pop(
        &mut self,
        stint: u32,
        admits: impl Fn(&Lane, &Ticket<K>) -> bool,
    ) -> Option<(Lane, Ticket<K>, bool)> {
        let admitted = |portfolio: &PortfolioRef| {
            let targets = self.targets.get(portfolio)?;
            targets.iter().enumerate().find_map(|(at, (target, _))| {
                let lane = Lane { portfolio: portfolio.clone(), target: target.clone() };
                let ticket = self.tickets.get(&lane)?.front()?;
                admits(&lane, ticket).then_some((at, lane))
            })
        };
        let (at, (target_at, lane)) =
            self.portfolios.iter().enumerate().find_map(|(at, of)| Some((at, admitted(of)?)))?;
        let tickets = self.tickets.get_mut(&lane)?;
        let ticket = tickets.pop_front()?;
        self.resumes -= usize::from(matches!(ticket, Ticket::Resume(_)));
        let targets = self.targets.get_mut(&lane.portfolio)?;
        if tickets.is_empty() {
            self.tickets.remove(&lane);
            targets.remove(target_at);
        } else {
            let (_, let_in) = targets.get_mut(target_at)?;
            *let_in += 1;
            if *let_in < stint {
                return Some((lane, ticket, true));
            }
            *let_in = 0;
            let target = targets.remove(target_at);
            targets.extend(target);
        }
        let portfolio = self.portfolios.remove(at);
        if targets.is_empty() {
            self.targets.remove(&lane.portfolio);
        } else {
            self.portfolios.extend(portfolio);
        }
        Some((lane, ticket, false))
    }
}

/// What is begun now.
struct Begun<K> {
    key: K,
    lane: Lane,
    class: Urgency,
    ticket: u64,
    is_asked: bool,
    /// How long it stood in line.
    delay: Duration,
}

impl<K: Handle> Inner<K> {
    /// Everything is worked on anew, in its class.
    fn restart(&mut self, now: Instant) {
        self.run += 1;
        (self.free, self.beside) = (self.places, 0);
        self.lines = Default::default();
        self.stale = 0;
        self.away.clear();
        self.returning.clear();
        self.returned.clear();
        self.dates.clear();
        self.woken.clear();
        self.roused = 0;
        let mut all: Vec<(u64, K, Urgency)> = Vec::with_capacity(self.entries.len());
        for (key, entry) in &mut self.entries {
            let class = entry.asked.take().map_or(entry.class, |asked| asked.min(entry.class));
            (entry.date, entry.stands, entry.running, entry.woken) = (None, None, None, None);
            entry.is_roused = false;
            all.push((entry.last, key.clone(), class));
        }
        // Who had its turn last comes last, so that short runs serve everybody too.
        all.sort_unstable();
        for (_, key, class) in all {
            self.ask(&key, class, now);
        }
    }

    fn date(&mut self, key: &K, at: Instant) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        match entry.date {
            Some(before) if before <= at => return,
            Some(before) => {
                self.dates.remove(&(before, key.clone()));
            }
            None => {}
        }
        entry.date = Some(at);
        self.dates.insert((at, key.clone()));
    }

    fn undate(&mut self, key: &K) {
        if let Some(at) = self.entries.get_mut(key).and_then(|entry| entry.date.take()) {
            self.dates.remove(&(at, key.clone()));
        }
    }

    /// Puts an object in line, or to a better place in it. One that is worked on comes again afterwards.
    fn stand(&mut self, key: &K, class: Urgency, since: Instant) {
        let ticket = self.tickets;
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.running.is_none()) else {
            return;
        };
        if entry.stands.as_ref().is_some_and(|stand| stand.class <= class) {
            return;
        }
        self.tickets += 1;
        // Who moves up keeps the time since which it waits.
        let since = entry.stands.as_ref().map_or(since, |stand| stand.since);
        self.stale += usize::from(entry.stands.is_some());
        entry.stands = Some(Stand { class, ticket, since });
        let lane = entry.lane.clone();
        self.lines[index(class)].push(&lane, Ticket::Begin { key: key.clone(), ticket });
        self.undate(key);
    }

    /// Since this time it is asked for.
    fn ask(&mut self, key: &K, class: Urgency, since: Instant) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        self.stale += usize::from(entry.woken.take().is_some());
        entry.asked = entry.asked.map(|asked| asked.min(class)).or(Some(class));
        // One that is worked on comes again as soon as that is over.
        if let Some(ticket) = entry.running {
            self.undate(key);
            self.hurry(ticket, class);
        }
        self.stand(key, class, since);
    }

    /// Whoever asks for what is worked on waits until that is over, so it stands in line in the class of who asks.
    fn hurry(&mut self, ticket: u64, class: Urgency) {
        let Some(one) = self.returning.get_mut(&ticket).filter(|one| class < one.class) else { return };
        one.class = class;
        self.stale += 1;
        self.lines[index(class)].push(&one.lane, Ticket::Resume(ticket));
    }

    /// The same at a later time.
    fn ask_at(&mut self, key: &K, class: Urgency, at: Instant) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let is_asked_now =
            entry.running.is_some() && entry.asked.is_some() && entry.date.is_none() && entry.woken.is_none();
        entry.asked = entry.asked.map(|asked| asked.min(class)).or(Some(class));
        entry.class = entry.class.min(class);
        let running = entry.running;
        if !is_asked_now {
            self.date(key, at);
        }
        if let Some(ticket) = running {
            self.hurry(ticket, class);
        }
    }

    /// Has all of these looked at, lane after lane: those in a hurry at once, and the others at the pace.
    fn wake(&mut self, keys: impl IntoIterator<Item = K>, now: Instant) {
        let entries = &self.entries;
        let mut known: Vec<(Arc<Lane>, K)> =
            keys.into_iter().filter_map(|key| Some((entries.get(&key)?.lane.clone(), key))).collect();
        known.sort();
        let mut crowd = VecDeque::new();
        for (_, key) in known {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let class = entry.class;
            if is_urgent(class) || entry.stands.is_some() {
                self.ask(&key, class, now);
            } else if entry.woken.is_none() {
                // Whenever it is begun it was asked for.
                entry.asked = entry.asked.map(|asked| asked.min(class)).or(Some(class));
                entry.woken = Some(self.tickets);
                crowd.push_back((key, self.tickets));
                self.tickets += 1;
            }
        }
        if self.woken.is_empty() {
            self.rested = self.rested.max(now);
        }
        self.woken.push_back((now, crowd));
        self.rouse(now);
    }

    /// When the next of those who were woken may stand in line.
    fn next_wake(&self, now: Instant) -> Instant {
        (self.rested + PACE).checked_sub(PACE * CROWD).map_or(now, |at| at.max(now))
    }

    /// When the next of a crowd may be begun.
    fn next_begin(&self, now: Instant) -> Instant {
        (self.begun + PACE).checked_sub(PACE * CROWD).map_or(now, |at| at.max(now))
    }

    /// Those who were woken stand in line, as many as the pace lets through.
    fn rouse(&mut self, now: Instant) {
        while let Some((since, mut crowd)) = self.woken.pop_front() {
            let Some((key, ticket)) = crowd.front() else { continue };
            let entry = self.entries.get_mut(key);
            let Some(entry) = entry.filter(|entry| entry.woken == Some(*ticket)) else {
                self.stale = self.stale.saturating_sub(1);
                crowd.pop_front();
                self.woken.push_front((since, crowd));
                continue;
            };
            let class = entry.class;
            if self.next_wake(now) > now {
                self.woken.push_front((since, crowd));
                return;
            }
            let Some((key, _)) = crowd.pop_front() else { continue };
            self.woken.push_back((since, crowd));
            self.rested += PACE;
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.woken = None;
                self.roused += usize::from(entry.joins_crowd());
            }
            self.ask(&key, class, since);
        }
    }

    /// Those of them that stand in line already are begun at the pace, too, as far as nobody is in a hurry.
    fn slow_down(&mut self, keys: &[K]) {
        for key in keys {
            let Some(entry) = self.entries.get_mut(key) else { continue };
            if entry.stands.as_ref().is_some_and(|stand| !is_urgent(stand.class)) {
                self.roused += usize::from(entry.joins_crowd());
            }
        }
    }

    /// The one copy of a lane, for all that are in it.
    fn lane(&mut self, lane: Lane) -> Arc<Lane> {
        if let Some(known) = self.lanes.get(&lane) {
            return known.clone();
        }
        let lane = Arc::new(lane);
        self.lanes.insert(lane.clone());
        lane
    }

    /// Forgets a lane that nobody is in any more, and gives it back.
    fn vacate(&mut self, lane: Arc<Lane>) -> Option<Lane> {
        // Ours, and the one in the set.
        if Arc::strong_count(&lane) > 2 {
            return None;
        }
        self.lanes.remove(&lane);
        Arc::into_inner(lane)
    }

    fn forget(&mut self, key: &K) -> Option<Lane> {
        self.undate(key);
        let entry = self.entries.remove(key)?;
        self.stale += usize::from(entry.stands.is_some()) + usize::from(entry.woken.is_some());
        self.roused -= usize::from(entry.is_roused);
        self.vacate(entry.lane)
    }

    /// Takes out of the lines what nobody has any more. Where nothing is worked on no turn ever comes to it.
    fn clear_lines(&mut self) {
        let (entries, returning) = (&self.entries, &self.returning);
        for (class, line) in CLASSES.into_iter().zip(&mut self.lines) {
            line.retain(|ticket| match ticket {
                Ticket::Resume(ticket) => returning.get(ticket).is_some_and(|one| one.class == class),
                Ticket::Begin { key, ticket } => {
                    let stands = entries.get(key).and_then(|entry| entry.stands.as_ref());
                    stands.is_some_and(|stand| stand.ticket == *ticket)
                }
            });
        }
        let is_woken =
            |(key, ticket): &(K, u64)| entries.get(key).is_some_and(|entry| entry.woken == Some(*ticket));
        for (_, crowd) in &mut self.woken {
            crowd.retain(is_woken);
            crowd.shrink_to_fit();
        }
        self.woken.retain(|(_, crowd)| !crowd.is_empty());
        self.stale = 0;
    }

    /// Those whose date has come stand in line now.
    fn come(&mut self, now: Instant) {
        while let Some((at, key)) = self.dates.first().filter(|(at, _)| *at <= now).cloned() {
            self.dates.remove(&(at, key.clone()));
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.date = None;
            let class = entry.class;
            self.stand(&key, class, now);
        }
    }

    /// The next that may begin. Who comes back from a wait is let in on the way.
    fn next(&mut self, now: Instant) -> Option<Begun<K>> {
        self.come(now);
        self.rouse(now);
        self.pressed = self.pressed.filter(|until| now < *until);
        for line in &mut self.lines {
            while let Some((lane, _)) = line.slowest(&self.away).filter(|(_, at)| *at + SLOW <= now) {
                line.open.remove(&lane);
            }
        }
        for class in CLASSES {
            while self.free > 0 {
                let (away, entries) = (&self.away, &self.entries);
                let is_paced = !is_urgent(class) && self.next_begin(now) > now;
                let may_begin = is_urgent(class) || self.pressed.is_none() || self.beside < BESIDE;
                let line = &mut self.lines[index(class)];
                if !may_begin && line.resumes == 0 {
                    break;
                }
                let open = std::mem::take(&mut line.open);
                let admits = |lane: &Lane, ticket: &Ticket<K>| match ticket {
                    Ticket::Resume(_) => true,
                    Ticket::Begin { key, .. } => {
                        let waits = is_paced && entries.get(key).is_some_and(|entry| entry.is_roused);
                        let may_open = is_urgent(class) || open.len() < OPEN || open.contains_key(lane);
                        may_begin
                            && !waits
                            && may_open
                            && away.get(lane).is_none_or(|away| *away < room(class))
                    }
                };
                let popped = line.pop(stint(class), admits);
                line.open = open;
                let Some((lane, ticket, goes_on)) = popped else { break };
                if !is_urgent(class) {
                    line.open(&lane, goes_on, now);
                }
                match ticket {
                    Ticket::Resume(ticket) => {
                        // It may stand in a better line by now, or nowhere.
                        let one = match self.returning.entry(ticket) {
                            Occupied(one) if one.get().class == class => one.remove(),
                            _ => {
                                self.stale = self.stale.saturating_sub(1);
                                continue;
                            }
                        };
                        if one.seat.send(class).is_ok() {
                            self.returned.push((class, now.saturating_duration_since(one.since)));
                            self.takes_place(class);
                            self.back(&lane);
                        }
                    }
                    Ticket::Begin { key, ticket } => {
                        let entry = self.entries.get_mut(&key);
                        let stand = entry.and_then(|entry| {
                            Some((entry.stands.take_if(|stand| stand.ticket == ticket)?, entry))
                        });
                        let Some((stand, entry)) = stand else {
                            self.stale = self.stale.saturating_sub(1);
                            continue;
                        };
                        entry.running = Some(ticket);
                        self.stale += usize::from(entry.woken.take().is_some());
                        if std::mem::take(&mut entry.is_roused) {
                            self.roused -= 1;
                            self.begun = self.begun.max(now) + PACE;
                        }
                        let is_asked = entry.asked.take().is_some();
                        // Whoever looks whether a code has come waits for a person, and not a person for it.
                        if class == Urgency::Edit || (class == Urgency::Person && is_asked) {
                            self.pressed = Some(now + PRESSED);
                        }
                        self.takes_place(class);
                        let delay = now.saturating_duration_since(stand.since);
                        return Some(Begun { key, lane, class, ticket, is_asked, delay });
                    }
                }
            }
        }
        None
    }

    /// When something may begin that could not before.
    fn next_date(&self, now: Instant) -> Option<Instant> {
        let woken = (!self.woken.is_empty()).then(|| self.next_wake(now));
        let roused = Some(self.next_begin(now)).filter(|at| self.roused > 0 && *at > now);
        let open = self.lines.iter().filter_map(|line| line.slowest(&self.away)).map(|(_, at)| at + SLOW);
        let dates = self.dates.first().map(|(at, _)| *at).into_iter();
        dates.chain(self.pressed).chain(woken).chain(roused).chain(open).min()
    }

    fn takes_place(&mut self, class: Urgency) {
        self.free -= 1;
        self.beside += usize::from(!is_urgent(class));
    }

    fn leaves_place(&mut self, class: Urgency) {
        self.free += 1;
        self.beside -= usize::from(!is_urgent(class));
    }

    /// One in this lane waits no more.
    fn back(&mut self, lane: &Lane) {
        if let Some(away) = self.away.get_mut(lane) {
            *away -= 1;
            if *away == 0 {
                self.away.remove(lane);
            }
        }
    }

    /// What was begun with this ticket is over. Under the same name there may be another object by now.
    fn ended(&mut self, key: &K, ticket: u64, next: Next, now: Instant) {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.running == Some(ticket)) else {
            return;
        };
        entry.running = None;
        entry.last = ticket;
        entry.class = entry.asked.map_or(next.class, |asked| asked.min(next.class));
        match (entry.asked.filter(|_| entry.woken.is_none()), entry.date, next.after) {
            (Some(class), None, _) => self.stand(key, class, now),
            // Who asked meanwhile can wait until then.
            (Some(_), Some(_), _) | (None, _, None) => {}
            (None, _, Some(pause)) => self.date(key, later(now, pause)),
        }
    }
}

impl<K: Handle> Queue<K> {
    /// With this many places.
    pub fn new(places: usize) -> Self {
        let inner = Inner {
            places,
            free: places,
            beside: 0,
            pressed: None,
            run: 0,
            entries: HashMap::new(),
            dates: BTreeSet::new(),
            woken: VecDeque::new(),
            rested: Instant::now(),
            begun: Instant::now(),
            roused: 0,
            lines: Default::default(),
            lanes: HashSet::new(),
            away: HashMap::new(),
            returning: HashMap::new(),
            returned: Vec::new(),
            tickets: 0,
            stale: 0,
        };
        Self(Arc::new(Shared { inner: Mutex::new(inner), more: Notify::new() }))
    }

    /// An object is there, in this lane. A new one is worked on in the class `begin`, a changed one in that of the
    /// change, and for one that was only written by ourselves nothing is done.
    pub fn shows(&self, key: &K, lane: Lane, seen: Seen, begin: Urgency) {
        {
            let mut inner = self.0.lock();
            let now = Instant::now();
            let lane = inner.lane(lane);
            match inner.entries.get_mut(key) {
                Some(entry) if entry.seen.uid == seen.uid => {
                    let before = std::mem::replace(&mut entry.lane, lane);
                    let news = seen.news(&entry.seen);
                    entry.seen = seen;
                    match news {
                        Some(Urgency::Person) => inner.ask(key, Urgency::Person, now),
                        // Changes that come together are worked on once.
                        Some(class) => inner.ask_at(key, class, now + DEBOUNCE),
                        None => {}
                    }
                    inner.vacate(before);
                }
                _ => {
                    inner.forget(key);
                    inner.entries.insert(key.clone(), Box::new(Entry { seen, ..Entry::new(lane, begin) }));
                    inner.ask(key, begin, now);
                }
            }
        }
        self.0.more.notify_one();
    }

    /// An object is known from now on, in this lane. Nothing is done for it before its date.
    pub fn know(&self, key: &K, lane: impl FnOnce() -> Lane) {
        let mut inner = self.0.lock();
        if inner.entries.contains_key(key) {
            return;
        }
        let entry = Entry::new(inner.lane(lane()), Urgency::Drift);
        inner.entries.insert(key.clone(), Box::new(entry));
    }

    /// An object is gone. Gives back its lane if it was the last one in it.
    pub fn forget(&self, key: &K) -> Option<Lane> {
        self.0.lock().forget(key)
    }

    /// Gives back the room that a crowd took.
    pub fn tidy(&self) {
        let mut inner = self.0.lock();
        if inner.stale > STALE {
            inner.clear_lines();
        }
        inner.entries.give_back();
        inner.lanes.give_back();
        inner.away.give_back();
        inner.returning.give_back();
        for Line { portfolios, targets, tickets, resumes: _, open } in &mut inner.lines {
            portfolios.give_back();
            targets.give_back();
            tickets.give_back();
            open.give_back();
        }
    }

    /// How much room there is for objects and the lines in which they stand.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        let inner = self.0.lock();
        let of_line =
            |line: &Line<K>| line.portfolios.capacity() + line.targets.capacity() + line.tickets.capacity();
        let of_lines: usize = inner.lines.iter().map(of_line).sum();
        inner.entries.capacity()
            + inner.lanes.capacity()
            + inner.away.capacity()
            + inner.returning.capacity()
            + inner.dates.len()
            + inner.woken.iter().map(|(_, crowd)| crowd.capacity()).sum::<usize>()
            + of_lines
    }

    /// Somebody asks for a known object, in this class.
    pub fn ask(&self, key: &K, class: Urgency) {
        self.0.lock().ask(key, class, Instant::now());
        self.0.more.notify_one();
    }

    /// Something changed for known objects; each is looked at in the class of what it is about anyway. A few are at once,
    /// a crowd at a pace that the API server can take, and lane after lane, so that what one lane waits for is not kept
    /// until all are done. Wakes share the pace and take turns, so that a small one does not wait for a large one. Whoever
    /// a person waits for, or an edit, is not kept.
    pub fn wake(&self, keys: impl IntoIterator<Item = K>) {
        self.0.lock().wake(keys, Instant::now());
        self.0.more.notify_one();
    }

    /// The same where each of them writes what changed without a wait for Meta. Those that stand in line, as all do after a
    /// start, are begun at the pace as well.
    pub fn wake_all_at_pace(&self, keys: &[K]) {
        let mut inner = self.0.lock();
        inner.wake(keys.iter().cloned(), Instant::now());
        inner.slow_down(keys);
        drop(inner);
        self.0.more.notify_one();
    }

    /// Somebody asks for a known object, and can wait this long for it.
    pub fn ask_within(&self, key: &K, class: Urgency, pause: Duration) {
        self.0.lock().ask_at(key, class, later(Instant::now(), pause));
        self.0.more.notify_one();
    }

    /// A known object is looked at after this long, if not before.
    pub fn within(&self, key: &K, pause: Duration) {
        self.0.lock().date(key, later(Instant::now(), pause));
        self.0.more.notify_one();
    }

    /// How many known objects are in this lane.
    pub fn crowd(&self, lane: &Lane) -> usize {
        // The set has a copy, too.
        self.0.lock().lanes.get(lane).map_or(0, |lane| Arc::strong_count(lane) - 1)
    }

    /// Whether the watch showed a later version of an object than this one.
    pub fn has_shown_later(&self, key: &K, than: &str) -> bool {
        let inner = self.0.lock();
        let shown = inner.entries.get(key).and_then(|entry| entry.seen.version);
        shown.zip(than.parse().ok()).is_some_and(|(shown, than)| shown > than)
    }

    /// Whether a crowd stands in line in a class.
    pub fn is_crowded(&self, class: Urgency) -> bool {
        let inner = self.0.lock();
        let tickets = inner.lines[index(class)].tickets.values().map(VecDeque::len);
        u32::try_from(tickets.sum::<usize>()).is_ok_and(|standing| standing > CROWD)
    }

    /// How many stand in line, by class, and wait for their turn to do so.
    pub fn depths(&self) -> [(Urgency, usize); CLASSES.len()] {
        let mut depths = CLASSES.map(|class| (class, 0));
        for entry in self.0.lock().entries.values() {
            let woken = entry.woken.map(|_| entry.class);
            if let Some(class) = entry.stands.as_ref().map(|stand| stand.class).or(woken) {
                depths[index(class)].1 += 1;
            }
        }
        depths
    }

    /// Works until it is dropped; what is under way is dropped with it, and all objects come again in the next run.
    ///
    /// `told` is told how long each stood in line.
    pub async fn run<F, W>(&self, pulse: Pulse, work: F, told: impl Fn(Urgency, Duration))
    where
        F: Fn(Turn<K>) -> W,
        W: Future<Output = Next> + Send + 'static,
    {
        let mut under_way = JoinSet::new();
        self.0.lock().restart(Instant::now());
        loop {
            pulse.beat();
            loop {
                let (begun, returned) = {
                    let mut inner = self.0.lock();
                    (inner.next(Instant::now()), std::mem::take(&mut inner.returned))
                };
                for (class, delay) in returned {
                    told(class, delay);
                }
                let Some(begun) = begun else { break };
                told(begun.class, begun.delay);
                let turn = self.turn(&begun);
                let Begun { key, lane, ticket, class, .. } = begun;
                let ending = Ending { queue: self.clone(), key, ticket, class, is_over: false };
                let working = timeout(LONGEST, work(turn));
                under_way.spawn(async move {
                    match working.await {
                        Ok(next) => ending.after(next),
                        Err(_) => {
                            error!(?lane, "a turn did not come to its end; it is given up and comes again");
                        }
                    }
                });
            }
            let date = self.0.lock().next_date(Instant::now());
            let come = async {
                match date {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.0.more.notified() => {}
                () = come => {}
                Some(_) = under_way.join_next() => {}
                () = tokio::time::sleep(ALIVE) => {}
            }
        }
    }

    fn turn(&self, begun: &Begun<K>) -> Turn<K> {
        let run = self.0.lock().run;
        let Begun { key, lane, class, ticket, is_asked, delay: _ } = begun;
        let place = Seat {
            queue: self.clone(),
            run,
            key: key.clone(),
            ticket: *ticket,
            lane: lane.clone(),
            class: *class,
            at: At::Place,
        };
        Turn { key: key.clone(), is_asked: *is_asked, place }
    }
}

/// Says that a turn is over, also when it was dropped or ended in a panic.
struct Ending<K: Handle> {
    queue: Queue<K>,
    key: K,
    ticket: u64,
    class: Urgency,
    is_over: bool,
}

impl<K: Handle> Ending<K> {
    fn after(mut self, next: Next) {
        self.is_over = true;
        self.queue.0.lock().ended(&self.key, self.ticket, next, Instant::now());
        self.queue.0.more.notify_one();
    }
}

/// No turn takes longer. A list of numbers of fifty pages, each of which takes as long as a call may, ends before.
const LONGEST: Duration = Duration::from_secs(20 * 60);
/// When work that was dropped comes again.
const DROPPED: Duration = Duration::from_secs(1);

impl<K: Handle> Drop for Ending<K> {
    fn drop(&mut self) {
        if !self.is_over {
            let next = Next::again(DROPPED, self.class);
            self.queue.0.lock().ended(&self.key, self.ticket, next, Instant::now());
            self.queue.0.more.notify_one();
        }
    }
}

/// The place of a turn.
pub struct Seat<K: Handle> {
    queue: Queue<K>,
    run: u64,
    key: K,
    ticket: u64,
    lane: Lane,
    class: Urgency,
    at: At,
}

enum At {
    Place,
    Away,
    /// In line for another place.
    Line(oneshot::Receiver<Urgency>),
}

impl<K: Handle> Seat<K> {
    /// What it was given for.
    pub fn class(&self) -> Urgency {
        self.class
    }
}

impl<K: Handle> Place for Seat<K> {
    fn leave(&mut self) {
        if matches!(self.at, At::Place) {
            self.at = At::Away;
            let mut inner = self.queue.0.lock();
            if inner.run != self.run {
                return;
            }
            inner.leaves_place(self.class);
            *inner.away.entry(self.lane.clone()).or_default() += 1;
            drop(inner);
            self.queue.0.more.notify_one();
        }
    }

    async fn enter(&mut self) {
        if matches!(self.at, At::Away) {
            let (seat, given) = oneshot::channel();
            {
                let mut inner = self.queue.0.lock();
                if inner.run != self.run {
                    return;
                }
                let asked = inner.entries.get(&self.key).filter(|entry| entry.running == Some(self.ticket));
                let class =
                    asked.and_then(|entry| entry.asked).map_or(self.class, |asked| asked.min(self.class));
                let since = Instant::now();
                inner.returning.insert(self.ticket, Return { class, since, lane: self.lane.clone(), seat });
                inner.lines[index(class)].push(&self.lane, Ticket::Resume(self.ticket));
            }
            self.at = At::Line(given);
            self.queue.0.more.notify_one();
        }
        if let At::Line(given) = &mut self.at {
            // The queue outlives its seats, and drops no ticket of one that still waits.
            self.class = given.await.unwrap_or(self.class);
            self.at = At::Place;
        }
    }
}

impl<K: Handle> Drop for Seat<K> {
    fn drop(&mut self) {
        {
            let mut inner = self.queue.0.lock();
            if inner.run != self.run {
                return;
            }
            match &mut self.at {
                At::Place => inner.leaves_place(self.class),
                At::Away => inner.back(&self.lane),
                // Under the lock, so that it was given by now or never will be.
                At::Line(given) => match given.try_recv() {
                    Ok(class) => inner.leaves_place(class),
                    Err(_) => {
                        inner.stale += usize::from(inner.returning.remove(&self.ticket).is_some());
                        inner.back(&self.lane);
                    }
                },
            }
        }
        self.queue.0.more.notify_one();
    }
}

#[cfg(test)]
mod tests;
