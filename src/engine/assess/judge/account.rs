//! Judgement of the account and its payment method.

use crate::engine::{
    assess::scene::{Judged, Scene, is_passing},
    rule::account::{Fitness, fitness, wrong_country},
    value::{
        condition_type::ConditionType,
        id::{AccountId, Fact, Field},
        observed::{Account, Health},
        reason::Reason,
    },
};

pub(super) fn account(scene: &Scene<'_>) -> Judged {
    if let Some(hold) = scene.view().and_then(|v| v.hold.as_ref())
        && hold.reason == Reason::NoAccountInReach
    {
        return Judged::False(Reason::NoAccountInReach, hold.message.clone());
    }
    match &scene.observed.account {
        Fact::Known(account) => judge_account(scene, account),
        Fact::Unknown(failure) if scene.tells_of_account(failure) => {
            let message = "Meta does not show the account to this token".to_owned();
            match scene.block_on(ConditionType::AccountUsable).filter(|b| !is_passing(b.reason)) {
                Some(_) => Judged::Open(message),
                None => Judged::False(Reason::PermissionMissing, message),
            }
        }
        Fact::Unknown(_) | Fact::NotAsked => Judged::Keep,
    }
}

fn judge_account(scene: &Scene<'_>, account: &Account) -> Judged {
    let id = account.id.as_ref().map_or("", AccountId::as_str);
    let expected = scene.view().and_then(|view| view.expect_country.as_deref());
    if let Some(message) = wrong_country(id, account, expected) {
        return Judged::False(Reason::CountryMismatch, message);
    }
    match fitness(id, account) {
        Fitness::Fit => Judged::True(Reason::AccountActive, format!("account {id} can be used")),
        Fitness::Unfit(reason, message) => Judged::False(reason, message),
        Fitness::NotKnown { .. } | Fitness::Untold => Judged::Keep,
    }
}

pub(super) fn payment(scene: &Scene<'_>) -> Judged {
    let account = scene.account_facts();
    let healths = [account.and_then(|a| a.health.value()), scene.number().and_then(|n| n.health.value())];
    let errors = healths.into_iter().flatten().flat_map(|h| &h.entities).flat_map(|e| &e.errors);
    // Meta's order means nothing, and may change from look to look.
    let named = errors.filter(|e| Health::PAYMENT.contains(&e.code));
    if let Some(error) = named.min_by(|a, b| (a.code, &a.description).cmp(&(b.code, &b.description))) {
        return Judged::False(
            Reason::PaymentProblem,
            format!("Meta names a payment problem ({}): {}", error.code, error.description),
        );
    }
    let Some(account) = account else { return Judged::Keep };
    if account.has_payment_method() {
        return Judged::True(Reason::PaymentMethodPresent, "the account has a payment method".into());
    }
    // What was shown once and is not shown to this app any more is not gone.
    if account.funding.is_refused() && scene.was_true(ConditionType::PaymentReady) {
        return Judged::Keep;
    }
    Judged::Unknown(
        Reason::PaymentNotKnown,
        "Meta shows neither a payment method nor a payment problem".into(),
    )
}
