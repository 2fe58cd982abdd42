//! Which link of a channel breaks, by what a pass read of it.
#![allow(clippy::unwrap_used)]

use rstest::rstest;

use super::*;
use crate::engine::{
    fixture::{Case, OTHER_ACCOUNT, complete, now, number, refusal, retry_failure},
    value::{
        observed::{Searched, WebhookConfiguration},
        secret::SecretFact,
    },
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

#[test]
fn a_suspended_channel_says_so_at_each_link_and_that_a_person_may_resume_it() {
    use crate::engine::value::action::Action;
    for mut case in [Case::ready(), Case::absent()] {
        // As it was before, with whatever it remembers.
        case.settle();
        case.desired.suspend = true;
        case.observed.account = Fact::NotAsked;
        case.observed.search.clear();
        case.observed.subscribed = Fact::NotAsked;
        let mut case = case.blocked(Reason::Suspended);
        let chain = chain(&mut case);
        for (kind, _) in OWN {
            let link = chain.links.iter().find(|link| link.kind == *kind).unwrap();
            assert_eq!(link.mark, Mark::NotChecked, "{link:?}");
            let is_said = link.read.starts_with("not looked at: ") || link.read.contains("is not set");
            assert!(is_said, "{link:?}");
        }
        let next = chain.next.as_ref().expect("what ends it");
        assert_eq!((next.link, next.reason), (None, Reason::Suspended));
        assert_eq!(next.wait.as_ref().map(|wait| wait.action.as_str()), Some(Action::Resume.as_str()));
        assert!(!chain.is_broken() && !chain.is_unread(), "somebody wants it so: {chain:#?}");
    }
}

#[test]
fn metas_own_app_is_nobody_who_reads_along() {
    let mut case = Case::ready();
    case.observed.subscribed = Fact::Known(true);
    let of_meta = OtherApp { id: "200000000000007".into(), name: Some(OtherApp::OF_META.into()) };
    let crm = OtherApp { id: "200000000000008".into(), name: Some("Acme CRM".into()) };
    let read = |case: &mut Case, apps: Vec<OtherApp>| {
        case.observed.other_apps = apps.into();
        let chain = chain(case);
        chain.links.iter().find(|link| link.kind == LinkKind::Subscription).unwrap().read.clone()
    };
    assert_eq!(read(&mut case, vec![of_meta.clone()]), "the app is subscribed to the account");
    let both = read(&mut case, vec![of_meta, crm]);
    assert!(both.ends_with("; others that are: Acme CRM (200000000000008)"), "{both}");
}

#[test]
fn of_two_overrides_both_are_named_and_which_counts() {
    let mut case = Case::ready();
    let url = |url: &str| Some(url.to_owned());
    case.number().webhook = Field::Is(Box::new(WebhookConfiguration {
        number: url("https://bot.acme.example/wa"),
        account: url("https://old.acme.example/wa"),
        ..WebhookConfiguration::default()
    }));
    let chain = chain(&mut case);
    let link = chain.links.iter().find(|link| link.kind == LinkKind::Webhook).unwrap();
    let both = "the number's webhook is https://bot.acme.example/wa; it goes before that of the account, https://old.acme.example/wa";
    assert!(link.read.ends_with(both), "{link:?}");
}
