//! Lowering: spec → [`Desired`], status ↔ [`Memory`] and [`Before`], [`Assessment`] → status.
//!
//! The only place where strings of the API meet the engine's enums. Defaults are decided here and never
//! written back. What is written into a status is bounded here by the lengths of the schema, because a
//! status that is too long would be refused as a whole, the ledger with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition as KubeCondition, Time},
    jiff::Timestamp as KubeTimestamp,
};
use kube::ResourceExt;

use crate::api::v1alpha1::{self as v1, WhatsAppChannel, WhatsAppChannelStatus, WhatsAppPortfolio};
use crate::engine::{
    action::Actor,
    assess::portfolio::PortfolioAssessment,
    condition::{Condition, ConditionSet, Truth},
    condition_type::ConditionType,
    desired::{
        Access, CodeRequest, Connection, Desired, DesiredConsents, DesiredPortfolio, DesiredProfile,
        Management, PinPolicy, PortfolioRef, ReadyWhen, Registration, SecretKey, Verification,
        VerificationMethod, Webhook, WhileNameInReview,
    },
    drift::Drift,
    failure::Refusal,
    id::{AccountId, AppId, BusinessId, Fact, NumberId},
    memory::{ConsentAnswer, ConsentKind, Entry, Intent, Ledger, Marks, Memory, Pace},
    observed::WebhookConfiguration,
    phone::E164,
    portfolio::Reach,
    reason::Reason,
    secret::SecretVersion,
    status::{Assessment, Before, Check, Facts, Stage, Verdict, WaitingFor},
    step::Cause,
};

/// The API group.
pub const GROUP: &str = "whatsapp-operator.dev";
/// Who owns the fields that the operator writes.
pub const FIELD_MANAGER: &str = "whatsapp-operator";
/// Consent: send a code.
pub const SEND_CODE: &str = "whatsapp-operator.dev/send-code";
/// Consent: one more attempt of what waits for a person.
pub const RETRY: &str = "whatsapp-operator.dev/retry";
/// Consent: look now.
pub const RECONCILE: &str = "whatsapp-operator.dev/reconcile";
/// Label that lets a Secret be sent to a webhook's URL.
pub const USE_LABEL: &str = "whatsapp-operator.dev/use";
/// The value of that label.
pub const USE_VERIFY_TOKEN: &str = "verify-token";

/// Characters of a consent's value that count; the rest is dropped, so two values that differ only behind
/// them are one value.
pub const CONSENT_LENGTH: usize = 256;

/// Language of codes when the spec names none.
const DEFAULT_LANGUAGE: &str = "en_US";

/// A spec that asks for something impossible. The schema refuses all of these; an object stored under an
/// older schema, or read from a file, may still hold one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}; {remedy}")]
pub struct SpecInvalid {
    /// Path of the field, `spec.phoneNumber`.
    pub field: &'static str,
    /// What is wrong with the value.
    pub problem: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Reads what a channel asks for.
///
/// # Errors
///
/// Names the first field that cannot be understood.
pub fn channel(object: &WhatsAppChannel) -> Result<Desired, SpecInvalid> {
    let spec = &object.spec;
    let name = object.name_any();
    let namespace = object.namespace().unwrap_or_default();
    let number = E164::parse(&spec.phone_number).map_err(|why| SpecInvalid {
        field: "spec.phoneNumber",
        problem: why.to_string(),
        remedy: "re-create the channel with the number in the form \"+5511912345678\"",
    })?;
    display_name(&spec.display_name)?;
    let account = match &spec.account_id {
        Some(id) => Some(AccountId::new(meta_id("spec.accountId", id)?)),
        None => None,
    };
    let verification = spec.verification.clone().unwrap_or_default();
    let registration = spec.registration.clone().unwrap_or_default();
    let webhook = match &spec.webhook {
        Some(webhook) => Some(Webhook {
            callback_url: https(&webhook.callback_url)?,
            verify_token: secret_key(&webhook.verify_token_secret_ref),
        }),
        None => None,
    };
    let code_secret = verification
        .code_secret_ref
        .as_ref()
        .map_or_else(|| SecretKey { name: format!("{name}-code"), key: "code".into() }, secret_key);
    let pin_secret = registration
        .pin_secret_ref
        .as_ref()
        .map_or_else(|| SecretKey { name: format!("{name}-pin"), key: "pin".into() }, secret_key);
    if code_secret == pin_secret {
        return Err(SpecInvalid {
            field: "spec.verification.codeSecretRef",
            problem: format!(
                "and spec.registration.pinSecretRef are both the key {} of the Secret {}, one of them perhaps as its default",
                code_secret.key, code_secret.name
            ),
            remedy: "keep the code and the PIN apart",
        });
    }
    Ok(Desired {
        uid: object.uid().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        portfolio: PortfolioRef {
            namespace: spec.portfolio_ref.namespace.as_ref().unwrap_or(&namespace).as_str().into(),
            name: spec.portfolio_ref.name.as_str().into(),
        },
        account,
        number,
        display_name: spec.display_name.clone(),
        connection: match spec.connection {
            None | Some(v1::Connection::CloudApi) => Connection::CloudApi,
            Some(v1::Connection::Coexistence) => Connection::Coexistence,
        },
        verification: Verification {
            method: match verification.method {
                None | Some(v1::VerificationMethod::Auto) => VerificationMethod::Auto,
                Some(v1::VerificationMethod::Sms) => VerificationMethod::Sms,
                Some(v1::VerificationMethod::Voice) => VerificationMethod::Voice,
            },
            language: verification.language.unwrap_or_else(|| DEFAULT_LANGUAGE.into()),
            request: match verification.request {
                None | Some(v1::CodeRequest::OnDemand) => CodeRequest::OnDemand,
                Some(v1::CodeRequest::Automatic) => CodeRequest::Automatic,
            },
            code_secret,
        },
        registration: Registration {
            pin_secret,
            pin_policy: match registration.pin_policy {
                None | Some(v1::PinPolicy::Keep) => PinPolicy::Keep,
                Some(v1::PinPolicy::Overwrite) => PinPolicy::Overwrite,
            },
            while_name_in_review: match registration.while_name_in_review {
                None | Some(v1::WhileNameInReview::TryOnce) => WhileNameInReview::TryOnce,
                Some(v1::WhileNameInReview::Wait) => WhileNameInReview::Wait,
            },
        },
        profile: spec.profile.as_ref().map(profile).unwrap_or_default(),
        time_zone: spec.time_zone.clone(),
        webhook,
        ready_when: match spec.ready_when {
            None | Some(v1::ReadyWhen::Registered) => ReadyWhen::Registered,
            Some(v1::ReadyWhen::NameApproved) => ReadyWhen::NameApproved,
            Some(v1::ReadyWhen::FullyVerified) => ReadyWhen::FullyVerified,
        },
        management: match spec.management_policy {
            None | Some(v1::ManagementPolicy::Full) => Management::Full,
            Some(v1::ManagementPolicy::ObserveOnly) => Management::ObserveOnly,
        },
        suspend: spec.suspend.unwrap_or(false),
        consents: consents(object.annotations()),
        name,
        namespace,
    })
}

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
    let mut access = Vec::with_capacity(spec.access.len());
    for grant in &spec.access {
        let accounts = match &grant.accounts {
            None => None,
            Some(ids) => Some(
                ids.iter()
                    .map(|id| meta_id("spec.access.accounts", id).map(AccountId::new))
                    .collect::<Result<Vec<_>, _>>()?,
            ),
        };
        access.push(Access { namespaces: grant.namespaces.clone(), accounts });
    }
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
        access,
    })
}

fn meta_id<'a>(field: &'static str, id: &'a str) -> Result<&'a str, SpecInvalid> {
    if (5..=32).contains(&id.len()) && !id.starts_with('0') && id.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(id);
    }
    Err(SpecInvalid {
        field,
        problem: "is not an id of Meta's: 5 to 32 digits and nothing else".into(),
        remedy: "copy the id from Meta's business settings",
    })
}

/// As the rule `trimmed` of the schema has it: what it takes must not stall here.
fn display_name(name: &str) -> Result<(), SpecInvalid> {
    let length = name.chars().count();
    let invalid = |problem: String, remedy| Err(SpecInvalid { field: "spec.displayName", problem, remedy });
    if !(3..=75).contains(&length) {
        return invalid(format!("has {length} characters"), "choose a name of 3 to 75 characters");
    }
    if name.contains(['\r', '\n']) || name.starts_with([' ', '\t']) || name.ends_with([' ', '\t']) {
        return invalid("has blanks at its ends, or a line break".into(), "remove them");
    }
    Ok(())
}

/// As the rule `callback_url` of the schema has it: what it takes must not stall here.
fn https(url: &str) -> Result<String, SpecInvalid> {
    if url.strip_prefix("https://").is_some_and(is_full_address) {
        return Ok(url.to_owned());
    }
    Err(SpecInvalid {
        field: "spec.webhook.callbackUrl",
        problem:
            "is not a full https:// address without user, password and '#', with a port of at most 65535"
                .into(),
        remedy: "write it as in https://bot.acme.example/wa",
    })
}

/// What follows the scheme: a host, perhaps a port, and a path or a query.
fn is_full_address(rest: &str) -> bool {
    let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let of_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let is_host = edge(host.as_bytes().first()) && edge(host.as_bytes().last()) && host.bytes().all(of_host);
    let is_port = |port: &str| {
        (1..=5).contains(&port.len())
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok()
    };
    is_host && port.is_none_or(is_port) && !tail.contains([' ', '#', '\t', '\r', '\n'])
}

fn secret_key(reference: &v1::SecretKeyRef) -> SecretKey {
    SecretKey { name: reference.name.clone(), key: reference.key.clone() }
}

fn profile(profile: &v1::Profile) -> DesiredProfile {
    DesiredProfile {
        about: profile.about.clone(),
        address: profile.address.clone(),
        description: profile.description.clone(),
        email: profile.email.clone(),
        websites: profile.websites.clone(),
        vertical: profile.vertical.map(|v| v.as_str().to_owned()),
    }
}

/// Reads the consent annotations; an empty value is none.
pub fn consents(annotations: &BTreeMap<String, String>) -> DesiredConsents {
    let value = |key: &str| {
        annotations.get(key).filter(|v| !v.is_empty()).map(|v| bounded(v.clone(), CONSENT_LENGTH))
    };
    DesiredConsents { send_code: value(SEND_CODE), retry: value(RETRY), reconcile: value(RECONCILE) }
}

/// Cuts a text to a number of characters, as the schema counts them.
fn bounded(mut text: String, most: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(most) {
        text.truncate(at);
    }
    text
}

fn some(text: &Option<String>, most: usize) -> Option<String> {
    text.clone().map(|t| bounded(t, most))
}

/// The newest entries of a list.
fn newest<T>(mut list: Vec<T>, most: usize) -> Vec<T> {
    if list.len() > most {
        list.drain(..list.len() - most);
    }
    list
}

/// The newest entries of a map of times.
fn newest_times(map: &BTreeMap<String, Timestamp>, most: usize) -> BTreeMap<String, Timestamp> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(_, at)| **at);
    newest(entries, most).into_iter().map(|(k, at)| (k.clone(), *at)).collect()
}

/// Drops entries whose key was there before; the API server refuses a list that has one twice.
fn unique<T>(list: impl Iterator<Item = T>, key: impl Fn(&T) -> String, most: usize) -> Vec<T> {
    let mut seen = BTreeSet::new();
    list.filter(|entry| seen.insert(key(entry))).take(most).collect()
}

// ---- status → engine ----

/// What the engine remembers of a channel.
pub fn memory(object: &WhatsAppChannel) -> Memory {
    object.status.as_ref().map(memory_of).unwrap_or_default()
}

/// What a status remembers.
pub fn memory_of(status: &WhatsAppChannelStatus) -> Memory {
    let mut answers = BTreeMap::new();
    if let Some(consents) = &status.consents {
        for (kind, answer) in [
            (ConsentKind::SendCode, &consents.send_code),
            (ConsentKind::Retry, &consents.retry),
            (ConsentKind::Reconcile, &consents.reconcile),
        ] {
            if let Some(answer) = answer {
                answers.insert(
                    kind,
                    ConsentAnswer {
                        value: answer.value.clone(),
                        at: answer.at,
                        used_for: answer.used_for,
                        refused: answer.refused.clone(),
                    },
                );
            }
        }
    }
    Memory {
        business: status.business_id.as_deref().map(BusinessId::from),
        account: status.account_id.as_deref().map(AccountId::from),
        number: status.phone_number_id.as_deref().map(NumberId::from),
        ledger: status.ledger.as_ref().map(ledger_from).unwrap_or_default(),
        in_flight: status.in_flight.as_ref().map(|i| Intent {
            id: i.id.clone(),
            step: i.step,
            reason: i.reason.clone(),
            started_at: i.started_at,
            send_before: i.send_before,
            settle_until: i.settle_until,
            generation: i.generation,
            subject: i.subject.clone(),
            absent_before: i.absent_before,
        }),
        consents: answers,
        marks: status.marks.as_ref().map(marks_from).unwrap_or_default(),
        since: status.since.clone(),
    }
}

fn ledger_from(ledger: &v1::Ledger) -> Ledger {
    let entries = |list: &[v1::Entry]| list.iter().map(entry_from).collect();
    Ledger {
        registrations: entries(&ledger.registrations),
        codes: entries(&ledger.codes),
        verifications: entries(&ledger.verifications),
        names: entries(&ledger.names),
        adds: entries(&ledger.adds),
        pins: entries(&ledger.pins),
        repeatable: ledger
            .repeatable
            .iter()
            .map(|(step, pace)| {
                (
                    *step,
                    Pace {
                        generation: pace.generation,
                        secret: pace.secret.as_ref().map(version_from),
                        failed: pace.failed,
                        accepted: pace.accepted,
                        last: pace.last,
                        settle_until: pace.settle_until,
                        held_until: pace.held_until,
                        refusal: pace.refusal.as_ref().map(refusal_from),
                    },
                )
            })
            .collect(),
    }
}

fn entry_from(entry: &v1::Entry) -> Entry {
    let consent = || entry.consent.clone().unwrap_or_default();
    Entry {
        id: entry.id.clone(),
        at: entry.at,
        outcome: entry.outcome,
        cause: match entry.cause {
            v1::Cause::Automatic => Cause::Automatic,
            v1::Cause::SendCode => Cause::SendCode(consent()),
            v1::Cause::Retry => Cause::Retry(consent()),
            v1::Cause::Secret => Cause::Secret,
        },
        subject: entry.subject.clone(),
        settle_until: entry.settle_until,
        secret_before: entry.secret_before.as_ref().map(version_from),
        refusal: entry.refusal.as_ref().map(refusal_from),
    }
}

fn version_from(version: &v1::SecretVersion) -> SecretVersion {
    SecretVersion { uid: version.uid.clone(), resource_version: version.resource_version.clone() }
}

fn refusal_from(refusal: &v1::Refusal) -> Refusal {
    Refusal {
        code: refusal.code,
        subcode: refusal.subcode,
        title: refusal.title.clone(),
        message: refusal.message.clone(),
        trace_id: refusal.trace_id.clone(),
        class: refusal.class,
        scope: refusal.scope,
        until: refusal.until,
    }
}

fn marks_from(marks: &v1::Marks) -> Marks {
    Marks {
        added: marks.added,
        adopted: marks.adopted,
        automatic_code_used: marks.automatic_code_used,
        reverify_required: marks.reverify_required,
        proof_lapsed: marks.proof_lapsed,
        pin_set: marks.pin_set,
        registered: marks.registered,
        seen_registered: marks.seen_registered,
        missing_since: marks.missing_since,
        fell_back_since: marks.fell_back_since,
        tried_in_review: marks.tried_in_review.clone(),
        declined: marks.declined.clone(),
        on_phone: marks.on_phone,
    }
}

/// What a channel showed before this pass.
///
/// A condition, stage, actor or verdict that this version does not know (written by a newer one) is left
/// out: the pass judges it anew.
pub fn before(object: &WhatsAppChannel) -> Before {
    let Some(status) = &object.status else { return Before::default() };
    Before {
        observed_generation: status.observed_generation,
        conditions: conditions_from(&status.conditions),
        facts: facts_from(status),
        stage: status.stage.as_deref().and_then(stage_from),
        waiting_for: waiting_from(&status.waiting_for),
        preflight: status
            .preflight
            .iter()
            .filter_map(|c| {
                Some(Check {
                    item: interned(&c.item)?,
                    verdict: verdict_from(&c.verdict)?,
                    message: c.message.clone(),
                })
            })
            .collect(),
        drift: status
            .drift
            .iter()
            .map(|d| Drift {
                field: d.field.clone(),
                desired: d.desired.clone(),
                observed: d.observed.clone(),
                action: d.action.clone(),
            })
            .collect(),
    }
}

/// Conditions as the engine has them.
pub fn conditions_from(list: &[KubeCondition]) -> ConditionSet {
    let mut set = ConditionSet::default();
    for c in list {
        let (Some(kind), Some(status), Some(reason)) =
            (condition_type(&c.type_), truth_from(&c.status), Reason::from_name(&c.reason))
        else {
            continue;
        };
        set.set(Condition {
            kind,
            status,
            reason,
            message: c.message.clone(),
            since: whole_seconds(c.last_transition_time.0),
            observed_generation: c.observed_generation.unwrap_or_default(),
        });
    }
    set
}

fn condition_type(name: &str) -> Option<ConditionType> {
    ConditionType::CHANNEL
        .into_iter()
        .chain([ConditionType::CredentialsValid, ConditionType::IdentityConfirmed])
        .find(|kind| kind.as_str() == name)
}

fn truth_from(word: &str) -> Option<Truth> {
    [Truth::True, Truth::False, Truth::Unknown].into_iter().find(|t| t.as_str() == word)
}

/// A word of status as the engine has it.
pub fn stage_from(word: &str) -> Option<Stage> {
    [
        Stage::Pending,
        Stage::Adding,
        Stage::Verifying,
        Stage::NameReview,
        Stage::Registering,
        Stage::Configuring,
        Stage::Ready,
        Stage::Stalled,
        Stage::Suspended,
    ]
    .into_iter()
    .find(|stage| stage.as_str() == word)
}

fn verdict_from(word: &str) -> Option<Verdict> {
    [Verdict::Pass, Verdict::Warn, Verdict::Fail, Verdict::NotCheckable]
        .into_iter()
        .find(|verdict| verdict.as_str() == word)
}

/// Waits as the engine has them.
pub fn waiting_from(list: &[v1::WaitingFor]) -> Vec<WaitingFor> {
    list.iter()
        .filter_map(|w| {
            Some(WaitingFor {
                actor: Actor::from_name(&w.actor)?,
                action: w.action.clone(),
                since: w.since,
                expected_by: w.expected_by,
                url: w.url.clone(),
                if_ignored: w.if_ignored.clone(),
            })
        })
        .collect()
}

fn facts_from(status: &WhatsAppChannelStatus) -> Facts {
    let shown = status.facts.clone().unwrap_or_default();
    Facts {
        business: shown.business_id.as_ref().or(status.business_id.as_ref()).map(|id| id.as_str().into()),
        account: shown.account_id.as_ref().or(status.account_id.as_ref()).map(|id| id.as_str().into()),
        number: shown
            .phone_number_id
            .as_ref()
            .or(status.phone_number_id.as_ref())
            .map(|id| id.as_str().into()),
        verified_name: shown.verified_name,
        name_status: shown.name_status,
        name_since: shown.name_since,
        new_display_name: shown.new_display_name,
        new_name_status: shown.new_name_status,
        code_status: shown.code_status,
        status: shown.status,
        status_since: shown.status_since,
        platform: shown.platform,
        quality: shown.quality,
        throughput: shown.throughput,
        messaging_limit: shown.messaging_limit,
        health: shown.health,
        webhook: shown.webhook.map(|w| WebhookConfiguration {
            number: w.number,
            account: w.account,
            application: w.application,
        }),
        is_official: shown.official,
        last_refusal: shown.last_refusal.as_ref().map(refusal_from),
    }
}

/// Most distinct names of checks that one process reads back.
const MOST_ITEMS: usize = 128;

/// Names of checks are constants in the engine; one read back from a status becomes one here. Bounded, so
/// that nobody who may write a status can make the process grow.
fn interned(item: &str) -> Option<&'static str> {
    static ITEMS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut items = ITEMS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = items.get(item) {
        return Some(known);
    }
    if item.len() > 64 || items.len() >= MOST_ITEMS {
        return None;
    }
    let item: &'static str = Box::leak(item.to_owned().into_boxed_str());
    items.insert(item);
    Some(item)
}

// ---- engine → status ----

/// The status that a pass writes: what it means, and what is to be remembered.
///
/// `before` is the status that stands; an assessment that proves nothing about a newer generation keeps
/// its `observedGeneration`.
pub fn status(
    assessment: &Assessment,
    memory: &Memory,
    before: Option<&WhatsAppChannelStatus>,
) -> WhatsAppChannelStatus {
    let shown = WhatsAppChannelStatus {
        observed_generation: assessment
            .observed_generation
            .or_else(|| before.and_then(|b| b.observed_generation)),
        stage: Some(assessment.stage.as_str().to_owned()),
        waiting_for: waiting(&assessment.waiting_for),
        preflight: unique(
            assessment.preflight.iter().map(|c| v1::Check {
                item: bounded(c.item.to_owned(), 64),
                verdict: c.verdict.as_str().to_owned(),
                message: bounded(c.message.clone(), 2048),
            }),
            |c| c.item.clone(),
            64,
        ),
        drift: unique(
            assessment.drift.iter().map(|d| v1::Drift {
                field: bounded(d.field.clone(), 128),
                desired: bounded(d.desired.clone(), 1024),
                observed: bounded(d.observed.clone(), 1024),
                action: bounded(d.action.clone(), 1024),
            }),
            |d| d.field.clone(),
            64,
        ),
        facts: facts(&assessment.facts, memory),
        conditions: conditions(&assessment.conditions),
        ..WhatsAppChannelStatus::default()
    };
    with_memory(&shown, memory)
}

/// The same status with another memory: what an intent writes, and what a merged outcome writes.
pub fn with_memory(shown: &WhatsAppChannelStatus, memory: &Memory) -> WhatsAppChannelStatus {
    WhatsAppChannelStatus {
        business_id: memory.business.as_ref().map(|id| bounded(id.to_string(), 64)),
        account_id: memory.account.as_ref().map(|id| bounded(id.to_string(), 64)),
        phone_number_id: memory.number.as_ref().map(|id| bounded(id.to_string(), 64)),
        ledger: non_empty(ledger(&memory.ledger)),
        in_flight: memory.in_flight.as_ref().map(|i| v1::InFlight {
            id: bounded(i.id.clone(), 128),
            step: i.step,
            reason: bounded(i.reason.clone(), 1024),
            started_at: i.started_at,
            send_before: i.send_before,
            settle_until: i.settle_until,
            generation: i.generation,
            subject: some(&i.subject, 512),
            absent_before: i.absent_before,
        }),
        consents: non_empty(v1::Consents {
            send_code: memory.consents.get(&ConsentKind::SendCode).map(answer),
            retry: memory.consents.get(&ConsentKind::Retry).map(answer),
            reconcile: memory.consents.get(&ConsentKind::Reconcile).map(answer),
        }),
        marks: non_empty(marks(&memory.marks)),
        since: newest_times(&memory.since, 64),
        ..shown.clone()
    }
}

/// The status of a channel whose spec cannot be understood: stalled, everything else as it stands.
pub fn refused(object: &WhatsAppChannel, why: &SpecInvalid, now: Timestamp) -> WhatsAppChannelStatus {
    let generation = object.metadata.generation.unwrap_or_default();
    let mut shown = object.status.clone().unwrap_or_default();
    let mut set = conditions_from(&shown.conditions);
    stall(&mut set, why, generation, now);
    shown.observed_generation = Some(generation);
    shown.stage = Some(Stage::Stalled.as_str().to_owned());
    shown.conditions = conditions(&set);
    shown.waiting_for = waits_for_edit(&shown.waiting_for, now);
    shown
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

/// Only an edit ends it, whatever was waited for before.
fn waits_for_edit(before: &[v1::WaitingFor], now: Timestamp) -> Vec<v1::WaitingFor> {
    let asks = Reason::SpecInvalid.asks().into_iter();
    asks.map(|asks| {
        let action = asks.action.as_str();
        v1::WaitingFor {
            actor: asks.action.actor().as_str().to_owned(),
            action: action.to_owned(),
            since: before.iter().find(|w| w.action == action).map_or(now, |w| w.since),
            expected_by: None,
            url: None,
            if_ignored: None,
        }
    })
    .collect()
}

fn stall(set: &mut ConditionSet, why: &SpecInvalid, generation: i64, now: Timestamp) {
    set.remove(ConditionType::Reconciling);
    for (kind, status) in [(ConditionType::Ready, Truth::False), (ConditionType::Stalled, Truth::True)] {
        set.set(Condition {
            kind,
            status,
            reason: Reason::SpecInvalid,
            message: why.to_string(),
            since: now,
            observed_generation: generation,
        });
    }
}

fn non_empty<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// Conditions as Kubernetes has them. Times are cut to whole seconds, as the API server keeps them: a
/// status that differed in a fraction would be written again and again.
pub fn conditions(set: &ConditionSet) -> Vec<KubeCondition> {
    set.iter()
        .map(|c| KubeCondition {
            type_: c.kind.as_str().to_owned(),
            status: c.status.as_str().to_owned(),
            reason: c.reason.as_str().to_owned(),
            message: bounded(c.message.clone(), 8192),
            last_transition_time: Time(whole_seconds(c.since)),
            observed_generation: Some(c.observed_generation),
        })
        .collect()
}

fn whole_seconds(at: Timestamp) -> KubeTimestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Waits as the API has them, at most one for each action.
pub fn waiting(list: &[WaitingFor]) -> Vec<v1::WaitingFor> {
    unique(
        list.iter().map(|w| v1::WaitingFor {
            actor: w.actor.as_str().to_owned(),
            action: bounded(w.action.clone(), 64),
            since: w.since,
            expected_by: w.expected_by,
            url: some(&w.url, 1024),
            if_ignored: some(&w.if_ignored, 1024),
        }),
        |w| w.action.clone(),
        32,
    )
}

fn facts(facts: &Facts, memory: &Memory) -> Option<v1::Facts> {
    let other = |now: Option<&str>, fixed: Option<&str>| {
        (now != fixed).then_some(now).flatten().map(|id| bounded(id.to_owned(), 64))
    };
    non_empty(v1::Facts {
        business_id: other(
            facts.business.as_ref().map(BusinessId::as_str),
            memory.business.as_ref().map(BusinessId::as_str),
        ),
        account_id: other(
            facts.account.as_ref().map(AccountId::as_str),
            memory.account.as_ref().map(AccountId::as_str),
        ),
        phone_number_id: other(
            facts.number.as_ref().map(NumberId::as_str),
            memory.number.as_ref().map(NumberId::as_str),
        ),
        verified_name: some(&facts.verified_name, 512),
        name_status: some(&facts.name_status, 64),
        name_since: facts.name_since,
        new_display_name: some(&facts.new_display_name, 512),
        new_name_status: some(&facts.new_name_status, 64),
        code_status: some(&facts.code_status, 64),
        status: some(&facts.status, 64),
        status_since: facts.status_since,
        platform: some(&facts.platform, 64),
        quality: some(&facts.quality, 64),
        throughput: some(&facts.throughput, 64),
        messaging_limit: some(&facts.messaging_limit, 64),
        health: some(&facts.health, 256),
        webhook: facts.webhook.as_ref().map(|w| v1::WebhookRouting {
            number: some(&w.number, 1024),
            account: some(&w.account, 1024),
            application: some(&w.application, 1024),
        }),
        official: facts.is_official,
        last_refusal: facts.last_refusal.as_ref().map(refusal),
    })
}

fn refusal(refusal: &Refusal) -> v1::Refusal {
    v1::Refusal {
        code: refusal.code,
        subcode: refusal.subcode,
        title: some(&refusal.title, 512),
        message: bounded(refusal.message.clone(), 2048),
        trace_id: some(&refusal.trace_id, 128),
        class: refusal.class,
        scope: refusal.scope,
        until: refusal.until,
    }
}

fn version(version: &SecretVersion) -> v1::SecretVersion {
    v1::SecretVersion {
        uid: bounded(version.uid.clone(), 128),
        resource_version: bounded(version.resource_version.clone(), 128),
    }
}

fn ledger(ledger: &Ledger) -> v1::Ledger {
    let entries = |list: &[Entry]| newest(list.iter().map(entry).collect(), 32);
    v1::Ledger {
        registrations: entries(&ledger.registrations),
        codes: entries(&ledger.codes),
        verifications: entries(&ledger.verifications),
        names: entries(&ledger.names),
        adds: entries(&ledger.adds),
        pins: entries(&ledger.pins),
        repeatable: ledger
            .repeatable
            .iter()
            .map(|(step, pace)| {
                (
                    *step,
                    v1::Pace {
                        generation: pace.generation,
                        secret: pace.secret.as_ref().map(version),
                        failed: pace.failed,
                        accepted: pace.accepted,
                        last: pace.last,
                        settle_until: pace.settle_until,
                        held_until: pace.held_until,
                        refusal: pace.refusal.as_ref().map(refusal),
                    },
                )
            })
            .collect(),
    }
}

fn entry(entry: &Entry) -> v1::Entry {
    let (cause, consent) = match &entry.cause {
        Cause::Automatic => (v1::Cause::Automatic, None),
        Cause::SendCode(value) => (v1::Cause::SendCode, Some(value)),
        Cause::Retry(value) => (v1::Cause::Retry, Some(value)),
        Cause::Secret => (v1::Cause::Secret, None),
    };
    v1::Entry {
        id: bounded(entry.id.clone(), 128),
        at: entry.at,
        outcome: entry.outcome,
        cause,
        consent: consent.map(|value| bounded(value.clone(), CONSENT_LENGTH)),
        subject: some(&entry.subject, 512),
        settle_until: entry.settle_until,
        secret_before: entry.secret_before.as_ref().map(version),
        refusal: entry.refusal.as_ref().map(refusal),
    }
}

fn answer(answer: &ConsentAnswer) -> v1::ConsentAnswer {
    v1::ConsentAnswer {
        value: bounded(answer.value.clone(), CONSENT_LENGTH),
        at: answer.at,
        used_for: answer.used_for,
        refused: some(&answer.refused, 1024),
    }
}

fn marks(marks: &Marks) -> v1::Marks {
    v1::Marks {
        added: marks.added,
        adopted: marks.adopted,
        automatic_code_used: marks.automatic_code_used,
        reverify_required: marks.reverify_required,
        proof_lapsed: marks.proof_lapsed,
        pin_set: marks.pin_set,
        registered: marks.registered,
        seen_registered: marks.seen_registered,
        missing_since: marks.missing_since,
        fell_back_since: marks.fell_back_since,
        tried_in_review: newest_times(&marks.tried_in_review, 64),
        declined: newest_times(&marks.declined, 64),
        on_phone: marks.on_phone,
    }
}

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
        shown.name = some(&facts.name, 512);
        shown.verification_status = facts.verification.as_ref().map(|v| bounded(v.to_string(), 64));
        shown.messaging_limit = facts.messaging_limit.as_ref().map(|limit| bounded(limit.to_string(), 64));
        shown.primary_page = some(&facts.primary_page, 512);
    }
    if let Fact::Known(token) = &view.token {
        shown.token_type = Some(bounded(token.kind.to_string(), 64));
        shown.token_expires_at = token.expires_at;
        shown.missing_scopes =
            assessment.missing_scopes.iter().take(32).map(|s| bounded(s.clone(), 128)).collect();
    }
    match &view.reach {
        Reach::Unread => {}
        Reach::Unknown => shown.accounts = Vec::new(),
        Reach::Accounts(list) => {
            shown.accounts = unique(
                list.iter().map(|a| v1::AccountInReach {
                    id: bounded(a.id.to_string(), 64),
                    name: some(&a.name, 512),
                    owned: a.owned,
                }),
                |a| a.id.clone(),
                256,
            );
        }
    }
    shown.channels = Some(channels);
    shown.throttled_until = view.throttled_until;
    shown.waiting_for = waiting(&assessment.waiting_for);
    shown.conditions = conditions(&assessment.conditions);
    shown
}

/// The state of one channel, for the counts of its portfolio.
pub fn count(counts: &mut v1::ChannelCounts, status: Option<&WhatsAppChannelStatus>) {
    counts.total += 1;
    let Some(status) = status else { return };
    let holds = |kind: ConditionType| {
        status.conditions.iter().any(|c| c.type_ == kind.as_str() && c.status == Truth::True.as_str())
    };
    if holds(ConditionType::Ready) {
        counts.ready += 1;
    } else if holds(ConditionType::Stalled) {
        counts.stalled += 1;
    } else if status.waiting_for.iter().any(|w| w.actor != Actor::Meta.as_str()) {
        counts.waiting += 1;
    }
}

#[cfg(test)]
#[path = "lower_tests.rs"]
mod tests;
