//! The CRDs, as they are committed, printed and checked against.
//!
//! Derived from the types, then made stricter where the derivation is lax: nothing is nullable (so that a
//! null is dropped, and `accountId: null` is the removal that a rule refuses), and conditions are bounded like
//! everything else. A new object has a status that says that nobody has seen it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::json;

use super::v1alpha1::{UNSEEN, WhatsAppChannel, WhatsAppPortfolio};

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

fn strict(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let Some(root) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) else {
            continue;
        };
        tighten(root);
        if let Some(status) = root.properties.as_mut().and_then(|p| p.get_mut("status")) {
            status.default = Some(JSON(json!({"observedGeneration": UNSEEN})));
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
    crd
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
        for part in ["ledger", "inFlight", "consents", "marks"] {
            closed(&status.properties.as_ref().expect("parts")[part], part, &mut found);
        }
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
}
