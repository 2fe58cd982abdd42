//! Judgement of the display name.

use crate::engine::{
    assess::scene::{Judged, Scene},
    rule::naming::{is, is_approved_and_not_live, status},
    value::{
        condition_type::ConditionType,
        desired::{Connection, Management},
        id::NameStatus,
        observed::Number,
        reason::Reason,
        step::StepKind,
    },
};

pub(super) fn name(scene: &Scene<'_>, number: &Number) -> Judged {
    let desired = scene.desired.display_name.as_str();
    let live = is(&number.verified_name, desired);
    let pending = is(&number.new_display_name, desired);
    if live {
        return live_name(scene, number);
    }
    if number.verified_name.value().is_none() && !pending {
        return Judged::Keep;
    }
    if pending && let Some(judged) = pending_name(scene, number) {
        return judged;
    }
    other_name(scene, number)
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
        Some(NameStatus::Expired) if !number.is_registered() => Judged::Open(format!(
            "the approval of the display name {} has expired",
            scene.desired.display_name
        )),
        Some(NameStatus::Expired) => Judged::False(
            Reason::RenameNotManaged,
            "the approval of the display name has expired, and for a registered number a person has to submit it again".into(),
        ),
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

/// The desired name is `new_display_name`, and another one is live.
fn pending_name(scene: &Scene<'_>, number: &Number) -> Option<Judged> {
    match number.new_name_status.value() {
        Some(NameStatus::PendingReview) => {
            Some(Judged::False(Reason::NameInReview, "Meta is reviewing the display name".into()))
        }
        Some(NameStatus::Declined) => Some(declined()),
        Some(NameStatus::Approved | NameStatus::AvailableWithoutReview) if !number.is_registered() => {
            Some(Judged::False(
                Reason::WaitsForRegistration,
                "the display name is approved, and becomes the live one by registering".into(),
            ))
        }
        _ if is_approved_and_not_live(number, &scene.desired.display_name) => not_live(scene),
        Some(NameStatus::Other(_)) => Some(Judged::Keep),
        _ if number.is_registered() => None,
        Some(NameStatus::None | NameStatus::NonExists) | None => {
            Some(Judged::False(Reason::NameNotReady, "Meta has not made the display name usable yet".into()))
        }
        Some(_) => {
            Some(Judged::Open(format!("the display name {} is not live yet", scene.desired.display_name)))
        }
    }
}

/// It becomes live with one more registration. A number of the WhatsApp Business app is never registered.
fn not_live(scene: &Scene<'_>) -> Option<Judged> {
    let message =
        "the display name is approved, and becomes the live one when the number is registered once more";
    let is_planned =
        scene.plan.step.as_ref().is_some_and(|planned| planned.step.kind() == StepKind::Register);
    let is_told = scene.plan.aside.iter().any(|(on, _)| *on == ConditionType::DisplayNameApproved);
    match (scene.desired.connection, scene.desired.management) {
        (Connection::Coexistence, _) => None,
        (Connection::CloudApi, Management::ObserveOnly) => Some(Judged::False(
            Reason::ObserveOnly,
            format!("{message}, which managementPolicy ObserveOnly leaves to people"),
        )),
        (Connection::CloudApi, Management::Full) if is_planned || is_told => {
            Some(Judged::Open(message.into()))
        }
        (Connection::CloudApi, Management::Full) => {
            Some(Judged::False(Reason::NameNotLive, format!("{message}, which a person asks for")))
        }
    }
}

fn other_name(scene: &Scene<'_>, number: &Number) -> Judged {
    let live = number.verified_name.value().map_or("", String::as_str);
    let desired = &scene.desired.display_name;
    if scene.memory.marks.has_declined(desired) {
        return declined();
    }
    if number.is_registered() {
        return Judged::False(
            Reason::RenameNotManaged,
            format!(
                "the number is registered as \"{live}\", and renaming it to \"{desired}\" is left to a person"
            ),
        );
    }
    let queued = [&number.name_status, &number.new_name_status]
        .iter()
        .any(|s| s.value() == Some(&NameStatus::PendingReview));
    if queued {
        let other = number.new_display_name.value().map_or(live, String::as_str);
        return Judged::False(
            Reason::NameChangeQueued,
            format!("\"{other}\" is in review; \"{desired}\" is submitted after it"),
        );
    }
    Judged::Open(format!("the number carries the name \"{live}\", not \"{desired}\""))
}
