//! Structured logs, as text for people or JSON for the cluster.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt};

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Sets up the process's logs, once. `filter` has the form of `RUST_LOG`; one that does not parse falls back to
/// `info`, since an operator that does not start for its log level helps nobody.
pub fn init(format: Format, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr);
    let set = match format {
        Format::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).with_current_span(true).try_init(),
    };
    if let Err(error) = set {
        tracing::debug!(error, "logs were set up before");
    }
}
