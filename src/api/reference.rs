//! The reference of the kinds, made from the CRDs, so that it cannot say anything else.

use std::fmt::Write;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use super::crd::{GENERATED, channel_crd, portfolio_crd};

/// The reference, as Markdown.
pub fn reference() -> String {
    let mut page = format!(
        "<!-- Generated from src/api by: {GENERATED} -->\n\n# Reference of the kinds\n\n\
         Fields marked with * are required. No field of a spec has a default in the cluster: an unset field \
         is not managed, or means what its description says. The status of a new object says \
         `observedGeneration: -1`: no operator has seen it yet.\n"
    );
    for crd in [channel_crd(), portfolio_crd()] {
        kind(&mut page, &crd);
    }
    page
}

fn kind(page: &mut String, crd: &CustomResourceDefinition) {
    let names = &crd.spec.names;
    let short = names.short_names.as_deref().unwrap_or_default().join(", ");
    for version in &crd.spec.versions {
        let Some(root) = version.schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref()) else {
            continue;
        };
        let _ = write!(
            page,
            "\n## {}\n\n`{}/{}`, short name `{short}`. {}\n",
            names.kind,
            crd.spec.group,
            version.name,
            root.description.as_deref().unwrap_or_default()
        );
        rules(page, "metadata", root);
        for part in ["spec", "status"] {
            let Some(mut schema) = root.properties.as_ref().and_then(|p| p.get(part)).cloned() else {
                continue;
            };
            let memory = schema.properties.as_mut().and_then(|members| members.remove("memory"));
            table(page, &format!("{} {part}", names.kind), "", &schema);
            rules(page, part, &schema);
            // What people read stands first.
            if let Some(memory) = memory {
                table(page, &format!("{} {part}.memory", names.kind), "memory", &memory);
            }
        }
    }
}

fn table(page: &mut String, title: &str, path: &str, schema: &JSONSchemaProps) {
    let told = schema.description.as_deref().unwrap_or_default();
    let _ = write!(page, "\n### {title}\n\n{told}\n\n| Field | Type | Description |\n|---|---|---|\n");
    fields(page, path, schema);
}

fn fields(page: &mut String, path: &str, schema: &JSONSchemaProps) {
    let required = schema.required.as_deref().unwrap_or_default();
    for (name, property) in schema.properties.iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let star = if required.contains(name) { "*" } else { "" };
        let mut text = literal(property.description.as_deref().unwrap_or_default());
        for rule in property.x_kubernetes_validations.iter().flatten() {
            if let Some(message) = &rule.message {
                let _ = write!(text, "<br>Rule: {}.", literal(message));
            }
        }
        let _ = writeln!(page, "| `{path}`{star} | {} | {text} |", shape(property));
        fields(page, &path, property);
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &property.items {
            fields(page, &format!("{path}[]"), items);
        }
        if let Some(JSONSchemaPropsOrBool::Schema(values)) = &property.additional_properties {
            fields(page, &format!("{path}.*"), values);
        }
    }
}

/// Rules that stand on the object itself and not on a field.
fn rules(page: &mut String, what: &str, schema: &JSONSchemaProps) {
    let messages: Vec<_> =
        schema.x_kubernetes_validations.iter().flatten().filter_map(|r| r.message.as_ref()).collect();
    if messages.is_empty() {
        return;
    }
    let _ = writeln!(page, "\nRules on `{what}`:\n");
    for message in messages {
        let _ = writeln!(page, "- {}.", literal(message));
    }
}

/// A text that Markdown shows as it is, in a cell too: `<channel>` is no element.
fn literal(text: &str) -> String {
    text.replace('<', "&lt;").replace('|', "\\|")
}

/// Type, format and bounds of a field, in a few words.
fn shape(schema: &JSONSchemaProps) -> String {
    if let Some(words) = &schema.enum_ {
        let words: Vec<_> = words.iter().filter_map(|w| w.0.as_str()).map(|w| format!("`{w}`")).collect();
        return words.join(", ");
    }
    let mut text = match (schema.type_.as_deref(), &schema.items, &schema.additional_properties) {
        (Some("array"), Some(JSONSchemaPropsOrArray::Schema(items)), _) => {
            format!("list of {}", items.type_.as_deref().unwrap_or("object"))
        }
        (_, _, Some(JSONSchemaPropsOrBool::Schema(values))) => {
            format!("map of {}", values.type_.as_deref().unwrap_or("object"))
        }
        (_, _, _) if schema.format.as_deref() == Some("date-time") => return "time".into(),
        (kind, _, _) => kind.unwrap_or("object").to_owned(),
    };
    let bounds = match schema.type_.as_deref() {
        Some("string") => (schema.min_length, schema.max_length, "characters"),
        Some("array") => (schema.min_items, schema.max_items, "entries"),
        _ => (None, None, ""),
    };
    match bounds {
        (Some(least), Some(most), unit) => {
            let _ = write!(text, ", {least} to {most} {unit}");
        }
        (None, Some(most), unit) => {
            let _ = write!(text, ", at most {most} {unit}");
        }
        _ => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::reference;
    use crate::engine::reason::TABLE;

    fn fields() -> BTreeSet<String> {
        let page = reference();
        let paths = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        paths
            .flat_map(|path| path.split('.').map(|name| name.trim_matches(['*', '[', ']']).to_owned()))
            .collect()
    }

    /// Words in camel case, and those that are set: `suspend: false`.
    fn named(text: &str) -> Vec<String> {
        let words: Vec<&str> = text.split([' ', ',', ';', '(', ')']).collect();
        let mut names = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let name = word.trim_end_matches(['.', ':']);
            let is_camel = name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.contains(|c: char| c.is_ascii_uppercase());
            let value = words.get(at + 1).filter(|_| word.ends_with(':')).map(|v| v.trim_end_matches('.'));
            if is_camel || matches!(value, Some("true" | "false")) {
                names.extend(name.split('.').map(str::to_owned));
            }
        }
        names
    }

    #[test]
    fn what_a_reason_tells_to_set_is_there_to_be_set() {
        let mut known = fields();
        known.extend(["spec".to_owned(), "status".to_owned()]);
        assert!(known.contains("pinPolicy") && !known.contains("pictureUri"), "{known:?}");
        let mut seen = 0;
        for row in TABLE {
            for name in [row.meaning, row.remedy].into_iter().flat_map(named) {
                assert!(known.contains(&name), "{}: there is no field {name}", row.name);
                seen += 1;
            }
        }
        assert!(seen > 10, "{seen}");
    }
}
