//! Lists of accounts, read page by page.
//!
//! A portfolio may have thousands of accounts, and a page may take as long as a call may. So a page that was read stays read:
//! one that fails is asked for again after a pause, from its cursor. Whoever reads the same list shares its pages. Until a
//! list is read to its end, the one before it stands.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet},
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;
use tracing::Instrument as _;

use super::{
    account::Failed,
    bounded::{KEPT_LISTS, Room, lock, make_room},
    edge::Edge,
    port::{AccountList, Clock, Listing},
    wire::Next,
};
use crate::engine::{
    failure::{Failure, Refusal, Said},
    id::BusinessId,
    look::Urgency,
    portfolio::Reachable,
    time::{is_set_back, later},
};

/// What one list has at most; a list beyond it is refused instead of cut short.
const ROOM: Room = Room { entries: 20_000, bytes: 32 * 1024 * 1024, pages: 1_000 };
/// A list that is too long will be so in a minute too.
const TOO_LONG: Duration = Duration::from_secs(60 * 60);
/// Versions of a credential of which a list is kept that nobody reads: the one in use and the one that is to follow it.
const VERSIONS: usize = 2;
/// Whoever asked so shortly ago may not have heard the answer yet, and comes for the next page.
const SHORTLY: Duration = Duration::from_secs(30);
/// A list that is not read to its end waits for so long for whoever reads it: Meta may want a pause between two pages.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// What nobody asked for in this time belongs to a credential that is not used any more.
const IDLE: Duration = Duration::from_secs(3 * 60 * 60);

/// What a list is shared under: nothing crosses portfolios or versions of a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) business: BusinessId,
    pub(super) version: String,
    pub(super) edge: Edge,
}

/// Where a list of accounts is read from.
#[derive(Clone, Debug, Default)]
pub(super) struct Position {
    /// The cursor; `None` for the first page.
    pub(super) after: Option<String>,
    /// The fields that Meta refused on the first page.
    pub(super) skipped: BTreeSet<&'static str>,
    /// What the page before had.
    pub(super) bytes: usize,
}

/// One page of a list of accounts.
pub(super) struct AccountsPage {
    pub(super) accounts: Vec<Reachable>,
    /// What the whole page had.
    pub(super) bytes: usize,
    pub(super) skipped: BTreeSet<&'static str>,
    pub(super) next: Next,
}

/// A list that is not read to its end.
struct UnderWay {
    begun: Timestamp,
    /// What its pages showed.
    accounts: Vec<Reachable>,
    /// Where it goes on.
    position: Position,
    /// The cursors so far: a list may not come back to one.
    cursors: HashSet<String>,
    /// What is left for more pages.
    room: Room,
}

impl UnderWay {
    fn new(begun: Timestamp) -> Self {
        Self {
            begun,
            accounts: Vec::new(),
            position: Position::default(),
            cursors: HashSet::new(),
            room: ROOM,
        }
    }
}

#[derive(Default)]
struct Slot {
    whole: Option<AccountList>,
    under_way: Option<UnderWay>,
    /// What lists showed that had to be begun anew. It counts until one is read to its end.
    dropped: Vec<Reachable>,
    failed: Option<Failed>,
    /// Lists that were begun anew since the last whole one.
    restarts: u32,
    /// A page under way. Closed when it has come.
    flight: Option<watch::Receiver<()>>,
    asked: Timestamp,
    /// About as many bytes as it has in memory.
    bytes: usize,
}

impl Slot {
    fn is_reading(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.has_changed().is_ok())
    }

    /// Somebody reads it.
    fn is_in_use(&self, now: Timestamp) -> bool {
        let pause = if self.under_way.is_some() { PATIENCE } else { SHORTLY };
        self.is_reading() || later(self.asked, pause) > now
    }

    /// After a clock that was set back: what failed by the clock before may be read again, and what was begun is begun anew.
    fn mend(&mut self, now: Timestamp) {
        self.failed.take_if(|failed| is_set_back(failed.begun(), now));
        if !self.is_reading() {
            self.under_way.take_if(|list| is_set_back(list.begun, now));
        }
    }

    /// What all that it holds has in memory, or nearly.
    fn weigh(&mut self) {
        let whole = self.whole.as_ref().map_or(0, |list| weight(&list.accounts));
        let under_way = self
            .under_way
            .as_ref()
            .map_or(0, |list| weight(&list.accounts) + list.cursors.iter().map(String::len).sum::<usize>());
        self.bytes = whole + under_way + weight(&self.dropped);
    }

    /// Holds nothing any more but why it may not be read now. A page under way is none of the list that is begun next.
    fn empty(&mut self) {
        (self.whole, self.under_way, self.flight) = (None, None, None);
        self.dropped = Vec::new();
        self.bytes = 0;
    }

    fn listing(&self) -> Listing {
        Listing {
            whole: self.whole.clone(),
            newer: self.whole.as_ref().map_or_else(Vec::new, |whole| self.beyond(whole)),
            held: self.failed.as_ref().map(|failed| (failed.failure.clone(), failed.not_before)),
        }
    }

    fn beyond(&self, whole: &AccountList) -> Vec<Reachable> {
        let pages = self.under_way.iter().flat_map(|list| &list.accounts).chain(&self.dropped);
        let is_new = |account: &&Reachable| {
            whole.accounts.binary_search_by(|listed| listed.id.cmp(&account.id)).is_err()
        };
        by_id(pages.filter(is_new).cloned().collect())
    }

    /// Takes in a page, or why there is none.
    fn take(&mut self, outcome: Result<AccountsPage, Failure>, begun: Timestamp) {
        let under_way = self.under_way.get_or_insert_with(|| UnderWay::new(begun));
        let has_cursor = under_way.position.after.is_some();
        let page = match outcome {
            Ok(page) => page,
            Err(Failure::Refused(refusal)) if has_cursor && is_about_the_cursor(&refusal) => {
                let why =
                    format!("Meta does not take the cursor of its own list any more: {}", refusal.message);
                return self.begin_anew(Failure::NoAnswer(why), begun);
            }
            Err(failure) => return self.fail(failure, begun),
        };
        let room = &mut under_way.room;
        let mut taken = room.take(page.accounts.len(), page.bytes, &ROOM);
        if room.pages == 0 && matches!(page.next, Next::After(_)) {
            taken = Err(ROOM.pages_told());
        }
        if let Err(why) = taken {
            return self.hold_back(Failure::TooLarge(why), begun);
        }
        self.failed = None;
        under_way.accounts.extend(page.accounts);
        under_way.position = Position { after: None, skipped: page.skipped, bytes: page.bytes };
        match page.next {
            Next::End => {
                let accounts = std::mem::take(&mut under_way.accounts);
                self.whole = Some(AccountList { begun: under_way.begun, accounts: by_id(accounts).into() });
                (self.under_way, self.dropped, self.restarts) = (None, Vec::new(), 0);
            }
            Next::After(cursor) if under_way.cursors.insert(cursor.clone()) => {
                under_way.position.after = Some(cursor);
            }
            Next::After(_) => {
                self.begin_anew(Failure::NoAnswer("Meta's list goes in a circle".into()), begun);
            }
            Next::Lost => {
                self.begin_anew(Failure::NoAnswer("Meta's list goes on without a cursor".into()), begun);
            }
        }
    }

    /// The page is asked for again. Where Meta answered, about the portfolio or the token, there is no list to go on with.
    fn fail(&mut self, failure: Failure, begun: Timestamp) {
        if failure.is_answer() {
            self.drop_pages();
        }
        if let Failure::Throttled(until) | Failure::NoRoom(until) = failure {
            let in_a_row = self.failed.take().map_or(1, |failed| failed.in_a_row);
            let mut failed = Failed::pausing(failure, in_a_row, begun);
            failed.not_before = until;
            self.failed = Some(failed);
            return;
        }
        let given = failure.paused_until();
        let mut failed = Failed::after(self.failed.take(), failure, begun);
        failed.not_before = failed.not_before.max(given.unwrap_or(Timestamp::MIN));
        self.failed = Some(failed);
    }

    /// The next page is the first one again. Each time in a row this takes longer, whatever pages came in between.
    fn begin_anew(&mut self, failure: Failure, now: Timestamp) {
        self.drop_pages();
        self.restarts = self.restarts.saturating_add(1);
        self.failed = Some(Failed::pausing(failure, self.restarts, now));
    }

    /// It is begun anew, much later.
    fn hold_back(&mut self, failure: Failure, now: Timestamp) {
        self.begin_anew(failure, now);
        if let Some(failed) = &mut self.failed {
            failed.not_before = later(now, TOO_LONG);
        }
    }

    fn drop_pages(&mut self) {
        let Some(list) = self.under_way.take() else { return };
        let mut dropped = std::mem::take(&mut self.dropped);
        dropped.extend(list.accounts);
        self.dropped = by_id(dropped);
        self.dropped.truncate(ROOM.entries);
    }
}

/// About as many bytes as accounts have in memory. Those that several lists have count in each.
fn weight(accounts: &[Reachable]) -> usize {
    let texts =
        |account: &Reachable| account.id.as_str().len() + account.name.as_ref().map_or(0, |name| name.len());
    accounts.iter().map(|account| size_of::<Reachable>() + texts(account)).sum()
}

/// Keeps all lists together within `most` after a page of this one came: of the business whose lists have the most, the one
/// goes that was asked for the longest ago. It goes as a whole, and is begun anew. Whoever has little keeps it.
fn shed(slots: &mut HashMap<Key, Slot>, newest: &Key, most: usize, now: Timestamp) {
    while slots.values().map(|slot| slot.bytes).sum::<usize>() > most {
        let mut sums: HashMap<&BusinessId, (usize, Reverse<Timestamp>)> = HashMap::new();
        for (key, slot) in slots.iter() {
            let (bytes, asked) = sums.entry(&key.business).or_insert((0, Reverse(slot.asked)));
            (*bytes, *asked) = (*bytes + slot.bytes, (*asked).max(Reverse(slot.asked)));
        }
        let Some(largest) = sums.into_iter().max_by_key(|(_, sum)| *sum).map(|(of, _)| of) else { return };
        let of_it = slots.iter().filter(|(key, slot)| key.business == *largest && slot.bytes > 0);
        let oldest = of_it.min_by_key(|(key, slot)| (*key == newest, slot.asked)).map(|(key, _)| key.clone());
        let Some((key, slot)) = oldest.and_then(|key| slots.get_mut(&key).map(|slot| (key, slot))) else {
            return;
        };
        slot.empty();
        if key == *newest {
            let why = format!("Meta's lists of accounts have more than {} MiB together", most / 1_048_576);
            slot.hold_back(Failure::TooLarge(why), now);
        }
    }
}

/// Of the lists of a business by one edge those of two versions are kept, this one with them, and those that are being read:
/// several portfolios of one business may do so at once.
fn keep_versions(slots: &mut HashMap<Key, Slot>, key: &Key, now: Timestamp) {
    let is_sibling =
        |of: &Key| of.business == key.business && of.edge == key.edge && of.version != key.version;
    let siblings = slots.iter().filter(|(of, slot)| is_sibling(of) && !slot.is_in_use(now));
    let mut siblings: Vec<_> = siblings.map(|(of, slot)| (slot.asked, of.clone())).collect();
    siblings.sort_by_key(|(asked, _)| Reverse(*asked));
    for (_, of) in siblings.into_iter().skip(VERSIONS - 1) {
        slots.remove(&of);
    }
}

/// Sorted, each once. A list that changes between two pages may show an account twice.
fn by_id(mut accounts: Vec<Reachable>) -> Vec<Reachable> {
    accounts.sort_by(|a, b| a.id.cmp(&b.id));
    accounts.dedup_by(|later, first| later.id == first.id);
    accounts
}

/// Whether Meta may refuse a page for its cursor alone. Which code it has on these lists is not recorded: on others it is
/// 131059, and a parameter that is not valid is 100.
fn is_about_the_cursor(refusal: &Refusal) -> bool {
    let is_parameter = refusal.code == 100 && refusal.subcode != Some(33);
    let is_elsewhere = refusal.is_about_credentials() || refusal.says(Said::PermissionMissing);
    refusal.code == 131_059 || (is_parameter && !is_elsewhere)
}

/// The lists of all portfolios.
#[derive(Default)]
pub(super) struct Lists(Arc<Mutex<HashMap<Key, Slot>>>);

impl Lists {
    /// Everything is read anew. A page under way serves nobody.
    pub(super) fn forget_all(&self) {
        lock(&self.0).clear();
    }

    /// What is known after the next page, or at once where that is enough or a pause is not over.
    ///
    /// A page runs to its end even when whoever asked goes away, for those who wait with them.
    pub(super) async fn go_on<F, R>(
        &self,
        key: Key,
        not_before: Timestamp,
        urgency: Urgency,
        clock: &Arc<dyn Clock>,
        read: F,
    ) -> Listing
    where
        F: FnOnce(Position) -> R,
        R: Future<Output = Result<AccountsPage, Failure>> + Send + 'static,
    {
        let mut flight = {
            let mut slots = lock(&self.0);
            let now = clock.now();
            if !slots.contains_key(&key) {
                let oldest = now.checked_sub(IDLE).unwrap_or(Timestamp::MIN);
                slots.retain(|_, slot| slot.asked > oldest || slot.is_reading());
                keep_versions(&mut slots, &key, now);
                make_room(&mut slots, &key, |slot| slot.asked);
            }
            let slot = slots.entry(key.clone()).or_default();
            slot.asked = now;
            slot.mend(now);
            let is_enough = |list: &AccountList| list.begun >= not_before && !is_set_back(list.begun, now);
            let is_enough = slot.whole.as_ref().is_some_and(is_enough);
            match slot.flight.clone().filter(|_| slot.is_reading()) {
                _ if is_enough => return slot.listing(),
                Some(flight) => flight,
                None if slot.failed.as_ref().is_some_and(|failed| failed.answers(urgency, now)) => {
                    return slot.listing();
                }
                None => {
                    let under_way = slot.under_way.get_or_insert_with(|| UnderWay::new(now));
                    let reading = read(under_way.position.clone()).in_current_span();
                    let (landed, flight) = watch::channel(());
                    slot.flight = Some(flight.clone());
                    let (slots, key, own) = (Arc::clone(&self.0), key.clone(), flight.clone());
                    tokio::spawn(async move {
                        let outcome = reading.await;
                        // A list that was begun since then has pages of its own.
                        let is_own = |slot: &&mut Slot| {
                            slot.flight.as_ref().is_some_and(|flight| flight.same_channel(&own))
                        };
                        let mut slots = lock(&slots);
                        if let Some(slot) = slots.get_mut(&key).filter(is_own) {
                            slot.flight = None;
                            slot.take(outcome, now);
                            slot.weigh();
                            shed(&mut slots, &key, KEPT_LISTS, now);
                        }
                        drop((slots, landed));
                    });
                    flight
                }
            }
        };
        let _ = flight.changed().await;
        let mut slots = lock(&self.0);
        let Some(slot) = slots.get_mut(&key) else { return Listing::default() };
        if slot.flight.is_some() && !slot.is_reading() {
            slot.flight = None;
            slot.fail(Failure::NotSent("the read ended without an answer".into()), clock.now());
        }
        slot.listing()
    }
}

#[cfg(test)]
mod tests;
