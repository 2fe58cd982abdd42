//! Answers as they were seen, and as strange as they may come.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use super::*;
use crate::engine::{
    failure::{Class, Scope},
    id::{AccountStatus, CodeStatus, NameStatus, NumberStatus, PlatformType},
};

fn nothing_refused() -> BTreeSet<&'static str> {
    BTreeSet::new()
}

#[test]
fn a_registered_number_is_read_whole() {
    let read = number(
        &json!({"id": "100000000000001", "display_phone_number": "+49 1555 0100100", "verified_name": "Example",
            "status": "CONNECTED", "code_verification_status": "EXPIRED", "name_status": "APPROVED",
            "new_name_status": "NONE", "quality_rating": "GREEN", "throughput": {"level": "STANDARD"},
            "platform_type": "CLOUD_API", "account_mode": "LIVE", "is_official_business_account": false,
            "is_pin_enabled": true, "is_on_biz_app": false,
            "webhook_configuration": {"application": "https://hooks.example.org/wa"},
            "whatsapp_business_profile": {"data": [{"about": "Hi", "vertical": "UNDEFINED"}]},
            "health_status": {"can_send_message": "LIMITED", "entities": [{"entity_type": "WABA",
                "can_send_message": "BLOCKED", "errors": [{"error_code": "141006", "error_description": "d"}]}]}}),
        &nothing_refused(),
    )
    .unwrap();
    assert_eq!(read.display_phone_number, "+49 1555 0100100");
    assert_eq!(read.status, Field::Is(NumberStatus::Connected));
    assert_eq!(read.code, Field::Is(CodeStatus::Expired));
    assert_eq!(read.platform, Field::Is(PlatformType::CloudApi));
    assert_eq!(read.new_name_status, Field::Is(NameStatus::None));
    assert_eq!(read.new_display_name, Field::Absent);
    assert_eq!(read.is_pin_enabled, Field::Is(true));
    assert_eq!(read.throughput, Some("STANDARD".into()));
    let profile = read.profile.value().unwrap();
    assert_eq!((profile.about.as_deref(), profile.vertical.as_deref()), (Some("Hi"), None));
    let health = read.health.value().unwrap();
    assert_eq!(health.can_send, Sendability::Limited);
    assert_eq!(health.entities[0].errors[0].code, 141_006);
    let webhook = read.webhook.value().unwrap();
    assert_eq!((webhook.number.as_deref(), webhook.application.is_some()), (None, true));
}

#[test]
fn only_entities_that_something_is_said_about_are_kept() {
    let entities = json!([
        {"entity_type": "PHONE_NUMBER", "can_send_message": "AVAILABLE", "additional_info": ["Not verified."]},
        {"entity_type": "WABA", "can_send_message": "AVAILABLE"},
        {"entity_type": "BUSINESS", "can_send_message": "LIMITED"},
        {"entity_type": "APP", "can_send_message": "AVAILABLE", "errors": [{"error_code": 141_006}]}]);
    let value = json!({"id": "1", "display_phone_number": "15550100100",
        "health_status": {"can_send_message": "LIMITED", "entities": entities}});
    let read = number(&value, &BTreeSet::new()).unwrap();
    let kinds: Vec<_> = read.health.value().unwrap().entities.iter().map(|e| e.kind.as_str()).collect();
    assert_eq!(kinds, ["PHONE_NUMBER", "BUSINESS", "APP"]);
}

#[test]
fn refused_absent_and_strange_fields_are_told_apart() {
    let value = json!({"id": 100_000_000_000_001_u64, "display_phone_number": "15550100100", "status": ["odd"],
        "code_verification_status": "SOMETHING_NEW", "is_pin_enabled": "true", "is_on_biz_app": {},
        "throughput": "odd", "health_status": [], "webhook_configuration": null});
    let read = number(&value, &BTreeSet::from(["name_status"])).unwrap();
    assert_eq!(read.id.as_str(), "100000000000001");
    assert_eq!(read.status, Field::Absent);
    assert_eq!(read.code, Field::Is(CodeStatus::Other("SOMETHING_NEW".into())));
    assert_eq!(read.name_status, Field::Refused);
    assert_eq!(read.is_pin_enabled, Field::Is(true));
    // A strange shape is no answer; absent would mean false to some rules.
    assert_eq!(read.is_on_biz_app, Field::Refused);
    assert_eq!(read.health, Field::Refused);
    assert_eq!(read.webhook, Field::Absent);
}

#[test]
fn a_number_without_id_cannot_be_read_and_one_without_digits_is_known_by_its_id() {
    for value in [json!({"id": "1"}), json!({"id": "1", "display_phone_number": null})] {
        let read = number(&value, &nothing_refused()).unwrap();
        assert_eq!((read.id.as_str(), read.display_phone_number.as_str()), ("1", ""), "{value}");
    }
    for value in [
        json!({"display_phone_number": "15550100100"}),
        json!({"id": "../x", "display_phone_number": "15550100100"}),
        json!(null),
    ] {
        assert!(number(&value, &nothing_refused()).is_none(), "{value}");
    }
}

#[test]
fn an_account_and_a_portfolio_are_read() {
    let value = json!({"id": "300000000000001", "name": "Example", "timezone_id": 58, "status": "ACTIVE",
        "owner_business_info": {"id": "500000000000001", "name": "Example Trading"}, "primary_funding_id": "0"});
    let read = account(&value, &BTreeSet::from(["account_review_status"]));
    assert_eq!(read.timezone_id.as_deref(), Some("58"));
    assert_eq!(read.status, Field::Is(AccountStatus::Active));
    assert_eq!(read.review, Field::Refused);
    assert_eq!(read.owner, Some("500000000000001".into()));
    assert_eq!(read.funding, Field::Is("0".into()));

    let page = |page: Value| business(&json!({"id": "5", "primary_page": page})).primary_page;
    assert_eq!(page(json!({"id": "1", "name": "Page"})).as_deref(), Some("Page"));
    assert_eq!(page(json!({"id": "1"})).as_deref(), Some("1"));
    assert_eq!(page(json!(null)), None);
}

#[test]
fn a_token_tells_its_scopes_targets_and_end() {
    let refusal =
        |e: Envelope| e.refusal(crate::meta::edge::Edge::DebugToken, 200, None, Timestamp::UNIX_EPOCH);
    let value = json!({"app_id": "200000000000001", "type": "SYSTEM_USER", "expires_at": 0, "is_valid": true,
        "data_access_expires_at": "1767225600", "scopes": ["whatsapp_business_management"],
        "granular_scopes": [{"scope": "whatsapp_business_management", "target_ids": ["3", "4"]}]});
    let facts = token(&value, refusal).unwrap();
    assert_eq!(facts.expires_at, None);
    assert_eq!(facts.data_access_expires_at.map(Timestamp::as_second), Some(1_767_225_600));
    assert_eq!(facts.targets, Some(vec!["3".into(), "4".into()]));

    let all = json!({"is_valid": true, "granular_scopes": [{"scope": "whatsapp_business_management"}]});
    assert_eq!(token(&all, refusal).unwrap().targets, None);

    let dead = json!({"is_valid": false, "error": {"code": 190, "subcode": 463, "message": "expired"}});
    let error = token(&dead, refusal).unwrap().error.unwrap();
    assert!(error.is(190, Some(463)));
    assert_eq!((error.class, error.scope), (Class::Credentials, Scope::Portfolio));
    assert!(token(&json!({}), refusal).is_none());
}

#[test]
fn a_list_goes_on_as_long_as_there_is_a_next_page() {
    let next = |paging: Value| page(&json!({"data": [], "paging": paging})).unwrap().1;
    assert_eq!(page(&json!({"data": []})).unwrap().1, Next::End);
    assert_eq!(next(json!({"cursors": {"after": "A"}})), Next::End);
    assert_eq!(next(json!({"cursors": {"after": "A"}, "next": "https://x"})), Next::After("A".into()));
    assert_eq!(next(json!({"next": "https://x/?access_token=t&after=B%3D"})), Next::After("B=".into()));
    assert_eq!(next(json!({"next": "https://x/"})), Next::Lost);
    assert!(page(&json!({"data": {}})).is_none());
    assert!(page(&json!([])).is_none());
}

#[test]
fn only_managed_profile_fields_are_sent() {
    let fields =
        DesiredProfile { about: Some("Hi".into()), websites: Some(vec![]), ..DesiredProfile::default() };
    assert_eq!(
        profile_fields(&fields),
        json!({"messaging_product": "whatsapp", "about": "Hi", "websites": []})
    );
}

#[test]
fn no_list_of_fields_names_one_twice() {
    for asked in [NUMBER, ACCOUNT, BUSINESS, REACHABLE] {
        let names: HashSet<_> = asked.all().map(|field| field.name).collect();
        assert_eq!(names.len(), asked.all().count());
        let extra = |suspect: Suspect| asked.extra.iter().any(|field| field.name == suspect.name);
        assert!(asked.suspect.is_none_or(extra), "what is suspected is a field that can be left out");
    }
}

#[test]
fn scopes_are_known_from_either_list_and_never_missing_for_want_of_one() {
    let read = |data: Value| token(&data, |_| panic!("no error here")).map(|token| token.scopes);
    let granular = json!([{"scope": "whatsapp_business_management"}]);
    let scopes = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    assert_eq!(
        read(json!({"is_valid": true, "scopes": ["business_management"], "granular_scopes": granular})),
        scopes(&["business_management", "whatsapp_business_management"])
    );
    assert_eq!(
        read(json!({"is_valid": true, "granular_scopes": granular})),
        scopes(&["whatsapp_business_management"])
    );
    assert_eq!(read(json!({"is_valid": true, "scopes": []})), scopes(&[]));
    assert_eq!(read(json!({"is_valid": true})), None);
    assert_eq!(read(json!({"is_valid": false})), scopes(&[]));
}

#[test]
fn a_subscribed_app_is_told_with_its_name_and_where_it_has_the_account_s_events_sent() {
    let app = json!({"id": "200000000000002", "name": "Acme CRM"});
    let plain = subscribed_app(&json!({"whatsapp_business_api_data": app})).unwrap();
    assert_eq!((plain.name.as_deref(), plain.override_url), (Some("Acme CRM"), None));
    let url = "https://hooks.example.org/wa";
    let entry = json!({"whatsapp_business_api_data": app, "override_callback_uri": url});
    assert_eq!(subscribed_app(&entry).unwrap().override_url.as_deref(), Some(url));
}

#[test]
fn a_subscribed_app_is_known_in_either_shape() {
    let nested = json!({"whatsapp_business_api_data": {"id": "200000000000001", "name": "Acme Ops"}});
    let flat = json!({"id": "200000000000001", "name": "Acme Ops"});
    let both = json!({"id": "9", "whatsapp_business_api_data": {"id": "200000000000001"}});
    for entry in [nested, flat, both] {
        assert_eq!(subscribed_app(&entry).unwrap().id, "200000000000001".into(), "{entry}");
    }
    for entry in [json!({}), json!({"whatsapp_business_api_data": {"link": "https://x/"}}), json!("2")] {
        assert_eq!(subscribed_app(&entry), None, "{entry}");
    }
}
