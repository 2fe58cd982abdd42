//! Events, on transitions, from a recorder that folds repeats.

use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use super::call::{Failed, MANAGER, bounded};

/// A recorder keeps every event of its last minutes whole, and lets go of them only when it publishes another:
/// after this many it makes room for a new one, so that a burst does not stay in memory.
const REMEMBERED: u32 = 64;

/// Publishes the events of the process. Clones share one recorder.
#[derive(Clone)]
pub struct Events(Arc<Mutex<Recording>>);

struct Recording {
    client: Client,
    reporter: Reporter,
    recorder: Recorder,
    published: u32,
}

impl Events {
    /// `instance` tells replicas apart; usually the pod's name.
    pub fn new(client: Client, instance: Option<String>) -> Self {
        let reporter = Reporter { controller: MANAGER.into(), instance };
        let recorder = Recorder::new(client.clone(), reporter.clone());
        Self(Arc::new(Mutex::new(Recording { client, reporter, recorder, published: 0 })))
    }

    fn recorder(&self) -> Recorder {
        let mut recording = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recording.published == REMEMBERED {
            recording.recorder = Recorder::new(recording.client.clone(), recording.reporter.clone());
            recording.published = 0;
        }
        recording.published += 1;
        recording.recorder.clone()
    }

    /// Publishes, or logs why not: nothing fails over an event.
    ///
    /// `reason` is one of few fixed words and `note` holds no ids and no times, or repeats are not folded.
    pub async fn publish(&self, about: &ObjectReference, is_warning: bool, reason: &str, note: String) {
        let event = Event {
            type_: if is_warning { EventType::Warning } else { EventType::Normal },
            reason: reason.into(),
            note: (!note.is_empty()).then_some(note),
            action: "Reconcile".into(),
            secondary: None,
        };
        match bounded(self.recorder().publish(&event, about)).await {
            Ok(()) => {}
            Err(Failed::Gone(_)) => tracing::debug!(reason, "event not published: its namespace is going"),
            Err(error) => tracing::warn!(%error, reason, "event not published"),
        }
    }
}
