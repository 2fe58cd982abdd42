//! The rules of the house, as tests: who may use whom, where reasons come from, what may enter the tree.
//!
//! Who uses whom is read from the syntax, the rest from the text. That is simple and sufficient: this file finds a rule
//! that was forgotten by mistake. Intended violations are found in review.

mod graph;
mod layer;
mod planted;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use whatsapp_operator::engine::{action, reason};

use graph::Graph;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

static GRAPH: LazyLock<Graph> = LazyLock::new(|| Graph::read(Path::new(ROOT)));

/// The sources that are built into the product, as paths from the root.
pub fn product() -> impl Iterator<Item = &'static str> {
    GRAPH.files.keys().map(String::as_str)
}

/// Crates that a module must not name. Which modules of ours it may use says `ARCHITECTURE.md`.
const NEVER: &[(&str, &[&str])] = &[
    (
        "engine",
        &[
            "anstream",
            "anstyle",
            "axum",
            "clap",
            "futures",
            "k8s_openapi",
            "kube",
            "opentelemetry",
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
            "tracing_opentelemetry",
            "tracing_subscriber",
        ],
    ),
    ("api", &["axum", "clap", "reqwest", "tokio", "tower", "tracing"]),
    ("meta", &["axum", "clap", "k8s_openapi", "kube", "schemars"]),
    ("run", &["axum", "clap", "k8s_openapi", "kube", "reqwest", "schemars"]),
    ("cluster", &["axum", "clap", "reqwest"]),
    ("controller", &["clap", "reqwest"]),
    ("cli", &["axum"]),
    ("twin", &["axum", "clap", "k8s_openapi", "kube", "reqwest", "schemars"]),
    ("sandbox", &["clap", "k8s_openapi", "kube", "schemars"]),
    ("telemetry", &["clap", "kube"]),
    ("fetch", &["axum", "clap", "k8s_openapi", "kube", "schemars", "secrecy"]),
    ("repeat", &["axum", "clap", "k8s_openapi", "kube", "reqwest", "schemars"]),
    ("escape", &["axum", "clap", "k8s_openapi", "kube", "reqwest", "schemars", "tokio", "tracing"]),
];

#[test]
fn modules_use_only_what_their_place_allows() {
    let broken = layer::outside(&GRAPH, &layer::modules(&read("ARCHITECTURE.md")));
    assert!(broken.is_empty(), "against the table of modules in ARCHITECTURE.md:\n{}", broken.join("\n"));
}

#[test]
fn modules_name_no_crate_that_is_not_for_them() {
    let mut broken = Vec::new();
    for row in layer::modules(&read("ARCHITECTURE.md")) {
        let is_known = row.module == "main" || NEVER.iter().any(|(module, _)| *module == row.module);
        assert!(is_known, "say which crates `{}` must not name", row.module);
    }
    for (file, crates) in &GRAPH.crates {
        let module = GRAPH.files[file].split("::").next().unwrap_or_default();
        let never = NEVER.iter().filter(|(of, _)| *of == module).flat_map(|(_, never)| *never);
        broken.extend(never.filter(|name| crates.contains(**name)).map(|name| format!("{file} uses {name}")));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_layer_of_the_engine_uses_one_above_it() {
    let broken = layer::upward(&GRAPH, &layer::layers(&read("ARCHITECTURE.md")));
    assert!(broken.is_empty(), "against the layers in ARCHITECTURE.md:\n{}", broken.join("\n"));
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let circles = GRAPH.circles();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn every_source_belongs_to_the_product_or_to_its_tests() {
    assert!(GRAPH.apart.is_empty(), "no `mod` declares {:?}", GRAPH.apart);
    let is_of_tests = |file: &str| ["tests.rs", "fixture.rs"].iter().any(|end| file.ends_with(end));
    for file in GRAPH.files.keys() {
        assert!(!is_of_tests(file), "{file} is in the product: declare it under #[cfg(test)]");
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
    const ELSEWHERE: &[&str] = &["src/engine/value/reason.rs"];
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
fn actions_and_actors_come_from_one_table() {
    let names = action::ACTIONS.iter().map(|row| row.name).chain(action::ACTORS.iter().map(|row| row.name));
    let names: Vec<_> = names.filter(|name| *name != action::Actor::Meta.as_str()).collect();
    for source in sources().iter().filter(|source| source.path != "src/engine/value/action.rs") {
        for name in &names {
            let literal = format!("{name:?}");
            assert!(!source.code.contains(&literal), "{} writes {literal}: use engine::action", source.path);
        }
    }
    let api =
        sources().into_iter().find(|source| source.path == "src/api/v1alpha1/waiting.rs").expect("the kinds");
    for row in action::ACTORS {
        assert!(api.text.contains(row.name), "the description of waitingFor does not name {}", row.name);
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
}

fn sources() -> Vec<Source> {
    files(&Path::new(ROOT).join("src"), &|name| {
        Path::new(name).extension().is_some_and(|end| end == "rs")
            && !["tests.rs", "fixture.rs"].iter().any(|end| name.ends_with(end))
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
        Source { path, module, text, code }
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
