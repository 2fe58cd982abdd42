//! `sandbox`: a simulated Graph API for demos, pipelines and staging.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::sandbox::{DEMO_TOKEN, Fault, Options, Pace, Sandbox, World};

use super::{
    exit::{Ending, Exit, Problem},
    process::stop_asked,
    render::{self, Text},
    source,
};

/// How often the state is kept.
const KEEP: Duration = Duration::from_secs(5);
/// Most bytes of a state, or of a list of faults.
const MOST: u64 = 256 * 1_048_576;
/// A day in less than a second, and still a clock.
const MOST_SPEED: f64 = 100_000.0;

/// Serves a simulated Graph API.
#[derive(Clone, Debug, Args)]
pub struct SandboxArgs {
    /// Where to listen; only this machine should reach it, since it shows codes and tokens to everybody.
    #[arg(long, default_value = "127.0.0.1:8088", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Where all chance comes from.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub seed: u64,
    /// The virtual date at the start, as in 2026-10-01T00:00:00Z. None: now; with --pace manual, one that is always
    /// the same.
    #[arg(long, value_name = "DATE")]
    pub start: Option<Timestamp>,
    /// How many virtual seconds pass in a second; or `manual`: only the control API moves time, so that two runs with
    /// the same seed and the same calls are identical.
    #[arg(long, default_value = "1", value_parser = pace, value_name = "SPEED")]
    pub pace: Pace,
    /// Faults to begin with, a JSON list. A state that is there has its own.
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// Continues from this file, if it is there, and keeps the state in it.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
}

fn pace(text: &str) -> Result<Pace, String> {
    if text == "manual" {
        return Ok(Pace::Manual);
    }
    match text.parse() {
        Ok(speed) if (0.0..=MOST_SPEED).contains(&speed) => Ok(Pace::Follow { speed }),
        _ => Err(format!("{text} is not manual, and no number from 0 to {MOST_SPEED}")),
    }
}

/// Serves until it is asked to stop.
///
/// # Errors
///
/// When a file cannot be read, or nobody may listen at that address.
pub async fn sandbox(args: &SandboxArgs) -> Ending {
    let sandbox = load(args)?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Problem::new(format!("cannot listen on {}: {error}", args.listen))
            .next("choose another port with --listen")
    })?;
    let address = listener.local_addr().unwrap_or(args.listen);
    render::out(&Text::of(&format!(
        "sandbox listens on http://{address}\n  token    {DEMO_TOKEN}\n  control  http://{address}/control\n"
    )))?;
    let stop = CancellationToken::new();
    let server = tokio::spawn(sandbox.clone().serve(listener, stop.clone()));
    let kept = keep(&sandbox, args.state.as_deref(), stop_asked()).await;
    stop.cancel();
    // It ends by our own word; what it says then changes nothing.
    let _ = server.await;
    kept?;
    Ok(Exit::Done)
}

fn load(args: &SandboxArgs) -> Result<Sandbox, Problem> {
    if let Some(path) = args.state.as_deref().filter(|path| path.exists()) {
        let state = serde_json::from_str(&read(path)?).and_then(Sandbox::restore);
        return state.map_err(|error| {
            Problem::new(format!("{} is no state of a sandbox: {error}", path.display()))
                .next("remove the file to begin anew")
        });
    }
    let sandbox = Sandbox::from_world(options(args), World::for_demo());
    if let Some(path) = &args.faults {
        let faults = Fault::list_from_json(&read(path)?).map_err(|error| {
            Problem::new(format!("{}:{}:{}: {error}", path.display(), error.line(), error.column()))
                .next("write a list of faults as docs/sandbox.md shows")
        })?;
        for fault in faults {
            sandbox.inject(fault);
        }
    }
    Ok(sandbox)
}

/// Nothing in them comes from the machine when time is moved by hand.
fn options(args: &SandboxArgs) -> Options {
    let start = args.start.unwrap_or_else(|| match args.pace {
        Pace::Manual => Options::default().start,
        Pace::Follow { .. } => Timestamp::now(),
    });
    Options { pace: args.pace, ..Options::live(args.seed, start) }
}

fn read(path: &Path) -> Result<String, Problem> {
    source::text(path, MOST).map_err(|error| Problem::new(format!("cannot read {}: {error}", path.display())))
}

/// Writes the state now and then until `stop`, and once more at the end.
async fn keep(sandbox: &Sandbox, path: Option<&Path>, stop: impl Future<Output = ()>) -> Result<(), Problem> {
    let mut stop = std::pin::pin!(stop);
    let Some(path) = path else {
        stop.await;
        return Ok(());
    };
    loop {
        let stopped = tokio::time::timeout(KEEP, &mut stop).await.is_ok();
        write(path, &sandbox.snapshot()).map_err(|error| {
            Problem::new(format!("cannot write {}: {error}", path.display()))
                .next("choose another file with --state")
        })?;
        if stopped {
            return Ok(());
        }
    }
}

/// Writes whole or not at all: who is killed in between leaves the old file.
fn write(path: &Path, state: &serde_json::Value) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    std::fs::write(&unfinished, format!("{state:#}\n"))?;
    std::fs::rename(&unfinished, path)
}
