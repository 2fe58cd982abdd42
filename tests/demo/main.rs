//! The demo: a real API server, the chart installed by helm, its two replicas as processes with the chart's account, a
//! simulated Meta, and people.
//!
//! One person holds the phones and types the codes, one reviews names at Meta, and one changes settings there behind the
//! operator's back. One replica is killed. Everything else is what a user runs: the chart, the files of `examples/`, kubectl and the
//! command line with an editor's rights. What is told is looked up at the simulated Meta first, and ends the demo where
//! it is not so. `KEEP=1` leaves it all running until Ctrl-C.

#[path = "../it/control_plane.rs"]
mod control_plane;
mod life;
mod stage;

use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use whatsapp_operator::sandbox::Sandbox;

use control_plane::{ControlPlane, Options as PlaneOptions, Process};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const NAMESPACE: &str = "demo";
const OPERATOR: &str = "whatsapp-operator";
const EDITOR: &str = "editor";
/// Every wait of the demo ends by then, or the demo says what it was waiting for.
const PATIENCE: Duration = Duration::from_secs(75);

/// Numbers that are added, with the verdict of the person who reviews names.
const REVIEWS: &[(&str, &str, &str)] = &[
    ("support-br", "5511912345678", "approve"),
    ("office-berlin", "493023125001", "approve"),
    ("bot-br", "5511934567890", "approve"),
    ("front-desk", "447700900456", "approve"),
    ("deals-br", "5511923456789", "decline"),
];

type Result<T> = std::result::Result<T, String>;

#[tokio::main]
async fn main() -> ExitCode {
    whatsapp_operator::meta::transport::install_crypto();
    let started = Instant::now();
    match Demo::start(started).await {
        Err(error) => fail(&error),
        Ok(mut demo) => {
            let played = demo.play().await;
            if let Err(error) = &played {
                eprintln!("\n{}", demo.last_log_lines());
                fail(error);
            }
            if std::env::var_os("KEEP").is_some_and(|keep| !keep.is_empty() && keep != "0") {
                demo.keep().await;
            }
            demo.say("stopping everything that was started");
            demo.stop().await;
            if played.is_ok() {
                println!("done in {} s", started.elapsed().as_secs());
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("the demo failed: {error}");
    ExitCode::FAILURE
}

struct Demo {
    started: Instant,
    plane: ControlPlane,
    sandbox: Sandbox,
    meta: SocketAddr,
    http: reqwest::Client,
    stop: CancellationToken,
    replicas: Vec<Replica>,
    log: PathBuf,
    editor: PathBuf,
    binary: PathBuf,
}

/// What a pod of the chart runs, as a process of this machine.
struct Replica {
    process: Process,
    health: SocketAddr,
}

impl Demo {
    async fn start(started: Instant) -> Result<Self> {
        let binary = binary()?;
        say(started, "starting a real API server and etcd");
        let plane = ControlPlane::start(PlaneOptions::default()).await.map_err(text)?;

        say(started, "starting a simulated Meta on loopback");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(text)?;
        let meta = listener.local_addr().map_err(text)?;
        let (sandbox, stop) = (stage::world(), CancellationToken::new());
        tokio::spawn(sandbox.clone().serve(listener, stop.clone()));

        say(started, "installing the chart with helm, for the namespace demo");
        install(&plane).await?;
        kubectl(&plane, &["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"]).await?;
        plane.apply_rendered(NAMESPACE, &stage::people().to_string()).await;

        say(started, "starting its two replicas with the chart's account: its token and nothing else");
        let log = plane.dir().join("operator.log");
        let editor = plane.service_account_kubeconfig(NAMESPACE, EDITOR).await;
        let http = reqwest::Client::builder().no_proxy().build().map_err(text)?;
        let replicas = Vec::new();
        let mut demo = Self { started, plane, sandbox, meta, http, stop, replicas, log, editor, binary };
        let mut serving = Ok(());
        for _ in 0..2 {
            serving = serving.and(demo.start_replica().await);
        }
        match serving {
            Ok(()) => Ok(demo),
            Err(error) => Err(format!("{error}; its last log lines:\n{}", demo.last_log_lines())),
        }
    }

    /// One more replica, with the arguments of the Deployment that helm installed.
    async fn start_replica(&mut self) -> Result<()> {
        let path = "--output=jsonpath={.spec.template.spec.containers[0].args}";
        let args = self.kubectl(&["get", "deployment", OPERATOR, "--namespace", NAMESPACE, path]).await?;
        let args: Vec<String> = serde_json::from_str(&args).map_err(text)?;
        let health = free_address()?;
        let kubeconfig = self.plane.service_account_kubeconfig(NAMESPACE, OPERATOR).await;
        let mut command = std::process::Command::new(&self.binary);
        command
            .env_clear()
            .env("KUBECONFIG", kubeconfig)
            // The chart takes no address without TLS, since nothing of a pod is on loopback; and ports are the machine's here.
            .env("WHATSAPP_OPERATOR_GRAPH_URL", format!("http://{}", self.meta))
            .args(args.iter().filter(|arg| !arg.starts_with("--health-listen=")))
            .args(["--health-listen", &health.to_string()]);
        let process = Process::spawn(command, &self.log).map_err(text)?;
        self.replicas.push(Replica { process, health });
        self.until_serving().await
    }

    /// Waits for the newest replica.
    async fn until_serving(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let Some(Replica { process, health }) = self.replicas.last_mut() else { return Ok(()) };
        loop {
            let answer = self.http.get(format!("http://{health}/readyz")).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if !process.is_running() {
                return Err("the operator ended before it was ready".to_owned());
            }
            if Instant::now() > end {
                return Err(format!("the operator was not ready within {} s", PATIENCE.as_secs()));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Which replica works.
    async fn leader(&self) -> Result<Option<usize>> {
        for (at, replica) in self.replicas.iter().enumerate() {
            let answer = self.http.get(format!("http://{}/metrics", replica.health)).send().await;
            let metrics = answer.map_err(text)?.text().await.map_err(text)?;
            if metrics.lines().any(|line| line == "whatsapp_operator_leader 1") {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Kills the replica that works, and starts another one as Kubernetes does.
    async fn kills_the_leader(&mut self) -> Result<()> {
        let leader = self.leader().await?.ok_or("none of the replicas works")?;
        let mut killed = self.replicas.remove(leader);
        killed.process.kill_nine();
        let at = Instant::now();
        self.until("the replica that stood by works", || async { Ok(self.leader().await?.is_some()) })
            .await?;
        self.told(&format!("the one that stood by works, {} s later", at.elapsed().as_secs()));
        self.start_replica().await
    }

    async fn play(&mut self) -> Result<()> {
        self.say("applying examples/, and a ConfigMap with a picture");
        self.give_picture().await?;
        let examples = Path::new(ROOT).join("examples").display().to_string();
        self.kubectl(&["apply", "--namespace", NAMESPACE, "--filename", &examples]).await?;

        self.say("a registered number is adopted as it is");
        self.wait("condition=Ready", "Ready", &["sales-uk"]).await?;

        self.say("the other numbers are added; Meta's reviewer decides on their names");
        for (name, digits, verdict) in REVIEWS {
            self.until(&format!("{name} is added"), || async {
                self.control(&format!("numbers/{digits}/name"), &json!({ "verdict": verdict })).await
            })
            .await?;
            self.told(&format!("{name}: name {verdict}d"));
        }

        self.say("codes: by SMS to a mobile number, by a call to a fixed line");
        for (name, digits) in
            [("support-br", "5511912345678"), ("office-berlin", "493023125001"), ("bot-br", "5511934567890")]
        {
            self.wait(&waits_for("AskForCode"), "somebody may ask for its code", &[name]).await?;
            self.cli(&["send-code", name, "--wait"], None).await?;
            if name == "bot-br" {
                self.say("its code is on the way; the replica that works is killed");
                self.kills_the_leader().await?;
            }
            let code = self.code(digits).await?;
            let answer = self.cli(&["code", name], Some(&code)).await?;
            if answer.contains(&code) {
                return Err("the command line printed a code".to_owned());
            }
            self.told(answer.lines().next().unwrap_or_default());
        }

        self.say("registering them");
        self.wait("condition=Ready", "Ready", &["support-br", "office-berlin", "bot-br"]).await?;
        self.was_done_once()?;

        self.say("what waits, and what only a person can move");
        self.wait(
            "condition=Stalled",
            "Stalled: its name was declined, and only another name helps",
            &["deals-br"],
        )
        .await?;
        self.wait(
            &waits_for("EnterCode"),
            "its code was sent by itself, and waits for the phone's holder",
            &["front-desk"],
        )
        .await?;
        self.wait(
            &reason("Ready", "NoAccountInReach"),
            "its portfolio waits for an account",
            &["newco-hello"],
        )
        .await?;

        self.live().await?;

        println!("\n$ kubectl get wac -o wide");
        println!("{}", self.kubectl(&["get", "wac", "--namespace", NAMESPACE, "--output", "wide"]).await?);
        println!("$ kubectl whatsapp status front-desk");
        println!("{}", self.cli(&["status", "front-desk"], None).await?);
        Ok(())
    }

    /// Leaves everything running until Ctrl-C.
    async fn keep(&self) {
        println!("\nit all runs on; in another terminal:\n");
        println!("  export KUBECONFIG={}", self.editor.display());
        println!("  alias kubectl={}", self.plane.binary("kubectl").display());
        println!("  kubectl get whatsapp");
        println!("  {} status front-desk", self.binary.display());
        println!("  curl -s http://{}/control/numbers/447700900456/code", self.meta);
        println!("  tail -f {}", self.log.display());
        println!("\nCtrl-C here stops everything.");
        // Without a handler the signal ends the process, and everything it started with it.
        let _ = tokio::signal::ctrl_c().await;
        println!();
    }

    async fn stop(self) {
        self.stop.cancel();
        drop(self.replicas);
        self.plane.stop().await;
    }

    fn say(&self, what: &str) {
        say(self.started, what);
    }

    fn told(&self, what: &str) {
        println!("        {what}");
    }

    /// What the phone received last, from the sandbox's control API.
    async fn code(&self, digits: &str) -> Result<String> {
        let url = format!("http://{}/control/numbers/{digits}/code", self.meta);
        let answer: Value = self.http.get(url).send().await.map_err(text)?.json().await.map_err(text)?;
        let code = answer.get("code").unwrap_or(&answer);
        code.as_str().map(str::to_owned).ok_or_else(|| format!("no code came to {digits}"))
    }

    /// Tells the sandbox something; false while it does not know what that is about.
    async fn control(&self, path: &str, body: &Value) -> Result<bool> {
        let url = format!("http://{}/control/{path}", self.meta);
        let answer = self.http.post(url).json(body).send().await.map_err(text)?;
        Ok(answer.status().is_success())
    }

    async fn kubectl(&self, args: &[&str]) -> Result<String> {
        kubectl(&self.plane, args).await
    }

    /// `kubectl wait`, which is how a pipeline would do it.
    async fn wait(&self, until: &str, told: &str, names: &[&str]) -> Result<()> {
        let (until, timeout) = (format!("--for={until}"), format!("--timeout={}s", PATIENCE.as_secs()));
        let mut args = vec!["wait", "--namespace", NAMESPACE, &until, &timeout];
        let objects: Vec<String> = names.iter().map(|name| format!("wac/{name}")).collect();
        args.extend(objects.iter().map(String::as_str));
        self.kubectl(&args).await?;
        for name in names {
            self.told(&format!("{name}: {told}"));
        }
        Ok(())
    }

    /// The command line, with the rights of a namespace's editor.
    async fn cli(&self, args: &[&str], input: Option<&str>) -> Result<String> {
        let mut child = Command::new(&self.binary)
            .env_clear()
            .env("KUBECONFIG", &self.editor)
            .args(args)
            .args(["--namespace", NAMESPACE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(text)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.unwrap_or_default().as_bytes()).await.map_err(text)?;
        }
        let output = child.wait_with_output().await.map_err(text)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(format!("{}: {said}{}", args.join(" "), String::from_utf8_lossy(&output.stderr)))
        }
    }

    async fn until<F>(&self, what: &str, mut test: impl FnMut() -> F) -> Result<()>
    where
        F: Future<Output = Result<bool>>,
    {
        let end = Instant::now() + PATIENCE;
        while !test().await? {
            if Instant::now() > end {
                return Err(format!("waited {} s, but never: {what}", PATIENCE.as_secs()));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    fn last_log_lines(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

/// What `kubectl wait` is told to wait for: the first who has to act, has to do this.
fn waits_for(action: &str) -> String {
    format!("jsonpath={{.status.waitingFor[0].action}}={action}")
}

/// What `kubectl wait` is told to wait for: a condition carries this reason.
fn reason(condition: &str, reason: &str) -> String {
    format!("jsonpath={{.status.conditions[?(@.type==\"{condition}\")].reason}}={reason}")
}

fn say(started: Instant, what: &str) {
    let at = format!("{:4} s", started.elapsed().as_secs());
    let mut out = std::io::stdout();
    let line = if out.is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[2m{at}\x1b[0m  {what}\n")
    } else {
        format!("{at}  {what}\n")
    };
    // The output was closed: the demo goes on, because a user may watch the cluster.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

/// As a user does, but for what a machine without pods differs in: how often lists are read, and how logs look.
async fn install(plane: &ControlPlane) -> Result<()> {
    let output = Command::new(plane.binary("helm"))
        .args(["install", OPERATOR, &Path::new(ROOT).join("charts/whatsapp-operator").display().to_string()])
        .args([
            "--namespace",
            NAMESPACE,
            "--create-namespace",
            "--set",
            &format!("namespaces={{{NAMESPACE}}}"),
        ])
        .args(["--set", "listFreshness=3s,log.format=text"])
        .env("KUBECONFIG", plane.admin_kubeconfig())
        .env("HELM_CONFIG_HOME", plane.dir().join("helm"))
        .env("HELM_CACHE_HOME", plane.dir().join("helm"))
        .env("HELM_DATA_HOME", plane.dir().join("helm"))
        .output()
        .await
        .map_err(text)?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("helm install: {}", said.trim())) }
}

async fn kubectl(plane: &ControlPlane, args: &[&str]) -> Result<String> {
    let output = plane.kubectl(args).await;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// The operator beside us: `target/<profile>/examples/demo` → `target/<profile>/whatsapp-operator`.
fn binary() -> Result<PathBuf> {
    let me = std::env::current_exe().map_err(text)?;
    let binary = me.parent().and_then(Path::parent).map(|dir| dir.join(OPERATOR)).unwrap_or_default();
    if binary.is_file() {
        Ok(binary)
    } else {
        Err(format!("{} is not built: run make demo", binary.display()))
    }
}

fn free_address() -> Result<SocketAddr> {
    StdListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
