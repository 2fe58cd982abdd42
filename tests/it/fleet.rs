//! Many channels, accounts and namespaces under one operator, on a real API server: none holds up another.

use std::time::{Duration, Instant};

use futures::StreamExt;
use rstest::rstest;
use serde_json::{Value, json};
use whatsapp_operator::sandbox::{
    Account, App, CallRecord, Fault, FaultKind, Hold, Match, Number, Portfolio, Token,
};

use crate::rig::{ACCOUNT, APP, BUSINESS, Rig, condition, http_get};

/// The account that answers late.
const SLOW: &str = "300000000000002";
/// How many channels it has.
const CHANNELS: usize = 300;

fn digits(n: usize) -> String {
    format!("5511914000{n:03}")
}

/// Numbers for which a code is asked for, before others hang and while they do.
const ASKED: usize = 3;

/// Asks for a code for each of these channels. Gives back after how long the first and the last was sent.
async fn codes(rig: &Rig, channels: std::ops::Range<usize>, limit: Duration) -> (Duration, Duration) {
    let asked = Instant::now();
    for n in channels.clone() {
        rig.annotate(&format!("healthy-{n}"), "send-code", "one").await;
    }
    let mut sent = Vec::new();
    while sent.len() < channels.len() {
        let is_sent = |n: &usize| rig.effects_on(&healthy(*n)).contains(&"code");
        let count = channels.clone().filter(is_sent).count();
        sent.resize(count, asked.elapsed());
        assert!(asked.elapsed() < limit, "{count} codes are sent:\n{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (sent[0], sent[sent.len() - 1])
}

fn healthy(n: usize) -> String {
    format!("5511913000{n:03}")
}

/// Each of the hundreds is asked for something by a person too, and earlier.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_is_served_while_hundreds_wait_for_another_account() {
    let mut rig = Rig::with_portfolio("fair").await;
    rig.sandbox.add_account(Account::new(SLOW, BUSINESS, "Acme Slow"));
    for n in 0..CHANNELS {
        let id = format!("1000000000007{n:03}");
        rig.sandbox.add_number(Number::new(&id, SLOW, &digits(n), "Acme Support").registered("271828"));
    }
    rig.start().await;
    for n in 0..2 * ASKED {
        let id = format!("1000000000001{n:03}");
        rig.sandbox.add_number(Number::new(&id, ACCOUNT, &healthy(n), "Acme Support"));
        let number = format!("+{}", healthy(n));
        rig.channel(&format!("healthy-{n}"), &number, json!({"accountId": ACCOUNT})).await;
    }
    for n in 0..2 * ASKED {
        rig.until_condition(&format!("healthy-{n}"), "NumberVerified", "False", Some("CodeNeeded")).await;
    }
    rig.operator().kill_nine();
    rig.start().await;
    let (_, alone) = codes(&rig, 0..ASKED, Duration::from_secs(60)).await;

    // From here on every read of the account takes nearly as long as a call may, and all its channels begin at once.
    rig.operator().kill_nine();
    let answer = Duration::from_secs(19);
    let on = Match { account: Some(SLOW.to_owned()), ..Match::on("GET", "*") };
    let ms = u64::try_from(answer.as_millis()).expect("a short time");
    rig.sandbox.inject(Fault { on, kind: FaultKind::Latency { ms } });
    // It was read before, when nothing was slow.
    let is_slow = |call: &&CallRecord| call.account.as_deref() == Some(SLOW);
    let before = rig.sandbox.calls().iter().filter(is_slow).count();
    for n in 0..CHANNELS {
        let (name, number) = (format!("slow-{n}"), format!("+{}", digits(n)));
        rig.channel(&name, &number, json!({"accountId": SLOW})).await;
        rig.annotate(&name, "reconcile", "now").await;
    }
    rig.start().await;
    let (first, all) = codes(&rig, ASKED..2 * ASKED, 3 * answer).await;
    // A call is in the list once it is answered.
    let answered = rig.sandbox.calls().iter().filter(is_slow).count() - before;
    eprintln!("codes after {alone:?} alone, after {first:?} to {all:?} beside, and {answered} slow answers");
    assert_eq!(answered, 0, "the slow account was waited for:\n{}", rig.logs());
    let metrics = rig.metrics().await;
    assert!(
        metrics.contains("whatsapp_operator_queue_delay_seconds_count{kind=\"channels\",class=\"person\"}")
    );

    // Nobody is forgotten: the slow account's own are served when it answers.
    rig.sandbox.clear_faults();
    for n in [0, CHANNELS / 2, CHANNELS - 1] {
        rig.until_condition(&format!("slow-{n}"), "Ready", "True", None).await;
    }
}

/// Portfolios of which all but one get no answer to any call, each with an app, a token and a business of its own. All are new
/// to the process, and are looked at for the first time; within so many seconds the one comes to its consent.
#[rstest]
#[case::hundreds(200, 15)]
#[case::all_but_one_of_a_thousand(999, 45)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn portfolios_that_hang_hold_up_no_other_and_work_when_they_are_answered(
    #[case] hanging: usize,
    #[case] seconds: u64,
) {
    let mut rig = Rig::with_portfolio("hanging").await;
    let app = |n: usize| format!("2000000001{n:05}");
    let token = |n: usize| format!("{}-{n}", rig.token);
    let (business, account) =
        (|n: usize| format!("5000000001{n:05}"), |n: usize| format!("3000000001{n:05}"));
    let mut tokens = serde_json::Map::new();
    rig.sandbox.set_hold(Hold::Keep { secs: 600 });
    for n in 0..hanging {
        rig.sandbox.add_portfolio(Portfolio::new(&business(n), "Slow Ltda").verified());
        rig.sandbox.add_account(Account::new(&account(n), &business(n), "Slow"));
        rig.sandbox.add_token(&token(n), Token::system_user(&app(n), &business(n)));
        rig.sandbox.add_app(App::new(&app(n), "Slow Ops"));
        let on = Match { app: Some(app(n)), ..Match::any() };
        rig.sandbox.inject(Fault { on, kind: FaultKind::TimeoutBefore });
        tokens.insert(format!("token-{n}"), json!(token(n)));
    }
    rig.secret("slow-meta", tokens.into()).await;
    let apply = async |n: usize| {
        let secret = json!({"name": "slow-meta", "key": format!("token-{n}")});
        let spec = json!({"businessId": business(n), "credentials": {"accessTokenSecretRef": secret}});
        rig.portfolio(&format!("slow-{n}"), spec).await;
    };
    futures::stream::iter(0..hanging).for_each_concurrent(16, apply).await;
    let below = [0, hanging / 2, hanging - 1];
    for n in below {
        let id = format!("1000000000007{n:03}");
        rig.sandbox
            .add_number(Number::new(&id, &account(n), &digits(n), "Acme Support").registered("271828"));
        let of = json!({"accountId": account(n), "portfolioRef": {"name": format!("slow-{n}")}});
        rig.channel(&format!("below-{n}"), &format!("+{}", digits(n)), of).await;
    }
    rig.start().await;
    let begun = Instant::now();
    rig.channel("healthy", "+5511913000001", json!({"accountId": ACCOUNT})).await;
    rig.until_condition("healthy", "NumberVerified", "False", Some("CodeNeeded")).await;
    assert!(begun.elapsed() < Duration::from_secs(seconds), "it took {:?}:\n{}", begun.elapsed(), rig.logs());
    // Each that waits holds a connection, and no thread.
    let id = rig.operator().id();
    let process = |what: &str| std::fs::read_dir(format!("/proc/{id}/{what}")).expect("it runs").count();
    let (threads, descriptors) = (process("task"), process("fd"));
    assert!(threads < 20 && descriptors < 2 * hanging, "{threads} threads, {descriptors} descriptors");
    // A new token is taken up too.
    let second = format!("{}-second", rig.token);
    rig.sandbox.add_token(&second, Token::system_user(APP, BUSINESS));
    rig.secret("acme-meta", json!({"token": second})).await;
    let nudge = "whatsapp-operator.dev/reconcile=now";
    let out = rig.plane.kubectl(["annotate", "wap", "acme", "-n", &rig.namespace, nudge]).await;
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let asked = Instant::now();
    loop {
        let logs = rig.logs();
        let is_taken =
            |line: &&str| line.contains("new credential in use") && line.contains("portfolio=acme");
        if logs.lines().filter(is_taken).count() == 2 {
            break;
        }
        assert!(asked.elapsed() < Duration::from_secs(45), "the new token is not taken up:\n{logs}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    rig.sandbox.revoke_token(&rig.token);
    rig.annotate("healthy", "send-code", "one").await;
    let asked = Instant::now();
    while !rig.effects_on("5511913000001").contains(&"code") {
        assert!(asked.elapsed() < Duration::from_secs(30), "no code by the new token:\n{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // Each says itself what is the matter, and so do those below it.
    let why = "Meta gave no usable answer about the credentials";
    let is_told = |s: &Value| {
        let message = condition(s, "Ready").and_then(|ready| ready["message"].as_str());
        message.is_some_and(|message| message.contains(why))
    };
    let limit = Duration::from_secs(60);
    for n in below {
        rig.until_of("wap", &format!("slow-{n}"), why, limit, is_told).await;
        rig.until(&format!("below-{n}"), why, limit, is_told).await;
    }
    rig.sandbox.clear_faults();
    for n in below {
        rig.until_condition(&format!("below-{n}"), "Ready", "True", None).await;
    }
    assert!(below.iter().all(|n| rig.effects_on(&digits(*n)).is_empty()), "they are registered already");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_status_tells_everything_where_that_is_known_already() {
    const MORE: usize = 10;
    let mut rig = Rig::with_portfolio("known").await;
    for n in 0..=MORE {
        let id = format!("1000000000007{n:03}");
        rig.sandbox.add_number(Number::new(&id, ACCOUNT, &digits(n), "Acme Support").registered("271828"));
    }
    rig.start().await;
    let channel = async |n: usize| {
        rig.channel(&format!("one-{n}"), &format!("+{}", digits(n)), json!({"accountId": ACCOUNT})).await;
    };
    channel(0).await;
    rig.until_condition("one-0", "Ready", "True", None).await;
    let (mark, lists) = (rig.at_rest().await, rig.sandbox.calls().len());
    for n in 1..=MORE {
        channel(n).await;
    }
    for n in 1..=MORE {
        rig.until_condition(&format!("one-{n}"), "Ready", "True", None).await;
    }
    let written = rig.writes_since(mark).await;
    let statuses = written.iter().filter(|entry| entry.resource == "whatsappchannels").count();
    assert_eq!(statuses, MORE, "one write of status each: {written:#?}");
    assert_eq!(rig.sandbox.calls().split_off(lists), [], "the list of a moment ago serves them");
}

/// A channel at rest is not read, nor its Secrets; its account reads its list, and wakes only the one that changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_at_rest_cost_the_api_server_nothing_and_one_that_changes_at_meta_is_seen() {
    const FLEET: usize = 40;
    const FRESH: Duration = Duration::from_secs(3);
    let mut rig = Rig::with_portfolio("resting").await;
    rig.flags = vec!["--list-freshness".into(), format!("{}s", FRESH.as_secs())];
    let id = |n: usize| format!("1000000000007{n:03}");
    for n in 0..FLEET {
        rig.sandbox.add_number(Number::new(&id(n), ACCOUNT, &digits(n), "Acme Support").registered("271828"));
        rig.channel(&format!("one-{n}"), &format!("+{}", digits(n)), json!({"accountId": ACCOUNT})).await;
    }
    rig.start().await;
    for n in 0..FLEET {
        rig.until_condition(&format!("one-{n}"), "Ready", "True", None).await;
    }
    // What was written is looked at once more.
    rig.at_rest().await;
    tokio::time::sleep(3 * FRESH).await;

    let (mark, before) = (rig.plane.mark().await, rig.sandbox.calls().len());
    tokio::time::sleep(4 * FRESH).await;
    let made = rig.sandbox.calls().split_off(before);
    let lists = made.iter().filter(|call| call.path.ends_with("/phone_numbers")).count();
    assert!((2..=5).contains(&lists), "{lists} lists: {made:#?}");
    let ours = async |mark| {
        let mut entries = rig.plane.audit_since(mark).await;
        entries.retain(|e| e.is_from_service_account(&rig.namespace, rig.account_name()));
        entries
    };
    let asked = ours(mark).await;
    let is_of_channels = |e: &&crate::control_plane::AuditEntry| e.name.starts_with("one-");
    let of_channels: Vec<_> = asked.iter().filter(is_of_channels).collect();
    assert!(of_channels.is_empty(), "requests about channels at rest: {of_channels:#?}");

    let mark = rig.plane.mark().await;
    assert!(rig.sandbox.set_field(&id(7), "quality_rating", json!("RED")));
    rig.until("one-7", "the change", 10 * FRESH, |status| status["facts"]["quality"] == "RED").await;
    let asked = ours(mark).await;
    // The change is told by an event, too.
    let woken: std::collections::BTreeSet<&str> = asked
        .iter()
        .filter(|entry| is_of_channels(entry) && entry.resource != "events")
        .map(|entry| entry.name.as_str())
        .collect();
    assert_eq!(woken, std::collections::BTreeSet::from(["one-7"]));

    // Whoever asks is served at once.
    rig.look("one-8", "now").await;
    let age = rig.metrics().await;
    let age = age.lines().find_map(|line| line.strip_prefix("whatsapp_operator_oldest_look_seconds "));
    let age: f64 = age.and_then(|age| age.parse().ok()).expect("the age of the oldest look");
    assert!(age < 60.0, "{age}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_portfolio_is_the_cause_of_is_told_there_once_and_not_on_each_of_its_channels() {
    const CROWD: usize = 150;
    let mut rig = Rig::with_portfolio("crowd").await;
    for n in 0..CROWD {
        let id = format!("1000000000007{n:03}");
        rig.sandbox.add_number(Number::new(&id, ACCOUNT, &digits(n), "Acme Support").registered("271828"));
        rig.channel(&format!("one-{n}"), &format!("+{}", digits(n)), json!({"accountId": ACCOUNT})).await;
    }
    rig.start().await;
    let all = async |kind: &str, status: &str| {
        let deadline = Instant::now() + Duration::from_secs(120);
        for n in 0..CROWD {
            while condition(&rig.get(&format!("one-{n}")).await["status"], kind)
                .is_none_or(|c| c["status"] != status)
            {
                assert!(Instant::now() < deadline, "one-{n} is not {kind}={status}:\n{}", rig.logs());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    };
    all("Ready", "True").await;
    // Events are paced, so these may come long after the statuses.
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let list = ["get", "events.events.k8s.io", "-n", &rig.namespace, "-o", "json"];
        let listed: Value =
            serde_json::from_slice(&rig.plane.kubectl(list).await.stdout).expect("a list of events");
        let events = listed["items"].as_array().expect("a list").iter();
        let told = events.filter(|event| {
            let about = event["regarding"]["name"].as_str().unwrap_or_default();
            event["reason"] == "Ready" && about.starts_with("one-")
        });
        let told = told.count();
        if told == CROWD {
            break;
        }
        assert!(Instant::now() < deadline, "{told} of {CROWD} are told to be Ready");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    let mark = rig.at_rest().await;
    rig.sandbox.revoke_token(&rig.token);
    rig.annotate("one-0", "reconcile", "now").await;
    rig.until_condition_of("wap", "acme", "CredentialsValid", "False", Some("TokenInvalid")).await;
    all("PortfolioReady", "False").await;
    let second = format!("{}-second", rig.token);
    rig.sandbox.add_token(&second, Token::system_user(APP, BUSINESS));
    rig.secret("acme-meta", json!({"token": second})).await;
    all("PortfolioReady", "True").await;
    all("Ready", "True").await;

    rig.at_rest().await;
    let written = rig.writes_since(mark).await;
    let events = written.iter().filter(|entry| entry.resource == "events").count();
    let told: Vec<_> = written.iter().filter(|entry| entry.resource == "events").collect();
    assert!((2..=20).contains(&events), "{events} events: {told:#?}");
    let statuses = written.iter().filter(|entry| entry.resource == "whatsappchannels").count();
    assert!(statuses <= 3 * CROWD, "{statuses} writes for {CROWD} channels that turned twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_names_its_account_is_served_while_the_list_of_accounts_is_slow() {
    const MORE: usize = 299;
    let mut rig = Rig::with_portfolio("listing").await;
    for n in 0..MORE {
        rig.sandbox.add_account(Account::new(&format!("3000000000100{n:03}"), BUSINESS, "Acme"));
    }
    rig.sandbox
        .add_number(Number::new("100000000000001", ACCOUNT, &digits(1), "Acme Support").registered("271828"));
    // The first of three pages, twice what a call may take, and then it comes at once.
    let page = Duration::from_secs(40);
    let ms = u64::try_from(page.as_millis()).expect("a short time");
    let on = Match::on("GET", "owned_whatsapp_business_accounts").times(1);
    rig.sandbox.inject(Fault { on, kind: FaultKind::Latency { ms } });
    rig.channel("named", &format!("+{}", digits(1)), json!({"accountId": ACCOUNT})).await;
    let mark = rig.plane.mark().await;
    rig.start().await;
    let begun = Instant::now();
    rig.until_condition("named", "Ready", "True", None).await;
    let portfolio = rig.get_of("wap", "acme").await;
    assert!(begun.elapsed() < Duration::from_secs(15), "it waited for the list:\n{}", rig.logs());
    let status = &portfolio["status"];
    assert!(condition(status, "CredentialsValid").is_some_and(|c| c["status"] == "True"), "{status}");
    assert!(status["name"].is_string() && status["accounts"].is_null(), "{status}");

    // The page is asked for again, and the list goes on.
    let whole = |status: &serde_json::Value| {
        status["accounts"].as_array().is_some_and(|all| all.len() == 256) && status["moreAccounts"] == 44
    };
    rig.until_of("wap", "acme", "every account", Duration::from_secs(90), whole).await;
    rig.at_rest().await;
    let written = rig.writes_since(mark).await;
    let written = written.iter().filter(|entry| entry.resource == "whatsappportfolios").count();
    assert!(written <= 6, "{written} writes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_may_not_be_read_holds_up_no_other_and_is_served_when_it_may() {
    let mut rig = Rig::apart("seeing").await;
    let blind = rig.watch_also("blind").await;
    let role = ["role", "whatsapp-operator", "-n", &blind];
    let rules = rig.plane.kubectl(["get", "-o", "json"].iter().chain(&role)).await.stdout;
    let taken = rig.plane.kubectl(["delete"].iter().chain(&role)).await;
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    rig.edit("wap", "acme", json!({"access": [{"namespaces": [blind], "accounts": [ACCOUNT]}]})).await;
    rig.sandbox
        .add_number(Number::new("100000000000001", ACCOUNT, &digits(1), "Acme Support").registered("271828"));
    rig.sandbox
        .add_number(Number::new("100000000000002", ACCOUNT, &digits(2), "Acme Support").registered("271828"));
    let theirs = json!({"portfolioRef": {"name": "acme", "namespace": rig.namespace}, "accountId": ACCOUNT});
    let late = format!("{blind}/late");
    rig.channel("own", &format!("+{}", digits(1)), json!({"accountId": ACCOUNT})).await;
    rig.channel(&late, &format!("+{}", digits(2)), theirs.clone()).await;

    // It is ready without that namespace, and says so.
    rig.start().await;
    rig.until_condition("own", "Ready", "True", None).await;
    let refused = format!("whatsapp_operator_watch_refused{{kind=\"channels\",namespace=\"{blind}\"}}");
    let says = async |is_refused: bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let ready = http_get(rig.health(), "/readyz").await.unwrap_or_default();
            let is_named = ready.contains(&format!("channels in {blind} cannot be read and count as none"));
            let is_counted = rig.metrics().await.contains(&format!("{refused} {}", u8::from(is_refused)));
            if ready.starts_with("HTTP/1.1 200") && is_named == is_refused && is_counted {
                return;
            }
            assert!(Instant::now() < deadline, "{ready}\n{}", rig.logs());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    says(true).await;
    let lines = rig.logs();
    let lines =
        lines.lines().filter(|line| line.contains("counts as empty") && line.contains("WhatsAppChannel"));
    assert_eq!(lines.count(), 1, "one line, however often it is tried:\n{}", rig.logs());

    // The right comes, and nobody restarts anything.
    let create = ["create", "-f", "-"];
    let given = rig.plane.kubectl_with_input(create, &without_version(&rules)).await;
    assert!(given.status.success(), "{}", String::from_utf8_lossy(&given.stderr));
    rig.until_condition(&late, "Ready", "True", None).await;
    says(false).await;

    // It goes again, which shows once the watches have to begin anew. What was seen before keeps its claim.
    let taken = rig.plane.kubectl(["delete"].iter().chain(&role)).await;
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    rig.plane.kill_api_server().await;
    rig.plane.start_api_server().await.expect("the API server starts");
    says(true).await;
    let later = format!("{blind}/later");
    rig.sandbox
        .add_number(Number::new("100000000000003", ACCOUNT, &digits(3), "Acme Support").registered("271828"));
    rig.sandbox
        .add_number(Number::new("100000000000004", ACCOUNT, &digits(4), "Acme Support").registered("271828"));
    rig.channel(&later, &format!("+{}", digits(3)), theirs).await;
    rig.channel("also-own", &format!("+{}", digits(4)), json!({"accountId": ACCOUNT})).await;
    rig.until_condition("also-own", "Ready", "True", None).await;

    // And comes back.
    let given = rig.plane.kubectl_with_input(create, &without_version(&rules)).await;
    assert!(given.status.success(), "{}", String::from_utf8_lossy(&given.stderr));
    rig.until_condition(&later, "Ready", "True", None).await;
    says(false).await;
    assert!(rig.effects_on(&digits(2)).is_empty(), "{:?}", rig.effects_on(&digits(2)));
}

/// The Role as it was, to be applied anew.
fn without_version(object: &[u8]) -> String {
    let mut object: serde_json::Value = serde_json::from_slice(object).expect("JSON");
    for server in ["resourceVersion", "uid", "creationTimestamp", "managedFields"] {
        object["metadata"].as_object_mut().expect("metadata").remove(server);
    }
    object.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_hangs_costs_nothing_but_the_time() {
    let mut rig = Rig::apart("hung").await;
    rig.start().await;
    rig.channel("support", "+5511913000001", json!({"accountId": ACCOUNT})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    // The code is sent while nobody can be told.
    let takes = Fault { on: Match::on("POST", "request_code"), kind: FaultKind::Latency { ms: 5_000 } };
    rig.sandbox.inject(takes);
    rig.annotate("support", "send-code", "one").await;
    let limit = Duration::from_secs(30);
    rig.until("support", "an intent", limit, |s| s["memory"]["inFlight"]["step"] == "RequestCode").await;
    rig.plane.hang_api_server(true);
    tokio::time::sleep(Duration::from_secs(30)).await;
    rig.sandbox.clear_faults();
    rig.plane.hang_api_server(false);

    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    rig.type_code("support", "+5511913000001").await;
    rig.until_condition("support", "Ready", "True", None).await;
    assert_eq!(rig.effects_on("5511913000001"), ["added", "code", "verified", "registered"]);
    // What happened during the silence is seen too.
    rig.channel("second", "+5511913000002", json!({"accountId": ACCOUNT})).await;
    rig.until_condition("second", "NumberVerified", "False", Some("CodeNeeded")).await;
}
