//! Status writes: server-side apply, forced, and only onto the version that was read.

use std::fmt::Debug;

use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::call::{Failed, MANAGER, bounded};

/// Applies a whole status onto exactly this version of exactly this object.
///
/// Without the version a forced apply from an old copy would silently remove every
/// field that the copy did not know, a ledger among them; with it the stale writer
/// gets a conflict.
///
/// # Errors
///
/// [`Failed::NoAnswer`] means that it may have been written.
pub async fn apply<K, S>(api: &Api<K>, name: &str, uid: &str, version: &str, status: &S) -> Result<K, Failed>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    S: Serialize,
{
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "uid": uid, "resourceVersion": version },
        "status": status,
    });
    let params = PatchParams::apply(MANAGER).force();
    bounded(api.patch_status(name, &params, &Patch::Apply(&body))).await
}
