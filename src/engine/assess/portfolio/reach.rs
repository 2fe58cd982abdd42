//! The accounts that a portfolio's token reaches.

use std::sync::Arc;

use crate::engine::{
    assess::portfolio::scene::PortfolioGiven,
    value::{
        failure::Refusal,
        id::Fact,
        portfolio::{Reach, Reachable},
    },
};

impl PortfolioGiven<'_> {
    /// The accounts in reach: listed, else learnt from the token's targets, else unknown.
    ///
    /// Lists are read page by page. Until a newer one is read to its end, the last one stands, with what the newer one has
    /// shown so far beside it. So an account comes into reach with its page, and leaves it only with a whole list.
    pub(super) fn reach(&self) -> Reach {
        match self.listed() {
            Reach::Accounts(list) if !self.observed.seen.is_empty() => {
                Reach::Accounts(union(&list, &self.observed.seen))
            }
            reach => reach,
        }
    }

    fn listed(&self) -> Reach {
        let old = self.view_before.map(|v| v.reach.clone()).unwrap_or_default();
        let listed = |fact| match listed(fact) {
            // An unknown answer removes no account from a list that was read.
            Listed::Refused if matches!(old, Reach::Unread | Reach::Owned(_)) => Listed::No,
            listed => listed,
        };
        match (listed(&self.observed.owned), listed(&self.observed.client)) {
            (Listed::Yes(owned), Listed::Yes(client)) => Reach::Accounts(union(owned, client)),
            // Every owned account is listed, so the other targets are shared ones.
            (Listed::Yes(list), Listed::No) => {
                let targets = self.targets().unwrap_or_default().into_iter();
                let shared: Vec<_> =
                    targets.map(|target| Reachable { owned: Some(false), ..target }).collect();
                Reach::Accounts(union(list, &shared))
            }
            (Listed::No, Listed::Yes(list)) => {
                self.targets().map_or(Reach::Unknown, |targets| Reach::Accounts(union(list, &targets)))
            }
            (Listed::No, Listed::No) => self.targets().map_or(Reach::Unknown, Reach::Accounts),
            (Listed::Yes(owned), Listed::Unread) => match old {
                Reach::Unread | Reach::Owned(_) => Reach::Owned(union(owned, &[])),
                Reach::Accounts(old) => Reach::Accounts(union(owned, &old)),
                Reach::Unknown => Reach::Unknown,
            },
            _ => old,
        }
    }

    pub(super) fn targets(&self) -> Option<Vec<Reachable>> {
        let token = self.observed.token.known().or_else(|| self.view_before.and_then(|v| v.token.known()))?;
        let mut ids = token.targets.clone()?;
        ids.sort();
        Some(ids.into_iter().map(|id| Reachable { id, name: None, owned: None }).collect())
    }
}

/// An edge that lists accounts.
enum Listed<'a> {
    Yes(&'a [Reachable]),
    /// The token may not list: a fact, not a failure.
    No,
    /// Refused, and not for a permission.
    Refused,
    /// Not read now.
    Unread,
}

fn listed(fact: &Fact<Arc<[Reachable]>>) -> Listed<'_> {
    match fact {
        Fact::Known(list) => Listed::Yes(list),
        Fact::Unknown(failure) if failure.is_answer() => {
            let is_permission = failure.refusal().is_some_and(Refusal::is_permission);
            if is_permission { Listed::No } else { Listed::Refused }
        }
        _ => Listed::Unread,
    }
}

/// Both, by id. What `a` says of an account goes before what `b` says.
fn union(a: &[Reachable], b: &[Reachable]) -> Vec<Reachable> {
    let mut all: Vec<Reachable> = a.iter().chain(b).cloned().collect();
    // Stable, so that of two with one id the one of `a` comes first.
    all.sort_by(|x, y| x.id.cmp(&y.id));
    all.dedup_by(|later, first| later.id == first.id);
    all
}
