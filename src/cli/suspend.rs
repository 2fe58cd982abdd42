//! `suspend` and `resume`: a channel that the operator leaves alone for a while, by name or by labels.

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    channel::Channel,
    check::many,
    connect::ClusterArgs,
    exit::{Ending, Exit, Problem},
    list::{Listing, WhichArgs},
    render::{self, OutputArgs, Printed, Text, Tone, paint},
};
use crate::api::v1alpha1::WhatsAppChannel;

/// Which channels.
#[derive(Clone, Debug, Args)]
pub struct SuspendArgs {
    /// Name of the channel.
    #[arg(
        value_name = "NAME",
        required_unless_present = "selector",
        conflicts_with_all = ["selector", "all_namespaces"]
    )]
    pub name: Option<String>,
    #[command(flatten)]
    pub which: WhichArgs,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Channels that were suspended or resumed.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What `spec.suspend` is now.
    suspend: bool,
    /// One for each channel that was found.
    items: Vec<One>,
}

/// One channel.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct One {
    /// Name of the channel.
    channel: String,
    /// Its namespace.
    namespace: String,
    /// It was not so before.
    changed: bool,
    /// Why it could not be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

impl Printed for Report {
    const KIND: &'static str = "ChannelSuspension";
}

/// Sets `spec.suspend` and nothing else.
///
/// # Errors
///
/// When there is no such channel, or it may not be written.
pub async fn set(args: &SuspendArgs, suspend: bool) -> Ending {
    let mut items = Vec::new();
    if let Some(name) = &args.name {
        let channel = Channel::open(name, &args.cluster).await?;
        let object = channel.read().await?;
        items.push(one(&channel, is_suspended(&object), suspend).await?);
    } else {
        let listing = Listing::open(&args.which, &args.cluster).await?;
        let mut found = Vec::new();
        listing
            .each("channels", |object: WhatsAppChannel| {
                let meta = &object.metadata;
                let (name, namespace) =
                    (meta.name.clone().unwrap_or_default(), meta.namespace.clone().unwrap_or_default());
                found.push((name, namespace, is_suspended(&object)));
            })
            .await?;
        if found.is_empty() {
            return Err(Problem::new(format!("there is no channel {}", listing.place())).next(
                "see which there are and their labels: kubectl get whatsappchannels -A --show-labels",
            ));
        }
        for (name, namespace, was) in found {
            let channel = Channel::of(&name, &namespace, &args.cluster, listing.client.clone());
            items.push(one(&channel, was, suspend).await.unwrap_or_else(|problem| One {
                channel: name,
                namespace,
                changed: false,
                failed: Some(problem.to_string()),
            }));
        }
    }
    let report = Report { suspend, items };
    render::print(args.output.output, &report, text)?;
    let failed = report.items.iter().any(|one| one.failed.is_some());
    Ok(if failed { Exit::Error } else { Exit::Done })
}

fn is_suspended(object: &WhatsAppChannel) -> bool {
    object.spec.suspend.unwrap_or_default()
}

async fn one(channel: &Channel, was: bool, suspend: bool) -> Result<One, Problem> {
    if was != suspend {
        channel.suspend(suspend).await?;
    }
    Ok(One {
        channel: channel.name.clone(),
        namespace: channel.namespace.clone(),
        changed: was != suspend,
        failed: None,
    })
}

fn text(report: &Report) -> Text {
    let mut text = Text::new();
    let word = if report.suspend { "suspended" } else { "resumed" };
    for one in &report.items {
        let became = match (&one.failed, one.changed) {
            (Some(why), _) => paint(Tone::Bad, "failed") + ": " + why,
            (None, true) => paint(Tone::Good, word),
            (None, false) => paint(Tone::Faint, format!("{word} already")),
        };
        text.line(paint(Tone::Strong, format!("{}/{}", one.namespace, one.channel)) + ": " + became);
    }
    if report.items.len() > 1 {
        let changed = report.items.iter().filter(|one| one.changed).count();
        text.line(format!("{}: {changed} {word}", many(report.items.len(), "channel")));
    }
    if report.items.iter().any(|one| one.changed) {
        text.indent(2, "next: where Argo CD or Flux applies the manifest, set spec.suspend there too, or they set it back");
    }
    text
}
