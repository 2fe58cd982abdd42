//! Rules: one answer to each question that more than one layer asks.
//!
//! They turn values into answers. They contain neither the order of a plan nor the wording of conditions.

pub mod account;
pub mod adding;
pub mod clock;
pub mod consent;
pub mod drift;
pub mod line;
pub mod name;
pub mod naming;
pub mod picture;
pub mod reach;
pub mod say;
pub mod shown;
pub mod stood;
pub mod sync;
pub mod timezone;
pub mod upkeep;
pub mod username;
pub mod waiting;
