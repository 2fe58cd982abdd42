#![allow(clippy::unwrap_used)]

use crate::engine::{face_fixture::*, value::condition_type::ConditionType::*};
use crate::engine::{
    rule::waiting::default_wait,
    value::{
        reason::{Reason, ReasonKind, TABLE},
        wait::{Actor, Wait},
    },
};

fn wait(actor: Actor, action: &'static str) -> Wait {
    Wait { actor, action, expected_by: None, url: None, if_ignored: None }
}

#[test]
fn a_person_is_printed_before_meta() {
    let mut case = Case::ready().blocked(Reason::NameInReview);
    case.plan.block.as_mut().unwrap().wait = Some(wait(Actor::Meta, "ReviewName"));
    let mut aside = block(Reason::WebhookHandshakeFailed);
    aside.wait = Some(wait(Actor::ClusterUser, "MendWebhook"));
    case.plan.aside = vec![(WebhookRouted, aside)];
    let actions: Vec<_> = case.assess().waiting_for.into_iter().map(|w| w.action).collect();
    assert_eq!(actions, ["MendWebhook", "ReviewName"]);
}

#[test]
fn a_wait_keeps_its_beginning_while_it_lasts() {
    let mut case = Case::with(fresh()).blocked(Reason::CodeAwaited);
    case.plan.block.as_mut().unwrap().wait = Some(wait(Actor::PhoneHolder, "EnterCode"));
    case.settle();
    case.now = later(5);
    assert_eq!(case.settle().waiting_for[0].since, now());
    let mut other = case.clone().blocked(Reason::NameInReview);
    let assessment = other.settle();
    assert_eq!(assessment.waiting_for[0].action, "ReviewName");
    assert_eq!(assessment.waiting_for[0].since, later(5));
    assert_eq!(other.memory.since.len(), 1);
}

#[test]
fn every_reason_that_waits_names_who_acts() {
    for row in TABLE {
        let waits = matches!(row.kind, ReasonKind::Person | ReasonKind::Time | ReasonKind::Stalled);
        if waits && row.reason != Reason::NotObserved {
            assert!(default_wait(row.reason, None, "support-br", now()).is_some(), "{}", row.name);
        }
    }
}
