//! Teams that do not see each other and share an operator: whose a number is, and what each is told.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::{Value, json};
use whatsapp_operator::sandbox::{Account, Number, Portfolio, Token};

use crate::rig::{ACCOUNT, APP, BUSINESS, Rig, condition, message};

const NUMBER: &str = "+5511915000001";
const DIGITS: &str = "5511915000001";
const ELSEWHERE: &str = "500000000000009";

/// A portfolio in a namespace of somebody else, with its token in the Secret `<name>-meta` of that namespace.
async fn portfolio_of(rig: &Rig, namespace: &str, name: &str, business: &str) {
    rig.apply(&json!({
        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppPortfolio",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "businessId": business,
            "credentials": {"accessTokenSecretRef": {"name": format!("{name}-meta"), "key": "token"}}
        }
    }))
    .await;
}

async fn secret_of(rig: &Rig, namespace: &str, name: &str, token: &str) {
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
        "stringData": {"token": token}
    }))
    .await;
}

#[rstest]
#[case::that_lists_its_accounts("lists", true)]
#[case::of_an_ordinary_business("ordinary", false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_a_number_by_writing_it_down_first(#[case] prefix: &str, #[case] may_list: bool) {
    let mut rig = Rig::with_portfolio(prefix).await;
    let squatters = rig.watch_also("squatters").await;
    if !may_list {
        let scopes = ["whatsapp_business_management", "whatsapp_business_messaging"];
        assert!(rig.sandbox.set_scopes(&rig.token, scopes));
    }
    rig.sandbox.add_portfolio(Portfolio::new(ELSEWHERE, "Elsewhere"));
    let own_token = format!("{}-of-elsewhere", rig.token);
    rig.sandbox.add_token(&own_token, Token::system_user(APP, ELSEWHERE));
    // No Secret; a token that was made up; one that works, with the id of another business.
    secret_of(&rig, &squatters, "invented-meta", "EAAinvented").await;
    secret_of(&rig, &squatters, "foreign-meta", &own_token).await;
    for (name, business) in [("nothing", BUSINESS), ("invented", BUSINESS), ("foreign", "500000000000777")] {
        portfolio_of(&rig, &squatters, name, business).await;
        rig.channel(&format!("{squatters}/{name}"), NUMBER, json!({"portfolioRef": {"name": name}})).await;
    }
    rig.start().await;
    let at = |name: &str| format!("{squatters}/{name}");
    rig.until_condition(&at("nothing"), "Ready", "False", Some("SecretMissing")).await;
    rig.until_condition(&at("invented"), "Ready", "False", Some("TokenInvalid")).await;
    rig.until_condition(&at("foreign"), "Ready", "False", Some("WrongBusiness")).await;

    rig.channel("support", NUMBER, json!({"accountId": ACCOUNT})).await;
    // Credentials that work held it for as long as nothing was known of their business, and may have begun something.
    rig.until("support", "the number", Duration::from_secs(150), |s| s["phoneNumberId"].is_string()).await;
    rig.onboard("support", NUMBER).await;
    assert_eq!(rig.effects_on(DIGITS), ["added", "code", "verified", "registered"]);

    for (name, own) in [
        ("nothing", "there is no Secret nothing-meta; create it"),
        ("invented", "Meta does not accept the token"),
        ("foreign", "500000000000777"),
    ] {
        let told = rig.until_condition(&at(name), "NumberAdded", "False", Some("NumberClaimed")).await;
        let text = message(&told, "NumberAdded");
        assert!(text.contains("delete this one") && text.contains("ask whoever runs the operator"), "{text}");
        assert!(message(&told, "Ready").contains(own), "{told:#}");
        let actions = told["status"]["waitingFor"].as_array().expect("waits").iter().map(|w| &w["action"]);
        assert!(actions.clone().any(|action| action == "ResolveClaim"), "{:?}", actions.collect::<Vec<_>>());
        assert!(!told["status"].to_string().contains(&rig.namespace), "a foreign namespace is named");
    }
}

#[rstest]
#[case::while_it_runs("owner", false)]
#[case::and_a_restart_in_the_middle("again", true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_channel_with_a_token_that_works_keeps_no_number_of_somebody_else(
    #[case] prefix: &str,
    #[case] restarts: bool,
) {
    let mut rig = Rig::with_portfolio(prefix).await;
    let squatters = rig.watch_also("squatters").await;
    let theirs = "300000000000009";
    rig.sandbox.add_portfolio(Portfolio::new(ELSEWHERE, "Elsewhere"));
    rig.sandbox.add_account(Account::new(theirs, ELSEWHERE, "Elsewhere"));
    let own_token = format!("{}-of-elsewhere", rig.token);
    rig.sandbox.add_token(&own_token, Token::system_user(APP, ELSEWHERE));
    let id = "100000000000777";
    rig.sandbox.add_number(Number::new(id, ACCOUNT, DIGITS, "Acme Support").registered("123456"));
    secret_of(&rig, &squatters, "own-meta", &own_token).await;
    portfolio_of(&rig, &squatters, "own", ELSEWHERE).await;
    let squatter = format!("{squatters}/support");
    rig.channel(&squatter, NUMBER, json!({"portfolioRef": {"name": "own"}, "accountId": theirs})).await;
    rig.start().await;
    let tried = |s: &Value| condition(s, "NumberAdded").is_some_and(|c| c["reason"] == "AddRefused");
    rig.until(&squatter, "an add that is refused", Duration::from_secs(90), tried).await;
    let writes = |rig: &Rig| rig.sandbox.calls().iter().filter(|call| call.method != "GET").count();
    let before = writes(&rig);

    rig.channel("support", NUMBER, json!({})).await;
    if restarts {
        rig.operator().kill_nine();
        rig.start().await;
    }
    rig.until_condition("support", "Ready", "True", None).await;
    assert_eq!(rig.get("support").await["status"]["phoneNumberId"], id);
    let told = rig.until_condition(&squatter, "NumberAdded", "False", Some("NumberClaimed")).await;
    let text = message(&told, "NumberAdded");
    assert!(text.contains("delete this one") && text.contains("comes here by itself"), "{text}");
    assert!(!told["status"].to_string().contains(&rig.namespace), "a foreign namespace is named");
    rig.annotate(&squatter, "retry", "now").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(writes(&rig), before, "nobody added it, asked for a code, or registered it");
}

/// Sets since when the credentials of a portfolio are known not to work: the operator's clock cannot be moved.
async fn dead_since(rig: &Rig, portfolio: &str, ago: SignedDuration) {
    let status = rig.get_of("wap", portfolio).await["status"].clone();
    let mut conditions = status["conditions"].as_array().expect("conditions").clone();
    for condition in conditions.iter_mut().filter(|c| c["type"] == "CredentialsValid") {
        assert_eq!(condition["status"], "False");
        let at = (Timestamp::now() - ago).round(jiff::Unit::Second).expect("in range");
        condition["lastTransitionTime"] = json!(at.to_string());
    }
    rig.edit_status("wap", portfolio, json!({ "conditions": conditions })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_credentials_lose_a_number_to_who_sees_it_and_not_before_an_hour() {
    let mut rig = Rig::with_portfolio("dead").await;
    let heirs = rig.watch_also("heirs").await;
    let heirs_token = format!("{}-of-heirs", rig.token);
    rig.sandbox.add_token(&heirs_token, Token::system_user(APP, BUSINESS));
    secret_of(&rig, &heirs, "acme-meta", &heirs_token).await;
    portfolio_of(&rig, &heirs, "acme", BUSINESS).await;
    rig.start().await;
    rig.channel("support", NUMBER, json!({})).await;
    rig.onboard("support", NUMBER).await;
    let heir = format!("{heirs}/support");
    rig.channel(&heir, NUMBER, json!({"profile": {"about": "Open"}})).await;
    rig.until_condition(&heir, "Ready", "False", Some("NumberClaimed")).await;

    assert!(rig.sandbox.revoke_token(&rig.token));
    rig.annotate("support", "reconcile", "now").await;
    rig.until_condition_of("wap", "acme", "CredentialsValid", "False", Some("TokenInvalid")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let still = rig.get(&heir).await;
    assert_eq!(condition(&still["status"], "Ready").expect("it is there")["reason"], "NumberClaimed");

    dead_since(&rig, "acme", SignedDuration::from_mins(61)).await;
    let looked = |s: &Value| condition(s, "Ready").is_some_and(|c| c["status"] == "True");
    rig.until(&heir, "the number, once it is seen", Duration::from_secs(120), looked).await;
    rig.until_condition("support", "NumberAdded", "False", Some("NumberClaimed")).await;
    // What the last one began may still be on its way, so nothing is written for a while.
    assert_eq!(rig.effects_on(DIGITS), ["added", "code", "verified", "registered"]);
    rig.until(&heir, "its own profile", Duration::from_secs(150), |s| {
        condition(s, "ProfileSynced").is_some_and(|c| c["status"] == "True")
    })
    .await;
    assert_eq!(rig.effects_on(DIGITS), ["added", "code", "verified", "registered", "profile"]);

    // The old one is not taken back when its credentials work again.
    let next = format!("{}-again", rig.token);
    rig.sandbox.add_token(&next, Token::system_user(APP, BUSINESS));
    rig.secret("acme-meta", json!({ "token": next })).await;
    rig.until_condition_of("wap", "acme", "Ready", "True", None).await;
    let text =
        message(&rig.until_condition("support", "Ready", "False", Some("NumberClaimed")).await, "Ready");
    assert!(text.contains("delete this one"), "{text}");
    assert_eq!(rig.effects_on(DIGITS).len(), 5);
}
