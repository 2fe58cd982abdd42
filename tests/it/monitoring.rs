//! Metrics, alerts, dashboards and runbooks: they agree with each other, and with what a process really serves.

mod picture;
mod prometheus;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use whatsapp_operator::engine::limits::Limits;
use whatsapp_operator::sandbox::{Number, Token};
use whatsapp_operator::telemetry::table::{self, Kind};

use crate::control_plane::{ControlPlane, tool};
use crate::rig::{ACCOUNT, APP, BUSINESS, Rig};
use prometheus::{Prometheus, promtool};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const RULES: &str = "charts/whatsapp-operator/files/rules.yaml";
const DASHBOARDS: [&str; 2] = ["fleet", "channel"];
const TESTS: &str = "tests/it/monitoring/rules_test.yaml";
/// A number that is on its way, and one of bad quality.
const NEW: (&str, &str) = ("100000000000001", "5511913000001");
const BAD: (&str, &str) = ("100000000000002", "5511913000002");

fn path(of: &str) -> PathBuf {
    Path::new(ROOT).join(of)
}

fn read(of: &str) -> String {
    fs::read_to_string(path(of)).unwrap_or_else(|error| panic!("{of}: {error}"))
}

fn yaml(of: &str) -> Value {
    serde_saphyr::from_str(&read(of)).unwrap_or_else(|error| panic!("{of}: {error}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

/// Every alert: name and rule.
fn alerts() -> BTreeMap<String, Value> {
    let rules = yaml(RULES);
    let groups = list(&rules["groups"]).iter().flat_map(|group| list(&group["rules"]));
    groups.map(|rule| (text(&rule["alert"]).to_owned(), rule.clone())).collect()
}

fn dashboard(name: &str) -> Value {
    let file = format!("charts/whatsapp-operator/files/dashboards/{name}.json");
    serde_json::from_str(&read(&file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Every query of the dashboards, with where it stands.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for name in DASHBOARDS {
        for panel in list(&dashboard(name)["panels"]) {
            for target in list(&panel["targets"]) {
                let place = format!("{name}, {}", text(&panel["title"]));
                queries.push((place, text(&target["expr"]).to_owned()));
            }
        }
    }
    queries
}

/// The queries of the runbooks.
fn looks() -> Vec<(String, String)> {
    let of = |name: &String| {
        let page = read(&format!("docs/runbooks/{name}.md"));
        let blocks: Vec<String> = page
            .split("```text\n")
            .skip(1)
            .map(|rest| rest.split("\n```").next().unwrap_or_default().to_owned())
            .collect();
        blocks.into_iter().map(|query| (name.clone(), query)).collect::<Vec<_>>()
    };
    alerts().keys().flat_map(of).collect()
}

/// The metrics that a query names, without what a histogram has behind its name.
fn named(query: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = query.split(|c| !is_word(c)).filter(|word| word.starts_with(table::PREFIX));
    let histograms: Vec<String> =
        table::ALL.iter().filter(|row| row.kind == Kind::Histogram).map(table::Row::full_name).collect();
    let base = |word: &str| {
        let ends = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
        ends.filter(|base| histograms.iter().any(|name| name == base)).unwrap_or(word).to_owned()
    };
    words.map(base).collect()
}

/// What the panels show is from some day. Where they are and what they are called is as today.
#[test]
fn the_pictures_in_the_pages_have_the_panels_of_the_dashboards() {
    for name in DASHBOARDS {
        let (file, dashboard) = (format!("docs/dashboard-{name}.svg"), dashboard(name));
        let svg = read(&file);
        let mut rest =
            svg.strip_prefix(&picture::head(&dashboard)).unwrap_or_else(|| panic!("{file}: another size"));
        let panels = picture::panels(&dashboard);
        for panel in panels {
            let title = text(&panel["title"]);
            let after = rest.split_once(&picture::frame(panel));
            rest = after.unwrap_or_else(|| panic!("{file} has no panel {title:?} there; draw it anew")).1;
        }
        assert_eq!(svg.matches("<g transform=").count(), panels.len(), "{file}");
    }
}

#[test]
fn every_alert_has_its_page_and_its_tests_and_nothing_else_has() {
    let alerts = alerts();
    let names: BTreeSet<String> = alerts.keys().cloned().collect();
    let pages = fs::read_dir(path("docs/runbooks")).expect("runbooks").map(|page| {
        let name = page.expect("a file").file_name().into_string().expect("a name");
        name.strip_suffix(".md").unwrap_or_else(|| panic!("{name} is no page")).to_owned()
    });
    assert_eq!(pages.collect::<BTreeSet<_>>(), names, "pages of alerts");
    let index = read("docs/monitoring.md");
    let mut fires: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    for test in list(&yaml(TESTS)["tests"]) {
        for one in list(&test["alert_rule_test"]) {
            let fired = !list(&one["exp_alerts"]).is_empty();
            fires.entry(text(&one["alertname"]).to_owned()).or_default().insert(fired);
        }
    }
    assert_eq!(fires.keys().cloned().collect::<BTreeSet<_>>(), names, "tests of alerts");
    for (name, rule) in &alerts {
        assert_eq!(fires[name].len(), 2, "{name} is seen to fire and not to");
        assert_eq!(text(&rule["annotations"]["runbook"]), format!("docs/runbooks/{name}.md"));
        assert!(index.contains(&format!("[{name}](runbooks/{name}.md)")), "docs/monitoring.md lists {name}");
        let page = read(&format!("docs/runbooks/{name}.md"));
        assert!(page.starts_with(&format!("# {name}: ")), "{name}: the title");
        for part in ["What it means", "Impact", "What to look at", "What to do", "Who"] {
            assert!(page.contains(&format!("\n## {part}\n")), "{name} says {part}");
        }
    }
}

#[test]
fn whatever_a_rule_a_page_or_a_dashboard_asks_for_is_a_metric_and_every_metric_is_asked_for() {
    let served: BTreeSet<String> = table::ALL.iter().map(table::Row::full_name).collect();
    let rules = alerts().into_iter().map(|(name, rule)| (name, text(&rule["expr"]).to_owned()));
    let mut asked = BTreeSet::new();
    for (place, query) in rules.chain(queries()).chain(looks()) {
        let names = named(&query);
        assert!(!names.is_empty(), "{place} asks for none of ours: {query}");
        for name in &names {
            assert!(served.contains(name), "{place} asks for {name}, which nobody serves");
        }
        asked.extend(names);
    }
    let idle: Vec<_> = served.difference(&asked).collect();
    assert!(idle.is_empty(), "no alert, page or dashboard uses {idle:?}");
}

#[test]
fn alerts_fire_on_what_they_are_for_and_on_nothing_else() {
    promtool(&["check", "rules", &path(RULES).display().to_string()], "");
    promtool(&["test", "rules", &path(TESTS).display().to_string()], "");
}

#[test]
fn grafana_knows_every_member_of_the_dashboards_and_misses_none() {
    let read = |file: &Path| {
        let program = tool("grafana").expect("what reads dashboards by Grafana's schema");
        let output = Command::new(program).arg(file).output().expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for name in DASHBOARDS {
        let (is_right, said) = read(&path(&format!("charts/whatsapp-operator/files/dashboards/{name}.json")));
        assert!(is_right, "{said}");
    }
    let mut wrong = dashboard("fleet");
    wrong["panels"][0]["gridPos"]["width"] = json!(4);
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), wrong.to_string()).expect("it is written");
    let (is_right, said) = read(file.path());
    assert!(!is_right && said.contains("panels[0].gridPos"), "{said}");
}

#[tokio::test]
async fn the_chart_installs_what_is_tested_here_when_it_is_asked_to() {
    let plane = ControlPlane::shared().await;
    let render = async |values: Value| -> Vec<Value> {
        let text = plane.helm_template("whatsapp-system", &values).await;
        let documents = text.split("\n---").filter(|one| one.contains("kind:"));
        let parse = |one: &str| serde_saphyr::from_str(one.trim_start_matches("---")).expect("YAML");
        documents.map(parse).collect()
    };
    let of = |objects: &[Value], kind: &str| {
        objects.iter().filter(|object| object["kind"] == kind).cloned().collect::<Vec<_>>()
    };
    let plain = render(json!({})).await;
    assert!(of(&plain, "PrometheusRule").is_empty() && of(&plain, "ConfigMap").is_empty());
    let args = |objects: &[Value]| {
        of(objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["args"].to_string()
    };
    assert!(args(&plain).contains("--metrics-per-channel=true"), "{}", args(&plain));
    assert!(args(&plain).contains("--metrics-phone-numbers=false"), "{}", args(&plain));

    let whole = render(json!({
        "metrics": {"perChannel": false},
        "prometheusRule": {"enabled": true, "labels": {"team": "platform"}, "runbooks": "https://wiki.example.com/runbooks/"},
        "dashboards": {"enabled": true},
    }))
    .await;
    assert!(args(&whole).contains("--metrics-per-channel=false"));
    let [rule] = &of(&whole, "PrometheusRule")[..] else { panic!("one PrometheusRule") };
    assert_eq!(rule["metadata"]["labels"]["team"], "platform");
    let linked =
        read(RULES).replace("runbook: docs/runbooks/", "runbook_url: https://wiki.example.com/runbooks/");
    let linked: Value = serde_saphyr::from_str(&linked).expect("YAML");
    assert_eq!(rule["spec"]["groups"], linked["groups"]);
    // Whoever follows a link gets somewhere: where no page is served there is none.
    let unlinked = render(json!({"prometheusRule": {"enabled": true}})).await;
    let [rule] = &of(&unlinked, "PrometheusRule")[..] else { panic!("one PrometheusRule") };
    assert!(!rule.to_string().contains("runbook_url"), "{rule:#}");
    let [map] = &of(&whole, "ConfigMap")[..] else { panic!("one ConfigMap") };
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    for name in DASHBOARDS {
        let shown = text(&map["data"][format!("whatsapp-operator-{name}.json")]);
        assert_eq!(serde_json::from_str::<Value>(shown).expect("JSON"), dashboard(name));
    }
}

/// Waits until a query has an answer for which this holds.
async fn until(prometheus: &Prometheus, query: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let found = prometheus.query(query).await.unwrap_or_else(|error| panic!("{query}: {error}"));
        if holds(&found) {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{query} gave {found:?}\n{}", prometheus.log());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

fn value(found: &[Value]) -> f64 {
    let one = found.first().and_then(|one| one["value"][1].as_str());
    one.and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
}

/// A real Prometheus scrapes a real operator on a real API server: a channel waits for its phone, another one is rated RED,
/// and the token ends in days.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_scrape_passes_the_linter_and_answers_every_query() {
    let mut rig = Rig::new("shop").await;
    let ends = Timestamp::now() + Duration::from_secs(3 * 24 * 3_600);
    let token = format!("{}-ends", rig.token);
    let expiring = Token { expires_at: Some(ends), ..Token::system_user(APP, BUSINESS) };
    rig.sandbox.add_token(&token, expiring);
    rig.secret("acme-meta", json!({"token": token})).await;
    rig.portfolio("acme", json!({})).await;
    rig.sandbox.add_number(Number::new(NEW.0, ACCOUNT, NEW.1, "Acme Support"));
    rig.sandbox.add_number(Number::new(BAD.0, ACCOUNT, BAD.1, "Acme Support").registered("271828"));
    rig.flags = ["--list-freshness", "2s"].map(str::to_owned).to_vec();
    rig.start().await;
    let prometheus = Prometheus::scraping(rig.health(), &path(RULES)).await;

    rig.channel("bad", &format!("+{}", BAD.1), json!({"accountId": ACCOUNT})).await;
    rig.channel("new", &format!("+{}", NEW.1), json!({"accountId": ACCOUNT})).await;
    rig.until_condition("bad", "Ready", "True", None).await;
    rig.until_condition("new", "NumberVerified", "False", Some("CodeNeeded")).await;

    // Who is waited for.
    let waits = r#"whatsapp_operator_waiting_channels{actor="PhoneHolder",reason="CodeNeeded"}"#;
    until(&prometheus, waits, |found| (value(found) - 1.0).abs() < 0.1).await;
    let since = r#"time() - whatsapp_operator_channel_waiting_since_timestamp_seconds{channel="new",actor="PhoneHolder"}"#;
    until(&prometheus, since, |found| (0.0..600.0).contains(&value(found))).await;
    let left = r#"whatsapp_operator_channel_attempts_left{channel="new",step="RequestCode"}"#;
    let before = value(&until(&prometheus, left, |found| !found.is_empty()).await);
    assert_eq!(before.to_string(), Limits::default().codes_by_consent.to_string());
    let none = prometheus.query(r#"whatsapp_operator_channel_ready{channel="bad"}"#).await.expect("a query");
    assert!(none.is_empty(), "one that needs nobody has no series of its own: {none:?}");

    // Quality.
    assert!(rig.sandbox.set_field(BAD.0, "quality_rating", json!("RED")));
    let red = r#"sum(whatsapp_operator_channels_by_quality{quality="RED"})"#;
    until(&prometheus, red, |found| (value(found) - 1.0).abs() < 0.1).await;
    let info =
        r#"whatsapp_operator_channel_info{channel="bad",quality="RED",stage="Ready",portfolio="acme"}"#;
    until(&prometheus, info, |found| found.len() == 1).await;

    // The token, and calls.
    let end = "whatsapp_operator_portfolio_token_expiry_timestamp_seconds";
    let told = value(&until(&prometheus, end, |found| found.len() == 1).await);
    assert!((told - ends.as_duration().as_secs_f64()).abs() < 1.5, "{told}");
    rig.annotate("new", "send-code", "one").await;
    until(&prometheus, left, |found| (value(found) - (before - 1.0)).abs() < 0.1).await;
    rig.secret("new-code", json!({"code": "000000"})).await;
    let refused = r#"whatsapp_operator_graph_refusals_total{edge="verify_code"}"#;
    until(&prometheus, refused, |found| !found.is_empty()).await;
    let calls = r#"whatsapp_operator_graph_call_duration_seconds_count{edge="request_code"}"#;
    until(&prometheus, calls, |found| value(found) >= 1.0).await;

    // Its own linter has nothing to say about what is served in its text format.
    let classic = rig.metrics().await;
    let (head, body) = classic.split_once("\r\n\r\n").expect("a reply");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    promtool(&["check", "metrics"], body);
    for number in [NEW.1, BAD.1] {
        assert!(!body.contains(number), "a number stands in a label:\n{body}");
    }
    let types = prometheus.query("count(whatsapp_operator_leader)").await.expect("a query");
    assert_eq!(types.len(), 1);

    // Every query of a dashboard has data, and every one of a page parses.
    let fill = |query: &str| {
        let query = query.replace("$namespace", &rig.namespace).replace("$channel", "new");
        query.replace("$__rate_interval", "1m").replace("$__range", "5m")
    };
    for (_, query) in queries() {
        until(&prometheus, &fill(&query), |found| !found.is_empty()).await;
    }
    for (place, query) in looks() {
        prometheus.query(&query).await.unwrap_or_else(|error| panic!("{place}: {query}: {error}"));
    }
    // The pictures in docs/monitoring.md are of such a fleet; DRAW_DASHBOARDS=1 draws them anew.
    if std::env::var_os("DRAW_DASHBOARDS").is_some() {
        let half = Duration::from_secs(u64::from(picture::BACK / 2));
        tokio::time::sleep(half).await;
        rig.channel("soon", "+5511913000003", json!({"accountId": ACCOUNT})).await;
        rig.onboard("soon", "+5511913000003").await;
        tokio::time::sleep(half).await;
        for name in DASHBOARDS {
            let drawn = picture::draw(&dashboard(name), &prometheus, fill).await;
            let drawn = drawn.replace(&rig.namespace, "shop");
            fs::write(path(&format!("docs/dashboard-{name}.svg")), drawn).expect("a file");
        }
    }
    // Channels go on with the token before it, and the portfolio waits all the same.
    rig.secret("acme-meta", json!({"token": "EAAmistyped"})).await;
    let now = json!({"metadata": {"annotations": {"whatsapp-operator.dev/reconcile": "rotated"}}});
    rig.merge("wap", "acme", &now).await;
    let rejected = r#"whatsapp_operator_portfolio_waiting_since_timestamp_seconds{portfolio="acme",reason="NewTokenRejected"}"#;
    until(&prometheus, rejected, |found| found.len() == 1).await;
    let usable = prometheus.query("whatsapp_operator_portfolio_usable").await.expect("a query");
    assert_eq!(value(&usable).to_string(), "1");
    // It evaluates the alerts, and is about to raise those that this fleet needs.
    let begun = Instant::now();
    loop {
        let pending = prometheus.alerts().await;
        if ["WhatsAppQualityRed", "WhatsAppTokenEnds", "WhatsAppNewTokenRejected"]
            .iter()
            .all(|alert| pending.contains(*alert))
        {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{pending:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    // One for the channel, and none for the sum.
    let red = prometheus.query(r#"ALERTS{alertname="WhatsAppQualityRed"}"#).await.expect("a query");
    let [red] = &red[..] else { panic!("{red:?}") };
    assert_eq!(
        (&red["metric"]["namespace"], &red["metric"]["channel"]),
        (&json!(rig.namespace), &json!("bad"))
    );
}

/// Off by a flag, and numbers only by another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_say_what_is_told_of_single_channels() {
    let mut rig = Rig::with_portfolio("per-channel").await;
    rig.sandbox.add_number(Number::new(NEW.0, ACCOUNT, NEW.1, "Acme Support"));
    rig.flags = vec!["--metrics-per-channel=false".to_owned()];
    rig.start().await;
    rig.channel("new", &format!("+{}", NEW.1), json!({"accountId": ACCOUNT})).await;
    rig.until_condition("new", "NumberVerified", "False", Some("CodeNeeded")).await;
    let off = until_waiting(&rig).await;
    assert!(!off.contains("whatsapp_operator_channel_info{"), "{off}");
    assert!(off.contains("whatsapp_operator_channels_left_out 1"), "{off}");
    rig.operator().kill_nine();

    rig.flags = vec!["--metrics-phone-numbers".to_owned()];
    rig.start().await;
    let numbers = until_waiting(&rig).await;
    assert!(numbers.contains(&format!("phone_number=\"{}\"", NEW.1)), "{numbers}");
}

/// The metrics, once they tell of a channel that waits.
async fn until_waiting(rig: &Rig) -> String {
    let begun = Instant::now();
    loop {
        let text = rig.metrics().await;
        if text.contains("whatsapp_operator_waiting_channels{") {
            return text;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
