//! A simulated Meta in this process with a portfolio to be imported: numbers in the states that real ones are in.

use std::{collections::BTreeMap, net::Ipv4Addr};

use jiff::Timestamp;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    cli::{
        exit::Problem,
        plan::secret::{Opener, made_up},
    },
    sandbox::{Account, App, Number, Options, Portfolio, Profile, Sandbox, Token, World},
};

/// The portfolio where none was asked for.
pub const BUSINESS: &str = "500000000000001";
const PARTNER: &str = "500000000000099";
const APP: &str = "200000000000001";
const SHOP: &str = "300000000000001";
const SHARED: &str = "300000000000002";
const PIN: &str = "135790";

/// Starts it; it ends with the process.
pub async fn serve(business: &str) -> Result<(Url, Opener), Problem> {
    let cannot = |error: &dyn std::fmt::Display| Problem::new(format!("the sandbox does not start: {error}"));
    let token = made_up().map_err(|error| cannot(&error))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| cannot(&error))?;
    let address = listener.local_addr().map_err(|error| cannot(&error))?;
    let now = Timestamp::now();
    let world = world(business, token.expose_secret(), now);
    tokio::spawn(Sandbox::from_world(Options::live(1, now), world).serve(listener, CancellationToken::new()));
    let url = Url::parse(&format!("http://{address}")).map_err(|error| cannot(&error))?;
    Ok((url, (token, None)))
}

fn world(business: &str, token: &str, now: Timestamp) -> World {
    let numbers = [
        registered("1", "5511912345671", "Acme Suporte", |number| {
            number.profile = Profile {
                about: Some("Open 9-17".to_owned()),
                websites: vec!["https://acme.example/".to_owned()],
                vertical: Some("RETAIL".to_owned()),
                ..Profile::default()
            };
        }),
        registered("2", "5511912345672", "Acme Vendas", |number| {
            number.webhook.callback = Some("https://bot.acme.example/whatsapp".to_owned());
        }),
        Number::new(&id("3"), SHOP, "5511912345673", "Acme Loja").coexisting(),
        registered("4", "5511912345674", "Acme", |number| {
            number.new_display_name = Some("Acme Brasil".to_owned());
            number.new_name_status = Some("PENDING_REVIEW".to_owned());
        }),
        Number::new(&id("5"), SHOP, "5511912345675", "Acme Entregas"),
        Number::new(&id("6"), SHOP, "5511912345676", "Acme Cobrança").verified(now),
        registered("7", "5511912345677", "Acme Antiga", |number| number.status = "MIGRATED".to_owned()),
        registered("8", "5511912345678", "Acme Promo", |number| number.status = "BANNED".to_owned()),
        registered("9", "12055550109", "Acme Support", |number| number.account = SHARED.to_owned()),
    ];
    let world = World::default()
        .with_app(App::new(APP, "Sandbox"))
        .with_portfolio(Portfolio::new(business, "Acme Ltda").verified())
        .with_portfolio(Portfolio::new(PARTNER, "Acme Partner").verified())
        .with_account(Account::new(SHOP, business, "Acme Shop"))
        .with_account(Account::new(SHARED, PARTNER, "Acme US").shared_with(business))
        .with_token(token, Token::system_user(APP, business));
    World {
        numbers: numbers.into_iter().map(|number| (number.id.clone(), number)).collect::<BTreeMap<_, _>>(),
        ..world
    }
}

fn id(last: &str) -> String {
    format!("10000000000000{last}")
}

fn registered(last: &str, digits: &str, name: &str, change: impl FnOnce(&mut Number)) -> Number {
    let mut number = Number::new(&id(last), SHOP, digits, name).registered(PIN);
    change(&mut number);
    number
}
