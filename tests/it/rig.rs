//! The whole house for one test: the chart's objects in a namespace of its own, a sandbox on loopback, and the
//! operator as a process that has nothing but the chart's `ServiceAccount` and its token.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use whatsapp_operator::sandbox::{
    Account, App, Options, Pace, Portfolio, ReviewPolicy, Sandbox, Token, What, World,
};

use crate::control_plane::{self, AuditEntry, ControlPlane, Mark, Process};

/// The portfolio, the account and the app that every rig has.
pub const BUSINESS: &str = "500000000000001";
pub const ACCOUNT: &str = "300000000000001";
pub const APP: &str = "200000000000001";

/// Stands in the chart's objects for the namespace of a rig.
const ANY_NAMESPACE: &str = "namespace-of-the-rig";

/// One test's operator, Meta and namespace.
pub struct Rig {
    pub plane: &'static ControlPlane,
    /// Has all rights. A kubectl process for each of a thousand looks would keep the machine busy.
    admin: Client,
    pub sandbox: Sandbox,
    pub graph_url: String,
    pub namespace: String,
    /// The sandbox's token for the portfolio: fake, and different in each run.
    pub token: String,
    /// What operators log from now on.
    pub log_level: &'static str,
    /// The form of their logs.
    pub log_format: &'static str,
    /// Where they log, if not to a file of their own.
    pub log_to: Option<PathBuf>,
    /// Which namespaces operators watch from now on, as flags: none is the whole cluster.
    scope: Vec<String>,
    /// More flags for operators from now on.
    pub flags: Vec<String>,
    /// How many descriptors operators may have from now on, if not as many as this process.
    pub descriptors: Option<u32>,
    operator: Option<Process>,
    /// Where the first operator answers for its health and metrics.
    health: std::net::SocketAddr,
    started: u32,
    stop: CancellationToken,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Rig {
    /// A rig whose operator watches its own namespace only. The operator is not started yet.
    pub async fn new(prefix: &str) -> Self {
        let plane = ControlPlane::shared().await;
        Self::on(plane, chart(plane).await, prefix).await
    }

    /// The same on an API server of its own, which ends with this process at the latest.
    pub async fn apart(prefix: &str) -> Self {
        Self::apart_with(prefix, of_one_namespace()).await
    }

    /// A release with the chart's own values, on an API server of its own: operators run with the flags of its Deployment, and
    /// with what the role for the whole cluster gives.
    pub async fn of_the_whole_cluster(prefix: &str) -> Self {
        let mut rig = Self::apart_with(prefix, json!({})).await;
        let deployment = rig.get_of("Deployment", rig.account_name()).await;
        let args = deployment["spec"]["template"]["spec"]["containers"][0]["args"].clone();
        let args: Vec<String> = serde_json::from_value(args).expect("flags");
        // A rig has an address and logs of its own.
        let own = ["--health-listen", "--log-format", "--log-level"];
        let is_own = |flag: &String| own.iter().any(|own| flag.starts_with(own));
        rig.scope = args.into_iter().skip(1).filter(|flag| !is_own(flag)).collect();
        rig
    }

    async fn apart_with(prefix: &str, values: Value) -> Self {
        let plane = ControlPlane::start(control_plane::Options::default()).await.expect("an API server");
        let plane: &'static ControlPlane = Box::leak(Box::new(plane));
        let rig = Self::on(plane, &install(plane, values).await, prefix).await;
        rig.with_acme().await
    }

    async fn on(plane: &'static ControlPlane, chart: &str, prefix: &str) -> Self {
        let namespace = plane.namespace(prefix).await;
        let objects = chart.replace(ANY_NAMESPACE, &namespace);
        plane.apply_rendered(&namespace, &objects).await;

        let token = format!("EAAsandbox-{:016x}", rand_u64());
        let world = World::default()
            .with_app(App::new(APP, "Acme Ops"))
            .with_portfolio(Portfolio::new(BUSINESS, "Acme Ltda").verified())
            .with_account(Account::new(ACCOUNT, BUSINESS, "Acme"))
            .with_token(&token, Token::system_user(APP, BUSINESS));
        let options = Options {
            start: Timestamp::now(),
            pace: Pace::Follow { speed: 1.0 },
            review: ReviewPolicy::without_first_review(),
            ..Options::default()
        };
        let sandbox = Sandbox::from_world(options, world);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let graph_url = format!("http://{}", listener.local_addr().expect("a bound port"));
        let stop = CancellationToken::new();
        tokio::spawn(sandbox.clone().serve(listener, stop.clone()));

        let health = free_address();
        let scope = vec![format!("--namespace={namespace}")];
        Self {
            plane,
            admin: plane.admin_client(),
            sandbox,
            graph_url,
            namespace,
            token,
            log_level: "info",
            log_format: "text",
            log_to: None,
            scope,
            flags: Vec::new(),
            descriptors: None,
            operator: None,
            health,
            started: 0,
            stop,
        }
    }

    /// A rig with the Secret and the portfolio `acme` applied.
    pub async fn with_portfolio(prefix: &str) -> Self {
        Self::new(prefix).await.with_acme().await
    }

    async fn with_acme(self) -> Self {
        self.secret("acme-meta", json!({"token": self.token})).await;
        self.portfolio("acme", json!({})).await;
        self
    }

    /// Has the operator watch one more namespace, before it is started.
    pub async fn watch_also(&mut self, prefix: &str) -> String {
        let other = self.plane.namespace(prefix).await;
        self.scope.push(format!("--namespace={other}"));
        self.grant().await;
        other
    }

    /// Has the operator watch another namespace in place of its own, before it is started.
    pub async fn watch_instead(&mut self, prefix: &str) -> String {
        let other = self.plane.namespace(prefix).await;
        self.scope = vec![format!("--namespace={other}")];
        self.grant().await;
        for kind in ["rolebinding", "role"] {
            let delete = ["delete", kind, self.account_name(), "-n", &self.namespace];
            let out = self.plane.kubectl(delete).await;
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
        other
    }

    /// Gives the operator its rights in every namespace that it watches, also in one that was made anew.
    pub async fn grant(&self) {
        let namespaces: Vec<&str> =
            self.scope.iter().filter_map(|flag| flag.strip_prefix("--namespace=")).collect();
        let rendered = self.plane.helm_template(&self.namespace, &json!({ "namespaces": namespaces })).await;
        let out = self.plane.kubectl_with_input(["apply", "--server-side", "-f", "-"], &rendered).await;
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Serves the sandbox at one more address.
    pub async fn serve_at(&self, address: std::net::SocketAddr) {
        let listener = tokio::net::TcpListener::bind(address).await.expect("the address is free");
        tokio::spawn(self.sandbox.clone().serve(listener, self.stop.clone()));
    }

    /// The account that the operator runs as.
    pub fn account_name(&self) -> &'static str {
        "whatsapp-operator"
    }

    /// Starts the operator as a process with the chart's `ServiceAccount`.
    pub async fn start(&mut self) {
        let health = self.health.to_string();
        self.operator = Some(self.spawn_operator(&["--health-listen", &health]).await);
        self.until_serving(self.health).await;
    }

    /// One more operator process, beside the first.
    pub async fn spawn_operator(&mut self, more: &[&str]) -> Process {
        let kubeconfig = self.plane.service_account_kubeconfig(&self.namespace, self.account_name()).await;
        self.spawn_with(&kubeconfig, more)
    }

    /// The same with a kubeconfig of its own.
    pub fn spawn_with(&mut self, kubeconfig: &Path, more: &[&str]) -> Process {
        self.started += 1;
        let mut command = operator(self.descriptors);
        command
            .env_clear()
            .env("KUBECONFIG", kubeconfig)
            .arg("run")
            .args(&self.scope)
            .args(["--graph-url", &self.graph_url])
            .args(["--log-format", self.log_format, "--log-level", self.log_level])
            .args(&self.flags)
            .args(more);
        let log = self.log_to.clone().unwrap_or_else(|| self.log(self.started));
        Process::spawn(command, log).expect("the operator binary starts")
    }

    /// Waits until an operator says that it is ready.
    pub async fn until_serving(&self, health: std::net::SocketAddr) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !http_get(health, "/readyz").await.is_some_and(|reply| reply.starts_with("HTTP/1.1 200")) {
            assert!(Instant::now() < deadline, "the operator did not become ready:\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Where the first operator serves its health.
    pub fn health(&self) -> std::net::SocketAddr {
        self.health
    }

    /// What the first operator's `/metrics` says.
    pub async fn metrics(&self) -> String {
        http_get(self.health, "/metrics").await.expect("the operator serves its metrics")
    }

    /// A counter of `/metrics` for one kind of object, whatever the result.
    pub async fn counted(&self, counter: &str, kind: &str) -> u64 {
        let (name, kind) = (format!("whatsapp_operator_{counter}_total{{"), format!("kind=\"{kind}\""));
        let metrics = self.metrics().await;
        let lines = metrics.lines().filter(|line| line.starts_with(&name) && line.contains(&kind));
        lines.filter_map(|line| line.rsplit(' ').next()?.trim().parse::<u64>().ok()).sum()
    }

    /// Takes down every version of every channel, portfolio and event of the namespace, from now on.
    pub async fn listen(&self) -> Arc<Mutex<Vec<(String, String)>>> {
        let told = Arc::new(Mutex::new(Vec::new()));
        for kind in ["WhatsAppChannel", "WhatsAppPortfolio", "Event"] {
            let api = self.api(kind, &self.namespace);
            let plural = resource(kind).plural;
            let (told, stop) = (told.clone(), self.stop.clone());
            let watch = WatchParams::default().timeout(290);
            let versions = api.watch(&watch, "0").await.expect("it may be watched").boxed();
            tokio::spawn(async move {
                let mut versions = std::pin::pin!(versions.take_until(stop.cancelled_owned()));
                while let Some(Ok(event)) = versions.next().await {
                    let (WatchEvent::Added(object)
                    | WatchEvent::Modified(object)
                    | WatchEvent::Deleted(object)) = event
                    else {
                        continue;
                    };
                    let text = serde_json::to_string(&object).expect("JSON");
                    told.lock().expect("nobody panicked").push((format!("a version of {plural}"), text));
                }
            });
        }
        told
    }

    fn log(&self, n: u32) -> PathBuf {
        self.plane.dir().join(format!("{}-operator-{n}.log", self.namespace))
    }

    /// Everything that every operator of this rig has logged.
    pub fn logs(&self) -> String {
        (1..=self.started).filter_map(|n| std::fs::read_to_string(self.log(n)).ok()).collect()
    }

    /// The running operator.
    pub fn operator(&mut self) -> &mut Process {
        self.operator.as_mut().expect("the operator was started")
    }

    /// The objects of a kind in a namespace.
    pub fn api(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.admin.clone(), namespace, &resource(kind))
    }

    /// Applies one object, into the rig's namespace if it names none.
    pub async fn apply(&self, object: &Value) {
        let text = |value: &Value| value.as_str().expect("every object has a kind and a name").to_owned();
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(&self.namespace);
        let strict = PatchParams::apply("somebody").force().validation_strict();
        let applied = self.api(&kind, namespace).patch(&name, &strict, &Patch::Apply(object)).await;
        applied.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    /// Merges into one object, as an edit would; `namespace/name` for another namespace.
    pub async fn merge(&self, kind: &str, name: &str, patch: &Value) {
        let (namespace, name) = name.split_once('/').unwrap_or((&self.namespace, name));
        let (strict, patch) = (PatchParams::default().validation_strict(), Patch::Merge(patch));
        let merged = self.api(kind, namespace).patch(name, &strict, &patch).await;
        merged.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    /// Writes a Secret; `namespace/name` for another namespace.
    pub async fn secret(&self, name: &str, values: Value) {
        let (namespace, name) = name.split_once('/').unwrap_or((&self.namespace, name));
        let bytes = |value: &Value| ByteString(value.as_str().expect("text").into());
        let values = values.as_object().expect("keys and values").iter();
        let data: Map<String, Value> =
            values.map(|(key, value)| (key.clone(), json!(bytes(value)))).collect();
        let metadata = json!({"name": name, "namespace": namespace});
        self.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})).await;
    }

    /// A portfolio with its token in the Secret `<name>-meta`, with more of the spec merged in.
    pub async fn portfolio(&self, name: &str, more: Value) {
        let secret = format!("{name}-meta");
        let mut spec = json!({
            "businessId": BUSINESS,
            "credentials": {"accessTokenSecretRef": {"name": secret, "key": "token"}}
        });
        merge(&mut spec, more);
        self.apply(&json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppPortfolio",
            "metadata": {"name": name}, "spec": spec
        }))
        .await;
    }

    /// A channel of the portfolio `acme`, with more of the spec merged in; `namespace/name` for another namespace.
    pub async fn channel(&self, name: &str, number: &str, more: Value) {
        let (namespace, name) = name.split_once('/').unwrap_or((&self.namespace, name));
        let mut spec =
            json!({"portfolioRef": {"name": "acme"}, "phoneNumber": number, "displayName": "Acme Support"});
        merge(&mut spec, more);
        self.apply(&json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec
        }))
        .await;
    }

    /// The channel as it stands.
    pub async fn get(&self, name: &str) -> Value {
        self.get_of("wac", name).await
    }

    /// An object of a kind, as it stands; `namespace/name` for another namespace.
    pub async fn get_of(&self, kind: &str, name: &str) -> Value {
        let (namespace, name) = name.split_once('/').unwrap_or((&self.namespace, name));
        let object = self.api(kind, namespace).get(name).await;
        let object = object.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
        serde_json::to_value(object).expect("JSON")
    }

    /// The same where it may be absent.
    pub async fn find(&self, kind: &str, name: &str) -> Option<Value> {
        let object = self.api(kind, &self.namespace).get_opt(name).await;
        object
            .unwrap_or_else(|error| panic!("{kind} {name}: {error}"))
            .map(|found| serde_json::to_value(found).expect("JSON"))
    }

    /// Takes a right of the chart's from the operator: everything that it may do to these resources.
    pub async fn take_away(&self, resources: &str) {
        let role = self.get_of("Role", self.account_name()).await;
        let mut rules = role["rules"].as_array().expect("rules").clone();
        let before = rules.len();
        rules.retain(|rule| rule["resources"] != json!([resources]));
        assert!(rules.len() < before, "the chart gives no right to {resources}");
        self.merge("Role", self.account_name(), &json!({ "rules": rules })).await;
    }

    /// When each effect on a number happened, by a short name.
    pub fn happened(&self, digits: &str) -> Vec<(&'static str, Timestamp)> {
        let of = |what: &What| match what {
            What::NumberAdded { digits, .. } => Some(("added", digits.clone())),
            What::CodeSent { digits } => Some(("code", digits.clone())),
            What::VerifyAttempt { digits, .. } => Some(("verified", digits.clone())),
            What::RegisterAttempt { digits, .. } => Some(("registered", digits.clone())),
            What::PinSet { digits } => Some(("pin", digits.clone())),
            What::NameSubmitted { digits, .. } => Some(("name", digits.clone())),
            What::Overridden { target, .. } => Some(("routed", target.clone())),
            What::ProfileWritten { digits } => Some(("profile", digits.clone())),
            _ => None,
        };
        let all = self.sandbox.effects();
        all.iter()
            .filter_map(|e| of(&e.what).map(|(name, of)| (name, of, e.at)))
            .filter(|(_, of, _)| of == digits)
            .map(|(name, _, at)| (name, at))
            .collect()
    }

    /// The effects on a number in their order, by a short name.
    pub fn effects_on(&self, digits: &str) -> Vec<&'static str> {
        self.happened(digits).into_iter().map(|(name, _)| name).collect()
    }

    /// Writes a whole status as an operator does, which may be one of another version.
    pub async fn write_status(&self, kind: &str, name: &str, status: &Value) -> Result<(), String> {
        let of = resource(kind);
        let body = json!({"apiVersion": of.api_version, "kind": of.kind, "status": status});
        let params = PatchParams::apply("whatsapp-operator").force();
        let written = self.api(kind, &self.namespace).patch_status(name, &params, &Patch::Apply(&body)).await;
        written.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Edits a status by hand, as somebody may who has the right.
    pub async fn edit_status(&self, kind: &str, name: &str, status: Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        let edited =
            self.api(kind, &self.namespace).patch_status(name, &PatchParams::default(), &patch).await;
        edited.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    /// Deletes a channel and waits until it is gone.
    pub async fn delete(&self, name: &str) {
        let out = self.plane.kubectl(["delete", "wac", name, "-n", &self.namespace, "--timeout=20s"]).await;
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Asks for a look and waits until there was one.
    pub async fn look(&self, name: &str, value: &str) -> Value {
        self.annotate(name, "reconcile", value).await;
        self.until(name, "the look that was asked for", Duration::from_secs(45), |s| {
            s["memory"]["consents"]["reconcile"]["value"] == value
        })
        .await
    }

    /// Sets an annotation `whatsapp-operator.dev/<key>`.
    pub async fn annotate(&self, name: &str, key: &str, value: &str) {
        let annotations = json!({ format!("whatsapp-operator.dev/{key}"): value });
        self.merge("wac", name, &json!({"metadata": {"annotations": annotations}})).await;
    }

    /// Writes the code that the sandbox delivered into the channel's code Secret, as a person would.
    pub async fn type_code(&self, name: &str, number: &str) {
        let digits = number.trim_start_matches('+');
        let code = self.sandbox.delivered_code(digits).expect("a code was delivered");
        self.secret(&format!("{name}-code"), json!({"code": code})).await;
    }

    /// Waits until the channel's status satisfies a test; panics with the last status when it does not in time.
    pub async fn until(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        test: impl Fn(&Value) -> bool,
    ) -> Value {
        self.until_of("wac", name, what, limit, test).await
    }

    /// The same for an object of any kind.
    pub async fn until_of(
        &self,
        kind: &str,
        name: &str,
        what: &str,
        limit: Duration,
        test: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + limit;
        loop {
            let object = self.get_of(kind, name).await;
            if test(&object["status"]) {
                return object;
            }
            assert!(
                Instant::now() < deadline,
                "{name} did not reach: {what}\n{}\n{}",
                serde_json::to_string_pretty(&object["status"]).expect("JSON"),
                tail(&self.logs(), 60)
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until a condition has a status and, where given, a reason.
    pub async fn until_condition(&self, name: &str, kind: &str, status: &str, reason: Option<&str>) -> Value {
        self.until_condition_of("wac", name, kind, status, reason).await
    }

    /// The same for an object of any kind.
    pub async fn until_condition_of(
        &self,
        of: &str,
        name: &str,
        kind: &str,
        status: &str,
        reason: Option<&str>,
    ) -> Value {
        let what = format!("{kind}={status} {}", reason.unwrap_or_default());
        self.until_of(of, name, &what, Duration::from_secs(90), |s| {
            condition(s, kind)
                .is_some_and(|c| c["status"] == status && reason.is_none_or(|reason| c["reason"] == reason))
        })
        .await
    }

    /// Merges into the channel's spec, as an edit would.
    pub async fn edit(&self, kind: &str, name: &str, spec: Value) {
        self.merge(kind, name, &json!({ "spec": spec })).await;
    }

    /// Brings a channel to Ready the way a person would: consent, code, nothing else.
    pub async fn onboard(&self, name: &str, number: &str) -> Value {
        self.until_condition(name, "NumberVerified", "False", Some("CodeNeeded")).await;
        self.annotate(name, "send-code", "one").await;
        self.until_condition(name, "NumberVerified", "False", Some("CodeAwaited")).await;
        self.type_code(name, number).await;
        self.until_condition(name, "Ready", "True", None).await
    }

    /// No useless work: in this time no channel is written, and Meta is not called more often than that.
    pub async fn assert_rest(&self, time: Duration, calls: usize) {
        let mark = self.at_rest().await;
        let before = self.sandbox.calls().len();
        tokio::time::sleep(time).await;
        let made = self.sandbox.calls().split_off(before);
        assert!(made.len() <= calls, "{} calls in {time:?}: {made:#?}", made.len());
        let writes = self.writes_since(mark).await;
        assert!(writes.iter().all(|e| e.resource == "whatsappportfolios"), "written at rest: {writes:#?}");
    }

    /// A point in the audit log after everything that earlier passes wrote: an event may follow a status by a moment.
    pub async fn at_rest(&self) -> Mark {
        for _ in 0..20 {
            let mark = self.plane.mark().await;
            // Longer than the pause between a first status and what follows it.
            tokio::time::sleep(Duration::from_secs(3)).await;
            if self.writes_since(mark).await.is_empty() {
                return mark;
            }
        }
        panic!("the operator never stops writing:\n{}", self.logs());
    }

    /// What the operator's account wrote since a mark, events too.
    pub async fn writes_since(&self, mark: Mark) -> Vec<AuditEntry> {
        let mut entries = self.plane.audit_since(mark).await;
        entries.retain(|e| e.is_from_service_account(&self.namespace, self.account_name()) && e.is_write());
        entries
    }
}

/// A token of the operator's account in a file that a kubeconfig names. The kubelet replaces the token of a pod like this.
pub struct TokenFile {
    file: PathBuf,
    pub kubeconfig: PathBuf,
}

impl TokenFile {
    /// A token ends with the object that it is bound to.
    const BOUND_TO: &str = "first";

    /// With a token that can be revoked.
    pub async fn new(rig: &Rig) -> Self {
        rig.secret(Self::BOUND_TO, json!({})).await;
        let of_account = rig.plane.service_account_kubeconfig(&rig.namespace, rig.account_name()).await;
        let text = std::fs::read_to_string(&of_account).expect("a kubeconfig");
        let mut kubeconfig: Value = serde_saphyr::from_str(&text).expect("YAML");
        assert!(kubeconfig["users"][0]["user"]["token"].is_string(), "{kubeconfig}");
        let file = rig.plane.dir().join(format!("{}.token", rig.namespace));
        kubeconfig["users"][0]["user"] = json!({ "tokenFile": file });
        let by_file = of_account.with_extension("by-file.kubeconfig");
        std::fs::write(&by_file, kubeconfig.to_string()).expect("a file");
        let token = Self { file, kubeconfig: by_file };
        let bound_to = format!("--bound-object-name={}", Self::BOUND_TO);
        token.put(rig, &["--bound-object-kind=Secret", &bound_to]).await;
        token
    }

    /// The API server knows the first token for ten seconds more at most.
    pub async fn revoke(&self, rig: &Rig) {
        let delete = ["delete", "secret", Self::BOUND_TO, "--namespace", &rig.namespace];
        assert!(rig.plane.kubectl(delete).await.status.success());
    }

    /// Puts another token in its place.
    pub async fn replace(&self, rig: &Rig) {
        self.put(rig, &[]).await;
    }

    async fn put(&self, rig: &Rig, more: &[&str]) {
        let ask = ["create", "token", rig.account_name(), "--namespace", &rig.namespace];
        let output = rig.plane.kubectl([&ask[..], more].concat()).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let token = String::from_utf8(output.stdout).expect("text");
        let new = self.file.with_extension("new");
        std::fs::write(&new, token.trim()).expect("a file");
        std::fs::rename(new, &self.file).expect("it is replaced at once");
    }
}

/// The chart's objects with [`ANY_NAMESPACE`] in the place of a rig's own. It is rendered once, and its CRDs, which all
/// rigs share, are installed and served by then.
async fn chart(plane: &ControlPlane) -> &'static str {
    static CHART: OnceCell<String> = OnceCell::const_new();
    CHART.get_or_init(|| install(plane, of_one_namespace())).await
}

/// Values of the chart with which the operator works in its own namespace only.
fn of_one_namespace() -> Value {
    json!({ "namespaces": [ANY_NAMESPACE] })
}

/// Installs the CRDs, and gives back the other objects.
async fn install(plane: &ControlPlane, values: Value) -> String {
    let rendered = plane.helm_template(ANY_NAMESPACE, &values).await;
    let is_crd = |object: &&str| object.contains("\nkind: CustomResourceDefinition\n");
    let (crds, objects): (Vec<_>, Vec<_>) = rendered.split("\n---\n").partition(is_crd);
    assert_eq!(crds.len(), 2, "one for each kind");
    plane.apply_rendered("default", &crds.join("\n---\n")).await;
    let label = "app.kubernetes.io/name";
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "-l", label];
    assert!(plane.kubectl(wait).await.status.success(), "the CRDs are not served");
    objects.join("\n---\n")
}

/// How the API server calls what a test calls by its kind, or by a short name of it.
pub fn resource(kind: &str) -> ApiResource {
    const OURS: &str = "whatsapp-operator.dev";
    let (group, version, kind, plural) = match kind {
        "wac" | "WhatsAppChannel" => (OURS, "v1alpha1", "WhatsAppChannel", "whatsappchannels"),
        "wap" | "WhatsAppPortfolio" => (OURS, "v1alpha1", "WhatsAppPortfolio", "whatsappportfolios"),
        "secret" | "Secret" => ("", "v1", "Secret", "secrets"),
        "Event" => ("", "v1", "Event", "events"),
        "ServiceAccount" => ("", "v1", "ServiceAccount", "serviceaccounts"),
        "ConfigMap" => ("", "v1", "ConfigMap", "configmaps"),
        "Role" => ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
        "Deployment" => ("apps", "v1", "Deployment", "deployments"),
        "RoleBinding" => ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
        other => panic!("{other} is no kind that the tests use"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// The message of a condition that is there, or of the one that it names.
pub fn message(object: &Value, kind: &str) -> String {
    let told = |kind: &str| {
        let condition = condition(&object["status"], kind).unwrap_or_else(|| panic!("{kind} is there"));
        condition["message"].as_str().expect("a message is text").to_owned()
    };
    let message = told(kind);
    message.strip_prefix("see ").map(told).unwrap_or(message)
}

/// A condition in a status.
pub fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|c| c["type"] == kind)
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The binary, with no more than so many descriptors.
pub fn operator(descriptors: Option<u32>) -> Command {
    let binary = env!("CARGO_BIN_EXE_whatsapp-operator");
    let Some(most) = descriptors else {
        return Command::new(binary);
    };
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\""), binary]);
    command
}

/// An address on loopback that nobody listens on right now.
pub fn free_address() -> std::net::SocketAddr {
    // Below the ports that the kernel gives to whoever asks for any, so that nobody else is given this one before it is used.
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 10_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let turn = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + turn % COUNT).expect("a port");
        if let Ok(listener) = std::net::TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().expect("a bound port");
        }
    }
    panic!("no port is free");
}

/// A plain GET; the whole reply, or nothing when there was none.
pub async fn http_get(at: std::net::SocketAddr, path: &str) -> Option<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(at).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.ok()?;
    Some(reply)
}

fn rand_u64() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
