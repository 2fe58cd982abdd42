//! Proves the harness: what the other tests take for granted about their control plane is checked here.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::control_plane::{ControlPlane, Options, Process, client_from};

const SOON: Duration = Duration::from_secs(30);

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name } })).expect("a ConfigMap")
}

/// A process that has ended is gone, even where nobody has collected its status.
fn is_alive(id: u32) -> bool {
    let state = if Path::new("/proc/self/stat").exists() {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything, so the state is what follows the last of them.
        stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()).unwrap_or_default()
    } else {
        let output =
            Command::new("ps").args(["-o", "stat=", "-p", &id.to_string()]).output().expect("ps runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    !state.is_empty() && !state.starts_with('Z')
}

#[tokio::test]
async fn the_api_server_knows_its_version() {
    let plane = ControlPlane::shared().await;
    let version = plane.admin_client().apiserver_version().await.expect("the API server answers");
    assert_eq!(version.major, "1", "{version:?}");
    assert!(version.minor.trim_end_matches('+').parse::<u32>().is_ok_and(|minor| minor >= 30), "{version:?}");
}

#[tokio::test]
async fn a_token_has_exactly_the_rights_of_its_account() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("rights").await;
    plane
        .apply_rendered(
            &namespace,
            &json!({
                "apiVersion": "v1", "kind": "List", "items": [
                    { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "reader" } },
                    {
                        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "reader" },
                        "rules": [{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"] }],
                    },
                    {
                        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                        "metadata": { "name": "reader" },
                        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" },
                        "subjects": [{ "kind": "ServiceAccount", "name": "reader", "namespace": namespace }],
                    },
                ],
            })
            .to_string(),
        )
        .await;
    let kubeconfig = plane.service_account_kubeconfig(&namespace, "reader").await;
    let client = client_from(&kubeconfig);

    let config_maps = Api::<ConfigMap>::namespaced(client.clone(), &namespace);
    config_maps.list(&ListParams::default()).await.expect("the role allows it");

    let refused = [
        config_maps.create(&PostParams::default(), &config_map("mine")).await.err(),
        Api::<Secret>::namespaced(client.clone(), &namespace).list(&ListParams::default()).await.err(),
        Api::<ConfigMap>::namespaced(client, "default").list(&ListParams::default()).await.err(),
    ];
    for error in refused {
        assert!(matches!(&error, Some(kube::Error::Api(status)) if status.is_forbidden()), "{error:?}");
    }
}

#[tokio::test]
async fn the_audit_log_counts_every_request_once() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("audit").await;
    let config_maps = Api::<ConfigMap>::namespaced(plane.admin_client(), &namespace);
    let mark = plane.mark().await;

    config_maps.create(&PostParams::default(), &config_map("one")).await.expect("created");
    config_maps.create(&PostParams::default(), &config_map("one")).await.expect_err("it exists");
    config_maps.get("one").await.expect("found");
    let watch = WatchParams::default().timeout(1);
    config_maps.watch(&watch, "0").await.expect("watched").for_each(|_| async {}).await;

    let entries: Vec<_> =
        plane.audit_since(mark).await.into_iter().filter(|entry| entry.namespace == namespace).collect();
    let seen: Vec<_> =
        entries.iter().map(|entry| (entry.verb.as_str(), entry.name.as_str(), entry.code)).collect();
    assert_eq!(
        seen,
        [("create", "one", 201), ("create", "one", 409), ("get", "one", 200), ("watch", "", 200)]
    );
    assert!(
        entries.iter().all(|entry| entry.user == "admin" && entry.resource == "configmaps"),
        "{entries:?}"
    );
    assert_eq!(entries.iter().filter(|entry| entry.is_write()).count(), 2);
}

#[tokio::test]
async fn a_watch_sees_an_object_appear() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("watch").await;
    let config_maps = Api::<ConfigMap>::namespaced(plane.admin_client(), &namespace);
    let events = config_maps.watch(&WatchParams::default().timeout(30), "0").await.expect("watched");
    let mut events = std::pin::pin!(events);

    config_maps.create(&PostParams::default(), &config_map("new")).await.expect("created");

    let added = loop {
        match events.try_next().await.expect("an event") {
            Some(WatchEvent::Added(object)) => break object.name_any(),
            Some(_) => {}
            None => panic!("the watch ended without the object"),
        }
    };
    assert_eq!(added, "new");
}

#[tokio::test]
async fn kubectl_reads_what_was_applied() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("kubectl").await;
    plane
        .apply_rendered(&namespace, "{apiVersion: v1, kind: ConfigMap, metadata: {name: here}, data: {a: b}}")
        .await;

    let args = ["get", "configmap", "here", "--namespace", &namespace, "--output", "jsonpath={.data.a}"];
    let output = plane.kubectl(args).await;

    assert_eq!(String::from_utf8_lossy(&output.stdout), "b");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[tokio::test]
async fn a_control_plane_keeps_its_objects_through_a_crash_and_leaves_nothing_when_it_stops() {
    let plane = ControlPlane::start(Options::default()).await.expect("a control plane of our own");
    let namespace = plane.namespace("crash").await;

    plane.kill_api_server().await;
    let output = plane.kubectl(["get", "namespace", &namespace]).await;
    assert!(!output.status.success(), "{output:?}");
    plane.start_api_server().await.expect("it starts again");
    let output = plane.kubectl(["get", "namespace", &namespace]).await;
    assert!(output.status.success(), "{output:?}");

    let ids = plane.process_ids();
    let dir = plane.dir().to_owned();
    assert!(ids.len() == 2 && ids.iter().all(|id| is_alive(*id)), "{ids:?}");
    plane.stop().await;
    assert!(!ids.iter().any(|id| is_alive(*id)), "{ids:?}");
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_process_is_terminated_and_its_output_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("sh");
    command.args(["-c", "trap 'echo asked; exit 3' TERM; echo $GREETING; while :; do sleep 0.05; done"]);
    command.env("GREETING", "hello");
    let mut process = Process::spawn(command, dir.path().join("log")).expect("a process");
    assert!(process.wait_for_output("hello", SOON).await);

    process.terminate();

    let status = process.wait(SOON).await.expect("it ends");
    assert_eq!(status.code(), Some(3));
    assert_eq!(process.output(), "hello\nasked\n");
}

/// Runs itself a second time as the process that crashes while it holds a child.
#[tokio::test]
async fn a_child_process_ends_when_its_holder_crashes() {
    const FILE: &str = "CRASH_AND_WRITE_CHILD_ID_TO";
    if let Some(file) = std::env::var_os(FILE) {
        let mut command = Command::new("sleep");
        command.arg("600");
        let child = Process::spawn(command, Path::new(&file).with_extension("log")).expect("a process");
        fs::write(&file, child.id().to_string()).expect("the file is writable");
        std::process::abort();
    }
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("id");
    let mut holder = Command::new(std::env::current_exe().expect("our own path"));
    holder.args(["--exact", "plane::a_child_process_ends_when_its_holder_crashes"]).env(FILE, &file);
    let mut holder = Process::spawn(holder, dir.path().join("log")).expect("a process");
    let status = holder.wait(SOON).await.expect("it crashes");
    assert!(!status.success());

    let id = fs::read_to_string(&file).expect("it had a child").parse().expect("an id");
    for _ in 0..100 {
        if !is_alive(id) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("process {id} outlived its holder");
}
