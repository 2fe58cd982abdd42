//! Which objects a command is about when no name is given: a namespace or all, by labels.

use clap::Args;
use kube::{
    Api, Client, Resource,
    api::ListParams,
    core::{NamespaceResourceScope, Selector},
};
use serde::de::DeserializeOwned;

use super::{
    connect::{ClusterArgs, call, connect},
    exit::Problem,
};
use crate::cluster::selector::selector;

/// Objects of one answer of the API server.
const PAGE: u32 = 500;

/// All of a namespace, or of all, or those with labels.
#[derive(Clone, Debug, Default, Args)]
pub struct WhichArgs {
    /// Those of every namespace.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// Those with these labels, as for kubectl: wave=3, tier in (a,b), !retired.
    #[arg(short = 'l', long, value_name = "SELECTOR", value_parser = selector)]
    pub selector: Option<Selector>,
}

/// Where objects are looked for.
pub struct Listing {
    pub client: Client,
    /// `None`: in every namespace.
    namespace: Option<String>,
    selector: Option<Selector>,
}

impl Listing {
    /// Opens the cluster.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn open(which: &WhichArgs, cluster: &ClusterArgs) -> Result<Self, Problem> {
        let (client, namespace) = connect(cluster).await?;
        let namespace = (!which.all_namespaces).then_some(namespace);
        Ok(Self { client, namespace, selector: which.selector.clone() })
    }

    /// The namespace; `None` where it is every one.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The place in words.
    pub fn place(&self) -> String {
        let place = match &self.namespace {
            Some(namespace) => format!("in namespace {namespace}"),
            None => "in any namespace".to_owned(),
        };
        match &self.selector {
            Some(selector) => format!("{place} with labels {selector}"),
            None => place,
        }
    }

    /// Takes each object of a kind; they are read in pages, and none is kept here.
    ///
    /// # Errors
    ///
    /// When they cannot be listed.
    pub async fn each<K>(&self, kinds: &str, take: impl FnMut(K)) -> Result<(), Problem>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let api: Api<K> = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let what = format!("list the {kinds} {}", self.place());
        let labels = self.selector.as_ref().map(ToString::to_string);
        pages(&what, &api, ListParams { label_selector: labels, ..ListParams::default() }, take).await
    }
}

/// Takes each object that a list has, which is read in pages; `what` says what was tried.
///
/// # Errors
///
/// When a page cannot be read.
pub async fn pages<K: Clone + DeserializeOwned + std::fmt::Debug>(
    what: &str,
    api: &Api<K>,
    mut params: ListParams,
    mut take: impl FnMut(K),
) -> Result<(), Problem> {
    params.limit = Some(PAGE);
    loop {
        let page = call(what, api.list(&params)).await?;
        page.items.into_iter().for_each(&mut take);
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(());
        }
    }
}
