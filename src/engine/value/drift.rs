//! Drift: one managed thing that is not as desired.

use jiff::Timestamp;

/// Fields of differences, and how those in the profile begin.
pub const NAME: &str = "displayName";
pub const CALLBACK: &str = "webhook.callbackUrl";
pub const SUBSCRIPTION: &str = "webhook.subscription";
pub const PROFILE: &str = "profile.";
pub const PICTURE: &str = "profile.picture";
pub const USERNAME: &str = "username";
pub const TIME_ZONE: &str = "timeZone";

/// One difference between desired and observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Path of the spec: `displayName`, `profile.about`, `webhook.callbackUrl`, `username`, `timeZone`; `webhook.subscription` for the
    /// app's subscription to the account, without which no webhook gets anything.
    pub field: String,
    pub desired: String,
    pub live: String,
    /// Since when it differs, as far as was seen.
    pub since: Timestamp,
    /// What happens with it: written, waits, or only shown and why.
    pub action: String,
}
