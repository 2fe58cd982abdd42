//! Removes attempts beside channels that count no more, wherever objects are watched: also where no portfolio is left.

use std::{sync::Arc, time::Duration};

use kube::Client;
use tracing::{info, warn};

use crate::{cluster::attempts, engine::limits::Limits, meta::port::Clock};

use super::supervise::Pulse;

/// Attempts count for weeks, so what counts no more may lie there for another day.
const EVERY: Duration = Duration::from_secs(86_400);
/// A sweep of a namespace ends within this; the next one goes on.
const LONGEST: Duration = Duration::from_secs(30);
/// Between two namespaces, so that a start lists no crowd of them at once.
const BETWEEN: Duration = Duration::from_secs(1);

/// Lists each of these namespaces once a day, or the whole cluster where they are none.
pub async fn sweep<C: Clock>(
    client: &Client,
    namespaces: &[String],
    limits: &Limits,
    clock: &Arc<C>,
    pulse: &Pulse,
) {
    let mut scopes: Vec<Option<&str>> = namespaces.iter().map(|name| Some(name.as_str())).collect();
    if scopes.is_empty() {
        scopes.push(None);
    }
    loop {
        for scope in &scopes {
            pulse.beat();
            let namespace = scope.unwrap_or("*");
            let swept = attempts::sweep(client, *scope, limits, clock.now());
            match tokio::time::timeout(LONGEST, swept).await {
                Ok(Ok(0)) => {}
                Ok(Ok(removed)) => info!(namespace, removed, "attempts that count no more were removed"),
                Ok(Err(error)) => warn!(namespace, %error, "attempts that count no more are not removed"),
                Err(_) => warn!(namespace, "removing attempts that count no more took too long"),
            }
            tokio::time::sleep(BETWEEN).await;
        }
        pulse.sleep(EVERY).await;
    }
}
