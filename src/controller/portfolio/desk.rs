//! What the portfolio controller keeps between reconciles, and what others tell of a portfolio meanwhile.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::controller::{claim::Claims, room::Room};
use crate::engine::{desired::PortfolioRef, time::later};

use super::state::State;

/// Attempts count for weeks, so what counts no more may lie there for another day.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(86_400);

/// What the portfolio controller alone knows.
pub struct Desk<G> {
    pub claims: Arc<Claims>,
    entries: Mutex<HashMap<PortfolioRef, Entry<G>>>,
    /// When each namespace was last swept.
    swept: Mutex<HashMap<String, Timestamp>>,
}

/// One portfolio on the desk.
struct Entry<G> {
    state: Arc<tokio::sync::Mutex<State<G>>>,
    failures: u32,
}

impl<G> Default for Entry<G> {
    fn default() -> Self {
        Self { state: Arc::default(), failures: 0 }
    }
}

impl<G> Desk<G> {
    /// Knows nothing yet.
    pub fn new(claims: Arc<Claims>) -> Self {
        Self { claims, entries: Mutex::default(), swept: Mutex::default() }
    }

    /// Forgets a portfolio, its credential with it.
    pub fn remove(&self, of: &PortfolioRef) {
        let mut entries = self.lock();
        entries.remove(of);
        entries.give_back();
    }

    /// The state of a portfolio.
    pub fn open(&self, of: &PortfolioRef) -> Arc<tokio::sync::Mutex<State<G>>> {
        self.lock().entry(of.clone()).or_default().state.clone()
    }

    /// One more failure in a row. A portfolio that is forgotten already stays so.
    pub fn failed(&self, of: &PortfolioRef) -> u32 {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(of) else { return 1 };
        entry.failures = entry.failures.saturating_add(1);
        entry.failures
    }

    pub fn succeeded(&self, of: &PortfolioRef) {
        if let Some(entry) = self.lock().get_mut(of) {
            entry.failures = 0;
        }
    }

    /// Whether a namespace is to be swept now: once a day, whatever becomes of it.
    pub fn begins_sweep(&self, namespace: &str, now: Timestamp) -> bool {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        swept.retain(|_, at| later(*at, BETWEEN_SWEEPS) > now);
        let is_due = !swept.contains_key(namespace);
        if is_due {
            swept.insert(namespace.to_owned(), now);
        }
        is_due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PortfolioRef, Entry<G>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::claim::Pauses;

    fn desk() -> (Desk<()>, PortfolioRef) {
        let pauses = Pauses { gone: Duration::ZERO, displaced: Duration::ZERO, kept: Duration::ZERO };
        let of = PortfolioRef { namespace: "shop".into(), name: "acme".into() };
        (Desk::new(Arc::new(Claims::new(pauses))), of)
    }

    #[test]
    fn a_namespace_is_swept_once_a_day() {
        let (desk, _) = desk();
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let due = |namespace: &str, hours: u64| {
            desk.begins_sweep(namespace, now + Duration::from_secs(hours * 3600))
        };
        assert_eq!(
            [("a", 0), ("a", 1), ("b", 2), ("a", 23), ("a", 24), ("b", 25), ("b", 26)]
                .map(|(n, h)| due(n, h)),
            [true, false, true, false, true, false, true]
        );
    }

    #[test]
    fn a_portfolio_that_is_gone_leaves_nothing_behind() {
        let (desk, of) = desk();
        desk.open(&of);
        assert_eq!((desk.failed(&of), desk.failed(&of)), (1, 2));
        desk.succeeded(&of);
        assert_eq!(desk.failed(&of), 1);
        desk.remove(&of);
        assert_eq!((desk.failed(&of), desk.lock().len()), (1, 0));
    }
}
