//! The command line as people and pipelines use it: the binary, its output and its exit codes.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use whatsapp_operator::escape;

use crate::rig::Rig;

const BINARY: &str = env!("CARGO_BIN_EXE_whatsapp-operator");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const NUMBER: &str = "+5511912345678";
const DIGITS: &str = "5511912345678";

/// Runs the binary with nothing in its environment: no home, no kubeconfig, no cluster.
fn run(args: &[&str]) -> Output {
    Command::new(BINARY).args(args).current_dir(ROOT).env_clear().output().expect("the binary runs")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_plan_against_the_sandbox_needs_nothing_but_the_binary() {
    let output = run(&["plan", "-f", "examples", "--sandbox"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let text = stdout(&output);
    for words in ["AddNumber: add +5511912345678", "waits NoAccountInReach", "nothing was written"] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "colours in a pipe");
    assert!(!text.contains("EAA"), "a token in the output");
}

/// What the examples say of themselves is what the plan shows.
#[test]
fn a_plan_of_the_examples_begins_as_each_is_annotated() {
    let output = run(&["plan", "-f", "examples", "--sandbox", "-o", "json"]);
    let plan: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let of = |name: &str| {
        let channels = plan["channels"].as_array().expect("channels");
        channels.iter().find(|channel| channel["name"] == name).expect("the channel").clone()
    };
    let adopted = of("sales-uk");
    assert!(adopted["step"].is_null() && adopted["block"].is_null(), "nothing is written: {adopted}");
    assert_eq!(adopted["ready"], "True");
    assert_eq!(of("newco-hello")["block"]["reason"], "NoAccountInReach");
    assert_eq!(of("support-br")["step"]["kind"], "AddNumber");
    let notes = plan["notes"].to_string();
    assert!(notes.contains("+447700900123 is registered already"), "{notes}");
    assert!(notes.contains("newco has no account"), "{notes}");
}

/// The least that a channel may be is a change, as it is where its portfolio has one account.
#[test]
fn a_plan_of_a_channel_without_account_shows_its_change() {
    let channel = "apiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppChannel\nmetadata: {name: a}\nspec:\n  \
                   portfolioRef: {name: acme}\n  phoneNumber: \"+5511912345678\"\n  displayName: Acme Suporte\n";
    let portfolio = "---\napiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppPortfolio\n\
                     metadata: {name: acme, annotations: {whatsapp-operator.dev/sandbox: SEED}}\nspec:\n  \
                     businessId: \"500000000000001\"\n  credentials: {accessTokenSecretRef: {name: a, key: token}}\n";
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.yaml");
    let plan = |text: &str| {
        std::fs::write(&path, text).expect("written");
        run(&["plan", "-f", &path.display().to_string(), "--sandbox"])
    };
    for text in [channel.to_owned(), format!("{channel}{}", portfolio.replace("SEED", "other"))] {
        let output = plan(&text);
        assert_eq!(output.status.code(), Some(2), "{}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).contains("AddNumber: add +5511912345678"), "{}", stdout(&output));
        assert!(stdout(&output).contains("the sandbox makes one up"), "{}", stdout(&output));
    }
    let output = plan(&format!("{channel}{}", portfolio.replace("SEED", "no-account")));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("waits NoAccountInReach"), "{}", stdout(&output));
}

#[test]
fn a_plan_is_the_same_for_programs() {
    let json = run(&["plan", "-f", "examples", "--sandbox", "-o", "json"]);
    let plan: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(plan["channels"].as_array().map(Vec::len), Some(9));
    let yaml = run(&["plan", "-f", "examples", "--sandbox", "-o", "yaml"]);
    let read: Value = serde_saphyr::from_str(&stdout(&yaml)).expect("YAML");
    assert_eq!(read["changes"], plan["changes"]);
}

#[test]
fn each_example_is_planned_and_passes_lint() {
    for entry in std::fs::read_dir(Path::new(ROOT).join("examples")).expect("examples") {
        let path = entry.expect("an entry").path().display().to_string();
        let lint = run(&["lint", "-f", &path]);
        assert_eq!(lint.status.code(), Some(0), "{}", stdout(&lint));
        let plan = run(&["plan", "-f", &path, "--sandbox"]);
        assert!(matches!(plan.status.code(), Some(0 | 2)), "{path}: {}", stderr(&plan));
    }
}

#[test]
fn a_wrong_manifest_is_refused_with_line_and_column() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("wrong.yaml");
    let text = "apiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppChannel\nmetadata: {name: a}\nspec:\n  \
                portfolioRef: {name: acme}\n  phoneNumber: +5511912345678\n  displayName: Acme\n";
    std::fs::write(&path, text).expect("written");
    let path = path.display().to_string();
    for args in [["lint", "-f", &path], ["plan", "-f", &path]] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert!(said.contains("wrong.yaml:6:16: error: spec.phoneNumber"), "{said}");
    }
}

/// A name that changes the title of a terminal and its colour, and turns and hides what follows, as YAML.
const ACTING: &str = r#""Acme \e]0;title\a\e[32mgreen\u202E\u200B\u2066Shop""#;

/// What is left without our own colours. Those of others would not be in the list, or stand beside their words.
pub fn without_colours(said: &str) -> String {
    let ours = ["0m", "1m", "2m", "31m", "32m", "33m"].map(|end| format!("\u{1b}[{end}"));
    ours.iter().fold(said.replace("\u{1b}[32mgreen", "theirs: \u{1b}"), |said, own| said.replace(own, ""))
}

#[test]
fn no_command_lets_a_terminal_obey_what_others_wrote() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.yaml");
    let text = std::fs::read_to_string(Path::new(ROOT).join("examples/mobile-sms.yaml")).expect("an example");
    let name = text.lines().find(|line| line.trim_start().starts_with("displayName:")).expect("a name");
    std::fs::write(&path, text.replace(name, &format!("  displayName: {ACTING}"))).expect("written");
    let path = path.display().to_string();
    let wrong = dir.path().join("w\u{1b}]0;\u{202e}.yaml");
    std::fs::write(&wrong, text.replace(name, &format!("  {ACTING}: 1"))).expect("written");
    let wrong = wrong.display().to_string();
    let told = r"Acme \u{1b}]0;title\u{7}\u{1b}[32mgreen\u{202e}\u{200b}\u{2066}Shop";
    let meant = "Acme \u{1b}]0;title\u{7}\u{1b}[32mgreen\u{202e}\u{200b}\u{2066}Shop";
    let acting = "no\u{1b}]0;\u{7}\n\u{202e}";
    for (args, words) in [
        (&["lint", "-f", &path][..], "holds U+"),
        (&["lint", "-f", &path, "-o", "json"], ""),
        (&["lint", "-f", &wrong], r"w\u{1b}]0;\u{202e}.yaml"),
        (&["lint", "-f", &wrong, "-o", "json"], r"w\u001b]0;\u202e.yaml"),
        (&["lint", "-f", &wrong, "-o", "yaml"], ""),
        (&["plan", "-f", &wrong, "--sandbox"], r"w\u{1b}]0;\u{202e}.yaml"),
        (&["plan", "-f", &path, "--sandbox", "--whole-way"], told),
        (&["plan", "-f", &path, "--sandbox", "-o", "json"], "title"),
        (&["plan", "-f", &path, "--sandbox", "-o", "yaml"], "title"),
        (&["explain", acting], r"no\u{1b}]0;\u{7}\n\u{202e}"),
        (&["status", acting], ""),
        (&["retry", acting], ""),
        (&["run", "--graph-url", acting], "no"),
        (&[acting], "no"),
    ] {
        for colours in ["0", "1"] {
            let output = Command::new(BINARY)
                .args(args)
                .current_dir(ROOT)
                .env_clear()
                .env("CLICOLOR_FORCE", colours)
                .output()
                .expect("the binary runs");
            let said = format!("{}{}", stdout(&output), stderr(&output));
            let plain = without_colours(&said);
            assert!(!plain.chars().any(|c| escape::acts(c) && c != '\n'), "{args:?}: {plain:?}");
            assert!(plain.contains(words), "{args:?}: {words} is not in\n{plain}");
            if args.contains(&"plan") && args.contains(&"json") {
                let plan: Value = serde_json::from_slice(&output.stdout).expect("JSON");
                assert_eq!(plan["channels"][0]["displayName"], meant, "programs get what was meant");
            }
        }
    }
}

#[test]
fn without_a_cluster_it_says_what_to_do() {
    let output = run(&["status", "support-br"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.starts_with("error: no cluster") && said.contains("next: point KUBECONFIG"), "{said}");
    assert_eq!(run(&["status"]).status.code(), Some(1), "wrong arguments");
    assert_eq!(run(&["plan", "-f", "examples"]).status.code(), Some(1), "no credentials");
    assert_eq!(run(&["--help"]).status.code(), Some(0));
}

#[test]
fn a_time_without_end_is_refused_with_its_flag() {
    for (args, flag) in [
        (&["run", "--list-freshness"][..], "--list-freshness"),
        (&["run", "--unseen-after"], "--unseen-after"),
        (&["run", "--longest-interval"], "--longest-interval"),
        (&["send-code", "a", "--timeout"], "--timeout"),
        (&["retry", "a", "--timeout"], "--timeout"),
        (&["code", "a", "--timeout"], "--timeout"),
    ] {
        for time in ["2000000000000000h", "8761h"] {
            let output = run(&[args, &[time]].concat());
            assert_eq!(output.status.code(), Some(1), "{args:?}");
            let said = stderr(&output);
            assert!(said.contains(flag) && said.contains("longer than a year"), "{said}");
        }
    }
}

#[test]
fn a_log_level_that_is_none_is_refused_with_its_flag() {
    for (level, told) in
        [("whatsapp_operator=loud", "whatsapp_operator=loud is neither"), ("verbose", "verbose is")]
    {
        let output = run(&["run", "--log-level", level]);
        assert_eq!(output.status.code(), Some(1), "{level}");
        let said = stderr(&output);
        assert!(said.contains("--log-level") && said.contains(told) && said.contains("or trace"), "{said}");
    }
}

#[test]
fn it_explains_reasons_conditions_actions_and_codes() {
    for (what, words) in [
        ("NameDeclined", "declined"),
        ("NameDeclined", "ClusterUser: ChooseName"),
        ("AskForCode", "PhoneHolder"),
        ("askforcode", "kubectl whatsapp send-code"),
        ("AskForCode", "CodeNeeded"),
        ("NumberVerified", "CodeAwaited"),
        ("136024", "code"),
        ("100/33", "no proof of deletion"),
    ] {
        let output = run(&["explain", what]);
        assert_eq!(output.status.code(), Some(0), "{what}: {}", stderr(&output));
        assert!(stdout(&output).contains(words), "{what}: {}", stdout(&output));
    }
    let output = run(&["explain", "NameDecline"]);
    assert!(stderr(&output).contains("did you mean NameDeclined?"), "{}", stderr(&output));
    let output = run(&["explain", "AskForCod"]);
    assert!(stderr(&output).contains("did you mean AskForCode?"), "{}", stderr(&output));
}

#[test]
fn the_crds_it_prints_are_those_that_are_committed() {
    let text = stdout(&run(&["crd"]));
    for file in ["whatsappchannels", "whatsappportfolios"] {
        let crd = std::fs::read_to_string(Path::new(ROOT).join(format!("crds/{file}.yaml"))).expect("a CRD");
        assert!(text.contains(&crd), "{file}");
    }
}

/// Every option of every command is in the reference, and the exit codes are.
#[test]
fn the_reference_names_every_flag() {
    use clap::CommandFactory as _;
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/cli.md")).expect("the reference");
    for command in whatsapp_operator::cli::Cli::command().get_subcommands().filter(|one| !one.is_hide_set()) {
        assert!(
            page.contains(&format!("`{}", command.get_name())),
            "{} is not in docs/cli.md",
            command.get_name()
        );
        for arg in command.get_arguments() {
            let Some(long) = arg.get_long().filter(|long| !["help", "filename", "output"].contains(long))
            else {
                continue;
            };
            assert!(
                page.contains(&format!("--{long}")),
                "{} --{long} is not in docs/cli.md",
                command.get_name()
            );
        }
    }
}

#[test]
fn who_answers_the_questions_gets_manifests_that_can_be_applied() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path().join("my files");
    std::fs::create_dir(&dir).expect("a folder");
    let folder = dir.display().to_string();
    let args = ["init", "--folder", &folder, "-n", "shop"];
    let init = |answers: &str| {
        let mut command = Command::new(BINARY);
        command.args(args).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        child.stdin.take().expect("a pipe").write_all(answers.as_bytes()).expect("written");
        child.wait_with_output().expect("it ends")
    };
    let stopped = init("acme\n");
    assert_eq!(stopped.status.code(), Some(1));
    assert!(
        stderr(&stopped).contains("there is no answer to: Id of the business portfolio?"),
        "{}",
        stderr(&stopped)
    );

    // A wrong answer is asked for again, and nothing in a name is obeyed.
    let answers = concat!(
        "acme\n500000000000001\nAcme: Ltda\nbr\nBR\n300000000000001\nyes\nsupport\n11 912345678\n+5511912345678\n",
        "Acme: \"Suporte\" #1\nBrasilia\nAmerica/Sao_Paulo\nVoice\n\nyes\n"
    );
    let done = init(answers);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    for wrong in ["\"11 912345678\": ", "\"br\": a country is two", "\"Brasilia\": it is not in the table"] {
        assert!(stderr(&done).contains(wrong), "{wrong} is not in\n{}", stderr(&done));
    }
    for command in [
        "kubectl create secret generic acme-meta -n shop --from-file=token=./token --from-file=appSecret=./appSecret",
        "kubectl create secret generic support-pin -n shop --from-file=pin=./pin",
        // A shell takes it as it stands, and what else is in the folder stays out of it.
        &format!("kubectl apply -f '{folder}/portfolio-acme.yaml' -f '{folder}/channel-support.yaml'"),
    ] {
        assert!(stdout(&done).contains(command), "{}", stdout(&done));
    }
    let text = std::fs::read_to_string(dir.join("portfolio-acme.yaml")).expect("a manifest");
    let portfolio: Value = serde_saphyr::from_str(&text).expect("YAML");
    let secret = json!({"name": "acme-meta", "key": "appSecret"});
    assert_eq!(portfolio["spec"]["credentials"]["appSecretRef"], secret, "{portfolio:#}");
    assert_eq!(portfolio["spec"]["expect"], json!({"name": "Acme: Ltda", "country": "BR"}), "{portfolio:#}");
    let text = std::fs::read_to_string(dir.join("channel-support.yaml")).expect("a manifest");
    let channel: Value = serde_saphyr::from_str(&text).expect("YAML");
    let spec = json!({
        "portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme: \"Suporte\" #1",
        "accountId": "300000000000001", "timeZone": "America/Sao_Paulo", "verification": {"method": "Voice"},
    });
    assert_eq!(channel["spec"], spec);
    let plan = run(&["plan", "-f", &folder, "--sandbox"]);
    assert_eq!(plan.status.code(), Some(2), "{}{}", stdout(&plan), stderr(&plan));

    let again = init(answers);
    assert_eq!(again.status.code(), Some(1), "files that are there stay");
    assert!(stderr(&again).contains("is not written over"), "{}", stderr(&again));

    // What is optional and not answered is in no manifest.
    let least = init("other\n500000000000001\n\n\n\n\nhello\n+5511912345679\nAcme\n\n\n\n\n");
    assert_eq!(least.status.code(), Some(0), "{}", stderr(&least));
    let spec = |file: &str| {
        let text = std::fs::read_to_string(dir.join(file)).expect("a manifest");
        serde_saphyr::from_str::<Value>(&text).expect("YAML")["spec"].clone()
    };
    let token = json!({"accessTokenSecretRef": {"name": "other-meta", "key": "token"}});
    assert_eq!(
        spec("portfolio-other.yaml"),
        json!({"businessId": "500000000000001", "credentials": token}),
        "{}",
        stdout(&least)
    );
    let number =
        json!({"portfolioRef": {"name": "other"}, "phoneNumber": "+5511912345679", "displayName": "Acme"});
    assert_eq!(spec("channel-hello.yaml"), number);
}

/// What every document for programs begins with.
#[test]
fn programs_are_told_what_they_read() {
    for (args, kind) in [
        (&["plan", "-f", "examples", "--sandbox"][..], "Plan"),
        (&["lint", "-f", "examples"], "Lint"),
        (&["doctor", "-f", "examples", "--sandbox"], "Doctor"),
        (&["explain", "NameDeclined"], "Explanation"),
    ] {
        for format in ["json", "yaml"] {
            let output = run(&[args, &["-o", format]].concat());
            let told: Value = match format {
                "json" => serde_json::from_slice(&output.stdout).expect("JSON"),
                _ => serde_saphyr::from_str(&stdout(&output)).expect("YAML"),
            };
            assert_eq!(told["apiVersion"], "whatsapp-operator.dev/v1alpha1", "{args:?}");
            assert_eq!(told["kind"], kind, "{args:?}");
        }
    }
}

/// A remedy for a program is as good as one for a person: it names the object.
#[test]
fn no_remedy_about_an_object_leaves_its_name_open() {
    let output = run(&["doctor", "-f", "examples", "--sandbox", "-o", "json"]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let remedies: Vec<&str> = told["channels"]
        .as_array()
        .expect("channels")
        .iter()
        .filter_map(|channel| channel["next"]["remedy"].as_str())
        .collect();
    assert!(remedies.iter().any(|remedy| remedy.contains("kubectl whatsapp ")), "{remedies:?}");
    assert!(remedies.iter().all(|remedy| !remedy.contains("NAME")), "{remedies:?}");
}

/// Runs the binary under the name that kubectl looks for.
fn plugin(args: &[&str]) -> Output {
    use std::os::unix::process::CommandExt as _;
    Command::new(BINARY).arg0("kubectl-whatsapp").args(args).env_clear().output().expect("the binary runs")
}

/// The commands that people see, each with its own flags that they see.
fn commands() -> Vec<(String, Vec<String>)> {
    use clap::CommandFactory as _;
    let mut command = whatsapp_operator::cli::Cli::command();
    command.build();
    let visible = command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help");
    let flags = |of: &clap::Command| {
        let seen = of.get_arguments().filter(|arg| !arg.is_hide_set());
        seen.filter_map(clap::Arg::get_long).map(str::to_owned).collect()
    };
    visible.map(|one| (one.get_name().to_owned(), flags(one))).collect()
}

/// What a program makes of a script or a page, where the machine has that program: whether it takes it, and what it says.
fn judged(program: &str, args: &[&str], file: &Path) -> Option<(bool, String)> {
    let output = match Command::new(program).args(args).arg(file).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        output => output.expect("it runs"),
    };
    Some((output.status.success(), format!("{}{}", stdout(&output), stderr(&output))))
}

/// What a script offers behind a command, in the shell's own words.
fn part_of(script: &str, shell: &str, command: &str) -> String {
    match shell {
        "zsh" => {
            let label = format!("({command})");
            let part =
                script.lines().skip_while(|line| line.trim() != label).take_while(|line| *line != ";;");
            part.collect::<Vec<_>>().join("\n")
        }
        "fish" => {
            let used = format!("__fish_kubectl_whatsapp_using_subcommand {command}\"");
            script.lines().filter(|line| line.contains(&used)).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

#[test]
fn a_shell_can_complete_every_command() {
    let dir = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish"] {
        let output = plugin(&["completion", shell]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let script = stdout(&output);
        assert!(script.contains("kubectl-whatsapp"), "{shell}");
        assert!(!script.contains("\\u{"), "{shell}: a character of the script is written out");
        let file = dir.path().join(shell);
        std::fs::write(&file, &script).expect("written");
        let taken = judged(shell, &["-n"], &file);
        assert!(shell != "bash" || taken.is_some(), "these tests need bash");
        assert!(taken.as_ref().is_none_or(|(taken, _)| *taken), "{shell} does not take it: {taken:?}");
        if shell == "bash" {
            continue;
        }
        for (command, flags) in commands() {
            let part = part_of(&script, shell, &command);
            let shown = |flag: &String| match shell {
                "zsh" => part.contains(&format!("--{flag}=[")) || part.contains(&format!("--{flag}[")),
                _ => part
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .windows(2)
                    .any(|two| two == ["-l", flag.as_str()]),
            };
            let missing: Vec<_> = flags.iter().filter(|flag| !shown(flag)).collect();
            assert!(
                !part.is_empty() && missing.is_empty(),
                "{shell}, {command}: {missing:?} are not in\n{part}"
            );
        }
    }
    let script = stdout(&plugin(&["completion", "kubectl"]));
    assert_eq!(script, "#!/bin/sh\nexec kubectl-whatsapp __complete \"$@\"\n");
}

/// The script of bash is asked as bash asks it: a command that is begun, and every flag of every command.
#[test]
fn bash_offers_the_commands_and_the_flags_of_each() {
    let script = stdout(&plugin(&["completion", "bash"]));
    // Prints what is offered for the last of the words, in one line.
    let ask = "of=$(complete -p kubectl-whatsapp) of=${of##*-F } of=${of%% *}\n\
               ask() {\n  COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1)) COMPREPLY=()\n  \
               $of \"$1\" \"${!#}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"\n  echo \"${COMPREPLY[*]}\"\n}\n";
    let mut lines = vec!["ask kubectl-whatsapp send-c".to_owned()];
    lines.extend(commands().iter().map(|(command, _)| format!("ask kubectl-whatsapp {command} --")));
    lines.push("ask kubectl-whatsapp send-code support-br --kube".to_owned());
    let mut bash = Command::new("bash");
    let bash = bash.args(["--norc", "--noprofile", "-s"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut bash = bash.stderr(Stdio::piped()).spawn().expect("bash");
    let typed = format!("{script}\n{ask}{}\n", lines.join("\n"));
    bash.stdin.take().expect("a pipe").write_all(typed.as_bytes()).expect("written");
    let output = bash.wait_with_output().expect("it ends");
    let told = stdout(&output);
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.len(), lines.len(), "{told:#?}\n{}", stderr(&output));
    assert_eq!(told[0], "send-code");
    for ((command, flags), offered) in commands().iter().zip(&told[1..]) {
        let offered: Vec<&str> = offered.split(' ').collect();
        let missing: Vec<_> = flags.iter().filter(|flag| !offered.contains(&&*format!("--{flag}"))).collect();
        assert!(missing.is_empty(), "{command}: {missing:?} are not in {offered:?}");
    }
    assert_eq!(told.last(), Some(&"--kubeconfig"));
}

/// What kubectl asks, and how it reads the answer: a line for each word, then what else to offer.
#[test]
fn kubectl_is_told_what_may_follow() {
    for (words, offered, not) in [
        (&["sta"][..], &["status"][..], "send-code"),
        (&["waiting", "--actor", ""], &["PhoneHolder", "Meta"], "--actor"),
        (&["status", "--kube"], &["--kubeconfig"], "--namespace"),
        (&["-n", "shop", "send"], &["send-code"], "status"),
        (&["status", "-o", "j"], &["json"], "yaml"),
        (&["completion", "f"], &["fish"], "bash"),
        (&[""], &["lint", "waiting"], "__complete"),
    ] {
        let output = plugin(&[&["__complete"], words].concat());
        let told = stdout(&output);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.last(), Some(&":4"), "{words:?}: {told}");
        assert!(
            offered.iter().all(|word| lines.contains(word)) && !lines.contains(&not),
            "{words:?}: {told}"
        );
    }
}

/// Flags of kubectl's that are about kubectl itself: its cache, its log, its profile, and what it makes of versions and warnings.
const OF_KUBECTL_ITSELF: &[&str] = &[
    "cache-dir",
    "disable-compression",
    "kuberc",
    "log-flush-frequency",
    "match-server-version",
    "profile",
    "profile-output",
    "v",
    "vmodule",
    "warnings-as-errors",
];

/// Commands that read and write nothing in a cluster; the operator itself finds its cluster as every program in a pod does.
const WITHOUT_A_CLUSTER: &[&str] = &["run", "lint", "init", "explain", "crd", "sandbox", "completion", "man"];

/// What kubectl takes to reach a cluster is taken here, by kubectl's own word for it, and by every command that uses a cluster.
#[test]
fn every_flag_of_kubectl_that_says_which_cluster_and_who_is_taken() {
    let kubectl = crate::control_plane::tool("kubectl").expect("kubectl");
    let options = stdout(&Command::new(kubectl).arg("options").output().expect("kubectl runs"));
    let theirs: Vec<&str> = options
        .lines()
        .filter_map(|line| line.trim_start().split("--").nth(1)?.split('=').next())
        .filter(|flag| options.contains(&format!("--{flag}=")))
        .collect();
    assert!(theirs.contains(&"kubeconfig") && theirs.contains(&"as-user-extra"), "{theirs:?}");
    let mut missing = Vec::new();
    for (command, flags) in commands() {
        if WITHOUT_A_CLUSTER.contains(&command.as_str()) {
            assert!(!flags.contains(&"kubeconfig".to_owned()), "{command} uses a cluster");
            continue;
        }
        let not = |flag: &&&str| !flags.iter().any(|own| own == **flag) && !OF_KUBECTL_ITSELF.contains(*flag);
        missing.extend(theirs.iter().filter(not).map(|flag| format!("{command} --{flag}")));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn there_is_a_page_of_the_manual_for_each_command() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = plugin(&["man", &dir.path().display().to_string()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let whole = std::fs::read_to_string(dir.path().join("kubectl-whatsapp.1")).expect("the first page");
    for (command, flags) in commands() {
        let page = dir.path().join(format!("kubectl-whatsapp-{command}.1"));
        let text =
            std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        assert!(text.contains(".SH SYNOPSIS"), "{}", page.display());
        let name = command.replace('-', "\\-");
        assert!(
            whole.contains(&format!("whatsapp\\-{name}(1)")),
            "the first page does not name {command}: {whole}"
        );
        let missing: Vec<_> = flags
            .iter()
            .filter(|flag| !text.contains(&format!("\\fB\\-\\-{}\\fR", flag.replace('-', "\\-"))))
            .collect();
        assert!(missing.is_empty(), "{command}: {missing:?} are not in\n{text}");
        // It warns of what the generator of the pages chose: no date, and breaks around lists.
        let judged = judged("mandoc", &["-T", "lint", "-W", "error"], &page);
        assert!(judged.as_ref().is_none_or(|(taken, _)| *taken), "{command}: {judged:?}");
    }
    let nowhere = plugin(&["man", "/nowhere/at/all"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(stderr(&nowhere).contains("next: name a folder"), "{}", stderr(&nowhere));
}

/// What people use has an example in its help; that each is a command is checked with all that is told.
#[test]
fn a_command_for_people_shows_how_it_is_used() {
    for name in
        ["status", "waiting", "send-code", "code", "retry", "reconcile", "suspend", "support-bundle", "init"]
    {
        let help = stdout(&run(&[name, "--help"]));
        let examples = help.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("{name}: {help}"));
        assert!(examples.starts_with(&format!("  kubectl whatsapp {name}")), "{name}: {examples}");
    }
}

/// The words of each command below one, and of those below it.
fn below(of: &clap::Command, words: &[String], into: &mut Vec<Vec<String>>) {
    for command in of.get_subcommands().filter(|command| !command.is_hide_set()) {
        let words = [words, &[command.get_name().to_owned()]].concat();
        into.push(words.clone());
        below(command, &words, into);
    }
}

/// In 80 columns nothing is broken that was laid out, and nothing is wider.
#[test]
fn the_help_fits_a_terminal_of_80_columns() {
    use clap::CommandFactory as _;
    let mut all = vec![Vec::new()];
    below(&whatsapp_operator::cli::Cli::command(), &[], &mut all);
    assert!(all.len() > 20, "{all:?}");
    let mut wide = Vec::new();
    for command in all {
        let mut ours = Command::new(BINARY);
        let output = ours.args(&command).arg("--help").env_clear().env("COLUMNS", "80").output();
        let help = stdout(&output.expect("it runs"));
        assert!(help.contains("Usage: "), "{command:?}: {help}");
        let lines = help.lines().filter(|line| line.chars().count() > 80);
        wide.extend(lines.map(|line| format!("{}: {line}", command.join(" "))));
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
    let status = stdout(&run(&["status", "--help"]));
    let own = status.split("Connection, as of kubectl:").next().expect("its own flags");
    assert!(own.contains("--output") && !own.contains("--kubeconfig"), "{status}");
    let help = Command::new(BINARY).arg("--help").env_clear().env("COLUMNS", "80").output().expect("it runs");
    let codes = stdout(&help);
    let codes = codes.split("Exit codes:\n").nth(1).expect("exit codes");
    let indents: Vec<usize> = codes
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .collect();
    assert!(indents.len() > 5 && indents.iter().all(|indent| [2, 5].contains(indent)), "{codes}");
}

/// Somebody who may edit the namespace, by the roles that `edit` is made of and the chart's own.
pub async fn editor(rig: &Rig) -> std::path::PathBuf {
    let name = "editor";
    rig.apply(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name } })).await;
    for role in ["system:aggregate-to-edit", "system:aggregate-to-view", "whatsapp-operator-edit"] {
        rig.apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": format!("{name}-{}", role.replace(':', "-")) },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": rig.namespace }],
        }))
        .await;
    }
    rig.plane.service_account_kubeconfig(&rig.namespace, name).await
}

/// Runs the binary as that somebody, with `input` on its standard input.
pub async fn run_as(kubeconfig: &Path, rig: &Rig, args: &[&str], input: &str) -> Output {
    let mut command = Command::new(BINARY);
    command
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if !args.contains(&"-A") {
        command.args(["-n", &rig.namespace]);
    }
    let input = input.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // A command that reads nothing closes the pipe first.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("the binary ends")
    })
    .await
    .expect("the command is run")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_of_the_namespace_brings_a_number_to_ready() {
    let mut rig = Rig::with_portfolio("editor").await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    let kubeconfig = editor(&rig).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;

    let sent = run_as(&kubeconfig, &rig, &["send-code", "support", "--wait"], "").await;
    assert_eq!(sent.status.code(), Some(0), "{}{}", stdout(&sent), stderr(&sent));
    assert!(stdout(&sent).contains("code sent by SMS; enter it before "), "{}", stdout(&sent));
    assert!(stdout(&sent).contains("next: kubectl whatsapp code support -n "), "{}", stdout(&sent));

    let code = rig.sandbox.delivered_code(DIGITS).expect("a code was delivered");
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let refused = run_as(&kubeconfig, &rig, &["code", "support"], wrong).await;
    assert_eq!(refused.status.code(), Some(3), "{}{}", stdout(&refused), stderr(&refused));
    assert!(stdout(&refused).contains("code wrong"), "{}", stdout(&refused));

    let typed = format!("{}-{}\n", &code[..3], &code[3..]);
    let taken = run_as(&kubeconfig, &rig, &["code", "support"], &typed).await;
    assert_eq!(taken.status.code(), Some(0), "{}{}", stdout(&taken), stderr(&taken));
    assert!(stdout(&taken).contains("code accepted"), "{}", stdout(&taken));
    for output in [&sent, &refused, &taken] {
        let said = format!("{}{}", stdout(output), stderr(output));
        assert!(!said.contains(&code) && !said.contains(wrong), "a code in the output");
    }

    rig.until_condition("support", "Ready", "True", None).await;
    let status = run_as(&kubeconfig, &rig, &["status", "support"], "").await;
    assert!(stdout(&status).contains("Ready for"), "{}", stdout(&status));
    let status = run_as(&kubeconfig, &rig, &["status", "support", "-o", "json"], "").await;
    let report: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(report["ready"]["status"], "True");
    assert_eq!(report["attempts"]["verifications"]["count"], 2);

    let retried = run_as(&kubeconfig, &rig, &["retry", "support", "--wait"], "").await;
    assert_eq!(retried.status.code(), Some(3), "{}{}", stdout(&retried), stderr(&retried));
    assert!(stdout(&retried).contains("refused"), "{}", stdout(&retried));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_starts_from_what_the_cluster_remembers() {
    let rig = Rig::with_portfolio("plan").await;
    rig.channel("support", NUMBER, json!({})).await;
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("channel.yaml");
    let text = format!(
        "apiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppChannel\nmetadata: {{name: support}}\nspec:\n  \
         portfolioRef: {{name: acme}}\n  phoneNumber: \"{NUMBER}\"\n  displayName: Acme Support\n"
    );
    std::fs::write(&path, text).expect("written");
    let path = path.display().to_string();
    let kubeconfig = editor(&rig).await;
    let mark = rig.plane.mark().await;
    let output = run_as(&kubeconfig, &rig, &["plan", "-f", &path, "--graph-url", &rig.graph_url], "").await;
    assert_eq!(output.status.code(), Some(2), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("AddNumber"), "{}", stdout(&output));
    let writes: Vec<_> = rig
        .plane
        .audit_since(mark)
        .await
        .into_iter()
        .filter(|entry| entry.is_from_service_account(&rig.namespace, "editor") && entry.is_write())
        .collect();
    assert!(writes.is_empty(), "{writes:?}");
    assert!(rig.sandbox.effects().is_empty(), "a plan had an effect at Meta");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_answers_without_an_operator() {
    let rig = Rig::with_portfolio("silent").await;
    rig.channel("support", NUMBER, json!({})).await;
    let kubeconfig = editor(&rig).await;
    let started = std::time::Instant::now();
    let output = run_as(&kubeconfig, &rig, &["send-code", "support", "--wait", "--timeout", "2s"], "").await;
    assert_eq!(output.status.code(), Some(4), "{}{}", stdout(&output), stderr(&output));
    assert!(started.elapsed() < Duration::from_secs(30));
    let status = run_as(&kubeconfig, &rig, &["status", "support"], "").await;
    assert!(stdout(&status).contains("the operator has not seen it yet"), "{}", stdout(&status));
    let acting = "Acme \u{1b}]0;title\u{7}\u{202e}\u{200b}\u{2066}Shop";
    rig.channel("acting", "+5511912345679", json!({"displayName": acting})).await;
    let status = run_as(&kubeconfig, &rig, &["status", "acting"], "").await;
    let told = r"Acme \u{1b}]0;title\u{7}\u{202e}\u{200b}\u{2066}Shop";
    assert!(stdout(&status).contains(told), "{}{}", stdout(&status), stderr(&status));
    let gone = run_as(&kubeconfig, &rig, &["status", "nobody"], "").await;
    assert!(stderr(&gone).contains("next: see which there are"), "{}", stderr(&gone));
}
