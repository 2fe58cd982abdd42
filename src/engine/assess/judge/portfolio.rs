//! Judgement of the portfolio and its business.

use crate::engine::{
    assess::scene::{Judged, Scene},
    value::{
        condition_type::ConditionType,
        id::{Fact, VerificationStatus},
        observed::PortfolioState,
        portfolio::{BusinessFacts, PortfolioView, SCOPE_BUSINESS},
        reason::Reason,
    },
};

pub(super) fn portfolio(scene: &Scene<'_>) -> Judged {
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

pub(super) fn business(scene: &Scene<'_>) -> Judged {
    let was_judged = scene.was_judged(ConditionType::BusinessVerified);
    scene.view().map_or(Judged::Keep, |view| verification(&view.facts, was_judged))
}

/// Whether Meta has verified the business, as far as the portfolio node was read.
pub(in crate::engine::assess) fn verification(facts: &Fact<BusinessFacts>, was_judged: bool) -> Judged {
    match facts {
        Fact::Known(facts) => facts.verification.as_ref().map_or(Judged::Keep, judge_business),
        Fact::Unknown(failure) if failure.is_answer() && !was_judged => Judged::Unknown(
            Reason::BusinessNotReadable,
            format!("the token may not read the portfolio; give it {SCOPE_BUSINESS}"),
        ),
        Fact::Unknown(_) | Fact::NotAsked => Judged::Keep,
    }
}

/// What a portfolio's `verification_status` means.
fn judge_business(status: &VerificationStatus) -> Judged {
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
