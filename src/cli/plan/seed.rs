//! A simulated Meta in this process, made to fit the manifests: their portfolios and accounts exist, tokens and app
//! secrets are made up, and no number is there yet. An annotation asks for another beginning.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use jiff::Timestamp;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::engine::{
    desired::{Access, DesiredPortfolio, Names, PortfolioRef, SecretKey},
    id::BusinessId,
};
use crate::{
    cli::exit::Problem,
    sandbox::{Account, App, Number, Options, Portfolio, Sandbox, Token, World},
};

use super::{
    input::Input,
    secret::{Opener, assumptions, made_up},
};

/// Business of the first portfolio that no manifest describes.
const FIRST_BUSINESS: u64 = 500_000_000_000_001;
/// App of the first portfolio that names none.
const FIRST_APP: u64 = 200_000_000_000_001;
/// Account of the first portfolio for which no manifest names one.
const FIRST_ACCOUNT: u64 = 300_000_000_000_001;
/// The first number that is there already.
const FIRST_NUMBER: u64 = 100_000_000_000_001;
/// The PIN of numbers that are there already.
const PIN: &str = "135790";

type Tokens = BTreeMap<PortfolioRef, Opener>;

/// Starts it; it ends with the process.
pub async fn serve(input: &mut Input) -> Result<(Url, Tokens), Problem> {
    let cannot = |error: &dyn std::fmt::Display| Problem::new(format!("the sandbox does not start: {error}"));
    complete(input);
    input.notes.extend(assumptions(input));
    let accounts = accounts(input);
    let mut tokens = Tokens::new();
    let mut world = World::default();
    for (portfolio, app) in input.portfolios.iter().zip(FIRST_APP..) {
        let of = portfolio.reference();
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
        for account in accounts.get(&portfolio.business).into_iter().flatten() {
            let mut account = Account::new(account, business, name);
            account.country = portfolio.expect_country.clone().or(account.country);
            world = world.with_account(account);
        }
        tokens.insert(of, (token, secret));
    }
    for number in registered(input, &accounts) {
        world = world.with_number(number);
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
    let taken: BTreeSet<BusinessId> = input.portfolios.iter().map(|p| p.business.clone()).collect();
    let free = (FIRST_BUSINESS..).map(|id| BusinessId::new(id.to_string())).filter(|id| !taken.contains(id));
    for (of, business) in input.missing_portfolios().into_iter().zip(free) {
        let users = input.channels.iter().map(|manifest| &manifest.desired).filter(|d| d.portfolio == of);
        let namespaces: BTreeSet<String> = users.map(|desired| desired.namespace.clone()).collect();
        input.notes.push(format!("portfolio {} is in no manifest: the sandbox makes one up", of.name));
        input.portfolios.push(DesiredPortfolio {
            name: of.name.to_string(),
            namespace: of.namespace.to_string(),
            generation: 1,
            business,
            access_token: SecretKey { name: format!("{}-meta", of.name), key: "token".to_owned() },
            app_secret: None,
            app: None,
            expect_name: None,
            expect_country: None,
            // Whoever names it may use it: that is what the manifests show, and all that is known of it.
            access: [Access { namespaces: namespaces.into_iter().collect(), accounts: None }].into(),
            app_webhook: None,
        });
    }
}

/// The accounts of each business: those that channels and `access` name. Where nobody names one there is one all the
/// same, unless the portfolio is annotated otherwise: a channel may leave `accountId` out because there is one.
fn accounts(input: &mut Input) -> BTreeMap<BusinessId, BTreeSet<String>> {
    let mut accounts: BTreeMap<BusinessId, BTreeSet<String>> = BTreeMap::new();
    for portfolio in &input.portfolios {
        let of = portfolio.reference();
        let known = accounts.entry(portfolio.business.clone()).or_default();
        if !input.without_account.contains(&of) {
            let channels = input.channels.iter().filter(|manifest| manifest.desired.portfolio == of);
            known.extend(channels.filter_map(|m| m.desired.account.as_ref()).map(ToString::to_string));
            let granted = portfolio.access.iter().filter_map(|access| access.accounts.as_ref());
            known.extend(granted.flat_map(Names::iter).map(str::to_owned));
        }
    }
    let named: BTreeSet<String> = accounts.values().flatten().cloned().collect();
    let mut free = (FIRST_ACCOUNT..).map(|id| id.to_string()).filter(|id| !named.contains(id));
    for portfolio in &input.portfolios {
        let known = accounts.entry(portfolio.business.clone()).or_default();
        if input.without_account.contains(&portfolio.reference()) {
            input.notes.push(format!("portfolio {} has no account, as it is annotated", portfolio.name));
        } else if known.is_empty() {
            input.notes.push(format!(
                "no manifest names an account of portfolio {}: the sandbox makes one up",
                portfolio.name
            ));
            known.extend(free.next());
        }
    }
    accounts
}

/// The numbers of channels that are annotated so: in their account, registered under their name.
fn registered(input: &mut Input, accounts: &BTreeMap<BusinessId, BTreeSet<String>>) -> Vec<Number> {
    let mut numbers = Vec::new();
    let marked = input.channels.iter().filter(|manifest| manifest.is_registered());
    for (manifest, id) in marked.zip(FIRST_NUMBER..) {
        let desired = &manifest.desired;
        let portfolio = input.portfolios.iter().find(|portfolio| portfolio.reference() == desired.portfolio);
        let known = portfolio.and_then(|portfolio| accounts.get(&portfolio.business));
        let account = match &desired.account {
            Some(account) => Some(account.as_str()),
            None => known.and_then(|known| known.first()).map(String::as_str),
        };
        let Some(account) = account else { continue };
        input.notes.push(format!("number {} is registered already, as it is annotated", desired.number));
        let id = id.to_string();
        numbers
            .push(Number::new(&id, account, desired.number.digits(), &desired.display_name).registered(PIN));
    }
    numbers
}
