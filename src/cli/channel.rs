//! A channel in a cluster, as the commands for people reach it: with their own kubeconfig and rights.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams},
    config::KubeConfigOptions,
};
use serde_json::json;

use crate::{
    api::v1alpha1::{WhatsAppChannel, WhatsAppChannelStatus},
    cluster::DEADLINE,
    engine::{
        condition::{ConditionType, Truth},
        reason::Row,
    },
};

use super::{
    exit::{Exit, Problem},
    explain,
};

/// Who writes the annotations that these commands set.
const MANAGER: &str = "kubectl-whatsapp";
/// How often a channel is looked at while it is followed.
const LOOK: Duration = Duration::from_millis(500);

/// Which cluster and which namespace.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArgs {
    /// The namespace; else the one of the context.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The context of the kubeconfig; else the current one.
    #[arg(long, value_name = "CONTEXT")]
    pub context: Option<String>,
}

/// One channel by name.
#[derive(Clone)]
pub struct Channel {
    pub name: String,
    pub namespace: String,
    api: Api<WhatsAppChannel>,
    client: Client,
}

/// A client and the namespace to work in.
///
/// # Errors
///
/// When there is no kubeconfig, or it makes no client.
pub async fn connect(args: &ClusterArgs) -> Result<(Client, String), Problem> {
    let found = match &args.context {
        Some(context) => {
            let options =
                KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
            Config::from_kubeconfig(&options).await.map_err(|error| error.to_string())
        }
        None => Config::infer().await.map_err(|error| error.to_string()),
    };
    let mut config = found.map_err(|error| {
        Problem::new(format!("no cluster: {error}"))
            .next("point KUBECONFIG at a kubeconfig, or choose a context with --context")
    })?;
    config.default_retry = false;
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config).map_err(|error| Problem::new(format!("no cluster: {error}")))?;
    Ok((client, namespace))
}

/// Puts a deadline around a call and words around its failure.
///
/// # Errors
///
/// When the call fails or takes too long; `what` says what was tried.
pub async fn call<T>(what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Problem> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) => Err(refused(what, &status)),
        Ok(Err(error)) => Err(Problem::new(format!("cannot {what}: {error}"))
            .next("check that the cluster can be reached: kubectl version")),
        Err(_) => Err(Problem::new(format!("cannot {what}: no answer within {} s", DEADLINE.as_secs()))
            .next("check that the cluster can be reached: kubectl version")),
    }
}

fn refused(what: &str, status: &kube::core::Status) -> Problem {
    let problem = Problem::new(format!("cannot {what}: {}", status.message));
    match status.code {
        401 => problem.next("log in to the cluster again"),
        403 => problem.next("ask for the role edit in this namespace"),
        404 if status.message.contains("the server could not find the requested resource") => {
            Problem::new(format!("cannot {what}: this cluster does not know the kind"))
                .next("install the CRDs: whatsapp-operator crd | kubectl apply --server-side -f -")
        }
        404 => problem.next("see which there are: kubectl get whatsapp --all-namespaces"),
        _ => problem,
    }
}

impl Channel {
    /// The channel of that name; it is not read yet.
    ///
    /// # Errors
    ///
    /// When there is no cluster.
    pub async fn open(name: &str, args: &ClusterArgs) -> Result<Self, Problem> {
        let (client, namespace) = connect(args).await?;
        let api = Api::namespaced(client.clone(), &namespace);
        Ok(Self { name: name.to_owned(), namespace, api, client })
    }

    /// The Secrets beside it.
    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// As it stands.
    ///
    /// # Errors
    ///
    /// When it is not there or cannot be read.
    pub async fn read(&self) -> Result<WhatsAppChannel, Problem> {
        call(&format!("read channel {} in namespace {}", self.name, self.namespace), self.api.get(&self.name))
            .await
    }

    /// Sets one annotation, and nothing else.
    ///
    /// # Errors
    ///
    /// When it is not there or may not be written.
    pub async fn annotate(&self, key: &str, value: &str) -> Result<WhatsAppChannel, Problem> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
        let what = format!("annotate channel {} in namespace {}", self.name, self.namespace);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        call(&what, self.api.patch(&self.name, &params, &patch)).await
    }

    /// Looks again and again until `answer` has one. `None`: nobody answered in time.
    ///
    /// # Errors
    ///
    /// When the channel goes away or cannot be read.
    pub async fn follow<T>(
        &self,
        limit: Duration,
        mut answer: impl FnMut(&WhatsAppChannel) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let end = tokio::time::Instant::now() + limit;
        loop {
            if let Some(answer) = answer(&self.read().await?) {
                return Ok(Some(answer));
            }
            if tokio::time::Instant::now() >= end {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Nobody answered.
    pub fn silent(&self, what: &str, limit: Duration) -> Problem {
        Problem::new(format!("{what}, but channel {} had no answer within {} s", self.name, limit.as_secs()))
            .next(format!(
                "look again later: kubectl whatsapp status {} -n {}; if its status never moves, check that the operator runs and watches this namespace",
                self.name, self.namespace
            ))
            .exit(Exit::NoAnswer)
    }
}

/// A value that no annotation had before: the time, to the nanosecond.
pub fn fresh() -> String {
    Timestamp::now().to_string()
}

/// A condition with what the table knows about its reason.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    pub status: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
    pub since: Option<Timestamp>,
    pub row: Option<&'static Row>,
}

impl Seen<'_> {
    /// Whether it is True.
    pub fn is_true(&self) -> bool {
        self.status == Truth::True.as_str()
    }
}

/// Looks a condition up.
pub fn seen(status: &WhatsAppChannelStatus, kind: ConditionType) -> Option<Seen<'_>> {
    let condition = status.conditions.iter().find(|condition| condition.type_ == kind.as_str())?;
    Some(Seen {
        status: &condition.status,
        reason: &condition.reason,
        message: &condition.message,
        since: Some(condition.last_transition_time.0),
        row: explain::row_of(&condition.reason),
    })
}
