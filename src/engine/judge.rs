//! Judgement: what one observation says about one condition.
//!
//! Each function looks at facts only. What holds a condition up when it is merely open is
//! the plan's to say, and is added by `condition`.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    block::Block,
    condition::{Before, ConditionType, Truth, span},
    desired::{Connection, Desired, Management},
    drift,
    failure::{Class, Failure, Refusal},
    id::{
        AccountId, AccountMode, AccountStatus, CodeStatus, Fact, Field, NameStatus, NumberStatus,
        PlatformType, ReviewStatus, Sendability, VerificationStatus,
    },
    limits::Limits,
    memory::{Entry, EntryOutcome, Memory},
    observed::{Account, Claim, Health, ListState, Number, Observed, PortfolioState, Searched},
    outcome::Outcome,
    plan::Plan,
    portfolio::PortfolioView,
    reason::{Reason, ReasonKind},
    step::StepKind,
};

/// The account is banned.
const ACCOUNT_BANNED: i64 = 141_014;

/// What is known about one condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Judged {
    /// Nothing new: it stays as it was.
    Keep,
    /// Not managed: the condition is not there.
    Absent,
    True(Reason, String),
    Unknown(Reason, String),
    /// Not True, and not for a reason of its own: the plan says what holds it up.
    Open(String),
    /// Not True, by what was read.
    False(Reason, String),
}

/// Where the number was found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// Not known: not read, or a write may not show yet.
    Unknown,
    /// In no account that could be read.
    Absent,
    /// In the channel's account.
    Here(&'a Number),
    /// In the channel's account, as MIGRATED or DELETED.
    Left(&'a Number),
}

/// Everything that a judgement may look at.
pub(super) struct Scene<'a> {
    pub desired: &'a Desired,
    pub observed: &'a Observed,
    pub plan: &'a Plan,
    pub outcome: Option<&'a Outcome>,
    pub memory: &'a Memory,
    pub before: &'a Before,
    pub limits: &'a Limits,
    pub now: Timestamp,
    /// The account that the channel uses.
    pub account: Option<AccountId>,
    pub place: Place<'a>,
}

impl<'a> Scene<'a> {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        desired: &'a Desired,
        observed: &'a Observed,
        plan: &'a Plan,
        outcome: Option<&'a Outcome>,
        memory: &'a Memory,
        before: &'a Before,
        limits: &'a Limits,
        now: Timestamp,
    ) -> Self {
        let account = memory.account.clone().or_else(|| desired.account.clone());
        let account = account.or_else(|| match &observed.account {
            Fact::Known(known) => known.id.clone(),
            _ => None,
        });
        let mut scene = Self {
            desired,
            observed,
            plan,
            outcome,
            memory,
            before,
            limits,
            now,
            account,
            place: Place::Unknown,
        };
        scene.place = scene.find();
        scene
    }

    fn own_list(&self) -> Option<&'a Searched> {
        let account = self.account.as_ref()?;
        self.observed.search.iter().find(|s| &s.account == account)
    }

    fn find(&self) -> Place<'a> {
        let Some(list) = self.own_list() else { return Place::Unknown };
        let left = |n: &&Number| n.has_left();
        let known = |n: &&Number| Some(&n.id) == self.memory.number.as_ref();
        let all = || list.numbers.iter().map(AsRef::as_ref);
        let here = all().filter(|n| !left(n));
        if let Some(number) = here.clone().find(known).or_else(|| here.clone().next()) {
            return Place::Here(number);
        }
        if let Some(number) = all().find(left) {
            return Place::Left(number);
        }
        match list.list {
            ListState::Complete { begun }
                if !self.is_settling(StepKind::AddNumber, begun) && !self.is_missed_once(begun) =>
            {
                Place::Absent
            }
            _ => Place::Unknown,
        }
    }

    pub fn number(&self) -> Option<&'a Number> {
        match self.place {
            Place::Here(number) => Some(number),
            _ => None,
        }
    }

    pub fn view(&self) -> Option<&'a PortfolioView> {
        match &self.observed.portfolio {
            PortfolioState::View(view) => Some(view),
            _ => None,
        }
    }

    pub fn account_facts(&self) -> Option<&'a Account> {
        self.observed.account.known().map(AsRef::as_ref)
    }

    /// Who manages the number; a channel that only observes neither holds nor obeys a claim.
    pub fn claim(&self) -> &'a Claim {
        match self.desired.management {
            Management::ObserveOnly => &Claim::Ours { act_from: None },
            Management::Full => &self.observed.claim,
        }
    }

    /// A registered number that reads as not registered is believed only after a second look.
    fn is_falling_back(&self) -> bool {
        let since = self.memory.marks.fell_back_since();
        since.is_some_and(|at| self.seen_at().duration_since(at) < span(self.limits.fall_back_confirmed))
    }

    /// A number that vanished is believed gone only after a second look.
    fn is_missed_once(&self, begun: Timestamp) -> bool {
        let since = self.memory.marks.missing_since;
        since.is_some_and(|at| begun.duration_since(at) < span(self.limits.fresh_after_write))
    }

    /// When the list that showed the number was begun.
    fn seen_at(&self) -> Timestamp {
        match self.own_list().map(|s| &s.list) {
            Some(ListState::Complete { begun }) => *begun,
            _ => self.observed.begun,
        }
    }

    /// Whether an effect of this step may not be visible yet in an observation begun at that time.
    fn is_settling(&self, step: StepKind, begun: Timestamp) -> bool {
        let in_flight = self.memory.in_flight.as_ref().filter(|i| i.step == step);
        if in_flight.is_some_and(|i| i.settle_until >= begun) {
            return true;
        }
        let ledger = &self.memory.ledger;
        let entries: &[Entry] = match step {
            StepKind::AddNumber => &ledger.adds,
            StepKind::VerifyCode => &ledger.verifications,
            StepKind::Register => &ledger.registrations,
            StepKind::SubmitName => &ledger.names,
            _ => &[],
        };
        let sent = |e: &Entry| !matches!(e.outcome, EntryOutcome::Refused | EntryOutcome::NotSent);
        entries
            .iter()
            .rev()
            .find(|e| sent(e))
            .and_then(|e| e.settle_until)
            .is_some_and(|until| until >= begun)
    }

    fn is_settling_now(&self, step: StepKind) -> bool {
        self.is_settling(step, self.seen_at())
    }

    pub fn is_registered(&self) -> bool {
        self.number().is_some_and(Number::is_registered)
    }

    /// Whether the number itself, or what has to be known of it, could not be read.
    pub fn look_failed(&self) -> bool {
        if let Fact::Unknown(failure) = &self.observed.account
            && !self.tells_of_account(failure)
        {
            return true;
        }
        let failed = |s: &Searched| matches!(&s.list, ListState::Failed(_));
        match self.place {
            Place::Here(_) | Place::Left(_) => false,
            Place::Absent | Place::Unknown => self.observed.search.iter().any(failed),
        }
    }

    /// Whether a failed read of the account is an answer about it. What nobody knows is none while it is usable.
    fn tells_of_account(&self, failure: &Failure) -> bool {
        let is_usable = self.before.conditions.is(ConditionType::AccountUsable, Truth::True);
        let denies = failure.refusal().is_some_and(Refusal::denies_object);
        says_something(failure) && (denies || !is_usable)
    }

    pub fn nothing_asked(&self) -> bool {
        self.observed.account == Fact::NotAsked && self.observed.search.is_empty()
    }

    /// Counted from the last success or the start of the process, whichever is later.
    pub fn is_long_unseen(&self) -> bool {
        let process = &self.observed.process;
        let last = process.last_success.unwrap_or(process.started).max(process.started);
        self.now.duration_since(last) >= span(self.limits.unseen)
    }

    /// The block that holds a condition up: of its own work first, then of the way.
    pub fn block_on(&self, kind: ConditionType) -> Option<&'a Block> {
        let aside =
            self.plan.aside.iter().find(|(on, b)| *on == kind && b.reason.may_be_on(kind)).map(|(_, b)| b);
        aside.or_else(|| self.plan.block.as_ref().filter(|b| b.reason.may_be_on(kind)))
    }

    /// What an open condition says when nothing blocks it.
    pub fn open_reason(&self, kind: ConditionType) -> Reason {
        if self.desired.management == Management::ObserveOnly && Reason::ObserveOnly.may_be_on(kind) {
            return Reason::ObserveOnly;
        }
        let settled = self.outcome.is_some_and(|o| o.result.is_ok());
        if let Some(planned) = self.plan.step.as_ref().filter(|_| !settled) {
            let reason = step_reason(planned.step.kind());
            if reason.may_be_on(kind) {
                return reason;
            }
        }
        if Reason::EffectNotVisibleYet.may_be_on(kind) {
            Reason::EffectNotVisibleYet
        } else {
            Reason::NotObservedYet
        }
    }

    /// A spec that contradicts a number which is fine in itself.
    pub fn contradiction(&self) -> Option<&'a Block> {
        let spoils =
            |b: &&Block| matches!(b.reason, Reason::ConnectionContradictsNumber | Reason::SpecInvalid);
        self.plan.block.as_ref().filter(spoils)
    }

    /// Whether a date is set at which things go on by themselves.
    pub fn has_clock(&self) -> bool {
        self.plan.block.as_ref().is_some_and(|b| b.until.is_some())
    }

    /// Whether nothing but the display name holds the registration up.
    pub fn held_by_name(&self) -> bool {
        self.plan
            .block
            .as_ref()
            .is_some_and(|b| b.reason.row().conditions.first() == Some(&ConditionType::DisplayNameApproved))
    }
}

/// Reasons that say something about the look or the moment, not about what was looked for.
pub(super) fn is_passing(reason: Reason) -> bool {
    matches!(reason.kind(), ReasonKind::Progress | ReasonKind::Time)
}

/// An answer about the account, as against no answer.
fn says_something(failure: &Failure) -> bool {
    let tells = |class| !matches!(class, Class::Retry | Class::WaitUntil);
    failure.refusal().is_some_and(|r| tells(r.class) && !r.is_about_credentials())
}

/// What a step is called while it is under way.
pub(super) fn step_reason(step: StepKind) -> Reason {
    match step {
        StepKind::AddNumber => Reason::AddingNumber,
        StepKind::RequestCode => Reason::RequestingCode,
        StepKind::VerifyCode => Reason::VerifyingCode,
        StepKind::SubmitName => Reason::SubmittingName,
        StepKind::CreatePin => Reason::CreatingPin,
        StepKind::SetPin => Reason::SettingPin,
        StepKind::Register => Reason::Registering,
        StepKind::SubscribeApp => Reason::Subscribing,
        StepKind::RouteWebhook => Reason::RoutingWebhook,
        StepKind::WriteProfile => Reason::WritingProfile,
    }
}

/// Whether a condition is there at all: what is not managed has none.
pub(super) fn is_shown(kind: ConditionType, desired: &Desired) -> bool {
    match kind {
        ConditionType::WebhookRouted => desired.webhook.is_some(),
        ConditionType::ProfileSynced => desired.profile.is_managed(),
        ConditionType::CredentialsValid | ConditionType::IdentityConfirmed => false,
        _ => true,
    }
}

/// What the observation says about one condition.
pub(super) fn judge(kind: ConditionType, scene: &Scene<'_>) -> Judged {
    if !is_shown(kind, scene.desired) {
        return Judged::Absent;
    }
    if let Claim::Other { name } = scene.claim()
        && kind == ConditionType::NumberAdded
    {
        return Judged::False(Reason::NumberClaimed, claimed(name.as_deref()));
    }
    match kind {
        ConditionType::PortfolioReady => portfolio(scene),
        ConditionType::AccountUsable => account(scene),
        ConditionType::NumberAdded => added(scene),
        ConditionType::NumberVerified => on_number(scene, verified),
        ConditionType::DisplayNameApproved => on_number(scene, name),
        ConditionType::Registered => on_number(scene, registered),
        ConditionType::Healthy => on_number(scene, healthy),
        ConditionType::WebhookRouted => on_number(scene, webhook),
        ConditionType::ProfileSynced => on_number(scene, profile),
        ConditionType::BusinessVerified => business(scene),
        ConditionType::PaymentReady => payment(scene),
        _ => Judged::Keep,
    }
}

fn claimed(name: Option<&str>) -> String {
    match name {
        Some(name) => format!("the channel {name} manages this number; delete one of the two"),
        None => "another channel manages this number; delete one of the two".into(),
    }
}

fn portfolio(scene: &Scene<'_>) -> Judged {
    let reference = &scene.desired.portfolio;
    match &scene.observed.portfolio {
        PortfolioState::NotUsable => Judged::False(
            Reason::PortfolioNotUsable,
            format!(
                "there is no portfolio {} in namespace {} that may be used from here; check portfolioRef, or have its owner add this namespace to spec.access",
                reference.name, reference.namespace
            ),
        ),
        PortfolioState::NotYet => Judged::Keep,
        PortfolioState::View(view) => judge_view(scene, view),
    }
}

fn judge_view(scene: &Scene<'_>, view: &PortfolioView) -> Judged {
    let is_understood = view.hold.as_ref().is_none_or(|hold| hold.reason != Reason::SpecInvalid);
    let changed = is_understood && scene.memory.business.as_ref().is_some_and(|b| *b != view.business);
    if changed {
        return Judged::False(
            Reason::PortfolioChanged,
            format!(
                "portfolioRef leads to business {}, and this channel has used another one; set it back, or create a new channel",
                view.business
            ),
        );
    }
    match &view.hold {
        Some(hold)
            if hold.reason != Reason::NoAccountInReach
                && hold.reason.may_be_on(ConditionType::PortfolioReady) =>
        {
            Judged::False(hold.reason, hold.message.clone())
        }
        _ => Judged::True(Reason::PortfolioUsable, format!("portfolio {} can be used", view.name)),
    }
}

fn account(scene: &Scene<'_>) -> Judged {
    if let Some(hold) = scene.view().and_then(|v| v.hold.as_ref())
        && hold.reason == Reason::NoAccountInReach
    {
        return Judged::False(Reason::NoAccountInReach, hold.message.clone());
    }
    match &scene.observed.account {
        Fact::Known(account) => judge_account(scene, account),
        Fact::Unknown(failure) if scene.tells_of_account(failure) => {
            let message = "Meta does not show the account to this token".to_owned();
            match scene.block_on(ConditionType::AccountUsable).filter(|b| !is_passing(b.reason)) {
                Some(_) => Judged::Open(message),
                None => Judged::False(Reason::PermissionMissing, message),
            }
        }
        Fact::Unknown(_) | Fact::NotAsked => Judged::Keep,
    }
}

fn judge_account(scene: &Scene<'_>, account: &Account) -> Judged {
    let id = account.id.as_ref().map_or("", AccountId::as_str);
    if is_banned(account) {
        return Judged::False(
            Reason::AccountDisabled,
            format!("Meta has banned account {id}; appeal in Business Support Home"),
        );
    }
    if let Some(bad) = account.status.value().and_then(|s| bad_status(s, id)) {
        return bad;
    }
    if let Some(bad) = account.review.value().and_then(|r| bad_review(r, id)) {
        return bad;
    }
    let expected = scene.view().and_then(|v| v.expect_country.as_ref());
    if let (Some(expected), Some(country)) = (expected, &account.country)
        && !expected.eq_ignore_ascii_case(country)
    {
        return Judged::False(
            Reason::CountryMismatch,
            format!(
                "account {id} is in {country} and the portfolio expects {expected}; nothing is written below it"
            ),
        );
    }
    let good = account.status.value() == Some(&AccountStatus::Active)
        || account.review.value() == Some(&ReviewStatus::Approved);
    let unknown = account.status.value().is_some_and(|s| !s.is_known())
        || account.review.value().is_some_and(|r| !r.is_known());
    if good && !unknown {
        Judged::True(Reason::AccountActive, format!("account {id} can be used"))
    } else {
        Judged::Keep
    }
}

fn is_banned(account: &Account) -> bool {
    account.health.value().is_some_and(|h| {
        let mut errors =
            h.entities.iter().filter(|e| e.can_send == Sendability::Blocked).flat_map(|e| &e.errors);
        errors.any(|e| e.code == ACCOUNT_BANNED)
    })
}

fn bad_status(status: &AccountStatus, id: &str) -> Option<Judged> {
    let (reason, text) = match status {
        AccountStatus::Active | AccountStatus::Other(_) => return None,
        AccountStatus::Pending => (Reason::AccountInReview, "is not active yet; Meta decides"),
        AccountStatus::Restricted => (Reason::AccountRestricted, "is restricted; see Business Support Home"),
        AccountStatus::Disabled | AccountStatus::Inactive => {
            (Reason::AccountDisabled, "is not active; see Business Support Home")
        }
    };
    Some(Judged::False(reason, format!("account {id} {text} (status {status})")))
}

fn bad_review(review: &ReviewStatus, id: &str) -> Option<Judged> {
    let (reason, text) = match review {
        ReviewStatus::Approved | ReviewStatus::Other(_) => return None,
        ReviewStatus::Pending | ReviewStatus::Deferred => {
            (Reason::AccountInReview, "is in review; Meta decides")
        }
        ReviewStatus::Rejected => (Reason::AccountRejected, "was rejected; appeal in WhatsApp Manager"),
        ReviewStatus::Restricted | ReviewStatus::LimitReached => {
            (Reason::AccountRestricted, "is restricted; see Business Support Home")
        }
    };
    Some(Judged::False(reason, format!("account {id} {text} (review {review})")))
}

fn added(scene: &Scene<'_>) -> Judged {
    let account = scene.account.as_ref().map_or("", AccountId::as_str);
    match scene.place {
        Place::Here(number) => {
            Judged::True(Reason::InAccount, format!("number {} is in account {account}", number.id))
        }
        Place::Left(number) => {
            let moved = number.status.value() == Some(&NumberStatus::Migrated);
            let (reason, text) = if moved {
                (Reason::NumberMigrated, "was moved to another account")
            } else {
                (Reason::NumberDeleted, "was deleted in WhatsApp Manager")
            };
            Judged::False(reason, format!("number {} of account {account} {text}", number.id))
        }
        Place::Absent => Judged::Open(format!("{} is not in account {account} yet", scene.desired.number)),
        Place::Unknown => Judged::Keep,
    }
}

fn on_number(scene: &Scene<'_>, judge: fn(&Scene<'_>, &Number) -> Judged) -> Judged {
    match scene.place {
        Place::Here(number) => judge(scene, number),
        Place::Absent => Judged::Open(format!("{} is not in the account yet", scene.desired.number)),
        Place::Left(_) => match added(scene) {
            Judged::False(reason, message) => Judged::False(reason, message),
            other => other,
        },
        Place::Unknown => Judged::Keep,
    }
}

fn was_true(scene: &Scene<'_>, kind: ConditionType) -> bool {
    scene.before.conditions.is(kind, Truth::True)
}

fn verified(scene: &Scene<'_>, number: &Number) -> Judged {
    if number.is_registered() {
        return Judged::True(
            Reason::NotNeededWhenRegistered,
            "the number is registered; no code is needed".into(),
        );
    }
    match number.code.value() {
        Some(CodeStatus::Verified) if scene.memory.marks.needs_new_proof() => {
            Judged::Open("Meta wants ownership proven again before it registers the number".into())
        }
        Some(CodeStatus::Verified) => {
            Judged::True(Reason::CodeVerified, "ownership is proven by a code".into())
        }
        Some(CodeStatus::NotVerified | CodeStatus::Unverified | CodeStatus::Expired) => {
            let late = scene.is_settling_now(StepKind::VerifyCode) || scene.is_falling_back();
            // A registered number needs no code, and whether it is registered may not be known now.
            let is_told = number.platform.value().is_some_and(PlatformType::is_known);
            if was_true(scene, ConditionType::NumberVerified) && (late || !is_told) {
                return Judged::Keep;
            }
            let word = number.code.value().map_or("", CodeStatus::as_str);
            Judged::Open(format!("ownership is not proven by a code (code status {word})"))
        }
        Some(CodeStatus::Other(_)) | None => Judged::Keep,
    }
}

/// How far a status of the desired name gets; the better of two counts.
fn rank(status: Option<&NameStatus>) -> u8 {
    match status {
        Some(NameStatus::Approved) => 6,
        Some(NameStatus::AvailableWithoutReview) => 5,
        Some(NameStatus::PendingReview) => 4,
        Some(NameStatus::Other(_)) => 3,
        Some(NameStatus::Expired) => 2,
        Some(NameStatus::Declined) => 1,
        Some(NameStatus::None | NameStatus::NonExists) | None => 0,
    }
}

fn name(scene: &Scene<'_>, number: &Number) -> Judged {
    let desired = scene.desired.display_name.as_str();
    let live = number.verified_name.value().is_some_and(|n| n == desired);
    let pending = number.new_display_name.value().is_some_and(|n| n == desired);
    if live {
        return live_name(scene, number, pending);
    }
    if number.verified_name.value().is_none() && !pending {
        return Judged::Keep;
    }
    if pending && let Some(judged) = pending_name(scene, number) {
        return judged;
    }
    other_name(scene, number)
}

/// The desired name is `verified_name`; a change to the same name may improve its status.
fn live_name(scene: &Scene<'_>, number: &Number, pending: bool) -> Judged {
    let old = number.name_status.value();
    let new = number.new_name_status.value().filter(|_| pending);
    let best = if rank(new) > rank(old) { new } else { old };
    match best {
        Some(NameStatus::Approved) => {
            Judged::True(Reason::NameApproved, "the display name is approved".into())
        }
        Some(NameStatus::AvailableWithoutReview) => Judged::True(
            Reason::NameAvailableWithoutReview,
            "the display name can be used; Meta reviews it later".into(),
        ),
        Some(NameStatus::PendingReview) => {
            Judged::False(Reason::NameInReview, "Meta is reviewing the display name".into())
        }
        Some(NameStatus::Declined) => declined(),
        Some(NameStatus::Expired) if !number.is_registered() => Judged::Open(format!(
            "the approval of the display name {} has lapsed",
            scene.desired.display_name
        )),
        Some(NameStatus::Expired) => Judged::False(
            Reason::RenameNotManaged,
            "the approval of the display name has lapsed, and submitting it again for a registered number is left to a person".into(),
        ),
        Some(NameStatus::None | NameStatus::NonExists) => {
            Judged::False(Reason::NameNotReady, "Meta has not made the display name usable yet".into())
        }
        Some(NameStatus::Other(word)) => name_not_known(scene, Some(word)),
        None => name_not_known(scene, None),
    }
}

/// A word that nobody knows, or none, is told where nothing better was ever known.
fn name_not_known(scene: &Scene<'_>, word: Option<&str>) -> Judged {
    if was_judged(scene, ConditionType::DisplayNameApproved) {
        return Judged::Keep;
    }
    match word {
        Some(word) => Judged::Unknown(
            Reason::StatusNotKnown,
            format!("Meta shows the status {word} of the display name, which is not known here"),
        ),
        None => Judged::Unknown(
            Reason::ObservationIncomplete,
            "Meta does not tell the status of the display name".into(),
        ),
    }
}

fn declined() -> Judged {
    Judged::False(
        Reason::NameDeclined,
        "Meta declined the display name; set another displayName, or appeal in WhatsApp Manager".into(),
    )
}

/// The desired name is `new_display_name`, and another one is live.
fn pending_name(scene: &Scene<'_>, number: &Number) -> Option<Judged> {
    match number.new_name_status.value() {
        Some(NameStatus::PendingReview) => {
            Some(Judged::False(Reason::NameInReview, "Meta is reviewing the display name".into()))
        }
        Some(NameStatus::Declined) => Some(declined()),
        Some(NameStatus::Approved | NameStatus::AvailableWithoutReview) if !number.is_registered() => {
            Some(Judged::False(
                Reason::WaitsForRegistration,
                "the display name is approved, and becomes the live one by registering".into(),
            ))
        }
        Some(NameStatus::Other(_)) => Some(Judged::Keep),
        _ if number.is_registered() => None,
        Some(NameStatus::None | NameStatus::NonExists) | None => {
            Some(Judged::False(Reason::NameNotReady, "Meta has not made the display name usable yet".into()))
        }
        Some(_) => {
            Some(Judged::Open(format!("the display name {} is not live yet", scene.desired.display_name)))
        }
    }
}

fn other_name(scene: &Scene<'_>, number: &Number) -> Judged {
    let live = number.verified_name.value().map_or("", String::as_str);
    let desired = &scene.desired.display_name;
    if scene.memory.marks.declined.contains_key(desired) {
        return declined();
    }
    if number.is_registered() {
        return Judged::False(
            Reason::RenameNotManaged,
            format!(
                "the number is registered as \"{live}\", and renaming it to \"{desired}\" is left to a person"
            ),
        );
    }
    let queued = [&number.name_status, &number.new_name_status]
        .iter()
        .any(|s| s.value() == Some(&NameStatus::PendingReview));
    if queued {
        let other = number.new_display_name.value().map_or(live, String::as_str);
        return Judged::False(
            Reason::NameChangeQueued,
            format!("\"{other}\" is in review; \"{desired}\" is submitted after it"),
        );
    }
    Judged::Open(format!("the number carries the name \"{live}\", not \"{desired}\""))
}

fn registered(scene: &Scene<'_>, number: &Number) -> Judged {
    match number.platform.value() {
        Some(PlatformType::CloudApi) => {
            Judged::True(Reason::RegisteredWithCloudApi, "the number is registered with Cloud API".into())
        }
        Some(PlatformType::OnPremise) => Judged::False(
            Reason::NumberOnPremises,
            "the number is registered with the On-Premises API; deregister it there first".into(),
        ),
        Some(PlatformType::NotApplicable) => {
            let late = scene.is_settling_now(StepKind::Register) || scene.is_falling_back();
            if was_true(scene, ConditionType::Registered) && late {
                return Judged::Keep;
            }
            if scene.desired.connection == Connection::Coexistence {
                return Judged::Open("the number is not connected from the WhatsApp Business app".into());
            }
            Judged::Open("the number is not registered yet".into())
        }
        Some(PlatformType::Other(_)) | None => Judged::Keep,
    }
}

fn healthy(scene: &Scene<'_>, number: &Number) -> Judged {
    if number.status.value() == Some(&NumberStatus::Banned) {
        return Judged::False(
            Reason::NumberBanned,
            "Meta has banned the number; appeal in Business Support Home".into(),
        );
    }
    match number.platform.value() {
        Some(PlatformType::CloudApi) => {}
        Some(PlatformType::NotApplicable | PlatformType::OnPremise) => return unregistered_health(scene),
        Some(PlatformType::Other(_)) | None => return Judged::Keep,
    }
    let limited = match standing(number) {
        Standing::Connected => None,
        Standing::Limited(word) => Some(format!("Meta limits the number (status {word})")),
        Standing::NotKnown(word) => return not_known(scene, "status", word),
        Standing::NotConnected(word) => return not_connected(scene, word),
    };
    let was_blocked =
        scene.before.conditions.get(ConditionType::Healthy).is_some_and(|c| c.reason == Reason::Blocked);
    match number.health.value() {
        None if was_blocked => Judged::Keep,
        None => limited.map_or_else(can_send, limits),
        Some(health) => with_health(scene, health, limited),
    }
}

fn unregistered_health(scene: &Scene<'_>) -> Judged {
    let late = scene.is_settling_now(StepKind::Register) || scene.is_falling_back();
    if was_true(scene, ConditionType::Healthy) && late {
        return Judged::Keep;
    }
    Judged::Open("the number cannot send before it is registered".into())
}

/// What `status` says about a registered number.
enum Standing<'a> {
    Connected,
    Limited(&'a str),
    NotConnected(&'a str),
    NotKnown(Option<&'a str>),
}

fn standing(number: &Number) -> Standing<'_> {
    if number.account_mode.value() == Some(&AccountMode::Sandbox) {
        return Standing::Connected;
    }
    match number.status.value() {
        Some(NumberStatus::Connected) => Standing::Connected,
        Some(s @ (NumberStatus::Flagged | NumberStatus::Restricted | NumberStatus::RateLimited)) => {
            Standing::Limited(s.as_str())
        }
        Some(NumberStatus::Other(word)) => Standing::NotKnown(Some(word)),
        Some(s) => Standing::NotConnected(s.as_str()),
        None => Standing::NotKnown(None),
    }
}

/// A word that nobody knows, or none: what was judged by another stays. What only waited for the registration was
/// not judged, and is over.
fn not_known(scene: &Scene<'_>, what: &str, word: Option<&str>) -> Judged {
    let before = scene.before.conditions.get(ConditionType::Healthy);
    let (reason, message) = match word {
        Some(word) => {
            (Reason::StatusNotKnown, format!("Meta shows the {what} {word}, which is not known here"))
        }
        None => (Reason::ObservationIncomplete, format!("Meta does not tell the {what} of the number")),
    };
    match before {
        Some(c) if c.status == Truth::Unknown => Judged::Unknown(reason, message),
        None => Judged::Unknown(reason, message),
        Some(c)
            if c.status == Truth::False
                && c.reason.row().conditions.first() != Some(&ConditionType::Healthy) =>
        {
            Judged::False(reason, message)
        }
        Some(_) => Judged::Keep,
    }
}

/// Meta shows the effects of a registration one after another.
fn just_registered(scene: &Scene<'_>) -> Judged {
    if was_true(scene, ConditionType::Healthy) {
        return Judged::Keep;
    }
    Judged::Unknown(
        Reason::JustRegistered,
        "the number was registered a moment ago; Meta does not show it as connected yet".into(),
    )
}

fn not_connected(scene: &Scene<'_>, word: &str) -> Judged {
    if scene.is_settling_now(StepKind::Register) {
        return just_registered(scene);
    }
    Judged::False(
        Reason::NotConnected,
        format!(
            "the number is registered, but not connected (status {word}); see WhatsApp Manager and Business Support Home"
        ),
    )
}

fn can_send() -> Judged {
    Judged::True(Reason::CanSend, "the number can send".into())
}

fn limits(text: String) -> Judged {
    Judged::True(Reason::Limited, text)
}

fn with_health(scene: &Scene<'_>, health: &Health, limited: Option<String>) -> Judged {
    match &health.can_send {
        Sendability::Available => limited.map_or_else(can_send, limits),
        Sendability::Limited => {
            let texts: Vec<String> = limited.into_iter().chain(told(health, &Sendability::Limited)).collect();
            limits(if texts.is_empty() { "Meta limits sending".into() } else { texts.join("; ") })
        }
        Sendability::Blocked if health.is_blocked_only_by(&Health::PAYMENT) => {
            limits("the account has no working payment method: messages that you start are refused; see PaymentReady".into())
        }
        Sendability::Blocked
            if scene.is_settling_now(StepKind::Register)
                && health.is_blocked_only_by(&[Health::NOT_REGISTERED]) =>
        {
            just_registered(scene)
        }
        Sendability::Blocked => Judged::False(
            Reason::Blocked,
            told(health, &Sendability::Blocked).unwrap_or_else(|| "Meta does not let the number send; see Business Support Home".into()),
        ),
        Sendability::Other(word) => not_known(scene, "ability to send", Some(word)),
    }
}

/// Meta's texts about the entities in this state, in a fixed order.
fn told(health: &Health, state: &Sendability) -> Option<String> {
    let entities = health.entities.iter().filter(|e| e.can_send == *state);
    let mut texts = BTreeSet::new();
    for entity in entities {
        for error in &entity.errors {
            texts.insert(
                format!("{} {}: {} {}", entity.kind, error.code, error.description, error.solution)
                    .trim()
                    .to_owned(),
            );
        }
        texts.extend(entity.info.iter().map(|info| format!("{}: {info}", entity.kind)));
    }
    let joined = texts.into_iter().collect::<Vec<_>>().join("; ");
    (!joined.is_empty()).then_some(joined)
}

/// Whether the operator leaves the number's settings alone.
fn only_told(scene: &Scene<'_>) -> bool {
    scene.desired.management == Management::ObserveOnly || scene.desired.connection == Connection::Coexistence
}

fn webhook(scene: &Scene<'_>, number: &Number) -> Judged {
    let Some(desired) = scene.desired.webhook.as_ref() else { return Judged::Absent };
    if number.webhook.is_refused() {
        let before = scene.before.conditions.get(ConditionType::WebhookRouted);
        if before
            .is_some_and(|c| c.status == Truth::True && c.observed_generation == scene.desired.generation)
        {
            return Judged::Keep;
        }
        return match scene.block_on(ConditionType::WebhookRouted) {
            Some(block) => Judged::Unknown(Reason::WebhookNotReadable, block.message.clone()),
            None => Judged::Unknown(
                Reason::WebhookNotReadable,
                "Meta does not show this app where the number's webhook goes".into(),
            ),
        };
    }
    let live = number.webhook.value().and_then(|w| w.number.as_deref());
    let matches = live.is_some_and(|url| drift::same_url(url, &desired.callback_url));
    match (matches, &scene.observed.subscribed) {
        (true, Fact::Known(true)) => {
            Judged::True(Reason::Routed, "messages of the number go to callbackUrl".into())
        }
        (true, Fact::Known(false)) => {
            open_setting(scene, Reason::WebhookDiffers, "our app is not subscribed to the account")
        }
        (true, _) => Judged::Keep,
        (false, Fact::Unknown(_)) if !was_true(scene, ConditionType::WebhookRouted) => Judged::Keep,
        (false, _) => open_setting(scene, Reason::WebhookDiffers, "the number's webhook is not callbackUrl"),
    }
}

fn open_setting(scene: &Scene<'_>, reason: Reason, message: &str) -> Judged {
    if only_told(scene) {
        return Judged::False(reason, format!("{message}; it is not written here"));
    }
    Judged::Open(message.into())
}

fn profile(scene: &Scene<'_>, number: &Number) -> Judged {
    let Some(live) = scene.observed.profile_of(number) else {
        return match number.is_registered() {
            true => Judged::Keep,
            false => Judged::Open("the profile is written once the number is registered".into()),
        };
    };
    let differing = drift::profile_fields(&scene.desired.profile, live);
    if differing.is_empty() {
        return Judged::True(Reason::InSync, "every managed profile field matches".into());
    }
    open_setting(scene, Reason::ProfileDiffers, &format!("the profile differs in {}", differing.join(", ")))
}

fn business(scene: &Scene<'_>) -> Judged {
    match scene.view().map(|v| &v.facts) {
        Some(Fact::Known(facts)) => facts.verification.as_ref().map_or(Judged::Keep, judge_business),
        Some(Fact::Unknown(failure))
            if says_something(failure) && !was_judged(scene, ConditionType::BusinessVerified) =>
        {
            Judged::Unknown(
                Reason::BusinessNotReadable,
                "the token may not read the portfolio; give it business_management".into(),
            )
        }
        _ => Judged::Keep,
    }
}

fn was_judged(scene: &Scene<'_>, kind: ConditionType) -> bool {
    scene.before.conditions.get(kind).is_some_and(|c| c.status != Truth::Unknown)
}

/// What a portfolio's `verification_status` means.
pub(super) fn judge_business(status: &VerificationStatus) -> Judged {
    let not = |text: &str| {
        Judged::False(Reason::BusinessNotVerified, format!("the business is not verified ({status}); {text}"))
    };
    match status {
        VerificationStatus::Verified => {
            Judged::True(Reason::BusinessIsVerified, "Meta has verified the business".into())
        }
        VerificationStatus::Pending => {
            Judged::False(Reason::BusinessInReview, "Meta is reviewing the business".into())
        }
        VerificationStatus::NotVerified => not("start verification in the Security Centre"),
        VerificationStatus::PendingSubmission => not("hand in the documents in the Security Centre"),
        VerificationStatus::PendingNeedMoreInfo => not("Meta wants more; see the Security Centre"),
        VerificationStatus::Rejected | VerificationStatus::Failed => {
            not("submit again in the Security Centre")
        }
        VerificationStatus::Revoked | VerificationStatus::Expired => {
            not("verify again in the Security Centre")
        }
        VerificationStatus::Ineligible => Judged::False(
            Reason::BusinessIneligible,
            "Meta does not offer verification to this business at present; see the Security Centre".into(),
        ),
        VerificationStatus::Other(_) => Judged::Keep,
    }
}

fn payment(scene: &Scene<'_>) -> Judged {
    let account = scene.account_facts();
    let healths = [account.and_then(|a| a.health.value()), scene.number().and_then(|n| n.health.value())];
    let errors = healths.into_iter().flatten().flat_map(|h| &h.entities).flat_map(|e| &e.errors);
    // Meta's order means nothing, and may change from look to look.
    let named = errors.filter(|e| Health::PAYMENT.contains(&e.code));
    if let Some(error) = named.min_by(|a, b| (a.code, &a.description).cmp(&(b.code, &b.description))) {
        return Judged::False(
            Reason::PaymentProblem,
            format!("Meta names a payment problem ({}): {}", error.code, error.description),
        );
    }
    let Some(account) = account else { return Judged::Keep };
    match &account.funding {
        Field::Is(id) if id != "0" && !id.is_empty() => {
            Judged::True(Reason::PaymentMethodPresent, "the account has a payment method".into())
        }
        Field::Refused => Judged::Keep,
        _ => Judged::Unknown(
            Reason::PaymentNotKnown,
            "Meta shows neither a payment method nor a payment problem".into(),
        ),
    }
}
