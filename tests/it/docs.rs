//! What the pages and the habits of the repository name has to exist: files, golden cases, make targets.

mod growing;
mod site;
mod typed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::house;
pub use typed::commands;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What runs make without being a page.
const RUNNERS: &[&str] =
    &[".ci/run", ".github/workflows/test.yaml", ".github/workflows/outside.yaml", ".pre-commit-config.yaml"];

#[test]
fn every_path_that_a_page_names_exists() {
    let mut missing = Vec::new();
    for page in pages() {
        for path in words(&read(&page)).iter().flat_map(|word| each(word)).filter(|path| is_path(path)) {
            if !exists(&page, &path) {
                missing.push(format!("{page} names {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "no such file or folder:\n{}", missing.join("\n"));
}

#[test]
fn every_rule_of_the_policy_names_its_file_and_what_shows_it() {
    let cases = Path::new(ROOT).join("tests/it/cases");
    let policy = read("docs/policy.md");
    let mut wrong = Vec::new();
    for rule in policy.split("\n### ").skip(1) {
        let title = rule.lines().next().unwrap_or_default();
        let last = rule.split("\nFile: ").nth(1).and_then(|end| end.split("\n\n").next()).unwrap_or_default();
        let shown = last.split_once("Case").or(last.split_once("Test"));
        if shown.is_none_or(|(file, shown)| words(file).is_empty() || words(shown).is_empty()) {
            wrong.push(format!("{title:?} does not end with its file and its case or test"));
        }
        let named = last.split_once("Case").map(|(_, named)| named.split("Test").next().unwrap_or_default());
        for case in words(named.unwrap_or_default()) {
            if !cases.join(&case).join("meta.json").is_file() {
                wrong.push(format!("{title:?} names {case}, which is no golden case"));
            }
        }
    }
    assert!(policy.contains("\n### ") && wrong.is_empty(), "docs/policy.md:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_of_the_engine_is_listed_once() {
    let page = read("ARCHITECTURE.md");
    let table = page.split("\n| File | Answers |\n").nth(1).expect("a table of the engine's files");
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let mut listed = BTreeMap::<String, usize>::new();
    for row in rows {
        let file = words(row).first().cloned().unwrap_or_default();
        *listed.entry(file).or_default() += 1;
    }
    let twice: Vec<_> = listed.iter().filter(|(_, rows)| **rows > 1).map(|(file, _)| file).collect();
    assert!(twice.is_empty(), "ARCHITECTURE.md lists {twice:?} more than once");
    let listed: BTreeSet<_> = listed.into_keys().collect();
    let there = house::product().filter_map(|file| file.strip_prefix("src/engine/")).map(str::to_owned);
    let there: BTreeSet<_> = there.collect();
    let unlisted: Vec<_> = there.difference(&listed).collect();
    assert!(
        unlisted.is_empty(),
        "give each of {unlisted:?} a row under \"Files of the engine\" in ARCHITECTURE.md"
    );
    let gone: Vec<_> = listed.difference(&there).collect();
    assert!(gone.is_empty(), "ARCHITECTURE.md lists {gone:?}, which src/engine does not have");
}

#[test]
fn every_make_target_that_is_named_exists() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split_once(':'))
        .filter(|(_, rest)| !rest.starts_with('='))
        .map(|(target, _)| target)
        .collect();
    let help = makefile.lines().filter_map(|line| line.strip_prefix("#   ")).map(str::to_owned);
    let mut named: Vec<(String, String)> = help.map(|line| ("Makefile".to_owned(), line)).collect();
    for page in pages() {
        named.extend(code(&read(&page)).into_iter().map(|code| (page.clone(), code)));
    }
    for runner in RUNNERS {
        let text = read(runner);
        let commands = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        named.extend(commands.map(|line| ((*runner).to_owned(), line.to_owned())));
    }
    let mut used = 0;
    for (file, code) in &named {
        let mut words = code.split_whitespace().skip_while(|word| *word != "make").skip(1);
        if let Some(target) = words.next() {
            assert!(
                targets.contains(target),
                "{file} names `make {target}`, which the Makefile does not have"
            );
            used += 1;
        }
    }
    for (workflow, targets) in [
        ("test", &["test", "demo", "image", "reproduce"][..]),
        ("outside", &["advisories", "reproduce", "plugin URL=https://127.0.0.1:8443"]),
    ] {
        let workflow = read(&format!(".github/workflows/{workflow}.yaml"));
        for target in targets {
            assert!(
                workflow.lines().any(|line| line.trim() == format!("- run: make {target}")),
                "no job runs make {target}"
            );
        }
    }
    for runner in RUNNERS {
        assert!(
            named.iter().any(|(file, code)| file == runner && code.contains("make ")),
            "{runner} runs make"
        );
    }
    assert!(used > RUNNERS.len());
}

#[test]
fn make_says_all_that_a_machine_lacks_at_once_and_what_to_install() {
    let bin = tempfile::tempdir().expect("a folder");
    let path = std::env::var_os("PATH").expect("a PATH");
    let find = |tool: &str| std::env::split_paths(&path).map(|dir| dir.join(tool)).find(|path| path.exists());
    for tool in ["sh", "sed", "grep", "cat"] {
        let tool_path = find(tool).expect("what every machine has");
        std::os::unix::fs::symlink(tool_path, bin.path().join(tool)).expect("a link");
    }
    let told = |target: &str| {
        let mut make = std::process::Command::new(find("make").expect("make runs these tests"));
        for name in ["CARGO", "GO", "KUBEBUILDER_ASSETS", "MAKEFLAGS", "MAKELEVEL"] {
            make.env_remove(name);
        }
        let output = make.args(["--no-print-directory", target]).current_dir(ROOT).env("PATH", bin.path());
        let output = output.output().expect("make starts");
        assert!(!output.status.success(), "{target}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let rust = "cargo is missing: install Rust 1.89 or newer";
    let (cc, go) = ("cc is missing: install a C compiler", "go is missing: install Go 1.26 or newer");
    let curl = "curl is missing: install the package curl";
    for (target, all) in [
        ("demo", vec![rust, cc, go]),
        ("test", vec![rust, cc, go, curl]),
        ("gen", vec![rust, cc, go]),
        ("golden", vec![rust, cc, go]),
    ] {
        let told = told(target);
        let unsaid: Vec<_> = all.iter().filter(|what| !told.contains(**what)).collect();
        assert!(unsaid.is_empty(), "make {target} says nothing of {unsaid:?}:\n{told}");
    }
    let old = bin.path().join("cargo");
    std::fs::write(&old, "#!/bin/sh\necho 'cargo 1.85.0 (d73d2caf9 2024-12-31)'\n").expect("a program");
    std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it starts");
    let told = told("unit");
    assert!(told.contains("cargo 1.85.0 (d73d2caf9 2024-12-31): install Rust 1.89 or newer"), "{told}");
}

/// Makes the checks of the image that need a new root with an `unshare` that works or not, and gives back how that ended.
fn new_root(unshare: &str, ci: Option<&str>) -> (bool, String) {
    let bin = tempfile::tempdir().expect("a folder");
    let program = bin.path().join("unshare");
    fs::write(&program, format!("#!/bin/sh\n{unshare}\n")).expect("a program");
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it starts");
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").expect("a PATH"));
    let mut make = std::process::Command::new("make");
    for name in ["MAKEFLAGS", "MAKELEVEL", "CI"] {
        make.env_remove(name);
    }
    let output = make.args(["--no-print-directory", "new-root"]).current_dir(ROOT).env("PATH", path);
    let output = output.envs(ci.map(|value| ("CI", value))).output().expect("make starts");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_pipeline_that_cannot_start_the_image_fails_and_another_machine_says_what_it_left_out() {
    assert_eq!(new_root("exit 0", Some("true")), (true, String::new()));
    let (passed, told) = new_root("exit 1", None);
    assert!(passed && told.contains("SKIPPED: this machine lets nobody change the root"), "{told}");
    let (passed, told) = new_root("exit 1", Some("true"));
    assert!(!passed && told.contains("allow user namespaces"), "{told}");

    let makefile = read("Makefile");
    let integration = makefile.lines().find(|line| line.starts_with("integration:")).expect("a target");
    assert!(integration.split_whitespace().any(|word| word == "new-root"), "{integration}");
    let workflow = read(".github/workflows/test.yaml");
    let at = |run: &str| workflow.find(&format!("- run: {run}\n")).unwrap_or_else(|| panic!("no {run}"));
    assert!(at("sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0") < at("make test"));
}

/// The parts of a page in code style, without its blocks.
fn words(text: &str) -> Vec<String> {
    prose(text).lines().flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// Everything in code style, blocks by line.
pub fn code(text: &str) -> Vec<String> {
    let blocks = text.split("\n```").skip(1).step_by(2).flat_map(str::lines).map(str::to_owned);
    blocks.chain(words(text)).collect()
}

fn prose(text: &str) -> String {
    text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

/// Every page: those at the root, that of the chart, and all below `docs/` and `deploy/`.
pub fn pages() -> Vec<String> {
    fn below(folder: &str, deep: bool, found: &mut Vec<String>) {
        let entries = fs::read_dir(Path::new(ROOT).join(folder)).expect("a folder");
        for entry in entries.map(|entry| entry.expect("an entry")) {
            let name = entry.file_name().into_string().expect("a plain name");
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if entry.path().is_dir() {
                if deep {
                    below(&path, deep, found);
                }
            } else if entry.path().extension().is_some_and(|end| end == "md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    below("", false, &mut found);
    below("charts/whatsapp-operator", false, &mut found);
    below("docs", true, &mut found);
    below("deploy", true, &mut found);
    found.sort();
    found
}

/// `a/{b,c}.md` is `a/b.md` and `a/c.md`.
fn each(word: &str) -> Vec<String> {
    match word.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?))) {
        Some((head, (names, tail))) => names.split(',').map(|name| format!("{head}{name}{tail}")).collect(),
        None => vec![word.to_owned()],
    }
}

/// A word that can only be a path: a page, or below a folder of the repository.
fn is_path(word: &str) -> bool {
    let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let ends_with = |ends: &[&str]| ends.iter().any(|end| word.ends_with(end));
    let is_file = ends_with(&[".md", ".toml"]) || word.contains('/') && ends_with(&[".rs", ".sh", ".yaml"]);
    let first = word.split('/').next().unwrap_or_default();
    let is_below = word.contains('/') && Path::new(ROOT).join(first).is_dir();
    is_plain && (is_file || is_below) && !first.is_empty() && first != "target"
}

/// Read from the root, from the page's own folder, or in the list of the engine's files from there.
fn exists(page: &str, path: &str) -> bool {
    let own = Path::new(page).parent().unwrap_or(Path::new(""));
    let places = [PathBuf::new(), own.to_owned(), PathBuf::from("src/engine")];
    let is_engine = page == "ARCHITECTURE.md";
    places
        .iter()
        .take(if is_engine { 3 } else { 2 })
        .any(|place| Path::new(ROOT).join(place).join(path).exists())
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
