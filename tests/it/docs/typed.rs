//! What the pages have people type: every command is run as it is written, in the order of its page, or says why it is not.
//!
//! The reader stands before a real API server with the chart's objects, an operator and a simulated Meta. Names of namespaces
//! and addresses are those of this test, and the files are the examples.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tokio::task::block_in_place;

use super::site::{beside, links};
use super::{ROOT, pages, read, words};
use crate::control_plane::Process;
use crate::rig::{ACCOUNT, Rig, free_address};

const BINARY: &str = env!("CARGO_BIN_EXE_whatsapp-operator");
/// Where the pages have the sandbox listen.
const SANDBOX: &str = "127.0.0.1:8088";
const DIGITS: &str = "5511912345678";

/// Pages whose commands are all run by a test of their own, in `readme.rs`, `gitops.rs` and `logs.rs`.
const RUN: &[&str] = &["README.md", "docs/gitops.md", "docs/logs.md"];
/// The page that makes what the others look at, and the one that takes it away.
const FIRST: &str = "docs/first-channel.md";
const LAST: &str = "docs/deletion.md";

/// Pages that name commands and have nobody type them: what changed, and what is promised.
const TOLD: &[&str] = &["CHANGELOG.md", "SECURITY.md"];

/// How the content of a block may be called. What people type stands in `sh`, and only there.
const LANGUAGES: &[&str] = &["sh", "yaml", "json", "rust", "text"];
/// How a line begins that somebody types.
const PROGRAMS: &[&str] = &["$", "kubectl", "helm", "whatsapp-operator", "cargo", "make", "curl", "export"];

/// Commands that no test of the pages runs, by how they begin.
const SHOWN: &[(&str, &str)] = &[
    (
        "make reproduce",
        "two releases take too long for a test; the same writer runs twice in the tests of the image",
    ),
    ("make advisories", "the database is on github.com, and changes without a change here"),
    ("target/tools/bin/crane auth login", "the registry and the password are the reader's"),
    ("skopeo copy", "no container engine is needed here; the tests of the image read the layout"),
    ("podman pull", "no container engine is needed here; the tests of the image read the layout"),
    ("tar --create", "no container engine is needed here; the tests of the image read the layout"),
    (
        "helm upgrade",
        "digest and charts are the reader's; the tests of the chart install, upgrade, go back and set a digest",
    ),
    ("helm history", "the life of a release, in the tests of the chart, runs it under that release's name"),
    (
        "helm get values",
        "the life of a release, in the tests of the chart, runs it under that release's name",
    ),
    ("helm install", "the README's, with its variables written out; that one is run"),
    ("kubectl -n whatsapp-operator rollout status", "no pod runs in tests"),
];

/// Commands that end with another code than 0, by how they begin. 2 tells of changes, and 3 that somebody has to act first.
const ANSWERS: &[(&str, i32)] = &[
    ("whatsapp-operator plan -f portfolio.yaml", 2),
    ("whatsapp-operator plan -f examples/mobile-sms.yaml", 2),
    ("whatsapp-operator doctor -f examples/portfolio-waiting.yaml", 3),
    // Before its code is asked for.
    ("kubectl whatsapp doctor support-br --namespace shop", 3),
    // Once it is Ready, on the page of those who help with codes.
    ("kubectl whatsapp send-code support-br -n shop", 3),
    ("kubectl whatsapp code support-br -n shop", 3),
    ("kubectl auth can-i get secret/acme-meta", 1),
    // What is there was installed by the chart, with labels of its own.
    ("whatsapp-operator crd | kubectl diff", 1),
];

/// The commands of a page: the lines of every `sh` block, one that goes on with the next as one.
pub fn commands(page: &str) -> Vec<String> {
    commands_in(&read(page))
}

/// The same of a part of a page.
fn commands_in(text: &str) -> Vec<String> {
    let typed = blocks(text).into_iter().filter(|block| block.language == "sh");
    let text: String = typed.map(|block| block.lines.join("\n") + "\n").collect();
    let lines = text.replace("\\\n", "");
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

struct Block {
    language: String,
    lines: Vec<String>,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines().map(str::trim) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => {
                open = Some(Block { language: language.to_owned(), lines: Vec::new() });
            }
            (None, Some(block)) => block.lines.push(line.to_owned()),
            (None, None) => {}
        }
    }
    blocks
}

/// What is wrong with the blocks of a page: commands that [`commands`] would miss.
fn hidden(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.lines().any(|line| line.trim_start().starts_with("~~~")) {
        wrong.push("a block begins with ~~~; write ```".to_owned());
    }
    for block in blocks(text) {
        let language = &block.language;
        if !LANGUAGES.contains(&language.as_str()) {
            wrong.push(format!("a block is called {language:?}; call it one of {LANGUAGES:?}"));
        }
        let is_typed =
            |line: &&String| line.split_whitespace().next().is_some_and(|first| PROGRAMS.contains(&first));
        let typed = block.lines.iter().find(is_typed).filter(|_| language != "sh");
        wrong.extend(typed.map(|line| format!("{line:?} stands in a block {language:?}; call it \"sh\"")));
        let prompt = block.lines.iter().find(|line| language == "sh" && line.starts_with("$ "));
        wrong.extend(prompt.map(|line| format!("{line:?}: leave out the prompt, so that it can be copied")));
    }
    wrong
}

#[test]
fn commands_stand_where_they_are_found() {
    let wrong: Vec<_> = pages()
        .into_iter()
        .flat_map(|page| hidden(&read(&page)).into_iter().map(move |wrong| format!("{page}: {wrong}")))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (block, is_found) in [
        ("```sh\nkubectl get wac\n```", true),
        ("- a\n\n  ```sh\n  kubectl get wac\n  ```", true),
        ("```sh\n$ kubectl get wac\n```", false),
        ("```console\n$ kubectl get wac\n```", false),
        ("```bash\nkubectl get wac\n```", false),
        ("```text\n$ ls\n```", false),
        ("```text\nkubectl get wac\n```", false),
        ("```\nkubectl get wac\n```", false),
        ("~~~sh\nkubectl get wac\n~~~", false),
    ] {
        assert_eq!(hidden(block).is_empty(), is_found, "{block}");
    }
}

/// Whether a line uses our own program, under either of its names.
fn is_ours(line: &str) -> bool {
    use clap::CommandFactory as _;
    let command = whatsapp_operator::cli::Cli::command();
    line.split('|').map(str::trim_start).any(|part| {
        part.starts_with("kubectl whatsapp ")
            || part.starts_with("kubectl-whatsapp ")
            || part
                .strip_prefix("whatsapp-operator ")
                .and_then(|rest| rest.split_whitespace().next())
                .is_some_and(|verb| command.find_subcommand(verb).is_some())
    })
}

#[test]
fn a_page_that_uses_the_command_line_says_how_to_get_it() {
    let builds = |page: &String| {
        let lines = commands(page);
        ["cargo install --locked", "ln -sf whatsapp-operator "]
            .iter()
            .all(|begin| lines.iter().any(|line| line.starts_with(begin)))
    };
    let all: Vec<String> = pages().into_iter().filter(|page| !TOLD.contains(&page.as_str())).collect();
    let building: Vec<&String> = all.iter().filter(|page| builds(page)).collect();
    assert!(building.iter().any(|page| *page == "docs/install.md"), "{building:?}");
    let mut wrong = Vec::new();
    let mut users = 0;
    for page in &all {
        let text = read(page);
        let Some(used) = commands(page).into_iter().chain(words(&text)).find(|line| is_ours(line)) else {
            continue;
        };
        users += 1;
        let leads = |link: &String| {
            let path = link.split('#').next().unwrap_or_default();
            building.iter().any(|page_that_builds| **page_that_builds == beside(page, path))
        };
        if !building.contains(&page) && !links(&text).iter().any(leads) {
            wrong.push(format!("{page} uses {used:?}; link install.md#build-the-command-line"));
        }
    }
    assert!(users > 20 && wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The ids and the number of the examples are made up: who has a number of his own applies files of his own.
#[test]
fn nobody_is_told_to_apply_an_example_as_his_own_number() {
    for (page, heading) in [
        ("docs/inicio-rapido.md", "\n## Com o seu número\n"),
        ("docs/first-channel.md", "\n## 1. The credentials\n"),
    ] {
        let text = read(page);
        let (_, own) = text.split_once(heading).unwrap_or_else(|| panic!("{page} has no {heading:?}"));
        let lines = commands_in(own);
        let uses = |verb: &str| lines.iter().filter(|line| line.contains(verb)).cloned().collect::<Vec<_>>();
        for verb in [" apply ", " lint ", " plan "] {
            let used = uses(verb);
            assert!(!used.is_empty(), "{page} shows no {verb}");
            assert!(used.iter().all(|line| !line.contains("examples/")), "{page}: {used:?}");
        }
        assert_eq!(uses("cp examples/").len(), 2, "{page}: both files are copied first");
        for field in ["businessId", "accountId", "phoneNumber", "displayName", "access"] {
            assert!(own.contains(&format!("`{field}`")), "{page} does not say what to do with {field}");
        }
    }
}

/// Somebody with the pages, a shell and the files that they name.
struct Reader<'a> {
    rig: &'a Rig,
    folder: PathBuf,
    sandbox: std::net::SocketAddr,
}

impl Reader<'_> {
    async fn new(rig: &Rig) -> Reader<'_> {
        let folder = rig.plane.dir().join("pages");
        let tools = folder.join("tools");
        fs::create_dir_all(&tools).expect("a folder");
        for name in ["kubectl", "helm"] {
            symlink(rig.plane.binary(name), tools.join(name)).expect("a link");
        }
        for name in ["whatsapp-operator", "kubectl-whatsapp"] {
            symlink(BINARY, tools.join(name)).expect("a link");
        }
        symlink(Path::new(ROOT).join("examples"), folder.join("examples")).expect("a link");
        let kubeconfig = folder.join("kubeconfig");
        fs::copy(rig.plane.admin_kubeconfig(), &kubeconfig).expect("a file");
        let set = ["config", "set-context", "--current", "--namespace", &rig.namespace, "--kubeconfig"];
        let set = rig.plane.kubectl(set.iter().map(AsRef::as_ref).chain([kubeconfig.as_os_str()])).await;
        assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
        Reader { rig, folder, sandbox: free_address() }
    }

    /// Lays out the files that a page takes for granted.
    fn open(&self, page: &str) {
        let example = |name: &str| read(&format!("examples/{name}.yaml"));
        for (name, content) in [
            ("token", self.rig.token.clone()),
            ("appSecret", "sandbox-app-secret".to_owned()),
            ("portfolio.yaml", example("portfolio")),
            ("channel.yaml", example("mobile-sms")),
            ("logo.png", "a picture".to_owned()),
            ("environment", String::new()),
        ] {
            fs::write(self.folder.join(name), content).unwrap_or_else(|error| panic!("{page}: {error}"));
        }
    }

    /// The line with the names of this test.
    fn here(&self, line: &str) -> String {
        let mut line = format!("{line} ")
            .replace(SANDBOX, &self.sandbox.to_string())
            .replace("https://graph.facebook.com", &self.rig.graph_url)
            .replace(" NAME", " support-br")
            .replace("--timeout=120h", "--timeout=1m");
        // Other tests make it, too.
        line =
            line.replace("create namespace shop ", &format!("create namespace {}-shop ", self.rig.namespace));
        for flag in ["-n ", "--namespace "] {
            for namespace in ["shop-br", "shop", "whatsapp-operator"] {
                line =
                    line.replace(&format!("{flag}{namespace} "), &format!("{flag}{} ", self.rig.namespace));
            }
        }
        line
    }

    /// Runs a line in a shell that knows what earlier lines of the page exported.
    fn run(&self, line: &str, number: &str) -> Output {
        let script =
            format!(". ./environment\n{}\nended=$?\nexport -p >environment\nexit $ended", self.here(line));
        let code =
            self.rig.sandbox.delivered_code(DIGITS).filter(|_| line.starts_with("kubectl whatsapp code "));
        fs::write(self.folder.join("typed"), code.unwrap_or_default()).expect("a file");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script])
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", format!("{}:{path}", self.folder.join("tools").display()))
            .env("HOME", &self.folder)
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .env("WHATSAPP_OPERATOR_GRAPH_URL", &self.rig.graph_url)
            .env("TOKEN", &self.rig.token)
            .env("ACCOUNT", ACCOUNT)
            .env("ID", number)
            .stdin(Stdio::from(fs::File::open(self.folder.join("typed")).expect("a file")));
        block_in_place(|| shell.output()).expect("a shell runs")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_a_page_is_run_or_says_why_not() {
    let mut rig = Rig::new("pages").await;
    rig.flags.push("--leader-election".to_owned());
    rig.start().await;
    let reader = Reader::new(&rig).await;
    let mut demo = Command::new(BINARY);
    demo.args(["sandbox", "--listen", &reader.sandbox.to_string()]);
    let mut demo = Process::spawn(demo, reader.folder.join("sandbox.log")).expect("the sandbox");
    assert!(demo.wait_for_output("/control\n", Duration::from_secs(30)).await, "{}", demo.output());

    let others = pages().into_iter().filter(|page| ![FIRST, LAST].contains(&page.as_str()));
    let order = [FIRST.to_owned()].into_iter().chain(others).chain([LAST.to_owned()]);
    let mut done = BTreeSet::new();
    let mut shown = BTreeSet::new();
    let mut wrong = Vec::new();
    for page in order {
        reader.open(&page);
        for line in commands(&page) {
            if let Some((begin, _)) = SHOWN.iter().find(|(begin, _)| line.starts_with(begin)) {
                shown.insert(*begin);
                continue;
            }
            if !done.insert(line.clone()) {
                continue;
            }
            if line.starts_with("kubectl whatsapp doctor support-br --namespace shop") {
                // The page has people wait for that before.
                rig.until_condition("support-br", "NumberVerified", "False", Some("CodeNeeded")).await;
            }
            let number = rig.find("wac", "support-br").await;
            let number =
                number.and_then(|found| found["status"]["phoneNumberId"].as_str().map(str::to_owned));
            let output = reader.run(&line, &number.unwrap_or_default());
            let answer =
                ANSWERS.iter().find(|(begin, _)| line.starts_with(begin)).map_or(0, |(_, code)| *code);
            if output.status.code() != Some(answer) {
                let said = [output.stdout, output.stderr].concat();
                let said = String::from_utf8_lossy(&said).into_owned();
                wrong.push(format!("{page}: {line}\n{}: {said}", output.status));
            }
        }
        if page == FIRST {
            done.extend(RUN.iter().flat_map(|page| commands(page)));
        }
    }
    let unused = SHOWN.iter().filter(|(begin, _)| !shown.contains(begin));
    wrong.extend(unused.map(|(begin, _)| format!("no page shows {begin:?} any more; take it out of SHOWN")));
    assert!(
        wrong.is_empty(),
        "run it in a test, or give SHOWN a reason why none does:\n{}",
        wrong.join("\n")
    );
}
