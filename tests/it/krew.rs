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
    fs::write(made.join("NOTICE"), "What others ask to be told.").expect("written");
    let binaries = PLATFORMS.map(|arch| {
        let path = made.join(arch);
        fs::write(&path, format!("#!/bin/sh\necho made for {arch}: $*\n")).expect("written");
        format!("linux/{arch}={}", path.display())
    });
    Command::new(Path::new(ROOT).join("deploy/krew/pack.sh"))
        .args(["--stand-ins", "v0.2.0", url])
        .args([folder.join("out"), made])
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
        for text in ["LICENSE", "NOTICE"] {
            assert!(root.join("store/whatsapp/v0.2.0").join(text).is_file(), "{text}");
        }
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

/// The program itself, packed by the same script, out of the archive and under the name that kubectl looks for.
#[test]
fn the_plugin_starts_out_of_its_archive() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("NOTICE"), "What others ask to be told.").expect("written");
    let native = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let packed = Command::new(Path::new(ROOT).join("deploy/krew/pack.sh"))
        .args(["--stand-ins", "v0.2.0", URL])
        .args([dir.path().join("out"), dir.path().to_owned()])
        .arg(format!("linux/{native}={}", env!("CARGO_BIN_EXE_whatsapp-operator")))
        .output()
        .expect("it runs");
    assert!(packed.status.success(), "{}", said(&packed));
    let installed = install(dir.path(), native);
    assert!(installed.status.success(), "{}", said(&installed));
    let plugin = dir.path().join(format!("krew-{native}/bin/kubectl-whatsapp"));
    for (args, told) in
        [(&["--help"][..], "Usage: kubectl whatsapp <COMMAND>"), (&["lint", "-f", "examples"], "0 errors")]
    {
        let ran = Command::new(&plugin).args(args).current_dir(ROOT).env_clear().output().expect("it runs");
        assert_eq!(ran.status.code(), Some(0), "{args:?}: {}", said(&ran));
        assert!(stdout(&ran).contains(told), "{args:?}: {}", said(&ran));
    }
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
    for url in ["", "http://downloads.example", "https://downloads.example/get?file=", "https://a.example/|/"]
    {
        let packed = pack(dir.path(), url);
        assert!(!packed.status.success(), "{}", said(&packed));
        assert!(stderr(&packed).contains("no address to download from"), "{}", said(&packed));
    }
    let refused = pack_real(dir.path(), "amd64", Path::new("/nowhere"));
    assert!(refused.contains("/NOTICE: make plugin writes it"), "{refused}");
    fs::write(dir.path().join("NOTICE"), "What others ask to be told.").expect("written");
    let refused = pack_real(dir.path(), "amd64", Path::new("/nowhere"));
    assert!(refused.contains("there is no file /nowhere for linux/amd64"), "{refused}");
    for (more, why) in [
        ("linux/amd64=LICENSE", "linux/amd64 is named twice"),
        ("darwin=LICENSE", "\"darwin=LICENSE\" names no binary of a platform"),
        ("LICENSE", "\"LICENSE\" names no binary of a platform"),
        ("windows/amd64=LICENSE", "there is no plugin for windows: say linux or darwin"),
        ("darwin/arm64=nowhere", "there is no file nowhere for darwin/arm64"),
    ] {
        let refused = make_plugin(more);
        assert!(refused.contains(why), "{refused}");
    }
}

/// What `make plugin` says before it builds anything, where that is refused.
fn make_plugin(more: &str) -> String {
    let output = Command::new(Path::new(ROOT).join("deploy/krew/build.sh"))
        .env("URL", URL)
        .env("MORE", more)
        .output()
        .expect("it runs");
    let said = said(&output);
    assert!(!output.status.success() && !said.contains("installing") && !said.contains("building"), "{said}");
    said
}

/// What is said when a program is packed as `make plugin` does it, and is refused.
fn pack_real(folder: &Path, arch: &str, binary: &Path) -> String {
    let output = Command::new(Path::new(ROOT).join("deploy/krew/pack.sh"))
        .args(["v0.2.0", URL])
        .args([folder.join("out"), folder.to_owned()])
        .arg(format!("linux/{arch}={}", binary.display()))
        .output()
        .expect("it runs");
    assert_eq!(output.status.success(), folder.join("out/whatsapp.yaml").exists(), "{}", said(&output));
    stderr(&output)
}

/// On other systems there may be no readelf.
#[cfg(target_os = "linux")]
#[test]
fn only_what_runs_on_each_linux_of_its_processor_is_packed_for_it() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("NOTICE"), "What others ask to be told.").expect("written");
    let script = dir.path().join("script");
    fs::write(&script, "#!/bin/sh\n").expect("written");
    let refused = pack_real(dir.path(), "amd64", &script);
    assert!(refused.contains("is no ELF file"), "{refused}");

    let native = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let other = if native == "amd64" { "arm64" } else { "amd64" };
    let dynamic = Path::new(env!("CARGO_BIN_EXE_whatsapp-operator"));
    let refused = pack_real(dir.path(), native, dynamic);
    assert!(refused.contains("is not static"), "{refused}");
    let refused = pack_real(dir.path(), other, dynamic);
    assert!(refused.contains(&format!("another processor than linux/{other}")), "{refused}");

    let (source, still) = (dir.path().join("still.c"), dir.path().join("still"));
    fs::write(&source, "void _start(void) { for (;;) {} }\n").expect("written");
    let linked = Command::new("cc").args(["-static", "-nostdlib", "-o"]).args([&still, &source]).status();
    assert!(linked.expect("cc runs").success());
    assert_eq!(pack_real(dir.path(), native, &still), "");
    // A manifest of before does not stay for what is refused now.
    assert!(pack_real(dir.path(), native, &script).contains("is no ELF file"));
}
