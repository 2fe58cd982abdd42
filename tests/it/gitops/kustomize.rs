//! The folders for kustomize hold what the chart renders.

use std::collections::BTreeMap;
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
