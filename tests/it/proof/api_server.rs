//! An API server in memory, as far as the operator asks one: objects with versions and conflicts, lists, watches, and
//! accidents on the way. It checks no schema; the real one does that in other tests.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use futures::stream;
use http::{Method, Request, Response, StatusCode};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use whatsapp_operator::api;

const GROUP: &str = "/apis/whatsapp-operator.dev/v1alpha1";
/// A watch without news gets a bookmark this often.
const BOOKMARK: Duration = Duration::from_secs(60);
/// And ends after this long.
const WATCH: Duration = Duration::from_secs(290);

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Another writer was faster.
    Conflict,
    /// It is done, and no answer comes.
    Landed,
    /// It is not done, and no answer comes.
    Lost,
    /// The server refuses, once.
    Error,
    /// Who sent it dies before it is done, or after it.
    DiesBefore,
    DiesAfter,
}

/// One object's path below its kind: namespace and name.
type Name = (String, String);

/// A write of status that changed something.
#[derive(Clone)]
pub struct Written {
    pub channel: String,
    pub status: Value,
    /// Which process wrote it.
    pub by: usize,
}

/// One event of a watch.
#[derive(Clone)]
struct Event {
    version: u64,
    plural: String,
    line: String,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, BTreeMap<Name, Value>>,
    version: u64,
    events: Vec<Event>,
    mishaps: VecDeque<Mishap>,
    /// How often a status of each kind was sent.
    sent: BTreeMap<String, usize>,
    /// How often an object of each kind was read by its name.
    reads: BTreeMap<String, usize>,
    /// The kind and the number of the one write that meets this.
    later: Option<(String, usize, Mishap)>,
    written: Vec<Written>,
    /// Watches that began before this number end.
    epoch: u64,
}

/// The server. Clones share it.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<watch::Sender<u64>>,
}

/// The way of one process to the outside. It can be cut for ever, as by a crash, or for a while.
#[derive(Clone)]
pub struct Wire {
    of: usize,
    standing: Arc<watch::Sender<Standing>>,
    /// The process dies after its next write to Meta.
    doomed: Arc<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Open,
    Stalled,
    Cut,
}

impl Wire {
    pub fn open(of: usize) -> Self {
        Self { of, standing: Arc::new(watch::Sender::new(Standing::Open)), doomed: Arc::default() }
    }

    pub fn is_cut(&self) -> bool {
        *self.standing.borrow() == Standing::Cut
    }

    pub fn doom(&self) {
        self.doomed.store(true, Ordering::Relaxed);
    }

    /// After a write to Meta.
    pub async fn may_die(&self) {
        if self.doomed.load(Ordering::Relaxed) {
            self.die().await;
        }
    }

    async fn die(&self) {
        self.set(Standing::Cut);
        std::future::pending::<()>().await;
    }

    pub fn set(&self, standing: Standing) {
        self.standing.send_if_modified(|now| {
            let is_news = *now != Standing::Cut && *now != standing;
            if is_news {
                *now = standing;
            }
            is_news
        });
    }

    /// Returns once the way is open; never, after a crash.
    pub async fn pass(&self) {
        let mut standing = self.standing.subscribe();
        let _ = standing.wait_for(|standing| *standing == Standing::Open).await;
    }

    /// Returns after a crash.
    pub async fn pass_if_alive(&self) {
        let mut standing = self.standing.subscribe();
        let _ = standing.wait_for(|standing| *standing != Standing::Cut).await;
    }
}

fn answer(code: StatusCode, value: &Value) -> Response<Body> {
    let response = Response::builder().status(code).header("content-type", "application/json");
    response.body(Body::from(value.to_string())).expect("a response")
}

fn failure(code: StatusCode, name: &str, message: &str) -> Response<Body> {
    let reason = match code {
        StatusCode::CONFLICT => "Conflict",
        StatusCode::NOT_FOUND => "NotFound",
        _ => "InternalError",
    };
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code.as_u16(), "message": message, "details": {"name": name}, "reason": reason});
    answer(code, &status)
}

impl ApiServer {
    pub fn new() -> Self {
        Self { inner: Arc::default(), changed: Arc::new(watch::Sender::new(0)) }
    }

    /// A client for one process.
    pub fn client(&self, wire: Wire) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let (server, wire) = (server.clone(), wire.clone());
            async move {
                wire.pass().await;
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.expect("a whole body");
                let response = server.serve(&head.method, &head.uri, &body, &wire).await;
                wire.pass().await;
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        Client::new(service, "default")
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates or replaces an object, as a person does: what changed of its spec counts a generation.
    pub fn put(&self, plural: &str, namespace: &str, name: &str, object: Value) {
        let mut inner = self.lock();
        inner.put(plural, (namespace.into(), name.into()), object);
        self.tell(&inner);
    }

    /// Changes an object in place.
    pub fn change(&self, plural: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut inner = self.lock();
        let of = (namespace.to_owned(), name.to_owned());
        let mut object = inner.objects[plural][&of].clone();
        change(&mut object);
        inner.put(plural, of, object);
        self.tell(&inner);
    }

    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        self.lock().objects.get(plural)?.get(&(namespace.into(), name.into())).cloned()
    }

    /// The writes of status that changed something, in order, from this one on.
    pub fn written_since(&self, first: usize) -> Vec<Written> {
        self.lock().written[first..].to_vec()
    }

    /// How many writes of status changed something.
    pub fn written_count(&self) -> usize {
        self.lock().written.len()
    }

    /// The next write of status meets this.
    pub fn meets(&self, mishap: Mishap) {
        self.lock().mishaps.push_back(mishap);
    }

    /// The write of a status of this kind with this number, counted from now on, meets this.
    pub fn meets_at(&self, plural: &str, nth: usize, mishap: Mishap) {
        let nth = self.sent(plural) + nth;
        self.lock().later = Some((plural.to_owned(), nth, mishap));
    }

    /// How often a status of this kind was sent.
    pub fn sent(&self, plural: &str) -> usize {
        self.lock().sent.get(plural).copied().unwrap_or_default()
    }

    /// How often an object of this kind was read by its name.
    pub fn reads(&self, plural: &str) -> usize {
        self.lock().reads.get(plural).copied().unwrap_or_default()
    }

    /// No more accidents.
    pub fn calm(&self) {
        let mut inner = self.lock();
        inner.mishaps.clear();
        inner.later = None;
    }

    /// What this write of a status meets.
    fn met(&self, plural: &str) -> Option<Mishap> {
        let mut inner = self.lock();
        let sent = inner.sent.entry(plural.to_owned()).or_default();
        *sent += 1;
        let nth = *sent;
        let now = inner.later.take_if(|(of, at, _)| of == plural && *at == nth);
        now.map(|(.., mishap)| mishap).or_else(|| inner.mishaps.pop_front())
    }

    /// Every watch that is open ends.
    pub fn close_watches(&self) {
        let mut inner = self.lock();
        inner.epoch += 1;
        self.tell(&inner);
    }

    fn tell(&self, inner: &Inner) {
        self.changed.send_replace(inner.version + inner.epoch);
    }

    async fn serve(&self, method: &Method, uri: &http::Uri, body: &[u8], wire: &Wire) -> Response<Body> {
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let path = uri.path().trim_start_matches('/').split('/').collect::<Vec<_>>();
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        if uri.path() == GROUP {
            let kinds = ["whatsappchannels", "whatsappportfolios"].map(|name| {
                json!({"name": name, "singularName": "", "namespaced": true, "kind": "Any", "verbs": ["get"]})
            });
            let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "resources": kinds,
                "groupVersion": "whatsapp-operator.dev/v1alpha1"});
            return answer(StatusCode::OK, &list);
        }
        if uri.path() == format!("/openapi/v3{GROUP}") {
            let schemas: serde_json::Map<String, Value> = [api::channel_crd(), api::portfolio_crd()]
                .into_iter()
                .map(|crd| {
                    let schema = &crd.spec.versions[0].schema.as_ref().expect("a schema").open_api_v3_schema;
                    (format!("dev.whatsapp-operator.v1alpha1.{}", crd.spec.names.kind), json!(schema))
                })
                .collect();
            return answer(StatusCode::OK, &json!({"components": {"schemas": schemas}}));
        }
        // What the path names below its group and version.
        let below = if path[0] == "api" { &path[2..] } else { &path[3..] };
        match (method, below) {
            (&Method::GET, [plural]) if query.get("watch").is_some_and(|watch| watch == "true") => {
                self.watch(plural, &query, wire.clone())
            }
            (&Method::GET, [plural] | ["namespaces", _, plural]) => self.list(plural, &query),
            (&Method::GET, [plural, name]) => self.read(plural, "", name),
            (&Method::GET, ["namespaces", namespace, plural, name]) => {
                *self.lock().reads.entry((*plural).to_owned()).or_default() += 1;
                self.read(plural, namespace, name)
            }
            (&Method::POST, ["namespaces", namespace, plural]) => self.create(plural, namespace, sent),
            (&Method::PATCH, ["namespaces", namespace, plural, name, "status"]) => {
                self.write_status(plural, namespace, name, &sent, wire).await
            }
            (&Method::PATCH, ["namespaces", namespace, plural, name]) => {
                self.merge(plural, namespace, name, &sent)
            }
            _ => failure(StatusCode::METHOD_NOT_ALLOWED, "", &format!("{method} {uri} is not known here")),
        }
    }

    fn read(&self, plural: &str, namespace: &str, name: &str) -> Response<Body> {
        match self.get(plural, namespace, name) {
            Some(object) => answer(StatusCode::OK, &object),
            None => failure(StatusCode::NOT_FOUND, name, "not found"),
        }
    }

    fn list(&self, plural: &str, query: &BTreeMap<String, String>) -> Response<Body> {
        let inner = self.lock();
        let all: Vec<&Value> = inner.objects.get(plural).into_iter().flat_map(BTreeMap::values).collect();
        let from: usize = query.get("continue").and_then(|at| at.parse().ok()).unwrap_or(0);
        let limit: usize = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(500);
        let end = all.len().min(from.saturating_add(limit));
        let mut metadata = json!({"resourceVersion": inner.version.to_string()});
        if end < all.len() {
            metadata["continue"] = json!(end.to_string());
        }
        let page = all.get(from..end).unwrap_or_default();
        answer(
            StatusCode::OK,
            &json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": page}),
        )
    }

    fn watch(&self, plural: &str, query: &BTreeMap<String, String>, wire: Wire) -> Response<Body> {
        let from: u64 = query.get("resourceVersion").and_then(|at| at.parse().ok()).unwrap_or(0);
        let (epoch, begun) = (self.lock().epoch, tokio::time::Instant::now());
        let state = (self.clone(), plural.to_owned(), from, self.changed.subscribe());
        let lines = stream::unfold(state, move |(server, plural, from, mut changed)| {
            let wire = wire.clone();
            async move {
                loop {
                    wire.pass().await;
                    changed.mark_unchanged();
                    let next = {
                        let inner = server.lock();
                        if inner.epoch != epoch || begun.elapsed() > WATCH {
                            return None;
                        }
                        let of = |event: &&Event| event.version > from && event.plural == plural;
                        inner.events.iter().find(of).cloned()
                    };
                    if let Some(Event { version, line, .. }) = next {
                        return Some((
                            Ok::<_, std::convert::Infallible>(line),
                            (server, plural, version, changed),
                        ));
                    }
                    if tokio::time::timeout(BOOKMARK, changed.changed()).await.is_err() {
                        let version = server.lock().version.max(from);
                        let mark = json!({"type": "BOOKMARK", "object": {"kind": "Any", "apiVersion": "v1",
                            "metadata": {"resourceVersion": version.to_string()}}});
                        return Some((Ok(format!("{mark}\n")), (server, plural, version, changed)));
                    }
                }
            }
        });
        let response = Response::builder().header("content-type", "application/json");
        response.body(Body::from_stream(lines)).expect("a response")
    }

    fn create(&self, plural: &str, namespace: &str, object: Value) -> Response<Body> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        // Nobody reads them here.
        if plural == "events" {
            return answer(StatusCode::CREATED, &object);
        }
        let mut inner = self.lock();
        let of = (namespace.to_owned(), name.clone());
        if inner.objects.get(plural).is_some_and(|all| all.contains_key(&of)) {
            return failure(StatusCode::CONFLICT, &name, "it exists already");
        }
        let created = inner.put(plural, of, object);
        self.tell(&inner);
        answer(StatusCode::CREATED, &created)
    }

    /// A merge patch of an object that is not ours to watch.
    fn merge(&self, plural: &str, namespace: &str, name: &str, patch: &Value) -> Response<Body> {
        if plural == "events" {
            return answer(StatusCode::OK, patch);
        }
        let mut inner = self.lock();
        let of = (namespace.to_owned(), name.to_owned());
        let Some(mut object) = inner.objects.get(plural).and_then(|all| all.get(&of)).cloned() else {
            return failure(StatusCode::NOT_FOUND, name, "not found");
        };
        let expected = &patch["metadata"]["resourceVersion"];
        if expected.is_string() && *expected != object["metadata"]["resourceVersion"] {
            return failure(StatusCode::CONFLICT, name, "it stands at another version");
        }
        for (key, value) in patch["data"].as_object().into_iter().flatten() {
            object["data"][key] = value.clone();
        }
        if let Some(finalizers) = patch["metadata"].get("finalizers") {
            object["metadata"]["finalizers"] = finalizers.clone();
        }
        let written = inner.put(plural, of, object);
        self.tell(&inner);
        answer(StatusCode::OK, &written)
    }

    async fn write_status(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        sent: &Value,
        wire: &Wire,
    ) -> Response<Body> {
        let mishap = self.met(plural);
        match mishap {
            Some(Mishap::DiesBefore) => wire.die().await,
            Some(Mishap::Conflict) => {
                return failure(StatusCode::CONFLICT, name, "another writer was faster");
            }
            Some(Mishap::Error) => {
                return failure(StatusCode::INTERNAL_SERVER_ERROR, name, "etcd has no leader");
            }
            Some(Mishap::Lost) => std::future::pending().await,
            Some(Mishap::Landed | Mishap::DiesAfter) | None => {}
        }
        let response = self.apply_status(plural, namespace, name, sent, wire.of);
        match mishap {
            Some(Mishap::Landed) => std::future::pending::<()>().await,
            Some(Mishap::DiesAfter) => wire.die().await,
            _ => {}
        }
        response
    }

    fn apply_status(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        sent: &Value,
        by: usize,
    ) -> Response<Body> {
        let mut inner = self.lock();
        let of = (namespace.to_owned(), name.to_owned());
        let Some(mut object) = inner.objects.get(plural).and_then(|all| all.get(&of)).cloned() else {
            return failure(StatusCode::NOT_FOUND, name, "not found");
        };
        for member in ["uid", "resourceVersion"] {
            if sent["metadata"][member] != object["metadata"][member] {
                return failure(StatusCode::CONFLICT, name, "it stands at another version");
            }
        }
        if object["status"] == sent["status"] {
            return answer(StatusCode::OK, &object);
        }
        object["status"] = sent["status"].clone();
        let written = inner.put(plural, of, object);
        if plural == "whatsappchannels" {
            inner.written.push(Written { channel: name.to_owned(), status: written["status"].clone(), by });
        }
        self.tell(&inner);
        answer(StatusCode::OK, &written)
    }
}

impl Inner {
    fn put(&mut self, plural: &str, of: Name, mut object: Value) -> Value {
        self.version += 1;
        let version = self.version;
        let all = self.objects.entry(plural.to_owned()).or_default();
        let before = all.get(&of);
        let (mut generation, mut kind) = (1, "ADDED");
        let mut uid = json!(format!("uid-{version}"));
        if let Some(before) = before {
            kind = "MODIFIED";
            uid = before["metadata"]["uid"].clone();
            generation = before["metadata"]["generation"].as_i64().unwrap_or(1);
            generation += i64::from(before["spec"] != object["spec"]);
        }
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(of.1);
        if !of.0.is_empty() {
            metadata["namespace"] = json!(of.0);
        }
        metadata["uid"] = uid;
        metadata["generation"] = json!(generation);
        metadata["resourceVersion"] = json!(version.to_string());
        if metadata["creationTimestamp"].is_null() {
            metadata["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        all.insert(of, object.clone());
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        self.events.push(Event { version, plural: plural.to_owned(), line });
        object
    }
}
