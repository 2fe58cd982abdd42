//! The form in which the outcomes of a case are kept: short, narrow, and without loss.
//!
//! Both files are read back, on every run to prove that nothing is lost, and on an update to tell what changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use serde_json::{Map, Value, json};

use super::stage::merge;
use crate::kept::{WIDTH, last_gap, unwrapped, wrapped};

/// The status of a variant by section and name: `conditions/Ready`.
pub type Status = BTreeMap<String, Value>;

/// Plans of variants by their names, in order.
pub fn write_plans(plans: &[(String, String)]) -> String {
    let mut out = String::new();
    for (n, (name, plan)) in plans.iter().enumerate() {
        let _ = writeln!(out, "{name}");
        if let Some((earlier, _)) = plans[..n].iter().find(|(_, earlier)| earlier == plan) {
            let _ = writeln!(out, "  as {}", json!(earlier));
            continue;
        }
        let mut shown = plan.as_str();
        if let Some((first, of)) = plans[..n].first() {
            let (own, other) = (entries(plan), entries(of));
            let same = own.iter().zip(&other).take_while(|(a, b)| a == b).count();
            let length: usize = own[..same].iter().map(|entry| entry.len()).sum();
            if plan[..length].lines().count() > 1 {
                let _ = writeln!(out, "  the first {same} entries as {}", json!(first));
                shown = &plan[length..];
            }
        }
        out.push_str(&wrapped(shown));
    }
    out
}

/// The entries of a plan: each opens with its time, or with what happens then.
fn entries(plan: &str) -> Vec<&str> {
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    for line in plan.split_inclusive('\n') {
        if !line.starts_with("   ") {
            starts.push(at);
        }
        at += line.len();
    }
    starts.push(plan.len());
    starts.windows(2).map(|pair| &plan[pair[0]..pair[1]]).collect()
}

/// Reads what [`write_plans`] wrote.
pub fn read_plans(text: &str) -> Vec<(String, String)> {
    let mut plans: Vec<(String, String)> = Vec::new();
    for line in unwrapped(text) {
        let known = |name: &str| {
            let name: String = serde_json::from_str(name).unwrap_or_default();
            plans
                .iter()
                .find(|(earlier, _)| *earlier == name)
                .map(|(_, plan)| plan.clone())
                .unwrap_or_default()
        };
        if !line.starts_with(' ') {
            plans.push((line, String::new()));
            continue;
        }
        let added = if let Some(name) = line.strip_prefix("  as ") {
            known(name)
        } else if let Some((count, name)) =
            line.strip_prefix("  the first ").and_then(|rest| rest.split_once(" entries as "))
        {
            entries(&known(name)).into_iter().take(count.parse().unwrap_or_default()).collect()
        } else {
            line + "\n"
        };
        if let Some((_, plan)) = plans.last_mut() {
            plan.push_str(&added);
        }
    }
    plans
}

/// Statuses of variants by their names: the first whole, of the others what differs from it.
pub fn write_statuses(statuses: &[(String, Vec<(String, Value)>)]) -> String {
    let mut out = String::new();
    for (n, (name, status)) in statuses.iter().enumerate() {
        let _ = writeln!(out, "{}:", json!(name));
        if let Some((earlier, _)) = statuses[1.min(n)..n].iter().find(|(_, earlier)| earlier == status) {
            let _ = writeln!(out, "  as: {}", json!(earlier));
            continue;
        }
        let first: Status =
            statuses[..n].first().map(|(_, first)| first.iter().cloned().collect()).unwrap_or_default();
        let mut section = "";
        for (key, value) in status.iter().filter(|(key, value)| first.get(key) != Some(value)) {
            let value = first.get(key).map_or_else(|| value.clone(), |before| patch(before, value));
            match key.split_once('/') {
                None => write_value(&mut out, 2, key, &value),
                Some((of, name)) => {
                    if of != section {
                        let _ = writeln!(out, "  {of}:");
                        section = of;
                    }
                    write_value(&mut out, 4, name, &value);
                }
            }
        }
        let has = |key: &str| status.iter().any(|(other, _)| other == key);
        let gone: Vec<&String> = first.keys().filter(|key| !has(key)).collect();
        if !gone.is_empty() {
            write_value(&mut out, 2, "not there", &json!(gone));
        }
        if n > 0 && statuses[0].1 == *status {
            let _ = writeln!(out, "  nothing differs: true");
        }
    }
    out
}

/// What differs, as a JSON merge patch.
fn patch(before: &Value, after: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return after.clone() };
    let mut patched = Map::new();
    for (key, value) in after.iter().filter(|(key, value)| before.get(*key) != Some(value)) {
        let value = before.get(key).map_or_else(|| value.clone(), |before| patch(before, value));
        patched.insert(key.clone(), value);
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patched.insert(key.clone(), Value::Null);
    }
    patched.into()
}

/// A value as YAML, on one line where it fits.
fn write_value(out: &mut String, indent: usize, key: &str, value: &Value) {
    let pad = " ".repeat(indent);
    let line = format!("{pad}{key}: {value}");
    if line.chars().count() <= WIDTH {
        let _ = writeln!(out, "{line}");
        return;
    }
    match value {
        Value::Object(map) => {
            let _ = writeln!(out, "{pad}{key}:");
            for (key, value) in map {
                write_value(out, indent + 2, key, value);
            }
        }
        Value::Array(entries) => {
            let _ = writeln!(out, "{pad}{key}: [");
            let mut line = String::new();
            for entry in entries.iter().map(Value::to_string) {
                if line.chars().count() + entry.chars().count() + indent + 4 > WIDTH {
                    let _ = writeln!(out, "{pad} {line}");
                    line.clear();
                }
                let _ = write!(line, " {entry},");
            }
            let _ = writeln!(out, "{pad} {line}\n{pad}]");
        }
        // A line break in quotes is a space.
        _ => {
            let mut rest = line.as_str();
            let mut before = String::new();
            while let Some(end) =
                last_gap(rest, WIDTH - before.len()).filter(|_| before.len() + rest.chars().count() > WIDTH)
            {
                let _ = writeln!(out, "{before}{}", &rest[..end]);
                rest = &rest[end + 1..];
                before = format!("{pad}  ");
            }
            let _ = writeln!(out, "{before}{rest}");
        }
    }
}

/// Reads what [`write_statuses`] wrote.
pub fn read_statuses(text: &str) -> Vec<(String, Status)> {
    let mut statuses: Vec<(String, Status)> = Vec::new();
    // Each variant by itself: the order of the file counts.
    let mut starts: Vec<usize> = text.match_indices("\n\"").map(|(at, _)| at + 1).collect();
    starts.insert(0, 0);
    starts.push(text.len());
    for pair in starts.windows(2).filter(|pair| pair[0] < pair[1]) {
        let Ok(Value::Object(section)) = serde_saphyr::from_str::<Value>(&text[pair[0]..pair[1]]) else {
            return Vec::new();
        };
        for (name, mut told) in section {
            let like = told["as"].as_str();
            let base = like.map_or_else(
                || statuses.first().map(|(_, first)| first.clone()),
                |like| statuses.iter().find(|(earlier, _)| earlier == like).map(|(_, status)| status.clone()),
            );
            let mut status = base.unwrap_or_default();
            let map = told.as_object_mut().expect("sections");
            for control in ["as", "nothing differs"] {
                map.remove(control);
            }
            for gone in map.remove("not there").as_ref().and_then(Value::as_array).into_iter().flatten() {
                status.remove(gone.as_str().unwrap_or_default());
            }
            for (section, value) in told.as_object().into_iter().flatten() {
                match value {
                    Value::Object(entries) => {
                        for (name, value) in entries {
                            merge(status.entry(format!("{section}/{name}")).or_default(), value);
                        }
                    }
                    value => {
                        status.insert(section.clone(), value.clone());
                    }
                }
            }
            statuses.push((name, status));
        }
    }
    statuses
}

/// What an update changed, for the message of its commit.
#[derive(Default)]
pub struct Changes {
    /// A change with the variants in which it is.
    told: BTreeMap<String, BTreeSet<String>>,
}

impl Changes {
    fn add(&mut self, variant: &str, change: String) {
        self.told.entry(change).or_default().insert(variant.to_owned());
    }

    /// Notes what differs between two statuses of a variant.
    pub fn add_status(&mut self, variant: &str, before: &Status, after: &Status) {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let quiet = Value::Null;
        for key in keys {
            let (old, new) = (before.get(key).unwrap_or(&quiet), after.get(key).unwrap_or(&quiet));
            if old == new {
                continue;
            }
            let word = |value: &Value, key: &str| value[key].as_str().unwrap_or("nothing").to_owned();
            let (section, name) = key.split_once('/').unwrap_or((key, ""));
            match section {
                "stage" => {
                    let shown = |value: &Value| value.as_str().unwrap_or("nothing").to_owned();
                    self.add(variant, format!("stage {} → {}", shown(old), shown(new)));
                }
                "conditions" if !old.is_null() && !new.is_null() => {
                    let (from, to) = (word(old, "reason"), word(new, "reason"));
                    if from != to {
                        self.add(variant, format!("{from} → {to}"));
                    } else if old["status"] != new["status"] {
                        let (from, to) = (word(old, "status"), word(new, "status"));
                        self.add(variant, format!("{name} {from} → {to}"));
                    } else {
                        self.add(variant, format!("message of {to}"));
                    }
                }
                "conditions as Ready" => self.add(variant, "conditions that are as Ready".into()),
                "conditions" | "waitingFor" | "preflight" | "drift" => {
                    let how = match (old.is_null(), new.is_null()) {
                        (true, _) => "new",
                        (_, true) => "gone",
                        _ => "other",
                    };
                    self.add(variant, format!("{section} {name} {how}"));
                }
                _ => self.add(variant, key.clone()),
            }
        }
    }

    /// Notes what differs between two plans of a variant.
    pub fn add_plan(&mut self, variant: &str, before: &str, after: &str) {
        // The step or the reason of each entry.
        let heads = |plan: &str| -> Vec<String> {
            let head = |entry: &str| {
                let mut words = entry.trim_start().splitn(2, ' ');
                let rest = words.next().filter(|time| time.starts_with('+')).and(words.next())?;
                rest.split([',', ':']).next().map(|head| head.rsplit(' ').next().unwrap_or(head).to_owned())
            };
            entries(plan).into_iter().filter_map(head).collect()
        };
        let (old, new) = (heads(before), heads(after));
        let mut is_told = false;
        if old.len() == new.len() {
            for (from, to) in old.iter().zip(&new).filter(|(from, to)| from != to) {
                self.add(variant, format!("plan {from} → {to}"));
                is_told = true;
            }
        }
        if before != after && !is_told {
            self.add(
                variant,
                if old.len() == new.len() { "text of plans" } else { "number of passes" }.into(),
            );
        }
    }

    pub fn add_variant(&mut self, variant: &str, is_new: bool) {
        self.add(variant, if is_new { "new" } else { "gone" }.into());
    }

    /// The most frequent first.
    pub fn summary(&self) -> String {
        let mut lines: Vec<_> = self.told.iter().collect();
        lines.sort_by_key(|(change, variants)| (std::cmp::Reverse(variants.len()), (*change).clone()));
        let shown = lines.into_iter().map(|(change, variants)| match variants.iter().next() {
            Some(only) if variants.len() == 1 => format!("{change} in 1 variant ({only})\n"),
            _ => format!("{change} in {} variants\n", variants.len()),
        });
        shown.collect()
    }
}

#[test]
fn what_an_update_changed_is_told_by_how_often() {
    let status = |stage: &str, reason: &str, message: &str| -> Status {
        let ready = json!({"reason": reason, "message": message, "status": "False"});
        Status::from([("stage".into(), json!(stage)), ("conditions/Ready".into(), ready)])
    };
    let mut changes = Changes::default();
    for variant in ["one", "two"] {
        let (old, new) =
            (status("Pending", "AccountRestricted", "m"), status("Stalled", "AccountLocked", "n"));
        changes.add_status(variant, &old, &new);
        changes.add_plan(variant, "  +0s AccountRestricted: m\n", "  +0s AccountLocked: n\n");
    }
    changes.add_status("three", &status("Pending", "Usable", "m"), &status("Pending", "Usable", "n"));
    changes.add_plan("three", "  +0s AddNumber, by itself: a\n", "  +0s AddNumber, by itself: b\n");
    changes.add_variant("four", true);
    assert_eq!(
        changes.summary(),
        "AccountRestricted → AccountLocked in 2 variants\nplan AccountRestricted → AccountLocked in 2 variants\n\
         stage Pending → Stalled in 2 variants\nmessage of Usable in 1 variant (three)\nnew in 1 variant (four)\n\
         text of plans in 1 variant (three)\n"
    );
}

#[test]
fn what_is_written_is_read_back_whole() {
    let long = "a message that is said at length, and then once more, ".repeat(6);
    let first = vec![
        ("stage".to_owned(), json!("Pending")),
        ("conditions/Ready".to_owned(), json!({"reason": "A", "message": long, "until": "later"})),
        ("facts/list".to_owned(), json!(vec!["an entry"; 30])),
        ("facts/gone".to_owned(), json!(1)),
    ];
    let second = vec![
        ("stage".to_owned(), json!("Pending")),
        ("conditions/Ready".to_owned(), json!({"reason": "B", "message": long})),
        ("facts/list".to_owned(), json!(["one"])),
    ];
    let statuses = [("a", &first), ("b", &second), ("c", &second), ("d", &first)];
    let statuses = statuses.map(|(name, status)| (name.to_owned(), status.clone()));
    let text = write_statuses(&statuses);
    assert!(text.contains("\"c\":\n  as: \"b\"\n\"d\":\n  nothing differs: true\n"), "{text}");
    assert!(text.contains("Ready: {\"reason\":\"B\",\"until\":null}"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    let whole = statuses.map(|(name, status)| (name, status.into_iter().collect::<Status>()));
    assert_eq!(read_statuses(&text), whole);
}
