//! From a request to an answer, and over sockets.
//!
//! A lost reply is a value here: in the process it is `Err(Lost)`, over the router it
//! is an answer with the header `x-sandbox-lost`, and on a socket the connection ends
//! without a byte.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::http::{HeaderName, HeaderValue, Request, Response};
use axum::serve::{IncomingStream, Listener};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::answer::plain;
use super::call::Call;
use super::control;
use super::envelope::{Refusal, http_status};
use super::fault::{FaultKind, add_fields, replace_field};
use super::graph::Handled;
use super::options::Hold;
use super::random::hash;
use super::record::CallRecord;
use super::simulation::Sandbox;
use super::state::{Handshake, Next, Target, template};
use super::webhook;

/// Marks an answer that must not reach the client.
pub const LOST_HEADER: &str = "x-sandbox-lost";
/// A body larger than this is no call.
const MAX_REQUEST: usize = 8 * 1024 * 1024;
/// How long calls may end after a stop.
const GRACE: Duration = Duration::from_secs(1);

/// The reply was lost: the client sees a transport error or its own time-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

impl Sandbox {
    /// Answers one request without any transport.
    ///
    /// # Errors
    ///
    /// [`Lost`] when a fault swallows the reply; with [`Hold::Keep`] only after that time.
    pub async fn handle(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Lost> {
        if request.uri().path().starts_with("/control") {
            return Ok(control::handle(self, &request));
        }
        let call = Call::read(&request);
        let (target, faults, hold) = {
            let mut state = self.state();
            state.tick();
            let target = state.target(&call);
            (target.clone(), state.meet_faults(&call, &target), state.options.hold)
        };
        for fault in &faults {
            if let FaultKind::Latency { ms } = fault {
                sleep(Duration::from_millis(*ms)).await;
            }
        }
        let answer = self.answer(&call, &target, &faults).await;
        let account = self.state().account_of(&target);
        let names = faults.iter().map(|fault| fault.name().to_owned()).collect();
        let (status, code, bytes) = answer.as_ref().map_or((None, None, 0), |(response, code)| {
            (Some(response.status().as_u16()), *code, size(response))
        });
        let path = template(&call, &target);
        let at = self.now();
        self.state().record(CallRecord {
            at,
            method: call.method.clone(),
            path,
            account,
            id: call.path.first().cloned(),
            parameters: call.params.keys().cloned().collect(),
            status,
            code,
            bytes,
            faults: names,
        });
        match answer {
            Some((response, _)) => Ok(response),
            None => {
                if let (Hold::Keep { secs }, false) = (hold, faults.contains(&FaultKind::Disconnect)) {
                    sleep(Duration::from_secs(secs)).await;
                }
                Err(Lost)
            }
        }
    }

    /// The answer and the code in it; none when it is lost.
    async fn answer(
        &self,
        call: &Call,
        target: &Target,
        faults: &[FaultKind],
    ) -> Option<(Response<Bytes>, Option<i64>)> {
        for fault in faults {
            match fault {
                FaultKind::TimeoutBefore | FaultKind::Disconnect => return None,
                FaultKind::Status { code } => return Some((plain(*code, "text/plain", Bytes::new()), None)),
                FaultKind::RawBody { code, body } => {
                    let body = Bytes::from(body.clone());
                    return Some((plain(*code, "application/json; charset=UTF-8", body), None));
                }
                FaultKind::Html { code } => {
                    let page = "<!DOCTYPE html><html><head><title>Error</title></head><body>Sorry, something went wrong.</body></html>";
                    return Some((
                        plain(*code, "text/html; charset=utf-8", Bytes::from_static(page.as_bytes())),
                        None,
                    ));
                }
                FaultKind::Error { envelope } => {
                    let code = envelope["error"]["code"].as_i64();
                    let text = meta_json(envelope);
                    return Some((
                        plain(code.map_or(400, http_status), "application/json; charset=UTF-8", text.into()),
                        code,
                    ));
                }
                FaultKind::Throttle { code, minutes } => self.state().throttle(call, target, *code, *minutes),
                FaultKind::BrokenUpload { bytes } => {
                    let mut call = call.clone();
                    if let Some(part) = &mut call.part {
                        part.bytes.truncate(*bytes);
                    }
                    self.state().handle(&call, target, &[]);
                    return None;
                }
                FaultKind::DelayedEffect { secs } => {
                    self.state().delay(call, target, *secs);
                    return None;
                }
                _ => {}
            }
        }
        let mut refused = Vec::new();
        let mut late = 0;
        for fault in faults {
            match fault {
                FaultKind::RefuseField { field, envelope } => refused.push((field.clone(), envelope.clone())),
                FaultKind::LateEffect { secs } => late = late.max(*secs),
                _ => {}
            }
        }
        let handled = {
            let mut state = self.state();
            state.extra_lag = late;
            let handled = state.handle(call, target, &refused);
            state.extra_lag = 0;
            handled
        };
        let Handled { outcome, headers, locale } = handled;
        let outcome = match outcome {
            Ok(Next::Body(body)) => Ok(body),
            Ok(Next::Handshake(shake)) => self.shake(shake, late).await,
            Err(refusal) => Err(refusal),
        };
        if faults.contains(&FaultKind::TimeoutAfter) {
            return None;
        }
        Some(self.render(call, outcome, headers, &locale, faults))
    }

    /// Does the handshake and finishes the call.
    async fn shake(&self, shake: Handshake, late: u64) -> Result<Value, Refusal> {
        let (challenge, answer) = {
            let mut state = self.state();
            let challenge = state.dice.between("challenge", 1_000_000_000, 2_000_000_000);
            let local = url::Url::parse(&shake.url).is_ok_and(|url| webhook::is_loopback(&url));
            let listed = state.world.webhook_endpoints.get(&shake.url).copied();
            let answer = listed.or_else(|| (!local).then_some(state.options.switches.unknown_webhook));
            (u32::try_from(challenge).unwrap_or(u32::MAX), answer)
        };
        webhook::handshake(&shake.url, &shake.verify_token, challenge, answer).await?;
        let mut state = self.state();
        state.extra_lag = late;
        let body = state.finish(shake.then);
        state.extra_lag = 0;
        Ok(body)
    }

    fn render(
        &self,
        call: &Call,
        outcome: Result<Value, Refusal>,
        mut headers: Vec<(&'static str, String)>,
        locale: &str,
        faults: &[FaultKind],
    ) -> (Response<Bytes>, Option<i64>) {
        let mut state = self.state();
        // As in recorded answers, accepted or refused: the id of the request is what a refusal has as `fbtrace_id`, and the trace
        // has another one.
        let trace = format!("A{:016x}", state.dice.draw("trace"));
        headers.push(("x-fb-request-id", trace.clone()));
        headers.push(("x-fb-trace-id", format!("T{:010x}", state.dice.draw("trace of the server") >> 24)));
        headers.push(("cache-control", "private, no-cache, no-store, must-revalidate".to_owned()));
        let code = outcome.as_ref().err().map(|refusal| refusal.code);
        let (mut status, mut body) = match outcome {
            Ok(body) => (200, body),
            Err(refusal) => {
                headers
                    .push(("www-authenticate", "OAuth \"Facebook Platform\" \"invalid_request\"".to_owned()));
                (refusal.status(), refusal.envelope(&state.options.switches, locale, &trace))
            }
        };
        for fault in faults {
            match fault {
                FaultKind::UnknownField { fields } => add_fields(&mut body, fields),
                FaultKind::UnknownEnum { field, value } => replace_field(&mut body, field, value),
                _ => {}
            }
        }
        let mut text = meta_json(&body);
        if call.method == "GET" && status == 200 {
            let tag = format!("\"{:016x}\"", hash(text.as_bytes()));
            if state.options.switches.not_modified && call.if_none_match.as_deref() == Some(tag.as_str()) {
                status = 304;
                text.clear();
            }
            headers.push(("etag", tag));
        }
        for fault in faults {
            match fault {
                FaultKind::StatusAfter { code } => {
                    status = *code;
                    text.clear();
                }
                FaultKind::TruncatedBody => break_off(&mut text),
                FaultKind::HugeBody { bytes } => text.push_str(&" ".repeat(*bytes)),
                _ => {}
            }
        }
        let mut response = plain(status, "application/json; charset=UTF-8", text.into());
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        (response, code)
    }

    /// The Graph API under `/vNN.N/…` and the control API under `/control/…`.
    ///
    /// A lost reply is an answer with [`LOST_HEADER`], since a router cannot drop a
    /// connection; [`Sandbox::serve`] drops it.
    pub fn router(&self) -> Router {
        let sandbox = self.clone();
        Router::new().fallback(move |request: axum::extract::Request| {
            let sandbox = sandbox.clone();
            async move { sandbox.respond(request).await }
        })
    }

    async fn respond(self, request: axum::extract::Request) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let connection = parts.extensions.get::<ConnectInfo<Line>>().map(|info| info.0.clone());
        let Ok(body) = to_bytes(body, MAX_REQUEST).await else {
            return plain(413, "text/plain", Bytes::new()).map(Body::from);
        };
        match self.handle(Request::from_parts(parts, body)).await {
            Ok(response) => response.map(Body::from),
            Err(Lost) => {
                if let Some(line) = connection {
                    line.cut();
                }
                let mut response = plain(500, "text/plain", Bytes::new());
                response
                    .headers_mut()
                    .insert(HeaderName::from_static(LOST_HEADER), HeaderValue::from_static("1"));
                response.map(Body::from)
            }
        }
    }

    /// Serves until it is told to stop.
    ///
    /// # Errors
    ///
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let service = self.router().into_make_service_with_connect_info::<Line>();
        let stopped = stop.clone();
        let server = axum::serve(Lines { listener }, service)
            .with_graceful_shutdown(async move { stopped.cancelled().await });
        tokio::select! {
            served = async { server.await } => served,
            () = async { stop.cancelled().await; sleep(GRACE).await } => Ok(()),
        }
    }
}

/// JSON in Meta's manner: slashes and at signs are escaped.
fn meta_json(value: &Value) -> String {
    value.to_string().replace('/', "\\/").replace('@', "\\u0040")
}

fn size(response: &Response<Bytes>) -> usize {
    let headers = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    response.body().len() + headers.sum::<usize>()
}

/// Leaves half of a text, and no half of a letter.
fn break_off(text: &mut String) {
    let half = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(half.unwrap_or_default());
}

/// A connection that can be cut.
#[derive(Clone, Debug, Default)]
struct Line(Arc<AtomicBool>);

impl Line {
    fn cut(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

/// Accepts connections that can be cut.
struct Lines {
    listener: TcpListener,
}

impl Listener for Lines {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Wire { stream, line: Line::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Lines>> for Line {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.io().line.clone()
    }
}

/// A stream that fails once its line is cut, so that no byte of the answer is sent.
struct Wire {
    stream: TcpStream,
    line: Line,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.line.check()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.line.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.check()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
