//! What the simulation promises, as sentences.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, Response};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;

const ACCOUNT: &str = "300000000000001";
const DIGITS: &str = "5511912345678";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// An answer, taken apart.
struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    body: Value,
}

impl Answer {
    fn code(&self) -> i64 {
        self.body["error"]["code"].as_i64().unwrap_or(0)
    }

    fn subcode(&self) -> i64 {
        self.body["error"]["error_subcode"].as_i64().unwrap_or(0)
    }

    fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }
}

fn demo() -> Sandbox {
    demo_with(Options { review: ReviewPolicy::without_first_review(), ..Options::default() })
}

fn demo_with(options: Options) -> Sandbox {
    Sandbox::from_world(options, World::for_demo())
}

async fn raw(
    sandbox: &Sandbox,
    token: &str,
    method: &str,
    path: &str,
    body: Value,
) -> Result<Response<Bytes>, Lost> {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let request = Request::builder()
        .method(method)
        .uri(format!("/v25.0{path}"))
        .header("authorization", format!("Bearer {token}"));
    sandbox.handle(request.body(body).unwrap()).await
}

async fn call_as(sandbox: &Sandbox, token: &str, method: &str, path: &str, body: Value) -> Answer {
    let response = raw(sandbox, token, method, path, body).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    }
}

async fn get(sandbox: &Sandbox, path: &str) -> Answer {
    call_as(sandbox, DEMO_TOKEN, "GET", path, Value::Null).await
}

async fn post(sandbox: &Sandbox, path: &str, body: Value) -> Answer {
    call_as(sandbox, DEMO_TOKEN, "POST", path, body).await
}

async fn add(sandbox: &Sandbox) -> String {
    let body = json!({"cc": "55", "phone_number": "11912345678", "verified_name": "Acme Suporte"});
    post(sandbox, &format!("/{ACCOUNT}/phone_numbers"), body).await.ok()["id"].as_str().unwrap().to_owned()
}

async fn request_code(sandbox: &Sandbox, id: &str) -> Answer {
    post(sandbox, &format!("/{id}/request_code"), json!({"code_method": "SMS", "language": "en_US"})).await
}

async fn verify(sandbox: &Sandbox, id: &str, code: &str) -> Answer {
    post(sandbox, &format!("/{id}/verify_code"), json!({"code": code})).await
}

async fn register(sandbox: &Sandbox, id: &str, pin: &str) -> Answer {
    post(sandbox, &format!("/{id}/register"), json!({"messaging_product": "whatsapp", "pin": pin})).await
}

async fn verified(sandbox: &Sandbox) -> String {
    let id = add(sandbox).await;
    request_code(sandbox, &id).await.ok();
    let code = sandbox.delivered_code(DIGITS).unwrap();
    verify(sandbox, &id, &code).await.ok();
    id
}

async fn read(sandbox: &Sandbox, id: &str, field: &str) -> Value {
    get(sandbox, &format!("/{id}?fields={field}")).await.ok()[field].clone()
}

fn wrong(code: &str) -> &'static str {
    if code == "000000" { "111111" } else { "000000" }
}

#[tokio::test]
async fn a_number_comes_to_life_step_by_step() {
    let sandbox = demo();
    let id = add(&sandbox).await;
    let fields = "status,code_verification_status,platform_type,throughput,is_pin_enabled,new_name_status,display_phone_number";
    let before = get(&sandbox, &format!("/{id}?fields={fields}")).await.ok();
    assert_eq!(
        before,
        json!({
            "id": id, "status": "PENDING", "code_verification_status": "NOT_VERIFIED", "platform_type": "NOT_APPLICABLE",
            "throughput": {"level": "NOT_APPLICABLE"}, "is_pin_enabled": false, "new_name_status": "NONE",
            "display_phone_number": "+55 11 91234-5678",
        })
    );
    request_code(&sandbox, &id).await.ok();
    let code = sandbox.delivered_code(DIGITS).unwrap();
    verify(&sandbox, &id, &code).await.ok();
    register(&sandbox, &id, "135790").await.ok();
    let after = get(&sandbox, &format!("/{id}?fields={fields}")).await.ok();
    assert_eq!(
        (&after["status"], &after["platform_type"], &after["is_pin_enabled"]),
        (&json!("CONNECTED"), &json!("CLOUD_API"), &json!(true))
    );
    let effects: Vec<What> = sandbox.effects().into_iter().map(|effect| effect.what).collect();
    let digits = DIGITS.to_owned();
    assert_eq!(
        effects,
        [
            What::NumberAdded { digits: digits.clone(), account: ACCOUNT.to_owned(), id },
            What::CodeSent { digits: digits.clone() },
            What::VerifyAttempt { digits: digits.clone(), accepted: true },
            What::CodeVerified { digits: digits.clone() },
            What::RegisterAttempt { digits: digits.clone(), accepted: true },
            What::Registered { digits },
        ]
    );
}

#[tokio::test]
async fn a_number_that_is_listed_is_not_added_twice() {
    let sandbox = demo();
    add(&sandbox).await;
    let full = json!({"phone_number": "+5511912345678", "verified_name": "Acme"});
    let again = post(&sandbox, &format!("/{ACCOUNT}/phone_numbers"), full).await;
    assert_eq!((again.status, again.code(), again.subcode()), (400, 100, 2_388_012));
}

#[tokio::test]
async fn the_number_limit_of_a_portfolio_holds_until_it_is_verified() {
    for (limit, code, subcode) in [
        (NumberLimit::Permission, 200, 1_349_175),
        (NumberLimit::PlainPermission, 200, 0),
        (NumberLimit::Generic, 200_000, 0),
    ] {
        let sandbox = demo();
        sandbox.set_switches(Switches { number_limit: limit, ..Switches::default() });
        let body =
            |n: u32| json!({"cc": "55", "phone_number": format!("1191234567{n}"), "verified_name": "Acme"});
        let path = format!("/{ACCOUNT}/phone_numbers");
        post(&sandbox, &path, body(1)).await.ok();
        post(&sandbox, &path, body(2)).await.ok();
        let third = post(&sandbox, &path, body(3)).await;
        assert_eq!((third.code(), third.subcode()), (code, subcode));
        sandbox.set_field("500000000000001", "verification_status", json!("verified"));
        post(&sandbox, &path, body(3)).await.ok();
    }
}

#[tokio::test]
async fn a_number_on_a_phone_is_refused_until_three_minutes_after_its_release() {
    let sandbox = demo();
    sandbox.put_on_phone(DIGITS);
    let body = json!({"cc": "55", "phone_number": "11912345678", "verified_name": "Acme"});
    let path = format!("/{ACCOUNT}/phone_numbers");
    let refused = post(&sandbox, &path, body.clone()).await;
    assert_eq!((refused.code(), refused.subcode()), (100, 2_388_001));
    sandbox.release_phone(DIGITS);
    assert_eq!(post(&sandbox, &path, body.clone()).await.subcode(), 2_388_001);
    sandbox.advance(Duration::from_secs(181));
    post(&sandbox, &path, body).await.ok();
}

#[tokio::test]
async fn what_is_known_of_a_number_holds_in_its_other_spelling() {
    let sandbox = demo();
    sandbox.add_number(Number::new("", ACCOUNT, "5531987654321", "Acme"));
    sandbox.put_on_phone("5216120000000");
    let path = format!("/{ACCOUNT}/phone_numbers");
    let body = |cc, number| json!({"cc": cc, "phone_number": number, "verified_name": "Acme"});
    assert_eq!(post(&sandbox, &path, body("55", "3187654321")).await.subcode(), 2_388_012);
    assert_eq!(post(&sandbox, &path, body("52", "6120000000")).await.subcode(), 2_388_001);
    sandbox.release_phone("526120000000");
    sandbox.advance(Duration::from_secs(181));
    post(&sandbox, &path, body("52", "6120000000")).await.ok();
    assert!(sandbox.delete_number("553187654321"));
    let again = post(&sandbox, &path, body("55", "3187654321")).await.ok();
    let id = again["id"].as_str().unwrap().to_owned();
    request_code(&sandbox, &id).await.ok();
    let code = sandbox.delivered_code("5531987654321").unwrap();
    verify(&sandbox, &id, &code).await.ok();
    assert_eq!(register(&sandbox, &id, "135790").await.code(), 133_015, "it was deleted a moment ago");
}

#[tokio::test]
async fn the_two_meanings_of_2388001_differ_only_in_a_localised_text() {
    let accept =
        Switches { on_phone_at_add: OnPhoneAtAdd::Accept, register_in_review: false, ..Switches::default() };
    let sandbox =
        demo_with(Options { switches: accept, review: ReviewPolicy::default(), ..Options::default() });
    let id = verified(&sandbox).await;
    let name = register(&sandbox, &id, "135790").await;
    sandbox.put_on_phone(DIGITS);
    let phone = register(&sandbox, &id, "135790").await;
    assert_eq!((name.code(), name.subcode()), (phone.code(), phone.subcode()));
    assert_ne!(name.body["error"]["error_user_msg"], phone.body["error"]["error_user_msg"]);
    let body = json!({"messaging_product": "whatsapp", "pin": "135790", "locale": "pt_BR"});
    let portuguese = post(&sandbox, &format!("/{id}/register"), body).await;
    assert_eq!(portuguese.body["error"]["error_user_title"], "Não é possível criar o certificado");
}

#[tokio::test]
async fn a_code_lives_ten_minutes_and_is_used_once() {
    let sandbox = demo();
    let id = add(&sandbox).await;
    request_code(&sandbox, &id).await.ok();
    let code = sandbox.delivered_code(DIGITS).unwrap();
    sandbox.advance(Duration::from_secs(600));
    assert_eq!(verify(&sandbox, &id, &code).await.code(), 136_025);
    request_code(&sandbox, &id).await.ok();
    let code = sandbox.delivered_code(DIGITS).unwrap();
    verify(&sandbox, &id, &code).await.ok();
    assert_eq!(verify(&sandbox, &id, &code).await.code(), 136_025);
    assert_eq!(request_code(&sandbox, &id).await.code(), 136_024);
}

#[tokio::test]
async fn what_a_verified_number_answers_is_a_switch() {
    let sandbox = demo();
    sandbox.set_switches(Switches { already_verified: AlreadyVerified::NotEligible, ..Switches::default() });
    let id = verified(&sandbox).await;
    assert_eq!(request_code(&sandbox, &id).await.subcode(), 2_388_091);
    assert_eq!(verify(&sandbox, &id, "123456").await.subcode(), 2_388_093);
}

#[tokio::test]
async fn wrong_codes_lock_the_number_for_hours() {
    let sandbox = demo();
    let id = add(&sandbox).await;
    request_code(&sandbox, &id).await.ok();
    let code = sandbox.delivered_code(DIGITS).unwrap();
    for _ in 0..5 {
        assert_eq!(verify(&sandbox, &id, wrong(&code)).await.code(), 136_025);
    }
    assert_eq!(verify(&sandbox, &id, &code).await.code(), 136_025, "the right code does not help any more");
    sandbox.advance(12 * HOUR);
    request_code(&sandbox, &id).await.ok();
    let code = sandbox.delivered_code(DIGITS).unwrap();
    verify(&sandbox, &id, &code).await.ok();
}

#[tokio::test]
async fn code_requests_beyond_the_allowance_are_refused_in_three_ways() {
    for (refusal, code, subcode) in [
        (CodeRefusal::Generic, 136_024, 0),
        (CodeRefusal::CannotSend, 100, 2_388_004),
        (CodeRefusal::CustomLimit, 613, 0),
    ] {
        let sandbox = demo();
        sandbox.set_switches(Switches { code_refusal: refusal, ..Switches::default() });
        let id = add(&sandbox).await;
        for _ in 0..10 {
            request_code(&sandbox, &id).await.ok();
        }
        let refused = request_code(&sandbox, &id).await;
        assert_eq!((refused.code(), refused.subcode()), (code, subcode));
        let sent = sandbox
            .effects()
            .into_iter()
            .filter(|effect| matches!(effect.what, What::CodeSent { .. }))
            .count();
        assert_eq!(sent, 10);
        sandbox.advance(3 * DAY);
        request_code(&sandbox, &id).await.ok();
    }
}

#[tokio::test]
async fn a_verification_lapses_after_fourteen_days() {
    let sandbox = demo();
    let id = verified(&sandbox).await;
    sandbox.advance(14 * DAY);
    assert_eq!(read(&sandbox, &id, "code_verification_status").await, "EXPIRED");
    assert_eq!(register(&sandbox, &id, "135790").await.code(), 133_006);
}

#[tokio::test]
async fn the_eleventh_registration_in_72_hours_is_refused_for_72_hours() {
    let sandbox = demo();
    let id = verified(&sandbox).await;
    for _ in 0..10 {
        register(&sandbox, &id, "135790").await.ok();
        sandbox.advance(HOUR);
    }
    assert_eq!(register(&sandbox, &id, "135790").await.code(), 133_016);
    sandbox.advance(71 * HOUR);
    assert_eq!(register(&sandbox, &id, "135790").await.code(), 133_016);
    sandbox.advance(HOUR);
    register(&sandbox, &id, "135790").await.ok();
}

#[tokio::test]
async fn whether_refused_registrations_count_is_a_switch() {
    for (count, expected) in [(true, 133_016), (false, 133_006)] {
        let sandbox = demo();
        sandbox.set_switches(Switches { failed_registers_count: count, ..Switches::default() });
        let id = add(&sandbox).await;
        for _ in 0..10 {
            assert_eq!(register(&sandbox, &id, "135790").await.code(), 133_006);
        }
        assert_eq!(register(&sandbox, &id, "135790").await.code(), expected);
    }
}

#[tokio::test]
async fn a_pin_once_set_must_match_until_it_is_overwritten() {
    let sandbox = demo();
    let id = verified(&sandbox).await;
    register(&sandbox, &id, "135790").await.ok();
    assert_eq!(register(&sandbox, &id, "111111").await.code(), 133_005);
    assert_eq!(register(&sandbox, &id, "135790").await.code(), 133_009, "too fast after a wrong one");
    sandbox.advance(Duration::from_secs(30));
    post(&sandbox, &format!("/{id}"), json!({"pin": "246802"})).await.ok();
    register(&sandbox, &id, "246802").await.ok();
}

#[tokio::test]
async fn too_many_wrong_pins_lock_the_registration() {
    let sandbox = demo();
    let id = verified(&sandbox).await;
    register(&sandbox, &id, "135790").await.ok();
    for _ in 0..5 {
        sandbox.advance(Duration::from_secs(31));
        assert_eq!(register(&sandbox, &id, "111111").await.code(), 133_005);
    }
    sandbox.advance(Duration::from_secs(31));
    let locked = register(&sandbox, &id, "135790").await;
    assert_eq!((locked.status, locked.code()), (400, 133_008));
    assert!(locked.body["error"]["error_data"]["details"].is_string());
}

#[tokio::test]
async fn a_name_in_review_is_decided_after_a_while() {
    let sandbox = demo_with(Options::default());
    let id = verified(&sandbox).await;
    assert_eq!(read(&sandbox, &id, "name_status").await, "PENDING_REVIEW");
    sandbox.advance(48 * HOUR);
    assert_eq!(read(&sandbox, &id, "name_status").await, "APPROVED");
}

#[tokio::test]
async fn a_number_whose_name_is_in_review_registers_or_not_by_a_switch() {
    for (register_in_review, subcode) in [(true, 0), (false, 2_388_001)] {
        let switches = Switches { register_in_review, ..Switches::default() };
        let sandbox = demo_with(Options { switches, ..Options::default() });
        let id = verified(&sandbox).await;
        assert_eq!(register(&sandbox, &id, "135790").await.subcode(), subcode);
        assert_eq!(read(&sandbox, &id, "name_status").await, "PENDING_REVIEW");
        sandbox.advance(48 * HOUR);
        register(&sandbox, &id, "135790").await.ok();
    }
}

/// Recorded of registered numbers in August and September 2026; the other reading is Meta's pages of the autumn.
#[tokio::test]
async fn a_registered_number_takes_its_own_pin_again_and_another_one_by_a_switch() {
    use RegisteredPin::{Compared, Kept};
    assert_eq!(Switches::default().registered_pin, Compared);
    for (registered_pin, code, body) in [
        (Compared, 133_005, json!({"success": true})),
        (Kept, 0, json!({"success": true, "pin_was_reset": false})),
    ] {
        let sandbox = demo();
        sandbox.set_switches(Switches { registered_pin, ..Switches::default() });
        let id = verified(&sandbox).await;
        assert_eq!(register(&sandbox, &id, "135790").await.ok(), json!({"success": true}), "the first time");
        assert_eq!(register(&sandbox, &id, "135790").await.ok(), body, "with the PIN that is set");
        let other = register(&sandbox, &id, "111111").await;
        assert_eq!(other.code(), code);
        let message = "(#133005) Two step verification PIN Mismatch";
        let expected = if code == 0 { body } else { json!(message) };
        assert_eq!(if code == 0 { other.body } else { other.body["error"]["message"].clone() }, expected);
        assert_eq!(sandbox.number(DIGITS).unwrap().pin.as_deref(), Some("135790"), "it stays in force");
        assert!(sandbox.deregister_number(DIGITS));
        sandbox.advance(MINUTE);
        assert_eq!(register(&sandbox, &id, "111111").await.code(), 133_005, "and counts once it has left");
    }
}

/// Words as they come through the control API, and what an added number then shows until it is registered.
#[tokio::test]
async fn one_number_in_nine_is_connected_before_it_is_registered() {
    for (word, pending) in [("asRecorded", 40), ("PENDING", 45), ("CONNECTED", 0)] {
        let sandbox = demo();
        let mut portfolio = Portfolio::new("500000000000001", "Acme Ltda");
        portfolio.number_limit = Some(100);
        sandbox.add_portfolio(portfolio);
        let mut switches = serde_json::to_value(Switches::default()).unwrap();
        assert_eq!(switches["initialStatus"], "asRecorded", "the default");
        switches["initialStatus"] = json!(word);
        sandbox.set_switches(serde_json::from_value(switches).unwrap());
        let mut shown = Vec::new();
        for n in 0..45 {
            let body =
                json!({"cc": "55", "phone_number": format!("119123456{n:02}"), "verified_name": "Acme"});
            let answer = post(&sandbox, &format!("/{ACCOUNT}/phone_numbers"), body).await.ok();
            let id = answer["id"].as_str().unwrap().to_owned();
            let number = get(&sandbox, &format!("/{id}?fields=status,platform_type")).await.ok();
            assert_eq!(number["platform_type"], "NOT_APPLICABLE");
            shown.push(number["status"].clone());
        }
        assert_eq!(shown.iter().filter(|status| *status == "PENDING").count(), pending, "{word}");
        assert_eq!(shown.iter().filter(|status| *status == "CONNECTED").count(), 45 - pending, "{word}");
    }
}

/// Recorded in August 2026: the subscription alone was not enough.
#[tokio::test]
async fn an_override_needs_an_app_with_a_callback_of_its_own() {
    for (callback_url, code) in [(Some("https://hooks.example.org/1".to_owned()), 0), (None, 100)] {
        let app = App::new("200000000000001", "Acme Ops");
        let world = World::for_demo().with_app(App { callback_url, ..app });
        let sandbox = Sandbox::from_world(Options::default(), world);
        let id = add(&sandbox).await;
        post(&sandbox, &format!("/{ACCOUNT}/subscribed_apps"), json!({})).await.ok();
        let url = json!({"override_callback_uri": "https://bot.acme.example/wa", "verify_token": "v"});
        let answer = post(&sandbox, &format!("/{id}"), json!({"webhook_configuration": url})).await;
        assert_eq!(answer.code(), code);
    }
}

#[tokio::test]
async fn a_pin_is_set_before_the_registration_or_not_by_a_switch() {
    for (pin_on_unregistered, code) in [(true, 0), (false, 133_010)] {
        let sandbox = demo();
        sandbox.set_switches(Switches { pin_on_unregistered, ..Switches::default() });
        let id = add(&sandbox).await;
        assert_eq!(post(&sandbox, &format!("/{id}"), json!({"pin": "135790"})).await.code(), code);
    }
}

#[tokio::test]
async fn registering_again_takes_a_new_name_whose_review_goes_on() {
    for (verdict, status) in [(Verdict::Approve, "APPROVED"), (Verdict::Decline, "DECLINED")] {
        let sandbox = demo();
        let id = verified(&sandbox).await;
        register(&sandbox, &id, "135790").await.ok();
        post(&sandbox, &format!("/{id}"), json!({"new_display_name": "Acme Vendas"})).await.ok();
        assert_eq!(read(&sandbox, &id, "verified_name").await, "Acme Suporte");
        register(&sandbox, &id, "135790").await.ok();
        let names = format!("/{id}?fields=verified_name,name_status,new_display_name,new_name_status");
        let shown = json!({"id": id, "verified_name": "Acme Vendas", "name_status": "PENDING_REVIEW", "new_name_status": "NONE"});
        assert_eq!(get(&sandbox, &names).await.ok(), shown);
        sandbox.decide_name(DIGITS, verdict);
        assert_eq!(read(&sandbox, &id, "name_status").await, status);
    }
}

#[tokio::test]
async fn another_partner_may_deregister_a_number() {
    let sandbox = demo();
    let id = verified(&sandbox).await;
    assert!(!sandbox.deregister_number(DIGITS), "it is not registered");
    register(&sandbox, &id, "135790").await.ok();
    sandbox.set_lag(Lag::Seeded { max_secs: 600 });
    assert!(sandbox.deregister_number(DIGITS));
    let shown = get(&sandbox, &format!("/{id}?fields=status,platform_type")).await.ok();
    assert_eq!(shown, json!({"id": id, "status": "DISCONNECTED", "platform_type": "NOT_APPLICABLE"}));
    assert_eq!(sandbox.count(|what| matches!(what, What::Deregistered { .. })), 1);
    assert!(!sandbox.deregister_number("5511900000000"), "there is no such number");
}

#[tokio::test]
async fn a_name_can_be_declined_or_deferred_by_hand() {
    let sandbox = demo_with(Options::default());
    let id = add(&sandbox).await;
    assert!(sandbox.decide_name(DIGITS, Verdict::Defer));
    sandbox.advance(30 * DAY);
    assert_eq!(read(&sandbox, &id, "name_status").await, "PENDING_REVIEW");
    assert!(sandbox.decide_name(DIGITS, Verdict::Decline));
    assert_eq!(read(&sandbox, &id, "name_status").await, "DECLINED");
}

#[tokio::test]
async fn an_approved_rename_takes_effect_by_registering_again_or_at_once() {
    for again in [true, false] {
        let sandbox = demo();
        sandbox.set_switches(Switches { rename_needs_register: again, ..Switches::default() });
        let id = verified(&sandbox).await;
        register(&sandbox, &id, "135790").await.ok();
        post(&sandbox, &format!("/{id}"), json!({"new_display_name": "Acme Vendas"})).await.ok();
        assert_eq!(read(&sandbox, &id, "new_name_status").await, "PENDING_REVIEW");
        let second = post(&sandbox, &format!("/{id}"), json!({"new_display_name": "Acme Outra"})).await;
        assert_eq!(second.code(), 100, "only one change may be in flight");
        post(&sandbox, &format!("/{id}"), json!({"new_display_name": "Acme Vendas"})).await.ok();
        sandbox.decide_name(DIGITS, Verdict::Approve);
        let name = read(&sandbox, &id, "verified_name").await;
        assert_eq!(name == "Acme Vendas", !again);
        register(&sandbox, &id, "135790").await.ok();
        assert_eq!(read(&sandbox, &id, "verified_name").await, "Acme Vendas");
        let open =
            get(&sandbox, &format!("/{id}?fields=new_display_name,new_name_status,name_status")).await.ok();
        assert_eq!(open, json!({"id": id, "new_name_status": "NONE", "name_status": "APPROVED"}));
        let submitted = sandbox
            .effects()
            .into_iter()
            .filter(|effect| matches!(effect.what, What::NameSubmitted { .. }))
            .count();
        assert_eq!(submitted, 1);
    }
}

#[tokio::test]
async fn an_approved_rename_that_is_not_registered_lapses() {
    let sandbox = demo();
    let id = verified(&sandbox).await;
    register(&sandbox, &id, "135790").await.ok();
    post(&sandbox, &format!("/{id}"), json!({"new_display_name": "Acme Vendas"})).await.ok();
    sandbox.decide_name(DIGITS, Verdict::Approve);
    sandbox.advance(14 * DAY);
    assert_eq!(read(&sandbox, &id, "new_name_status").await, "EXPIRED");
}

#[tokio::test]
async fn an_approved_name_that_was_registered_lapses_no_more() {
    for name in ["Acme Suporte", "Acme Brasil"] {
        let review = ReviewPolicy { first_name: "APPROVED".to_owned(), ..ReviewPolicy::default() };
        let sandbox = demo_with(Options { review, ..Options::default() });
        let id = verified(&sandbox).await;
        register(&sandbox, &id, "135790").await.ok();
        if name != "Acme Suporte" {
            post(&sandbox, &format!("/{id}"), json!({"new_display_name": name})).await.ok();
            sandbox.decide_name(DIGITS, Verdict::Approve);
            register(&sandbox, &id, "135790").await.ok();
        }
        sandbox.advance(15 * DAY);
        post(&sandbox, &format!("/{id}/deregister"), Value::Null).await.ok();
        assert_eq!(read(&sandbox, &id, "name_status").await, "APPROVED");
        assert_eq!(read(&sandbox, &id, "verified_name").await, name);
    }
}

#[tokio::test]
async fn ten_name_changes_in_thirty_days_are_the_limit() {
    let sandbox = demo();
    let id = add(&sandbox).await;
    for n in 0..10 {
        post(&sandbox, &format!("/{id}"), json!({"new_display_name": format!("Acme {n}")})).await.ok();
        sandbox.decide_name(DIGITS, Verdict::Decline);
    }
    assert_eq!(post(&sandbox, &format!("/{id}"), json!({"new_display_name": "Acme X"})).await.code(), 100);
    sandbox.advance(30 * DAY);
    post(&sandbox, &format!("/{id}"), json!({"new_display_name": "Acme X"})).await.ok();
}

#[tokio::test]
async fn a_number_in_the_app_takes_no_orders() {
    let sandbox = demo();
    sandbox.add_number(Number::new("101", ACCOUNT, DIGITS, "Acme").coexisting());
    assert_eq!(register(&sandbox, "101", "135790").await.code(), 100);
    assert_eq!(request_code(&sandbox, "101").await.code(), 100);
    assert_eq!(post(&sandbox, "/101", json!({"pin": "135790"})).await.code(), 100);
    assert_eq!(
        post(
            &sandbox,
            "/101/whatsapp_business_profile",
            json!({"messaging_product": "whatsapp", "about": "x"})
        )
        .await
        .code(),
        100
    );
    sandbox.set_switches(Switches {
        register_coexistence: true,
        reregister_needs_verified: false,
        ..Switches::default()
    });
    register(&sandbox, "101", "135790").await.ok();
}

#[tokio::test]
async fn a_test_number_registers_without_ever_looking_connected() {
    let sandbox = demo();
    sandbox.add_number(Number::new("101", ACCOUNT, "15550100100", "Test").sandbox());
    register(&sandbox, "101", "000000").await.ok();
    let shown =
        get(&sandbox, "/101?fields=status,code_verification_status,account_mode,platform_type").await.ok();
    assert_eq!(
        shown,
        json!({"id": "101", "status": "DISCONNECTED", "code_verification_status": "NOT_VERIFIED", "account_mode": "SANDBOX", "platform_type": "CLOUD_API"})
    );
}

#[tokio::test]
async fn a_plain_subscription_clears_the_override() {
    let sandbox = demo();
    let path = format!("/{ACCOUNT}/subscribed_apps");
    let route = json!({"override_callback_uri": "https://bot.acme.example/wa", "verify_token": "v"});
    assert_eq!(
        post(&sandbox, &path, route.clone()).await.code(),
        100,
        "an override needs a subscription first"
    );
    post(&sandbox, &path, Value::Null).await.ok();
    post(&sandbox, &path, route).await.ok();
    let routed = get(&sandbox, &path).await.ok();
    assert_eq!(routed["data"][0]["override_callback_uri"], "https://bot.acme.example/wa");
    assert_eq!(routed["data"][0]["whatsapp_business_api_data"]["id"], "200000000000001");
    post(&sandbox, &path, Value::Null).await.ok();
    assert_eq!(get(&sandbox, &path).await.ok()["data"][0].get("override_callback_uri"), None);
}

#[tokio::test]
async fn a_handshake_that_fails_changes_nothing() {
    let sandbox = demo();
    sandbox.set_switches(Switches { pin_on_unregistered: true, ..Switches::default() });
    let id = add(&sandbox).await;
    post(&sandbox, &format!("/{ACCOUNT}/subscribed_apps"), Value::Null).await.ok();
    for (answer, code) in [
        (EndpointAnswer::WrongChallenge, 2201),
        (EndpointAnswer::Refuse, 2200),
        (EndpointAnswer::Silent, 2200),
    ] {
        sandbox.set_webhook_endpoint("https://bot.acme.example/wa", answer);
        let body = json!({"webhook_configuration": {"override_callback_uri": "https://bot.acme.example/wa", "verify_token": "v"}, "pin": "135790"});
        assert_eq!(post(&sandbox, &format!("/{id}"), body).await.code(), code);
    }
    assert_eq!(read(&sandbox, &id, "is_pin_enabled").await, false);
    assert_eq!(read(&sandbox, &id, "webhook_configuration").await.get("phone_number"), None);
}

#[tokio::test]
async fn a_callback_on_this_machine_is_really_asked() {
    let answering = axum::Router::new().fallback(|uri: axum::http::Uri| async move {
        let query = uri.query().unwrap_or_default().to_owned();
        let part = |key: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(key).map(str::to_owned)).unwrap_or_default()
        };
        if part("hub.verify_token=") == "secret" { part("hub.challenge=") } else { "no".to_owned() }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/wa", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, answering).await });
    let sandbox = demo();
    let id = add(&sandbox).await;
    post(&sandbox, &format!("/{ACCOUNT}/subscribed_apps"), Value::Null).await.ok();
    let route =
        |token: &str| json!({"webhook_configuration": {"override_callback_uri": url, "verify_token": token}});
    assert_eq!(post(&sandbox, &format!("/{id}"), route("wrong")).await.code(), 2201);
    post(&sandbox, &format!("/{id}"), route("secret")).await.ok();
    assert_eq!(read(&sandbox, &id, "webhook_configuration").await["phone_number"], url);
    let nothing = json!({"webhook_configuration": {"override_callback_uri": ""}});
    post(&sandbox, &format!("/{id}"), nothing).await.ok();
    assert_eq!(read(&sandbox, &id, "webhook_configuration").await.get("phone_number"), None);
    server.abort();
}

#[tokio::test]
async fn one_unknown_field_fails_the_whole_read() {
    let sandbox = demo();
    let id = add(&sandbox).await;
    for path in [
        format!("/{id}?fields=id,unified_cert_status"),
        format!("/{ACCOUNT}/phone_numbers?fields=id,unified_cert_status"),
    ] {
        let answer = get(&sandbox, &path).await;
        assert_eq!((answer.status, answer.code()), (400, 100));
        assert!(
            answer.body["error"]["message"]
                .as_str()
                .unwrap()
                .contains("nonexisting field (unified_cert_status)")
        );
    }
    let older = Request::get(format!("/v23.0/{id}?fields=whatsapp_business_manager_messaging_limit"));
    let older = sandbox
        .handle(older.header("authorization", format!("Bearer {DEMO_TOKEN}")).body(Bytes::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(older.status(), 400, "the field came with v24.0");
}

#[tokio::test]
async fn an_empty_field_is_left_out() {
    let sandbox = demo();
    sandbox.set_field(ACCOUNT, "country", Value::Null);
    let answer =
        get(&sandbox, &format!("/{ACCOUNT}?fields=name,country,primary_business_location")).await.ok();
    assert_eq!(answer, json!({"id": ACCOUNT, "name": "Acme"}));
}

#[tokio::test]
async fn any_raw_value_can_be_put_anywhere() {
    let sandbox = demo();
    let id = add(&sandbox).await;
    sandbox.set_field(DIGITS, "status", json!("SOMETHING_NEW"));
    sandbox.set_field(DIGITS, "quality_score", json!({"score": "PURPLE"}));
    let shown = get(&sandbox, &format!("/{id}?fields=status,quality_score")).await.ok();
    assert_eq!(shown, json!({"id": id, "status": "SOMETHING_NEW", "quality_score": {"score": "PURPLE"}}));
}

#[tokio::test]
async fn lists_are_paged_and_next_holds_no_secret() {
    let sandbox = demo();
    for n in 10..15 {
        sandbox.add_number(Number::new(&format!("{n}"), ACCOUNT, &format!("55119123456{n}"), "Acme"));
    }
    let mut seen = Vec::new();
    let mut path = format!("/{ACCOUNT}/phone_numbers?fields=id&limit=2&access_token=EAAsandbox-leak");
    loop {
        let page = get(&sandbox, &path).await.ok();
        seen.extend(
            page["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["paging"]["next"].as_str() else { break };
        assert!(!next.contains("leak") && !next.contains(DEMO_TOKEN), "{next}");
        path = next.split_once("/v25.0").unwrap().1.to_owned();
    }
    assert_eq!(seen, ["14", "13", "12", "11", "10"]);
    let nested = get(
        &sandbox,
        &format!("/{ACCOUNT}?fields=id,phone_numbers.limit(3){{id,whatsapp_business_profile{{about}}}}"),
    )
    .await
    .ok();
    assert_eq!(nested["phone_numbers"]["data"].as_array().unwrap().len(), 3);
    assert_eq!(
        nested["phone_numbers"]["data"][0]["whatsapp_business_profile"]["data"][0]["messaging_product"],
        "whatsapp"
    );
    assert_eq!(get(&sandbox, &format!("/{ACCOUNT}/phone_numbers?after=nonsense")).await.code(), 100);
}

#[tokio::test]
async fn a_page_may_be_short_or_empty_and_go_on_and_its_next_may_hold_the_token() {
    let sandbox = demo();
    sandbox.set_switches(Switches { short_pages: true, next_holds_token: true, ..Switches::default() });
    assert_eq!(get(&sandbox, &format!("/{ACCOUNT}/phone_numbers")).await.ok(), json!({"data": []}));
    for n in 10..17 {
        sandbox.add_number(Number::new(&format!("{n}"), ACCOUNT, &format!("55119123456{n}"), "Acme"));
    }
    let (mut seen, mut sizes) = (Vec::new(), Vec::new());
    let mut path = format!("/{ACCOUNT}/phone_numbers?fields=id&limit=3");
    loop {
        let page = get(&sandbox, &path).await.ok();
        let ids = page["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
        let before = seen.len();
        seen.extend(ids);
        sizes.push(seen.len() - before);
        let Some(next) = page["paging"]["next"].as_str() else { break };
        assert!(next.contains(DEMO_TOKEN), "{next}");
        path = next.split_once("/v25.0").unwrap().1.to_owned();
    }
    assert_eq!(seen, ["16", "15", "14", "13", "12", "11", "10"]);
    assert_eq!(sizes, [0, 3, 2, 1, 1]);
}

#[tokio::test]
async fn the_expansion_of_profiles_is_a_grant() {
    let sandbox = demo();
    sandbox.set_switches(Switches { profile_expansion: false, ..Switches::default() });
    assert_eq!(
        get(&sandbox, &format!("/{ACCOUNT}/phone_numbers?fields=whatsapp_business_profile{{about}}"))
            .await
            .code(),
        100
    );
}

#[tokio::test]
async fn owned_and_client_accounts_are_listed_apart() {
    let world = World::for_demo()
        .with_portfolio(Portfolio::new("500000000000002", "Customer"))
        .with_account(
            Account::new("300000000000002", "500000000000002", "Shared").shared_with("500000000000001"),
        )
        .with_account(Account::new("300000000000003", "500000000000002", "Foreign"));
    let sandbox = Sandbox::from_world(Options::default(), world);
    let list = |edge: &str| {
        format!("/500000000000001/{edge}_whatsapp_business_accounts?fields=id,owner_business_info")
    };
    let owned = get(&sandbox, &list("owned")).await.ok();
    let client = get(&sandbox, &list("client")).await.ok();
    assert_eq!(owned["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        client["data"],
        json!([{"id": "300000000000002", "owner_business_info": {"id": "500000000000002", "name": "Customer"}}])
    );
    let foreign = get(&sandbox, "/300000000000003").await;
    assert_eq!((foreign.status, foreign.code(), foreign.subcode()), (400, 100, 33));
    assert!(
        foreign.headers.contains_key("x-app-usage")
            && !foreign.headers.contains_key("x-business-use-case-usage")
    );
    assert_eq!(get(&sandbox, "/500000000000002").await.subcode(), 33);
}

#[tokio::test]
async fn an_employee_may_not_list_accounts() {
    let sandbox = demo();
    let employee = Token {
        employee: true,
        assigned: [ACCOUNT.to_owned()].into(),
        ..Token::system_user("200000000000001", "500000000000001")
    };
    sandbox.add_token("EAAsandbox-employee", employee);
    let list = call_as(
        &sandbox,
        "EAAsandbox-employee",
        "GET",
        "/500000000000001/owned_whatsapp_business_accounts",
        Value::Null,
    )
    .await;
    assert_eq!(list.code(), 200);
    call_as(&sandbox, "EAAsandbox-employee", "GET", &format!("/{ACCOUNT}"), Value::Null).await.ok();
}

#[tokio::test]
async fn a_dead_token_is_described_with_http_200() {
    let sandbox = demo();
    let path = format!("/debug_token?input_token={DEMO_TOKEN}");
    let alive = get(&sandbox, &path).await.ok();
    assert_eq!((&alive["data"]["is_valid"], &alive["data"]["expires_at"]), (&json!(true), &json!(0)));
    sandbox.revoke_token(DEMO_TOKEN);
    let app = format!("200000000000001|{DEMO_APP_SECRET}");
    let dead = call_as(&sandbox, &app, "GET", &path, Value::Null).await.ok();
    assert_eq!((&dead["data"]["is_valid"], &dead["data"]["error"]["subcode"]), (&json!(false), &json!(467)));
    assert_eq!(get(&sandbox, &path).await.ok()["data"]["is_valid"], false);
    sandbox.set_switches(Switches { dead_token_inspects_itself: false, ..Switches::default() });
    let refused = get(&sandbox, &path).await;
    assert_eq!((refused.status, refused.code(), refused.subcode()), (401, 190, 467));
    let unknown =
        call_as(&sandbox, &app, "GET", "/debug_token?input_token=EAAnonsense", Value::Null).await.ok();
    assert_eq!(unknown["data"]["is_valid"], false);
}

#[tokio::test]
async fn scopes_expiry_and_proofs_are_checked() {
    let sandbox = demo();
    let path = format!("/{ACCOUNT}");
    assert_eq!(get(&sandbox, &format!("{path}?appsecret_proof=00")).await.code(), 100);
    sandbox.add_app(App {
        require_proof: true,
        ..App::new("200000000000001", "Acme Ops").with_secret(DEMO_APP_SECRET)
    });
    assert_eq!(get(&sandbox, &path).await.code(), 100);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, DEMO_APP_SECRET.as_bytes());
    let proof: String = ring::hmac::sign(&key, DEMO_TOKEN.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let (bare, path) = (path.clone(), format!("{path}?appsecret_proof={proof}"));
    get(&sandbox, &path).await.ok();
    let subscribe = format!("{bare}/subscribed_apps");
    let refused = post(&sandbox, &subscribe, json!({"appsecret_proof": proof})).await;
    assert_eq!(refused.code(), 100, "a proof in the body is no proof");
    post(&sandbox, &format!("{subscribe}?appsecret_proof={proof}"), Value::Null).await.ok();
    sandbox.set_scopes(DEMO_TOKEN, ["business_management"]);
    assert_eq!(get(&sandbox, &path).await.code(), 200);
    sandbox.expire_token(DEMO_TOKEN);
    let expired = get(&sandbox, &path).await;
    assert_eq!((expired.status, expired.code(), expired.subcode()), (401, 190, 463));
    let anonymous = sandbox.handle(Request::get("/v25.0/me").body(Bytes::new()).unwrap()).await.unwrap();
    assert_eq!(anonymous.status(), 400);
}

#[tokio::test]
async fn two_hundred_calls_an_hour_and_then_a_block_that_calling_prolongs() {
    let sandbox = demo();
    let path = format!("/{ACCOUNT}");
    for _ in 0..200 {
        get(&sandbox, &path).await.ok();
    }
    let usage = |answer: &Answer| {
        let header = answer.headers["x-business-use-case-usage"].to_str().unwrap();
        serde_json::from_str::<Value>(header).unwrap()[ACCOUNT][0].clone()
    };
    let throttled = get(&sandbox, &path).await;
    assert_eq!((throttled.status, throttled.code()), (400, 80008));
    assert_eq!(usage(&throttled)["estimated_time_to_regain_access"], 60);
    sandbox.advance(HOUR / 2);
    for _ in 0..200 {
        assert_eq!(get(&sandbox, &path).await.code(), 80008);
    }
    sandbox.advance(HOUR / 2);
    assert_eq!(get(&sandbox, &path).await.code(), 80008, "calling while throttled prolongs it");
    sandbox.advance(HOUR);
    assert_eq!(usage(&get(&sandbox, &path).await)["call_count"], 0);
}

#[tokio::test]
async fn an_app_that_is_throttled_is_so_in_all_its_accounts() {
    const SECOND: &str = "300000000000002";
    let sandbox = demo();
    sandbox.add_account(Account::new(SECOND, "500000000000001", "Acme"));
    let on = || Match { account: Some(ACCOUNT.to_owned()), times: Some(1), ..Match::any() };
    sandbox.inject(Fault { on: on(), kind: FaultKind::Throttle { code: 4, minutes: 10 } });
    let (first, second) = (format!("/{ACCOUNT}"), format!("/{SECOND}"));
    let throttled = get(&sandbox, &first).await;
    assert_eq!(throttled.code(), 4);
    assert!(throttled.headers.contains_key("x-app-usage"));
    assert_eq!(get(&sandbox, &second).await.code(), 4);
    assert_eq!(get(&sandbox, "/me").await.code(), 4);
    sandbox.advance(Duration::from_secs(14 * 60));
    for path in [&first, &second] {
        get(&sandbox, path).await.ok();
    }

    sandbox.inject(Fault { on: on(), kind: FaultKind::Throttle { code: 80008, minutes: 10 } });
    assert_eq!(get(&sandbox, &first).await.code(), 80008);
    get(&sandbox, &second).await.ok();
}

#[tokio::test]
async fn the_large_allowance_comes_with_the_first_registered_number() {
    let sandbox = demo();
    sandbox.add_number(Number::new("101", ACCOUNT, DIGITS, "Acme").registered("135790"));
    for _ in 0..1000 {
        get(&sandbox, "/101").await.ok();
    }
    for _ in 0..200 {
        get(&sandbox, "/101/whatsapp_business_profile").await.ok();
    }
    assert_eq!(
        get(&sandbox, "/101/whatsapp_business_profile").await.code(),
        80008,
        "profiles are not on the short list"
    );
    get(&sandbox, "/101").await.ok();
}

#[tokio::test]
async fn a_profile_is_checked_and_normalised() {
    let sandbox = demo();
    let id = add(&sandbox).await;
    let path = format!("/{id}/whatsapp_business_profile");
    let write = |extra: Value| {
        let mut body = json!({"messaging_product": "whatsapp"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        post(&sandbox, &path, body)
    };
    let empty = get(&sandbox, &path).await.ok();
    assert_eq!(empty, json!({"data": [{"messaging_product": "whatsapp"}]}));
    write(json!({"about": "Open", "websites": ["https://acme.example"], "email": "a@b.example"})).await.ok();
    let shown = get(&sandbox, &format!("{path}?fields=about,websites,vertical,address")).await.ok();
    assert_eq!(
        shown["data"][0],
        json!({"about": "Open", "websites": ["https://acme.example/"], "vertical": "UNDEFINED", "messaging_product": "whatsapp"})
    );
    for bad in [
        json!({"about": ""}),
        json!({"about": "x".repeat(140)}),
        json!({"description": "x".repeat(513)}),
        json!({"email": "nobody"}),
        json!({"websites": ["acme.example"]}),
        json!({"websites": ["https://a.example", "https://b.example", "https://c.example"]}),
        json!({"vertical": "INDUSTRY"}),
    ] {
        assert_eq!(write(bad).await.code(), 100);
    }
    write(json!({"websites": [], "email": ""})).await.ok();
    let cleared = get(&sandbox, &format!("{path}?fields=about,websites,email")).await.ok();
    assert_eq!(cleared["data"][0], json!({"about": "Open", "messaging_product": "whatsapp"}));
}

#[tokio::test]
async fn a_reply_lost_before_the_effect_leaves_no_effect() {
    let sandbox = demo();
    let id = add(&sandbox).await;
    sandbox.inject(Fault { on: Match::on("POST", "request_code").times(1), kind: FaultKind::TimeoutBefore });
    let lost = raw(
        &sandbox,
        DEMO_TOKEN,
        "POST",
        &format!("/{id}/request_code"),
        json!({"code_method": "SMS", "language": "en_US"}),
    )
    .await;
    assert_eq!(lost.unwrap_err(), Lost);
    assert_eq!(sandbox.delivered_code(DIGITS), None);
    request_code(&sandbox, &id).await.ok();
}

#[tokio::test]
async fn a_reply_lost_after_the_effect_leaves_the_effect() {
    let sandbox = demo();
    let id = add(&sandbox).await;
    sandbox.inject(Fault { on: Match::on("POST", "request_code"), kind: FaultKind::TimeoutAfter });
    let lost = raw(
        &sandbox,
        DEMO_TOKEN,
        "POST",
        &format!("/{id}/request_code"),
        json!({"code_method": "SMS", "language": "en_US"}),
    )
    .await;
    assert_eq!(lost.unwrap_err(), Lost);
    assert!(sandbox.delivered_code(DIGITS).is_some());
    let last = sandbox.calls().pop().unwrap();
    assert_eq!(
        (last.path.as_str(), last.status, last.faults),
        ("/{phone}/request_code", None, vec!["timeoutAfter".to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_held_connection_is_lost_only_after_its_time() {
    let sandbox = demo_with(Options { hold: Hold::Keep { secs: 90 }, ..Options::default() });
    sandbox.inject(Fault { on: Match::any(), kind: FaultKind::TimeoutBefore });
    let begun = tokio::time::Instant::now();
    assert!(raw(&sandbox, DEMO_TOKEN, "GET", "/me", Value::Null).await.is_err());
    assert_eq!(begun.elapsed(), Duration::from_secs(90));
}

#[tokio::test]
async fn faults_shape_the_answer() {
    let sandbox = demo();
    let id = add(&sandbox).await;
    let path = format!("/{id}?fields=status");
    let with = |kind: FaultKind| {
        sandbox.clear_faults();
        sandbox.inject(Fault { on: Match::on("GET", "phone"), kind });
        raw(&sandbox, DEMO_TOKEN, "GET", &path, Value::Null)
    };
    assert_eq!(with(FaultKind::Status { code: 503 }).await.unwrap().status(), 503);
    let html = with(FaultKind::Html { code: 502 }).await.unwrap();
    assert!(html.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let error =
        with(FaultKind::Error { envelope: json!({"error": {"code": 2, "message": "down"}}) }).await.unwrap();
    assert_eq!(error.status(), 503);
    assert!(serde_json::from_slice::<Value>(with(FaultKind::TruncatedBody).await.unwrap().body()).is_err());
    for before in ["", "xx"] {
        // Two letters more move the middle by one byte: one of the two lies within a letter.
        sandbox.set_field(DIGITS, "status", json!(format!("{before}{}", "é".repeat(40))));
        let text = with(FaultKind::TruncatedBody).await.unwrap().into_body();
        assert!(str::from_utf8(&text).unwrap().ends_with('é'), "{text:?}");
    }
    sandbox.set_field(DIGITS, "status", json!("PENDING"));
    assert!(with(FaultKind::HugeBody { bytes: 100_000 }).await.unwrap().body().len() > 100_000);
    let extra =
        with(FaultKind::UnknownField { fields: json!({"brand_new": {"a": 1}}).as_object().unwrap().clone() })
            .await
            .unwrap();
    assert_eq!(serde_json::from_slice::<Value>(extra.body()).unwrap()["brand_new"], json!({"a": 1}));
    let value =
        with(FaultKind::UnknownEnum { field: "status".to_owned(), value: json!("NOVEL") }).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(value.body()).unwrap()["status"], "NOVEL");
    assert_eq!(
        with(FaultKind::RefuseField { field: "status".to_owned(), envelope: None }).await.unwrap().status(),
        400
    );
    let envelope =
        json!({"error": {"code": 200, "error_subcode": 7, "message": "(#200) Missing Permission"}});
    let refused = with(FaultKind::RefuseField { field: "status".to_owned(), envelope: Some(envelope) }).await;
    let error = &serde_json::from_slice::<Value>(refused.unwrap().body()).unwrap()["error"];
    assert_eq!((&error["code"], &error["error_subcode"]), (&json!(200), &json!(7)));
    assert_eq!(error["message"], "(#200) Missing Permission");
    let raw = with(FaultKind::RawBody { code: 200, body: "{\"data\": {}".to_owned() }).await.unwrap();
    assert_eq!((raw.status().as_u16(), &raw.body()[..]), (200, &b"{\"data\": {}"[..]));
    assert!(with(FaultKind::Disconnect).await.is_err());
    let throttled = with(FaultKind::Throttle { code: 80007, minutes: 7 }).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(throttled.body()).unwrap()["error"]["code"], 80007);
    sandbox.clear_faults();
    assert_eq!(get(&sandbox, &path).await.code(), 80007, "the account stays throttled");
    sandbox.advance(Duration::from_secs(20 * 60));
    get(&sandbox, &path).await.ok();
}

#[tokio::test]
async fn an_effect_can_show_late() {
    let sandbox = demo();
    let id = verified(&sandbox).await;
    sandbox.inject(Fault {
        on: Match::on("POST", "register").times(1),
        kind: FaultKind::LateEffect { secs: 120 },
    });
    register(&sandbox, &id, "135790").await.ok();
    assert_eq!(read(&sandbox, &id, "platform_type").await, "NOT_APPLICABLE");
    sandbox.advance(Duration::from_secs(121));
    assert_eq!(read(&sandbox, &id, "platform_type").await, "CLOUD_API");
}

#[tokio::test]
async fn a_delayed_call_gets_no_answer_and_takes_effect_at_its_own_date() {
    let sandbox = demo();
    let id = verified(&sandbox).await;
    let begun = sandbox.now();
    sandbox.inject(Fault {
        on: Match::on("POST", "register").times(1),
        kind: FaultKind::DelayedEffect { secs: 500 },
    });
    let body = json!({"messaging_product": "whatsapp", "pin": "135790"});
    assert!(raw(&sandbox, DEMO_TOKEN, "POST", &format!("/{id}/register"), body).await.is_err());
    sandbox.advance(Duration::from_secs(499));
    assert_eq!(read(&sandbox, &id, "platform_type").await, "NOT_APPLICABLE");
    let sandbox = Sandbox::restore(sandbox.snapshot()).unwrap();
    sandbox.advance(Duration::from_secs(60));
    assert_eq!(sandbox.count(|what| matches!(what, What::Registered { .. })), 1, "nobody has to look first");
    assert_eq!(read(&sandbox, &id, "platform_type").await, "CLOUD_API");
    let registered: Vec<_> =
        sandbox.effects().into_iter().filter(|e| matches!(e.what, What::Registered { .. })).collect();
    assert_eq!(registered.len(), 1);
    assert_eq!(registered[0].at.duration_since(begun), SignedDuration::from_secs(500));
}

#[tokio::test]
async fn every_field_has_a_lag_of_its_own() {
    let sandbox = demo_with(Options {
        lag: Lag::Seeded { max_secs: 60 },
        review: ReviewPolicy::without_first_review(),
        ..Options::default()
    });
    let id = add(&sandbox).await;
    let list = format!("/{ACCOUNT}/phone_numbers");
    let mut lags = std::collections::BTreeSet::new();
    for second in 0..=60 {
        if !get(&sandbox, &list).await.ok()["data"].as_array().unwrap().is_empty() {
            lags.insert(second);
            break;
        }
        sandbox.advance(Duration::from_secs(1));
    }
    assert_eq!(lags.len(), 1, "the number is listed in the end");
    sandbox.add_token("EAAsandbox-second", Token::system_user("200000000000009", "500000000000001"));
    request_code(&sandbox, &id).await.ok();
    verify(&sandbox, &id, &sandbox.delivered_code(DIGITS).unwrap()).await.ok();
    register(&sandbox, &id, "135790").await.ok();
    let late: Vec<_> = sandbox.number(DIGITS).unwrap().late;
    let distinct: std::collections::BTreeSet<_> = late.iter().map(|late| late.until).collect();
    assert!(distinct.len() > 2, "{late:?}");
    sandbox.advance(Duration::from_secs(61));
    assert_eq!(read(&sandbox, &id, "status").await, "CONNECTED");
}

#[tokio::test]
async fn two_runs_with_one_seed_are_identical() {
    async fn run(seed: u64) -> (Value, Vec<CallRecord>) {
        let sandbox = demo_with(Options { seed, lag: Lag::Seeded { max_secs: 30 }, ..Options::default() });
        sandbox.inject(Fault {
            on: Match { probability: Some(0.3), ..Match::on("GET", "*") },
            kind: FaultKind::Status { code: 500 },
        });
        let id = verified(&sandbox).await;
        for _ in 0..20 {
            let _ = raw(&sandbox, DEMO_TOKEN, "GET", &format!("/{id}"), Value::Null).await;
            sandbox.advance(HOUR * 3);
        }
        register(&sandbox, &id, "135790").await;
        (sandbox.snapshot(), sandbox.calls())
    }
    let first = run(7).await;
    assert_eq!(first, run(7).await);
    assert_ne!(first.0, run(8).await.0);
}

#[tokio::test]
async fn a_snapshot_can_be_continued() {
    let sandbox = demo();
    let id = verified(&sandbox).await;
    let restored = Sandbox::restore(sandbox.snapshot()).unwrap();
    register(&restored, &id, "135790").await.ok();
    assert_eq!(read(&sandbox, &id, "platform_type").await, "NOT_APPLICABLE");
}

#[tokio::test]
async fn on_a_socket_a_lost_reply_is_a_closed_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let sandbox = demo();
    sandbox.inject(Fault { on: Match { nth: Some(2), ..Match::any() }, kind: FaultKind::TimeoutAfter });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let server = tokio::spawn(sandbox.clone().serve(listener, stop.clone()));
    let request = format!(
        "GET /v25.0/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {DEMO_TOKEN}\r\n\r\n"
    );
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answers.push(answer.len());
    }
    assert!(answers[0] > 0 && answers[1] == 0, "{answers:?}");
    stop.cancel();
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_control_api_moves_the_world() {
    let sandbox = demo_with(Options::default());
    let control = |method: &str, path: &str, body: Value| {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder().method(method).uri(format!("/control/{path}")).body(body).unwrap();
        let sandbox = sandbox.clone();
        async move {
            let response = sandbox.handle(request).await.unwrap();
            (response.status().as_u16(), serde_json::from_slice::<Value>(response.body()).unwrap())
        }
    };
    let number = json!({"account": ACCOUNT, "digits": DIGITS, "verified_name": "Acme", "name_status": "PENDING_REVIEW"});
    let id = control("POST", "numbers", number).await.1["id"].as_str().unwrap().to_owned();
    assert_eq!(
        control("POST", &format!("numbers/{DIGITS}/name"), json!({"verdict": "decline"})).await.0,
        200
    );
    assert_eq!(read(&sandbox, &id, "name_status").await, "DECLINED");
    assert_eq!(control("GET", &format!("numbers/{DIGITS}/code"), Value::Null).await.0, 404);
    request_code(&sandbox, &id).await.ok();
    assert_eq!(
        control("GET", &format!("numbers/{DIGITS}/code"), Value::Null).await.1["code"],
        sandbox.delivered_code(DIGITS).unwrap()
    );
    let before = sandbox.now();
    control("POST", "time", json!({"advanceSeconds": 60})).await;
    assert_eq!(sandbox.now().duration_since(before).as_secs(), 60);
    control(
        "POST",
        "faults",
        json!([{"on": {"edge": "phone"}, "kind": {"status": {"code": 500}}}, {"kind": "timeoutAfter"}]),
    )
    .await;
    assert_eq!(control("GET", "faults", Value::Null).await.1.as_array().unwrap().len(), 2);
    control("DELETE", "faults", Value::Null).await;
    assert_eq!(control("POST", "switches", json!({"noSuchSwitch": true})).await.0, 400);
    assert_eq!(control("POST", "switches", json!({"migratedReads": false})).await.0, 200);
    let deregister = format!("numbers/{DIGITS}/deregister");
    assert_eq!(control("POST", &deregister, Value::Null).await.0, 404, "it is not registered");
    sandbox.set_field(DIGITS, "platform_type", json!("CLOUD_API"));
    assert_eq!(control("POST", &deregister, Value::Null).await.0, 200);
    assert_eq!(read(&sandbox, &id, "platform_type").await, "NOT_APPLICABLE");
    assert_eq!(control("POST", "ban", json!({"target": DIGITS})).await.0, 200);
    assert_eq!(register(&sandbox, &id, "135790").await.code(), 131_031);
    assert_eq!(control("POST", "tokens", json!({"value": DEMO_TOKEN, "revoke": true})).await.0, 200);
    assert_eq!(get(&sandbox, "/me").await.code(), 190);
    assert_eq!(control("GET", "nothing", Value::Null).await.0, 404);
}

#[tokio::test]
async fn disabled_accounts_and_restrictions_refuse_writes() {
    let sandbox = demo();
    let id = add(&sandbox).await;
    let another = json!({"cc": "55", "phone_number": "11912345679", "verified_name": "Acme"});
    sandbox.restrict(ACCOUNT, Some(sandbox.now() + HOUR));
    assert_eq!(post(&sandbox, &format!("/{ACCOUNT}/phone_numbers"), another.clone()).await.code(), 368);
    sandbox.advance(HOUR);
    post(&sandbox, &format!("/{ACCOUNT}/phone_numbers"), another).await.ok();
    sandbox.ban(ACCOUNT);
    assert_eq!(request_code(&sandbox, &id).await.code(), 368);
    assert_eq!(read(&sandbox, ACCOUNT, "status").await, "DISABLED");
    assert_eq!(read(&sandbox, ACCOUNT, "health_status").await["can_send_message"], "BLOCKED");
}

#[tokio::test]
async fn an_account_that_is_not_approved_is_read_and_takes_no_writes() {
    let sandbox = demo();
    let id = add(&sandbox).await;
    for review in ["PENDING", "REJECTED", "RESTRICTED"] {
        sandbox.set_field(ACCOUNT, "account_review_status", json!(review));
        let another = json!({"cc": "55", "phone_number": "11912345679", "verified_name": "Acme"});
        for (path, body) in [
            (format!("/{ACCOUNT}/phone_numbers"), another),
            (format!("/{ACCOUNT}/subscribed_apps"), Value::Null),
            (format!("/{id}"), json!({"pin": "135790"})),
            (format!("/{id}/request_code"), json!({"code_method": "SMS", "language": "en_US"})),
        ] {
            assert_eq!(post(&sandbox, &path, body).await.code(), 200, "{path} while {review}");
        }
        assert_eq!(read(&sandbox, ACCOUNT, "account_review_status").await, review);
    }
    sandbox.set_field(ACCOUNT, "account_review_status", json!("APPROVED"));
    request_code(&sandbox, &id).await.ok();
}

#[tokio::test]
async fn the_payment_method_is_shown_to_partners_alone() {
    let path = format!("/{ACCOUNT}?fields=id,name,primary_funding_id");
    let refused = get(&demo(), &path).await;
    assert_eq!((refused.status, refused.code(), refused.subcode()), (400, 10, 0));
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("(#10) You do not have permission") && !message.contains("funding"),
        "{message}"
    );
    let partner = World::for_demo().with_app(App::new("200000000000001", "Acme Ops").of_partner());
    let sandbox = Sandbox::from_world(Options::default(), partner);
    assert!(get(&sandbox, &path).await.ok()["primary_funding_id"].is_string());
}

#[tokio::test]
async fn what_meta_switched_off_is_refused() {
    let sandbox = demo();
    for path in [format!("/?ids={ACCOUNT}"), format!("/{ACCOUNT}?date_format=U")] {
        assert_eq!(get(&sandbox, &path).await.code(), 100, "{path}");
    }
}

#[tokio::test]
async fn the_refusal_of_a_field_names_the_type_of_a_node_and_none_in_a_list() {
    let sandbox = demo();
    let message = async |path: String| {
        get(&sandbox, &path).await.body["error"]["message"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(
        message(format!("/{ACCOUNT}?fields=novel")).await,
        "(#100) Tried accessing nonexisting field (novel) on node type (WhatsAppBusinessAccount)"
    );
    assert_eq!(
        message(format!("/{ACCOUNT}/phone_numbers?fields=novel")).await,
        "(#100) Tried accessing nonexisting field (novel)"
    );
}

#[tokio::test]
async fn health_is_the_worst_of_its_entities() {
    let sandbox = demo();
    sandbox.add_portfolio(Portfolio::new("500000000000001", "Acme").verified());
    sandbox.add_number(Number::new("101", ACCOUNT, DIGITS, "Acme").registered("135790"));
    assert_eq!(read(&sandbox, "101", "health_status").await["can_send_message"], "AVAILABLE");
    sandbox.set_field(DIGITS, "name_status", json!("PENDING_REVIEW"));
    assert_eq!(read(&sandbox, "101", "health_status").await["can_send_message"], "LIMITED");
    sandbox.set_field(ACCOUNT, "primary_funding_id", Value::Null);
    let blocked = read(&sandbox, "101", "health_status").await;
    assert_eq!(blocked["entities"][1]["errors"][0]["error_code"], 141_006);
}

#[tokio::test]
async fn a_number_moves_between_accounts_of_one_verified_business() {
    let world = World::for_demo()
        .with_portfolio(Portfolio::new("500000000000001", "Acme").verified())
        .with_account(Account::new("300000000000002", "500000000000001", "New"))
        .with_number(Number::new("101", ACCOUNT, DIGITS, "Acme").registered("135790"));
    let sandbox = Sandbox::from_world(Options::default(), world);
    let path = "/300000000000002/phone_numbers";
    let plain = json!({"cc": "55", "phone_number": "11912345678", "verified_name": "Acme"});
    assert_eq!(post(&sandbox, path, plain).await.code(), 100, "it is in another account");
    let body = json!({"cc": "55", "phone_number": "11912345678", "migrate_phone_number": true});
    assert_eq!(post(&sandbox, path, body.clone()).await.subcode(), 2_388_103, "two-step verification is on");
    sandbox.disable_pin(DIGITS);
    post(&sandbox, "/300000000000002/subscribed_apps", Value::Null).await.ok();
    let id = post(&sandbox, path, body).await.ok()["id"].as_str().unwrap().to_owned();
    sandbox.set_field(&id, "code_verification_status", json!("VERIFIED"));
    register(&sandbox, &id, "135790").await.ok();
    assert_eq!(read(&sandbox, "101", "status").await, "MIGRATED");
}

#[tokio::test]
async fn an_expired_version_is_answered_by_a_newer_one() {
    let sandbox = demo();
    let request = Request::get("/v19.0/me")
        .header("authorization", format!("Bearer {DEMO_TOKEN}"))
        .body(Bytes::new())
        .unwrap();
    let answer = sandbox.handle(request).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["facebook-api-version"]),
        (200, &"v21.0".parse().unwrap())
    );
    assert!(answer.headers().contains_key("x-ad-api-version-warning"));
}

#[tokio::test]
async fn error_data_may_be_text_and_subcodes_may_be_missing() {
    let sandbox = demo();
    add(&sandbox).await;
    sandbox.set_switches(Switches { error_data_as_text: true, subcodes: false, ..Switches::default() });
    let body = json!({"cc": "55", "phone_number": "11912345678", "verified_name": "Acme"});
    let again = post(&sandbox, &format!("/{ACCOUNT}/phone_numbers"), body).await;
    assert!(again.body["error"]["error_data"].is_string());
    assert_eq!((again.code(), again.subcode()), (100, 0));
}

#[test]
fn a_tenfold_clock_runs_ten_times_as_fast() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let sandbox = demo_with(Options { pace: Pace::Follow { speed: 10.0 }, ..Options::default() });
        let before = sandbox.now();
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(sandbox.now().duration_since(before).as_secs(), 60);
    });
}

#[tokio::test]
async fn a_number_that_was_just_deleted_waits_five_minutes() {
    let sandbox = demo();
    verified(&sandbox).await;
    assert!(sandbox.delete_number(DIGITS));
    let id = verified(&sandbox).await;
    assert_eq!(register(&sandbox, &id, "135790").await.code(), 133_015);
    sandbox.advance(Duration::from_secs(300));
    register(&sandbox, &id, "135790").await.ok();
}

#[tokio::test]
async fn an_incomplete_deregistration_is_repeated_before_registering() {
    let sandbox = demo();
    let id = verified(&sandbox).await;
    sandbox.set_field(DIGITS, "deregistration_incomplete", json!(true));
    let refused = register(&sandbox, &id, "135790").await;
    assert_eq!((refused.status, refused.code()), (500, 133_000));
    post(&sandbox, &format!("/{id}/deregister"), Value::Null).await.ok();
    register(&sandbox, &id, "135790").await.ok();
    post(&sandbox, &format!("/{id}/deregister"), Value::Null).await.ok();
    assert_eq!(read(&sandbox, &id, "platform_type").await, "NOT_APPLICABLE");
    assert_eq!(post(&sandbox, &format!("/{id}/deregister"), Value::Null).await.code(), 133_010);
}

#[tokio::test]
async fn a_registered_number_whose_proof_lapsed_registers_again_or_not_by_a_switch() {
    for (needs, code) in [(false, 0), (true, 133_006)] {
        let sandbox = demo();
        sandbox.set_switches(Switches { reregister_needs_verified: needs, ..Switches::default() });
        let id = verified(&sandbox).await;
        register(&sandbox, &id, "135790").await.ok();
        sandbox.advance(15 * DAY);
        assert_eq!(read(&sandbox, &id, "code_verification_status").await, "EXPIRED");
        assert_eq!(register(&sandbox, &id, "135790").await.code(), code);
        assert_eq!(request_code(&sandbox, &id).await.subcode(), if needs { 0 } else { 2_388_091 });
    }
}

#[tokio::test]
async fn the_other_readings_of_what_is_open_can_be_chosen() {
    let options = Options { review: ReviewPolicy::without_first_review(), ..Options::default() };
    let partner = World::for_demo().with_app(App::new("200000000000001", "Acme Ops").of_partner());
    let sandbox = Sandbox::from_world(options, partner);
    sandbox.put_on_phone("5511900000001");
    sandbox.add_number(Number::new("900", "300000000000009", "5511900000002", "Elsewhere"));
    sandbox.set_switches(Switches {
        initial_status: InitialStatus::word("UNVERIFIED"),
        wrong_code: WrongCode::Plain,
        pin_mismatch: PinMismatch::Locked,
        pin_on_unregistered: true,
        profile_on_unregistered: false,
        profile_clears: false,
        websites_normalised: false,
        no_change: NoChange::Absent,
        number_elsewhere: NumberElsewhere::Generic,
        on_phone_at_add: OnPhoneAtAdd::Plain,
        missing_object: MissingObject::NotFound,
        registered_code_expires: false,
        register_in_review: false,
        funding_zero: true,
        not_modified: true,
        locale_parameter: false,
        unknown_webhook: EndpointAnswer::Silent,
        ..Switches::default()
    });
    sandbox.set_review(ReviewPolicy::default());
    let path = format!("/{ACCOUNT}/phone_numbers");
    let body = |number: &str| json!({"cc": "55", "phone_number": number, "verified_name": "Acme"});
    let phone = post(&sandbox, &path, body("11900000001")).await;
    assert_eq!((phone.code(), phone.subcode()), (100, 0));
    assert_eq!(post(&sandbox, &path, body("11900000002")).await.code(), 200_000);
    let missing = get(&sandbox, "/123").await;
    assert_eq!((missing.status, missing.code()), (404, 803));

    let id = add(&sandbox).await;
    let shown = get(&sandbox, &format!("/{id}?fields=status,new_name_status")).await;
    let tag = shown.headers["etag"].clone();
    assert_eq!(shown.ok(), json!({"id": id, "status": "UNVERIFIED"}));
    let again =
        Request::get(format!("/v25.0/{id}?fields=status,new_name_status")).header("if-none-match", tag);
    let again = sandbox
        .handle(again.header("authorization", format!("Bearer {DEMO_TOKEN}")).body(Bytes::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(again.status(), 304);

    post(&sandbox, &format!("/{id}"), json!({"pin": "135790"})).await.ok();
    let profile = format!("/{id}/whatsapp_business_profile");
    assert_eq!(
        post(&sandbox, &profile, json!({"messaging_product": "whatsapp", "about": "x"})).await.code(),
        133_010
    );
    request_code(&sandbox, &id).await.ok();
    let code = sandbox.delivered_code(DIGITS).unwrap();
    assert_eq!(verify(&sandbox, &id, wrong(&code)).await.code(), 100);
    verify(&sandbox, &id, &code).await.ok();
    assert_eq!(register(&sandbox, &id, "135790").await.subcode(), 2_388_001);
    sandbox.decide_name(DIGITS, Verdict::Approve);
    register(&sandbox, &id, "135790").await.ok();
    assert_eq!(register(&sandbox, &id, "111111").await.code(), 131_031);
    sandbox.advance(20 * DAY);
    assert_eq!(read(&sandbox, &id, "code_verification_status").await, "VERIFIED");

    let site = json!({"messaging_product": "whatsapp", "websites": ["https://acme.example"]});
    post(&sandbox, &profile, site).await.ok();
    assert_eq!(
        get(&sandbox, &format!("{profile}?fields=websites")).await.ok()["data"][0]["websites"][0],
        "https://acme.example"
    );
    assert_eq!(
        post(&sandbox, &profile, json!({"messaging_product": "whatsapp", "websites": []})).await.code(),
        100
    );

    sandbox.set_field(ACCOUNT, "primary_funding_id", Value::Null);
    assert_eq!(read(&sandbox, ACCOUNT, "primary_funding_id").await, "0");
    post(&sandbox, &format!("/{ACCOUNT}/subscribed_apps"), Value::Null).await.ok();
    let route = json!({"override_callback_uri": "https://bot.acme.example/wa", "verify_token": "v"});
    assert_eq!(post(&sandbox, &format!("/{ACCOUNT}/subscribed_apps"), route).await.code(), 2200);
}

#[tokio::test]
async fn throttling_speaks_in_the_chosen_way() {
    let sandbox = demo();
    let switches = Switches {
        account_throttle_code: 80007,
        retry_after: true,
        nested_read_counts: true,
        usage_from_percent: 50,
        ..Switches::default()
    };
    sandbox.set_switches(switches);
    let path = format!("/{ACCOUNT}?fields=id,phone_numbers{{id}}");
    let first = get(&sandbox, &path).await;
    assert!(!first.headers.contains_key("x-business-use-case-usage"));
    for _ in 1..100 {
        get(&sandbox, &path).await.ok();
    }
    let throttled = get(&sandbox, &path).await;
    assert_eq!(throttled.code(), 80007);
    assert!(
        throttled.headers.contains_key("retry-after")
            && throttled.headers.contains_key("x-business-use-case-usage")
    );
}

#[tokio::test]
async fn parameters_come_from_the_query_a_form_or_json() {
    let sandbox = demo();
    sandbox.set_switches(Switches { pin_on_unregistered: true, ..Switches::default() });
    let id = add(&sandbox).await;
    let form = Request::post(format!("/v25.0/{id}/request_code"))
        .header("authorization", format!("Bearer {DEMO_TOKEN}"))
        .header("content-type", "application/x-www-form-urlencoded");
    let answer = sandbox
        .handle(form.body(Bytes::from_static(b"code_method=SMS&language=pt_BR")).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    post(&sandbox, &format!("/{id}?pin=135790"), Value::Null).await.ok();
    assert_eq!(read(&sandbox, &id, "is_pin_enabled").await, true);
}

#[tokio::test]
async fn nothing_of_a_code_or_pin_is_in_effects_or_calls() {
    let sandbox = demo();
    let id = verified(&sandbox).await;
    register(&sandbox, &id, "864209").await.ok();
    let told = format!("{:?}{:?}{:?}", sandbox.effects(), sandbox.calls(), sandbox.counters());
    assert!(
        !told.contains("864209")
            && !told.contains(&sandbox.delivered_code(DIGITS).unwrap())
            && !told.contains(DEMO_TOKEN)
    );
}

#[test]
fn every_fault_in_the_documentation_can_be_read() {
    let page = include_str!("../../docs/sandbox.md");
    let start = page.find("```json\n").unwrap() + 8;
    let list = &page[start..start + page[start..].find("```").unwrap()];
    assert_eq!(Fault::list_from_json(list).unwrap().len(), 3);
    let table = page.split("| Kind | Does |").nth(1).unwrap().split("\n## ").next().unwrap();
    let kinds: Vec<&str> =
        table.split('`').skip(1).step_by(2).filter(|text| text.starts_with(['"', '{'])).collect();
    assert_eq!(kinds.len(), 19);
    for kind in kinds {
        assert!(serde_json::from_str::<FaultKind>(kind).is_ok(), "{kind}");
    }
}

#[test]
fn every_switch_is_in_the_documentation() {
    let page = include_str!("../../docs/sandbox.md");
    let switches = serde_json::to_value(Switches::default()).unwrap();
    for name in switches.as_object().unwrap().keys() {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}
