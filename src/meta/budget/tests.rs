//! Budgets and breakers on a clock that the test moves.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;

use super::*;
use crate::engine::fixture;

thread_local! {
    /// Meters that were looked at in search of a payer's.
    static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn note_looked_at() {
    LOOKED_AT.set(LOOKED_AT.get() + 1);
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + seconds).unwrap()
}

fn account() -> AccountId {
    AccountId::from("300000000000001")
}

fn payer() -> Payer {
    Payer::App(AppId::from("200000000000001"))
}

fn budget() -> Budget {
    Budget::new(Limits::default())
}

const DRIFT: Claim = Claim::Read(Urgency::Drift);
const TRANSITIONAL: Claim = Claim::Read(Urgency::Transitional);
const EDIT: Claim = Claim::Read(Urgency::Edit);
const PERSON: Claim = Claim::Read(Urgency::Person);

/// How many calls of this kind pass until one is held back, and until when that one waits.
fn spend(budget: &Budget, edge: Edge, claim: Claim, now: Timestamp) -> (u32, i64) {
    for count in 0.. {
        if let Err(until) = budget.admit(&payer(), Some(&account()), edge, claim, now) {
            return (count, until.as_second() - now.as_second());
        }
    }
    unreachable!()
}

#[test]
fn the_less_urgent_leave_room_for_the_more_urgent_and_reads_for_writes() {
    let budget = budget();
    assert_eq!(spend(&budget, Edge::Numbers, DRIFT, at(0)).0, 73);
    assert_eq!(spend(&budget, Edge::Numbers, TRANSITIONAL, at(0)).0, 84 - 73);
    assert_eq!(spend(&budget, Edge::Numbers, EDIT, at(0)).0, 94 - 84);
    assert_eq!(spend(&budget, Edge::Numbers, PERSON, at(0)).0, 105 - 94);
    assert_eq!(spend(&budget, Edge::Subscribe, Claim::Write, at(0)).0, 150 - 105);
}

#[test]
fn an_hour_slides_and_never_holds_twice_the_allowance() {
    let budget = budget();
    assert_eq!(spend(&budget, Edge::Register, Claim::Write, at(0)).0, 150);
    let (passed, wait) = spend(&budget, Edge::Register, Claim::Write, at(30 * 60));
    assert_eq!(passed, 0);
    assert!((29 * 60..=31 * 60).contains(&wait), "{wait}");
    assert_eq!(spend(&budget, Edge::Register, Claim::Write, at(61 * 60)).0, 150);
}

#[test]
fn a_code_is_sent_only_where_its_verification_and_the_registration_still_fit() {
    let budget = budget();
    assert_eq!(spend(&budget, Edge::AddNumber, Claim::Write, at(0)).0, 37);
    assert_eq!(spend(&budget, Edge::RequestCode, Claim::Write, at(0)).0, 37);
    for edge in [Edge::VerifyCode, Edge::Register] {
        for _ in 0..37 {
            assert!(budget.admit(&payer(), Some(&account()), edge, Claim::Write, at(0)).is_ok(), "{edge:?}");
        }
    }
}

fn write(budget: &Budget, edge: Edge, now: Timestamp) -> Result<(), Timestamp> {
    budget.admit(&payer(), Some(&account()), edge, Claim::Write, now)
}

#[test]
fn nothing_takes_the_place_of_a_verification_whose_code_is_out() {
    let budget = budget();
    assert_eq!(spend(&budget, Edge::RequestCode, Claim::Write, at(0)).0, 50);
    let (others, wait) = spend(&budget, Edge::Register, Claim::Write, at(0));
    assert_eq!(others, 150 - 50 - 50);
    assert!(wait <= 15 * 60, "a code lapses by then: {wait}");
    assert!(write(&budget, Edge::RequestCode, at(0)).is_err());
    assert_eq!(spend(&budget, Edge::VerifyCode, Claim::Write, at(60)).0, 50);
}

#[test]
fn adds_have_an_allowance_of_their_own_and_go_on_beside_everything_else() {
    let budget = budget();
    for _ in 0..100 {
        write(&budget, Edge::Register, at(0)).unwrap();
    }
    let (adds, wait) = spend(&budget, Edge::AddNumber, Claim::Write, at(30 * 60));
    assert_eq!(adds, 37);
    assert!(wait > 50 * 60, "{wait}");
}

#[test]
fn what_is_held_back_is_told_without_being_counted() {
    let budget = budget();
    let held = |step, now| budget.held_until(&payer(), &account(), step, now);
    assert_eq!(held(StepKind::AddNumber, at(0)), None, "an account that was never called");
    let (sent, _) = spend(&budget, Edge::AddNumber, Claim::Write, at(0));
    for _ in 0..3 {
        let until = held(StepKind::AddNumber, at(1));
        assert_eq!(write(&budget, Edge::AddNumber, at(1)).err(), until);
        assert!(until > Some(at(3_000)), "{until:?}");
    }
    assert_eq!(held(StepKind::CreatePin, at(1)), None, "no call to Meta");
    assert_eq!(spend(&budget, Edge::Register, Claim::Write, at(1)).0, 150 - sent);
    budget.throttled(&payer(), None, None, at(1));
    assert_eq!(held(StepKind::Register, at(2)), Some(at(301)));
}

#[test]
fn channels_that_write_one_after_another_share_the_list_that_follows() {
    let budget = budget();
    let gathers = |urgency, now| budget.gathers(&payer(), &account(), urgency, now);
    let polling = |now| gathers(Urgency::Transitional, now);
    assert_eq!(polling(at(0)), None);
    write(&budget, Edge::AddNumber, at(0)).unwrap();
    assert_eq!(polling(at(0)), Some(at(1)));
    assert_eq!(polling(at(1)), None, "nobody else writes");
    assert_eq!(gathers(Urgency::Person, at(0)), None, "a person does not wait for it");
    for second in 1..40 {
        write(&budget, Edge::Register, at(second)).unwrap();
    }
    assert_eq!(polling(at(29)), Some(at(30)), "no longer than that, however many follow");
    assert_eq!(polling(at(39)), None);
    budget.admit(&payer(), Some(&account()), Edge::Numbers, TRANSITIONAL, at(39)).unwrap();
    assert_eq!(polling(at(39)), None, "the list was begun after every write");
    write(&budget, Edge::RequestCode, at(40)).unwrap();
    assert_eq!(polling(at(40)), None, "no list shows it");
}

#[test]
fn the_list_grows_with_the_first_registered_number_and_the_rest_does_not() {
    let budget = budget();
    budget.registered_seen(&payer(), &account(), at(0));
    assert_eq!(spend(&budget, Edge::Numbers, PERSON, at(0)).0, 1_050);
    assert_eq!(spend(&budget, Edge::Register, Claim::Write, at(0)).0, 150);
}

#[test]
fn before_the_first_registered_number_everything_fits_into_one_hour_of_metas() {
    let budget = budget();
    let reads = spend(&budget, Edge::Numbers, PERSON, at(0)).0;
    let (writes, wait) = spend(&budget, Edge::Register, Claim::Write, at(60));
    assert_eq!(reads + writes, 200);
    assert!((3_500..3_700).contains(&wait), "{wait}");
    budget.registered_seen(&payer(), &account(), at(60));
    assert_eq!(spend(&budget, Edge::Register, Claim::Write, at(60)).0, 150 - writes);
}

#[test]
fn polled_profiles_have_an_allowance_of_their_own() {
    let budget = budget();
    assert_eq!(spend(&budget, Edge::Profile, DRIFT, at(0)).0, 60);
    assert!(budget.admit(&payer(), Some(&account()), Edge::Profile, PERSON, at(0)).is_ok());
}

#[test]
fn accounts_do_not_share_their_allowance() {
    let budget = budget();
    spend(&budget, Edge::Numbers, DRIFT, at(0));
    let other = AccountId::from("300000000000002");
    assert!(budget.admit(&payer(), Some(&other), Edge::Numbers, DRIFT, at(0)).is_ok());
}

#[test]
fn a_throttled_account_is_left_alone_and_others_go_on() {
    let budget = budget();
    budget.throttled(&payer(), Some(&account()), None, at(0));
    let held = |account: &str, now| {
        budget.admit(&payer(), Some(&account.into()), Edge::Numbers, Claim::Write, now).is_err()
    };
    assert!(held("300000000000001", at(299)));
    assert!(!held("300000000000001", at(300)));
    assert!(!held("300000000000002", at(0)));
    assert_eq!(budget.throttled_until(&payer(), Some(&account()), at(0)), Some(at(300)));
    assert_eq!(budget.throttled_until(&payer(), None, at(0)), None);
}

#[test]
fn a_throttled_app_holds_every_account_back_and_no_other_app() {
    let budget = budget();
    budget.throttled(&payer(), None, None, at(0));
    assert_eq!(budget.admit(&payer(), Some(&account()), Edge::Numbers, PERSON, at(0)), Err(at(300)));
    let other = Payer::Credential(BusinessId::from("500000000000001"), "1".into());
    assert!(budget.admit(&other, Some(&account()), Edge::Numbers, PERSON, at(0)).is_ok());
}

#[test]
fn a_blocked_app_stays_blocked_until_a_call_that_was_sent_later_gets_through() {
    let budget = budget();
    let refusal = fixture::refusal(200, None, "T1");
    let until = budget.app_blocked(&payer(), &refusal, at(0));
    assert_eq!(until, at(30 * 60));
    assert_eq!(budget.admit(&payer(), Some(&account()), Edge::Numbers, PERSON, at(1)), Err(until));
    budget.app_admitted(&payer(), at(1));
    assert!(budget.block_of(&payer(), at(1)).is_some(), "it was on its way when the app was blocked");
    budget.app_admitted(&payer(), until);
    assert_eq!(budget.block_of(&payer(), until), None);
}

#[test]
fn pauses_double_up_to_an_hour_and_start_short_after_an_answer() {
    let budget = budget();
    let (mut now, mut pauses) = (at(0), Vec::new());
    for _ in 0..6 {
        let until = budget.throttled(&payer(), Some(&account()), None, now);
        pauses.push((until.as_second() - now.as_second()) / 60);
        now = until;
    }
    assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
    budget.answered(&payer(), Some(&account()), now);
    assert_eq!(budget.throttled(&payer(), Some(&account()), None, now), later(now, FIRST_PAUSE));
}

#[test]
fn calls_that_were_on_their_way_together_are_throttled_once() {
    let budget = budget();
    let until = budget.throttled(&payer(), Some(&account()), None, at(0));
    assert_eq!(budget.throttled(&payer(), Some(&account()), None, at(1)), until);
    assert_eq!(
        budget.throttled(&payer(), Some(&account()), Some(at(7_200)), at(2)),
        at(7_200),
        "Meta's own time"
    );
    assert_eq!(
        budget.throttled(&payer(), Some(&account()), None, at(7_200)),
        at(7_800),
        "the second in a row"
    );
}

#[test]
fn metas_own_time_counts_when_it_is_later() {
    let budget = budget();
    assert_eq!(budget.throttled(&payer(), Some(&account()), Some(at(7_200)), at(0)), at(7_200));
}

#[test]
fn a_time_beyond_a_day_is_not_believed() {
    let budget = budget();
    let far = at(90 * 24 * 3600);
    assert_eq!(budget.throttled(&payer(), Some(&account()), Some(far), at(0)), at(24 * 3600));
    budget.admit(&payer(), Some(&AccountId::from("9")), Edge::Numbers, DRIFT, at(0)).unwrap();
    let headers = UsageHeaders::parse(None, Some(r#"{"9":[{"estimated_time_to_regain_access":99999999}]}"#));
    assert_eq!(budget.heard(&payer(), Some(&"9".into()), &headers, at(0)), Some(at(24 * 3600)));
}

fn business_header(percent: u32, minutes: u32) -> UsageHeaders {
    let header = format!(
        r#"{{"300000000000001":[{{"type":"whatsapp","call_count":1,"total_cputime":3,"total_time":{percent},
        "estimated_time_to_regain_access":{minutes}}},{{"type":"x","call_count":2}}],"9":"odd"}}"#
    );
    UsageHeaders::parse(None, Some(&header))
}

#[test]
fn usage_from_75_percent_halves_polling_and_nothing_else() {
    let budget = budget();
    budget.admit(&payer(), Some(&account()), Edge::Numbers, DRIFT, at(0)).unwrap();
    budget.heard(&payer(), Some(&account()), &business_header(75, 0), at(0));
    assert_eq!(spend(&budget, Edge::Numbers, DRIFT, at(0)).0, 36 - 1);
    assert_eq!(spend(&budget, Edge::Numbers, PERSON, at(0)).0, 105 - 36);
}

#[test]
fn usage_from_90_percent_lets_only_writes_through_until_the_header_is_old() {
    let budget = budget();
    budget.admit(&payer(), Some(&account()), Edge::Numbers, DRIFT, at(0)).unwrap();
    budget.heard(&payer(), Some(&account()), &business_header(90, 0), at(0));
    assert_eq!(budget.admit(&payer(), Some(&account()), Edge::Numbers, PERSON, at(0)), Err(at(600)));
    assert!(budget.admit(&payer(), Some(&account()), Edge::Register, Claim::Write, at(0)).is_ok());
    assert!(budget.admit(&payer(), Some(&account()), Edge::Numbers, PERSON, at(600)).is_ok());
}

#[test]
fn usage_of_the_app_counts_for_its_accounts() {
    let budget = budget();
    let headers =
        UsageHeaders::parse(Some(r#"{"call_count":28,"total_time":95,"total_cputime":"25"}"#), None);
    assert_eq!(headers.app, Some(95));
    budget.heard(&payer(), None, &headers, at(0));
    assert!(budget.admit(&payer(), Some(&account()), Edge::Numbers, PERSON, at(0)).is_err());
}

#[test]
fn the_time_to_regain_access_is_in_minutes() {
    let budget = budget();
    budget.admit(&payer(), Some(&account()), Edge::Numbers, DRIFT, at(0)).unwrap();
    let until = budget.heard(&payer(), Some(&account()), &business_header(100, 9), at(0));
    assert_eq!(until, Some(at(540)));
    assert_eq!(budget.throttled_until(&payer(), Some(&account()), at(0)), Some(at(540)));
    assert_eq!(budget.admit(&payer(), Some(&account()), Edge::Register, Claim::Write, at(0)), Err(at(540)));
}

#[test]
fn headers_that_cannot_be_read_say_nothing() {
    for text in ["", "no json", "[]", "3", "{}", r#"{"a":{}}"#] {
        let headers = UsageHeaders::parse(Some(text), Some(text));
        assert_eq!(headers.app, None, "{text}");
        assert!(headers.business.iter().all(|(_, usage)| *usage == BusinessUsage::default()), "{text}");
    }
}

#[test]
fn what_was_idle_for_an_hour_makes_room() {
    let budget = budget();
    for minute in 0..20_000_i64 {
        let account = AccountId::new(minute.to_string());
        budget.admit(&payer(), Some(&account), Edge::Numbers, DRIFT, at(minute * 60)).unwrap();
    }
    assert!(budget.lock(at(0)).all.len() < 4_096);
}

#[test]
fn after_a_take_over_the_last_hour_counts_as_used_until_a_header_tells_otherwise() {
    let budget = budget();
    budget.take_over(at(0));
    // A few calls go out to hear the headers; whoever asks meanwhile asks again soon.
    assert_eq!(spend(&budget, Edge::Numbers, DRIFT, at(0)), (u32::from(PROBES), 2));
    assert_eq!(budget.admit(&payer(), Some(&account()), Edge::Numbers, PERSON, at(1)), Err(at(3)));
    // What is kept for writes is not a read's to have used.
    assert!(budget.admit(&payer(), Some(&account()), Edge::Register, Claim::Write, at(1)).is_ok());
    budget.heard(&payer(), Some(&account()), &business_header(3, 0), at(1));
    assert!(spend(&budget, Edge::Numbers, DRIFT, at(1)).0 > 60);
    // Another one acted in between, and what was heard is old.
    budget.take_over(at(3_000));
    assert_eq!(spend(&budget, Edge::Numbers, PERSON, at(3_001)).0, u32::from(PROBES));
}

#[test]
fn without_any_answer_the_hour_before_a_take_over_passes_minute_by_minute() {
    let budget = budget();
    budget.take_over(at(0));
    let made: Vec<u32> =
        (0..60).map(|minute| spend(&budget, Edge::Numbers, DRIFT, at(minute * 60)).0).collect();
    assert_eq!(made[0], u32::from(PROBES));
    assert!(made[1..15].iter().all(|made| *made == 0), "{made:?}");
    assert!(made[15..].iter().all(|made| *made <= 3), "{made:?}");
    assert!(
        (70..=73).contains(&made.iter().sum::<u32>()),
        "what reads for drift may use of an hour: {made:?}"
    );
}

#[test]
fn a_process_that_took_nothing_over_assumes_nothing() {
    assert!(spend(&budget(), Edge::Numbers, DRIFT, at(0)).0 > 60);
}

#[test]
fn an_answer_without_a_header_tells_that_few_calls_were_made_and_speaks_of_what_was_called() {
    let budget = budget();
    budget.take_over(at(0));
    assert_eq!(spend(&budget, Edge::Numbers, DRIFT, at(0)).0, u32::from(PROBES));
    let of_the_app = || budget.admit(&payer(), None, Edge::DebugToken, DRIFT, at(0));
    assert_eq!((0..PROBES).filter(|_| of_the_app().is_ok()).count(), usize::from(PROBES));
    budget.answered(&payer(), Some(&account()), at(1));
    assert!(spend(&budget, Edge::Numbers, DRIFT, at(1)).0 > 60);
    assert!(of_the_app().is_err(), "no call of the app itself was answered");
    budget.answered(&payer(), None, at(1));
    assert!(of_the_app().is_ok());
}

#[test]
fn what_is_left_is_told_of_the_account_that_has_the_fewest_left() {
    let (budget, other) = (budget(), AccountId::from("300000000000002"));
    let told = |now| {
        let spent = budget.spent(&payer(), now);
        let mut told: Vec<_> = spent.into_iter().map(|one| (one.lane, one.used, one.left)).collect();
        told.sort_unstable();
        told
    };
    let stranger = Payer::App("200000000000009".into());
    budget.admit(&stranger, Some(&other), Edge::Numbers, PERSON, at(0)).unwrap();
    assert_eq!(told(at(0)), [], "nothing was called by this one");
    for _ in 0..3 {
        budget.admit(&payer(), None, Edge::Business, PERSON, at(0)).unwrap();
        budget.admit(&payer(), Some(&account()), Edge::Numbers, PERSON, at(0)).unwrap();
    }
    budget.admit(&payer(), Some(&other), Edge::Register, Claim::Write, at(0)).unwrap();
    let limits = Limits::default();
    let (list, rest) = (limits.budget_list_first, limits.budget_rest);
    assert_eq!(told(at(0)), [("app", 3, 1_497), ("list", 3, list - 3), ("rest", 1, rest - 1)]);
    assert_eq!(told(at(2 * 3_600)), [("app", 0, 1_500), ("list", 0, list), ("rest", 0, rest)]);
}

#[test]
fn what_meta_told_is_shown_for_an_hour_and_pauses_until_they_end() {
    let (budget, other) = (budget(), AccountId::from("300000000000002"));
    let headers = |percent: u32| {
        let usage = |percent| format!(r#"[{{"call_count":{percent},"estimated_time_to_regain_access":0}}]"#);
        let business = format!(r#"{{"{}":{},"{other}":{}}}"#, account(), usage(percent), usage(3));
        UsageHeaders::parse(None, Some(&business))
    };
    assert_eq!(budget.told(&payer(), at(0)), [], "nothing was called");
    for one in [&account(), &other] {
        budget.admit(&payer(), Some(one), Edge::Numbers, PERSON, at(0)).unwrap();
    }
    budget.heard(&payer(), Some(&account()), &headers(92), at(60));
    let told = |now| {
        let mut told = budget.told(&payer(), now);
        told.sort_unstable_by_key(|one| one.of);
        let [of_account, of_app] = told[..] else { panic!("both were called: {told:?}") };
        assert_eq!(of_app, ToldUsage { of: "app", ..ToldUsage::default() }, "Meta told nothing of it");
        of_account
    };
    let reads_wait = Some(at(60 + 600));
    let shown = ToldUsage { of: "account", used: Some((92, at(60))), reads_wait, all_wait: None };
    assert_eq!(told(at(61)), shown, "of the account that has used the most");
    assert_eq!(told(at(700)), ToldUsage { reads_wait: None, ..shown }, "one read may go out and hear more");
    assert_eq!(told(at(60 + 3_600)).used, None, "what is an hour old says nothing of this hour");
    let until = budget.throttled(&payer(), Some(&other), None, at(4_000));
    let paused = told(at(4_000));
    assert_eq!((paused.reads_wait, paused.all_wait), (Some(until), Some(until)), "whichever waits longest");
}

#[test]
fn what_is_told_of_a_payer_costs_no_look_at_the_meters_of_others() {
    let budget = budget();
    let payers: Vec<Payer> =
        (0..2_000).map(|n| Payer::App(AppId::from(format!("{n:06}").as_str()))).collect();
    for payer in &payers {
        budget.admit(payer, Some(&account()), Edge::Numbers, PERSON, at(0)).unwrap();
    }
    LOOKED_AT.set(0);
    for payer in &payers {
        let told: Vec<_> = budget.told(payer, at(1)).into_iter().map(|told| told.of).collect();
        let spent: Vec<_> =
            budget.spent(payer, at(1)).into_iter().map(|spent| (spent.lane, spent.used)).collect();
        assert_eq!(told, ["app", "account"]);
        assert_eq!(spent, [("app", 0), ("list", 1), ("rest", 0)]);
    }
    let of_one = LOOKED_AT.get() / payers.len();
    assert!(of_one <= 2 * 3, "its app, its account and where the next payer begins, twice: {of_one}");
}

#[test]
fn meters_that_are_idle_go_once_there_are_many_and_those_that_wait_stay() {
    let budget = budget();
    let payer = |n: usize| Payer::App(AppId::from(format!("{n:06}").as_str()));
    budget.throttled(&payer(0), Some(&account()), Some(at(3 * 3_600)), at(0));
    for n in 1..=ENTRIES_KEPT {
        budget.admit(&payer(n), Some(&account()), Edge::Numbers, PERSON, at(0)).unwrap();
    }
    budget.admit(&payer(9_999), Some(&account()), Edge::Numbers, PERSON, at(2 * 3_600)).unwrap();
    let known = |n| !budget.told(&payer(n), at(2 * 3_600)).is_empty();
    assert!(known(0) && known(9_999), "one waits, the other was called now");
    assert!(!known(1) && !known(ENTRIES_KEPT));
}

#[test]
fn calls_stay_as_old_as_they_were_when_the_clock_is_set_back() {
    let (budget, ahead) = (budget(), 2 * 3_600);
    // Half of them, and the others half an hour later; then it is set back by two hours.
    for _ in 0..75 {
        write(&budget, Edge::Register, at(ahead)).unwrap();
    }
    assert_eq!(spend(&budget, Edge::Register, Claim::Write, at(ahead + 30 * 60)).0, 75);
    let (passed, wait) = spend(&budget, Edge::Register, Claim::Write, at(30 * 60));
    assert_eq!(passed, 0);
    assert!((29 * 60..=31 * 60).contains(&wait), "{wait}");
    assert_eq!(spend(&budget, Edge::Register, Claim::Write, at(61 * 60)).0, 75, "the others still count");
    assert_eq!(spend(&budget, Edge::Register, Claim::Write, at(91 * 60)).0, 75);
}

#[test]
fn a_clock_that_is_set_back_or_forward_closes_a_breaker_and_makes_no_pause_longer() {
    for seconds in [-3_600, 3_600] {
        let budget = budget();
        budget.throttled(&payer(), Some(&account()), None, at(0));
        assert_eq!(budget.throttled_until(&payer(), Some(&account()), at(seconds)), None, "{seconds}");
        assert!(budget.admit(&payer(), Some(&account()), Edge::Numbers, Claim::Write, at(seconds)).is_ok());
        let until = budget.throttled(&payer(), Some(&account()), None, at(seconds));
        let pause = until.duration_since(at(seconds)).as_secs();
        assert!((300..=600).contains(&pause), "{seconds}: {pause}");
        // A clock that is set right by a little keeps it open.
        assert!(budget.throttled_until(&payer(), Some(&account()), at(seconds - 30)).is_some(), "{seconds}");
    }
}
