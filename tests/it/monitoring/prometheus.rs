//! A real Prometheus, and the tool that comes with it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::control_plane::{ControlPlane, Process, provide};
use crate::rig::{free_address, http_get};

/// The folder with both.
static TOOLS: LazyLock<PathBuf> =
    LazyLock::new(|| provide(&["promtool", "prometheus"]).expect("promtool and prometheus"));

/// Runs promtool, which must have nothing to say against it.
pub fn promtool(args: &[&str], input: &str) {
    let mut tool = Command::new(TOOLS.join("promtool"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    tool.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
    let out = tool.wait_with_output().expect("it ends");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(out.status.success(), "promtool {args:?}:\n{}{}", said(&out.stdout), said(&out.stderr));
}

/// One that scrapes a single target. It ends with the value.
pub struct Prometheus {
    at: SocketAddr,
    process: Process,
}

impl Prometheus {
    /// Scrapes `target` each second, and evaluates these rules as often.
    pub async fn scraping(target: SocketAddr, rules: &Path) -> Self {
        let plane = ControlPlane::shared().await;
        let at = free_address();
        let dir = plane.dir().join(format!("prometheus-{}", at.port()));
        fs::create_dir_all(&dir).expect("a folder");
        let config = serde_json::json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules],
            "scrape_configs": [{
                "job_name": "whatsapp-operator", "honor_labels": true,
                "static_configs": [{"targets": [target.to_string()]}],
            }],
        });
        // JSON is YAML.
        fs::write(dir.join("prometheus.yml"), config.to_string()).expect("a file");
        let mut command = Command::new(TOOLS.join("prometheus"));
        command
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address={at}"))
            .arg("--log.level=warn");
        let process = Process::spawn(command, dir.join("log")).expect("prometheus starts");
        let begun = Instant::now();
        while !http_get(at, "/-/ready").await.is_some_and(|reply| reply.starts_with("HTTP/1.1 200")) {
            assert!(begun.elapsed() < Duration::from_secs(60), "not ready:\n{}", process.output());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Self { at, process }
    }

    /// What it says of itself.
    pub fn log(&self) -> String {
        self.process.output()
    }

    async fn get(&self, path: &str) -> Value {
        let reply = http_get(self.at, path).await.expect("prometheus answers");
        let body = reply.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        // A body in chunks has their lengths around it.
        let json = body.find('{').zip(body.rfind('}')).map_or("", |(from, to)| &body[from..=to]);
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {reply}"))
    }

    /// The series that a query finds now.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let answer = self.get(&format!("/api/v1/query?query={encoded}")).await;
        match answer["data"]["result"].as_array() {
            Some(found) if answer["status"] == "success" => Ok(found.clone()),
            _ => Err(answer.to_string()),
        }
    }

    /// What a query found in the last seconds.
    pub async fn range(&self, query: &str, seconds: u32) -> Result<Vec<Value>, String> {
        let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let end = jiff::Timestamp::now().as_second();
        let times = format!("start={}&end={end}&step={}", end - i64::from(seconds), seconds.div_ceil(40));
        let answer = self.get(&format!("/api/v1/query_range?query={encoded}&{times}")).await;
        answer["data"]["result"].as_array().cloned().ok_or_else(|| answer.to_string())
    }

    /// Names of the alerts that are raised, or will be if it stays so.
    pub async fn alerts(&self) -> BTreeSet<String> {
        let answer = self.get("/api/v1/alerts").await;
        let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
        alerts.iter().filter_map(|alert| Some(alert["labels"]["alertname"].as_str()?.to_owned())).collect()
    }
}
