//! The log of the operator, for a bundle: of each pod the newest lines, and those before a restart.
//!
//! Whatever cannot be read is said. A bundle without a log is better than none.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, LogParams},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::clean;
use crate::cli::{connect::call, exit::Problem, list::pages};

/// The chart gives it to every pod, whatever the release is called.
const LABEL: &str = "app.kubernetes.io/name=whatsapp-operator";
/// Where the pages say to install.
const USUAL: &str = "whatsapp-operator";
/// Newest lines of one log.
const LINES: i64 = 1_000;
/// Bytes of one log that are kept.
const BYTES: usize = 512 * 1_024;
/// Bytes of one log that are asked for.
const MOST: i64 = 16 * 1_024 * 1_024;
/// Pods that are read; more than that are no replicas.
const PODS: usize = 10;

/// One log of one container.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// Namespace and name of the pod.
    pod: String,
    /// Its container.
    container: String,
    /// The image.
    image: String,
    /// It is the log before the last restart.
    previous: bool,
    /// How often the container was started again.
    restarts: i32,
    /// How the container ended before the last restart: reason and exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    /// There was more of it: only the newest 1000 lines are read, and the newest 512 KiB of them.
    cut: bool,
    /// Its lines, oldest first.
    lines: Vec<String>,
}

/// Every log of every pod of the operator, and what could not be read. `own` is the namespace of the command.
pub async fn of_operator(client: &Client, place: Option<&str>, own: Option<&str>) -> (Vec<Log>, Vec<String>) {
    let (mut logs, mut not_read) = (Vec::new(), Vec::new());
    let pods = match find(client, place, own).await {
        Ok(pods) => pods,
        Err(why) => return (logs, vec![format!("the log of the operator: {why}")]),
    };
    if pods.len() > PODS {
        not_read.push(format!("the log of the operator: it has {} pods; {PODS} were read", pods.len()));
    }
    for pod in pods.iter().take(PODS) {
        let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
        let states = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref());
        for container in containers {
            let state = states.unwrap_or_default().iter().find(|state| state.name == container.name);
            let restarts = state.map_or(0, |state| state.restart_count);
            for previous in [false, true] {
                if previous && restarts == 0 {
                    continue;
                }
                match read(client, pod, &container.name, previous).await {
                    Ok((lines, cut)) => logs.push(Log {
                        pod: named(pod),
                        container: container.name.clone(),
                        image: container.image.clone().unwrap_or_default(),
                        previous,
                        restarts,
                        ended: state.and_then(ended),
                        cut,
                        lines,
                    }),
                    Err(problem) => not_read.push(problem.to_string()),
                }
            }
        }
    }
    (logs, not_read)
}

fn named(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

/// How a container ended the last time.
fn ended(state: &ContainerStatus) -> Option<String> {
    let last = state.last_state.as_ref()?.terminated.as_ref()?;
    Some(format!("{}, exit code {}", last.reason.as_deref().unwrap_or("no reason"), last.exit_code))
}

/// The pods: where it was said, else everywhere, else where the operator usually is and where the command is.
async fn find(client: &Client, place: Option<&str>, own: Option<&str>) -> Result<Vec<Pod>, String> {
    let none = |place: &str| {
        format!("no pod {place} has the label {LABEL}; say where it runs with --operator-namespace")
    };
    if let Some(namespace) = place {
        let pods = list(client, Some(namespace)).await.map_err(|problem| problem.to_string())?;
        let is_empty = pods.is_empty();
        return if is_empty { Err(none(&format!("in namespace {namespace}"))) } else { Ok(pods) };
    }
    let everywhere = match list(client, None).await {
        Ok(pods) if pods.is_empty() => return Err(none("in any namespace")),
        Ok(pods) => return Ok(pods),
        Err(problem) => problem,
    };
    for namespace in [Some(USUAL), own].into_iter().flatten() {
        match list(client, Some(namespace)).await {
            Ok(pods) if !pods.is_empty() => return Ok(pods),
            _ => {}
        }
    }
    Err(format!("{everywhere}; say where it runs with --operator-namespace"))
}

async fn list(client: &Client, namespace: Option<&str>) -> Result<Vec<Pod>, Problem> {
    let (api, place): (Api<Pod>, _) = match namespace {
        Some(namespace) => (Api::namespaced(client.clone(), namespace), format!("in namespace {namespace}")),
        None => (Api::all(client.clone()), "in any namespace".to_owned()),
    };
    let mut pods = Vec::new();
    let params = ListParams::default().labels(LABEL);
    pages(&format!("list the pods {place}"), &api, params, |pod| pods.push(pod)).await?;
    Ok(pods)
}

/// The newest lines, without what must not be shown, and whether there were more.
async fn read(
    client: &Client,
    pod: &Pod,
    container: &str,
    previous: bool,
) -> Result<(Vec<String>, bool), Problem> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let params = LogParams {
        container: Some(container.to_owned()),
        previous,
        tail_lines: Some(LINES),
        // A kubelet gives the oldest of these lines up to it.
        limit_bytes: Some(MOST),
        ..LogParams::default()
    };
    let which = if previous { "log before the last restart" } else { "log" };
    let what = format!("read the {which} of container {container} of pod {}", named(pod));
    let text = call(&what, api.logs(&pod.name_any(), &params)).await?;
    Ok(kept(&text))
}

/// Not all that answer keep to the bounds that they are given.
fn kept(text: &str) -> (Vec<String>, bool) {
    let from = text.len().saturating_sub(BYTES);
    // A line that is not whole says little.
    let from = if from == 0 {
        0
    } else {
        text.as_bytes()[from..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| from + at + 1)
    };
    let lines: Vec<&str> = text[from..].lines().collect();
    let newest = lines.len().saturating_sub(usize::try_from(LINES).unwrap_or(usize::MAX));
    let cut = from > 0 || i64::try_from(lines.len()).is_ok_and(|count| count >= LINES);
    (lines[newest..].iter().map(|line| clean::line(line)).collect(), cut)
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, extract::Request, http::StatusCode, response::IntoResponse};
    use kube::Config;
    use serde_json::{Value, json};

    use super::*;

    const TOKEN: &str = "EAAGm0PX4ZCpsBAJZBZA7abcdef";
    const APP_SECRET: &str = "0123456789abcdef0123456789abcdef";
    const VERIFY_TOKEN: &str = "open-sesame";
    const PIN: &str = "271828";
    const CODE: &str = "314159";

    fn pod(name: &str, restarts: i32) -> Value {
        let ended = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        json!({
            "metadata": {"name": name, "namespace": "ops"},
            "spec": {"containers": [{"name": "operator", "image": "acme/operator:1"}]},
            "status": {"containerStatuses": [{
                "name": "operator", "image": "", "imageID": "", "ready": true, "restartCount": restarts,
                "lastState": if restarts > 0 { ended } else { json!({}) },
            }]},
        })
    }

    /// An API server with two pods in `ops`: one was restarted, and the node of the other is away.
    async fn cluster(may_list_all: bool) -> Client {
        crate::meta::transport::install_crypto();
        let server = Router::new().fallback(move |request: Request| async move {
            let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
            let list = |items: Value| Json(json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items}));
            let failed = |code: StatusCode, message: &str| {
                let status = json!({
                    "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code.as_u16(), "message": message
                });
                (code, Json(status)).into_response()
            };
            match path.as_str() {
                "/api/v1/pods" if !may_list_all => failed(StatusCode::FORBIDDEN, "cannot list at the cluster scope"),
                "/api/v1/pods" | "/api/v1/namespaces/ops/pods" if query.contains("whatsapp-operator") => {
                    list(json!([pod("one", 1), pod("two", 0)])).into_response()
                }
                "/api/v1/namespaces/ops/pods/one/log" if query.contains("previous=true") => {
                    let form = format!("override_callback_uri=https://a.example&verify_token={VERIFY_TOKEN}&access_token={TOKEN}");
                    let answer = json!({"fields": {"message": format!("{{\"pin\":\"{PIN}\"}}"), "code": CODE, "appSecret": APP_SECRET}});
                    let asked = format!("GET /hook?hub.mode=subscribe&hub.verify_token={VERIFY_TOKEN}&hub.challenge=1");
                    format!("started\nout of memory at +5511912345678 with {TOKEN}\n{form}\n{answer}\n{asked}\ncode {CODE} refused\n")
                        .into_response()
                }
                "/api/v1/namespaces/ops/pods/one/log" => {
                    assert!(query.contains("tailLines=1000") && query.contains("limitBytes=16777216"), "{query}");
                    (0..1_500).map(|line| format!("line {line} pin 271828\n")).collect::<String>().into_response()
                }
                "/api/v1/namespaces/ops/pods/two/log" => failed(StatusCode::BAD_GATEWAY, "dial tcp: node away"),
                _ => list(json!([])).into_response(),
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound port"));
        tokio::spawn(async move { axum::serve(listener, server).await });
        let mut config = Config::new(url.parse().expect("an address"));
        config.default_retry = false;
        Client::try_from(config).expect("a client")
    }

    #[test]
    fn of_a_long_log_the_newest_whole_lines_are_kept() {
        let line = "x".repeat(999);
        let text: String = (0..1_000).map(|n| format!("{n} {line}\n")).collect();
        let (lines, cut) = kept(&text);
        assert!(cut && lines.len() < 1_000, "{}", lines.len());
        assert!(lines.last().is_some_and(|last| last.starts_with("999 ")));
        let first: usize = lines[0].split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default();
        assert_eq!(first, 1_000 - lines.len(), "no line is missing and none is cut");
        assert_eq!(kept("one\ntwo\n"), (vec!["one".to_owned(), "two".to_owned()], false));
    }

    #[tokio::test]
    async fn every_log_of_every_pod_is_read_and_what_cannot_be_is_said() {
        for (may_list_all, place) in [(true, None), (false, Some("ops"))] {
            let client = cluster(may_list_all).await;
            let (logs, not_read) = of_operator(&client, place, Some("shop")).await;
            let seen: Vec<_> = logs.iter().map(|log| (log.pod.as_str(), log.previous, log.cut)).collect();
            assert_eq!(seen, [("ops/one", false, true), ("ops/one", true, false)]);
            assert_eq!(
                (logs[0].lines.len(), logs[0].lines[999].as_str()),
                (1_000, "line 1499 pin [redacted]")
            );
            assert_eq!(logs[1].ended.as_deref(), Some("OOMKilled, exit code 137"));
            let told = serde_json::to_string(&logs).expect("JSON");
            assert_eq!(logs[1].lines.len(), 6, "{told}");
            for canary in [TOKEN, APP_SECRET, VERIFY_TOKEN, PIN, CODE, "5511912345678"] {
                assert!(!told.contains(canary), "{canary} is in {told}");
            }
            let why = "cannot read the log of container operator of pod ops/two: dial tcp: node away";
            assert_eq!(not_read, [why]);
        }
    }

    #[tokio::test]
    async fn where_there_is_no_pod_to_read_the_bundle_says_why() {
        for (may_list_all, place, why) in [
            (
                false,
                None,
                "cannot list the pods in any namespace: cannot list at the cluster scope; say where it runs",
            ),
            (
                true,
                Some("elsewhere"),
                "no pod in namespace elsewhere has the label app.kubernetes.io/name=whatsapp-operator",
            ),
        ] {
            let client = cluster(may_list_all).await;
            let (logs, not_read) = of_operator(&client, place, Some("shop")).await;
            assert!(logs.is_empty() && not_read.len() == 1, "{not_read:?}");
            assert!(not_read[0].starts_with(&format!("the log of the operator: {why}")), "{not_read:?}");
        }
    }
}
