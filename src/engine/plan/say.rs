//! Words for blocks, and how a block is put together.

use jiff::Timestamp;

use super::{Block, Pass, Wait};
use crate::engine::{
    action::Action,
    failure::{Class, Failure, Refusal},
    memory::StepKind,
    page::Page,
    reason::Reason,
};

impl Block {
    /// A block with its reason and message, which waits for what the reason asks for.
    ///
    /// ```
    /// use whatsapp_operator::engine::{action::Action, plan::Block, reason::Reason};
    /// let block = Block::new(Reason::NameInReview, "Meta reviews the name");
    /// assert_eq!(block.wait.map(|wait| wait.action), Some(Action::ReviewName));
    /// ```
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let wait = reason.asks().map(|asks| Wait { page: asks.page, ..Wait::on(asks.action) });
        Self { reason, message: message.into(), failure: None, wait, until: None }
    }

    /// Waits for another of the acts that the reason's row lists, and on no page unless [`Self::at`] says so.
    pub(super) fn asks(mut self, action: Action) -> Self {
        debug_assert!(self.reason.may_ask(action), "{:?} may not ask for {action:?}", self.reason);
        self.wait = Some(Wait::on(action));
        self
    }

    pub(super) fn at(mut self, page: Page) -> Self {
        if let Some(wait) = &mut self.wait {
            wait.page = Some(page);
        }
        self
    }

    pub(super) fn by(mut self, time: Timestamp) -> Self {
        if let Some(wait) = &mut self.wait {
            wait.expected_by = Some(time);
        }
        self
    }

    pub(super) fn or_else(mut self, if_ignored: impl Into<String>) -> Self {
        if let Some(wait) = &mut self.wait {
            wait.if_ignored = Some(if_ignored.into());
        }
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

    pub(super) fn failed(mut self, failure: &Failure) -> Self {
        self.failure = Some(failure.clone());
        self
    }
}

impl Wait {
    /// A wait for one act, on no page and without a date.
    ///
    /// ```
    /// use whatsapp_operator::engine::{action::Action, plan::Wait};
    /// assert_eq!(Wait::on(Action::EnterCode).action, Action::EnterCode);
    /// ```
    pub fn on(action: Action) -> Self {
        Self { action, page: None, expected_by: None, if_ignored: None }
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
        .failed(failure),
        Failure::Refused(refusal) => refused_read(what, refusal),
        Failure::NoAnswer(_) | Failure::NotSent(_) => Block::new(
            Reason::MetaUnavailable,
            format!("Meta gave no usable answer about {what}; it is asked again by itself"),
        )
        .failed(failure),
    }
}

fn refused_read(what: &str, refusal: &Refusal) -> Block {
    let block = match (refusal.class, refusal.until) {
        (Class::WaitUntil, Some(until)) => throttled(until),
        (Class::WaitUntil, None) => {
            Block::new(Reason::Throttled, "Meta asks for a pause in calls; it is asked again by itself")
        }
        _ if refusal.is_about_credentials() => Block::new(
            Reason::TokenInvalid,
            format!(
                "Meta did not take the token when {what} was asked for ({}); the portfolio checks it now, and names what is wrong with it",
                words(refusal)
            ),
        ),
        (Class::Person, _) if refusal.code == 368 => restricted(what, Reason::AccountRestricted, refusal),
        (Class::Person, _) if refusal.code == 131_031 => restricted(what, Reason::AccountLocked, refusal),
        (Class::Credentials | Class::Person | Class::Spec, _) => Block::new(
            Reason::PermissionMissing,
            format!(
                "Meta refuses to show {what} ({}); give the system user full control of it in the business settings",
                words(refusal)
            ),
        ),
        (Class::Retry | Class::AlreadyDone, _) => Block::new(
            Reason::MetaUnavailable,
            format!("Meta could not answer about {what} ({}); it is asked again by itself", words(refusal)),
        ),
    };
    block.refused(Some(refusal))
}

/// A write that was refused for what it was sent with or about, not for what it said: the token, a permission or the
/// account. Nothing that is entered again would help.
pub(super) fn not_for_its_value(what: &str, refusal: &Refusal, then: &str) -> Option<Block> {
    let words = words(refusal);
    let (reason, message) = match (refusal.class, refusal.code) {
        _ if !refusal.is_shut_out() => return None,
        _ if refusal.is_about_credentials() => (
            Reason::TokenInvalid,
            format!(
                "Meta did not take the token for {what} ({words}); the portfolio checks it now, and names what is wrong with it"
            ),
        ),
        (Class::Credentials, _) => (
            Reason::PermissionMissing,
            format!(
                "the token may not do {what} ({words}); give the system user full control of the account, {then}"
            ),
        ),
        (Class::Person, 368) => (
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

pub(super) fn throttled(until: Timestamp) -> Block {
    Block::new(Reason::Throttled, format!("calls to Meta are held back until {}", time(until))).until(until)
}

/// The last try never went out: no attempt, and none of Meta's doing.
pub(super) fn not_sent(kind: StepKind, until: Timestamp) -> Block {
    Block::new(
        Reason::Throttled,
        format!("{} was held back before it was sent; next at {}", kind.as_str(), time(until)),
    )
    .until(until)
}

/// Missing, or invisible to this token: Meta does not tell which.
pub(super) fn is_gone(refusal: &Refusal) -> bool {
    refusal.is(100, Some(33)) || refusal.code == 33 || refusal.code == 803
}
