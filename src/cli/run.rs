//! `run`: the flags of the operator. What it does with them is the controller's matter.

use std::{borrow::Cow, net::SocketAddr, time::Duration};

use clap::{ArgAction, Args, ValueEnum};
use kube::core::Selector;
use ring::digest::{SHA256, digest};

use crate::cluster::selector::selector;
use crate::engine::limits::Limits;
use crate::meta::settings::{DEFAULT_URL, DEFAULT_VERSION, MayWrite, Settings};
use crate::telemetry::{fleet::Detail, log::Filter};

/// A year. Times from now are added to a date, which has an end.
const LONGEST: Duration = Duration::from_secs(8_760 * 3_600);

/// Meta's answers are counted by the second, and so are looks.
const SHORTEST: Duration = Duration::from_secs(1);

/// Runs the operator until it is asked to stop.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options, each also an environment variable")]
pub struct RunArgs {
    /// A namespace to watch; may be given again. None: every namespace.
    #[arg(
        long = "namespace",
        env = "WHATSAPP_OPERATOR_NAMESPACE",
        value_delimiter = ',',
        value_parser = namespace,
        value_name = "NAMESPACE"
    )]
    pub namespaces: Vec<String>,
    /// Only objects with these labels are watched, such as `sharding.whatsapp-operator.dev/key=shard1`. A portfolio and its
    /// channels carry the same.
    #[arg(
        long,
        env = "WHATSAPP_OPERATOR_WATCH_LABEL_SELECTOR",
        value_parser = selector,
        value_name = "SELECTOR"
    )]
    pub watch_label_selector: Option<Selector>,
    /// Base address of the Graph API; a sandbox for staging.
    #[arg(long, env = "WHATSAPP_OPERATOR_GRAPH_URL", default_value = DEFAULT_URL, value_name = "URL")]
    pub graph_url: url::Url,
    /// Version of the Graph API.
    #[arg(long, env = "WHATSAPP_OPERATOR_GRAPH_VERSION", default_value = DEFAULT_VERSION, value_name = "VERSION")]
    pub graph_version: String,
    /// How old a shared list of numbers may be at rest.
    #[arg(long, env = "WHATSAPP_OPERATOR_LIST_FRESHNESS", default_value = "5m", value_parser = duration, value_name = "TIME")]
    pub list_freshness: Duration,
    /// Without a successful look for this long, Ready becomes Unknown.
    #[arg(long, env = "WHATSAPP_OPERATOR_UNSEEN_AFTER", default_value = "6h", value_parser = duration, value_name = "TIME")]
    pub unseen_after: Duration,
    /// The longest time between two looks at a number that needs nothing, whatever `interval` its channel asks for.
    #[arg(long, env = "WHATSAPP_OPERATOR_LONGEST_INTERVAL", default_value = "24h", value_parser = duration, value_name = "TIME")]
    pub longest_interval: Duration,
    /// Channels worked on at the same time. One that waits for Meta or for a Secret does not count.
    #[arg(long, env = "WHATSAPP_OPERATOR_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=64), value_name = "NUMBER")]
    pub concurrency: u16,
    /// Whether this process works only while it holds a Lease, so that several may run.
    #[arg(
        long,
        env = "WHATSAPP_OPERATOR_LEADER_ELECTION",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub leader_election: bool,
    /// The namespace of the Lease; else the one in which the operator runs.
    #[arg(long, env = "WHATSAPP_OPERATOR_LEADER_ELECTION_NAMESPACE", value_parser = namespace, value_name = "NAMESPACE")]
    pub leader_election_namespace: Option<String>,
    /// The name of the Lease: one for all replicas that watch the same objects. Else `whatsapp-operator`, with an end of its
    /// own for each selector of labels.
    #[arg(long, env = "WHATSAPP_OPERATOR_LEADER_ELECTION_NAME", value_name = "NAME")]
    pub leader_election_name: Option<String>,
    /// How long a replica that vanished keeps the Lease. One that cannot renew it stops working after two thirds of it.
    #[arg(long, env = "WHATSAPP_OPERATOR_LEADER_ELECTION_LEASE_DURATION", default_value = "13s", value_parser = term, value_name = "TIME")]
    pub leader_election_lease_duration: Duration,
    /// Where health and metrics are served.
    #[arg(
        long,
        env = "WHATSAPP_OPERATOR_HEALTH_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    pub health_listen: SocketAddr,
    /// Whether each channel that needs a person has metrics of its own, for at most 500 of them.
    #[arg(
        long,
        env = "WHATSAPP_OPERATOR_METRICS_PER_CHANNEL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub metrics_per_channel: bool,
    /// Whether those metrics carry the phone number of the channel.
    #[arg(
        long,
        env = "WHATSAPP_OPERATOR_METRICS_PHONE_NUMBERS",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub metrics_phone_numbers: bool,
    /// Logs for people or for machines.
    #[arg(long, env = "WHATSAPP_OPERATOR_LOG_FORMAT", value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// What to log: `info`, or `whatsapp_operator=debug,info`. While it runs, SIGUSR1 adds `whatsapp_operator=debug`, and SIGUSR2
    /// takes it back.
    #[arg(long, env = "WHATSAPP_OPERATOR_LOG_LEVEL", default_value = "info", value_name = "FILTER")]
    pub log_level: Filter,
    /// Shows phone numbers in logs whole, and not only their last four digits.
    #[arg(
        long,
        env = "WHATSAPP_OPERATOR_LOG_PHONE_NUMBERS",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub log_phone_numbers: bool,
    /// The collector that traces are sent to, by OTLP over HTTP: `http://collector:4318`. None: nothing is traced.
    #[arg(long, env = "WHATSAPP_OPERATOR_TRACES_ENDPOINT", value_parser = collector, value_name = "URL")]
    pub traces_endpoint: Option<url::Url>,
}

impl RunArgs {
    /// The policy's numbers, with those that flags may change.
    pub fn limits(&self) -> Limits {
        Limits {
            fresh_list: self.list_freshness,
            unseen: self.unseen_after,
            longest_interval: self.longest_interval,
            ..Limits::default()
        }
    }

    /// The name of the Lease. Operators that watch other labels work at the same time, so they do not share one.
    pub fn lease_name(&self) -> Cow<'_, str> {
        const DEFAULT: &str = "whatsapp-operator";
        match (&self.leader_election_name, &self.watch_label_selector) {
            (Some(name), _) => name.into(),
            (None, None) => DEFAULT.into(),
            (None, Some(selector)) => {
                let sum = digest(&SHA256, selector.to_string().as_bytes());
                let sum: String = sum.as_ref().iter().take(5).map(|byte| format!("{byte:02x}")).collect();
                format!("{DEFAULT}-{sum}").into()
            }
        }
    }

    /// How much metrics tell of single channels.
    pub fn metrics_detail(&self) -> Detail {
        Detail { channels: self.metrics_per_channel, phone_numbers: self.metrics_phone_numbers }
    }

    /// How to reach Meta, and whether to write to it.
    pub fn settings(&self, may_write: MayWrite) -> Settings {
        Settings {
            base_url: self.graph_url.clone(),
            version: self.graph_version.clone(),
            limits: self.limits(),
            may_write,
        }
    }
}

/// The form of logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One readable line each.
    #[default]
    Text,
    /// One JSON object each.
    Json,
}

/// The address of a collector.
///
/// # Errors
///
/// When it is no address of HTTP.
pub fn collector(text: &str) -> Result<url::Url, String> {
    let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| format!("{text} is no address of a collector: write it like http://collector:4318"))
}

/// The name of a namespace. An empty one, as from a variable that was meant to hold something, would not mean any
/// namespace, and must not mean every one.
///
/// # Errors
///
/// When no namespace can have that name.
pub fn namespace(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let has_dash = text.starts_with('-') || text.ends_with('-');
    if text.is_empty() {
        return Err("a namespace has a name; leave it out to watch every namespace".into());
    }
    if text.len() > 63 || has_dash || !text.bytes().all(is_allowed) {
        return Err(format!("{text} is no name of a namespace: lower-case letters, digits and hyphens"));
    }
    Ok(text.to_owned())
}

/// A duration as people write it: `45s`, `5m`, `1h30m`.
///
/// # Errors
///
/// When the text is no duration, or one of less than a second, or of more than a year.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration =
        text.parse().map_err(|_| format!("{text} is not a duration: write it like 45s, 5m or 1h30m"))?;
    match Duration::try_from(parsed) {
        Ok(duration) if duration > LONGEST => Err(format!("{text} is longer than a year, 8760h")),
        Ok(duration) if duration >= SHORTEST => Ok(duration),
        _ => Err(format!("{text} is shorter than a second, 1s")),
    }
}

/// A duration of a Lease: Kubernetes keeps whole seconds, and some must be left for renewals.
///
/// # Errors
///
/// When the text is no such duration.
pub fn term(text: &str) -> Result<Duration, String> {
    let term = duration(text)?;
    match term.subsec_nanos() == 0 && (3..=3600).contains(&term.as_secs()) {
        true => Ok(term),
        false => Err(format!("{text} is not from 3s to 1h in whole seconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_without_a_name_is_not_every_namespace() {
        assert_eq!(namespace("shop-br"), Ok("shop-br".into()));
        assert!(namespace("").is_err_and(|error| error.contains("every namespace")));
        for wrong in ["Shop", "-shop", "shop-", "shop br", "shop.br"] {
            assert!(namespace(wrong).is_err_and(|error| error.contains(wrong)), "{wrong}");
        }
    }

    #[test]
    fn a_collector_is_reached_by_http() {
        for right in ["http://collector:4318", "https://otlp.example.org/v1/traces"] {
            assert!(collector(right).is_ok(), "{right}");
        }
        for wrong in ["collector:4317", "grpc://collector:4317", ""] {
            assert!(collector(wrong).is_err_and(|error| error.contains("http://collector:4318")), "{wrong}");
        }
    }

    #[test]
    fn operators_that_watch_other_labels_do_not_share_a_lease() {
        #[derive(clap::Parser)]
        struct Run {
            #[command(flatten)]
            args: RunArgs,
        }
        let named = |flags: &[&str]| {
            let run: Run = clap::Parser::parse_from([&["run"], flags].concat());
            run.args.lease_name().into_owned()
        };
        let of = |selector| named(&["--watch-label-selector", selector]);
        assert_eq!(named(&[]), "whatsapp-operator");
        assert_eq!(of("shard=a,team"), of("team, shard == a"), "it is the same selection");
        assert_ne!(of("shard=a"), of("shard=b"));
        assert_eq!(named(&["--watch-label-selector=shard=a", "--leader-election-name=mine"]), "mine");
    }

    #[test]
    fn flags_set_the_limits_that_an_operator_may_change() {
        #[derive(clap::Parser)]
        struct Run {
            #[command(flatten)]
            args: RunArgs,
        }
        let limits = |flags: &[&str]| {
            let run: Run = clap::Parser::parse_from([&["run"], flags].concat());
            run.args.limits()
        };
        assert_eq!(limits(&[]), Limits::default());
        let set = limits(&["--list-freshness=1m", "--unseen-after=2h", "--longest-interval=3h"]);
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        assert_eq!(
            (set.fresh_list, set.unseen, set.longest_interval),
            (Duration::from_secs(60), hours(2), hours(3))
        );
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert!(duration("5").is_err_and(|error| error.contains("45s, 5m or 1h30m")));
        for short in ["-5m", "0s", "1ns", "999ms"] {
            assert!(duration(short).is_err_and(|error| error.contains("shorter than a second")), "{short}");
        }
        assert_eq!(duration("1s"), Ok(SHORTEST));
        assert_eq!(duration("8760h"), Ok(LONGEST));
        for long in ["8760h1s", "2000000000000000h"] {
            assert!(duration(long).is_err_and(|error| error.contains("longer than a year")), "{long}");
        }
    }

    #[test]
    fn a_lease_lasts_for_whole_seconds_of_which_some_are_left_for_renewals() {
        assert_eq!(term("15s"), Ok(Duration::from_secs(15)));
        for wrong in ["2s", "2h", "3500ms", "soon"] {
            assert!(term(wrong).is_err_and(|error| error.contains(wrong)), "{wrong}");
        }
    }
}
