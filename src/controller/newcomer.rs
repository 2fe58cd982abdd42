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

/// Most that are kept, and their bytes. Of those beyond, the first pass reads the object itself.
const MOST: usize = 16_384;
const MOST_BYTES: usize = 8 * 1_024 * 1_024;

/// Those that wait for their first pass.
#[derive(Default)]
pub struct Newcomers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// As JSON, which takes a third of the room.
    shown: BTreeMap<Key, Box<[u8]>>,
    /// Of all of them.
    bytes: usize,
    /// Accounts that new channels name, until a first pass was made there.
    accounts: BTreeSet<AccountOf>,
    /// Who gave way until the list of which account is there; who came first, stands first.
    waiting: BTreeMap<Key, (u64, AccountOf)>,
    waited: u64,
}

impl Kept {
    /// Unless something is kept of it, or it would be too much.
    fn keep(&mut self, key: &Key, channel: &WhatsAppChannel) {
        if self.shown.len() >= MOST || self.shown.contains_key(key) {
            return;
        }
        let Ok(json) = serde_json::to_vec(channel) else { return };
        if json.len() <= MOST_BYTES - self.bytes {
            self.bytes += json.len();
            self.shown.insert(key.clone(), json.into());
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Box<[u8]>> {
        let json = self.shown.remove(key)?;
        self.bytes -= json.len();
        Some(json)
    }
}

impl Newcomers {
    /// The watch shows a channel of this portfolio.
    pub fn shows(&self, key: &Key, portfolio: &PortfolioRef, channel: &WhatsAppChannel) {
        let mut kept = self.kept();
        kept.remove(key);
        if !is_plain(channel) {
            return;
        }
        if let Some(account) = channel.spec.account_id.as_deref().filter(|_| kept.accounts.len() < MOST) {
            kept.accounts
                .insert(AccountOf { portfolio: portfolio.clone(), account: AccountId::from(account) });
        }
        kept.keep(key, channel);
    }

    pub fn forget(&self, key: &Key) {
        let mut kept = self.kept();
        kept.remove(key);
        kept.waiting.remove(key);
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
    pub fn give_back(&self, key: &Key, channel: &WhatsAppChannel) {
        if is_plain(channel) {
            self.kept().keep(key, channel);
        }
    }

    /// A pass gave way until this account's list is there. Of those beyond the most that are kept, time alone is waited for.
    pub fn waits(&self, key: &Key, of: AccountOf) {
        let mut kept = self.kept();
        if kept.waiting.len() < MOST {
            kept.waited += 1;
            let number = kept.waited;
            kept.waiting.insert(key.clone(), (number, of));
        }
    }

    /// The account's list is there, or will not come: all who wait for it.
    pub fn take_waiting(&self, of: &AccountOf) -> Vec<Key> {
        let mut taken = Vec::new();
        self.kept().waiting.retain(|key, (number, waits)| {
            let is_other = waits != of;
            if !is_other {
                taken.push((*number, key.clone()));
            }
            is_other
        });
        taken.sort_unstable();
        taken.into_iter().map(|(_, key)| key).collect()
    }

    /// For one pass, which waits for nothing any more; the next one reads the object.
    pub fn take(&self, key: &Key, uid: &str) -> Option<WhatsAppChannel> {
        let json = {
            let mut kept = self.kept();
            kept.waiting.remove(key);
            kept.remove(key)?
        };
        let channel: WhatsAppChannel = serde_json::from_slice(&json).ok()?;
        (channel.metadata.uid.as_deref() == Some(uid)).then_some(channel)
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
        newcomers.give_back(&key("support"), &new());
        assert!(newcomers.take(&key("support"), "u-1").is_some());
        newcomers.give_back(&key("support"), &shown(json!({}), json!({"observedGeneration": 1})));
        assert!(newcomers.take(&key("support"), "u-1").is_none(), "seen");
        newcomers.shows(&key("support"), &acme(), &shown(json!({"resourceVersion": "9"}), Value::Null));
        newcomers.give_back(&key("support"), &new());
        let kept = newcomers.take(&key("support"), "u-1").expect("it is kept");
        assert_eq!(kept.metadata.resource_version.as_deref(), Some("9"), "what the watch showed later");
    }

    #[test]
    fn those_that_gave_way_for_a_list_are_told_once_and_a_crowd_of_them_is_bounded() {
        let newcomers = Newcomers::default();
        let of = |account: &str| AccountOf { portfolio: acme(), account: account.into() };
        for n in 0..MOST {
            newcomers.waits(&key(&format!("c{n}")), of(["300", "301"][n % 2]));
        }
        newcomers.waits(&key("one-more"), of("302"));
        assert_eq!(newcomers.take_waiting(&of("302")), []);
        let even = newcomers.take_waiting(&of("300"));
        assert_eq!((even.len(), &even[1]), (MOST / 2, &key("c2")), "first come first");
        assert_eq!(newcomers.take_waiting(&of("300")), []);
        for name in ["one-more", "passed", "gone"] {
            newcomers.waits(&key(name), of("302"));
        }
        newcomers.take(&key("passed"), "u-1");
        newcomers.forget(&key("gone"));
        assert_eq!(newcomers.take_waiting(&of("302")), [key("one-more")], "who had its turn waits no more");
    }

    #[test]
    fn a_crowd_does_not_fill_the_memory() {
        let newcomers = Newcomers::default();
        let new = shown(json!({}), Value::Null);
        let names: Vec<Key> = (0..=MOST).map(|n| key(&format!("c{n}"))).collect();
        for name in &names {
            newcomers.shows(name, &acme(), &new);
        }
        newcomers.give_back(&key("one-more"), &new);
        assert!(newcomers.take(&key("one-more"), "u-1").is_none());
        let kept = names.iter().filter(|name| newcomers.take(name, "u-1").is_some()).count();
        assert_eq!(kept, MOST);
    }

    #[test]
    fn a_crowd_of_large_ones_does_not_fill_the_memory_and_leaves_its_room() {
        let newcomers = Newcomers::default();
        let large = || {
            let mut channel = shown(json!({}), Value::Null);
            channel.spec.display_name = "x".repeat(250 * 1_024);
            channel
        };
        let all = |newcomers: &Newcomers| {
            for n in 0..100 {
                newcomers.shows(&key(&format!("c{n}")), &acme(), &large());
                // Shown again, it takes no more than once.
                newcomers.shows(&key(&format!("c{n}")), &acme(), &large());
                newcomers.give_back(&key(&format!("c{n}")), &large());
            }
            let (kept, size) = (newcomers.kept(), serde_json::to_vec(&large()).expect("JSON").len());
            assert!(kept.bytes <= MOST_BYTES && kept.bytes > MOST_BYTES - size, "{}", kept.bytes);
            assert_eq!((kept.shown.len(), kept.bytes), (32, 32 * size));
        };
        all(&newcomers);
        newcomers.give_back(&key("c99"), &large());
        assert!(newcomers.take(&key("c99"), "u-1").is_none());
        for n in 0..100 {
            match n % 2 {
                0 => newcomers.forget(&key(&format!("c{n}"))),
                _ => drop(newcomers.take(&key(&format!("c{n}")), "u-1")),
            }
        }
        assert_eq!(newcomers.kept().bytes, 0);
        all(&newcomers);
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
