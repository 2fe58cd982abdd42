//! The page of a portfolio: credentials, accounts in reach, and who has to act.

use jiff::Timestamp;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::{
    channel::{MANAGER, seen},
    connect::{ClusterArgs, call, connect},
    exit::Problem,
    render::{Printed, Text, Tone, Words, paint, when},
    status::{self, Line},
};
use crate::api::v1alpha1::{
    AccountInReach, AppWebhookSeen, ChannelCounts, WaitingFor, WhatsAppPortfolio, WhatsAppPortfolioStatus,
};
use crate::engine::{condition_type::ConditionType, word::Vocabulary};

/// One portfolio by name.
pub struct Portfolio {
    name: String,
    pub namespace: String,
    api: Api<WhatsAppPortfolio>,
}

/// What there is to say about a portfolio.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Its name.
    name: String,
    /// Its namespace.
    namespace: String,
    /// Id of the business portfolio.
    business_id: String,
    /// Its name at Meta.
    #[serde(skip_serializing_if = "Option::is_none")]
    business_name: Option<String>,
    /// The status speaks of an older version of the spec.
    outdated: bool,
    /// The condition `Ready`; absent where no operator has seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<Line>,
    /// Who has to act, as in status.
    waiting_for: Vec<WaitingFor>,
    /// Every condition.
    conditions: Vec<Line>,
    /// Whether Meta verified the business, in its own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_status: Option<String>,
    /// How many people its numbers may write to in a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    messaging_limit: Option<String>,
    /// Type of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<String>,
    /// When the token ends; absent for one that does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    token_expires_at: Option<Timestamp>,
    /// Permissions that the token lacks.
    missing_scopes: Vec<String>,
    /// Fields that Meta refuses to the token's app.
    refused_fields: Vec<String>,
    /// Accounts in reach, as in status.
    accounts: Vec<AccountInReach>,
    /// How many more are in reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_accounts: Option<u32>,
    /// The app's own webhook, as in status.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_webhook: Option<AppWebhookSeen>,
    /// Its channels by state, as in status.
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<ChannelCounts>,
    /// Until when Meta wants no calls of the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    throttled_until: Option<Timestamp>,
}

impl Printed for Report {
    const KIND: &'static str = "PortfolioStatus";
}

impl Portfolio {
    /// The portfolio of that name; it is not read yet.
    ///
    /// # Errors
    ///
    /// When there is no cluster.
    pub async fn open(name: &str, args: &ClusterArgs) -> Result<Self, Problem> {
        let (client, namespace) = connect(args).await?;
        Ok(Self { name: name.to_owned(), api: Api::namespaced(client, &namespace), namespace })
    }

    /// As it stands.
    ///
    /// # Errors
    ///
    /// When it is not there or cannot be read.
    pub async fn read(&self) -> Result<WhatsAppPortfolio, Problem> {
        let what = format!("read portfolio {} in namespace {}", self.name, self.namespace);
        call(&what, self.api.get(&self.name)).await
    }

    /// Sets one annotation, and nothing else.
    ///
    /// # Errors
    ///
    /// When it is not there or may not be written.
    pub async fn annotate(&self, key: &str, value: &str) -> Result<(), Problem> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
        let what = format!("annotate portfolio {} in namespace {}", self.name, self.namespace);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        call(&what, self.api.patch(&self.name, &params, &patch)).await.map(|_| ())
    }
}

const RETRY: &str = "kubectl whatsapp retry ";

/// Gathers what there is to say.
pub fn report(object: &WhatsAppPortfolio, namespace: &str) -> Report {
    let nothing = WhatsAppPortfolioStatus::default();
    let status = object.seen().unwrap_or(&nothing);
    let name = object.metadata.name.clone().unwrap_or_default();
    let line = |kind| {
        let mut line = Line::new(kind, &seen(&status.conditions, kind)?, &name, namespace);
        // Channels have some of these reasons too, and `retry` takes channels only.
        line.remedy = line.remedy.map(|told| told.replace(RETRY, "kubectl whatsapp reconcile portfolio/"));
        Some(line)
    };
    Report {
        name: name.clone(),
        namespace: namespace.to_owned(),
        business_id: object.spec.business_id.clone(),
        business_name: status.name.clone(),
        outdated: object.seen().is_some() && status.observed_generation != object.metadata.generation,
        ready: line(ConditionType::Ready),
        waiting_for: status.waiting_for.clone(),
        conditions: ConditionType::ALL.iter().filter_map(|kind| line(*kind)).collect(),
        verification_status: status.verification_status.clone(),
        messaging_limit: status.messaging_limit.clone(),
        token_type: status.token_type.clone(),
        token_expires_at: status.token_expires_at,
        missing_scopes: status.missing_scopes.clone(),
        refused_fields: status.refused_fields.clone(),
        accounts: status.accounts.clone(),
        more_accounts: status.more_accounts,
        app_webhook: status.app_webhook.clone(),
        channels: status.channels,
        throttled_until: status.throttled_until,
    }
}

/// The page.
pub fn text(report: &Report, now: Timestamp) -> Text {
    let mut text = Text::new();
    let object = paint(Tone::Strong, format!("portfolio {}/{}", report.namespace, report.name));
    let business = report.business_name.as_deref().unwrap_or_default();
    text.line(object + "  " + &report.business_id + "  " + business);
    status::cause(report.ready.as_ref(), "", None, &mut text, now);
    status::outdated(report.outdated, &mut text);
    status::waits(&report.waiting_for, &mut text, now);
    status::conditions(&report.conditions, &mut text, now);
    let list = |words: &[String]| (!words.is_empty()).then(|| words.join(", "));
    let channels = report.channels.as_ref().map(|counts| {
        let all = [(counts.total, "in all"), (counts.ready, "Ready"), (counts.stalled, "Stalled")];
        all.map(|(count, word)| format!("{count} {word}")).join(", ")
    });
    let rows: Vec<[Words; 2]> = [
        ("verification", report.verification_status.clone()),
        ("messaging limit", report.messaging_limit.clone()),
        ("token", report.token_type.clone()),
        ("token ends", report.token_expires_at.map(|end| when(end, now))),
        ("missing scopes", list(&report.missing_scopes)),
        ("refused fields", list(&report.refused_fields)),
        ("app webhook", report.app_webhook.as_ref().and_then(|webhook| webhook.callback_url.clone())),
        ("no calls until", report.throttled_until.map(|end| when(end, now))),
        ("channels", channels),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some([paint(Tone::Faint, name), value?.into()]))
    .collect();
    if !rows.is_empty() {
        text.section("What Meta says").table(&rows);
    }
    if !report.accounts.is_empty() {
        let rows: Vec<[Words; 4]> = report
            .accounts
            .iter()
            .map(|account| {
                let owned = match account.owned {
                    Some(true) => "owned",
                    Some(false) => "shared",
                    None => "",
                };
                let others = account.apps.as_ref().and_then(status::others);
                let others = others.map(|others| format!("other apps: {others}")).unwrap_or_default();
                let name = account.name.as_deref().unwrap_or_default();
                [(&account.id).into(), name.into(), owned.into(), others.into()]
            })
            .collect();
        text.section("Accounts in reach").table(&rows);
        if let Some(more) = report.more_accounts {
            text.indent(2, format!("and {more} more"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_of_a_portfolio_names_it_and_gives_consent_to_no_channel() {
        let told = |reason: &str| {
            let condition = json!({"type": "Ready", "status": "False", "reason": reason, "message": "told", "lastTransitionTime": "2026-03-01T12:00:00Z"});
            let object: WhatsAppPortfolio = serde_json::from_value(json!({
                "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppPortfolio",
                "metadata": {"name": "acme", "namespace": "shop"},
                "spec": {"businessId": "1", "credentials": {"accessTokenSecretRef": {"name": "t", "key": "t"}}},
                "status": {"conditions": [condition]},
            }))
            .expect("a portfolio");
            report(&object, "shop").ready.and_then(|ready| ready.remedy).unwrap_or_default()
        };
        let mismatch = told("IdentityMismatch");
        assert!(mismatch.contains("kubectl whatsapp reconcile portfolio/acme -n shop"), "{mismatch}");
        assert!(!mismatch.contains("retry"), "{mismatch}");
        assert!(!told("TokenInvalid").is_empty());
    }
}
