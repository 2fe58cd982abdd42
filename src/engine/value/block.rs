//! Blocks: why something is not done now, in words, and what ends that.

use jiff::Timestamp;

use crate::engine::value::{
    failure::{Failure, Refusal},
    id::BusinessId,
    page::{ACCOUNTS, NUMBERS, SYSTEM_USERS},
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
    /// A block with its reason and message, and nothing else yet.
    ///
    /// ```
    /// use whatsapp_operator::engine::{block::Block, reason::Reason};
    /// let block = Block::new(Reason::NameInReview, "Meta reviews the name");
    /// assert!(block.wait.is_none() && block.until.is_none());
    /// ```
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), failure: None, wait: None, until: None }
    }

    pub(in crate::engine) fn waits(mut self, wait: Wait) -> Self {
        self.wait = Some(wait);
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

    /// Adds the portfolio's id to the link.
    pub(in crate::engine) fn linked(mut self, business: Option<&BusinessId>) -> Self {
        let pages = [NUMBERS, ACCOUNTS, SYSTEM_USERS];
        if let Some(url) = self.wait.as_mut().and_then(|wait| wait.url.as_mut())
            && let Some(page) = pages.iter().find(|page| page(None) == *url)
        {
            *url = page(business);
        }
        self
    }

    pub(in crate::engine) fn failed(mut self, failure: &Failure) -> Self {
        self.failure = Some(failure.clone());
        self
    }
}
