//! Every right of the chart's roles is needed, and a missing one is told by its name while the operator goes on.
//!
//! An operator for each right, which has all others, meets the same day: a number is added, its code is asked for and
//! entered, it is registered with a PIN that the operator makes, routed, suspended and resumed; old attempts are swept away.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, Secret};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchParams};
use serde_json::{Value, json};
use whatsapp_operator::sandbox::{Fault, FaultKind, Match, Number};

use crate::control_plane::client_from;
use crate::rig::{ACCOUNT, Rig, condition, free_address, http_get, resource};

const NUMBER: &str = "+5511915700001";
/// Each waits most of the time.
const AT_ONCE: usize = 8;
/// From the start of an operator until it has missed its right.
const LIMIT: Duration = Duration::from_secs(240);
const CHANNELS: &str = "whatsappchannels";
const PORTFOLIOS: &str = "whatsappportfolios";

/// Where somebody is told that a right is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// In the log alone: nothing is held up.
    Log,
    /// By `/readyz`: nothing works.
    Readiness,
    /// By a condition of the channel, with this reason.
    Channel(&'static str),
    /// By a condition of the portfolio, with this reason.
    Portfolio(&'static str),
}

/// Each right beside its resource, and where it is missed.
const RIGHTS: &[(&str, &str, Told)] = &[
    (CHANNELS, "get", Told::Log),
    (CHANNELS, "list", Told::Readiness),
    (CHANNELS, "watch", Told::Readiness),
    (CHANNELS, "patch", Told::Log),
    ("whatsappchannels/status", "patch", Told::Log),
    (PORTFOLIOS, "get", Told::Log),
    (PORTFOLIOS, "list", Told::Readiness),
    (PORTFOLIOS, "watch", Told::Readiness),
    (PORTFOLIOS, "patch", Told::Log),
    ("whatsappportfolios/status", "patch", Told::Log),
    ("events", "create", Told::Log),
    ("events", "patch", Told::Log),
    ("secrets", "get", Told::Portfolio("SecretForbidden")),
    ("secrets", "create", Told::Channel("PinNeeded")),
    ("configmaps", "get", Told::Log),
    ("configmaps", "list", Told::Log),
    ("configmaps", "create", Told::Log),
    ("configmaps", "patch", Told::Log),
    ("configmaps", "delete", Told::Log),
    ("leases", "get", Told::Readiness),
    ("leases", "create", Told::Readiness),
    ("leases", "update", Told::Readiness),
];

/// The chart's roles: that of a namespace, and that of the Lease.
const ROLES: [&str; 2] = ["whatsapp-operator", "whatsapp-operator-lease"];

/// The rules of a role, with one resource and one verb each.
async fn rules(rig: &Rig, role: &str) -> Vec<Value> {
    let role = rig.get_of("Role", role).await;
    let mut single = Vec::new();
    for rule in role["rules"].as_array().expect("rules") {
        for resource in rule["resources"].as_array().expect("resources") {
            for verb in rule["verbs"].as_array().expect("verbs") {
                let mut one = rule.clone();
                (one["resources"], one["verbs"]) = (json!([resource]), json!([verb]));
                single.push(one);
            }
        }
    }
    single
}

/// Whether it is the rule of this right.
fn is(rule: &Value, resource: &str, verb: &str) -> bool {
    rule["resources"] == json!([resource]) && rule["verbs"] == json!([verb])
}

/// A rig that has a use for every right.
async fn rig(prefix: &str) -> Rig {
    let mut rig = Rig::with_portfolio(prefix).await;
    rig.flags = ["--leader-election", "--leader-election-namespace", &rig.namespace.clone()]
        .map(str::to_owned)
        .into();
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "bot", "labels": {"whatsapp-operator.dev/use": "verify-token"}},
        "stringData": {"verify": "word"},
    }))
    .await;
    let long_ago = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * 40)).to_string();
    let code = json!({"id": "1", "at": long_ago, "outcome": "Accepted", "cause": "SendCode"});
    rig.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "whatsapp-attempts-5511915700002", "labels": {"whatsapp-operator.dev/use": "attempts"}},
        "data": {"attempts.json": json!({"codes": [code]}).to_string()},
    }))
    .await;
    rig.channel("support", NUMBER, json!({
        "deletionPolicy": "Unroute",
        "webhook": {"callbackUrl": "https://bot.acme.example/wa", "verifyTokenSecretRef": {"name": "bot", "key": "verify"}},
    }))
    .await;
    rig
}

/// Everything that tells of a missing right, by where it does.
async fn said(rig: &Rig, told: Told, health: std::net::SocketAddr) -> String {
    let with_reason = |object: &Value, reason: &str| {
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        conditions
            .filter(|condition| condition["reason"] == reason)
            .map(|found| found["message"].to_string())
            .collect()
    };
    match told {
        Told::Log => rig.logs(),
        Told::Readiness => http_get(health, "/readyz").await.unwrap_or_default(),
        Told::Channel(reason) => with_reason(&rig.get("support").await, reason),
        Told::Portfolio(reason) => with_reason(&rig.get_of("wap", "acme").await, reason),
    }
}

/// What a person does next, if it is their turn.
async fn go_on(rig: &Rig) {
    let channel = rig.get("support").await;
    let status = &channel["status"];
    let reason = |kind: &str| {
        condition(status, kind).and_then(|of| of["reason"].as_str()).unwrap_or_default().to_owned()
    };
    let is_asked = channel["metadata"]["annotations"]["whatsapp-operator.dev/send-code"].is_string();
    let is_suspended = channel["spec"]["suspend"] == true;
    let is_seen = status["observedGeneration"] == channel["metadata"]["generation"];
    match reason("NumberVerified").as_str() {
        "CodeNeeded" if !is_asked => rig.annotate("support", "send-code", "one").await,
        "CodeAwaited" if rig.find("secret", "support-code").await.is_none() => {
            rig.type_code("support", NUMBER).await;
        }
        _ if is_seen
            && (is_suspended
                || condition(status, "Ready").is_some_and(|ready| ready["status"] == "True")) =>
        {
            rig.edit("wac", "support", json!({"suspend": !is_suspended})).await;
        }
        _ => {}
    }
}

/// Takes one right away, and gives back what is wrong with how that shows.
async fn miss(resource: &str, verb: &str, told: Told) -> Option<String> {
    let mut rig = rig("rights").await;
    for role in ROLES {
        let mut rules = rules(&rig, role).await;
        rules.retain(|rule| !is(rule, resource, verb));
        rig.merge("Role", role, &json!({"rules": rules})).await;
    }
    let health = free_address();
    let mut process = rig.spawn_operator(&["--health-listen", &health.to_string()]).await;
    let wanted = format!("cannot {verb} resource \"{resource}\"");
    let begun = Instant::now();
    let mut is_told = false;
    while !is_told && begun.elapsed() < LIMIT {
        tokio::time::sleep(Duration::from_millis(300)).await;
        go_on(&rig).await;
        is_told = said(&rig, told, health).await.replace('\\', "").contains(&wanted);
    }
    let is_alive = process.is_running() && http_get(health, "/healthz").await.is_some();
    let status = rig.get("support").await["status"].to_string();
    (!is_told || !is_alive).then(|| {
        let ready = if is_alive { "" } else { "the operator ended; " };
        format!("{resource} {verb}: {ready}{wanted:?} is not told by {told:?}\n{status}\n{}", rig.logs())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_right_is_needed_and_told_by_its_name_where_it_is_missing() {
    let has = rig("has").await;
    let mut granted = BTreeSet::new();
    for role in ROLES {
        for rule in rules(&has, role).await {
            granted.insert((rule["resources"][0].to_string(), rule["verbs"][0].to_string()));
        }
    }
    let tried = RIGHTS
        .iter()
        .map(|(resource, verb, _)| (json!(resource).to_string(), json!(verb).to_string()))
        .collect();
    assert_eq!(granted, tried, "every right of the chart is tried, and no other");

    let wrong: Vec<String> = stream::iter(RIGHTS)
        .map(|(resource, verb, told)| miss(resource, verb, *told))
        .buffer_unordered(AT_ONCE)
        .filter_map(async |wrong| wrong)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_answered_while_no_status_may_be_written_counts_when_it_may_again() {
    const STATUS: &str = "whatsappchannels/status";
    let digits = NUMBER.trim_start_matches('+');
    let mut rig = Rig::with_portfolio("unwritten").await;
    rig.sandbox.add_number(Number::new("100000000005701", ACCOUNT, digits, "Acme Support"));
    rig.start().await;
    rig.channel("support", NUMBER, json!({"accountId": ACCOUNT})).await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate("support", "send-code", "one").await;
    rig.until_condition("support", "NumberVerified", "False", Some("CodeAwaited")).await;
    // Meta takes its time, and refuses.
    let refusal = json!({"error": {"message": "(#133005) Two step verification PIN Mismatch", "type": "OAuthException",
        "code": 133_005, "fbtrace_id": "AfakeTrace"}});
    for kind in [FaultKind::Latency { ms: 8_000 }, FaultKind::Error { envelope: refusal }] {
        rig.sandbox.inject(Fault { on: Match::on("POST", "register"), kind });
    }
    rig.type_code("support", NUMBER).await;
    let intends = |s: &Value| s["memory"]["inFlight"]["step"] == "Register";
    rig.until("support", "an intent", Duration::from_secs(60), intends).await;
    let role = rig.account_name();
    let all = rules(&rig, role).await;
    let fewer: Vec<_> = all.iter().filter(|rule| !is(rule, STATUS, "patch")).collect();
    assert_eq!(fewer.len() + 1, all.len(), "there is such a right");
    rig.merge("Role", role, &json!({"rules": fewer})).await;
    let refused = format!("cannot patch resource \"{STATUS}\"");
    let begun = Instant::now();
    while !rig.logs().replace('\\', "").contains(&refused) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", rig.logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    rig.sandbox.clear_faults();
    assert!(intends(&rig.get("support").await["status"]), "it is not written");
    rig.merge("Role", role, &json!({"rules": all})).await;
    let is_told = |s: &Value| s["memory"]["inFlight"].is_null();
    let told = rig.until("support", "an outcome", LIMIT, is_told).await;
    let attempts = &told["status"]["memory"]["ledger"]["registrations"];
    assert_eq!(
        (attempts[0]["outcome"].as_str(), attempts[1].is_null()),
        (Some("Refused"), true),
        "{attempts:#}"
    );
    rig.until_condition("support", "Registered", "False", Some("PinMismatch")).await;
    let calls = rig.sandbox.calls();
    assert_eq!(calls.iter().filter(|call| call.path.ends_with("/register")).count(), 1);
}

/// One that is named can be read, and nothing else can be done to it.
#[tokio::test]
async fn secrets_are_read_by_name_and_neither_listed_nor_changed() {
    let rig = Rig::with_portfolio("secrets").await;
    let elsewhere = rig.plane.namespace("elsewhere").await;
    let client = client_from(&rig.plane.service_account_kubeconfig(&rig.namespace, rig.account_name()).await);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &rig.namespace);
    secrets.get("acme-meta").await.expect("it is named");
    let nothing = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let refused = [
        secrets.list(&ListParams::default()).await.err(),
        secrets.watch(&WatchParams::default(), "0").await.err(),
        secrets.patch("acme-meta", &PatchParams::default(), &nothing).await.err(),
        secrets.delete("acme-meta", &DeleteParams::default()).await.err(),
        secrets.delete_collection(&DeleteParams::default(), &ListParams::default()).await.err(),
        Api::<Secret>::all(client.clone()).list(&ListParams::default()).await.err(),
        Api::<Secret>::namespaced(client, &elsewhere).get("acme-meta").await.err(),
    ];
    for (at, error) in refused.into_iter().enumerate() {
        assert!(matches!(&error, Some(kube::Error::Api(status)) if status.is_forbidden()), "{at}: {error:?}");
    }
}

/// Rights to create and to patch cannot be bound to what they are for; a policy of the chart's binds them.
#[tokio::test]
async fn what_the_operator_never_makes_is_refused_although_its_rights_would_allow_it() {
    let rig = Rig::with_portfolio("policy").await;
    let client = client_from(&rig.plane.service_account_kubeconfig(&rig.namespace, rig.account_name()).await);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &rig.namespace);
    let maps: Api<ConfigMap> = Api::namespaced(client, &rig.namespace);
    rig.apply(
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"a": "b"}}),
    )
    .await;
    let of_pins = json!({"app.kubernetes.io/managed-by": "whatsapp-operator"});
    let of_attempts = json!({"whatsapp-operator.dev/use": "attempts"});
    let secret = |name: &str, kind: &str, labels: &Value| -> Secret {
        let account = json!({"kubernetes.io/service-account.name": "default"});
        let metadata = json!({"name": name, "labels": labels, "annotations": account});
        serde_json::from_value(json!({"metadata": metadata, "type": kind})).expect("a Secret")
    };
    let map = |name: &str, labels: &Value| -> ConfigMap {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).expect("a ConfigMap")
    };
    // A policy counts a moment after it was made.
    let token = secret("token", "kubernetes.io/service-account-token", &of_pins);
    let begun = Instant::now();
    loop {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        match secrets.create(&dry, &token).await {
            Err(error) if error.to_string().contains("the operator creates Secrets for PINs alone") => break,
            tried => assert!(begun.elapsed() < Duration::from_secs(30), "{tried:?}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let (new, own) = (PostParams::default(), PatchParams::default());
    let changed = Patch::Merge(json!({"data": {"a": "c"}}));
    let taken_over = Patch::Merge(json!({"metadata": {"labels": of_attempts}, "data": {"a": "c"}}));
    let refused = [
        ("Secrets for PINs", secrets.create(&new, &token).await.err()),
        (
            "Secrets for PINs",
            secrets.create(&new, &secret("other", "acme.example/any", &of_pins)).await.err(),
        ),
        ("Secrets for PINs", secrets.create(&new, &secret("other", "Opaque", &json!({}))).await.err()),
        ("with attempts", maps.create(&new, &map("mine", &of_attempts)).await.err()),
        ("with attempts", maps.create(&new, &map("whatsapp-attempts-1", &json!({}))).await.err()),
        ("with attempts", maps.patch("theirs", &own, &changed).await.err()),
        ("with attempts", maps.patch("theirs", &own, &taken_over).await.err()),
        ("with attempts", maps.delete("theirs", &DeleteParams::default()).await.err()),
    ];
    for (at, (says, error)) in refused.into_iter().enumerate() {
        let told = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(told.contains("ValidatingAdmissionPolicy") && told.contains(says), "{at}: {told}");
    }
    secrets
        .create(&new, &secret("support-pin", "Opaque", &of_pins))
        .await
        .expect("as it makes those of PINs");
    maps.create(&new, &map("whatsapp-attempts-1", &of_attempts))
        .await
        .expect("as it makes those of attempts");
    maps.patch("whatsapp-attempts-1", &own, &changed).await.expect("its own");
    maps.delete("whatsapp-attempts-1", &DeleteParams::default()).await.expect("its own");
}

/// Each right of some rules beside its resource.
fn each(rules: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for rule in rules.as_array().expect("rules") {
        let list =
            |key: &str| -> Vec<String> { serde_json::from_value(rule[key].clone()).unwrap_or_default() };
        let (groups, names) = (list("apiGroups").join(" "), list("resourceNames").join(" "));
        for resource in list("resources") {
            all.extend(
                list("verbs").into_iter().map(|verb| format!("{verb} {resource} of {groups:?} {names:?}")),
            );
        }
    }
    all
}

/// Everything that an account may do to objects in a namespace.
async fn allowed(client: &kube::Client, namespace: &str) -> BTreeSet<String> {
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
    let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
    let api = Api::<SelfSubjectRulesReview>::all(client.clone());
    let told =
        api.create(&PostParams::default(), &review).await.expect("a review").status.expect("an answer");
    assert!(!told.incomplete, "{told:?}");
    each(&json!(told.resource_rules))
}

/// What the chart gives by default: the whole cluster by one role, with which everything works that has to, wherever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_of_the_whole_cluster_is_enough_for_a_namespace_that_comes_later_and_gives_nothing_else() {
    let mut rig = Rig::of_the_whole_cluster("release").await;
    rig.start().await;
    let later = rig.plane.namespace("later").await;
    let access = json!({"access": [{"namespaces": [later], "accounts": [ACCOUNT]}]});
    rig.edit("wap", "acme", access).await;
    let channel = format!("{later}/support");
    let of = json!({"portfolioRef": {"name": "acme", "namespace": rig.namespace}});
    rig.channel(&channel, NUMBER, of).await;
    rig.onboard(&channel, NUMBER).await;
    assert!(!rig.logs().contains("is forbidden"), "{}", rig.logs());
    let client = client_from(&rig.plane.service_account_kubeconfig(&rig.namespace, rig.account_name()).await);
    Api::<Secret>::namespaced(client.clone(), &later).get("support-pin").await.expect("its own, by name");

    // All that the roles give, in a namespace and where it runs, beside what everybody may who has a token.
    rig.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "anybody"}})).await;
    let anybody = client_from(&rig.plane.service_account_kubeconfig(&rig.namespace, "anybody").await);
    let anybody = allowed(&anybody, &later).await;
    let role =
        Api::<ClusterRole>::all(rig.plane.admin_client()).get(rig.account_name()).await.expect("a role");
    let wanted = each(&json!(role.rules));
    let own = allowed(&client, &later).await;
    assert_eq!(own.difference(&anybody).cloned().collect::<BTreeSet<_>>(), wanted);
    let at_home = allowed(&client, &rig.namespace).await;
    let lease = each(&rig.get_of("Role", ROLES[1]).await["rules"]);
    assert_eq!(at_home.difference(&own).cloned().collect::<BTreeSet<_>>(), lease);

    // And by calls.
    let channels: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &later, &resource("WhatsAppChannel"));
    let refused = [
        Api::<Secret>::all(client.clone()).list(&ListParams::default()).await.err(),
        Api::<Secret>::namespaced(client.clone(), &later).list(&ListParams::default()).await.err(),
        Api::<Secret>::namespaced(client.clone(), "kube-system")
            .watch(&WatchParams::default(), "0")
            .await
            .err(),
        Api::<Secret>::namespaced(client.clone(), &later)
            .delete("support-pin", &DeleteParams::default())
            .await
            .err(),
        Api::<Node>::all(client.clone()).list(&ListParams::default()).await.err(),
        Api::<Node>::all(client.clone()).get("any").await.err(),
        Api::<Namespace>::all(client.clone()).list(&ListParams::default()).await.err(),
        Api::<Pod>::all(client.clone()).list(&ListParams::default()).await.err(),
        channels.delete("support", &DeleteParams::default()).await.err(),
    ];
    for (at, error) in refused.into_iter().enumerate() {
        assert!(matches!(&error, Some(kube::Error::Api(status)) if status.is_forbidden()), "{at}: {error:?}");
    }
}
