//! Golden plans: for every state that Meta may show and every error that it may answer, what the operator plans and
//! what a user then sees.
//!
//! A case is a folder of `cases/`. Its `channel.yaml` is a manifest, with a status where something is remembered and
//! with a second document where the portfolio matters. Its `meta.json` says what is shown, and what Meta answers in
//! its variants: nodes in Meta's own words, patched onto those of the case, and error envelopes by method and edge. A
//! variant goes on in `then`; with `settled` the case's own world is first brought to rest, unprinted.
//!
//! Each variant is played with the real lowering, passes and client against a simulated Meta, on a virtual clock,
//! until nothing is left to do before the next look. `plan.snap` holds its passes: the step or the block, why, who
//! acts, the next look, and what was written. `status.snap` holds the status in which it rests, as YAML: the first
//! variant's whole, of the others what differs from it, as a JSON merge patch. Transition times are left out, a condition's
//! generation where it is the status's, and conditions and messages that repeat the one of Ready are named only. A variant
//! that is no other than an earlier one says so, and one whose plan begins like that of the first says how many entries do.
//!
//! Both are plain files of narrow lines, compared on every run and written by `make golden`, which prints what changed, as
//! lines for the message of the commit. They are reviewed like code.

mod snap;
pub mod stage;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Write,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::gitops::{self, state::State};
use crate::kept;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use snap::{Changes, Status, read_plans, read_statuses, write_plans, write_statuses};
use stage::{Change, Passed, Scene, Stage};

use whatsapp_operator::engine::{
    action::Action,
    block::Block,
    condition_type::ConditionType,
    failure::{Class, Failure, Scope},
    observed::ListState,
    plan::Plan,
    reason::{self, Reason, ReasonKind},
    step::{Cause, StepKind},
    wait::Wait,
};
use whatsapp_operator::{api::v1alpha1::WhatsAppChannelStatus, meta::reference};

/// What was read at rest is read again by then: lists, and the facts of an account, which serve longer.
const AGE: Duration = Duration::from_secs(61 * 60);
/// Variants played at the same time.
const AT_ONCE: usize = 8;

const CASES: &str = "tests/it/cases";

pub const PORTFOLIO: &str = r#"
apiVersion: whatsapp-operator.dev/v1alpha1
kind: WhatsAppPortfolio
metadata: {name: acme, namespace: shop-br}
spec:
  businessId: "500000000000001"
  credentials:
    accessTokenSecretRef: {name: acme-meta, key: token}
    appSecretRef: {name: acme-meta, key: appSecret}
"#;

/// A folder.
struct Case {
    name: String,
    channel: Value,
    portfolio: Value,
    /// Brought to rest before a variant begins.
    settled: bool,
    start: Change,
    variants: Vec<Variant>,
}

struct Variant {
    name: String,
    start: Change,
    then: Vec<(Value, Change)>,
}

/// What a variant came to.
struct Played {
    plan: String,
    status: Vec<(String, Value)>,
    /// The block of the last pass, which is not printed again.
    block: Option<Block>,
    /// Reasons of conditions, as they were written.
    reasons: BTreeSet<String>,
    /// Rules of every status that the one it rests in breaks.
    broken: Vec<String>,
    /// What the status before waited for.
    waits: BTreeSet<String>,
    /// What was refused, by the step it refused; reads have none.
    refused: HashSet<(Option<StepKind>, Class, Scope)>,
    /// How channel and portfolio stood after each write.
    states: BTreeSet<State>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(CASES)
}

fn cases() -> Vec<Case> {
    let mut folders: Vec<_> =
        fs::read_dir(root()).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    folders.iter().map(|folder| read_case(folder)).collect()
}

fn read_case(folder: &Path) -> Case {
    let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
    let text = |file: &str| {
        fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{name}/{file}: {error}"))
    };
    let yaml = text("channel.yaml");
    let document = |text: &str| -> Value { serde_saphyr::from_str(text).expect("YAML") };
    let mut documents = yaml.split("\n---\n");
    let channel = document(documents.next().expect("a manifest"));
    let portfolio = document(documents.next().unwrap_or(PORTFOLIO));
    let mut meta: Map<String, Value> = serde_json::from_str(&text("meta.json")).expect("JSON");
    let shows = meta.remove("shows").expect("every case says what it shows");
    let last = shows.as_array().and_then(|lines| lines.last()).unwrap_or(&shows);
    assert!(last.as_str().is_some_and(|shows| shows.ends_with('.')), "{name}: a sentence");
    let settled = meta.remove("settled") == Some(json!(true));
    let variants = meta.remove("variants").expect("variants");
    let variants: Vec<Map<String, Value>> = serde_json::from_value(variants).expect("a list");
    let variants: Vec<Variant> = variants.into_iter().map(|variant| read_variant(&name, variant)).collect();
    let names: BTreeSet<_> = variants.iter().map(|variant| &variant.name).collect();
    assert!(names.len() == variants.len() && !variants.is_empty(), "{name}: every variant has its own name");
    Case { start: change(&name, &meta.into()), name, channel, portfolio, settled, variants }
}

fn read_variant(case: &str, mut variant: Map<String, Value>) -> Variant {
    let name = variant.remove("name").and_then(|name| Some(name.as_str()?.to_owned())).expect("a name");
    let then: Vec<Value> =
        variant.remove("then").map_or_else(Vec::new, |then| serde_json::from_value(then).expect("a list"));
    let at = format!("{case}, {name}");
    Variant {
        start: change(&at, &variant.into()),
        then: then.into_iter().map(|json| (json.clone(), change(&at, &json))).collect(),
        name,
    }
}

fn change(at: &str, json: &Value) -> Change {
    Change::deserialize(json).unwrap_or_else(|error| panic!("{at}: {error}"))
}

async fn play(case: &Case, variant: &Variant) -> Played {
    let start: &[&Change] = if case.settled { &[&case.start] } else { &[&case.start, &variant.start] };
    let mut stage = Stage::new(case.channel.clone(), case.portfolio.clone(), start).await;
    let begun = stage.now();
    let mut played = Played {
        plan: String::new(),
        status: Vec::new(),
        block: None,
        reasons: BTreeSet::new(),
        broken: Vec::new(),
        waits: BTreeSet::new(),
        refused: HashSet::new(),
        states: BTreeSet::new(),
    };
    let mut before = Value::Null;
    if case.settled {
        stage.rest().await;
        before = stage.status();
        played.waits = before["waitingFor"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|wait| Some(wait["action"].as_str()?.to_owned()))
            .collect();
        stage.pass_time(AGE);
        stage.change(&variant.start);
    }
    played.take(stage.rest().await, begun);
    for (json, change) in &variant.then {
        let _ = writeln!(played.plan, "  then {json}");
        stage.change(change);
        played.take(stage.rest().await, begun);
    }
    for failure in &stage.failures {
        played.note(None, failure);
    }
    played.states = stage.states();
    let status = stage.status();
    if case.settled && UNTOLD.iter().any(|what| variant.name.contains(what)) {
        played.broken.extend(turned(&before, &status));
    }
    played.plan = without_traces(&played.plan);
    let status: Value = serde_json::from_str(&without_traces(&status.to_string())).expect("JSON");
    played.status = lines(&status);
    played
}

impl Played {
    fn take(&mut self, scenes: Vec<Scene>, begun: Timestamp) {
        for scene in scenes {
            match scene {
                Scene::Refused(why) => {
                    self.reasons.insert("SpecInvalid".into());
                    let _ = writeln!(self.plan, "  the spec cannot be carried out: {why}");
                }
                Scene::Pass(passed) => self.take_pass(&passed, begun),
            }
        }
    }

    fn take_pass(&mut self, passed: &Passed, begun: Timestamp) {
        let at = format!("  {}", since(begun, passed.at));
        print_plan(&mut self.plan, &at, passed, self.block.as_ref());
        self.block.clone_from(&passed.done.plan.block);
        for status in &passed.written {
            self.broken.extend(broken_rules(status));
            self.broken.extend(second_answers(passed, status, &self.waits));
            self.waits = status.waiting_for.iter().map(|wait| wait.action.clone()).collect();
            self.reasons.extend(status.conditions.iter().map(|c| c.reason.clone()));
            let _ = writeln!(self.plan, "      writes {}", in_short(status));
        }
        let step = passed.done.plan.step.as_ref().map(|planned| planned.step.kind());
        let observed = &passed.done.observed;
        if let Some(Err(failure)) = passed.done.outcome.as_ref().map(|outcome| &outcome.result) {
            self.note(step, failure);
        }
        for searched in &observed.search {
            if let ListState::Failed(failure) | ListState::NotCheckable(failure) = &searched.list {
                self.note(None, failure);
            }
        }
        for failure in passed.failures() {
            self.note(None, &failure);
        }
    }

    fn note(&mut self, step: Option<StepKind>, failure: &Failure) {
        if let Some(refusal) = failure.refusal() {
            self.refused.insert((step, refusal.class, refusal.scope));
        }
    }
}

fn print_plan(out: &mut String, at: &str, passed: &Passed, last: Option<&Block>) {
    let Plan { step, block, aside, answered, next, farewell, .. } = &passed.done.plan;
    if let Some(planned) = step {
        let _ = writeln!(
            out,
            "{at} {}, {}: {}",
            planned.step.kind().as_str(),
            cause(&planned.cause),
            planned.why
        );
        let _ = writeln!(out, "      {}", outcome(passed));
    }
    if let Some(block) = block {
        if last == Some(block) {
            let _ = writeln!(out, "{at} {} as before", block.reason.as_str());
        } else {
            let _ = writeln!(out, "{at} {}: {}", block.reason.as_str(), block.message);
            print_wait(out, block);
        }
    }
    if let Some(farewell) = farewell {
        let _ = writeln!(out, "{at} it may go, {}: {}", farewell.parting.as_str(), farewell.message);
        return;
    }
    if step.is_none() && block.is_none() {
        let _ = writeln!(out, "{at} nothing holds up the way to Registered");
    }
    for (condition, block) in aside {
        let _ = writeln!(
            out,
            "      beside, {}: {}: {}",
            condition.as_str(),
            block.reason.as_str(),
            block.message
        );
        print_wait(out, block);
    }
    for (kind, answer) in answered {
        let what = match (&answer.used_for, &answer.refused) {
            (Some(step), _) => format!("used for {}", step.as_str()),
            (None, Some(why)) => why.clone(),
            (None, None) => "seen".into(),
        };
        let _ = writeln!(out, "      {kind:?} {:?}: {what}", answer.value);
    }
    let _ = writeln!(out, "      looks again {}", pause(passed.at, *next));
}

fn print_wait(out: &mut String, block: &Block) {
    let until = block.until.map(|at| format!("until {at}"));
    let wait = block.wait.as_ref().map(|wait| {
        let by = wait.expected_by.filter(|by| Some(*by) != block.until).map(|at| format!(" by {at}"));
        format!("{} has to {}{}", wait.action.actor().as_str(), wait.action.as_str(), by.unwrap_or_default())
    });
    let parts: Vec<String> = [wait, until].into_iter().flatten().collect();
    if !parts.is_empty() {
        let _ = writeln!(out, "        {}", parts.join("; "));
    }
}

fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Automatic => "by itself".into(),
        Cause::Secret => "for what a Secret holds".into(),
        Cause::SendCode(value) => format!("as send-code {value:?} asks"),
        Cause::Retry(value) => format!("as retry {value:?} asks"),
        Cause::Official(value) => format!("as request-official-account {value:?} asks"),
    }
}

fn outcome(passed: &Passed) -> String {
    match passed.done.outcome.as_ref().map(|outcome| &outcome.result) {
        None => "not carried out".into(),
        Some(Ok(_)) => "accepted".into(),
        Some(Err(Failure::Refused(refusal))) => {
            let subcode = refusal.subcode.map(|subcode| format!("/{subcode}")).unwrap_or_default();
            let until = refusal.until.map(|until| format!(" until {until}")).unwrap_or_default();
            let (class, scope) = (refusal.class, refusal.scope);
            format!("refused with {}{subcode}: {class:?}{until}, of the {scope:?}", refusal.code)
        }
        Some(Err(Failure::NoAnswer(_) | Failure::TooLarge(_))) => "no answer".into(),
        Some(Err(Failure::NotSent(why))) => format!("not sent: {why}"),
        Some(Err(Failure::Throttled(until) | Failure::NoRoom(until))) => format!("held back until {until}"),
    }
}

/// What a write of status says of the whole.
fn in_short(status: &WhatsAppChannelStatus) -> String {
    let mut parts = vec![format!("stage {}", status.stage.as_deref().unwrap_or("-"))];
    for kind in ["Ready", "Reconciling", "Stalled"] {
        parts.extend(
            status
                .conditions
                .iter()
                .filter(|c| c.type_ == kind)
                .map(|c| format!("{kind} {} {}", c.status, c.reason)),
        );
    }
    parts.join(", ")
}

fn since(begun: Timestamp, at: Timestamp) -> String {
    format!("+{:#}", SignedDuration::from_secs(at.duration_since(begun).as_secs()))
}

fn pause(at: Timestamp, next: Timestamp) -> String {
    match next.duration_since(at).as_secs() {
        ..=0 => "at once".into(),
        seconds => format!("in {:#}", SignedDuration::from_secs(seconds)),
    }
}

/// A status, line by line, each with the place that it belongs to.
fn lines(status: &Value) -> Vec<(String, Value)> {
    let mut lines = Vec::new();
    let Value::Object(status) = status else { return lines };
    let keyed = [("conditions", "type"), ("waitingFor", "action"), ("preflight", "item"), ("drift", "field")];
    let order = ["stage", "conditions", "waitingFor", "preflight", "drift", "facts"];
    let rest = status.keys().map(String::as_str).filter(|key| !order.contains(key) && *key != "memory");
    let shown = order.into_iter().chain(rest).map(|key| (key.to_owned(), status.get(key)));
    let remembered = status.get("memory").and_then(Value::as_object).into_iter().flatten();
    let remembered = remembered.filter(|(key, _)| *key != "since");
    let remembered = remembered.map(|(key, value)| (format!("memory.{key}"), Some(value)));
    for (section, value) in shown.chain(remembered) {
        let Some(value) = value else { continue };
        let key = keyed.iter().find(|(name, _)| **name == section).map(|(_, key)| *key);
        match (value, key) {
            (Value::Array(entries), Some(key)) => {
                let message = |entry: &Value| entry["message"].as_str().map(str::to_owned);
                let ready = entries.iter().find(|entry| entry["type"] == "Ready");
                let told = ready.and_then(message);
                let rest = entries.iter().filter(|entry| entry["type"] != "Ready");
                let is_same = |entry: &&Value| {
                    let same = |key: &str| ready.is_some_and(|ready| ready[key] == entry[key]);
                    let told = same("message") || entry["message"] == "see Ready";
                    same("status") && same("reason") && told && same("observedGeneration")
                };
                let (same, rest): (Vec<_>, Vec<_>) = rest.partition(is_same);
                if !same.is_empty() {
                    let same: Vec<&Value> = same.into_iter().map(|entry| &entry["type"]).collect();
                    lines.push(("conditions as Ready".into(), json!(same)));
                }
                lines.extend(ready.into_iter().chain(rest).map(|entry| {
                    let mut shown = entry.clone();
                    let map = shown.as_object_mut().expect("an object");
                    let name = map.remove(key).and_then(|name| Some(name.as_str()?.to_owned()));
                    map.remove("lastTransitionTime");
                    if map.get("observedGeneration") == status.get("observedGeneration") {
                        map.remove("observedGeneration");
                    }
                    if entry["type"] != "Ready" && told.is_some() && message(entry) == told {
                        map.insert("message".into(), json!("as Ready"));
                    }
                    (format!("{section}/{}", name.unwrap_or_default()), shown)
                }));
            }
            (Value::Object(map), _) => {
                for (key, value) in map {
                    match value {
                        Value::Array(entries) => lines.extend(
                            entries
                                .iter()
                                .enumerate()
                                .map(|(n, entry)| (format!("{section}/{key} {n}"), entry.clone())),
                        ),
                        value => lines.push((format!("{section}/{key}"), value.clone())),
                    }
                }
            }
            (value, _) => lines.push((section, value.clone())),
        }
    }
    lines
}

/// Plays every variant, a few at a time.
async fn play_all(cases: Vec<Case>) -> Vec<(Case, Vec<Played>)> {
    use futures::StreamExt;
    let cases: Vec<std::sync::Arc<Case>> = cases.into_iter().map(Into::into).collect();
    let wanted: Vec<_> =
        cases.iter().flat_map(|case| (0..case.variants.len()).map(move |n| (case.clone(), n))).collect();
    let mut played: BTreeMap<String, Vec<Played>> = BTreeMap::new();
    let mut running = futures::stream::iter(wanted.into_iter().map(|(case, n)| {
        let label = format!("{}, {}", case.name, case.variants[n].name);
        let task = tokio::spawn(async move { (case.name.clone(), play(&case, &case.variants[n]).await) });
        async move { task.await.unwrap_or_else(|error| panic!("{label}: {error}")) }
    }))
    .buffered(AT_ONCE);
    while let Some((name, variant)) = running.next().await {
        played.entry(name).or_default().push(variant);
    }
    drop(running);
    cases
        .into_iter()
        .map(|case| {
            let variants = played.remove(&case.name).unwrap_or_default();
            (std::sync::Arc::into_inner(case).expect("nobody else holds it"), variants)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_and_statuses_are_as_reviewed() {
    let all = play_all(cases()).await;
    let mut stale = Vec::new();
    let mut changes = Changes::default();
    for (case, variants) in &all {
        let named = || case.variants.iter().map(|variant| variant.name.clone()).zip(variants);
        let plans: Vec<_> = named().map(|(name, played)| (name, played.plan.clone())).collect();
        let statuses: Vec<_> = named().map(|(name, played)| (name, played.status.clone())).collect();
        let (plan, status) = (write_plans(&plans), write_statuses(&statuses));
        let whole: Vec<(String, Status)> =
            statuses.into_iter().map(|(name, status)| (name, status.into_iter().collect())).collect();
        assert_eq!(read_plans(&plan), plans, "{}: what is kept says less than what was played", case.name);
        assert_eq!(
            read_statuses(&status),
            whole,
            "{}: what is kept says less than what was played",
            case.name
        );
        note_changes(&mut changes, case, &plans, &whole);
        for (file, text) in [("plan.snap", plan), ("status.snap", status)] {
            stale.extend(kept::difference(&format!("{CASES}/{}/{file}", case.name), &text));
        }
    }
    let states: BTreeSet<&State> =
        all.iter().flat_map(|(_, played)| played).flat_map(|p| &p.states).collect();
    stale.extend(kept::difference(gitops::STATES, &gitops::lines(states)));
    if kept::is_update() {
        // Past the capture of the test's output.
        let summary = Some(changes.summary()).filter(|summary| !summary.is_empty());
        let summary = summary.unwrap_or_else(|| "nothing\n".into());
        let _ = write!(std::io::stderr(), "\nchanged in the golden cases:\n{summary}");
    }
    let known = every_reason_is_shown(&all);
    let errors = every_error_is_met(&all);
    let broken: Vec<String> = all
        .iter()
        .flat_map(|(case, played)| case.variants.iter().zip(played).map(move |(v, p)| (case, v, p)))
        .flat_map(|(case, v, p)| {
            p.broken.iter().map(move |rule| format!("{}, {}: {rule}", case.name, v.name))
        })
        .collect();
    assert!(broken.is_empty(), "rules that a status breaks:\n{}", broken.join("\n"));
    assert!(known.is_empty(), "reasons that no case shows, or that one shows after all: {known:?}");
    assert!(errors.is_empty(), "errors that no case meets: {errors:#?}");
    assert!(stale.is_empty(), "{}\nwritten anew by make golden; then read what changed", stale.join("\n"));
}

/// The channel of each case with every status that is kept of it, whole again but for the order of its lists. The texts tell
/// case and variant.
pub fn kept_channels() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for case in cases() {
        let text = fs::read_to_string(root().join(&case.name).join("status.snap")).expect("it is kept");
        for (variant, status) in read_statuses(&text) {
            let mut channel = case.channel.clone();
            channel["metadata"]["generation"] = status.get("observedGeneration").cloned().unwrap_or(json!(1));
            channel["status"] = status_of(&status);
            all.push((format!("{}, {variant}", case.name), channel));
        }
    }
    all
}

/// The status of which [`lines`] made these.
fn status_of(lines: &Status) -> Value {
    const SINCE: &str = "2026-10-01T00:00:00Z";
    let mut status = json!({});
    let generation = lines.get("observedGeneration").cloned().unwrap_or_default();
    let ready = lines.get("conditions/Ready").cloned().unwrap_or_default();
    let as_ready = lines.get("conditions as Ready").and_then(Value::as_array).into_iter().flatten();
    let mut conditions: Vec<(String, Value)> =
        as_ready.filter_map(Value::as_str).map(|kind| (kind.to_owned(), ready.clone())).collect();
    for (place, value) in lines {
        let Some((section, name)) = place.split_once('/') else {
            if place != "conditions as Ready" {
                *member(&mut status, place) = value.clone();
            }
            continue;
        };
        let key = match section {
            "conditions" => {
                conditions.push((name.to_owned(), value.clone()));
                continue;
            }
            "waitingFor" => "action",
            "preflight" => "item",
            "drift" => "field",
            _ => {
                let of = member(&mut status, section);
                match name.rsplit_once(' ').filter(|(_, at)| at.parse::<usize>().is_ok()) {
                    Some((list, _)) => push(&mut of[list], value.clone()),
                    None => of[name] = value.clone(),
                }
                continue;
            }
        };
        let mut entry = value.clone();
        entry[key] = json!(name);
        push(&mut status[section], entry);
    }
    for (kind, mut condition) in conditions {
        condition["type"] = json!(kind);
        condition["lastTransitionTime"] = json!(SINCE);
        if condition["observedGeneration"].is_null() {
            condition["observedGeneration"] = generation.clone();
        }
        if condition["message"] == "as Ready" {
            condition["message"] = ready["message"].clone();
        }
        push(&mut status["conditions"], condition);
    }
    status
}

/// A part of a status, which may be one of what is remembered.
fn member<'a>(status: &'a mut Value, place: &str) -> &'a mut Value {
    match place.strip_prefix("memory.") {
        Some(part) => &mut status["memory"][part],
        None => &mut status[place],
    }
}

fn push(list: &mut Value, entry: Value) {
    match list {
        Value::Array(entries) => entries.push(entry),
        _ => *list = json!([entry]),
    }
}

/// Notes what the files of a case, as they are kept until now, do not say of what was played.
fn note_changes(
    changes: &mut Changes,
    case: &Case,
    plans: &[(String, String)],
    statuses: &[(String, Status)],
) {
    let text = |file: &str| fs::read_to_string(root().join(&case.name).join(file)).unwrap_or_default();
    let before: BTreeMap<String, String> = read_plans(&text("plan.snap")).into_iter().collect();
    let shown: BTreeMap<String, Status> = read_statuses(&text("status.snap")).into_iter().collect();
    for ((name, plan), (_, status)) in plans.iter().zip(statuses) {
        let variant = format!("{}, {name}", case.name);
        match (before.get(name), shown.get(name)) {
            (Some(old), Some(seen)) => {
                changes.add_plan(&variant, old, plan);
                changes.add_status(&variant, seen, status);
            }
            _ => changes.add_variant(&variant, true),
        }
    }
    for name in before.keys().filter(|name| plans.iter().all(|(other, _)| other != *name)) {
        changes.add_variant(&format!("{}, {name}", case.name), false);
    }
}

/// The text with the sandbox's trace ids made one: two reads at once are answered in any order.
fn without_traces(text: &str) -> String {
    let is_trace = |word: &str| {
        word.len() == 17 && word.starts_with('A') && word[1..].bytes().all(|b| b.is_ascii_hexdigit())
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len())];
        out.push_str(if is_trace(word) { "(trace)" } else { word });
        rest = &rest[word.len()..];
        if word.is_empty() {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Cases have no sources of pictures.
const IN_PICTURES: &str =
    "played with a source that changes, in tests/it/proof/picture.rs and src/engine/plan/tests/picture.rs";
/// Reasons that a channel may carry in a status that is written, and that no case shows, each with why.
const NOT_SHOWN: &[(&str, &str)] = &[
    ("WritingPicture", IN_PICTURES),
    ("PictureUnlabelled", IN_PICTURES),
    ("PictureUnusable", IN_PICTURES),
    ("PictureUnreadable", IN_PICTURES),
    ("PictureRefused", IN_PICTURES),
    ("AppIdMissing", IN_PICTURES),
    ("PicturePaused", IN_PICTURES),
    (
        "CodeSecretShared",
        "a case has one channel; src/engine/plan/tests.rs and src/controller/claim.rs show it",
    ),
];

/// Reasons without a case that shows them, and those said to have none that have one.
fn every_reason_is_shown(all: &[(Case, Vec<Played>)]) -> Vec<String> {
    let shown: BTreeSet<&str> =
        all.iter().flat_map(|(_, played)| played).flat_map(|p| &p.reasons).map(String::as_str).collect();
    let of_channels = |row: &&reason::Row| {
        let conditions = ConditionType::CHANNEL.iter();
        conditions.clone().any(|kind| row.conditions.contains(kind))
    };
    let excused: BTreeSet<&str> = NOT_SHOWN.iter().map(|(name, _)| *name).collect();
    let table = reason::TABLE.iter().filter(of_channels).map(|row| row.name);
    table.filter(|name| shown.contains(name) == excused.contains(name)).map(str::to_owned).collect()
}

/// Every class with every scope that the table of errors has, and every class at the call of every step.
fn every_error_is_met(all: &[(Case, Vec<Played>)]) -> Vec<String> {
    let met: HashSet<_> = all.iter().flat_map(|(_, played)| played).flat_map(|p| p.refused.clone()).collect();
    let classes = [
        ("retry", Class::Retry),
        ("wait", Class::WaitUntil),
        ("person", Class::Person),
        ("spec", Class::Spec),
        ("credentials", Class::Credentials),
        ("done", Class::AlreadyDone),
    ];
    let scopes = [
        ("call", Scope::Call),
        ("channel", Scope::Channel),
        ("account", Scope::Account),
        ("portfolio", Scope::Portfolio),
        ("app", Scope::App),
    ];
    let reference = reference::errors();
    let mut missing = Vec::new();
    for row in reference.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let class = classes.iter().find(|(word, _)| cells[3].split(' ').next() == Some(word));
        let scope = scopes.iter().find(|(word, _)| cells[4] == *word);
        let (Some((_, class)), Some((_, scope))) = (class, scope) else { panic!("{row}") };
        let pair = format!("{class:?} of the {scope:?}");
        if !met.iter().any(|(_, c, s)| (c, s) == (class, scope)) && !missing.contains(&pair) {
            missing.push(pair);
        }
    }
    // Cases have no sources of pictures.
    for step in StepKind::at_meta().filter(|step| *step != StepKind::WritePicture) {
        for (_, class) in classes {
            if !met.iter().any(|(s, c, _)| *s == Some(step) && *c == class) {
                missing.push(format!("{class:?} at {}", step.as_str()));
            }
        }
    }
    missing
}

/// How variants are called in which Meta says nothing, or nothing that this version knows.
const UNTOLD: [&str; 3] = ["left out", "a word that nobody knows", "TO_BE_DECIDED"];

/// Conditions that were True before and are not after.
fn turned(before: &Value, after: &Value) -> Vec<String> {
    let conditions = |status: &Value| -> Vec<Value> {
        status["conditions"].as_array().into_iter().flatten().cloned().collect()
    };
    let after = conditions(after);
    let is_kept = |was: &&Value| after.iter().any(|c| c["type"] == was["type"] && c["status"] == "True");
    let lost = conditions(before).into_iter().filter(|c| c["status"] == "True");
    lost.filter(|was| !is_kept(&was))
        .map(|was| format!("{} turned by what is not told", was["type"]))
        .collect()
}

/// Waits that are neither the act of a block, nor the one that the table has for the reason of `Ready` where no block
/// is about it, nor the one for a step that met a throttle. What stood before may be kept.
fn second_answers(passed: &Passed, status: &WhatsAppChannelStatus, before: &BTreeSet<String>) -> Vec<String> {
    let blocks =
        || passed.done.plan.block.iter().chain(passed.done.plan.aside.iter().map(|(_, block)| block));
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready" && c.status != "True");
    let reason = ready.and_then(|ready| Reason::from_name(&ready.reason));
    let is_told = |reason: &Reason| blocks().any(|block| block.reason == *reason);
    let of_table = reason.filter(|reason| !is_told(reason)).and_then(Reason::asks).map(|asks| asks.action);
    let is_held_up = match passed.done.outcome.as_ref().map(|outcome| &outcome.result) {
        Some(Err(Failure::Throttled(_))) => true,
        Some(Err(Failure::Refused(refusal))) => refusal.class == Class::WaitUntil,
        _ => false,
    };
    let of_step = Reason::Throttled.asks().filter(|_| is_held_up).map(|asks| asks.action);
    let mut broken = Vec::new();
    for wait in &status.waiting_for {
        let Some(action) = Action::from_name(&wait.action) else {
            broken.push(format!("{} is no action of the table", wait.action));
            continue;
        };
        if wait.actor != action.actor().as_str() {
            broken.push(format!("{} is asked of {}", wait.action, wait.actor));
        }
        let is_of_block = blocks().any(|block| block.wait.as_ref().is_some_and(|wait| wait.action == action));
        if !is_of_block && ![of_table, of_step].contains(&Some(action)) && !before.contains(&wait.action) {
            broken.push(format!(
                "{} is waited for, and neither a block nor the table asks for it",
                wait.action
            ));
        }
    }
    for block in blocks() {
        let table = block.reason.asks().map(|asks| asks.action.actor());
        let own = block.wait.as_ref().map(|wait| wait.action.actor());
        let may_ask = |wait: &Wait| block.reason.may_ask(wait.action);
        if block.wait.as_ref().is_some_and(|wait| !may_ask(wait)) || table.is_some() != own.is_some() {
            broken.push(format!(
                "{}: the table waits for {table:?}, the block for {own:?}",
                block.reason.as_str()
            ));
        }
    }
    broken
}

/// Messages that a status has more than twice: in `Ready`, and where the cause has its place.
fn said_again(status: &Value) -> Vec<String> {
    fn texts<'a>(value: &'a Value, path: &str, found: &mut BTreeMap<&'a str, Vec<String>>) {
        match value {
            Value::String(text) if text.chars().count() > 60 => {
                found.entry(text).or_default().push(path.to_owned());
            }
            Value::Array(list) => {
                for (at, value) in list.iter().enumerate() {
                    let name = ["type", "item", "action", "id"].iter().find_map(|key| value[*key].as_str());
                    let at = at.to_string();
                    texts(value, &format!("{path}.{}", name.unwrap_or(&at)), found);
                }
            }
            Value::Object(members) => {
                for (name, value) in members {
                    texts(value, &format!("{path}.{name}"), found);
                }
            }
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    texts(status, "status", &mut found);
    let more = found.into_iter().filter(|(_, places)| places.len() > 2);
    more.map(|(text, places)| format!("{} say {text:?}", places.join(", "))).collect()
}

/// The rules that every status keeps, whatever it is about.
fn broken_rules(status: &WhatsAppChannelStatus) -> Vec<String> {
    let of = |kind: &str| status.conditions.iter().find(|c| c.type_ == kind);
    let row = |name: &str| reason::TABLE.iter().find(|row| row.name == name).expect("a reason of the table");
    let mut broken = Vec::new();
    for condition in &status.conditions {
        let kind = ConditionType::CHANNEL.into_iter().find(|kind| kind.as_str() == condition.type_);
        let kind = kind.expect("a type of a channel");
        if !row(&condition.reason).reason.may_be_on(kind) {
            broken.push(format!("{} may not be on {}", condition.reason, condition.type_));
        }
        if condition.message.is_empty() {
            broken.push(format!("{} says nothing", condition.type_));
        }
    }
    let Some(ready) = of("Ready") else { return vec!["Ready is not there".into()] };
    let (is_ready, kind) = (ready.status == "True", row(&ready.reason).kind);
    let (reconciling, stalled) = (of("Reconciling").is_some(), of("Stalled").is_some());
    let is_wait = matches!(kind, ReasonKind::Person | ReasonKind::Time | ReasonKind::Stalled);
    let rules = [
        (reconciling && stalled, "both Reconciling and Stalled"),
        (stalled && is_ready, "Stalled and Ready"),
        (stalled && kind != ReasonKind::Stalled, "Stalled for a reason that something ends"),
        (ready.status == "False" && kind == ReasonKind::Stalled && !stalled, "not Stalled"),
        (ready.status == "False" && is_wait && reconciling, "Reconciling while it waits"),
        (
            ready.status == "False" && kind == ReasonKind::Progress && !reconciling,
            "at work and not Reconciling",
        ),
        (ready.status == "False" && is_wait && status.waiting_for.is_empty(), "nobody is waited for"),
        (!is_ready && !is_wait && kind == ReasonKind::Settled, "not Ready for a reason that is settled"),
    ];
    broken.extend(said_again(&serde_json::to_value(status).expect("JSON")));
    broken.extend(
        rules
            .into_iter()
            .filter(|(is_broken, _)| *is_broken)
            .map(|(_, what)| format!("{what}: Ready {} {}", ready.status, ready.reason)),
    );
    broken
}
