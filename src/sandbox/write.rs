//! Writes: adding numbers, the steps of a number, profiles and subscriptions.
//!
//! Everything is checked before anything changes. What a write changes may show late,
//! each field by its own.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use jiff::{SignedDuration, Timestamp};

use super::call::Call;
use super::clock::{after_secs, later};
use super::envelope::{Refusal, UserText};
use super::node::{LAGGING, View};
use super::number::{Code, Number, certificate, check_name_length, is_pin};
use super::options::Lag;
use super::part::{Late, Override, only_digits};
use super::record::What;
use super::spelling::dial_code;
use super::state::{Caller, Handshake, Next, NumberChange, State, Target, Then, need};
use super::switch::{NumberElsewhere, NumberLimit, OnPhoneAtAdd};
use super::world::{Account, App};

const VERTICALS: &[&str] = &[
    "",
    "ALCOHOL",
    "APPAREL",
    "AUTO",
    "BEAUTY",
    "EDU",
    "ENTERTAIN",
    "EVENT_PLAN",
    "FINANCE",
    "GOVT",
    "GROCERY",
    "HEALTH",
    "HOTEL",
    "NONPROFIT",
    "ONLINE_GAMBLING",
    "OTC_DRUGS",
    "OTHER",
    "PHYSICAL_GAMBLING",
    "PROF_SERVICES",
    "RESTAURANT",
    "RETAIL",
    "TRAVEL",
];

/// A registration too soon after the number was deleted is refused.
const DELETED_SECS: i64 = 300;

impl State {
    pub(super) fn write(&mut self, call: &Call, target: &Target, caller: &Caller) -> Result<Next, Refusal> {
        let done = Next::Body(json!({"success": true}));
        match (target, call.path.get(1).map(String::as_str), call.method.as_str()) {
            (Target::Account(id), Some("phone_numbers"), "POST") => {
                self.add_number(call, id).map(|id| Next::Body(json!({"id": id})))
            }
            (Target::Account(id), Some("subscribed_apps"), "POST") => self.subscribe(call, id, &caller.app),
            (Target::Account(id), Some("subscribed_apps"), "DELETE") => {
                let app = caller.app.id.clone();
                let removed = self.change_account(id, |account| account.subscriptions.remove(&app)).flatten();
                if removed.is_some() {
                    self.effect(What::Unsubscribed { account: id.clone(), app });
                }
                Ok(done)
            }
            (Target::Number(id), edge, "POST") => {
                self.check_number(call, id)?;
                match edge {
                    None => self.post_number(call, id, &caller.app),
                    Some("request_code") => self.request_code(call, id).map(|()| done),
                    Some("verify_code") => self.verify_code(call, id).map(|()| done),
                    Some("register") => {
                        need(caller, "whatsapp_business_messaging")?;
                        let switches = &self.options.switches;
                        let keeps_pin = self.world.numbers.get(id).is_some_and(|n| n.keeps_pin(switches));
                        self.register(call, id)?;
                        // Meta says so in a member whose name it does not publish: this one is made up.
                        let kept = json!({"success": true, "pin_was_reset": false});
                        Ok(if keeps_pin { Next::Body(kept) } else { done })
                    }
                    Some("deregister") => self.deregister(id).map(|()| done),
                    Some("smb_app_data") => self.start_sync(call, id).map(Next::Body),
                    Some("settings") => self.write_settings(call, id).map(|()| done),
                    Some("whatsapp_business_profile") => {
                        self.write_profile(call, id, &caller.app).map(|()| done)
                    }
                    Some(_) => Err(self.unsupported(call)),
                }
            }
            _ => Err(self.unsupported(call)),
        }
    }

    /// Finishes a call whose handshake went well.
    pub(super) fn finish(&mut self, then: Then) -> Value {
        match then {
            Then::Account { account, app, callback } => {
                let url = callback.clone();
                self.change_account(&account, |found| {
                    found.subscriptions.insert(app, Override { callback: Some(callback) })
                });
                self.effect(What::Overridden { target: account.clone(), url: Some(url) });
                let mut body = self
                    .world
                    .accounts
                    .get(&account)
                    .map_or_else(|| json!({}), |found| self.view(&App::default()).subscriptions(found));
                body["success"] = json!(true);
                body
            }
            Then::App { app, callback, fields } => {
                let replaces = self.options.switches.app_fields_are_replaced;
                if let Some(app) = self.world.apps.get_mut(&app) {
                    if replaces {
                        (app.messages_field, app.other_fields) = (false, BTreeSet::new());
                    }
                    for field in fields {
                        match field.as_str() {
                            "messages" => app.messages_field = true,
                            _ => drop(app.other_fields.insert(field)),
                        }
                    }
                    (app.callback_url, app.webhook_off) = (Some(callback.clone()), false);
                }
                self.effect(What::AppWebhookSet { app, url: callback });
                json!({"success": true})
            }
            Then::Number { id, change } => {
                self.apply(&id, *change);
                json!({"success": true})
            }
        }
    }

    /// A view for comparing and for bodies of writes.
    fn view<'a>(&'a self, app: &'a App) -> View<'a> {
        View {
            world: &self.world,
            switches: &self.options.switches,
            now: self.now(),
            version: 25,
            app,
            refused: &[],
            base: "",
        }
    }

    /// How late the next change of a field shows.
    fn lag(&mut self, owner: &str, field: &str) -> u64 {
        let seeded = match self.options.lag {
            Lag::None => 0,
            Lag::Seeded { max_secs } => self.dice.between(&format!("lag/{owner}/{field}"), 0, max_secs),
        };
        seeded.max(self.extra_lag)
    }

    /// Changes a number; fields whose value differs afterwards show late.
    pub(super) fn change_number<T>(&mut self, id: &str, change: impl FnOnce(&mut Number) -> T) -> Option<T> {
        let before = self.world.numbers.get(id)?.clone();
        let app = self.app_of(&before.account);
        let old: Vec<Option<Value>> =
            LAGGING.iter().map(|field| self.view(&app).number_truth(&before, field)).collect();
        let result = change(self.world.numbers.get_mut(id)?);
        let after = self.world.numbers.get(id)?.clone();
        let changed: Vec<(&str, Option<Value>)> = LAGGING
            .iter()
            .zip(old)
            .filter(|(field, old)| self.view(&app).number_truth(&after, field) != *old)
            .map(|(field, old)| (*field, old))
            .collect();
        let now = self.now();
        for (field, value) in changed {
            let secs = self.lag(&before.digits, field);
            if let Some(number) = self.world.numbers.get_mut(id).filter(|_| secs > 0) {
                number.late.push(Late { field: field.to_owned(), until: after_secs(now, secs), value });
            }
        }
        Some(result)
    }

    /// Changes an account's subscriptions, which show late.
    fn change_account<T>(&mut self, id: &str, change: impl FnOnce(&mut Account) -> T) -> Option<T> {
        let app = App::default();
        let before = self.view(&app).subscriptions(self.world.accounts.get(id)?);
        let result = change(self.world.accounts.get_mut(id)?);
        if self.view(&app).subscriptions(self.world.accounts.get(id)?) != before {
            let secs = self.lag(id, "subscribed_apps");
            let until = after_secs(self.now(), secs);
            if let Some(account) = self.world.accounts.get_mut(id).filter(|_| secs > 0) {
                account.late.push(Late { field: "subscribed_apps".to_owned(), until, value: Some(before) });
            }
        }
        Some(result)
    }

    /// The app whose levels a number's webhooks are compared under.
    fn app_of(&self, account: &str) -> App {
        let subscribed =
            self.world.accounts.get(account).and_then(|account| account.subscriptions.keys().next());
        subscribed.and_then(|id| self.world.apps.get(id)).cloned().unwrap_or_default()
    }

    fn check_account(&self, id: &str) -> Result<(), Refusal> {
        match self.world.accounts.get(id) {
            Some(account) if account.is_disabled() => {
                Err(Refusal::new(368, "The account is blocked for violating policies"))
            }
            Some(account) if account.locked => Err(Refusal::new(131_031, "Account has been locked")),
            Some(account) if !account.is_approved() => {
                Err(Refusal::permission("The account is not approved for use with the API"))
            }
            _ => Ok(()),
        }
    }

    /// The number takes orders at all.
    pub(super) fn check_number(&self, call: &Call, id: &str) -> Result<(), Refusal> {
        let Some(number) = self.world.numbers.get(id) else { return Err(self.unsupported(call)) };
        match number.status.as_str() {
            "DELETED" => Err(Refusal::new(33, "The phone number has been deleted")),
            "MIGRATED" => Err(self.unsupported(call)),
            "BANNED" => Err(Refusal::new(131_031, "Account has been locked")),
            _ => self.check_account(&number.account),
        }
    }

    fn add_number(&mut self, call: &Call, account: &str) -> Result<String, Refusal> {
        self.check_account(account)?;
        let now = self.now();
        let owner = self.world.accounts.get(account).map(|account| account.owner.clone()).unwrap_or_default();
        let restricted = self.world.accounts.get(account).and_then(|account| account.add_restricted_until);
        if restricted.is_some_and(|until| until > now) {
            return Err(Refusal::new(368, "Adding phone numbers is restricted").user(UserText::AddRestricted));
        }
        let migrate = call.flag("migrate_phone_number");
        let digits = full_number(&call.text("cc").unwrap_or_default(), &call.required("phone_number")?)?;
        let name = if migrate { String::new() } else { call.required("verified_name")? };
        if !migrate {
            check_name_length(&name)?;
        }
        let switches = self.options.switches.clone();
        let held = self
            .world
            .number_id(&digits)
            .and_then(|id| self.world.numbers.get(&id))
            .filter(|number| !number.is_gone())
            .cloned();
        match held {
            Some(number) if number.is_in(account) => {
                return Err(Refusal::invalid("the number is in your list")
                    .subcode(2_388_012)
                    .user(UserText::AlreadyListed));
            }
            Some(number) if migrate => return self.migrate(&number, account),
            Some(_) => {
                return Err(match switches.number_elsewhere {
                    NumberElsewhere::Plain => Refusal::invalid("the number is in use in another account"),
                    NumberElsewhere::Generic => Refusal::new(200_000, "Cannot add phone number"),
                });
            }
            None if migrate => return Err(migration("This number can be added directly.")),
            None => {}
        }
        if self.world.is_banned(&digits) {
            return Err(Refusal::invalid("the number is banned"));
        }
        if self.world.is_on_phone(&digits, now) {
            match switches.on_phone_at_add {
                OnPhoneAtAdd::Certificate => return Err(certificate(UserText::NumberOnPhone)),
                OnPhoneAtAdd::Plain => {
                    return Err(
                        Refusal::invalid("the number is in use on WhatsApp").user(UserText::NumberOnPhone)
                    );
                }
                OnPhoneAtAdd::Accept => {}
            }
        }
        let limit = self.world.portfolios.get(&owner).map_or(2, super::world::Portfolio::limit);
        if self.world.numbers_of_portfolio(&owner) >= limit {
            return Err(match switches.number_limit {
                NumberLimit::Permission => {
                    Refusal::permission("Phone number limit reached").subcode(1_349_175)
                }
                NumberLimit::PlainPermission => Refusal::permission("Phone number limit reached"),
                NumberLimit::Generic => Refusal::new(200_000, "Cannot add phone number"),
            }
            .user(UserText::NumberLimit));
        }
        let id = self.fresh_number_id();
        let mut number = Number::new(&id, account, &digits, &name);
        number.status = switches.initial_status.of(&digits);
        number.name_status.clone_from(&self.options.review.first_name);
        number.name_approved = (number.name_status == "APPROVED").then_some(now);
        if number.name_status == "PENDING_REVIEW" {
            number.review = Some(self.options.review.review(false, &digits, &mut self.dice, now));
        }
        self.insert(number);
        Ok(id)
    }

    /// Puts a new number into its account; lists may show it late.
    fn insert(&mut self, mut number: Number) {
        let now = self.now();
        let secs = self.lag(&number.digits, "list");
        number.added = now;
        number.listed_from = (secs > 0).then(|| after_secs(now, secs));
        self.effect(What::NumberAdded {
            digits: number.digits.clone(),
            account: number.account.clone(),
            id: number.id.clone(),
        });
        self.world.numbers.insert(number.id.clone(), number);
    }

    /// Takes a number over from another account: a new id, to be verified and registered.
    fn migrate(&mut self, source: &Number, account: &str) -> Result<String, Refusal> {
        let owner = |id: &str| {
            self.world.accounts.get(id).and_then(|account| self.world.portfolios.get(&account.owner))
        };
        let (from, to) = (owner(&source.account), owner(account));
        let destination = self.world.accounts.get(account);
        let approved = |id: &str| self.world.accounts.get(id).is_some_and(Account::is_approved);
        let why = if source.account_mode == "SANDBOX" || source.is_on_biz_app || !source.is_registered() {
            Some("This number cannot be migrated.")
        } else if source.pin.is_some() {
            Some("Two-step verification must be switched off first.")
        } else if source.name_status != "APPROVED" || source.new_display_name.is_some() {
            Some("The display name is not approved, or a change is pending.")
        } else if !approved(account) || !approved(&source.account) {
            Some("An account is not approved.")
        } else if from.map(|from| &from.id) != to.map(|to| &to.id)
            || to.is_none_or(|to| to.verification_status != "verified")
        {
            Some("The accounts do not belong to the same verified business.")
        } else if destination.is_none_or(|account| account.primary_funding_id.is_none()) {
            Some("The destination has no payment method.")
        } else if destination.is_none_or(|account| account.subscriptions.is_empty()) {
            Some("No app of the destination is subscribed to webhooks.")
        } else {
            None
        };
        if let Some(why) = why {
            return Err(migration(why));
        }
        let id = self.fresh_number_id();
        let mut number = Number::new(&id, account, &source.digits, &source.verified_name);
        number.name_status = "APPROVED".to_owned();
        number.quality_rating.clone_from(&source.quality_rating);
        number.status = self.options.switches.initial_status.of(&number.digits);
        number.migrates_from = Some(source.id.clone());
        self.insert(number);
        Ok(id)
    }

    fn request_code(&mut self, call: &Call, id: &str) -> Result<(), Refusal> {
        if !matches!(call.required("code_method")?.as_str(), "SMS" | "VOICE") {
            return Err(Refusal::invalid("code_method is SMS or VOICE"));
        }
        let language = call.required("language")?;
        if !is_language(&language) {
            return Err(Refusal::invalid("language is of the form en_US"));
        }
        let now = self.now();
        let switches = self.options.switches.clone();
        self.change_number(id, |number| number.allow_code(&switches, now))
            .unwrap_or_else(|| Err(self.unsupported(call)))?;
        let digits = self.digits(id);
        let value = format!("{:06}", self.dice.between(&format!("code/{digits}"), 0, 999_999));
        self.change_number(id, |number| number.code = Some(Code { value, sent: now, used: false }));
        self.effect(What::CodeSent { digits });
        Ok(())
    }

    fn verify_code(&mut self, call: &Call, id: &str) -> Result<(), Refusal> {
        let code = call.required("code")?;
        if !is_pin(&code) {
            return Err(Refusal::invalid("code must be six digits"));
        }
        let now = self.now();
        let switches = self.options.switches.clone();
        let outcome = self
            .change_number(id, |number| number.verify(&code, &switches, now))
            .unwrap_or_else(|| Err(self.unsupported(call)));
        let digits = self.digits(id);
        self.effect(What::VerifyAttempt { digits: digits.clone(), accepted: outcome.is_ok() });
        if outcome.is_ok() {
            self.effect(What::CodeVerified { digits });
        }
        outcome
    }

    fn register(&mut self, call: &Call, id: &str) -> Result<(), Refusal> {
        let now = self.now();
        let digits = self.digits(id);
        let allowed = self
            .change_number(id, |number| number.allow_register(now))
            .unwrap_or_else(|| Err(self.unsupported(call)));
        let outcome = allowed.and_then(|()| {
            let outcome = self.try_register(call, id, &digits, now);
            if outcome.is_err() && !self.options.switches.failed_registers_count {
                self.change_number(id, Number::forget_register);
            }
            outcome
        });
        self.effect(What::RegisterAttempt { digits: digits.clone(), accepted: outcome.is_ok() });
        if outcome.is_ok() {
            self.effect(What::Registered { digits });
        }
        outcome
    }

    fn try_register(&mut self, call: &Call, id: &str, digits: &str, now: Timestamp) -> Result<(), Refusal> {
        if call.required("messaging_product")? != "whatsapp" {
            return Err(Refusal::invalid("messaging_product must be whatsapp"));
        }
        let pin = call.required("pin")?;
        if !is_pin(&pin) {
            return Err(
                Refusal::new(131_009, "Parameter value is not valid").details("pin must be six digits")
            );
        }
        let recently = later(now, SignedDuration::from_secs(-DELETED_SECS));
        if self.world.deleted_at(digits).is_some_and(|at| at > recently) {
            return Err(Refusal::new(
                133_015,
                "Please wait a few minutes before attempting to register this phone number",
            ));
        }
        let on_phone = self.world.is_on_phone(digits, now);
        let switches = self.options.switches.clone();
        self.change_number(id, |number| number.register(&pin, on_phone, &switches, now))
            .unwrap_or_else(|| Err(self.unsupported(call)))?;
        let source = self.world.numbers.get_mut(id).and_then(|number| number.migrates_from.take());
        if let Some(source) = source {
            self.change_number(&source, |number| {
                number.status = "MIGRATED".to_owned();
                number.platform_type = "NOT_APPLICABLE".to_owned();
            });
        }
        Ok(())
    }

    fn deregister(&mut self, id: &str) -> Result<(), Refusal> {
        let now = self.now();
        let missing = Err(Refusal::new(133_010, "Phone number not registered"));
        let switches = self.options.switches.clone();
        self.change_number(id, |number| number.deregister(&switches, now)).unwrap_or(missing)?;
        let digits = self.digits(id);
        self.effect(What::Deregistered { digits });
        Ok(())
    }

    fn start_sync(&mut self, call: &Call, id: &str) -> Result<Value, Refusal> {
        if call.text("messaging_product").as_deref() != Some("whatsapp") {
            return Err(Refusal::invalid("messaging_product must be whatsapp"));
        }
        let now = self.now();
        let kind = call.text("sync_type").unwrap_or_default();
        self.change_number(id, |number| number.start_sync(&kind, now))
            .unwrap_or_else(|| Err(self.unsupported(call)))?;
        let digits = self.digits(id);
        let request = format!("fakeRequest{digits}{kind}");
        self.effect(What::SyncStarted { digits, kind });
        Ok(json!({"messaging_product": "whatsapp", "request_id": request}))
    }

    /// One feature for each call.
    fn write_settings(&mut self, call: &Call, id: &str) -> Result<(), Refusal> {
        let storage = call.nested("storage_configuration");
        let storage = storage.ok_or_else(|| Refusal::invalid("storage_configuration is required"))?;
        let text = |key: &str| storage.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (status, region) = (text("status"), text("data_localization_region"));
        self.change_number(id, |number| number.set_storage(&status, &region))
            .unwrap_or_else(|| Err(self.unsupported(call)))?;
        let digits = self.digits(id);
        self.effect(What::StorageSet { digits, region });
        Ok(())
    }

    fn post_number(&mut self, call: &Call, id: &str, app: &App) -> Result<Next, Refusal> {
        let Some(number) = self.world.numbers.get(id) else { return Err(self.unsupported(call)) };
        let mut change = NumberChange::default();
        if let Some(pin) = call.text("pin") {
            number.check_new_pin(&pin, &self.options.switches)?;
            change.pin = Some(pin);
        }
        if let Some(name) = call.text("new_display_name") {
            change.name = number.check_name(&name, self.now())?.then_some(name);
        }
        let mut handshake = None;
        if let Some(webhook) = call.nested("webhook_configuration") {
            let text = |key: &str| webhook.get(key).and_then(Value::as_str).map(str::to_owned);
            let url = text("override_callback_uri")
                .ok_or_else(|| Refusal::invalid("override_callback_uri is required"))?;
            if url.is_empty() {
                change.webhook = Some(None);
            } else {
                let verify_token =
                    text("verify_token").ok_or_else(|| Refusal::invalid("verify_token is required"))?;
                self.check_override(&number.account, app, &url)?;
                change.webhook = Some(Some(url.clone()));
                handshake = Some((url, verify_token));
            }
        }
        let asked = ["pin", "new_display_name", "webhook_configuration"]
            .iter()
            .any(|name| call.params.contains_key(*name));
        if !asked {
            return Err(Refusal::invalid("nothing to change was given"));
        }
        if let Some((url, verify_token)) = handshake {
            let then = Then::Number { id: id.to_owned(), change: Box::new(change) };
            return Ok(Next::Handshake(Handshake { url, verify_token, then }));
        }
        self.apply(id, change);
        Ok(Next::Body(json!({"success": true})))
    }

    /// Applies a change that was checked.
    fn apply(&mut self, id: &str, change: NumberChange) {
        let now = self.now();
        let digits = self.digits(id);
        if let Some(pin) = change.pin {
            self.change_number(id, |number| {
                number.pin = Some(pin);
                number.attempts.wrong_pins = 0;
                number.attempts.last_wrong_pin = None;
            });
            self.effect(What::PinSet { digits: digits.clone() });
        }
        if let Some(name) = change.name {
            let review = self.options.review.review(true, &digits, &mut self.dice, now);
            self.change_number(id, |number| number.submit_name(&name, review, now));
            self.effect(What::NameSubmitted { digits: digits.clone(), name });
        }
        if let Some(callback) = change.webhook {
            let url = callback.clone();
            self.change_number(id, |number| number.webhook.callback = callback);
            self.effect(What::Overridden { target: digits, url });
        }
    }

    /// An override is possible: the URL is one, and the app receives messages at a URL of its own.
    fn check_override(&self, account: &str, app: &App, url: &str) -> Result<(), Refusal> {
        let parsed =
            url::Url::parse(url).map_err(|_| Refusal::invalid("override_callback_uri is not a URL"))?;
        let local = super::webhook::is_loopback(&parsed);
        if url.chars().count() > 200 || !(parsed.scheme() == "https" || local) {
            return Err(Refusal::invalid(
                "override_callback_uri must be https and have at most 200 characters",
            ));
        }
        let subscribed = self
            .world
            .accounts
            .get(account)
            .is_some_and(|account| account.subscriptions.contains_key(&app.id));
        if subscribed && app.messages_field && app.callback_url.is_some() {
            Ok(())
        } else {
            Err(Refusal::new(
                100,
                "Before override the current callback uri, your app must be subscribed to receive messages",
            ))
        }
    }

    fn subscribe(&mut self, call: &Call, account: &str, app: &App) -> Result<Next, Refusal> {
        self.check_account(account)?;
        if let Some(url) = call.text("override_callback_uri").filter(|url| !url.is_empty()) {
            let verify_token = call.required("verify_token")?;
            self.check_override(account, app, &url)?;
            let then =
                Then::Account { account: account.to_owned(), app: app.id.clone(), callback: url.clone() };
            return Ok(Next::Handshake(Handshake { url, verify_token, then }));
        }
        self.change_account(account, |account| {
            account.subscriptions.insert(app.id.clone(), Override::default())
        });
        self.effect(What::Subscribed { account: account.to_owned(), app: app.id.clone() });
        Ok(Next::Body(json!({"success": true})))
    }

    /// Checks a webhook of an app's own, which its address has to confirm.
    pub(super) fn set_app_webhook(&mut self, call: &Call, app: &App) -> Result<Next, Refusal> {
        if call.required("object")? != "whatsapp_business_account" {
            return Err(Refusal::invalid("object is not one that is simulated"));
        }
        let url = call.required("callback_url")?;
        let parsed = url::Url::parse(&url).map_err(|_| Refusal::invalid("callback_url is not a URL"))?;
        if !(parsed.scheme() == "https" || super::webhook::is_loopback(&parsed)) {
            return Err(Refusal::invalid("callback_url must be https"));
        }
        let verify_token = call.required("verify_token")?;
        let fields = match call.nested("fields") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => call.required("fields")?.split(',').map(str::to_owned).collect(),
        };
        let then = Then::App { app: app.id.clone(), callback: url.clone(), fields };
        Ok(Next::Handshake(Handshake { url, verify_token, then }))
    }

    fn write_profile(&mut self, call: &Call, id: &str, app: &App) -> Result<(), Refusal> {
        if call.required("messaging_product")? != "whatsapp" {
            return Err(Refusal::invalid("messaging_product must be whatsapp"));
        }
        let Some(number) = self.world.numbers.get(id) else { return Err(self.unsupported(call)) };
        let switches = &self.options.switches;
        if number.is_coexisting() {
            return Err(Refusal::invalid("not available for SMB businesses"));
        }
        if !number.is_registered() && !switches.profile_on_unregistered {
            return Err(Refusal::new(133_010, "Phone number not registered"));
        }
        let mut profile = number.profile.clone();
        for (key, limit, slot) in [
            ("about", 139, &mut profile.about),
            ("address", 256, &mut profile.address),
            ("description", 512, &mut profile.description),
            ("email", 128, &mut profile.email),
        ] {
            let Some(text) = call.text(key) else { continue };
            if text.chars().count() > limit
                || (text.is_empty() && (key == "about" || !switches.profile_clears))
            {
                return Err(Refusal::invalid(format!("{key} has 1 to {limit} characters")));
            }
            if key == "email" && !text.is_empty() && !is_email(&text) {
                return Err(Refusal::invalid("email is not an address"));
            }
            *slot = Some(text).filter(|text| !text.is_empty());
        }
        if let Some(sites) = call.nested("websites") {
            let sites: Vec<String> =
                serde_json::from_value(sites).map_err(|_| Refusal::invalid("websites is a list of texts"))?;
            let valid = |site: &String| {
                site.len() <= 256 && (site.starts_with("https://") || site.starts_with("http://"))
            };
            if sites.len() > 2 || !sites.iter().all(valid) || (sites.is_empty() && !switches.profile_clears) {
                return Err(Refusal::invalid(
                    "websites has at most 2 items that start with http:// or https://",
                ));
            }
            profile.websites = sites;
        }
        if let Some(vertical) = call.text("vertical") {
            if !VERTICALS.contains(&vertical.as_str()) {
                return Err(Refusal::invalid("vertical is not one of the known values"));
            }
            profile.vertical = Some(vertical).filter(|vertical| !vertical.is_empty());
        }
        let picture =
            call.text("profile_picture_handle").map(|handle| self.picture(app, &handle)).transpose()?;
        if picture.is_some() {
            profile.pictures += 1;
        }
        self.change_number(id, |number| number.profile = profile);
        let digits = self.digits(id);
        if let Some(sha256) = picture {
            self.effect(What::PictureSet { digits: digits.clone(), sha256 });
        }
        self.effect(What::ProfileWritten { digits });
        Ok(())
    }

    pub(super) fn digits(&self, id: &str) -> String {
        self.world.numbers.get(id).map(|number| number.digits.clone()).unwrap_or_default()
    }
}

fn migration(why: &'static str) -> Refusal {
    Refusal::invalid("the number cannot be migrated").subcode(2_388_103).user(UserText::MigrationRefused(why))
}

/// Country code and number in one: Meta takes the number with or without its code.
fn full_number(cc: &str, number: &str) -> Result<String, Refusal> {
    let cc = only_digits(cc);
    let plus = number.trim_start().starts_with('+');
    let odd = number.chars().any(|c| !(c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')')));
    let number = only_digits(number);
    let with_code =
        plus || cc.is_empty() || (number.starts_with(&cc) && number.len() >= if cc == "1" { 11 } else { 12 });
    let digits = if with_code { number } else { format!("{cc}{number}") };
    let shaped = (7..=15).contains(&digits.len()) && !digits.starts_with('0') && !odd && cc.len() <= 3;
    if shaped && (cc.is_empty() || dial_code(&digits) == cc) {
        Ok(digits)
    } else {
        Err(Refusal::invalid("phone_number is not a phone number"))
    }
}

/// `en` or `en_US`.
fn is_language(text: &str) -> bool {
    let (language, country) = text.split_once('_').unwrap_or((text, "US"));
    let two = |part: &str, kind: fn(&u8) -> bool| part.len() == 2 && part.as_bytes().iter().all(kind);
    two(language, u8::is_ascii_lowercase) && two(country, u8::is_ascii_uppercase)
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty() && host.contains('.') && !text.contains(char::is_whitespace)
    })
}
