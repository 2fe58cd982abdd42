//! Every metric once: its name, type, labels and meaning. Registration, reference and tests come from here.

use std::fmt::Write as _;

/// What begins every name.
pub const PREFIX: &str = "whatsapp_operator";

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// As it stands behind `# TYPE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Without prefix, and without the `_total` of a counter.
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    /// How many series there are at most.
    pub series: &'static str,
    /// A sentence without its full stop.
    pub help: &'static str,
}

impl Row {
    /// What stands behind `# HELP`.
    pub fn sentence(&self) -> String {
        format!("{}.", self.help)
    }

    /// The name that a query has to use; a histogram has `_bucket`, `_sum` and `_count` behind it.
    pub fn full_name(&self) -> String {
        let end = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{PREFIX}_{}{end}", self.name)
    }
}

macro_rules! metrics {
    ($($id:ident: $name:literal, $kind:ident, [$($label:literal),*], $series:literal, $help:literal;)+) => {
        $(pub const $id: Row = Row {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            series: $series,
            help: $help,
        };)+

        /// Every metric, in the order of the reference.
        pub const ALL: &[Row] = &[$($id),+];
    };
}

metrics! {
    // The process.
    LEADER: "leader", Gauge, [], "1",
        "1 in the replica that works, 0 in those that stand by";
    PASSES: "passes", Counter, ["kind", "result"], "4",
        "Passes over an object";
    RECONCILE_DURATION: "reconcile_duration_seconds", Histogram, ["kind"], "3",
        "How long a reconcile took, with what it waited for at Meta and in the cluster";
    STATUS_WRITES: "status_writes", Counter, ["kind", "result"], "2",
        "Writes of status to Kubernetes";
    STEPS: "steps", Counter, ["step", "result"], "one for each step and result",
        "Steps carried out";
    QUEUE_DELAY: "queue_delay_seconds", Histogram, ["kind", "class"], "12",
        "How long an object stood in line before it was worked on, by the class of the work";
    QUEUE_DEPTH: "queue_depth", Gauge, ["kind", "class"], "12",
        "Objects that stand in line, by the class of the work";
    OLDEST_LOOK: "oldest_look_seconds", Gauge, [], "1",
        "Age of the oldest successful look among the channels of this process; without what an interval adds to the time between looks, and without channels that a person has to correct first";
    WATCH_AGE: "watch_age_seconds", Gauge, ["kind", "namespace"], "2 for each namespace that is watched by itself",
        "Time since the API server last gave a sign of life on a watch: a whole list, an event or a bookmark";
    WATCH_REFUSED: "watch_refused", Gauge, ["kind", "namespace"], "2 for each namespace that is watched by itself",
        "1 where a namespace may not be read and counts as empty, 0 where it is read";
    LOG_LINES_LOST: "log_lines_lost", Counter, [], "1",
        "Lines of the log that were lost: nobody took them in time, or they could not be written";
    EVENTS_LOST: "events_lost", Counter, [], "1",
        "Events on objects that were not published: too many waited, or the API server did not take them";
    // Calls to Meta.
    GRAPH_CALLS: "graph_calls", Counter, ["edge", "outcome"], "5 for each edge",
        "Calls to the Graph API";
    GRAPH_REFUSALS: "graph_refusals", Counter, ["edge", "code"], "256, then the code is called other",
        "Calls that Meta refused, by its error code";
    GRAPH_CALL_DURATION: "graph_call_duration_seconds", Histogram, ["edge"], "one for each edge",
        "How long calls to the Graph API took that were sent";
    // All channels together.
    CHANNELS: "channels", Gauge, ["stage"], "10",
        "Channels by stage";
    CHANNELS_BY_QUALITY: "channels_by_quality", Gauge, ["quality"], "5",
        "Channels by the quality that Meta shows; one without a rating is not in it, and other is a new word of Meta's";
    WAITING_CHANNELS: "waiting_channels", Gauge, ["actor", "action", "reason"], "one for each act that is waited for",
        "Channels that wait for somebody, by who has to do what, and why";
    WAITING_OLDEST: "waiting_oldest_seconds", Gauge, ["actor", "action", "reason"], "one for each act that is waited for",
        "How long the channel that waits longest has waited, by who has to do what, and why";
    TIME_TO_READY: "time_to_ready_seconds", Histogram, [], "1",
        "How long channels that became Ready had not been, since this last changed";
    CHANNELS_LEFT_OUT: "channels_left_out", Gauge, [], "1",
        "Channels that need a person and have no series of their own, since there are too many or the flag is off";
    // Single channels that need a person.
    CHANNEL_INFO: "channel_info", Gauge, ["namespace", "channel", "portfolio_namespace", "portfolio", "stage", "quality", "reason"],
        "1 for each channel that needs a person, for at most 500",
        "1 for a channel that needs a person, with what its status says; with --metrics-phone-numbers also its number";
    CHANNEL_READY: "channel_ready", Gauge, ["namespace", "channel"],
        "1 for each channel that needs a person, for at most 500",
        "1 for a channel that needs a person and is Ready nevertheless, 0 for one that is not";
    CHANNEL_WAITING_SINCE: "channel_waiting_since_timestamp_seconds", Gauge,
        ["namespace", "channel", "actor", "action"],
        "one for each wait of a channel that needs a person, for at most 500",
        "Since when a channel waits for somebody to do something";
    CHANNEL_ATTEMPTS_LEFT: "channel_attempts_left", Gauge, ["namespace", "channel", "step"],
        "2 for each channel that needs a person, for at most 500",
        "How often a step may be tried now with consent, before the window of its limit lets more through";
    CHANNEL_DRIFTED_FIELDS: "channel_drifted_fields", Gauge, ["namespace", "channel"],
        "1 for each channel that needs a person, for at most 500",
        "Fields of a channel that are not at Meta as its spec says; 0 where the spec has them only told";
    // Portfolios.
    PORTFOLIOS_LEFT_OUT: "portfolios_left_out", Gauge, [], "1",
        "Portfolios that have no series of their own, since there are too many";
    PORTFOLIO_INFO: "portfolio_info", Gauge,
        ["namespace", "portfolio", "messaging_limit", "verification", "reason"], "1 for each portfolio, for at most 500",
        "1 for a portfolio, with what Meta shows of it, and why its channels may not act where they may not";
    PORTFOLIO_USABLE: "portfolio_usable", Gauge, ["namespace", "portfolio"], "1 for each portfolio, for at most 500",
        "1 where the channels of a portfolio may act, 0 where something holds all of them up";
    PORTFOLIO_TOKEN_EXPIRY: "portfolio_token_expiry_timestamp_seconds", Gauge, ["namespace", "portfolio"],
        "1 for each portfolio, for at most 500",
        "When the token of a portfolio ends; a token that does not end has no such series";
    PORTFOLIO_DATA_ACCESS_EXPIRY: "portfolio_data_access_expiry_timestamp_seconds", Gauge, ["namespace", "portfolio"],
        "1 for each portfolio, for at most 500",
        "When the data access of a portfolio's token ends, where Meta gives it an end";
    PORTFOLIO_WAITING_SINCE: "portfolio_waiting_since_timestamp_seconds", Gauge,
        ["namespace", "portfolio", "actor", "action", "reason"], "one for each wait of a portfolio, which are three at most, for at most 500",
        "Since when a portfolio waits for somebody to do something, also where its channels may act; and why";
    PORTFOLIO_BUDGET_USED: "portfolio_budget_used_calls", Gauge, ["namespace", "portfolio", "lane"],
        "3 for each portfolio, for at most 500",
        "Calls of the last hour that count against an allowance, in whichever account of the app has the fewest left";
    PORTFOLIO_BUDGET_LEFT: "portfolio_budget_left_calls", Gauge, ["namespace", "portfolio", "lane"],
        "3 for each portfolio, for at most 500",
        "Calls that an allowance still takes in this hour, in whichever account of the app has the fewest left";
    PORTFOLIO_USAGE: "portfolio_usage_ratio", Gauge, ["namespace", "portfolio", "of"], "2 for each portfolio, for at most 500",
        "Share of Meta's own limit that is used, as Meta told it: of the app, and of whichever of its accounts has used most; not once \
         that is an hour ago, and above 1 where Meta says so";
    PORTFOLIO_USAGE_TOLD: "portfolio_usage_told_timestamp_seconds", Gauge, ["namespace", "portfolio", "of"],
        "2 for each portfolio, for at most 500",
        "When Meta told the share that is used";
    PORTFOLIO_PAUSED: "portfolio_paused_seconds", Gauge, ["namespace", "portfolio", "of", "calls"], "4 for each portfolio, for at most 500",
        "How long calls still wait because of what Meta told, of the app or of whichever of its accounts waits longest; reads alone, or all";
    HELD_BACK: "held_back_seconds", Gauge, ["namespace", "portfolio"], "1 for each portfolio, for at most 500",
        "How long Meta still wants no calls of the app of a portfolio's token; an account that is held back alone is in portfolio_paused_seconds";
}

/// `docs/metrics.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         Generated from `src/telemetry/table.rs` by `make gen`. What to do with them stands in [monitoring](monitoring.md).\n\n\
         Times are in seconds, and a name that ends in `_timestamp_seconds` is a date since 1970. A histogram is read by its \
         `_bucket`, `_sum` and `_count`. Standing by, a replica shows itself and its watches: what is worked on and what Meta shows is \
         in the metrics of the replica that works.\n\n\
         | Metric | Type | Labels | Series at most | Meaning |\n|---|---|---|---|---|\n",
    );
    for row in ALL {
        let labels: Vec<String> = row.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind) = (row.full_name(), row.kind.as_str());
        // Writing into a String does not fail.
        let _ =
            writeln!(text, "| `{name}` | {kind} | {} | {} | {} |", labels.join(", "), row.series, row.help);
    }
    text
}
