//! Who else is at an account, and the app's own webhook, on a real API server.

use std::time::{Duration, Instant};

use serde_json::json;
use whatsapp_operator::sandbox::{App, DEMO_APP_SECRET, Number, What};

use crate::cli::{editor, run_as, stdout};
use crate::rig::{ACCOUNT, APP, Rig};

const DIGITS: &str = "5511914100001";
const HOOK: &str = "https://bot.acme.example/wa";
const CRM: &str = "200000000000008";
/// Where the account's messages go in place of the app's own address.
const ELSEWHERE: &str = "https://old.acme.example/wa";

fn written(rig: &Rig) -> usize {
    rig.sandbox.count(|what| matches!(what, What::AppWebhookSet { .. }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_portfolio_shows_a_foreign_app_and_writes_the_webhook_of_its_own_once() {
    let mut rig = Rig::new("others").await;
    rig.sandbox.add_app(App::new(APP, "Acme Ops").with_secret(DEMO_APP_SECRET));
    assert!(rig.sandbox.subscribe(ACCOUNT, App::new(CRM, "Acme CRM")));
    let subscriptions = json!({APP: {"callback": ELSEWHERE}, CRM: {}});
    assert!(rig.sandbox.set_field(ACCOUNT, "subscriptions", subscriptions));
    rig.sandbox
        .add_number(Number::new("100000000000911", ACCOUNT, DIGITS, "Acme Support").registered("271828"));
    rig.secret("acme-meta", json!({"token": rig.token, "appSecret": DEMO_APP_SECRET})).await;
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "stringData": {"verify": "let-me-in-please"},
        "metadata": {"name": "bot", "labels": {"whatsapp-operator.dev/use": "verify-token"}},
    }))
    .await;
    let verify = json!({"name": "bot", "key": "verify"});
    let webhook = json!({
        "callbackUrl": HOOK, "verifyTokenSecretRef": verify, "fields": ["messages", "account_update"], "adopt": true,
    });
    let app_secret = json!({"appSecretRef": {"name": "acme-meta", "key": "appSecret"}});
    rig.portfolio("acme", json!({"credentials": app_secret, "appWebhook": webhook})).await;
    rig.start().await;
    let own = json!({"callbackUrl": format!("{HOOK}/support"), "verifyTokenSecretRef": verify});
    rig.channel("support", &format!("+{DIGITS}"), json!({"webhook": own})).await;

    let apps = json!({"ours": true, "others": [{"id": CRM, "name": "Acme CRM"}], "overrideUrl": ELSEWHERE});
    rig.until_of("wap", "acme", "the apps of its account", Duration::from_secs(60), |s| {
        s["accounts"][0]["apps"] == apps
    })
    .await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while written(&rig) == 0 {
        assert!(Instant::now() < deadline, "the app's webhook is not written\n{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let asked = json!({"metadata": {"annotations": {"whatsapp-operator.dev/reconcile": "now"}}});
    rig.merge("wap", "acme", &asked).await;
    let told =
        rig.until_condition_of("wap", "acme", "AppWebhookSet", "True", Some("AppWebhookMatches")).await;
    assert_eq!(told["status"]["appWebhook"]["callbackUrl"], HOOK);
    assert_eq!(told["status"]["appWebhook"]["written"], json!([HOOK]));
    rig.at_rest().await;
    assert_eq!(written(&rig), 1);
    let editor = editor(&rig).await;
    let page = run_as(&editor, &rig, &["status", "support"], "").await;
    let page = stdout(&page);
    let told = page.lines().find_map(|line| line.trim().strip_prefix("other apps")).map(str::trim);
    assert_eq!(told, Some(format!("Acme CRM ({CRM})").as_str()), "{page}");
}
