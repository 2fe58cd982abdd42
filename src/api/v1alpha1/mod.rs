//! The kinds of `whatsapp-operator.dev/v1alpha1`, as users write and read them.
//!
//! A field is here only when it works. Nothing in a spec has a default in the schema, so that nobody's spec is
//! written to; what an unset field means is decided in `lower`. The status of a new object has one. Every string and list is bounded, which
//! the API server's cost budget for rules demands.

/// The observed generation of an object that no operator has seen yet. The schema gives it to new objects, so that what
/// waits for one does not take it for current.
pub const UNSEEN: i64 = -1;

mod channel;
mod ledger;
mod memory;
mod newer;
mod portfolio;
mod secret;
mod status;
mod waiting;

pub use channel::{
    Acknowledgement, CodeRequest, Coexistence, ConfigMapKeyRef, Connection, DeletionPolicy, DriftPolicy,
    ManagementPolicy, OfficialBusinessAccount, PictureRef, PinPolicy, PortfolioRef, Profile, ReadyWhen,
    Registration, StorageRegion, Verification, VerificationMethod, Vertical, Webhook, WhatsAppChannel,
    WhatsAppChannelSpec, WhileNameInReview,
};
pub use ledger::{
    Cause, ConsentAnswer, Consents, EarlierAnswer, Entry, InFlight, Ledger, Marks, Pace, Refusal, Repairs,
    SecretVersion,
};
pub(in crate::api) use memory::BEFORE;
pub use memory::{FORMAT, Memory};
pub use newer::Newer;
pub use portfolio::{
    Access, AccountInReach, AppWebhook, AppWebhookSeen, ChannelCounts, Credentials, Expect, OtherApp,
    SubscribedApps, WhatsAppPortfolio, WhatsAppPortfolioSpec, WhatsAppPortfolioStatus,
};
pub use secret::SecretKeyRef;
pub use status::{Check, Drift, Facts, HealthFact, WebhookRouting, WhatsAppChannelStatus};
pub use waiting::WaitingFor;
