//! Trouble that Meta makes for a number or its account: what is told of it, what it costs, and that it ends by itself.

use serde_json::{Value, json};
use whatsapp_operator::{
    engine::{condition::Truth, condition_type::ConditionType, reason::Reason},
    sandbox::{Number, Portfolio, Sandbox, World as Meta},
};

use super::world::*;

/// What Meta shows, and what follows.
struct Trouble {
    name: &'static str,
    comes: fn(&Sandbox),
    ends: fn(&Sandbox),
    /// Where it is told, whether that is True, and as what.
    told: (ConditionType, Truth, Reason),
    is_ready: bool,
    is_stalled: bool,
    /// Every act that is waited for.
    waits: &'static [&'static str],
    /// In a word of Meta's that the message repeats.
    says: &'static str,
    /// What the reason says is to be done.
    remedy: &'static str,
    /// After so many minutes it is told, and gone again, at the latest.
    minutes: (u64, u64),
}

fn number(sandbox: &Sandbox, field: &str, value: impl Into<Value>) {
    assert!(sandbox.set_field(DIGITS, field, value.into()));
}

fn account(sandbox: &Sandbox, field: &str, value: impl Into<Value>) {
    assert!(sandbox.set_field(ACCOUNT, field, value.into()));
}

/// An entity that may not, or may only with limits, send.
fn health(can_send: &str, kind: &str, code: i64, description: &str) -> Value {
    json!({"can_send_message": can_send, "entities": [{"entity_type": kind, "id": "1", "can_send_message": can_send,
        "errors": [{"error_code": code, "error_description": description, "possible_solution": "See Business Support Home."}]}]})
}

/// What is not seen by the list is seen with the account's own facts, or when somebody asks.
const LIST: (u64, u64) = (7, 7);
/// A word that may turn within minutes counts once it stood for ten.
const STANDS: (u64, u64) = (18, 7);

fn troubles() -> Vec<Trouble> {
    use ConditionType::{AccountUsable, Healthy, NumberAdded, PaymentReady};
    use Truth::{False, True};
    fn connected(sandbox: &Sandbox) {
        number(sandbox, "status", "CONNECTED");
    }
    fn active(sandbox: &Sandbox) {
        account(sandbox, "status", "ACTIVE");
    }
    fn approved(sandbox: &Sandbox) {
        account(sandbox, "account_review_status", "APPROVED");
    }
    fn healthy(sandbox: &Sandbox) {
        assert!(sandbox.clear_field(DIGITS, "health_status"));
    }
    let limited = |name, comes, reason, says, remedy| Trouble {
        name,
        comes,
        ends: connected,
        told: (Healthy, True, reason),
        is_ready: true,
        is_stalled: false,
        waits: &[],
        says,
        remedy,
        minutes: STANDS,
    };
    let unfit = |name, comes, ends, (reason, is_stalled), waits, says, remedy| Trouble {
        name,
        comes,
        ends,
        told: (AccountUsable, False, reason),
        is_ready: false,
        is_stalled,
        waits,
        says,
        remedy,
        minutes: (66, 7),
    };
    let blocked = |name, comes, says| Trouble {
        name,
        comes,
        ends: healthy,
        told: (Healthy, False, Reason::Blocked),
        is_ready: false,
        is_stalled: false,
        waits: &["ResolveBlock"],
        says,
        remedy: "Business Support Home shows the cause",
        minutes: LIST,
    };
    vec![
        limited(
            "flagged",
            |s| number(s, "status", "FLAGGED"),
            Reason::NumberFlagged,
            "FLAGGED",
            "takes the flag back by itself after seven days",
        ),
        limited(
            "restricted",
            |s| number(s, "status", "RESTRICTED"),
            Reason::NumberRestricted,
            "RESTRICTED",
            "Wait for the end of the 24 hours",
        ),
        limited(
            "rate-limited",
            |s| number(s, "status", "RATE_LIMITED"),
            Reason::NumberRateLimited,
            "RATE_LIMITED",
            "Send less for a while",
        ),
        Trouble {
            name: "banned",
            comes: |s| assert!(s.ban(DIGITS)),
            ends: connected,
            told: (Healthy, False, Reason::NumberBanned),
            is_ready: false,
            is_stalled: true,
            waits: &["Appeal"],
            says: "banned",
            remedy: "Appeal in Business Support Home",
            minutes: LIST,
        },
        Trouble {
            name: "disconnected",
            comes: |s| number(s, "status", "DISCONNECTED"),
            ends: connected,
            told: (Healthy, False, Reason::NotConnected),
            is_ready: false,
            is_stalled: false,
            waits: &["ResolveBlock"],
            says: "DISCONNECTED",
            remedy: "Look at the number in WhatsApp Manager",
            minutes: STANDS,
        },
        Trouble {
            name: "deleted",
            comes: |s| number(s, "status", "DELETED"),
            ends: connected,
            told: (NumberAdded, False, Reason::NumberDeleted),
            is_ready: false,
            is_stalled: true,
            waits: &["AddNumberAgain"],
            says: "deleted",
            remedy: "add it in WhatsApp Manager",
            minutes: LIST,
        },
        Trouble {
            name: "moved to another account",
            comes: |s| number(s, "status", "MIGRATED"),
            ends: connected,
            told: (NumberAdded, False, Reason::NumberMigrated),
            is_ready: false,
            is_stalled: true,
            waits: &["ChangeSpec"],
            says: "migrated from account",
            remedy: "with the accountId of the account where the number is now",
            minutes: LIST,
        },
        Trouble {
            name: "gone from the list",
            comes: |s| assert!(s.delete_number(DIGITS)),
            ends: |s| {
                let name_status = "AVAILABLE_WITHOUT_REVIEW".into();
                let again = Number::new("100000000000088", ACCOUNT, DIGITS, "Acme Suporte");
                s.add_number(Number { name_status, ..again.registered("135790") });
            },
            told: (NumberAdded, False, Reason::NumberDeleted),
            is_ready: false,
            is_stalled: true,
            waits: &["Retry"],
            says: "",
            remedy: "kubectl whatsapp retry NAME adds it too",
            minutes: (10, 20),
        },
        unfit(
            "the account is disabled",
            |s| account(s, "status", "DISABLED"),
            active,
            (Reason::AccountDisabled, true),
            &["Appeal"],
            "banned account",
            "Appeal in Business Support Home",
        ),
        unfit(
            "the account is restricted",
            |s| account(s, "status", "RESTRICTED"),
            active,
            (Reason::AccountRestricted, false),
            &["Appeal"],
            "RESTRICTED",
            "See Business Support Home for the cause",
        ),
        unfit(
            "the account is rejected",
            |s| account(s, "account_review_status", "REJECTED"),
            approved,
            (Reason::AccountRejected, true),
            &["Appeal"],
            "rejected",
            "Request a review in Business Support Home",
        ),
        unfit(
            "the account is in review",
            |s| account(s, "account_review_status", "PENDING"),
            approved,
            (Reason::AccountInReview, false),
            &["ReviewAccount"],
            "PENDING",
            "Meta decides",
        ),
        unfit(
            "the account is hidden",
            |s| account(s, "owner", "500000000000009"),
            |s| account(s, "owner", BUSINESS),
            (Reason::AccountNotInReach, false),
            &["AssignAccount"],
            ACCOUNT,
            "assign the account to the system user",
        ),
        Trouble {
            name: "payment missing",
            comes: |s| account(s, "primary_funding_id", Value::Null),
            ends: |s| account(s, "primary_funding_id", "70001"),
            told: (PaymentReady, False, Reason::PaymentProblem),
            is_ready: true,
            is_stalled: false,
            waits: &[],
            says: "payment",
            remedy: "Add or correct the payment method",
            minutes: LIST,
        },
        blocked(
            "the number is blocked",
            |s| number(s, "health_status", health("BLOCKED", "PHONE_NUMBER", 141_000, "Low quality.")),
            "PHONE_NUMBER 141000: Low quality. See Business Support Home.",
        ),
        blocked(
            "the account is blocked",
            |s| number(s, "health_status", health("BLOCKED", "WABA", 141_003, "Templates are paused.")),
            "WABA 141003: Templates are paused. See Business Support Home.",
        ),
        blocked(
            "the business is blocked",
            |s| number(s, "health_status", health("BLOCKED", "BUSINESS", 141_010, "Not verified.")),
            "BUSINESS 141010: Not verified. See Business Support Home.",
        ),
        blocked(
            "the app is blocked",
            |s| number(s, "health_status", health("BLOCKED", "APP", 141_001, "The app is restricted.")),
            "APP 141001: The app is restricted. See Business Support Home.",
        ),
        Trouble {
            name: "health limited",
            comes: |s| number(s, "health_status", health("LIMITED", "BUSINESS", 141_010, "Not verified.")),
            ends: healthy,
            told: (Healthy, True, Reason::Limited),
            is_ready: true,
            is_stalled: false,
            waits: &[],
            says: "BUSINESS 141010: Not verified. See Business Support Home.",
            remedy: "most limits end by themselves",
            minutes: LIST,
        },
    ]
}

fn is_told(world: &World, trouble: &Trouble) -> bool {
    let (kind, status, reason) = trouble.told;
    let is = world.status().condition(kind).cloned();
    is.is_some_and(|is| (is.status, is.reason) == (status, reason) && is.message.contains(trouble.says))
}

/// How many reads and writes Meta got in the next hour.
async fn hour(world: &mut World) -> (usize, usize) {
    let before = world.sandbox.calls().len();
    world.run_for(HOUR).await;
    let calls = world.sandbox.calls().split_off(before);
    let writes = calls.iter().filter(|call| call.method != "GET").count();
    (calls.len() - writes, writes)
}

async fn passes(trouble: &Trouble) -> Result<(), String> {
    let mut world = World::new().await;
    world.cluster.apply(channel());
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    // A ban right after a registration of ours is in doubt for a day.
    world.run_for(HOUR * 26).await;
    let stood = world.status().before.conditions.clone();
    let broken = |world: &World, what: String| Err(format!("{}: {what}\n{}", trouble.name, world.story()));

    let effects = world.effects().len();
    (trouble.comes)(&world.sandbox);
    let limit = MINUTE * u32::try_from(trouble.minutes.0).expect("small");
    if !world.run_until(limit, |world| is_told(world, trouble)).await {
        return broken(&world, format!("not told within {limit:?}"));
    }
    let status = world.status();
    let waits: Vec<&str> = status.before.waiting_for.iter().map(|wait| wait.action.as_str()).collect();
    let is_stalled = status.condition(ConditionType::Stalled).is_some_and(|is| is.status == Truth::True);
    if (status.is_ready(), is_stalled, &*waits) != (trouble.is_ready, trouble.is_stalled, trouble.waits) {
        let what = format!("Ready {}, Stalled {is_stalled}, waits for {waits:?}", status.is_ready());
        return broken(&world, what);
    }
    let remedy = trouble.told.2.row().remedy;
    if !remedy.contains(trouble.remedy) {
        return broken(&world, format!("its remedy is {remedy:?}"));
    }
    world.run_for(HOUR).await;
    let written = world.cluster.written_count();
    // List and subscription about every five minutes, facts and profile every hour: no more than at rest.
    let (reads, writes) = hour(&mut world).await;
    if reads > 12 * 3 + 4 || writes > 0 || world.cluster.written_count() != written {
        return broken(&world, format!("{reads} reads and {writes} writes in an hour"));
    }

    (trouble.ends)(&world.sandbox);
    let limit = MINUTE * u32::try_from(trouble.minutes.1).expect("small");
    let is_over = |world: &World| world.status().is_ready() && !is_told(world, trouble);
    if !world.run_until(limit, is_over).await {
        return broken(&world, format!("does not come back within {limit:?}"));
    }
    world.run_for(MINUTE * 20).await;
    let status = world.status();
    let changed = |kind: ConditionType| {
        let (was, is) = (stood.get(kind)?, status.condition(kind)?);
        ((was.status, was.reason) != (is.status, is.reason)).then(|| format!("{kind:?} {:?}", is.reason))
    };
    let changed: Vec<String> = ConditionType::CHANNEL.iter().filter_map(|kind| changed(*kind)).collect();
    if !changed.is_empty() || !status.before.waiting_for.is_empty() {
        return broken(&world, format!("left behind: {changed:?} {:?}", status.before.waiting_for));
    }
    let is_written = world.effects().len() > effects && trouble.name != "gone from the list";
    if is_written {
        return broken(&world, "something was written for it".into());
    }
    Ok(())
}

#[tokio::test]
async fn each_trouble_is_told_by_its_reason_costs_no_more_than_rest_and_ends_by_itself() {
    let mut broken = Vec::new();
    for trouble in troubles() {
        broken.extend(passes(&trouble).await.err());
    }
    let first = broken.first().cloned().unwrap_or_default();
    let names: Vec<&str> = broken.iter().filter_map(|what| what.lines().next()).collect();
    assert!(broken.is_empty(), "{}\n\nthe first:\n{first}", names.join("\n"));
}

/// Trouble that keeps a number from being added ends by itself as well.
async fn is_added_after(
    meta: Meta,
    come: impl FnOnce(&World),
    end: impl FnOnce(&World),
    told: (Reason, &str),
    within: std::time::Duration,
) {
    let mut world = World::with(options(), meta).await;
    come(&world);
    world.cluster.apply(plain_channel());
    world.run_for(HOUR * 2).await;
    let added = world.status().condition(ConditionType::NumberAdded).cloned().expect("it is there");
    assert_eq!((added.status, added.reason), (Truth::False, told.0), "{}\n{}", added.message, world.story());
    let waits: Vec<String> = world.status().before.waiting_for.iter().map(|w| w.action.clone()).collect();
    assert_eq!(waits, [told.1], "{}", world.story());
    let (reads, writes) = hour(&mut world).await;
    assert!(reads <= 12 * 3 + 4 && writes == 0, "{reads} reads, {writes} writes\n{}", world.story());
    end(&world);
    assert!(world.run_until_ready(within).await, "{}", world.story());
}

#[tokio::test]
async fn a_full_portfolio_and_a_restriction_of_adding_are_waited_for_and_the_number_then_comes_up() {
    let mut full = Portfolio::new(BUSINESS, "Acme Ltda");
    full.number_limit = Some(1);
    let other = Number::new("100000000000091", ACCOUNT, "5511912340001", "Acme Suporte").registered("135790");
    let meta = Meta::for_demo().with_portfolio(full).with_number(other);
    let room = |world: &World| assert!(world.sandbox.delete_number("5511912340001"));
    is_added_after(meta, |_| {}, room, (Reason::NumberLimitReached, "RaiseNumberLimit"), DAY * 2).await;

    // Meta's answer names no date; a webhook would.
    let until = |world: &World| {
        let until = later(world.now(), HOUR * 30);
        assert!(world.sandbox.restrict(ACCOUNT, Some(until)));
    };
    is_added_after(Meta::for_demo(), until, |_| {}, (Reason::AccountRestricted, "Appeal"), DAY * 3).await;
}
