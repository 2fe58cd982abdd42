//! What the portfolio controller keeps between reconciles, and what others tell of a portfolio meanwhile.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::controller::claim::Claims;
use crate::engine::desired::PortfolioRef;

use super::state::State;

/// What the portfolio controller alone knows.
pub struct Desk<G> {
    pub claims: Arc<Claims>,
    entries: Mutex<HashMap<PortfolioRef, Entry<G>>>,
}

/// One portfolio on the desk. What others tell of it is beside its state, which a look holds for as long as Meta
/// and Secrets take: nobody waits for that.
struct Entry<G> {
    state: Arc<tokio::sync::Mutex<State<G>>>,
    is_doubted: bool,
    failures: u32,
}

impl<G> Default for Entry<G> {
    fn default() -> Self {
        Self { state: Arc::default(), is_doubted: false, failures: 0 }
    }
}

impl<G> Desk<G> {
    /// Knows nothing yet.
    pub fn new(claims: Arc<Claims>) -> Self {
        Self { claims, entries: Mutex::default() }
    }

    /// A channel was refused its credential, so Meta is asked at the next reconcile. A portfolio that is forgotten
    /// already stays so.
    pub fn doubt(&self, of: &PortfolioRef) {
        if let Some(entry) = self.lock().get_mut(of) {
            entry.is_doubted = true;
        }
    }

    /// Forgets a portfolio, its credential with it.
    pub fn remove(&self, of: &PortfolioRef) {
        self.lock().remove(of);
    }

    /// The state of a portfolio, and whether it was doubted since this was last asked.
    pub fn open(&self, of: &PortfolioRef) -> (Arc<tokio::sync::Mutex<State<G>>>, bool) {
        let mut entries = self.lock();
        let entry = entries.entry(of.clone()).or_default();
        (entry.state.clone(), std::mem::take(&mut entry.is_doubted))
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
        let pauses = Pauses { gone: Duration::ZERO, displaced: Duration::ZERO };
        let of = PortfolioRef { namespace: "shop".into(), name: "acme".into() };
        (Desk::new(Arc::new(Claims::new(pauses))), of)
    }

    #[test]
    fn a_look_under_way_holds_up_no_doubt() {
        let (desk, of) = desk();
        let (state, _) = desk.open(&of);
        let _look = state.try_lock().unwrap();
        desk.doubt(&of);
        assert!(desk.open(&of).1);
        assert!(!desk.open(&of).1, "told once");
    }

    #[test]
    fn a_portfolio_that_is_gone_leaves_nothing_behind() {
        let (desk, of) = desk();
        desk.open(&of);
        assert_eq!((desk.failed(&of), desk.failed(&of)), (1, 2));
        desk.succeeded(&of);
        assert_eq!(desk.failed(&of), 1);
        desk.remove(&of);
        desk.doubt(&of);
        assert_eq!((desk.failed(&of), desk.lock().len()), (1, 0));
    }
}
