//! The identity of a portfolio: whether it is the expected one, and whether Meta has verified its business.

use crate::engine::{
    assess::{
        judge::portfolio::verification,
        portfolio::scene::{PortfolioGiven, Verdict, failure, keep_known},
        scene::Judged,
    },
    value::{
        condition_type::ConditionType,
        display_name::is_same,
        failure::{Failure, Refusal, Said},
        id::Fact,
        page::Page,
        portfolio::BusinessFacts,
        reason::Reason,
    },
};

impl PortfolioGiven<'_> {
    /// The facts that stand: what was read now, else what was read before.
    pub(super) fn business(&self) -> Fact<BusinessFacts> {
        if self.wrong_business(&self.observed.business).is_some() {
            return self.observed.business.clone();
        }
        keep_known(&self.observed.business, self.view_before.map(|v| &v.facts))
    }

    pub(super) fn identity(&self, business: &Fact<BusinessFacts>) -> Verdict {
        if let Some(refusal) = self.wrong_business(business) {
            return Verdict {
                judged: Judged::False(Reason::WrongBusiness, self.wrong_id()),
                refusal: Some(refusal.clone()),
            };
        }
        let Some(expected) = &self.desired.expect_name else {
            return Verdict::plain(Judged::True(Reason::IdentityNotCheckable, "no name is expected".into()));
        };
        let link = Page::BusinessInfo.url(Some(&self.desired.business));
        Verdict::plain(match business {
            Fact::NotAsked => Judged::Keep,
            Fact::Unknown(failure)
                if failure.is_answer() && self.never_judged(ConditionType::IdentityConfirmed) =>
            {
                Judged::Unknown(
                    Reason::IdentityNotCheckable,
                    format!("the token may not read the portfolio's name; look at {link}"),
                )
            }
            Fact::Unknown(_) => Judged::Keep,
            Fact::Known(facts) => match &facts.name {
                None if !self.never_judged(ConditionType::IdentityConfirmed) => Judged::Keep,
                None => Judged::Unknown(
                    Reason::IdentityNotCheckable,
                    format!("Meta does not show the portfolio's name; look at {link}"),
                ),
                Some(name) if same_name(name, expected) => Judged::True(
                    Reason::IdentityMatches,
                    format!(
                        "the portfolio is \"{name}\"; web site and legal address cannot be read, see {link}"
                    ),
                ),
                Some(name) => Judged::False(
                    Reason::IdentityMismatch,
                    format!(
                        "the portfolio is \"{name}\", and expect.name says \"{expected}\"; nothing is written below it; check businessId and the token, or correct expect"
                    ),
                ),
            },
        })
    }

    /// 100/33: the id is not one of a portfolio that the token sees. A plain 100 from the node and from its list of
    /// accounts: it is the id of something that has neither.
    fn wrong_business<'b>(&self, business: &'b Fact<BusinessFacts>) -> Option<&'b Refusal> {
        let refusal = failure(business).and_then(Failure::refusal)?;
        let told = self.before.get(ConditionType::IdentityConfirmed);
        let lists_nothing = match &self.observed.owned {
            Fact::NotAsked => told.is_some_and(|c| c.reason == Reason::WrongBusiness),
            Fact::Unknown(Failure::Refused(list)) => {
                matches!(list.code, 33 | 100 | 803) && !list.says(Said::PermissionMissing)
            }
            Fact::Unknown(_) | Fact::Known(_) => false,
        };
        let is_wrong = refusal.is(100, Some(33))
            || matches!(refusal.code, 33 | 803)
            || (refusal.is(100, None) && !refusal.says(Said::PermissionMissing) && lists_nothing);
        is_wrong.then_some(refusal)
    }

    fn wrong_id(&self) -> String {
        let id = &self.desired.business;
        let is_account = self.targets().is_some_and(|t| t.iter().any(|a| a.id.as_str() == id.as_str()));
        if is_account {
            return format!(
                "businessId {id} is the id of a WhatsApp Business Account, not of a portfolio; copy the portfolio's id from Business settings, Business info"
            );
        }
        if id.as_str().starts_with('+') {
            return format!(
                "businessId {id} is a phone number, not the id of a portfolio; copy the portfolio's id from Business settings, Business info"
            );
        }
        format!(
            "Meta shows no portfolio {id} to this token: it is not a portfolio's id (perhaps that of an account or a phone number), or the token's user has no access to it; copy the portfolio's id from Business settings, Business info"
        )
    }

    pub(super) fn verified(&self, business: &Fact<BusinessFacts>) -> Verdict {
        let was_judged = !self.never_judged(ConditionType::BusinessVerified);
        Verdict::plain(verification(business, was_judged))
    }
}

/// Meta's pages show a portfolio's name in capitals in places.
fn same_name(a: &str, b: &str) -> bool {
    is_same(&a.to_lowercase(), &b.to_lowercase())
}
