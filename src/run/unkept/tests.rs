#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use crate::{
    engine::{
        fixture::{self, on_its_way},
        step::StepKind,
    },
    meta::port::Clock,
    repeat::Repeats,
    run::{
        attempts::AttemptsRead,
        late::{Memories, Writer},
        pass::{Live, ReadError, WriteError},
        unwritten::{self, Unwritten},
    },
};

use super::*;

/// Where attempts of a number are kept.
#[derive(Default)]
struct Place {
    name: Option<&'static str>,
    kept: Mutex<Ledger>,
    /// What the next tries meet, and when each was, since the start.
    fates: Mutex<VecDeque<NotKept>>,
    tries: Mutex<Vec<Instant>>,
    second: Option<Box<Place>>,
}

impl Place {
    fn new(name: &'static str, fates: impl IntoIterator<Item = NotKept>) -> Self {
        Self { name: Some(name), fates: Mutex::new(fates.into_iter().collect()), ..Self::default() }
    }

    fn with(self, second: Self) -> Arc<Self> {
        Arc::new(Self { second: Some(Box::new(second)), ..self })
    }

    fn second(&self) -> &Self {
        self.second.as_deref().unwrap()
    }

    fn ids(&self) -> Vec<String> {
        ids(&self.kept.lock().unwrap())
    }

    /// Seconds between two tries.
    fn pauses(&self) -> Vec<u64> {
        let tries = self.tries.lock().unwrap();
        tries.windows(2).map(|two| (two[1] - two[0]).as_secs()).collect()
    }
}

impl Attempts for Place {
    async fn read(&self) -> AttemptsRead {
        AttemptsRead::Absent
    }

    async fn keep(&self, own: &Ledger, limits: &Limits, now: Timestamp) -> Result<Ledger, NotKept> {
        self.tries.lock().unwrap().push(Instant::now());
        if let Some(fate) = self.fates.lock().unwrap().pop_front() {
            return Err(fate);
        }
        let mut kept = self.kept.lock().unwrap();
        *kept = own.kept(&kept, limits, now);
        Ok(kept.clone())
    }

    fn place(&self) -> Option<String> {
        self.name.map(str::to_owned)
    }

    fn with_operator(&self) -> Option<&Self> {
        self.second.as_deref()
    }
}

/// Every object is gone.
struct Nobody;

impl Memories for Nobody {
    type Version = u32;

    async fn read(&self, _: &unwritten::Owed) -> Result<Live<u32>, ReadError> {
        Err(ReadError::Gone)
    }

    async fn write(
        &self,
        _: &unwritten::Owed,
        _: &crate::engine::memory::Memory,
        _: &u32,
    ) -> Result<(), WriteError> {
        Err(WriteError::Gone)
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        fixture::now()
    }
}

fn writer() -> Writer<Nobody> {
    Writer {
        memories: Nobody,
        unwritten: Arc::new(Unwritten::default()),
        clock: Arc::new(Still),
        limits: Arc::default(),
        repeats: Repeats::default(),
    }
}

fn made(id: &str) -> Ledger {
    let mut ledger = on_its_way(StepKind::Register).ledger;
    ledger.registrations[0].id = id.into();
    ledger
}

fn ids(ledger: &Ledger) -> Vec<String> {
    ledger.registrations.iter().map(|entry| entry.id.clone()).collect()
}

fn passing() -> NotKept {
    NotKept::Passing("connection refused".into())
}

fn refused() -> NotKept {
    NotKept::Refused("forbidden".into())
}

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn attempts_are_written_to_both_places_though_their_object_is_gone() {
    let place = Place::new("shop", vec![passing(); 5]).with(Place::new("home", [refused()]));
    let writer = writer();
    writer.unwritten.attempts.hold(&place, &made("a"), &Limits::default(), fixture::now());
    assert!(tokio::time::timeout(HOUR, writer.drain(|| ())).await.is_ok());
    assert_eq!((place.ids(), place.second().ids()), (made_ids(["a"]), made_ids(["a"])));
    assert_eq!(place.pauses(), [2, 10, 60, 300, 300]);
    assert_eq!(place.second().pauses(), [Limits::default().repeatable_pauses[0].as_secs()]);
    assert_eq!(writer.unwritten.attempts.left(), 0);
}

fn made_ids<const N: usize>(ids: [&str; N]) -> Vec<String> {
    ids.map(str::to_owned).to_vec()
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_to_either_place_counts_there_and_nowhere_else() {
    let (limits, now) = (Limits::default(), fixture::now());
    let (owing, place) = (Unkept::default(), Place::new("shop", []).with(Place::new("home", [])));
    owing.owe((&place, false), &made("a"), &passing(), &limits, now);
    owing.owe((&place, true), &made("b"), &passing(), &limits, now);
    let of = |attempts: &Place| owing.of(attempts, &limits, now).map(|ledger| ids(&ledger).len());
    assert_eq!(of(&place), Some(2));
    // Its portfolio is in another namespace now, or has no second copy any more.
    assert_eq!(of(&Place::new("other", []).with(Place::new("home", []))), Some(1));
    assert_eq!(of(&Place::new("shop", [])), Some(1));
    assert_eq!(of(&Place::new("other", [])), None);
    // Nothing may be written there, so nothing of it counts.
    let unproven = Place { name: None, ..Place::default() }.with(Place::default());
    owing.owe((&unproven, true), &made("c"), &passing(), &limits, now);
    assert_eq!((of(&unproven), owing.left()), (None, 2));
}

#[tokio::test(start_paused = true)]
async fn what_a_place_has_is_owed_no_more_and_what_it_lacks_stays() {
    let (limits, now) = (Limits::default(), fixture::now());
    let (owing, place) = (Unkept::default(), Place::new("shop", []).with(Place::new("home", [])));
    owing.owe((&place, false), &made("a"), &passing(), &limits, now);
    owing.owe((&place, false), &made("b"), &passing(), &limits, now);
    owing.settle((&*place, false), &made("b"), &limits, now);
    owing.settle((&*place, true), &made("a").kept(&made("b"), &limits, now), &limits, now);
    assert_eq!(owing.left(), 1, "the first attempt is not there");
    owing.settle((&*place, false), &made("a").kept(&made("b"), &limits, now), &limits, now);
    assert_eq!(owing.left(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_is_bounded_in_number_and_in_time() {
    let (limits, now) = (Limits::default(), fixture::now());
    let owing = Unkept::default();
    for n in 0..MOST + 5 {
        let name = Box::leak(format!("shop-{n}").into_boxed_str());
        let place = Arc::new(Place::new(name, []));
        owing.owe((&place, false), &made("a"), &passing(), &limits, now);
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert_eq!(owing.left(), MOST);
    assert!(owing.of(&Place::new("shop-4", []), &limits, now).is_none(), "the oldest goes first");
    assert!(owing.of(&Place::new("shop-5", []), &limits, now).is_some());
    let over = now + limits.longest_window() + HOUR;
    assert_eq!((owing.next(over, &limits), owing.left()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_tries_some_times_more_and_once_what_was_refused() {
    let place = Place::new("shop", vec![passing(); 2]).with(Place::new("home", []));
    let denied = Arc::new(Place::new("denied", vec![refused(); 20]));
    let away = Arc::new(Place::new("away", vec![passing(); 20]));
    let writer = writer();
    let (limits, now, owing) = (Limits::default(), fixture::now(), &writer.unwritten.attempts);
    owing.owe((&place, false), &made("a"), &passing(), &limits, now);
    owing.owe((&place, true), &made("a"), &refused(), &limits, now);
    owing.owe((&away, false), &made("a"), &passing(), &limits, now);
    owing.owe((&denied, false), &made("a"), &refused(), &limits, now);
    writer.unwritten.hurry();
    let begun = Instant::now();
    writer.drain(|| ()).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(
        (place.ids(), place.second().ids()),
        (made_ids(["a"]), made_ids(["a"])),
        "the right may be back"
    );
    let tries = |place: &Place| place.tries.lock().unwrap().len();
    assert_eq!((tries(&away), tries(&denied), owing.left()), (LAST_TRIES, 1, 0));
}
