//! What is remembered of a channel: status ↔ [`Memory`].

use std::collections::BTreeMap;

use super::{
    bound::{bounded, newest, newest_times, non_empty, some},
    key::CONSENT_LENGTH,
};
use crate::{
    api::v1alpha1::{self as v1, WhatsAppChannel, WhatsAppChannelStatus},
    engine::{
        failure::Refusal,
        id::{AccountId, BusinessId, NumberId},
        memory::{Cause, ConsentAnswer, ConsentKind, Entry, Intent, Ledger, Marks, Memory, Pace},
        observed::SecretVersion,
    },
};

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

pub(super) fn refusal_from(refusal: &v1::Refusal) -> Refusal {
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

fn version(version: &SecretVersion) -> v1::SecretVersion {
    v1::SecretVersion {
        uid: bounded(version.uid.clone(), 128),
        resource_version: bounded(version.resource_version.clone(), 128),
    }
}

pub(super) fn refusal(refusal: &Refusal) -> v1::Refusal {
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
