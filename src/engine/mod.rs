//! The functional core: look → observe → plan → act → assess.
//!
//! No I/O, no async, no clock, no Kubernetes, no HTTP. Values go in and values come out.

pub mod condition;
pub mod desired;
pub mod drift;
#[cfg(test)]
pub(crate) mod face_fixture;
pub mod failure;
#[cfg(test)]
mod fixture;
pub mod id;
mod judge;
pub mod limits;
pub mod look;
pub mod memory;
pub mod name;
pub mod observed;
pub mod outcome;
pub mod page;
pub mod phone;
pub mod plan;
pub mod portfolio;
pub mod preflight;
pub mod reach;
pub mod reason;
pub mod reference;
mod shown;
pub mod step;
pub mod timezone;
mod wait;
pub mod word;
