//! `support-bundle`: what somebody who helps has to know, in one document, and no secret.
//!
//! Secrets are never read. What people may have written beside our fields is left out, and what looks like a token is
//! blacked out wherever it stands.

mod clean;
mod logs;

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    connect::{ClusterArgs, call},
    events::{self, Told},
    exit::{Ending, Exit, Problem},
    list::{Listing, WhichArgs},
    render::{self, Format, Printed, Text},
};
use crate::api::{
    lower::GROUP,
    v1alpha1::{WhatsAppChannel, WhatsAppPortfolio},
};

/// Prints channels, portfolios, their events and the log of the operator in one document for whoever helps. It has no
/// secrets. It has phone numbers and names: look at it before you send it.
#[derive(Clone, Debug, Args)]
pub struct BundleArgs {
    #[command(flatten)]
    pub which: WhichArgs,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Where the operator runs; else its pods are looked for in every namespace, by the chart's label.
    #[arg(long, value_name = "NAMESPACE")]
    pub operator_namespace: Option<String>,
    /// Leaves the log of the operator out.
    #[arg(long, conflicts_with = "operator_namespace")]
    pub no_logs: bool,
    /// JSON or YAML.
    #[arg(short, long, value_enum, default_value_t = Form::Yaml, value_name = "FORMAT")]
    pub output: Form,
}

/// The forms of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    Json,
    Yaml,
}

/// All of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// When it was made.
    #[schemars(with = "String")]
    made: Timestamp,
    /// The version of the program that made it.
    version: &'static str,
    /// The version of the API server.
    server: String,
    /// The portfolios, as they stand: name, spec, status, and the annotations and labels for an operator.
    portfolios: Vec<Value>,
    /// The channels, in the same way.
    channels: Vec<Value>,
    /// Events of each of them.
    events: Vec<Of>,
    /// The log of each pod of the operator, and the one before a restart; phone numbers in it show their last four digits.
    logs: Vec<logs::Log>,
    /// What could not be read, and why.
    not_read: Vec<String>,
}

/// The events of one object.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Of {
    /// Kind, namespace and name of the object.
    object: String,
    /// Its events, oldest first.
    events: Vec<Told>,
}

impl Printed for Bundle {
    const KIND: &'static str = "SupportBundle";
}

/// Makes one.
///
/// # Errors
///
/// When the channels cannot be listed.
pub async fn bundle(args: &BundleArgs) -> Ending {
    let listing = Listing::open(&args.which, &args.cluster).await?;
    let server = call("read the version of the API server", listing.client.apiserver_version()).await?;
    let mut bundle = Bundle {
        made: Timestamp::now(),
        version: env!("CARGO_PKG_VERSION"),
        server: server.git_version,
        portfolios: Vec::new(),
        channels: Vec::new(),
        events: Vec::new(),
        logs: Vec::new(),
        not_read: Vec::new(),
    };
    let mut named = Vec::new();
    listing
        .each("channels", |object: WhatsAppChannel| {
            named.push(("WhatsAppChannel", object.namespace().unwrap_or_default(), object.name_any()));
            bundle.channels.push(shown("WhatsAppChannel", &object));
        })
        .await?;
    let portfolios = listing.each("portfolios", |object: WhatsAppPortfolio| {
        named.push(("WhatsAppPortfolio", object.namespace().unwrap_or_default(), object.name_any()));
        bundle.portfolios.push(shown("WhatsAppPortfolio", &object));
    });
    let portfolios = portfolios.await;
    bundle.skip_forbidden(portfolios)?;
    let namespaces: BTreeSet<&str> = named.iter().map(|(_, namespace, _)| namespace.as_str()).collect();
    let mut told = BTreeMap::new();
    for namespace in namespaces {
        let events = events::of_all(&listing.client, namespace).await;
        let events = events.map(|events| drop(told.insert(namespace, events)));
        bundle.skip_forbidden(events)?;
    }
    for (kind, namespace, name) in &named {
        let of_object = |all: &mut events::Grouped| all.remove(&((*kind).to_owned(), name.clone()));
        let Some(events) = told.get_mut(namespace.as_str()).and_then(of_object) else { continue };
        let events = events.into_iter().map(|event| Told { message: clean::text(&event.message), ..event });
        bundle.events.push(Of { object: format!("{kind} {namespace}/{name}"), events: events.collect() });
    }
    if !args.no_logs {
        let (place, own) = (args.operator_namespace.as_deref(), listing.namespace());
        let (logs, not_read) = logs::of_operator(&listing.client, place, own).await;
        bundle.logs = logs;
        bundle.not_read.extend(not_read);
    }
    let format = match args.output {
        Form::Json => Format::Json,
        Form::Yaml => Format::Yaml,
    };
    render::print(format, &bundle, |_| Text::new())?;
    Ok(Exit::Done)
}

impl Bundle {
    fn skip_forbidden(&mut self, read: Result<(), Problem>) -> Result<(), Problem> {
        match read {
            Err(problem) if problem.is_forbidden() => self.not_read.push(problem.to_string()),
            read => read?,
        }
        Ok(())
    }
}

/// Whether an annotation or a label is for an operator.
fn is_ours(key: &str) -> bool {
    let above = key.split('/').next().and_then(|domain| domain.strip_suffix(GROUP));
    above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

/// An object without what others keep in it, and with nothing that looks like a token.
fn shown<K: Resource + Serialize>(kind: &'static str, object: &K) -> Value {
    let whole = serde_json::to_value(object).unwrap_or_default();
    let mut shown = Map::new();
    shown.insert("kind".to_owned(), kind.into());
    let meta = &whole["metadata"];
    let mut kept = Map::new();
    for field in [
        "name",
        "namespace",
        "uid",
        "generation",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "finalizers",
    ] {
        if let Some(value) = meta.get(field) {
            kept.insert(field.to_owned(), value.clone());
        }
    }
    // By its labels an operator may be told to leave it alone.
    for field in ["annotations", "labels"] {
        let all = meta[field].as_object().into_iter().flatten();
        let ours: Map<String, Value> =
            all.filter(|(key, _)| is_ours(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
        if !ours.is_empty() {
            kept.insert(field.to_owned(), ours.into());
        }
    }
    shown.insert("metadata".to_owned(), kept.into());
    for part in ["spec", "status"] {
        if let Some(value) = whole.get(part) {
            shown.insert(part.to_owned(), value.clone());
        }
    }
    let mut shown = Value::Object(shown);
    each_text(&mut shown);
    shown
}

fn each_text(value: &mut Value) {
    match value {
        Value::String(text) => *text = clean::text(text),
        Value::Array(items) => items.iter_mut().for_each(each_text),
        Value::Object(members) => members.values_mut().for_each(each_text),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_people_wrote_beside_our_fields_is_left_out() {
        let object: WhatsAppChannel = serde_json::from_value(json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
            "metadata": {
                "name": "support", "namespace": "shop", "labels": {"pin": "canary", "sharding.whatsapp-operator.dev/key": "shard1"},
                "annotations": {"notes": "canary", "whatsapp-operator.dev/retry": "one"},
                "managedFields": [{"manager": "canary"}]
            },
            "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme"},
        }))
        .expect("a channel");
        let shown = shown("WhatsAppChannel", &object).to_string();
        assert!(!shown.contains("canary"), "{shown}");
        for kept in [
            "whatsapp-operator.dev/retry",
            "\"sharding.whatsapp-operator.dev/key\":\"shard1\"",
            "+5511912345678",
        ] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }
}
