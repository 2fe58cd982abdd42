//! Where a plan gets credentials and Secrets from. Nothing here writes, prints or keeps one.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    path::PathBuf,
};

use clap::Args;
use kube::{Api, Client};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::SecretString;

use crate::engine::{
    desired::{Desired, DesiredPortfolio, PictureSource, PortfolioRef, SecretKey},
    id::AppId,
    secret::{SecretFact, SecretVersion},
};
use crate::{
    api::{
        lower,
        v1alpha1::{WhatsAppChannel, WhatsAppPortfolio},
    },
    cli::{
        connect::{ClusterArgs, call, connect},
        exit::Problem,
        plan::{input::Input, unread::Unread},
        source,
    },
    cluster::{attempts::NumberAttempts, secret::NamespaceSecrets},
    meta::port::Credential,
    run::{
        picture::{PictureBytes, png},
        secret::{SecretRead, Secrets, credential_fact, is_of_meta},
    },
};

/// Credentials from files, by the name of the portfolio.
#[derive(Clone, Debug, Args)]
pub struct FileArgs {
    /// File with the access token of a portfolio; may be given again.
    #[arg(long = "token-file", value_name = "NAME=PATH", value_parser = named)]
    pub token_files: Vec<(String, PathBuf)>,
    /// File with the app secret of a portfolio; may be given again.
    #[arg(long = "app-secret-file", value_name = "NAME=PATH", value_parser = named)]
    pub app_secret_files: Vec<(String, PathBuf)>,
}

impl FileArgs {
    /// A name that is mistyped would only show as missing credentials.
    fn check(&self, input: &Input) -> Result<(), Problem> {
        let known: BTreeSet<String> = input
            .portfolios
            .iter()
            .map(|portfolio| portfolio.name.clone())
            .chain(input.missing_portfolios().into_iter().map(|of| of.name.to_string()))
            .collect();
        let flags = [("--token-file", &self.token_files), ("--app-secret-file", &self.app_secret_files)];
        for (flag, files) in flags {
            if let Some((name, _)) = files.iter().find(|(name, _)| !known.contains(name)) {
                let names = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(Problem::new(format!(
                    "{flag} names portfolio {name}, which no manifest here has"
                ))
                .next(format!("name one of these: {names}")));
            }
        }
        Ok(())
    }
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.into())),
        _ => Err(format!("{text} is not of the form NAME=PATH")),
    }
}

/// What opens a portfolio: its token, and the secret of its app where it names one.
pub type Opener = (SecretString, Option<SecretString>);

/// Where credentials come from.
pub enum Origin {
    /// Made up, with a simulated Meta that knows them: token and perhaps app secret by portfolio.
    Sandbox(BTreeMap<PortfolioRef, Opener>),
    /// Files and the environment, for every portfolio.
    Given(BTreeMap<PortfolioRef, Opener>),
    /// The cluster, except for the portfolios that were given.
    Cluster(Client, BTreeMap<PortfolioRef, Opener>),
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
    /// Its word in a report.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Sandbox(_) => "sandbox",
            Self::Given(_) => "given",
            Self::Cluster(..) => "cluster",
        }
    }

    /// Reads files and the environment; opens the cluster when they do not suffice, and takes from it what stands
    /// there of the channels.
    pub async fn from_args(
        args: &FileArgs,
        cluster: &ClusterArgs,
        input: &mut Input,
    ) -> Result<Self, Problem> {
        args.check(input)?;
        let mut given = from_outside_for(args, &input.portfolios)?;
        if given.len() == input.portfolios.len() && input.missing_portfolios().is_empty() {
            input.notes.push(
                "channels are planned as new ones: no cluster was asked for what is remembered".to_owned(),
            );
            input.notes.extend(assumptions(input));
            return Ok(Self::Given(given));
        }
        let (client, _) = connect(cluster).await.map_err(|problem| {
            Problem::new(format!("some portfolios have no credentials here, and there is {problem}"))
                .next(GIVE_A_TOKEN)
        })?;
        portfolios(args, &client, input, &mut given).await?;
        for manifest in &mut input.channels {
            let api: Api<WhatsAppChannel> = Api::namespaced(client.clone(), &manifest.desired.namespace);
            let what = format!("read channel {}", manifest.desired.name);
            if let Some(found) = call(&what, api.get_opt(&manifest.desired.name)).await? {
                // The API server counts an edit, and the operator judges anew what it had given up on.
                let is_edited = found.spec != manifest.object.spec;
                let meta = &mut manifest.object.metadata;
                meta.uid = found.metadata.uid;
                meta.generation = found.metadata.generation.map(|old| old + i64::from(is_edited));
                meta.annotations = found.metadata.annotations;
                // By these a consent that somebody set is told from one that came with the object.
                meta.creation_timestamp = found.metadata.creation_timestamp;
                meta.managed_fields = found.metadata.managed_fields;
                manifest.object.status = found.status;
                manifest.desired =
                    lower::channel(&manifest.object).map_err(|why| Problem::new(why.to_string()))?;
            }
        }
        Ok(Self::Cluster(client, given))
    }

    /// Of channels that were read from a cluster: what is given here, else what it has.
    pub async fn of_cluster(args: &FileArgs, client: Client, input: &mut Input) -> Result<Self, Problem> {
        args.check(input)?;
        let mut given = from_outside_for(args, &input.portfolios)?;
        portfolios(args, &client, input, &mut given).await?;
        Ok(Self::Cluster(client, given))
    }

    /// What there is to open this portfolio with.
    pub async fn offer(&self, desired: &DesiredPortfolio) -> Result<Offer, Problem> {
        let of = desired.reference();
        let given = match self {
            Self::Sandbox(given) | Self::Given(given) | Self::Cluster(_, given) => given.get(&of),
        };
        if let Some((token, app)) = given {
            return Ok(Offer {
                access_token: assumed_fact(),
                app_secret: app.as_ref().map_or(SecretFact::NotAsked, |_| assumed_fact()),
                version: "given".to_owned(),
                token: Some(token.clone()),
                app: app.clone(),
            });
        }
        let secrets = match self {
            Self::Cluster(client, _) => NamespaceSecrets::new(client, &desired.namespace),
            Self::Sandbox(_) | Self::Given(_) => {
                return Err(Problem::new(format!("there are no credentials of portfolio {}", desired.name))
                    .next(GIVE_A_TOKEN));
            }
        };
        let (access_token, token) = credential_fact(secrets.read(&desired.access_token).await);
        let (app_secret, app) = match &desired.app_secret {
            Some(key) => credential_fact(secrets.read(key).await),
            None => (SecretFact::NotAsked, None),
        };
        let value = |found: Option<(SecretVersion, SecretString)>| found.map(|(_, value)| value);
        let (token, app) = (value(token), value(app));
        Ok(Offer { access_token, app_secret, version: "cluster".to_owned(), token, app })
    }

    /// The attempts of objects before a channel; without a cluster there are none.
    pub fn attempts(&self, desired: &Desired) -> Option<NumberAttempts> {
        let Self::Cluster(client, _) = self else { return None };
        Some(NumberAttempts::new(client, &desired.portfolio.namespace, &desired.number.canonical()))
    }

    /// The Secrets beside a channel.
    pub fn secrets(&self, desired: &Desired) -> PlanSecrets {
        match self {
            Self::Cluster(client, _) => {
                PlanSecrets::Cluster(NamespaceSecrets::new(client, &desired.namespace))
            }
            Self::Sandbox(_) | Self::Given(_) => {
                PlanSecrets::Assumed { code: desired.verification.code_secret.clone() }
            }
        }
    }
}

/// Reads the portfolios that channels name and no manifest describes, and what is given here for each.
async fn portfolios(
    args: &FileArgs,
    client: &Client,
    input: &mut Input,
    given: &mut BTreeMap<PortfolioRef, Opener>,
) -> Result<(), Problem> {
    for of in input.missing_portfolios() {
        let api: Api<WhatsAppPortfolio> = Api::namespaced(client.clone(), &of.namespace);
        let what = format!("read portfolio {} in namespace {}", of.name, of.namespace);
        let found = match call(&what, api.get_opt(&of.name)).await {
            Ok(found) => found,
            // Whoever edits one namespace may have channels under a portfolio that is not theirs to see.
            Err(problem) if problem.is_forbidden() => {
                let name = format!("portfolio {}/{}", of.namespace, of.name);
                input.notes.push(format!(
                    "{name} is not readable from here: what its channels need of it is not known"
                ));
                input.unreadable.insert(of, Unread::new(name, problem.to_string()));
                continue;
            }
            Err(problem) => return Err(problem),
        };
        if let Some(found) = found {
            let desired = lower::portfolio(&found).map_err(|why| Problem::new(why.to_string()))?;
            if let Some(credentials) = from_outside(args, &desired)? {
                given.insert(of, credentials);
            }
            input.portfolios.push(desired);
        }
    }
    Ok(())
}

/// What helps where credentials are missing.
const GIVE_A_TOKEN: &str =
    "give each a token with --token-file NAME=PATH or WHATSAPP_TOKEN_<NAME>, or try --sandbox";

/// What a plan without a cluster takes for given of the Secrets beside channels.
pub fn assumptions(input: &Input) -> Option<String> {
    (!input.channels.is_empty()).then(|| {
        "Secrets of channels are not looked at: PINs, verify tokens and pictures are taken to be there and well-formed, \
         codes not to be there"
            .to_owned()
    })
}

/// Token and app secret of a portfolio from files or the environment, whatever a manifest says of an app secret.
pub fn given(args: &FileArgs, name: &str) -> Result<Option<Opener>, Problem> {
    let Some(token) = outside(&args.token_files, "WHATSAPP_TOKEN_", name)? else { return Ok(None) };
    Ok(Some((token, outside(&args.app_secret_files, "WHATSAPP_APP_SECRET_", name)?)))
}

/// The credentials of a portfolio from files or the environment, if its token is there.
fn from_outside_for(
    args: &FileArgs,
    portfolios: &[DesiredPortfolio],
) -> Result<BTreeMap<PortfolioRef, Opener>, Problem> {
    let mut given = BTreeMap::new();
    for portfolio in portfolios {
        if let Some(credentials) = from_outside(args, portfolio)? {
            given.insert(portfolio.reference(), credentials);
        }
    }
    Ok(given)
}

fn from_outside(args: &FileArgs, portfolio: &DesiredPortfolio) -> Result<Option<Opener>, Problem> {
    let name = &portfolio.name;
    let Some(token) = outside(&args.token_files, "WHATSAPP_TOKEN_", name)? else { return Ok(None) };
    if portfolio.app_secret.is_none() {
        return Ok(Some((token, None)));
    }
    match outside(&args.app_secret_files, "WHATSAPP_APP_SECRET_", name)? {
        Some(app) => Ok(Some((token, Some(app)))),
        None => Err(Problem::new(format!(
            "portfolio {name} names an app secret in credentials.appSecretRef, and only its token is given here"
        ))
        .next(format!("give it with --app-secret-file {name}=PATH or {}", variable("WHATSAPP_APP_SECRET_", name)))),
    }
}

fn variable(prefix: &str, name: &str) -> String {
    format!("{prefix}{}", name.to_uppercase().replace(['-', '.'], "_"))
}

/// Most bytes of a file with a token or an app secret: more than either may have, with blanks around it.
const MOST: u64 = 16 * 1_024;

/// From a file, else from the environment.
fn outside(files: &[(String, PathBuf)], prefix: &str, name: &str) -> Result<Option<SecretString>, Problem> {
    let (text, place) = match files.iter().find(|(of, _)| of == name) {
        Some((_, path)) => {
            let place = path.display().to_string();
            let text = source::text(path, MOST);
            (Some(text.map_err(|error| Problem::new(format!("cannot read {place}: {error}")))?), place)
        }
        None => {
            let variable = variable(prefix, name);
            (std::env::var(&variable).ok(), variable)
        }
    };
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if text.as_deref().is_some_and(|text| !is_of_meta(text)) {
        return Err(Problem::new(format!(
            "the text in {place} is longer than 4 KiB, or holds characters that Meta never uses there, such as spaces, line breaks in the middle or curly quotes"
        ))
        .next("copy it from Meta again, and write it without anything around it"));
    }
    Ok(text.map(SecretString::from))
}

/// A secret that opens nothing but a sandbox in this process.
pub fn made_up() -> Result<SecretString, &'static str> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system gives no randomness")?;
    Ok(SecretString::from(format!("EAAsandbox{:032x}", u128::from_le_bytes(bytes))))
}

fn assumed() -> SecretVersion {
    SecretVersion { uid: "assumed".to_owned(), resource_version: "0".to_owned() }
}

fn assumed_fact() -> SecretFact {
    SecretFact::Present { version: assumed(), well_formed: true, seen_before: false }
}

/// Six digits: a PIN by its form, and a text that may be a verify token. A plan sends neither.
const WELL_FORMED: &str = "000000";

/// Pixels of a side of a picture that is taken to be there.
const SIDE: u32 = 640;

/// Secrets as a plan sees them.
pub enum PlanSecrets {
    /// Without a cluster: as if each held what it is for, except the code, which comes only once it is asked for.
    Assumed { code: SecretKey },
    /// Those of a namespace.
    Cluster(NamespaceSecrets),
}

impl Secrets for PlanSecrets {
    async fn read(&self, key: &SecretKey) -> SecretRead {
        match self {
            Self::Assumed { code } if key == code => SecretRead::Missing,
            Self::Assumed { .. } => SecretRead::Found {
                version: assumed(),
                value: Some(SecretString::from(WELL_FORMED)),
                is_verify_token: true,
            },
            Self::Cluster(secrets) => secrets.read(key).await,
        }
    }

    async fn picture(&self, source: &PictureSource) -> PictureBytes {
        match self {
            Self::Assumed { .. } => PictureBytes::Found(png(SIDE, SIDE).into()),
            Self::Cluster(secrets) => secrets.picture(source).await,
        }
    }

    /// A plan carries nothing out.
    fn create_pin(&self, _key: &SecretKey) -> impl Future<Output = Result<(), String>> + Send {
        std::future::ready(Err("a plan writes nothing".to_owned()))
    }
}
