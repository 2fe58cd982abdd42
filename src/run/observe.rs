//! Look + Graph + Secrets → Observed. Gathers, never decides.

use std::future::Future;

use secrecy::SecretString;

use crate::engine::{desired::SecretKey, observed::SecretVersion};

/// One read of one Secret, by name. The only way in which `run` sees Secrets.
#[derive(Debug)]
pub enum SecretRead {
    /// A live read said 404.
    Missing,
    Forbidden,
    /// Could not be read now, with why.
    Failed(String),
    Found {
        version: SecretVersion,
        /// The value under the key, if the key is there and is text.
        value: Option<SecretString>,
        /// Whether it carries the label `whatsapp-operator.dev/use: verify-token`.
        is_verify_token: bool,
    },
}

/// Secrets of one namespace, by name.
pub trait Secrets: Send + Sync {
    fn read(&self, key: &SecretKey) -> impl Future<Output = SecretRead> + Send;

    /// Creates the PIN Secret with a random PIN; whoever finds one there reads it.
    fn create_pin(&self, key: &SecretKey) -> impl Future<Output = Result<(), String>> + Send;
}

/// Values that `act` may need, held beside `Observed` and dropped with the pass.
#[derive(Default)]
pub struct Materials {
    pub code: Option<SecretString>,
    pub pin: Option<SecretString>,
    pub verify_token: Option<SecretString>,
}
