//! What people are told to type exists: each command and each flag in a text of the product, of a page, and of the chart, as the
//! program itself and kubectl know them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use clap::CommandFactory as _;
use proc_macro2::{TokenStream, TokenTree};

use crate::{control_plane, docs, house};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Texts of the product that are no Rust and no page.
const TEXTS: &[&str] = &[
    "charts/whatsapp-operator/templates/NOTES.txt",
    "charts/whatsapp-operator/files/rules.yaml",
    "deploy/krew/whatsapp.yaml",
];

/// Words behind `kubectl` in texts that are no command of its.
const PROSE: &[&str] = &["whatsapp", "refuses", "krew"];

/// The program, as its help knows it.
static PROGRAM: LazyLock<clap::Command> = LazyLock::new(|| {
    let mut program = whatsapp_operator::cli::Cli::command();
    program.build();
    program
});

/// Every text in a source without its tests: messages, and comments, of which the help is made.
#[derive(Default)]
struct Texts {
    messages: Vec<String>,
    comments: Vec<String>,
}

impl Texts {
    fn of(source: &str) -> Self {
        let product = source.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let mut texts = Self::default();
        texts.collect(product.parse().expect("Rust"));
        texts
    }

    fn collect(&mut self, tokens: TokenStream) {
        let mut is_comment = false;
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.collect(group.stream()),
                TokenTree::Literal(literal) => {
                    let text = syn::parse_str::<syn::LitStr>(&literal.to_string()).map(|text| text.value());
                    let of = if is_comment { &mut self.comments } else { &mut self.messages };
                    of.extend(text);
                }
                TokenTree::Ident(name) => is_comment = name == "doc",
                TokenTree::Punct(_) => {}
            }
        }
    }
}

/// The commands in a text that begin so: the words behind, as far as they belong to it.
fn commands(text: &str, program: &str) -> Vec<Vec<String>> {
    let text = text.replace(['\n', '`', '"', '\\'], " ");
    let mut found = Vec::new();
    for rest in text.split(program).skip(1) {
        let mut words = Vec::new();
        for word in rest.split_whitespace() {
            let bare = word.trim_end_matches(['.', ',', ';', ':', ')', ']', '\'']);
            if matches!(bare, "|" | "&&" | "--" | "and" | "or" | "") {
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
    let verb = words.first()?;
    if verb.starts_with(|c: char| !c.is_ascii_lowercase()) {
        return None;
    }
    let Some(known) = PROGRAM.find_subcommand(verb).filter(|known| !known.is_hide_set()) else {
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

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(file)).expect("a file")
}

#[test]
fn every_command_that_people_are_told_to_type_exists() {
    let mut told: Vec<(String, String)> = Vec::new();
    for file in house::product() {
        let Texts { messages, comments } = Texts::of(&read(file));
        told.extend(messages.into_iter().chain(comments).map(|text| (file.to_owned(), text)));
    }
    told.extend(TEXTS.iter().map(|file| ((*file).to_owned(), read(file))));
    for page in docs::pages() {
        told.extend(docs::code(&read(&page)).into_iter().map(|code| (page.clone(), code)));
    }
    let mut bad = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (file, text) in told {
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
fn every_command_of_kubectl_in_a_text_exists() {
    let kubectl = control_plane::tool("kubectl").expect("kubectl");
    let said = |args: &[&str]| {
        let output = Command::new(&kubectl).args(args).output().expect("kubectl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let options = said(&["options"]);
    let mut helps: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let mut bad = BTreeSet::new();
    let mut told: Vec<(String, String)> = Vec::new();
    for file in house::product() {
        told.extend(Texts::of(&read(file)).messages.into_iter().map(|text| (file.to_owned(), text)));
    }
    for page in docs::pages() {
        told.extend(docs::code(&read(&page)).into_iter().map(|code| (page.clone(), code)));
    }
    told.extend(TEXTS.iter().map(|file| ((*file).to_owned(), read(file))));
    for (file, text) in &told {
        for words in commands(text, "kubectl ") {
            let is_word = |word: &&String| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let is_flag = |word: &&String| word.starts_with('-');
            let named: Vec<String> =
                words.iter().take_while(|word| is_word(word) && !is_flag(word)).take(3).cloned().collect();
            let Some(verb) = named.first().filter(|verb| !PROSE.contains(&verb.as_str())) else { continue };
            let help = helps.entry(named.clone()).or_insert_with(|| {
                said(&named.iter().map(String::as_str).chain(["--help"]).collect::<Vec<_>>())
            });
            let has = |flag: &str| {
                let is_in =
                    |text: &str| [" ", ","].iter().any(|before| text.contains(&format!("{before}{flag}")));
                is_in(help) || is_in(&options)
            };
            if !help.contains(&format!("kubectl {verb}")) {
                bad.insert(format!("{file}: kubectl has no command {verb}: {}", words.join(" ")));
            } else if let Some(flag) = flags(&words).find(|flag| !has(flag)) {
                bad.insert(format!("{file}: kubectl {verb} has no flag {flag}"));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.into_iter().collect::<Vec<_>>().join("\n"));
    assert!(helps.keys().any(|named| named[0] == "get"), "{:?}", helps.keys());
}

#[test]
fn a_command_that_does_not_exist_is_found() {
    let of = |text: &str| commands(text, "kubectl whatsapp ").iter().find_map(|words| wrong(words));
    assert_eq!(of("run kubectl whatsapp send-code NAME -n {namespace}, then wait"), None);
    assert_eq!(of("see `kubectl whatsapp status portfolio/NAME --watch`."), None);
    assert_eq!(of("run kubectl whatsapp {verb} NAME"), None);
    assert_eq!(of("run kubectl whatsapp sendcode NAME"), Some("there is no command sendcode".to_owned()));
    assert_eq!(of("kubectl whatsapp code NAME --wait"), Some("code has no flag --wait".to_owned()));
    let source = "/// Three.\nconst A: &str = \"one\"; fn f() { format!(\"two {}\", 1) }\n#[cfg(test)]\nmod tests { const B: &str = \"four\"; }";
    let texts = Texts::of(source);
    assert_eq!(
        (texts.messages, texts.comments),
        (vec!["one".to_owned(), "two {}".to_owned()], vec![" Three.".to_owned()])
    );
}
