//! `docs/output.md` against what commands print: every field that is printed is documented, what is marked with * is always there,
//! and every documented field of every kind is printed by a command that is run here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use whatsapp_operator::sandbox::{Number, Token};

use crate::cli::{editor, run_as, stderr, stdout};
use crate::doctor::{Desk, STATES};
use crate::help_desk;
use crate::rig::{ACCOUNT, APP, BUSINESS, Rig};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The fields of each kind, and whether each is always there.
type Page = BTreeMap<String, BTreeMap<String, bool>>;

fn page() -> &'static Page {
    static PAGE: OnceLock<Page> = OnceLock::new();
    PAGE.get_or_init(|| {
        let text = std::fs::read_to_string(Path::new(ROOT).join("docs/output.md")).expect("the page");
        let mut page = Page::new();
        for part in text.split("\n## ").skip(1) {
            let kind = part.lines().next().expect("a kind").to_owned();
            let rows = part.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
            let rows = rows.map(|(field, rest)| (field.to_owned(), rest.starts_with('*')));
            page.insert(kind, rows.collect());
        }
        assert!(page.len() > 10, "{page:#?}");
        page
    })
}

/// The fields of a document, as the page writes them. Of one whose members are no business of the page only itself.
fn fields(of: &BTreeMap<String, bool>, path: &str, value: &Value, into: &mut BTreeSet<String>) {
    let is_described = |path: &str| {
        let begins = [format!("{path}."), format!("{path}[]"), format!("{path}.*")];
        of.keys().any(|field| begins.iter().any(|begin| field.starts_with(begin)))
    };
    match value {
        Value::Object(members) if path.is_empty() || is_described(path) => {
            let is_map = of.keys().any(|field| field.starts_with(&format!("{path}.*")));
            for (name, value) in members {
                let name = if is_map { "*" } else { name };
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                if !is_map {
                    into.insert(path.clone());
                }
                fields(of, &path, value, into);
            }
            // What is always there, wherever its parent is.
            let begin = if path.is_empty() { String::new() } else { format!("{path}.") };
            for (field, always) in of {
                let own =
                    field.strip_prefix(&begin).filter(|rest| !rest.contains(['.', '[']) && *rest != "*");
                if let Some(own) = own.filter(|_| *always && !is_map) {
                    assert!(members.contains_key(own), "{field} is not there: {value}");
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                fields(of, &format!("{path}[]"), item, into);
            }
        }
        _ => {}
    }
}

/// The kind of a document and its fields, each of which is on the page.
pub fn documented(told: &Value) -> (String, BTreeSet<String>) {
    let kind = told["kind"].as_str().expect("a kind").to_owned();
    let of = page().get(&kind).unwrap_or_else(|| panic!("docs/output.md has no {kind}"));
    let mut own = told.clone();
    let members = own.as_object_mut().expect("an object");
    members.remove("apiVersion");
    members.remove("kind");
    let mut printed = BTreeSet::new();
    fields(of, "", &own, &mut printed);
    let unknown: Vec<_> = printed.iter().filter(|field| !of.contains_key(*field)).collect();
    assert!(unknown.is_empty(), "docs/output.md has no {unknown:?} in {kind}: {told:#}");
    (kind, printed)
}

/// Fields that a kind has because it shares the shape of `waitingFor`, and that nothing fills in it today: no act that a
/// portfolio's token or business asks for destroys anything, and a token that still works is never what doctor begins with.
const NEVER_FILLED: [(&str, &str); 3] = [
    ("Plan", "portfolios[].waitingFor[].ifDone"),
    ("Doctor", "portfolios[].next.waitingFor.ifDone"),
    ("Doctor", "portfolios[].next.waitingFor.expectedBy"),
];

/// What was printed of each kind so far.
#[derive(Default)]
struct Printed(BTreeMap<String, BTreeSet<String>>);

impl Printed {
    fn add(&mut self, what: &str, said: &[u8], more: &str) {
        let told: Value =
            serde_json::from_slice(said).unwrap_or_else(|error| panic!("{what}: {error}: {more}"));
        let (kind, printed) = documented(&told);
        self.0.entry(kind).or_default().extend(printed);
    }

    async fn run(&mut self, kubeconfig: &Path, rig: &Rig, args: &[&str], input: &str) -> Value {
        let output = run_as(kubeconfig, rig, &[args, &["-o", "json"]].concat(), input).await;
        self.add(&format!("{args:?}"), &output.stdout, &format!("{}{}", stdout(&output), stderr(&output)));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Of these kinds every documented field was printed.
    fn assert_whole(&self, kinds: &[&str]) {
        let mut never = Vec::new();
        for kind in kinds {
            let printed = self.0.get(*kind).unwrap_or_else(|| panic!("no command printed {kind}"));
            let is_never_filled = |field: &String| NEVER_FILLED.contains(&(*kind, field.as_str()));
            let filled: Vec<_> = printed.iter().filter(|field| is_never_filled(field)).collect();
            assert!(filled.is_empty(), "NEVER_FILLED names what {kind} was printed with: {filled:?}");
            let unseen =
                page()[*kind].keys().filter(|field| !printed.contains(*field) && !is_never_filled(field));
            never.extend(unseen.map(|field| format!("{kind}: {field}")));
        }
        assert!(never.is_empty(), "no command printed:\n{}", never.join("\n"));
    }
}

/// The kinds of which a test of this file sees every field, by the test.
const WHOLE: [&[&str]; 4] = [
    &["Lint", "Explanation"],
    &[
        "Fleet",
        "ChannelStatus",
        "PortfolioStatus",
        "WaitingList",
        "PortfolioReconcile",
        "ChannelSuspension",
        "EventList",
        "Timeline",
        "SupportBundle",
    ],
    &["ConsentAnswer", "ConsentAnswerList", "CodeAnswer"],
    &["Doctor", "Plan"],
];

/// A new kind needs a command that is run here.
#[test]
fn every_kind_of_the_page_is_seen_whole() {
    let seen: BTreeSet<&str> = WHOLE.iter().copied().flatten().copied().collect();
    assert_eq!(seen, page().keys().map(String::as_str).collect());
}

/// Words that decide have to be understood, or nothing of what stands beside them is told.
const WORDS: &[(&str, &str)] = &[
    ("outcome", "Refused"),
    ("cause", "Retry"),
    ("step", "Register"),
    ("usedFor", "Register"),
    ("action", "AskForCode"),
    ("actor", "PhoneHolder"),
];

/// A value for every member of a schema: the fullest status that there may be.
fn full(schema: &Value, now: &str) -> Value {
    if let Some(words) = schema["enum"].as_array() {
        return words[0].clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let members = schema["properties"].as_object();
            let named = members.into_iter().flatten().map(|(name, member)| {
                let word = WORDS.iter().find(|(of, _)| of == name);
                let word = word.filter(|_| member["type"] == "string").map(|(_, word)| json!(word));
                (name.clone(), word.unwrap_or_else(|| full(member, now)))
            });
            let more = Some(&schema["additionalProperties"]).filter(|more| more.is_object());
            named.chain(more.map(|more| ("one".to_owned(), full(more, now)))).collect::<Map<_, _>>().into()
        }
        Some("array") => json!([full(&schema["items"], now)]),
        Some("integer" | "number") => json!(schema["minimum"].as_i64().unwrap_or(1).max(1)),
        Some("boolean") => json!(true),
        _ if schema["format"] == "date-time" => json!(now),
        _ => {
            let least = usize::try_from(schema["minLength"].as_u64().unwrap_or(1)).expect("short");
            json!("X".repeat(least.max(1)))
        }
    }
}

/// The fullest status of a kind.
fn full_status(plural: &str, now: &str) -> Value {
    let path = Path::new(ROOT).join(format!("crds/{plural}.yaml"));
    let crd: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).expect("a CRD")).expect("YAML");
    full(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"], now)
}

/// Of commands that need no cluster.
#[test]
fn what_is_printed_without_a_cluster_is_documented() {
    let dir = tempfile::tempdir().expect("a folder");
    let wrong = dir.path().join("wrong.yaml").display().to_string();
    std::fs::write(&wrong, "kind: WhatsAppChannel\napiVersion: whatsapp-operator.dev/v1alpha1\n")
        .expect("written");
    let mut printed = Printed::default();
    for args in [
        &["lint", "-f", &wrong][..],
        &["plan", "-f", "examples", "--sandbox", "--whole-way"],
        &["doctor", "-f", "examples", "--sandbox"],
        &["explain", "NameDeclined"],
        &["explain", "AskForCode"],
        &["explain", "NumberVerified"],
        &["explain", "133005"],
        &["explain", "100/33"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_whatsapp-operator"))
            .args(args)
            .args(["-o", "json"])
            .current_dir(ROOT)
            .env_clear()
            .output()
            .expect("the binary runs");
        printed.add(&format!("{args:?}"), &output.stdout, &stderr(&output));
    }
    printed.assert_whole(WHOLE[0]);
}

/// Of commands that look into a cluster, on objects whose statuses hold everything that they may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_printed_of_a_full_status_is_documented_and_nothing_else_is() {
    let rig = Rig::with_portfolio("printed").await;
    rig.channel("support", "+5511917000021", json!({})).await;
    let now = format!("{:.0}", jiff::Timestamp::now());
    let mut channel = full_status("whatsappchannels", &now);
    let mut portfolio = full_status("whatsappportfolios", &now);
    for (status, kind) in [(&mut channel, "NumberVerified"), (&mut portfolio, "CredentialsValid")] {
        status["observedGeneration"] = json!(1);
        let condition = |kind: &str, reason: &str| {
            json!({
                "type": kind, "status": "False", "reason": reason, "message": "told",
                "lastTransitionTime": now, "observedGeneration": 1,
            })
        };
        status["conditions"] = json!([condition("Ready", "CodeNeeded"), condition(kind, "CodeNeeded")]);
    }
    let account = portfolio["accounts"][0]["id"].clone();
    channel["accountId"] = account;
    rig.edit_status("wac", "support", channel).await;
    rig.edit_status("wap", "acme", portfolio).await;
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {"name": "told", "namespace": rig.namespace},
        "eventTime": "2026-03-01T12:00:00.000000Z", "type": "Warning", "reason": "Told", "action": "Tell",
        "note": "told", "reportingController": "somebody", "reportingInstance": "somebody-0",
        "regarding": {
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel", "name": "support",
            "namespace": rig.namespace,
        },
    });
    rig.plane.apply_rendered(&rig.namespace, &event.to_string()).await;
    let mut printed = Printed::default();
    for args in [
        &["status"][..],
        &["status", "support"],
        &["status", "portfolio/acme"],
        &["waiting"],
        &["events", "support"],
        &["timeline", "support"],
        &["suspend", "support"],
        &["reconcile", "portfolio/acme"],
    ] {
        printed.run(&rig.plane.admin_kubeconfig(), &rig, args, "").await;
    }
    // What somebody may not read or write is told as well.
    let reader = reader(&rig).await;
    for args in [&["waiting"][..], &["timeline", "support"], &["suspend", "-l", "!retired"]] {
        rig.edit("wac", "support", json!({"suspend": false})).await;
        printed.run(&reader, &rig, args, "").await;
    }
    help_desk::pod(&rig, "a line\n".to_owned()).await;
    let again = json!({"status": {"containerStatuses": [{
        "name": "operator", "image": "", "imageID": "", "ready": true, "restartCount": 1,
        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
    }]}});
    let again = again.to_string();
    let args = ["-n", &rig.namespace, "patch", "pod", "operator-0", "--subresource=status", "-p", &again];
    let patched = rig.plane.kubectl(args).await;
    assert!(patched.status.success(), "{}", stderr(&patched));
    let bundle = ["support-bundle", "--operator-namespace", &rig.namespace];
    printed.run(&rig.plane.admin_kubeconfig(), &rig, &bundle, "").await;
    printed.assert_whole(WHOLE[1]);
}

/// Somebody who may read channels, and nothing else.
async fn reader(rig: &Rig) -> PathBuf {
    let name = "reader";
    rig.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})).await;
    rig.apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name},
        "rules": [{
            "apiGroups": ["whatsapp-operator.dev"], "resources": ["whatsappchannels"], "verbs": ["get", "list"],
        }],
    }))
    .await;
    rig.apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": rig.namespace}],
    }))
    .await;
    rig.plane.service_account_kubeconfig(&rig.namespace, name).await
}

/// Of commands that an operator answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_printed_of_an_answer_is_documented_and_nothing_else_is() {
    let mut rig = Rig::with_portfolio("answers").await;
    rig.start().await;
    for (name, number) in [("front", "+5511917000031"), ("back", "+5511917000032")] {
        rig.channel(name, number, json!({})).await;
    }
    for name in ["front", "back"] {
        rig.until_condition(name, "NumberVerified", "False", Some("CodeNeeded")).await;
    }
    let editor = editor(&rig).await;
    let mut printed = Printed::default();
    // Refused, accepted, and of the two together one that is left out.
    for (args, verdict) in
        [(&["retry", "front", "--wait"][..], "Refused"), (&["send-code", "front", "--wait"], "Accepted")]
    {
        let told = printed.run(&editor, &rig, args, "").await;
        assert_eq!(told["verdict"], verdict, "{told:#}");
    }
    printed.run(&editor, &rig, &["send-code", "-l", "!retired", "--wait"], "").await;
    let code = rig.sandbox.delivered_code("5511917000031").expect("a code");
    printed.run(&editor, &rig, &["code", "front"], &code).await;
    printed.assert_whole(WHOLE[2]);
}

/// Of commands that look at Meta by themselves, in any state of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_printed_of_any_state_of_meta_is_documented_and_nothing_else_is() {
    let mut printed = Printed::default();
    for state in STATES {
        let desk = Desk::new(state).await;
        for (command, more) in [("doctor", &[][..]), ("plan", &["--whole-way"])] {
            let output = desk.run(command, &desk.manifest, &[more, &["-o", "json"]].concat());
            printed.add(command, &output.stdout, &stderr(&output));
        }
    }
    // A number that is to be connected from the app, which takes something away there.
    let desk = Desk::new(&STATES[0]).await;
    let manifests = desk.manifest.replace("5678\"", "5670\"");
    let manifests = manifests.replace("  portfolioRef", "  connection: Coexistence\n  portfolioRef");
    for command in ["doctor", "plan"] {
        let output = desk.run(command, &manifests, &["-o", "json"]);
        printed.add(command, &output.stdout, &stderr(&output));
    }

    // A cluster with what was done before, with a token that soon expires, and with a portfolio that no channel uses.
    let rig = Rig::with_portfolio("states").await;
    let (number, id) = ("5511912345678", "100000000000777");
    rig.sandbox.add_number(Number::new(id, ACCOUNT, number, "Acme Support").registered("271828"));
    rig.secret("support-pin", json!({"pin": "271828"})).await;
    rig.channel("support", &format!("+{number}"), json!({"profile": {"about": "Open"}})).await;
    let day = (Timestamp::now() - SignedDuration::from_hours(24)).to_string();
    let done = |id: &str| json!({"id": id, "at": day, "outcome": "Accepted", "cause": "Automatic"});
    let refusal = json!({"code": 100, "message": "no", "class": "Spec", "scope": "Call"});
    let pace = json!({"generation": 1, "failed": 3, "accepted": 0, "last": day, "refusal": refusal});
    let memory = json!({
        "ledger": {
            "names": [done("n1")], "registrations": [done("r1")], "repeatable": {"WriteProfile": pace},
        },
        "marks": {"added": day, "registered": day},
    });
    let status = json!({"businessId": BUSINESS, "accountId": ACCOUNT, "phoneNumberId": id, "memory": memory});
    rig.edit_status("wac", "support", status).await;
    let mut soon = Token::system_user(APP, BUSINESS);
    soon.expires_at = Some(Timestamp::now() + SignedDuration::from_hours(48));
    rig.sandbox.add_token(&rig.token, soon);
    rig.secret("alone-meta", json!({"token": "EAAsandbox-of-nobody"})).await;
    rig.portfolio("alone", json!({})).await;
    let editor = editor(&rig).await;
    let graph = ["--graph-url", &rig.graph_url];
    for name in ["Acme Support", "Acme Brasil"] {
        let manifest = format!(
            "apiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppChannel\nmetadata: {{name: support}}\nspec:\n  \
             portfolioRef: {{name: acme}}\n  phoneNumber: \"+{number}\"\n  displayName: {name}\n  \
             profile: {{about: Open}}\n"
        );
        printed.run(&editor, &rig, &[&["plan", "-f", "-"], &graph[..]].concat(), &manifest).await;
    }
    printed.run(&editor, &rig, &[&["doctor"], &graph[..]].concat(), "").await;
    printed.assert_whole(WHOLE[3]);
}
