//! Writes outcomes, and attempts, that no pass could write: again and again, whoever works meanwhile.
//!
//! Nothing goes to Meta for it, so it needs no Lease. What it writes carries the version that it was read from, as every
//! status does: neither a leader's pass nor this one writes over what the other has not seen.

use std::{future::Future, sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use crate::engine::{
    limits::Limits,
    memory::Memory,
    record::{Late, fold_late},
};
use crate::meta::port::Clock;
use crate::repeat::Repeats;

use super::{
    pass::{Live, ReadError, WriteError},
    unkept::Due,
    unwritten::{Owed, Unwritten},
};

/// That many are tried at once, and then nothing for a moment: an API server that comes back has enough to do.
const AT_ONCE: usize = 32;
const MOMENT: Duration = Duration::from_millis(250);
/// Whoever waits gives a sign of life this often.
const BEAT: Duration = Duration::from_secs(60);

/// Where the memories of channels are kept.
pub trait Memories: Send + Sync + 'static {
    type Version: Send + Sync;

    /// Reads past every cache.
    fn read(&self, of: &Owed) -> impl Future<Output = Result<Live<Self::Version>, ReadError>> + Send;

    /// Writes a memory onto exactly this version, or not at all. What else is shown stays.
    fn write(
        &self,
        of: &Owed,
        memory: &Memory,
        expected: &Self::Version,
    ) -> impl Future<Output = Result<(), WriteError>> + Send;
}

/// Who writes them.
pub struct Writer<M> {
    pub memories: M,
    pub unwritten: Arc<Unwritten>,
    pub clock: Arc<dyn Clock>,
    pub limits: Arc<Limits>,
    pub repeats: Repeats,
}

impl<M: Memories> Writer<M> {
    /// Writes what is kept, and what is kept later, for good.
    pub async fn run(&self, alive: impl Fn() + Send + Sync) {
        loop {
            alive();
            self.drain(&alive).await;
            let _ = tokio::time::timeout(BEAT, self.unwritten.more()).await;
        }
    }

    /// Writes until nothing is left.
    pub async fn drain(&self, alive: impl Fn() + Send + Sync) {
        while let Some(next) = self.unwritten.next(self.clock.now(), &self.limits) {
            alive();
            tokio::select! {
                () = sleep_until(next.min(Instant::now() + BEAT)) => {}
                () = self.unwritten.more() => {}
            }
            let (due, unkept) = (self.unwritten.due(AT_ONCE), self.unwritten.attempts.due(AT_ONCE));
            tokio::join!(
                join_all(due.iter().map(|owed| self.write(owed))),
                join_all(unkept.iter().map(|due| self.keep(due))),
            );
            if !due.is_empty() || !unkept.is_empty() {
                sleep(MOMENT).await;
            }
        }
    }

    async fn write(&self, owed: &Owed) {
        let why = match self.memories.read(owed).await {
            Ok(live) if live.uid == *owed.uid => match self.fold(owed, &live).await {
                Ok(()) => return,
                Err(why) => why,
            },
            Ok(_) | Err(ReadError::Gone) => return self.gone(owed),
            Err(ReadError::Failed(why)) => why,
        };
        self.unwritten.failed(owed);
        if let Some(repeated) = self.repeats.tell(&format!("late: {why}")) {
            warn!(
                why,
                repeated,
                left = self.unwritten.left(),
                "an outcome is not written yet; it is tried again"
            );
        }
    }

    async fn keep(&self, due: &Due) {
        let kept = self.unwritten.attempts.keep(due, &self.limits, self.clock.now()).await;
        if let Err(why) = kept
            && let Some(repeated) = self.repeats.tell(&format!("late attempts: {why}"))
        {
            let left = self.unwritten.attempts.left();
            warn!(why, repeated, left, "attempts are not kept yet; they are tried again");
        }
    }

    /// Folds it into what stands there. An error says why it has to be tried again.
    async fn fold(&self, owed: &Owed, live: &Live<M::Version>) -> Result<(), String> {
        match fold_late(&live.memory, &owed.outcome, &self.limits) {
            Late::Known => self.unwritten.settle(&owed.uid, &owed.outcome),
            Late::Decided => self.unwritten.decided(owed),
            Late::NotUnderstood => return Err(live.memory.unknown.clone().unwrap_or_default()),
            Late::News(memory) => match self.memories.write(owed, &memory, &live.version).await {
                Ok(()) => {
                    let Owed { namespace, name, outcome, .. } = owed;
                    let (step, intent) = (outcome.step.as_str(), outcome.intent.as_deref());
                    info!(%namespace, channel = %name, step, intent, "an outcome is written at last");
                    self.unwritten.settle(&owed.uid, &owed.outcome);
                }
                Err(WriteError::Gone) => self.gone(owed),
                Err(error) => return Err(error.to_string()),
            },
        }
        Ok(())
    }

    fn gone(&self, owed: &Owed) {
        owed.dropped("its object is gone");
        self.unwritten.settle(&owed.uid, &owed.outcome);
    }
}

#[cfg(test)]
mod tests;
