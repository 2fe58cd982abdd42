//! Forecasts of channels as Meta shows them: how each begins, goes on and ends, and what it leaves alone.

use std::{fs, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    load::Loaded,
    portfolio::{Found, Known, Portfolios},
    secret::Origin,
    *,
};
use crate::{
    cli::plan::course::{Course, Ending as Ends},
    engine::{
        limits::Limits, memory::Memory, observed::Claim, plan::plan as decide, secret::SecretFact,
        status::Facts,
    },
    meta::{client::Meta, port::SystemClock},
    sandbox::{Account, App, Fault, FaultKind, Match, Number, Options, Portfolio, Sandbox, Token, World},
};

const BUSINESS: &str = "500000000000001";
const ACCOUNT: &str = "300000000000001";
const OTHER: &str = "300000000000002";
const APP: &str = "200000000000001";
const TOKEN: &str = "EAAsandbox-forecast";
const DIGITS: &str = "5511912345678";
const ID: &str = "100000000000777";
const MANIFESTS: &str = r#"
apiVersion: whatsapp-operator.dev/v1alpha1
kind: WhatsAppChannel
metadata: {name: support}
spec:
  portfolioRef: {name: acme}
  accountId: "300000000000001"
  phoneNumber: "+5511912345678"
  displayName: Acme Support
---
apiVersion: whatsapp-operator.dev/v1alpha1
kind: WhatsAppPortfolio
metadata: {name: acme}
spec:
  businessId: "500000000000001"
  credentials:
    accessTokenSecretRef: {name: acme-meta, key: token}
"#;

/// A Meta on loopback, and manifests that are planned against it.
struct Desk {
    sandbox: Sandbox,
    settings: Settings,
    planner: Planner,
    input: Input,
    _stop: DropGuard,
}

fn world() -> World {
    World::default()
        .with_app(App::new(APP, "Acme Ops"))
        .with_portfolio(Portfolio::new(BUSINESS, "Acme Ltda").verified())
        .with_account(Account::new(ACCOUNT, BUSINESS, "Acme"))
        .with_token(TOKEN, Token::system_user(APP, BUSINESS))
}

fn number() -> Number {
    Number::new(ID, ACCOUNT, DIGITS, "Acme Support")
}

impl Desk {
    async fn new(world: World, manifests: &str) -> Self {
        let sandbox = Sandbox::from_world(Options::live(1, Timestamp::now()), world);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut settings = Settings::new(Limits::default()).unwrap();
        settings.base_url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(sandbox.clone().serve(listener, stop.clone()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifests.yaml");
        fs::write(&path, manifests).unwrap();
        let input = input::read(&[path], None).unwrap();
        let given = input.portfolios.iter().map(|p| (p.reference(), (TOKEN.to_owned().into(), None)));
        let portfolios = Portfolios {
            meta: Meta::new(settings.clone(), Arc::new(SystemClock)).unwrap(),
            origin: Origin::Given(given.collect()),
            limits: Limits::default(),
            clock: SystemClock,
        };
        let planner = Planner { portfolios, started: Timestamp::now() };
        Self { sandbox, settings, planner, input, _stop: stop.drop_guard() }
    }

    /// The whole report, as programs read it.
    async fn report(&self) -> Value {
        let report = self.planner.all(&self.input, Some(&self.settings)).await.unwrap();
        serde_json::to_value(report).unwrap()
    }

    async fn forecast(&self) -> Value {
        self.report().await["channels"][0]["forecast"].clone()
    }

    async fn known(&self) -> Known {
        self.planner.portfolios.judge(&self.input.portfolios[0]).await.unwrap()
    }

    async fn case(&self, known: &Known) -> Case<'_> {
        let manifest = &self.input.channels[0];
        let claim = Claim::Ours { act_from: None };
        let memory = lower::memory(&manifest.object);
        let found = Found::Known(known);
        let (observed, plan) =
            self.planner.channel(&manifest.desired, claim.clone(), &found, memory, &Facts::default()).await;
        Case { manifest, claim, observed, plan }
    }

    /// Whether the simulated Meta of a forecast shows a picture of the number, and what is said of it.
    async fn picture(&self, remember: impl FnOnce(&mut Memory)) -> (bool, Option<String>) {
        let known = self.known().await;
        let mut case = self.case(&known).await;
        remember(&mut case.plan.memory);
        let opener = (TOKEN.to_owned().into(), None);
        let mut loaded = Loaded::new(&self.input.portfolios[0], &known.observed, &opener);
        let memory = Memory::default();
        loaded.channel(&case.manifest.desired, BUSINESS, &case.observed, &memory, Timestamp::now());
        let said = loaded.picture(&case.observed, &case.plan.memory);
        (loaded.world.numbers[ID].profile.pictures > 0, said)
    }

    /// A forecast of what was observed, changed.
    async fn forecast_of(&self, passes: usize, change: impl FnOnce(&mut Case<'_>)) -> Course {
        let known = self.known().await;
        let mut case = self.case(&known).await;
        change(&mut case);
        let portfolios = &self.input.portfolios;
        let found = |_: &Desired| Found::Known(&known);
        let made = forecast(&[case], portfolios, found, &self.settings, passes).await.unwrap();
        made.courses.into_iter().next().unwrap()
    }
}

/// Steps, waits and acts, in order.
fn told(forecast: &Value) -> Vec<&str> {
    forecast["lines"].as_array().unwrap().iter().map(|line| line["what"].as_str().unwrap()).collect()
}

fn assumes(forecast: &Value, what: &str) -> bool {
    forecast["assumed"].as_array().unwrap().iter().any(|one| one.as_str().unwrap().contains(what))
}

#[tokio::test]
async fn the_way_of_a_new_number_is_told_to_its_end_and_begins_as_the_plan_does() {
    let desk = Desk::new(world(), MANIFESTS).await;
    let report = desk.report().await;
    let channel = &report["channels"][0];
    let forecast = &channel["forecast"];
    assert_eq!(
        told(forecast),
        [
            "AddNumber",
            "CodeNeeded",
            "AskForCode",
            "RequestCode",
            "CodeAwaited",
            "EnterCode",
            "VerifyCode",
            "Register"
        ],
        "{forecast:#}"
    );
    assert_eq!(forecast["ending"], "Ready", "{forecast:#}");
    let (first, step) = (&forecast["lines"][0], &channel["step"]);
    assert_eq!((&first["what"], &first["says"]), (&step["kind"], &step["why"]), "{report:#}");
    let costs = &forecast["costs"];
    assert_eq!(
        (&costs["codes"], &costs["registrations"], &costs["reviews"]),
        (&json!(1), &json!(1), &json!(1))
    );
    let calls = |costs: &Value| costs["calls"].as_u64().unwrap();
    let lines = forecast["lines"].as_array().unwrap();
    assert!(lines.iter().map(|line| calls(&line["costs"])).sum::<u64>() <= calls(costs));
    assert!(calls(&report["forecast"]) > calls(costs), "the portfolio is looked at beside it");
    assert_eq!(report["changes"], 1, "a forecast changes nothing of the plan");
}

#[tokio::test]
async fn a_forecast_reads_what_a_plan_reads_and_changes_nothing() {
    let (with, without) = (Desk::new(world(), MANIFESTS).await, Desk::new(world(), MANIFESTS).await);
    with.report().await;
    without.planner.all(&without.input, None).await.unwrap();
    assert_eq!(with.sandbox.counters(), without.sandbox.counters());
    assert!(with.sandbox.effects().is_empty());
    assert!(with.sandbox.counters().keys().all(|call| call.starts_with("GET ")));
}

#[tokio::test]
async fn a_ready_channel_has_nothing_to_do() {
    let desk = Desk::new(world().with_number(number().registered("271828")), MANIFESTS).await;
    let forecast = desk.forecast().await;
    assert_eq!(
        (forecast["ending"].as_str(), forecast["says"].as_str()),
        (Some("NothingToDo"), Some("nothing to do"))
    );
    assert!(told(&forecast).is_empty(), "{forecast:#}");
}

#[tokio::test]
async fn a_found_number_shows_the_picture_that_meta_showed_and_what_is_not_known_is_said() {
    const UNKNOWN: &str = "the number has no profile picture, which is not known: Meta did not show it";
    let manifests = MANIFESTS.replace(
        "  displayName: Acme Support\n",
        "  displayName: Acme Support\n  profile:\n    pictureRef: {configMapKeyRef: {name: logo, key: logo.png}}\n",
    );
    let desk = async |pictures, is_refused| {
        let mut found = number().registered("271828");
        found.profile.pictures = pictures;
        let desk = Desk::new(world().with_number(found), &manifests).await;
        if is_refused {
            let refused = json!({"error": {"message": "(#10) Not permitted", "code": 10}});
            let on = Match::on("GET", "whatsapp_business_profile");
            desk.sandbox.inject(Fault { on, kind: FaultKind::Error { envelope: refused } });
        }
        desk
    };
    assert_eq!(desk(1, false).await.picture(|_| {}).await, (true, None));
    assert_eq!(desk(0, false).await.picture(|_| {}).await, (false, None));
    assert_eq!(desk(1, true).await.picture(|_| {}).await, (false, Some(UNKNOWN.to_owned())));
    // Meta took it, and need not be asked.
    let uploaded = |m: &mut Memory| m.marks.picture = Some(("5c1d".to_owned(), Timestamp::now()));
    assert_eq!(desk(1, true).await.picture(uploaded).await, (true, None));
    for is_refused in [false, true] {
        let forecast = desk(1, is_refused).await.forecast().await;
        assert_eq!(assumes(&forecast, UNKNOWN), is_refused, "{forecast:#}");
    }
}

#[tokio::test]
async fn what_its_manifest_or_another_keeps_from_going_on_is_said_so() {
    let rival = MANIFESTS.split("---").next().unwrap();
    let rival = format!("{}---{MANIFESTS}", rival.replace("name: support", "name: rival"));
    for (manifests, at, what, why) in [
        (MANIFESTS.replace("  displayName", "  suspend: true\n  displayName"), 0, "Suspended", "suspended"),
        (
            MANIFESTS.replace("  displayName", "  managementPolicy: ObserveOnly\n  displayName"),
            0,
            "ObserveOnly",
            "only observes",
        ),
        (rival, 1, "NumberClaimed", "another channel manages the number"),
    ] {
        let report = Desk::new(world(), &manifests).await.report().await;
        let forecast = &report["channels"][at]["forecast"];
        assert_eq!(told(forecast), [what], "{forecast:#}");
        assert_eq!(forecast["ending"], "Waits", "{forecast:#}");
        assert!(forecast["says"].as_str().unwrap().contains(why), "{forecast:#}");
    }
}

#[tokio::test]
async fn without_credentials_that_work_there_is_no_forecast() {
    let mut world = world();
    world.tokens.get_mut(TOKEN).unwrap().dead = Some(467);
    let forecast = Desk::new(world, MANIFESTS).await.forecast().await;
    assert_eq!(forecast["ending"], "None", "{forecast:#}");
    assert!(forecast["says"].as_str().unwrap().contains("nothing can be read from Meta"), "{forecast:#}");
}

#[tokio::test]
async fn a_field_that_meta_refuses_stays_refused_and_is_named() {
    let mut world = world().with_number(number());
    world.apps.get_mut(APP).unwrap().refused_fields.insert("is_pin_enabled".to_owned());
    let forecast = Desk::new(world, MANIFESTS).await.forecast().await;
    assert_eq!(forecast["ending"], "Ready", "{forecast:#}");
    assert!(assumes(&forecast, "Meta goes on to refuse is_pin_enabled"), "{forecast:#}");
    assert!(assumes(&forecast, "the number has no two-step PIN, which Meta does not show"), "{forecast:#}");
}

#[tokio::test]
async fn a_list_that_could_not_be_read_is_waited_for_and_taken_not_to_hold_the_number() {
    let desk = Desk::new(world(), MANIFESTS).await;
    let kind = FaultKind::Status { code: 503 };
    desk.sandbox.inject(Fault { on: Match::on("GET", "phone_numbers"), kind });
    let report = desk.report().await;
    let forecast = &report["channels"][0]["forecast"];
    let told = told(forecast);
    assert_eq!(told.get(..3), Some(&["MetaUnavailable", "Answer", "AddNumber"][..]), "{report:#}");
    assert_eq!(forecast["lines"][0]["what"], report["channels"][0]["block"]["reason"]);
    assert_eq!(forecast["ending"], "Ready", "{forecast:#}");
    assert!(assumes(forecast, "whose numbers could not be read, does not have this one"), "{forecast:#}");
    assert!(!report["notRead"].as_array().unwrap().is_empty(), "the plan is not whole all the same");
}

#[tokio::test]
async fn a_number_that_is_registered_elsewhere_is_not_taken_away_by_a_forecast() {
    let elsewhere = Number { account: OTHER.to_owned(), ..number().registered("271828") };
    let world = world().with_account(Account::new(OTHER, BUSINESS, "Other")).with_number(elsewhere);
    let report = Desk::new(world, MANIFESTS).await.report().await;
    let channel = &report["channels"][0];
    let forecast = &channel["forecast"];
    assert_eq!(forecast["ending"], "Waits", "{forecast:#}");
    assert_eq!(told(forecast), [channel["block"]["reason"].as_str().unwrap()], "{forecast:#}");
    assert_eq!(forecast["costs"]["registrations"], 0);
}

#[tokio::test]
async fn a_ban_ends_the_forecast_with_its_remedy() {
    let mut banned = number().registered("271828");
    banned.status = "BANNED".to_owned();
    let forecast = Desk::new(world().with_number(banned), MANIFESTS).await.forecast().await;
    assert_eq!(forecast["ending"], "Waits", "{forecast:#}");
    assert!(forecast["says"].as_str().unwrap().contains("request a review there"), "{forecast:#}");
}

/// Status of a channel whose number is in its account, with so many codes asked for, the last one a while ago.
fn status(codes: usize, name: &str) -> Value {
    let now = Timestamp::now();
    let ago = |minutes: i64| (now - jiff::SignedDuration::from_mins(minutes)).to_string();
    let entry = |at: usize| {
        let minutes = 60 * i64::try_from(at).unwrap() + 30;
        json!({"id": format!("e{at}"), "at": ago(minutes), "outcome": "Accepted", "cause": "SendCode", "consent": format!("c{at}")})
    };
    json!({
        "businessId": BUSINESS, "accountId": ACCOUNT, "phoneNumberId": ID,
        "memory": {"ledger": {name: (0..codes).rev().map(entry).collect::<Vec<_>>()}},
    })
}

#[tokio::test]
async fn a_code_budget_that_is_used_up_is_waited_for() {
    let mut desk = Desk::new(world().with_number(number()), MANIFESTS).await;
    let limit = Limits::default().codes_by_consent;
    desk.input.channels[0].object.status = Some(serde_json::from_value(status(limit, "codes")).unwrap());
    let forecast = desk.forecast().await;
    let told = told(&forecast);
    let at =
        |what| told.iter().position(|told| *told == what).unwrap_or_else(|| panic!("{what}: {forecast:#}"));
    assert!(at("CodeLimitReached") < at("RequestCode"), "{forecast:#}");
    let hours = forecast["lines"][at("RequestCode")]["afterSeconds"].as_i64().unwrap() / 3600;
    assert_eq!(hours, 20, "24 hours after the first of four, which was 3.5 hours ago");
    assert_eq!((forecast["ending"].as_str(), forecast["costs"]["codes"].as_u64()), (Some("Ready"), Some(1)));
}

#[tokio::test]
async fn a_pin_that_nobody_gave_is_waited_for() {
    let mut held = number().verified(Timestamp::now());
    held.pin = Some("271828".to_owned());
    let desk = Desk::new(world().with_number(held), MANIFESTS).await;
    let course = desk
        .forecast_of(PASSES, |case| {
            assert!(matches!(case.observed.pin_secret, SecretFact::Present { .. }), "it is looked for");
            case.observed.pin_secret = SecretFact::Missing;
            let desired = &case.manifest.desired;
            case.plan =
                decide(desired, &case.observed, &Memory::default(), &Limits::default(), Timestamp::now());
        })
        .await;
    let forecast = serde_json::to_value(&course).unwrap();
    let told = told(&forecast);
    let way: Vec<_> = ["PinNeeded", "ProvidePin", "Register"]
        .map(|what| told.iter().position(|told| *told == what))
        .into_iter()
        .collect();
    assert!(way[0].is_some() && way.is_sorted() && way[0] != way[2], "{forecast:#}");
    assert_eq!(course.ending, Ends::Ready, "{forecast:#}");
    assert!(assumes(&forecast, "somebody knows the two-step PIN"), "{forecast:#}");
}

#[tokio::test]
async fn a_forecast_that_would_begin_otherwise_than_the_plan_is_not_made() {
    let desk = Desk::new(world(), MANIFESTS).await;
    let course = desk.forecast_of(PASSES, |case| case.plan.step = None).await;
    assert_eq!(course.ending, Ends::None);
    let told = serde_json::to_value(&course).unwrap();
    assert!(told["says"].as_str().unwrap().contains("would lead to AddNumber"), "{told:#}");
}

#[tokio::test]
async fn a_forecast_ends_at_its_bound() {
    let desk = Desk::new(world(), MANIFESTS).await;
    let course = desk.forecast_of(3, |_| ()).await;
    assert_eq!(course.ending, Ends::Unfinished);
    let told = serde_json::to_value(&course).unwrap();
    assert!(told["says"].as_str().unwrap().contains("60 days and 3 passes"), "{told:#}");
}

#[tokio::test]
async fn a_payment_method_and_a_verified_business_are_hoped_for_where_they_are_asked_for() {
    let mut world = world().with_number(number().registered("271828"));
    world.portfolios.insert(BUSINESS.to_owned(), Portfolio::new(BUSINESS, "Acme Ltda"));
    world.accounts.get_mut(ACCOUNT).unwrap().primary_funding_id = None;
    let manifests = MANIFESTS.replace("  displayName", "  readyWhen: FullyVerified\n  displayName");
    let forecast = Desk::new(world, &manifests).await.forecast().await;
    let told = told(&forecast);
    assert!(told.contains(&"VerifyBusiness"), "{forecast:#}");
    assert_eq!(forecast["ending"], "Ready", "{forecast:#}");
}
