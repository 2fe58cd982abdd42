//! The page about what commands print for programs, made from the types that are printed.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::{
    bundle::Bundle, code, consent, doctor, events, explain, finding::Report as Lint, fleet::Fleet, plan,
    portfolio, render::Printed, status, suspend, timeline, waiting,
};

/// The page, as Markdown.
pub fn output() -> String {
    let mut page = String::from(
        "<!-- Generated from src/cli by: make gen -->\n\n# What commands print for programs\n\n\
         With `-o json` or `-o yaml` a command prints one document. Its `apiVersion` is `whatsapp-operator.dev/v1alpha1`, and its \
         `kind` is below. Fields marked with * are always there; others are left out when there is nothing to tell. Within a \
         version fields may be added, and none is removed or changes its meaning. Times are in UTC, as in `2026-03-01T12:00:00Z`. \
         Text for people may change at any time.\n\n`status --watch -o json`, with a name or without, prints a document after each change.\n",
    );
    one::<Fleet>(&mut page, "status");
    one::<status::Report>(&mut page, "status NAME");
    one::<portfolio::Report>(&mut page, "status portfolio/NAME");
    one::<waiting::Report>(&mut page, "waiting");
    one::<consent::Answer>(
        &mut page,
        "send-code NAME`, `retry NAME`, `reconcile NAME`, `request-official-account NAME",
    );
    one::<consent::Answers>(&mut page, "send-code -l SELECTOR`, `retry -l SELECTOR`, `reconcile -l SELECTOR");
    one::<consent::Looked>(&mut page, "reconcile portfolio/NAME");
    one::<suspend::Report>(&mut page, "suspend`, `resume");
    one::<code::Answer>(&mut page, "code NAME");
    one::<events::Report>(&mut page, "events NAME");
    one::<timeline::Report>(&mut page, "timeline NAME");
    one::<Bundle>(&mut page, "support-bundle");
    one::<doctor::Report>(&mut page, "doctor");
    one::<plan::Report>(&mut page, "plan");
    one::<Lint>(&mut page, "lint");
    one::<explain::Explanation>(&mut page, "explain");
    page
}

fn one<T: Printed>(page: &mut String, command: &str) {
    // What is always written, which is less than what is always read.
    let settings =
        SchemaSettings::draft07().for_serialize().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let told = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let _ = write!(
        page,
        "\n## {}\n\nOf `{command}`. {}\n\n| Field | Type | Holds |\n|---|---|---|\n",
        T::KIND,
        told.replace('\n', " ")
    );
    fields(page, "", schema.as_value());
}

fn fields(page: &mut String, path: &str, schema: &Value) {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let star = if required.contains(&name.as_str()) { "*" } else { "" };
        let told =
            property["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let property = present(property);
        let _ = writeln!(page, "| `{path}`{star} | {} | {told} |", shape(property));
        fields(page, &path, property);
        if property["items"].is_object() {
            fields(page, &format!("{path}[]"), present(&property["items"]));
        }
        if property["additionalProperties"].is_object() {
            fields(page, &format!("{path}.*"), present(&property["additionalProperties"]));
        }
    }
}

/// What a field is when it is there.
fn present(schema: &Value) -> &Value {
    let other = |one: &&Value| one["type"] != "null";
    schema["anyOf"].as_array().and_then(|either| either.iter().find(other)).unwrap_or(schema)
}

fn shape(schema: &Value) -> String {
    let words = |one: &Value| -> Vec<String> {
        let of = one["enum"].as_array().into_iter().flatten().chain(one.get("const"));
        of.filter_map(Value::as_str).map(|word| format!("`{word}`")).collect()
    };
    let mut listed = words(schema);
    listed.extend(schema["oneOf"].as_array().into_iter().flatten().flat_map(words));
    if !listed.is_empty() {
        return listed.join(", ");
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    };
    match kind {
        Some("array") => format!("list of {}", shape(present(&schema["items"]))),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("map of {}", shape(present(&schema["additionalProperties"])))
        }
        kind => kind.unwrap_or("object").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_says_what_it_holds() {
        let page = output();
        let bare: Vec<&str> =
            page.lines().filter(|line| line.starts_with("| `") && line.ends_with("|  |")).collect();
        assert!(bare.is_empty(), "describe:\n{}", bare.join("\n"));
        assert!(page.contains("| `stages[].channels`* | integer | How many channels are there. |"), "{page}");
        // Left out where it is empty.
        assert!(page.contains("| `entries[].message` | string | A text for people. |"), "{page}");
    }
}
