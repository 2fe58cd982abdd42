//! What was observed of one portfolio and its channels → a simulated Meta that shows the same.
//!
//! What was refused or could not be read is refused and cannot be read there either. What was not asked for stands as
//! it usually does, and is named as an assumption.

use std::collections::BTreeMap;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::engine::{
    assess::portfolio::PortfolioObserved,
    desired::{Desired, DesiredPortfolio, SecretKey},
    failure::{Failure, Refusal},
    id::{AccountId, BusinessId, CodeStatus, Fact, Field, NameStatus, Sendability},
    memory::{EntryOutcome, Memory},
    observed::{self, Health, ListState, Observed},
    picture::Shown,
    secret::{SecretFact, SecretVersion},
    step::StepKind,
};
use crate::{
    sandbox::{self, App, Code, Fault, FaultKind, Match, Number, Portfolio, Review, Token, Verdict, World},
    twin::Cluster,
};

use super::secret::Opener;

/// The app of a token that does not tell it.
const APP: &str = "200000000000001";
/// The two-step PIN of every number that has one, and of the Secrets that hold it.
pub const PIN: &str = "135790";
/// A code that was sent before the forecast.
const CODE: &str = "246802";
/// A text that may be a verify token.
pub const VERIFY_TOKEN: &str = "forecast";
/// What is not well-formed, as it was found.
const MALFORMED: &str = "?";

/// A fault of the simulated Meta that stands for what was refused or could not be read.
pub struct Held {
    pub fault: Fault,
    /// It was no answer, so it is hoped to pass.
    pub passes: bool,
}

/// A portfolio in the simulated Meta.
pub struct Loaded {
    pub world: World,
    pub faults: Vec<Held>,
    pub app: String,
}

impl Loaded {
    /// The portfolio as its own reads showed it.
    pub fn new(desired: &DesiredPortfolio, observed: &PortfolioObserved, opener: &Opener) -> Self {
        let (token, secret) = opener;
        let business = desired.business.as_str();
        let told = observed.token.known();
        let app_id = desired.app.as_ref().or_else(|| told.and_then(|told| told.app.as_ref()));
        let app_id = app_id.map_or(APP, |app| app.as_str()).to_owned();
        let mut app = App::new(&app_id, "App");
        if let Some(secret) = secret {
            app = app.with_secret(secret.expose_secret());
        }
        let mut held = Token::system_user(&app_id, business);
        if let Some(told) = told {
            held.kind = told.kind.as_str().to_owned();
            held.scopes = told.scopes.iter().cloned().collect();
            held.target_ids = told.targets.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect());
            held.expires_at = told.expires_at;
            held.data_access_expires_at = told.data_access_expires_at;
        }
        let name = desired.expect_name.as_deref().unwrap_or(&desired.name);
        let mut portfolio = Portfolio::new(business, name);
        if let Some(facts) = observed.business.known() {
            let mut hide = |field: &str| portfolio.raw.insert(field.to_owned(), Value::Null);
            match &facts.name {
                Some(name) => portfolio.name.clone_from(name),
                None => drop(hide("name")),
            }
            match &facts.verification {
                Some(word) => portfolio.verification_status = word.as_str().to_owned(),
                None => drop(hide("verification_status")),
            }
            match &facts.messaging_limit {
                Some(word) => {
                    portfolio.whatsapp_business_manager_messaging_limit = word.as_str().to_owned();
                }
                None => drop(hide("whatsapp_business_manager_messaging_limit")),
            }
            if facts.primary_page.is_none() {
                portfolio.primary_page = None;
            }
        }
        let world =
            World::default().with_app(app).with_portfolio(portfolio).with_token(token.expose_secret(), held);
        let mut loaded = Self { world, faults: Vec::new(), app: app_id };
        loaded.hold(&observed.token, "debug_token", None);
        loaded.hold(&observed.business, "business", None);
        loaded.hold(&observed.owned, "owned_whatsapp_business_accounts", None);
        loaded.hold(&observed.client, "client_whatsapp_business_accounts", None);
        for reachable in [&observed.owned, &observed.client]
            .into_iter()
            .filter_map(Fact::known)
            .flat_map(|list| list.iter())
        {
            let account = loaded.account(&reachable.id, business);
            if let Some(name) = &reachable.name {
                account.name = name.to_string();
            }
            if reachable.owned == Some(false) {
                account.owner = String::new();
                account.shared_with.insert(business.to_owned());
            }
        }
        loaded
    }

    fn account(&mut self, id: &AccountId, business: &str) -> &mut sandbox::Account {
        let new = || sandbox::Account::new(id.as_str(), business, id.as_str());
        self.world.accounts.entry(id.to_string()).or_insert_with(new)
    }

    /// Adds what was observed for a channel, and says what is taken for given of what was not.
    pub fn channel(
        &mut self,
        desired: &Desired,
        business: &str,
        observed: &Observed,
        memory: &Memory,
        now: Timestamp,
    ) -> Vec<String> {
        let mut assumed = Vec::new();
        for searched in &observed.search {
            let id = &searched.account;
            let account = id.as_str();
            self.account(id, business);
            match &searched.list {
                ListState::Complete { .. } => {}
                ListState::Failed(failure) | ListState::NotCheckable(failure) => {
                    self.fail(failure, "phone_numbers", Some(account));
                    assumed.push(format!(
                        "account {account}, whose numbers could not be read, does not have this one"
                    ));
                }
            }
            for entry in &searched.numbers {
                if let Some(known) = self.world.numbers.get_mut(entry.id.as_str()) {
                    known.also_in.insert(account.to_owned());
                    continue;
                }
                self.number(entry, account, memory, now, &mut assumed);
            }
        }
        let target = observed.account.known().and_then(|facts| facts.id.clone());
        if let (Fact::Known(facts), Some(id)) = (&observed.account, &target) {
            self.facts(facts, id, business);
        }
        let target = target.or_else(|| observed.search.first().map(|searched| searched.account.clone()));
        let of = target.as_ref().map(AccountId::as_str);
        self.hold(&observed.account, "waba", of);
        self.hold(&observed.subscribed, "subscribed_apps", of);
        self.hold(&observed.profile, "whatsapp_business_profile", of);
        let has_webhook = desired.webhook.is_some();
        if let Some(id) = &target {
            let (app, webhook) = (self.app.clone(), account_webhook(observed));
            if observed.subscribed.known() == Some(&true) {
                let subscriptions = &mut self.account(id, business).subscriptions;
                subscriptions.entry(app).or_default().callback = webhook;
            } else if observed.subscribed == Fact::NotAsked && has_webhook {
                assumed.push("the app is not subscribed to the account yet".to_owned());
            }
        }
        if matches!(observed.account, Fact::Unknown(_)) {
            assumed.push("the account is active, with nothing against it".to_owned());
        }
        if let Some(webhook) = &desired.webhook {
            // A forecast calls nobody.
            let echo = sandbox::EndpointAnswer::Echo;
            self.world.webhook_endpoints.insert(webhook.callback_url.clone(), echo);
        }
        assumed
    }

    /// Whether the number of a channel shows a picture there, from what Meta said and what is remembered after the look. Says
    /// what is taken for given where neither tells.
    pub fn picture(&mut self, observed: &Observed, memory: &Memory) -> Option<String> {
        let number = self.world.numbers.get_mut(memory.number.as_ref()?.as_str())?;
        let shown = observed.process.picture.shown.as_ref().map(|(_, shown)| shown);
        match shown {
            Some(Shown::Picture) => number.profile.pictures = 1,
            Some(Shown::NoPicture) => {}
            // Meta took it, perhaps shows none any more, and was not asked now.
            Some(Shown::Unknown(_)) | None if memory.marks.picture.is_some() => {
                number.profile.pictures = u64::from(memory.marks.picture_lost.is_none());
            }
            Some(Shown::Unknown(_)) | None if memory.marks.picture_found => {
                return Some(
                    "the number has no profile picture, which is not known: Meta did not show it".to_owned(),
                );
            }
            Some(Shown::Unknown(_)) | None => {}
        }
        None
    }

    fn facts(&mut self, facts: &observed::Account, id: &AccountId, business: &str) {
        if !matches!(facts.funding, Field::Refused)
            && let Some(app) = self.world.apps.get_mut(&self.app)
        {
            app.is_partner = true;
        }
        if let Some(owner) = facts.owner.as_ref().map(BusinessId::as_str).filter(|owner| *owner != business) {
            self.world.portfolios.insert(owner.to_owned(), Portfolio::new(owner, owner).verified());
        }
        let refused =
            [("status", facts.status.is_refused()), ("account_review_status", facts.review.is_refused())];
        self.refuse(
            "waba",
            id.as_str(),
            refused.into_iter().chain([("health_status", facts.health.is_refused())]),
        );
        let account = self.account(id, business);
        if let Some(owner) = &facts.owner {
            account.owner = owner.to_string();
            if owner.as_str() != business {
                account.shared_with.insert(business.to_owned());
            }
        }
        let raw = &mut account.raw;
        put(&mut account.status, &facts.status, |word| word.as_str(), "status", raw);
        put(
            &mut account.account_review_status,
            &facts.review,
            |word| word.as_str(),
            "account_review_status",
            raw,
        );
        put_health(&facts.health, true, raw);
        if let Field::Absent = facts.funding {
            raw.insert("primary_funding_id".to_owned(), Value::Null);
        }
        for (held, shown) in [(&mut account.name, &facts.name), (&mut account.currency, &facts.currency)] {
            if let Some(shown) = shown {
                held.clone_from(shown);
            }
        }
        account.country.clone_from(&facts.country);
        if let Some(zone) = &facts.timezone_id {
            account.timezone_id.clone_from(zone);
        }
        if let Some(kind) = &facts.ownership_type {
            account.ownership_type.clone_from(kind);
        }
        if lacks_payment(&facts.health) {
            account.primary_funding_id = None;
        }
    }

    fn number(
        &mut self,
        seen: &observed::Number,
        account: &str,
        memory: &Memory,
        now: Timestamp,
        assumed: &mut Vec<String>,
    ) {
        let mut number = Number::new(seen.id.as_str(), account, &seen.display_phone_number, "");
        let raw = &mut number.raw;
        put(&mut number.status, &seen.status, |word| word.as_str(), "status", raw);
        put(
            &mut number.code_verification_status,
            &seen.code,
            |w| w.as_str(),
            "code_verification_status",
            raw,
        );
        put(&mut number.platform_type, &seen.platform, |word| word.as_str(), "platform_type", raw);
        put(&mut number.name_status, &seen.name_status, |word| word.as_str(), "name_status", raw);
        put(&mut number.account_mode, &seen.account_mode, |word| word.as_str(), "account_mode", raw);
        put_health(&seen.health, seen.is_registered(), raw);
        for (field, is_absent) in [
            ("is_on_biz_app", matches!(seen.is_on_biz_app, Field::Absent)),
            ("is_pin_enabled", matches!(seen.is_pin_enabled, Field::Absent)),
        ] {
            if is_absent {
                raw.insert(field.to_owned(), Value::Null);
            }
        }
        number.verified_name = seen.verified_name.value().cloned().unwrap_or_default();
        number.new_display_name = seen.new_display_name.value().cloned();
        number.new_name_status = seen.new_name_status.value().map(|word| word.as_str().to_owned());
        if let Some(quality) = &seen.quality {
            number.quality_rating = quality.as_str().to_owned();
        }
        number.username = seen.username.value().map(|name| sandbox::Username::approved(name));
        if let Some(shown) = seen.official.value() {
            shown.status.as_str().clone_into(&mut number.official.status);
        }
        number.is_official_business_account = seen.is_official == Some(true);
        number.last_onboarded_time = seen.onboarded.value().copied();
        number.is_on_biz_app = seen.is_on_biz_app.value() == Some(&true);
        number.verified = (seen.code.value() == Some(&CodeStatus::Verified)).then_some(now);
        let is_pinned = seen.is_pin_enabled.value().copied();
        number.pin = is_pinned.unwrap_or(seen.is_registered()).then(|| PIN.to_owned());
        if is_pinned.is_none() && !seen.is_registered() {
            assumed.push("the number has no two-step PIN, which Meta does not show".to_owned());
        }
        let in_review = |status: &Field<NameStatus>| status.value() == Some(&NameStatus::PendingReview);
        let of_new = in_review(&seen.new_name_status);
        number.review = (of_new || in_review(&seen.name_status)).then_some(Review {
            of_new,
            decide_at: None,
            verdict: Verdict::Defer,
        });
        if let Some(webhook) = seen.webhook.value() {
            number.webhook.callback.clone_from(&webhook.number);
            if let Some(app) = self.world.apps.get_mut(&self.app) {
                app.callback_url.clone_from(&webhook.application);
            }
        }
        if let Some(profile) = seen.profile.value() {
            number.profile = sandbox::Profile {
                about: profile.about.clone(),
                address: profile.address.clone(),
                description: profile.description.clone(),
                email: profile.email.clone(),
                websites: profile.websites.clone(),
                vertical: profile.vertical.clone(),
                pictures: 0,
            };
        }
        if memory.number.as_ref() == Some(&seen.id) {
            number.code = sent(memory);
        }
        if lacks_payment(&seen.health)
            && let Some(account) = self.world.accounts.get_mut(account)
        {
            account.primary_funding_id = None;
        }
        let refused = [
            ("status", seen.status.is_refused()),
            ("code_verification_status", seen.code.is_refused()),
            ("platform_type", seen.platform.is_refused()),
            ("verified_name", seen.verified_name.is_refused()),
            ("name_status", seen.name_status.is_refused()),
            ("new_display_name", seen.new_display_name.is_refused()),
            ("new_name_status", seen.new_name_status.is_refused()),
            ("account_mode", seen.account_mode.is_refused()),
            ("is_on_biz_app", seen.is_on_biz_app.is_refused()),
            ("is_pin_enabled", seen.is_pin_enabled.is_refused()),
            ("health_status", seen.health.is_refused()),
            ("webhook_configuration", seen.webhook.is_refused()),
            ("whatsapp_business_profile", seen.profile.is_refused()),
        ];
        let names: Vec<&str> = refused.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        if !names.is_empty() {
            assumed.push(format!("Meta goes on to refuse {}", names.join(", ")));
        }
        self.refuse("phone_numbers", account, refused);
        self.world.numbers.insert(number.id.clone(), number);
    }

    /// Fields that a read refuses there too.
    fn refuse<'a>(&mut self, edge: &str, account: &str, fields: impl IntoIterator<Item = (&'a str, bool)>) {
        for (field, _) in fields.into_iter().filter(|(_, is_refused)| *is_refused) {
            let on = Match { account: Some(account.to_owned()), ..Match::on("GET", edge) };
            let kind = FaultKind::RefuseField { field: field.to_owned(), envelope: None };
            self.faults.push(Held { fault: Fault { on, kind }, passes: false });
        }
    }

    fn hold<T>(&mut self, fact: &Fact<T>, edge: &str, account: Option<&str>) {
        if let Fact::Unknown(failure) = fact {
            self.fail(failure, edge, account);
        }
    }

    /// A read that fails there as it failed here.
    fn fail(&mut self, failure: &Failure, edge: &str, account: Option<&str>) {
        let on = Match { account: account.map(str::to_owned), ..Match::on("GET", edge) };
        let kind = match failure {
            Failure::Refused(refusal) => FaultKind::Error { envelope: envelope(refusal) },
            Failure::NoAnswer(_)
            | Failure::TooLarge(_)
            | Failure::NotSent(_)
            | Failure::Throttled(_)
            | Failure::NoRoom(_) => FaultKind::Status { code: 503 },
        };
        let passes = !failure.is_answer();
        let fault = Fault { on, kind };
        if !self.faults.iter().any(|held| held.fault == fault) {
            self.faults.push(Held { fault, passes });
        }
    }
}

/// The override of the account, as the numbers of it show it.
fn account_webhook(observed: &Observed) -> Option<String> {
    let numbers = observed.search.iter().flat_map(|searched| &searched.numbers);
    numbers.filter_map(|number| number.webhook.value()).find_map(|webhook| webhook.account.clone())
}

/// A word of Meta's where it is shown; what is left out is left out there too.
fn put<T>(
    held: &mut String,
    field: &Field<T>,
    word: impl Fn(&T) -> &str,
    name: &str,
    raw: &mut BTreeMap<String, Value>,
) {
    match field {
        Field::Is(value) => word(value).clone_into(held),
        Field::Absent => drop(raw.insert(name.to_owned(), Value::Null)),
        Field::Refused => {}
    }
}

/// What is said of a payment method is in the state of the account; what blocks beyond that stays as it is shown.
fn put_health(health: &Field<Health>, is_whole: bool, raw: &mut BTreeMap<String, Value>) {
    match health {
        Field::Absent => drop(raw.insert("health_status".to_owned(), Value::Null)),
        Field::Is(health) if is_whole && is_blocked_otherwise(health) => {
            raw.insert("health_status".to_owned(), health_json(health));
        }
        Field::Is(_) | Field::Refused => {}
    }
}

fn is_blocked_otherwise(health: &Health) -> bool {
    let is_simulated = |code: i64| code == Health::NOT_REGISTERED || Health::PAYMENT.contains(&code);
    health
        .entities
        .iter()
        .filter(|entity| entity.can_send == Sendability::Blocked)
        .any(|entity| entity.errors.is_empty() || entity.errors.iter().any(|error| !is_simulated(error.code)))
}

fn lacks_payment(health: &Field<Health>) -> bool {
    let entities = health.value().into_iter().flat_map(|health| &health.entities);
    entities.flat_map(|entity| &entity.errors).any(|error| Health::PAYMENT.contains(&error.code))
}

fn health_json(health: &Health) -> Value {
    let entities = health.entities.iter().map(|entity| {
        let errors = entity.errors.iter().map(|error| {
            json!({
                "error_code": error.code,
                "error_description": error.description,
                "possible_solution": error.solution,
            })
        });
        json!({
            "entity_type": entity.kind,
            "can_send_message": entity.can_send.as_str(),
            "errors": errors.collect::<Vec<_>>(),
            "additional_info": entity.info,
        })
    });
    json!({"can_send_message": health.can_send.as_str(), "entities": entities.collect::<Vec<_>>()})
}

fn envelope(refusal: &Refusal) -> Value {
    let mut error = json!({
        "message": refusal.message,
        "type": "OAuthException",
        "code": refusal.code,
        "fbtrace_id": "A0",
    });
    if let Some(subcode) = refusal.subcode {
        error["error_subcode"] = json!(subcode);
    }
    json!({"error": error})
}

/// The code that was asked for last, unless it was refused.
fn sent(memory: &Memory) -> Option<Code> {
    let last = memory.ledger.last(StepKind::RequestCode)?;
    (last.outcome != EntryOutcome::Refused).then(|| Code {
        value: CODE.to_owned(),
        sent: last.at,
        used: false,
    })
}

/// Puts a channel's Secrets there as they were found, and says what is taken for given of those that nobody read.
pub fn secrets(desired: &Desired, observed: &Observed, cluster: &Cluster) -> Vec<String> {
    let mut assumed = Vec::new();
    let code = &desired.verification.code_secret;
    if !matches!(observed.code_secret, SecretFact::NotAsked) {
        found(code, &observed.code_secret, CODE, false, cluster);
    }
    let mut taken = |key: &SecretKey, fact: &SecretFact, value: &str, what: &str, is_token: bool| {
        if matches!(fact, SecretFact::NotAsked) {
            cluster.put_secret(key, value, is_token);
            assumed.push(format!("Secret {} holds {what}", key.name));
        } else {
            found(key, fact, value, is_token, cluster);
        }
    };
    taken(&desired.registration.pin_secret, &observed.pin_secret, PIN, "the number's two-step PIN", false);
    if let Some(webhook) = &desired.webhook {
        taken(&webhook.verify_token, &observed.verify_token, VERIFY_TOKEN, "the verify token", true);
    }
    assumed
}

fn found(key: &SecretKey, fact: &SecretFact, value: &str, is_token: bool, cluster: &Cluster) {
    let version = || SecretVersion { uid: "found".to_owned(), resource_version: "0".to_owned() };
    match fact {
        SecretFact::NotAsked | SecretFact::Missing => {}
        SecretFact::KeyMissing { version } => cluster.found_secret(key, version.clone(), None, is_token),
        SecretFact::Forbidden(_) => cluster.forbid_secret(key),
        SecretFact::Unreadable(why) => cluster.fail_secret(key, why),
        SecretFact::Unlabelled => cluster.found_secret(key, version(), Some(value), false),
        SecretFact::Present { version, well_formed, .. } => {
            let value = if *well_formed { value } else { MALFORMED };
            cluster.found_secret(key, version.clone(), Some(value), is_token);
        }
    }
}
