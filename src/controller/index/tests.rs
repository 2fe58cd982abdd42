use serde_json::json;

use super::*;
use crate::{
    api::v1alpha1::WhatsAppChannelStatus,
    cluster::read::Stored,
    controller::{claim::Pauses, resting::Accounts, state::States},
    engine::id::{AccountId, NumberId},
    engine::spelling::Canonical,
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
                term.accounts.rest(&of, &key, now, &rested);
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
