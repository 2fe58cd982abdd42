//! Objects as large as the API server takes them, lists of Meta's without an end, and the operator's memory.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::Response;
use futures::{StreamExt, stream};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use whatsapp_operator::sandbox::Number;

use crate::rig::{ACCOUNT, Rig, condition};

/// So many fat objects, or as many as `FAT_OBJECTS` says. Kept whole, each would cost the operator more than five MiB.
const FAT: usize = 24;
/// So many of one tenant stay below this memory, in MiB.
const MANY: f64 = 250.0;
const MOST: f64 = 100.0;
/// What one may take, in KiB: much less than that, and more than it does, since memory grows in steps.
const MOST_EACH: f64 = 96.0;

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

/// What the API server takes of a writer, and where the fat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Fourteen hundred, which the API server keeps twice: for themselves, and as fields that somebody owns.
    Labels,
    /// For the operator, nearly as many as it reads.
    Own,
    /// Of others, as many as all annotations of an object may have together.
    Annotations,
    /// More of them than the operator reads.
    Finalizers,
    Owners,
    /// The same labels, owned by many.
    ManagedFields,
    /// More of it than the operator reads.
    Status,
    /// Nearly as much as the operator reads, and of a newer one, so that it has to stay.
    Remembered,
}

const PLACES: [Place; 8] = [
    Place::Labels,
    Place::Own,
    Place::Annotations,
    Place::Finalizers,
    Place::Owners,
    Place::ManagedFields,
    Place::Status,
    Place::Remembered,
];

impl Place {
    fn of(n: usize) -> Self {
        PLACES[n % PLACES.len()]
    }

    /// Whether the operator refuses such an object.
    fn is_too_large(self) -> bool {
        matches!(self, Self::Finalizers | Self::Status)
    }

    /// How large it has to be, so that the test means what it says.
    fn least(self) -> usize {
        match self {
            Self::Own | Self::Annotations | Self::Remembered => 230_000,
            _ => 900_000,
        }
    }

    fn metadata(self) -> Value {
        let long =
            |n: usize| format!("{}.example/{}-{n:05}", vec!["d".repeat(60); 3].join("."), "n".repeat(57));
        match self {
            Self::Labels => json!({"labels": labels(1_400)}),
            Self::Own => json!({"annotations": {"whatsapp-operator.dev/note": "x".repeat(240_000)}}),
            Self::Annotations => json!({"annotations": {"example.com/note": "x".repeat(250_000)}}),
            Self::Finalizers => json!({"finalizers": (0..3_800).map(long).collect::<Vec<_>>()}),
            Self::Owners => {
                let owner = |n: usize| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": long(n), "uid": format!("{n:0>200}")});
                json!({"ownerReferences": (0..1_800).map(owner).collect::<Vec<_>>()})
            }
            Self::ManagedFields => json!({"labels": labels(500)}),
            Self::Status | Self::Remembered => json!({}),
        }
    }
}

/// Creates a channel with its fat. Gives back how large it is then.
async fn create(rig: &Rig, n: usize, place: Place, is_suspended: bool) -> usize {
    let (api, name) = (rig.api("wac", &rig.namespace), format!("fat-{n:03}"));
    let mut channel = json!({
        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
        "metadata": {"name": name},
        "spec": {"portfolioRef": {"name": "acme"}, "accountId": ACCOUNT, "phoneNumber": format!("+{}", digits(n)),
                 // Each write of such an object keeps the API server busy for long.
                 "displayName": "Acme Support", "suspend": is_suspended},
    });
    let metadata = place.metadata();
    for (key, value) in metadata.as_object().expect("metadata") {
        channel["metadata"][key] = value.clone();
    }
    let object: DynamicObject = serde_json::from_value(channel).expect("a channel");
    api.create(&PostParams::default(), &object).await.expect("the API server takes it");
    match place {
        Place::ManagedFields => {
            let owned = json!({"apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
                               "metadata": metadata});
            for manager in 0..4 {
                let params = PatchParams::apply(&format!("manager-{manager}"));
                api.patch(&name, &params, &Patch::Apply(&owned)).await.expect("the API server takes it");
            }
        }
        Place::Status => {
            rig.edit_status("wac", &name, json!({"marks": {"ofAnother": "x".repeat(1_000_000)}})).await;
        }
        Place::Remembered => {
            rig.edit_status("wac", &name, json!({"memory": {"ofAnother": "x".repeat(230_000)}})).await;
        }
        _ => {}
    }
    let stored = api.get(&name).await.expect("it is there");
    serde_json::to_vec(&stored).map(|json| json.len()).unwrap_or_default()
}

/// Waits until each of them has a status, or has an event that tells that it is too large. Nobody else is told of.
async fn until_told(rig: &Rig, numbers: std::ops::Range<usize>, greedy: &[&str]) {
    let begun = Instant::now();
    let (large, usual): (Vec<usize>, Vec<usize>) = numbers.partition(|n| Place::of(*n).is_too_large());
    let names = large.iter().map(|n| format!("fat-{n:03}")).chain(greedy.iter().map(ToString::to_string));
    let names: BTreeSet<String> = names.collect();
    loop {
        let mut told = 0;
        for n in &usual {
            told += usize::from(rig.get(&format!("fat-{n:03}")).await["status"]["conditions"].is_array());
        }
        let args =
            ["get", "events", "-n", &rig.namespace, "--field-selector", "reason=TooLarge", "-o", "json"];
        let events: Value = serde_json::from_slice(&rig.plane.kubectl(args).await.stdout).expect("JSON");
        let events: Vec<_> = events["items"].as_array().into_iter().flatten().collect();
        let of = |event: &&Value| event["involvedObject"]["name"].as_str().expect("a name").to_owned();
        let named: BTreeSet<String> = events.iter().map(of).collect();
        if told == usual.len() && named.is_superset(&names) {
            let is_of_usual = |name: &String| usual.iter().any(|n| *name == format!("fat-{n:03}"));
            assert!(!named.iter().any(is_of_usual), "{named:?}");
            let is_clear =
                |event: &Value| event["message"].as_str().is_some_and(|told| told.contains("256 KiB"));
            assert!(events.iter().all(|event| is_clear(event)), "{events:#?}");
            return;
        }
        let (of, logs) = (usual.len(), rig.logs());
        assert!(
            begun.elapsed() < Duration::from_secs(600),
            "{told} of {of} have a status, told: {named:?}\n{logs}"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_objects_that_the_api_server_takes_cost_no_memory_and_hold_up_nobody() {
    const HEALTHY: &str = "+5511915001001";
    let mut rig = Rig::apart("fat").await;
    rig.sandbox.add_number(Number::new("100000000000002", ACCOUNT, &HEALTHY[1..], "Acme Support"));
    rig.start().await;
    rig.channel("healthy", HEALTHY, json!({"accountId": ACCOUNT})).await;
    rig.until_condition("healthy", "NumberVerified", "False", Some("CodeNeeded")).await;
    let base = memory_mib(rig.operator().id(), "VmHWM:");

    // What they all may take together, a page of a list or a pass, they take with the first.
    let count = std::env::var("FAT_OBJECTS").ok().and_then(|text| text.parse().ok()).unwrap_or(FAT);
    let few = PLACES.len();
    let mut grown = Vec::new();
    for numbers in [0..few, few..count] {
        let made = stream::iter(numbers.clone()).map(|n| {
            let (rig, place) = (&rig, Place::of(n));
            async move { (place, create(rig, n, place, true).await) }
        });
        let sizes: Vec<(Place, usize)> = made.buffer_unordered(4).collect().await;
        assert!(sizes.iter().all(|(place, size)| *size > place.least()), "{sizes:?}");
        until_told(&rig, numbers, &[]).await;
        grown.push(memory_mib(rig.operator().id(), "VmHWM:"));
    }
    let many = |n: usize| f64::from(u32::try_from(n).expect("some"));
    let per_object = (grown[1] - grown[0]) / many(count - few);
    let of_many = base + (grown[0] - base) + MANY * per_object;
    eprintln!(
        "base {base:.1}, {grown:.1?} MiB: {:.0} KiB each, {of_many:.0} MiB with {MANY}",
        per_object * 1_024.0
    );
    assert!(per_object * 1_024.0 < MOST_EACH, "{:.0} KiB each", per_object * 1_024.0);
    assert!(of_many < MOST, "{of_many:.0} MiB for {MANY}: {base:.1}, then {grown:.1?}");

    // The same for one that is started beside them, and finds more: one that it serves, and one that has too much of our own.
    rig.operator().kill_nine();
    rig.channel("greedy", &format!("+{}", digits(900)), json!({"accountId": ACCOUNT})).await;
    rig.annotate("greedy", "note", &"\"".repeat(150_000)).await;
    rig.sandbox.add_number(
        Number::new("100000000000001", ACCOUNT, &digits(901), "Acme Support").registered("271828"),
    );
    create(&rig, 901, Place::Labels, false).await;
    // One that has its number becomes too large as well, while another one wants that number.
    rig.annotate("healthy", "note", &"\"".repeat(150_000)).await;
    rig.channel("rival", HEALTHY, json!({"accountId": ACCOUNT})).await;
    rig.start().await;
    rig.until_condition("fat-901", "Ready", "True", None).await;
    until_told(&rig, 0..count, &["greedy", "healthy"]).await;
    rig.until_condition("rival", "Ready", "False", Some("NumberClaimed")).await;
    let listed = memory_mib(rig.operator().id(), "VmHWM:");
    let of_many = listed + per_object * (MANY - many(count)).max(0.0);
    eprintln!("listed: {listed:.1} MiB, {of_many:.0} MiB with {MANY}");
    assert!(of_many < MOST, "{of_many:.0} MiB for {MANY}, {listed:.1} after a restart");

    // What is said of it is said by its name, and nothing is written to it.
    let (greedy, logs) = (rig.get("greedy").await, rig.logs());
    assert!(
        greedy["status"]["conditions"].is_null() && logs.contains("stored channel cannot be used"),
        "{logs}"
    );
    // It is served like any other once it is smaller.
    rig.annotate("greedy", "note", "short").await;
    rig.until("greedy", "a status", Duration::from_secs(30), |status| status["conditions"].is_array()).await;
    // The rest goes on.
    assert_eq!(rig.effects_on(&HEALTHY[1..]), [""; 0], "the number is not the rival's");
    rig.annotate("healthy", "note", "short").await;
    rig.annotate("healthy", "send-code", "one").await;
    rig.until_condition("healthy", "NumberVerified", "False", Some("CodeAwaited")).await;
}

/// Portfolios that grant as much as they may, which has to be known of each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn portfolios_that_grant_as_much_as_they_may_cost_little_memory() {
    const FEW: usize = 4;
    const SOME: usize = 20;
    let mut rig = Rig::with_portfolio("grants").await;
    rig.start().await;
    rig.until_condition_of("wap", "acme", "Ready", "True", None).await;
    let base = memory_mib(rig.operator().id(), "VmHWM:");
    let grant = |of: usize| {
        let namespaces = (0..64).map(|n| format!("{}-{of:02}-{n:02}", "n".repeat(57)));
        let accounts = (0..64).map(|n| format!("3{:0>27}{of:02}{n:02}", 0));
        json!({"namespaces": namespaces.collect::<Vec<_>>(), "accounts": accounts.collect::<Vec<_>>()})
    };
    let access: Vec<Value> = (0..32).map(grant).collect();
    let mut grown = Vec::new();
    for numbers in [0..FEW, FEW..SOME] {
        for n in numbers.clone() {
            let token = json!({"accessTokenSecretRef": {"name": "acme-meta", "key": "token"}});
            rig.portfolio(&format!("grants-{n}"), json!({"access": access, "credentials": token})).await;
        }
        for n in numbers {
            rig.until_condition_of("wap", &format!("grants-{n}"), "Ready", "True", None).await;
        }
        grown.push(memory_mib(rig.operator().id(), "VmHWM:"));
    }
    let per_object = (grown[1] - grown[0]) / 16.0;
    let of_many = MANY * per_object;
    eprintln!("base {base:.1}, {grown:.1?} MiB: {:.0} KiB each", per_object * 1_024.0);
    // Beside what the operator has without them.
    assert!(of_many < 0.75 * MOST, "{of_many:.0} MiB for {MANY}: {base:.1}, then {grown:.1?}");
}

/// Fills up the ConfigMap with the attempts of a number.
async fn stuff(rig: &Rig, digits: &str, key: &str) {
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("whatsapp-attempts-{digits}"),
                     "labels": {"whatsapp-operator.dev/use": "attempts"}},
        "data": {key: "x".repeat(1_000_000)},
    }))
    .await;
}

/// The ConfigMaps with the attempts of numbers stand in a namespace of tenants, who fill them up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_that_somebody_fills_up_cost_no_memory_and_hold_up_only_their_number() {
    const STUFFED: usize = 12;
    let mut rig = Rig::with_portfolio("stuffed").await;
    let (full, beside) = (digits(910), digits(911));
    for (n, digits) in [&full, &beside].into_iter().enumerate() {
        rig.sandbox.add_number(Number::new(&format!("10000000000000{n}"), ACCOUNT, digits, "Acme Support"));
    }
    stuff(&rig, &full, "attempts.json").await;
    stuff(&rig, &beside, "notes").await;
    rig.start().await;
    let before = memory_mib(rig.operator().id(), "VmHWM:");
    for (name, digits) in [("full", &full), ("beside", &beside)] {
        rig.channel(name, &format!("+{digits}"), json!({"accountId": ACCOUNT})).await;
        rig.until_condition(name, "NumberVerified", "False", Some("CodeNeeded")).await;
        rig.annotate(name, "send-code", "one").await;
    }
    // What stands beside the attempts is of no interest.
    rig.until_condition("beside", "NumberVerified", "False", Some("CodeAwaited")).await;
    let growth = memory_mib(rig.operator().id(), "VmHWM:") - before;
    eprintln!("growth of memory: {growth:.1} MiB");
    assert_eq!(rig.effects_on(&full), [""; 0], "{}", rig.logs());
    assert!(rig.logs().contains("a step waits for earlier attempts of the number"), "{}", rig.logs());
    rig.operator().kill_nine();
    // All are looked through when it starts.
    for n in 0..STUFFED {
        stuff(&rig, &digits(920 + n), "attempts.json").await;
    }
    rig.start().await;
    rig.look("beside", "now").await;
    let listed = memory_mib(rig.operator().id(), "VmHWM:") - before;
    eprintln!("growth of memory: {growth:.1} MiB, and {listed:.1} MiB with {STUFFED} more");
    // As much as where nothing is fat, and less than one page of such a list.
    assert!(growth.max(listed) < 16.0, "{growth:.1} MiB, then {listed:.1}");
    // Whoever may write it can put it right, and what waited for it goes on.
    rig.merge("ConfigMap", &format!("whatsapp-attempts-{full}"), &json!({"data": null})).await;
    rig.annotate("full", "reconcile", "now").await;
    rig.until_condition("full", "NumberVerified", "False", Some("CodeAwaited")).await;
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
    forward(&sandbox, method, &uri, &headers, body).await
}

/// The sandbox's answer.
pub async fn forward(sandbox: &str, method: Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Response {
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
    // What a list may have, a page as text and as values, and half as much for what the allocator keeps.
    assert!(growth < 1.5 * (64.0 + 2.0 * 4.0), "{growth:.0} MiB");
    assert_eq!(rig.effects_on(&digits(1)), [""; 0], "nothing is added while the list is not known");
}
