//! Assessment: what a pass means, as conditions and everything else that status shows.

use jiff::{SignedDuration, Timestamp};

use super::{
    block::Block,
    desired::{Desired, ReadyWhen},
    drift,
    failure::{Class, Failure, Refusal},
    id::{AccountId, BusinessId, Fact, Field, MessagingLimit, NumberId, Quality, Throughput},
    judge::{self, Judged, Place, Scene, is_passing},
    limits::Limits,
    memory::Memory,
    observed::{Claim, Number, Observed, PortfolioState, WebhookConfiguration},
    outcome::Outcome,
    plan::Plan,
    preflight,
    reason::{Reason, ReasonKind},
    rule::say,
    time,
    wait::Actor,
    waiting as wait,
};

/// The conditions of a channel, in the order of their depth: `Ready` copies the first that blocks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    PortfolioReady,
    AccountUsable,
    NumberAdded,
    NumberVerified,
    DisplayNameApproved,
    Registered,
    Healthy,
    WebhookRouted,
    ProfileSynced,
    BusinessVerified,
    PaymentReady,
    Ready,
    Reconciling,
    Stalled,
    /// Of a portfolio only.
    CredentialsValid,
    /// Of a portfolio only.
    IdentityConfirmed,
}

impl ConditionType {
    /// The types of a channel, in order.
    pub const CHANNEL: [Self; 14] = [
        Self::PortfolioReady,
        Self::AccountUsable,
        Self::NumberAdded,
        Self::NumberVerified,
        Self::DisplayNameApproved,
        Self::Registered,
        Self::Healthy,
        Self::WebhookRouted,
        Self::ProfileSynced,
        Self::BusinessVerified,
        Self::PaymentReady,
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
    ];

    /// What has to hold before the number is usable, in order; the rest of the types only tell.
    pub const WAY: [Self; 9] = [
        Self::PortfolioReady,
        Self::AccountUsable,
        Self::NumberAdded,
        Self::NumberVerified,
        Self::DisplayNameApproved,
        Self::Registered,
        Self::Healthy,
        Self::WebhookRouted,
        Self::ProfileSynced,
    ];

    /// Whether `Ready`, of a channel or of a portfolio, may ever copy it.
    pub fn may_block(self) -> bool {
        !matches!(
            self,
            Self::ProfileSynced | Self::PaymentReady | Self::Ready | Self::Reconciling | Self::Stalled
        )
    }

    /// What True means, for the documentation.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::PortfolioReady => {
                "The portfolio resolves, may be used from this namespace, and its credentials work."
            }
            Self::AccountUsable => "The account is in reach, reviewed and active.",
            Self::NumberAdded => "The number is in the account, and its id is known.",
            Self::NumberVerified => {
                "Ownership is proven by a code, or needs no proof since the number is registered."
            }
            Self::DisplayNameApproved => {
                "The desired name is live, and approved or available without review."
            }
            Self::Registered => "The number is registered with Cloud API.",
            Self::Healthy => "The number can send. Limits show as reason Limited.",
            Self::WebhookRouted => {
                "Our app is subscribed, and the number's webhook is the desired one. There only when spec.webhook is set."
            }
            Self::ProfileSynced => {
                "Every managed profile field matches. There only when spec.profile is set."
            }
            Self::BusinessVerified => "Meta has verified the business.",
            Self::PaymentReady => "The account has a payment method.",
            Self::Ready => "Usable in the sense of readyWhen.",
            Self::Reconciling => "The operator still has something to do. There only when True.",
            Self::Stalled => "Nothing but an edit or a person at Meta helps. There only when True.",
            Self::CredentialsValid => "The credentials in use work.",
            Self::IdentityConfirmed => "The portfolio is the expected one.",
        }
    }

    /// When it holds up `Ready` of a channel, for the documentation.
    pub fn blocks(self) -> &'static str {
        match self {
            Self::PortfolioReady
            | Self::AccountUsable
            | Self::NumberAdded
            | Self::Registered
            | Self::Healthy => "always",
            Self::NumberVerified => "until Registered",
            Self::DisplayNameApproved => "readyWhen NameApproved and FullyVerified",
            Self::WebhookRouted => "always when managed",
            Self::BusinessVerified => "readyWhen FullyVerified",
            _ => "never",
        }
    }

    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PortfolioReady => "PortfolioReady",
            Self::AccountUsable => "AccountUsable",
            Self::NumberAdded => "NumberAdded",
            Self::NumberVerified => "NumberVerified",
            Self::DisplayNameApproved => "DisplayNameApproved",
            Self::Registered => "Registered",
            Self::Healthy => "Healthy",
            Self::WebhookRouted => "WebhookRouted",
            Self::ProfileSynced => "ProfileSynced",
            Self::BusinessVerified => "BusinessVerified",
            Self::PaymentReady => "PaymentReady",
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::CredentialsValid => "CredentialsValid",
            Self::IdentityConfirmed => "IdentityConfirmed",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One condition; `lastTransitionTime` moves only when `status` flips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub kind: ConditionType,
    pub status: Truth,
    pub reason: Reason,
    pub message: String,
    pub since: Timestamp,
    pub observed_generation: i64,
}

/// Conditions in the order of [`ConditionType`], at most one of each.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConditionSet(Vec<Condition>);

impl ConditionSet {
    /// Inserts or replaces; keeps the transition time while the status stays.
    pub fn set(&mut self, mut next: Condition) {
        match self.0.binary_search_by_key(&next.kind, |c| c.kind) {
            Ok(at) => {
                if self.0[at].status == next.status {
                    next.since = self.0[at].since;
                }
                self.0[at] = next;
            }
            Err(at) => self.0.insert(at, next),
        }
    }

    /// Removes one, if it is there.
    pub fn remove(&mut self, kind: ConditionType) {
        self.0.retain(|c| c.kind != kind);
    }

    /// Looks one up.
    pub fn get(&self, kind: ConditionType) -> Option<&Condition> {
        self.0.binary_search_by_key(&kind, |c| c.kind).ok().map(|at| &self.0[at])
    }

    /// Whether a condition is there with this status.
    pub fn is(&self, kind: ConditionType, status: Truth) -> bool {
        self.get(kind).is_some_and(|c| c.status == status)
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }
}

/// What a pass means for a channel. `api` lowers it into status and nothing else does.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// `None`: this pass proves nothing about a newer generation.
    pub observed_generation: Option<i64>,
    pub conditions: ConditionSet,
    pub stage: Stage,
    pub waiting_for: Vec<WaitingFor>,
    pub preflight: Vec<Check>,
    pub drift: Vec<super::drift::Drift>,
    pub facts: Facts,
}

/// Where the number stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Not looked at yet.
    Pending,
    /// The number is not in the account yet.
    Adding,
    /// Ownership has to be proven.
    Verifying,
    /// The display name holds things up.
    NameReview,
    /// Verified, on the way to registered.
    Registering,
    /// Registered; webhook, profile or health still open.
    Configuring,
    Ready,
    Stalled,
    Suspended,
}

impl Stage {
    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Adding => "Adding",
            Self::Verifying => "Verifying",
            Self::NameReview => "NameReview",
            Self::Registering => "Registering",
            Self::Configuring => "Configuring",
            Self::Ready => "Ready",
            Self::Stalled => "Stalled",
            Self::Suspended => "Suspended",
        }
    }
}

/// An entry of `waitingFor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingFor {
    pub actor: Actor,
    pub action: String,
    pub since: Timestamp,
    pub expected_by: Option<Timestamp>,
    pub url: Option<String>,
    pub if_ignored: Option<String>,
}

/// An entry of `preflight`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// A constant in CamelCase: `NumberShape`, `TokenScopes`.
    pub item: &'static str,
    pub verdict: Verdict,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Pass,
    Warn,
    Fail,
    NotCheckable,
}

impl Verdict {
    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Warn => "Warn",
            Self::Fail => "Fail",
            Self::NotCheckable => "NotCheckable",
        }
    }
}

/// Facts with Meta's raw words, as last seen. A fact that was not readable keeps its last value.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Facts {
    pub business: Option<BusinessId>,
    pub account: Option<AccountId>,
    pub number: Option<NumberId>,
    pub verified_name: Option<String>,
    pub name_status: Option<String>,
    pub name_since: Option<Timestamp>,
    pub new_display_name: Option<String>,
    pub new_name_status: Option<String>,
    pub code_status: Option<String>,
    pub status: Option<String>,
    pub status_since: Option<Timestamp>,
    pub platform: Option<String>,
    pub quality: Option<String>,
    pub throughput: Option<String>,
    pub messaging_limit: Option<String>,
    pub health: Option<String>,
    pub webhook: Option<WebhookConfiguration>,
    pub is_official: Option<bool>,
    /// Meta's last error on the way to Registered, for `explain`; the trace id is the first seen with that code.
    pub last_refusal: Option<Refusal>,
}

/// What status showed before this pass; conditions that cannot be judged anew stay as they were.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Before {
    pub observed_generation: Option<i64>,
    pub conditions: ConditionSet,
    pub facts: Facts,
    pub stage: Option<Stage>,
    pub waiting_for: Vec<WaitingFor>,
    pub preflight: Vec<Check>,
    pub drift: Vec<super::drift::Drift>,
}

/// Says what a pass means. `memory` is the memory that will be written along (with the intent, or the folded
/// outcome); `outcome` is there once the step was carried out. Of `memory` only `since` is changed.
///
/// Equal inputs give an equal assessment: no time of a look and no trace id of the latest one is in it.
#[allow(clippy::too_many_arguments)]
pub fn assess(
    desired: &Desired,
    observed: &Observed,
    plan: &Plan,
    outcome: Option<&Outcome>,
    memory: &mut Memory,
    before: &Before,
    limits: &Limits,
    now: Timestamp,
) -> Assessment {
    if desired.suspend {
        return suspended(desired, memory, before, now);
    }
    let held_up = outcome.and_then(|outcome| held_up(plan, outcome, now));
    let (plan, outcome) = match &held_up {
        Some(plan) => (plan, None),
        None => (plan, outcome),
    };
    let since = std::mem::take(&mut memory.since);
    let scene = Scene::new(desired, observed, plan, outcome, memory, before, limits, now);
    let mut assessment = match sight(&scene) {
        Sight::Failed => unseen(&scene),
        sight => seen(&scene, sight),
    };
    memory.since = since;
    wait::settle_since(&mut assessment.waiting_for, &mut memory.since, now);
    assessment
}

/// The plan as it stands once its step met a throttle: nothing is under way, and a date ends the wait. The looks that
/// follow fail by the same throttle and could not say so any more.
fn held_up(plan: &Plan, outcome: &Outcome, now: Timestamp) -> Option<Plan> {
    let until = match &outcome.result {
        Err(Failure::Throttled(until)) => Some(*until),
        Err(Failure::Refused(refusal)) if !outcome.is_attempt() && refusal.class == Class::WaitUntil => {
            refusal.until
        }
        _ => None,
    }?;
    let block = say::throttled(until.max(now));
    Some(Plan { step: None, block: Some(block), ..plan.clone() })
}

/// The first status of a new object, before anything was looked at.
pub fn first(desired: &Desired, now: Timestamp) -> Assessment {
    if desired.suspend {
        return suspended(desired, &mut Memory::default(), &Before::default(), now);
    }
    let mut conditions = ConditionSet::default();
    let message = "not looked at yet";
    for kind in ConditionType::CHANNEL {
        if judge::is_shown(kind, desired) && kind != ConditionType::Stalled {
            let status = if kind == ConditionType::Reconciling { Truth::True } else { Truth::Unknown };
            conditions.set(Condition {
                kind,
                status,
                reason: Reason::NotObservedYet,
                message: message.into(),
                since: now,
                observed_generation: desired.generation,
            });
        }
    }
    Assessment {
        observed_generation: Some(desired.generation),
        conditions,
        stage: Stage::Pending,
        waiting_for: Vec::new(),
        preflight: Vec::new(),
        drift: Vec::new(),
        facts: Facts::default(),
    }
}

/// What this pass could see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// The number's account and its list were read, or the answer is that they cannot be.
    Whole,
    /// Nothing has to be read to know what holds things up.
    NotNeeded,
    /// Something that should have been read was not: nothing is proven.
    Failed,
}

fn sight(scene: &Scene<'_>) -> Sight {
    match (&scene.observed.portfolio, scene.claim()) {
        (PortfolioState::NotYet, _) => return Sight::Failed,
        (PortfolioState::NotUsable, _) => return Sight::NotNeeded,
        (PortfolioState::View(view), _) if view.hold.is_some() => {
            let passing = view.hold.as_ref().is_some_and(|h| is_passing(h.reason));
            return if passing { Sight::Failed } else { Sight::NotNeeded };
        }
        (_, Claim::Undecided) => return Sight::Failed,
        (_, Claim::Other { .. }) => return Sight::NotNeeded,
        _ => {}
    }
    if scene.plan.step.is_some() || scene.outcome.is_some() {
        return Sight::Whole;
    }
    let block = scene.plan.block.as_ref();
    if block.is_some_and(|b| {
        matches!(b.reason, Reason::SpecInvalid | Reason::PortfolioChanged | Reason::AccountChanged)
    }) {
        return Sight::NotNeeded;
    }
    if scene.look_failed() {
        return Sight::Failed;
    }
    if scene.nothing_asked() && block.is_none_or(|b| is_passing(b.reason)) {
        return Sight::Failed;
    }
    Sight::Whole
}

/// A failed look changes no condition, but in time a True `Ready` becomes Unknown.
fn unseen(scene: &Scene<'_>) -> Assessment {
    let resumed = (scene.before.stage == Some(Stage::Suspended)).then(|| resumed(scene.before, scene));
    let before = resumed.as_ref().unwrap_or(scene.before);
    let mut conditions = before.conditions.clone();
    let ready = conditions.get(ConditionType::Ready).cloned();
    match ready {
        None => conditions = first(scene.desired, scene.now).conditions,
        Some(ready) if ready.status == Truth::True && scene.is_long_unseen() => {
            conditions.set(Condition {
                status: Truth::Unknown,
                reason: Reason::NotObserved,
                message: format!(
                    "no look has succeeded for {} hours, so what was True may no longer be; see whether the cluster reaches graph.facebook.com",
                    scene.limits.unseen.as_secs() / 3600
                ),
                since: scene.now,
                ..ready
            });
        }
        // Said once, but the portfolio's own words may only come to be known later.
        Some(ready)
            if ready.status == Truth::Unknown
                && matches!(ready.reason, Reason::NotObservedYet | Reason::PortfolioNotReadYet) =>
        {
            // A pause of seconds is over before anybody reads of it.
            let soon = time::later(scene.now, scene.limits.fresh_after_write);
            if let Some(block) = scene.plan.block.as_ref().filter(|block| !is_over_by(block, soon)) {
                conditions.set(Condition {
                    reason: first_unseen_reason(block),
                    message: carried_message(block, None),
                    ..ready
                });
            }
        }
        Some(_) => {}
    }
    Assessment {
        observed_generation: None,
        conditions,
        stage: before.stage.unwrap_or(Stage::Pending),
        waiting_for: before.waiting_for.clone(),
        preflight: before.preflight.clone(),
        drift: before.drift.clone(),
        facts: before.facts.clone(),
    }
}

/// What was suspended is so no more, whatever became of the look: nobody waits for anybody to resume it.
fn resumed(before: &Before, scene: &Scene<'_>) -> Before {
    let mut after = before.clone();
    after.waiting_for.retain(|wait| wait.action != RESUME);
    let is_ready = after.conditions.is(ConditionType::Ready, Truth::True);
    after.stage = Some(if is_ready { Stage::Ready } else { Stage::Pending });
    let message = "not looked at since it was resumed";
    if let Some(ready) =
        after.conditions.get(ConditionType::Ready).filter(|c| c.reason == Reason::Suspended).cloned()
    {
        let block = scene.plan.block.as_ref();
        let (reason, message) = block.map_or((Reason::NotObservedYet, message.into()), |block| {
            (first_unseen_reason(block), carried_message(block, None))
        });
        after.conditions.set(Condition { reason, message, since: scene.now, ..ready });
    }
    let reason = Reason::NotObservedYet;
    let next = new_condition(scene, ConditionType::Reconciling, Truth::True, reason, message.into());
    after.conditions.set(next);
    after
}

fn is_over_by(block: &Block, time: Timestamp) -> bool {
    block.reason == Reason::Throttled && block.until.is_some_and(|until| until <= time)
}

fn first_unseen_reason(block: &Block) -> Reason {
    if block.reason.may_be_on(ConditionType::Ready) { block.reason } else { Reason::NotObservedYet }
}

fn seen(scene: &Scene<'_>, sight: Sight) -> Assessment {
    let facts = facts(scene);
    let mut conditions = judged(scene, &facts);
    let ready = ready(scene, &conditions);
    place(&mut conditions, scene, ready);
    progress(scene, &mut conditions);
    let whole = sight == Sight::Whole;
    Assessment {
        observed_generation: Some(scene.desired.generation),
        stage: stage(scene, &conditions),
        waiting_for: wait::list(scene, &conditions),
        preflight: preflight::check(
            scene.desired,
            scene.observed,
            scene.memory,
            scene.limits,
            &scene.before.preflight,
        ),
        drift: if whole && !matches!(scene.place, Place::Unknown) {
            drift_seen(scene)
        } else {
            scene.before.drift.clone()
        },
        conditions,
        facts,
    }
}

/// What differs, with what differed in a profile that was not read this time: profiles are read in turns.
fn drift_seen(scene: &Scene<'_>) -> Vec<drift::Drift> {
    let mut list = drift::diff(scene.desired, scene.observed);
    let is_read = scene.number().is_some_and(|number| scene.observed.profile_of(number).is_some());
    if !is_read && scene.desired.profile.is_managed() {
        let place = list.iter().position(|d| d.field == drift::TIME_ZONE).unwrap_or(list.len());
        let kept = scene.before.drift.iter().filter(|d| d.field.starts_with(drift::PROFILE)).cloned();
        list.splice(place..place, kept);
    }
    list
}

/// Every condition but the three that follow from the others.
fn judged(scene: &Scene<'_>, facts: &Facts) -> ConditionSet {
    let mut set = scene.before.conditions.clone();
    for kind in ConditionType::CHANNEL {
        if matches!(kind, ConditionType::Ready | ConditionType::Reconciling | ConditionType::Stalled) {
            continue;
        }
        let verdict = judge::judge(kind, scene);
        apply(scene, facts, &mut set, kind, verdict);
    }
    set
}

fn apply(scene: &Scene<'_>, facts: &Facts, set: &mut ConditionSet, kind: ConditionType, verdict: Judged) {
    let (status, reason, message) = match verdict {
        Judged::Absent => return set.remove(kind),
        Judged::True(reason, message) => (Truth::True, reason, message),
        Judged::Unknown(reason, message) => (Truth::Unknown, reason, message),
        Judged::False(reason, message) => match scene.block_on(kind).filter(|b| b.reason == reason) {
            Some(block) => (Truth::False, reason, carried_message(block, facts.last_refusal.as_ref())),
            None => (Truth::False, reason, message),
        },
        Judged::Open(message) => match scene.block_on(kind) {
            Some(block) => (Truth::False, block.reason, carried_message(block, facts.last_refusal.as_ref())),
            None => (Truth::False, scene.open_reason(kind), message),
        },
        Judged::Keep => return kept(scene, facts, set, kind),
    };
    place(set, scene, new_condition(scene, kind, status, reason, message));
}

/// Nothing is known anew: the condition stays, but says what holds it up when it is not True anyway.
fn kept(scene: &Scene<'_>, facts: &Facts, set: &mut ConditionSet, kind: ConditionType) {
    let old = set.get(kind).cloned();
    let block = scene.block_on(kind);
    if old.as_ref().is_some_and(|c| c.status == Truth::True)
        && !block.is_some_and(|b| ends(scene, kind, b.reason))
    {
        return;
    }
    let is_first =
        old.as_ref().is_none_or(|c| c.status == Truth::Unknown && c.reason == Reason::NotObservedYet);
    // What the operator was at is over, once something else holds it up.
    let is_over = old.as_ref().is_some_and(|c| c.reason.kind() == ReasonKind::Progress);
    let Some(block) = block.filter(|b| is_first || is_over || !is_passing(b.reason)) else {
        let is_open = old.as_ref().is_none_or(|c| c.status != Truth::True);
        let step = scene
            .plan
            .step
            .as_ref()
            .filter(|planned| is_open && judge::step_reason(planned.step.kind()).may_be_on(kind));
        let (reason, message) = match step {
            Some(planned) => (scene.open_reason(kind), planned.why.clone()),
            None if old.is_none() => (Reason::NotObservedYet, "not looked at yet".into()),
            None => return,
        };
        let status = old.map_or(Truth::Unknown, |c| c.status);
        place(set, scene, new_condition(scene, kind, status, reason, message));
        return;
    };
    let is_known = !is_passing(block.reason);
    let status = if is_known && (ends(scene, kind, block.reason) || is_home(set, kind, block.reason)) {
        Truth::False
    } else {
        old.map_or(Truth::Unknown, |c| c.status)
    };
    let message = carried_message(block, facts.last_refusal.as_ref());
    place(set, scene, new_condition(scene, kind, status, block.reason, message));
}

/// Whether a block is an answer about this very condition, which nothing else that was read contradicts.
fn ends(scene: &Scene<'_>, kind: ConditionType, reason: Reason) -> bool {
    let about = reason.row().conditions.first() == Some(&kind);
    about && !is_passing(reason) && matches!(scene.place, Place::Unknown)
}

/// Whether a reason is about this condition: the first of its row that is not True.
fn is_home(set: &ConditionSet, kind: ConditionType, reason: Reason) -> bool {
    let open = |c: &&ConditionType| ConditionType::WAY.contains(c) && !set.is(**c, Truth::True);
    reason.row().conditions.iter().find(open) == Some(&kind)
}

fn new_condition(
    scene: &Scene<'_>,
    kind: ConditionType,
    status: Truth,
    reason: Reason,
    message: String,
) -> Condition {
    Condition {
        kind,
        status,
        reason,
        message,
        since: scene.now,
        observed_generation: scene.desired.generation,
    }
}

/// Sets a condition; where only the trace id of an error differs, the first one seen stays.
fn place(set: &mut ConditionSet, scene: &Scene<'_>, mut next: Condition) {
    if let Some(old) = scene.before.conditions.get(next.kind)
        && old.reason == next.reason
        && without_trace(&old.message) == without_trace(&next.message)
    {
        next.message.clone_from(&old.message);
    }
    set.set(next);
}

const TRACE: &str = "trace ";

/// The message up to the trace id, which is its last part.
pub(super) fn without_trace(message: &str) -> &str {
    let meta = message.rfind(META).and_then(|at| message[at..].rfind(TRACE).map(|trace| at + trace));
    meta.map_or(message, |at| &message[..at])
}

/// What a block says, with Meta's code, subcode, title and the trace id that was seen first with that code.
fn carried_message(block: &Block, first_seen: Option<&Refusal>) -> String {
    let Some(refusal) = block.failure.as_ref().and_then(Failure::refusal) else {
        return block.message.clone();
    };
    let first = first_seen.filter(|f| f.is(refusal.code, refusal.subcode));
    with_refusal(&block.message, first.unwrap_or(refusal))
}

const META: &str = " (Meta: ";

/// Adds Meta's code, subcode, title and trace id to a sentence, unless it has them.
pub(super) fn with_refusal(message: &str, refusal: &Refusal) -> String {
    if message.contains(META) {
        return message.to_owned();
    }
    let code = match refusal.subcode {
        Some(subcode) => format!("code {}, subcode {subcode}", refusal.code),
        None => format!("code {}", refusal.code),
    };
    let said = message.contains(&code);
    let title = refusal.title.as_deref().filter(|t| !t.is_empty()).map(|t| format!("\"{t}\""));
    let trace = refusal.trace_id.as_ref().map(|id| format!("trace {id}"));
    let parts: Vec<String> = [Some(code).filter(|_| !said), title, trace].into_iter().flatten().collect();
    if parts.is_empty() { message.to_owned() } else { format!("{message}{META}{})", parts.join(", ")) }
}

/// Whether a condition that is not True keeps `Ready` from being True.
fn blocks(scene: &Scene<'_>, set: &ConditionSet, kind: ConditionType) -> bool {
    let name = !matches!(scene.desired.ready_when, ReadyWhen::Registered);
    match kind {
        ConditionType::PortfolioReady
        | ConditionType::AccountUsable
        | ConditionType::NumberAdded
        | ConditionType::Registered
        | ConditionType::Healthy => true,
        ConditionType::NumberVerified => !set.is(ConditionType::Registered, Truth::True),
        ConditionType::DisplayNameApproved => name,
        ConditionType::WebhookRouted => {
            scene.desired.webhook.is_some()
                && set.get(kind).is_none_or(|c| {
                    !matches!(c.reason, Reason::WebhookNotReadable | Reason::ObservationIncomplete)
                })
        }
        ConditionType::BusinessVerified => scene.desired.ready_when == ReadyWhen::FullyVerified,
        _ => false,
    }
}

/// `Ready` copies the first blocking condition that is not True. One that was never looked at gives way to one
/// that is known to be False, and one that merely repeats a reason to the one that the reason is about.
fn ready(scene: &Scene<'_>, set: &ConditionSet) -> Condition {
    let open: Vec<&Condition> = ConditionType::CHANNEL
        .iter()
        .filter(|kind| blocks(scene, set, **kind))
        .filter_map(|kind| set.get(*kind))
        .filter(|c| c.status != Truth::True)
        .collect();
    let is_deeper = |c: &&&Condition| c.kind <= ConditionType::Registered;
    if let Some(block) = scene.contradiction()
        && open.first().filter(is_deeper).is_none()
    {
        return new_condition(scene, ConditionType::Ready, Truth::False, block.reason, block.message.clone());
    }
    let Some(head) = open.first() else {
        return new_condition(scene, ConditionType::Ready, Truth::True, Reason::Usable, ready_message(scene));
    };
    let known = open.iter().find(|c| {
        c.status == Truth::False && (head.reason == Reason::NotObservedYet || c.reason == head.reason)
    });
    let top = if head.status == Truth::Unknown { known.unwrap_or(head) } else { head };
    new_condition(scene, ConditionType::Ready, top.status, top.reason, top.message.clone())
}

fn ready_message(scene: &Scene<'_>) -> String {
    match scene.desired.ready_when {
        ReadyWhen::Registered => "the number is registered and can send".into(),
        ReadyWhen::NameApproved => {
            "the number is registered and can send, and its display name is approved".into()
        }
        ReadyWhen::FullyVerified => {
            "the number is registered and can send, its display name is approved and the business is verified"
                .into()
        }
    }
}

/// `Reconciling` while something is left to do, `Stalled` when no clock ends what is wrong; never both.
fn progress(scene: &Scene<'_>, set: &mut ConditionSet) {
    set.remove(ConditionType::Reconciling);
    set.remove(ConditionType::Stalled);
    let Some(ready) = set.get(ConditionType::Ready).cloned() else { return };
    if let Some((reason, message)) = under_way(scene, set) {
        let next = new_condition(scene, ConditionType::Reconciling, Truth::True, reason, message);
        carry_since(set, scene, next);
    } else if ready.status != Truth::True && ready.reason.kind() == ReasonKind::Stalled && !scene.has_clock()
    {
        let next = new_condition(scene, ConditionType::Stalled, Truth::True, ready.reason, ready.message);
        carry_since(set, scene, next);
    }
}

fn carry_since(set: &mut ConditionSet, scene: &Scene<'_>, mut next: Condition) {
    if let Some(old) = scene.before.conditions.get(next.kind) {
        next.since = old.since;
    }
    place(set, scene, next);
}

/// What the operator is at, if anything.
fn under_way(scene: &Scene<'_>, set: &ConditionSet) -> Option<(Reason, String)> {
    if let Some(planned) = &scene.plan.step {
        return Some((judge::step_reason(planned.step.kind()), planned.why.clone()));
    }
    if let Some(step) = scene.memory.in_flight.as_ref().and_then(|intent| intent.step.known()) {
        return Some((
            Reason::EffectNotVisibleYet,
            format!("{} was sent; waiting for its effect", step.as_str()),
        ));
    }
    // Where the number is ready without it, no other condition tells of a step of a newer version.
    let is_ready = set.is(ConditionType::Ready, Truth::True);
    let newer = scene.plan.block.as_ref().filter(|b| is_ready && b.reason == Reason::NewerStepOpen);
    if let Some(block) = newer {
        return Some((Reason::EffectNotVisibleYet, block.message.clone()));
    }
    let blocks = scene.plan.block.iter().chain(scene.plan.aside.iter().map(|(_, b)| b));
    if let Some(block) = blocks.into_iter().find(|b| b.reason.kind() == ReasonKind::Progress) {
        return Some((block.reason, block.message.clone()));
    }
    ConditionType::CHANNEL
        .iter()
        .filter_map(|kind| set.get(*kind))
        .filter(|c| c.kind != ConditionType::Ready && c.status != Truth::True)
        .find(|c| c.reason.kind() == ReasonKind::Progress && c.reason != Reason::NotObservedYet)
        .map(|c| (c.reason, c.message.clone()))
}

fn stage(scene: &Scene<'_>, set: &ConditionSet) -> Stage {
    let is_true = |kind| set.is(kind, Truth::True);
    if set.get(ConditionType::Stalled).is_some() {
        return Stage::Stalled;
    }
    if is_true(ConditionType::Ready) {
        return Stage::Ready;
    }
    if is_true(ConditionType::Registered) {
        return Stage::Configuring;
    }
    if !is_true(ConditionType::PortfolioReady) || !is_true(ConditionType::AccountUsable) {
        return Stage::Pending;
    }
    if !is_true(ConditionType::NumberAdded) {
        return Stage::Adding;
    }
    if scene.held_by_name() {
        return Stage::NameReview;
    }
    if is_true(ConditionType::NumberVerified) { Stage::Registering } else { Stage::Verifying }
}

/// What a suspended channel waits for.
const RESUME: &str = "Resume";

/// A suspended channel: nothing is looked at; what was True stays.
fn suspended(desired: &Desired, memory: &mut Memory, before: &Before, now: Timestamp) -> Assessment {
    let mut conditions = before.conditions.clone();
    conditions.remove(ConditionType::Reconciling);
    conditions.remove(ConditionType::Stalled);
    let ready = conditions.get(ConditionType::Ready).cloned();
    if ready.as_ref().is_none_or(|c| c.status != Truth::True) {
        conditions.set(Condition {
            kind: ConditionType::Ready,
            status: ready.map_or(Truth::Unknown, |c| c.status),
            reason: Reason::Suspended,
            message: "suspended: nothing is looked at and nothing is done; set suspend: false to go on"
                .into(),
            since: now,
            observed_generation: desired.generation,
        });
    }
    let resume = WaitingFor {
        actor: Actor::ClusterUser,
        action: RESUME.into(),
        since: now,
        expected_by: None,
        url: None,
        if_ignored: Some("nothing is looked at and nothing is done".into()),
    };
    let rest = before.waiting_for.iter().filter(|w| w.action != RESUME).cloned();
    let mut waiting_for: Vec<WaitingFor> = std::iter::once(resume).chain(rest).collect();
    wait::settle_since(&mut waiting_for, &mut memory.since, now);
    Assessment {
        observed_generation: Some(desired.generation),
        conditions,
        stage: Stage::Suspended,
        waiting_for,
        preflight: before.preflight.clone(),
        drift: before.drift.clone(),
        facts: before.facts.clone(),
    }
}

/// Meta's raw words; what could not be read keeps its last value.
fn facts(scene: &Scene<'_>) -> Facts {
    let mut facts = scene.before.facts.clone();
    facts.business = scene.memory.business.clone().or(facts.business);
    facts.account = scene.account.clone().or(facts.account);
    facts.number = scene.memory.number.clone().or(facts.number);
    if let Place::Here(number) | Place::Left(number) = scene.place {
        facts.number = Some(number.id.clone());
        take_number(&mut facts, number, scene.now);
    }
    if let PortfolioState::View(view) = &scene.observed.portfolio
        && let Fact::Known(business) = &view.facts
        && let Some(limit) = &business.messaging_limit
    {
        facts.messaging_limit = Some(limit.to_string());
    }
    facts.last_refusal = last_refusal(scene, facts.last_refusal.take());
    facts
}

fn take_number(facts: &mut Facts, number: &Number, now: Timestamp) {
    take(&mut facts.verified_name, &number.verified_name, ToString::to_string);
    if take(&mut facts.name_status, &number.name_status, ToString::to_string) {
        facts.name_since = Some(now);
    }
    take_open(&mut facts.new_display_name, &number.new_display_name, ToString::to_string);
    take_open(&mut facts.new_name_status, &number.new_name_status, ToString::to_string);
    take(&mut facts.code_status, &number.code, ToString::to_string);
    if take(&mut facts.status, &number.status, ToString::to_string) {
        facts.status_since = Some(now);
    }
    take(&mut facts.platform, &number.platform, ToString::to_string);
    take(&mut facts.health, &number.health, |h| h.can_send.as_str().to_owned());
    take_open(&mut facts.webhook, &number.webhook, |webhook| (**webhook).clone());
    for (old, new) in [
        (&mut facts.quality, number.quality.as_ref().map(Quality::as_str)),
        (&mut facts.throughput, number.throughput.as_ref().map(Throughput::as_str)),
        (&mut facts.messaging_limit, number.messaging_limit.as_ref().map(MessagingLimit::as_str)),
    ] {
        if let Some(word) = new {
            *old = Some(word.to_owned());
        }
    }
    facts.is_official = number.is_official.or(facts.is_official);
}

/// Takes a value that was read; tells whether it is another one.
fn take<T, U: PartialEq>(old: &mut Option<U>, new: &Field<T>, lower: impl Fn(&T) -> U) -> bool {
    let Some(value) = new.value().map(lower) else { return false };
    let changed = old.as_ref() != Some(&value);
    *old = Some(value);
    changed
}

/// Like [`take`], for fields that Meta leaves out when there is nothing to tell.
fn take_open<T, U: PartialEq>(old: &mut Option<U>, new: &Field<T>, lower: impl Fn(&T) -> U) {
    match new {
        Field::Refused => {}
        Field::Absent => *old = None,
        Field::Is(value) => *old = Some(lower(value)),
    }
}

/// Meta's last error on the way to Registered. A repeated one with a new trace id changes nothing.
fn last_refusal(scene: &Scene<'_>, old: Option<Refusal>) -> Option<Refusal> {
    if scene.is_registered() {
        return None;
    }
    let from_outcome = scene.outcome.and_then(|o| o.result.as_ref().err()).and_then(Failure::refusal);
    let from_block = scene.plan.block.as_ref().and_then(|b| b.failure.as_ref()).and_then(Failure::refusal);
    let Some(new) = from_outcome.or(from_block) else { return old };
    let Some(old) = old.filter(|o| o.is(new.code, new.subcode)) else { return Some(new.clone()) };
    if old.title == new.title && old.message == new.message {
        return Some(old);
    }
    Some(Refusal { trace_id: old.trace_id, ..new.clone() })
}

/// A span of the policy, as time arithmetic wants it.
pub(super) fn span(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests;
