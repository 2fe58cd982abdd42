//! A real API server and etcd for the tests, the demo and the benchmarks.
//!
//! A fake API server agrees with whatever its author believed. This one has the real defaulting, pruning,
//! CEL rules, admission, RBAC, watches and resource versions, and its audit log is the witness for claims such as
//! "a settled channel causes no writes". It starts in seconds and needs neither containers nor root.
//!
//! The module knows nothing of the operator except where its chart lies. Everything listens on loopback, every
//! process is a child that ends with us however we end, and every file lies under the target folder.
//!
//! There are no nodes and no controller manager: Deployments make no pods, nobody collects garbage,
//! and a deleted namespace stays `Terminating`. Tests take a namespace of their own and leave it behind.

// The tests, the demo and the benchmarks each use a part of this module.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::config::Kubeconfig;
use kube::{Api, Client};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Far above the three seconds a start takes: a busy machine shall be slow, not red.
const START_DEADLINE: Duration = Duration::from_secs(120);

const POLL: Duration = Duration::from_millis(50);

/// What an own control plane differs in. The default is what [`ControlPlane::shared`] runs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Keeps the data here, and leaves it behind. Without it the data is gone when the control plane stops.
    pub data_dir: Option<PathBuf>,
}

/// A running API server with its etcd. Ends with the value, or with the process that holds it.
#[derive(Debug)]
pub struct ControlPlane {
    // The order of the fields is the order in which they end: clients before servers, files last.
    api_server: Mutex<Option<Process>>,
    etcd: Option<Process>,
    etcd_url: String,
    api_server_args: Vec<String>,
    url: String,
    binaries: PathBuf,
    room: Room,
}

impl ControlPlane {
    /// The one control plane of this test process; the first caller starts it.
    ///
    /// Nothing in it belongs to the runtime of that caller, so it outlives the test that happened to be first.
    ///
    /// # Panics
    ///
    /// When the control plane does not start. That is remembered: the other tests then fail at once.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
        let shared = blocking(|| {
            SHARED.get_or_init(|| Self::launch(&Options::default()).map_err(|error| error.to_string()))
        })
        .await;
        match shared {
            Ok(plane) => plane,
            Err(error) => panic!("the control plane does not start: {error}"),
        }
    }

    /// Starts a control plane of the caller's own.
    ///
    /// # Errors
    ///
    /// When a binary is missing and cannot be built, or a server does not become ready; the message says why.
    pub async fn start(options: Options) -> io::Result<Self> {
        blocking(move || Self::launch(&options)).await
    }

    /// Stops every process and waits until each is gone.
    pub async fn stop(self) {
        blocking(move || drop(self)).await;
    }

    /// A client with all rights. Each call makes a new one: a client belongs to the runtime it was made in.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub fn admin_client(&self) -> Client {
        client_from(&self.admin_kubeconfig())
    }

    /// The kubeconfig with all rights, for programs.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.room.path("admin.kubeconfig")
    }

    /// Where the API server listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The path of one of the binaries: `kubectl`, `helm`, `etcd` and so on.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// A folder for files that shall vanish with the control plane.
    pub fn dir(&self) -> &Path {
        &self.room.dir
    }

    /// Runs kubectl with all rights.
    pub async fn kubectl<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        self.kubectl_with_input(args, "").await
    }

    /// Runs kubectl with all rights and `input` on its standard input, for `-f -`.
    ///
    /// # Panics
    ///
    /// When kubectl cannot be run at all. That it fails is the caller's to judge.
    pub async fn kubectl_with_input<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Output {
        let mut command = self.kubectl_command();
        command.args(args);
        let input = input.to_owned();
        blocking(move || output(command, &input)).await.expect("kubectl runs")
    }

    /// Renders the operator's chart for `namespace`, its CRDs included, as `helm install` would send it.
    ///
    /// # Panics
    ///
    /// When the chart refuses the values; the message is helm's.
    pub async fn helm_template(&self, namespace: &str, values: &Value) -> String {
        self.helm_template_of("whatsapp-operator", namespace, values).await
    }

    /// The same for a release of this name.
    ///
    /// # Panics
    ///
    /// When helm refuses the chart or the values; the message is helm's own.
    pub async fn helm_template_of(&self, release: &str, namespace: &str, values: &Value) -> String {
        let mut command = Command::new(self.binary("helm"));
        command
            .args(["template", release])
            .arg(Path::new(ROOT).join("charts/whatsapp-operator"))
            .args(["--namespace", namespace, "--include-crds", "--values", "-"])
            // The caller's own helm settings and repositories stay out of it.
            .env("HELM_CONFIG_HOME", self.room.path("helm"))
            .env("HELM_CACHE_HOME", self.room.path("helm"))
            .env("HELM_DATA_HOME", self.room.path("helm"));
        let values = values.to_string();
        let output = blocking(move || output(command, &values)).await.expect("helm runs");
        success("helm template", &output)
    }

    /// Applies rendered manifests with all rights and returns what kubectl says.
    ///
    /// # Panics
    ///
    /// When the API server refuses any of them; the message is its own.
    pub async fn apply_rendered(&self, namespace: &str, manifests: &str) -> String {
        let args = ["apply", "--server-side", "--namespace", namespace, "--filename", "-"];
        success("kubectl apply", &self.kubectl_with_input(args, manifests).await)
    }

    /// Writes a kubeconfig that holds nothing but a token of this service account and the authority to trust.
    ///
    /// Whoever runs with it has the rights of that account and no others. The account must exist: making it is the
    /// chart's job, and a test shall notice when the chart forgets it.
    ///
    /// # Panics
    ///
    /// When the API server gives no token.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> PathBuf {
        let accounts = Api::<ServiceAccount>::namespaced(self.admin_client(), namespace);
        let spec = TokenRequestSpec { expiration_seconds: Some(12 * 60 * 60), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let request = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .unwrap_or_else(|error| panic!("no token for service account {namespace}/{name}: {error}"));
        let token = request.status.expect("a granted request has a status").token;
        let path = self.room.path(&format!("{namespace}-{name}.kubeconfig"));
        let authority = fs::read(self.room.path("ca.crt")).expect("the authority is readable");
        write_kubeconfig(&path, &self.url, authority, namespace, &json!({ "token": token }))
            .expect("the kubeconfig is writable");
        path
    }

    /// Makes a namespace whose name starts with `prefix` and is unique.
    ///
    /// # Panics
    ///
    /// When the API server refuses the name.
    pub async fn namespace(&self, prefix: &str) -> String {
        let metadata = ObjectMeta { generate_name: Some(format!("{prefix}-")), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let namespace = Api::<Namespace>::all(self.admin_client())
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap_or_else(|error| panic!("no namespace {prefix}: {error}"));
        namespace.metadata.name.expect("a created namespace has a name")
    }

    /// A point in the audit log: what comes later is what [`Self::audit_since`] returns for it.
    ///
    /// # Panics
    ///
    /// When the audit log cannot be read.
    pub async fn mark(&self) -> Mark {
        settle_audit().await;
        Mark(fs::metadata(self.room.path("audit.log")).expect("the audit log exists").len())
    }

    /// The requests answered since `mark`, oldest first, of every account except the API server's own.
    ///
    /// A watch counts when it starts, not when it ends.
    ///
    /// # Panics
    ///
    /// When the audit log cannot be read.
    pub async fn audit_since(&self, mark: Mark) -> Vec<AuditEntry> {
        settle_audit().await;
        let mut log = File::open(self.room.path("audit.log")).expect("the audit log exists");
        let mut bytes = Vec::new();
        log.seek(SeekFrom::Start(mark.0.saturating_sub(1))).expect("the audit log keeps its lines");
        log.read_to_end(&mut bytes).expect("the audit log can be read");
        let text = String::from_utf8_lossy(&bytes);
        // A mark may lie in the middle of a line that was just being written: its request came before.
        let begin = if mark.0 == 0 { 0 } else { text.find('\n').map_or(text.len(), |end| end + 1) };
        let text = &text[begin..];
        // A last line without its end is still being written, by a request that has not been answered.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().filter_map(AuditEntry::from_line).collect()
    }

    /// Ends the API server at once, as a crash would. Clients see broken watches and refused connections.
    pub async fn kill_api_server(&self) {
        let server = self.api_server.lock().unwrap_or_else(PoisonError::into_inner).take();
        blocking(move || drop(server)).await;
    }

    /// Starts the API server again after [`Self::kill_api_server`], at the same address and on the same data.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub async fn start_api_server(&self) -> io::Result<()> {
        let (name, log) = ("kube-apiserver", self.room.path("kube-apiserver.log"));
        let mut command = Command::new(self.binary(name));
        command.args(&self.api_server_args);
        let kubectl = KubectlCommand::of(self);
        let server = blocking(move || {
            let mut server = Process::spawn(command, log)?;
            server.wait_until_ready(|| kubectl.is_ready())?;
            io::Result::Ok(server)
        })
        .await?;
        *self.api_server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        Ok(())
    }

    /// Has the API server hang, or go on: connections stand, and nothing is answered meanwhile.
    pub fn hang_api_server(&self, hangs: bool) {
        let id = {
            let server = self.api_server.lock().unwrap_or_else(PoisonError::into_inner);
            server.as_ref().expect("the API server runs").id()
        };
        kill(pid(id), if hangs { Signal::SIGSTOP } else { Signal::SIGCONT }).expect("it can be signalled");
    }

    /// Has the storage be full, or have room again: nothing can be written meanwhile, and everything can be read.
    ///
    /// # Panics
    ///
    /// When etcd does not do it.
    pub async fn storage_is_full(&self, is: bool) {
        let action = if is { "ACTIVATE" } else { "DEACTIVATE" };
        let alarm = json!({"action": action, "memberID": "0", "alarm": "NOSPACE"}).to_string();
        let url = format!("{}/v3/maintenance/alarm", self.etcd_url);
        let arguments = ["--silent", "--show-error", "--fail", "--request", "POST", "--data", &alarm, &url];
        let mut command = Command::new("curl");
        command.args(arguments);
        let out = blocking(move || command.output()).await.expect("curl runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// The ids of the processes that make up the control plane, so that their cost can be measured.
    pub fn process_ids(&self) -> Vec<u32> {
        let api_server = self.api_server.lock().unwrap_or_else(PoisonError::into_inner);
        [self.etcd.as_ref(), api_server.as_ref()].into_iter().flatten().map(Process::id).collect()
    }

    fn kubectl_command(&self) -> Command {
        KubectlCommand::of(self).command()
    }

    fn launch(options: &Options) -> io::Result<Self> {
        let binaries = provide(&["etcd", "kube-apiserver", "kubectl", "helm"])?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::launch_once(options, &binaries) {
                // A port was free when we looked, and taken when the server did.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts < 5 => {}
                result => return result,
            }
        }
    }

    fn launch_once(options: &Options, binaries: &Path) -> io::Result<Self> {
        let room = Room::new(options.data_dir.as_deref(), binaries)?;
        issue_certificates(&room)?;
        let [client_port, peer_port, port] = free_ports()?;
        let etcd_url = format!("http://127.0.0.1:{client_port}");
        let peer_url = format!("http://127.0.0.1:{peer_port}");
        let url = format!("https://127.0.0.1:{port}");
        let arg = |flag: &str, file: &str| format!("--{flag}={}", room.path(file).display());

        let mut command = Command::new(binaries.join("etcd"));
        command.args([
            "--name=test".to_owned(),
            arg("data-dir", "etcd"),
            format!("--listen-client-urls={etcd_url}"),
            format!("--advertise-client-urls={etcd_url}"),
            format!("--listen-peer-urls={peer_url}"),
            format!("--initial-advertise-peer-urls={peer_url}"),
            format!("--initial-cluster=test={peer_url}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ]);
        let mut etcd = Process::spawn(command, room.path("etcd.log"))?;
        etcd.wait_until_ready(|| is_etcd_healthy(client_port))?;

        fs::write(room.path("audit-policy.json"), AUDIT_POLICY)?;
        let admin = json!({
            "client-certificate": room.path("admin.crt"),
            "client-key": room.path("admin.key"),
        });
        let authority = fs::read(room.path("ca.crt"))?;
        write_kubeconfig(&room.path("admin.kubeconfig"), &url, authority, "default", &admin)?;

        let api_server_args = vec![
            format!("--etcd-servers={etcd_url}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            arg("cert-dir", "certs"),
            arg("tls-cert-file", "server.crt"),
            arg("tls-private-key-file", "server.key"),
            arg("client-ca-file", "ca.crt"),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            arg("service-account-key-file", "service-account.pub"),
            arg("service-account-signing-key-file", "service-account.key"),
            "--authorization-mode=RBAC".to_owned(),
            "--allow-privileged=true".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            // Nobody makes the default account that this plugin would wait for.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            arg("audit-policy-file", "audit-policy.json"),
            arg("audit-log-path", "audit.log"),
            // One file: a mark is a position in it.
            "--audit-log-maxsize=100000".to_owned(),
        ];
        let mut command = Command::new(binaries.join("kube-apiserver"));
        command.args(&api_server_args);
        let mut api_server = Process::spawn(command, room.path("kube-apiserver.log"))?;
        let kubectl = KubectlCommand { binaries: binaries.to_owned(), dir: room.dir.clone() };
        api_server.wait_until_ready(|| kubectl.is_ready())?;

        Ok(Self {
            api_server: Mutex::new(Some(api_server)),
            etcd: Some(etcd),
            etcd_url,
            api_server_args,
            url,
            binaries: binaries.to_owned(),
            room,
        })
    }
}

/// A client with the rights of a kubeconfig, for the runtime of the caller.
///
/// # Panics
///
/// When the file is no kubeconfig, or outside a runtime.
pub fn client_from(kubeconfig: &Path) -> Client {
    // Fails when somebody did it before, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("the kubeconfig is readable");
    Client::try_from(kubeconfig).expect("the kubeconfig makes a client")
}

/// A position in the audit log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// One answered request, as the API server saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// For a service account `system:serviceaccount:<namespace>:<name>`.
    pub user: String,
    /// Which of the account's tokens it was. Empty for whoever has none.
    pub credential: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// Lower-case: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Plural and lower-case. Empty, like the next four, where the request names none.
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    /// Empty for a list, and for a create.
    pub name: String,
    /// Path and query.
    pub uri: String,
    pub code: u64,
    /// When the request came.
    pub at: jiff::Timestamp,
}

impl AuditEntry {
    /// Whether the request asked for a change, granted or not.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether this service account made the request.
    pub fn is_from_service_account(&self, namespace: &str, name: &str) -> bool {
        self.user == format!("system:serviceaccount:{namespace}:{name}")
    }

    fn from_line(line: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(line).expect("an audit line is JSON");
        let text =
            |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let entry = Self {
            user: text("/user/username"),
            credential: text("/user/extra/authentication.kubernetes.io~1credential-id/0"),
            user_agent: text("/userAgent"),
            verb: text("/verb"),
            resource: text("/objectRef/resource"),
            subresource: text("/objectRef/subresource"),
            namespace: text("/objectRef/namespace"),
            name: text("/objectRef/name"),
            uri: text("/requestURI"),
            code: event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default(),
            at: text("/requestReceivedTimestamp").parse().expect("an audit line says when"),
        };
        // A watch that was granted is written twice; a refused one only here.
        let is_end_of_watch =
            entry.verb == "watch" && entry.code == 200 && text("/stage") == "ResponseComplete";
        (!is_end_of_watch).then_some(entry)
    }
}

/// Every request of everybody but the API server itself, with neither bodies nor a second line for the request's
/// arrival. `ResponseStarted` stays, since a watch that runs has nothing else to show.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [
    { "level": "None", "users": ["system:apiserver"] },
    { "level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/healthz*"] },
    { "level": "Metadata" }
  ]
}
"#;

/// The line of a long response can reach the log a moment after the client has the response.
async fn settle_audit() {
    blocking(|| thread::sleep(Duration::from_millis(100))).await;
}

/// A child process with its output in a file.
///
/// It ends with this value, and also when we are killed: a watchdog shell holds the other end of a pipe that closes with
/// us, and kills the child by its id. It has a process group of its own, so a Ctrl-C reaches us alone and we decide.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    watchdog: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`. Output, standard and error alike, is appended to the file `log`.
    ///
    /// # Errors
    ///
    /// When the program cannot be run or the file cannot be written.
    pub fn spawn(mut command: Command, log: impl Into<PathBuf>) -> io::Result<Self> {
        let log = log.into();
        let name =
            Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = OpenOptions::new().create(true).append(true).open(&log)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{name} does not start: {error}")))?;
        let watchdog = Command::new("sh")
            .args(["-c", "read -r _; kill -KILL \"$1\" 2>/dev/null", "watchdog"])
            .arg(child.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match watchdog {
            Ok(watchdog) => Ok(Self { name, child, watchdog, log }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the process has said so far.
    pub fn output(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The file that `output` reads.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether the process has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.exit_status().is_none()
    }

    /// How the process ended, if it has.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child can be asked")
    }

    /// Ends the process as a crash of its node would, and waits until it is gone.
    pub fn kill_nine(&mut self) {
        // Both fail only for a process that has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks the process to end, as the kubelet does. Use [`Self::wait`] to see it end.
    pub fn terminate(&mut self) {
        // Asking first keeps the id ours: it is not given away before we have seen the process end.
        if self.is_running() {
            let _ = kill(pid(self.child.id()), Signal::SIGTERM);
        }
    }

    /// Stops the process where it stands, or lets it go on.
    pub fn hang(&mut self, hangs: bool) {
        if self.is_running() {
            let signal = if hangs { Signal::SIGSTOP } else { Signal::SIGCONT };
            kill(pid(self.child.id()), signal).expect("it can be signalled");
        }
    }

    /// Waits for the end of the process, in real time even where the test's clock is paused. `None`: it still runs.
    pub async fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            let status = self.exit_status();
            if status.is_some() || Instant::now() >= deadline {
                return status;
            }
            pause().await;
        }
    }

    /// Waits until the output holds `text`, in real time. `false`: it did not, or the process ended without.
    pub async fn wait_for_output(&mut self, text: &str, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let is_last_look = !self.is_running() || Instant::now() >= deadline;
            if self.output().contains(text) {
                return true;
            }
            if is_last_look {
                return false;
            }
            pause().await;
        }
    }

    fn wait_until_ready(&mut self, is_ready: impl Fn() -> bool) -> io::Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        while !is_ready() {
            let ended = self.exit_status();
            if ended.is_some() || Instant::now() >= deadline {
                let output = self.output();
                let is_port_taken = output.contains("address already in use");
                let kind = if is_port_taken { io::ErrorKind::AddrInUse } else { io::ErrorKind::Other };
                let fate = ended.map_or("is not ready".to_owned(), |status| format!("ended with {status}"));
                let start = output.lines().count().saturating_sub(20);
                let tail = output.lines().skip(start).collect::<Vec<_>>().join("\n");
                return Err(io::Error::new(kind, format!("{} {fate}; its last words:\n{tail}", self.name)));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_nine();
        // The child is gone and its id may soon be somebody else's, so the watchdog goes before its pipe closes.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
    }
}

/// The folder of one control plane: keys, data, logs.
#[derive(Debug)]
struct Room {
    dir: PathBuf,
    is_ours: bool,
}

impl Room {
    fn new(data_dir: Option<&Path>, binaries: &Path) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let dir = if let Some(dir) = data_dir {
            dir.to_owned()
        } else {
            let runs = binaries.with_file_name("run");
            sweep(&runs);
            let dir = runs.join(format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
            // Ids come round again, in a container soon.
            let _ = fs::remove_dir_all(&dir);
            dir
        };
        fs::create_dir_all(&dir)?;
        // It holds the key to everything in the control plane.
        fs::set_permissions(&dir, Permissions::from_mode(0o700))?;
        Ok(Self { dir: dir.canonicalize()?, is_ours: data_dir.is_none() })
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Removes what earlier runs left. A run cannot do so itself, since the shared control plane lives until the process
/// ends; and its logs are worth keeping until the next run.
fn sweep(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_string_lossy().split('-').next().and_then(|owner| owner.parse::<u32>().ok());
        if owner.is_some_and(|owner| kill(pid(owner), None).is_err()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// How to reach the API server with kubectl, for a thread of its own.
struct KubectlCommand {
    binaries: PathBuf,
    dir: PathBuf,
}

impl KubectlCommand {
    fn of(plane: &ControlPlane) -> Self {
        Self { binaries: plane.binaries.clone(), dir: plane.room.dir.clone() }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.binaries.join("kubectl"));
        command
            .arg("--kubeconfig")
            .arg(self.dir.join("admin.kubeconfig"))
            .env("KUBECACHEDIR", self.dir.join("kubectl-cache"))
            .env("KUBERC", "off");
        command
    }

    /// Ready, and the namespace that everything falls back to is there too, which comes a moment later.
    fn is_ready(&self) -> bool {
        [["get", "--raw=/readyz"], ["get", "namespace/default"]].iter().all(|args| {
            let mut command = self.command();
            command.args(args).arg("--request-timeout=5s");
            output(command, "").is_ok_and(|output| output.status.success())
        })
    }
}

/// Gets the binaries from the script that knows where they are, or builds them. Says on stderr what takes long.
pub fn provide(tools: &[&str]) -> io::Result<PathBuf> {
    let script = Path::new(ROOT).join("tests/control-plane/build.sh");
    let output = Command::new(script).args(tools).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    let dir = String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned();
    if !output.status.success() || dir.is_empty() {
        return Err(io::Error::other("tests/control-plane/build.sh failed; it said above what is missing"));
    }
    Ok(dir.into())
}

/// The path of a program that is built like those of the control plane, and that no control plane needs.
///
/// # Errors
///
/// When it is missing and cannot be built.
pub fn tool(name: &str) -> io::Result<PathBuf> {
    Ok(provide(&[name])?.join(name))
}

/// Issues what the API server and its administrator show each other. Nothing else trusts this authority.
fn issue_certificates(room: &Room) -> io::Result<()> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "whatsapp-operator test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority = CertifiedIssuer::self_signed(params, key()?).map_err(io::Error::other)?;
    write_secret(&room.path("ca.crt"), authority.pem())?;

    let names = ["127.0.0.1", "::1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
    let mut server = CertificateParams::new(names).map_err(io::Error::other)?;
    server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];

    let mut admin = CertificateParams::default();
    admin.distinguished_name.push(DnType::CommonName, "admin");
    admin.distinguished_name.push(DnType::OrganizationName, "system:masters");
    admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];

    for (name, mut params) in [("server", server), ("admin", admin)] {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = key()?;
        let certificate = params.signed_by(&key, &authority).map_err(io::Error::other)?;
        write_secret(&room.path(&format!("{name}.crt")), certificate.pem())?;
        write_secret(&room.path(&format!("{name}.key")), key.serialize_pem())?;
    }

    let tokens = key()?;
    write_secret(&room.path("service-account.key"), tokens.serialize_pem())?;
    write_secret(&room.path("service-account.pub"), tokens.public_key_pem())
}

fn key() -> io::Result<KeyPair> {
    KeyPair::generate().map_err(io::Error::other)
}

/// Writes a kubeconfig with one cluster, one user and one context. JSON is YAML too.
fn write_kubeconfig(
    path: &Path,
    url: &str,
    authority: Vec<u8>,
    namespace: &str,
    user: &Value,
) -> io::Result<()> {
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "test",
            "cluster": { "server": url, "certificate-authority-data": ByteString(authority) },
        }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{
            "name": "test",
            "context": { "cluster": "test", "user": "test", "namespace": namespace },
        }],
        "current-context": "test",
    });
    write_secret(path, format!("{kubeconfig:#}\n"))
}

/// Writes a file that only we can read, from its first byte on.
fn write_secret(path: &Path, text: impl AsRef<[u8]>) -> io::Result<()> {
    // A file of an earlier run would keep its own mode.
    let _ = fs::remove_file(path);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_ref())
}

/// Ports that were free a moment ago. All are held at once, so they differ.
fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let listeners = (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<Vec<_>>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

fn is_etcd_healthy(port: u16) -> bool {
    let answer = || -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    answer().is_ok_and(|answer| answer.contains(r#""health":"true""#))
}

/// Runs a program to its end with `input` on its standard input.
fn output(mut command: Command, input: &str) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let input = input.to_owned();
    // A thread, so that a program which answers before it has read all does not stall us.
    let writer = thread::spawn(move || {
        // A program that ends without reading closes the pipe; its status tells the story.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output();
    let _ = writer.join();
    output
}

/// The standard output of a program that must have succeeded.
#[track_caller]
fn success(what: &str, output: &Output) -> String {
    assert!(output.status.success(), "{what} failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs what waits or blocks beside the runtime. A test with a paused clock does not skip ahead meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

async fn pause() {
    blocking(|| thread::sleep(POLL)).await;
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.try_into().expect("a process id is positive"))
}
