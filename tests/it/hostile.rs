//! What a tenant may write, and what a Meta may answer, to the harm of others: each is told, and everybody else goes on.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use whatsapp_operator::sandbox::Number;

use crate::fat::forward;
use crate::rig::{ACCOUNT, Rig, condition, message};

/// Ends a header, and adds a parameter, wherever it is not encoded.
const CURSOR: &str = "a b\r\nX-Evil: 1&access_token=mine#";

fn digits(n: usize) -> String {
    format!("5511919000{n:03}")
}

#[derive(Clone)]
struct Meta {
    sandbox: String,
    /// Where the pages are said to go on.
    elsewhere: String,
    /// What was asked to come after, by page.
    asked: Arc<Mutex<Vec<Option<String>>>>,
    /// What comes after the first page.
    cursor: Arc<Mutex<String>>,
}

impl Meta {
    fn page(&self, after: Option<&str>) -> String {
        let number = |n: usize| {
            json!({"id": format!("10000000000090{n}"), "display_phone_number": format!("+{}", digits(n)),
                   "verified_name": "Acme Support", "code_verification_status": "NOT_VERIFIED"})
        };
        let cursor = self.cursor.lock().unwrap().clone();
        let page = match after {
            None => json!({"data": [number(8)],
                           "paging": {"cursors": {"after": cursor}, "next": self.elsewhere}}),
            // With no cursor but the one in the address.
            Some(after) if after == cursor => {
                json!({"data": [number(9)], "paging": {"next": format!("{}?after=%0d%0aLast", self.elsewhere)}})
            }
            Some(_) => json!({"data": []}),
        };
        page.to_string()
    }
}

async fn answer(
    State(meta): State<Meta>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert!(headers.get("x-evil").is_none());
    if !uri.path().ends_with("/phone_numbers") || method != Method::GET {
        return forward(&meta.sandbox, method, &uri, &headers, body).await;
    }
    let url = reqwest::Url::parse(&format!("http://meta{uri}")).unwrap();
    assert_eq!(url.query_pairs().filter(|(key, _)| key == "access_token").count(), 0, "{url}");
    let after = url.query_pairs().find(|(key, _)| key == "after").map(|(_, after)| after.into_owned());
    let page = meta.page(after.as_deref());
    meta.asked.lock().unwrap().push(after);
    Response::builder().header("content-type", "application/json").body(Body::from(page)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_list_is_said_to_go_on_is_asked_of_meta_alone() {
    let mut rig = Rig::with_portfolio("elsewhere").await;
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let meta = Meta {
        sandbox: rig.graph_url.clone(),
        elsewhere: format!("http://{}/v25.0/{ACCOUNT}/phone_numbers", elsewhere.local_addr().expect("bound")),
        asked: Arc::default(),
        cursor: Arc::new(Mutex::new(CURSOR.to_owned())),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    rig.graph_url = format!("http://{}", listener.local_addr().expect("bound"));
    let app = Router::new().fallback(answer).with_state(meta.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let visited = tokio::spawn(async move { elsewhere.accept().await });

    rig.flags = vec!["--list-freshness".into(), "5s".into()];
    rig.start().await;
    rig.channel("support", &format!("+{}", digits(9)), json!({"accountId": ACCOUNT})).await;
    let is_found = |status: &Value| status["phoneNumberId"] == "100000000000909";
    rig.until("support", "its number", Duration::from_secs(60), is_found).await;
    let asked = meta.asked.lock().unwrap().clone();
    let pages = [None, Some(CURSOR.to_owned()), Some("\r\nLast".to_owned())];
    assert!(asked.len() >= 3 && asked.iter().all(|after| pages.contains(after)), "{asked:?}");

    // One that no address can hold.
    *meta.cursor.lock().unwrap() = "c".repeat(3_000_000);
    let before = meta.asked.lock().unwrap().len();
    rig.annotate("support", "reconcile", "long").await;
    let until = Instant::now() + Duration::from_secs(60);
    while meta.asked.lock().unwrap().len() == before {
        assert!(Instant::now() < until, "the list is not read");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let lengths = |asked: &[Option<String>]| asked.iter().flatten().map(String::len).max();
    assert!(lengths(&meta.asked.lock().unwrap()) < Some(100));
    *meta.cursor.lock().unwrap() = CURSOR.to_owned();
    rig.look("support", "short").await;
    assert!(!visited.is_finished(), "another host was asked");
    assert!(!rig.logs().contains(&rig.token) && !rig.logs().contains("panic"), "{}", rig.logs());
}

/// What a tenant writes as the attempts of a number, each of the kind with a channel of its own.
fn forged() -> Vec<(&'static str, Value)> {
    let now = Timestamp::now();
    let code = |at: &str, id: &str| json!({"id": id, "at": at, "outcome": "Accepted", "cause": "SendCode"});
    let past = (now - SignedDuration::from_hours(30)).to_string();
    let with = |mut entry: Value, key: &str, value: Value| {
        entry[key] = value;
        json!({"codes": [entry]})
    };
    vec![
        (
            "last",
            json!({"codes": [code("9999-12-30T22:00:00.999999999Z", "1")],
                        "registrations": [code("9999-12-30T22:00:00.999999999Z", "2")]}),
        ),
        ("first", json!({"codes": [code("-009999-01-02T01:59:59Z", "1")]})),
        ("settling", with(code(&past, "1"), "settleUntil", json!("9999-12-30T22:00:00.999999999Z"))),
        ("many", json!({"codes": (0..400).map(|n| code(&past, &n.to_string())).collect::<Vec<_>>()})),
        ("long", json!({"codes": [code(&past, &"i".repeat(100_000))]})),
        ("wordy", with(code(&past, "1"), "subject", json!("s".repeat(100_000)))),
        ("newer", with(code(&past, "1"), "ofANewerVersion", json!("n".repeat(200_000)))),
        ("acting", json!({"codes": [code(&past, "\u{1b}]0;title\u{7}\u{202e}\r\nid")]})),
        ("unknown", json!({"codes": [{"id": "1", "at": past, "outcome": "Whatever", "cause": "Whatever"}]})),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_attempts_neither_end_the_operator_nor_wedge_their_channel() {
    let mut rig = Rig::with_portfolio("forged").await;
    let forged = forged();
    for (n, (name, attempts)) in forged.iter().enumerate() {
        let id = format!("1000000000009{n:02}");
        rig.sandbox.add_number(Number::new(&id, ACCOUNT, &digits(n), "Acme Support"));
        rig.channel(name, &format!("+{}", digits(n)), json!({"accountId": ACCOUNT})).await;
        rig.apply(&json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("whatsapp-attempts-{}", digits(n)),
                         "labels": {"whatsapp-operator.dev/use": "attempts"}},
            "data": {"attempts.json": attempts.to_string()},
        }))
        .await;
    }
    rig.start().await;
    for (name, _) in &forged {
        rig.until_condition(name, "NumberVerified", "False", Some("CodeNeeded")).await;
        rig.annotate(name, "send-code", "one").await;
    }
    // Each is answered: done, or refused for a while with words that tell why.
    for (name, _) in &forged {
        let is_answered = |status: &Value| {
            let answer = &status["memory"]["consents"]["sendCode"];
            let is_told = condition(status, "NumberVerified").is_some_and(|c| c["reason"] != "CodeNeeded");
            answer["usedFor"].is_string() || answer["refused"].is_string() || is_told
        };
        rig.until(name, "an answer", Duration::from_secs(60), is_answered).await;
    }
    let logs = rig.logs();
    assert!(rig.operator().is_running() && !logs.contains("panicked"), "{logs}");
    assert!(!logs.contains("Invalid value") && !logs.contains("Too long"), "a status was refused: {logs}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_and_times_that_nobody_means_well_with_harm_nobody() {
    let mut rig = Rig::with_portfolio("harm").await;
    for (name, token) in [
        ("nul", "EAA\0\0x".to_owned()),
        ("header", format!("{}\r\nX-Evil: 1", rig.token)),
        ("turned", "EAA\u{202e}\u{200b}x".to_owned()),
    ] {
        rig.secret(&format!("{name}-meta"), json!({ "token": token })).await;
        rig.portfolio(name, json!({})).await;
    }
    for n in 20..23 {
        let id = format!("1000000000008{n:02}");
        rig.sandbox.add_number(Number::new(&id, ACCOUNT, &digits(n), "Acme Support"));
    }
    rig.start().await;
    for name in ["nul", "header", "turned"] {
        let found =
            rig.until_condition_of("wap", name, "CredentialsValid", "False", Some("TokenInvalid")).await;
        assert!(message(&found, "CredentialsValid").contains("copy it from Meta again"), "{name}");
    }

    // Values of consents at both ends of time, and of a writer who says so.
    rig.channel("times", &format!("+{}", digits(20)), json!({"accountId": ACCOUNT, "suspend": true})).await;
    for value in ["-009999-01-02T01:59:59Z", "9999-12-30T22:00:00.999999999Z"] {
        rig.annotate("times", "send-code", value).await;
        rig.until("times", "its stage", Duration::from_secs(30), |s| s["stage"] == "Suspended").await;
        rig.edit("wac", "times", json!({"suspend": false})).await;
        rig.until("times", "an answer", Duration::from_secs(60), |status| {
            let answer = &status["memory"]["consents"]["sendCode"];
            answer["value"] == value && (answer["usedFor"].is_string() || answer["refused"].is_string())
        })
        .await;
        rig.edit("wac", "times", json!({"suspend": true})).await;
    }
    rig.channel("owned", &format!("+{}", digits(21)), json!({"accountId": ACCOUNT, "suspend": true})).await;
    for (n, time) in ["0001-01-01T00:00:00Z", "9999-12-30T00:00:00Z"].into_iter().enumerate() {
        let value = format!("owned-{n}");
        rig.annotate("owned", "send-code", &value).await;
        let mut owners = rig.get("owned").await["metadata"]["managedFields"].clone();
        for owner in owners.as_array_mut().expect("a list") {
            owner["time"] = json!(time);
        }
        let metadata = json!({"labels": {"aged": value}, "managedFields": owners});
        rig.merge("wac", "owned", &json!({"metadata": metadata, "spec": {"suspend": false}})).await;
        // It may wait for the pause after the code before it.
        let noted = |status: &Value| status["memory"]["consents"]["sendCode"]["value"] == *value;
        rig.until("owned", "the value in its memory", Duration::from_secs(60), noted).await;
        rig.edit("wac", "owned", json!({"suspend": true})).await;
    }

    // A code as large as a Secret can be, under its key.
    rig.channel("large", &format!("+{}", digits(22)), json!({"accountId": ACCOUNT})).await;
    rig.until_condition("large", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate("large", "send-code", "one").await;
    rig.until_condition("large", "NumberVerified", "False", Some("CodeAwaited")).await;
    rig.secret("large-code", json!({"code": "1".repeat(1_000_000)})).await;
    rig.until_condition("large", "NumberVerified", "False", Some("CodeMalformed")).await;
    rig.type_code("large", &digits(22)).await;
    rig.until_condition("large", "Ready", "True", None).await;
    let logs = rig.logs();
    assert!(rig.operator().is_running() && !logs.contains("panicked"), "{logs}");
}
