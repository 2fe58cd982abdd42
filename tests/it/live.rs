//! Answers recorded from live accounts, one file each in `live/`: what the client makes of them, and how far the
//! whole operator comes with them. `live/README.md` describes the files.
//!
//! `live/open.txt` lists those whose expectation is not met yet. A listed one that is met fails as well, so the list
//! only shrinks by being corrected.

mod facts;
mod front;
mod play;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::Value;
use whatsapp_operator::{
    engine::failure::{Failure, Refusal},
    meta::edge::Edge,
};

use facts::Facts;
use play::Pass;

use crate::golden::stage::Change;

pub const ACCOUNT: &str = "300000000000001";
pub const NUMBER: &str = "100000000000001";
/// Recordings played at the same time.
const AT_ONCE: usize = 8;

pub const CHANNEL: &str = r#"
apiVersion: whatsapp-operator.dev/v1alpha1
kind: WhatsAppChannel
metadata: {name: support-br, namespace: shop-br}
spec:
  portfolioRef: {name: acme}
  phoneNumber: "+5511912345678"
  displayName: Acme Suporte
"#;

/// A file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Recording {
    source: String,
    date: String,
    situation: String,
    request: Request,
    /// The operator's calls that get this answer.
    calls: Vec<String>,
    /// What else is so at Meta and in the cluster.
    #[serde(default)]
    world: Change,
    answer: Answer,
    expect: Expect,
}

/// What was sent when this was recorded.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    #[serde(default)]
    fields: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }
}

/// What must come of it; at least one of these.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Expect {
    /// The calls succeed, and say this.
    facts: Option<BTreeMap<String, Value>>,
    /// The calls are refused.
    refusal: Option<Refused>,
    /// The calls get no answer that anything can be concluded from, for this reason.
    unreadable: Option<String>,
    pass: Option<Pass>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    code: i64,
    subcode: Option<i64>,
    class: String,
    scope: String,
    /// Part of the sentence that people are shown.
    says: Option<String>,
}

/// A call by its name.
fn edge(name: &str) -> Edge {
    Edge::ALL
        .into_iter()
        .find(|edge| edge.as_str() == name)
        .unwrap_or_else(|| panic!("the operator makes no call {name}"))
}

impl Recording {
    fn edges(&self) -> Vec<Edge> {
        self.calls.iter().map(|name| edge(name)).collect()
    }

    fn read(path: &Path) -> Self {
        let name = path.display();
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let recording: Self = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let Expect { facts, refusal, unreadable, pass } = &recording.expect;
        let outcomes = [facts.is_some(), refusal.is_some(), unreadable.is_some()];
        assert!(outcomes.contains(&true) || pass.is_some(), "{name}: nothing is expected");
        assert!(!recording.calls.is_empty(), "{name}: no call of the operator gets it");
        assert!(recording.source.contains(&recording.date), "{name}: the source says when");
        assert!(recording.situation.ends_with('.'), "{name}: the situation is a sentence");
        let Request { method, path, .. } = &recording.request;
        assert!(path.starts_with('/') && ["GET", "POST", "DELETE"].contains(&method.as_str()), "{name}");
        for edge in recording.edges() {
            assert!(edge.is_write() || method == "GET", "{name}: {method} was recorded, and it is read");
        }
        recording
    }

    /// What is not as expected, and how it went, for people.
    async fn check(&self) -> (Vec<String>, Vec<String>) {
        let (mut unmet, mut told) = (Vec::new(), Vec::new());
        let Expect { facts, refusal, unreadable, pass } = &self.expect;
        if let Some(wanted) = facts {
            for (edge, outcome) in self.decoded(true).await {
                told.push(format!("{}: {}", edge.as_str(), say(&outcome)));
                unmet.extend(differences(&outcome, wanted));
            }
        }
        if refusal.is_some() || unreadable.is_some() {
            for (edge, outcome) in self.decoded(false).await {
                told.push(format!("{}: {}", edge.as_str(), say(&outcome)));
                let is_met = match (&outcome, refusal, unreadable) {
                    (Err(Failure::Refused(is)), Some(wanted), _) => wanted.is(is),
                    (Err(Failure::NoAnswer(why) | Failure::TooLarge(why)), _, Some(wanted)) => {
                        why.contains(wanted)
                    }
                    _ => false,
                };
                if !is_met {
                    unmet.push(format!("{}: {}", edge.as_str(), say(&outcome)));
                }
            }
        }
        if let Some(pass) = pass {
            let (differs, played) = Box::pin(self.check_pass(pass)).await;
            unmet.extend(differs);
            told.push(format!("pass: {played}"));
        }
        (unmet, told)
    }
}

impl Refused {
    fn is(&self, refusal: &Refusal) -> bool {
        self.code == refusal.code
            && self.subcode == refusal.subcode
            && self.class == refusal.class.in_reference()
            && self.scope == refusal.scope.in_reference()
            && self.says.as_ref().is_none_or(|text| refusal.message.contains(text))
    }
}

fn say(outcome: &Result<Facts, Failure>) -> String {
    match outcome {
        Ok(facts) => format!("{facts:?}"),
        Err(Failure::Refused(refusal)) => format!(
            "refused with {}/{}, {}, {}: {}",
            refusal.code,
            refusal.subcode.unwrap_or_default(),
            refusal.class.in_reference(),
            refusal.scope.in_reference(),
            refusal.message
        ),
        Err(Failure::NoAnswer(why) | Failure::TooLarge(why)) => format!("no answer: {why}"),
        Err(Failure::NotSent(why)) => format!("not sent: {why}"),
        Err(Failure::Throttled(until) | Failure::NoRoom(until)) => format!("held back until {until}"),
    }
}

fn differences(outcome: &Result<Facts, Failure>, wanted: &BTreeMap<String, Value>) -> Vec<String> {
    let Ok(facts) = outcome else { return vec![say(outcome)] };
    let mut unmet = Vec::new();
    for (field, wanted) in wanted {
        let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
        let is = facts.get(field.as_str()).map_or("no such fact", String::as_str);
        if is != wanted {
            unmet.push(format!("{field}: {is} instead of {wanted}"));
        }
    }
    unmet
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/live")
}

/// Files that are not as they should be yet, and why.
fn open() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("open.txt")).expect("the list of open ones");
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let lines = lines.map(|line| line.split_once(": ").expect("a file and why"));
    lines.map(|(file, why)| (file.to_owned(), why.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recorded_answer_is_understood_and_leads_where_it_should() {
    let mut recordings = Vec::new();
    for entry in fs::read_dir(root()).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        match path.extension().and_then(|end| end.to_str()) {
            Some("yaml") => recordings.push((name, Arc::new(Recording::read(&path)))),
            Some("rs") => {}
            _ => assert!(["README.md", "open.txt"].contains(&name.as_str()), "{name}: nothing plays it"),
        }
    }
    let open = open();
    let known: BTreeSet<&String> = recordings.iter().map(|(name, _)| name).collect();
    let mut wrong: Vec<String> = open
        .keys()
        .filter(|name| !known.contains(name))
        .map(|name| format!("{name}: no such file"))
        .collect();
    let mut played: Vec<_> =
        stream::iter(recordings.iter().cloned())
            .map(|(name, recording)| async move {
                (name, tokio::spawn(async move { recording.check().await }).await)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
    played.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, outcome) in played {
        let Ok((unmet, told)) = outcome else {
            wrong.push(format!("{name}: the play broke off, see above"));
            continue;
        };
        println!("{name}\n  {}", told.join("\n  "));
        match (unmet.is_empty(), open.contains_key(&name)) {
            (true, true) => wrong.push(format!("{name}: is as expected now: take it off open.txt")),
            (false, false) => wrong.push(format!("{name}:\n    {}", unmet.join("\n    "))),
            (false, true) => println!("  open: {}", unmet.join("\n  open: ")),
            (true, false) => {}
        }
    }
    assert!(wrong.is_empty(), "{} recordings:\n{}", wrong.len(), wrong.join("\n"));
}
