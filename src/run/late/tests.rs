#![allow(clippy::unwrap_used)]

use std::{collections::VecDeque, sync::Mutex};

use jiff::Timestamp;

use super::*;
use crate::engine::{
    desired::Desired,
    fixture::{self, on_its_way, outcome, refused},
    memory::EntryOutcome,
    outcome::Outcome,
    status::Before,
    step::StepKind,
};

struct Still(Mutex<Timestamp>);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// What a try meets.
enum Fate {
    /// The object cannot be read.
    Unread(&'static str),
    /// It is read, and what is written meets this.
    Write(WriteError),
    /// It lands, and the answer is lost.
    LandsUnheard,
    /// Somebody else writes this before.
    Conflict(fn(&mut Memory)),
}

struct Object {
    uid: Option<String>,
    memory: Memory,
    version: u32,
    fates: VecDeque<Fate>,
    /// When it was read, since the start.
    reads: Vec<Duration>,
    writes: u32,
}

/// Two channels, by the name of each.
struct Shelf {
    begun: Instant,
    objects: [Mutex<Object>; 2],
}

const NAMES: [&str; 2] = ["support", "sales"];

impl Shelf {
    fn of(&self, of: &Owed) -> std::sync::MutexGuard<'_, Object> {
        let at = NAMES.iter().position(|name| *name == &*of.name).unwrap();
        self.objects[at].lock().unwrap()
    }
}

impl Memories for Arc<Shelf> {
    type Version = u32;

    async fn read(&self, of: &Owed) -> Result<Live<u32>, ReadError> {
        let mut object = self.of(of);
        object.reads.push(self.begun.elapsed());
        if let Some(Fate::Unread(why)) = object.fates.front() {
            let why = (*why).to_owned();
            object.fates.pop_front();
            return Err(ReadError::Failed(why));
        }
        let Some(uid) = object.uid.clone() else { return Err(ReadError::Gone) };
        Ok(Live { version: object.version, uid, memory: object.memory.clone(), before: Before::default() })
    }

    async fn write(&self, of: &Owed, memory: &Memory, expected: &u32) -> Result<(), WriteError> {
        let mut object = self.of(of);
        object.writes += 1;
        let fate = object.fates.pop_front();
        match &fate {
            Some(Fate::Write(error)) => return Err(error.clone()),
            Some(Fate::Conflict(change)) => {
                change(&mut object.memory);
                object.version += 1;
            }
            _ => {}
        }
        if object.version != *expected {
            return Err(WriteError::Conflict);
        }
        object.memory = memory.clone();
        object.version += 1;
        match fate {
            Some(Fate::LandsUnheard) => Err(WriteError::Timeout("none".into())),
            _ => Ok(()),
        }
    }
}

/// A process that has an answer to a registration of `support`, which is refused.
struct Scene {
    shelf: Arc<Shelf>,
    writer: Writer<Arc<Shelf>>,
    clock: Arc<Still>,
}

fn channel(name: &str) -> Desired {
    Desired { name: name.to_owned(), uid: format!("uid of {name}"), ..fixture::desired() }
}

fn refusal() -> Outcome {
    Outcome {
        result: refused(133_005, None, crate::engine::failure::Class::Person),
        ..outcome(StepKind::Register)
    }
}

impl Scene {
    fn new(fates: impl IntoIterator<Item = Fate>) -> Self {
        let mut fates = Some(fates.into_iter().collect());
        let objects = NAMES.map(|name| {
            Mutex::new(Object {
                uid: Some(channel(name).uid),
                memory: on_its_way(StepKind::Register),
                version: 1,
                fates: fates.take().unwrap_or_default(),
                reads: Vec::new(),
                writes: 0,
            })
        });
        let shelf = Arc::new(Shelf { begun: Instant::now(), objects });
        let clock = Arc::new(Still(Mutex::new(fixture::now())));
        let writer = Writer {
            memories: shelf.clone(),
            unwritten: Arc::default(),
            clock: clock.clone(),
            limits: Arc::default(),
            repeats: Repeats::default(),
        };
        writer.unwritten.keep(&channel(NAMES[0]), &refusal());
        Self { shelf, writer, clock }
    }

    fn object(&self) -> std::sync::MutexGuard<'_, Object> {
        self.shelf.objects[0].lock().unwrap()
    }

    async fn drain(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.writer.drain(|| ())).await.is_ok()
    }

    fn has_refusal(&self, at: usize) -> bool {
        let object = self.shelf.objects[at].lock().unwrap();
        let last = object.memory.ledger.registrations.first();
        object.memory.in_flight.is_none() && last.is_some_and(|last| last.outcome == EntryOutcome::Refused)
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn it_is_written_onto_what_stands_then_and_takes_nothing_from_it() {
    fn touch(memory: &mut Memory) {
        memory.since.insert("SomebodyElse".into(), fixture::now());
    }
    let scene = Scene::new([Fate::Conflict(touch)]);
    assert!(scene.drain(MINUTE).await && scene.has_refusal(0));
    let object = scene.object();
    assert_eq!((object.writes, object.memory.since.len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn whatever_keeps_it_from_being_written_it_is_tried_again_ever_less_often() {
    let why = ["connection refused", "401: Unauthorized", "not permitted"];
    let unread = why.into_iter().cycle().map(Fate::Unread).take(30);
    let full = || Fate::Write(WriteError::Timeout("500: mvcc: database space exceeded".into()));
    let denied = || Fate::Write(WriteError::Other("a policy denies it".into()));
    let scene = Scene::new(unread.chain((0..15).flat_map(|_| [full(), denied()])));
    assert!(!scene.drain(9 * MINUTE).await, "it is not given up");
    assert!(scene.drain(2 * MINUTE).await && scene.has_refusal(0));
    let reads = scene.object().reads.clone();
    let pauses: Vec<_> = reads.windows(2).map(|two| (two[1] - two[0]).as_secs()).collect();
    assert_eq!((reads[0].as_secs(), &pauses[..4]), (1, &[2, 4, 8, 10][..]));
    assert!(pauses[4..].iter().all(|pause| *pause == 10), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_asks_for_any_more_is_let_go() {
    let changes: [fn(&mut Object); 4] = [
        |object| object.uid = None,
        |object| object.uid = Some("another".into()),
        |object| {
            object.memory.in_flight.as_mut().unwrap().id = "i2".into();
            object.memory.ledger.registrations[0].outcome = EntryOutcome::NoAnswer;
        },
        |object| object.memory = Memory::default(),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let scene = Scene::new([]);
        change(&mut scene.object());
        let before = scene.object().memory.clone();
        assert!(scene.drain(MINUTE).await, "{n}");
        let object = scene.object();
        assert_eq!((object.reads.len(), object.writes, &object.memory), (1, 0, &before), "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_of_a_newer_version_is_left_alone_until_it_is_understood() {
    let scene = Scene::new([]);
    scene.object().memory.unknown = Some("the format is newer".into());
    assert!(!scene.drain(10 * MINUTE).await);
    assert_eq!((scene.object().writes, scene.writer.unwritten.left()), (0, 1));
    scene.object().memory.unknown = None;
    assert!(scene.drain(MINUTE).await && scene.has_refusal(0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_landed_unheard_is_not_written_again() {
    let scene = Scene::new([Fate::LandsUnheard]);
    assert!(scene.drain(MINUTE).await && scene.has_refusal(0));
    assert_eq!(scene.object().writes, 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_written_holds_no_other_up() {
    let scene = Scene::new((0..100).map(|_| Fate::Unread("not permitted")));
    assert!(!scene.drain(MINUTE).await);
    let going = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        scene.writer.unwritten.keep(&channel(NAMES[1]), &refusal());
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    tokio::select! {
        () = scene.writer.run(|| ()) => panic!("it goes on for good"),
        () = going => {}
    }
    assert!(scene.has_refusal(1) && !scene.has_refusal(0));
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_bounded_in_number_and_in_time() {
    let scene = Scene::new((0..10).map(|_| Fate::Unread("not permitted")));
    let unwritten = &scene.writer.unwritten;
    for n in 0..10_100_i64 {
        let at = fixture::now() + jiff::SignedDuration::from_secs(1 + n);
        unwritten.keep(&channel(&format!("{n}")), &Outcome { at, ..refusal() });
    }
    assert_eq!(unwritten.left(), 10_000);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(unwritten.due(20_000).iter().all(|owed| &*owed.name != NAMES[0]), "the oldest goes first");
    *scene.clock.0.lock().unwrap() += Limits::default().longest_window();
    assert!(unwritten.next(scene.clock.now(), &Limits::default()).is_some());
    *scene.clock.0.lock().unwrap() += Duration::from_secs(11_000);
    assert_eq!((unwritten.next(scene.clock.now(), &Limits::default()), unwritten.left()), (None, 0));
}
