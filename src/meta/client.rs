//! The Graph API over HTTPS: one try per write, at most two per read, deadlines on everything.
//!
//! A write that may have reached Meta is never sent again from here, and what comes back is
//! believed only when it is the JSON that Meta documents: everything else is no answer. Tokens
//! and proofs leave in a header and in the query of calls that are never logged with their address.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    error::Error as _,
    hash::Hash,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use reqwest::{
    Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::{Host, Url};

use super::{
    account::{AccountKey, Shared},
    budget::{Budget, Claim, LONGEST_BELIEVED, Payer, UsageHeaders},
    error::{Edge, Envelope, after, hide, is_throttle, redact},
    port::{Clock, Credential, Graph, GraphSource, NumberList},
    wire::{self, Asked, Next},
};
use crate::engine::{
    desired::DesiredProfile,
    failure::{Class, Failure, Refusal, Scope},
    id::{AccountId, AppId, BusinessId, NumberId, PlatformType},
    limits::Limits,
    look::Urgency,
    observed::{Account, Profile},
    phone::{self, E164},
    portfolio::{BusinessFacts, Reachable, TokenFacts},
    step::{CodeMethod, StepKind},
};

/// Where the Graph API is, unless a flag says otherwise.
pub const DEFAULT_URL: &str = "https://graph.facebook.com";
/// The version that everything here was written against (Graph API, "Versions"); usable until July 2028.
pub const DEFAULT_VERSION: &str = "v25.0";

/// Longest answer that is read.
const LARGEST_BODY: usize = 8 * 1024 * 1024;
/// Entries of a page: the most that Meta gives.
const PAGE: &str = "100";
/// Pages of one list; a list beyond it is refused instead of cut short.
const MOST_PAGES: usize = 50;
/// A connection that takes this much less than the whole call leaves time for the call itself.
const CONNECT_MARGIN: Duration = Duration::from_secs(5);
/// Credentials whose app is remembered per portfolio: in use and offered, by a few objects.
const APPS_PER_BUSINESS: usize = 16;
/// Portfolios, and payers by edge, of which something is remembered. Each token in use is asked about every hour,
/// so what makes room first belongs to a portfolio that is gone.
const REMEMBERED: usize = 1_024;
/// Connections that are kept open while nobody uses them.
const IDLE_CONNECTIONS: usize = 8;
/// A connection that went silent is noticed well before the call's deadline, so that a read can be
/// tried on another one.
const PING: Duration = Duration::from_secs(5);

/// Installs the process's TLS crypto, once; a second call does nothing.
pub fn install_crypto() {
    // An error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// How to reach Meta.
#[derive(Clone, Debug)]
pub struct Settings {
    pub base_url: Url,
    /// With the `v`.
    pub version: String,
    pub limits: Limits,
}

impl Settings {
    /// Meta's own address and the version that we know.
    ///
    /// # Errors
    ///
    /// When the built-in address cannot be parsed.
    pub fn new(limits: Limits) -> Result<Self, BadSettings> {
        let base_url = Url::parse(DEFAULT_URL).map_err(|_| BadSettings::Address)?;
        Ok(Self { base_url, version: DEFAULT_VERSION.to_owned(), limits })
    }
}

/// Why no client can be built.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    #[error(
        "--graph-url must begin with https://; plain http:// is for loopback addresses such as 127.0.0.1 only"
    )]
    NotHttps,
    #[error("--graph-url must be an address without user, password, query and fragment")]
    Address,
    #[error("--graph-version must look like v25.0")]
    Version,
    #[error("the HTTP client cannot be built: {0}")]
    Client(String),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    Answered,
    Refused,
    NoAnswer,
    NotSent,
    Throttled,
}

impl Ending {
    const ALL: [Self; 5] = [Self::Answered, Self::Refused, Self::NoAnswer, Self::NotSent, Self::Throttled];

    /// Its name in counters and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::NoAnswer => "no_answer",
            Self::NotSent => "not_sent",
            Self::Throttled => "throttled",
        }
    }

    fn of(outcome: &Result<Value, Trouble>) -> Self {
        match outcome {
            Ok(_) => Self::Answered,
            Err(trouble) => match *trouble.failure {
                Failure::Refused(_) => Self::Refused,
                Failure::NoAnswer(_) => Self::NoAnswer,
                Failure::NotSent(_) => Self::NotSent,
                Failure::Throttled(_) => Self::Throttled,
            },
        }
    }
}

/// How many calls ended how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub edge: Edge,
    pub ending: Ending,
    pub calls: u64,
}

/// Counters of every edge and ending.
#[derive(Debug, Default)]
struct Counters([[AtomicU64; Ending::ALL.len()]; Edge::ALL.len()]);

impl Counters {
    fn count(&self, edge: Edge, ending: Ending) {
        self.0[edge as usize][ending as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The door to Meta: makes a [`GraphClient`] per credential, and holds what they share.
#[derive(Clone)]
pub struct Meta(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    base_url: Url,
    version: String,
    limits: Limits,
    clock: Arc<dyn Clock>,
    budget: Budget,
    counters: Counters,
    accounts: Shared<AccountKey, Account>,
    numbers: Shared<AccountKey, NumberList>,
    subscribed: Shared<AccountKey, bool>,
    profiles: Shared<ProfileKey, Profile>,
    /// What tokens told about their app, by portfolio and version of the credential.
    apps: Mutex<HashMap<BusinessId, Apps>>,
    /// The Graph version is fixed for the process, so it is no part of the key.
    refused: Mutex<RefusedFields>,
    /// One subscription at a time per account.
    subscribing: Mutex<Turns>,
}

/// The apps of one portfolio's tokens, by version of the credential, and when one was last told.
struct Apps {
    told: Timestamp,
    known: Vec<(String, AppId)>,
}

/// Fields that Meta refused, since when, by who asked for what.
type RefusedFields = HashMap<(Payer, Edge), HashMap<&'static str, Timestamp>>;

/// Who is subscribing to what.
type Turns = HashMap<(Payer, AccountId), Arc<tokio::sync::Mutex<()>>>;

/// What a profile is shared under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ProfileKey {
    business: BusinessId,
    version: String,
    number: NumberId,
}

impl Meta {
    /// Builds the HTTP client, and installs the crypto that it needs if nobody did.
    ///
    /// # Errors
    ///
    /// When the address is neither https nor on this machine, or the version has another shape.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, BadSettings> {
        install_crypto();
        let Settings { base_url, version, limits } = settings;
        let is_loopback = check(&base_url, &version)?;
        let deadline = limits.call_timeout;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("whatsapp-operator/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .https_only(base_url.scheme() == "https")
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PING)
            .timeout(deadline)
            .connect_timeout(deadline.saturating_sub(CONNECT_MARGIN).max(deadline / 2));
        if is_loopback {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| BadSettings::Client(cause(&error)))?;
        Ok(Self(Arc::new(Inner {
            http,
            base_url,
            version,
            budget: Budget::new(limits.clone()),
            limits,
            counters: Counters::default(),
            accounts: Shared::new(Arc::clone(&clock)),
            numbers: Shared::new(Arc::clone(&clock)),
            subscribed: Shared::new(Arc::clone(&clock)),
            profiles: Shared::new(Arc::clone(&clock)),
            clock,
            apps: Mutex::default(),
            refused: Mutex::default(),
            subscribing: Mutex::default(),
        })))
    }

    /// How many calls ended how since the start; only what happened at all.
    pub fn stats(&self) -> Vec<Count> {
        let all = Edge::ALL.into_iter().flat_map(|edge| Ending::ALL.map(|ending| (edge, ending)));
        all.map(|(edge, ending)| Count {
            edge,
            ending,
            calls: self.0.counters.0[edge as usize][ending as usize].load(Ordering::Relaxed),
        })
        .filter(|count| count.calls > 0)
        .collect()
    }
}

impl GraphSource for Meta {
    type Graph = GraphClient;

    fn graph(&self, credential: Credential) -> GraphClient {
        let Credential { business, version, token, app_secret, app } = credential;
        // Secrets written by hand often end in a line break, which no token has.
        let trimmed = |secret: &SecretString| SecretString::from(secret.expose_secret().trim().to_owned());
        let token = trimmed(&token);
        let app_secret = app_secret.as_ref().map(trimmed);
        let proof = app_secret.as_ref().map(|secret| appsecret_proof(&token, secret));
        let credential = Credential { business, version, token, app_secret, app };
        GraphClient { inner: Arc::clone(&self.0), credential: Arc::new(credential), proof }
    }
}

/// Checks address and version; whether the address is on this machine.
fn check(url: &Url, version: &str) -> Result<bool, BadSettings> {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err(BadSettings::Address),
    };
    match url.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        _ => return Err(BadSettings::NotHttps),
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user || url.query().is_some() || url.fragment().is_some() {
        return Err(BadSettings::Address);
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match version.strip_prefix('v').and_then(|rest| rest.split_once('.')) {
        Some((major, minor)) if is_number(major) && is_number(minor) => Ok(is_loopback),
        _ => Err(BadSettings::Version),
    }
}

/// Proves to Meta that whoever holds the token holds the app secret too (Graph API, "Secure
/// requests"): HMAC-SHA256 of the token, keyed with the secret, in lower-case hex.
fn appsecret_proof(token: &SecretString, app_secret: &SecretString) -> SecretString {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, app_secret.expose_secret().as_bytes());
    let tag = ring::hmac::sign(&key, token.expose_secret().as_bytes());
    let hex = tag.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    hex.map(|half| char::from_digit(u32::from(half), 16).unwrap_or('0')).collect::<String>().into()
}

/// One request, as data. Not `Debug`: a body may hold a PIN or a code.
struct Call<'a> {
    edge: Edge,
    account: Option<&'a AccountId>,
    /// Path behind the version.
    path: &'a [&'a str],
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    /// A value in the body that must not come back in a text.
    secret: Option<&'a SecretString>,
    claim: Claim,
}

impl<'a> Call<'a> {
    fn read(edge: Edge, account: Option<&'a AccountId>, path: &'a [&'a str], claim: Claim) -> Self {
        Self { edge, account, path, query: Vec::new(), body: None, secret: None, claim }
    }

    fn write(edge: Edge, account: &'a AccountId, path: &'a [&'a str], body: Option<Value>) -> Self {
        let account = Some(account);
        Self { edge, account, path, query: Vec::new(), body, secret: None, claim: Claim::Write }
    }
}

/// A failure, with what only reads look at.
struct Trouble {
    failure: Box<Failure>,
    /// The field that Meta does not have.
    field: Option<String>,
    /// Lost on the way, or a fault of the server: a read may be sent once more.
    may_repeat: bool,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self { failure: Box::new(failure), field: None, may_repeat: false }
    }
}

impl Trouble {
    fn no_answer(text: impl Into<String>) -> Self {
        Failure::NoAnswer(text.into()).into()
    }

    fn into_failure(self) -> Failure {
        *self.failure
    }

    fn repeatable(self) -> Self {
        Self { may_repeat: true, ..self }
    }

    /// Whether the refusal may be about an expansion, though it does not say so: a permission
    /// of its own, an unknown edge, or more data than Meta will give at once.
    fn may_blame_expansion(&self) -> bool {
        self.failure.refusal().is_some_and(|refusal| match refusal.code {
            100 => refusal.subcode != Some(33) && refusal.class != Class::Credentials,
            1 | 3 | 10 | 200..=299 => true,
            _ => false,
        })
    }
}

/// The calls of one credential.
#[derive(Clone)]
pub struct GraphClient {
    inner: Arc<Inner>,
    credential: Arc<Credential>,
    proof: Option<SecretString>,
}

impl GraphClient {
    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The app that the token told, if it was asked yet.
    fn learnt_app(&self) -> Option<AppId> {
        let apps = lock(&self.inner.apps);
        let Apps { known, .. } = apps.get(&self.credential.business)?;
        known.iter().find(|(version, _)| *version == self.credential.version).map(|(_, app)| app.clone())
    }

    fn learn_app(&self, app: &AppId) {
        let (business, told) = (&self.credential.business, self.now());
        let mut apps = lock(&self.inner.apps);
        make_room(&mut apps, business, |apps| apps.told);
        let of = apps.entry(business.clone()).or_insert_with(|| Apps { told, known: Vec::new() });
        of.told = told;
        let known = &mut of.known;
        known.retain(|(version, _)| *version != self.credential.version);
        known.push((self.credential.version.clone(), app.clone()));
        let surplus = known.len().saturating_sub(APPS_PER_BUSINESS);
        known.drain(..surplus);
    }

    /// The app that subscriptions of this token are for.
    async fn app(&self) -> Result<AppId, Failure> {
        if let Some(app) = self.learnt_app().or_else(|| self.credential.app.clone()) {
            return Ok(app);
        }
        let facts = self.debug_token().await?;
        facts.app.ok_or_else(|| Failure::NoAnswer("the token does not tell its app".into()))
    }

    fn payer(&self) -> Payer {
        self.learnt_app().map_or_else(|| Payer::Business(self.credential.business.clone()), Payer::App)
    }

    fn key(&self, account: &AccountId) -> AccountKey {
        AccountKey {
            business: self.credential.business.clone(),
            version: self.credential.version.clone(),
            account: account.clone(),
        }
    }

    fn profile_key(&self, number: &NumberId) -> ProfileKey {
        ProfileKey {
            business: self.credential.business.clone(),
            version: self.credential.version.clone(),
            number: number.clone(),
        }
    }

    /// Sends a call: a write once, a read at most twice.
    async fn call(&self, call: &Call<'_>) -> Result<Value, Trouble> {
        let mut is_first = true;
        loop {
            let begun = Instant::now();
            let outcome = self.attempt(call).await;
            let ending = Ending::of(&outcome);
            self.inner.counters.count(call.edge, ending);
            let refusal = outcome.as_ref().err().and_then(|trouble| trouble.failure.refusal());
            tracing::debug!(
                edge = call.edge.as_str(),
                business = %self.credential.business,
                account = call.account.map(AccountId::as_str),
                ending = ending.as_str(),
                code = refusal.map(|refusal| refusal.code),
                subcode = refusal.and_then(|refusal| refusal.subcode),
                trace_id = refusal.and_then(|refusal| refusal.trace_id.as_deref()),
                elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                "called Meta"
            );
            match outcome {
                Err(Trouble { may_repeat: true, .. }) if is_first && !call.edge.is_write() => {
                    is_first = false
                }
                outcome => return outcome,
            }
        }
    }

    /// Sends a call once, if the budget lets it.
    async fn attempt(&self, call: &Call<'_>) -> Result<Value, Trouble> {
        let payer = self.payer();
        let (budget, admitted) = (&self.inner.budget, self.now());
        budget.admit(&payer, call.account, call.edge, call.claim, admitted).map_err(Failure::Throttled)?;
        let response = match self.send(call).await {
            Ok(response) => response,
            Err(trouble) => {
                if matches!(*trouble.failure, Failure::NotSent(_)) {
                    budget.not_sent(&payer, call.account, call.edge, call.claim, admitted);
                }
                return Err(trouble);
            }
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read_body(response).await;
        self.interpret(call, &payer, status, &headers, body)
    }

    async fn send(&self, call: &Call<'_>) -> Result<reqwest::Response, Trouble> {
        self.request(call)?.send().await.map_err(sending)
    }

    fn request(&self, call: &Call<'_>) -> Result<reqwest::RequestBuilder, Trouble> {
        let not_sent = |what: &str| Trouble::from(Failure::NotSent(what.to_owned()));
        let mut url = self.inner.base_url.clone();
        url.path_segments_mut()
            .map_err(|()| not_sent("the address of the Graph API takes no path"))?
            .pop_if_empty()
            .push(&self.inner.version)
            .extend(call.path);
        let token = self.credential.token.expose_secret();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| not_sent("the access token holds characters that no token has"))?;
        bearer.set_sensitive(true);
        let method = if call.edge.is_write() { Method::POST } else { Method::GET };
        let mut request = self.inner.http.request(method, url).header(AUTHORIZATION, bearer);
        request = request.query(&call.query);
        if let Some(proof) = &self.proof {
            request = request.query(&[("appsecret_proof", proof.expose_secret())]);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        Ok(request)
    }

    /// Makes an answer or a failure of what came back, and tells the budget.
    fn interpret(
        &self,
        call: &Call<'_>,
        payer: &Payer,
        status: StatusCode,
        headers: &HeaderMap,
        body: Result<Vec<u8>, Trouble>,
    ) -> Result<Value, Trouble> {
        let now = self.now();
        let budget = &self.inner.budget;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let usage = UsageHeaders::parse(header("x-app-usage"), header("x-business-use-case-usage"));
        let blocked = budget.heard(payer, call.account, &usage, now);
        let asked = header(RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok());
        let asked = asked.map(|seconds| after(now, Duration::from_secs(seconds).min(LONGEST_BELIEVED)));
        let until = blocked.max(asked);
        if let Some(warning) = header("x-ad-api-version-warning") {
            tracing::debug!(warning = redact(warning, &[]), "Meta warns about the Graph version");
        }

        let is_fault = status.is_server_error();
        let repeatable = |trouble: Trouble| if is_fault { trouble.repeatable() } else { trouble };
        let body = body?;
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        let envelope = answer.as_ref().map_or(Ok(None), Envelope::of);
        match envelope {
            Ok(Some(envelope)) => {
                let field = envelope.nonexisting_field().map(str::to_owned);
                let mut refusal = self.refusal(envelope, call, status, until, now);
                if refusal.trace_id.is_none() {
                    refusal.trace_id = header("x-fb-trace-id").map(|id| redact(id, &[]));
                }
                if is_throttle(refusal.code, refusal.subcode) {
                    let account = if refusal.scope == Scope::App { None } else { call.account };
                    // A limit of an account that the call did not name holds up nobody else.
                    if refusal.scope == Scope::App || account.is_some() {
                        let end = budget.throttled(payer, account, until, now);
                        refusal.until = refusal.until.max(Some(end));
                    }
                } else {
                    budget.answered(payer, call.account, now);
                }
                let may_repeat = is_fault && refusal.class == Class::Retry;
                Err(Trouble { failure: Box::new(Failure::Refused(refusal)), field, may_repeat })
            }
            Err(mut text) => {
                self.secrets(call).for_each(|secret| hide(&mut text, secret));
                let (status, text) = (status.as_u16(), redact(&text, &[]));
                let why = format!("HTTP {status} with an error that has no code: {text}");
                Err(repeatable(Trouble::no_answer(why)))
            }
            Ok(None) => match answer {
                Some(answer) if status.is_success() => {
                    budget.answered(payer, call.account, now);
                    Ok(answer)
                }
                _ => {
                    if status == StatusCode::TOO_MANY_REQUESTS {
                        budget.throttled(payer, call.account, until, now);
                    }
                    let what =
                        if status.is_success() { "a body that is no JSON" } else { "no error envelope" };
                    Err(repeatable(Trouble::no_answer(format!("HTTP {} with {what}", status.as_u16()))))
                }
            },
        }
    }

    /// What must not come back in a text.
    fn secrets<'s>(&'s self, call: &'s Call<'_>) -> impl Iterator<Item = &'s str> {
        let secrets = [Some(&self.credential.token), self.credential.app_secret.as_ref(), call.secret];
        secrets.into_iter().flatten().chain(&self.proof).map(|secret| secret.expose_secret())
    }

    /// Takes our own secrets out of an envelope before it is classified and bounded.
    fn refusal(
        &self,
        mut envelope: Envelope,
        call: &Call<'_>,
        status: StatusCode,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Refusal {
        self.secrets(call).for_each(|secret| envelope.hide(secret));
        envelope.refusal(call.edge, status.as_u16(), until, now)
    }

    /// Sends a write whose answer is that it was done.
    async fn write(&self, call: Call<'_>) -> Result<(), Failure> {
        let answer = self.call(&call).await.map_err(Trouble::into_failure)?;
        match wire::truth(&answer, "success") {
            Some(true) => Ok(()),
            _ => Err(Failure::NoAnswer("Meta did not say that the write was done".into())),
        }
    }

    /// Sends a read that asks for fields, and leaves out those that Meta refuses: now and for a
    /// day. `skipped` holds what was left out. `fragile` is an expansion that may fail the read
    /// without being named.
    async fn read_fields(
        &self,
        call: &mut Call<'_>,
        asked: &'static [Asked],
        fragile: Option<&'static str>,
        skipped: &mut BTreeSet<&'static str>,
    ) -> Result<Value, Failure> {
        let given = call.query.len();
        let mut suspect = None;
        skipped.extend(self.refused_fields(call.edge));
        loop {
            let fields: Vec<_> =
                asked.iter().filter(|f| !skipped.contains(f.name)).map(|f| f.expression).collect();
            call.query.truncate(given);
            call.query.push(("fields", fields.join(",")));
            let trouble = match self.call(call).await {
                Ok(answer) => {
                    if let Some(name) = suspect {
                        self.refuse_field(call.edge, name);
                    }
                    return Ok(answer);
                }
                Err(trouble) => trouble,
            };
            let named = trouble.field.as_deref().and_then(|field| asked_as(asked, field));
            match (named, fragile) {
                (Some(name), _) if !wire::INDISPENSABLE.contains(&name) && skipped.insert(name) => {
                    self.refuse_field(call.edge, name);
                }
                (None, Some(name)) if trouble.may_blame_expansion() && skipped.insert(name) => {
                    suspect = Some(name);
                }
                _ => return Err(trouble.into_failure()),
            }
        }
    }

    /// Fields that were refused within the last day; older ones are asked for again.
    fn refused_fields(&self, edge: Edge) -> Vec<&'static str> {
        let now = self.now();
        let kept_for = self.inner.limits.refused_field;
        let refused = lock(&self.inner.refused);
        let Some(fields) = refused.get(&(self.payer(), edge)) else { return Vec::new() };
        let recent = fields.iter().filter(|(_, since)| after(**since, kept_for) > now);
        recent.map(|(name, _)| *name).collect()
    }

    fn refuse_field(&self, edge: Edge, name: &'static str) {
        tracing::debug!(edge = edge.as_str(), field = name, "Meta refuses a field, left out for a day");
        let (now, kept_for) = (self.now(), self.inner.limits.refused_field);
        let key = (self.payer(), edge);
        let mut refused = lock(&self.inner.refused);
        refused.retain(|_, fields| {
            fields.retain(|_, since| after(*since, kept_for) > now);
            !fields.is_empty()
        });
        make_room(&mut refused, &key, |fields| fields.values().max().copied());
        refused.entry(key).or_default().insert(name, now);
    }

    /// Reads every page of a list, or fails: a part never passes for the whole.
    async fn list(
        &self,
        edge: Edge,
        account: Option<&AccountId>,
        path: &[&str],
        asked: &'static [Asked],
        fragile: Option<&'static str>,
        claim: Claim,
    ) -> Result<(Vec<Value>, BTreeSet<&'static str>), Failure> {
        let (mut entries, mut skipped, mut seen) = (Vec::new(), BTreeSet::new(), HashSet::new());
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut call = Call::read(edge, account, path, claim);
            call.query.push(("limit", PAGE.to_owned()));
            call.query.extend(cursor.take().map(|cursor| ("after", cursor)));
            let answer = if asked.is_empty() {
                self.call(&call).await.map_err(Trouble::into_failure)?
            } else {
                self.read_fields(&mut call, asked, fragile, &mut skipped).await?
            };
            let (page, next) =
                wire::page(&answer).ok_or_else(|| Failure::NoAnswer("Meta's answer is not a list".into()))?;
            entries.extend_from_slice(page);
            match next {
                Next::End => return Ok((entries, skipped)),
                Next::After(next) if seen.insert(next.clone()) => cursor = Some(next),
                Next::After(_) => return Err(Failure::NoAnswer("Meta's list goes in a circle".into())),
                Next::Lost => return Err(Failure::NoAnswer("Meta's list goes on without a cursor".into())),
            }
        }
        Err(Failure::NoAnswer(format!("Meta's list has more than {MOST_PAGES} pages")))
    }

    async fn accounts(&self, edge: Edge, name: &str) -> Result<Vec<Reachable>, Failure> {
        let path = [self.credential.business.as_str(), name];
        let claim = Claim::Read(Urgency::Edit);
        let (entries, _) = self.list(edge, None, &path, wire::REACHABLE, None, claim).await?;
        let owned = edge == Edge::OwnedAccounts;
        entries
            .iter()
            .map(|entry| wire::reachable(entry, owned))
            .collect::<Option<_>>()
            .ok_or_else(|| Failure::NoAnswer("an account in Meta's list has no id".into()))
    }

    async fn read_account(self, account: AccountId, urgency: Urgency) -> Result<Account, Failure> {
        let path = [account.as_str()];
        let mut call = Call::read(Edge::Account, Some(&account), &path, Claim::Read(urgency));
        let mut skipped = BTreeSet::new();
        let answer = self.read_fields(&mut call, wire::ACCOUNT, None, &mut skipped).await?;
        let facts = wire::account(&answer, &skipped);
        match &facts.id {
            Some(id) if *id == account => Ok(facts),
            _ => Err(Failure::NoAnswer("Meta's answer is about another account".into())),
        }
    }

    async fn read_numbers(self, account: AccountId, urgency: Urgency) -> Result<NumberList, Failure> {
        let begun = self.now();
        let path = [account.as_str(), "phone_numbers"];
        let (entries, skipped) = self
            .list(
                Edge::Numbers,
                Some(&account),
                &path,
                wire::NUMBER,
                Some(wire::PROFILE_EXPANSION),
                Claim::Read(urgency),
            )
            .await?;
        let mut list = NumberList { begun, numbers: HashMap::new() };
        let mut seen = HashSet::new();
        for entry in &entries {
            let number = wire::number(entry, &skipped)
                .ok_or_else(|| Failure::NoAnswer("a number in Meta's list has no id or no digits".into()))?;
            if number.platform.value() == Some(&PlatformType::CloudApi) {
                self.inner.budget.registered_seen(&self.payer(), &account, begun);
            }
            // A list that changes between two pages may show a number twice.
            if seen.insert(number.id.clone()) {
                let digits = wire::digits(&number.display_phone_number);
                list.numbers.entry(digits).or_default().push(Arc::new(number));
            }
        }
        Ok(list)
    }

    async fn read_subscribed(&self, account: &AccountId, claim: Claim) -> Result<bool, Failure> {
        let app = self.app().await?;
        let path = [account.as_str(), "subscribed_apps"];
        let (entries, _) = self.list(Edge::SubscribedApps, Some(account), &path, &[], None, claim).await?;
        Ok(entries.iter().filter_map(wire::subscribed_app).any(|subscribed| subscribed == app))
    }

    async fn read_profile(
        self,
        account: AccountId,
        number: NumberId,
        urgency: Urgency,
    ) -> Result<Profile, Failure> {
        let path = [number.as_str(), "whatsapp_business_profile"];
        let mut call = Call::read(Edge::Profile, Some(&account), &path, Claim::Read(urgency));
        call.query.push(("fields", wire::PROFILE.to_owned()));
        let answer = self.call(&call).await.map_err(Trouble::into_failure)?;
        wire::page(&answer)
            .and_then(|_| wire::profile(&answer))
            .ok_or_else(|| Failure::NoAnswer("Meta's answer holds no profile".into()))
    }

    /// The turn to subscribe to an account.
    fn turn(&self, account: &AccountId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = lock(&self.inner.subscribing);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry((self.payer(), account.clone())).or_default())
    }
}

impl Graph for GraphClient {
    async fn debug_token(&self) -> Result<TokenFacts, Failure> {
        let mut call = Call::read(Edge::DebugToken, None, &["debug_token"], Claim::Read(Urgency::Edit));
        call.query.push(("input_token", self.credential.token.expose_secret().to_owned()));
        let answer = self.call(&call).await.map_err(Trouble::into_failure)?;
        let now = self.now();
        let facts = answer
            .get("data")
            .and_then(|data| wire::token(data, |e| self.refusal(e, &call, StatusCode::OK, None, now)))
            .ok_or_else(|| Failure::NoAnswer("Meta's answer says nothing about the token".into()))?;
        if let Some(app) = &facts.app {
            self.learn_app(app);
        }
        Ok(facts)
    }

    async fn business(&self, urgency: Urgency) -> Result<BusinessFacts, Failure> {
        let path = [self.credential.business.as_str()];
        let mut call = Call::read(Edge::Business, None, &path, Claim::Read(urgency));
        let mut skipped = BTreeSet::new();
        let fragile = Some(wire::PRIMARY_PAGE);
        let answer = self.read_fields(&mut call, wire::BUSINESS, fragile, &mut skipped).await?;
        match wire::text(&answer, "id") {
            Some(id) if id == self.credential.business.as_str() => Ok(wire::business(&answer)),
            _ => Err(Failure::NoAnswer("Meta's answer is about another portfolio".into())),
        }
    }

    async fn owned_accounts(&self) -> Result<Vec<Reachable>, Failure> {
        self.accounts(Edge::OwnedAccounts, "owned_whatsapp_business_accounts").await
    }

    async fn client_accounts(&self) -> Result<Vec<Reachable>, Failure> {
        self.accounts(Edge::ClientAccounts, "client_whatsapp_business_accounts").await
    }

    async fn account(
        &self,
        account: &AccountId,
        not_before: Timestamp,
        urgency: Urgency,
    ) -> Result<Arc<Account>, Failure> {
        let read = || self.clone().read_account(account.clone(), urgency);
        self.inner.accounts.get(self.key(account), not_before, urgency, read).await
    }

    async fn numbers(
        &self,
        account: &AccountId,
        not_before: Timestamp,
        urgency: Urgency,
    ) -> Result<Arc<NumberList>, Failure> {
        let key = self.key(account);
        if self.inner.numbers.kept(&key, not_before).is_none()
            && let Some(until) = self.inner.budget.gathers(&self.payer(), account, urgency, self.now())
        {
            return Err(Failure::Throttled(until));
        }
        let read = || self.clone().read_numbers(account.clone(), urgency);
        self.inner.numbers.get(key, not_before, urgency, read).await
    }

    async fn subscribed(
        &self,
        account: &AccountId,
        not_before: Timestamp,
        urgency: Urgency,
    ) -> Result<bool, Failure> {
        let read = || {
            let (client, account) = (self.clone(), account.clone());
            async move { client.read_subscribed(&account, Claim::Read(urgency)).await }
        };
        self.inner.subscribed.get(self.key(account), not_before, urgency, read).await.map(|is| *is)
    }

    async fn profile(
        &self,
        account: &AccountId,
        number: &NumberId,
        max_age: Duration,
        urgency: Urgency,
    ) -> Result<Profile, Failure> {
        let key = self.profile_key(number);
        let oldest = self.now().checked_sub(max_age).unwrap_or(Timestamp::MIN);
        let profiles = &self.inner.profiles;
        if profiles.kept(&key, oldest).is_none()
            && let Some(list) = self.inner.numbers.kept(&self.key(account), oldest.max(profiles.floor(&key)))
            && let Some(profile) = list
                .numbers
                .values()
                .flatten()
                .find(|listed| listed.id == *number)
                .and_then(|listed| listed.profile.value())
        {
            return Ok((**profile).clone());
        }
        let read = || self.clone().read_profile(account.clone(), number.clone(), urgency);
        profiles.get(key, oldest, urgency, read).await.map(|profile| Profile::clone(&profile))
    }

    async fn add_number(&self, account: &AccountId, number: &E164, name: &str) -> Result<NumberId, Failure> {
        let (cc, national) = phone::split(number);
        let body = json!({"cc": cc, "phone_number": national, "verified_name": name});
        let path = [account.as_str(), "phone_numbers"];
        let call = Call::write(Edge::AddNumber, account, &path, Some(body));
        let answer = self.call(&call).await.map_err(Trouble::into_failure)?;
        wire::id(&answer, "id")
            .map(NumberId::new)
            .ok_or_else(|| Failure::NoAnswer("Meta did not tell the id of the new number".into()))
    }

    async fn request_code(
        &self,
        account: &AccountId,
        number: &NumberId,
        method: CodeMethod,
        language: &str,
    ) -> Result<(), Failure> {
        let body = json!({"code_method": method.as_str(), "language": language});
        let path = [number.as_str(), "request_code"];
        self.write(Call::write(Edge::RequestCode, account, &path, Some(body))).await
    }

    async fn verify_code(
        &self,
        account: &AccountId,
        number: &NumberId,
        code: &SecretString,
    ) -> Result<(), Failure> {
        let body = json!({"code": code.expose_secret()});
        let path = [number.as_str(), "verify_code"];
        let call = Call::write(Edge::VerifyCode, account, &path, Some(body));
        self.write(Call { secret: Some(code), ..call }).await
    }

    async fn submit_name(&self, account: &AccountId, number: &NumberId, name: &str) -> Result<(), Failure> {
        let body = json!({"new_display_name": name});
        self.write(Call::write(Edge::SubmitName, account, &[number.as_str()], Some(body))).await
    }

    async fn set_pin(
        &self,
        account: &AccountId,
        number: &NumberId,
        pin: &SecretString,
    ) -> Result<(), Failure> {
        let body = json!({"pin": pin.expose_secret()});
        let path = [number.as_str()];
        let call = Call::write(Edge::SetPin, account, &path, Some(body));
        self.write(Call { secret: Some(pin), ..call }).await
    }

    async fn register(
        &self,
        account: &AccountId,
        number: &NumberId,
        pin: &SecretString,
    ) -> Result<(), Failure> {
        let body = json!({"messaging_product": "whatsapp", "pin": pin.expose_secret()});
        let path = [number.as_str(), "register"];
        let call = Call::write(Edge::Register, account, &path, Some(body));
        self.write(Call { secret: Some(pin), ..call }).await
    }

    async fn subscribe(&self, account: &AccountId) -> Result<(), Failure> {
        let not_read =
            |why: &str| Failure::NotSent(format!("the subscriptions could not be read first: {why}"));
        let look = async {
            let turn = self.turn(account).lock_owned().await;
            (turn, self.read_subscribed(account, Claim::Write).await)
        };
        // The turn, every page and a second try of each: all of it has the time of one call, so that a shutdown can
        // wait for it.
        let (_turn, read) = tokio::time::timeout(self.inner.limits.call_timeout, look)
            .await
            .map_err(|_| not_read("their turn or their answer did not come in time"))?;
        let is_subscribed = read.map_err(|failure| match failure {
            Failure::NoAnswer(why) => not_read(&why),
            Failure::Refused(refusal) if refusal.class == Class::Retry => not_read(&refusal.message),
            failure => failure,
        })?;
        let outcome = if is_subscribed {
            Ok(())
        } else {
            let path = [account.as_str(), "subscribed_apps"];
            self.write(Call::write(Edge::Subscribe, account, &path, None)).await
        };
        self.inner.subscribed.forget(&self.key(account));
        outcome
    }

    async fn route_webhook(
        &self,
        account: &AccountId,
        number: &NumberId,
        url: &str,
        verify_token: &SecretString,
    ) -> Result<(), Failure> {
        let body = json!({"webhook_configuration": {
            "override_callback_uri": url,
            "verify_token": verify_token.expose_secret(),
        }});
        let path = [number.as_str()];
        let call = Call::write(Edge::RouteWebhook, account, &path, Some(body));
        self.write(Call { secret: Some(verify_token), ..call }).await
    }

    async fn write_profile(
        &self,
        account: &AccountId,
        number: &NumberId,
        fields: &DesiredProfile,
    ) -> Result<(), Failure> {
        let path = [number.as_str(), "whatsapp_business_profile"];
        let body = Some(wire::profile_fields(fields));
        let outcome = self.write(Call::write(Edge::WriteProfile, account, &path, body)).await;
        self.inner.profiles.forget(&self.profile_key(number));
        outcome
    }

    fn held_until(&self, account: &AccountId, step: StepKind) -> Option<Timestamp> {
        self.inner.budget.held_until(&self.payer(), account, step, self.now())
    }

    fn throttled_until(&self, account: Option<&AccountId>) -> Option<Timestamp> {
        self.inner.budget.throttled_until(&self.payer(), account, self.now())
    }
}

/// The field that we asked for when Meta refuses `refused`: itself, or the expansion it is in.
fn asked_as(asked: &'static [Asked], refused: &str) -> Option<&'static str> {
    let inside = |field: &Asked| field.expression.split(['{', '}', ',']).any(|part| part == refused);
    asked
        .iter()
        .find(|field| field.name == refused)
        .or_else(|| asked.iter().find(|field| inside(field)))
        .map(|field| field.name)
}

/// Why a request brought no response. Nothing was sent when no connection came about.
fn sending(error: reqwest::Error) -> Trouble {
    if error.is_connect() && error.is_timeout() {
        Failure::NotSent("no connection to Meta in time".into()).into()
    } else if error.is_connect() {
        Trouble::from(Failure::NotSent(format!("no connection to Meta ({})", cause(&error)))).repeatable()
    } else if error.is_builder() {
        Failure::NotSent(format!("the request cannot be made: {}", cause(&error))).into()
    } else if error.is_timeout() {
        Trouble::no_answer("no answer in time")
    } else {
        Trouble::no_answer(format!("the connection was lost: {}", cause(&error))).repeatable()
    }
}

/// The innermost reason, without the address: it may carry a token.
fn cause(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    if error.source().is_none() {
        return "no reason given".to_owned();
    }
    redact(&reason.to_string(), &[])
}

/// Reads a body up to the bound.
async fn read_body(mut response: reqwest::Response) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > LARGEST_BODY => {
                return Err(Trouble::no_answer("the answer is larger than 8 MiB"));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => {
                return Err(Trouble::no_answer("the answer did not end in time"));
            }
            Err(error) => {
                return Err(
                    Trouble::no_answer(format!("the answer was cut off: {}", cause(&error))).repeatable()
                );
            }
        }
    }
}

/// Keeps a map bounded before `key` is put in: whoever was heard of least recently goes.
fn make_room<K: Clone + Eq + Hash, V, T: Ord>(map: &mut HashMap<K, V>, key: &K, heard: impl Fn(&V) -> T) {
    if map.len() >= REMEMBERED && !map.contains_key(key) {
        let oldest = map.iter().min_by_key(|(_, value)| heard(value)).map(|(key, _)| key.clone());
        oldest.map(|key| map.remove(&key));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
