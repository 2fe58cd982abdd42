//! What the operator tells about itself: logs, traces, health, metrics.
//!
//! It knows nothing of channels, Meta or Kubernetes; whoever has something to tell
//! hands in words and numbers. Nothing here may ever be given a secret.

pub mod fleet;
pub mod health;
pub mod log;
mod lossy;
mod mask;
pub mod metrics;
mod port;
mod scrape;
pub mod table;
pub mod trace;

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use mask::mask;

use health::Health;
use metrics::Metrics;
use port::Bounds;
use scrape::Limits;

/// Listens at an address: `[::]` is every one of IPv6 and IPv4, and of IPv4 alone where the machine has no IPv6.
///
/// # Errors
///
/// When the address is in use, or is not of this machine.
pub async fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(at).await {
        Err(error)
            if at.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && error.kind() != ErrorKind::AddrInUse =>
        {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, at.port())).await
        }
        bound => bound,
    }
}

/// Serves `/healthz`, `/readyz` and `/metrics` until `over`, and ends soon after it.
pub async fn serve(listener: TcpListener, health: Health, metrics: Arc<Metrics>, over: CancellationToken) {
    port::serve(listener, router(health, metrics), over, Bounds::default()).await;
}

/// The endpoints. None reads a body.
fn router(health: Health, metrics: Arc<Metrics>) -> Router {
    let health = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(health);
    scrape::router(metrics, Limits::default()).merge(health)
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    match health.missing() {
        missing if missing.is_empty() => {
            let notes: String = health.notes().into_iter().map(|note| note + "\n").collect();
            (StatusCode::OK, format!("ok\n{notes}"))
        }
        missing => (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n"),
    }
}
