//! `doctor`: what is wrong with a channel, link by link from the token to the number's health. Writes nothing.
//!
//! It is another view of the pass that `plan` makes, so both say the same. Channels come from manifests or from the
//! cluster; no operator has to run.

mod report;

use std::path::PathBuf;

use clap::Args;
use kube::{Api, ResourceExt, api::ListParams};
pub use report::Report;

use crate::engine::assess::chain::{Above, Chain, OfPortfolio, of_channel, of_portfolio};
use crate::engine::{assess::Given, desired::PortfolioRef};
use crate::{
    api::{
        lower,
        v1alpha1::{WhatsAppChannel, WhatsAppPortfolio},
    },
    cli::{
        connect::{ClusterArgs, connect},
        exit::{Ending, Exit, Problem},
        list::pages,
        plan::{
            input::{self, Input},
            portfolio::Found,
            survey::{MetaArgs, Planner, claimed, found},
        },
        render::{self, OutputArgs},
    },
};

/// Shows link by link, from the token to the number's health, what holds and what breaks first; writes nothing.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The links: token, scopes, app, portfolio, account, subscription, number, name,
code, registration, webhook, payment, health. Each has a mark: ok, warn (it
works with a flaw, or nobody but the operator or Meta has to act), broken (a
person has to act), not checked. The line with > is the one to begin with: the
first that is broken, else the first that does not hold yet. Credentials of a
portfolio come from where plan takes them.

Exit codes: 0 nothing is broken, 3 something is, 1 error: also when nothing is
known to be broken and something could not be read; it is named.")]
pub struct DoctorArgs {
    /// Name of a channel in the cluster; else every channel of the namespace, and every portfolio that none of them uses.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// A file, a folder, or - for standard input, instead of channels in the cluster; may be given again.
    #[arg(short, long = "filename", num_args = 1.., value_name = "PATH", conflicts_with = "name")]
    pub files: Vec<PathBuf>,
    /// Every channel of every namespace, and every portfolio that none uses.
    #[arg(short = 'A', long, conflicts_with_all = ["name", "files", "namespace"])]
    pub all_namespaces: bool,
    #[command(flatten)]
    pub meta: MetaArgs,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Looks, and prints what it found.
///
/// # Errors
///
/// When there is nothing to look at, credentials are missing, or something could not be read: what was found is printed
/// then all the same.
pub async fn doctor(args: &DoctorArgs) -> Ending {
    let mut asked = Asked::from_args(args).await?;
    let planner = match asked.client.take() {
        Some(client) => args.meta.open_cluster(client, &mut asked.input).await?.0,
        None => args.meta.open_files(&args.cluster, &mut asked.input).await?.0,
    };
    let report = examine(&planner, &asked, args.name.as_deref()).await?;
    render::print(args.output.output, &report, report::text)?;
    match (report.broken, report.problem()) {
        (0, Some(problem)) => Err(problem),
        (0, None) => Ok(Exit::Done),
        _ => Ok(Exit::Refused),
    }
}

/// What is asked about.
struct Asked {
    input: Input,
    /// Channels whose spec cannot be understood.
    invalid: Vec<(WhatsAppChannel, String)>,
    /// Portfolios whose spec cannot be understood.
    invalid_portfolios: Vec<(PortfolioRef, String)>,
    /// Where the channels are from, unless they are manifests.
    client: Option<kube::Client>,
}

impl Asked {
    async fn from_args(args: &DoctorArgs) -> Result<Self, Problem> {
        if !args.files.is_empty() {
            let input = input::read(&args.files, args.cluster.namespace.as_deref())?;
            return Ok(Self { input, invalid: Vec::new(), invalid_portfolios: Vec::new(), client: None });
        }
        let (client, namespace) = connect(&args.cluster).await?;
        let (api, place): (Api<WhatsAppChannel>, _) = match args.all_namespaces {
            true => (Api::all(client.clone()), "any namespace".to_owned()),
            false => (Api::namespaced(client.clone(), &namespace), format!("namespace {namespace}")),
        };
        // Also for one: another of the namespace may manage the same number.
        let mut all = Vec::new();
        let what = format!("list the channels of {place}");
        pages(&what, &api, ListParams::default(), |channel: WhatsAppChannel| all.push(channel)).await?;
        let is_named = |object: &WhatsAppChannel| args.name.is_none() || object.metadata.name == args.name;
        let is_there = all.iter().any(is_named);
        let mut portfolios = Vec::new();
        let mut notes = Vec::new();
        if args.name.is_none() {
            let api: Api<WhatsAppPortfolio> = match args.all_namespaces {
                true => Api::all(client.clone()),
                false => Api::namespaced(client.clone(), &namespace),
            };
            let what = format!("list the portfolios of {place}");
            let take = |portfolio: WhatsAppPortfolio| portfolios.push(portfolio);
            match pages(&what, &api, ListParams::default(), take).await {
                // The channels are looked at all the same.
                Err(problem) if is_there => {
                    notes.push(format!("portfolios that no channel uses are not shown: {problem}"));
                }
                listed => listed?,
            }
        }
        if !is_there && portfolios.is_empty() {
            let what = args.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
            return Err(Problem::new(format!("there is no channel{what} in {place}"))
                .next("see which there are: kubectl get whatsapp --all-namespaces"));
        }
        let (mut input, invalid) = Input::of_objects(all);
        input.notes.append(&mut notes);
        let invalid = invalid.into_iter().map(|(object, why)| (object, why.to_string())).collect();
        let mut invalid_portfolios = Vec::new();
        for object in portfolios {
            match lower::portfolio(&object) {
                Ok(desired) => input.portfolios.push(desired),
                Err(why) => invalid_portfolios.push((reference(&object), why.to_string())),
            }
        }
        Ok(Self { input, invalid, invalid_portfolios, client: Some(client) })
    }
}

fn reference(object: &WhatsAppPortfolio) -> PortfolioRef {
    PortfolioRef { namespace: object.namespace().unwrap_or_default().into(), name: object.name_any().into() }
}

/// Looks at every portfolio and channel that is asked about, and at no other.
async fn examine(planner: &Planner, asked: &Asked, name: Option<&str>) -> Result<Report, Problem> {
    let input = &asked.input;
    let is_asked = |of: &str| name.is_none_or(|name| name == of);
    let mut channels = claimed(&input.channels);
    channels.retain(|(manifest, _)| is_asked(&manifest.desired.name));
    let is_used = |of: &PortfolioRef| channels.iter().any(|(manifest, _)| manifest.desired.portfolio == *of);
    let wanted = input.portfolios.iter().filter(|of| name.is_none() || is_used(&of.reference()));
    let known = planner.judge(wanted).await?;
    let mut report = Report::new(&planner.portfolios.origin, input);
    for desired in input.portfolios.iter().filter(|of| !is_used(&of.reference())) {
        if let Some(known) = known.get(&desired.reference()) {
            let (observed, assessment) = (&known.observed, &known.assessment);
            let chain = of_portfolio(OfPortfolio { desired, observed, assessment });
            report.portfolio(&desired.reference(), chain);
        }
    }
    for (of, why) in &asked.invalid_portfolios {
        report.portfolio(of, Chain::not_understood(why, planner.started));
    }
    for (manifest, claim) in channels {
        let desired = &manifest.desired;
        let portfolio = found(input, &known, desired);
        let looked = planner.look(manifest, claim, &portfolio).await;
        let given = Given {
            desired,
            observed: &looked.observed,
            plan: &looked.plan,
            outcome: None,
            before: &looked.before,
            limits: &planner.portfolios.limits,
            now: looked.now,
        };
        let of = input.portfolios.iter().find(|of| of.reference() == desired.portfolio);
        let above = match (&portfolio, of, input.unreadable.get(&desired.portfolio)) {
            (Found::Known(known), Some(desired), _) => Above::Portfolio(OfPortfolio {
                desired,
                observed: &known.observed,
                assessment: &known.assessment,
            }),
            (Found::NotReadable, _, Some(unread)) => Above::Unread(&unread.why),
            _ => Above::None,
        };
        report.channel(manifest, of_channel(&given, &looked.memory, &looked.assessment, above));
    }
    for (object, why) in
        asked.invalid.iter().filter(|(object, _)| object.metadata.name.as_deref().is_some_and(is_asked))
    {
        report.invalid(object, Chain::not_understood(why, planner.started));
    }
    Ok(report)
}
