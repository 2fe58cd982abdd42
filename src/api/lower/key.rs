//! Names of the API: its group, its field manager, its annotations and its label.

/// The API group.
pub const GROUP: &str = "whatsapp-operator.dev";
/// Who owns the fields that the operator writes.
pub const FIELD_MANAGER: &str = "whatsapp-operator";
/// Consent: send a code.
pub const SEND_CODE: &str = "whatsapp-operator.dev/send-code";
/// Consent: one more attempt of what waits for a person.
pub const RETRY: &str = "whatsapp-operator.dev/retry";
/// Consent: look now.
pub const RECONCILE: &str = "whatsapp-operator.dev/reconcile";
/// Label that lets a Secret be sent to a webhook's URL.
pub const USE_LABEL: &str = "whatsapp-operator.dev/use";
/// The value of that label.
pub const USE_VERIFY_TOKEN: &str = "verify-token";
