//! A start that cannot work: what is wrong is told with its remedy, and the remedy is enough.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::control_plane::{ControlPlane, Options, Process};
use crate::rig::free_address;
use crate::stored::until_readiness;

const BINARY: &str = env!("CARGO_BIN_EXE_whatsapp-operator");

/// An operator with a kubeconfig, which answers for its health there.
fn operator(plane: &ControlPlane, kubeconfig: &Path, health: SocketAddr) -> Process {
    let mut command = Command::new(BINARY);
    command.env_clear().env("KUBECONFIG", kubeconfig);
    command.args(["run", "--namespace", "default", "--health-listen", &health.to_string()]);
    Process::spawn(command, plane.dir().join(format!("{health}.log"))).expect("the operator starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_an_operator_from_its_work_is_told_with_the_remedy() {
    // Its own: the others have our kinds.
    let plane = ControlPlane::start(Options::default()).await.expect("a control plane");
    let admin = plane.admin_kubeconfig();

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = taken.local_addr().expect("an address");
    let mut own = operator(&plane, &admin, at);
    let ended = own.wait(Duration::from_secs(30)).await.expect("it ends");
    assert_eq!(ended.code(), Some(1));
    for text in
        [&format!("cannot listen on {at}: Address already in use"), "another address with --health-listen"]
    {
        assert!(own.output().contains(text), "{}", own.output());
    }

    let nobody = free_address();
    let away = plane.dir().join("away.kubeconfig");
    let text = fs::read_to_string(&admin).expect("a kubeconfig");
    fs::write(&away, text.replace(plane.url(), &format!("https://{nobody}"))).expect("written");
    let at = free_address();
    let own = operator(&plane, &away, at);
    let said = until_readiness(at, "503", "the API server cannot be asked").await;
    assert!(
        said.contains("Connection refused") && said.contains("let this process reach the address"),
        "{said}"
    );
    assert!(own.output().contains(&format!("address=https://{nobody}")), "{}", own.output());
    assert!(own.output().contains("let this process reach the address"), "{}", own.output());

    // A token that was good once, as one that has expired.
    let account = async |verb: &str| {
        let done = plane.kubectl([verb, "serviceaccount", "before", "--namespace", "default"]).await;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    account("create").await;
    let stale = plane.service_account_kubeconfig("default", "before").await;
    account("delete").await;
    account("create").await;
    let at = free_address();
    let _own = operator(&plane, &stale, at);
    let said = until_readiness(at, "503", "401: Unauthorized").await;
    assert!(said.contains("has expired, or its ServiceAccount was made anew; delete the pod"), "{said}");

    let at = free_address();
    let own = operator(&plane, &admin, at);
    // Each part of readiness is looked at by itself.
    until_readiness(at, "503", "and count as none (404: 404 page not found); install the CRDs").await;
    let said = until_readiness(at, "503", "the API server does not serve whatsappchannels").await;
    let install = said.split("install them with: ").nth(1).and_then(|rest| rest.lines().next());
    let install = install.expect("a command");
    assert!(own.output().contains(install), "{}", own.output());
    let path = |of: &str| Path::new(of).parent().expect("a folder").display().to_string();
    let kubectl = plane.binary("kubectl").display().to_string();
    let others = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-c", install]).env("KUBECONFIG", &admin);
    shell.env("PATH", format!("{}:{}:{others}", path(BINARY), path(&kubectl)));
    let installed = tokio::task::block_in_place(|| shell.output()).expect("a shell runs");
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    until_readiness(at, "200", "").await;
    plane.stop().await;
}
