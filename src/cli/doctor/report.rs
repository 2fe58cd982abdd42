//! What was found, as people and programs read it.

use jiff::Timestamp;
use kube::ResourceExt;
use schemars::JsonSchema;
use serde::Serialize;

use crate::engine::{
    assess::chain::{Chain, Link, LinkKind, Mark, Next},
    desired::PortfolioRef,
};
use crate::{
    api::{
        lower,
        v1alpha1::{WaitingFor, WhatsAppChannel},
    },
    cli::{
        check::many,
        exit::Problem,
        explain,
        plan::{
            input::{Input, Manifest},
            secret::Origin,
        },
        render::{Printed, Text, Tone, Words, paint},
        status,
    },
};

/// Everything that was looked at.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `sandbox`, `given` or `cluster`: where credentials came from.
    origin: &'static str,
    /// What has to be known to read this right.
    notes: Vec<String>,
    /// Those that no channel here uses.
    portfolios: Vec<ExaminedPortfolio>,
    /// The channels, in the order of the manifests.
    channels: Vec<ExaminedChannel>,
    /// How many of all have something broken.
    pub broken: usize,
    /// How many of all have a link that should have been read and was not.
    not_read: usize,
}

/// One portfolio and its chain.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ExaminedPortfolio {
    /// `WhatsAppPortfolio`.
    kind: &'static str,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// What every number below it needs, link by link.
    links: Vec<LinkReport>,
    /// What is to be done first, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<NextReport>,
}

/// One channel and its chain.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ExaminedChannel {
    /// `WhatsAppChannel`.
    kind: &'static str,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// Its number, as in the spec.
    phone_number: String,
    /// The display name, as in the spec.
    display_name: String,
    /// The file of the manifest; absent where the channel comes from a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// The line at which the manifest begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// What the number needs, link by link.
    links: Vec<LinkReport>,
    /// What is to be done first, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<NextReport>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct LinkReport {
    /// The link: `Token`, `Scopes` and so on.
    link: &'static str,
    /// `Ok`, `Warn`, `Broken` or `NotChecked`.
    mark: &'static str,
    /// What was read.
    read: String,
    /// It should have been read and was not.
    failed: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NextReport {
    /// The link: `Token`, `Scopes` and so on.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'static str>,
    /// Its reason, in one word; `explain` tells more.
    reason: &'static str,
    /// A text for people.
    message: String,
    /// What to do, with the commands for this object.
    remedy: String,
    /// Who moves next.
    who_moves: &'static str,
    /// Who has to act, as in status.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<WaitingFor>,
}

impl Printed for Report {
    const KIND: &'static str = "Doctor";
}

impl LinkReport {
    fn new(link: &Link) -> Self {
        Self {
            link: link.kind.as_str(),
            mark: link.mark.as_str(),
            read: link.read.clone(),
            failed: link.failed,
        }
    }
}

impl NextReport {
    fn new(next: &Next, namespace: &str, name: &str) -> Self {
        let row = next.reason.row();
        Self {
            link: next.link.map(LinkKind::as_str),
            reason: row.name,
            message: next.message.clone(),
            remedy: status::about(row.remedy, name, namespace),
            who_moves: explain::who_moves(row.kind),
            waiting_for: next.wait.as_ref().and_then(|wait| lower::waiting(std::slice::from_ref(wait)).pop()),
        }
    }
}

impl Report {
    /// An empty one.
    pub fn new(origin: &Origin, input: &Input) -> Self {
        Self {
            origin: origin.as_str(),
            notes: input.notes.clone(),
            portfolios: Vec::new(),
            channels: Vec::new(),
            broken: 0,
            not_read: 0,
        }
    }

    fn count(&mut self, chain: &Chain, namespace: &str, name: &str) -> (Vec<LinkReport>, Option<NextReport>) {
        self.broken += usize::from(chain.is_broken());
        self.not_read += usize::from(chain.is_unread());
        (
            chain.links.iter().map(LinkReport::new).collect(),
            chain.next.as_ref().map(|next| NextReport::new(next, namespace, name)),
        )
    }

    /// Adds a portfolio.
    pub fn portfolio(&mut self, of: &PortfolioRef, chain: Chain) {
        let (links, next) = self.count(&chain, &of.namespace, &of.name);
        self.portfolios.push(ExaminedPortfolio {
            kind: "WhatsAppPortfolio",
            namespace: of.namespace.to_string(),
            name: of.name.to_string(),
            links,
            next,
        });
    }

    /// Adds a channel.
    pub fn channel(&mut self, manifest: &Manifest, chain: Chain) {
        let (links, next) = self.count(&chain, &manifest.desired.namespace, &manifest.desired.name);
        let (file, line) = manifest.place.clone().unzip();
        self.channels.push(ExaminedChannel {
            kind: "WhatsAppChannel",
            namespace: manifest.desired.namespace.clone(),
            name: manifest.desired.name.clone(),
            phone_number: manifest.desired.number.to_string(),
            display_name: manifest.desired.display_name.clone(),
            file,
            line,
            links,
            next,
        });
    }

    /// Adds a channel whose spec cannot be understood.
    pub fn invalid(&mut self, object: &WhatsAppChannel, chain: Chain) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let (links, next) = self.count(&chain, &namespace, &name);
        self.channels.push(ExaminedChannel {
            kind: "WhatsAppChannel",
            namespace,
            name,
            phone_number: object.spec.phone_number.clone(),
            display_name: object.spec.display_name.clone(),
            file: None,
            line: None,
            links,
            next,
        });
    }

    /// Why this must not be taken for the whole truth.
    pub fn problem(&self) -> Option<Problem> {
        (self.not_read > 0).then(|| {
            Problem::new(format!("{} could not be read whole", many(self.not_read, "object"))).next(
                "see what is not checked and why; a Secret that you may not get can be replaced by --token-file; then run it again",
            )
        })
    }
}

/// For people.
pub fn text(report: &Report) -> Text {
    let now = Timestamp::now();
    let mut text = Text::new();
    for note in &report.notes {
        text.line(paint(Tone::Faint, format!("note: {note}")));
    }
    for one in &report.portfolios {
        text.section(&format!("{} {}/{}", one.kind, one.namespace, one.name));
        chain(&one.links, one.next.as_ref(), &mut text, now);
    }
    for one in &report.channels {
        text.section(&format!(
            "{} {}/{}  {}  {}",
            one.kind, one.namespace, one.name, one.phone_number, one.display_name
        ));
        if let (Some(file), Some(line)) = (&one.file, one.line) {
            text.indent(2, paint(Tone::Faint, format!("{file}:{line}")));
        }
        chain(&one.links, one.next.as_ref(), &mut text, now);
    }
    text.line("");
    text.line(format!(
        "{}: {} broken, {} not read whole; nothing was written",
        many(report.portfolios.len() + report.channels.len(), "object"),
        report.broken,
        report.not_read
    ));
    text
}

fn chain(links: &[LinkReport], next: Option<&NextReport>, text: &mut Text, now: Timestamp) {
    // The link that Next is about.
    let first = next.and_then(|next| next.link);
    let rows: Vec<[Words; 3]> = links
        .iter()
        .map(|link| {
            let name = link.link.to_lowercase();
            if first == Some(link.link) {
                return [Words::from("> ") + mark(link.mark), paint(Tone::Strong, name), (&link.read).into()];
            }
            [mark(link.mark), name.into(), (&link.read).into()]
        })
        .collect();
    text.table(&rows);
    let Some(next) = next else { return };
    let at = next.link.map(|link| format!(" at the {}", link.to_lowercase())).unwrap_or_default();
    text.indent(2, Words::from("Next") + at + ": " + paint(Tone::Strong, next.reason) + ": " + &next.message);
    if next.waiting_for.is_some() {
        text.indent(2, format!("What to do: {}", next.remedy));
    }
    let Some(wait) = &next.waiting_for else {
        text.indent(2, format!("Who: {}", next.who_moves));
        return;
    };
    text.indent(2, Words::from("Who: ") + &wait.actor + ": " + paint(Tone::Strong, &wait.action));
    status::more(wait, text, now);
}

fn mark(word: &str) -> Words {
    match word {
        word if word == Mark::Ok.as_str() => paint(Tone::Good, "ok"),
        word if word == Mark::Warn.as_str() => paint(Tone::Attention, "warn"),
        word if word == Mark::Broken.as_str() => paint(Tone::Bad, "broken"),
        _ => paint(Tone::Faint, "not checked"),
    }
}
