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

use crate::api_server_away::{intends_to_register, is_told_of_one_refusal, registers_in_vain};
use crate::control_plane::client_from;
use crate::rig::{ACCOUNT, BUSINESS, Rig, condition, free_address, http_get, resource};

const NUMBER: &str = "+5511915700001";
/// Each waits most of the time.
const AT_ONCE: usize = 8;
/// From the start of an operator until it has missed its right.
const LIMIT: Duration = Duration::from_secs(240);
/// What is broken is looked at once more after this.
const STAYS: Duration = Duration::from_secs(3);
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

/// What breaks without a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaks {
    CountsAsEmpty,
    NobodyLooks,
    NothingDone,
    PortfolioUntold,
    NothingTakenBack,
    NoToken,
    NotRegistered,
    NoEvents,
    NotFolded,
    Waits,
    NotKept,
    OldStay,
    NoWork,
    WorksOnce,
}

impl Breaks {
    /// In the words of the chart's README.
    fn says(self) -> &'static str {
        match self {
            Self::CountsAsEmpty => "the namespace counts as empty",
            Self::NobodyLooks => "nobody looks at them",
            Self::NothingDone => "nothing is done at Meta, since nothing could be remembered",
            Self::PortfolioUntold => "nobody sees how the portfolio is",
            Self::NothingTakenBack => "a deletion takes nothing back at Meta",
            Self::NoToken => "the portfolio has no token",
            Self::NotRegistered => "a number without a PIN is not registered",
            Self::NoEvents => "there are none",
            Self::NotFolded => "repeats are not folded",
            Self::Waits => {
                "steps that cannot be repeated wait for two minutes, and attempts before the channel was deleted do not count"
            }
            Self::NotKept => "attempts before the channel was deleted do not count",
            Self::OldStay => "those in which nothing counts any more stay",
            Self::NoWork => "the replica does not work",
            Self::WorksOnce => "the replica works until its first Lease ends",
        }
    }
}

/// Each right beside its resource, where it is missed, and what breaks.
const RIGHTS: &[(&str, &str, Told, Breaks)] = &[
    (CHANNELS, "get", Told::Log, Breaks::NobodyLooks),
    (CHANNELS, "list", Told::Readiness, Breaks::CountsAsEmpty),
    (CHANNELS, "watch", Told::Readiness, Breaks::CountsAsEmpty),
    (CHANNELS, "patch", Told::Log, Breaks::NothingTakenBack),
    ("whatsappchannels/status", "patch", Told::Log, Breaks::NothingDone),
    (PORTFOLIOS, "get", Told::Log, Breaks::NobodyLooks),
    (PORTFOLIOS, "list", Told::Readiness, Breaks::CountsAsEmpty),
    (PORTFOLIOS, "watch", Told::Readiness, Breaks::CountsAsEmpty),
    (PORTFOLIOS, "patch", Told::Log, Breaks::NothingTakenBack),
    ("whatsappportfolios/status", "patch", Told::Log, Breaks::PortfolioUntold),
    ("events", "create", Told::Log, Breaks::NoEvents),
    ("events", "patch", Told::Log, Breaks::NotFolded),
    ("secrets", "get", Told::Portfolio("SecretForbidden"), Breaks::NoToken),
    ("secrets", "create", Told::Channel("PinNeeded"), Breaks::NotRegistered),
    ("configmaps", "get", Told::Log, Breaks::Waits),
    ("configmaps", "list", Told::Log, Breaks::OldStay),
    ("configmaps", "create", Told::Log, Breaks::NotKept),
    ("configmaps", "patch", Told::Log, Breaks::NotKept),
    ("configmaps", "delete", Told::Log, Breaks::OldStay),
    ("leases", "get", Told::Readiness, Breaks::NoWork),
    ("leases", "create", Told::Readiness, Breaks::NoWork),
    ("leases", "update", Told::Readiness, Breaks::WorksOnce),
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

/// An operator of a rig, and where it answers for its health.
struct Operator<'a> {
    rig: &'a Rig,
    health: std::net::SocketAddr,
}

impl Operator<'_> {
    /// The object that rights to a resource are about.
    async fn object(&self, resource: &str) -> Value {
        match resource.split('/').next() {
            Some(PORTFOLIOS) => self.rig.get_of("wap", "acme").await,
            _ => self.rig.get("support").await,
        }
    }

    async fn says(&self, path: &str) -> String {
        http_get(self.health, path).await.unwrap_or_default()
    }

    /// Calls to Meta that ask for a change.
    fn writes(&self) -> usize {
        self.rig.sandbox.calls().iter().filter(|call| call.method != "GET").count()
    }

    /// Events about objects of ours.
    async fn events(&self) -> Vec<Value> {
        let all =
            self.rig.api("Event", &self.rig.namespace).list(&ListParams::default()).await.expect("Events");
        let all = all.items.into_iter().map(|event| serde_json::to_value(event).expect("JSON"));
        all.filter(|event| event["involvedObject"]["apiVersion"] == "whatsapp-operator.dev/v1alpha1")
            .collect()
    }

    /// Codes and registrations of the number: those of the channel, and those that are kept beside it.
    async fn attempts(&self) -> [usize; 2] {
        let count = |of: &Value| {
            let lists = ["codes", "registrations"].map(|list| of[list].as_array().map_or(0, Vec::len));
            lists.into_iter().sum()
        };
        let name = format!("whatsapp-attempts-{}", NUMBER.trim_start_matches('+'));
        let kept = self.rig.find("ConfigMap", &name).await.unwrap_or_default();
        let kept = kept["data"]["attempts.json"].as_str().unwrap_or("{}");
        let channel = self.rig.get("support").await;
        [count(&channel["status"]["memory"]["ledger"]), count(&serde_json::from_str(kept).expect("JSON"))]
    }

    /// Whether this is broken, for a right.
    async fn shows(&self, breaks: Breaks, (resource, verb): (&str, &str)) -> bool {
        let is_ready = self.says("/readyz").await.starts_with("HTTP/1.1 200");
        let digits = NUMBER.trim_start_matches('+');
        match breaks {
            // What the first list had is worked on until the watch is refused.
            Breaks::CountsAsEmpty => !is_ready && (verb == "watch" || self.writes() == 0),
            Breaks::NobodyLooks => {
                let status = self.object(resource).await["status"].clone();
                let is_new =
                    condition(&status, "Ready").is_some_and(|ready| ready["reason"] == "NotObservedYet");
                (is_new || status["observedGeneration"] == -1) && self.writes() == 0
            }
            Breaks::NothingDone => {
                self.object(resource).await["status"]["observedGeneration"] == -1 && self.writes() == 0
            }
            Breaks::PortfolioUntold => self.object(resource).await["status"]["observedGeneration"] == -1,
            Breaks::NothingTakenBack => {
                let object = self.object(resource).await;
                let uid = &object["metadata"]["uid"];
                let is_of = |event: &Value| {
                    event["reason"] == "FinalizerForbidden" && event["involvedObject"]["uid"] == *uid
                };
                object["metadata"]["finalizers"].is_null()
                    && self.events().await.iter().any(is_of)
                    && self.rig.effects_on(digits).contains(&"routed")
            }
            Breaks::NoToken => self.rig.sandbox.calls().is_empty(),
            Breaks::NotRegistered => {
                self.rig.find("secret", "support-pin").await.is_none()
                    && !self.rig.effects_on(digits).contains(&"registered")
            }
            Breaks::NoEvents => self.events().await.is_empty(),
            Breaks::NotFolded => {
                let events = self.events().await;
                !events.is_empty() && events.iter().all(|event| event["series"].is_null())
            }
            Breaks::Waits => {
                let [_, kept] = self.attempts().await;
                kept == 0 && self.writes() == 0
            }
            Breaks::NotKept => {
                let [tried, kept] = self.attempts().await;
                tried > kept
            }
            Breaks::OldStay => self.rig.find("ConfigMap", "whatsapp-attempts-5511915700002").await.is_some(),
            Breaks::NoWork | Breaks::WorksOnce => {
                let leads = self.says("/metrics").await.contains("whatsapp_operator_leader 1\n");
                !is_ready && !leads && (breaks == Breaks::WorksOnce || self.writes() == 0)
            }
        }
    }

    /// Whether it is broken and stays so. Where nothing is worked on, nothing more is written to Meta either.
    async fn stays(&self, breaks: Breaks, right: (&str, &str)) -> bool {
        if !self.shows(breaks, right).await {
            return false;
        }
        let before = self.writes();
        tokio::time::sleep(STAYS).await;
        let is_idle = matches!(breaks, Breaks::CountsAsEmpty | Breaks::NoWork | Breaks::WorksOnce);
        self.shows(breaks, right).await && (!is_idle || self.writes() == before)
    }
}

/// Takes one right away, and gives back what is wrong with how that shows.
async fn miss(resource: &str, verb: &str, told: Told, breaks: Breaks) -> Option<String> {
    let mut rig = rig("rights").await;
    for role in ROLES {
        let mut rules = rules(&rig, role).await;
        rules.retain(|rule| !is(rule, resource, verb));
        rig.merge("Role", role, &json!({"rules": rules})).await;
    }
    let health = free_address();
    let mut process = rig.spawn_operator(&["--health-listen", &health.to_string()]).await;
    let operator = Operator { rig: &rig, health };
    let wanted = format!("cannot {verb} resource \"{resource}\"");
    let begun = Instant::now();
    let (mut is_told, mut is_shown) = (false, false);
    while !(is_told && is_shown) && begun.elapsed() < LIMIT {
        tokio::time::sleep(Duration::from_millis(300)).await;
        go_on(&rig).await;
        is_told = is_told || said(&rig, told, health).await.replace('\\', "").contains(&wanted);
        is_shown = is_told && operator.stays(breaks, (resource, verb)).await;
    }
    let is_alive = process.is_running() && http_get(health, "/healthz").await.is_some();
    let status = rig.get("support").await["status"].to_string();
    (!is_told || !is_shown || !is_alive).then(|| {
        let ready = if is_alive { "" } else { "the operator ended; " };
        let told = if is_told { String::new() } else { format!("{wanted:?} is not told by {told:?}; ") };
        let shown = if is_shown { "" } else { "it does not show that " };
        format!("{resource} {verb}: {ready}{told}{shown}{}\n{status}\n{}", breaks.says(), rig.logs())
    })
}

/// With all rights nothing of that is broken once the day is over.
async fn miss_nothing() -> Option<String> {
    let mut rig = rig("rights-all").await;
    let health = free_address();
    let _process = rig.spawn_operator(&["--health-listen", &health.to_string()]).await;
    let operator = Operator { rig: &rig, health };
    let begun = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        go_on(&rig).await;
        let mut broken = Vec::new();
        for (resource, verb, _, breaks) in RIGHTS {
            if operator.shows(*breaks, (resource, verb)).await {
                broken.push(format!("{verb} {resource}: {}", breaks.says()));
            }
        }
        if broken.is_empty() {
            return None;
        }
        if begun.elapsed() > LIMIT {
            return Some(format!("with all rights, too: {broken:#?}\n{}", rig.logs()));
        }
    }
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
        .map(|(resource, verb, ..)| (json!(resource).to_string(), json!(verb).to_string()))
        .collect();
    assert_eq!(granted, tried, "every right of the chart is tried, and no other");

    let missed = stream::iter(RIGHTS)
        .map(|(resource, verb, told, breaks)| miss(resource, verb, *told, *breaks))
        .buffer_unordered(AT_ONCE)
        .filter_map(async |wrong| wrong)
        .collect::<Vec<String>>();
    let (mut wrong, all) = tokio::join!(missed, miss_nothing());
    wrong.extend(all);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The rights that a cell of the README names, by their words.
fn named(cell: &str) -> BTreeSet<(&'static str, String)> {
    let words: Vec<&str> = cell.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let resources: Vec<&'static str> = [
        ("channels", CHANNELS),
        ("portfolios", PORTFOLIOS),
        ("Events", "events"),
        ("Secrets", "secrets"),
        ("ConfigMaps", "configmaps"),
        ("Lease", "leases"),
    ]
    .into_iter()
    .filter(|(word, _)| words.contains(word))
    .map(|(_, resource)| match resource {
        CHANNELS if words.contains(&"status") => "whatsappchannels/status",
        PORTFOLIOS if words.contains(&"status") => "whatsappportfolios/status",
        other => other,
    })
    .collect();
    let verbs = words
        .iter()
        .filter(|word| ["get", "list", "watch", "create", "update", "patch", "delete"].contains(*word));
    verbs.flat_map(|verb| resources.iter().map(|resource| (*resource, (*verb).to_owned()))).collect()
}

#[test]
fn the_table_of_the_chart_says_what_each_right_is_for() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/whatsapp-operator/README.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let (_, table) = page
        .split_once("| Without the right to | What breaks | Told by |\n|---|---|---|\n")
        .expect("a table");
    let mut listed = BTreeSet::new();
    let mut at_home_too = BTreeSet::new();
    let mut wrong = Vec::new();
    for row in table.lines().take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [without, breaks, told_by] = cells[..] else { panic!("{row}") };
        if let Some(at_home) = without.strip_suffix(" in the namespace of the release") {
            for (resource, verb) in named(at_home) {
                let is_known = AT_HOME.contains(&(verb.as_str(), breaks)) && resource == "configmaps";
                if !is_known || told_by != "log" {
                    wrong.push(format!("{verb} {resource} in the namespace of the release: {breaks}"));
                }
                at_home_too.insert(verb);
            }
            continue;
        }
        for (resource, verb) in named(without) {
            let of = RIGHTS.iter().find(|(of, with, ..)| (*of, *with) == (resource, verb.as_str()));
            let Some((_, _, told, shown)) = of else {
                wrong.push(format!("{without}: there is no right to {verb} {resource}"));
                continue;
            };
            let by = match told {
                Told::Log => "log".to_owned(),
                Told::Readiness => "`/readyz`".to_owned(),
                Told::Channel(reason) | Told::Portfolio(reason) => format!("`{reason}`"),
            };
            if shown.says() != breaks || !told_by.contains(&by) {
                wrong.push(format!(
                    "{verb} {resource}: {breaks}, told by {told_by}, and it is: {}, by {by}",
                    shown.says()
                ));
            }
            listed.insert((resource, verb));
        }
    }
    let all: BTreeSet<_> =
        RIGHTS.iter().map(|(resource, verb, ..)| (*resource, (*verb).to_owned())).collect();
    assert_eq!(listed, all, "the rights that the table has");
    let at_home: BTreeSet<_> = AT_HOME.iter().map(|(verb, _)| (*verb).to_owned()).collect();
    assert_eq!(at_home_too, at_home, "those in the namespace of the release");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Those of the chart's role in the namespace of the release, where another one is watched.
/// Each with what the chart's README says of it.
const AT_HOME: [(&str, &str); 5] = [
    ("get", NOT_KEPT_AT_HOME),
    ("list", "those in which nothing counts any more stay"),
    ("create", NOT_KEPT_AT_HOME),
    ("patch", NOT_KEPT_AT_HOME),
    ("delete", "those in which nothing counts any more stay"),
];
const NOT_KEPT_AT_HOME: &str = "attempts before the portfolio's namespace was deleted do not count";
const ROLE_AT_HOME: &str = "whatsapp-operator-attempts";

/// Takes one of them away, and gives back what is wrong with how that shows.
async fn miss_at_home(verb: &str) -> Option<String> {
    let mut rig = Rig::with_portfolio("home").await;
    let shop = rig.watch_instead("shop").await;
    let rules = rules(&rig, ROLE_AT_HOME).await;
    let fewer: Vec<_> = rules.iter().filter(|rule| !is(rule, "configmaps", verb)).collect();
    assert_eq!((rules.len(), fewer.len()), (AT_HOME.len(), AT_HOME.len() - 1), "{verb} is a right");
    rig.merge("Role", ROLE_AT_HOME, &json!({"rules": fewer})).await;
    let map = |name: String, days: i64| {
        let at = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days)).to_string();
        let code = json!({"id": "1", "at": at, "outcome": "Accepted", "cause": "SendCode"});
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {"whatsapp-operator.dev/use": "attempts"}},
            "data": {"attempts.json": json!({"codes": [code]}).to_string()},
        })
    };
    let digits = NUMBER.trim_start_matches('+');
    rig.apply(&map("whatsapp-attempts-1-5511915700002".into(), 40)).await;
    if verb == "patch" {
        rig.apply(&map(format!("whatsapp-attempts-{BUSINESS}-{digits}"), 2)).await;
    }
    rig.secret(&format!("{shop}/acme-meta"), json!({"token": rig.token})).await;
    rig.apply(&json!({
        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppPortfolio",
        "metadata": {"name": "acme", "namespace": shop},
        "spec": {
            "businessId": BUSINESS,
            "credentials": {"accessTokenSecretRef": {"name": "acme-meta", "key": "token"}}
        }
    }))
    .await;
    rig.start().await;
    let channel = format!("{shop}/support");
    rig.channel(&channel, NUMBER, json!({})).await;
    rig.until_condition(&channel, "NumberVerified", "False", Some("CodeNeeded")).await;
    rig.annotate(&channel, "send-code", "one").await;
    rig.until_condition(&channel, "NumberVerified", "False", Some("CodeAwaited")).await;
    let wanted = format!(
        "cannot {verb} resource \"configmaps\" in API group \"\" in the namespace \"{}\"",
        rig.namespace
    );
    let begun = Instant::now();
    while !rig.logs().replace('\\', "").contains(&wanted) {
        if begun.elapsed() > Duration::from_secs(60) {
            return Some(format!("{verb}: {wanted:?} is not told\n{}", rig.logs()));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let beside: Api<DynamicObject> = rig.api("ConfigMap", &shop);
    let beside = beside.get_opt(&format!("whatsapp-attempts-{digits}")).await.expect("an answer");
    if beside.is_none() {
        return Some(format!("{verb}: nothing is kept beside the portfolio\n{}", rig.logs()));
    }
    let own: Api<DynamicObject> = rig.api("ConfigMap", &rig.namespace);
    let is_broken = if ["list", "delete"].contains(&verb) {
        own.get_opt("whatsapp-attempts-1-5511915700002").await.expect("an answer").is_some()
    } else {
        let kept = own.get_opt(&format!("whatsapp-attempts-{BUSINESS}-{digits}")).await.expect("an answer");
        let kept = kept.and_then(|kept| kept.data["data"]["attempts.json"].as_str().map(str::to_owned));
        kept.is_none_or(|kept| kept.matches("\"at\"").count() < 2)
    };
    (!is_broken).then(|| format!("{verb}: without it nothing is missing\n{}", rig.logs()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_right_to_attempts_in_the_operators_own_namespace_is_needed_and_without_it_all_else_goes_on() {
    let wrong: Vec<String> = stream::iter(AT_HOME)
        .map(|(verb, _)| miss_at_home(verb))
        .buffer_unordered(AT_HOME.len())
        .filter_map(async |wrong| wrong)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_meta_answered_while_no_status_may_be_written_counts_when_it_may_again() {
    const STATUS: &str = "whatsappchannels/status";
    let mut rig = Rig::with_portfolio("unwritten").await;
    rig.start().await;
    registers_in_vain(&rig, "100000000005701", NUMBER, Duration::from_secs(8)).await;
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
    assert!(intends_to_register(&rig.get("support").await["status"]), "it is not written");
    rig.merge("Role", role, &json!({"rules": all})).await;
    is_told_of_one_refusal(&rig, LIMIT).await;
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
