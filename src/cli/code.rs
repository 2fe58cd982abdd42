//! `code`: hands the code that the phone received to the operator, and reports the result.
//!
//! The code is read without echo, or from standard input, and is never printed. It goes
//! into the Secret that the channel names; other keys of that Secret stay as they are.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Read},
    time::Duration,
};

use clap::Args;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;

use crate::engine::{
    condition_type::ConditionType, desired::SecretKey, limits::Limits, memory::EntryOutcome, reason::Reason,
    secret::SecretVersion,
};
use crate::{
    api::{
        lower,
        v1alpha1::{Entry, WhatsAppChannelStatus},
    },
    cli::{
        channel::{Channel, Followed, seen},
        connect::{ClusterArgs, call},
        consent::{Wanted, cannot},
        exit::{Ending, Exit, Problem},
        render::{self, OutputArgs, Printed, Text, Tone, Words},
        run::duration,
    },
    escape,
};

/// Where the role of whoever enters codes is described.
const PHONE_HELPER: &str = "docs/phone-helper.md";
/// Longest input that is looked at; a code is six digits.
const LONGEST: u64 = 4096;

/// Enters the code that the phone received.
#[derive(Clone, Debug, Args)]
pub struct CodeArgs {
    /// Name of the channel.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Hands the code over and does not wait for what becomes of it.
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait for the answer. Without a code on its way the operator reads the Secret once a minute.
    #[arg(long, default_value = "90s", value_parser = duration, value_name = "TIME")]
    pub timeout: Duration,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What became of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
enum Verdict {
    /// Written to the Secret, without waiting for the result.
    HandedOver,
    Accepted,
    Wrong,
    /// Refused by Meta at an age at which its answer does not tell which.
    WrongOrExpired,
    /// Its life was over, so it was not sent.
    Expired,
    /// Not sent to Meta, or Meta said something else.
    NotTaken,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Name of the channel.
    channel: String,
    /// Its namespace.
    namespace: String,
    /// What became of the code.
    verdict: Verdict,
    /// What Meta or the operator said of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

impl Printed for Answer {
    const KIND: &'static str = "CodeAnswer";
}

/// Reads a code, hands it over, and follows it.
///
/// # Errors
///
/// When there is no code, no channel, or nobody answers in time.
pub async fn code(args: &CodeArgs) -> Ending {
    let channel = Channel::open(&args.name, &args.cluster).await?;
    let object = channel.read().await?;
    if let Some(why) = cannot(&channel, &object, Wanted::Step) {
        return Err(why);
    }
    let desired =
        lower::channel(&object).map_err(|why| Problem::new(format!("channel {}: {why}", channel.name)))?;
    let key = desired.verification.code_secret;
    let code = six_digits(&ask(&channel.name)?)?;

    let before = object.status.as_ref().map(attempts).unwrap_or_default();
    let version = hand_over(&channel, &key, &code).await?;
    let answer = |verdict, message: String| Answer {
        channel: channel.name.clone(),
        namespace: channel.namespace.clone(),
        verdict,
        message,
    };
    let answer = if args.no_wait {
        answer(Verdict::HandedOver, format!("see what became of it: {}", channel.command("status")))
    } else {
        let mut stands = None;
        let found = channel
            .follow(args.timeout, |object| {
                let status = object.status.as_ref()?;
                stands = seen(&status.conditions, ConditionType::NumberVerified)
                    .map(|seen| format!(" (NumberVerified stands at {}: {})", seen.reason, seen.message));
                judge(status, &version.as_subject(), before)
            })
            .await?;
        match found {
            Followed::Answered((verdict, message)) => answer(verdict, message),
            Followed::Silent { failed } => {
                let what = format!("the code was handed over{}", stands.unwrap_or_default());
                return Err(channel.silent(&what, args.timeout, failed.as_deref()));
            }
        }
    };
    render::print(args.output.output, &answer, text)?;
    Ok(match answer.verdict {
        Verdict::HandedOver | Verdict::Accepted => Exit::Done,
        Verdict::Wrong | Verdict::WrongOrExpired | Verdict::Expired | Verdict::NotTaken => Exit::Refused,
    })
}

/// From the terminal without echo, else from standard input.
fn ask(name: &str) -> Result<SecretString, Problem> {
    let unreadable = |error: io::Error| Problem::new(format!("cannot read the code: {error}"));
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(format!("code for {} (not shown): ", escape::line(name)))
            .map(SecretString::from)
            .map_err(unreadable);
    }
    let mut text = String::new();
    io::stdin().lock().take(LONGEST).read_to_string(&mut text).map_err(unreadable)?;
    Ok(SecretString::from(text))
}

/// The six digits; a hyphen or blanks inside are dropped. What was typed is not repeated in the error.
fn six_digits(typed: &SecretString) -> Result<SecretString, Problem> {
    let digits: String = typed.expose_secret().chars().filter(|c| *c != '-' && !c.is_whitespace()).collect();
    if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(SecretString::from(digits));
    }
    let next = "enter the six digits that the phone received, as in 123-456";
    Err(match digits.is_empty() {
        true => Problem::new("there is no code").next(next),
        false => Problem::new("a code has six digits").next(next),
    })
}

/// Writes the code into its Secret and says which version it became.
async fn hand_over(
    channel: &Channel,
    key: &SecretKey,
    code: &SecretString,
) -> Result<SecretVersion, Problem> {
    let secrets: Api<Secret> = channel.secrets();
    let what = format!("write Secret {}", key.name);
    let value = ByteString(code.expose_secret().as_bytes().to_vec());
    let existing = call(&what, secrets.get_opt(&key.name)).await.map_err(|problem| {
        match problem.is_forbidden() {
            true => problem.next(format!(
                "ask for the role edit in namespace {}, or for get and patch of Secret {} and create of Secrets: {PHONE_HELPER}",
                channel.namespace, key.name
            )),
            false => problem,
        }
    })?;
    let written = match &existing {
        None => {
            let secret = Secret {
                metadata: ObjectMeta { name: Some(key.name.clone()), ..ObjectMeta::default() },
                data: Some(BTreeMap::from([(key.key.clone(), value)])),
                ..Secret::default()
            };
            call(&what, secrets.create(&PostParams::default(), &secret)).await?
        }
        Some(_) => {
            let patch = Patch::Merge(json!({"data": {key.key.clone(): value}}));
            call(&what, secrets.patch(&key.name, &PatchParams::default(), &patch)).await?
        }
    };
    let version = version(&written);
    if existing.as_ref().map(self::version).as_ref() == Some(&version) {
        return Err(Problem::new(format!(
            "Secret {} holds this very code already; a code works once",
            key.name
        ))
        .next(format!(
            "ask for a new one: {}; or see what became of this one: {}",
            channel.command("send-code"),
            channel.command("status")
        ))
        .exit(Exit::Refused));
    }
    Ok(version)
}

fn version(secret: &Secret) -> SecretVersion {
    SecretVersion {
        uid: secret.metadata.uid.clone().unwrap_or_default(),
        resource_version: secret.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// How many codes were tried before.
fn attempts(status: &WhatsAppChannelStatus) -> usize {
    status.ledger().map(|ledger| ledger.verifications.len()).unwrap_or_default()
}

/// What became of the code in this version of the Secret, once it is known.
fn judge(status: &WhatsAppChannelStatus, version: &str, before: usize) -> Option<(Verdict, String)> {
    let verified = seen(&status.conditions, ConditionType::NumberVerified);
    let entry = status.ledger().and_then(|ledger| {
        ledger.verifications.iter().rev().find(|entry| entry.subject.as_deref() == Some(version))
    });
    if let Some(entry) = entry {
        return tried(status, entry, verified.as_ref().map(|seen| (seen.reason, seen.message)));
    }
    let verified = verified?;
    if verified.is_true() && attempts(status) == before {
        return Some((Verdict::NotTaken, "no code is needed: the number is verified".to_owned()));
    }
    // Reasons that can be there only because of what the Secret holds now, or that make it worth nothing.
    let row = verified.row?;
    match row.reason {
        Reason::CodeLapsed => Some((Verdict::Expired, verified.message.to_owned())),
        Reason::CodeFoundUnasked => Some((Verdict::NotTaken, verified.message.to_owned())),
        Reason::CodeWrong if is_spent(status) => Some((Verdict::NotTaken, verified.message.to_owned())),
        _ => None,
    }
}

/// Whether the code that was asked for was tried as often as one is.
fn is_spent(status: &WhatsAppChannelStatus) -> bool {
    let Some(ledger) = status.ledger() else { return false };
    let was_sent = |entry: &&Entry| entry.outcome != EntryOutcome::NotSent;
    let asked = ledger.codes.iter().rev().find(|entry| may_have_come(entry));
    let since = |entry: &&Entry| asked.is_none_or(|asked| entry.at >= asked.at);
    let tried = ledger.verifications.iter().filter(was_sent).filter(since).count();
    tried >= Limits::default().verifications_per_code
}

/// Whether a request may have brought a code.
fn may_have_come(request: &Entry) -> bool {
    !matches!(request.outcome.cautious(), EntryOutcome::NotSent | EntryOutcome::Refused)
}

/// What an attempt came to.
fn tried(
    status: &WhatsAppChannelStatus,
    entry: &Entry,
    condition: Option<(&str, &str)>,
) -> Option<(Verdict, String)> {
    let reason = condition.and_then(|(reason, _)| Reason::from_name(reason));
    let told = condition.map(|(_, message)| message.to_owned()).unwrap_or_default();
    match entry.outcome.cautious() {
        EntryOutcome::Started => None,
        EntryOutcome::Accepted => {
            Some((Verdict::Accepted, "the number is verified; the operator goes on by itself".to_owned()))
        }
        // What to do now stands in the status that follows the outcome.
        EntryOutcome::Refused => match reason {
            Some(Reason::NotObservedYet | Reason::EffectNotVisibleYet | Reason::VerifyingCode) | None => None,
            Some(_) if !is_about_the_code(entry) => Some((Verdict::NotTaken, told)),
            Some(_) if is_doubtful(status, entry) => Some((Verdict::WrongOrExpired, told)),
            Some(_) => Some((Verdict::Wrong, told)),
        },
        EntryOutcome::NoAnswer => {
            (reason != Some(Reason::VerifyingCode)).then_some((Verdict::NotTaken, told))
        }
        EntryOutcome::NotSent => Some((Verdict::NotTaken, told)),
    }
}

/// Whether Meta refused what was entered, and not the token, the pace or anything else. 136025 is its one code for
/// codes that do not do; a plain 100 comes instead with a text for people.
fn is_about_the_code(entry: &Entry) -> bool {
    entry.refusal.as_ref().is_some_and(|refusal| {
        matches!(refusal.code, 100 | 136_025)
            && refusal.class.cautious().asks_for_a_person()
            && !refusal.class.cautious().is_denied()
    })
}

/// Whether the code may have expired at Meta before it was entered, or was never asked for by the operator.
fn is_doubtful(status: &WhatsAppChannelStatus, entry: &Entry) -> bool {
    let codes = status.ledger().map(|ledger| ledger.codes.as_slice()).unwrap_or_default();
    let asked = codes.iter().rev().find(|code| code.at <= entry.at && may_have_come(code));
    let fresh = Limits::default().code_doubtful;
    asked.is_none_or(|code| entry.at.duration_since(code.at).unsigned_abs() >= fresh)
}

fn text(answer: &Answer) -> Text {
    let mut text = Text::new();
    let (tone, word) = match answer.verdict {
        Verdict::HandedOver => (Tone::Strong, "handed over"),
        Verdict::Accepted => (Tone::Good, "accepted"),
        Verdict::Wrong => (Tone::Bad, "wrong"),
        Verdict::WrongOrExpired => (Tone::Bad, "wrong or expired"),
        Verdict::Expired => (Tone::Bad, "expired"),
        Verdict::NotTaken => (Tone::Attention, "not taken"),
    };
    text.line(Words::from(format!("channel {}: code ", answer.channel)) + render::paint(tone, word));
    if !answer.message.is_empty() {
        text.indent(2, &answer.message);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_code_may_be_typed_as_the_message_shows_it() {
        for typed in ["123456", "123-456\n", " 123 456 "] {
            let code = six_digits(&typed.to_owned().into()).expect("a code");
            assert_eq!(code.expose_secret(), "123456");
        }
    }

    #[test]
    fn what_was_typed_is_not_repeated() {
        for typed in ["98765", "9876543", "98765x"] {
            let problem = six_digits(&typed.to_owned().into()).expect_err("no code");
            assert!(!format!("{problem:?}").contains("9876"));
        }
    }

    /// A status after a code was asked for at noon, and one was tried `minutes` later.
    fn status(reason: &str, tried: Option<(i64, Value)>) -> WhatsAppChannelStatus {
        let at = |minutes: i64| {
            let noon: jiff::Timestamp = "2026-03-01T12:00:00Z".parse().expect("a time");
            (noon + jiff::SignedDuration::from_mins(minutes)).to_string()
        };
        let tried = tried.map(|(minutes, more)| {
            let mut entry = json!({"id": "2", "at": at(minutes), "cause": "Secret", "subject": "u/2"});
            entry.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            entry
        });
        let code =
            json!({"id": "1", "at": at(0), "outcome": "Accepted", "cause": "SendCode", "consent": "x"});
        serde_json::from_value(json!({
            "memory": {"ledger": {"codes": [code], "verifications": tried.into_iter().collect::<Vec<_>>()}},
            "conditions": [{
                "type": "NumberVerified", "status": if reason == "Verified" { "True" } else { "False" },
                "reason": reason, "message": "told", "lastTransitionTime": at(0)
            }],
        }))
        .expect("a status")
    }

    fn refused(code: i64, class: &str) -> Value {
        json!({"outcome": "Refused", "refusal": {"code": code, "message": "no", "class": class, "scope": "Call"}})
    }

    #[test]
    fn what_became_of_a_code_is_told_as_far_as_it_can_be() {
        let verdict = |reason, tried| judge(&status(reason, tried), "u/2", 0).map(|(verdict, _)| verdict);
        let accepted = json!({"outcome": "Accepted"});
        for (what, reason, tried, expected) in [
            ("not read from Meta yet", "CodeAwaited", None, None),
            ("under way", "VerifyingCode", Some((1, json!({"outcome": "Started"}))), None),
            ("accepted", "Verified", Some((1, accepted)), Some(Verdict::Accepted)),
            ("fresh", "CodeWrong", Some((9, refused(136_025, "Person"))), Some(Verdict::Wrong)),
            ("a text", "CodeWrong", Some((9, refused(100, "Spec"))), Some(Verdict::Wrong)),
            ("old", "CodeWrong", Some((10, refused(136_025, "Person"))), Some(Verdict::WrongOrExpired)),
            ("too old", "CodeLapsed", None, Some(Verdict::Expired)),
            (
                "locked",
                "CodeRequestPaused",
                Some((1, refused(136_025, "WaitUntil"))),
                Some(Verdict::NotTaken),
            ),
            ("dead token", "CodeWrong", Some((1, refused(190, "Credentials"))), Some(Verdict::NotTaken)),
            ("nobody asked", "CodeFoundUnasked", None, Some(Verdict::NotTaken)),
            ("wrong before", "CodeWrong", Some((1, json!({"outcome": "Refused", "subject": "u/1"}))), None),
            ("no need", "Verified", None, Some(Verdict::NotTaken)),
            ("lost", "CodeWrong", Some((1, json!({"outcome": "NoAnswer"}))), Some(Verdict::NotTaken)),
        ] {
            assert_eq!(verdict(reason, tried), expected, "{what}");
        }
        let mut spent = status("CodeWrong", Some((1, json!({"outcome": "Refused", "subject": "u/1"}))));
        let ledger = spent.memory.as_mut().and_then(|memory| memory.ledger.as_mut()).expect("a ledger");
        ledger.verifications.push(ledger.verifications[0].clone());
        let told = judge(&spent, "u/2", 2).map(|(verdict, _)| verdict);
        assert_eq!(told, Some(Verdict::NotTaken), "two are tried for one that was asked for");
        let mut vouched = status("CodeWrong", Some((1, refused(136_025, "Person"))));
        let memory = vouched.memory.as_mut();
        memory.and_then(|memory| memory.ledger.as_mut()).expect("a ledger").codes.clear();
        let told = judge(&vouched, "u/2", 0).map(|(verdict, _)| verdict);
        assert_eq!(told, Some(Verdict::WrongOrExpired), "nobody here knows how old it was");
    }
}
