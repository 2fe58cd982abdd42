//! The functional core: look → observe → plan → act → assess.
//!
//! No I/O, no async, no clock, no Kubernetes, no HTTP. Values go in and values come out.
//!
//! A file uses its own layer and those below it, and no two files use each other:
//!
//! | Layer | Holds |
//! | --- | --- |
//! | `value` | what goes in, what comes out and what is remembered |
//! | `rule` | answers to one question each, which several layers above ask |
//! | [`look`], [`plan`] | what to read; the one step to take, or why there is none |
//! | [`record`] | the step written down in memory, before and after the call |
//! | `assess` | what a pass means: conditions, waits, facts |
//! | [`reference`](mod@reference) | the documentation made from the tables |
//!
//! Whoever uses the engine sees the modules of `value` and `rule` side by side.

pub mod assess;
#[cfg(test)]
pub(crate) mod face_fixture;
#[cfg(test)]
mod fixture;
pub mod look;
pub mod plan;
pub mod record;
pub mod reference;
mod rule;
mod value;

pub use rule::{drift, line, name, reach, timezone};
pub use value::{
    action, block, condition, condition_type, desired, failure, id, limits, memory, observed, outcome, page,
    phone, portfolio, reason, secret, status, step, time, wait, word,
};
