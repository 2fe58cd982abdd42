//! What a user may say about how a channel is managed, and what others may do to it, on a real API server.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use whatsapp_operator::sandbox::{
    Account, EndpointAnswer, Fault, FaultKind, Match, Number, Portfolio, ReviewPolicy, Token, Verdict,
};

use crate::rig::{ACCOUNT, APP, BUSINESS, Rig, condition, message};

/// One more account of the rig's portfolio.
const SECOND_ACCOUNT: &str = "300000000000002";

fn number(n: usize) -> String {
    format!("+55119130000{n:02}")
}

fn digits(n: usize) -> String {
    number(n).trim_start_matches('+').to_owned()
}

fn registered(n: usize) -> Number {
    Number::new(&format!("1000000000008{n:02}"), ACCOUNT, &digits(n), "Acme Support").registered("271828")
}

fn waits_for(status: &Value, action: &str) -> bool {
    status["waitingFor"].as_array().is_some_and(|waits| waits.iter().any(|w| w["action"] == action))
}

fn answers(status: &Value, value: &str) -> bool {
    status["memory"]["consents"]["reconcile"]["value"] == value
}

fn drifts(status: &Value, field: &str) -> bool {
    status["drift"].as_array().is_some_and(|drift| drift.iter().any(|d| d["field"] == field))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_channel_is_left_alone_and_goes_on_when_resumed() {
    let mut rig = Rig::with_portfolio("suspend").await;
    rig.sandbox.add_number(registered(1));
    rig.start().await;
    rig.channel("serving", &number(1), json!({})).await;
    rig.channel("waiting", &number(2), json!({})).await;
    rig.until_condition("serving", "Ready", "True", None).await;
    let waiting = rig.until_condition("waiting", "NumberVerified", "False", Some("CodeNeeded")).await;
    let seconds =
        |value: &Value| value.as_str().and_then(|s| s.parse::<Timestamp>().ok()).expect("a time").as_second();
    let created = seconds(&waiting["metadata"]["creationTimestamp"]);
    let ready = condition(&waiting["status"], "PortfolioReady").expect("it is there");
    assert!(seconds(&ready["lastTransitionTime"]) - created <= 10);

    // The first status comes at once, also where nothing may be done.
    rig.channel("born-suspended", &number(3), json!({"suspend": true})).await;
    let born = Instant::now();
    rig.until("born-suspended", "a first status", Duration::from_secs(10), |s| s["conditions"].is_array())
        .await;
    assert!(born.elapsed() < Duration::from_secs(2), "the first status took {:?}", born.elapsed());

    for name in ["serving", "waiting"] {
        rig.edit("wac", name, json!({"suspend": true})).await;
    }
    for name in ["serving", "waiting", "born-suspended"] {
        let suspended =
            rig.until(name, "a wait for Resume", Duration::from_secs(20), |s| waits_for(s, "Resume")).await;
        assert_eq!(suspended["status"]["observedGeneration"], suspended["metadata"]["generation"]);
        assert_eq!(suspended["status"]["waitingFor"][0]["actor"], "ClusterUser");
        for absent in ["Reconciling", "Stalled"] {
            assert!(condition(&suspended["status"], absent).is_none(), "{name} is {absent}");
        }
        let ready = condition(&suspended["status"], "Ready").expect("it is there");
        if name == "serving" {
            assert_eq!(ready["status"], "True", "what serves goes on serving");
        } else {
            assert_eq!((&ready["status"] == "True", ready["reason"].as_str()), (false, Some("Suspended")));
        }
    }

    let mark = rig.at_rest().await;
    let calls = rig.sandbox.calls().len();
    rig.annotate("waiting", "send-code", "one").await;
    rig.secret("waiting-code", json!({"code": "123456"})).await;
    for name in ["serving", "waiting", "born-suspended"] {
        rig.annotate(name, "reconcile", "one").await;
    }
    tokio::time::sleep(Duration::from_secs(12)).await;
    let audit = rig.plane.audit_since(mark).await;
    let ours =
        |e: &&crate::control_plane::AuditEntry| e.is_from_service_account(&rig.namespace, rig.account_name());
    let secrets: Vec<_> =
        audit.iter().filter(ours).filter(|e| e.resource == "secrets").map(|e| &e.name).collect();
    assert!(
        secrets.iter().all(|name| *name == "acme-meta"),
        "only the portfolio's Secret is read: {secrets:?}"
    );
    let mut writes = rig.writes_since(mark).await;
    writes.retain(|e| e.resource != "whatsappportfolios");
    // One that met the next change of the object wrote nothing, and there was one such change.
    let met = writes.extract_if(.., |e| e.code == 409).count();
    assert!(met <= 1, "{met} writes met a change");
    // A consent ages while nothing is done, so it is noted when it was first seen.
    assert!(writes.len() == 1 && writes[0].name == "waiting", "{writes:#?}");
    assert_eq!(rig.sandbox.calls().len(), calls, "no call to Meta");
    let kept = &rig.get("waiting").await["status"]["memory"]["consents"]["sendCode"];
    assert!(kept["value"] == "one" && kept["usedFor"].is_null(), "no consent is consumed: {kept}");

    for name in ["serving", "waiting", "born-suspended"] {
        rig.edit("wac", name, json!({"suspend": false})).await;
    }
    rig.until_condition("serving", "Ready", "True", None).await;
    rig.until("serving", "no wait", Duration::from_secs(20), |s| !waits_for(s, "Resume")).await;
    for name in ["serving", "waiting", "born-suspended"] {
        rig.until(name, "the look that was asked for", Duration::from_secs(30), |s| answers(s, "one")).await;
    }
    rig.until_condition("born-suspended", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.until_condition("waiting", "NumberVerified", "False", Some("CodeAwaited")).await;
    rig.type_code("waiting", &number(2)).await;
    rig.until_condition("waiting", "Ready", "True", None).await;
    assert_eq!(rig.effects_on(&digits(2)), ["added", "code", "verified", "registered"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observer_writes_nothing_and_a_number_has_one_manager_at_a_time() {
    let mut rig = Rig::with_portfolio("claims").await;
    rig.sandbox.add_number(registered(1));
    rig.sandbox.add_number(registered(2));
    rig.start().await;
    let about = |text: &str| json!({"profile": {"about": text}});
    rig.channel(
        "observer",
        &number(1),
        json!({"managementPolicy": "ObserveOnly", "profile": {"about": "Open"}}),
    )
    .await;
    rig.channel("dreamer", &number(3), json!({"managementPolicy": "ObserveOnly"})).await;
    rig.channel("first", &number(2), json!({})).await;
    rig.until_condition("first", "Ready", "True", None).await;
    rig.channel("second", &number(2), about("Second")).await;

    let observer =
        rig.until("observer", "the drift", Duration::from_secs(60), |s| drifts(s, "profile.about")).await;
    assert!(condition(&observer["status"], "Ready").is_some_and(|c| c["status"] == "True"));
    let dreamer = rig.until_condition("dreamer", "Registered", "False", Some("ObserveOnly")).await;
    assert!(drifts(&dreamer["status"], "phoneNumber"));
    assert!(condition(&dreamer["status"], "Stalled").is_none());
    rig.annotate("dreamer", "send-code", "one").await;
    rig.annotate("observer", "retry", "one").await;
    for name in ["observer", "dreamer"] {
        rig.annotate(name, "reconcile", "one").await;
        rig.until(name, "the look that was asked for", Duration::from_secs(30), |s| answers(s, "one")).await;
    }
    // Switches work together: an observer that asks to be looked at rarely is suspended, and goes on as it was.
    rig.edit("wac", "observer", json!({"suspend": true, "interval": "6h"})).await;
    rig.until("observer", "a wait for Resume", Duration::from_secs(20), |s| waits_for(s, "Resume")).await;
    rig.edit("wac", "observer", json!({"suspend": false})).await;
    rig.until("observer", "the drift", Duration::from_secs(60), |s| {
        !waits_for(s, "Resume") && drifts(s, "profile.about")
    })
    .await;

    let claimed = rig.until_condition("second", "NumberAdded", "False", Some("NumberClaimed")).await;
    assert!(condition(&claimed["status"], "Stalled").is_some());
    assert!(message(&claimed, "Ready").contains("delete one of the two"));
    assert_eq!(claimed["status"]["observedGeneration"], 1);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(rig.sandbox.effects().is_empty(), "{:#?}", rig.sandbox.effects());
    let pins = rig.plane.kubectl(["get", "secrets", "-n", &rig.namespace, "-o", "name"]).await;
    assert_eq!(String::from_utf8_lossy(&pins.stdout).trim(), "secret/acme-meta", "no PIN is made up");

    // The hand-over: the heir acts, and no sooner than half a minute after.
    let deleted = Timestamp::now();
    rig.delete("first").await;
    rig.until_condition("second", "ProfileSynced", "True", None).await;
    let written = rig.happened(&digits(2));
    assert_eq!(rig.effects_on(&digits(2)), ["profile"]);
    let pause = written[0].1.duration_since(deleted).as_secs();
    assert!((29..80).contains(&pause), "the heir acted {pause} s after");
    assert!(condition(&rig.get("second").await["status"], "Stalled").is_none());

    // The same by the same name: adopted, and nothing is added.
    let id = rig.get("second").await["status"]["phoneNumberId"].clone();
    rig.delete("second").await;
    rig.channel("second", &number(2), about("Second")).await;
    let again = rig.until_condition("second", "Ready", "True", None).await;
    assert_eq!(again["status"]["phoneNumberId"], id);
    rig.until_condition("second", "ProfileSynced", "True", None).await;
    assert_eq!(rig.effects_on(&digits(2)), ["profile"]);
    assert_eq!(rig.effects_on(&digits(1)), [""; 0]);
    assert_eq!(rig.effects_on(&digits(3)), [""; 0]);
}

/// The claim ends while no operator runs: the next channel cannot know that, and still waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_heir_that_a_new_operator_finds_waits_too() {
    let mut rig = Rig::with_portfolio("heir").await;
    rig.start().await;
    rig.channel("first", &number(4), json!({})).await;
    rig.until_condition("first", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.channel("second", &number(4), json!({})).await;
    rig.until_condition("second", "NumberAdded", "False", Some("NumberClaimed")).await;
    rig.operator().kill_nine();
    rig.delete("first").await;
    rig.annotate("second", "send-code", "one").await;

    let started = Timestamp::now();
    rig.start().await;
    rig.until_condition("second", "NumberVerified", "False", Some("ClaimPause")).await;
    assert_eq!(rig.effects_on(&digits(4)), ["added"]);
    rig.until_condition("second", "NumberVerified", "False", Some("CodeAwaited")).await;
    assert_eq!(rig.effects_on(&digits(4)), ["added", "code"], "what was asked for meanwhile is not lost");
    let pause = rig.happened(&digits(4))[1].1.duration_since(started).as_secs();
    assert!((29..80).contains(&pause), "the heir acted {pause} s after the start");
}

/// A portfolio without an account is read once an hour; a person who has corrected it does not have to wait for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_mended_at_meta_is_seen_when_somebody_asks() {
    let mut rig = Rig::new("mended").await;
    let business = |n: usize| format!("50000000000007{n}");
    for (n, name) in [(1, "newco"), (2, "alone")] {
        let token = format!("{}-{name}", rig.token);
        rig.sandbox.add_portfolio(Portfolio::new(&business(n), "Newco").verified());
        rig.sandbox.add_token(&token, Token::system_user(APP, &business(n)));
        rig.secret(&format!("{name}-meta"), json!({"token": token})).await;
        rig.portfolio(name, json!({"businessId": business(n)})).await;
    }
    rig.start().await;
    rig.channel("hello", &number(5), json!({"portfolioRef": {"name": "newco"}})).await;
    let held = rig.until_condition("hello", "AccountUsable", "False", Some("NoAccountInReach")).await;
    assert!(held["status"]["waitingFor"][0]["url"].is_string(), "{held:#}");
    rig.until_condition_of("wap", "alone", "Ready", "False", Some("NoAccountInReach")).await;

    for n in [1, 2] {
        rig.sandbox.add_account(Account::new(&format!("30000000000007{n}"), &business(n), "Newco"));
    }
    rig.annotate("hello", "retry", "mended").await;
    let nudge = "whatsapp-operator.dev/reconcile=mended";
    let out = rig.plane.kubectl(["annotate", "wap", "alone", "-n", &rig.namespace, nudge]).await;
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    rig.until_condition("hello", "NumberAdded", "True", None).await;
    rig.until_condition_of("wap", "alone", "Ready", "True", None).await;

    // The same where the portfolio is usable and only this account is not in its reach yet.
    let later = "300000000000079";
    rig.channel("later", &number(6), json!({"portfolioRef": {"name": "newco"}, "accountId": later})).await;
    rig.until_condition("later", "AccountUsable", "False", Some("AccountNotInReach")).await;
    rig.sandbox.add_account(Account::new(later, &business(1), "Newco later"));
    rig.annotate("later", "reconcile", "mended").await;
    rig.until_condition("later", "NumberAdded", "True", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_used_in_time_while_every_reconcile_waits_for_a_slow_meta() {
    let mut rig = Rig::with_portfolio("slow").await;
    rig.flags.extend(["--concurrency".to_owned(), "1".to_owned()]);
    rig.sandbox.add_account(Account::new(SECOND_ACCOUNT, BUSINESS, "Acme Second"));
    let slow = [1, 2, 3, 4];
    for n in slow {
        let id = format!("1000000000009{n:02}");
        let number = Number::new(&id, SECOND_ACCOUNT, &digits(n), "Acme Support").registered("271828");
        rig.sandbox.add_number(number);
    }
    rig.start().await;
    for n in slow {
        rig.channel(&format!("slow-{n}"), &number(n), json!({"accountId": SECOND_ACCOUNT})).await;
    }
    rig.channel("support", &number(5), json!({"accountId": ACCOUNT})).await;
    for n in slow {
        rig.until_condition(&format!("slow-{n}"), "Ready", "True", None).await;
    }
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate("support", "send-code", "one").await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;

    // From here on each of the others takes the only turn for as long as a call may take.
    let on = Match { account: Some(SECOND_ACCOUNT.to_owned()), ..Match::on("GET", "*") };
    rig.sandbox.inject(Fault { on, kind: FaultKind::Latency { ms: 15_000 } });
    for n in slow {
        rig.annotate(&format!("slow-{n}"), "reconcile", "now").await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let written = Instant::now();
    rig.type_code("support", &number(5)).await;
    while !rig.effects_on(&digits(5)).contains(&"verified") {
        assert!(written.elapsed() < Duration::from_secs(10), "not used in time:\n{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    rig.sandbox.clear_faults();
    rig.until_condition("support", "Ready", "True", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_and_credentials_change_without_a_restart_and_without_an_alarm() {
    let mut rig = Rig::with_portfolio("rotate").await;
    let shop = rig.watch_also("shop").await;
    rig.sandbox.add_account(Account::new(SECOND_ACCOUNT, BUSINESS, "Acme Second"));
    rig.sandbox.add_number(registered(1));
    let access = json!({"access": [{"namespaces": [shop], "accounts": [SECOND_ACCOUNT]}]});
    rig.edit("wap", "acme", access).await;
    rig.start().await;

    let theirs = |account: &str| json!({"portfolioRef": {"name": "acme", "namespace": rig.namespace}, "accountId": account});
    let (granted, refused) = (format!("{shop}/granted"), format!("{shop}/refused"));
    rig.channel("own", &number(1), json!({"accountId": ACCOUNT})).await;
    rig.channel(&granted, &number(2), theirs(SECOND_ACCOUNT)).await;
    rig.channel(&refused, &number(3), theirs(ACCOUNT)).await;
    rig.until_condition("own", "Ready", "True", None).await;
    rig.until_condition(&granted, "NumberVerified", "False", Some("CodeNeeded")).await;
    let found = rig.until_condition(&refused, "AccountUsable", "False", Some("AccountNotInReach")).await;
    assert!(message(&found, "Ready").contains("spec.access"));
    assert_eq!(rig.effects_on(&digits(3)), [""; 0]);

    // Withdrawn: at once, and nothing is asked for with the portfolio's token any more.
    rig.edit("wap", "acme", json!({"access": null})).await;
    rig.until_condition(&granted, "PortfolioReady", "False", Some("PortfolioNotUsable")).await;
    rig.until_condition(&refused, "PortfolioReady", "False", Some("PortfolioNotUsable")).await;
    assert_eq!(rig.effects_on(&digits(2)), ["added"]);
    rig.until_of("wap", "acme", "only its own channel counted", Duration::from_secs(30), |s| {
        s["channels"]["total"] == 1
    })
    .await;

    // The Secret changes and the old token dies: the channel never turns.
    let before = rig.get("own").await["status"]["conditions"].clone();
    let second = format!("{}-second", rig.token);
    rig.sandbox.add_token(&second, Token::system_user(APP, BUSINESS));
    rig.secret("acme-meta", json!({"token": second})).await;
    rig.sandbox.revoke_token(&rig.token);
    rig.look("own", "after-the-rotation").await;
    rig.until_condition_of("wap", "acme", "CredentialsValid", "True", Some("TokenAccepted")).await;
    assert_eq!(rig.get("own").await["status"]["conditions"], before);

    // A new one that does not work: the old one serves, and the portfolio says so.
    rig.secret("acme-meta", json!({"token": "EAAsandbox-mistyped"})).await;
    let asked = json!({"metadata": {"annotations": {"whatsapp-operator.dev/reconcile": "after-the-typo"}}});
    rig.merge("wap", "acme", &asked).await;
    let rejected =
        rig.until_condition_of("wap", "acme", "CredentialsValid", "True", Some("NewTokenRejected")).await;
    assert!(waits_for(&rejected["status"], "ReplaceToken"));
    assert!(!rejected["status"].to_string().contains("mistyped"));
    rig.look("own", "with-the-old-one").await;
    assert_eq!(rig.get("own").await["status"]["conditions"], before);

    // Then the old one dies too: nothing serves any more, and another that does not work brings it not back.
    rig.sandbox.revoke_token(&second);
    rig.annotate("own", "reconcile", "with-none").await;
    rig.until_condition_of("wap", "acme", "CredentialsValid", "False", Some("TokenInvalid")).await;
    rig.until_condition("own", "PortfolioReady", "False", Some("TokenInvalid")).await;
    let third = format!("{}-third", rig.token);
    let mut scopeless = Token::system_user(APP, BUSINESS);
    scopeless.scopes.clear();
    rig.sandbox.add_token(&third, scopeless);
    rig.secret("acme-meta", json!({"token": third})).await;
    rig.annotate("own", "reconcile", "with-a-third").await;
    rig.until_condition_of("wap", "acme", "CredentialsValid", "False", Some("ScopesMissing")).await;
    rig.until_condition("own", "PortfolioReady", "False", Some("ScopesMissing")).await;

    // Another key of the same Secret is another credential.
    let fourth = format!("{}-fourth", rig.token);
    rig.sandbox.add_token(&fourth, Token::system_user(APP, BUSINESS));
    rig.secret("acme-meta", json!({"token": third, "next": fourth})).await;
    let next = json!({"credentials": {"accessTokenSecretRef": {"name": "acme-meta", "key": "next"}}});
    rig.edit("wap", "acme", next).await;
    let back = rig.until_condition_of("wap", "acme", "CredentialsValid", "True", Some("TokenAccepted")).await;
    assert!(!waits_for(&back["status"], "ReplaceToken"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_repaired_where_it_may_be_and_shown_where_not() {
    let mut rig = Rig::with_portfolio("drift").await;
    for n in [1, 2, 3, 4] {
        rig.sandbox.add_number(registered(n));
    }
    rig.sandbox.add_number(Number::new("100000000000805", ACCOUNT, &digits(5), "Acme Support").coexisting());
    rig.sandbox.add_number(Number::new("100000000000806", ACCOUNT, &digits(6), "Acme Support").coexisting());
    let url = "https://bot.acme.example/wa";
    rig.sandbox.set_webhook_endpoint(url, EndpointAnswer::Echo);
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "stringData": {"verify": "let-me-in-please"},
        "metadata": {"name": "bot", "labels": {"whatsapp-operator.dev/use": "verify-token"}}
    }))
    .await;
    let settings = json!({
        "profile": {"about": "Open 9-17", "websites": ["https://acme.example"]},
        "webhook": {"callbackUrl": url, "verifyTokenSecretRef": {"name": "bot", "key": "verify"}}
    });
    let with = |more: Value| {
        let mut spec = settings.clone();
        spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        spec
    };
    rig.start().await;
    rig.channel("kept", &number(1), settings.clone()).await;
    rig.channel("shown", &number(2), with(json!({"managementPolicy": "ObserveOnly"}))).await;
    rig.channel("renamed", &number(3), json!({})).await;
    rig.channel("fallen", &number(4), json!({})).await;
    rig.channel("phone", &number(5), with(json!({"connection": "Coexistence"}))).await;
    rig.channel("contrary", &number(6), settings.clone()).await;

    for name in ["kept", "renamed", "fallen"] {
        rig.until_condition(name, "Ready", "True", None).await;
    }
    for kind in ["WebhookRouted", "ProfileSynced"] {
        rig.until_condition("kept", kind, "True", None).await;
    }
    let profile = |n: usize| rig.sandbox.number(&digits(n)).expect("it is there").profile;
    let callback = |n: usize| rig.sandbox.number(&digits(n)).expect("it is there").webhook.callback;
    assert_eq!(profile(1).about.as_deref(), Some("Open 9-17"));
    assert_eq!(callback(1).as_deref(), Some(url));
    let written = rig.effects_on(&digits(1)).len();

    // Somebody changes both by hand.
    let mut by_hand = serde_json::to_value(profile(1)).expect("JSON");
    by_hand["about"] = json!("Closed for ever");
    by_hand["email"] = json!("boss@acme.example");
    rig.sandbox.set_field(&digits(1), "profile", by_hand);
    rig.sandbox.set_field(&digits(1), "webhook", json!({"callback": "https://elsewhere.example/wa"}));
    rig.annotate("kept", "reconcile", "by-hand").await;
    let deadline = Instant::now() + Duration::from_secs(45);
    while profile(1).about.as_deref() != Some("Open 9-17") || callback(1).as_deref() != Some(url) {
        assert!(Instant::now() < deadline, "not repaired: {:?} {:?}", profile(1), callback(1));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(profile(1).email.as_deref(), Some("boss@acme.example"), "what is not managed stays");
    assert_eq!(rig.effects_on(&digits(1)).len(), written + 2, "each is written once");
    rig.until_condition("kept", "ProfileSynced", "True", None).await;

    // Only shown: by policy, a name after the registration, and the profile of a number that lives in the app.
    let shown = rig.until_condition("shown", "ProfileSynced", "False", Some("ProfileDiffers")).await;
    assert!(drifts(&shown["status"], "profile.about") && drifts(&shown["status"], "webhook.callbackUrl"));
    rig.edit("wac", "renamed", json!({"displayName": "Acme Brasil"})).await;
    // Nobody gave the PIN that a registration after the review may need.
    let renamed = rig.until_condition("renamed", "DisplayNameApproved", "False", Some("PinNeeded")).await;
    assert!(drifts(&renamed["status"], "displayName"));
    rig.until_condition("renamed", "Ready", "True", None).await;
    let phone = rig.until_condition("phone", "ProfileSynced", "False", Some("ProfileDiffers")).await;
    assert_eq!(profile(5).about, None);
    rig.until_condition("phone", "WebhookRouted", "True", None).await;
    assert_eq!(callback(5).as_deref(), Some(url), "an override belongs to our app");
    assert!(condition(&phone["status"], "Registered").is_some_and(|c| c["status"] == "True"));
    assert!(condition(&phone["status"], "Stalled").is_none());
    let contrary =
        rig.until_condition("contrary", "Ready", "False", Some("ConnectionContradictsNumber")).await;
    assert!(condition(&contrary["status"], "Stalled").is_some());
    assert!(message(&contrary, "Ready").contains("connection"));

    // A number that falls back is not registered on the strength of one look, nor by a retry before the second.
    rig.sandbox.set_field(&digits(4), "platform_type", json!("NOT_APPLICABLE"));
    rig.sandbox.set_field(&digits(4), "status", json!("DISCONNECTED"));
    rig.look("fallen", "fell").await;
    rig.annotate("fallen", "retry", "one").await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    for n in [2, 3, 4, 6] {
        assert_eq!(rig.effects_on(&digits(n)), [""; 0], "number {n}");
    }
    assert_eq!(rig.effects_on(&digits(5)).len(), 1, "its webhook, and nothing else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_account_waits_without_an_alarm_while_another_goes_on() {
    let mut rig = Rig::with_portfolio("throttle").await;
    rig.sandbox.add_account(Account::new(SECOND_ACCOUNT, BUSINESS, "Acme Second"));
    rig.sandbox.add_number(registered(1));
    rig.start().await;
    rig.channel("serving", &number(1), json!({"accountId": ACCOUNT})).await;
    rig.channel("known", &number(2), json!({"accountId": ACCOUNT})).await;
    rig.channel("free", &number(3), json!({"accountId": SECOND_ACCOUNT})).await;
    let before = rig.until_condition("serving", "Ready", "True", None).await;
    for name in ["known", "free"] {
        rig.until_condition(name, "NumberVerified", "False", Some("CodeNeeded")).await;
    }

    let on = Match { account: Some(ACCOUNT.to_owned()), ..Match::any() };
    rig.sandbox.inject(Fault { on, kind: FaultKind::Throttle { code: 80008, minutes: 30 } });
    let calls = rig.sandbox.calls().len();
    rig.annotate("serving", "reconcile", "one").await;
    for name in ["known", "free"] {
        rig.annotate(name, "send-code", "one").await;
    }
    // A new number has to be looked for in every account in reach, the throttled one too.
    rig.channel("held", &number(4), json!({"accountId": ACCOUNT})).await;
    let held = rig
        .until("held", "a wait with a date", Duration::from_secs(60), |s| {
            condition(s, "Ready").is_some_and(|c| c["reason"] == "Throttled")
        })
        .await;
    assert!(condition(&held["status"], "Stalled").is_none());

    // The other account's channel goes all the way meanwhile.
    rig.until_condition("free", "NumberVerified", "False", Some("CodeAwaited")).await;
    rig.type_code("free", &number(3)).await;
    rig.until_condition("free", "Ready", "True", None).await;
    assert_eq!(rig.effects_on(&digits(3)), ["added", "code", "verified", "registered"]);

    assert_eq!(rig.effects_on(&digits(2)), ["added"], "no code is asked for in the throttled account");
    assert_eq!(rig.effects_on(&digits(4)), [""; 0], "and no number added to it");
    let known = rig.get("known").await["status"].clone();
    assert!(condition(&known, "Stalled").is_none());
    assert!(
        known["memory"]["consents"]["sendCode"]["usedFor"].is_null(),
        "the consent is not used up: {known:#}"
    );
    assert_eq!(rig.get("serving").await["status"]["conditions"], before["status"]["conditions"]);
    let about = |account: &str| {
        let made = rig.sandbox.calls().split_off(calls);
        made.into_iter().filter(|call| call.account.as_deref() == Some(account)).count()
    };
    assert!(about(ACCOUNT) <= 8, "{} calls to the throttled account", about(ACCOUNT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_is_throttled_waits_in_all_its_accounts_without_an_alarm() {
    let mut rig = Rig::with_portfolio("throttled-app").await;
    rig.sandbox.add_account(Account::new(SECOND_ACCOUNT, BUSINESS, "Acme Second"));
    rig.sandbox.add_number(registered(1));
    rig.start().await;
    rig.channel("serving", &number(1), json!({"accountId": ACCOUNT})).await;
    rig.channel("there", &number(2), json!({"accountId": SECOND_ACCOUNT})).await;
    let before = rig.until_condition("serving", "Ready", "True", None).await;
    rig.until_condition("there", "NumberVerified", "False", Some("CodeNeeded")).await;

    // Meta says so to a call about the first account; it is about the app.
    let on = Match { account: Some(ACCOUNT.to_owned()), times: Some(1), ..Match::any() };
    rig.sandbox.inject(Fault { on, kind: FaultKind::Throttle { code: 4, minutes: 30 } });
    let calls = rig.sandbox.calls().len();
    rig.annotate("serving", "reconcile", "one").await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while rig.sandbox.calls().iter().all(|call| call.code != Some(4)) {
        assert!(Instant::now() < deadline, "the throttle was never met");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rig.annotate("there", "send-code", "one").await;
    rig.channel("held", &number(3), json!({"accountId": SECOND_ACCOUNT})).await;
    let held = rig
        .until("held", "a wait with a date", Duration::from_secs(60), |s| {
            condition(s, "Ready").is_some_and(|c| c["reason"] == "Throttled")
        })
        .await;
    assert!(condition(&held["status"], "Stalled").is_none());
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(rig.effects_on(&digits(2)), ["added"], "no code is asked for in the other account either");
    assert_eq!(rig.effects_on(&digits(3)), [""; 0]);
    let there = rig.get("there").await["status"].clone();
    assert!(
        there["memory"]["consents"]["sendCode"]["usedFor"].is_null(),
        "the consent is not used up: {there:#}"
    );
    assert_eq!(rig.get("serving").await["status"]["conditions"], before["status"]["conditions"]);
    let made = rig.sandbox.calls().split_off(calls);
    assert!(made.len() <= 8, "{} calls of a throttled app", made.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_costs_one_review_and_one_registration_from_the_edit_to_the_live_name() {
    let mut rig = Rig::with_portfolio("rename").await;
    rig.sandbox.set_review(ReviewPolicy { verdict: Verdict::Defer, ..ReviewPolicy::default() });
    rig.sandbox.add_number(registered(1));
    rig.secret("renamed-pin", json!({"pin": "271828"})).await;
    rig.start().await;
    rig.channel("renamed", &number(1), json!({})).await;
    let before = rig.until_condition("renamed", "DisplayNameApproved", "True", None).await;
    let name = |object: &Value| object["status"]["facts"]["verifiedName"].clone();
    assert_eq!(name(&before), "Acme Support");

    rig.edit("wac", "renamed", json!({"displayName": "Acme Brasil"})).await;
    let review = rig.until_condition("renamed", "DisplayNameApproved", "False", Some("NameInReview")).await;
    let ready = condition(&review["status"], "Ready").expect("it is there");
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("True"), &json!("UsableUnderAnotherName")));
    assert!(waits_for(&review["status"], "ReviewName") && drifts(&review["status"], "displayName"));
    assert_eq!(name(&review), "Acme Support", "the column NAME shows the live one");
    let row = rig.plane.kubectl(["get", "wac", "renamed", "-n", &rig.namespace]).await;
    let row = String::from_utf8_lossy(&row.stdout).into_owned();
    assert!(row.contains("Acme Support") && !row.contains("Acme Brasil"), "{row}");

    // A new process knows what was submitted, and a retry does not register during the review.
    rig.operator().kill_nine();
    rig.start().await;
    rig.annotate("renamed", "retry", "too-soon").await;
    rig.look("renamed", "in-review").await;
    assert_eq!(rig.effects_on(&digits(1)), ["name"]);

    rig.sandbox.decide_name(&digits(1), Verdict::Approve);
    rig.look("renamed", "approved").await;
    rig.until_condition("renamed", "DisplayNameApproved", "False", Some("NameNotLiveYet")).await;
    rig.annotate("renamed", "retry", "now").await;
    let live = rig.until_condition("renamed", "DisplayNameApproved", "True", Some("NameApproved")).await;
    assert_eq!(name(&live), "Acme Brasil");
    assert_eq!(rig.effects_on(&digits(1)), ["name", "registered"], "one review and one registration");
    let ready = condition(&live["status"], "Ready").expect("it is there");
    let since =
        |object: &Value| condition(&object["status"], "Ready").map(|c| c["lastTransitionTime"].clone());
    assert_eq!((&ready["reason"], since(&live)), (&json!("Usable"), since(&before)), "Ready all the time");
}
