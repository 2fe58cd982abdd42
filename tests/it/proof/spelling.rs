//! One number in two spellings: as a spec writes it, and as Meta shows it.

use serde_json::json;
use whatsapp_operator::{
    engine::phone::E164,
    sandbox::{
        CallRecord, Fault, FaultKind, Match, Number, NumberSpelling, Options, Switches, What, World as Meta,
    },
};

use super::world::*;

const ID: &str = "100000000000077";

/// Brazil without its ninth digit, Mexico with its 1, Argentina with its 9: each in both spellings.
const SPELLINGS: [[&str; 2]; 3] =
    [["5531987654321", "553187654321"], ["526120000000", "5216120000000"], ["5491123456789", "541123456789"]];

/// How the number is at Meta when the channel is applied.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    No,
    /// Somebody added it, in the other spelling.
    Added,
    /// Somebody registered it, in the other spelling.
    Registered,
}

fn written(digits: &str) -> whatsapp_operator::engine::desired::Desired {
    let mut channel = plain_channel();
    channel.number = E164::parse(&format!("+{digits}")).unwrap();
    channel
}

fn adds(world: &World) -> usize {
    world.count(|what| matches!(what, What::NumberAdded { .. }))
}

#[tokio::test]
async fn in_whichever_spelling_a_number_comes_up_by_one_add_and_an_existing_one_by_none() {
    for (one, other) in SPELLINGS.iter().flat_map(|[one, other]| [(one, other), (other, one)]) {
        for known in [Known::No, Known::Added, Known::Registered] {
            for number_spelling in [NumberSpelling::Live, NumberSpelling::Plain] {
                let case = format!("{one}, {known:?}, {number_spelling:?}");
                let number = || Number::new(ID, ACCOUNT, other, "Acme Suporte");
                let meta = match known {
                    Known::No => Meta::for_demo(),
                    Known::Added => Meta::for_demo().with_number(number()),
                    Known::Registered => Meta::for_demo().with_number(number().registered("135790")),
                };
                let switches = Switches { number_spelling, ..Switches::default() };
                let mut world = World::with(Options { switches, ..options() }, meta).await;
                world.cluster.apply(written(one));
                assert!(world.run_until_ready(HOUR * 3).await, "{case}: {}", world.story());
                world.run_for(HOUR).await;
                world.check_nothing_twice();
                assert_eq!(adds(&world), usize::from(known == Known::No), "{case}");
                let is_refused_write = |call: &CallRecord| call.method == "POST" && call.code.is_some();
                let refused = world.sandbox.calls().iter().filter(|call| is_refused_write(call)).count();
                assert_eq!(refused, 0, "{case}: {}", world.story());
                if known == Known::Registered {
                    assert_eq!(world.effects(), [], "{case}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_add_whose_answer_is_lost_is_found_in_the_other_spelling() {
    for digits in SPELLINGS.iter().flatten() {
        let mut world = World::with(options(), Meta::for_demo()).await;
        let on = Match { times: Some(1), ..Match::on("POST", "phone_numbers") };
        world.sandbox.inject(Fault { on, kind: FaultKind::TimeoutAfter });
        world.cluster.apply(written(digits));
        assert!(world.run_until_ready(HOUR * 3).await, "{digits}: {}", world.story());
        world.check_nothing_twice();
        assert_eq!(adds(&world), 1, "{digits}");
    }
}

#[tokio::test]
async fn a_known_number_is_found_by_its_id_in_whatever_digits_it_is_shown() {
    let number = Number::new(ID, ACCOUNT, "5531987654321", "Acme Suporte").registered("135790");
    let mut world = World::with(options(), Meta::for_demo().with_number(number)).await;
    world.cluster.apply(written("5531987654321"));
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(HOUR).await;
    let writes = world.cluster.written_count();
    for shown in
        ["+55 31 98765-4321", "+55 31 8765-4321", "+55 31 0000-0000", "\u{2066}++1 205-555-0100\u{2069}"]
    {
        assert!(world.sandbox.set_field(ID, "display_phone_number", json!(shown)));
        world.run_for(HOUR).await;
        assert!(world.status().is_ready(), "{shown}: {}", world.story());
        assert_eq!(world.cluster.written_count(), writes, "{shown}: nothing is written about it");
    }
    assert_eq!(world.effects(), []);
}

#[tokio::test]
async fn marks_that_nobody_sees_and_a_second_plus_do_not_hide_a_number() {
    for shown in ["\u{202a}++55 31 8765-4321\u{202c}", "+\u{200e}55\u{a0}31\u{a0}98765\u{2011}4321\u{feff}"] {
        let number = Number::new(ID, ACCOUNT, "5531987654321", "Acme Suporte").registered("135790");
        let mut world = World::with(options(), Meta::for_demo().with_number(number)).await;
        assert!(world.sandbox.set_field(ID, "display_phone_number", json!(shown)));
        world.cluster.apply(written("5531987654321"));
        assert!(world.run_until_ready(HOUR).await, "{}", world.story());
        assert_eq!(world.effects(), []);
    }
}

#[tokio::test]
async fn a_number_in_another_account_is_found_there_in_the_other_spelling() {
    const OTHER: &str = "300000000000002";
    for [one, other] in SPELLINGS {
        let number = Number::new(ID, OTHER, other, "Acme Suporte");
        let account = whatsapp_operator::sandbox::Account::new(OTHER, BUSINESS, "Acme Dois");
        let meta = Meta::for_demo().with_account(account).with_number(number);
        let mut world = World::with(options(), meta).await;
        let mut channel = written(one);
        channel.account = Some(ACCOUNT.into());
        world.cluster.apply(channel);
        world.run_for(HOUR).await;
        let reason = world.status().ready_reason().map(|reason| reason.as_str().to_owned());
        assert_eq!(reason.as_deref(), Some("NumberInOtherAccount"), "{one}: {}", world.story());
        assert_eq!(world.effects(), [], "{one}");
    }
}
