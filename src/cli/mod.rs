//! The command line: one file for each command, one module for output, one for exit codes.
//!
//! A new command is a file of its own, its lines here, a section of `docs/cli.md` and a test. Without its line in
//! [`Command::run`] it does not compile, and without its section and flags in the page a test fails.
//!
//! A command reads its arguments, does its work and returns how it ends; nothing here
//! calls `exit`, and nothing but [`render`] prints. Commands that speak with a cluster
//! have the rights of whoever runs them, and need no more than an editor of the
//! namespace has.

pub mod bundle;
pub mod channel;
pub mod check;
pub mod code;
pub mod completion;
pub mod connect;
pub mod consent;
pub mod crd;
pub mod doctor;
pub mod events;
mod example;
pub mod exit;
pub mod explain;
pub mod finding;
pub mod fleet;
pub mod import;
pub mod init;
mod leading;
pub mod lint;
pub mod list;
pub mod named;
mod parallel;
pub mod plan;
pub mod portfolio;
pub mod process;
pub mod reference;
pub mod render;
pub mod run;
pub mod sandbox;
pub mod schema;
pub mod show;
pub mod source;
pub mod status;
pub mod suspend;
pub mod timeline;
pub mod waiting;
pub mod word;

use std::{ffi::OsString, panic::resume_unwind, path::Path, thread};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};

use exit::{Ending, Exit};
use process::block_on;
use run::RunArgs;

/// Brings WhatsApp Business phone numbers to their declared state.
#[derive(Debug, Parser)]
#[command(name = "whatsapp-operator", version, max_term_width = 100, after_help = exit::help(), disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// One variant for each command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the operator.
    Run(RunArgs),
    /// Shows what would be done for manifests, and what would wait; writes nothing.
    Plan(plan::PlanArgs),
    /// Shows link by link, from the token to the number's health, what holds and what breaks first; writes nothing.
    Doctor(doctor::DoctorArgs),
    /// Checks manifests offline, with the verdict of the API server.
    Lint(check::LintArgs),
    /// Asks what Meta's wizard asks, and writes the manifests of a portfolio and a channel.
    Init(init::InitArgs),
    /// Prints manifests for a portfolio and its numbers, as they are at Meta; writes nothing.
    Import(import::ImportArgs),
    /// Shows how a channel or a portfolio stands and who has to act next; without a name, all channels by stage.
    Status(show::StatusArgs),
    /// Shows who is waited for, longest first.
    Waiting(waiting::WaitingArgs),
    /// Asks for a code to be sent to the phone.
    SendCode(consent::ConsentArgs),
    /// Enters the code that the phone received, from a prompt or standard input.
    Code(code::CodeArgs),
    /// Allows one more attempt of what waits for a person.
    Retry(consent::ConsentArgs),
    /// Has an official business account requested. Meta takes no other request for 30 days.
    RequestOfficialAccount(consent::OfficialArgs),
    /// Has the operator look at Meta now.
    Reconcile(consent::ConsentArgs),
    /// Has the operator leave channels alone.
    Suspend(suspend::SuspendArgs),
    /// Has the operator go on with channels that are suspended.
    Resume(suspend::SuspendArgs),
    /// Shows the events of a channel or a portfolio.
    Events(events::EventsArgs),
    /// Shows what happened to a channel, oldest first, with Meta's trace ids.
    Timeline(timeline::TimelineArgs),
    /// Prints what somebody who helps has to know, without secrets.
    SupportBundle(bundle::BundleArgs),
    /// Explains a reason, a condition or one of Meta's codes.
    Explain(explain::ExplainArgs),
    /// Prints the custom resource definitions.
    Crd,
    /// Serves a simulated Graph API.
    Sandbox(sandbox::SandboxArgs),
    /// Prints the script that completes this program's arguments in a shell.
    Completion(completion::CompletionArgs),
    /// Writes a page for the manual of each command.
    Man(completion::ManArgs),
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete(completion::WordsArgs),
}

/// Reads the arguments, under whichever name the program was called.
///
/// # Errors
///
/// With the exit code, once help, the version or what is wrong has been printed.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, Exit> {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut command = called(args.first());
    let args = leading::behind(args);
    command.try_get_matches_from_mut(args).and_then(|matches| Cli::from_arg_matches(&matches)).map_err(
        |error| {
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                    // The output was closed, so it cannot be printed.
                    let _ = error.print();
                    Exit::Done
                }
                // It repeats what was typed.
                _ => {
                    render::complain(&render::Text::of(&error.to_string()));
                    Exit::Error
                }
            }
        },
    )
}

/// The program under the name by which it was called.
fn called(program: Option<&OsString>) -> clap::Command {
    let command = example::shown(Cli::command());
    match is_plugin(program) {
        true => command.name("kubectl-whatsapp").bin_name("kubectl whatsapp"),
        false => command,
    }
}

/// Whether the program was called under the name that kubectl uses for plugins.
fn is_plugin(program: Option<&OsString>) -> bool {
    program.and_then(|program| Path::new(program).file_stem()).is_some_and(|name| {
        name.to_str().is_some_and(|name| name == "kubectl-whatsapp" || name == "kubectl_whatsapp")
    })
}

impl Command {
    /// Runs the command on this thread. The operator needs what the command line must not know, so `operate` runs it.
    fn run(self, program: Option<&OsString>, operate: impl FnOnce(RunArgs) -> Ending) -> Ending {
        match self {
            Self::Run(args) => operate(args),
            Self::Plan(args) => block_on(plan::plan(&args)),
            Self::Doctor(args) => block_on(doctor::doctor(&args)),
            Self::Lint(args) => check::check(&args),
            Self::Init(args) => init::init(&args),
            Self::Import(args) => block_on(import::import(&args)),
            Self::Status(args) => block_on(show::status(&args)),
            Self::Waiting(args) => block_on(waiting::waiting(&args)),
            Self::SendCode(args) => block_on(consent::send_code(&args)),
            Self::Code(args) => block_on(code::code(&args)),
            Self::Retry(args) => block_on(consent::retry(&args)),
            Self::RequestOfficialAccount(args) => block_on(consent::request_official(&args)),
            Self::Reconcile(args) => block_on(consent::reconcile(&args)),
            Self::Suspend(args) => block_on(suspend::set(&args, true)),
            Self::Resume(args) => block_on(suspend::set(&args, false)),
            Self::Events(args) => block_on(events::events(&args)),
            Self::Timeline(args) => block_on(timeline::timeline(&args)),
            Self::SupportBundle(args) => block_on(bundle::bundle(&args)),
            Self::Explain(args) => explain::explain(&args),
            Self::Crd => crd::crd(),
            Self::Sandbox(args) => block_on(sandbox::sandbox(&args)),
            Self::Completion(args) => completion::completion(&args, called(program)),
            Self::Man(args) => completion::man(&args, called(program)),
            Self::Complete(args) => block_on(completion::complete(&args, &called(program))),
        }
    }
}

/// Reads the arguments, runs the command, and prints what went wrong, if anything did.
pub fn dispatch(args: impl IntoIterator<Item = OsString>, operate: impl FnOnce(RunArgs) -> Ending) -> Exit {
    render::tell_panics();
    let args: Vec<OsString> = args.into_iter().collect();
    let program = args.first().cloned();
    // On a stack that is given back: this takes more of one than anything later, and the operator's own would keep it.
    let parsed = thread::scope(|apart| apart.spawn(|| parse(args)).join());
    let cli = match parsed.unwrap_or_else(|panic| resume_unwind(panic)) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let is_operator = matches!(cli.command, Command::Run(_));
    cli.command.run(program.as_ref(), operate).unwrap_or_else(|problem| {
        if is_operator {
            render::last_words(&problem);
        } else {
            render::problem(&problem);
        }
        problem.code()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    /// A line that is wider is broken by a terminal of 80 columns, and what stands in columns is not read any more.
    #[test]
    fn what_the_help_lays_out_by_itself_fits_a_terminal() {
        let mut command = called(None);
        command.build();
        let mut laid_out = 0;
        for one in std::iter::once(&command).chain(command.get_subcommands()) {
            for line in one
                .get_after_help()
                .into_iter()
                .flat_map(|help| help.to_string().lines().map(str::to_owned).collect::<Vec<_>>())
            {
                assert!(line.chars().count() <= 80, "{}: {line}", one.get_name());
                laid_out += 1;
            }
        }
        assert!(laid_out > 30, "{laid_out}");
    }

    /// The process that panics is this test once more.
    #[test]
    fn a_panic_tells_what_others_wrote_as_everything_else_does() {
        const PANICS: &str = "WHATSAPP_OPERATOR_TEST_PANICS";
        if std::env::var_os(PANICS).is_some() {
            let args = ["whatsapp-operator", "run"].map(OsString::from);
            dispatch(args, |_| panic!("Acme\u{1b}[2J\u{202e}\nsecond"));
        }
        let own = std::env::current_exe().expect("a path");
        let name = "cli::tests::a_panic_tells_what_others_wrote_as_everything_else_does";
        let args = [name, "--exact", "--nocapture", "--test-threads=1"];
        let output = std::process::Command::new(own).args(args).env(PANICS, "1").output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(r"Acme\u{1b}[2J\u{202e}") && told.contains("src/cli/mod.rs"), "{told}");
        assert!(!told.contains('\u{1b}') && !told.contains('\u{202e}'), "{told:?}");
    }

    #[test]
    fn a_wrong_argument_is_not_mistaken_for_changes() {
        let args = ["whatsapp-operator", "explain"].map(OsString::from);
        assert_eq!(parse(args).err(), Some(Exit::Error));
    }

    #[test]
    fn kubectl_may_call_it() {
        assert!(is_plugin(Some(&"/usr/local/bin/kubectl-whatsapp".into())));
        assert!(!is_plugin(Some(&"/usr/local/bin/whatsapp-operator".into())));
    }
}
