//! What is told of an onboarding: lines of JSON without a whole phone number, in detail where somebody asks for it while the
//! operator runs, and a trace of each reconcile at a collector.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::{Router, body::Bytes, extract::State, routing::post};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use rstest::rstest;
use serde_json::{Value, json};

use crate::chart::{life::shell, parsed, rendered};
use crate::docs;
use crate::rig::{Rig, free_address};

const NUMBER: &str = "+5511912345678";
/// A user as OpenShift takes it from the range of a namespace.
const OF_THE_NAMESPACE: u32 = 1_000_680_000;

/// Who sets the user of the operator's pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Platform {
    Kubernetes,
    OpenShift,
}

type Spans = Arc<Mutex<Vec<Span>>>;

/// A collector on loopback, which keeps what it is sent.
async fn collector() -> (Spans, String) {
    async fn take(State(spans): State<Spans>, body: Bytes) {
        let sent = ExportTraceServiceRequest::decode(body).expect("a request of OTLP");
        let of_scopes = sent.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        spans.lock().unwrap().extend(of_scopes.flat_map(|scope| scope.spans));
    }
    let spans = Spans::default();
    let address = free_address();
    let listener = tokio::net::TcpListener::bind(address).await.expect("a port");
    let router = Router::new().route("/v1/traces", post(take)).with_state(spans.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (spans, format!("http://{address}"))
}

/// An attribute of a span that is a text.
fn text<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
    let attribute = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        StringValue(text) => Some(text),
        _ => None,
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn until(what: &str, test: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !test() {
        assert!(Instant::now() < deadline, "not seen: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_onboarding_is_traced_and_told_without_a_whole_phone_number() {
    let (spans, endpoint) = collector().await;
    let mut rig = Rig::with_portfolio("logs").await;
    rig.log_format = "json";
    rig.flags = vec![format!("--traces-endpoint={endpoint}")];
    // What is kept beside the channel has the number in its name, and one that cannot be understood is logged.
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("whatsapp-attempts-{}", NUMBER.trim_start_matches('+'))},
        "data": {"attempts.json": "no JSON"},
    }))
    .await;
    rig.start().await;
    let id = Pid::from_raw(rig.operator().id().cast_signed());
    kill(id, Signal::SIGUSR1).expect("it runs");
    until("a detailed log", || rig.logs().contains("logging in detail")).await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.onboard("support", NUMBER).await;
    kill(id, Signal::SIGUSR2).expect("it runs");
    until("the log as before", || rig.logs().contains("logging as at the start")).await;
    rig.look("support", "once more").await;

    let logs = rig.logs();
    let lines: Vec<Value> = logs.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let digits = |line: &str| line.chars().filter(|c| !" -()".contains(*c)).collect::<String>();
    let whole = NUMBER.trim_start_matches('+');
    assert!(!logs.lines().any(|line| digits(line).contains(whole)), "a whole number: {logs}");
    assert!(logs.contains("-***5678"), "the number was to be told: {logs}");
    let back = lines.iter().position(|line| line["message"].as_str().unwrap().contains("as at the start"));
    let (detailed, later) = lines.split_at(back.expect("it is told"));
    let calls = |lines: &[Value]| lines.iter().filter(|line| line["message"] == "called Meta").count();
    assert!(calls(detailed) > 5, "each call is told: {logs}");
    assert_eq!(calls(later), 0, "and not after the level is as before");

    let is_registration = |line: &&Value| line["message"] == "step carried out" && line["step"] == "Register";
    let line = lines.iter().find(is_registration).expect("the step is told");
    assert_eq!((&line["namespace"], &line["channel"]), (&json!(rig.namespace), &json!("support")));
    let trace = line["trace_id"].as_str().expect("the id of its trace");
    until("the reconcile that registers", || {
        let spans = spans.lock().unwrap();
        spans.iter().any(|span| span.name == "reconcile" && hex(&span.trace_id) == trace)
    })
    .await;
    let spans = spans.lock().unwrap();
    let of_trace: Vec<&Span> = spans.iter().filter(|span| hex(&span.trace_id) == trace).collect();
    let below = |parent: &Span, name: &str| {
        let children = spans.iter().filter(|span| span.parent_span_id == parent.span_id && span.name == name);
        children.collect::<Vec<&Span>>()
    };
    let root = of_trace.iter().find(|span| span.parent_span_id.is_empty()).expect("it begins somewhere");
    assert_eq!((root.name.as_str(), text(root, "channel")), ("reconcile", Some("support")));
    assert_eq!(hex(&root.span_id), line["span_id"].as_str().expect("the id of its span"));
    let (reads, look) = (below(root, "api_server_call"), below(root, "look"));
    assert!(!reads.is_empty() && look.len() == 1, "what it read: {of_trace:#?}");
    // What it needed of Meta it had from the passes before.
    let looks: Vec<_> = spans.iter().filter(|span| span.name == "look").collect();
    let asked: Vec<_> = looks.iter().flat_map(|look| below(look, "graph_call")).collect();
    assert!(
        asked.iter().any(|call| text(call, "edge").is_some() && text(call, "ending").is_some()),
        "{looks:#?}"
    );
    let step = below(root, "step");
    assert_eq!(step.iter().map(|step| text(step, "step")).collect::<Vec<_>>(), [Some("Register")]);
    assert_eq!(below(step[0], "graph_call").len(), 1, "the step is one call: {of_trace:#?}");
    assert!(spans.iter().all(|span| span.events.is_empty()), "no text of others is sent");
}

/// The commands of the page are run as they are written, on a pod of the chart's template in a namespace that takes only restricted
/// pods. No container starts here: what counts is that the API server takes the command, and that what it makes may signal the
/// operator, which has to have the same user and the same processes in sight.
#[rstest]
#[case::by_the_chart(Platform::Kubernetes)]
#[case::by_openshift(Platform::OpenShift)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_has_the_level_changed_in_a_restricted_pod(#[case] platform: Platform) {
    let rig = Rig::new("detail").await;
    let namespace = rig.namespace.as_str();
    let kubectl = async |args: &[&str], input: &str| {
        let args = [args, &["-n", namespace]].concat();
        let output = rig.plane.kubectl_with_input(args, input).await;
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let restricted = ["label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted"];
    let labelled = rig.plane.kubectl(restricted).await;
    assert!(labelled.status.success(), "{}", String::from_utf8_lossy(&labelled.stderr));
    let deployment = rig.get_of("Deployment", rig.account_name()).await;
    let mut spec = deployment["spec"]["template"]["spec"].clone();
    if platform == Platform::OpenShift {
        let rendered = rig.plane.helm_template(namespace, &rendered::values("openshift")).await;
        let of_openshift = parsed(&rendered).into_iter().find(|object| object["kind"] == "Deployment");
        spec = of_openshift.expect("a Deployment")["spec"]["template"]["spec"].clone();
        assert_eq!(spec["securityContext"]["runAsUser"], Value::Null, "the chart leaves the user to others");
        // As its admission does: the first user of the namespace's range, at each container.
        spec["containers"][0]["securityContext"]["runAsUser"] = json!(OF_THE_NAMESPACE);
    }
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "the-pod"}, "spec": spec});
    let (made, said) = kubectl(&["create", "-f", "-"], &pod.to_string()).await;
    assert!(made, "the chart's pods are restricted: {said}");
    let other = ["debug", "the-pod", "--profile=general", "--image=busybox:1.37", "--target=operator"];
    let (taken, said) = kubectl(&other, "").await;
    assert!(!taken && said.contains("violates PodSecurity"), "nothing is checked here: {said}");

    let is_of_openshift = |line: &String| line.contains("user.yaml");
    let (named, plain): (Vec<_>, Vec<_>) =
        docs::commands("docs/logs.md").into_iter().partition(is_of_openshift);
    for line in if platform == Platform::OpenShift { named } else { plain } {
        let line = line
            .replace("POD", "the-pod")
            .replace("kubectl ", &format!("kubectl -n {namespace} "))
            .replace("user.yaml", &format!("{namespace}-user.yaml"));
        shell(rig.plane, &line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    let (_, text) = kubectl(&["get", "pod", "the-pod", "-o", "json"], "").await;
    let pod: Value = serde_json::from_str(&text).expect("JSON");
    let beside = pod["spec"]["ephemeralContainers"].as_array().expect("containers beside it");
    let sent: Vec<_> = beside.iter().map(|one| one["command"].clone()).collect();
    let up = json!(["kill", "-USR1", "1"]);
    let operator = &pod["spec"]["containers"][0];
    let user = &pod["spec"]["securityContext"]["runAsUser"];
    let own = match platform {
        Platform::Kubernetes => {
            assert_eq!(sent, [up, json!(["kill", "-USR2", "1"])]);
            assert!(user.as_u64().is_some_and(|user| user > 0), "the pod sets the user: {pod:#}");
            Value::Null
        }
        Platform::OpenShift => {
            assert_eq!((sent, user), (vec![up], &Value::Null));
            json!(OF_THE_NAMESPACE)
        }
    };
    for container in beside.iter().chain([operator]) {
        let context = &container["securityContext"];
        assert_eq!(context["runAsUser"], own, "both have one user: {pod:#}");
        assert_eq!(context["allowPrivilegeEscalation"], false, "both are restricted: {pod:#}");
    }
    for container in beside {
        assert_eq!(container["targetContainerName"], operator["name"], "it sees other processes: {pod:#}");
    }
    // Number 1 is the operator itself.
    assert_eq!((&operator["command"], &pod["spec"]["shareProcessNamespace"]), (&Value::Null, &Value::Null));
}
