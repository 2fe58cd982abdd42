//! Usernames and official business accounts of a registered number.

use crate::engine::{
    fixture::{HOUR, MINUTE, NUMBER, SECOND, World, accepted, no_answer, refused, world},
    look::UsernameLook,
    plan::Plan,
    value::{
        block::Block,
        condition_type::ConditionType,
        desired::{Connection, DriftPolicy, Management, OfficialApplication, Username},
        failure::Class,
        id::{Fact, Field, NameStatus, OfficialStatus, UsernameStatus, VerificationStatus},
        memory::{ConsentKind, EntryOutcome, Origin},
        observed::{self, Official},
        reason::Reason,
        step::{Cause, Planned, Step, StepKind},
        time::later,
    },
};

const WANTED: &str = "acme.suporte";
const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// A registered number at rest, whose channel wants a username.
fn wants() -> World {
    let world = world().own().registered().number(|n| n.name_status = Field::Is(NameStatus::Approved)).pass();
    let username = Username { name: WANTED.into(), may_transfer: false };
    world.desire(|d| d.username = Some(username)).shows(None)
}

/// The same, long after it was first registered, whose channel wants an official business account.
fn official() -> World {
    official_after(60 * DAY)
}

fn official_after(time: std::time::Duration) -> World {
    let world = wants().registered_for(time).number(|n| n.is_pin_enabled = Field::Is(true));
    let world = world.portfolio(|view| {
        if let Fact::Known(business) = &mut view.facts {
            business.verification = Some(VerificationStatus::Verified);
        }
    });
    let world = world.desire(|d| (d.username, d.official) = (None, Some(OfficialApplication::default())));
    world.state(OfficialStatus::NotStarted)
}

impl World {
    /// Meta shows this username of the number, or none.
    fn shows(self, name: Option<(&str, UsernameStatus)>) -> Self {
        self.see(|o| {
            o.username = Fact::Known(observed::Username {
                name: name.as_ref().map(|(name, _)| (*name).to_owned()),
                status: name.map(|(_, status)| status),
            });
        })
    }

    fn ours(self) -> Self {
        self.shows(Some((WANTED, UsernameStatus::Approved)))
    }

    fn other(self) -> Self {
        self.shows(Some(("acme.antiga", UsernameStatus::Approved)))
    }

    fn state(self, status: OfficialStatus) -> Self {
        self.number(|n| n.official = Field::Is(Official { status, message: Some("Not notable.".into()) }))
    }

    fn ask(self, value: &str) -> Self {
        self.desire(|d| d.consents.official = Some(value.to_owned()))
    }

    fn retry(self, value: &str) -> Self {
        self.desire(|d| d.consents.retry = Some(value.to_owned()))
    }

    fn may_transfer(self) -> Self {
        self.desire(|d| {
            d.generation += 1;
            d.username.as_mut().expect("it is there").may_transfer = true;
        })
    }

    fn block(&self, on: ConditionType) -> Block {
        let plan = self.plan();
        let found = plan.aside.iter().find(|(kind, _)| *kind == on).map(|(_, block)| block.clone());
        found.unwrap_or_else(|| panic!("nothing holds {on:?} up: {plan:#?}"))
    }

    fn username_block(&self) -> Reason {
        self.block(ConditionType::UsernameClaimed).reason
    }

    fn official_block(&self) -> Reason {
        self.block(ConditionType::OfficialAccount).reason
    }

    fn refuse(self, code: i64) -> Self {
        self.act(StepKind::ClaimUsername, refused(code, None, Class::Person)).after(MINUTE)
    }
}

fn claim(plan: &Plan) -> Option<(&Cause, bool)> {
    match plan.step.as_ref()? {
        Planned { step: Step::ClaimUsername { transfer, .. }, cause, .. } => Some((cause, *transfer)),
        _ => None,
    }
}

#[test]
fn a_username_is_claimed_once_and_shows() {
    let world = wants();
    assert_eq!(claim(&world.plan()), Some((&Cause::Automatic, false)));
    let claimed = world.act(StepKind::ClaimUsername, accepted()).after(SECOND);
    assert_eq!(claimed.username_block(), Reason::EffectNotVisibleYet);
    for status in [UsernameStatus::Reserved, UsernameStatus::Approved] {
        let shown = claimed.clone().shows(Some(("Acme.Suporte", status))).after(MINUTE);
        assert_eq!(shown.says(), "Rest");
        assert!(shown.plan().aside.is_empty() && shown.plan().is_at_rest());
    }
}

#[test]
fn nothing_is_claimed_before_the_registration_or_without_a_read() {
    let early = world().own().desire(|d| d.username = wants().desired.username);
    assert!(early.look().username.is_none() && claim(&early.plan()).is_none());
    let unread = wants().see(|o| o.username = Fact::NotAsked);
    assert_eq!(unread.username_block(), Reason::NotObservedYet);
    let failed = wants().see(|o| o.username = Fact::Unknown(crate::engine::fixture::retry_failure()));
    assert_eq!(failed.username_block(), Reason::MetaUnavailable);
    assert!(failed.plan().date.is_some(), "it is read again by itself");
}

#[test]
fn who_only_observes_and_a_number_in_the_app_claim_nothing() {
    let observer = wants().desire(|d| d.management = Management::ObserveOnly);
    let in_app = wants()
        .desire(|d| d.connection = Connection::Coexistence)
        .number(|n| n.is_on_biz_app = Field::Is(true));
    for world in [observer, in_app] {
        assert_eq!((world.says().as_str(), world.username_block()), ("Rest", Reason::UsernameDiffers));
    }
}

#[test]
fn a_refused_username_is_remembered_with_its_reason_and_claimed_again_only_by_retry() {
    for (code, reason) in [
        (147_001, Reason::UsernameTaken),
        (147_002, Reason::UsernameLimitTooLow),
        (147_003, Reason::UsernameNotLinked),
        (147_004, Reason::UsernameNotLinked),
        (147_005, Reason::UsernameInUse),
        (100, Reason::UsernameRefused),
        (133_010, Reason::UsernameRefused),
    ] {
        let held = wants().refuse(code);
        let much_later = held.clone().after(DAY * 300);
        for world in [&held, &much_later] {
            assert_eq!((world.says().as_str(), world.username_block()), ("Rest", reason), "{code}");
        }
        let message = held.block(ConditionType::UsernameClaimed).message;
        assert!(
            message.contains(&format!("code {code}")) && message.contains("Message of Meta's"),
            "{message}"
        );
        let asked = held.retry("anna-1");
        assert_eq!(claim(&asked.plan()), Some((&Cause::Retry("anna-1".into()), false)), "{code}");
        let again = asked.refuse(code);
        assert_eq!((again.says().as_str(), again.username_block()), ("Rest", reason), "{code}");
        let edited = again.desire(|d| d.username.as_mut().expect("it is there").name = "acme.br".into());
        assert_eq!(claim(&edited.plan()), Some((&Cause::Automatic, false)), "{code}: another one is new");
    }
}

#[test]
fn a_username_of_another_number_is_taken_from_it_once_and_only_where_the_spec_says_so() {
    let held = wants().refuse(147_005);
    assert!(held.block(ConditionType::UsernameClaimed).message.contains("TransferUsername"));
    let allowed = held.may_transfer();
    assert_eq!(claim(&allowed.plan()), Some((&Cause::Automatic, true)));
    let again = allowed.clone().refuse(147_005);
    assert_eq!((again.says().as_str(), again.username_block()), ("Rest", Reason::UsernameInUse));
    assert_eq!(claim(&again.retry("1").plan()), Some((&Cause::Retry("1".into()), true)));
    // The consent alone takes nothing: the first claim harms nobody.
    assert_eq!(claim(&wants().may_transfer().plan()), Some((&Cause::Automatic, false)));
}

#[test]
fn a_username_that_was_lost_is_never_taken_back_from_who_has_it_by_itself() {
    let lost = wants().may_transfer().ours().pass().shows(None).after(HOUR);
    assert_eq!((lost.says().as_str(), lost.username_block()), ("Rest", Reason::UsernameRevoked));
    let in_use = lost.retry("1").refuse(147_005);
    assert_eq!((in_use.says().as_str(), in_use.username_block()), ("Rest", Reason::UsernameInUse));
    assert_eq!(claim(&in_use.retry("2").plan()), Some((&Cause::Retry("2".into()), true)));
}

#[test]
fn another_username_is_replaced_after_an_edit_or_by_the_policy_and_a_found_one_only_by_a_person() {
    let found = wants().other();
    assert_eq!((found.says().as_str(), found.username_block()), ("Rest", Reason::UsernameDiffers));
    assert_eq!(claim(&found.retry("1").plan()), Some((&Cause::Retry("1".into()), false)));
    let changed = wants().ours().pass().other().after(HOUR);
    assert_eq!(claim(&changed.plan()), Some((&Cause::Automatic, false)));
    let told = changed.clone().desire(|d| d.drift = DriftPolicy::Report);
    assert_eq!((told.says().as_str(), told.username_block()), ("Rest", Reason::UsernameDiffers));
    let bare = wants();
    let now = bare.now;
    let bare = bare.remember(|m| m.marks.origin = Origin::Adopted(now));
    let bare = bare.desire(|d| d.drift = DriftPolicy::Report).pass().after(MINUTE);
    assert_eq!(
        (bare.says().as_str(), bare.username_block()),
        ("Rest", Reason::UsernameDiffers),
        "found without"
    );
    assert_eq!(claim(&bare.clone().retry("1").plan()), Some((&Cause::Retry("1".into()), false)));
    assert_eq!(
        claim(&bare.clone().desire(|d| d.drift = DriftPolicy::Enforce).plan()),
        Some((&Cause::Automatic, false))
    );
    let other = bare.other().desire(|d| d.drift = DriftPolicy::Enforce);
    assert_eq!((other.says().as_str(), other.username_block()), ("Rest", Reason::UsernameDiffers));
    let edited =
        wants().ours().pass().desire(|d| d.username.as_mut().expect("it is there").name = "acme.br".into());
    assert_eq!(claim(&edited.plan()), Some((&Cause::Automatic, false)));
}

#[test]
fn who_replaces_the_username_again_and_again_has_the_last_word() {
    let mut world = wants().ours().pass();
    for _ in 0..3 {
        world = world.other().after(MINUTE).pass().act(StepKind::ClaimUsername, accepted());
        world = world.ours().after(MINUTE * 2).pass();
    }
    let left = world.other().after(MINUTE).pass();
    assert_eq!((left.says().as_str(), left.username_block()), ("Rest", Reason::ContendedBy));
}

#[test]
fn a_lost_reply_is_decided_by_a_read_and_not_before_its_time() {
    for lost in [wants().die(StepKind::ClaimUsername), wants().act(StepKind::ClaimUsername, no_answer())] {
        let early = lost.clone().after(MINUTE);
        assert_eq!(early.says(), Reason::EffectNotVisibleYet.as_str());
        let landed = early.ours().pass();
        let last = landed.memory.ledger.last(StepKind::ClaimUsername).expect("it is there");
        assert_eq!((last.outcome, landed.memory.in_flight.is_none()), (EntryOutcome::Accepted, true));
        assert_eq!(landed.says(), "Rest");
        let unread = lost.clone().after(MINUTE * 3).see(|o| o.username = Fact::NotAsked);
        assert_eq!(unread.says(), Reason::EffectNotVisibleYet.as_str(), "nothing is decided without a read");
        // One that nobody asks for any more, or that Meta does not show, holds nothing up.
        let dropped = unread.desire(|d| d.username = None);
        assert_eq!((dropped.says().as_str(), dropped.pass().memory.in_flight), ("Rest", None));
        let hidden = Fact::Unknown(refused(100, None, Class::Spec).unwrap_err());
        let hidden = lost.clone().after(MINUTE * 3).see(|o| o.username = hidden);
        assert_ne!(hidden.says(), Reason::EffectNotVisibleYet.as_str());
        let without = lost.after(MINUTE * 3);
        assert_eq!(
            claim(&without.plan()),
            Some((&Cause::Automatic, false)),
            "the read shows that it did nothing"
        );
    }
}

#[test]
fn replies_that_are_lost_each_time_end_with_a_person() {
    let mut world = wants();
    for _ in 0..3 {
        world = world.act(StepKind::ClaimUsername, no_answer()).after(MINUTE * 3).pass();
    }
    assert_eq!((world.says().as_str(), world.username_block()), ("Rest", Reason::UsernameNotShown));
}

#[test]
fn a_claim_that_meta_took_and_does_not_show_is_not_repeated() {
    let world = wants().act(StepKind::ClaimUsername, accepted()).after(MINUTE * 5).pass();
    assert_eq!((world.says().as_str(), world.username_block()), ("Rest", Reason::UsernameNotShown));
    assert!(claim(&world.retry("1").plan()).is_some());
}

#[test]
fn a_visible_username_is_not_read_again_and_a_reserved_one_once_a_day() {
    let shown = |status| wants().shows(Some((WANTED, status))).pass().assess();
    let approved = shown(UsernameStatus::Approved);
    assert_eq!(approved.plan().date, None);
    let look = |world: &World| world.look().username.expect("it is managed");
    let last = observed::Username { name: Some(WANTED.into()), status: Some(UsernameStatus::Approved) };
    let limits = &approved.limits;
    let (max_age, if_changed) = (limits.fresh_aside, limits.fresh_list);
    assert_eq!(look(&approved), UsernameLook { number: NUMBER.into(), max_age, if_changed, last });
    let reserved = shown(UsernameStatus::Reserved);
    assert_eq!(reserved.plan().date, Some(later(reserved.now, reserved.limits.fresh_aside)));
    let unmanaged = reserved.desire(|d| d.username = None);
    assert!(unmanaged.look().username.is_none() && unmanaged.look().official.is_none());
    assert_eq!(unmanaged.plan().date, None);
}

#[test]
fn after_a_claim_only_newer_reads_serve() {
    let claimed = wants().act(StepKind::ClaimUsername, accepted());
    let age = |world: &World| world.look().username.expect("it is managed").max_age;
    // An attempt begins in a second of its own, and so does what is read after it.
    assert_eq!(age(&claimed.clone().after(SECOND * 22)), SECOND * 20);
    assert_eq!(age(&claimed.clone().after(SECOND * 50)), claimed.limits.fresh_after_write);
    // The effect counts as absent only in a read that was begun after its time.
    assert_eq!(age(&claimed.clone().after(SECOND * 72)), SECOND * 10);
    assert_eq!(age(&claimed.retry("1")), std::time::Duration::ZERO);
}

#[test]
fn an_official_account_is_requested_only_by_consent() {
    let world = official();
    assert_eq!(
        (world.says().as_str(), world.official_block()),
        ("Rest", Reason::OfficialAccountNotRequested)
    );
    assert!(
        world.block(ConditionType::OfficialAccount).message.contains("request-official-account support-br")
    );
    assert_eq!(world.retry("1").says(), "Rest", "a retry is for something else");
    let asked = official().ask("anna-1");
    assert_eq!(asked.plan().step.expect("it is there").cause, Cause::Official("anna-1".into()));
    let without_spec = official().desire(|d| d.official = None).ask("anna-1");
    assert_eq!(without_spec.says(), "Rest");
    let answer = &without_spec.plan().memory.consents[&ConsentKind::Official];
    assert!(answer.refused.as_ref().is_some_and(|why| why.contains("officialBusinessAccount")), "{answer:?}");
}

#[test]
fn an_official_account_is_not_requested_again_for_30_days_whatever_became_of_the_reply() {
    for result in [accepted(), no_answer(), refused(2, None, Class::Retry)] {
        let sent = official().ask("1").act(StepKind::RequestOfficial, result.clone()).after(HOUR).pass();
        for days in [0, 29] {
            let again = sent.clone().after(DAY * days).ask("2");
            assert_eq!(again.says(), "Rest", "{result:?} after {days} days");
            let answer = again.pass().memory.consents[&ConsentKind::Official].clone();
            assert!(answer.refused.is_some_and(|why| why.contains("2026-03-31")), "the date is told");
        }
        let rejected = sent.state(OfficialStatus::Rejected);
        let block = rejected.block(ConditionType::OfficialAccount);
        assert_eq!(block.reason, Reason::OfficialAccountPaused);
        assert!(block.message.contains("Not notable") && block.until.is_some(), "{}", block.message);
        let after = rejected.after(DAY * 30);
        assert_eq!(after.official_block(), Reason::OfficialAccountRejected);
        let told = |world: &World| world.block(ConditionType::OfficialAccount).message.clone();
        let foreign = official().state(OfficialStatus::Rejected);
        assert!(told(&foreign).contains("this channel did not make it"), "{}", told(&foreign));
        assert!(!told(&after).contains("did not make it"), "{}", told(&after));
        assert_eq!(after.ask("3").says(), StepKind::RequestOfficial.as_str());
    }
}

#[test]
fn a_request_whose_answer_was_lost_is_settled_by_what_meta_shows_and_else_counts_as_sent() {
    let may_have = refused(2, None, Class::Retry);
    let [died, unanswered, mishap] = [
        official().ask("1").die(StepKind::RequestOfficial),
        official().ask("1").act(StepKind::RequestOfficial, no_answer()),
        official().ask("1").act(StepKind::RequestOfficial, may_have),
    ];
    for (what, lost) in [("died", died), ("no answer", unanswered), ("a mishap", mishap)] {
        let last = |world: &World| world.memory.ledger.officials.last().expect("it is there").clone();
        let early = lost.clone().after(SECOND * 45).pass();
        let held = early.plan().block.unwrap_or_else(|| early.block(ConditionType::OfficialAccount));
        assert_eq!(held.reason, Reason::EffectNotVisibleYet, "{what}: it may still show");
        let silent = lost.after(MINUTE * 3).pass();
        let block = silent.block(ConditionType::OfficialAccount);
        assert_eq!((block.reason, silent.says().as_str()), (Reason::OfficialAccountPaused, "Rest"), "{what}");
        for words in ["NOT_STARTED, which does not prove", "counts as sent", "WhatsApp Manager", "2026-03-31"]
        {
            assert!(block.message.contains(words), "{what}: {}", block.message);
        }
        assert_ne!(last(&silent).outcome, EntryOutcome::Accepted, "{what}");
        for status in [OfficialStatus::Pending, OfficialStatus::UnderReview, OfficialStatus::Approved] {
            let arrived = silent.clone().after(DAY).state(status.clone()).pass();
            let settled = (last(&arrived).outcome, last(&arrived).refusal);
            assert_eq!(settled, (EntryOutcome::Accepted, None), "{what}: {status}");
        }
        // A word that may be of an earlier request proves nothing.
        for status in [OfficialStatus::Rejected, OfficialStatus::Expired, OfficialStatus::Cancelled] {
            let other = silent.clone().after(DAY).state(status).pass();
            assert_ne!(last(&other).outcome, EntryOutcome::Accepted, "{what}");
            assert_eq!(other.official_block(), Reason::OfficialAccountPaused, "{what}");
        }
    }
    let refused = official().ask("1").act(StepKind::RequestOfficial, refused(100, None, Class::Spec));
    let refused = refused.after(DAY).state(OfficialStatus::Pending).pass();
    let last = refused.memory.ledger.officials.last().expect("it is there");
    assert_eq!(last.outcome, EntryOutcome::Refused, "it was none, whoever made the one that shows");
}

#[test]
fn a_refused_request_was_none_and_is_made_again_by_another_consent() {
    let held =
        official().ask("1").act(StepKind::RequestOfficial, refused(100, None, Class::Spec)).after(MINUTE);
    assert_eq!((held.says().as_str(), held.official_block()), ("Rest", Reason::OfficialAccountRefused));
    assert_eq!(held.ask("2").says(), StepKind::RequestOfficial.as_str());
}

#[test]
fn nothing_is_requested_while_meta_reviews_or_while_it_is_known_what_is_missing() {
    for (status, reason) in [
        (OfficialStatus::Pending, Reason::OfficialAccountInReview),
        (OfficialStatus::UnderReview, Reason::OfficialAccountInReview),
        (OfficialStatus::from("NOVEL"), Reason::StatusNotKnown),
    ] {
        let world = official().state(status).ask("1");
        assert_eq!((world.says().as_str(), world.official_block()), ("Rest", reason));
    }
    assert!(official().state(OfficialStatus::Approved).ask("1").plan().aside.is_empty());
    let unverified = official().portfolio(|view| {
        if let Fact::Known(business) = &mut view.facts {
            business.verification = Some(VerificationStatus::NotVerified);
        }
    });
    let no_pin = official().number(|n| n.is_pin_enabled = Field::Is(false));
    for (world, missing) in [(unverified, "verified business"), (no_pin, "two-step")] {
        let world = world.ask("1");
        assert_eq!(world.says(), "Rest");
        let message = world.block(ConditionType::OfficialAccount).message;
        assert!(message.contains(missing), "{message}");
    }
}

/// Meta denies a number that is younger, and then it is locked out for 30 days more.
#[test]
fn an_official_account_is_not_requested_while_the_number_is_known_to_be_too_young() {
    let young = official_after(29 * DAY).ask("1");
    assert_eq!(
        (young.says().as_str(), young.official_block()),
        ("Rest", Reason::OfficialAccountNotRequested)
    );
    let message = young.block(ConditionType::OfficialAccount).message;
    assert!(message.contains("30 days on the platform, which are over at 2026-"), "{message}");
    assert_eq!(official_after(30 * DAY).ask("1").says(), "RequestOfficial");
    // Of a number that was found nobody knows since when it is there.
    let found = official_after(DAY).remember(|memory| memory.marks.origin = Origin::Adopted(world().now));
    assert_eq!(found.ask("1").says(), "RequestOfficial");
}
