//! Look: which facts a pass needs, how fresh and how urgent, before anything is spent.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::{
    rule::{
        adding,
        clock::Clock,
        consent, drift, picture, reach,
        shown::{self, Shown},
        stood, upkeep,
        username::claimed_in,
    },
    value::{
        condition::Truth,
        condition_type::ConditionType,
        desired::{Connection, DeletionPolicy, Desired, Management},
        display_name::is_same,
        id::{AccountId, NumberId, UsernameStatus},
        limits::Limits,
        memory::{ConsentKind, Entry, EntryOutcome, Memory},
        observed::{Claim, PortfolioState, ProcessFacts, Username},
        picture::PictureFacts,
        portfolio::PortfolioView,
        reason::Reason,
        status::Before,
        step::StepKind,
        time::{earlier, later},
    },
};

/// What to find out.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Nothing of Meta and no Secret is read: suspended, claimed by another, portfolio not usable.
    pub meta: bool,
    /// Accounts whose facts and numbers are needed.
    pub accounts: Vec<AccountLook>,
    /// How long the lists of other accounts are waited for. None: for as long as it takes. A code that a person waits for
    /// takes the number from nobody, so a slow account must not hold it up; what does is not done without those lists.
    pub others_within: Option<Duration>,
    /// Id of the number, once it is known: then it is looked for by that, in whatever digits Meta shows it.
    pub number: Option<NumberId>,
    /// The account whose subscribed apps are needed.
    pub subscription: Option<AccountId>,
    /// The profile is needed, at most this old.
    pub profile: Option<(NumberId, Duration)>,
    /// The source of the picture is read.
    pub picture: bool,
    /// Whether the number has a picture at Meta is asked.
    pub picture_shown: Option<NumberId>,
    /// The state of the username is needed.
    pub username: Option<UsernameLook>,
    /// What becomes of a request for an official business account is needed, at most this old where no list shows it.
    pub official: Option<(NumberId, Duration)>,
    pub code_secret: bool,
    pub pin_secret: bool,
    pub verify_token: bool,
    pub urgency: Urgency,
}

/// A username to be read. A list shows no more than its name, and perhaps not even that before people can see it.
#[derive(Clone, Debug, PartialEq)]
pub struct UsernameLook {
    pub number: NumberId,
    pub max_age: Duration,
    /// The same, where the list shows another one than was last read.
    pub if_changed: Duration,
    /// What was last read. Nothing more is read while a list shows the name, and people can see it.
    pub last: Username,
}

impl Look {
    /// Whether what was seen by a look for `other` is all that this one asks for.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        // Without the fields that say how soon, and for how long, something is asked for. How old a list is shows in the list,
        // how old facts are does not.
        let Self {
            meta,
            accounts,
            others_within: _,
            number: _,
            subscription,
            profile,
            picture,
            picture_shown,
            username,
            official,
            code_secret,
            pin_secret,
            verify_token,
            urgency: _,
        } = self;
        let has_account = |wanted: &AccountLook| {
            let theirs = other.accounts.iter().find(|theirs| theirs.account == wanted.account);
            // None is before any time.
            theirs.is_some_and(|theirs| wanted.facts <= theirs.facts)
        };
        let node = |wanted: &Option<(NumberId, Duration)>| wanted.as_ref().map(|(number, _)| number.clone());
        *meta == other.meta
            && accounts.iter().all(has_account)
            && (subscription.is_none() || *subscription == other.subscription)
            && (profile.is_none() || node(profile) == node(&other.profile))
            && (!picture || other.picture)
            && (picture_shown.is_none() || *picture_shown == other.picture_shown)
            && (username.is_none() || *username == other.username)
            && (official.is_none() || node(official) == node(&other.official))
            && (!code_secret || other.code_secret)
            && (!pin_secret || other.pin_secret)
            && (!verify_token || other.verify_token)
    }

    /// An edit is more urgent than a step in progress. `observed` is the generation that was last observed.
    ///
    /// ```
    /// use whatsapp_operator::api::{lower, v1alpha1::WhatsAppChannel};
    /// use whatsapp_operator::engine::look::{Follows, Urgency, look, target};
    /// use whatsapp_operator::engine::observed::{Claim, PortfolioState, ProcessFacts};
    /// use whatsapp_operator::engine::{limits::Limits, memory::Memory, status::Before};
    /// # let manifest = serde_json::json!({
    /// #     "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
    /// #     "metadata": {"name": "support-br", "namespace": "shop", "uid": "u1", "generation": 1},
    /// #     "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme Suporte"},
    /// # });
    /// let channel: WhatsAppChannel = serde_json::from_value(manifest)?;
    /// let (desired, memory) = (lower::channel(&channel).expect("a valid spec"), Memory::default());
    /// let before = Before::default();
    /// let (claim, portfolio, now) = (Claim::Undecided, PortfolioState::NotYet, "2026-03-01T12:00:00Z".parse()?);
    /// let process = ProcessFacts::new(now);
    /// let follows = Follows { before: &before, after_write: None, may_add: true, process: &process, picture: None };
    /// let asked = look(&desired, &memory, &claim, &portfolio, follows, &Limits::default(), now);
    /// // The portfolio was not read yet, so no account is known and nothing is read at Meta.
    /// assert!(!asked.meta && target(&desired, &memory, &portfolio).is_none());
    /// assert_eq!(asked.urgency, Urgency::Transitional);
    /// // Generation 1 was not observed yet, so this is an edit.
    /// assert_eq!(asked.after_edit(&desired, None).urgency, Urgency::Edit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn after_edit(self, desired: &Desired, observed: Option<i64>) -> Self {
        let is_edited = observed != Some(desired.generation);
        let urgency = if is_edited { self.urgency.min(Urgency::Edit) } else { self.urgency };
        Self { urgency, ..self }
    }
}

/// One account to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountLook {
    pub account: AccountId,
    /// The account's own facts too (not only its numbers); what was begun before this does not serve.
    pub facts: Option<Timestamp>,
    /// A list begun before this does not serve.
    pub not_before: Timestamp,
}

/// What a look follows, beside memory.
#[derive(Clone, Copy, Debug)]
pub struct Follows<'a> {
    /// What status shows.
    pub before: &'a Before,
    /// When this channel last wrote something that a list shows, in this process.
    pub after_write: Option<Timestamp>,
    /// Whether the account's budget has room for an add. If not, the lists that an add needs are not read.
    pub may_add: bool,
    /// What this process knows of itself, and what its looks showed until now.
    pub process: &'a ProcessFacts,
    /// What they showed of the picture, and since when this process is there. None: its source is not read.
    pub picture: Option<(&'a PictureFacts, Timestamp)>,
}

/// Order in which a budget is spent; the first is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// A person is waiting: a code is live, a consent was given.
    Person,
    /// The user edited the object.
    Edit,
    /// A step is in progress, or the number is not registered yet.
    Transitional,
    /// Neither; looking for drift.
    Drift,
}

/// Says what a pass needs to know, before anything is spent.
///
/// Only what the rules need is asked for: a suspended channel, or one that another manages, reads nothing.
pub fn look(
    desired: &Desired,
    memory: &Memory,
    claim: &Claim,
    portfolio: &PortfolioState,
    follows: Follows<'_>,
    limits: &Limits,
    now: Timestamp,
) -> Look {
    if let Some(since) = desired.deletion.since {
        return look_away(desired, memory, (claim, portfolio), follows, since, limits, now);
    }
    let urgency = urgency(desired, memory, limits, now);
    let observes_only = desired.management == Management::ObserveOnly;
    let may_look = !desired.suspend && (observes_only || matches!(claim, Claim::Ours { .. }));
    let Some(view) = portfolio.usable().filter(|_| may_look) else { return nothing(urgency) };
    let Ok(target) = reach::choose(desired, memory, view) else { return nothing(urgency) };
    let open = !observes_only
        && desired.connection == Connection::CloudApi
        && memory.number.is_some()
        && may_be_registered(memory, follows, limits, now);
    Look {
        meta: true,
        accounts: accounts(desired, memory, view, &target, follows, limits, now),
        others_within: hurries(desired, memory, urgency).then_some(limits.others_within),
        number: memory.number.clone(),
        subscription: (desired.needs_apps() || may_be_synced(desired, follows.before))
            .then(|| target.clone()),
        profile: profile(desired, memory, limits, now),
        picture: is_picture_due(desired, memory, follows, limits, now),
        picture_shown: is_picture_asked_for(desired, memory, follows, limits, now),
        username: username(desired, memory, follows, limits, now),
        official: official(desired, memory, follows, limits, now),
        code_secret: open,
        pin_secret: open
            || may_be_renamed(desired, memory, follows.before)
            || is_pin_followed(desired, memory),
        verify_token: !observes_only && desired.webhook.is_some(),
        urgency,
    }
}

/// The number as it is since the deletion, and who else is subscribed where it may be deregistered.
fn look_away(
    desired: &Desired,
    memory: &Memory,
    (claim, portfolio): (&Claim, &PortfolioState),
    follows: Follows<'_>,
    since: Timestamp,
    limits: &Limits,
    now: Timestamp,
) -> Look {
    let nothing = nothing(Urgency::Edit);
    let may_look = desired.is_cleaning_up() && matches!(claim, Claim::Ours { .. }) && memory.number.is_some();
    let Some(view) = portfolio.usable().filter(|_| may_look) else { return nothing };
    let Ok(account) = reach::choose(desired, memory, view) else { return nothing };
    let not_before = not_before_away(memory, follows, since, limits, now);
    let is_to_end = desired.deletion.policy == DeletionPolicy::Deregister;
    let mut accounts = vec![AccountLook { account: account.clone(), facts: Some(not_before), not_before }];
    // Whoever else has the number would lose it, and shows in a list of another account alone.
    if is_to_end && !desired.deletion.may_deregister_shared && memory.may_have_registered() {
        // However many there are: what was read before the deletion proves nothing.
        let not_before = since.max(earlier(now, limits.fresh_list)).min(now);
        accounts.extend(others(view, &account, not_before));
    }
    Look {
        meta: true,
        subscription: is_to_end.then_some(account),
        accounts,
        number: memory.number.clone(),
        ..nothing
    }
}

/// Of half a minute ago, and not from before the deletion, a write, or the end of the time that an effect had to show.
fn not_before_away(
    memory: &Memory,
    follows: Follows<'_>,
    since: Timestamp,
    limits: &Limits,
    now: Timestamp,
) -> Timestamp {
    let (ledger, paces) = (&memory.ledger, &memory.ledger.repeatable);
    let clock = Clock { process: follows.process, limits, now };
    let entries =
        [StepKind::Register, StepKind::Deregister].map(|kind| clock.shown(kind, ledger.last(kind)?));
    let paces = [StepKind::RouteWebhook, StepKind::UnrouteWebhook].map(|kind| paces.get(&kind)?.settle_until);
    let missing = memory.marks.missing_since.map(|at| later(at, limits.fresh_after_write));
    let flight = memory.in_flight.as_ref().map(|intent| clock.settled(intent));
    let due = entries.into_iter().chain(paces).chain([missing, flight]).flatten().filter(|at| *at <= now);
    let wrote = follows.after_write.max(memory.last_listed_write());
    let recent = earlier(now, limits.fresh_after_write.min(limits.fresh_list));
    [Some(recent), Some(since), wrote, due.max()].into_iter().flatten().max().unwrap_or(now).min(now)
}

fn nothing(urgency: Urgency) -> Look {
    Look {
        meta: false,
        others_within: None,
        accounts: Vec::new(),
        number: None,
        subscription: None,
        profile: None,
        picture: false,
        picture_shown: None,
        username: None,
        official: None,
        code_secret: false,
        pin_secret: false,
        verify_token: false,
        urgency,
    }
}

/// Whether the pass may come to a registration, and needs what that needs.
fn may_be_registered(memory: &Memory, follows: Follows<'_>, limits: &Limits, now: Timestamp) -> bool {
    memory.is_unfinished()
        || memory.marks.is_moving
        || stood::is_falling_back(&follows.process.stood, limits, now)
}

/// Whether the desired name of a registered number may not be live, so that a registration may follow, which needs the PIN.
fn may_be_renamed(desired: &Desired, memory: &Memory, before: &Before) -> bool {
    let live = before.facts.verified_name.as_ref();
    let is_other = live.is_some_and(|live| !is_same(live, &desired.display_name));
    let was_live = upkeep::is_in_sync(desired, memory, drift::NAME);
    (is_other || !was_live)
        && memory.number.is_some()
        && !memory.is_unfinished()
        && desired.management == Management::Full
        && desired.connection == Connection::CloudApi
}

/// Whether a registered number may be deregistered for its storage region and registered again: once for each region, or when
/// a person asks.
fn may_be_moved(desired: &Desired, memory: &Memory) -> bool {
    let Some(region) = desired.registration.storage_region.as_ref() else { return false };
    let was_tried = memory.marks.moved.as_ref().is_some_and(|(tried, _)| tried == region);
    let is_asked = consent::asked(&desired.consents, ConsentKind::Retry, memory).is_some();
    let goes_by_itself = memory.marks.storage.is_some() && !was_tried;
    desired.registration.may_move
        && memory.marks.storage.as_ref() != Some(region)
        && (goes_by_itself || is_asked)
        && desired.management == Management::Full
}

/// Whether the app may still be asked for what it holds, which goes to the apps that are subscribed then.
fn may_be_synced(desired: &Desired, before: &Before) -> bool {
    let is_over =
        |reason| matches!(reason, Reason::SyncsAsked | Reason::SyncUnanswered | Reason::SyncTooLate);
    !desired.syncs.is_empty()
        && desired.connection == Connection::Coexistence
        && desired.management == Management::Full
        && !before.conditions.get(ConditionType::AppSynced).is_some_and(|synced| is_over(synced.reason))
}

/// Whether a change of the PIN's Secret is given to Meta: the number is registered, and its PIN is known to be the Secret's,
/// or the spec names the Secret.
fn is_pin_followed(desired: &Desired, memory: &Memory) -> bool {
    memory.number.is_some()
        && !memory.is_unfinished()
        && (memory.marks.pin.is_some() || desired.registration.is_pin_named)
        && desired.management == Management::Full
        && desired.connection == Connection::CloudApi
}

/// The account that a pass would act in, if one can be told.
pub fn target(desired: &Desired, memory: &Memory, portfolio: &PortfolioState) -> Option<AccountId> {
    portfolio.usable().and_then(|view| reach::choose(desired, memory, view).ok())
}

/// The target, and every account in reach while the number is not known to be in the target, is not registered, or may be
/// registered once more for its name: it may be live in another.
fn accounts(
    desired: &Desired,
    memory: &Memory,
    view: &PortfolioView,
    target: &AccountId,
    follows: Follows<'_>,
    limits: &Limits,
    now: Timestamp,
) -> Vec<AccountLook> {
    let is_sought = memory.number.is_none() || memory.marks.missing_since.is_some();
    let not_before = not_before(desired, memory, is_sought, follows, limits, now);
    let facts = facts_not_before(desired, memory, follows.before, limits, now);
    let mut all = vec![AccountLook { account: target.clone(), facts: Some(facts), not_before }];
    let may_go_live = memory.marks.approved.is_some();
    if is_sought
        || may_go_live
        || may_be_moved(desired, memory)
        || may_be_registered(memory, follows, limits, now)
    {
        let not_before = if is_sought { not_before } else { earlier(now, limits.fresh_list) };
        // They may be older where there are many.
        let slack = reach::slack(view, limits).map(|slack| earlier(now, slack));
        all.extend(others(view, target, slack.map_or(not_before, |slack| not_before.min(slack))));
    }
    all
}

/// Every other account in reach.
fn others<'a>(
    view: &'a PortfolioView,
    target: &'a AccountId,
    not_before: Timestamp,
) -> impl Iterator<Item = AccountLook> + 'a {
    let others = reach::all(view).unwrap_or_default().iter().filter(|account| account.id != *target);
    others.map(move |other| AccountLook { account: other.id.clone(), facts: None, not_before })
}

fn not_before(
    desired: &Desired,
    memory: &Memory,
    is_sought: bool,
    follows: Follows<'_>,
    limits: &Limits,
    now: Timestamp,
) -> Timestamp {
    if asks_to_look(desired, memory) {
        return now;
    }
    let may_add = is_sought
        && desired.management == Management::Full
        && follows.may_add
        && desired.connection == Connection::CloudApi
        && !is_add_paused(desired, memory, limits, now);
    let (shown, clock) = (Shown::of_status(follows.before), Clock { process: follows.process, limits, now });
    let age = match (may_add, shown::is_awaited(memory, &shown, clock)) {
        (_, true) => limits.fresh_after_write.min(limits.fresh_list),
        (true, false) => limits.fresh_for_add.min(limits.fresh_list),
        (false, false) => limits.fresh_list,
    };
    let counts_from = stood::counts_from(&follows.process.stood, memory, limits);
    let age = if counts_from.is_some_and(|at| at > now) { age.min(limits.shown_watched) } else { age };
    let wrote = follows.after_write.max(memory.last_listed_write());
    let adopted = memory.marks.adopted_since();
    let adopted = adopted.map(|at| later(at, limits.settle_register));
    // What counts only after a second look.
    let missing = memory.marks.missing_since.map(|at| later(at, limits.fresh_after_write));
    let connected = memory.marks.connected_since.map(|at| later(at, limits.settle_register));
    let due = shown::settle_times(memory, &shown, clock);
    let due = due.chain(adopted).chain(missing).chain(connected).chain(counts_from);
    let settled = due.filter(|until| *until <= now).max();
    [Some(earlier(now, age)), wrote, settled].into_iter().flatten().max().unwrap_or(now).min(now)
}

/// An account's own fields change by Meta's reviews and by people, never by a write about a number. A problem of a usable
/// account shows first in the health of its numbers, which every list includes.
fn facts_not_before(
    desired: &Desired,
    memory: &Memory,
    before: &Before,
    limits: &Limits,
    now: Timestamp,
) -> Timestamp {
    let is_usable = before.conditions.is(ConditionType::AccountUsable, Truth::True);
    match is_usable {
        _ if asks_to_look(desired, memory) => now,
        true => earlier(now, limits.fresh_portfolio),
        false => earlier(now, limits.fresh_list),
    }
}

/// An add that waits for hours, or for a person, does not need lists of the last minute.
fn is_add_paused(desired: &Desired, memory: &Memory, limits: &Limits, now: Timestamp) -> bool {
    let is_asked = consent::asked(&desired.consents, ConsentKind::Retry, memory).is_some();
    // What is concluded about a number that vanished rests on recent lists too.
    memory.marks.missing_since.is_none() && !is_asked && adding::waits(desired, memory, limits, now)
}

fn profile(
    desired: &Desired,
    memory: &Memory,
    limits: &Limits,
    now: Timestamp,
) -> Option<(NumberId, Duration)> {
    let number = memory.number.clone().filter(|_| desired.profile.is_managed())?;
    let pace = memory.ledger.repeatable.get(&StepKind::WriteProfile).and_then(|pace| pace.last);
    let recently =
        pace.filter(|at| now < later(*at, limits.fresh_after_write * limits.fresh_after_write_times));
    let age = match recently {
        Some(at) => {
            limits.fresh_after_write.min(Duration::try_from(now.duration_since(at)).unwrap_or_default())
        }
        None if asks_to_look(desired, memory) => Duration::ZERO,
        None => limits.fresh_profile,
    };
    Some((number, age))
}

/// A person who asks for a look, or for one more try, has it read at once.
fn is_picture_due(
    desired: &Desired,
    memory: &Memory,
    follows: Follows<'_>,
    limits: &Limits,
    now: Timestamp,
) -> bool {
    let due = follows
        .picture
        .and_then(|(facts, started)| picture::read_due(desired, memory, facts, started, limits));
    let is_asked = || {
        asks_to_look(desired, memory)
            || consent::asked(&desired.consents, ConsentKind::Retry, memory).is_some()
    };
    // What was told of it before the start is judged anew, and neither kept nor dropped unseen.
    let is_unread = || follows.picture.is_some_and(|(facts, _)| picture::read(desired, facts).is_none());
    let is_open = || {
        let before = follows.before.conditions.get(ConditionType::ProfileSynced);
        before.is_some_and(|synced| synced.status != Truth::True) && is_unread()
    };
    due.is_some_and(|due| due <= now || is_asked() || is_open())
}

fn is_picture_asked_for(
    desired: &Desired,
    memory: &Memory,
    follows: Follows<'_>,
    limits: &Limits,
    now: Timestamp,
) -> Option<NumberId> {
    let (facts, started) = follows.picture?;
    let due = picture::shown_due(desired, memory, facts, started, limits).filter(|due| *due <= now);
    due.and(memory.number.clone())
}

fn username(
    desired: &Desired,
    memory: &Memory,
    follows: Follows<'_>,
    limits: &Limits,
    now: Timestamp,
) -> Option<UsernameLook> {
    let wanted = desired.username.as_ref().filter(|_| !memory.is_unfinished())?;
    let number = memory.number.clone()?;
    let is_tried = memory
        .ledger
        .usernames
        .iter()
        .any(|entry| entry.subject.as_deref().is_some_and(|subject| claimed_in(subject) == wanted.name));
    let is_settled = is_tried || upkeep::is_in_sync(desired, memory, drift::USERNAME);
    let usual = if is_settled { limits.fresh_aside } else { limits.fresh_list };
    let facts = &follows.before.facts;
    let last = Username {
        name: facts.username.clone(),
        status: facts.username_status.as_deref().map(UsernameStatus::from),
    };
    let clock = Clock { process: follows.process, limits, now };
    let max_age = aside_age(desired, memory, StepKind::ClaimUsername, usual, clock);
    Some(UsernameLook { number, max_age, if_changed: max_age.min(limits.fresh_list), last })
}

fn official(
    desired: &Desired,
    memory: &Memory,
    follows: Follows<'_>,
    limits: &Limits,
    now: Timestamp,
) -> Option<(NumberId, Duration)> {
    desired.official.as_ref().filter(|_| !memory.is_unfinished())?;
    let clock = Clock { process: follows.process, limits, now };
    let age = aside_age(desired, memory, StepKind::RequestOfficial, limits.fresh_aside, clock);
    Some((memory.number.clone()?, age))
}

/// How old what only a read of its own shows may be: newer than the last write about it, and than the time by which that was
/// to show.
fn aside_age(
    desired: &Desired,
    memory: &Memory,
    kind: StepKind,
    usual: Duration,
    clock: Clock<'_>,
) -> Duration {
    let Clock { limits, now, .. } = clock;
    let is_asked = |kind| consent::asked(&desired.consents, kind, memory).is_some();
    if [ConsentKind::Retry, ConsentKind::Official, ConsentKind::Reconcile].into_iter().any(is_asked) {
        return Duration::ZERO;
    }
    let flight = memory.in_flight.as_ref().filter(|intent| intent.step == kind);
    let flight = flight.map(|intent| (intent.started_at, Some(clock.settled(intent))));
    let last = memory.ledger.last(kind).map(|last| (last.at, clock.shown(kind, last)));
    let Some((at, until)) = flight.or(last) else { return usual };
    // A read in the same second may have been begun before it.
    let since = |at: Timestamp| {
        let passed = Duration::try_from(now.duration_since(at)).unwrap_or_default();
        passed.saturating_sub(Duration::from_secs(1))
    };
    match until {
        Some(until) if until > now => limits.fresh_after_write.min(since(at)),
        until => usual.min(since(until.unwrap_or(at))),
    }
}

/// Whether a person waits for a code, or for what becomes of one, and for nothing else.
fn hurries(desired: &Desired, memory: &Memory, urgency: Urgency) -> bool {
    let retry = desired.consents.retry.as_deref();
    let is_asked_more = asks_to_look(desired, memory)
        || retry.is_some_and(|v| memory.answered(ConsentKind::Retry, v).is_none());
    urgency == Urgency::Person && memory.number.is_some() && !is_asked_more
}

fn asks_to_look(desired: &Desired, memory: &Memory) -> bool {
    consent::asked(&desired.consents, ConsentKind::Reconcile, memory).is_some()
}

fn urgency(desired: &Desired, memory: &Memory, limits: &Limits, now: Timestamp) -> Urgency {
    let is_used = |kind| desired.management == Management::Full || kind == ConsentKind::Reconcile;
    let kinds = [ConsentKind::SendCode, ConsentKind::Retry, ConsentKind::Official, ConsentKind::Reconcile];
    let mut used = kinds.into_iter().filter(|kind| is_used(*kind));
    let is_asked = used.any(|kind| consent::asked(&desired.consents, kind, memory).is_some());
    let code = memory.ledger.last(StepKind::RequestCode);
    let is_live = memory.is_unfinished()
        && code.is_some_and(|code| now < later(code.at, limits.code_life) && !was_proven(memory, code));
    if is_asked || is_live {
        Urgency::Person
    } else if memory.is_unfinished() || memory.in_flight.is_some() {
        Urgency::Transitional
    } else {
        Urgency::Drift
    }
}

/// Whether the code was accepted, so that no person waits any more.
fn was_proven(memory: &Memory, code: &Entry) -> bool {
    let mut tries = memory.ledger.since(StepKind::VerifyCode, Some(code.at));
    tries.any(|entry| entry.outcome == EntryOutcome::Accepted)
}

#[cfg(test)]
mod tests;
