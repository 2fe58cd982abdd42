//! Conditions and waits, of both kinds: status ↔ engine.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as KubeCondition, Time};

use super::{
    bound::{bounded, some, unique},
    second::{cut, raised},
    spec::SpecInvalid,
    told::{full, once},
};
use crate::api::v1alpha1 as v1;
use crate::engine::word::Vocabulary;
use crate::engine::{
    action::Actor,
    condition::{Condition, ConditionSet, Truth},
    condition_type::ConditionType,
    reason::Reason,
    status::WaitingFor,
};

/// Conditions as the engine has them.
pub fn conditions_from(list: &[KubeCondition]) -> ConditionSet {
    let mut set = ConditionSet::default();
    for c in list {
        let (Some(kind), Some(status), Some(reason)) =
            (ConditionType::from_word(&c.type_), Truth::from_word(&c.status), Reason::from_name(&c.reason))
        else {
            continue;
        };
        set.set(Condition {
            kind,
            status,
            reason,
            message: full(&c.message, list).to_owned(),
            since: cut(c.last_transition_time.0),
            observed_generation: c.observed_generation.unwrap_or_default(),
        });
    }
    set
}

/// Conditions as Kubernetes has them.
pub fn conditions(set: &ConditionSet) -> Vec<KubeCondition> {
    let mut list: Vec<_> = set
        .iter()
        .map(|c| KubeCondition {
            type_: c.kind.as_str().to_owned(),
            status: c.status.as_str().to_owned(),
            reason: c.reason.as_str().to_owned(),
            message: bounded(c.message.clone(), 8192),
            last_transition_time: Time(cut(c.since)),
            observed_generation: Some(c.observed_generation),
        })
        .collect();
    once(&mut list);
    list
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
                if_done: w.if_done.clone(),
            })
        })
        .collect()
}

/// Waits as the API has them, at most one for each action.
pub fn waiting(list: &[WaitingFor]) -> Vec<v1::WaitingFor> {
    unique(
        list.iter().map(|w| v1::WaitingFor {
            actor: w.actor.as_str().to_owned(),
            action: bounded(w.action.clone(), 64),
            since: cut(w.since),
            expected_by: w.expected_by.map(raised),
            url: some(w.url.as_ref(), 1024),
            if_ignored: some(w.if_ignored.as_ref(), 1024),
            if_done: some(w.if_done.as_ref(), 1024),
        }),
        |w| w.action.clone(),
        32,
    )
}

pub(super) fn stall(set: &mut ConditionSet, why: &SpecInvalid, generation: i64, now: Timestamp) {
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

/// Only an edit ends it, whatever was waited for before.
pub(super) fn waits_for_edit(before: &[v1::WaitingFor], now: Timestamp) -> Vec<v1::WaitingFor> {
    let asks = Reason::SpecInvalid.asks().into_iter();
    asks.map(|asks| {
        let action = asks.action.as_str();
        v1::WaitingFor {
            actor: asks.action.actor().as_str().to_owned(),
            action: action.to_owned(),
            since: before.iter().find(|w| w.action == action).map_or(cut(now), |w| w.since),
            expected_by: None,
            url: None,
            if_ignored: None,
            if_done: None,
        }
    })
    .collect()
}
