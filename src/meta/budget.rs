//! Budgets and breakers: whether a call may be made now, and if not, when.
//!
//! Never sleeps and never queues: a caller that is held back gets the time at which it may call
//! again. All time is the caller's. Allowances are counted in a
//! sliding hour of minutes, since a bucket that starts full would let twice the allowance
//! through in its first hour. What Meta's usage headers say corrects our own count.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    bounded::lock,
    edge::{Edge, Lane, Tally},
    json,
    port::{Spent, ToldUsage},
};
use crate::engine::{
    failure::Refusal,
    id::{AccountId, AppId, BusinessId},
    limits::Limits,
    look::Urgency,
    step::StepKind,
    time::{is_set_back, later},
};

/// Whose limits a call counts against: Meta counts per app. Until the token has told its app, the credential stands for it,
/// by its portfolio and version. An app from a spec would let one tenant exhaust another's, and a portfolio may have
/// credentials of several apps.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Payer {
    App(AppId),
    Credential(BusinessId, String),
}

/// How much a call matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A write, or the read that a write has to make right before it.
    Write,
    Read(Urgency),
}

impl Claim {
    /// Share of an allowance that may be used up before this claim has to wait, in percent.
    fn ceiling(self, for_writes: u32) -> u32 {
        let reads = 100_u32.saturating_sub(for_writes);
        let kept_for_more_urgent = match self {
            Self::Write => return 100,
            Self::Read(Urgency::Person) => 0,
            Self::Read(Urgency::Edit) => 10,
            Self::Read(Urgency::Transitional) => 20,
            Self::Read(Urgency::Drift) => 30,
        };
        reads * (100 - kept_for_more_urgent) / 100
    }

    /// Whether no person waits for it: such reads slow down first.
    fn is_polling(self) -> bool {
        matches!(self, Self::Read(Urgency::Transitional | Urgency::Drift))
    }
}

/// Adds of an hour, in percent of the allowance: an added number wants a code, its verification and a registration,
/// so with four calls a number this is as fast as the allowance permits, and leaves room for whoever asks for a code.
const ADDS: u32 = 25;

/// Calls to no account in particular, per app and hour. Meta allows 200 for every daily active
/// user (Graph API, "Rate limits"), a number that we cannot see: `X-App-Usage` corrects this one.
const APP_PER_HOUR: u32 = 1_500;
/// Until an account's first registered number Meta counts every call of it in one hour (page "WhatsApp Business Management
/// API rate limits"), so that both of our allowances must fit into it together.
const TOGETHER_PER_HOUR: u32 = 200;
/// From here on polling is halved, and from here on only writes go out.
const USAGE_HALVES: u32 = 75;
const USAGE_WRITES_ONLY: u32 = 90;
/// A usage header is believed for this long; then one call is let through and brings the next.
const USAGE_BELIEVED: Duration = Duration::from_secs(10 * 60);
/// First pause after a throttle without a time of Meta's, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5 * 60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Meta released blocked apps after hours or days (reports of 2026), so one is tried no more often than this.
const BLOCKED_PAUSE: Duration = Duration::from_secs(30 * 60);
/// A time of Meta's further away is not believed: a wrong header must not stop an account for good.
pub const LONGEST_BELIEVED: Duration = Duration::from_secs(24 * 60 * 60);
/// A list is read once nobody has written to the account for this long, so that channels which write one after
/// another share it; one that writes on and on is waited for no longer than the second.
const QUIET: Duration = Duration::from_secs(1);
const GATHERED: Duration = Duration::from_secs(30);
/// After a take-over so many calls of each account, and of the app, go out before an answer tells what is used up.
const PROBES: u8 = 4;
/// Who is held back until then asks again soon, while an answer may be on its way, and later when none told anything.
const PROBED: Duration = Duration::from_secs(20);
const AGAIN_SOON: Duration = Duration::from_secs(2);
const AGAIN_LATER: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Below this many entries nothing is thrown away.
const ENTRIES_KEPT: usize = 1_024;

/// One more than an hour has: a call of the last second of a minute is forgotten when it is an hour old, not before.
const MINUTES: usize = 61;

/// Calls of the last hour, by minute.
#[derive(Clone, Debug)]
struct Hour {
    counts: [u16; MINUTES],
    /// Minute of the last count, since the epoch.
    minute: i64,
}

impl Hour {
    fn new() -> Self {
        Self { counts: [0; MINUTES], minute: 0 }
    }

    fn slot(minute: i64) -> usize {
        usize::try_from(minute.rem_euclid(MINUTES as i64)).unwrap_or(0)
    }

    /// Forgets what is older than an hour. When the clock is set back, calls stay as old as they were.
    fn advance(&mut self, now: Timestamp) {
        let minute = now.as_second().div_euclid(60);
        let passed = minute - self.minute;
        if passed >= MINUTES as i64 {
            self.counts = [0; MINUTES];
        } else if passed < -1 {
            self.counts.rotate_left(Self::slot(-passed));
            self.minute = minute;
        } else {
            for m in self.minute + 1..=minute {
                self.counts[Self::slot(m)] = 0;
            }
        }
        self.minute = self.minute.max(minute);
    }

    fn used(&self) -> u32 {
        self.counts.iter().copied().map(u32::from).sum()
    }

    /// Calls of the last few minutes.
    fn recent(&self, minutes: usize) -> u32 {
        let ages = 0..minutes.min(MINUTES) as i64;
        ages.map(|age| u32::from(self.counts[Self::slot(self.minute - age)])).sum()
    }

    fn count(&mut self) {
        let slot = &mut self.counts[Self::slot(self.minute)];
        *slot = slot.saturating_add(1);
    }

    /// A call that was counted then was none.
    fn uncount(&mut self, at: Timestamp) {
        let age = self.minute - at.as_second().div_euclid(60);
        if (0..MINUTES as i64).contains(&age) {
            let slot = &mut self.counts[Self::slot(self.minute - age)];
            *slot = slot.saturating_sub(1);
        }
    }

    /// When fewer than `most` calls will lie in the hour.
    fn room_at(&self, most: u32) -> Timestamp {
        let mut left = self.used();
        for age in (0..MINUTES as i64).rev() {
            let minute = self.minute - age;
            left -= u32::from(self.counts[Self::slot(minute)]);
            if left < most {
                return Timestamp::from_second((minute + MINUTES as i64) * 60).unwrap_or(Timestamp::MAX);
            }
        }
        Timestamp::from_second((self.minute + MINUTES as i64) * 60).unwrap_or(Timestamp::MAX)
    }
}

/// Stops calls after a throttle.
#[derive(Clone, Debug, Default)]
struct Breaker {
    /// Since when, and until when.
    open: Option<(Timestamp, Timestamp)>,
    /// Throttles since the last answer.
    in_a_row: u32,
}

impl Breaker {
    /// Several calls that were on their way together are one throttle.
    fn open(&mut self, until: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let pause = match self.until(now) {
            Some(_) => Duration::ZERO,
            None => {
                let pause = FIRST_PAUSE.saturating_mul(1 << self.in_a_row.min(8)).min(LONGEST_PAUSE);
                self.in_a_row = self.in_a_row.saturating_add(1);
                pause
            }
        };
        let until = until.map(|until| until.min(later(now, LONGEST_BELIEVED)));
        let end = [until, self.until(now)].into_iter().flatten().fold(later(now, pause), Timestamp::max);
        self.open = Some((now, end));
        end
    }

    /// Stays open until then at least.
    fn hold(&mut self, until: Timestamp, now: Timestamp) {
        self.open = Some((now, self.until(now).map_or(until, |known| known.max(until))));
    }

    fn until(&self, now: Timestamp) -> Option<Timestamp> {
        self.open.filter(|(since, until)| *until > now && !is_set_back(*since, now)).map(|(_, until)| until)
    }
}

/// A percentage that Meta told, with its time.
#[derive(Clone, Copy, Debug)]
struct Usage {
    percent: u32,
    told: Timestamp,
}

/// What is known about one app, or one account of it.
#[derive(Clone, Debug)]
struct Meter {
    breaker: Breaker,
    /// Meta's words, while it blocks the whole app.
    blocked: Option<Refusal>,
    usage: Option<Usage>,
    list: Hour,
    rest: Hour,
    profiles: Hour,
    adds: Hour,
    /// Codes that were asked for, and entered.
    codes: Hour,
    verifications: Hour,
    has_registered: bool,
    /// Calls since the take-over, and when the first of them was. None once an answer told, by its header or without one.
    probes: Option<(u8, Option<Timestamp>)>,
    /// The last write that a list may show, and the first that none was read after.
    wrote: Option<Timestamp>,
    unlisted: Option<Timestamp>,
    touched: Timestamp,
}

impl Meter {
    fn new(now: Timestamp) -> Self {
        Self {
            breaker: Breaker::default(),
            blocked: None,
            usage: None,
            list: Hour::new(),
            rest: Hour::new(),
            profiles: Hour::new(),
            adds: Hour::new(),
            codes: Hour::new(),
            verifications: Hour::new(),
            has_registered: false,
            probes: Some((0, None)),
            wrote: None,
            unlisted: None,
            touched: now,
        }
    }

    fn usage(&self, now: Timestamp) -> Option<Usage> {
        self.usage.filter(|usage| later(usage.told, USAGE_BELIEVED) > now)
    }

    fn advance(&mut self, now: Timestamp) {
        let kinds = [&mut self.profiles, &mut self.adds, &mut self.codes, &mut self.verifications];
        for hour in [&mut self.list, &mut self.rest].into_iter().chain(kinds) {
            hour.advance(now);
        }
    }

    /// Verifications of codes that are out and still live: whatever else is sent leaves room for them.
    fn promised(&self, limits: &Limits) -> u32 {
        let minutes = usize::try_from(limits.code_life.as_secs().div_ceil(60)).unwrap_or(MINUTES);
        self.codes.recent(minutes).saturating_sub(self.verifications.recent(minutes))
    }

    /// The hours that a call counts in.
    fn hours(&mut self, edge: Edge, claim: Claim) -> impl Iterator<Item = &mut Hour> {
        let lane = match edge.lane() {
            Lane::App | Lane::List => &mut self.list,
            Lane::Rest => &mut self.rest,
        };
        let kind = match edge.tally() {
            Tally::Nothing => None,
            Tally::Profiles => claim.is_polling().then_some(&mut self.profiles),
            Tally::Adds => Some(&mut self.adds),
            Tally::Codes => Some(&mut self.codes),
            Tally::Verifications => Some(&mut self.verifications),
        };
        std::iter::once(lane).chain(kind)
    }

    /// Percent of what reads may use that counts as used by whoever acted before, and when to ask again because of it.
    fn inherited(&self, taken_over: Option<Timestamp>, now: Timestamp) -> (u32, Timestamp) {
        let nothing = (0, now);
        let (Some(taken_over), Some((probes, first))) = (taken_over, self.probes) else { return nothing };
        let left = later(taken_over, HOUR).duration_since(now).as_secs();
        if probes < PROBES || left <= 0 {
            return nothing;
        }
        let may_hear = first.is_some_and(|first| now < later(first, PROBED));
        let percent = u32::try_from(left * 100 / 3_600).unwrap_or(100).min(100);
        (percent, later(now, if may_hear { AGAIN_SOON } else { AGAIN_LATER }))
    }

    fn heard(&mut self, percent: u32, now: Timestamp) {
        self.usage = Some(Usage { percent, told: now });
        self.probes = None;
    }

    /// Counts a call that goes out.
    fn count(&mut self, edge: Edge, claim: Claim, now: Timestamp) {
        if let Some((probes, first)) = &mut self.probes {
            *probes = probes.saturating_add(1);
            first.get_or_insert(now);
        }
        self.hours(edge, claim).for_each(Hour::count);
        if edge == Edge::Numbers {
            self.unlisted = None;
        }
        if edge.is_listed() {
            self.wrote = Some(now);
            self.unlisted.get_or_insert(now);
        }
    }

    /// When a call is welcome, if it is not now.
    fn room(
        &self,
        limits: &Limits,
        edge: Edge,
        claim: Claim,
        app_is_busy: bool,
        taken_over: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if let Some(until) = self.held(claim, now) {
            return Some(until);
        }
        let (inherited, again) = self.inherited(taken_over, now);
        let of_reads = 100_u32.saturating_sub(limits.budget_for_writes);
        let before = |allowance: u32| allowance * of_reads / 100 * inherited / 100;
        let is_busy = app_is_busy || self.usage(now).is_some_and(|usage| usage.percent >= USAGE_HALVES);
        let (hour, allowance) = match edge.lane() {
            Lane::App => (&self.list, APP_PER_HOUR),
            Lane::List if self.has_registered => (&self.list, limits.budget_list),
            Lane::List => (&self.list, limits.budget_list_first),
            Lane::Rest => (&self.rest, limits.budget_rest),
        };
        let soon = |until: Timestamp| Some(until.max(later(now, Duration::from_secs(1))));
        let (list, rest) = (self.list.used(), self.rest.used());
        if edge.lane() != Lane::App && !self.has_registered {
            if list + rest >= TOGETHER_PER_HOUR {
                return soon(self.list.room_at(list).min(self.rest.room_at(rest)));
            }
            if list + rest + before(TOGETHER_PER_HOUR) >= TOGETHER_PER_HOUR {
                return Some(again);
            }
        }
        let share = allowance * claim.ceiling(limits.budget_for_writes) / 100;
        let most = if is_busy && claim.is_polling() { share / 2 } else { share }.max(1);
        if hour.used() >= most {
            return soon(hour.room_at(most));
        }
        if hour.used() + before(allowance) >= most {
            return Some(again);
        }
        let promised = self.promised(limits);
        let promised = match edge.tally() {
            Tally::Verifications => 0,
            // A code goes out only where its verification, the registration and those of all others fit.
            Tally::Codes => 2 * promised + 2,
            Tally::Nothing | Tally::Profiles | Tally::Adds => promised,
        };
        let most = allowance.saturating_sub(promised).max(1);
        if edge.lane() == Lane::Rest && hour.used() >= most {
            return soon(hour.room_at(most).min(later(now, limits.code_life)));
        }
        let (kind, most) = match edge.tally() {
            Tally::Profiles if claim.is_polling() => (&self.profiles, limits.profiles_per_hour.max(1)),
            Tally::Adds => (&self.adds, (allowance * ADDS / 100).max(1)),
            Tally::Nothing | Tally::Profiles | Tally::Codes | Tally::Verifications => return None,
        };
        if kind.used() >= most { soon(kind.room_at(most)) } else { None }
    }

    /// Calls of the hour in each allowance of an account, and how many are left of it.
    fn spent(&self, limits: &Limits) -> [(Lane, u32, u32); 2] {
        let (list, rest) = (self.list.used(), self.rest.used());
        let of_list = if self.has_registered { limits.budget_list } else { limits.budget_list_first };
        let together =
            if self.has_registered { u32::MAX } else { TOGETHER_PER_HOUR.saturating_sub(list + rest) };
        let left = |allowance: u32, used: u32| allowance.saturating_sub(used).min(together);
        [(Lane::List, list, left(of_list, list)), (Lane::Rest, rest, left(limits.budget_rest, rest))]
    }

    /// Until when a claim waits because of the breaker or the usage that Meta told.
    fn held(&self, claim: Claim, now: Timestamp) -> Option<Timestamp> {
        let told = self
            .usage(now)
            .filter(|usage| usage.percent >= USAGE_WRITES_ONLY && claim != Claim::Write)
            .map(|usage| later(usage.told, USAGE_BELIEVED));
        self.breaker.until(now).into_iter().chain(told).max()
    }
}

/// By payer, first what is of its app, then each account.
type Key = (Payer, Option<AccountId>);

#[derive(Debug)]
struct Meters {
    all: BTreeMap<Key, Meter>,
    /// With so many those that are idle are dropped.
    tidy_at: usize,
}

impl Meters {
    fn get(&self, payer: &Payer, account: Option<&AccountId>) -> Option<&Meter> {
        self.all.get(&(payer.clone(), account.cloned()))
    }

    fn get_mut(&mut self, payer: &Payer, account: Option<&AccountId>) -> Option<&mut Meter> {
        self.all.get_mut(&(payer.clone(), account.cloned()))
    }

    fn entry(&mut self, payer: &Payer, account: Option<&AccountId>, now: Timestamp) -> &mut Meter {
        self.all.entry((payer.clone(), account.cloned())).or_insert_with(|| Meter::new(now))
    }

    /// Those of a payer, without a look at any other's.
    fn of(&mut self, payer: &Payer) -> impl Iterator<Item = (Option<&AccountId>, &mut Meter)> {
        let all = self.all.range_mut((payer.clone(), None)..);
        #[cfg(test)]
        let all = all.inspect(|_| tests::note_looked_at());
        all.take_while(move |((of, _), _)| of == payer).map(|((_, account), meter)| (account.as_ref(), meter))
    }

    /// Drops those that were idle for an hour once there are many.
    fn tidy(&mut self, now: Timestamp) {
        if self.all.len() < self.tidy_at {
            return;
        }
        self.all.retain(|_, meter| {
            let is_used = later(meter.touched, HOUR) > now;
            is_used || meter.breaker.until(now).is_some() || meter.blocked.is_some()
        });
        self.tidy_at = ENTRIES_KEPT.max(2 * self.all.len());
    }
}

/// The budgets and breakers of a process.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    meters: Mutex<Meters>,
    /// Since when this process acts in place of another, whose calls of the hour before are not known.
    taken_over: Mutex<Option<Timestamp>>,
}

impl Budget {
    /// With nothing used.
    pub fn new(limits: Limits) -> Self {
        let meters = Meters { all: BTreeMap::new(), tidy_at: ENTRIES_KEPT };
        Self { limits, meters: Mutex::new(meters), taken_over: Mutex::new(None) }
    }

    /// Another process acted until now. What reads may use of the last hour counts as used, until an answer tells otherwise
    /// or the hour has passed; a few calls go out to hear one.
    pub fn take_over(&self, now: Timestamp) {
        *lock(&self.taken_over) = Some(now);
        for meter in lock(&self.meters).all.values_mut() {
            meter.probes = Some((0, None));
            meter.usage = None;
        }
    }

    fn taken_over(&self) -> Option<Timestamp> {
        *lock(&self.taken_over)
    }

    /// Counts a call, or says when it is welcome.
    ///
    /// # Errors
    ///
    /// The time at which the call may be asked for again.
    pub fn admit(
        &self,
        payer: &Payer,
        account: Option<&AccountId>,
        edge: Edge,
        claim: Claim,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        let mut meters = self.lock(now);
        let app = meters.entry(payer, None, now);
        app.touched = now;
        if let Some(until) = app.held(claim, now) {
            return Err(until);
        }
        let app_is_busy = app.usage(now).is_some_and(|usage| usage.percent >= USAGE_HALVES);
        let meter = meters.entry(payer, account, now);
        meter.touched = now;
        meter.advance(now);
        match meter.room(&self.limits, edge, claim, app_is_busy, self.taken_over(), now) {
            Some(until) => Err(until),
            None => {
                meter.count(edge, claim, now);
                Ok(())
            }
        }
    }

    /// A call that was admitted at that time was never sent, so Meta does not count it either.
    pub fn not_sent(
        &self,
        payer: &Payer,
        account: Option<&AccountId>,
        edge: Edge,
        claim: Claim,
        admitted: Timestamp,
    ) {
        if let Some(meter) = self.lock(admitted).get_mut(payer, account) {
            meter.hours(edge, claim).for_each(|hour| hour.uncount(admitted));
        }
    }

    /// When a step in an account is welcome, if it is not now. Counts nothing.
    pub fn held_until(
        &self,
        payer: &Payer,
        account: &AccountId,
        step: StepKind,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let (edge, claim) = (Edge::of_step(step)?, Claim::Write);
        let mut meters = self.lock(now);
        let app = meters.get(payer, None);
        if let Some(until) = app.and_then(|app| app.held(claim, now)) {
            return Some(until);
        }
        let app_is_busy =
            app.and_then(|app| app.usage(now)).is_some_and(|usage| usage.percent >= USAGE_HALVES);
        let meter = meters.get_mut(payer, Some(account))?;
        meter.advance(now);
        meter.room(&self.limits, edge, claim, app_is_busy, self.taken_over(), now)
    }

    /// Until when a list of this account is better not begun, since writes that it would miss are being sent. A person
    /// who waits, or an edit, is not held up by that.
    pub fn gathers(
        &self,
        payer: &Payer,
        account: &AccountId,
        urgency: Urgency,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let meters = self.lock(now);
        let meter = meters.get(payer, Some(account))?;
        let until = later(meter.wrote?, QUIET).min(later(meter.unlisted?, GATHERED));
        (Claim::Read(urgency).is_polling() && until > now).then_some(until)
    }

    /// Takes in the usage headers of an answer, and returns when calls are welcome again if
    /// they say that calls are blocked.
    pub fn heard(
        &self,
        payer: &Payer,
        account: Option<&AccountId>,
        headers: &UsageHeaders,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut meters = self.lock(now);
        if let Some(percent) = headers.app {
            meters.entry(payer, None, now).heard(percent, now);
        }
        let mut blocked = None;
        for (object, business) in &headers.business {
            // A header may tell of other accounts too; only those that we call matter.
            let Some(meter) = meters.get_mut(payer, Some(&AccountId::from(object.as_str()))) else {
                continue;
            };
            meter.heard(business.percent, now);
            if business.regain_minutes > 0 {
                let regain = Duration::from_secs(business.regain_minutes.saturating_mul(60));
                let until = later(now, regain.min(LONGEST_BELIEVED));
                meter.breaker.hold(until, now);
                if account.is_some_and(|account| account.as_str() == object) {
                    blocked = Some(until);
                }
            }
        }
        blocked
    }

    /// Meta refused because of too many calls: nothing goes out to the account (or the whole
    /// app) until the time returned.
    pub fn throttled(
        &self,
        payer: &Payer,
        account: Option<&AccountId>,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Timestamp {
        let mut meters = self.lock(now);
        let meter = meters.entry(payer, account, now);
        meter.touched = now;
        meter.breaker.open(until, now)
    }

    /// Meta blocks the whole app: nothing goes out until the time returned, and then one look at a time.
    pub fn app_blocked(&self, payer: &Payer, refusal: &Refusal, now: Timestamp) -> Timestamp {
        let mut meters = self.lock(now);
        let meter = meters.entry(payer, None, now);
        meter.touched = now;
        meter.blocked = Some(refusal.clone());
        meter.breaker.open(Some(later(now, BLOCKED_PAUSE)), now)
    }

    /// Meta let a call of the app through. One that was on its way when Meta blocked the app tells nothing, and until the
    /// pause ends there is no other.
    pub fn app_admitted(&self, payer: &Payer, now: Timestamp) {
        if let Some(meter) = self.lock(now).get_mut(payer, None)
            && meter.breaker.until(now).is_none()
        {
            meter.blocked = None;
        }
    }

    /// What Meta said when it blocked the app, until it lets a call through.
    pub fn block_of(&self, payer: &Payer, now: Timestamp) -> Option<Refusal> {
        self.lock(now).get(payer, None)?.blocked.clone()
    }

    /// Meta answered otherwise than by a throttle: the next pause starts short again. Meta sends usage headers only once
    /// enough calls were made (Graph API, "Rate limits"), so an answer without one tells that few were made before us.
    pub fn answered(&self, payer: &Payer, account: Option<&AccountId>, now: Timestamp) {
        let mut meters = self.lock(now);
        if let Some(app) = meters.get_mut(payer, None) {
            app.breaker.in_a_row = 0;
        }
        if let Some(meter) = meters.get_mut(payer, account) {
            meter.breaker.in_a_row = 0;
            meter.probes = None;
        }
    }

    /// Whether the account has a registered number, which raises its allowance at Meta.
    pub fn registered_seen(&self, payer: &Payer, account: &AccountId, now: Timestamp) {
        self.lock(now).entry(payer, Some(account), now).has_registered = true;
    }

    /// Until when the breaker of the app, or of the account, holds calls back.
    pub fn throttled_until(
        &self,
        payer: &Payer,
        account: Option<&AccountId>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let meters = self.lock(now);
        let of = |account: Option<&AccountId>| {
            meters.get(payer, account).and_then(|meter| meter.breaker.until(now))
        };
        of(None).max(account.and_then(|account| of(Some(account))))
    }

    /// Calls of the hour and what is left, in each allowance: that of the app, and those of whichever of its accounts has the
    /// fewest left. One of which nothing was called yet is not there.
    pub fn spent(&self, payer: &Payer, now: Timestamp) -> Vec<Spent> {
        let mut meters = self.lock(now);
        let mut spent: Vec<Spent> = Vec::new();
        let mut note = |(lane, used, left): (Lane, u32, u32)| {
            let one = Spent { lane: lane.as_str(), used, left };
            match spent.iter_mut().find(|known| known.lane == one.lane) {
                Some(known) if known.left > left => *known = one,
                Some(_) => {}
                None => spent.push(one),
            }
        };
        for (account, meter) in meters.of(payer) {
            meter.advance(now);
            if account.is_some() {
                meter.spent(&self.limits).into_iter().for_each(&mut note);
            } else {
                let used = meter.list.used();
                note((Lane::App, used, APP_PER_HOUR.saturating_sub(used)));
            }
        }
        spent
    }

    /// What Meta told of the app, and of its accounts: the greatest share with its time, and the longest pause. One of which
    /// nothing was called yet is not there.
    pub fn told(&self, payer: &Payer, now: Timestamp) -> Vec<ToldUsage> {
        let mut meters = self.lock(now);
        let mut all: Vec<ToldUsage> = Vec::new();
        for (account, meter) in meters.of(payer) {
            let of = if account.is_some() { "account" } else { "app" };
            let known = all.iter().position(|told| told.of == of);
            let at = known.unwrap_or_else(|| {
                all.push(ToldUsage { of, ..ToldUsage::default() });
                all.len() - 1
            });
            let told = &mut all[at];
            let used = meter.usage.filter(|usage| later(usage.told, HOUR) > now);
            told.used = told.used.max(used.map(|usage| (usage.percent, usage.told)));
            told.reads_wait = told.reads_wait.max(meter.held(Claim::Read(Urgency::Person), now));
            told.all_wait = told.all_wait.max(meter.held(Claim::Write, now));
        }
        all
    }

    /// The meters, without those that are idle once there are many.
    fn lock(&self, now: Timestamp) -> MutexGuard<'_, Meters> {
        let mut meters = lock(&self.meters);
        meters.tidy(now);
        meters
    }
}

/// What the usage headers of one answer said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageHeaders {
    /// The greatest percentage in `X-App-Usage`.
    pub app: Option<u32>,
    /// From `X-Business-Use-Case-Usage`, by the id of the account.
    pub business: Vec<(String, BusinessUsage)>,
}

/// What `X-Business-Use-Case-Usage` said about an account: the worst of its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusinessUsage {
    pub percent: u32,
    pub regain_minutes: u64,
}

/// Most objects that one header may tell of (Graph API, "Rate limits").
const OBJECTS_IN_HEADER: usize = 32;

impl UsageHeaders {
    /// Reads both headers; what cannot be read is ignored.
    pub fn parse(app: Option<&str>, business: Option<&str>) -> Self {
        let json = |text: Option<&str>| text.and_then(|text| serde_json::from_str::<Value>(text).ok());
        let mut usage = Self { app: json(app).as_ref().and_then(percent), business: Vec::new() };
        if let Some(Value::Object(objects)) = json(business) {
            for (object, entries) in objects.into_iter().take(OBJECTS_IN_HEADER) {
                let mut worst = BusinessUsage::default();
                for entry in entries.as_array().into_iter().flatten() {
                    let minutes = json::integer(entry, "estimated_time_to_regain_access").unwrap_or(0);
                    worst.percent = worst.percent.max(percent(entry).unwrap_or(0));
                    worst.regain_minutes = worst.regain_minutes.max(u64::try_from(minutes).unwrap_or(0));
                }
                usage.business.push((object, worst));
            }
        }
        usage
    }
}

fn percent(entry: &Value) -> Option<u32> {
    ["call_count", "total_cputime", "total_time"]
        .iter()
        .filter_map(|key| json::integer(entry, key))
        .max()
        .map(|percent| u32::try_from(percent.max(0)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
