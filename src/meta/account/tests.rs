//! Shared reads on a clock that the test moves.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

use super::*;

struct Hands(Mutex<Timestamp>);

impl Hands {
    fn pass(&self, seconds: u64) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(Duration::from_secs(seconds)).unwrap();
    }
}

impl Hands {
    fn go_back(&self, seconds: u64) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_sub(Duration::from_secs(seconds)).unwrap();
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Bench {
    clock: Arc<Hands>,
    shared: Arc<Shared<u32, u32>>,
    reads: Arc<AtomicU32>,
    gate: Arc<Notify>,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(Hands(Mutex::new("2026-11-22T12:00:00Z".parse().unwrap())));
        let shared = Arc::new(Shared::within(Arc::clone(&clock) as Arc<dyn Clock>, usize::MAX, |_| 0));
        Self { clock, shared, reads: Arc::default(), gate: Arc::default() }
    }

    /// A read that gives the count of reads so far.
    async fn get(&self, not_before: Timestamp) -> Answer<u32> {
        let reads = Arc::clone(&self.reads);
        self.shared
            .get(
                7,
                not_before,
                Urgency::Drift,
                || async move { Ok(reads.fetch_add(1, Ordering::SeqCst) + 1) },
            )
            .await
    }

    /// A read in a task of its own that waits for the gate and then gives `answer`.
    fn waiting(
        &self,
        not_before: Timestamp,
        urgency: Urgency,
        answer: Result<u32, Failure>,
    ) -> tokio::task::JoinHandle<Answer<u32>> {
        let (shared, gate, reads) =
            (Arc::clone(&self.shared), Arc::clone(&self.gate), Arc::clone(&self.reads));
        tokio::spawn(async move {
            shared
                .get(7, not_before, urgency, || async move {
                    reads.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    answer
                })
                .await
        })
    }
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_read_serves_everybody_who_waits() {
    let bench = Bench::new();
    let waiting: Vec<_> = (0..5).map(|_| bench.waiting(bench.clock.now(), Urgency::Drift, Ok(1))).collect();
    settle().await;
    bench.gate.notify_one();
    for task in waiting {
        assert_eq!(*task.await.unwrap().unwrap(), 1);
    }
    assert_eq!(bench.reads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_kept_value_serves_whoever_finds_it_fresh_enough() {
    let bench = Bench::new();
    let begun = bench.clock.now();
    assert_eq!(*bench.get(begun).await.unwrap(), 1);
    bench.clock.pass(10);
    assert_eq!(*bench.get(begun).await.unwrap(), 1);
    assert_eq!(*bench.get(bench.clock.now()).await.unwrap(), 2);
    assert_eq!(*bench.get(begun).await.unwrap(), 2);
}

#[tokio::test]
async fn a_read_begun_too_early_does_not_serve_and_the_next_one_does() {
    let bench = Bench::new();
    let early = bench.waiting(bench.clock.now(), Urgency::Drift, Ok(1));
    settle().await;
    bench.clock.pass(1);
    let late = bench.waiting(bench.clock.now(), Urgency::Drift, Ok(2));
    settle().await;
    assert_eq!(bench.reads.load(Ordering::SeqCst), 1);
    bench.gate.notify_one();
    assert_eq!(*early.await.unwrap().unwrap(), 1);
    settle().await;
    bench.gate.notify_one();
    assert_eq!(*late.await.unwrap().unwrap(), 2);
}

#[tokio::test]
async fn a_failure_is_told_to_those_who_waited_and_for_a_moment_to_whoever_comes_later() {
    let bench = Bench::new();
    let lost = Failure::NoAnswer("lost".into());
    let first = bench.waiting(bench.clock.now(), Urgency::Drift, Err(lost.clone()));
    let second = bench.waiting(bench.clock.now(), Urgency::Drift, Err(lost));
    settle().await;
    bench.gate.notify_one();
    assert!(first.await.unwrap().is_err() && second.await.unwrap().is_err());
    bench.clock.pass(4);
    assert!(bench.get(bench.clock.now()).await.is_err());
    assert_eq!(bench.reads.load(Ordering::SeqCst), 1);
    bench.clock.pass(1);
    assert_eq!(*bench.get(bench.clock.now()).await.unwrap(), 2);
}

#[tokio::test]
async fn what_fails_again_and_again_is_read_less_and_less_often() {
    let bench = Bench::new();
    let mut reads_at = Vec::new();
    for second in 0..3_000 {
        let reads = bench.reads.load(Ordering::SeqCst);
        let count = Arc::clone(&bench.reads);
        let lost = || async move {
            count.fetch_add(1, Ordering::SeqCst);
            Err(Failure::NoAnswer("lost".into()))
        };
        bench.shared.get(7, bench.clock.now(), Urgency::Transitional, lost).await.unwrap_err();
        if bench.reads.load(Ordering::SeqCst) > reads {
            reads_at.push(second);
        }
        bench.clock.pass(1);
    }
    assert_eq!(reads_at, [0, 5, 15, 35, 75, 155, 315, 635, 1_235, 1_835, 2_435]);
    bench.clock.pass(600);
    bench.get(bench.clock.now()).await.unwrap();
    let again = bench.waiting(bench.clock.now(), Urgency::Drift, Err(Failure::NoAnswer("lost".into())));
    bench.gate.notify_one();
    assert_eq!(*again.await.unwrap().unwrap(), 12, "what was read serves");
    bench.clock.pass(1);
    let again = bench.waiting(bench.clock.now(), Urgency::Drift, Err(Failure::NoAnswer("lost".into())));
    settle().await;
    bench.gate.notify_one();
    again.await.unwrap().unwrap_err();
    bench.clock.pass(5);
    bench.get(bench.clock.now()).await.expect("an answer makes the pauses short again");
}

#[tokio::test]
async fn an_edit_is_looked_at_half_a_minute_after_a_failure_at_the_latest() {
    let bench = Bench::new();
    let mut reads_at = Vec::new();
    for second in 0..1_000 {
        let reads = bench.reads.load(Ordering::SeqCst);
        let count = Arc::clone(&bench.reads);
        let lost = || async move {
            count.fetch_add(1, Ordering::SeqCst);
            Err(Failure::NoAnswer("lost".into()))
        };
        bench.shared.get(7, bench.clock.now(), Urgency::Edit, lost).await.unwrap_err();
        if bench.reads.load(Ordering::SeqCst) > reads {
            reads_at.push(second);
        }
        bench.clock.pass(1);
    }
    assert_eq!(reads_at[..7], [0, 5, 15, 35, 65, 75, 105]);
    let pauses: Vec<_> = reads_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.iter().all(|pause| *pause <= 30), "{pauses:?}");
    assert!(reads_at.len() < 50, "no more often than that: {}", reads_at.len());
}

#[tokio::test]
async fn a_person_who_waits_is_not_put_off_by_a_failure_of_others() {
    let bench = Bench::new();
    for answer in [Err(Failure::NotSent("no connection".into())), Ok(2)] {
        let is_ok = answer.is_ok();
        let person = bench.waiting(bench.clock.now(), Urgency::Person, answer);
        settle().await;
        bench.gate.notify_one();
        assert_eq!(person.await.unwrap().is_ok(), is_ok);
    }
    assert_eq!(bench.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_refused_credential_and_our_own_budget_are_asked_again_at_once() {
    let credential = crate::engine::fixture::refusal(190, None, "T1");
    let bench = Bench::new();
    for failure in [Failure::Refused(credential), Failure::Throttled(bench.clock.now())] {
        let failing = bench.waiting(bench.clock.now(), Urgency::Drift, Err(failure));
        settle().await;
        bench.gate.notify_one();
        failing.await.unwrap().unwrap_err();
    }
    assert_eq!(bench.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_failure_leaves_the_older_value_for_those_whom_it_serves() {
    let bench = Bench::new();
    let begun = bench.clock.now();
    bench.get(begun).await.unwrap();
    bench.clock.pass(10);
    let failing = bench.waiting(bench.clock.now(), Urgency::Drift, Err(Failure::NoAnswer("lost".into())));
    settle().await;
    bench.gate.notify_one();
    assert!(failing.await.unwrap().is_err());
    assert_eq!(*bench.get(begun).await.unwrap(), 1);
}

#[tokio::test]
async fn the_more_urgent_try_again_when_the_less_urgent_were_held_back() {
    let bench = Bench::new();
    let now = bench.clock.now();
    let drift = bench.waiting(now, Urgency::Drift, Err(Failure::Throttled(now)));
    settle().await;
    let person = bench.waiting(now, Urgency::Person, Ok(2));
    settle().await;
    bench.gate.notify_one();
    assert!(drift.await.unwrap().is_err());
    settle().await;
    bench.gate.notify_one();
    assert_eq!(*person.await.unwrap().unwrap(), 2);
}

#[tokio::test]
async fn a_read_goes_on_for_the_others_when_whoever_began_it_goes_away() {
    let bench = Bench::new();
    let first = bench.waiting(bench.clock.now(), Urgency::Drift, Ok(1));
    settle().await;
    let second = bench.waiting(bench.clock.now(), Urgency::Drift, Ok(9));
    settle().await;
    first.abort();
    settle().await;
    bench.gate.notify_one();
    assert_eq!(*second.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_read_that_panics_does_not_hold_up_the_next() {
    let bench = Bench::new();
    let now = bench.clock.now();
    let failed = bench.shared.get(7, now, Urgency::Drift, || async { panic!("on purpose") }).await;
    assert!(matches!(failed, Err(Failure::NotSent(_))));
    assert_eq!(*bench.get(now).await.unwrap(), 1);
}

#[tokio::test]
async fn what_was_forgotten_serves_nobody() {
    let bench = Bench::new();
    let begun = bench.clock.now();
    bench.get(begun).await.unwrap();
    bench.clock.pass(1);
    bench.shared.forget(&7);
    assert_eq!(*bench.get(begun).await.unwrap(), 2);
}

#[tokio::test]
async fn a_time_to_come_is_a_wait_and_no_read() {
    let bench = Bench::new();
    let later = bench.clock.now().checked_add(Duration::from_secs(5)).unwrap();
    assert_eq!(bench.get(later).await.unwrap_err(), Failure::Throttled(later));
    assert_eq!(bench.reads.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn memory_stays_bounded() {
    let bench = Bench::new();
    for key in 0..20_000 {
        bench.clock.pass(30);
        bench.shared.get(key, bench.clock.now(), Urgency::Drift, || async { Ok(1) }).await.unwrap();
    }
    assert!(bench.shared.lock().len() < 4_096);
    for key in 20_000..40_000 {
        bench.clock.pass(30);
        let lost = || async { Err(Failure::NoAnswer("lost".into())) };
        bench.shared.get(key, bench.clock.now(), Urgency::Drift, lost).await.unwrap_err();
    }
    assert!(bench.shared.lock().len() < 4_096);
}

#[tokio::test]
async fn a_clock_that_goes_back_an_hour_neither_keeps_an_old_list_nor_closes_the_account() {
    let bench = Bench::new();
    let hour = 3_600;
    assert_eq!(*bench.get(bench.clock.now()).await.unwrap(), 1);
    bench.shared.forget(&7);
    bench.clock.go_back(hour);
    // What was read may be as old as the clock was wrong.
    assert_eq!(*bench.get(bench.clock.now()).await.unwrap(), 2);
    assert_eq!(*bench.get(bench.clock.now()).await.unwrap(), 2, "and is shared from then on");
    // A failure pauses no longer than it would have.
    let (clock, now) = (&bench.clock, bench.clock.now());
    clock.pass(60);
    let failing = bench.waiting(clock.now(), Urgency::Drift, Err(Failure::NoAnswer("time-out".into())));
    settle().await;
    bench.gate.notify_one();
    assert!(failing.await.unwrap().is_err());
    clock.go_back(hour);
    assert!(clock.now() < now && bench.get(clock.now()).await.is_ok());
}

#[tokio::test]
async fn what_nobody_needs_any_more_is_read_again_for_whoever_does() {
    let bench = Bench::new();
    let now = bench.clock.now();
    assert_eq!(bench.get(now).await.unwrap().as_ref(), &1);
    assert_eq!(bench.get(now).await.unwrap().as_ref(), &1);
    bench.shared.let_go(&7);
    assert!(bench.shared.kept(&7, Timestamp::MIN).is_none());
    assert_eq!(bench.get(Timestamp::MIN).await.unwrap().as_ref(), &2);
}

#[tokio::test]
async fn no_more_is_kept_than_the_bound_and_the_oldest_goes_first() {
    let clock = Arc::new(Hands(Mutex::new("2026-11-22T12:00:00Z".parse().unwrap())));
    let shared: Shared<u32, usize> =
        Shared::within(Arc::clone(&clock) as Arc<dyn Clock>, 100, |bytes| *bytes);
    let read = async |key: u32, bytes: usize| {
        clock.pass(1);
        shared.get(key, clock.now(), Urgency::Drift, || async move { Ok(bytes) }).await.unwrap();
    };
    let kept = || [1, 2, 3].map(|key| shared.kept(&key, Timestamp::MIN).map(|bytes| *bytes));
    read(1, 40).await;
    read(2, 40).await;
    read(1, 50).await;
    assert_eq!(
        (kept(), shared.bytes()),
        ([Some(50), Some(40), None], 90),
        "what was there before counts no more"
    );
    read(3, 30).await;
    assert_eq!(
        (kept(), shared.bytes()),
        ([Some(50), None, Some(30)], 80),
        "the oldest, and no more than that"
    );
    read(2, 101).await;
    assert_eq!(
        (kept(), shared.bytes()),
        ([None, Some(101), None], 101),
        "what was just read serves who waits for it"
    );
    shared.let_go(&2);
    assert_eq!(shared.bytes(), 0);
    read(1, 10).await;
    shared.forget_all();
    assert_eq!(shared.bytes(), 0, "nothing is forgotten that still counts");
}
