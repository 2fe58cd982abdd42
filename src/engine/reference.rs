//! Reference: documentation made from the tables.

use std::fmt::Write as _;

use crate::engine::value::{
    action::{ACTIONS, ACTORS, Action},
    condition_type::ConditionType,
    page::Page,
    reason::{ReasonKind, Row, TABLE},
    word::Vocabulary,
};

/// Conditions, reasons and actions, as the page `docs/conditions.md`.
///
/// ```
/// let page = whatsapp_operator::engine::reference::conditions();
/// assert!(page.starts_with("<!-- Made by `make gen`"));
/// assert!(page.contains("| `NameDeclined` |"));
/// assert!(page.contains("| `AskForCode` |"));
/// ```
pub fn conditions() -> String {
    let mut page = String::from(
        "<!-- Made by `make gen` from src/engine/value/{reason,action}.rs; do not edit. -->\n\n# Conditions, reasons and actions\n\n",
    );
    page.push_str(
        "Every condition of a `WhatsAppChannel` and a `WhatsAppPortfolio`, and every reason one may carry. `Ready` copies the\n\
         reason, message and status of the first condition that holds it up, in the order of the first table. The last\n\
         section has every action of `status.waitingFor`.\n\n",
    );
    condition_table(&mut page);
    for kind in ReasonKind::ALL {
        reason_table(&mut page, *kind);
    }
    action_tables(&mut page);
    page
}

/// The reasons that may ask for an action.
///
/// ```
/// use whatsapp_operator::engine::{action::Action, reference::reasons_for};
/// let names: Vec<_> = reasons_for(Action::ReviewAccount).map(|row| row.name).collect();
/// assert_eq!(names, ["AccountInReview"]);
/// ```
pub fn reasons_for(action: Action) -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(move |row| row.reason.may_ask(action))
}

/// The pages on which an action is done, by the reasons that ask for it.
fn pages_for(action: Action) -> Vec<Page> {
    let of_rows = TABLE.iter().filter_map(|row| row.asks).filter(|asks| asks.action == action);
    let mut pages: Vec<Page> = of_rows.filter_map(|asks| asks.page).collect();
    let mut seen = Vec::new();
    pages.retain(|page| {
        let is_new = !seen.contains(page);
        seen.push(*page);
        is_new
    });
    pages
}

fn action_tables(page: &mut String) {
    page.push_str(
        "\n## Actions\n\n`status.waitingFor` names an action and who has to do it; `kubectl get` prints both. An action always belongs to\n\
         the same actor. A reason that lists several asks for one of them, by the situation that its message describes.\n\n\
         | Actor | Who that is |\n|---|---|\n",
    );
    for row in ACTORS {
        let _ = writeln!(page, "| `{}` | {} |", row.name, cell(row.meaning));
    }
    page.push_str(
        "\n| Action | Who acts | Means | What to do | Where | Asked for by |\n|---|---|---|---|---|---|\n",
    );
    for row in ACTIONS {
        let pages: Vec<_> = pages_for(row.action).into_iter().map(Page::name).collect();
        let reasons: Vec<_> = reasons_for(row.action).map(|row| format!("`{}`", row.name)).collect();
        let reasons = reasons.join(", ");
        let _ = writeln!(
            page,
            "| `{}` | `{}` | {} | {} | {} | {reasons} |",
            row.name,
            row.actor.as_str(),
            cell(row.meaning),
            cell(row.remedy),
            pages.join(", "),
        );
    }
}

fn condition_table(page: &mut String) {
    page.push_str("## Conditions\n\n| Condition | True means | Holds up Ready |\n|---|---|---|\n");
    for kind in ConditionType::ALL {
        let blocks = kind.blocks().text();
        let _ = writeln!(page, "| `{}` | {} | {blocks} |", kind.as_str(), kind.meaning());
    }
}

fn reason_table(page: &mut String, kind: ReasonKind) {
    let _ = write!(page, "\n## {}\n\n{}\n\n", title(kind), intro(kind));
    page.push_str("| Reason | On | Waits for | Means | What to do |\n|---|---|---|---|---|\n");
    for row in TABLE.iter().filter(|row| row.kind == kind && !row.conditions.is_empty()) {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            row.name,
            on(row),
            waits_for(row),
            cell(row.meaning),
            cell(row.remedy)
        );
    }
}

fn title(kind: ReasonKind) -> &'static str {
    match kind {
        ReasonKind::Settled => "Nothing is open",
        ReasonKind::Progress => "The operator is at it",
        ReasonKind::Person => "A person has to act",
        ReasonKind::Time => "Meta or time ends it",
        ReasonKind::Stalled => "No clock ends it",
    }
}

fn intro(kind: ReasonKind) -> &'static str {
    match kind {
        ReasonKind::Settled => "These tell how things stand.",
        ReasonKind::Progress => "`Reconciling` is True.",
        ReasonKind::Person => {
            "Neither `Reconciling` nor `Stalled`; `status.waitingFor` names the person, the action and the page."
        }
        ReasonKind::Time => {
            "Neither `Reconciling` nor `Stalled`; where there is a date, the message names it."
        }
        ReasonKind::Stalled => {
            "`Stalled` is True while `Ready` is not. An edit of the manifest, or a person at Meta, ends it."
        }
    }
}

fn waits_for(row: &Row) -> String {
    let list: Vec<_> =
        row.actions().map(|action| format!("`{}`: `{}`", action.actor().as_str(), action.as_str())).collect();
    if list.is_empty() { "nobody".into() } else { list.join(", or ") }
}

/// The condition that it is about, and how many repeat it.
fn on(row: &Row) -> String {
    let mut list: Vec<String> = row.conditions.iter().map(|c| format!("`{}`", c.as_str())).collect();
    if list.len() > 3 {
        let rest = list.len() - 1;
        list.truncate(1);
        return format!("{}, repeated by up to {rest} others", list.join(", "));
    }
    list.join(", ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_condition_reason_action_and_actor_is_on_the_page() {
        let page = conditions();
        for kind in ConditionType::ALL {
            assert!(page.contains(&format!("| `{}` |", kind.as_str())));
        }
        for row in TABLE.iter().filter(|row| !row.conditions.is_empty()) {
            assert!(page.contains(&format!("| `{}` |", row.name)), "{}", row.name);
        }
        for row in ACTIONS {
            assert!(page.contains(&format!("| `{}` | `{}` |", row.name, row.actor.as_str())), "{}", row.name);
        }
        for row in ACTORS {
            assert!(page.contains(&format!("| `{}` |", row.name)), "{}", row.name);
        }
    }
}
