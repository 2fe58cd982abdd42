#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::FutureExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{AccountsPage, KEPT_LISTS, Key, Lists, ROOM, lock};
use crate::{
    engine::{failure::Failure, fixture::reachable, look::Urgency, portfolio::Reachable},
    meta::{
        edge::Edge,
        fixture::{Bench, Reply, Seen, credential, refused},
        port::{Clock, Graph, GraphSource, Listing},
        wire::Next,
    },
};

/// Pages of the list that most tests read.
const PAGES: u64 = 50;

fn list(ids: impl IntoIterator<Item = u64>, after: Option<u64>) -> Value {
    let data: Vec<_> =
        ids.into_iter().map(|id| json!({"id": format!("3{id:014}"), "name": "Acme"})).collect();
    let mut answer = json!({"data": data});
    if let Some(after) = after {
        answer["paging"] =
            json!({"cursors": {"after": after.to_string()}, "next": "https://graph.facebook.com/x"});
    }
    answer
}

/// The page that is asked for, of 5,000 accounts.
fn of_fifty(seen: &Seen) -> Reply {
    let at: u64 = seen.query("after").map_or(0, |cursor| cursor.parse().unwrap());
    let next = (at + 1 < PAGES).then_some(at + 1);
    Reply::Json(200, list(at * 100..(at + 1) * 100, next))
}

fn page(ids: impl IntoIterator<Item = u64>, after: Option<u64>) -> Reply {
    Reply::Json(200, list(ids, after))
}

fn cursor_refused() -> Reply {
    refused(100, "(#100) Invalid cursors values")
}

async fn next(bench: &Bench, not_before: Timestamp) -> Listing {
    bench.client.owned_accounts(not_before, Urgency::Transitional).await
}

/// Reads on, and lets each pause pass, until the list is whole.
async fn to_the_end(bench: &Bench, not_before: Timestamp) -> Vec<u64> {
    for _ in 0..1_000 {
        let listing = next(bench, not_before).await;
        if let Some(list) = listing.since(not_before) {
            return list.accounts.iter().map(|account| account.id.as_str()[1..].parse().unwrap()).collect();
        }
        if let Some((_, again)) = listing.held {
            let pause = again.duration_since(bench.now());
            bench.clock.pass(Duration::try_from(pause).unwrap());
        }
    }
    panic!("the list has no end")
}

fn cursors(bench: &Bench) -> Vec<Option<String>> {
    bench.seen().iter().map(|seen| seen.query("after")).collect()
}

#[tokio::test]
async fn a_page_that_fails_is_asked_for_again_and_not_those_before_it() {
    let bench = Bench::new([]).await;
    for at in 0..PAGES {
        let failures = if at == 29 { 5 } else { 0 };
        (0..failures).for_each(|_| bench.then(Reply::Json(503, json!({}))));
        bench.then(Reply::By(of_fifty));
    }
    let accounts = to_the_end(&bench, bench.now()).await;
    assert_eq!(accounts, (0..5_000).collect::<Vec<_>>());
    let asked = cursors(&bench);
    assert_eq!(asked.len(), 50 + 5);
    assert_eq!(asked.iter().filter(|cursor| cursor.as_deref() == Some("29")).count(), 6);
    assert_eq!(asked.iter().filter(|cursor| cursor.is_none()).count(), 1);
}

#[tokio::test]
async fn a_failed_page_is_not_asked_for_before_its_pause_is_over() {
    let failed = || [Reply::Json(503, json!({})), Reply::Json(503, json!({}))];
    let bench = Bench::new(failed().into_iter().chain(failed()).chain([page([1], None)])).await;
    let begun = bench.now();
    let again = next(&bench, begun).await.held.unwrap().1;
    assert_eq!(again.duration_since(begun).as_secs(), 5);
    bench.clock.pass(Duration::from_secs(4));
    assert_eq!(next(&bench, begun).await.held.unwrap().1, again);
    assert_eq!(bench.seen().len(), 2, "a read is sent twice at most");
    bench.clock.pass(Duration::from_secs(1));
    let later = next(&bench, begun).await.held.unwrap().1;
    assert_eq!(later.duration_since(bench.now()).as_secs(), 10, "each pause is longer than the one before");
}

#[tokio::test]
async fn an_account_is_told_with_its_page_and_taken_off_by_a_whole_list_alone() {
    let bench = Bench::new([page([1, 2], None), page([3], Some(1))]).await;
    let first = bench.now();
    next(&bench, first).await.since(first).unwrap();
    bench.clock.pass(Duration::from_secs(3_600));
    let second = bench.now();
    let part = next(&bench, second).await;
    let ids = |list: &[crate::engine::portfolio::Reachable]| -> Vec<_> {
        list.iter().map(|account| account.id.as_str()[1..].parse::<u64>().unwrap()).collect()
    };
    assert!(part.since(second).is_none());
    assert_eq!(ids(&part.whole.unwrap().accounts), [1, 2], "what the new list has not shown yet stands");
    assert_eq!(ids(&part.newer), [3]);

    bench.then(cursor_refused());
    let anew = next(&bench, second).await;
    assert!(matches!(anew.held, Some((Failure::NoAnswer(_), _))), "it says nothing about the portfolio");
    assert_eq!(ids(&anew.newer), [3], "also when the list has to be begun anew");
    bench.then(page([2], None));
    bench.clock.pass(Duration::from_secs(5));
    let whole = next(&bench, second).await;
    assert_eq!((ids(&whole.since(second).unwrap().accounts), ids(&whole.newer)), (vec![2], vec![]));
}

#[tokio::test]
async fn a_cursor_that_is_refused_begins_the_list_anew() {
    for refusal in [cursor_refused, || refused(131_059, "(#131059) Invalid cursor")] {
        let bench = Bench::new([page([1], Some(1)), refusal(), page([1], Some(2)), page([2], None)]).await;
        assert_eq!(to_the_end(&bench, bench.now()).await, [1, 2]);
        assert_eq!(cursors(&bench), [None, Some("1".into()), None, Some("2".into())]);
    }
}

#[tokio::test]
async fn a_cursor_that_is_refused_again_and_again_is_tried_ever_less_often() {
    let bench = Bench::new([]).await;
    let mut pauses = Vec::new();
    for _ in 0..9 {
        bench.then(page([1], Some(1)));
        bench.then(cursor_refused());
        assert!(next(&bench, Timestamp::MIN).await.held.is_none());
        let again = next(&bench, Timestamp::MIN).await.held.unwrap().1;
        let pause = Duration::try_from(again.duration_since(bench.now())).unwrap();
        bench.clock.pass(pause);
        pauses.push(pause.as_secs());
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
}

#[tokio::test]
async fn a_list_that_may_not_be_read_is_an_answer() {
    let bench = Bench::new([]).await;
    let denied = || refused(200, "(#200) Requires business_management permission to manage the object");
    (0..2).for_each(|_| bench.then(denied()));
    let (failure, _) = next(&bench, bench.now()).await.held.unwrap();
    assert!(failure.refusal().unwrap().is_permission());
}

#[tokio::test]
async fn who_reads_the_same_list_shares_its_pages_and_no_other_version_does() {
    let bench = Bench::new((0..4).map(|_| Reply::By(of_fifty))).await;
    let other = bench.meta.graph(credential("1", None));
    for _ in 0..2 {
        let now = bench.now();
        let both = futures::join!(next(&bench, now), other.owned_accounts(now, Urgency::Transitional),);
        assert!(both.0.held.is_none() && both.1.held.is_none());
    }
    assert_eq!(cursors(&bench), [None, Some("1".into())]);
    let rotated = bench.meta.graph(credential("2", None));
    rotated.owned_accounts(bench.now(), Urgency::Transitional).await;
    bench.client.client_accounts(bench.now(), Urgency::Transitional).await;
    assert_eq!(cursors(&bench)[2..], [None, None]);
}

#[tokio::test]
async fn a_page_waits_for_the_date_of_the_app_s_budget_and_spends_nothing_meanwhile() {
    let usage = &[("x-app-usage", r#"{"call_count":95,"total_time":1,"total_cputime":1}"#)];
    let bench = Bench::new([Reply::With(200, usage, list([1], Some(1))), page([2], None)]).await;
    let begun = bench.now();
    assert!(next(&bench, begun).await.held.is_none());
    let (failure, again) = next(&bench, begun).await.held.unwrap();
    assert_eq!(failure, Failure::Throttled(again));
    assert_eq!(again.duration_since(begun).as_secs(), 600);
    assert_eq!(bench.seen().len(), 1);
    assert_eq!(to_the_end(&bench, begun).await, [1, 2]);
    assert_eq!(cursors(&bench), [None, Some("1".into())]);
}

#[tokio::test]
async fn a_list_that_goes_in_a_circle_or_has_no_end_is_no_list() {
    let bench = Bench::new([page([1], Some(1)), page([2], Some(1))]).await;
    assert!(next(&bench, bench.now()).await.held.is_none());
    assert!(matches!(next(&bench, bench.now()).await.held, Some((Failure::NoAnswer(_), _))));

    let endless = |seen: &Seen| {
        let at: u64 = seen.query("after").map_or(0, |cursor| cursor.parse().unwrap());
        Reply::Json(200, list([at], Some(at + 1)))
    };
    let pages = ROOM.pages;
    let bench = Bench::new((0..pages).map(|_| Reply::By(endless))).await;
    let mut told = BTreeSet::new();
    for _ in 0..pages {
        // Our own budget allows fewer pages in an hour.
        bench.clock.pass(Duration::from_secs(10));
        if let Some((failure, again)) = next(&bench, Timestamp::MIN).await.held {
            told.insert((format!("{failure:?}"), again.duration_since(bench.now()).as_secs()));
        }
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told.iter().all(|(why, pause)| why.contains("more than") && *pause == 3_600), "{told:?}");
}

#[tokio::test]
async fn a_list_that_is_too_large_is_no_list_and_nothing_large_is_kept_of_it() {
    let fat = |seen: &Seen| {
        let at: u64 = seen.query("after").map_or(0, |cursor| cursor.parse().unwrap());
        let mut answer = list([at], Some(at + 1));
        answer["data"][0]["name"] = "x".repeat(3 * 1_024 * 1_024).into();
        Reply::Json(200, answer)
    };
    let bench = Bench::new((0..ROOM.pages).map(|_| Reply::By(fat))).await;
    for page in 0..=11 {
        let listing = next(&bench, Timestamp::MIN).await;
        match listing.held {
            None => assert!(page < 10),
            Some((failure, again)) => {
                assert_eq!(failure, Failure::TooLarge("Meta's list has more than 32 MiB".into()));
                assert_eq!((page, again.duration_since(bench.now()).as_secs()), (10, 3_600));
                return;
            }
        }
    }
    panic!("it has no end");
}

const MIB: usize = 1_048_576;

/// A page with so many accounts, each of which has 20 MiB.
fn fat(accounts: usize, next: Next) -> AccountsPage {
    let name: Arc<str> = "x".repeat(20 * MIB).into();
    let one = |n: usize| Reachable { name: Some(name.clone()), ..reachable(&format!("3{n}")) };
    AccountsPage { accounts: (0..accounts).map(one).collect(), bytes: 10, skipped: BTreeSet::new(), next }
}

fn key(business: &str, version: &str) -> Key {
    Key { business: business.into(), version: version.into(), edge: Edge::OwnedAccounts }
}

/// Whose lists are kept, by business and version.
fn kept(lists: &Lists) -> Vec<String> {
    let slots = lock(&lists.0);
    let filled = slots.iter().filter(|(_, slot)| slot.bytes > 0);
    let mut kept: Vec<_> = filled.map(|(key, _)| format!("{}/{}", key.business, key.version)).collect();
    kept.sort();
    let bytes: usize = slots.values().map(|slot| slot.bytes).sum();
    assert!(bytes <= KEPT_LISTS, "{bytes}");
    kept
}

#[tokio::test]
async fn lists_of_all_portfolios_have_one_bound_and_those_with_little_keep_it() {
    let bench = Bench::new([]).await;
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let lists = Lists::default();
    let read = async |business: &str, version: &str, page: AccountsPage| {
        bench.clock.pass(Duration::from_secs(1));
        let read = |_| async { Ok(page) };
        lists.go_on(key(business, version), bench.now(), Urgency::Transitional, &clock, read).await
    };
    let small = || AccountsPage { accounts: vec![reachable("39")], ..fat(0, Next::End) };
    for business in ["small", "a", "b", "c"] {
        let page = if business == "small" { small() } else { fat(1, Next::End) };
        read(business, "1", page).await;
    }
    assert_eq!(kept(&lists), ["a/1", "b/1", "c/1", "small/1"]);
    read("d", "1", fat(1, Next::End)).await;
    assert_eq!(kept(&lists), ["b/1", "c/1", "d/1", "small/1"], "of equal ones the oldest goes");
    read("c", "2", fat(1, Next::End)).await;
    assert_eq!(kept(&lists), ["b/1", "c/2", "d/1", "small/1"], "whoever has two loses the older one");
    let listing = read("e", "1", fat(2, Next::After("1".into()))).await;
    let (failure, again) = listing.held.unwrap();
    assert_eq!(failure, Failure::TooLarge("Meta's lists of accounts have more than 64 MiB together".into()));
    assert!(again.duration_since(bench.now()).as_secs() > 3_590 && listing.newer.is_empty());
    assert_eq!(kept(&lists), ["b/1", "c/2", "d/1", "small/1"], "and whoever has the most has none");
    assert_eq!(read("other", "1", small()).await.whole.unwrap().accounts.len(), 1);
    assert_eq!(kept(&lists).len(), 5);
}

#[tokio::test]
async fn a_list_that_gave_way_while_a_page_was_under_way_is_begun_anew_and_is_never_a_half() {
    let bench = Bench::new([]).await;
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let lists = Lists::default();
    let asked = std::sync::Mutex::new(Vec::new());
    let begin = |business: &str| {
        let (let_go, comes) = oneshot::channel();
        let read = |from: super::Position| {
            asked.lock().unwrap().push(from.after);
            async { Ok(comes.await.unwrap()) }
        };
        bench.clock.pass(Duration::from_secs(1));
        let mut asking =
            Box::pin(lists.go_on(key(business, "1"), bench.now(), Urgency::Transitional, &clock, read));
        assert!(asking.as_mut().now_or_never().is_none(), "it waits for its page");
        (let_go, asking)
    };
    let (let_go, asking) = begin("a");
    assert!(let_go.send(fat(1, Next::After("2".into()))).is_ok());
    asking.await;
    let (last_of_a, asking_a) = begin("a");
    for business in ["b", "c", "d"] {
        let (let_go, asking) = begin(business);
        assert!(let_go.send(fat(1, Next::End)).is_ok());
        asking.await;
    }
    assert_eq!(kept(&lists), ["b/1", "c/1", "d/1"]);
    assert!(last_of_a.send(AccountsPage { accounts: vec![reachable("39")], ..fat(0, Next::End) }).is_ok());
    let listing = asking_a.await;
    assert!(listing.whole.is_none() && listing.held.is_none(), "{listing:?}");
    let (let_go, asking) = begin("a");
    assert!(let_go.send(AccountsPage { accounts: vec![reachable("38")], ..fat(0, Next::End) }).is_ok());
    assert_eq!(asking.await.whole.unwrap().accounts.len(), 1);
    let asked = asked.lock().unwrap();
    assert_eq!((asked[1].as_deref(), asked.last().unwrap()), (Some("2"), &None));
}

#[tokio::test]
async fn of_the_lists_of_one_business_those_of_two_versions_are_kept() {
    let bench = Bench::new((0..40).map(|_| page([1], None))).await;
    let kept = || lock(&bench.client.inner.lists.0).len();
    bench.client.client_accounts(bench.now(), Urgency::Transitional).await;
    for n in 0..30 {
        bench.clock.pass(Duration::from_secs(60));
        let version = if n % 2 == 0 { "old".to_owned() } else { n.to_string() };
        let turned = bench.meta.graph(credential(&version, None));
        turned.owned_accounts(bench.now(), Urgency::Transitional).await;
    }
    assert_eq!((bench.seen().len(), kept()), (31, 3), "two, and the one of another edge");
}

#[tokio::test]
async fn lists_of_one_business_that_are_read_at_once_are_each_read_to_the_end() {
    let pages = (0..3).map(|_| page([0], Some(1))).chain((0..3).map(|_| page([1], None)));
    let bench = Bench::new(pages).await;
    let graphs = ["a", "b", "c"].map(|version| bench.meta.graph(credential(version, None)));
    let begun = bench.now();
    let next = || {
        futures::future::join_all(
            graphs.iter().map(|graph| graph.owned_accounts(begun, Urgency::Transitional)),
        )
    };
    next().await;
    next().await;
    for list in next().await {
        assert_eq!(list.whole.map(|list| list.accounts.len()), Some(2));
    }
    assert_eq!(bench.seen().len(), 6, "each page is read once");
}

#[tokio::test(start_paused = true)]
async fn a_page_without_room_beside_other_lists_is_read_later_and_nobody_is_blamed() {
    let large = |after| {
        let mut answer = list([1], after);
        answer["data"][0]["name"] = "x".repeat(3 * MIB).into();
        Reply::Json(200, answer)
    };
    let pages = (0..8).map(|_| large(Some(2)));
    let bench = Bench::new([page([0], Some(1))].into_iter().chain(pages).chain([page([3], None)])).await;
    let mut others = bench.client.inner.together.share();
    assert!(others.hold(66 * MIB).await);
    let begun = bench.now();
    assert!(next(&bench, begun).await.held.is_none(), "a small one has room");
    let (failure, again) = next(&bench, begun).await.held.unwrap();
    assert_eq!((failure, again.duration_since(bench.now()).as_secs()), (Failure::NoRoom(again), 10));
    // However often there was none.
    for _ in 0..6 {
        bench.clock.pass(Duration::from_secs(10));
        let (failure, again) = next(&bench, begun).await.held.unwrap();
        assert_eq!((failure, again.duration_since(bench.now()).as_secs()), (Failure::NoRoom(again), 10));
    }
    drop(others);
    assert_eq!(to_the_end(&bench, begun).await, [0, 1, 3]);
    assert_eq!(format!("{:?}", bench.client.inner.together), "Together(0)");
}

#[tokio::test]
async fn what_an_account_of_a_list_costs_in_memory() {
    // Its place in a list; its id and its name are shared by all lists that have it.
    assert!(size_of::<Reachable>() <= 40, "{}", size_of::<Reachable>());
}

#[tokio::test]
async fn a_page_that_a_term_before_asked_for_is_none_of_a_list_that_was_begun_since() {
    let page = |id: &str, next| AccountsPage {
        accounts: vec![reachable(id)],
        bytes: 10,
        skipped: BTreeSet::new(),
        next,
    };
    let (first, last) = (|| page("31", Next::After("2".into())), || page("32", Next::End));
    let bench = Bench::new([]).await;
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let lists = Lists::default();
    // Each page comes when it is let go.
    let begin = || {
        let (let_go, comes) = oneshot::channel();
        let key = Key { business: "500".into(), version: "1".into(), edge: Edge::OwnedAccounts };
        let read = |_| async { Ok(comes.await.unwrap()) };
        let mut asking = Box::pin(lists.go_on(key, bench.now(), Urgency::Transitional, &clock, read));
        assert!(asking.as_mut().now_or_never().is_none(), "it waits for its page");
        (let_go, asking)
    };
    let come = |(let_go, asking): (oneshot::Sender<AccountsPage>, _), page| {
        assert!(let_go.send(page).is_ok());
        asking
    };
    assert!(come(begin(), first()).await.whole.is_none());
    let of_before = begin();
    lists.forget_all();
    let of_now = begin();
    assert!(come(of_before, last()).await.whole.is_none());
    assert!(come(of_now, first()).await.whole.is_none(), "that was its first page");
    let whole = come(begin(), last()).await.whole.expect("and this its last");
    let ids: Vec<_> = whole.accounts.iter().map(|account| account.id.as_str()).collect();
    assert_eq!(ids, ["31", "32"]);
}
