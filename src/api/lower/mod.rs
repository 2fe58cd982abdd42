//! Lowering: spec → `Desired`, status ↔ `Memory` and `Before`, `Assessment` → status.
//!
//! The only place where strings of the API meet the engine's enums. Defaults are decided here and never
//! written back. What is written into a status is bounded here by the lengths of the schema, because a
//! status that is too long would be refused as a whole, the ledger with it.

mod attempts;
mod bound;
mod channel;
mod condition;
mod consent;
mod key;
mod ledger;
mod portfolio;
mod second;
mod spec;
mod status;
mod told;

pub use attempts::{attempts, attempts_text};
pub use channel::{channel, deletion_seconds, is_cleanup_skipped};
pub use condition::{conditions, conditions_from, waiting, waiting_from};
pub use consent::{come_with_the_object, consents};
pub use key::{
    CLEANUP, CONSENTS, FIELD_MANAGER, GROUP, OFFICIAL, RECONCILE, RETRY, SEND_CODE, SKIP_CLEANUP, SKIPPED,
    USE_LABEL, USE_VERIFY_TOKEN,
};
pub use ledger::{memory, memory_of, remembering, with_memory};
pub use portfolio::{
    access, app_webhook, portfolio, portfolio_refused, portfolio_status, refused_fields, subscribed_apps,
    with_adopted, with_written,
};
pub use spec::SpecInvalid;
pub use status::{before, before_of, count, refused, status};
pub use told::in_full;

#[cfg(test)]
mod tests;
