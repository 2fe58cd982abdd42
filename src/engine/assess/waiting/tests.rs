#![allow(clippy::unwrap_used)]

use crate::engine::{fixture::*, value::condition_type::ConditionType::*};
use crate::engine::{
    rule::waiting::of_reason,
    value::{
        action::{Action, Actor},
        reason::{Reason, ReasonKind, TABLE},
        wait::Wait,
    },
};

#[test]
fn a_person_is_printed_before_meta() {
    let mut case = Case::ready().blocked(Reason::NameInReview);
    case.plan.aside = vec![(WebhookRouted, block(Reason::WebhookHandshakeFailed))];
    let actions: Vec<_> = case.assess().waiting_for.into_iter().map(|w| w.action).collect();
    assert_eq!(actions, ["MendWebhook", "ReviewName"]);
}

#[test]
fn a_wait_keeps_its_beginning_while_it_lasts() {
    let mut case = Case::with(fresh()).blocked(Reason::CodeAwaited);
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
fn what_a_block_waits_for_is_what_its_reason_asks_for() {
    for row in TABLE {
        let mut case = Case::absent().blocked(row.reason);
        let business = case.view().business.clone();
        let asked = of_reason(row.reason, Some(&business), now());
        let waits = matches!(row.kind, ReasonKind::Person | ReasonKind::Time | ReasonKind::Stalled);
        if waits && !matches!(row.reason, Reason::NotObserved | Reason::WaitsForRegistration) {
            assert!(asked.is_some(), "{}", row.name);
        }
        let list = case.assess().waiting_for;
        let of_block =
            list.iter().find(|wait| asked.as_ref().is_some_and(|asked| asked.action == wait.action));
        assert_eq!(of_block, asked.as_ref(), "{}", row.name);
    }
}

#[test]
fn an_act_of_the_block_s_own_stands_alone() {
    let mut case = Case::with(fresh()).blocked(Reason::NumberDeleted);
    case.plan.block.as_mut().unwrap().wait = Some(Wait::on(Action::Retry));
    let waits: Vec<_> = case.assess().waiting_for.into_iter().map(|w| (w.actor, w.action)).collect();
    assert_eq!(waits, [(Actor::ClusterUser, "Retry".into())]);
}

#[test]
fn what_an_act_interrupts_is_said_where_its_reason_makes_it_do_so() {
    let told = |reason, action| {
        let mut case = Case::ready();
        let mut held = block(reason);
        held.wait = Some(Wait::on(action));
        case.plan.aside = vec![(RegistrationSynced, held)];
        let waits = case.assess().waiting_for;
        let wait = waits.into_iter().find(|wait| wait.action == action.as_str());
        wait.unwrap_or_else(|| panic!("{reason:?}")).if_done
    };
    for (reason, action, words) in [
        (Reason::StorageRegionDiffers, Action::ChangeSpec, "neither send nor receive"),
        (Reason::StorageRegionDiffers, Action::Retry, "neither send nor receive"),
        (Reason::FellBack, Action::Retry, "takes it away from there"),
        (Reason::FellBack, Action::AskForCode, "takes it away from there"),
        (Reason::UsernameInUse, Action::ChangeSpec, "lost to the other one"),
        (Reason::UsernameDiffers, Action::Retry, "loses the username"),
        (Reason::NumberLiveElsewhere, Action::ConfirmTakeover, "from the other account"),
    ] {
        let said = told(reason, action);
        assert!(said.as_ref().is_some_and(|said| said.contains(words)), "{reason:?}: {said:?}");
    }
    for (reason, action) in [
        (Reason::UsernameDiffers, Action::AlignSettings),
        (Reason::UsernameNotShown, Action::Retry),
        (Reason::CodeNeeded, Action::AskForCode),
        (Reason::ProfileRefused, Action::ChangeSpec),
    ] {
        assert_eq!(told(reason, action), None, "{reason:?}");
    }
}
