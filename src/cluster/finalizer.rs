//! Finalizers: added and removed onto the version that was read, and nothing but them.

use std::fmt::Debug;

use kube::{
    Api, Resource,
    api::{ObjectMeta, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::call::{Failed, MANAGER, bounded};

/// Whether an object has a finalizer.
pub fn is_there(meta: &ObjectMeta, finalizer: &str) -> bool {
    meta.finalizers.as_ref().is_some_and(|all| all.iter().any(|one| one == finalizer))
}

/// Adds a finalizer to an object that is as in `meta`; gives back what it is then. One that is being deleted takes none.
///
/// # Errors
///
/// [`Failed::Conflict`] when it was changed meanwhile, also by its deletion.
pub async fn add<K>(api: &Api<K>, meta: &ObjectMeta, finalizer: &str) -> Result<ObjectMeta, Failed>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let all = meta.finalizers.iter().flatten().map(String::as_str).chain([finalizer]);
    write(api, meta, all.collect()).await
}

/// Removes a finalizer from an object that is as in `meta`; those of others stay. What was the last one of an object that is
/// being deleted ends it.
///
/// # Errors
///
/// [`Failed::Conflict`] when it was changed meanwhile; [`Failed::Gone`] when there is no such object any more.
pub async fn remove<K>(api: &Api<K>, meta: &ObjectMeta, finalizer: &str) -> Result<ObjectMeta, Failed>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let all = meta.finalizers.iter().flatten().map(String::as_str).filter(|one| *one != finalizer);
    write(api, meta, all.collect()).await
}

/// The metadata alone comes back: an object that does not parse has to be let go too.
async fn write<K>(api: &Api<K>, meta: &ObjectMeta, finalizers: Vec<&str>) -> Result<ObjectMeta, Failed>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let name = meta.name.as_deref().unwrap_or_default();
    // The whole list is written, so it must be of this very version.
    let patch = json!({"metadata": {
        "uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": finalizers,
    }});
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let written = bounded(api.patch_metadata(name, &params, &Patch::Merge(&patch))).await?;
    Ok(written.metadata)
}
