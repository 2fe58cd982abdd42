//! The plugin as krew installs it: archives, their sums, and the manifest, judged by krew itself.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::cli::{stderr, stdout};
use crate::control_plane;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const URL: &str = "https://downloads.example/v0.2.0";
const PLATFORMS: [&str; 2] = ["amd64", "arm64"];

fn said(output: &Output) -> String {
    format!("{}{}", stdout(output), stderr(output))
}

/// Packs a program that says for which platform it was made, as `make plugin` packs the real ones.
fn pack(folder: &Path, url: &str) -> Output {
    let made = folder.join("made");
    fs::create_dir_all(&made).expect("a folder");
    let binaries = PLATFORMS.map(|arch| {
        let path = made.join(arch);
        fs::write(&path, format!("#!/bin/sh\necho made for {arch}: $*\n")).expect("written");
        format!("linux/{arch}={}", path.display())
    });
    Command::new(Path::new(ROOT).join("deploy/krew/pack.sh"))
        .args(["v0.2.0", url, &folder.join("out").display().to_string()])
        .args(binaries)
        .output()
        .expect("it runs")
}

fn archive(folder: &Path, arch: &str) -> std::path::PathBuf {
    folder.join(format!("out/kubectl-whatsapp_v0.2.0_linux_{arch}.tar.gz"))
}

/// What krew's own repository of plugins asks of a manifest.
fn judged(manifest: &Path) -> Output {
    let judge = control_plane::tool("validate-krew-manifest").expect("krew's judge");
    Command::new(judge).arg("-skip-install").arg("-manifest").arg(manifest).output().expect("it runs")
}

fn install(folder: &Path, arch: &str) -> Output {
    Command::new(control_plane::tool("kubectl-krew").expect("krew"))
        .args(["install", "--manifest"])
        .arg(folder.join("out/whatsapp.yaml"))
        .arg("--archive")
        .arg(archive(folder, arch))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs([("KREW_OS", "linux"), ("KREW_ARCH", arch), ("KREW_NO_UPGRADE_CHECK", "1")])
        .env("KREW_ROOT", folder.join(format!("krew-{arch}")))
        .output()
        .expect("krew runs")
}

#[test]
fn krew_takes_the_manifest_and_installs_what_was_packed_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let packed = pack(dir.path(), URL);
    assert!(packed.status.success(), "{}", said(&packed));
    let manifest = dir.path().join("out/whatsapp.yaml");
    let verdict = judged(&manifest);
    assert!(verdict.status.success(), "{}", said(&verdict));
    for arch in PLATFORMS {
        let installed = install(dir.path(), arch);
        assert!(installed.status.success(), "{}", said(&installed));
        let root = dir.path().join(format!("krew-{arch}"));
        let ran = Command::new(root.join("bin/kubectl-whatsapp")).arg("status").output().expect("it runs");
        assert_eq!(stdout(&ran), format!("made for {arch}: status\n"));
        assert!(root.join("store/whatsapp/v0.2.0/LICENSE").is_file());
    }
    let text = fs::read_to_string(&manifest).expect("a manifest");
    let uri = format!("uri: \"{URL}/kubectl-whatsapp_v0.2.0_linux_arm64.tar.gz\"");
    assert!(text.contains(&uri) && !text.contains('@'), "{text}");

    // Somebody changed an archive where it is downloaded from.
    fs::copy(archive(dir.path(), "amd64"), archive(dir.path(), "arm64")).expect("copied");
    fs::remove_dir_all(dir.path().join("krew-arm64")).expect("removed");
    let refused = install(dir.path(), "arm64");
    assert!(!refused.status.success(), "{}", said(&refused));
    assert!(stderr(&refused).contains("checksum does not match"), "{}", said(&refused));
}

#[test]
fn the_same_binaries_make_the_same_archives_on_any_day() {
    let [one, other] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    for dir in [&one, &other] {
        let packed = pack(dir.path(), URL);
        assert!(packed.status.success(), "{}", said(&packed));
        // Times in an archive have whole seconds.
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }
    for name in ["kubectl-whatsapp_v0.2.0_linux_amd64.tar.gz", "whatsapp.yaml", "SHA256SUMS"] {
        let read = |dir: &tempfile::TempDir| fs::read(dir.path().join("out").join(name)).expect("a file");
        assert!(read(&one) == read(&other), "{name} differs");
    }
}

#[test]
fn no_manifest_without_an_archive_and_its_address() {
    let verdict = judged(&Path::new(ROOT).join("deploy/krew/whatsapp.yaml"));
    assert!(!verdict.status.success() && stderr(&verdict).contains("@VERSION@"), "{}", said(&verdict));
    let dir = tempfile::tempdir().expect("a folder");
    for url in ["", "http://downloads.example"] {
        let packed = pack(dir.path(), url);
        assert!(!packed.status.success(), "{}", said(&packed));
        assert!(stderr(&packed).contains("no address to download from"), "{}", said(&packed));
    }
    let gone = Command::new(Path::new(ROOT).join("deploy/krew/pack.sh"))
        .args(["v0.2.0", URL, &dir.path().join("out").display().to_string(), "linux/amd64=/nowhere"])
        .output()
        .expect("it runs");
    assert!(stderr(&gone).contains("there is no file /nowhere for linux/amd64"), "{}", said(&gone));
    assert!(!dir.path().join("out/whatsapp.yaml").exists());
}
