//! `waiting`: who is waited for, and for what, longest first. A help desk works from it.

use std::collections::BTreeSet;

use clap::{Args, builder::PossibleValuesParser};
use jiff::Timestamp;
use kube::ResourceExt;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    check::many,
    connect::ClusterArgs,
    exit::{Ending, Exit},
    list::{Listing, WhichArgs},
    render::{self, OutputArgs, Printed, Text, Tone, Words, age, clock, paint},
    status,
};
use crate::api::v1alpha1::{WaitingFor, WhatsAppChannel, WhatsAppPortfolio};
use crate::engine::action::{ACTIONS, ACTORS, Actor};

/// Shows who is waited for, longest first.
#[derive(Clone, Debug, Args)]
pub struct WaitingArgs {
    /// Only what waits for this one; may be given again.
    #[arg(
        long = "actor",
        value_name = "ACTOR",
        ignore_case = true,
        value_parser = PossibleValuesParser::new(ACTORS.iter().map(|row| row.name))
    )]
    pub actors: Vec<String>,
    #[command(flatten)]
    pub which: WhichArgs,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Everybody who is waited for.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What is waited for, longest first.
    items: Vec<Item>,
    /// What could not be listed, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_read: Vec<String>,
}

/// One act of one person, or of Meta.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Item {
    /// `WhatsAppChannel` or `WhatsAppPortfolio`.
    kind: &'static str,
    /// The namespace of the object.
    namespace: String,
    /// Its name.
    name: String,
    /// The number of a channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
    /// What to do, with the commands for this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    #[serde(flatten)]
    wait: WaitingFor,
}

impl Printed for Report {
    const KIND: &'static str = "WaitingList";
}

/// Shows them.
///
/// # Errors
///
/// When the channels cannot be listed.
pub async fn waiting(args: &WaitingArgs) -> Ending {
    let listing = Listing::open(&args.which, &args.cluster).await?;
    let is_asked =
        |actor: &str| args.actors.is_empty() || args.actors.iter().any(|one| one.eq_ignore_ascii_case(actor));
    let mut report = Report::default();
    let channels = |channel: WhatsAppChannel| {
        let number = Some(channel.spec.phone_number.clone());
        let waits = channel.seen().map(|status| status.waiting_for.clone()).unwrap_or_default();
        report.add("WhatsAppChannel", &channel, number, waits, is_asked);
    };
    listing.each("channels", channels).await?;
    // Nothing of a portfolio waits for a phone, and who has one need not see portfolios.
    let others = ACTORS.iter().filter(|row| row.actor != Actor::PhoneHolder);
    if others.map(|row| row.name).any(is_asked) {
        let portfolios = |portfolio: WhatsAppPortfolio| {
            let waits = portfolio.seen().map(|status| status.waiting_for.clone()).unwrap_or_default();
            report.add("WhatsAppPortfolio", &portfolio, None, waits, is_asked);
        };
        match listing.each("portfolios", portfolios).await {
            Err(problem) if problem.is_forbidden() => report.not_read.push(problem.to_string()),
            listed => listed?,
        }
    }
    report.items.sort_by(|a, b| {
        let of = |item: &Item| (item.wait.since, item.namespace.clone(), item.name.clone());
        of(a).cmp(&of(b))
    });
    render::print(args.output.output, &report, |report| text(report, &listing.place(), Timestamp::now()))?;
    Ok(Exit::Done)
}

impl Report {
    fn add(
        &mut self,
        kind: &'static str,
        object: &impl ResourceExt,
        phone_number: Option<String>,
        waits: Vec<WaitingFor>,
        is_asked: impl Fn(&str) -> bool,
    ) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let items = waits.into_iter().filter(|wait| is_asked(&wait.actor)).map(|wait| Item {
            kind,
            namespace: namespace.clone(),
            name: name.clone(),
            phone_number: phone_number.clone(),
            remedy: remedy(&wait.action).map(|remedy| status::about(remedy, &name, &namespace)),
            wait,
        });
        self.items.extend(items);
    }
}

fn remedy(action: &str) -> Option<&'static str> {
    ACTIONS.iter().find(|row| row.name == action).map(|row| row.remedy)
}

fn text(report: &Report, place: &str, now: Timestamp) -> Text {
    let mut text = Text::new();
    if report.items.is_empty() {
        text.line(format!("nobody is waited for {place}"));
    }
    let rows: Vec<[Words; 6]> = report
        .items
        .iter()
        .map(|item| {
            let by = item.wait.expected_by.map(|by| format!("by {}", clock(by, now)));
            [
                paint(Tone::Faint, age(item.wait.since, now)),
                (&item.wait.actor).into(),
                paint(Tone::Strong, &item.wait.action),
                format!("{}/{}", item.namespace, item.name).into(),
                item.phone_number.as_deref().unwrap_or_default().into(),
                by.unwrap_or_default().into(),
            ]
        })
        .collect();
    text.table(&rows);
    for unread in &report.not_read {
        text.line(paint(Tone::Attention, format!("not read: {unread}")));
    }
    let actions: BTreeSet<&str> = report.items.iter().map(|item| item.wait.action.as_str()).collect();
    if !actions.is_empty() {
        text.section("What to do");
        for action in actions {
            let told = Words::from("  ") + remedy(action).unwrap_or("see the message in its status");
            text.indent(2, paint(Tone::Strong, action) + told);
        }
        text.line("").line(many(report.items.len(), "act") + " waited for " + place);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(name: &str, minute: u32, action: &str) -> Item {
        let since = format!("2026-03-01T12:{minute:02}:00Z");
        Item {
            kind: "WhatsAppChannel",
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            phone_number: Some("+5511912345678".to_owned()),
            remedy: None,
            wait: serde_json::from_value(json!({"actor": "PhoneHolder", "action": action, "since": since}))
                .expect("a wait"),
        }
    }

    #[test]
    fn each_act_is_told_once_beneath_all_who_wait_for_it() {
        let items = vec![item("a", 0, "AskForCode"), item("b", 5, "AskForCode")];
        let now = "2026-03-01T12:30:00Z".parse().expect("a time");
        let told = text(&Report { items, not_read: Vec::new() }, "in namespace shop", now).plain();
        assert!(told.starts_with("  30m  PhoneHolder  AskForCode  shop/a  +5511912345678\n  25m"), "{told}");
        assert_eq!(told.matches("kubectl whatsapp send-code NAME").count(), 1, "{told}");
        assert!(told.ends_with("\n2 acts waited for in namespace shop\n"), "{told}");
    }

    #[test]
    fn an_actor_is_written_in_any_case_and_none_is_made_up() {
        use clap::Parser;
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            waiting: WaitingArgs,
        }
        assert!(Line::try_parse_from(["x", "--actor", "phoneholder", "-A"]).is_ok());
        assert!(Line::try_parse_from(["x", "--actor", "Nobody"]).is_err());
    }
}
