//! The rules of the house, as tests: who may use whom, where reasons come from, what may enter the tree.
//!
//! They read the sources as text. That is crude and sufficient: a rule that somebody wants to get round is a
//! matter for review, a rule that somebody forgot is a matter for this file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use whatsapp_operator::engine::reason;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A module, the modules of ours that it may use, and the crates that it must not.
struct Rule {
    module: &'static str,
    /// A longer path allows no more than what lies under it.
    ours: &'static [&'static str],
    never: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        module: "engine",
        ours: &[],
        never: &[
            "anstream",
            "anstyle",
            "axum",
            "clap",
            "futures",
            "k8s_openapi",
            "kube",
            "prometheus_client",
            "reqwest",
            "ring",
            "rpassword",
            "rustls",
            "schemars",
            "secrecy",
            "serde_saphyr",
            "tokio",
            "tokio_util",
            "tower",
            "tracing",
            "tracing_subscriber",
        ],
    },
    Rule {
        module: "api",
        ours: &["engine"],
        never: &["axum", "clap", "reqwest", "tokio", "tower", "tracing"],
    },
    Rule { module: "meta", ours: &["engine"], never: &["axum", "clap", "k8s_openapi", "kube", "schemars"] },
    Rule {
        module: "run",
        ours: &["engine", "meta::port"],
        never: &["axum", "clap", "k8s_openapi", "kube", "reqwest", "schemars"],
    },
    Rule { module: "cluster", ours: &["api", "engine"], never: &["axum", "clap", "reqwest"] },
    Rule {
        module: "controller",
        ours: &["api", "cluster", "engine", "meta::port", "run", "telemetry"],
        never: &["clap", "reqwest"],
    },
    Rule {
        module: "cli",
        ours: &["api", "cluster", "engine", "meta", "run", "sandbox", "telemetry"],
        never: &["axum"],
    },
    Rule { module: "sandbox", ours: &[], never: &["clap", "k8s_openapi", "kube", "schemars"] },
    Rule { module: "telemetry", ours: &["engine::reason"], never: &["clap", "kube", "reqwest"] },
];

#[test]
fn modules_use_only_what_their_place_allows() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(rule) = RULES.iter().find(|rule| rule.module == source.module) else {
            assert!(
                ["main", "lib"].contains(&source.module.as_str()),
                "{} is in no rule: give src/{} one",
                source.path,
                source.module
            );
            continue;
        };
        for used in &source.ours {
            let within = |allowed: &str| used == allowed || used.starts_with(&format!("{allowed}::"));
            if !within(rule.module) && !rule.ours.iter().any(|allowed| within(allowed)) {
                broken.push(format!("{} uses crate::{used}", source.path));
            }
        }
        for name in rule.never {
            if source.names_crate(name) {
                broken.push(format!("{} uses {name}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "against the table of ARCHITECTURE.md:\n{}", broken.join("\n"));
}

#[test]
fn the_binary_leaves_decisions_to_the_modules() {
    for source in sources().iter().filter(|source| source.module == "main") {
        assert!(!source.code.contains("whatsapp_operator::engine"), "{} uses the engine", source.path);
    }
}

#[test]
fn the_engine_has_no_clock_and_does_not_wait() {
    for source in sources().iter().filter(|source| source.module == "engine") {
        for word in ["::now()", "async fn", ".await", "std::fs", "std::net", "std::env", "std::process"] {
            assert!(!source.code.contains(word), "{} has {word}", source.path);
        }
    }
}

#[test]
fn reasons_come_from_one_table() {
    // Other vocabularies share a word here and there: stages, policies, the words of Kubernetes.
    const ELSEWHERE: &[&str] = &["src/engine/value/reason.rs", "src/engine/condition.rs"];
    const SHARED: &[&str] = &["Blocked", "ObserveOnly", "Registering", "Suspended"];
    for source in sources().iter().filter(|source| !ELSEWHERE.contains(&source.path.as_str())) {
        for row in reason::TABLE.iter().filter(|row| !SHARED.contains(&row.name)) {
            let literal = format!("{:?}", row.name);
            assert!(
                !source.code.contains(&literal),
                "{} writes {literal}: use Reason::{}",
                source.path,
                row.name
            );
        }
    }
}

#[test]
fn modules_are_named_for_what_they_hold() {
    for source in sources() {
        for name in ["utils", "util", "helpers", "helper", "common", "manager", "misc"] {
            let named = Path::new(&source.path).components().any(|part| {
                let part = part.as_os_str().to_string_lossy();
                part == name || part == format!("{name}.rs")
            });
            assert!(!named, "{} says nothing about what it holds", source.path);
        }
    }
}

#[test]
fn nothing_is_left_for_later_and_nothing_belongs_to_one_machine() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("unimpl", "emented!"),
        concat!("to", "do!("),
        concat!("dbg", "!("),
        concat!("#[ign", "ore"),
    ];
    let mut found = Vec::new();
    for path in files(Path::new(ROOT), &|name| {
        [".rs", ".md", ".yaml", ".toml", ".json", ".sh", ".tpl", ".txt", "Makefile", "run"]
            .iter()
            .any(|end| name.ends_with(end))
    }) {
        let text = fs::read_to_string(&path).unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{}:{}: {word}", relative(&path), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn unsafe_code_is_forbidden_and_unwrap_is_not_used() {
    let manifest = read("Cargo.toml");
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    for source in sources() {
        assert!(!source.code.contains(".unwrap()"), "{} unwraps: say what is wrong instead", source.path);
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "{} does not open with its purpose", source.path);
    }
}

#[test]
fn there_is_one_tls_stack() {
    let locked = read("Cargo.lock");
    let has = |name: &str| locked.contains(&format!("\nname = \"{name}\"\n"));
    for banned in ["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys"] {
        assert!(!has(banned), "{banned} is in Cargo.lock: find who wants it with cargo tree -i");
    }
    assert!(has("rustls") && has("ring"));
}

/// A source file, with and without what is not code.
struct Source {
    path: String,
    /// The top-level module that it belongs to.
    module: String,
    text: String,
    /// Without comments and without the tests at its end.
    code: String,
    /// Paths of ours that it names, two segments deep: `meta::port`.
    ours: BTreeSet<String>,
}

impl Source {
    fn names_crate(&self, name: &str) -> bool {
        self.code.match_indices(name).any(|(at, _)| {
            let before = self.code[..at].chars().next_back().unwrap_or(' ');
            let after = &self.code[at + name.len()..];
            !(before.is_alphanumeric() || before == '_' || before == ':' || before == '.' || before == '"')
                && (after.starts_with("::") || (after.starts_with(';') && self.code[..at].ends_with("use ")))
        })
    }
}

fn sources() -> Vec<Source> {
    files(&Path::new(ROOT).join("src"), &|name| {
        name.ends_with(".rs") && !["tests.rs", "fixture.rs"].iter().any(|end| name.ends_with(end))
    })
    .into_iter()
    .map(|path| {
        let text = fs::read_to_string(&path).expect("a source is text");
        let path = relative(&path);
        let module = path
            .trim_start_matches("src/")
            .split('/')
            .next()
            .unwrap_or_default()
            .trim_end_matches(".rs")
            .to_owned();
        let code = code_of(&text);
        let ours = ours_in(&code);
        Source { path, module, text, code, ours }
    })
    .collect()
}

fn code_of(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].lines().filter(|line| !line.trim_start().starts_with("//")).fold(
        String::new(),
        |mut code, line| {
            code.push_str(line);
            code.push('\n');
            code
        },
    )
}

/// The paths after each `crate::`, groups in braces included.
fn ours_in(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, word) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        for path in leaves(&code[at + word.len()..]) {
            found.insert(path.split("::").take(2).collect::<Vec<_>>().join("::"));
        }
    }
    found
}

/// The paths that a use tree names: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn leaves(tree: &str) -> Vec<String> {
    fn walk(tree: &str, prefix: &str, out: &mut Vec<String>) -> usize {
        let mut path = prefix.to_owned();
        let mut at = 0;
        let bytes = tree.as_bytes();
        while at < bytes.len() {
            match bytes[at] {
                b'{' => {
                    at += 1;
                    loop {
                        at += tree[at..].len() - tree[at..].trim_start_matches([',', ' ', '\n']).len();
                        match bytes.get(at) {
                            None => return at,
                            Some(b'}') => return at + 1,
                            Some(_) => {
                                let read = walk(&tree[at..], &path, out);
                                if read == 0 {
                                    return at;
                                }
                                at += read;
                            }
                        }
                    }
                }
                c if c.is_ascii_alphanumeric() || c == b'_' || c == b':' => {
                    path.push(char::from(c));
                    at += 1;
                }
                _ => break,
            }
        }
        if at > 0 {
            out.push(path);
            // ` as name` belongs to the leaf that it renames.
            if let Some(rest) = tree[at..].strip_prefix(" as ") {
                let name =
                    rest.len() - rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').len();
                at += 4 + name;
            }
        }
        at
    }
    let mut out = Vec::new();
    walk(tree, "", &mut out);
    out
}

#[test]
fn use_trees_are_read_whole() {
    let code = "use crate::{\n    engine::{a, b::{c, d as e}},\n    meta::port::{Graph},\n};\nlet x = crate::run::act();";
    let found: Vec<_> = ours_in(code).into_iter().collect();
    assert_eq!(found, ["engine::a", "engine::b", "meta::port", "run::act"]);
}

fn files(dir: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(dir).expect("a folder").filter_map(Result::ok).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            if name != "target" && name != ".git" {
                found.extend(files(&path, wanted));
            }
        } else if wanted(&name) {
            found.push(path);
        }
    }
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(ROOT).unwrap_or(path).to_string_lossy().into_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
