//! Phone numbers in lines of a log: all but the last four digits are hidden.
//!
//! It reads finished lines, so a number is hidden wherever it comes from: a field, a message of Meta's, the name of an object.

/// Digits that stay.
const SHOWN: usize = 4;
/// A number with a plus has this many digits, or more.
const WITH_PLUS: usize = 7;
/// A number without a plus. Ids of Meta's have 15 digits or more, and codes of errors seven or fewer.
const BARE: std::ops::RangeInclusive<usize> = 10..=14;
/// What precedes one in the name of a ConfigMap, where it may be as short or as long as a spec allows.
const NAMED: &str = "whatsapp-attempts";
const IN_NAME: std::ops::RangeInclusive<usize> = 8..=15;

/// The line with the phone numbers in it hidden: `+***5678`.
pub fn mask(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let plus = ["+", "%2B", "%2b"].into_iter().find(|plus| rest.starts_with(plus));
        let taken = match plus {
            Some(plus) => with_plus(&rest[plus.len()..]).map(|(taken, last)| {
                out.push_str(plus);
                (plus.len() + taken, last)
            }),
            None if c.is_ascii_digit() => Some(bare(rest, &out)),
            None => None,
        };
        rest = match taken {
            Some((taken, Some(last))) => {
                out.push_str("***");
                out.push_str(&last);
                &rest[taken..]
            }
            Some((taken, None)) => {
                out.push_str(&rest[..taken]);
                &rest[taken..]
            }
            None => {
                out.push(c);
                &rest[c.len_utf8()..]
            }
        };
    }
    out
}

/// The number at the beginning, as people write it: `55 (11) 91234-5678`. Its length in the text, and its last digits.
fn with_plus(text: &str) -> Option<(usize, Option<String>)> {
    let mut digits = String::new();
    let mut end = 0;
    for (at, c) in text.char_indices() {
        match c {
            '0'..='9' => {
                digits.push(c);
                end = at + 1;
            }
            // At most two of these stand between digits, as in ") ".
            ' ' | '-' | '.' | '(' | ')' | '\u{a0}' if !digits.is_empty() && at < end + 3 => {}
            _ => break,
        }
    }
    (digits.len() >= WITH_PLUS).then(|| (end, Some(digits[digits.len() - SHOWN..].to_owned())))
}

/// The run of digits at the beginning, and what stays of it where it may be a number.
fn bare(text: &str, told: &str) -> (usize, Option<String>) {
    let length = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let joins = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    // A dash goes before the digits of a number in the name of an object.
    let is_apart = told.chars().next_back().is_none_or(|c| c == '-' || !joins(c));
    let mut after = text[length..].chars();
    let is_end =
        after.next().is_none_or(|c| !joins(c) || (c == '.' && after.next().is_none_or(|c| !joins(c))));
    // The business may stand before the number.
    let name = told.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let is_named = told.ends_with('-') && name.ends_with(NAMED);
    let lengths = if is_named { IN_NAME } else { BARE };
    let is_number = lengths.contains(&length) && is_apart && is_end;
    (length, is_number.then(|| text[length - SHOWN..length].to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_number_the_last_four_digits_stay_however_it_is_written() {
        for (line, told) in [
            ("number=+5511912345678 next=1", "number=+***5678 next=1"),
            ("+55 11 91234-5678, please", "+***5678, please"),
            ("+1 (555) 010-0100.", "+***0100."),
            ("/search?n=%2B5511912345678&x", "/search?n=%2B***5678&x"),
            ("\"5511912345678\"", "\"***5678\""),
            ("phone 5511912345678.", "phone ***5678."),
            (
                "configmaps \"whatsapp-attempts-5511912345678\" not found",
                "configmaps \"whatsapp-attempts-***5678\" not found",
            ),
            (
                "configmaps \"whatsapp-attempts-500000000000001-5511912345678\" not found",
                "configmaps \"whatsapp-attempts-500000000000001-***5678\" not found",
            ),
            ("whatsapp-attempts-37631234 is", "whatsapp-attempts-***1234 is"),
            (
                "whatsapp-attempts-500000000000001-376312345: no",
                "whatsapp-attempts-500000000000001-***2345: no",
            ),
            ("whatsapp-attempts-123456789012345", "whatsapp-attempts-***2345"),
            ("E164(\"+5511912345678\")", "E164(\"+***5678\")"),
        ] {
            assert_eq!(mask(line), told);
        }
    }

    #[test]
    fn what_is_no_number_stays() {
        for line in [
            "2026-11-29T20:50:45.123456Z  INFO reconcile{namespace=shop channel=support}: 3 + 4",
            "account=300000000000001 phone=1059545589544271",
            "refused 100/2388103: no",
            "intent=00c0ffee12345678-1 trace_id=0af7651916cd43dd8448eb211c80319c",
            "uid 3f2504e0-4f89-1234-9a0c-0305e82c3301",
            "elapsed_ms=1234567",
            "whatsapp-attempts-500000000000001-code",
            "another-37631234",
            "1234567890.5 and 10.96.0.1",
            "é+a",
        ] {
            assert_eq!(mask(line), line);
        }
    }
}
