//! `status` without a name: how many channels stand where, and those that are not Ready.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    channel::seen,
    check::many,
    exit::Problem,
    list::Listing,
    render::{Printed, Text, Tone, Words, age, paint},
};
use crate::api::v1alpha1::{WhatsAppChannel, WhatsAppChannelStatus};
use crate::engine::{condition::Truth, condition_type::ConditionType, status::Stage, word::Vocabulary};

/// All channels, by stage.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fleet {
    /// How many channels are at each stage, in the order of the way.
    stages: Vec<Count>,
    /// Every channel, in the same order.
    channels: Vec<One>,
}

/// How many are at a stage.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Count {
    /// The stage, as in status.
    stage: String,
    /// How many channels are there.
    channels: usize,
}

/// One channel in short.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct One {
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// Its number, as in the spec.
    phone_number: String,
    /// Its stage; `Pending` also where no operator has seen it.
    stage: String,
    /// The status of the condition `Ready`.
    ready: String,
    /// Its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Since when `Ready` has that status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    since: Option<Timestamp>,
    /// Who has to act next, as in `waitingFor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// What they have to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
}

impl Printed for Fleet {
    const KIND: &'static str = "Fleet";
}

/// Reads the fleet.
///
/// # Errors
///
/// When the channels cannot be listed.
pub async fn read(listing: &Listing) -> Result<Fleet, Problem> {
    let mut all = Vec::new();
    listing.each("channels", |channel: WhatsAppChannel| all.push(one(&channel))).await?;
    Ok(sorted(all))
}

fn one(channel: &WhatsAppChannel) -> One {
    let nothing = WhatsAppChannelStatus::default();
    let status = channel.seen().unwrap_or(&nothing);
    let ready = seen(&status.conditions, ConditionType::Ready);
    let wait = status.waiting_for.first();
    One {
        namespace: channel.metadata.namespace.clone().unwrap_or_default(),
        name: channel.metadata.name.clone().unwrap_or_default(),
        phone_number: channel.spec.phone_number.clone(),
        stage: status.stage.clone().unwrap_or_else(|| Stage::Pending.as_str().to_owned()),
        ready: ready.as_ref().map_or(Truth::Unknown.as_str(), |ready| ready.status).to_owned(),
        reason: ready.as_ref().map(|ready| ready.reason.to_owned()),
        since: ready.as_ref().and_then(|ready| ready.since),
        actor: wait.map(|wait| wait.actor.clone()),
        action: wait.map(|wait| wait.action.clone()),
    }
}

/// By stage, and there those first that have stood longest.
fn sorted(mut channels: Vec<One>) -> Fleet {
    // A stage of a newer version comes last.
    let place =
        |stage: &str| Stage::ALL.iter().position(|known| known.as_str() == stage).unwrap_or(usize::MAX);
    channels.sort_by(|a, b| {
        let of = |one: &One| (place(&one.stage), one.stage.clone(), one.since.unwrap_or(Timestamp::MAX));
        of(a).cmp(&of(b)).then_with(|| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)))
    });
    let mut counts: BTreeMap<(usize, String), usize> = BTreeMap::new();
    for one in &channels {
        *counts.entry((place(&one.stage), one.stage.clone())).or_default() += 1;
    }
    let stages = counts.into_iter().map(|((_, stage), channels)| Count { stage, channels });
    Fleet { stages: stages.collect(), channels }
}

/// The fleet for people.
pub fn text(fleet: &Fleet, place: &str, now: Timestamp) -> Text {
    let mut text = Text::new();
    text.line(format!("{} {place}", many(fleet.channels.len(), "channel")));
    let counts: Vec<[Words; 2]> = fleet
        .stages
        .iter()
        .map(|count| [paint(tone(&count.stage), &count.stage), count.channels.to_string().into()])
        .collect();
    text.table(&counts);
    for count in fleet.stages.iter().filter(|count| count.stage != Stage::Ready.as_str()) {
        let rows: Vec<[Words; 5]> = fleet
            .channels
            .iter()
            .filter(|one| one.stage == count.stage)
            .map(|one| {
                let wait = one.actor.as_ref().zip(one.action.as_ref());
                [
                    paint(Tone::Strong, format!("{}/{}", one.namespace, one.name)),
                    (&one.phone_number).into(),
                    one.since.map(|since| paint(Tone::Faint, age(since, now))).unwrap_or_default(),
                    one.reason.as_deref().unwrap_or("not seen by an operator yet").into(),
                    wait.map(|(actor, action)| format!("{actor}: {action}")).unwrap_or_default().into(),
                ]
            })
            .collect();
        text.section(&count.stage).table(&rows);
    }
    text
}

fn tone(stage: &str) -> Tone {
    match Stage::from_word(stage) {
        Some(Stage::Ready) => Tone::Good,
        Some(Stage::Stalled) => Tone::Bad,
        Some(Stage::Suspended | Stage::Deleting) => Tone::Faint,
        _ => Tone::Attention,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(stage: &str, name: &str, minute: u32) -> One {
        One {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            phone_number: "+5511912345678".to_owned(),
            stage: stage.to_owned(),
            ready: "False".to_owned(),
            reason: Some("Why".to_owned()),
            since: format!("2026-03-01T12:{minute:02}:00Z").parse().ok(),
            actor: None,
            action: None,
        }
    }

    #[test]
    fn a_fleet_is_told_in_the_order_of_the_way_and_who_stood_longest_comes_first() {
        let fleet = sorted(vec![
            at("Ready", "a", 0),
            at("Teleporting", "b", 0),
            at("Verifying", "c", 9),
            at("Adding", "d", 0),
            at("Verifying", "e", 4),
        ]);
        let counts: Vec<_> =
            fleet.stages.iter().map(|count| (count.stage.as_str(), count.channels)).collect();
        assert_eq!(counts, [("Adding", 1), ("Verifying", 2), ("Ready", 1), ("Teleporting", 1)]);
        let names: Vec<_> = fleet.channels.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["d", "e", "c", "a", "b"]);
        let now = "2026-03-01T12:14:00Z".parse().expect("a time");
        let told = text(&fleet, "in namespace shop", now).plain();
        assert!(
            told.starts_with("5 channels in namespace shop\n  Adding       1\n  Verifying    2\n"),
            "{told}"
        );
        assert!(told.contains("\nVerifying\n  shop/e  +5511912345678  10m  Why\n  shop/c"), "{told}");
        assert!(!told.contains("shop/a"), "nobody has to read what is Ready: {told}");
    }
}
