//! Secrets of the cluster, as far as a decision may know them: which version was seen, and never what is in it.

use std::time::Duration;

use jiff::Timestamp;

use super::time::later;

/// How the reason begins why nothing is created in a namespace that ends.
pub const ENDING: &str = "the namespace is being deleted";

/// A Secret that cannot be read, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    pub since: Timestamp,
    /// Why, in the words of the first time: later ones may differ from read to read.
    pub why: String,
}

/// A Secret that cannot be read for less than this is not told of: the API server may have been away.
const PASSING: Duration = Duration::from_secs(5 * 60);

impl Unread {
    /// What is remembered after a read, which failed for this reason or did not fail.
    pub fn after(before: Option<Self>, why_not: Option<&str>, now: Timestamp) -> Option<Self> {
        why_not.map(|why| before.unwrap_or_else(|| Self { since: now, why: why.to_owned() }))
    }

    /// Whether a person is told of it.
    pub fn is_lasting(&self, now: Timestamp) -> bool {
        now >= later(self.since, PASSING)
    }
}

/// Which version of a Secret was seen; never anything of its content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretVersion {
    pub uid: String,
    pub resource_version: String,
}

impl SecretVersion {
    /// As one word, to be remembered with an attempt.
    ///
    /// ```
    /// use whatsapp_operator::engine::secret::SecretVersion;
    /// let version = SecretVersion { uid: "u1".into(), resource_version: "7".into() };
    /// assert_eq!(version.as_subject(), "u1/7");
    /// ```
    pub fn as_subject(&self) -> String {
        format!("{}/{}", self.uid, self.resource_version)
    }
}

/// A Secret as far as a decision may know it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum SecretFact {
    /// Not read in this pass.
    #[default]
    NotAsked,
    /// A live read said 404.
    Missing,
    /// The Secret is there, the key is not (or is empty).
    KeyMissing { version: SecretVersion },
    /// We may not read it, in the words of the cluster.
    Forbidden(String),
    /// Could not be read now.
    Unreadable(String),
    /// A verify-token Secret without the label that permits its use.
    Unlabelled,
    /// The key is there.
    Present {
        version: SecretVersion,
        /// Six digits (a hyphen or space inside a code dropped); of a verify token, that it is not too long.
        well_formed: bool,
        /// Of a code: a value that was seen at the code request or tried since. Of a PIN: the one that Meta was last given or
        /// found with. It is compared in memory and never stored.
        seen_before: bool,
    },
}

impl SecretFact {
    /// The version, when the Secret exists and was read.
    ///
    /// ```
    /// use whatsapp_operator::engine::secret::{SecretFact, SecretVersion};
    /// let version = SecretVersion { uid: "u1".into(), resource_version: "7".into() };
    /// assert_eq!(SecretFact::KeyMissing { version: version.clone() }.version(), Some(&version));
    /// assert_eq!(SecretFact::Missing.version(), None);
    /// ```
    pub fn version(&self) -> Option<&SecretVersion> {
        match self {
            Self::KeyMissing { version } | Self::Present { version, .. } => Some(version),
            _ => None,
        }
    }
}
