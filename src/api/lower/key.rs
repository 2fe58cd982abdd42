//! Names of the API: its group, its field manager, its annotations and its label.

/// The API group.
pub const GROUP: &str = "whatsapp-operator.dev";
/// Who owns the fields that the operator writes.
pub const FIELD_MANAGER: &str = "whatsapp-operator";
/// Consent: send a code.
pub const SEND_CODE: &str = "whatsapp-operator.dev/send-code";
/// Consent: one more attempt of what waits for a person.
pub const RETRY: &str = "whatsapp-operator.dev/retry";
/// Consent: request an official business account, once.
pub const OFFICIAL: &str = "whatsapp-operator.dev/request-official-account";
/// Consent: look now.
pub const RECONCILE: &str = "whatsapp-operator.dev/reconcile";
/// All consents: each value is an act, or one look.
pub const CONSENTS: [&str; 4] = [SEND_CODE, RETRY, OFFICIAL, RECONCILE];
/// Let go of an object that is being deleted, as it is.
pub const SKIP_CLEANUP: &str = "whatsapp-operator.dev/skip-cleanup";
/// The only value of that annotation that counts.
pub const SKIPPED: &str = "true";
/// The finalizer of objects before whose end something is taken back at Meta.
pub const CLEANUP: &str = "whatsapp-operator.dev/cleanup";
/// Label that lets a Secret be sent to a webhook's URL.
pub const USE_LABEL: &str = "whatsapp-operator.dev/use";
/// The value of that label.
pub const USE_VERIFY_TOKEN: &str = "verify-token";
