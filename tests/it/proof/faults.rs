//! No false alarm: what is not an answer about a fact changes no fact.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use whatsapp_operator::engine::{
    assess::portfolio::{PortfolioAssessment, PortfolioGiven, PortfolioObserved, assess_portfolio},
    condition::{ConditionSet, Truth},
    condition_type::ConditionType,
    desired::{DesiredPortfolio, SecretKey},
    failure::Failure,
    id::{AccountId, Fact},
    limits::Limits,
    look::Urgency,
    reason::Reason,
    secret::{SecretFact, SecretVersion},
};
use whatsapp_operator::{
    api::lower,
    meta::port::{Graph, GraphSource},
    run::observe::{prove, whole},
    sandbox::{
        Account, App, DEMO_APP_SECRET, DEMO_TOKEN, Fault, FaultKind, Match, Number, Sandbox, What,
        World as Meta,
    },
};

use super::world::*;

async fn ready() -> World {
    let mut world = World::new().await;
    world.cluster.apply(channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR).await;
    world
}

fn truths(status: &Status) -> BTreeMap<ConditionType, Truth> {
    status.before.conditions.iter().map(|c| (c.kind, c.status)).collect()
}

fn during(world: &World, time: Duration, kind: FaultKind) {
    let on = Match { until: Some(later(world.now(), time)), ..Match::any() };
    world.sandbox.inject(Fault { on, kind });
}

fn envelope(code: i64) -> FaultKind {
    FaultKind::Error {
        envelope: json!({"error": {"message": "(#0) what nobody has documented", "type": "OAuthException", "code": code, "fbtrace_id": "Aq"}}),
    }
}

fn outages() -> Vec<(&'static str, FaultKind)> {
    vec![
        ("429", FaultKind::Status { code: 429 }),
        ("500", FaultKind::Status { code: 500 }),
        ("503", FaultKind::Status { code: 503 }),
        ("HTML with 502", FaultKind::Html { code: 502 }),
        ("HTML with 200", FaultKind::Html { code: 200 }),
        ("no reply", FaultKind::TimeoutBefore),
        ("a cut body", FaultKind::TruncatedBody),
        ("a huge body", FaultKind::HugeBody { bytes: 9 * 1024 * 1024 }),
        ("code 1", envelope(1)),
        ("code 2", envelope(2)),
        ("code 4", envelope(4)),
        ("code 80008", envelope(80_008)),
        ("code 613", envelope(613)),
        ("code 131000", envelope(131_000)),
        ("an unknown code", envelope(987_654)),
    ]
}

/// No condition changes its status, or is missing, in any write from here on. What is there only while it is True may
/// come and go.
fn no_flip(world: &World, before: &BTreeMap<ConditionType, Truth>, from: usize, what: &str) {
    let lasts = |kind: &ConditionType| !matches!(kind, ConditionType::Reconciling | ConditionType::Stalled);
    for written in world.cluster.written().iter().skip(from) {
        for (kind, was) in before.iter().filter(|(kind, _)| lasts(kind)) {
            let now = written.status.conditions.iter().find(|c| c.type_ == kind.as_str());
            assert!(
                now.is_some_and(|now| now.status == was.as_str()),
                "{what}: {} went from {} to {now:?}\n{}",
                kind.as_str(),
                was.as_str(),
                world.story()
            );
        }
    }
}

#[tokio::test]
async fn an_hour_of_any_outage_flips_no_condition_of_a_ready_channel() {
    for (what, kind) in outages() {
        if what == "a huge body" {
            continue;
        }
        let mut world = ready().await;
        let (before, written, effects) =
            (truths(&world.status()), world.cluster.written_count(), world.effects().len());
        during(&world, HOUR, kind);
        world.run_for(HOUR * 2).await;
        no_flip(&world, &before, written, what);
        assert_eq!(world.effects().len(), effects, "{what}: written to Meta");
        assert!(world.status().is_ready(), "{what}");
        assert!(
            world.cluster.written_count() - written <= 4,
            "{what}: {} writes",
            world.cluster.written_count() - written
        );
        let calls = world.sandbox.calls().len();
        world.run_for(HOUR).await;
        assert!(world.sandbox.calls().len() > calls + 10, "{what}: it looks again afterwards");
    }
}

#[tokio::test]
async fn an_hour_of_any_outage_while_a_person_is_waited_for_flips_nothing() {
    for (what, kind) in outages() {
        if what == "a huge body" {
            continue;
        }
        let mut world = World::new().await;
        world.people.consents = 0;
        world.cluster.apply(plain_channel());
        world.run_for(HOUR).await;
        let (before, written) = (truths(&world.status()), world.cluster.written_count());
        during(&world, HOUR, kind);
        world.run_for(MINUTE * 59).await;
        no_flip(&world, &before, written, what);
        world.people.consents = 9;
        assert!(world.run_until_ready(HOUR * 4).await, "{what}\n{}", world.story());
        world.check_nothing_twice();
    }
}

#[tokio::test]
async fn ready_becomes_unknown_once_after_six_hours_without_a_look_and_never_false() {
    let mut world = ready().await;
    let written = world.cluster.written_count();
    during(&world, DAY, FaultKind::Status { code: 503 });
    world.run_for(HOUR * 23).await;
    let added = world.cluster.written().split_off(written);
    let ready = |w: &Written| {
        w.status.conditions.iter().find(|c| c.type_ == "Ready").map(|c| (c.status.clone(), c.reason.clone()))
    };
    let seen: Vec<_> = added.iter().filter_map(ready).collect();
    assert!(seen.iter().all(|(status, _)| status != "False"), "{seen:?}");
    assert_eq!(world.status().ready_reason(), Some(Reason::NotObserved), "{}", world.story());
    assert!(added.len() <= 3, "{} writes", added.len());
    assert!(world.run_until_ready(HOUR * 4).await, "{}", world.story());
}

#[tokio::test]
async fn unknown_fields_and_values_flip_nothing_and_write_nothing() {
    let odd = || json!("SOMETHING_NEW");
    let mut kinds = vec![FaultKind::UnknownField {
        fields: json!({"brand_new": {"deeply": [1, {"nested": null}]}, "another": 1.5})
            .as_object()
            .unwrap()
            .clone(),
    }];
    for field in [
        "status",
        "code_verification_status",
        "name_status",
        "new_name_status",
        "platform_type",
        "quality_rating",
        "account_mode",
        "account_review_status",
        "can_send_message",
        "level",
        "is_on_biz_app",
        "health_status",
        "webhook_configuration",
    ] {
        kinds.push(FaultKind::UnknownEnum { field: field.into(), value: odd() });
        // Without a webhook of its own a number has no such key: that is an answer.
        if field != "webhook_configuration" {
            kinds.push(FaultKind::UnknownEnum { field: field.into(), value: Value::Null });
        }
    }
    for kind in kinds {
        let mut world = ready().await;
        let (before, written, effects) =
            (truths(&world.status()), world.cluster.written_count(), world.effects().len());
        during(&world, HOUR, kind.clone());
        world.run_for(HOUR * 2).await;
        no_flip(&world, &before, written, &format!("{kind:?}"));
        assert_eq!(world.effects().len(), effects, "{kind:?}: written to Meta\n{}", world.story());
    }
}

#[tokio::test]
async fn unknown_fields_do_not_keep_a_number_from_coming_up() {
    let mut world = World::new().await;
    let fields = json!({"brand_new": {"deeply": [1, {"nested": null}]}}).as_object().unwrap().clone();
    world.sandbox.inject(Fault { on: Match::any(), kind: FaultKind::UnknownField { fields } });
    world.cluster.apply(channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.check_nothing_twice();
}

#[tokio::test]
async fn an_unknown_value_of_a_fact_that_matters_holds_every_write_to_the_number() {
    for field in ["platform_type", "code_verification_status", "status"] {
        let mut world = World::new().await;
        let kind = FaultKind::UnknownEnum { field: field.into(), value: json!("SOMETHING_NEW") };
        let on = Match { method: Some("GET".into()), edge: "phone_numbers".into(), ..Match::any() };
        world.sandbox.inject(Fault { on, kind });
        world.cluster.apply(plain_channel());
        world.consent(CHANNEL);
        world.run_for(HOUR * 6).await;
        let others = world.count(|w| !matches!(w, What::NumberAdded { .. }));
        assert_eq!(others, 0, "{field}\n{}", world.story());
        assert!(!world.status().is_ready());
    }
}

#[tokio::test]
async fn a_refused_field_is_dropped_and_the_number_comes_up() {
    for field in [
        "whatsapp_business_profile",
        "is_official_business_account",
        "throughput",
        "quality_rating",
        "whatsapp_business_manager_messaging_limit",
        "health_status",
        "is_pin_enabled",
        "new_display_name",
        "new_name_status",
        "account_mode",
        "primary_funding_id",
    ] {
        let mut world = World::new().await;
        world.sandbox.inject(Fault {
            on: Match::any(),
            kind: FaultKind::RefuseField { field: field.into(), envelope: None },
        });
        world.cluster.apply(plain_channel());
        assert!(world.run_until_ready(HOUR * 14).await, "{field}\n{}", world.story());
        world.check_nothing_twice();
    }
}

/// What status shows of a portfolio, after what it showed before.
fn refused_fields(world: &World, before: &[String]) -> Vec<String> {
    lower::refused_fields(before, &world.processes[0].source.graph(World::credential()).refused_fields())
}

#[tokio::test]
async fn what_meta_refuses_to_the_app_is_shown_until_meta_shows_it() {
    let funding = ["WhatsAppBusinessAccount.primary_funding_id".to_owned()];
    let mut world = World::new().await;
    assert!(refused_fields(&world, &[]).is_empty());
    world.cluster.apply(channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    assert_eq!(refused_fields(&world, &[]), funding);
    world.run_for(HOUR * 50).await;
    assert_eq!(refused_fields(&world, &funding), funding, "Meta was asked again, and refused again");

    world.restart(0);
    assert_eq!(refused_fields(&world, &funding), funding, "nothing was read yet");
    world.run_for(MINUTE * 10).await;
    assert_eq!(refused_fields(&world, &funding), funding);

    world.sandbox.add_app(App { is_partner: true, ..App::new(APP, "Acme Ops").with_secret(DEMO_APP_SECRET) });
    world.run_for(HOUR * 22).await;
    assert_eq!(refused_fields(&world, &funding), funding, "asked for once a day");
    world.run_for(HOUR * 4).await;
    assert!(refused_fields(&world, &funding).is_empty());
}

#[tokio::test]
async fn a_refused_field_that_matters_holds_every_write_to_the_number_and_says_so() {
    for field in ["platform_type", "code_verification_status", "is_on_biz_app"] {
        let mut world = World::new().await;
        world.sandbox.inject(Fault {
            on: Match::any(),
            kind: FaultKind::RefuseField { field: field.into(), envelope: None },
        });
        world.cluster.apply(plain_channel());
        world.consent(CHANNEL);
        world.run_for(HOUR * 6).await;
        assert_eq!(world.count(|w| !matches!(w, What::NumberAdded { .. })), 0, "{field}\n{}", world.story());
        assert_eq!(
            world.status().ready_reason(),
            Some(Reason::ObservationIncomplete),
            "{field}\n{}",
            world.story()
        );
    }
}

#[tokio::test]
async fn an_entry_that_shows_no_number_is_known_by_its_id_or_may_be_any() {
    let mut world = ready().await;
    let (before, written, effects) =
        (truths(&world.status()), world.cluster.written_count(), world.effects().len());
    assert!(world.sandbox.set_field(DIGITS, "display_phone_number", Value::Null));
    world.run_for(DAY).await;
    no_flip(&world, &before, written, "a number without digits");
    assert_eq!(world.effects().len(), effects, "{}", world.story());

    let stranger = Number::new("100000000000077", ACCOUNT, "5511912340001", "Acme Suporte");
    let mut world = World::with(options(), Meta::for_demo().with_number(stranger)).await;
    assert!(world.sandbox.set_field("5511912340001", "display_phone_number", json!("+55 11 9****-0001")));
    world.cluster.apply(channel());
    world.run_for(DAY).await;
    assert_eq!(world.effects(), [], "it may be the one that is wanted\n{}", world.story());
    let added = world.status().condition(ConditionType::NumberAdded).map(|c| c.status);
    assert_ne!(added, Some(Truth::False), "{}", world.story());
    assert!(world.sandbox.clear_field("5511912340001", "display_phone_number"));
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.check_nothing_twice();
}

#[tokio::test]
async fn while_one_account_is_throttled_another_goes_on() {
    const SECOND_ACCOUNT: &str = "300000000000002";
    let meta = Meta::for_demo().with_account(Account::new(SECOND_ACCOUNT, BUSINESS, "Acme 2"));
    let mut world = World::with(options(), meta).await;
    let mut here = plain_channel();
    here.account = Some(AccountId::from(ACCOUNT));
    let mut there = sibling("5511912340001");
    there.account = Some(AccountId::from(SECOND_ACCOUNT));
    let name = there.name.clone();
    world.people.consents = 0;
    world.cluster.apply(here);
    world.cluster.apply(there);
    world.run_for(MINUTE * 10).await;
    let on = Match { account: Some(ACCOUNT.into()), times: Some(1), ..Match::any() };
    world.sandbox.inject(Fault { on, kind: FaultKind::Throttle { code: 80_008, minutes: 60 } });
    let written = world.cluster.written_count();
    let before = truths(&world.status());
    world.run_for(MINUTE * 6).await;
    world.people.consents = 1;
    let is_up = world.run_until(MINUTE * 30, |w| w.cluster.ready(&name).0).await;
    assert!(is_up, "{}", world.story());
    assert!(!world.cluster.ready(CHANNEL).0, "the throttled one waits");
    let mine = |w: &Written| w.channel == CHANNEL;
    for w in world.cluster.written().iter().skip(written).filter(|w| mine(w)) {
        for c in w.status.conditions.iter().filter(|c| c.status == "False") {
            let was = before.iter().find(|(kind, _)| kind.as_str() == c.type_).map(|(_, t)| *t);
            assert_ne!(was, Some(Truth::True), "{} turned False by a throttle", c.type_);
        }
    }
    world.people.consents = 9;
    assert!(world.run_until_ready(HOUR * 6).await, "{}", world.story());
    world.check_nothing_twice();
}

/// Gives every answer a person can give, until nothing more helps.
async fn with_people(world: &mut World, limit: Duration) -> bool {
    let end = later(world.now(), limit);
    let mut retries = 0;
    while world.now() < end {
        if world.run_until_ready(HOUR * 2).await {
            return true;
        }
        retries += 1;
        world.people.consents += 1;
        world.cluster.annotate(CHANNEL, |consents| consents.retry = Some(format!("again-{retries}")));
        // Once what Meta names is put right, the message asks for another code where that is what was refused.
        let (_, reason) = world.cluster.ready(CHANNEL);
        if matches!(reason, Some(Reason::PermissionMissing | Reason::AccountRestricted)) {
            world.consent(CHANNEL);
        }
        world.wake(CHANNEL, SECOND);
    }
    false
}

#[tokio::test]
async fn a_code_that_nobody_knows_at_any_step_is_not_repeated_blindly_and_people_get_on() {
    let edges = [
        "phone_numbers",
        "request_code",
        "verify_code",
        "register",
        "subscribed_apps",
        "phone",
        "whatsapp_business_profile",
    ];
    for edge in edges {
        for code in [987_654, 100, 200, 368, 131_000] {
            let mut world = World::new().await;
            world.people.consents = 1;
            world.sandbox.inject(Fault { on: Match::on("POST", edge).times(1), kind: envelope(code) });
            world.cluster.apply(channel());
            world.run_for(MINUTE * 4).await;
            let path = if edge == "phone" { "/{phone}" } else { edge };
            let attempts =
                world.sandbox.calls().iter().filter(|c| c.method == "POST" && c.path.ends_with(path)).count();
            // 131000 is no refusal: after its time to settle it is tried again.
            let allowed = if code == 131_000 { 2 } else { 1 };
            assert!(
                (1..=allowed).contains(&attempts),
                "{code} at {edge}: {attempts} in four minutes\n{}",
                world.story()
            );
            assert!(with_people(&mut world, DAY).await, "{code} at {edge}\n{}", world.story());
            world.check_nothing_twice();
        }
    }
}

fn portfolio() -> DesiredPortfolio {
    let key = |key: &str| SecretKey { name: "acme-meta".into(), key: key.into() };
    DesiredPortfolio {
        name: "acme".into(),
        namespace: NAMESPACE.into(),
        generation: 1,
        business: World::credential().business,
        access_token: key("token"),
        app_secret: Some(key("appSecret")),
        app: None,
        expect_name: Some("Acme Ltda".into()),
        expect_country: None,
        access: Arc::default(),
        app_webhook: None,
    }
}

pub(super) async fn look_at_portfolio(
    world: &World,
    before: Option<&PortfolioAssessment>,
) -> PortfolioAssessment {
    fn fact<T>(read: Result<T, Failure>) -> Fact<T> {
        read.map_or_else(Fact::Unknown, Fact::Known)
    }
    let graph = world.processes[0].source.graph(World::credential());
    let secret = || SecretFact::Present {
        version: SecretVersion { uid: "u".into(), resource_version: "1".into() },
        well_formed: true,
        seen_before: false,
    };
    let token = fact(graph.debug_token().await);
    let observed = PortfolioObserved {
        access_token: secret(),
        app_secret: secret(),
        unread: None,
        in_use: before.map(|_| "1".into()),
        offered: Some("1".into()),
        proof: prove(&graph, &token, world.now()).await,
        token,
        token_in_use: Fact::NotAsked,
        business: fact(graph.business(Urgency::Drift).await),
        owned: fact(whole(world.now(), || graph.owned_accounts(world.now(), Urgency::Person)).await),
        client: fact(whole(world.now(), || graph.client_accounts(world.now(), Urgency::Person)).await),
        seen: Vec::new(),
        app_webhook: Fact::NotAsked,
        throttled_until: None,
        app_blocked: graph.app_blocked(),
    };
    let blank = ConditionSet::default();
    assess_portfolio(&PortfolioGiven {
        desired: &portfolio(),
        observed: &observed,
        before: before.map_or(&blank, |b| &b.conditions),
        waiting_before: before.map_or(&[][..], |b| &b.waiting_for),
        view_before: before.map(|b| &b.view),
        limits: &Limits::default(),
        now: world.now(),
    })
}

fn kill_token(sandbox: &Sandbox) {
    assert!(sandbox.expire_token(DEMO_TOKEN));
}

#[tokio::test]
async fn an_expired_token_is_the_portfolios_matter_and_flips_no_condition_of_a_channel() {
    let mut world = ready().await;
    let assessed = look_at_portfolio(&world, None).await;
    assert!(assessed.conditions.is(ConditionType::CredentialsValid, Truth::True), "{assessed:#?}");
    let (before, written) = (truths(&world.status()), world.cluster.written_count());
    kill_token(&world.sandbox);
    let mut refused = false;
    for _ in 0..12 {
        world.sandbox.advance(MINUTE * 5);
        if let Ended::Done(done) = world.pass(0, CHANNEL).await {
            refused |= done.credential_refused;
        }
    }
    assert!(refused, "the pass says that the portfolio has to look");
    no_flip(&world, &before, written, "an expired token");
    let after = look_at_portfolio(&world, Some(&assessed)).await;
    assert!(after.conditions.is(ConditionType::CredentialsValid, Truth::False), "{after:#?}");
    for kind in [ConditionType::IdentityConfirmed, ConditionType::BusinessVerified] {
        let status = |a: &PortfolioAssessment| a.conditions.get(kind).map(|c| c.status);
        assert_eq!(status(&after), status(&assessed), "{}", kind.as_str());
    }
}

#[tokio::test]
async fn an_outage_of_debug_token_leaves_the_portfolios_conditions_as_they_were() {
    for (what, kind) in outages() {
        let world = World::new().await;
        let first = look_at_portfolio(&world, None).await;
        let shown =
            |a: &PortfolioAssessment| a.conditions.iter().map(|c| (c.kind, c.status)).collect::<Vec<_>>();
        let before = shown(&first);
        let mut last = first;
        during(&world, HOUR, kind);
        // Each look starts from what the one before it said; the last one gets answers again.
        for nth in 1..=12 {
            last = look_at_portfolio(&world, Some(&last)).await;
            assert_eq!(shown(&last), before, "{what}, look {nth}");
            world.sandbox.advance(MINUTE * 5);
        }
        assert_eq!(shown(&look_at_portfolio(&world, Some(&last)).await), before, "after {what}");
    }
}
