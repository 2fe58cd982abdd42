//! What both controllers use: the cluster, and the signals by which they wake each other and count what they did.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use tokio_util::task::TaskTracker;

use crate::engine::desired::PortfolioRef;
use crate::{cluster::event::Events, telemetry::metrics::Metrics};

use super::{claim::Ripple, tell::Notice, wake::Wakes, watch::Key};

/// Kubernetes, as both controllers use it.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    pub events: Events,
}

impl Cluster {
    /// Publishes notices about an object in the background: nothing waits for an event.
    pub fn tell(&self, tasks: &TaskTracker, about: ObjectReference, notices: Vec<Notice>) {
        if notices.is_empty() {
            return;
        }
        let events = self.events.clone();
        tasks.spawn(async move {
            for notice in notices {
                events.publish(&about, notice.is_warning, &notice.reason, notice.note).await;
            }
        });
    }
}

/// What both controllers tell each other and the world.
#[derive(Clone)]
pub struct Signals {
    pub channels: Wakes<Key>,
    /// Channels without a status.
    pub births: Wakes<Key>,
    /// Portfolios whose credential Meta refused to a channel.
    pub doubts: Wakes<PortfolioRef>,
    /// Portfolios whose channels stand otherwise than counted.
    pub recounts: Wakes<PortfolioRef>,
    pub metrics: Arc<Metrics>,
    /// Start of the process.
    pub started: Timestamp,
}

impl Signals {
    /// Without any key.
    pub fn new(metrics: Arc<Metrics>, started: Timestamp) -> Self {
        Self {
            channels: Wakes::default(),
            births: Wakes::default(),
            doubts: Wakes::default(),
            recounts: Wakes::default(),
            metrics,
            started,
        }
    }

    /// Wakes whom a change of a channel concerns.
    pub fn spread(&self, ripple: Ripple) {
        self.channels.wake(ripple.woken);
        self.recounts.wake(ripple.recount);
    }
}
