//! Which objects a command is about when no name is given: a namespace or all, by labels.

use clap::Args;
use kube::{
    Api, Client, Resource,
    api::ListParams,
    core::{NamespaceResourceScope, ObjectList, Request, Selector},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

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
pub async fn pages<K: Resource + Clone + DeserializeOwned + std::fmt::Debug>(
    what: &str,
    api: &Api<K>,
    mut params: ListParams,
    mut take: impl FnMut(K),
) -> Result<(), Problem> {
    params.limit = Some(PAGE);
    loop {
        let page = call(what, page(api, &params)).await?;
        for object in page.items {
            take(call(what, async { parsed(object) }).await?);
        }
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(());
        }
    }
}

/// A page, of which each object is parsed by itself.
async fn page<K>(api: &Api<K>, params: &ListParams) -> kube::Result<ObjectList<Value>>
where
    K: Resource + Clone,
{
    let request = Request::new(api.resource_url()).list(params).map_err(kube::Error::BuildRequest)?;
    api.clone().into_client().request(request).await
}

/// An object without who wrote which of its fields, of which nothing is shown: whoever may write an object may write any time
/// there, also one that cannot be read.
fn parsed<K: DeserializeOwned>(mut object: Value) -> kube::Result<K> {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    serde_json::from_value(object).map_err(kube::Error::SerdeError)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::v1alpha1::WhatsAppChannel;

    #[test]
    fn a_time_that_somebody_wrote_into_an_object_hides_no_list() {
        let owners = json!([{"manager": "kubectl", "operation": "Update", "time": "9999-12-31T23:59:59Z"}]);
        let object = json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
            "metadata": {"name": "support", "managedFields": owners},
            "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme"},
        });
        assert!(serde_json::from_value::<WhatsAppChannel>(object.clone()).is_err(), "it would have");
        let channel: WhatsAppChannel = parsed(object).expect("it is read");
        assert_eq!(channel.metadata.name.as_deref(), Some("support"));
    }
}
