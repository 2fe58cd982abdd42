//! One look at everything: portfolios judged, and for each channel the operator's own pass up to where a step would be
//! carried out. `plan` and `doctor` show what it found. It writes nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use clap::Args;
use jiff::Timestamp;
use kube::Client;

use crate::engine::{
    assess::{Given, assess},
    desired::{Desired, DesiredPortfolio, Management, PortfolioRef},
    limits::Limits,
    look::{Follows, look},
    memory::Memory,
    observed::{Claim, Observed, ProcessFacts},
    plan::{Plan, plan as decide},
    spelling::Canonical,
    status::{Assessment, Before, Facts},
};
use crate::{
    api::lower,
    cli::{connect::ClusterArgs, exit::Problem},
    meta::{
        client::Meta,
        port::SystemClock,
        settings::{DEFAULT_URL, DEFAULT_VERSION, MayWrite, Settings},
    },
    run::{
        attempts::Attempts,
        observe::{Circumstances, Sources, observe},
        secret::Volatile,
    },
};

use super::{
    input::{Input, Manifest},
    portfolio::{Found, Known, Portfolios},
    secret::{FileArgs, Origin, PlanSecrets},
    seed,
    unread::{self, Unread},
};

/// Looks are repeated while each finds something that the next one needs, at most this often.
const LOOKS: usize = 4;

/// Which Meta is asked, and with which credentials.
#[derive(Clone, Debug, Args)]
pub struct MetaArgs {
    /// Asks a simulated Meta in this process, made to fit the manifests: each portfolio has an account, no number is
    /// there yet. An annotation whatsapp-operator.dev/sandbox asks for another beginning: registered on a channel,
    /// no-account on a portfolio.
    #[arg(long, requires = "files", conflicts_with_all = ["token_files", "app_secret_files"])]
    pub sandbox: bool,
    #[command(flatten)]
    pub given: FileArgs,
    /// Base address of the Graph API; of no use with --sandbox.
    #[arg(long, env = "WHATSAPP_OPERATOR_GRAPH_URL", default_value = DEFAULT_URL, value_name = "URL")]
    pub graph_url: url::Url,
    /// Version of the Graph API.
    #[arg(long, env = "WHATSAPP_OPERATOR_GRAPH_VERSION", default_value = DEFAULT_VERSION, value_name = "VERSION")]
    pub graph_version: String,
}

impl MetaArgs {
    /// For manifests: with a sandbox, what is given here, or what the cluster has.
    ///
    /// # Errors
    ///
    /// When credentials are missing, or the cluster cannot be read.
    pub async fn open_files(
        &self,
        cluster: &ClusterArgs,
        input: &mut Input,
    ) -> Result<(Planner, Settings), Problem> {
        if !self.sandbox {
            let origin = Origin::from_args(&self.given, cluster, input).await?;
            return self.open(origin, self.graph_url.clone());
        }
        let (url, tokens) = seed::serve(input).await?;
        self.open(Origin::Sandbox(tokens), url)
    }

    /// For channels that were read from a cluster.
    ///
    /// # Errors
    ///
    /// When their portfolios cannot be read.
    pub async fn open_cluster(
        &self,
        client: Client,
        input: &mut Input,
    ) -> Result<(Planner, Settings), Problem> {
        let origin = Origin::of_cluster(&self.given, client, input).await?;
        self.open(origin, self.graph_url.clone())
    }

    fn open(&self, origin: Origin, base_url: url::Url) -> Result<(Planner, Settings), Problem> {
        let limits = Limits::default();
        let (version, may_write) = (self.graph_version.clone(), MayWrite::always());
        let settings = Settings { base_url, version, limits: limits.clone(), may_write };
        let meta = Meta::new(settings.clone(), Arc::new(SystemClock))
            .map_err(|error| Problem::new(format!("cannot reach Meta: {error}")))?;
        let portfolios = Portfolios { meta, origin, limits, clock: SystemClock };
        Ok((Planner { portfolios, started: Timestamp::now() }, settings))
    }
}

/// The operator's pass without its writes.
pub struct Planner {
    pub portfolios: Portfolios<SystemClock>,
    pub started: Timestamp,
}

/// A channel as one pass saw it.
pub struct Looked {
    pub claim: Claim,
    pub before: Before,
    pub observed: Observed,
    pub plan: Plan,
    pub memory: Memory,
    pub assessment: Assessment,
    pub unread: Vec<Unread>,
    pub now: Timestamp,
}

impl Planner {
    /// Judges portfolios.
    ///
    /// # Errors
    ///
    /// When there are no credentials to open one with.
    pub async fn judge(
        &self,
        portfolios: impl Iterator<Item = &DesiredPortfolio>,
    ) -> Result<HashMap<PortfolioRef, Known>, Problem> {
        let mut known = HashMap::new();
        for portfolio in portfolios {
            known.insert(portfolio.reference(), self.portfolios.judge(portfolio).await?);
        }
        Ok(known)
    }

    /// Looks at a channel, decides, and says what it means.
    pub async fn look(&self, manifest: &Manifest, claim: Claim, portfolio: &Found<'_>) -> Looked {
        let desired = &manifest.desired;
        let memory = lower::memory(&manifest.object);
        let before = lower::before(&manifest.object);
        let (observed, plan) = self.channel(desired, claim.clone(), portfolio, memory, &before.facts).await;
        // Without credentials everything is unread, for which they are named already.
        let unread = match portfolio.graph() {
            Some(_) => unread::channel(desired, &observed),
            None => Vec::new(),
        };
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
        Looked { claim, before, observed, plan, memory, assessment, unread, now }
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
            let process = ProcessFacts::new(self.started);
            let picture = Some((&process.picture, self.started));
            let follows =
                Follows { before: &before, after_write: None, may_add: true, process: &process, picture };
            let mut wanted =
                look(desired, &memory, &claim, &state, follows, &self.portfolios.limits, Timestamp::now());
            // The operator is told by others in time. Nobody else reads it here.
            let target = wanted.accounts.iter().find(|wanted| wanted.facts.is_some());
            wanted.subscription = wanted.subscription.or_else(|| Some(target?.account.clone()));
            let given = Circumstances { claim: claim.clone(), portfolio: state.clone(), process };
            let (mut observed, _) = observe(desired, &wanted, given, &sources).await;
            let (limits, now) = (&self.portfolios.limits, Timestamp::now());
            let mut plan = decide(desired, &observed, &memory, limits, now);
            let kept = self.portfolios.origin.attempts(desired).filter(|_| plan.needs_attempts());
            if let Some(kept) = kept {
                let read = kept.read().await;
                if let Some(memory) = read.taken_over(&memory, &mut observed, limits, now) {
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

/// How the portfolio of a channel was found.
pub fn found<'a>(input: &Input, known: &'a HashMap<PortfolioRef, Known>, desired: &Desired) -> Found<'a> {
    match known.get(&desired.portfolio) {
        Some(known) => Found::Known(known),
        None if input.unreadable.contains_key(&desired.portfolio) => Found::NotReadable,
        None => Found::NotThere,
    }
}

/// Each channel with whether it would manage its number, in whichever spelling: the first that may does.
pub fn claimed(channels: &[Manifest]) -> Vec<(&Manifest, Claim)> {
    let mut owners: BTreeMap<Canonical, &Manifest> = BTreeMap::new();
    let may =
        |manifest: &&Manifest| manifest.desired.management == Management::Full && !manifest.desired.suspend;
    for manifest in channels.iter().filter(may) {
        owners.entry(manifest.desired.number.canonical()).or_insert(manifest);
    }
    channels.iter().map(|manifest| (manifest, claim(manifest, &owners))).collect()
}

fn claim(manifest: &Manifest, owners: &BTreeMap<Canonical, &Manifest>) -> Claim {
    match owners.get(&manifest.desired.number.canonical()) {
        Some(owner) if !std::ptr::eq(*owner, manifest) => Claim::Other {
            name: (owner.desired.namespace == manifest.desired.namespace).then(|| owner.desired.name.clone()),
        },
        _ => Claim::Ours { act_from: None },
    }
}
