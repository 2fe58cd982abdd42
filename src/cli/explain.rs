//! `explain`: what a reason, a condition or a code of Meta's means, and what to do.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;

use crate::{
    cli::{
        exit::{Ending, Exit, Problem},
        render::{self, OutputArgs, Text, Tone},
    },
    engine::{
        condition_type::ConditionType,
        reason::{self, Reason, ReasonKind, Row},
    },
    meta::error::{self, Meaning},
};

/// Explains a reason, a condition or one of Meta's codes.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// A reason (`NameDeclined`), a condition (`NumberVerified`) or a code, with its subcode if it has one (`136024`, `100/33`).
    #[arg(value_name = "REASON|CONDITION|CODE")]
    pub what: String,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What is known about a word.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    subject: String,
    /// `Reason`, `Condition` or `MetaCode`.
    kind: &'static str,
    meaning: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    /// Who moves next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'static str>,
    /// Conditions that may carry the reason, or reasons that the condition may carry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    see: Vec<&'static str>,
}

/// Explains.
///
/// # Errors
///
/// When nothing goes by that name.
pub fn explain(args: &ExplainArgs) -> Ending {
    let what = args.what.trim();
    let found = if what.starts_with(|c: char| c.is_ascii_digit()) {
        code(what)?
    } else if let Some(kind) = condition_named(what) {
        condition(kind)
    } else if let Some(row) = row_named(what) {
        reason(row)
    } else {
        return Err(unknown(what));
    };
    render::print(args.output.output, &found, text)?;
    Ok(Exit::Done)
}

fn row_named(name: &str) -> Option<&'static Row> {
    reason::TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

fn condition_named(name: &str) -> Option<ConditionType> {
    conditions().find(|kind| kind.as_str().eq_ignore_ascii_case(name))
}

fn reason(row: &'static Row) -> Explanation {
    Explanation {
        subject: row.name.to_owned(),
        kind: "Reason",
        meaning: row.meaning.to_owned(),
        remedy: (!row.remedy.is_empty()).then(|| row.remedy.to_owned()),
        next: Some(who_moves(row.kind)),
        see: row.conditions.iter().map(|kind| kind.as_str()).collect(),
    }
}

fn condition(kind: ConditionType) -> Explanation {
    Explanation {
        subject: kind.as_str().to_owned(),
        kind: "Condition",
        meaning: kind.meaning().to_owned(),
        remedy: None,
        next: None,
        see: reason::TABLE.iter().filter(|row| row.conditions.contains(&kind)).map(|row| row.name).collect(),
    }
}

/// Who moves next, by the kind of a reason.
pub fn who_moves(kind: ReasonKind) -> &'static str {
    match kind {
        ReasonKind::Settled => "nobody: it is as it should be, or is only told",
        ReasonKind::Progress => "the operator",
        ReasonKind::Person => "a person",
        ReasonKind::Time => "Meta, or time",
        ReasonKind::Stalled => "a person: nothing is tried again before an edit, or an act at Meta",
    }
}

/// Every condition, of channels and of portfolios: those that a reason may stand on.
fn conditions() -> impl Iterator<Item = ConditionType> {
    let all: BTreeSet<ConditionType> = reason::TABLE.iter().flat_map(|row| row.conditions).copied().collect();
    all.into_iter()
}

fn code(text: &str) -> Result<Explanation, Problem> {
    let number = |part: &str| {
        part.trim().parse::<i64>().map_err(|_| {
            Problem::new(format!("{text} is no code"))
                .next("write it like 136024, or with a subcode like 100/33")
        })
    };
    let (code, subcode) = match text.split_once('/') {
        Some((code, subcode)) => (number(code)?, Some(number(subcode)?)),
        None => (number(text)?, None),
    };
    let rows = error::meanings(code, subcode);
    let Some(first) = rows.first() else {
        return Err(Problem::new(format!("Meta's error {text} is not in the table"))
            .next("read what Meta said about it in the channel: kubectl whatsapp status NAME"));
    };
    let calls = |row: &Meaning| row.calls.names().map(|names| format!(" (on {names})")).unwrap_or_default();
    let mut lines: Vec<String> = rows.iter().map(|row| format!("{}{}", row.meaning, calls(row))).collect();
    lines.dedup();
    Ok(Explanation {
        subject: text.to_owned(),
        kind: "MetaCode",
        meaning: lines.join("\n"),
        remedy: None,
        next: Some(first.class.who_moves()),
        see: Vec::new(),
    })
}

fn unknown(what: &str) -> Problem {
    let lower = what.to_ascii_lowercase();
    let near: Vec<&str> = reason::TABLE
        .iter()
        .map(|row| row.name)
        .chain(conditions().map(ConditionType::as_str))
        .filter(|name| {
            let name = name.to_ascii_lowercase();
            name.contains(&lower) || lower.contains(&name)
        })
        .take(5)
        .collect();
    let problem = Problem::new(format!("nothing is called {what}"));
    if near.is_empty() {
        problem.next("take the reason or the code from the channel: kubectl whatsapp status NAME")
    } else {
        problem.next(format!("did you mean {}?", near.join(", ")))
    }
}

fn text(found: &Explanation) -> Text {
    let mut text = Text::new();
    text.line(format!(
        "{}  {}",
        render::paint(Tone::Strong, &found.subject),
        render::paint(Tone::Faint, found.kind)
    ));
    for line in found.meaning.lines() {
        text.indent(2, line);
    }
    if let Some(remedy) = &found.remedy {
        text.section("What to do").indent(2, remedy);
    }
    if let Some(next) = found.next {
        text.section("Who moves next").indent(2, next);
    }
    if !found.see.is_empty() {
        text.section(if found.kind == "Condition" { "Reasons of its own" } else { "Conditions" });
        for name in &found.see {
            text.indent(2, name);
        }
    }
    text
}

/// Reads a reason back, for other commands.
pub fn row_of(reason: &str) -> Option<&'static Row> {
    Reason::from_name(reason).map(Reason::row)
}
