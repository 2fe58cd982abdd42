#![allow(clippy::unwrap_used)]

use super::*;
use crate::engine::{
    failure::{Class, Refusal},
    fixture::{business, now, reachable, refusal},
};
use crate::meta::port::AccountList;

const FRESH: Duration = Duration::from_secs(3_600);

fn minutes(minutes: u64) -> Timestamp {
    later(now(), Duration::from_secs(minutes * 60))
}

fn refused(code: i64, class: Class) -> Failure {
    Failure::Refused(Refusal { class, ..refusal(code, None, "T1") })
}

fn whole(begun: Timestamp, ids: &[&str]) -> AccountList {
    AccountList { begun, accounts: ids.iter().map(|id| reachable(id)).collect() }
}

#[test]
fn what_was_not_answered_is_asked_again_at_its_date_and_what_was_answered_when_it_is_old() {
    let mut told = Told::default();
    let due = |told: &Told<_>, at| told.is_due(earlier(at, FRESH), at);
    assert!(due(&told, now()));
    told.failed(Failure::NoAnswer("time-out".into()), now(), minutes(5));
    assert!(!due(&told, minutes(4)) && due(&told, minutes(5)));
    told.answered(Fact::Known(business()), minutes(5));
    assert!(!due(&told, minutes(65)) && due(&told, minutes(66)));
    told.failed(refused(200, Class::Credentials), minutes(70), minutes(71));
    assert!(!due(&told, minutes(130)), "that it may not be read is an answer");
    told.failed(refused(190, Class::Credentials), minutes(131), minutes(132));
    assert!(due(&told, minutes(132)), "a credential that is refused is a matter of the credential");
}

#[test]
fn a_read_that_was_not_answered_leaves_what_is_known_and_is_told_once() {
    let mut told = Told::default();
    told.answered(Fact::Known(business()), now());
    let lost = Failure::NoAnswer("time-out".into());
    told.failed(lost.clone(), minutes(60), minutes(61));
    assert_eq!(told.tell(), Fact::Unknown(lost));
    assert_eq!(told.tell(), Fact::Known(business()));
    let denied = refused(200, Class::Credentials);
    told.failed(denied.clone(), minutes(61), minutes(62));
    assert_eq!((told.tell(), told.tell()), (Fact::Unknown(denied.clone()), Fact::Unknown(denied)));
}

#[test]
fn a_list_tells_each_account_that_is_new_and_stands_until_a_newer_one_is_whole() {
    let mut list = List::default();
    let known = |list: &List| list.told.fact.known().map(|all| all.len());
    let part = |whole, newer| Listing { whole, newer, held: None };
    assert_eq!(list.take(part(None, Vec::new()), now(), now()), (false, true), "a page with nothing to tell");
    let first = whole(now(), &["1", "2"]);
    assert_eq!(list.take(part(Some(first.clone()), Vec::new()), now(), minutes(5)), (true, false));
    assert_eq!((known(&list), list.told.at), (Some(2), Some(now())), "its age counts from its first page");
    let next = part(Some(first.clone()), vec![reachable("3")]);
    assert_eq!(list.take(next.clone(), minutes(60), minutes(61)), (true, true));
    assert_eq!(list.take(next, minutes(60), minutes(62)), (false, true));
    let held = Some((Failure::NoAnswer("time-out".into()), minutes(64)));
    let failed = Listing { whole: Some(first), newer: vec![reachable("3")], held };
    assert_eq!(list.take(failed, minutes(60), minutes(63)), (true, false));
    assert_eq!((known(&list), list.newer.len(), list.told.again), (Some(2), 1, Some(minutes(64))));
    let newer = part(Some(whole(minutes(60), &["1"])), Vec::new());
    assert_eq!(list.take(newer, minutes(60), minutes(65)), (true, false));
    assert_eq!((known(&list), list.newer.len(), list.told.again), (Some(1), 0, None));
}

#[test]
fn the_last_whole_list_of_another_object_serves_until_a_newer_one_is_read() {
    let mut list = List::default();
    let held = Some((Failure::NoAnswer("time-out".into()), minutes(1)));
    let listing = Listing { whole: Some(whole(now(), &["1"])), newer: Vec::new(), held };
    list.take(listing, minutes(120), minutes(121));
    assert_eq!(list.told.fact.known().unwrap().len(), 1);
    assert!(list.told.is_due(minutes(120), minutes(121)), "it is old");
}

#[test]
fn a_clock_that_is_set_back_or_forward_keeps_no_read_waiting() {
    let fresh = Duration::from_secs(3_600);
    let hour = jiff::SignedDuration::from_mins(61);
    for then in [now() - hour, now() + hour] {
        let mut told = Told::<()>::default();
        told.answered(Fact::Known(()), now());
        assert!(!told.is_due(earlier(now(), fresh), now()), "it was read just now");
        assert!(told.is_due(earlier(then, fresh), then), "{then}");
        told.failed(Failure::NoAnswer("time-out".into()), now(), minutes(1));
        assert!(!told.is_due(now(), now()) && told.is_due(then, then), "{then}");
    }
}
