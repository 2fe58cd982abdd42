//! Channels that no operator has seen yet, as their watch showed them.
//!
//! A first pass needs nothing else of the API server, so it does without a read of its own. What it writes names the
//! version that the watch showed: of an object that was changed since, nothing is written. In which accounts they are to be
//! is known before that, so the list of an account can be there when the first of its channels has its turn.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::api::v1alpha1::WhatsAppChannel;
use crate::engine::{desired::PortfolioRef, id::AccountId};

use super::{resting::AccountOf, watch::Key};

/// Most that are kept, some 2 KiB each. Of those beyond, the first pass reads the object itself.
const MOST: usize = 2_048;

/// Those that wait for their first pass.
#[derive(Default)]
pub struct Newcomers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    shown: BTreeMap<Key, WhatsAppChannel>,
    /// Accounts that new channels name, until a first pass was made there.
    accounts: BTreeSet<AccountOf>,
}

impl Newcomers {
    /// The watch shows a channel of this portfolio.
    pub fn shows(&self, key: &Key, portfolio: &PortfolioRef, channel: &WhatsAppChannel) {
        let mut kept = self.kept();
        kept.shown.remove(key);
        if !is_plain(channel) {
            return;
        }
        if let Some(account) = channel.spec.account_id.as_deref().filter(|_| kept.accounts.len() < MOST) {
            kept.accounts
                .insert(AccountOf { portfolio: portfolio.clone(), account: AccountId::from(account) });
        }
        if kept.shown.len() < MOST {
            kept.shown.insert(key.clone(), channel.clone());
        }
    }

    pub fn forget(&self, key: &Key) {
        self.kept().shown.remove(key);
    }

    /// A first pass in this account was made.
    pub fn looked_in(&self, of: &AccountOf) {
        self.kept().accounts.remove(of);
    }

    /// All accounts of a portfolio in which no first pass was made yet. Whoever asks wishes for their lists.
    pub fn take_accounts(&self, portfolio: &PortfolioRef) -> Vec<AccountOf> {
        let mut taken = Vec::new();
        self.kept().accounts.retain(|of| {
            let is_other = of.portfolio != *portfolio;
            if !is_other {
                taken.push(of.clone());
            }
            is_other
        });
        taken
    }

    /// A pass that gave way leaves what it worked on for its next turn, unless the watch showed it again meanwhile.
    pub fn give_back(&self, key: &Key, channel: WhatsAppChannel) {
        let kept = &mut self.kept().shown;
        if is_plain(&channel) && kept.len() < MOST {
            kept.entry(key.clone()).or_insert(channel);
        }
    }

    /// For one pass; the next one reads the object.
    pub fn take(&self, key: &Key, uid: &str) -> Option<WhatsAppChannel> {
        self.kept().shown.remove(key).filter(|channel| channel.metadata.uid.as_deref() == Some(uid))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who set an annotation is not shown, so one that asks for something is read.
fn is_plain(channel: &WhatsAppChannel) -> bool {
    let meta = &channel.metadata;
    let asks = meta.annotations.as_ref().is_some_and(|annotations| !annotations.is_empty());
    let is_bound = meta.deletion_timestamp.is_some() || meta.finalizers.is_some();
    channel.seen().is_none() && !asks && !is_bound
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn key(name: &str) -> Key {
        Key { namespace: "shop".into(), name: name.into() }
    }

    fn acme() -> PortfolioRef {
        PortfolioRef { namespace: "shop".into(), name: "acme".into() }
    }

    fn shown(meta: Value, status: Value) -> WhatsAppChannel {
        let mut metadata =
            json!({"name": "support", "namespace": "shop", "uid": "u-1", "resourceVersion": "7"});
        metadata.as_object_mut().expect("members").extend(meta.as_object().cloned().expect("members"));
        serde_json::from_value(json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel", "metadata": metadata,
            "status": status,
            "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme"},
        }))
        .expect("a channel")
    }

    #[test]
    fn only_what_nobody_has_seen_and_asks_for_nothing_is_kept_and_once() {
        let unseen = || json!({"observedGeneration": -1});
        let asks = json!({"annotations": {"whatsapp-operator.dev/send-code": "one"}});
        for (what, meta, status, uid, is_kept) in [
            ("new", json!({}), unseen(), "u-1", true),
            ("of a server that fills in no status", json!({}), Value::Null, "u-1", true),
            ("another object of that name", json!({}), unseen(), "u-2", false),
            ("seen", json!({}), json!({"observedGeneration": 1}), "u-1", false),
            ("who asked is not shown", asks, unseen(), "u-1", false),
            ("going", json!({"deletionTimestamp": "2026-10-01T00:00:00Z"}), unseen(), "u-1", false),
            ("held", json!({"finalizers": ["example.com/other"]}), unseen(), "u-1", false),
        ] {
            let newcomers = Newcomers::default();
            newcomers.shows(&key("support"), &acme(), &shown(meta, status));
            assert_eq!(newcomers.take(&key("support"), uid).is_some(), is_kept, "{what}");
            assert!(newcomers.take(&key("support"), uid).is_none(), "{what}: once");
        }
    }

    #[test]
    fn what_the_watch_shows_later_replaces_what_it_showed() {
        let newcomers = Newcomers::default();
        let new = shown(json!({}), json!({"observedGeneration": -1}));
        newcomers.shows(&key("support"), &acme(), &new);
        newcomers.shows(&key("support"), &acme(), &shown(json!({}), json!({"observedGeneration": 1})));
        assert!(newcomers.take(&key("support"), "u-1").is_none());
        newcomers.shows(&key("support"), &acme(), &new);
        newcomers.forget(&key("support"));
        assert!(newcomers.take(&key("support"), "u-1").is_none());
    }

    #[test]
    fn a_pass_that_gave_way_finds_what_it_left_unless_that_is_not_new_any_more() {
        let newcomers = Newcomers::default();
        let new = || shown(json!({}), json!({"observedGeneration": -1}));
        newcomers.give_back(&key("support"), new());
        assert!(newcomers.take(&key("support"), "u-1").is_some());
        newcomers.give_back(&key("support"), shown(json!({}), json!({"observedGeneration": 1})));
        assert!(newcomers.take(&key("support"), "u-1").is_none(), "seen");
        newcomers.shows(&key("support"), &acme(), &shown(json!({"resourceVersion": "9"}), Value::Null));
        newcomers.give_back(&key("support"), new());
        let kept = newcomers.take(&key("support"), "u-1").expect("it is kept");
        assert_eq!(kept.metadata.resource_version.as_deref(), Some("9"), "what the watch showed later");
    }

    #[test]
    fn a_crowd_does_not_fill_the_memory() {
        let newcomers = Newcomers::default();
        let new = shown(json!({}), Value::Null);
        let names: Vec<Key> = (0..=MOST).map(|n| key(&format!("c{n}"))).collect();
        for name in &names {
            newcomers.shows(name, &acme(), &new);
        }
        newcomers.give_back(&key("one-more"), new);
        assert!(newcomers.take(&key("one-more"), "u-1").is_none());
        let kept = names.iter().filter(|name| newcomers.take(name, "u-1").is_some()).count();
        assert_eq!(kept, MOST);
    }

    #[test]
    fn the_first_pass_of_a_portfolio_learns_in_which_accounts_others_are_to_be() {
        let newcomers = Newcomers::default();
        let to_be_in = |account: &str| {
            let mut channel = shown(json!({}), Value::Null);
            channel.spec.account_id = Some(account.to_owned());
            channel
        };
        let other = PortfolioRef { name: "other".into(), ..acme() };
        let of = |portfolio: &PortfolioRef, account: &str| AccountOf {
            portfolio: portfolio.clone(),
            account: account.into(),
        };
        newcomers.shows(&key("a"), &acme(), &to_be_in("300"));
        newcomers.shows(&key("b"), &acme(), &to_be_in("300"));
        newcomers.shows(&key("c"), &acme(), &to_be_in("301"));
        newcomers.shows(&key("d"), &other, &to_be_in("302"));
        newcomers.shows(&key("e"), &acme(), &shown(json!({}), Value::Null));
        newcomers.looked_in(&of(&acme(), "301"));
        assert_eq!(newcomers.take_accounts(&acme()), [of(&acme(), "300")]);
        assert_eq!(newcomers.take_accounts(&acme()), []);
        assert_eq!(newcomers.take_accounts(&other), [of(&other, "302")]);
    }
}
