//! The sandbox as a process: what its page promises of seeds and of effects that show late.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::control_plane::Process;

const DIGITS: &str = "5511912345678";
const TOKEN: &str = "EAAsandbox-acme-permanent";
const ACCOUNT: &str = "300000000000001";

/// A sandbox process with its address.
struct Running {
    process: Process,
    base: String,
    http: reqwest::Client,
}

impl Running {
    async fn start(dir: &Path, name: &str, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_whatsapp-operator"));
        command.env_clear().args(["sandbox", "--listen", "127.0.0.1:0"]).args(args);
        let mut process = Process::spawn(command, dir.join(name)).expect("the sandbox starts");
        assert!(process.wait_for_output("/control\n", Duration::from_secs(30)).await, "{}", process.output());
        let said = process.output();
        let base = said.split_whitespace().find(|word| word.starts_with("http://")).expect("an address");
        whatsapp_operator::meta::transport::install_crypto();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { base: base.to_owned(), process, http }
    }

    /// One call, and everything in its answer that is the sandbox's own.
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, String, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(TOKEN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        let trace = answer.headers().get("x-fb-trace-id");
        let trace = trace.map(|trace| trace.to_str().expect("text").to_owned()).unwrap_or_default();
        (answer.status().as_u16(), trace, answer.json().await.unwrap_or_default())
    }

    async fn get(&self, path: &str) -> (u16, String, Value) {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, String, Value) {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn add(&self) -> (u16, String, Value) {
        let number = json!({"cc": "55", "phone_number": "11912345678", "verified_name": "Acme Suporte"});
        self.post(&format!("/v25.0/{ACCOUNT}/phone_numbers"), number).await
    }

    async fn listed(&self) -> Value {
        self.get(&format!("/v25.0/{ACCOUNT}/phone_numbers")).await.2["data"].clone()
    }
}

/// A life of a number, with chance in all of it: codes, traces, faults that strike now and then, late effects.
async fn story(sandbox: &Running) -> Vec<(u16, String, Value)> {
    let mut told = Vec::new();
    told.push(sandbox.post("/control/lag", json!({"seeded": {"maxSecs": 600}})).await);
    told.push(sandbox.add().await);
    let id = told[1].2["id"].as_str().expect("an id").to_owned();
    let now_and_then =
        json!({"on": {"edge": "phone", "probability": 0.5}, "kind": {"status": {"code": 503}}});
    told.push(sandbox.post("/control/faults", now_and_then).await);
    for _ in 0..8 {
        told.push(sandbox.post("/control/time", json!({"advanceSeconds": 61})).await);
        told.push(sandbox.get(&format!("/v25.0/{id}?fields=status,code_verification_status")).await);
        told.push((0, String::new(), sandbox.listed().await));
    }
    let how = json!({"code_method": "SMS", "language": "pt_BR"});
    told.push(sandbox.post(&format!("/v25.0/{id}/request_code"), how).await);
    for path in ["time", "effects", "calls", "state", &format!("numbers/{DIGITS}/code")] {
        told.push(sandbox.get(&format!("/control/{path}")).await);
    }
    told
}

#[tokio::test]
async fn two_processes_with_one_seed_are_identical() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = Running::start(dir.path(), "first", &["--seed", "7", "--pace", "manual"]).await;
    let told = story(&first).await;
    // Whatever came from the machine's clock would differ by now.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let second = Running::start(dir.path(), "second", &["--seed", "7", "--pace", "manual"]).await;
    assert_eq!(story(&second).await, told);
    assert!(told.iter().any(|(status, ..)| *status == 503), "the fault struck");
    assert!(told.iter().all(|(status, ..)| [0, 200, 503].contains(status)), "{told:?}");

    let other = Running::start(dir.path(), "other", &["--seed", "8", "--pace", "manual"]).await;
    let otherwise = story(&other).await;
    let code = |told: &[(u16, String, Value)]| told.last().expect("the code").2["code"].clone();
    assert!(code(&told).is_string());
    assert_ne!(code(&otherwise), code(&told), "another seed, another world");
}

#[tokio::test]
async fn it_starts_when_it_is_told_to() {
    let dir = tempfile::tempdir().expect("a folder");
    let start = "2031-05-06T07:08:09Z";
    let sandbox = Running::start(dir.path(), "log", &["--start", start, "--pace", "manual"]).await;
    assert_eq!(sandbox.get("/control/time").await.2["now"], start);
    let sandbox = Running::start(dir.path(), "log2", &["--start", start, "--pace", "86400"]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let now = sandbox.get("/control/time").await.2["now"].as_str().expect("a date").to_owned();
    assert!(now.starts_with("2031-05-0") && now.as_str() > "2031-05-06T08", "{now}");
}

#[tokio::test]
async fn a_state_that_is_there_has_its_own_faults() {
    let dir = tempfile::tempdir().expect("a folder");
    let (faults, state) = (dir.path().join("faults.json"), dir.path().join("state.json"));
    let once = json!([{"on": {"edge": "waba", "times": 1}, "kind": {"status": {"code": 503}}}]);
    std::fs::write(&faults, once.to_string()).expect("written");
    let args = ["--pace", "manual", "--faults", faults.to_str().expect("text"), "--state"];
    let args = [args.as_slice(), &[state.to_str().expect("text")]].concat();
    let account = format!("/v25.0/{ACCOUNT}");

    let mut sandbox = Running::start(dir.path(), "log", &args).await;
    assert_eq!(sandbox.get(&account).await.0, 503);
    assert_eq!(sandbox.get(&account).await.0, 200);
    sandbox.process.terminate();
    assert!(sandbox.process.wait(Duration::from_secs(30)).await.is_some_and(|ended| ended.success()));

    let sandbox = Running::start(dir.path(), "log2", &args).await;
    assert_eq!(sandbox.get(&account).await.0, 200, "what was met once is not met again after a restart");
    assert_eq!(sandbox.get("/control/faults").await.2.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_lag_can_be_set_and_lifted_in_the_process() {
    let dir = tempfile::tempdir().expect("a folder");
    let sandbox = Running::start(dir.path(), "log", &["--pace", "manual"]).await;
    assert_eq!(sandbox.post("/control/lag", json!({"seeded": {"maxSecs": 100_000}})).await.0, 200);
    assert_eq!(sandbox.add().await.0, 200);
    assert_eq!(sandbox.listed().await, json!([]), "not yet");
    sandbox.post("/control/time", json!({"advanceSeconds": 100_000})).await;
    assert_eq!(sandbox.listed().await.as_array().map(Vec::len), Some(1));
    assert_eq!(sandbox.post("/control/lag", json!("none")).await.0, 200);
    assert_eq!(sandbox.post("/control/lag", json!({"maxSecs": 1})).await.0, 400);
}
