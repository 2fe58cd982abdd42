//! The API of the operator: kinds by version, and their lowering into the engine's values.
//!
//! Strings live here; the engine has enums. Nothing here calls anything.

mod crd;
pub mod lower;
mod reference;
mod rule;
pub mod v1alpha1;

pub use crd::{Fit, SCHEMA, channel_crd, crds, fit, portfolio_crd};
pub use reference::reference;
