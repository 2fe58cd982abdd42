//! What accounts and numbers have in common: overrides, values that show late, digits.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A subscription or a number with or without a callback of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Override {
    /// The callback that replaces the app's for messages.
    pub callback: Option<String>,
}

/// An old value that still shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Late {
    /// The field.
    pub field: String,
    /// Until when.
    pub until: Timestamp,
    /// What shows; none leaves it out.
    pub value: Option<Value>,
}

/// The digits of a text.
pub(super) fn only_digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// The value that shows for a field: the oldest one that is still late, else the true one.
pub(super) fn shown(late: &[Late], field: &str, now: Timestamp, truth: Option<Value>) -> Option<Value> {
    late.iter().find(|late| late.field == field && late.until > now).map_or(truth, |late| late.value.clone())
}

/// The username of a number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Username {
    /// In small letters.
    pub name: String,
    /// `approved`, or `reserved` while people cannot see it.
    pub status: String,
}

impl Username {
    /// One that people can see.
    pub fn approved(name: &str) -> Self {
        Self { name: name.to_ascii_lowercase(), status: "approved".to_owned() }
    }
}

/// Where a request for an official business account stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Official {
    /// `NOT_STARTED`, `PENDING`, `APPROVED` and so on.
    pub status: String,
    /// Meta's reason.
    pub message: Option<String>,
    /// When it was last requested.
    pub requested: Option<Timestamp>,
}

impl Default for Official {
    fn default() -> Self {
        Self { status: "NOT_STARTED".to_owned(), message: None, requested: None }
    }
}

/// The public profile of a number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// The short line.
    pub about: Option<String>,
    /// Postal address.
    pub address: Option<String>,
    /// The longer text.
    pub description: Option<String>,
    /// Contact.
    pub email: Option<String>,
    /// At most two.
    pub websites: Vec<String>,
    /// The trade; `UNDEFINED` when unset.
    pub vertical: Option<String>,
    /// How often a picture was set; the signed URL differs at every read.
    pub pictures: u64,
}

/// A file, or as much of it as came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) app: String,
    pub(super) length: usize,
    pub(super) signature: String,
    pub(super) bytes: Vec<u8>,
}
