//! The life of a release, by helm and on an API server of its own: installed, upgraded from the version before, rolled back,
//! uninstalled, and installed again under another name. The CRDs stay, and so does every channel.
//!
//! The version before is 0.1.0: its templates and values are kept in `before`, and go with the CRDs of `../upgrade`, which differ
//! from today's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::{chart, helm, helm_homes};
use crate::control_plane::{ControlPlane, Options};
use crate::docs::commands;

const CHANNEL: &str = "whatsappchannels.whatsapp-operator.dev";

/// A cluster in which somebody runs helm.
struct Somebody {
    plane: ControlPlane,
}

impl Somebody {
    fn helm(&self, args: &[&str]) -> Result<String, String> {
        let kubeconfig = self.plane.admin_kubeconfig();
        let output =
            helm(&self.plane, &[args, &["--kubeconfig", &kubeconfig.display().to_string()]].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Runs a command as it is printed.
    fn shell(&self, command: &str) -> Result<String, String> {
        shell(&self.plane, command)
    }

    /// Puts the older CRDs in as kubectl does, which then owns what is in them.
    fn apply_older(&self) {
        let files = older_crds().map(|file| format!("-f {}", file.display())).join(" ");
        self.shell(&format!("kubectl apply --server-side --force-conflicts {files}")).expect("applied");
    }

    /// What the operator is started with.
    fn arguments(&self) -> String {
        let args = "jsonpath={.spec.template.spec.containers[0].args}";
        let get = format!("kubectl get deployment wa-whatsapp-operator -n ops -o '{args}'");
        self.shell(&get).expect("it is there")
    }

    /// The revision of the schema that is served.
    fn revision(&self) -> String {
        let of = r"jsonpath={.metadata.annotations.whatsapp-operator\.dev/schema}";
        let schema = self.shell(&format!("kubectl get crd {CHANNEL} -o '{of}'")).expect("it is there");
        schema.split('.').next().unwrap_or_default().to_owned()
    }

    /// What kubectl prints of it, one name a line.
    async fn names(&self, args: &[&str]) -> Vec<String> {
        let output = self.plane.kubectl([&["get", "--output=name"], args].concat()).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    /// Both CRDs and the channel are there.
    async fn keeps_what_matters(&self) {
        let crds = self.names(&["crd", "-l", "app.kubernetes.io/name=whatsapp-operator"]).await;
        assert_eq!(crds.len(), 2, "{crds:?}");
        assert_eq!(
            self.names(&["wac", "-n", "shop"]).await,
            ["whatsappchannel.whatsapp-operator.dev/support"]
        );
    }
}

/// Runs a command as it is printed, with our programs and the cluster's highest rights.
pub fn shell(plane: &ControlPlane, command: &str) -> Result<String, String> {
    let own = Path::new(env!("CARGO_BIN_EXE_whatsapp-operator")).to_owned();
    let folders = [own, plane.binary("kubectl"), plane.binary("helm")]
        .map(|program| program.parent().expect("a folder").display().to_string());
    let path = format!("{}:{}", folders.join(":"), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-euc", command])
        .env("PATH", path)
        .env("KUBECONFIG", plane.admin_kubeconfig())
        .envs(helm_homes(plane))
        .current_dir(plane.dir())
        .output()
        .expect("a shell");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The CRDs of the version before.
pub fn older_crds() -> [PathBuf; 2] {
    ["whatsappchannels", "whatsappportfolios"]
        .map(|kind| Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/upgrade/{kind}.yaml")))
}

/// The chart of the version before, as files.
fn before(into: &Path) -> PathBuf {
    let root = into.join("before");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/chart/before");
    for (from, to) in [(kept, root.clone()), (chart("files"), root.join("files"))] {
        copy(&from, &to);
    }
    for file in older_crds() {
        let to = root.join("files/crds").join(file.file_name().expect("a name"));
        fs::copy(file, to).expect("a file can be copied");
    }
    root
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("a file can be copied");
        }
    }
}

#[tokio::test]
async fn a_release_comes_changes_and_goes_and_the_channels_stay() {
    let plane = ControlPlane::start(Options::default()).await.expect("a control plane of our own");
    let (now, before) = (chart("").display().to_string(), before(plane.dir()).display().to_string());
    let one = Somebody { plane };
    let of_release =
        ["deployment,service,role,clusterrole,pdb", "-n", "ops", "-l", "app.kubernetes.io/instance=wa"];

    one.helm(&["install", "wa", &before, "--namespace", "ops", "--create-namespace"]).expect("installed");
    let manifest = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        {
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
            "metadata": {"name": "support", "namespace": "shop"},
            "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme Support"},
        },
    ]});
    let established = ["wait", "--for=condition=Established", "--timeout=60s", "crd", CHANNEL];
    assert!(one.plane.kubectl(established).await.status.success());
    one.plane.apply_rendered("shop", &manifest.to_string()).await;
    let (older, first, arguments) = (one.names(&of_release).await, one.revision(), one.arguments());

    // The old name of a value is told by its new one, and nothing is changed.
    let told = one.helm(&["upgrade", "wa", &now, "--namespace", "ops", "--set", "crds.install=true"]);
    assert!(told.as_ref().is_err_and(|told| told.contains("write crds.enabled=true")), "{told:?}");
    let notes = one.helm(&["upgrade", "wa", &now, "--namespace", "ops"]).expect("upgraded");
    assert!(notes.contains("kubectl -n ops rollout status deployment/wa-whatsapp-operator"), "{notes}");
    assert_eq!((first.as_str(), one.revision().as_str()), ("3", "4"), "the CRDs are upgraded with it");
    assert_ne!(one.arguments(), arguments, "the newer chart passes more");
    let newer = one.names(&of_release).await;
    assert!(newer.contains(&"service/wa-whatsapp-operator".to_owned()), "{newer:?}");
    assert!(older.iter().all(|object| newer.contains(object)), "{older:?} {newer:?}");
    one.keeps_what_matters().await;

    one.helm(&["rollback", "wa", "1", "--namespace", "ops"]).expect("rolled back");
    assert_eq!(one.names(&of_release).await, older);
    one.keeps_what_matters().await;
    one.helm(&["upgrade", "wa", &now, "--namespace", "ops"]).expect("upgraded again");

    // Back to the version before as the page says it: its arguments and no newer ones, under the newer CRDs.
    let page = commands("docs/upgrading.md");
    let said = |command: &&String| {
        let command = command
            .replace("whatsapp-operator CHART_BEFORE", &format!("wa {before}"))
            .replace("whatsapp-operator CHART_AFTER", &format!("wa {now}"))
            .replace("whatsapp-operator --namespace whatsapp-operator", "wa --namespace ops")
            .replace("--namespace whatsapp-operator", "--namespace ops")
            .replace("REVISION_BEFORE", "1")
            .replace("crds.enabled=false", "crds.install=false");
        one.shell(&command).unwrap_or_else(|error| panic!("{command}: {error}"));
    };
    let (forth, back): (Vec<_>, Vec<_>) =
        page.iter().filter(|line| line.starts_with("helm ")).partition(|line| line.contains("CHART_AFTER"));
    back.iter().for_each(said);
    assert_eq!((one.arguments(), one.revision().as_str()), (arguments.clone(), "4"));
    assert_eq!(one.names(&of_release).await, older);
    one.keeps_what_matters().await;
    forth.iter().for_each(said);
    assert_eq!((one.arguments() == arguments, one.names(&of_release).await), (false, newer));
    let applied = one.helm(&["get", "manifest", "wa", "--namespace", "ops"]).expect("the release");
    assert!(applied.contains("\nkind: CustomResourceDefinition\n"), "the CRDs follow the release again");

    // What kubectl owns helm changes only when it is told to, and the page says how.
    one.apply_older();
    let upgrade = ["upgrade", "wa", &now, "--namespace", "ops"];
    let told = one.helm(&upgrade).expect_err("kubectl owns the CRDs");
    assert!(told.contains("conflict") && told.contains("\"kubectl\""), "{told}");
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/upgrading.md"));
    assert!(page.expect("a page").contains("`helm upgrade` again with `--force-conflicts`"));
    one.helm(&[&upgrade[..], &["--force-conflicts"]].concat()).expect("it takes them over");
    assert_eq!(one.revision(), "4");

    // While it runs, another one leaves the CRDs to it, or is told to.
    let second = ["install", "second", &now, "--namespace", "shop"];
    let told = one.helm(&second).expect_err("the CRDs belong to the first");
    assert!(told.contains("of release ops/wa") && told.contains("set crds.enabled=false"), "{told}");
    one.helm(&[&second[..], &["--set", "crds.enabled=false"]].concat()).expect("beside the first");
    one.helm(&["uninstall", "second", "--namespace", "shop"]).expect("gone");

    let kept = one.helm(&["uninstall", "wa", "--namespace", "ops"]).expect("uninstalled");
    assert!(kept.contains(CHANNEL), "helm says what stays: {kept}");
    assert_eq!(one.names(&of_release).await, [""; 0]);
    one.keeps_what_matters().await;

    // Under another name it says what to do, and doing that is enough: also where kubectl has put in others since.
    one.apply_older();
    let again = ["install", "messaging", &now, "--namespace", "shop"];
    let told = one.helm(&again).expect_err("the CRDs belong to nobody who is there");
    let commands: Vec<&str> =
        told.lines().map(str::trim).filter(|line| line.starts_with("kubectl ")).collect();
    assert_eq!(commands.len(), 2, "{told}");
    for command in commands {
        one.shell(command).unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    let (_, with) = told.split_once("run this again with ").unwrap_or_else(|| panic!("{told}"));
    let flags = with.split_whitespace().take_while(|word| word.starts_with("--"));
    let flags: Vec<&str> = flags.map(|word| word.trim_end_matches([':', ',', '.'])).collect();
    one.helm(&[&again[..], &flags].concat()).expect("installed under another name");
    assert_eq!(one.revision(), "4");
    one.keeps_what_matters().await;
    one.plane.stop().await;
}
