//! Finalizers: an object that has something to take back at Meta waits for that, and no longer than it may.
//!
//! Which of it is decided in the engine. Here the finalizer is set before anything is done that may have to be taken back,
//! and removed from the very version that the decision was made on.

use std::fmt::Debug;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource, api::ObjectMeta};
use serde::de::DeserializeOwned;
use tracing::{info, warn};

use crate::{
    api::lower::CLEANUP,
    cluster::{Failed, finalizer},
    controller::{
        signal::{Cluster, reference_to},
        tell::Notice,
    },
    engine::{
        desired::Desired,
        farewell::{Farewell, Parting},
        limits::Limits,
        memory::Memory,
        step::StepKind,
        time::later,
    },
    repeat::Repeats,
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

/// Tells that the finalizer of an object could not be written, which holds nothing else up: in the log once a minute for
/// each cause, and in an event once a minute for each object, but not for each of a crowd.
pub fn tell_unwritten<K>(cluster: &Cluster, repeats: &Repeats, meta: &ObjectMeta, error: &Failed)
where
    K: Resource<DynamicType = ()>,
{
    let of = |text: &Option<String>| text.clone().unwrap_or_default();
    let (kind, namespace, name) = (K::kind(&()), of(&meta.namespace), of(&meta.name));
    if let Some(repeated) = repeats.tell(&format!("finalizer of a {kind}: {error}")) {
        warn!(%namespace, %name, %kind, %error, repeated, "the finalizer cannot be written");
    }
    if let Some(notice) =
        Notice::finalizer_unwritten(error).paced(repeats, &format!("{kind} {namespace}/{name}"))
    {
        let about = reference_to::<K>(&namespace, &name, &of(&meta.uid));
        cluster.tell(&about, vec![notice]);
    }
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

/// Whether a deletion that does not come to a plan ends: its time is over, this process had its chance, and nothing can be on
/// its way to Meta any more. The plan itself ends it sooner.
pub fn is_overdue(
    desired: &Desired,
    memory: &Memory,
    started: Timestamp,
    limits: &Limits,
    now: Timestamp,
) -> bool {
    let Some(since) = desired.deletion.since else { return false };
    let settle = [StepKind::UnrouteWebhook, StepKind::Deregister].map(|kind| kind.settle(limits));
    let longest = limits.call_timeout + settle.into_iter().max().unwrap_or_default();
    let tried = later(since, desired.deletion.timeout).max(later(started, limits.cleanup_least));
    let ends = if desired.deletion.is_skipped { since } else { later(tried, longest) };
    let is_open = memory.in_flight.as_ref().is_some_and(|intent| now < intent.settle_until);
    !is_open && now >= ends
}

/// What is left where no plan came about.
pub fn undecided(memory: &Memory, why: &str) -> Farewell {
    let number = memory.number.as_ref().map_or_else(String::new, |number| format!(" of number {number}"));
    let message = format!(
        "What was to be taken back at Meta{number} could not be decided: {why}. Look in WhatsApp Manager for what it had."
    );
    Farewell { parting: Parting::LeftAtMeta, message }
}

/// Nothing can be told of an object that is not understood, so nothing is done at Meta.
pub fn not_understood(why: &str) -> Farewell {
    let message = format!(
        "The object cannot be understood, so nothing was taken back at Meta ({why}). Look in WhatsApp Manager for what it had."
    );
    Farewell { parting: Parting::LeftAtMeta, message }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::{
        fixture::{desired, now},
        memory::Intent,
    };

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_deletion_that_never_comes_to_a_plan_ends_after_its_time_and_with_nothing_on_its_way() {
        let limits = Limits::default();
        let going = |is_skipped| {
            let mut desired = desired();
            desired.deletion.since = Some(now());
            desired.deletion.timeout = 10 * MINUTE;
            desired.deletion.is_skipped = is_skipped;
            desired
        };
        let long_ago = now() - 60 * MINUTE;
        let is_overdue = |desired: &Desired, memory: &Memory, started, after: Duration| {
            super::is_overdue(desired, memory, started, &limits, now() + after)
        };
        let free = Memory::default();
        let sent = |until: Duration| Memory {
            in_flight: Some(Intent {
                id: "a".into(),
                step: StepKind::Deregister.into(),
                reason: String::new(),
                started_at: now(),
                send_before: now(),
                settle_until: now() + until,
                generation: 1,
                subject: None,
                absent_before: None,
            }),
            ..Memory::default()
        };
        let margin = limits.call_timeout
            + StepKind::Deregister.settle(&limits).max(StepKind::UnrouteWebhook.settle(&limits));
        let second = Duration::from_secs(1);
        let over = 10 * MINUTE + margin;
        assert!(!is_overdue(&going(false), &free, long_ago, over.saturating_sub(second)));
        assert!(is_overdue(&going(false), &free, long_ago, over));
        // A process that has just begun had no chance.
        assert!(!is_overdue(&going(false), &free, now() + over, over));
        assert!(is_overdue(&going(false), &free, now() + over, over + limits.cleanup_least + margin));
        // What may be on its way is waited for.
        assert!(!is_overdue(&going(false), &sent(over + second), long_ago, over));
        assert!(is_overdue(&going(false), &sent(over), long_ago, over));
        // Somebody does not want to wait, and still nothing may be on its way.
        assert!(is_overdue(&going(true), &free, now(), second));
        assert!(!is_overdue(&going(true), &sent(MINUTE), now(), second));
        assert!(!is_overdue(&desired(), &free, long_ago, over), "it is not being deleted");
    }

    #[tokio::test(start_paused = true)]
    async fn a_finalizer_is_told_of_once_a_minute_whatever_the_words_of_who_refuses_it() {
        let repeats = Repeats::default();
        let told = |object: &str, error: Failed| {
            Notice::finalizer_unwritten(&error).paced(&repeats, object).map(|notice| notice.reason)
        };
        let refused = |n: u32| Failed::Refused(format!("denied, request {n}"));
        let not_written = Some("FinalizerNotWritten".to_owned());
        assert_eq!(told("a/b", refused(1)), not_written);
        assert_eq!(told("a/b", refused(2)), None);
        assert_eq!(told("a/c", refused(3)), not_written, "another object");
        let forbidden = told("a/b", Failed::Forbidden("rule 7".into()));
        assert_eq!(forbidden, Some("FinalizerForbidden".to_owned()), "another reason");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(told("a/b", refused(4)), not_written);
    }

    #[test]
    fn what_could_not_be_decided_is_told_with_its_number_and_why() {
        let memory = Memory { number: Some("100000000000001".into()), ..Memory::default() };
        let Farewell { parting, message } = undecided(&memory, "reading took longer than 60s");
        assert_eq!(parting, Parting::LeftAtMeta);
        assert!(message.contains("100000000000001") && message.contains("longer than 60s"), "{message}");
    }
}
