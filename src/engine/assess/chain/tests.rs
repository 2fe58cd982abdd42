//! Which link of a channel breaks, by what a pass read of it.
#![allow(clippy::unwrap_used)]

use rstest::rstest;

use super::*;
use crate::engine::{
    fixture::{Case, OTHER_ACCOUNT, complete, now, number, refusal, retry_failure},
    value::{observed::Searched, secret::SecretFact},
};

fn chain(case: &mut Case) -> Chain {
    let assessment = case.assess();
    of_channel(&case.given(), &case.memory, &assessment, Above::None)
}

fn mark(chain: &Chain, kind: LinkKind) -> Mark {
    chain.links.iter().find(|link| link.kind == kind).unwrap().mark
}

#[test]
fn a_ready_channel_has_no_next_step() {
    let chain = chain(&mut Case::ready());
    assert_eq!(chain.next, None, "{chain:#?}");
    for kind in [LinkKind::Account, LinkKind::Number, LinkKind::Registration, LinkKind::Health] {
        assert_eq!(mark(&chain, kind), Mark::Ok, "{kind:?}");
    }
    assert!(!chain.is_broken() && !chain.is_unread());
}

#[rstest]
#[case(Reason::NumberOnPhone, LinkKind::Number)]
#[case(Reason::NumberInOtherAccount, LinkKind::Number)]
fn what_a_person_has_to_mend_is_broken_and_all_after_it_waits(
    #[case] reason: Reason,
    #[case] link: LinkKind,
) {
    let mut case = Case::absent().blocked(reason);
    let chain = chain(&mut case);
    let next = chain.next.as_ref().unwrap();
    assert_eq!((next.link, next.reason), (Some(link), reason), "{chain:#?}");
    assert_eq!(next.wait.as_ref().map(|wait| wait.actor), reason.asks().map(|asks| asks.action.actor()));
    assert_eq!(mark(&chain, link), Mark::Broken);
    for kind in [LinkKind::Code, LinkKind::Registration, LinkKind::Health] {
        assert_eq!(mark(&chain, kind), Mark::NotChecked, "{kind:?}: {chain:#?}");
    }
}

/// What the status remembers of a link is no reading of it.
#[test]
fn a_look_that_failed_breaks_nothing_and_checks_nothing() {
    let mut case = Case::ready().fail_look();
    let chain = chain(&mut case);
    assert!(chain.is_unread() && !chain.is_broken() && chain.next.is_none(), "{chain:#?}");
    assert_ne!(mark(&chain, LinkKind::Health), Mark::Ok, "{chain:#?}");
}

#[test]
fn a_list_that_failed_breaks_no_link_and_the_account_is_told_as_it_was_read() {
    let mut case = Case::ready();
    case.observed.search = vec![Searched { list: ListState::Failed(retry_failure()), ..complete(None) }];
    let chain = chain(&mut case);
    assert_eq!(mark(&chain, LinkKind::Number), Mark::NotChecked, "{chain:#?}");
    let account = chain.links.iter().find(|link| link.kind == LinkKind::Account).unwrap();
    assert!(account.read.contains("status ACTIVE"), "{account:?}");
    assert!(chain.is_unread() && !chain.is_broken(), "{chain:#?}");
}

#[test]
fn a_pin_secret_that_whoever_asks_may_not_read_is_not_checked() {
    let mut fresh = number();
    fresh.platform = Field::Is(crate::engine::value::id::PlatformType::NotApplicable);
    let mut case = Case::with(fresh).blocked(Reason::PinNeeded);
    case.memory.marks.note_not_registered(now());
    assert_eq!(mark(&chain(&mut case), LinkKind::Registration), Mark::Broken);
    case.observed.pin_secret = SecretFact::Forbidden("secrets is forbidden".into());
    let chain = chain(&mut case);
    assert_eq!(mark(&chain, LinkKind::Registration), Mark::NotChecked);
    assert!(!chain.is_broken() && chain.is_unread(), "{chain:#?}");
}

#[test]
fn the_account_that_has_the_number_is_named() {
    let mut case = Case::absent().blocked(Reason::NumberInOtherAccount);
    case.observed.search.push(Searched { account: OTHER_ACCOUNT.into(), ..complete(Some(number())) });
    let chain = chain(&mut case);
    let link = chain.links.iter().find(|link| link.kind == LinkKind::Number).unwrap();
    assert!(link.read.contains(OTHER_ACCOUNT), "{link:?}");
}

#[test]
fn an_account_that_is_hidden_is_told_in_the_words_of_meta() {
    let mut case = Case::ready();
    case.observed.account = Fact::Unknown(Failure::Refused(refusal(200, None, "T1")));
    case.before = crate::engine::value::status::Before::default();
    let chain = chain(&mut case);
    let link = chain.links.iter().find(|link| link.kind == LinkKind::Account).unwrap();
    assert!(link.mark == Mark::Broken && link.read.contains("(200)"), "{link:?}");
}

#[test]
fn who_is_subscribed_is_told_also_where_no_webhook_is_managed() {
    let read = |case: &mut Case| {
        let chain = chain(case);
        let link = chain.links.iter().find(|link| link.kind == LinkKind::Subscription).unwrap();
        assert!(!chain.is_broken(), "nothing of it holds anything up: {chain:#?}");
        (link.mark, link.read.clone())
    };
    let mut case = Case::ready();
    case.desired.webhook = None;
    case.observed.subscribed = Fact::NotAsked;
    assert_eq!(read(&mut case).0, Mark::NotChecked);
    case.observed.subscribed = Fact::Known(false);
    let (mark, text) = read(&mut case);
    assert!(mark == Mark::Warn && text.contains("nothing will be received"), "{mark:?} {text}");
    let app =
        |n: u32| OtherApp { id: format!("20000000000000{n}").as_str().into(), name: Some("Acme CRM".into()) };
    case.observed.other_apps = (1..=7).map(app).collect();
    let (mark, text) = read(&mut case);
    assert_eq!(mark, Mark::Ok);
    assert!(text.contains("Acme CRM (200000000000001)") && text.ends_with("and 2 more"), "{text}");
}
