//! What the portfolio controller hands to channels, in the process.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;

use crate::engine::{
    desired::{Access, PortfolioRef},
    id::Fact,
    observed::PortfolioState,
    portfolio::{Backing, PortfolioView, granted},
};

use super::{concern::Wait, room::Room};

/// Every portfolio in the watched namespaces, with its view and what opens the Graph API for it.
#[derive(Debug)]
pub struct Portfolios<G> {
    slots: RwLock<HashMap<PortfolioRef, Slot<G>>>,
    is_filled: AtomicBool,
}

#[derive(Debug)]
struct Slot<G> {
    /// A re-created portfolio is another one, whose view is not known yet.
    uid: Box<str>,
    /// From the object as it stands now, so that a grant that was taken away ends at once.
    access: Arc<[Access]>,
    /// Since when it is not known what it grants beside that.
    unknown: Option<Timestamp>,
    view: Option<Arc<PortfolioView>>,
    graph: Option<G>,
    /// What its status waits for.
    waits: Box<[Wait]>,
    /// Meta showed an account in its reach to its credentials.
    shows_account: bool,
}

/// What was found of a portfolio.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a, G> {
    pub view: &'a PortfolioView,
    pub graph: Option<&'a G>,
    pub waits: &'a [Wait],
}

impl<G> Default for Portfolios<G> {
    fn default() -> Self {
        Self { slots: RwLock::default(), is_filled: AtomicBool::new(false) }
    }
}

impl<G: Clone> Portfolios<G> {
    /// Every watched namespace is known.
    pub fn filled(&self) {
        self.is_filled.store(true, Ordering::Release);
    }

    /// Whether every watched namespace is known; before, a portfolio that is not here proves nothing.
    pub fn is_filled(&self) -> bool {
        self.is_filled.load(Ordering::Acquire)
    }

    /// A portfolio exists and grants this; tells whether its channels have to know.
    pub fn declare(&self, of: &PortfolioRef, uid: &str, access: Arc<[Access]>) -> bool {
        self.stands(of, uid, access, None)
    }

    /// A portfolio exists that cannot be used, and what it grants is not known: nobody beside its own namespace may use it.
    /// What channels of others won is kept as behind credentials that do not work. Tells whether its channels have to know.
    pub fn declare_unknown(&self, of: &PortfolioRef, uid: &str, now: Timestamp) -> bool {
        self.stands(of, uid, Arc::default(), Some(now))
    }

    fn stands(
        &self,
        of: &PortfolioRef,
        uid: &str,
        access: Arc<[Access]>,
        unknown: Option<Timestamp>,
    ) -> bool {
        let mut slots = self.write();
        match slots.get_mut(of) {
            Some(slot) if *slot.uid == *uid && slot.access == access && slot.unknown == unknown => false,
            Some(slot) if *slot.uid == *uid => {
                (slot.access, slot.unknown) = (access, unknown);
                true
            }
            _ => {
                let (view, graph, waits) = (None, None, Box::default());
                let slot =
                    Slot { uid: uid.into(), access, unknown, view, graph, waits, shows_account: false };
                slots.insert(of.clone(), slot);
                true
            }
        }
    }

    /// Which object a portfolio is.
    pub fn uid(&self, of: &PortfolioRef) -> Option<Box<str>> {
        self.read().get(of).map(|slot| slot.uid.clone())
    }

    /// A portfolio is gone.
    pub fn remove(&self, of: &PortfolioRef) {
        let mut slots = self.write();
        slots.remove(of);
        slots.give_back();
    }

    /// The object with this uid is gone, which its watch did not tell yet. Tells whether it was there.
    pub fn remove_if(&self, of: &PortfolioRef, uid: &str) -> bool {
        let mut slots = self.write();
        let is_it = slots.get(of).is_some_and(|slot| *slot.uid == *uid);
        if is_it {
            slots.remove(of);
        }
        is_it
    }

    /// Publishes what was found of the object with this uid; tells whether its channels have to know. A counter never
    /// wakes them. Of an object that was re-created meanwhile nothing is published.
    pub fn publish(&self, of: &PortfolioRef, uid: &str, view: PortfolioView, graph: Option<G>) -> bool {
        let mut slots = self.write();
        let Some(slot) = slots.get_mut(of).filter(|slot| *slot.uid == *uid) else { return false };
        let wakes = slot.view.as_deref().is_none_or(|before| is_news(before, &view));
        // It may be much, and whoever publishes keeps it too: it is there once.
        if slot.access == view.access {
            slot.access = view.access.clone();
        }
        slot.view = Some(Arc::new(view));
        slot.graph = graph;
        wakes
    }

    /// Publishes that nothing below the object with this uid is served until it is corrected. It proves nothing until then:
    /// its credentials count as lost since they were, or else since now. Tells whether its channels have to know.
    pub fn hold(&self, of: &PortfolioRef, uid: &str, view: PortfolioView, now: Timestamp) -> bool {
        let last = self.read().get(of).filter(|slot| *slot.uid == *uid).and_then(|slot| slot.view.clone());
        let lost = last.and_then(|view| view.lost).unwrap_or(now);
        self.publish(of, uid, PortfolioView { lost: Some(lost), ..view }, None)
    }

    /// What the status of the object with this uid waits for.
    pub fn waits_for(&self, of: &PortfolioRef, uid: &str, waits: Box<[Wait]>) {
        if let Some(slot) = self.write().get_mut(of).filter(|slot| *slot.uid == *uid) {
            slot.waits = waits;
        }
    }

    /// Nobody works on portfolios from here on: what was found of them is of the past.
    pub fn close(&self) {
        for slot in self.write().values_mut() {
            (slot.view, slot.graph, slot.shows_account, slot.waits) = (None, None, false, Box::default());
        }
    }

    /// How a portfolio looks from a namespace, with its Graph. A portfolio that may not be used from there looks
    /// exactly like one that does not exist.
    pub fn state(&self, of: &PortfolioRef, namespace: &str) -> (PortfolioState, Option<G>) {
        let slots = self.read();
        let slot = slots.get(of).filter(|slot| granted(&of.namespace, &slot.access, namespace).is_some());
        match slot {
            None if !self.is_filled() => (PortfolioState::NotYet, None),
            None => (PortfolioState::NotUsable, None),
            Some(Slot { view: None, .. }) => (PortfolioState::NotYet, None),
            Some(Slot { view: Some(view), access, graph, .. }) => {
                let view = if view.access == *access {
                    view.clone()
                } else {
                    Arc::new(PortfolioView { access: access.clone(), ..(**view).clone() })
                };
                (PortfolioState::View(view), graph.clone())
            }
        }
    }

    /// Whether a namespace may use a portfolio.
    pub fn may_use(&self, of: &PortfolioRef, namespace: &str) -> bool {
        self.read().get(of).is_some_and(|slot| granted(&of.namespace, &slot.access, namespace).is_some())
    }

    /// What stands behind the claim of a channel of this namespace. `None` where it may not use the portfolio, as
    /// far as that is known.
    pub fn backing(&self, of: &PortfolioRef, namespace: &str) -> Option<Backing> {
        let slots = self.read();
        let slot = slots.get(of)?;
        if granted(&of.namespace, &slot.access, namespace).is_none() {
            return slot.unknown.map(Backing::Lost);
        }
        Some(match slot.view.as_ref().map_or(Backing::Unknown, |view| view.backing()) {
            Backing::Works if slot.shows_account => Backing::Proven,
            backing => backing,
        })
    }

    /// Meta showed an account in reach to the credential of this version. Tells whether that proves more than before.
    pub fn shows_account(&self, of: &PortfolioRef, version: &str) -> bool {
        let is_served = |slot: &Slot<G>| {
            slot.view.as_ref().is_some_and(|view| view.credential_version.as_deref() == Some(version))
        };
        if self.read().get(of).is_none_or(|slot| slot.shows_account || !is_served(slot)) {
            return false;
        }
        let mut slots = self.write();
        let Some(slot) = slots.get_mut(of).filter(|slot| is_served(slot)) else { return false };
        let is_news =
            !slot.shows_account && slot.view.as_ref().is_some_and(|v| v.backing() == Backing::Works);
        slot.shows_account = true;
        is_news
    }

    /// Shows every portfolio of which something was found.
    pub fn each(&self, mut show: impl FnMut(&PortfolioRef, Found<'_, G>)) {
        for (of, slot) in self.read().iter() {
            if let Some(view) = &slot.view {
                show(of, Found { view, graph: slot.graph.as_ref(), waits: &slot.waits });
            }
        }
    }

    /// Shows one portfolio, if something was found of it.
    pub fn one(&self, of: &PortfolioRef, show: impl FnOnce(Found<'_, G>)) {
        if let Some(Slot { view: Some(view), graph, waits, .. }) = self.read().get(of) {
            show(Found { view, graph: graph.as_ref(), waits });
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<PortfolioRef, Slot<G>>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<PortfolioRef, Slot<G>>> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a channel could decide otherwise with this view than with the one before.
fn is_news(before: &PortfolioView, after: &PortfolioView) -> bool {
    let verification = |view: &PortfolioView| match &view.facts {
        Fact::Known(facts) => facts.verification.clone(),
        Fact::NotAsked | Fact::Unknown(_) => None,
    };
    before.business != after.business
        || before.credential_version != after.credential_version
        || before.hold != after.hold
        || before.backing() != after.backing()
        || before.reach != after.reach
        || before.app != after.app
        || before.expect_country != after.expect_country
        || before.access != after.access
        || verification(before) != verification(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{
        id::BusinessId,
        portfolio::{BusinessFacts, Reach},
    };

    fn of() -> PortfolioRef {
        PortfolioRef { namespace: "meta".into(), name: "acme".into() }
    }

    fn view() -> PortfolioView {
        PortfolioView {
            namespace: "meta".into(),
            name: "acme".into(),
            business: BusinessId::from("1"),
            credential_version: Some("a".into()),
            hold: None,
            lost: None,
            app: None,
            token: Fact::NotAsked,
            facts: Fact::NotAsked,
            reach: Reach::Unread,
            expect_country: None,
            access: Arc::default(),
            throttled_until: None,
        }
    }

    #[test]
    fn a_look_that_finds_nothing_takes_away_the_object_that_it_looked_for() {
        let portfolios = Portfolios::<()>::default();
        portfolios.filled();
        portfolios.declare(&of(), "old", Arc::default());
        assert!(portfolios.publish(&of(), "old", view(), Some(())));
        assert!(portfolios.remove_if(&of(), "old") && !portfolios.remove_if(&of(), "old"));
        assert_eq!(portfolios.state(&of(), "meta"), (PortfolioState::NotUsable, None));
        portfolios.declare(&of(), "new", Arc::default());
        assert!(!portfolios.remove_if(&of(), "old"), "it was made anew meanwhile");
        assert_eq!(portfolios.uid(&of()).as_deref(), Some("new"));
    }

    #[test]
    fn a_refusal_does_not_reveal_whether_the_portfolio_exists() {
        let portfolios = Portfolios::<()>::default();
        portfolios.filled();
        portfolios.declare(&of(), "1", Arc::default());
        let stranger = portfolios.state(&of(), "shop").0;
        let nothing = portfolios.state(&PortfolioRef { name: "none".into(), ..of() }, "shop").0;
        assert_eq!(stranger, nothing);
        assert_eq!(portfolios.state(&of(), "meta").0, PortfolioState::NotYet);
    }

    #[test]
    fn a_grant_that_is_taken_away_ends_at_once() {
        let portfolios = Portfolios::<()>::default();
        portfolios.filled();
        portfolios.declare(&of(), "1", [Access { namespaces: ["shop"].into(), accounts: None }].into());
        assert!(portfolios.may_use(&of(), "shop"));
        assert!(portfolios.declare(&of(), "1", Arc::default()));
        assert!(!portfolios.may_use(&of(), "shop"));
        assert_eq!(portfolios.state(&of(), "shop").0, PortfolioState::NotUsable);
    }

    #[test]
    fn channels_wake_for_a_credential_and_never_for_a_counter() {
        let portfolios = Portfolios::default();
        portfolios.declare(&of(), "1", Arc::default());
        assert!(portfolios.publish(&of(), "1", view(), Some(())));
        let throttled = PortfolioView { throttled_until: Some(jiff::Timestamp::UNIX_EPOCH), ..view() };
        assert!(!portfolios.publish(&of(), "1", throttled, Some(())));
        let rotated = PortfolioView { credential_version: Some("b".into()), ..view() };
        assert!(portfolios.publish(&of(), "1", rotated, Some(())));
    }

    #[test]
    fn a_portfolio_is_proven_by_its_business_or_by_an_account_and_by_nothing_of_another_one() {
        use crate::engine::portfolio::Reachable;
        let portfolios = Portfolios::default();
        portfolios.declare(&of(), "1", Arc::default());
        let backing = || portfolios.backing(&of(), "meta");
        assert_eq!((backing(), portfolios.backing(&of(), "shop")), (Some(Backing::Unknown), None));
        assert!(!portfolios.shows_account(&of(), "a"), "nothing was published");
        portfolios.publish(&of(), "1", view(), Some(()));
        assert_eq!(backing(), Some(Backing::Works));
        let target = Reachable { id: "3".into(), name: None, owned: None };
        let hinted = PortfolioView { reach: Reach::Accounts(vec![target.clone()]), ..view() };
        portfolios.publish(&of(), "1", hinted.clone(), Some(()));
        assert_eq!(backing(), Some(Backing::Works), "a target of the token is a hint");
        let listed = Reachable { owned: Some(true), ..target };
        for proven in [
            PortfolioView { reach: Reach::Owned(vec![listed]), ..view() },
            PortfolioView { facts: Fact::Known(BusinessFacts::default()), ..view() },
        ] {
            assert!(portfolios.publish(&of(), "1", proven, Some(())), "its channels may claim now");
            assert_eq!(backing(), Some(Backing::Proven));
            assert!(portfolios.publish(&of(), "1", hinted.clone(), Some(())));
        }
        assert!(!portfolios.shows_account(&of(), "b"), "read with a credential that serves no more");
        assert!(portfolios.shows_account(&of(), "a") && !portfolios.shows_account(&of(), "a"));
        assert_eq!(backing(), Some(Backing::Proven));
        let since = jiff::Timestamp::UNIX_EPOCH;
        portfolios.publish(&of(), "1", PortfolioView { lost: Some(since), ..view() }, Some(()));
        assert_eq!(backing(), Some(Backing::Lost(since)));
        portfolios.declare(&of(), "2", Arc::default());
        portfolios.publish(&of(), "2", view(), Some(()));
        assert_eq!(backing(), Some(Backing::Works), "created again");
    }

    #[test]
    fn a_portfolio_that_cannot_be_used_proves_nothing_and_gains_no_time() {
        let at = |seconds| jiff::Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let held = || PortfolioView::spec_invalid("meta", "acme", "", "it is too large");
        let portfolios = Portfolios::default();
        portfolios.declare(&of(), "1", Arc::default());
        let backing = || portfolios.backing(&of(), "meta");
        let works = || PortfolioView { facts: Fact::Known(BusinessFacts::default()), ..view() };
        // After a restart, and in the middle of it.
        for view in [None, Some(works())] {
            if let Some(view) = view {
                portfolios.publish(&of(), "1", view, Some(()));
                assert_eq!(backing(), Some(Backing::Proven));
            }
            assert!(portfolios.hold(&of(), "1", held(), at(10)), "its channels have to know");
            assert_eq!(backing(), Some(Backing::Lost(at(10))));
            assert!(!portfolios.hold(&of(), "1", held(), at(20)), "they know it");
            assert_eq!(backing(), Some(Backing::Lost(at(10))));
        }
        // Its credentials were dead before.
        portfolios.publish(&of(), "1", PortfolioView { lost: Some(at(5)), ..view() }, None);
        portfolios.hold(&of(), "1", held(), at(30));
        assert_eq!(backing(), Some(Backing::Lost(at(5))));
        portfolios.publish(&of(), "1", works(), Some(()));
        assert_eq!(backing(), Some(Backing::Proven), "it is smaller");
        portfolios.hold(&of(), "2", held(), at(40));
        assert_eq!(backing(), Some(Backing::Proven), "another object of that name");
    }

    #[test]
    fn a_portfolio_that_was_created_again_does_not_serve_with_what_was_found_of_the_one_before() {
        let portfolios = Portfolios::default();
        portfolios.filled();
        portfolios.declare(&of(), "1", Arc::default());
        assert!(portfolios.publish(&of(), "1", view(), Some("old")));
        portfolios.remove(&of());
        portfolios.declare(&of(), "2", Arc::default());
        assert!(!portfolios.publish(&of(), "1", view(), Some("old")), "a look that began before");
        assert_eq!(portfolios.state(&of(), "meta"), (PortfolioState::NotYet, None));
        assert!(portfolios.publish(&of(), "2", view(), Some("new")));
        assert_eq!(portfolios.state(&of(), "meta").1, Some("new"));
    }
}
