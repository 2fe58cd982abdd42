//! Removes attempts of numbers that count no more, wherever objects are watched, also where no portfolio is left, and in the
//! operator's own namespace.

use std::{sync::Arc, time::Duration};

use kube::Client;
use tracing::{debug, info, warn};

use crate::{
    cluster::{
        Failed,
        attempts::{self, Swept},
    },
    engine::limits::Limits,
    meta::port::Clock,
};

use super::supervise::Pulse;

/// Attempts count for weeks, so what counts no more may lie there for another day.
const EVERY: Duration = Duration::from_secs(86_400);
/// Between two namespaces, so that a start lists no crowd of them at once.
const BETWEEN: Duration = Duration::from_secs(1);
/// What failed goes on after this.
const AGAIN: Duration = Duration::from_secs(60);
/// So often without getting any further: the next day is another try.
const TRIES: u32 = 10;

/// What is to be swept: these namespaces and the operator's own, or the whole cluster where they are none.
pub fn places(namespaces: &[String], own: Option<&str>) -> Vec<Option<String>> {
    if namespaces.is_empty() {
        return vec![None];
    }
    let own = own.filter(|own| !namespaces.iter().any(|name| name == own));
    namespaces.iter().cloned().chain(own.map(str::to_owned)).map(Some).collect()
}

/// Lists each of these once a day.
pub async fn sweep<C: Clock>(
    client: &Client,
    places: &[Option<String>],
    limits: &Limits,
    clock: &Arc<C>,
    pulse: &Pulse,
) {
    loop {
        for place in places {
            sweep_one(client, place.as_deref(), limits, clock, pulse).await;
            tokio::time::sleep(BETWEEN).await;
        }
        pulse.sleep(EVERY).await;
    }
}

/// One list to its end, however long that takes. It goes on behind the last one that was looked at, whatever ends it before.
async fn sweep_one<C: Clock>(
    client: &Client,
    place: Option<&str>,
    limits: &Limits,
    clock: &Arc<C>,
    pulse: &Pulse,
) {
    let namespace = place.unwrap_or("*");
    let (mut swept, mut tries) = (Swept::default(), 0);
    loop {
        let before = swept.last.clone();
        let counts = (limits, clock.now());
        let Err(error) = attempts::sweep(client, place, counts, &mut swept, || pulse.beat()).await else {
            break;
        };
        tries = if swept.last == before { tries + 1 } else { 1 };
        let is_for_today = matches!(error, Failed::Forbidden(_) | Failed::Gone(_) | Failed::NotServed(_));
        if is_for_today || tries == TRIES {
            swept.kept_back.get_or_insert(error);
            break;
        }
        debug!(namespace, %error, "the list of attempts goes on later");
        pulse.sleep(AGAIN).await;
    }
    if swept.removed > 0 {
        info!(namespace, removed = swept.removed, "attempts that count no more were removed");
    }
    if let Some(error) = swept.kept_back {
        warn!(namespace, %error, "attempts that count no more are not removed");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use axum::{
        body::Body,
        http::{Method, Request, Response},
    };
    use serde_json::{Value, json};
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::{
        sandbox::{Options, Sandbox, World},
        twin::VirtualClock,
    };

    const PAGES: usize = 6;

    /// Plays an API server with a list of six pages, each after nine seconds. Only what is on the last one counts no more.
    struct Server {
        standing: BTreeSet<usize>,
        /// Pages that were asked for.
        asked: Vec<usize>,
        /// Pages that fail once.
        failing: BTreeSet<usize>,
        pulse: Pulse,
        /// For how long the sweeper gave no sign of life at most, when a page came.
        silence: Duration,
    }

    fn answered(code: u16, body: &Value) -> Response<Body> {
        Response::builder().status(code).body(Body::from(body.to_string())).expect("an answer")
    }

    fn standing(page: usize, now: jiff::Timestamp) -> Value {
        let hours = if page + 1 == PAGES { 24 * 40 } else { 1 };
        let at = now - jiff::SignedDuration::from_hours(hours);
        let code = json!({"id": "1", "at": at, "outcome": "Accepted", "cause": "SendCode"});
        json!({
            "metadata": {"name": format!("whatsapp-attempts-{page}"), "namespace": "acme", "uid": "u", "resourceVersion": "7"},
            "data": {"attempts.json": json!({"codes": [code]}).to_string()},
        })
    }

    fn serve(server: Arc<Mutex<Server>>, now: jiff::Timestamp) -> Client {
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let server = server.clone();
            async move {
                let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
                if request.method() == Method::DELETE {
                    let page = path.rsplit('-').next().and_then(|page| page.parse().ok()).expect("a page");
                    server.lock().expect("sound").standing.remove(&page);
                    let done =
                        json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success"});
                    return Ok::<_, Infallible>(answered(200, &done));
                }
                let page: usize = query
                    .split('&')
                    .find_map(|part| part.strip_prefix("continue="))
                    .map_or(0, |page| page.parse().expect("a page"));
                server.lock().expect("sound").asked.push(page);
                sleep(Duration::from_secs(9)).await;
                let mut server = server.lock().expect("sound");
                server.silence = server.silence.max(server.pulse.silence());
                if server.failing.remove(&page) {
                    let away = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
                        "message": "not now", "code": 500});
                    return Ok(answered(500, &away));
                }
                let items: Vec<_> =
                    server.standing.contains(&page).then(|| standing(page, now)).into_iter().collect();
                let next = (page + 1 < PAGES).then(|| (page + 1).to_string());
                let list = json!({"apiVersion": "v1", "kind": "ConfigMapList",
                    "metadata": {"resourceVersion": "9", "continue": next}, "items": items});
                Ok(answered(200, &list))
            }
        });
        Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_takes_minutes_is_swept_to_its_end_also_where_a_page_fails() {
        let cases: [(&str, &[usize], &[usize]); 3] = [
            ("slow", &[], &[0, 1, 2, 3, 4, 5]),
            ("a page fails", &[3], &[0, 1, 2, 3, 0, 1, 2, 3, 4, 5]),
            ("the first one fails", &[0], &[0, 0, 1, 2, 3, 4, 5]),
        ];
        for (what, failing, asked) in cases {
            let clock = Arc::new(VirtualClock(Sandbox::from_world(Options::default(), World::default())));
            let pulse = Pulse::new();
            let server = Arc::new(Mutex::new(Server {
                standing: (0..PAGES).collect(),
                asked: Vec::new(),
                failing: failing.iter().copied().collect(),
                pulse: pulse.clone(),
                silence: Duration::ZERO,
            }));
            let client = serve(server.clone(), clock.now());
            let limits = Limits::default();
            let places = places(&["acme".to_owned()], None);
            let sweeping = sweep(&client, &places, &limits, &clock, &pulse);
            timeout(Duration::from_secs(600), sweeping).await.expect_err("it never ends by itself");
            let server = server.lock().expect("sound");
            assert_eq!(server.standing, (0..PAGES - 1).collect(), "{what}");
            assert_eq!(server.asked, asked, "{what}");
            assert!(server.silence < Duration::from_secs(10), "{what}: {:?}", server.silence);
        }
    }

    #[test]
    fn the_operators_own_namespace_is_swept_once_wherever_it_watches() {
        let some = |names: &[&str]| -> Vec<_> { names.iter().map(|name| Some((*name).to_owned())).collect() };
        let watched = |names: &[&str]| -> Vec<_> { names.iter().map(|name| (*name).to_owned()).collect() };
        assert_eq!(places(&[], Some("own")), [None]);
        assert_eq!(places(&watched(&["a", "b"]), Some("own")), some(&["a", "b", "own"]));
        assert_eq!(places(&watched(&["a", "own"]), Some("own")), some(&["a", "own"]));
        assert_eq!(places(&watched(&["a"]), None), some(&["a"]));
    }
}
