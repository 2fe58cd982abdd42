//! The graph: who calls, may they, and which part answers.
//!
//! One call is answered under one lock, so its effect is whole or absent. Only a
//! webhook's handshake happens outside: the call is checked, the handshake done, and
//! then the call finished.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::budget::{ACCOUNT_CALLS, ACTIVE_ACCOUNT_CALLS, APP_CALLS_PER_USER, Usage};
use super::call::Call;
use super::clock::after_secs;
use super::envelope::Refusal;
use super::fault::RefusedField;
use super::node::{Paging, View};
use super::state::{Caller, Delayed, Next, State, Target, edge, need};
use super::world::{Account, App, Token};

/// A call that was looked at, with what the answer carries beside its body.
pub(super) struct Handled {
    pub(super) outcome: Result<Next, Refusal>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) locale: String,
}

impl State {
    /// Lets time do what it does by itself.
    pub(super) fn tick(&mut self) {
        self.catch_up();
        self.pass_time();
    }

    /// Carries out the delayed calls whose time has come, each at its own date. Nobody hears what comes of it.
    pub(super) fn catch_up(&mut self) {
        let now = self.clock.now();
        while let Some(next) = (0..self.delayed.len())
            .filter(|nth| self.delayed[*nth].at <= now)
            .min_by_key(|nth| self.delayed[*nth].at)
        {
            let Delayed { at, call, target } = self.delayed.remove(next);
            self.moment = Some(at);
            self.pass_time();
            if let Ok(Next::Handshake(shake)) = self.handle(&call, &target, &[]).outcome {
                self.finish(shake.then);
            }
            self.moment = None;
        }
    }

    /// Throttles the account of a call, or its app for code 4, as if it had called too much.
    pub(super) fn throttle(&mut self, call: &Call, target: &Target, code: i64, minutes: u64) {
        let until = after_secs(self.now(), minutes.saturating_mul(60));
        let Ok(caller) = self.caller(call) else { return };
        match self.account_of(target).filter(|_| code != 4) {
            Some(account) => {
                for list in ["list", "rest"] {
                    self.account_budgets
                        .entry(format!("{}/{account}/{list}", caller.app.id))
                        .or_default()
                        .force(until, code);
                }
            }
            None => self.app_budgets.entry(caller.app.id).or_default().force(until, code),
        }
    }

    /// Answers a call, or says which handshake must come first.
    pub(super) fn handle(&mut self, call: &Call, target: &Target, refused: &[RefusedField]) -> Handled {
        let mut headers = Vec::new();
        let switches = &self.options.switches;
        let locale = call
            .text("locale")
            .filter(|_| switches.locale_parameter)
            .unwrap_or_else(|| self.options.locale.clone());
        let outcome = self.dispatch(call, target, refused, &mut headers);
        Handled { outcome, headers, locale }
    }

    fn dispatch(
        &mut self,
        call: &Call,
        target: &Target,
        refused: &[RefusedField],
        headers: &mut Vec<(&'static str, String)>,
    ) -> Result<Next, Refusal> {
        let now = self.now();
        let version = call.version(now).ok_or_else(|| Refusal::new(1, "Invalid request: unknown version"))?;
        headers.push(("facebook-api-version", format!("v{version}.0")));
        if call.asked_version.is_some_and(|asked| asked < version) {
            let text = format!(
                "The call has been auto-upgraded to v{version}.0 as the version asked for has been deprecated."
            );
            headers.push(("x-ad-api-version-warning", text));
        }
        let caller = match (self.caller(call), target) {
            (Err(refusal), Target::DebugToken)
                if refusal.code == 190 && self.options.switches.dead_token_inspects_itself =>
            {
                return self.inspect_dead(call).ok_or(refusal).map(Next::Body);
            }
            (caller, _) => caller?,
        };
        let account = self
            .account_of(target)
            .filter(|id| self.world.accounts.get(id).is_some_and(|account| sees(&caller, account)));
        match (&account, target) {
            (Some(account), _) => self.charge_account(call, target, &caller, account, headers)?,
            (None, _) => self.charge_app(&caller, headers)?,
        }
        call.check()?;
        if account.is_none() && matches!(target, Target::Account(_) | Target::Number(_)) {
            return Err(self.unsupported(call));
        }
        let base = format!("http://{}/v{version}.0", call.host);
        let view = View {
            world: &self.world,
            switches: &self.options.switches,
            now,
            version,
            app: &caller.app,
            refused,
            base: &base,
        };
        match (target, call.path.get(1).map(String::as_str), call.method.as_str()) {
            (_, _, _) if call.path.len() > 2 => Err(self.unsupported(call)),
            (Target::DebugToken, None, "GET") => self.debug_token(call, &caller).map(Next::Body),
            (Target::Me, None, "GET") => {
                Ok(Next::Body(json!({"id": caller.token.user_id, "name": "system-user"})))
            }
            (Target::Portfolio(id), edge, "GET") => {
                self.read_portfolio(&view, call, &caller, id, edge).map(Next::Body)
            }
            (Target::App(id), Some("subscriptions"), "GET" | "POST") => {
                // Meta takes the app's own token alone.
                if caller.token.kind != "APP" || caller.app.id != *id {
                    return Err(Refusal::permission("This method must be called with an app access token"));
                }
                match call.method.as_str() {
                    "GET" => Ok(Next::Body(app_subscriptions(&caller.app))),
                    _ => self.set_app_webhook(call, &caller.app),
                }
            }
            (Target::App(id), Some("uploads"), "POST") => {
                self.start_upload(call, &caller, id).map(Next::Body)
            }
            (Target::Upload(id), None, "GET") => self.upload_offset(call, &caller, id).map(Next::Body),
            (Target::Upload(id), None, "POST") => self.take_part(call, &caller, id).map(Next::Body),
            (Target::Account(_) | Target::Number(_), _, _) => {
                need(&caller, "whatsapp_business_management")?;
                match read(&view, call, target) {
                    Some(read) => read.map(Next::Body),
                    None => match self.badge(call, target) {
                        Some(outcome) => outcome.map(Next::Body),
                        None => self.write(call, target, &caller),
                    },
                }
            }
            _ => Err(self.unsupported(call)),
        }
    }

    fn read_portfolio(
        &self,
        view: &View<'_>,
        call: &Call,
        caller: &Caller,
        id: &str,
        edge: Option<&str>,
    ) -> Result<Value, Refusal> {
        let Some(portfolio) = self.world.portfolios.get(id).filter(|_| caller.token.portfolio == id) else {
            return Err(self.unsupported(call));
        };
        let fields = call.fields()?;
        let owned = match edge {
            None => {
                need(caller, "business_management")?;
                return view.portfolio(portfolio, fields.as_deref());
            }
            Some("owned_whatsapp_business_accounts") => true,
            Some("client_whatsapp_business_accounts") => false,
            Some(_) => return Err(self.unsupported(call)),
        };
        need(caller, "whatsapp_business_management")?;
        if caller.token.employee {
            return Err(Refusal::permission("Requires an admin of the business"));
        }
        let find = call.text("find");
        let mut accounts: Vec<&Account> = self
            .world
            .accounts
            .values()
            .filter(|account| if owned { account.owner == id } else { account.shared_with.contains(id) })
            .filter(|account| sees(caller, account) && find.as_ref().is_none_or(|find| *find == account.id))
            .collect();
        match call.text("sort").as_deref() {
            None | Some("creation_time_descending") => {
                accounts.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
            }
            Some("creation_time_ascending") => {
                accounts.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
            }
            Some(_) => return Err(Refusal::invalid("sort is not one of the known orders")),
        }
        view.accounts(
            &accounts,
            fields.as_deref(),
            &paging(call),
            &call.path.join("/"),
            &call.next_query(self.options.switches.next_holds_token),
        )
    }

    /// The token and app behind a call.
    fn caller(&self, call: &Call) -> Result<Caller, Refusal> {
        let value = call
            .token()
            .ok_or_else(|| Refusal::new(104, "An access token is required to request this resource."))?;
        let (token, app) =
            self.token(value).ok_or_else(|| Refusal::new(190, "Invalid OAuth access token."))?;
        if let Some(subcode) = token.dead_at(self.now()) {
            return Err(Refusal::new(190, "Error validating access token").subcode(subcode));
        }
        if let Some(secret) = &app.secret {
            match &call.proof {
                Some(proof) if !proves(secret, value, proof) => {
                    return Err(Refusal::new(100, "Invalid appsecret_proof provided in the API argument"));
                }
                None if app.require_proof => {
                    return Err(Refusal::new(
                        100,
                        "API calls from the server require an appsecret_proof argument",
                    ));
                }
                _ => {}
            }
        }
        Ok(Caller { value: value.to_owned(), token, app })
    }

    fn debug_token(&self, call: &Call, caller: &Caller) -> Result<Value, Refusal> {
        let input = call.required("input_token")?;
        if input != caller.value && caller.token.kind != "APP" && caller.token.employee {
            return Err(Refusal::permission("Requires a token of the app or of one of its admins"));
        }
        if input == caller.value && caller.token.hides_itself {
            return Err(Refusal::invalid("the token may not be inspected with itself"));
        }
        let Some((token, app)) = self.token(&input) else {
            let error = json!({"code": 190, "message": "Invalid OAuth access token."});
            return Ok(json!({"data": {"error": error, "is_valid": false, "scopes": []}}));
        };
        if app.id != caller.app.id {
            return Err(Refusal::invalid("the token belongs to another app"));
        }
        Ok(self.token_facts(&token, &app))
    }

    /// A dead token that asks about itself.
    fn inspect_dead(&self, call: &Call) -> Option<Value> {
        let value = call.token()?;
        let (token, app) = self.token(value)?;
        (call.text("input_token").as_deref() == Some(value)).then(|| self.token_facts(&token, &app))
    }

    fn token_facts(&self, token: &Token, app: &App) -> Value {
        let seconds = |at: Option<Timestamp>| at.map_or(0, Timestamp::as_second);
        let listed: Vec<_> = token.scopes.difference(&token.unlisted).collect();
        let granular: Vec<Value> = listed
            .iter()
            .filter(|scope| **scope != "public_profile")
            .map(|scope| match &token.target_ids {
                Some(targets) if scope.starts_with("whatsapp_business_") => {
                    json!({"scope": scope, "target_ids": targets})
                }
                _ => json!({"scope": scope}),
            })
            .collect();
        let mut data = json!({
            "app_id": app.id, "type": token.kind, "application": app.name,
            "data_access_expires_at": seconds(token.data_access_expires_at), "expires_at": seconds(token.expires_at),
            "issued_at": token.issued_at.as_second(), "is_valid": true, "scopes": listed, "granular_scopes": granular,
            "user_id": token.user_id,
        });
        if let Some(subcode) = token.dead_at(self.now()) {
            data["is_valid"] = json!(false);
            data["error"] =
                json!({"code": 190, "message": "Error validating access token", "subcode": subcode});
        }
        json!({"data": data})
    }

    fn charge_app(
        &mut self,
        caller: &Caller,
        headers: &mut Vec<(&'static str, String)>,
    ) -> Result<(), Refusal> {
        let now = self.now();
        let allowance = APP_CALLS_PER_USER * caller.app.daily_active_users.max(1);
        let usage = self.app_budgets.entry(caller.app.id.clone()).or_default().charge(allowance, now);
        self.app_usage(usage, headers)
    }

    fn app_usage(&self, usage: Usage, headers: &mut Vec<(&'static str, String)>) -> Result<(), Refusal> {
        if usage.percent >= self.options.switches.usage_from_percent {
            let body = json!({"call_count": usage.percent, "total_time": usage.percent / 2, "total_cputime": usage.percent / 2});
            headers.push(("x-app-usage", body.to_string()));
        }
        self.throttled(usage, 4, "Application request limit reached", headers)
    }

    fn charge_account(
        &mut self,
        call: &Call,
        target: &Target,
        caller: &Caller,
        account: &str,
        headers: &mut Vec<(&'static str, String)>,
    ) -> Result<(), Refusal> {
        let now = self.now();
        // Calls about an account are not the app's to count, but an app that is throttled makes none.
        if let Some(usage) = self.app_budgets.get_mut(&caller.app.id).and_then(|app| app.meet(now)) {
            return self.app_usage(usage, headers);
        }
        let short_list = self.world.is_active(account) && is_on_short_list(call, target);
        let (name, allowance) =
            if short_list { ("list", ACTIVE_ACCOUNT_CALLS) } else { ("rest", ACCOUNT_CALLS) };
        let nested = self.options.switches.nested_read_counts
            && call.text("fields").is_some_and(|fields| fields.contains("phone_numbers"));
        let budget = self.account_budgets.entry(format!("{}/{account}/{name}", caller.app.id)).or_default();
        if nested {
            budget.charge(allowance, now);
        }
        let usage = budget.charge(allowance, now);
        if usage.percent >= self.options.switches.usage_from_percent {
            let kind = match edge(call, target) {
                "register" | "deregister" => "whatsapp",
                _ => "whatsapp_business_management",
            };
            let entry = json!({
                "type": kind, "call_count": usage.percent, "total_cputime": usage.percent / 4, "total_time": usage.percent / 3,
                "estimated_time_to_regain_access": usage.regain_minutes,
            });
            let by_account: Map<String, Value> = [(account.to_owned(), json!([entry]))].into_iter().collect();
            headers.push(("x-business-use-case-usage", Value::Object(by_account).to_string()));
        }
        let code = self.options.switches.account_throttle_code;
        self.throttled(
            usage,
            code,
            "There have been too many calls to this WhatsApp Business account",
            headers,
        )
    }

    fn throttled(
        &self,
        usage: Usage,
        code: i64,
        message: &str,
        headers: &mut Vec<(&'static str, String)>,
    ) -> Result<(), Refusal> {
        if !usage.throttled {
            return Ok(());
        }
        if self.options.switches.retry_after {
            headers.push(("retry-after", (usage.regain_minutes * 60).to_string()));
        }
        Err(Refusal::new(usage.code.unwrap_or(code), message))
    }
}

/// Reads of accounts and numbers; none when the call is no read.
fn read(view: &View<'_>, call: &Call, target: &Target) -> Option<Result<Value, Refusal>> {
    if call.method != "GET" {
        return None;
    }
    let fields = match call.fields() {
        Ok(fields) => fields,
        Err(refusal) => return Some(Err(refusal)),
    };
    let fields = fields.as_deref();
    match (target, call.path.get(1).map(String::as_str)) {
        (Target::Account(id), None) => Some(view.account(view.world.accounts.get(id)?, fields)),
        (Target::Account(id), Some("phone_numbers")) => Some(view.numbers(
            view.world.accounts.get(id)?,
            fields,
            &paging(call),
            &call.next_query(view.switches.next_holds_token),
        )),
        (Target::Account(id), Some("subscribed_apps")) => {
            Some(Ok(view.subscribed_apps(view.world.accounts.get(id)?)))
        }
        (Target::Number(id), edge) => {
            let number = view.world.numbers.get(id)?;
            match edge {
                _ if number.status == "DELETED" => {
                    Some(Err(Refusal::new(33, "The phone number has been deleted")))
                }
                _ if number.status == "MIGRATED" && !view.switches.migrated_reads => None,
                None => Some(view.number(number, fields)),
                Some("whatsapp_business_profile") => Some(view.profile(number, fields)),
                Some("username") => Some(Ok(view.username(number))),
                Some("official_business_account") => Some(Ok(view.official(number))),
                Some(_) => None,
            }
        }
        _ => None,
    }
}

/// What an app has subscribed to for itself.
fn app_subscriptions(app: &App) -> Value {
    let fields = app.messages_field.then_some("messages").into_iter();
    let fields = fields.chain(app.other_fields.iter().map(String::as_str));
    let fields: Vec<Value> = fields.map(|name| json!({"name": name, "version": "v25.0"})).collect();
    let entry = app.callback_url.as_ref().map(|url| {
        json!({"object": "whatsapp_business_account", "callback_url": url, "active": !app.webhook_off, "fields": fields})
    });
    json!({"data": entry.into_iter().collect::<Vec<_>>()})
}

fn paging(call: &Call) -> Paging {
    let text = |name| call.text(name);
    Paging {
        limit: text("limit"),
        after: text("after"),
        before: text("before"),
        summary: text("summary"),
        sort: text("sort"),
    }
}

/// The token reaches the account: by portfolio, by assignment, by target.
fn sees(caller: &Caller, account: &Account) -> bool {
    let token = &caller.token;
    (account.owner == token.portfolio || account.shared_with.contains(&token.portfolio))
        && (!token.employee || token.assigned.contains(&account.id))
        && token.target_ids.as_ref().is_none_or(|targets| targets.contains(&account.id))
        && caller.app.only_portfolio.as_ref().is_none_or(|only| *only == account.owner)
}

/// The calls that have the large allowance once the account is active.
fn is_on_short_list(call: &Call, target: &Target) -> bool {
    let edge = call.path.get(1).map(String::as_str);
    match (target, edge) {
        (Target::Account(_) | Target::Number(_), None) | (Target::Account(_), Some("phone_numbers")) => {
            call.method == "GET"
        }
        (Target::Account(_), Some("subscribed_apps")) => true,
        _ => false,
    }
}

/// `appsecret_proof` is the HMAC of the token under the app secret, in hex.
fn proves(secret: &str, token: &str, proof: &str) -> bool {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, token.as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    hex == proof
}
