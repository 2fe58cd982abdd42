//! Checks a document against a CRD as the API server does: types, required and unknown fields, lengths,
//! enums, the object's metadata, and the rules; each finding with its place.
//!
//! Unknown fields are errors, since kubectl asks the API server for strict checks.

mod metadata;
mod value;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
};
use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use serde_json::Value;

use super::{
    finding::{Finding, Severity},
    source::{Content, Document, Node},
};

use value::Check;

/// A kind, with the rules of each of its versions, ready to be asked.
pub struct Kind {
    pub crd: CustomResourceDefinition,
    rules: Vec<CompiledSchema>,
}

impl Kind {
    pub fn of(crd: CustomResourceDefinition) -> Self {
        let compiled = |version: &CustomResourceDefinitionVersion| {
            let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
            compile_schema(&serde_json::to_value(schema).unwrap_or_default())
        };
        Self { rules: crd.spec.versions.iter().map(compiled).collect(), crd }
    }
}

thread_local! {
    static VALIDATOR: Validator = Validator::new();
}

/// Checks a document as if it were created.
pub fn check(kind: &Kind, document: &Document) -> Vec<Finding> {
    let mut check = Check::new(document);
    check.must_be_new();
    check.run(kind, None)
}

/// Checks a document as if it replaced `old`.
pub fn check_update(kind: &Kind, old: &Document, new: &Document) -> Vec<Finding> {
    Check::new(new).run(kind, Some(old.root.json()))
}

impl Check<'_> {
    fn run(mut self, kind: &Kind, old: Option<Value>) -> Vec<Finding> {
        let crd = &kind.crd;
        let mut versions = crd.spec.versions.iter().zip(&kind.rules);
        let version = versions.find(|(version, _)| {
            self.document.api_version() == format!("{}/{}", crd.spec.group, version.name)
        });
        let Some((version, rules)) = version else {
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
            self.rules(rules, root, old.as_ref());
        }
        self.findings.sort_by(|a, b| (a.line, a.column, &a.path).cmp(&(b.line, b.column, &b.path)));
        self.findings.dedup();
        self.findings
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

    fn rules(&mut self, rules: &CompiledSchema, root: &Node, old: Option<&Value>) {
        let mut object = root.json();
        // Rules see the object with its name, which the API server gives before it asks them.
        if let Some(name) = metadata::generated_name(root) {
            object["metadata"]["name"] = Value::String(name);
        }
        let judged = VALIDATOR.with(|validator| validator.validate_compiled(rules, &object, old));
        let Err(broken) = judged else { return };
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
