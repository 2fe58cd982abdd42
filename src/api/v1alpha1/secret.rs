//! How both kinds name a key in a Secret.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::rule;

/// A key in a Secret of the object's own namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rule::dns_name("name", "of a Secret"))]
    pub name: String,
    /// Key in the Secret's data.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rule::secret_key())]
    pub key: String,
}
