//! Events, on transitions, from a recorder that folds repeats.
//!
//! Nothing waits for an event, and nothing fails over one. They wait in a bounded line and are published one by one, at a
//! pace that an API server does not notice; what finds no room is lost.

use std::{panic::AssertUnwindSafe, time::Duration};

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

/// Events that wait.
const LINE: usize = 1_000;
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

/// Publishes the events of the process. Clones share one line.
#[derive(Clone)]
pub struct Events(mpsc::Sender<Told>);

impl Events {
    /// `instance` tells replicas apart; usually the pod's name. Its task, one of `tasks`, ends when the last clone is gone
    /// and what waits then is published.
    pub fn new(client: Client, instance: Option<String>, tasks: &TaskTracker) -> Self {
        let (sender, line) = mpsc::channel(LINE);
        let reporter = Reporter { controller: MANAGER.into(), instance };
        tasks.spawn(async move { Publisher { client, reporter }.work_on(line).await });
        Self(sender)
    }

    /// Has it published.
    ///
    /// `reason` is one of few fixed words and `note` holds no ids and no times, or repeats are not folded.
    pub fn publish(&self, about: ObjectReference, is_warning: bool, reason: String, note: String) {
        let told = Told { about, is_warning, reason, note };
        if let Err(mpsc::error::TrySendError::Full(told)) = self.0.try_send(told) {
            tracing::debug!(reason = told.reason, "event not published: too many wait");
        }
    }
}

struct Publisher {
    client: Client,
    reporter: Reporter,
}

impl Publisher {
    /// Publishes to the end. An event that it cannot get over is lost, and those behind it are not.
    async fn work_on(self, mut line: mpsc::Receiver<Told>) {
        while AssertUnwindSafe(self.work(&mut line)).catch_unwind().await.is_err() {
            tracing::error!("publishing an event panicked; it is lost, and those behind it are published");
        }
    }

    async fn work(&self, line: &mut mpsc::Receiver<Told>) {
        let mut recorder = self.recorder();
        let mut published = 0;
        let mut pace = Pace::new(Instant::now());
        let repeats = Repeats::default();
        while let Some(told) = line.recv().await {
            // The process is ending when nobody can send any more.
            if !line.is_closed() {
                tokio::time::sleep_until(pace.next(Instant::now())).await;
            }
            if published == REMEMBERED {
                (recorder, published) = (self.recorder(), 0);
            }
            published += 1;
            let is_published = publish(&recorder, &repeats, told).await;
            if line.is_closed() && !is_published {
                // The end of the process does not wait for an API server that does not answer.
                return;
            }
        }
    }

    fn recorder(&self) -> Recorder {
        Recorder::new(self.client.clone(), self.reporter.clone())
    }
}

async fn publish(recorder: &Recorder, repeats: &Repeats, told: Told) -> bool {
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
            if let Some(repeated) = repeats.tell(&error.to_string()) {
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
        let tasks = TaskTracker::new();
        let events = Events::new(Client::new(server, "shop"), None, &tasks);
        for reason in ["First", "Second", "Third"] {
            events.publish(ObjectReference::default(), false, reason.into(), String::new());
        }
        drop(events);
        tasks.close();
        tokio::time::timeout(Duration::from_secs(60), tasks.wait()).await.expect("it ends");
        assert_eq!(asked.load(Ordering::SeqCst), 3);
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
