//! A simulated Meta in this process, made to fit the manifests: their portfolios and accounts exist, tokens and app
//! secrets are made up, and no number is there yet.

use std::{collections::BTreeMap, net::Ipv4Addr};

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    cli::exit::Problem,
    engine::{
        desired::{DesiredPortfolio, PortfolioRef, SecretKey},
        id::BusinessId,
    },
    sandbox::{Account, App, Options, Portfolio, Sandbox, Token, World},
};

use super::{accounts_named, input::Input};

/// Business of the first portfolio that no manifest describes.
const FIRST_BUSINESS: u64 = 500_000_000_000_001;
/// App of the first portfolio that names none.
const FIRST_APP: u64 = 200_000_000_000_001;

type Tokens = BTreeMap<PortfolioRef, (SecretString, Option<SecretString>)>;

/// Starts it; it ends with the process.
pub async fn serve(input: &mut Input) -> Result<(Url, Tokens), Problem> {
    let cannot = |error: &dyn std::fmt::Display| Problem::new(format!("the sandbox does not start: {error}"));
    complete(input);
    let mut tokens = Tokens::new();
    let mut world = World::default();
    for (portfolio, app) in input.portfolios.iter().zip(FIRST_APP..) {
        let of = PortfolioRef { namespace: portfolio.namespace.clone(), name: portfolio.name.clone() };
        let token = made_up().map_err(|error| cannot(&error))?;
        let secret = match &portfolio.app_secret {
            Some(_) => Some(made_up().map_err(|error| cannot(&error))?),
            None => None,
        };
        let app_id = portfolio.app.as_ref().map_or_else(|| app.to_string(), ToString::to_string);
        let mut app = App::new(&app_id, "Sandbox");
        if let Some(secret) = &secret {
            app = app.with_secret(secret.expose_secret());
        }
        let business = portfolio.business.as_str();
        let name = portfolio.expect_name.as_deref().unwrap_or(&portfolio.name);
        world = world
            .with_app(app)
            .with_portfolio(Portfolio::new(business, name).verified())
            .with_token(token.expose_secret(), Token::system_user(&app_id, business));
        for account in accounts_named(input, &of) {
            let mut account = Account::new(&account, business, name);
            account.country = portfolio.expect_country.clone().or(account.country);
            world = world.with_account(account);
        }
        tokens.insert(of, (token, secret));
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| cannot(&error))?;
    let address = listener.local_addr().map_err(|error| cannot(&error))?;
    let sandbox = Sandbox::from_world(Options::live(1, Timestamp::now()), world);
    tokio::spawn(sandbox.serve(listener, CancellationToken::new()));
    let url = Url::parse(&format!("http://{address}")).map_err(|error| cannot(&error))?;
    Ok((url, tokens))
}

/// Adds the portfolios that channels name and no manifest describes, and says what was made up.
fn complete(input: &mut Input) {
    let missing = input.missing_portfolios();
    for (of, id) in missing.into_iter().zip(FIRST_BUSINESS..) {
        input.notes.push(format!("portfolio {} is in no manifest: the sandbox makes one up", of.name));
        input.portfolios.push(DesiredPortfolio {
            name: of.name.clone(),
            namespace: of.namespace.clone(),
            generation: 1,
            business: BusinessId::new(id.to_string()),
            access_token: SecretKey { name: format!("{}-meta", of.name), key: "token".to_owned() },
            app_secret: None,
            app: None,
            expect_name: None,
            expect_country: None,
            access: Vec::new(),
        });
    }
    let bare: Vec<String> = input
        .portfolios
        .iter()
        .filter(|p| {
            let of = PortfolioRef { namespace: p.namespace.clone(), name: p.name.clone() };
            accounts_named(input, &of).is_empty()
        })
        .map(|p| {
            format!("portfolio {} has no account in the sandbox: no channel names one with accountId", p.name)
        })
        .collect();
    input.notes.extend(bare);
}

/// A secret that opens nothing but this sandbox.
fn made_up() -> Result<SecretString, &'static str> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system gives no randomness")?;
    Ok(SecretString::from(format!("EAAsandbox{:032x}", u128::from_le_bytes(bytes))))
}
