//! Lists to their end, fields that Meta refuses, and what is not believed.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::json;

use crate::{
    engine::{
        failure::Refusal,
        id::{CodeStatus, Field},
        limits::Limits,
        observed::Number,
        spelling::Canonical,
    },
    meta::{
        bounded::{KEPT_FACTS, REMEMBERED, lock},
        budget::Payer,
        fixture::{
            APP_SECRET, Bench, Reply, Seen, TOKEN, account, credential, is_no_answer, nonexisting, page,
            refused,
        },
        port::{Credential, Graph, GraphSource},
    },
    repeat::heard::Heard,
};

use super::*;

#[tokio::test]
async fn a_read_is_tried_once_more_after_a_fault_and_then_fails() {
    let bench = Bench::new([Reply::Close, page(&[1], None)]).await;
    bench.numbers().await.unwrap();
    assert_eq!(bench.seen().len(), 2);

    let bench = Bench::new([Reply::Json(503, json!({})), Reply::Close, page(&[1], None)]).await;
    is_no_answer(bench.numbers().await);
    assert_eq!(bench.seen().len(), 2);

    let bench = Bench::new([refused(100, "(#100) no"), page(&[1], None)]).await;
    let skipping_the_expansion = bench.numbers().await;
    assert!(skipping_the_expansion.is_ok());
}

#[tokio::test]
async fn a_list_is_read_to_its_last_page() {
    let bench = Bench::new([page(&[1, 2], Some("A")), page(&[], Some("B")), page(&[2, 3], None)]).await;
    let list = bench.numbers().await.unwrap();
    assert_eq!(list.numbers.len(), 3);
    assert_eq!(list.numbers[&Canonical::of("15550100003")][0].code, Field::Is(CodeStatus::Verified));
    let seen = bench.seen();
    let cursors: Vec<_> = seen.iter().map(|seen| seen.query("after")).collect();
    assert_eq!(cursors, [None, Some("A".into()), Some("B".into())]);
    assert!(seen.iter().all(|seen| seen.query("limit").as_deref() == Some("100")));
}

#[tokio::test]
async fn a_part_of_a_list_never_passes_for_the_whole() {
    let odd = Reply::Json(200, json!({"data": [{"display_phone_number": "+1 555-010-0002"}]}));
    let lost = Reply::Json(200, json!({"data": [], "paging": {"next": "https://x/"}}));
    for second in [page(&[2], Some("A")), refused(2, "down"), Reply::Json(200, json!({})), odd, lost] {
        let bench = Bench::new([page(&[1], Some("A")), second, Reply::Close, Reply::Close]).await;
        assert!(bench.numbers().await.is_err());
    }
    let endless = (0..60).map(|n| {
        Reply::Json(
            200,
            json!({"data": [], "paging": {"cursors": {"after": n.to_string()}, "next": "https://x/"}}),
        )
    });
    let bench = Bench::new(endless).await;
    assert_eq!(is_no_answer(bench.numbers().await), "Meta's list has more than 50 pages");
}

#[tokio::test]
async fn a_list_that_is_larger_than_any_account_s_is_no_list_and_tells_why() {
    fn pages(seen: &Seen, entries: u64, more: &str) -> Reply {
        let at: u64 = seen.query("after").map_or(0, |cursor| cursor.parse().unwrap());
        let data: Vec<_> = (0..entries)
            .map(|n| json!({"id": format!("{at}{n:05}"), "display_phone_number": "+1 555-010-0002", "verified_name": more}))
            .collect();
        let after = (at + 1).to_string();
        Reply::Json(200, json!({"data": data, "paging": {"cursors": {"after": after}, "next": "https://x/"}}))
    }
    type Pages = fn(&Seen) -> Reply;
    let cases: [(Pages, _, _); 4] = [
        (|seen| pages(seen, 1, &"x".repeat(3 * 1_024 * 1_024)), "Meta's list has more than 64 MiB", 22),
        (|seen| pages(seen, 3_000, ""), "Meta's list has more than 10000 entries", 4),
        (|seen| pages(seen, 100, ""), "Meta's list has more than 50 pages", 50),
        (|seen| pages(seen, 40_000, ""), "the answer has more than 100000 values", 1),
    ];
    for (reply, told, calls) in cases {
        let bench = Bench::new((0..60).map(|_| Reply::By(reply))).await;
        assert_eq!(is_no_answer(bench.numbers().await), told);
        assert_eq!(bench.seen().len(), calls, "{told}");
    }
}

/// The numbers of a large account, page by page: `pages` of them, each entry with a profile and `more` as its name.
fn numbers(seen: &Seen, pages: u64, more: &str) -> Reply {
    let at: u64 = seen.query("after").map_or(0, |cursor| cursor.parse().unwrap());
    let profile: BTreeMap<_, _> = (0..40).map(|n| (format!("a_field_{n:02}"), "short")).collect();
    let data: Vec<_> = (0..100)
        .map(|n| {
            json!({"id": format!("{at}{n:05}"), "display_phone_number": format!("+1 555-01{at:02}-{n:04}"),
                "verified_name": more, "whatsapp_business_profile": {"data": [&profile]}})
        })
        .collect();
    let mut answer = json!({"data": data});
    if at + 1 < pages {
        answer["paging"] = json!({"cursors": {"after": (at + 1).to_string()}, "next": "https://x/"});
    }
    Reply::Json(200, answer)
}

#[tokio::test]
async fn a_page_counts_beside_other_lists_only_until_it_is_read() {
    let bench = Bench::new((0..15).map(|_| Reply::By(|seen| numbers(seen, 15, "Acme")))).await;
    let mut others = bench.client.inner.together.share();
    assert!(others.hold(66 * 1_048_576).await, "no room is left but what each has for itself");
    let list = bench.numbers().await.unwrap();
    assert_eq!((list.numbers.len(), bench.seen().len()), (1_500, 15));
}

#[tokio::test]
async fn a_list_that_is_kept_counts_as_what_it_has_in_memory() {
    let bench = Bench::new((0..2).map(|_| Reply::By(|seen| numbers(seen, 2, &"x".repeat(4_096))))).await;
    let list = bench.numbers().await.unwrap();
    let all: Vec<_> = list.numbers.values().flatten().collect();
    assert_eq!(all.len(), 200);
    let texts: usize = all
        .iter()
        .flat_map(|number| [number.verified_name.value(), Some(&number.display_phone_number)])
        .flatten()
        .map(String::len)
        .sum();
    let least = texts + all.len() * (size_of::<Number>() + size_of::<Profile>());
    assert!((least..least + least / 4).contains(&list.bytes), "{} of {least}", list.bytes);
    assert_eq!(bench.client.inner.numbers.bytes(), list.bytes, "all of it is counted");
    bench.client.inner.numbers.forget_all();
    assert_eq!(bench.client.inner.numbers.bytes(), 0);
}

/// 9,000 apps with long names are subscribed to each of these accounts.
#[tokio::test]
async fn what_is_kept_of_many_large_lists_of_apps_has_one_bound_and_a_small_one_goes_on() {
    let apps = |_: &Seen| {
        let one = |n: u64| json!({"id": format!("7{n}"), "name": "x".repeat(256)});
        Reply::Json(200, json!({"data": (0..9_000).map(one).collect::<Vec<_>>()}))
    };
    let bench = Bench::new((0..8).map(|_| Reply::By(apps))).await;
    let kept = &bench.client.inner.subscribed;
    for n in 0..8 {
        bench.clock.pass(Duration::from_secs(60));
        let account = AccountId::new(format!("30{n}"));
        let all = bench.client.subscribed(&account, bench.now(), Urgency::Drift).await.unwrap();
        assert_eq!(all.others.len(), 9_000);
        assert!((1..=KEPT_FACTS).contains(&kept.bytes()), "{}", kept.bytes());
    }
    bench.then(Reply::Json(200, json!({"data": [{"id": "71", "name": "Acme"}]})));
    let (account, now) = (AccountId::new("309"), bench.now());
    for _ in 0..2 {
        assert_eq!(bench.client.subscribed(&account, now, Urgency::Drift).await.unwrap().others.len(), 1);
    }
    assert_eq!(bench.seen().len(), 9, "it is kept");
    for facts in [bench.client.inner.profiles.bytes(), bench.client.inner.usernames.bytes()] {
        assert_eq!(facts, 0, "each kind for itself");
    }
}

#[tokio::test]
async fn a_list_without_room_beside_others_is_read_later_and_nobody_is_blamed() {
    let large = || Reply::By(|seen| numbers(seen, 15, &"x".repeat(8 * 1_024)));
    let bench = Bench::new((0..40).map(|_| large())).await;
    let mut others = bench.client.inner.together.share();
    assert!(others.hold(66 * 1_048_576).await);
    let again = later(bench.now(), ROOM_AGAIN);
    assert_eq!(bench.numbers().await.unwrap_err(), Failure::NoRoom(again));
    assert_eq!(bench.seen().len(), 2, "no page is asked for that finds no room");
    drop(others);
    assert_eq!(format!("{:?}", bench.client.inner.together), "Together(0)");
    assert_eq!(bench.numbers().await.unwrap().numbers.len(), 1_500, "no pause is to be waited for");
    assert_eq!(format!("{:?}", bench.client.inner.together), "Together(0)");
}

#[tokio::test]
async fn what_cannot_be_read_of_a_crowd_of_accounts_is_one_line_of_the_log_for_each_cause() {
    fn values(_: &Seen) -> Reply {
        Reply::Json(200, json!({"data": vec![json!({"id": "1", "name": "x"}); 40_000]}))
    }
    fn entries(_: &Seen) -> Reply {
        Reply::Json(
            200,
            json!({"data": vec![json!({"id": "1", "display_phone_number": "+1 555-010-0002"}); 12_000]}),
        )
    }
    let log = Heard::from_now_on();
    let large = |seen: &Seen| numbers(seen, 15, &"x".repeat(8 * 1_024));
    for (answer, is_beside, line) in [
        (values as fn(&Seen) -> Reply, false, "an answer cannot be read"),
        (entries, false, "a list cannot be read"),
        (large, true, "large lists are being read"),
    ] {
        let bench = Bench::new((0..40).map(|_| Reply::By(answer))).await;
        let mut others = bench.client.inner.together.share();
        assert!(!is_beside || others.hold(66 * 1_048_576).await);
        let accounts = ["301", "302", "303"].map(AccountId::from);
        let reads = accounts.iter().map(|account| bench.client.numbers(account, bench.now(), Urgency::Edit));
        for read in futures::future::join_all(reads).await {
            assert!(read.is_err(), "{line}");
        }
        let lines = log.lines(&[line]);
        assert!(lines.len() == 1 && lines[0].contains("repeated=0"), "{lines:#?}");
    }
}

#[tokio::test]
async fn refused_fields_are_left_out_for_a_day() {
    let bench = Bench::new([
        nonexisting("name_status"),
        nonexisting("vertical"),
        nonexisting("is_on_biz_app"),
        page(&[1], None),
    ])
    .await;
    let list = bench.numbers().await.unwrap();
    let number = &list.numbers[&Canonical::of("15550100001")][0];
    assert!(number.name_status.is_refused() && number.is_on_biz_app.is_refused());
    assert!(number.profile.is_refused());
    assert_eq!(number.platform, Field::Absent);

    bench.clock.pass(Duration::from_secs(3600));
    bench.then(page(&[1], None));
    bench.numbers().await.unwrap();
    let fields = bench.seen()[4].query("fields").unwrap();
    let fields: Vec<_> = fields.split(['{', ',']).collect();
    assert!(fields.contains(&"new_name_status"));
    for left_out in ["name_status", "whatsapp_business_profile", "is_on_biz_app"] {
        assert!(!fields.contains(&left_out), "{left_out}");
    }

    bench.clock.pass(Duration::from_secs(23 * 3600));
    bench.then(nonexisting("is_on_biz_app"));
    bench.then(page(&[1], None));
    let list = bench.numbers().await.unwrap();
    let number = &list.numbers[&Canonical::of("15550100001")][0];
    assert_eq!(number.name_status, Field::Absent);
    assert!(number.is_on_biz_app.is_refused());
    assert_eq!(bench.seen().len(), 7);
}

#[tokio::test]
async fn what_is_remembered_of_portfolios_that_are_gone_is_bounded() {
    let bench = Bench::new([]).await;
    let of = |id: usize| {
        bench.clock.pass(Duration::from_secs(1));
        bench.meta.graph(Credential { business: format!("9{id}").as_str().into(), ..credential("1", None) })
    };
    let learn = |client: &GraphClient, app: &str| {
        client.inner.apps.learn(&client.credential, &app.into(), client.now());
    };
    let refuse = |client: &GraphClient| {
        let asker = Asker { payer: client.payer(), edge: Edge::Numbers, account: None };
        client.inner.refused.remember_field(asker, "name_status", Ground::Refused, client.now());
    };
    learn(&bench.client, "1");
    for id in 0..2 * REMEMBERED {
        let gone = of(id);
        refuse(&gone);
        learn(&gone, "2");
        // One in use is asked about its token again and again.
        learn(&bench.client, "1");
    }
    let apps = || lock(&bench.meta.0.apps.0).len();
    let refused = || lock(&bench.meta.0.refused.known).len();
    assert_eq!(apps(), REMEMBERED);
    assert_eq!(bench.client.learnt_app(), Some("1".into()));
    assert_eq!(refused(), REMEMBERED);
    assert!(of(0).learnt_app().is_none() && of(2 * REMEMBERED - 1).learnt_app().is_some());

    bench.clock.pass(Duration::from_secs(49 * 3600));
    refuse(&bench.client);
    assert_eq!(refused(), 1, "what was refused long ago is forgotten");
}

#[tokio::test]
async fn an_expansion_that_is_refused_without_its_name_is_left_out_too() {
    let bench = Bench::new([refused(10, "(#10) not permitted"), page(&[1], None)]).await;
    assert!(bench.numbers().await.unwrap().numbers[&Canonical::of("15550100001")][0].profile.is_refused());

    bench.clock.pass(Duration::from_secs(60));
    bench.then(page(&[1], None));
    bench.numbers().await.unwrap();
    assert_eq!(bench.seen().len(), 3);
}

/// As recorded from accounts of direct businesses in 2026: no field is named, and the whole read is lost.
const PARTNERS_ONLY: &str = "(#10) You do not have permission to perform this action. This action requires that the Business that owns this App is a Business Solution Provider for WhatsApp.";

fn an_account() -> Reply {
    Reply::Json(200, json!({"id": "300000000000001", "account_review_status": "APPROVED"}))
}

#[tokio::test]
async fn an_unknown_error_takes_a_field_away_for_ten_minutes_and_for_a_day_when_it_comes_again() {
    const MINUTE: u64 = 60;
    let unknown = || refused(1, "(#1) An unknown error occurred");
    let bench = Bench::new([]).await;
    // Reads the list after so many minutes, and says in which of its calls the profile was asked for.
    let read = async |minutes: u64, answers: Vec<Reply>| {
        bench.clock.pass(Duration::from_secs(minutes * MINUTE));
        let before = bench.seen().len();
        for answer in answers {
            bench.then(answer);
        }
        let is_read = bench.numbers().await.is_ok();
        let asked = |fields: Option<String>| fields.unwrap().contains("whatsapp_business_profile{");
        let asks: Vec<bool> = bench.seen()[before..].iter().map(|seen| asked(seen.query("fields"))).collect();
        (is_read, asks)
    };
    let works = || page(&[1], None);
    assert_eq!(read(0, vec![unknown(), works()]).await, (true, vec![true, false]), "the lesser read serves");
    assert!(bench.client.refused_fields()["WhatsAppBusinessPhoneNumber"].is_empty(), "nobody was refused it");
    assert_eq!(read(9, vec![works()]).await, (true, vec![false]));
    assert_eq!(read(1, vec![works()]).await, (true, vec![true]), "it was a fault, and is over");

    // The next fault is a first one again. It comes twice.
    assert_eq!(read(5, vec![unknown(), works()]).await, (true, vec![true, false]));
    assert_eq!(read(10, vec![unknown(), works()]).await, (true, vec![true, false]));
    assert_eq!(
        bench.client.refused_fields()["WhatsAppBusinessPhoneNumber"],
        BTreeSet::from(["whatsapp_business_profile"])
    );
    assert_eq!(read(11, vec![works()]).await, (true, vec![false]));
    assert_eq!(read(23 * 60, vec![works()]).await, (true, vec![false]), "for a day");
    assert_eq!(read(60, vec![unknown(), works()]).await, (true, vec![true, false]));
    assert_eq!(read(11, vec![works()]).await, (true, vec![false]), "what was confirmed once needs no doubt");

    // Without a read that works nothing is suspected.
    let down = read(25 * 60, vec![unknown(), unknown()]).await;
    assert_eq!(down, (false, vec![true, false]));
    assert_eq!(read(1, vec![works()]).await, (true, vec![true]));
}

#[test]
fn two_reads_that_fail_together_are_one_suspicion() {
    let at = |minute: i64| jiff::Timestamp::from_second(minute * 60).unwrap();
    let limits = Limits::default();
    let refused = crate::meta::refused::Refused::new(limits.refused_field, limits.suspected_field);
    let payer = Payer::App("200000000000001".into());
    let asker = Asker { payer, edge: Edge::Numbers, account: None };
    let suspect = |minute| refused.remember_field(asker.clone(), "profile", Ground::Suspected, at(minute));
    let is_left_out = |minute| !refused.fields(std::slice::from_ref(&asker), at(minute)).is_empty();
    suspect(0);
    suspect(1);
    assert!(is_left_out(9) && !is_left_out(10), "the second neither confirms nor prolongs it");
    suspect(10);
    assert!(is_left_out(24 * 60) && !is_left_out(24 * 60 + 10));
}

#[tokio::test]
async fn an_account_of_a_direct_business_is_read_without_its_payment_method() {
    let bench = Bench::new([refused(10, PARTNERS_ONLY), an_account()]).await;
    assert!(bench.client.refused_fields().is_empty(), "nothing was read yet");
    let account = account();
    let read = || bench.client.account(&account, bench.now(), Urgency::Edit);
    let facts = read().await.unwrap();
    assert!(facts.funding.is_refused(), "not told, which is not none");
    assert!(facts.review.value().is_some());
    let asks = |at: usize| bench.seen()[at].query("fields").unwrap().contains("primary_funding_id");
    assert!(asks(0) && !asks(1));

    bench.clock.pass(Duration::from_secs(3600));
    bench.then(an_account());
    read().await.unwrap();
    assert_eq!(bench.seen().len(), 3, "asked once, and not again for a day");
    let told = || bench.client.refused_fields();
    let of_account = |fields: &[&'static str]| {
        BTreeMap::from([("WhatsAppBusinessAccount", fields.iter().copied().collect())])
    };
    assert_eq!(told(), of_account(&["primary_funding_id"]));
    bench.clock.pass(Duration::from_secs(25 * 3600));
    bench.client.inner.refused.remember_field(
        Asker { payer: bench.client.payer(), edge: Edge::Business, account: None },
        "primary_page",
        Ground::Refused,
        bench.now(),
    );
    assert_eq!(told(), of_account(&["primary_funding_id"]), "until Meta has answered again");
    bench.then(an_account());
    read().await.unwrap();
    assert!(asks(3), "and then once more");
    assert_eq!(told(), of_account(&[]));
}

/// An account that shows every field but those of `refuses`, each with its code; no refusal names a field.
macro_rules! showing {
    ($refuses:expr) => {
        Reply::By(|request| {
            let refuses: &[(&str, i64)] = $refuses;
            let fields = request.query("fields").unwrap();
            let is_asked = |name: &str| fields.split(',').any(|field| field == name);
            if let Some((_, code)) = refuses.iter().find(|(name, _)| is_asked(name)) {
                return refused(*code, "no permission");
            }
            let mut object = json!({});
            for field in fields.split(',') {
                object[field] = match field {
                    "id" => json!(request.target.split(['/', '?']).nth(2)),
                    "owner_business_info" => json!({"id": "500000000000001"}),
                    _ => json!("APPROVED"),
                };
            }
            Reply::Json(200, object)
        })
    };
}

#[tokio::test]
async fn fields_that_are_refused_without_their_names_are_found_once_and_nothing_else_is_lost() {
    let shown = || showing!(&[("country", 200), ("primary_funding_id", 10)]);
    let bench = Bench::new(std::iter::repeat_with(shown).take(20)).await;
    let account = account();
    let read = || bench.client.account(&account, bench.now(), Urgency::Edit);
    let facts = read().await.unwrap();
    assert!(facts.funding.is_refused() && facts.country.is_none());
    assert_eq!((facts.currency.as_deref(), facts.name.as_deref()), (Some("APPROVED"), Some("APPROVED")));
    assert_eq!(facts.owner, Some("500000000000001".into()));
    let calls = bench.seen().len();
    assert!(calls <= 10, "{calls} calls");

    bench.clock.pass(Duration::from_secs(3600));
    let later = read().await.unwrap();
    assert_eq!(*later, *facts);
    assert_eq!(bench.seen().len(), calls + 1, "found once, for a day");
}

#[tokio::test]
async fn what_one_account_refuses_another_may_show_and_what_the_app_lacks_none_shows() {
    let shown = || showing!(&[("country", 200), ("primary_funding_id", 10)]);
    let bench = Bench::new(std::iter::repeat_with(shown).take(20)).await;
    let other = "300000000000002".into();
    bench.client.account(&account(), bench.now(), Urgency::Edit).await.unwrap();
    let before = bench.seen().len();
    bench.client.account(&other, bench.now(), Urgency::Edit).await.unwrap();
    let first = bench.seen()[before].query("fields").unwrap();
    assert!(first.contains("country") && !first.contains("primary_funding_id"), "{first}");
}

#[tokio::test]
async fn accounts_that_are_read_together_learn_once_what_the_app_lacks() {
    let shown = || showing!(&[("primary_funding_id", 10)]);
    let bench = Bench::new(std::iter::repeat_with(shown).take(20)).await;
    let accounts: Vec<AccountId> = (1..=8).map(|n| AccountId::new(format!("30000000000000{n}"))).collect();
    let reads = accounts.iter().map(|account| bench.client.account(account, bench.now(), Urgency::Drift));
    for facts in futures::future::join_all(reads).await {
        assert!(facts.unwrap().funding.is_refused());
    }
    assert_eq!(bench.seen().len(), 9, "one refusal, and an answer for each");
}

#[tokio::test]
async fn an_account_that_does_not_answer_holds_up_the_reading_of_no_other_one() {
    let shown = || showing!(&[]);
    let bench = Bench::new([Reply::Hang, shown(), shown()]).await;
    let (slow, other) = (account(), AccountId::from("300000000000002"));
    let slow = bench.client.account(&slow, bench.now(), Urgency::Drift);
    let other = async {
        while bench.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        bench.client.account(&other, bench.now(), Urgency::Drift).await
    };
    tokio::select! {
        slow = slow => panic!("it does not answer: {slow:?}"),
        other = other => assert!(other.is_ok()),
    }
    let person = AccountId::from("300000000000003");
    assert!(bench.client.account(&person, bench.now(), Urgency::Person).await.is_ok());
}

#[tokio::test]
async fn what_was_refused_before_the_token_told_its_app_is_not_asked_again() {
    let token = json!({"data": {"is_valid": true, "app_id": "200000000000001", "scopes": []}});
    let shown = || showing!(&[("primary_funding_id", 10)]);
    let bench = Bench::new([shown(), shown(), Reply::Json(200, token), shown()]).await;
    bench.client.account(&account(), bench.now(), Urgency::Edit).await.unwrap();
    bench.client.debug_token().await.unwrap();
    bench.clock.pass(Duration::from_secs(3600));
    bench.client.account(&account(), bench.now(), Urgency::Edit).await.unwrap();
    assert_eq!(bench.seen().len(), 4);
}

#[tokio::test]
async fn what_one_app_is_refused_is_asked_for_by_another_of_the_same_business() {
    let told = |app: &str| Reply::Json(200, json!({"data": {"is_valid": true, "app_id": app, "scopes": []}}));
    let asks = |bench: &Bench| bench.seen().last().unwrap().query("fields").unwrap();
    // Before and after the tokens have told their apps.
    for is_told in [false, true] {
        let bench = Bench::new([]).await;
        let other = bench.meta.graph(credential("2", None));
        if is_told {
            bench.then(told("200000000000001"));
            bench.client.debug_token().await.unwrap();
            bench.then(told("200000000000002"));
            other.debug_token().await.unwrap();
        }
        bench.then(nonexisting("primary_funding_id"));
        bench.then(showing!(&[]));
        bench.client.account(&account(), bench.now(), Urgency::Edit).await.unwrap();
        assert!(!asks(&bench).contains("primary_funding_id"));
        bench.then(showing!(&[]));
        let facts = other.account(&account(), bench.now(), Urgency::Edit).await.unwrap();
        assert!(asks(&bench).contains("primary_funding_id") && facts.funding.value().is_some(), "{is_told}");

        let blocked = refused(200, "API access blocked.");
        bench.then(blocked);
        assert!(bench.numbers().await.is_err() && bench.client.app_blocked().is_some());
        assert_eq!(other.app_blocked(), None, "{is_told}");
        bench.then(page(&[1], None));
        assert!(other.numbers(&account(), bench.now(), Urgency::Edit).await.is_ok(), "{is_told}");
    }
}

#[tokio::test]
async fn an_entry_without_digits_leaves_the_others_readable() {
    let entries = json!([
        {"id": "1", "display_phone_number": "+1 555-010-0001"},
        {"id": "2"},
        {"id": "3", "display_phone_number": "+1 555-***-0003"},
        {"id": "4", "display_phone_number": "+\u{661} \u{665}\u{665}\u{665}-010-0004"},
    ]);
    let bench = Bench::new([Reply::Json(200, json!({"data": entries}))]).await;
    let list = bench.numbers().await.unwrap();
    let ids = |digits: &str, id: Option<&str>| -> Vec<String> {
        let entries = list.entries_of(&Canonical::of(digits), id.map(NumberId::from).as_ref());
        entries.iter().map(|entry| entry.id.to_string()).collect()
    };
    assert_eq!(ids("+15550100001", None), ["1"]);
    assert_eq!(ids("+15550100004", None), ["4"]);
    assert_eq!(ids("+15550100003", Some("3")), ["3"], "known by its id");
    assert!(ids("+15550100003", None).is_empty());
    assert_eq!(list.without_digits.len(), 2);
}

#[tokio::test]
async fn an_account_that_is_hidden_costs_one_call_more_and_once() {
    let denied = || refused(200, "(#200) no permission");
    let bench = Bench::new([denied(), denied(), denied()]).await;
    let account = account();
    let read = || bench.client.account(&account, bench.now(), Urgency::Edit);
    assert!(read().await.unwrap_err().refusal().is_some());
    assert_eq!(bench.seen()[1].query("fields").as_deref(), Some("id"));
    bench.clock.pass(Duration::from_secs(3600));
    assert!(read().await.unwrap_err().refusal().is_some());
    assert_eq!(bench.seen().len(), 3);

    bench.clock.pass(Duration::from_secs(3600));
    (0..3).for_each(|_| bench.then(showing!(&[])));
    assert!(read().await.unwrap().funding.value().is_some(), "nothing is blamed for it");
    bench.clock.pass(Duration::from_secs(3600));
    read().await.unwrap();
    assert_eq!(bench.seen().len(), 6);
}

#[tokio::test]
async fn the_id_of_an_object_of_another_type_teaches_nothing_about_fields() {
    let wrong = "(#100) Tried accessing nonexisting field (currency) on node type (Business)";
    let bench = Bench::new([refused(100, wrong), showing!(&[])]).await;
    let failure =
        bench.client.account(&"500000000000001".into(), bench.now(), Urgency::Edit).await.unwrap_err();
    assert_eq!(failure.refusal().and_then(Refusal::node_type), Some("Business"));
    bench.client.account(&account(), bench.now(), Urgency::Edit).await.unwrap();
    assert_eq!(bench.seen().len(), 2);
    assert!(bench.seen()[1].query("fields").unwrap().contains("currency"));
}

#[tokio::test]
async fn a_core_that_was_read_is_not_lost_when_calls_are_held_back() {
    let shown = || showing!(&[("country", 200)]);
    let slow = Reply::Json(400, json!({"error": {"code": 80_008, "message": "too many calls"}}));
    let bench = Bench::new([shown(), shown(), shown(), slow]).await;
    let facts = bench.client.account(&account(), bench.now(), Urgency::Edit).await.unwrap();
    assert!(facts.review.value().is_some());
    assert!(facts.status.is_refused() && facts.health.is_refused(), "not asked for, which is not absent");
    let known = lock(&bench.meta.0.refused.known).len();
    assert_eq!(known, 0, "what was not asked for is not remembered as refused");
}

#[tokio::test]
async fn a_list_is_read_without_a_field_that_is_refused_without_its_name() {
    let shown = || {
        Reply::By(|request| {
            let fields = request.query("fields").unwrap();
            if fields.contains("is_pin_enabled") { refused(10, "no permission") } else { page(&[1, 2], None) }
        })
    };
    let bench = Bench::new(std::iter::repeat_with(shown).take(40)).await;
    let list = bench.numbers().await.unwrap();
    assert_eq!(list.numbers.len(), 2);
    let number = &list.numbers[&Canonical::of("15550100001")][0];
    assert!(number.is_pin_enabled.is_refused());
    assert!(!number.is_on_biz_app.is_refused() && !number.profile.is_refused());
    let calls = bench.seen().len();
    assert!(calls <= 18, "{calls}");
    bench.clock.pass(Duration::from_secs(3600));
    bench.numbers().await.unwrap();
    assert_eq!(bench.seen().len(), calls + 1);
}

#[tokio::test]
async fn a_refusal_that_passes_takes_no_field_away() {
    let denied = refused(200, "(#200) no permission");
    let bench =
        Bench::new(std::iter::once(denied).chain(std::iter::repeat_with(|| showing!(&[])).take(20))).await;
    let account = account();
    let read = || bench.client.account(&account, bench.now(), Urgency::Edit);
    let facts = read().await.unwrap();
    assert!(!facts.funding.is_refused() && !facts.status.is_refused());
    let calls = bench.seen().len();
    bench.clock.pass(Duration::from_secs(3600));
    read().await.unwrap();
    let last = bench.seen()[calls].query("fields").unwrap();
    assert!(last.contains("primary_funding_id") && last.contains("country"), "{last}");
}

#[tokio::test]
async fn what_is_wrong_with_the_apps_own_call_says_nothing_about_the_token() {
    let hides = || refused(100, "(#100) may not be inspected");
    let wrong = refused(190, "(#190) Invalid OAuth access token");
    let bench = Bench::with([hides(), wrong], Limits::default(), Some(APP_SECRET)).await;
    let failure = bench.client.debug_token().await.unwrap_err();
    assert_eq!(failure.refusal().map(|refusal| refusal.code), Some(100));
    let tokens: Vec<_> = bench.seen().iter().map(|seen| seen.headers.contains(APP_SECRET)).collect();
    assert_eq!(tokens, [false, true], "the app asks in the place of the token's user");

    let told = json!({"data": {"is_valid": true, "app_id": "200000000000001", "scopes": []}});
    let bench = Bench::with([hides(), Reply::Json(200, told)], Limits::default(), Some(APP_SECRET)).await;
    assert!(bench.client.debug_token().await.unwrap().is_valid);
}

#[tokio::test]
async fn fields_that_are_shown_only_by_themselves_do_not_cost_the_same_calls_again() {
    let shown = || {
        Reply::By(|request| {
            let fields = request.query("fields").unwrap();
            let both = ["owner_business_info", "health_status"].iter().all(|field| fields.contains(field));
            if both { refused(10, "no permission") } else { an_account() }
        })
    };
    let bench = Bench::new(std::iter::repeat_with(shown).take(20)).await;
    let account = account();
    bench.client.account(&account, bench.now(), Urgency::Edit).await.unwrap();
    let calls = bench.seen().len();
    bench.clock.pass(Duration::from_secs(3600));
    bench.client.account(&account, bench.now(), Urgency::Edit).await.unwrap();
    assert_eq!(bench.seen().len(), calls + 1);
}

#[tokio::test]
async fn a_list_that_is_refused_anyhow_blames_no_expansion() {
    let denied = || refused(200, "(#200) no permission");
    let bench = Bench::new([denied(), denied(), denied(), page(&[1], None), page(&[1], None)]).await;
    assert!(bench.numbers().await.unwrap_err().refusal().is_some());
    bench.clock.pass(Duration::from_secs(60));
    bench.numbers().await.unwrap();
    assert!(bench.seen()[4].query("fields").unwrap().contains("whatsapp_business_profile"));
}

#[tokio::test]
async fn a_field_that_a_read_cannot_do_without_is_not_left_out() {
    let bench = Bench::new([nonexisting("display_phone_number")]).await;
    assert!(bench.numbers().await.is_err());
    assert_eq!(bench.seen().len(), 1);
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_an_answer_and_tells_why() {
    let error = json!({"code": 190, "subcode": 463, "message": format!("{TOKEN} has expired")});
    let answer = json!({"data": {"is_valid": false, "app_id": "200000000000009", "error": error}});
    let bench = Bench::new([Reply::Json(200, answer)]).await;
    let facts = bench.client.debug_token().await.unwrap();
    assert!(!facts.is_valid);
    let error = facts.error.unwrap();
    assert!(error.is(190, Some(463)));
    assert_eq!(error.message, "[redacted] has expired");
    assert_eq!(bench.client.payer(), Payer::App("200000000000009".into()));
}

#[tokio::test]
async fn accounts_in_reach_are_listed_by_owner() {
    let list = |id: &str| Reply::Json(200, json!({"data": [{"id": id, "name": "Example"}]}));
    let bench = Bench::new([list("3"), list("4")]).await;
    let owned = bench.client.owned_accounts(bench.now(), Urgency::Edit).await.whole.unwrap().accounts;
    let client = bench.client.client_accounts(bench.now(), Urgency::Edit).await.whole.unwrap().accounts;
    assert_eq!((owned[0].id.as_str(), owned[0].owned), ("3", Some(true)));
    assert_eq!((client[0].id.as_str(), client[0].owned), ("4", Some(false)));
    assert!(bench.seen()[0].target.starts_with("/v25.0/500000000000001/owned_whatsapp_business_accounts?"));
}

#[tokio::test]
async fn an_answer_about_something_else_is_not_believed() {
    let bench = Bench::new([
        Reply::Json(200, json!({"id": "9", "name": "Other"})),
        Reply::Json(200, json!({"id": "9", "name": "Other"})),
    ])
    .await;
    is_no_answer(bench.client.account(&account(), bench.now(), Urgency::Edit).await);
    is_no_answer(bench.client.business(Urgency::Edit).await);
}
