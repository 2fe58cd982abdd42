//! Whether a WhatsApp Business Account is fit for use, by what Meta shows of it.
//!
//! Meta tells it in three fields, which may disagree: the health (a ban shows only there), `status` and
//! `account_review_status`. The order of the answers is part of the contract. What waiting does not end goes before
//! what Meta or time ends, and the graver goes first: banned or disabled, rejected, restricted, in review. A word that
//! this version does not know hides none of them, and is an answer only where nothing else is wrong.

use crate::engine::value::{
    id::{AccountStatus, ReviewStatus, Sendability},
    observed::Account,
    reason::Reason,
};

/// The code by which Meta names a ban in the health of an account.
const BANNED: i64 = 141_014;

/// What Meta's words about an account come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Fitness {
    /// Active or approved, and nothing is wrong.
    Fit,
    /// Why not, and what to do.
    Unfit(Reason, String),
    /// A word of Meta's that this version does not know, in this field.
    NotKnown { field: &'static str, word: String },
    /// Meta shows neither field.
    Untold,
}

/// Whether an account can be used.
pub(in crate::engine) fn fitness(id: &str, account: &Account) -> Fitness {
    let (status, review) = (account.status.value(), account.review.value());
    if let Some(words) = ban(account) {
        return Fitness::Unfit(
            Reason::AccountDisabled,
            format!("Meta banned account {id} ({words}); appeal in Business Support Home"),
        );
    }
    if let Some(word @ (AccountStatus::Disabled | AccountStatus::Inactive)) = status {
        return Fitness::Unfit(
            Reason::AccountDisabled,
            format!("account {id} is {word}; only Meta can reinstate it, ask in Business Support Home"),
        );
    }
    if review == Some(&ReviewStatus::Rejected) {
        return Fitness::Unfit(
            Reason::AccountRejected,
            format!("Meta rejected account {id}; appeal in Business Support Home"),
        );
    }
    let restricted = match (status, review) {
        (Some(word @ AccountStatus::Restricted), _) => Some(word.as_str()),
        (_, Some(word @ (ReviewStatus::Restricted | ReviewStatus::LimitReached))) => Some(word.as_str()),
        _ => None,
    };
    if let Some(word) = restricted {
        return Fitness::Unfit(
            Reason::AccountRestricted,
            format!(
                "account {id} is restricted by Meta ({word}); see why and appeal in Business Support Home"
            ),
        );
    }
    let in_review = match (status, review) {
        (Some(word @ AccountStatus::Pending), _) => Some(word.as_str()),
        (_, Some(word @ (ReviewStatus::Pending | ReviewStatus::Deferred))) => Some(word.as_str()),
        _ => None,
    };
    if let Some(word) = in_review {
        return Fitness::Unfit(
            Reason::AccountInReview,
            format!(
                "account {id} is in Meta's review ({word}); nothing can be done with it until Meta approves it"
            ),
        );
    }
    match (status, review) {
        (_, Some(ReviewStatus::Other(word))) => {
            Fitness::NotKnown { field: "account_review_status", word: word.to_string() }
        }
        (Some(AccountStatus::Other(word)), _) => {
            Fitness::NotKnown { field: "status", word: word.to_string() }
        }
        (None, None) => Fitness::Untold,
        _ => Fitness::Fit,
    }
}

/// The ban in Meta's words. A code of a ban on an entity that is not blocked is none.
fn ban(account: &Account) -> Option<String> {
    let entities = account.health.value().map(|health| health.entities.as_slice()).unwrap_or_default();
    let blocked = entities.iter().filter(|entity| entity.can_send == Sendability::Blocked);
    let error = blocked.flat_map(|entity| &entity.errors).find(|error| error.code == BANNED)?;
    Some(format!("code {}: {}", error.code, error.description.trim_end_matches('.')))
}

/// Why the account is not in the country that the portfolio expects. A country that Meta does not show contradicts
/// nothing.
pub(in crate::engine) fn wrong_country(
    id: &str,
    account: &Account,
    expected: Option<&str>,
) -> Option<String> {
    let (expected, actual) = (expected?, account.country.as_deref()?);
    (!expected.eq_ignore_ascii_case(actual)).then(|| {
        format!(
            "account {id} is in country {actual}, the portfolio expects {expected}; nothing is written; use another account, or correct expect.country"
        )
    })
}
