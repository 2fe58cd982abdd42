//! What is remembered of a channel: status ↔ [`Memory`].
//!
//! A newer version may have written the status, or somebody by hand. While it holds what decisions rest on and this
//! version does not understand, nothing is done, and what is remembered stays as it stands; it is read as the most
//! cautious that this version knows. The name of a step in flight stays open in the engine, because no other step may
//! stand for it. What is written goes over what stands: members that this version does not know stay where they are.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    bound::{bounded, newest, newest_times, non_empty, some},
    second::{cut, raised, raised_each},
    told::{full, in_short},
};
use crate::api::v1alpha1::{self as v1, WhatsAppChannel, WhatsAppChannelStatus};
use crate::engine::{
    consent::CONSENT_LENGTH,
    failure::Refusal,
    id::{AccountId, BusinessId, NumberId},
    memory::{
        ConsentAnswer, ConsentKind, Entry, Intent, Ledger, Marks, Memory, Origin, Pace, Proof, Registration,
        Repairs,
    },
    secret::SecretVersion,
    step::{Cause, StepKind},
    word::{Vocabulary, Word},
};

/// What the engine remembers of a channel.
pub fn memory(object: &WhatsAppChannel) -> Memory {
    object.status.as_ref().map(memory_of).unwrap_or_default()
}

/// What a status remembers.
pub fn memory_of(status: &WhatsAppChannelStatus) -> Memory {
    let nothing = v1::Memory::default();
    let remembered = status.memory.as_ref().unwrap_or(&nothing);
    let (mut answers, mut earlier) = (BTreeMap::new(), BTreeMap::new());
    if let Some(consents) = &remembered.consents {
        for (kind, answer) in [
            (ConsentKind::SendCode, &consents.send_code),
            (ConsentKind::Retry, &consents.retry),
            (ConsentKind::Official, &consents.official),
            (ConsentKind::Reconcile, &consents.reconcile),
        ] {
            let Some(answer) = answer else { continue };
            answers.insert(kind, answer_from(answer));
            if !answer.earlier.is_empty() {
                earlier.insert(kind, answer.earlier.iter().map(earlier_from).collect());
            }
        }
    }
    Memory {
        business: status.business_id.as_deref().map(BusinessId::from),
        account: status.account_id.as_deref().map(AccountId::from),
        number: status.phone_number_id.as_deref().map(NumberId::from),
        ledger: remembered.ledger.as_ref().map(ledger_from).unwrap_or_default(),
        in_flight: remembered.in_flight.as_ref().map(|i| Intent {
            id: i.id.clone(),
            step: i.step.clone(),
            reason: full(&i.reason, &status.conditions).to_owned(),
            started_at: i.started_at,
            send_before: i.send_before,
            settle_until: i.settle_until,
            generation: i.generation,
            subject: i.subject.clone(),
            absent_before: i.absent_before,
        }),
        consents: answers,
        earlier,
        marks: remembered.marks.as_ref().map(marks_from).unwrap_or_default(),
        since: remembered.since.clone(),
        unknown: unknown(status),
    }
}

/// What of a status this version does not understand and decisions rest on: the first of it, as a clause.
fn unknown(status: &WhatsAppChannelStatus) -> Option<String> {
    if let Some((name, why)) = status.unread() {
        return Some(format!("{name} cannot be read ({})", bounded(why, 256)));
    }
    let remembered = status.memory.as_ref()?;
    if let Some(format) = remembered.format.filter(|format| *format != v1::FORMAT) {
        return Some(format!("status.memory.format is {format}, and this version knows {}", v1::FORMAT));
    }
    let ledger = remembered.ledger.as_ref()?;
    let lists = [
        ("registrations", &ledger.registrations),
        ("codes", &ledger.codes),
        ("verifications", &ledger.verifications),
        ("names", &ledger.names),
        ("adds", &ledger.adds),
        ("pins", &ledger.pins),
        ("deregistrations", &ledger.deregistrations),
        ("pictures", &ledger.pictures),
        ("syncs", &ledger.syncs),
        ("usernames", &ledger.usernames),
        ("officials", &ledger.officials),
    ];
    let entries = lists.into_iter().flat_map(|(list, entries)| {
        entries.iter().enumerate().flat_map(move |(at, entry)| {
            let own = [other("outcome", &entry.outcome), other("cause", &entry.cause)].into_iter().flatten();
            let of_refusal = entry.refusal.as_ref().and_then(word_of_refusal);
            own.chain(of_refusal).map(move |what| format!("{list}[{at}].{what}"))
        })
    });
    // Of a step that is not known the pace bears on no other.
    let paces = ledger.repeatable.iter().filter(|(step, _)| step.known().is_some());
    let paces = paces.filter_map(|(step, pace)| {
        let what = pace.refusal.as_ref().and_then(word_of_refusal)?;
        Some(format!("repeatable.{step}.{what}"))
    });
    let found = entries.chain(paces).next()?;
    Some(format!("status.memory.ledger.{found}, which this version does not know"))
}

fn word_of_refusal(refusal: &v1::Refusal) -> Option<String> {
    let word = other("class", &refusal.class).or_else(|| other("scope", &refusal.scope))?;
    Some(format!("refusal.{word}"))
}

fn other<T: Vocabulary>(name: &str, word: &Word<T>) -> Option<String> {
    word.known().is_none().then(|| format!("{name} is {}", bounded(word.to_string(), 64)))
}

pub(super) fn ledger_from(ledger: &v1::Ledger) -> Ledger {
    let paces = ledger.repeatable.iter();
    let mut known = Ledger {
        repeatable: paces.filter_map(|(step, pace)| Some((step.known()?, pace_from(pace)))).collect(),
        ..Ledger::default()
    };
    for step in StepKind::ALL {
        if let Some(list) = known.of_mut(*step) {
            list.extend(ledger.of(*step).iter().map(entry_from));
        }
    }
    known
}

fn pace_from(pace: &v1::Pace) -> Pace {
    Pace {
        generation: pace.generation,
        secret: pace.secret.as_ref().map(version_from),
        failed: pace.failed,
        accepted: pace.accepted,
        last: pace.last,
        settle_until: pace.settle_until,
        held_until: pace.held_until,
        refusal: pace.refusal.as_ref().map(refusal_from),
    }
}

fn entry_from(entry: &v1::Entry) -> Entry {
    Entry {
        id: entry.id.clone(),
        at: entry.at,
        outcome: entry.outcome.cautious(),
        cause: cause_from(entry),
        subject: entry.subject.clone(),
        settle_until: entry.settle_until,
        secret_before: entry.secret_before.as_ref().map(version_from),
        trace_id: entry.trace_id.clone(),
        refusal: entry.refusal.as_ref().map(refusal_from),
    }
}

fn cause_from(entry: &v1::Entry) -> Cause {
    let consent = || entry.consent.clone().unwrap_or_default();
    match entry.cause.cautious() {
        v1::Cause::Automatic => Cause::Automatic,
        v1::Cause::SendCode => Cause::SendCode(consent()),
        v1::Cause::Retry => Cause::Retry(consent()),
        v1::Cause::Secret => Cause::Secret,
        v1::Cause::Official => Cause::Official(consent()),
    }
}

fn answer_from(answer: &v1::ConsentAnswer) -> ConsentAnswer {
    ConsentAnswer {
        value: answer.value.clone(),
        at: answer.at,
        used_for: answer.used_for.clone(),
        refused: answer.refused.clone(),
        again: answer.again,
    }
}

fn earlier_from(answer: &v1::EarlierAnswer) -> ConsentAnswer {
    ConsentAnswer {
        value: answer.value.clone(),
        at: answer.at,
        used_for: answer.used_for.clone(),
        refused: None,
        again: answer.again,
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
        said: refusal.said.as_ref().and_then(Word::known),
        trace_id: refusal.trace_id.clone(),
        class: refusal.class.cautious(),
        scope: refusal.scope.cautious(),
        until: refusal.until,
    }
}

fn marks_from(marks: &v1::Marks) -> Marks {
    let seen = marks.seen_registered.or(marks.registered).or(marks.fell_back_since);
    Marks {
        // What happened last counts.
        origin: match (marks.added, marks.adopted) {
            (Some(added), adopted) if adopted.is_none_or(|adopted| adopted < added) => Origin::Added(added),
            (_, Some(adopted)) => Origin::Adopted(adopted),
            (_, None) => Origin::Unknown,
        },
        automatic_code_used: marks.automatic_code_used,
        proof: marks
            .reverify_required
            .map_or(Proof::AsShown, |since| Proof::Required { since, lapsed: marks.proof_lapsed }),
        pin_set: marks.pin_set,
        pin: marks.pin.clone(),
        storage: marks.storage.clone(),
        moved: marks.moved_to.clone().zip(marks.moved_since),
        is_moving: marks.moving == Some(true),
        registration: seen.map_or(Registration::NotSeen, |first| Registration::Seen {
            first,
            own: marks.registered,
            fell_back: marks.fell_back_since,
        }),
        missing_since: marks.missing_since,
        connected_since: marks.connected_since,
        tried_in_review: marks.tried_in_review.clone(),
        declined: marks.declined.clone(),
        on_phone: marks.on_phone,
        approved: marks.approved_name.clone().zip(marks.approved_since),
        in_sync: marks.in_sync.clone(),
        picture: marks.picture_sha256.clone().zip(marks.picture_uploaded),
        picture_found: marks.picture_found == Some(true),
        picture_lost: marks.picture_lost_since,
        has_seen_onboarding: marks.seen_onboarding == Some(true),
        repairs: marks.repairs.iter().map(|(field, made)| (field.clone(), repairs_from(made))).collect(),
        routed: marks.routed.clone(),
    }
}

fn repairs_from(repairs: &v1::Repairs) -> Repairs {
    let contended = repairs.contended_by.clone().zip(repairs.contended_since);
    Repairs { at: repairs.at.clone(), is_open: repairs.open == Some(true), contended }
}

/// The same status with another memory: what an intent writes, and what a merged outcome writes. `standing` is the
/// status that it goes over, with what a newer version wrote there.
pub fn with_memory(
    shown: &WhatsAppChannelStatus,
    memory: &Memory,
    standing: Option<&WhatsAppChannelStatus>,
) -> WhatsAppChannelStatus {
    let nothing = WhatsAppChannelStatus::default();
    let standing = standing.unwrap_or(&nothing);
    let mut next = match unknown(standing) {
        Some(_) => with_what_stands(shown, memory, standing),
        None => with_what_is_known(shown, memory, standing),
    };
    in_short(&mut next);
    next
}

/// The status that stands with another memory: what it shows is not judged anew.
pub fn remembering(memory: &Memory, standing: &WhatsAppChannelStatus) -> WhatsAppChannelStatus {
    with_memory(standing, memory, Some(standing))
}

fn with_what_is_known(
    shown: &WhatsAppChannelStatus,
    memory: &Memory,
    standing: &WhatsAppChannelStatus,
) -> WhatsAppChannelStatus {
    let nothing = v1::Memory::default();
    let stood = standing.memory.as_ref().unwrap_or(&nothing);
    WhatsAppChannelStatus {
        business_id: memory.business.as_ref().map(|id| bounded(id.to_string(), 64)),
        account_id: memory.account.as_ref().map(|id| bounded(id.to_string(), 64)),
        phone_number_id: memory.number.as_ref().map(|id| bounded(id.to_string(), 64)),
        memory: non_empty(v1::Memory {
            format: stood.format,
            ledger: non_empty(ledger(&memory.ledger, stood.ledger.as_ref())),
            in_flight: memory.in_flight.as_ref().map(|intent| in_flight(intent, stood.in_flight.as_ref())),
            consents: non_empty(consents(memory, stood.consents.as_ref())),
            marks: non_empty(marks(&memory.marks, stood.marks.as_ref())),
            since: since(&memory.since),
            newer: stood.newer.clone(),
        }),
        newer: standing.newer.clone(),
        moved: false,
        ..shown.clone()
    }
}

/// What is not understood stays as it stands, and all that is remembered beside it. Only since when each wait lasts is
/// added, or every pass would begin it anew.
fn with_what_stands(
    shown: &WhatsAppChannelStatus,
    memory: &Memory,
    standing: &WhatsAppChannelStatus,
) -> WhatsAppChannelStatus {
    let mut kept = standing.memory.clone().unwrap_or_default();
    kept.since.extend(since(&memory.since));
    kept.since = newest_times(&kept.since, 64);
    if let Some(step) = &mut kept.in_flight {
        step.reason = full(&step.reason, &standing.conditions).to_owned();
    }
    WhatsAppChannelStatus {
        business_id: standing.business_id.clone(),
        account_id: standing.account_id.clone(),
        phone_number_id: standing.phone_number_id.clone(),
        memory: non_empty(kept).filter(|_| !standing.newer.holds("memory")),
        newer: standing.newer.clone(),
        moved: false,
        ..shown.clone()
    }
}

/// It is for people to read, in `waitingFor`.
fn since(since: &BTreeMap<String, Timestamp>) -> BTreeMap<String, Timestamp> {
    newest_times(since, 64).into_iter().map(|(action, at)| (action, cut(at))).collect()
}

fn in_flight(intent: &Intent, standing: Option<&v1::InFlight>) -> v1::InFlight {
    let standing = standing.filter(|standing| standing.id == intent.id);
    v1::InFlight {
        id: bounded(intent.id.clone(), 128),
        step: intent.step.clone(),
        reason: bounded(intent.reason.clone(), 1024),
        started_at: raised(intent.started_at),
        send_before: raised(intent.send_before),
        settle_until: raised(intent.settle_until),
        generation: intent.generation,
        subject: some(intent.subject.as_ref(), 512),
        absent_before: intent.absent_before,
        newer: standing.map(|standing| standing.newer.clone()).unwrap_or_default(),
    }
}

fn consents(memory: &Memory, standing: Option<&v1::Consents>) -> v1::Consents {
    let nothing = v1::Consents::default();
    let standing = standing.unwrap_or(&nothing);
    let one = |kind, standing: &Option<v1::ConsentAnswer>| {
        let earlier = memory.earlier.get(&kind).map(Vec::as_slice).unwrap_or_default();
        memory.consents.get(&kind).map(|given| answer(given, earlier, standing.as_ref()))
    };
    v1::Consents {
        send_code: one(ConsentKind::SendCode, &standing.send_code),
        retry: one(ConsentKind::Retry, &standing.retry),
        official: one(ConsentKind::Official, &standing.official),
        reconcile: one(ConsentKind::Reconcile, &standing.reconcile),
        newer: standing.newer.clone(),
    }
}

fn answer(
    answer: &ConsentAnswer,
    earlier: &[ConsentAnswer],
    standing: Option<&v1::ConsentAnswer>,
) -> v1::ConsentAnswer {
    let stood = standing.map(|standing| standing.earlier.as_slice()).unwrap_or_default();
    let same = standing.filter(|standing| standing.value == answer.value);
    v1::ConsentAnswer {
        value: bounded(answer.value.clone(), CONSENT_LENGTH),
        at: raised(answer.at),
        used_for: answer.used_for.clone(),
        refused: some(answer.refused.as_ref(), 1024),
        again: answer.again.map(raised),
        earlier: newest(earlier.iter().map(|before| earlier_answer(before, stood)).collect(), 32),
        newer: same.map(|standing| standing.newer.clone()).unwrap_or_default(),
    }
}

fn earlier_answer(answer: &ConsentAnswer, standing: &[v1::EarlierAnswer]) -> v1::EarlierAnswer {
    let same = standing.iter().find(|standing| standing.value == answer.value);
    v1::EarlierAnswer {
        value: bounded(answer.value.clone(), 64),
        at: raised(answer.at),
        used_for: answer.used_for.clone(),
        again: answer.again.map(raised),
        newer: same.map(|standing| standing.newer.clone()).unwrap_or_default(),
    }
}

/// What was said of a refusal by whoever wrote it stays with it; another refusal has words of its own.
pub(super) fn refusal(refusal: &Refusal, standing: Option<&v1::Refusal>) -> v1::Refusal {
    if let Some(same) = standing.filter(|standing| refusal_from(standing) == *refusal) {
        return same.clone();
    }
    v1::Refusal {
        code: refusal.code,
        subcode: refusal.subcode,
        title: some(refusal.title.as_ref(), 512),
        message: bounded(refusal.message.clone(), 2048),
        said: refusal.said.map(Into::into),
        trace_id: some(refusal.trace_id.as_ref(), 128),
        class: refusal.class.into(),
        scope: refusal.scope.into(),
        until: refusal.until.map(raised),
        newer: v1::Newer::default(),
    }
}

fn version(version: &SecretVersion, standing: Option<&v1::SecretVersion>) -> v1::SecretVersion {
    if let Some(same) = standing.filter(|standing| version_from(standing) == *version) {
        return same.clone();
    }
    v1::SecretVersion {
        uid: bounded(version.uid.clone(), 128),
        resource_version: bounded(version.resource_version.clone(), 128),
        newer: v1::Newer::default(),
    }
}

pub(super) fn ledger(ledger: &Ledger, standing: Option<&v1::Ledger>) -> v1::Ledger {
    let nothing = v1::Ledger::default();
    let standing = standing.unwrap_or(&nothing);
    let entries = |list: &[Entry], standing: &[v1::Entry]| {
        let of = |made: &Entry| standing.iter().find(|standing| standing.id == made.id);
        said_once(newest(list.iter().map(|made| entry(made, of(made))).collect(), 32))
    };
    let known = ledger.repeatable.iter().map(|(step, made)| {
        let step = Word::from(*step);
        let pace = pace(made, standing.repeatable.get(&step));
        (step, pace)
    });
    let newer = standing.repeatable.iter().filter(|(step, _)| step.known().is_none());
    let mut next = v1::Ledger {
        repeatable: known.chain(newer.map(|(step, pace)| (step.clone(), pace.clone()))).collect(),
        newer: standing.newer.clone(),
        ..v1::Ledger::default()
    };
    for step in StepKind::ALL {
        if let Some(list) = next.of_mut(*step) {
            *list = entries(ledger.of(*step), standing.of(*step));
        }
    }
    next
}

/// Of attempts that were refused with the same words the newest keeps them.
fn said_once(mut entries: Vec<v1::Entry>) -> Vec<v1::Entry> {
    let mut said = BTreeSet::new();
    for refusal in entries.iter_mut().rev().filter_map(|entry| entry.refusal.as_mut()) {
        if !said.insert(refusal.message.clone()) {
            refusal.message.clear();
        }
    }
    entries
}

fn pace(pace: &Pace, standing: Option<&v1::Pace>) -> v1::Pace {
    v1::Pace {
        generation: pace.generation,
        secret: pace.secret.as_ref().map(|used| version(used, standing.and_then(|s| s.secret.as_ref()))),
        failed: pace.failed,
        accepted: pace.accepted,
        last: pace.last.map(raised),
        settle_until: pace.settle_until.map(raised),
        held_until: pace.held_until.map(raised),
        refusal: pace.refusal.as_ref().map(|said| refusal(said, standing.and_then(|s| s.refusal.as_ref()))),
        newer: standing.map(|standing| standing.newer.clone()).unwrap_or_default(),
    }
}

/// Words that this version does not know stay, as long as it takes them for what it would write now.
fn entry(entry: &Entry, standing: Option<&v1::Entry>) -> v1::Entry {
    let same_outcome = standing.filter(|standing| standing.outcome.cautious() == entry.outcome);
    let same_cause = standing.filter(|standing| cause_from(standing) == entry.cause);
    let (cause, consent) = match &entry.cause {
        Cause::Automatic => (v1::Cause::Automatic, None),
        Cause::SendCode(value) => (v1::Cause::SendCode, Some(value)),
        Cause::Retry(value) => (v1::Cause::Retry, Some(value)),
        Cause::Secret => (v1::Cause::Secret, None),
        Cause::Official(value) => (v1::Cause::Official, Some(value)),
    };
    v1::Entry {
        id: bounded(entry.id.clone(), 128),
        at: raised(entry.at),
        outcome: same_outcome.map_or_else(|| entry.outcome.into(), |standing| standing.outcome.clone()),
        cause: same_cause.map_or_else(|| cause.into(), |standing| standing.cause.clone()),
        consent: consent.map(|value| bounded(value.clone(), CONSENT_LENGTH)),
        subject: some(entry.subject.as_ref(), 512),
        settle_until: entry.settle_until.map(raised),
        secret_before: entry
            .secret_before
            .as_ref()
            .map(|seen| version(seen, standing.and_then(|s| s.secret_before.as_ref()))),
        trace_id: some(entry.trace_id.as_ref(), 128),
        refusal: entry.refusal.as_ref().map(|said| refusal(said, standing.and_then(|s| s.refusal.as_ref()))),
        newer: standing.map(|standing| standing.newer.clone()).unwrap_or_default(),
    }
}

fn marks(marks: &Marks, standing: Option<&v1::Marks>) -> v1::Marks {
    let (added, adopted) = match marks.origin {
        Origin::Unknown => (None, None),
        Origin::Added(at) => (Some(at), None),
        Origin::Adopted(at) => (None, Some(at)),
    };
    let (seen_registered, registered) = match marks.registration {
        Registration::NotSeen => (None, None),
        Registration::Seen { first, own, .. } => (Some(first), own),
    };
    let standing_repairs = |field: &str| standing.and_then(|standing| standing.repairs.get(field));
    v1::Marks {
        added: added.map(raised),
        adopted: adopted.map(raised),
        automatic_code_used: marks.automatic_code_used.map(raised),
        reverify_required: marks.new_proof_since().map(raised),
        proof_lapsed: marks.proof_lapsed().map(raised),
        pin_set: marks.pin_set.map(raised),
        pin: some(marks.pin.as_ref(), 512),
        storage: some(marks.storage.as_ref(), 64),
        moved_to: marks.moved.as_ref().map(|(region, _)| bounded(region.clone(), 64)),
        moved_since: marks.moved.as_ref().map(|(_, since)| raised(*since)),
        moving: marks.is_moving.then_some(true),
        registered: registered.map(raised),
        seen_registered: seen_registered.map(raised),
        missing_since: marks.missing_since.map(raised),
        connected_since: marks.connected_since.map(raised),
        fell_back_since: marks.fell_back_since().map(raised),
        tried_in_review: newest_times(&raised_each(&marks.tried_in_review), 64),
        declined: newest_times(&raised_each(&marks.declined), 64),
        on_phone: marks.on_phone.map(raised),
        approved_name: marks.approved.as_ref().map(|(name, _)| bounded(name.clone(), 512)),
        approved_since: marks.approved.as_ref().map(|(_, since)| raised(*since)),
        in_sync: marks.in_sync.clone(),
        picture_sha256: marks.picture.as_ref().map(|(sum, _)| bounded(sum.clone(), 64)),
        picture_uploaded: marks.picture.as_ref().map(|(_, at)| raised(*at)),
        picture_found: marks.picture_found.then_some(true),
        picture_lost_since: marks.picture_lost.map(raised),
        seen_onboarding: marks.has_seen_onboarding.then_some(true),
        repairs: marks
            .repairs
            .iter()
            .map(|(field, made)| (field.clone(), repairs(made, standing_repairs(field))))
            .collect(),
        routed: newest(marks.routed.iter().map(|url| bounded(url.clone(), 200)).collect(), 4),
        newer: standing.map(|standing| standing.newer.clone()).unwrap_or_default(),
    }
}

fn repairs(repairs: &Repairs, standing: Option<&v1::Repairs>) -> v1::Repairs {
    v1::Repairs {
        at: newest(repairs.at.iter().copied().map(raised).collect(), 16),
        open: repairs.is_open.then_some(true),
        contended_by: repairs.contended.as_ref().map(|(value, _)| bounded(value.clone(), 256)),
        contended_since: repairs.contended.as_ref().map(|(_, since)| raised(*since)),
        newer: standing.map(|standing| standing.newer.clone()).unwrap_or_default(),
    }
}
