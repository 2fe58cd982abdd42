//! `crd`: prints the custom resource definitions, as kubectl takes them.

use crate::api;

use super::{
    exit::{Ending, Exit, Problem},
    render::{self, Text},
};

/// Prints them.
///
/// # Errors
///
/// When they cannot be written, or one has no YAML form, which would be a fault of ours.
pub fn crd() -> Ending {
    let crds = api::crds().map_err(|error| Problem::new(format!("a CRD has no YAML form: {error}")))?;
    for (_, yaml) in crds {
        render::out(&Text::of(&format!("---\n{yaml}")))?;
    }
    Ok(Exit::Done)
}
