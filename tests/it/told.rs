//! What people are told to type exists: each command and each flag in a text of the product, of a page, and of the chart, as the
//! program itself and kubectl know them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory as _;
use proc_macro2::{TokenStream, TokenTree};

use crate::{control_plane, docs, house};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Texts of the product that are no Rust.
const TEXTS: &[&str] = &[
    "charts/whatsapp-operator/templates/NOTES.txt",
    "charts/whatsapp-operator/files/rules.yaml",
    "deploy/krew/whatsapp.yaml",
];
/// Words behind `kubectl` that are no command of its.
const PROSE: &[&str] =
    &["plugin", "is", "and", "itself", "takes", "has", "runs", "reads", "hands", "does", "uses"];

/// Every text in a source, comments for the help among them, without its tests.
fn literals(source: &str) -> Vec<String> {
    fn collect(tokens: TokenStream, found: &mut Vec<String>) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => collect(group.stream(), found),
                TokenTree::Literal(literal) => {
                    found
                        .extend(syn::parse_str::<syn::LitStr>(&literal.to_string()).map(|text| text.value()));
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
    let product = source.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut found = Vec::new();
    collect(product.parse().expect("Rust"), &mut found);
    found
}

/// The commands in a text that begin so: the words behind, as far as they belong to it.
fn commands(text: &str, program: &str) -> Vec<Vec<String>> {
    let text = text.replace(['\n', '`', '"', '\\'], " ");
    let mut found = Vec::new();
    for rest in text.split(program).skip(1) {
        let mut words = Vec::new();
        for word in rest.split_whitespace() {
            let bare = word.trim_end_matches(['.', ',', ';', ':', ')', ']', '\'']);
            if matches!(bare, "|" | "&&" | "and" | "or" | "") {
                break;
            }
            words.push(bare.to_owned());
            if bare != word {
                break;
            }
        }
        found.push(words);
    }
    found
}

/// The flags among words, without their values.
fn flags(words: &[String]) -> impl Iterator<Item = &str> {
    let is_flag = |word: &&str| {
        word.strip_prefix('-')
            .is_some_and(|rest| rest.starts_with(|c: char| c == '-' || c.is_ascii_alphabetic()))
    };
    words.iter().map(|word| word.split('=').next().unwrap_or_default()).filter(is_flag)
}

/// What is wrong with a command of ours.
fn wrong(words: &[String]) -> Option<String> {
    let mut command = whatsapp_operator::cli::Cli::command();
    command.build();
    let verb = words.first()?;
    if verb.starts_with(|c: char| !c.is_ascii_lowercase()) {
        return None;
    }
    let Some(known) = command.find_subcommand(verb).filter(|known| !known.is_hide_set()) else {
        return Some(format!("there is no command {verb}"));
    };
    let has = |flag: &str| {
        known.get_arguments().any(|arg| {
            arg.get_long().is_some_and(|long| flag == format!("--{long}"))
                || arg
                    .get_short()
                    .is_some_and(|short| flag.starts_with(&format!("-{short}")) && !flag.starts_with("--"))
        })
    };
    flags(&words[1..]).find(|flag| !has(flag)).map(|flag| format!("{verb} has no flag {flag}"))
}

/// All that is told, by where it stands.
fn told() -> Vec<(String, String)> {
    let read = |file: &str| fs::read_to_string(Path::new(ROOT).join(file)).expect("a file");
    let mut told: Vec<(String, String)> = Vec::new();
    for file in house::product() {
        told.extend(literals(&read(file)).into_iter().map(|text| (file.to_owned(), text)));
    }
    told.extend(TEXTS.iter().map(|file| ((*file).to_owned(), read(file))));
    told.extend(docs::pages().into_iter().map(|page| (page.clone(), read(&page))));
    told
}

#[test]
fn every_command_that_people_are_told_to_type_exists() {
    let mut bad = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (file, text) in told() {
        for words in commands(&text, "kubectl whatsapp ") {
            bad.extend(
                wrong(&words).map(|why| format!("{file}: {why}: kubectl whatsapp {}", words.join(" "))),
            );
            seen.extend(words.into_iter().next());
        }
    }
    assert!(bad.is_empty(), "{}", bad.into_iter().collect::<Vec<_>>().join("\n"));
    for verb in ["send-code", "code", "retry", "status", "waiting", "crd"] {
        assert!(seen.contains(verb), "nobody is told to type {verb}: is the text still found?");
    }
}

#[test]
fn every_command_of_kubectl_in_a_message_exists() {
    let kubectl = control_plane::tool("kubectl").expect("kubectl");
    let said = |args: &[&str]| {
        let output = Command::new(&kubectl).args(args).output().expect("kubectl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let options = said(&["options"]);
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut bad = BTreeSet::new();
    for (file, text) in told().into_iter().filter(|(file, _)| file.starts_with("src/")) {
        for words in commands(&text, "kubectl ") {
            let Some(verb) = words.iter().find(|word| !word.starts_with('-')) else { continue };
            let is_word = verb.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            if !is_word || verb == "whatsapp" || PROSE.contains(&verb.as_str()) {
                continue;
            }
            let help = helps.entry(verb.clone()).or_insert_with(|| {
                let sub = words
                    .get(1)
                    .filter(|_| matches!(verb.as_str(), "config" | "auth" | "create" | "rollout"));
                said(
                    &[
                        [verb.as_str()].as_slice(),
                        &sub.map(String::as_str).into_iter().collect::<Vec<_>>(),
                        &["--help"],
                    ]
                    .concat(),
                )
            });
            let has = |flag: &str| {
                [&*help, &options]
                    .iter()
                    .any(|text| text.contains(&format!("{flag}=")) || text.contains(&format!("{flag},")))
            };
            if !help.contains(&format!("kubectl {verb}")) {
                bad.insert(format!("{file}: kubectl has no command {verb}: {}", words.join(" ")));
            } else if let Some(flag) = flags(&words).find(|flag| !has(flag)) {
                bad.insert(format!("{file}: kubectl {verb} has no flag {flag}"));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.into_iter().collect::<Vec<_>>().join("\n"));
    assert!(helps.contains_key("get") && helps.contains_key("apply"), "{:?}", helps.keys());
}

#[test]
fn a_command_that_does_not_exist_is_found() {
    let of = |text: &str| commands(text, "kubectl whatsapp ").iter().find_map(|words| wrong(words));
    assert_eq!(of("run kubectl whatsapp send-code NAME -n {namespace}, then wait"), None);
    assert_eq!(of("see `kubectl whatsapp status portfolio/NAME --watch`."), None);
    assert_eq!(of("run kubectl whatsapp {verb} NAME"), None);
    assert_eq!(of("run kubectl whatsapp sendcode NAME"), Some("there is no command sendcode".to_owned()));
    assert_eq!(of("kubectl whatsapp code NAME --wait"), Some("code has no flag --wait".to_owned()));
    let text = literals(
        "const A: &str = \"one\"; fn f() { format!(\"two {}\", 1) }\n#[cfg(test)]\nmod tests { const B: &str = \"three\"; }",
    );
    assert_eq!(text, ["one", "two {}"]);
}
