//! A way to the API server that understands what is asked, and on which a server can be had that does what it should not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::Response;
use futures::StreamExt;
use kube::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::control_plane::client_from;
use crate::rig::Rig;

/// More than any answer that is kept.
const MOST: usize = 16 * 1024 * 1024;
/// Objects of one page, so that a few make several.
const PAGE: &str = "limit=2";

/// What is wrong with lists and watches of channels in one namespace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    Nothing,
    /// Every page of a list but the first is answered with 500.
    PageFails,
    /// Every page of a list but the first is told to be of a version that is too old.
    PageForgotten,
    /// No list is answered.
    Hangs,
    /// Lists come from a member that stands where the last snapshot was taken.
    Lags,
    /// Every watch, of whatever, is closed after a second.
    Closes,
}

/// What was asked about channels in the namespace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asked {
    List,
    Page,
    Watch,
}

/// Clones share it.
#[derive(Clone)]
pub struct Way {
    /// Where it begins.
    url: String,
    upstream: Client,
    /// The path of the channels that the trouble is about.
    path: String,
    trouble: Arc<watch::Sender<Trouble>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    snapshot: Arc<Mutex<Bytes>>,
}

impl Way {
    /// For the operator of a rig; the trouble is to be about this namespace.
    pub async fn of(rig: &Rig, namespace: &str) -> Self {
        let kubeconfig = rig.plane.service_account_kubeconfig(&rig.namespace, rig.account_name()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let way = Self {
            url: format!("http://{}", listener.local_addr().expect("a bound port")),
            upstream: client_from(&kubeconfig),
            path: format!("/apis/whatsapp-operator.dev/v1alpha1/namespaces/{namespace}/whatsappchannels"),
            trouble: Arc::new(watch::Sender::new(Trouble::Nothing)),
            asked: Arc::default(),
            snapshot: Arc::default(),
        };
        let serving = way.clone();
        let app = Router::new().fallback(move |request: Request| {
            let way = serving.clone();
            async move { way.answer(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        way
    }

    /// A kubeconfig of the operator that leads along it.
    pub async fn kubeconfig(&self, rig: &Rig) -> std::path::PathBuf {
        let path = rig.plane.service_account_kubeconfig(&rig.namespace, rig.account_name()).await;
        let text = std::fs::read_to_string(&path).expect("it is there");
        let along = text.replace(rig.plane.url(), &self.url);
        assert_ne!(along, text);
        let own = path.with_extension("way.kubeconfig");
        std::fs::write(&own, along).expect("it can be written");
        own
    }

    /// From now on this is wrong. Watches of before are closed, and what has to begin with a list is told so.
    pub fn set(&self, trouble: Trouble) {
        self.asked.lock().expect("nobody panicked").clear();
        self.trouble.send_replace(trouble);
    }

    /// How often this was asked since the trouble changed.
    pub fn asked(&self, what: Asked) -> usize {
        self.asked.lock().expect("nobody panicked").iter().filter(|asked| **asked == what).count()
    }

    /// The member that lags behind stands here.
    pub async fn snapshot(&self) {
        let answer = self.upstream.request_text(http(&self.path)).await.expect("a list");
        *self.snapshot.lock().expect("nobody panicked") = answer.into();
    }

    async fn answer(&self, request: Request) -> Response {
        let trouble = *self.trouble.borrow();
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default().to_owned());
        let is_watch = query.contains("watch=true");
        let is_concerned = request.method() == "GET" && path == self.path;
        let mut url = format!("{path}?{query}");
        if is_concerned {
            let goes_on = query.contains("continue=");
            let asked = match () {
                () if is_watch => Asked::Watch,
                () if goes_on => Asked::Page,
                () => Asked::List,
            };
            self.asked.lock().expect("nobody panicked").push(asked);
            match (trouble, asked) {
                (Trouble::Nothing | Trouble::Closes, _) => {}
                (_, Asked::Watch) => return failure(StatusCode::GONE, "Expired"),
                (Trouble::PageFails, Asked::Page) => {
                    return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
                }
                (Trouble::PageForgotten, Asked::Page) => return failure(StatusCode::GONE, "Expired"),
                (Trouble::Hangs, _) => std::future::pending().await,
                (Trouble::Lags, Asked::List) => {
                    let old = self.snapshot.lock().expect("nobody panicked").clone();
                    return json_of(StatusCode::OK, Body::from(old));
                }
                (Trouble::PageFails | Trouble::PageForgotten | Trouble::Lags, _) => {}
            }
            let short = query.split('&').map(|part| if part.starts_with("limit=") { PAGE } else { part });
            url = format!("{path}?{}", short.collect::<Vec<_>>().join("&"));
        }
        self.pass(request, url, is_watch).await
    }

    /// Has the API server answer.
    async fn pass(&self, request: Request, url: String, is_watch: bool) -> Response {
        let (mut parts, body) = request.into_parts();
        parts.uri = url.parse().expect("an address");
        for own in [header::HOST, header::AUTHORIZATION, header::CONNECTION, header::CONTENT_LENGTH] {
            parts.headers.remove(own);
        }
        let body = to_bytes(body, MOST).await.expect("a body");
        let request = axum::http::Request::from_parts(parts, kube::client::Body::from(body));
        let Ok(answer) = self.upstream.send(request).await else {
            return failure(StatusCode::BAD_GATEWAY, "BadGateway");
        };
        let (mut parts, body) = answer.into_parts();
        parts.headers.remove(header::TRANSFER_ENCODING);
        let body = Body::new(body);
        if !is_watch {
            return Response::from_parts(parts, body);
        }
        let mut trouble = self.trouble.subscribe();
        let ends = async move {
            let closes = *trouble.borrow_and_update() == Trouble::Closes;
            let second = async {
                tokio::time::sleep(if closes { Duration::from_secs(1) } else { Duration::MAX }).await;
            };
            tokio::select! {
                _ = trouble.changed() => {}
                () = second => {}
            }
        };
        Response::from_parts(parts, Body::from_stream(body.into_data_stream().take_until(Box::pin(ends))))
    }
}

fn http(path: &str) -> axum::http::Request<Vec<u8>> {
    axum::http::Request::get(path).body(Vec::new()).expect("a request")
}

fn json_of(code: StatusCode, body: Body) -> Response {
    Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .expect("an answer")
}

fn failure(code: StatusCode, reason: &str) -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("the test says {reason}"), "reason": reason, "code": code.as_u16()});
    json_of(code, Body::from(status.to_string()))
}
