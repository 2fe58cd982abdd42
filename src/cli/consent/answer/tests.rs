//! What became of a consent.

use super::*;
use clap::Parser;
use serde_json::Value;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    follow: FollowArgs,
}

fn channel(spec: Value, status: Value) -> WhatsAppChannel {
    let mut whole = json!({
        "portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme Suporte"
    });
    whole.as_object_mut().expect("an object").extend(spec.as_object().expect("an object").clone());
    serde_json::from_value(json!({
        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
        "metadata": {"name": "support", "namespace": "shop"}, "spec": whole, "status": status,
    }))
    .expect("a channel")
}

fn opened() -> Channel {
    crate::meta::transport::install_crypto();
    let config = kube::Config::new("http://127.0.0.1:9".parse().expect("an address"));
    let client = kube::Client::try_from(config).expect("a client");
    Channel::of("support", "shop", &ClusterArgs::default(), client)
}

fn answered(entry: Value, answer: Value) -> WhatsAppChannelStatus {
    let mut code = json!({"id": "1", "at": "2026-03-01T18:21:00Z", "cause": "SendCode", "consent": "x"});
    code.as_object_mut().expect("an object").extend(entry.as_object().expect("an object").clone());
    let mut sent = json!({"value": "x", "at": "2026-03-01T18:21:00Z"});
    sent.as_object_mut().expect("an object").extend(answer.as_object().expect("an object").clone());
    serde_json::from_value(json!({"memory": {"ledger": {"codes": [code]}, "consents": {"sendCode": sent}}}))
        .expect("a status")
}

#[tokio::test]
async fn a_code_that_was_sent_is_told_with_its_way_and_its_end() {
    let channel = opened();
    let given = Answer { value: Some("x".into()), ..Answer::new(&channel, Verdict::Given) };
    let now: Timestamp = "2026-03-01T18:22:00Z".parse().expect("a time");
    let status = answered(json!({"outcome": "Accepted"}), json!({"usedFor": "RequestCode"}));
    for (method, words_of) in
        [(CodeMethod::Sms, "code sent by SMS"), (CodeMethod::Voice, "code sent by a call")]
    {
        let consent = Consent::SendCode;
        let asked = Asked { consent, channel: &channel, value: "x", method: Some(method), given: &given };
        let answer = asked.judge(&status).expect("an answer");
        let until = answer.enter_before.expect("an end").to_string();
        assert_eq!(until, "2026-03-01T18:36:00Z");
        let mut text = Text::new();
        text.line(words(Consent::SendCode, &answer, now));
        let told = text.plain();
        assert!(told.starts_with(words_of) && told.contains("; enter it before "), "{told}");
        assert!(told.contains("(in 14m)"), "{told}");
        assert_eq!(answer.next.as_deref(), Some("kubectl whatsapp code support -n shop"));
    }
}

#[tokio::test]
async fn a_consent_is_told_as_the_operator_answers_it() {
    let channel = opened();
    let given = Answer { value: Some("x".into()), ..Answer::new(&channel, Verdict::Given) };
    let used = || json!({"usedFor": "RequestCode"});
    let refusal = json!({"code": 136_024, "message": "later", "class": "Person", "scope": "Call"});
    for (what, entry, answer, verdict) in [
        ("under way", json!({"outcome": "Started"}), used(), None),
        ("kept", json!({"outcome": "Accepted"}), json!({}), None),
        ("no", json!({"outcome": "Accepted"}), json!({"refused": "no need"}), Some(Verdict::Refused)),
        ("Meta's no", json!({"outcome": "Refused", "refusal": refusal}), used(), Some(Verdict::Refused)),
        ("silence", json!({"outcome": "NoAnswer"}), used(), Some(Verdict::NoAnswer)),
        ("not sent", json!({"outcome": "NotSent"}), used(), Some(Verdict::NoAnswer)),
        ("another value", json!({"outcome": "Accepted"}), json!({"value": "y"}), None),
    ] {
        let asked =
            Asked { consent: Consent::SendCode, channel: &channel, value: "x", method: None, given: &given };
        let found = asked.judge(&answered(entry, answer)).map(|answer| answer.verdict);
        assert_eq!(found, verdict, "{what}");
    }
}

#[tokio::test]
async fn nobody_waits_for_a_channel_for_which_nothing_is_done() {
    let channel_of = opened();
    let suspend =
        (json!({"suspend": true}), "is suspended", "suspend: false", "kubectl whatsapp resume support");
    let observe = (
        json!({"managementPolicy": "ObserveOnly"}),
        "managementPolicy: ObserveOnly",
        "managementPolicy: Full",
        r#"{"spec":{"managementPolicy":"Full"}}"#,
    );
    for ((spec, told, set, patch), looks) in [(suspend, false), (observe, true)] {
        let object = channel(spec, json!({}));
        let why = cannot(&channel_of, &object, Wanted::Step).expect("no");
        assert_eq!(why.code(), Exit::Refused);
        assert!(why.to_string().contains(told), "{why}");
        let next = why.remedy().unwrap_or_default();
        assert!([set, patch, "-n shop"].iter().all(|part| next.contains(part)), "{next}");
        assert_eq!(cannot(&channel_of, &object, Wanted::Look).is_none(), looks, "{told}");
    }
    let plain = channel(json!({"managementPolicy": "Full", "suspend": false}), json!({}));
    assert!(cannot(&channel_of, &plain, Wanted::Step).is_none());
}

#[test]
fn following_lasts_longer_than_the_pause_between_two_codes() {
    let args = Line::try_parse_from(["x"]).expect("arguments");
    let limits = Limits::default();
    let slow = limits.settle_other + limits.call_timeout + limits.send_before;
    assert!(args.follow.timeout > slow, "{:?} is no longer than {slow:?}", args.follow.timeout);
}
