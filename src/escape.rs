//! Texts of others, as they may stand on a terminal and in a log: what would be obeyed or not be seen is written out.

use std::{borrow::Cow, fmt::Write as _};

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Whether a character does something instead of being seen: it moves the cursor, ends a line, turns the direction of
/// what follows, or has no width. Two are no characters at all, and no text of YAML may hold them.
pub fn acts(c: char) -> bool {
    !c.is_ascii_graphic()
        && (matches!(c, '\u{fffe}' | '\u{ffff}')
            || matches!(
                c.general_category(),
                GeneralCategory::Control
                    | GeneralCategory::Format
                    | GeneralCategory::LineSeparator
                    | GeneralCategory::ParagraphSeparator
            ))
}

/// On one line of text: `\u{202e}`, and `\n` for a newline.
///
/// ```
/// use whatsapp_operator::escape;
/// assert_eq!(escape::line("Acme\u{1b}[2J\u{202e}"), r"Acme\u{1b}[2J\u{202e}");
/// assert_eq!(escape::line("Açúcar & Cia 株式会社"), "Açúcar & Cia 株式会社");
/// ```
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, acts, |c, to| to.extend(c.escape_default()))
}

/// In JSON, where they stand only in strings and mean the same: `\u202e`. Newlines between values stay.
///
/// ```
/// use whatsapp_operator::escape;
/// assert_eq!(escape::json("{\n\"a\": \"\u{202e}\u{e0001}\"\n}"), "{\n\"a\": \"\\u202e\\udb40\\udc01\"\n}");
/// ```
pub fn json(text: &str) -> Cow<'_, str> {
    replaced(
        text,
        |c| acts(c) && c != '\n',
        |c, to| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // A text takes everything.
                let _ = write!(to, "\\u{unit:04x}");
            }
        },
    )
}

/// In JSON that is read as YAML, as the API server reads what is applied: there some of them are refused, others end a
/// line, and two escapes in a row are no character. What is beyond 16 bits stands as it is.
///
/// ```
/// use whatsapp_operator::escape;
/// assert_eq!(escape::applied("{\"a\": \"\u{9b}\u{2028}\u{feff}\u{e0001}é\"}"), "{\"a\": \"\\u009b\\u2028\\ufeff\u{e0001}é\"}");
/// ```
pub fn applied(text: &str) -> Cow<'_, str> {
    replaced(
        text,
        |c| acts(c) && c != '\n' && c <= '\u{ffff}',
        |c, to| {
            // A text takes everything.
            let _ = write!(to, "\\u{:04x}", u32::from(c));
        },
    )
}

/// As a text of YAML between quotes, which every reader of YAML takes for the same text.
///
/// ```
/// use whatsapp_operator::escape;
/// assert_eq!(escape::yaml("a \"b\" \\ \u{202e}\n\u{e0001}"), r#""a \"b\" \\ \u202e\u000a\U000e0001""#);
/// ```
pub fn yaml(text: &str) -> String {
    let told = replaced(
        text,
        |c| acts(c) || matches!(c, '"' | '\\'),
        |c, to| {
            // A text takes everything.
            let _ = match u32::from(c) {
                _ if matches!(c, '"' | '\\') => write!(to, "\\{c}"),
                code @ ..=0xffff => write!(to, "\\u{code:04x}"),
                code => write!(to, "\\U{code:08x}"),
            };
        },
    );
    format!("\"{told}\"")
}

fn replaced(text: &str, is_meant: impl Fn(char) -> bool, by: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.chars().any(&is_meant) {
        return Cow::Borrowed(text);
    }
    let mut told = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_meant(c) { by(c, &mut told) } else { told.push(c) }
    }
    Cow::Owned(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_nobody_sees_is_written_out() {
        let acting = [
            '\0',
            '\u{7}',
            '\u{8}',
            '\t',
            '\n',
            '\r',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{9d}',
            '\u{ad}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202b}',
            '\u{202c}',
            '\u{202d}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2067}',
            '\u{2068}',
            '\u{2069}',
            '\u{feff}',
            '\u{fffe}',
            '\u{ffff}',
            '\u{e0041}',
        ];
        for c in acting {
            let told = line(&format!("a{c}b")).into_owned();
            assert!(!told.chars().any(acts) && told.starts_with("a\\"), "{c:?}: {told}");
            let given = serde_json::json!({ "a": format!("x{c}") }).to_string();
            let told = json(&given);
            assert!(!told.chars().any(acts), "{c:?}: {told}");
            let read: serde_json::Value = serde_json::from_str(&told).expect("JSON");
            assert_eq!(read.to_string(), given, "the same is meant");
        }
    }

    #[test]
    fn what_people_read_stays_as_it_is() {
        for text in [
            "Acme Suporte",
            "São João & Filhos",
            "株式会社アクメ",
            "أكمي للتجارة",
            "e\u{301}",
            "🎉 ★ ™",
            "a\u{a0}b",
            "\\n",
        ] {
            assert_eq!(line(text), text);
            assert_eq!(json(text), text);
        }
    }
}
