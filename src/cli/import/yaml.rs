//! Values as YAML that everybody reads alike: whatever could be taken for something else stands between quotes.

use serde_json::Value;

use crate::escape;

/// Words that some readers of YAML take for booleans or nothing.
const RESERVED: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// The lines of a value, in block style. Keys are ours, and plain.
pub fn lines(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) if !map.is_empty() => map
            .iter()
            .flat_map(|(key, value)| match inline(value) {
                Some(text) => vec![format!("{key}: {text}")],
                None => std::iter::once(format!("{key}:"))
                    .chain(lines(value).into_iter().map(|line| format!("  {line}")))
                    .collect(),
            })
            .collect(),
        Value::Array(list) if !list.is_empty() => list
            .iter()
            .flat_map(|value| {
                let mut marks = std::iter::once("- ").chain(std::iter::repeat("  "));
                lines(value)
                    .into_iter()
                    .map(move |line| format!("{}{line}", marks.next().unwrap_or_default()))
            })
            .collect(),
        value => inline(value).into_iter().collect(),
    }
}

/// A value that fits behind its key.
fn inline(value: &Value) -> Option<String> {
    match value {
        Value::Object(map) => map.is_empty().then(|| "{}".to_owned()),
        Value::Array(list) => list.is_empty().then(|| "[]".to_owned()),
        Value::String(text) if is_plain(text) => Some(text.clone()),
        Value::String(text) => Some(escape::yaml(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
    }
}

/// Whether nobody can take it for anything but this text.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
        && !RESERVED.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::cli::source;

    fn read(value: &Value) -> Value {
        let text = format!("{}\n", lines(value).join("\n"));
        let source = source::parse("m.yaml", &text);
        assert!(source.errors.is_empty(), "{:?}\n{text}", source.errors);
        let ours = source.documents[0].root.json();
        let theirs: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(ours, theirs, "two readers of YAML\n{text}");
        ours
    }

    #[test]
    fn hostile_texts_stay_texts() {
        for text in [
            "no",
            "Y",
            "~",
            "",
            " ",
            "!!str x",
            "!ruby",
            "&a",
            "*a",
            "- a",
            "a: b",
            "a #b",
            "{a}",
            "[a]",
            "'",
            "\"",
            "\\",
            "|",
            ">",
            "%",
            "@",
            "`",
            "---",
            "...",
            "1e3",
            "0x1f",
            "+5511912345678",
            "2026-01-01",
            "null",
            "a\nb: c",
            "a\r\n---\nkind: Secret",
            "\u{1b}]0;x\u{7}",
            "\u{202e}evil",
            "\u{feff}",
            "\u{fffe}\u{ffff}",
            "\u{85}\u{2028}\u{2029}",
            "\u{0}",
            "\u{e0001}",
            "\t",
            "🎉 Açúcar 株式会社",
        ] {
            let value =
                json!({"a": text, "list": [text, {"x": text, "more": [text]}], "none": {}, "empty": []});
            let printed = lines(&value).join("\n");
            assert!(!printed.chars().any(|c| escape::acts(c) && c != '\n'), "{printed:?}");
            assert_eq!(read(&value), value, "{text:?}");
        }
    }

    #[test]
    fn plain_words_need_no_quotes() {
        let value =
            json!({"apiVersion": "whatsapp-operator.dev/v1alpha1", "spec": {"suspend": true, "id": "1"}});
        assert_eq!(
            lines(&value),
            ["apiVersion: whatsapp-operator.dev/v1alpha1", "spec:", "  id: \"1\"", "  suspend: true"]
        );
    }

    proptest! {
        #[test]
        fn every_text_is_read_back(text in any::<String>()) {
            let value = json!({"spec": {"displayName": text}});
            prop_assert_eq!(read(&value), value);
        }
    }
}
