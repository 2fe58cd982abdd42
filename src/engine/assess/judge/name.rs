//! Judgement of the display name.

use crate::engine::{
    assess::scene::{Judged, Scene},
    rule::naming::{is, is_in_review, status},
    value::{
        condition_type::ConditionType, id::NameStatus, observed::Number, reason::Reason, step::StepKind,
    },
};

pub(super) fn name(scene: &Scene<'_>, number: &Number) -> Judged {
    let desired = scene.desired.display_name.as_str();
    let pending = is(&number.new_display_name, desired);
    if is(&number.verified_name, desired) {
        return live_name(scene, number);
    }
    if number.verified_name.value().is_none() && !pending {
        return Judged::Keep;
    }
    if number.is_registered() {
        return registered_name(scene, number);
    }
    if pending && let Some(judged) = pending_name(scene, number) {
        return judged;
    }
    other_name(scene, number)
}

/// A registered number carries another name. What becomes of that is the plan's to say, unless it did not get so far.
fn registered_name(scene: &Scene<'_>, number: &Number) -> Judged {
    let live = number.verified_name.value().map_or("", String::as_str);
    let message =
        format!("the number is registered as {live:?}, and not as {:?}", scene.desired.display_name);
    if is_told(scene) { Judged::Open(message) } else { Judged::False(Reason::NameDiffers, message) }
}

/// Whether the plan says what the name of a registered number waits for, or takes a step to it.
fn is_told(scene: &Scene<'_>) -> bool {
    let step = scene.plan.step.as_ref().map(|planned| planned.step.kind());
    matches!(step, Some(StepKind::SubmitName | StepKind::Register | StepKind::SetPin))
        || scene.block_on(ConditionType::DisplayNameApproved).is_some()
}

/// The desired name is `verified_name`; a change to the same name may improve its status.
fn live_name(scene: &Scene<'_>, number: &Number) -> Judged {
    match status(number, &scene.desired.display_name) {
        Some(NameStatus::Approved) => {
            Judged::True(Reason::NameApproved, "the display name is approved".into())
        }
        Some(NameStatus::AvailableWithoutReview) => Judged::True(
            Reason::NameAvailableWithoutReview,
            "the display name can be used; Meta reviews it later".into(),
        ),
        Some(NameStatus::PendingReview) => {
            Judged::False(Reason::NameInReview, "Meta is reviewing the display name".into())
        }
        Some(NameStatus::Declined) => declined(),
        Some(NameStatus::Expired) => {
            let message =
                format!("the approval of the display name {} has expired", scene.desired.display_name);
            match !number.is_registered() || is_told(scene) {
                true => Judged::Open(message),
                false => Judged::False(Reason::NameDiffers, message),
            }
        }
        Some(NameStatus::None | NameStatus::NonExists) => {
            Judged::False(Reason::NameNotReady, "Meta has not made the display name usable yet".into())
        }
        Some(NameStatus::Other(word)) => name_not_known(scene, Some(word)),
        None => name_not_known(scene, None),
    }
}

/// An unknown status, or none, is shown only if no status was ever known.
fn name_not_known(scene: &Scene<'_>, word: Option<&str>) -> Judged {
    if scene.was_judged(ConditionType::DisplayNameApproved) {
        return Judged::Keep;
    }
    match word {
        Some(word) => Judged::Unknown(
            Reason::StatusNotKnown,
            format!("Meta shows the status {word} of the display name, which is not known here"),
        ),
        None => Judged::Unknown(
            Reason::ObservationIncomplete,
            "Meta does not tell the status of the display name".into(),
        ),
    }
}

fn declined() -> Judged {
    Judged::False(
        Reason::NameDeclined,
        "Meta declined the display name; set another displayName, or appeal in WhatsApp Manager".into(),
    )
}

/// The desired name is `new_display_name`, and the number is not registered.
fn pending_name(scene: &Scene<'_>, number: &Number) -> Option<Judged> {
    match number.new_name_status.value() {
        Some(NameStatus::PendingReview) => {
            Some(Judged::False(Reason::NameInReview, "Meta is reviewing the display name".into()))
        }
        Some(NameStatus::Declined) => Some(declined()),
        Some(NameStatus::Approved | NameStatus::AvailableWithoutReview) => Some(Judged::False(
            Reason::WaitsForRegistration,
            "the display name is approved, and becomes the live one by registering".into(),
        )),
        Some(NameStatus::Other(_)) => Some(Judged::Keep),
        Some(NameStatus::None | NameStatus::NonExists) | None => {
            Some(Judged::False(Reason::NameNotReady, "Meta has not made the display name usable yet".into()))
        }
        Some(NameStatus::Expired) => {
            Some(Judged::Open(format!("the display name {} is not live yet", scene.desired.display_name)))
        }
    }
}

fn other_name(scene: &Scene<'_>, number: &Number) -> Judged {
    let live = number.verified_name.value().map_or("", String::as_str);
    let desired = &scene.desired.display_name;
    if scene.memory.marks.has_declined(desired) {
        return declined();
    }
    if is_in_review(number) {
        let other = number.new_display_name.value().map_or(live, String::as_str);
        return Judged::False(
            Reason::NameChangeQueued,
            format!("\"{other}\" is in review; \"{desired}\" is submitted after it"),
        );
    }
    Judged::Open(format!("the number carries the name \"{live}\", not \"{desired}\""))
}
