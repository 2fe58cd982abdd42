//! Some sets of values with what becomes of them: kept as files, and judged by a real API server.
//!
//! The API server gets the kinds of the Prometheus operator from its own CRDs, and nothing beyond them is taken.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{of_kind, parsed};
use crate::control_plane::{self, ControlPlane};
use crate::kept;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
pub const SETS: [&str; 5] = ["defaults", "namespaces", "openshift", "everything", "numbers"];
/// Kinds of the Prometheus operator that the chart uses.
pub const MONITORS: [&str; 3] = ["servicemonitors", "podmonitors", "prometheusrules"];

/// Release and namespace of a set.
fn place(set: &str) -> (&'static str, &'static str) {
    if set == "numbers" { ("2024", "10023") } else { ("whatsapp-operator", "whatsapp-system") }
}

pub fn values(set: &str) -> Value {
    let file = Path::new(ROOT).join(format!("tests/it/chart/values/{set}.yaml"));
    serde_saphyr::from_str(&fs::read_to_string(file).expect("it is there")).expect("YAML")
}

#[tokio::test]
async fn each_set_of_values_is_rendered_as_it_is_kept() {
    let plane = ControlPlane::shared().await;
    let mut stale = Vec::new();
    for set in SETS {
        let mut values = values(set);
        values["crds"] = json!({ "enabled": false });
        let (release, namespace) = place(set);
        let text = plane.helm_template_of(release, namespace, &values).await;
        stale.extend(kept::difference(&format!("tests/it/chart/rendered/{set}.yaml"), &text));
    }
    assert!(stale.is_empty(), "{}\nwritten anew by make golden; then read what changed", stale.join("\n"));
}

#[tokio::test]
async fn the_api_server_takes_everything_that_is_rendered() {
    let plane = ControlPlane::shared().await;
    for name in ["shop-a", "shop-b", "whatsapp-system", "10023", "1e3"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        }});
        plane.apply_rendered("default", &namespace.to_string()).await;
    }
    let kinds = MONITORS;
    plane.apply_rendered("default", &monitors(kinds)).await;
    let established = ["wait", "--for=condition=Established", "--timeout=60s", "crd"];
    let kinds = kinds.map(|kind| format!("{kind}.monitoring.coreos.com"));
    let wait = [established.to_vec(), kinds.iter().map(String::as_str).collect()];
    assert!(plane.kubectl(wait.concat()).await.status.success());

    let mut sets: Vec<(&str, Value)> = SETS.map(|set| (set, values(set))).into();
    sets.push(("pod monitor", json!({"metrics": {"podMonitor": {"enabled": true, "interval": "1m30s"}}})));
    sets.push(("no runbooks", json!({"prometheusRule": {"enabled": true}})));
    for (set, values) in sets {
        let (release, namespace) = place(set);
        let text = plane.helm_template_of(release, namespace, &values).await;
        let apply = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "--force-conflicts",
            "-f",
            "-",
        ];
        let output = plane.kubectl_with_input(apply, &text).await;
        assert!(output.status.success(), "{set}: {}", String::from_utf8_lossy(&output.stderr));
        let objects = parsed(&text);
        let told = String::from_utf8_lossy(&output.stdout).lines().count();
        assert_eq!(told, objects.len(), "{set}: each of them was tried");

        // A Deployment is taken whatever its pods are; so a pod of it is tried where `restricted` is enforced.
        let mut spec =
            of_kind(&objects, "Deployment").next().expect("a Deployment")["spec"]["template"]["spec"].clone();
        spec["serviceAccountName"] = json!("default");
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator"}, "spec": spec});
        let create = ["create", "--dry-run=server", "--validate=strict", "--namespace", namespace, "-f", "-"];
        let output = plane.kubectl_with_input(create, &pod.to_string()).await;
        assert!(output.status.success(), "{set}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{set} warns: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The Prometheus operator's own CRDs of the kinds that the chart uses.
pub fn monitors(kinds: [&str; 3]) -> String {
    let file = control_plane::tool("crds").expect("CRDs of other tools");
    let all = fs::read_to_string(file).expect("a file");
    let names = kinds.map(|plural| format!("\n  name: {plural}.monitoring.coreos.com\n"));
    let own: Vec<&str> =
        all.split("\n---\n").filter(|crd| names.iter().any(|name| crd.contains(name))).collect();
    assert_eq!(own.len(), kinds.len());
    own.join("\n---\n")
}
