//! Reference: documentation made from the tables.

use std::fmt::Write as _;

use crate::engine::{
    condition::ConditionType,
    value::reason::{ReasonKind, Row, TABLE},
};

/// Conditions and reasons, as the page `docs/conditions.md`.
///
/// ```
/// let page = whatsapp_operator::engine::reference::conditions();
/// assert!(page.starts_with("<!-- Made by `make gen`"));
/// assert!(page.contains("| `NameDeclined` |"));
/// ```
pub fn conditions() -> String {
    let mut page = String::from(
        "<!-- Made by `make gen` from src/engine/value/reason.rs; do not edit. -->\n\n# Conditions and reasons\n\n",
    );
    page.push_str(
        "Every condition of a `WhatsAppChannel` and a `WhatsAppPortfolio`, and every reason one may carry. `Ready` copies the\n\
         reason, message and status of the first condition that holds it up, in the order of the first table.\n\n",
    );
    condition_table(&mut page);
    for kind in ReasonKind::ALL {
        reason_table(&mut page, kind);
    }
    page
}

fn condition_table(page: &mut String) {
    page.push_str("## Conditions\n\n| Condition | True means | Holds up Ready |\n|---|---|---|\n");
    let portfolio = [ConditionType::CredentialsValid, ConditionType::IdentityConfirmed];
    for kind in ConditionType::CHANNEL.iter().chain(&portfolio) {
        let _ = writeln!(page, "| `{}` | {} | {} |", kind.as_str(), kind.meaning(), blocks(*kind));
    }
}

fn blocks(kind: ConditionType) -> &'static str {
    match kind {
        ConditionType::CredentialsValid | ConditionType::IdentityConfirmed => "always, of a portfolio",
        _ => kind.blocks(),
    }
}

fn reason_table(page: &mut String, kind: ReasonKind) {
    let _ = write!(page, "\n## {}\n\n{}\n\n", title(kind), intro(kind));
    page.push_str("| Reason | On | Means | What to do |\n|---|---|---|---|\n");
    for row in TABLE.iter().filter(|row| row.kind == kind && !row.conditions.is_empty()) {
        let _ =
            writeln!(page, "| `{}` | {} | {} | {} |", row.name, on(row), cell(row.meaning), cell(row.remedy));
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
            "Neither `Reconciling` nor `Stalled`; `status.waitingFor` names the person and the page."
        }
        ReasonKind::Time => {
            "Neither `Reconciling` nor `Stalled`; a date stands in the message where there is one."
        }
        ReasonKind::Stalled => {
            "`Stalled` is True while `Ready` is not. An edit of the manifest, or a person at Meta, ends it."
        }
    }
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
    fn every_condition_and_reason_is_on_the_page() {
        let page = conditions();
        for kind in ConditionType::CHANNEL {
            assert!(page.contains(&format!("| `{}` |", kind.as_str())));
        }
        for row in TABLE.iter().filter(|row| !row.conditions.is_empty()) {
            assert!(page.contains(&format!("| `{}` |", row.name)), "{}", row.name);
        }
    }
}
