//! A call to the API server: its client, its deadline, and how it fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    future::Future,
    time::Duration,
};

use futures::AsyncReadExt;
use hyper::Request;
use hyper_util::{
    client::{legacy::connect::HttpConnector, proxy::matcher::Matcher},
    rt::TokioExecutor,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt},
};
use serde::Deserialize;
use tower::{BoxError, ServiceExt, util::option_layer};
use tracing::info;

use crate::escape;

/// Field manager of everything that the operator writes.
pub const MANAGER: &str = "whatsapp-operator";

/// No answer within this is no answer. Well below a reconcile's budget, and with a call to Meta below a pod's grace period.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// A peer that vanished without a word is noticed by TCP: asked after this pause, so often, at this pace.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TRIES: u32 = 3;

/// Most bytes that are read from a connection at once. hyper's own bound is 400 KiB, which each connection that read a list
/// holds as long as it is open.
const READ_AT_ONCE: usize = 64 * 1024;

/// Most bytes that are read of what the API server publishes of a group's schemas.
const MOST_SCHEMAS: u64 = 8 * 1024 * 1024;

/// Most characters of a text of the API server's that are kept.
const MOST_CHARACTERS: usize = 300;

/// What the API server says, or an admission policy behind it, as it may be shown: on one line, and bounded.
fn words(text: &str) -> String {
    let text = escape::line(text.trim());
    match text.char_indices().nth(MOST_CHARACTERS) {
        None => text.into_owned(),
        // What is cut off may be a part of a secret, which would not be known for one.
        Some((at, _)) => {
            let is_cut = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
            format!("{}…", text[..at].trim_end_matches(is_cut).trim_end())
        }
    }
}

/// Why a call to the API server gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    #[error("the object stands at another version: {0}")]
    Conflict(String),
    /// 404 about this object, or its namespace is being deleted: a stop, not an error to retry.
    #[error("the object is gone: {0}")]
    Gone(String),
    /// 404 about no object: the kind is not installed, or the API server has just started and does not serve it yet.
    #[error("the API server does not serve the kind: {0}")]
    NotServed(String),
    #[error("not permitted: {0}")]
    Forbidden(String),
    /// Perhaps done, perhaps not.
    #[error("no usable answer: {0}")]
    NoAnswer(String),
    #[error("refused: {0}")]
    Refused(String),
}

impl Failed {
    fn from_kube(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.is_conflict() || status.is_already_exists() => {
                Self::Conflict(words(&status.message))
            }
            // By the code: where a whole group is missing, there is a page in the place of a Status.
            kube::Error::Api(status) if status.code == 404 && !names_an_object(status) => {
                Self::NotServed(words(&status.message))
            }
            kube::Error::Api(status) if status.code == 404 || is_namespace_terminating(status) => {
                Self::Gone(words(&status.message))
            }
            kube::Error::Api(status) if status.is_forbidden() => Self::Forbidden(words(&status.message)),
            kube::Error::Api(status) if status.code >= 500 || status.code == 429 => {
                Self::NoAnswer(format!("{}: {}", status.code, words(&status.message)))
            }
            kube::Error::Api(status) => Self::Refused(words(&refusal(status))),
            error => Self::NoAnswer(words(&causes(error))),
        }
    }
}

/// What the API server answers, with its code, and with the remedy where it does not know this process.
pub fn refusal(status: &kube::core::Status) -> String {
    let text = format!("{}: {}", status.code, status.message);
    match status.code {
        401 => format!(
            "{text}: the token of this process has expired, or its ServiceAccount was made anew; delete the pod, or log in \
             to the cluster again"
        ),
        _ => text,
    }
}

/// An error with what caused it, down to the first cause: which port refused, or which certificate is not trusted.
pub fn causes(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        let text = cause.to_string();
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        at = cause.source();
    }
    told
}

fn names_an_object(status: &kube::core::Status) -> bool {
    status.details.as_ref().is_some_and(|details| !details.name.is_empty())
}

fn is_namespace_terminating(status: &kube::core::Status) -> bool {
    let causes = status.details.as_ref().map(|d| d.causes.as_slice()).unwrap_or_default();
    causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// Opens a client by what the process finds around it: a kubeconfig, or the ServiceAccount of its pod.
///
/// # Errors
///
/// When no configuration is found, or TLS cannot be set up.
pub async fn connect() -> kube::Result<Client> {
    let config = Config::infer().await.map_err(kube::Error::InferConfig)?;
    info!(address = %config.cluster_url, "using the API server");
    client(config)
}

/// Opens a client by a configuration.
///
/// Without kube's own retries, which can hold one call for minutes: a call that fails
/// ends its pass, and the next pass comes after a pause of its own. With TCP keep-alive, for which
/// kube has no setting; through a proxy the connection is the proxy's, and kube's own client is used.
///
/// # Errors
///
/// When TLS cannot be set up.
pub fn client(mut config: Config) -> kube::Result<Client> {
    config.default_retry = false;
    if is_left_out(&config) {
        config.proxy_url = None;
    }
    if config.proxy_url.is_some() {
        return Client::try_from(config);
    }
    let mut tcp = HttpConnector::new();
    // TLS is put on top of it.
    tcp.enforce_http(false);
    tcp.set_connect_timeout(config.connect_timeout);
    tcp.set_keepalive(Some(KEEP_ALIVE));
    tcp.set_keepalive_interval(Some(KEEP_ALIVE_EVERY));
    tcp.set_keepalive_retries(Some(KEEP_ALIVE_TRIES));
    let connector = config.rustls_https_connector_with_connector(tcp)?;
    let mut http = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
    http.http1_max_buf_size(READ_AT_ONCE);
    let http = http.build::<_, Body>(connector);
    let client = ClientBuilder::new(http.map_err(BoxError::from), config.default_namespace.clone())
        .with_layer(&config.extra_headers_layer()?)
        .with_layer(&option_layer(config.auth_layer()?))
        .with_layer(&config.base_uri_layer())
        .build();
    Ok(client)
}

/// Whether `NO_PROXY` names a cluster for which the environment names a proxy. kube compares it with the proxy's own address. A
/// proxy that the kubeconfig names itself is meant for this cluster.
fn is_left_out(config: &Config) -> bool {
    let of = |name| std::env::var(name).ok().and_then(|url| url.parse().ok());
    let is_of_environment =
        config.proxy_url.is_some() && config.proxy_url == of("HTTPS_PROXY").or_else(|| of("https_proxy"));
    is_of_environment && Matcher::from_env().intercept(&config.cluster_url).is_none()
}

/// Puts the deadline around a call.
pub async fn bounded<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Failed> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failed::from_kube(&error)),
        Err(_) => Err(Failed::NoAnswer(format!("none within {} s", DEADLINE.as_secs()))),
    }
}

/// Which of these kinds (plural names) the API server does not serve.
///
/// # Errors
///
/// When it could not be asked.
pub async fn not_served(
    client: &Client,
    group_version: &str,
    plurals: &[&str],
) -> Result<Vec<String>, Failed> {
    let served: BTreeSet<String> = match bounded(client.list_api_group_resources(group_version)).await {
        Ok(list) => list.resources.into_iter().map(|resource| resource.name).collect(),
        Err(Failed::NotServed(_)) => BTreeSet::new(),
        Err(error) => return Err(error),
    };
    Ok(plurals.iter().filter(|p| !served.contains(**p)).map(|p| (*p).to_owned()).collect())
}

/// The schema of each kind of a group's version, as the API server publishes it. Everybody may read that, as a role of Kubernetes'
/// own has it.
///
/// # Errors
///
/// When it cannot be read.
pub async fn schemas(
    client: &Client,
    group_version: &str,
) -> Result<BTreeMap<String, JSONSchemaProps>, Failed> {
    #[derive(Deserialize)]
    struct Document {
        components: Components,
    }
    #[derive(Deserialize)]
    struct Components {
        schemas: BTreeMap<String, JSONSchemaProps>,
    }
    let read = async {
        let request = Request::get(format!("/openapi/v3/apis/{group_version}")).body(Vec::new());
        let request = request.map_err(kube::Error::HttpError)?;
        let mut text = Vec::new();
        let answer = client.request_stream(request).await?;
        answer.take(MOST_SCHEMAS + 1).read_to_end(&mut text).await.map_err(kube::Error::ReadEvents)?;
        if u64::try_from(text.len()).is_ok_and(|length| length > MOST_SCHEMAS) {
            return Err(kube::Error::Service(
                format!("the schemas have more than {MOST_SCHEMAS} bytes").into(),
            ));
        }
        serde_json::from_slice::<Document>(&text).map_err(kube::Error::SerdeError)
    };
    let document = bounded(read).await?;
    let by_kind =
        |(name, schema): (String, _)| (name.rsplit('.').next().unwrap_or_default().to_owned(), schema);
    Ok(document.components.schemas.into_iter().map(by_kind).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status: serde_json::Value) -> Failed {
        let status: kube::core::Status = serde_json::from_value(status).expect("a status");
        Failed::from_kube(&kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn an_object_is_gone_only_when_the_server_names_it() {
        let named = serde_json::json!({"status": "Failure", "code": 404, "reason": "NotFound",
            "message": "whatsappchannels.whatsapp-operator.dev \"a\" not found",
            "details": {"name": "a", "group": "whatsapp-operator.dev", "kind": "whatsappchannels"}});
        assert!(matches!(failed(named), Failed::Gone(_)));
        // As from an API server that has just started.
        let starting = serde_json::json!({"status": "Failure", "code": 404, "reason": "NotFound",
            "message": "404 page not found"});
        assert_eq!(failed(starting), Failed::NotServed("404 page not found".into()));
        // As kube tells of a page, which an API server sends that serves nothing of the group.
        let page = serde_json::json!({"status": "Failure", "code": 404, "reason": "Failed to parse error data",
            "message": "404 page not found"});
        assert_eq!(failed(page), Failed::NotServed("404 page not found".into()));
    }

    #[test]
    fn what_the_server_says_stands_on_one_line_and_is_bounded() {
        let said = |message: String| {
            let status = serde_json::json!({"status": "Failure", "code": 403, "reason": "Forbidden", "message": message});
            failed(status)
        };
        assert_eq!(said("rule 7:\n\u{1b}[2Jask".into()), Failed::Forbidden(r"rule 7:\n\u{1b}[2Jask".into()));
        let Failed::Forbidden(long) = said("é".repeat(5_000)) else { panic!("another kind") };
        assert_eq!(long.chars().count(), 301);
        let Failed::Forbidden(cut) = said(format!("{} 012345", "é".repeat(295))) else {
            panic!("another kind")
        };
        assert!(cut.ends_with("é…"), "{cut}");
    }

    /// The connections of this process to a port that are open, by the kernel's table; with what its timer is for.
    fn connections(port: u16) -> Vec<String> {
        let table = std::fs::read_to_string("/proc/self/net/tcp").expect("the kernel tells of connections");
        let to = format!(":{port:04X}");
        let open = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let open = open.filter(|fields| fields.len() > 5 && fields[2].ends_with(&to) && fields[3] == "01");
        open.map(|fields| fields[5].split(':').next().unwrap_or_default().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_connection_that_waits_for_the_server_is_kept_alive() {
        const KEPT_ALIVE: &str = "02";
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = server.local_addr().unwrap();
        let holding = tokio::spawn(async move {
            let held = server.accept().await;
            std::future::pending::<()>().await;
            drop(held);
        });
        let client = client(Config::new(format!("http://{at}").parse().unwrap())).unwrap();
        let call = tokio::spawn(async move { client.apiserver_version().await });
        let mut seen = Vec::new();
        for _ in 0..100 {
            seen = connections(at.port());
            // Until the request is acknowledged, the timer is for that.
            if seen == [KEPT_ALIVE] {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(seen, [KEPT_ALIVE]);
        call.abort();
        holding.abort();
    }
}
