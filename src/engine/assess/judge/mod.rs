//! Judgement: what one observation says about one condition.
//!
//! Each function uses facts only. A condition can be open: not True, without a fact against it. Then the plan says what
//! it waits for, and `apply` adds that.

mod account;
mod health;
mod name;
mod number;
pub(super) mod portfolio;
mod settings;

use crate::engine::{
    assess::scene::{Judged, Place, Scene},
    value::{
        condition_type::ConditionType,
        desired::Desired,
        observed::{Claim, Number},
        reason::Reason,
    },
};

/// Whether a condition is there at all: what is not managed has none.
pub(super) fn is_shown(kind: ConditionType, desired: &Desired) -> bool {
    match kind {
        ConditionType::WebhookRouted => desired.webhook.is_some(),
        ConditionType::ProfileSynced => desired.profile.is_managed() || desired.picture.is_some(),
        ConditionType::UsernameClaimed => desired.username.is_some(),
        ConditionType::OfficialAccount => desired.official.is_some(),
        // There only where there is something to tell.
        ConditionType::RegistrationSynced => false,
        ConditionType::AppSynced => !desired.syncs.is_empty(),
        ConditionType::CredentialsValid | ConditionType::IdentityConfirmed | ConditionType::AppWebhookSet => {
            false
        }
        ConditionType::PortfolioReady
        | ConditionType::AccountUsable
        | ConditionType::NumberAdded
        | ConditionType::NumberVerified
        | ConditionType::DisplayNameApproved
        | ConditionType::Registered
        | ConditionType::Healthy
        | ConditionType::BusinessVerified
        | ConditionType::PaymentReady
        | ConditionType::Ready
        | ConditionType::Reconciling
        | ConditionType::Stalled => true,
    }
}

/// What the observation says about one condition.
pub(super) fn judge(kind: ConditionType, scene: &Scene<'_>) -> Judged {
    if kind != ConditionType::RegistrationSynced && !is_shown(kind, scene.desired) {
        return Judged::Absent;
    }
    if let Claim::Other { name } = scene.claim()
        && kind == ConditionType::NumberAdded
    {
        return Judged::False(Reason::NumberClaimed, number::claimed(name.as_deref()));
    }
    match kind {
        ConditionType::PortfolioReady => portfolio::portfolio(scene),
        ConditionType::AccountUsable => account::account(scene),
        ConditionType::NumberAdded => number::added(scene),
        ConditionType::NumberVerified => on_number(scene, number::verified),
        ConditionType::DisplayNameApproved => on_number(scene, name::name),
        ConditionType::Registered => on_number(scene, number::registered),
        ConditionType::Healthy => on_number(scene, health::healthy),
        ConditionType::WebhookRouted => on_number(scene, settings::webhook),
        ConditionType::ProfileSynced => on_registered(kind, scene, settings::profile),
        ConditionType::UsernameClaimed => on_registered(kind, scene, settings::username),
        ConditionType::OfficialAccount => on_registered(kind, scene, settings::official),
        ConditionType::BusinessVerified => portfolio::business(scene),
        ConditionType::PaymentReady => account::payment(scene),
        ConditionType::RegistrationSynced => on_registered(kind, scene, settings::registration),
        ConditionType::AppSynced => on_registered(kind, scene, settings::app),
        // Judged from the others.
        ConditionType::Ready | ConditionType::Reconciling | ConditionType::Stalled => Judged::Keep,
        // A portfolio's own judge has them.
        ConditionType::CredentialsValid | ConditionType::IdentityConfirmed | ConditionType::AppWebhookSet => {
            Judged::Keep
        }
    }
}

/// Of what only a registered number has. That one reads as not registered for some minutes says nothing of it: what was told
/// stays, and nothing is told that was not.
fn on_registered(kind: ConditionType, scene: &Scene<'_>, judge: fn(&Scene<'_>, &Number) -> Judged) -> Judged {
    let is_doubted = || scene.was_true(ConditionType::Registered) && scene.is_platform_doubted();
    match scene.place {
        Place::Here(_) if scene.before.conditions.get(kind).is_some() && is_doubted() => Judged::Keep,
        _ => on_number(scene, judge),
    }
}

fn on_number(scene: &Scene<'_>, judge: fn(&Scene<'_>, &Number) -> Judged) -> Judged {
    match scene.place {
        Place::Here(number) => judge(scene, number),
        Place::Absent => Judged::Open(format!("{} is not in the account yet", scene.desired.number)),
        Place::Left(_) => number::added(scene),
        Place::Unknown => Judged::Keep,
    }
}

#[cfg(test)]
mod tests;
