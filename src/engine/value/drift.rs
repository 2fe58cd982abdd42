//! Drift: one managed thing that is not as desired.

/// One difference between desired and observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Path of the spec: `displayName`, `profile.about`, `webhook.callbackUrl`, `timeZone`.
    pub field: String,
    pub desired: String,
    pub observed: String,
    /// What happens with it: written, waits, or only shown and why.
    pub action: String,
}
