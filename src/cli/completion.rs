//! `completion` and `man`: what a shell and a manual need, made from the same arguments that are read.

use std::path::PathBuf;

use clap::{Args, Command, ValueEnum};
use clap_complete::{Shell, generate};

use super::{
    exit::{Ending, Exit, Problem},
    render::{self, Text},
};

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

/// To kubectl: offer no files.
const NO_FILES: &str = ":4";

/// Prints the script.
///
/// # Errors
///
/// When it cannot be written.
pub fn completion(args: &CompletionArgs, mut command: Command) -> Ending {
    let shell = match args.shell {
        For::Bash => Shell::Bash,
        For::Zsh => Shell::Zsh,
        For::Fish => Shell::Fish,
        For::Kubectl => {
            render::out(&Text::of(KUBECTL))?;
            return Ok(Exit::Done);
        }
    };
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    render::out(&Text::of(&String::from_utf8_lossy(&script)))?;
    Ok(Exit::Done)
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
pub fn complete(args: &WordsArgs, command: &Command) -> Ending {
    let mut text = Text::new();
    for word in offers(command, &args.words) {
        text.line(word);
    }
    text.line(NO_FILES);
    render::out(&text)?;
    Ok(Exit::Done)
}

/// Commands, flags, or the words that a flag takes.
fn offers(command: &Command, words: &[String]) -> Vec<String> {
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let named = before.iter().find_map(|word| command.find_subcommand(word));
    let within = named.unwrap_or(command);
    let flag_before = before.last().filter(|word| word.starts_with('-'));
    let mut offers: Vec<String> = Vec::new();
    if let Some(flag) = flag_before {
        let is_it = |arg: &&clap::Arg| {
            arg.get_long().is_some_and(|long| **flag == format!("--{long}"))
                || arg.get_short().is_some_and(|short| **flag == format!("-{short}"))
        };
        let takes = within.get_arguments().find(is_it).filter(|arg| arg.get_action().takes_values());
        if let Some(arg) = takes {
            offers.extend(arg.get_possible_values().iter().map(|value| value.get_name().to_owned()));
            offers.retain(|offer| offer.starts_with(last));
            return offers;
        }
    }
    if last.starts_with('-') {
        let flags = within.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(clap::Arg::get_long);
        offers.extend(flags.map(|long| format!("--{long}")));
        offers.push("--help".to_owned());
    } else if named.is_none() {
        let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
        offers.extend(commands.map(|command| command.get_name().to_owned()));
    } else {
        let words = within.get_positionals().flat_map(clap::Arg::get_possible_values);
        offers.extend(words.map(|value| value.get_name().to_owned()));
    }
    offers.retain(|offer| offer.starts_with(last));
    offers
}
