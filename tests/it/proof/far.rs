//! The real client of Meta on a runtime of its own, for a runtime whose time is paused.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::runtime::Handle;
use whatsapp_operator::{
    engine::{
        desired::{AppData, DesiredProfile, OfficialApplication},
        failure::{Failure, Refusal},
        id::{AccountId, NumberId},
        look::{Look, Urgency},
        observed::{Account, Official, Profile, Subscribed, Username},
        outcome::Accepted,
        phone::E164,
        picture::PictureKind,
        portfolio::{AppSubscription, BusinessFacts, TokenFacts},
        spelling::Canonical,
        step::{CodeMethod, StepKind},
    },
    meta::{
        client::{GraphClient, Meta},
        port::{Credential, Graph, GraphSource, Listing, NumberList, Spent, ToldUsage},
    },
};

use super::api_server::Wire;

/// Meta, as one process reaches it.
pub struct Far {
    pub meta: Meta,
    pub runtime: Handle,
    pub wire: Wire,
}

impl GraphSource for Far {
    type Graph = FarGraph;

    fn graph(&self, credential: Credential) -> FarGraph {
        let graph = self.meta.graph(credential);
        FarGraph { graph, runtime: self.runtime.clone(), wire: self.wire.clone() }
    }

    fn take_over(&self) {
        self.meta.take_over();
    }
}

#[derive(Clone)]
pub struct FarGraph {
    graph: GraphClient,
    runtime: Handle,
    wire: Wire,
}

impl FarGraph {
    /// A write, after which the process may die.
    async fn write<T, F>(&self, call: impl FnOnce(GraphClient) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T>,
    {
        let answer = self.read(call).await;
        self.wire.may_die().await;
        answer
    }

    /// What is on the wire goes on after a crash; only its answer is lost.
    async fn read<T, F>(&self, call: impl FnOnce(GraphClient) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T>,
    {
        self.wire.pass_if_alive().await;
        let (graph, runtime) = (self.graph.clone(), self.runtime.clone());
        // Paused time stands still while a blocking task is under way.
        let answer = tokio::task::spawn_blocking(move || runtime.block_on(call(graph)));
        let answer = answer.await.expect("the call does not panic");
        self.wire.pass_if_alive().await;
        answer
    }
}

/// One line for each call: its arguments, owned.
macro_rules! calls {
    ($kind:ident: $(fn $name:ident($($argument:ident: $borrowed:ty),*) -> $answer:ty;)*) => {
        $(async fn $name(&self, $($argument: $borrowed),*) -> $answer {
            $(let $argument = $argument.to_owned();)*
            self.$kind(move |graph| async move { graph.$name($(lend(&$argument)),*).await }).await
        })*
    };
}

/// What a call borrows or takes by value, of what was kept for it.
fn lend<'a, O: ?Sized, B: Lent<'a, O>>(owned: &'a O) -> B {
    B::lend(owned)
}

trait Lent<'a, O: ?Sized> {
    fn lend(owned: &'a O) -> Self;
}

impl<'a, O: ?Sized> Lent<'a, O> for &'a O {
    fn lend(owned: &'a O) -> Self {
        owned
    }
}

impl<'a> Lent<'a, String> for &'a str {
    fn lend(owned: &'a String) -> Self {
        owned
    }
}

impl<'a> Lent<'a, Vec<String>> for &'a [String] {
    fn lend(owned: &'a Vec<String>) -> Self {
        owned
    }
}

macro_rules! by_value {
    ($($kind:ty),*) => { $(impl<'a> Lent<'a, $kind> for $kind {
        fn lend(owned: &'a $kind) -> Self { *owned }
    })* };
}

by_value!(AppData, Timestamp, Urgency, Duration, CodeMethod, PictureKind, bool);

impl Graph for FarGraph {
    calls! { read:
        fn debug_token() -> Result<TokenFacts, Failure>;
        fn business(urgency: Urgency) -> Result<BusinessFacts, Failure>;
        fn owned_accounts(not_before: Timestamp, urgency: Urgency) -> Listing;
        fn client_accounts(not_before: Timestamp, urgency: Urgency) -> Listing;
        fn account(account: &AccountId, not_before: Timestamp, urgency: Urgency) -> Result<Arc<Account>, Failure>;
        fn numbers(account: &AccountId, not_before: Timestamp, urgency: Urgency) -> Result<Arc<NumberList>, Failure>;
        fn subscribed(account: &AccountId, not_before: Timestamp, urgency: Urgency) -> Result<Subscribed, Failure>;
        fn app_subscription() -> Result<Option<AppSubscription>, Failure>;
        fn profile(account: &AccountId, number: &NumberId, max_age: Duration, urgency: Urgency) -> Result<Profile, Failure>;
        fn has_picture(account: &AccountId, number: &NumberId, urgency: Urgency) -> Result<bool, Failure>;
        fn username(account: &AccountId, number: &NumberId, max_age: Duration, urgency: Urgency) -> Result<Username, Failure>;
        fn official(account: &AccountId, number: &NumberId, max_age: Duration, urgency: Urgency) -> Result<Official, Failure>;
    }

    calls! { write:
        fn write_picture(account: &AccountId, number: &NumberId, bytes: &Bytes, kind: PictureKind) -> Result<Accepted, Failure>;
        fn add_number(account: &AccountId, number: &E164, name: &str) -> Result<Accepted, Failure>;
        fn request_code(account: &AccountId, number: &NumberId, method: CodeMethod, language: &str) -> Result<Accepted, Failure>;
        fn verify_code(account: &AccountId, number: &NumberId, code: &SecretString) -> Result<Accepted, Failure>;
        fn submit_name(account: &AccountId, number: &NumberId, name: &str) -> Result<Accepted, Failure>;
        fn set_pin(account: &AccountId, number: &NumberId, pin: &SecretString) -> Result<Accepted, Failure>;
        fn register(account: &AccountId, number: &NumberId, pin: &SecretString) -> Result<Accepted, Failure>;
        fn subscribe(account: &AccountId) -> Result<Accepted, Failure>;
        fn route_webhook(account: &AccountId, number: &NumberId, url: &str, verify_token: &SecretString) -> Result<Accepted, Failure>;
        fn unroute_webhook(account: &AccountId, number: &NumberId) -> Result<Accepted, Failure>;
        fn set_storage(account: &AccountId, number: &NumberId, region: &str) -> Result<Accepted, Failure>;
        fn start_sync(account: &AccountId, number: &NumberId, sync: AppData) -> Result<Accepted, Failure>;
        fn deregister(account: &AccountId, number: &NumberId) -> Result<Accepted, Failure>;
        fn set_app_webhook(url: &str, verify_token: &SecretString, fields: &[String]) -> Result<(), Failure>;
        fn write_profile(account: &AccountId, number: &NumberId, fields: &DesiredProfile) -> Result<Accepted, Failure>;
        fn claim_username(account: &AccountId, number: &NumberId, username: &str, transfer: bool) -> Result<Accepted, Failure>;
        fn request_official(account: &AccountId, number: &NumberId, application: &OfficialApplication) -> Result<Accepted, Failure>;
    }

    fn held_until(&self, account: &AccountId, step: StepKind) -> Option<Timestamp> {
        self.graph.held_until(account, step)
    }

    fn known(&self, look: &Look, number: &Canonical) -> Option<bool> {
        self.graph.known(look, number)
    }

    fn subscribed_known(&self, account: &AccountId) -> Option<Arc<Subscribed>> {
        self.graph.subscribed_known(account)
    }

    fn let_go(&self, account: &AccountId) {
        self.graph.let_go(account);
    }

    fn throttled_until(&self, account: Option<&AccountId>) -> Option<Timestamp> {
        self.graph.throttled_until(account)
    }

    fn spent(&self) -> Vec<Spent> {
        self.graph.spent()
    }

    fn told(&self) -> Vec<ToldUsage> {
        self.graph.told()
    }

    fn app_blocked(&self) -> Option<Refusal> {
        self.graph.app_blocked()
    }

    fn refused_fields(&self) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        self.graph.refused_fields()
    }
}
