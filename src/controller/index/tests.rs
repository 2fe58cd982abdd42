use serde_json::{Value, json};

use super::*;
use crate::{
    api::v1alpha1::WhatsAppChannelStatus,
    cluster::read::{MOST_OBJECT, Stored},
    controller::{
        claim::{Pauses, Yields},
        resting::Accounts,
        state::States,
    },
    engine::{
        id::{AccountId, NumberId},
        observed::Claim,
        portfolio::{Backing, PortfolioView},
        spelling::Canonical,
    },
    run::rested::Rested,
};

const CROWD: usize = 15_000;
const PAUSE: Duration = Duration::from_secs(30);

/// A clock that stands still, but for when it is told.
struct Hands(Mutex<jiff::Timestamp>);

impl Clock for Hands {
    fn now(&self) -> jiff::Timestamp {
        *self.0.lock().expect("sound")
    }
}

/// Who works: what is remembered of channels beside the index.
#[derive(Default)]
struct Term {
    states: States,
    accounts: Accounts,
}

impl Follower for Term {
    fn is_news(&self, _: &Key, _: &str) -> bool {
        false
    }

    fn channel_gone(&self, key: &Key, _: Option<&Lane>) {
        self.states.remove(key);
        self.accounts.leave(key);
    }

    fn portfolio_gone(&self, _: &PortfolioRef) {}

    fn failing(&self) -> Vec<Key> {
        Vec::new()
    }
}

fn digits(n: usize) -> String {
    format!("55119{n:08}")
}

fn channel(n: usize, round: usize) -> Stored<WhatsAppChannel> {
    let status: Option<WhatsAppChannelStatus> = None;
    let channel = json!({"apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
        "metadata": {"name": format!("c{n}"), "namespace": "shop", "uid": format!("{round}-{n}"), "generation": 1},
        "spec": {"portfolioRef": {"name": "acme"}, "accountId": format!("3{}", n / 100),
                 "phoneNumber": format!("+{}", digits(n)), "displayName": "Acme"}, "status": status});
    Stored(Ok(serde_json::from_value(channel).expect("a channel")))
}

#[tokio::test]
async fn a_crowd_of_channels_that_came_and_went_leaves_nothing_whether_anybody_works_or_not() {
    for is_worked_on in [false, true] {
        let clock = Arc::new(Hands(Mutex::new(jiff::Timestamp::UNIX_EPOCH)));
        let pauses = Pauses { gone: PAUSE, displaced: PAUSE, kept: PAUSE };
        let index: Index<()> = Index::new(clock.clone(), Claims::new(pauses), &Watched::default(), (16, 16));
        let term = Arc::new(Term::default());
        index.follow(is_worked_on.then(|| term.clone() as Arc<dyn Follower>));
        index.take_channel(&News::Filled);
        let room = || {
            let all = [index.claims.room(), index.channels.room(), term.states.room(), term.accounts.room()];
            all.iter().sum::<usize>()
        };
        for round in 0..3 {
            for n in 0..CROWD {
                let object = channel(n, round);
                let key = Key::of(object.meta());
                index.take_channel(&News::Shown { key: &key, object: &object, is_first: false });
                // A person asks, so that it moves up in line.
                index.channels.ask(&key, Urgency::Person);
                if !is_worked_on {
                    continue;
                }
                let now = index.clock.now();
                term.states.of(&key, &"1".into(), now);
                let rested = Rested {
                    account: AccountId::new(format!("3{}", n / 100)),
                    number: NumberId::new(format!("1{n}")),
                    digits: Canonical::of(&digits(n)),
                    needs_subscription: false,
                    is_received: None,
                    needs_profile: false,
                    shown: 0,
                    profile: None,
                    begun: now,
                    interval: None,
                    date: None,
                    version: "1".into(),
                };
                let of = PortfolioRef { namespace: "shop".into(), name: "acme".into() };
                term.accounts.rest(&of, &key, now, &rested, None);
            }
            assert!(room() > CROWD, "{}", room());
            for n in 0..CROWD {
                let object = channel(n, round);
                index.take_channel(&News::Gone(&Key::of(object.meta())));
            }
        }
        // The pauses of their numbers end as well, with nobody there to ask.
        *clock.0.lock().expect("sound") += PAUSE;
        index.tidy();
        term.states.tidy(index.clock.now());
        term.accounts.tidy();
        assert!(room() < 2_000, "room for {} is left", room());
    }
}

#[test]
fn whatever_a_person_asks_for_by_annotation_is_seen() {
    let seen = |annotations: serde_json::Value| {
        let meta = json!({"name": "support", "namespace": "shop", "uid": "1", "generation": 1, "annotations": annotations});
        Seen::of(&serde_json::from_value(meta).expect("metadata"), &ASKS)
    };
    for name in lower::CONSENTS.into_iter().chain([lower::SKIP_CLEANUP]) {
        assert_ne!(seen(json!({ name: "one" })), seen(json!({})), "{name}");
        assert_ne!(seen(json!({ name: "one" })), seen(json!({ name: "two" })), "{name}");
    }
    assert_eq!(seen(json!({"example.com/owner": "us"})), seen(json!({})));
}

#[test]
fn what_is_missing_of_the_index_is_named_and_one_namespace_that_may_not_be_read_is_not() {
    let one = |namespace: &str| Standing {
        namespace: Some(namespace.to_owned()),
        age: Duration::from_secs(60),
        refused: None,
        failure: None,
    };
    let deaf = |of| Standing { age: DEAF + Duration::from_secs(1), ..of };
    let refused = |of| Standing { refused: Some(Refusal { why: "403".into(), remedy: "allow it" }), ..of };
    let failed = |of| Standing { failure: Some("500".into()), ..of };
    let (a, b) = (|| one("a"), || one("b"));
    let not_filled = "the cache of channels is not filled yet";
    let fails = "the watch of channels in b fails and is tried again by itself: 500";
    let silent = "the API server has told nothing of channels in b for 301 s; look at what stands between it and the operator";
    let none = |namespace: &str| {
        format!(
            "channels in {namespace} cannot be read and count as none (403); allow it; it is tried again by itself"
        )
    };
    let (none_a, none_b) = (none("a"), none("b"));
    for (what, is_filled, standing, wanted) in [
        ("all is well", true, [a(), b()], vec![]),
        ("one failed just now", true, [a(), failed(b())], vec![]),
        ("one fails for long", true, [a(), failed(deaf(b()))], vec![fails]),
        ("one is silent, and nothing failed", true, [a(), deaf(b())], vec![silent]),
        ("one may not be read", true, [a(), refused(deaf(b()))], vec![]),
        ("one failed, and may not be read since", true, [a(), refused(failed(deaf(b())))], vec![]),
        ("none may be read", true, [refused(a()), refused(b())], vec![&none_a, &none_b]),
        ("at first", false, [a(), b()], vec![not_filled]),
        ("one fails at first", false, [a(), failed(b())], vec![not_filled, fails]),
        ("one may not be read at first", false, [a(), refused(b())], vec![not_filled, &none_b]),
    ] {
        let notes: Vec<String> = standing.iter().filter_map(|one| note("channels", one)).collect();
        assert_eq!(missing("channels", is_filled, &standing, &notes), wanted, "{what}");
    }
    let all = Standing { namespace: None, ..refused(a()) };
    let notes = [note("channels", &all).expect("it may not be read")];
    assert!(notes[0].starts_with("channels cannot be read"), "{notes:?}");
    assert_eq!(missing("channels", true, &[all], &notes), notes);
}

fn still() -> Index<()> {
    let clock = Arc::new(Hands(Mutex::new(jiff::Timestamp::UNIX_EPOCH)));
    let pauses = Pauses { gone: PAUSE, displaced: PAUSE, kept: PAUSE * 120 };
    Index::new(clock, Claims::new(pauses), &Watched::default(), (16, 16))
}

/// A channel of that name with one number and a status; the larger the number of its uid, the younger.
fn claiming(name: &str, uid: u32, status: &Value) -> Value {
    json!({"apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
        "metadata": {"name": name, "namespace": "shop", "uid": uid.to_string(), "generation": 1},
        "spec": {"portfolioRef": {"name": "acme", "namespace": "meta"}, "phoneNumber": "+5511912345678", "displayName": "Acme"},
        "status": status})
}

fn portfolio(access: &Value) -> Value {
    json!({"apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppPortfolio",
        "metadata": {"name": "acme", "namespace": "meta", "uid": "p1", "generation": 1},
        "spec": {"businessId": "500000000000001", "access": access,
                 "credentials": {"accessTokenSecretRef": {"name": "acme-meta", "key": "token"}}}})
}

/// With more than is read of an object.
fn fat(mut object: Value) -> Value {
    object["metadata"]["annotations"] = json!({"whatsapp-operator.dev/note": "x".repeat(MOST_OBJECT)});
    object
}

fn put_channel(index: &Index<()>, object: &Value) -> Key {
    let object = Stored::shown(object);
    let key = Key::of(object.meta());
    index.take_channel(&News::Shown { key: &key, object: &object, is_first: true });
    key
}

fn put_portfolio(index: &Index<()>, object: &Value) -> PortfolioRef {
    let object = Stored::shown(object);
    let key = Key::of(object.meta());
    index.take_portfolio(&News::Shown { key: &key, object: &object, is_first: true });
    portfolio::reference(&key)
}

fn claim(index: &Index<()>, key: &Key) -> Claim {
    index.claims.claim(key, |of, namespace| index.portfolios.backing(of, namespace), index.clock.now()).claim
}

#[test]
fn a_channel_that_cannot_be_used_keeps_its_number_after_a_restart_and_no_portfolio() {
    let managed = json!({"phoneNumberId": "7", "stage": "Ready"});
    let it = || claiming("old", 1, &managed);
    let with = |of: &str, name: &str, value: Value| {
        let mut object = it();
        object[of][name] = value;
        object
    };
    let usual = put_channel(&still(), &it());
    for (what, object, keeps) in [
        ("it can be used", it(), true),
        ("fat annotations", fat(it()), true),
        ("a fat status", with("status", "ofAnother", json!("x".repeat(MOST_OBJECT))), true),
        ("it does not parse", with("spec", "displayName", json!(7)), true),
        ("nor does its policy", with("spec", "managementPolicy", json!("New")), true),
        ("suspended, with a number", fat(with("spec", "suspend", json!(true))), true),
        ("fat, and it only looks", fat(with("spec", "managementPolicy", json!("ObserveOnly"))), false),
        (
            "fat, and suspended before it acted",
            fat({
                let mut object = claiming("old", 1, &Value::Null);
                object["spec"]["suspend"] = json!(true);
                object
            }),
            false,
        ),
    ] {
        let index = still();
        put_portfolio(&index, &portfolio(&json!([{"namespaces": ["shop"]}])));
        index.take_portfolio(&News::Filled);
        let rival = put_channel(&index, &claiming("young", 2, &Value::Null));
        let old = put_channel(&index, &object);
        index.take_channel(&News::Filled);
        assert_eq!(old, usual);
        let other = Claim::Other { name: Some("old".into()) };
        assert_eq!(claim(&index, &rival) == other, keeps, "{what}");
        index.claims.one(&old, |it| assert!(it.holds.is_none(), "{what}"));
    }
}

#[test]
fn a_channel_that_becomes_unusable_keeps_what_was_known_of_it_until_another_of_its_name_comes() {
    let index = still();
    let mut it = claiming("old", 1, &json!({"phoneNumberId": "7"}));
    it["metadata"]["finalizers"] = json!([lower::CLEANUP]);
    let key = put_channel(&index, &it);
    put_channel(&index, &fat(it.clone()));
    index.claims.one(&key, |it| assert!(it.holds.is_some() && it.number.is_some()));
    it["metadata"]["uid"] = json!("2");
    it["status"] = Value::Null;
    put_channel(&index, &fat(it));
    // It may not have looked for its number yet, so it gives way to one that has it.
    let may_look = Some(Box::new(Yields { has_looked: false, account: None }));
    index
        .claims
        .one(&key, |it| assert_eq!((&*it.uid, it.number.is_some(), &it.yields), ("2", false, &may_look)));
}

#[test]
fn a_portfolio_that_cannot_be_used_stands_behind_its_channels_after_a_restart_and_as_before() {
    let granted = json!([{"namespaces": ["shop"]}]);
    let many: Vec<_> = (0..12_000).map(|n| json!({"namespaces": [format!("shop-{n}")]})).collect();
    for (what, access, behind) in [
        ("granted", &granted, Some(Backing::Unknown)),
        ("not granted", &json!([]), None),
        ("more is granted than is kept", &json!(many), Some(Backing::Lost(jiff::Timestamp::UNIX_EPOCH))),
    ] {
        let index = still();
        let of = put_portfolio(&index, &fat(portfolio(access)));
        assert_eq!(index.portfolios.backing(&of, "shop"), behind, "{what}");
        assert_eq!(index.portfolios.backing(&of, "meta"), Some(Backing::Unknown), "{what}");
        let view = PortfolioView::spec_invalid("meta", "acme", "", "it is too large");
        assert!(index.portfolios.publish(&of, "p1", view, None), "{what}: its channels hear why");
    }
    // What it grants is not known, so nobody elsewhere may use it, and what was won is kept for an hour.
    for (what, status, keeps) in [
        ("its number is known", json!({"phoneNumberId": "7", "stage": "Ready"}), true),
        ("it never acted", Value::Null, false),
    ] {
        let index = still();
        let of = put_portfolio(&index, &fat(portfolio(&json!(many))));
        assert!(!index.portfolios.may_use(&of, "shop"));
        index.take_portfolio(&News::Filled);
        let old = put_channel(&index, &claiming("old", 1, &status));
        let mut rival = claiming("young", 2, &Value::Null);
        rival["metadata"]["namespace"] = json!("meta");
        let rival = put_channel(&index, &rival);
        index.take_channel(&News::Filled);
        assert_eq!(claim(&index, &rival) == Claim::Other { name: None }, keeps, "{what}");
        // Once it is smaller it grants what it says.
        put_portfolio(&index, &portfolio(&json!([])));
        assert_eq!(index.portfolios.backing(&of, "shop"), None, "{what}");
        assert!(!matches!(claim(&index, &rival), Claim::Other { .. }), "{what}");
        assert!(index.claims.known(&old).is_some());
    }
    let index = still();
    let of = put_portfolio(&index, &portfolio(&granted));
    put_portfolio(&index, &fat(portfolio(&json!([]))));
    assert!(index.portfolios.may_use(&of, "shop"), "what was known of it stays");
}
