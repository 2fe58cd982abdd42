//! The README's commands are run, in its order, on a real API server: what it shows is what works.
//!
//! No pod runs here, so what follows the install shows a channel that nobody has seen yet; `cli.rs` and the demo take
//! the same commands to Ready.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::control_plane::{ControlPlane, Options};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The lines of every `sh` block of a page.
fn commands(page: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(ROOT).join(page)).expect("the page is there");
    text.split("```sh\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .flat_map(str::lines)
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// A folder with the binary under both of its names, and the tools of the control plane.
fn tools(plane: &ControlPlane) -> PathBuf {
    let dir = plane.dir().join("bin");
    fs::create_dir_all(&dir).expect("a folder");
    let binary = Path::new(env!("CARGO_BIN_EXE_whatsapp-operator"));
    for (name, target) in [
        ("whatsapp-operator", binary.to_owned()),
        ("kubectl-whatsapp", binary.to_owned()),
        ("kubectl", plane.binary("kubectl")),
        ("helm", plane.binary("helm")),
    ] {
        symlink(target, dir.join(name)).expect("a link");
    }
    dir
}

fn run(plane: &ControlPlane, tools: &Path, line: &str) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("sh")
        .args(["-c", line])
        .current_dir(ROOT)
        .env("PATH", format!("{}:{path}", tools.display()))
        .env("KUBECONFIG", plane.admin_kubeconfig())
        .env("HELM_CONFIG_HOME", plane.dir().join("helm"))
        .env("HELM_CACHE_HOME", plane.dir().join("helm"))
        .env("HELM_DATA_HOME", plane.dir().join("helm"))
        .env("TOKEN", "made-up")
        .env("APP_SECRET", "made-up")
        .output()
        .expect("a shell runs")
}

#[tokio::test]
async fn every_command_of_the_readme_works() {
    // Helm owns what it installs, so it gets a control plane on which nobody else installed the chart.
    let plane = ControlPlane::start(Options::default()).await.expect("a control plane");
    let tools = tools(&plane);
    let makefile = fs::read_to_string(Path::new(ROOT).join("Makefile")).expect("the Makefile");
    let lines = commands("README.md");
    assert!(lines.len() > 10, "{lines:?}");
    for line in lines {
        if let Some(verb) = line.strip_prefix("make ") {
            assert!(makefile.contains(&format!("\n{verb}:")), "{line}: no such verb");
            continue;
        }
        let output = run(&plane, &tools, &line);
        let wanted = if line.starts_with("whatsapp-operator plan") { 2 } else { 0 };
        assert_eq!(
            output.status.code(),
            Some(wanted),
            "{line}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    plane.stop().await;
}
