//! What sets a consent, again and again, late, or while nobody looks: on a real API server, with kubectl.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use whatsapp_operator::sandbox::{EndpointAnswer, Fault, FaultKind, Match, Number};

use crate::rig::{ACCOUNT, Rig};

const SEND_CODE: &str = "whatsapp-operator.dev/send-code";
const RETRY: &str = "whatsapp-operator.dev/retry";

fn codes(rig: &Rig, number: &str) -> usize {
    let effects = rig.effects_on(number.trim_start_matches('+'));
    effects.iter().filter(|effect| **effect == "code").count()
}

/// The last answer to `send-code`, and those before it, by value.
fn answers(status: &Value) -> Vec<Value> {
    let last = &status["memory"]["consents"]["sendCode"];
    let earlier = last["earlier"].as_array().cloned().unwrap_or_default();
    earlier.into_iter().chain([last.clone()]).collect()
}

fn is_answered(status: &Value, value: &str) -> bool {
    let is_it = |answer: &Value| answer["value"] == value;
    answers(status)
        .iter()
        .any(|answer| is_it(answer) && !(answer["usedFor"].is_null() && answer["refused"].is_null()))
}

async fn kubectl(rig: &Rig, args: &[&str], input: &str) {
    let args = args.iter().chain(&["-n", &rig.namespace]).copied().collect::<Vec<_>>();
    let output = rig.plane.kubectl_with_input(&args, input).await;
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Annotates as a person does, and waits for the answer.
async fn annotate(rig: &Rig, name: &str, value: &str) -> Value {
    kubectl(rig, &["annotate", "--overwrite", "wac", name, &format!("{SEND_CODE}={value}")], "").await;
    let answered = rig
        .until(name, "an answer to the consent", Duration::from_secs(90), |status| is_answered(status, value))
        .await;
    let found = answers(&answered["status"]).into_iter().find(|answer| answer["value"] == value);
    found.expect("an answer")
}

fn manifest(name: &str, number: &str) -> String {
    json!({
        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
        "metadata": {"name": name, "annotations": {SEND_CODE: "from-git"}},
        "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": number, "displayName": "Acme Support"},
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_value_of_a_consent_has_one_effect_however_often_a_manifest_brings_it_back() {
    let mut rig = Rig::with_portfolio("consents").await;
    rig.start().await;
    let ways: [(&str, &str, &[&str]); 2] = [
        ("client-side", "+5511917000004", &["apply", "-f", "-"]),
        ("server-side", "+5511917000001", &["apply", "--server-side", "--force-conflicts", "-f", "-"]),
    ];
    let turns = ways.map(|(name, number, apply)| brings_back(&rig, name, number, apply));
    futures::future::join_all(turns).await;

    // What stands there goes on being applied, and nothing is written for it any more.
    let mark = rig.at_rest().await;
    for _ in 0..4 {
        for (name, number, apply) in ways {
            kubectl(&rig, apply, &manifest(name, number)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut writes = rig.writes_since(mark).await;
    writes.retain(|entry| entry.resource == "whatsappchannels");
    assert!(writes.is_empty(), "{writes:#?}");
    assert_eq!(ways.map(|(_, number, _)| codes(&rig, number)), [3, 3]);
}

/// The API server keeps times in seconds, so what is set within one of the creation counts as there from the start.
const A_SECOND: Duration = Duration::from_millis(1_100);

/// The manifest is applied once each second, as by a tool that has it from Git, and people set other values.
async fn brings_back(rig: &Rig, name: &str, number: &str, apply: &[&str]) {
    let manifest = manifest(name, number);
    // What came with an object is no consent.
    kubectl(rig, apply, &manifest.replace(SEND_CODE, "example.com/none")).await;
    rig.until_condition(name, "NumberVerified", "False", Some("CodeNeeded")).await;
    tokio::time::sleep(A_SECOND).await;
    kubectl(rig, apply, &manifest).await;
    rig.until_condition(name, "NumberVerified", "False", Some("CodeAwaited")).await;
    let mut sent = BTreeSet::from(["from-git"]);
    for value in ["", "one", "", "one", "", "two", "", "one", "", ""] {
        let second = Instant::now() + Duration::from_secs(1);
        if !value.is_empty() {
            let is_again = !sent.insert(value);
            let answer = annotate(rig, name, value).await;
            assert_eq!(answer["usedFor"], "RequestCode", "{name}: {answer}");
            let is_told = |answer: &Value| answer["value"] == value && answer["again"].is_string();
            if is_again {
                let limit = Duration::from_secs(30);
                rig.until(name, "it told again", limit, |status| answers(status).iter().any(is_told)).await;
            }
        }
        assert_eq!(codes(rig, number), sent.len(), "{name}, {value}");
        kubectl(rig, apply, &manifest).await;
        tokio::time::sleep(second.saturating_duration_since(Instant::now())).await;
    }
    let is_told = |answer: &Value| answer["value"] == "from-git" && answer["again"].is_string();
    let told = rig
        .until(name, "the old value told of", Duration::from_secs(90), |status| {
            answers(status).iter().any(is_told)
        })
        .await;
    assert_eq!(told["metadata"]["annotations"][SEND_CODE], "from-git");
    let all = answers(&told["status"]);
    let mut known: Vec<_> = all.iter().filter_map(|answer| answer["value"].as_str()).collect();
    known.sort_unstable();
    assert_eq!(known, ["from-git", "one", "two"], "{all:#?}");
    assert!(all.iter().all(|answer| answer["usedFor"] == "RequestCode"), "{all:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_was_set_while_no_operator_ran_is_refused_and_a_fresh_one_is_not() {
    const NUMBER: &str = "+5511917000003";
    let mut rig = Rig::with_portfolio("late").await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.operator().kill_nine();
    // As the command line wrote it then.
    let set = Timestamp::now() - SignedDuration::from_mins(17);
    let late = set.to_string();
    kubectl(&rig, &["annotate", "wac", "support", &format!("{SEND_CODE}={late}")], "").await;
    rig.start().await;
    let refused =
        rig.until("support", "a refusal", Duration::from_secs(60), |status| is_answered(status, &late)).await;
    let why = refused["status"]["memory"]["consents"]["sendCode"]["refused"].as_str().unwrap_or_default();
    let at = set.strftime("set at %Y-%m-%d %H:%M:%S UTC").to_string();
    assert!(why.contains(&at) && why.contains("17 minutes later") && why.contains("set it again"), "{why}");
    assert_eq!(codes(&rig, NUMBER), 0);

    // Set while nobody ran, too, but just now; by a clock that is some minutes behind.
    rig.operator().kill_nine();
    let fresh = (Timestamp::now() - SignedDuration::from_mins(5)).to_string();
    kubectl(&rig, &["annotate", "--overwrite", "wac", "support", &format!("{SEND_CODE}={fresh}")], "").await;
    rig.start().await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    // Of a value that is no time the API server knows when it was set.
    let answer = annotate(&rig, "support", "please").await;
    assert_eq!((answer["usedFor"].as_str(), codes(&rig, NUMBER)), (Some("RequestCode"), 2), "{answer}");
    let answer = annotate(&rig, "support", &late).await;
    assert!(answer["usedFor"].is_null(), "{answer}");
    assert_eq!(codes(&rig, NUMBER), 2);
}

/// The command line's values carry their time: whenever it is resumed, 15 minutes count from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_was_set_during_a_suspension_counts_for_a_quarter_of_an_hour_and_once() {
    const NUMBER: &str = "+5511917000007";
    let mut rig = Rig::with_portfolio("during").await;
    rig.start().await;
    rig.until_condition_of("wap", "acme", "Ready", "True", None).await;
    rig.channel("support", NUMBER, json!({"suspend": true})).await;
    let suspended = async |is_suspended: bool| {
        rig.edit("wac", "support", json!({"suspend": is_suspended})).await;
        rig.until("support", "its stage", Duration::from_secs(60), |status| {
            (status["stage"] == "Suspended") == is_suspended && status["stage"].is_string()
        })
        .await;
    };
    let ago = |minutes| (Timestamp::now() - SignedDuration::from_mins(minutes)).to_string();
    suspended(true).await;

    // Set by the command line sixteen minutes ago, first met now, and resumed now.
    let late = ago(16);
    let both = json!({"metadata": {"annotations": {SEND_CODE: late}}, "spec": {"suspend": false}});
    kubectl(&rig, &["patch", "wac", "support", "--type=merge", "-p", &both.to_string()], "").await;
    suspended(false).await;
    let why = refusal(&rig, &late).await;
    assert!(why.contains("16 minutes later") && why.contains("set it again"), "{why}");
    assert_eq!(codes(&rig, NUMBER), 0);

    // A value that is no time, which the operator met sixteen minutes ago, while the channel was suspended already. Whoever
    // resumes it by applying its file again has the API server think that the value was set just now.
    suspended(true).await;
    apply(&rig, NUMBER, json!({SEND_CODE: "met"}), json!({"suspend": true})).await;
    rig.until("support", "the value met", Duration::from_secs(60), |status| {
        status["memory"]["consents"]["sendCode"]["value"] == "met"
    })
    .await;
    let met = json!({"memory": {"consents": {"sendCode": {"at": ago(16)}}}});
    rig.edit_status("wac", "support", met).await;
    apply(&rig, NUMBER, json!({SEND_CODE: "met"}), json!({"suspend": false})).await;
    refusal(&rig, "met").await;
    assert_eq!(codes(&rig, NUMBER), 0);

    // Resumed soon it is done, and only once, however often the channel is suspended and resumed with it.
    for (n, value) in [ago(2), "no-time".to_owned()].iter().enumerate() {
        suspended(true).await;
        kubectl(&rig, &["annotate", "--overwrite", "wac", "support", &format!("{SEND_CODE}={value}")], "")
            .await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(codes(&rig, NUMBER), n, "nothing is done while it is suspended");
        for _ in 0..2 {
            suspended(false).await;
            rig.until("support", "the code", Duration::from_secs(60), |status| is_answered(status, value))
                .await;
            rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
            suspended(true).await;
        }
        assert_eq!(codes(&rig, NUMBER), n + 1, "{value}");
    }
}

/// As a tool applies it that has it from Git.
async fn apply(rig: &Rig, number: &str, annotations: Value, spec: Value) {
    apply_by(rig, &["apply", "-f", "-"], number, annotations, spec).await;
}

async fn apply_by(rig: &Rig, way: &[&str], number: &str, annotations: Value, spec: Value) {
    let mut channel = json!({
        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
        "metadata": {"name": "support", "annotations": annotations},
        "spec": {"portfolioRef": {"name": "acme"}, "accountId": ACCOUNT, "phoneNumber": number,
                 "displayName": "Acme Support"},
    });
    channel["spec"].as_object_mut().expect("an object").extend(spec.as_object().expect("an object").clone());
    kubectl(rig, way, &channel.to_string()).await;
}

/// Why `send-code` was not done.
async fn refusal(rig: &Rig, value: &str) -> String {
    let what = format!("a refusal of {value}");
    let is_refused = |answer: &Value| {
        answer["value"] == value && answer["refused"].is_string() && answer["usedFor"].is_null()
    };
    let object = rig
        .until("support", &what, Duration::from_secs(60), |status| answers(status).iter().any(is_refused))
        .await;
    let all = answers(&object["status"]);
    all.iter().find(|answer| is_refused(answer)).map(|answer| answer["refused"].to_string()).expect("one")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_from_git_that_is_late_or_was_met_while_nothing_was_done_sends_no_code() {
    const NUMBER: &str = "+5511917000005";
    let ago =
        |minutes| (Timestamp::now() - SignedDuration::from_mins(minutes)).strftime("%FT%TZ").to_string();
    let mut rig = Rig::with_portfolio("from-git").await;
    // Set while no operator ran, and known to be so by the API server alone.
    apply(&rig, NUMBER, json!({SEND_CODE: "git-1"}), json!({})).await;
    let mut owners = rig.get("support").await["metadata"]["managedFields"].clone();
    for owner in owners.as_array_mut().expect("a list") {
        owner["time"] = json!(ago(17));
    }
    // With something else that changes: the API server takes no new times alone.
    let labels = json!({"aged": "yes"});
    rig.merge("wac", "support", &json!({"metadata": {"labels": labels, "managedFields": owners}})).await;
    rig.start().await;
    let why = refusal(&rig, "git-1").await;
    assert!(why.contains("17 minutes later"), "{why}");

    // Whoever applies the file again, with an edit, has set the value just now in the eyes of the API server.
    let stops = [("git-2", json!({"suspend": true})), ("git-3", json!({"managementPolicy": "ObserveOnly"}))];
    for (value, stopped) in stops {
        apply(&rig, NUMBER, json!({SEND_CODE: value}), stopped).await;
        rig.until("support", "the value met", Duration::from_secs(60), |status| {
            status["memory"]["consents"]["sendCode"]["value"] == value
        })
        .await;
        let met = json!({"memory": {"consents": {"sendCode": {"at": ago(16)}}}});
        rig.edit_status("wac", "support", met).await;
        apply(&rig, NUMBER, json!({SEND_CODE: value}), json!({})).await;
        refusal(&rig, value).await;
    }
    assert_eq!(codes(&rig, NUMBER), 0);
    apply(&rig, NUMBER, json!({SEND_CODE: "git-4"}), json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    assert_eq!(codes(&rig, NUMBER), 1);
}

/// A manifest in Git whose object is deleted and created again, as by a prune that was a mistake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_in_a_manifest_does_nothing_where_its_object_is_created_and_created_again() {
    const LIVE: &str = "+5511917000009";
    const NEW: &str = "+5511917000010";
    let (ours, theirs) = ("https://bot.acme.example/wa", "https://elsewhere.example/wa");
    let mut rig = Rig::with_portfolio("again").await;
    let live = LIVE.trim_start_matches('+');
    rig.sandbox
        .add_number(Number::new("100000000000062", ACCOUNT, live, "Acme Support").registered("271828"));
    rig.sandbox.set_field(live, "webhook", json!({"callback": theirs}));
    rig.sandbox.set_webhook_endpoint(ours, EndpointAnswer::Echo);
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "stringData": {"verify": "let-me-in-please"},
        "metadata": {"name": "bot", "labels": {"whatsapp-operator.dev/use": "verify-token"}}
    }))
    .await;
    rig.start().await;
    let callback = || rig.sandbox.number(live).expect("it is there").webhook.callback;
    let webhook = json!({"driftPolicy": "Report", "webhook": {
        "callbackUrl": ours, "verifyTokenSecretRef": {"name": "bot", "key": "verify"}
    }});
    let both = json!({RETRY: "take-webhook", SEND_CODE: "from-git"});
    let ways: [&[&str]; 3] = [
        &["apply", "-f", "-"],
        &["apply", "--server-side", "--force-conflicts", "-f", "-"],
        &["create", "-f", "-"],
    ];
    for (number, spec) in [(LIVE, &webhook), (NEW, &json!({}))] {
        for way in ways {
            apply_by(&rig, way, number, both.clone(), spec.clone()).await;
            let why = |status: &Value, kind: &str| {
                status["memory"]["consents"][kind]["refused"].as_str().unwrap_or_default().to_owned()
            };
            rig.until("support", "both refused", Duration::from_secs(60), |status| {
                ["retry", "sendCode"].iter().all(|kind| why(status, kind).contains("came with the object"))
            })
            .await;
            let (on, reason) = match number {
                LIVE => ("WebhookRouted", "WebhookDiffers"),
                _ => ("NumberVerified", "CodeNeeded"),
            };
            rig.until_condition("support", on, "False", Some(reason)).await;
            kubectl(&rig, &["delete", "wac", "support"], "").await;
        }
        assert_eq!((callback().as_deref(), codes(&rig, number)), (Some(theirs), 0));
    }
    // A person sets one, or Git another one.
    apply(&rig, LIVE, both.clone(), webhook).await;
    rig.until_condition("support", "WebhookRouted", "False", Some("WebhookDiffers")).await;
    for (value, step) in [("anna-1", "SubscribeApp"), ("anna-2", "RouteWebhook")] {
        rig.annotate("support", "retry", value).await;
        rig.until("support", step, Duration::from_secs(60), |status| {
            let last = &status["memory"]["consents"]["retry"];
            (&last["value"], &last["usedFor"]) == (&json!(value), &json!(step))
        })
        .await;
    }
    rig.until_condition("support", "WebhookRouted", "True", None).await;
    assert_eq!(callback().as_deref(), Some(ours));
    kubectl(&rig, &["delete", "wac", "support"], "").await;
    apply(&rig, NEW, both, json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    tokio::time::sleep(A_SECOND).await;
    apply(&rig, NEW, json!({SEND_CODE: "from-git-2"}), json!({})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    assert_eq!(codes(&rig, NEW), 1);
}

#[rstest::rstest]
#[case::client_side("+5511917000006", &["apply", "-f", "-"])]
#[case::server_side("+5511917000008", &["apply", "--server-side", "--force-conflicts", "-f", "-"])]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_from_git_brings_no_registration_beside_those_that_people_ask_for(
    #[case] number: &str,
    #[case] way: &[&str],
) {
    let mut rig = Rig::with_portfolio("retry").await;
    let refusal = json!({"error": {"message": "(#133005) Two step verification PIN Mismatch",
        "type": "OAuthException", "code": 133_005, "fbtrace_id": "AfakeTrace"}});
    let kind = FaultKind::Error { envelope: refusal };
    rig.sandbox.inject(Fault { on: Match::on("POST", "register"), kind });
    rig.sandbox.add_number(
        Number::new("100000000000061", ACCOUNT, number.trim_start_matches('+'), "Acme Support")
            .verified(Timestamp::now()),
    );
    rig.secret("support-pin", json!({"pin": "271828"})).await;
    rig.start().await;
    let from_git = || apply_by(&rig, way, number, json!({RETRY: "r1"}), json!({}));
    let registrations = || rig.sandbox.calls().iter().filter(|call| call.path.ends_with("/register")).count();
    // What came with an object is no consent.
    apply_by(&rig, way, number, json!({}), json!({})).await;
    rig.until_condition("support", "Registered", "False", Some("RegistrationPaused")).await;
    tokio::time::sleep(A_SECOND).await;
    from_git().await;
    rig.until_condition("support", "Registered", "False", Some("PinMismatch")).await;
    for (value, attempts) in
        [("", 1), ("anna-1", 2), ("", 2), ("anna-2", 3), ("", 3), ("anna-1", 3), ("", 3), ("", 3)]
    {
        if !value.is_empty() {
            kubectl(&rig, &["annotate", "--overwrite", "wac", "support", &format!("{RETRY}={value}")], "")
                .await;
            rig.until("support", "an answer to the retry", Duration::from_secs(60), |status| {
                let last = &status["memory"]["consents"]["retry"];
                let earlier = last["earlier"].as_array().into_iter().flatten();
                earlier.chain([last]).any(|is| is["value"] == value && is["usedFor"] == "Register")
            })
            .await;
        }
        from_git().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(registrations(), attempts, "{value}: {:#}", rig.get("support").await["status"]["memory"]);
    }
}
