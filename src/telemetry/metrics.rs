//! The metrics of a process, all bounded: no label holds the name of a channel unless it needs a person, and none a number
//! unless that was asked for.
//!
//! What happens is counted here. How things stand is asked of whoever works, once a second at most, and of nobody while none
//! does.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet, text::encode},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::{Metric, Registry},
};

use super::{
    fleet::{Detail, Fleet},
    table::{self, Row},
};

/// What the client counted of its calls to Meta since the start of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calls {
    /// Edge, how it ended, how often.
    pub endings: Vec<(&'static str, &'static str, u64)>,
    /// Edge, Meta's code, how often.
    pub refusals: Vec<(&'static str, String, u64)>,
    pub durations: Vec<Durations>,
}

/// How long the calls of one edge took.
#[derive(Clone, Debug, PartialEq)]
pub struct Durations {
    pub edge: &'static str,
    /// In seconds.
    pub sum: f64,
    /// How many took at most so many seconds and more than those of the bucket before; the last takes all others.
    pub buckets: Vec<(f64, u64)>,
}

fn begin<'s>(
    encoder: &'s mut DescriptorEncoder<'_>,
    row: &Row,
    kind: MetricType,
) -> Result<MetricEncoder<'s>, fmt::Error> {
    encoder.encode_descriptor(row.name, &row.sentence(), None, kind)
}

/// Reads the counters of the client at each scrape.
struct CallCounter<F>(F);

impl<F> fmt::Debug for CallCounter<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallCounter")
    }
}

impl<F: Fn() -> Calls + Send + Sync + 'static> Collector for CallCounter<F> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let Calls { endings, refusals, durations } = (self.0)();
        if !endings.is_empty() {
            let mut family = begin(&mut encoder, &table::GRAPH_CALLS, MetricType::Counter)?;
            for (edge, outcome, count) in endings {
                let labels = [("edge", edge), ("outcome", outcome)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        if !refusals.is_empty() {
            let mut family = begin(&mut encoder, &table::GRAPH_REFUSALS, MetricType::Counter)?;
            for (edge, code, count) in refusals {
                let labels = [("edge", edge), ("code", &*code)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        if !durations.is_empty() {
            let mut family = begin(&mut encoder, &table::GRAPH_CALL_DURATION, MetricType::Histogram)?;
            for Durations { edge, sum, buckets } in durations {
                let count = buckets.iter().map(|(_, count)| count).sum();
                let labels = [("edge", edge)];
                let mut one = family.encode_family(&labels)?;
                one.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}

/// Asks whoever works, at each scrape.
type Asked = Arc<dyn Fn(Detail) -> Fleet + Send + Sync>;

/// Who works, if anybody does.
#[derive(Clone, Default)]
struct Worker(Arc<Mutex<Option<Asked>>>, Detail);

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

impl Collector for Worker {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        // Whoever begins or ends to work does not wait for an answer.
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        asked.map_or(Ok(()), |ask| ask(self.1).encode(encoder))
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

/// Which kind of object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfKind {
    pub kind: &'static str,
}

/// The metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    worker: Worker,
    passes: Family<Work, Counter>,
    reconciles: Family<OfKind, Histogram, fn() -> Histogram>,
    writes: Family<Work, Counter>,
    steps: Family<Done, Counter>,
    delays: Family<InLine, Histogram, fn() -> Histogram>,
    times_to_ready: Histogram,
    watch_ages: Family<Watched, Gauge<f64, AtomicU64>>,
    watches_refused: Family<Watched, Gauge>,
    events_lost: Counter,
    leader: Gauge,
    turns: AtomicU64,
}

fn delays() -> Histogram {
    Histogram::new([0.01, 0.1, 0.5, 1.0, 3.0, 10.0, 30.0, 120.0])
}

/// A person may be waited for in between, so this reaches from a minute to a week.
fn times_to_ready() -> Histogram {
    Histogram::new([60.0, 300.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0, 259_200.0, 604_800.0])
}

/// A reconcile that is timed until this is dropped.
#[derive(Debug)]
pub struct Reconcile {
    metrics: Arc<Metrics>,
    kind: &'static str,
    begun: Instant,
}

impl Drop for Reconcile {
    fn drop(&mut self) {
        let took = self.begun.elapsed().as_secs_f64();
        self.metrics.reconciles.get_or_create(&OfKind { kind: self.kind }).observe(took);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(Detail::default())
    }
}

impl Metrics {
    /// Without anything that is counted elsewhere.
    pub fn new(detail: Detail) -> Self {
        let worker = Worker(Arc::default(), detail);
        let mut metrics = Self {
            registry: Registry::with_prefix(table::PREFIX),
            worker: worker.clone(),
            passes: Family::default(),
            reconciles: Family::new_with_constructor(delays as fn() -> Histogram),
            writes: Family::default(),
            steps: Family::default(),
            delays: Family::new_with_constructor(delays as fn() -> Histogram),
            times_to_ready: times_to_ready(),
            watch_ages: Family::default(),
            watches_refused: Family::default(),
            events_lost: Counter::default(),
            leader: Gauge::default(),
            turns: AtomicU64::default(),
        };
        metrics.serve(&table::LEADER, metrics.leader.clone());
        metrics.serve(&table::PASSES, metrics.passes.clone());
        metrics.serve(&table::RECONCILE_DURATION, metrics.reconciles.clone());
        metrics.serve(&table::STATUS_WRITES, metrics.writes.clone());
        metrics.serve(&table::STEPS, metrics.steps.clone());
        metrics.serve(&table::QUEUE_DELAY, metrics.delays.clone());
        metrics.serve(&table::TIME_TO_READY, metrics.times_to_ready.clone());
        metrics.serve(&table::WATCH_AGE, metrics.watch_ages.clone());
        metrics.serve(&table::WATCH_REFUSED, metrics.watches_refused.clone());
        metrics.serve(&table::EVENTS_LOST, metrics.events_lost.clone());
        metrics.registry.register_collector(Box::new(worker));
        metrics
    }

    fn serve(&mut self, row: &Row, metric: impl Metric) {
        self.registry.register(row.name, row.help, metric);
    }

    /// With the calls to Meta, which the client counts.
    #[must_use]
    pub fn with_calls(mut self, calls: impl Fn() -> Calls + Send + Sync + 'static) -> Self {
        self.registry.register_collector(Box::new(CallCounter(calls)));
        self
    }

    /// With the lines that the log lost, which whoever writes it counts.
    #[must_use]
    pub fn with_lost_lines(mut self, lost: Counter) -> Self {
        self.serve(&table::LOG_LINES_LOST, lost);
        self
    }

    /// From now on this one is asked how things stand, at each scrape.
    pub fn ask(&self, worker: impl Fn(Detail) -> Fleet + Send + Sync + 'static) {
        *self.worker.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(worker));
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// Nobody works, so nobody is asked.
    pub fn ask_nobody(&self) {
        *self.worker.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// Another one whenever somebody begins or ends to work.
    pub(super) fn turn(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// A reconcile of this kind begins, and ends with what is given back.
    pub fn reconcile(self: &Arc<Self>, kind: &'static str) -> Reconcile {
        Reconcile { metrics: self.clone(), kind, begun: Instant::now() }
    }

    /// A channel became Ready after so many seconds.
    pub fn became_ready(&self, seconds: f64) {
        self.times_to_ready.observe(seconds.max(0.0));
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

    /// How a watch goes.
    pub fn watch(&self, kind: &'static str, namespace: &str, age: Duration, is_refused: bool) {
        let labels = Watched { kind, namespace: namespace.to_owned() };
        self.watch_ages.get_or_create(&labels).set(age.as_secs_f64());
        self.watches_refused.get_or_create(&labels).set(i64::from(is_refused));
    }

    /// An event was not published.
    pub fn event_lost(&self) {
        self.events_lost.inc();
    }

    /// Whether this is the replica that works.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// `OpenMetrics` text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }
}

/// The same in the older text format of Prometheus, in which a counter has its whole name everywhere, and no end is marked.
pub fn classic(open: &str) -> String {
    let mut text = String::with_capacity(open.len());
    let mut help: Option<&str> = None;
    for line in open.lines().filter(|line| *line != "# EOF") {
        if let Some(about) = line.strip_prefix("# HELP ") {
            help = Some(about);
            continue;
        }
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let end = if kind == "counter" { "_total" } else { "" };
        if let Some((name, words)) = help.take().and_then(|help| help.split_once(' ')) {
            text.push_str(&format!("# HELP {name}{end} {words}\n"));
        }
        text.push_str(&format!("# TYPE {name}{end} {kind}\n"));
    }
    text
}

#[cfg(test)]
mod tests;
