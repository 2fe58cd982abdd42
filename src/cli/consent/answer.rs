//! A consent for one channel: it is set, followed, and told.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::engine::{
    action::Action,
    condition_type::ConditionType,
    limits::Limits,
    line,
    memory::EntryOutcome,
    step::{CodeMethod, StepKind},
    time::later,
};
use crate::{
    api::{
        lower,
        v1alpha1::{ConsentAnswer, Entry, ManagementPolicy, WhatsAppChannel, WhatsAppChannelStatus},
    },
    cli::{
        channel::{Channel, Followed, fresh, seen},
        connect::ClusterArgs,
        exit::{Exit, Problem},
        render::{self, OutputArgs, Printed, Text, Tone, Words},
        run::duration,
    },
};

/// How the answer is followed.
#[derive(Clone, Debug, Args)]
pub struct FollowArgs {
    /// Follows until the operator has answered, and tells the answer.
    #[arg(long)]
    pub wait: bool,
    /// How long to follow. After one code the operator takes a minute until it can ask for the next.
    #[arg(long, default_value = "3m", value_parser = duration, value_name = "TIME")]
    pub timeout: Duration,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Which consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    SendCode,
    Retry,
    Official,
    Reconcile,
}

impl Consent {
    /// The annotation that carries it.
    pub fn annotation(self) -> &'static str {
        match self {
            Self::SendCode => lower::SEND_CODE,
            Self::Retry => lower::RETRY,
            Self::Official => lower::OFFICIAL,
            Self::Reconcile => lower::RECONCILE,
        }
    }

    fn answer(self, status: &WhatsAppChannelStatus) -> Option<&ConsentAnswer> {
        let consents = status.consents()?;
        match self {
            Self::SendCode => consents.send_code.as_ref(),
            Self::Retry => consents.retry.as_ref(),
            Self::Official => consents.official.as_ref(),
            Self::Reconcile => consents.reconcile.as_ref(),
        }
    }

    /// What was done, in words.
    pub fn asked(self) -> &'static str {
        match self {
            Self::SendCode => "asked for a code",
            Self::Retry => "asked for one more attempt",
            Self::Official => "asked for an official business account",
            Self::Reconcile => "asked for a look at Meta",
        }
    }
}

/// What became of a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Verdict {
    /// It was set, and not followed.
    Given,
    /// It was used, and Meta did what was asked.
    Accepted,
    /// The operator or Meta said no.
    Refused,
    /// Nobody answered in time, or Meta gave no usable answer.
    NoAnswer,
    /// By labels only: the channel waits for nothing of the kind.
    Skipped,
    /// By labels only: the channel could not be read or written.
    Failed,
}

/// What became of the consent of one channel.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Name of the channel.
    pub channel: String,
    /// Its namespace.
    pub namespace: String,
    /// The value that the annotation was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What became of it.
    pub verdict: Verdict,
    /// The step that it was used for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How the code travels: `SMS` or `VOICE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'static str>,
    /// Until when the code can be entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub enter_before: Option<Timestamp>,
    /// What the operator or Meta said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The next command, or who acts next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Printed for Answer {
    const KIND: &'static str = "ConsentAnswer";
}

impl Answer {
    /// One that says nothing yet.
    pub fn new(channel: &Channel, verdict: Verdict) -> Self {
        Self {
            channel: channel.name.clone(),
            namespace: channel.namespace.clone(),
            value: None,
            verdict,
            step: None,
            method: None,
            enter_before: None,
            message: None,
            next: None,
        }
    }

    /// How the command ends.
    pub fn exit(&self) -> Exit {
        match self.verdict {
            Verdict::Given | Verdict::Accepted | Verdict::Skipped => Exit::Done,
            Verdict::Refused => Exit::Refused,
            Verdict::NoAnswer => Exit::NoAnswer,
            Verdict::Failed => Exit::Error,
        }
    }
}

/// What somebody is about to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// To look at Meta.
    Look,
    /// To do something there.
    Step,
}

impl Consent {
    pub fn wanted(self) -> Wanted {
        match self {
            Self::Reconcile => Wanted::Look,
            Self::SendCode | Self::Retry | Self::Official => Wanted::Step,
        }
    }
}

/// Why nobody would answer, where that can be known.
pub fn cannot(channel: &Channel, object: &WhatsAppChannel, wanted: Wanted) -> Option<Problem> {
    let name = &channel.name;
    if object.metadata.deletion_timestamp.is_some() {
        let what = format!("channel {name} is being deleted: nothing more is asked of Meta for it");
        return Some(Problem::new(what).exit(Exit::Refused));
    }
    if object.spec.suspend.unwrap_or(false) {
        let what = format!("channel {name} is suspended: nothing is read and nothing is done for it");
        let next = format!(
            "set suspend: false with kubectl whatsapp resume {name} -n {}; then run this again",
            channel.namespace
        );
        return Some(Problem::new(what).next(next).exit(Exit::Refused));
    }
    if wanted == Wanted::Step && object.spec.management_policy == Some(ManagementPolicy::ObserveOnly) {
        let what =
            format!("channel {name} has managementPolicy: ObserveOnly: nothing is done for it at Meta");
        let patch = json!({"spec": {"managementPolicy": "Full"}});
        let next = format!(
            "set managementPolicy: Full, as with kubectl patch whatsappchannel {name} -n {} --type merge -p '{patch}'; then run this again",
            channel.namespace
        );
        return Some(Problem::new(what).next(next).exit(Exit::Refused));
    }
    None
}

/// Sets the annotation, and follows it where that is wanted.
///
/// # Errors
///
/// When the channel cannot be written, or nobody answers in time.
pub async fn ask(
    consent: Consent,
    channel: &Channel,
    object: &WhatsAppChannel,
    follow: &FollowArgs,
) -> Result<Answer, Problem> {
    let value = fresh();
    channel.annotate(consent.annotation(), &value).await?;
    let given = Answer {
        value: Some(value.clone()),
        next: Some(channel.command("status")),
        ..Answer::new(channel, Verdict::Given)
    };
    if !follow.wait {
        return Ok(given);
    }
    let asked = Asked { consent, channel, value: &value, method: method(object), given: &given };
    let mut stands = None;
    let found = channel
        .follow(follow.timeout, |object| {
            let status = object.status.as_ref()?;
            stands = seen(&status.conditions, ConditionType::Ready)
                .map(|seen| format!(" (Ready stands at {}: {})", seen.reason, seen.message));
            asked.judge(status)
        })
        .await?;
    match found {
        Followed::Answered(answer) => Ok(answer),
        Followed::Silent { failed } => {
            let what = format!("{}{}", consent.asked(), stands.unwrap_or_default());
            Err(channel.silent(&what, follow.timeout, failed.as_deref()))
        }
    }
}

/// How a code reaches the phone.
fn method(object: &WhatsAppChannel) -> Option<CodeMethod> {
    let desired = lower::channel(object).ok()?;
    Some(line::method(desired.verification.method, &desired.number))
}

/// A consent that was given.
struct Asked<'a> {
    consent: Consent,
    channel: &'a Channel,
    value: &'a str,
    method: Option<CodeMethod>,
    given: &'a Answer,
}

impl Asked<'_> {
    /// The answer, once the consent was refused or its step has come to something.
    fn judge(&self, status: &WhatsAppChannelStatus) -> Option<Answer> {
        let last = self.consent.answer(status)?;
        let refused = |why: Option<&String>| {
            let answer =
                Answer { verdict: Verdict::Refused, message: why.cloned(), next: None, ..self.given.clone() };
            Some(answer)
        };
        let step = if last.value == self.value {
            match (&last.used_for, &last.refused) {
                (Some(step), _) => step,
                (None, Some(why)) => return refused(Some(why)),
                // A look has no step.
                (None, None) if self.consent == Consent::Reconcile => {
                    return Some(Answer { verdict: Verdict::Accepted, ..self.given.clone() });
                }
                // It is kept until what is under way has ended.
                (None, None) => return None,
            }
        } else {
            // Somebody has set another value since.
            let before = last.earlier.iter().find(|before| before.value == self.value)?;
            match &before.used_for {
                Some(step) => step,
                None if self.consent == Consent::Reconcile => {
                    return Some(Answer { verdict: Verdict::Accepted, ..self.given.clone() });
                }
                None => return refused(None),
            }
        };
        let next = status.waiting_for.first().map(|wait| self.next(&wait.actor, &wait.action));
        let found = Answer { step: Some(step.to_string()), next: next.clone(), ..self.given.clone() };
        let Some(entry) = step.known().and_then(|step| attempt(status, step, self.value)) else {
            return Some(Answer { verdict: Verdict::Accepted, ..found });
        };
        let said = entry.refusal.as_ref().map(|refusal| match &refusal.title {
            Some(title) => format!("Meta: {title}: {} ({})", refusal.message, refusal.code),
            None => format!("Meta: {} ({})", refusal.message, refusal.code),
        });
        let unknown = |message: &str| Answer {
            verdict: Verdict::NoAnswer,
            message: Some(message.to_owned()),
            next: self.given.next.clone(),
            ..found.clone()
        };
        match entry.outcome.cautious() {
            EntryOutcome::Started => None,
            EntryOutcome::Accepted if step.known() == Some(StepKind::RequestCode) => Some(Answer {
                verdict: Verdict::Accepted,
                method: self.method.map(CodeMethod::as_str),
                enter_before: Some(lasts(status, entry)),
                next: Some(self.channel.command("code")),
                ..found
            }),
            EntryOutcome::Accepted => Some(Answer { verdict: Verdict::Accepted, ..found }),
            EntryOutcome::Refused => Some(Answer {
                verdict: Verdict::Refused,
                message: said,
                next: self.given.next.clone(),
                ..found
            }),
            EntryOutcome::NoAnswer => {
                Some(unknown("Meta gave no usable answer; the operator decides from what shows"))
            }
            EntryOutcome::NotSent => Some(unknown("it was not sent; nothing was spent")),
        }
    }

    fn next(&self, actor: &str, action: &str) -> String {
        match action == Action::EnterCode.as_str() {
            true => self.channel.command("code"),
            false => format!("{actor}: {action}"),
        }
    }
}

/// Until when a code that was just sent can be entered.
fn lasts(status: &WhatsAppChannelStatus, request: &Entry) -> Timestamp {
    let mut waits = status.waiting_for.iter().filter(|wait| wait.action == Action::EnterCode.as_str());
    let told = waits.find_map(|wait| wait.expected_by);
    told.unwrap_or_else(|| later(request.at, Limits::default().code_life))
}

/// The attempt that this value allowed.
fn attempt<'a>(status: &'a WhatsAppChannelStatus, step: StepKind, value: &str) -> Option<&'a Entry> {
    let entries = status.ledger()?.of(step);
    entries.iter().rev().find(|entry| entry.consent.as_deref() == Some(value))
}

/// What became of it, in a few words.
pub fn words(consent: Consent, answer: &Answer, now: Timestamp) -> Words {
    let step = answer.step.as_ref().map(|step| format!(" ({step})")).unwrap_or_default();
    match answer.verdict {
        Verdict::Refused => render::paint(Tone::Bad, "refused") + step,
        Verdict::Failed => render::paint(Tone::Bad, "failed"),
        Verdict::NoAnswer => render::paint(Tone::Attention, "no answer") + step,
        Verdict::Skipped => render::paint(Tone::Faint, "skipped"),
        Verdict::Given => consent.asked().into(),
        Verdict::Accepted => match answer.enter_before {
            None => render::paint(Tone::Good, "done") + step,
            Some(until) => {
                let by = match answer.method {
                    Some(method) if method == CodeMethod::Voice.as_str() => "by a call",
                    _ => "by SMS",
                };
                let sent = render::paint(Tone::Good, format!("code sent {by}"));
                sent + format!("; enter it before {}", render::clock(until, now))
            }
        },
    }
}

/// For people.
pub fn text(consent: Consent, answer: &Answer) -> Text {
    let mut text = Text::new();
    let words = words(consent, answer, Timestamp::now());
    text.line(Words::from(format!("channel {}: ", answer.channel)) + words);
    if let Some(message) = &answer.message {
        text.indent(2, message);
    }
    if let Some(next) = &answer.next {
        text.indent(2, format!("next: {next}"));
    }
    text
}

#[cfg(test)]
mod tests;
