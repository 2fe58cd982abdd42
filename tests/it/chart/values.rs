//! The table of values in the chart's README, from the comments in `values.yaml`, and that the schema knows the same values.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::chart;

const BEGIN: &str = "<!-- values: written by make gen from values.yaml -->\n";
const END: &str = "<!-- end of values -->\n";

fn defaults() -> (String, Value) {
    let text = fs::read_to_string(chart("values.yaml")).expect("the values are there");
    let values = serde_saphyr::from_str(&text).expect("YAML");
    (text, values)
}

/// The README with the table as it has to be.
pub fn readme() -> String {
    let text = fs::read_to_string(chart("README.md")).expect("the page is there");
    let (before, rest) = text.split_once(BEGIN).expect("the table begins somewhere");
    let (_, after) = rest.split_once(END).expect("and it ends");
    let (text, values) = defaults();
    let rows: String = rows(&text, &values)
        .into_iter()
        .map(|row| format!("| `{}` | `{}` | {} |\n", row.path.join("."), row.default, row.meaning))
        .collect();
    format!("{before}{BEGIN}| Value | Default | Meaning |\n|---|---|---|\n{rows}{END}{after}")
}

/// A value that has a comment.
struct Row {
    path: Vec<String>,
    default: Value,
    meaning: String,
}

/// Reads keys by their indentation; the comment of each is what stands right above it.
fn rows(text: &str, values: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    let (mut path, mut comment): (Vec<(usize, String)>, Vec<&str>) = Default::default();
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some(said) = trimmed.strip_prefix("# ") {
            comment.push(said);
        } else if let Some((key, _)) = trimmed.split_once(':').filter(|_| !trimmed.starts_with('-')) {
            let indent = line.len() - trimmed.len();
            path.retain(|(at, _)| *at < indent);
            path.push((indent, key.to_owned()));
            let path: Vec<String> = path.iter().map(|(_, key)| key.clone()).collect();
            if !comment.is_empty() {
                let default = values.pointer(&format!("/{}", path.join("/"))).expect("it has a default");
                rows.push(Row { path, default: default.clone(), meaning: comment.join(" ") });
            }
            comment.clear();
        } else {
            comment.clear();
        }
    }
    rows
}

/// The paths of everything that is no object, or an object without anything in it.
fn leaves(of: &Value, path: &str, into: &mut BTreeSet<String>) {
    match of.as_object().filter(|entries| !entries.is_empty()) {
        Some(entries) => {
            entries.iter().for_each(|(key, value)| leaves(value, &format!("{path}.{key}"), into));
        }
        None => _ = into.insert(path.to_owned()),
    }
}

#[test]
fn every_value_has_its_row_and_its_place_in_the_schema() {
    let (text, values) = defaults();
    let rows: Vec<String> =
        rows(&text, &values).iter().map(|row| format!(".{}", row.path.join("."))).collect();
    let mut all = BTreeSet::new();
    leaves(&values, "", &mut all);
    let is_in = |path: &str, row: &String| path == row || path.starts_with(&format!("{row}."));
    let missing: Vec<_> = all.iter().filter(|path| !rows.iter().any(|row| is_in(path, row))).collect();
    assert!(missing.is_empty(), "values without a comment: {missing:?}");

    let schema: Value =
        serde_json::from_str(&fs::read_to_string(chart("values.schema.json")).expect("it is there"))
            .expect("JSON");
    let mut differences = Vec::new();
    compare(&schema, &values, "", &mut differences);
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Of memory in MiB, as the chart and the page write it.
fn mebibytes(text: &str) -> u64 {
    let text = text.trim().trim_end_matches("Mi").trim_end_matches(" MiB");
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The comment on memory has the figures of the page that says how they came about.
#[test]
fn what_the_container_needs_is_what_was_measured() {
    let (text, values) = defaults();
    let of_resources = rows(&text, &values).into_iter().find(|row| row.path == ["resources"]);
    let of_resources = of_resources.expect("it has a comment");
    let meaning = of_resources.meaning;
    let page = fs::read_to_string(chart("../../docs/growing.md")).expect("the page is there");
    let measured = ["10,000", "100,000"].map(|channels| {
        let row = page.lines().find_map(|line| line.strip_prefix(&format!("| {channels} | ")));
        let memory = row.and_then(|rest| rest.split(" |").next()).expect("it was measured");
        let said = [format!("{memory} at rest with {channels}"), format!("{memory} with {channels}")];
        assert!(
            said.iter().any(|said| meaning.contains(said)),
            "{channels}: {memory}, and it says: {meaning}"
        );
        mebibytes(memory)
    });
    // The rule of the page, for what the chart gives by default, and for what its comment advises.
    assert!(page.contains("Set the memory limit to three times the figure at rest."));
    let set = |kind: &str| mebibytes(of_resources.default[kind]["memory"].as_str().expect("it is set"));
    let (_, advised) = meaning.split_once("a memory limit of ").expect("it advises one");
    let advised = mebibytes(advised.split(['.', ':', ' ']).next().expect("a figure"));
    assert!(set("limits") >= 3 * measured[0], "{} for {}", set("limits"), measured[0]);
    assert!(advised >= 3 * measured[1], "{advised} for {}", measured[1]);
    assert!(set("requests") >= measured[0], "{} for {}", set("requests"), measured[0]);
    assert!(set("requests") <= set("limits"));
}

/// Where the schema and the defaults do not have the same keys, or a key that nobody knows is taken.
fn compare(schema: &Value, values: &Value, path: &str, differences: &mut Vec<String>) {
    // Kubernetes' own objects are judged by the API server.
    let Some(known) = schema["properties"].as_object() else { return };
    if schema["additionalProperties"] != false {
        differences.push(format!("{path} takes any key"));
    }
    // What helm hands to every chart, and what was renamed.
    let is_apart = |key: &str| ["global"].contains(&key) || format!("{path}.{key}") == ".crds.install";
    let given: BTreeSet<&str> =
        values.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let known: BTreeSet<&str> = known.keys().map(String::as_str).filter(|key| !is_apart(key)).collect();
    differences.extend(known.symmetric_difference(&given).map(|key| format!("{path}.{key}")));
    for key in known.intersection(&given) {
        compare(&schema["properties"][key], &values[key], &format!("{path}.{key}"), differences);
    }
}
