//! Status writes: server-side apply, forced, and only onto the version that was read.

use kube::api::{Patch, PatchParams};
use serde::Serialize;
use serde_json::json;

use super::{
    call::{Failed, MANAGER, bounded},
    read::{Objects, Readable, Stored},
};

/// Applies a whole status onto exactly this version of exactly this object.
///
/// Without the version a forced apply from an old copy would silently remove every
/// field that the copy did not know, a ledger among them; with it the stale writer
/// gets a conflict.
///
/// # Errors
///
/// [`Failed::NoAnswer`] means that it may have been written.
pub async fn apply<K: Readable, S: Serialize>(
    objects: &Objects<K>,
    name: &str,
    uid: &str,
    version: &str,
    status: &S,
) -> Result<K, Failed> {
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "uid": uid, "resourceVersion": version },
        "status": status,
    });
    let params = PatchParams::apply(MANAGER).force();
    match bounded(objects.patch_status(name, &params, &Patch::Apply(&body))).await? {
        Stored(Ok(written)) => Ok(written),
        Stored(Err(unusable)) => Err(Failed::NoAnswer(unusable.why.to_string())),
    }
}
