//! What goes over the wire, what is believed of what comes back, and what is never repeated.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::engine::failure::{Class, Said, Scope};
use crate::meta::{
    counter::{Count, Refusals},
    edge::Edge,
    fixture::{APP_SECRET, Bench, Reply, TOKEN, account, credential, done, is_no_answer, number, refused},
    port::Graph,
    transport::LARGEST_BODY,
};

#[tokio::test]
async fn a_write_carries_token_version_and_body() {
    let bench = Bench::new([done()]).await;
    bench.register().await.unwrap();
    let seen = &bench.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/v25.0/100000000000001/register"));
    assert!(seen.headers.contains(&format!("authorization: Bearer {TOKEN}")));
    assert_eq!(
        serde_json::from_str::<Value>(&seen.body).unwrap(),
        json!({"messaging_product": "whatsapp", "pin": "123456"})
    );
}

#[tokio::test]
async fn the_proof_comes_with_every_call_when_there_is_an_app_secret() {
    let limits = Limits::default();
    let replies = [done(), Reply::Json(200, json!({"data": {"is_valid": true, "scopes": []}}))];
    let bench = Bench::with(replies, limits, Some("secretOfTheApp\n")).await;
    bench.register().await.unwrap();
    bench.client.debug_token().await.unwrap();
    let proof = appsecret_proof(&TOKEN.to_owned().into(), &APP_SECRET.to_owned().into());
    for seen in bench.seen() {
        assert_eq!(seen.query("appsecret_proof").as_deref(), Some(proof.expose_secret()));
    }
    assert_eq!(bench.seen()[1].query("input_token").as_deref(), Some(TOKEN));
}

#[tokio::test]
async fn a_write_without_a_believable_answer_is_no_answer_and_never_sent_again() {
    let truncated = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"success\"";
    let html = "HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n<html></html>";
    for reply in [
        Reply::Close,
        Reply::Raw(truncated),
        Reply::Raw(html),
        Reply::Raw("no http at all\r\n\r\n"),
        Reply::Huge(LARGEST_BODY + 1),
        Reply::Json(500, json!({})),
        Reply::Json(503, json!("down")),
        Reply::Json(400, json!({"message": "no envelope"})),
        Reply::Json(401, json!({})),
        Reply::Json(403, json!({})),
        Reply::Json(429, json!({})),
        Reply::Json(400, json!({"error": {"message": "no code"}})),
        Reply::Json(200, json!({"success": false})),
        Reply::Json(200, json!({})),
        Reply::Json(200, json!([])),
        Reply::With(302, &[("location", "http://127.0.0.1:1/")], json!({})),
    ] {
        let bench = Bench::new([reply]).await;
        is_no_answer(bench.register().await);
        assert_eq!(bench.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_write_that_takes_too_long_is_no_answer() {
    let limits = Limits { call_timeout: Duration::from_millis(300), ..Limits::default() };
    let bench = Bench::with([Reply::Hang], limits, None).await;
    assert_eq!(is_no_answer(bench.register().await), "no answer in time");
    assert_eq!(bench.seen().len(), 1);
}

#[tokio::test]
async fn a_write_that_found_no_connection_was_not_sent() {
    let bench = Bench::new([]).await;
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let base_url = Url::parse(&format!("http://{port}")).unwrap();
    let settings = Settings { base_url, ..Settings::new(Limits::default()).unwrap() };
    let meta = Meta::new(settings, Arc::clone(&bench.clock) as Arc<dyn Clock>).unwrap();
    let client = meta.graph(credential("1", None));
    let outcome = client.register(&account(), &number(), &"123456".to_owned().into()).await;
    assert!(matches!(outcome, Err(Failure::NotSent(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_refusal_is_definite_unless_it_is_transient() {
    let bench = Bench::new([
        refused(133_005, "(#133005) PIN mismatch"),
        Reply::Json(400, json!({"error": {"code": 100, "is_transient": true}})),
        Reply::Json(500, json!({"error": {"code": 131_000}})),
        Reply::Json(200, json!({"error": {"code": 133_006}})),
    ])
    .await;
    let first = bench.register().await.unwrap_err();
    assert!(first.is_definite());
    let refusal = first.refusal().unwrap();
    assert_eq!((refusal.code, refusal.trace_id.as_deref()), (133_005, Some("Atrace")));
    assert!(!bench.register().await.unwrap_err().is_definite());
    assert!(!bench.register().await.unwrap_err().is_definite());
    assert!(bench.register().await.unwrap_err().is_definite());
    assert_eq!(bench.seen().len(), 4);
}

#[tokio::test]
async fn a_throttle_holds_later_calls_back_without_sending_them() {
    let header = r#"{"300000000000001":[{"type":"x","call_count":100,"estimated_time_to_regain_access":9}]}"#;
    let headers: &[(&str, &str)] = Box::leak(Box::new([("X-Business-Use-Case-Usage", header)]));
    let bench =
        Bench::new([Reply::With(400, headers, json!({"error": {"code": 80_008}})), done(), done()]).await;
    let until = later(bench.now(), Duration::from_secs(9 * 60));
    let refusal = bench.register().await.unwrap_err().refusal().unwrap().clone();
    assert_eq!((refusal.class, refusal.until), (Class::WaitUntil, Some(until)));
    assert_eq!(bench.register().await, Err(Failure::Throttled(until)));
    assert_eq!(bench.client.throttled_until(Some(&account())), Some(until));
    assert_eq!(bench.seen().len(), 1);

    let other = "300000000000002".into();
    bench.client.register(&other, &number(), &"123456".to_owned().into()).await.unwrap();
    bench.clock.pass(Duration::from_secs(9 * 60));
    bench.register().await.unwrap();
}

#[tokio::test]
async fn a_header_holds_nothing_back_for_longer_than_is_believed_and_unlocks_no_number() {
    let year: &[(&str, &str)] = &[("Retry-After", "31536000")];
    let soon: &[(&str, &str)] = &[("Retry-After", "60")];
    let bench = Bench::new([
        Reply::With(400, soon, json!({"error": {"code": 133_016}})),
        Reply::With(429, year, json!({"error": {"code": 80_008}})),
    ])
    .await;
    let until = |refused: Result<(), Failure>| refused.unwrap_err().refusal().unwrap().until;
    let locked = until(bench.register().await);
    assert_eq!(locked, Some(later(bench.now(), Duration::from_secs(72 * 60 * 60))));
    let throttled = until(bench.register().await);
    assert_eq!(throttled, Some(later(bench.now(), LONGEST_BELIEVED)));
}

#[tokio::test]
async fn a_call_that_was_never_sent_uses_up_no_allowance() {
    let bench = Bench::new([]).await;
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let base_url = Url::parse(&format!("http://{nowhere}/")).unwrap();
    let settings = Settings { base_url, ..Settings::new(Limits::default()).unwrap() };
    let client =
        Meta::new(settings, Arc::clone(&bench.clock) as Arc<dyn Clock>).unwrap().graph(credential("1", None));
    for _ in 0..2 * Limits::default().budget_rest {
        let outcome = client.register(&account(), &number(), &"123456".to_owned().into()).await;
        assert!(matches!(outcome, Err(Failure::NotSent(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn code_4_holds_back_every_account_of_the_app() {
    let bench = Bench::new([refused(4, "(#4) limit")]).await;
    bench.register().await.unwrap_err();
    let other = "300000000000002".into();
    let outcome = bench.client.register(&other, &number(), &"123456".to_owned().into()).await;
    assert!(matches!(outcome, Err(Failure::Throttled(_))));
    assert!(bench.client.throttled_until(None).is_some());
}

#[tokio::test]
async fn a_blocked_app_is_left_alone_until_it_is_tried_once_and_known_until_a_call_gets_through() {
    let blocked = || Reply::Json(400, json!({"error": {"code": 200, "message": "API access blocked."}}));
    let bench = Bench::new([
        blocked(),
        Reply::Json(200, json!({"data": {"is_valid": true, "scopes": []}})),
        blocked(),
        refused(133_005, "(#133005) PIN"),
    ])
    .await;
    let half_an_hour = Duration::from_secs(30 * 60);
    let until = later(bench.now(), half_an_hour);
    let refusal = bench.register().await.unwrap_err().refusal().unwrap().clone();
    assert_eq!((refusal.class, refusal.scope), (Class::WaitUntil, Scope::App));
    assert_eq!((refusal.said, refusal.until), (Some(Said::AppBlocked), Some(until)));
    let other = "300000000000002".into();
    let outcome = bench.client.register(&other, &number(), &"123456".to_owned().into()).await;
    assert_eq!(outcome, Err(Failure::Throttled(until)), "no account of the app is called");
    bench.clock.pass(half_an_hour);
    // That Meta knows the token does not show that the app may call.
    bench.client.debug_token().await.unwrap();
    assert!(bench.client.app_blocked().is_some());
    bench.register().await.unwrap_err();
    assert!(bench.client.app_blocked().is_some());
    bench.clock.pass(2 * half_an_hour);
    bench.register().await.unwrap_err();
    assert_eq!(bench.client.app_blocked(), None, "a refusal of another kind is an answer");
    assert_eq!(bench.seen().len(), 4);
}

#[tokio::test]
async fn what_a_success_says_besides_is_told_without_our_secrets() {
    let bench = Bench::new([]).await;
    let pin = SecretString::from("135790".to_owned());
    let number = number();
    let account = account();
    let call = Call::write(Edge::Register, &account, number.as_str(), None);
    let call = Call { secret: Some(&pin), ..call };
    let answer = json!({"success": true, "pin_reset": false, "note": "the PIN 135790 stays"});
    let told = bench.client.told_besides(&call, &answer);
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["note", "pin_reset"]);
    assert!(told.iter().all(|(_, value)| !value.contains("135790")), "{told:?}");
    assert_eq!(told[1].1, "false");
    assert!(bench.client.told_besides(&call, &json!({"success": true})).is_empty());
}

#[tokio::test]
async fn a_registration_tells_of_another_pin_only_where_it_speaks_of_the_pin() {
    for (answer, expected) in [
        (json!({"success": true}), false),
        (json!({"success": true, "messaging_account_id": "300"}), false),
        (json!({"success": true, "is_shipping": false, "warning": "It may not show at once."}), false),
        (json!({"success": true, "pin_reset": true}), false),
        (json!({"success": true, "pin_not_reset": false}), false),
        (json!({"success": true, "message": "The PIN was set."}), false),
        (json!({"success": true, "message": "PIN set. Do not share it."}), false),
        (json!({"success": true, "message": "The PIN was reset; do not share it"}), false),
        (json!({"success": true, "pin_reset": "true"}), false),
        (json!({"success": true, "pinNotReset": "False"}), false),
        (json!({"success": true, "pin_required": false}), false),
        (json!({"success": true, "pinReset": false}), true),
        (json!({"success": true, "pin_reset": "false"}), true),
        (json!({"success": true, "pinNotReset": "true"}), true),
        (json!({"success": true, "message": "The number is there. Its PIN has not been changed."}), true),
        (json!({"success": true, "pin_was_reset": false}), true),
        (json!({"success": true, "pin_not_reset": true}), true),
        (json!({"success": true, "message": "The two-step PIN was not reset."}), true),
        (json!({"success": true, "pin_status": "NOT_RESET"}), true),
    ] {
        let bench = Bench::new([Reply::Json(200, answer.clone())]).await;
        let pin = "123456".to_owned().into();
        let done = bench.client.register(&account(), &number(), &pin).await;
        assert_eq!(done.map(|done| done.has_kept_pin), Ok(expected), "{answer}");
    }
}

/// As recorded: a refusal has the id of the request as `fbtrace_id`, and the trace has another one.
#[tokio::test]
async fn an_answer_is_found_again_by_the_id_of_its_request_and_else_by_that_of_its_trace() {
    const TRACE: &[(&str, &str)] = &[("X-Fb-Trace-Id", "Ctrace")];
    const BOTH: &[(&str, &str)] = &[TRACE[0], ("X-Fb-Request-Id", "A-request")];
    const DIGITS: &[(&str, &str)] = &[("X-Fb-Request-Id", "Ac83af654321b1b99")];
    const BLANK: &[(&str, &str)] = &[("X-Fb-Request-Id", "  ")];
    let yes = json!({"success": true});
    let no = json!({"error": {"code": 133_005, "message": "no"}});
    for (headers, id) in [
        (BOTH, Some("A-request")),
        (TRACE, Some("Ctrace")),
        (DIGITS, Some("Ac83af654321b1b99")),
        (BLANK, None),
    ] {
        let replies = [Reply::With(200, headers, yes.clone()), Reply::With(400, headers, no.clone())];
        let bench = Bench::new(replies).await;
        let pin = "123456".to_owned().into();
        let accepted = bench.client.register(&account(), &number(), &pin).await.unwrap();
        assert_eq!(accepted.trace_id.as_deref(), id, "{headers:?}");
        let refused = bench.register().await.unwrap_err();
        assert_eq!(refused.refusal().unwrap().trace_id.as_deref(), id, "{headers:?}");
    }
}

#[tokio::test]
async fn calls_are_counted_by_edge_and_ending() {
    let bench = Bench::new([done(), refused(133_005, "x")]).await;
    bench.register().await.unwrap();
    bench.register().await.unwrap_err();
    let stats = bench.meta.stats();
    assert_eq!(
        stats.counts,
        [
            Count { edge: Edge::Register, ending: Ending::Answered, calls: 1 },
            Count { edge: Edge::Register, ending: Ending::Refused, calls: 1 }
        ]
    );
    assert_eq!(stats.refusals, [Refusals { edge: Edge::Register, code: Some(133_005), calls: 1 }]);
    let timed = stats.times.iter().flat_map(|times| &times.buckets).map(|(_, calls)| calls).sum::<u64>();
    assert_eq!(timed, 2);
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn secrets_never_show_in_logs_failures_or_debug_output() {
    let log = Log::default();
    let writer = log.clone();
    // With a single subscriber in the process, the thread that comes first to a line of log decides for all whether
    // anybody wants it; with two, the subscribers are asked. Other tests, who listen to nothing, come first too.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // With a single subscriber, whichever test logs a line first decides whether it is on for all.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish());
    let _guard = tracing::subscriber::set_default(subscriber);

    let echo = format!("token {TOKEN}, secret {APP_SECRET}, pin 123456, code 123-456, word quiteSecretWord");
    let body =
        json!({"error": {"code": 100, "message": echo, "error_user_title": echo, "error_user_msg": echo}});
    let warned: &[(&str, &str)] =
        Box::leak(Box::new([("X-Ad-Api-Version-Warning", "token EAAtokenOfTheTest123 is old")]));
    let replies = [
        Reply::Json(400, body.clone()),
        Reply::With(400, warned, body),
        Reply::Close,
        Reply::Close,
        Reply::Json(200, json!({"error": {"message": echo}})),
    ];
    let bench = Bench::with(replies, Limits::default(), Some(APP_SECRET)).await;
    let mut shown = Vec::new();
    shown.push(format!("{:?}", bench.register().await));
    let word = "quiteSecretWord".to_owned().into();
    let routed = bench.client.route_webhook(&account(), &number(), "https://h/", &word).await;
    shown.push(format!("{routed:?}"));
    shown.push(format!("{:?}", bench.client.debug_token().await));
    shown.push(format!("{:?}", bench.register().await));
    shown.push(format!("{:?} {}", credential("1", Some(APP_SECRET)), bench.address));
    shown.push(String::from_utf8(lock(&log.0).clone()).unwrap());
    let shown = shown.join("\n");
    assert!(shown.contains("called Meta") && shown.contains("register"));
    let proof = appsecret_proof(&TOKEN.to_owned().into(), &APP_SECRET.to_owned().into());
    for secret in [TOKEN, APP_SECRET, "123456", "123-456", proof.expose_secret()] {
        assert!(!shown.contains(secret), "{secret} shows in {shown}");
    }
    assert!(!format!("{routed:?}").contains("quiteSecretWord"));
}
