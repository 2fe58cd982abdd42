//! Who is waited for: the plan's own waits, and those that follow from conditions.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    block::Block,
    condition::{ConditionSet, ConditionType, Truth, WaitingFor},
    id::BusinessId,
    judge::Scene,
    observed::PortfolioState,
    page,
    reason::{Reason, ReasonKind},
    wait::Actor,
};

/// Gives every wait the time since when it lasts, and forgets those that ended. A person comes before Meta.
pub(super) fn settle_since(
    list: &mut Vec<WaitingFor>,
    since: &mut BTreeMap<String, Timestamp>,
    now: Timestamp,
) {
    let mut seen = Vec::new();
    list.retain(|w| {
        let fresh = !seen.contains(&w.action);
        seen.push(w.action.clone());
        fresh
    });
    since.retain(|action, _| seen.contains(action));
    for wait in list.iter_mut() {
        wait.since = *since.entry(wait.action.clone()).or_insert(now);
    }
    list.sort_by_key(|w| w.actor == Actor::Meta);
}

/// The waits of a pass.
pub(super) fn list(scene: &Scene<'_>, set: &ConditionSet) -> Vec<WaitingFor> {
    let mut list = Vec::new();
    if let Some(ready) = set.get(ConditionType::Ready)
        && ready.status != Truth::True
        && !covers(scene, ready.reason)
    {
        list.extend(default_wait(ready.reason, business(scene), scene.desired.name.as_str(), scene.now));
    }
    list.extend(scene.plan.block.iter().filter_map(|b| of_block(scene, b)));
    list.extend(scene.plan.aside.iter().filter_map(|(_, b)| of_block(scene, b)));
    list
}

fn covers(scene: &Scene<'_>, reason: Reason) -> bool {
    let blocks = scene.plan.block.iter().chain(scene.plan.aside.iter().map(|(_, b)| b));
    blocks.into_iter().any(|b| b.reason == reason && (b.wait.is_some() || b.until.is_some()))
}

fn business<'a>(scene: &'a Scene<'_>) -> Option<&'a BusinessId> {
    match &scene.observed.portfolio {
        PortfolioState::View(view) => Some(&view.business),
        _ => scene.memory.business.as_ref(),
    }
}

fn of_block(scene: &Scene<'_>, block: &Block) -> Option<WaitingFor> {
    let Some(wait) = &block.wait else {
        let mut wait = default_wait(block.reason, business(scene), scene.desired.name.as_str(), scene.now)?;
        wait.expected_by = block.until;
        return Some(wait);
    };
    let default = || default_wait(block.reason, business(scene), scene.desired.name.as_str(), scene.now);
    Some(WaitingFor {
        actor: wait.actor,
        action: wait.action.to_owned(),
        since: scene.now,
        expected_by: wait.expected_by.or(block.until),
        url: wait.url.clone().or_else(|| default().and_then(|d| d.url)),
        if_ignored: wait.if_ignored.clone().or_else(|| default().and_then(|d| d.if_ignored)),
    })
}

/// The wait that a reason means where nobody said it more exactly.
pub(super) fn default_wait(
    reason: Reason,
    business: Option<&BusinessId>,
    name: &str,
    now: Timestamp,
) -> Option<WaitingFor> {
    let (actor, action) = who(reason)?;
    Some(WaitingFor {
        actor,
        action: action.to_owned(),
        since: now,
        expected_by: None,
        url: page_of(reason, business),
        if_ignored: if_ignored(actor).map(|text| text.replace("NAME", name)),
    })
}

fn if_ignored(actor: Actor) -> Option<&'static str> {
    match actor {
        Actor::Meta => None,
        Actor::PhoneHolder => Some("the number stays as it is; nothing is asked for again by itself"),
        Actor::PortfolioAdmin | Actor::ClusterUser => Some("the number stays as it is"),
    }
}

/// Who ends it, and how; nobody has to where it is settled or under way.
#[allow(clippy::match_same_arms)]
pub(super) fn who(reason: Reason) -> Option<(Actor, &'static str)> {
    use Actor::{ClusterUser, Meta, PhoneHolder, PortfolioAdmin};
    if matches!(reason.kind(), ReasonKind::Settled | ReasonKind::Progress) {
        return None;
    }
    Some(match reason {
        Reason::NotObserved => return None,
        Reason::CodeNeeded
        | Reason::CodeLapsed
        | Reason::CodeRequestRefused
        | Reason::ReverificationNeeded => (PhoneHolder, "AskForCode"),
        Reason::CodeAwaited
        | Reason::CodeMayHaveBeenSent
        | Reason::CodeWrong
        | Reason::CodeMalformed
        | Reason::CodeFoundUnasked => (PhoneHolder, "EnterCode"),
        Reason::NewerStepOpen => (ClusterUser, "RunNewerVersion"),
        Reason::NumberOnPhone => (PhoneHolder, "DeleteAppAccount"),
        Reason::PinNeeded | Reason::PinMalformed | Reason::PinMismatch => (ClusterUser, "ProvidePin"),
        Reason::NumberLimitReached => (PortfolioAdmin, "RaiseNumberLimit"),
        Reason::AddRefused | Reason::RegistrationRefused | Reason::IncompleteDeregistration => {
            (ClusterUser, "Retry")
        }
        Reason::SandboxNumberNotVerified | Reason::FellBack | Reason::NameNotTaken => (ClusterUser, "Retry"),
        Reason::CoexistenceNotOnboarded => (PhoneHolder, "ConnectInApp"),
        Reason::NameRefused | Reason::NameDeclined => (ClusterUser, "ChooseName"),
        Reason::RenameNotManaged => (ClusterUser, "AlignName"),
        Reason::ObserveOnly => (ClusterUser, "ChangeManagementPolicy"),
        Reason::Suspended => (ClusterUser, "Resume"),
        Reason::NoAccountInReach => (PortfolioAdmin, "CreateAccount"),
        Reason::AccountAmbiguous | Reason::AccountReachUnknown => (ClusterUser, "NameAccount"),
        Reason::AccountNotInReach | Reason::AccountChanged | Reason::CountryMismatch => {
            (ClusterUser, "CorrectAccount")
        }
        Reason::AccountRestricted
        | Reason::AccountLocked
        | Reason::AccountRejected
        | Reason::AccountDisabled
        | Reason::NumberBanned => (PortfolioAdmin, "Appeal"),
        Reason::Blocked | Reason::NotConnected => (PortfolioAdmin, "ResolveBlock"),
        Reason::PermissionMissing | Reason::ScopesMissing | Reason::BusinessNotReadable => {
            (PortfolioAdmin, "GrantPermissions")
        }
        Reason::PortfolioNotUsable | Reason::PortfolioChanged => (ClusterUser, "CorrectPortfolio"),
        Reason::SecretMissing | Reason::SecretKeyMissing | Reason::SecretForbidden => {
            (ClusterUser, "ProvideCredentials")
        }
        Reason::TokenInvalid | Reason::TokenExpired | Reason::TokenTypeNotUsable => {
            (PortfolioAdmin, "ReplaceToken")
        }
        Reason::AppSecretWrong => (ClusterUser, "ReplaceAppSecret"),
        Reason::IdentityMismatch | Reason::WrongBusiness => (ClusterUser, "CorrectBusiness"),
        Reason::VerifyTokenUnlabelled => (ClusterUser, "LabelSecret"),
        Reason::WebhookHandshakeFailed | Reason::WebhookRefused => (ClusterUser, "MendWebhook"),
        Reason::AppNotSubscribedToMessages => (PortfolioAdmin, "SubscribeToMessages"),
        Reason::NotTakenByMeta | Reason::ProfileRefused => (ClusterUser, "ChangeSpec"),
        Reason::ProfileDiffers | Reason::WebhookDiffers => (ClusterUser, "AlignSettings"),
        Reason::PaymentProblem => (PortfolioAdmin, "AddPaymentMethod"),
        Reason::BusinessNotVerified | Reason::BusinessIneligible => (PortfolioAdmin, "VerifyBusiness"),
        Reason::NumberMigrated
        | Reason::NumberDeleted
        | Reason::NumberInOtherAccount
        | Reason::NumberClaimed => (ClusterUser, "ChangeSpec"),
        Reason::NumberOnPremises => (PortfolioAdmin, "DeregisterOnPremises"),
        Reason::ConnectionContradictsNumber | Reason::SpecInvalid => (ClusterUser, "ChangeSpec"),
        Reason::NameInReview | Reason::NameChangeQueued | Reason::NameNotReady => (Meta, "ReviewName"),
        Reason::AccountInReview => (Meta, "ReviewAccount"),
        Reason::BusinessInReview => (Meta, "ReviewBusiness"),
        Reason::AddingRestricted => (Meta, "LiftRestriction"),
        _ if reason.kind() == ReasonKind::Time => (Meta, "Wait"),
        _ => return None,
    })
}

/// Where they act.
pub(super) fn page_of(reason: Reason, business: Option<&BusinessId>) -> Option<String> {
    Some(match who(reason)?.1 {
        "CreateAccount" => page::accounts(business),
        "Appeal" | "ResolveBlock" | "LiftRestriction" => page::support(),
        "GrantPermissions" | "ReplaceToken" => page::system_users(business),
        "SubscribeToMessages" | "ReplaceAppSecret" => page::apps(),
        "AddPaymentMethod" => page::billing(business),
        "VerifyBusiness" | "ReviewBusiness" => page::security_center(business),
        "CorrectBusiness" => page::business_info(business),
        "RaiseNumberLimit" | "ReviewName" | "ChooseName" | "AlignName" | "ReviewAccount" => {
            page::numbers(business)
        }
        _ => return None,
    })
}
