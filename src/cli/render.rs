//! Everything that is printed goes through here: text for people, JSON and YAML for programs.
//!
//! Colours appear only on a terminal, and not under `NO_COLOR`; the text says
//! everything without them. A reader that closes the pipe ends the output, not the
//! command.

use std::{
    fmt::Write as _,
    io::{ErrorKind, Write as _},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;

use super::exit::Problem;

/// How long the operator waits for whoever reads why it ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

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

/// Wraps text in the colour of its meaning.
pub fn paint(tone: Tone, text: impl std::fmt::Display) -> String {
    let style = tone.style();
    format!("{style}{text}{style:#}")
}

/// A text that grows line by line.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// A line.
    pub fn line(&mut self, line: impl AsRef<str>) -> &mut Self {
        self.0.push_str(line.as_ref().trim_end());
        self.0.push('\n');
        self
    }

    /// A line further in.
    pub fn indent(&mut self, by: usize, line: impl AsRef<str>) -> &mut Self {
        self.line(format!("{:by$}{}", "", line.as_ref()))
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
            self.indent(by, line);
        }
        self
    }

    /// Rows with aligned columns, two further in. Colours take no width.
    pub fn table<const N: usize>(&mut self, rows: &[[String; N]]) -> &mut Self {
        let widths: [usize; N] =
            std::array::from_fn(|at| rows.iter().map(|row| width(&row[at])).max().unwrap_or_default());
        for row in rows {
            let mut line = String::new();
            for (cell, wide) in row.iter().zip(widths) {
                let gap = wide - width(cell) + 2;
                let _ = write!(line, "{cell}{:gap$}", "");
            }
            self.indent(2, line);
        }
        self
    }

    /// The text, colours included.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters on the screen: what is not part of a colour.
fn width(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().chars().count()
}

/// Prints a result in the form that was asked for.
///
/// # Errors
///
/// When it cannot be written, or has no JSON or YAML form, which would be a fault of ours.
pub fn print<T: Serialize>(format: Format, value: &T, text: impl FnOnce(&T) -> Text) -> Result<(), Problem> {
    match format {
        Format::Text => out(text(value).as_str()),
        Format::Json => {
            let json = serde_json::to_string_pretty(value)
                .map_err(|error| Problem::new(format!("the result has no JSON form: {error}")))?;
            out(&format!("{json}\n"))
        }
        Format::Yaml => {
            let yaml = serde_saphyr::to_string(value)
                .map_err(|error| Problem::new(format!("the result has no YAML form: {error}")))?;
            out(&yaml)
        }
    }
}

/// Writes to standard output.
///
/// # Errors
///
/// When it takes no more, as a full disk does. A reader that went away has seen what it wanted.
pub fn out(text: &str) -> Result<(), Problem> {
    let mut stdout = anstream::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Problem::new(format!("cannot write to standard output: {error}"))
                .next("make room where it goes, or send it elsewhere, then run the command again"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes to standard error.
pub fn complain(text: &str) {
    let mut stderr = anstream::stderr();
    // The output was closed, so an error cannot be printed.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Prints a problem on standard error.
pub fn problem(problem: &Problem) {
    let mut text = format!("{}: {problem}\n", paint(Tone::Bad, "error"));
    if let Some(next) = problem.remedy() {
        let _ = writeln!(text, "  next: {next}");
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
        let plain = anstream::adapter::strip_str(text.as_str()).to_string();
        assert_eq!(plain, "  no     x\n  maybe  y\n");
    }
}
