//! What both kinds' specs have in common: a field that cannot be understood, ids of Meta's, keys of Secrets.

use crate::api::v1alpha1 as v1;
use crate::engine::desired::SecretKey;

/// A spec that asks for something impossible. The schema refuses all of these; an object stored under an
/// older schema, or read from a file, may still hold one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}; {remedy}")]
pub struct SpecInvalid {
    /// Path of the field, `spec.phoneNumber`.
    pub field: &'static str,
    /// What is wrong with the value.
    pub problem: String,
    /// What to do.
    pub remedy: &'static str,
}

pub(super) fn meta_id<'a>(field: &'static str, id: &'a str) -> Result<&'a str, SpecInvalid> {
    if (5..=32).contains(&id.len()) && !id.starts_with('0') && id.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(id);
    }
    Err(SpecInvalid {
        field,
        problem: "is not an id of Meta's: 5 to 32 digits and nothing else".into(),
        remedy: "copy the id from Meta's business settings",
    })
}

pub(super) fn secret_key(reference: &v1::SecretKeyRef) -> SecretKey {
    SecretKey { name: reference.name.clone(), key: reference.key.clone() }
}
