#![allow(clippy::unwrap_used)]

use std::sync::{
    Mutex,
    atomic::{AtomicU8, Ordering},
};

use rstest::rstest;
use tokio::{task::JoinHandle, time::advance};

use super::*;

/// What the flag says by default.
const TERM: Duration = Duration::from_secs(13);
/// So long after a crash another one works.
const CRASH: Duration = Duration::from_secs(15);

/// What stands at the API server.
#[derive(Default)]
struct Standing {
    lease: Option<Lease>,
    version: u64,
}

/// How an API server behaves towards one replica.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Answers,
    /// Nothing arrives.
    CutOff,
    /// Everything arrives, and no answer comes back.
    Unheard,
    Forbids,
}

/// The API server as one replica reaches it.
#[derive(Clone)]
struct Link {
    standing: Arc<Mutex<Standing>>,
    way: Arc<AtomicU8>,
    half_a_call: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self { standing: Arc::default(), way: Arc::default(), half_a_call: Duration::from_millis(20) }
    }
}

impl Link {
    fn goes(&self, way: Way) {
        self.way.store(way as u8, Ordering::Relaxed);
    }

    async fn asked<T>(&self, act: impl FnOnce(&mut Standing) -> Result<T, Failed>) -> Result<T, Failed> {
        let way = self.way.load(Ordering::Relaxed);
        if way == Way::Forbids as u8 {
            return Err(Failed::Forbidden("leases is forbidden".into()));
        }
        if way == Way::CutOff as u8 {
            std::future::pending::<()>().await;
        }
        sleep(self.half_a_call).await;
        let done = act(&mut self.standing.lock().unwrap());
        if way == Way::Unheard as u8 {
            std::future::pending::<()>().await;
        }
        sleep(self.half_a_call).await;
        done
    }

    /// As somebody else writes it, who need not keep to anything.
    fn put(&self, lease: Option<LeaseSpec>) {
        let mut standing = self.standing.lock().unwrap();
        standing.version += 1;
        let version = standing.version.to_string();
        standing.lease = lease.map(|spec| {
            let mut lease = Lease { spec: Some(spec), ..Lease::default() };
            lease.metadata.resource_version = Some(version);
            lease
        });
    }

    fn holder(&self) -> Option<String> {
        self.standing.lock().unwrap().lease.as_ref().and_then(holder).map(str::to_owned)
    }
}

impl Leases for Link {
    async fn read(&self) -> Result<Option<Lease>, Failed> {
        self.asked(|standing| Ok(standing.lease.clone())).await
    }

    async fn write(&self, lease: &Lease) -> Result<Lease, Failed> {
        self.asked(|standing| {
            let stands = standing.lease.as_ref().map(version);
            match (stands, lease.metadata.resource_version.as_deref()) {
                (None, Some(_)) => return Err(Failed::Gone("it is gone".into())),
                (stands, from) if stands != from => return Err(Failed::Conflict("another version".into())),
                _ => {}
            }
            standing.version += 1;
            let mut lease = lease.clone();
            lease.metadata.resource_version = Some(standing.version.to_string());
            standing.lease = Some(lease.clone());
            Ok(lease)
        })
        .await
    }
}

struct Replica {
    link: Link,
    election: Election,
    told: watch::Receiver<MayWork>,
    tells: watch::Sender<MayWork>,
    health: Health,
    metrics: Arc<Metrics>,
    running: JoinHandle<()>,
}

impl Replica {
    fn start(pod: &str, standing: &Link) -> Self {
        let link = Link { way: Arc::default(), ..standing.clone() };
        let election = Election::new(("shop", "whatsapp-operator"), (pod, 7), TERM);
        let (sender, told) = watch::channel(MayWork::No);
        let (health, metrics) = (Health::waiting_for([(PART, "not read yet")]), Arc::new(Metrics::default()));
        let candidate = Candidate {
            leases: link.clone(),
            election: election.clone(),
            told: sender.clone(),
            health: health.clone(),
            metrics: metrics.clone(),
        };
        let running = tokio::spawn(async move { candidate.run(&Pulse::new()).await });
        Self { link, election, told, tells: sender, health, metrics, running }
    }

    /// Ends it as a clean stop does. Once the Lease is free, nothing that it began may go on.
    async fn stop(&self) {
        self.running.abort();
        let freed = async {
            while self.link.holder().as_ref() == Some(&self.election.identity) {
                sleep(Duration::from_millis(1)).await;
            }
            self.works()
        };
        let ((), works) = tokio::join!(release(&self.link, &self.election, &self.tells), freed);
        assert!(!works, "the Lease is free, and what was begun may go on");
    }

    fn works(&self) -> bool {
        self.told.borrow().holds()
    }

    fn notes(&self) -> String {
        self.health.notes().concat()
    }
}

/// Lets time pass and looks every 50 ms who works: never two. Gives back when nobody worked any more, and when somebody else
/// did, after it began.
async fn watched(replicas: &[&Replica], time: Duration) -> Vec<(Duration, Option<usize>)> {
    let begun = Instant::now();
    let mut turns: Vec<(Duration, Option<usize>)> = Vec::new();
    while begun.elapsed() < time {
        let working: Vec<usize> = (0..replicas.len()).filter(|at| replicas[*at].works()).collect();
        assert!(working.len() <= 1, "{working:?} work after {:?}", begun.elapsed());
        let works = working.first().copied();
        if turns.last().map(|(_, works)| *works) != Some(works) {
            turns.push((begun.elapsed(), works));
        }
        sleep(Duration::from_millis(50)).await;
    }
    turns
}

fn other_one(turns: &[(Duration, Option<usize>)], than: usize) -> Duration {
    turns.iter().find(|(_, works)| works.is_some_and(|works| works != than)).expect("another one works").0
}

fn held_by(holder: &str, renewed: Timestamp) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(holder.into()),
        lease_duration_seconds: i32::try_from(TERM.as_secs()).ok(),
        renew_time: Some(MicroTime(renewed)),
        ..LeaseSpec::default()
    }
}

#[tokio::test(start_paused = true)]
async fn of_three_that_start_together_one_works_and_the_others_are_ready() {
    let api = Link::default();
    let all = ["a", "b", "c"].map(|pod| Replica::start(pod, &api));
    let turns = watched(&all.each_ref(), Duration::from_secs(60)).await;
    assert_eq!(turns.len(), 2, "nobody, then one for good: {turns:?}");
    for replica in &all {
        let leads = usize::from(replica.works());
        assert!(replica.metrics.encode().contains(&format!("whatsapp_operator_leader {leads}\n")));
        assert!(replica.health.missing().is_empty());
        let says = if replica.works() { "this replica leads" } else { "this replica stands by" };
        assert!(replica.notes().starts_with(says), "{}", replica.notes());
    }
    let transitions =
        api.standing.lock().unwrap().lease.as_ref().unwrap().spec.clone().unwrap().lease_transitions;
    assert_eq!(transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_stops_before_another_begins() {
    for way in [Way::CutOff, Way::Unheard, Way::Forbids] {
        let api = Link::default();
        let first = Replica::start("a", &api);
        sleep(Duration::from_secs(5)).await;
        let second = Replica::start("b", &api);
        sleep(Duration::from_secs(7)).await;
        first.link.goes(way);
        let turns = watched(&[&first, &second], Duration::from_secs(40)).await;
        let words = |at: usize| turns.get(at).map(|(_, works)| *works);
        assert_eq!((words(0), words(1), words(2)), (Some(Some(0)), Some(None), Some(Some(1))), "{turns:?}");
        let (stopped, began) = (turns[1].0, turns[2].0);
        assert!(stopped <= TERM * 2 / 3 && began >= stopped + Duration::from_secs(4), "{turns:?}");
        // What is heard of no more may have renewed it once more.
        let limit = CRASH + if way == Way::Unheard { TERM * 2 / 3 } else { Duration::ZERO };
        assert!(began <= limit, "{turns:?}");
        // It comes back as the one that stands by.
        first.link.goes(Way::Answers);
        let turns = watched(&[&first, &second], Duration::from_secs(40)).await;
        assert_eq!(turns, [(Duration::ZERO, Some(1))]);
        assert!(first.health.missing().is_empty() && first.notes().contains("stands by"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_leaves_the_lease_and_another_begins_at_once() {
    let api = Link::default();
    let first = Replica::start("a", &api);
    sleep(Duration::from_secs(5)).await;
    let second = Replica::start("b", &api);
    sleep(Duration::from_secs(5)).await;
    first.stop().await;
    assert_eq!(api.holder(), None);
    let turns = watched(&[&second], Duration::from_secs(10)).await;
    assert!(turns.len() == 2 && turns[1].0 <= Duration::from_millis(1_200), "{turns:?}");
    // Whoever does not hold it has nothing to leave.
    first.stop().await;
    assert_eq!(api.holder(), Some(second.election.identity.clone()));
}

/// Whenever it ends between two looks of the other one, which then reads the Lease once and writes it.
#[rstest]
#[case::fast(20)]
#[case::slow(150)]
#[tokio::test(start_paused = true)]
async fn whenever_one_ends_another_works_within_one_look_and_its_calls(#[case] half_a_call: u64) {
    const SEEN: Duration = Duration::from_millis(50);
    let call = Duration::from_millis(half_a_call) * 2;
    let mut latest = Duration::ZERO;
    for moment in 0..40 {
        let api = Link { half_a_call: Duration::from_millis(half_a_call), ..Link::default() };
        let first = Replica::start("a", &api);
        sleep(Duration::from_secs(5)).await;
        let second = Replica::start("b", &api);
        sleep(Duration::from_secs(5) + Duration::from_millis(71) * moment).await;
        first.stop().await;
        let turns = watched(&[&second], Duration::from_secs(10)).await;
        let began = other_one(&turns, usize::MAX);
        assert!(began <= second.election.look() + call * 2 + SEEN, "{moment}: {turns:?}");
        latest = latest.max(began);
        second.running.abort();
    }
    assert!(latest > call * 2, "the worst moment is among them: {latest:?}");
}

/// Whenever it vanishes between two renewals, and whenever the other one looks; each call takes this long.
#[rstest]
#[case::fast(20)]
#[case::slow(150)]
#[tokio::test(start_paused = true)]
async fn one_that_vanishes_is_followed_within_fifteen_seconds(#[case] half_a_call: u64) {
    let mut latest = Duration::ZERO;
    for moment in 0..40 {
        let api = Link { half_a_call: Duration::from_millis(half_a_call), ..Link::default() };
        let first = Replica::start("a", &api);
        sleep(Duration::from_secs(5)).await;
        let second = Replica::start("b", &api);
        sleep(Duration::from_secs(8) + Duration::from_millis(71) * moment).await;
        first.running.abort();
        let turns = watched(&[&second], Duration::from_secs(40)).await;
        let began = other_one(&turns, usize::MAX);
        assert!((Duration::from_secs(10)..CRASH).contains(&began), "{moment}: {turns:?}");
        latest = latest.max(began);
        second.running.abort();
    }
    assert!(latest > TERM, "the worst moment is among them: {latest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stood_still_knows_it_before_it_is_told() {
    let api = Link::default();
    let first = Replica::start("a", &api);
    sleep(Duration::from_secs(5)).await;
    assert!(first.works());
    // Nothing of it runs in this time.
    advance(Duration::from_secs(11)).await;
    assert!(!first.works() && *first.told.borrow() != MayWork::No, "{:?}", first.told.borrow());
    sleep(Duration::from_millis(1)).await;
    assert_eq!(*first.told.borrow(), MayWork::No);
}

#[tokio::test(start_paused = true)]
async fn the_times_in_a_lease_count_for_nothing() {
    let minutes = |minutes: i64| Timestamp::now() + jiff::SignedDuration::from_mins(minutes);
    for renewed in [minutes(-5), minutes(5), minutes(-5_000), minutes(5_000)] {
        let api = Link::default();
        api.put(Some(held_by("b_0123456789abcdef", renewed)));
        let own = Replica::start("a", &api);
        // Somebody renews it, with a clock that is wrong.
        for _ in 0..20 {
            sleep(Duration::from_secs(9)).await;
            assert!(!own.works(), "{renewed}");
            api.put(Some(held_by("b_0123456789abcdef", renewed)));
        }
        let turns = watched(&[&own], Duration::from_secs(30)).await;
        let began = other_one(&turns, usize::MAX);
        assert!((TERM..CRASH).contains(&began), "{renewed}: {turns:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_in_the_hands_of_a_stranger_is_told_and_left_alone() {
    let api = Link::default();
    let own = Replica::start("a", &api);
    sleep(Duration::from_secs(5)).await;
    assert!(own.works());
    api.put(Some(held_by("somebody", Timestamp::now())));
    sleep(Duration::from_secs(3)).await;
    for _ in 0..10 {
        assert!(!own.works() && own.health.missing().is_empty());
        assert!(own.notes().contains("held by somebody, which is no replica"), "{}", own.notes());
        assert!(own.notes().contains("--leader-election-name"), "{}", own.notes());
        sleep(Duration::from_secs(5)).await;
        api.put(Some(held_by("somebody", Timestamp::now())));
    }
    // It asked to be left alone for longer than we would.
    api.put(Some(LeaseSpec { lease_duration_seconds: Some(60), ..held_by("somebody", Timestamp::now()) }));
    let turns = watched(&[&own], Duration::from_secs(80)).await;
    assert!(other_one(&turns, usize::MAX) >= Duration::from_secs(60), "{turns:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_a_stranger_took_for_good_is_told_with_its_time_and_goes_when_it_is_deleted() {
    let api = Link::default();
    let for_good =
        LeaseSpec { lease_duration_seconds: Some(i32::MAX), ..held_by("somebody", Timestamp::now()) };
    api.put(Some(for_good));
    let own = Replica::start("a", &api);
    sleep(Duration::from_secs(3600)).await;
    assert!(!own.works() && own.health.missing().is_empty());
    let remedy = "within about 2147483647 s, or at once when somebody deletes the Lease";
    assert!(own.notes().contains(remedy), "{}", own.notes());
    api.put(None);
    sleep(Duration::from_secs(2)).await;
    assert!(own.works(), "{}", own.notes());
}

#[tokio::test(start_paused = true)]
async fn a_lease_without_a_duration_ends_after_our_own() {
    for asked in [None, Some(0), Some(-1)] {
        let api = Link::default();
        let lease = held_by("b_0123456789abcdef", Timestamp::now());
        api.put(Some(LeaseSpec { lease_duration_seconds: asked, ..lease }));
        let own = Replica::start("a", &api);
        let turns = watched(&[&own], Duration::from_secs(30)).await;
        let began = other_one(&turns, usize::MAX);
        assert!((TERM..TERM + Duration::from_secs(1)).contains(&began), "{asked:?}: {turns:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_costs_nothing() {
    let api = Link::default();
    let own = Replica::start("a", &api);
    let other = Replica::start("b", &api);
    sleep(Duration::from_secs(5)).await;
    let (leads, stands_by) = if own.works() { (&own, &other) } else { (&other, &own) };
    leads.link.goes(Way::Unheard);
    sleep(Duration::from_secs(3)).await;
    leads.link.goes(Way::Answers);
    let turns = watched(&[leads, stands_by], Duration::from_secs(60)).await;
    assert_eq!(turns, [(Duration::ZERO, Some(0))]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_deleted_ends_the_work_and_is_made_anew() {
    let api = Link::default();
    let own = Replica::start("a", &api);
    sleep(Duration::from_secs(5)).await;
    api.put(None);
    let turns = watched(&[&own], Duration::from_secs(10)).await;
    let works: Vec<_> = turns.iter().map(|(_, works)| *works).collect();
    assert_eq!(works, [Some(0), None, Some(0)], "{turns:?}");
}

#[tokio::test(start_paused = true)]
async fn without_rights_nothing_is_done_and_the_remedy_is_told() {
    let api = Link::default();
    let own = Replica::start("a", &api);
    own.link.goes(Way::Forbids);
    sleep(Duration::from_secs(30)).await;
    let missing = own.health.missing().concat();
    assert!(!own.works() && !own.running.is_finished());
    for part in ["Lease whatsapp-operator in namespace shop", "may not be read", "get and update this one"] {
        assert!(missing.contains(part), "{missing}");
    }
    own.link.goes(Way::Answers);
    sleep(Duration::from_secs(3)).await;
    assert!(own.works() && own.health.missing().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_for_a_moment_is_no_news_to_readiness() {
    let api = Link::default();
    api.put(Some(held_by("b_0123456789abcdef", Timestamp::now())));
    let own = Replica::start("a", &api);
    sleep(Duration::from_secs(2)).await;
    own.link.goes(Way::CutOff);
    sleep(Duration::from_secs(12)).await;
    assert!(own.health.missing().is_empty() && !own.works());
    sleep(Duration::from_secs(18)).await;
    assert!(own.health.missing().concat().contains("cannot be read"), "{:?}", own.health.missing());
    assert!(!own.works(), "what it cannot see it does not take");
}
