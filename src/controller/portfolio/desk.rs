//! What the portfolio controller keeps between reconciles, and what others tell of a portfolio meanwhile.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::controller::{claim::Claims, room::Room};
use crate::engine::desired::PortfolioRef;

use super::state::State;

/// What the portfolio controller alone knows.
pub struct Desk<G> {
    pub claims: Arc<Claims>,
    entries: Mutex<HashMap<PortfolioRef, Entry<G>>>,
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
        Self { claims, entries: Mutex::default() }
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

    fn lock(&self) -> MutexGuard<'_, HashMap<PortfolioRef, Entry<G>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::controller::claim::Pauses;

    fn desk() -> (Desk<()>, PortfolioRef) {
        let pauses = Pauses { gone: Duration::ZERO, displaced: Duration::ZERO, kept: Duration::ZERO };
        let of = PortfolioRef { namespace: "shop".into(), name: "acme".into() };
        (Desk::new(Arc::new(Claims::new(pauses))), of)
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
