use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::v1alpha1::{self as v1, WhatsAppChannel, WhatsAppChannelStatus, WhatsAppPortfolio};
use crate::engine::failure::Said;
use crate::engine::word::Vocabulary;
use crate::engine::{
    action::Actor,
    condition::{Condition, ConditionSet, Truth},
    condition_type::ConditionType,
    desired::{
        CodeRequest, Connection, Management, PinPolicy, PortfolioRef, ReadyWhen, SecretKey, WhileNameInReview,
    },
    drift::Drift,
    failure::{Class, Refusal, Scope},
    id::{AccountId, BusinessId, NumberId},
    memory::{
        ConsentAnswer, ConsentKind, Entry, EntryOutcome, Intent, Ledger, Marks, Memory, Origin, Pace, Proof,
        Registration, Repairs,
    },
    observed::WebhookConfiguration,
    reason::Reason,
    secret::SecretVersion,
    status::{Assessment, Check, Facts, HealthFact, Stage, Verdict, WaitingFor},
    step::{Cause, StepKind},
    word::Word,
};

fn channel_with(spec: serde_json::Value) -> WhatsAppChannel {
    serde_json::from_value(json!({
        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
        "metadata": {"name": "support-br", "namespace": "shop", "uid": "u-1", "generation": 3},
        "spec": spec,
    }))
    .expect("a channel")
}

fn least() -> serde_json::Value {
    json!({"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme Suporte"})
}

fn times() -> impl Strategy<Value = Timestamp> {
    // Nanoseconds included: they decide who may send.
    (0_i64..4_000_000_000, 0_i32..1_000_000_000).prop_map(|(s, n)| Timestamp::new(s, n).expect("in range"))
}

fn texts() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 é🎉:\"'\\\\#-]{0,40}"
}

fn ids() -> impl Strategy<Value = String> {
    "[1-9][0-9]{4,20}"
}

fn steps() -> impl Strategy<Value = StepKind> {
    proptest::sample::select(StepKind::ALL)
}

/// Steps that this version knows, and one that it does not.
fn words() -> impl Strategy<Value = Word<StepKind>> {
    prop_oneof![4 => steps().prop_map(Word::from), 1 => Just(Word::new("TransferNumber"))]
}

fn versions() -> impl Strategy<Value = SecretVersion> {
    (ids(), ids()).prop_map(|(uid, resource_version)| SecretVersion { uid, resource_version })
}

fn refusals() -> impl Strategy<Value = Refusal> {
    let classes = prop_oneof![
        Just(Class::Retry),
        Just(Class::WaitUntil),
        Just(Class::Person),
        Just(Class::Spec),
        Just(Class::Credentials),
        Just(Class::AlreadyDone)
    ];
    let scopes = prop_oneof![
        Just(Scope::Call),
        Just(Scope::Channel),
        Just(Scope::Account),
        Just(Scope::Portfolio),
        Just(Scope::App)
    ];
    (
        any::<i64>(),
        any::<Option<i64>>(),
        proptest::option::of(texts()),
        texts(),
        proptest::option::of(proptest::sample::select(Said::ALL)),
        proptest::option::of(texts()),
        classes,
        scopes,
        proptest::option::of(times()),
    )
        .prop_map(|(code, subcode, title, message, said, trace_id, class, scope, until)| Refusal {
            code,
            subcode,
            title,
            message,
            said,
            trace_id,
            class,
            scope,
            until,
        })
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let outcomes = prop_oneof![
        Just(EntryOutcome::Started),
        Just(EntryOutcome::Accepted),
        Just(EntryOutcome::Refused),
        Just(EntryOutcome::NoAnswer),
        Just(EntryOutcome::NotSent)
    ];
    let causes = prop_oneof![
        Just(Cause::Automatic),
        Just(Cause::Secret),
        texts().prop_map(Cause::SendCode),
        texts().prop_map(Cause::Retry),
        texts().prop_map(Cause::Official)
    ];
    let entry = (
        texts(),
        times(),
        outcomes,
        causes,
        proptest::option::of(texts()),
        proptest::option::of(times()),
        proptest::option::of(versions()),
        proptest::option::of(texts()),
        proptest::option::of(refusals()),
    )
        .prop_map(|(id, at, outcome, cause, subject, settle_until, secret_before, trace_id, refusal)| {
            Entry { id, at, outcome, cause, subject, settle_until, secret_before, trace_id, refusal }
        });
    proptest::collection::vec(entry, 0..4)
}

fn ledgers() -> impl Strategy<Value = Ledger> {
    let pace = (
        any::<i64>(),
        proptest::option::of(versions()),
        any::<u32>(),
        any::<u32>(),
        proptest::option::of(times()),
        proptest::option::of(times()),
        proptest::option::of(times()),
        proptest::option::of(refusals()),
    )
        .prop_map(|(generation, secret, failed, accepted, last, settle_until, held_until, refusal)| Pace {
            generation,
            secret,
            failed,
            accepted,
            last,
            settle_until,
            held_until,
            refusal,
        });
    let lists = proptest::collection::vec(entries(), StepKind::ALL.len());
    (lists, proptest::collection::btree_map(steps(), pace, 0..3)).prop_map(|(lists, repeatable)| {
        let mut ledger = Ledger { repeatable, ..Ledger::default() };
        for (step, entries) in StepKind::ALL.iter().zip(lists) {
            if let Some(list) = ledger.of_mut(*step) {
                *list = entries;
            }
        }
        ledger
    })
}

fn all_marks() -> impl Strategy<Value = Marks> {
    let time = || proptest::option::of(times());
    let names = || proptest::collection::btree_map(texts(), times(), 0..4);
    let origin = prop_oneof![
        Just(Origin::Unknown),
        times().prop_map(Origin::Added),
        times().prop_map(Origin::Adopted)
    ];
    let proof = prop_oneof![
        Just(Proof::AsShown),
        (times(), time()).prop_map(|(since, lapsed)| Proof::Required { since, lapsed })
    ];
    let registration = prop_oneof![
        Just(Registration::NotSeen),
        (times(), time(), time()).prop_map(|(first, own, fell_back)| Registration::Seen {
            first,
            own,
            fell_back
        })
    ];
    let contended = proptest::option::of(("[a-z]{1,9}", times()));
    let repairs = (proptest::collection::vec(times(), 0..4), any::<bool>(), contended)
        .prop_map(|(at, is_open, contended)| Repairs { at, is_open, contended });
    let upkeep = (
        proptest::option::of(("[a-z]{1,9}", times())),
        proptest::collection::btree_map("[a-z]{1,9}", any::<i64>(), 0..4),
        proptest::collection::btree_map("[a-z]{1,9}", repairs, 0..4),
        (proptest::option::of(("[0-9a-f]{64}", times())), any::<bool>(), time()),
        proptest::option::of("([a-z]{1,9}/[0-9]{1,9}/[a-z]{1,9})?"),
        (proptest::option::of("[A-Z]{2}"), proptest::option::of(("[A-Z]{2}", times())), any::<bool>()),
        (proptest::collection::vec("https://[a-z]{1,9}/", 0..4), any::<bool>()),
    );
    let seen = (time(), time(), time(), time());
    (origin, proof, registration, seen, names(), names(), time(), upkeep).prop_map(
        |(
            origin,
            proof,
            registration,
            (automatic_code_used, pin_set, missing_since, connected_since),
            tried_in_review,
            declined,
            on_phone,
            (
                approved,
                in_sync,
                repairs,
                (picture, picture_found, picture_lost),
                pin,
                (storage, moved, is_moving),
                (routed, has_seen_onboarding),
            ),
        )| Marks {
            origin,
            automatic_code_used,
            proof,
            pin_set,
            pin,
            storage,
            moved,
            is_moving,
            registration,
            has_seen_onboarding,
            missing_since,
            connected_since,
            tried_in_review,
            declined,
            on_phone,
            approved,
            in_sync,
            picture,
            picture_found,
            picture_lost,
            repairs,
            routed,
        },
    )
}

#[test]
fn of_two_ways_in_which_a_number_came_the_last_one_counts() {
    let stored = |added, adopted| {
        let marks = v1::Marks { added, adopted, ..v1::Marks::default() };
        let memory = v1::Memory { marks: Some(marks), ..v1::Memory::default() };
        let status = WhatsAppChannelStatus { memory: Some(memory), ..WhatsAppChannelStatus::default() };
        memory_of(&status).marks.origin
    };
    assert_eq!(stored(None, None), Origin::Unknown);
    assert_eq!(stored(Some(at(2)), None), Origin::Added(at(2)));
    assert_eq!(stored(Some(at(2)), Some(at(1))), Origin::Added(at(2)));
    assert_eq!(stored(Some(at(2)), Some(at(2))), Origin::Adopted(at(2)));
    assert_eq!(stored(Some(at(2)), Some(at(3))), Origin::Adopted(at(3)));
    assert_eq!(stored(None, Some(at(3))), Origin::Adopted(at(3)));
}

fn memories() -> impl Strategy<Value = Memory> {
    let intent = (
        (texts(), words(), texts(), times(), times(), times()),
        (any::<i64>(), proptest::option::of(texts()), any::<Option<bool>>()),
    )
        .prop_map(
            |(
                (id, step, reason, started_at, send_before, settle_until),
                (generation, subject, absent_before),
            )| {
                Intent {
                    id,
                    step,
                    reason,
                    started_at,
                    send_before,
                    settle_until,
                    generation,
                    subject,
                    absent_before,
                }
            },
        );
    let kinds = prop_oneof![
        Just(ConsentKind::SendCode),
        Just(ConsentKind::Retry),
        Just(ConsentKind::Official),
        Just(ConsentKind::Reconcile)
    ];
    let refused = (proptest::option::of(texts()), proptest::option::of(times()));
    let answer = (texts(), times(), proptest::option::of(words()), refused).prop_map(
        |(value, at, used_for, (refused, again))| ConsentAnswer { value, at, used_for, refused, again },
    );
    let answers = proptest::collection::vec(answer, 1..5);
    (
        (proptest::option::of(ids()), proptest::option::of(ids()), proptest::option::of(ids())),
        ledgers(),
        proptest::option::of(intent),
        proptest::collection::btree_map(kinds, answers, 0..4),
        all_marks(),
        proptest::collection::btree_map(texts(), times(), 0..4),
    )
        .prop_map(|((business, account, number), ledger, in_flight, consents, marks, since)| Memory {
            business: business.map(BusinessId::new),
            account: account.map(AccountId::new),
            number: number.map(NumberId::new),
            ledger,
            in_flight,
            consents: consents.iter().map(|(kind, all)| (*kind, all[0].clone())).collect(),
            earlier: consents.into_iter().map(|(kind, all)| (kind, all[1..].to_vec())).collect(),
            marks,
            since,
            unknown: None,
        })
}

/// Through the JSON that the API server stores.
fn stored(status: &WhatsAppChannelStatus) -> WhatsAppChannel {
    let mut object = channel_with(least());
    let text = serde_json::to_string(status).expect("a status is JSON");
    object.status = Some(serde_json::from_str(&text).expect("a status is read back"));
    object
}

/// The same memory as status keeps it.
fn kept(memory: &Memory) -> Memory {
    super::memory(&stored(&with_memory(&WhatsAppChannelStatus::default(), memory, None)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn memory_survives_status(memory in memories()) {
        let memory = kept(&memory);
        let status = with_memory(&WhatsAppChannelStatus::default(), &memory, None);
        let object = stored(&status);
        prop_assert_eq!(super::memory(&object), memory);
        prop_assert_eq!(object.status.as_ref(), Some(&status));
    }

    #[test]
    fn the_layout_before_is_read_and_written_where_it_belongs(memory in memories()) {
        let status = with_memory(&WhatsAppChannelStatus::default(), &memory, None);
        let now = serde_json::to_value(&status).expect("JSON");
        let mut before = now.clone();
        let members = before.as_object_mut().expect("members");
        let remembered = members.remove("memory").unwrap_or_else(|| json!({}));
        members.extend(remembered.as_object().cloned().expect("members"));
        let read: WhatsAppChannelStatus = serde_json::from_value(before).expect("it is read");
        prop_assert_eq!(memory_of(&read), memory_of(&status));
        let written = with_memory(&read, &memory_of(&read), Some(&read));
        prop_assert_eq!(serde_json::to_value(&written).expect("JSON"), now);
        prop_assert_eq!(read != written, status.memory.is_some(), "it differs, so it is written");
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

/// An assessment with everything in it.
fn full(text: &str) -> Assessment {
    let mut set = ConditionSet::default();
    for (kind, reason) in [
        (ConditionType::PortfolioReady, Reason::PortfolioUsable),
        (ConditionType::NumberVerified, Reason::CodeNeeded),
        (ConditionType::Ready, Reason::CodeNeeded),
        (ConditionType::Reconciling, Reason::Registering),
    ] {
        set.set(Condition {
            kind,
            status: Truth::False,
            reason,
            message: text.into(),
            since: at(1_000),
            observed_generation: 3,
        });
    }
    let verdicts = [Verdict::Pass, Verdict::Warn, Verdict::Fail, Verdict::NotCheckable];
    let items = ["NumberShape", "TokenScopes", "Account", "Payment"];
    let actors = [Actor::PhoneHolder, Actor::PortfolioAdmin, Actor::ClusterUser, Actor::Meta];
    Assessment {
        observed_generation: Some(3),
        conditions: set,
        stage: Stage::Verifying,
        waiting_for: actors
            .into_iter()
            .enumerate()
            .map(|(n, actor)| WaitingFor {
                actor,
                action: format!("Act{n}"),
                since: at(1_000),
                expected_by: Some(at(2_000)),
                url: Some(text.into()),
                if_ignored: Some(text.into()),
                if_done: Some(text.into()),
            })
            .collect(),
        preflight: items
            .into_iter()
            .zip(verdicts)
            .map(|(item, verdict)| Check { item, verdict, message: text.into() })
            .collect(),
        drift: vec![Drift {
            field: "profile.about".into(),
            desired: text.into(),
            live: text.into(),
            since: at(1),
            action: text.into(),
        }],
        facts: Facts {
            business: Some("500000000000001".into()),
            account: Some("300000000000001".into()),
            number: Some("100000000000001".into()),
            verified_name: Some(text.into()),
            name_status: Some("APPROVED".into()),
            name_since: Some(at(1)),
            new_display_name: Some(text.into()),
            new_name_status: Some("PENDING_REVIEW".into()),
            code_status: Some("VERIFIED".into()),
            status: Some("CONNECTED".into()),
            status_since: Some(at(2)),
            platform: Some("CLOUD_API".into()),
            quality: Some("GREEN".into()),
            throughput: Some("STANDARD".into()),
            messaging_limit: Some("TIER_250".into()),
            health: Some("AVAILABLE".into()),
            health_entities: ["APP", "WABA"]
                .map(|entity| HealthFact {
                    entity: entity.into(),
                    can_send: "LIMITED".into(),
                    codes: vec![141_006, 141_010],
                })
                .into(),
            username: Some(text.into()),
            webhook: Some(WebhookConfiguration {
                number: Some(text.into()),
                account: Some(text.into()),
                application: Some(text.into()),
            }),
            is_official: Some(false),
            official_status: Some("REJECTED".into()),
            official_message: Some(text.into()),
            username_status: Some("reserved".into()),
            other_apps: Some(text.into()),
            last_refusal: Some(Refusal {
                code: 133_005,
                subcode: Some(1),
                title: Some(text.into()),
                message: text.into(),
                said: Some(Said::NumberInUse),
                trace_id: Some("trace".into()),
                class: Class::Person,
                scope: Scope::Channel,
                until: Some(at(3)),
            }),
        },
    }
}

#[test]
fn what_is_shown_is_read_back() {
    for assessment in [full("a text"), full(&"a long text ".repeat(9))] {
        is_read_back(&assessment);
    }
}

fn is_read_back(assessment: &Assessment) {
    for memory in [
        Memory::default(),
        Memory {
            business: Some("500000000000001".into()),
            account: Some("300000000000009".into()),
            number: Some("100000000000001".into()),
            ..Memory::default()
        },
    ] {
        let before = before(&stored(&status(assessment, &memory, None)));
        assert_eq!(before.observed_generation, assessment.observed_generation);
        assert_eq!(before.conditions, assessment.conditions);
        assert_eq!(before.stage, Some(assessment.stage));
        assert_eq!(before.waiting_for, assessment.waiting_for);
        assert_eq!(before.preflight, assessment.preflight);
        assert_eq!(before.drift, assessment.drift);
        assert_eq!(before.facts, assessment.facts);
    }
}

#[test]
fn every_stage_and_condition_is_read_back() {
    for kind in ConditionType::CHANNEL {
        assert_eq!(ConditionType::from_word(kind.as_str()), Some(kind));
    }
    for stage in [Stage::Pending, Stage::Adding, Stage::NameReview, Stage::Configuring, Stage::Suspended] {
        assert_eq!(Stage::from_word(stage.as_str()), Some(stage));
    }
}

#[test]
fn words_of_a_newer_version_are_left_out_and_not_an_error() {
    let mut shown = status(&full("x"), &Memory::default(), None);
    shown.stage = Some("Teleporting".into());
    shown.conditions[0].reason = "NotInventedYet".into();
    shown.waiting_for[0].actor = "Oracle".into();
    let before = before(&stored(&shown));
    assert_eq!(before.stage, None);
    assert_eq!(before.conditions.iter().count(), 3);
    assert_eq!(before.waiting_for.len(), 3);
}

#[test]
fn an_assessment_that_proves_nothing_keeps_the_observed_generation() {
    let mut assessment = full("x");
    assessment.observed_generation = None;
    let old = WhatsAppChannelStatus { observed_generation: Some(7), ..WhatsAppChannelStatus::default() };
    assert_eq!(status(&assessment, &Memory::default(), Some(&old)).observed_generation, Some(7));
}

#[test]
fn writing_the_same_again_changes_nothing() {
    let mut assessment = full("x");
    // A fraction of a second that Kubernetes does not keep.
    let mut set = ConditionSet::default();
    for condition in assessment.conditions.iter() {
        set.set(Condition {
            since: Timestamp::new(1_000, 999_999_999).expect("in range"),
            ..condition.clone()
        });
    }
    assessment.conditions = set;
    let first = status(&assessment, &Memory::default(), None);
    let object = stored(&first);
    assert_eq!(object.status.as_ref(), Some(&first));
    let again = Assessment { conditions: before(&object).conditions, ..assessment };
    assert_eq!(status(&again, &Memory::default(), object.status.as_ref()), first);
}

/// Walks a value beside its schema: known fields, lengths, counts.
fn fits(schema: &serde_json::Value, value: &serde_json::Value, path: &str) {
    match value {
        serde_json::Value::String(_) if schema["enum"].is_array() => {}
        serde_json::Value::String(text) => {
            let most = schema["maxLength"].as_u64().unwrap_or_else(|| panic!("{path} is not bounded"));
            assert!(text.chars().count() as u64 <= most, "{path} is longer than {most}");
        }
        serde_json::Value::Array(list) => {
            let most = schema["maxItems"].as_u64().unwrap_or_else(|| panic!("{path} is not bounded"));
            assert!(list.len() as u64 <= most, "{path} has more than {most}");
            for item in list {
                fits(&schema["items"], item, path);
            }
        }
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                let below = match schema["properties"].get(key) {
                    Some(property) => property,
                    None => {
                        assert!(schema["maxProperties"].is_u64(), "{path}.{key} is not in the schema");
                        &schema["additionalProperties"]
                    }
                };
                fits(below, value, &format!("{path}.{key}"));
            }
        }
        _ => {}
    }
}

#[test]
fn no_text_of_meta_makes_a_status_too_long() {
    let long = "ü".repeat(20_000);
    let entry = Entry {
        id: long.clone(),
        at: at(1),
        outcome: EntryOutcome::Refused,
        cause: Cause::Retry(long.clone()),
        subject: Some(long.clone()),
        settle_until: None,
        secret_before: Some(SecretVersion { uid: long.clone(), resource_version: long.clone() }),
        trace_id: Some(long.clone()),
        refusal: full(&long).facts.last_refusal,
    };
    let many = vec![entry; 100];
    let again = Some(at(2));
    let answer =
        ConsentAnswer { value: long.clone(), at: at(1), used_for: None, refused: Some(long.clone()), again };
    let memory = Memory {
        business: Some(BusinessId::new(long.as_str())),
        ledger: Ledger { registrations: many.clone(), codes: many.clone(), names: many, ..Ledger::default() },
        in_flight: Some(Intent {
            id: long.clone(),
            step: StepKind::Register.into(),
            reason: long.clone(),
            started_at: at(1),
            send_before: at(2),
            settle_until: at(3),
            generation: 1,
            subject: Some(long.clone()),
            absent_before: None,
        }),
        earlier: BTreeMap::from([(ConsentKind::Retry, vec![answer.clone(); 200])]),
        consents: BTreeMap::from([(ConsentKind::Retry, answer)]),
        since: (0..200).map(|n| (format!("Act{n}"), at(n))).collect(),
        ..Memory::default()
    };
    let status = status(&full(&long), &memory, None);
    let crd = serde_json::to_value(crate::api::channel_crd()).expect("JSON");
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    let value = serde_json::to_value(&status).expect("JSON");
    fits(schema, &value, "status");
    assert!(value.to_string().len() < 1_000_000, "far below what etcd takes");
}

#[test]
fn an_interval_is_a_time_of_at_most_a_day() {
    let asked = |text: &str| {
        let mut spec = least();
        spec["interval"] = json!(text);
        channel(&channel_with(spec)).map(|desired| desired.interval.map(|time| time.as_secs()))
    };
    for (text, seconds) in [("1s", 1), ("30m", 1_800), ("1h30m", 5_400), ("24h", 86_400), ("86400s", 86_400)]
    {
        assert_eq!(asked(text).ok(), Some(Some(seconds)), "{text}");
    }
    for wrong in ["", "0s", "24h1s", "300", "-5m", "often"] {
        assert!(asked(wrong).is_err_and(|why| why.field == "spec.interval"), "{wrong}");
    }
}

#[test]
fn unset_fields_get_their_meaning_here() {
    let desired = channel(&channel_with(least())).expect("valid");
    assert_eq!(desired.portfolio, PortfolioRef { namespace: "shop".into(), name: "acme".into() });
    assert_eq!(
        desired.verification.code_secret,
        SecretKey { name: "support-br-code".into(), key: "code".into() }
    );
    assert_eq!(
        desired.registration.pin_secret,
        SecretKey { name: "support-br-pin".into(), key: "pin".into() }
    );
    assert_eq!(desired.verification.language, "en_US");
    assert_eq!(desired.connection, Connection::CloudApi);
    assert_eq!(desired.verification.request, CodeRequest::OnDemand);
    assert_eq!(desired.registration.pin_policy, PinPolicy::Keep);
    assert_eq!(desired.registration.while_name_in_review, WhileNameInReview::TryOnce);
    assert_eq!(desired.ready_when, ReadyWhen::Registered);
    assert_eq!(desired.management, Management::Full);
    assert!(!desired.suspend && !desired.profile.is_managed() && desired.webhook.is_none());
    assert_eq!((desired.uid.as_str(), desired.generation), ("u-1", 3));
}

/// Manager, operation, time, and the annotations that it owns.
type Owner = (&'static str, &'static str, &'static str, Value);

/// The metadata of a channel with one value of `send-code`, and its owners.
fn consented(value: &str, owners: &[Owner]) -> kube::api::ObjectMeta {
    let owners = owners.iter().map(|(manager, operation, time, annotations)| {
        json!({
            "manager": manager, "operation": operation, "apiVersion": "whatsapp-operator.dev/v1alpha1",
            "time": time, "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:annotations": annotations}},
        })
    });
    let metadata = json!({
        "name": "support-br",
        "annotations": {"whatsapp-operator.dev/send-code": value, "whatsapp-operator.dev/retry": ""},
        "managedFields": owners.collect::<Vec<_>>(),
    });
    serde_json::from_value(metadata).expect("metadata")
}

#[test]
fn a_consent_was_set_when_its_value_or_its_owner_says() {
    let own = || json!({".": {}, "f:whatsapp-operator.dev/send-code": {}});
    let other = || json!({".": {}, "f:whatsapp-operator.dev/retry": {}});
    let (ten, noon, one) = ("2026-03-01T10:00:00Z", "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z");
    let client_side = ("kubectl-client-side-apply", "Update", noon, own());
    let server_side = ("argocd-controller", "Apply", noon, own());
    let by_hand = ("kubectl-annotate", "Update", noon, own());
    let status = json!({"f:status": {"f:stage": {}}});
    let cases: [(&str, &str, Vec<Owner>, Option<&str>); 11] = [
        ("client-side apply", "one", vec![client_side.clone()], Some(noon)),
        ("server-side apply", "one", vec![server_side.clone()], Some(noon)),
        ("kubectl annotate", "one", vec![by_hand.clone(), ("apply", "Apply", ten, other())], Some(noon)),
        ("two owners of one value", "one", vec![by_hand, ("later", "Apply", one, own())], Some(noon)),
        ("an owner of others", "one", vec![("apply", "Apply", noon, other())], None),
        (
            "an owner of none",
            "one",
            vec![("apply", "Apply", noon, Value::Null), ("x", "Update", noon, status)],
            None,
        ),
        ("nobody tells", "one", vec![], None),
        ("the value tells", ten, vec![client_side.clone()], Some(ten)),
        ("the value alone", ten, vec![], Some(ten)),
        ("the value lies ahead", one, vec![client_side], Some(noon)),
        ("the value is a date", "2026-03-01", vec![server_side], Some(noon)),
    ];
    for (what, value, owners, expected) in cases {
        let consents = consents(&consented(value, &owners));
        assert_eq!(consents.send_code.as_deref(), Some(value), "{what}");
        assert_eq!(consents.send_code_set, expected.map(|at| at.parse().expect("a time")), "{what}");
        assert_eq!((consents.retry, consents.retry_set), (None, None), "{what}: an empty one is none");
    }
    let long = "x".repeat(1_000);
    assert_eq!(consents(&consented(&long, &[])).send_code, Some(long), "none is cut");
}

/// What it is, the value, when each owner changed something and what it owns, and whether the value came with the object.
type Came<'a> = (&'a str, &'a str, Vec<(&'a str, &'a Value)>, bool);

#[test]
fn what_stands_in_the_manifest_of_a_new_object_comes_with_it_unless_it_is_a_time() {
    for (value, comes) in [("from-git", true), ("2026-03-01T12:00:00Z", false)] {
        let mut consents = consents(&consented(value, &[]));
        assert!(!consents.send_code_came, "nobody created it yet");
        come_with_the_object(&mut consents);
        let came = (consents.send_code_came, consents.retry_came, consents.official_came);
        assert_eq!(came, (comes, false, false), "{value}");
    }
}

#[test]
fn a_consent_came_with_the_object_where_its_creator_set_it_and_changed_nothing_since() {
    const CREATED: &str = "2026-03-01T12:00:00Z";
    let own = || json!({".": {}, "f:whatsapp-operator.dev/send-code": {}});
    let spec = || json!({".": {}, "f:phoneNumber": {}});
    let annotations = own();
    let (by_creator, by_another) = (
        json!({"f:metadata": {"f:annotations": annotations}, "f:spec": spec()}),
        json!({"f:metadata": {"f:annotations": own()}}),
    );
    let others = json!({"f:spec": spec()});
    let cases: [Came<'_>; 9] = [
        ("in the second of the creation", "one", vec![(CREATED, &by_creator)], true),
        ("a webhook took its time", "one", vec![("2026-03-01T11:59:55Z", &by_creator)], true),
        ("applied again, with a change", "one", vec![("2026-03-01T12:00:01Z", &by_creator)], false),
        ("annotated at once", "one", vec![(CREATED, &by_another), (CREATED, &others)], false),
        (
            "annotated with the same",
            "one",
            vec![("2026-03-01T13:00:00Z", &by_another), (CREATED, &by_creator)],
            true,
        ),
        ("nobody tells", "one", vec![], false),
        ("a time of its own", "2026-03-01T11:59:58Z", vec![(CREATED, &by_creator)], false),
        ("a time in the same second", "2026-03-01T12:00:00.7Z", vec![(CREATED, &by_creator)], false),
        ("a time that lies ahead", "2099-01-01T00:00:00Z", vec![(CREATED, &by_creator)], true),
    ];
    for (what, value, owners, expected) in cases {
        let owners = owners.into_iter().enumerate().map(|(n, (time, fields))| {
            json!({"manager": n.to_string(), "operation": "Apply", "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields})
        });
        let mut metadata = json!({
            "name": "support-br", "creationTimestamp": CREATED, "managedFields": owners.collect::<Vec<_>>(),
            "annotations": {"whatsapp-operator.dev/send-code": value, "whatsapp-operator.dev/retry": "one"},
        });
        let of = |metadata: &Value| {
            let metadata = serde_json::from_value(metadata.clone()).expect("metadata");
            let consents = consents(&metadata);
            assert!(!consents.retry_came, "{what}: of another annotation nothing is told");
            consents.send_code_came
        };
        assert_eq!(of(&metadata), expected, "{what}");
        metadata["creationTimestamp"] = Value::Null;
        assert!(!of(&metadata), "{what}: one that was not created yet");
    }
}

#[test]
fn a_stored_spec_that_cannot_be_understood_stalls_with_the_field_and_the_remedy() {
    let mut spec = least();
    spec["phoneNumber"] = json!("1064");
    let object = channel_with(spec);
    let why = channel(&object).expect_err("refused");
    let shown = refused(&object, &why, at(5));
    let ready = shown.conditions.iter().find(|c| c.type_ == "Ready").expect("there");
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "SpecInvalid"));
    assert!(ready.message.starts_with("spec.phoneNumber must start with +"), "{}", ready.message);
    assert!(shown.conditions.iter().any(|c| c.type_ == "Stalled" && c.status == "True"));
    assert_eq!(shown.observed_generation, Some(3));
}

#[test]
fn a_spec_that_cannot_be_understood_waits_for_its_edit_and_nothing_else() {
    let mut spec = least();
    spec["phoneNumber"] = json!("1064");
    let mut object = channel_with(spec);
    let why = channel(&object).expect_err("refused");
    let before = v1::WaitingFor {
        actor: "PhoneHolder".into(),
        action: "EnterCode".into(),
        since: at(1),
        expected_by: None,
        url: None,
        if_ignored: None,
        if_done: None,
    };
    object.status = Some(WhatsAppChannelStatus { waiting_for: vec![before], ..Default::default() });
    let shown = refused(&object, &why, at(5));
    let waits: Vec<_> =
        shown.waiting_for.iter().map(|w| (w.actor.as_str(), w.action.as_str(), w.since)).collect();
    assert_eq!(waits, [("ClusterUser", "ChangeSpec", at(5))]);
    object.status = Some(shown.clone());
    assert_eq!(refused(&object, &why, at(9)), shown, "nothing changes after that");
}

#[test]
fn a_portfolio_is_lowered() {
    let object: WhatsAppPortfolio = serde_json::from_value(json!({
        "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppPortfolio",
        "metadata": {"name": "acme", "namespace": "infra"},
        "spec": {
            "businessId": "500000000000001",
            "credentials": {"accessTokenSecretRef": {"name": "m", "key": "token"}},
            "access": [{"namespaces": ["*"], "accounts": ["300000000000001"]}],
        },
    }))
    .expect("a portfolio");
    let desired = portfolio(&object).expect("valid");
    assert_eq!(desired.business.as_str(), "500000000000001");
    assert_eq!(desired.access[0].accounts, Some(["300000000000001"].into()));
    assert_eq!(desired.app_secret, None);
}

#[test]
fn what_an_app_is_refused_is_shown_by_type_and_stands_until_that_type_was_read() {
    let shown = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>();
    let before = shown(&["Business.primary_page", "WhatsAppBusinessAccount.country"]);
    assert_eq!(refused_fields(&before, &BTreeMap::new()), before);
    let read = BTreeMap::from([
        ("WhatsAppBusinessAccount", BTreeSet::from(["primary_funding_id"])),
        ("WhatsAppBusinessPhoneNumber", BTreeSet::new()),
    ]);
    let after = shown(&["Business.primary_page", "WhatsAppBusinessAccount.primary_funding_id"]);
    assert_eq!(refused_fields(&before, &read), after);
    assert_eq!(refused_fields(&after, &read), after, "nothing changes after that");
    assert_eq!(refused_fields(&after, &BTreeMap::from([("Business", BTreeSet::new())])), after[1..]);
}

/// What stands in a status as JSON, and what of it is not understood.
fn not_understood(status: serde_json::Value) -> Option<String> {
    let read: WhatsAppChannelStatus = serde_json::from_value(status.clone()).expect("any status is read");
    let written = with_memory(&read, &memory_of(&read), Some(&read));
    for (member, value) in status.as_object().expect("members") {
        let written = serde_json::to_value(&written).expect("JSON");
        assert_eq!(&written[member], value, "it stays as it stands");
    }
    memory_of(&read).unknown
}

#[test]
fn a_word_that_decides_is_not_guessed() {
    let entry = |more: serde_json::Value| {
        let mut entry =
            json!({"id": "e", "at": "2026-03-01T12:00:00Z", "outcome": "Refused", "cause": "Automatic"});
        entry.as_object_mut().expect("members").extend(more.as_object().cloned().expect("members"));
        entry
    };
    let refusal = |class: &str, scope: &str| json!({"code": 1, "class": class, "scope": scope});
    for list in ["registrations", "codes", "verifications", "names", "adds", "pins"] {
        let of =
            |more| not_understood(json!({"memory": {"ledger": {list: [entry(json!({})), entry(more)]}}}));
        let says = |word: &str| {
            Some(format!("status.memory.ledger.{list}[1].{word}, which this version does not know"))
        };
        assert_eq!(of(json!({})), None);
        assert_eq!(of(json!({"outcome": "HalfDone"})), says("outcome is HalfDone"));
        assert_eq!(of(json!({"cause": "Webhook"})), says("cause is Webhook"));
        assert_eq!(of(json!({"refusal": refusal("Person", "Channel")})), None);
        assert_eq!(of(json!({"refusal": refusal("Tomorrow", "Channel")})), says("refusal.class is Tomorrow"));
        assert_eq!(
            of(json!({"refusal": refusal("Person", "Continent")})),
            says("refusal.scope is Continent")
        );
    }
    let pace = |step: &str| {
        let refusal = refusal("Tomorrow", "Channel");
        let pace = json!({"generation": 1, "failed": 1, "accepted": 0, "refusal": refusal});
        not_understood(json!({"memory": {"ledger": {"repeatable": {step: pace}}}}))
    };
    let says = "status.memory.ledger.repeatable.WriteProfile.refusal.class is Tomorrow, which this version does not know";
    assert_eq!(pace("WriteProfile").as_deref(), Some(says));
    assert_eq!(pace("WriteCatalogue"), None, "it bears on no step that is taken");
}

#[test]
fn what_cannot_be_read_holds_if_decisions_rest_on_it() {
    let holds = |status: serde_json::Value, member: &str| {
        let unknown = not_understood(status).unwrap_or_default();
        assert!(unknown.starts_with(&format!("status.{member} cannot be read (")), "{unknown}");
    };
    for (member, value) in [
        ("businessId", json!(5)),
        ("accountId", json!({})),
        ("phoneNumberId", json!([])),
        ("memory", json!("a packed text")),
    ] {
        holds(json!({member: value, "stage": "Ready"}), member);
    }
    for (member, value) in [
        ("format", json!("two")),
        ("ledger", json!({"registrations": 7})),
        ("inFlight", json!({"id": "f-1"})),
        ("consents", json!({"retry": {"value": "1", "at": "9999-12-31T23:59:59Z"}})),
        ("marks", json!({"added": "long ago"})),
    ] {
        let since = json!({"EnterCode": "2026-03-01T12:00:00Z"});
        holds(
            json!({"memory": {member: value, "since": since}, "stage": "Ready"}),
            &format!("memory.{member}"),
        );
    }
    // What is only shown is shown anew.
    for shown in [json!({"conditions": "none"}), json!({"facts": {"official": "yes"}})] {
        let read: WhatsAppChannelStatus = serde_json::from_value(shown).expect("any status is read");
        assert_eq!(read, WhatsAppChannelStatus::default());
    }
    let read: WhatsAppChannelStatus =
        serde_json::from_value(json!({"memory": {"since": 1}})).expect("any status is read");
    assert_eq!(read.memory, Some(v1::Memory::default()));
    let portfolio: v1::WhatsAppPortfolioStatus =
        serde_json::from_value(json!({"name": "Acme", "channels": "many", "partners": [1]}))
            .expect("it is read");
    let kept = serde_json::to_value(&portfolio).expect("JSON");
    assert_eq!(kept, json!({"name": "Acme", "partners": [1]}));
}

#[test]
fn another_format_holds_and_the_known_one_does_not() {
    assert_eq!(not_understood(json!({"memory": {"format": 1}})), None);
    let says = Some("status.memory.format is 2, and this version knows 1".to_owned());
    let newer = json!({"memory": {"format": 2, "ledger": {"attempts": {"r": 3}}}});
    assert_eq!(not_understood(newer), says);
}

#[test]
fn what_the_schema_gives_a_new_object_was_written_by_no_operator() {
    let of = |status: serde_json::Value| {
        let mut channel = channel_with(least());
        channel.status = serde_json::from_value(status.clone()).expect("a status");
        let credentials = json!({"accessTokenSecretRef": {"name": "acme-meta", "key": "token"}});
        let mut portfolio: WhatsAppPortfolio = serde_json::from_value(json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppPortfolio",
            "metadata": {"name": "acme", "namespace": "shop"},
            "spec": {"businessId": "500000000000001", "credentials": credentials},
        }))
        .expect("a portfolio");
        portfolio.status = serde_json::from_value(status).expect("a status");
        [channel.seen().is_some(), portfolio.seen().is_some()]
    };
    assert_eq!(of(serde_json::Value::Null), [false; 2]);
    assert_eq!(of(json!({"observedGeneration": -1})), [false; 2]);
    assert_eq!(of(json!({"observedGeneration": 1})), [true; 2]);
    assert_eq!(of(json!({"observedGeneration": -1, "waitingFor": [], "later": 1})), [true; 2]);
}

#[test]
fn a_portfolio_shows_its_first_accounts_and_how_many_more_there_are() {
    use crate::engine::{
        assess::portfolio::PortfolioAssessment,
        fixture::{desired_portfolio, now, reachable, view},
        portfolio::{PortfolioView, Reach},
    };
    let shown = |reach, before: Option<&v1::WhatsAppPortfolioStatus>| {
        let assessment = PortfolioAssessment {
            conditions: ConditionSet::default(),
            waiting_for: Vec::new(),
            view: PortfolioView { reach, ..view() },
            accept_offered: false,
            missing_scopes: Vec::new(),
            next: now(),
        };
        super::portfolio_status(&desired_portfolio(), &assessment, v1::ChannelCounts::default(), before)
    };
    let accounts = |many: usize| (0..many).map(|id| reachable(&format!("3{id:014}"))).collect::<Vec<_>>();
    let all = shown(Reach::Accounts(accounts(5_000)), None);
    assert_eq!((all.accounts.len(), all.more_accounts), (256, Some(4_744)));
    for before in [Reach::Unread, Reach::Owned(accounts(1))] {
        assert_eq!(shown(before, Some(&all)), all, "what stands there is not taken away by a part");
    }
    let own = shown(Reach::Owned(accounts(257)), None);
    assert_eq!((own.accounts.len(), own.more_accounts), (256, Some(1)));
    for few in [shown(Reach::Accounts(accounts(256)), Some(&all)), shown(Reach::Unknown, Some(&all))] {
        assert_eq!(few.more_accounts, None);
    }
}

#[test]
fn what_stands_in_the_layout_before_beside_a_memory_is_a_leftover() {
    let entry = |id: &str| json!([{"id": id, "at": "2026-03-01T12:00:00Z", "outcome": "Accepted", "cause": "Automatic"}]);
    let status = json!({
        "format": 7,
        "inFlight": {"id": "f-1"},
        "ledger": {"adds": entry("left over")},
        "memory": {"ledger": {"adds": entry("kept")}},
    });
    let read: WhatsAppChannelStatus = serde_json::from_value(status).expect("it is read");
    let memory = memory_of(&read);
    assert_eq!((memory.ledger.adds.len(), memory.ledger.adds[0].id.as_str()), (1, "kept"));
    assert_eq!((memory.in_flight, memory.unknown), (None, None));
    let written = serde_json::to_value(&read).expect("JSON");
    assert_eq!(written, json!({"memory": {"ledger": {"adds": entry("kept")}}}));
}

#[test]
fn a_layout_before_that_is_not_understood_is_held_in_its_new_place() {
    let status = json!({"format": 2, "ledger": {"attempts": 3}, "marks": "a packed text"});
    let read: WhatsAppChannelStatus = serde_json::from_value(status.clone()).expect("it is read");
    let unknown = memory_of(&read).unknown.unwrap_or_default();
    assert!(unknown.starts_with("status.memory.marks cannot be read ("), "{unknown}");
    let written = with_memory(&read, &memory_of(&read), Some(&read));
    assert_eq!(serde_json::to_value(&written).expect("JSON"), json!({"memory": status}));
}

/// A status with every time that it can hold, each with a fraction of a second.
#[test]
fn every_time_of_a_status_is_a_whole_second_and_none_that_counts_is_sooner() {
    let odd = |second| Timestamp::new(second, 300_000_000).expect("in range");
    assert_eq!(second::cut(odd(7)), at(7));
    assert_eq!((second::raised(odd(7)), second::raised(at(7))), (at(8), at(7)));
    let before = Timestamp::new(-7, -300_000_000).expect("in range");
    assert_eq!((second::cut(before), second::raised(before)), (at(-8), at(-7)));
    for end in [Timestamp::MIN, Timestamp::MAX] {
        assert_eq!(second::raised(end).subsec_nanosecond(), 0);
        let told = [second::cut(end), second::raised(end)].map(|time| time.to_string());
        assert!(told.iter().all(|time| time.len() == 20), "of a year with four digits: {told:?}");
    }

    let mut assessment = full("x");
    let mut set = ConditionSet::default();
    for condition in assessment.conditions.iter() {
        set.set(Condition { since: odd(9), ..condition.clone() });
    }
    assessment.conditions = set;
    for wait in &mut assessment.waiting_for {
        (wait.since, wait.expected_by) = (odd(10), Some(odd(11)));
    }
    let facts = &mut assessment.facts;
    (facts.name_since, facts.status_since) = (Some(odd(12)), Some(odd(13)));
    facts.last_refusal.as_mut().expect("there").until = Some(odd(14));
    let shown = status(&assessment, &Memory::default(), None);
    let wait = &shown.waiting_for[0];
    assert_eq!((wait.since, wait.expected_by), (at(10), Some(at(12))), "since when is not ahead");
    let facts = shown.facts.as_ref().expect("there");
    assert_eq!((facts.name_since, facts.status_since), (Some(at(12)), Some(at(13))));
    assert_eq!(facts.last_refusal.as_ref().and_then(|refusal| refusal.until), Some(at(15)));
    assert_eq!(fractions(&serde_json::to_value(&shown).expect("JSON")), Vec::<String>::new());
}

/// Texts that are times and no whole seconds.
fn fractions(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::String(text) => {
            let is_whole = |at: Timestamp| at.subsec_nanosecond() == 0 && text.ends_with('Z');
            text.parse().ok().filter(|at| !is_whole(*at)).map(|_| text.clone()).into_iter().collect()
        }
        serde_json::Value::Array(list) => list.iter().flat_map(fractions).collect(),
        serde_json::Value::Object(members) => members.values().flat_map(fractions).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_long_message_stands_in_ready_and_on_its_cause_and_is_named_elsewhere() {
    let long = "Meta refused the code, and a new one is asked for with kubectl whatsapp send-code".to_owned();
    let mut assessment = full(&long);
    assessment.facts.last_refusal = None;
    let intent = Intent {
        id: "i".into(),
        step: StepKind::Register.into(),
        reason: long.clone(),
        started_at: at(1),
        send_before: at(2),
        settle_until: at(3),
        generation: 1,
        subject: None,
        absent_before: None,
    };
    let memory = Memory { in_flight: Some(intent), ..Memory::default() };
    let shown = status(&assessment, &memory, None);
    let said: Vec<_> = shown.conditions.iter().map(|c| (c.type_.as_str(), c.message.as_str())).collect();
    let expected = [
        ("PortfolioReady", long.as_str()),
        ("NumberVerified", "see Ready"),
        ("Ready", long.as_str()),
        ("Reconciling", "see Ready"),
    ];
    assert_eq!(said, expected);
    assert!(shown.preflight.iter().all(|check| check.message == "see PortfolioReady"));
    assert_eq!(shown.in_flight().map(|step| step.reason.as_str()), Some("see PortfolioReady"));

    // Whoever reads it reads the words, and what is written over it says them once more.
    assert_eq!(memory_of(&shown), memory);
    assert_eq!(before_of(&shown).conditions, assessment.conditions);
    let mut whole = shown.clone();
    in_full(&mut whole);
    let lists = whole.conditions.iter().map(|c| &c.message).chain(whole.preflight.iter().map(|c| &c.message));
    assert!(lists.chain(whole.in_flight().map(|step| &step.reason)).all(|message| *message == long));
    assert_eq!(status(&assessment, &memory, Some(&shown)), shown);

    // Where another thing becomes the cause, nothing leads astray.
    let mut object = stored(&shown);
    object.spec.phone_number = "1064".into();
    let why = channel(&object).expect_err("refused");
    let refused = refused(&object, &why, at(5));
    let of = |kind: &str| refused.conditions.iter().find(|c| c.type_ == kind).map(|c| c.message.as_str());
    assert_eq!(
        (of("Ready"), of("Stalled")),
        (Some(why.to_string().as_str()), Some(why.to_string().as_str()))
    );
    assert_eq!(
        (of("PortfolioReady"), of("NumberVerified")),
        (Some(long.as_str()), Some("see PortfolioReady"))
    );
    assert!(refused.preflight.iter().all(|check| check.message == "see PortfolioReady"));
}

#[test]
fn a_word_of_a_newer_version_stays_in_attempts_that_are_kept() {
    let entry = |id: &str, outcome: &str, cause: &str| json!({"id": id, "at": "2026-10-01T00:00:00Z", "outcome": outcome, "cause": cause});
    let stands = json!({"codes": [
        entry("1", "Forwarded", "SendCode"), entry("2", "Accepted", "Foreseen"), entry("3", "Accepted", "SendCode"),
    ]});
    let stands = stands.to_string();
    let mut known = crate::api::lower::attempts(&stands).expect("attempts");
    let written = |known: &Ledger| {
        serde_json::from_str::<serde_json::Value>(&crate::api::lower::attempts_text(known, Some(&stands)))
            .expect("JSON")
    };
    known.codes[2].outcome = EntryOutcome::Refused;
    let codes = written(&known)["codes"].clone();
    let words = |n: usize| [codes[n]["outcome"].clone(), codes[n]["cause"].clone()];
    assert_eq!(words(0), [json!("Forwarded"), json!("SendCode")]);
    assert_eq!(words(1), [json!("Accepted"), json!("Foreseen")]);
    assert_eq!(words(2), [json!("Refused"), json!("SendCode")], "what is known by now is written");
    known.codes[0].outcome = EntryOutcome::Refused;
    assert_eq!(written(&known)["codes"][0]["outcome"], "Refused", "what happened since is written");
}

#[test]
fn of_attempts_that_were_refused_with_the_same_words_the_newest_has_them() {
    let entry = |id: &str, message: &str| Entry {
        id: id.into(),
        at: at(1),
        outcome: EntryOutcome::Refused,
        cause: Cause::Automatic,
        subject: None,
        settle_until: None,
        secret_before: None,
        trace_id: None,
        refusal: full(message).facts.last_refusal,
    };
    let registrations = vec![entry("1", "busy"), entry("2", "no"), entry("3", "busy")];
    let memory = Memory { ledger: Ledger { registrations, ..Ledger::default() }, ..Memory::default() };
    let kept = kept(&memory).ledger.registrations;
    let said: Vec<_> =
        kept.iter().filter_map(|entry| entry.refusal.as_ref()).map(|r| r.message.as_str()).collect();
    assert_eq!(said, ["", "no", "busy"]);
    let codes = kept.iter().filter_map(|entry| entry.refusal.as_ref()).map(|refusal| refusal.code);
    assert!(codes.eq([133_005; 3]), "what decides is kept");
}
