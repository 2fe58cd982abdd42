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
#[cfg(test)]
mod tests;
pub(super) mod unread;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use clap::Args;
use forecast::{Case, PASSES, forecast};
use input::{Input, Manifest};
use jiff::Timestamp;
use portfolio::{Found, Portfolios};
use report::Report;
use secret::{FileArgs, Origin, PlanSecrets};

use crate::engine::{
    assess::{Given, assess},
    desired::{Desired, Management},
    limits::Limits,
    look::{Follows, look},
    memory::Memory,
    observed::{Claim, Observed, ProcessFacts, Stood},
    plan::{Plan, plan as decide},
    spelling::Canonical,
    status::{Before, Facts},
};
use crate::{
    api::lower,
    cli::{
        channel::ClusterArgs,
        exit::{Ending, Exit, Problem},
        render::{self, OutputArgs},
    },
    meta::{
        client::Meta,
        port::{Graph, SystemClock},
        settings::{DEFAULT_URL, DEFAULT_VERSION, Settings},
    },
    run::{
        attempts::Attempts,
        observe::{Circumstances, Sources, observe},
        secret::Volatile,
    },
};

/// Looks are repeated while each finds something that the next one needs, at most this often.
const LOOKS: usize = 4;

/// Shows what would be done for manifests, and what would wait; writes nothing.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Credentials of a portfolio come from the first of these that has them:
  --sandbox                          a simulated Meta in this process; nothing else is needed
  --token-file NAME=PATH             and --app-secret-file NAME=PATH
  WHATSAPP_TOKEN_<NAME>              and WHATSAPP_APP_SECRET_<NAME>, upper case, - written as _
  the cluster                        the Secrets that the portfolio names

Exit codes: 0 nothing to change, 2 there are changes, 1 error: also when something
could not be read, such as with a token that Meta does not accept; it is named.")]
pub struct PlanArgs {
    /// A file, a folder, or - for standard input; may be given again.
    #[arg(short, long = "filename", required = true, num_args = 1.., value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// Asks a simulated Meta in this process, made to fit the manifests: each portfolio has an account, no number is
    /// there yet. An annotation whatsapp-operator.dev/sandbox asks for another beginning: registered on a channel,
    /// no-account on a portfolio.
    #[arg(long, conflicts_with_all = ["token_files", "app_secret_files"])]
    pub sandbox: bool,
    /// Goes on from the first step: plays the rest of the way in a simulated Meta in this process, in virtual time, as
    /// if everybody acted as hoped. Shows each step and wait up to Ready, who has to act, and what it costs. It is a
    /// forecast, not a promise.
    #[arg(long)]
    pub whole_way: bool,
    #[command(flatten)]
    pub given: FileArgs,
    /// Base address of the Graph API; of no use with --sandbox.
    #[arg(long, env = "WHATSAPP_OPERATOR_GRAPH_URL", default_value = DEFAULT_URL, value_name = "URL")]
    pub graph_url: url::Url,
    /// Version of the Graph API.
    #[arg(long, env = "WHATSAPP_OPERATOR_GRAPH_VERSION", default_value = DEFAULT_VERSION, value_name = "VERSION")]
    pub graph_version: String,
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
    let limits = Limits::default();
    let mut settings = Settings {
        base_url: args.graph_url.clone(),
        version: args.graph_version.clone(),
        limits: limits.clone(),
    };
    let origin = if args.sandbox {
        let (url, tokens) = seed::serve(&mut input).await?;
        settings.base_url = url;
        Origin::Sandbox(tokens)
    } else {
        Origin::from_args(&args.given, &args.cluster, &mut input).await?
    };
    let meta = Meta::new(settings.clone(), Arc::new(SystemClock))
        .map_err(|error| Problem::new(format!("cannot reach Meta: {error}")))?;
    let portfolios = Portfolios { meta, origin, limits, clock: SystemClock };
    let planner = Planner { portfolios, started: Timestamp::now() };
    let report = planner.all(&input, args.whole_way.then_some(&settings)).await?;
    render::print(args.output.output, &report, report::text)?;
    if let Some(problem) = report.problem() {
        return Err(problem);
    }
    Ok(if report.changes > 0 { Exit::Changes } else { Exit::Done })
}

/// Plans channels of portfolios that were judged.
pub(super) struct Planner {
    pub portfolios: Portfolios<SystemClock>,
    pub started: Timestamp,
}

impl Planner {
    /// Plans everything, and forecasts the rest of the way where the settings for that are given.
    async fn all(&self, input: &Input, whole_way: Option<&Settings>) -> Result<Report, Problem> {
        let mut known = HashMap::new();
        let mut report = Report::new(&self.portfolios.origin, input);
        report.unread(input.unreadable.values().cloned().collect());
        for portfolio in &input.portfolios {
            let judged = self.portfolios.judge(portfolio).await?;
            report.portfolio(portfolio, &judged.assessment);
            report.unread(judged.unread.clone());
            known.insert(portfolio.reference(), judged);
        }
        let found = |desired: &Desired| match known.get(&desired.portfolio) {
            Some(known) => Found::Known(known),
            None if input.unreadable.contains_key(&desired.portfolio) => Found::NotReadable,
            None => Found::NotThere,
        };
        let owners = owners(&input.channels);
        let mut cases = Vec::new();
        for manifest in &input.channels {
            let claim = claim(manifest, &owners);
            let desired = &manifest.desired;
            let memory = lower::memory(&manifest.object);
            let before = lower::before(&manifest.object);
            let portfolio = found(desired);
            let (observed, plan) =
                self.channel(desired, claim.clone(), &portfolio, memory, &before.facts).await;
            // Without credentials everything is unread, for which they are named already.
            if portfolio.graph().is_some() {
                report.unread(unread::channel(desired, &observed));
            }
            let now = Timestamp::now();
            let mut memory = plan.memory.clone();
            let given = Given {
                desired,
                observed: &observed,
                plan: &plan,
                outcome: None,
                before: &before,
                limits: &self.portfolios.limits,
                now,
            };
            let assessment = assess(&given, &mut memory);
            report.channel(
                manifest,
                &plan,
                lower::status(&assessment, &memory, manifest.object.status.as_ref()),
                plan.rename_cost(&self.portfolios.limits, now),
            );
            cases.push(Case { manifest, claim, observed, plan });
        }
        if let Some(settings) = whole_way {
            report.forecasts(forecast(&cases, &input.portfolios, found, settings, PASSES).await?);
        }
        for (of, judged) in &known {
            let refused = judged.graph.as_ref().map(Graph::refused_fields).unwrap_or_default();
            report.refused(of, lower::refused_fields(&[], &refused));
        }
        Ok(report)
    }

    /// Looks and decides until nothing more is learnt by looking.
    pub async fn channel(
        &self,
        desired: &Desired,
        claim: Claim,
        portfolio: &Found<'_>,
        mut memory: Memory,
        facts: &Facts,
    ) -> (Observed, Plan) {
        let state = portfolio.state(&desired.namespace);
        let graph = portfolio.graph();
        let secrets: PlanSecrets = self.portfolios.origin.secrets(desired);
        let seen = Volatile::default();
        let sources = Sources { graph, secrets: &secrets, clock: &SystemClock, seen: &seen };
        let (mut before, mut left) = (Before { facts: facts.clone(), ..Before::default() }, LOOKS);
        loop {
            left -= 1;
            let follows =
                Follows { before: &before, after_write: None, may_add: true, stood: &Stood::default() };
            let wanted =
                look(desired, &memory, &claim, &state, follows, &self.portfolios.limits, Timestamp::now());
            let process = ProcessFacts::new(self.started);
            let given = Circumstances { claim: claim.clone(), portfolio: state.clone(), process };
            let (mut observed, _) = observe(desired, &wanted, given, &sources).await;
            let (limits, now) = (&self.portfolios.limits, Timestamp::now());
            let mut plan = decide(desired, &observed, &memory, limits, now);
            let kept = self.portfolios.origin.attempts(desired).filter(|_| plan.needs_attempts(&memory));
            if let Some(kept) = kept {
                let read = kept.read().await;
                if let Some(memory) = read.taken_over(&plan, &memory, &mut observed, limits, now) {
                    plan = decide(desired, &observed, &memory, limits, now);
                }
            }
            // What a look needs depends on what the one before showed.
            let facts = {
                let mut memory = plan.memory.clone();
                let (outcome, before, observed, plan) = (None, &before, &observed, &plan);
                assess(&Given { desired, observed, plan, outcome, before, limits, now }, &mut memory).facts
            };
            if left == 0 || plan.step.is_some() || (plan.memory == memory && facts == before.facts) {
                return (observed, plan);
            }
            (memory, before.facts) = (plan.memory, facts);
        }
    }
}

/// The channel that would manage each number, in whichever spelling: the first that may.
fn owners(channels: &[Manifest]) -> BTreeMap<Canonical, &Manifest> {
    let mut owners = BTreeMap::new();
    let may =
        |manifest: &&Manifest| manifest.desired.management == Management::Full && !manifest.desired.suspend;
    for manifest in channels.iter().filter(may) {
        owners.entry(manifest.desired.number.canonical()).or_insert(manifest);
    }
    owners
}

fn claim(manifest: &Manifest, owners: &BTreeMap<Canonical, &Manifest>) -> Claim {
    match owners.get(&manifest.desired.number.canonical()) {
        Some(owner) if !std::ptr::eq(*owner, manifest) => Claim::Other {
            name: (owner.desired.namespace == manifest.desired.namespace).then(|| owner.desired.name.clone()),
        },
        _ => Claim::Ours { act_from: None },
    }
}
