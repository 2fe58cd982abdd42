//! Checks a document against a CRD as the API server does: types, required and unknown fields, lengths,
//! enums, the object's metadata, and the rules; each finding with its place.
//!
//! Unknown fields are errors, since kubectl asks the API server for strict checks.

mod metadata;

use jiff::civil::DateTime;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::core::cel::Validator;
use serde_json::{Number, Value};

use super::{
    lint::{Finding, Severity},
    source::{Content, Document, Node, Position},
};

/// Checks a document as if it were created.
pub fn check(crd: &CustomResourceDefinition, document: &Document) -> Vec<Finding> {
    let mut check = Check::new(crd, document);
    check.must_be_new();
    check.run(None)
}

/// Checks a document as if it replaced `old`.
pub fn check_update(crd: &CustomResourceDefinition, old: &Document, new: &Document) -> Vec<Finding> {
    Check::new(crd, new).run(Some(old.root.json()))
}

struct Check<'a> {
    crd: &'a CustomResourceDefinition,
    document: &'a Document,
    findings: Vec<Finding>,
    /// A value has another type than its field, so rules cannot be judged.
    mistyped: bool,
}

impl<'a> Check<'a> {
    fn new(crd: &'a CustomResourceDefinition, document: &'a Document) -> Self {
        Self { crd, document, findings: Vec::new(), mistyped: false }
    }

    fn run(mut self, old: Option<Value>) -> Vec<Finding> {
        let crd = self.crd;
        let version = crd
            .spec
            .versions
            .iter()
            .find(|v| self.document.api_version() == format!("{}/{}", crd.spec.group, v.name));
        let Some(version) = version else {
            let known: Vec<_> =
                crd.spec.versions.iter().map(|v| format!("{}/{}", crd.spec.group, v.name)).collect();
            self.error(
                "apiVersion",
                self.document.position("apiVersion"),
                format!("{} has no version {}", crd.spec.names.kind, self.document.api_version()),
                format!("write {}", known.join(" or ")),
            );
            return self.findings;
        };
        let Some(schema) = version.schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref()) else {
            return self.findings;
        };
        let root = &self.document.root;
        self.root(schema, root);
        if !self.mistyped {
            self.rules(schema, root, old.as_ref());
        }
        self.findings.sort_by(|a, b| (a.line, a.column, &a.path).cmp(&(b.line, b.column, &b.path)));
        self.findings.dedup();
        self.findings
    }

    fn error(&mut self, path: &str, at: Position, message: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(Finding::new(self.document, Severity::Error, path, at, message, remedy));
    }

    fn root(&mut self, schema: &JSONSchemaProps, root: &Node) {
        let Content::Map(entries) = &root.content else { return };
        let properties = schema.properties.as_ref();
        let mut known: Vec<&str> = properties.iter().flat_map(|p| p.keys()).map(String::as_str).collect();
        known.extend(["apiVersion", "kind", "metadata"]);
        for entry in entries {
            match entry.key.as_str() {
                "apiVersion" | "kind" => {}
                "metadata" => self.metadata(&entry.value),
                // The API server drops it unread, but for the fields that it does not know.
                "status" => {
                    self.findings.push(Finding::new(
                        self.document,
                        Severity::Warning,
                        "status",
                        entry.at,
                        "is ignored; only the operator writes it",
                        "remove it",
                    ));
                    self.strangers(properties.and_then(|p| p.get("status")), "status", &entry.value);
                }
                key => match properties.and_then(|p| p.get(key)) {
                    Some(property) => self.field(schema, property, key, key, &entry.value),
                    None => self.unknown(key, key, entry.at, &known),
                },
            }
        }
        if root.get("metadata").is_none() {
            self.error("metadata.name", root.at, "is missing", "add metadata with a name");
        }
        self.required(schema, "", root);
    }

    fn required(&mut self, schema: &JSONSchemaProps, path: &str, node: &Node) {
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
    fn strangers(&mut self, schema: Option<&JSONSchemaProps>, path: &str, node: &Node) {
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

    fn unknown(&mut self, path: &str, key: &str, at: Position, known: &[&str]) {
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
    fn field(
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
                self.not_text(path, node.at, text, value)
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

    fn not_text(&mut self, path: &str, at: Position, text: &str, value: &Value) {
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

    fn rules(&mut self, schema: &JSONSchemaProps, root: &Node, old: Option<&Value>) {
        let Ok(schema) = serde_json::to_value(schema) else { return };
        let mut object = root.json();
        // Rules see the object with its name, which the API server gives before it asks them.
        if let Some(name) = metadata::generated_name(root) {
            object["metadata"]["name"] = Value::String(name);
        }
        let Err(broken) = Validator::new().validate(&schema, &object, old) else { return };
        for error in broken.into_vec() {
            let path = error.field_path.trim_start_matches('.').to_owned();
            let (message, remedy) = match error.message.split_once("; ") {
                Some((message, remedy)) => (message.to_owned(), remedy.to_owned()),
                None => (error.message.clone(), "change the value as the message says".to_owned()),
            };
            let at = self.document.position(&path);
            self.error(&path, at, message, remedy);
        }
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

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// A value in a message: short, and on one line.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(64).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// The word that is meant, if one is near enough.
pub(super) fn closest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let word = word.to_lowercase();
    known
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let far = distance(&word, &lower);
            let begun = word.len() >= 4 && lower.starts_with(&word);
            (begun || far <= 2.max(lower.chars().count() / 3)).then_some((far, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits between two words; words longer than a field's name are far apart.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(65).collect(), b.chars().collect());
    if a.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
