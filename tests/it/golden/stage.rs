//! What a case is played on: one channel and its portfolio, their Secrets, the real client and a simulated Meta whose
//! nodes are described in Meta's own words. The only clock is the simulated one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use secrecy::SecretString;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use whatsapp_operator::engine::{
    assess::{
        first,
        portfolio::{PortfolioGiven, PortfolioObserved, assess_portfolio},
    },
    condition::ConditionSet,
    desired::{DesiredPortfolio, PictureSource, SecretKey},
    failure::Failure,
    id::Fact,
    limits::Limits,
    look::Urgency,
    memory::Memory,
    observed::{Claim, PortfolioState, ProcessFacts},
    portfolio::{PortfolioView, granted},
    secret::{SecretFact, SecretVersion},
    status::WaitingFor,
};
use whatsapp_operator::{
    api::{
        lower,
        v1alpha1::{ChannelCounts, WhatsAppChannel, WhatsAppChannelStatus, WhatsAppPortfolio},
    },
    cli::run::duration,
    meta::{
        client::{GraphClient, Meta},
        port::{Clock, Credential, Graph, GraphSource},
        settings::Settings,
        transport::install_crypto,
    },
    run::{
        may_work::MayWork,
        observe::{prove, whole},
        pass::{
            Done, Ids, Input, Live, ReadError, Record, Records, Shell, WriteError, may_have_written,
            no_other, pass,
        },
        picture::PictureBytes,
        secret::{SecretRead, Secrets, Volatile, credential_fact},
    },
    sandbox::{
        self, Account, App, DEMO_APP_SECRET, DEMO_TOKEN, Fault, FaultKind, Match, Number, Options,
        ReviewPolicy, Sandbox, Switches, Token,
    },
    twin::{self, Folder, VirtualClock},
};

use crate::gitops::state::State;

const BUSINESS: &str = "500000000000001";
const ACCOUNT: &str = "300000000000001";
const APP: &str = "200000000000001";
const DIGITS: &str = "5511912345678";

/// After this many passes without rest something is wrong.
const PASSES: usize = 16;

/// What happens to the world, at the start or later. Nodes of Meta's are patched: a field that is null is left out
/// of Meta's answers, a node that is null is gone.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// Time that passes first.
    after: Option<String>,
    /// The number's entry in the account's list; with `pin` and `profile`, which the list does not show. What it does not
    /// state it has of the number that it is `like`: one that is `added`, `verified` or `registered`. What is in `shown`
    /// shows whatever is true, until its field is named in `true`.
    #[serde(default, deserialize_with = "present")]
    number: Option<Value>,
    /// Entries of other numbers, or of the number in another `account`, by id.
    #[serde(default)]
    numbers: Vec<Map<String, Value>>,
    account: Option<Map<String, Value>>,
    /// Further accounts, as the simulated Meta keeps them.
    #[serde(default)]
    accounts: Vec<Map<String, Value>>,
    business: Option<Map<String, Value>>,
    /// Token and app, as the simulated Meta keeps them.
    token: Option<Map<String, Value>>,
    app: Option<Map<String, Value>>,
    switches: Option<Map<String, Value>>,
    /// `METHOD edge` → an error envelope, whose usual fields need not be stated, or another fault of the sandbox, or one `fault` for one `account`; from
    /// here on, until replaced.
    answers: Option<BTreeMap<String, Value>>,
    /// Digits in use in an app on a phone.
    phone: Option<bool>,
    /// Name → keys with values, or `missing`, `forbidden`, `failing`, `uncreatable`.
    #[serde(default)]
    secrets: BTreeMap<String, Value>,
    /// Consents, by their short names.
    #[serde(default)]
    consents: BTreeMap<String, String>,
    /// Patches of the manifests' specs.
    spec: Option<Map<String, Value>>,
    portfolio: Option<Map<String, Value>>,
    /// Patch of the channel's status: what is remembered. Only at the start.
    status: Option<Value>,
    /// Who manages the number: `ours`, `undecided`, `other`, `other:NAME`, or `from:TIME` for ours after a pause.
    claim: Option<String>,
    /// The channel is deleted.
    #[serde(default)]
    deleted: bool,
    /// The process starts anew.
    #[serde(default)]
    restart: bool,
    /// The portfolio is not looked at: `unread` or `absent`.
    view: Option<String>,
}

/// Tells null from absent.
fn present<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(d).map(Some)
}

/// The clock of the simulated Meta.
#[derive(Debug)]
pub struct Virtual(Sandbox);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The object as the API server has it, and every status written to it.
#[derive(Debug)]
pub struct Shelf {
    object: Mutex<WhatsAppChannel>,
    written: Mutex<Vec<WhatsAppChannelStatus>>,
    /// How the object, and its portfolio, stood after each write.
    states: Mutex<BTreeSet<State>>,
}

impl Shelf {
    fn read(&self) -> Live<WhatsAppChannelStatus> {
        let object = lock(&self.object);
        Live {
            version: object.status.clone().unwrap_or_default(),
            uid: object.metadata.uid.clone().unwrap_or_default(),
            memory: lower::memory(&object),
            before: lower::before(&object),
        }
    }
}

impl Records for Shelf {
    type Version = WhatsAppChannelStatus;

    fn name(_: &WhatsAppChannelStatus) -> String {
        "1".into()
    }

    fn shows(&self, version: &WhatsAppChannelStatus, record: &Record) -> bool {
        *version == lower::status(&record.assessment, &record.memory, Some(version))
    }

    async fn write(
        &self,
        record: &Record,
        expected: &WhatsAppChannelStatus,
    ) -> Result<WhatsAppChannelStatus, WriteError> {
        let next = lower::status(&record.assessment, &record.memory, Some(expected));
        // Through JSON, as the API server keeps it.
        let next: WhatsAppChannelStatus =
            serde_json::from_value(serde_json::to_value(next).expect("JSON")).expect("a status");
        {
            let mut object = lock(&self.object);
            object.status = Some(next.clone());
            lock(&self.states).insert(State::of(&serde_json::to_value(&*object).expect("JSON")));
        }
        lock(&self.written).push(next.clone());
        Ok(next)
    }

    async fn read_live(&self) -> Result<Live<WhatsAppChannelStatus>, ReadError> {
        Ok(self.read())
    }
}

enum Secret {
    Missing,
    Uncreatable,
    Forbidden,
    Failing,
    Found { version: u32, data: BTreeMap<String, String> },
}

/// The Secrets of the namespace.
#[derive(Default)]
pub struct Drawer(Mutex<BTreeMap<String, Secret>>);

impl Drawer {
    fn put(&self, name: &str, value: &Value, code: &str) {
        let mut secrets = lock(&self.0);
        let version = match secrets.get(name) {
            Some(Secret::Found { version, .. }) => version + 1,
            _ => 1,
        };
        let secret = match value {
            Value::String(word) => match word.as_str() {
                "missing" => Secret::Missing,
                "forbidden" => Secret::Forbidden,
                "failing" => Secret::Failing,
                "uncreatable" => Secret::Uncreatable,
                word => panic!("no state of a Secret is called {word}"),
            },
            data => {
                let data: BTreeMap<String, String> =
                    serde_json::from_value(data.clone()).expect("keys with values");
                let filled = data.into_iter().map(|(key, value)| (key, value.replace("$code", code)));
                Secret::Found { version, data: filled.collect() }
            }
        };
        secrets.insert(name.into(), secret);
    }
}

impl Secrets for Drawer {
    async fn read(&self, key: &SecretKey) -> SecretRead {
        match lock(&self.0).get(&key.name) {
            None | Some(Secret::Missing | Secret::Uncreatable) => SecretRead::Missing,
            Some(Secret::Forbidden) => SecretRead::Forbidden(String::new()),
            Some(Secret::Failing) => SecretRead::Failed("the API server is away".into()),
            Some(Secret::Found { version, data }) => SecretRead::Found {
                version: SecretVersion { uid: key.name.clone(), resource_version: version.to_string() },
                value: data.get(&key.key).map(|value| SecretString::from(value.clone())),
                is_verify_token: data.get("label").is_some_and(|label| label == "verify-token"),
            },
        }
    }

    async fn picture(&self, _: &PictureSource) -> PictureBytes {
        PictureBytes::Failed("not part of this test".into())
    }

    async fn create_pin(&self, key: &SecretKey) -> Result<(), String> {
        let mut secrets = lock(&self.0);
        if matches!(secrets.get(&key.name), Some(Secret::Uncreatable)) {
            return Err("secrets is forbidden: the account may not create them".into());
        }
        let data = BTreeMap::from([(key.key.clone(), "482913".to_owned())]);
        secrets.insert(key.name.clone(), Secret::Found { version: 1, data });
        Ok(())
    }
}

/// One pass, as it went.
pub struct Passed {
    pub at: Timestamp,
    pub done: Done,
    /// Statuses written by it, the intent's first.
    pub written: Vec<WhatsAppChannelStatus>,
}

impl Passed {
    /// Reads that failed, beside the lists of numbers.
    pub fn failures(&self) -> Vec<Failure> {
        let observed = &self.done.observed;
        let reads = [failure(&observed.account), failure(&observed.subscribed), failure(&observed.profile)];
        reads.into_iter().flatten().collect()
    }
}

/// What a moment of the play came to.
pub enum Scene {
    Pass(Box<Passed>),
    /// The spec could not be understood, so nothing was looked at.
    Refused(String),
}

/// One variant of a case.
pub struct Stage {
    pub sandbox: Sandbox,
    pub shelf: Arc<Shelf>,
    /// Where attempts are kept.
    beside: Arc<twin::Cluster>,
    /// Failures that the portfolio's own reads met.
    pub failures: Vec<Failure>,
    secrets: Arc<Drawer>,
    portfolio: Value,
    judged: Judged,
    claim: String,
    view: String,
    has_begun: bool,
    address: String,
    source: Meta,
    shell: Shell<Virtual>,
    process: ProcessFacts,
    after_write: Option<Timestamp>,
    volatile: Arc<Mutex<Volatile>>,
    _stop: DropGuard,
}

#[derive(Default)]
struct Judged {
    conditions: ConditionSet,
    waiting: Vec<WaitingFor>,
    view: Option<PortfolioView>,
    graph: Option<GraphClient>,
    in_use: Option<String>,
}

impl Stage {
    /// `channel` and `portfolio` are manifests.
    pub async fn new(channel: Value, portfolio: Value, changes: &[&Change]) -> Self {
        Self::behind(channel, portfolio, changes, |_, address| address).await
    }

    /// The same with something in front of the simulated Meta, at the address that `front` makes of Meta's.
    pub async fn behind(
        mut channel: Value,
        portfolio: Value,
        changes: &[&Change],
        front: impl FnOnce(&Sandbox, String) -> String,
    ) -> Self {
        install_crypto();
        let options = Options { review: ReviewPolicy::without_first_review(), ..Options::default() };
        let sandbox = Sandbox::from_world(options, sandbox::World::for_demo());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        tokio::spawn(sandbox.clone().serve(listener, stop.clone()));
        let address = front(&sandbox, address);
        let now = sandbox.now();
        for change in changes {
            if let Some(status) = &change.status {
                merge(&mut channel, &json!({"status": status}));
            }
        }
        let meta = channel["metadata"].as_object_mut().expect("metadata");
        meta.insert("uid".into(), json!("uid-1"));
        meta.insert("generation".into(), json!(1));
        let clock = Arc::new(Virtual(sandbox.clone()));
        let source = client(&address, clock.clone());
        let object: WhatsAppChannel = serde_json::from_value(channel).expect("a channel");
        let mut stage = Self {
            beside: Arc::new(twin::Cluster::new(VirtualClock(sandbox.clone()))),
            shelf: Arc::new(Shelf {
                object: Mutex::new(object),
                written: Mutex::default(),
                states: Mutex::default(),
            }),
            failures: Vec::new(),
            secrets: Arc::default(),
            portfolio,
            judged: Judged::default(),
            claim: "ours".into(),
            view: "read".into(),
            has_begun: false,
            address,
            source,
            shell: Shell {
                clock,
                limits: Arc::new(Limits::default()),
                ids: Arc::new(Ids::new(0)),
                tasks: TaskTracker::new(),
                may_work: MayWork::always(),
                budget: Duration::from_secs(30),
                repeats: Arc::default(),
            },
            process: ProcessFacts::new(now),
            after_write: None,
            volatile: Arc::default(),
            sandbox,
            _stop: stop.drop_guard(),
        };
        stage.secrets.put("acme-meta", &json!({"token": DEMO_TOKEN, "appSecret": DEMO_APP_SECRET}), "");
        stage.secrets.put("bot", &json!({"verify": "word-for-the-handshake", "label": "verify-token"}), "");
        for change in changes {
            stage.change(change);
        }
        stage.begin();
        stage
    }

    /// The first status, as the controller writes it at once; what is remembered from before stays.
    fn begin(&mut self) {
        self.has_begun = true;
        let mut object = lock(&self.shelf.object);
        let Ok(desired) = lower::channel(&object) else { return };
        let shown = lower::status(&first(&desired, self.sandbox.now()), &Memory::default(), None);
        let memory = lower::memory(&object);
        object.status = Some(lower::with_memory(&shown, &memory, object.status.as_ref()));
    }

    pub fn now(&self) -> Timestamp {
        self.sandbox.now()
    }

    /// How the channel and its portfolio stood after each write.
    pub fn states(&self) -> BTreeSet<State> {
        lock(&self.shelf.states).clone()
    }

    pub fn status(&self) -> Value {
        serde_json::to_value(lock(&self.shelf.object).status.clone()).expect("JSON")
    }

    /// Time passes without any action.
    pub fn pass_time(&self, by: Duration) {
        self.sandbox.advance(by);
    }

    /// Lets something happen.
    pub fn change(&mut self, change: &Change) {
        if let Some(after) = &change.after {
            self.sandbox.advance(duration(after).expect("a duration"));
        }
        self.change_meta(change);
        self.change_cluster(change);
    }

    fn change_meta(&self, change: &Change) {
        match &change.number {
            Some(Value::Object(entry)) => self.put_number(None, entry),
            Some(_) => assert!(self.sandbox.delete_number(DIGITS)),
            None => {}
        }
        for entry in &change.numbers {
            let id = entry["id"].as_str().expect("an id");
            self.put_number(Some(id), entry);
        }
        for (target, patch) in [(ACCOUNT, &change.account), (BUSINESS, &change.business)] {
            for (field, value) in patch.iter().flatten() {
                self.sandbox.set_field(target, field, value.clone());
            }
        }
        for account in &change.accounts {
            let id = account["id"].as_str().expect("an id");
            self.sandbox.add_account(patched(&Account::new(id, BUSINESS, "Acme Second"), account));
        }
        if let Some(token) = &change.token {
            self.sandbox.add_token(DEMO_TOKEN, patched(&Token::system_user(APP, BUSINESS), token));
        }
        if let Some(app) = &change.app {
            self.sandbox.add_app(patched(&App::new(APP, "Acme Ops").with_secret(DEMO_APP_SECRET), app));
        }
        if let Some(switches) = &change.switches {
            let switches: Switches = patched(&self.sandbox.switches(), switches);
            self.sandbox.set_switches(switches);
        }
        match change.phone {
            Some(true) => self.sandbox.put_on_phone(DIGITS),
            Some(false) => self.sandbox.release_phone(DIGITS),
            None => {}
        }
        if let Some(answers) = &change.answers {
            self.sandbox.clear_faults();
            for (on, answer) in answers {
                let (method, edge) = on.split_once(' ').expect("a method and an edge");
                let account = answer["account"].as_str().map(str::to_owned);
                let answer = if account.is_some() { &answer["fault"] } else { answer };
                let kind = match answer {
                    Value::Object(map) if map.contains_key("error") => {
                        FaultKind::Error { envelope: whole_envelope(answer) }
                    }
                    other => serde_json::from_value(other.clone()).expect("a fault of the sandbox"),
                };
                self.sandbox.inject(Fault { on: Match { account, ..Match::on(method, edge) }, kind });
            }
        }
    }

    fn put_number(&self, id: Option<&str>, entry: &Map<String, Value>) {
        let entry = &whole_number(entry);
        let target = id.unwrap_or(DIGITS);
        if !self.sandbox.set_field(target, "is_preverified_number", json!(false)) {
            let id = entry.get("id").and_then(Value::as_str).expect("an entry has an id");
            let digits = entry["display_phone_number"].as_str().expect("an entry shows its number");
            let account = entry.get("account").and_then(Value::as_str).unwrap_or(ACCOUNT);
            self.sandbox.add_number(Number::new(id, account, digits, ""));
        }
        if let Some(shown) = entry.get("shown").and_then(Value::as_object) {
            let digits = id.and_then(|_| entry["display_phone_number"].as_str()).unwrap_or(DIGITS);
            let mut number = self.sandbox.number(digits).expect("the number is there");
            number.raw.extend(shown.iter().map(|(field, value)| (field.clone(), value.clone())));
            self.sandbox.add_number(number);
        }
        for field in entry.get("true").and_then(Value::as_array).into_iter().flatten() {
            self.sandbox.clear_field(target, field.as_str().expect("a field"));
        }
        let known = ["id", "display_phone_number", "account", "shown", "true"];
        for (field, value) in entry.iter().filter(|(field, _)| !known.contains(&field.as_str())) {
            assert!(self.sandbox.set_field(target, field, value.clone()), "no number {target}");
        }
    }

    fn change_cluster(&mut self, change: &Change) {
        let code = self.sandbox.delivered_code(DIGITS).unwrap_or_default();
        for (name, value) in &change.secrets {
            self.secrets.put(name, value, &code);
        }
        if let Some(patch) = &change.portfolio {
            merge(&mut self.portfolio, &json!({"spec": patch}));
        }
        {
            let mut object = lock(&self.shelf.object);
            for (name, value) in &change.consents {
                let annotations = object.metadata.annotations.get_or_insert_default();
                annotations.insert(format!("{}/{name}", lower::GROUP), value.clone());
            }
            if change.deleted {
                // As the API server keeps it.
                let at = Timestamp::from_second(self.sandbox.now().as_second()).expect("a time");
                object.metadata.deletion_timestamp = Some(Time(at));
                object.metadata.generation = object.metadata.generation.map(|generation| generation + 1);
            }
            if let Some(patch) = &change.spec {
                object.spec = patched(&object.spec, patch);
                *object.metadata.generation.get_or_insert(0) += i64::from(self.has_begun);
            }
        }
        if let Some(claim) = &change.claim {
            self.claim.clone_from(claim);
        }
        if let Some(view) = &change.view {
            self.view.clone_from(view);
        }
        if change.restart {
            self.source = client(&self.address, self.shell.clock.clone());
            self.judged = Judged::default();
            self.process = ProcessFacts::new(self.now());
            self.after_write = None;
            self.volatile = Arc::default();
        }
    }

    /// The portfolio's controller looks, as it does when something changed or a credential was refused.
    pub async fn judge_portfolio(&mut self) {
        let object: WhatsAppPortfolio = serde_json::from_value(self.portfolio.clone()).expect("a portfolio");
        let desired = lower::portfolio(&object).expect("a portfolio that can be understood");
        let (token_fact, token) = self.secret(&desired.access_token).await;
        let (app_fact, app_secret) = match &desired.app_secret {
            Some(key) => self.secret(key).await,
            None => (SecretFact::NotAsked, None),
        };
        let complete = token.filter(|_| desired.app_secret.is_none() || app_secret.is_some());
        let offered = complete.as_ref().map(|(version, _)| version.clone());
        let credential = complete.map(|(version, token)| Credential {
            business: desired.business.clone(),
            version,
            token,
            app_secret: app_secret.map(|(_, secret)| secret),
            app: desired.app.clone(),
        });
        let graph = credential.clone().map(|credential| self.source.graph(credential));
        let token = match &graph {
            Some(graph) => fact(graph.debug_token().await),
            None => Fact::NotAsked,
        };
        let mut observed = PortfolioObserved {
            access_token: token_fact,
            app_secret: app_fact,
            unread: None,
            in_use: self.judged.in_use.clone(),
            offered: offered.clone(),
            token: token.clone(),
            token_in_use: Fact::NotAsked,
            proof: match &graph {
                Some(graph) => prove(graph, &token, self.now()).await,
                None => Fact::NotAsked,
            },
            business: Fact::NotAsked,
            owned: Fact::NotAsked,
            client: Fact::NotAsked,
            seen: Vec::new(),
            app_webhook: Fact::NotAsked,
            throttled_until: None,
            app_blocked: None,
        };
        self.assess(&desired, &observed);
        if self.judged.view.as_ref().is_some_and(|view| view.credential_version.is_some())
            && let Some(mut credential) =
                credential.filter(|_| self.judged.in_use.is_none() || offered == self.judged.in_use)
        {
            credential.app = desired.app.clone().or_else(|| token.known().and_then(|t| t.app.clone()));
            let graph = self.source.graph(credential);
            observed.business = fact(graph.business(Urgency::Person).await);
            observed.owned =
                fact(whole(self.now(), || graph.owned_accounts(self.now(), Urgency::Person)).await);
            observed.client =
                fact(whole(self.now(), || graph.client_accounts(self.now(), Urgency::Person)).await);
            observed.in_use = offered;
            observed.throttled_until = graph.throttled_until(None);
            observed.app_blocked = graph.app_blocked();
            self.judged.in_use.clone_from(&observed.in_use);
            self.judged.graph = Some(graph);
            self.assess(&desired, &observed);
        }
        let unknown = [
            failure(&observed.token),
            failure(&observed.business),
            failure(&observed.owned),
            failure(&observed.client),
        ];
        self.failures.extend(unknown.into_iter().flatten());
    }

    async fn secret(&self, key: &SecretKey) -> (SecretFact, Option<(String, SecretString)>) {
        let (fact, found) = credential_fact(self.secrets.read(key).await);
        let id = |version: &SecretVersion| format!("{}/{}", version.uid, version.resource_version);
        (fact, found.map(|(version, value)| (id(&version), value)))
    }

    fn assess(&mut self, desired: &DesiredPortfolio, observed: &PortfolioObserved) {
        let Judged { conditions, waiting, view, .. } = &self.judged;
        let assessment = assess_portfolio(&PortfolioGiven {
            desired,
            observed,
            before: conditions,
            waiting_before: waiting,
            view_before: view.as_ref(),
            limits: &self.shell.limits,
            now: self.sandbox.now(),
        });
        let shown = lower::portfolio_status(desired, &assessment, ChannelCounts::default(), None);
        let object = json!({
            "kind": "WhatsAppPortfolio", "metadata": {"generation": desired.generation}, "status": shown,
        });
        lock(&self.shelf.states).insert(State::of(&object));
        self.judged.conditions = assessment.conditions;
        self.judged.waiting = assessment.waiting_for;
        self.judged.view = Some(assessment.view);
    }

    fn state(&self, namespace: &str) -> (PortfolioState, Option<GraphClient>) {
        match (self.view.as_str(), &self.judged.view) {
            ("absent", _) => (PortfolioState::NotUsable, None),
            ("read", Some(view)) if granted(&view.namespace, &view.access, namespace).is_none() => {
                (PortfolioState::NotUsable, None)
            }
            ("read", Some(view)) => (PortfolioState::View(Arc::new(view.clone())), self.judged.graph.clone()),
            _ => (PortfolioState::NotYet, None),
        }
    }

    fn claim(&self) -> Claim {
        match self.claim.split_once(':') {
            None if self.claim == "ours" => Claim::Ours { act_from: None },
            None if self.claim == "undecided" => Claim::Undecided,
            None => Claim::Other { name: None },
            Some(("from", at)) => Claim::Ours { act_from: Some(at.parse().expect("a time")) },
            Some((_, name)) => Claim::Other { name: Some(name.into()) },
        }
    }

    /// The client with the portfolio's credential, as a fresh process has it.
    pub fn graph(&self) -> GraphClient {
        self.source.graph(Credential {
            business: BUSINESS.into(),
            version: "1".into(),
            token: DEMO_TOKEN.into(),
            app_secret: Some(DEMO_APP_SECRET.into()),
            app: Some(APP.into()),
        })
    }

    /// Digits of the number that the channel is about.
    pub fn digits(&self) -> Option<String> {
        let desired = lower::channel(&lock(&self.shelf.object)).ok()?;
        Some(desired.number.digits().to_owned())
    }

    /// What the portfolio's controller last said.
    pub fn portfolio(&self) -> &ConditionSet {
        &self.judged.conditions
    }

    /// The portfolio's controller looks, then passes until one has nothing to do before its next look.
    pub async fn rest(&mut self) -> Vec<Scene> {
        self.judge_portfolio().await;
        self.passes().await
    }

    /// Passes until one has nothing to do before its next look.
    pub async fn passes(&mut self) -> Vec<Scene> {
        let mut scenes = Vec::new();
        loop {
            assert!(scenes.len() < PASSES, "no rest after {PASSES} passes");
            let scene = self.pass().await;
            let next = match &scene {
                Scene::Refused(_) => None,
                Scene::Pass(passed) => {
                    let next = passed.done.plan.next.max(later(passed.at, 1));
                    let is_gone = passed.done.plan.farewell.is_some();
                    let goes_on = passed.done.plan.step.is_some() || passed.done.plan.next <= passed.at;
                    let goes_on = goes_on && !is_gone;
                    goes_on.then_some(if passed.done.plan.step.is_some() {
                        later(passed.at, 1)
                    } else {
                        next
                    })
                }
            };
            let doubts = matches!(&scene, Scene::Pass(passed) if passed.done.credential_refused);
            scenes.push(scene);
            if doubts {
                self.judge_portfolio().await;
            }
            let Some(next) = next.or(doubts.then(|| later(self.now(), 1))) else { return scenes };
            if doubts && scenes.len() > 6 {
                return scenes;
            }
            let by = next.duration_since(self.now());
            self.sandbox.advance(by.unsigned_abs());
        }
    }

    async fn pass(&mut self) -> Scene {
        let at = self.now();
        let object = lock(&self.shelf.object).clone();
        let desired = match lower::channel(&object) {
            Ok(desired) => Arc::new(desired),
            Err(why) => {
                let next = lower::refused(&object, &why, at);
                lock(&self.shelf.object).status = Some(next.clone());
                lock(&self.shelf.written).push(next);
                return Scene::Refused(why.to_string());
            }
        };
        let (portfolio, graph) = self.state(&desired.namespace);
        let live = self.shelf.read();
        let input = Input {
            desired: desired.clone(),
            live,
            is_shown: false,
            claim: self.claim(),
            portfolio,
            after_write: self.after_write,
            process: self.process.clone(),
            volatile: self.volatile.clone(),
            unwritten: Arc::default(),
            is_of_another: no_other(),
        };
        let written = lock(&self.shelf.written).len();
        let (secrets, shelf) = (self.secrets.clone(), self.shelf.clone());
        let folder = Folder::new(self.beside.clone(), &desired.number.canonical());
        let kept = (shelf, Arc::new(folder));
        let done = pass(&self.shell, input, graph, secrets, kept, ()).await.expect("a pass ends");
        self.process.last_success = done.last_success;
        if let Some(outcome) = done.outcome.as_ref().filter(|outcome| may_have_written(outcome)) {
            // A list is begun before the write that it leads to, and the clock stands still within a pass.
            self.after_write = Some(outcome.at + SignedDuration::from_millis(1));
        }
        let written = lock(&self.shelf.written)[written..].to_vec();
        Scene::Pass(Box::new(Passed { at, done, written }))
    }
}

/// An entry of a number with what it leaves to the one that it is `like`.
fn whole_number(entry: &Map<String, Value>) -> Map<String, Value> {
    let Some(like) = entry.get("like") else { return entry.clone() };
    let mut whole = json!({
        "id": "100000000000001", "display_phone_number": "+55 11 91234-5678", "verified_name": "Acme Suporte",
        "status": "PENDING", "platform_type": "NOT_APPLICABLE",
    });
    let rest = match like.as_str().expect("a word") {
        "added" => json!({
            "code_verification_status": "NOT_VERIFIED", "name_status": "AVAILABLE_WITHOUT_REVIEW",
        }),
        "verified" => json!({"code_verification_status": "VERIFIED", "name_status": "APPROVED"}),
        "registered" => json!({
            "code_verification_status": "EXPIRED", "name_status": "APPROVED", "status": "CONNECTED",
            "platform_type": "CLOUD_API", "quality_rating": "GREEN", "is_on_biz_app": false, "pin": "135790",
        }),
        other => panic!("no number is called {other}"),
    };
    merge(&mut whole, &rest);
    let Value::Object(mut whole) = whole else { unreachable!("an object was made") };
    // What is null stays: it is left out of Meta's answers.
    whole.extend(
        entry.iter().filter(|(key, _)| *key != "like").map(|(key, value)| (key.clone(), value.clone())),
    );
    whole
}

/// An error envelope with what Meta says in every one.
fn whole_envelope(stated: &Value) -> Value {
    let message = format!("(#{}) Refused", stated["error"]["code"]);
    let mut whole =
        json!({"error": {"message": message, "type": "OAuthException", "fbtrace_id": "AbCdEfGh1"}});
    merge(&mut whole, stated);
    whole
}

fn failure<T>(fact: &Fact<T>) -> Option<Failure> {
    match fact {
        Fact::Unknown(failure) => Some(failure.clone()),
        Fact::NotAsked | Fact::Known(_) => None,
    }
}

fn fact<T>(read: Result<T, Failure>) -> Fact<T> {
    read.map_or_else(Fact::Unknown, Fact::Known)
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).expect("a time")
}

fn client(address: &str, clock: Arc<Virtual>) -> Meta {
    let mut settings = Settings::new(Limits::default()).expect("settings");
    settings.base_url = address.parse().expect("an address");
    Meta::new(settings, clock).expect("a client")
}

fn patched<T: Serialize + DeserializeOwned>(value: &T, patch: &Map<String, Value>) -> T {
    let mut json = serde_json::to_value(value).expect("JSON");
    merge(&mut json, &Value::Object(patch.clone()));
    serde_json::from_value(json).expect("a patch that fits")
}

/// Merges as a JSON merge patch does.
pub fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let object = value.as_object_mut().expect("an object");
    for (key, patch) in patch {
        if patch.is_null() {
            object.remove(key);
        } else {
            merge(object.entry(key.clone()).or_insert(Value::Null), patch);
        }
    }
}
