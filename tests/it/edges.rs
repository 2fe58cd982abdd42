//! The edges of the process: where its words go, and who comes to its port. Neither stops it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use whatsapp_operator::sandbox::Number;

use crate::rig::{ACCOUNT, Rig, free_address, http_get, operator};

/// What a pipe holds on Linux.
const PIPE: usize = 64 * 1024;

/// A cluster that nobody serves: every call to it fails, and is logged.
const AWAY: &str = "{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: a, cluster: {server: \
                    'http://127.0.0.1:1'}}], users: [{name: a, user: {token: none}}], contexts: [{name: a, context: \
                    {cluster: a, user: a, namespace: a}}]}";

/// The operator without a cluster, ended with the test at the latest.
struct Operator {
    child: Child,
    health: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Drop for Operator {
    fn drop(&mut self) {
        // Both fail only for a process that has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Operator {
    fn start(stderr: impl Into<Stdio>) -> Self {
        Self::start_with(None, stderr)
    }

    /// With no more than so many descriptors.
    fn start_with(descriptors: Option<u32>, stderr: impl Into<Stdio>) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let kubeconfig = dir.path().join("kubeconfig");
        std::fs::write(&kubeconfig, AWAY).expect("written");
        let health = free_address();
        let child = operator(descriptors)
            .env_clear()
            .env("KUBECONFIG", kubeconfig)
            .args(["run", "--namespace", "a", "--graph-url", "http://127.0.0.1:1", "--log-level", "trace"])
            .args(["--health-listen", &health.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .expect("the operator starts");
        Self { child, health, _dir: dir }
    }

    /// One answer of its port, in a time in which a probe would have it.
    async fn says(&self, path: &str) -> Option<String> {
        tokio::time::timeout(Duration::from_secs(3), http_get(self.health, path)).await.ok().flatten()
    }

    async fn until_it_answers(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.says("/healthz").await.is_none() {
            let ended = self.child.try_wait().expect("our own child");
            assert!(ended.is_none() && Instant::now() < deadline, "health is not served, ended: {ended:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Health answers all of the time.
    async fn answers_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let health = self.says("/healthz").await;
            let ended = self.child.try_wait().expect("our own child");
            assert!(ended.is_none(), "it ended with {ended:?}");
            assert!(health.is_some_and(|health| health.starts_with("HTTP/1.1 200")), "health is not served");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Of all its threads.
    fn seconds_of_work(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let (_, after_name) = stat.rsplit_once(')').expect("a name");
        let ticks =
            |at| after_name.split_whitespace().nth(at).and_then(|ticks: &str| ticks.parse::<f64>().ok());
        (ticks(11).expect("in user mode") + ticks(12).expect("in the kernel")) / 100.0
    }

    /// Asks it to end, as the kubelet does.
    async fn ends_within(&mut self, limit: Duration) -> ExitStatus {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        kill(pid, Signal::SIGTERM).expect("it runs");
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn lost(metrics: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix("whatsapp_operator_log_lines_lost_total "));
    line.expect("the counter is served").trim().parse().expect("a number")
}

/// Where the log goes, and nobody reads it.
enum Nowhere {
    FullDisk,
    ClosedPipe,
    UnreadPipe,
}

#[rstest::rstest]
#[case::full_disk(Nowhere::FullDisk)]
#[case::closed_pipe(Nowhere::ClosedPipe)]
#[case::unread_pipe(Nowhere::UnreadPipe)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_goes_nowhere_stops_nothing(#[case] nowhere: Nowhere) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let (mut operator, kept) = match nowhere {
        Nowhere::FullDisk => {
            let full = File::options().write(true).open("/dev/full").expect("a disk that is always full");
            (Operator::start(full), None)
        }
        Nowhere::ClosedPipe => {
            drop(reader);
            (Operator::start(writer), None)
        }
        Nowhere::UnreadPipe => {
            writer.write_all(&[b'x'; PIPE]).expect("the pipe holds it");
            (Operator::start(writer), Some(reader))
        }
    };
    operator.until_it_answers().await;
    operator.answers_for(Duration::from_secs(3)).await;
    if kept.is_none() {
        let metrics = operator.says("/metrics").await.expect("metrics are served");
        assert!(lost(&metrics) > 0, "{metrics}");
    }
    assert!(operator.ends_within(Duration::from_secs(10)).await.success());
}

/// A pipe with a path, which takes what it holds until somebody reads it or the last reader goes.
fn pipe(dir: &tempfile::TempDir) -> (PathBuf, File) {
    let path = dir.path().join("log");
    let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
    assert!(made.success());
    // Open for both, so that it waits for nobody.
    let reader = File::options().read(true).write(true).open(&path).expect("a pipe");
    (path, reader)
}

/// With a cluster to work in: what is logged on the way of a channel is lost, and nothing else is.
#[rstest::rstest]
#[case::full_disk(Nowhere::FullDisk)]
#[case::closed_pipe(Nowhere::ClosedPipe)]
#[case::unread_pipe(Nowhere::UnreadPipe)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_whose_log_goes_nowhere_works_on(#[case] nowhere: Nowhere) {
    const NUMBER: &str = "+5511917000013";
    let mut rig = Rig::with_portfolio("stuck-log").await;
    let dir = tempfile::tempdir().expect("a folder");
    let (path, reader) = pipe(&dir);
    rig.log_to = Some(if matches!(nowhere, Nowhere::FullDisk) { "/dev/full".into() } else { path });
    rig.log_level = "trace";
    rig.start().await;
    let _kept = (!matches!(nowhere, Nowhere::ClosedPipe)).then_some(reader);
    rig.channel("support", NUMBER, json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;

    // A pipe that nobody reads takes some, and what waits for it has a limit: more is told than both take.
    let mut before = lost(&rig.metrics().await);
    for n in 0..400 {
        if before > 0 {
            break;
        }
        let (id, digits) = (format!("1000000000017{n:03}"), format!("5511917100{n:03}"));
        rig.sandbox.add_number(Number::new(&id, ACCOUNT, &digits, "Acme Support").registered("271828"));
        rig.channel(&format!("more-{n}"), &format!("+{digits}"), json!({"accountId": ACCOUNT})).await;
        before = lost(&rig.metrics().await);
    }
    assert!(before > 0, "no line is lost");
    rig.annotate("support", "send-code", "one").await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    rig.type_code("support", NUMBER).await;
    rig.until_condition("support", "Ready", "True", None).await;
    assert_eq!(rig.effects_on(&NUMBER[1..]), ["added", "code", "verified", "registered"]);
    let (pid, health) = (rig.operator().id(), rig.health());
    for path in ["/healthz", "/readyz"] {
        let says = tokio::time::timeout(Duration::from_secs(3), http_get(health, path)).await;
        let says = says.ok().flatten().unwrap_or_default();
        assert!(says.starts_with("HTTP/1.1 200"), "{path}: {says}");
    }
    let after = lost(&rig.metrics().await);
    assert!(after > before, "{after} lines are lost in all, and {before} were before");
    assert!(rig.operator().is_running());
    kill(Pid::from_raw(i32::try_from(pid).expect("a process id")), Signal::SIGTERM).expect("it runs");
    let asked = Instant::now();
    while rig.operator().is_running() {
        assert!(asked.elapsed() < Duration::from_secs(20), "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(rig.operator().exit_status().is_some_and(|status| status.success()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_logged_at_the_end_is_written() {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut operator = Operator::start(writer);
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = reader.read_to_string(&mut text);
        text
    });
    operator.until_it_answers().await;
    assert!(operator.ends_within(Duration::from_secs(10)).await.success());
    let text = reading.join().expect("it is read");
    // What a library ends with may come after it, at this level.
    let last = text.lines().rfind(|line| line.contains("whatsapp_operator"));
    assert!(last.is_some_and(|line| line.contains("stopped")), "{text}");
}

/// A problem that ends the operator is told; nobody has to hear it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_cannot_start_ends_whoever_reads() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(&[b'x'; PIPE]).expect("the pipe holds it");
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_whatsapp-operator"))
        .env_clear()
        .args(["run", "--health-listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stderr(writer)
        .spawn()
        .expect("the operator starts");
    let ended = loop {
        match child.try_wait().expect("our own child") {
            Some(status) => break Some(status),
            None if started.elapsed() > Duration::from_secs(10) => break None,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let _ = child.kill();
    let _ = child.wait();
    drop(reader);
    assert_eq!(ended.and_then(|ended| ended.code()), Some(1));
}

/// As in `plan | head`: whoever has read enough has ended nothing.
#[test]
fn a_reader_that_goes_away_changes_no_exit_code() {
    for (args, code) in [
        (&["crd"][..], 0),
        (&["plan", "-f", "examples", "--sandbox"], 2),
        (&["lint", "-f", "examples"], 0),
        (&["explain", "NameDeclined"], 0),
        (&["--help"], 0),
        (&["explain", "Nothing"], 1),
        (&["nothing"], 1),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ended = Command::new(env!("CARGO_BIN_EXE_whatsapp-operator"))
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(writer.try_clone().expect("a pipe"))
            .stderr(writer)
            .status()
            .expect("the binary runs");
        assert_eq!(ended.code(), Some(code), "{args:?}");
    }
}

/// Connections that begin a request and do not end it.
async fn half_open(at: SocketAddr, count: usize) -> Vec<TcpStream> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("up to there");
    let mut halves = Vec::new();
    for _ in 0..count {
        let mut half = TcpStream::connect(at).await.expect("it listens");
        // Whoever came earlier may have been sent away.
        let _ = half.write_all(b"GET /heal").await;
        halves.push(half);
    }
    halves
}

/// Three thousand at once, with new ones in the place of those that were sent away, until the channel is ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_requests_stop_neither_probes_nor_work() {
    const NUMBER: &str = "+5511912345678";
    let mut rig = Rig::with_portfolio("half-open").await;
    rig.descriptors = Some(1_024);
    rig.start().await;
    let health = rig.health();
    let halves = half_open(health, 3_000).await;
    let held = std::fs::read_dir(format!("/proc/{}/fd", rig.operator().id())).expect("it runs").count();
    assert!(held < 400, "{held} descriptors are held, which calls to the API server and to Meta need");
    let crowd = tokio::spawn(async move {
        let mut halves = VecDeque::from(halves);
        loop {
            halves.drain(..10);
            halves.extend(half_open(health, 10).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let probes = tokio::spawn(async move {
        let mut probes = 0;
        loop {
            for path in ["/healthz", "/readyz", "/metrics"] {
                let says = tokio::time::timeout(Duration::from_secs(3), http_get(health, path)).await;
                let says = says.ok().flatten().unwrap_or_default();
                assert!(says.starts_with("HTTP/1.1 200"), "{path} after {probes}: {says}");
                probes += 1;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    rig.channel("support", NUMBER, json!({})).await;
    rig.onboard("support", NUMBER).await;
    for (what, task) in [("crowd", crowd), ("probes", probes)] {
        assert!(!task.is_finished(), "{what}: {:?}", task.await);
        task.abort();
    }
    assert!(!rig.logs().contains("Too many open files"), "{}", rig.logs());
}

/// Each call to Meta that is not answered holds a descriptor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_takes_as_many_descriptors_as_the_machine_lets_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let kubeconfig = dir.path().join("kubeconfig");
    std::fs::write(&kubeconfig, AWAY).expect("written");
    let health = free_address();
    let child = Command::new("sh")
        .args(["-c", "ulimit -S -n 64 && ulimit -H -n 2048 && exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_whatsapp-operator"))
        .env("KUBECONFIG", kubeconfig)
        .args(["run", "--namespace", "a", "--graph-url", "http://127.0.0.1:1"])
        .args(["--health-listen", &health.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the operator starts");
    let mut operator = Operator { child, health, _dir: dir };
    operator.until_it_answers().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", operator.child.id())).expect("it runs");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    assert_eq!(files.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["2048", "2048"], "{files}");
}

/// Fewer descriptors than the port may take connections, so the system refuses them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_without_descriptors_neither_ends_nor_spins() {
    let mut operator = Operator::start_with(Some(64), Stdio::null());
    operator.until_it_answers().await;
    let halves = half_open(operator.health, 300).await;
    let before = operator.seconds_of_work();
    operator.answers_for(Duration::from_secs(3)).await;
    let worked = operator.seconds_of_work() - before;
    assert!(worked < 1.5, "{worked} s of work in 3 s");
    drop(halves);
    operator.answers_for(Duration::from_secs(1)).await;
    assert!(operator.ends_within(Duration::from_secs(10)).await.success());
}
