//! What a cluster and Meta cannot be made to do at will: conflicts, lost replies and
//! pauses at every write, with the real engine between them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::atomic::{AtomicBool, AtomicUsize},
};

use bytes::Bytes;
use secrecy::SecretString;
use tokio::sync::Notify;

use crate::engine::{
    assess::first,
    condition::{Condition, Truth},
    condition_type::ConditionType,
    desired::{AppData, DesiredProfile, Management, OfficialApplication, PictureSource, SecretKey},
    failure::{Class, Refusal},
    fixture,
    id::{AccountId, Field, NumberId},
    look::{Look, Urgency},
    memory::{ConsentKind, Entry, EntryOutcome, Origin},
    observed::{Account, Number, Official, Profile, Subscribed, Username},
    outcome::Accepted,
    phone::E164,
    picture::PictureKind,
    portfolio::{AppSubscription, BusinessFacts, PortfolioView, TokenFacts},
    reason::Reason,
    secret::SecretVersion,
    spelling::Canonical,
    step::{Cause, CodeMethod},
    time::later,
    word::Vocabulary,
};
use crate::{
    meta::port::{Listing, NumberList, Spent, ToldUsage},
    run::{picture::PictureBytes, secret::SecretRead},
};

use super::*;

/// A clock that stands still until it is moved.
struct Hands(Mutex<Timestamp>);

impl Hands {
    fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Meta with one empty account.
#[derive(Clone)]
struct Stub {
    clock: Arc<Hands>,
    adds: Arc<AtomicUsize>,
    codes: Arc<AtomicUsize>,
    registers: Arc<AtomicUsize>,
    answer: Result<NumberId, Failure>,
    /// When set, an add waits for it.
    gate: Option<Arc<Notify>>,
    /// ToldUsage when an add has begun.
    begun: Arc<Notify>,
    /// Every number of the account.
    listed: Vec<Arc<Number>>,
}

fn unused<T>() -> Result<T, Failure> {
    Err(Failure::NotSent("not part of this test".into()))
}

impl Graph for Stub {
    async fn debug_token(&self) -> Result<TokenFacts, Failure> {
        unused()
    }
    async fn business(&self, _: Urgency) -> Result<BusinessFacts, Failure> {
        unused()
    }
    async fn owned_accounts(&self, _: Timestamp, _: Urgency) -> Listing {
        Listing { held: unused::<()>().err().map(|failure| (failure, Timestamp::MAX)), ..Listing::default() }
    }
    async fn client_accounts(&self, _: Timestamp, _: Urgency) -> Listing {
        self.owned_accounts(Timestamp::MIN, Urgency::Drift).await
    }
    async fn account(&self, _: &AccountId, _: Timestamp, _: Urgency) -> Result<Arc<Account>, Failure> {
        Ok(Arc::new(fixture::account()))
    }
    async fn numbers(&self, _: &AccountId, _: Timestamp, _: Urgency) -> Result<Arc<NumberList>, Failure> {
        let digits = fixture::desired().number.canonical();
        Ok(Arc::new(NumberList {
            begun: self.clock.now(),
            numbers: HashMap::from([(digits, self.listed.clone())]),
            without_digits: Vec::new(),
            bytes: 0,
        }))
    }
    async fn subscribed(&self, _: &AccountId, _: Timestamp, _: Urgency) -> Result<Subscribed, Failure> {
        unused()
    }
    async fn app_subscription(&self) -> Result<Option<AppSubscription>, Failure> {
        unused()
    }
    async fn set_app_webhook(&self, _: &str, _: &SecretString, _: &[String]) -> Result<(), Failure> {
        unused()
    }
    async fn profile(
        &self,
        _: &AccountId,
        _: &NumberId,
        _: Duration,
        _: Urgency,
    ) -> Result<Profile, Failure> {
        unused()
    }
    async fn add_number(&self, _: &AccountId, _: &E164, _: &str) -> Result<Accepted, Failure> {
        self.adds.fetch_add(1, Ordering::SeqCst);
        self.begun.notify_one();
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        self.answer.clone().map(|number| Accepted { number: Some(number), ..Accepted::default() })
    }
    async fn request_code(
        &self,
        _: &AccountId,
        _: &NumberId,
        _: CodeMethod,
        _: &str,
    ) -> Result<Accepted, Failure> {
        self.codes.fetch_add(1, Ordering::SeqCst);
        self.answer.clone().map(|_| Accepted::default())
    }
    async fn verify_code(&self, _: &AccountId, _: &NumberId, _: &SecretString) -> Result<Accepted, Failure> {
        unused()
    }
    async fn submit_name(&self, _: &AccountId, _: &NumberId, _: &str) -> Result<Accepted, Failure> {
        unused()
    }
    async fn set_pin(&self, _: &AccountId, _: &NumberId, _: &SecretString) -> Result<Accepted, Failure> {
        unused()
    }
    async fn register(&self, _: &AccountId, _: &NumberId, _: &SecretString) -> Result<Accepted, Failure> {
        self.registers.fetch_add(1, Ordering::SeqCst);
        self.answer.clone()?;
        Ok(Accepted::default())
    }
    async fn subscribe(&self, _: &AccountId) -> Result<Accepted, Failure> {
        unused()
    }
    async fn unroute_webhook(&self, _: &AccountId, _: &NumberId) -> Result<Accepted, Failure> {
        unused()
    }
    async fn start_sync(&self, _: &AccountId, _: &NumberId, _: AppData) -> Result<Accepted, Failure> {
        unused()
    }
    async fn set_storage(&self, _: &AccountId, _: &NumberId, _: &str) -> Result<Accepted, Failure> {
        unused()
    }
    async fn deregister(&self, _: &AccountId, _: &NumberId) -> Result<Accepted, Failure> {
        unused()
    }
    async fn route_webhook(
        &self,
        _: &AccountId,
        _: &NumberId,
        _: &str,
        _: &SecretString,
    ) -> Result<Accepted, Failure> {
        unused()
    }
    async fn write_profile(
        &self,
        _: &AccountId,
        _: &NumberId,
        _: &DesiredProfile,
    ) -> Result<Accepted, Failure> {
        unused()
    }
    async fn has_picture(&self, _: &AccountId, _: &NumberId, _: Urgency) -> Result<bool, Failure> {
        unused()
    }
    async fn write_picture(
        &self,
        _: &AccountId,
        _: &NumberId,
        _: &Bytes,
        _: PictureKind,
    ) -> Result<Accepted, Failure> {
        unused()
    }
    async fn username(
        &self,
        _: &AccountId,
        _: &NumberId,
        _: Duration,
        _: Urgency,
    ) -> Result<Username, Failure> {
        unused()
    }
    async fn official(
        &self,
        _: &AccountId,
        _: &NumberId,
        _: Duration,
        _: Urgency,
    ) -> Result<Official, Failure> {
        unused()
    }
    async fn claim_username(
        &self,
        _: &AccountId,
        _: &NumberId,
        _: &str,
        _: bool,
    ) -> Result<Accepted, Failure> {
        unused()
    }
    async fn request_official(
        &self,
        _: &AccountId,
        _: &NumberId,
        _: &OfficialApplication,
    ) -> Result<Accepted, Failure> {
        unused()
    }
    fn known(&self, _: &Look, _: &Canonical) -> Option<bool> {
        None
    }

    fn subscribed_known(&self, _: &AccountId) -> Option<Arc<Subscribed>> {
        None
    }

    fn let_go(&self, _: &AccountId) {}

    fn held_until(&self, _: &AccountId, _: StepKind) -> Option<Timestamp> {
        None
    }
    fn throttled_until(&self, _: Option<&AccountId>) -> Option<Timestamp> {
        None
    }
    fn spent(&self) -> Vec<Spent> {
        Vec::new()
    }
    fn told(&self) -> Vec<ToldUsage> {
        Vec::new()
    }
    fn app_blocked(&self) -> Option<Refusal> {
        None
    }
    fn refused_fields(&self) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        BTreeMap::new()
    }
}

struct NoSecrets;

impl Secrets for NoSecrets {
    async fn read(&self, _: &SecretKey) -> SecretRead {
        SecretRead::Missing
    }
    async fn picture(&self, _: &PictureSource) -> PictureBytes {
        PictureBytes::Failed("not part of this test".into())
    }
    async fn create_pin(&self, _: &SecretKey) -> Result<(), String> {
        Ok(())
    }
}

/// What happens to a write.
enum Fate {
    Lands,
    /// Somebody else wrote first, and left this memory.
    Conflict(fn(&mut Memory)),
    /// It lands, and the answer is lost.
    LandsUnheard,
    /// It does not land, and neither does an answer.
    Lost,
    /// Nobody answers from now on, until this long has passed; reads fail too.
    Away(Duration),
    Gone,
    /// Another object stands there under the same name.
    Recreated,
    /// It lands after this long.
    Slow(Duration),
    /// It lands, and somebody else writes behind it.
    Overwritten,
    /// The process has a bug there.
    Panics,
}

/// A status in memory, with a fate for each write; without one a write lands.
struct Book {
    clock: Arc<Hands>,
    state: Mutex<State>,
    /// The next comparison of a record with the status meets a bug.
    shows_panics: AtomicBool,
}

struct State {
    version: u64,
    uid: String,
    standing: Option<Record>,
    fates: VecDeque<Fate>,
    writes: u32,
    away_until: Option<tokio::time::Instant>,
    /// Live reads fail.
    is_out_of_reach: bool,
}

impl Book {
    fn memory(&self) -> Memory {
        self.state.lock().unwrap().standing.as_ref().map(|record| record.memory.clone()).unwrap_or_default()
    }

    fn writes(&self) -> u32 {
        self.state.lock().unwrap().writes
    }

    fn live(&self) -> Live<u64> {
        let state = self.state.lock().unwrap();
        let standing = state.standing.as_ref();
        Live {
            version: state.version,
            uid: state.uid.clone(),
            memory: standing.map(|record| record.memory.clone()).unwrap_or_default(),
            before: standing.map(|record| before(&record.assessment, &Before::default())).unwrap_or_default(),
        }
    }
}

impl State {
    fn is_away(&self) -> bool {
        self.away_until.is_some_and(|until| tokio::time::Instant::now() < until)
    }

    fn land(&mut self, record: &Record) -> u64 {
        self.version += 1;
        self.standing = Some(record.clone());
        self.version
    }
}

impl Records for Book {
    type Version = u64;

    fn name(version: &u64) -> String {
        version.to_string()
    }

    fn shows(&self, version: &u64, record: &Record) -> bool {
        assert!(!self.shows_panics.swap(false, Ordering::SeqCst), "a bug");
        let state = self.state.lock().unwrap();
        let same =
            |standing: &Record| standing.memory == record.memory && standing.assessment == record.assessment;
        *version == state.version && state.standing.as_ref().is_some_and(same)
    }

    async fn write(&self, record: &Record, expected: &u64) -> Result<u64, WriteError> {
        let mut state = self.state.lock().unwrap();
        state.writes += 1;
        if state.is_away() {
            return Err(WriteError::Timeout("none".into()));
        }
        let fate = state.fates.pop_front().unwrap_or(Fate::Lands);
        if *expected != state.version {
            return Err(WriteError::Conflict);
        }
        match fate {
            Fate::Lands => Ok(state.land(record)),
            Fate::Slow(time) => {
                self.clock.pass(time);
                Ok(state.land(record))
            }
            Fate::Panics => {
                drop(state);
                panic!("a bug");
            }
            Fate::Overwritten => {
                let written = state.land(record);
                state.version += 1;
                Ok(written)
            }
            Fate::LandsUnheard => {
                state.land(record);
                Err(WriteError::Timeout("none".into()))
            }
            Fate::Lost => Err(WriteError::Timeout("none".into())),
            Fate::Away(time) => {
                state.away_until = Some(tokio::time::Instant::now() + time);
                Err(WriteError::Timeout("none".into()))
            }
            Fate::Gone => Err(WriteError::Gone),
            Fate::Conflict(change) => {
                state.version += 1;
                if let Some(standing) = &mut state.standing {
                    change(&mut standing.memory);
                }
                Err(WriteError::Conflict)
            }
            Fate::Recreated => {
                state.version += 1;
                state.uid = "another".into();
                state.standing = None;
                Err(WriteError::Conflict)
            }
        }
    }

    async fn read_live(&self) -> Result<Live<u64>, ReadError> {
        let state = self.state.lock().unwrap();
        if state.is_out_of_reach {
            return Err(ReadError::Failed("no answer".into()));
        }
        let is_away = state.is_away();
        drop(state);
        if is_away {
            return Err(ReadError::Failed("connection refused".into()));
        }
        Ok(self.live())
    }
}

/// What is kept of the number beside the channel.
#[derive(Default)]
struct Folder {
    name: &'static str,
    kept: Mutex<Ledger>,
    /// Reads, and tries to keep.
    reads: AtomicUsize,
    tries: AtomicUsize,
    /// What a read gives in place of what is kept.
    read: Mutex<Option<AttemptsRead>>,
    /// Nothing can be kept now, for this reason.
    shut: Mutex<Option<NotKept>>,
    /// The second copy, if there is one.
    second: Option<Box<Folder>>,
}

impl Folder {
    fn ids(&self) -> Vec<String> {
        let kept = self.kept.lock().unwrap();
        StepKind::ALL.iter().flat_map(|kind| kept.of(*kind)).map(|entry| entry.id.clone()).collect()
    }

    fn shut(&self, why: Option<NotKept>) {
        *self.shut.lock().unwrap() = why;
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    fn tries(&self) -> usize {
        self.tries.load(Ordering::SeqCst)
    }

    fn read_as(&self, read: Option<AttemptsRead>) {
        *self.read.lock().unwrap() = read;
    }
}

impl Attempts for Folder {
    async fn read(&self) -> AttemptsRead {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let kept = self.kept.lock().unwrap().clone();
        self.read.lock().unwrap().clone().unwrap_or(AttemptsRead::Kept(Box::new(kept)))
    }

    async fn keep(&self, own: &Ledger, limits: &Limits, now: Timestamp) -> Result<Ledger, NotKept> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        if let Some(why) = self.shut.lock().unwrap().clone() {
            return Err(why);
        }
        let mut kept = self.kept.lock().unwrap();
        *kept = own.kept(&kept, limits, now);
        Ok(kept.clone())
    }

    fn place(&self) -> Option<String> {
        Some(self.name.to_owned())
    }

    fn with_operator(&self) -> Option<&Self> {
        self.second.as_deref()
    }
}

/// One operator before one channel whose number has to be added.
struct Scene {
    shell: Shell<Hands>,
    graph: Stub,
    book: Arc<Book>,
    folder: Arc<Folder>,
    unwritten: Arc<Unwritten>,
}

impl Scene {
    fn new(fates: impl IntoIterator<Item = Fate>) -> Self {
        let clock = Arc::new(Hands(Mutex::new(fixture::now())));
        let state = State {
            version: 1,
            uid: fixture::desired().uid,
            standing: None,
            fates: fates.into_iter().collect(),
            writes: 0,
            away_until: None,
            is_out_of_reach: false,
        };
        Self {
            shell: Shell {
                clock: clock.clone(),
                limits: Arc::default(),
                ids: Arc::new(Ids::new(7)),
                tasks: TaskTracker::new(),
                may_work: MayWork::always(),
                budget: Duration::from_secs(60),
                repeats: Arc::default(),
            },
            graph: Stub {
                clock: clock.clone(),
                adds: Arc::default(),
                codes: Arc::default(),
                registers: Arc::default(),
                answer: Ok("100000000000001".into()),
                gate: None,
                begun: Arc::default(),
                listed: Vec::new(),
            },
            book: Arc::new(Book { clock, state: Mutex::new(state), shows_panics: AtomicBool::new(false) }),
            folder: Arc::default(),
            unwritten: Arc::default(),
        }
    }

    /// Another operator before the same status and the same Meta.
    fn rival(&self) -> Self {
        let shell = Shell { ids: Arc::new(Ids::new(8)), ..self.shell.clone() };
        Self {
            shell,
            graph: self.graph.clone(),
            book: self.book.clone(),
            folder: self.folder.clone(),
            unwritten: Arc::default(),
        }
    }

    fn input(&self) -> Input<u64> {
        Input {
            desired: Arc::new(fixture::desired()),
            live: self.book.live(),
            is_shown: false,
            claim: Claim::Ours { act_from: None },
            portfolio: PortfolioState::View(Arc::new(fixture::view())),
            after_write: None,
            process: ProcessFacts::new(fixture::now()),
            volatile: Arc::default(),
            unwritten: self.unwritten.clone(),
            is_of_another: no_other(),
        }
    }

    async fn run(&self, input: Input<u64>) -> Result<Done, PassError> {
        let kept = (self.book.clone(), self.folder.clone());
        pass(&self.shell, input, Some(self.graph.clone()), Arc::new(NoSecrets), kept, ()).await
    }

    async fn once(&self) -> Result<Done, PassError> {
        self.run(self.input()).await
    }

    /// Passes until one acts; the first ones only look.
    async fn until_acting(fates: impl IntoIterator<Item = Fate>) -> Self {
        let scene = Self::new([]);
        for _ in 0..4 {
            let ports = (&NoSecrets, &*scene.folder);
            let decided = decide(&scene.shell, &scene.input(), Some(&scene.graph), ports, &mut ()).await;
            if decided.plan.step.is_some() {
                let mut state = scene.book.state.lock().unwrap();
                state.fates = fates.into_iter().collect();
                state.writes = 0;
                drop(state);
                return scene;
            }
            scene.once().await.unwrap();
            scene.book.clock.pass(Duration::from_secs(30));
        }
        panic!("no pass wants to add the number");
    }

    fn adds(&self) -> usize {
        self.graph.adds.load(Ordering::SeqCst)
    }

    fn last_add(&self) -> EntryOutcome {
        self.book.memory().ledger.adds.last().unwrap().outcome
    }
}

#[tokio::test]
async fn an_intent_stands_before_the_call_and_its_outcome_after() {
    let scene = Scene::until_acting([]).await;
    let done = scene.once().await.unwrap();
    assert_eq!((done.writes, scene.book.writes(), scene.adds()), (2, 2, 1));
    let memory = scene.book.memory();
    assert_eq!(memory.in_flight, None);
    assert_eq!(memory.number, Some("100000000000001".into()));
    assert_eq!(scene.last_add(), EntryOutcome::Accepted);
}

#[tokio::test]
async fn a_conflict_on_the_intent_sends_nothing() {
    let scene = Scene::until_acting([Fate::Conflict(|_| ())]).await;
    assert_eq!(scene.once().await.unwrap_err(), PassError::Conflict);
    assert_eq!((scene.adds(), scene.book.writes()), (0, 1));
}

#[tokio::test]
async fn an_intent_that_was_not_answered_goes_on_only_if_it_stands() {
    let scene = Scene::until_acting([Fate::LandsUnheard]).await;
    scene.once().await.unwrap();
    assert_eq!((scene.adds(), scene.last_add()), (1, EntryOutcome::Accepted));

    let scene = Scene::until_acting([Fate::Lost]).await;
    assert_eq!(scene.once().await.unwrap_err(), PassError::Write(WriteError::Timeout("none".into())));
    assert_eq!(scene.adds(), 0);
}

#[tokio::test]
async fn an_intent_that_was_not_answered_and_cannot_be_looked_up_sends_nothing() {
    for fate in [Fate::Lost, Fate::LandsUnheard] {
        let scene = Scene::until_acting([fate]).await;
        scene.book.state.lock().unwrap().is_out_of_reach = true;
        assert_eq!(scene.once().await.unwrap_err(), PassError::Write(WriteError::Timeout("none".into())));
        assert_eq!(scene.adds(), 0);
    }
}

#[tokio::test]
async fn a_call_without_a_standing_intent_is_never_sent_so_a_crash_after_it_hides_no_attempt() {
    // Should the call go out all the same, the operator dies in it: its outcome cannot account for it either.
    let mut scene = Scene::until_acting([Fate::Lost]).await;
    scene.graph.gate = Some(Arc::default());
    let begun = scene.graph.begun.clone();
    let scene = Arc::new(scene);
    let first = tokio::spawn({
        let scene = scene.clone();
        async move { scene.once().await }
    });
    let ended = tokio::select! {
        ended = first => ended.unwrap(),
        () = begun.notified() => panic!("the call was sent, and no intent accounts for it"),
    };
    assert_eq!(ended.unwrap_err(), PassError::Write(WriteError::Timeout("none".into())));
    assert_eq!((scene.adds(), scene.book.memory().ledger.adds.len()), (0, 0));
}

#[tokio::test]
async fn an_intent_that_met_a_conflict_does_not_take_the_one_of_a_rival_for_its_own() {
    // The rival's intent stands while its call is on the wire; ours is a conflict on the version from before.
    let scene = Scene::until_acting([]).await;
    let late = scene.input();
    let mut rival = scene.rival();
    rival.graph.gate = Some(Arc::default());
    let on_the_wire = tokio::spawn(async move { rival.once().await });
    scene.graph.begun.notified().await;
    assert_eq!(scene.run(late).await.unwrap_err(), PassError::Conflict);
    assert_eq!((scene.adds(), scene.book.memory().ledger.adds.len()), (1, 1));
    on_the_wire.abort();
}

#[tokio::test]
async fn an_object_that_is_gone_or_another_gets_no_step() {
    for fate in [Fate::Gone, Fate::Recreated] {
        let scene = Scene::until_acting([fate]).await;
        assert_eq!(scene.once().await.unwrap_err(), PassError::Gone);
        assert_eq!(scene.adds(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_on_the_outcome_is_merged_into_the_live_ledger() {
    fn touch(memory: &mut Memory) {
        memory.since.insert("SomebodyElse".into(), fixture::now());
        memory.marks.pin_set = Some(fixture::now());
    }
    let scene = Scene::until_acting([Fate::Lands, Fate::Conflict(touch), Fate::Conflict(touch)]).await;
    scene.once().await.unwrap();
    assert_eq!((scene.adds(), scene.book.writes(), scene.last_add()), (1, 4, EntryOutcome::Accepted));
    assert_eq!(scene.book.memory().marks.pin_set, Some(fixture::now()));
    assert_eq!(scene.book.memory().in_flight, None);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_never_lands_leaves_the_intent_to_be_decided() {
    let conflicts = (0..4).map(|_| Fate::Conflict(|_| ()));
    let scene = Scene::until_acting([Fate::Lands].into_iter().chain(conflicts)).await;
    assert_eq!(scene.once().await.unwrap_err(), PassError::Write(WriteError::Conflict));
    assert_eq!((scene.adds(), scene.last_add()), (1, EntryOutcome::Started));
    assert!(scene.book.memory().in_flight.is_some());
    // The next process finds it in flight and repeats nothing.
    scene.rival().once().await.unwrap();
    assert_eq!(scene.adds(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_could_not_be_written_is_written_by_the_next_pass() {
    let refused = (0..4).map(|_| Fate::Conflict(|_| ()));
    let scene = Scene::until_acting([Fate::Lands].into_iter().chain(refused)).await;
    assert!(scene.once().await.is_err());
    assert_eq!(scene.last_add(), EntryOutcome::Started);
    // Another write meets an API server that is still away, and then it is there.
    scene.book.state.lock().unwrap().fates.push_back(Fate::Conflict(|_| ()));
    assert_eq!(scene.once().await.unwrap_err(), PassError::Conflict);
    assert_eq!(scene.last_add(), EntryOutcome::Started);
    scene.once().await.unwrap();
    assert_eq!((scene.adds(), scene.last_add()), (1, EntryOutcome::Accepted));
    let memory = scene.book.memory();
    assert!(memory.in_flight.is_none() && memory.number.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_was_kept_does_not_count_for_another_history() {
    let refused = (0..4).map(|_| Fate::Conflict(|_| ()));
    let scene = Scene::until_acting([Fate::Lands].into_iter().chain(refused)).await;
    assert!(scene.once().await.is_err());
    // The object has another history, and then the old one comes back: it was dropped for good.
    let (before, limits, uid) = (scene.book.memory(), Limits::default(), &fixture::desired().uid);
    assert_eq!(scene.unwritten.merge(uid, Memory::default(), &limits), Memory::default());
    assert_eq!(scene.unwritten.merge(uid, before.clone(), &limits), before);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_outlives_an_api_server_that_is_away_for_a_moment() {
    let away = Fate::Away(Duration::from_secs(4));
    let scene = Scene::until_acting([Fate::Lands, away]).await;
    scene.once().await.unwrap();
    assert_eq!((scene.adds(), scene.last_add()), (1, EntryOutcome::Accepted));
    assert_eq!(scene.book.memory().in_flight, None);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_landed_unheard_is_not_written_again() {
    let scene = Scene::until_acting([Fate::Lands, Fate::LandsUnheard]).await;
    scene.once().await.unwrap();
    assert_eq!((scene.adds(), scene.book.writes(), scene.last_add()), (1, 2, EntryOutcome::Accepted));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_for_a_recreated_object_is_dropped() {
    let scene = Scene::until_acting([Fate::Lands, Fate::Recreated]).await;
    assert_eq!(scene.once().await.unwrap_err(), PassError::Gone);
    assert_eq!(scene.book.memory(), Memory::default());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_by_a_process_that_may_not_work_any_more() {
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    let told = watch::channel(MayWork::Until(end)).1;
    let mut scene = Scene::until_acting([]).await;
    scene.shell.may_work = told;
    tokio::time::advance(Duration::from_secs(10)).await;
    let done = scene.once().await.unwrap();
    assert!(
        matches!(done.outcome.unwrap().result, Err(Failure::NotSent(_))),
        "its time is up, though nobody told it"
    );
    assert_eq!((scene.adds(), scene.last_add()), (0, EntryOutcome::NotSent));
}

#[tokio::test]
async fn nothing_is_sent_once_its_time_has_passed() {
    let scene = Scene::until_acting([Fate::Slow(Duration::from_secs(10))]).await;
    let done = scene.once().await.unwrap();
    assert!(matches!(done.outcome.unwrap().result, Err(Failure::NotSent(_))));
    assert_eq!((scene.adds(), scene.last_add()), (0, EntryOutcome::NotSent));
}

#[tokio::test]
async fn of_two_operators_with_the_same_idea_one_acts() {
    let scene = Scene::until_acting([]).await;
    let rival = scene.rival();
    let (one, other) = (scene.input(), rival.input());
    let (one, other) = tokio::join!(scene.run(one), rival.run(other));
    assert_eq!([one.is_ok(), other.is_ok()].into_iter().filter(|ok| *ok).count(), 1);
    assert_eq!(scene.adds(), 1);
}

#[tokio::test]
async fn another_operator_leaves_a_step_on_the_wire_alone() {
    let mut scene = Scene::until_acting([]).await;
    let gate = Arc::new(Notify::new());
    scene.graph.gate = Some(gate.clone());
    let scene = Arc::new(scene);
    let first = tokio::spawn({
        let scene = scene.clone();
        async move { scene.once().await }
    });
    scene.graph.begun.notified().await;
    let done = scene.rival().once().await.unwrap();
    assert!(done.outcome.is_none());
    gate.notify_one();
    first.await.unwrap().unwrap();
    assert_eq!((scene.adds(), scene.last_add()), (1, EntryOutcome::Accepted));
}

#[tokio::test]
async fn a_reconcile_that_is_dropped_in_mid_call_still_writes_the_outcome() {
    let mut scene = Scene::until_acting([]).await;
    let gate = Arc::new(Notify::new());
    scene.graph.gate = Some(gate.clone());
    let scene = Arc::new(scene);
    let reconcile = tokio::spawn({
        let scene = scene.clone();
        async move { scene.once().await }
    });
    scene.graph.begun.notified().await;
    reconcile.abort();
    assert!(reconcile.await.unwrap_err().is_cancelled());
    assert_eq!(scene.last_add(), EntryOutcome::Started);
    gate.notify_one();
    scene.shell.tasks.close();
    scene.shell.tasks.wait().await;
    assert_eq!(scene.last_add(), EntryOutcome::Accepted);
}

#[tokio::test]
async fn a_crash_after_the_intent_never_adds_a_second_time_before_the_effect_could_show() {
    let mut scene = Scene::until_acting([]).await;
    scene.graph.gate = Some(Arc::default());
    let scene = Arc::new(scene);
    let crashed = tokio::spawn({
        let scene = scene.clone();
        let input = scene.input();
        async move {
            let ports = (&NoSecrets, &*scene.folder);
            let decided = decide(&scene.shell, &input, Some(&scene.graph), ports, &mut ()).await;
            let (shell, graph, records) =
                (scene.shell.clone(), Some(scene.graph.clone()), scene.book.clone());
            let attempts = scene.folder.clone();
            Carrier { shell, input, decided, graph, secrets: Arc::new(NoSecrets), records, attempts }
                .carry_out(&mut ())
                .await
        }
    });
    scene.graph.begun.notified().await;
    crashed.abort();
    let next = scene.rival();
    for _ in 0..12 {
        next.once().await.unwrap();
        next.book.clock.pass(Duration::from_secs(10));
    }
    assert_eq!(scene.adds(), 1);
}

#[tokio::test]
async fn a_channel_where_nothing_changes_is_not_written() {
    let scene = Scene::until_acting([]).await;
    let held = || Input { claim: Claim::Other { name: None }, ..scene.input() };
    assert_eq!(scene.run(held()).await.unwrap().writes, 1);
    scene.book.clock.pass(Duration::from_secs(300));
    assert_eq!(scene.run(held()).await.unwrap().writes, 0);
}

#[tokio::test]
async fn a_pass_that_writes_rests_where_the_next_one_would_rest_without_a_write() {
    let known = |profile| crate::engine::id::Field::Is(Box::new(profile));
    let bare = Desired { webhook: None, ..fixture::desired() };
    let about = |text: &str| DesiredProfile { about: Some(text.into()), ..DesiredProfile::default() };
    let listed = Number { profile: known(Profile::default()), ..fixture::number() };
    // What is wanted, what Meta shows, and whether the pass that writes can rest.
    let shapes = [
        (bare.clone(), fixture::number(), true),
        (Desired { profile: about("open"), ..bare.clone() }, fixture::number(), false),
        (Desired { display_name: "Another name".into(), ..bare.clone() }, fixture::number(), false),
        (Desired { management: Management::ObserveOnly, ..bare.clone() }, listed, true),
        (bare, fixture::fresh(), false),
    ];
    for (at, (desired, number, rests)) in shapes.into_iter().enumerate() {
        let mut scene = Scene::new([]);
        scene.graph.listed = vec![Arc::new(number)];
        let input = || Input { desired: Arc::new(desired.clone()), ..scene.input() };
        let mut has_rested = false;
        for _ in 0..4 {
            let Ok(done) = scene.run(input()).await else { break };
            let Some(rested) = done.rested.filter(|_| done.writes > 0) else { continue };
            has_rested = true;
            assert_eq!(rested.version, scene.book.live().version.to_string(), "{at}: what it left");
            let next = scene.run(input()).await.unwrap();
            assert_eq!(next.writes, 0, "{at}: it rested on a status that was not the last");
            assert_eq!(next.rested, Some(rested), "{at}");
        }
        assert_eq!(has_rested, rests, "{at}");
        // As each channel of a crowd does whose portfolio was gone for a while.
        if rests {
            let gone = scene.run(Input { portfolio: PortfolioState::NotUsable, ..input() }).await.unwrap();
            let back = scene.run(input()).await.unwrap();
            assert_eq!((gone.writes, gone.rested.is_some()), (1, false), "{at}");
            assert_eq!((back.writes, back.rested.is_some()), (1, true), "{at}");
        }
    }
}

#[tokio::test]
async fn nobody_rests_on_a_list_that_is_too_old_or_on_what_does_not_stand() {
    let written = async |fate, was_usable| {
        let mut scene = Scene::new([fate]);
        scene.graph.listed = vec![Arc::new(fixture::number())];
        let desired = Arc::new(Desired { webhook: None, ..fixture::desired() });
        let mut input = Input { desired, ..scene.input() };
        if was_usable {
            input.live.before.conditions.set(Condition {
                kind: ConditionType::AccountUsable,
                status: Truth::True,
                reason: Reason::Usable,
                message: String::new(),
                since: Timestamp::UNIX_EPOCH,
                observed_generation: 1,
            });
        }
        let done = scene.run(input).await.unwrap();
        assert_eq!(done.writes, 1);
        done.rested.is_some()
    };
    // Facts of an account that was usable serve for an hour, of one that was not for as long as a list: five minutes.
    for was_usable in [false, true] {
        assert!(written(Fate::Lands, was_usable).await, "{was_usable}");
        assert!(written(Fate::Slow(Duration::from_secs(60)), was_usable).await, "{was_usable}");
        assert!(!written(Fate::Slow(Duration::from_secs(10 * 60)), was_usable).await, "{was_usable}");
        assert!(!written(Fate::Overwritten, was_usable).await, "{was_usable}");
    }
}

#[tokio::test]
async fn a_step_that_is_not_written_first_is_taken_by_a_live_copy_only() {
    let mut scene = Scene::new([]);
    let known = |profile| crate::engine::id::Field::Is(Box::new(profile));
    let about = |text: &str| Profile { about: Some(text.into()), ..Profile::default() };
    scene.graph.listed = vec![Arc::new(Number { profile: known(about("old")), ..fixture::number() })];
    let desired = Desired {
        webhook: None,
        profile: DesiredProfile { about: Some("new".into()), ..DesiredProfile::default() },
        ..fixture::desired()
    };
    let input = |is_shown| Input { desired: Arc::new(desired.clone()), is_shown, ..scene.input() };
    let mut taken = Vec::new();
    for _ in 0..6 {
        scene.book.clock.pass(Duration::from_secs(60));
        let shown = scene.run(input(true)).await;
        let live = scene.run(input(false)).await.unwrap();
        if let Some(outcome) = live.outcome {
            assert_eq!(shown.unwrap_err(), PassError::Conflict, "{:?}", outcome.step);
            taken.push(outcome.step);
        }
    }
    taken.dedup();
    assert_eq!(taken, [StepKind::WriteProfile]);
}

#[tokio::test]
async fn a_lost_reply_of_the_call_keeps_the_intent() {
    let mut scene = Scene::until_acting([]).await;
    scene.graph.answer = Err(Failure::NoAnswer("lost".into()));
    scene.once().await.unwrap();
    assert_eq!(scene.last_add(), EntryOutcome::NoAnswer);
    assert!(scene.book.memory().in_flight.is_some());
}

/// Every Secret holds these six digits.
struct Six(&'static str);

impl Secrets for Six {
    async fn read(&self, _: &SecretKey) -> SecretRead {
        let version = SecretVersion { uid: "s".into(), resource_version: "2".into() };
        SecretRead::Found { version, value: Some(self.0.into()), is_verify_token: false }
    }
    async fn picture(&self, _: &PictureSource) -> PictureBytes {
        PictureBytes::Failed("not part of this test".into())
    }
    async fn create_pin(&self, _: &SecretKey) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test]
async fn a_code_that_was_held_back_is_still_an_answer() {
    let mut scene = Scene::new([]);
    scene.graph.listed = vec![Arc::new(fixture::fresh())];
    let mut memory = Memory { number: Some(fixture::NUMBER.into()), ..Memory::default() };
    memory.marks.origin = Origin::Added(fixture::now());
    memory.ledger.codes.push(Entry {
        id: "asked".into(),
        at: fixture::now(),
        outcome: EntryOutcome::Accepted,
        cause: Cause::SendCode("1".into()),
        subject: None,
        settle_until: None,
        secret_before: None,
        trace_id: None,
        refusal: None,
    });
    let assessment = first(&fixture::desired(), fixture::now());
    scene.book.state.lock().unwrap().standing = Some(Record { assessment, memory });
    let volatile: Arc<Mutex<Volatile>> = Arc::default();
    for _ in 0..2 {
        scene.book.clock.pass(Duration::from_secs(120));
        let input = Input { volatile: volatile.clone(), ..scene.input() };
        let graph = Some(scene.graph.clone());
        let done = pass(
            &scene.shell,
            input,
            graph,
            Arc::new(Six("123456")),
            (scene.book.clone(), scene.folder.clone()),
            (),
        )
        .await
        .unwrap();
        let outcome = done.outcome.unwrap();
        assert_eq!(outcome.step, StepKind::VerifyCode);
        assert!(matches!(outcome.result, Err(Failure::NotSent(_))));
    }
}

#[test]
fn only_codes_about_the_credential_make_the_portfolio_look_at_it() {
    let refused = |code: i64, message: &str| {
        let mut observed = fixture::Case::ready().observed;
        let mut refusal = fixture::refusal(code, None, "T1");
        refusal.class = Class::Credentials;
        refusal.message = message.into();
        observed.subscribed = Fact::Unknown(Failure::Refused(refusal));
        is_credential_refused(&observed, None)
    };
    for code in [0, 102, 104, 190] {
        assert!(refused(code, ""), "{code}");
    }
    assert!(refused(100, "Invalid appsecret_proof provided in the API argument"));
    for code in [3, 10, 100, 200, 294, 131_005] {
        assert!(!refused(code, "no permission on this account"), "{code}");
    }
}

/// An attempt some minutes before the pass.
fn tried(id: usize, minutes: u64, outcome: EntryOutcome) -> Entry {
    Entry {
        id: format!("before-{id}"),
        at: fixture::now() - Duration::from_secs(minutes * 60),
        outcome,
        cause: Cause::SendCode(String::new()),
        subject: None,
        settle_until: None,
        secret_before: None,
        trace_id: None,
        refusal: None,
    }
}

impl Scene {
    /// One whose number was added by the channel, waits for its code, and knows of no attempt.
    fn with_number(fates: impl IntoIterator<Item = Fate>) -> Self {
        let mut scene = Self::new(fates);
        scene.graph.listed = vec![Arc::new(fixture::fresh())];
        let mut memory = Memory { number: Some(fixture::NUMBER.into()), ..Memory::default() };
        memory.marks.origin = Origin::Added(fixture::now());
        let assessment = first(&fixture::desired(), fixture::now());
        scene.book.state.lock().unwrap().standing = Some(Record { assessment, memory });
        scene
    }

    /// A pass of a process that begins with it, while somebody asks for a code.
    fn asking(&self, value: &str) -> Input<u64> {
        let mut desired = fixture::desired();
        desired.consents.send_code = Some(value.into());
        Input { desired: Arc::new(desired), ..self.input() }
    }

    fn codes(&self) -> usize {
        self.graph.codes.load(Ordering::SeqCst)
    }

    /// The same, of an operator that knows its own namespace.
    fn with_two_places() -> Self {
        let second = Folder { name: "with the operator", ..Folder::default() };
        let folder = Folder { second: Some(Box::new(second)), ..Folder::default() };
        Self { folder: Arc::new(folder), ..Self::with_number([]) }
    }

    /// The copy in the operator's own namespace.
    fn second(&self) -> &Folder {
        self.folder.second.as_deref().unwrap()
    }
}

impl Scene {
    /// One whose number was verified and waits for its registration, which Meta refuses, in an operator that knows its own
    /// namespace.
    fn before_registration(fates: impl IntoIterator<Item = Fate>) -> Self {
        let mut scene = Self { folder: Self::with_two_places().folder, ..Self::with_number(fates) };
        scene.graph.listed =
            vec![Arc::new(Number { code: Field::Is("VERIFIED".into()), ..fixture::fresh() })];
        scene.graph.answer = Err(Failure::Refused(fixture::refusal(133_005, None, "T1")));
        scene
    }

    fn registers(&self) -> usize {
        self.graph.registers.load(Ordering::SeqCst)
    }

    /// Some passes of the object with this uid, with minutes between two, until one registers.
    async fn some_passes(&self, uid: &str) {
        let volatile: Arc<Mutex<Volatile>> = Arc::default();
        let begun = self.registers();
        for _ in 0..6 {
            let desired = Arc::new(Desired { uid: uid.into(), ..fixture::desired() });
            let input = Input { desired, volatile: volatile.clone(), ..self.input() };
            let kept = (self.book.clone(), self.folder.clone());
            let graph = Some(self.graph.clone());
            let _ = pass(&self.shell, input, graph, Arc::new(Six("482913")), kept, ()).await;
            if self.registers() > begun {
                return;
            }
            self.book.clock.pass(Duration::from_secs(120));
        }
    }

    /// The object is deleted, and another one is made from the same manifest.
    fn recreate(&self, uid: &str) {
        let mut state = self.book.state.lock().unwrap();
        self.unwritten.forget(&state.uid);
        state.version += 1;
        (state.uid, state.standing, state.away_until) = (uid.into(), None, None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_no_folder_took_counts_for_the_next_object_of_its_number() {
    // No status takes it either; or the object is gone by then; or a status has it, and goes with its object.
    let outcomes = [|| Fate::Away(Duration::from_secs(600)), || Fate::Gone, || Fate::Lands];
    for (case, outcome) in outcomes.into_iter().enumerate() {
        for why in [NotKept::Passing("connection refused".into()), NotKept::Refused("forbidden".into())] {
            let scene = Scene::before_registration([Fate::Lands, outcome()]);
            let uid = scene.book.live().uid;
            for folder in [&*scene.folder, scene.second()] {
                folder.shut(Some(why.clone()));
            }
            scene.some_passes(&uid).await;
            assert_eq!((scene.registers(), scene.folder.ids().len()), (1, 0), "{case}");
            for folder in [&*scene.folder, scene.second()] {
                folder.shut(None);
            }
            scene.recreate("another");
            scene.some_passes("another").await;
            assert_eq!(
                scene.registers(),
                1,
                "{case} {why:?}: it is known, so nobody tries the same PIN again"
            );
            let told = scene.book.memory().ledger.registrations;
            assert_eq!(told.iter().map(|one| one.outcome).collect::<Vec<_>>(), [EntryOutcome::Refused]);
            assert_eq!((scene.folder.ids().len(), scene.second().ids().len()), (1, 1), "{case}");
            assert_eq!(scene.unwritten.attempts.left(), 0, "{case}");
        }
    }
}

#[tokio::test]
async fn a_bug_behind_an_answer_of_metas_does_not_lose_it() {
    for is_written in [true, false] {
        let fates = if is_written { vec![Fate::Lands, Fate::Panics] } else { vec![] };
        let mut scene = Scene::with_number(fates);
        scene.book.shows_panics.store(!is_written, Ordering::SeqCst);
        scene.graph.answer = Err(Failure::Refused(fixture::refusal(136_024, None, "T1")));
        assert_eq!(scene.run(scene.asking("one")).await.unwrap_err(), PassError::Lost);
        assert_eq!((scene.codes(), scene.unwritten.left()), (1, 1));
        assert!(scene.book.memory().in_flight.is_some(), "the status has the intent alone");
        assert!(scene.unwritten.due(1).is_empty(), "a pass that has no bug would write it");
        scene.unwritten.hurry();
        assert_eq!(scene.unwritten.due(1).len(), 1, "before the end of the process");
        for left in [1, 0] {
            scene.book.clock.pass(Duration::from_secs(120));
            let done = scene.run(scene.asking("one")).await.unwrap();
            let outcomes: Vec<_> = done.memory.ledger.codes.iter().map(|code| code.outcome).collect();
            assert_eq!((outcomes, done.memory.in_flight), (vec![EntryOutcome::Refused], None));
            assert_eq!((scene.codes(), scene.unwritten.left()), (1, left));
        }
        assert_eq!(scene.book.memory().ledger.codes.len(), 1, "it is written");
    }
}

#[tokio::test]
async fn an_outcome_that_its_pass_writes_is_kept_for_nobody_else() {
    let fates: [Vec<Fate>; 3] =
        [vec![], vec![Fate::Lands, Fate::LandsUnheard], vec![Fate::Lands, Fate::Gone]];
    for fates in fates {
        tokio::time::pause();
        let scene = Scene::with_number(fates);
        let _ = scene.run(scene.asking("one")).await;
        assert_eq!((scene.codes(), scene.unwritten.left()), (1, 0));
        tokio::time::resume();
    }
}

#[tokio::test]
async fn attempts_that_only_one_place_knows_count_and_go_to_the_other_one() {
    for is_second in [false, true] {
        let scene = Scene::with_two_places();
        let (has, lacks) = match is_second {
            true => (scene.second(), &*scene.folder),
            false => (&*scene.folder, scene.second()),
        };
        has.kept.lock().unwrap().codes.extend((0..4).map(|n| tried(n, 300, EntryOutcome::Accepted)));
        let volatile: Arc<Mutex<Volatile>> = Arc::default();
        let asking = |value| Input { volatile: volatile.clone(), ..scene.asking(value) };
        let done = scene.run(asking("one")).await.unwrap();
        assert_eq!(done.plan.block.map(|block| block.reason), Some(Reason::CodeLimitReached));
        assert_eq!((scene.codes(), scene.book.memory().ledger.codes.len()), (0, 4));
        assert_eq!((has.ids().len(), lacks.ids().len()), (4, 4), "second: {is_second}");
        let tries = scene.second().tries();
        for _ in 0..3 {
            scene.book.clock.pass(Duration::from_secs(600));
            scene.run(asking("one")).await.unwrap();
        }
        assert_eq!((scene.second().reads(), scene.second().tries()), (1, tries), "and that is all");
    }
}

#[tokio::test]
async fn what_both_places_have_is_merged_by_id_and_the_operators_own_one_is_believed() {
    let scene = Scene::with_two_places();
    scene.folder.kept.lock().unwrap().codes =
        vec![tried(1, 300, EntryOutcome::Accepted), tried(2, 60 * 24 * 20, EntryOutcome::Accepted)];
    scene.second().kept.lock().unwrap().codes =
        vec![tried(2, 200, EntryOutcome::Refused), tried(3, 100, EntryOutcome::Accepted)];
    let done = scene.run(scene.asking("one")).await.unwrap();
    assert!(done.outcome.is_some() && scene.codes() == 1, "{:?}", done.plan.block);
    let own = done.memory.ledger.codes.last().unwrap().id.clone();
    let all = ["before-1", "before-2", "before-3", &own];
    assert_eq!(scene.folder.ids(), all);
    assert_eq!(scene.second().ids(), all);
    assert_eq!(*scene.folder.kept.lock().unwrap(), *scene.second().kept.lock().unwrap());
    let ids: Vec<_> = done.memory.ledger.codes.iter().map(|code| code.id.as_str()).collect();
    assert_eq!(ids, all);
    assert_eq!(done.memory.ledger.codes[1].outcome, EntryOutcome::Refused, "{:?}", done.memory.ledger);
}

#[tokio::test]
async fn a_step_goes_on_where_the_second_place_is_forbidden_and_waits_a_while_where_it_gives_no_answer() {
    type Case = (AttemptsRead, &'static [(u64, usize)]);
    let cases: [Case; 3] = [
        (AttemptsRead::Forbidden("no right".into()), &[(0, 1)]),
        (AttemptsRead::Unusable("not understood".into()), &[(0, 1)]),
        (AttemptsRead::Failed("no answer".into()), &[(0, 0), (60, 0), (59, 0), (1, 1)]),
    ];
    for (read, times) in cases {
        let scene = Scene::with_two_places();
        let volatile: Arc<Mutex<Volatile>> = Arc::default();
        scene.second().read_as(Some(read.clone()));
        scene.folder.kept.lock().unwrap().codes.push(tried(1, 300, EntryOutcome::Accepted));
        for (seconds, expected) in times {
            scene.book.clock.pass(Duration::from_secs(*seconds));
            let done = scene.run(Input { volatile: volatile.clone(), ..scene.asking("one") }).await.unwrap();
            assert_eq!((scene.codes(), done.lost), (*expected, vec![]), "{read:?} after {seconds} s more");
        }
        assert_eq!(scene.book.memory().ledger.codes.len(), 2, "what the first place has counts: {read:?}");
    }
}

#[tokio::test]
async fn what_only_the_second_place_shows_counts_also_once_the_first_one_counts_as_none() {
    let scene = Scene::with_two_places();
    let volatile: Arc<Mutex<Volatile>> = Arc::default();
    scene.folder.read_as(Some(AttemptsRead::Forbidden("no right".into())));
    let before = (0..4).map(|n| tried(n, 300, EntryOutcome::Accepted));
    scene.second().kept.lock().unwrap().codes.extend(before);
    for seconds in [0, 119, 1] {
        scene.book.clock.pass(Duration::from_secs(seconds));
        let done = scene.run(Input { volatile: volatile.clone(), ..scene.asking("one") }).await.unwrap();
        assert_eq!((scene.codes(), done.lost), (0, vec![]), "nothing is lost after {seconds} s more");
    }
    assert_eq!(scene.book.memory().ledger.codes.len(), 4);
}

#[tokio::test]
async fn a_second_place_that_takes_nothing_holds_nothing_up() {
    type Case = (NotKept, &'static [(u64, usize)]);
    let cases: [Case; 2] = [
        (NotKept::Refused("forbidden".into()), &[(1, 1), (298, 1), (1, 2), (1_799, 2), (1, 3), (10_000, 4)]),
        (
            NotKept::Passing("no answer".into()),
            &[(1, 1), (1, 2), (10, 3), (60, 4), (300, 5), (299, 5), (1, 6)],
        ),
    ];
    for (why, times) in cases {
        let scene = Scene::with_two_places();
        let volatile: Arc<Mutex<Volatile>> = Arc::default();
        let same = || Input { volatile: volatile.clone(), ..scene.input() };
        scene.second().shut(Some(why.clone()));
        let done = scene.run(Input { volatile: volatile.clone(), ..scene.asking("one") }).await.unwrap();
        assert_eq!((scene.folder.ids().len(), scene.second().tries(), done.lost), (1, 1, vec![]));
        for (seconds, expected) in times {
            scene.book.clock.pass(Duration::from_secs(*seconds));
            scene.run(same()).await.unwrap();
            assert_eq!(scene.second().tries(), *expected, "{why:?} after {seconds} s more");
        }
        let (ledger, now) = (scene.book.memory().ledger, scene.shell.clock.now());
        let is_done = volatile.lock().unwrap().keeping.is_done(&ledger, &scene.shell.limits, now);
        assert!(is_done, "{why:?}: nobody waits for it");
        // The next process brings it there.
        scene.second().shut(None);
        scene.once().await.unwrap();
        assert_eq!(scene.second().ids(), scene.folder.ids());
    }
}

#[tokio::test]
async fn attempts_are_kept_for_the_business_portfolio_of_now_and_one_that_is_held_up_is_the_same_one() {
    let scene = Scene::with_two_places();
    let volatile: Arc<Mutex<Volatile>> = Arc::default();
    let of = |portfolio: PortfolioState| Input { portfolio, volatile: volatile.clone(), ..scene.input() };
    let view = |business: &str| {
        PortfolioState::View(Arc::new(PortfolioView { business: business.into(), ..fixture::view() }))
    };
    let mine = fixture::view().business;
    scene.run(Input { volatile: volatile.clone(), ..scene.asking("one") }).await.unwrap();
    let tries = scene.second().tries();
    for portfolio in [PortfolioState::NotYet, view(mine.as_str())] {
        scene.run(of(portfolio)).await.unwrap();
        assert_eq!(scene.second().tries(), tries);
    }
    scene.run(of(view("500000000000099"))).await.unwrap();
    assert_eq!(scene.second().tries(), tries + 1, "of that one nothing is known");
}

#[tokio::test]
async fn attempts_of_an_object_before_count_for_the_next_one() {
    let scene = Scene::with_number([]);
    let before = (0..5).map(|n| tried(n, 300 - 10 * n as u64, EntryOutcome::Accepted));
    scene.folder.kept.lock().unwrap().codes.extend(before);
    let done = scene.run(scene.asking("one more")).await.unwrap();
    assert_eq!(done.plan.block.map(|block| block.reason), Some(Reason::CodeLimitReached));
    assert_eq!((scene.codes(), scene.book.memory().ledger.codes.len()), (0, 5));
    // Now the object knows of them by itself.
    scene.book.clock.pass(Duration::from_secs(600));
    scene.run(scene.asking("and another")).await.unwrap();
    assert_eq!((scene.codes(), scene.folder.reads.load(Ordering::SeqCst)), (0, 1));
    // A day after the first of them there is room again.
    scene.book.clock.pass(Duration::from_secs(20 * 3600));
    scene.run(scene.asking("a third")).await.unwrap();
    assert_eq!(scene.codes(), 1);
    assert_eq!(scene.folder.ids().len(), 6);
}

#[tokio::test]
async fn an_attempt_is_kept_whatever_its_answer_and_whatever_becomes_of_its_object() {
    let refused = || Failure::Refused(fixture::refusal(136_024, None, "T1"));
    let cases: [(&str, Option<Failure>, Vec<Fate>, bool); 6] = [
        ("accepted", None, vec![], true),
        ("the reply is lost", Some(Failure::NoAnswer("lost".into())), vec![], true),
        ("refused", Some(refused()), vec![], true),
        ("not sent", Some(Failure::NotSent("no way".into())), vec![], false),
        ("the object is gone", None, vec![Fate::Lands, Fate::Gone], true),
        ("nobody takes the outcome", None, vec![Fate::Lands, Fate::Away(Duration::from_secs(600))], true),
    ];
    for (what, failure, fates, is_kept) in cases {
        tokio::time::pause();
        let mut scene = Scene::with_number(fates);
        scene.graph.answer = failure.map_or_else(|| Ok("100000000000001".into()), Err);
        let _ = scene.run(scene.asking("one")).await;
        assert_eq!((scene.codes(), scene.folder.ids().len()), (1, usize::from(is_kept)), "{what}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn what_could_not_be_kept_is_kept_by_a_later_pass_and_by_the_next_process() {
    // After how many seconds more it is tried again, and how often until then.
    type Case = (NotKept, &'static [(u64, usize)]);
    let cases: [Case; 2] = [
        (
            NotKept::Passing("no answer".into()),
            &[(1, 1), (2, 2), (9, 2), (2, 3), (55, 3), (10, 4), (300, 5), (300, 6)],
        ),
        (NotKept::Refused("forbidden".into()), &[(60, 1), (180, 1), (120, 2), (600, 2), (1_800, 3)]),
    ];
    for (why, times) in cases {
        let scene = Scene::with_number([]);
        let volatile: Arc<Mutex<Volatile>> = Arc::default();
        let same = || Input { volatile: volatile.clone(), ..scene.input() };
        scene.folder.shut(Some(why.clone()));
        let done = scene.run(Input { volatile: volatile.clone(), ..scene.asking("one") }).await.unwrap();
        assert!(done.outcome.is_some() && scene.folder.ids().is_empty());
        for (seconds, expected) in times {
            scene.book.clock.pass(Duration::from_secs(*seconds));
            let before = scene.folder.tries();
            let done = scene.run(same()).await.unwrap();
            assert_eq!(scene.folder.tries(), *expected, "{why:?} after {seconds} s more");
            assert!(done.rested.is_none(), "it comes again by itself");
            let told = matches!(why, NotKept::Refused(_)) && scene.folder.tries() > before;
            let words = if told { vec![Lost::NotKept("forbidden".into())] } else { vec![] };
            assert_eq!(done.lost, words, "{why:?} after {seconds} s more");
        }
        // The process dies; its successor looks at once, and then knows.
        scene.folder.shut(None);
        let before = scene.folder.tries();
        let volatile: Arc<Mutex<Volatile>> = Arc::default();
        let same = || Input { volatile: volatile.clone(), ..scene.input() };
        for _ in 0..3 {
            scene.run(same()).await.unwrap();
            scene.book.clock.pass(Duration::from_secs(300));
        }
        assert_eq!((scene.folder.ids().len(), scene.folder.tries()), (1, before + 1));
        // What counts no more is nobody's errand.
        scene.book.clock.pass(Duration::from_secs(31 * 86_400));
        scene.once().await.unwrap();
        assert_eq!(scene.folder.tries(), before + 1);
    }
}

#[tokio::test]
async fn a_step_waits_a_while_where_earlier_attempts_cannot_be_read_and_then_they_count_as_none() {
    type Case = (AttemptsRead, &'static [(u64, usize)]);
    let cases: [Case; 3] = [
        (AttemptsRead::Failed("no answer".into()), &[(0, 0), (60, 0), (59, 0), (1, 1)]),
        (AttemptsRead::Forbidden("no right".into()), &[(0, 0), (60, 0), (59, 0), (1, 1)]),
        (AttemptsRead::Unusable("not understood".into()), &[(0, 1)]),
    ];
    for (read, times) in cases {
        let scene = Scene::with_number([]);
        let volatile: Arc<Mutex<Volatile>> = Arc::default();
        scene.folder.read_as(Some(read.clone()));
        for (seconds, expected) in times {
            scene.book.clock.pass(Duration::from_secs(*seconds));
            let done = scene.run(Input { volatile: volatile.clone(), ..scene.asking("one") }).await.unwrap();
            assert_eq!(scene.codes(), *expected, "{read:?} after {seconds} s more");
            let is_lost = matches!(done.lost[..], [Lost::NotRead(_)]);
            assert_eq!((is_lost, done.lost.len()), (*expected == 1, *expected), "{read:?}: {:?}", done.lost);
            if *expected == 0 {
                let reason = done.plan.block.map(|block| block.reason);
                assert_eq!(reason, Some(Reason::ObservationIncomplete), "{read:?}");
                assert!(done.plan.next <= later(scene.shell.clock.now(), Duration::from_secs(60)));
                assert!(done.memory.answered(ConsentKind::SendCode, "one").is_none(), "the consent is kept");
            }
        }
    }
}

#[tokio::test]
async fn a_right_that_comes_back_while_a_step_waits_shows_what_was_tried_before() {
    let scene = Scene::with_number([]);
    let volatile: Arc<Mutex<Volatile>> = Arc::default();
    let asking = || Input { volatile: volatile.clone(), ..scene.asking("one") };
    let before = (0..5).map(|n| tried(n, 300 - 10 * n as u64, EntryOutcome::Accepted));
    scene.folder.kept.lock().unwrap().codes.extend(before);
    scene.folder.read_as(Some(AttemptsRead::Forbidden("no right".into())));
    scene.run(asking()).await.unwrap();
    scene.folder.read_as(None);
    scene.book.clock.pass(Duration::from_secs(300));
    let done = scene.run(asking()).await.unwrap();
    assert_eq!(
        (done.plan.block.map(|block| block.reason), scene.codes()),
        (Some(Reason::CodeLimitReached), 0)
    );
}

#[tokio::test]
async fn what_others_tried_while_they_had_the_number_counts_once_it_is_back() {
    type Way<'a> = (&'static str, &'a dyn Fn(Input<u64>) -> Input<u64>);
    let elsewhere = |input: Input<u64>| Input { claim: Claim::Other { name: None }, ..input };
    let suspended = |input: Input<u64>| {
        let desired = Arc::new(Desired { suspend: true, ..fixture::desired() });
        Input { desired, ..input }
    };
    let watching = |input: Input<u64>| {
        let desired = Arc::new(Desired { management: Management::ObserveOnly, ..fixture::desired() });
        Input { desired, ..input }
    };
    let paused = |input: Input<u64>| Input { claim: Claim::Ours { act_from: Some(Timestamp::MAX) }, ..input };
    let ways: [Way<'_>; 4] = [
        ("another has it", &elsewhere),
        ("suspended", &suspended),
        ("it only watched", &watching),
        ("it was another's just now", &paused),
    ];
    for (what, away) in ways {
        let scene = Scene::with_number([]);
        let volatile: Arc<Mutex<Volatile>> = Arc::default();
        let with = |input: Input<u64>| Input { volatile: volatile.clone(), ..input };
        scene.run(with(scene.asking("one"))).await.unwrap();
        assert_eq!((scene.codes(), scene.folder.reads()), (1, 1), "{what}");
        scene.run(with(away(scene.input()))).await.unwrap();
        scene.book.clock.pass(Duration::from_secs(3 * 3600));
        let now = scene.shell.clock.now();
        let other = |n: u64| Entry {
            at: now - Duration::from_secs(600 - n),
            ..tried(usize::try_from(n).unwrap(), 0, EntryOutcome::Accepted)
        };
        scene.folder.kept.lock().unwrap().codes.extend((0..4).map(other));
        let done = scene.run(with(scene.asking("two"))).await.unwrap();
        assert_eq!(done.plan.block.map(|block| block.reason), Some(Reason::CodeLimitReached), "{what}");
        assert_eq!((scene.codes(), scene.book.memory().ledger.codes.len()), (1, 5), "{what}");
    }
}

#[tokio::test]
async fn attempts_are_kept_and_read_where_the_portfolio_of_now_is() {
    let scene = Scene::with_number([]);
    let volatile: Arc<Mutex<Volatile>> = Arc::default();
    let moved = |value: &str| {
        let mut desired = (*scene.asking(value).desired).clone();
        desired.portfolio.namespace = "another".into();
        Input { desired: Arc::new(desired), volatile: volatile.clone(), ..scene.input() }
    };
    scene.run(Input { volatile: volatile.clone(), ..scene.asking("one") }).await.unwrap();
    assert_eq!((scene.codes(), scene.folder.reads(), scene.folder.ids().len()), (1, 1, 1));
    // In the other namespace there is what others tried, and nothing of this channel.
    let others = (0..5).map(|n| tried(n, 300 - 10 * n as u64, EntryOutcome::Accepted));
    *scene.folder.kept.lock().unwrap() = Ledger { codes: others.collect(), ..Ledger::default() };
    scene.book.clock.pass(Duration::from_secs(600));
    let done = scene.run(moved("two")).await.unwrap();
    assert_eq!(done.plan.block.map(|block| block.reason), Some(Reason::CodeLimitReached));
    assert_eq!((scene.codes(), scene.folder.ids().len()), (1, 6), "its own is kept there, too");
}

#[tokio::test]
async fn where_a_status_is_not_understood_attempts_beside_it_cause_no_pass_after_pass() {
    let scene = Scene::with_number([]);
    scene.run(scene.asking("one")).await.unwrap();
    scene.book.state.lock().unwrap().standing.as_mut().unwrap().memory.unknown =
        Some("a newer format".into());
    scene.folder.kept.lock().unwrap().codes.push(tried(1, 300, EntryOutcome::Accepted));
    let tries = scene.folder.tries();
    let volatile: Arc<Mutex<Volatile>> = Arc::default();
    for _ in 0..3 {
        scene.book.clock.pass(Duration::from_secs(60));
        let done = scene.run(Input { volatile: volatile.clone(), ..scene.input() }).await.unwrap();
        assert!(done.plan.next > later(scene.shell.clock.now(), Duration::from_secs(2)), "{:?}", done.plan);
    }
    assert_eq!(scene.folder.tries(), tries);
}

#[tokio::test]
async fn what_a_write_of_attempts_finds_goes_into_the_status_without_one_more_read() {
    let scene = Scene::with_number([]);
    scene.run(scene.asking("one")).await.unwrap();
    scene.book.clock.pass(Duration::from_secs(600));
    // Another object was there while this process was not.
    let others = (0..2).map(|n| tried(n, 300, EntryOutcome::Accepted));
    scene.folder.kept.lock().unwrap().codes.extend(others);
    let (reads, tries) = (scene.folder.reads(), scene.folder.tries());
    let volatile: Arc<Mutex<Volatile>> = Arc::default();
    let same = || Input { volatile: volatile.clone(), ..scene.input() };
    let done = scene.run(same()).await.unwrap();
    assert!(
        done.rested.is_none() && done.plan.next <= scene.shell.clock.now(),
        "the next pass comes at once"
    );
    scene.run(same()).await.unwrap();
    assert_eq!(scene.book.memory().ledger.codes.len(), 3);
    let writes = scene.book.writes();
    for _ in 0..3 {
        scene.book.clock.pass(Duration::from_secs(1));
        let done = scene.run(same()).await.unwrap();
        assert!(done.plan.next > scene.shell.clock.now());
    }
    let (reads, tries) = (scene.folder.reads() - reads, scene.folder.tries() - tries);
    assert_eq!((reads, tries, scene.book.writes()), (0, 1, writes));
}

#[test]
fn a_second_copy_that_was_not_there_for_a_while_gets_what_it_lacks_once_it_is_back() {
    let (limits, now) = (Limits::default(), fixture::now());
    let ledger = Ledger { codes: vec![tried(1, 5, EntryOutcome::Accepted)], ..Ledger::default() };
    let mut keeping = attempts::Keeping::default();
    keeping.at("shop", Some("500000000000001"));
    keeping.note_kept(&ledger, ledger.clone(), &limits, now);
    assert!(!keeping.is_due(&ledger, true, &limits, now) && keeping.is_known(), "all is there");
    // The portfolio is held up, and the first one alone was written.
    assert!(keeping.had_second());
    keeping.note_owed(keeping.owed(), false, &limits, now);
    assert!(keeping.is_done(&ledger, &limits, now) && !keeping.is_due(&ledger, false, &limits, now));
    assert!(!keeping.is_known(), "what it holds is read before the next step");
    keeping.at("shop", Some("500000000000001"));
    assert!(keeping.is_due(&ledger, true, &limits, now), "it is written once it is back");
    keeping.note_kept(&ledger, ledger.clone(), &limits, now);
    assert!(!keeping.is_due(&ledger, true, &limits, now) && keeping.owed() == 0);
    // A refusal is asked for again later and later.
    let mut pauses = Vec::new();
    for _ in 0..5 {
        keeping.note_owed(keeping.owed(), true, &limits, now);
        let is_due = |minutes: &u64| {
            keeping.is_due(&ledger, true, &limits, now + std::time::Duration::from_secs(60 * minutes))
        };
        pauses.push([5, 30, 120, 360].into_iter().find(is_due));
    }
    assert_eq!(pauses, [5, 30, 120, 360, 360].map(Some));
}

#[tokio::test]
async fn a_clock_that_is_set_back_or_forward_keeps_no_attempts_waiting() {
    for (what, seconds) in [("back", -3_600), ("forward", 3_600)] {
        let limits = Limits::default();
        let begun = fixture::now();
        let now = begun + jiff::SignedDuration::from_secs(seconds);
        let ledger = Ledger { codes: vec![tried(1, 5, EntryOutcome::Accepted)], ..Ledger::default() };
        let mut keeping = attempts::Keeping::default();
        keeping.note_failed(&NotKept::Passing("no answer".into()), &limits, begun);
        let is_due = |keeping: &attempts::Keeping, at| keeping.is_due(&ledger, false, &limits, at);
        assert!(!is_due(&keeping, begun) && is_due(&keeping, now), "{what}");
        // A step is held up for as long as by any clock, and no longer.
        let failed = || AttemptsRead::Failed("no answer".into());
        keeping.heard(failed(), begun);
        keeping.heard(failed(), now);
        let end = now + Duration::from_secs(120);
        assert_eq!(keeping.heard(failed(), end), AttemptsRead::Unusable("no answer".into()), "{what}");
    }
}

#[test]
fn a_step_waits_for_attempts_that_cannot_be_read_unless_one_before_it_waited_lately() {
    let mut keeping = attempts::Keeping::default();
    let mut after = |seconds| {
        let at = fixture::now() + Duration::from_secs(seconds);
        keeping.not_needed(at);
        keeping.heard(AttemptsRead::Failed("no answer".into()), at)
    };
    let (waits, is_over) =
        (AttemptsRead::Failed("no answer".into()), AttemptsRead::Unusable("no answer".into()));
    // A step that is gone waits no more, and the next one waits anew.
    assert_eq!((after(0), after(100), after(200)), (waits.clone(), waits.clone(), waits.clone()));
    // This one waited to the end.
    assert_eq!((after(320), after(330), after(3_700)), (is_over.clone(), is_over.clone(), is_over));
    assert_eq!(after(3_900), waits);
}

#[tokio::test]
async fn of_a_channel_that_waits_for_its_portfolio_nothing_is_kept_beside_its_status() {
    let scene = Scene::with_number([]);
    let volatile: Arc<Mutex<Volatile>> = Arc::default();
    for portfolio in [PortfolioState::NotUsable, PortfolioState::NotYet] {
        scene.run(Input { portfolio, volatile: volatile.clone(), ..scene.input() }).await.unwrap();
        assert!(volatile.lock().unwrap().is_empty(scene.shell.clock.now()));
    }
}
