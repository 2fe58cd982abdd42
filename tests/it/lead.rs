//! Several operators as processes, each with the chart's account, of which one works: the one that holds the Lease.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use whatsapp_operator::run::picture::png;
use whatsapp_operator::sandbox::{Fault, FaultKind, Hold, Match, Number};

use crate::control_plane::{AuditEntry, Mark, Process};
use crate::rig::{ACCOUNT, Rig, condition, free_address, http_get};

const NUMBER: &str = "+5511917000001";
const DIGITS: &str = "5511917000001";
/// Where it is not about the time that it takes by default.
const SHORT: &str = "--leader-election-lease-duration=6s";
const NAME: &str = "whatsapp-operator";
/// After the leader fell silent another one leads within this time: the Lease of six seconds has ended, the other one looks once
/// more, and a busy machine takes its time.
const TAKEN_OVER: SignedDuration = SignedDuration::from_secs(15);

/// One operator process.
pub struct Replica {
    pub process: Process,
    pub health: SocketAddr,
}

impl Replica {
    async fn start(rig: &mut Rig, more: &[&str]) -> Self {
        let health = free_address();
        let listen = health.to_string();
        let mut flags = vec!["--health-listen", &listen, "--leader-election"];
        flags.extend(more);
        Self { process: rig.spawn_operator(&flags).await, health }
    }

    async fn says(&self, path: &str) -> String {
        let asked = tokio::time::timeout(Duration::from_secs(2), http_get(self.health, path)).await;
        asked.ok().flatten().unwrap_or_default()
    }

    pub async fn leads(&self) -> bool {
        self.says("/metrics").await.contains("whatsapp_operator_leader 1\n")
    }

    /// Calls to Meta since its start.
    async fn calls(&self) -> u64 {
        self.calls_of("").await
    }

    /// Those of an edge, or all.
    async fn calls_of(&self, edge: &str) -> u64 {
        let metrics = self.says("/metrics").await;
        let begin = format!("whatsapp_operator_graph_calls_total{{edge=\"{edge}");
        let lines = metrics.lines().filter(|line| line.starts_with(&begin));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Waits until it leads, and gives back how long that took.
    pub async fn until_it_leads(&self, limit: Duration) -> Duration {
        let begun = Instant::now();
        while !self.leads().await {
            assert!(begun.elapsed() < limit, "it does not lead:\n{}", self.process.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        begun.elapsed()
    }

    /// Waits until it leads for the first time, in time after the one before it fell silent.
    async fn until_it_takes_over(&self, silent: Timestamp) {
        self.until_it_leads(Duration::from_secs(20)).await;
        let took = self.first_logged(" leading ").duration_since(silent);
        assert!(took <= TAKEN_OVER, "it took {took:?}:\n{}", self.process.output());
    }

    /// Waits until its readiness says this, with a code of this beginning.
    pub async fn until_it_says(&self, code: &str, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let said = self.says("/readyz").await;
            if said.starts_with(&format!("HTTP/1.1 {code}")) && said.contains(text) {
                return said;
            }
            assert!(Instant::now() < deadline, "{text}: {said}\n{}", self.process.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// When it logged this last.
    fn logged(&self, text: &str) -> Timestamp {
        self.all_logged(text).pop().expect("there is one")
    }

    /// The first time: on a busy machine a leader may lose the Lease and take it again.
    fn first_logged(&self, text: &str) -> Timestamp {
        self.all_logged(text).remove(0)
    }

    pub fn all_logged(&self, text: &str) -> Vec<Timestamp> {
        let output = self.process.output();
        let at = |line: &str| line.split_whitespace().next().and_then(|at| at.parse().ok());
        let lines = output.lines().filter(|line| line.contains(text));
        let times: Vec<Timestamp> =
            lines.map(|line| at(line).expect("a line begins with its time")).collect();
        assert!(!times.is_empty(), "nothing says {text:?}:\n{output}");
        times
    }
}

/// One that leads, and one that stands by.
async fn pair(rig: &mut Rig, more: &[&str]) -> (Replica, Replica) {
    let first = Replica::start(rig, more).await;
    first.until_it_leads(Duration::from_secs(20)).await;
    let second = Replica::start(rig, more).await;
    second.until_it_says("200", "stands by").await;
    (first, second)
}

fn leases(rig: &Rig) -> Api<Lease> {
    Api::namespaced(rig.plane.admin_client(), &rig.namespace)
}

/// Writes the Lease as somebody holds it whose clock is that wrong, whatever stands there.
async fn hold_by_hand(rig: &Rig, holder: &str, seconds: i32, off: SignedDuration) {
    let api = leases(rig);
    let standing = api.get_opt(NAME).await.expect("it can be read");
    let metadata = ObjectMeta {
        name: Some(NAME.to_owned()),
        resource_version: standing.as_ref().and_then(|lease| lease.metadata.resource_version.clone()),
        ..ObjectMeta::default()
    };
    let spec = LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(seconds),
        renew_time: Some(MicroTime(Timestamp::now() + off)),
        ..LeaseSpec::default()
    };
    let (lease, params) = (Lease { metadata, spec: Some(spec) }, PostParams::default());
    let written = match standing {
        Some(_) => api.replace(NAME, &params, &lease).await,
        None => api.create(&params, &lease).await,
    };
    written.expect("it is written");
}

/// What operators of the rig asked the API server for since a mark, granted or not.
async fn asked_since(rig: &Rig, mark: Mark) -> Vec<AuditEntry> {
    let mut entries = rig.plane.audit_since(mark).await;
    entries.retain(|entry| entry.is_from_service_account(&rig.namespace, rig.account_name()));
    entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_works_the_other_calls_nobody_and_follows_a_leader_that_is_killed() {
    let mut rig = Rig::with_portfolio("lead-kill").await;
    rig.flags = vec!["--list-freshness".into(), "2s".into()];
    let begun = rig.plane.mark().await;
    let mut first = Replica::start(&mut rig, &[]).await;
    first.until_it_leads(Duration::from_secs(20)).await;
    let of_first = asked_since(&rig, begun).await.remove(0).credential;
    let second = Replica::start(&mut rig, &[]).await;
    second.until_it_says("200", "stands by").await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.onboard("support", NUMBER).await;
    assert!(first.leads().await && first.calls().await > 0);
    let metrics = second.says("/metrics").await;
    assert!(metrics.contains("whatsapp_operator_leader 0\n"), "{metrics}");
    let writes = "whatsapp_operator_status_writes_total{";
    assert!(first.says("/metrics").await.contains(writes) && !metrics.contains(writes), "{metrics}");
    assert_eq!(second.calls().await, 0);

    // The one that stands by is warm: it has read everything, and follows it.
    let mut by_second = asked_since(&rig, begun).await;
    by_second.retain(|entry| entry.credential != of_first);
    for (kind, plural) in [("channels", "whatsappchannels"), ("portfolios", "whatsappportfolios")] {
        for verb in ["list", "watch"] {
            let asked = by_second.iter().any(|entry| entry.resource == plural && entry.verb == verb);
            assert!(asked, "it begins with a {verb} of {kind}: {by_second:#?}");
        }
        let age = format!(
            "whatsapp_operator_watch_age_seconds{{kind=\"{kind}\",namespace=\"{}\"}} ",
            rig.namespace
        );
        assert!(metrics.contains(&age), "{age}: {metrics}");
    }

    let killed = rig.plane.mark().await;
    first.process.kill_nine();
    let calls = rig.sandbox.calls().len();
    let took = second.until_it_leads(Duration::from_secs(30)).await;
    assert!(took <= Duration::from_secs(15), "it took {took:?}");
    rig.channel("next", "+5511917000002", json!({"suspend": true})).await;
    rig.until("next", "a first status", Duration::from_secs(5), |s| s["observedGeneration"] == 1).await;
    let mut lists = asked_since(&rig, killed).await;
    lists.retain(|entry| entry.verb == "list" && entry.resource.starts_with("whatsapp"));
    assert_eq!(lists, [], "it has them already");
    let deadline = Instant::now() + Duration::from_secs(10);
    while rig.sandbox.calls().len() == calls {
        assert!(Instant::now() < deadline, "it looks at Meta now:\n{}", second.process.output());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(rig.effects_on(DIGITS), ["added", "code", "verified", "registered"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_asked_to_end_ends_its_work_and_hands_over_at_once() {
    let mut rig = Rig::with_portfolio("lead-term").await;
    let (mut first, second) = pair(&mut rig, &[]).await;
    let slow = FaultKind::Latency { ms: 4_000 };
    rig.sandbox.inject(Fault { on: Match::on("POST", "phone_numbers").times(1), kind: slow });
    rig.channel("support", NUMBER, json!({})).await;
    let is_on_its_way = |s: &Value| s["memory"]["inFlight"]["step"] == "AddNumber";
    rig.until("support", "an intent", Duration::from_secs(30), is_on_its_way).await;
    first.process.terminate();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(first.process.is_running() && !second.leads().await, "a call is on its way");
    second.until_it_leads(Duration::from_secs(30)).await;
    let ended = first.process.wait(Duration::from_secs(10)).await;
    assert!(ended.is_some_and(|status| status.success()), "{}", first.process.output());
    let hand_over = |from: &Replica, to: &Replica| {
        to.logged(" leading ").duration_since(from.logged("the Lease is released"))
    };
    // With nothing on its way the time counts from when it is asked to end. A busy machine may be late once or twice, and not
    // more often than it is in time.
    let (mut released, mut asked, mut leader) = (vec![hand_over(&first, &second)], Vec::new(), second);
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    while asked.len() < 5 {
        let next = Replica::start(&mut rig, &[]).await;
        next.until_it_says("200", "stands by").await;
        let end = Timestamp::now();
        leader.process.terminate();
        next.until_it_leads(Duration::from_secs(30)).await;
        asked.push(next.logged(" leading ").duration_since(end));
        released.push(hand_over(&leader, &next));
        leader = next;
    }
    for mut took in [released, asked] {
        took.sort_unstable();
        let median = took[took.len() / 2];
        assert!(
            median < SignedDuration::from_secs(2) && took[0] >= SignedDuration::from_secs(-1),
            "{took:?}"
        );
    }
    rig.onboard("support", NUMBER).await;
    assert_eq!(rig.effects_on(DIGITS), ["added", "code", "verified", "registered"]);
}

/// A way to the sandbox for one process, which counts its writes.
struct Tap {
    url: String,
    writes: Arc<AtomicUsize>,
}

impl Tap {
    async fn to(url: &str) -> Self {
        let to = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = format!("http://{}", listener.local_addr().expect("a bound port"));
        let writes = Arc::new(AtomicUsize::new(0));
        let counted = writes.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&to).await else { continue };
                let ((mut near_in, mut near_out), (mut far_in, mut far_out)) =
                    (near.into_split(), far.into_split());
                let writes = counted.clone();
                tokio::spawn(async move {
                    let mut bytes = vec![0; 16 * 1024];
                    while let Ok(count @ 1..) = near_in.read(&mut bytes).await {
                        let is_write =
                            ["POST ", "DELETE "].iter().any(|verb| bytes.starts_with(verb.as_bytes()));
                        writes.fetch_add(usize::from(is_write), Ordering::Relaxed);
                        if far_out.write_all(&bytes[..count]).await.is_err() {
                            break;
                        }
                    }
                });
                tokio::spawn(async move { tokio::io::copy(&mut far_in, &mut near_out).await });
            }
        });
        Self { url: own, writes }
    }

    fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }
}

/// The leader stands still while a call of its is on the wire, for longer than its Lease. Meta got the call.
#[rstest]
#[case::add("phone_numbers", "added")]
#[case::request_code("request_code", "code")]
#[case::verify("verify_code", "verified")]
#[case::register("register", "registered")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stands_still_in_a_call_does_nothing_twice(#[case] edge: &str, #[case] effect: &str) {
    let mut rig = Rig::with_portfolio("lead-stop").await;
    let sandbox = rig.graph_url.clone();
    let tap = Tap::to(&sandbox).await;
    rig.graph_url.clone_from(&tap.url);
    let mut first = Replica::start(&mut rig, &[SHORT]).await;
    first.until_it_leads(Duration::from_secs(20)).await;
    rig.graph_url = sandbox;
    let second = Replica::start(&mut rig, &[SHORT]).await;
    second.until_it_says("200", "stands by").await;
    rig.sandbox.set_hold(Hold::Keep { secs: 15 });
    rig.sandbox.inject(Fault { on: Match::on("POST", edge).times(1), kind: FaultKind::TimeoutAfter });
    rig.channel("support", NUMBER, json!({})).await;
    let (mut asked, mut typed, mut stopped) = (false, false, None);
    let deadline = Instant::now() + Duration::from_secs(110);
    loop {
        assert!(Instant::now() < deadline, "it is never ready\n{}", rig.logs());
        if stopped.is_none() && rig.effects_on(DIGITS).contains(&effect) {
            let silent = Timestamp::now();
            first.process.hang(true);
            second.until_it_takes_over(silent).await;
            stopped = Some(tap.writes());
            first.process.hang(false);
        }
        let status = rig.get("support").await["status"].clone();
        let verified = condition(&status, "NumberVerified").cloned().unwrap_or_default();
        if !asked && verified["reason"] == "CodeNeeded" {
            rig.annotate("support", "send-code", "one").await;
            asked = true;
        }
        let waits = ["CodeAwaited", "CodeMayHaveBeenSent"].iter().any(|reason| verified["reason"] == *reason);
        if !typed && waits {
            rig.type_code("support", NUMBER).await;
            typed = true;
        }
        if condition(&status, "Ready").is_some_and(|ready| ready["status"] == "True") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(second.leads().await && !first.leads().await);
    assert!(
        stopped.is_some_and(|writes| writes > 0),
        "the call came from the one that stood still: {stopped:?}"
    );
    first.until_it_says("200", "stands by").await;
    assert!(
        first.logged("leading no more") > second.first_logged(" leading "),
        "it found out when it woke up"
    );
    let calls = first.calls().await;
    rig.look("support", "after all").await;
    assert_eq!(first.calls().await, calls, "it does nothing any more");
    assert_eq!(Some(tap.writes()), stopped, "since another one leads it has sent no write");
    let mut effects = rig.effects_on(DIGITS);
    effects.sort_unstable();
    assert_eq!(effects, ["added", "code", "registered", "verified"]);
}

/// A registration is on the wire when the API server goes away, and Meta refuses it meanwhile.
async fn refused_while_the_api_server_is_away(rig: &Rig, name: &str, id: &str, number: &str) {
    let digits = number.trim_start_matches('+');
    rig.sandbox.add_number(Number::new(id, ACCOUNT, digits, "Acme Support"));
    rig.channel(name, number, json!({"accountId": ACCOUNT})).await;
    rig.until_condition(name, "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate(name, "send-code", "one").await;
    rig.until_condition(name, "NumberVerified", "False", Some("CodeAwaited")).await;
    rig.type_code(name, number).await;
    let intent = |s: &Value| s["memory"]["inFlight"]["step"] == "Register";
    rig.until(name, "an intent", Duration::from_secs(60), intent).await;
    // The leader has to hear that it stands, or nothing is sent.
    tokio::time::sleep(Duration::from_millis(500)).await;
    rig.plane.kill_api_server().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(registrations(rig, id), 1);
}

/// Calls for one number that register it.
fn registrations(rig: &Rig, id: &str) -> usize {
    let calls = rig.sandbox.calls();
    calls.iter().filter(|call| call.path == "/{phone}/register" && call.id.as_deref() == Some(id)).count()
}

/// Waits until the refusal stands in the status, and not what somebody decided from the intent.
async fn until_it_is_known(rig: &Rig, name: &str) {
    let known = |s: &Value| s["memory"]["inFlight"].is_null();
    let status = rig.until(name, "the outcome", Duration::from_secs(45), known).await["status"].clone();
    let last = &status["memory"]["ledger"]["registrations"][0];
    assert_eq!(
        (&last["outcome"], &last["refusal"]["code"]),
        (&json!("Refused"), &json!(133_005)),
        "{status:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_answered_to_one_replica_while_the_api_server_was_away_counts_for_the_other() {
    let mut rig = Rig::apart("lead-away").await;
    let (mut first, mut second) = pair(&mut rig, &[SHORT]).await;
    let refusal = json!({"error": {"message": "(#133005) Two step verification PIN Mismatch", "type": "OAuthException",
        "code": 133_005, "fbtrace_id": "AfakeTrace"}});
    for kind in [FaultKind::Latency { ms: 4_000 }, FaultKind::Error { envelope: refusal }] {
        rig.sandbox.inject(Fault { on: Match::on("POST", "register"), kind });
    }

    // The one that has the answer gave up to write it, and the other one works when it wakes up.
    let (id, number) = ("100000000000911", "+5511917000011");
    refused_while_the_api_server_is_away(&rig, "support", id, number).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    first.process.hang(true);
    rig.plane.start_api_server().await.expect("it starts again");
    second.until_it_leads(Duration::from_secs(30)).await;
    first.process.hang(false);
    until_it_is_known(&rig, "support").await;
    assert!(second.leads().await && !first.leads().await, "it was written without the Lease");
    let status = rig.look("support", "after all").await["status"].clone();
    let registered = condition(&status, "Registered").expect("it is told");
    assert_eq!(registered["reason"], "PinMismatch", "{status:#}");

    // One that is asked to end meanwhile goes on for as long as its pod is given.
    let (other, number) = ("100000000000912", "+5511917000012");
    refused_while_the_api_server_is_away(&rig, "sales", other, number).await;
    second.process.terminate();
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(second.process.is_running(), "it knows what nobody else does:\n{}", second.process.output());
    rig.plane.start_api_server().await.expect("it starts again");
    until_it_is_known(&rig, "sales").await;
    let ended = second.process.wait(Duration::from_secs(30)).await;
    assert!(ended.is_some_and(|status| status.success()), "{}", second.process.output());
    assert_eq!([id, other].map(|id| registrations(&rig, id)), [1, 1]);
}

/// What was sent of a picture to Meta.
fn sent_of_a_picture(rig: &Rig) -> Vec<String> {
    let sent = rig.sandbox.calls().into_iter().filter(|call| call.method == "POST");
    let paths = sent.map(|call| call.path);
    paths.filter(|path| path.contains("upload") || path.contains("profile")).collect()
}

/// The first of three requests is on the wire, and its answer comes when another one leads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stands_still_in_an_upload_sends_no_more_of_it_when_another_leads() {
    let mut rig = Rig::with_portfolio("lead-upload").await;
    let number = Number::new("100000000000901", ACCOUNT, DIGITS, "Acme Support").registered("271828");
    rig.sandbox.add_number(number);
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "acme-logo"},
        "binaryData": {"logo.png": ByteString(png(640, 640))},
    }))
    .await;
    let (mut first, second) = pair(&mut rig, &[SHORT]).await;
    let slow = FaultKind::Latency { ms: 12_000 };
    rig.sandbox.inject(Fault { on: Match::on("POST", "uploads").times(1), kind: slow });
    let source = json!({"configMapKeyRef": {"name": "acme-logo", "key": "logo.png"}});
    rig.channel("support", NUMBER, json!({"profile": {"pictureRef": source}})).await;
    let intent = |s: &Value| s["memory"]["inFlight"]["step"] == "WritePicture";
    rig.until("support", "an intent", Duration::from_secs(30), intent).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let silent = Timestamp::now();
    first.process.hang(true);
    second.until_it_takes_over(silent).await;
    first.process.hang(false);

    let not_sent = "not sent: this process may not write to Meta any more";
    assert!(first.process.wait_for_output(not_sent, Duration::from_secs(15)).await, "{}", rig.logs());
    assert!(second.leads().await && !first.leads().await);
    assert_eq!(sent_of_a_picture(&rig), ["/{app}/uploads"], "{}", rig.logs());
    let outcome = |s: &Value| s["memory"]["ledger"]["pictures"][0]["outcome"].clone();
    let told = |s: &Value| outcome(s) == "NotSent" && s["memory"]["inFlight"].is_null();
    rig.until("support", "the outcome", Duration::from_secs(5), told).await;
    // The next leader begins anew, a minute later.
    rig.until_condition("support", "ProfileSynced", "True", None).await;
    let whole = ["/{app}/uploads", "/{app}/uploads", "/{upload}", "/{phone}/whatsapp_business_profile"];
    assert_eq!(sent_of_a_picture(&rig), whole);
    assert!(first.logged("leading no more") > second.first_logged(" leading "));
}

/// How a way to the API server is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Open,
    /// Nothing goes through, nothing says so, and what was under way is lost.
    Cut,
    /// Answers to large requests, as to writes of a status, come once it is open again.
    AnswersHeld,
}

/// Bytes of a request that is large. Those about a Lease or a Secret are not.
const MUCH: usize = 2048;

#[derive(Clone, Copy, PartialEq)]
enum Goes {
    There,
    Back,
}

/// A way to the API server.
struct Way {
    at: SocketAddr,
    state: watch::Sender<State>,
}

impl Way {
    async fn to(url: &str) -> Self {
        let to = url.trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("a bound port");
        let (state, is) = watch::channel(State::Open);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&to).await else { continue };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                let much = Arc::new(AtomicBool::new(false));
                tokio::spawn(carry(near_in, far_out, Goes::There, much.clone(), is.clone()));
                tokio::spawn(carry(far_in, near_out, Goes::Back, much, is.clone()));
            }
        });
        Self { at, state }
    }

    /// The operator's kubeconfig that leads along this way.
    async fn kubeconfig(&self, rig: &Rig) -> PathBuf {
        let path = rig.plane.service_account_kubeconfig(&rig.namespace, rig.account_name()).await;
        let text = std::fs::read_to_string(&path).expect("it is there");
        let along = text.replace(rig.plane.url(), &format!("https://{}", self.at));
        assert_ne!(along, text);
        let own = path.with_extension("along.kubeconfig");
        std::fs::write(&own, along).expect("it can be written");
        own
    }
}

/// What came in a cut is gone, and so is the connection once it is over. Each connection knows whether much was asked.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    goes: Goes,
    asked_much: Arc<AtomicBool>,
    mut state: watch::Receiver<State>,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if goes == Goes::There {
            asked_much.store(count >= MUCH, Ordering::Relaxed);
        }
        let holds = |state: &State| match state {
            State::Open => false,
            State::Cut => true,
            State::AnswersHeld => goes == Goes::Back && asked_much.load(Ordering::Relaxed),
        };
        let was_cut = *state.borrow() == State::Cut;
        let opens = state.wait_for(|state| !holds(state)).await.is_ok();
        if was_cut || !opens || to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
}

/// A way, and an operator that leads along it.
async fn leader_along(rig: &mut Rig) -> (Way, Replica) {
    let way = Way::to(rig.plane.url()).await;
    let (health, kubeconfig) = (free_address(), way.kubeconfig(rig).await);
    let flags = ["--health-listen", &health.to_string(), "--leader-election", SHORT];
    let first = Replica { process: rig.spawn_with(&kubeconfig, &flags), health };
    first.until_it_leads(Duration::from_secs(20)).await;
    (way, first)
}

/// It wakes up with the intent in its hands, and there would be time left to send it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stands_still_between_intent_and_call_sends_nothing_when_another_leads() {
    let mut rig = Rig::with_portfolio("lead-late").await;
    let (way, mut first) = leader_along(&mut rig).await;
    let second = Replica::start(&mut rig, &[SHORT]).await;
    second.until_it_says("200", "stands by").await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    way.state.send_replace(State::AnswersHeld);
    rig.annotate("support", "send-code", "one").await;
    let intent = |s: &Value| s["memory"]["inFlight"]["step"] == "RequestCode";
    let standing = rig.until("support", "an intent", Duration::from_secs(10), intent).await;
    let silent = Timestamp::now();
    first.process.hang(true);
    second.until_it_takes_over(silent).await;
    let send_before = &standing["status"]["memory"]["inFlight"]["sendBefore"];
    let send_before: Timestamp = send_before.as_str().and_then(|at| at.parse().ok()).expect("a time");
    let woken = Timestamp::now();
    first.process.hang(false);
    way.state.send_replace(State::Open);
    assert!(woken < send_before, "it is so late that the intent itself forbids it: {woken} {send_before}");

    let not_sent = "not sent: this process may not work any more";
    assert!(first.process.wait_for_output(not_sent, Duration::from_secs(5)).await, "{}", rig.logs());
    // That is known from then on, and the step is not open any more.
    let told = |s: &Value| s["memory"]["inFlight"].is_null();
    let status = rig.until("support", "the outcome", Duration::from_secs(5), told).await["status"].clone();
    assert_eq!(status["memory"]["ledger"]["codes"][0]["outcome"], "NotSent", "{status:#}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(first.calls_of("request_code").await, 0);
    assert!(second.leads().await && !first.leads().await);
    assert_eq!(rig.effects_on(DIGITS), ["added"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_from_the_api_server_stops_before_another_begins() {
    let mut rig = Rig::with_portfolio("lead-cut").await;
    rig.flags = vec!["--list-freshness".into(), "1s".into()];
    let (way, first) = leader_along(&mut rig).await;
    let second = Replica::start(&mut rig, &[SHORT]).await;
    second.until_it_says("200", "stands by").await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.onboard("support", NUMBER).await;
    let calls = first.calls().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(first.calls().await > calls, "it looks at Meta all the time");

    let cut = Timestamp::now();
    way.state.send_replace(State::Cut);
    second.until_it_takes_over(cut).await;
    assert!(!first.leads().await);
    let stopped = [first.logged("leading no more"), first.logged("ending the work")];
    let began = [second.logged(" leading "), second.logged("work: working")];
    let (last, next) = (stopped.into_iter().max(), began.into_iter().min());
    assert!(last < next, "stopped {stopped:?}, began {began:?}");
    assert!(stopped[0].duration_since(cut) < SignedDuration::from_millis(4_500), "{stopped:?} after {cut}");
    let calls = (first.calls().await, second.calls().await);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(first.calls().await, calls.0, "Meta can be reached by it, and it does not call");
    assert!(second.calls().await > calls.1);

    way.state.send_replace(State::Open);
    first.until_it_says("200", "stands by").await;
    assert!(second.leads().await && !first.leads().await);
    assert_eq!(rig.effects_on(DIGITS), ["added", "code", "verified", "registered"]);
}

/// The clocks of two nodes may differ, also by more than a Lease lasts.
#[rstest]
#[case::of_a_clock_that_is_late(-300)]
#[case::of_a_clock_that_is_early(300)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_judged_by_the_time_since_it_was_seen(#[case] off: i64) {
    let mut rig = Rig::with_portfolio("lead-clock").await;
    let (holder, off) = ("other-pod_0123456789abcdef", SignedDuration::from_secs(off));
    hold_by_hand(&rig, holder, 6, off).await;
    let own = Replica::start(&mut rig, &[SHORT]).await;
    own.until_it_says("200", holder).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!own.leads().await, "the holder renews it");
        hold_by_hand(&rig, holder, 6, off).await;
    }
    let took = own.until_it_leads(Duration::from_secs(20)).await;
    assert!(took > Duration::from_millis(5_500) && took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_a_stranger_renews_is_told_and_left_alone() {
    let mut rig = Rig::with_portfolio("lead-other").await;
    hold_by_hand(&rig, "somebody", 6, SignedDuration::ZERO).await;
    let mut own = Replica::start(&mut rig, &[SHORT]).await;
    let said = own.until_it_says("200", "held by somebody").await;
    assert!(
        said.contains("no replica of this operator") && said.contains("--leader-election-name"),
        "{said}"
    );
    assert!(own.process.output().contains("held by somebody"), "the log says it too");
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        hold_by_hand(&rig, "somebody", 6, SignedDuration::ZERO).await;
    }
    assert!(own.process.is_running() && !own.leads().await);
    assert!(rig.sandbox.calls().is_empty());
    own.until_it_leads(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_rights_to_the_lease_nothing_is_done_and_the_remedy_is_told() {
    let mut rig = Rig::with_portfolio("lead-rights").await;
    let binding = rig.get_of("RoleBinding", "whatsapp-operator-lease").await;
    let delete = ["delete", "rolebinding", "whatsapp-operator-lease", "-n", &rig.namespace];
    assert!(rig.plane.kubectl(delete).await.status.success());
    let mut own = Replica::start(&mut rig, &[SHORT]).await;
    let remedy = "let the operator's ServiceAccount create Leases";
    let said = own.until_it_says("503", remedy).await;
    assert!(said.contains(&format!("Lease {NAME} in namespace {}", rig.namespace)), "{said}");
    // Logs are written beside the work.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(own.process.output().contains(remedy), "the log says it too");
    assert!(own.process.is_running() && rig.sandbox.calls().is_empty());
    let again = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "whatsapp-operator-lease"},
        "roleRef": binding["roleRef"], "subjects": binding["subjects"],
    });
    rig.apply(&again).await;
    own.until_it_says("200", "this replica leads").await;
}
