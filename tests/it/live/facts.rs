//! What the client makes of an answer, in Meta's words: one line for each fact.

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use jiff::Timestamp;
use whatsapp_operator::{
    engine::{
        desired::{AppData, DesiredProfile, OfficialApplication},
        failure::Failure,
        id::{Field, NumberId, Sendability},
        look::Urgency,
        observed::{Account, Health, Number, Profile, WebhookConfiguration},
        phone::E164,
        picture::PictureKind,
        portfolio::{BusinessFacts, Reachable, TokenFacts},
        step::CodeMethod,
    },
    meta::{
        client::GraphClient,
        edge::Edge,
        port::{Graph, NumberList},
    },
    run::{observe::whole, picture::png},
};

use super::{ACCOUNT, NUMBER};

/// Facts by the name of their field.
pub type Facts = BTreeMap<&'static str, String>;

/// Makes this call with the real client.
pub async fn ask(edge: Edge, graph: &GraphClient) -> Result<Facts, Failure> {
    let (account, number) = (ACCOUNT.into(), NUMBER.into());
    let secret = || "135790".to_owned().into();
    let (since, urgency) = (Timestamp::MIN, Urgency::Edit);
    let done = match edge {
        Edge::DebugToken => return graph.debug_token().await.map(|facts| token(&facts)),
        Edge::Business => return graph.business(urgency).await.map(|facts| business(&facts)),
        Edge::OwnedAccounts => {
            return whole(since, || graph.owned_accounts(since, urgency)).await.map(|found| accounts(&found));
        }
        Edge::ClientAccounts => {
            return whole(since, || graph.client_accounts(since, urgency))
                .await
                .map(|found| accounts(&found));
        }
        Edge::Account => {
            return graph.account(&account, since, urgency).await.map(|facts| self::account(&facts));
        }
        Edge::Numbers => return graph.numbers(&account, since, urgency).await.map(|list| numbers(&list)),
        Edge::SubscribedApps => {
            let is = graph.subscribed(&account, since, urgency).await?;
            return Ok(Facts::from([("subscribed", is.ours.to_string())]));
        }
        Edge::AppSubscriptions => {
            let read = graph.app_subscription().await?;
            let url = plain(read.as_ref().and_then(|live| live.callback_url.as_ref()));
            let fields: Vec<_> = read.iter().flat_map(|live| live.fields.iter().cloned()).collect();
            let active = plain(read.as_ref().and_then(|live| live.is_active.as_ref()));
            return Ok(Facts::from([
                ("callback_url", url),
                ("active", active),
                ("fields", fields.join(",")),
            ]));
        }
        Edge::Profile => {
            let read = graph.profile(&account, &number, Duration::ZERO, urgency).await?;
            return Ok(profile(&read));
        }
        Edge::Username => {
            let read = graph.username(&account, &number, Duration::ZERO, urgency).await?;
            return Ok(Facts::from([
                ("username", plain(read.name.as_ref())),
                ("status", plain(read.status.as_ref())),
            ]));
        }
        Edge::Official => {
            let read = graph.official(&account, &number, Duration::ZERO, urgency).await?;
            return Ok(Facts::from([("oba_status", read.status.to_string())]));
        }
        Edge::AddNumber => {
            let wanted = E164::parse("+5511912345678").expect("a number");
            let added = graph.add_number(&account, &wanted, "Acme Suporte").await?;
            return Ok(Facts::from([("id", plain(added.number.as_ref()))]));
        }
        Edge::RequestCode => graph.request_code(&account, &number, CodeMethod::Sms, "pt_BR").await,
        Edge::VerifyCode => graph.verify_code(&account, &number, &secret()).await,
        Edge::SubmitName => graph.submit_name(&account, &number, "Acme Neu").await,
        Edge::SetPin => graph.set_pin(&account, &number, &secret()).await,
        Edge::Register => graph.register(&account, &number, &secret()).await,
        Edge::Subscribe => graph.subscribe(&account).await,
        Edge::RouteWebhook => {
            graph.route_webhook(&account, &number, "https://bot.acme.example/wa", &secret()).await
        }
        Edge::SetAppWebhook => {
            let url = "https://bot.acme.example/wa";
            let set = graph.set_app_webhook(url, &secret(), &["messages".to_owned()]).await;
            return set.map(|()| Facts::new());
        }
        Edge::WriteProfile => {
            let fields = DesiredProfile { about: Some("We answer".into()), ..DesiredProfile::default() };
            graph.write_profile(&account, &number, &fields).await
        }
        Edge::StartUpload | Edge::SendUpload | Edge::UploadOffset | Edge::WritePicture => {
            graph.write_picture(&account, &number, &png(640, 640).into(), PictureKind::Png).await
        }
        Edge::UnrouteWebhook => graph.unroute_webhook(&account, &number).await,
        Edge::SetStorage => graph.set_storage(&account, &number, "BR").await,
        Edge::StartSync => graph.start_sync(&account, &number, AppData::Contacts).await,
        Edge::Deregister => graph.deregister(&account, &number).await,
        Edge::ClaimUsername => graph.claim_username(&account, &number, "acme.suporte", false).await,
        Edge::RequestOfficial => {
            graph.request_official(&account, &number, &OfficialApplication::default()).await
        }
    };
    done.map(|_| Facts::new())
}

fn plain(value: Option<&(impl Display + ?Sized)>) -> String {
    value.map_or_else(|| "absent".into(), ToString::to_string)
}

fn field<T>(field: &Field<T>, say: impl FnOnce(&T) -> String) -> String {
    match field {
        Field::Refused => "refused".into(),
        Field::Absent => "absent".into(),
        Field::Is(value) => say(value),
    }
}

fn word<T: Display>(value: &Field<T>) -> String {
    field(value, ToString::to_string)
}

fn token(facts: &TokenFacts) -> Facts {
    let targets = facts
        .targets
        .as_ref()
        .map(|targets| targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    Facts::from([
        ("is_valid", facts.is_valid.to_string()),
        ("type", facts.kind.to_string()),
        ("app_id", plain(facts.app.as_ref())),
        ("expires_at", plain(facts.expires_at.as_ref())),
        ("data_access_expires_at", plain(facts.data_access_expires_at.as_ref())),
        ("scopes", facts.scopes.join(" ")),
        ("target_ids", plain(targets.as_deref())),
    ])
}

fn business(facts: &BusinessFacts) -> Facts {
    Facts::from([
        ("name", plain(facts.name.as_deref())),
        ("verification_status", plain(facts.verification.as_ref())),
        ("whatsapp_business_manager_messaging_limit", plain(facts.messaging_limit.as_ref())),
        ("primary_page", plain(facts.primary_page.as_deref())),
    ])
}

fn accounts(found: &[Reachable]) -> Facts {
    let ids: Vec<String> = found.iter().map(|account| account.id.to_string()).collect();
    Facts::from([("accounts", ids.join(" "))])
}

fn account(facts: &Account) -> Facts {
    Facts::from([
        ("id", plain(facts.id.as_ref())),
        ("name", plain(facts.name.as_deref())),
        ("currency", plain(facts.currency.as_deref())),
        ("country", plain(facts.country.as_deref())),
        ("timezone_id", plain(facts.timezone_id.as_deref())),
        ("status", word(&facts.status)),
        ("account_review_status", word(&facts.review)),
        ("owner_business_info", plain(facts.owner.as_ref())),
        ("ownership_type", plain(facts.ownership_type.as_deref())),
        ("primary_funding_id", word(&facts.funding)),
        ("health_status", field(&facts.health, health)),
    ])
}

/// The number with the made-up id, and how many entries there are.
fn numbers(list: &NumberList) -> Facts {
    let id = NumberId::from(NUMBER);
    let mut facts = Facts::from([("entries", list.numbers.values().flatten().count().to_string())]);
    let found = list.numbers.values().flatten().find(|entry| entry.id == id);
    facts.extend(found.map(|entry| number(entry)).unwrap_or_default());
    facts
}

fn number(facts: &Number) -> Facts {
    Facts::from([
        ("display_phone_number", facts.display_phone_number.clone()),
        ("status", word(&facts.status)),
        ("code_verification_status", word(&facts.code)),
        ("platform_type", word(&facts.platform)),
        ("verified_name", word(&facts.verified_name)),
        ("name_status", word(&facts.name_status)),
        ("new_display_name", word(&facts.new_display_name)),
        ("new_name_status", word(&facts.new_name_status)),
        ("quality_rating", plain(facts.quality.as_ref())),
        ("throughput", plain(facts.throughput.as_ref())),
        ("whatsapp_business_manager_messaging_limit", plain(facts.messaging_limit.as_ref())),
        ("account_mode", word(&facts.account_mode)),
        ("is_official_business_account", plain(facts.is_official.as_ref())),
        ("is_on_biz_app", word(&facts.is_on_biz_app)),
        ("is_pin_enabled", word(&facts.is_pin_enabled)),
        ("health_status", field(&facts.health, health)),
        ("webhook_configuration", field(&facts.webhook, |levels| webhook(levels))),
    ])
}

/// The overall word, then each entity that has something to say, with its codes.
fn health(facts: &Health) -> String {
    let word = |sendability: &Sendability| sendability.to_string();
    let mut said = vec![word(&facts.can_send)];
    said.extend(facts.entities.iter().map(|entity| {
        let codes = entity.errors.iter().map(|error| format!(" {}", error.code));
        format!("{} {}{}", entity.kind, word(&entity.can_send), codes.collect::<String>())
    }));
    said.join("; ")
}

fn webhook(levels: &WebhookConfiguration) -> String {
    let levels = [
        ("phone_number", &levels.number),
        ("whatsapp_business_account", &levels.account),
        ("application", &levels.application),
    ];
    let said = levels.iter().filter_map(|(level, url)| Some(format!("{level} {}", url.as_ref()?)));
    said.collect::<Vec<_>>().join("; ")
}

fn profile(facts: &Profile) -> Facts {
    Facts::from([
        ("about", plain(facts.about.as_deref())),
        ("address", plain(facts.address.as_deref())),
        ("description", plain(facts.description.as_deref())),
        ("email", plain(facts.email.as_deref())),
        ("websites", facts.websites.join(" ")),
        ("vertical", plain(facts.vertical.as_deref())),
    ])
}
