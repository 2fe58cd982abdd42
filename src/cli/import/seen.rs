//! What Meta shows of a portfolio's accounts and numbers.

use futures::{StreamExt as _, stream};
use jiff::Timestamp;

use crate::cli::{
    exit::Problem,
    plan::{portfolio::Known, unread::Unread},
};
use crate::engine::{
    id::AccountId,
    look::Urgency,
    portfolio::{Reach, Reachable},
};
use crate::meta::port::Graph as _;

use super::sort::Entry;

/// How many lists are read at the same time.
const AT_ONCE: usize = 8;

/// Accounts by id with what their lists hold.
#[derive(Debug)]
pub struct Seen {
    pub accounts: Vec<Reachable>,
    pub entries: Vec<Entry>,
    pub unread: Vec<Unread>,
}

impl Seen {
    /// Reads the list of every account in reach, or of those that are asked for.
    ///
    /// # Errors
    ///
    /// When nothing can be read with these credentials, or it is not known which accounts there are.
    pub async fn read(asked: &[String], known: &Known, now: Timestamp) -> Result<Self, Problem> {
        let view = &known.assessment.view;
        if let Some(hold) = &view.hold {
            return Err(Problem::new(hold.message.clone()).next(CHECK));
        }
        let Some(graph) = &known.graph else {
            let why: Vec<_> =
                known.unread.iter().map(|unread| format!("{}: {}", unread.what, unread.why)).collect();
            return Err(Problem::new(format!("nothing can be read; {}", why.join("; "))).next(CHECK));
        };
        let mut unread = known.unread.clone();
        let listed: &[Reachable] = match &view.reach {
            Reach::Accounts(list) | Reach::Owned(list) => list,
            Reach::Unknown | Reach::Unread => &[],
        };
        let (accounts, beyond) = match asked {
            [] => (listed.to_vec(), Vec::new()),
            asked => chosen(asked, &view.reach, listed),
        };
        unread.extend(beyond.iter().map(|id| {
            let why = "the portfolio neither owns this account nor shares it, so no channel of the portfolio may use it";
            Unread::new(format!("the numbers of account {id}"), why)
        }));
        if accounts.is_empty() && beyond.is_empty() {
            return Err(nothing(&view.reach, &unread));
        }
        let lists: Vec<_> = stream::iter(accounts.iter().cloned())
            .map(|account| async move {
                let list = graph.numbers(&account.id, now, Urgency::Person).await;
                (account, list)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut entries = Vec::new();
        for (account, list) in lists {
            let is_owned = account.owned == Some(true);
            match list {
                Ok(list) => {
                    entries.extend(list.numbers.values().flatten().chain(&list.without_digits).map(
                        |number| Entry { account: account.id.clone(), is_owned, number: number.clone() },
                    ));
                }
                Err(failure) => {
                    unread
                        .push(Unread::new(format!("the numbers of account {}", account.id), failure.told()));
                }
            }
        }
        Ok(Self { accounts, entries, unread })
    }
}

const CHECK: &str = "check the token, and that --business is the portfolio that it is for; whatsapp-operator explain CODE tells more of an error of Meta's";

/// The accounts that are asked for, and those of them that are beyond a reach that is known.
fn chosen(asked: &[String], reach: &Reach, listed: &[Reachable]) -> (Vec<Reachable>, Vec<AccountId>) {
    let mut ids: Vec<AccountId> = asked.iter().map(|id| AccountId::new(id.as_str())).collect();
    ids.sort();
    ids.dedup();
    let mut beyond = Vec::new();
    let mut accounts = Vec::new();
    for id in ids {
        match listed.iter().find(|account| account.id == id) {
            Some(account) => accounts.push(account.clone()),
            None if matches!(reach, Reach::Accounts(_)) => beyond.push(id),
            None => accounts.push(Reachable { id, name: None, owned: None }),
        }
    }
    (accounts, beyond)
}

fn nothing(reach: &Reach, unread: &[Unread]) -> Problem {
    match reach {
        Reach::Accounts(_) | Reach::Owned(_) => {
            Problem::new("the token reaches no WhatsApp Business Account of this portfolio")
                .next("assign accounts to the token's system user in Business settings, System users; or name one with --account ID")
        }
        Reach::Unknown => Problem::new("the token may not list the portfolio's accounts, and names none itself")
            .next("name each account with --account ID; ids are in Business settings, WhatsApp accounts"),
        Reach::Unread => {
            let why: Vec<_> = unread.iter().map(|unread| format!("{}: {}", unread.what, unread.why)).collect();
            Problem::new(format!("the portfolio's accounts could not be listed; {}", why.join("; ")))
                .next("try again, or name each account with --account ID")
        }
    }
}
