//! JSON as Meta sends it, and nowhere else.
//!
//! Every value may be missing, null, of another type, or text where a number is documented; one
//! strange value never spoils the others. Vocabularies are open, ids stay text. What an answer
//! leaves out is *absent*, what was not asked for because Meta refuses it is *refused*: the two
//! mean different things to a decision.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    envelope::Envelope,
    json::{integer, text, truth},
};
use crate::engine::{
    desired::{DesiredProfile, OfficialApplication},
    failure::Refusal,
    id::{AccountId, AppId, BusinessId, Field, NumberId, Sendability, TokenType},
    observed::{
        Account, Health, HealthEntity, HealthError, Number, Official, Profile, Username, WebhookConfiguration,
    },
    portfolio::{AppSubscription, BusinessFacts, Reachable, TokenFacts},
};

/// A text that says something.
fn words(object: &Value, key: &str) -> Option<String> {
    text(object, key).filter(|text| !text.is_empty())
}

/// A text of one of Meta's vocabularies.
fn word<T: for<'a> From<&'a str>>(object: &Value, key: &str) -> Option<T> {
    words(object, key).map(|word| T::from(word.as_str()))
}

fn items<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    object.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn texts(object: &Value, key: &str) -> Vec<String> {
    items(object, key).filter_map(Value::as_str).map(str::to_owned).collect()
}

/// An id of Meta's: digits.
pub fn id(object: &Value, key: &str) -> Option<String> {
    text(object, key).filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))
}

/// A field that a read asks for: the name that Meta refuses it by, and how it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub name: &'static str,
    pub expression: &'static str,
}

const fn field(name: &'static str) -> Asked {
    Asked { name, expression: name }
}

/// What a read asks for.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// What Meta calls the node in its messages, which is not always the name in the documents.
    pub node_type: &'static str,
    /// Without these an answer cannot be used.
    pub needed: &'static [Asked],
    /// Shown to everybody, as far as answers are recorded.
    pub core: &'static [Asked],
    /// The others. Each may be refused to an app, or to one account of an app.
    pub extra: &'static [Asked],
    /// The extra that is refused most often without being named.
    pub suspect: Option<Suspect>,
}

/// An extra that may be refused without being named.
#[derive(Clone, Copy, Debug)]
pub struct Suspect {
    pub name: &'static str,
    /// The one code that it is refused with, if it is always the same.
    pub code: Option<i64>,
}

impl Fields {
    /// Every field, in the order in which they are asked for.
    pub fn all(&self) -> impl Iterator<Item = &'static Asked> {
        self.needed.iter().chain(self.core).chain(self.extra)
    }

    /// Whether an answer without this field cannot be used.
    pub fn needs(&self, name: &str) -> bool {
        self.needed.iter().any(|field| field.name == name)
    }

    /// The field that we asked for when Meta refuses `refused`: itself, or the expansion it is in.
    pub fn asked_as(&self, refused: &str) -> Option<&'static str> {
        let inside = |field: &Asked| field.expression.split(['{', '}', ',']).any(|part| part == refused);
        self.all()
            .find(|field| field.name == refused)
            .or_else(|| self.all().find(|field| inside(field)))
            .map(|field| field.name)
    }
}

/// The fields of a profile. Never the picture: its address changes with every read.
macro_rules! profile {
    () => {
        "about,address,description,email,websites,vertical"
    };
}

/// What the list of an account's numbers asks for. The core is what Meta shows when no field is named, and the words
/// that decisions need.
///
/// `unified_cert_status` is published but refused, so it is not among them; certificates are large.
pub const NUMBER: Fields = Fields {
    node_type: "WhatsAppBusinessPhoneNumber",
    needed: &[field("id"), field("display_phone_number")],
    core: &[
        field("verified_name"),
        field("code_verification_status"),
        field("quality_rating"),
        field("platform_type"),
        field("throughput"),
        field("status"),
        field("name_status"),
    ],
    extra: &[
        field("new_display_name"),
        field("new_name_status"),
        field("account_mode"),
        field("is_official_business_account"),
        field("is_on_biz_app"),
        field("is_pin_enabled"),
        field("last_onboarded_time"),
        field("health_status"),
        field("webhook_configuration"),
        field("whatsapp_business_manager_messaging_limit"),
        field("username"),
        field(OFFICIAL_ACCOUNT),
        Asked { name: PROFILE_EXPANSION, expression: concat!("whatsapp_business_profile{", profile!(), "}") },
    ],
    suspect: Some(Suspect { name: PROFILE_EXPANSION, code: None }),
};

/// What becomes of a request for an official business account.
const OFFICIAL_ACCOUNT: &str = "official_business_account";

/// An expansion may need a permission of its own, be an unknown edge, or be more data than Meta will give at once.
pub const PROFILE_EXPANSION: &str = "whatsapp_business_profile";

/// What a read of an account asks for. The core was shown to every direct business of which an answer is recorded.
pub const ACCOUNT: Fields = Fields {
    node_type: "WhatsAppBusinessAccount",
    needed: &[field("id")],
    core: &[field("name"), field("timezone_id"), field("account_review_status"), field("ownership_type")],
    extra: &[
        field("currency"),
        field("country"),
        field("status"),
        field(OWNER),
        field("health_status"),
        field(FUNDING),
    ],
    suspect: Some(Suspect { name: FUNDING, code: Some(10) }),
};

/// The business that an account belongs to.
const OWNER: &str = "owner_business_info";

/// The payment method of an account. Meta shows it to partners alone. To every other app it refuses the whole read with
/// code 10, and does not name the field.
pub const FUNDING: &str = "primary_funding_id";

/// What a read of a portfolio asks for.
pub const BUSINESS: Fields = Fields {
    node_type: "Business",
    needed: &[field("id")],
    core: &[field("name"), field("verification_status")],
    extra: &[field("whatsapp_business_manager_messaging_limit"), field(PRIMARY_PAGE)],
    suspect: Some(Suspect { name: PRIMARY_PAGE, code: None }),
};

/// A page may need a permission of its own.
const PRIMARY_PAGE: &str = "primary_page";

/// What the lists of accounts ask for.
pub const REACHABLE: Fields = Fields {
    node_type: "WhatsAppBusinessAccount",
    needed: &[field("id")],
    core: &[field("name")],
    extra: &[],
    suspect: None,
};

/// What a read of a profile asks for.
pub const PROFILE: &str = profile!();

/// The one field of a profile of which only is asked whether it is there.
pub const PICTURE: &str = "profile_picture_url";

/// Whether a profile has a picture. `None`: the answer holds no profile.
pub fn has_picture(answer: &Value) -> Option<bool> {
    let profile = answer.get("data")?.get(0)?;
    Some(text(profile, PICTURE).is_some_and(|url| !url.is_empty()))
}

/// Reads one field, unless it was not asked for.
struct Node<'a> {
    value: &'a Value,
    refused: &'a BTreeSet<&'static str>,
}

impl Node<'_> {
    fn field<T>(&self, key: &str, read: impl FnOnce(&Value) -> Option<T>) -> Field<T> {
        if self.refused.contains(key) {
            return Field::Refused;
        }
        read(self.value).map_or(Field::Absent, Field::Is)
    }

    /// A field of a shape of its own. What is there in another shape says nothing, so it is as good as not
    /// asked for; only what Meta leaves out is absent.
    fn shaped<T>(&self, key: &str, read: impl FnOnce(&Value) -> Option<T>) -> Field<T> {
        let value = self.value.get(key).filter(|value| !value.is_null());
        match self.field(key, |_| value.and_then(read)) {
            Field::Absent if value.is_some() => Field::Refused,
            field => field,
        }
    }

    fn word<T: for<'a> From<&'a str>>(&self, key: &str) -> Field<T> {
        self.field(key, |value| word(value, key))
    }

    fn text(&self, key: &str) -> Field<String> {
        self.field(key, |value| words(value, key))
    }

    fn truth(&self, key: &str) -> Field<bool> {
        self.shaped(key, |_| truth(self.value, key))
    }

    fn health(&self) -> Field<Health> {
        self.shaped("health_status", health)
    }
}

/// An entry of an account's list. `None` when it has no id: the list cannot be searched then, and must not pass for a
/// complete one. One that shows no digits is known by its id alone.
pub fn number(value: &Value, refused: &BTreeSet<&'static str>) -> Option<Number> {
    let node = Node { value, refused };
    Some(Number {
        id: NumberId::new(id(value, "id")?),
        status: node.word("status"),
        code: node.word("code_verification_status"),
        platform: node.word("platform_type"),
        verified_name: node.text("verified_name"),
        name_status: node.word("name_status"),
        new_display_name: node.text("new_display_name"),
        new_name_status: node.word("new_name_status"),
        quality: word(value, "quality_rating"),
        throughput: value.get("throughput").and_then(|throughput| word(throughput, "level")),
        messaging_limit: word(value, "whatsapp_business_manager_messaging_limit"),
        account_mode: node.word("account_mode"),
        is_official: truth(value, "is_official_business_account"),
        username: node.text("username"),
        official: node.shaped(OFFICIAL_ACCOUNT, official),
        is_on_biz_app: node.truth("is_on_biz_app"),
        is_pin_enabled: node.truth("is_pin_enabled"),
        onboarded: node.shaped("last_onboarded_time", |value| time(value.as_str()?)),
        health: node.health(),
        webhook: node.shaped("webhook_configuration", |value| webhook(value).map(Box::new)),
        profile: node.shaped(PROFILE_EXPANSION, |value| profile(value).map(Box::new)),
        display_phone_number: text(value, "display_phone_number").unwrap_or_default(),
    })
}

/// What a read of an official business account asks for.
pub const OFFICIAL: &str = "oba_status,status_message";

/// What becomes of a request for an official business account.
pub fn official(value: &Value) -> Option<Official> {
    let message = words(value, "status_message").map(String::into_boxed_str);
    Some(Official { status: word(value, "oba_status")?, message })
}

/// A username. An answer without one says that there is none; one that is no object says nothing.
pub fn username(value: &Value) -> Option<Username> {
    value.is_object().then(|| Username { name: words(value, "username"), status: word(value, "status") })
}

/// The answer to a claim: the state of the username, whichever word it has.
pub fn claimed(value: &Value) -> Option<()> {
    text(value, "status").map(|_| ())
}

/// The body of a request for an official business account.
pub fn application(application: &OfficialApplication) -> Value {
    let OfficialApplication { website, country, language, parent, links, information } = application;
    let mut body = Map::new();
    for (key, value) in [
        ("business_website_url", Some(website)),
        ("primary_country_of_operation", Some(country)),
        ("primary_language", Some(language)),
        ("parent_business_or_brand", parent.as_ref()),
        ("additional_supporting_information", information.as_ref()),
    ] {
        if let Some(value) = value {
            body.insert(key.to_owned(), json!(value));
        }
    }
    if !links.is_empty() {
        body.insert("supporting_links".to_owned(), json!(links));
    }
    Value::Object(body)
}

/// An account.
pub fn account(value: &Value, refused: &BTreeSet<&'static str>) -> Account {
    let node = Node { value, refused };
    Account {
        id: id(value, "id").map(AccountId::new),
        name: words(value, "name"),
        currency: words(value, "currency"),
        country: words(value, "country"),
        timezone_id: words(value, "timezone_id"),
        status: node.word("status"),
        review: node.word("account_review_status"),
        owner: value.get(OWNER).and_then(|owner| id(owner, "id")).map(BusinessId::new),
        ownership_type: words(value, "ownership_type"),
        funding: node.field(FUNDING, |value| words(value, FUNDING)),
        health: node.health(),
    }
}

/// A time as Meta writes it: `2026-02-01T10:11:12+0000`.
fn time(text: &str) -> Option<Timestamp> {
    Timestamp::strptime("%Y-%m-%dT%H:%M:%S%z", text).ok()
}

/// A portfolio.
pub fn business(value: &Value) -> BusinessFacts {
    let page = value.get(PRIMARY_PAGE);
    BusinessFacts {
        name: words(value, "name"),
        verification: word(value, "verification_status"),
        messaging_limit: word(value, "whatsapp_business_manager_messaging_limit"),
        primary_page: page.and_then(|page| {
            words(page, "name").or_else(|| words(page, "id")).or_else(|| page.as_str().map(str::to_owned))
        }),
    }
}

/// Characters of an account's name that are kept: it is only shown.
const LONGEST_NAME: usize = 256;

/// An entry of the lists of accounts.
pub fn reachable(value: &Value, owned: bool) -> Option<Reachable> {
    Some(Reachable {
        id: AccountId::new(id(value, "id")?),
        name: words(value, "name").map(|name| name.chars().take(LONGEST_NAME).collect::<String>().into()),
        owned: Some(owned),
    })
}

/// An app of the list of those that are subscribed to an account, ours or another. Its id stands inside
/// `whatsapp_business_api_data`, or in the entry itself. An entry without an id says that the list cannot be read.
pub fn subscribed_app(value: &Value) -> Option<ListedApp> {
    let nested = value.get("whatsapp_business_api_data").filter(|app| id(app, "id").is_some());
    let app = nested.unwrap_or(value);
    let short = |name: String| name.chars().take(LONGEST_NAME).collect::<String>().into();
    Some(ListedApp {
        id: AppId::new(id(app, "id")?),
        name: words(app, "name").map(short),
        override_url: words(value, "override_callback_uri").map(Into::into),
    })
}

/// An app in the list of those that are subscribed to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedApp {
    pub id: AppId,
    pub name: Option<Box<str>>,
    /// Where it has the account's events sent, unless it is the app's own URL.
    pub override_url: Option<std::sync::Arc<str>>,
}

/// What of an app's subscriptions is about WhatsApp accounts.
pub const OBJECT: &str = "whatsapp_business_account";

/// An entry of an app's subscriptions, if it is the one for WhatsApp accounts.
pub fn app_subscription(value: &Value) -> Option<AppSubscription> {
    let is_it = text(value, "object").as_deref() == Some(OBJECT);
    is_it.then(|| AppSubscription {
        callback_url: words(value, "callback_url"),
        is_active: truth(value, "active"),
        fields: items(value, "fields")
            .filter_map(|field| words(field, "name").or_else(|| field.as_str().map(str::to_owned)))
            .collect(),
    })
}

/// `data` of `debug_token`. `refusal` classifies the error inside it.
pub fn token(data: &Value, refusal: impl FnOnce(Envelope) -> Refusal) -> Option<TokenFacts> {
    let is_valid = truth(data, "is_valid")?;
    let moment = |key: &str| {
        integer(data, key).filter(|seconds| *seconds > 0).and_then(|s| Timestamp::from_second(s).ok())
    };
    let management = items(data, "granular_scopes")
        .find(|scope| text(scope, "scope").as_deref() == Some("whatsapp_business_management"));
    // Each list names the scopes; one that is left out proves nothing.
    let is_told = ["scopes", "granular_scopes"].iter().any(|key| data.get(key).is_some_and(Value::is_array));
    if is_valid && !is_told {
        return None;
    }
    let mut scopes = texts(data, "scopes");
    for scope in items(data, "granular_scopes").filter_map(|scope| text(scope, "scope")) {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    let targets = management.filter(|scope| scope.get("target_ids").is_some_and(Value::is_array));
    Some(TokenFacts {
        is_valid,
        kind: TokenType::from(text(data, "type").unwrap_or_default().as_str()),
        expires_at: moment("expires_at"),
        data_access_expires_at: moment("data_access_expires_at"),
        app: id(data, "app_id").map(AppId::new),
        scopes,
        targets: targets.map(|scope| {
            texts(scope, "target_ids").into_iter().map(|id| AccountId::from(id.as_str())).collect()
        }),
        error: data.get("error").and_then(|error| Envelope::from_error(error).ok()).map(refusal),
    })
}

/// A profile, flat or as the list of one that Meta makes of it.
pub fn profile(value: &Value) -> Option<Profile> {
    let value = match value.get("data") {
        Some(Value::Array(entries)) => entries.first()?,
        _ => value,
    };
    value.is_object().then(|| Profile {
        about: words(value, "about"),
        address: words(value, "address"),
        description: words(value, "description"),
        email: words(value, "email"),
        websites: texts(value, "websites"),
        // How an unset one reads.
        vertical: words(value, "vertical").filter(|word| word != "UNDEFINED"),
    })
}

/// What a write of these profile fields sends; absent keys stay as they are at Meta.
pub fn profile_fields(fields: &DesiredProfile) -> Value {
    let mut body = Map::new();
    body.insert("messaging_product".into(), json!("whatsapp"));
    let texts = [
        ("about", &fields.about),
        ("address", &fields.address),
        ("description", &fields.description),
        ("email", &fields.email),
        ("vertical", &fields.vertical),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            body.insert(key.into(), json!(value));
        }
    }
    if let Some(websites) = &fields.websites {
        body.insert("websites".into(), json!(websites));
    }
    Value::Object(body)
}

/// Where Meta leaves out the overall word, the worst of the entities stands for it.
fn health(value: &Value) -> Option<Health> {
    let sendability = |value: &Value| words(value, "can_send_message").map(|w| Sendability::from(w.as_str()));
    let how_bad = |can_send: &Sendability| match can_send {
        Sendability::Available => 0,
        Sendability::Limited => 1,
        Sendability::Other(_) => 2,
        Sendability::Blocked => 3,
    };
    let worst = || items(value, "entities").filter_map(sendability).max_by_key(how_bad);
    Some(Health {
        can_send: sendability(value).or_else(worst)?,
        entities: items(value, "entities")
            .filter_map(|entity| {
                Some(HealthEntity {
                    kind: words(entity, "entity_type")?,
                    can_send: sendability(entity)?,
                    info: texts(entity, "additional_info"),
                    errors: items(entity, "errors")
                        .map(|error| HealthError {
                            code: integer(error, "error_code").unwrap_or(0),
                            description: text(error, "error_description").unwrap_or_default(),
                            solution: text(error, "possible_solution").unwrap_or_default(),
                        })
                        .collect(),
                })
            })
            .filter(|entity| {
                entity.can_send != Sendability::Available
                    || !entity.info.is_empty()
                    || !entity.errors.is_empty()
            })
            .collect(),
    })
}

fn webhook(value: &Value) -> Option<WebhookConfiguration> {
    value.is_object().then(|| WebhookConfiguration {
        number: words(value, "phone_number"),
        account: words(value, "whatsapp_business_account"),
        application: words(value, "application"),
    })
}

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This was the last page.
    End,
    /// Ask again after this cursor.
    After(String),
    /// There is more, and no cursor to ask for it with.
    Lost,
}

/// One page: entries, and where it goes on. `None` when it is no list.
///
/// The address of the next page is never followed: it may carry the token. A list goes on while
/// it has one, also after a short or empty page.
pub fn page(answer: &Value) -> Option<(&[Value], Next)> {
    let entries = answer.get("data")?.as_array()?;
    let paging = answer.get("paging");
    let next = match paging.and_then(|paging| words(paging, "next")) {
        None => Next::End,
        Some(next) => paging
            .and_then(|paging| paging.get("cursors"))
            .and_then(|cursors| words(cursors, "after"))
            .or_else(|| {
                let url = url::Url::parse(&next).ok()?;
                url.query_pairs().find(|(key, _)| key == "after").map(|(_, cursor)| cursor.into_owned())
            })
            .map_or(Next::Lost, Next::After),
    };
    Some((entries, next))
}

#[cfg(test)]
mod tests;
