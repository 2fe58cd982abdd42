//! How a command ends: exit codes and the one form of errors.
//!
//! An error says what is wrong and where, lower-case, and what to do next. Nothing that
//! came out of a Secret is ever part of one.

use std::fmt;

/// The exit codes, the same for every command. `docs/cli.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, and for `plan`: nothing to change; for `doctor`: no person has to act.
    Done = 0,
    /// It could not be done: wrong arguments, a wrong manifest, no cluster, no permission. For `plan` and
    /// `doctor` also: something could not be read.
    Error = 1,
    /// `plan` only: there are changes.
    Changes = 2,
    /// The answer is no. Of the operator: a wrong or lapsed code, a refused consent. Of `doctor`: a person has to act.
    Refused = 3,
    /// No answer before the timeout.
    NoAnswer = 4,
}

/// What each code means. The help and the page about the command line show it.
const TABLE: [(Exit, &str); 5] = [
    (
        Exit::Done,
        "done; plan: nothing to change; doctor: no person has to act; by labels: nothing was refused",
    ),
    (
        Exit::Error,
        "error: wrong arguments, a wrong manifest, no cluster, no permission; plan, doctor, import: something could not be read",
    ),
    (Exit::Changes, "plan only: there are changes"),
    (
        Exit::Refused,
        "the answer is no: a wrong or expired code, a refused consent, a suspended channel; doctor: something is broken",
    ),
    (Exit::NoAnswer, "no answer before the timeout"),
];

/// Columns of a terminal, less one.
const WIDE: usize = 79;

/// The codes as the help shows them.
pub fn help() -> String {
    let mut help = "Exit codes:\n".to_owned();
    for (exit, meaning) in TABLE {
        let mut line = format!("  {}  ", exit as u8);
        let mut is_begun = false;
        for word in meaning.split(' ') {
            if is_begun && line.chars().count() + 1 + word.chars().count() > WIDE {
                help += line.trim_end();
                help.push('\n');
                (line, is_begun) = ("     ".to_owned(), false);
            }
            if is_begun {
                line.push(' ');
            }
            line += word;
            is_begun = true;
        }
        help += &line;
        help.push('\n');
    }
    help + "\nColours appear only on a terminal and never with NO_COLOR set."
}

/// The codes as a table of a page.
pub fn markdown() -> String {
    let rows = TABLE.iter().map(|(exit, meaning)| format!("| {} | {meaning} |\n", *exit as u8));
    format!("| Code | Means |\n|---|---|\n{}", rows.collect::<String>())
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What is known of why the cluster did not do something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Cause {
    #[default]
    Other,
    /// The user of the command lacks a right.
    Forbidden,
    /// The cluster gave no usable answer, and may give one in a moment.
    Passing,
}

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    what: String,
    next: Option<String>,
    exit: Exit,
    cause: Cause,
}

impl Problem {
    /// What is wrong, and where.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), next: None, exit: Exit::Error, cause: Cause::Other }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }

    /// Ends with another code than [`Exit::Error`].
    #[must_use]
    pub fn exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// Says that whoever runs the command lacks a right in the cluster, and nothing more is known.
    #[must_use]
    pub fn forbidden(self) -> Self {
        Self { cause: Cause::Forbidden, ..self }
    }

    /// Says that the cluster gave no usable answer, and may give one in a moment.
    #[must_use]
    pub fn passing(self) -> Self {
        Self { cause: Cause::Passing, ..self }
    }

    /// Whether a right in the cluster is lacking.
    pub fn is_forbidden(&self) -> bool {
        self.cause == Cause::Forbidden
    }

    /// Whether it may do to try again.
    pub fn is_passing(&self) -> bool {
        self.cause == Cause::Passing
    }

    /// What to do next, if anything is known to help.
    pub fn remedy(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// How the process ends.
    pub fn code(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Problem {}

/// How every command ends.
pub type Ending = Result<Exit, Problem>;
