//! Who acts on a reason, how the act is called, and where it is done.

use jiff::Timestamp;

use crate::engine::value::{
    id::BusinessId,
    page,
    reason::{Reason, ReasonKind},
    status::WaitingFor,
    wait::Actor,
};

/// The wait that a reason means where nobody said it more exactly.
pub(in crate::engine) fn default_wait(
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
pub(in crate::engine) fn who(reason: Reason) -> Option<(Actor, &'static str)> {
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
