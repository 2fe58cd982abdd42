//! A server in front of the simulated Meta: it gives the recorded answer to the calls that got it, and passes on all
//! others.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderName, StatusCode, header},
    response::Response,
    serve::ListenerExt,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use whatsapp_operator::{meta::edge::Edge, sandbox::Sandbox};

use super::Answer;

/// What a body has that tells writes to one address apart.
const TOLD_BY: [(Edge, &str); 3] = [
    (Edge::SubmitName, "new_display_name"),
    (Edge::SetPin, "pin"),
    (Edge::RouteWebhook, "webhook_configuration"),
];
/// The first digit of made-up ids, and of those that the simulated Meta makes.
const KINDS: [(&str, char); 4] = [("{business}", '5'), ("{app}", '2'), ("{account}", '3'), ("{number}", '1')];
const MOST_BYTES: usize = 1 << 20;

/// When the recorded answer is given; always, if nothing is stated.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct When {
    /// Once this call was made.
    pub after: Option<String>,
    /// Until this call is made.
    pub until: Option<String>,
    /// So many times.
    pub times: Option<usize>,
    /// For so long from the first time.
    #[serde(rename = "for")]
    pub lasts: Option<String>,
}

/// Which calls get the recorded answer.
#[derive(Clone, Debug)]
pub struct Rule {
    pub edges: Vec<Edge>,
    pub answer: Answer,
    /// Only requests that ask for all of these.
    pub asks: Vec<String>,
    /// The fields that a recorded node was asked for. It is laid over the simulated one, and what it leaves out of
    /// them is left out there too.
    pub laid_over: Option<Vec<String>>,
    pub after: Option<Edge>,
    pub until: Option<Edge>,
    pub times: Option<usize>,
    pub lasts: Option<Duration>,
}

/// What went by.
#[derive(Debug, Default)]
pub struct Seen {
    /// Requests, by the call that they are.
    pub sent: BTreeMap<&'static str, usize>,
    /// How often the recorded answer was given, and when first.
    pub given: usize,
    begun: Option<Timestamp>,
}

impl Seen {
    pub fn calls(&self) -> usize {
        self.sent.values().sum()
    }
}

struct Inner {
    upstream: String,
    http: reqwest::Client,
    sandbox: Sandbox,
    rule: Option<Rule>,
    seen: Mutex<Seen>,
}

/// The server. It ends when this is dropped.
pub struct Front {
    inner: Arc<Inner>,
    pub address: String,
    _stop: DropGuard,
}

impl Front {
    pub fn start(sandbox: &Sandbox, upstream: String, rule: Option<Rule>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a socket without delay"));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let seen = Mutex::default();
        let inner = Arc::new(Inner { upstream, http, sandbox: sandbox.clone(), rule, seen });
        let router = Router::new().fallback(answer).with_state(inner.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(stopped).await });
        Self { inner, address, _stop: stop.drop_guard() }
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.inner.seen()
    }
}

impl Inner {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request, and says whether the recorded answer is due for it.
    fn note(&self, edge: Edge, asked: &str) -> Option<&Rule> {
        let now = self.sandbox.now();
        let seen = &mut *self.seen();
        *seen.sent.entry(edge.as_str()).or_default() += 1;
        let rule = self.rule.as_ref().filter(|rule| rule.edges.contains(&edge))?;
        let was_made = |edge: Edge| seen.sent.contains_key(edge.as_str());
        let asks = |field: &String| asked.split([',', '{', '}']).any(|part| part == field);
        let is_due = rule.asks.iter().all(asks)
            && rule.after.is_none_or(was_made)
            && !rule.until.is_some_and(was_made)
            && rule.times.is_none_or(|times| seen.given < times)
            && rule.lasts.is_none_or(|lasts| {
                seen.begun.is_none_or(|begun| now.duration_since(begun).unsigned_abs() < lasts)
            });
        is_due.then_some(rule)
    }

    /// The recorded answer was given.
    fn give(&self) {
        let mut seen = self.seen();
        seen.given += 1;
        seen.begun.get_or_insert(self.sandbox.now());
    }
}

/// The call of the port that a request is.
fn edge_of(method: &str, path: &str, body: &Value) -> Option<Edge> {
    let mut parts = path.trim_matches('/').split('/');
    let version = parts.next()?;
    version.strip_prefix('v')?;
    let parts: Vec<&str> = parts.collect();
    let fits = |pattern: &str, part: &str| match KINDS.iter().find(|(kind, _)| *kind == pattern) {
        Some((_, first)) => part.starts_with(*first) && part.bytes().all(|byte| byte.is_ascii_digit()),
        None => pattern == part,
    };
    Edge::ALL.into_iter().find(|edge| {
        let pattern: Vec<&str> = edge.path().split('/').skip(1).collect();
        let told_by = TOLD_BY.iter().find(|(of, _)| of == edge);
        edge.method() == method
            && pattern.len() == parts.len()
            && pattern.iter().zip(&parts).all(|(pattern, part)| fits(pattern, part))
            && told_by.is_none_or(|(_, member)| body.get(member).is_some())
    })
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MOST_BYTES).await.expect("a request that is not too long");
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let edge = edge_of(parts.method.as_str(), parts.uri.path(), &json).expect("a call of the port");
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let asked: Vec<String> =
        query.filter(|(key, _)| key == "fields").map(|(_, fields)| fields.into_owned()).collect();
    let rule = inner.note(edge, &asked.join(","));
    if let Some(rule) = rule.filter(|rule| rule.laid_over.is_none()) {
        inner.give();
        return whole(rule.answer.status, &rule.answer.headers, rule.answer.body.clone());
    }
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut on = inner.http.request(parts.method, format!("{}{target}", inner.upstream));
    for (name, value) in &parts.headers {
        if ![header::HOST, header::CONTENT_LENGTH, header::ACCEPT_ENCODING].contains(name) {
            on = on.header(name, value);
        }
    }
    let got = on.body(body).send().await.expect("the simulated Meta answers");
    let (status, mut headers) = (got.status().as_u16(), BTreeMap::new());
    for (name, value) in got.headers() {
        headers.insert(name.to_string(), value.to_str().expect("a header of text").to_owned());
    }
    let mut text = got.text().await.expect("a body of text");
    // What the simulated Meta refuses has no node that anything could be laid over.
    if let Some((rule, fields)) = rule.and_then(|rule| Some((rule, rule.laid_over.as_ref()?)))
        && (200..300).contains(&status)
    {
        inner.give();
        let mut shown: Value = serde_json::from_str(&text).expect("the simulated Meta answers with JSON");
        let recorded: Value = serde_json::from_str(&rule.answer.body).expect("checked when it was read");
        lay_over(&mut shown, &recorded, fields);
        text = shown.to_string();
        headers.extend(rule.answer.headers.clone());
    }
    whole(status, &headers, text)
}

fn whole(status: u16, headers: &BTreeMap<String, String>, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("an HTTP status");
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("the name of a header");
        if ![header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(&name) {
            response.headers_mut().insert(name, value.parse().expect("the value of a header"));
        }
    }
    response
}

/// Lays a recorded node, or every node of a recorded list, over what is shown.
fn lay_over(shown: &mut Value, recorded: &Value, fields: &[String]) {
    let is_list = recorded.get("data").is_some_and(Value::is_array);
    let nodes = match recorded.get("data") {
        Some(Value::Array(nodes)) => nodes.as_slice(),
        _ => std::slice::from_ref(recorded),
    };
    for node in nodes {
        let target = match shown.get_mut("data").and_then(Value::as_array_mut) {
            None => Some(&mut *shown),
            Some(entries) => {
                let is_there = entries.iter().any(|entry| entry["id"] == node["id"]);
                match (is_there, is_list) {
                    // The list of another account.
                    (false, false) => continue,
                    (false, true) => entries.push(json!({"id": node["id"]})),
                    (true, _) => {}
                }
                entries.iter_mut().find(|entry| entry["id"] == node["id"])
            }
        };
        let target = target.and_then(Value::as_object_mut).expect("a node is an object");
        for field in fields {
            target.remove(field);
        }
        for (key, value) in node.as_object().expect("a node is an object") {
            target.insert(key.clone(), value.clone());
        }
    }
}
