//! What the API server checks of every object, whatever its kind: its metadata.

use std::sync::LazyLock;

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::value::{Check, join};
use crate::cli::{
    finding::{Finding, Severity},
    source::{Content, Node},
    word::shown,
};

/// What the API server appends to `generateName`, and how much of that it keeps.
const GENERATED: &str = "xxxxx";
const MOST_GENERATED: usize = 63 - GENERATED.len();
/// Most bytes of all annotations of an object.
const MOST_ANNOTATIONS: usize = 256 * 1024;

impl Check<'_> {
    pub(super) fn metadata(&mut self, node: &Node) {
        let Content::Map(entries) = &node.content else {
            self.mistyped = true;
            self.error("metadata", node.at, "is not a map of fields", "write a map with a name");
            return;
        };
        let schema = &*METADATA;
        let properties = schema.properties.as_ref();
        let known: Vec<&str> = properties.iter().flat_map(|p| p.keys()).map(String::as_str).collect();
        for entry in entries {
            let path = join("metadata", &entry.key);
            match (entry.key.as_str(), properties.and_then(|p| p.get(&entry.key))) {
                // The API server takes an empty one for none; whether it can do without is judged below.
                ("name" | "generateName" | "namespace", _) if is_blank(&entry.value) => {}
                ("name", _) => self.name(&path, &entry.value, str::to_owned),
                ("generateName", _) => self.name(&path, &entry.value, masked),
                ("namespace", _) => {
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
                ("labels" | "annotations", _) => self.pairs(&path, &entry.key, &entry.value),
                (key, Some(property)) => self.field(schema, property, key, &path, &entry.value),
                (key, None) => self.unknown(&path, key, entry.at, &known),
            }
        }
        let given = |key: &str| node.get(key).is_some_and(|value| !is_blank(value));
        match (given("name"), given("generateName")) {
            (true, _) => {}
            (false, false) => {
                self.mistyped = true;
                let (at, is) = node.get("name").map_or((node.at, "is missing"), |name| (name.at, "is empty"));
                self.error("metadata.name", at, is, "give the object a name");
            }
            (false, true) => self.generate_name(node),
        }
        if !self.mistyped {
            self.finalizers(node);
            self.owners(node);
        }
    }

    /// What the API server refuses in an object that is not there yet.
    pub(super) fn must_be_new(&mut self) {
        let version = self.document.root.get("metadata").and_then(|metadata| metadata.get("resourceVersion"));
        if let Some(version) = version
            && version.as_str().is_some_and(|version| !version.is_empty())
        {
            self.error(
                "metadata.resourceVersion",
                version.at,
                "is for objects that are there already, and this one would be refused where it is not",
                "remove the line, as from anything that kubectl get printed",
            );
        }
    }

    fn name(&mut self, path: &str, node: &Node, shape: fn(&str) -> String) {
        let Some(name) = self.string(path, node) else { return };
        let shape = shape(name);
        if shape.len() > 253 || !is_dns_name(&shape) {
            self.error(
                path,
                node.at,
                format!("is {}, which cannot be a name", shown(name)),
                "use lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
            );
        }
    }

    /// An object that gets its name from the API server.
    fn generate_name(&mut self, metadata: &Node) {
        let Some((prefix, at)) = metadata.get("generateName").and_then(|n| Some((n.as_str()?, n.at))) else {
            return;
        };
        if is_dns_name(&masked(prefix)) && !is_dns_name(&generated(prefix)) {
            self.error(
                "metadata.generateName",
                at,
                format!("is {}, which no name can start with", shown(prefix)),
                "end it with a letter, a digit or one '-' after those",
            );
        }
        self.findings.push(Finding::new(
            self.document,
            Severity::Warning,
            "metadata.generateName",
            at,
            "gives another name, and so another object, each time",
            "use kubectl create, since kubectl apply refuses it; or give the object a name",
        ));
    }

    fn finalizers(&mut self, metadata: &Node) {
        let Some(Content::List(items)) = metadata.get("finalizers").map(|node| &node.content) else { return };
        let names: Vec<_> = items.iter().filter_map(|item| Some((item.at, item.as_str()?))).collect();
        for (n, (at, name)) in names.iter().enumerate() {
            if !is_qualified(name) {
                self.error(
                    &format!("metadata.finalizers[{n}]"),
                    *at,
                    format!("is {}, which cannot be a finalizer", shown(name)),
                    "write a domain, '/' and a name",
                );
            }
        }
        let has = |wanted: &str| names.iter().any(|(_, name)| *name == wanted);
        if has("orphan") && has("foregroundDeletion") {
            let at = self.document.position("metadata.finalizers");
            self.error(
                "metadata.finalizers",
                at,
                "has both orphan and foregroundDeletion",
                "keep one of them",
            );
        }
    }

    fn owners(&mut self, metadata: &Node) {
        let Some(Content::List(owners)) = metadata.get("ownerReferences").map(|node| &node.content) else {
            return;
        };
        let mut controllers = 0;
        for (n, owner) in owners.iter().enumerate() {
            let path = format!("metadata.ownerReferences[{n}]");
            let text = |key: &str| owner.get(key).and_then(Node::as_str).unwrap_or_default();
            for key in ["kind", "name", "uid"] {
                if text(key).is_empty() {
                    let path = join(&path, key);
                    let at = self.document.position(&path);
                    self.error(&path, at, "is empty", "name the owner as kubectl get -o yaml shows it");
                }
            }
            let version = text("apiVersion");
            if version.matches('/').count() > 1 || version.rsplit('/').next().is_none_or(str::is_empty) {
                let path = join(&path, "apiVersion");
                let at = self.document.position(&path);
                self.error(
                    &path,
                    at,
                    format!("is {}, which is none", shown(version)),
                    "write it as in apps/v1",
                );
            }
            if text("kind") == "Event" && matches!(version, "v1" | "/v1") {
                self.error(&path, owner.at, "is an Event, which owns nothing", "name another owner");
            }
            let controls = owner.get("controller").map(|node| &node.content);
            controllers +=
                usize::from(matches!(controls, Some(Content::Scalar { value: Value::Bool(true), .. })));
        }
        if controllers > 1 {
            let at = self.document.position("metadata.ownerReferences");
            self.error(
                "metadata.ownerReferences",
                at,
                format!("has {controllers} controllers"),
                "leave controller: true to one of them",
            );
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
            let is_key = match what {
                "annotations" => is_qualified(&entry.key.to_ascii_lowercase()),
                _ => is_qualified(&entry.key),
            };
            if !is_key {
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
        let bytes: usize =
            entries.iter().map(|entry| entry.key.len() + entry.value.as_str().map_or(0, str::len)).sum();
        if what == "annotations" && bytes > MOST_ANNOTATIONS {
            self.error(
                path,
                node.at,
                format!("has {bytes} bytes, keys included"),
                format!("use at most {MOST_ANNOTATIONS}"),
            );
        }
    }
}

/// The schema of metadata, which a CRD does not hold.
static METADATA: LazyLock<JSONSchemaProps> = LazyLock::new(metadata_schema);

fn metadata_schema() -> JSONSchemaProps {
    let inline = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    let mut schema = inline.into_generator().into_root_schema_for::<ObjectMeta>();
    // Whose fields these are is a tree of any names.
    if let Some(fields) = schema.pointer_mut("/properties/managedFields/items/properties/fieldsV1") {
        fields["x-kubernetes-preserve-unknown-fields"] = Value::Bool(true);
    }
    serde_json::from_value(schema.to_value()).unwrap_or_default()
}

/// Whether a value is the same as none to the API server.
fn is_blank(node: &Node) -> bool {
    match &node.content {
        Content::Scalar { value: Value::Null, .. } => true,
        Content::Scalar { value: Value::String(text), .. } => text.is_empty(),
        Content::Scalar { .. } | Content::List(_) | Content::Map(_) => false,
    }
}

/// The name that the API server gives an object with `generateName` alone, but for its last characters.
pub(super) fn generated_name(root: &Node) -> Option<String> {
    let metadata = root.get("metadata")?;
    if metadata.get("name").is_some_and(|name| !is_blank(name)) {
        return None;
    }
    metadata.get("generateName")?.as_str().map(generated)
}

fn generated(prefix: &str) -> String {
    prefix.chars().take(MOST_GENERATED).chain(GENERATED.chars()).collect()
}

/// A prefix as the API server judges it: a hyphen at its end does not end the name.
fn masked(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => {
            let kept: String = rest.chars().take(rest.chars().count() - 1).collect();
            kept + "a"
        }
        _ => prefix.to_owned(),
    }
}

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
