//! Consents: annotations → [`DesiredConsents`], each with the time at which it was set.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};

use super::key::{OFFICIAL, RECONCILE, RETRY, SEND_CODE};
use crate::engine::desired::DesiredConsents;

/// How exactly the API server keeps times.
const KEPT: SignedDuration = SignedDuration::from_secs(1);

/// Reads the consent annotations; an empty value is none.
pub fn consents(metadata: &ObjectMeta) -> DesiredConsents {
    let value =
        |key: &str| metadata.annotations.as_ref()?.get(key).filter(|value| !value.is_empty()).cloned();
    let (send_code, retry, official) = (value(SEND_CODE), value(RETRY), value(OFFICIAL));
    DesiredConsents {
        send_code_came: send_code.as_ref().is_some_and(|value| came(metadata, SEND_CODE, value)),
        retry_came: retry.as_ref().is_some_and(|value| came(metadata, RETRY, value)),
        official_came: official.as_ref().is_some_and(|value| came(metadata, OFFICIAL, value)),
        send_code_set: send_code.as_ref().and_then(|value| set(metadata, SEND_CODE, value)),
        retry_set: retry.as_ref().and_then(|value| set(metadata, RETRY, value)),
        official_set: official.as_ref().and_then(|value| set(metadata, OFFICIAL, value)),
        official,
        reconcile: value(RECONCILE),
        send_code,
        retry,
    }
}

/// Whether a value that names no time of its own stood in what the object was created from: whoever created it has changed
/// nothing since. Where the same file is applied to an object that was deleted, nobody may be there.
fn came(metadata: &ObjectMeta, key: &str, value: &str) -> bool {
    let Some(created) = metadata.creation_timestamp.as_ref().map(|time| time.0) else { return false };
    let is_told =
        value.parse::<Timestamp>().is_ok_and(|said| said < created.saturating_add(KEPT).unwrap_or(created));
    let is_creator = |entry: &ManagedFieldsEntry| {
        let has_spec = entry.fields_v1.as_ref().is_some_and(|fields| fields.0.get("f:spec").is_some());
        has_spec && entry.time.as_ref().is_some_and(|time| time.0 <= created)
    };
    !is_told && metadata.managed_fields.iter().flatten().any(|entry| owns(entry, key) && is_creator(entry))
}

/// Of an object that is yet to be created: what stands in its manifest comes with it, unless it names a time itself.
pub fn come_with_the_object(consents: &mut DesiredConsents) {
    let comes =
        |value: &Option<String>| value.as_ref().is_some_and(|value| value.parse::<Timestamp>().is_err());
    consents.send_code_came = comes(&consents.send_code);
    consents.retry_came = comes(&consents.retry);
    consents.official_came = comes(&consents.official);
}

/// When a value was set: a value that is a time says it itself, as those of the command line do. Of any other the API server
/// knows when its owner last changed something. No value was set after that.
fn set(metadata: &ObjectMeta, key: &str, value: &str) -> Option<Timestamp> {
    let said = value.parse::<Timestamp>().ok();
    let owners = metadata.managed_fields.iter().flatten().filter(|entry| owns(entry, key));
    said.into_iter().chain(owners.filter_map(|entry| entry.time.as_ref()).map(|time| time.0)).min()
}

fn owns(entry: &ManagedFieldsEntry, key: &str) -> bool {
    let annotations = entry.fields_v1.as_ref().map(|fields| &fields.0["f:metadata"]["f:annotations"]);
    annotations.is_some_and(|annotations| annotations.get(format!("f:{key}")).is_some())
}
