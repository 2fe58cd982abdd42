//! What is shown of a channel: status → [`Before`], [`Assessment`] → status.

use jiff::Timestamp;

use super::{
    bound::{bounded, non_empty, some, unique},
    condition::{conditions, conditions_from, stall, waiting, waiting_from, waits_for_edit},
    ledger::{refusal, refusal_from, with_memory},
    second::cut,
    spec::SpecInvalid,
    told::{full, in_full, in_short},
};
use crate::api::v1alpha1::{self as v1, WhatsAppChannel, WhatsAppChannelStatus};
use crate::engine::word::Vocabulary;
use crate::engine::{
    action::Actor,
    assess::preflight,
    condition::Truth,
    condition_type::ConditionType,
    drift::Drift,
    id::{AccountId, BusinessId, NumberId},
    memory::Memory,
    observed::WebhookConfiguration,
    status::{Assessment, Before, Check, Facts, HealthFact, Stage, Verdict},
};

/// What a channel showed before this pass.
///
/// A condition, stage, actor or verdict that this version does not know (written by a newer one) is left
/// out: the pass judges it anew.
pub fn before(object: &WhatsAppChannel) -> Before {
    object.status.as_ref().map(before_of).unwrap_or_default()
}

/// What a status showed.
pub fn before_of(status: &WhatsAppChannelStatus) -> Before {
    Before {
        observed_generation: status.observed_generation,
        conditions: conditions_from(&status.conditions),
        facts: facts_from(status),
        stage: status.stage.as_deref().and_then(Stage::from_word),
        waiting_for: waiting_from(&status.waiting_for),
        preflight: status
            .preflight
            .iter()
            .filter_map(|c| {
                Some(Check {
                    item: preflight::ITEMS.into_iter().find(|item| *item == c.item)?,
                    verdict: Verdict::from_word(&c.verdict)?,
                    message: full(&c.message, &status.conditions).to_owned(),
                })
            })
            .collect(),
        drift: status
            .drift
            .iter()
            .map(|d| Drift {
                field: d.field.clone(),
                desired: d.desired.clone(),
                live: d.live.clone(),
                since: d.since,
                action: d.action.clone(),
            })
            .collect(),
    }
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
        health_entities: shown
            .health_entities
            .into_iter()
            .map(|one| HealthFact { entity: one.entity, can_send: one.can_send, codes: one.codes })
            .collect(),
        username: shown.username,
        webhook: shown.webhook.map(|w| WebhookConfiguration {
            number: w.number,
            account: w.account,
            application: w.application,
        }),
        is_official: shown.official,
        official_status: shown.official_status,
        official_message: shown.official_message,
        username_status: shown.username_status,
        other_apps: shown.other_apps,
        last_refusal: shown.last_refusal.as_ref().map(refusal_from),
    }
}

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
                live: bounded(d.live.clone(), 1024),
                since: cut(d.since),
                action: bounded(d.action.clone(), 1024),
            }),
            |d| d.field.clone(),
            64,
        ),
        facts: facts(&assessment.facts, memory, before.and_then(|b| b.facts.as_ref())),
        conditions: conditions(&assessment.conditions),
        ..WhatsAppChannelStatus::default()
    };
    with_memory(&shown, memory, before)
}

/// The status of a channel whose spec cannot be understood: stalled, everything else as it stands.
pub fn refused(object: &WhatsAppChannel, why: &SpecInvalid, now: Timestamp) -> WhatsAppChannelStatus {
    let generation = object.metadata.generation.unwrap_or_default();
    let mut shown = object.status.clone().unwrap_or_default();
    in_full(&mut shown);
    let mut set = conditions_from(&shown.conditions);
    stall(&mut set, why, generation, now);
    shown.observed_generation = Some(generation);
    shown.stage = Some(Stage::Stalled.as_str().to_owned());
    shown.conditions = conditions(&set);
    shown.waiting_for = waits_for_edit(&shown.waiting_for, now);
    shown.moved = false;
    in_short(&mut shown);
    shown
}

fn facts(facts: &Facts, memory: &Memory, standing: Option<&v1::Facts>) -> Option<v1::Facts> {
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
        verified_name: some(facts.verified_name.as_ref(), 512),
        name_status: some(facts.name_status.as_ref(), 64),
        name_since: facts.name_since.map(cut),
        new_display_name: some(facts.new_display_name.as_ref(), 512),
        new_name_status: some(facts.new_name_status.as_ref(), 64),
        code_status: some(facts.code_status.as_ref(), 64),
        status: some(facts.status.as_ref(), 64),
        status_since: facts.status_since.map(cut),
        platform: some(facts.platform.as_ref(), 64),
        quality: some(facts.quality.as_ref(), 64),
        throughput: some(facts.throughput.as_ref(), 64),
        messaging_limit: some(facts.messaging_limit.as_ref(), 64),
        health: some(facts.health.as_ref(), 256),
        health_entities: unique(
            facts.health_entities.iter().map(|one| v1::HealthFact {
                entity: bounded(one.entity.clone(), 64),
                can_send: bounded(one.can_send.clone(), 64),
                codes: one.codes.iter().take(8).copied().collect(),
            }),
            |one| one.entity.clone(),
            8,
        ),
        username: some(facts.username.as_ref(), 128),
        webhook: facts.webhook.as_ref().map(|w| v1::WebhookRouting {
            number: some(w.number.as_ref(), 1024),
            account: some(w.account.as_ref(), 1024),
            application: some(w.application.as_ref(), 1024),
        }),
        official: facts.is_official,
        official_status: some(facts.official_status.as_ref(), 64),
        official_message: some(facts.official_message.as_ref(), 512),
        username_status: some(facts.username_status.as_ref(), 64),
        other_apps: some(facts.other_apps.as_ref(), 256),
        last_refusal: facts
            .last_refusal
            .as_ref()
            .map(|said| refusal(said, standing.and_then(|s| s.last_refusal.as_ref()))),
    })
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
