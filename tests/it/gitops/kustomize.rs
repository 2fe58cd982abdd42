//! The folders for kustomize hold what the chart renders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{ROOT, documents, read};
use crate::chart::plain;
use crate::control_plane::ControlPlane;
use crate::kept;

const NAMESPACE: &str = "whatsapp-operator";

/// Each folder with the values of the chart that it stands for.
fn folders() -> [(&'static str, Value); 2] {
    [("base", json!({})), ("namespaced", json!({"namespaces": ["shop"]}))]
}

/// Only helm says these of what it installs.
const OF_HELM: [&str; 2] = ["app.kubernetes.io/managed-by", "helm.sh/chart"];

fn is_crd(text: &str) -> bool {
    text.contains("kind: CustomResourceDefinition")
}

/// What the chart renders, without its CRDs and what is helm's.
fn operator(rendered: &str) -> String {
    let documents = rendered.trim_start_matches("---\n").split("\n---\n");
    let documents = documents.filter(|text| text.contains("kind:") && !is_crd(text));
    let is_of_helm = |line: &str| {
        let line = line.trim_start();
        line.starts_with("# Source: ") || OF_HELM.iter().any(|key| line.starts_with(&format!("{key}:")))
    };
    let kept = |text: &str| -> String {
        text.trim_matches('\n')
            .lines()
            .filter(|line| !is_of_helm(line))
            .map(|line| format!("{line}\n"))
            .collect()
    };
    let documents: Vec<String> = documents.map(kept).collect();
    format!("# Rendered from charts/whatsapp-operator; do not edit.\n{}", documents.join("---\n"))
}

fn without_helm(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|key, _| !OF_HELM.contains(&key.as_str()));
            entries.values_mut().for_each(without_helm);
        }
        Value::Array(items) => items.iter_mut().for_each(without_helm),
        _ => {}
    }
}

/// By kind, namespace and name.
fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = |object: &Value| {
        let metadata = &object["metadata"];
        format!("{} {}/{}", part(&object["kind"]), part(&metadata["namespace"]), part(&metadata["name"]))
    };
    objects.into_iter().map(|object| (name(&object), plain(&object))).collect()
}

async fn kubectl(plane: &ControlPlane, args: &[&str]) -> String {
    let output = plane.kubectl(args).await;
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn path(folder: &str) -> String {
    Path::new(ROOT).join("deploy/kustomize").join(folder).display().to_string()
}

/// Every channel goes with a CRD, and with a namespace the Secrets of the PINs.
fn is_never_pruned(object: &Value) {
    let annotations = &object["metadata"]["annotations"];
    let options = annotations["argocd.argoproj.io/sync-options"].as_str().expect("options of Argo CD");
    assert!(options.split(',').any(|option| option == "Prune=false"), "{options}");
    assert_eq!(annotations["kustomize.toolkit.fluxcd.io/prune"], "disabled");
}

#[tokio::test]
async fn what_kustomize_builds_is_what_the_chart_renders() {
    let plane = ControlPlane::shared().await;
    let mut stale = Vec::new();
    for (folder, values) in folders() {
        let rendered = plane.helm_template(NAMESPACE, &values).await;
        stale.extend(kept::difference(
            &format!("deploy/kustomize/{folder}/operator.yaml"),
            &operator(&rendered),
        ));
        let mut wanted: Vec<Value> = documents(&rendered);
        wanted.retain(|object| object["kind"] != "CustomResourceDefinition");
        wanted.iter_mut().for_each(without_helm);
        let mut built = by_name(documents(&kubectl(plane, &["kustomize", &path(folder)]).await));
        // The chart leaves the namespace to helm.
        let namespace = built.remove(&format!("Namespace /{NAMESPACE}")).expect("a namespace");
        is_never_pruned(&namespace);
        let wanted = by_name(wanted);
        assert_eq!(built.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{folder}");
        for (name, object) in wanted {
            assert_eq!(built[&name], object, "{folder}: {name}");
        }
    }
    let stale = stale.join("\n");
    assert!(stale.is_empty(), "{stale}\nstale, run make gen and commit the result");
}

#[tokio::test]
async fn the_crds_of_kustomize_are_never_pruned() {
    let plane = ControlPlane::shared().await;
    let built = documents(&kubectl(plane, &["kustomize", &path("crds")]).await);
    assert_eq!(built.len(), 2);
    for crd in built {
        let file = format!("crds/{}.yaml", crd["spec"]["names"]["plural"].as_str().expect("a plural"));
        let wanted: Value = serde_saphyr::from_str(&read(&file)).expect("YAML");
        assert!(plain(&crd["spec"]) == plain(&wanted["spec"]), "{file} is built otherwise");
        is_never_pruned(&crd);
    }
}

#[tokio::test]
async fn the_api_server_takes_what_kustomize_builds() {
    let plane = ControlPlane::shared().await;
    kubectl(plane, &["apply", "-f", &path("base/namespace.yaml")]).await;
    kubectl(plane, &["create", "namespace", "shop"]).await;
    let flags = ["--server-side", "--dry-run=server", "--force-conflicts", "--field-manager=kustomize"];
    for folder in ["crds", "base", "namespaced"] {
        let path = path(folder);
        let args = [&["apply", "--kustomize", &path], &flags[..]].concat();
        let said = kubectl(plane, &args).await;
        let made = said.lines().filter(|line| line.contains("serverside-applied")).count();
        assert!(made >= 2, "{folder}: {said}");
    }
}

/// Two shards in one namespace share no object, and the second one may use the Lease that it is told to.
#[tokio::test]
async fn the_overlay_of_a_second_shard_has_a_lease_and_a_policy_of_its_own() {
    let plane = ControlPlane::shared().await;
    let page = read("docs/growing.md");
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let overlay = blocks.filter(|block| block.contains("kind: Kustomization")).last().expect("an overlay");
    let folder = tempfile::TempDir::new_in(plane.dir()).expect("a folder");
    let deploy = folder.path().join("whatsapp-operator/deploy/kustomize");
    fs::create_dir_all(&deploy).expect("a folder");
    std::os::unix::fs::symlink(path("base"), deploy.join("base")).expect("a link");
    let shard = folder.path().join("shard2");
    fs::create_dir_all(&shard).expect("a folder");
    fs::write(shard.join("kustomization.yaml"), overlay).expect("a file");

    // Whatever is replaced by its place is looked at before: in another order nothing is built.
    assert_eq!(overlay.matches("op: test").count(), overlay.matches("op: replace").count(), "{overlay}");
    let elsewhere = folder.path().join("moved");
    fs::create_dir_all(&elsewhere).expect("a folder");
    for (from, to) in [
        ("/args/7,", "/args/6,"),
        ("/rules/1/resourceNames/0, value: whatsapp-operator}", "/rules/1/resourceNames/0, value: another}"),
        ("whatsapp-operator:whatsapp-operator'", "whatsapp-operator:another'"),
    ] {
        let moved = overlay.replacen(from, to, if from.starts_with("/args") { 2 } else { 1 });
        assert_ne!(moved, overlay, "{from}");
        fs::write(elsewhere.join("kustomization.yaml"), moved).expect("a file");
        let output = plane.kubectl(["kustomize", &elsewhere.display().to_string()]).await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains("test"), "{from}: {told}");
    }

    let shard = shard.display().to_string();
    let built = by_name(documents(&kubectl(plane, &["kustomize", &shard]).await));
    let first = by_name(documents(&kubectl(plane, &["kustomize", &path("base")]).await));
    let names = |of: &BTreeMap<String, Value>| of.keys().cloned().collect::<BTreeSet<_>>();
    assert!(names(&built).is_disjoint(&names(&first)), "{:?}", names(&built));
    assert_eq!(built.len(), first.len() - 1, "all but the namespace");
    let own = format!("{NAMESPACE}-shard2");
    let of = |kind: &str, name: &str| &built[&format!("{kind} {NAMESPACE}/{name}")];
    let spec = &of("Deployment", &own)["spec"];
    assert_ne!(spec["selector"], first[&format!("Deployment {NAMESPACE}/{NAMESPACE}")]["spec"]["selector"]);
    let pod = &spec["template"]["spec"];
    let args: Vec<String> = serde_json::from_value(pod["containers"][0]["args"].clone()).expect("arguments");
    let parsed = [vec!["whatsapp-operator".to_owned()], args.clone()].concat();
    assert!(whatsapp_operator::cli::parse(parsed.into_iter().map(Into::into)).is_ok(), "{args:?}");
    for arg in [
        format!("--leader-election-name={own}"),
        "--watch-label-selector=sharding.whatsapp-operator.dev/key=shard2".to_owned(),
    ] {
        assert!(args.contains(&arg), "{arg}: {args:?}");
    }
    let role = of("Role", &format!("{NAMESPACE}-lease-shard2"));
    assert_eq!(role["rules"][1]["resourceNames"], json!([own]));
    let policy = &built[&format!("ValidatingAdmissionPolicy /{NAMESPACE}.{own}")];
    let account = pod["serviceAccountName"].as_str().expect("an account");
    assert_eq!(of("ServiceAccount", account)["metadata"]["name"], own);
    let whose = format!("request.userInfo.username == 'system:serviceaccount:{NAMESPACE}:{account}'");
    assert_eq!(policy["spec"]["matchConditions"][0]["expression"], whose);
}
