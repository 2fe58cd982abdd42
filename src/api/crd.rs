//! The CRDs, as they are committed, printed and checked against.
//!
//! Derived from the types, then made stricter where the derivation is lax: nothing is nullable (so that a
//! null is dropped, and `accountId: null` is the removal that a rule refuses), and conditions are bounded like
//! everything else. A new object has a status that says that nobody has seen it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::json;

use super::v1alpha1::{BEFORE, UNSEEN, WhatsAppChannel, WhatsAppPortfolio};

/// First line of every generated file.
pub(super) const GENERATED: &str = "make gen";

/// The CRD of channels.
pub fn channel_crd() -> CustomResourceDefinition {
    strict(WhatsAppChannel::crd())
}

/// The CRD of portfolios.
pub fn portfolio_crd() -> CustomResourceDefinition {
    strict(WhatsAppPortfolio::crd())
}

/// Every CRD, with the name of its file.
///
/// # Errors
///
/// Only when the CRD cannot be written as YAML, which a test rules out.
pub fn crds() -> Result<Vec<(&'static str, String)>, serde_saphyr::ser::Error> {
    [("whatsappchannels.yaml", channel_crd()), ("whatsappportfolios.yaml", portfolio_crd())]
        .into_iter()
        .map(|(file, crd)| {
            let yaml = serde_saphyr::to_string(&crd)?;
            Ok((file, format!("# Generated from src/api by: {GENERATED}\n{yaml}")))
        })
        .collect()
}

/// Annotation of a CRD that tells which schemas it has: their revision, a dot, and a sum over its own. The title of each schema
/// tells the same, which everybody may read.
pub const SCHEMA: &str = "whatsapp-operator.dev/schema";

/// Counts the changes of the schemas, so that of two that differ the newer is known. A test tells when to raise it.
const REVISION: u32 = 4;

/// How a CRD in the cluster fits the one of this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    Same,
    /// It is of a newer version, which names all that this one does.
    Newer(String),
    /// It is older, or somebody changed it.
    Other(String),
}

/// The schema of a CRD, as it is published.
fn published(crd: &CustomResourceDefinition) -> Option<&JSONSchemaProps> {
    crd.spec.versions.first()?.schema.as_ref()?.open_api_v3_schema.as_ref()
}

/// What the title of a schema says.
fn mark(schema: &JSONSchemaProps) -> Option<&str> {
    schema.title.as_deref()?.strip_prefix(SCHEMA)?.strip_prefix(": ")
}

/// Compares the schema that the API server publishes with that of this version: by its title, or, as schemas of older versions
/// have none, by the members that it names.
pub fn fit(ours: &CustomResourceDefinition, served: &JSONSchemaProps) -> Fit {
    let Some(ours) = published(ours) else { return Fit::Same };
    let Some(theirs) = mark(served) else {
        let (known, named) = (members(ours), members(served));
        let mut lacks = known.difference(&named);
        return match lacks.next() {
            None => Fit::Same,
            Some(first) => Fit::Other(format!("it does not name {first} and {} others", lacks.count())),
        };
    };
    if mark(ours) == Some(theirs) {
        return Fit::Same;
    }
    let revision = theirs.split('.').next().and_then(|revision| revision.parse::<u32>().ok());
    match revision {
        Some(newer) if newer > REVISION => {
            Fit::Newer(format!("its schema is revision {newer}, and this version has {REVISION}"))
        }
        Some(older) if older < REVISION => {
            Fit::Other(format!("its schema is revision {older}, and this version has {REVISION}"))
        }
        _ => Fit::Other(format!("the title of its schema says {theirs}")),
    }
}

/// The path of each member that a schema names.
fn members(schema: &JSONSchemaProps) -> BTreeSet<String> {
    fn collect(schema: &JSONSchemaProps, path: &str, found: &mut BTreeSet<String>) {
        for (name, property) in schema.properties.iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            collect(property, &path, found);
            found.insert(path);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
            collect(items, path, found);
        }
        if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
            collect(values, path, found);
        }
    }
    let mut found = BTreeSet::new();
    collect(schema, "", &mut found);
    found
}

/// A sum over what a CRD says, to tell two apart.
fn sum(crd: &CustomResourceDefinition) -> String {
    let spec = serde_json::to_vec(&crd.spec).unwrap_or_default();
    let digest = ring::digest::digest(&ring::digest::SHA256, &spec);
    digest.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn strict(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let Some(root) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) else {
            continue;
        };
        tighten(root);
        if let Some(status) = root.properties.as_mut().and_then(|p| p.get_mut("status")) {
            status.default = Some(JSON(json!({"observedGeneration": UNSEEN})));
            own_by_part(status);
            name_layout_before(status);
            take_drift_before(status);
        }
        let conditions = root
            .properties
            .as_mut()
            .and_then(|p| p.get_mut("status"))
            .and_then(|status| status.properties.as_mut())
            .and_then(|p| p.get_mut("conditions"));
        if let Some(conditions) = conditions {
            bound_conditions(conditions);
        }
    }
    let mark = format!("{REVISION}.{}", sum(&crd));
    for version in &mut crd.spec.versions {
        if let Some(root) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
            root.title = Some(format!("{SCHEMA}: {mark}"));
        }
    }
    crd.metadata.annotations = Some(BTreeMap::from([(SCHEMA.to_owned(), mark)]));
    crd
}

/// One writer owns a status, and writes each part of it whole. So the API server keeps who owns a part, and not who owns
/// each member of each condition: that would be as long as the status itself, in every object and in every write.
fn own_by_part(status: &mut JSONSchemaProps) {
    for part in status.properties.iter_mut().flat_map(|parts| parts.values_mut()) {
        let object = match &mut part.items {
            Some(JSONSchemaPropsOrArray::Schema(item)) => item,
            _ => part,
        };
        if object.type_.as_deref() == Some("object") {
            object.x_kubernetes_map_type = Some("atomic".to_owned());
        }
    }
}

/// After a rollback of the image alone an older version writes its statuses under this schema. What it says of drift has another
/// name, and no time; it is only shown, so nothing is asked of it.
fn take_drift_before(status: &mut JSONSchemaProps) {
    let drift = status.properties.as_mut().and_then(|parts| parts.get_mut("drift"));
    let Some(JSONSchemaPropsOrArray::Schema(item)) = drift.and_then(|drift| drift.items.as_mut()) else {
        return;
    };
    let Some(members) = item.properties.as_mut() else { return };
    if let Some(live) = members.get("live").cloned() {
        let description = Some("What an older version calls live.".to_owned());
        members.insert("observed".to_owned(), JSONSchemaProps { description, ..live });
    }
    item.required.iter_mut().for_each(|required| required.retain(|name| name != "live" && name != "since"));
}

/// What was remembered at the top of a status is read from there until it was moved. So the schema goes on naming it, and
/// asks nothing of what is in it.
fn name_layout_before(status: &mut JSONSchemaProps) {
    let Some(members) = status.properties.as_mut() else { return };
    let Some(memory) = members.get("memory").and_then(|memory| memory.properties.clone()) else { return };
    for name in BEFORE {
        let type_ = memory.get(name).and_then(|now| now.type_.clone());
        let open = JSONSchemaProps {
            description: Some("Of the layout before; read once and moved to memory.".to_owned()),
            x_kubernetes_preserve_unknown_fields: (type_.as_deref() == Some("object")).then_some(true),
            type_,
            ..JSONSchemaProps::default()
        };
        members.insert(name.to_owned(), open);
    }
}

/// Removes `nullable`, and the line breaks that come from the width of the source.
fn tighten(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(words) = &mut schema.enum_ {
        words.retain(|word| !word.0.is_null());
    }
    if let Some(text) = &mut schema.description {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    for property in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        tighten(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tighten(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tighten(values);
    }
}

/// The type of Kubernetes comes without lengths.
fn bound_conditions(conditions: &mut JSONSchemaProps) {
    let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut conditions.items else { return };
    for (name, property) in items.properties.iter_mut().flatten() {
        property.max_length = match name.as_str() {
            "type" | "status" | "reason" => Some(64),
            "message" => Some(8192),
            "lastTransitionTime" => Some(40),
            _ => None,
        };
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn the_yaml_is_read_back_as_the_crd() {
        let written = crds().expect("CRDs can be written");
        for ((_, yaml), crd) in written.iter().zip([channel_crd(), portfolio_crd()]) {
            let read: CustomResourceDefinition = serde_saphyr::from_str(yaml).expect("YAML");
            assert!(read == crd);
        }
    }

    /// A rule names the problem, then the remedy.
    #[test]
    fn every_rule_says_what_to_do() {
        fn walk(schema: &JSONSchemaProps, seen: &mut usize) {
            for rule in schema.x_kubernetes_validations.iter().flatten() {
                let message = rule.message.as_deref().unwrap_or_default();
                assert!(message.contains("; "), "{message}");
                *seen += 1;
            }
            for property in schema.properties.iter().flat_map(|p| p.values()) {
                walk(property, seen);
            }
            if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
                walk(items, seen);
            }
        }
        let mut seen = 0;
        for crd in [channel_crd(), portfolio_crd()] {
            let schema = crd.spec.versions[0].schema.clone().and_then(|s| s.open_api_v3_schema);
            walk(&schema.expect("a schema"), &mut seen);
        }
        assert!(seen > 30, "{seen}");
    }

    /// Of an object and everything in it: what is a closed list of words, and which objects lose unknown members.
    fn closed(schema: &JSONSchemaProps, path: &str, found: &mut Vec<String>) {
        if schema.enum_.is_some() {
            found.push(format!("{path} has closed words"));
        }
        if schema.properties.is_some() && schema.x_kubernetes_preserve_unknown_fields != Some(true) {
            found.push(format!("{path} loses members"));
        }
        for (name, property) in schema.properties.iter().flatten() {
            closed(property, &format!("{path}.{name}"), found);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
            closed(items, &format!("{path}[]"), found);
        }
        if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
            closed(values, &format!("{path}.*"), found);
        }
    }

    #[test]
    fn what_a_newer_version_remembers_is_neither_refused_nor_removed() {
        let schema = channel_crd().spec.versions[0].schema.clone().and_then(|s| s.open_api_v3_schema);
        let status = schema.and_then(|s| s.properties?.remove("status")).expect("a status");
        let mut found = Vec::new();
        closed(&status.properties.as_ref().expect("parts")["memory"], "memory", &mut found);
        assert!(found.is_empty(), "{found:#?}");
    }

    #[test]
    fn nothing_has_a_default_but_an_unseen_status_and_nothing_is_nullable() {
        for (file, yaml) in crds().expect("CRDs can be written") {
            assert!(!yaml.contains("nullable"), "{file}");
            assert_eq!(yaml.matches("default:").count(), 1, "{file}");
        }
        for crd in [channel_crd(), portfolio_crd()] {
            let schema = crd.spec.versions[0].schema.clone().and_then(|s| s.open_api_v3_schema);
            let status = &schema.and_then(|s| s.properties).expect("properties")["status"];
            assert_eq!(status.default, Some(JSON(json!({"observedGeneration": -1}))));
        }
    }

    #[test]
    fn a_changed_schema_is_a_newer_one() {
        let marks = [channel_crd(), portfolio_crd()]
            .map(|crd| crd.metadata.annotations.expect("a mark")[SCHEMA].clone());
        assert_eq!(
            marks,
            ["4.059d10d2671a", "4.fbd243d747d6"],
            "raise REVISION in src/api/crd.rs, and set revision and sums here"
        );
    }

    #[test]
    fn an_older_crd_does_not_fit_and_a_newer_one_does() {
        let ours = channel_crd();
        let marked = |mark: Option<&str>| {
            let title = mark.map(|mark| format!("{SCHEMA}: {mark}"));
            JSONSchemaProps { title, ..published(&ours).expect("a schema").clone() }
        };
        let says = |mark: &str| match fit(&ours, &marked(Some(mark))) {
            Fit::Same => "same".to_owned(),
            Fit::Newer(how) => format!("newer: {how}"),
            Fit::Other(how) => format!("other: {how}"),
        };
        assert_eq!(fit(&ours, published(&ours).expect("a schema")), Fit::Same);
        let this = format!("this version has {REVISION}");
        assert_eq!(says("0.aa"), format!("other: its schema is revision 0, and {this}"));
        assert_eq!(says("900.aa"), format!("newer: its schema is revision 900, and {this}"));
        for other in [format!("{REVISION}.aa"), "none".to_owned()] {
            assert_eq!(says(&other), format!("other: the title of its schema says {other}"));
        }
        // Without a title the members tell.
        assert_eq!(fit(&ours, &marked(None)), Fit::Same);
        let mut older = marked(None);
        let status =
            older.properties.as_mut().and_then(|members| members.get_mut("status")).expect("a status");
        status.properties.as_mut().expect("members").remove("format");
        let says = "it does not name status.format and 0 others";
        assert_eq!(fit(&ours, &older), Fit::Other(says.into()));
        let mut newer = marked(None);
        newer.properties.as_mut().expect("members").insert("transfer".to_owned(), JSONSchemaProps::default());
        assert_eq!(fit(&ours, &newer), Fit::Same, "one that names more fits");
    }
}
