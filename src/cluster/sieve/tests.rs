use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn object(key: &str) -> Rule {
    match key {
        "name" => Rule::Name,
        "kept" => Rule::Whole,
        "some" => Rule::Members(|key| if key == "kept" { Rule::Whole } else { Rule::Nothing }),
        "each" => Rule::Each(&Rule::Members(object)),
        "marks" => Rule::Each(&Rule::Marked(marked)),
        "told" => Rule::Told,
        _ => Rule::Nothing,
    }
}

fn marked(key: &str) -> Rule {
    match key {
        "some" => Rule::Members(marked),
        "kept" => Rule::Mark,
        "name" => Rule::Whole,
        _ => Rule::Nothing,
    }
}

fn list(key: &str) -> Rule {
    match key {
        "items" => Rule::Apart(&Rule::Members(object)),
        "metadata" => Rule::Whole,
        _ => Rule::Nothing,
    }
}

/// Fed in pieces of this size; each value that came to its end.
fn sieved(sieve: &mut Sieve, text: &str, piece: usize) -> Vec<Kept> {
    let mut all = Vec::new();
    for mut bytes in text.as_bytes().chunks(piece) {
        while !bytes.is_empty() {
            bytes = &bytes[sieve.feed(bytes)..];
            if sieve.is_done() {
                all.push(sieve.take());
            }
        }
    }
    all
}

fn json_of(kept: &Kept) -> Value {
    serde_json::from_slice(&kept.json)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&kept.json)))
}

/// Whether a rule has a mark in a value.
fn has_mark(value: &Value, rule: Rule) -> bool {
    match (rule, value) {
        (Rule::Mark, _) => true,
        (Rule::Members(of) | Rule::Marked(of), Value::Object(members)) => {
            members.iter().any(|(key, value)| has_mark(value, of(key)))
        }
        _ => false,
    }
}

/// What a rule keeps, by a parsed value.
fn wanted(value: &Value, rule: Rule) -> Option<Value> {
    match (rule, value) {
        (Rule::Nothing, _) => None,
        (Rule::Marked(_), Value::Object(_)) if !has_mark(value, rule) => None,
        (Rule::Members(of) | Rule::Marked(of), Value::Object(members)) => Some(Value::Object(
            members.iter().filter_map(|(key, value)| Some((key.clone(), wanted(value, of(key))?))).collect(),
        )),
        (Rule::Told, Value::Object(members)) => Some(Value::Object(
            members.iter().filter(|(key, _)| *key == "told").map(|(k, v)| (k.clone(), v.clone())).collect(),
        )),
        (Rule::Each(rule), Value::Array(entries)) => {
            Some(Value::Array(entries.iter().filter_map(|entry| wanted(entry, *rule)).collect()))
        }
        _ => Some(value.clone()),
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\{}\\[\\],:\u{e9}\n ]{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("name".to_owned()),
        Just("kept".to_owned()),
        Just("some".to_owned()),
        Just("each".to_owned()),
        Just("marks".to_owned()),
        Just("told".to_owned()),
        "[a-z\"\\\\]{0,4}",
    ];
    leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_kept_is_what_the_rules_say_in_whichever_pieces_it_comes(
        value in any_value(), next in any_value(), piece in 1_usize..20, is_pretty in any::<bool>()
    ) {
        let text = |value: &Value| if is_pretty { format!("{value:#}\n") } else { format!("{value}\n") };
        let mut sieve = Sieve::new(Rule::Members(object), usize::MAX).told("told");
        let all = sieved(&mut sieve, &(text(&value) + &text(&next)), piece);
        prop_assert_eq!(all.len(), 2);
        for (kept, value) in all.iter().zip([&value, &next]) {
            prop_assert!(!kept.is_over);
            prop_assert_eq!(Some(json_of(kept)), wanted(value, Rule::Members(object)));
        }
    }

    #[test]
    fn entries_apart_and_what_is_around_them_are_kept_for_themselves(
        values in prop::collection::vec(any_value(), 0..6), piece in 1_usize..20
    ) {
        let text = format!("{}\n", json!({"a": 1, "items": values, "kind": "List", "metadata": {"continue": "x"}}));
        let mut sieve = Sieve::new(Rule::Members(list), usize::MAX).told("told");
        let all = sieved(&mut sieve, &text, piece);
        prop_assert_eq!(json_of(&all[0]), json!({"items": [], "metadata": {"continue": "x"}}));
        let apart: Vec<_> = sieve.take_apart().iter().map(json_of).collect();
        let expected: Vec<_> = values.iter().filter_map(|value| wanted(value, Rule::Members(object))).collect();
        prop_assert_eq!(apart, expected);
    }

    #[test]
    fn what_is_no_json_comes_to_an_end(text in ".{0,60}", piece in 1_usize..9) {
        sieved(&mut Sieve::new(Rule::Members(list), 20), &text, piece);
    }

    #[test]
    fn no_more_is_kept_than_the_limit_and_the_names(value in any_value(), limit in 0_usize..60) {
        let value = json!({"name": value["name"], "kept": value, "some": value, "each": [value, value]});
        let rule = Rule::Members(|key| match key {
            "each" => Rule::Each(&Rule::Members(|key| if key == "kept" { Rule::Whole } else { Rule::Nothing })),
            key => object(key),
        });
        let mut sieve = Sieve::new(rule, limit);
        let all = sieved(&mut sieve, &format!("{value}\n"), 7);
        let name = value["name"].to_string();
        prop_assert_eq!(json_of(&all[0])["name"].to_string(), name.as_str());
        // Brackets, and the keys of what is walked into.
        prop_assert!(all[0].json.len() <= limit + name.len() + 60, "{} of {value}", all[0].json.len());
    }
}

#[test]
fn what_is_over_the_limit_is_told_and_still_has_its_name() {
    let long = "x".repeat(1_000);
    let text =
        json!({"each": [{"kept": long}, {"kept": 1}], "kept": long, "name": "it", "z": long}).to_string();
    let mut sieve = Sieve::new(Rule::Members(object), 100);
    let all = sieved(&mut sieve, &text, 64);
    assert!(all[0].is_over);
    assert_eq!(json_of(&all[0])["name"], "it");
    assert!(all[0].json.len() < 100, "{}", all[0].json.len());
    // The next one is not.
    let all = sieved(&mut sieve, "{\"kept\": [1, 2]}", 3);
    assert_eq!(all, [Kept { json: b"{\"kept\":[1, 2]}".to_vec(), is_over: false }]);
}

#[test]
fn an_entry_over_the_limit_takes_nothing_from_the_others() {
    let text =
        json!({"items": [{"kept": 1}, {"kept": "x".repeat(500), "name": "fat"}, {"kept": 2}]}).to_string();
    let mut sieve = Sieve::new(Rule::Members(list), 50);
    sieved(&mut sieve, &text, 64);
    let apart: Vec<_> = sieve.take_apart().iter().map(|kept| (json_of(kept), kept.is_over)).collect();
    assert_eq!(
        apart,
        [(json!({"kept": 1}), false), (json!({"name": "fat"}), true), (json!({"kept": 2}), false)]
    );
}
