//! Envelopes in every shape, and until when they ask to wait.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::engine::failure::{Class, Said, Scope};

fn at() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn refusal(answer: &Value, edge: Edge) -> Refusal {
    Envelope::of(answer).unwrap().unwrap().refusal(edge, 400, None, at())
}

#[test]
fn envelopes_are_read_in_every_shape() {
    let full = json!({"error": {"message": "(#100) Invalid parameter", "type": "OAuthException", "code": 100,
        "error_subcode": 2_388_001, "is_transient": false, "error_user_title": "Title", "error_user_msg": "Sentence",
        "error_data": {"messaging_product": "whatsapp", "details": "why"}, "fbtrace_id": "AbC123"}});
    let read = refusal(&full, Edge::Register);
    assert!(read.is(100, Some(2_388_001)));
    assert_eq!(
        (read.title.as_deref(), read.message.as_str(), read.trace_id.as_deref()),
        (Some("Title"), "Sentence", Some("AbC123"))
    );

    let message = |error: Value| refusal(&json!({ "error": error }), Edge::Register).message;
    assert_eq!(message(json!({"code": 100, "message": "m", "error_data": {"details": "d"}})), "d");
    assert_eq!(
        message(json!({"code": 100, "message": "m", "error_data": "{\"details\":\"in text\"}"})),
        "in text"
    );
    assert_eq!(message(json!({"code": 100, "message": "m", "error_data": "plain text"})), "plain text");
    assert_eq!(message(json!({"code": 100, "message": "m", "error_data": {"blame": 1}})), "m");
    assert_eq!(message(json!({"code": 100, "message": "m", "error_data": null, "error_user_msg": ""})), "m");
    assert_eq!(message(json!({"code": 100})), "");

    assert!(refusal(&json!({"error": {"code": "133016"}}), Edge::Register).is(133_016, None));
    assert!(
        refusal(&json!({"error": {"code": 100, "error_subcode": "33"}}), Edge::Register).is(100, Some(33))
    );
    assert!(refusal(&json!({"error": {"code": 190, "subcode": 463}}), Edge::Account).is(190, Some(463)));
    assert!(refusal(&json!({"error": {"error_subcode": 2_388_012}}), Edge::AddNumber).names(2_388_012));
    assert!(refusal(&json!({"error": {"code": 100, "error_subcode": 0}}), Edge::Register).is(100, None));

    assert_eq!(Envelope::of(&json!({"data": []})), Ok(None));
    assert_eq!(Envelope::of(&json!({"error": null})), Ok(None));
    assert_eq!(Envelope::of(&json!({"error": "text"})), Err("text".into()));
    assert_eq!(Envelope::of(&json!({"error": {"message": "no code"}})), Err("no code".into()));
}

#[test]
fn a_field_that_does_not_exist_is_named_with_the_type_of_the_node() {
    let named = |code: i64, message: &str| {
        let answer = json!({"error": {"code": code, "message": message}});
        let named = Envelope::of(&answer).unwrap().unwrap().nonexisting_field();
        named.map(|named| (named.field, named.node_type))
    };
    let foo = |node_type: Option<&str>| Some(("foo".to_owned(), node_type.map(str::to_owned)));
    assert_eq!(named(100, "(#100) Tried accessing nonexisting field (foo)"), foo(None));
    assert_eq!(
        named(100, "(#100) Tried accessing nonexisting field (foo) on node type (Bar)"),
        foo(Some("Bar"))
    );
    assert_eq!(named(100, "Tried accessing nonexisting field (foo) on node type"), foo(None));
    assert_eq!(named(100, "(#100) Invalid parameter (foo)"), None);
    assert_eq!(named(1, "Tried accessing nonexisting field (foo)"), None);
    assert_eq!(named(100, "nonexisting field foo"), None);
    assert_eq!(named(100, "nonexisting field ()"), None);
}

#[test]
fn a_wrong_proof_is_a_matter_of_credentials() {
    let answer =
        json!({"error": {"code": 100, "message": "Invalid appsecret_proof provided in the API argument"}});
    let read = refusal(&answer, Edge::Account);
    assert_eq!((read.class, read.scope), (Class::Credentials, Scope::Portfolio));
}

#[test]
fn a_permission_that_comes_as_a_plain_100_is_a_permission_on_reads_and_writes() {
    let said = |edge: Edge, message: &str, subcode: Option<i64>| {
        let answer = json!({"error": {"code": 100, "error_subcode": subcode, "message": message}});
        let read = refusal(&answer, edge);
        (read.class, read.scope, read.said)
    };
    let denied = |scope| (Class::Credentials, scope, Some(Said::PermissionMissing));
    let need = "(#100) Need either permission on WhatsApp Business Account or owner business";
    for edge in [Edge::Register, Edge::AddNumber, Edge::Account, Edge::Numbers, Edge::RouteWebhook] {
        assert_eq!(said(edge, need, None), denied(Scope::Account), "{edge:?}");
    }
    assert_eq!(said(Edge::Business, "(#100) Missing Permission", None), denied(Scope::Portfolio));
    // These speak of permissions, and of something else.
    let hidden = "Object with ID '1' does not exist, cannot be loaded due to missing permissions";
    assert_eq!(said(Edge::Register, hidden, Some(33)), (Class::Person, Scope::Channel, None));
    assert_eq!(said(Edge::Register, hidden, None).2, None);
    assert_eq!(said(Edge::Account, "(#100) Tried accessing nonexisting field (permissions)", None).2, None);
    assert_eq!(said(Edge::Register, "(#100) Invalid parameter", None), (Class::Spec, Scope::Channel, None));
}

#[test]
fn a_permission_that_comes_as_a_plain_100_says_nothing_about_the_credential() {
    let answer = json!({"error": {"code": 100, "message": "(#100) Missing Permission"}});
    for edge in Edge::ALL {
        let read = refusal(&answer, edge);
        assert!(read.is_denied() && read.denies_object() && !read.is_about_credentials(), "{edge:?}");
    }
}

#[test]
fn a_number_of_the_business_app_is_known_by_its_sentence() {
    let sentence = "Register endpoint is not available for SMB businesses.";
    let read = refusal(&json!({"error": {"code": 100, "message": sentence}}), Edge::Register);
    assert_eq!((read.class, read.said), (Class::Person, Some(Said::BusinessAppNumber)));
}

#[test]
fn the_cause_of_a_certificate_that_cannot_be_made_stands_in_the_sentence_for_people() {
    let said = |subcode: i64, message: &str, sentence: &str| {
        let answer = json!({"error": {"code": 100, "error_subcode": subcode, "message": message,
            "error_user_msg": sentence}});
        refusal(&answer, Edge::Register).said
    };
    let known = "This number is registered to an existing WhatsApp account. To use this number, \
                 disconnect it from the existing account.";
    assert_eq!(said(2_388_001, "Invalid parameter", known), Some(Said::NumberInUse));
    assert_eq!(said(2_388_001, "Invalid parameter", "O nome ainda não foi processado."), None);
    assert_eq!(said(2_388_001, known, ""), None, "the sentence for people alone");
    assert_eq!(said(2_388_103, "Invalid parameter", known), None, "of another code");
}

#[test]
fn a_wait_ends_when_meta_says_or_else_when_its_page_does() {
    let until = |code: i64, details: &str, header: Option<Timestamp>| {
        let answer = json!({"error": {"code": code, "message": "m", "error_data": {"details": details}}});
        let refusal = Envelope::of(&answer).unwrap().unwrap().refusal(Edge::Register, 400, header, at());
        refusal.until.map(|until| until.as_second() - at().as_second())
    };
    assert_eq!(until(133_016, "", None), Some(72 * 3600));
    assert_eq!(until(133_008, "Please try again after 30 minutes.", None), Some(1800));
    assert_eq!(until(133_008, "Please try again later.", None), Some(12 * 3600));
    // A header tells when calls are welcome again, and nothing about what locks a number.
    let header = Some(later(at(), Duration::from_secs(7)));
    assert_eq!(until(133_009, "", header), Some(5 * 60));
    assert_eq!(until(133_016, "", header), Some(72 * 3600));
    assert_eq!(until(133_008, "Please try again after 30 minutes.", header), Some(1800));
    assert_eq!(until(80_007, "", header), Some(7));
    assert_eq!(until(80_007, "Please try again after 30 minutes.", header), Some(7));
    assert_eq!(until(133_010, "", None), None);
    assert_eq!(until(133_005, "try again in 5 minutes", None), None);
}

#[test]
fn a_lock_of_codes_ends_when_the_sentence_for_people_says() {
    let read = |code: i64, sentence: &str| {
        let answer = json!({"error": {"code": code, "message": "m", "error_user_msg": sentence}});
        let refusal = Envelope::of(&answer).unwrap().unwrap().refusal(Edge::VerifyCode, 400, None, at());
        (refusal.class, refusal.until.map(|until| until.as_second() - at().as_second()))
    };
    let hours = |n: i64| Some(n * 3_600);
    assert_eq!(
        read(136_024, "We could not send the code. Try again in 720 minutes."),
        (Class::WaitUntil, hours(12))
    );
    assert_eq!(read(136_024, "Try again later."), (Class::WaitUntil, hours(1)));
    assert_eq!(read(136_025, "Too many wrong codes. Try again in 12 hours."), (Class::WaitUntil, hours(12)));
    // No lock is named, only how long codes are valid.
    for sentence in [
        "The code is wrong.",
        "A code is valid for 10 minutes. Ask for another.",
        "Checked against the code of the last 10 minutes.",
        "Try again.",
    ] {
        assert_eq!(read(136_025, sentence), (Class::Person, None), "{sentence}");
        let details =
            json!({"error": {"code": 136_025, "message": "m", "error_data": {"details": sentence}}});
        assert_eq!(refusal(&details, Edge::VerifyCode).class, Class::Person, "{sentence}");
    }
    assert_eq!(
        read(133_005, "Try again in 5 minutes."),
        (Class::Person, None),
        "the PIN is wrong all the same"
    );
}
