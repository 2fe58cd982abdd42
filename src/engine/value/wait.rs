//! Waits: who has to act, and how the act is called.

use jiff::Timestamp;

use crate::engine::value::page::Page;

/// Who has to act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    pub actor: Actor,
    /// A constant in CamelCase: `EnterCode`, `ChooseName`.
    pub action: &'static str,
    pub expected_by: Option<Timestamp>,
    pub url: Option<String>,
    pub if_ignored: Option<String>,
}

/// ```
/// use whatsapp_operator::engine::wait::Actor;
/// assert_eq!(Actor::PhoneHolder.as_str(), "PhoneHolder");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    PhoneHolder,
    PortfolioAdmin,
    ClusterUser,
    Meta,
}

impl Actor {
    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PhoneHolder => "PhoneHolder",
            Self::PortfolioAdmin => "PortfolioAdmin",
            Self::ClusterUser => "ClusterUser",
            Self::Meta => "Meta",
        }
    }
}

impl Wait {
    /// A wait for an actor to do one thing.
    ///
    /// ```
    /// use whatsapp_operator::engine::wait::{Actor, Wait};
    /// assert_eq!(Wait::on(Actor::PhoneHolder, "EnterCode").action, "EnterCode");
    /// ```
    pub fn on(actor: Actor, action: &'static str) -> Self {
        Self { actor, action, expected_by: None, url: None, if_ignored: None }
    }

    pub(in crate::engine) fn at(mut self, page: Page) -> Self {
        self.url = Some(page(None));
        self
    }

    pub(in crate::engine) fn by(mut self, time: Timestamp) -> Self {
        self.expected_by = Some(time);
        self
    }

    pub(in crate::engine) fn or_else(mut self, if_ignored: impl Into<String>) -> Self {
        self.if_ignored = Some(if_ignored.into());
        self
    }
}
