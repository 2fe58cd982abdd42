//! Reads: which fields a node has, and what they hold.
//!
//! A field that the node does not have fails the read. A field that is empty is left
//! out. What was written a moment ago may not show yet.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::clock::meta_time;
use super::envelope::Refusal;
use super::fault::RefusedField;
use super::field::{self, Field};
use super::number::Number;
use super::part::{Official, Override, shown};
use super::spelling::{dial_code, display};
use super::switch::{NoChange, Switches};
use super::world::{Account, App, Portfolio, World};

const NUMBER_FIELDS: &[&str] = &[
    "id",
    "display_phone_number",
    "verified_name",
    "status",
    "code_verification_status",
    "name_status",
    "new_display_name",
    "new_name_status",
    "certificate",
    "new_certificate",
    "quality_rating",
    "quality_score",
    "messaging_limit_tier",
    "whatsapp_business_manager_messaging_limit",
    "throughput",
    "platform_type",
    "host_platform",
    "account_mode",
    "is_official_business_account",
    "official_business_account",
    "is_on_biz_app",
    "is_pin_enabled",
    "is_preverified_number",
    "last_onboarded_time",
    "search_visibility",
    "eligibility_for_api_business_global_search",
    "health_status",
    "webhook_configuration",
    "conversational_automation",
    "country_code",
    "country_dial_code",
    "username",
    "whatsapp_business_profile",
];

const NUMBER_DEFAULT: &str = "id,display_phone_number,verified_name,quality_rating,code_verification_status,platform_type,throughput,last_onboarded_time,webhook_configuration";

/// The fields whose new value may show late.
pub(super) const LAGGING: &[&str] = &[
    "verified_name",
    "status",
    "code_verification_status",
    "name_status",
    "new_display_name",
    "new_name_status",
    "throughput",
    "platform_type",
    "host_platform",
    "is_pin_enabled",
    "health_status",
    "webhook_configuration",
    "whatsapp_business_profile",
    "official_business_account",
    "username",
    USERNAME,
];

/// What the edge of a username shows, which is more than the field of the number.
const USERNAME: &str = "/username";

const ACCOUNT_FIELDS: &[&str] = &[
    "id",
    "name",
    "currency",
    "country",
    "timezone_id",
    "message_template_namespace",
    "status",
    "account_review_status",
    "business_verification_status",
    "ownership_type",
    "owner_business",
    "owner_business_info",
    "on_behalf_of_business_info",
    "primary_funding_id",
    "purchase_order_number",
    "primary_business_location",
    "auth_international_rate_eligibility",
    "health_status",
    "is_enabled_for_insights",
    "is_shared_with_partners",
    "linked_commerce_account",
    "marketing_messages_lite_api_status",
    "marketing_messages_onboarding_status",
    "disable_marketing_messages_on_cloud_api",
    "template_auto_archival_enabled",
    "whatsapp_business_manager_messaging_limit",
    "creation_time",
    "phone_numbers",
    "subscribed_apps",
];

/// As recorded of direct businesses in 2026, on versions 21 to 25.
const PARTNERS_ONLY: &str = "You do not have permission to perform this action. This action requires that the Business that owns this App is a Business Solution Provider for WhatsApp.";

const ACCOUNT_DEFAULT: &str = "id,name,timezone_id,message_template_namespace,currency";

const PORTFOLIO_FIELDS: &[&str] = &[
    "id",
    "name",
    "verification_status",
    "link",
    "primary_page",
    "profile_picture_uri",
    "timezone_id",
    "two_factor_type",
    "vertical",
    "vertical_id",
    "created_by",
    "updated_by",
    "created_time",
    "updated_time",
    "extended_updated_time",
    "is_hidden",
    "block_offline_analytics",
    "payment_account_id",
    "user_access_expire_time",
    "whatsapp_business_manager_messaging_limit",
    "marketing_messages_onboarding_status",
];

const PROFILE_FIELDS: &[&str] =
    &["about", "address", "description", "email", "profile_picture_url", "websites", "vertical"];

/// The graph as one call sees it.
pub(super) struct View<'a> {
    pub(super) world: &'a World,
    pub(super) switches: &'a Switches,
    pub(super) now: Timestamp,
    /// The major version that answers.
    pub(super) version: u32,
    pub(super) app: &'a App,
    /// Fields that a fault refuses.
    pub(super) refused: &'a [RefusedField],
    /// Scheme, host and version, for `next`.
    pub(super) base: &'a str,
}

/// Where in a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Paging {
    pub(super) limit: Option<String>,
    pub(super) after: Option<String>,
    pub(super) before: Option<String>,
    pub(super) summary: Option<String>,
    pub(super) sort: Option<String>,
}

impl View<'_> {
    /// A number with the requested fields.
    pub(super) fn number(&self, number: &Number, fields: Option<&[Field]>) -> Result<Value, Refusal> {
        self.node(fields, NUMBER_DEFAULT, NUMBER_FIELDS, "WhatsAppBusinessPhoneNumber", |field| {
            if let Some(raw) = number.raw.get(&field.name) {
                return Ok(Some(raw.clone()).filter(|raw| !raw.is_null()));
            }
            if field.name == "whatsapp_business_profile" {
                return self.profile(number, field.sub.as_deref()).map(Some);
            }
            Ok(shown(&number.late, &field.name, self.now, self.number_truth(number, &field.name)))
        })
    }

    /// An account with the requested fields.
    pub(super) fn account(&self, account: &Account, fields: Option<&[Field]>) -> Result<Value, Refusal> {
        self.node(fields, ACCOUNT_DEFAULT, ACCOUNT_FIELDS, "WhatsAppBusinessAccount", |field| {
            if let Some(raw) = account.raw.get(&field.name) {
                return Ok(Some(raw.clone()).filter(|raw| !raw.is_null()));
            }
            match field.name.as_str() {
                "phone_numbers" => {
                    let paging =
                        Paging { limit: field.arg("limit"), after: field.arg("after"), ..Paging::default() };
                    self.numbers(account, field.sub.as_deref(), &paging, "").map(Some)
                }
                "subscribed_apps" => Ok(Some(self.subscribed_apps(account))),
                "owner_business" => self
                    .world
                    .portfolios
                    .get(&account.owner)
                    .map(|owner| self.portfolio(owner, field.sub.as_deref()))
                    .transpose(),
                name => Ok(self.account_truth(account, name)),
            }
        })
    }

    /// A portfolio with the requested fields.
    pub(super) fn portfolio(
        &self,
        portfolio: &Portfolio,
        fields: Option<&[Field]>,
    ) -> Result<Value, Refusal> {
        self.node(fields, "id,name", PORTFOLIO_FIELDS, "Business", |field| {
            if let Some(raw) = portfolio.raw.get(&field.name) {
                return Ok(Some(raw.clone()).filter(|raw| !raw.is_null()));
            }
            Ok(match field.name.as_str() {
                "id" => Some(json!(portfolio.id)),
                "name" => Some(json!(portfolio.name)),
                "verification_status" => Some(json!(portfolio.verification_status)),
                "link" => portfolio.link.as_ref().map(|link| json!(link)),
                "primary_page" => {
                    portfolio.primary_page.as_ref().map(|page| json!({"id": page.id, "name": page.name}))
                }
                "timezone_id" => Some(json!(portfolio.timezone_id)),
                "two_factor_type" => Some(json!("none")),
                "vertical" => Some(json!("NOT_SET")),
                "is_hidden" => Some(json!(false)),
                "whatsapp_business_manager_messaging_limit" => {
                    Some(json!(portfolio.whatsapp_business_manager_messaging_limit))
                }
                _ => None,
            })
        })
    }

    /// The numbers of an account, page by page. `query` goes into `next`.
    pub(super) fn numbers(
        &self,
        account: &Account,
        fields: Option<&[Field]>,
        paging: &Paging,
        query: &str,
    ) -> Result<Value, Refusal> {
        self.check(fields, NUMBER_DEFAULT, NUMBER_FIELDS, None)?;
        let mut numbers = self.world.numbers_of(&account.id);
        numbers.retain(|number| {
            number.listed_from.is_none_or(|from| from <= self.now)
                && (!number.is_gone() || self.switches.migrated_reads)
        });
        match paging.sort.as_deref().map(|sort| sort.trim_matches(['[', ']', '"'])) {
            None | Some("last_onboarded_time_descending") => {}
            Some("last_onboarded_time_ascending") => numbers.reverse(),
            Some("creation_time_ascending") => {
                numbers.sort_by(|a, b| (a.added, &a.id).cmp(&(b.added, &b.id)));
            }
            Some("creation_time_descending") => {
                numbers.sort_by(|a, b| (b.added, &b.id).cmp(&(a.added, &a.id)));
            }
            Some(_) => return Err(Refusal::invalid("sort is not one of the known orders")),
        }
        let path = format!("{}/phone_numbers", account.id);
        let render = |number: &&Number| {
            // Of a shared number each account shows itself.
            let here = Number { account: account.id.clone(), ..Number::clone(number) };
            self.number(if number.account == account.id { number } else { &here }, fields)
        };
        self.page(&numbers, |number| &number.id, render, paging, &path, query)
    }

    /// The accounts in a list, page by page.
    pub(super) fn accounts(
        &self,
        accounts: &[&Account],
        fields: Option<&[Field]>,
        paging: &Paging,
        path: &str,
        query: &str,
    ) -> Result<Value, Refusal> {
        self.check(fields, ACCOUNT_DEFAULT, ACCOUNT_FIELDS, None)?;
        self.page(
            accounts,
            |account| &account.id,
            |account| self.account(account, fields),
            paging,
            path,
            query,
        )
    }

    /// The list of subscribed apps, as it shows now.
    pub(super) fn subscribed_apps(&self, account: &Account) -> Value {
        shown(&account.late, "subscribed_apps", self.now, Some(self.subscriptions(account)))
            .unwrap_or_else(|| json!({"data": []}))
    }

    /// The list of subscribed apps, as it is.
    pub(super) fn subscriptions(&self, account: &Account) -> Value {
        let item = |(id, subscription): (&String, &Override)| {
            let name = self.world.apps.get(id).map_or("", |app| app.name.as_str());
            let link = format!("https://www.facebook.com/games/?app_id={id}");
            let mut item = json!({"whatsapp_business_api_data": {"id": id, "name": name, "link": link}});
            if let Some(callback) = &subscription.callback {
                item["override_callback_uri"] = json!(callback);
            }
            item
        };
        json!({"data": account.subscriptions.iter().map(item).collect::<Vec<_>>()})
    }

    /// The username of a number, with its status.
    pub(super) fn username(&self, number: &Number) -> Value {
        shown(&number.late, USERNAME, self.now, self.number_truth(number, USERNAME))
            .unwrap_or_else(|| json!({}))
    }

    /// Where a request for an official business account stands.
    pub(super) fn official(&self, number: &Number) -> Value {
        let field = "official_business_account";
        shown(&number.late, field, self.now, self.number_truth(number, field)).unwrap_or_else(|| json!({}))
    }

    /// The profile of a number. Without fields only the product comes back.
    pub(super) fn profile(&self, number: &Number, fields: Option<&[Field]>) -> Result<Value, Refusal> {
        let shown = shown(
            &number.late,
            "whatsapp_business_profile",
            self.now,
            self.number_truth(number, "whatsapp_business_profile"),
        );
        let known = shown.unwrap_or_else(|| json!({}));
        let mut profile = Map::new();
        for field in fields.unwrap_or_default() {
            if self.refuses(&field.name)
                || !(PROFILE_FIELDS.contains(&field.name.as_str()) || field.name == "messaging_product")
            {
                return Err(Refusal::unknown_field(&field.name, Some("WhatsAppBusinessProfile")));
            }
            let value = match field.name.as_str() {
                "profile_picture_url" if number.profile.pictures > 0 => Some(json!(format!(
                    "https://pps.whatsapp.net/v/{}.jpg?oe={:x}",
                    number.id,
                    self.now.as_second()
                ))),
                name => known.get(name).cloned(),
            };
            if let Some(value) = value {
                profile.insert(field.name.clone(), value);
            }
        }
        profile.insert("messaging_product".to_owned(), json!("whatsapp"));
        Ok(json!({"data": [profile]}))
    }

    /// The true value of a number's field, which may show late.
    pub(super) fn number_truth(&self, number: &Number, field: &str) -> Option<Value> {
        let text = |value: &str| Some(json!(value));
        let limit = || {
            self.portfolio_of(&number.account)
                .map(|portfolio| json!(portfolio.whatsapp_business_manager_messaging_limit))
        };
        match field {
            "id" => text(&number.id),
            "display_phone_number" => Some(json!(display(&number.digits, self.switches.number_spelling))),
            "verified_name" => Some(json!(number.verified_name)).filter(|_| !number.verified_name.is_empty()),
            "status" => text(&number.status),
            "code_verification_status" => text(&number.code_verification_status),
            "name_status" => text(&number.name_status),
            "new_display_name" => number.new_display_name.as_deref().and_then(text),
            "new_name_status" => match (&number.new_name_status, self.switches.no_change) {
                (Some(status), _) => text(status),
                (None, NoChange::None) => text("NONE"),
                (None, NoChange::Absent) => None,
            },
            "quality_rating" => text(&number.quality_rating),
            "quality_score" => Some(json!({"score": number.quality_rating})),
            "messaging_limit_tier" if self.version >= 24 => limit(),
            "messaging_limit_tier" => number.is_registered().then(|| json!("TIER_250")),
            "whatsapp_business_manager_messaging_limit" => limit(),
            "throughput" => Some(
                json!({"level": if number.platform_type == "NOT_APPLICABLE" { "NOT_APPLICABLE" } else { "STANDARD" }}),
            ),
            "platform_type" | "host_platform" => text(&number.platform_type),
            "account_mode" => text(&number.account_mode),
            "is_official_business_account" => Some(json!(number.is_official_business_account)),
            "official_business_account" => Some(official_value(number)),
            "username" => {
                let username = number.username.as_ref();
                let listed = |status: &str| status == "approved" || self.switches.reserved_usernames_listed;
                username.filter(|username| listed(&username.status)).map(|username| json!(username.name))
            }
            USERNAME => Some(match &number.username {
                Some(username) => json!({"username": username.name, "status": username.status}),
                None => json!({}),
            }),
            "is_on_biz_app" => Some(json!(number.is_on_biz_app)),
            "is_pin_enabled" => Some(json!(number.pin.is_some())),
            "is_preverified_number" => Some(json!(number.is_preverified_number)),
            "last_onboarded_time" => number.last_onboarded_time.map(|at| json!(meta_time(at))),
            "search_visibility" => text(&number.search_visibility),
            "health_status" => Some(self.number_health(number)),
            "webhook_configuration" => {
                Some(self.webhooks(number)).filter(|levels| levels.as_object().is_some_and(|l| !l.is_empty()))
            }
            "country_dial_code" => text(dial_code(&number.digits)),
            "whatsapp_business_profile" => Some(profile_value(number, self.switches)),
            _ => None,
        }
    }

    fn account_truth(&self, account: &Account, field: &str) -> Option<Value> {
        let owner = self.world.portfolios.get(&account.owner);
        match field {
            "id" => Some(json!(account.id)),
            "name" => Some(json!(account.name)),
            "currency" => Some(json!(account.currency)),
            "country" => account.country.as_ref().map(|country| json!(country)),
            "timezone_id" => Some(json!(account.timezone_id)),
            "message_template_namespace" => {
                Some(json!(format!("{:016x}", super::random::hash(account.id.as_bytes()))))
            }
            "status" => Some(json!(account.status)),
            "account_review_status" => Some(json!(account.account_review_status)),
            "business_verification_status" => owner.map(|owner| json!(owner.verification_status)),
            "ownership_type" => Some(json!(account.ownership_type)),
            "owner_business_info" => owner.map(|owner| json!({"id": owner.id, "name": owner.name})),
            "primary_funding_id" => match (&account.primary_funding_id, self.switches.funding_zero) {
                (Some(id), _) => Some(json!(id)),
                (None, true) => Some(json!("0")),
                (None, false) => None,
            },
            "health_status" => Some(overall(self.account_health(account))),
            "is_enabled_for_insights" => Some(json!(true)),
            "is_shared_with_partners" => Some(json!(!account.shared_with.is_empty())),
            "whatsapp_business_manager_messaging_limit" => {
                owner.map(|owner| json!(owner.whatsapp_business_manager_messaging_limit))
            }
            "creation_time" => Some(json!(account.created.as_second())),
            _ => None,
        }
    }

    /// The URLs by level; levels without one are left out.
    fn webhooks(&self, number: &Number) -> Value {
        let mut levels = Map::new();
        let account = self
            .world
            .accounts
            .get(&number.account)
            .and_then(|account| account.subscriptions.get(&self.app.id));
        for (level, url) in [
            ("phone_number", number.webhook.callback.as_ref()),
            ("whatsapp_business_account", account.and_then(|subscription| subscription.callback.as_ref())),
            ("application", self.app.callback_url.as_ref()),
        ] {
            if let Some(url) = url {
                levels.insert(level.to_owned(), json!(url));
            }
        }
        Value::Object(levels)
    }

    fn number_health(&self, number: &Number) -> Value {
        let mut entity =
            json!({"entity_type": "PHONE_NUMBER", "id": number.id, "can_send_message": "AVAILABLE"});
        if !number.is_registered() {
            blocked(&mut entity, 141_000, "The number is not registered.", "Register the number.");
        } else if number.status == "BANNED" {
            blocked(&mut entity, 141_000, "The number is banned.", "Appeal in Business Support Home.");
        } else if number.account_mode != "SANDBOX" && number.name_status != "APPROVED" {
            entity["can_send_message"] = json!("LIMITED");
            entity["additional_info"] = json!(["The display name is not approved yet."]);
        }
        let mut entities = vec![entity];
        if let Some(account) = self.world.accounts.get(&number.account) {
            let sandbox = number.account_mode == "SANDBOX";
            entities.extend(self.account_health(account).into_iter().map(|mut entity| {
                if sandbox && entity["errors"][0]["error_code"] == json!(141_006) {
                    entity =
                        json!({"entity_type": "WABA", "id": account.id, "can_send_message": "AVAILABLE"});
                }
                entity
            }));
        }
        overall(entities)
    }

    fn account_health(&self, account: &Account) -> Vec<Value> {
        let mut waba = json!({"entity_type": "WABA", "id": account.id, "can_send_message": "AVAILABLE"});
        if account.is_disabled() || account.locked {
            blocked(&mut waba, 141_014, "The account is banned.", "Appeal in Business Support Home.");
        } else if account.primary_funding_id.is_none() {
            blocked(&mut waba, 141_006, "There is no valid payment method.", "Add a payment method.");
        }
        let mut business =
            json!({"entity_type": "BUSINESS", "id": account.owner, "can_send_message": "AVAILABLE"});
        if self
            .world
            .portfolios
            .get(&account.owner)
            .is_none_or(|owner| owner.verification_status != "verified")
        {
            blocked(&mut business, 141_010, "The business is not verified.", "Verify the business.");
            business["can_send_message"] = json!("LIMITED");
            business["additional_info"] = json!(["The business is not verified."]);
        }
        vec![
            waba,
            business,
            json!({"entity_type": "APP", "id": self.app.id, "can_send_message": "AVAILABLE"}),
        ]
    }

    fn portfolio_of(&self, account: &str) -> Option<&Portfolio> {
        self.world.accounts.get(account).and_then(|account| self.world.portfolios.get(&account.owner))
    }

    fn refuses(&self, field: &str) -> bool {
        self.app.refused_fields.contains(field)
            || (field == "whatsapp_business_manager_messaging_limit" && self.version < 24)
            || (field == "whatsapp_business_profile" && !self.switches.profile_expansion)
    }

    fn check(
        &self,
        fields: Option<&[Field]>,
        default: &str,
        known: &[&str],
        node: Option<&str>,
    ) -> Result<Vec<Field>, Refusal> {
        let fields = match fields {
            Some(fields) => fields.to_vec(),
            None => field::parse(default)?,
        };
        for field in &fields {
            if let Some((_, envelope)) = self.refused.iter().find(|(name, _)| *name == field.name) {
                return Err(match envelope {
                    Some(envelope) => Refusal::of_envelope(envelope),
                    None => Refusal::unknown_field(&field.name, node),
                });
            }
            if !known.contains(&field.name.as_str()) || self.refuses(&field.name) {
                return Err(Refusal::unknown_field(&field.name, node));
            }
            if field.name == "primary_funding_id" && !self.app.is_partner {
                return Err(Refusal::new(10, PARTNERS_ONLY));
            }
        }
        Ok(fields)
    }

    fn node(
        &self,
        fields: Option<&[Field]>,
        default: &str,
        known: &[&str],
        node: &str,
        value: impl Fn(&Field) -> Result<Option<Value>, Refusal>,
    ) -> Result<Value, Refusal> {
        let mut fields = self.check(fields, default, known, Some(node))?;
        if !fields.iter().any(|field| field.name == "id") {
            fields.push(Field { name: "id".to_owned(), args: Vec::new(), sub: None });
        }
        let mut object = Map::new();
        for field in &fields {
            if let Some(value) = value(field)? {
                object.insert(field.name.clone(), value);
            }
        }
        Ok(Value::Object(object))
    }

    fn page<T>(
        &self,
        items: &[T],
        id: impl Fn(&T) -> &String,
        render: impl Fn(&T) -> Result<Value, Refusal>,
        paging: &Paging,
        path: &str,
        query: &str,
    ) -> Result<Value, Refusal> {
        let limit = match &paging.limit {
            Some(limit) => limit
                .parse::<usize>()
                .ok()
                .filter(|limit| *limit > 0)
                .ok_or_else(|| Refusal::invalid("limit is not a positive number"))?,
            None => 25,
        }
        .min(100);
        let invalid = || Refusal::invalid("the cursor is not valid");
        let position = |cursor: &String| {
            let wanted = read_cursor(cursor).ok_or_else(invalid)?;
            items.iter().position(|item| *id(item) == wanted).ok_or_else(invalid)
        };
        let shortens = self.switches.short_pages && paging.before.is_none();
        if shortens && paging.after.is_none() && !items.is_empty() {
            let after = cursor(BEFORE_ALL);
            let mut page = json!({"data": [], "paging": {"cursors": {"before": after, "after": after}}});
            page["paging"]["next"] = json!(self.next(path, query, limit, &after));
            return Ok(page);
        }
        let (start, end) = if let Some(after) = &paging.after {
            let is_first = read_cursor(after).as_deref() == Some(BEFORE_ALL);
            let start = if is_first { 0 } else { position(after)? + 1 };
            let left = items.len() - start;
            (start, start + limit.min(if shortens { left.div_ceil(2) } else { left }))
        } else if let Some(before) = &paging.before {
            let end = position(before)?;
            (end.saturating_sub(limit), end)
        } else {
            (0, limit.min(items.len()))
        };
        let slice = &items[start..end];
        let mut page = json!({"data": slice.iter().map(render).collect::<Result<Vec<_>, _>>()?});
        if let (Some(first), Some(last)) = (slice.first(), slice.last()) {
            let after = cursor(id(last));
            page["paging"] = json!({"cursors": {"before": cursor(id(first)), "after": after}});
            if end < items.len() {
                page["paging"]["next"] = json!(self.next(path, query, limit, &after));
            }
        }
        if paging.summary.as_deref() == Some("total_count") {
            page["summary"] = json!({"total_count": items.len()});
        }
        Ok(page)
    }

    /// The address of the page after a cursor.
    fn next(&self, path: &str, query: &str, limit: usize, after: &str) -> String {
        format!("{}/{path}?{query}limit={limit}&after={after}", self.base)
    }
}

fn official_value(number: &Number) -> Value {
    let Official { status, message, .. } = &number.official;
    let status = if number.is_official_business_account { "APPROVED" } else { status };
    let mut value = json!({"oba_status": status});
    if let Some(message) = message {
        value["status_message"] = json!(message);
    }
    value
}

/// The profile with what is unset left out.
fn profile_value(number: &Number, switches: &Switches) -> Value {
    let profile = &number.profile;
    let mut value = Map::new();
    for (key, text) in [
        ("about", &profile.about),
        ("address", &profile.address),
        ("description", &profile.description),
        ("email", &profile.email),
    ] {
        if let Some(text) = text {
            value.insert(key.to_owned(), json!(text));
        }
    }
    if !profile.websites.is_empty() {
        let normalised = |site: &String| match url::Url::parse(site) {
            Ok(url) if switches.websites_normalised => url.to_string(),
            _ => site.clone(),
        };
        value.insert(
            "websites".to_owned(),
            json!(profile.websites.iter().map(normalised).collect::<Vec<_>>()),
        );
    }
    value.insert("vertical".to_owned(), json!(profile.vertical.as_deref().unwrap_or("UNDEFINED")));
    Value::Object(value)
}

fn blocked(entity: &mut Value, code: i64, description: &str, solution: &str) {
    entity["can_send_message"] = json!("BLOCKED");
    entity["errors"] =
        json!([{"error_code": code, "error_description": description, "possible_solution": solution}]);
}

/// Puts entities under the worst of their values.
fn overall(entities: Vec<Value>) -> Value {
    let any = |word: &str| entities.iter().any(|entity| entity["can_send_message"] == json!(word));
    let worst = ["BLOCKED", "LIMITED"].into_iter().find(|word| any(word)).unwrap_or("AVAILABLE");
    json!({"can_send_message": worst, "entities": entities})
}

/// The item that stands before every other one: no id is like it.
const BEFORE_ALL: &str = "";

/// An opaque cursor: it holds the id of an item and nothing else.
fn cursor(id: &str) -> String {
    id.bytes().fold("QVF".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn read_cursor(cursor: &str) -> Option<String> {
    let hex = cursor.strip_prefix("QVF")?;
    let bytes: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|at| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    String::from_utf8(bytes?).ok()
}
