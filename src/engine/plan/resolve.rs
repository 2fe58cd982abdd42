//! Portfolio and account: what has to hold before anything below is looked at.

use crate::engine::{
    plan::{
        pass::{Gate, Pass, Stop},
        remedy,
    },
    rule::{
        reach::{self, NoAccount},
        say,
    },
    value::{
        action::Action,
        block::Block,
        id::{AccountId, AccountStatus, Fact, ReviewStatus, Sendability},
        memory::Memory,
        observed::{Account, PortfolioState},
        page::Page,
        portfolio::{Hold, PortfolioView},
        reason::Reason,
    },
};

/// `health_status` of a banned account (Meta's OpenAPI).
const ACCOUNT_BANNED: i64 = 141_014;

/// The portfolio, when channels may act below it.
pub(super) fn portfolio<'a>(pass: &Pass<'a>) -> Gate<&'a PortfolioView> {
    match &pass.observed.portfolio {
        PortfolioState::NotUsable => Err(Stop::block(not_usable(pass))),
        PortfolioState::NotYet => Err(Stop::block(not_read_yet(pass))),
        PortfolioState::View(view) => match &view.hold {
            Some(hold) => Err(Stop::block(held(hold))),
            None if view.credential_version.is_none() => Err(Stop::block(not_read_yet(pass))),
            None => Ok(view),
        },
    }
}

fn not_usable(pass: &Pass) -> Block {
    let portfolio = &pass.desired.portfolio;
    Block::new(
        Reason::PortfolioNotUsable,
        format!(
            "WhatsAppPortfolio {}/{} does not exist or may not be used from namespace {}; create it, or have this namespace added to its spec.access",
            portfolio.namespace, portfolio.name, pass.desired.namespace
        ),
    )
}

fn not_read_yet(pass: &Pass) -> Block {
    let portfolio = &pass.desired.portfolio;
    Block::new(
        Reason::PortfolioNotReadYet,
        format!(
            "WhatsAppPortfolio {}/{} has not been checked with Meta yet",
            portfolio.namespace, portfolio.name
        ),
    )
}

/// The portfolio's own wait: the same person can end both.
fn held(hold: &Hold) -> Block {
    let mut block = Block::new(hold.reason, hold.message.clone());
    block.failure.clone_from(&hold.failure);
    match hold.reason {
        // Of the portfolio's spec, not of this one.
        Reason::SpecInvalid => block.asks(Action::CorrectPortfolio),
        _ => block,
    }
}

/// The account, when it can be told and is fit for use. Fixes business and account in memory.
pub(super) fn account(pass: &Pass, memory: &mut Memory, view: &PortfolioView) -> Gate<AccountId> {
    let id = reach::choose(pass.desired, memory, view)
        .map_err(|why| Stop::block(unresolved(pass, memory, view, &why)))?;
    let account = match &pass.observed.account {
        Fact::Known(account) => account,
        Fact::Unknown(failure) => {
            return Err(Stop::block(say::unreadable(&format!("account {id}"), failure)));
        }
        Fact::NotAsked => return Err(Stop::look_again(format!("account {id} has not been read yet"))),
    };
    owner(pass, view, &id, account)?;
    country(view, &id, account)?;
    memory.business.get_or_insert_with(|| view.business.clone());
    memory.account.get_or_insert_with(|| id.clone());
    not_banned(&id, account)?;
    review(&id, account)?;
    status(&id, account)?;
    Ok(id)
}

fn unresolved(pass: &Pass, memory: &Memory, view: &PortfolioView, why: &NoAccount) -> Block {
    match why {
        NoAccount::NotGranted => not_usable(pass),
        NoAccount::PortfolioChanged => Block::new(
            Reason::PortfolioChanged,
            format!(
                "portfolioRef leads to business {}, but this channel was resolved in business {}; point it back, or delete the channel and create it anew (the number stays at Meta)",
                view.business,
                memory.business.as_ref().map_or("another", |id| id.as_str())
            ),
        ),
        NoAccount::AccountChanged => Block::new(
            Reason::AccountChanged,
            format!(
                "spec.accountId differs from account {}, in which this channel was resolved; set it back, or delete the channel and create it anew (the number stays at Meta)",
                memory.account.as_ref().map_or("", |id| id.as_str())
            ),
        ),
        NoAccount::NotInReach(id) => Block::new(
            Reason::AccountNotInReach,
            format!(
                "account {id} is not in reach of the portfolio's token, or may not be used from namespace {}; assign it to the system user, or have it added to the portfolio's spec.access",
                pass.desired.namespace
            ),
        ),
        NoAccount::Nothing => Block::new(
            Reason::NoAccountInReach,
            "no WhatsApp Business Account of the portfolio's own is in reach; create one in the business settings and assign it to the system user, or name a shared one in spec.accountId",
        ),
        NoAccount::Several(ids) => Block::new(
            Reason::AccountAmbiguous,
            format!(
                "{} accounts are in reach ({}); name one in spec.accountId",
                ids.len(),
                ids.iter().take(5).map(AccountId::as_str).collect::<Vec<_>>().join(", ")
            ),
        ),
        NoAccount::ReachUnknown => Block::new(
            Reason::AccountReachUnknown,
            "the token may not list accounts and names none; set spec.accountId",
        ),
        NoAccount::ReachUnread => Block::new(
            Reason::PortfolioNotReadYet,
            "the accounts in reach could not be read yet; they are asked for again by themselves",
        ),
    }
}

/// Only the spec may choose an account that belongs to another business.
fn owner(pass: &Pass, view: &PortfolioView, id: &AccountId, account: &Account) -> Gate {
    let foreign = account.owner.as_ref().filter(|owner| **owner != view.business);
    match foreign {
        Some(owner) if pass.desired.account.is_none() => Err(Stop::block(
            Block::new(
                Reason::AccountNotInReach,
                format!("account {id} belongs to business {owner} and is only shared with this one; name it in spec.accountId to use it"),
            )
            .asks(Action::NameAccount)
            .at(Page::Accounts),
        )),
        _ => Ok(()),
    }
}

fn country(view: &PortfolioView, id: &AccountId, account: &Account) -> Gate {
    match (&view.expect_country, &account.country) {
        (Some(expected), Some(actual)) if !expected.eq_ignore_ascii_case(actual) => {
            Err(Stop::block(Block::new(
                Reason::CountryMismatch,
                format!(
                    "account {id} is in country {actual}, the portfolio expects {expected}; nothing is written; use another account, or correct expect.country"
                ),
            )))
        }
        _ => Ok(()),
    }
}

/// Meta tells a ban only in the account's health.
fn not_banned(id: &AccountId, account: &Account) -> Gate {
    let entities = account.health.value().map(|health| health.entities.as_slice()).unwrap_or_default();
    let mut blocking = entities
        .iter()
        .filter(|entity| entity.can_send == Sendability::Blocked)
        .flat_map(|entity| &entity.errors);
    match blocking.find(|error| error.code == ACCOUNT_BANNED) {
        Some(error) => Err(Stop::block(Block::new(
            Reason::AccountDisabled,
            format!(
                "Meta banned account {id} (code {}: {}); appeal in Business Support Home",
                error.code,
                error.description.trim_end_matches('.')
            ),
        ))),
        None => Ok(()),
    }
}

fn review(id: &AccountId, account: &Account) -> Gate {
    let Some(review) = account.review.value() else { return Ok(()) };
    Err(Stop::block(match review {
        ReviewStatus::Approved => return Ok(()),
        ReviewStatus::Pending | ReviewStatus::Deferred => in_review(id, review.as_str()),
        ReviewStatus::Rejected => Block::new(
            Reason::AccountRejected,
            format!("Meta rejected account {id}; appeal in Business Support Home"),
        ),
        ReviewStatus::Restricted | ReviewStatus::LimitReached => restricted(id, review.as_str()),
        ReviewStatus::Other(word) => {
            remedy::not_known("account_review_status", word, &format!("account {id}"))
        }
    }))
}

fn status(id: &AccountId, account: &Account) -> Gate {
    let Some(status) = account.status.value() else { return Ok(()) };
    Err(Stop::block(match status {
        AccountStatus::Active => return Ok(()),
        AccountStatus::Pending => in_review(id, status.as_str()),
        AccountStatus::Restricted => restricted(id, status.as_str()),
        AccountStatus::Disabled | AccountStatus::Inactive => Block::new(
            Reason::AccountDisabled,
            format!("account {id} is {status}; only Meta can reinstate it, ask in Business Support Home"),
        ),
        AccountStatus::Other(word) => remedy::not_known("status", word, &format!("account {id}")),
    }))
}

fn in_review(id: &AccountId, word: &str) -> Block {
    Block::new(
        Reason::AccountInReview,
        format!(
            "account {id} is in Meta's review ({word}); nothing can be done with it until Meta approves it"
        ),
    )
}

fn restricted(id: &AccountId, word: &str) -> Block {
    Block::new(
        Reason::AccountRestricted,
        format!("account {id} is restricted by Meta ({word}); see why and appeal in Business Support Home"),
    )
}
