//! What delivery tools make of the objects: kstatus, Argo CD and Flux, each by its own library, over every state of the golden
//! cases and over every version of an object that is onboarded on a real API server.
//!
//! `states.snap` holds the states, which the golden cases write. `verdicts.snap` holds a row for each, for review.

mod argocd;
mod kustomize;
mod schema;
pub mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use state::State;
use whatsapp_operator::engine::{
    condition_type::ConditionType,
    reason::{self, Reason, ReasonKind, Row},
};
use whatsapp_operator::sandbox::{self, App, Number, ReviewPolicy, Token};

use crate::control_plane;
use crate::golden;
use crate::kept;
use crate::rig::{ACCOUNT, APP, BUSINESS, Rig};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// How channels and portfolios stand in the golden cases, one a line.
pub const STATES: &str = "tests/it/gitops/states.snap";
const VERDICTS: &str = "tests/it/gitops/verdicts.snap";
const KINDS: [&str; 2] = ["WhatsAppPortfolio", "WhatsAppChannel"];
const NUMBER: &str = "+5511912345678";

/// The text of [`STATES`].
pub fn lines(states: BTreeSet<&State>) -> String {
    let mut text = String::new();
    for state in states {
        let _ = writeln!(text, "{}", serde_json::to_string(state).expect("JSON"));
    }
    text
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every document of a YAML file of ours.
fn documents(text: &str) -> Vec<Value> {
    let documents = text.trim_start_matches("---\n").split("\n---\n").filter(|text| text.contains("kind:"));
    documents
        .map(|text| serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}")))
        .collect()
}

/// Puts questions to the libraries, in one process.
fn answers(questions: &[Value]) -> Vec<Value> {
    let program = control_plane::tool("gitops").expect("the program that judges");
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program that judges runs");
    let mut input = child.stdin.take().expect("a pipe");
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("nobody panicked").expect("it reads what it is asked");
    assert!(output.status.success(), "{}", output.status);
    let text = String::from_utf8(output.stdout).expect("text");
    let answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(answers.len(), questions.len());
    answers
}

/// What each tool makes of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Verdict {
    kstatus: String,
    argocd: String,
    flux: String,
    strict: String,
}

/// The health check expressions of a file under `deploy/flux`, by kind.
fn expressions(file: &str) -> BTreeMap<String, Value> {
    let documents = documents(&read(&format!("deploy/flux/{file}")));
    let all =
        documents.iter().filter_map(|document| document["spec"]["healthCheckExprs"].as_array()).flatten();
    all.map(|exprs| (exprs["kind"].as_str().expect("a kind").to_owned(), exprs.clone())).collect()
}

/// Each with what Argo CD says of it.
fn judge(objects: &[Value]) -> Vec<(Verdict, String)> {
    let health = read("deploy/argocd/health.lua");
    let (flux, strict) = (expressions("channels.yaml"), expressions("channels-strict.yaml"));
    let questions: Vec<Value> = objects
        .iter()
        .flat_map(|object| {
            let kind = object["kind"].as_str().expect("a kind");
            [
                json!({"ask": "kstatus", "object": object}),
                json!({"ask": "lua", "object": object, "script": health}),
                json!({"ask": "flux", "object": object, "exprs": flux[kind]}),
                json!({"ask": "flux", "object": object, "exprs": strict[kind]}),
            ]
        })
        .collect();
    let answers = answers(&questions);
    let text =
        |value: &Value, of: &Value| value.as_str().unwrap_or_else(|| panic!("no verdict: {of}")).to_owned();
    answers
        .chunks(4)
        .map(|four| {
            let verdict = Verdict {
                kstatus: text(&four[0]["status"], &four[0]),
                argocd: text(&four[1]["value"]["status"], &four[1]),
                flux: text(&four[2]["status"], &four[2]),
                strict: text(&four[3]["status"], &four[3]),
            };
            (verdict, text(&four[1]["value"]["message"], &four[1]))
        })
        .collect()
}

/// What Argo CD, Flux and the strict Flux have to say, by what the table of reasons says.
fn wanted(state: &State) -> [&'static str; 3] {
    const PROGRESS: [&str; 3] = ["Progressing", "InProgress", "InProgress"];
    const FAILED: [&str; 3] = ["Degraded", "Failed", "Failed"];
    const HEALTHY: [&str; 3] = ["Healthy", "Current", "Current"];
    let (status, reason) = state.ready();
    if state.deleted || state.unseen || status == "-" {
        return PROGRESS;
    }
    let serves = status == "True" || reason == "NotObserved";
    if state.suspended {
        return ["Suspended", "Current", if serves { "Current" } else { "InProgress" }];
    }
    let row = Reason::from_name(reason).expect("a reason of the table").row();
    match row.kind {
        _ if serves => HEALTHY,
        _ if state.also.contains(&"Stalled".to_owned()) => FAILED,
        _ if state.also.contains(&"Reconciling".to_owned()) => PROGRESS,
        ReasonKind::Time => PROGRESS,
        _ => match state.waits.first().map(String::as_str) {
            Some("PhoneHolder") => ["Suspended", "Current", "InProgress"],
            None | Some("Meta") => PROGRESS,
            Some(_) => FAILED,
        },
    }
}

fn is_of(row: &Row, kind: &str) -> bool {
    let own = [ConditionType::CredentialsValid, ConditionType::IdentityConfirmed];
    match kind {
        "WhatsAppPortfolio" => row.conditions.iter().any(|of| own.contains(of)),
        _ => row.conditions.iter().any(|of| of.may_block() || *of == ConditionType::Ready),
    }
}

/// States of reasons that no golden case has on `Ready`, and those that only an edit or a deletion makes.
fn untold(told: &BTreeSet<State>) -> BTreeSet<State> {
    let mut states = BTreeSet::new();
    for kind in KINDS {
        let rows = reason::TABLE.iter().filter(|row| row.kind != ReasonKind::Settled && is_of(row, kind));
        for row in rows {
            let also = match row.kind {
                ReasonKind::Progress => vec!["Reconciling".to_owned()],
                ReasonKind::Stalled => vec!["Stalled".to_owned()],
                _ => Vec::new(),
            };
            let mut waits: BTreeSet<Vec<String>> =
                row.actions().map(|action| vec![action.actor().as_str().to_owned()]).collect();
            if row.kind == ReasonKind::Time {
                // A person is asked for something else meanwhile, and stands before Meta in the list.
                waits.insert(vec!["PortfolioAdmin".to_owned(), "Meta".to_owned()]);
            }
            if waits.is_empty() {
                waits.insert(Vec::new());
            }
            for waits in waits {
                let ready = Some(format!("False {}", row.name));
                let kind = kind.to_owned();
                states.insert(State { kind, ready, also: also.clone(), waits, ..State::default() });
            }
        }
        let state = |ready: &str, also: &[&str], waits: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
            let ready = Some(ready.to_owned()).filter(|ready| !ready.is_empty());
            State { kind: kind.to_owned(), ready, also: owned(also), waits: owned(waits), ..State::default() }
        };
        for unseen in [
            state("", &[], &[]),
            state("True Usable", &[], &[]),
            state("False CodeNeeded", &[], &["PhoneHolder"]),
            state("False SecretMissing", &[], &["ClusterUser"]),
            state("False IdentityMismatch", &["Stalled"], &["ClusterUser"]),
        ] {
            states.insert(State { unseen: true, ..unseen.clone() });
            states.insert(State { unseen: true, suspended: true, ..unseen });
        }
        let usable = state("True Usable", &[], &[]);
        states.insert(State { deleted: true, ..usable.clone() });
        // A deletion raises the generation, which nobody has looked at yet.
        states.insert(State { deleted: true, unseen: true, ..usable });
    }
    states.difference(told).cloned().collect()
}

/// A row of the table: whatever else is waited for does not count, nor what an earlier version came to.
fn row(state: &State, verdict: &Verdict) -> String {
    let as_new = State { kind: state.kind.clone(), deleted: state.deleted, unseen: true, ..State::default() };
    let state = if state.unseen { &as_new } else { state };
    let flags = [(state.suspended, "suspended"), (state.deleted, "deleted"), (state.unseen, "not looked at")];
    let flags: Vec<&str> = flags.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
    let kind = state.kind.trim_start_matches("WhatsApp").to_lowercase();
    let (status, reason) = state.ready();
    let or = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    format!(
        "{kind:<9} {:<13} {status:<7} {reason:<30} {:<11} {:<14} | {:<11} {:<11} {:<10} {}",
        or(&flags.join(", ")),
        or(&state.also.join(", ")),
        or(state.waits.first().map_or("", String::as_str)),
        verdict.kstatus,
        verdict.argocd,
        verdict.flux,
        verdict.strict,
    )
}

fn told() -> BTreeSet<State> {
    read(STATES).lines().map(|line| serde_json::from_str(line).expect("a state")).collect()
}

#[test]
fn verdicts_are_as_reviewed() {
    let told = told();
    let all: Vec<State> = told.iter().cloned().chain(untold(&told)).collect();
    let objects: Vec<Value> = all.iter().map(State::object).collect();
    let mut rows = BTreeSet::new();
    let mut wrong = Vec::new();
    for (state, (verdict, _)) in all.iter().zip(judge(&objects)) {
        let row = row(state, &verdict);
        if [&verdict.argocd, &verdict.flux, &verdict.strict] != wanted(state) {
            wrong.push(format!("{row}\n  has to be {:?}", wanted(state)));
        }
        rows.insert(row);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let head = "kind      flags         Ready   reason                         also        waits for      | kstatus     \
                Argo CD     Flux       Flux strict";
    let text: String = [head.to_owned()].into_iter().chain(rows).map(|row| row + "\n").collect();
    kept::check(VERDICTS, &text);
}

/// The scripts look at who is waited for first, and take that for what holds up `Ready`.
#[test]
fn who_is_waited_for_first_can_end_what_holds_up_ready() {
    let mut wrong = Vec::new();
    for state in told() {
        let (status, name) = state.ready();
        let row = Reason::from_name(name).expect("a reason of the table").row();
        if status == "True" || row.kind != ReasonKind::Person || state.suspended || !state.also.is_empty() {
            continue;
        }
        let first = state.waits.first();
        if !row.actions().any(|action| first.is_some_and(|first| first == action.actor().as_str())) {
            wrong.push(format!("{state:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_delivered_from_here_is_here() {
    let mut seen = 0;
    for file in ["argocd/operator.yaml", "argocd/team.yaml", "flux/operator.yaml", "flux/channels.yaml"] {
        for object in documents(&read(&format!("deploy/{file}"))) {
            let spec = &object["spec"];
            let path = spec["path"].as_str().or(spec["source"]["path"].as_str()).unwrap_or_default();
            if let Some(folder) = path.trim_start_matches("./").strip_prefix("deploy/") {
                assert!(
                    Path::new(ROOT).join("deploy").join(folder).join("kustomization.yaml").is_file(),
                    "{path}"
                );
                seen += 1;
            }
            for kind in spec["namespaceResourceWhitelist"].as_array().into_iter().flatten() {
                assert_eq!(*kind, json!({"group": "whatsapp-operator.dev", "kind": "WhatsAppChannel"}));
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 5, "two of each tool, and a kind of a team");
}

/// Every version of every object of a namespace, the newest last, without what was not judged: events.
fn versions(told: &[(String, String)]) -> Vec<Value> {
    let texts = told.iter().filter(|(of, _)| of != "a version of events");
    texts.map(|(_, text)| serde_json::from_str(text).expect("JSON")).collect()
}

/// Whether a list has these in this order, with anything between.
fn has_in_order(list: &[String], wanted: &[&str]) -> bool {
    let mut rest = list.iter();
    wanted.iter().all(|wanted| rest.any(|one| one == wanted))
}

/// Has Argo CD act on the channel: it sends what the script changed as a patch.
async fn act(rig: &Rig, action: &str) {
    let script = read(&format!("deploy/argocd/actions/{action}/action.lua"));
    let answer = answers(&[json!({"ask": "lua", "object": rig.get("support").await, "script": script})]);
    let changed = &answer[0]["value"];
    let annotations = &changed["metadata"]["annotations"];
    let patch =
        json!({"metadata": {"annotations": annotations}, "spec": {"suspend": changed["spec"]["suspend"]}});
    rig.merge("wac", "support", &patch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_of_a_channel_that_is_onboarded_is_judged_as_its_state() {
    let mut rig = Rig::with_portfolio("gitops").await;
    let heard = rig.listen().await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    act(&rig, "send-code").await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    rig.type_code("support", NUMBER).await;
    let limit = Duration::from_secs(60);
    let is_at_rest = |status: &Value, generation: u64| {
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        status["observedGeneration"] == generation
            && conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
            && !conditions.iter().any(|c| c["type"] == "Reconciling")
    };
    rig.until("support", "rest", limit, |status| is_at_rest(status, 1)).await;
    rig.edit("wac", "support", json!({"profile": {"about": "Ask us"}})).await;
    rig.until("support", "rest after an edit", limit, |status| is_at_rest(status, 2)).await;
    act(&rig, "suspend").await;
    rig.until("support", "a pause", limit, |status| status["observedGeneration"] == 3).await;
    act(&rig, "resume").await;
    rig.until("support", "rest after a pause", limit, |status| is_at_rest(status, 4)).await;
    rig.delete("support").await;

    let healths = judged(&heard.lock().expect("nobody panicked").clone());
    let healths: Vec<String> =
        healths.iter().filter_map(|health| health.split(' ').nth(1)).map(str::to_owned).collect();
    let wanted = [
        "Progressing",
        "Suspended",
        "Progressing",
        "Healthy",
        "Progressing",
        "Healthy",
        "Suspended",
        "Healthy",
    ];
    assert!(has_in_order(&healths, &wanted), "{healths:?}");
    assert!(!healths.contains(&"Degraded".to_owned()), "{healths:?}");
}

/// Every status that the golden cases keep, as the whole object that it stands in, and not only what is judged by.
#[test]
fn a_whole_object_of_a_golden_case_is_judged_by_each_tool_as_its_state() {
    let channels = golden::kept_channels();
    assert!(channels.len() > 500, "{}", channels.len());
    let objects: Vec<Value> =
        channels.iter().flat_map(|(_, whole)| [whole.clone(), State::of(whole).object()]).collect();
    let mut wrong = Vec::new();
    let mut seen = [const { BTreeSet::new() }; 4];
    for ((case, whole), told) in channels.iter().zip(judge(&objects).chunks(2)) {
        let state = State::of(whole);
        let (whole, least) = (&told[0].0, &told[1].0);
        let kstatus = match state.ready() {
            _ if state.also.contains(&"Stalled".to_owned()) => "Failed",
            ("True", _) if state.also.is_empty() => "Current",
            _ => "InProgress",
        };
        let [argocd, flux, strict] = wanted(&state).map(str::to_owned);
        let wanted = Verdict { kstatus: kstatus.to_owned(), argocd, flux, strict };
        if *whole != *least || *whole != wanted {
            wrong.push(format!("{case}: {whole:?}, its state {least:?}, has to be {wanted:?}: {state:?}"));
        }
        for (seen, told) in seen.iter_mut().zip([&whole.kstatus, &whole.argocd, &whole.flux, &whole.strict]) {
            seen.insert(told.clone());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Suspended is a word of Argo CD alone.
    assert_eq!(seen.each_ref().map(BTreeSet::len), [3, 4, 3, 3], "{seen:?}");
}

/// Judges every version that was heard as a whole and by its state, and tells the health of the channel in its order, by kstatus and
/// by Argo CD. Each has to have its row.
fn judged(heard: &[(String, String)]) -> Vec<String> {
    let versions = versions(heard);
    let states: Vec<State> = versions.iter().map(State::of).collect();
    let least: Vec<Value> = states.iter().map(State::object).collect();
    let rows: BTreeSet<String> = read(VERDICTS).lines().map(str::to_owned).collect();
    let mut wrong = BTreeSet::new();
    let mut healths: Vec<String> = Vec::new();
    for (state, ((whole, message), (least, _))) in
        states.iter().zip(judge(&versions).iter().zip(judge(&least)))
    {
        assert!(!message.is_empty(), "{state:?}");
        let row = row(state, whole);
        if !rows.contains(&row) || *whole != least {
            wrong.insert(format!("{row}\n  its state alone: {least:?}"));
        }
        let health = format!("{} {}", whole.kstatus, whole.argocd);
        if state.kind == "WhatsAppChannel" && healths.last() != Some(&health) {
            healths.push(health);
        }
    }
    assert!(
        wrong.is_empty(),
        "states without a row, or judged otherwise:\n{}",
        Vec::from_iter(wrong).join("\n")
    );
    healths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_of_a_channel_that_meets_trouble_is_judged_as_its_state() {
    let mut rig = Rig::with_portfolio("gitops-trouble").await;
    rig.sandbox.subscribe(ACCOUNT, App::new(APP, "Acme Ops"));
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "bot", "labels": {"whatsapp-operator.dev/use": "verify-token"}},
        "stringData": {"verify": "word"},
    }))
    .await;
    let heard = rig.listen().await;
    let review = ReviewPolicy { min_secs: 0, max_secs: 0, ..ReviewPolicy::default() };
    rig.sandbox.set_review(ReviewPolicy { verdict: sandbox::Verdict::Decline, ..review.clone() });
    rig.start().await;
    let hook = json!({
        "deletionPolicy": "Unroute",
        "webhook": {"callbackUrl": "https://bot.acme.example/wa", "verifyTokenSecretRef": {"name": "bot", "key": "verify"}},
    });
    rig.channel("support", NUMBER, hook).await;
    // The name is declined, and another one is not.
    rig.until_condition("support", "Ready", "False", Some("NameDeclined")).await;
    rig.sandbox.set_review(review);
    rig.edit("wac", "support", json!({"displayName": "Acme Support Desk"})).await;
    rig.onboard("support", NUMBER).await;
    // The token is revoked, and comes back.
    assert!(rig.sandbox.revoke_token(&rig.token));
    rig.annotate("support", "reconcile", "revoked").await;
    rig.until_condition("support", "PortfolioReady", "False", None).await;
    let token = format!("{}-again", rig.token);
    rig.sandbox.add_token(&token, Token::system_user(APP, BUSINESS));
    rig.secret("acme-meta", json!({"token": token})).await;
    rig.until_condition("support", "Ready", "True", None).await;
    // It is suspended and resumed, and goes with what it holds at Meta.
    for (suspend, generation) in [(true, 3), (false, 4)] {
        rig.edit("wac", "support", json!({ "suspend": suspend })).await;
        let is_seen = |status: &Value| status["observedGeneration"] == generation;
        rig.until("support", "that it is seen", Duration::from_secs(60), is_seen).await;
    }
    rig.until_condition("support", "Ready", "True", None).await;
    rig.delete("support").await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let healths = judged(&heard.lock().expect("nobody panicked").clone());
    let wanted = [
        "Failed Degraded",
        "InProgress Progressing",
        "InProgress Suspended",
        "Current Healthy",
        "InProgress Degraded",
        "Current Healthy",
        "Current Suspended",
        "Current Healthy",
        "Terminating Progressing",
    ];
    assert!(has_in_order(&healths, &wanted), "{healths:?}");
}

/// The lines of every `sh` block of the page, each with the comment before it.
fn commands() -> Vec<(String, String)> {
    let page = read("docs/gitops.md");
    let blocks = page.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let mut commands = Vec::new();
    let mut comment = String::new();
    for line in blocks.flat_map(str::lines).filter(|line| !line.trim().is_empty()) {
        if let Some(text) = line.strip_prefix("# ") {
            text.clone_into(&mut comment);
        } else {
            commands.push((std::mem::take(&mut comment), line.to_owned()));
        }
    }
    commands
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_page_works() {
    let mut rig = Rig::apart("page").await;
    rig.sandbox.subscribe(ACCOUNT, App::new(APP, "Acme Ops"));
    let made = rig.plane.kubectl(["create", "namespace", "argocd"]).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let commands = commands();
    let mut levels = BTreeSet::new();
    let mut channels = BTreeMap::new();
    for (comment, line) in &commands {
        let Some(name) = line.split_whitespace().find_map(|word| word.strip_prefix("wac/")) else { continue };
        let level = comment.strip_prefix("readyWhen: ").and_then(|rest| rest.split(&[',', ':'][..]).next());
        if let Some(level) = level {
            levels.insert(level.to_owned());
        }
        channels.entry(name.to_owned()).or_insert(level.unwrap_or("Registered").to_owned());
    }
    let wanted = ["FullyVerified", "NameApproved", "Operational", "Registered"].map(str::to_owned);
    assert_eq!(levels, BTreeSet::from(wanted), "the page waits for each readyWhen");
    rig.start().await;
    for (n, (name, level)) in channels.iter().enumerate() {
        let digits = format!("55119444500{n:02}");
        let waits = name == "new-br";
        if !waits {
            let number = Number::new(&format!("1000000000020{n:02}"), ACCOUNT, &digits, "Acme Support");
            rig.sandbox.add_number(number.registered("271828"));
        }
        rig.channel(name, &format!("+{digits}"), json!({"readyWhen": level})).await;
    }
    for (_, line) in &commands {
        let line = line.replace("--namespace shop", &format!("--namespace {}", rig.namespace));
        let words = line.split_whitespace().map(|word| word.replace('\'', "")).collect::<Vec<_>>();
        assert_eq!(words[0], "kubectl", "{line}");
        let output = rig.plane.kubectl(&words[1..]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}\n{}", rig.logs());
    }
}
