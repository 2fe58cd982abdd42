//! Attempts that are kept beside the channel: text ↔ [`Ledger`].
//!
//! The text is that of `status.memory.ledger`, so what a newer version wrote stays in it.

use super::ledger::{ledger, ledger_from};
use crate::{api::v1alpha1 as v1, engine::memory::Ledger};

/// Reads kept attempts.
///
/// # Errors
///
/// When it is no such text; why.
///
/// ```
/// use whatsapp_operator::{api::lower, engine::memory::Ledger};
/// let text = lower::attempts_text(&Ledger::default(), None);
/// assert_eq!(lower::attempts(&text), Ok(Ledger::default()));
/// assert!(lower::attempts("five codes").is_err());
/// ```
pub fn attempts(text: &str) -> Result<Ledger, String> {
    parsed(text).map(|ledger| ledger_from(&ledger))
}

/// The text of attempts, over the one that stands there now.
pub fn attempts_text(attempts: &Ledger, standing: Option<&str>) -> String {
    let standing = standing.and_then(|text| parsed(text).ok());
    let next = ledger(attempts, standing.as_ref());
    serde_json::to_value(next).unwrap_or_default().to_string()
}

fn parsed(text: &str) -> Result<v1::Ledger, String> {
    serde_json::from_str(text).map_err(|error| format!("it does not parse: {error}"))
}
