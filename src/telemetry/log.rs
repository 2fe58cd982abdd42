//! Structured logs, as text for people or JSON for the cluster.

use std::{
    fmt::Debug,
    io::{self, IsTerminal, Write},
    panic,
};

use prometheus_client::metrics::counter::Counter;
use tracing::{Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter,
    field::MakeExt as _,
    fmt,
    fmt::{MakeWriter, format},
    util::SubscriberInitExt as _,
};

use super::lossy::Lossy;
use crate::escape;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Whoever carries secrets over the wire may tell that something failed, and never what: the Kubernetes client warns
/// with the whole answer that it could not read, which may be a Secret, and the others tell addresses and frames.
const TIGHT_LIPPED: [&str; 6] =
    ["kube_client::client=error", "reqwest=info", "hyper=info", "hyper_util=info", "h2=info", "rustls=info"];

fn bounded(filter: &str) -> EnvFilter {
    let asked = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    TIGHT_LIPPED.iter().filter_map(|directive| directive.parse().ok()).fold(asked, EnvFilter::add_directive)
}

/// Colours only on a terminal, and not with `NO_COLOR`.
fn has_colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The logs of the process. When it goes, what waits is written, for at most a second.
#[derive(Debug)]
pub struct Logs(Lossy);

impl Logs {
    /// Counts the lines that were lost.
    pub fn lost(&self) -> Counter {
        self.0.lost()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.0.settle();
    }
}

/// Sets up the process's logs, once. `filter` has the form of `RUST_LOG`; one that does not parse falls back to
/// `info`, because a wrong log level must not keep the operator from starting. Panics are logged as well: nobody waits
/// for a log, and everybody would wait for standard error itself.
///
/// # Errors
///
/// When the system gives no thread.
pub fn init(format: Format, filter: &str) -> io::Result<Logs> {
    let lossy = Lossy::new(io::stderr())?;
    let set = logs(format, filter, has_colours(), lossy.clone()).try_init();
    match set {
        Ok(()) => panic::set_hook(Box::new(|panic| tracing::error!("{panic}"))),
        Err(error) => tracing::debug!(%error, "logs were set up before"),
    }
    Ok(Logs(lossy))
}

/// What others wrote, such as a name or a message of Meta's, may hold what a terminal obeys. It is written out.
fn logs<W>(format: Format, filter: &str, colours: bool, to: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // What cannot be formatted would be told on standard error, and panic where that takes no more.
    let builder = fmt().with_env_filter(bounded(filter)).log_internal_errors(false);
    match format {
        Format::Text => {
            let fields = format::debug_fn(field).delimited(" ");
            Box::new(builder.with_ansi(colours).fmt_fields(fields).with_writer(to).finish())
        }
        Format::Json => {
            let builder = builder.json().flatten_event(true).with_current_span(true);
            Box::new(builder.with_writer(Json(to)).finish())
        }
    }
}

fn field(to: &mut format::Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let value = format!("{value:?}");
    match field.name() {
        "message" => write!(to, "{}", escape::line(&value)),
        // Where in the sources of a library a record of the crate `log` comes from.
        name if name.starts_with("log.") => Ok(()),
        name => write!(to, "{}={}", name.trim_start_matches("r#"), escape::line(&value)),
    }
}

/// Writes lines of JSON.
struct Json<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for Json<W> {
    type Writer = Json<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Json(self.0.make_writer())
    }
}

impl<W: Write> Write for Json<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(escape::json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_goes_over_the_wire_is_not_logged_at_any_level() {
        for filter in ["trace", "info", "kube_client=trace,reqwest=trace,info", "whatsapp_operator=loud"] {
            let kept = Kept::default();
            let writer = kept.clone();
            let logs = fmt().with_env_filter(bounded(filter)).with_writer(move || writer.clone()).finish();
            tracing::subscriber::with_default(logs, || {
                tracing::warn!(target: "kube_client::client", "an answer with a secret in it");
                tracing::debug!(target: "hyper::proto", "a frame with a secret in it");
                tracing::trace!(target: "reqwest::connect", "a write with a secret in it");
                tracing::error!(target: "kube_client::client", "it failed");
                tracing::info!("told by ourselves");
            });
            let text = String::from_utf8(kept.0.lock().expect("the text").clone()).expect("text");
            assert!(!text.contains("secret"), "{filter}: {text}");
            assert!(text.contains("it failed") && text.contains("told by ourselves"), "{filter}: {text}");
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_written_out() {
        let hostile = "a\u{1b}]0;b\u{7}\n\u{202e}\u{200b}\u{2066}\u{9b}";
        for (format, colours) in [(Format::Text, false), (Format::Text, true), (Format::Json, false)] {
            let kept = Kept::default();
            let writer = kept.clone();
            tracing::subscriber::with_default(logs(format, "info", colours, move || writer.clone()), || {
                let span = tracing::info_span!("pass", channel = %hostile);
                let _within = span.enter();
                tracing::info!(name = %hostile, quoted = hostile, debug = ?hostile, "Meta says {hostile}");
            });
            let text = String::from_utf8(kept.0.lock().expect("the text").clone()).expect("text");
            let plain = anstream::adapter::strip_str(&text).to_string();
            let line = plain.strip_suffix('\n').expect("a line");
            assert!(!line.chars().any(escape::acts), "{format:?}: {line:?}");
            assert_eq!(text.contains('\u{1b}'), colours, "{format:?}: {text:?}");
            assert!(line.matches("]0;b").count() >= 5, "{format:?}: {line}");
            let says = if format == Format::Json { r"\n\u202e" } else { r"\n\u{202e}" };
            assert!(line.matches(says).count() >= 4, "{format:?}: {line}");
        }
    }
}
