//! Whether this process may act, as it was told last.

use tokio::{sync::watch, time::Instant};

/// What a process is told. Only its own monotonic time counts, so that one that was stopped for a while knows of it before
/// it is told anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MayWork {
    #[default]
    No,
    /// Until then, unless it is told again.
    Until(Instant),
    Always,
}

impl MayWork {
    /// Whether it holds at this moment.
    pub fn holds(self) -> bool {
        match self {
            Self::No => false,
            Self::Until(end) => Instant::now() < end,
            Self::Always => true,
        }
    }

    /// For whoever is alone.
    pub fn always() -> watch::Receiver<Self> {
        watch::channel(Self::Always).1
    }
}
