//! What a bundle must not hold, blacked out wherever it stands.

use crate::{meta::error, telemetry::mask};

/// What stands for what was taken out.
const GONE: &str = "[redacted]";
/// Digits of a PIN, and of a code.
const DIGITS: usize = 6;
/// What stands before a value that is a secret whatever it looks like, in small letters and without `_`.
const KEYS: &[&str] = &["verifytoken", "accesstoken", "appsecret"];

/// A text without what looks like a secret of Meta's, and without the values of keys that hold secrets: Meta's words and what
/// others tell in events may repeat a whole call.
pub fn text(text: &str) -> String {
    without_values(&without_tokens(text))
}

/// A text without what looks like a token of Meta's, an app secret or a proof: `EAA` and much behind it, or 32 hex digits
/// and more in a row. What is called a trace id stays: the lines of one pass are found by it.
fn without_tokens(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let end = rest[start..].find(|c| !is_part(c)).map_or(rest.len(), |end| start + end);
        let word = &rest[start..end];
        clean.push_str(&rest[..start]);
        let key = clean.trim_end_matches(['=', ':', '"', '\\', ' ']);
        let is_trace = word.len() == 32 && key.ends_with("trace_id");
        let is_token = word.len() >= 20 && word.contains("EAA");
        let is_hex = !is_trace && word.split(|c: char| !c.is_ascii_hexdigit()).any(|run| run.len() >= 32);
        clean.push_str(if is_token || is_hex { GONE } else { word });
        rest = &rest[end..];
    }
    clean + rest
}

/// A text without the values of keys that hold secrets: of `key=value` and `key: value`, in quotes or not.
fn without_values(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_between = |c: char| matches!(c, '=' | ':' | '"' | '\'' | '\\' | ' ');
    let is_end = |c: char| matches!(c, '&' | '"' | '\'' | '\\' | ',' | ';' | '}' | ')') || c.is_whitespace();
    // Where a value ends whose quote was opened, itself escaped or not.
    let closed = |behind: &str, quote: char, is_escaped: bool| {
        let ends = behind.match_indices(quote).map(|(at, _)| at);
        let mut ends = ends.filter(|at| behind[..*at].ends_with('\\') == is_escaped);
        ends.next().map_or(behind.len(), |at| at - usize::from(is_escaped))
    };
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let end = rest[start..].find(|c| !is_part(c)).map_or(rest.len(), |end| start + end);
        let key = rest[start..end].replace('_', "").to_ascii_lowercase();
        let value = end + rest[end..].find(|c| !is_between(c)).unwrap_or(rest.len() - end);
        clean.push_str(&rest[..end]);
        rest = &rest[end..];
        if KEYS.contains(&key.as_str()) && rest[..value - end].contains(['=', ':']) {
            let (between, behind) = rest.split_at(value - end);
            clean.push_str(between);
            let quote = between.chars().last().filter(|last| matches!(last, '"' | '\''));
            let end = match quote {
                Some(quote) => closed(behind, quote, between[..between.len() - 1].ends_with('\\')),
                None => behind.find(is_end).unwrap_or(behind.len()),
            };
            clean.push_str(if end == 0 { "" } else { GONE });
            rest = &behind[end..];
        }
    }
    clean + rest
}

/// A line of a log, which anything may have written: without whole phone numbers, and without six digits that stand alone,
/// unless they are one of Meta's codes or a part of a time.
pub fn line(line: &str) -> String {
    let line = mask(&text(line));
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut clean = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while let Some(start) = rest.find(is_part) {
        let end = rest[start..].find(|c| !is_part(c)).map_or(rest.len(), |end| start + end);
        let word = &rest[start..end];
        clean.push_str(&rest[..start]);
        let is_fraction = clean.ends_with('.');
        let is_number = word.len() == DIGITS && word.bytes().all(|byte| byte.is_ascii_digit());
        let is_code = || word.parse().is_ok_and(|code| !error::meanings(code, None).is_empty());
        clean.push_str(if is_number && !is_fraction && !is_code() { GONE } else { word });
        rest = &rest[end..];
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_of_metas_is_blacked_out_and_nothing_else() {
        for (text, told) in [
            ("token EAAGm0PX4ZCpsBAJZBZA7abcdef refused", "token [redacted] refused"),
            ("key=0123456789abcdef0123456789abcdef;", "key=[redacted];"),
            ("1234567890|0123456789abcdef0123456789abcdef", "1234567890|[redacted]"),
            (
                "appsecret_proof=00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF&x=1",
                "appsecret_proof=[redacted]&x=1",
            ),
            ("key-0123456789abcdef0123456789abcdef refused", "[redacted] refused"),
            (
                "{\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"a\":\"0af7651916cd43dd8448eb211c80319c\"}",
                "{\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"a\":\"[redacted]\"}",
            ),
            (
                "name EAA Foods, uid 4f1c2a3e-aaaa-bbbb-cccc-0123456789ab",
                "name EAA Foods, uid 4f1c2a3e-aaaa-bbbb-cccc-0123456789ab",
            ),
            ("Açúcar \u{202e}", "Açúcar \u{202e}"),
            ("POST verify_token=sesame&x=1 failed", "POST verify_token=[redacted]&x=1 failed"),
            ("number +5511912345678, code 271828", "number +5511912345678, code 271828"),
        ] {
            assert_eq!(super::text(text), told);
        }
    }

    #[test]
    fn a_line_of_a_log_holds_no_number_no_pin_and_no_code_of_a_person() {
        for (written, told) in [
            ("number +5511912345678 added", "number +***5678 added"),
            ("{\"to\":\"5511912345678\"}", "{\"to\":\"***5678\"}"),
            ("pin=271828 refused", "pin=[redacted] refused"),
            ("{\"pin\":\"271828\",\"code\":136024}", "{\"pin\":\"[redacted]\",\"code\":136024}"),
            (
                "2026-03-01T12:00:03.123456Z account 300000000000001",
                "2026-03-01T12:00:03.123456Z account 300000000000001",
            ),
            ("Bearer EAAGm0PX4ZCpsBAJZBZA7abcdef", "Bearer [redacted]"),
            (
                "GET /?hub.verify_token=a-b.c%20d&hub.challenge=9",
                "GET /?hub.verify_token=[redacted]&hub.challenge=9",
            ),
            (
                "{\"verify_token\":\"Olá, \\\"mundo\\\"\",\"x\":1}",
                "{\"verify_token\":\"[redacted]\",\"x\":1}",
            ),
            (
                "{\"message\":\"{\\\"verify_token\\\": \\\"sesame\\\"}\"}",
                "{\"message\":\"{\\\"verify_token\\\": \\\"[redacted]\\\"}\"}",
            ),
            (
                "verifyToken: sesame refused, app_secret='short'",
                "verifyToken: [redacted] refused, app_secret='[redacted]'",
            ),
            (
                "when hub.verify_token is the one in webhook.verifyTokenSecretRef: name",
                "when hub.verify_token is the one in webhook.verifyTokenSecretRef: name",
            ),
            ("verify_token=", "verify_token="),
            ("span abc123456 of 1234567 bytes", "span abc123456 of 1234567 bytes"),
        ] {
            assert_eq!(line(written), told);
        }
    }
}
