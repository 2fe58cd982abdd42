//! A portfolio that is being deleted: channels that take something back at Meta still need it, for as long as they may try.

use jiff::Timestamp;
use kube::api::ObjectMeta;

use crate::{
    api::lower,
    controller::{claim::Holds, parting::is_waiting, watch::Key},
    engine::{
        condition::{Condition, ConditionSet, Truth},
        condition_type::ConditionType,
        farewell::{Farewell, Parting},
        limits::Limits,
        reason::Reason,
        time::later,
    },
};

/// So many channels are named.
const NAMED: usize = 5;

/// What becomes of a portfolio.
#[derive(Debug, PartialEq)]
pub(super) enum Deletion {
    /// It is not being deleted, or does not wait for us. Whether channels need it, once they are all known.
    None { is_needed: Option<bool> },
    /// Channels still need it.
    Waits { until: Timestamp, message: String },
    /// It may go.
    Over(Farewell),
}

/// What becomes of a portfolio with this metadata, which these channels need. `least` is until when this process waits at
/// least: channels get a chance first.
pub(super) fn deletion(
    meta: &ObjectMeta,
    holding: Option<Vec<(Key, Holds)>>,
    least: Timestamp,
    limits: &Limits,
    now: Timestamp,
) -> Deletion {
    let Some(since) = meta.deletion_timestamp.as_ref().map(|at| at.0).filter(|_| is_waiting(meta)) else {
        return Deletion::None { is_needed: holding.map(|holding| !holding.is_empty()) };
    };
    let who = holding.as_deref().map(|holding| named(holding, meta.namespace.as_deref().unwrap_or_default()));
    if lower::is_cleanup_skipped(meta) {
        let who = who.filter(|who| !who.is_empty()).unwrap_or_else(|| "channels, which were not told".into());
        return Deletion::Over(left(&format!(
            "the annotation skip-cleanup asks for it, although it was needed by {who}"
        )));
    }
    let ends = holding.iter().flatten().map(|(_, holds)| {
        // One that is not being deleted has as long as if it were, with the portfolio.
        later(holds.since.unwrap_or(since), std::time::Duration::from_secs(holds.seconds.into()))
    });
    let last = ends.max();
    if holding.is_some() && last.is_none() {
        let message = "No channel has anything to take back at Meta through it.".into();
        return Deletion::Over(Farewell { parting: Parting::CleanedUp, message });
    }
    // Who tries to the end lets go a moment later.
    let until = later(last.unwrap_or(since).max(least), limits.cleanup_least);
    let who = who.unwrap_or_else(|| "channels that are not all known yet".into());
    if now >= until {
        return Deletion::Over(left(&format!(
            "the time for it is over, although it is still needed by {who}"
        )));
    }
    let message = format!(
        "the portfolio is being deleted, and waits for what these take back at Meta when they are deleted: {who}; delete them too, or set their deletionPolicy to Retain; it goes without them when their deletionTimeoutSeconds are over"
    );
    Deletion::Waits { until, message }
}

fn left(why: &str) -> Farewell {
    let message = format!(
        "The portfolio goes because {why}. What they would have taken back stays at Meta unless another portfolio of this name serves them."
    );
    Farewell { parting: Parting::LeftAtMeta, message }
}

/// Names within the namespace, and how many others.
fn named(holding: &[(Key, Holds)], namespace: &str) -> String {
    let (own, others): (Vec<_>, Vec<_>) = holding.iter().partition(|(key, _)| *key.namespace == *namespace);
    let mut names: Vec<&str> = own.iter().map(|(key, _)| &*key.name).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let mut parts: Vec<String> = names.into_iter().map(str::to_owned).collect();
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    if !others.is_empty() {
        parts.push(format!("{} in other namespaces", others.len()));
    }
    parts.join(", ")
}

/// What `Ready` says meanwhile.
pub(super) fn waits(before: &ConditionSet, message: &str, generation: i64, now: Timestamp) -> Condition {
    let stood = before.get(ConditionType::Ready).filter(|ready| ready.status == Truth::False);
    Condition {
        kind: ConditionType::Ready,
        status: Truth::False,
        reason: Reason::CleaningUp,
        message: message.into(),
        since: stood.map_or(now, |ready| ready.since),
        observed_generation: generation,
    }
}
