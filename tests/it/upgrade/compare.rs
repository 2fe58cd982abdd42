//! Compares two CRDs, and says what an object of the older one may have that the newer one does not take.

use serde_json::{Map, Value, json};

/// May be lower than before, and must not be higher.
const LEAST: [&str; 4] = ["minLength", "minItems", "minProperties", "minimum"];
/// May be higher than before, and must not be lower.
const MOST: [&str; 4] = ["maxLength", "maxItems", "maxProperties", "maximum"];
/// May be dropped, and must not be added or changed.
const DROPPABLE: [&str; 8] = [
    "pattern",
    "format",
    "multipleOf",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "uniqueItems",
    "not",
    "oneOf",
];
/// May be added, and must not be dropped or changed.
const ADDABLE: [&str; 3] =
    ["nullable", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"];
/// Must stay.
const FIXED: [&str; 8] = [
    "type",
    "allOf",
    "anyOf",
    "default",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
];
/// Looked at on their own.
const WALKED: [&str; 6] =
    ["properties", "items", "additionalProperties", "required", "enum", "x-kubernetes-validations"];
/// Decide nothing.
const WORDS: [&str; 4] = ["description", "title", "example", "externalDocs"];

/// What a newer CRD takes away, by path.
pub fn crd_changes(name: &str, older: &Value, newer: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for part in ["group", "scope", "names"] {
        let (was, is) = (&older["spec"][part], &newer["spec"][part]);
        if was != is {
            found.push(format!("{name}: {part} is {is}, and was {was}"));
        }
    }
    for was in items(&older["spec"]["versions"]) {
        let version = &was["name"];
        let Some(is) = items(&newer["spec"]["versions"]).iter().find(|is| is["name"] == *version) else {
            found.push(format!("{name}: version {version} is gone"));
            continue;
        };
        for part in ["served", "storage", "subresources"] {
            if was[part] != is[part] {
                found.push(format!("{name}: {part} of {version} is {}, and was {}", is[part], was[part]));
            }
        }
        let schema = "openAPIV3Schema";
        changes(name, &was["schema"][schema], &is["schema"][schema], &mut found);
    }
    found
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What of a newer schema is tighter than the older one.
fn changes(path: &str, older: &Value, newer: &Value, found: &mut Vec<String>) {
    let mut tell = |what: String| found.push(format!("{path}: {what}"));
    for (key, was) in older.as_object().into_iter().flatten().chain(newer.as_object().into_iter().flatten()) {
        let key = key.as_str();
        let known = [&LEAST[..], &MOST, &DROPPABLE, &ADDABLE, &FIXED, &WALKED, &WORDS];
        if !known.iter().any(|keys| keys.contains(&key)) {
            tell(format!("{key} is {was}, and nobody knows how to compare it"));
        }
    }
    let (was, is) = (|key: &str| &older[key], |key: &str| &newer[key]);
    for (keys, is_lower_worse) in [(LEAST, false), (MOST, true)] {
        for key in keys {
            let (old, new) = (was(key).as_f64(), is(key).as_f64());
            let is_worse = new.is_some_and(|new| match (old, is_lower_worse) {
                (None, _) => true,
                (Some(old), true) => new < old,
                (Some(old), false) => new > old,
            });
            if is_worse {
                tell(format!("{key} is {}, and was {}", is(key), was(key)));
            }
        }
    }
    let changed = |key: &&str| was(key) != is(key);
    let added = |key: &&str| !is(key).is_null() && *is(key) != json!(false);
    let dropped = |key: &&str| !was(key).is_null() && *was(key) != json!(false);
    let tighter = DROPPABLE.iter().filter(|key| added(key)).chain(ADDABLE.iter().filter(|key| dropped(key)));
    for key in tighter.chain(&FIXED).filter(|key| changed(key)) {
        tell(format!("{key} is {}, and was {}", is(key), was(key)));
    }
    for member in items(is("required")).iter().filter(|member| !items(was("required")).contains(member)) {
        tell(format!("requires {}", member.as_str().unwrap_or_default()));
    }
    if was("enum").is_null() && !is("enum").is_null() {
        tell(format!("takes only {}", is("enum")));
    }
    if !is("enum").is_null() {
        for word in items(was("enum")).iter().filter(|word| !items(is("enum")).contains(word)) {
            tell(format!("does not take {word} any more"));
        }
    }
    let rules = |of: &Value| -> Vec<String> {
        let rules = items(&of["x-kubernetes-validations"]).iter();
        rules.filter_map(|rule| rule["rule"].as_str().map(str::to_owned)).collect()
    };
    let known = rules(older);
    for rule in rules(newer).iter().filter(|rule| !known.contains(rule)) {
        tell(format!("asks that: {rule}"));
    }
    for (name, member) in was("properties").as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match is("properties").get(name) {
            Some(now) => changes(&path, member, now, found),
            None => found.push(format!("{path}: is gone")),
        }
    }
    for (key, end) in [("items", "[]"), ("additionalProperties", ".*")] {
        match (was(key), is(key)) {
            (was @ Value::Object(_), is @ Value::Object(_)) => {
                changes(&format!("{path}{end}"), was, is, found);
            }
            (was, is) if was == is => {}
            (was, is) => found.push(format!("{path}{end}: is {is}, and was {was}")),
        }
    }
}

/// A value without the members that a schema does not name, as an API server keeps it.
pub fn fits(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let is_open = schema["x-kubernetes-preserve-unknown-fields"] == json!(true);
            let kept = members.iter().filter_map(|(name, value)| {
                let named = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
                match named {
                    Some(schema) => Some((name.clone(), fits(schema, value))),
                    None => is_open.then(|| (name.clone(), value.clone())),
                }
            });
            Value::Object(kept.collect::<Map<_, _>>())
        }
        Value::Array(list) => list.iter().map(|item| fits(&schema["items"], item)).collect(),
        other => other.clone(),
    }
}

#[test]
fn what_is_tighter_is_named_by_its_path_and_what_is_looser_is_not() {
    let object = |member: Value| json!({"type": "object", "properties": {"a": member}});
    let says = |older: Value, newer: Value| {
        let mut found = Vec::new();
        changes("spec", &object(older), &object(newer), &mut found);
        found.join("; ")
    };
    let looser = [
        (json!({"maxLength": 5}), json!({"maxLength": 6})),
        (json!({"maxItems": 5}), json!({})),
        (json!({"minLength": 2}), json!({"minLength": 1, "description": "shorter"})),
        (json!({"pattern": "a"}), json!({})),
        (json!({"enum": ["A"]}), json!({"enum": ["A", "B"]})),
        (json!({"enum": ["A"]}), json!({})),
        (json!({"required": ["b"]}), json!({"required": []})),
        (json!({}), json!({"properties": {"b": {"type": "string", "maxLength": 1}}})),
        (json!({}), json!({"x-kubernetes-preserve-unknown-fields": true})),
        (json!({"x-kubernetes-validations": [{"rule": "x"}]}), json!({})),
    ];
    for (older, newer) in looser {
        assert_eq!(says(older.clone(), newer.clone()), "", "{older} {newer}");
    }
    let tighter = [
        (json!({"maxLength": 6}), json!({"maxLength": 5}), "spec.a: maxLength is 5, and was 6"),
        (json!({}), json!({"minItems": 1}), "spec.a: minItems is 1, and was null"),
        (json!({"pattern": "a"}), json!({"pattern": "b"}), "spec.a: pattern is \"b\", and was \"a\""),
        (
            json!({"type": "string"}),
            json!({"type": "integer"}),
            "spec.a: type is \"integer\", and was \"string\"",
        ),
        (json!({"enum": ["A", "B"]}), json!({"enum": ["A"]}), "spec.a: does not take \"B\" any more"),
        (json!({}), json!({"enum": ["A"]}), "spec.a: takes only [\"A\"]"),
        (json!({}), json!({"required": ["b"]}), "spec.a: requires b"),
        (json!({}), json!({"x-kubernetes-validations": [{"rule": "x"}]}), "spec.a: asks that: x"),
        (json!({"properties": {"b": {}}}), json!({"properties": {}}), "spec.a.b: is gone"),
        (
            json!({"items": {"maxLength": 2}}),
            json!({"items": {"maxLength": 1}}),
            "spec.a[]: maxLength is 1, and was 2",
        ),
        (
            json!({"additionalProperties": {"type": "string"}}),
            json!({}),
            "spec.a.*: is null, and was {\"type\":\"string\"}",
        ),
        (
            json!({"x-kubernetes-preserve-unknown-fields": true}),
            json!({}),
            "spec.a: x-kubernetes-preserve-unknown-fields is null, and was true",
        ),
        (
            json!({}),
            json!({"x-kubernetes-list-type": "map"}),
            "spec.a: x-kubernetes-list-type is \"map\", and was null",
        ),
        (
            json!({}),
            json!({"dependencies": 1}),
            "spec.a: dependencies is 1, and nobody knows how to compare it",
        ),
    ];
    for (older, newer, told) in tighter {
        assert_eq!(says(older, newer), told);
    }
    let crd = |version: &str, scope: &str| json!({"spec": {"scope": scope, "versions": [{"name": version}]}});
    let told = crd_changes("things", &crd("v1", "Namespaced"), &crd("v2", "Cluster"));
    assert_eq!(
        told,
        ["things: scope is \"Cluster\", and was \"Namespaced\"", "things: version \"v1\" is gone"]
    );
}
