//! Words for blocks, and the pages where a person can act.

use jiff::Timestamp;

use super::{Actor, Block, Pass, Wait};
use crate::engine::{
    failure::{Failure, Refusal},
    id::BusinessId,
    memory::StepKind,
    page,
    reason::Reason,
};

/// A page of Meta's, for a portfolio where it has one of its own.
pub(super) type Page = fn(Option<&BusinessId>) -> String;

pub(super) const NUMBERS: Page = page::numbers;
pub(super) const ACCOUNTS: Page = page::accounts;
pub(super) const SYSTEM_USERS: Page = page::system_users;
pub(super) const SUPPORT: Page = |_| page::support();
pub(super) const APPS: Page = |_| page::apps();

impl Block {
    /// A block with its reason and message, and nothing else yet.
    ///
    /// ```
    /// use whatsapp_operator::engine::{plan::Block, reason::Reason};
    /// let block = Block::new(Reason::NameInReview, "Meta reviews the name");
    /// assert!(block.wait.is_none() && block.until.is_none());
    /// ```
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), failure: None, wait: None, until: None }
    }

    pub(super) fn waits(mut self, wait: Wait) -> Self {
        self.wait = Some(wait);
        self
    }

    pub(super) fn until(mut self, until: Timestamp) -> Self {
        self.until = Some(until);
        if let Some(wait) = &mut self.wait {
            wait.expected_by.get_or_insert(until);
        }
        self
    }

    pub(super) fn refused(mut self, refusal: Option<&Refusal>) -> Self {
        self.failure = refusal.cloned().map(Failure::Refused);
        self
    }

    /// Lets the link lead into the portfolio at hand.
    pub(super) fn linked(mut self, business: Option<&BusinessId>) -> Self {
        let pages = [NUMBERS, ACCOUNTS, SYSTEM_USERS];
        if let Some(url) = self.wait.as_mut().and_then(|wait| wait.url.as_mut())
            && let Some(page) = pages.iter().find(|page| page(None) == *url)
        {
            *url = page(business);
        }
        self
    }

    pub(super) fn failed(mut self, failure: &Failure) -> Self {
        self.failure = Some(failure.clone());
        self
    }
}

impl Wait {
    /// A wait for an actor to do one thing.
    ///
    /// ```
    /// use whatsapp_operator::engine::plan::{Actor, Wait};
    /// assert_eq!(Wait::on(Actor::PhoneHolder, "EnterCode").action, "EnterCode");
    /// ```
    pub fn on(actor: Actor, action: &'static str) -> Self {
        Self { actor, action, expected_by: None, url: None, if_ignored: None }
    }

    pub(super) fn at(mut self, page: Page) -> Self {
        self.url = Some(page(None));
        self
    }

    pub(super) fn by(mut self, time: Timestamp) -> Self {
        self.expected_by = Some(time);
        self
    }

    pub(super) fn or_else(mut self, if_ignored: impl Into<String>) -> Self {
        self.if_ignored = Some(if_ignored.into());
        self
    }
}

impl Pass<'_> {
    /// The exact command for this channel.
    pub(super) fn command(&self, verb: &str) -> String {
        format!("kubectl whatsapp {verb} {} -n {}", self.desired.name, self.desired.namespace)
    }

    /// Asks for `retry` once something was put right.
    pub(super) fn then_retry(&self) -> String {
        format!("then run {}", self.command("retry"))
    }
}

/// To the minute, in UTC, so that a message stays as it is between passes.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Meta's words, to be put behind a sentence.
pub(super) fn words(refusal: &Refusal) -> String {
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
pub(super) fn unreadable(what: &str, failure: &Failure) -> Block {
    match failure {
        Failure::Throttled(until) => throttled(*until).failed(failure),
        Failure::Refused(refusal) if is_gone(refusal) => Block::new(
            Reason::AccountNotInReach,
            format!(
                "Meta does not show {what} to this token ({}); assign it to the system user in the business settings",
                words(refusal)
            ),
        )
        .failed(failure)
        .waits(Wait::on(Actor::PortfolioAdmin, "AssignAccount").at(ACCOUNTS)),
        Failure::Refused(refusal) => refused_read(what, refusal),
        Failure::NoAnswer(_) | Failure::NotSent(_) => Block::new(
            Reason::MetaUnavailable,
            format!("Meta gave no usable answer about {what}; it is asked again by itself"),
        )
        .failed(failure)
        .waits(Wait::on(Actor::Meta, "Answer")),
    }
}

fn refused_read(what: &str, refusal: &Refusal) -> Block {
    let block = match refusal.paused_until() {
        Some(until) => throttled(until),
        None if refusal.is_pause() => Block::new(Reason::Throttled, "Meta asks for a pause in calls; it is asked again by itself")
            .waits(Wait::on(Actor::Meta, "AllowCalls")),
        _ if refusal.is_about_credentials() => Block::new(
            Reason::TokenInvalid,
            format!(
                "Meta did not take the token when {what} was asked for ({}); the portfolio checks it now, and names what is wrong with it",
                words(refusal)
            ),
        )
        .waits(Wait::on(Actor::PortfolioAdmin, "ReplaceToken").at(SYSTEM_USERS)),
        _ if refusal.shuts_account() && refusal.code == 368 => restricted(what, Reason::AccountRestricted, refusal),
        _ if refusal.shuts_account() => restricted(what, Reason::AccountLocked, refusal),
        _ if refusal.asks_for_a_person() => Block::new(
            Reason::PermissionMissing,
            format!(
                "Meta refuses to show {what} ({}); give the system user full control of it in the business settings",
                words(refusal)
            ),
        )
        .waits(Wait::on(Actor::PortfolioAdmin, "GrantPermissions").at(ACCOUNTS)),
        _ => Block::new(
            Reason::MetaUnavailable,
            format!("Meta could not answer about {what} ({}); it is asked again by itself", words(refusal)),
        )
        .waits(Wait::on(Actor::Meta, "Answer")),
    };
    block.refused(Some(refusal))
}

/// A write that was refused for what it was sent with or about, not for what it said: the token, a permission or the
/// account. Nothing that is entered again would help.
pub(super) fn not_for_its_value(what: &str, refusal: &Refusal, then: &str) -> Option<Block> {
    let words = words(refusal);
    let admin = |action, page| Wait::on(Actor::PortfolioAdmin, action).at(page);
    let (reason, message, wait) = match refusal.code {
        _ if !refusal.is_shut_out() => return None,
        _ if refusal.is_about_credentials() => (
            Reason::TokenInvalid,
            format!(
                "Meta did not take the token for {what} ({words}); the portfolio checks it now, and names what is wrong with it"
            ),
            admin("ReplaceToken", SYSTEM_USERS),
        ),
        _ if refusal.is_denied() => (
            Reason::PermissionMissing,
            format!(
                "the token may not do {what} ({words}); give the system user full control of the account, {then}"
            ),
            admin("GrantPermissions", SYSTEM_USERS),
        ),
        368 => (
            Reason::AccountRestricted,
            format!(
                "Meta restricts the account and refused {what} ({words}); appeal in Business Support Home, {then}"
            ),
            admin("Appeal", SUPPORT),
        ),
        _ => (
            Reason::AccountLocked,
            format!(
                "Meta locked the account and refused {what} ({words}); see why and appeal in Business Support Home, {then}"
            ),
            admin("Appeal", SUPPORT),
        ),
    };
    Some(Block::new(reason, message).refused(Some(refusal)).waits(wait))
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
    .waits(Wait::on(Actor::PortfolioAdmin, "Appeal").at(SUPPORT))
}

pub(super) fn throttled(until: Timestamp) -> Block {
    Block::new(Reason::Throttled, format!("calls to Meta are held back until {}", time(until)))
        .waits(Wait::on(Actor::Meta, "AllowCalls"))
        .until(until)
}

/// The last try never went out: no attempt, and none of Meta's doing.
pub(super) fn not_sent(kind: StepKind, until: Timestamp) -> Block {
    Block::new(
        Reason::Throttled,
        format!("{} was held back before it was sent; next at {}", kind.as_str(), time(until)),
    )
    .waits(Wait::on(Actor::Meta, "AllowCalls"))
    .until(until)
}

/// Missing, or invisible to this token: Meta does not tell which.
pub(super) fn is_gone(refusal: &Refusal) -> bool {
    refusal.is(100, Some(33)) || refusal.code == 33 || refusal.code == 803
}
