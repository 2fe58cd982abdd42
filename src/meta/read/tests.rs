//! Lists to their end, fields that Meta refuses, and what is not believed.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::json;

use crate::{
    engine::{
        id::{CodeStatus, Field},
        spelling::Canonical,
    },
    meta::{
        bounded::{REMEMBERED, lock},
        budget::Payer,
        fixture::{Bench, Reply, TOKEN, account, credential, is_no_answer, nonexisting, page, refused},
        port::{Credential, Graph, GraphSource},
    },
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
    let odd = Reply::Json(200, json!({"data": [{"id": "1"}]}));
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
        client.inner.refused.remember(client.payer(), Edge::Numbers, "name_status", client.now());
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

    bench.clock.pass(Duration::from_secs(25 * 3600));
    refuse(&bench.client);
    assert_eq!(refused(), 1, "what was refused more than a day ago is asked for again");
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
async fn an_account_of_a_direct_business_is_read_without_its_payment_method() {
    let bench = Bench::new([refused(10, PARTNERS_ONLY), an_account()]).await;
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
    bench.clock.pass(Duration::from_secs(25 * 3600));
    bench.then(an_account());
    read().await.unwrap();
    assert!(asks(3), "and then once more");
}

#[tokio::test]
async fn an_account_that_is_hidden_blames_no_payment_method() {
    let bench = Bench::new([refused(200, "(#200) no permission"), an_account()]).await;
    let account = account();
    let read = || bench.client.account(&account, bench.now(), Urgency::Edit);
    assert!(read().await.unwrap_err().refusal().is_some());
    assert_eq!(bench.seen().len(), 1);
}

#[tokio::test]
async fn a_list_that_is_refused_anyhow_blames_no_expansion() {
    let denied = || refused(200, "(#200) no permission");
    let bench = Bench::new([denied(), denied(), page(&[1], None)]).await;
    assert!(bench.numbers().await.unwrap_err().refusal().is_some());
    bench.clock.pass(Duration::from_secs(60));
    bench.numbers().await.unwrap();
    assert!(bench.seen()[2].query("fields").unwrap().contains("whatsapp_business_profile"));
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
    let owned = bench.client.owned_accounts().await.unwrap();
    let client = bench.client.client_accounts().await.unwrap();
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
