//! Everything the sandbox remembers, and what a call is about.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::budget::Budget;
use super::call::{Call, UPLOAD};
use super::clock::{Clock, after_secs};
use super::envelope::Refusal;
use super::fault::{Fault, FaultKind, Injected, Subject};
use super::options::Options;
use super::part::Upload;
use super::random::Dice;
use super::record::{CallRecord, Effect, What};
use super::switch::MissingObject;
use super::world::{App, Token, World};

/// Call records that are kept.
const CALLS_KEPT: usize = 20_000;

/// Everything the sandbox remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) dice: Dice,
    pub(super) world: World,
    pub(super) effects: Vec<Effect>,
    pub(super) counters: BTreeMap<String, u64>,
    pub(super) app_budgets: BTreeMap<String, Budget>,
    pub(super) account_budgets: BTreeMap<String, Budget>,
    faults: Vec<Injected>,
    fault_serial: u64,
    next_id: u64,
    /// Files that are uploaded, by the path of their session, and those that came whole, by handle.
    #[serde(default)]
    pub(super) uploads: BTreeMap<String, Upload>,
    #[serde(default)]
    pub(super) handles: BTreeMap<String, Upload>,
    /// Calls that a fault holds back.
    #[serde(default)]
    pub(super) delayed: Vec<Delayed>,
    /// The date of the delayed call that is carried out right now.
    #[serde(skip)]
    pub(super) moment: Option<Timestamp>,
    #[serde(skip)]
    pub(super) calls: VecDeque<CallRecord>,
    /// A fault makes the effects of the call at hand at least this late.
    #[serde(skip)]
    pub(super) extra_lag: u64,
}

/// A call that got no answer and is carried out later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Delayed {
    pub(super) at: Timestamp,
    pub(super) call: Call,
    pub(super) target: Target,
}

/// What a call is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Target {
    DebugToken,
    Me,
    Portfolio(String),
    App(String),
    Account(String),
    Number(String),
    Upload(String),
    Unknown,
}

/// Who calls.
pub(super) struct Caller {
    pub(super) value: String,
    pub(super) token: Token,
    pub(super) app: App,
}

/// How it goes on.
pub(super) enum Next {
    Body(Value),
    Handshake(Handshake),
}

/// A callback that must answer before anything changes.
pub(super) struct Handshake {
    pub(super) url: String,
    pub(super) verify_token: String,
    pub(super) then: Then,
}

/// What changes once it did.
pub(super) enum Then {
    Account { account: String, app: String, callback: String },
    App { app: String, callback: String, fields: BTreeSet<String> },
    Number { id: String, change: Box<NumberChange> },
}

/// What one POST on a number changes.
#[derive(Clone, Debug, Default)]
pub(super) struct NumberChange {
    pub(super) pin: Option<String>,
    pub(super) name: Option<String>,
    /// A webhook of its own, or none to remove it.
    pub(super) webhook: Option<Option<String>>,
}

impl State {
    pub(super) fn new(options: Options, world: World) -> Self {
        Self {
            clock: Clock::new(options.start, options.pace),
            dice: Dice::new(options.seed),
            options,
            world,
            effects: Vec::new(),
            counters: BTreeMap::new(),
            app_budgets: BTreeMap::new(),
            account_budgets: BTreeMap::new(),
            faults: Vec::new(),
            fault_serial: 0,
            next_id: 0,
            uploads: BTreeMap::new(),
            handles: BTreeMap::new(),
            delayed: Vec::new(),
            moment: None,
            calls: VecDeque::new(),
            extra_lag: 0,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.moment.unwrap_or_else(|| self.clock.now())
    }

    /// Holds a write back for so long.
    pub(super) fn delay(&mut self, call: &Call, target: &Target, secs: u64) {
        if call.method != "GET" {
            let at = after_secs(self.now(), secs);
            self.delayed.push(Delayed { at, call: call.clone(), target: target.clone() });
        }
    }

    pub(super) fn pass_time(&mut self) {
        let now = self.now();
        for number in self.world.numbers.values_mut() {
            let account = self.world.accounts.get_mut(&number.account);
            number.tick(account.map(|account| &mut account.subscriptions), &self.options.switches, now);
        }
        for account in self.world.accounts.values_mut() {
            account.late.retain(|late| late.until > now);
        }
    }

    /// What the path is about, whether or not the caller may see it.
    pub(super) fn target(&self, call: &Call) -> Target {
        match call.path.first().map(String::as_str) {
            Some("debug_token") => Target::DebugToken,
            Some("me") => Target::Me,
            Some(id) if id.starts_with(UPLOAD) => Target::Upload(id.to_owned()),
            Some(id) if self.world.apps.contains_key(id) => Target::App(id.to_owned()),
            Some(id) if self.world.portfolios.contains_key(id) => Target::Portfolio(id.to_owned()),
            Some(id) if self.world.accounts.contains_key(id) => Target::Account(id.to_owned()),
            Some(id) if self.world.numbers.contains_key(id) => Target::Number(id.to_owned()),
            _ => Target::Unknown,
        }
    }

    /// The account that a target belongs to.
    pub(super) fn account_of(&self, target: &Target) -> Option<String> {
        match target {
            Target::Account(id) => Some(id.clone()),
            Target::Number(id) => self.world.numbers.get(id).map(|number| number.account.clone()),
            _ => None,
        }
    }

    /// A token by its value; `{app}|{secret}` is the token of an app.
    pub(super) fn token(&self, value: &str) -> Option<(Token, App)> {
        if let Some((id, secret)) = value.split_once('|') {
            let app = self.world.apps.get(id).filter(|app| app.secret.as_deref() == Some(secret))?;
            let token = Token {
                app: id.to_owned(),
                kind: "APP".to_owned(),
                user_id: id.to_owned(),
                ..Token::default()
            };
            return Some((token, app.clone()));
        }
        let token = self.world.tokens.get(value)?;
        Some((
            token.clone(),
            self.world.apps.get(&token.app).cloned().unwrap_or_else(|| App::new(&token.app, "App")),
        ))
    }

    /// The faults that a call meets.
    pub(super) fn meet_faults(&mut self, call: &Call, target: &Target) -> Vec<FaultKind> {
        let account = self.account_of(target);
        let token = call.token().and_then(|value| self.token(value));
        let app = token.map(|(_, app)| app.id);
        let subject = Subject {
            method: &call.method,
            edge: edge(call, target),
            account: account.as_deref(),
            app: app.as_deref(),
            now: self.clock.now(),
        };
        let dice = &mut self.dice;
        self.faults.iter_mut().filter_map(|fault| fault.meet(&subject, dice)).collect()
    }

    pub(super) fn inject(&mut self, fault: Fault) {
        self.fault_serial += 1;
        self.faults.push(Injected::new(fault, self.fault_serial));
    }

    pub(super) fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// The faults and how often each applied.
    pub(super) fn show_faults(&self) -> Value {
        serde_json::to_value(&self.faults).unwrap_or_default()
    }

    pub(super) fn effect(&mut self, what: What) {
        self.effects.push(Effect { at: self.now(), what });
    }

    pub(super) fn record(&mut self, record: CallRecord) {
        *self.counters.entry(format!("{} {}", record.method, record.path)).or_insert(0) += 1;
        if self.calls.len() >= CALLS_KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(record);
    }

    /// An id that nothing has yet.
    pub(super) fn fresh_number_id(&mut self) -> String {
        loop {
            self.next_id += 1;
            let id = format!("{}", 100_000_000_000_000 + self.next_id);
            if !self.world.numbers.contains_key(&id) {
                return id;
            }
        }
    }

    /// An object that is missing, invisible, or does not do that.
    pub(super) fn unsupported(&self, call: &Call) -> Refusal {
        let verb = call.method.to_ascii_lowercase();
        match self.options.switches.missing_object {
            MissingObject::Invisible => {
                let why = "Object does not exist, cannot be loaded due to missing permissions, or does not support this operation.";
                Refusal::new(100, format!("Unsupported {verb} request. {why}")).subcode(33).method()
            }
            MissingObject::NotFound => Refusal::new(803, "Some of the aliases you requested do not exist"),
        }
    }
}

/// The token has the permission.
pub(super) fn need(caller: &Caller, scope: &str) -> Result<(), Refusal> {
    if caller.token.scopes.contains(scope) {
        Ok(())
    } else {
        Err(Refusal::permission(format!("You do not have the necessary permission {scope}")))
    }
}

/// The edge of a call, or the kind of node.
pub(super) fn edge<'a>(call: &'a Call, target: &Target) -> &'a str {
    match (target, call.path.get(1)) {
        (Target::DebugToken, _) => "debug_token",
        (Target::Me, _) => "me",
        (_, Some(edge)) => edge,
        (Target::Portfolio(_), None) => "business",
        (Target::App(_), None) => "app",
        (Target::Account(_), None) => "waba",
        (Target::Number(_), None) => "phone",
        (Target::Upload(_), None) => "upload",
        (Target::Unknown, None) => "unknown",
    }
}

/// The path with ids replaced.
pub(super) fn template(call: &Call, target: &Target) -> String {
    let node = match target {
        Target::DebugToken => "debug_token",
        Target::Me => "me",
        Target::Portfolio(_) => "{business}",
        Target::App(_) => "{app}",
        Target::Account(_) => "{waba}",
        Target::Number(_) => "{phone}",
        Target::Upload(_) => "{upload}",
        Target::Unknown => "{unknown}",
    };
    match call.path.get(1) {
        Some(edge) => format!("/{node}/{edge}"),
        None => format!("/{node}"),
    }
}
