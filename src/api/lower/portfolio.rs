//! A portfolio: spec → [`DesiredPortfolio`], [`PortfolioAssessment`] → status.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use kube::ResourceExt;

use super::{
    bound::{bounded, some, unique},
    condition::{conditions, conditions_from, stall, waiting, waits_for_edit},
    second::{cut, raised},
    spec::{SpecInvalid, meta_id, secret_key},
};
use crate::api::v1alpha1::{self as v1, WhatsAppPortfolio};
use crate::engine::{
    assess::portfolio::{MOST_ADOPTED, PortfolioAssessment},
    desired::{Access, DesiredAppWebhook, DesiredPortfolio},
    id::{AccountId, AppId, BusinessId, Fact},
    observed::Subscribed,
    portfolio::{AppSubscription, Reach},
};

/// Reads what a portfolio asks for.
///
/// # Errors
///
/// Names the first field that cannot be understood.
pub fn portfolio(object: &WhatsAppPortfolio) -> Result<DesiredPortfolio, SpecInvalid> {
    let spec = &object.spec;
    let app = match &spec.credentials.app_id {
        Some(id) => Some(AppId::new(meta_id("spec.credentials.appId", id)?)),
        None => None,
    };
    Ok(DesiredPortfolio {
        name: object.name_any(),
        namespace: object.namespace().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        business: BusinessId::new(meta_id("spec.businessId", &spec.business_id)?),
        access_token: secret_key(&spec.credentials.access_token_secret_ref),
        app_secret: spec.credentials.app_secret_ref.as_ref().map(secret_key),
        app,
        expect_name: spec.expect.as_ref().and_then(|e| e.name.clone()),
        expect_country: spec.expect.as_ref().and_then(|e| e.country.clone()),
        access: access(&spec.access)?,
        app_webhook: spec.app_webhook.as_ref().map(|webhook| DesiredAppWebhook {
            callback_url: webhook.callback_url.clone(),
            verify_token: secret_key(&webhook.verify_token_secret_ref),
            fields: webhook.fields.clone(),
            adopt: webhook.adopt == Some(true),
        }),
    })
}

/// Reads what a portfolio grants.
///
/// # Errors
///
/// Names an id that cannot be understood.
pub fn access(grants: &[v1::Access]) -> Result<Arc<[Access]>, SpecInvalid> {
    let one = |grant: &v1::Access| {
        let ids = |ids: &Vec<String>| ids.iter().map(|id| meta_id("spec.access.accounts", id)).collect();
        let accounts = grant.accounts.as_ref().map(ids).transpose()?;
        Ok(Access { namespaces: grant.namespaces.iter().collect(), accounts })
    };
    grants.iter().map(one).collect()
}

/// Accounts that status lists; of the others it says how many there are.
const MOST_ACCOUNTS: usize = 256;

/// The status of a portfolio. Facts that could not be read keep the value that stands in `before`.
pub fn portfolio_status(
    desired: &DesiredPortfolio,
    assessment: &PortfolioAssessment,
    channels: v1::ChannelCounts,
    before: Option<&v1::WhatsAppPortfolioStatus>,
) -> v1::WhatsAppPortfolioStatus {
    let mut shown = before.cloned().unwrap_or_default();
    let view = &assessment.view;
    shown.observed_generation = Some(desired.generation);
    if let Fact::Known(facts) = &view.facts {
        shown.name = some(facts.name.as_ref(), 512);
        shown.verification_status = facts.verification.as_ref().map(|v| bounded(v.to_string(), 64));
        shown.messaging_limit = facts.messaging_limit.as_ref().map(|limit| bounded(limit.to_string(), 64));
        shown.primary_page = some(facts.primary_page.as_ref(), 512);
    }
    if let Fact::Known(token) = &view.token {
        shown.token_type = Some(bounded(token.kind.to_string(), 64));
        shown.token_expires_at = token.expires_at.map(cut);
        shown.missing_scopes =
            assessment.missing_scopes.iter().take(32).map(|s| bounded(s.clone(), 128)).collect();
    }
    match &view.reach {
        Reach::Unread => {}
        // The others are still being read: what was listed before stands.
        Reach::Owned(_) if !shown.accounts.is_empty() => {}
        Reach::Unknown => (shown.accounts, shown.more_accounts) = (Vec::new(), None),
        Reach::Owned(list) | Reach::Accounts(list) => {
            let more = list.len().saturating_sub(MOST_ACCOUNTS);
            shown.more_accounts = u32::try_from(more).ok().filter(|more| *more > 0);
            shown.accounts = unique(
                list.iter().map(|a| v1::AccountInReach {
                    id: bounded(a.id.to_string(), 64),
                    name: a.name.as_deref().map(|name| bounded(name.to_owned(), 512)),
                    owned: a.owned,
                    apps: shown
                        .accounts
                        .iter()
                        .find(|old| old.id == a.id.as_str())
                        .and_then(|old| old.apps.clone()),
                }),
                |a| a.id.clone(),
                MOST_ACCOUNTS,
            );
        }
    }
    shown.channels = Some(channels);
    shown.throttled_until = view.throttled_until.map(raised);
    shown.waiting_for = waiting(&assessment.waiting_for);
    shown.conditions = conditions(&assessment.conditions);
    shown
}

/// Other apps that status lists for an account.
const MOST_APPS: usize = 8;

/// Which apps get the messages of an account. What is not known in this process stands as it was.
pub fn subscribed_apps(
    accounts: &mut [v1::AccountInReach],
    known: impl Fn(&AccountId) -> Option<Arc<Subscribed>>,
) {
    for account in accounts {
        let Some(apps) = known(&AccountId::new(account.id.clone())) else { continue };
        let more = apps.others.len().saturating_sub(MOST_APPS);
        account.apps = Some(v1::SubscribedApps {
            ours: apps.ours,
            others: unique(
                apps.others.iter().map(|app| v1::OtherApp {
                    id: bounded(app.id.to_string(), 64),
                    name: app.name.as_deref().map(|name| bounded(name.to_owned(), 128)),
                }),
                |app| app.id.clone(),
                MOST_APPS,
            ),
            more_others: u32::try_from(more).ok().filter(|more| *more > 0),
            override_url: apps.override_url.as_deref().map(|url| bounded(url.to_owned(), 1024)),
        });
    }
}

/// The app's own webhook, as it was read for a generation of the spec.
pub fn app_webhook(
    live: Option<&AppSubscription>,
    read_for: i64,
    before: Option<&v1::AppWebhookSeen>,
) -> v1::AppWebhookSeen {
    let fields = live.into_iter().flat_map(|live| &live.fields);
    // An edit is a new word.
    let adopted =
        before.filter(|before| before.read_for == Some(read_for)).map(|before| before.adopted.clone());
    v1::AppWebhookSeen {
        read_for: Some(read_for),
        callback_url: some(live.and_then(|live| live.callback_url.as_ref()), 1024),
        active: live.and_then(|live| live.is_active),
        fields: fields.take(64).map(|field| bounded(field.clone(), 64)).collect(),
        written: before.map(|before| before.written.clone()).unwrap_or_default(),
        adopting: before.and_then(|before| before.adopting.clone()),
        adopted: adopted.unwrap_or_default(),
    }
}

/// Addresses that are remembered as this object's.
const MOST_WRITTEN: usize = 4;

/// The same, with an address that is about to be written. It comes last; the oldest goes.
pub fn with_written(mut seen: v1::AppWebhookSeen, url: &str) -> v1::AppWebhookSeen {
    note(&mut seen.written, url, MOST_WRITTEN);
    seen
}

/// The same, once Meta shows what was written: what was replaced by that is not replaced again.
pub fn with_adopted(mut seen: v1::AppWebhookSeen) -> v1::AppWebhookSeen {
    if let Some(url) = seen.adopting.take() {
        note(&mut seen.adopted, &url, MOST_ADOPTED);
    }
    seen
}

fn note(list: &mut Vec<String>, url: &str, most: usize) {
    list.retain(|noted| noted != url);
    list.push(url.to_owned());
    let surplus = list.len().saturating_sub(most);
    list.drain(..surplus);
}

/// What Meta refuses to the app, as status shows it after `before`: of types of which nothing was read yet, that stands.
pub fn refused_fields(
    before: &[String],
    refused: &BTreeMap<&'static str, BTreeSet<&'static str>>,
) -> Vec<String> {
    let is_open = |shown: &&String| shown.split('.').next().is_none_or(|node| !refused.contains_key(node));
    let known =
        refused.iter().flat_map(|(node, fields)| fields.iter().map(move |field| format!("{node}.{field}")));
    let all: BTreeSet<String> = before.iter().filter(is_open).cloned().chain(known).collect();
    all.into_iter().take(64).map(|field| bounded(field, 128)).collect()
}

/// The status of a portfolio whose spec cannot be understood.
pub fn portfolio_refused(
    object: &WhatsAppPortfolio,
    why: &SpecInvalid,
    now: Timestamp,
) -> v1::WhatsAppPortfolioStatus {
    let generation = object.metadata.generation.unwrap_or_default();
    let mut shown = object.status.clone().unwrap_or_default();
    let mut set = conditions_from(&shown.conditions);
    stall(&mut set, why, generation, now);
    shown.observed_generation = Some(generation);
    shown.conditions = conditions(&set);
    shown.waiting_for = waits_for_edit(&shown.waiting_for, now);
    shown
}
