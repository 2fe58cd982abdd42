//! The client: one try per write, at most two per read, within the budget; and what all credentials share.
//!
//! A write that may have reached Meta is never sent again from here, and what comes back is
//! believed only when it is the JSON that Meta documents: everything else is no answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use reqwest::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tracing::{Instrument as _, field::Empty};

use crate::{
    engine::{
        failure::{Failure, Refusal, Said, Scope},
        id::{AccountId, AppId, BusinessId, NumberId},
        limits::Limits,
        observed::{Account, Official, Profile, Subscribed, Username},
        outcome::Accepted,
        time::later,
    },
    meta::{
        account::{AccountKey, Shared},
        app::Apps,
        bounded::{KEPT_FACTS, KEPT_LISTS, Together, extent, lock},
        budget::{Budget, LONGEST_BELIEVED, Payer, UsageHeaders},
        call::{Call, Trouble},
        counter::{Counters, Ending, Stats},
        edge::Edge,
        envelope::Envelope,
        error::is_throttle,
        json,
        listing::Lists,
        port::{Clock, Credential, GraphSource, NumberList},
        redact::{hide, redact},
        refused::Refused,
        settings::{BadSettings, Settings},
        transport::{Transport, appsecret_proof, read_body},
    },
    repeat::Repeats,
};

/// The door to Meta: makes a [`GraphClient`] per credential, and holds what they share.
#[derive(Clone)]
pub struct Meta(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) transport: Transport,
    pub(super) limits: Limits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) budget: Budget,
    pub(super) counters: Counters,
    pub(super) accounts: Shared<AccountKey, Account>,
    pub(super) numbers: Shared<AccountKey, NumberList>,
    pub(super) subscribed: Shared<AccountKey, Subscribed>,
    pub(super) profiles: Shared<ProfileKey, Profile>,
    pub(super) usernames: Shared<ProfileKey, Username>,
    pub(super) officials: Shared<ProfileKey, Official>,
    pub(super) lists: Lists,
    /// Lists that are being read.
    pub(super) together: Arc<Together>,
    /// What was told of answers that cannot be used.
    pub(super) repeats: Repeats,
    pub(super) apps: Apps,
    pub(super) refused: Refused,
    /// One subscription at a time per account.
    pub(super) subscribing: Mutex<Turns>,
    /// The accounts that showed our app as subscribed, and when it was subscribed to them again since.
    pub(super) resubscribed: Mutex<HashMap<(Payer, AccountId), Vec<Timestamp>>>,
}

/// Who is subscribing to what.
pub(super) type Turns = HashMap<(Payer, AccountId), Arc<tokio::sync::Mutex<()>>>;

/// What a profile, and whatever else is read of one number, is shared under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProfileKey {
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
        let limits = settings.limits.clone();
        let transport = Transport::new(settings)?;
        Ok(Self(Arc::new(Inner {
            transport,
            budget: Budget::new(limits.clone()),
            refused: Refused::new(limits.refused_field, limits.suspected_field),
            limits,
            counters: Counters::default(),
            accounts: Shared::within(Arc::clone(&clock), KEPT_FACTS, extent),
            numbers: Shared::within(Arc::clone(&clock), KEPT_LISTS, |list| list.bytes),
            subscribed: Shared::within(Arc::clone(&clock), KEPT_FACTS, extent),
            profiles: Shared::within(Arc::clone(&clock), KEPT_FACTS, extent),
            usernames: Shared::within(Arc::clone(&clock), KEPT_FACTS, extent),
            officials: Shared::within(Arc::clone(&clock), KEPT_FACTS, extent),
            lists: Lists::default(),
            together: Arc::default(),
            repeats: Repeats::default(),
            clock,
            apps: Apps::default(),
            subscribing: Mutex::default(),
            resubscribed: Mutex::default(),
        })))
    }

    /// How many calls ended how since the start, and how long they took; only what happened at all.
    pub fn stats(&self) -> Stats {
        self.0.counters.read()
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

    fn take_over(&self) {
        let Inner {
            budget, accounts, numbers, subscribed, profiles, usernames, officials, lists, clock, ..
        } = &*self.0;
        budget.take_over(clock.now());
        accounts.forget_all();
        numbers.forget_all();
        subscribed.forget_all();
        profiles.forget_all();
        usernames.forget_all();
        officials.forget_all();
        lists.forget_all();
    }
}

/// The calls of one credential.
#[derive(Clone)]
pub struct GraphClient {
    pub(super) inner: Arc<Inner>,
    pub(super) credential: Arc<Credential>,
    pub(super) proof: Option<SecretString>,
}

impl GraphClient {
    pub(super) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The app that the token told, if it was asked yet.
    pub(super) fn learnt_app(&self) -> Option<AppId> {
        self.inner.apps.of(&self.credential)
    }

    pub(super) fn payer(&self) -> Payer {
        self.learnt_app().map_or_else(|| self.before_its_app(), Payer::App)
    }

    /// Who stands for the app until the token has told it.
    pub(super) fn before_its_app(&self) -> Payer {
        let Credential { business, version, .. } = &*self.credential;
        Payer::Credential(business.clone(), version.clone())
    }

    /// The same for the app in the place of the token's user, where app and secret are known. Its token is made of both.
    pub(super) fn of_app(&self) -> Option<Self> {
        let app = self.learnt_app().or_else(|| self.credential.app.clone())?;
        let secret = self.credential.app_secret.as_ref()?;
        let token = SecretString::from(format!("{app}|{}", secret.expose_secret()));
        let proof = Some(appsecret_proof(&token, secret));
        let credential = Credential { token, ..Credential::clone(&self.credential) };
        Some(Self { inner: Arc::clone(&self.inner), credential: Arc::new(credential), proof })
    }

    pub(super) fn key(&self, account: &AccountId) -> AccountKey {
        AccountKey {
            business: self.credential.business.clone(),
            version: self.credential.version.clone(),
            account: account.clone(),
        }
    }

    pub(super) fn profile_key(&self, number: &NumberId) -> ProfileKey {
        ProfileKey {
            business: self.credential.business.clone(),
            version: self.credential.version.clone(),
            number: number.clone(),
        }
    }

    /// Sends a call: a write once, a read at most twice.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Value, Trouble> {
        self.call_traced(call).await.map(|(answer, _)| answer)
    }

    /// The same, with the id by which Meta's support finds the call again.
    pub(super) async fn call_traced(&self, call: &Call<'_>) -> Result<(Value, Option<String>), Trouble> {
        let mut is_first = true;
        loop {
            let begun = Instant::now();
            let span = tracing::debug_span!(
                "graph_call",
                edge = call.edge.as_str(),
                account = call.account.map(AccountId::as_str),
                ending = Empty,
                code = Empty,
                subcode = Empty,
                fbtrace_id = Empty,
                otel.status_code = Empty,
            );
            let mut trace_id = None;
            let outcome = Box::pin(self.attempt(call, &mut trace_id)).instrument(span.clone()).await;
            let ending = Ending::of(outcome.as_ref().err().map(|trouble| &*trouble.failure));
            let (took, refusal) = (begun.elapsed(), outcome.as_ref().err().and_then(|t| t.failure.refusal()));
            self.inner.counters.count(call.edge, ending, took, refusal.map(|refusal| refusal.code));
            let fbtrace_id = refusal.and_then(|refusal| refusal.trace_id.as_deref()).or(trace_id.as_deref());
            span.record("ending", ending.as_str());
            span.record("code", refusal.map(|refusal| refusal.code));
            span.record("subcode", refusal.and_then(|refusal| refusal.subcode));
            span.record("fbtrace_id", fbtrace_id);
            span.record("otel.status_code", outcome.is_err().then_some("ERROR"));
            tracing::debug!(
                edge = call.edge.as_str(),
                business = %self.credential.business,
                account = call.account.map(AccountId::as_str),
                ending = ending.as_str(),
                code = refusal.map(|refusal| refusal.code),
                subcode = refusal.and_then(|refusal| refusal.subcode),
                fbtrace_id,
                elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                "called Meta"
            );
            match outcome {
                Err(Trouble { may_repeat: true, .. }) if is_first && !call.edge.is_write() => {
                    is_first = false;
                }
                outcome => return outcome.map(|answer| (answer, trace_id)),
            }
        }
    }

    /// Sends a call once, if the budget lets it.
    async fn attempt(&self, call: &Call<'_>, trace_id: &mut Option<String>) -> Result<Value, Trouble> {
        let payer = self.payer();
        let (budget, admitted) = (&self.inner.budget, self.now());
        budget.admit(&payer, call.account, call.edge, call.claim, admitted).map_err(Failure::Throttled)?;
        let response =
            match self.inner.transport.send(call, &self.credential.token, self.proof.as_ref()).await {
                Ok(response) => response,
                Err(trouble) => {
                    if matches!(*trouble.failure, Failure::NotSent(_)) {
                        budget.not_sent(&payer, call.account, call.edge, call.claim, admitted);
                    }
                    return Err(trouble);
                }
            };
        let (status, headers) = (response.status(), response.headers().clone());
        *trace_id = self.traced(call, &headers);
        let body = read_body(response).await;
        self.interpret(call, &payer, status, &headers, body)
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
        let asked = asked.map(|seconds| later(now, Duration::from_secs(seconds).min(LONGEST_BELIEVED)));
        let until = blocked.max(asked);
        if let Some(warning) = header("x-ad-api-version-warning") {
            tracing::debug!(warning = redact(warning, &[]), "Meta warns about the Graph version");
        }

        let is_fault = status.is_server_error();
        let repeatable = |trouble: Trouble| if is_fault { trouble.repeatable() } else { trouble };
        let body = body?;
        let answer = json::parse(&body).map_err(|why| {
            let edge = call.edge.as_str();
            if let Some(repeated) = self.inner.repeats.tell(&format!("answer of {edge}: {why}")) {
                let business = &self.credential.business;
                tracing::warn!(edge, %business, why, repeated, "an answer cannot be read");
            }
            Trouble::from(Failure::TooLarge(why))
        })?;
        drop(body);
        let envelope = answer.as_ref().map_or(Ok(None), Envelope::of);
        match envelope {
            Ok(Some(envelope)) => {
                let nonexisting = envelope.nonexisting_field();
                let mut refusal = self.refusal(envelope, call, status, until, now);
                if refusal.trace_id.is_none() {
                    refusal.trace_id = self.traced(call, headers);
                }
                if refusal.says(Said::AppBlocked) {
                    let end = budget.app_blocked(payer, &refusal, now);
                    refusal.until = Some(end);
                } else if is_throttle(refusal.code, refusal.subcode) {
                    let account = if refusal.scope == Scope::App { None } else { call.account };
                    // A limit of an account that the call did not name holds up nobody else.
                    if refusal.scope == Scope::App || account.is_some() {
                        let end = budget.throttled(payer, account, until, now);
                        refusal.until = refusal.until.max(Some(end));
                    }
                } else {
                    self.answered(call, payer, now);
                }
                let may_repeat = is_fault && refusal.may_have_happened();
                Err(Trouble { failure: Box::new(Failure::Refused(refusal)), nonexisting, may_repeat })
            }
            Err(mut text) => {
                self.secrets(call).for_each(|secret| hide(&mut text, secret));
                let (status, text) = (status.as_u16(), redact(&text, &[]));
                let why = format!("HTTP {status} with an error that has no code: {text}");
                Err(repeatable(Trouble::no_answer(why)))
            }
            Ok(None) => match answer {
                Some(answer) if status.is_success() => {
                    self.answered(call, payer, now);
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

    /// Meta dealt with the call. That it knows the token does not show that the app may call.
    fn answered(&self, call: &Call<'_>, payer: &Payer, now: Timestamp) {
        self.inner.budget.answered(payer, call.account, now);
        if call.edge != Edge::DebugToken {
            self.inner.budget.app_admitted(payer, now);
        }
    }

    /// What must not come back in a text.
    fn secrets<'s>(&'s self, call: &'s Call<'_>) -> impl Iterator<Item = &'s str> {
        let secrets = [Some(&self.credential.token), self.credential.app_secret.as_ref(), call.secret];
        secrets.into_iter().flatten().chain(&self.proof).map(ExposeSecret::expose_secret)
    }

    /// Takes our own secrets out of an envelope before it is classified and bounded.
    pub(super) fn refusal(
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
    pub(super) async fn write(&self, call: Call<'_>) -> Result<Accepted, Failure> {
        self.told(&call).await.map(|done| Accepted { has_kept_pin: false, ..done })
    }

    /// The same, and whether Meta said that it left another PIN in force. Whatever else it says besides is told in the log
    /// alone.
    pub(super) async fn told(&self, call: &Call<'_>) -> Result<Accepted, Failure> {
        let (answer, trace_id) = self.call_traced(call).await.map_err(Trouble::into_failure)?;
        match json::truth(&answer, "success") {
            Some(true) => {
                for (name, value) in self.told_besides(call, &answer) {
                    tracing::info!(
                        edge = call.edge.as_str(),
                        name,
                        value,
                        "Meta said more than that it was done"
                    );
                }
                Ok(Accepted { number: None, has_kept_pin: has_kept_pin(&answer), trace_id })
            }
            _ => Err(Failure::NoAnswer("Meta did not say that the write was done".into())),
        }
    }

    /// What the answer to a write says besides that it was done, without our secrets.
    pub(super) fn told_besides(&self, call: &Call<'_>, answer: &Value) -> Vec<(String, String)> {
        let members = answer.as_object().into_iter().flatten().filter(|(name, _)| *name != "success");
        let clean = |mut text: String| {
            self.secrets(call).for_each(|secret| hide(&mut text, secret));
            redact(&text, &[])
        };
        members.map(|(name, value)| (clean(name.clone()), clean(value.to_string()))).collect()
    }

    /// By which Meta's support finds a call again, whatever became of it. In recorded answers `X-Fb-Request-Id` is what a refusal has
    /// as `fbtrace_id`, and `X-Fb-Trace-Id` is another one. It is kept as that of a refusal is.
    fn traced(&self, call: &Call<'_>, headers: &HeaderMap) -> Option<String> {
        let text = |name| headers.get(name)?.to_str().ok();
        let mut id = ["x-fb-request-id", "x-fb-trace-id"].into_iter().find_map(text)?.to_owned();
        self.secrets(call).for_each(|secret| hide(&mut id, secret));
        let id: String = id.chars().filter(char::is_ascii_graphic).take(64).collect();
        Some(id).filter(|id| !id.is_empty())
    }

    /// The turn to subscribe to an account.
    pub(super) fn turn(&self, account: &AccountId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = lock(&self.inner.subscribing);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry((self.payer(), account.clone())).or_default())
    }

    /// When our app was subscribed to the account again, which shows it now or does not.
    pub(super) fn resubscribed(&self, account: &AccountId, is_shown: bool) -> Arc<[Timestamp]> {
        let of = (self.payer(), account.clone());
        let mut all = lock(&self.inner.resubscribed);
        if is_shown {
            return all.entry(of).or_default().as_slice().into();
        }
        all.get(&of).map(|times| times.as_slice().into()).unwrap_or_default()
    }

    /// Our app was subscribed to the account. That is again only where the account had shown it.
    pub(super) fn note_subscribed(&self, account: &AccountId) {
        let mut all = lock(&self.inner.resubscribed);
        let Some(times) = all.get_mut(&(self.payer(), account.clone())) else { return };
        times.push(self.now());
        times.drain(..times.len().saturating_sub(self.inner.limits.repairs));
    }
}

/// Whether an answer denies that the PIN was reset. Meta does not publish how it says so; one that does not speak of the PIN
/// says nothing of it.
fn has_kept_pin(answer: &Value) -> bool {
    answer.as_object().into_iter().flatten().any(|(name, value)| {
        let name = words(name);
        let text = value.as_str().unwrap_or_default();
        if let Some(is) = value.as_bool().or_else(|| text.trim().to_ascii_lowercase().parse().ok()) {
            let (is_denied, is_change) = change(&name);
            return is_change && is == is_denied && has(&name, "pin");
        }
        text.split(['.', '!', '?', ';', '\n']).map(words).any(|sentence| {
            let is_denied = change(&sentence).0;
            is_denied && (has(&name, "pin") || has(&sentence, "pin"))
        })
    })
}

fn has(words: &[String], wanted: &str) -> bool {
    words.iter().any(|word| word == wanted)
}

/// Whether words deny a change, and whether they speak of one. What denies it stands before it, with at most `been` between.
fn change(words: &[String]) -> (bool, bool) {
    let is_change = |word: &String| ["reset", "set", "changed"].contains(&word.as_str());
    let denies = |words: &[String]| {
        words[0] == "not" && words[1..].iter().find(|word| *word != "been").is_some_and(is_change)
    };
    ((0..words.len()).any(|at| denies(&words[at..])), words.iter().any(is_change))
}

/// The words of a sentence or of a name, in small letters.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in text.chars() {
        if !c.is_alphanumeric() || (was_small && c.is_uppercase()) {
            words.push(String::new());
        }
        was_small = c.is_lowercase();
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.push(c.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests;
