//! `plan` as pipelines use it: credentials from files and the environment, what it could not read, and what it takes
//! from a cluster.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use whatsapp_operator::sandbox::{
    Account, App, Fault, FaultKind, Match, Number, Options, Portfolio, Sandbox, Token, World,
};

use crate::cli::{editor, run_as, stderr, stdout};
use crate::rig::{ACCOUNT, APP, BUSINESS, Rig, free_address};

const NUMBER: &str = "+5511912345678";
const DIGITS: &str = "5511912345678";
pub const TOKEN: &str = "EAAsandbox-plan-token";
pub const EXPIRED: &str = "EAAsandbox-plan-expired";
pub const APP_SECRET: &str = "0123456789abcdef0123456789abcdef";
const CHANNEL: &str = "apiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppChannel\n\
    metadata: {name: support}\nspec:\n  portfolioRef: {name: acme}\n  phoneNumber: \"+5511912345678\"\n  \
    displayName: Acme Support\n";
const PORTFOLIO: &str = "---\napiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppPortfolio\n\
    metadata: {name: acme}\nspec:\n  businessId: \"500000000000001\"\n  credentials:\n    \
    accessTokenSecretRef: {name: acme-meta, key: token}\n";
const SIGNED: &str = "    appSecretRef: {name: acme-meta, key: appSecret}\n";

/// A Meta on loopback, and a folder for files.
pub struct Desk {
    pub sandbox: Sandbox,
    pub url: String,
    dir: TempDir,
    stop: CancellationToken,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Desk {
    pub async fn new() -> Self {
        let past = Timestamp::now() - jiff::SignedDuration::from_hours(1);
        let mut expired = Token::system_user(APP, BUSINESS);
        expired.expires_at = Some(past);
        let world = World::default()
            .with_app(App::new(APP, "Acme Ops").with_secret(APP_SECRET))
            .with_portfolio(Portfolio::new(BUSINESS, "Acme Ltda").verified())
            .with_account(Account::new(ACCOUNT, BUSINESS, "Acme"))
            .with_token(TOKEN, Token::system_user(APP, BUSINESS))
            .with_token(EXPIRED, expired);
        let sandbox = Sandbox::from_world(Options::live(1, Timestamp::now()), world);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound port"));
        let stop = CancellationToken::new();
        tokio::spawn(sandbox.clone().serve(listener, stop.clone()));
        Self { sandbox, url, dir: tempfile::tempdir().expect("a folder"), stop }
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.dir.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    /// Plans a manifest with nothing in the environment but this.
    fn plan(&self, manifest: &str, args: &[&str], environment: &[(&str, &str)]) -> Output {
        let path = self.file("m.yaml", manifest);
        run(&[&["plan", "-f", &path, "--graph-url", &self.url], args].concat(), environment, "")
    }
}

pub fn run(args: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_whatsapp-operator"))
        .args(args)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // A command that reads nothing may have closed it.
    let _ = std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), input.as_bytes());
    child.wait_with_output().expect("the binary ends")
}

pub fn said(output: &Output) -> String {
    format!("{}{}", stdout(output), stderr(output))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_come_from_files_and_from_the_environment() {
    let desk = Desk::new().await;
    let token = format!("acme={}", desk.file("token", &format!("{TOKEN}\n")));
    let app = format!("acme={}", desk.file("app-secret", APP_SECRET));
    let (plain, signed) = (format!("{CHANNEL}{PORTFOLIO}"), format!("{CHANNEL}{PORTFOLIO}{SIGNED}"));
    let in_environment = [("WHATSAPP_TOKEN_ACME", TOKEN), ("WHATSAPP_APP_SECRET_ACME", APP_SECRET)];
    for (manifest, args, environment) in [
        (&plain, vec!["--token-file", &token], &in_environment[..0]),
        (&plain, vec![], &in_environment[..1]),
        (&signed, vec!["--token-file", &token, "--app-secret-file", &app], &in_environment[..0]),
        (&signed, vec!["--app-secret-file", &app], &in_environment[..1]),
        (&signed, vec![], &in_environment[..]),
        // A file goes before the environment.
        (&plain, vec!["--token-file", &token], &[("WHATSAPP_TOKEN_ACME", "EAAnobody")][..]),
    ] {
        let output = desk.plan(manifest, &args, environment);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        assert!(stdout(&output).contains("AddNumber: add +5511912345678"), "{}", said(&output));
        for secret in [TOKEN, APP_SECRET] {
            assert!(!said(&output).contains(secret), "a secret in the output");
        }
    }
    let forged =
        [("WHATSAPP_TOKEN_ACME", TOKEN), ("WHATSAPP_APP_SECRET_ACME", "ffffffffffffffffffffffffffffffff")];
    let output = desk.plan(&signed, &[], &forged);
    assert_eq!(output.status.code(), Some(1), "the app secret is used: {}", said(&output));
    assert!(desk.sandbox.effects().is_empty(), "a plan had an effect at Meta");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_without_the_app_secret_that_the_portfolio_names_is_said_so() {
    let desk = Desk::new().await;
    let signed = format!("{CHANNEL}{PORTFOLIO}{SIGNED}");
    let output = desk.plan(&signed, &[], &[("WHATSAPP_TOKEN_ACME", TOKEN)]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        stderr(&output).contains("--app-secret-file acme=PATH or WHATSAPP_APP_SECRET_ACME"),
        "{}",
        said(&output)
    );
    assert!(!said(&output).contains("Secret acme-meta"), "{}", said(&output));
}

/// A plan that could look at nothing is no plan without changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_read_is_named_and_is_no_success() {
    let desk = Desk::new().await;
    let manifest = format!("{CHANNEL}{PORTFOLIO}");
    let nobody = format!("http://{}", free_address());
    let status = |code| FaultKind::Status { code };
    let none: Option<(&str, FaultKind)> = None;
    for (token, url, fault, what) in [
        ("EAAsandbox-of-nobody", None, none.clone(), "the credentials of portfolio default/acme"),
        (EXPIRED, None, none.clone(), "the credentials of portfolio default/acme"),
        (TOKEN, Some(&nobody), none, "the credentials of portfolio default/acme"),
        (TOKEN, None, Some(("phone_numbers", status(503))), "the numbers of account 300000000000001"),
        (
            TOKEN,
            None,
            Some(("owned_whatsapp_business_accounts", status(503))),
            "the accounts that portfolio default/acme owns",
        ),
    ] {
        desk.sandbox.clear_faults();
        if let Some((edge, kind)) = fault {
            desk.sandbox.inject(Fault { on: Match::on("GET", edge), kind });
        }
        let args: Vec<&str> = url.iter().flat_map(|url| ["--graph-url", url.as_str()]).collect();
        let path = desk.file("m.yaml", &manifest);
        let graph = if args.is_empty() { vec!["--graph-url", &desk.url] } else { args };
        let output = run(
            &[&["plan", "-f", &path, "-o", "json"], &graph[..]].concat(),
            &[("WHATSAPP_TOKEN_ACME", token)],
            "",
        );
        assert_eq!(output.status.code(), Some(1), "{what}: {}", said(&output));
        assert!(
            stderr(&output).contains(&format!("the plan is not whole; not read: {what}")),
            "{}",
            said(&output)
        );
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON, for whoever reads on");
        let told = report["notRead"].as_array().expect("a list");
        assert!(told.iter().any(|one| one["what"] == what && one["why"] != ""), "{report:#}");
        assert!(!said(&output).contains(token), "a token in the output");
    }
}

/// What Meta answers about a portfolio is a result, good or bad.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_stalls_is_no_failure_to_read() {
    let desk = Desk::new().await;
    let expecting = format!("{CHANNEL}{PORTFOLIO}  expect: {{name: Somebody Else}}\n");
    let output = desk.plan(&expecting, &[], &[("WHATSAPP_TOKEN_ACME", TOKEN)]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(stdout(&output).contains("waits IdentityMismatch"), "{}", said(&output));
}

/// Without a cluster it is unknown which Secrets exist, so a plan does not report them as missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_that_nobody_looked_at_are_taken_to_be_there() {
    whatsapp_operator::meta::transport::install_crypto();
    let desk = Desk::new().await;
    // With the app subscribed, the webhook is next, and the verify token is all that it needs.
    let subscribed = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
        .post(format!("{}/v25.0/{ACCOUNT}/subscribed_apps", desk.url))
        .bearer_auth(TOKEN)
        .send()
        .await
        .expect("the sandbox answers");
    assert!(subscribed.status().is_success(), "{subscribed:?}");
    desk.sandbox
        .add_number(Number::new("100000000000777", ACCOUNT, DIGITS, "Acme Support").registered("271828"));
    let hooked = format!(
        "{CHANNEL}  webhook:\n    callbackUrl: https://bot.acme.example/wa\n    verifyTokenSecretRef: {{name: bot, key: verify}}\n{PORTFOLIO}"
    );
    let output = desk.plan(&hooked, &[], &[("WHATSAPP_TOKEN_ACME", TOKEN)]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(stdout(&output).contains("RouteWebhook"), "{}", said(&output));
    assert!(!stdout(&output).contains("SecretMissing"), "{}", said(&output));
    assert!(stdout(&output).contains("note: Secrets of channels are not looked at"), "{}", said(&output));
}

#[test]
fn a_plan_of_standard_input_reads_it_once() {
    let output = run(&["plan", "-f", "-", "--sandbox"], &[], CHANNEL);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(stdout(&output).contains("<stdin>:1"), "{}", said(&output));
    let refused = "Meta does not show to this app: WhatsAppBusinessAccount.primary_funding_id";
    assert_eq!(stdout(&output).matches(refused).count(), 1, "{}", said(&output));
    let wrong = run(&["plan", "-f", "-", "--sandbox"], &[], &CHANNEL.replace("\"+", "\""));
    assert!(stderr(&wrong).contains("<stdin>:6:16"), "{}", said(&wrong));
}

/// As in the shell of somebody who runs the operator against a sandbox.
#[test]
fn an_address_in_the_environment_does_not_keep_a_plan_from_the_sandbox() {
    let environment = [("WHATSAPP_OPERATOR_GRAPH_URL", "http://127.0.0.1:9")];
    let output = run(&["plan", "-f", "-", "--sandbox"], &environment, CHANNEL);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

#[test]
fn the_sandbox_lets_a_channel_use_the_portfolio_of_another_namespace() {
    let elsewhere = CHANNEL.replace("{name: acme}", "{name: acme, namespace: platform}");
    let output = run(&["plan", "-f", "-", "--sandbox"], &[], &elsewhere);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(stdout(&output).contains("AddNumber: add +5511912345678"), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_portfolio_that_may_not_be_read_leaves_the_rest_of_the_plan() {
    let rig = Rig::with_portfolio("plan-elsewhere").await;
    let kubeconfig = editor(&rig).await;
    let elsewhere = CHANNEL
        .replace("{name: acme}", "{name: acme, namespace: somewhere-else}")
        .replace("name: support", "name: away")
        .replace("5678\"", "5679\"");
    let args = ["plan", "-f", "-", "--graph-url", &rig.graph_url];
    let output = run_as(&kubeconfig, &rig, &args, &format!("{CHANNEL}---\n{elsewhere}")).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(stdout(&output).contains("AddNumber: add +5511912345678"), "{}", said(&output));
    assert!(
        stdout(&output).contains("portfolio somewhere-else/acme is not readable from here"),
        "{}",
        said(&output)
    );
    assert!(stderr(&output).contains("not read: portfolio somewhere-else/acme"), "{}", said(&output));
    assert!(!stdout(&output).contains("PortfolioNotUsable"), "{}", said(&output));
}

/// A refusal belongs to what was written; an edit is tried at once, and the plan knows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_is_planned_as_the_next_generation() {
    let rig = Rig::with_portfolio("plan-edit").await;
    rig.sandbox
        .add_number(Number::new("100000000000777", ACCOUNT, DIGITS, "Acme Support").registered("271828"));
    rig.channel("support", NUMBER, json!({"profile": {"about": "Open"}})).await;
    let now = Timestamp::now();
    let refusal = json!({"code": 100, "message": "no", "class": "Spec", "scope": "Call"});
    let pace =
        json!({"generation": 1, "failed": 3, "accepted": 0, "last": now.to_string(), "refusal": refusal});
    let status = json!({"status": {
        "businessId": BUSINESS, "accountId": ACCOUNT, "phoneNumberId": "100000000000777",
        "memory": {"ledger": {"repeatable": {"WriteProfile": pace}}}
    }});
    let patch = status.to_string();
    let args = [
        "patch",
        "wac",
        "support",
        "-n",
        &rig.namespace,
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ];
    let patched = rig.plane.kubectl(args).await;
    assert!(patched.status.success(), "{}", stderr(&patched));
    let kubeconfig = editor(&rig).await;
    let plan = |about: &'static str, form: &'static str| {
        let (kubeconfig, rig) = (&kubeconfig, &rig);
        async move {
            let manifest = format!("{CHANNEL}  profile: {{about: {about}}}\n");
            let args = ["plan", "-f", "-", "--graph-url", &rig.graph_url, "-o", form];
            run_as(kubeconfig, rig, &args, &manifest).await
        }
    };
    let same = plan("Open", "text").await;
    assert_eq!(same.status.code(), Some(0), "{}", said(&same));
    // What waits beside the way to Registered is not nothing.
    assert!(!stdout(&same).contains("nothing to do") && stdout(&same).contains("waits "), "{}", said(&same));
    let report: Value = serde_json::from_slice(&plan("Open", "json").await.stdout).expect("JSON");
    let aside = report["channels"][0]["aside"].as_array().expect("a list");
    assert!(aside.iter().any(|one| one["condition"] == "ProfileSynced" && one["reason"] != ""), "{report:#}");
    let edited = plan("Open until six", "text").await;
    assert_eq!(edited.status.code(), Some(2), "{}", said(&edited));
    assert!(stdout(&edited).contains("WriteProfile"), "{}", said(&edited));
}

/// An edited name of a registered number costs a review, and perhaps a registration. Whoever reviews the edit sees it before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_is_planned_with_what_it_costs() {
    let rig = Rig::with_portfolio("plan-rename").await;
    rig.sandbox
        .add_number(Number::new("100000000000777", ACCOUNT, DIGITS, "Acme Support").registered("271828"));
    rig.channel("support", NUMBER, json!({})).await;
    let day = Timestamp::now() - jiff::SignedDuration::from_hours(24);
    let done =
        |id: &str| json!({"id": id, "at": day.to_string(), "outcome": "Accepted", "cause": "Automatic"});
    rig.edit_status(
        "wac",
        "support",
        json!({
            "businessId": BUSINESS, "accountId": ACCOUNT, "phoneNumberId": "100000000000777",
            "memory": {
                "ledger": {"names": [done("n1")], "registrations": [done("r1"), done("r2")]},
                "marks": {"added": day.to_string(), "registered": day.to_string()},
            },
        }),
    )
    .await;
    rig.secret("support-pin", json!({"pin": "271828"})).await;
    let kubeconfig = editor(&rig).await;
    let plan = |name: &'static str, form: &'static str| {
        let (kubeconfig, rig) = (&kubeconfig, &rig);
        async move {
            let manifest = CHANNEL.replace("Acme Support", name);
            let args = ["plan", "-f", "-", "--graph-url", &rig.graph_url, "-o", form];
            run_as(kubeconfig, rig, &args, &manifest).await
        }
    };
    let same = plan("Acme Support", "text").await;
    assert!(!stdout(&same).contains("the rename costs"), "{}", said(&same));
    let edited = plan("Acme Brasil", "text").await;
    assert_eq!(edited.status.code(), Some(2), "{}", said(&edited));
    let costs = "the rename costs 1 review (of 7 left in 30 days), and 1 registration (of 7 left in 72 hours) where Meta does not make the name live by itself";
    assert!(stdout(&edited).contains("SubmitName: "), "{}", said(&edited));
    assert!(stdout(&edited).contains(costs), "{}", said(&edited));
    let report: Value = serde_json::from_slice(&plan("Acme Brasil", "json").await.stdout).expect("JSON");
    let rename = json!({"reviews": 1, "reviewsLeft": 7, "registrations": 1, "registrationsLeft": 7});
    assert_eq!(report["channels"][0]["rename"], rename, "{report:#}");
    assert!(rig.sandbox.effects().is_empty(), "a plan had an effect at Meta");
}

#[test]
fn two_spellings_of_one_number_are_rivals_and_added_once() {
    let other = CHANNEL.replace("{name: support}", "{name: rival}");
    for [one, two] in [
        ["+5531987654321", "+553187654321"],
        ["+5216120000000", "+526120000000"],
        ["+541123456789", "+5491123456789"],
    ] {
        let manifests = format!("{}---\n{}", CHANNEL.replace(NUMBER, one), other.replace(NUMBER, two));
        let said = said(&run(&["plan", "-f", "-", "--sandbox"], &[], &manifests));
        assert_eq!(said.matches("+ AddNumber").count(), 1, "{said}");
        assert!(said.contains(&format!("WhatsAppChannel support manages {two}")), "{said}");
    }
}

/// A pipeline that keeps the plan must not take half of it for all.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_no_success() {
    for args in [&["crd"][..], &["explain", "NameDeclined"], &["lint", "-f", "examples"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("every Linux has it");
        let output = Command::new(env!("CARGO_BIN_EXE_whatsapp-operator"))
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_clear()
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .expect("the binary runs");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(stderr(&output).contains("cannot write to standard output"), "{}", stderr(&output));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_cannot_be_one_and_a_portfolio_that_is_mistyped_are_named() {
    let desk = Desk::new().await;
    let manifest = format!("{CHANNEL}{PORTFOLIO}");
    let quoted = format!("\u{201c}{TOKEN}\u{201d}");
    let file = format!("acme={}", desk.file("token", &quoted));
    let output = desk.plan(&manifest, &["--token-file", &file], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(stderr(&output).contains("curly quotes"), "{}", said(&output));
    assert!(stderr(&output).contains("copy it from Meta again"), "{}", said(&output));
    let output = desk.plan(&manifest, &[], &[("WHATSAPP_TOKEN_ACME", &quoted)]);
    assert!(stderr(&output).contains("the text in WHATSAPP_TOKEN_ACME"), "{}", said(&output));
    assert!(!said(&output).contains(TOKEN), "a secret in the output");

    let mistyped = format!("acne={}", desk.file("token", TOKEN));
    let output = desk.plan(&manifest, &["--token-file", &mistyped], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(stderr(&output).contains("portfolio acne"), "{}", said(&output));
    assert!(stderr(&output).contains("name one of these: acme"), "{}", said(&output));
    assert!(desk.sandbox.calls().is_empty(), "nothing was asked of Meta");
}

/// In the world of the forecast it is in both as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_two_accounts_share_has_a_forecast() {
    const BESIDE: &str = "300000000000002";
    let desk = Desk::new().await;
    desk.sandbox.add_account(Account::new(BESIDE, BUSINESS, "Acme Shop"));
    desk.sandbox.add_number(Number::new("100000000000777", ACCOUNT, DIGITS, "Acme Support").also_in(BESIDE));
    let manifest = format!("{CHANNEL}  accountId: \"{ACCOUNT}\"\n{PORTFOLIO}");
    let output = desk.plan(&manifest, &["--whole-way", "-o", "json"], &[("WHATSAPP_TOKEN_ACME", TOKEN)]);
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let channel = &report["channels"][0];
    let first = &channel["forecast"]["lines"][0];
    assert!(channel["block"]["reason"].is_string(), "{channel:#}");
    assert_eq!((&first["what"], &first["says"]), (&channel["block"]["reason"], &channel["block"]["message"]));
}
