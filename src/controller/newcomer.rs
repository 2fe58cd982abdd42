//! Channels that no operator has seen yet, as their watch showed them.
//!
//! A first pass needs nothing else of the API server, so it does without a read of its own. What it writes names the
//! version that the watch showed: of an object that was changed since, nothing is written.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::api::v1alpha1::WhatsAppChannel;

use super::watch::Key;

/// Most that are kept, some 2 KiB each. Of those beyond, the first pass reads the object itself.
const MOST: usize = 2_048;

/// Those that wait for their first pass.
#[derive(Default)]
pub struct Newcomers(Mutex<BTreeMap<Key, WhatsAppChannel>>);

impl Newcomers {
    /// The watch shows a channel.
    pub fn shows(&self, key: &Key, channel: &WhatsAppChannel) {
        let mut kept = self.kept();
        kept.remove(key);
        if is_plain(channel) && kept.len() < MOST {
            kept.insert(key.clone(), channel.clone());
        }
    }

    pub fn forget(&self, key: &Key) {
        self.kept().remove(key);
    }

    /// A pass that gave way leaves what it worked on for its next turn, unless the watch showed it again meanwhile.
    pub fn give_back(&self, key: &Key, channel: WhatsAppChannel) {
        let mut kept = self.kept();
        if is_plain(&channel) && kept.len() < MOST {
            kept.entry(key.clone()).or_insert(channel);
        }
    }

    /// For one pass; the next one reads the object.
    pub fn take(&self, key: &Key, uid: &str) -> Option<WhatsAppChannel> {
        self.kept().remove(key).filter(|channel| channel.metadata.uid.as_deref() == Some(uid))
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<Key, WhatsAppChannel>> {
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
            newcomers.shows(&key("support"), &shown(meta, status));
            assert_eq!(newcomers.take(&key("support"), uid).is_some(), is_kept, "{what}");
            assert!(newcomers.take(&key("support"), uid).is_none(), "{what}: once");
        }
    }

    #[test]
    fn what_the_watch_shows_later_replaces_what_it_showed() {
        let newcomers = Newcomers::default();
        let new = shown(json!({}), json!({"observedGeneration": -1}));
        newcomers.shows(&key("support"), &new);
        newcomers.shows(&key("support"), &shown(json!({}), json!({"observedGeneration": 1})));
        assert!(newcomers.take(&key("support"), "u-1").is_none());
        newcomers.shows(&key("support"), &new);
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
        newcomers.shows(&key("support"), &shown(json!({"resourceVersion": "9"}), Value::Null));
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
            newcomers.shows(name, &new);
        }
        newcomers.give_back(&key("one-more"), new);
        assert!(newcomers.take(&key("one-more"), "u-1").is_none());
        let kept = names.iter().filter(|name| newcomers.take(name, "u-1").is_some()).count();
        assert_eq!(kept, MOST);
    }
}
