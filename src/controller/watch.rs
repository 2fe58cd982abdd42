//! One stream of events from one watch for each namespace.
//!
//! A watch that lists anew would wipe the other namespaces out of a shared store.
//! Here a new list becomes what it means: applied objects, and deletions of those
//! that vanished. The store counts as filled once every namespace was listed.

use std::{collections::HashSet, sync::Arc};

use futures::{Stream, StreamExt, stream};
use kube::{
    Api, Client, Resource,
    api::ObjectMeta,
    core::{DeserializeGuard, error_boundary::InvalidObject},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;

/// Objects of one page of a list: a page is in memory whole, several times over, while it is read.
const PAGE: u32 = 100;

/// Namespace and name; clones share their text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl Key {
    /// Of an object of a namespaced kind.
    pub fn of(meta: &ObjectMeta) -> Self {
        Self {
            namespace: meta.namespace.as_deref().unwrap_or_default().into(),
            name: meta.name.as_deref().unwrap_or_default().into(),
        }
    }
}

/// Watches the namespaces, or all when there are none, as one.
pub fn watch<K>(
    client: &Client,
    namespaces: &[String],
) -> impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>> + Send + 'static
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug
        + Send
        + 'static,
{
    let apis: Vec<Api<DeserializeGuard<K>>> = if namespaces.is_empty() {
        vec![Api::all(client.clone())]
    } else {
        let distinct: HashSet<&String> = namespaces.iter().collect();
        distinct.into_iter().map(|ns| Api::namespaced(client.clone(), ns)).collect()
    };
    let mut merge = Merge::new(apis.len());
    let watches = apis.into_iter().enumerate().map(|(at, api)| {
        watcher(api, watcher::Config::default().page_size(PAGE))
            .default_backoff()
            .map(move |event| (at, event))
            .boxed()
    });
    stream::select_all(watches).flat_map(move |(at, event)| {
        stream::iter(match event {
            Ok(event) => merge.take(at, event).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    })
}

/// What each watch knows, and whether all of them have been listed.
struct Merge<K> {
    parts: Vec<Part>,
    is_started: bool,
    is_filled: bool,
    /// Deleted before every namespace was listed; a store cannot take that in while it is being filled.
    deleted: Vec<(Key, DeserializeGuard<K>)>,
}

#[derive(Default)]
struct Part {
    is_listed: bool,
    known: HashSet<Key>,
    listing: Option<HashSet<Key>>,
}

impl<K: Resource> Merge<K> {
    fn new(parts: usize) -> Self {
        Self {
            parts: (0..parts).map(|_| Part::default()).collect(),
            is_started: false,
            is_filled: false,
            deleted: Vec::new(),
        }
    }

    fn take(&mut self, at: usize, event: Event<DeserializeGuard<K>>) -> Vec<Event<DeserializeGuard<K>>> {
        let Some(part) = self.parts.get_mut(at) else { return Vec::new() };
        match event {
            Event::Init => {
                part.listing = Some(HashSet::new());
                if std::mem::replace(&mut self.is_started, true) { Vec::new() } else { vec![Event::Init] }
            }
            Event::InitApply(object) => {
                let key = Key::of(object.meta());
                part.listing.get_or_insert_default().insert(key.clone());
                vec![self.applied(&key, object)]
            }
            Event::InitDone => {
                let listed = part.listing.take().unwrap_or_default();
                let vanished: Vec<Key> = std::mem::replace(&mut part.known, listed).into_iter().collect();
                part.is_listed = true;
                let vanished: Vec<Key> =
                    vanished.into_iter().filter(|key| !self.parts[at].known.contains(key)).collect();
                let vanished = vanished.into_iter().map(|key| {
                    let object = gone(&key);
                    (key, object)
                });
                if self.is_filled {
                    return vanished.map(|(_, object)| Event::Delete(object)).collect();
                }
                self.deleted.extend(vanished);
                if !self.parts.iter().all(|part| part.is_listed) {
                    return Vec::new();
                }
                self.is_filled = true;
                let deleted = self.deleted.drain(..).map(|(_, object)| Event::Delete(object));
                std::iter::once(Event::InitDone).chain(deleted).collect()
            }
            Event::Apply(object) => {
                let key = Key::of(object.meta());
                part.known.insert(key.clone());
                vec![self.applied(&key, object)]
            }
            Event::Delete(object) => {
                let key = Key::of(object.meta());
                part.known.remove(&key);
                if self.is_filled {
                    return vec![Event::Delete(object)];
                }
                self.deleted.push((key, object));
                Vec::new()
            }
        }
    }

    fn applied(&mut self, key: &Key, object: DeserializeGuard<K>) -> Event<DeserializeGuard<K>> {
        if self.is_filled {
            return Event::Apply(object);
        }
        self.deleted.retain(|(deleted, _)| deleted != key);
        Event::InitApply(object)
    }
}

/// An object of which nothing is left but its key.
fn gone<K>(key: &Key) -> DeserializeGuard<K> {
    DeserializeGuard(Err(InvalidObject {
        error: "deleted while it was not watched".into(),
        metadata: ObjectMeta {
            namespace: Some(key.namespace.to_string()),
            name: Some(key.name.to_string()),
            ..ObjectMeta::default()
        },
    }))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn object(namespace: &str, name: &str) -> DeserializeGuard<ConfigMap> {
        gone(&Key { namespace: namespace.into(), name: name.into() })
    }

    fn told(events: Vec<Event<DeserializeGuard<ConfigMap>>>) -> Vec<String> {
        let name = |o: &DeserializeGuard<ConfigMap>| o.meta().name.clone().unwrap_or_default();
        events
            .iter()
            .map(|event| match event {
                Event::Init => "init".to_owned(),
                Event::InitApply(o) => format!("listed {}", name(o)),
                Event::InitDone => "filled".to_owned(),
                Event::Apply(o) => format!("applied {}", name(o)),
                Event::Delete(o) => format!("deleted {}", name(o)),
            })
            .collect()
    }

    #[test]
    fn nothing_is_filled_before_every_namespace_is() {
        let mut merge = Merge::new(2);
        assert_eq!(told(merge.take(0, Event::Init)), ["init"]);
        assert_eq!(told(merge.take(0, Event::InitApply(object("a", "one")))), ["listed one"]);
        assert_eq!(told(merge.take(0, Event::InitDone)), [""; 0]);
        assert_eq!(told(merge.take(1, Event::Init)), [""; 0]);
        assert_eq!(told(merge.take(0, Event::Apply(object("a", "two")))), ["listed two"]);
        assert_eq!(told(merge.take(0, Event::Delete(object("a", "one")))), [""; 0]);
        assert_eq!(told(merge.take(1, Event::InitDone)), ["filled", "deleted one"]);
        assert_eq!(told(merge.take(1, Event::Apply(object("b", "three")))), ["applied three"]);
    }

    #[test]
    fn a_new_list_of_one_namespace_leaves_the_others_alone() {
        let mut merge = Merge::new(2);
        for at in 0..2 {
            merge.take(at, Event::Init);
            merge.take(at, Event::InitApply(object(["a", "b"][at], "kept")));
            merge.take(at, Event::InitApply(object(["a", "b"][at], "lost")));
            merge.take(at, Event::InitDone);
        }
        assert_eq!(told(merge.take(0, Event::Init)), [""; 0]);
        assert_eq!(told(merge.take(0, Event::InitApply(object("a", "kept")))), ["applied kept"]);
        assert_eq!(told(merge.take(0, Event::InitDone)), ["deleted lost"]);
    }
}
