//! Objects as the API server sends them: read as they come in, and no more of them than is needed.
//!
//! Who may write an object decides how large it is, up to the 1.5 MB of the API server's store. So labels, the annotations
//! of others and whatever else is not asked for are passed over while they come in. What is kept has a limit for each
//! object, beyond which it is refused by its name, and one for each page of a list.

use std::{borrow::Cow, fmt, io, marker::PhantomData, pin::Pin};

use futures::{AsyncBufRead, AsyncBufReadExt};
use hyper::Request;
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Client, Resource,
    api::{GetParams, ListParams, ObjectMeta, Patch, PatchParams, WatchEvent, WatchParams},
    core,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::{Instrument as _, debug_span};

use super::sieve::{Kept, Rule, Sieve};
use crate::{
    api::lower::{GROUP, USE_LABEL},
    escape,
};

/// Most that is kept of one object: spec, status, the annotations of this group, and who set those. That is about twice
/// what the largest ones have. The API server allows as much for all annotations of an object together.
pub const MOST_OBJECT: usize = 256 * 1_024;
/// Most that is kept of an object with a picture: 1 MiB of data, which is all that the API server takes, in base64.
pub(super) const MOST_LARGE: usize = 1_536 * 1_024;
/// Objects of one page of a list.
const PAGE: u32 = 100;
/// Most that is kept of a page, and most that comes in for one. Beyond it fewer objects are asked for.
const MOST_KEPT: usize = 4 * 1_024 * 1_024;
const MOST_RECEIVED: usize = 16 * 1_024 * 1_024;

/// What is read of an object.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// What a watch needs: what it is called, its versions, spec, status and the annotations of this group.
    Shown,
    /// And who set those annotations.
    Live,
    /// What stands under one key of its data.
    Data(&'a str),
    /// The same, also of binary data, and as large as an object can be.
    Large(&'a str),
}

impl Wanted<'_> {
    const fn rule(self) -> &'static Rule {
        const SHOWN: &Rule = &Rule::Members(|key| object(key, shown));
        const LIVE: &Rule = &Rule::Members(|key| object(key, live));
        const DATA: &Rule = &Rule::Members(|key| match key {
            "data" => Rule::Told,
            _ => object(key, labelled),
        });
        const LARGE: &Rule = &Rule::Members(|key| match key {
            "data" | "binaryData" => Rule::Told,
            _ => object(key, labelled),
        });
        match self {
            Self::Shown => SHOWN,
            Self::Live => LIVE,
            Self::Data(_) => DATA,
            Self::Large(_) => LARGE,
        }
    }

    /// Most that is kept of an object.
    const fn most(self) -> usize {
        match self {
            Self::Shown | Self::Live | Self::Data(_) => MOST_OBJECT,
            Self::Large(_) => MOST_LARGE,
        }
    }

    /// Of a list of such objects.
    const fn list(self) -> Rule {
        match self {
            Self::Shown => Rule::Members(|key| list(key, Wanted::Shown)),
            Self::Live => Rule::Members(|key| list(key, Wanted::Live)),
            Self::Data(_) => Rule::Members(|key| list(key, Wanted::Data(""))),
            Self::Large(_) => Rule::Members(|key| list(key, Wanted::Large(""))),
        }
    }

    /// The key that is told to the sieve.
    fn key(&self) -> &str {
        match self {
            Self::Data(key) | Self::Large(key) => key,
            Self::Shown | Self::Live => "",
        }
    }
}

fn list(key: &str, of: Wanted<'static>) -> Rule {
    match key {
        "items" => Rule::Apart(of.rule()),
        "metadata" => Rule::Members(|key| match key {
            "resourceVersion" | "continue" => Rule::Whole,
            _ => Rule::Nothing,
        }),
        _ => Rule::Nothing,
    }
}

fn object(key: &str, metadata: fn(&str) -> Rule) -> Rule {
    match key {
        "apiVersion" | "kind" => Rule::Name,
        "metadata" => Rule::Members(metadata),
        "spec" => Rule::Members(spec),
        "status" => Rule::Members(status),
        // Of a failure, in place of an object.
        "code" | "message" | "reason" | "details" => Rule::Whole,
        _ => Rule::Nothing,
    }
}

/// Beyond the limit what a channel claims, and what a portfolio grants if that is not much.
fn spec(key: &str) -> Rule {
    match key {
        "phoneNumber" | "portfolioRef" | "managementPolicy" | "suspend" => Rule::Name,
        "access" => Rule::Held,
        _ => Rule::Whole,
    }
}

/// Beyond the limit how far a channel has come.
fn status(key: &str) -> Rule {
    match key {
        "observedGeneration" | "accountId" | "phoneNumberId" | "stage" => Rule::Name,
        "conditions" => Rule::Held,
        _ => Rule::Whole,
    }
}

fn shown(key: &str) -> Rule {
    match key {
        "name" | "namespace" | "uid" | "resourceVersion" | "generation" => Rule::Name,
        "creationTimestamp" | "deletionTimestamp" => Rule::Name,
        "finalizers" => Rule::Held,
        "annotations" => Rule::Members(|key| if is_ours(key) { Rule::Whole } else { Rule::Nothing }),
        _ => Rule::Nothing,
    }
}

fn live(key: &str) -> Rule {
    const OWNED: Rule = Rule::Marked(|key| match key {
        "fieldsV1" => Rule::Members(|key| match key {
            "f:metadata" => Rule::Members(|key| match key {
                "f:annotations" => Rule::Members(|key| match key.strip_prefix("f:") {
                    Some(key) if is_ours(key) => Rule::Mark,
                    _ => Rule::Nothing,
                }),
                _ => Rule::Nothing,
            }),
            // That there is any.
            "f:spec" => Rule::Members(|_| Rule::Nothing),
            _ => Rule::Nothing,
        }),
        _ => Rule::Whole,
    });
    match key {
        "managedFields" => Rule::Each(&OWNED),
        _ => shown(key),
    }
}

/// What tells which object it is, and what it may be used for. So what is too large of it is what stands under the key.
fn labelled(key: &str) -> Rule {
    match key {
        "labels" => Rule::Members(|key| if key == USE_LABEL { Rule::Name } else { Rule::Nothing }),
        "annotations" | "finalizers" => Rule::Nothing,
        _ => shown(key),
    }
}

/// Whether an annotation is of this group.
fn is_ours(key: &str) -> bool {
    key.strip_prefix(GROUP).is_some_and(|rest| rest.starts_with('/'))
}

/// Why a stored object cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error(
        "it has more than {} KiB of what the operator reads: spec, status, finalizers, annotations of {GROUP}, and who set those",
        MOST_OBJECT / 1_024
    )]
    TooLarge,
    #[error("it does not parse: {0}")]
    Unparsed(String),
}

/// An object that cannot be used, and what tells which it is.
#[derive(Clone)]
pub struct Unusable {
    pub metadata: ObjectMeta,
    pub why: Why,
    /// What was kept of it.
    json: Box<[u8]>,
    is_event: bool,
}

/// It may be a Secret, so what was kept of it is not shown.
impl fmt::Debug for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unusable")
            .field("metadata", &self.metadata)
            .field("why", &self.why)
            .finish_non_exhaustive()
    }
}

impl Unusable {
    /// What was kept of it, if it is this.
    pub fn left<T: DeserializeOwned>(&self) -> Option<T> {
        #[derive(Deserialize)]
        struct Event<T> {
            object: T,
        }
        if self.is_event {
            let event: Option<Event<T>> = serde_json::from_slice(&self.json).ok();
            return event.map(|event| event.object);
        }
        serde_json::from_slice(&self.json).ok()
    }
}

/// An object as it is stored, as far as it was asked for.
#[derive(Clone, Debug)]
pub struct Stored<K>(pub Result<K, Unusable>);

impl<K: Resource> Stored<K> {
    pub fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => object.meta(),
            Err(unusable) => &unusable.metadata,
        }
    }
}

/// What every object has.
#[derive(Clone, Deserialize)]
struct Named {
    #[serde(default)]
    metadata: ObjectMeta,
}

/// Kinds that can be read.
pub trait Readable: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned {}

impl<K> Readable for K where K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned {}

/// How many objects a page of a list has: fewer where they are fat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u32);

impl Default for PageSize {
    fn default() -> Self {
        Self(PAGE)
    }
}

impl PageSize {
    /// The last page took too long.
    pub fn shrink(&mut self) {
        self.0 = (self.0 / 2).max(1);
    }

    /// The last page was too much when so many objects of it had come. Gives back whether a smaller one can be asked for.
    fn shrink_to(&mut self, come: usize) -> bool {
        let was = self.0;
        let come = u32::try_from(come).unwrap_or(u32::MAX);
        self.0 = (come / 2).min(was / 2).max(1);
        self.0 < was
    }

    fn after(&mut self, received: usize) {
        if received < MOST_RECEIVED / 8 {
            self.0 = (self.0 * 2).min(PAGE);
        }
    }
}

/// One page of a list.
pub struct Page {
    pub version: String,
    /// Where the list goes on.
    pub next: Option<String>,
    items: Vec<Kept>,
}

impl Page {
    /// Its objects, each parsed when its turn comes.
    pub fn objects<K: Readable>(self) -> impl Iterator<Item = kube::Result<Stored<K>>> {
        self.items.into_iter().map(stored)
    }
}

type Incoming = Pin<Box<dyn AsyncBufRead + Send>>;

/// The objects of one kind, of one namespace or of all.
pub struct Objects<K> {
    client: Client,
    request: core::Request,
    kind: PhantomData<fn() -> K>,
}

impl<K: Readable> Objects<K> {
    pub fn new(client: &Client, namespace: Option<&str>) -> Self {
        let request = core::Request::new(K::url_path(&(), namespace));
        Self { client: client.clone(), request, kind: PhantomData }
    }

    /// One object, past every cache.
    pub async fn get(&self, name: &str, wanted: Wanted<'_>) -> kube::Result<Stored<K>> {
        let request = self.request.get(name, &GetParams::default()).map_err(kube::Error::BuildRequest)?;
        let span = debug_span!("api_server_call", verb = "get", kind = %K::kind(&()));
        self.one(request, wanted).instrument(span).await
    }

    /// Writes a status. Gives back the object as it is then.
    pub async fn patch_status(
        &self,
        name: &str,
        params: &PatchParams,
        patch: &Patch<impl Serialize>,
    ) -> kube::Result<Stored<K>> {
        let request = self.request.patch_subresource("status", name, params, patch);
        let span =
            debug_span!("api_server_call", verb = "patch", kind = %K::kind(&()), subresource = "status");
        let request = request.map_err(kube::Error::BuildRequest)?.map(plain);
        self.one(request, Wanted::Live).instrument(span).await
    }

    async fn one(&self, request: Request<Vec<u8>>, wanted: Wanted<'_>) -> kube::Result<Stored<K>> {
        let mut incoming = self.send(request).await?;
        let mut sieve = Sieve::new(*wanted.rule(), wanted.most()).told(wanted.key());
        while !sieve.is_done() {
            if feed(&mut incoming, &mut sieve).await? == 0 {
                return Err(other("the answer was cut off"));
            }
        }
        stored(sieve.take())
    }

    /// A page of a list, of fewer objects than the last where that was too much.
    pub async fn page(
        &self,
        params: &ListParams,
        wanted: Wanted<'_>,
        size: &mut PageSize,
    ) -> kube::Result<Page> {
        loop {
            let params = params.clone().limit(size.0);
            let request = self.request.list(&params).map_err(kube::Error::BuildRequest)?;
            if let Some(page) = self.receive(request, wanted, size).await? {
                return Ok(page);
            }
        }
    }

    /// `None`: it is too much, and a smaller one can be asked for.
    async fn receive(
        &self,
        request: Request<Vec<u8>>,
        wanted: Wanted<'_>,
        size: &mut PageSize,
    ) -> kube::Result<Option<Page>> {
        let mut incoming = self.send(request).await?;
        let mut list = Sieve::new(wanted.list(), MOST_OBJECT).told(wanted.key());
        let mut received = 0;
        while !list.is_done() {
            match feed(&mut incoming, &mut list).await? {
                0 => return Err(other("the list was cut off")),
                more => received += more,
            }
            let kept: usize = list.apart().iter().map(|kept| kept.json.len()).sum();
            if (received > MOST_RECEIVED || kept > MOST_KEPT) && size.shrink_to(list.apart().len()) {
                return Ok(None);
            }
        }
        size.after(received);
        let items = list.take_apart();
        let List { metadata } = serde_json::from_slice(&list.take().json).map_err(kube::Error::SerdeError)?;
        let next = metadata.continue_.filter(|next| !next.is_empty());
        Ok(Some(Page { version: metadata.resource_version.unwrap_or_default(), next, items }))
    }

    /// What happens to objects from a version on.
    pub async fn watch(&self, params: &WatchParams, version: &str) -> kube::Result<Events<K>> {
        let request = self.request.watch(params, version).map_err(kube::Error::BuildRequest)?;
        let incoming = self.send(request).await?;
        Ok(Events { incoming, sieve: Sieve::new(EVENT, MOST_OBJECT), kind: PhantomData })
    }

    async fn send(&self, request: Request<Vec<u8>>) -> kube::Result<Incoming> {
        Ok(Box::pin(self.client.request_stream(request).await?))
    }
}

const EVENT: Rule = Rule::Members(|key| match key {
    "type" => Rule::Name,
    "object" => *Wanted::Shown.rule(),
    _ => Rule::Nothing,
});

/// What happens to objects, as it is told.
pub struct Events<K> {
    incoming: Incoming,
    sieve: Sieve,
    kind: PhantomData<fn() -> K>,
}

impl<K: Readable> Events<K> {
    /// The next event. `None` when the server has ended the watch.
    pub async fn next(&mut self) -> kube::Result<Option<WatchEvent<Stored<K>>>> {
        while !self.sieve.is_done() {
            match feed(&mut self.incoming, &mut self.sieve).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                // A server, or a proxy, that ends a watch does not always end the answer.
                Err(kube::Error::ReadEvents(error)) if is_end(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        event(self.sieve.take()).map(Some)
    }
}

/// JSON that means the same to whoever reads it as YAML.
fn plain(json: Vec<u8>) -> Vec<u8> {
    match std::str::from_utf8(&json).map(escape::applied) {
        Ok(Cow::Owned(plain)) => plain.into_bytes(),
        _ => json,
    }
}

fn is_end(error: &io::Error) -> bool {
    let is_early = |error: &(dyn std::error::Error + 'static)| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
            || error.to_string().contains("unexpected EOF during chunk")
    };
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(one) = cause {
        if is_early(one) {
            return true;
        }
        cause = one.source();
    }
    false
}

/// Takes in more. Gives back how many bytes, none at the end.
async fn feed(incoming: &mut Incoming, sieve: &mut Sieve) -> kube::Result<usize> {
    let bytes = incoming.fill_buf().await.map_err(kube::Error::ReadEvents)?;
    let taken = sieve.feed(bytes);
    incoming.consume_unpin(taken);
    Ok(taken)
}

fn other(what: &str) -> kube::Error {
    kube::Error::Service(what.into())
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta,
}

fn stored<K: DeserializeOwned>(kept: Kept) -> kube::Result<Stored<K>> {
    let why = match serde_json::from_slice(&kept.json) {
        _ if kept.is_over => Why::TooLarge,
        Ok(object) => return Ok(Stored(Ok(object))),
        Err(error) => Why::Unparsed(error.to_string()),
    };
    let Named { metadata } = serde_json::from_slice(&kept.json).map_err(kube::Error::SerdeError)?;
    Ok(Stored(Err(Unusable { metadata, why, json: kept.json.into(), is_event: false })))
}

fn event<K: DeserializeOwned>(kept: Kept) -> kube::Result<WatchEvent<Stored<K>>> {
    let why = match serde_json::from_slice::<WatchEvent<K>>(&kept.json) {
        _ if kept.is_over => Why::TooLarge,
        Ok(event) => return Ok(map(event, |object| Stored(Ok(object)))),
        Err(error) => Why::Unparsed(error.to_string()),
    };
    let event: WatchEvent<Named> = serde_json::from_slice(&kept.json).map_err(kube::Error::SerdeError)?;
    let json = kept.json.into();
    Ok(map(event, |Named { metadata }| Stored(Err(Unusable { metadata, why, json, is_event: true }))))
}

fn map<A, B>(event: WatchEvent<A>, to: impl FnOnce(A) -> B) -> WatchEvent<B> {
    match event {
        WatchEvent::Added(object) => WatchEvent::Added(to(object)),
        WatchEvent::Modified(object) => WatchEvent::Modified(to(object)),
        WatchEvent::Deleted(object) => WatchEvent::Deleted(to(object)),
        WatchEvent::Bookmark(mark) => WatchEvent::Bookmark(mark),
        WatchEvent::Error(status) => WatchEvent::Error(status),
    }
}

#[cfg(test)]
impl<K: DeserializeOwned> Stored<K> {
    /// As a watch shows it.
    pub(crate) fn shown(object: &serde_json::Value) -> Self {
        let mut sieve = Sieve::new(*Wanted::Shown.rule(), MOST_OBJECT);
        sieve.feed(object.to_string().as_bytes());
        stored(sieve.take()).expect("it names itself")
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use serde_json::json;

    use super::*;
    use crate::api::v1alpha1::WhatsAppChannel;

    #[test]
    fn of_a_secret_that_is_too_large_its_version_and_its_use_are_known() {
        let text = json!({
            "kind": "Secret",
            "data": {"other": "eA==", "token": "x".repeat(MOST_OBJECT + 1)},
            "metadata": {
                "annotations": {"whatsapp-operator.dev/note": "x".repeat(MOST_OBJECT)},
                "labels": {"other": "x", USE_LABEL: "verify-token"},
                "name": "acme-meta", "resourceVersion": "7", "uid": "u1",
            },
        })
        .to_string();
        let read = |key: &str| {
            let mut sieve = Sieve::new(*Wanted::Data("").rule(), MOST_OBJECT).told(key);
            for bytes in text.as_bytes().chunks(1_000) {
                sieve.feed(bytes);
            }
            stored::<Secret>(sieve.take()).expect("it names itself")
        };
        let Stored(Err(Unusable { metadata, why, .. })) = read("token") else { panic!("it is too large") };
        let labels = metadata.labels.unwrap_or_default();
        assert_eq!((why, metadata.uid.as_deref()), (Why::TooLarge, Some("u1")));
        assert_eq!(metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(labels.get(USE_LABEL).map(String::as_str), Some("verify-token"));
        assert!(read("other").0.is_ok(), "what is not asked for makes nothing too large");
    }

    /// What is read of an object with so much of our own annotations and so many finalizers.
    fn finalizers(annotations: usize, finalizers: usize) -> (bool, Option<usize>) {
        let all: Vec<String> = (0..finalizers).map(|n| format!("example.com/one-of-them-{n:05}")).collect();
        let text = json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
            "metadata": {
                "annotations": {"whatsapp-operator.dev/note": "x".repeat(annotations)},
                "finalizers": all, "name": "support",
            },
            "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme"},
        })
        .to_string();
        let mut sieve = Sieve::new(*Wanted::Live.rule(), MOST_OBJECT);
        for bytes in text.as_bytes().chunks(1_000) {
            sieve.feed(bytes);
        }
        let object = stored::<WhatsAppChannel>(sieve.take()).expect("it names itself");
        let is_usable = object.0.is_ok();
        (is_usable, object.meta().finalizers.as_ref().map(Vec::len))
    }

    #[test]
    fn of_those_who_set_fields_only_those_of_our_annotations_count() {
        let entry = |n: usize, group: &str| {
            let annotations = json!({format!("f:{group}/send-code"): {}});
            json!({
                "apiVersion": "v1", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:annotations": annotations}, "f:spec": {"f:phoneNumber": {}}},
                "manager": format!("{n}-{}", "x".repeat(200)), "operation": "Apply", "time": "2026-03-01T12:00:00Z",
            })
        };
        let read = |others: usize, ours: usize| {
            let mut all: Vec<_> = (0..others).map(|n| entry(n, "example.com")).collect();
            all.extend((0..ours).map(|n| entry(n, GROUP)));
            all.extend((0..others).map(|n| entry(n, "example.com")));
            let text = json!({
                "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
                "metadata": {"managedFields": all, "name": "support"},
                "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme"},
            });
            let mut sieve = Sieve::new(*Wanted::Live.rule(), MOST_OBJECT);
            for bytes in text.to_string().as_bytes().chunks(1_000) {
                sieve.feed(bytes);
            }
            stored::<WhatsAppChannel>(sieve.take()).expect("it names itself").0
        };
        let kept = |others, ours| {
            let object = read(others, ours).expect("it can be used");
            object.metadata.managed_fields.unwrap_or_default().len()
        };
        assert_eq!([kept(0, 0), kept(2, 0), kept(2, 2), kept(2_000, 2)], [0, 0, 2, 2]);
        let one = read(2, 1).expect("it can be used").metadata.managed_fields.unwrap_or_default();
        let fields = &one[0].fields_v1.as_ref().expect("fields").0;
        assert_eq!(fields["f:spec"], json!({}), "that it has any is kept");
        let why = read(0, 2_000).err().map(|unusable| unusable.why.to_string()).unwrap_or_default();
        assert!(why.contains("who set those"), "{why}");
    }

    #[test]
    fn what_holds_an_object_is_read_whatever_else_it_has_and_as_a_whole_or_not_at_all() {
        assert_eq!(finalizers(10, 2), (true, Some(2)));
        assert_eq!(finalizers(10, 2_000), (true, Some(2_000)), "within the limit there may be many");
        assert_eq!(finalizers(MOST_OBJECT + 1, 2), (false, Some(2)));
        assert_eq!(finalizers(MOST_OBJECT + 1, 300), (false, Some(300)));
        assert_eq!(finalizers(MOST_OBJECT - 200, 2_000), (false, None), "a part of them is none of them");
    }

    #[test]
    fn what_an_object_claims_and_grants_is_left_of_it_wherever_its_fat_is_in_a_list_and_in_an_event() {
        let fat = "x".repeat(MOST_OBJECT);
        let (claim, rest) = (json!("+5511912345678"), json!({"stage": "Ready", "phoneNumberId": "7"}));
        let object = |annotation: &str, name: &str, mark: &str| {
            json!({
                "metadata": {"name": "support", "annotations": {"whatsapp-operator.dev/note": annotation}},
                "spec": {"access": ["shop"], "displayName": name, "phoneNumber": claim},
                "status": {"conditions": [], "marks": mark, "phoneNumberId": "7", "stage": "Ready"},
            })
        };
        for fat in [object(&fat, "", ""), object("", &fat, ""), object("", "", &fat)] {
            let event = json!({"object": fat, "type": "ADDED"});
            let mut sieve = Sieve::new(EVENT, MOST_OBJECT);
            sieve.feed(event.to_string().as_bytes());
            let Ok(WatchEvent::Added(of_event)) = super::event::<WhatsAppChannel>(sieve.take()) else {
                panic!("it was added")
            };
            for Stored(object) in [Stored::<WhatsAppChannel>::shown(&fat), of_event] {
                let unusable = object.expect_err("it is too large");
                assert_eq!(unusable.why, Why::TooLarge);
                let left: serde_json::Value = unusable.left().expect("JSON");
                assert_eq!(
                    (&left["spec"]["phoneNumber"], &left["spec"]["access"][0]),
                    (&claim, &json!("shop"))
                );
                for (key, value) in rest.as_object().expect("members") {
                    assert_eq!(left["status"][key], *value);
                }
                assert!(left["status"]["conditions"].is_array());
                assert!(!format!("{unusable:?}").contains("Ready"), "it may be a secret");
            }
        }
    }
}
