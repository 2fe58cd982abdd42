//! What each call sends, and what is shared of what was read.

#![allow(clippy::unwrap_used)]

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Json, Router};
use serde_json::Value;
use tokio::net::TcpListener;
use url::Url;

use crate::{
    engine::{limits::Limits, time::later},
    meta::{
        client::Meta,
        fixture::{Bench, Reply, account, credential, done, is_no_answer, number, page},
        port::{GraphSource, SystemClock},
        settings::{MayWrite, Settings},
    },
};

use super::*;

#[tokio::test]
async fn every_write_sends_what_meta_documents() {
    let bench = Bench::new([
        Reply::Json(200, json!({"id": "100000000000001"})),
        done(),
        Reply::Json(200, json!({"success": "true"})),
        done(),
        done(),
        done(),
        done(),
        done(),
    ])
    .await;
    let (client, account, number) = (&bench.client, account(), number());
    let e164 = E164::parse("+5511912345678").unwrap();
    let added = Accepted { number: Some(number.clone()), ..Accepted::default() };
    assert_eq!(client.add_number(&account, &e164, "Example").await, Ok(added));
    client.request_code(&account, &number, CodeMethod::Voice, "pt_BR").await.unwrap();
    client.verify_code(&account, &number, &"654321".to_owned().into()).await.unwrap();
    client.submit_name(&account, &number, "New").await.unwrap();
    client.set_pin(&account, &number, &"123456".to_owned().into()).await.unwrap();
    client.route_webhook(&account, &number, "https://h/", &"word".to_owned().into()).await.unwrap();
    let fields = DesiredProfile { about: Some("Hi".into()), ..DesiredProfile::default() };
    client.write_profile(&account, &number, &fields).await.unwrap();
    client.unroute_webhook(&account, &number).await.unwrap();

    let sent: Vec<_> = bench
        .seen()
        .into_iter()
        .map(|seen| (seen.target, serde_json::from_str::<Value>(&seen.body).unwrap()))
        .collect();
    let node = "/v25.0/100000000000001";
    let expected = [
        (
            "/v25.0/300000000000001/phone_numbers".to_owned(),
            json!({"cc": "55", "phone_number": "11912345678", "verified_name": "Example"}),
        ),
        (format!("{node}/request_code"), json!({"code_method": "VOICE", "language": "pt_BR"})),
        (format!("{node}/verify_code"), json!({"code": "654321"})),
        (node.to_owned(), json!({"new_display_name": "New"})),
        (node.to_owned(), json!({"pin": "123456"})),
        (
            node.to_owned(),
            json!({"webhook_configuration": {"override_callback_uri": "https://h/", "verify_token": "word"}}),
        ),
        (
            format!("{node}/whatsapp_business_profile"),
            json!({"messaging_product": "whatsapp", "about": "Hi"}),
        ),
        (node.to_owned(), json!({"webhook_configuration": {"override_callback_uri": ""}})),
    ];
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn a_list_waits_until_those_who_write_have_written() {
    let done = || Reply::Json(200, json!({"success": true}));
    let bench = Bench::new([page(&[1], None), done(), done(), page(&[1], None)]).await;
    let list = |not_before, urgency| {
        let client = bench.client.clone();
        async move { client.numbers(&account(), not_before, urgency).await }
    };
    let before = bench.now();
    list(before, Urgency::Transitional).await.unwrap();
    for _ in 0..2 {
        bench.clock.pass(Duration::from_millis(500));
        bench.register().await.unwrap();
    }
    let wrote = bench.now();
    let held = list(wrote, Urgency::Transitional).await;
    assert!(matches!(held, Err(Failure::Throttled(at)) if at == later(wrote, Duration::from_secs(1))));
    assert!(list(before, Urgency::Transitional).await.is_ok(), "an older one serves whoever did not write");
    assert_eq!(bench.seen().len(), 3);
    bench.clock.pass(Duration::from_secs(1));
    for _ in 0..2 {
        list(wrote, Urgency::Transitional).await.unwrap();
    }
    assert_eq!(bench.seen().len(), 4, "and all who wrote share the next");
}

#[tokio::test]
async fn a_subscription_whose_look_takes_too_long_is_not_sent_and_holds_nobody_up() {
    let call_timeout = Duration::from_secs(1);
    let limits = Limits { call_timeout, ..Limits::default() };
    let bench = Bench::with([Reply::Hang, Reply::Hang, Reply::Hang], limits, None).await;
    let begun = Instant::now();
    let account = account();
    let both = futures::join!(bench.client.subscribe(&account), bench.client.subscribe(&account));
    for outcome in [both.0, both.1] {
        assert!(matches!(outcome, Err(Failure::NotSent(_))), "{outcome:?}");
    }
    assert!(begun.elapsed() < call_timeout * 2, "{:?}", begun.elapsed());
    assert!(bench.seen().iter().all(|seen| seen.method == "GET"));
}

fn subscribed(app: &str) -> Reply {
    Reply::Json(200, json!({"data": [{"whatsapp_business_api_data": {"id": app}}]}))
}

#[tokio::test]
async fn a_subscription_is_written_only_when_a_read_right_before_lacks_our_app() {
    let bench = Bench::new([subscribed("200000000000001")]).await;
    bench.client.subscribe(&account()).await.unwrap();
    assert_eq!(bench.seen().len(), 1);

    let bench = Bench::new([subscribed("200000000000002"), done(), subscribed("200000000000001")]).await;
    let account_id = account();
    let (first, second) =
        tokio::join!(bench.client.subscribe(&account_id), bench.client.subscribe(&account_id));
    first.unwrap();
    second.unwrap();
    let methods: Vec<_> = bench.seen().into_iter().map(|seen| (seen.method, seen.body)).collect();
    assert_eq!(
        methods.iter().map(|(method, body)| (method.as_str(), body.as_str())).collect::<Vec<_>>(),
        [("GET", ""), ("POST", ""), ("GET", "")]
    );

    // Without a list that can be read nothing is sent, and it is said so.
    for unreadable in [[Reply::Close, Reply::Close], [Reply::Huge(5 * 1_024 * 1_024), Reply::Close]] {
        let bench = Bench::new(unreadable).await;
        assert!(matches!(bench.client.subscribe(&account()).await, Err(Failure::NotSent(_))));
        assert!(bench.seen().iter().all(|seen| seen.method == "GET"));
    }
}

#[tokio::test]
async fn a_subscription_that_was_written_makes_what_was_read_before_too_old() {
    let bench = Bench::new([subscribed("2"), subscribed("2"), done(), subscribed("200000000000001")]).await;
    let begun = bench.now();
    assert_eq!(
        bench.client.subscribed(&account(), begun, Urgency::Edit).await.map(|apps| apps.ours),
        Ok(false)
    );
    bench.clock.pass(Duration::from_secs(1));
    bench.client.subscribe(&account()).await.unwrap();
    assert_eq!(
        bench.client.subscribed(&account(), begun, Urgency::Edit).await.map(|apps| apps.ours),
        Ok(true)
    );
}

#[tokio::test]
async fn a_profile_comes_from_the_list_when_that_is_young_enough() {
    let listed = json!({"data": [{"id": "100000000000001", "display_phone_number": "15550100001",
        "whatsapp_business_profile": {"data": [{"about": "listed"}]}}]});
    let bench = Bench::new([
        Reply::Json(200, listed),
        Reply::Json(200, json!({"data": [{"about": "read", "messaging_product": "whatsapp"}]})),
        done(),
        Reply::Json(200, json!({"data": [{"about": "written"}]})),
    ])
    .await;
    bench.numbers().await.unwrap();
    let hour = Duration::from_secs(3600);
    let about = async |max_age: Duration| {
        let read = bench.client.profile(&account(), &number(), max_age, Urgency::Drift).await;
        read.unwrap().about.unwrap()
    };
    assert_eq!(about(hour).await, "listed");
    bench.clock.pass(Duration::from_secs(60));
    assert_eq!(about(Duration::from_secs(30)).await, "read");
    assert_eq!(about(hour).await, "read");
    bench.clock.pass(Duration::from_secs(1));
    bench.client.write_profile(&account(), &number(), &DesiredProfile::default()).await.unwrap();
    assert_eq!(about(hour).await, "written");
    assert_eq!(bench.seen().len(), 4);
}

#[tokio::test]
async fn nothing_is_shared_across_versions_of_a_credential() {
    let bench = Bench::new([page(&[1], None), page(&[1, 2], None)]).await;
    let begun = bench.now();
    assert_eq!(bench.client.numbers(&account(), begun, Urgency::Edit).await.unwrap().numbers.len(), 1);
    let other = bench.meta.graph(credential("2", None));
    assert_eq!(other.numbers(&account(), begun, Urgency::Edit).await.unwrap().numbers.len(), 2);
}

#[tokio::test]
async fn a_list_of_subscribed_apps_that_cannot_be_read_is_not_an_empty_one() {
    let strange = Reply::Json(200, json!({"data": [{"whatsapp_business_api_data": {"link": "https://x/"}}]}));
    let flat = Reply::Json(200, json!({"data": [{"id": "200000000000001"}]}));
    let bench = Bench::new([strange, flat]).await;
    is_no_answer(bench.client.subscribed(&account(), bench.now(), Urgency::Edit).await);
    // So nothing is written over an override that may be there.
    bench.client.subscribe(&account()).await.unwrap();
    assert!(bench.seen().iter().all(|seen| seen.method == "GET"));
}

/// A fake that answers this, and a client of which writes may leave while fewer requests than these were seen.
async fn until(requests: usize, replies: impl IntoIterator<Item = Reply>) -> Bench {
    let (call_timeout, send_before) = (Duration::from_secs(5), Duration::from_secs(1));
    let limits = Limits { call_timeout, send_before, ..Limits::default() };
    Bench::while_it_may(replies, limits, Some("secret"), move |seen| seen.len() < requests).await
}

fn is_not_sent<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> bool {
    match outcome {
        Err(Failure::NotSent(why)) => why.contains("may not write to Meta any more"),
        other => panic!("{other:?}"),
    }
}

static IMAGE: Bytes = Bytes::from_static(b"image");

type Writing<'a> = Pin<Box<dyn Future<Output = Result<Accepted, Failure>> + 'a>>;

#[tokio::test]
async fn no_write_leaves_a_process_that_may_not_write() {
    let bench = until(0, []).await;
    let (client, account, number) = (&bench.client, &account(), &number());
    let (e164, secret) = (E164::parse("+5511912345678").unwrap(), &"123456".to_owned().into());
    let (profile, official) = (DesiredProfile::default(), OfficialApplication::default());
    let writes: Vec<Writing<'_>> = vec![
        Box::pin(client.add_number(account, &e164, "Example")),
        Box::pin(client.request_code(account, number, CodeMethod::Sms, "pt_BR")),
        Box::pin(client.verify_code(account, number, secret)),
        Box::pin(client.submit_name(account, number, "New")),
        Box::pin(client.set_pin(account, number, secret)),
        Box::pin(client.register(account, number, secret)),
        Box::pin(client.subscribe(account)),
        Box::pin(client.route_webhook(account, number, "https://h/", secret)),
        Box::pin(client.unroute_webhook(account, number)),
        Box::pin(client.set_storage(account, number, "BR")),
        Box::pin(client.start_sync(account, number, AppData::History)),
        Box::pin(client.deregister(account, number)),
        Box::pin(client.write_profile(account, number, &profile)),
        Box::pin(async {
            client.set_app_webhook("https://h/", secret, &[]).await.map(|()| Accepted::default())
        }),
        Box::pin(client.write_picture(account, number, &IMAGE, PictureKind::Png)),
        Box::pin(client.claim_username(account, number, "example", false)),
        Box::pin(client.request_official(account, number, &official)),
    ];
    for (at, write) in writes.into_iter().enumerate() {
        assert!(is_not_sent(write.await), "{at}");
    }
    assert!(bench.seen().is_empty());
    assert_eq!(bench.client.spent().iter().map(|spent| spent.used).sum::<u32>(), 0, "and costs no budget");
}

fn session() -> Reply {
    Reply::Json(200, json!({"id": "upload:MTIz?sig=ARZ"}))
}

fn handle() -> Reply {
    Reply::Json(200, json!({"h": "4::aW1hZ2U="}))
}

#[tokio::test]
async fn a_picture_goes_no_further_once_the_process_may_not_write() {
    let whole = || [session(), handle(), done()];
    let broken = || [session(), Reply::Close, Reply::Json(200, json!({"file_offset": 2})), handle(), done()];
    let (whole_of, broken_of) = (whole().len(), broken().len());
    let write = async |bench: &Bench| {
        bench.client.write_picture(&account(), &number(), &IMAGE, PictureKind::Png).await
    };
    for requests in 0..whole_of {
        let bench = until(requests, whole()).await;
        assert!(is_not_sent(write(&bench).await), "{requests}");
        assert_eq!(bench.seen().len(), requests);
    }
    // The bytes broke off: neither how many came is asked, nor the rest sent.
    for requests in 0..broken_of {
        let bench = until(requests, broken()).await;
        assert!(is_not_sent(write(&bench).await), "{requests}");
        assert_eq!(bench.seen().len(), requests);
    }
    // The next who may begins anew, and is told that it was done.
    let bench = until(usize::MAX, whole()).await;
    write(&bench).await.unwrap();
}

#[tokio::test]
async fn a_subscription_is_not_written_once_the_process_may_not_write() {
    for requests in 0..2 {
        let bench = until(requests, [subscribed("200000000000002"), done()]).await;
        assert!(is_not_sent(bench.client.subscribe(&account()).await), "{requests}");
        assert_eq!(bench.seen().len(), requests, "at most the read before it");
    }
}

#[tokio::test]
async fn a_write_that_waited_for_its_connection_asks_again() {
    let asked = AtomicUsize::new(0);
    let first = move |_: &[_]| asked.fetch_add(1, Ordering::Relaxed) == 0;
    let bench = Bench::while_it_may([done()], Limits::default(), None, first).await;
    assert!(is_not_sent(bench.register().await));
    assert!(bench.seen().is_empty());
}

/// Only a new connection asks by itself.
#[tokio::test]
async fn on_a_connection_that_stands_each_request_of_a_write_asks_too() {
    let (seen, may) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let (counted, says) = (Arc::clone(&seen), Arc::clone(&may));
    let server = Router::new().fallback(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Json(json!({"success": true})) }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, server).await });
    let may_write = MayWrite::when(move || says.load(Ordering::Relaxed));
    let settings = Settings { base_url, may_write, ..Settings::new(Limits::default()).unwrap() };
    let meta = Meta::new(settings, Arc::new(SystemClock)).unwrap();
    let client = meta.graph(credential("1", None));
    let (account, number, pin) = (&account(), &number(), &"123456".to_owned().into());

    client.register(account, number, pin).await.unwrap();
    may.store(false, Ordering::Relaxed);
    assert!(is_not_sent(client.register(account, number, pin).await), "a write");
    assert!(is_not_sent(client.subscribe(account).await), "the read before a write");
    let uploaded = client.write_picture(account, number, &IMAGE, PictureKind::Png).await;
    assert!(is_not_sent(uploaded), "an upload");
    assert_eq!(seen.load(Ordering::Relaxed), 1);
}
