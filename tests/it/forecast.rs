//! The forecast of each example: `plan -f examples --sandbox --whole-way`, kept beside this file in `forecasts`, one
//! file for each example, written anew by `make golden`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cli::{stderr, stdout};
use crate::kept;

const KEPT: &str = "tests/it/forecasts";
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn plan(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_whatsapp-operator"))
        .args([&["plan", "-f", "examples", "--sandbox"], args].concat())
        .current_dir(ROOT)
        .env_clear()
        .output()
        .expect("the binary runs");
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
    (output.status.code(), stdout(&output))
}

/// The sections of channels, by the file that they are from.
fn sections(report: &str) -> Vec<(String, String)> {
    let of_channels = report.split("\n\nWhatsAppChannel ").skip(1);
    let named = of_channels.map(|section| {
        let file = section.lines().nth(1).and_then(|line| line.trim().split(':').next()).expect("a place");
        let name =
            file.strip_prefix("examples/").and_then(|file| file.strip_suffix(".yaml")).expect("an example");
        (name.to_owned(), section.split("\n\n").collect::<Vec<_>>().join("\n"))
    });
    named.collect()
}

/// What a forecast says in the same words whenever it is made: it begins now, and messages name dates.
fn without_dates(text: &str) -> String {
    let is_date = |word: &str| {
        let mut parts = word.split('-');
        matches!((parts.next(), parts.next(), parts.next()), (Some(y), Some(_), Some(_)) if y.len() == 4 && y.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut words: Vec<&str> = Vec::new();
    let mut all = text.split(' ').peekable();
    while let Some(word) = all.next() {
        if is_date(word) {
            let _ = (all.next(), all.next());
            words.push("DATE");
        } else {
            words.push(word);
        }
    }
    words.join(" ")
}

#[test]
fn the_forecast_of_each_example_is_as_it_was_reviewed() {
    let (code, report) = plan(&["--whole-way"]);
    assert_eq!(code, Some(2), "there are changes: {report}");
    let mut differences = Vec::new();
    let mut known = BTreeSet::new();
    for (name, section) in sections(&report) {
        let (_, forecast) =
            section.split_once("  forecast").unwrap_or_else(|| panic!("{name} has none:\n{section}"));
        let text: String = format!("  forecast{forecast}\n")
            .lines()
            .take_while(|line| line.starts_with("  "))
            .map(|line| format!("{}\n", without_dates(&line[2..]).trim_end()))
            .collect();
        differences.extend(kept::difference(&format!("{KEPT}/{name}.snap"), &kept::wrapped(&text)));
        known.insert(format!("{name}.snap"));
    }
    assert!(differences.is_empty(), "{}\nwritten anew by make golden", differences.join("\n"));
    let examples = fs::read_dir(Path::new(ROOT).join("examples")).expect("a folder");
    let with_channel = examples.filter(|entry| {
        let text = fs::read_to_string(entry.as_ref().expect("an entry").path()).expect("text");
        text.contains("kind: WhatsAppChannel")
    });
    assert_eq!(known.len(), with_channel.count(), "every example has a forecast");
    for entry in fs::read_dir(Path::new(ROOT).join(KEPT)).expect("a folder") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(known.contains(&name), "{KEPT}/{name} is of no example");
    }
}

/// The plan stands as it is; the forecast comes beside it, and begins with the plan's own next step.
#[test]
fn a_forecast_is_added_to_the_plan_and_begins_as_it_does() {
    let (with, without) = (plan(&["--whole-way", "-o", "json"]), plan(&["-o", "json"]));
    assert_eq!(with.0, without.0, "it ends as the plan does");
    let read = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    let (with, without) = (read(&with.1), read(&without.1));
    assert!(without.get("forecast").is_none() && with["forecast"]["calls"].as_u64() > Some(0));
    let channels = |report: &Value| report["channels"].as_array().expect("a list").clone();
    for (with, without) in channels(&with).iter().zip(channels(&without)) {
        assert_eq!((&with["step"], &with["block"]), (&without["step"], &without["block"]));
        assert!(without.get("forecast").is_none());
        let forecast = &with["forecast"];
        let first = &forecast["lines"][0];
        match (&with["step"], &with["block"]) {
            (Value::Null, Value::Null) => assert_eq!(forecast["ending"], "NothingToDo", "{with:#}"),
            (Value::Null, block) => {
                assert_eq!(
                    (&first["what"], &first["says"]),
                    (&block["reason"], &block["message"]),
                    "{with:#}"
                );
            }
            (step, _) => {
                assert_eq!((&first["what"], &first["says"]), (&step["kind"], &step["why"]), "{with:#}");
            }
        }
    }
}
