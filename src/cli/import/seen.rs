//! What Meta shows of a portfolio's accounts and numbers.

use std::collections::BTreeSet;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;

use crate::cli::{
    exit::Problem,
    plan::{portfolio::Known, unread::Unread},
};
use crate::engine::{
    failure::Failure,
    id::AccountId,
    look::Urgency,
    observed::{OtherApp, Subscribed},
    portfolio::{Reach, Reachable},
    timezone,
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

/// What an account has for all its numbers, which no channel of one of them says.
#[derive(Debug)]
pub struct About {
    account: AccountId,
    name: Option<String>,
    /// Meta's number of its time zone.
    time_zone: Option<String>,
    apps: Option<Subscribed>,
    pub unread: Vec<Unread>,
}

impl About {
    /// Reads it of each of these accounts. What a plan asked for meanwhile is not asked for again.
    pub async fn read(accounts: BTreeSet<AccountId>, known: &Known, now: Timestamp) -> Vec<Self> {
        let Some(graph) = &known.graph else { return Vec::new() };
        stream::iter(accounts)
            .map(|id| async move {
                let mut unread = Vec::new();
                let facts = graph.account(&id, now, Urgency::Person).await;
                let facts = told(facts, &format!("account {id}"), &mut unread);
                let apps = graph.subscribed(&id, now, Urgency::Person).await;
                let apps = told(apps, &format!("the apps that are subscribed to account {id}"), &mut unread);
                let (name, time_zone) =
                    facts.map(|facts| (facts.name.clone(), facts.timezone_id.clone())).unwrap_or_default();
                Self { account: id, name, time_zone, apps, unread }
            })
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    /// What stays as it is, line by line.
    pub fn comments(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.time_zone.as_deref().map(|id| {
            let name = timezone::name(id).map(|name| format!("{name}, ")).unwrap_or_default();
            format!("  its time zone ({name}number {id} of Meta's)")
        }));
        if let Some(apps) = &self.apps {
            lines.extend(
                apps.override_url
                    .as_deref()
                    .map(|url| format!("  its own webhook, for numbers that have none: {url}")),
            );
            lines.extend(apps.others.iter().map(|app| {
                let name = app.name.as_deref().map(|name| format!("{name:?}, ")).unwrap_or_default();
                let of = if app.name.as_deref() == Some(OtherApp::OF_META) {
                    "of Meta's"
                } else {
                    "of somebody else"
                };
                format!("  a subscribed app {of}, which gets every message too ({name}id {})", app.id)
            }));
        }
        if !lines.is_empty() {
            let name = self.name.as_deref().map(|name| format!(" {name:?}")).unwrap_or_default();
            lines.insert(
                0,
                format!("Of account {}{name} this stays as it is and is not managed:", self.account),
            );
        }
        lines
    }
}

/// What was read. That Meta does not show it to this token is an answer; anything else makes the import not whole.
fn told<T>(read: Result<T, Failure>, what: &str, unread: &mut Vec<Unread>) -> Option<T> {
    read.inspect_err(|failure| {
        if !failure.is_answer() {
            unread.push(Unread::new(what, failure.told()));
        }
    })
    .ok()
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
