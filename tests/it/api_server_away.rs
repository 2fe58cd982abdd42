//! The API server goes away in the middle of each call that cannot be repeated, and comes back: what Meta answered counts.
//! So does it where the leader has lost its Lease meanwhile. Its name makes it the first of all, since it takes the longest.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use whatsapp_operator::sandbox::{Fault, FaultKind, Match, Number};

use crate::control_plane::AuditEntry;
use crate::rig::{ACCOUNT, Rig, TokenFile, condition, free_address};

/// What is under way when the API server goes away. Each has a number of its own.
const STEPS: [(&str, &str); 4] =
    [("add", "AddNumber"), ("code", "RequestCode"), ("verify", "VerifyCode"), ("register", "Register")];

fn number(round: usize, step: usize) -> String {
    format!("+551191500{round:02}{step:02}")
}

fn digits(round: usize, step: usize) -> String {
    number(round, step).trim_start_matches('+').to_owned()
}

/// Meta answers while nothing can be written, for longer than the pass itself tries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_answered_while_the_storage_was_full_counts_when_there_is_room_again() {
    let mut rig = Rig::apart("full").await;
    rig.start().await;
    registers_in_vain(&rig, "100000000009901", "+551191509901", Duration::from_secs(10)).await;
    rig.plane.storage_is_full(true).await;
    until_meta_has_answered(&rig).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(rig.logs().contains("database space exceeded"), "the server's own words:\n{}", rig.logs());
    let status = rig.get("support").await["status"].clone();
    assert!(intends_to_register(&status), "nothing could be written: {status:#}");
    rig.plane.storage_is_full(false).await;
    is_told_of_one_refusal(&rig, Duration::from_secs(420)).await;
}

/// Meta answers while the API server does not know the operator any more. The process is the same when it does again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_answered_while_the_token_of_the_operator_was_revoked_counts_when_it_has_another() {
    let mut rig = Rig::with_portfolio("no-token").await;
    let token = TokenFile::new(&rig).await;
    let health = free_address();
    let mut operator = rig.spawn_with(&token.kubeconfig, &["--health-listen", &health.to_string()]);
    rig.until_serving(health).await;
    // The API server knows the token for ten seconds more at most.
    registers_in_vain(&rig, "100000000009902", "+551191509902", Duration::from_secs(14)).await;
    let mark = rig.plane.mark().await;
    token.revoke(&rig).await;
    until_meta_has_answered(&rig).await;
    let is_unknown = |entry: &AuditEntry| {
        (&*entry.namespace, &*entry.name, &*entry.subresource) == (&rig.namespace, "support", "status")
            && (&*entry.verb, entry.code) == ("patch", 401)
    };
    let limit = Instant::now() + Duration::from_secs(30);
    while !rig.plane.audit_since(mark).await.iter().any(is_unknown) {
        assert!(Instant::now() < limit, "no status is refused with 401:\n{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let status = rig.get("support").await["status"].clone();
    assert!(intends_to_register(&status), "nothing could be written: {status:#}");
    token.replace(&rig).await;
    // The file is read about once a minute.
    is_told_of_one_refusal(&rig, Duration::from_secs(120)).await;
    assert!(operator.is_running(), "it is the same process");
}

/// Brings the channel `support` to the moment when Meta has been asked to register its number. Meta takes so long, and refuses.
pub async fn registers_in_vain(rig: &Rig, id: &str, number: &str, takes: Duration) {
    let digits = number.trim_start_matches('+');
    rig.sandbox.add_number(Number::new(id, ACCOUNT, digits, "Acme Support"));
    rig.channel("support", number, json!({"accountId": ACCOUNT})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate("support", "send-code", "one").await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    let ms = u64::try_from(takes.as_millis()).expect("a short time");
    for kind in [FaultKind::Latency { ms }, pin_mismatch()] {
        rig.sandbox.inject(Fault { on: Match::on("POST", "register"), kind });
    }
    rig.type_code("support", number).await;
    rig.until("support", "an intent", Duration::from_secs(60), intends_to_register).await;
}

fn pin_mismatch() -> FaultKind {
    let envelope = json!({"error": {"message": "(#133005) Two step verification PIN Mismatch", "type": "OAuthException",
        "code": 133_005, "fbtrace_id": "AfakeTrace"}});
    FaultKind::Error { envelope }
}

pub fn intends_to_register(status: &Value) -> bool {
    status["memory"]["inFlight"]["step"] == "Register"
}

fn registers(rig: &Rig) -> usize {
    rig.sandbox.calls().iter().filter(|call| call.path == "/{phone}/register").count()
}

async fn until_meta_has_answered(rig: &Rig) {
    let limit = Instant::now() + Duration::from_secs(60);
    while registers(rig) == 0 {
        assert!(Instant::now() < limit, "Meta has not answered:\n{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The channel `support` tells of one registration that was refused, and there was no other.
pub async fn is_told_of_one_refusal(rig: &Rig, limit: Duration) {
    let object = rig.until("support", "an outcome", limit, |s| s["memory"]["inFlight"].is_null()).await;
    let told = &object["status"]["memory"]["ledger"]["registrations"];
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told:#}");
    assert_eq!(told[0]["outcome"], "Refused", "{told:#}");
    rig.until_condition("support", "Registered", "False", Some("PinMismatch")).await;
    assert_eq!(registers(rig), 1, "one registration, whose answer is known");
}

/// Brings a channel for each step to the moment before it, goes into all four calls, and takes the API server away until
/// so long after Meta has answered.
async fn away_in_mid_call(rig: &mut Rig, round: usize, away: Duration) {
    let name = |step: usize| format!("{}-{round}", STEPS[step].0);
    let account = json!({"accountId": ACCOUNT});
    for step in 1..STEPS.len() {
        let id = format!("10000000000{round:02}{step:02}");
        rig.sandbox.add_number(Number::new(&id, ACCOUNT, &digits(round, step), "Acme Support"));
    }
    for step in 1..STEPS.len() {
        rig.channel(&name(step), &number(round, step), account.clone()).await;
    }
    for step in 1..STEPS.len() {
        rig.until_condition(&name(step), "NumberVerified", "False", Some("CodeNeeded")).await;
    }
    for step in [2, 3] {
        rig.annotate(&name(step), "send-code", "one").await;
        rig.until_condition(&name(step), "NumberVerified", "False", Some("CodeAwaited")).await;
    }

    // From here on Meta takes its time, and refuses the registration when it comes.
    let takes = |edge| Fault { on: Match::on("POST", edge), kind: FaultKind::Latency { ms: 15_000 } };
    rig.sandbox.inject(takes("register"));
    rig.sandbox.inject(Fault { on: Match::on("POST", "register"), kind: pin_mismatch() });
    let intends = async |step: usize| {
        let intent = STEPS[step].1;
        rig.until(&name(step), intent, Duration::from_secs(60), |s| {
            s["memory"]["inFlight"]["step"] == intent
        })
        .await;
    };
    rig.type_code(&name(3), &number(round, 3)).await;
    intends(3).await;
    for edge in ["phone_numbers", "request_code", "verify_code"] {
        rig.sandbox.inject(takes(edge));
    }
    rig.channel(&name(0), &number(round, 0), account).await;
    rig.annotate(&name(1), "send-code", "one").await;
    rig.type_code(&name(2), &number(round, 2)).await;
    for step in 0..STEPS.len() {
        intends(step).await;
    }
    rig.plane.kill_api_server().await;
    // Meta has answered all of them by then.
    tokio::time::sleep(Duration::from_secs(15) + away).await;
    rig.sandbox.clear_faults();
    rig.plane.start_api_server().await.expect("it starts again");

    let limit = Duration::from_secs(420);
    for (step, (_, intent)) in STEPS.iter().enumerate() {
        rig.until(&name(step), "an outcome", limit, |s| s["memory"]["inFlight"].is_null()).await;
        let object = rig.get(&name(step)).await;
        let (kind, outcome) = [
            ("adds", "Accepted"),
            ("codes", "Accepted"),
            ("verifications", "Accepted"),
            ("registrations", "Refused"),
        ][step];
        let ledger = &object["status"]["memory"]["ledger"];
        let attempts = ledger[kind].as_array().unwrap_or_else(|| panic!("{intent}: {ledger:#}"));
        let told: Vec<&Value> = attempts.iter().map(|one| &one["outcome"]).collect();
        assert_eq!(told, [outcome], "{intent}: {ledger:#}\n{}", rig.logs());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_answered_while_the_api_server_was_away_counts_when_it_is_back() {
    let mut rig = Rig::apart("outage").await;
    // Without an election the work goes on all the time. As the chart starts it, its term ends ten seconds after the last
    // renewal, before Meta answers, and the same process takes the Lease again.
    let rows: [(u64, &[&str]); 2] = [(5, &[]), (120, &["--leader-election=true"])];
    for (round, (away, flags)) in rows.into_iter().enumerate() {
        if round > 0 {
            rig.operator().kill_nine();
        }
        rig.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        rig.start().await;
        away_in_mid_call(&mut rig, round, Duration::from_secs(away)).await;
    }
    // Nothing was done twice, and what was refused is known: nobody tries again with the same PIN.
    for round in 0..2 {
        let effects = |step| rig.effects_on(&digits(round, step));
        assert_eq!(effects(0), ["added"]);
        assert_eq!(effects(1), ["code"]);
        assert_eq!(effects(2).iter().filter(|one| **one == "verified").count(), 1);
        assert_eq!(
            effects(3).iter().filter(|one| **one == "registered").count(),
            0,
            "refused before it had an effect"
        );
        let status = rig.get(&format!("register-{round}")).await["status"].clone();
        let registered = condition(&status, "Registered").expect("it is told").clone();
        assert_eq!(registered["reason"], "PinMismatch", "{status:#}");
    }
}
