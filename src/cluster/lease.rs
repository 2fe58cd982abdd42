//! One Lease by name. A write carries the version that it was computed from, so exactly one of two rivals lands.

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::PostParams};

use super::call::{Failed, MANAGER, bounded};

/// The Lease in its namespace.
pub struct OneLease {
    api: Api<Lease>,
    name: String,
}

impl OneLease {
    /// By its name.
    pub fn new(client: &Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client.clone(), namespace), name: name.to_owned() }
    }

    /// As it stands; none, where it is not there yet.
    ///
    /// # Errors
    ///
    /// When it could not be read.
    pub async fn read(&self) -> Result<Option<Lease>, Failed> {
        match bounded(self.api.get(&self.name)).await {
            Ok(lease) => Ok(Some(lease)),
            Err(Failed::Gone(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes onto the version that it carries; without one the Lease is created. Gives back what stands then.
    ///
    /// # Errors
    ///
    /// When it was not written, or nobody knows: [`Failed::Conflict`] where somebody else was faster.
    pub async fn write(&self, lease: &Lease) -> Result<Lease, Failed> {
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        if lease.metadata.resource_version.is_some() {
            return bounded(self.api.replace(&self.name, &params, lease)).await;
        }
        let mut new = lease.clone();
        new.metadata.name = Some(self.name.clone());
        let created = async {
            match self.api.create(&params, &new).await {
                Ok(created) => Ok(Some(created)),
                Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
                Err(error) => Err(error),
            }
        };
        bounded(created).await?.ok_or_else(|| Failed::Conflict("somebody else has created it".to_owned()))
    }
}
