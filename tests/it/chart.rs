//! The chart: what helm renders is what it promises, and carries the CRDs of `crds/`.

pub mod life;
pub mod rendered;
pub mod values;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn chart(path: &str) -> PathBuf {
    Path::new(ROOT).join("charts/whatsapp-operator").join(path)
}

/// The caller's own helm settings and repositories stay out of it.
fn helm_homes(plane: &ControlPlane) -> [(&'static str, PathBuf); 3] {
    ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"].map(|name| (name, plane.dir().join("helm")))
}

fn helm(plane: &ControlPlane, args: &[&str]) -> Output {
    Command::new(plane.binary("helm")).args(args).envs(helm_homes(plane)).output().expect("helm runs")
}

/// Renders the chart into its objects.
async fn render(plane: &ControlPlane, values: Value) -> Vec<Value> {
    let text = plane.helm_template("whatsapp-system", &values).await;
    parsed(&text)
}

pub fn parsed(text: &str) -> Vec<Value> {
    // Split by hand: a value that holds a document mark would be a fault of the chart.
    text.split("\n---")
        .filter(|document| document.contains("kind:"))
        .map(|document| {
            let document = document.trim_start_matches("---");
            serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}\n{document}"))
        })
        .collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

/// Every pair of resource and verb, with its group.
fn rights(role: &Value) -> BTreeSet<(String, String)> {
    let list = |rule: &Value, key: &str| -> Vec<String> {
        rule[key]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one.as_str().expect("text").to_owned())
            .collect()
    };
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().expect("rules") {
        for group in list(rule, "apiGroups") {
            for resource in list(rule, "resources") {
                for verb in list(rule, "verbs") {
                    rights.insert((format!("{group}/{resource}"), verb));
                }
            }
        }
    }
    rights
}

fn granted() -> BTreeSet<(String, String)> {
    let mut rights = BTreeSet::new();
    let mut grant = |resource: &str, verbs: &[&str]| {
        rights.extend(verbs.iter().map(|verb| (resource.to_owned(), (*verb).to_owned())));
    };
    for kind in ["whatsappchannels", "whatsappportfolios"] {
        grant(&format!("whatsapp-operator.dev/{kind}"), &["get", "list", "patch", "watch"]);
        grant(&format!("whatsapp-operator.dev/{kind}/status"), &["patch"]);
    }
    grant("events.k8s.io/events", &["create", "patch"]);
    grant("/secrets", &["get", "create"]);
    grant("/configmaps", &["get", "list", "create", "patch", "delete"]);
    rights
}

#[tokio::test]
async fn the_operator_gets_the_rights_it_needs_and_no_others() {
    let plane = ControlPlane::shared().await;
    let whole = render(plane, json!({})).await;
    let own = of_kind(&whole, "ClusterRole").find(|role| role["metadata"]["name"] == "whatsapp-operator");
    assert_eq!(rights(own.expect("a ClusterRole")), granted());
    assert_eq!(of_kind(&whole, "Role").count(), 1, "only that of the Lease");

    let some =
        render(plane, json!({ "namespaces": ["shop-a", "shop-b"], "rbac": { "aggregate": false } })).await;
    assert_eq!(of_kind(&some, "ClusterRole").count(), 0);
    assert_eq!(of_kind(&some, "ClusterRoleBinding").count(), 0);
    let (home, roles): (Vec<_>, Vec<_>) =
        of_kind(&some, "Role").partition(|role| role["metadata"]["namespace"] == "whatsapp-system");
    assert_eq!(home.len(), 2, "those of the Lease and of the attempts");
    let attempts = home.iter().find(|role| role["metadata"]["name"] == "whatsapp-operator-attempts");
    let maps: BTreeSet<_> = granted().into_iter().filter(|(resource, _)| resource == "/configmaps").collect();
    assert_eq!(rights(attempts.expect("a Role")), maps);
    assert_eq!(roles.len(), 2);
    for role in roles {
        assert_eq!(rights(role), granted());
    }
    let args = &of_kind(&some, "Deployment").next().expect("a Deployment")["spec"]["template"]["spec"]["containers"]
        [0]["args"];
    assert!(args.as_array().is_some_and(|args| args.contains(&json!("--namespace=shop-b"))), "{args}");

    let own = render(plane, json!({ "namespaces": ["shop-a", "whatsapp-system"] })).await;
    let of_attempts = |role: &&Value| role["metadata"]["name"] == "whatsapp-operator-attempts";
    assert_eq!(of_kind(&own, "Role").filter(of_attempts).count(), 0, "where it watches, it has them already");
}

/// Two releases may have one name in two namespaces; each has a policy of its own, for its own account.
#[tokio::test]
async fn the_policy_of_a_release_is_for_its_own_account_and_can_be_left_out() {
    let plane = ControlPlane::shared().await;
    let objects = render(plane, json!({})).await;
    let policy = of_kind(&objects, "ValidatingAdmissionPolicy").next().expect("a policy");
    let binding = of_kind(&objects, "ValidatingAdmissionPolicyBinding").next().expect("a binding");
    assert_eq!(policy["metadata"]["name"], "whatsapp-operator.whatsapp-system");
    assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
    let whose = "request.userInfo.username == 'system:serviceaccount:whatsapp-system:whatsapp-operator'";
    assert_eq!(policy["spec"]["matchConditions"][0]["expression"], whose);
    let without = render(plane, json!({ "admissionPolicy": { "enabled": false } })).await;
    assert!(without.iter().all(|object| !object["kind"].to_string().contains("AdmissionPolicy")));
}

/// Traces leave the pod for the port of their endpoint, or for that of the pods behind it.
#[tokio::test]
async fn the_network_policy_lets_traces_out_to_where_they_go() {
    let plane = ControlPlane::shared().await;
    let ports = async |endpoint: &str, traces: Value| {
        let network = json!({"enabled": true, "traces": traces});
        let values = json!({"traces": {"endpoint": endpoint}, "networkPolicy": network});
        let objects = render(plane, values).await;
        let policy = of_kind(&objects, "NetworkPolicy").next().expect("a policy").clone();
        let rules = policy["spec"]["egress"].as_array().expect("rules").clone();
        rules.into_iter().skip(3).collect::<Vec<_>>()
    };
    let to = |port: u16| json!([{"ports": [{"protocol": "TCP", "port": port}]}]);
    assert_eq!(ports("", json!({})).await, [] as [Value; 0]);
    assert_eq!(json!(ports("http://otel.obs:4318/v1/traces", json!({})).await), to(4318));
    assert_eq!(json!(ports("https://otel.example.com", json!({})).await), to(443));
    assert_eq!(json!(ports("http://[fd00::1]", json!({})).await), to(80));
    let behind = ports("http://otel.obs:80", json!({"ports": [4318], "cidrs": ["10.0.0.0/8"]})).await;
    let to = json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}]);
    assert_eq!(behind, [json!({"ports": [{"protocol": "TCP", "port": 4318}], "to": to})]);
}

/// One Lease by its name, in the namespace of the release, whatever is watched.
#[tokio::test]
async fn a_lease_says_which_of_the_pods_works() {
    let plane = ControlPlane::shared().await;
    for values in [json!({}), json!({ "namespaces": ["shop-a"] })] {
        let objects = render(plane, values).await;
        let role =
            of_kind(&objects, "Role").find(|role| role["metadata"]["name"] == "whatsapp-operator-lease");
        let role = role.expect("a Role");
        assert_eq!(role["metadata"]["namespace"], "whatsapp-system");
        let rules = json!([
            { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"] },
            {
                "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
                "resourceNames": ["whatsapp-operator"], "verbs": ["get", "update"],
            },
        ]);
        assert_eq!(role["rules"], rules);
        let spec = &of_kind(&objects, "Deployment").next().expect("a Deployment")["spec"];
        assert_eq!((&spec["replicas"], &spec["strategy"]["type"]), (&json!(2), &json!("RollingUpdate")));
        let args = spec["template"]["spec"]["containers"][0]["args"].as_array().expect("arguments");
        for arg in [
            "--leader-election=true",
            "--leader-election-namespace=whatsapp-system",
            "--leader-election-name=whatsapp-operator",
        ] {
            assert!(args.contains(&json!(arg)), "{arg}: {args:?}");
        }
        let budget = of_kind(&objects, "PodDisruptionBudget").next().expect("a budget");
        assert_eq!(budget["spec"]["selector"], spec["selector"]);
        assert_eq!(
            spec["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"],
            spec["selector"]
        );
    }

    let shard = render(plane, json!({ "watchLabelSelector": "tier in (a,b),team" })).await;
    let args = &of_kind(&shard, "Deployment").next().expect("a Deployment")["spec"]["template"]["spec"]["containers"]
        [0]["args"];
    let selector = json!("--watch-label-selector=tier in (a,b),team");
    assert!(args.as_array().is_some_and(|args| args.contains(&selector)), "{args}");

    let alone = render(plane, json!({ "replicas": 1, "leaderElection": { "enabled": false } })).await;
    let spec = &of_kind(&alone, "Deployment").next().expect("a Deployment")["spec"];
    assert_eq!((&spec["replicas"], &spec["strategy"]), (&json!(1), &json!({ "type": "Recreate" })));
    assert_eq!(of_kind(&alone, "Role").count() + of_kind(&alone, "PodDisruptionBudget").count(), 0);
}

/// What Artifact Hub shows of the chart is in its annotations, as YAML in text.
#[tokio::test]
async fn what_a_catalogue_is_told_is_what_the_chart_brings() {
    let manifest: Value =
        serde_saphyr::from_str(&fs::read_to_string(chart("Chart.yaml")).expect("it is there")).expect("YAML");
    let told = |key: &str| {
        let text = manifest["annotations"][format!("artifacthub.io/{key}")].as_str();
        text.unwrap_or_else(|| panic!("nothing is told of {key}"))
    };
    let list = |key: &str| -> Vec<Value> {
        serde_saphyr::from_str(told(key)).unwrap_or_else(|error| panic!("{key}: {error}"))
    };
    let objects = render(ControlPlane::shared().await, json!({})).await;
    let kinds = |entry: &Value| {
        [entry["kind"].clone(), entry["version"].clone(), entry["name"].clone()].map(|of| of.to_string())
    };
    let mut brought = BTreeSet::new();
    for crd in of_kind(&objects, "CustomResourceDefinition") {
        for version in crd["spec"]["versions"].as_array().expect("versions") {
            let entry = json!({
                "kind": crd["spec"]["names"]["kind"], "version": version["name"], "name": crd["metadata"]["name"],
            });
            brought.insert(kinds(&entry));
        }
    }
    assert_eq!(list("crds").iter().map(kinds).collect::<BTreeSet<_>>(), brought);
    assert!(list("crds").iter().all(|crd| crd["displayName"].is_string() && crd["description"].is_string()));

    let pods = of_kind(&objects, "Deployment").map(|deployment| &deployment["spec"]["template"]["spec"]);
    let containers = pods.flat_map(|pod| {
        let of = |key: &str| pod[key].as_array().cloned().unwrap_or_default();
        [of("containers"), of("initContainers")].concat()
    });
    let pulled: BTreeSet<String> = containers.map(|container| container["image"].to_string()).collect();
    let images: BTreeSet<String> = list("images").iter().map(|image| image["image"].to_string()).collect();
    assert_eq!(images, pulled);

    assert_eq!(told("license"), env!("CARGO_PKG_LICENSE"));
    let known = ["added", "changed", "deprecated", "removed", "fixed", "security"];
    for change in list("changes") {
        assert!(
            known.iter().any(|kind| change["kind"] == *kind) && change["description"].is_string(),
            "{change}"
        );
    }
}

/// Without the difference between 0 and 0.0, which helm does not keep.
pub fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(entries) => entries.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn the_crds_stay_when_the_release_goes() {
    let plane = ControlPlane::shared().await;
    let objects = render(plane, json!({})).await;
    let crds: Vec<_> = of_kind(&objects, "CustomResourceDefinition").collect();
    assert_eq!(crds.len(), 2);
    for crd in crds {
        assert_eq!(crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
        let file = format!("crds/{}.yaml", crd["spec"]["names"]["plural"].as_str().expect("a plural"));
        let text = fs::read_to_string(Path::new(ROOT).join(file)).expect("the CRD is there");
        let wanted: Value = serde_saphyr::from_str(&text).expect("YAML");
        assert!(
            plain(&crd["spec"]) == plain(&wanted["spec"]),
            "{} is rendered otherwise",
            crd["metadata"]["name"]
        );
    }
    let without = render(plane, json!({ "crds": { "enabled": false } })).await;
    assert_eq!(of_kind(&without, "CustomResourceDefinition").count(), 0);
}

/// Each is refused, and what is said names the value; where values contradict each other, also the remedy.
#[tokio::test]
async fn values_that_are_none_or_contradict_each_other_are_refused() {
    let plane = ControlPlane::shared().await;
    let chart = chart("").display().to_string();
    let digest = format!("sha256:{}", "0".repeat(64));
    let with_tag = format!("image.digest={digest},image.tag=v1");
    let cases: &[(&str, &[&str])] = &[
        ("replicas=0", &["/replicas"]),
        ("replicas=two", &["/replicas"]),
        ("replicaz=2", &["replicaz"]),
        ("leaderElection.name=mine", &["/leaderElection", "name"]),
        ("metrics.serviceMonitor.every=1m", &["/metrics/serviceMonitor", "every"]),
        ("metrics.podMonitor.interval=often", &["/metrics/podMonitor/interval"]),
        ("concurrency=0", &["/concurrency"]),
        ("listFreshness=soon", &["/listFreshness"]),
        ("namespaces[0]=Shop", &["/namespaces/0"]),
        ("scope=Galaxy", &["/scope"]),
        ("log.format=xml", &["/log/format"]),
        ("traces.endpoint=collector:4317", &["/traces/endpoint"]),
        ("graph.url=http://sandbox.staging:8088", &["/graph/url"]),
        ("health.port=80", &["/health/port"]),
        ("health.address=everywhere", &["/health/address"]),
        ("image.digest=v1", &["/image/digest"]),
        ("networkPolicy.graph.cidrs[0]=graph.facebook.com", &["/networkPolicy/graph/cidrs/0"]),
        ("podDisruptionBudget.enabled=perhaps", &["/podDisruptionBudget/enabled"]),
        ("extraEnv[0].value=a", &["/extraEnv/0", "name"]),
        ("image.repository=acme.example/op:v1", &["/image/repository"]),
        ("image.tag=a b", &["/image/tag"]),
        ("health.address=1.2.3", &["/health/address"]),
        ("resources.limit.memory=1Gi", &["resources has limit,", "write requests, limits or claims"]),
        ("leaderElection=null", &["missing property 'leaderElection'"]),
        ("watchLabelSelector=tier in", &["watchLabelSelector (tier in) selects no label", "key in (a,b)"]),
        (
            "podLabels.app\\.kubernetes\\.io/name=mine",
            &["podLabels has app.kubernetes.io/name", "leave it out"],
        ),
        ("extraEnv[0].name=_RJEM_MALLOC_CONF", &["extraEnv has _RJEM_MALLOC_CONF", "leave it out"]),
        ("caBundle.secret=a,extraEnv[0].name=SSL_CERT_DIR", &["extraEnv has SSL_CERT_DIR", "leave it out"]),
        ("podSecurityContext.runAsUser=0", &["podSecurityContext.runAsUser is 0", "set runAsUser to"]),
        ("securityContext.runAsUser=0", &["securityContext.runAsUser is 0", "set runAsUser to"]),
        ("health.address=127.0.0.1", &["health.address is 127.0.0.1", "set health.address=[::]"]),
        ("crds.install=false", &["crds.install is called crds.enabled now", "write crds.enabled=false"]),
        (
            "scope=Cluster,namespaces={shop-a,shop-b}",
            &["scope is Cluster", "shop-a, shop-b", "leave namespaces empty"],
        ),
        ("scope=Namespaces", &["scope is Namespaces", "namespaces is empty", "set scope=Cluster"]),
        ("leaderElection.enabled=false", &["replicas is 2", "leaderElection.enabled", "replicas=1"]),
        (
            "replicas=1,podDisruptionBudget.enabled=true",
            &["podDisruptionBudget.enabled", "replicas is 1", "set replicas=2"],
        ),
        (
            "fullnameOverride=1a",
            &["fullnameOverride is 1a", "begins with a letter", "metrics.service.enabled=false"],
        ),
        (&with_tag, &["image.digest and image.tag (v1)", "keep one"]),
        (
            "caBundle.configMap=a,caBundle.secret=b",
            &["caBundle.configMap (a)", "caBundle.secret (b)", "keep one"],
        ),
        (
            "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true",
            &["metrics.serviceMonitor.enabled", "metrics.podMonitor.enabled", "enable one"],
        ),
        (
            "metrics.serviceMonitor.enabled=true,metrics.service.enabled=false",
            &["metrics.service.enabled", "enable it, or use metrics.podMonitor.enabled"],
        ),
    ];
    for (wrong, says) in cases {
        let output = helm(plane, &["template", "x", &chart, "--set", wrong]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{wrong} is taken");
        assert!(says.iter().all(|part| told.contains(part)), "{wrong}: {told}");
    }
    let output = helm(plane, &["lint", "--strict", &chart]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// What the schema takes, the operator takes: a pod that never starts cannot report why.
#[tokio::test]
async fn a_duration_that_the_schema_takes_is_one_to_the_operator() {
    let plane = ControlPlane::shared().await;
    let chart = chart("").display().to_string();
    let samples = [
        ("5m", true),
        ("45s", true),
        ("1h30m", true),
        ("1h2m3s4ms", true),
        ("500ms", false),
        ("90m", true),
        ("0h5m", true),
        ("999h99999m999999s", true),
        ("999999h", false),
        ("0s", false),
        ("0h0m", false),
        ("1d", false),
        ("5s1m", false),
        ("1h1h", false),
        ("1h 30m", false),
        ("-5m", false),
        ("1.5h", false),
        ("9999999999999999999h", false),
        ("5", false),
        ("soon", false),
        ("", false),
    ];
    for (sample, is_one) in samples {
        for (value, flag) in [("listFreshness", "--list-freshness"), ("unseenAfter", "--unseen-after")] {
            let taken = helm(plane, &["template", "x", &chart, "--set-string", &format!("{value}={sample}")]);
            assert_eq!(taken.status.success(), is_one, "{value}={sample}");
            let args = ["whatsapp-operator", "run", flag, sample].map(Into::into);
            if is_one {
                assert!(whatsapp_operator::cli::parse(args).is_ok(), "{flag} {sample}");
            }
        }
    }
}

/// The same of a selector, which the operator refuses at its start.
#[tokio::test]
async fn a_selector_that_the_chart_takes_is_one_to_the_operator() {
    let plane = ControlPlane::shared().await;
    let chart = chart("").display().to_string();
    let is_taken = |value: &str, sample: &str| {
        let args = ["template", "x", &chart, "--set-json", &format!("{value}={}", json!(sample))];
        helm(plane, &args).status.success()
    };
    for sample in [
        "sharding.whatsapp-operator.dev/key=shard1",
        " tier != a ",
        "tier=",
        "tier == a,team",
        "tier in (b, a),!retired",
        "tier  notin ( a )",
        "tier=a,",
        "=a",
        "tier=a=b",
        "my tier=a",
        "tier within (a,b)",
        "tier in (a,b",
        "tier (a)",
        "Acme.example/tier=a",
        "tier=a-",
    ] {
        let is_one = whatsapp_operator::cluster::selector::selector(sample).is_ok();
        assert_eq!(is_taken("watchLabelSelector", sample), is_one, "{sample}");
    }
}

/// What the schema takes as a level, the operator takes.
#[tokio::test]
async fn a_log_level_that_the_schema_takes_is_one_to_the_operator() {
    let plane = ControlPlane::shared().await;
    let chart = chart("").display().to_string();
    let samples = [
        ("info", true),
        ("WARN", true),
        ("Debug", true),
        ("3", true),
        ("whatsapp_operator=debug,info", true),
        ("whatsapp_operator::run=trace,hyper=off,warn", true),
        ("whatsapp_operator", true),
        ("[reconcile{channel=support}]=debug,info", true),
        ("whatsapp_operator=loud", false),
        ("loud", false),
        ("warning", false),
        ("info, debug", false),
        ("whatsapp_operator=", false),
        ("", false),
    ];
    for (sample, is_one) in samples {
        let set = format!("log.level={}", sample.replace(',', "\\,"));
        let taken = helm(plane, &["template", "x", &chart, "--set-string", &set]);
        let told = String::from_utf8_lossy(&taken.stderr);
        assert_eq!(taken.status.success(), is_one, "{sample}: {told}");
        assert!(is_one || told.contains("/log/level"), "{sample}: {told}");
        let args = ["whatsapp-operator", "run", "--log-level", sample].map(Into::into);
        assert_eq!(whatsapp_operator::cli::parse(args).is_ok(), is_one, "--log-level {sample}");
    }
}

/// The name of a release may have dots and begin with a digit, and that of a Service may not.
#[tokio::test]
async fn whatever_a_release_is_called_its_names_are_taken_by_every_kind() {
    let plane = ControlPlane::shared().await;
    let long = format!("a.{}", "c".repeat(50));
    for release in ["wa.br", "2024", "1.2.3", "whatsapp-operator.br", &long] {
        let values = json!({"dashboards": {"enabled": true}, "prometheusRule": {"enabled": true}});
        let objects = parsed(&plane.helm_template_of(release, "10023", &values).await);
        for object in &objects {
            let Value::Object(mut texts) = object["metadata"].clone() else { panic!("{release}: {object}") };
            texts.remove("annotations");
            let labels = texts.remove("labels");
            texts.extend(labels.iter().filter_map(|all| all.as_object().cloned()).flatten());
            assert!(texts.values().all(Value::is_string), "{release}: {texts:?}");
        }
        let service = of_kind(&objects, "Service").next().expect("a Service");
        let name = service["metadata"]["name"].as_str().expect("a name is text");
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.ends_with(|c: char| c.is_ascii_alphanumeric())
                && name.len() <= 63
                && name.chars().all(is_allowed),
            "{release}: {name}"
        );
        let instance = &service["spec"]["selector"]["app.kubernetes.io/instance"];
        assert_eq!(instance, &json!(release), "each release has its own pods");
    }
}

/// Every value of `values.yaml` is in the schema, and the operator takes every argument that the chart passes.
#[tokio::test]
async fn the_operator_takes_the_arguments_of_the_chart() {
    let plane = ControlPlane::shared().await;
    let values = json!({
        "namespaces": ["shop"], "graph": { "url": "https://graph.example" }, "watchLabelSelector": "a in (b, c)",
        "traces": { "endpoint": "http://collector:4318" },
    });
    let objects = render(plane, values).await;
    let container = &of_kind(&objects, "Deployment").next().expect("a Deployment")["spec"]["template"]["spec"]
        ["containers"][0];
    let mut args = vec!["whatsapp-operator".into()];
    args.extend(
        container["args"].as_array().expect("arguments").iter().map(|arg| arg.as_str().expect("text").into()),
    );
    assert!(whatsapp_operator::cli::parse(args).is_ok(), "{container}");
}

/// The image is that of the chart's appVersion unless somebody says otherwise, so each flag must be one of that version.
#[tokio::test]
async fn the_chart_installs_the_version_that_knows_its_flags() {
    let manifest: Value =
        serde_saphyr::from_str(&fs::read_to_string(chart("Chart.yaml")).expect("it is there")).expect("YAML");
    assert_eq!(manifest["appVersion"], env!("CARGO_PKG_VERSION"));
    let tag = format!("v{}", env!("CARGO_PKG_VERSION"));
    for file in ["argocd", "flux"] {
        let text = fs::read_to_string(Path::new(ROOT).join(format!("deploy/{file}/operator.yaml")));
        let text = text.expect("it is there");
        let mut tags = text.lines().filter_map(|line| {
            let line = line.trim_start();
            line.strip_prefix("tag: ").or_else(|| line.strip_prefix("targetRevision: "))
        });
        assert!(tags.clone().next().is_some() && tags.all(|named| named == tag), "{file} is not of {tag}");
    }

    let run = Command::new(env!("CARGO_BIN_EXE_whatsapp-operator")).args(["run", "--help"]).output();
    let help = String::from_utf8(run.expect("the binary runs").stdout).expect("text");
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let known: BTreeSet<&str> = help.split(|c| !is_word(c)).filter(|word| word.starts_with("--")).collect();
    let plane = ControlPlane::shared().await;
    for set in rendered::SETS {
        let objects = render(plane, rendered::values(set)).await;
        let container = &of_kind(&objects, "Deployment").next().expect("a Deployment")["spec"]["template"]["spec"]
            ["containers"][0];
        for arg in container["args"].as_array().expect("arguments") {
            let flag = arg.as_str().expect("text").split('=').next().unwrap_or_default();
            assert!(flag == "run" || known.contains(flag), "{set}: run does not know {flag}");
        }
    }
}
