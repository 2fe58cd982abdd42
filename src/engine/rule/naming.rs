//! The display name as Meta shows it: which of its two statuses counts, and what that allows.

use crate::engine::value::{
    display_name::is_same,
    id::{Field, NameStatus},
    memory::Memory,
    observed::Number,
    step::StepKind,
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

/// Where the desired name of a registered number stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Standing {
    /// It is the live one.
    Live(NameState),
    /// It waits beside the live one.
    Waiting(NameState),
    /// Another one is live, and it is not even asked for.
    Other,
    /// Meta does not tell the live one.
    Hidden,
}

/// Where the desired name of a registered number stands. Only its own status counts, since the live one has another.
pub(in crate::engine) fn standing(number: &Number, name: &str, memory: &Memory) -> Standing {
    if is(&number.verified_name, name) {
        return Standing::Live(of_word(own_status(number, name)));
    }
    if is(&number.new_display_name, name) || is_shown_without_name(number, name, memory) {
        return Standing::Waiting(of_word(number.new_name_status.value()));
    }
    match number.verified_name.value() {
        Some(_) => Standing::Other,
        None => Standing::Hidden,
    }
}

/// Meta shows that a change is open and not to which name. It is to the one that was submitted last, or that it was seen to
/// be to.
fn is_shown_without_name(number: &Number, name: &str, memory: &Memory) -> bool {
    let is_open = !matches!(
        number.new_name_status.value(),
        None | Some(NameStatus::None | NameStatus::NonExists | NameStatus::Other(_))
    );
    let last = memory.ledger.last(StepKind::SubmitName);
    let is_last = last.is_some_and(|last| last.is_about_name(name) && last.refusal.is_none());
    let was_seen = memory.marks.approved.as_ref().is_some_and(|(approved, _)| is_same(approved, name));
    is_open && (is_last || was_seen) && number.new_display_name.value().is_none()
}

/// Whether Meta reviews a name of the number, the live one or another.
pub(in crate::engine) fn is_in_review(number: &Number) -> bool {
    let statuses = [&number.name_status, &number.new_name_status];
    statuses.into_iter().any(|field| field.value() == Some(&NameStatus::PendingReview))
}

/// Whether Meta reviews a name beside the live one. A registration moves it to where that is, unreviewed.
pub(in crate::engine) fn is_change_in_review(number: &Number) -> bool {
    number.new_name_status.value() == Some(&NameStatus::PendingReview)
}

/// Whether a name that may be used waits beside the live one.
pub(in crate::engine) fn has_approved_change(number: &Number) -> bool {
    let status = number.new_name_status.value();
    matches!(status, Some(NameStatus::Approved | NameStatus::AvailableWithoutReview))
}

/// Whether Meta may have a change open beside the live name, since it does not let the change be read. Not read is not absent.
pub(in crate::engine) fn is_change_hidden(number: &Number) -> bool {
    number.new_name_status.is_refused() || number.new_display_name.is_refused()
}

/// Whether a name that may be used waits beside the live one, or did and cannot be read now.
pub(in crate::engine) fn may_have_approved_change(number: &Number, memory: &Memory) -> bool {
    has_approved_change(number) || (number.new_name_status.is_refused() && memory.marks.approved.is_some())
}

/// What Meta says of this very name.
pub(in crate::engine) fn own_state(number: &Number, name: &str) -> NameState {
    of_word(own_status(number, name))
}

fn own_status<'a>(number: &'a Number, name: &str) -> Option<&'a NameStatus> {
    let (current, new) = (number.name_status.value(), number.new_name_status.value());
    match (is(&number.verified_name, name), is(&number.new_display_name, name)) {
        (true, true) if rank(new) < rank(current) => new,
        (true, _) => current,
        (false, true) => new,
        (false, false) => None,
    }
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
    of_word(status(number, desired))
}

fn of_word(status: Option<&NameStatus>) -> NameState {
    match status {
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
