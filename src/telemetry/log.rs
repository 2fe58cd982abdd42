//! Structured logs, as text for people or JSON for the cluster.

use std::{
    fmt::Debug,
    io::{self, IsTerminal, Write},
    panic,
    str::FromStr,
    sync::Arc,
};

use prometheus_client::metrics::counter::Counter;
use serde_json::{Map, Value};
use tracing::{Event, Subscriber, dispatcher, field::Field, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer,
    field::MakeExt as _,
    filter::{self, Directive},
    fmt,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter, format,
        time::{FormatTime as _, SystemTime},
    },
    layer::SubscriberExt as _,
    registry::{LookupSpan, Scope},
    reload,
    util::SubscriberInitExt as _,
};

use super::{
    lossy::Lossy,
    mask::mask,
    trace::{self, Traces},
};
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

/// What is logged, in the form of `RUST_LOG`: a level, or levels of modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Arc<str>);

impl FromStr for Filter {
    type Err = String;

    /// ```
    /// use whatsapp_operator::telemetry::log::Filter;
    /// assert!("whatsapp_operator=debug,info".parse::<Filter>().is_ok());
    /// assert!("whatsapp_operator=loud".parse::<Filter>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, String> {
        const LEVELS: &str = "off, error, warn, info, debug or trace";
        let mut parts = text.split(',').filter(|part| !part.is_empty()).peekable();
        if parts.peek().is_none() {
            return Err(format!("nothing would be told: write a level, which is {LEVELS}"));
        }
        // A module alone, or without a level, would tell everything of itself, and nothing of any other.
        let has_level = |part: &str| part.contains(['=', '[']) && !part.ends_with('=');
        let is_level = |part: &str| has_level(part) || part.parse::<LevelFilter>().is_ok();
        let is_understood = |part: &str| {
            let is_whole = is_level(part) || part.starts_with("whatsapp_operator") && !part.contains('=');
            part.parse::<Directive>().is_ok() && is_whole
        };
        match parts.find(|part| !is_understood(part)) {
            None => Ok(Self(text.into())),
            Some(part) => Err(format!(
                "{part} is neither a level nor a module with one: write {LEVELS}, or as in whatsapp_operator=debug,info"
            )),
        }
    }
}

fn bounded(filter: &str) -> EnvFilter {
    let asked = EnvFilter::new(filter);
    TIGHT_LIPPED.iter().filter_map(|directive| directive.parse().ok()).fold(asked, EnvFilter::add_directive)
}

/// Colours only on a terminal, and not with `NO_COLOR`.
fn has_colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What lines look like.
#[derive(Clone, Debug)]
pub struct Options {
    pub format: Format,
    pub filter: Filter,
    /// Whether phone numbers are shown whole.
    pub phone_numbers: bool,
}

/// The logs of the process. When it goes, what waits is written, for at most a second.
pub struct Logs {
    lossy: Lossy,
    level: Level,
}

impl Logs {
    /// Counts the lines that were lost.
    pub fn lost(&self) -> Counter {
        self.lossy.lost()
    }

    /// How much is logged.
    pub fn level(&self) -> Level {
        self.level.clone()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.lossy.settle();
    }
}

/// How much is logged, changed while the process runs.
#[derive(Clone)]
pub struct Level {
    asked: Arc<str>,
    set: Arc<dyn Fn(EnvFilter) + Send + Sync>,
}

impl Level {
    /// Logs what this program does in detail, beside what was asked for at the start.
    pub fn debug(&self) {
        (self.set)(bounded(&format!("{},whatsapp_operator=debug", self.asked)));
        tracing::info!("logging in detail");
    }

    /// Logs what was asked for at the start.
    pub fn as_asked(&self) {
        (self.set)(bounded(&self.asked));
        tracing::info!(level = %self.asked, "logging as at the start");
    }
}

/// Sets up the process's logs, once, and traces where they are asked for. Panics are logged as well: nobody waits for a log,
/// and everybody would wait for standard error itself.
///
/// # Errors
///
/// When the system gives no thread.
pub fn init(options: &Options, traces: Option<&Traces>) -> io::Result<Logs> {
    let lossy = Lossy::new(io::stderr())?;
    let (subscriber, level) = logs(options, has_colours(), lossy.clone(), traces);
    match subscriber.try_init() {
        Ok(()) => {
            panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
        }
        Err(error) => tracing::debug!(%error, "logs were set up before"),
    }
    Ok(Logs { lossy, level })
}

/// What others wrote, such as a name or a message of Meta's, may hold what a terminal obeys. It is written out.
fn logs<W>(
    options: &Options,
    colours: bool,
    to: W,
    traces: Option<&Traces>,
) -> (Box<dyn Subscriber + Send + Sync>, Level)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(bounded(&options.filter.0));
    let set = move |filter| {
        // It fails only when the subscriber is gone.
        let _ = handle.reload(filter);
    };
    let level = Level { asked: options.filter.0.clone(), set: Arc::new(set) };
    let is_json = options.format == Format::Json;
    let to = Lines { to, is_json, shows_numbers: options.phone_numbers };
    let traces = traces.map(|traces| {
        let layer = tracing_opentelemetry::layer()
            .with_tracer(traces.tracer())
            .with_location(false)
            .with_threads(false)
            .with_target(false);
        let ours = filter::filter_fn(|meta| meta.is_span() && meta.target().starts_with("whatsapp_operator"));
        layer.with_filter(ours.with_max_level_hint(LevelFilter::DEBUG))
    });
    let subscriber = tracing_subscriber::registry().with(traces);
    // What cannot be formatted would be told on standard error, and panic where that takes no more.
    let lines = fmt::layer().log_internal_errors(false).with_writer(to);
    let subscriber: Box<dyn Subscriber + Send + Sync> = if is_json {
        let lines = lines.with_ansi(false).event_format(Json).fmt_fields(format::JsonFields::new());
        Box::new(subscriber.with(lines.with_filter(filter)))
    } else {
        let fields = format::debug_fn(field).delimited(" ");
        Box::new(subscriber.with(lines.with_ansi(colours).fmt_fields(fields).with_filter(filter)))
    };
    (subscriber, level)
}

/// One object for each line, without objects inside: what the spans around it say, then what it says itself.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut to: format::Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let object = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
        let mut line = Map::new();
        for span in ctx.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                line.extend(object(&fields.fields));
            }
        }
        let span = ctx.lookup_current().map(|span| span.id());
        if let Some((trace, span)) = span.and_then(|span| dispatcher::get_default(|to| trace::ids(&span, to)))
        {
            line.insert("trace_id".into(), trace.into());
            line.insert("span_id".into(), span.into());
        }
        let mut own = String::new();
        ctx.format_fields(format::Writer::new(&mut own), event)?;
        line.extend(object(&own));
        // A record of the crate `log` tells in fields where it comes from.
        let target = line.remove("log.target").unwrap_or_else(|| event.metadata().target().into());
        line.retain(|name, _| !name.starts_with("log."));
        let mut at = String::new();
        SystemTime.format_time(&mut format::Writer::new(&mut at))?;
        let level = event.metadata().level();
        write!(to, "{{\"timestamp\":\"{at}\",\"level\":\"{level}\",\"target\":{target}")?;
        for (name, value) in line {
            write!(to, ",{}:{value}", Value::from(name))?;
        }
        writeln!(to, "}}")
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

/// Writes lines as they may leave the process.
#[derive(Clone)]
struct Lines<W> {
    to: W,
    is_json: bool,
    shows_numbers: bool,
}

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for Lines<W> {
    type Writer = Lines<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Lines { to: self.to.make_writer(), is_json: self.is_json, shows_numbers: self.shows_numbers }
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut text = String::from_utf8_lossy(line);
        if self.is_json {
            text = escape::json(&text).into_owned().into();
        }
        if !self.shows_numbers {
            text = mask(&text).into();
        }
        self.to.write_all(text.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
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

    fn filter(text: &str) -> Filter {
        text.parse().expect("a filter")
    }

    fn text() -> Options {
        Options { format: Format::Text, filter: filter("info"), phone_numbers: false }
    }

    /// What is logged.
    fn told(options: &Options, log: impl FnOnce(&Level)) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let (subscriber, level) = logs(options, false, move || writer.clone(), None);
        tracing::subscriber::with_default(subscriber, || log(&level));
        let bytes = kept.0.lock().expect("the text").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_line_of_json_is_flat_and_tells_what_the_spans_around_it_are_about() {
        let options = Options { format: Format::Json, ..text() };
        let line = told(&options, |_| {
            let _outer = tracing::info_span!("reconcile", namespace = "shop", channel = "support").entered();
            let _inner = tracing::info_span!("step", step = "Register", tried = 2).entered();
            tracing::warn!(channel = "other", code = 7, "refused");
        });
        let line: Value = serde_json::from_str(&line).expect("JSON");
        let told = [("level", "WARN"), ("namespace", "shop"), ("step", "Register"), ("message", "refused")];
        assert!(told.iter().all(|(name, value)| line[name] == *value), "{line}");
        assert_eq!((&line["tried"], &line["code"]), (&2.into(), &7.into()), "{line}");
        assert_eq!(line["channel"], "other", "the nearest counts: {line}");
        assert!(line["target"].as_str().is_some_and(|target| target.contains("log::tests")), "{line}");
    }

    #[test]
    fn phone_numbers_are_shown_only_where_that_is_asked_for() {
        let log = |_: &Level| {
            let _span = tracing::info_span!("reconcile", number = "+5511912345678").entered();
            tracing::info!(of = ?"5511912345678", "Meta has +55 11 91234-5678");
        };
        for format in [Format::Text, Format::Json] {
            let masked = told(&Options { format, ..text() }, log);
            assert!(masked.matches("***5678").count() == 3 && !masked.contains("1234-"), "{masked}");
            let shown = told(&Options { format, phone_numbers: true, ..text() }, log);
            assert!(shown.contains("+55 11 91234-5678") && !shown.contains("***"), "{shown}");
        }
    }

    #[test]
    fn the_level_changes_while_the_process_runs_and_goes_back() {
        let text = told(&text(), |level| {
            tracing::debug!("before");
            level.debug();
            tracing::debug!("in between");
            tracing::debug!(target: "hyper::proto", "a frame with a secret in it");
            level.as_asked();
            tracing::debug!("after");
        });
        assert!(text.contains("in between"), "{text}");
        assert!(!text.contains("before") && !text.contains("after") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn a_filter_that_would_tell_something_else_than_was_meant_is_refused() {
        for right in [
            "info",
            "WARN",
            "3",
            "info,",
            "whatsapp_operator=debug,info",
            "whatsapp_operator::run=trace,warn",
            "whatsapp_operator",
            "hyper=off,trace",
            "[reconcile{channel=support}]=debug,info",
        ] {
            assert!(right.parse::<Filter>().is_ok(), "{right}");
        }
        for (wrong, told) in [
            ("whatsapp_operator=loud", "whatsapp_operator=loud is neither"),
            ("info,whatsapp_operator=", "whatsapp_operator= is neither"),
            ("warning", "warning is neither"),
            ("debug,verbose", "verbose is neither"),
            ("info, debug", " debug is neither"),
            ("", "nothing would be told"),
            (",", "nothing would be told"),
        ] {
            let error = wrong.parse::<Filter>().expect_err(wrong);
            assert!(error.contains(told) && error.contains("info, debug or trace"), "{wrong}: {error}");
        }
    }

    #[test]
    fn what_goes_over_the_wire_is_not_logged_at_any_level() {
        for filter in ["trace", "info", "kube_client=trace,reqwest=trace,info", "whatsapp_operator"] {
            let kept = Kept::default();
            let writer = kept.clone();
            let options = Options { filter: self::filter(filter), ..text() };
            tracing::subscriber::with_default(logs(&options, false, move || writer.clone(), None).0, || {
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
            let options = Options { format, ..text() };
            tracing::subscriber::with_default(
                logs(&options, colours, move || writer.clone(), None).0,
                || {
                    let span = tracing::info_span!("pass", channel = %hostile);
                    let _within = span.enter();
                    tracing::info!(name = %hostile, quoted = hostile, debug = ?hostile, "Meta says {hostile}");
                },
            );
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
