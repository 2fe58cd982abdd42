//! `import`: what it prints can be applied, changes nothing at Meta and ends in the same state.

mod state;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use whatsapp_operator::engine::observed::OtherApp;
use whatsapp_operator::escape;
use whatsapp_operator::run::picture::png;
use whatsapp_operator::sandbox::{
    Account, App, DEMO_APP_SECRET, DEMO_TOKEN, Fault, FaultKind, Match, Number, Sandbox, Switches, Token,
    What,
};

use crate::cli::{editor, run_as, stderr, stdout};
use crate::golden::stage::Stage;
use crate::plan::{APP_SECRET, Desk, EXPIRED, TOKEN, run, said};
use crate::rig::{ACCOUNT, APP, BUSINESS, Rig, message};

use state::{Becomes, OTHER, STATES};

const DIGITS: &str = "5511912345678";
const NUMBER: &str = "+5511912345678";

/// Imports with this token, and more arguments.
fn import(desk: &Desk, token: &str, args: &[&str]) -> Output {
    let file = format!("acme={}", desk.file("token", token));
    run(&[&["import", "--token-file", &file, "--graph-url", &desk.url], args].concat(), &[], "")
}

fn of_business(desk: &Desk) -> Output {
    import(desk, TOKEN, &["--business", BUSINESS])
}

/// The channels of a text, by number.
fn channels(text: &str) -> BTreeMap<String, Value> {
    let documents = text.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).expect("YAML"));
    let channels = documents.filter(|document| document["kind"] == "WhatsAppChannel");
    let number = |channel: &Value| channel["spec"]["phoneNumber"].as_str().expect("a number").to_owned();
    channels.map(|channel| (number(&channel), channel)).collect()
}

fn portfolio(text: &str) -> Value {
    serde_saphyr::from_str(text.split("\n---\n").next().expect("a document")).expect("YAML")
}

/// Writes that Meta was asked for, whatever came of them.
fn writes(sandbox: &Sandbox) -> Vec<String> {
    sandbox.counters().into_keys().filter(|call| !call.starts_with("GET ")).collect()
}

fn fill(sandbox: &Sandbox) {
    for account in state::accounts() {
        sandbox.add_account(account);
    }
    for state in STATES {
        sandbox.add_number(state.number());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_in_any_state_is_imported_applied_and_stays_as_it_is() {
    let desk = Desk::new().await;
    fill(&desk.sandbox);
    let output = of_business(&desk);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = stdout(&output);
    let file = desk.file("import.yaml", &text);
    let lint = run(&["lint", "-f", &file], &[], "");
    assert_eq!(lint.status.code(), Some(0), "{}", said(&lint));
    let plan = run(
        &["plan", "-f", &file, "--graph-url", &desk.url, "-o", "json"],
        &[("WHATSAPP_TOKEN_ACME", TOKEN)],
        "",
    );
    assert_eq!(plan.status.code(), Some(0), "nothing to change: {}", said(&plan));
    assert_eq!(stdout(&of_business(&desk)), text, "the same state gives the same text");
    assert_eq!(writes(&desk.sandbox), [""; 0]);

    let channels = channels(&text);
    for state in STATES {
        let channel = channels.get(state.phone);
        let is = match channel {
            None => Becomes::Left,
            Some(channel) if channel["spec"]["managementPolicy"] == "ObserveOnly" => Becomes::Observed,
            Some(_) => Becomes::Managed,
        };
        assert_eq!(is, state.becomes, "{}\n{text}", state.name);
        if let Some(line) = state.says {
            let comments = comments(&text, state.phone);
            assert!(comments.contains(&line), "{}: {line}\n{comments:#?}", state.name);
        }
    }
    let portfolio = portfolio(&text);
    // What time alone makes of the same Meta.
    let idle = channels.values().next().expect("a channel").clone();
    let alone = stage(idle, portfolio.clone()).await;
    pass_a_month(&alone);
    let text: Arc<str> = imported(&alone).await.into();
    let played = channels
        .values()
        .map(|channel| tokio::spawn(played(channel.clone(), portfolio.clone(), text.clone())));
    let mut unexpected = Vec::new();
    for (status, channel) in futures::future::join_all(played).await.into_iter().zip(channels.values()) {
        let status = status.expect("it is played");
        let conditions = status["conditions"].as_array().expect("conditions");
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready").expect("Ready");
        let phone = channel["spec"]["phoneNumber"].as_str();
        let state = STATES.iter().find(|state| Some(state.phone) == phone).expect("a state");
        if (ready["status"] == "True") != state.is_ready {
            unexpected.push(format!("{}: {ready:#}", state.name));
        }
    }
    assert_eq!(unexpected, [""; 0]);
}

/// The lines of the comment above the channel of a number.
fn comments<'a>(text: &'a str, phone: &str) -> Vec<&'a str> {
    let is_its = |document: &&str| document.contains(&format!("phoneNumber: \"{phone}\""));
    let document = text.split("\n---\n").find(is_its).expect("a channel");
    document.lines().filter_map(|line| line.strip_prefix("# ")).collect()
}

/// The hours between the looks of a month.
const MONTH: [u64; 7] = [1, 6, 24, 48, 96, 240, 360];

fn pass_a_month(stage: &Stage) {
    stage.pass_time(Duration::from_secs(MONTH.iter().sum::<u64>() * 3600));
}

/// A cluster with this channel, on a Meta in every state.
async fn stage(mut channel: Value, mut portfolio: Value) -> Stage {
    for object in [&mut channel, &mut portfolio] {
        object["metadata"]["namespace"] = json!("shop");
    }
    let stage = Stage::new(channel, portfolio, &[]).await;
    fill(&stage.sandbox);
    stage
}

/// What is imported from the Meta of a stage. Not all at once: each is a process.
async fn imported(stage: &Stage) -> String {
    static ROOM: Semaphore = Semaphore::const_new(2);
    let _place = ROOM.acquire().await.expect("it stays open");
    let url = stage.url().to_owned();
    let import = move || {
        let token = tempfile::NamedTempFile::new().expect("a file");
        fs::write(token.path(), DEMO_TOKEN).expect("written");
        let file = format!("acme={}", token.path().display());
        run(&["import", "--token-file", &file, "--graph-url", &url, "--business", BUSINESS], &[], "")
    };
    let output = tokio::task::spawn_blocking(import).await.expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    stdout(&output)
}

/// The operator works on it for a month, and Meta is as it was: what is imported then is what is imported where it never
/// worked. `text`: that.
async fn played(channel: Value, portfolio: Value, text: Arc<str>) -> Value {
    let name = channel["metadata"]["name"].as_str().expect("a name").to_owned();
    let mut stage = stage(channel, portfolio).await;
    let before = shown(&stage.sandbox);
    stage.rest().await;
    let status = stage.status();
    for hours in MONTH {
        stage.pass_time(Duration::from_secs(hours * 3600));
        stage.rest().await;
    }
    let effects = stage.sandbox.effects();
    assert!(effects.is_empty(), "{name}: {effects:?}");
    assert_eq!(writes(&stage.sandbox), [""; 0], "{name}");
    assert_eq!(shown(&stage.sandbox), before, "{name}");
    assert_eq!(imported(&stage).await, *text, "{name}");
    status
}

/// Numbers, accounts and apps as Meta keeps them, without what time alone changes of a number.
fn shown(sandbox: &Sandbox) -> Value {
    let world = &sandbox.snapshot()["world"];
    let mut numbers = world["numbers"].clone();
    for state in STATES {
        let number = numbers[state.number().id].as_object_mut().expect("a number");
        for by_time in ["code_verification_status", "name_status", "new_name_status", "verified", "late"] {
            number.remove(by_time);
        }
    }
    let kept = json!({"numbers": numbers, "accounts": world["accounts"], "apps": world["apps"]});
    assert!(kept.as_object().is_some_and(|all| all.values().all(|one| one.as_object().is_some())));
    kept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_account_has_for_all_its_numbers_is_told_once() {
    let desk = Desk::new().await;
    for (n, digits) in [(7, DIGITS), (8, "5511912345679")] {
        desk.sandbox.add_number(
            Number::new(&format!("10000000000077{n}"), ACCOUNT, digits, "Acme").registered("135790"),
        );
    }
    for (id, name) in [("200000000000008", "Acme CRM"), ("200000000000009", OtherApp::OF_META)] {
        assert!(desk.sandbox.subscribe(ACCOUNT, App::new(id, name)));
    }
    let subscriptions = json!({
        APP: {"callback": "https://old.acme.example/wa"}, "200000000000008": {}, "200000000000009": {},
    });
    assert!(desk.sandbox.set_field(ACCOUNT, "subscriptions", subscriptions));
    let output = of_business(&desk);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = stdout(&output);
    let head = text.split("\napiVersion:").next().expect("a comment");
    let (_, told) = head.split_once("# Of account ").expect("what an account has");
    assert_eq!(
        told.lines().take(5).collect::<Vec<_>>(),
        [
            "300000000000001 \"Acme\" this stays as it is and is not managed:",
            "#   its time zone (America/Sao_Paulo, number 25 of Meta's)",
            "#   its own webhook, for numbers that have none: https://old.acme.example/wa",
            "#   a subscribed app of somebody else, which gets every message too (\"Acme CRM\", id 200000000000008)",
            "#   a subscribed app of Meta's, which gets every message too (\"WA DevX Webhook Events 1P App\", id 200000000000009)",
        ],
        "{text}"
    );
    assert_eq!(text.matches("# Of account").count(), 1, "{text}");
    // What is not shown to this token is left out, and what is not answered makes the import not whole.
    let denied =
        json!({"error": {"message": "(#200) Permissions error", "type": "OAuthException", "code": 200}});
    for (kind, code) in [(FaultKind::Error { envelope: denied }, 0), (FaultKind::Status { code: 503 }, 1)] {
        desk.sandbox.inject(Fault { on: Match::on("GET", "subscribed_apps"), kind });
        let output = of_business(&desk);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(!stdout(&output).contains("Acme CRM"), "{}", said(&output));
        let what = "not read: the apps that are subscribed to account 300000000000001";
        assert_eq!(stderr(&output).contains(what), code == 1, "{}", said(&output));
        assert_eq!(channels(&stdout(&output)).len(), 2, "{}", said(&output));
        desk.sandbox.clear_faults();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_meta_does_not_show_is_named_and_makes_the_import_not_whole() {
    const HIDDEN: &str =
        "The profile is not shown in the list of numbers, so it stays as it is and is not managed.";
    let desk = Desk::new().await;
    let mut number = Number::new("100000000000777", ACCOUNT, DIGITS, "Acme").registered("135790");
    number.profile.about = Some("Open".to_owned());
    desk.sandbox.add_number(number);
    desk.sandbox
        .add_number(Number::new("100000000000778", ACCOUNT, "5511912345679", "Acme Loja").coexisting());
    let output = of_business(&desk);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(channels(&stdout(&output))[NUMBER]["spec"]["profile"]["about"], "Open");
    assert!(!stdout(&output).contains(HIDDEN), "{}", said(&output));
    desk.sandbox.set_switches(Switches { profile_expansion: false, ..desk.sandbox.switches() });
    let output = of_business(&desk);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let text = stdout(&output);
    let all = channels(&text);
    assert!(all.len() == 2 && all[NUMBER]["spec"]["profile"].is_null(), "{text}");
    assert!(comments(&text, NUMBER).contains(&HIDDEN), "{text}");
    // That of a number of the app is written there, and is managed by no channel.
    assert!(!comments(&text, "+5511912345679").contains(&HIDDEN), "{text}");
    assert!(stderr(&output).contains("not read: the profile of 1 number"), "{}", said(&output));
    assert!(
        text.lines().any(|line| line.starts_with("# Not read") && line.contains("the profile of 1 number"))
    );
    assert_eq!(writes(&desk.sandbox), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_numbers_take_thirty_calls_at_most() {
    let desk = Desk::new().await;
    desk.sandbox.add_account(Account::new(OTHER, BUSINESS, "Acme Other"));
    for n in 0..1000 {
        let account = if n % 3 == 0 { OTHER } else { ACCOUNT };
        let (id, digits) = (format!("1000000000{n:05}"), format!("55119{:08}", 12_000_000 + n));
        desk.sandbox.add_number(Number::new(&id, account, &digits, "Acme Suporte").registered("135790"));
    }
    let output = of_business(&desk);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(channels(&stdout(&output)).len(), 1000);
    let calls: u64 = desk.sandbox.counters().values().sum();
    assert!(calls <= 30, "{calls} calls: {:#?}", desk.sandbox.counters());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_valid_and_no_other_name_at_meta_changes_them() {
    let desk = Desk::new().await;
    desk.sandbox.add_number(Number::new("100000000000777", ACCOUNT, DIGITS, "Acme").registered("135790"));
    let before = channels(&stdout(&of_business(&desk)));
    desk.sandbox.set_field(DIGITS, "verified_name", json!("Another name"));
    let after = channels(&stdout(&of_business(&desk)));
    assert_eq!(before[NUMBER]["metadata"], after[NUMBER]["metadata"]);
    assert_eq!(after[NUMBER]["spec"]["displayName"], "Another name");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_username_is_managed_where_the_operator_may_claim_it_and_named_where_not() {
    let desk = Desk::new().await;
    fill(&desk.sandbox);
    let text = stdout(&of_business(&desk));
    let all = channels(&text);
    let username = |phone: &str| all[phone]["spec"]["username"].as_str();
    assert_eq!(username("+5511912340043"), Some("acme.suporte"));
    assert_eq!(
        [username("+5511912340044"), username("+5511912340045"), username("+5511912340001")],
        [None; 3]
    );
    for line in [
        r#"# Its username "acme.com" stays as it is and is not managed: it ends like a web address; leave the ending out"#,
        r#"# Its username "acme.loja" stays as it is and is not managed"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_of_meta_are_texts_whatever_they_are() {
    let desk = Desk::new().await;
    let names = [
        "!!python/object",
        "a: b # c",
        "no",
        "- \"x\" \\",
        "Acme\u{1b}]0;title\u{7}Shop",
        "Acme\u{202e}Shop\u{fffe}\u{e0041}",
        "Acme\n---\nkind: Secret",
        "株式会社アクメ 🎉",
    ];
    for (n, name) in names.iter().enumerate() {
        let mut number =
            Number::new(&format!("10000000000077{n}"), ACCOUNT, &format!("551191234567{n}"), name)
                .registered("135790");
        number.webhook.callback = Some(format!("https://{name}"));
        desk.sandbox.add_number(number);
    }
    desk.sandbox.add_number({
        let mut number =
            Number::new("100000000000790", ACCOUNT, "5511912345690", "Acme").registered("135790");
        number.raw.insert("display_phone_number".into(), json!("+55\nkind: Secret\u{202e}"));
        number
    });
    desk.sandbox.set_field(BUSINESS, "name", json!("Acme\n---\nkind: Secret\u{1b}[2J"));
    let output = of_business(&desk);
    let text = stdout(&output);
    assert!(!text.chars().any(|c| escape::acts(c) && c != '\n'), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("kind: Secret")), "{text}");
    let lint = run(&["lint", "-f", &desk.file("import.yaml", &text)], &[], "");
    assert_eq!(lint.status.code(), Some(0), "{}", said(&lint));
    let channels = channels(&text);
    for (n, name) in names.iter().enumerate().filter(|(_, name)| name.chars().count() > 2) {
        let written = whatsapp_operator::engine::display_name::written(name);
        assert_eq!(channels[&format!("+551191234567{n}")]["spec"]["displayName"], written);
    }
    assert!(!channels.contains_key("+5511912345672"), "a name of two characters is no displayName");
    assert!(
        text.contains("+55 11 91234-5672 (id 100000000000772): a channel with what Meta shows is not valid"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_never_printed_and_the_commands_that_make_them_are() {
    let desk = Desk::new().await;
    let mut number = Number::new("100000000000777", ACCOUNT, DIGITS, "Acme").registered("271828");
    number.webhook.callback = Some("https://bot.acme.example/wa".to_owned());
    desk.sandbox.add_number(number);
    let app = format!("acme={}", desk.file("app-secret", APP_SECRET));
    let output = import(&desk, TOKEN, &["--business", BUSINESS, "--app-secret-file", &app, "-n", "shop"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for secret in [TOKEN, APP_SECRET, "271828"] {
        assert!(!said(&output).contains(secret), "{}", said(&output));
    }
    for command in [
        "kubectl create secret generic acme-meta --from-file=token=./token --from-file=appSecret=./appSecret --namespace shop",
        "kubectl create secret generic wa-5511912345678-pin --from-file=pin=./pin --namespace shop",
        "kubectl create secret generic wa-5511912345678-webhook --from-file=verifyToken=./verify-token --namespace shop",
        "kubectl label secret wa-5511912345678-webhook whatsapp-operator.dev/use=verify-token --namespace shop",
    ] {
        assert!(stdout(&output).contains(command), "{command}\n{}", stdout(&output));
    }
    assert_eq!(portfolio(&stdout(&output))["spec"]["credentials"]["appSecretRef"]["key"], "appSecret");
    assert_eq!(portfolio(&stdout(&output))["metadata"]["namespace"], "shop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_input_is_refused_in_words() {
    let desk = Desk::new().await;
    desk.sandbox.add_number(Number::new("100000000000777", ACCOUNT, DIGITS, "Acme").registered("135790"));
    let employee = Token { employee: true, ..Token::system_user(APP, BUSINESS) };
    desk.sandbox.add_token("EAAnothing", employee.clone());
    let assigned = [ACCOUNT.to_owned()].into();
    desk.sandbox.add_token("EAAemployee", Token { assigned, ..employee });
    for (token, args, words) in [
        (TOKEN, &["--business", "acme"][..], "an id of Meta's is 1 to 32 digits"),
        (TOKEN, &[], "--business <ID>"),
        (TOKEN, &["--business", "500000000000002"], "Meta shows no portfolio 500000000000002 to this token"),
        (EXPIRED, &["--business", BUSINESS], "expired"),
        ("EAAnobody", &["--business", BUSINESS], "Meta does not accept the token"),
        ("EAAemployee", &["--business", BUSINESS], "name each account with --account ID"),
        (TOKEN, &["--account", "300000000000009"], "cannot read account 300000000000009"),
        (
            TOKEN,
            &["--business", BUSINESS, "--account", "300000000000009"],
            "not read: the numbers of account 300000000000009",
        ),
        (
            TOKEN,
            &["--business", BUSINESS, "--portfolio", "other"],
            "credentials are given for portfolio acme",
        ),
        (TOKEN, &["--business", BUSINESS, "--portfolio", "Not/A Name"], "error"),
    ] {
        let output = import(&desk, token, args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", said(&output));
        assert!(stderr(&output).contains(words), "{args:?}: {words}\n{}", said(&output));
        assert!(!said(&output).contains(token), "{}", said(&output));
    }
    let none =
        run(&["import", "--business", BUSINESS, "--graph-url", &desk.url], &[("HOME", "/nowhere")], "");
    assert_eq!(none.status.code(), Some(1), "{}", said(&none));
    assert!(
        stderr(&none).contains("no credentials") && stderr(&none).contains("--token-file"),
        "{}",
        said(&none)
    );
    // The same token reaches the account by its id.
    for args in [&["--account", ACCOUNT][..], &["--business", BUSINESS, "--account", ACCOUNT]] {
        let output = import(&desk, "EAAemployee", args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
        assert_eq!(channels(&stdout(&output)).len(), 1, "{args:?}");
        assert_eq!(portfolio(&stdout(&output))["spec"]["businessId"], BUSINESS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_may_not_list_accounts_tells_them_itself() {
    let desk = Desk::new().await;
    desk.sandbox.add_number(Number::new("100000000000777", ACCOUNT, DIGITS, "Acme").registered("135790"));
    let token = Token {
        employee: true,
        assigned: [ACCOUNT.to_owned()].into(),
        target_ids: Some(vec![ACCOUNT.to_owned()]),
        ..Token::system_user(APP, BUSINESS)
    };
    desk.sandbox.add_token("EAAtargets", token);
    let output = import(&desk, "EAAtargets", &["--business", BUSINESS]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(channels(&stdout(&output)).len(), 1, "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_read_is_named_and_the_rest_is_printed() {
    let desk = Desk::new().await;
    desk.sandbox.add_account(Account::new(OTHER, BUSINESS, "Acme Other"));
    desk.sandbox.add_number(Number::new("100000000000777", ACCOUNT, DIGITS, "Acme").registered("135790"));
    desk.sandbox
        .add_number(Number::new("100000000000778", OTHER, "5511912345679", "Acme").registered("135790"));
    let on = Match { account: Some(OTHER.to_owned()), ..Match::on("GET", "phone_numbers") };
    desk.sandbox.inject(Fault { on, kind: FaultKind::Status { code: 503 } });
    let output = of_business(&desk);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let numbers: Vec<_> = channels(&stdout(&output)).into_keys().collect();
    assert_eq!(numbers, [NUMBER]);
    let what = format!("the numbers of account {OTHER}");
    assert!(stderr(&output).contains(&format!("not read: {what}")), "{}", said(&output));
    assert!(
        stdout(&output).lines().any(|line| line.starts_with("# ") && line.contains(&what)),
        "{}",
        said(&output)
    );
    desk.sandbox.clear_faults();
    let numbers: Vec<_> = channels(&stdout(&of_business(&desk))).into_keys().collect();
    assert_eq!(numbers, [NUMBER, "+5511912345679"]);
}

/// Applies as kubectl does.
async fn apply(rig: &Rig, text: &str) {
    let out = rig.plane.kubectl_with_input(["apply", "-n", &rig.namespace, "-f", "-"], text).await;
    assert!(out.status.success(), "{}", said(&out));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_takes_what_is_imported_and_the_operator_writes_nothing_at_meta() {
    let mut rig = Rig::with_portfolio("import").await;
    let number = |n: usize, name: &str| {
        Number::new(&format!("10000000000077{n}"), ACCOUNT, &format!("551191234567{n}"), name)
    };
    let hostile = "Acme: \u{202e}#\u{e0041} !!x";
    for ready in [
        number(1, "Acme Suporte").registered("135790"),
        number(2, hostile).registered("135790"),
        number(3, "Acme Loja").coexisting(),
    ] {
        rig.sandbox.add_number(ready);
    }
    rig.sandbox.add_number(number(4, "Acme Nova"));
    rig.sandbox.add_number(number(5, "Acme Support").registered("135790"));
    rig.channel("support", "+5511912345675", json!({})).await;
    let kubeconfig = editor(&rig).await;
    let url = rig.graph_url.clone();
    let args = ["import", "--business", BUSINESS, "--graph-url", &url];
    let output = run_as(&kubeconfig, &rig, &args, "").await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = stdout(&output);
    assert!(!text.contains(&rig.token), "{text}");
    assert!(text.contains("WhatsAppChannel support is for it already"), "{text}");
    assert_eq!(channels(&text).len(), 4, "{text}");
    apply(&rig, &text).await;
    rig.start().await;
    for n in 1..=3 {
        rig.until_condition(&format!("wa-551191234567{n}"), "Ready", "True", None).await;
    }
    rig.until_condition("wa-5511912345674", "Registered", "False", Some("ObserveOnly")).await;
    assert_eq!(rig.get("wa-5511912345672").await["spec"]["displayName"], hostile);
    rig.at_rest().await;
    assert_eq!(writes(&rig.sandbox), [""; 0]);
    let file = rig.plane.dir().join(format!("{}-import.yaml", rig.namespace));
    fs::write(&file, &text).expect("written");
    let plan = ["plan", "-f", &file.display().to_string(), "--graph-url", &rig.graph_url];
    let plan = run_as(&kubeconfig, &rig, &plan, "").await;
    assert_eq!(plan.status.code(), Some(0), "{}", said(&plan));
    assert_eq!(stdout(&run_as(&kubeconfig, &rig, &args, "").await), text, "it ends in the same state");
}

/// What somebody has who keeps manifests and Secrets, and lost the cluster: no status, and no attempts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_cluster_with_the_old_manifests_and_secrets_takes_everything_up_again_without_a_write() {
    let mut rig = Rig::new("again").await;
    rig.sandbox.add_app(App::new(APP, "Acme Ops").with_secret(DEMO_APP_SECRET));
    let credentials = json!({"token": rig.token, "appSecret": DEMO_APP_SECRET});
    rig.secret("acme-meta", credentials.clone()).await;
    let of_business = json!({
        "credentials": {"appSecretRef": {"name": "acme-meta", "key": "appSecret"}},
        "appWebhook": {
            "callbackUrl": "https://bot.acme.example/app", "fields": ["messages", "account_update"],
            // The app has an address of somebody else at first.
            "adopt": true,
            "verifyTokenSecretRef": {"name": "bot", "key": "verify"},
        },
    });
    rig.portfolio("acme", of_business.clone()).await;
    rig.secret("bot", json!({"verify": "word-for-the-handshake"})).await;
    let namespace = rig.namespace.clone();
    let label = ["label", "secret", "bot", "whatsapp-operator.dev/use=verify-token", "-n", &namespace];
    assert!(rig.plane.kubectl(label).await.status.success());
    let spec = json!({
        "accountId": ACCOUNT,
        "acknowledge": ["ReregisterForStorageRegion"],
        "registration": {"storageRegion": "BR"},
        "username": "acme.support",
        "profile": {
            "about": "Open 9-17", "websites": ["https://acme.example"], "vertical": "RETAIL",
            "pictureRef": {"configMapKeyRef": {"name": "acme-logo", "key": "logo.png"}},
        },
        "webhook": {
            "callbackUrl": "https://bot.acme.example/wa",
            "verifyTokenSecretRef": {"name": "bot", "key": "verify"}
        },
    });
    let picture = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "acme-logo"},
        "binaryData": {"logo.png": ByteString(png(640, 640))},
    });
    rig.apply(&picture).await;
    rig.start().await;
    rig.channel("support", NUMBER, spec.clone()).await;
    let ready = rig.onboard("support", NUMBER).await;
    rig.until_condition("support", "WebhookRouted", "True", None).await;
    rig.until_condition("support", "ProfileSynced", "True", None).await;
    rig.until_condition("support", "UsernameClaimed", "True", None).await;
    rig.until_condition_of("wap", "acme", "AppWebhookSet", "True", Some("AppWebhookMatches")).await;
    let set = |what: &What| matches!(what, What::UsernameClaimed { .. } | What::AppWebhookSet { .. });
    assert_eq!(rig.sandbox.count(set), 2, "both were written, once");
    rig.at_rest().await;
    let pin = rig.get_of("Secret", "support-pin").await;

    rig.operator().terminate();
    assert!(rig.operator().wait(Duration::from_secs(30)).await.is_some(), "it ends");
    let everything = ["delete", "wac,wap,configmaps,secrets,events", "--all", "-n", &namespace];
    let out = rig.plane.kubectl(everything).await;
    assert!(out.status.success(), "{}", said(&out));
    let (effects, posts) = (rig.sandbox.effects(), writes(&rig.sandbox));
    let counted = rig.sandbox.counters();

    rig.secret("acme-meta", credentials).await;
    rig.secret("bot", json!({"verify": "word-for-the-handshake"})).await;
    assert!(rig.plane.kubectl(label).await.status.success());
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "support-pin"}, "data": pin["data"],
    }))
    .await;
    rig.apply(&picture).await;
    rig.portfolio("acme", of_business).await;
    rig.channel("support", NUMBER, spec).await;
    rig.start().await;
    rig.until_condition_of("wap", "acme", "AppWebhookSet", "True", Some("AppWebhookMatches")).await;
    rig.until_condition("support", "UsernameClaimed", "True", None).await;
    let again = rig.until_condition("support", "Ready", "True", None).await;
    rig.until_condition("support", "WebhookRouted", "True", None).await;
    rig.until_condition("support", "ProfileSynced", "True", None).await;
    assert_ne!(again["metadata"]["uid"], ready["metadata"]["uid"]);
    assert_eq!(again["status"]["phoneNumberId"], ready["status"]["phoneNumberId"]);
    rig.at_rest().await;
    // Nobody remembers where its messages are stored, and no live number is taken down for that.
    let told =
        rig.until_condition("support", "RegistrationSynced", "False", Some("StorageRegionDiffers")).await;
    let told = message(&told, "RegistrationSynced");
    assert!(told.contains("is not known here"), "{told}");
    assert_eq!(rig.sandbox.effects(), effects);
    for post in posts {
        assert_eq!(rig.sandbox.counters()[&post], counted[&post], "{post}");
    }
    assert_eq!(rig.get_of("Secret", "support-pin").await["data"], pin["data"]);
}

/// The commands that the page shows for a simulated Meta, as they are written.
#[test]
fn the_example_of_the_page_works() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/import.md")).expect("the page");
    let blocks = page.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let block =
        blocks.into_iter().find(|block| block.contains("--sandbox")).expect("an example with a sandbox");
    let dir = tempfile::tempdir().expect("a folder");
    let binary =
        Path::new(env!("CARGO_BIN_EXE_whatsapp-operator")).parent().expect("a folder").display().to_string();
    let path = format!("{binary}:{}", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-ec", block])
        .current_dir(&dir)
        .env_clear()
        .env("PATH", path)
        .output()
        .expect("a shell runs");
    assert!(output.status.success(), "{block}\n{}", said(&output));
    let text = fs::read_to_string(dir.path().join("import.yaml")).expect("it was written");
    assert!(channels(&text).len() >= 5, "{text}");
    for word in
        ["managementPolicy: ObserveOnly", "connection: Coexistence", "# Left out of account", "webhook"]
    {
        assert!(text.contains(word), "the example shows no {word}");
    }
}
