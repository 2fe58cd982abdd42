//! An API server that does to one namespace, or to all, what none should: everything else goes on, what does not is named,
//! and it ends by itself. Nobody's claim is lost meanwhile, and nobody who is gone keeps one.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use rstest::rstest;
use serde_json::{Value, json};
use whatsapp_operator::sandbox::{InitialStatus, Number, Switches};

use crate::control_plane::Process;
use crate::rig::{ACCOUNT, Rig, TokenFile, condition, free_address, http_get};
use crate::way::{Asked, Trouble, Way};

fn digits(n: usize) -> String {
    format!("5511914500{n:03}")
}

fn number(n: usize) -> String {
    format!("+{}", digits(n))
}

/// An operator of two namespaces, which reaches the API server by a way that can be troubled in the second.
struct Scene {
    rig: Rig,
    way: Way,
    other: String,
    operator: Option<Process>,
    health: std::net::SocketAddr,
}

impl Scene {
    /// With so many numbers that are registered at Meta. The operator is not started yet.
    async fn new(prefix: &str, numbers: usize) -> Self {
        let mut rig = Rig::with_portfolio(prefix).await;
        let other = rig.watch_also(&format!("{prefix}-other")).await;
        rig.edit("wap", "acme", json!({"access": [{"namespaces": [other], "accounts": [ACCOUNT]}]})).await;
        // One that shows CONNECTED before it is registered has a wait of its own.
        let initial_status = InitialStatus::word("PENDING");
        rig.sandbox.set_switches(Switches { initial_status, ..Switches::default() });
        for n in 0..numbers {
            let id = format!("1000000000007{n:03}");
            rig.sandbox
                .add_number(Number::new(&id, ACCOUNT, &digits(n), "Acme Support").registered("271828"));
        }
        let way = Way::of(&rig, &other).await;
        Self { rig, way, other, operator: None, health: free_address() }
    }

    /// Of one namespace, which is all that the operator watches.
    async fn of_one(prefix: &str) -> Self {
        let rig = Rig::with_portfolio(prefix).await;
        let other = rig.namespace.clone();
        let way = Way::of(&rig, &other).await;
        Self { rig, way, other, operator: None, health: free_address() }
    }

    async fn start(&mut self) {
        let kubeconfig = self.way.kubeconfig(&self.rig).await;
        let health = self.health.to_string();
        self.operator = Some(self.rig.spawn_with(&kubeconfig, &["--health-listen", &health]));
    }

    /// A channel in the namespace of the portfolio.
    async fn here(&self, name: &str, n: usize) {
        self.rig.channel(name, &number(n), json!({"accountId": ACCOUNT})).await;
    }

    /// A channel in the other one.
    async fn there(&self, name: &str, n: usize) {
        let of = json!({"name": "acme", "namespace": self.rig.namespace});
        let more = json!({"accountId": ACCOUNT, "portfolioRef": of});
        self.rig.channel(&self.at(name), &number(n), more).await;
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.other)
    }

    async fn until_ready(&self, name: &str) {
        self.rig.until_condition(name, "Ready", "True", None).await;
    }

    /// Waits until the number of a channel is said to be another's.
    async fn until_claimed(&self, name: &str) {
        self.rig.until_condition(name, "Ready", "False", Some("NumberClaimed")).await;
    }

    /// Waits until it is not any more.
    async fn until_free(&self, name: &str) {
        let is_free =
            |s: &Value| condition(s, "Ready").is_some_and(|ready| ready["reason"] != "NumberClaimed");
        self.rig.until(name, "its number", Duration::from_secs(60), is_free).await;
    }

    /// What is said of a channel, and since when.
    async fn said(&self, name: &str) -> Value {
        let status = self.rig.get(name).await["status"].clone();
        condition(&status, "Ready").expect("it is there").clone()
    }

    async fn delete_there(&self, name: &str) {
        let api = self.rig.api("wac", &self.other);
        api.delete(name, &DeleteParams::default()).await.expect("it is deleted");
    }

    async fn readiness(&self) -> String {
        http_get(self.health, "/readyz").await.unwrap_or_default()
    }

    /// Waits until readiness begins and goes on like this.
    async fn until_it_says(&self, code: &str, says: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let said = self.readiness().await;
            if said.starts_with(&format!("HTTP/1.1 {code}")) && says(&said) {
                return;
            }
            assert!(Instant::now() < deadline, "{said}\n{}", self.rig.logs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How long ago the server gave a sign of life about the channels there.
    async fn age(&self) -> f64 {
        let metrics = http_get(self.health, "/metrics").await.expect("it serves its metrics");
        let of =
            format!("whatsapp_operator_watch_age_seconds{{kind=\"channels\",namespace=\"{}\"}} ", self.other);
        let age = metrics.lines().find_map(|line| line.strip_prefix(&of));
        age.and_then(|age| age.parse().ok()).expect("an age")
    }

    /// Lines of the log with all of these.
    fn lines(&self, texts: &[&str]) -> usize {
        let logs = self.rig.logs();
        logs.lines().filter(|line| texts.iter().all(|text| line.contains(text))).count()
    }

    async fn until_logged(&self, texts: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(40);
        while self.lines(texts) == 0 {
            assert!(Instant::now() < deadline, "nothing says {texts:?}:\n{}", self.rig.logs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// One list of channels cannot be had. What was deleted before stays away, and what is deleted meanwhile goes afterwards.
#[rstest]
#[case::one_page_is_answered_with_500(Trouble::PageFails, "500: the test says InternalError")]
#[case::no_answer_comes(Trouble::Hangs, "no answer to a list within 10 s")]
#[case::a_member_lags_behind(Trouble::Lags, "which is older than what was seen before")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_one_namespace_that_cannot_be_had_cost_nobody_a_claim(
    #[case] trouble: Trouble,
    #[case] why: &str,
) {
    let mut scene = Scene::new("unlisted", 7).await;
    scene.start().await;
    for (n, name) in [(0, "kept"), (1, "left"), (2, "ghost"), (6, "more")] {
        scene.there(name, n).await;
    }
    for name in ["kept", "left", "ghost", "more"] {
        scene.until_ready(&scene.at(name)).await;
    }
    for (n, name) in ["rival-of-kept", "heir-of-left", "heir-of-ghost"].into_iter().enumerate() {
        scene.here(name, n).await;
        scene.until_claimed(name).await;
    }
    // The old member does not know of these two.
    scene.way.snapshot().await;
    scene.there("late", 3).await;
    scene.until_ready(&scene.at("late")).await;
    scene.here("rival-of-late", 3).await;
    scene.until_claimed("rival-of-late").await;
    scene.delete_there("left").await;
    scene.until_free("heir-of-left").await;

    let claimed = [scene.said("rival-of-kept").await, scene.said("rival-of-late").await];
    scene.way.set(trouble);
    scene.until_logged(&["watch failed, tried again", "WhatsAppChannel", &scene.other, why]).await;
    scene.delete_there("ghost").await;
    scene.here("meanwhile", 4).await;
    scene.until_ready("meanwhile").await;
    let again = Instant::now();
    while trouble != Trouble::Hangs && scene.way.asked(Asked::List) < 3 {
        assert!(again.elapsed() < Duration::from_secs(30), "it is tried again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(scene.said("rival-of-kept").await, claimed[0]);
    assert_eq!(scene.said("rival-of-late").await, claimed[1]);
    scene.until_free("heir-of-left").await;
    scene.until_it_says("200", |_| true).await;
    assert!(scene.age().await > 5.0, "{} s", scene.age().await);
    // What is told once is not told with each try.
    assert_eq!(scene.lines(&["watch failed, tried again", "WhatsAppChannel", &scene.other]), 1);

    scene.way.set(Trouble::Nothing);
    scene.until_free("heir-of-ghost").await;
    scene.there("after", 5).await;
    scene.until_ready(&scene.at("after")).await;
    assert_eq!(scene.said("rival-of-kept").await, claimed[0]);
    assert_eq!(scene.said("rival-of-late").await, claimed[1]);
    assert!(scene.age().await < 15.0, "{} s", scene.age().await);
    assert!(scene.rig.sandbox.effects().is_empty(), "they are all registered already");
}

/// Before everything was listed once, nobody knows whose a number is.
#[rstest]
#[case::with_500(Trouble::PageFails, "500: the test says InternalError")]
#[case::with_410(Trouble::PageForgotten, "the API server forgot the list between two of its pages")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_fails_at_the_start_is_named_and_is_waited_for(
    #[case] trouble: Trouble,
    #[case] why: &str,
) {
    let mut scene = Scene::new("unlisted-first", 4).await;
    for (n, name) in ["one", "two", "three"].into_iter().enumerate() {
        scene.there(name, n).await;
    }
    // Who came first is told by whole seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    scene.here("rival", 2).await;
    scene.way.set(trouble);
    scene.start().await;
    let named = format!("the watch of channels in {} fails and is tried again by itself: {why}", scene.other);
    scene.until_it_says("503", |said| said.contains(&named)).await;
    scene.until_logged(&["watch failed, tried again", "WhatsAppChannel", &scene.other, why]).await;
    assert!(scene.rig.sandbox.calls().is_empty(), "nothing is done by half of what there is");
    scene.way.set(Trouble::Nothing);
    scene.until_it_says("200", |said| !said.contains(&scene.other)).await;
    scene.until_ready(&scene.at("three")).await;
    scene.until_claimed("rival").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_are_closed_each_second_go_on_where_they_ended_and_nothing_is_listed() {
    let mut scene = Scene::new("closing", 3).await;
    scene.start().await;
    scene.there("one", 0).await;
    scene.until_ready(&scene.at("one")).await;

    scene.way.set(Trouble::Closes);
    let begun = Instant::now();
    scene.there("two", 1).await;
    scene.until_ready(&scene.at("two")).await;
    scene.here("rival", 1).await;
    scene.until_claimed("rival").await;
    // Of one that is new, every step.
    scene.here("new", 9).await;
    scene.rig.onboard("new", &number(9)).await;
    scene.delete_there("two").await;
    scene.until_free("rival").await;
    let early = "each watch ends early and is begun again";
    scene.until_logged(&[early, "WhatsAppChannel", &scene.other]).await;
    let (watches, seconds) = (scene.way.asked(Asked::Watch), begun.elapsed().as_secs());
    assert!(u64::try_from(watches).is_ok_and(|watches| watches <= seconds + 2), "{watches} in {seconds} s");
    assert_eq!(scene.way.asked(Asked::List), 0, "{}", scene.rig.logs());
    assert_eq!(scene.rig.effects_on(&digits(9)), ["added", "code", "verified", "registered"]);
    scene.until_it_says("200", |_| true).await;

    scene.way.set(Trouble::Nothing);
    scene.there("three", 2).await;
    scene.until_ready(&scene.at("three")).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((scene.way.asked(Asked::Watch), scene.way.asked(Asked::List)), (1, 0));
    assert_eq!(scene.lines(&[early, "WhatsAppChannel", &scene.other]), 1);
}

/// With all that is in it, its Role too. Nothing empties namespaces here, so the test does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_vanishes_leaves_no_claim_and_is_served_when_it_comes_back() {
    let mut scene = Scene::new("vanishing", 4).await;
    scene.start().await;
    scene.there("support", 0).await;
    scene.until_ready(&scene.at("support")).await;
    scene.here("heir", 0).await;
    scene.until_claimed("heir").await;

    let other = scene.other.clone();
    let kubectl = async |args: &[&str]| {
        let out = scene.rig.plane.kubectl(args).await;
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).expect("text")
    };
    let roles = kubectl(&["get", "role,rolebinding", "-n", &other, "-o", "json"]).await;
    let mut roles: Value = serde_json::from_str(&roles).expect("JSON");
    let namespaces: Api<Namespace> = Api::all(scene.rig.plane.admin_client());
    kubectl(&["delete", "namespace", &other, "--wait=false"]).await;
    kubectl(&["delete", "wac,secret,configmap,role,rolebinding", "--all", "-n", &other]).await;
    let mut ending = namespaces.get(&other).await.expect("it ends");
    ending.spec.get_or_insert_default().finalizers = Some(Vec::new());
    namespaces
        .replace_subresource("finalize", &other, &PostParams::default(), &ending)
        .await
        .expect("it may go");
    assert!(namespaces.get_opt(&other).await.expect("an answer").is_none());
    // Watches end sooner or later.
    scene.way.set(Trouble::Nothing);

    let named = format!("channels in {other} cannot be read and count as none");
    scene.until_it_says("200", |said| said.contains(&named)).await;
    scene.until_logged(&["counts as empty", "WhatsAppChannel", &other]).await;
    scene.until_free("heir").await;
    scene.here("meanwhile", 1).await;
    scene.until_ready("meanwhile").await;

    // Somebody makes it anew, with what was in it.
    kubectl(&["create", "namespace", &other]).await;
    for object in roles["items"].as_array_mut().expect("objects") {
        for server in ["resourceVersion", "uid", "creationTimestamp", "managedFields"] {
            object["metadata"].as_object_mut().expect("metadata").remove(server);
        }
    }
    let made = scene.rig.plane.kubectl_with_input(["create", "-f", "-"], &roles.to_string()).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    scene.there("next", 2).await;
    scene.until_ready(&scene.at("next")).await;
    scene.there("support", 0).await;
    scene.until_claimed(&scene.at("support")).await;
    scene.until_ready("heir").await;
    scene.until_it_says("200", |said| !said.contains(&other)).await;
    assert!(scene.rig.sandbox.effects().is_empty(), "they are all registered already");
}

/// With one namespace among several it goes on, and tells. With none it sees nothing, and what it does is of the past.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_may_read_nothing_any_more_is_not_ready_until_it_may() {
    let mut scene = Scene::of_one("revoked").await;
    scene.start().await;
    scene.until_it_says("200", |_| true).await;
    let binding = scene.rig.get_of("RoleBinding", "whatsapp-operator").await;
    let delete = ["delete", "rolebinding", "whatsapp-operator", "-n", &scene.other];
    assert!(scene.rig.plane.kubectl(delete).await.status.success());

    let named = ["channels", "portfolios"]
        .map(|kind| format!("{kind} in {} cannot be read and count as none (403", scene.other));
    let begun = Instant::now();
    loop {
        // Watches end sooner or later.
        scene.way.set(Trouble::Nothing);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let said = scene.readiness().await;
        if said.starts_with("HTTP/1.1 503") && named.iter().all(|named| said.contains(named)) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{said}\n{}", scene.rig.logs());
    }
    let again = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "whatsapp-operator"},
        "roleRef": binding["roleRef"], "subjects": binding["subjects"],
    });
    scene.rig.apply(&again).await;
    scene.until_it_says("200", |said| !said.contains("count as none")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_revoked_is_told_and_work_goes_on_with_the_one_that_replaces_it() {
    let mut rig = Rig::with_portfolio("token").await;
    let token = TokenFile::new(&rig).await;
    let health = free_address();
    let mut operator = rig.spawn_with(&token.kubeconfig, &["--health-listen", &health.to_string()]);
    rig.until_serving(health).await;
    rig.until_condition_of("wap", "acme", "Ready", "True", None).await;
    token.revoke(&rig).await;
    // The API server remembers for ten seconds whom it knew.
    tokio::time::sleep(Duration::from_secs(12)).await;
    rig.channel("support", &number(0), json!({})).await;
    let refused = "the token of this process has expired";
    assert!(operator.wait_for_output(refused, Duration::from_secs(60)).await, "{}", operator.output());
    assert!(operator.output().contains("401"), "{}", operator.output());
    assert!(operator.is_running());
    assert_eq!(rig.get("support").await["status"]["observedGeneration"], -1, "nothing can be written");

    token.replace(&rig).await;
    // The file is read about once a minute, and who was refused waits before the next try.
    let works = |status: &Value| status["stage"] == "Verifying";
    rig.until("support", "work with the new token", Duration::from_secs(150), works).await;
    assert!(operator.is_running(), "it is the same process");
}
