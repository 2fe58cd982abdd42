//! What codes mean and what texts may say.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use serde_json::json;

use super::*;

/// Class and scope alone.
fn classify(edge: Edge, code: i64, subcode: Option<i64>, is_transient: bool, http: u16) -> (Class, Scope) {
    let verdict = verdict(edge, code, subcode, is_transient, http);
    (verdict.class, verdict.scope)
}

/// Every code and pair that Meta's pages, its OpenAPI or the field name.
const CODES: &[i64] = &[
    0, 1, 2, 3, 4, 10, 17, 32, 33, 100, 102, 104, 190, 200, 210, 250, 294, 299, 300, 341, 368, 506, 613, 803,
    2200, 2201, 80007, 80008, 130_403, 130_429, 130_472, 130_497, 131_000, 131_005, 131_008, 131_009,
    131_016, 131_021, 131_026, 131_031, 131_037, 131_042, 131_044, 131_045, 131_047, 131_048, 131_049,
    131_050, 131_051, 131_052, 131_053, 131_055, 131_056, 131_057, 131_059, 131_060, 131_063, 131_064,
    132_000, 132_001, 132_005, 132_007, 132_012, 132_015, 132_016, 132_018, 132_068, 132_069, 133_000,
    133_004, 133_005, 133_006, 133_008, 133_009, 133_010, 133_012, 133_015, 133_016, 134_011, 134_100,
    134_101, 134_102, 135_000, 136_024, 136_025, 137_000, 138_000, 138_018, 138_024, 138_025, 139_000,
    139_001, 139_100, 139_101, 139_102, 139_103, 141_000, 141_002, 141_006, 141_010, 147_001, 147_002,
    147_003, 147_004, 147_005, 200_000, 200_005, 200_006, 200_007, 1_752_041, 2_655_121, 2_593_079,
    2_593_085, 2_593_107, 2_593_108, 2_593_109,
];

const PAIRS: &[(i64, i64)] = &[
    (4, 2_446_079),
    (4, 2_446_080),
    (17, 2_446_079),
    (80_007, 2_446_079),
    (613, 1996),
    (100, 33),
    (100, 2_207_051),
    (100, 2_207_013),
    (100, 1_675_030),
    (100, 2_388_001),
    (100, 2_388_002),
    (100, 2_388_003),
    (100, 2_388_004),
    (100, 2_388_012),
    (100, 2_388_019),
    (100, 2_388_023),
    (100, 2_388_024),
    (100, 2_388_039),
    (100, 2_388_040),
    (100, 2_388_043),
    (100, 2_388_046),
    (100, 2_388_047),
    (100, 2_388_072),
    (100, 2_388_073),
    (100, 2_388_091),
    (100, 2_388_093),
    (100, 2_388_103),
    (100, 2_388_155),
    (100, 2_388_293),
    (100, 2_388_299),
    (100, 2_494_100),
    (100, 2_018_001),
    (190, 458),
    (190, 459),
    (190, 460),
    (190, 463),
    (190, 464),
    (190, 467),
    (190, 492),
    (200, 1_349_174),
    (200, 1_349_175),
    (200, 1_349_176),
];

fn matching(edge: Edge, code: i64, subcode: Option<i64>) -> Vec<(u8, bool)> {
    TABLE
        .iter()
        .filter(|entry| entry.edges.is_empty() || entry.edges.contains(&edge))
        .filter_map(|entry| Some((entry.key.rank(code, subcode)?, !entry.edges.is_empty())))
        .collect()
}

#[test]
fn every_code_that_meta_names_is_in_the_table() {
    for code in CODES {
        assert!(!matching(Edge::Register, *code, None).is_empty(), "{code} is missing");
    }
    for (code, subcode) in PAIRS {
        let rank = matching(Edge::Register, *code, Some(*subcode)).into_iter().max();
        assert!(rank.is_some_and(|(rank, _)| rank >= 2), "{code} / {subcode} has no row of its own");
    }
}

#[test]
fn no_error_has_two_rows_that_are_equally_exact() {
    let pairs = PAIRS.iter().map(|(code, subcode)| (*code, Some(*subcode)));
    let alone = CODES.iter().map(|code| (*code, None));
    for (code, subcode) in pairs.chain(alone) {
        for edge in Edge::ALL {
            let ranks = matching(edge, code, subcode);
            let best = ranks.iter().max().copied();
            let count = ranks.iter().filter(|rank| Some(**rank) == best).count();
            assert!(count <= 1, "{code} / {subcode:?} on {edge:?} has {count} rows");
        }
    }
    let rows: HashSet<_> = TABLE.iter().map(|entry| (entry.key.text(), entry.edges.len())).collect();
    assert_eq!(rows.len(), TABLE.len());
}

#[test]
fn the_most_exact_row_wins() {
    let class = |edge, code, subcode| classify(edge, code, subcode, false, 400);
    assert_eq!(class(Edge::AddNumber, 100, None), (Class::Spec, Scope::Channel));
    assert_eq!(class(Edge::Account, 100, Some(33)), (Class::Person, Scope::Account));
    assert_eq!(class(Edge::Register, 100, Some(33)), (Class::Person, Scope::Channel));
    assert_eq!(class(Edge::Business, 100, Some(33)), (Class::Person, Scope::Portfolio));
    assert_eq!(class(Edge::AddNumber, 100, Some(2_388_012)), (Class::AlreadyDone, Scope::Channel));
    assert_eq!(class(Edge::AddNumber, 2_388_012, None), (Class::AlreadyDone, Scope::Channel));
    assert_eq!(class(Edge::Register, 100, Some(2_388_001)), (Class::WaitUntil, Scope::Channel));
    assert_eq!(class(Edge::AddNumber, 100, Some(2_388_001)), (Class::Person, Scope::Channel));
    assert_eq!(class(Edge::Account, 200, None), (Class::Credentials, Scope::Account));
    assert_eq!(class(Edge::OwnedAccounts, 200, None), (Class::Credentials, Scope::Portfolio));
    assert_eq!(class(Edge::AddNumber, 200, Some(1_349_175)), (Class::Person, Scope::Portfolio));
    assert_eq!(class(Edge::Register, 131_031, None), (Class::Person, Scope::Channel));
    assert_eq!(class(Edge::Account, 131_031, None), (Class::Person, Scope::Account));
    assert_eq!(class(Edge::Account, 4, None), (Class::WaitUntil, Scope::App));
    assert_eq!(class(Edge::Numbers, 80_008, None), (Class::WaitUntil, Scope::Account));
}

#[test]
fn what_the_table_does_not_know_is_a_persons_matter_unless_the_server_failed() {
    assert_eq!(classify(Edge::Register, 987_654, None, false, 400).0, Class::Person);
    assert_eq!(classify(Edge::Register, 987_654, None, false, 500).0, Class::Retry);
    assert_eq!(classify(Edge::Register, 987_654, None, false, 403).0, Class::Credentials);
    assert_eq!(classify(Edge::Register, 987_654, None, true, 400).0, Class::Retry);
}

#[test]
fn transient_makes_a_retry_but_never_of_waits_and_credentials() {
    assert_eq!(classify(Edge::Register, 100, None, true, 400).0, Class::Retry);
    assert_eq!(classify(Edge::Register, 133_016, None, true, 400).0, Class::WaitUntil);
    assert_eq!(classify(Edge::Register, 190, Some(463), true, 400).0, Class::Credentials);
    assert_eq!(classify(Edge::AddNumber, 100, Some(2_388_012), true, 400).0, Class::AlreadyDone);
}

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
fn a_field_that_does_not_exist_is_named() {
    let named = |code: i64, message: &str| {
        let answer = json!({"error": {"code": code, "message": message}});
        Envelope::of(&answer).unwrap().unwrap().nonexisting_field().map(str::to_owned)
    };
    assert_eq!(named(100, "(#100) Tried accessing nonexisting field (foo)").as_deref(), Some("foo"));
    assert_eq!(
        named(100, "(#100) Tried accessing nonexisting field (foo) on node type (Bar)").as_deref(),
        Some("foo")
    );
    assert_eq!(named(100, "(#100) Invalid parameter (foo)"), None);
    assert_eq!(named(1, "Tried accessing nonexisting field (foo)"), None);
    assert_eq!(named(100, "nonexisting field foo"), None);
}

#[test]
fn a_wrong_proof_is_a_matter_of_credentials() {
    let answer =
        json!({"error": {"code": 100, "message": "Invalid appsecret_proof provided in the API argument"}});
    let read = refusal(&answer, Edge::Account);
    assert_eq!((read.class, read.scope), (Class::Credentials, Scope::Portfolio));
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
    let header = Some(after(at(), Duration::from_secs(7)));
    assert_eq!(until(133_009, "", header), Some(5 * 60));
    assert_eq!(until(133_016, "", header), Some(72 * 3600));
    assert_eq!(until(133_008, "Please try again after 30 minutes.", header), Some(1800));
    assert_eq!(until(80_007, "", header), Some(7));
    assert_eq!(until(80_007, "Please try again after 30 minutes.", header), Some(7));
    assert_eq!(until(133_010, "", None), None);
    assert_eq!(until(133_005, "try again in 5 minutes", None), None);
}

#[test]
fn texts_hold_no_tokens_no_codes_and_no_control_characters() {
    assert_eq!(redact("PIN 123456 is wrong", &[]), "PIN [redacted] is wrong");
    assert_eq!(redact("code 123-456.", &[]), "code [redacted].");
    assert_eq!(redact("pin=123456 2 attempts left", &[]), "pin=[redacted] attempts left");
    assert_eq!(redact("pin123456x", &[]), "pin[redacted]x");
    assert_eq!(redact("(#133016) too often", &[133_016]), "(#133016) too often");
    assert_eq!(
        redact("number +55 11 91234-5678 in 300000000000001", &[]),
        "number +55 11 91234-5678 in 300000000000001"
    );
    assert_eq!(redact("token EAAGm0PX4ZCpsBAKZC9 is bad", &[]), "token [redacted] is bad");
    assert_eq!(redact("secret 0123456789abcdef0123456789abcdef!", &[]), "secret [redacted]!");
    assert_eq!(redact("a\nb\u{7}c", &[]), "a b c");
    assert_eq!(redact(&"é".repeat(500), &[]).chars().count(), 301);
}
