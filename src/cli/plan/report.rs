//! A plan as people and programs read it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::engine::{
    assess::portfolio::PortfolioAssessment,
    block::Block,
    condition::Truth,
    condition_type::ConditionType,
    desired::{DesiredPortfolio, PortfolioRef},
    plan::{Plan, RenameCost},
    status::Verdict,
};
use crate::{
    api::{
        lower,
        v1alpha1::{Check, Drift, WaitingFor, WhatsAppChannelStatus},
    },
    cli::{
        channel::seen,
        check::many,
        exit::Problem,
        render::{Printed, Text, Tone, paint},
        status,
    },
};

use super::{
    course::{self, Costs, Course},
    forecast::Forecasts,
    input::{Input, Manifest},
    secret::Origin,
    unread::Unread,
};

/// Everything that was planned.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `sandbox`, `given` or `cluster`: where credentials and memories came from.
    origin: &'static str,
    /// What has to be known to read this right.
    notes: Vec<String>,
    /// The portfolios.
    portfolios: Vec<PortfolioReport>,
    /// The channels, in the order of the manifests.
    channels: Vec<ChannelReport>,
    /// Channels for which something would be written.
    pub changes: usize,
    /// What the forecasts of all channels come to, their portfolios included.
    #[serde(skip_serializing_if = "Option::is_none")]
    forecast: Option<Costs>,
    /// What could not be read, so that the plan is not whole.
    not_read: Vec<Unread>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PortfolioReport {
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// Id of the business portfolio.
    business_id: String,
    /// The status that `Ready` would have.
    ready: String,
    /// Its reason, in one word; `explain` tells more.
    reason: String,
    /// A text for people.
    message: String,
    /// Fields that Meta refuses to the token's app.
    refused_fields: Vec<String>,
    /// Who has to act, as in status.
    waiting_for: Vec<WaitingFor>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ChannelReport {
    /// The file of the manifest.
    file: String,
    /// The line at which the manifest begins.
    line: usize,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// The number of a channel, as in the spec.
    phone_number: String,
    /// The display name, as in the spec.
    display_name: String,
    /// What would be done first.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<StepReport>,
    /// What the rename of a registered number costs, where the step, or what waits behind it, is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    rename: Option<RenameReport>,
    /// The status that `Ready` would have.
    ready: String,
    /// Why it is not taken further now.
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<BlockReport>,
    /// Why work beside the way to Registered (webhook, profile) is not taken further now.
    aside: Vec<AsideReport>,
    /// Who has to act, as in status.
    waiting_for: Vec<WaitingFor>,
    /// Everything managed that differs, as in status.
    drift: Vec<Drift>,
    /// Every prerequisite, as in status.
    preflight: Vec<Check>,
    /// The rest of the way, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    forecast: Option<Course>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct StepReport {
    /// The step, in one word.
    kind: &'static str,
    /// Why, for people.
    why: String,
    /// Whether it may be done again without harm.
    repeatable: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RenameReport {
    /// Reviews of names that it costs.
    reviews: usize,
    /// How many are left in 30 days.
    reviews_left: usize,
    /// Registrations that it costs, at most.
    registrations: usize,
    /// How many are left in 72 hours.
    registrations_left: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct BlockReport {
    /// Its reason, in one word; `explain` tells more.
    reason: &'static str,
    /// A text for people.
    message: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AsideReport {
    /// The condition that is held up.
    condition: &'static str,
    /// Why it is not taken further now.
    #[serde(flatten)]
    block: BlockReport,
}

impl Printed for Report {
    const KIND: &'static str = "Plan";
}

impl BlockReport {
    fn new(block: &Block) -> Self {
        Self { reason: block.reason.as_str(), message: block.message.clone() }
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
            changes: 0,
            forecast: None,
            not_read: Vec::new(),
        }
    }

    /// Adds what could not be read; what several channels miss is told once.
    pub fn unread(&mut self, unread: Vec<Unread>) {
        for one in unread {
            if !self.not_read.contains(&one) {
                self.not_read.push(one);
            }
        }
    }

    /// Why this plan must not be taken for the whole truth.
    pub fn problem(&self) -> Option<Problem> {
        let what: Vec<&str> = self.not_read.iter().map(|unread| unread.what.as_str()).collect();
        (!what.is_empty()).then(|| {
            Problem::new(format!("the plan is not whole; not read: {}", what.join(", ")))
                .next("mend what the plan says about each, then plan again")
        })
    }

    /// Adds a portfolio.
    pub fn portfolio(&mut self, desired: &DesiredPortfolio, assessment: &PortfolioAssessment) {
        let ready = assessment.conditions.get(ConditionType::Ready);
        self.portfolios.push(PortfolioReport {
            namespace: desired.namespace.clone(),
            name: desired.name.clone(),
            business_id: desired.business.to_string(),
            ready: ready.map_or(Truth::Unknown, |ready| ready.status).as_str().to_owned(),
            reason: ready.map_or("", |ready| ready.reason.as_str()).to_owned(),
            message: ready.map(|ready| ready.message.clone()).unwrap_or_default(),
            refused_fields: Vec::new(),
            waiting_for: lower::waiting(&assessment.waiting_for),
        });
    }

    /// Adds what Meta refused to the app of a portfolio, which shows while its channels are looked at.
    pub fn refused(&mut self, of: &PortfolioRef, fields: Vec<String>) {
        let is_it = |one: &&mut PortfolioReport| *one.namespace == *of.namespace && *one.name == *of.name;
        if let Some(portfolio) = self.portfolios.iter_mut().find(is_it) {
            portfolio.refused_fields = fields;
        }
    }

    /// Adds a channel, with the status that it would show.
    pub fn channel(
        &mut self,
        manifest: &Manifest,
        plan: &Plan,
        shown: WhatsAppChannelStatus,
        rename: Option<RenameCost>,
    ) {
        self.changes += usize::from(plan.step.is_some());
        let step = plan.step.as_ref().map(|planned| StepReport {
            kind: planned.step.kind().as_str(),
            why: planned.why.clone(),
            repeatable: planned.step.kind().is_repeatable(),
        });
        let block = plan.block.as_ref().map(BlockReport::new);
        let aside = plan.aside.iter().map(|(condition, block)| AsideReport {
            condition: condition.as_str(),
            block: BlockReport::new(block),
        });
        let ready = seen(&shown.conditions, ConditionType::Ready)
            .map_or(Truth::Unknown.as_str(), |ready| ready.status);
        let (file, line) = manifest.place.clone().unwrap_or_default();
        self.channels.push(ChannelReport {
            file,
            line,
            namespace: manifest.desired.namespace.clone(),
            name: manifest.desired.name.clone(),
            phone_number: manifest.desired.number.to_string(),
            display_name: manifest.desired.display_name.clone(),
            step,
            rename: rename.map(|cost| RenameReport {
                reviews: cost.reviews,
                reviews_left: cost.reviews_left,
                registrations: cost.registrations,
                registrations_left: cost.registrations_left,
            }),
            ready: ready.to_owned(),
            block,
            aside: aside.collect(),
            waiting_for: shown.waiting_for,
            drift: shown.drift,
            preflight: shown.preflight,
            forecast: None,
        });
    }
}

impl Report {
    /// Adds the forecasts of all channels, in their order.
    pub fn forecasts(&mut self, forecasts: Forecasts) {
        let mut all = forecasts.beside;
        for (channel, course) in self.channels.iter_mut().zip(forecasts.courses) {
            all += course.costs;
            channel.forecast = Some(course);
        }
        self.forecast = Some(all);
    }
}

/// The plan for people.
pub fn text(report: &Report) -> Text {
    let now = Timestamp::now();
    let mut text = Text::new();
    for note in &report.notes {
        text.line(paint(Tone::Faint, format!("note: {note}")));
    }
    for portfolio in &report.portfolios {
        text.section(&format!("WhatsAppPortfolio {}/{}", portfolio.namespace, portfolio.name));
        let tone = if portfolio.ready == Truth::True.as_str() { Tone::Good } else { Tone::Attention };
        text.indent(2, paint(tone, &portfolio.reason) + ": " + &portfolio.message);
        if !portfolio.refused_fields.is_empty() {
            let fields = portfolio.refused_fields.join(", ");
            text.indent(2, paint(Tone::Faint, format!("Meta does not show to this app: {fields}")));
        }
        let mut inner = Text::new();
        status::waits(&portfolio.waiting_for, &mut inner, now);
        text.nest(2, &inner);
    }
    for channel in &report.channels {
        one(channel, &mut text, now);
    }
    if !report.not_read.is_empty() {
        text.line("");
    }
    for unread in &report.not_read {
        text.line(paint(Tone::Bad, "not read:") + " " + &unread.what + ": " + &unread.why);
    }
    let waiting = report.channels.iter().filter(|channel| !channel.waiting_for.is_empty()).count();
    text.line("");
    text.line(format!(
        "{}: {} with changes, {} waiting; nothing was written",
        many(report.channels.len(), "channel"),
        report.changes,
        waiting
    ));
    if let Some(costs) = report.forecast {
        text.line(course::total(costs));
    }
    text
}

fn one(channel: &ChannelReport, text: &mut Text, now: Timestamp) {
    text.section(&format!(
        "WhatsAppChannel {}/{}  {}  {}",
        channel.namespace, channel.name, channel.phone_number, channel.display_name
    ));
    text.indent(2, paint(Tone::Faint, format!("{}:{}", channel.file, channel.line)));
    match (&channel.step, &channel.block) {
        (Some(step), _) => {
            let once = if step.repeatable { "" } else { ", written down first and never repeated" };
            text.indent(
                2,
                paint(Tone::Good, "+")
                    + " "
                    + paint(Tone::Strong, step.kind)
                    + ": "
                    + &step.why
                    + paint(Tone::Faint, once),
            );
        }
        (None, None) if channel.aside.is_empty() => {
            text.indent(2, paint(Tone::Good, "nothing to do"));
        }
        (None, _) => {}
    }
    if let Some(rename) = &channel.rename {
        let costs = format!(
            "the rename costs {} (of {} left in 30 days), and {} (of {} left in 72 hours) where Meta does not make the name live by itself",
            many(rename.reviews, "review"),
            rename.reviews_left,
            many(rename.registrations, "registration"),
            rename.registrations_left,
        );
        text.indent(4, paint(Tone::Attention, costs));
    }
    for block in channel.block.iter().chain(channel.aside.iter().map(|aside| &aside.block)) {
        text.indent(
            2,
            paint(Tone::Attention, "waits") + " " + paint(Tone::Strong, block.reason) + ": " + &block.message,
        );
    }
    let mut inner = Text::new();
    status::waits(&channel.waiting_for, &mut inner, now);
    let open: Vec<Check> =
        channel.preflight.iter().filter(|check| check.verdict != Verdict::Pass.as_str()).cloned().collect();
    status::checks(&open, &mut inner);
    status::drift(&channel.drift, &mut inner, None);
    text.nest(2, &inner);
    if let Some(course) = &channel.forecast {
        text.nest(2, &course.text());
    }
}
