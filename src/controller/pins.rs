//! Notices a PIN that was changed in its Secret, of numbers at rest. Nothing is kept of each number for that: the channels
//! are listed once a day, and the version of each Secret is compared with the one that the status remembers.

use std::time::Duration;

use kube::api::ListParams;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::{
    api::{lower, v1alpha1::WhatsAppChannel},
    cluster::{
        DEADLINE, causes,
        read::{Objects, PageSize, Stored, Wanted},
        secret::NamespaceSecrets,
    },
    controller::{
        channel::Context,
        supervise::Pulse,
        watch::{Key, Watched},
    },
    meta::port::{Clock, Graph},
    run::secret::{Purpose, glance},
};

/// Between two Secrets, so that nobody notices the reads.
const BETWEEN: Duration = Duration::from_millis(20);
/// What failed goes on after this.
const AGAIN: Duration = Duration::from_secs(60);
/// So often without getting any further: the next day is another try.
const TRIES: u32 = 10;

/// Looks through all channels that are watched, once a day. Whoever is not at rest looks at its Secret itself.
pub async fn follow<G: Graph, C: Clock>(ctx: &Context<G, C>, watched: &Watched, pulse: &Pulse) {
    let mut scopes: Vec<Option<&str>> = watched.namespaces.iter().map(|name| Some(name.as_str())).collect();
    if scopes.is_empty() {
        scopes.push(None);
    }
    loop {
        pulse.sleep(ctx.shell.limits.pin_poll).await;
        for scope in &scopes {
            look_through(ctx, watched, *scope, pulse).await;
        }
    }
}

/// Why a list ended.
enum Ended {
    /// The namespace is gone, or may not be read, which the watch names.
    Refused,
    Failed(String),
}

impl From<kube::Error> for Ended {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if matches!(status.code, 403 | 404) => Self::Refused,
            _ => Self::Failed(causes(&error)),
        }
    }
}

/// One list, which goes on behind the last channel that was looked at, whatever ends it before.
async fn look_through<G: Graph, C: Clock>(
    ctx: &Context<G, C>,
    watched: &Watched,
    scope: Option<&str>,
    pulse: &Pulse,
) {
    let (mut last, mut tries, mut size) = (None, 0, PageSize::default());
    loop {
        let before = last.clone();
        let Err(Ended::Failed(why)) = go_on(ctx, watched, scope, (&mut last, &mut size), pulse).await else {
            return;
        };
        tries = if last == before { tries + 1 } else { 1 };
        if tries == TRIES {
            let namespace = scope.unwrap_or("*");
            warn!(
                namespace,
                why,
                "changed PINs are looked for again tomorrow; kubectl whatsapp reconcile NAME looks at once"
            );
            return;
        }
        debug!(why, "the list of channels goes on later");
        pulse.sleep(AGAIN).await;
    }
}

async fn go_on<G: Graph, C: Clock>(
    ctx: &Context<G, C>,
    watched: &Watched,
    scope: Option<&str>,
    (last, size): (&mut Option<String>, &mut PageSize),
    pulse: &Pulse,
) -> Result<(), Ended> {
    let objects = Objects::<WhatsAppChannel>::new(&ctx.cluster.client, scope);
    let mut params = ListParams::default().labels_from(&watched.selector);
    loop {
        pulse.beat();
        let page = timeout(DEADLINE, objects.page(&params, Wanted::Shown, size)).await;
        let Ok(page) = page else {
            size.shrink();
            return Err(Ended::Failed("no answer to a list".into()));
        };
        let page = page?;
        let next = page.next.clone();
        for object in page.objects::<WhatsAppChannel>() {
            let Stored(Ok(channel)) = object? else { continue };
            // In the order of the server's keys.
            let place = place(&channel);
            if last.as_ref().is_some_and(|last| place <= *last) {
                continue;
            }
            if is_changed(ctx, &channel).await {
                ctx.signals.channels.wake([Key::of(&channel.metadata)]);
            }
            *last = Some(place);
            pulse.beat();
        }
        match next {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}

fn place(channel: &WhatsAppChannel) -> String {
    let meta = &channel.metadata;
    let [namespace, name] = [&meta.namespace, &meta.name].map(|part| part.as_deref().unwrap_or_default());
    format!("{namespace}/{name}")
}

/// Whether a number at rest has a PIN that Meta was given or found with, and its Secret has another version by now. One that
/// is gone or cannot be read says nothing.
async fn is_changed<G: Graph, C: Clock>(ctx: &Context<G, C>, channel: &WhatsAppChannel) -> bool {
    let marks = lower::memory(channel).marks;
    let Ok(desired) = lower::channel(channel) else { return false };
    if marks.pin.is_none() || !ctx.accounts.has(&Key::of(&channel.metadata)) {
        return false;
    }
    sleep(BETWEEN).await;
    let secrets = NamespaceSecrets::new(&ctx.cluster.client, &desired.namespace);
    let seen = glance(&secrets, Purpose::Pin, &desired.registration.pin_secret).await;
    seen.version().is_some_and(|version| !marks.is_pin_of(version))
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc, Mutex,
            atomic::{AtomicBool, Ordering},
        },
    };

    use axum::{body::Body, http};
    use kube::Client;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        controller::{
            fixture,
            queue::{Lane, Next, Seen, Target},
        },
        engine::{desired::PortfolioRef, id::AccountId, look::Urgency, phone::E164},
        run::rested::Rested,
        sandbox::{Options, Sandbox, World},
    };

    fn channel(name: &str, pin: Option<&str>) -> Value {
        json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
            "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "7", "generation": 1},
            "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme"},
            "status": {"memory": {"marks": {"pin": pin}}},
        })
    }

    fn answered(code: u16, body: &Value) -> http::Response<Body> {
        http::Response::builder().status(code).body(Body::from(body.to_string())).expect("an answer")
    }

    /// The list comes in two pages, and the server forgets it between them as often as is told.
    fn answer(path: &str, query: &str, forgets: &Mutex<u32>) -> http::Response<Body> {
        let page = |items: Vec<Value>, next: &str| {
            let metadata = json!({"resourceVersion": "9", "continue": next});
            answered(
                200,
                &json!({"kind": "WhatsAppChannelList", "apiVersion": "v1", "metadata": metadata, "items": items}),
            )
        };
        if let Some(name) = path.strip_prefix("/api/v1/namespaces/shop/secrets/") {
            if name == "gone-pin" {
                return answered(
                    404,
                    &json!({"kind": "Status", "reason": "NotFound", "code": 404, "message": "gone"}),
                );
            }
            let metadata = json!({"name": name, "uid": name, "resourceVersion": "2"});
            return answered(
                200,
                &json!({"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "data": {"pin": "MjcxODI4"}}),
            );
        }
        let mut forgets = forgets.lock().unwrap();
        match query.contains("continue") {
            false => page(
                vec![
                    channel("changed", Some("changed-pin/1/pin")),
                    channel("gone", Some("gone-pin/1/pin")),
                    channel("none", None),
                ],
                "2",
            ),
            true if *forgets > 0 => {
                *forgets -= 1;
                answered(
                    410,
                    &json!({"kind": "Status", "reason": "Expired", "code": 410, "message": "too old"}),
                )
            }
            true => page(
                vec![channel("same", Some("same-pin/2/pin")), channel("working", Some("working-pin/1/pin"))],
                "",
            ),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_rests_is_woken_where_its_secret_has_another_version_and_each_is_read_once_whatever_ends_the_list()
     {
        let (forgets, read) = (Arc::new(Mutex::new(3)), Arc::new(Mutex::new(Vec::new())));
        let refuses = Arc::new(AtomicBool::new(false));
        let told = (forgets.clone(), read.clone(), refuses.clone());
        let server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let (forgets, read, refuses) = told.clone();
            async move {
                if refuses.load(Ordering::SeqCst) {
                    let status =
                        json!({"kind": "Status", "reason": "Forbidden", "code": 403, "message": "no"});
                    return Ok(answered(403, &status));
                }
                let path = request.uri().path().to_owned();
                if let Some((_, name)) = path.split_once("/secrets/") {
                    read.lock().unwrap().push(name.to_owned());
                }
                Ok::<_, Infallible>(answer(&path, request.uri().query().unwrap_or_default(), &forgets))
            }
        });
        let ctx = fixture::context(
            Client::new(server, "shop"),
            Sandbox::from_world(Options::default(), World::default()),
        );
        let portfolio = PortfolioRef { namespace: "shop".into(), name: "acme".into() };
        let now = ctx.shell.clock.now();
        for name in ["changed", "gone", "none", "same", "working"] {
            let object: WhatsAppChannel = serde_json::from_value(channel(name, None)).expect("a channel");
            let key = Key::of(&object.metadata);
            let lane = Lane { portfolio: portfolio.clone(), target: Target::Account(AccountId::from("300")) };
            ctx.signals.channels.shows(&key, lane, Seen::of(&object.metadata, &[]), Urgency::Drift);
            let rested = Rested {
                account: AccountId::from("300"),
                number: name.into(),
                digits: E164::parse("+5511912345678").expect("a number").canonical(),
                needs_subscription: false,
                is_received: None,
                needs_profile: false,
                shown: 1,
                profile: None,
                begun: now,
                interval: None,
                date: None,
                version: "7".into(),
            };
            if name != "working" {
                ctx.accounts.rest(&portfolio, &key, now, &rested, None);
            }
        }
        let (queue, woken) = (ctx.signals.channels.clone(), Arc::new(Mutex::new(Vec::new())));
        let begun = woken.clone();
        let work = move |turn: crate::controller::queue::Turn<Key>| {
            begun.lock().unwrap().push(turn.key.name.to_string());
            async { Next { after: None, class: Urgency::Drift } }
        };
        tokio::spawn(async move { queue.run(Pulse::new(), work, |_, _| ()).await });
        sleep(Duration::from_secs(5)).await;
        woken.lock().unwrap().clear();
        look_through(&ctx, &Watched::default(), None, &Pulse::new()).await;
        sleep(Duration::from_secs(5)).await;
        assert_eq!(*woken.lock().unwrap(), ["changed"]);
        assert_eq!(*read.lock().unwrap(), ["changed-pin", "gone-pin", "same-pin"]);
        // A namespace that may not be read is nobody's business here.
        refuses.store(true, Ordering::SeqCst);
        let before = tokio::time::Instant::now();
        look_through(&ctx, &Watched::default(), None, &Pulse::new()).await;
        assert!(before.elapsed() < AGAIN, "nobody behind it is kept waiting");
        refuses.store(false, Ordering::SeqCst);
        // Where nothing goes on, the next day is another try.
        *forgets.lock().unwrap() = u32::MAX;
        look_through(&ctx, &Watched::default(), None, &Pulse::new()).await;
        assert_eq!(u32::MAX - *forgets.lock().unwrap(), TRIES);
    }
}
