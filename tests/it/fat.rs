//! Objects as large as the API server takes them, lists of Meta's without an end, and the operator's memory.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::Response;
use futures::{StreamExt, stream};
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};
use whatsapp_operator::sandbox::Number;

use crate::rig::{ACCOUNT, Rig, condition};

/// So many fat objects, or as many as `FAT_OBJECTS` says, each with so many labels, which the API server keeps twice: for
/// themselves, and as fields that somebody owns. Kept whole, each would cost the operator more than five MiB.
const FAT: usize = 24;
const LABELS: usize = 1_400;
/// Most memory of the operator, in MiB.
const MOST: f64 = 100.0;

fn digits(n: usize) -> String {
    format!("5511915000{n:03}")
}

fn memory_mib(pid: u32, line: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib =
        status.lines().find_map(|l| l.strip_prefix(line)?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1_024.0
}

/// Labels as long as they may be. Many short ones would keep the API server busy for longer than a write may take.
fn labels(n: usize) -> Value {
    let domain = vec!["d".repeat(60); 4].join(".");
    (0..n)
        .map(|n| (format!("{domain}/{}-{n:05}", "n".repeat(57)), json!("x".repeat(63))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_objects_that_the_api_server_takes_cost_no_memory_and_hold_up_nobody() {
    let mut rig = Rig::apart("fat").await;
    let api = rig.api("wac", &rig.namespace);
    let fat = labels(LABELS);
    let count = std::env::var("FAT_OBJECTS").ok().and_then(|text| text.parse().ok()).unwrap_or(FAT);
    let last = count - 1;
    let create = stream::iter(0..count).map(|n| {
        let (api, fat) = (api.clone(), fat.clone());
        async move {
            let channel: DynamicObject = serde_json::from_value(json!({
                "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
                "metadata": {"name": format!("fat-{n:03}"), "labels": fat},
                "spec": {"portfolioRef": {"name": "acme"}, "accountId": ACCOUNT,
                         "phoneNumber": format!("+{}", digits(n)), "displayName": "Acme Support",
                         // Each write of such an object keeps the API server busy for long.
                         "suspend": n < last},
            }))
            .expect("a channel");
            let stored = api.create(&PostParams::default(), &channel).await.expect("the API server takes it");
            serde_json::to_vec(&stored).map(|json| json.len()).unwrap_or_default()
        }
    });
    let sizes: Vec<usize> = create.buffer_unordered(4).collect().await;
    assert!(sizes.iter().all(|size| *size > 900_000), "{:?}", sizes.iter().min());
    // One has more of what is read than may be.
    rig.channel("greedy", &format!("+{}", digits(900)), json!({"accountId": ACCOUNT})).await;
    rig.annotate("greedy", "note", &"\"".repeat(150_000)).await;
    rig.sandbox.add_number(
        Number::new("100000000000001", ACCOUNT, &digits(last), "Acme Support").registered("271828"),
    );

    rig.start().await;
    let pid = rig.operator().id();
    rig.until_condition(&format!("fat-{last:03}"), "Ready", "True", None).await;
    let begun = Instant::now();
    let mut most = 0.0_f64;
    loop {
        most = most.max(memory_mib(pid, "VmHWM:"));
        let mut told = 0;
        for n in 0..count {
            told += usize::from(rig.get(&format!("fat-{n:03}")).await["status"]["conditions"].is_array());
        }
        most = most.max(memory_mib(pid, "VmHWM:"));
        if told == count {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(600), "only {told} have a status:\n{}", rig.logs());
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert!(most < MOST, "{most:.0} MiB");
    eprintln!("most memory: {most:.1} MiB");

    // It is told by its name, and nothing is written to it.
    let (greedy, logs) = (rig.get("greedy").await, rig.logs());
    assert!(
        greedy["status"]["conditions"].is_null() && logs.contains("stored channel cannot be used"),
        "{logs}"
    );
    let asked = Instant::now();
    loop {
        let args =
            ["get", "events", "-n", &rig.namespace, "--field-selector", "reason=TooLarge", "-o", "json"];
        let events: Value = serde_json::from_slice(&rig.plane.kubectl(args).await.stdout).expect("JSON");
        let told: Vec<_> = events["items"].as_array().into_iter().flatten().collect();
        if told.iter().any(|event| event["involvedObject"]["name"] == "greedy") {
            assert!(told.iter().all(|event| event["involvedObject"]["name"] == "greedy"), "{told:#?}");
            assert!(told[0]["message"].as_str().is_some_and(|text| text.contains("256 KiB")), "{told:#?}");
            break;
        }
        assert!(asked.elapsed() < Duration::from_secs(60), "no event tells of it: {events:#}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // It is served like any other once it is smaller.
    rig.annotate("greedy", "note", "short").await;
    rig.until("greedy", "a status", Duration::from_secs(30), |status| status["conditions"].is_array()).await;
}

/// One page of a hundred numbers, with so much text that it is just below what an answer may have, and another behind it.
fn fat_page(after: usize) -> String {
    let name = "x".repeat(36_000);
    let data: Vec<Value> = (0..100)
        .map(|n| json!({"id": format!("1{after:06}{n:03}"), "display_phone_number": "+1 555-010-0002", "verified_name": name}))
        .collect();
    let cursor = (after + 1).to_string();
    json!({"data": data, "paging": {"cursors": {"after": cursor}, "next": "https://x.invalid/"}}).to_string()
}

/// The sandbox behind a Meta that answers lists of numbers on its own.
async fn hostile(
    State(sandbox): State<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if uri.path().ends_with("/phone_numbers") {
        let after = uri.query().unwrap_or_default().split('&').find_map(|part| part.strip_prefix("after="));
        let page = fat_page(after.and_then(|after| after.parse().ok()).unwrap_or_default());
        return Response::builder()
            .header("content-type", "application/json")
            .body(Body::from(page))
            .unwrap();
    }
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let mut request = client.request(method, format!("{sandbox}{uri}")).body(body);
    for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
        request =
            request.headers(headers.get(&name).map(|value| (name, value.clone())).into_iter().collect());
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    Response::builder().status(status).body(Body::from(answer.bytes().await.unwrap())).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_meta_without_an_end_costs_little_memory_and_is_told() {
    let mut rig = Rig::with_portfolio("endless").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("bound");
    let app = Router::new().fallback(hostile).with_state(rig.graph_url.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    rig.graph_url = format!("http://{at}");
    rig.start().await;
    let pid = rig.operator().id();
    let before = memory_mib(pid, "VmHWM:");
    rig.channel("support", &format!("+{}", digits(1)), json!({"accountId": ACCOUNT})).await;
    let told = |status: &Value| condition(status, "Ready").is_some_and(|c| c["reason"] == "MetaUnavailable");
    rig.until("support", "the reason", Duration::from_secs(120), told).await;
    assert!(rig.logs().contains("Meta's list has more than 64 MiB"), "{}", rig.logs());
    let growth = memory_mib(pid, "VmHWM:") - before;
    eprintln!("growth of memory: {growth:.1} MiB");
    assert!(growth < 200.0, "{growth:.0} MiB");
    assert_eq!(rig.effects_on(&digits(1)), [""; 0], "nothing is added while the list is not known");
}
