//! `explain`: what a reason, a condition, an action or a code of Meta's means, and what to do.

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::engine::{
    action::{ACTIONS, ActionRow},
    condition_type::ConditionType,
    reason::{self, Reason, ReasonKind, Row},
    reference,
    word::Vocabulary,
};
use crate::{
    cli::{
        exit::{Ending, Exit, Problem},
        render::{self, OutputArgs, Printed, Text, Tone},
    },
    meta::error::{self, Meaning},
};

/// Explains a reason, a condition, an action or one of Meta's codes.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// A reason (`NameDeclined`), a condition (`NumberVerified`), an action (`AskForCode`) or a code, with its subcode if it has one (`136024`, `100/33`).
    #[arg(value_name = "REASON|CONDITION|ACTION|CODE")]
    pub what: String,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What is known about a word.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What was asked about.
    subject: String,
    /// `Reason`, `Condition`, `Action` or `MetaCode`.
    subject_kind: &'static str,
    /// What it means.
    meaning: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    /// Who moves next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'static str>,
    /// Who has to do the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'static str>,
    /// The actions that a reason may ask for, each with its actor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waits_for: Vec<String>,
    /// Conditions that may carry the reason, or reasons that the condition may carry or that ask for the action.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    see: Vec<&'static str>,
}

impl Printed for Explanation {
    const KIND: &'static str = "Explanation";
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
    } else if let Some(row) = action_named(what) {
        action(row)
    } else {
        return Err(unknown(what));
    };
    render::print(args.output.output, &found, text)?;
    Ok(Exit::Done)
}

fn row_named(name: &str) -> Option<&'static Row> {
    reason::TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

fn action_named(name: &str) -> Option<&'static ActionRow> {
    ACTIONS.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

fn condition_named(name: &str) -> Option<ConditionType> {
    conditions().find(|kind| kind.as_str().eq_ignore_ascii_case(name))
}

fn reason(row: &'static Row) -> Explanation {
    Explanation {
        subject: row.name.to_owned(),
        subject_kind: "Reason",
        meaning: row.meaning.to_owned(),
        remedy: (!row.remedy.is_empty()).then(|| row.remedy.to_owned()),
        next: Some(who_moves(row.kind)),
        actor: None,
        waits_for: row
            .actions()
            .map(|action| format!("{}: {}", action.actor().as_str(), action.as_str()))
            .collect(),
        see: row.conditions.iter().map(|kind| kind.as_str()).collect(),
    }
}

fn action(row: &'static ActionRow) -> Explanation {
    Explanation {
        subject: row.name.to_owned(),
        subject_kind: "Action",
        meaning: row.meaning.to_owned(),
        remedy: Some(row.remedy.to_owned()),
        next: Some(row.actor.row().meaning),
        actor: Some(row.actor.as_str()),
        waits_for: Vec::new(),
        see: reference::reasons_for(row.action).map(|row| row.name).collect(),
    }
}

fn condition(kind: ConditionType) -> Explanation {
    Explanation {
        subject: kind.as_str().to_owned(),
        subject_kind: "Condition",
        meaning: kind.meaning().to_owned(),
        remedy: None,
        next: None,
        actor: None,
        waits_for: Vec::new(),
        see: reason::TABLE.iter().filter(|row| row.conditions.contains(&kind)).map(|row| row.name).collect(),
    }
}

/// Who moves next, by the kind of a reason.
pub fn who_moves(kind: ReasonKind) -> &'static str {
    match kind {
        ReasonKind::Settled => "no one: it is as it should be, or is only shown",
        ReasonKind::Progress => "the operator",
        ReasonKind::Person => "a person",
        ReasonKind::Time => "Meta, or time",
        ReasonKind::Stalled => "a person: nothing is tried again before an edit, or an act at Meta",
    }
}

/// Every condition, of channels and of portfolios: those that a reason may stand on.
fn conditions() -> impl Iterator<Item = ConditionType> {
    ConditionType::ALL.iter().copied()
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
        subject_kind: "MetaCode",
        meaning: lines.join("\n"),
        remedy: None,
        next: Some(first.class.who_moves()),
        actor: None,
        waits_for: Vec::new(),
        see: Vec::new(),
    })
}

fn unknown(what: &str) -> Problem {
    let lower = what.to_ascii_lowercase();
    let near: Vec<&str> = reason::TABLE
        .iter()
        .map(|row| row.name)
        .chain(conditions().map(ConditionType::as_str))
        .chain(ACTIONS.iter().map(|row| row.name))
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
    text.line(
        render::paint(Tone::Strong, &found.subject) + "  " + render::paint(Tone::Faint, found.subject_kind),
    );
    for line in found.meaning.lines() {
        text.indent(2, line);
    }
    if let Some(remedy) = &found.remedy {
        text.section("What to do").indent(2, remedy);
    }
    if let Some(next) = found.next {
        text.section("Who moves next").indent(2, next);
    }
    if let Some(actor) = found.actor {
        text.section("Who acts").indent(2, actor);
    }
    if !found.waits_for.is_empty() {
        text.section("Waits for");
        for wait in &found.waits_for {
            text.indent(2, wait);
        }
    }
    if !found.see.is_empty() {
        text.section(match found.subject_kind {
            "Condition" => "Reasons of its own",
            "Action" => "Reasons that ask for it",
            _ => "Conditions",
        });
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
