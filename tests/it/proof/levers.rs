//! What a person may set beside the wish itself, in every combination: suspend, managementPolicy, driftPolicy, deletionPolicy
//! and a look that is asked for, while somebody changes fields at Meta, and picture or PIN are changed at their source. What
//! Ready asks for and the interval are combined with them, too.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use whatsapp_operator::{
    engine::{
        condition::Truth,
        condition_type::ConditionType,
        desired::{
            AppData, Connection, DeletionPolicy, Desired, DriftPolicy, Management, OfficialApplication,
            PictureSource, ReadyWhen, SecretKey, Username,
        },
        farewell::Parting,
        memory::ConsentKind,
        reason::Reason,
    },
    run::picture::{PictureBytes, png},
    sandbox::{Fault, FaultKind, Match, Number, Profile, Rival, What, World as Meta},
};

use super::world::*;

const ASKED: &str = "look-now";

/// What is changed at its source meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Changed {
    Nothing,
    Picture,
    Pin,
}

/// How a channel is managed, and what follows from that.
struct Row {
    suspend: bool,
    management: Management,
    drift: DriftPolicy,
    /// Whether Meta is read at all; a look that is asked for is answered where it is.
    reads: bool,
    /// Written of what somebody else changed.
    repairs: &'static [&'static str],
    /// Whether what changed at its source is written.
    follows: bool,
    ready: (Truth, Reason),
    waits: Option<&'static str>,
    /// Fields that are told as drift.
    told: &'static [&'static str],
    /// What a deletion takes back, by policy, and how it ends.
    taken: [(&'static [&'static str], Parting); 3],
}

const POLICIES: [DeletionPolicy; 3] =
    [DeletionPolicy::Retain, DeletionPolicy::Unroute, DeletionPolicy::Deregister];
const NOTHING: &[&str] = &[];
const THEIRS: &str = "https://elsewhere.example/wa";

fn rows() -> Vec<Row> {
    use Parting::{CleanedUp, LeftAtMeta, Retained};
    // Nothing is written, and what it wrote before is told.
    let told = [(NOTHING, Retained), (NOTHING, LeftAtMeta), (NOTHING, LeftAtMeta)];
    let suspended = |management, drift| Row {
        suspend: true,
        management,
        drift,
        reads: false,
        repairs: NOTHING,
        follows: false,
        ready: (Truth::True, Reason::Usable),
        waits: Some("Resume"),
        told: NOTHING,
        taken: told,
    };
    let observed = |drift| Row {
        suspend: false,
        management: Management::ObserveOnly,
        drift,
        reads: true,
        repairs: NOTHING,
        follows: false,
        ready: (Truth::False, Reason::WebhookDiffers),
        waits: Some("AlignSettings"),
        told: &["webhook.callbackUrl", "profile.about"],
        // The address was seen to be somebody else's.
        taken: [(NOTHING, Retained), (NOTHING, CleanedUp), (NOTHING, LeftAtMeta)],
    };
    let managed = |drift| Row {
        suspend: false,
        management: Management::Full,
        drift,
        reads: true,
        repairs: &["profile", "webhook"],
        follows: true,
        ready: (Truth::True, Reason::Usable),
        waits: None,
        told: NOTHING,
        taken: [(NOTHING, Retained), (&["unrouted"], CleanedUp), (&["unrouted", "deregistered"], CleanedUp)],
    };
    vec![
        managed(DriftPolicy::Enforce),
        Row {
            repairs: NOTHING,
            ready: (Truth::False, Reason::WebhookDiffers),
            waits: Some("AlignSettings"),
            told: &["webhook.callbackUrl", "profile.about"],
            // Somebody else's address stays, and with it what it serves.
            taken: [(NOTHING, Retained), (NOTHING, Retained), (NOTHING, LeftAtMeta)],
            ..managed(DriftPolicy::Report)
        },
        observed(DriftPolicy::Enforce),
        observed(DriftPolicy::Report),
        suspended(Management::Full, DriftPolicy::Enforce),
        suspended(Management::Full, DriftPolicy::Report),
        suspended(Management::ObserveOnly, DriftPolicy::Enforce),
        suspended(Management::ObserveOnly, DriftPolicy::Report),
    ]
}

fn source() -> PictureSource {
    PictureSource::ConfigMap(SecretKey { name: "acme-logo".into(), key: "logo.png".into() })
}

fn picture(nth: u8) -> PictureBytes {
    PictureBytes::Found([png(640, 640), vec![nth; 1_000]].concat().into())
}

/// Registered by this object, with everything managed, and at rest.
async fn at_rest(policy: DeletionPolicy, change: impl FnOnce(&mut Desired)) -> World {
    let mut world = World::new().await;
    world.cluster.put_picture(&source(), picture(1));
    let mut wanted = channel();
    wanted.picture = Some(source());
    wanted.deletion.policy = policy;
    change(&mut wanted);
    world.cluster.apply(wanted);
    assert!(world.run_until_ready(HOUR).await, "{}", world.story());
    world.run_for(MINUTE * 30).await;
    world
}

/// What we wrote at Meta since then, each once in order of the alphabet where it was written once.
fn written(world: &World, since: usize) -> Vec<&'static str> {
    let word = |what: &What| match what {
        What::ProfileWritten { .. } => Some("profile"),
        What::Overridden { url: Some(_), .. } => Some("webhook"),
        What::Overridden { url: None, .. } => Some("unrouted"),
        What::PictureSet { .. } => Some("picture"),
        What::PinSet { .. } => Some("pin"),
        What::Deregistered { .. } => Some("deregistered"),
        What::Subscribed { .. } => Some("subscribed"),
        What::NameSubmitted { .. } => Some("name"),
        What::RegisterAttempt { .. } => Some("registered"),
        What::StorageSet { .. } => Some("stored"),
        What::UsernameClaimed { .. } => Some("username"),
        What::OfficialRequested { .. } => Some("official"),
        What::SyncStarted { .. } => Some("synced"),
        _ => None,
    };
    world.effects()[since..].iter().filter_map(|effect| word(&effect.what)).collect()
}

/// Sets the switches, has the world change, looks for two hours, and deletes the channel.
async fn goes(row: &Row, changed: Changed, is_asked: bool, which: usize) -> Result<(), String> {
    let mut world = at_rest(POLICIES[which], |_| {}).await;
    world.cluster.edit(CHANNEL, |desired| {
        (desired.suspend, desired.management, desired.drift) = (row.suspend, row.management, row.drift);
    });
    world.wake(CHANNEL, SECOND);
    world.run_for(MINUTE).await;
    let (effects, calls) = (world.effects().len(), world.sandbox.calls().len());
    let profile = Profile { about: Some("Closed for ever".into()), ..Profile::default() };
    let (profile, callback) = (Some(profile), Some(THEIRS.into()));
    let rival = Rival { profile, callback, after_secs: 1, times: Some(1), ..Rival::default() };
    world.sandbox.set_rival(DIGITS, Some(rival));
    match changed {
        Changed::Nothing => {}
        Changed::Picture => world.cluster.put_picture(&source(), picture(2)),
        Changed::Pin => {
            let key = world.cluster.desired(CHANNEL).registration.pin_secret.clone();
            world.cluster.put_secret(&key, "775533", false);
        }
    }
    world.run_for(SECOND * 5).await;
    if is_asked {
        world.cluster.annotate(CHANNEL, |consents| consents.reconcile = Some(ASKED.into()));
        world.wake(CHANNEL, SECOND);
    }
    world.run_for(HOUR * 2).await;

    let broken = |world: &World, what: String| Err(format!("{what}\n{}", world.story()));
    let made = world.sandbox.calls().split_off(calls);
    if made.is_empty() == row.reads {
        return broken(&world, format!("{} calls went out", made.len()));
    }
    let source: &[&str] = match changed {
        // A picture is a write of the profile.
        Changed::Picture if row.follows => &["picture", "profile"],
        Changed::Pin if row.follows => &["pin"],
        _ => NOTHING,
    };
    let mut wanted: Vec<&str> = row.repairs.iter().chain(source).copied().collect();
    let mut did = written(&world, effects);
    wanted.sort_unstable();
    did.sort_unstable();
    if did != wanted || (wanted.is_empty() && made.iter().any(|call| call.method != "GET")) {
        return broken(&world, format!("written {did:?}, not {wanted:?}"));
    }
    let status = world.status();
    let ready = status.condition(ConditionType::Ready).map(|ready| (ready.status, ready.reason));
    let waits = status.before.waiting_for.first().map(|wait| wait.action.clone());
    if (ready, waits.as_deref()) != (Some(row.ready), row.waits) {
        return broken(&world, format!("Ready is {ready:?}, waits for {waits:?}"));
    }
    let told: Vec<&str> = status.before.drift.iter().map(|drift| drift.field.as_str()).collect();
    if told != row.told {
        return broken(&world, format!("told {told:?}"));
    }
    let is_answered = status.memory.answered(ConsentKind::Reconcile, ASKED).is_some();
    if is_answered != (is_asked && row.reads) {
        return broken(&world, format!("the look was answered: {is_answered}"));
    }
    let effects = world.effects().len();
    world.delete(CHANNEL);
    let end = world.run_until_gone(CHANNEL, HOUR).await;
    let taken = (written(&world, effects), end.map(|end| end.parting));
    if taken != (row.taken[which].0.to_vec(), Some(row.taken[which].1)) {
        return broken(&world, format!("the deletion: {taken:?}"));
    }
    Ok(())
}

#[rstest]
#[case::enforced(0)]
#[case::reported(1)]
#[case::observed(2)]
#[case::observed_with_report(3)]
#[case::suspended(4)]
#[case::suspended_with_report(5)]
#[case::suspended_observer(6)]
#[case::suspended_observer_with_report(7)]
#[tokio::test]
async fn every_combination_of_switches_calls_writes_and_tells_what_the_table_says(#[case] nth: usize) {
    let (row, mut tried, mut broken) = (&rows()[nth], 0, Vec::new());
    for changed in [Changed::Nothing, Changed::Picture, Changed::Pin] {
        for is_asked in [false, true] {
            for (which, policy) in POLICIES.iter().enumerate() {
                tried += 1;
                let went = goes(row, changed, is_asked, which).await;
                let combination = format!("{policy:?}, a look asked for: {is_asked}, changed: {changed:?}");
                broken.extend(went.err().map(|what| format!("{combination}: {what}")));
            }
        }
    }
    let first = broken.first().cloned().unwrap_or_default();
    let names: Vec<&str> = broken.iter().filter_map(|what| what.lines().next()).collect();
    assert!(broken.is_empty() && tried == 18, "{}\n\nthe first:\n{first}", names.join("\n"));
}

/// What an edit of the same commit wishes for beside the switches.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wish {
    Name,
    Username,
    Official,
    Region,
}

impl Wish {
    const ALL: [Self; 4] = [Self::Name, Self::Username, Self::Official, Self::Region];

    fn of(self, desired: &mut Desired) {
        match self {
            Self::Name => desired.display_name = "Acme Vendas".into(),
            Self::Username => {
                desired.username = Some(Username { name: "acme.vendas".into(), may_transfer: false });
            }
            Self::Official => {
                desired.official = Some(OfficialApplication {
                    website: "https://acme.example".into(),
                    country: "BR".into(),
                    language: "pt_BR".into(),
                    parent: None,
                    links: Vec::new(),
                    information: None,
                });
                desired.consents.official = Some("anna-1".into());
            }
            Self::Region => {
                desired.registration.storage_region = Some("DE".into());
                desired.registration.may_move = true;
            }
        }
    }

    /// What is written for it where it is followed, in the order of the alphabet.
    fn written(self) -> &'static [&'static str] {
        match self {
            Self::Name => &["name"],
            Self::Username => &["username"],
            Self::Official => &["official"],
            Self::Region => &["deregistered", "registered", "stored"],
        }
    }

    /// What is told of it: `Ready`, every act that is waited for, and what differs.
    fn told(self, row: &Row, when: ReadyWhen) -> (Ready, Names, Names) {
        let usable = (Truth::True, Reason::Usable);
        match (self, row.suspend, row.management) {
            (_, true, _) => (usable, &["Resume"], NOTHING),
            (Self::Name, false, Management::Full) if when == ReadyWhen::NameApproved => {
                ((Truth::False, Reason::NameInReview), &["ReviewName"], &["displayName"])
            }
            (Self::Name, false, Management::Full) => {
                ((Truth::True, Reason::UsableUnderAnotherName), &["ReviewName"], &["displayName"])
            }
            (Self::Name, false, Management::ObserveOnly) => {
                ((Truth::True, Reason::UsableUnderAnotherName), &["AlignName"], &["displayName"])
            }
            (Self::Username, false, Management::ObserveOnly) => (usable, &["AlignSettings"], &["username"]),
            (Self::Official, false, Management::Full) => (usable, &["ReviewOfficialAccount"], NOTHING),
            (Self::Official, false, Management::ObserveOnly) => (usable, &["AlignSettings"], NOTHING),
            (Self::Username, false, Management::Full) | (Self::Region, false, _) => {
                (usable, NOTHING, NOTHING)
            }
        }
    }
}

type Ready = (Truth, Reason);
type Names = &'static [&'static str];

/// One edit sets the switches and the wish; then two hours go by, and the channel is deleted.
async fn is_wished(row: &Row, wish: Wish, nth: usize) -> Result<(), String> {
    let (which, is_asked) = (nth % POLICIES.len(), nth.is_multiple_of(2));
    let when = [ReadyWhen::Registered, ReadyWhen::NameApproved, ReadyWhen::Operational][which];
    let mut world = at_rest(POLICIES[which], |desired| {
        desired.registration.storage_region = (wish == Wish::Region).then(|| "BR".into());
    })
    .await;
    // Without it no official business account is requested.
    assert!(world.sandbox.set_field(DIGITS, "name_status", "APPROVED".into()));
    world.run_for(MINUTE * 10).await;
    if wish == Wish::Official {
        // Nor of a younger number.
        world.cluster.edit(CHANNEL, |desired| desired.interval = Some(DAY));
        world.run_for(DAY * 31).await;
    }
    let effects = world.effects().len();
    world.cluster.edit(CHANNEL, |desired| {
        (desired.suspend, desired.management, desired.drift) = (row.suspend, row.management, row.drift);
        desired.ready_when = when;
        desired.interval = is_asked.then_some(HOUR * 6);
        desired.consents.reconcile = is_asked.then(|| ASKED.into());
        wish.of(desired);
    });
    world.wake(CHANNEL, SECOND);
    world.run_for(HOUR * 2).await;
    let broken = |world: &World, what: String| Err(format!("{what}\n{}", world.story()));
    let mut did = written(&world, effects);
    did.sort_unstable();
    if did != if row.follows { wish.written() } else { NOTHING } {
        return broken(&world, format!("written {did:?}"));
    }
    let before = world.status().before;
    let ready = world.status().condition(ConditionType::Ready).map(|ready| (ready.status, ready.reason));
    let waits: Vec<&str> = before.waiting_for.iter().map(|wait| wait.action.as_str()).collect();
    let fields: Vec<&str> = before.drift.iter().map(|drift| drift.field.as_str()).collect();
    let (expected, asks, differs) = wish.told(row, when);
    if (ready, &*waits, &*fields) != (Some(expected), asks, differs) {
        return broken(&world, format!("Ready is {ready:?}, waits for {waits:?}, told {fields:?}"));
    }
    let is_answered = world.status().memory.answered(ConsentKind::Reconcile, ASKED).is_some();
    if is_answered != (is_asked && row.reads) {
        return broken(&world, format!("the look was answered: {is_answered}"));
    }
    let effects = world.effects().len();
    world.delete(CHANNEL);
    let end = world.run_until_gone(CHANNEL, HOUR).await;
    let taken = (written(&world, effects), end.map(|end| end.parting));
    // Nobody else has an address here, so what is reported is cleaned up as what is enforced, and what is observed is told as what
    // is suspended.
    let expected = if row.follows { &rows()[0].taken[which] } else { &rows()[4].taken[which] };
    if taken != (expected.0.to_vec(), Some(expected.1)) {
        return broken(&world, format!("the deletion: {taken:?}"));
    }
    Ok(())
}

#[rstest]
#[case::enforced(0)]
#[case::reported(1)]
#[case::observed(2)]
#[case::observed_with_report(3)]
#[case::suspended(4)]
#[case::suspended_with_report(5)]
#[case::suspended_observer(6)]
#[case::suspended_observer_with_report(7)]
#[tokio::test]
async fn what_is_wished_for_is_done_once_or_not_at_all_as_the_switches_say(#[case] nth: usize) {
    let mut broken = Vec::new();
    for (at, wish) in Wish::ALL.into_iter().enumerate() {
        let went = is_wished(&rows()[nth], wish, nth + at).await;
        broken.extend(went.err().map(|what| format!("{wish:?}: {what}")));
    }
    broken.extend(is_synced(&rows()[nth]).await.err().map(|what| format!("syncs: {what}")));
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

/// A number of the WhatsApp Business app that was just connected, under switches that were set before.
async fn is_synced(row: &Row) -> Result<(), String> {
    let number = Number::new("100000000000077", ACCOUNT, DIGITS, "Acme Suporte").coexisting();
    let mut meta =
        Meta::for_demo().with_number(Number { last_onboarded_time: Some(options().start), ..number });
    if let Some(account) = meta.accounts.get_mut(ACCOUNT) {
        account.subscriptions.entry(APP.into()).or_default();
    }
    let mut world = World::with(options(), meta).await;
    world.cluster.apply(Desired {
        connection: Connection::Coexistence,
        syncs: vec![AppData::Contacts, AppData::History],
        suspend: row.suspend,
        management: row.management,
        drift: row.drift,
        ..plain_channel()
    });
    world.wake(CHANNEL, SECOND);
    world.run_for(HOUR * 2).await;
    let (did, calls) = (written(&world, 0), world.sandbox.calls().len());
    let expected: &[&str] = if row.follows { &["synced", "synced"] } else { NOTHING };
    if did != expected || (calls == 0) == row.reads {
        return Err(format!("written {did:?} with {calls} calls\n{}", world.story()));
    }
    Ok(())
}

/// Under these switches: one word of what Ready asks for, and one interval, while Meta spoils what one of the words asks for,
/// and then gives no answer.
async fn is_judged(row: &Row, when: ReadyWhen, interval: Option<Duration>) -> Result<(), String> {
    let mut world = at_rest(DeletionPolicy::Retain, |desired| {
        let bare = plain_channel();
        (desired.webhook, desired.profile, desired.picture) = (bare.webhook, bare.profile, bare.picture);
    })
    .await;
    let set = |world: &World, of: &str, field: &str, value: Value| {
        assert!(world.sandbox.set_field(of, field, value), "{field}");
    };
    set(&world, DIGITS, "name_status", "APPROVED".into());
    set(&world, ACCOUNT, "subscriptions", json!({APP: {}}));
    world.run_for(MINUTE * 10).await;
    world.cluster.edit(CHANNEL, |desired| {
        (desired.suspend, desired.management, desired.drift) = (row.suspend, row.management, row.drift);
        (desired.ready_when, desired.interval) = (when, interval);
    });
    world.wake(CHANNEL, SECOND);
    let broken = |world: &World, what: &str, truth: Truth| {
        let ready = world.status().condition(ConditionType::Ready).map(|ready| ready.status);
        match ready == Some(truth) {
            true => Ok(()),
            false => Err(format!("{when:?}, {interval:?}, {what}: Ready is {ready:?}\n{}", world.story())),
        }
    };
    // Here each pass has a date of its own, which no interval moves; numbers at rest have none, as the whole operator shows.
    let lists = |world: &World| {
        let calls = world.sandbox.calls();
        calls.iter().filter(|call| call.method == "GET" && call.path == "/{waba}/phone_numbers").count()
    };
    let first = lists(&world);
    world.run_for(HOUR).await;
    let read = lists(&world) - first;
    let expected = if row.reads { 9..=13 } else { 0..=0 };
    if !expected.contains(&read) {
        return Err(format!("{when:?}, {interval:?}: {read} lists in an hour\n{}", world.story()));
    }
    let spoilt = [
        (ReadyWhen::NameApproved, DIGITS, "name_status", "DECLINED".into(), "APPROVED".into()),
        (ReadyWhen::Operational, ACCOUNT, "subscriptions", json!({}), json!({APP: {}})),
    ];
    for (asks, of, field, bad, good) in spoilt {
        world.run_for(MINUTE * 10).await;
        broken(&world, "as it should be", Truth::True)?;
        set(&world, of, field, bad);
        world.run_for(MINUTE * 30).await;
        let is_told = row.reads && when == asks;
        broken(&world, field, if is_told { Truth::False } else { Truth::True })?;
        set(&world, of, field, good);
        world.run_for(MINUTE * 30).await;
    }
    world.sandbox.inject(Fault { on: Match::any(), kind: FaultKind::Status { code: 503 } });
    world.run_for(HOUR * 7).await;
    let is_told = |is_due: bool| if row.reads && is_due { Truth::Unknown } else { Truth::True };
    broken(&world, "not reached for seven hours", is_told(interval.is_none()))?;
    if interval.is_some() {
        world.run_for(HOUR * 6).await;
        broken(&world, "not reached for thirteen hours", is_told(true))?;
    }
    Ok(())
}

#[rstest]
#[case::enforced(0)]
#[case::reported(1)]
#[case::observed(2)]
#[case::observed_with_report(3)]
#[case::suspended(4)]
#[case::suspended_with_report(5)]
#[case::suspended_observer(6)]
#[case::suspended_observer_with_report(7)]
#[tokio::test]
async fn what_ready_asks_for_and_the_interval_count_under_every_switch(#[case] nth: usize) {
    let mut broken = Vec::new();
    for when in [ReadyWhen::Registered, ReadyWhen::NameApproved, ReadyWhen::Operational] {
        for interval in [None, Some(HOUR * 6)] {
            broken.extend(is_judged(&rows()[nth], when, interval).await.err());
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

/// What is asked for while suspended has its answer once it is not.
#[tokio::test]
async fn a_look_that_was_asked_for_meanwhile_is_answered_when_the_channel_goes_on() {
    let mut world = at_rest(DeletionPolicy::Retain, |_| {}).await;
    let resume = |world: &mut World, suspend: bool| {
        world.cluster.edit(CHANNEL, |desired| desired.suspend = suspend);
        world.wake(CHANNEL, SECOND);
    };
    resume(&mut world, true);
    world.cluster.annotate(CHANNEL, |consents| consents.reconcile = Some(ASKED.into()));
    world.run_for(DAY).await;
    assert!(world.status().memory.answered(ConsentKind::Reconcile, ASKED).is_none());
    resume(&mut world, false);
    world.run_for(MINUTE).await;
    assert!(world.status().memory.answered(ConsentKind::Reconcile, ASKED).is_some(), "{}", world.story());
    assert!(world.status().is_ready() && world.status().before.waiting_for.is_empty(), "{}", world.story());
}
