//! What a class of errors means is asked in one place.
//!
//! `Class` has methods that say what the callers want to know. Who compares its words instead answers that question
//! once more, and sooner or later differently.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What gives the words their meaning, and the table that gives codes their class. A file is known by its name, a
/// module may move.
const KNOW_THE_WORDS: [&str; 2] = ["failure.rs", "meta/error.rs"];

#[test]
fn classes_of_errors_are_told_apart_only_where_they_are_defined() {
    let found = places("Class::");
    assert!(
        found.is_empty(),
        "ask a method of Class, Refusal or Failure (or add one in failure.rs):\n{}",
        found.join("\n")
    );
}

/// Lines of the product's code, tests aside, with this word.
fn places(word: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = files(&root);
    let only_in_tests: BTreeSet<PathBuf> =
        files.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let is_product = |path: &Path| {
        let is_test = path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("tests.rs"));
        let is_excused = is_test || KNOW_THE_WORDS.iter().any(|end| path.ends_with(end));
        !is_excused && !path.ancestors().any(|part| only_in_tests.contains(&part.with_extension("")))
    };
    let mut found = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| is_product(path)) {
        let product = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in product.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if code
                .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                .any(|part| part.starts_with(word) || part.contains(&format!("::{word}")))
            {
                found.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    found
}

/// The modules that a file declares for tests alone, as paths without their ending.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let is_root = path.file_name().is_some_and(|name| name == "mod.rs" || name == "lib.rs");
    let folder = if is_root { path.with_file_name("") } else { path.with_extension("") };
    let mut modules = Vec::new();
    let mut is_test = false;
    for line in text.lines() {
        let name = line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        let name = name.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
        modules.extend(name.filter(|_| is_test).map(|name| folder.join(name)));
        is_test = line.trim() == "#[cfg(test)]" || (is_test && line.trim().starts_with("#["));
    }
    modules
}

fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).expect("a folder of src can be listed");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                let text = fs::read_to_string(&path).expect("a source can be read");
                vec![(path, text)]
            }
        })
        .collect()
}
