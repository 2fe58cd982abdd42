//! What is asked of whoever works: counts over all channels, and the few series that are told of one alone.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

use super::table::{self, Row};

/// Channels with series of their own at most. Those that wait longest have them.
pub const MOST_CHANNELS: usize = 500;
/// So many portfolios at most. Those that hold up their channels have them, then those that wait for somebody.
pub const MOST_PORTFOLIOS: usize = 500;

/// How much is told of single channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Whether channels that need a person have series of their own.
    pub channels: bool,
    /// Whether those series carry the phone number.
    pub phone_numbers: bool,
}

impl Default for Detail {
    fn default() -> Self {
        Self { channels: true, phone_numbers: false }
    }
}

/// What there is to tell of a fleet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fleet {
    pub stages: Vec<(&'static str, usize)>,
    pub qualities: Vec<(&'static str, usize)>,
    pub waiting: Vec<Waiting>,
    pub channels: Vec<ChannelNow>,
    pub left_out: usize,
    pub portfolios: Vec<PortfolioNow>,
    pub portfolios_left_out: usize,
    /// Objects in line, by kind and class.
    pub depths: Vec<(&'static str, &'static str, usize)>,
    pub oldest_look: f64,
}

/// What is waited for, by all channels together.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    pub actor: &'static str,
    pub action: &'static str,
    pub reason: &'static str,
    pub channels: usize,
    pub oldest: f64,
}

/// A channel that needs a person.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelNow {
    pub namespace: String,
    pub channel: String,
    pub portfolio_namespace: String,
    pub portfolio: String,
    pub stage: &'static str,
    pub quality: &'static str,
    pub reason: &'static str,
    /// Only where it was asked for.
    pub phone_number: Option<String>,
    pub is_ready: bool,
    /// Actor, action, and since when.
    pub waits: Vec<(&'static str, &'static str, f64)>,
    /// How often steps may be tried.
    pub attempts: Vec<(&'static str, usize)>,
    pub drifted: usize,
}

/// A portfolio.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PortfolioNow {
    pub namespace: String,
    pub portfolio: String,
    pub messaging_limit: String,
    pub verification: String,
    /// Why its channels may not act, if they may not.
    pub reason: Option<&'static str>,
    pub token_expiry: Option<f64>,
    pub data_access_expiry: Option<f64>,
    /// Actor, action, why, and since when.
    pub waits: Vec<(&'static str, &'static str, &'static str, f64)>,
    /// By lane: calls that were used, and that are left.
    pub budget: Vec<(&'static str, u32, u32)>,
    /// What Meta told of its limits.
    pub usage: Vec<UsageNow>,
    pub held_back: f64,
}

/// What Meta told of the limits of an app, or of its accounts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UsageNow {
    pub of: &'static str,
    /// The share that is used, and when Meta told it.
    pub used: Option<(f64, f64)>,
    /// How long reads still wait, and how long every call does.
    pub reads: f64,
    pub all: f64,
}

/// Writes families whose series are known when they are asked for.
struct Writer<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Writer<'_, '_> {
    /// One family, if it has any series.
    fn family<'l, L>(&mut self, row: &Row, series: impl IntoIterator<Item = (L, f64)>) -> fmt::Result
    where
        L: AsRef<[(&'l str, &'l str)]>,
    {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(row.name, &row.sentence(), None, MetricType::Gauge)?;
        for (labels, value) in series {
            let labels = labels.as_ref().to_vec();
            // One without labels has no braces either.
            if labels.is_empty() {
                return ConstGauge::new(value).encode(family);
            }
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

impl Fleet {
    /// Writes everything that there is to tell.
    pub(super) fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Writer(&mut encoder);
        let depths = self.depths.iter();
        out.family(
            &table::QUEUE_DEPTH,
            depths.map(|(kind, class, depth)| ([("kind", *kind), ("class", *class)], number(*depth))),
        )?;
        let alone: [(&str, &str); 0] = [];
        out.family(&table::OLDEST_LOOK, [(alone, self.oldest_look)])?;
        let stages = self.stages.iter();
        out.family(&table::CHANNELS, stages.map(|(stage, count)| ([("stage", *stage)], number(*count))))?;
        let qualities = self.qualities.iter().map(|(word, count)| ([("quality", *word)], number(*count)));
        out.family(&table::CHANNELS_BY_QUALITY, qualities)?;
        let about = |w: &Waiting| [("actor", w.actor), ("action", w.action), ("reason", w.reason)];
        let waiting = self.waiting.iter();
        out.family(&table::WAITING_CHANNELS, waiting.clone().map(|w| (about(w), number(w.channels))))?;
        out.family(&table::WAITING_OLDEST, waiting.map(|w| (about(w), w.oldest)))?;
        out.family(&table::CHANNELS_LEFT_OUT, [(alone, number(self.left_out))])?;
        self.encode_channels(&mut out)?;
        self.encode_portfolios(&mut out)
    }

    fn encode_channels(&self, out: &mut Writer<'_, '_>) -> fmt::Result {
        let channels = || self.channels.iter();
        out.family(
            &table::CHANNEL_INFO,
            channels().map(|c| {
                let mut labels = vec![
                    ("namespace", &*c.namespace),
                    ("channel", &*c.channel),
                    ("portfolio_namespace", &*c.portfolio_namespace),
                    ("portfolio", &*c.portfolio),
                    ("stage", c.stage),
                    ("quality", c.quality),
                    ("reason", c.reason),
                ];
                labels.extend(c.phone_number.as_deref().map(|number| ("phone_number", number)));
                (labels, 1.0)
            }),
        )?;
        let ready = channels().map(|c| (c.name(), f64::from(u8::from(c.is_ready))));
        out.family(&table::CHANNEL_READY, ready)?;
        let waits = channels().flat_map(|c| {
            c.waits.iter().map(|(actor, action, since)| {
                let [namespace, channel] = c.name();
                ([namespace, channel, ("actor", *actor), ("action", *action)], *since)
            })
        });
        out.family(&table::CHANNEL_WAITING_SINCE, waits)?;
        let attempts = channels().flat_map(|c| {
            c.attempts.iter().map(|(step, left)| {
                let [namespace, channel] = c.name();
                ([namespace, channel, ("step", *step)], number(*left))
            })
        });
        out.family(&table::CHANNEL_ATTEMPTS_LEFT, attempts)?;
        out.family(&table::CHANNEL_DRIFTED_FIELDS, channels().map(|c| (c.name(), number(c.drifted))))
    }

    fn encode_portfolios(&self, out: &mut Writer<'_, '_>) -> fmt::Result {
        let portfolios = || self.portfolios.iter();
        let alone: [(&str, &str); 0] = [];
        out.family(&table::PORTFOLIOS_LEFT_OUT, [(alone, number(self.portfolios_left_out))])?;
        out.family(
            &table::PORTFOLIO_INFO,
            portfolios().map(|p| {
                let [namespace, portfolio] = p.name();
                let labels = [
                    namespace,
                    portfolio,
                    ("messaging_limit", &*p.messaging_limit),
                    ("verification", &*p.verification),
                    ("reason", p.reason.unwrap_or_default()),
                ];
                (labels, 1.0)
            }),
        )?;
        let usable = portfolios().map(|p| (p.name(), f64::from(u8::from(p.reason.is_none()))));
        out.family(&table::PORTFOLIO_USABLE, usable)?;
        let ends = portfolios().filter_map(|p| Some((p.name(), p.token_expiry?)));
        out.family(&table::PORTFOLIO_TOKEN_EXPIRY, ends)?;
        let ends = portfolios().filter_map(|p| Some((p.name(), p.data_access_expiry?)));
        out.family(&table::PORTFOLIO_DATA_ACCESS_EXPIRY, ends)?;
        let waits = portfolios().flat_map(|p| {
            let [namespace, portfolio] = p.name();
            p.waits.iter().map(move |(actor, action, reason, since)| {
                ([namespace, portfolio, ("actor", *actor), ("action", *action), ("reason", *reason)], *since)
            })
        });
        out.family(&table::PORTFOLIO_WAITING_SINCE, waits)?;
        let lanes = || {
            portfolios().flat_map(|p| {
                let [namespace, portfolio] = p.name();
                p.budget.iter().map(move |(lane, used, left)| {
                    ([namespace, portfolio, ("lane", *lane)], f64::from(*used), f64::from(*left))
                })
            })
        };
        out.family(&table::PORTFOLIO_BUDGET_USED, lanes().map(|(labels, used, _)| (labels, used)))?;
        out.family(&table::PORTFOLIO_BUDGET_LEFT, lanes().map(|(labels, _, left)| (labels, left)))?;
        let usages = || {
            portfolios().flat_map(|p| {
                let [namespace, portfolio] = p.name();
                p.usage.iter().map(move |usage| ([namespace, portfolio, ("of", usage.of)], usage))
            })
        };
        let used = || usages().filter_map(|(labels, usage)| Some((labels, usage.used?)));
        out.family(&table::PORTFOLIO_USAGE, used().map(|(labels, (share, _))| (labels, share)))?;
        out.family(&table::PORTFOLIO_USAGE_TOLD, used().map(|(labels, (_, told))| (labels, told)))?;
        let paused = usages().flat_map(|([namespace, portfolio, of], usage)| {
            [("reads", usage.reads), ("all", usage.all)]
                .map(|(calls, left)| ([namespace, portfolio, of, ("calls", calls)], left))
        });
        out.family(&table::PORTFOLIO_PAUSED, paused)?;
        out.family(&table::HELD_BACK, portfolios().map(|p| (p.name(), p.held_back)))
    }
}

impl ChannelNow {
    fn name(&self) -> [(&str, &str); 2] {
        [("namespace", &self.namespace), ("channel", &self.channel)]
    }
}

impl PortfolioNow {
    fn name(&self) -> [(&str, &str); 2] {
        [("namespace", &self.namespace), ("portfolio", &self.portfolio)]
    }
}
