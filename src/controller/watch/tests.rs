use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
};

use futures::StreamExt;

use axum::{
    body::{Body, Bytes},
    http::{Request, Response},
};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::*;
use crate::repeat::heard::Heard;

/// What the server answers to one request.
enum Answer {
    Status(u16),
    /// A list of these, of this version; `Some`: there are more pages.
    Page(&'static [&'static str], u64, Option<&'static str>),
    /// Events after these times; then the watch ends, unless it stays open.
    Events(Vec<(Duration, Value)>, End),
    Never,
}

enum End {
    Closed,
    Open,
}

/// Answers of a server for each namespace, in their order; then nothing is answered any more.
#[derive(Clone, Default)]
struct Server {
    answers: Arc<Mutex<BTreeMap<String, VecDeque<Answer>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// One that is called `held` has a finalizer.
fn object(namespace: &str, name: &str, version: u64) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name, "resourceVersion": version.to_string()}});
    if name == "held" {
        object["metadata"]["finalizers"] = json!(["acme.example/cleanup"]);
    }
    object
}

fn event(kind: &str, name: &str, version: u64) -> Value {
    json!({"type": kind, "object": object("a", name, version)})
}

fn bookmark(version: u64) -> Value {
    json!({"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"resourceVersion": version.to_string()}}})
}

fn error(code: u16) -> Value {
    json!({"type": "ERROR", "object": status(code)})
}

fn status(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("refused with {code}"), "reason": "Said", "code": code})
}

impl Server {
    fn answers(self, namespace: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers: VecDeque<_> = answers.into_iter().collect();
        self.answers.lock().expect("sound").insert(namespace.to_owned(), answers);
        self
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request.uri().to_string()).await) }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, uri: String) -> Response<Body> {
        let namespace = uri.split('/').nth(4).unwrap_or_default().to_owned();
        let asked = uri.split_once('?').map_or("", |(_, query)| query);
        self.asked.lock().expect("sound").push(format!("{namespace} {asked}"));
        let answer = self.answers.lock().expect("sound").get_mut(&namespace).and_then(VecDeque::pop_front);
        match answer.unwrap_or(Answer::Never) {
            Answer::Never => std::future::pending().await,
            Answer::Status(code) => {
                let body = Body::from(status(code).to_string());
                Response::builder().status(code).body(body).expect("a response")
            }
            Answer::Page(names, version, more) => {
                let items: Vec<Value> = names.iter().map(|name| object(&namespace, name, version)).collect();
                let meta =
                    json!({"resourceVersion": version.to_string(), "continue": more.unwrap_or_default()});
                let list =
                    json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": meta, "items": items});
                Response::new(Body::from(list.to_string()))
            }
            Answer::Events(events, end) => {
                let body = futures::stream::iter(events).then(|(after, event)| async move {
                    sleep(after).await;
                    Ok::<_, Infallible>(Bytes::from(format!("{event}\n")))
                });
                let body = match end {
                    End::Closed => Body::from_stream(body),
                    End::Open => Body::from_stream(body.chain(futures::stream::pending())),
                };
                Response::new(body)
            }
        }
    }

    /// How often a list was begun, and how often a watch from which versions.
    fn asked(&self, namespace: &str) -> Vec<String> {
        let asked = self.asked.lock().expect("sound");
        let mine = asked.iter().filter_map(|one| one.strip_prefix(&format!("{namespace} ")));
        mine.map(|query| {
            let version = query.split('&').find_map(|part| part.strip_prefix("resourceVersion="));
            version.map_or_else(|| "list".to_owned(), |version| format!("watch {version}"))
        })
        .collect()
    }
}

/// What is told within this time, and how the watches stand then.
async fn told(server: &Server, namespaces: &[&str], time: Duration) -> (Vec<String>, Watches) {
    let names: Vec<String> = namespaces.iter().map(|name| (*name).to_owned()).collect();
    told_by(server, Watches::new(&Watched { namespaces: names, ..Watched::default() }), time).await
}

async fn told_by(server: &Server, watches: Watches, time: Duration) -> (Vec<String>, Watches) {
    let news = Mutex::new(Vec::new());
    let take = |one: News<'_, ConfigMap>| {
        news.lock().expect("sound").push(match one {
            News::Shown { object, is_first, .. } => {
                let name = object.meta().name.clone().unwrap_or_default();
                format!("{name}{}", if is_first { " at first" } else { "" })
            }
            News::Gone(key) => format!("{} gone", key.name),
            News::Filled => "filled".to_owned(),
            News::Back(of) => format!("back {}", of.unwrap_or_default()),
        });
    };
    let _ = timeout(time, watch(&server.client(), &watches, || {}, take)).await;
    (news.into_inner().expect("sound"), watches)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[tokio::test(start_paused = true)]
async fn what_a_list_that_broke_off_had_shown_is_gone_when_the_next_one_lacks_it() {
    let server = Server::default().answers(
        "a",
        [
            Answer::Page(&["kept", "ghost"], 5, Some("more")),
            Answer::Status(500),
            Answer::Page(&["kept"], 6, None),
            Answer::Events(vec![], End::Open),
        ],
    );
    let (news, _) = told(&server, &["a"], secs(30)).await;
    assert_eq!(news, ["kept at first", "ghost at first", "back a", "kept at first", "ghost gone", "filled"]);
    assert_eq!(server.asked("a"), ["list", "list", "list", "watch 6"]);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_may_not_be_read_counts_as_empty_and_is_seen_when_it_may() {
    let refused = || (0..3).map(|_| Answer::Status(403));
    let late = [Answer::Page(&["late"], 7, None), Answer::Events(vec![], End::Open)];
    let server = Server::default()
        .answers("a", [Answer::Page(&["one"], 5, None), Answer::Events(vec![], End::Open)])
        .answers("b", refused().chain(late));
    let (news, watches) = told(&server, &["a", "b"], secs(3)).await;
    assert_eq!(news, ["one at first", "filled"]);
    let refused: Vec<_> = watches.standing().into_iter().map(|one| one.refused).collect();
    let remedy = "let the operator's ServiceAccount list and watch them, or do not watch the namespace";
    assert_eq!(refused, [None, Some(Refusal { why: "403: refused with 403".into(), remedy })]);

    let server = Server::default()
        .answers("a", [Answer::Page(&["one"], 5, None), Answer::Events(vec![], End::Open)])
        .answers("b", [Answer::Status(403), Answer::Status(404), Answer::Page(&["late"], 7, None)]);
    let (news, watches) = told(&server, &["a", "b"], secs(30)).await;
    assert_eq!(news, ["one at first", "filled", "late"]);
    assert!(watches.standing().iter().all(|one| one.refused.is_none()));
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_in_a_namespace_that_is_refused_for_an_hour_is_gone_for_those_who_forget() {
    let refused = |count| (0..count).map(|_| Answer::Status(403));
    let shown = || [Answer::Page(&["one", "held"], 5, None), Answer::Events(vec![], End::Closed)];
    let open = || [Answer::Page(&["one", "held"], 9, None), Answer::Events(vec![], End::Open)];
    let refused_for_long = || Server::default().answers("a", shown().into_iter().chain(refused(400)));
    let of = |names: &[&str]| {
        let namespaces = names.iter().map(|name| (*name).to_owned()).collect();
        Watches::new(&Watched { namespaces, ..Watched::default() })
    };
    let first = ["one at first", "held at first", "filled"];
    let all = ["one at first", "held at first", "filled", "one gone"];
    let (news, _) = told_by(&refused_for_long(), of(&["a"]).forgetting(), secs(3_500)).await;
    assert_eq!(news, first);
    let (news, _) = told_by(&refused_for_long(), of(&["a"]).forgetting(), secs(3_700)).await;
    assert_eq!(news, all);
    let (news, _) = told_by(&refused_for_long(), of(&["a"]), secs(3_700)).await;
    assert_eq!(news, first, "others keep it");
    // An answer in between begins the hour anew.
    let between = shown().into_iter().chain(refused(120)).chain(shown()).chain(refused(120)).chain(open());
    let (news, _) =
        told_by(&Server::default().answers("a", between), of(&["a"]).forgetting(), secs(6_000)).await;
    assert!(!news.contains(&"one gone".to_owned()), "{news:?}");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_may_be_read_nothing_is_filled() {
    let server = Server::default().answers("a", (0..9).map(|_| Answer::Status(404)));
    let (news, watches) = told(&server, &["a"], secs(60)).await;
    assert_eq!(news, [""; 0]);
    assert!(!watches.is_filled());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_slows_no_other_namespace() {
    let server = Server::default()
        .answers(
            "a",
            [
                Answer::Page(&["one"], 5, None),
                Answer::Events(vec![(secs(20), event("ADDED", "two", 6))], End::Open),
            ],
        )
        .answers("b", [Answer::Status(403), Answer::Never]);
    let (news, watches) = told(&server, &["a", "b"], secs(25)).await;
    assert_eq!(news, ["one at first", "filled", "two"]);
    let failure = watches.standing()[1].failure.clone();
    assert_eq!(failure.as_deref(), Some("no answer to a list within 10 s"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_from_what_it_heard_last_and_bookmarks_count() {
    let server = Server::default().answers(
        "a",
        [
            Answer::Page(&["one"], 5, None),
            Answer::Events(
                vec![(secs(1), event("MODIFIED", "one", 8)), (secs(60), bookmark(11))],
                End::Closed,
            ),
            Answer::Events(vec![(secs(1), event("DELETED", "one", 12))], End::Closed),
            Answer::Events(vec![], End::Open),
        ],
    );
    let (news, watches) = told(&server, &["a"], secs(70)).await;
    assert_eq!(news, ["one at first", "filled", "one", "one gone"]);
    assert_eq!(server.asked("a"), ["list", "watch 5", "watch 11", "watch 12"]);
    assert!(watches.standing()[0].age < secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_watch_without_a_sign_of_life_is_begun_again_where_it_stood() {
    let server = Server::default().answers(
        "a",
        [
            Answer::Page(&[], 5, None),
            Answer::Events(vec![], End::Open),
            Answer::Events(vec![(secs(1), event("ADDED", "one", 6))], End::Open),
        ],
    );
    let (news, watches) = told(&server, &["a"], SILENCE + secs(10)).await;
    assert_eq!(news, ["filled", "back a", "one"]);
    assert_eq!(server.asked("a"), ["list", "watch 5", "watch 5"]);
    assert_eq!(watches.standing()[0].failure, None);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_deaf_ages_and_is_named() {
    let server = Server::default().answers("a", [Answer::Page(&[], 5, None)]);
    let (_, watches) = told(&server, &["a"], secs(600)).await;
    let one = &watches.standing()[0];
    assert!(one.age > secs(590), "{one:?}");
    assert!(one.failure.is_some(), "{one:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_of_which_one_page_always_fails_ages_and_is_named() {
    for (code, why) in
        [(500, "500: refused with 500"), (410, "the API server forgot the list between two of its pages")]
    {
        let pages = (0..99).flat_map(|_| [Answer::Page(&["one"], 5, Some("more")), Answer::Status(code)]);
        let server = Server::default().answers("a", pages);
        let (news, watches) = told(&server, &["a"], secs(600)).await;
        let one = &watches.standing()[0];
        assert!(one.age > secs(590) && one.failure.as_deref() == Some(why), "{one:?}");
        assert!(!news.contains(&"filled".to_owned()), "{news:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_the_server_forgot_is_listed_anew() {
    let server = Server::default().answers(
        "a",
        [
            Answer::Page(&["one", "two"], 5, None),
            Answer::Events(vec![(secs(1), error(410))], End::Closed),
            Answer::Page(&["two"], 9, None),
            Answer::Status(410),
            Answer::Page(&["two"], 10, None),
            Answer::Events(vec![], End::Open),
        ],
    );
    let (news, _) = told(&server, &["a"], secs(10)).await;
    assert_eq!(news, ["one at first", "two at first", "filled", "two", "one gone", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_forgets_each_list_at_once_is_asked_for_one_less_and_less_often() {
    let lists = |watch: &dyn Fn() -> Answer| {
        let answers = (0..200).flat_map(|_| [Answer::Page(&["one"], 5, None), watch()]);
        Server::default().answers("a", answers)
    };
    let refuses = || Answer::Status(410);
    let tells_first =
        || Answer::Events(vec![(secs(0), event("MODIFIED", "one", 5)), (secs(0), error(410))], End::Closed);
    for watch in [&refuses as &dyn Fn() -> Answer, &tells_first] {
        let server = lists(watch);
        told(&server, &["a"], secs(120)).await;
        let lists = server.asked("a").iter().filter(|one| *one == "list").count();
        assert!((6..=11).contains(&lists), "{lists} lists in two minutes");
    }
    // One that it forgets after a while is listed anew at once, however often.
    let lasts = || Answer::Events(vec![(LASTING, error(410))], End::Closed);
    let server = lists(&lasts);
    told(&server, &["a"], secs(605)).await;
    assert_eq!(server.asked("a").iter().filter(|one| *one == "list").count(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_closed_at_once_is_begun_again_each_second_and_nothing_is_listed() {
    let closed = (0..100).map(|_| Answer::Events(vec![], End::Closed));
    let server =
        Server::default().answers("a", std::iter::once(Answer::Page(&["one"], 5, None)).chain(closed));
    let (news, _) = told(&server, &["a"], Duration::from_millis(30_500)).await;
    assert_eq!(news, ["one at first", "filled"]);
    let asked = server.asked("a");
    assert_eq!((asked.len(), asked.iter().filter(|one| *one == "list").count()), (32, 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_and_answers_in_turns_is_back_once_in_a_while_and_where_it_was_away_alone() {
    let sign = || Answer::Events(vec![(Duration::ZERO, bookmark(6))], End::Closed);
    let turns = || (0..40).flat_map(|_| [Answer::Status(500), sign()]);
    let list = || std::iter::once(Answer::Page(&[], 5, None));
    let calm = Answer::Events(vec![], End::Open);
    let server = Server::default()
        .answers("a", list().chain(turns()))
        .answers("b", list().chain(std::iter::once(calm)));
    let (news, _) = told(&server, &["a", "b"], secs(100)).await;
    let back: Vec<_> = news.iter().filter(|one| one.starts_with("back")).collect();
    assert!((2..=4).contains(&back.len()) && back.iter().all(|one| *one == "back a"), "{news:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fails_and_is_begun_again_in_turns_is_one_line_of_the_log_in_a_minute() {
    let log = Heard::from_now_on();
    let sign = || Answer::Events(vec![(Duration::ZERO, bookmark(6))], End::Closed);
    let turns = |code: u16| (0..200).flat_map(move |_| [Answer::Status(code), sign()]);
    let list = || std::iter::once(Answer::Page(&[], 5, None));
    let server = Server::default()
        .answers("fails", list().chain(turns(500)))
        .answers("refused", list().chain(turns(403)));
    told(&server, &["fails", "refused"], secs(130)).await;
    let tries = |of: &str| server.asked(of).len();
    assert!(tries("fails") > 30 && tries("refused") > 30, "{} and {}", tries("fails"), tries("refused"));
    let lines = [
        log.lines(&["watch failed, tried again", "namespace=\"fails\"", "500"]),
        log.lines(&["counts as empty", "namespace=\"refused\"", "403"]),
        log.lines(&["the namespace can be read", "namespace=\"refused\""]),
    ];
    for lines in &lines {
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines[0].contains("repeated=0") && !lines[1].contains("repeated=0"), "{lines:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_keeps_failing_is_listed_anew() {
    let failing = (0..=FAILURES).map(|_| Answer::Status(500));
    let list = |names| std::iter::once(Answer::Page(names, 5, None));
    let server = Server::default().answers("a", list(&["one"]).chain(failing).chain(list(&[])));
    let (news, _) = told(&server, &["a"], secs(120)).await;
    assert_eq!(news, ["one at first", "filled", "back a", "one gone"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_older_than_what_was_seen_takes_nothing_back() {
    let expired = || Answer::Events(vec![(secs(1), error(410))], End::Closed);
    let server = Server::default().answers(
        "a",
        [
            Answer::Page(&["one"], 50, None),
            Answer::Events(vec![(secs(1), event("ADDED", "two", 60)), (secs(1), error(410))], End::Closed),
            Answer::Page(&["one"], 55, None),
            Answer::Page(&["one", "two"], 61, None),
            Answer::Events(vec![], End::Open),
        ],
    );
    let (news, _) = told(&server, &["a"], secs(30)).await;
    assert_eq!(news, ["one at first", "filled", "two", "back a", "one", "two"]);
    // After a restore of the server's storage the older list is the truth.
    let old = (0..=OLD_LISTS).map(|_| Answer::Page(&[], 7, None));
    let first = [Answer::Page(&["one"], 50, None), expired()];
    let server = Server::default().answers("a", first.into_iter().chain(old));
    let (news, _) = told(&server, &["a"], secs(600)).await;
    assert_eq!(news, ["one at first", "filled", "back a", "one gone"]);
}
