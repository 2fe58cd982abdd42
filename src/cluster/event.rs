//! Events, on transitions, from a recorder that folds repeats.
//!
//! Nothing waits for an event, and nothing fails over one. They wait in a bounded line and are published one by one, at a
//! pace that an API server does not notice. The namespaces take turns, so that one of which much is told keeps no other
//! waiting. What finds no room is lost, and counted.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::task::TaskTracker;

use crate::repeat::Repeats;

use super::call::{Failed, MANAGER, bounded};

/// Events that wait, in all and of one namespace.
const LINE: usize = 1_000;
const OF_ONE: usize = LINE / 2;
/// That many at once, and one more each [`PACE`].
const BURST: u32 = 50;
const PACE: Duration = Duration::from_millis(100);
/// A recorder keeps every event of its last minutes whole, and lets go of them only when it publishes another:
/// after this many it makes room for a new one, so that a burst does not stay in memory.
const REMEMBERED: u32 = 64;

/// What is told of an object.
#[derive(Debug)]
struct Told {
    about: ObjectReference,
    is_warning: bool,
    reason: String,
    note: String,
}

impl Told {
    fn namespace(&self) -> &str {
        self.about.namespace.as_deref().unwrap_or_default()
    }
}

/// What waits, in turns.
#[derive(Debug, Default)]
struct Line {
    waiting: BTreeMap<Box<str>, VecDeque<Told>>,
    /// The namespaces of these, the next one first.
    turns: VecDeque<Box<str>>,
    count: usize,
}

impl Line {
    /// Gives back what finds no room: where too many wait in all, it is the last of the namespace that has most of them.
    fn put(&mut self, told: Told) -> Option<Told> {
        let own = self.waiting.get(told.namespace()).map_or(0, VecDeque::len);
        if own >= OF_ONE {
            return Some(told);
        }
        let mut lost = None;
        if self.count >= LINE {
            let longest = self.waiting.values_mut().max_by_key(|waiting| waiting.len());
            let Some(longest) = longest.filter(|longest| longest.len() > own + 1) else { return Some(told) };
            lost = longest.pop_back();
            self.count -= 1;
        }
        let of: Box<str> = told.namespace().into();
        if own == 0 {
            self.turns.push_back(of.clone());
        }
        self.waiting.entry(of).or_default().push_back(told);
        self.count += 1;
        lost
    }

    fn take(&mut self) -> Option<Told> {
        let of = self.turns.pop_front()?;
        let waiting = self.waiting.get_mut(&of)?;
        let told = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&of);
        } else {
            self.turns.push_back(of);
        }
        self.count -= 1;
        told
    }
}

/// What waits, and who counts what is lost.
struct Shared {
    line: Mutex<Line>,
    lost: Box<dyn Fn() + Send + Sync>,
    repeats: Repeats,
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes the events of the process. Clones share one line.
#[derive(Clone)]
pub struct Events {
    shared: Arc<Shared>,
    bell: mpsc::Sender<()>,
}

impl Events {
    /// `instance` tells replicas apart; usually the pod's name. `lost` is called for each event that is not published. Its
    /// task, one of `tasks`, ends when the last clone is gone and what waits then is published.
    pub fn new(
        client: Client,
        instance: Option<String>,
        lost: impl Fn() + Send + Sync + 'static,
        tasks: &TaskTracker,
    ) -> Self {
        let (bell, rings) = mpsc::channel(1);
        let reporter = Reporter { controller: MANAGER.into(), instance };
        let shared =
            Arc::new(Shared { line: Mutex::default(), lost: Box::new(lost), repeats: Repeats::default() });
        let own = shared.clone();
        tasks.spawn(async move { Publisher { client, reporter, shared: own }.work_on(rings).await });
        Self { shared, bell }
    }

    /// Has it published.
    ///
    /// `reason` is one of few fixed words and `note` holds no ids and no times, or repeats are not folded.
    pub fn publish(&self, about: ObjectReference, is_warning: bool, reason: String, note: String) {
        let lost = self.shared.line().put(Told { about, is_warning, reason, note });
        // Where it is full, it rings already.
        let _ = self.bell.try_send(());
        let Some(told) = lost else { return };
        (self.shared.lost)();
        if let Some(repeated) = self.shared.repeats.tell("an event found no room") {
            let (namespace, reason) = (told.namespace(), &told.reason);
            tracing::warn!(namespace, reason, repeated, "event not published: too many wait");
        }
    }
}

struct Publisher {
    client: Client,
    reporter: Reporter,
    shared: Arc<Shared>,
}

impl Publisher {
    /// Publishes to the end. An event that it cannot get over is lost, and those behind it are not.
    async fn work_on(self, mut rings: mpsc::Receiver<()>) {
        while AssertUnwindSafe(self.work(&mut rings)).catch_unwind().await.is_err() {
            (self.shared.lost)();
            tracing::error!("publishing an event panicked; it is lost, and those behind it are published");
        }
    }

    /// What is next in line. `None`: nothing waits, and nobody can put anything there any more.
    async fn next(&self, rings: &mut mpsc::Receiver<()>) -> Option<Told> {
        loop {
            let next = self.shared.line().take();
            if next.is_some() {
                return next;
            }
            rings.recv().await?;
        }
    }

    async fn work(&self, rings: &mut mpsc::Receiver<()>) {
        let mut recorder = self.recorder();
        let mut published = 0;
        let mut pace = Pace::new(Instant::now());
        while let Some(told) = self.next(rings).await {
            // The process is ending when nobody can send any more.
            if !rings.is_closed() {
                tokio::time::sleep_until(pace.next(Instant::now())).await;
            }
            if published == REMEMBERED {
                (recorder, published) = (self.recorder(), 0);
            }
            published += 1;
            let is_published = publish(&recorder, &self.shared, told).await;
            if rings.is_closed() && !is_published {
                // The end of the process does not wait for an API server that does not answer.
                return;
            }
        }
    }

    fn recorder(&self) -> Recorder {
        Recorder::new(self.client.clone(), self.reporter.clone())
    }
}

async fn publish(recorder: &Recorder, shared: &Shared, told: Told) -> bool {
    let Told { about, is_warning, reason, note } = told;
    let event = Event {
        type_: if is_warning { EventType::Warning } else { EventType::Normal },
        reason: reason.clone(),
        note: (!note.is_empty()).then_some(note),
        action: "Reconcile".into(),
        secondary: None,
    };
    match bounded(recorder.publish(&event, &about)).await {
        Ok(()) => true,
        Err(Failed::Gone(_)) => {
            tracing::debug!(reason, "event not published: its namespace is going");
            true
        }
        Err(error) => {
            (shared.lost)();
            if let Some(repeated) = shared.repeats.tell(&error.to_string()) {
                tracing::warn!(%error, reason, repeated, "event not published");
            }
            false
        }
    }
}

/// When the next event may go out.
struct Pace {
    /// At this time every place of the burst would be free again.
    full: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { full: now }
    }

    fn next(&mut self, now: Instant) -> Instant {
        self.full = self.full.max(now) + PACE;
        (self.full - PACE * BURST).max(now)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use axum::{body::Body, http};

    use super::*;
    use crate::repeat::heard::Heard;

    #[tokio::test(start_paused = true)]
    async fn an_event_that_makes_it_panic_takes_no_other_with_it() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let server = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            let count = count.clone();
            async move {
                assert!(count.fetch_add(1, Ordering::SeqCst) > 0, "broken");
                Ok::<_, Infallible>(http::Response::new(Body::from("{}")))
            }
        });
        let (tasks, lost) = (TaskTracker::new(), Arc::new(AtomicUsize::new(0)));
        let events = Events::new(Client::new(server, "shop"), None, counts(&lost), &tasks);
        for reason in ["First", "Second", "Third"] {
            events.publish(ObjectReference::default(), false, reason.into(), String::new());
        }
        drop(events);
        tasks.close();
        tokio::time::timeout(Duration::from_secs(60), tasks.wait()).await.expect("it ends");
        assert_eq!((asked.load(Ordering::SeqCst), lost.load(Ordering::SeqCst)), (3, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_room_is_counted_and_told_once_a_minute() {
        let heard = Heard::from_now_on();
        let server = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Ok::<_, Infallible>(http::Response::new(Body::from("{}")))
        });
        let lost = Arc::new(AtomicUsize::new(0));
        let events = Events::new(Client::new(server, "shop"), None, counts(&lost), &TaskTracker::new());
        for _ in 0..2 {
            // Nothing is published meanwhile: nobody else has a turn on this thread.
            for n in 0..OF_ONE + 7 {
                let about = ObjectReference { namespace: Some("shop".into()), ..ObjectReference::default() };
                events.publish(about, false, n.to_string(), String::new());
            }
        }
        assert_eq!(lost.load(Ordering::SeqCst), OF_ONE + 14);
        assert_eq!(heard.lines(&["too many wait", "shop"]).len(), 1);
        tokio::time::sleep(Duration::from_secs(61)).await;
        for n in 0..=OF_ONE {
            let about = ObjectReference { namespace: Some("shop".into()), ..ObjectReference::default() };
            events.publish(about, false, n.to_string(), String::new());
        }
        assert_eq!(heard.lines(&["too many wait", &format!("repeated={}", OF_ONE + 13)]).len(), 1);
        assert_eq!(lost.load(Ordering::SeqCst), OF_ONE + 15);
    }

    fn counts(lost: &Arc<AtomicUsize>) -> impl Fn() + Send + Sync + 'static {
        let lost = lost.clone();
        move || {
            lost.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn told(namespace: &str, nth: usize) -> Told {
        let about = ObjectReference { namespace: Some(namespace.into()), ..ObjectReference::default() };
        Told { about, is_warning: false, reason: nth.to_string(), note: String::new() }
    }

    #[test]
    fn a_namespace_of_which_much_is_told_keeps_no_other_waiting() {
        let mut line = Line::default();
        let lost = (0..2 * LINE).filter(|n| line.put(told("loud", *n)).is_some()).count();
        assert_eq!(lost, 2 * LINE - OF_ONE);
        for n in 0..3 {
            assert!(line.put(told("quiet", n)).is_none());
        }
        let next: Vec<_> = std::iter::from_fn(|| line.take()).collect();
        let of = |one: &Told| format!("{} {}", one.namespace(), one.reason);
        assert_eq!(
            next[..5].iter().map(of).collect::<Vec<_>>(),
            ["loud 0", "quiet 0", "loud 1", "quiet 1", "loud 2"]
        );
        assert_eq!((next.len(), line.count, line.waiting.len()), (OF_ONE + 3, 0, 0));
    }

    #[test]
    fn where_too_many_namespaces_are_loud_the_next_one_takes_the_place_of_the_loudest() {
        let mut line = Line::default();
        let loud = LINE / OF_ONE + 3;
        for n in 0..OF_ONE {
            for of in 0..loud {
                line.put(told(&format!("loud-{of}"), n));
            }
        }
        assert_eq!(line.count, LINE);
        let lost = line.put(told("quiet", 0)).expect("one has to go");
        assert!(lost.namespace().starts_with("loud"), "{lost:?}");
        assert_eq!(line.count, LINE);
        let own = std::iter::from_fn(|| line.take()).take(loud + 1).filter(|one| one.namespace() == "quiet");
        assert_eq!(own.count(), 1, "it has its turn in the first round");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_out_at_once_and_a_crowd_at_a_pace() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun);
        let at: Vec<Duration> = (0..250).map(|_| pace.next(begun) - begun).collect();
        assert!(at[..50].iter().all(Duration::is_zero), "{at:?}");
        assert_eq!(at[249], PACE * 200);
        // After a rest there is room for a burst again.
        let later = begun + Duration::from_secs(60);
        assert_eq!(pace.next(later), later);
    }
}
