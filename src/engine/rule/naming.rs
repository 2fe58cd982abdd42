//! The display name as Meta shows it: which of its two statuses counts, and what that allows.

use crate::engine::value::{
    display_name::is_same,
    id::{Field, NameStatus},
    observed::Number,
};

/// What the name allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum NameState {
    Usable,
    InReview,
    /// Meta does not tell.
    Blind,
    NotReady,
    Expired,
    Declined,
    Unknown(String),
}

/// Whether Meta shows a name on the number, and not as expired.
pub(in crate::engine) fn shows(number: &Number, name: &str) -> bool {
    let current = is(&number.verified_name, name) && number.name_status.value() != Some(&NameStatus::Expired);
    let new =
        is(&number.new_display_name, name) && number.new_name_status.value() != Some(&NameStatus::Expired);
    current || new
}

/// Whether a field holds this name.
pub(in crate::engine) fn is(field: &Field<String>, name: &str) -> bool {
    field.value().is_some_and(|value| is_same(value, name))
}

/// Whether Meta approved a name for a number that is registered under another one. Nothing but one more registration makes
/// it live (recorded in August 2026).
pub(in crate::engine) fn is_approved_and_not_live(number: &Number, name: &str) -> bool {
    number.is_registered()
        && is(&number.new_display_name, name)
        && !is(&number.verified_name, name)
        && has_approved_change(number)
}

/// Whether a name that Meta approved waits beside the live one.
pub(in crate::engine) fn has_approved_change(number: &Number) -> bool {
    number.new_name_status.value() == Some(&NameStatus::Approved)
}

/// The status that counts for a name: the better of `name_status` and, where it speaks of the desired name,
/// `new_name_status`. `None` where Meta does not tell.
///
/// NONE says that no change is open, which is no news about the name, so it is the least: it hides neither a name that
/// was declined nor one that expired. What is not told goes before what is known to be no use, since it may be better.
/// That another name was declined or expired says nothing about a desired one that waits behind it.
pub(in crate::engine) fn status<'a>(number: &'a Number, desired: &str) -> Option<&'a NameStatus> {
    let current = number.name_status.value();
    if !is(&number.new_display_name, desired) {
        return current;
    }
    let new = number.new_name_status.value();
    let is_of_another = number.verified_name.value().is_some_and(|name| !is_same(name, desired))
        && matches!(current, Some(NameStatus::Declined | NameStatus::Expired));
    if is_of_another || rank(new) < rank(current) { new } else { current }
}

/// What the status that counts allows.
pub(in crate::engine) fn state(number: &Number, desired: &str) -> NameState {
    match status(number, desired) {
        None => NameState::Blind,
        Some(NameStatus::Approved | NameStatus::AvailableWithoutReview) => NameState::Usable,
        Some(NameStatus::PendingReview) => NameState::InReview,
        Some(NameStatus::None | NameStatus::NonExists) => NameState::NotReady,
        Some(NameStatus::Expired) => NameState::Expired,
        Some(NameStatus::Declined) => NameState::Declined,
        Some(NameStatus::Other(word)) => NameState::Unknown(word.to_string()),
    }
}

fn rank(status: Option<&NameStatus>) -> u8 {
    match status {
        Some(NameStatus::Approved) => 0,
        Some(NameStatus::AvailableWithoutReview) => 1,
        Some(NameStatus::PendingReview) => 2,
        Some(NameStatus::Other(_)) => 3,
        None => 4,
        Some(NameStatus::Expired) => 5,
        Some(NameStatus::Declined) => 6,
        Some(NameStatus::None | NameStatus::NonExists) => 7,
    }
}
