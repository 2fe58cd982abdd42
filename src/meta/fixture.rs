//! A fake Graph API that answers what a test says, for the tests of the client.

#![allow(clippy::unwrap_used)]

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use url::Url;

use super::{
    bounded::lock,
    client::{GraphClient, Meta},
    port::{Clock, Credential, Graph, GraphSource, NumberList},
    settings::{MayWrite, Settings},
};
use crate::engine::{
    failure::Failure,
    id::{AccountId, NumberId},
    limits::Limits,
    look::Urgency,
};

pub(super) const TOKEN: &str = "EAAtokenOfTheTest123";
pub(super) const APP_SECRET: &str = "secretOfTheApp";

/// How the fake answers one request.
pub(super) enum Reply {
    Json(u16, Value),
    With(u16, &'static [(&'static str, &'static str)], Value),
    Raw(&'static str),
    /// A body of this many bytes.
    Huge(usize),
    /// Reads the request and closes the connection.
    Close,
    /// Never answers.
    Hang,
    /// What it says to the request.
    By(fn(&Seen) -> Reply),
}

/// What the fake saw.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: String,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn query(&self, key: &str) -> Option<String> {
        let url = Url::parse(&format!("http://fake{}", self.target)).unwrap();
        url.query_pairs().find(|(k, _)| k == key).map(|(_, value)| value.into_owned())
    }
}

pub(super) struct Hands(Mutex<Timestamp>);

impl Hands {
    pub(super) fn pass(&self, time: Duration) {
        let mut now = lock(&self.0);
        *now = now.checked_add(time).unwrap();
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *lock(&self.0)
    }
}

pub(super) struct Bench {
    pub(super) address: SocketAddr,
    pub(super) replies: Arc<Mutex<VecDeque<Reply>>>,
    pub(super) seen: Arc<Mutex<Vec<Seen>>>,
    pub(super) clock: Arc<Hands>,
    pub(super) meta: Meta,
    pub(super) client: GraphClient,
}

impl Bench {
    pub(super) async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::with(replies, Limits { call_timeout: Duration::from_secs(5), ..Limits::default() }, None).await
    }

    pub(super) async fn with(
        replies: impl IntoIterator<Item = Reply>,
        limits: Limits,
        app_secret: Option<&str>,
    ) -> Self {
        Self::while_it_may(replies, limits, app_secret, |_| true).await
    }

    /// Whether a write may leave is said to what was seen so far.
    pub(super) async fn while_it_may(
        replies: impl IntoIterator<Item = Reply>,
        limits: Limits,
        app_secret: Option<&str>,
        may_write: impl Fn(&[Seen]) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let replies = Arc::new(Mutex::new(replies.into_iter().collect::<VecDeque<_>>()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let so_far = Arc::clone(&seen);
        let may_write = MayWrite::when(move || may_write(&lock(&so_far)));
        tokio::spawn(serve(listener, Arc::clone(&replies), Arc::clone(&seen)));
        let clock = Arc::new(Hands(Mutex::new("2026-11-22T12:00:00Z".parse().unwrap())));
        let base_url = Url::parse(&format!("http://{address}/")).unwrap();
        let settings = Settings { base_url, may_write, ..Settings::new(limits).unwrap() };
        let meta = Meta::new(settings, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let client = meta.graph(credential("1", app_secret));
        Self { address, replies, seen, clock, meta, client }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn then(&self, reply: Reply) {
        lock(&self.replies).push_back(reply);
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }

    pub(super) async fn register(&self) -> Result<(), Failure> {
        self.client.register(&account(), &number(), &"123456".to_owned().into()).await.map(|_| ())
    }

    pub(super) async fn numbers(&self) -> Result<Arc<NumberList>, Failure> {
        self.client.numbers(&account(), self.now(), Urgency::Edit).await
    }
}

pub(super) fn credential(version: &str, app_secret: Option<&str>) -> Credential {
    Credential {
        business: "500000000000001".into(),
        version: version.to_owned(),
        token: TOKEN.to_owned().into(),
        app_secret: app_secret.map(|secret| secret.to_owned().into()),
        app: Some("200000000000001".into()),
    }
}

pub(super) fn account() -> AccountId {
    "300000000000001".into()
}

pub(super) fn number() -> NumberId {
    "100000000000001".into()
}

pub(super) async fn serve(
    listener: TcpListener,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (replies, seen) = (Arc::clone(&replies), Arc::clone(&seen));
        tokio::spawn(async move {
            let request = read_request(&mut stream).await;
            let reply = match lock(&replies).pop_front() {
                Some(Reply::By(answer)) => Some(answer(&request)),
                reply => reply,
            };
            lock(&seen).push(request);
            let head = |status: u16, headers: &[(&str, &str)], length: usize| {
                let mut head =
                    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n");
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                head + "\r\n"
            };
            let bytes = match reply {
                Some(Reply::Json(status, body)) => {
                    let body = body.to_string();
                    head(status, &[], body.len()) + &body
                }
                Some(Reply::With(status, headers, body)) => {
                    let body = body.to_string();
                    head(status, headers, body.len()) + &body
                }
                Some(Reply::Raw(text)) => text.to_owned(),
                Some(Reply::Huge(bytes)) => head(200, &[], bytes) + &" ".repeat(bytes),
                Some(Reply::Close) => String::new(),
                Some(Reply::Hang) => std::future::pending().await,
                Some(Reply::By(_)) | None => head(500, &[], 0),
            };
            let _ = stream.write_all(bytes.as_bytes()).await;
            let _ = stream.shutdown().await;
        });
    }
}

pub(super) async fn read_request(stream: &mut tokio::net::TcpStream) -> Seen {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(count > 0, "the request broke off");
            continue;
        };
        let headers = head.to_ascii_lowercase();
        let length = headers
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        if body.len() < length {
            continue;
        }
        let mut words = head.split_whitespace();
        return Seen {
            method: words.next().unwrap().to_owned(),
            target: words.next().unwrap().to_owned(),
            headers: head.to_owned(),
            body: body.to_owned(),
        };
    }
}

pub(super) fn done() -> Reply {
    Reply::Json(200, json!({"success": true}))
}

pub(super) fn refused(code: i64, message: &str) -> Reply {
    Reply::Json(400, json!({"error": {"code": code, "message": message, "fbtrace_id": "Atrace"}}))
}

pub(super) fn nonexisting(field: &str) -> Reply {
    refused(100, &format!("(#100) Tried accessing nonexisting field ({field})"))
}

pub(super) fn page(ids: &[u64], after: Option<&str>) -> Reply {
    let entries: Vec<_> = ids
        .iter()
        .map(|id| {
            json!({"id": id.to_string(), "display_phone_number": format!("+1 555-010-{id:04}"),
                "code_verification_status": "VERIFIED"})
        })
        .collect();
    let mut answer = json!({"data": entries});
    if let Some(after) = after {
        answer["paging"] = json!({"cursors": {"after": after}, "next": "https://graph.facebook.com/x"});
    }
    Reply::Json(200, answer)
}

pub(super) fn is_no_answer<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> String {
    match outcome {
        Err(Failure::NoAnswer(why) | Failure::TooLarge(why)) => why,
        other => panic!("{other:?}"),
    }
}
