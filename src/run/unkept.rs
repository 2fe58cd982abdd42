//! Attempts that could not be kept yet: an object may be deleted before a pass of it tries again, and the next object of the
//! number has to know them. So the process keeps them by their place, writes them there, and counts them until then as if they
//! had been read. Only the end of the process loses them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::engine::{limits::Limits, memory::Ledger};

use super::attempts::{Attempts, LONGEST, NotKept, pause_after, within};

/// Most places for which something is kept. No process has as many calls on the wire.
const MOST: usize = 10_000;
/// The pass that made an attempt writes it within this; only if it cannot, somebody else does.
const OWN: Duration = Duration::from_secs(120);
/// At its end the process tries that often, with this pause between.
const LAST_TRIES: usize = 5;
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// What is owed to each place.
#[derive(Default)]
pub struct Unkept(Mutex<Places>);

#[derive(Default)]
struct Places {
    owed: HashMap<String, Owed>,
    /// The process ends.
    is_last: bool,
}

struct Owed {
    folder: Arc<dyn Folder>,
    ledger: Ledger,
    since: Instant,
    failed: usize,
    /// The last write was refused.
    is_refused: bool,
    /// When it is tried again.
    due: Instant,
}

/// What is written now.
pub(super) struct Due {
    place: String,
    folder: Arc<dyn Folder>,
    ledger: Ledger,
}

/// A place, whatever it is in.
trait Folder: Send + Sync {
    fn keep<'a>(
        &'a self,
        own: &'a Ledger,
        limits: &'a Limits,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Ledger, NotKept>>;
}

/// One of the two places of a number.
struct Either<A> {
    attempts: Arc<A>,
    is_second: bool,
}

impl<A: Attempts> Either<A> {
    fn get(&self) -> Option<&A> {
        either(&self.attempts, self.is_second)
    }
}

impl<A: Attempts> Folder for Either<A> {
    fn keep<'a>(
        &'a self,
        own: &'a Ledger,
        limits: &'a Limits,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Ledger, NotKept>> {
        Box::pin(async move {
            match self.get() {
                Some(place) => place.keep(own, limits, now).await,
                None => Err(NotKept::Refused("there is no such place".into())),
            }
        })
    }
}

fn either<A: Attempts>(attempts: &A, is_second: bool) -> Option<&A> {
    if is_second { attempts.with_operator() } else { Some(attempts) }
}

impl Unkept {
    /// Keeps attempts that a pass is about to write to both places, should that come to nothing.
    pub(super) fn hold<A: Attempts>(
        &self,
        attempts: &Arc<A>,
        ledger: &Ledger,
        limits: &Limits,
        now: Timestamp,
    ) {
        for is_second in [false, true] {
            self.put(attempts, is_second, ledger, None, (limits, now));
        }
    }

    /// A place did not take them, and why.
    pub(super) fn owe<A: Attempts>(
        &self,
        (attempts, is_second): (&Arc<A>, bool),
        ledger: &Ledger,
        why: &NotKept,
        limits: &Limits,
        now: Timestamp,
    ) {
        self.put(attempts, is_second, ledger, Some(why), (limits, now));
    }

    fn put<A: Attempts>(
        &self,
        attempts: &Arc<A>,
        is_second: bool,
        ledger: &Ledger,
        why: Option<&NotKept>,
        (limits, now): (&Limits, Timestamp),
    ) {
        let Some(place) = either(&**attempts, is_second).and_then(Attempts::place) else { return };
        let mut places = self.lock();
        let before = places.owed.get(&place).map(|owed| &owed.ledger);
        let ledger = ledger.kept(before.unwrap_or(&Ledger::default()), limits, now);
        if !ledger.is_kept(limits, now) {
            return;
        }
        if places.owed.len() >= MOST && !places.owed.contains_key(&place) {
            let oldest =
                places.owed.iter().min_by_key(|(_, owed)| owed.since).map(|(place, _)| place.clone());
            if let Some(oldest) = oldest {
                places.drop_one(&oldest, "too many are kept");
            }
        }
        let at = Instant::now();
        let folder = Arc::new(Either { attempts: attempts.clone(), is_second });
        let owed = places.owed.entry(place.clone()).or_insert_with(|| Owed {
            folder: folder.clone(),
            ledger: Ledger::default(),
            since: at,
            failed: 0,
            is_refused: false,
            due: at + OWN,
        });
        (owed.folder, owed.ledger) = (folder, ledger);
        if let Some(why) = why {
            places.failed(&place, why, limits);
        }
    }

    /// What is owed to both places of a number.
    pub(super) fn of<A: Attempts>(&self, attempts: &A, limits: &Limits, now: Timestamp) -> Option<Ledger> {
        let places = self.lock();
        let names = [false, true].map(|is_second| either(attempts, is_second).and_then(Attempts::place));
        let owed = names.iter().flatten().filter_map(|place| places.owed.get(place));
        owed.map(|owed| owed.ledger.clone()).reduce(|one, other| other.kept(&one, limits, now))
    }

    /// A place has these. What else is owed to it stays.
    pub(super) fn settle<A: Attempts>(
        &self,
        (attempts, is_second): (&A, bool),
        has: &Ledger,
        limits: &Limits,
        now: Timestamp,
    ) {
        if let Some(place) = either(attempts, is_second).and_then(Attempts::place) {
            self.settle_at(&place, has, limits, now);
        }
    }

    fn settle_at(&self, place: &str, has: &Ledger, limits: &Limits, now: Timestamp) {
        let mut places = self.lock();
        if places.owed.get(place).is_some_and(|owed| has.with(&owed.ledger, limits, now).is_none()) {
            places.owed.remove(place);
        }
    }

    /// Those that have waited for the longest, as far as they are to be tried now.
    pub(super) fn due(&self, most: usize) -> Vec<Due> {
        let (places, now) = (self.lock(), Instant::now());
        let mut due: Vec<_> = places.owed.iter().filter(|(_, owed)| owed.due <= now).collect();
        due.sort_unstable_by_key(|(_, owed)| owed.due);
        let due = due.into_iter().take(most);
        due.map(|(place, owed)| Due {
            place: place.clone(),
            folder: owed.folder.clone(),
            ledger: owed.ledger.clone(),
        })
        .collect()
    }

    /// Writes what is due. An error says why it has to be tried again.
    pub(super) async fn keep(&self, due: &Due, limits: &Limits, now: Timestamp) -> Result<(), String> {
        match within(Instant::now() + LONGEST, due.folder.keep(&due.ledger, limits, now)).await {
            Ok(all) => {
                info!("attempts are kept at last");
                self.settle_at(&due.place, &all, limits, now);
                Ok(())
            }
            Err(not_kept) => {
                self.lock().failed(&due.place, &not_kept, limits);
                let (NotKept::Passing(why) | NotKept::Refused(why)) = not_kept;
                Err(why)
            }
        }
    }

    /// Forgets those that count for nothing any more. Gives back when the next one is to be tried.
    pub(super) fn next(&self, now: Timestamp, limits: &Limits) -> Option<Instant> {
        let mut places = self.lock();
        places.owed.retain(|_, owed| owed.ledger.is_kept(limits, now));
        places.owed.values().map(|owed| owed.due).min()
    }

    /// The process ends: all are tried some times more, and those that are refused once.
    pub(super) fn hurry(&self) {
        let mut places = self.lock();
        places.is_last = true;
        for owed in places.owed.values_mut() {
            (owed.failed, owed.due) = (0, Instant::now());
        }
    }

    /// To how many places something is owed.
    pub fn left(&self) -> usize {
        self.lock().owed.len()
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// It was tried in vain, so it is tried again after a longer pause.
    fn failed(&mut self, place: &str, why: &NotKept, limits: &Limits) {
        let is_last = self.is_last;
        let Some(owed) = self.owed.get_mut(place) else { return };
        owed.is_refused = matches!(why, NotKept::Refused(_));
        let pause = if is_last { LAST_PAUSE } else { pause_after(why, owed.failed, limits) };
        owed.failed += 1;
        owed.due = Instant::now() + pause;
        if is_last && (owed.is_refused || owed.failed >= LAST_TRIES) {
            self.drop_one(place, "the process ends");
        }
    }

    fn drop_one(&mut self, place: &str, why: &str) {
        if self.owed.remove(place).is_some() {
            warn!(
                place,
                why, "attempts of a number are lost: a channel of it that is created anew does not know them"
            );
        }
    }
}

impl fmt::Debug for Unkept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unkept").field("left", &self.left()).finish()
    }
}

#[cfg(test)]
mod tests;
