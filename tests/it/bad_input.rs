//! What people get wrong, on a real API server: each has a condition with the remedy, and costs next to nothing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use whatsapp_operator::sandbox::{
    Account, App, EndpointAnswer, Fault, FaultKind, InitialStatus, Match, Number, Portfolio, Switches, Token,
};

use crate::rig::{ACCOUNT, APP, BUSINESS, Rig, condition, free_address, message};

/// A portfolio and an account of another company.
const OTHER_BUSINESS: &str = "500000000000009";
const OTHER_ACCOUNT: &str = "300000000000009";

fn number(n: usize) -> String {
    format!("+55119120000{n:02}")
}

fn digits(n: usize) -> String {
    number(n).trim_start_matches('+').to_owned()
}

/// Puts a token of its own into the world and into the Secret of a portfolio.
async fn token(rig: &Rig, portfolio: &str, change: impl FnOnce(&mut Token)) {
    let value = format!("{}-{portfolio}", rig.token);
    let mut token = Token::system_user(APP, BUSINESS);
    change(&mut token);
    rig.sandbox.add_token(&value, token);
    rig.secret(&format!("{portfolio}-meta"), json!({"token": value})).await;
}

/// However large it is: what is too large to be read as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_has_become_too_long_is_refused_after_a_restart_too() {
    let mut rig = Rig::with_portfolio("long-token").await;
    rig.start().await;
    rig.until_condition_of("wap", "acme", "Ready", "True", None).await;
    for length in [300_000, 100_000] {
        rig.operator().kill_nine();
        rig.secret("acme-meta", json!({"token": "x".repeat(length)})).await;
        rig.start().await;
        let refused =
            rig.until_condition_of("wap", "acme", "CredentialsValid", "False", Some("TokenInvalid")).await;
        let told = message(&refused, "CredentialsValid");
        assert!(told.contains("under the key token of Secret acme-meta is longer than 4 KiB"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_cannot_work_are_named_with_their_remedy_and_nothing_is_written() {
    let mut rig = Rig::new("credentials").await;
    rig.sandbox
        .add_app(App::new("200000000000002", "Signed").with_secret("0123456789abcdef0123456789abcdef"));
    let soon = Timestamp::now() + SignedDuration::from_hours(48);

    rig.portfolio("absent", json!({})).await;
    rig.secret("keyless-meta", json!({"tokn": rig.token})).await;
    rig.portfolio("keyless", json!({})).await;
    rig.secret("blank-meta", json!({"token": " \n"})).await;
    rig.portfolio("blank", json!({})).await;
    rig.secret("quoted-meta", json!({"token": format!("“{}”", rig.token)})).await;
    rig.portfolio("quoted", json!({})).await;
    rig.secret("unknown-meta", json!({"token": "EAAsandbox-nobody"})).await;
    rig.portfolio("unknown", json!({})).await;
    let past = Timestamp::now() - SignedDuration::from_hours(1);
    token(&rig, "expired", |t| t.expires_at = Some(past)).await;
    rig.portfolio("expired", json!({})).await;
    token(&rig, "person", |t| {
        t.kind = "USER".to_owned();
        t.expires_at = Some(soon);
    })
    .await;
    rig.portfolio("person", json!({})).await;
    token(&rig, "page", |t| t.kind = "PAGE".to_owned()).await;
    rig.portfolio("page", json!({})).await;
    token(&rig, "scopeless", |t| t.scopes.clear()).await;
    rig.portfolio("scopeless", json!({})).await;
    let secret = json!({"credentials": {"appSecretRef": {"name": "unsigned-app", "key": "secret"}}});
    token(&rig, "unsigned", |t| t.app = "200000000000002".to_owned()).await;
    rig.secret("unsigned-app", json!({"secret": "ffffffffffffffffffffffffffffffff"})).await;
    rig.portfolio("unsigned", secret).await;
    rig.secret("misnumbered-meta", json!({"token": rig.token})).await;
    rig.portfolio("misnumbered", json!({"businessId": ACCOUNT})).await;
    rig.secret("mistaken-meta", json!({"token": rig.token})).await;
    rig.portfolio("mistaken", json!({"expect": {"name": "Somebody Else"}})).await;
    token(&rig, "soon", |t| t.expires_at = Some(soon)).await;
    rig.portfolio("soon", json!({})).await;

    // The portfolio, its condition, the reason, and the words of the remedy.
    let cases = [
        ("absent", "CredentialsValid", "SecretMissing", "create"),
        ("keyless", "CredentialsValid", "SecretKeyMissing", "key token"),
        ("blank", "CredentialsValid", "SecretKeyMissing", "key token"),
        ("quoted", "CredentialsValid", "TokenInvalid", "copy it from Meta again"),
        ("unknown", "CredentialsValid", "TokenInvalid", "put it into the Secret"),
        ("expired", "CredentialsValid", "TokenExpired", "put it into the Secret"),
        ("person", "CredentialsValid", "TokenTypeNotUsable", "system user"),
        ("page", "CredentialsValid", "TokenTypeNotUsable", "system user"),
        ("scopeless", "CredentialsValid", "ScopesMissing", "generate"),
        ("unsigned", "CredentialsValid", "AppSecretWrong", "appSecretRef"),
        ("misnumbered", "IdentityConfirmed", "WrongBusiness", "Business settings"),
        ("mistaken", "IdentityConfirmed", "IdentityMismatch", "expect"),
    ];
    for (n, (portfolio, ..)) in cases.iter().enumerate() {
        rig.channel(portfolio, &number(n), json!({"portfolioRef": {"name": portfolio}})).await;
    }
    rig.start().await;
    for (portfolio, kind, reason, remedy) in cases {
        let found = rig.until_condition_of("wap", portfolio, kind, "False", Some(reason)).await;
        assert!(message(&found, kind).contains(remedy), "{portfolio}: {}", message(&found, kind));
        assert_eq!(message(&found, "Ready"), message(&found, kind), "the deepest cause is on top");
        let below = rig.until_condition(portfolio, "PortfolioReady", "False", Some(reason)).await;
        let ready = condition(&below["status"], "Ready").expect("it is there");
        assert_eq!((ready["status"].as_str(), ready["reason"].as_str()), (Some("False"), Some(reason)));
        assert!(message(&below, "Ready").contains(remedy), "{}", message(&below, "Ready"));
    }
    let warned =
        rig.until_condition_of("wap", "soon", "CredentialsValid", "True", Some("TokenExpiresSoon")).await;
    assert!(message(&warned, "CredentialsValid").contains("put a new one into the Secret"));
    assert_eq!(warned["status"]["waitingFor"][0]["action"], "ReplaceToken");
    rig.until_condition_of("wap", "soon", "Ready", "True", None).await;

    // The Secrets are read each minute; what stands there unchanged is not asked about again.
    rig.assert_rest(Duration::from_secs(70), 0).await;
    assert!(rig.sandbox.effects().is_empty(), "nothing was written at Meta");
    assert!(rig.operator().is_running());

    // The remedy is enough, without a restart.
    rig.secret("absent-meta", json!({"token": rig.token})).await;
    rig.until_condition_of("wap", "absent", "Ready", "True", None).await;
    rig.until_condition("absent", "NumberVerified", "False", Some("CodeNeeded")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_account_secret_code_or_pin_is_named_with_its_remedy_and_is_not_sent() {
    let mut rig = Rig::with_portfolio("input").await;
    rig.sandbox.add_portfolio(Portfolio::new(OTHER_BUSINESS, "Elsewhere"));
    rig.sandbox.add_account(Account::new(OTHER_ACCOUNT, OTHER_BUSINESS, "Elsewhere"));
    let registered = |n: usize| {
        let id = format!("1000000000007{n:02}");
        Number::new(&id, ACCOUNT, &digits(n), "Acme Support").registered("271828")
    };
    for n in [3, 4, 5, 6] {
        rig.sandbox.add_number(registered(n));
    }
    let hook = |name: &str| {
        json!({"webhook": {
            "callbackUrl": format!("https://{name}.acme.example/wa"),
            "verifyTokenSecretRef": {"name": format!("{name}-hook"), "key": "verify"}
        }})
    };
    // One that shows CONNECTED before it is registered has a wait of its own.
    let initial_status = InitialStatus::word("PENDING");
    rig.sandbox.set_switches(Switches { initial_status, ..Switches::default() });
    rig.start().await;

    rig.channel("unreachable", &number(1), json!({"accountId": OTHER_ACCOUNT})).await;
    rig.channel("orphan", &number(2), json!({"portfolioRef": {"name": "nobody"}})).await;
    rig.secret("unlabelled-hook", json!({"verify": "let-me-in-please"})).await;
    rig.channel("unlabelled", &number(3), hook("unlabelled")).await;
    rig.channel("hookless", &number(4), hook("hookless")).await;
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "stringData": {"other": "x"},
        "metadata": {"name": "keyless-hook", "labels": {"whatsapp-operator.dev/use": "verify-token"}}
    }))
    .await;
    rig.channel("keyless", &number(5), hook("keyless")).await;
    rig.sandbox.set_webhook_endpoint("https://deaf.acme.example/wa", EndpointAnswer::WrongChallenge);
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "stringData": {"verify": "let-me-in-please"},
        "metadata": {"name": "deaf-hook", "labels": {"whatsapp-operator.dev/use": "verify-token"}}
    }))
    .await;
    rig.channel("deaf", &number(6), hook("deaf")).await;
    rig.secret("fivepin-pin", json!({"pin": "12345"})).await;
    rig.channel("fivepin", &number(7), json!({})).await;
    rig.secret("pinless-pin", json!({"pn": "123456"})).await;
    rig.channel("pinless", &number(8), json!({})).await;
    // A code that was there before anybody asked for one.
    rig.secret("yesterday-code", json!({"code": "424242"})).await;
    rig.channel("yesterday", &number(9), json!({})).await;
    rig.channel("letters", &number(10), json!({})).await;
    rig.channel("wrong", &number(11), json!({})).await;

    for (name, kind, reason, remedy) in [
        ("unreachable", "AccountUsable", "AccountNotInReach", "assign it to the system user"),
        ("orphan", "PortfolioReady", "PortfolioNotUsable", "spec.access"),
        ("unlabelled", "WebhookRouted", "VerifyTokenUnlabelled", "whatsapp-operator.dev/use=verify-token"),
        ("hookless", "WebhookRouted", "SecretMissing", "create it"),
        ("keyless", "WebhookRouted", "SecretKeyMissing", "write the verify token there"),
        ("deaf", "WebhookRouted", "WebhookHandshakeFailed", "make it answer with the challenge"),
        ("fivepin", "Registered", "PinMalformed", "six digits"),
        ("pinless", "Registered", "PinNeeded", "add the key"),
        ("yesterday", "NumberVerified", "CodeFoundUnasked", "send-code"),
    ] {
        let found = rig.until_condition(name, kind, "False", Some(reason)).await;
        let said = message(&found, kind);
        assert!(said.contains(remedy), "{name}: {said}");
        assert!(message(&found, "Ready").contains(remedy), "the deepest cause is on top");
        assert!(!found["status"].to_string().contains("let-me-in-please"));
    }
    assert_eq!(rig.effects_on(&digits(1)), [""; 0], "nothing in an account that is not in reach");
    assert_eq!(rig.effects_on(&digits(2)), [""; 0]);
    for n in [3, 4, 5] {
        assert_eq!(rig.effects_on(&digits(n)), [""; 0], "no handshake without a token that may be sent");
    }
    for n in [7, 8] {
        assert_eq!(rig.effects_on(&digits(n)), ["added"], "no code is wasted while the PIN is not there");
    }

    for name in ["yesterday", "letters", "wrong"] {
        rig.annotate(name, "send-code", "one").await;
    }
    for name in ["yesterday", "letters", "wrong"] {
        rig.until_condition(name, "NumberVerified", "False", Some("CodeAwaited")).await;
    }
    rig.secret("letters-code", json!({"code": "12345a"})).await;
    let wrong = if rig.sandbox.delivered_code(&digits(11)).as_deref() == Some("111111") {
        "222222"
    } else {
        "111111"
    };
    rig.secret("wrong-code", json!({"code": wrong})).await;
    let found = rig.until_condition("letters", "NumberVerified", "False", Some("CodeMalformed")).await;
    assert!(
        message(&found, "Ready").contains("kubectl whatsapp code letters"),
        "{}",
        message(&found, "Ready")
    );
    let found = rig.until_condition("wrong", "NumberVerified", "False", Some("CodeWrong")).await;
    assert!(message(&found, "Ready").contains("kubectl whatsapp code wrong"), "{}", message(&found, "Ready"));

    // While codes are live their Secrets are read every 5 s; that costs neither calls nor writes.
    rig.assert_rest(Duration::from_secs(12), 12).await;
    assert_eq!(rig.effects_on(&digits(9)), ["added", "code"], "yesterday's code is no answer to today's");
    assert_eq!(rig.effects_on(&digits(10)), ["added", "code"], "what is not six digits never leaves");
    assert_eq!(rig.effects_on(&digits(11)), ["added", "code", "verified"], "a wrong code is sent once");

    // Each remedy is enough.
    for (name, n) in [("yesterday", 9), ("letters", 10), ("wrong", 11)] {
        rig.type_code(name, &number(n)).await;
    }
    for name in ["yesterday", "letters", "wrong"] {
        rig.until_condition(name, "Ready", "True", None).await;
    }
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "stringData": {"verify": "let-me-in-please"},
        "metadata": {"name": "unlabelled-hook", "labels": {"whatsapp-operator.dev/use": "verify-token"}}
    }))
    .await;
    rig.sandbox.set_webhook_endpoint("https://unlabelled.acme.example/wa", EndpointAnswer::Echo);
    rig.until_condition("unlabelled", "WebhookRouted", "True", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_cannot_be_reached_is_said_so_and_used_once_it_answers() {
    let mut rig = Rig::with_portfolio("unreachable").await;
    let address = free_address();
    rig.graph_url = format!("http://{address}");
    rig.start().await;
    rig.channel("support", &number(1), json!({})).await;
    let says_so = |s: &Value| {
        condition(s, "Ready").is_some_and(|c| {
            c["status"] == "Unknown"
                && c["message"].as_str().is_some_and(|m| m.contains("graph.facebook.com"))
        })
    };
    let limit = Duration::from_secs(60);
    rig.until_of("wap", "acme", "words on the way to Meta", limit, says_so).await;
    let channel = rig.until("support", "words on the way to Meta", limit, says_so).await;
    assert!(condition(&channel["status"], "Stalled").is_none());
    rig.assert_rest(Duration::from_secs(10), 0).await;
    assert!(rig.operator().is_running());
    rig.serve_at(address).await;
    rig.until("support", "the number added", Duration::from_secs(120), |s| s["phoneNumberId"].is_string())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_not_metas_end_nothing_that_was_true_and_begin_nothing() {
    let mut rig = Rig::with_portfolio("garbage").await;
    let settled = Number::new("100000000000777", ACCOUNT, &digits(1), "Acme Support").registered("271828");
    rig.sandbox.add_number(settled);
    rig.start().await;
    rig.channel("settled", &number(1), json!({})).await;
    let before = rig.until_condition("settled", "Ready", "True", None).await;
    let conditions = |channel: &Value| channel["status"]["conditions"].clone();

    for (n, kind) in [
        FaultKind::Html { code: 200 },
        FaultKind::TruncatedBody,
        FaultKind::HugeBody { bytes: 32 << 20 },
        FaultKind::Disconnect,
    ]
    .into_iter()
    .enumerate()
    {
        rig.sandbox.clear_faults();
        let calls = rig.sandbox.calls().len();
        rig.sandbox.inject(Fault { on: Match::on("GET", "*"), kind: kind.clone() });
        rig.annotate("settled", "reconcile", &n.to_string()).await;
        // Asked from the start: a list that the other one has just read would do for the first add.
        rig.apply(&json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
            "metadata": {"name": "fresh", "annotations": {"whatsapp-operator.dev/reconcile": n.to_string()}},
            "spec": {
                "portfolioRef": {"name": "acme"}, "phoneNumber": number(2), "displayName": "Acme Support"
            }
        }))
        .await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        let made = rig.sandbox.calls().len() - calls;
        assert!((1..=40).contains(&made), "{made} calls under {kind:?}");
        assert_eq!(conditions(&rig.get("settled").await), conditions(&before), "{kind:?}");
        assert_eq!(rig.effects_on(&digits(2)), [""; 0], "{kind:?}");
        let told = message(&rig.get("fresh").await, "Ready");
        assert!(told.contains("Meta gave no usable answer about"), "{kind:?}: {told}");
    }
    assert!(rig.operator().is_running(), "{}", rig.logs());
    let fresh = rig.get("fresh").await;
    assert!(condition(&fresh["status"], "Ready").is_some_and(|c| c["status"] != "True"));
    assert!(condition(&fresh["status"], "Stalled").is_none());
    rig.assert_rest(Duration::from_secs(10), 20).await;
    rig.sandbox.clear_faults();
    rig.annotate("fresh", "reconcile", "again").await;
    rig.until("fresh", "the number added", Duration::from_secs(60), |s| s["phoneNumberId"].is_string()).await;
}
