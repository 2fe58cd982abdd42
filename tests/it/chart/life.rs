//! The life of a release, by helm and on an API server of its own: installed, upgraded from the version before, rolled back,
//! uninstalled, and installed again under another name. The CRDs stay, and so does every channel. All of it by Helm 4 and by
//! Helm 3, which differ in what they ask before they take over what somebody else applied.
//!
//! The version before is 0.1.0: its templates and values are kept in `before`, and go with the CRDs of `../upgrade`, which differ
//! from today's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rstest::rstest;
use serde_json::json;

use super::rendered::{self, monitors};
use super::{chart, helm_homes, parsed};
use crate::control_plane::{self, ControlPlane, Options};
use crate::docs::commands;
use crate::shards;

const CHANNEL: &str = "whatsappchannels.whatsapp-operator.dev";

/// A cluster in which somebody runs helm.
struct Somebody {
    plane: ControlPlane,
    /// A folder whose helm is the one of this person.
    helm: PathBuf,
}

impl Somebody {
    fn helm(&self, args: &[&str]) -> Result<String, String> {
        let kubeconfig = self.plane.admin_kubeconfig();
        let output = Command::new(self.helm.join("helm"))
            .args(args)
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .envs(helm_homes(&self.plane))
            .output()
            .expect("helm runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Runs a command as it is printed.
    fn shell(&self, command: &str) -> Result<String, String> {
        shell_with(&self.plane, &self.helm, command)
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

    /// What of these objects is there, one name a line.
    async fn left_of(&self, manifest: &str) -> Vec<String> {
        let get = ["get", "--ignore-not-found", "--output=name", "--filename=-"];
        let output = self.plane.kubectl_with_input(get, manifest).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    /// Uninstalls a release, of which nothing but the CRDs may be left.
    async fn uninstall(&self, release: &str, namespace: &str) -> String {
        let of = [release, "--namespace", namespace];
        let manifest = self.helm(&[&["get", "manifest"], &of[..]].concat()).expect("the release");
        let all = self.left_of(&manifest).await;
        assert_eq!(all.len(), parsed(&manifest).len(), "all of it is there: {all:?}");
        let told = self.helm(&[&["uninstall"], &of[..]].concat()).expect("uninstalled");
        let mut left = self.left_of(&manifest).await;
        left.retain(|name| !name.starts_with("customresourcedefinition"));
        assert_eq!(left, [""; 0], "left of {release}");
        told
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

/// The commands that the notes of a release print, of what helm printed.
fn noted(told: &str) -> Vec<&str> {
    let (_, notes) = told.split_once("NOTES:\n").unwrap_or_else(|| panic!("no notes: {told}"));
    notes.lines().map(str::trim).filter(|line| line.starts_with("kubectl ")).collect()
}

/// Further parts of the life of a release.
impl Somebody {
    /// Runs each command of the notes of `wa` in `ops`, as they are printed for these values.
    async fn the_commands_of_the_notes_work(&self, chart: &str) {
        // No pod runs here. So the Deployment is told as by its controller, and the Lease as by the pod that works.
        let get = "kubectl get deployment wa-whatsapp-operator -n ops -o jsonpath={.metadata.generation}";
        let generation: u64 = self.shell(get).expect("it is there").parse().expect("a number");
        let status = json!({"status": {
            "observedGeneration": generation, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
        }});
        let patch = "kubectl patch deployment wa-whatsapp-operator -n ops --subresource=status --type=merge";
        self.shell(&format!("{patch} -p '{status}'")).expect("patched");
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "wa-whatsapp-operator"},
            "spec": {"holderIdentity": "wa-whatsapp-operator-0_0123456789abcdef", "leaseDurationSeconds": 13},
        });
        self.plane.apply_rendered("ops", &lease.to_string()).await;
        for (set, count) in [
            ("replicas=2", 5),
            ("namespaces={shop,ops}", 6),
            ("crds.enabled=false", 5),
            ("watchLabelSelector=tier=a", 5),
            ("replicas=1,leaderElection.enabled=false", 4),
        ] {
            let upgrade = ["upgrade", "wa", chart, "--namespace", "ops", "--dry-run=client", "--set", set];
            let told = self.helm(&upgrade).unwrap_or_else(|told| panic!("{set}: {told}"));
            let commands = noted(&told);
            assert_eq!(commands.len(), count, "{set}: {commands:?}");
            for command in commands {
                self.shell(command).unwrap_or_else(|error| panic!("{set}: {command}: {error}"));
            }
        }
    }

    /// While `wa` is in `ops`, one of the same name in `shop` changes nothing before it has names of its own.
    async fn a_second_one_of_that_name_is_told_what_to_do(&self, chart: &str) {
        let install = ["install", "wa", chart, "--namespace", "shop", "--set", "crds.enabled=false"];
        let told = self.helm(&install).expect_err("the roles belong to the first");
        for kind in ["ClusterRole", "ClusterRoleBinding"] {
            let taken = format!("{kind} wa-whatsapp-operator is there already, of release ops/wa");
            assert!(told.contains(&taken), "{told}");
        }
        assert!(told.contains("set fullnameOverride=wa-whatsapp-operator-shop."), "{told}");
        let helper = ["--set", "phoneHelper.enabled=true"];
        let named =
            ["--set", "fullnameOverride=wa-whatsapp-operator-shop", "--set", "watchLabelSelector=tier=b"];
        self.helm(&[&install[..], &helper, &named].concat()).expect("names of its own");
        // Each is still the owner of its own.
        let upgrade = [&["upgrade"], &install[1..], &helper, &named].concat();
        self.helm(&upgrade).expect("upgraded");
        self.uninstall("wa", "shop").await;

        let some = ["--set", "namespaces={shop}"];
        let told = self.helm(&[&install[..], &some].concat()).expect_err("two roles belong to the first");
        assert!(told.contains("ClusterRole wa-whatsapp-operator-edit is there already"), "{told}");
        assert!(
            !told.contains("ClusterRoleBinding") && told.contains("rbac.aggregate=false is enough"),
            "{told}"
        );
        let alone = ["--set", "rbac.aggregate=false"];
        self.helm(&[&install[..], &some, &alone].concat()).expect("nothing of the cluster's");
        let third = [&["install", "third", chart, "--namespace", "ops"][..], &install[5..], &alone].concat();
        let told = self.helm(&[&third[..], &some].concat()).expect_err("both would work on one channel");
        let taken = "Another release watches these namespaces, or a part of them by labels: RoleBinding shop/wa-whatsapp-operator of release shop/wa.";
        assert!(told.contains(taken), "{told}");
        for apart in ["namespaces={default}", "watchLabelSelector=tier=c"] {
            self.helm(&[&third[..], &some, &["--set", apart]].concat())
                .unwrap_or_else(|told| panic!("{apart}: {told}"));
            self.uninstall("third", "ops").await;
        }
        self.uninstall("wa", "shop").await;
    }

    /// From the whole cluster to one namespace, and back: no right of before is left.
    async fn may_watch_less_and_more(&self, chart: &str) {
        let upgrade = ["upgrade", "wa", chart, "--namespace", "ops"];
        let bindings = ["clusterrolebinding,rolebinding", "-A", "-l", "app.kubernetes.io/instance=wa"];
        let of =
            |kind: &str, what: &str| format!("{kind}.rbac.authorization.k8s.io/wa-whatsapp-operator{what}");
        let (whole, one) = ("clusterrolebinding", "rolebinding");
        let some = vec![of(one, ""), of(one, "-attempts"), of(one, "-lease")];
        for (set, expected) in
            [("namespaces={shop}", some), ("scope=Cluster", vec![of(whole, ""), of(one, "-lease")])]
        {
            self.helm(&[&upgrade[..], &["--set", set]].concat()).expect("upgraded");
            let mut bound = self.names(&bindings).await;
            bound.sort();
            assert_eq!(bound, expected, "{set}");
        }
    }

    /// Of the set of values with everything in it, too, nothing is left.
    async fn everything_comes_and_goes(&self, chart: &str) {
        let kinds = rendered::MONITORS;
        self.plane.apply_rendered("default", &monitors(kinds)).await;
        let kinds = kinds.map(|kind| format!("crd/{kind}.monitoring.coreos.com")).join(" ");
        let wait = format!("kubectl wait --for=condition=Established --timeout=60s {kinds}");
        self.shell(&wait).expect("they are served");
        let values = self.plane.dir().join("everything.yaml");
        fs::write(&values, rendered::values("everything").to_string()).expect("a file");
        let values = values.display().to_string();
        let install = ["install", "all", chart, "--namespace", "whatsapp-system", "--create-namespace"];
        let with = ["--values", &values, "--set", "crds.enabled=false"];
        self.helm(&[&install[..], &with].concat()).expect("installed");
        self.uninstall("all", "whatsapp-system").await;
    }

    /// As `docs/growing.md` has them, the first with the CRDs, which still carry the name of the release that is gone.
    async fn the_releases_of_two_shards_are_taken(&self, chart: &str) {
        let names = ["wa", "shard2"];
        for (name, values) in names.into_iter().zip(shards::values()) {
            let file = self.plane.dir().join(format!("{name}.yaml"));
            fs::write(&file, values.to_string()).expect("a file");
            let file = file.display().to_string();
            let install = ["install", name, chart, "--namespace", "ops", "--values", &file];
            self.helm(&install).unwrap_or_else(|told| panic!("{name}: {told}"));
        }
        for name in names {
            self.uninstall(name, "ops").await;
        }
    }
}

/// Runs a command as it is printed, with our programs and the cluster's highest rights.
pub fn shell(plane: &ControlPlane, command: &str) -> Result<String, String> {
    let helm = plane.binary("helm");
    shell_with(plane, helm.parent().expect("a folder"), command)
}

/// The same with the helm of a folder.
fn shell_with(plane: &ControlPlane, helm: &Path, command: &str) -> Result<String, String> {
    let own = Path::new(env!("CARGO_BIN_EXE_whatsapp-operator")).parent().expect("a folder");
    let kubectl = plane.binary("kubectl");
    let folders = [helm, own, kubectl.parent().expect("a folder")].map(|folder| folder.display().to_string());
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

#[rstest]
#[case::helm_4("helm")]
#[case::helm_3("helm3")]
#[tokio::test]
async fn a_release_comes_changes_and_goes_and_the_channels_stay(#[case] program: &str) {
    let plane = ControlPlane::start(Options::default()).await.expect("a control plane of our own");
    let (now, before) = (chart("").display().to_string(), before(plane.dir()).display().to_string());
    let helm = plane.dir().join("bin");
    fs::create_dir(&helm).expect("a folder");
    let program_path = control_plane::tool(program).expect("it can be built");
    std::os::unix::fs::symlink(program_path, helm.join("helm")).expect("a link");
    let asks = program == "helm";
    let one = Somebody { plane, helm };
    let version = one.helm(&["version", "--template", "{{.Version}}"]).expect("a version");
    assert!(version.starts_with(if asks { "v4." } else { "v3." }), "{version}");
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
    one.the_commands_of_the_notes_work(&now).await;

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
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/upgrading.md"));
    let page = page.expect("a page");
    if asks {
        let told = one.helm(&upgrade).expect_err("kubectl owns the CRDs");
        assert!(told.contains("conflict") && told.contains("\"kubectl\""), "{told}");
        assert!(page.contains("`helm upgrade` again with `--force-conflicts`"));
        one.helm(&[&upgrade[..], &["--force-conflicts"]].concat()).expect("it takes them over");
    } else {
        assert!(page.contains("Helm 3 asks nobody, takes them over at once, and knows no such flag"));
        let told = one.helm(&[&upgrade[..], &["--force-conflicts"]].concat()).expect_err("no such flag");
        assert!(told.contains("unknown flag: --force-conflicts"), "{told}");
        one.helm(&upgrade).expect("it takes them over");
    }
    assert_eq!(one.revision(), "4");

    // While it runs, another one leaves the CRDs to it, or is told to.
    let second = ["install", "second", &now, "--namespace", "shop"];
    let told = one.helm(&second).expect_err("both would watch everything");
    let of_first = "ClusterRoleBinding wa-whatsapp-operator of release ops/wa";
    assert!(told.contains(of_first) && told.contains("set watchLabelSelector or namespaces"), "{told}");
    let second = [&second[..], &["--set", "watchLabelSelector=tier=b"]].concat();
    let told = one.helm(&second).expect_err("the CRDs belong to the first");
    assert!(told.contains("of release ops/wa") && told.contains("set crds.enabled=false"), "{told}");
    one.helm(&[&second[..], &["--set", "crds.enabled=false"]].concat()).expect("beside the first");
    one.uninstall("second", "shop").await;
    one.a_second_one_of_that_name_is_told_what_to_do(&now).await;
    one.may_watch_less_and_more(&now).await;

    let kept = one.uninstall("wa", "ops").await;
    assert!(kept.contains(CHANNEL), "helm says what stays: {kept}");
    one.keeps_what_matters().await;
    one.everything_comes_and_goes(&now).await;
    one.the_releases_of_two_shards_are_taken(&now).await;
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
    let (_, with) = told.split_once("run this again").unwrap_or_else(|| panic!("{told}"));
    let with = with.split(':').next().unwrap_or_default();
    let flags: Vec<&str> = with.split_whitespace().filter(|word| word.starts_with("--")).collect();
    assert_eq!(flags.is_empty(), !asks, "{told}");
    one.helm(&[&again[..], &flags].concat()).expect("installed under another name");
    assert_eq!(one.revision(), "4");
    one.keeps_what_matters().await;
    one.plane.stop().await;
}
