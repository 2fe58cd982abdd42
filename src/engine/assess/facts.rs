//! Facts: Meta's raw words, as last seen.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::engine::{
    assess::scene::{Place, Scene},
    value::{
        failure::{Failure, Refusal},
        id::{Fact, Field, MessagingLimit, OfficialStatus, Quality, Sendability, Throughput},
        observed::{Health, HealthEntity, Number, OtherApp, PortfolioState},
        status::{Facts, HealthFact},
    },
};

/// Meta's raw words; what could not be read keeps its last value.
pub(super) fn facts(scene: &Scene<'_>) -> Facts {
    let mut facts = scene.before.facts.clone();
    facts.business = scene.memory.business.clone().or(facts.business);
    facts.account = scene.account.clone().or(facts.account);
    facts.number = scene.memory.number.clone().or(facts.number);
    if let Place::Here(number) | Place::Left(number) = scene.place {
        facts.number = Some(number.id.clone());
        take_number(&mut facts, number, scene.now);
        take_username(&mut facts, number, scene);
        take_official(&mut facts, number, scene);
    }
    take_other_apps(&mut facts, scene);
    if let PortfolioState::View(view) = &scene.observed.portfolio
        && let Fact::Known(business) = &view.facts
        && let Some(limit) = &business.messaging_limit
    {
        facts.messaging_limit = Some(limit.to_string());
    }
    facts.last_refusal = last_refusal(scene, facts.last_refusal.take());
    facts
}

fn take_number(facts: &mut Facts, number: &Number, now: Timestamp) {
    take(&mut facts.verified_name, &number.verified_name, ToString::to_string);
    if take(&mut facts.name_status, &number.name_status, ToString::to_string) {
        facts.name_since = Some(now);
    }
    take_open(&mut facts.new_display_name, &number.new_display_name, ToString::to_string);
    take_open(&mut facts.new_name_status, &number.new_name_status, ToString::to_string);
    take(&mut facts.code_status, &number.code, ToString::to_string);
    if take(&mut facts.status, &number.status, ToString::to_string) {
        facts.status_since = Some(now);
    }
    take(&mut facts.platform, &number.platform, ToString::to_string);
    take(&mut facts.health, &number.health, |h| h.can_send.as_str().to_owned());
    if let Some(health) = number.health.value() {
        facts.health_entities = unwell(health);
    }
    take_open(&mut facts.webhook, &number.webhook, |webhook| (**webhook).clone());
    for (old, new) in [
        (&mut facts.quality, number.quality.as_ref().map(Quality::as_str)),
        (&mut facts.throughput, number.throughput.as_ref().map(Throughput::as_str)),
        (&mut facts.messaging_limit, number.messaging_limit.as_ref().map(MessagingLimit::as_str)),
    ] {
        if let Some(word) = new {
            *old = Some(word.to_owned());
        }
    }
    facts.is_official = number.is_official.or(facts.is_official);
}

/// The entities that are not well. Meta's order means nothing.
fn unwell(health: &Health) -> Vec<HealthFact> {
    let is_unwell = |entity: &&HealthEntity| entity.can_send != Sendability::Available;
    let told = health.entities.iter().filter(is_unwell).map(|entity| {
        let codes: BTreeSet<i64> = entity.errors.iter().map(|error| error.code).collect();
        HealthFact {
            entity: entity.kind.clone(),
            can_send: entity.can_send.as_str().to_owned(),
            codes: codes.into_iter().collect(),
        }
    });
    told.collect::<BTreeSet<_>>().into_iter().collect()
}

/// By its own read where the username is managed, else what the list shows.
fn take_username(facts: &mut Facts, number: &Number, scene: &Scene<'_>) {
    if scene.desired.username.is_none() {
        take_open(&mut facts.username, &number.username, ToString::to_string);
        facts.username_status = None;
    } else if let Fact::Known(live) = &scene.observed.username {
        facts.username.clone_from(&live.name);
        facts.username_status = live.status.as_ref().map(ToString::to_string);
    }
}

/// Nothing is told where nobody asked for an official business account.
fn take_official(facts: &mut Facts, number: &Number, scene: &Scene<'_>) {
    let Some(shown) = scene.observed.official_of(number) else { return };
    let is_told = scene.desired.official.is_some() || shown.status != OfficialStatus::NotStarted;
    facts.official_status = is_told.then(|| shown.status.to_string());
    facts.official_message = shown.message.as_deref().map(str::to_owned).filter(|_| is_told);
}

/// The first of them, and how many more there are. Nothing is told where nobody asks who is subscribed.
fn take_other_apps(facts: &mut Facts, scene: &Scene<'_>) {
    const FIRST: usize = 3;
    if !scene.desired.needs_apps() {
        facts.other_apps = None;
    } else if matches!(scene.observed.subscribed, Fact::Known(_)) {
        let mut told: Vec<String> = scene.observed.foreign_apps().map(OtherApp::told).collect();
        let more = told.len().saturating_sub(FIRST);
        told.truncate(FIRST);
        told.extend((more > 0).then(|| format!("{more} more")));
        facts.other_apps = (!told.is_empty()).then(|| told.join(", "));
    }
}

/// Takes a value that was read; tells whether it is another one.
fn take<T, U: PartialEq>(old: &mut Option<U>, new: &Field<T>, lower: impl Fn(&T) -> U) -> bool {
    let Some(value) = new.value().map(lower) else { return false };
    let changed = old.as_ref() != Some(&value);
    *old = Some(value);
    changed
}

/// Like [`take`], for fields that Meta leaves out when there is nothing to tell.
fn take_open<T, U: PartialEq>(old: &mut Option<U>, new: &Field<T>, lower: impl Fn(&T) -> U) {
    match new {
        Field::Refused => {}
        Field::Absent => *old = None,
        Field::Is(value) => *old = Some(lower(value)),
    }
}

/// Meta's last error of a step to Registered. A repeated one with a new trace id changes nothing.
fn last_refusal(scene: &Scene<'_>, old: Option<Refusal>) -> Option<Refusal> {
    if scene.is_registered() {
        return None;
    }
    let from_outcome = scene.outcome.and_then(|o| o.result.as_ref().err()).and_then(Failure::refusal);
    let from_block = scene.plan.block.as_ref().and_then(|b| b.failure.as_ref()).and_then(Failure::refusal);
    let Some(new) = from_outcome.or(from_block) else { return old };
    let Some(old) = old.filter(|o| o.is(new.code, new.subcode)) else { return Some(new.clone()) };
    if old.title == new.title && old.message == new.message {
        return Some(old);
    }
    Some(Refusal { trace_id: old.trace_id, ..new.clone() })
}
