//! `send-code`, `retry` and `request-official-account`: a consent is an annotation with a value that was never there before.
//!
//! The operator answers each value once: it uses it for one step, or says why not. These
//! commands set it, and follow the answer when asked to. The value is the time at which it is set, in the form of RFC 3339,
//! since a consent is good for a while only.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::engine::{action::Action, memory::EntryOutcome, step::StepKind};
use crate::{
    api::{
        lower,
        v1alpha1::{ConsentAnswer, Entry, WhatsAppChannelStatus},
    },
    cli::{
        channel::{Channel, ClusterArgs, Followed, fresh},
        exit::{Ending, Exit, Problem},
        render::{self, OutputArgs, Text, Tone, Words},
        run::duration,
    },
};

/// The channel, and whether to follow.
#[derive(Clone, Debug, Args)]
pub struct ConsentArgs {
    /// Name of the channel.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Follows until the operator has answered, and tells the answer.
    #[arg(long)]
    pub wait: bool,
    /// How long to follow.
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "TIME")]
    pub timeout: Duration,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Which consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    SendCode,
    Retry,
    Official,
}

impl Consent {
    fn annotation(self) -> &'static str {
        match self {
            Self::SendCode => lower::SEND_CODE,
            Self::Retry => lower::RETRY,
            Self::Official => lower::OFFICIAL,
        }
    }

    fn answer(self, status: &WhatsAppChannelStatus) -> Option<&ConsentAnswer> {
        let consents = status.consents()?;
        match self {
            Self::SendCode => consents.send_code.as_ref(),
            Self::Retry => consents.retry.as_ref(),
            Self::Official => consents.official.as_ref(),
        }
    }

    fn asked(self) -> &'static str {
        match self {
            Self::SendCode => "asked for a code",
            Self::Retry => "asked for one more attempt",
            Self::Official => "asked for an official business account",
        }
    }
}

/// What became of a consent.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    channel: String,
    namespace: String,
    value: String,
    /// `Given`, `Accepted`, `Refused`, `NoAnswer`.
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Gives a consent, and follows it with `--wait`.
///
/// # Errors
///
/// When the channel cannot be written, or nobody answers in time.
pub async fn give(consent: Consent, args: &ConsentArgs) -> Ending {
    let channel = Channel::open(&args.name, &args.cluster).await?;
    let value = fresh();
    channel.annotate(consent.annotation(), &value).await?;
    let given = Answer {
        channel: channel.name.clone(),
        namespace: channel.namespace.clone(),
        value: value.clone(),
        verdict: "Given",
        step: None,
        message: None,
        next: Some(format!("kubectl whatsapp status {} -n {}", channel.name, channel.namespace)),
    };
    if !args.wait {
        render::print(args.output.output, &given, |answer| text(consent, answer))?;
        return Ok(Exit::Done);
    }
    let found = channel
        .follow(args.timeout, |object| judge(consent, object.status.as_ref()?, &value, &given))
        .await?;
    let answer = match found {
        Followed::Answered(answer) => answer,
        Followed::Silent { failed } => {
            return Err(channel.silent(consent.asked(), args.timeout, failed.as_deref()));
        }
    };
    render::print(args.output.output, &answer, |answer| text(consent, answer))?;
    Ok(match answer.verdict {
        "Refused" => Exit::Refused,
        "NoAnswer" => Exit::NoAnswer,
        _ => Exit::Done,
    })
}

/// The answer, once the consent was refused or its step has come to something.
fn judge(consent: Consent, status: &WhatsAppChannelStatus, value: &str, given: &Answer) -> Option<Answer> {
    let last = consent.answer(status)?;
    let refused = |why: Option<&String>| {
        Some(Answer { verdict: "Refused", message: why.cloned(), next: None, ..given.clone() })
    };
    let step = if last.value == value {
        match (&last.used_for, &last.refused) {
            (Some(step), _) => step,
            (None, Some(why)) => return refused(Some(why)),
            // It is kept until what is under way has ended.
            (None, None) => return None,
        }
    } else {
        // Somebody has set another value since.
        let before = last.earlier.iter().find(|before| before.value == value)?;
        match &before.used_for {
            Some(step) => step,
            None => return refused(None),
        }
    };
    let next = status.waiting_for.first().and_then(|wait| wait_text(given, &wait.actor, &wait.action));
    let found = Answer { step: Some(step.to_string()), ..given.clone() };
    let Some(entry) = step.known().and_then(|step| attempt(status, step, value)) else {
        return Some(Answer { verdict: "Accepted", next, ..found });
    };
    let said = entry.refusal.as_ref().map(|refusal| match &refusal.title {
        Some(title) => format!("Meta: {title}: {} ({})", refusal.message, refusal.code),
        None => format!("Meta: {} ({})", refusal.message, refusal.code),
    });
    match entry.outcome.cautious() {
        EntryOutcome::Started => None,
        EntryOutcome::Accepted => Some(Answer { verdict: "Accepted", next, ..found }),
        EntryOutcome::Refused => Some(Answer { verdict: "Refused", message: said, ..found }),
        EntryOutcome::NoAnswer => Some(Answer {
            verdict: "NoAnswer",
            message: Some("Meta gave no usable answer; the operator decides from what shows".to_owned()),
            ..found
        }),
        EntryOutcome::NotSent => Some(Answer {
            verdict: "NoAnswer",
            message: Some("it was not sent; nothing was spent".to_owned()),
            ..found
        }),
    }
}

/// The attempt that this value allowed.
fn attempt<'a>(status: &'a WhatsAppChannelStatus, step: StepKind, value: &str) -> Option<&'a Entry> {
    let entries = status.ledger()?.of(step);
    entries.iter().rev().find(|entry| entry.consent.as_deref() == Some(value))
}

fn wait_text(given: &Answer, actor: &str, action: &str) -> Option<String> {
    (action == Action::EnterCode.as_str())
        .then(|| format!("kubectl whatsapp code {} -n {}", given.channel, given.namespace))
        .or_else(|| Some(format!("{actor}: {action}")))
}

fn text(consent: Consent, answer: &Answer) -> Text {
    let mut text = Text::new();
    let verdict = match answer.verdict {
        "Refused" => render::paint(Tone::Bad, "refused"),
        "NoAnswer" => render::paint(Tone::Attention, "no answer"),
        "Accepted" => render::paint(Tone::Good, "done"),
        _ => consent.asked().into(),
    };
    let step = answer.step.as_ref().map(|step| format!(" ({step})")).unwrap_or_default();
    text.line(Words::from(format!("channel {}: ", answer.channel)) + verdict + step);
    if let Some(message) = &answer.message {
        text.indent(2, message);
    }
    if let Some(next) = &answer.next {
        text.indent(2, format!("next: {next}"));
    }
    text
}

/// Asks Meta to send a code to the phone.
///
/// # Errors
///
/// See [`give`].
pub async fn send_code(args: &ConsentArgs) -> Result<Exit, Problem> {
    give(Consent::SendCode, args).await
}

/// Allows one more attempt of what waits for a person.
///
/// # Errors
///
/// See [`give`].
pub async fn retry(args: &ConsentArgs) -> Result<Exit, Problem> {
    give(Consent::Retry, args).await
}

/// Has an official business account requested, once.
///
/// # Errors
///
/// See [`give`].
pub async fn request_official(args: &ConsentArgs) -> Result<Exit, Problem> {
    give(Consent::Official, args).await
}
