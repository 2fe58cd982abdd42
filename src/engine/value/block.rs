//! Blocks: why something is not done now, in words, and what ends that.

use jiff::Timestamp;

use crate::engine::value::{
    action::Action,
    failure::{Failure, Refusal},
    page::Page,
    reason::Reason,
    wait::Wait,
};

/// Why a step is not taken now: it waits for something, or needs an edit.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub reason: Reason,
    /// One sentence with the facts, then what to do.
    pub message: String,
    /// Meta's words about it.
    pub failure: Option<Failure>,
    pub wait: Option<Wait>,
    /// When it ends without any action.
    pub until: Option<Timestamp>,
}

impl Block {
    /// A block with its reason and message, which waits for what the reason asks for.
    ///
    /// ```
    /// use whatsapp_operator::engine::{action::Action, block::Block, reason::Reason};
    /// let block = Block::new(Reason::NameInReview, "Meta reviews the name");
    /// assert_eq!(block.wait.map(|wait| wait.action), Some(Action::ReviewName));
    /// ```
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let wait = reason.asks().map(|asks| Wait { page: asks.page, ..Wait::on(asks.action) });
        Self { reason, message: message.into(), failure: None, wait, until: None }
    }

    /// Waits for another of the acts that the reason's row lists, and on no page unless [`Self::at`] says so.
    pub(in crate::engine) fn asks(mut self, action: Action) -> Self {
        debug_assert!(self.reason.may_ask(action), "{:?} may not ask for {action:?}", self.reason);
        self.wait = Some(Wait::on(action));
        self
    }

    pub(in crate::engine) fn at(mut self, page: Page) -> Self {
        if let Some(wait) = &mut self.wait {
            wait.page = Some(page);
        }
        self
    }

    pub(in crate::engine) fn by(mut self, time: Timestamp) -> Self {
        if let Some(wait) = &mut self.wait {
            wait.expected_by = Some(time);
        }
        self
    }

    pub(in crate::engine) fn or_else(mut self, if_ignored: impl Into<String>) -> Self {
        if let Some(wait) = &mut self.wait {
            wait.if_ignored = Some(if_ignored.into());
        }
        self
    }

    pub(in crate::engine) fn until(mut self, until: Timestamp) -> Self {
        self.until = Some(until);
        if let Some(wait) = &mut self.wait {
            wait.expected_by.get_or_insert(until);
        }
        self
    }

    pub(in crate::engine) fn refused(mut self, refusal: Option<&Refusal>) -> Self {
        self.failure = refusal.cloned().map(Failure::Refused);
        self
    }

    pub(in crate::engine) fn failed(mut self, failure: &Failure) -> Self {
        self.failure = Some(failure.clone());
        self
    }
}
