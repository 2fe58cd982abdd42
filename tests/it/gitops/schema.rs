//! The manifests for delivery tools are what those tools take: the real API server has their own CRDs, and is asked for a dry run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{ROOT, documents, read};
use crate::control_plane::{self, ControlPlane};

/// Every manifest of a folder, which are the documents with a version, a kind and a name.
fn of_folder(folder: &str) -> Vec<(String, Value)> {
    let mut files: Vec<String> = fs::read_dir(Path::new(ROOT).join(folder))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "yaml"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    files.sort();
    let all = files
        .into_iter()
        .flat_map(|file| documents(&read(&file)).into_iter().map(move |one| (file.clone(), one)));
    all.filter(|(_, one)| one["apiVersion"].is_string() && one["metadata"]["name"].is_string()).collect()
}

/// Those of the page. What kustomize reads itself is no object, and the part that decrypts belongs to a Kustomization of Flux.
fn of_page(channels: &Value) -> Vec<(String, Value)> {
    let page = read("docs/gitops.md");
    let blocks = page.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
    let whole = |text: &str| {
        let part: Value = serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let decrypts = &part["spec"]["decryption"];
        if part["kind"].is_string() || decrypts.is_null() {
            return part;
        }
        let mut whole = channels.clone();
        whole["spec"]["decryption"] = decrypts.clone();
        whole
    };
    let all = blocks.map(|text| ("docs/gitops.md".to_owned(), whole(text)));
    all.filter(|(_, one)| one["apiVersion"] != "kustomize.config.k8s.io/v1beta1").collect()
}

fn group(object: &Value) -> &str {
    object["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group)
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().expect("a kind")
}

/// A dry run of the API server, which takes no field that it does not know. What is new is served after a moment.
async fn dry_run(plane: &ControlPlane, namespace: &str, object: &Value) -> Result<(), String> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(namespace);
    let args =
        ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-n", namespace, "-f", "-"];
    for wait in 0.. {
        let output = plane.kubectl_with_input(args, &object.to_string()).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_new = ["no matches for kind", "could not find the requested resource"];
        if output.status.success() {
            return Ok(());
        } else if wait > 20 || !is_new.iter().any(|words| said.contains(words)) {
            return Err(said);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    unreachable!("it ends in the loop")
}

#[tokio::test]
async fn the_crds_of_argo_cd_flux_and_external_secrets_take_every_manifest() {
    let plane = ControlPlane::shared().await;
    let file = control_plane::tool("crds").expect("their CRDs");
    let crds = fs::read_to_string(file).expect("a file");
    let channels = of_folder("deploy/flux").into_iter().find(|(file, _)| file.ends_with("/channels.yaml"));
    let (_, channels) = channels.expect("a Kustomization");
    let mut manifests = [of_folder("deploy/argocd"), of_folder("deploy/flux"), of_page(&channels)].concat();
    // Misspelled: one that has to be refused.
    let mut wrong = channels.clone();
    wrong["spec"]["pruned"] = json!(true);
    manifests.push(("misspelled".to_owned(), wrong));

    let mut installed = Vec::new();
    let mut wanted = String::new();
    for (file, object) in &manifests {
        let of = (group(object).to_owned(), kind(object).to_owned());
        if of.0.is_empty() || of.0 == "whatsapp-operator.dev" || installed.contains(&of) {
            continue;
        }
        let lines = [format!("\n  group: {}\n", of.0), format!("\n    kind: {}\n", of.1)];
        let crd = crds.split("\n---\n").find(|crd| lines.iter().all(|line| crd.contains(line)));
        let crd = crd.unwrap_or_else(|| panic!("{file}: no tool has a {} of {}", of.1, of.0));
        wanted += &format!("{crd}\n---\n");
        installed.push(of);
    }
    let names: Vec<&str> = installed.iter().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(names, ["Application", "AppProject", "Kustomization", "GitRepository", "ExternalSecret"]);
    let ours = fs::read_to_string(Path::new(ROOT).join("crds/whatsappchannels.yaml")).expect("a file");
    let applied = plane.apply_rendered("default", &format!("{wanted}{ours}")).await;
    let namespaces = ["argocd", "flux-system", "platform"]
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    plane
        .apply_rendered(
            "default",
            &json!({"apiVersion": "v1", "kind": "List", "items": namespaces}).to_string(),
        )
        .await;
    let crds = applied.lines().filter_map(|line| line.split_whitespace().next());
    let wait = ["wait", "--for=condition=Established", "--timeout=60s"].into_iter().chain(crds);
    let established = plane.kubectl(wait).await;
    assert!(established.status.success(), "{}", String::from_utf8_lossy(&established.stderr));

    let mut refused = Vec::new();
    for (file, object) in &manifests {
        if let Err(said) = dry_run(plane, "platform", object).await {
            refused.push(format!("{file}: {} {}: {said}", kind(object), object["metadata"]["name"]));
        }
    }
    let [misspelled] = &refused[..] else { panic!("{}", refused.join("\n")) };
    assert!(misspelled.starts_with("misspelled") && misspelled.contains(".spec.pruned"), "{misspelled}");
}
