//! Attempts of a number, in two ConfigMaps: one in the portfolio's namespace, named after the number, and one in the
//! operator's own, named after the business portfolio and the number.
//!
//! Nothing owns them, so they outlive the channel and the operator, and the second one outlives the portfolio and its namespace.
//! Once nothing in one counts any more, a rare sweep removes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;

use super::call::{Failed, MANAGER, bounded};
use super::read::{MOST_OBJECT, Objects, PageSize, Stored, Wanted, Why};
use super::secret::USE_LABEL;
use crate::{
    api::lower,
    engine::{limits::Limits, memory::Ledger, observed::PortfolioState, spelling::Canonical},
    run::attempts::{Attempts, AttemptsRead, NotKept},
};

/// Value of [`USE_LABEL`] for attempts.
pub const USE_ATTEMPTS: &str = "attempts";
/// The key under which they are.
const KEY: &str = "attempts.json";
/// What their names begin with; the canonical digits of the number follow, in the operator's namespace after those of the
/// business portfolio.
const PREFIX: &str = "whatsapp-attempts-";

/// The attempts of one number.
pub struct NumberAttempts {
    api: Api<ConfigMap>,
    objects: Objects<ConfigMap>,
    name: String,
    with_operator: Option<Box<Self>>,
    /// It is not known yet whether it may be used, so it gives no answer.
    is_unproven: bool,
}

impl NumberAttempts {
    /// Of a number, beside the portfolio in this namespace.
    pub fn new(client: &Client, namespace: &str, number: &Canonical) -> Self {
        Self::named(client, namespace, format!("{PREFIX}{}", number.digits()))
    }

    /// The same with the second copy, in the operator's own namespace. It is of one business portfolio: another one with the
    /// same digits neither finds it nor writes to it. Whose credentials do not work gets none, and nor does who names a business that
    /// Meta does not show to them: anybody can write down the id of another one.
    #[must_use]
    pub fn also_with_operator(
        mut self,
        client: &Client,
        namespace: &str,
        portfolio: &PortfolioState,
        number: &Canonical,
    ) -> Self {
        let PortfolioState::View(view) = portfolio else { return self };
        let business = view.business.as_str();
        let is_id = !business.is_empty() && business.bytes().all(|byte| byte.is_ascii_digit());
        let is_working = view.credential_version.is_some() && view.hold.is_none() && view.lost.is_none();
        let is_shown = view.is_business_shown();
        if is_id && is_working && is_shown != Some(false) {
            let name = format!("{PREFIX}{business}-{}", number.digits());
            let second = Self { is_unproven: is_shown.is_none(), ..Self::named(client, namespace, name) };
            self.with_operator = Some(Box::new(second));
        }
        self
    }

    fn named(client: &Client, namespace: &str, name: String) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            objects: Objects::new(client, Some(namespace)),
            name,
            with_operator: None,
            is_unproven: false,
        }
    }

    async fn standing(&self) -> Result<ConfigMap, Failed> {
        match bounded(self.objects.get(&self.name, Wanted::Data(KEY))).await? {
            Stored(Ok(standing)) => Ok(standing),
            Stored(Err(unusable)) => Err(Failed::Refused(unreadable(&self.name, &unusable.why))),
        }
    }

    async fn write(&self, standing: Option<&ConfigMap>, text: String) -> Result<(), Failed> {
        let labels = [(USE_LABEL, USE_ATTEMPTS), ("app.kubernetes.io/managed-by", MANAGER)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let data = BTreeMap::from([(KEY.to_owned(), text)]);
        let Some(standing) = standing else {
            let metadata = ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(labels.into()),
                ..ObjectMeta::default()
            };
            let new = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
            let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
            return bounded(self.api.create(&params, &new)).await.map(drop);
        };
        // Onto what was merged, or not at all: another operator may have kept more meanwhile.
        let version = &standing.metadata.resource_version;
        let labels: BTreeMap<_, _> = labels.into();
        let patch = json!({"metadata": {"resourceVersion": version, "labels": labels}, "data": data});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        bounded(self.api.patch(&self.name, &params, &Patch::Merge(&patch))).await.map(drop)
    }
}

impl Attempts for NumberAttempts {
    async fn read(&self) -> AttemptsRead {
        if self.is_unproven {
            return AttemptsRead::Failed(UNPROVEN.into());
        }
        match self.standing().await {
            Ok(standing) => match text(&standing).map(lower::attempts) {
                Some(Ok(kept)) => AttemptsRead::Kept(Box::new(kept)),
                Some(Err(why)) => AttemptsRead::Unusable(format!("ConfigMap {}: {why}", self.name)),
                None => AttemptsRead::Unusable(format!("ConfigMap {} has no key {KEY}", self.name)),
            },
            Err(Failed::Gone(_)) => AttemptsRead::Absent,
            Err(Failed::Forbidden(why)) => AttemptsRead::Forbidden(why),
            Err(error) => AttemptsRead::Failed(error.to_string()),
        }
    }

    async fn keep(&self, own: &Ledger, limits: &Limits, now: Timestamp) -> Result<Ledger, NotKept> {
        if self.is_unproven {
            return Err(NotKept::Passing(UNPROVEN.into()));
        }
        let standing = match self.standing().await {
            Ok(standing) => Some(standing),
            Err(Failed::Gone(_)) => None,
            Err(error) => return Err(not_kept(error)),
        };
        let before = standing.as_ref().and_then(text);
        let kept = before.and_then(|text| lower::attempts(text).ok());
        let next = own.kept(kept.as_ref().unwrap_or(&Ledger::default()), limits, now);
        if kept.as_ref() == Some(&next) {
            return Ok(next);
        }
        let text = lower::attempts_text(&next, before);
        self.write(standing.as_ref(), text).await.map(|()| next).map_err(not_kept)
    }

    fn place(&self) -> Option<String> {
        // Of one that is unproven nothing is known, so nothing is owed to it.
        (!self.is_unproven).then(|| format!("{}/{}", self.api.resource_url(), self.name))
    }

    fn with_operator(&self) -> Option<&Self> {
        self.with_operator.as_deref()
    }
}

const UNPROVEN: &str = "Meta has not shown the business to the credentials of the portfolio yet";

fn not_kept(error: Failed) -> NotKept {
    match error {
        Failed::Conflict(_) | Failed::NoAnswer(_) | Failed::NotServed(_) => {
            NotKept::Passing(error.to_string())
        }
        Failed::Gone(_) | Failed::Forbidden(_) | Failed::Refused(_) => NotKept::Refused(error.to_string()),
    }
}

/// What is wrong with the ConfigMap, and what to do.
fn unreadable(name: &str, why: &Why) -> String {
    match why {
        Why::TooLarge => format!(
            "ConfigMap {name} has more than {} KiB under its key {KEY}, and the operator never writes that much; put back what stood there, or delete the ConfigMap: then attempts of earlier channels count as none",
            MOST_OBJECT / 1_024
        ),
        Why::Unparsed(why) => format!("ConfigMap {name} does not parse: {why}"),
    }
}

fn text(standing: &ConfigMap) -> Option<&str> {
    standing.data.as_ref()?.get(KEY).map(String::as_str)
}

/// How far a sweep of one namespace, or of the whole cluster, got.
#[derive(Debug, Default)]
pub struct Swept {
    /// Namespace and name of the last one that was looked at, in the order of the server's keys.
    pub last: Option<String>,
    pub removed: usize,
    /// Why the first of those stayed that could not be removed. Those behind it are removed all the same.
    pub kept_back: Option<Failed>,
    size: PageSize,
}

/// Removes what counts for nothing any more, in one namespace or everywhere, behind the last one that was looked at. What
/// cannot be understood is left alone, since a newer version may have written it. `alive` is called again and again.
///
/// # Errors
///
/// When the list could not be read to its end.
pub async fn sweep(
    client: &Client,
    namespace: Option<&str>,
    (limits, now): (&Limits, Timestamp),
    swept: &mut Swept,
    alive: impl Fn(),
) -> Result<(), Failed> {
    let objects = Objects::<ConfigMap>::new(client, namespace);
    let mut params = ListParams::default().labels(&format!("{USE_LABEL}={USE_ATTEMPTS}"));
    loop {
        alive();
        let mut page = match bounded(objects.page(&params, Wanted::Data(KEY), &mut swept.size)).await {
            Ok(page) => page,
            Err(error) => {
                if matches!(error, Failed::NoAnswer(_)) {
                    swept.size.shrink();
                }
                return Err(error);
            }
        };
        let next = page.next.take();
        for standing in page.objects::<ConfigMap>() {
            let Ok(Stored(Ok(standing))) = standing else { continue };
            let place = place(&standing);
            if swept.last.as_ref().is_some_and(|last| place <= *last) {
                continue;
            }
            let kept = text(&standing).and_then(|text| lower::attempts(text).ok());
            if kept.is_some_and(|kept| !kept.is_kept(limits, now)) {
                match remove(client, &standing).await {
                    Ok(is_removed) => swept.removed += usize::from(is_removed),
                    Err(error) => {
                        swept.kept_back.get_or_insert(error);
                    }
                }
                alive();
            }
            swept.last = Some(place);
        }
        match next {
            Some(next) => params = params.continue_token(&next),
            None => return Ok(()),
        }
    }
}

fn place(standing: &ConfigMap) -> String {
    let meta = &standing.metadata;
    let [namespace, name] = [&meta.namespace, &meta.name].map(|part| part.as_deref().unwrap_or_default());
    format!("{namespace}/{name}")
}

/// Removes it as it was read, or not at all: somebody else may have been faster, or it was written just now.
async fn remove(client: &Client, standing: &ConfigMap) -> Result<bool, Failed> {
    let namespace = standing.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let name = standing.metadata.name.as_deref().filter(|name| name.starts_with(PREFIX));
    let Some(name) = name else { return Ok(false) };
    let preconditions = Preconditions {
        resource_version: standing.metadata.resource_version.clone(),
        uid: standing.metadata.uid.clone(),
    };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match bounded(api.delete(name, &params)).await {
        Ok(_) => Ok(true),
        Err(Failed::Gone(_) | Failed::Conflict(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::{
        body::Body,
        http::{Method, Request, Response},
    };

    use super::*;

    /// A rule of a company, or a finalizer's webhook, keeps one where it is, and it is the same one each day.
    #[tokio::test]
    async fn one_that_may_not_be_removed_keeps_none_behind_it() {
        let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let heard = asked.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let path = request.uri().path().to_owned();
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            let is_list = request.method() == Method::GET;
            let (code, body) = if is_list {
                let old = json!({"codes": [{"id": "1", "at": "2020-01-01T00:00:00Z", "outcome": "Accepted", "cause": "SendCode"}]});
                let item = |n: u32| {
                    json!({
                        "metadata": {"name": format!("{PREFIX}{n}"), "namespace": "acme", "uid": "u", "resourceVersion": "7"},
                        "data": {KEY: old.to_string()},
                    })
                };
                let items: Vec<_> = (1..=3).map(item).collect();
                (
                    200,
                    json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "9"}, "items": items}),
                )
            } else {
                let is_kept = name.ends_with('1');
                heard.lock().expect("sound").push(name);
                let status = |status: &str, message: &str, code: u16| json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": status, "message": message, "code": code});
                match is_kept {
                    true => (403, status("Failure", "the rule keeps it", 403)),
                    false => (200, status("Success", "", 200)),
                }
            };
            let answer = Response::builder().status(code).body(Body::from(body.to_string()));
            async move { Ok::<_, Infallible>(answer.expect("an answer")) }
        });
        let client = Client::new(service, "default");
        let mut swept = Swept::default();
        let counts = (&Limits::default(), Timestamp::now());
        sweep(&client, None, counts, &mut swept, || ()).await.expect("a list");
        let asked = asked.lock().expect("sound").clone();
        assert_eq!(asked, [1, 2, 3].map(|n| format!("{PREFIX}{n}")));
        assert!(swept.kept_back.is_some_and(|error| error.to_string().contains("the rule keeps it")));
    }

    #[tokio::test]
    async fn a_config_map_that_is_too_large_is_named_with_its_key_and_what_to_do() {
        let text = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "whatsapp-attempts-5511912345678", "namespace": "acme"},
            "data": {KEY: "x".repeat(MOST_OBJECT + 1)},
        })
        .to_string();
        let service = tower::service_fn(move |_: Request<kube::client::Body>| {
            let text = text.clone();
            async move { Ok::<_, Infallible>(Response::new(Body::from(text))) }
        });
        let number = Canonical::of("+5511912345678");
        let attempts = NumberAttempts::new(&Client::new(service, "default"), "acme", &number);
        let AttemptsRead::Failed(why) = attempts.read().await else { panic!("what is there is not known") };
        let named =
            "ConfigMap whatsapp-attempts-5511912345678 has more than 256 KiB under its key attempts.json";
        assert!(why.contains(named) && why.contains("delete the ConfigMap"), "{why}");
        assert!(!why.contains("spec"), "{why}");
    }

    #[tokio::test]
    async fn the_second_copy_is_of_one_business_portfolio_and_only_below_credentials_that_work() {
        use crate::engine::{
            failure::Failure,
            fixture,
            id::Fact,
            portfolio::{Hold, PortfolioView, Reach, Reachable},
            reason::Reason,
        };
        let service = tower::service_fn(|_: Request<kube::client::Body>| async {
            Ok::<_, Infallible>(Response::new(Body::empty()))
        });
        let (client, number) = (Client::new(service, "default"), Canonical::of("+5511912345678"));
        let view = |business: &str| PortfolioView { business: business.into(), ..fixture::view() };
        let name = |portfolio: PortfolioState| {
            let first = NumberAttempts::new(&client, "shop", &number);
            let both = first.also_with_operator(&client, "home", &portfolio, &number);
            assert_eq!(both.name, "whatsapp-attempts-5511912345678");
            both.with_operator.map(|second| (second.name, second.is_unproven))
        };
        let of = |view: PortfolioView| name(PortfolioState::View(view.into()));
        let named = |business: &str| Some((format!("whatsapp-attempts-{business}-5511912345678"), false));
        assert_eq!(of(view("500000000000001")), named("500000000000001"));
        assert_eq!(of(view("500000000000002")), named("500000000000002"));
        let hold = Hold { reason: Reason::TokenInvalid, message: "why".into(), failure: None };
        assert_eq!(of(PortfolioView { hold: Some(hold), ..view("500000000000001") }), None);
        assert_eq!(of(PortfolioView { lost: Some(Timestamp::now()), ..view("500000000000001") }), None);
        assert_eq!(of(PortfolioView { credential_version: None, ..view("500000000000001") }), None);
        // Its credentials work, and Meta shows it nothing of that business: somebody may have written down another's id.
        let refused = fixture::refusal(200, None, "T1");
        let unread = || Fact::Unknown(Failure::Refused(refused.clone()));
        assert!(refused.is_answer(), "it is a fact about the token");
        let listed = |owned: Option<bool>| {
            let account = Reachable { id: "300000000000001".into(), name: None, owned };
            Reach::Accounts([account].into())
        };
        for owned in [None, Some(false)] {
            let stranger = PortfolioView { facts: unread(), reach: listed(owned), ..view("500000000000001") };
            assert_eq!(of(stranger), None, "{owned:?}");
        }
        // What was not read yet is waited for like any read without an answer.
        for facts in [Fact::NotAsked, Fact::Unknown(Failure::NoAnswer("a time-out".into()))] {
            let not_yet = PortfolioView { facts, reach: listed(None), ..view("500000000000001") };
            assert_eq!(of(not_yet).map(|(_, is_unproven)| is_unproven), Some(true));
        }
        let lists_own =
            PortfolioView { facts: unread(), reach: listed(Some(true)), ..view("500000000000001") };
        assert_eq!(of(lists_own), named("500000000000001"));
        for business in ["", "acme", "1/../2"] {
            assert_eq!(of(view(business)), None, "{business}");
        }
        assert_eq!(name(PortfolioState::NotYet), None);
    }
}
