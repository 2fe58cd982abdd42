//! Which account a channel uses, told from what the portfolio reaches and grants.
//!
//! Shared by `look`, which must know what to read, and `plan`, which must say why not.

use std::time::Duration;

use crate::engine::value::{
    desired::Desired,
    id::AccountId,
    limits::Limits,
    memory::Memory,
    portfolio::{PortfolioView, Reach, Reachable},
};

/// Why no account can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAccount {
    /// The portfolio may not be used from the channel's namespace.
    NotGranted,
    /// The portfolio object leads to another business than the one fixed in status.
    PortfolioChanged,
    /// The spec names another account than the one fixed in status.
    AccountChanged,
    /// The spec names the portfolio in the place of an account.
    IsPortfolio(AccountId),
    /// The account is not in reach, or `access` does not give it.
    NotInReach(AccountId),
    /// Nothing owned is in reach.
    Nothing,
    /// Several are; the ids that `access` gives.
    Several(Vec<AccountId>),
    /// The token tells no accounts, so the spec must name one.
    ReachUnknown,
    /// Not read yet.
    ReachUnread,
}

/// Tells the account: the one fixed in status, else the one in the spec, else the only owned one.
///
/// # Errors
///
/// Says why there is none to act on.
pub fn choose(desired: &Desired, memory: &Memory, view: &PortfolioView) -> Result<AccountId, NoAccount> {
    let granted = view.granted(&desired.namespace).ok_or(NoAccount::NotGranted)?;
    if let Some(id) = desired.account.as_ref().filter(|id| id.as_str() == view.business.as_str()) {
        return Err(NoAccount::IsPortfolio(id.clone()));
    }
    if memory.business.as_ref().is_some_and(|fixed| *fixed != view.business) {
        return Err(NoAccount::PortfolioChanged);
    }
    if let (Some(fixed), Some(wanted)) = (&memory.account, &desired.account)
        && fixed != wanted
    {
        return Err(NoAccount::AccountChanged);
    }
    match memory.account.as_ref().or(desired.account.as_ref()) {
        Some(id) => named(id, granted.as_deref(), &view.reach),
        None => only_owned(granted.as_deref(), &view.reach),
    }
}

/// Every account that the token reaches, granted or not: the number must be in none of them before an add. `None` while
/// they are not all read.
pub fn all(view: &PortfolioView) -> Option<&[Reachable]> {
    match &view.reach {
        Reach::Accounts(list) => Some(list),
        Reach::Unknown => Some(&[]),
        Reach::Owned(_) | Reach::Unread => None,
    }
}

/// Whether Meta lists the account as one of the portfolio's own.
pub fn is_owned(view: &PortfolioView, id: &AccountId) -> bool {
    let listed: &[Reachable] = match &view.reach {
        Reach::Accounts(list) | Reach::Owned(list) => list,
        Reach::Unknown | Reach::Unread => &[],
    };
    listed.iter().any(|account| account.id == *id && account.owned == Some(true))
}

/// Whether a namespace may know and use the account.
pub fn is_granted(view: &PortfolioView, namespace: &str, id: &AccountId) -> bool {
    view.granted(namespace).is_some_and(|granted| allows(granted.as_deref(), id))
}

fn allows(granted: Option<&[AccountId]>, id: &AccountId) -> bool {
    granted.is_none_or(|list| list.contains(id))
}

fn named(id: &AccountId, granted: Option<&[AccountId]>, reach: &Reach) -> Result<AccountId, NoAccount> {
    let listed = match reach {
        // Meta did not list the portfolio's own accounts, so what the token tells of its targets is a hint: one that was
        // assigned since is read all the same, and Meta's answer to that read decides.
        Reach::Accounts(list) => list.iter().any(|account| account.id == *id || account.owned.is_none()),
        // On a page that is not read yet, it may be.
        Reach::Owned(_) | Reach::Unknown | Reach::Unread => true,
    };
    if allows(granted, id) && listed { Ok(id.clone()) } else { Err(NoAccount::NotInReach(id.clone())) }
}

fn only_owned(granted: Option<&[AccountId]>, reach: &Reach) -> Result<AccountId, NoAccount> {
    let list = match reach {
        Reach::Accounts(list) | Reach::Owned(list) => list,
        Reach::Unknown => return Err(NoAccount::ReachUnknown),
        Reach::Unread => return Err(NoAccount::ReachUnread),
    };
    let mut owned: Vec<_> = list
        .iter()
        .filter(|a| a.owned != Some(false) && allows(granted, &a.id))
        .map(|a| a.id.clone())
        .collect();
    owned.sort();
    owned.dedup();
    match owned.len() {
        0 => Err(NoAccount::Nothing),
        1 => Ok(owned.remove(0)),
        _ => Err(NoAccount::Several(owned)),
    }
}

/// How old the lists of other accounts may be for an add, where there are so many that they cannot all be read within the
/// minute that it is given: a second for each. The list of the account itself is as fresh as ever.
pub(in crate::engine) fn slack(view: &PortfolioView, limits: &Limits) -> Option<Duration> {
    let accounts = u64::try_from(all(view).unwrap_or_default().len()).unwrap_or(u64::MAX);
    let slack = Duration::from_secs(accounts);
    (slack > limits.fresh_for_add).then(|| slack.min(limits.fresh_portfolio))
}
