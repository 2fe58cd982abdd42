//! What codes mean and what texts may say.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

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
    147_003, 147_004, 147_005, 200_000, 200_005, 200_006, 200_007, 1_752_041, 2_655_093, 2_655_094,
    2_655_121, 2_655_122, 2_593_079, 2_593_085, 2_593_107, 2_593_108, 2_593_109, 3_441_041, 3_441_042,
    3_441_045, 3_441_049, 4_563_015,
];

const PAIRS: &[(i64, i64)] = &[
    (4, 2_446_079),
    (4, 2_446_080),
    (17, 2_446_079),
    (80_007, 2_446_079),
    (613, 1996),
    (100, 33),
    (100, 36_007),
    (200_000, 3_095_008),
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
        .filter(|entry| entry.calls.contain(edge))
        .filter_map(|entry| Some((entry.key.rank(code, subcode)?, entry.calls != Calls::All)))
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
    let rows: HashSet<_> = TABLE.iter().map(|entry| (entry.key.text(), entry.calls.names())).collect();
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
