//! The sandbox as tests and the control API hold it: what happens at Meta and on the phone, on order.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::clock::{Pace, after_secs, later};
use super::fault::Fault;
use super::number::{Number, Verdict};
use super::options::{Hold, Lag, Options};
use super::part::only_digits;
use super::record::{CallRecord, Effect, What};
use super::review::ReviewPolicy;
use super::rival::Rival;
use super::state::State;
use super::switch::{EndpointAnswer, Switches};
use super::world::{Account, App, Phone, Portfolio, Token, World};

/// A simulated Meta. Clones share one state.
#[derive(Clone)]
pub struct Sandbox {
    state: Arc<Mutex<State>>,
}

/// Says nothing of the state: codes and PINs stay out of logs here too.
impl fmt::Debug for Sandbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

impl Sandbox {
    /// An empty world: no portfolio, no token.
    pub fn new(options: Options) -> Self {
        Self::from_world(options, World::default())
    }

    /// A world that is given.
    pub fn from_world(options: Options, world: World) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(options, world))) }
    }

    /// Continues from a [`snapshot`](Self::snapshot).
    ///
    /// # Errors
    ///
    /// When the value is no snapshot.
    pub fn restore(snapshot: Value) -> Result<Self, serde_json::Error> {
        Ok(Self { state: Arc::new(Mutex::new(serde_json::from_value(snapshot)?)) })
    }

    /// The whole state, maps in order. It holds made-up codes, PINs and tokens; the
    /// single calls are not in it.
    pub fn snapshot(&self) -> Value {
        let mut state = self.ticked();
        state.clock.settle();
        serde_json::to_value(&*state).unwrap_or_else(|error| json!({"error": error.to_string()}))
    }

    /// The virtual date.
    pub fn now(&self) -> Timestamp {
        self.state().now()
    }

    /// Moves virtual time forward. What it does to numbers is done once somebody looks or changes something: nobody
    /// can tell the difference, and moving it a million times stays cheap.
    pub fn advance(&self, by: Duration) {
        self.state().clock.advance(by);
    }

    /// Changes how virtual time passes.
    pub fn set_pace(&self, pace: Pace) {
        self.state().clock.set_pace(pace);
    }

    /// Adds or replaces a portfolio.
    pub fn add_portfolio(&self, portfolio: Portfolio) {
        self.state().world.portfolios.insert(portfolio.id.clone(), portfolio);
    }

    /// Adds or replaces an account.
    pub fn add_account(&self, account: Account) {
        self.state().world.accounts.insert(account.id.clone(), account);
    }

    /// Adds or replaces a number, as if it had always been there; an empty id is
    /// given one. Returns the id. No effect is recorded.
    pub fn add_number(&self, mut number: Number) -> String {
        let mut state = self.state();
        if number.id.is_empty() {
            number.id = state.fresh_number_id();
        }
        let id = number.id.clone();
        state.world.numbers.insert(id.clone(), number);
        id
    }

    /// Adds or replaces an app.
    pub fn add_app(&self, app: App) {
        self.state().world.apps.insert(app.id.clone(), app);
    }

    /// Gives an app another address, as whoever has its secret may. False: there is no such app.
    pub fn set_app_address(&self, app: &str, url: &str) -> bool {
        let mut state = self.state();
        let Some(app) = state.world.apps.get_mut(app) else { return false };
        app.callback_url = Some(url.to_owned());
        true
    }

    /// Subscribes an app of somebody else to an account, as only that app can. False: there is no such account.
    pub fn subscribe(&self, account: &str, app: App) -> bool {
        let mut state = self.state();
        let Some(account) = state.world.accounts.get_mut(account) else { return false };
        account.subscriptions.entry(app.id.clone()).or_default();
        state.world.apps.insert(app.id.clone(), app);
        true
    }

    /// Adds or replaces a token.
    pub fn add_token(&self, value: &str, token: Token) {
        self.state().world.tokens.insert(value.to_owned(), token);
    }

    /// What the phone holder received last. None when nothing came, or never does.
    pub fn delivered_code(&self, digits: &str) -> Option<String> {
        self.number(digits)
            .filter(|number| !number.unreachable)
            .and_then(|number| number.code)
            .map(|code| code.value)
    }

    /// The number with these digits, as it truly is.
    pub fn number(&self, digits: &str) -> Option<Number> {
        let state = self.ticked();
        let id = state.world.number_id(digits)?;
        state.world.numbers.get(&id).cloned()
    }

    /// Decides on the name in review, or on the current one. False without such a number.
    pub fn decide_name(&self, digits: &str, verdict: Verdict) -> bool {
        let switches = self.switches();
        self.with_number(digits, |number, now| number.decide(verdict, &switches, now))
    }

    /// Lets somebody else manage the number as well; none ends it. False without such a number.
    pub fn set_rival(&self, digits: &str, rival: Option<Rival>) -> bool {
        let is_there = self.with_number(digits, |number, _| number.rival = rival);
        drop(self.ticked());
        is_there
    }

    /// Changes how names are reviewed that are submitted from now on.
    pub fn set_review(&self, policy: ReviewPolicy) {
        self.ticked().options.review = policy;
    }

    /// Says what becomes of connections whose reply is lost.
    pub fn set_hold(&self, hold: Hold) {
        self.state().options.hold = hold;
    }

    /// Changes how late effects show from now on.
    pub fn set_lag(&self, lag: Lag) {
        self.state().options.lag = lag;
    }

    /// The switches as they are.
    pub fn switches(&self) -> Switches {
        self.state().options.switches.clone()
    }

    /// Replaces the switches.
    pub fn set_switches(&self, switches: Switches) {
        self.ticked().options.switches = switches;
    }

    /// Bans a number by its digits, or an account by its id. False without such a thing.
    pub fn ban(&self, target: &str) -> bool {
        let mut state = self.ticked();
        if let Some(account) = state.world.accounts.get_mut(target) {
            account.status = "DISABLED".to_owned();
            return true;
        }
        drop(state);
        self.with_number(target, |number, _| number.status = "BANNED".to_owned())
    }

    /// Restricts a number, or the adding of numbers to an account, until then or for good.
    pub fn restrict(&self, target: &str, until: Option<Timestamp>) -> bool {
        let mut state = self.ticked();
        if let Some(account) = state.world.accounts.get_mut(target) {
            account.add_restricted_until = Some(until.unwrap_or(Timestamp::MAX));
            return true;
        }
        drop(state);
        self.with_number(target, |number, _| number.status = "RESTRICTED".to_owned())
    }

    /// Puts a raw value on a number (by digits or id), an account or a portfolio (by id):
    /// into the state where there is such a field, else on top of what is read. Null
    /// leaves the field out. False without such a thing.
    pub fn set_field(&self, target: &str, field: &str, value: Value) -> bool {
        let mut state = self.ticked();
        let world = &mut state.world;
        if let Some(account) = world.accounts.get_mut(target) {
            put(account, field, &value, |account| &mut account.raw);
        } else if let Some(portfolio) = world.portfolios.get_mut(target) {
            put(portfolio, field, &value, |portfolio| &mut portfolio.raw);
        } else if let Some(number) = number_mut(world, target) {
            number.late.retain(|late| late.field != field);
            put(number, field, &value, |number| &mut number.raw);
        } else {
            return false;
        }
        true
    }

    /// Removes a raw value that lies on top of what is read.
    pub fn clear_field(&self, target: &str, field: &str) -> bool {
        let mut state = self.ticked();
        let world = &mut state.world;
        if let Some(account) = world.accounts.get_mut(target) {
            account.raw.remove(field);
        } else if let Some(portfolio) = world.portfolios.get_mut(target) {
            portfolio.raw.remove(field);
        } else if let Some(number) = number_mut(world, target) {
            number.raw.remove(field);
        } else {
            return false;
        }
        true
    }

    /// Puts a number into an app on somebody's phone.
    pub fn put_on_phone(&self, digits: &str) {
        self.state().world.put_phone(digits, Phone::default());
    }

    /// Deletes the account in the app; the number is free three minutes later.
    pub fn release_phone(&self, digits: &str) {
        let mut state = self.state();
        let free_from = Some(after_secs(state.now(), 180));
        state.world.put_phone(digits, Phone { free_from });
    }

    /// Deletes a number as an admin does by hand; registering it again takes five minutes.
    pub fn delete_number(&self, digits: &str) -> bool {
        let mut state = self.ticked();
        let now = state.now();
        let digits = only_digits(digits);
        let Some(id) = state.world.number_id(&digits) else { return false };
        state.world.numbers.remove(&id);
        state.world.deleted.insert(digits, now);
        true
    }

    /// Switches two-step verification off, as an admin does by hand.
    pub fn disable_pin(&self, digits: &str) -> bool {
        self.with_number(digits, |number, _| number.pin = None)
    }

    /// Connects a number from the WhatsApp Business app, as its holder does through a partner's sign-up.
    pub fn connect_in_app(&self, digits: &str) -> bool {
        self.with_number(digits, Number::connect_in_app)
    }

    /// Ends that, as the holder or Meta may at any time.
    pub fn disconnect_in_app(&self, digits: &str) -> bool {
        self.with_number(digits, |number, _| number.disconnect_in_app())
    }

    /// Takes the picture of a number away, as Meta does at times.
    pub fn lose_picture(&self, digits: &str) -> bool {
        self.with_number(digits, |number, _| number.profile.pictures = 0)
    }

    /// Deregisters a number, as another partner of it may at any time; name, history and PIN remain. False where no such
    /// number is registered.
    pub fn deregister_number(&self, digits: &str) -> bool {
        let mut state = self.ticked();
        let (now, switches) = (state.now(), state.options.switches.clone());
        let Some(number) = number_mut(&mut state.world, digits) else { return false };
        let (digits, is_done) = (number.digits.clone(), number.deregister(&switches, now).is_ok());
        if is_done {
            state.effect(What::Deregistered { digits });
        }
        is_done
    }

    /// Says what a callback answers to a handshake, instead of being called.
    pub fn set_webhook_endpoint(&self, url: &str, answer: EndpointAnswer) {
        self.state().world.webhook_endpoints.insert(url.to_owned(), answer);
    }

    /// Revokes a token (190, subcode 467). False without such a token.
    pub fn revoke_token(&self, value: &str) -> bool {
        self.with_token(value, |token, _| token.dead = Some(467))
    }

    /// Lets a token expire now (190, subcode 463).
    pub fn expire_token(&self, value: &str) -> bool {
        self.with_token(value, |token, now| {
            token.expires_at = Some(later(now, jiff::SignedDuration::from_secs(-1)));
        })
    }

    /// Replaces the permissions of a token.
    pub fn set_scopes<S: Into<String>>(&self, value: &str, scopes: impl IntoIterator<Item = S>) -> bool {
        let scopes = scopes.into_iter().map(Into::into).collect();
        self.with_token(value, |token, _| token.scopes = scopes)
    }

    /// Adds a fault, after those that are there.
    pub fn inject(&self, fault: Fault) {
        self.state().inject(fault);
    }

    /// Removes all faults. Throttling that one caused goes on.
    pub fn clear_faults(&self) {
        self.state().clear_faults();
    }

    /// The faults and how often each applied.
    pub fn faults(&self) -> Value {
        self.state().show_faults()
    }

    /// How many effects are of this kind.
    pub fn count(&self, is: impl Fn(&What) -> bool) -> usize {
        let mut state = self.state();
        state.catch_up();
        state.effects.iter().filter(|effect| is(&effect.what)).count()
    }

    /// Every effect at Meta, in order.
    pub fn effects(&self) -> Vec<Effect> {
        let mut state = self.state();
        state.catch_up();
        state.effects.clone()
    }

    /// The last calls, in the order in which they ended.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.state().calls.iter().cloned().collect()
    }

    /// How many calls there were, by method and path.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.state().counters.clone()
    }

    /// A panic elsewhere leaves at worst one call half done; the state stays usable.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, with everything done that time does by itself.
    fn ticked(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.tick();
        state
    }

    fn with_number(&self, target: &str, change: impl FnOnce(&mut Number, Timestamp)) -> bool {
        let mut state = self.ticked();
        let now = state.now();
        number_mut(&mut state.world, target).map(|number| change(number, now)).is_some()
    }

    fn with_token(&self, value: &str, change: impl FnOnce(&mut Token, Timestamp)) -> bool {
        let mut state = self.state();
        let now = state.now();
        state.world.tokens.get_mut(value).map(|token| change(token, now)).is_some()
    }
}

/// A number by its id or its digits.
fn number_mut<'a>(world: &'a mut World, target: &str) -> Option<&'a mut Number> {
    let id = if world.numbers.contains_key(target) { target.to_owned() } else { world.number_id(target)? };
    world.numbers.get_mut(&id)
}

/// Sets a field of the state by its name, or lays the value on top of what is read.
fn put<T: Serialize + DeserializeOwned>(
    owner: &mut T,
    field: &str,
    value: &Value,
    raw: impl Fn(&mut T) -> &mut BTreeMap<String, Value>,
) {
    let stored = serde_json::to_value(&*owner)
        .ok()
        .filter(|stored| stored.get(field).is_some() && !matches!(field, "raw" | "late"));
    if let Some(mut stored) = stored {
        stored[field] = value.clone();
        if let Ok(changed) = serde_json::from_value(stored) {
            *owner = changed;
            raw(owner).remove(field);
            return;
        }
    }
    raw(owner).insert(field.to_owned(), value.clone());
}
