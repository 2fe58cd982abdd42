//! A consent for many channels at once: for those that wait for it, and for no other.

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Answer, Consent, FollowArgs, Verdict, ask, cannot, words};
use crate::engine::{action::ACTIONS, action::Action, condition::Truth};
use crate::{
    api::{lower, v1alpha1::WhatsAppChannel},
    cli::{
        channel::Channel,
        check::many,
        exit::{Ending, Exit, Problem},
        explain,
        list::{Listing, WhichArgs},
        render::{self, Printed, Text, Tone, Words, paint},
    },
};

/// Channels that are asked for at the same time.
const AT_ONCE: usize = 16;

/// What became of the consents of many channels.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answers {
    /// One for each channel that was found.
    items: Vec<Answer>,
}

impl Printed for Answers {
    const KIND: &'static str = "ConsentAnswerList";
}

impl Answers {
    /// The worst of all.
    fn exit(&self) -> Exit {
        let worst = |exit: Exit| match exit {
            Exit::Error => 3,
            Exit::Refused => 2,
            Exit::NoAnswer => 1,
            Exit::Done | Exit::Changes => 0,
        };
        self.items.iter().map(Answer::exit).max_by_key(|exit| worst(*exit)).unwrap_or(Exit::Done)
    }
}

/// Gives it to each channel that waits for it.
///
/// # Errors
///
/// When they cannot be listed, or there are none.
pub async fn give(consent: Consent, which: &WhichArgs, follow: &FollowArgs) -> Ending {
    let listing = Listing::open(which, &follow.cluster).await?;
    let mut found = Vec::new();
    listing.each("channels", |channel: WhatsAppChannel| found.push(channel)).await?;
    if found.is_empty() {
        return Err(Problem::new(format!("there is no channel {}", listing.place()))
            .next("see which there are and their labels: kubectl get whatsappchannels -A --show-labels"));
    }
    let given = stream::iter(found).map(|mut object| {
        let client = listing.client.clone();
        async move {
            let name = object.metadata.name.clone().unwrap_or_default();
            let namespace = object.metadata.namespace.clone().unwrap_or_default();
            let channel = Channel::of(&name, &namespace, &follow.cluster, client);
            object.status.iter_mut().for_each(lower::in_full);
            let left = cannot(&channel, &object, consent.wanted()).map(|why| why.to_string());
            let left = left.or_else(|| not_asked(consent, &object));
            if let Some(why) = left {
                return Answer { message: Some(why), ..Answer::new(&channel, Verdict::Skipped) };
            }
            ask(consent, &channel, &object, follow).await.unwrap_or_else(|problem| {
                let silent = problem.code() == Exit::NoAnswer;
                let verdict = if silent { Verdict::NoAnswer } else { Verdict::Failed };
                let next = problem.remedy().map(str::to_owned);
                Answer { message: Some(problem.to_string()), next, ..Answer::new(&channel, verdict) }
            })
        }
    });
    let answers = Answers { items: given.buffered(AT_ONCE).collect().await };
    render::print(follow.output.output, &answers, |answers| text(consent, answers))?;
    Ok(answers.exit())
}

/// Why a channel is left out: it does not wait for this. A code that nobody waits for would be wasted.
fn not_asked(consent: Consent, object: &WhatsAppChannel) -> Option<String> {
    let Some(status) = object.seen() else { return Some("the operator has not seen it yet".to_owned()) };
    let waits = |action: Action| status.waiting_for.iter().any(|wait| wait.action == action.as_str());
    match consent {
        Consent::Reconcile => None,
        Consent::SendCode if waits(Action::AskForCode) => None,
        Consent::SendCode if waits(Action::EnterCode) => {
            Some("a code was sent already, and can still be entered".to_owned())
        }
        Consent::SendCode => Some("it waits for no code to be sent".to_owned()),
        Consent::Retry | Consent::Official => {
            let verb = if consent == Consent::Retry { "retry" } else { "request-official-account" };
            let command = format!("kubectl whatsapp {verb} NAME");
            let by_action = ACTIONS.iter().any(|row| row.remedy.contains(&command) && waits(row.action));
            let is_open = |status: &str| status != Truth::True.as_str();
            let by_reason =
                status.conditions.iter().filter(|condition| is_open(&condition.status)).any(|condition| {
                    explain::row_of(&condition.reason).is_some_and(|row| row.remedy.contains(&command))
                });
            (!by_action && !by_reason).then(|| format!("it waits for no {verb}"))
        }
    }
}

fn text(consent: Consent, answers: &Answers) -> Text {
    let now = Timestamp::now();
    let mut text = Text::new();
    let rows: Vec<[Words; 3]> = answers
        .items
        .iter()
        .map(|answer| {
            let name = paint(Tone::Strong, format!("{}/{}", answer.namespace, answer.channel));
            let message = answer.message.as_deref().unwrap_or_default();
            [name, words(consent, answer, now), message.into()]
        })
        .collect();
    text.table(&rows);
    let count = |verdict| answers.items.iter().filter(|answer| answer.verdict == verdict).count();
    let told = [
        (Verdict::Given, "asked"),
        (Verdict::Accepted, "done"),
        (Verdict::Refused, "refused"),
        (Verdict::NoAnswer, "without an answer"),
        (Verdict::Skipped, "skipped"),
        (Verdict::Failed, "failed"),
    ];
    let told = told.into_iter().map(|(verdict, word)| (count(verdict), word)).filter(|(count, _)| *count > 0);
    let told: Vec<String> = told.map(|(count, word)| format!("{count} {word}")).collect();
    text.line(format!("{}: {}", many(answers.items.len(), "channel"), told.join(", ")));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn channel(status: Value) -> WhatsAppChannel {
        serde_json::from_value(json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
            "metadata": {"name": "support", "namespace": "shop"},
            "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme"},
            "status": status,
        }))
        .expect("a channel")
    }

    #[test]
    fn by_labels_only_those_that_wait_for_it_are_asked() {
        let at = "2026-03-01T12:00:00Z";
        let waits = |actor: &str, action: &str, reason: &str| {
            channel(json!({
                "observedGeneration": 1,
                "waitingFor": [{"actor": actor, "action": action, "since": at}],
                "conditions": [{
                    "type": "Ready", "status": "False", "reason": reason, "message": "", "lastTransitionTime": at
                }],
            }))
        };
        let ask = waits("PhoneHolder", "AskForCode", "CodeNeeded");
        let enter = waits("PhoneHolder", "EnterCode", "CodeAwaited");
        let pin = waits("ClusterUser", "ChangeSpec", "PinMismatch");
        let unseen = channel(json!({"observedGeneration": -1}));
        for (what, object, code, retry, look) in [
            ("a code is to be sent", &ask, true, false, true),
            ("a code was sent", &enter, false, false, true),
            ("its reason names retry", &pin, false, true, true),
            ("nobody looked at it", &unseen, false, false, false),
        ] {
            let is_asked = |consent| not_asked(consent, object).is_none();
            assert_eq!(is_asked(Consent::SendCode), code, "send-code: {what}");
            assert_eq!(is_asked(Consent::Retry), retry, "retry: {what}");
            assert_eq!(is_asked(Consent::Reconcile), look, "reconcile: {what}");
        }
    }
}
