//! Farewell: how the cleanup of a channel that is being deleted ended.

use crate::engine::value::word::words;

words! {
    /// In one word.
    ///
    /// ```
    /// use whatsapp_operator::engine::farewell::Parting;
    /// assert_eq!(Parting::LeftAtMeta.as_str(), "LeftAtMeta");
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Parting {
        /// Nothing was to be taken back.
        Retained,
        /// What was to be taken back was, or is not there any more.
        CleanedUp,
        /// Something stays at Meta that a person may want to take back.
        LeftAtMeta,
    }
}

/// The object may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    pub parting: Parting,
    /// What was taken back, what was left and why, and how to finish by hand. One or more sentences for people.
    pub message: String,
}
