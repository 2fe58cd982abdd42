//! What the demo begins with, at Meta and in the cluster.

use jiff::Timestamp;
use serde_json::{Value, json};
use whatsapp_operator::run::picture::png;
use whatsapp_operator::sandbox::{
    Account, App, DEMO_APP_SECRET, DEMO_TOKEN, Number, Options, Portfolio, ReviewPolicy, Sandbox, Token,
    Verdict, World,
};

use super::{EDITOR, NAMESPACE};

const NEWCO_TOKEN: &str = "EAAsandbox-newco-permanent";
pub const OLDCO_TOKEN: &str = "EAAsandbox-oldco-permanent";
pub const OLDCO_BUSINESS: &str = "500000000000003";
pub const OLDCO_ACCOUNT: &str = "300000000000003";
/// Its numbers: one registered, one that also lives in the WhatsApp Business app.
pub const OLDCO: [&str; 2] = ["447700900321", "447700900322"];

/// A picture as far as anybody looks at it here: the header of a PNG, and something after it.
pub fn picture() -> Vec<u8> {
    [png(640, 640), vec![7; 20_000]].concat()
}

/// Three portfolios: one with an account and a number that is registered already, one that has no account yet, and one
/// whose numbers nobody has declared so far.
pub fn world() -> Sandbox {
    let (app, acme, newco, account) =
        ("200000000000001", "500000000000001", "500000000000002", "300000000000001");
    let old =
        |n: usize, name: &str| Number::new(&format!("10000000000010{n}"), OLDCO_ACCOUNT, OLDCO[n], name);
    let world = World::default()
        .with_app(App::new(app, "Acme Ops").with_secret(DEMO_APP_SECRET))
        .with_portfolio(Portfolio::new(acme, "Acme Ltda").verified())
        .with_account(Account::new(account, acme, "Acme"))
        .with_token(DEMO_TOKEN, Token::system_user(app, acme))
        .with_number(
            Number::new("100000000000001", account, "447700900123", "Acme Sales").registered("135790"),
        )
        .with_app(App::new("200000000000002", "Newco Ops"))
        .with_portfolio(Portfolio::new(newco, "Newco Ltd"))
        .with_token(NEWCO_TOKEN, Token::system_user("200000000000002", newco))
        .with_app(App::new("200000000000003", "Oldco Ops"))
        .with_portfolio(Portfolio::new(OLDCO_BUSINESS, "Oldco Ltd").verified())
        .with_account(Account::new(OLDCO_ACCOUNT, OLDCO_BUSINESS, "Oldco"))
        .with_token(OLDCO_TOKEN, Token::system_user("200000000000003", OLDCO_BUSINESS))
        .with_number(old(0, "Oldco Repairs").registered("246801"))
        .with_number(old(1, "Oldco Workshop").coexisting());
    let review = ReviewPolicy { verdict: Verdict::Defer, ..ReviewPolicy::default() };
    Sandbox::from_world(Options { review, ..Options::live(1, Timestamp::now()) }, world)
}

/// The Secrets that the examples speak of, and somebody who may edit the namespace.
///
/// The roles are what `edit` is made of: nobody aggregates them here, since no controller manager runs.
pub fn people() -> Value {
    let secret = |name: &str, labels: Value, data: Value| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "labels": labels }, "stringData": data });
    let binding = |role: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": format!("{EDITOR}-{}", role.replace(':', "-")) },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "kind": "ServiceAccount", "name": EDITOR, "namespace": NAMESPACE }],
        })
    };
    json!({ "apiVersion": "v1", "kind": "List", "items": [
        secret("acme-meta", json!({}), json!({ "token": DEMO_TOKEN, "appSecret": DEMO_APP_SECRET })),
        secret("newco-meta", json!({}), json!({ "token": NEWCO_TOKEN })),
        secret("sales-uk-pin", json!({}), json!({ "pin": "135790" })),
        secret("bot", json!({ "whatsapp-operator.dev/use": "verify-token" }), json!({ "verify": "made-up-for-the-demo" })),
        { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": EDITOR } },
        binding("system:aggregate-to-edit"),
        binding("system:aggregate-to-view"),
        binding("whatsapp-operator-edit"),
    ] })
}
