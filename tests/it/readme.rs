//! The README's commands are run, in its order and as they are written, on a real API server. So its examples work, and
//! they need nothing that it does not mention.
//!
//! Three things differ from a reader's machine. `cargo install` takes the binary that is built for the tests, as a
//! release build takes minutes; addresses are free ones; and no container is built and no pod runs.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::control_plane::{ControlPlane, Options, Process};
use crate::docs::commands;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Where the README has the sandbox listen.
const SANDBOX: &str = "127.0.0.1:8088";
/// How long a program may take to start, and to end when it is asked to.
const SOON: Duration = Duration::from_secs(30);

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// A reader with a shell, who runs the commands of the README.
struct Reader<'a> {
    plane: &'a ControlPlane,
    home: PathBuf,
    sandbox: SocketAddr,
    health: SocketAddr,
    /// What runs in the other terminals.
    terminals: Vec<Process>,
    /// What the last command printed.
    seen: String,
}

impl<'a> Reader<'a> {
    /// Has kubectl, helm and cargo, and nothing of ours.
    fn new(plane: &'a ControlPlane) -> Self {
        let home = plane.dir().join("home");
        let tools = home.join("tools");
        fs::create_dir_all(&tools).expect("a folder");
        fs::write(home.join("environment"), "").expect("a file");
        for name in ["kubectl", "helm"] {
            symlink(plane.binary(name), tools.join(name)).expect("a link");
        }
        let install = format!(
            "#!/bin/sh\n[ \"$*\" = \"install --locked --path . --root $HOME/.local\" ] || exit 64\n\
             mkdir -p \"$HOME/.local/bin\" && ln -s '{}' \"$HOME/.local/bin/\"\n",
            env!("CARGO_BIN_EXE_whatsapp-operator")
        );
        let cargo = tools.join("cargo");
        fs::write(&cargo, install).expect("a script");
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("it can be run");
        Self {
            plane,
            home,
            sandbox: free_address(),
            health: free_address(),
            terminals: Vec::new(),
            seen: String::new(),
        }
    }

    /// A shell that knows what earlier lines exported.
    fn shell(&self, line: &str) -> Command {
        let environment = self.home.join("environment").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let line = line.replace(SANDBOX, &self.sandbox.to_string());
        let script = format!(". {environment}\n{line}\nended=$?\nexport -p >{environment}\nexit $ended");
        let mut command = Command::new("sh");
        command
            .args(["-c", &script])
            .current_dir(ROOT)
            .env_clear()
            .env("PATH", format!("{}:{path}", self.home.join("tools").display()))
            .env("HOME", &self.home)
            .env("KUBECONFIG", self.plane.admin_kubeconfig())
            .env("WHATSAPP_OPERATOR_HEALTH_LISTEN", self.health.to_string());
        command
    }

    fn run(&mut self, line: &str) -> Output {
        let mut command = self.shell(line);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell runs");
        let typed: String = if line.starts_with("kubectl whatsapp code ") {
            self.seen.chars().filter(char::is_ascii_digit).collect()
        } else {
            String::new()
        };
        let mut input = child.stdin.take().expect("a pipe");
        // A command that reads nothing may have closed it.
        let _ = std::io::Write::write_all(&mut input, typed.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("a shell ends");
        self.seen = String::from_utf8_lossy(&output.stdout).into_owned();
        output
    }

    /// Runs a line in a terminal of its own, until Ctrl-C.
    fn open(&mut self, line: &str) {
        let log = self.home.join(format!("terminal-{}", self.terminals.len()));
        self.terminals.push(Process::spawn(self.shell(&format!("exec {line}")), log).expect("a terminal"));
    }

    async fn ctrl_c(&mut self) {
        for mut terminal in self.terminals.drain(..) {
            terminal.terminate();
            let ended = terminal.wait(SOON).await.expect("it ends");
            assert!(ended.success(), "{ended}: {}", terminal.output());
        }
    }

    fn terminals(&self) -> String {
        self.terminals.iter().map(Process::output).collect::<Vec<_>>().join("\n---\n")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_readme_works() {
    // Helm owns what it installs, so it gets a control plane on which nobody else installed the chart.
    let plane = ControlPlane::start(Options::default()).await.expect("a control plane");
    let mut reader = Reader::new(&plane);
    for ours in ["whatsapp-operator", "kubectl-whatsapp"] {
        assert!(!reader.run(&format!("command -v {ours}")).status.success(), "{ours} is there already");
    }
    let makefile = read("Makefile");
    let lines = commands("README.md");
    let mut done = BTreeSet::new();
    for line in &lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["make", verb] => {
                assert!(makefile.contains(&format!("\n{verb}:")), "{line}: no such verb");
                continue;
            }
            // The tests of the image push it to a registry of theirs.
            ["target/tools/bin/crane", "push", "target/image/release/layout", _] => continue,
            ["whatsapp-operator", "sandbox", ..] => {
                reader.open(line);
                let sandbox = reader.terminals.last_mut().expect("just opened");
                assert!(sandbox.wait_for_output("/control\n", SOON).await, "{line}\n{}", sandbox.output());
                continue;
            }
            ["whatsapp-operator", "run", ..] => {
                reader.open(line);
                continue;
            }
            ["kubectl", "delete", ..] => reader.ctrl_c().await,
            _ => {}
        }
        let output = reader.run(line);
        let wanted = if line.starts_with("whatsapp-operator plan") { 2 } else { 0 };
        assert_eq!(
            output.status.code(),
            Some(wanted),
            "{line}\n{}{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            reader.terminals()
        );
        done.extend(words.iter().take(3).map(|word| (*word).to_owned()));
    }
    for word in ["install", "lint", "plan", "send-code", "code", "status", "wait", "helm"] {
        assert!(done.contains(word), "the README no longer shows {word}");
    }
    let image = "kubectl get deployment whatsapp-operator --namespace whatsapp-operator \
                 --output jsonpath='{.spec.template.spec.containers[0].image}'";
    assert_eq!(
        String::from_utf8_lossy(&reader.run(image).stdout),
        "registry.acme.example/whatsapp-operator:0.2.0"
    );
    plane.stop().await;
}

/// The binary that `cargo install` takes in these tests is no excuse for flags that cargo does not know.
#[test]
fn cargo_takes_the_flags_of_the_readme() {
    let install =
        commands("README.md").into_iter().find(|line| line.starts_with("cargo install ")).expect("shown");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let help = Command::new(cargo).args(["install", "--help"]).output().expect("cargo runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for flag in install.split_whitespace().filter(|word| word.starts_with("--")) {
        assert!(help.contains(flag), "{flag}");
    }
}

#[test]
fn the_example_waits_for_what_the_readme_waits_for() {
    let lines = commands("README.md");
    let action = lines.iter().find_map(|line| line.split("waitingFor[0].action}'=").nth(1));
    let action = action.and_then(|rest| rest.split(' ').next()).expect("the README waits for somebody");
    assert!(whatsapp_operator::engine::action::Action::from_name(action).is_some(), "{action} is no action");
    let example = read("examples/mobile-sms.yaml");
    let place = |word: &str| example.find(word).unwrap_or_else(|| panic!("{word} is not in the example"));
    assert!(place(action) < place("EnterCode"), "the example begins with another wait than {action}");
}
