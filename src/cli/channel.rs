//! A channel in a cluster, as the commands for people reach it: with their own kubeconfig and rights.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::engine::{condition::Truth, condition_type::ConditionType, reason::Row};
use crate::{
    api::{lower, v1alpha1::WhatsAppChannel},
    cli::{
        connect::{ClusterArgs, call, connect},
        exit::{Exit, Problem},
        explain,
    },
};

/// Who writes the annotations that these commands set.
pub const MANAGER: &str = "kubectl-whatsapp";
/// How often a channel is looked at while it is followed.
const LOOK: Duration = Duration::from_millis(500);

/// One channel by name.
#[derive(Clone)]
pub struct Channel {
    pub name: String,
    pub namespace: String,
    api: Api<WhatsAppChannel>,
    client: Client,
    again: String,
}

impl Channel {
    /// The channel of that name; it is not read yet.
    ///
    /// # Errors
    ///
    /// When there is no cluster.
    pub async fn open(name: &str, args: &ClusterArgs) -> Result<Self, Problem> {
        let (client, namespace) = connect(args).await?;
        Ok(Self::of(name, &namespace, args, client))
    }

    /// The same through a client that is open.
    pub fn of(name: &str, namespace: &str, args: &ClusterArgs, client: Client) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            api: Api::namespaced(client.clone(), namespace),
            again: args.again(namespace),
            client,
        }
    }

    /// A command of ours about it, as a person types it.
    pub fn command(&self, verb: &str) -> String {
        format!("kubectl whatsapp {verb} {} {}", self.name, self.again)
    }

    /// A client of its cluster.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The Secrets beside it.
    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// As it stands, with every message written out.
    ///
    /// # Errors
    ///
    /// When it is not there or cannot be read.
    pub async fn read(&self) -> Result<WhatsAppChannel, Problem> {
        let what = format!("read channel {} in namespace {}", self.name, self.namespace);
        let mut object = call(&what, self.api.get(&self.name)).await?;
        object.status.iter_mut().for_each(lower::in_full);
        Ok(object)
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

    /// Sets `spec.suspend`, and nothing else.
    ///
    /// # Errors
    ///
    /// When it is not there or may not be written.
    pub async fn suspend(&self, suspend: bool) -> Result<WhatsAppChannel, Problem> {
        let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
        let what = format!("write channel {} in namespace {}", self.name, self.namespace);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        call(&what, self.api.patch(&self.name, &params, &patch)).await
    }

    /// Looks again and again until `answer` has one, also through an API server that fails for a while.
    ///
    /// # Errors
    ///
    /// When the channel goes away or may not be read.
    pub async fn follow<T>(
        &self,
        limit: Duration,
        mut answer: impl FnMut(&WhatsAppChannel) -> Option<T>,
    ) -> Result<Followed<T>, Problem> {
        let end = tokio::time::Instant::now() + limit;
        loop {
            // The last look gets a moment even where the time is up.
            let left = end.saturating_duration_since(tokio::time::Instant::now()).max(LOOK);
            let failed = match tokio::time::timeout(left, self.read()).await {
                Ok(Ok(channel)) => match answer(&channel) {
                    Some(answer) => return Ok(Followed::Answered(answer)),
                    None => None,
                },
                Ok(Err(problem)) if problem.is_passing() => Some(problem.to_string()),
                Ok(Err(problem)) => return Err(problem),
                Err(_) => Some(format!("cannot read channel {}: no answer", self.name)),
            };
            if tokio::time::Instant::now() >= end {
                return Ok(Followed::Silent { failed });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Nobody answered: what was done, for how long it was followed, and what failed in the last look.
    pub fn silent(&self, what: &str, limit: Duration, failed: Option<&str>) -> Problem {
        let failed = failed.map(|failed| format!("; the last look failed: {failed}")).unwrap_or_default();
        let text =
            format!("{what}, but channel {} had no answer within {} s{failed}", self.name, limit.as_secs());
        Problem::new(text)
            .next(format!(
                "look again later: {}; if its status never moves, check that the operator runs and watches this namespace",
                self.command("status")
            ))
            .exit(Exit::NoAnswer)
    }
}

/// How following a channel ended.
#[derive(Debug)]
pub enum Followed<T> {
    Answered(T),
    /// The time was up.
    Silent {
        /// Why the last look told nothing, if it did not.
        failed: Option<String>,
    },
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
pub fn seen(conditions: &[Condition], kind: ConditionType) -> Option<Seen<'_>> {
    let condition = conditions.iter().find(|condition| condition.type_ == kind.as_str())?;
    Some(Seen {
        status: &condition.status,
        reason: &condition.reason,
        message: &condition.message,
        since: Some(condition.last_transition_time.0),
        row: explain::row_of(&condition.reason),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::{Json, Router, http::StatusCode, response::IntoResponse};
    use kube::Config;

    use super::*;

    /// A channel behind an API server that fails so many times before it answers, and then with this status.
    async fn behind(failures: usize, failure: StatusCode) -> Channel {
        let asked = Arc::new(AtomicUsize::new(0));
        let server = Router::new().fallback(move || {
            let nth = asked.fetch_add(1, Ordering::Relaxed);
            async move {
                if nth < failures {
                    return failure.into_response();
                }
                Json(json!({
                    "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
                    "metadata": {"name": "support", "namespace": "shop"},
                    "spec": {
                        "portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678",
                        "displayName": "Acme Suporte"
                    }
                }))
                .into_response()
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound port"));
        tokio::spawn(async move { axum::serve(listener, server).await });
        let mut config = Config::new(url.parse().expect("an address"));
        config.default_retry = false;
        let client = Client::try_from(config).expect("a client");
        Channel::of("support", "shop", &ClusterArgs::default(), client)
    }

    #[tokio::test]
    async fn following_goes_on_through_reads_that_fail() {
        crate::meta::transport::install_crypto();
        let channel = behind(2, StatusCode::SERVICE_UNAVAILABLE).await;
        let found = channel.follow(Duration::from_secs(20), |object| object.metadata.name.clone()).await;
        assert!(matches!(&found, Ok(Followed::Answered(name)) if name == "support"), "{found:?}");
    }

    #[tokio::test]
    async fn what_failed_to_the_end_is_said_and_ends_as_no_answer() {
        crate::meta::transport::install_crypto();
        let channel = behind(usize::MAX, StatusCode::SERVICE_UNAVAILABLE).await;
        let limit = Duration::from_millis(700);
        let found = channel.follow(limit, |_| Some(())).await.expect("it was followed to the end");
        let Followed::Silent { failed } = found else { panic!("{found:?}") };
        let problem = channel.silent("asked for a code", limit, failed.as_deref());
        assert!(problem.to_string().contains("asked for a code"), "{problem}");
        let failed = "the last look failed: cannot read channel support in namespace shop: HTTP status 503";
        assert!(problem.to_string().contains(failed), "{problem}");
        assert_eq!(problem.code(), Exit::NoAnswer);
    }

    #[tokio::test]
    async fn a_channel_that_is_gone_is_not_waited_for() {
        crate::meta::transport::install_crypto();
        for status in [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN] {
            let channel = behind(usize::MAX, status).await;
            let found = channel.follow(Duration::from_secs(60), |_| Some(())).await;
            assert!(found.is_err(), "{status}");
        }
    }
}
