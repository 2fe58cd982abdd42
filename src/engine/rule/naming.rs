//! The display name as Meta shows it: which of its two statuses counts, and what that allows.

use crate::engine::value::{
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
    field.value().is_some_and(|value| value == name)
}

/// The better of `name_status` and, where it speaks of the desired name, `new_name_status`.
pub(in crate::engine) fn state(number: &Number, desired: &str) -> NameState {
    let current = read(&number.name_status);
    let new = is(&number.new_display_name, desired).then(|| read(&number.new_name_status));
    match new {
        Some(new) if rank(&new) < rank(&current) => new,
        _ => current,
    }
}

fn read(field: &Field<NameStatus>) -> NameState {
    match field.value() {
        None => NameState::Blind,
        Some(NameStatus::Approved | NameStatus::AvailableWithoutReview) => NameState::Usable,
        Some(NameStatus::PendingReview) => NameState::InReview,
        Some(NameStatus::None | NameStatus::NonExists) => NameState::NotReady,
        Some(NameStatus::Expired) => NameState::Expired,
        Some(NameStatus::Declined) => NameState::Declined,
        Some(NameStatus::Other(word)) => NameState::Unknown(word.to_string()),
    }
}

fn rank(state: &NameState) -> u8 {
    match state {
        NameState::Usable => 0,
        NameState::InReview => 1,
        NameState::Unknown(_) => 2,
        NameState::Blind => 3,
        NameState::NotReady => 4,
        NameState::Expired => 5,
        NameState::Declined => 6,
    }
}
