//! Checks a document against a CRD as the API server does: types, required and unknown fields, lengths,
//! enums, the object's metadata, and the rules; each finding with its place.
//!
//! Unknown fields are errors, since kubectl asks the API server for strict checks.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::core::cel::Validator;
use serde_json::Value;

use super::{
    lint::{Finding, Severity},
    source::{Content, Document, Node, Position},
};

/// Checks a document as if it were created.
pub fn check(crd: &CustomResourceDefinition, document: &Document) -> Vec<Finding> {
    Check::new(crd, document).run(None)
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
                "status" => self.findings.push(Finding::new(
                    self.document,
                    Severity::Warning,
                    "status",
                    entry.at,
                    "is ignored; only the operator writes it",
                    "remove it",
                )),
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

    fn unknown(&mut self, path: &str, key: &str, at: Position, known: &[&str]) {
        let remedy = match closest(key, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
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
            (Some("integer"), Content::Scalar { value: Value::Number(n), .. })
                if n.is_i64() || n.is_u64() => {}
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
        let Err(broken) = Validator::new().validate(&schema, &root.json(), old) else { return };
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

    // ---- metadata: what the API server checks of every object ----

    fn metadata(&mut self, node: &Node) {
        let Content::Map(entries) = &node.content else {
            self.mistyped = true;
            self.error("metadata", node.at, "is not a map of fields", "write a map with a name");
            return;
        };
        for entry in entries {
            let path = join("metadata", &entry.key);
            match entry.key.as_str() {
                "name" | "generateName" => {
                    if let Some(name) = self.string(&path, &entry.value) {
                        let shape = if entry.key == "name" { name } else { name.trim_end_matches('-') };
                        if name.len() > 253 || !is_dns_name(shape) {
                            self.error(
                                &path,
                                entry.value.at,
                                format!("is {}, which cannot be a name", shown(name)),
                                "use lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
                            );
                        }
                    }
                }
                "namespace" => {
                    if let Some(name) = self.string(&path, &entry.value)
                        && (name.len() > 63 || name.contains('.') || !is_dns_name(name))
                    {
                        self.error(
                            &path,
                            entry.value.at,
                            format!("is {}, which cannot be the name of a namespace", shown(name)),
                            "use lower-case letters, digits and '-', with a letter or digit at both ends",
                        );
                    }
                }
                "labels" | "annotations" => self.pairs(&path, &entry.key, &entry.value),
                key if METADATA.contains(&key) => {}
                key => self.unknown(&path, key, entry.at, METADATA),
            }
        }
        if node.get("name").is_none() && node.get("generateName").is_none() {
            self.mistyped = true;
            self.error("metadata.name", node.at, "is missing", "give the object a name");
        }
    }

    fn string<'n>(&mut self, path: &str, node: &'n Node) -> Option<&'n str> {
        match &node.content {
            Content::Scalar { value: Value::String(text), .. } => return Some(text),
            Content::Scalar { value: Value::Null, .. } => {
                self.mistyped = true;
                self.error(path, node.at, "is empty", "give it a value, or remove the line");
            }
            Content::Scalar { text, value, .. } => self.not_text(path, node.at, text, value),
            Content::List(_) | Content::Map(_) => {
                self.mistyped = true;
                self.error(path, node.at, "is not a single value", "write a text here");
            }
        }
        None
    }

    fn pairs(&mut self, path: &str, what: &str, node: &Node) {
        let entries = match &node.content {
            Content::Map(entries) => entries,
            Content::Scalar { value: Value::Null, .. } => return,
            _ => {
                self.mistyped = true;
                self.error(path, node.at, "is not a map", "write keys and values, each value in quotes");
                return;
            }
        };
        for entry in entries {
            let below = format!("{path}.{}", entry.key);
            if !is_qualified(&entry.key.to_ascii_lowercase()) {
                self.error(
                    &below,
                    entry.at,
                    "has a key that Kubernetes does not take",
                    "use letters, digits, '-', '_' and '.', at most 63, after an optional prefix and '/'",
                );
            }
            if matches!(entry.value.content, Content::Scalar { value: Value::Null, .. }) {
                continue;
            }
            let Some(value) = self.string(&below, &entry.value) else { continue };
            if what == "labels" && !(value.is_empty() || is_label(value)) {
                self.error(
                    &below,
                    entry.value.at,
                    format!("is {}, which cannot be a label's value", shown(value)),
                    "use at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends",
                );
            }
        }
    }
}

/// Fields of metadata.
const METADATA: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

fn is_dns_name(name: &str) -> bool {
    name.split('.').all(|part| {
        let bytes = part.as_bytes();
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
    })
}

fn is_label(value: &str) -> bool {
    let bytes = value.as_bytes();
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_qualified(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => prefix.len() <= 253 && is_dns_name(prefix) && is_label(name),
        None => is_label(key),
    }
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
