//! What stands in for the API server where the real one does not carry the fleet in reasonable time: so many channels of one
//! shape, made up when they are asked for. It knows the requests of the operator and no others, and checks nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Every object that was not written since the start is of this version.
const LISTED: u64 = 1_000;

/// A fleet of channels that differ in name, number and account alone.
pub struct Shape {
    /// The whole object of the first one, as text, and what differs in it: the channel with this index has these words there.
    pub object: String,
    pub words: fn(usize) -> Vec<String>,
}

struct Inner {
    shape: Shape,
    count: usize,
    /// Those that were written.
    written: BTreeMap<usize, Value>,
    portfolio: Value,
    secret: Value,
    version: u64,
    writes: u64,
}

/// The server. Clones share it.
#[derive(Clone)]
pub struct StandIn {
    inner: Arc<Mutex<Inner>>,
    events: broadcast::Sender<(&'static str, String)>,
}

impl StandIn {
    pub fn new(shape: Shape, count: usize, portfolio: Value, secret: Value) -> Self {
        let inner =
            Inner { shape, count, written: BTreeMap::new(), portfolio, secret, version: LISTED, writes: 0 };
        Self { inner: Arc::new(Mutex::new(inner)), events: broadcast::channel(4_096).0 }
    }

    /// Serves until it is stopped; gives back where.
    pub async fn serve(&self, stop: CancellationToken) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("bound");
        let group = "/apis/whatsapp-operator.dev/v1alpha1";
        let one = format!("{group}/namespaces/{{namespace}}/{{kind}}/{{name}}");
        let app = Router::new()
            .route(group, get(served))
            .route(&format!("{group}/{{kind}}"), get(list))
            .route(&one, get(read))
            .route(&format!("{one}/status"), axum::routing::patch(write))
            .route("/api/v1/namespaces/{namespace}/secrets/{name}", get(secret))
            .route("/api/v1/namespaces/{namespace}/configmaps", get(nothing).post(echo))
            .route("/api/v1/namespaces/{namespace}/configmaps/{name}", get(absent).patch(echo))
            .route("/apis/events.k8s.io/v1/namespaces/{namespace}/events", axum::routing::post(echo))
            .fallback(absent)
            .with_state(self.clone());
        tokio::spawn(async move {
            let _ = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
        });
        at
    }

    /// Writes of status so far.
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// The first channel as it stands.
    pub fn first(&self) -> Value {
        self.lock().channel(0)
    }

    /// The portfolio as it stands.
    pub fn portfolio(&self) -> Value {
        self.lock().portfolio.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no writer panicked")
    }
}

impl Inner {
    fn channel(&self, n: usize) -> Value {
        if let Some(written) = self.written.get(&n) {
            return written.clone();
        }
        let mut text = self.shape.object.clone();
        if n > 0 {
            for (first, own) in (self.shape.words)(0).iter().zip((self.shape.words)(n)) {
                text = text.replace(first, &own);
            }
        }
        serde_json::from_str(&text).expect("an object")
    }

    fn write(&mut self, kind: &str, name: &str, status: &Value) -> Option<Value> {
        let index = self.index(name).filter(|_| kind != "whatsappportfolios");
        let mut object = match (kind, index) {
            ("whatsappportfolios", _) => self.portfolio.clone(),
            (_, index) => self.channel(index?),
        };
        self.version += 1;
        self.writes += 1;
        object["status"] = status.clone();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        match index {
            Some(n) => drop(self.written.insert(n, object.clone())),
            None => self.portfolio = object.clone(),
        }
        Some(object)
    }

    fn index(&self, name: &str) -> Option<usize> {
        let n = name.trim_start_matches('c').parse().ok()?;
        (n < self.count).then_some(n)
    }
}

fn answer(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

async fn absent() -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound",
        "message": "not found", "details": {"name": "it"}});
    (StatusCode::NOT_FOUND, [("content-type", "application/json")], status.to_string()).into_response()
}

async fn nothing() -> Response {
    answer(&json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}))
}

async fn echo(body: Bytes) -> Response {
    ([("content-type", "application/json")], body).into_response()
}

async fn served() -> Response {
    let kinds = ["whatsappchannels", "whatsappportfolios"].map(
        |name| json!({"name": name, "singularName": "", "namespaced": true, "kind": "Any", "verbs": ["get"]}),
    );
    answer(
        &json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "whatsapp-operator.dev/v1alpha1",
        "resources": kinds}),
    )
}

async fn secret(State(server): State<StandIn>) -> Response {
    let secret = server.lock().secret.clone();
    answer(&secret)
}

async fn read(
    State(server): State<StandIn>,
    Path((_, kind, name)): Path<(String, String, String)>,
) -> Response {
    let found = {
        let inner = server.lock();
        match kind.as_str() {
            "whatsappportfolios" => Some(inner.portfolio.clone()),
            _ => inner.index(&name).map(|n| inner.channel(n)),
        }
    };
    match found {
        Some(found) => answer(&found),
        None => absent().await,
    }
}

/// A status is written whole.
async fn write(
    State(server): State<StandIn>,
    Path((_, kind, name)): Path<(String, String, String)>,
    body: Bytes,
) -> Response {
    let sent: Value = serde_json::from_slice(&body).expect("an applied status is JSON");
    let Some(written) = server.lock().write(&kind, &name, &sent["status"]) else { return absent().await };
    let kind = if kind == "whatsappportfolios" { "whatsappportfolios" } else { "whatsappchannels" };
    let event = json!({"type": "MODIFIED", "object": written}).to_string();
    let _ = server.events.send((kind, event));
    answer(&written)
}

async fn list(
    State(server): State<StandIn>,
    Path(kind): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    if query.get("watch").is_some_and(|watch| watch == "true") {
        return watch(server.events.subscribe(), kind);
    }
    let from: usize = query.get("continue").and_then(|at| at.parse().ok()).unwrap_or(0);
    let limit: usize = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(500);
    let inner = server.lock();
    let (items, count) = match kind.as_str() {
        "whatsappportfolios" => (vec![inner.portfolio.clone()], 1),
        _ => ((from..inner.count.min(from + limit)).map(|n| inner.channel(n)).collect(), inner.count),
    };
    let mut metadata = json!({"resourceVersion": inner.version.to_string()});
    if from + items.len() < count {
        metadata["continue"] = json!((from + items.len()).to_string());
    }
    answer(
        &json!({"kind": "List", "apiVersion": "whatsapp-operator.dev/v1alpha1", "metadata": metadata, "items": items}),
    )
}

fn watch(events: broadcast::Receiver<(&'static str, String)>, kind: String) -> Response {
    let lines = stream::unfold((events, kind), |(mut events, kind)| async move {
        loop {
            let line = match tokio::time::timeout(Duration::from_secs(60), events.recv()).await {
                Ok(Ok((of, event))) if of == kind => format!("{event}\n"),
                Ok(Ok(_) | Err(broadcast::error::RecvError::Lagged(_))) => continue,
                Ok(Err(broadcast::error::RecvError::Closed)) => return None,
                Err(_) => {
                    let mark = json!({"type": "BOOKMARK", "object": {"kind": "Any",
                        "apiVersion": "whatsapp-operator.dev/v1alpha1", "metadata": {"resourceVersion": LISTED.to_string()}}});
                    format!("{mark}\n")
                }
            };
            return Some((Ok::<_, std::convert::Infallible>(line), (events, kind)));
        }
    });
    ([("content-type", "application/json")], Body::from_stream(lines)).into_response()
}
