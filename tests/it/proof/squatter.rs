//! A channel that writes down a number of somebody else, below a portfolio of its own with a token that works: whole
//! operators in virtual time.

use serde_json::{Value, json};
use whatsapp_operator::sandbox::{Account, Number, Portfolio, Token};

use super::whole::{
    self, Accident, HOUR, MINUTE, Move, NAMESPACE, SECOND, World, condition, reads_of_lists, reason,
};

const DIGITS: &str = "5511915000001";
const SQUATTERS: &str = "squatters";
const ELSEWHERE: &str = "500000000000009";
const THEIR_ACCOUNT: &str = "300000000000009";
/// Of the rightful team.
const ACCOUNT: &str = "300000000000001";
const NUMBER: &str = "100000000000777";
/// Of somebody who has no channel.
const FAR_ACCOUNT: &str = "300000000000008";

/// What the squatter writes down beside the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trick {
    None,
    /// The account in which the number really is, which its token does not reach.
    AccountOfTheOther,
    /// It has the right to its status, and writes an id of a number into it.
    Id,
}

async fn world(far: tokio::runtime::Handle, number_in: &str) -> World {
    let world = World::bare(far).await;
    let meta = &world.sandbox;
    for (business, account) in [(ELSEWHERE, THEIR_ACCOUNT), ("500000000000008", FAR_ACCOUNT)] {
        meta.add_portfolio(Portfolio::new(business, "Elsewhere"));
        meta.add_account(Account::new(account, business, "Elsewhere"));
    }
    meta.add_token("EAAelsewhere", Token::system_user("200000000000001", ELSEWHERE));
    meta.add_number(Number::new(NUMBER, number_in, DIGITS, "Acme Suporte").registered("123456"));
    let token = k8s_openapi::ByteString("EAAelsewhere".into());
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "data": {"token": token}});
    world.server.put("secrets", SQUATTERS, "own-meta", secret);
    for name in ["own", "own-too"] {
        let portfolio = json!({"apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppPortfolio",
            "spec": {"businessId": ELSEWHERE, "credentials": {
                "accessTokenSecretRef": {"name": "own-meta", "key": "token"}}}});
        world.server.put("whatsappportfolios", SQUATTERS, name, portfolio);
    }
    world
}

fn channel(world: &World, namespace: &str, portfolio: &str, account: &str) {
    let manifest = json!({"apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
        "metadata": {"creationTimestamp": world.sandbox.now().to_string()}, "status": {"observedGeneration": -1},
        "spec": {"portfolioRef": {"name": portfolio}, "accountId": account, "phoneNumber": format!("+{DIGITS}"),
                 "displayName": "Acme Suporte", "profile": {"about": "Open"}}});
    world.server.put("whatsappchannels", namespace, name(namespace), manifest);
}

fn status(world: &World, namespace: &str) -> Value {
    let object = world.server.get("whatsappchannels", namespace, name(namespace));
    object.map(|object| object["status"].clone()).unwrap_or_default()
}

fn added(world: &World, namespace: &str) -> String {
    reason(&status(world, namespace), "NumberAdded").unwrap_or_default()
}

fn is_ready(world: &World) -> bool {
    condition(&status(world, NAMESPACE), "Ready").is_some_and(|ready| ready["status"] == "True")
}

/// The name of the channel in a namespace.
fn name(namespace: &str) -> &'static str {
    if namespace == SQUATTERS { "squatter" } else { "rightful" }
}

/// What was sent to Meta that is no read: method, path and account or number.
fn writes(world: &World) -> Vec<(String, Option<String>)> {
    let calls = world.sandbox.calls().into_iter().filter(|call| call.method != "GET");
    calls.map(|call| (call.path, call.id)).collect()
}

/// The squatter is there long before; an accident meets the operators so many seconds after the rightful channel came.
async fn goes_over(world: &mut World, trick: Trick, accident: Accident, after: u64) -> Result<(), String> {
    let account = if trick == Trick::AccountOfTheOther { ACCOUNT } else { THEIR_ACCOUNT };
    channel(world, SQUATTERS, "own", account);
    world.run_for(MINUTE * 2).await?;
    if trick == Trick::Id {
        let forge = |object: &mut Value| object["status"]["phoneNumberId"] = json!("100000000000555");
        world.server.change("whatsappchannels", SQUATTERS, "squatter", forge);
        world.run_for(MINUTE * 15).await?;
    }
    let holds_up = match trick {
        Trick::None => "AddRefused",
        Trick::AccountOfTheOther => "AccountNotInReach",
        Trick::Id => "NumberDeleted",
    };
    if added(world, SQUATTERS) != holds_up {
        return Err(format!("the squatter says {}", added(world, SQUATTERS)));
    }
    let before = writes(world);
    channel(world, NAMESPACE, "acme", ACCOUNT);
    world.run_for(SECOND * u32::try_from(after).expect("a short time")).await?;
    for who in [0, 1] {
        world.happen(Move { after: 0, who, what: accident });
    }
    world.run_for(MINUTE * 3).await?;
    if !is_ready(world) || status(world, NAMESPACE)["phoneNumberId"] != NUMBER {
        return Err(format!("the rightful one says {}", added(world, NAMESPACE)));
    }
    // What holds it up first may be something else.
    let told = status(world, SQUATTERS)["conditions"].to_string();
    if added(world, SQUATTERS) != "NumberClaimed" || !told.contains("delete this one") {
        return Err(format!("the squatter says {told}"));
    }
    if told.contains(NAMESPACE) {
        return Err(format!("it is told where the other one is: {told}"));
    }
    // Its profile is all that the number needed, and nobody else wrote anything.
    let number = || Some(NUMBER.to_owned());
    let profile = ("/{phone}/whatsapp_business_profile".to_owned(), number());
    let mine: Vec<_> = writes(world).split_off(before.len());
    if !mine.contains(&profile) || mine.iter().any(|write| write.1 != number()) {
        return Err(format!("{mine:?}"));
    }
    if !matches!(accident, Accident::None) {
        return Ok(());
    }
    // It stays so, and costs nothing, once it is told that nobody is subscribed to the account.
    world.run_for(MINUTE * 15).await?;
    let (written, before) = (world.server.written_count(), writes(world).len());
    let theirs = reads_of_lists(world, THEIR_ACCOUNT);
    world.run_for(HOUR).await?;
    let after = (world.server.written_count(), writes(world).len(), reads_of_lists(world, THEIR_ACCOUNT));
    if after != (written, before, theirs) || !is_ready(world) {
        return Err(format!("it does not rest: {:?}, {after:?}", (written, before, theirs)));
    }
    Ok(())
}

fn in_virtual_time(play: impl AsyncFn(&mut World) -> Result<(), String>, number_in: &str) {
    whole::in_virtual_time(async |far| {
        let mut world = world(far, number_in).await;
        if let Err(what) = play(&mut world).await {
            panic!("{what}\n{}", world.story());
        }
    });
}

#[test]
fn a_number_goes_to_who_has_it_at_meta_whatever_a_squatter_writes_down() {
    for trick in [Trick::None, Trick::AccountOfTheOther, Trick::Id] {
        in_virtual_time(async |world| goes_over(world, trick, Accident::None, 0).await, ACCOUNT);
    }
}

#[test]
fn a_number_goes_over_once_whenever_the_operators_stop_meanwhile() {
    for accident in [Accident::Crash, Accident::HandOver] {
        for after in [1, 6, 30] {
            in_virtual_time(async |world| goes_over(world, Trick::None, accident, after).await, ACCOUNT);
        }
    }
}

/// Neither has the number, and the squatter changes its channel every few seconds.
async fn wakes_in_vain(world: &mut World) -> Result<(), String> {
    channel(world, SQUATTERS, "own", THEIR_ACCOUNT);
    world.run_for(MINUTE * 2).await?;
    channel(world, NAMESPACE, "acme", ACCOUNT);
    world.run_for(MINUTE * 2).await?;
    let before = (reads_of_lists(world, ACCOUNT), world.server.written_count());
    for portfolio in ["own-too", "own"].into_iter().cycle().take(360) {
        let flip = |object: &mut Value| object["spec"]["portfolioRef"]["name"] = json!(portfolio);
        world.server.change("whatsappchannels", SQUATTERS, "squatter", flip);
        world.run_for(SECOND * 20).await?;
    }
    let reads = reads_of_lists(world, ACCOUNT) - before.0;
    if !(1..=2).contains(&reads) || added(world, NAMESPACE) != "NumberClaimed" {
        return Err(format!("{reads} reads in two hours, {}", added(world, NAMESPACE)));
    }
    if world.server.written_since(before.1).iter().any(|written| written.channel == "rightful") {
        return Err("the rightful one is written to".into());
    }
    // The number is put into the account of the rightful one, who asks for a look.
    world.sandbox.add_number(Number::new(NUMBER, ACCOUNT, DIGITS, "Acme Suporte").registered("123456"));
    world.run_for(MINUTE * 5).await?;
    world.server.change("whatsappchannels", NAMESPACE, "rightful", |object| {
        object["metadata"]["annotations"]["whatsapp-operator.dev/reconcile"] = json!("now");
    });
    world.run_for(MINUTE).await?;
    if !is_ready(world) {
        return Err(format!("who asks waits: {}", added(world, NAMESPACE)));
    }
    Ok(())
}

#[test]
fn a_squatter_has_no_more_than_one_list_read_in_an_hour_by_those_that_it_holds_up() {
    in_virtual_time(wakes_in_vain, FAR_ACCOUNT);
}
