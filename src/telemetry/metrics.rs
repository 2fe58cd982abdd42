//! A few metrics, all bounded: no label ever holds the name of a channel or a number.

use std::{
    fmt,
    sync::atomic::{AtomicI64, AtomicU64},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text::encode},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::Registry,
};

/// How many calls to Meta ended how, since the start of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// A path pattern without ids.
    pub edge: &'static str,
    pub outcome: &'static str,
    pub count: u64,
}

/// Reads the counters of the client at each scrape.
struct CallCounter<F>(F);

impl<F> fmt::Debug for CallCounter<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallCounter")
    }
}

impl<F: Fn() -> Vec<Calls> + Send + Sync + 'static> Collector for CallCounter<F> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let kind = prometheus_client::metrics::MetricType::Counter;
        let mut family = encoder.encode_descriptor("graph_calls", "Calls to the Graph API", None, kind)?;
        for calls in (self.0)() {
            let labels = [("edge", calls.edge), ("outcome", calls.outcome)];
            ConstCounter::new(calls.count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// Labels of a pass or a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Work {
    pub kind: &'static str,
    pub result: &'static str,
}

/// One word about a step.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Done {
    pub step: &'static str,
    pub result: &'static str,
}

/// Which line of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct InLine {
    pub kind: &'static str,
    pub class: &'static str,
}

/// Which watch: a kind in a namespace, or in all where that is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Watched {
    pub kind: &'static str,
    pub namespace: String,
}

/// Where channels stand.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Standing {
    pub stage: String,
}

/// Which portfolio.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Of {
    pub namespace: String,
    pub portfolio: String,
}

/// The metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    passes: Family<Work, Counter>,
    writes: Family<Work, Counter>,
    steps: Family<Done, Counter>,
    delays: Family<InLine, Histogram, fn() -> Histogram>,
    depths: Family<InLine, Gauge>,
    channels: Family<Standing, Gauge>,
    watch_ages: Family<Watched, Gauge<f64, AtomicU64>>,
    watches_refused: Family<Watched, Gauge>,
    oldest_look: Gauge<f64, AtomicU64>,
    held_back: Family<Of, Gauge<i64, AtomicI64>>,
    leader: Gauge,
}

fn delays() -> Histogram {
    Histogram::new([0.01, 0.1, 0.5, 1.0, 3.0, 10.0, 30.0, 120.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("whatsapp_operator");
        let passes = Family::default();
        let writes = Family::default();
        let steps = Family::default();
        let delays = Family::new_with_constructor(delays as fn() -> Histogram);
        let depths = Family::default();
        let channels = Family::default();
        let watch_ages = Family::default();
        let watches_refused = Family::default();
        let oldest_look = Gauge::default();
        let held_back = Family::default();
        let leader = Gauge::default();
        registry.register("passes", "Passes over an object", passes.clone());
        registry.register("status_writes", "Writes of status to Kubernetes", writes.clone());
        registry.register("steps", "Steps carried out", steps.clone());
        registry.register(
            "queue_delay_seconds",
            "How long an object stood in line before it was worked on, by the class of the work",
            delays.clone(),
        );
        registry.register(
            "queue_depth",
            "Objects that stand in line, by the class of the work",
            depths.clone(),
        );
        registry.register("channels", "Channels by stage", channels.clone());
        registry.register(
            "watch_age_seconds",
            "Time since the API server last gave a sign of life on a watch: an answer, an event or a bookmark",
            watch_ages.clone(),
        );
        registry.register(
            "watch_refused",
            "1 where a namespace may not be read and counts as empty, 0 where it is read",
            watches_refused.clone(),
        );
        registry.register(
            "oldest_look_seconds",
            "Age of the oldest successful look among the channels of this process",
            oldest_look.clone(),
        );
        registry.register(
            "held_back_seconds",
            "How long Meta still wants no calls of the app of a portfolio's token; an account that is held back alone is not in it",
            held_back.clone(),
        );
        registry.register("leader", "1 in the replica that works, 0 in those that stand by", leader.clone());
        Self {
            registry,
            passes,
            writes,
            steps,
            delays,
            depths,
            channels,
            watch_ages,
            watches_refused,
            oldest_look,
            held_back,
            leader,
        }
    }
}

impl Metrics {
    /// With the calls to Meta, which the client counts.
    pub fn with_calls(calls: impl Fn() -> Vec<Calls> + Send + Sync + 'static) -> Self {
        let mut metrics = Self::default();
        metrics.registry.register_collector(Box::new(CallCounter(calls)));
        metrics
    }

    /// With the lines that the log lost, which whoever writes it counts.
    #[must_use]
    pub fn with_lost_lines(mut self, lost: Counter) -> Self {
        let help = "Lines of the log that were lost: nobody took them in time, or they could not be written";
        self.registry.register("log_lines_lost", help, lost);
        self
    }

    /// One pass over an object of this kind ended.
    pub fn pass(&self, kind: &'static str, result: &'static str) {
        self.passes.get_or_create(&Work { kind, result }).inc();
    }

    /// Status writes were made.
    pub fn status_writes(&self, kind: &'static str, count: u32) {
        self.writes.get_or_create(&Work { kind, result: "sent" }).inc_by(u64::from(count));
    }

    /// A step was carried out.
    pub fn step(&self, step: &'static str, result: &'static str) {
        self.steps.get_or_create(&Done { step, result }).inc();
    }

    /// An object of this kind stood in line for so long.
    pub fn delay(&self, kind: &'static str, class: &'static str, delay: Duration) {
        self.delays.get_or_create(&InLine { kind, class }).observe(delay.as_secs_f64());
    }

    /// How many objects of this kind stand in line.
    pub fn depth(&self, kind: &'static str, class: &'static str, depth: usize) {
        let depth = i64::try_from(depth).unwrap_or(i64::MAX);
        self.depths.get_or_create(&InLine { kind, class }).set(depth);
    }

    /// How a watch goes.
    pub fn watch(&self, kind: &'static str, namespace: &str, age: Duration, is_refused: bool) {
        let labels = Watched { kind, namespace: namespace.to_owned() };
        self.watch_ages.get_or_create(&labels).set(age.as_secs_f64());
        self.watches_refused.get_or_create(&labels).set(i64::from(is_refused));
    }

    /// How many channels stand where; stages without any are dropped.
    pub fn channels<'a>(&self, by_stage: impl IntoIterator<Item = (&'a str, usize)>) {
        self.channels.clear();
        for (stage, count) in by_stage {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.channels.get_or_create(&Standing { stage: stage.into() }).set(count);
        }
    }

    /// Whether this is the replica that works.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Age of the oldest successful look.
    pub fn oldest_look(&self, seconds: f64) {
        self.oldest_look.set(seconds);
    }

    /// How long calls of a portfolio are held back; 0 when they are not.
    pub fn held_back(&self, namespace: &str, portfolio: &str, seconds: i64) {
        let of = Of { namespace: namespace.into(), portfolio: portfolio.into() };
        self.held_back.get_or_create(&of).set(seconds);
    }

    /// A portfolio is gone, and what was told of it with it.
    pub fn forget(&self, namespace: &str, portfolio: &str) {
        self.held_back.remove(&Of { namespace: namespace.into(), portfolio: portfolio.into() });
    }

    /// OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portfolio_that_is_gone_is_told_of_no_more() {
        let metrics = Metrics::default();
        metrics.held_back("shop", "acme", 60);
        assert!(metrics.encode().contains(r#"portfolio="acme""#));
        metrics.forget("shop", "acme");
        assert!(!metrics.encode().contains(r#"portfolio="acme""#));
    }

    #[test]
    fn what_was_counted_can_be_read() {
        let metrics =
            Metrics::with_calls(|| vec![Calls { edge: "phone_numbers", outcome: "answered", count: 1 }]);
        metrics.channels([("Ready", 2)]);
        let text = metrics.encode();
        assert!(
            text.contains(
                r#"whatsapp_operator_graph_calls_total{edge="phone_numbers",outcome="answered"} 1"#
            ),
            "{text}"
        );
        assert!(text.contains(r#"whatsapp_operator_channels{stage="Ready"} 2"#), "{text}");
    }
}
