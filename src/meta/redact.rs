//! Texts of Meta's, made fit to be shown: no token, no PIN, no code, no control character, and bounded.

/// Most characters of a text of Meta's that are kept.
const MOST_CHARACTERS: usize = 300;

/// Makes a text of Meta's fit to be shown: no tokens, nothing that may be a PIN or a code,
/// no control characters, and bounded.
///
/// Six digits that stand alone, or as 123-456, may be a PIN or a code; longer runs are numbers
/// and ids. `known` are the codes of the same error, which may stay.
pub fn redact(text: &str, known: &[i64]) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut out = String::with_capacity(clean.len());
    let mut rest = clean.as_str();
    while let Some(c) = rest.chars().next() {
        let word = match out.chars().next_back() {
            Some(before) if before.is_ascii_alphanumeric() => "",
            _ => rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or(""),
        };
        let taken = if is_token(word) {
            out.push_str(REDACTED);
            word.len()
        } else if c.is_ascii_digit() {
            let (run, groups) = digit_run(rest);
            out.push_str(if may_be_secret(&groups, known) { REDACTED } else { &rest[..run] });
            run
        } else {
            out.push(c);
            c.len_utf8()
        };
        rest = &rest[taken..];
    }
    let out = out.trim();
    match out.char_indices().nth(MOST_CHARACTERS) {
        None => out.to_owned(),
        Some((at, _)) => format!("{}…", out[..at].trim_end()),
    }
}

const REDACTED: &str = "[redacted]";

/// Takes a secret of ours out of a text; one that short says nothing, and would tear words apart.
pub fn hide(text: &mut String, secret: &str) {
    if secret.len() >= 4 && text.contains(secret) {
        *text = text.replace(secret, REDACTED);
    }
}

/// Groups of digits with a single space, hyphen or dot between them: length of the text, and the groups.
fn digit_run(text: &str) -> (usize, Vec<&str>) {
    let bytes = text.as_bytes();
    let (mut groups, mut start, mut at) = (Vec::new(), 0, 0);
    while let Some(b) = bytes.get(at) {
        if b.is_ascii_digit() {
            at += 1;
        } else if matches!(b, b' ' | b'-' | b'.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
            groups.push(&text[start..at]);
            at += 1;
            start = at;
        } else {
            break;
        }
    }
    groups.push(&text[start..at]);
    (at, groups)
}

/// Whether a run holds six digits that stand together, or is six digits in all.
fn may_be_secret(groups: &[&str], known: &[i64]) -> bool {
    let is_known = |group: &str| known.iter().any(|k| k.to_string() == group);
    groups.iter().any(|group| group.len() == 6 && !is_known(group))
        || (groups.len() > 1 && groups.iter().map(|group| group.len()).sum::<usize>() == 6)
}

/// Whether a word looks like a token: Meta's begin with EAA; of what else is that long, numbers and names are for people.
fn is_token(word: &str) -> bool {
    let is_number = word.bytes().all(|b| b.is_ascii_digit());
    (word.starts_with("EAA") && word.len() > 12) || (word.len() >= 32 && !is_number && !is_name(word))
}

/// The name of a field or an edge: words in small letters with underscores between them, none longer than a word is.
fn is_name(word: &str) -> bool {
    let is_word = |part: &str| (1..=16).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_lowercase());
    word.contains('_') && word.split('_').all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for token in [
            "EAAowned_whatsapp_business_accounts",
            "abcdefghijklmnopqrstuvwxyzabcdefghijkl",
            "abcdefghijklmnopqrstuvwxyz_abcdefghijkl",
            "owned_whatsapp_business_accounts_7f3a",
            "Owned_Whatsapp_Business_Accounts_Xq",
            "_owned_whatsapp_business_accounts",
            "a1b2c3d4_e5f6_a7b8_c9d0_e1f2a3b4c5d6",
        ] {
            assert_eq!(redact(&format!("see {token}."), &[]), "see [redacted].");
        }
        for name in ["owned_whatsapp_business_accounts", "whatsapp_business_manager_messaging_limit"] {
            let text = format!("(#100) Tried accessing nonexisting field ({name}) on node type (User)");
            assert_eq!(redact(&text, &[]), text);
        }
        assert_eq!(redact("a\nb\u{7}c", &[]), "a b c");
        assert_eq!(redact(&"é".repeat(500), &[]).chars().count(), 301);
    }
}
