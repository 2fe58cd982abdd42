//! HTTPS: one request out, one answer back, deadlines on both. Knows nothing of budgets, and of codes nothing at all.
//!
//! Tokens and proofs leave in a header and in the query of calls that are never logged with their address.

use std::{
    error::Error as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use tower::{BoxError, Service, layer::layer_fn};
use url::Url;

use super::{
    call::{Call, Trouble},
    redact::redact,
    settings::{BadSettings, MayWrite, Settings, check},
};
use crate::engine::failure::Failure;

/// Longest answer that is read: more than ten times what a page of a hundred numbers has.
pub(super) const LARGEST_BODY: usize = 4 * 1024 * 1024;
/// A connection that takes this much less than the whole call leaves time for the call itself.
const CONNECT_MARGIN: Duration = Duration::from_secs(5);
/// Why a write does not leave.
const MAY_NOT: &str = "this process may not write to Meta any more, and another may";
/// Connections that are kept open while nobody uses them.
const IDLE_CONNECTIONS: usize = 8;
/// And for how long: a connection that the other end has closed by then may swallow a write, and it is not known then whether
/// that was made.
const IDLE: Duration = Duration::from_secs(4);
/// A connection that went silent is noticed well before the call's deadline, so that a read can be
/// tried on another one.
const SILENT: Duration = Duration::from_secs(10);
/// Asked twice in that time.
const PROBE: Duration = Duration::from_secs(5);

/// Installs the process's TLS crypto, once; a second call does nothing.
pub fn install_crypto() {
    // An error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The connection to the Graph API.
pub(super) struct Transport {
    http: reqwest::Client,
    base_url: Url,
    version: String,
    may_write: MayWrite,
}

impl Transport {
    /// Builds the HTTP client, and installs the crypto that it needs, unless it is installed.
    pub(super) fn new(settings: Settings) -> Result<Self, BadSettings> {
        install_crypto();
        let Settings { base_url, version, limits, may_write } = settings;
        let is_loopback = check(&base_url, &version)?;
        let mut builder = connecting(reqwest::Client::builder(), limits.call_timeout, &may_write)
            .https_only(base_url.scheme() == "https");
        if is_loopback {
            builder = builder.no_proxy();
        }
        if base_url.scheme() == "http" {
            // A sandbox shows no certificate, and the machine's authorities are slow to read.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| BadSettings::Client(cause(&error)))?;
        Ok(Self { http, base_url, version, may_write })
    }

    /// Sends a request once. What is a part of a write leaves only while writes may.
    pub(super) async fn send(
        &self,
        call: &Call<'_>,
        token: &SecretString,
        proof: Option<&SecretString>,
    ) -> Result<reqwest::Response, Trouble> {
        let request = self.request(call, token, proof)?;
        if call.is_of_write() && !self.may_write.holds() {
            return Err(Failure::NotSent(MAY_NOT.into()).into());
        }
        request.send().await.map_err(sending)
    }

    fn request(
        &self,
        call: &Call<'_>,
        token: &SecretString,
        proof: Option<&SecretString>,
    ) -> Result<reqwest::RequestBuilder, Trouble> {
        let not_sent = |what: &str| Trouble::from(Failure::NotSent(what.to_owned()));
        let mut url = self.base_url.clone();
        // The id of an upload has a signature, which goes behind the path as it is.
        let (node, signature) = match call.node.split_once('?') {
            Some((node, signature)) => (node, Some(signature)),
            None => (call.node, None),
        };
        url.path_segments_mut()
            .map_err(|()| not_sent("the address of the Graph API takes no path"))?
            .pop_if_empty()
            .push(&self.version)
            .extend(call.edge.segments(node));
        url.set_query(signature);
        let scheme = if call.edge.is_of_upload() { "OAuth" } else { "Bearer" };
        let mut bearer = HeaderValue::from_str(&format!("{scheme} {}", token.expose_secret()))
            .map_err(|_| not_sent("the access token holds characters that no token has"))?;
        bearer.set_sensitive(true);
        let method = if call.edge.is_write() { Method::POST } else { Method::GET };
        let mut request = self.http.request(method, url).header(AUTHORIZATION, bearer);
        request = request.query(&call.query);
        if let Some(proof) = proof {
            request = request.query(&[("appsecret_proof", proof.expose_secret())]);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        if let Some((offset, bytes)) = call.bytes {
            let rest = bytes.slice(offset.min(bytes.len())..);
            request = request
                .header("file_offset", offset)
                .header(CONTENT_TYPE, "application/octet-stream")
                .body(rest);
        }
        Ok(request)
    }
}

/// Asks once more when a connection stands, for which a request may have waited.
#[derive(Clone)]
struct Guard<S> {
    inner: S,
    may_write: MayWrite,
}

impl<S, T> Service<T> for Guard<S>
where
    S: Service<T, Error = BoxError, Response: Send, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, to: T) -> Self::Future {
        let (connecting, may_write) = (self.inner.call(to), self.may_write.clone());
        Box::pin(async move {
            let connected = connecting.await?;
            may_write.holds().then_some(connected).ok_or_else(|| MAY_NOT.into())
        })
    }
}

/// How Meta is spoken with, whatever the address.
fn connecting(
    builder: reqwest::ClientBuilder,
    deadline: Duration,
    may_write: &MayWrite,
) -> reqwest::ClientBuilder {
    let builder = builder
        .user_agent(concat!("whatsapp-operator/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connector_layer(layer_fn({
            let may_write = may_write.clone();
            move |inner| Guard { inner, may_write: may_write.clone() }
        }))
        .referer(false)
        // Each call has a connection of its own. Over HTTP/2 all accounts would share one, and calls to a slow account
        // that fill it would keep the others, and what a person waits for, until they count as lost on the way.
        .http1_only()
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE)
        .tcp_keepalive(PROBE)
        .tcp_keepalive_interval(PROBE)
        .tcp_keepalive_retries(1)
        .timeout(deadline)
        .connect_timeout(deadline.saturating_sub(CONNECT_MARGIN).max(deadline / 2));
    #[cfg(target_os = "linux")]
    let builder = builder.tcp_user_timeout(SILENT);
    builder
}

/// Proves to Meta that whoever holds the token holds the app secret too (Graph API, "Secure
/// requests"): HMAC-SHA256 of the token, keyed with the secret, in lower-case hex.
pub(super) fn appsecret_proof(token: &SecretString, app_secret: &SecretString) -> SecretString {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, app_secret.expose_secret().as_bytes());
    let tag = ring::hmac::sign(&key, token.expose_secret().as_bytes());
    let hex = tag.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    hex.map(|half| char::from_digit(u32::from(half), 16).unwrap_or('0')).collect::<String>().into()
}

/// Why a request brought no response. Nothing was sent when no connection came about.
fn sending(error: reqwest::Error) -> Trouble {
    if error.is_connect() && error.is_timeout() {
        Failure::NotSent("no connection to Meta in time".into()).into()
    } else if error.is_connect() {
        Trouble::from(Failure::NotSent(format!("no connection to Meta ({})", cause(&error)))).repeatable()
    } else if error.is_builder() {
        Failure::NotSent(format!("the request cannot be made: {}", cause(&error))).into()
    } else if error.is_timeout() {
        Trouble::no_answer("no answer in time")
    } else {
        Trouble::no_answer(format!("the connection was lost: {}", cause(&error))).repeatable()
    }
}

/// The innermost reason, without the address: it may carry a token.
fn cause(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    if error.source().is_none() {
        return "no reason given".to_owned();
    }
    redact(&reason.to_string(), &[])
}

/// Reads a body up to the bound.
pub(super) async fn read_body(mut response: reqwest::Response) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > LARGEST_BODY => {
                let bound = format!("the answer is larger than {} MiB", LARGEST_BODY / 1_048_576);
                return Err(Failure::TooLarge(bound).into());
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => {
                return Err(Trouble::no_answer("the answer did not end in time"));
            }
            Err(error) => {
                return Err(
                    Trouble::no_answer(format!("the answer was cut off: {}", cause(&error))).repeatable()
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        io::{Read, Write},
        net::TcpListener,
        sync::{Arc, Barrier, mpsc},
        thread,
    };

    use reqwest::{Certificate, Version};
    use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};

    use super::*;
    use crate::engine::limits::Limits;

    /// A server that would rather speak HTTP/2. It answers once as many calls as it waits for are there, and tells of each
    /// connection what was agreed.
    fn server_of_both(together: usize) -> (u16, Certificate, mpsc::Receiver<Option<Vec<u8>>>) {
        install_crypto();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (config, all) = (Arc::new(config), Arc::new(Barrier::new(together)));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, agreed) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten().take(together) {
                let (config, all, tell) = (Arc::clone(&config), Arc::clone(&all), tell.clone());
                thread::spawn(move || {
                    let tls = ServerConnection::new(config).unwrap();
                    let mut stream = StreamOwned::new(tls, stream);
                    let _ = stream.read(&mut [0; 4_096]);
                    let _ = tell.send(stream.conn.alpn_protocol().map(<[u8]>::to_vec));
                    all.wait();
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
                    let _ = stream.flush();
                });
            }
        });
        (port, Certificate::from_der(made.cert.der()).unwrap(), agreed)
    }

    #[tokio::test]
    async fn no_call_waits_for_the_answer_to_another_on_the_same_connection() {
        const TOGETHER: usize = 24;
        let (port, certificate, agreed) = server_of_both(TOGETHER);
        let Settings { limits, may_write, .. } = Settings::new(Limits::default()).unwrap();
        let builder = reqwest::Client::builder().tls_certs_only([certificate]).no_proxy();
        let http = connecting(builder, limits.call_timeout, &may_write).build().unwrap();
        let calls = (0..TOGETHER).map(|_| http.get(format!("https://localhost:{port}/")).send());
        for answer in futures::future::join_all(calls).await {
            assert_eq!(answer.unwrap().version(), Version::HTTP_11);
        }
        let agreed: Vec<_> = agreed.iter().take(TOGETHER).collect();
        assert!(agreed.iter().all(|of| of.as_deref() == Some(b"http/1.1")), "{agreed:?}");
    }

    #[test]
    fn the_proof_is_an_hmac_of_the_token() {
        // RFC 4231, test case 2.
        let proof =
            appsecret_proof(&"what do ya want for nothing?".to_owned().into(), &"Jefe".to_owned().into());
        assert_eq!(proof.expose_secret(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn only_https_leaves_this_machine() {
        let check = |url: &str| {
            let settings =
                Settings { base_url: Url::parse(url).unwrap(), ..Settings::new(Limits::default()).unwrap() };
            Transport::new(settings).map(|_| ()).map_err(|e| e.to_string())
        };
        for url in
            ["https://graph.facebook.com", "http://127.0.0.1:80/x", "http://[::1]:80", "http://localhost"]
        {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        for url in [
            "http://graph.facebook.com",
            "http://10.0.0.1",
            "http://localhost.example.org",
            "ftp://127.0.0.1",
        ] {
            assert!(check(url).unwrap_err().contains("--graph-url must begin with https://"), "{url}");
        }
        for url in ["https://user:password@graph.facebook.com", "https://x/?a=b", "https://x/#a"] {
            let error = check(url).unwrap_err();
            assert!(error.contains("--graph-url") && !error.contains("password@"), "{url}");
        }
        for version in ["25.0", "v25", "v25.x", "v25.0/..", ""] {
            let settings =
                Settings { version: version.to_owned(), ..Settings::new(Limits::default()).unwrap() };
            assert!(matches!(Transport::new(settings), Err(BadSettings::Version)), "{version}");
        }
    }
}
