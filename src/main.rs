//! The binary: installs the crypto provider, reads the arguments, dispatches; nothing else.

use std::process::ExitCode;

use whatsapp_operator::cli::{self, Command, exit::Exit};

fn main() -> ExitCode {
    // Fails only when somebody did it before, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli::parse(std::env::args_os()) {
        Ok(cli) => dispatch(cli.command),
        Err(exit) => exit,
    }
    .into()
}

fn dispatch(command: Command) -> Exit {
    cli::end(match command {
        Command::Run(_) => Ok(Exit::Done),
        Command::Sandbox(args) => cli::block_on(cli::sandbox::sandbox(&args)),
        Command::Status(args) => cli::block_on(cli::status::status(&args)),
        Command::SendCode(args) => cli::block_on(cli::consent::send_code(&args)),
        Command::Code(args) => cli::block_on(cli::code::code(&args)),
        Command::Retry(args) => cli::block_on(cli::consent::retry(&args)),
        Command::Explain(args) => cli::explain::explain(&args),
    })
}
