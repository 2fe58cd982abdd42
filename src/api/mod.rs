//! The API of the operator: kinds by version, and their lowering into the engine's values.
//!
//! Strings live here; the engine has enums. Nothing here calls anything.

pub mod lower;
mod rule;
pub mod v1alpha1;
