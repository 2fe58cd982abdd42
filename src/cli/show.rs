//! `status`: the page of a channel or of a portfolio, or the fleet; once, or again after each change.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::{
    channel::Channel,
    connect::ClusterArgs,
    exit::{Ending, Exit, Problem},
    fleet,
    list::{Listing, WhichArgs},
    named::Named,
    portfolio::{self, Portfolio},
    process::stop_asked,
    render::{self, Format, OutputArgs, Printed, Text, Tone, paint},
    status,
};

/// How often what is watched is looked at. It takes no right but to get or to list it.
const LOOK: Duration = Duration::from_secs(1);
/// Of a large fleet it is less often: reading takes one part of the time in this many.
const REST: u32 = 10;

/// Shows how a channel stands, who has to act next, and what happens if they don't; without a name, all channels by
/// stage.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Name of a channel, or portfolio/NAME; else the channels of the namespace, by stage.
    #[arg(value_name = "NAME", conflicts_with_all = ["selector", "all_namespaces"])]
    pub name: Option<String>,
    #[command(flatten)]
    pub which: WhichArgs,
    /// Shows it again after each change, until it is interrupted.
    #[arg(short, long)]
    pub watch: bool,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Shows the status.
///
/// # Errors
///
/// When it cannot be read.
pub async fn status(args: &StatusArgs) -> Ending {
    let Some(name) = &args.name else {
        let listing = Listing::open(&args.which, &args.cluster).await?;
        let read = async || fleet::read(&listing).await;
        return show(args, read, |fleet, now| fleet::text(fleet, &listing.place(), now)).await;
    };
    match Named::parse(name)? {
        Named::Channel(name) => {
            let channel = Channel::open(&name, &args.cluster).await?;
            let read = async || {
                let object = channel.read().await?;
                let portfolio = channel.portfolio_of(&object).await?;
                let report = status::report(&object, &channel.namespace, Timestamp::now());
                Ok(report.beside(portfolio.as_ref()))
            };
            show(args, read, status::text).await
        }
        Named::Portfolio(name) => {
            let opened = Portfolio::open(&name, &args.cluster).await?;
            let read = async || {
                let object = opened.read().await?;
                Ok(portfolio::report(&object, &opened.namespace))
            };
            show(args, read, portfolio::text).await
        }
    }
}

/// Prints what is read, once or after each change.
async fn show<T: Printed>(
    args: &StatusArgs,
    read: impl AsyncFn() -> Result<T, Problem>,
    text: impl Fn(&T, Timestamp) -> Text,
) -> Ending {
    let print =
        |report: &T| render::print(args.output.output, report, |report| text(report, Timestamp::now()));
    if !args.watch {
        print(&read().await?)?;
        return Ok(Exit::Done);
    }
    let mut stop = pin!(stop_asked());
    let mut last: Option<Value> = None;
    loop {
        let begun = Instant::now();
        let looked = tokio::select! {
            () = &mut stop => return Ok(Exit::Done),
            looked = read() => looked,
        };
        let pause = LOOK.max(begun.elapsed() * (REST - 1));
        match looked {
            Ok(report) => {
                let value = serde_json::to_value(&report).ok();
                if last.is_none() || value != last {
                    // One page of an object is read after another, and a table where it stands.
                    let is_redrawn = args.name.is_none() && args.output.output == Format::Text;
                    if !(is_redrawn && render::clear()?) && last.is_some() {
                        render::out(&between(args.output.output))?;
                    }
                    print(&report)?;
                    last = value;
                }
            }
            // It may answer in a moment; what was shown stands.
            Err(problem) if problem.is_passing() && last.is_some() => {}
            Err(problem) => return Err(problem),
        }
        tokio::select! {
            () = &mut stop => return Ok(Exit::Done),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What stands between two pages.
fn between(format: Format) -> Text {
    let mut text = Text::new();
    match format {
        Format::Text => {
            let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            text.line("").line(paint(Tone::Faint, format!("--- {now}")));
        }
        Format::Yaml => {
            text.line("---");
        }
        Format::Json => {}
    }
    text
}
