//! The image, as `deploy/image/build.sh debug` makes it: what is in it, that the same input makes the same digest, and that the
//! operator works with nothing but its files. No container engine takes part: the layer is unpacked with tar, the program is
//! started with the loader of the image and with chroot, and the layout is pushed to a registry on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{stderr, stdout};
use crate::control_plane::Process;
use crate::outside::{HOST, Network, mounted, trusted_folders};
use crate::plan::{Desk, TOKEN};
use crate::rig::{BUSINESS, Rig, free_address};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const OPERATOR: &str = "usr/local/bin/whatsapp-operator";
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";
const DOCUMENTS: &str = "usr/share/doc/whatsapp-operator";

/// Where the script has put what it built.
fn built() -> PathBuf {
    let target =
        Path::new(env!("CARGO_BIN_EXE_whatsapp-operator")).ancestors().nth(2).expect("a target folder");
    let image = target.join("image/debug");
    assert!(image.join("layout/index.json").is_file(), "no image is there: run deploy/image/build.sh debug");
    image
}

fn tool(name: &str) -> Command {
    Command::new(built().join("../../tools/bin").join(name))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn sha256(bytes: &[u8]) -> String {
    let sum = ring::digest::digest(&ring::digest::SHA256, bytes);
    sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the layout holds under the digest of this descriptor.
fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest =
        descriptor["digest"].as_str().expect("a digest").strip_prefix("sha256:").expect("of SHA-256");
    layout.join("blobs/sha256").join(digest)
}

/// The one image of a layout: its digest, its configuration, its layer.
fn image(layout: &Path) -> (String, Value, PathBuf) {
    let index = json(&read(layout.join("index.json")));
    let [one] = index["manifests"].as_array().expect("manifests").as_slice() else { panic!("{index}") };
    let manifest = json(&read(blob(layout, one)));
    let [layer] = manifest["layers"].as_array().expect("layers").as_slice() else { panic!("{manifest}") };
    let config = json(&read(blob(layout, &manifest["config"])));
    (one["digest"].as_str().expect("a digest").to_owned(), config, blob(layout, layer))
}

/// The files of the image in a folder, which is read-only while a program of them runs.
struct Unpacked(TempDir);

impl Unpacked {
    fn new() -> Self {
        // A path of a program in a folder for temporary files may not be started.
        let folder = TempDir::new_in(built()).expect("a folder");
        let (_, _, layer) = image(&built().join("layout"));
        let unpacked = Command::new("tar").arg("xpzf").arg(layer).arg("-C").arg(folder.path()).status();
        assert!(unpacked.expect("tar runs").success());
        // Whatever is taken from new files here: the operator's user has to get in.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The operator with no other file than those of the image, as the user of the chart's pods.
    fn operator(&self) -> Command {
        let start =
            "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec chroot $as \"$0\" \"$@\"";
        let (flags, user): (&[&str], _) = if is_root() {
            (&["--mount"], "--userspec=65532:65532 --groups=65532")
        } else {
            (&["--mount", "--map-root-user"], "")
        };
        let mut command = Command::new("unshare");
        command.args(flags).args(["sh", "-c", start]).arg(self.0.path()).arg(format!("/{OPERATOR}"));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("as", user);
        command
    }

    /// The one file of the image whose name starts so.
    fn library(&self, name: &str) -> PathBuf {
        let (_, _, layer) = image(&built().join("layout"));
        let listed = stdout(&Command::new("tar").arg("tzf").arg(layer).output().expect("tar runs"));
        let of_that_name = |path: &&str| path.rsplit('/').next().is_some_and(|last| last.starts_with(name));
        self.path(listed.lines().find(of_that_name).expect("a library"))
    }
}

#[test]
fn what_is_built_in_two_folders_is_the_same_to_the_byte() {
    let elsewhere = TempDir::new_in(built()).expect("a folder");
    let binaries = ["here", "some/where/else"].map(|name| {
        let folder = elsewhere.path().join(name);
        fs::create_dir_all(folder.join("src")).expect("a folder");
        for (file, text) in TINY {
            fs::write(folder.join(file), text).expect("a file");
        }
        // Each folder has a wrapper of its own, as two checkouts have.
        let tools = folder.join("target/tools/bin");
        fs::create_dir_all(&tools).expect("a folder");
        fs::copy(built().join("../../tools/bin/cargo-auditable"), tools.join("cargo-auditable"))
            .expect("a copy");
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").expect("a path"));
        let mut build = Command::new("sh");
        build.args(["-euc", ". \"$0\"; leave_no_folder target; auditable cargo build --locked --release"]);
        build.arg(format!("{ROOT}/deploy/image/cargo.sh")).current_dir(&folder).env("PATH", path);
        for name in ["CARGO_TARGET_DIR", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "CFLAGS"] {
            build.env_remove(name);
        }
        let output = build.output().expect("it runs");
        assert!(output.status.success(), "{}", stderr(&output));
        let binary = folder.join("target/release/tiny");
        let said = stdout(&Command::new(&binary).output().expect("it runs"));
        assert!(said.contains("/build/target/release/build/tiny-"), "{said}");
        assert!(said.contains("/build/place.c"), "{said}");
        fs::read(binary).expect("a binary")
    });
    let text = String::from_utf8_lossy(&binaries[0]);
    assert!(!text.contains(elsewhere.path().to_str().expect("a path")), "the folder is in the binary");
    assert!(text.contains(".dep-v0"), "the binary has no list of crates");
    assert!(binaries[0] == binaries[1], "the binary depends on the folder");
}

#[test]
fn a_folder_whose_name_options_cannot_carry_is_refused_before_the_build() {
    let elsewhere = tempfile::tempdir().expect("a folder");
    for (name, is_taken) in [("plain-1.0_a", true), ("with space", false), ("a=b", false)] {
        let folder = elsewhere.path().join(name);
        fs::create_dir(&folder).expect("a folder");
        let mut shell = Command::new("sh");
        shell.args(["-euc", ". \"$0\"; leave_no_folder target; echo built"]);
        shell.arg(format!("{ROOT}/deploy/image/cargo.sh")).current_dir(&folder);
        let output = shell.output().expect("it runs");
        assert_eq!(stdout(&output) == "built\n", is_taken, "{name}");
        assert_eq!(output.status.success(), is_taken, "{name}");
        let said = format!("{name}\" has a space or = in its name");
        assert_eq!(stderr(&output).contains(&said), !is_taken, "{}", stderr(&output));
    }
}

/// A program of Rust and C that tells where its sources were, one of which the build wrote.
const TINY: [(&str, &str); 5] = [
    (
        "Cargo.toml",
        r#"
[package]
name = "tiny"
version = "0.1.0"
edition = "2024"

[profile.release]
codegen-units = 1
lto = "fat"
strip = "debuginfo"

[workspace]
"#,
    ),
    ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"0.1.0\"\n"),
    ("place.c", "const char *place(void) { return __FILE__; }\n"),
    (
        "build.rs",
        r#"
use std::{env, fs, process::Command};

fn main() {
    let out = env::var("OUT_DIR").expect("a folder");
    fs::write(format!("{out}/made.rs"), "fn made() -> &'static str { file!() }").expect("written");
    let flags = env::var("CFLAGS").expect("flags");
    let source = format!("{}/place.c", env::var("CARGO_MANIFEST_DIR").expect("a folder"));
    let object = format!("{out}/place.o");
    let compiled = Command::new("cc").args(flags.split_whitespace()).args(["-g", "-c", &source, "-o", &object]).status();
    assert!(compiled.expect("cc runs").success());
    let packed = Command::new("ar").args(["crs", &format!("{out}/libplace.a"), &object]).status();
    assert!(packed.expect("ar runs").success());
    println!("cargo:rustc-link-search=native={out}\ncargo:rustc-link-lib=static=place");
}
"#,
    ),
    (
        "src/main.rs",
        r#"
include!(concat!(env!("OUT_DIR"), "/made.rs"));

unsafe extern "C" {
    fn place() -> *const std::ffi::c_char;
}

fn main() {
    println!("{} {:?}", made(), unsafe { std::ffi::CStr::from_ptr(place()) });
}
"#,
    ),
];

#[test]
fn the_program_starts_with_the_loader_and_the_library_of_the_image() {
    let root = Unpacked::new();
    let folder = root.library("libc.so.").parent().expect("a folder").to_owned();
    let output = Command::new(root.library("ld-linux"))
        .arg("--library-path")
        .arg(folder)
        .arg(root.path(OPERATOR))
        .arg("--version")
        .env_clear()
        .output()
        .expect("the loader runs");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains(env!("CARGO_PKG_VERSION")), "{}", stdout(&output));
}

#[test]
fn the_same_input_makes_the_same_image_in_another_folder_at_another_time() {
    let (digest, config, _) = image(&built().join("layout"));
    let elsewhere = TempDir::new_in(built()).expect("a folder");
    let binary = elsewhere.path().join("moved");
    fs::copy(built().join("whatsapp-operator"), &binary).expect("a copy");
    let sysroot =
        Command::new("rustc").args(["--print", "sysroot"]).current_dir(ROOT).output().expect("rustc runs");
    let created: jiff::Timestamp = config["created"].as_str().expect("a time").parse().expect("a time");
    let revision =
        config["config"]["Labels"]["org.opencontainers.image.revision"].as_str().unwrap_or_default();
    let make = |epoch: i64, out: &str| {
        let output = tool("image")
            .arg("-binary")
            .arg(&binary)
            .arg("-metadata")
            .arg(built().join("metadata.json"))
            .args(["-licence", &format!("{ROOT}/LICENSE"), "-sysroot", stdout(&sysroot).trim()])
            .args(["-epoch", &epoch.to_string(), "-revision", revision, "-out", out])
            .current_dir(elsewhere.path())
            .env("TZ", "Asia/Tokyo")
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).trim().to_owned()
    };
    assert_eq!(make(created.as_second(), "again"), digest);
    assert_ne!(make(created.as_second() + 1, "later"), digest, "the time of the source is part of it");

    let blobs = elsewhere.path().join("again/layout/blobs/sha256");
    for blob in fs::read_dir(blobs).expect("blobs") {
        let path = blob.expect("a blob").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(sha256(&fs::read(&path).expect("a blob")), name);
    }
}

#[test]
fn a_binary_that_does_not_say_what_is_in_it_makes_no_image() {
    let elsewhere = TempDir::new_in(built()).expect("a folder");
    let output = tool("image")
        .args(["-binary", env!("CARGO_BIN_EXE_whatsapp-operator"), "-out"])
        .arg(elsewhere.path())
        .output()
        .expect("it runs");
    assert!(!output.status.success());
    assert!(stderr(&output).contains("build it with cargo auditable"), "{}", stderr(&output));
}

#[test]
fn the_image_fits_the_chart() {
    let (_, config, _) = image(&built().join("layout"));
    let values = read(format!("{ROOT}/charts/whatsapp-operator/values.yaml"));
    let pod = |key: &str| {
        let line = values.lines().find_map(|line| line.trim().strip_prefix(key)).expect("it is set");
        line.trim().to_owned()
    };
    assert_eq!(config["config"]["User"], format!("{}:{}", pod("runAsUser:"), pod("runAsGroup:")));
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    // The chart gives arguments and no command.
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!([format!("/{OPERATOR}")]));
    let deployment = read(format!("{ROOT}/charts/whatsapp-operator/templates/deployment.yaml"));
    assert!(deployment.contains("args:\n            - run\n") && !deployment.contains("command:"));
    // What a bundle of the chart is trusted beside.
    assert!(deployment.contains("value: /etc/ssl/certs:") && AUTHORITIES.starts_with("etc/ssl/certs/"));
}

#[test]
fn nothing_is_in_the_image_but_what_the_page_names() {
    let (_, config, layer) = image(&built().join("layout"));
    let listed = Command::new("tar").args(["tvzf"]).arg(layer).args(["--utc", "--full-time"]).output();
    let listed = stdout(&listed.expect("tar runs"));
    let created = config["created"].as_str().expect("a time").replace('T', " ");
    let page = read(format!("{ROOT}/docs/image.md"));
    for line in listed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [mode, owner, _, day, time, name] = words[..] else { panic!("{line}") };
        assert_eq!(owner, "0/0", "{line}");
        assert_eq!(format!("{day} {time}Z"), created, "{line}");
        let program = name == OPERATOR || name.starts_with("lib");
        let wanted = match name.ends_with('/') {
            true => "drwxr-xr-x",
            false if program => "-rwxr-xr-x",
            false => "-rw-r--r--",
        };
        assert_eq!(mode, wanted, "{line}");
        let is_named = page.contains(&format!("`/{name}`"))
            || Path::new(name).ancestors().any(|folder| page.contains(&format!("`/{}/`", folder.display())));
        assert!(name.ends_with('/') || is_named, "docs/image.md does not name /{name}");
    }
    assert!(listed.lines().count() > 20, "{listed}");
}

#[test]
fn each_crate_in_the_binary_is_listed_with_its_licence_and_the_text_of_it() {
    let root = Unpacked::new();
    let list = read(root.path(&format!("{DOCUMENTS}/sbom.cdx.json")));
    assert_eq!(list, read(built().join("sbom.cdx.json")), "the one beside the layout is the same");
    let list = json(&list);
    assert_eq!((&list["bomFormat"], &list["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    assert!(list.get("serialNumber").is_none(), "it would be another one each time");
    let binary = sha256(&fs::read(root.path(OPERATOR)).expect("the binary"));
    assert_eq!(list["metadata"]["component"]["hashes"][0]["content"], binary);

    let components = list["components"].as_array().expect("components");
    let notice = read(root.path(&format!("{DOCUMENTS}/NOTICE")));
    // Above each text stand the crates that have it.
    let texts: Vec<Vec<&str>> = notice
        .split(&format!("\n{}\n", "=".repeat(80)))
        .map(|text| text.lines().take_while(|line| !line.is_empty()).collect())
        .collect();
    let mut listed = BTreeMap::new();
    for component in components {
        let text = |key: &str| component[key].as_str().unwrap_or_default();
        if component["scope"] == "required" && text("purl").starts_with("pkg:cargo/") {
            let name = format!("{} {}", text("name"), text("version"));
            let expression = component["licenses"][0]["expression"].as_str().expect("a licence");
            let count = texts.iter().filter(|users| users.contains(&name.as_str())).count();
            assert!(
                count >= expression.split(" AND ").count(),
                "{name}, {expression}: {count} in the notice"
            );
            listed.insert(text("name").to_owned(), text("version").to_owned());
        }
    }
    // What cargo says without the list in the binary: all that it links, and nothing that only tests need.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo)
        .args(["tree", "--locked", "--offline", "--edges", "normal,no-proc-macro", "--prefix", "none"])
        .args(["--format", "{p}"])
        .current_dir(ROOT)
        .output()
        .expect("cargo runs");
    let tree = stdout(&tree);
    let linked: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(linked.len() > 150, "{tree}");
    let missing: Vec<_> =
        linked.iter().filter(|name| **name != "whatsapp-operator" && !listed.contains_key(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(!listed.contains_key("proptest") && !listed.contains_key("rcgen"));
    // C code that is in crates, what others gave to crates, and what is no crate.
    for words in [
        "Jason Evans",
        "the fiat-crypto authors",
        "BoringSSL",
        "Unicode, Inc.",
        "Copyright (c) 2013, Julien Schmidt",
        "Copyright (c) 2015 Chen Yuheng",
        "Copyright (c) 2023 Ethiraric",
        "LLVM Exceptions",
    ] {
        assert!(notice.contains(words), "{words}");
    }
    for beside in ["pkg:deb/", "pkg:generic/rust-std@", "pkg:golang/golang.org/x/crypto/x509roots/fallback@"]
    {
        assert!(
            components.iter().any(|c| c["purl"].as_str().unwrap_or_default().starts_with(beside)),
            "{beside}"
        );
    }
}

#[test]
fn the_authorities_of_the_image_are_certificates_of_many() {
    let bundle = fs::read(Unpacked::new().path(AUTHORITIES)).expect("the bundle");
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&bundle).collect::<Result<_, _>>().expect("certificates");
    let count = certificates.len();
    let (trusted, ignored) = RootCertStore::empty().add_parsable_certificates(certificates);
    assert_eq!((trusted, ignored), (count, 0));
    assert!(count > 100, "{count}");
}

/// These change the root of a process. `make test` leaves them out, and says so, where the machine lets nobody do that.
mod rooted {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_operator_works_with_the_files_of_the_image_alone() {
        let root = Unpacked::new();
        let mut rig = Rig::with_portfolio("image").await;
        let kubeconfig = rig.plane.service_account_kubeconfig(&rig.namespace, rig.account_name()).await;
        fs::copy(kubeconfig, root.path("kubeconfig")).expect("a copy");
        make_readable(&root.path("kubeconfig"));
        let mut command = root.operator();
        let health = free_address();
        command
            .env("KUBECONFIG", "/kubeconfig")
            .args(["run", "--namespace", &rig.namespace, "--graph-url", &rig.graph_url])
            .args(["--health-listen", &health.to_string()]);
        let mut operator = Process::spawn(command, root.path("log")).expect("it starts");
        rig.until_serving(health).await;
        rig.until_condition_of("wap", "acme", "Ready", "True", None).await;

        let status = read(format!("/proc/{}/status", operator.id()));
        if is_root() {
            assert!(status.contains("\nUid:\t65532\t65532\t65532\t65532\n"), "{status}");
            assert!(status.contains("\nGid:\t65532\t65532\t65532\t65532\n"), "{status}");
        }
        operator.terminate();
        let ended = operator.wait(Duration::from_secs(30)).await.expect("it ends");
        assert!(ended.success(), "{ended}: {}", operator.output());
        rig.start().await;
    }

    /// A pod gets to its API server by two variables and three files, and by no proxy. The kubelet replaces its token.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_operator_finds_its_api_server_as_in_a_pod_and_takes_a_token_that_is_replaced() {
        let (root, rig) = (Unpacked::new(), Rig::with_portfolio("pod").await);
        let account = root.path("var/run/secrets/kubernetes.io/serviceaccount");
        fs::create_dir_all(&account).expect("a folder");
        // Whatever is taken from new folders here, the operator's user has to get in.
        for folder in account.ancestors().take(5) {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        let put = |file: &str, text: &str| {
            let (new, file) = (account.join("..new"), account.join(file));
            fs::write(&new, text).expect("a file");
            make_readable(&new);
            fs::rename(new, file).expect("it is replaced at once");
        };
        // A token ends with the object that it is bound to.
        rig.secret("first", serde_json::json!({})).await;
        let token = async |more: &[&str]| {
            let ask = ["create", "token", rig.account_name(), "--namespace", &rig.namespace];
            let output = rig.plane.kubectl([&ask[..], more].concat()).await;
            assert!(output.status.success(), "{}", stderr(&output));
            stdout(&output).trim().to_owned()
        };
        put("token", &token(&["--bound-object-kind=Secret", "--bound-object-name=first"]).await);
        put("ca.crt", &read(rig.plane.dir().join("ca.crt")));
        put("namespace", &rig.namespace);

        let (mut command, health) = (root.operator(), free_address());
        let (host, port) = rig.plane.url().trim_start_matches("https://").rsplit_once(':').expect("a port");
        command
            .envs([("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port)])
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .args(["run", "--namespace", &rig.namespace, "--graph-url", &rig.graph_url])
            .args(["--health-listen", &health.to_string()]);
        let mut operator = Process::spawn(command, root.path("log")).expect("it starts");
        rig.until_serving(health).await;
        rig.until_condition_of("wap", "acme", "Ready", "True", None).await;

        let delete = ["delete", "secret", "first", "--namespace", &rig.namespace];
        assert!(rig.plane.kubectl(delete).await.status.success());
        // The API server remembers for ten seconds whom it knew.
        tokio::time::sleep(Duration::from_secs(12)).await;
        rig.channel("support", "+5511912345678", serde_json::json!({})).await;
        let refused = "the token of this process has expired";
        assert!(operator.wait_for_output(refused, Duration::from_secs(60)).await, "{}", operator.output());
        put("token", &token(&[]).await);
        // kube reads the file about once a minute, and who was refused waits before the next try.
        let works = |status: &Value| status["stage"] == "Verifying";
        rig.until("support", "work with the new token", Duration::from_secs(150), works).await;
        operator.terminate();
        let ended = operator.wait(Duration::from_secs(30)).await.expect("it ends");
        assert!(ended.success(), "{ended}: {}", operator.output());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_is_not_in_the_bundle_of_the_image_is_not_trusted() {
        let desk = Desk::new().await;
        let network = Network::before(desk.url.trim_start_matches("http://").to_owned()).await;
        let root = Unpacked::new();
        fs::write(root.path("token"), TOKEN).expect("a file");
        make_readable(&root.path("token"));
        let import = || {
            let mut command = root.operator();
            command
                .env("HTTPS_PROXY", &network.proxy)
                .args(["import", "--business", BUSINESS, "--token-file", "acme=/token"])
                .args(["--graph-url", &format!("https://{HOST}")])
                .stdin(Stdio::null());
            command.output().expect("it runs")
        };
        let refused = import();
        assert_ne!(refused.status.code(), Some(0));
        assert!(stderr(&refused).contains("invalid peer certificate"), "{}", stderr(&refused));

        let bundle = read(root.path(AUTHORITIES)) + &network.authority;
        fs::write(root.path(AUTHORITIES), bundle).expect("a file");
        let trusted = import();
        assert_eq!(trusted.status.code(), Some(0), "{}", stderr(&trusted));
    }

    /// The authority of one network is in the image's bundle, and that of the other one where the chart mounts its own.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_bundle_of_the_chart_is_trusted_beside_that_of_the_image() {
        let desk = Desk::new().await;
        let server = desk.url.trim_start_matches("http://").to_owned();
        let (of_image, of_chart) = (Network::before(server.clone()).await, Network::before(server).await);
        let root = Unpacked::new();
        fs::write(root.path("token"), TOKEN).expect("a file");
        make_readable(&root.path("token"));
        let bundle = read(root.path(AUTHORITIES)) + &of_image.authority;
        fs::write(root.path(AUTHORITIES), bundle).expect("a file");
        let folders = trusted_folders();
        let own = root.path(folders[1].trim_start_matches('/'));
        mounted(&own, &of_chart.authority);
        for folder in own.ancestors().take(2).chain([own.join("..2026_01_01").as_path()]) {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        make_readable(&own.join("ca.crt"));
        for network in [&of_image, &of_chart] {
            let mut command = root.operator();
            command
                .env("HTTPS_PROXY", &network.proxy)
                .env("SSL_CERT_DIR", folders.join(":"))
                .args(["import", "--business", BUSINESS, "--token-file", "acme=/token"])
                .args(["--graph-url", &format!("https://{HOST}")])
                .stdin(Stdio::null());
            let output = command.output().expect("it runs");
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_takes_the_image_under_its_digest() {
    let (digest, _, _) = image(&built().join("layout"));
    let folder = tempfile::tempdir().expect("a folder");
    let address = free_address().to_string();
    let mut serve = tool("crane");
    serve.args(["registry", "serve", "--address", &address]).env("HOME", folder.path());
    let mut registry = Process::spawn(serve, folder.path().join("log")).expect("a registry");
    assert!(registry.wait_for_output("serving on", Duration::from_secs(30)).await, "{}", registry.output());

    let name = format!("{address}/whatsapp-operator:0.2.0");
    let run = |args: &[&str]| {
        let output =
            tool("crane").args(args).arg(&name).env("HOME", folder.path()).output().expect("it runs");
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        stdout(&output).trim().to_owned()
    };
    run(&["push", &built().join("layout").display().to_string()]);
    assert_eq!(run(&["digest"]), digest);
}

fn is_root() -> bool {
    stdout(&Command::new("id").arg("-u").output().expect("id runs")).trim() == "0"
}

/// The operator runs as a user of its own, and a kubeconfig is its owner's alone.
fn make_readable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("it is ours");
}
