//! Finalizers: an object that has something to take back at Meta waits for that, and no longer than it may.
//!
//! Which of it is decided in the engine. Here the finalizer is set before anything is done that may have to be taken back,
//! and removed from the very version that the decision was made on.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource, api::ObjectMeta};
use serde::de::DeserializeOwned;
use tracing::{info, warn};

use crate::{
    api::lower::CLEANUP,
    cluster::{Failed, finalizer},
    controller::{
        repeat::Repeats,
        signal::{Cluster, reference_to},
        tell::Notice,
    },
    engine::farewell::{Farewell, Parting},
};

/// Whether an object is being deleted, and waits for this operator.
pub fn is_waiting(meta: &ObjectMeta) -> bool {
    meta.deletion_timestamp.is_some() && finalizer::is_there(meta, CLEANUP)
}

/// Has an object carry the finalizer, or not; gives back what its metadata is then, if that was changed.
///
/// # Errors
///
/// Of the write.
pub async fn carry<K>(
    client: &Client,
    meta: &ObjectMeta,
    is_needed: bool,
) -> Result<Option<ObjectMeta>, Failed>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let is_there = finalizer::is_there(meta, CLEANUP);
    // One that is being deleted takes no new one.
    if is_there == is_needed || (is_needed && meta.deletion_timestamp.is_some()) {
        return Ok(None);
    }
    let api: Api<K> = api(client, meta);
    let write = if is_needed {
        finalizer::add(&api, meta, CLEANUP).await
    } else {
        finalizer::remove(&api, meta, CLEANUP).await
    };
    write.map(Some)
}

/// Tells that the finalizer of an object could not be written, which holds nothing else up: once a minute for each object.
pub fn tell_unwritten<K>(cluster: &Cluster, repeats: &Repeats, meta: &ObjectMeta, error: &Failed)
where
    K: Resource<DynamicType = ()>,
{
    let of = |text: &Option<String>| text.clone().unwrap_or_default();
    let (kind, namespace, name) = (K::kind(&()), of(&meta.namespace), of(&meta.name));
    let Some(repeated) = repeats.tell(&format!("finalizer of {kind} {namespace}/{name}: {error}")) else {
        return;
    };
    warn!(%namespace, %name, %kind, %error, repeated, "the finalizer cannot be written");
    let about = reference_to::<K>(&namespace, &name, &of(&meta.uid));
    cluster.tell(&about, vec![Notice::finalizer_unwritten(error)]);
}

/// Lets an object go, with a word on what became of what it had at Meta.
///
/// # Errors
///
/// When it could not be let go; it is told again then.
pub async fn part<K>(cluster: &Cluster, meta: &ObjectMeta, farewell: &Farewell) -> Result<(), Failed>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let of = |text: &Option<String>| text.clone().unwrap_or_default();
    let (namespace, name) = (of(&meta.namespace), of(&meta.name));
    let Farewell { parting, message } = farewell;
    let (kind, parting) = (K::kind(&()), *parting);
    // The only account of it where the namespace is going too and takes no events.
    match parting {
        Parting::LeftAtMeta => warn!(%namespace, %name, %kind, parting = parting.as_str(), "{message}"),
        Parting::Retained | Parting::CleanedUp => {
            info!(%namespace, %name, %kind, parting = parting.as_str(), "{message}");
        }
    }
    // Before it goes: nobody would come back to it after.
    cluster.tell(&reference_to::<K>(&namespace, &name, &of(&meta.uid)), vec![Notice::farewell(farewell)]);
    match finalizer::remove(&api::<K>(&cluster.client, meta), meta, CLEANUP).await {
        Ok(_) | Err(Failed::Gone(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn api<K>(client: &Client, meta: &ObjectMeta) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), meta.namespace.as_deref().unwrap_or_default())
}

/// Nothing can be told of an object that is not understood, so nothing is done at Meta.
pub fn not_understood(why: &str) -> Farewell {
    let message = format!(
        "The object cannot be understood, so nothing was taken back at Meta ({why}). Look in WhatsApp Manager for what it had."
    );
    Farewell { parting: Parting::LeftAtMeta, message }
}
