//! `plan`: what would be done for manifests, what would wait, and on whom. Writes nothing.
//!
//! The same engine as in the controller, up to the point where a step would be carried
//! out. Only where things come from differs: channels from files, credentials from a
//! file, the environment or the cluster, and Meta perhaps from a sandbox in this process.

mod course;
mod forecast;
mod hope;
pub(super) mod input;
mod load;
pub(super) mod portfolio;
mod report;
pub(super) mod secret;
mod seed;
pub(super) mod survey;
#[cfg(test)]
mod tests;
pub(super) mod unread;

use std::path::PathBuf;

use clap::Args;
use forecast::{Case, PASSES, forecast};
use input::Input;
pub use report::Report;
use survey::{MetaArgs, Planner, claimed, found};

use crate::engine::desired::Desired;
use crate::{
    api::lower,
    cli::{
        connect::ClusterArgs,
        exit::{Ending, Exit, Problem},
        render::{self, OutputArgs},
    },
    meta::{port::Graph, settings::Settings},
};

/// What the help says at its end.
const AFTER_HELP: &str = "\
Credentials of a portfolio come from the first of these that has them:
  --sandbox               a simulated Meta in this process; nothing else needed
  --token-file NAME=PATH  and --app-secret-file NAME=PATH
  WHATSAPP_TOKEN_<NAME>   and WHATSAPP_APP_SECRET_<NAME>, upper case,
                          - written as _
  the cluster             the Secrets that the portfolio names

Exit codes: 0 nothing to change, 2 there are changes, 1 error: also when
something could not be read, such as with a token that Meta does not accept; it
is named.";

/// Shows what would be done for manifests, and what would wait; writes nothing.
#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct PlanArgs {
    /// A file, a folder, or - for standard input; may be given again.
    #[arg(short, long = "filename", required = true, num_args = 1.., value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// Goes on from the first step: plays the rest of the way in a simulated Meta in this process, in virtual time, as
    /// if everybody acted as hoped. Shows each step and wait up to Ready, who has to act, and what it costs. It is a
    /// forecast, not a promise.
    #[arg(long)]
    pub whole_way: bool,
    #[command(flatten)]
    pub meta: MetaArgs,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Plans, and prints the plan.
///
/// # Errors
///
/// When manifests are wrong, credentials are missing, or something could not be read: what was planned is printed then
/// all the same.
pub async fn plan(args: &PlanArgs) -> Ending {
    let mut input = input::read(&args.files, args.cluster.namespace.as_deref())?;
    let (planner, settings) = args.meta.open_files(&args.cluster, &mut input).await?;
    let report = planner.all(&input, args.whole_way.then_some(&settings)).await?;
    render::print(args.output.output, &report, report::text)?;
    if let Some(problem) = report.problem() {
        return Err(problem);
    }
    Ok(if report.changes > 0 { Exit::Changes } else { Exit::Done })
}

impl Planner {
    /// Plans everything, and forecasts the rest of the way where the settings for that are given.
    async fn all(&self, input: &Input, whole_way: Option<&Settings>) -> Result<Report, Problem> {
        let mut report = Report::new(&self.portfolios.origin, input);
        report.unread(input.unreadable.values().cloned().collect());
        let known = self.judge(input.portfolios.iter()).await?;
        for portfolio in &input.portfolios {
            if let Some(judged) = known.get(&portfolio.reference()) {
                report.portfolio(portfolio, &judged.assessment);
                report.unread(judged.unread.clone());
            }
        }
        let mut cases = Vec::new();
        for (manifest, claim) in claimed(&input.channels) {
            let portfolio = found(input, &known, &manifest.desired);
            let looked = self.look(manifest, claim, &portfolio).await;
            report.unread(looked.unread);
            report.channel(
                manifest,
                &looked.plan,
                lower::status(&looked.assessment, &looked.memory, manifest.object.status.as_ref()),
                looked.plan.rename_cost(&self.portfolios.limits, looked.now),
            );
            let (claim, observed, plan) = (looked.claim, looked.observed, looked.plan);
            cases.push(Case { manifest, claim, observed, plan });
        }
        if let Some(settings) = whole_way {
            let found = |desired: &Desired| found(input, &known, desired);
            report.forecasts(forecast(&cases, &input.portfolios, found, settings, PASSES).await?);
        }
        for (of, judged) in &known {
            let refused = judged.graph.as_ref().map(Graph::refused_fields).unwrap_or_default();
            report.refused(of, lower::refused_fields(&[], &refused));
        }
        Ok(report)
    }
}
