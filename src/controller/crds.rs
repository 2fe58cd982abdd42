//! Whether the API server has our kinds, and as this version knows them.

use std::time::Duration;

use kube::{Client, Resource, ResourceExt};
use tracing::{info, warn};

use crate::{
    api::{self, Fit, lower, v1alpha1::WhatsAppChannel},
    cluster::{self, Failed},
    telemetry::health::Health,
};

use super::supervise::Pulse;

pub const PART: &str = "crds";
/// A kind that is missing is looked for this often.
const SOON: Duration = Duration::from_secs(5);
/// A schema that does not fit is looked at again after this long: it comes with all of them, about a megabyte.
const LATER: Duration = Duration::from_secs(20);
/// What fits is looked at again after this long: a CRD may be replaced while the operator runs.
const AGAIN: Duration = Duration::from_secs(1_800);
/// A sign of life meanwhile.
const BEAT: Duration = Duration::from_secs(60);
/// Whoever put in those that are there owns what is in them, so it is taken over.
const INSTALL: &str = "whatsapp-operator crd | kubectl apply --server-side --force-conflicts -f -";

/// What was found: why the kinds cannot be used, what else there is to know of them, and when to look again.
#[derive(Debug)]
struct Found {
    missing: Vec<String>,
    notes: Vec<String>,
    again: Duration,
}

/// Keeps readiness in step with the CRDs.
pub async fn check(client: &Client, health: &Health, pulse: &Pulse) {
    let mut fits = false;
    let mut told = None;
    loop {
        let mut pause = if fits { AGAIN } else { SOON };
        match look(client).await {
            Ok(found) => {
                (fits, pause) = (found.missing.is_empty(), found.again);
                let text = found.missing.join("; ");
                if told.as_ref() != Some(&text) {
                    if fits { info!("the CRDs fit this version") } else { warn!("{text}") }
                }
                if fits {
                    health.holds(PART);
                } else {
                    health.missing_part(PART, &text);
                }
                health.note(PART, found.notes);
                told = Some(text);
            }
            // What was found before stands.
            Err(_) if fits => {}
            Err(error) => {
                let text = unasked(&error);
                if told.as_ref() != Some(&text) {
                    warn!("{text}");
                }
                health.missing_part(PART, &text);
                told = Some(text);
            }
        }
        while !pause.is_zero() {
            pulse.beat();
            let step = pause.min(BEAT);
            tokio::time::sleep(step).await;
            pause -= step;
        }
    }
}

/// Why the API server does not tell what it serves, with the remedy where its answer has none.
fn unasked(error: &Failed) -> String {
    let remedy = match error {
        Failed::NoAnswer(_) => {
            "; let this process reach the address that its log names first: see the network policies, the proxy, and the \
             authorities that it trusts"
        }
        _ => "",
    };
    format!("the API server cannot be asked: {error}{remedy}; it is tried again by itself")
}

async fn look(client: &Client) -> Result<Found, Failed> {
    let ours = [api::channel_crd(), api::portfolio_crd()];
    let plurals: Vec<&str> = ours.iter().map(|crd| crd.spec.names.plural.as_str()).collect();
    let absent = cluster::not_served(client, &WhatsAppChannel::api_version(&()), &plurals).await?;
    let mut found = Found { missing: Vec::new(), notes: Vec::new(), again: SOON };
    if !absent.is_empty() {
        let names: Vec<String> = absent.iter().map(|plural| format!("{plural}.{}", lower::GROUP)).collect();
        let names = names.join(" and ");
        found.missing.push(format!("the API server does not serve {names}; install them with: {INSTALL}"));
    }
    let present: Vec<_> = ours.iter().filter(|crd| !absent.contains(&crd.spec.names.plural)).collect();
    if present.is_empty() {
        return Ok(found);
    }
    found.again = LATER;
    let served = match cluster::schemas(client, &WhatsAppChannel::api_version(&())).await {
        Ok(served) => served,
        Err(error @ (Failed::Forbidden(_) | Failed::Gone(_) | Failed::NotServed(_))) => {
            found.notes.push(format!(
                "the API server does not tell the schemas of {group}, so it is not known whether they are those of this version: \
                 {error}",
                group = lower::GROUP
            ));
            return Ok(found);
        }
        Err(error) => return Err(error),
    };
    for crd in present {
        let name = crd.name_any();
        match served.get(&crd.spec.names.kind) {
            Some(served) => match api::fit(crd, served) {
                Fit::Same => {}
                Fit::Newer(how) => found.notes.push(format!(
                    "{name} is of a newer version ({how}); what it has beyond this version is kept and not acted on"
                )),
                Fit::Other(how) => found.missing.push(format!(
                    "{name} is not the one of this version ({how}), so the API server may remove or refuse what this version writes; upgrade the chart's release, with --force-conflicts where helm tells of a conflict, or run: {INSTALL}"
                )),
            },
            None => found.missing.push(format!("the API server does not tell the schema of {name} yet")),
        }
    }
    if found.missing.is_empty() {
        found.again = AGAIN;
    }
    Ok(found)
}
