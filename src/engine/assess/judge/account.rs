//! Judgement of the account and its payment method.

use crate::engine::{
    assess::scene::{Judged, Scene, is_passing},
    value::{
        condition_type::ConditionType,
        id::{AccountId, AccountStatus, Fact, Field, ReviewStatus, Sendability},
        observed::{Account, Health},
        reason::Reason,
    },
};

/// The account is banned.
const ACCOUNT_BANNED: i64 = 141_014;

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
    if is_banned(account) {
        return Judged::False(
            Reason::AccountDisabled,
            format!("Meta has banned account {id}; appeal in Business Support Home"),
        );
    }
    if let Some(bad) = account.status.value().and_then(|s| bad_status(s, id)) {
        return bad;
    }
    if let Some(bad) = account.review.value().and_then(|r| bad_review(r, id)) {
        return bad;
    }
    let expected = scene.view().and_then(|v| v.expect_country.as_ref());
    if let (Some(expected), Some(country)) = (expected, &account.country)
        && !expected.eq_ignore_ascii_case(country)
    {
        return Judged::False(
            Reason::CountryMismatch,
            format!(
                "account {id} is in {country} and the portfolio expects {expected}; nothing is written below it"
            ),
        );
    }
    let good = account.status.value() == Some(&AccountStatus::Active)
        || account.review.value() == Some(&ReviewStatus::Approved);
    let unknown = account.status.value().is_some_and(|s| !s.is_known())
        || account.review.value().is_some_and(|r| !r.is_known());
    if good && !unknown {
        Judged::True(Reason::AccountActive, format!("account {id} can be used"))
    } else {
        Judged::Keep
    }
}

fn is_banned(account: &Account) -> bool {
    account.health.value().is_some_and(|h| {
        let mut errors =
            h.entities.iter().filter(|e| e.can_send == Sendability::Blocked).flat_map(|e| &e.errors);
        errors.any(|e| e.code == ACCOUNT_BANNED)
    })
}

fn bad_status(status: &AccountStatus, id: &str) -> Option<Judged> {
    let (reason, text) = match status {
        AccountStatus::Active | AccountStatus::Other(_) => return None,
        AccountStatus::Pending => (Reason::AccountInReview, "is not active yet; Meta decides"),
        AccountStatus::Restricted => (Reason::AccountRestricted, "is restricted; see Business Support Home"),
        AccountStatus::Disabled | AccountStatus::Inactive => {
            (Reason::AccountDisabled, "is not active; see Business Support Home")
        }
    };
    Some(Judged::False(reason, format!("account {id} {text} (status {status})")))
}

fn bad_review(review: &ReviewStatus, id: &str) -> Option<Judged> {
    let (reason, text) = match review {
        ReviewStatus::Approved | ReviewStatus::Other(_) => return None,
        ReviewStatus::Pending | ReviewStatus::Deferred => {
            (Reason::AccountInReview, "is in review; Meta decides")
        }
        ReviewStatus::Rejected => (Reason::AccountRejected, "was rejected; appeal in WhatsApp Manager"),
        ReviewStatus::Restricted | ReviewStatus::LimitReached => {
            (Reason::AccountRestricted, "is restricted; see Business Support Home")
        }
    };
    Some(Judged::False(reason, format!("account {id} {text} (review {review})")))
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
    match &account.funding {
        Field::Is(id) if id != "0" && !id.is_empty() => {
            Judged::True(Reason::PaymentMethodPresent, "the account has a payment method".into())
        }
        Field::Refused => Judged::Keep,
        _ => Judged::Unknown(
            Reason::PaymentNotKnown,
            "Meta shows neither a payment method nor a payment problem".into(),
        ),
    }
}
