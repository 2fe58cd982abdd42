//! The pages as a site: each is in its table of contents, each link leads somewhere, and each command is run or says why
//! it is not.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use super::{ROOT, pages, prose, read};
use crate::readme::commands;

const CONTENTS: &str = "docs/SUMMARY.md";
const BINARY: &str = env!("CARGO_BIN_EXE_whatsapp-operator");

/// Pages whose commands are all run by a test of their own, in `readme.rs` and `gitops.rs`.
const RUN: &[&str] = &["README.md", "docs/gitops.md"];

/// Commands of `sh` blocks that no test runs, by how they begin. Those of `kubectl whatsapp` are held against its help.
const SHOWN: &[(&str, &str)] = &[
    (
        "make reproduce",
        "two releases take too long for a test; the same writer runs twice in the tests of the image",
    ),
    ("make advisories", "the database is on github.com, and changes without a change here"),
    ("target/tools/bin/crane auth login", "the registry and the password are the reader's"),
    ("kubectl -n whatsapp-operator get lease", "the tests of the leader read it; here no pod runs"),
    ("kubectl -n whatsapp-operator rollout status", "no pod runs in tests"),
    ("kubectl annotate", "the tests of consents set it; the name is the reader's"),
    ("kubectl apply --namespace shop -f portfolio.yaml", "the files are the reader's own"),
    ("kubectl auth can-i", "the tests of the help desk ask for these rights; the names are the reader's"),
    (
        "kubectl create rolebinding help-desk",
        "the tests of the help desk bind it; the names are the reader's",
    ),
    ("kubectl create secret generic acme-meta", "the files are the reader's own"),
    (
        "kubectl create secret generic support-br-pin",
        "the tests of the PIN write it; the name is the reader's",
    ),
    ("kubectl debug POD", "no pod runs in tests; the tests of the log send both signals to the process"),
    ("kubectl get secret support-br-pin", "the tests of the PIN read it; the name is the reader's"),
    (
        "kubectl get crd whatsappchannels.whatsapp-operator.dev",
        "the unit tests of the CRDs read that annotation",
    ),
    ("kubectl get wac", "the tests of drift and of the help desk read that status; the name is the reader's"),
    ("kubectl get wap acme", "the tests of other apps read that status; the name is the reader's"),
    ("helm history whatsapp-operator", "the life of a release runs it under the name of its own release"),
    ("helm get values whatsapp-operator", "the life of a release runs it under the name of its own release"),
    ("helm upgrade whatsapp-operator CHART_", "the life of a release runs it with charts of its own"),
    ("kubectl wait wac/support-br", "the tests of renames look at that condition; here no review takes days"),
    ("rm token appSecret", "the files are the reader's own"),
    ("whatsapp-operator crd | kubectl", "the tests of upgrades put in what the first half prints"),
];

#[test]
fn every_page_is_in_the_table_of_contents_once() {
    let text = read(CONTENTS);
    let mut listed = BTreeMap::<String, usize>::new();
    for link in links(&text) {
        *listed.entry(beside(CONTENTS, &link)).or_default() += 1;
    }
    let mut wrong: Vec<_> = pages()
        .into_iter()
        .filter(|page| page != CONTENTS && !listed.contains_key(page))
        .map(|page| {
            let link = page.strip_prefix("docs/").map_or_else(|| format!("../{page}"), str::to_owned);
            let title =
                read(&page).lines().find_map(|line| line.strip_prefix("# ")).unwrap_or("TITLE").to_owned();
            format!("{page} is missing; add the line `- [{title}]({link})` where it belongs")
        })
        .collect();
    wrong.extend(
        listed.iter().filter(|(_, times)| **times > 1).map(|(page, _)| format!("{page} is there twice")),
    );
    assert!(wrong.is_empty(), "{CONTENTS}:\n{}", wrong.join("\n"));
}

/// A link holds in the repository and on the site, which has the pages, the pictures beside them, and the examples.
#[test]
fn every_link_leads_to_a_page_and_a_heading_of_the_site() {
    let all: BTreeSet<_> = pages().into_iter().filter(|page| page != CONTENTS).collect();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for page in pages() {
        let text = read(&page);
        for link in links(&text) {
            let (path, anchor) =
                link.split_once('#').map_or((&*link, None), |(path, anchor)| (path, Some(anchor)));
            let to = if path.is_empty() { page.clone() } else { beside(&page, path) };
            let carried = ["docs/", "examples/"].iter().any(|folder| to.starts_with(folder));
            let there = Path::new(ROOT).join(&to).is_file() && to != CONTENTS;
            if !there || !(carried || all.contains(&to)) {
                wrong.push(format!(
                    "{page} links {link}: the site has no such page or file; write it as `code`"
                ));
            } else if anchor.is_some_and(|anchor| !headings(&read(&to)).contains(anchor)) {
                wrong.push(format!("{page} links {link}: {to} has no such heading"));
            }
            checked += 1;
        }
        let (used, defined) = references(&text);
        for name in used.symmetric_difference(&defined) {
            wrong.push(format!(
                "{page}: the reference [{name}] is used without an address, or the other way round"
            ));
        }
    }
    assert!(wrong.is_empty() && checked > 100, "{}", wrong.join("\n"));
}

#[test]
fn a_heading_is_found_as_git_forges_and_the_site_name_it() {
    let page = "# `lint -f PATH…`\n\n```sh\n# no heading\n```\n## Quem é?\n## Quem é?\n";
    let names: Vec<_> = headings(page).into_iter().collect();
    assert_eq!(names, ["lint--f-path", "quem-é", "quem-é-1"]);
}

#[test]
fn every_command_of_a_page_is_run_or_says_why_not() {
    let home = tempfile::tempdir().expect("a folder");
    symlink(BINARY, home.path().join("whatsapp-operator")).expect("a link");
    symlink(Path::new(ROOT).join("examples"), home.path().join("examples")).expect("a link");
    let elsewhere: BTreeSet<_> = RUN.iter().flat_map(|page| commands(page)).collect();
    let mut wrong = Vec::new();
    let mut shown = BTreeSet::new();
    let mut done = BTreeMap::new();
    for page in pages().into_iter().filter(|page| page.starts_with("docs/")) {
        for line in commands(&page).into_iter().filter(|line| !elsewhere.contains(line)) {
            if let Some(line) = line.strip_prefix("kubectl whatsapp ") {
                wrong.extend(
                    unknown_flags(line).into_iter().map(|flag| format!("{page}: {line}: no flag {flag}")),
                );
            } else if line.starts_with("whatsapp-operator ") && !line.contains("| kubectl ") {
                let said = done.entry(line.clone()).or_insert_with(|| run(home.path(), &line));
                wrong.extend(said.iter().map(|said| format!("{page}: {line}\n{said}")));
            } else if let Some((begin, _)) = SHOWN.iter().find(|(begin, _)| line.starts_with(begin)) {
                shown.insert(*begin);
            } else {
                wrong.push(format!("{page}: {line}: run it in a test, or give SHOWN a reason why none does"));
            }
        }
    }
    let unused = SHOWN.iter().filter(|(begin, _)| !shown.contains(begin));
    wrong.extend(unused.map(|(begin, _)| format!("no page shows {begin:?} any more; take it out of SHOWN")));
    assert!(wrong.is_empty() && !done.is_empty(), "{}", wrong.join("\n"));
}

/// Runs a line that needs no cluster; what it said if it failed. 2 and 3 are answers: there are changes, somebody has to act.
fn run(home: &Path, line: &str) -> Option<String> {
    let path = format!("{}:{}", home.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(home).env_clear().env("PATH", path).env("HOME", home);
    let output = shell.output().expect("a shell runs");
    let failed = !matches!(output.status.code(), Some(0 | 2 | 3));
    failed.then(|| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// The flags of a line that the help of its command does not have.
fn unknown_flags(line: &str) -> Vec<String> {
    let words: Vec<_> = line.split_whitespace().collect();
    let help = Command::new(BINARY).args([words[0], "--help"]).output().expect("it runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let known: BTreeSet<_> = help.split([' ', ',', '\n', '<', '[', '=']).collect();
    let flags = words[1..].iter().filter(|word| word.starts_with('-'));
    flags.filter(|flag| !known.contains(**flag)).map(|flag| (*flag).to_owned()).collect()
}

/// Where the links of a page lead, but for other sites.
fn links(text: &str) -> Vec<String> {
    let text = without_code(text);
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// The names in `[text][name]`, and those of lines `[name]: address`.
fn references(text: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let text = without_code(text);
    let used =
        text.split("][").skip(1).filter_map(|rest| rest.split(']').next()).map(str::to_owned).collect();
    let defined = text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: http"));
    (used, defined.map(|(name, _)| name.to_owned()).collect())
}

fn without_code(text: &str) -> String {
    prose(text).lines().map(|line| line.split('`').step_by(2).collect::<String>() + "\n").collect()
}

/// A path from the root for one that is read from the folder of a page.
fn beside(page: &str, path: &str) -> String {
    let mut at = PathBuf::new();
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    for part in folder.join(path).components() {
        match part {
            Component::ParentDir => {
                at.pop();
            }
            part => at.push(part),
        }
    }
    at.display().to_string()
}

/// The anchors of a page: lower case, blanks as hyphens, no other punctuation; a second one of a name gets a number.
fn headings(text: &str) -> BTreeSet<String> {
    let text = prose(text);
    let titles =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let mut times = BTreeMap::<String, usize>::new();
    let mut found = BTreeSet::new();
    for title in titles {
        let plain = title.to_lowercase().replace(char::is_whitespace, "-");
        let plain: String = plain.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect();
        let before = times.entry(plain.clone()).or_default();
        found.insert(if *before == 0 { plain } else { format!("{plain}-{before}") });
        *before += 1;
    }
    found
}
