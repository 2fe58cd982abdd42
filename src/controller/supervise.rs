//! Tasks that must not end, nor fall silent: one that does is named, and ends the process, which is then started anew.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::{Id, JoinSet},
    time::{Instant, sleep},
};
use tracing::error;

use crate::telemetry::health::Health;

/// Without a sign of life for this long, a task is named in readiness. None of them waits for anything longer.
const NAMED: Duration = Duration::from_secs(240);
/// And for this long, it ends the process.
const GIVEN_UP: Duration = Duration::from_secs(900);
/// How often that is looked at.
const EVERY: Duration = Duration::from_secs(5);
/// Whoever sleeps for long gives a sign of life this often.
const BEAT: Duration = Duration::from_secs(60);

/// How a task says that it goes on. Clones are one.
#[derive(Clone, Debug)]
pub struct Pulse {
    begun: Instant,
    /// Milliseconds since then.
    last: Arc<AtomicU64>,
}

impl Pulse {
    /// Of a task that begins now.
    pub fn new() -> Self {
        Self { begun: Instant::now(), last: Arc::default() }
    }

    /// A sign of life.
    pub fn beat(&self) {
        let since = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(since, Ordering::Relaxed);
    }

    /// Sleeps for so long, with signs of life meanwhile.
    pub async fn sleep(&self, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            self.beat();
            let step = left.min(BEAT);
            tokio::time::sleep(step).await;
            left -= step;
        }
    }

    pub(super) fn silence(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }
}

/// Why supervised tasks came to an end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fallen {
    #[error("{0} ended by itself")]
    Ended(&'static str),
    #[error("{0} gave no sign of life for a quarter of an hour")]
    Silent(&'static str),
}

/// Tasks of which each has to go on. They end with it.
pub struct Tasks {
    health: Health,
    /// What readiness calls them all together.
    part: &'static str,
    running: JoinSet<()>,
    known: HashMap<Id, (&'static str, Pulse)>,
}

impl Tasks {
    /// None yet.
    pub fn new(part: &'static str, health: Health) -> Self {
        Self { health, part, running: JoinSet::new(), known: HashMap::new() }
    }

    /// Begins one, in a task of its own.
    pub fn begin<F>(&mut self, name: &'static str, task: impl FnOnce(Pulse) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let pulse = Pulse::new();
        let id = self.running.spawn(task(pulse.clone())).id();
        self.known.insert(id, (name, pulse));
    }

    /// Waits until one of them has ended, in whichever way, or was silent for too long.
    pub async fn fallen(&mut self) -> Fallen {
        loop {
            tokio::select! {
                Some(ended) = self.running.join_next_with_id() => {
                    let id = match &ended {
                        Ok((id, ())) => *id,
                        Err(failed) => failed.id(),
                    };
                    let name = self.known.remove(&id).map_or("a task", |(name, _)| name);
                    error!(task = name, panicked = ended.is_err(), "ended by itself");
                    return Fallen::Ended(name);
                }
                () = sleep(EVERY) => {
                    if let Some(fallen) = self.listen() {
                        return fallen;
                    }
                }
            }
        }
    }

    /// Ends all of them, and waits until none does anything any more.
    pub async fn end(mut self) {
        self.running.shutdown().await;
    }

    /// Names those that are silent.
    fn listen(&self) -> Option<Fallen> {
        let mut silent: Vec<(Duration, &'static str)> =
            self.known.values().map(|(name, pulse)| (pulse.silence(), *name)).collect();
        silent.retain(|(silence, _)| *silence >= NAMED);
        silent.sort_unstable();
        let Some((longest, name)) = silent.last() else {
            self.health.holds(self.part);
            return None;
        };
        let named: Vec<String> = silent
            .iter()
            .map(|(silence, name)| format!("{name} gave no sign of life for {} s", silence.as_secs()))
            .collect();
        self.health
            .missing_part(self.part, &format!("{}; the process ends if that goes on", named.join("; ")));
        (*longest >= GIVEN_UP).then(|| {
            error!(task = name, "gave no sign of life");
            Fallen::Silent(name)
        })
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // Whoever runs none has none that are missing.
        self.health.holds(self.part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn going(pulse: Pulse) {
        loop {
            pulse.beat();
            sleep(Duration::from_secs(60)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_or_panics_is_named() {
        let mut tasks = Tasks::new("tasks", Health::default());
        tasks.begin("the one that goes on", going);
        tasks.begin("the one that ends", |_| sleep(Duration::from_secs(100)));
        assert_eq!(tasks.fallen().await, Fallen::Ended("the one that ends"));
        let mut tasks = Tasks::new("tasks", Health::default());
        tasks.begin("the one that goes on", going);
        tasks.begin("the one that panics", |_| async {
            sleep(Duration::from_secs(60)).await;
            panic!("broken");
        });
        assert_eq!(tasks.fallen().await, Fallen::Ended("the one that panics"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_falls_silent_is_named_in_readiness_and_ends_the_process_if_that_goes_on() {
        let health = Health::default();
        let mut tasks = Tasks::new("tasks", health.clone());
        tasks.begin("the one that goes on", going);
        tasks.begin("the one that hangs", |pulse| async move {
            pulse.beat();
            std::future::pending::<()>().await;
        });
        let begun = Instant::now();
        let early = tokio::time::timeout(NAMED.saturating_sub(EVERY), tasks.fallen()).await;
        assert!(early.is_err() && health.missing().is_empty(), "{:?}", health.missing());
        let named = tokio::time::timeout(EVERY * 3, tasks.fallen()).await;
        assert!(named.is_err());
        let missing = health.missing().join("");
        assert!(missing.contains("the one that hangs") && !missing.contains("goes on gave"), "{missing}");
        assert_eq!(tasks.fallen().await, Fallen::Silent("the one that hangs"));
        assert!((GIVEN_UP..GIVEN_UP + EVERY * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        drop(tasks);
        assert!(health.missing().is_empty(), "whoever stops it names nobody any more");
    }

    #[tokio::test(start_paused = true)]
    async fn the_tasks_end_with_whoever_runs_them() {
        let alive = Arc::new(());
        let mut tasks = Tasks::new("tasks", Health::default());
        let kept = alive.clone();
        tasks.begin("one", |pulse| async move {
            going(pulse).await;
            drop(kept);
        });
        sleep(Duration::from_secs(1)).await;
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(tasks);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
