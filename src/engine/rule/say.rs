//! Words for blocks that several rules share, and for what Meta answered.

use jiff::Timestamp;

use crate::engine::value::{
    block::Block,
    failure::{Failure, Refusal, Said},
    portfolio::Hold,
    reason::Reason,
    step::StepKind,
};

/// How an account comes to be in reach. Portfolios with an address in Brazil or India create none in Meta's business tools
/// (Meta, page on business locations, September 2026).
pub(in crate::engine) fn create_account(country: Option<&str>) -> &'static str {
    match country.map(str::to_ascii_uppercase).as_deref() {
        Some("BR" | "IN") => {
            "create one in the App Dashboard (WhatsApp, API Setup) or through Embedded Signup, and assign it to the system user"
        }
        Some(_) => "create one in WhatsApp Manager, and assign it to the system user",
        None => {
            "create one in WhatsApp Manager (in Brazil and India: in the App Dashboard, WhatsApp, API Setup, or through Embedded Signup), and assign it to the system user"
        }
    }
}

/// To the minute, in UTC, so that a message stays as it is between passes.
pub(in crate::engine) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Meta's words, to be put behind a sentence.
pub(in crate::engine) fn words(refusal: &Refusal) -> String {
    let code = match refusal.subcode {
        Some(subcode) => format!("code {}, subcode {subcode}", refusal.code),
        None => format!("code {}", refusal.code),
    };
    let text = if refusal.message.is_empty() {
        refusal.title.as_deref().unwrap_or_default()
    } else {
        &refusal.message
    };
    if text.is_empty() { code } else { format!("{code}: {}", text.trim_end_matches('.')) }
}

/// A read that gave no answer: what it proves, which is little.
pub(in crate::engine) fn unreadable(what: &str, failure: &Failure) -> Block {
    match failure {
        Failure::Throttled(until) => throttled(*until).failed(failure),
        // Nobody waits for Meta, and the words stay the same from look to look.
        Failure::NoRoom(until) => Block::new(
            Reason::NotObservedYet,
            format!(
                "the operator is reading other large lists, and has no room in memory for {what}; it reads it by itself, and if that goes on, ask whoever runs the operator"
            ),
        )
        .failed(failure)
        .until(*until),
        Failure::Refused(refusal) if refusal.hides_object() => Block::new(
            Reason::AccountNotInReach,
            format!(
                "Meta does not show {what} to this token ({}); assign it to the system user in the business settings",
                words(refusal)
            ),
        )
        .failed(failure),
        Failure::Refused(refusal) => refused_read(what, refusal),
        // A bound stays the same from look to look, unlike other reasons.
        Failure::TooLarge(bound) => Block::new(
            Reason::MetaUnavailable,
            format!(
                "Meta's answer about {what} cannot be read ({bound}); it is asked again by itself, and if that goes on, ask whoever runs the operator"
            ),
        )
        .failed(failure),
        Failure::NoAnswer(_) | Failure::NotSent(_) => Block::new(
            Reason::MetaUnavailable,
            format!("Meta gave no usable answer about {what}; it is asked again by itself"),
        )
        .failed(failure),
    }
}

/// Meta keeps the whole app from calling. Nothing is wrong with the token, the account or the number.
pub(in crate::engine) fn app_blocked(refusal: &Refusal) -> Hold {
    Hold {
        reason: Reason::AppBlocked,
        message: format!(
            "Meta blocks the API access of the token's app ({}); open the app in the App Dashboard, and do what its alerts and required actions ask for; what was set up stays, and the operator notices by itself when the app may call again",
            words(refusal)
        ),
        failure: Some(Failure::Refused(refusal.clone())),
    }
}

/// The same, where it holds up one channel.
pub(in crate::engine) fn of_app(refusal: &Refusal) -> Block {
    Block::new(Reason::AppBlocked, app_blocked(refusal).message).refused(Some(refusal))
}

fn refused_read(what: &str, refusal: &Refusal) -> Block {
    let block = match refusal.paused_until() {
        _ if refusal.says(Said::AppBlocked) => of_app(refusal),
        Some(until) => throttled(until),
        None if refusal.is_pause() => {
            Block::new(Reason::Throttled, "Meta asks for a pause in calls; it is asked again by itself")
        }
        _ if refusal.is_about_credentials() => not_taken(refusal, "when", &format!("{what} was asked for")),
        _ if refusal.shuts_account() && refusal.code == 368 => {
            restricted(what, Reason::AccountRestricted, refusal)
        }
        _ if refusal.shuts_account() => restricted(what, Reason::AccountLocked, refusal),
        _ if refusal.asks_for_a_person() => Block::new(
            Reason::PermissionMissing,
            format!(
                "Meta refuses to show {what} ({}); give the system user full control of it in the business settings",
                words(refusal)
            ),
        ),
        _ => Block::new(
            Reason::MetaUnavailable,
            format!("Meta could not answer about {what} ({}); it is asked again by itself", words(refusal)),
        ),
    };
    block.refused(Some(refusal))
}

/// A write that was refused for what it was sent with or about, not for what it said: the token, a permission or the
/// account. Nothing that is entered again would help.
pub(in crate::engine) fn not_for_its_value(what: &str, refusal: &Refusal, then: &str) -> Option<Block> {
    if refusal.is_about_credentials() {
        return of_token(what, refusal);
    }
    let words = words(refusal);
    let (reason, message) = match refusal.code {
        _ if !refusal.is_shut_out() => return None,
        _ if refusal.says(Said::TermsNotAccepted) => (
            Reason::TermsNotAccepted,
            format!(
                "Meta refused {what} because the business has not accepted the Cloud API terms ({words}); have a person who administers the portfolio accept them, which no call can do, {then}"
            ),
        ),
        _ if refusal.is_denied() => (
            Reason::PermissionMissing,
            format!(
                "the token may not do {what} ({words}); give the system user full control of the account, {then}"
            ),
        ),
        _ if refusal.hides_object() => (
            Reason::PermissionMissing,
            format!(
                "Meta refused {what} as if there were no such object ({words}): the token may not write to it, or it was deleted; give the system user full control of the account, {then}"
            ),
        ),
        368 => (
            Reason::AccountRestricted,
            format!(
                "Meta restricts the account and refused {what} ({words}); appeal in Business Support Home, {then}"
            ),
        ),
        _ => (
            Reason::AccountLocked,
            format!(
                "Meta locked the account and refused {what} ({words}); see why and appeal in Business Support Home, {then}"
            ),
        ),
    };
    Some(Block::new(reason, message).refused(Some(refusal)))
}

/// Meta keeps the account from being used, not this token from seeing it.
fn restricted(what: &str, reason: Reason, refusal: &Refusal) -> Block {
    Block::new(
        reason,
        format!(
            "Meta does not show {what}, as the account is restricted or locked ({}); see why and appeal in Business Support Home",
            words(refusal)
        ),
    )
}

/// A Secret that the operator may not read, with the words of the cluster where there are any.
pub(in crate::engine) fn forbidden(place: &str, namespace: Option<&str>, why: &str) -> String {
    let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
    match namespace {
        Some(namespace) => {
            format!(
                "the operator may not read {place}{why}; allow it to get Secrets in namespace {namespace}"
            )
        }
        None => format!("the operator may not read {place}{why}; allow its service account to get it"),
    }
}

pub(in crate::engine) fn throttled(until: Timestamp) -> Block {
    Block::new(Reason::Throttled, format!("calls to Meta are held back until {}", time(until))).until(until)
}

/// Meta did not look at the last try. Where that was for the token, it says so, although the portfolio may not have
/// looked at it yet.
pub(in crate::engine) fn not_looked_at(kind: StepKind, refusal: Option<&Refusal>, until: Timestamp) -> Block {
    let Some(refusal) = refusal else { return not_sent(kind, until) };
    match of_token(kind.as_str(), refusal) {
        Some(block) => block.until(until),
        None => of_app(refusal),
    }
}

/// Meta did not take the credential for a write.
pub(in crate::engine) fn of_token(what: &str, refusal: &Refusal) -> Option<Block> {
    refusal.is_about_credentials().then(|| not_taken(refusal, "for", what).refused(Some(refusal)))
}

/// Meta did not take the token, or the signature that is made with the app secret.
fn not_taken(refusal: &Refusal, link: &str, what: &str) -> Block {
    let (reason, credential) = if refusal.is_about_app_secret() {
        (Reason::AppSecretWrong, "signature that is made with the app secret")
    } else {
        (Reason::TokenInvalid, "token")
    };
    Block::new(
        reason,
        format!(
            "Meta did not take the {credential} {link} {what} ({}); the portfolio checks it now, and names what is wrong with it",
            words(refusal)
        ),
    )
}

/// The last try never went out: no attempt, and none of Meta's doing.
pub(in crate::engine) fn not_sent(kind: StepKind, until: Timestamp) -> Block {
    Block::new(
        Reason::NotSentYet,
        format!(
            "{} was due and was not sent, which counts as no attempt; it is tried again at {}",
            kind.as_str(),
            time(until)
        ),
    )
    .until(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_too_large_is_told_with_the_bound_and_other_silence_without_its_varying_reason() {
        let told = |failure| unreadable("the numbers of account 300", &failure);
        let block = told(Failure::TooLarge("Meta's list has more than 64 MiB".into()));
        assert_eq!(block.reason, Reason::MetaUnavailable);
        assert!(block.message.contains("Meta's list has more than 64 MiB"), "{}", block.message);
        let silences = ["HTTP 503 with no error envelope", "no answer in time"];
        let [one, other] = silences.map(|why| told(Failure::NoAnswer(why.into())).message);
        assert_eq!(one, other);
    }
}
