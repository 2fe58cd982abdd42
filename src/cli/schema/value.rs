//! Checks values against their schemas: types, required and unknown fields, lengths, enums, times.
//!
//! It knows nothing of the object around them: neither its metadata nor the rules across its fields.

use jiff::civil::DateTime;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::{Number, Value};

use crate::cli::{
    finding::{Finding, Severity},
    source::{Content, Document, Node, Position},
    word::{closest, shown},
};

/// The check of one document, with what it has found so far.
pub(super) struct Check<'a> {
    pub(super) document: &'a Document,
    pub(super) findings: Vec<Finding>,
    /// A value has another type than its field, so rules cannot be judged.
    pub(super) mistyped: bool,
}

impl<'a> Check<'a> {
    pub(super) fn new(document: &'a Document) -> Self {
        Self { document, findings: Vec::new(), mistyped: false }
    }

    pub(super) fn error(
        &mut self,
        path: &str,
        at: Position,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.findings.push(Finding::new(self.document, Severity::Error, path, at, message, remedy));
    }

    pub(super) fn required(&mut self, schema: &JSONSchemaProps, path: &str, node: &Node) {
        let Content::Map(entries) = &node.content else { return };
        for name in schema.required.iter().flatten() {
            if !entries.iter().any(|entry| entry.key == *name) {
                let path = join(path, name);
                let what = schema
                    .properties
                    .as_ref()
                    .and_then(|p| p.get(name))
                    .and_then(|p| p.description.as_deref())
                    .and_then(|d| d.split_once('.').map_or(Some(d), |(first, _)| Some(first)))
                    .unwrap_or_default();
                self.mistyped = true;
                self.error(&path, node.at, "is missing", format!("add it: {}", lower_first(what)));
            }
        }
    }

    /// Unknown fields, wherever they stand, of what is not checked otherwise.
    pub(super) fn strangers(&mut self, schema: Option<&JSONSchemaProps>, path: &str, node: &Node) {
        let properties = schema.and_then(|schema| schema.properties.as_ref());
        match &node.content {
            Content::Scalar { .. } => {}
            Content::List(items) => {
                let of = match schema.and_then(|schema| schema.items.as_ref()) {
                    Some(JSONSchemaPropsOrArray::Schema(of)) => Some(of.as_ref()),
                    _ => None,
                };
                for (at, item) in items.iter().enumerate() {
                    self.strangers(of, &format!("{path}[{at}]"), item);
                }
            }
            Content::Map(entries) => {
                let known: Vec<&str> = properties.iter().flat_map(|p| p.keys()).map(String::as_str).collect();
                for entry in entries {
                    let below = join(path, &entry.key);
                    let others = schema.and_then(|schema| schema.additional_properties.as_ref());
                    match (properties.and_then(|p| p.get(&entry.key)), others) {
                        (Some(of), _) => self.strangers(Some(of), &below, &entry.value),
                        (None, Some(JSONSchemaPropsOrBool::Schema(of))) => {
                            self.strangers(Some(of), &below, &entry.value);
                        }
                        (None, _) => self.unknown(&below, &entry.key, entry.at, &known),
                    }
                }
            }
        }
    }

    pub(super) fn unknown(&mut self, path: &str, key: &str, at: Position, known: &[&str]) {
        let remedy = match closest(key, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None if known.is_empty() => "remove it".to_owned(),
            None => {
                let mut known = known.to_vec();
                known.sort_unstable();
                format!("remove it; known here: {}", known.join(", "))
            }
        };
        self.error(path, at, "is not a known field", remedy);
    }

    /// A field of a map. One without a value is dropped by the API server before anything is checked.
    pub(super) fn field(
        &mut self,
        parent: &JSONSchemaProps,
        schema: &JSONSchemaProps,
        key: &str,
        path: &str,
        node: &Node,
    ) {
        let is_required = parent.required.iter().flatten().any(|name| name == key);
        if !is_required && matches!(node.content, Content::Scalar { value: Value::Null, .. }) {
            self.findings.push(Finding::new(
                self.document,
                Severity::Warning,
                path,
                node.at,
                "is empty, which is the same as leaving it out",
                "give it a value, or remove the line",
            ));
            return;
        }
        self.value(schema, path, node);
    }

    fn value(&mut self, schema: &JSONSchemaProps, path: &str, node: &Node) {
        if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
            return;
        }
        match (schema.type_.as_deref(), &node.content) {
            (_, Content::Scalar { value: Value::Null, .. }) => {
                self.mistyped = true;
                self.error(path, node.at, "is empty", "give it a value, or remove the line");
            }
            (Some("object"), Content::Map(_)) => self.object(schema, path, node),
            (Some("array"), Content::List(items)) => self.list(schema, path, node, items),
            (Some("string"), Content::Scalar { value: Value::String(text), .. }) => {
                self.text(schema, path, node.at, text);
            }
            (Some("string"), Content::Scalar { text, value, .. }) => {
                self.not_text(path, node.at, text, value);
            }
            (Some("boolean"), Content::Scalar { value: Value::Bool(_), .. }) => {}
            (Some("boolean"), Content::Scalar { text, plain, .. }) => {
                self.mistyped = true;
                let remedy = if !plain && (text == "true" || text == "false") {
                    "remove the quotes"
                } else {
                    "write true or false"
                };
                self.error(path, node.at, format!("is {}, not true or false", shown(text)), remedy);
            }
            (Some("integer"), Content::Scalar { value: Value::Number(n), .. }) if is_integer(n) => {}
            (wanted, content) => {
                self.mistyped = true;
                let is = match content {
                    Content::Map(_) => "a map",
                    Content::List(_) => "a list",
                    Content::Scalar { .. } => "a single value",
                };
                let wanted = match wanted {
                    Some("object") => "a map of fields",
                    Some("array") => "a list",
                    Some("string") => "a text",
                    Some("boolean") => "true or false",
                    _ => "a whole number",
                };
                self.error(path, node.at, format!("is {is}, not {wanted}"), format!("write {wanted} here"));
            }
        }
    }

    pub(super) fn not_text(&mut self, path: &str, at: Position, text: &str, value: &Value) {
        self.mistyped = true;
        let is = match value {
            Value::Bool(true) => "is read as true",
            Value::Bool(false) => "is read as false",
            _ => "is a number",
        };
        self.error(path, at, is, format!("put it in quotes: \"{text}\""));
    }

    fn text(&mut self, schema: &JSONSchemaProps, path: &str, at: Position, text: &str) {
        if let Some(words) = &schema.enum_ {
            let words: Vec<_> = words.iter().filter_map(|w| w.0.as_str()).collect();
            if !words.contains(&text) {
                let list = words.join(", ");
                let remedy = match closest(text, words.iter().copied()) {
                    Some(near) => format!("did you mean {near}? Allowed: {list}"),
                    None => format!("choose one of {list}"),
                };
                self.error(path, at, format!("is {}, which is not allowed", shown(text)), remedy);
            }
            return;
        }
        let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        if let Some(least) = schema.min_length
            && length < least
        {
            let (is, remedy) = if length == 0 {
                ("is empty".to_owned(), "give it a value, or remove the line".to_owned())
            } else {
                (format!("has {length} characters"), format!("use at least {least}"))
            };
            self.error(path, at, is, remedy);
        }
        if let Some(most) = schema.max_length
            && length > most
        {
            self.error(path, at, format!("has {length} characters"), format!("use at most {most}"));
        }
        if schema.format.as_deref() == Some("date-time") && !is_time(text) {
            self.mistyped = true;
            self.error(
                path,
                at,
                format!("is {}, not a point in time", shown(text)),
                "write it as in \"2026-01-31T12:00:00Z\"",
            );
        }
    }

    fn list(&mut self, schema: &JSONSchemaProps, path: &str, node: &Node, items: &[Node]) {
        let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
        if let Some(least) = schema.min_items
            && count < least
        {
            self.error(path, node.at, "is an empty list", "add an entry, or remove the field");
        }
        if let Some(most) = schema.max_items
            && count > most
        {
            self.error(path, node.at, format!("has {count} entries"), format!("use at most {most}"));
        }
        if let Some(JSONSchemaPropsOrArray::Schema(of)) = &schema.items {
            for (at, item) in items.iter().enumerate() {
                self.value(of, &format!("{path}[{at}]"), item);
            }
        }
    }

    fn object(&mut self, schema: &JSONSchemaProps, path: &str, node: &Node) {
        let Content::Map(entries) = &node.content else { return };
        let known: Vec<&str> = schema.properties.iter().flat_map(|p| p.keys()).map(String::as_str).collect();
        for entry in entries {
            let below = join(path, &entry.key);
            match (schema.properties.as_ref().and_then(|p| p.get(&entry.key)), &schema.additional_properties)
            {
                (Some(property), _) => self.field(schema, property, &entry.key, &below, &entry.value),
                (None, Some(JSONSchemaPropsOrBool::Schema(of))) => self.value(of, &below, &entry.value),
                (None, _) => self.unknown(&below, &entry.key, entry.at, &known),
            }
        }
        self.required(schema, path, node);
    }
}

fn is_integer(number: &Number) -> bool {
    // A float without a fraction is sent as an integer.
    number.is_i64() || number.as_f64().is_some_and(|n| n.fract() == 0.0 && n.abs() < 2_f64.powi(63))
}

/// Whether the API server takes it for a time: RFC 3339 with capitals, and always with an offset.
fn is_time(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked("2026-01-31T12:00:00".len()) else { return false };
    let shape = date.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    let offset = match rest.strip_prefix(['.', ',']) {
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if offset.len() == fraction.len() {
                return false;
            }
            offset
        }
        None => rest,
    };
    let offset_is_one = match offset.as_bytes() {
        b"Z" => true,
        [b'+' | b'-', a, b, b':', c, d] => {
            [a, b, c, d].iter().all(|byte| byte.is_ascii_digit())
                && (a, b) <= (&b'2', &b'4')
                && (c, d) <= (&b'6', &b'0')
        }
        _ => false,
    };
    // A leap second is a time to us and none to the API server.
    shape && offset_is_one && !date.ends_with(":60") && date.parse::<DateTime>().is_ok()
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
