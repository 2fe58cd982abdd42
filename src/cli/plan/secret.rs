//! Where a plan gets credentials and Secrets from. Nothing here writes, prints or keeps one.

use std::{collections::BTreeMap, future::Future, path::PathBuf};

use kube::{Api, Client};
use secrecy::SecretString;

use crate::{
    api::{
        lower,
        v1alpha1::{WhatsAppChannel, WhatsAppPortfolio},
    },
    cli::{
        channel::{call, connect},
        exit::Problem,
    },
    cluster::{Failed, secret},
    engine::{
        desired::{DesiredPortfolio, PortfolioRef, SecretKey},
        id::AppId,
        observed::{SecretFact, SecretVersion},
    },
    meta::port::Credential,
    run::observe::{SecretRead, Secrets},
};

use super::{PlanArgs, input::Input};

/// Where credentials come from.
pub enum Origin {
    /// Made up, with a simulated Meta that knows them: token and perhaps app secret by portfolio.
    Sandbox(BTreeMap<PortfolioRef, (SecretString, Option<SecretString>)>),
    /// Files and the environment, for every portfolio.
    Given(BTreeMap<PortfolioRef, (SecretString, Option<SecretString>)>),
    /// The cluster, except for the portfolios that were given.
    Cluster(Client, BTreeMap<PortfolioRef, (SecretString, Option<SecretString>)>),
}

/// What is offered to open a portfolio with.
pub struct Offer {
    pub access_token: SecretFact,
    pub app_secret: SecretFact,
    pub version: String,
    token: Option<SecretString>,
    app: Option<SecretString>,
}

impl Offer {
    /// The credential, when it is complete.
    pub fn credential(&self, desired: &DesiredPortfolio, app: Option<AppId>) -> Option<Credential> {
        if desired.app_secret.is_some() && self.app.is_none() {
            return None;
        }
        Some(Credential {
            business: desired.business.clone(),
            version: self.version.clone(),
            token: self.token.clone()?,
            app_secret: self.app.clone(),
            app,
        })
    }
}

impl Origin {
    /// Reads files and the environment; opens the cluster when they do not suffice, and takes from it what stands
    /// there of the channels.
    pub async fn from_args(args: &PlanArgs, input: &mut Input) -> Result<Self, Problem> {
        let mut given = BTreeMap::new();
        for portfolio in &input.portfolios {
            let of = portfolio.reference();
            if let Some(token) = outside(&args.token_files, "WHATSAPP_TOKEN_", &portfolio.name)? {
                let app = outside(&args.app_secret_files, "WHATSAPP_APP_SECRET_", &portfolio.name)?;
                given.insert(of, (token, app));
            }
        }
        if given.len() == input.portfolios.len() && input.missing_portfolios().is_empty() {
            input.notes.push(
                "channels are planned as new ones: no cluster was asked for what is remembered".to_owned(),
            );
            return Ok(Self::Given(given));
        }
        let (client, _) = connect(&args.cluster).await.map_err(|problem| {
            Problem::new(format!("some portfolios have no credentials here, and there is {problem}")).next(
                "give each a token with --token-file NAME=PATH or WHATSAPP_TOKEN_<NAME>, or try --sandbox",
            )
        })?;
        for of in input.missing_portfolios() {
            let api: Api<WhatsAppPortfolio> = Api::namespaced(client.clone(), &of.namespace);
            let what = format!("read portfolio {} in namespace {}", of.name, of.namespace);
            if let Some(found) = call(&what, api.get_opt(&of.name)).await? {
                let desired = lower::portfolio(&found).map_err(|why| Problem::new(why.to_string()))?;
                input.portfolios.push(desired);
            }
        }
        for manifest in &mut input.channels {
            let api: Api<WhatsAppChannel> = Api::namespaced(client.clone(), &manifest.desired.namespace);
            let what = format!("read channel {}", manifest.desired.name);
            if let Some(found) = call(&what, api.get_opt(&manifest.desired.name)).await? {
                let meta = &mut manifest.object.metadata;
                meta.uid = found.metadata.uid;
                meta.generation = found.metadata.generation;
                meta.annotations = found.metadata.annotations;
                manifest.object.status = found.status;
                manifest.desired =
                    lower::channel(&manifest.object).map_err(|why| Problem::new(why.to_string()))?;
            }
        }
        Ok(Self::Cluster(client, given))
    }

    /// What there is to open this portfolio with.
    pub async fn offer(&self, desired: &DesiredPortfolio) -> Result<Offer, Problem> {
        let of = desired.reference();
        let given = match self {
            Self::Sandbox(given) | Self::Given(given) | Self::Cluster(_, given) => given.get(&of),
        };
        if let Some((token, app)) = given {
            let app_secret = match (&desired.app_secret, app) {
                (None, _) => SecretFact::NotAsked,
                (Some(_), Some(_)) => assumed_fact(),
                (Some(_), None) => SecretFact::Missing,
            };
            return Ok(Offer {
                access_token: assumed_fact(),
                app_secret,
                version: "given".to_owned(),
                token: Some(token.clone()),
                app: app.clone(),
            });
        }
        let secrets = self.secrets(&desired.namespace);
        let (access_token, token) = credential(secrets.read(&desired.access_token).await);
        let (app_secret, app) = match &desired.app_secret {
            Some(key) => credential(secrets.read(key).await),
            None => (SecretFact::NotAsked, None),
        };
        Ok(Offer { access_token, app_secret, version: "cluster".to_owned(), token, app })
    }

    /// The Secrets of a namespace.
    pub fn secrets(&self, namespace: &str) -> PlanSecrets {
        match self {
            Self::Cluster(client, _) => PlanSecrets::Cluster(client.clone(), namespace.to_owned()),
            Self::Sandbox(_) | Self::Given(_) => PlanSecrets::Assumed,
        }
    }
}

/// From a file, else from the environment.
fn outside(files: &[(String, PathBuf)], prefix: &str, name: &str) -> Result<Option<SecretString>, Problem> {
    let text = match files.iter().find(|(of, _)| of == name) {
        Some((_, path)) => Some(
            std::fs::read_to_string(path)
                .map_err(|error| Problem::new(format!("cannot read {}: {error}", path.display())))?,
        ),
        None => std::env::var(format!("{prefix}{}", name.to_uppercase().replace(['-', '.'], "_"))).ok(),
    };
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    Ok(text.map(SecretString::from))
}

fn credential(read: SecretRead) -> (SecretFact, Option<SecretString>) {
    match read {
        SecretRead::Missing => (SecretFact::Missing, None),
        SecretRead::Forbidden => (SecretFact::Forbidden, None),
        SecretRead::Failed(why) => (SecretFact::Unreadable(why), None),
        SecretRead::Found { version, value: None, .. } => (SecretFact::KeyMissing { version }, None),
        SecretRead::Found { version, value, .. } => {
            (SecretFact::Present { version, well_formed: true, seen_before: false }, value)
        }
    }
}

fn assumed() -> SecretVersion {
    SecretVersion { uid: "assumed".to_owned(), resource_version: "0".to_owned() }
}

fn assumed_fact() -> SecretFact {
    SecretFact::Present { version: assumed(), well_formed: true, seen_before: false }
}

/// Secrets as a plan sees them.
pub enum PlanSecrets {
    /// Without a cluster: none is there yet.
    Assumed,
    /// Those of a namespace.
    Cluster(Client, String),
}

impl Secrets for PlanSecrets {
    async fn read(&self, key: &SecretKey) -> SecretRead {
        match self {
            Self::Assumed => SecretRead::Missing,
            Self::Cluster(client, namespace) => {
                match secret::read(client, namespace, &key.name, &key.key).await {
                    Ok(found) => SecretRead::Found {
                        version: SecretVersion { uid: found.uid, resource_version: found.resource_version },
                        value: found.value,
                        is_verify_token: found.is_verify_token,
                    },
                    Err(Failed::Gone) => SecretRead::Missing,
                    Err(Failed::Forbidden(_)) => SecretRead::Forbidden,
                    Err(error) => SecretRead::Failed(error.to_string()),
                }
            }
        }
    }

    /// A plan carries nothing out.
    fn create_pin(&self, _key: &SecretKey) -> impl Future<Output = Result<(), String>> + Send {
        std::future::ready(Err("a plan writes nothing".to_owned()))
    }
}
