//! Which portfolio is imported, and what opens it.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use kube::{Api, Client, api::ListParams};
use serde_json::Value;

use crate::api::v1alpha1::{
    Credentials, SecretKeyRef, WhatsAppChannel, WhatsAppPortfolio, WhatsAppPortfolioSpec,
};
use crate::cli::{
    connect::{call, connect},
    exit::Problem,
    plan::{
        input::{self, Input},
        secret::{Opener, Origin, given},
    },
    source,
};
use crate::engine::{
    desired::{DesiredPortfolio, PortfolioRef},
    id::{AccountId, BusinessId},
    look::Urgency,
    spelling::Canonical,
};
use crate::meta::{
    client::Meta,
    port::{Credential, Graph as _, GraphSource as _, SystemClock},
    settings::Settings,
};

use super::{args::ImportArgs, draft::Place, sample, yaml};

/// Keys of the Secret that holds the credentials.
pub const TOKEN_KEY: &str = "token";
pub const APP_SECRET_KEY: &str = "appSecret";
/// Namespace of a portfolio that is in none yet.
const DEFAULT: &str = "default";

/// A portfolio with a way to open it.
pub struct Target {
    pub desired: DesiredPortfolio,
    /// Its manifest.
    pub manifest: Value,
    /// It is in the cluster already, and so are its Secrets.
    pub is_there: bool,
    /// Channels that are in its namespace already, by number.
    pub channels: BTreeMap<Canonical, String>,
    pub origin: Origin,
}

impl Target {
    /// Finds it by what was asked for. A sandbox is started, and takes the place of Meta in the settings.
    ///
    /// # Errors
    ///
    /// When there are no credentials, or it cannot be told which portfolio is meant.
    pub async fn find(args: &ImportArgs, settings: &mut Settings) -> Result<Self, Problem> {
        if args.sandbox {
            let business = args.business.as_deref().unwrap_or(sample::BUSINESS);
            let (url, opener) = sample::serve(business).await?;
            settings.base_url = url;
            let name = args.portfolio.clone().unwrap_or_else(|| named_after(business));
            return Self::new(args, &name, business, opener, Origin::Sandbox);
        }
        let files = &args.given.token_files;
        let name = args.portfolio.clone().or_else(|| files.first().map(|(name, _)| name.clone()));
        let name = name.or_else(|| args.business.as_deref().map(named_after));
        let given_files = || files.iter().chain(&args.given.app_secret_files);
        if let Some(name) = &name
            && let Some((other, _)) = given_files().find(|(other, _)| other != name)
        {
            return Err(Problem::new(format!(
                "credentials are given for portfolio {other}, and portfolio {name} is to be printed"
            ))
            .next("use one name in --portfolio, --token-file and --app-secret-file"));
        }
        let opener = match &name {
            Some(name) => given(&args.given, name)?,
            None => None,
        };
        match (name, opener) {
            (Some(name), Some(opener)) => {
                let business = match (&args.business, args.accounts.first()) {
                    (Some(business), _) => business.clone(),
                    (None, Some(account)) => owner(account, &opener, settings).await?,
                    (None, None) => return Err(Problem::new("neither a business nor an account is named")),
                };
                Self::new(args, &name, &business, opener, Origin::Given)
            }
            (name, _) if !args.given.app_secret_files.is_empty() => {
                let name = name.map(|name| format!(" of portfolio {name}")).unwrap_or_default();
                Err(Problem::new(format!("an app secret{name} is given, and no token")).next(GIVE))
            }
            _ => Self::in_cluster(args).await,
        }
    }

    /// One that is in no cluster yet.
    fn new(
        args: &ImportArgs,
        name: &str,
        business: &str,
        opener: Opener,
        origin: impl FnOnce(BTreeMap<PortfolioRef, Opener>) -> Origin,
    ) -> Result<Self, Problem> {
        let secret = format!("{name}-meta");
        let key = |key: &str| SecretKeyRef { name: secret.clone(), key: key.to_owned() };
        let spec = WhatsAppPortfolioSpec {
            business_id: business.to_owned(),
            credentials: Credentials {
                access_token_secret_ref: key(TOKEN_KEY),
                app_secret_ref: opener.1.as_ref().map(|_| key(APP_SECRET_KEY)),
                app_id: None,
            },
            expect: None,
            access: Vec::new(),
            app_webhook: None,
        };
        let namespace = args.cluster.namespace.as_deref();
        let manifest = manifest(name, namespace, &spec);
        let input = read(&manifest, namespace.unwrap_or(DEFAULT))?;
        let desired = only(input)?;
        let origin = origin(BTreeMap::from([(desired.reference(), opener)]));
        Ok(Self { desired, manifest, is_there: false, channels: BTreeMap::new(), origin })
    }

    /// The one that is in the cluster under that name, or for that business.
    async fn in_cluster(args: &ImportArgs) -> Result<Self, Problem> {
        let (client, namespace) = connect(&args.cluster).await.map_err(|problem| {
            Problem::new(format!("no credentials are given here, and there is {problem}")).next(GIVE)
        })?;
        let found = find(&client, &namespace, args).await?;
        let name = found.metadata.name.clone().unwrap_or_default();
        let manifest = manifest(&name, args.cluster.namespace.as_deref(), &found.spec);
        let desired = only(read(&manifest, &namespace)?)?;
        let channels = channels(&client, &namespace).await?;
        let origin = Origin::Cluster(client, BTreeMap::new());
        Ok(Self { desired, manifest, is_there: true, channels, origin })
    }
}

/// What helps where credentials are missing.
const GIVE: &str = "give a token with --token-file NAME=PATH, NAME being the name that the WhatsAppPortfolio is to have, or with --portfolio NAME and WHATSAPP_TOKEN_<NAME>; or try --sandbox";

fn named_after(business: &str) -> String {
    format!("business-{business}")
}

fn manifest(name: &str, namespace: Option<&str>, spec: &WhatsAppPortfolioSpec) -> Value {
    // A spec is nothing but maps, lists and texts.
    let spec = serde_json::to_value(spec).unwrap_or_default();
    Place { portfolio: name, namespace }.object("WhatsAppPortfolio", name, &spec)
}

/// As whoever applies it has it read.
fn read(manifest: &Value, namespace: &str) -> Result<Input, Problem> {
    input::of(&source::parse("portfolio", &yaml::lines(manifest).join("\n")), Some(namespace))
}

fn only(input: Input) -> Result<DesiredPortfolio, Problem> {
    input.portfolios.into_iter().next().ok_or_else(|| Problem::new("the manifest of the portfolio is none"))
}

async fn find(client: &Client, namespace: &str, args: &ImportArgs) -> Result<WhatsAppPortfolio, Problem> {
    let api: Api<WhatsAppPortfolio> = Api::namespaced(client.clone(), namespace);
    let what = format!("list portfolios in namespace {namespace}");
    let is_meant = |portfolio: &WhatsAppPortfolio| {
        let is = |wanted: &Option<String>, it: &str| wanted.as_deref().is_none_or(|wanted| wanted == it);
        is(&args.portfolio, portfolio.metadata.name.as_deref().unwrap_or_default())
            && is(&args.business, &portfolio.spec.business_id)
    };
    let mut found = call(&what, api.list(&ListParams::default())).await?.items;
    found.retain(is_meant);
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Problem::new(format!(
            "no credentials are given here, and namespace {namespace} has no WhatsAppPortfolio for what was asked"
        ))
        .next(GIVE)),
        _ => {
            found.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
            let names: Vec<_> = found.iter().filter_map(|one| one.metadata.name.as_deref()).collect();
            Err(Problem::new(format!("namespace {namespace} has several portfolios: {}", names.join(", ")))
                .next("choose one with --portfolio NAME"))
        }
    }
}

async fn channels(client: &Client, namespace: &str) -> Result<BTreeMap<Canonical, String>, Problem> {
    let api: Api<WhatsAppChannel> = Api::namespaced(client.clone(), namespace);
    let what = format!("list channels in namespace {namespace}");
    let found = call(&what, api.list(&ListParams::default())).await?.items.into_iter();
    Ok(found.filter_map(|one| Some((Canonical::of(&one.spec.phone_number), one.metadata.name?))).collect())
}

/// The business that owns an account.
async fn owner(account: &str, opener: &Opener, settings: &Settings) -> Result<String, Problem> {
    let meta = Meta::new(settings.clone(), Arc::new(SystemClock))
        .map_err(|error| Problem::new(format!("cannot reach Meta: {error}")))?;
    let (token, app_secret) = opener.clone();
    // It keeps what is read apart, and this Meta reads nothing else.
    let business = BusinessId::new(account);
    let graph =
        meta.graph(Credential { business, version: "given".to_owned(), token, app_secret, app: None });
    let read = graph.account(&AccountId::new(account), Timestamp::now(), Urgency::Person).await;
    let found = read.map_err(|failure| {
        Problem::new(format!("cannot read account {account}: {}", failure.told()))
            .next("check the id, and that the token's user has access to the account; or name the portfolio with --business ID")
    })?;
    found.owner.as_ref().map(ToString::to_string).ok_or_else(|| {
        Problem::new(format!("Meta does not show which portfolio owns account {account}"))
            .next("name the portfolio with --business ID")
    })
}
