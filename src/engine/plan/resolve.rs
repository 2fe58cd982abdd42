//! Portfolio and account: what has to hold before anything below is looked at.

use crate::engine::{
    plan::{
        pass::{Gate, Pass, Stop},
        remedy,
    },
    rule::{
        account::{Fitness, fitness, wrong_country},
        reach::{self, NoAccount},
        say,
    },
    value::{
        action::Action,
        block::Block,
        id::{AccountId, Fact},
        memory::Memory,
        observed::{Account, PortfolioState},
        page::Page,
        portfolio::{Hold, PortfolioView},
        reason::Reason,
    },
};

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
    let mut message = format!(
        "WhatsAppPortfolio {}/{} does not exist or may not be used from namespace {}; create it, or have this namespace added to its spec.access",
        portfolio.namespace, portfolio.name, pass.desired.namespace
    );
    if let Some(labels) = &pass.observed.process.labels {
        message
            .push_str(&format!("; this operator sees only what has the labels {labels}, so it needs those"));
    }
    Block::new(Reason::PortfolioNotUsable, message)
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

/// The account of a number that was found, whatever became of its fitness since.
pub(super) fn fixed_account(pass: &Pass, memory: &Memory, view: &PortfolioView) -> Gate<AccountId> {
    reach::choose(pass.desired, memory, view).map_err(|why| Stop::block(unresolved(pass, memory, view, &why)))
}

/// The account, when it can be told and is fit for use. Fixes business and account in memory.
pub(super) fn account(pass: &Pass, memory: &mut Memory, view: &PortfolioView) -> Gate<AccountId> {
    let id = fixed_account(pass, memory, view)?;
    let account = match &pass.observed.account {
        Fact::Known(account) => account,
        Fact::Unknown(failure) => {
            return Err(Stop::block(remedy::unreadable_account(&id, &format!("account {id}"), failure)));
        }
        Fact::NotAsked => return Err(Stop::look_again(format!("account {id} has not been read yet"))),
    };
    owner(pass, view, &id, account)?;
    country(view, &id, account)?;
    memory.business.get_or_insert_with(|| view.business.clone());
    memory.account.get_or_insert_with(|| id.clone());
    fit(&id, account)?;
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
        NoAccount::IsPortfolio(id) => remedy::not_an_account(id, "Business"),
        NoAccount::NotInReach(id) => Block::new(
            Reason::AccountNotInReach,
            format!(
                "account {id} is not in reach of the portfolio's token, or may not be used from namespace {}; assign it to the system user, or have it added to the portfolio's spec.access",
                pass.desired.namespace
            ),
        ),
        NoAccount::Nothing => Block::new(
            Reason::NoAccountInReach,
            format!(
                "no WhatsApp Business Account of the portfolio's own is in reach; {}, or name a shared one in spec.accountId",
                say::create_account(view.expect_country.as_deref())
            ),
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
        NoAccount::ReachUnread => remedy::reach_unread(),
    }
}

/// Only the spec may choose an account that belongs to another business, or to nobody knows whom.
fn owner(pass: &Pass, view: &PortfolioView, id: &AccountId, account: &Account) -> Gate {
    let message = match &account.owner {
        _ if pass.desired.account.is_some() => return Ok(()),
        Some(owner) if *owner == view.business => return Ok(()),
        Some(owner) => format!(
            "account {id} belongs to business {owner} and is only shared with this one; name it in spec.accountId to use it"
        ),
        None if reach::is_owned(view, id) => return Ok(()),
        None if reach::all(view).is_none() => return Err(Stop::block(remedy::reach_unread())),
        None => format!(
            "Meta does not tell which business account {id} belongs to; name it in spec.accountId to use it"
        ),
    };
    let block = Block::new(Reason::AccountNotInReach, message);
    Err(Stop::block(block.asks(Action::NameAccount).at(Page::Accounts)))
}

fn country(view: &PortfolioView, id: &AccountId, account: &Account) -> Gate {
    match wrong_country(id.as_str(), account, view.expect_country.as_deref()) {
        Some(message) => Err(Stop::block(Block::new(Reason::CountryMismatch, message))),
        None => Ok(()),
    }
}

/// Where Meta shows neither status nor review, the next step tells.
fn fit(id: &AccountId, account: &Account) -> Gate {
    match fitness(id.as_str(), account) {
        Fitness::Fit | Fitness::Untold => Ok(()),
        Fitness::Unfit(reason, message) => Err(Stop::block(Block::new(reason, message))),
        Fitness::NotKnown { field, word } => {
            Err(Stop::block(remedy::not_known(field, &word, &format!("account {id}"))))
        }
    }
}
