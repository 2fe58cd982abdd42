//! `completion` and `man`: what a shell and a manual need, made from the same arguments that are read.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Command, FromArgMatches, ValueEnum};
use clap_complete::{Shell, generate};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt, api::ListParams};

use super::{
    connect::{ClusterArgs, connect},
    exit::{Ending, Exit, Problem},
    leading,
    list::pages,
    render::{self, Text},
};
use crate::api::v1alpha1::{WhatsAppChannel, WhatsAppPortfolio};

/// For which shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum For {
    Bash,
    Zsh,
    Fish,
    /// A script that has to be in the PATH as kubectl_complete-whatsapp, so that kubectl's own completion, in any shell,
    /// goes on behind `kubectl whatsapp`.
    Kubectl,
}

/// Prints the script that completes this program's arguments.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
bash:     source <(kubectl-whatsapp completion bash)
zsh:      source <(kubectl-whatsapp completion zsh)
fish:     kubectl-whatsapp completion fish | source
kubectl:  kubectl-whatsapp completion kubectl > ~/bin/kubectl_complete-whatsapp
          chmod +x ~/bin/kubectl_complete-whatsapp")]
pub struct CompletionArgs {
    /// The shell, or kubectl.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: For,
}

/// Writes a page for the manual of each command.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// The folder; it has to be there. For `man` to find them, name it man1 in a folder of MANPATH.
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// The words that kubectl hands over; the last one is not finished.
#[derive(Clone, Debug, Args)]
pub struct WordsArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORD")]
    pub words: Vec<String>,
}

/// What kubectl runs.
const KUBECTL: &str = "#!/bin/sh\nexec kubectl-whatsapp __complete \"$@\"\n";

/// How long names are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the name of a portfolio stands behind.
const PORTFOLIO: &str = "portfolio/";

/// To kubectl: offer no files.
const NO_FILES: &str = ":4";

/// Prints the script.
///
/// # Errors
///
/// When it cannot be written.
pub fn completion(args: &CompletionArgs, command: Command) -> Ending {
    let shell = match args.shell {
        For::Bash => Shell::Bash,
        For::Zsh => Shell::Zsh,
        For::Fish => Shell::Fish,
        For::Kubectl => {
            render::out(&Text::of(KUBECTL))?;
            return Ok(Exit::Done);
        }
    };
    render::out(&Text::of(&script(shell, command)))?;
    Ok(Exit::Done)
}

/// The script for a shell. In that for bash, clap_complete writes the hyphen of a program's name in two ways, and then finds no flag
/// of any command. So it is given a name without one, which is put right where the shell is told what to complete.
fn script(shell: Shell, mut command: Command) -> String {
    let name = command.get_name().to_owned();
    let plain = if shell == Shell::Bash { name.replace('-', "_") } else { name.clone() };
    let mut script = Vec::new();
    generate(shell, &mut command, plain.as_str(), &mut script);
    let script = String::from_utf8_lossy(&script);
    let last = format!(" {plain}");
    let named = |line: &str| match line.strip_suffix(&last) {
        Some(begin) if begin.trim_start().starts_with("complete ") => format!("{begin} {name}\n"),
        _ => format!("{line}\n"),
    };
    script.lines().map(named).collect()
}

/// Writes the pages.
///
/// # Errors
///
/// When the folder cannot be written.
pub fn man(args: &ManArgs, command: Command) -> Ending {
    clap_mangen::generate_to(command, &args.folder).map_err(|error| {
        Problem::new(format!("cannot write to {}: {error}", args.folder.display()))
            .next("name a folder that is there, and that you may write to")
    })?;
    Ok(Exit::Done)
}

/// Prints what may follow, as kubectl reads it.
///
/// # Errors
///
/// When it cannot be written.
pub async fn complete(args: &WordsArgs, command: &Command) -> Ending {
    let mut text = Text::new();
    let offers = match offers(command, &args.words) {
        Offers::Words(words) => words,
        Offers::Objects(objects) => {
            // Nobody who presses a key waits for long, and an error is no word.
            let asked = tokio::time::timeout(PATIENCE, names(&objects, command, &args.words)).await;
            asked.ok().and_then(Result::ok).unwrap_or_default()
        }
    };
    for word in offers {
        text.line(word);
    }
    text.line(NO_FILES);
    render::out(&text)?;
    Ok(Exit::Done)
}

/// What may follow.
enum Offers {
    Words(Vec<String>),
    /// What only the cluster knows, and how it begins.
    Objects(Objects),
}

/// What is named.
enum Objects {
    Namespaces(String),
    Channels(String),
    /// A portfolio behind `portfolio/`.
    Portfolios(String),
}

/// Commands, flags, the words that a flag takes, or the names of objects.
fn offers(command: &Command, words: &[String]) -> Offers {
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let named = before.iter().find_map(|word| command.find_subcommand(word));
    let within = named.unwrap_or(command);
    let begun = |mut words: Vec<String>| {
        words.retain(|word| word.starts_with(last));
        Offers::Words(words)
    };
    if let Some(arg) = before.last().and_then(|word| flag(within, word)) {
        if arg.get_id() == "namespace" {
            return Offers::Objects(Objects::Namespaces(last.to_owned()));
        }
        return begun(arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect());
    }
    if last.starts_with('-') {
        let flags = within.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(clap::Arg::get_long);
        return begun(flags.map(|long| format!("--{long}")).chain(["--help".to_owned()]).collect());
    }
    if named.is_none() {
        let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
        return begun(commands.map(|command| command.get_name().to_owned()).collect());
    }
    let is_name = |arg: &&clap::Arg| {
        arg.get_id() == "name" && arg.get_num_args().is_none_or(|range| range.max_values() == 1)
    };
    if within.get_positionals().any(|arg| is_name(&arg)) {
        if is_named(within, before) {
            return Offers::Words(Vec::new());
        }
        return Offers::Objects(match last.strip_prefix(PORTFOLIO) {
            Some(begin) => Objects::Portfolios(begin.to_owned()),
            None => Objects::Channels(last.to_owned()),
        });
    }
    let words = within.get_positionals().flat_map(clap::Arg::get_possible_values);
    begun(words.map(|value| value.get_name().to_owned()).collect())
}

/// The flag that a word is, if it takes the next word.
fn flag<'c>(within: &'c Command, word: &str) -> Option<&'c clap::Arg> {
    let is_it = |arg: &&clap::Arg| {
        arg.get_long().is_some_and(|long| *word == format!("--{long}"))
            || arg.get_short().is_some_and(|short| *word == format!("-{short}"))
    };
    within.get_arguments().find(is_it).filter(|arg| arg.get_action().takes_values())
}

/// Whether a name was typed already.
fn is_named(within: &Command, before: &[String]) -> bool {
    let command = before.iter().position(|word| word == within.get_name()).unwrap_or_default();
    let behind = &before[command + 1..];
    let is_value = |at: usize| at > 0 && flag(within, &behind[at - 1]).is_some();
    (0..behind.len()).any(|at| !behind[at].starts_with('-') && !is_value(at))
}

/// The names that begin so, of the cluster that the flags before them name.
async fn names(objects: &Objects, command: &Command, words: &[String]) -> Result<Vec<String>, Problem> {
    let before = &words[..words.len().saturating_sub(1)];
    let (client, namespace) = connect(&cluster(command, before)).await?;
    let mut names = Vec::new();
    let params = ListParams::default();
    let begin = match objects {
        Objects::Namespaces(begin) => {
            let api: Api<Namespace> = Api::all(client);
            pages("list the namespaces", &api, params, |one| names.push(one.name_any())).await?;
            begin
        }
        Objects::Channels(begin) => {
            let api: Api<WhatsAppChannel> = Api::namespaced(client, &namespace);
            pages("list the channels", &api, params, |one| names.push(one.name_any())).await?;
            begin
        }
        Objects::Portfolios(begin) => {
            let api: Api<WhatsAppPortfolio> = Api::namespaced(client, &namespace);
            pages("list the portfolios", &api, params, |one| names.push(one.name_any())).await?;
            begin
        }
    };
    names.retain(|name| name.starts_with(begin.as_str()));
    if matches!(objects, Objects::Portfolios(_)) {
        for name in &mut names {
            name.insert_str(0, PORTFOLIO);
        }
    }
    Ok(names)
}

/// The flags for the cluster among words that are no whole command yet.
fn cluster(command: &Command, before: &[String]) -> ClusterArgs {
    let typed = [command.get_name().to_owned()].into_iter().chain(before.iter().cloned());
    let typed = leading::behind(typed.map(OsString::from).collect());
    let matches = command.clone().ignore_errors(true).try_get_matches_from(typed).ok();
    let found = matches.as_ref().and_then(clap::ArgMatches::subcommand);
    found.and_then(|(_, found)| ClusterArgs::from_arg_matches(found).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn where_a_name_is_wanted_names_are_offered_and_nowhere_else() {
        let command = crate::cli::Cli::command();
        for (line, wanted) in [
            ("status ", "channels "),
            ("status su", "channels su"),
            ("-n shop status su", "channels su"),
            ("status -n shop su", "channels su"),
            ("status portfolio/ac", "portfolios ac"),
            ("send-code ", "channels "),
            ("status -n sh", "namespaces sh"),
            ("status support ", ""),
            ("status support -o j", "json"),
            ("explain ", ""),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let told = match offers(&command, &words) {
                Offers::Words(words) => words.join(","),
                Offers::Objects(Objects::Channels(begin)) => format!("channels {begin}"),
                Offers::Objects(Objects::Portfolios(begin)) => format!("portfolios {begin}"),
                Offers::Objects(Objects::Namespaces(begin)) => format!("namespaces {begin}"),
            };
            assert_eq!(told, wanted, "{line:?}");
        }
    }

    #[test]
    fn an_unfinished_line_tells_which_cluster() {
        let command = crate::cli::Cli::command();
        for line in [
            "status -n shop --context x",
            "-n shop --context x send-code",
            "status --watch -n shop --context x",
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(cluster(&command, &words).again("shop"), "-n shop --context x", "{line}");
        }
    }
}
