//! What the API server has of one kind, kept up to date: for each namespace a list in pages, and a watch from there on.
//!
//! Each namespace goes its own way. One that may not be read counts as empty and is tried again, and slows nobody else.
//! A list that breaks off is begun anew, and what it had shown is gone unless the next one shows it too. No wait is without
//! an end: not for an answer, and not for a sign of life of a watch, for which the server sends bookmarks each minute.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use kube::{
    Client,
    api::{ListParams, ObjectMeta, WatchEvent, WatchParams},
    core::Selector,
};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::{
    cluster::{
        DEADLINE, causes,
        read::{Objects, PageSize, Readable, Stored, Wanted},
        refusal,
    },
    repeat::Repeats,
};

use super::{pace, room::Room};

/// What helps where the server refuses, and where it does not know the kind.
const RIGHTS: &str = "let the operator's ServiceAccount list and watch them, or do not watch the namespace";
const INSTALL: &str = "install the CRDs; readiness tells how";
/// The server ends a watch after this long, and it is begun again. Below the five minutes after which proxies cut it off.
const WATCH_SECONDS: u32 = 290;
/// A watch that says nothing for this long is dead: the server sends a bookmark about once a minute.
const SILENCE: Duration = Duration::from_secs(150);
/// Everything is listed anew this often, which repairs whatever was missed.
const RELIST: Duration = Duration::from_secs(12 * 60 * 60);
/// A sign that the watches go on. Whether the server gives one is another matter.
const BEAT: Duration = Duration::from_secs(60);
/// A watch that ends at once is not begun again before this.
const SHORTEST: Duration = Duration::from_secs(1);
/// What failed or was refused is tried again at least this often.
const LONGEST: Duration = Duration::from_secs(20);
/// A version that the server forgets sooner than this after it gave it: another list is no better. A watch that ends sooner
/// than this was not ended by its time.
const LASTING: Duration = Duration::from_secs(60);
/// A watch that fails this often without a word in between may stand on something that the server cannot serve: a list
/// says what there is.
const FAILURES: u32 = 4;
/// A namespace that was refused for this long without a break counts as empty, as it would after a restart.
const REFUSED_KEPT: Duration = Duration::from_secs(60 * 60);
/// So many watches in a row that ended early are told.
const CUT_SHORT: u32 = 8;
/// Why a list gives nothing whose next page answers that its version is too old.
const FORGOTTEN: &str = "the API server forgot the list between two of its pages";
/// A member that lags behind may serve an old list. One that is still older after this many tries is the truth: the
/// server's storage was restored.
const OLD_LISTS: u32 = 6;

/// Which objects an operator watches.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// None: all namespaces.
    pub namespaces: Vec<String>,
    /// Labels that an object carries, so that several operators can share a cluster.
    pub selector: Selector,
}

impl Watched {
    /// The selector, in words for people.
    pub fn labels(&self) -> Option<Arc<str>> {
        (!self.selector.selects_all()).then(|| self.selector.to_string().into())
    }
}

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

/// A server that fails and answers in turns voids no pauses: that it answers again counts once in this time.
const SETTLED: Duration = Duration::from_secs(30);

/// What a watch tells.
#[derive(Debug)]
pub enum News<'a, K> {
    /// An object as it is now. `is_first`: it was there before everything was listed for the first time.
    Shown {
        /// The same copy as long as the object is known.
        key: &'a Key,
        object: &'a Stored<K>,
        is_first: bool,
    },
    Gone(&'a Key),
    /// Every namespace was listed, or may not be read. It is told once.
    Filled,
    /// The server answers again for this namespace, or for all: what failed there because of it may be tried at once.
    Back(Option<&'a str>),
}

/// How one namespace is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// None: all namespaces.
    pub namespace: Option<String>,
    /// How long ago the server last gave a sign of life.
    pub age: Duration,
    /// Why it may not be read. It counts as empty if it was never listed, and for some kinds after a while.
    pub refused: Option<Refusal>,
    /// Why the last try failed.
    pub failure: Option<String>,
}

/// What the server says that lets nobody read, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub why: String,
    pub remedy: &'static str,
}

/// The watches of one kind. Clones share it.
#[derive(Clone, Debug)]
pub struct Watches {
    selector: Selector,
    scopes: Arc<Mutex<Vec<Scope>>>,
    repeats: Arc<Repeats>,
    /// Whether what was seen in a namespace is forgotten once that was refused for long.
    forgets: bool,
}

#[derive(Debug)]
struct Scope {
    namespace: Option<String>,
    is_listed: bool,
    sign: Instant,
    refused: Option<Refusal>,
    failure: Option<String>,
    /// When it was last told that the server answers again.
    back: Option<Instant>,
}

impl Watches {
    /// Of these objects.
    pub fn new(watched: &Watched) -> Self {
        let distinct: BTreeSet<&String> = watched.namespaces.iter().collect();
        let names: Vec<Option<String>> =
            if distinct.is_empty() { vec![None] } else { distinct.into_iter().cloned().map(Some).collect() };
        let scope = |namespace| Scope {
            namespace,
            is_listed: false,
            sign: Instant::now(),
            refused: None,
            failure: None,
            back: None,
        };
        let scopes = Arc::new(Mutex::new(names.into_iter().map(scope).collect()));
        Self { selector: watched.selector.clone(), scopes, repeats: Arc::default(), forgets: false }
    }

    /// What was seen in a namespace counts as gone once that was refused for long: it may have been deleted, its rights first.
    pub fn forgetting(self) -> Self {
        Self { forgets: true, ..self }
    }

    /// How each namespace is read.
    pub fn standing(&self) -> Vec<Standing> {
        let scopes = self.lock();
        let standing = scopes.iter().map(|scope| Standing {
            namespace: scope.namespace.clone(),
            age: scope.sign.elapsed(),
            refused: scope.refused.clone(),
            failure: scope.failure.clone(),
        });
        standing.collect()
    }

    fn names(&self) -> Vec<Option<String>> {
        self.lock().iter().map(|scope| scope.namespace.clone()).collect()
    }

    /// Everything that can be read was listed, and that is something.
    pub fn is_filled(&self) -> bool {
        let scopes = self.lock();
        scopes.iter().any(|scope| scope.is_listed)
            && scopes.iter().all(|scope| scope.is_listed || scope.refused.is_some())
    }

    fn listed(&self, at: usize) {
        if let Some(scope) = self.lock().get_mut(at) {
            scope.is_listed = true;
        }
    }

    /// The server answered. What failed before is over, unless more of the same list is to come: as long as that fails,
    /// nobody sees what changes. Gives back whether something had failed.
    fn sign(&self, at: usize, is_whole: bool) -> bool {
        self.lock().get_mut(at).is_some_and(|scope| {
            let namespace = scope.namespace.as_deref();
            if scope.refused.take().is_some()
                && let Some(repeated) = self.tell("read", namespace, "")
            {
                info!(namespace, repeated, "the namespace can be read");
            }
            let is_told = scope.back.is_some_and(|at| at.elapsed() < SETTLED);
            let is_back = scope.failure.is_some() && !is_told;
            if is_back {
                scope.back = Some(Instant::now());
            }
            if is_whole {
                scope.sign = Instant::now();
                scope.failure = None;
            }
            is_back
        })
    }

    /// Of which namespace this watch is, unless of all.
    fn namespace(&self, at: usize) -> Option<String> {
        self.lock().get(at).and_then(|scope| scope.namespace.clone())
    }

    /// A try failed. What is new of it is logged, and no repetition: where tries fail and succeed in turns, it is new each time.
    fn failed(&self, at: usize, kind: &str, trouble: &Trouble) {
        let mut scopes = self.lock();
        let Some(scope) = scopes.get_mut(at) else { return };
        let namespace = scope.namespace.as_deref();
        match trouble {
            Trouble::Refused(refusal) => {
                let Refusal { why, remedy } = refusal;
                if scope.refused.as_ref() != Some(refusal)
                    && let Some(repeated) = self.tell("refused", namespace, why)
                {
                    warn!(namespace, kind, %why, remedy, repeated, "cannot be read and counts as empty, tried again");
                }
                scope.refused = Some(refusal.clone());
            }
            Trouble::Expired => {}
            Trouble::Failed(why) => {
                if scope.failure.as_ref() != Some(why)
                    && let Some(repeated) = self.tell("failed", namespace, why)
                {
                    warn!(namespace, kind, %why, repeated, "watch failed, tried again");
                }
                scope.failure = Some(why.clone());
            }
        }
    }

    /// Whether this is to be told of a namespace now, and how often it came since it was last told.
    fn tell(&self, what: &str, namespace: Option<&str>, why: &str) -> Option<u64> {
        self.repeats.tell(&format!("{what} {} {why}", namespace.unwrap_or_default()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Scope>> {
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a list or a watch gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    /// The server has forgotten the version from which it was asked to go on.
    Expired,
    /// Not permitted, or not there.
    Refused(Refusal),
    Failed(String),
}

impl From<kube::Error> for Trouble {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from(*status),
            error => Self::Failed(causes(&error)),
        }
    }
}

impl From<kube::core::Status> for Trouble {
    fn from(status: kube::core::Status) -> Self {
        let why = refusal(&status);
        match status.code {
            410 => Self::Expired,
            403 => Self::Refused(Refusal { why, remedy: RIGHTS }),
            404 => Self::Refused(Refusal { why, remedy: INSTALL }),
            _ => Self::Failed(why),
        }
    }
}

fn silent(what: &str, time: Duration) -> Trouble {
    Trouble::Failed(format!("{what} within {} s", time.as_secs()))
}

/// Watches until it is dropped. `take` is told everything, and never twice at one time. `beat` is called again and again.
pub async fn watch<K: Readable>(
    client: &Client,
    watches: &Watches,
    beat: impl Fn() + Sync,
    take: impl Fn(News<'_, K>) + Sync,
) {
    let ends = Mutex::new(Taking { is_filled: false, take });
    let follow = watches.names().into_iter().enumerate().map(|(at, namespace)| {
        Follow {
            objects: Objects::new(client, namespace.as_deref()),
            at,
            watches,
            taking: &ends,
            known: HashSet::new(),
            held: HashSet::new(),
            newest: None,
            old_lists: 0,
            forgotten: 0,
            cut_short: 0,
            refused_since: None,
            size: PageSize::default(),
        }
        .run()
    });
    let beating = async {
        loop {
            beat();
            sleep(BEAT).await;
        }
    };
    tokio::select! {
        _ = join_all(follow) => {}
        () = beating => {}
    }
}

/// Who is told, by all namespaces.
struct Taking<F> {
    is_filled: bool,
    take: F,
}

/// One namespace.
struct Follow<'a, K, F> {
    objects: Objects<K>,
    /// Its place among the watches.
    at: usize,
    watches: &'a Watches,
    taking: &'a Mutex<Taking<F>>,
    /// What was shown and is not gone.
    known: HashSet<Key>,
    /// Those of them that a finalizer keeps: nothing but its removal lets them go.
    held: HashSet<Key>,
    /// The newest version that was seen, where versions are numbers.
    newest: Option<u64>,
    old_lists: u32,
    /// Lists in a row of which the server forgot the version at once.
    forgotten: u32,
    /// Watches in a row that ended early.
    cut_short: u32,
    /// Since when every try was refused.
    refused_since: Option<Instant>,
    size: PageSize,
}

impl<K: Readable, F: Fn(News<'_, K>)> Follow<'_, K, F> {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            let Err(trouble) = self.round(&mut failures).await else { continue };
            failures += 1;
            self.failed(&trouble);
            sleep(pace::after_failures(failures).min(LONGEST)).await;
        }
    }

    /// A list, and a watch from there on for as long as the server can go on from what was seen last.
    async fn round(&mut self, failures: &mut u32) -> Result<(), Trouble> {
        let mut version = self.list().await?;
        *failures = 0;
        let listed = Instant::now();
        loop {
            if listed.elapsed() >= RELIST {
                return Ok(());
            }
            let begun = Instant::now();
            match self.stream(&mut version, failures).await {
                Err(Trouble::Expired) => {
                    self.forgot(listed.elapsed()).await;
                    return Ok(());
                }
                Ok(()) => {
                    self.ended(begun.elapsed());
                    sleep(SHORTEST.saturating_sub(begun.elapsed())).await;
                }
                Err(trouble) if *failures >= FAILURES => return Err(trouble),
                Err(trouble) => {
                    *failures += 1;
                    self.failed(&trouble);
                    sleep(pace::after_failures(*failures).min(LONGEST)).await;
                }
            }
        }
    }

    /// The server has forgotten the version of a list after this long. It remembers so much and no more; where that is nothing
    /// at all, it is asked for lists less and less often.
    async fn forgot(&mut self, after: Duration) {
        if after >= LASTING {
            self.forgotten = 0;
            return;
        }
        self.forgotten += 1;
        if self.forgotten == FAILURES {
            let kind = K::kind(&());
            warn!(%kind, "the API server forgets each list at once, so what changes is seen late; look at its storage");
        }
        sleep(pace::after_failures(self.forgotten).min(LONGEST)).await;
    }

    /// The server ended a watch after this long. Nothing is missed, since the next one goes on where it ended; but each costs a
    /// request, and what changes in between is seen that much later.
    fn ended(&mut self, after: Duration) {
        self.cut_short = if after < LASTING { self.cut_short.saturating_add(1) } else { 0 };
        if self.cut_short == CUT_SHORT {
            let (kind, namespace) = (K::kind(&()), self.watches.namespace(self.at));
            let namespace = namespace.as_deref();
            warn!(namespace, %kind, "each watch ends early and is begun again; look at what stands before the API server");
        }
    }

    /// Tells all that there is and takes back what is not there any more. Gives back the version of the list.
    async fn list(&mut self) -> Result<String, Trouble> {
        let mut listed = HashSet::new();
        let mut params = ListParams::default().labels_from(&self.watches.selector);
        loop {
            let page = timeout(DEADLINE, self.objects.page(&params, Wanted::Shown, &mut self.size)).await;
            let page = page.map_err(|_| {
                self.size.shrink();
                silent("no answer to a list", DEADLINE)
            })?;
            let mut page = page.map_err(|error| match Trouble::from(error) {
                // Of a list that is whole nothing can be forgotten: whoever is told so sees nothing at all.
                Trouble::Expired => Trouble::Failed(FORGOTTEN.to_owned()),
                trouble => trouble,
            })?;
            let (version, next) = (std::mem::take(&mut page.version), page.next.take());
            if params.continue_token.is_none() {
                self.refuse_old(&version)?;
            }
            self.sign(next.is_none());
            for object in page.objects() {
                listed.insert(self.shown(object?));
            }
            match next {
                Some(token) => params = params.continue_token(&token),
                None => {
                    let vanished: Vec<Key> = self.known.difference(&listed).cloned().collect();
                    for key in &vanished {
                        self.gone(key);
                    }
                    self.watches.listed(self.at);
                    self.fill();
                    return Ok(version);
                }
            }
        }
    }

    fn refuse_old(&mut self, version: &str) -> Result<(), Trouble> {
        let number: Option<u64> = version.parse().ok();
        if number.zip(self.newest).is_some_and(|(now, newest)| now < newest) && self.old_lists < OLD_LISTS {
            self.old_lists += 1;
            let why = format!("the list is of version {version}, which is older than what was seen before");
            return Err(Trouble::Failed(why));
        }
        self.old_lists = 0;
        self.newest = number;
        Ok(())
    }

    async fn stream(&mut self, version: &mut String, failures: &mut u32) -> Result<(), Trouble> {
        let params = WatchParams::default().timeout(WATCH_SECONDS).labels_from(&self.watches.selector);
        let events = timeout(DEADLINE, self.objects.watch(&params, version)).await;
        let mut events = events.map_err(|_| silent("no answer to a watch", DEADLINE))??;
        self.sign(true);
        loop {
            let event = timeout(SILENCE, events.next()).await;
            let Some(event) = event.map_err(|_| silent("no sign of life of a watch", SILENCE))?? else {
                return Ok(());
            };
            let seen = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    let seen = object.meta().resource_version.clone();
                    self.shown(object);
                    seen
                }
                WatchEvent::Deleted(object) => {
                    self.gone(&Key::of(object.meta()));
                    object.meta().resource_version.clone()
                }
                WatchEvent::Bookmark(mark) => Some(mark.metadata.resource_version),
                WatchEvent::Error(status) => return Err(Trouble::from(*status)),
            };
            self.sign(true);
            *failures = 0;
            if let Some(seen) = seen {
                self.newest = seen.parse().ok().max(self.newest);
                *version = seen;
            }
        }
    }

    fn shown(&mut self, object: Stored<K>) -> Key {
        let mut key = Key::of(object.meta());
        // Also of a list that breaks off: the next one says whether it is still there.
        match self.known.get(&key) {
            Some(known) => key = known.clone(),
            None => {
                if let Some(other) = self.known.iter().next().filter(|other| other.namespace == key.namespace)
                {
                    key.namespace = other.namespace.clone();
                }
                self.known.insert(key.clone());
            }
        }
        if object.meta().finalizers.as_ref().is_some_and(|all| !all.is_empty()) {
            self.held.insert(key.clone());
        } else {
            self.held.remove(&key);
        }
        let taking = self.taking();
        (taking.take)(News::Shown { key: &key, object: &object, is_first: !taking.is_filled });
        drop(taking);
        key
    }

    fn gone(&mut self, key: &Key) {
        self.held.remove(key);
        self.known.remove(key);
        self.known.give_back();
        (self.taking().take)(News::Gone(key));
    }

    fn sign(&mut self, is_whole: bool) {
        self.refused_since = None;
        if self.watches.sign(self.at, is_whole) {
            (self.taking().take)(News::Back(self.watches.namespace(self.at).as_deref()));
        }
    }

    fn failed(&mut self, trouble: &Trouble) {
        self.watches.failed(self.at, &K::kind(&()), trouble);
        self.fill();
        if !matches!(trouble, Trouble::Refused(_)) {
            self.refused_since = None;
            return;
        }
        let since = *self.refused_since.get_or_insert_with(Instant::now);
        if since.elapsed() < REFUSED_KEPT || !self.watches.forgets {
            return;
        }
        // Of a whole cluster nothing is forgotten: there is nowhere else that its numbers could be claimed.
        let Some(namespace) = self.watches.namespace(self.at) else { return };
        let seen: Vec<Key> = self.known.difference(&self.held).cloned().collect();
        if !seen.is_empty() {
            warn!(
                namespace,
                objects = seen.len(),
                remedy = RIGHTS,
                "the namespace could not be read for an hour: what was seen there counts as gone"
            );
        }
        for key in &seen {
            self.gone(key);
        }
    }

    fn fill(&self) {
        let mut taking = self.taking();
        if !taking.is_filled && self.watches.is_filled() {
            taking.is_filled = true;
            (taking.take)(News::Filled);
        }
    }

    fn taking(&self) -> MutexGuard<'_, Taking<F>> {
        self.taking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
