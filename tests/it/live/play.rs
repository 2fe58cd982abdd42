//! A recorded answer in front of the whole operator: portfolio, passes, and people who enter codes.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use whatsapp_operator::{cli::run::duration, engine::failure::Failure, meta::edge::Edge};

use super::{
    CHANNEL, Recording, edge,
    facts::{Facts, ask},
    front::{Front, Rule, When},
};
use crate::golden::{
    PORTFOLIO,
    stage::{Change, Scene, Stage},
};

/// How long a channel is watched that is not to become Ready.
const WATCHED: &str = "1h";
/// How long people take, and how many codes they consent to if nothing is stated.
const PEOPLE_TAKE: &str = "1m";
const CONSENTS: usize = 2;
/// How often the portfolio is looked at.
const PORTFOLIO_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// How far a channel comes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pass {
    /// When the recorded answer is given.
    #[serde(default)]
    answered: When,
    /// How long it is played.
    #[serde(rename = "for")]
    lasts: Option<String>,
    /// How many codes people consent to.
    consents: Option<usize>,
    /// How often people ask for one more attempt where that is waited for.
    #[serde(default)]
    retries: usize,
    /// `Ready`, or the reason for which it is not.
    ends: Option<String>,
    /// The first act that somebody is asked for.
    asks_for: Option<String>,
    /// What the message of Ready says.
    #[serde(default)]
    says: Vec<String>,
    /// What no part of the status says.
    #[serde(default)]
    never: Vec<String>,
    /// Conditions of the channel and of its portfolio: a status, or a status and a reason.
    #[serde(default)]
    conditions: BTreeMap<String, String>,
    #[serde(default)]
    portfolio: BTreeMap<String, String>,
    /// How often the recorded answer was given.
    given: Option<usize>,
    /// How many calls more than without the recorded answer.
    more_calls: Option<usize>,
    /// Calls that were made, by name.
    #[serde(default)]
    sent: BTreeMap<String, usize>,
}

/// What a play came to.
struct Played {
    status: Value,
    portfolio: BTreeMap<String, String>,
    sent: BTreeMap<&'static str, usize>,
    calls: usize,
    given: usize,
}

impl Recording {
    fn rule(&self, when: &When, is_selective: bool) -> Rule {
        let is_error = self.answer.json().is_none_or(|answer| answer.get("error").is_some());
        let fields = &self.request.fields;
        Rule {
            edges: self.edges(),
            answer: self.answer.clone(),
            asks: if is_error && is_selective { fields.clone() } else { Vec::new() },
            laid_over: (!is_error && !fields.is_empty()).then(|| fields.clone()),
            after: when.after.as_deref().map(edge),
            until: when.until.as_deref().map(edge),
            times: when.times,
            lasts: when.lasts.as_deref().map(|lasts| duration(lasts).expect("a duration")),
        }
    }

    async fn stage(&self, rule: Option<Rule>) -> (Stage, Front) {
        let manifest = |yaml: &str| serde_saphyr::from_str(yaml).expect("YAML");
        let mut front = None;
        let made =
            |sandbox: &_, upstream| front.insert(Front::start(sandbox, upstream, rule)).address.clone();
        let stage = Stage::behind(manifest(CHANNEL), manifest(PORTFOLIO), &[&self.world], made).await;
        (stage, front.expect("it was started"))
    }

    /// What the client makes of the answer, for each of the calls. A refusal may also be given to every repetition
    /// with fewer fields.
    pub async fn decoded(&self, is_selective: bool) -> Vec<(Edge, Result<Facts, Failure>)> {
        let mut decoded = Vec::new();
        for edge in self.edges() {
            let (stage, front) = self.stage(Some(self.rule(&When::default(), is_selective))).await;
            let outcome = ask(edge, &stage.graph()).await;
            assert!(front.seen().given > 0, "nothing in {} asks for it", edge.as_str());
            decoded.push((edge, outcome));
        }
        decoded
    }

    async fn played(&self, pass: &Pass, is_given: bool) -> Played {
        let (mut stage, front) = self.stage(is_given.then(|| self.rule(&pass.answered, true))).await;
        let lasts = duration(pass.lasts.as_deref().unwrap_or(WATCHED)).expect("a duration");
        let end = stage.now().checked_add(lasts).expect("a time");
        let consents = pass.consents.unwrap_or(CONSENTS);
        let mut people = People { consents, given: 0, retries: pass.retries, retried: 0, entered: None };
        stage.judge_portfolio().await;
        let mut judged = stage.now();
        loop {
            let scenes = stage.passes().await;
            let now = stage.now();
            if now >= end || ready(&stage.status()) == "Ready" {
                break;
            }
            if people.act(&mut stage) {
                continue;
            }
            let next = match scenes.last() {
                Some(Scene::Pass(passed)) => passed.done.plan.next,
                _ => end,
            };
            let next = next.clamp(now.checked_add(SignedDuration::from_secs(1)).expect("a time"), end);
            stage.pass_time(next.duration_since(now).unsigned_abs());
            if stage.now().duration_since(judged) >= PORTFOLIO_EVERY {
                stage.judge_portfolio().await;
                judged = stage.now();
            }
        }
        let seen = front.seen();
        Played {
            status: stage.status(),
            portfolio: stage
                .portfolio()
                .iter()
                .map(|c| (c.kind.as_str().to_owned(), format!("{} {}", c.status.as_str(), c.reason.as_str())))
                .collect(),
            sent: seen.sent.clone(),
            calls: seen.calls(),
            given: seen.given,
        }
    }

    /// Plays it, and says what is not as expected; and how it went.
    pub async fn check_pass(&self, pass: &Pass) -> (Vec<String>, String) {
        let played = self.played(pass, true).await;
        let ends = ready(&played.status);
        let mut unmet = Vec::new();
        let mut expect = |what: &str, wanted: String, is: String| {
            if wanted != is {
                unmet.push(format!("{what}: {is} instead of {wanted}"));
            }
        };
        if let Some(wanted) = &pass.ends {
            expect("it ends", wanted.clone(), ends.clone());
        }
        if let Some(given) = pass.given {
            expect("given", given.to_string(), played.given.to_string());
        }
        let asked = played.status["waitingFor"][0]["action"].as_str().unwrap_or("nothing");
        if let Some(action) = &pass.asks_for {
            expect("asks for", action.clone(), asked.into());
        }
        for (call, wanted) in &pass.sent {
            let sent = played.sent.get(edge(call).as_str()).copied().unwrap_or_default();
            expect(call, wanted.to_string(), sent.to_string());
        }
        let shown: BTreeMap<String, String> = conditions(&played.status)
            .map(|(kind, status, reason, _)| (kind.to_owned(), format!("{status} {reason}")))
            .collect();
        for (wanted, shown) in [(&pass.conditions, &shown), (&pass.portfolio, &played.portfolio)] {
            for (kind, wanted) in wanted {
                let is = shown.get(kind).map_or("absent", String::as_str);
                if is.split(' ').next() != Some(wanted) {
                    expect(kind, wanted.clone(), is.to_owned());
                }
            }
        }
        let message = conditions(&played.status).find(|c| c.0 == "Ready").map_or("", |c| c.3).to_owned();
        for text in pass.says.iter().filter(|text| !message.contains(*text)) {
            unmet.push(format!("Ready does not say {text:?}: {message}"));
        }
        let whole = played.status.to_string();
        for text in pass.never.iter().filter(|text| whole.contains(*text)) {
            unmet.push(format!("status says {text:?}"));
        }
        if played.given == 0 {
            unmet.push("nothing asked for the recorded answer".into());
        }
        if let Some(wanted) = pass.more_calls {
            let normal = self.played(pass, false).await.calls;
            let more = played.calls as i64 - normal as i64;
            if more != wanted as i64 {
                unmet.push(format!("{more} calls more than without it instead of {wanted}"));
            }
        }
        let told = format!(
            "{ends}, asks for {asked}; given {} times; portfolio {:?}; writes {:?}; {message}",
            played.given,
            played.portfolio.get("CredentialsValid").map_or("absent", String::as_str),
            played.sent.iter().filter(|(call, _)| edge(call).is_write()).collect::<Vec<_>>(),
        );
        (unmet, told)
    }
}

fn conditions(status: &Value) -> impl Iterator<Item = (&str, &str, &str, &str)> {
    status["conditions"].as_array().into_iter().flatten().map(|condition| {
        let text = |key: &str| condition[key].as_str().unwrap_or_default();
        (text("type"), text("status"), text("reason"), text("message"))
    })
}

/// `Ready`, or why not.
fn ready(status: &Value) -> String {
    match conditions(status).find(|condition| condition.0 == "Ready") {
        Some((_, "True", ..)) => "Ready".into(),
        Some((_, _, reason, _)) => reason.into(),
        None => "absent".into(),
    }
}

/// Whoever holds the phone: consents when asked, and enters what arrives.
struct People {
    consents: usize,
    given: usize,
    retries: usize,
    retried: usize,
    entered: Option<String>,
}

/// Acts that are one `retry`.
const RETRY: [&str; 2] = ["Retry", "ApplyName"];

impl People {
    fn act(&mut self, stage: &mut Stage) -> bool {
        let status = stage.status();
        let waits: Vec<&str> = status["waitingFor"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|wait| wait["action"].as_str())
            .collect();
        let code = stage.digits().and_then(|digits| stage.sandbox.delivered_code(&digits));
        let act = if let Some(code) = code.filter(|code| self.entered.as_ref() != Some(code))
            && waits.contains(&"EnterCode")
        {
            self.entered = Some(code.clone());
            json!({"secrets": {"support-br-code": {"code": code}}})
        } else if waits.contains(&"AskForCode") && self.given < self.consents {
            self.given += 1;
            json!({"consents": {"send-code": format!("please-{}", self.given)}})
        } else if self.retried < self.retries && waits.iter().any(|wait| RETRY.contains(wait)) {
            self.retried += 1;
            json!({"consents": {"retry": format!("again-{}", self.retried)}})
        } else {
            return false;
        };
        let mut act: Map<String, Value> = serde_json::from_value(act).expect("an object");
        act.insert("after".into(), json!(PEOPLE_TAKE));
        stage.change(&Change::deserialize(Value::Object(act)).expect("a change"));
        true
    }
}
