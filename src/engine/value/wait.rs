//! Waits: what has to be done before something goes on, and where.

use jiff::Timestamp;

use crate::engine::value::{action::Action, page::Page};

/// What has to be done, by the actor to whom the action belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    pub action: Action,
    /// Meta's page on which it is done.
    pub page: Option<Page>,
    pub expected_by: Option<Timestamp>,
    /// What happens if nobody does it, where that is more than the actor's own words say.
    pub if_ignored: Option<String>,
}

impl Wait {
    /// A wait for one act, on no page and without a date.
    ///
    /// ```
    /// use whatsapp_operator::engine::{action::Action, wait::Wait};
    /// assert_eq!(Wait::on(Action::EnterCode).action, Action::EnterCode);
    /// ```
    pub fn on(action: Action) -> Self {
        Self { action, page: None, expected_by: None, if_ignored: None }
    }
}
