//! A world to prove things in: Meta, a cluster, people, and operators that may die.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use whatsapp_operator::engine::{
    condition::ConditionSet,
    condition_type::ConditionType,
    desired::{
        Access, AppData, CodeRequest, Connection, Deletion, Desired, DesiredConsents, DesiredProfile,
        DriftPolicy, Management, OfficialApplication, PictureSource, PinPolicy, PortfolioRef, ReadyWhen,
        Registration, SecretKey, Verification, VerificationMethod, Webhook, WhileNameInReview,
    },
    failure::{Failure, Refusal},
    farewell::Farewell,
    id::{AccountId, AppId, BusinessId, Fact, NumberId},
    limits::Limits,
    look::{Look, Urgency},
    memory::Ledger,
    observed::{Account, Claim, Official, PortfolioState, ProcessFacts, Profile, Subscribed, Username},
    outcome::Accepted,
    phone::E164,
    picture::PictureKind,
    portfolio::{AppSubscription, BusinessFacts, Hold, PortfolioView, Reach, Reachable, TokenFacts},
    reason::Reason,
    spelling::Canonical,
    status::{Stage, WaitingFor},
    step::{CodeMethod, StepKind},
};
use whatsapp_operator::{
    api::{lower, v1alpha1::WhatsAppChannelStatus},
    meta::{
        client::{GraphClient, Meta},
        port::{Credential, Graph, GraphSource, Listing, NumberList, Spent, ToldUsage},
        settings::Settings,
        transport::install_crypto,
    },
    run::{
        attempts::{Attempts, AttemptsRead, NotKept},
        may_work::MayWork,
        pass::{
            Done, Ids, Input, Live, PassError, ReadError, Record, Records, Shell, WriteError, no_other, pass,
        },
        picture::PictureBytes,
        secret::{SecretRead, Secrets},
    },
    sandbox::{self, CallRecord, Effect, Options, ReviewPolicy, Sandbox, What},
    twin::{self, Fleeting, Standing, VirtualClock},
};

pub use whatsapp_operator::twin::Status;

pub const BUSINESS: &str = "500000000000001";
pub const ACCOUNT: &str = "300000000000001";
pub const APP: &str = "200000000000001";
pub const DIGITS: &str = "5511912345678";
pub const CHANNEL: &str = "support-br";
pub const NAMESPACE: &str = "shop-br";

/// Half of what a call takes: nothing happens at one and the same instant.
const MOMENT: Duration = Duration::from_millis(2);
pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const DAY: Duration = Duration::from_secs(86_400);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A channel as most tests want it: everything managed.
pub fn channel() -> Desired {
    Desired {
        name: CHANNEL.into(),
        namespace: NAMESPACE.into(),
        uid: "uid-1".into(),
        generation: 1,
        portfolio: PortfolioRef { namespace: NAMESPACE.into(), name: "acme".into() },
        account: None,
        number: E164::parse(&format!("+{DIGITS}")).unwrap(),
        display_name: "Acme Suporte".into(),
        connection: Connection::CloudApi,
        syncs: Vec::new(),
        verification: Verification {
            method: VerificationMethod::Auto,
            language: "pt_BR".into(),
            request: CodeRequest::OnDemand,
            code_secret: SecretKey { name: format!("{CHANNEL}-code"), key: "code".into() },
        },
        registration: Registration {
            pin_secret: SecretKey { name: format!("{CHANNEL}-pin"), key: "pin".into() },
            is_pin_named: true,
            storage_region: None,
            may_move: false,
            pin_policy: PinPolicy::Keep,
            while_name_in_review: WhileNameInReview::TryOnce,
        },
        profile: DesiredProfile {
            about: Some("We answer".into()),
            websites: Some(vec!["https://acme.example".into()]),
            ..DesiredProfile::default()
        },
        picture: None,
        time_zone: None,
        username: None,
        official: None,
        webhook: Some(Webhook {
            callback_url: "https://bot.acme.example/wa".into(),
            verify_token: SecretKey { name: "bot".into(), key: "verify".into() },
        }),
        ready_when: ReadyWhen::Registered,
        management: Management::Full,
        drift: DriftPolicy::Enforce,
        interval: None,
        suspend: false,
        deletion: Deletion::default(),
        consents: DesiredConsents::default(),
    }
}

/// The same with nothing but the number: shorter, for tests that repeat it often.
pub fn plain_channel() -> Desired {
    Desired { profile: DesiredProfile::default(), webhook: None, ..channel() }
}

/// Another number in the same account.
pub fn sibling(digits: &str) -> Desired {
    let name = format!("other-{digits}");
    let mut other = plain_channel();
    other.number = E164::parse(&format!("+{digits}")).unwrap();
    other.verification.code_secret.name = format!("{name}-code");
    other.registration.pin_secret.name = format!("{name}-pin");
    other.uid = format!("uid-{digits}");
    other.name = name;
    other
}

/// One write of a status, as an audit log has it.
#[derive(Clone, Debug)]
pub struct Written {
    pub channel: String,
    pub status: Arc<WhatsAppChannelStatus>,
}

/// The cluster, and what an audit log has of it.
pub struct Cluster {
    twin: Arc<twin::Cluster>,
    written: Mutex<Vec<Written>>,
    pins_created: AtomicUsize,
}

impl Deref for Cluster {
    type Target = twin::Cluster;

    fn deref(&self) -> &twin::Cluster {
        &self.twin
    }
}

impl Cluster {
    fn new(sandbox: Sandbox) -> Self {
        let twin = Arc::new(twin::Cluster::new(VirtualClock(sandbox)));
        Self { twin, written: Mutex::default(), pins_created: AtomicUsize::new(0) }
    }

    /// Changes a spec through a new generation.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Desired)) {
        let mut desired = (*self.desired(name)).clone();
        change(&mut desired);
        desired.generation += 1;
        self.apply(desired);
    }

    /// Changes annotations: a new version, the same generation.
    pub fn annotate(&self, name: &str, change: impl FnOnce(&mut DesiredConsents)) {
        let mut desired = (*self.desired(name)).clone();
        change(&mut desired.consents);
        self.apply(desired);
    }

    /// Another writer changes something that we do not read.
    pub fn touch(&self, name: &str) {
        let desired = (*self.desired(name)).clone();
        self.apply(desired);
    }

    /// Another version of the operator wrote this.
    pub fn overwrite(&self, name: &str, status: serde_json::Value) {
        self.twin.overwrite(name, serde_json::from_value(status).unwrap());
    }

    /// Status and reason of `Ready`, without reading the rest.
    pub fn ready(&self, name: &str) -> (bool, Option<Reason>) {
        let raw = self.raw(name);
        let ready = raw.conditions.iter().find(|c| c.type_ == "Ready");
        (ready.is_some_and(|c| c.status == "True"), ready.and_then(|c| Reason::from_name(&c.reason)))
    }

    /// Every write of status so far, in order.
    pub fn written(&self) -> Vec<Written> {
        lock(&self.written).clone()
    }

    pub fn written_count(&self) -> usize {
        lock(&self.written).len()
    }

    /// A write that is audited.
    fn write(
        &self,
        name: &str,
        uid: &str,
        record: &Record,
        expected: &Standing,
    ) -> Result<Standing, WriteError> {
        let standing = self.twin.write(name, uid, record, expected)?;
        if !standing.is(expected) {
            lock(&self.written).push(Written { channel: name.into(), status: standing.status().clone() });
        }
        Ok(standing)
    }

    /// A tool changes a label: a new version with the same values.
    pub fn touch_secret(&self, key: &SecretKey) {
        if let SecretRead::Found { value: Some(value), is_verify_token, .. } = self.read_secret(key) {
            self.put_secret(key, value.expose_secret(), is_verify_token);
        }
    }

    pub fn pins_created(&self) -> usize {
        self.pins_created.load(Ordering::Relaxed)
    }

    fn create_pin(&self, key: &SecretKey) {
        if self.twin.create_pin(key) {
            self.pins_created.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What happens to a write of status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    CrashBefore,
    CrashAfter,
    /// Another writer changed the object in between.
    Conflict,
    /// The write landed, its answer did not.
    TimeoutLanded,
    TimeoutLost,
    /// The API server refuses, once.
    Error,
}

/// What happens to a call of the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    CrashBefore,
    CrashAfter,
}

/// Where an operator can be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    Write,
    AfterWrite,
    ReadLive,
    Call(&'static str),
    AfterCall(&'static str),
    Secret,
}

/// The one accident of a run, and what was counted on the way to it.
#[derive(Debug, Default)]
pub struct Accident {
    pub write: Option<(usize, WriteFault)>,
    pub call: Option<(usize, CallFault)>,
    pub writes: usize,
    pub calls: Vec<&'static str>,
    pub fired: bool,
}

/// Asks for leave to go on.
pub struct Turn {
    pub process: usize,
    pub point: Point,
    pub at: Timestamp,
    pub go: oneshot::Sender<()>,
}

/// What passes return to the scheduler.
pub enum Told {
    Turn(Turn),
    Finished(usize, Box<Result<Done, PassError>>),
}

/// One process' way to the outside: may count, may kill, may wait for its turn.
#[derive(Clone)]
pub struct Gate {
    process: usize,
    sandbox: Sandbox,
    accident: Arc<Mutex<Accident>>,
    alive: Arc<watch::Sender<bool>>,
    turns: Option<mpsc::UnboundedSender<Told>>,
}

impl Gate {
    fn new(
        process: usize,
        sandbox: Sandbox,
        accident: Arc<Mutex<Accident>>,
        turns: Option<mpsc::UnboundedSender<Told>>,
    ) -> Self {
        Self { process, sandbox, accident, alive: Arc::new(watch::Sender::new(true)), turns }
    }

    /// From now on nothing of this process happens any more.
    pub fn kill(&self) {
        self.alive.send_replace(false);
    }

    async fn died(&self) {
        let mut alive = self.alive.subscribe();
        let _ = alive.wait_for(|alive| !alive).await;
    }

    async fn pass(&self, point: Point) {
        if let Some(turns) = &self.turns {
            let (go, wait) = oneshot::channel();
            let at = self.sandbox.now();
            if turns.send(Told::Turn(Turn { process: self.process, point, at, go })).is_ok() {
                let _ = wait.await;
            }
        }
        self.live().await;
    }

    /// Returns while the process runs; waits without end when it was killed.
    async fn live(&self) {
        if !*self.alive.borrow() {
            std::future::pending::<()>().await;
        }
    }

    async fn write_fault(&self) -> Option<WriteFault> {
        self.pass(Point::Write).await;
        let mut accident = lock(&self.accident);
        accident.writes += 1;
        let (_, fault) = accident.write.filter(|(nth, _)| *nth == accident.writes)?;
        accident.fired = true;
        Some(fault)
    }

    fn call_fault(&self, call: &'static str) -> Option<CallFault> {
        let mut accident = lock(&self.accident);
        accident.calls.push(call);
        let (_, fault) = accident.call.filter(|(nth, _)| *nth == accident.calls.len())?;
        accident.fired = true;
        Some(fault)
    }

    async fn die(&self) {
        self.kill();
        std::future::pending::<()>().await;
    }

    /// A call with everything that can go wrong around it.
    async fn call<T>(&self, name: &'static str, call: impl Future<Output = T>) -> T {
        self.pass(Point::Call(name)).await;
        let fault = self.call_fault(name);
        if fault == Some(CallFault::CrashBefore) {
            self.die().await;
        }
        self.sandbox.advance(MOMENT);
        let answer = call.await;
        self.sandbox.advance(MOMENT);
        if fault == Some(CallFault::CrashAfter) {
            self.die().await;
        }
        self.pass(Point::AfterCall(name)).await;
        answer
    }
}

/// The status of one channel, through one process' gate.
pub struct Shelf {
    cluster: Arc<Cluster>,
    name: String,
    uid: String,
    gate: Gate,
}

impl Records for Shelf {
    type Version = Standing;

    fn name(version: &Standing) -> String {
        version.name()
    }

    fn shows(&self, version: &Standing, record: &Record) -> bool {
        **version.status() == lower::status(&record.assessment, &record.memory, Some(version.status()))
    }

    async fn write(&self, record: &Record, expected: &Standing) -> Result<Standing, WriteError> {
        let fault = self.gate.write_fault().await;
        match fault {
            Some(WriteFault::CrashBefore) => self.gate.die().await,
            Some(WriteFault::Conflict) => self.cluster.touch(&self.name),
            Some(WriteFault::TimeoutLost) => return Err(WriteError::Timeout("none".into())),
            Some(WriteFault::Error) => return Err(WriteError::Other("etcd has no leader".into())),
            _ => {}
        }
        let written = self.cluster.write(&self.name, &self.uid, record, expected);
        match fault {
            Some(WriteFault::CrashAfter) => self.gate.die().await,
            Some(WriteFault::TimeoutLanded) => return Err(WriteError::Timeout("none".into())),
            _ => {}
        }
        self.gate.pass(Point::AfterWrite).await;
        written
    }

    async fn read_live(&self) -> Result<Live<Standing>, ReadError> {
        self.gate.pass(Point::ReadLive).await;
        self.cluster.read(&self.name, 0).ok_or(ReadError::Gone)
    }
}

/// The attempts of one number, through one process' gate.
struct Folder {
    twin: twin::Folder,
    gate: Gate,
    second: Option<Box<Folder>>,
}

impl Attempts for Folder {
    async fn read(&self) -> AttemptsRead {
        self.gate.call("read_attempts", self.twin.read()).await
    }

    async fn keep(&self, own: &Ledger, limits: &Limits, now: Timestamp) -> Result<Ledger, NotKept> {
        self.gate.call("keep_attempts", self.twin.keep(own, limits, now)).await
    }

    fn place(&self) -> Option<String> {
        self.twin.place()
    }

    fn with_operator(&self) -> Option<&Self> {
        self.second.as_deref()
    }
}

/// The Secrets of the namespace, through one process' gate.
pub struct Drawer {
    cluster: Arc<Cluster>,
    gate: Gate,
}

impl Secrets for Drawer {
    async fn read(&self, key: &SecretKey) -> SecretRead {
        self.gate.pass(Point::Secret).await;
        self.cluster.read_secret(key)
    }

    async fn picture(&self, source: &PictureSource) -> PictureBytes {
        self.gate.pass(Point::Secret).await;
        self.cluster.read_picture(source)
    }

    async fn create_pin(&self, key: &SecretKey) -> Result<(), String> {
        self.gate.call("create_pin", async { self.cluster.create_pin(key) }).await;
        Ok(())
    }
}

/// The real client, through one process' gate.
#[derive(Clone)]
pub struct Mortal {
    graph: GraphClient,
    gate: Gate,
}

impl Graph for Mortal {
    async fn debug_token(&self) -> Result<TokenFacts, Failure> {
        self.gate.call("debug_token", self.graph.debug_token()).await
    }

    async fn business(&self, urgency: Urgency) -> Result<BusinessFacts, Failure> {
        self.gate.call("business", self.graph.business(urgency)).await
    }

    async fn owned_accounts(&self, not_before: Timestamp, urgency: Urgency) -> Listing {
        self.gate.call("owned_accounts", self.graph.owned_accounts(not_before, urgency)).await
    }

    async fn client_accounts(&self, not_before: Timestamp, urgency: Urgency) -> Listing {
        self.gate.call("client_accounts", self.graph.client_accounts(not_before, urgency)).await
    }

    async fn account(
        &self,
        account: &AccountId,
        not_before: Timestamp,
        urgency: Urgency,
    ) -> Result<Arc<Account>, Failure> {
        self.gate.call("account", self.graph.account(account, not_before, urgency)).await
    }

    async fn numbers(
        &self,
        account: &AccountId,
        not_before: Timestamp,
        urgency: Urgency,
    ) -> Result<Arc<NumberList>, Failure> {
        self.gate.call("numbers", self.graph.numbers(account, not_before, urgency)).await
    }

    async fn subscribed(
        &self,
        account: &AccountId,
        not_before: Timestamp,
        urgency: Urgency,
    ) -> Result<Subscribed, Failure> {
        self.gate.call("subscribed", self.graph.subscribed(account, not_before, urgency)).await
    }

    async fn app_subscription(&self) -> Result<Option<AppSubscription>, Failure> {
        self.gate.call("app_subscription", self.graph.app_subscription()).await
    }

    async fn set_app_webhook(
        &self,
        url: &str,
        verify_token: &SecretString,
        fields: &[String],
    ) -> Result<(), Failure> {
        self.gate.call("set_app_webhook", self.graph.set_app_webhook(url, verify_token, fields)).await
    }

    async fn profile(
        &self,
        account: &AccountId,
        number: &NumberId,
        max_age: Duration,
        urgency: Urgency,
    ) -> Result<Profile, Failure> {
        self.gate.call("profile", self.graph.profile(account, number, max_age, urgency)).await
    }

    async fn add_number(&self, account: &AccountId, number: &E164, name: &str) -> Result<Accepted, Failure> {
        self.gate.call("add_number", self.graph.add_number(account, number, name)).await
    }

    async fn request_code(
        &self,
        account: &AccountId,
        number: &NumberId,
        method: CodeMethod,
        language: &str,
    ) -> Result<Accepted, Failure> {
        self.gate.call("request_code", self.graph.request_code(account, number, method, language)).await
    }

    async fn verify_code(
        &self,
        account: &AccountId,
        number: &NumberId,
        code: &SecretString,
    ) -> Result<Accepted, Failure> {
        self.gate.call("verify_code", self.graph.verify_code(account, number, code)).await
    }

    async fn submit_name(
        &self,
        account: &AccountId,
        number: &NumberId,
        name: &str,
    ) -> Result<Accepted, Failure> {
        self.gate.call("submit_name", self.graph.submit_name(account, number, name)).await
    }

    async fn set_pin(
        &self,
        account: &AccountId,
        number: &NumberId,
        pin: &SecretString,
    ) -> Result<Accepted, Failure> {
        self.gate.call("set_pin", self.graph.set_pin(account, number, pin)).await
    }

    async fn register(
        &self,
        account: &AccountId,
        number: &NumberId,
        pin: &SecretString,
    ) -> Result<Accepted, Failure> {
        self.gate.call("register", self.graph.register(account, number, pin)).await
    }

    async fn subscribe(&self, account: &AccountId) -> Result<Accepted, Failure> {
        self.gate.call("subscribe", self.graph.subscribe(account)).await
    }

    async fn route_webhook(
        &self,
        account: &AccountId,
        number: &NumberId,
        url: &str,
        verify_token: &SecretString,
    ) -> Result<Accepted, Failure> {
        self.gate.call("route_webhook", self.graph.route_webhook(account, number, url, verify_token)).await
    }

    async fn unroute_webhook(&self, account: &AccountId, number: &NumberId) -> Result<Accepted, Failure> {
        self.gate.call("unroute_webhook", self.graph.unroute_webhook(account, number)).await
    }

    async fn set_storage(
        &self,
        account: &AccountId,
        number: &NumberId,
        region: &str,
    ) -> Result<Accepted, Failure> {
        self.gate.call("set_storage", self.graph.set_storage(account, number, region)).await
    }

    async fn start_sync(
        &self,
        account: &AccountId,
        number: &NumberId,
        sync: AppData,
    ) -> Result<Accepted, Failure> {
        self.gate.call("start_sync", self.graph.start_sync(account, number, sync)).await
    }

    async fn deregister(&self, account: &AccountId, number: &NumberId) -> Result<Accepted, Failure> {
        self.gate.call("deregister", self.graph.deregister(account, number)).await
    }

    async fn write_profile(
        &self,
        account: &AccountId,
        number: &NumberId,
        fields: &DesiredProfile,
    ) -> Result<Accepted, Failure> {
        self.gate.call("write_profile", self.graph.write_profile(account, number, fields)).await
    }

    async fn has_picture(
        &self,
        account: &AccountId,
        number: &NumberId,
        urgency: Urgency,
    ) -> Result<bool, Failure> {
        self.gate.call("has_picture", self.graph.has_picture(account, number, urgency)).await
    }

    async fn write_picture(
        &self,
        account: &AccountId,
        number: &NumberId,
        bytes: &Bytes,
        kind: PictureKind,
    ) -> Result<Accepted, Failure> {
        self.gate.call("write_picture", self.graph.write_picture(account, number, bytes, kind)).await
    }

    async fn username(
        &self,
        account: &AccountId,
        number: &NumberId,
        max_age: Duration,
        urgency: Urgency,
    ) -> Result<Username, Failure> {
        self.gate.call("username", self.graph.username(account, number, max_age, urgency)).await
    }

    async fn official(
        &self,
        account: &AccountId,
        number: &NumberId,
        max_age: Duration,
        urgency: Urgency,
    ) -> Result<Official, Failure> {
        self.gate.call("official", self.graph.official(account, number, max_age, urgency)).await
    }

    async fn claim_username(
        &self,
        account: &AccountId,
        number: &NumberId,
        username: &str,
        transfer: bool,
    ) -> Result<Accepted, Failure> {
        self.gate.call("claim_username", self.graph.claim_username(account, number, username, transfer)).await
    }

    async fn request_official(
        &self,
        account: &AccountId,
        number: &NumberId,
        application: &OfficialApplication,
    ) -> Result<Accepted, Failure> {
        self.gate.call("request_official", self.graph.request_official(account, number, application)).await
    }

    fn known(&self, look: &Look, number: &Canonical) -> Option<bool> {
        self.graph.known(look, number)
    }

    fn subscribed_known(&self, account: &AccountId) -> Option<Arc<Subscribed>> {
        self.graph.subscribed_known(account)
    }

    fn let_go(&self, account: &AccountId) {
        self.graph.let_go(account);
    }

    fn held_until(&self, account: &AccountId, step: StepKind) -> Option<Timestamp> {
        self.graph.held_until(account, step)
    }

    fn throttled_until(&self, account: Option<&AccountId>) -> Option<Timestamp> {
        self.graph.throttled_until(account)
    }

    fn spent(&self) -> Vec<Spent> {
        self.graph.spent()
    }

    fn told(&self) -> Vec<ToldUsage> {
        self.graph.told()
    }

    fn app_blocked(&self) -> Option<Refusal> {
        self.graph.app_blocked()
    }

    fn refused_fields(&self) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        self.graph.refused_fields()
    }
}

/// One operator process.
pub struct Process {
    pub gate: Gate,
    pub source: Meta,
    shell: Shell<VirtualClock>,
    started: Timestamp,
    channels: BTreeMap<String, Fleeting>,
    /// The next pass is computed from a copy this many versions old.
    pub stale: usize,
}

/// What the people around a channel do, unasked by the test.
#[derive(Clone, Debug)]
pub struct People {
    /// Consents to codes that the phone holder still gives.
    pub consents: usize,
    /// How long they take for anything.
    pub takes: Duration,
    /// Whether codes that arrive are entered.
    pub enters: bool,
}

impl Default for People {
    fn default() -> Self {
        Self { consents: 1, takes: MINUTE, enters: true }
    }
}

/// How a pass ended.
pub enum Ended {
    Done(Box<Done>),
    Failed(PassError),
    Crashed,
}

/// What an event tells of a pass.
fn turn(done: &Done) -> Option<String> {
    let words = |set: &ConditionSet, stage: Option<Stage>, waits: &[WaitingFor]| {
        let ready =
            set.get(ConditionType::Ready).map(|c| format!("{} {}", c.status.as_str(), c.reason.as_str()));
        let waits: Vec<_> = waits.iter().map(|wait| wait.action.as_str()).collect();
        let stage = stage.map_or("-", |stage| stage.as_str());
        format!("Ready {}, {stage}, waits for {waits:?}", ready.unwrap_or_default())
    };
    let (before, after) = (&done.before, &done.after);
    let was = words(&before.conditions, before.stage, &before.waiting_for);
    let is = words(&after.conditions, Some(after.stage), &after.waiting_for);
    (was != is).then_some(is)
}

/// Everything at once.
pub struct World {
    pub sandbox: Sandbox,
    pub cluster: Arc<Cluster>,
    pub limits: Arc<Limits>,
    pub people: People,
    pub accident: Arc<Mutex<Accident>>,
    pub processes: Vec<Process>,
    pub accounts: Vec<&'static str>,
    pub trace: Vec<String>,
    /// What events tell of: a pass after which `Ready`, the stage or the waits are others than before.
    pub told: Vec<String>,
    pub begun: Timestamp,
    pub passes: usize,
    pub consents_given: BTreeMap<String, usize>,
    pub retries_given: BTreeMap<String, usize>,
    /// The business portfolio for which operators keep attempts in their own namespace, too; none where they know of no such
    /// namespace.
    pub second_copy_of: Option<&'static str>,
    /// How long an approved name lives at Meta unless it is registered; then it may be submitted again.
    pub name_lives: Option<Duration>,
    versions_entered: BTreeMap<String, BTreeSet<String>>,
    codes_entered: BTreeMap<String, usize>,
    entry_due: BTreeMap<String, Timestamp>,
    consent_due: BTreeMap<String, Timestamp>,
    address: String,
    /// Channels that may go, and what is told of them.
    pub farewells: BTreeMap<String, Farewell>,
    /// How the portfolio looks from now on, where no channel can act below it.
    pub portfolio: Option<PortfolioState>,
    /// Given to every process that starts from now on.
    pub turns: Option<mpsc::UnboundedSender<Told>>,
    _stop: DropGuard,
}

/// The demo world, its names usable without review, its portfolio with room for twenty numbers.
pub fn options() -> Options {
    Options { review: ReviewPolicy::without_first_review(), ..Options::default() }
}

impl World {
    /// Meta as the demo has it, and one operator.
    pub async fn new() -> Self {
        Self::with(options(), sandbox::World::for_demo()).await
    }

    pub async fn with(options: Options, meta: sandbox::World) -> Self {
        install_crypto();
        let accounts = meta.accounts.keys().map(|id| &*id.clone().leak()).collect();
        let sandbox = Sandbox::from_world(options, meta);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(sandbox.clone().serve(listener, stop.clone()));
        let cluster = Arc::new(Cluster::new(sandbox.clone()));
        let verify = SecretKey { name: "bot".into(), key: "verify".into() };
        cluster.put_secret(&verify, "word-for-the-handshake", true);
        let begun = sandbox.now();
        let mut world = Self {
            sandbox,
            cluster,
            limits: Arc::new(Limits::default()),
            people: People::default(),
            accident: Arc::default(),
            processes: Vec::new(),
            accounts,
            trace: Vec::new(),
            told: Vec::new(),
            begun,
            passes: 0,
            consents_given: BTreeMap::new(),
            retries_given: BTreeMap::new(),
            second_copy_of: None,
            name_lives: None,
            versions_entered: BTreeMap::new(),
            codes_entered: BTreeMap::new(),
            entry_due: BTreeMap::new(),
            consent_due: BTreeMap::new(),
            address,
            farewells: BTreeMap::new(),
            portfolio: None,
            turns: None,
            _stop: stop.drop_guard(),
        };
        world.start();
        world
    }

    /// Starts one more operator.
    pub fn start(&mut self) -> usize {
        let id = self.processes.len();
        let process = self.fresh(id);
        self.processes.push(process);
        id
    }

    /// The process dies and another takes its place; nothing is carried over.
    pub fn restart(&mut self, id: usize) {
        self.processes[id].gate.kill();
        self.processes[id] = self.fresh(id);
    }

    fn fresh(&self, id: usize) -> Process {
        let clock = Arc::new(VirtualClock(self.sandbox.clone()));
        let now = self.sandbox.now();
        Process {
            gate: Gate::new(id, self.sandbox.clone(), self.accident.clone(), self.turns.clone()),
            source: client(&self.address, clock.clone(), &self.limits),
            shell: Shell {
                clock,
                limits: self.limits.clone(),
                ids: Arc::new(Ids::new(self.passes as u64 * 16 + id as u64)),
                tasks: TaskTracker::new(),
                may_work: MayWork::always(),
                budget: Duration::from_secs(30),
                repeats: Arc::default(),
            },
            started: now,
            channels: BTreeMap::new(),
            stale: 0,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.sandbox.now()
    }

    pub fn status(&self) -> Status {
        self.cluster.status(CHANNEL)
    }

    fn view(&self) -> PortfolioState {
        PortfolioState::View(Arc::new(self.usable()))
    }

    /// The Secret with the token is gone, and no process has read it: so the portfolio's own look has it.
    pub fn lose_secret(&mut self) {
        let hold = Hold {
            reason: Reason::SecretMissing,
            message: "there is no Secret acme-meta; create it, with the key token".into(),
            failure: None,
        };
        let view = PortfolioView { credential_version: None, hold: Some(hold), ..self.usable() };
        self.portfolio = Some(PortfolioState::View(Arc::new(view)));
    }

    fn usable(&self) -> PortfolioView {
        PortfolioView {
            namespace: NAMESPACE.into(),
            name: "acme".into(),
            business: BusinessId::from(BUSINESS),
            credential_version: Some("1".into()),
            hold: None,
            lost: None,
            app: Some(AppId::from(APP)),
            token: Fact::NotAsked,
            facts: Fact::NotAsked,
            reach: Reach::Accounts(
                self.accounts
                    .iter()
                    .map(|id| Reachable { id: AccountId::from(*id), name: None, owned: Some(true) })
                    .collect(),
            ),
            expect_country: None,
            access: [Access { namespaces: ["*"].into(), accounts: None }].into(),
            throttled_until: None,
        }
    }

    /// The portfolio's credential, as the operator holds it.
    pub fn credential() -> Credential {
        Credential {
            business: BusinessId::from(BUSINESS),
            version: "1".into(),
            token: SecretString::from(sandbox::DEMO_TOKEN),
            app_secret: Some(SecretString::from(sandbox::DEMO_APP_SECRET)),
            app: Some(AppId::from(APP)),
        }
    }

    /// The pieces of one pass, so that a test can run it by hand.
    pub fn prepare(
        &mut self,
        process: usize,
        name: &str,
    ) -> impl Future<Output = Result<Done, PassError>> + Send + 'static {
        self.passes += 1;
        let is_usable = self.portfolio.is_none();
        let portfolio = self.portfolio.clone().unwrap_or_else(|| self.view());
        let now = self.now();
        let desired = self.cluster.desired(name);
        let process = &mut self.processes[process];
        let live = self.cluster.read(name, std::mem::take(&mut process.stale)).unwrap();
        let fleeting = process.channels.entry(name.into()).or_insert_with(|| Fleeting::new(now));
        let input = Input {
            live,
            is_shown: false,
            claim: Claim::Ours { act_from: None },
            portfolio,
            after_write: fleeting.after_write,
            process: ProcessFacts {
                intents: Some(process.shell.ids.prefix()),
                last_success: fleeting.last_success,
                ..ProcessFacts::new(process.started)
            },
            volatile: fleeting.volatile.clone(),
            unwritten: fleeting.unwritten.clone(),
            is_of_another: no_other(),
            desired: desired.clone(),
        };
        let gate = process.gate.clone();
        let graph =
            is_usable.then(|| Mortal { graph: process.source.graph(Self::credential()), gate: gate.clone() });
        let secrets = Arc::new(Drawer { cluster: self.cluster.clone(), gate: gate.clone() });
        let shell = process.shell.clone();
        let (cluster, number) = (&self.cluster.twin, desired.number.canonical());
        let within =
            |twin, second: Option<Folder>| Folder { twin, gate: gate.clone(), second: second.map(Box::new) };
        let second = self.second_copy_of.map(|of| twin::Folder::of_business(cluster.clone(), of, &number));
        let folder =
            within(twin::Folder::new(cluster.clone(), &number), second.map(|second| within(second, None)));
        let shelf =
            Shelf { cluster: self.cluster.clone(), name: name.into(), uid: desired.uid.clone(), gate };
        async move {
            let kept = (Arc::new(shelf), Arc::new(folder));
            pass(&shell, input, graph, secrets, kept, ()).await
        }
    }

    /// Takes in how a pass ended: when the next one is due, and what the process remembers.
    pub fn note(&mut self, process: usize, name: &str, ended: &Ended) {
        let now = self.now();
        match ended {
            Ended::Crashed => self.restart(process),
            Ended::Done(done) => {
                assert!(done.writes <= 2, "a pass writes status at most twice");
                self.told.extend(turn(done));
                if let Some(farewell) = &done.plan.farewell {
                    self.farewells.insert(name.into(), farewell.clone());
                }
                self.processes[process].channels.get_mut(name).unwrap().took(done, now);
            }
            Ended::Failed(_) => self.processes[process].channels.get_mut(name).unwrap().failed(now),
        }
        self.tell(process, name, ended);
    }

    fn tell(&mut self, process: usize, name: &str, ended: &Ended) {
        let status = self.cluster.raw(name);
        let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
        let mut line = format!(
            "{name}: {} Ready={} {}",
            status.stage.as_deref().unwrap_or("-"),
            ready.map_or("-", |c| c.status.as_str()),
            ready.map_or("-", |c| c.reason.as_str()),
        );
        match ended {
            Ended::Done(done) => {
                if let Some(outcome) = &done.outcome {
                    let result = match &outcome.result {
                        Ok(_) => "accepted".to_owned(),
                        Err(Failure::Refused(r)) => format!("refused {}/{}", r.code, r.subcode.unwrap_or(0)),
                        Err(Failure::NoAnswer(_) | Failure::TooLarge(_)) => "no answer".to_owned(),
                        Err(Failure::NotSent(_)) => "not sent".to_owned(),
                        Err(Failure::Throttled(_) | Failure::NoRoom(_)) => "throttled".to_owned(),
                    };
                    let _ = write!(line, " <- {} {result}", outcome.step.as_str());
                }
            }
            Ended::Failed(error) => {
                let _ = write!(line, " <- failed: {error}");
            }
            Ended::Crashed => line.push_str(" <- crashed"),
        }
        if self.processes.len() > 1 {
            let _ = write!(line, " [{process}]");
        }
        if self.trace.last().is_none_or(|last| !last.ends_with(&line)) {
            self.trace.push(format!("{} {line}", self.since(self.now())));
        }
    }

    /// One pass of one process on one channel.
    pub async fn pass(&mut self, process: usize, name: &str) -> Ended {
        let gate = self.processes[process].gate.clone();
        let pass = self.prepare(process, name);
        let ended = tokio::select! {
            biased;
            () = gate.died() => Ended::Crashed,
            result = pass => match result {
                Ok(done) => Ended::Done(Box::new(done)),
                Err(error) => Ended::Failed(error),
            },
        };
        self.note(process, name, &ended);
        ended
    }

    fn names(&self) -> Vec<String> {
        self.cluster.names()
    }

    pub fn due(&self, process: &Process, name: &str) -> Timestamp {
        process.channels.get(name).map_or(Timestamp::MIN, |f| f.due)
    }

    /// The next moment at which anybody does anything.
    pub fn next_event(&self) -> Option<Timestamp> {
        let names = self.names();
        let passes = self.processes.iter().flat_map(|p| names.iter().map(move |n| self.due(p, n)));
        passes.chain(self.entry_due.values().copied()).chain(self.consent_due.values().copied()).min()
    }

    /// The number's digits as whoever added it wrote them; Meta's record may have another spelling than the spec.
    fn digits_at_meta(&self, desired: &Desired) -> String {
        let digits = desired.number.digits();
        self.sandbox.number(digits).map_or_else(|| digits.to_owned(), |number| number.digits)
    }

    /// Everybody looks around and may decide to do something.
    pub fn people_look(&mut self) {
        let now = self.now();
        for name in self.names() {
            let desired = self.cluster.desired(&name);
            let digits = self.digits_at_meta(&desired);
            let sent = self.count(|what| matches!(what, What::CodeSent { digits: d } if *d == digits));
            if self.people.enters && sent > self.codes_entered.get(&name).copied().unwrap_or(0) {
                self.entry_due.entry(name.clone()).or_insert(later(now, self.people.takes));
            }
            let (_, reason) = self.cluster.ready(&name);
            let given = self.consents_given.get(&name).copied().unwrap_or(0);
            let is_entering = self.entry_due.contains_key(&name);
            // People wait for the answer before they consent again.
            let answer = self.cluster.raw(&name).consents().and_then(|c| c.send_code.clone());
            let wanted = desired.consents.send_code.clone();
            let is_answered = wanted.is_none() || answer.as_ref().map(|a| a.value.clone()) == wanted;
            if asks_for_consent(reason) && !is_entering && is_answered && given < self.people.consents {
                let patience = if reason == Some(Reason::CodeNeeded) && given == 0 { 1 } else { 20 };
                self.consent_due.entry(name.clone()).or_insert(later(now, self.people.takes * patience));
            } else {
                self.consent_due.remove(&name);
            }
        }
    }

    pub fn people_act(&mut self) {
        let now = self.now();
        for name in self.names() {
            if self.entry_due.get(&name).is_some_and(|due| *due <= now) {
                self.entry_due.remove(&name);
                self.enter_code(&name);
            }
            if self.consent_due.get(&name).is_some_and(|due| *due <= now) {
                self.consent_due.remove(&name);
                self.consent(&name);
            }
        }
    }

    /// Writes the code that was delivered into its Secret.
    pub fn enter_code(&mut self, name: &str) {
        let desired = self.cluster.desired(name);
        let digits = self.digits_at_meta(&desired);
        let sent = self.count(|what| matches!(what, What::CodeSent { digits: d } if *d == digits));
        let Some(code) = self.sandbox.delivered_code(&digits) else { return };
        self.codes_entered.insert(name.into(), sent);
        self.enter(name, &code);
    }

    /// Writes these digits into the code Secret, whether or not they are the right ones.
    pub fn enter(&mut self, name: &str, code: &str) {
        let key = self.cluster.desired(name).verification.code_secret.clone();
        self.cluster.put_secret(&key, code, false);
        let version = self.cluster.secret_version(&key.name).unwrap().as_subject();
        self.versions_entered.entry(name.into()).or_default().insert(version);
        self.wake_by_secrets(name);
    }

    /// How many versions of the code were written into its Secret.
    #[allow(dead_code, reason = "only the benchmark asks")]
    pub fn times_entered(&self, name: &str) -> usize {
        self.versions_entered.get(name).map_or(0, BTreeSet::len)
    }

    /// The phone holder will not type what has come so far.
    #[allow(dead_code, reason = "the benchmark does not ask")]
    pub fn throw_code_away(&mut self, name: &str) {
        let desired = self.cluster.desired(name);
        let digits = self.digits_at_meta(&desired);
        let sent = self.count(|what| matches!(what, What::CodeSent { digits: d } if *d == digits));
        self.codes_entered.insert(name.into(), sent);
        self.entry_due.remove(name);
    }

    /// A tool touches the code Secret: another version, the same value.
    pub fn touch_code_secret(&mut self, name: &str) {
        self.cluster.touch_secret(&self.cluster.desired(name).verification.code_secret);
        self.wake_by_secrets(name);
    }

    /// `kubectl delete` of a channel that has a finalizer.
    pub fn delete(&mut self, name: &str) {
        let now = self.now();
        // As the API server keeps it.
        let since = Timestamp::from_second(now.as_second()).unwrap();
        self.cluster.edit(name, |desired| desired.deletion.since = Some(since));
        self.wake(name, Duration::ZERO);
    }

    /// Goes on until the channel may go; gives back how that ended.
    pub async fn run_until_gone(&mut self, name: &str, limit: Duration) -> Option<Farewell> {
        self.run_until(limit, |world| world.farewells.contains_key(name)).await;
        self.farewells.get(name).cloned()
    }

    /// Consents to one code.
    pub fn consent(&mut self, name: &str) {
        let given = self.consents_given.entry(name.into()).or_default();
        *given += 1;
        let value = format!("{name}-please-{given}");
        self.cluster.annotate(name, |consents| consents.send_code = Some(value));
        self.wake(name, Duration::ZERO);
    }

    /// Asks for one more attempt of what waits for a person.
    #[allow(dead_code, reason = "the benchmark does not ask")]
    pub fn retry(&mut self, name: &str) {
        let given = self.retries_given.entry(name.into()).or_default();
        *given += 1;
        let value = format!("{name}-once-more-{given}");
        self.cluster.annotate(name, |consents| consents.retry = Some(value));
        self.wake(name, Duration::ZERO);
    }

    /// The watch tells every process at once.
    pub fn wake(&mut self, name: &str, after: Duration) {
        let at = later(self.now(), after);
        for process in &mut self.processes {
            if let Some(fleeting) = process.channels.get_mut(name) {
                fleeting.wake(at);
            }
        }
    }

    /// Secrets are polled: every 5 s while a code is live.
    pub fn wake_by_secrets(&mut self, name: &str) {
        self.wake(name, Duration::from_secs(5));
    }

    /// Goes on until something holds, at most this long; says whether it holds.
    pub async fn run_until(&mut self, limit: Duration, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let end = later(self.now(), limit);
        let first_pass = self.passes;
        loop {
            if holds(self) {
                return true;
            }
            self.people_look();
            let next = self.next_event().unwrap_or(end).max(self.now());
            if next >= end {
                self.advance_to(end);
                return holds(self);
            }
            self.advance_to(next);
            self.people_act();
            self.run_due().await;
            assert!(self.passes - first_pass < 20_000, "no end of passes:\n{}", self.story());
        }
    }

    async fn run_due(&mut self) {
        let now = self.now();
        for process in 0..self.processes.len() {
            for name in self.names() {
                if self.due(&self.processes[process], &name) <= now {
                    self.pass(process, &name).await;
                }
            }
        }
    }

    /// Goes on for this long.
    pub async fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false).await;
    }

    /// Goes on until every channel is Ready.
    pub async fn run_until_ready(&mut self, limit: Duration) -> bool {
        let names = self.names();
        self.run_until(limit, |world| names.iter().all(|name| world.cluster.ready(name).0)).await
    }

    pub fn advance_to(&self, at: Timestamp) {
        let by = at.duration_since(self.now());
        if by > SignedDuration::ZERO {
            self.sandbox.advance(by.unsigned_abs());
        }
    }

    pub fn effects(&self) -> Vec<Effect> {
        self.sandbox.effects()
    }

    pub fn count(&self, is: impl Fn(&What) -> bool) -> usize {
        self.sandbox.count(is)
    }

    /// A date as the time since the world began, in whole seconds.
    pub fn since(&self, at: Timestamp) -> String {
        let since = at.duration_since(self.begun);
        format!("{:#}", SignedDuration::from_secs(since.as_secs()))
    }

    /// What happened, for the message of a failed test.
    pub fn story(&self) -> String {
        let mut story = String::from("passes:\n");
        for line in self.trace.iter().rev().take(80).rev() {
            let _ = writeln!(story, "  {line}");
        }
        story.push_str("effects at Meta:\n");
        for effect in self.effects() {
            let _ = writeln!(story, "  {} {:?}", self.since(effect.at), effect.what);
        }
        for name in self.names() {
            let status = self.cluster.status(&name);
            let _ = writeln!(story, "memory of {name}: {:#?}", status.memory);
            for c in status.before.conditions.iter() {
                let _ = writeln!(
                    story,
                    "  {}={} {}: {}",
                    c.kind.as_str(),
                    c.status.as_str(),
                    c.reason.as_str(),
                    c.message
                );
            }
        }
        story
    }

    /// The promise P2, counted at Meta.
    pub fn check_nothing_twice(&self) {
        for name in self.names() {
            if let Err(broken) = self.nothing_twice(&name) {
                panic!("{name}: {broken}\n{}", self.story());
            }
        }
    }

    pub fn nothing_twice(&self, name: &str) -> Result<(), String> {
        let desired = self.cluster.desired(name);
        let mine = &*self.digits_at_meta(&desired);
        let added = self.count(|w| matches!(w, What::NumberAdded { digits, .. } if digits == mine));
        if added > 1 {
            return Err(format!("added {added} times"));
        }
        let automatic = usize::from(desired.verification.request == CodeRequest::Automatic);
        let allowed = automatic + self.consents_given.get(name).copied().unwrap_or(0);
        let sent = self.count(|w| matches!(w, What::CodeSent { digits } if digits == mine));
        if sent > allowed {
            return Err(format!("{sent} codes for {allowed} consents"));
        }
        let versions = self.versions_entered.get(name).map_or(0, BTreeSet::len);
        let tried = self.count(|w| matches!(w, What::VerifyAttempt { digits, .. } if digits == mine));
        if tried > versions {
            return Err(format!("{tried} verifications of {versions} versions of the code"));
        }
        let mut names = BTreeMap::new();
        for effect in self.effects() {
            if let What::NameSubmitted { digits, name } = effect.what
                && digits == mine
                && let Some(last) = names.insert(name.clone(), effect.at)
                && self.name_lives.is_none_or(|lives| effect.at < later(last, lives))
            {
                return Err(format!("the name {name} was submitted twice"));
            }
        }
        self.registers_are_paced(mine)?;
        self.calls_do_not_overlap(name, mine)
    }

    /// A registration that took effect is never followed by another unless the number was deregistered or renamed, and one that was refused not within five
    /// minutes, unless the PIN was replaced in between or a person asked.
    fn registers_are_paced(&self, mine: &str) -> Result<(), String> {
        let mut last: Option<(Timestamp, bool)> = None;
        for effect in self.effects() {
            match &effect.what {
                What::Deregistered { digits } if digits == mine => last = None,
                What::NameSubmitted { digits, .. } if digits == mine => {
                    last = last.filter(|(_, accepted)| !accepted);
                }
                What::PinSet { digits } if digits == mine => last = last.filter(|(_, accepted)| *accepted),
                What::RegisterAttempt { digits, accepted } if digits == mine => {
                    match last {
                        Some((_, true)) => return Err("registered again although it was registered".into()),
                        Some((at, false)) if effect.at.duration_since(at) < SignedDuration::from_mins(5) => {
                            return Err("registered again within five minutes of a refusal".into());
                        }
                        _ => {}
                    }
                    last = Some((effect.at, *accepted));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What was sent, whether or not it had an effect: a call whose answer does not say in so many words that
    /// nothing happened may still take effect, so none like it comes before its settle time is over.
    fn calls_do_not_overlap(&self, name: &str, mine: &str) -> Result<(), String> {
        let number = self.sandbox.number(mine).map(|number| number.id);
        let is_alone = self.names().len() == 1;
        let of = |edge: &str, parameter: Option<&str>| -> Vec<CallRecord> {
            let is_mine =
                |call: &CallRecord| call.id == number || (edge == "/{waba}/phone_numbers" && is_alone);
            let has = |call: &CallRecord| parameter.is_none_or(|p| call.parameters.iter().any(|q| q == p));
            let calls = self.sandbox.calls().into_iter();
            calls.filter(|c| c.method == "POST" && c.path == edge && is_mine(c) && has(c)).collect()
        };
        let limits = &self.limits;
        for (what, calls, settle) in [
            ("add", of("/{waba}/phone_numbers", None), limits.settle_add),
            ("registration", of("/{phone}/register", None), limits.settle_register),
            ("name", of("/{phone}", Some("new_display_name")), limits.settle_name),
            ("PIN", of("/{phone}", Some("pin")), limits.settle_other),
        ] {
            for pair in calls.windows(2) {
                let apart = pair[1].at.duration_since(pair[0].at);
                if !is_definite(&pair[0]) && apart < SignedDuration::try_from(settle).unwrap() {
                    let status = pair[0].status;
                    return Err(format!("a second {what} {apart:#} after one that was answered {status:?}"));
                }
            }
        }
        let open = |calls: Vec<CallRecord>| calls.iter().filter(|call| !is_definite(call)).count();
        let consents = self.consents_given.get(name).copied().unwrap_or(0);
        let automatic =
            usize::from(self.cluster.desired(name).verification.request == CodeRequest::Automatic);
        let requests = open(of("/{phone}/request_code", None));
        if requests > consents + automatic {
            return Err(format!(
                "{requests} requests for a code that may have sent one, for {consents} consents"
            ));
        }
        let versions = self.versions_entered.get(name).map_or(0, BTreeSet::len);
        let verifications = open(of("/{phone}/verify_code", None));
        if verifications > versions {
            return Err(format!("{verifications} verifications of {versions} versions of the code"));
        }
        let retries = self.retries_given.get(name).copied().unwrap_or(0);
        let pins = open(of("/{phone}", Some("pin")));
        if pins > 1 + retries {
            return Err(format!(
                "the PIN was replaced {pins} times, asked for once and {retries} times more"
            ));
        }
        Ok(())
    }
}

/// Whether the answer says that nothing happened: an envelope that arrived whole, of a code that is no mishap of
/// Meta's own.
fn is_definite(call: &CallRecord) -> bool {
    const MISHAPS: [i64; 5] = [1, 2, 131_000, 131_016, 133_004];
    let is_lost = |fault: &String| {
        matches!(
            fault.as_str(),
            "timeoutAfter" | "delayedEffect" | "statusAfter" | "truncatedBody" | "hugeBody"
        )
    };
    call.code.is_some_and(|code| !MISHAPS.contains(&code)) && !call.faults.iter().any(is_lost)
}

/// Whether status says that a code is wanted and asks for a consent.
pub fn asks_for_consent(ready: Option<Reason>) -> bool {
    matches!(
        ready,
        Some(
            Reason::CodeNeeded
                | Reason::CodeLapsed
                | Reason::CodeWrong
                | Reason::CodeMayHaveBeenSent
                | Reason::CodeRequestRefused
                | Reason::CodeAwaited
                | Reason::ReverificationNeeded
        )
    )
}

pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap()
}

/// A fresh client, as a fresh process has it.
fn client(address: &str, clock: Arc<VirtualClock>, limits: &Limits) -> Meta {
    let mut settings = Settings::new(limits.clone()).unwrap();
    settings.base_url = address.parse().unwrap();
    Meta::new(settings, clock).unwrap()
}
