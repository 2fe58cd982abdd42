//! `doctor`: which link breaks for each state that Meta may show, what it costs (nothing), and how it ends.
//!
//! What it prints for each state is kept beside this file in `doctor`, and is written anew by `make golden`.

use std::process::{Command, Output};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use whatsapp_operator::engine::observed::OtherApp;
use whatsapp_operator::sandbox::{
    Account, App, EndpointAnswer, Fault, FaultKind, Match, Number, Options, Portfolio, Sandbox, Token, World,
};

use crate::cli::{editor, run_as, stderr, stdout};
use crate::kept;
use crate::rig::{ACCOUNT, APP, BUSINESS, Rig, condition, free_address};

const KEPT: &str = "tests/it/doctor";
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const NUMBER: &str = "+5511912345678";
const DIGITS: &str = "5511912345678";
const ID: &str = "100000000000777";
const OTHER_ACCOUNT: &str = "300000000000002";
const TOKEN: &str = "EAAsandbox-doctor-token";
const PIN: &str = "271828";
const HOOK: &str = "https://bot.acme.example/wa";
const MANIFEST: &str = r#"
apiVersion: whatsapp-operator.dev/v1alpha1
kind: WhatsAppChannel
metadata: {name: support}
spec:
  portfolioRef: {name: acme}
  accountId: "300000000000001"
  phoneNumber: "+5511912345678"
  displayName: Acme Support
  webhook:
    callbackUrl: https://bot.acme.example/wa
    verifyTokenSecretRef: {name: bot, key: verify}
---
apiVersion: whatsapp-operator.dev/v1alpha1
kind: WhatsAppPortfolio
metadata: {name: acme}
spec:
  businessId: "500000000000001"
  credentials:
    accessTokenSecretRef: {name: acme-meta, key: token}
    appId: "200000000000001"
"#;

/// A state of Meta, by what it changes of a world in which all is well.
pub struct State {
    name: &'static str,
    code: i32,
    /// The first link that is not as it should be; none where all is well.
    link: Option<&'static str>,
    change: fn(&mut World),
    faults: fn() -> Vec<Fault>,
    /// What its spec has beside that of the manifest.
    spec: &'static str,
}

fn well() -> World {
    let mut account = Account::new(ACCOUNT, BUSINESS, "Acme");
    account.subscriptions.entry(APP.to_owned()).or_default();
    let mut number = Number::new(ID, ACCOUNT, DIGITS, "Acme Support").registered(PIN);
    number.webhook.callback = Some(HOOK.to_owned());
    let mut world = World::default()
        .with_app(App::new(APP, "Acme Ops"))
        .with_portfolio(Portfolio::new(BUSINESS, "Acme Ltda").verified())
        .with_account(account)
        .with_account(Account::new(OTHER_ACCOUNT, BUSINESS, "Acme Two"))
        .with_number(number)
        .with_token(TOKEN, Token::system_user(APP, BUSINESS));
    world.webhook_endpoints.insert(HOOK.to_owned(), EndpointAnswer::Echo);
    world
}

fn token(world: &mut World) -> &mut Token {
    world.tokens.get_mut(TOKEN).expect("the token")
}

fn account(world: &mut World) -> &mut Account {
    world.accounts.get_mut(ACCOUNT).expect("the account")
}

fn number(world: &mut World) -> &mut Number {
    world.numbers.get_mut(ID).expect("the number")
}

/// In the account, and neither verified nor registered.
fn fresh(world: &mut World) -> &mut Number {
    world.numbers.insert(ID.to_owned(), Number::new(ID, ACCOUNT, DIGITS, "Acme Support"));
    number(world)
}

fn blocked(code: i64, words: &str) -> Value {
    json!({"can_send_message": "BLOCKED", "entities": [
        {"entity_type": "PHONE_NUMBER", "id": ID, "can_send_message": "AVAILABLE"},
        {"entity_type": "WABA", "id": ACCOUNT, "can_send_message": "BLOCKED", "errors": [
            {"error_code": code, "error_description": words, "possible_solution": "See the page."}
        ]}
    ]})
}

fn none() -> Vec<Fault> {
    Vec::new()
}

fn status(edge: &str) -> Vec<Fault> {
    vec![Fault { on: Match::on("GET", edge), kind: FaultKind::Status { code: 503 } }]
}

fn app_blocked() -> Vec<Fault> {
    let edges = ["business", "owned_whatsapp_business_accounts", "client_whatsapp_business_accounts"];
    let envelope = json!({"error": {"message": "API access blocked.", "code": 200}});
    let kind = FaultKind::Error { envelope };
    edges.map(|edge| Fault { on: Match::on("GET", edge), kind: kind.clone() }).into()
}

pub const STATES: &[State] = &[
    State { name: "all-well", code: 0, link: None, change: |_| {}, faults: none, spec: "" },
    State {
        name: "other-apps",
        code: 0,
        link: None,
        change: |world| {
            for (id, name) in [("200000000000008", "Acme CRM"), ("200000000000009", "Old Partner")] {
                world.apps.insert(id.to_owned(), App::new(id, name));
                account(world).subscriptions.entry(id.to_owned()).or_default();
            }
        },
        faults: none,
        spec: "",
    },
    State {
        name: "token-revoked",
        code: 3,
        link: Some("Token"),
        change: |world| token(world).dead = Some(460),
        faults: none,
        spec: "",
    },
    State {
        name: "token-expired",
        code: 3,
        link: Some("Token"),
        change: |world| {
            token(world).expires_at = Some(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24));
        },
        faults: none,
        spec: "",
    },
    State {
        name: "scopes-missing",
        code: 3,
        link: Some("Scopes"),
        change: |world| token(world).scopes.clear(),
        faults: none,
        spec: "",
    },
    State {
        name: "scope-not-listed",
        code: 0,
        link: None,
        change: |world| {
            let scope = "whatsapp_business_messaging".to_owned();
            token(world).unlisted.insert(scope);
        },
        faults: none,
        spec: "",
    },
    State {
        name: "token-of-another-app",
        code: 3,
        link: Some("App"),
        change: |world| {
            let id = "200000000000009";
            world.apps.insert(id.to_owned(), App::new(id, "Acme Reports"));
            token(world).app = id.to_owned();
        },
        faults: none,
        spec: "",
    },
    State {
        name: "app-wants-signed-calls",
        code: 3,
        link: Some("App"),
        change: |world| {
            let app = world.apps.get_mut(APP).expect("the app");
            (app.secret, app.require_proof) = (Some("a secret".to_owned()), true);
        },
        faults: none,
        spec: "",
    },
    State {
        name: "wrong-business",
        code: 3,
        link: Some("Portfolio"),
        change: |world| {
            world.portfolios.clear();
            let other = Portfolio::new("500000000000009", "Somebody Else");
            world.portfolios.insert(other.id.clone(), other);
            token(world).portfolio = "500000000000009".to_owned();
        },
        faults: none,
        spec: "",
    },
    State {
        name: "account-hidden",
        code: 3,
        link: Some("Account"),
        change: |world| {
            let other = Portfolio::new("500000000000009", "Somebody Else");
            world.portfolios.insert(other.id.clone(), other);
            account(world).owner = "500000000000009".to_owned();
        },
        faults: none,
        spec: "",
    },
    State {
        name: "account-in-review",
        code: 0,
        link: Some("Account"),
        change: |world| account(world).account_review_status = "PENDING".to_owned(),
        faults: none,
        spec: "",
    },
    State {
        name: "not-subscribed",
        code: 0,
        link: Some("Subscription"),
        change: |world| account(world).subscriptions.clear(),
        faults: none,
        spec: "",
    },
    State {
        name: "number-absent",
        code: 0,
        link: Some("Number"),
        change: |world| world.numbers.clear(),
        faults: none,
        spec: "",
    },
    State {
        name: "number-in-another-account",
        code: 3,
        link: Some("Number"),
        change: |world| number(world).account = OTHER_ACCOUNT.to_owned(),
        faults: none,
        spec: "",
    },
    State {
        name: "name-declined",
        code: 3,
        link: Some("Name"),
        change: |world| fresh(world).name_status = "DECLINED".to_owned(),
        faults: none,
        spec: "",
    },
    State {
        name: "code-needed",
        code: 3,
        link: Some("Code"),
        change: |world| fresh(world).name_status = "APPROVED".to_owned(),
        faults: none,
        spec: "",
    },
    State {
        name: "verified-and-not-registered",
        code: 0,
        link: Some("Registration"),
        change: |world| {
            let number = fresh(world);
            number.name_status = "APPROVED".to_owned();
            number.code_verification_status = "VERIFIED".to_owned();
            number.verified = Some(Timestamp::now());
        },
        faults: none,
        spec: "",
    },
    State {
        name: "webhook-differs",
        code: 0,
        link: Some("Webhook"),
        change: |world| number(world).webhook.callback = Some("https://elsewhere.example/".to_owned()),
        faults: none,
        spec: "",
    },
    State {
        name: "payment-problem",
        code: 3,
        link: Some("Payment"),
        change: |world| {
            let health = blocked(141_006, "There is a payment problem \u{202e}here.");
            number(world).raw.insert("health_status".to_owned(), health);
        },
        faults: none,
        spec: "",
    },
    State {
        name: "health-blocked",
        code: 3,
        link: Some("Health"),
        change: |world| {
            let health = blocked(141_010, "The account violated a policy.");
            number(world).raw.insert("health_status".to_owned(), health);
        },
        faults: none,
        spec: "",
    },
    State {
        name: "declined-and-payment",
        code: 3,
        link: Some("Name"),
        change: |world| {
            fresh(world).name_status = "DECLINED".to_owned();
            let health = blocked(141_006, "There is a payment problem.");
            number(world).raw.insert("health_status".to_owned(), health);
        },
        faults: none,
        spec: "",
    },
    State {
        name: "in-review-and-payment",
        code: 3,
        link: Some("Payment"),
        change: |world| {
            account(world).account_review_status = "PENDING".to_owned();
            let health = blocked(141_006, "There is a payment problem.");
            number(world).raw.insert("health_status".to_owned(), health);
        },
        faults: none,
        spec: "",
    },
    State {
        name: "not-subscribed-and-blocked",
        code: 3,
        link: Some("Health"),
        change: |world| {
            account(world).subscriptions.clear();
            let health = blocked(141_010, "The account violated a policy.");
            number(world).raw.insert("health_status".to_owned(), health);
        },
        faults: none,
        spec: "",
    },
    State {
        name: "numbers-not-read",
        code: 1,
        link: None,
        change: |_| {},
        faults: || status("phone_numbers"),
        spec: "",
    },
    State {
        name: "account-not-read",
        code: 1,
        link: None,
        change: |_| {},
        faults: || status("waba"),
        spec: "",
    },
    State { name: "app-blocked", code: 3, link: Some("App"), change: |_| {}, faults: app_blocked, spec: "" },
    State {
        name: "suspended-and-app-blocked",
        code: 3,
        link: Some("App"),
        change: |_| {},
        faults: app_blocked,
        spec: "  suspend: true\n",
    },
    State {
        name: "suspended-and-token-revoked",
        code: 3,
        link: Some("Token"),
        change: |world| token(world).dead = Some(460),
        faults: none,
        spec: "  suspend: true\n",
    },
    State { name: "suspended", code: 0, link: None, change: |_| {}, faults: none, spec: "  suspend: true\n" },
    State {
        name: "suspended-and-only-observed",
        code: 0,
        link: None,
        change: |world| number(world).webhook.callback = None,
        faults: none,
        spec: "  suspend: true\n  managementPolicy: ObserveOnly\n",
    },
    State {
        name: "two-overrides-and-an-app-of-metas",
        code: 0,
        link: None,
        change: |world| {
            let id = "200000000000009";
            world.apps.insert(id.to_owned(), App::new(id, OtherApp::OF_META));
            account(world).subscriptions.entry(id.to_owned()).or_default();
            let ours = account(world).subscriptions.entry(APP.to_owned()).or_default();
            ours.callback = Some("https://old.acme.example/wa".to_owned());
        },
        faults: none,
        spec: "",
    },
];

/// A Meta on loopback in this state.
pub struct Desk {
    sandbox: Sandbox,
    url: String,
    stop: CancellationToken,
    pub manifest: String,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Desk {
    pub async fn new(state: &State) -> Self {
        let mut world = well();
        (state.change)(&mut world);
        let sandbox = Sandbox::from_world(Options::live(1, Timestamp::now()), world);
        for fault in (state.faults)() {
            sandbox.inject(fault);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound port"));
        let stop = CancellationToken::new();
        tokio::spawn(sandbox.clone().serve(listener, stop.clone()));
        let spec = format!("spec:\n{}  portfolioRef", state.spec);
        Self { sandbox, url, stop, manifest: MANIFEST.replace("spec:\n  portfolioRef", &spec) }
    }

    fn doctor(&self, more: &[&str]) -> Output {
        self.run("doctor", &self.manifest, more)
    }

    /// Looks with this command at what the manifests are about.
    pub fn run(&self, command: &str, manifests: &str, more: &[&str]) -> Output {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.yaml");
        std::fs::write(&path, manifests).expect("written");
        let path = path.display().to_string();
        run(
            &[&[command, "-f", &path, "--graph-url", &self.url], more].concat(),
            &[("WHATSAPP_TOKEN_ACME", TOKEN)],
        )
    }
}

fn run(args: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_whatsapp-operator"))
        .args(args)
        .current_dir(ROOT)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("the binary runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", stdout(output), stderr(output))
}

/// The lines of the chain, without what differs from run to run.
fn chain(output: &Output) -> String {
    let text = stdout(output);
    let (_, chain) = text.split_once("Acme Support\n").expect("a channel");
    let lines = chain.lines().skip(1).map(|line| {
        // Which call was answered first differs.
        let line = without_dates(line);
        match line.split_once(", trace ").and_then(|(head, tail)| Some((head, tail.split_once(')')?.1))) {
            Some((head, tail)) => format!("{head}){tail}"),
            None => line,
        }
    });
    let lines: Vec<String> = lines.collect();
    format!("{}\n", lines.join("\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_state_breaks_at_its_link_and_nothing_is_written() {
    let mut differences = Vec::new();
    for state in STATES {
        let desk = Desk::new(state).await;
        let (text, json) = (desk.doctor(&[]), desk.doctor(&["-o", "json"]));
        let report: Value = serde_json::from_slice(&json.stdout).expect("JSON");
        let next = &report["channels"][0]["next"];
        assert_eq!(next["link"].as_str(), state.link, "{}: {}\n{report:#}", state.name, said(&text));
        assert_eq!(text.status.code(), Some(state.code), "{}: {}", state.name, said(&text));
        assert_eq!(json.status.code(), Some(state.code), "{}: programs are told the same", state.name);
        assert_eq!(report["apiVersion"], "whatsapp-operator.dev/v1alpha1");
        assert!(!said(&text).contains(TOKEN) && !said(&json).contains(TOKEN), "{}: a token", state.name);
        assert!(!said(&text).contains('\u{202e}'), "{}: a character that acts", state.name);
        assert!(desk.sandbox.effects().is_empty(), "{}: an effect at Meta", state.name);
        // The first that is broken is the first, whatever needs no person before it.
        let broken = links(&report).iter().find(|link| link["mark"] == "Broken");
        if let Some(broken) = broken {
            assert_eq!(broken["link"].as_str(), state.link, "{}: {report:#}", state.name);
        }
        let marked: Vec<String> = stdout(&text).lines().filter_map(marked).collect();
        let expected: Vec<String> = state.link.iter().map(|link| link.to_lowercase()).collect();
        assert_eq!(marked, expected, "{}: without colours, too", state.name);
        let links: Vec<&str> = links(&report).iter().filter_map(|link| link["link"].as_str()).collect();
        assert_eq!(links.len(), 13, "{}: every link has its line", state.name);
        differences
            .extend(kept::difference(&format!("{KEPT}/{}.snap", state.name), &kept::wrapped(&chain(&text))));
    }
    assert!(differences.is_empty(), "{}\nwritten anew by make golden", differences.join("\n"));
}

/// The link of a line that is marked as the first that does not hold.
fn marked(line: &str) -> Option<String> {
    let marked = line.trim_start().strip_prefix("> ")?;
    let link = ["broken", "warn"].iter().find_map(|mark| marked.strip_prefix(mark))?;
    Some(link.split_whitespace().next()?.to_owned())
}

/// A message may name a time, and how far it is.
fn without_dates(line: &str) -> String {
    let is_date = |word: &str| {
        word.len() >= 10 && word.as_bytes()[4] == b'-' && word.as_bytes()[..4].iter().all(u8::is_ascii_digit)
    };
    let mut words: Vec<&str> = Vec::new();
    let mut all = line.split(' ').peekable();
    while let Some(word) = all.next() {
        if !is_date(word) {
            words.push(word);
            continue;
        }
        words.push("DATE");
        // The time of day, or how far it is, stands behind it.
        all.next_if(|next| next.contains(':'));
        if all.next_if_eq(&"(in").is_some() {
            all.next();
        }
    }
    words.join(" ")
}

fn links(report: &Value) -> &Vec<Value> {
    report["channels"][0]["links"].as_array().expect("links")
}

#[test]
fn every_example_has_its_chain_against_the_sandbox() {
    let output = run(&["doctor", "-f", "examples", "--sandbox", "-o", "json"], &[]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let of = |name: &str| {
        let channels = report["channels"].as_array().expect("channels");
        channels.iter().find(|channel| channel["name"] == name).expect("the channel").clone()
    };
    assert_eq!(of("support-br")["next"]["link"], "Number");
    assert_eq!(of("newco-hello")["next"]["reason"], "NoAccountInReach");
    assert!(of("sales-uk")["next"].is_null(), "it is registered: {report:#}");
}

/// What the page has people try.
#[test]
fn the_commands_of_the_page_run_as_they_are_written() {
    let page = std::fs::read_to_string(format!("{ROOT}/docs/doctor.md")).expect("the page");
    let blocks = page.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let commands: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert!(!commands.is_empty(), "the page has commands");
    for command in commands {
        let args: Vec<&str> = command.split(' ').collect();
        assert_eq!(args.first(), Some(&"whatsapp-operator"), "{command}");
        let output = run(&args[1..], &[]);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{command}: {}", said(&output));
        assert!(stdout(&output).contains("ok           token "), "{command}: {}", said(&output));
    }
}

#[test]
fn without_credentials_cluster_or_manifests_it_says_what_to_do() {
    let none = run(&["doctor", "-f", "examples/mobile-sms.yaml"], &[]);
    assert_eq!(none.status.code(), Some(1), "{}", said(&none));
    assert!(stderr(&none).contains("give each a token with --token-file"), "{}", said(&none));
    let nobody = run(&["doctor", "support-br"], &[]);
    assert!(stderr(&nobody).starts_with("error: no cluster"), "{}", said(&nobody));
    let both = run(&["doctor", "support-br", "-f", "examples"], &[]);
    assert_eq!(both.status.code(), Some(1), "{}", said(&both));
    let sandbox = run(&["doctor", "support-br", "--sandbox"], &[]);
    assert_eq!(sandbox.status.code(), Some(1), "a sandbox is made from manifests: {}", said(&sandbox));
}

/// A time-out says nothing about the token.
#[test]
fn a_meta_that_does_not_answer_breaks_nothing() {
    let nobody = format!("http://{}", free_address());
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.yaml");
    std::fs::write(&path, MANIFEST).expect("written");
    let path = path.display().to_string();
    let output = run(&["doctor", "-f", &path, "--graph-url", &nobody], &[("WHATSAPP_TOKEN_ACME", TOKEN)]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(!stdout(&output).contains("broken  "), "{}", said(&output));
    assert!(stdout(&output).contains("not checked  token         not read: "), "{}", said(&output));
}

/// On a real API server, with the rights of an editor, and no operator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_without_an_operator_and_writes_nothing_to_the_cluster() {
    let rig = Rig::with_portfolio("doctor").await;
    let mut verified = Number::new(ID, ACCOUNT, DIGITS, "Acme Support");
    verified.name_status = "APPROVED".to_owned();
    verified.verified = Some(Timestamp::now());
    verified.pin = Some(PIN.to_owned());
    rig.sandbox.add_number(verified);
    rig.channel("support", NUMBER, json!({})).await;
    rig.channel("sales", "+5511912345679", json!({})).await;
    let kubeconfig = editor(&rig).await;
    let mark = rig.plane.mark().await;
    let doctor = async |args: &[&str]| {
        let args = [&["doctor", "--graph-url", &rig.graph_url], args].concat();
        run_as(&kubeconfig, &rig, &args, "").await
    };
    let all = doctor(&["-o", "json"]).await;
    let report: Value = serde_json::from_slice(&all.stdout).expect("JSON");
    let names: Vec<&str> =
        report["channels"].as_array().expect("channels").iter().filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(names.len(), 2, "{}", said(&all));
    let one = doctor(&["support"]).await;
    assert_eq!(one.status.code(), Some(3), "{}", said(&one));
    assert!(stdout(&one).contains("Next at the registration: PinNeeded"), "{}", said(&one));
    assert!(stdout(&one).contains("ClusterUser: ProvidePin"), "{}", said(&one));
    assert!(!said(&one).contains(&rig.token), "a token in the output");
    let gone = doctor(&["nobody"]).await;
    assert_eq!(gone.status.code(), Some(1), "{}", said(&gone));
    assert!(stderr(&gone).contains("there is no channel nobody in namespace"), "{}", said(&gone));
    let writes: Vec<_> = rig
        .plane
        .audit_since(mark)
        .await
        .into_iter()
        .filter(|entry| entry.is_from_service_account(&rig.namespace, "editor") && entry.is_write())
        .collect();
    assert!(writes.is_empty(), "{writes:?}");
    assert!(rig.sandbox.effects().is_empty(), "an effect at Meta");
}

/// The condition of a status that a link tells of.
const TOLD_BY: [(&str, &str); 8] = [
    ("Account", "AccountUsable"),
    ("Number", "NumberAdded"),
    ("Name", "DisplayNameApproved"),
    ("Code", "NumberVerified"),
    ("Registration", "Registered"),
    ("Webhook", "WebhookRouted"),
    ("Payment", "PaymentReady"),
    ("Health", "Healthy"),
];

/// Which of these links say something else than the status.
fn contradictions(links: &Value, status: &Value) -> Vec<String> {
    let links = links.as_array().expect("links");
    let mark = |link: &str| links.iter().find(|one| one["link"] == link).and_then(|one| one["mark"].as_str());
    let is_told = |(link, kind): &(&str, &str)| {
        let condition = condition(status, kind).unwrap_or_else(|| panic!("no {kind}: {status:#}"));
        match (condition["status"].as_str(), mark(link)) {
            (Some("True"), Some("Ok"))
            | (Some("False"), Some("Broken"))
            | (Some("Unknown"), Some("NotChecked")) => None,
            (is, mark) => Some(format!("{link} is {mark:?}, and {kind} {is:?}: {condition}")),
        }
    };
    TOLD_BY.iter().filter_map(is_told).collect()
}

/// Beside an operator that works, in every namespace, with channels that are at rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_what_the_status_says_while_an_operator_works_and_writes_nothing() {
    const CRM: &str = "200000000000008";
    let mut rig = Rig::apart("doctor-all").await;
    rig.sandbox.add_account(Account::new(OTHER_ACCOUNT, BUSINESS, "Acme Shop"));
    assert!(rig.sandbox.set_field(ACCOUNT, "subscriptions", json!({APP: {}})));
    assert!(rig.sandbox.subscribe(OTHER_ACCOUNT, App::new(CRM, "Acme CRM")));
    assert!(rig.sandbox.set_field(OTHER_ACCOUNT, "subscriptions", json!({APP: {}, CRM: {}})));
    let digits = |n: usize| format!("551191234567{n}");
    for (n, account, callback) in [
        (1, ACCOUNT, HOOK),
        (2, ACCOUNT, "https://elsewhere.example/wa"),
        (3, OTHER_ACCOUNT, HOOK),
        (4, ACCOUNT, HOOK),
    ] {
        let mut number =
            Number::new(&format!("10000000000077{n}"), account, &digits(n), "Acme Support").registered(PIN);
        number.name_status = "APPROVED".to_owned();
        number.webhook.callback = Some(callback.to_owned());
        rig.sandbox.add_number(number);
    }
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "stringData": {"verify": "word"},
        "metadata": {"name": "bot", "labels": {"whatsapp-operator.dev/use": "verify-token"}},
    }))
    .await;
    let hook = json!({"callbackUrl": HOOK, "verifyTokenSecretRef": {"name": "bot", "key": "verify"}});
    for (n, name, account) in [(1, "well", ACCOUNT), (2, "elsewhere", ACCOUNT), (3, "shared", OTHER_ACCOUNT)]
    {
        let spec = json!({"accountId": account, "driftPolicy": "Report", "webhook": hook});
        rig.channel(name, &format!("+{}", digits(n)), spec).await;
    }
    // No operator looks after this one.
    let beside = rig.plane.namespace("doctor-beside").await;
    rig.secret(&format!("{beside}/acme-meta"), json!({"token": rig.token})).await;
    rig.apply(&json!({
        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppPortfolio",
        "metadata": {"name": "acme", "namespace": beside},
        "spec": {
            "businessId": BUSINESS,
            "credentials": {"accessTokenSecretRef": {"name": "acme-meta", "key": "token"}},
        },
    }))
    .await;
    rig.channel(&format!("{beside}/alone"), &format!("+{}", digits(4)), json!({"accountId": ACCOUNT})).await;
    rig.start().await;
    for (name, ready, reason) in
        [("well", "True", None), ("elsewhere", "False", Some("WebhookDiffers")), ("shared", "True", None)]
    {
        rig.until_condition(name, "Ready", ready, reason).await;
    }
    rig.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "doctor"}})).await;
    let subject = format!("--serviceaccount={}:doctor", rig.namespace);
    let bind = ["create", "clusterrolebinding", "doctor", "--clusterrole=cluster-admin", &subject];
    assert!(rig.plane.kubectl(bind).await.status.success());
    let kubeconfig = rig.plane.service_account_kubeconfig(&rig.namespace, "doctor").await;
    let mark = rig.at_rest().await;
    let effects = rig.sandbox.effects().len();

    let args = ["doctor", "-A", "-o", "json", "--graph-url", &rig.graph_url.clone()];
    let output = run_as(&kubeconfig, &rig, &args, "").await;
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(!said(&output).contains(&rig.token), "a token in the output");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let all = report["channels"].as_array().expect("channels");
    let of = |name: &str| all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!((all.len(), &report["broken"], &report["notRead"]), (4, &json!(1), &json!(0)), "{report:#}");
    assert_eq!(of("alone")["namespace"], beside.as_str());
    for name in ["well", "elsewhere", "shared"] {
        let status = &rig.get(name).await["status"];
        let wrong = contradictions(&of(name)["links"], status);
        assert!(wrong.is_empty(), "{name}: {wrong:#?}\n{:#}", of(name));
        // What comes first is what Ready says, and who acts is who the status waits for.
        let ready = condition(status, "Ready").expect("Ready");
        let next = &of(name)["next"];
        if ready["status"] == "True" {
            assert!(next.is_null(), "{name}: {next:#}");
        } else {
            let told = (&next["reason"], &next["waitingFor"]["action"], &next["waitingFor"]["actor"]);
            let waits = &status["waitingFor"][0];
            assert_eq!(told, (&ready["reason"], &waits["action"], &waits["actor"]), "{name}: {next:#}");
        }
    }
    assert_eq!(of("elsewhere")["next"]["link"], "Webhook", "{:#}", of("elsewhere"));
    let read = |name: &str, link: &str| {
        let links = of(name)["links"].as_array().expect("links");
        let link = links.iter().find(|one| one["link"] == link).expect("the link");
        link["read"].as_str().expect("text").to_owned()
    };
    assert!(read("elsewhere", "Webhook").contains("https://elsewhere.example/wa"), "{:#}", of("elsewhere"));
    assert!(read("shared", "Subscription").contains(CRM), "{:#}", of("shared"));
    assert!(!read("well", "Subscription").contains(CRM), "{:#}", of("well"));
    let portfolio = rig.get_of("wap", "acme").await;
    let accounts = portfolio["status"]["accounts"].as_array().expect("accounts");
    let of_account = accounts.iter().find(|one| one["id"] == OTHER_ACCOUNT).expect("the account");
    assert_eq!(of_account["apps"]["others"][0]["id"], CRM, "{portfolio:#}");

    let by_doctor = rig.plane.audit_since(mark).await;
    let by_doctor: Vec<_> = by_doctor
        .into_iter()
        .filter(|entry| entry.is_from_service_account(&rig.namespace, "doctor"))
        .collect();
    assert!(by_doctor.len() > 3, "it reads: {by_doctor:?}");
    assert!(!by_doctor.iter().any(crate::control_plane::AuditEntry::is_write), "{by_doctor:?}");
    assert_eq!(rig.sandbox.effects().len(), effects, "an effect at Meta");
    let writes = rig.writes_since(mark).await;
    assert!(writes.is_empty(), "nobody had to write anything after it: {writes:#?}");
}

/// A portfolio is set up before its first channel, and that is when its token is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_has_only_a_portfolio_has_its_links() {
    let rig = Rig::new("doctor-empty").await;
    let kubeconfig = editor(&rig).await;
    let doctor = async |args: &[&str]| {
        let args = [&["doctor", "--graph-url", &rig.graph_url], args].concat();
        run_as(&kubeconfig, &rig, &args, "").await
    };
    let nothing = doctor(&[]).await;
    assert_eq!(nothing.status.code(), Some(1), "{}", said(&nothing));
    assert!(stderr(&nothing).contains("there is no channel in namespace"), "{}", said(&nothing));
    rig.secret("acme-meta", json!({"token": rig.token})).await;
    rig.portfolio("acme", json!({})).await;
    let well = doctor(&[]).await;
    assert_eq!(well.status.code(), Some(0), "{}", said(&well));
    assert!(stdout(&well).contains("/acme") && stdout(&well).contains("ok  portfolio "), "{}", said(&well));
    let named = doctor(&["support"]).await;
    assert!(stderr(&named).contains("there is no channel support in namespace"), "{}", said(&named));
    rig.secret("acme-meta", json!({"token": "EAAsandbox-nobody"})).await;
    let broken = doctor(&["-o", "json"]).await;
    assert_eq!(broken.status.code(), Some(3), "{}", said(&broken));
    let report: Value = serde_json::from_slice(&broken.stdout).expect("JSON");
    assert_eq!(report["portfolios"][0]["next"]["link"], "Token", "{report:#}");
    assert_eq!(report["channels"], json!([]));
}

/// Whoever may see the channels and no Secret is told which right is missing, and no link is called broken for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_may_not_be_read_breaks_nothing() {
    let rig = Rig::with_portfolio("doctor-view").await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "viewer"}})).await;
    rig.apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "viewer"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "whatsapp-operator-view"
        },
        "subjects": [{"kind": "ServiceAccount", "name": "viewer", "namespace": rig.namespace}],
    }))
    .await;
    let kubeconfig = rig.plane.service_account_kubeconfig(&rig.namespace, "viewer").await;
    let output = run_as(&kubeconfig, &rig, &["doctor", "--graph-url", &rig.graph_url], "").await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let text = stdout(&output);
    assert!(
        text.contains("you may not get Secret acme-meta") && !text.contains("broken  "),
        "{}",
        said(&output)
    );
    assert!(stderr(&output).contains("--token-file"), "{}", said(&output));
    // What it advises helps.
    let token = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(token.path(), &rig.token).expect("it is written");
    let given = format!("acme={}", token.path().display());
    let args = ["doctor", "--graph-url", &rig.graph_url, "--token-file", &given];
    let output = run_as(&kubeconfig, &rig, &args, "").await;
    assert_ne!(output.status.code(), Some(1), "{}", said(&output));
    assert!(!stdout(&output).contains("you may not get Secret acme-meta"), "{}", said(&output));
    assert!(rig.sandbox.effects().is_empty(), "an effect at Meta");
}
