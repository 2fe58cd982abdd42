//! News: what turned of the facts that Meta shows of a number or of an account, and matters to somebody.
//!
//! What was not known before is no news. Notes come from the words here and from the table of reasons: they hold no ids, no
//! times and nothing that Meta or a user wrote.

use std::collections::BTreeSet;

use crate::{
    api::v1alpha1::{AccountInReach, SubscribedApps},
    engine::{
        condition::Truth,
        condition_type::ConditionType,
        drift::PICTURE,
        id::{OfficialStatus, Quality},
        memory::Memory,
        observed::OtherApp,
        outcome::Outcome,
        plan::Plan,
        reason::{Reason, ReasonKind},
        status::{Assessment, Before},
        step::Step,
    },
};

use super::tell::{Notice, is_limited_above, told};

/// What turned of the facts of a number. What its account is the cause of is told there.
pub fn news(before: &Before, after: &Assessment) -> Vec<Notice> {
    let all: [fn(&Before, &Assessment) -> Option<Notice>; 5] = [quality, health, name, username, official];
    all.into_iter().filter_map(|turned| turned(before, after)).collect()
}

fn quality(before: &Before, after: &Assessment) -> Option<Notice> {
    let read = |word: &Option<String>| word.as_deref().map(Quality::from);
    let (was, now) = (read(&before.facts.quality)?, read(&after.facts.quality)?);
    let badness = |quality: &Quality| match quality {
        Quality::Red => 2,
        Quality::Yellow => 1,
        _ => 0,
    };
    let (before, after) = (badness(&was), badness(&now));
    if before == after {
        return None;
    }
    let (reason, note) = match now {
        Quality::Red => (
            "QualityRed",
            "Meta rates the quality of the number RED, the lowest: people block or report it. See what is sent, and to whom.",
        ),
        Quality::Yellow => (
            "QualityYellow",
            "Meta rates the quality of the number YELLOW, between high and low. See what is sent, and to whom.",
        ),
        Quality::Green => ("QualityGreen", "Meta rates the quality of the number GREEN again."),
        _ => ("QualityNotRated", "Meta does not rate the quality of the number now."),
    };
    Some(Notice { is_warning: after > before, reason: reason.into(), note: note.into() })
}

/// What limits a number that can send, and that nothing does any more.
fn health(before: &Before, after: &Assessment) -> Option<Notice> {
    let kind = ConditionType::Healthy;
    let (was, now) = (before.conditions.get(kind)?, after.conditions.get(kind)?);
    let is_turn = was.status == Truth::True && now.status == Truth::True && was.reason != now.reason;
    let is_free = now.reason == Reason::CanSend;
    let is_shared = match is_free {
        true => is_limited_above(&before.conditions, &before.facts),
        false => is_limited_above(&after.conditions, &after.facts),
    };
    (is_turn && !is_shared).then(|| told(!is_free, now.reason.as_str(), now.reason))
}

/// The desired name became the live one of a number that had another.
fn name(before: &Before, after: &Assessment) -> Option<Notice> {
    let (was, now) = (before.facts.verified_name.as_ref()?, after.facts.verified_name.as_ref()?);
    let approved = after.conditions.get(ConditionType::DisplayNameApproved)?;
    (was != now && approved.status == Truth::True).then(|| Notice::of(approved))
}

/// What the operator is at, or waits for, is told by nobody.
fn username(before: &Before, after: &Assessment) -> Option<Notice> {
    let kind = ConditionType::UsernameClaimed;
    let (was, now) = (before.conditions.get(kind)?, after.conditions.get(kind)?);
    let is_passing = matches!(now.reason.kind(), ReasonKind::Progress | ReasonKind::Time);
    let is_turn = match (was.status, now.status) {
        (Truth::False, Truth::True) => true,
        (Truth::True, Truth::True) => was.reason != now.reason,
        (Truth::True, Truth::False) => !is_passing,
        _ => false,
    };
    is_turn.then(|| Notice::of(now))
}

fn official(before: &Before, after: &Assessment) -> Option<Notice> {
    let (was, now) = (before.facts.official_status.as_ref()?, after.facts.official_status.as_ref()?);
    let kind = ConditionType::OfficialAccount.as_str();
    match OfficialStatus::from(now.as_str()) {
        _ if was == now => None,
        OfficialStatus::Approved => Some(told(false, kind, Reason::OfficialAccountApproved)),
        OfficialStatus::Rejected => Some(told(true, &format!("Not{kind}"), Reason::OfficialAccountRejected)),
        _ => None,
    }
}

/// The fields that the step of a pass brought back after somebody else had changed them.
pub fn repaired(plan: &Plan, outcome: Option<&Outcome>, memory: &Memory) -> Option<String> {
    let outcome = outcome.filter(|outcome| outcome.result.is_ok())?;
    let since = |at: &[jiff::Timestamp]| at.last().is_some_and(|at| *at >= outcome.at);
    let mut fields: Vec<&str> = memory
        .marks
        .repairs
        .iter()
        .filter(|(_, repairs)| since(&repairs.at))
        .map(|(field, _)| field.as_str())
        .collect();
    let before = &plan.memory.marks;
    if let Some(Step::WritePicture { sum, .. }) = plan.step.as_ref().map(|planned| &planned.step)
        && before.picture.as_ref().is_some_and(|(taken, _)| taken == sum)
        && before.picture_lost.is_some()
        && !before.picture_found
    {
        fields.push(PICTURE);
    }
    (!fields.is_empty()).then(|| fields.join(", "))
}

impl Notice {
    /// For fields of the spec that were written again.
    pub fn repaired(fields: &str) -> Self {
        let note = format!("somebody else had changed {fields} at Meta; it is again as the spec says");
        Self { is_warning: false, reason: "Repaired".into(), note }
    }
}

/// Which apps of others came to the accounts of a portfolio, and went, with the id of the account.
pub fn apps(before: &[AccountInReach], after: &[AccountInReach]) -> Vec<(String, Notice)> {
    let mut told = Vec::new();
    for account in after {
        let was = before.iter().find(|was| was.id == account.id).and_then(|was| was.apps.as_ref());
        let Some((was, now)) = was.zip(account.apps.as_ref()) else { continue };
        let (has_come, has_gone) = turn(was, now);
        let part = format!("account {}", account.id);
        for (is_so, is_warning, reason, note) in [
            (has_come, true, "OtherAppSubscribed", CAME),
            (has_gone, false, "OtherAppGone", "an app of somebody else is not subscribed to it any more"),
        ] {
            if is_so {
                let notice = Notice { is_warning, reason: reason.into(), note: format!("{part}: {note}") };
                told.push((account.id.clone(), notice));
            }
        }
    }
    told
}

const CAME: &str = "an app of somebody else was subscribed to it, and gets every message of its numbers; status.accounts names it; find out whose it is";

/// Whether an app of somebody else came, and whether one went. Of more than are listed only their number is known.
fn turn(was: &SubscribedApps, now: &SubscribedApps) -> (bool, bool) {
    let all = || was.others.iter().chain(&now.others);
    let of_meta: BTreeSet<&str> =
        all().filter(|app| app.name.as_deref() == Some(OtherApp::OF_META)).map(|app| &*app.id).collect();
    let foreign = |apps: &SubscribedApps| -> BTreeSet<String> {
        let ids = apps.others.iter().map(|app| app.id.clone());
        ids.filter(|id| !of_meta.contains(id.as_str())).collect()
    };
    let (old, new) = (foreign(was), foreign(now));
    if was.more_others.is_none() && now.more_others.is_none() {
        return (!new.is_subset(&old), !old.is_subset(&new));
    }
    let count = |listed: &BTreeSet<String>, apps: &SubscribedApps| {
        listed.len() + usize::try_from(apps.more_others.unwrap_or_default()).unwrap_or(usize::MAX)
    };
    let (old, new) = (count(&old, was), count(&new, now));
    (new > old, new < old)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        api::v1alpha1,
        engine::{
            assess::first,
            condition::Condition,
            failure::Failure,
            fixture,
            id::{AccountId, NumberId},
            outcome::Accepted,
            plan::plan,
            status::HealthFact,
            step::{Cause, Planned, StepKind},
        },
    };

    const PAGE: &str = include_str!("../../docs/facts.md");

    /// A number of which everything is known.
    fn shown(change: impl FnOnce(&mut Assessment)) -> Assessment {
        let mut shown = first(&fixture::desired(), fixture::now());
        for (kind, reason) in [
            (ConditionType::Healthy, Reason::CanSend),
            (ConditionType::PaymentReady, Reason::PaymentMethodPresent),
            (ConditionType::DisplayNameApproved, Reason::NameApproved),
            (ConditionType::UsernameClaimed, Reason::UsernameReserved),
        ] {
            set(&mut shown, kind, Truth::True, reason);
        }
        let word = |word: &str| Some(word.to_owned());
        shown.facts.quality = word("GREEN");
        shown.facts.verified_name = word("Acme");
        shown.facts.official_status = word("PENDING");
        change(&mut shown);
        shown
    }

    fn set(shown: &mut Assessment, kind: ConditionType, status: Truth, reason: Reason) {
        let (since, message) = (Timestamp::UNIX_EPOCH, String::new());
        shown.conditions.set(Condition { kind, status, reason, message, since, observed_generation: 1 });
    }

    fn turned(before: &Assessment, after: &Assessment) -> Vec<(bool, String)> {
        let before = Before {
            conditions: before.conditions.clone(),
            facts: before.facts.clone(),
            ..Before::default()
        };
        let told = news(&before, after);
        for notice in &told {
            assert!(
                PAGE.contains(&format!("`{}`", notice.reason)),
                "docs/facts.md tells of {}",
                notice.reason
            );
        }
        told.into_iter().map(|notice| (notice.is_warning, notice.reason)).collect()
    }

    /// From one to the other, and that nothing is told of either where it is seen first or stands.
    #[track_caller]
    fn tells(before: &Assessment, after: &Assessment, expected: &[(bool, &str)]) {
        let told = turned(before, after);
        let told: Vec<_> = told.iter().map(|(is_warning, reason)| (*is_warning, reason.as_str())).collect();
        assert_eq!(told, expected);
        let unread = first(&fixture::desired(), fixture::now());
        for one in [before, after] {
            assert_eq!((turned(&unread, one), turned(one, one)), (vec![], vec![]));
        }
    }

    #[test]
    fn a_quality_is_told_where_it_turns_to_or_from_one_that_is_not_high() {
        let rated = |word: &str| shown(|s| s.facts.quality = Some(word.to_owned()));
        for (was, is, expected) in [
            ("GREEN", "YELLOW", Some((true, "QualityYellow"))),
            ("GREEN", "RED", Some((true, "QualityRed"))),
            ("YELLOW", "RED", Some((true, "QualityRed"))),
            ("UNKNOWN", "RED", Some((true, "QualityRed"))),
            ("RED", "YELLOW", Some((false, "QualityYellow"))),
            ("YELLOW", "GREEN", Some((false, "QualityGreen"))),
            ("RED", "NA", Some((false, "QualityNotRated"))),
            ("RED", "PURPLE", Some((false, "QualityNotRated"))),
            ("GREEN", "UNKNOWN", None),
            ("UNKNOWN", "GREEN", None),
        ] {
            tells(&rated(was), &rated(is), expected.as_slice());
        }
    }

    #[test]
    fn what_limits_a_number_that_can_send_is_told_unless_it_is_above_the_number() {
        let limited = |reason| shown(|s| set(s, ConditionType::Healthy, Truth::True, reason));
        let named = |entity: &str| {
            let mut shown = limited(Reason::Limited);
            let health = HealthFact { entity: entity.into(), can_send: "LIMITED".into(), codes: Vec::new() };
            shown.facts.health_entities = vec![health];
            shown
        };
        let well = limited(Reason::CanSend);
        for reason in [Reason::NumberFlagged, Reason::NumberRestricted, Reason::NumberRateLimited] {
            tells(&well, &limited(reason), &[(true, reason.as_str())]);
            tells(&limited(reason), &well, &[(false, "CanSend")]);
        }
        tells(&well, &named("PHONE_NUMBER"), &[(true, "Limited")]);
        for above in ["WABA", "BUSINESS", "APP"] {
            tells(&well, &named(above), &[]);
            tells(&named(above), &well, &[]);
            tells(&named(above), &limited(Reason::NumberFlagged), &[(true, "NumberFlagged")]);
        }
        let mut unpaid = named("PHONE_NUMBER");
        set(&mut unpaid, ConditionType::PaymentReady, Truth::False, Reason::PaymentProblem);
        tells(&well, &unpaid, &[]);
        let blocked = shown(|s| set(s, ConditionType::Healthy, Truth::False, Reason::Blocked));
        tells(&well, &blocked, &[]);
    }

    #[test]
    fn a_name_is_told_once_it_is_live() {
        let named = |name: &str, status, reason| {
            shown(|s| {
                s.facts.verified_name = Some(name.into());
                set(s, ConditionType::DisplayNameApproved, status, reason);
            })
        };
        let wanted = named("Acme", Truth::False, Reason::NameInReview);
        let live = named("Acme Brasil", Truth::True, Reason::NameApproved);
        tells(&wanted, &live, &[(false, "DisplayNameApproved")]);
        tells(&named("Acme", Truth::True, Reason::NameApproved), &wanted, &[]);
        tells(&live, &named("Somebody", Truth::False, Reason::NameDiffers), &[]);
    }

    #[test]
    fn a_username_is_told_where_it_is_got_or_lost_and_not_while_it_is_claimed() {
        let has = |status, reason| shown(|s| set(s, ConditionType::UsernameClaimed, status, reason));
        let claiming = has(Truth::False, Reason::ClaimingUsername);
        let reserved = has(Truth::True, Reason::UsernameReserved);
        let approved = has(Truth::True, Reason::UsernameApproved);
        let revoked = has(Truth::False, Reason::UsernameRevoked);
        tells(&claiming, &reserved, &[(false, "UsernameClaimed")]);
        tells(&reserved, &approved, &[(false, "UsernameClaimed")]);
        tells(&approved, &revoked, &[(true, "NotUsernameClaimed")]);
        tells(&approved, &claiming, &[]);
        tells(&claiming, &revoked, &[]);
    }

    #[test]
    fn an_official_account_is_told_where_meta_decided() {
        let is = |word: &str| shown(|s| s.facts.official_status = Some(word.to_owned()));
        tells(&is("PENDING"), &is("APPROVED"), &[(false, "OfficialAccount")]);
        tells(&is("UNDER_REVIEW"), &is("REJECTED"), &[(true, "NotOfficialAccount")]);
        tells(&is("NOT_STARTED"), &is("PENDING"), &[]);
    }

    #[test]
    fn a_field_that_was_brought_back_is_named_and_one_that_was_asked_for_is_not() {
        let case = fixture::Case::ready();
        let (before, now) = (case.memory.clone(), fixture::now());
        let accepted = |result| Outcome { intent: None, step: StepKind::RouteWebhook, at: now, result };
        let done = accepted(Ok(Accepted::default()));
        let mut plan = plan(&case.desired, &case.observed, &before, &case.limits, now);
        let mut after = before.clone();
        assert_eq!(repaired(&plan, Some(&done), &after), None);
        after.marks.note_repair("webhook.callbackUrl", now, 3);
        assert_eq!(repaired(&plan, Some(&done), &after).as_deref(), Some("webhook.callbackUrl"));
        assert_eq!(repaired(&plan, None, &after), None, "it was told when it was done");
        let later = Outcome { at: now + std::time::Duration::from_secs(60), ..done.clone() };
        assert_eq!(repaired(&plan, Some(&later), &after), None, "another step");
        let refused = accepted(Err(Failure::NoAnswer("time-out".into())));
        assert_eq!(repaired(&plan, Some(&refused), &after), None);
        let notice = Notice::repaired("webhook.callbackUrl");
        assert!(
            PAGE.contains(&format!("`{}`", notice.reason)) && notice.note.contains("webhook.callbackUrl")
        );

        let step = Step::WritePicture {
            account: AccountId::from("1"),
            number: NumberId::from("2"),
            sum: "a".into(),
        };
        plan.step = Some(Planned { step, why: String::new(), cause: Cause::Automatic });
        for (taken, lost, told) in
            [("a", Some(now), Some("profile.picture")), ("a", None, None), ("b", Some(now), None)]
        {
            plan.memory.marks.picture = Some((taken.into(), now));
            plan.memory.marks.picture_lost = lost;
            assert_eq!(repaired(&plan, Some(&done), &before).as_deref(), told, "{taken} {lost:?}");
        }
    }

    fn account(apps: &[(&str, &str)], more: Option<u32>) -> Vec<AccountInReach> {
        let other = |(id, name): &(&str, &str)| v1alpha1::OtherApp {
            id: (*id).into(),
            name: Some((*name).into()).filter(|name: &String| !name.is_empty()),
        };
        vec![AccountInReach {
            id: "300".into(),
            name: None,
            owned: Some(true),
            apps: Some(SubscribedApps {
                ours: true,
                others: apps.iter().map(other).collect(),
                more_others: more,
                override_url: None,
            }),
        }]
    }

    #[test]
    fn an_app_that_came_or_went_is_told_of_its_account_and_none_of_metas_own() {
        let reasons = |before: &[AccountInReach], after: &[AccountInReach]| -> Vec<(bool, String)> {
            let told = apps(before, after).into_iter().map(|(account, notice)| {
                assert!(account == "300" && notice.note.starts_with("account 300: "), "{notice:?}");
                assert!(PAGE.contains(&format!("`{}`", notice.reason)), "{notice:?}");
                (notice.is_warning, notice.reason)
            });
            told.collect()
        };
        let (came, gone) = ((true, "OtherAppSubscribed".to_owned()), (false, "OtherAppGone".to_owned()));
        let (none, crm) = (account(&[], None), account(&[("8", "CRM")], None));
        assert_eq!(reasons(&none, &crm), [came.clone()]);
        assert_eq!(reasons(&crm, &none), [gone.clone()]);
        assert_eq!(reasons(&crm, &account(&[("9", "")], None)), [came.clone(), gone.clone()]);
        assert_eq!((reasons(&crm, &crm), reasons(&[], &crm)), (vec![], vec![]));
        let unread = vec![AccountInReach { apps: None, ..crm[0].clone() }];
        assert_eq!((reasons(&unread, &crm), reasons(&crm, &unread)), (vec![], vec![]));
        let of_meta = account(&[("7", OtherApp::OF_META)], None);
        assert_eq!((reasons(&none, &of_meta), reasons(&of_meta, &none)), (vec![], vec![]));
        assert_eq!(reasons(&account(&[("7", "")], None), &of_meta), [], "its name is read now");
        // Of the many only the first are listed, and one that comes may push another out.
        let (many, more) =
            (account(&[("1", ""), ("3", "")], Some(1)), account(&[("1", ""), ("2", "")], Some(2)));
        assert_eq!((reasons(&many, &more), reasons(&more, &many)), (vec![came], vec![gone]));
        assert_eq!(reasons(&many, &account(&[("1", ""), ("2", "")], Some(1))), []);
    }
}
