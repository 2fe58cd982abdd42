//! Everything that is printed goes through here: text for people, JSON and YAML for programs.
//!
//! What comes from others may hold characters that a terminal obeys. They are written out, on a terminal and off it: a
//! piece of text becomes [`Words`] before it is printed, and only [`paint`] puts colours into them.
//!
//! Colours appear only on a terminal, and not under `NO_COLOR`; the text says
//! everything without them. A reader that closes the pipe ends the output, not the
//! command.

use std::{
    io::{self, ErrorKind, IsTerminal as _, Write as _},
    ops::Add,
    time::Duration,
};

use anstream::adapter::strip_str;
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::Serialize;

use super::exit::Problem;
use crate::{api::lower::GROUP, escape};

/// How long the operator waits for whoever reads why it ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a command prints for programs: one document, with a kind of its own.
pub trait Printed: Serialize + JsonSchema {
    /// What the document is, beside `apiVersion`.
    const KIND: &'static str;
}

/// A document as programs read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a, T> {
    api_version: String,
    kind: &'static str,
    #[serde(flatten)]
    of: &'a T,
}

impl<'a, T: Printed> Document<'a, T> {
    fn new(of: &'a T) -> Self {
        Self { api_version: format!("{GROUP}/{OUTPUT}"), kind: T::KIND, of }
    }
}

/// The version of everything that is printed for programs.
const OUTPUT: &str = "v1alpha1";

/// What an output is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For programs, and for people who like it.
    Yaml,
}

/// The flag that every command with a result has.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct OutputArgs {
    /// Text for people, or JSON or YAML for programs.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

/// What a piece of text means; the colour follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Somebody has to look or to wait.
    Attention,
    /// Wrong.
    Bad,
    /// Worth the eye.
    Strong,
    /// Less important.
    Faint,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default(),
            Self::Attention => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
        }
    }
}

/// A piece of a line as it may be printed.
#[derive(Clone, Debug, Default)]
pub struct Words(String);

impl<T: AsRef<str>> From<T> for Words {
    fn from(text: T) -> Self {
        Self(escape::line(text.as_ref()).into_owned())
    }
}

impl<T: Into<Words>> Add<T> for Words {
    type Output = Self;

    fn add(mut self, more: T) -> Self {
        self.0.push_str(&more.into().0);
        self
    }
}

/// Wraps text in the colour of its meaning.
pub fn paint(tone: Tone, text: impl Into<Words>) -> Words {
    let (style, Words(text)) = (tone.style(), text.into());
    Words(format!("{style}{text}{style:#}"))
}

/// A text that grows line by line.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The lines of a text.
    pub fn of(lines: &str) -> Self {
        let mut text = Self::new();
        for line in lines.lines() {
            text.line(line);
        }
        text
    }

    /// A line.
    pub fn line(&mut self, line: impl Into<Words>) -> &mut Self {
        self.0.push_str(line.into().0.trim_end());
        self.0.push('\n');
        self
    }

    /// A line further in.
    pub fn indent(&mut self, by: usize, line: impl Into<Words>) -> &mut Self {
        self.line(Words(" ".repeat(by)) + line)
    }

    /// An empty line and a title.
    pub fn section(&mut self, title: &str) -> &mut Self {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.line(paint(Tone::Strong, title))
    }

    /// All of another text, further in.
    pub fn nest(&mut self, by: usize, inner: &Text) -> &mut Self {
        for line in inner.0.lines() {
            self.indent(by, Words(line.to_owned()));
        }
        self
    }

    /// Rows with aligned columns, two further in. Colours take no width.
    pub fn table<const N: usize>(&mut self, rows: &[[Words; N]]) -> &mut Self {
        let widths: [usize; N] =
            std::array::from_fn(|at| rows.iter().map(|row| width(&row[at])).max().unwrap_or_default());
        for row in rows {
            let mut line = Words::default();
            for (cell, wide) in row.iter().zip(widths) {
                line = line + cell.clone() + Words(" ".repeat(wide - width(cell) + 2));
            }
            self.indent(2, line);
        }
        self
    }

    /// The text without colours.
    pub fn plain(&self) -> String {
        strip_str(&self.0).to_string()
    }
}

/// Characters on the screen: what is not part of a colour.
fn width(words: &Words) -> usize {
    strip_str(&words.0).map(|part| part.chars().count()).sum()
}

/// Prints a result in the form that was asked for.
///
/// # Errors
///
/// When it cannot be written, or has no JSON or YAML form, which would be a fault of ours.
pub fn print<T: Printed>(format: Format, value: &T, text: impl FnOnce(&T) -> Text) -> Result<(), Problem> {
    match format {
        Format::Text => out(&text(value)),
        Format::Json => write(&json_of(&Document::new(value))?),
        Format::Yaml => {
            let document = Document::new(value);
            let yaml = serde_saphyr::to_string(&document)
                .map_err(|error| Problem::new(format!("the result has no YAML form: {error}")))?;
            write(&yaml_of(yaml, &document)?)
        }
    }
}

/// YAML as it is, or as JSON, which is YAML too, where it holds what has to be written out: no plain text of YAML can.
fn yaml_of<T: Serialize>(yaml: String, value: &T) -> Result<String, Problem> {
    let is_plain = !yaml.chars().any(|c| escape::acts(c) && c != '\n');
    if is_plain { Ok(yaml) } else { json_of(value) }
}

fn json_of<T: Serialize>(value: &T) -> Result<String, Problem> {
    let json = serde_json::to_string_pretty(value)
        .map_err(|error| Problem::new(format!("the result has no JSON form: {error}")))?;
    Ok(format!("{}\n", escape::json(&json)))
}

/// Prints on standard output.
///
/// # Errors
///
/// When it takes no more, as a full disk does. A reader that went away has seen what it wanted.
pub fn out(text: &Text) -> Result<(), Problem> {
    write(&text.0)
}

fn write(text: &str) -> Result<(), Problem> {
    write_to(anstream::stdout(), text)
}

fn write_to(mut stdout: impl io::Write, text: &str) -> Result<(), Problem> {
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Problem::new(format!("cannot write to standard output: {error}"))
                .next("make room where it goes, or send it elsewhere, then run the command again"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Clears the screen, where standard output is one that can be cleared. Says whether it was.
///
/// # Errors
///
/// When it takes no more.
pub fn clear() -> Result<bool, Problem> {
    let is_screen = io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    if is_screen {
        // Not through what takes colours out: who wants none still has a screen.
        write_to(io::stdout(), "\u{1b}[H\u{1b}[2J")?;
    }
    Ok(is_screen)
}

/// Prints on standard error.
pub fn complain(text: &Text) {
    let mut stderr = anstream::stderr();
    // The output was closed, so an error cannot be printed.
    let _ = stderr.write_all(text.0.as_bytes()).and_then(|()| stderr.flush());
}

/// Has panics told here as well: what they tell may be somebody else's text.
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| complain(&Text::of(&panic.to_string()))));
}

/// Prints a problem on standard error.
pub fn problem(problem: &Problem) {
    let mut text = Text::new();
    text.line(paint(Tone::Bad, "error") + ": " + problem.to_string());
    if let Some(next) = problem.remedy() {
        text.indent(2, format!("next: {next}"));
    }
    complain(&text);
}

/// Prints a problem on standard error, and waits for nobody who does not read: no pod may hang on its last words.
pub fn last_words(told: &Problem) {
    let (done, wait) = std::sync::mpsc::channel();
    let told = told.clone();
    let printing = move || {
        problem(&told);
        // Whoever waited has gone.
        let _ = done.send(());
    };
    // Without a thread nothing is printed, and the exit code tells enough. Nor does it matter whether it was in time.
    if std::thread::Builder::new().spawn(printing).is_ok() {
        let _ = wait.recv_timeout(LAST_WORDS);
    }
}

/// How long ago, in the one or two units that matter: `45s`, `12m`, `3h20m`, `9d`.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    span(now.duration_since(then).as_secs().max(0))
}

/// A time with its distance: `2026-03-01T09:30:00Z (12m ago)`, `… (in 2h)`.
pub fn when(time: Timestamp, now: Timestamp) -> String {
    let second = time.strftime("%Y-%m-%dT%H:%M:%SZ");
    let distance = now.duration_since(time).as_secs();
    if distance >= 0 {
        format!("{second} ({} ago)", span(distance))
    } else {
        format!("{second} (in {})", span(-distance))
    }
}

/// A time of today on the clock of whoever reads it: `18:36 UTC (in 14m)`.
pub fn clock(time: Timestamp, now: Timestamp) -> String {
    let shown = time.to_zoned(TimeZone::system());
    let distance = now.duration_since(time).as_secs();
    let distance =
        if distance >= 0 { format!("{} ago", span(distance)) } else { format!("in {}", span(-distance)) };
    format!("{} ({distance})", shown.strftime("%H:%M %Z"))
}

fn span(secs: i64) -> String {
    let (minutes, hours, days) = (secs / 60, secs / 3600, secs / 86_400);
    match secs {
        ..120 => format!("{secs}s"),
        120..7_200 => format!("{minutes}m"),
        7_200..172_800 => match minutes % 60 {
            0 => format!("{hours}h"),
            rest => format!("{hours}h{rest}m"),
        },
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_the_units_that_matter() {
        for (secs, text) in
            [(0, "0s"), (119, "119s"), (720, "12m"), (12_000, "3h20m"), (7_200, "2h"), (800_000, "9d")]
        {
            assert_eq!(span(secs), text);
        }
    }

    #[test]
    fn colours_take_no_width() {
        let mut text = Text::new();
        text.table(&[[paint(Tone::Bad, "no"), "x".into()], ["maybe".into(), "y".into()]]);
        assert_eq!(text.plain(), "  no     x\n  maybe  y\n");
    }

    #[test]
    fn colours_of_others_are_words() {
        let mut text = Text::new();
        let theirs = "\u{1b}[32mReady\u{1b}[0m\n\u{202e}";
        text.line(paint(Tone::Strong, theirs) + " " + theirs).indent(2, format!("{theirs}!")).section(theirs);
        text.table(&[[theirs.into(), paint(Tone::Bad, theirs)]]);
        let (told, mut outer) = (r"\u{1b}[32mReady\u{1b}[0m\n\u{202e}", Text::new());
        outer.nest(2, &text);
        let plain = format!("  {told} {told}\n    {told}!\n\n  {told}\n    {told}  {told}\n");
        assert_eq!(outer.plain(), plain);
        assert_eq!(outer.0.matches('\u{1b}').count(), 7, "our own: bold, bold, and bold red: {outer:?}");
    }

    #[test]
    fn programs_read_what_was_meant_and_terminals_see_it() {
        let value =
            serde_json::json!({"name": "a\u{1b}]0;b\u{7}\n\u{202e}\u{200b}\u{2066}\u{e0041}", "one": 1});
        let yaml = serde_saphyr::to_string(&value).expect("YAML");
        for told in [json_of(&value), yaml_of(yaml, &value)] {
            let told = told.expect("a form");
            assert!(!told.chars().any(|c| escape::acts(c) && c != '\n'), "{told}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&told).expect("JSON"), value);
        }
        let plain = serde_json::json!({"name": "Açúcar"});
        let yaml = serde_saphyr::to_string(&plain).expect("YAML");
        assert_eq!(yaml_of(yaml.clone(), &plain).expect("a form"), yaml);
    }
}
