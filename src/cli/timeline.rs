//! `timeline`: what happened to a channel, in order: transitions, attempts with Meta's trace ids, consents, events.

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    channel::Channel,
    connect::ClusterArgs,
    events,
    exit::{Ending, Exit},
    render::{self, OutputArgs, Printed, Text, Tone, Words, paint},
};
use crate::api::v1alpha1::{ConsentAnswer, Entry, Pace, Refusal, WhatsAppChannel, WhatsAppChannelStatus};
use crate::engine::{memory::EntryOutcome, step::StepKind, word::Vocabulary};

/// Shows what happened to a channel, oldest first: transitions of its conditions, attempts with Meta's trace ids,
/// consents, and events where they may be read.
#[derive(Clone, Debug, Args)]
pub struct TimelineArgs {
    /// Name of the channel.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What happened.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Name of the channel.
    name: String,
    /// Its namespace.
    namespace: String,
    /// Oldest first. Of a condition only the last transition is known, unless an event tells of one before.
    entries: Vec<Happened>,
    /// What could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_read: Vec<String>,
}

/// What an entry tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
enum What {
    /// The object was created.
    Created,
    /// A person consented.
    Consent,
    /// A step was tried.
    Attempt,
    /// A condition changed its status.
    Condition,
    /// The operator told something.
    Event,
}

impl What {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Consent => "consent",
            Self::Attempt => "attempt",
            Self::Condition => "condition",
            Self::Event => "event",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Happened {
    /// When.
    #[schemars(with = "String")]
    at: Timestamp,
    /// What this tells of.
    what: What,
    /// The step, the condition, the consent, or the reason of an event.
    name: String,
    /// The outcome of an attempt, the status of a condition, or what a consent was used for.
    #[serde(skip_serializing_if = "String::is_empty")]
    state: String,
    /// What allowed an attempt, or the reason of a condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// A text for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    /// Meta's code, where it refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    /// Meta's subcode.
    #[serde(skip_serializing_if = "Option::is_none")]
    subcode: Option<i64>,
    /// Meta's trace id, to quote to its support: of a refusal the first that was seen with this code, and of an attempt that was
    /// accepted. Without it are attempts that Meta did not answer, those of steps that may be repeated unless Meta refused, and those
    /// that an older version of the operator made.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

impl Happened {
    fn new(at: Timestamp, what: What, name: impl Into<String>) -> Self {
        Self {
            at,
            what,
            name: name.into(),
            state: String::new(),
            cause: None,
            message: String::new(),
            code: None,
            subcode: None,
            trace_id: None,
        }
    }

    fn refused(self, refusal: Option<&Refusal>) -> Self {
        let Some(refusal) = refusal else { return self };
        let title = refusal.title.as_ref().map(|title| format!("{title}: ")).unwrap_or_default();
        Self {
            message: format!("{title}{}", refusal.message),
            code: Some(refusal.code),
            subcode: refusal.subcode,
            trace_id: refusal.trace_id.clone(),
            ..self
        }
    }
}

impl Printed for Report {
    const KIND: &'static str = "Timeline";
}

/// Shows it.
///
/// # Errors
///
/// When the channel cannot be read.
pub async fn timeline(args: &TimelineArgs) -> Ending {
    let channel = Channel::open(&args.name, &args.cluster).await?;
    let object = channel.read().await?;
    let mut report = report(&object, &channel.namespace);
    match events::of(&channel.client(), &channel.namespace, "WhatsAppChannel", &channel.name).await {
        Ok(told) => report.with(told),
        Err(problem) if problem.is_forbidden() => report.not_read.push(problem.to_string()),
        Err(problem) => return Err(problem),
    }
    render::print(args.output.output, &report, text)?;
    Ok(Exit::Done)
}

/// What the object itself tells.
pub fn report(object: &WhatsAppChannel, namespace: &str) -> Report {
    let nothing = WhatsAppChannelStatus::default();
    let status = object.seen().unwrap_or(&nothing);
    let created = object.metadata.creation_timestamp.as_ref();
    let mut entries: Vec<Happened> =
        created.map(|time| Happened::new(time.0, What::Created, "WhatsAppChannel")).into_iter().collect();
    entries.extend(status.conditions.iter().map(|condition| Happened {
        state: condition.status.clone(),
        cause: Some(condition.reason.clone()),
        message: condition.message.clone(),
        ..Happened::new(condition.last_transition_time.0, What::Condition, &condition.type_)
    }));
    if let Some(ledger) = status.ledger() {
        for step in StepKind::ALL {
            entries.extend(ledger.of(*step).iter().map(|entry| attempt(*step, entry)));
        }
        entries.extend(ledger.repeatable.iter().filter_map(|(step, pace)| last(step.as_str(), pace)));
    }
    if let Some(consents) = status.consents() {
        for (name, answer) in [
            ("send-code", &consents.send_code),
            ("retry", &consents.retry),
            ("request-official-account", &consents.official),
            ("reconcile", &consents.reconcile),
        ] {
            entries.extend(answer.iter().flat_map(|answer| answers(name, answer)));
        }
    }
    let mut report = Report {
        name: object.metadata.name.clone().unwrap_or_default(),
        namespace: namespace.to_owned(),
        entries,
        not_read: Vec::new(),
    };
    report.sort();
    report
}

impl Report {
    fn sort(&mut self) {
        self.entries.sort_by_key(|entry| (entry.at, entry.what));
    }

    /// Adds what the cluster keeps.
    fn with(&mut self, told: Vec<events::Told>) {
        self.entries.extend(told.into_iter().map(|event| Happened {
            state: event.event_type,
            message: event.message,
            ..Happened::new(event.at, What::Event, event.reason)
        }));
        self.sort();
    }
}

fn attempt(step: StepKind, entry: &Entry) -> Happened {
    Happened {
        state: entry.outcome.to_string(),
        cause: Some(entry.cause.to_string()),
        trace_id: entry.trace_id.clone(),
        ..Happened::new(entry.at, What::Attempt, step.as_str())
    }
    .refused(entry.refusal.as_ref())
}

/// The last try of a step that may be repeated.
fn last(step: &str, pace: &Pace) -> Option<Happened> {
    let outcome = match pace.refusal {
        Some(_) => EntryOutcome::Refused,
        None if pace.accepted > 0 => EntryOutcome::Accepted,
        None => EntryOutcome::NoAnswer,
    };
    let tried =
        Happened { state: outcome.as_str().to_owned(), ..Happened::new(pace.last?, What::Attempt, step) };
    Some(tried.refused(pace.refusal.as_ref()))
}

/// The answers to a consent that are remembered.
fn answers(name: &str, answer: &ConsentAnswer) -> Vec<Happened> {
    let of = |at, used_for: Option<String>, refused: Option<&String>| Happened {
        state: used_for.unwrap_or_else(|| if refused.is_some() { "Refused" } else { "" }.to_owned()),
        message: refused.cloned().unwrap_or_default(),
        ..Happened::new(at, What::Consent, name)
    };
    let earlier =
        answer.earlier.iter().map(|one| of(one.at, one.used_for.as_ref().map(ToString::to_string), None));
    let latest = of(answer.at, answer.used_for.as_ref().map(ToString::to_string), answer.refused.as_ref());
    earlier.chain([latest]).collect()
}

fn text(report: &Report) -> Text {
    let mut text = Text::new();
    let rows: Vec<[Words; 5]> = report
        .entries
        .iter()
        .map(|one| {
            let tone = match one.what {
                What::Attempt if one.state == EntryOutcome::Accepted.as_str() => Tone::Good,
                What::Attempt => Tone::Bad,
                _ => Tone::Strong,
            };
            let cause = one.cause.as_deref().unwrap_or_default();
            let state = match (one.state.is_empty(), cause.is_empty()) {
                (false, false) => format!("{} ({cause})", one.state),
                _ => format!("{}{cause}", one.state),
            };
            [
                paint(Tone::Faint, one.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
                one.what.as_str().into(),
                paint(tone, &one.name),
                state.into(),
                (one.message.clone() + &meta(one)).into(),
            ]
        })
        .collect();
    text.table(&rows);
    for unread in &report.not_read {
        text.line(paint(Tone::Attention, format!("not read: {unread}")));
    }
    text
}

/// Meta's code and trace id.
fn meta(one: &Happened) -> String {
    let subcode = one.subcode.map(|subcode| format!("/{subcode}")).unwrap_or_default();
    let code = one.code.map(|code| format!("{code}{subcode}"));
    let trace = one.trace_id.as_ref().map(|trace| format!("trace {trace}"));
    let told: Vec<String> = code.into_iter().chain(trace).collect();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_happened_is_told_in_order_with_the_trace_ids() {
        let at = |minute: u32| format!("2026-03-01T12:{minute:02}:00Z");
        let entry = |minute: u32, outcome: &str| json!({"id": minute.to_string(), "at": at(minute), "outcome": outcome, "cause": "SendCode", "consent": "x"});
        let mut refused = entry(3, "Refused");
        refused["refusal"] = json!({
            "code": 136_024, "subcode": 2_388_091, "title": "Later", "message": "wait", "traceId": "Az8",
            "class": "Person", "scope": "Call"
        });
        let mut accepted = entry(4, "Accepted");
        accepted["traceId"] = json!("Ab1");
        let object: WhatsAppChannel = serde_json::from_value(json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
            "metadata": {"name": "support", "creationTimestamp": at(0)},
            "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme"},
            "status": {
                "observedGeneration": 1,
                "conditions": [{
                    "type": "NumberVerified", "status": "True", "reason": "Verified", "message": "told",
                    "lastTransitionTime": at(6)
                }],
                "memory": {
                    "ledger": {"codes": [refused, accepted], "adds": [entry(1, "Accepted")]},
                    "consents": {"sendCode": {"value": "x", "at": at(2), "usedFor": "RequestCode"}}
                }
            },
        }))
        .expect("a channel");
        let mut report = report(&object, "shop");
        report.with(vec![events::Told {
            at: at(5).parse().expect("a time"),
            count: 1,
            event_type: "Normal".to_owned(),
            reason: "VerifyCode".to_owned(),
            message: "told too".to_owned(),
        }]);
        let names: Vec<_> = report.entries.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "WhatsAppChannel",
                "AddNumber",
                "send-code",
                "RequestCode",
                "RequestCode",
                "VerifyCode",
                "NumberVerified"
            ]
        );
        let told = text(&report).plain();
        assert!(told.contains("Refused (SendCode)"), "{told}");
        assert!(told.contains("Later: wait (136024/2388091, trace Az8)"), "{told}");
        assert!(told.contains("Accepted (SendCode)   (trace Ab1)"), "{told}");
    }
}
