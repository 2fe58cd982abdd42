//! Events, on transitions, from one recorder that folds repeats.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use super::{Failed, MANAGER, bounded};

/// The process's one recorder.
#[derive(Clone)]
pub struct Events(Recorder);

impl Events {
    /// `instance` tells replicas apart; usually the pod's name.
    pub fn new(client: Client, instance: Option<String>) -> Self {
        Self(Recorder::new(client, Reporter { controller: MANAGER.into(), instance }))
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
        match bounded(self.0.publish(&event, about)).await {
            Ok(_) => {}
            Err(Failed::Gone) => tracing::debug!(reason, "event not published: its namespace is going"),
            Err(error) => tracing::warn!(%error, reason, "event not published"),
        }
    }
}
