//! Usernames: which of Meta's rules does one break, and why has a number not the desired one?

use crate::engine::{
    rule::upkeep::{Upkeep, upkeep, was_ever_in_sync},
    value::{desired::Desired, drift::USERNAME, memory::Memory},
};

/// Behind the username of a claim in the ledger: it was to be taken from another number.
const TRANSFER: &str = " force_transfer";

/// The first rule of Meta's that a username breaks, with what to do.
///
/// ```
/// use whatsapp_operator::engine::username::problem;
/// assert_eq!(problem("acme.suporte"), None);
/// assert_eq!(problem("Acme_Suporte2"), None, "capitals make no other username");
/// assert_eq!(problem("www.acme"), Some("begins with www; leave that out"));
/// ```
pub fn problem(name: &str) -> Option<&'static str> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
    let name = name.to_ascii_lowercase();
    let suffix = name.rsplit_once('.').map(|(_, suffix)| suffix);
    if !name.bytes().all(is_allowed) {
        Some("has other characters than a to z, 0 to 9, '.' and '_'; leave them out")
    } else if !(3..=35).contains(&name.len()) {
        Some("has not 3 to 35 characters; choose another one")
    } else if !name.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        Some("has no letter; add one")
    } else if name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        Some("has a period at an end, or two in a row; remove them")
    } else if name.starts_with("www") {
        Some("begins with www; leave that out")
    } else if suffix.is_some_and(|suffix| DOMAINS.contains(&suffix)) {
        Some("ends like a web address; leave the ending out")
    } else {
        None
    }
}

/// Endings of web addresses. Meta names .com as an example and publishes no list; these are the most usual ones.
const DOMAINS: [&str; 10] = ["com", "org", "net", "int", "edu", "gov", "mil", "us", "in", "html"];

/// What the ledger keeps of a claim.
pub(in crate::engine) fn subject(name: &str, transfer: bool) -> String {
    format!("{name}{}", if transfer { TRANSFER } else { "" })
}

/// The username of a claim that the ledger keeps.
pub(in crate::engine) fn claimed_in(subject: &str) -> &str {
    subject.strip_suffix(TRANSFER).unwrap_or(subject)
}

/// Why a number has not the desired username, and what that allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Lacks {
    /// It was found with another one, which it would lose to whoever claims it first.
    Found,
    /// It had the desired one and has none: Meta revoked it, or it was given away. Who has it now may keep it.
    Lost,
    Upkeep(Upkeep),
}

/// What a number that has not the desired username allows; `live` is the one that it has.
pub(in crate::engine) fn lacks(desired: &Desired, memory: &Memory, live: Option<&str>) -> Lacks {
    match (upkeep(desired, memory, USERNAME), live) {
        (Upkeep::Asked | Upkeep::Found, Some(_)) if !was_ever_in_sync(memory, USERNAME) => Lacks::Found,
        (Upkeep::Repair | Upkeep::Report | Upkeep::Contended { .. }, None) => Lacks::Lost,
        (upkeep, _) => Lacks::Upkeep(upkeep),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_a_rule_of_metas_is_told_and_what_keeps_them_is_not() {
        for name in ["abc", "acme.suporte", "acme_1", "1a.", "a".repeat(35).as_str(), "acme.com.br", "_ab"] {
            assert_eq!(problem(name).is_some(), name == "1a.", "{name}");
        }
        for (name, says) in [
            ("ab", "3 to 35"),
            (&"a".repeat(36), "3 to 35"),
            ("acme-suporte", "other characters"),
            ("açme", "other characters"),
            ("123_4", "no letter"),
            (".acme", "period"),
            ("acme..br", "period"),
            ("wwwacme", "www"),
            ("WWW.acme", "www"),
            ("acme.COM", "web address"),
        ] {
            assert!(problem(name).is_some_and(|why| why.contains(says)), "{name}: {:?}", problem(name));
        }
    }

    #[test]
    fn a_claim_is_known_by_its_username_whether_it_was_a_transfer_or_not() {
        for transfer in [false, true] {
            assert_eq!(claimed_in(&subject("acme.help", transfer)), "acme.help");
        }
        assert_ne!(subject("acme.help", true), subject("acme.help", false));
    }
}
