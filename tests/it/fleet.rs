//! Many channels, accounts and namespaces under one operator, on a real API server: none holds up another.

use std::time::{Duration, Instant};

use serde_json::json;
use whatsapp_operator::sandbox::{Account, Fault, FaultKind, Match, Number, Token};

use crate::rig::{ACCOUNT, APP, BUSINESS, Rig, condition, http_get};

/// The account that answers late.
const SLOW: &str = "300000000000002";
/// How many channels it has.
const CHANNELS: usize = 300;

fn digits(n: usize) -> String {
    format!("5511914000{n:03}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_is_served_while_hundreds_wait_for_another_account() {
    let mut rig = Rig::with_portfolio("fair").await;
    rig.sandbox.add_account(Account::new(SLOW, BUSINESS, "Acme Slow"));
    for n in 0..CHANNELS {
        let id = format!("1000000000007{n:03}");
        rig.sandbox.add_number(Number::new(&id, SLOW, &digits(n), "Acme Support").registered("271828"));
    }
    rig.sandbox.add_number(Number::new("100000000000001", ACCOUNT, "5511913000001", "Acme Support"));
    rig.start().await;
    rig.channel("healthy", "+5511913000001", json!({"accountId": ACCOUNT})).await;
    rig.until_condition("healthy", "NumberVerified", "False", Some("CodeNeeded")).await;

    // From here on every read of the account takes nearly as long as a call may.
    let answer = Duration::from_secs(19);
    let on = Match { account: Some(SLOW.to_owned()), ..Match::on("GET", "*") };
    let ms = u64::try_from(answer.as_millis()).expect("a short time");
    rig.sandbox.inject(Fault { on, kind: FaultKind::Latency { ms } });
    for n in 0..CHANNELS {
        rig.channel(&format!("slow-{n}"), &format!("+{}", digits(n)), json!({"accountId": SLOW})).await;
    }
    let asked = Instant::now();
    rig.annotate("healthy", "send-code", "one").await;
    while !rig.effects_on("5511913000001").contains(&"code") {
        assert!(asked.elapsed() < answer / 2, "it waited for the slow account:\n{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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
    assert!((2..=20).contains(&events), "{events} events");
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
    let mut rig = Rig::with_portfolio("seeing").await;
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
    rig.channel(&late, &format!("+{}", digits(2)), theirs).await;

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
}

/// The Role as it was, to be applied anew.
fn without_version(object: &[u8]) -> String {
    let mut object: serde_json::Value = serde_json::from_slice(object).expect("JSON");
    for server in ["resourceVersion", "uid", "creationTimestamp", "managedFields"] {
        object["metadata"].as_object_mut().expect("metadata").remove(server);
    }
    object.to_string()
}
