//! Traces: what a reconcile did and how long each part took, sent to a collector by OTLP over HTTP.
//!
//! Only spans are sent, and no line of the log: a span has names, ids and codes, and no text of others.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};
use tokio::runtime::Handle;
use tracing::{Dispatch, info, span, warn};
use url::Url;

/// One delivery to the collector.
const DEADLINE: Duration = Duration::from_secs(10);
/// A collector says in a few bytes what it refused.
const LARGEST_ANSWER: usize = 64 * 1024;
/// What waits at the end gets this long.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// The way to the collector. When it goes, what waits is sent, for at most two seconds.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends spans to the collector at `endpoint`, on `runtime`. Nothing is sent before there are some.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the settings.
    pub fn to(endpoint: &Url, instance: Option<&str>, runtime: Handle) -> Result<Self, String> {
        let mut builder =
            reqwest::Client::builder().timeout(DEADLINE).redirect(reqwest::redirect::Policy::none());
        if endpoint.scheme() == "http" {
            // It shows no certificate, and the machine's authorities are slow to read.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| error.to_string())?;
        let mut endpoint = endpoint.clone();
        if endpoint.path() == "/" {
            endpoint.set_path("/v1/traces");
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client { http, runtime, fails: Arc::default() })
            .with_endpoint(endpoint)
            .with_timeout(DEADLINE)
            .build()
            .map_err(|error| error.to_string())?;
        let own = [
            KeyValue::new("service.name", "whatsapp-operator"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let instance = instance.map(|name| KeyValue::new("service.instance.id", name.to_owned()));
        let resource = Resource::builder().with_attributes(own.into_iter().chain(instance)).build();
        Ok(Self(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build()))
    }

    /// Makes spans that go there.
    pub(super) fn tracer(&self) -> SdkTracer {
        self.0.tracer("whatsapp-operator")
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // Whether it was in time changes nothing any more.
        let _ = self.0.shutdown_with_timeout(LAST_SPANS);
    }
}

/// The ids of a span that is traced, as a collector writes them: of its trace, and its own.
pub(super) fn ids(span: &span::Id, dispatch: &Dispatch) -> Option<(String, String)> {
    let context = tracing_opentelemetry::get_otel_context(span, dispatch)?;
    let context = context.span().span_context().clone();
    context.is_valid().then(|| (context.trace_id().to_string(), context.span_id().to_string()))
}

/// The one HTTP stack of the process. The exporter waits in a thread of its own, which has no runtime.
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    /// Whether the last delivery failed, which is told once.
    fails: Arc<AtomicBool>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl HttpClient for Client {
    fn send_bytes<'a, 't>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 't>>
    where
        'a: 't,
        Self: 't,
    {
        let (http, fails) = (self.http.clone(), self.fails.clone());
        let sent = self.runtime.spawn(async move {
            let answer = deliver(&http, request).await;
            let why = match &answer {
                Ok(answer) if answer.status().is_success() => None,
                Ok(answer) => Some(format!("the collector answered {}", answer.status())),
                Err(error) => Some(innermost(&**error)),
            };
            let failed_before = fails.swap(why.is_some(), Ordering::Relaxed);
            match why {
                Some(why) if !failed_before => {
                    warn!(why, "traces are not delivered, and are lost until they are");
                }
                None if failed_before => info!("traces are delivered again"),
                _ => {}
            }
            answer
        });
        Box::pin(async move { sent.await? })
    }
}

async fn deliver(http: &reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let mut answer = http.execute(request.try_into()?).await?;
    let mut built = Response::builder().status(answer.status());
    if let Some(headers) = built.headers_mut() {
        *headers = std::mem::take(answer.headers_mut());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err("the collector's answer is too large".into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(built.body(body.into())?)
}

/// The reason without the address, which may hold a credential.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut reason = error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    reason.to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::net::TcpListener;

    use super::*;

    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Told {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_collector_that_is_not_there_is_told_once_and_so_is_its_return() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let told = Told::default();
        let writer = told.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _guard = tracing::subscriber::set_default(log);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        drop(listener);
        let http = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().expect("a client");
        let client = Client { http, runtime: Handle::current(), fails: Arc::default() };
        let send = || {
            let request = Request::post(format!("http://user:password@{address}/v1/traces"));
            client.send_bytes(request.body(Bytes::from_static(b"spans")).expect("a request"))
        };
        for _ in 0..2 {
            assert!(send().await.is_err(), "nobody listens");
        }
        let listener = TcpListener::bind(address).await.expect("the port is still free");
        let router = axum::Router::new().route("/v1/traces", axum::routing::post(|| async { "" }));
        let served = tokio::spawn(async move { axum::serve(listener, router).await });
        for _ in 0..2 {
            assert!(send().await.is_ok_and(|answer| answer.status().is_success()));
        }
        served.abort();
        let lines = String::from_utf8(told.0.lock().expect("the text").clone()).expect("text");
        let told: Vec<_> = lines.lines().collect();
        assert_eq!(told.len(), 2, "{lines}");
        assert!(told[0].contains("traces are not delivered") && told[0].contains("refused"), "{lines}");
        assert!(told[1].contains("traces are delivered again"), "{lines}");
        assert!(!lines.contains("password"), "{lines}");
    }
}
