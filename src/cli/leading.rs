//! Flags of kubectl before the command, as in `kubectl whatsapp -n shop status`: kubectl itself takes them on either side.

use std::ffi::OsString;

use clap::{Args, Command};

use super::{connect::ClusterArgs, list::WhichArgs};

/// The arguments with such flags behind the command. What else stands before it stays, to be complained of.
pub fn behind(mut args: Vec<OsString>) -> Vec<OsString> {
    let known = WhichArgs::augment_args(ClusterArgs::augment_args(Command::new("flags")));
    let mut at = 1;
    while let Some(word) = args.get(at).and_then(|word| word.to_str()) {
        if !word.starts_with('-') {
            // The command: it goes before its flags.
            args[1..=at].rotate_right(1);
            break;
        }
        match words(&known, word) {
            Some(words) => at += words,
            None => break,
        }
    }
    args
}

/// How many words a flag takes up, itself and its value.
fn words(known: &Command, word: &str) -> Option<usize> {
    let (name, has_value) = match word.split_once('=') {
        Some((name, _)) => (name, true),
        None => (word, false),
    };
    let takes = |arg: &clap::Arg| arg.get_action().takes_values();
    if let Some(long) = name.strip_prefix("--") {
        let arg = known.get_arguments().find(|arg| arg.get_long() == Some(long))?;
        return Some(if takes(arg) && !has_value { 2 } else { 1 });
    }
    let mut letters = name.chars().skip(1);
    let short = letters.next()?;
    let arg = known.get_arguments().find(|arg| arg.get_short() == Some(short))?;
    let is_attached = has_value || letters.next().is_some();
    match (takes(arg), is_attached) {
        (true, true) | (false, false) => Some(1),
        (true, false) => Some(2),
        (false, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_kubectl_may_stand_before_the_command() {
        for (typed, meant) in [
            ("p -n shop status a", "p status -n shop a"),
            ("p -nshop --context=x status -o json", "p status -nshop --context=x -o json"),
            ("p -A --as ana waiting --actor Meta", "p waiting -A --as ana --actor Meta"),
            ("p --insecure-skip-tls-verify status", "p status --insecure-skip-tls-verify"),
            ("p status -n shop", "p status -n shop"),
            ("p --help", "p --help"),
            ("p -n shop --unknown status", "p -n shop --unknown status"),
            ("p -n", "p -n"),
            ("p", "p"),
        ] {
            let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
            assert_eq!(behind(words(typed)), words(meant), "{typed}");
        }
    }
}
