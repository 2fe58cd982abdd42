//! `events`: what the cluster keeps of the events of one object, oldest first.

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::{Api, Client, Resource as _, api::ListParams};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    connect::{ClusterArgs, connect},
    exit::{Ending, Exit, Problem},
    list::pages,
    named::Named,
    render::{self, OutputArgs, Printed, Text, Tone, Words, age, paint},
};
use crate::api::v1alpha1::WhatsAppChannel;

/// Shows the events of a channel or a portfolio, oldest first. The cluster keeps them for an hour as a rule.
#[derive(Clone, Debug, Args)]
pub struct EventsArgs {
    /// Name of a channel, or portfolio/NAME.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The events of an object.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `WhatsAppChannel` or `WhatsAppPortfolio`.
    object_kind: &'static str,
    /// The namespace of the object.
    namespace: String,
    /// Its name.
    name: String,
    /// Oldest first.
    events: Vec<Told>,
}

/// One event.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// When it was last told.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// How often it was told.
    pub count: i32,
    /// `Normal` or `Warning`.
    pub event_type: String,
    /// Its reason, in one word.
    pub reason: String,
    /// Its text.
    pub message: String,
}

impl Printed for Report {
    const KIND: &'static str = "EventList";
}

/// Shows them.
///
/// # Errors
///
/// When they cannot be listed.
pub async fn events(args: &EventsArgs) -> Ending {
    let named = Named::parse(&args.name)?;
    let (object_kind, name) = named.object();
    let (client, namespace) = connect(&args.cluster).await?;
    let events = of(&client, &namespace, object_kind, name).await?;
    let report = Report { object_kind, namespace, name: name.to_owned(), events };
    render::print(args.output.output, &report, |report| text(report, Timestamp::now()))?;
    Ok(Exit::Done)
}

/// The events of an object, oldest first.
///
/// # Errors
///
/// When they cannot be listed.
pub async fn of(client: &Client, namespace: &str, kind: &str, name: &str) -> Result<Vec<Told>, Problem> {
    let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
    let mut told = Vec::new();
    each(client, namespace, fields, |event| told.extend(self::told(event))).await?;
    told.sort_by_key(|event| event.at);
    Ok(told)
}

/// Events by the kind and the name of their object, oldest first.
pub type Grouped = BTreeMap<(String, String), Vec<Told>>;

/// The events of all our objects in a namespace, of one list.
///
/// # Errors
///
/// When they cannot be listed.
pub async fn of_all(client: &Client, namespace: &str) -> Result<Grouped, Problem> {
    let fields = format!("involvedObject.apiVersion={}", WhatsAppChannel::api_version(&()));
    let mut all = Vec::new();
    each(client, namespace, fields, |event| all.push(event)).await?;
    Ok(grouped(all))
}

fn grouped(events: Vec<Event>) -> Grouped {
    let mut grouped = Grouped::new();
    for event in events {
        let object = &event.involved_object;
        let of = (object.kind.clone().unwrap_or_default(), object.name.clone().unwrap_or_default());
        grouped.entry(of).or_default().extend(told(event));
    }
    for events in grouped.values_mut() {
        events.sort_by_key(|event| event.at);
    }
    grouped
}

async fn each(
    client: &Client,
    namespace: &str,
    fields: String,
    take: impl FnMut(Event),
) -> Result<(), Problem> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = ListParams { field_selector: Some(fields), ..ListParams::default() };
    pages(&format!("list the events of namespace {namespace}"), &api, params, take).await
}

fn told(event: Event) -> Option<Told> {
    let series = event.series.as_ref();
    let at = series
        .and_then(|series| series.last_observed_time.as_ref().map(|time| time.0))
        .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))?;
    Some(Told {
        at,
        count: series.and_then(|series| series.count).or(event.count).unwrap_or(1).max(1),
        event_type: event.type_.unwrap_or_default(),
        reason: event.reason.unwrap_or_default(),
        message: event.message.unwrap_or_default(),
    })
}

fn text(report: &Report, now: Timestamp) -> Text {
    let mut text = Text::new();
    if report.events.is_empty() {
        text.line(format!(
            "the cluster has no event of {} {}/{} any more",
            report.object_kind, report.namespace, report.name
        ));
    }
    let rows: Vec<[Words; 5]> = report
        .events
        .iter()
        .map(|event| {
            let tone = if event.event_type == "Warning" { Tone::Attention } else { Tone::Faint };
            let count = if event.count > 1 { format!("x{}", event.count) } else { String::new() };
            [
                paint(Tone::Faint, age(event.at, now)),
                count.into(),
                paint(tone, &event.event_type),
                paint(Tone::Strong, &event.reason),
                (&event.message).into(),
            ]
        })
        .collect();
    text.table(&rows);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_of_a_namespace_are_grouped_by_their_object_oldest_first() {
        let event = |kind: &str, name: &str, reason: &str, minute: u32| -> Event {
            serde_json::from_value(json!({
                "metadata": {"name": reason}, "reason": reason,
                "involvedObject": {"kind": kind, "name": name},
                "lastTimestamp": format!("2026-01-01T00:{minute:02}:00Z"),
            }))
            .expect("an event")
        };
        let grouped = grouped(vec![
            event("WhatsAppChannel", "a", "Late", 2),
            event("WhatsAppPortfolio", "a", "Other", 1),
            event("WhatsAppChannel", "a", "Early", 0),
        ]);
        let reasons = |kind: &str| {
            let events = &grouped[&(kind.to_owned(), "a".to_owned())];
            events.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(reasons("WhatsAppChannel"), ["Early", "Late"]);
        assert_eq!(reasons("WhatsAppPortfolio"), ["Other"]);
    }
}
