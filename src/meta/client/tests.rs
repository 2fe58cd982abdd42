//! What goes over the wire, what is believed of what comes back, and what is never repeated.

#![allow(clippy::unwrap_used)]

use std::{collections::VecDeque, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::engine::id::{CodeStatus, Field};

const TOKEN: &str = "EAAtokenOfTheTest123";
const APP_SECRET: &str = "secretOfTheApp";

/// How the fake answers one request.
enum Reply {
    Json(u16, Value),
    With(u16, &'static [(&'static str, &'static str)], Value),
    Raw(&'static str),
    /// A body of this many bytes.
    Huge(usize),
    /// Reads the request and closes the connection.
    Close,
    /// Never answers.
    Hang,
}

/// What the fake saw.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    target: String,
    headers: String,
    body: String,
}

impl Seen {
    fn query(&self, key: &str) -> Option<String> {
        let url = Url::parse(&format!("http://fake{}", self.target)).unwrap();
        url.query_pairs().find(|(k, _)| k == key).map(|(_, value)| value.into_owned())
    }
}

struct Hands(Mutex<Timestamp>);

impl Hands {
    fn pass(&self, time: Duration) {
        let mut now = lock(&self.0);
        *now = now.checked_add(time).unwrap();
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *lock(&self.0)
    }
}

struct Bench {
    address: SocketAddr,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    clock: Arc<Hands>,
    meta: Meta,
    client: GraphClient,
}

impl Bench {
    async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::with(replies, Limits { call_timeout: Duration::from_secs(5), ..Limits::default() }, None).await
    }

    async fn with(
        replies: impl IntoIterator<Item = Reply>,
        limits: Limits,
        app_secret: Option<&str>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let replies = Arc::new(Mutex::new(replies.into_iter().collect::<VecDeque<_>>()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(serve(listener, Arc::clone(&replies), Arc::clone(&seen)));
        let clock = Arc::new(Hands(Mutex::new("2026-11-22T12:00:00Z".parse().unwrap())));
        let base_url = Url::parse(&format!("http://{address}/")).unwrap();
        let settings = Settings { base_url, ..Settings::new(limits).unwrap() };
        let meta = Meta::new(settings, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let client = meta.graph(credential("1", app_secret));
        Self { address, replies, seen, clock, meta, client }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn then(&self, reply: Reply) {
        lock(&self.replies).push_back(reply);
    }

    fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }

    async fn register(&self) -> Result<(), Failure> {
        self.client.register(&account(), &number(), &"123456".to_owned().into()).await
    }

    async fn numbers(&self) -> Result<Arc<NumberList>, Failure> {
        self.client.numbers(&account(), self.now(), Urgency::Edit).await
    }
}

fn credential(version: &str, app_secret: Option<&str>) -> Credential {
    Credential {
        business: "500000000000001".into(),
        version: version.to_owned(),
        token: TOKEN.to_owned().into(),
        app_secret: app_secret.map(|secret| secret.to_owned().into()),
        app: Some("200000000000001".into()),
    }
}

fn account() -> AccountId {
    "300000000000001".into()
}

fn number() -> NumberId {
    "100000000000001".into()
}

async fn serve(listener: TcpListener, replies: Arc<Mutex<VecDeque<Reply>>>, seen: Arc<Mutex<Vec<Seen>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (replies, seen) = (Arc::clone(&replies), Arc::clone(&seen));
        tokio::spawn(async move {
            let request = read_request(&mut stream).await;
            lock(&seen).push(request);
            let reply = lock(&replies).pop_front();
            let head = |status: u16, headers: &[(&str, &str)], length: usize| {
                let mut head =
                    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n");
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                head + "\r\n"
            };
            let bytes = match reply {
                Some(Reply::Json(status, body)) => {
                    let body = body.to_string();
                    head(status, &[], body.len()) + &body
                }
                Some(Reply::With(status, headers, body)) => {
                    let body = body.to_string();
                    head(status, headers, body.len()) + &body
                }
                Some(Reply::Raw(text)) => text.to_owned(),
                Some(Reply::Huge(bytes)) => head(200, &[], bytes) + &" ".repeat(bytes),
                Some(Reply::Close) => String::new(),
                Some(Reply::Hang) => std::future::pending().await,
                None => head(500, &[], 0),
            };
            let _ = stream.write_all(bytes.as_bytes()).await;
            let _ = stream.shutdown().await;
        });
    }
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> Seen {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(count > 0, "the request broke off");
            continue;
        };
        let headers = head.to_ascii_lowercase();
        let length = headers
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        if body.len() < length {
            continue;
        }
        let mut words = head.split_whitespace();
        return Seen {
            method: words.next().unwrap().to_owned(),
            target: words.next().unwrap().to_owned(),
            headers: head.to_owned(),
            body: body.to_owned(),
        };
    }
}

fn done() -> Reply {
    Reply::Json(200, json!({"success": true}))
}

fn refused(code: i64, message: &str) -> Reply {
    Reply::Json(400, json!({"error": {"code": code, "message": message, "fbtrace_id": "Atrace"}}))
}

fn nonexisting(field: &str) -> Reply {
    refused(100, &format!("(#100) Tried accessing nonexisting field ({field}) on node type (X)"))
}

fn page(ids: &[u64], after: Option<&str>) -> Reply {
    let entries: Vec<_> = ids
        .iter()
        .map(|id| {
            json!({"id": id.to_string(), "display_phone_number": format!("+1 555-010-{id:04}"),
                "code_verification_status": "VERIFIED"})
        })
        .collect();
    let mut answer = json!({"data": entries});
    if let Some(after) = after {
        answer["paging"] = json!({"cursors": {"after": after}, "next": "https://graph.facebook.com/x"});
    }
    Reply::Json(200, answer)
}

fn is_no_answer<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> String {
    match outcome {
        Err(Failure::NoAnswer(why)) => why,
        other => panic!("{other:?}"),
    }
}

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
async fn every_write_sends_what_meta_documents() {
    let bench = Bench::new([
        Reply::Json(200, json!({"id": "100000000000001"})),
        done(),
        Reply::Json(200, json!({"success": "true"})),
        done(),
        done(),
        done(),
        done(),
    ])
    .await;
    let (client, account, number) = (&bench.client, account(), number());
    let e164 = E164::parse("+5511912345678").unwrap();
    assert_eq!(client.add_number(&account, &e164, "Example").await, Ok(number.clone()));
    client.request_code(&account, &number, CodeMethod::Voice, "pt_BR").await.unwrap();
    client.verify_code(&account, &number, &"654321".to_owned().into()).await.unwrap();
    client.submit_name(&account, &number, "New").await.unwrap();
    client.set_pin(&account, &number, &"123456".to_owned().into()).await.unwrap();
    client.route_webhook(&account, &number, "https://h/", &"word".to_owned().into()).await.unwrap();
    let fields = DesiredProfile { about: Some("Hi".into()), ..DesiredProfile::default() };
    client.write_profile(&account, &number, &fields).await.unwrap();

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
    ];
    assert_eq!(sent, expected);
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

#[test]
fn the_proof_is_an_hmac_of_the_token() {
    // RFC 4231, test case 2.
    let proof = appsecret_proof(&"what do ya want for nothing?".to_owned().into(), &"Jefe".to_owned().into());
    assert_eq!(proof.expose_secret(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
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
    assert_eq!(list.numbers["15550100003"][0].code, Field::Is(CodeStatus::Verified));
    let seen = bench.seen();
    let cursors: Vec<_> = seen.iter().map(|seen| seen.query("after")).collect();
    assert_eq!(cursors, [None, Some("A".into()), Some("B".into())]);
    assert!(seen.iter().all(|seen| seen.query("limit").as_deref() == Some("100")));
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
    assert!(matches!(held, Err(Failure::Throttled(at)) if at == after(wrote, Duration::from_secs(1))));
    assert!(list(before, Urgency::Transitional).await.is_ok(), "an older one serves whoever did not write");
    assert_eq!(bench.seen().len(), 3);
    bench.clock.pass(Duration::from_secs(1));
    for _ in 0..2 {
        list(wrote, Urgency::Transitional).await.unwrap();
    }
    assert_eq!(bench.seen().len(), 4, "and all who wrote share the next");
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
    let number = &list.numbers["15550100001"][0];
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
    let number = &list.numbers["15550100001"][0];
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
    bench.client.learn_app(&"1".into());
    for id in 0..2 * REMEMBERED {
        let gone = of(id);
        gone.refuse_field(Edge::Numbers, "name_status");
        gone.learn_app(&"2".into());
        // One in use is asked about its token again and again.
        bench.client.learn_app(&"1".into());
    }
    assert_eq!(lock(&bench.meta.0.apps).len(), REMEMBERED);
    assert_eq!(bench.client.learnt_app(), Some("1".into()));
    assert_eq!(lock(&bench.meta.0.refused).len(), REMEMBERED);
    assert!(of(0).learnt_app().is_none() && of(2 * REMEMBERED - 1).learnt_app().is_some());

    bench.clock.pass(Duration::from_secs(25 * 3600));
    bench.client.refuse_field(Edge::Numbers, "name_status");
    assert_eq!(
        lock(&bench.meta.0.refused).len(),
        1,
        "what was refused more than a day ago is asked for again"
    );
}

#[tokio::test]
async fn an_expansion_that_is_refused_without_its_name_is_left_out_too() {
    let bench = Bench::new([refused(10, "(#10) not permitted"), page(&[1], None)]).await;
    assert!(bench.numbers().await.unwrap().numbers["15550100001"][0].profile.is_refused());

    bench.clock.pass(Duration::from_secs(60));
    bench.then(page(&[1], None));
    bench.numbers().await.unwrap();
    assert_eq!(bench.seen().len(), 3);
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
async fn a_throttle_holds_later_calls_back_without_sending_them() {
    let header = r#"{"300000000000001":[{"type":"x","call_count":100,"estimated_time_to_regain_access":9}]}"#;
    let headers: &[(&str, &str)] = Box::leak(Box::new([("X-Business-Use-Case-Usage", header)]));
    let bench =
        Bench::new([Reply::With(400, headers, json!({"error": {"code": 80_008}})), done(), done()]).await;
    let until = after(bench.now(), Duration::from_secs(9 * 60));
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
    assert_eq!(locked, Some(after(bench.now(), Duration::from_secs(72 * 60 * 60))));
    let throttled = until(bench.register().await);
    assert_eq!(throttled, Some(after(bench.now(), LONGEST_BELIEVED)));
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

    let bench = Bench::new([Reply::Close, Reply::Close]).await;
    assert!(matches!(bench.client.subscribe(&account()).await, Err(Failure::NotSent(_))));
}

#[tokio::test]
async fn a_subscription_that_was_written_makes_what_was_read_before_too_old() {
    let bench = Bench::new([subscribed("2"), subscribed("2"), done(), subscribed("200000000000001")]).await;
    let begun = bench.now();
    assert_eq!(bench.client.subscribed(&account(), begun, Urgency::Edit).await, Ok(false));
    bench.clock.pass(Duration::from_secs(1));
    bench.client.subscribe(&account()).await.unwrap();
    assert_eq!(bench.client.subscribed(&account(), begun, Urgency::Edit).await, Ok(true));
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

#[tokio::test]
async fn calls_are_counted_by_edge_and_ending() {
    let bench = Bench::new([done(), refused(133_005, "x")]).await;
    bench.register().await.unwrap();
    bench.register().await.unwrap_err();
    let counts = bench.meta.stats();
    assert_eq!(
        counts,
        [
            Count { edge: Edge::Register, ending: Ending::Answered, calls: 1 },
            Count { edge: Edge::Register, ending: Ending::Refused, calls: 1 }
        ]
    );
}

#[test]
fn only_https_leaves_this_machine() {
    let check = |url: &str| {
        let settings =
            Settings { base_url: Url::parse(url).unwrap(), ..Settings::new(Limits::default()).unwrap() };
        Meta::new(settings, Arc::new(crate::meta::port::SystemClock)).map(|_| ()).map_err(|e| e.to_string())
    };
    for url in ["https://graph.facebook.com", "http://127.0.0.1:80/x", "http://[::1]:80", "http://localhost"]
    {
        assert_eq!(check(url), Ok(()), "{url}");
    }
    for url in
        ["http://graph.facebook.com", "http://10.0.0.1", "http://localhost.example.org", "ftp://127.0.0.1"]
    {
        assert!(check(url).unwrap_err().contains("--graph-url must begin with https://"), "{url}");
    }
    for url in ["https://user:password@graph.facebook.com", "https://x/?a=b", "https://x/#a"] {
        let error = check(url).unwrap_err();
        assert!(error.contains("--graph-url") && !error.contains("password@"), "{url}");
    }
    for version in ["25.0", "v25", "v25.x", "v25.0/..", ""] {
        let settings = Settings { version: version.to_owned(), ..Settings::new(Limits::default()).unwrap() };
        let clock = Arc::new(crate::meta::port::SystemClock);
        assert!(matches!(Meta::new(settings, clock), Err(BadSettings::Version)), "{version}");
    }
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
