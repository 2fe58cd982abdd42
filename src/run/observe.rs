//! Look + Graph + Secrets → Observed. Gathers, never decides.
//!
//! A read that failed becomes a fact that says so; nothing here turns a failure into
//! an absence. What a Secret holds goes into [`Materials`], never into [`Observed`].

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use jiff::Timestamp;

use crate::{
    engine::{
        assess::portfolio::needs_proof,
        desired::{Desired, PictureSource, SecretKey},
        failure::{Failure, Refusal},
        id::{AccountId, Fact, Field, NumberId, UsernameStatus},
        look::{AccountLook, Look, Urgency},
        observed::{
            Account, Claim, ListState, Number, Observed, Official, PortfolioState, ProcessFacts, Profile,
            Searched, Stood, Subscribed, Username,
        },
        picture::{PictureFact, PictureRead, Shown},
        portfolio::{BusinessFacts, Reachable, TokenFacts},
        step::StepKind,
    },
    meta::port::{Clock, Graph, Listing},
    run::{
        picture::{self, Picture},
        secret::{Digits, Materials, SecretRead, Secrets, Volatile, digits_fact, token_fact},
    },
};

/// How many accounts of one look are read at the same time. The budget is shared anyway; this only bounds sockets.
const ACCOUNTS_AT_ONCE: usize = 16;

/// What is known of a channel before anybody looks, and becomes a part of what was observed.
#[derive(Clone, Debug)]
pub struct Circumstances {
    pub claim: Claim,
    pub portfolio: PortfolioState,
    pub process: ProcessFacts,
}

/// How many of the accounts that a token names are tried when its scopes are in doubt.
const TARGETS_TRIED: usize = 3;

/// Where a look reads from.
pub struct Sources<'a, G, S, C> {
    /// `None` while no credential is known to work; then every fact of Meta is unknown.
    pub graph: Option<&'a G>,
    pub secrets: &'a S,
    pub clock: &'a C,
    /// Codes that are no answer any more.
    pub seen: &'a Volatile,
}

/// Gathers what `look` asks for.
///
/// The last success in the process's facts moves when every list that was asked for
/// could be read.
pub async fn observe<G: Graph, S: Secrets, C: Clock>(
    desired: &Desired,
    look: &Look,
    given: Circumstances,
    sources: &Sources<'_, G, S, C>,
) -> (Observed, Materials) {
    let Sources { graph, secrets, clock, seen } = *sources;
    let Circumstances { claim, portfolio, mut process } = given;
    let begun = clock.now();
    let mut materials = Materials::default();
    let (meta, code_secret, pin_secret, verify_token, read) = futures::join!(
        read_meta(desired, look, graph),
        read_if(look.code_secret, secrets, Some(&desired.verification.code_secret)),
        read_if(look.pin_secret, secrets, Some(&desired.registration.pin_secret)),
        read_if(look.verify_token, secrets, desired.webhook.as_ref().map(|w| &w.verify_token)),
        read_picture(look, secrets, desired.picture.as_ref()),
    );
    process.looked_before = process.last_success;
    if meta.seen.is_some() {
        process.last_success = process.last_success.max(meta.seen);
    }
    process.stood = stood(look, &meta.search, process.stood);
    if let Some(shown) = meta.picture_shown {
        process.picture.shown = Some((clock.now(), shown));
    }
    if let Some((source, (fact, picture))) = desired.picture.clone().zip(read) {
        process.picture.read = Some(PictureRead { source, at: clock.now(), fact });
        materials.picture = picture;
    }
    let now = clock.now();
    let mut observed = Observed {
        claim,
        portfolio,
        account: meta.account,
        search: meta.search,
        other_apps: meta.subscribed.known().map(|apps| Arc::clone(&apps.others)).unwrap_or_default(),
        resubscribed: meta.subscribed.known().map(|apps| Arc::clone(&apps.again)).unwrap_or_default(),
        subscribed: meta.subscribed.map(|apps| apps.ours),
        profile: meta.profile,
        username: meta.username,
        official: meta.official,
        code_secret: digits_fact(Digits::Code, code_secret, &mut materials.code, |code| {
            seen.has_seen(code, now)
        }),
        pin_secret: digits_fact(Digits::Pin, pin_secret, &mut materials.pin, |pin| seen.is_pin(pin)),
        verify_token: token_fact(verify_token, &mut materials.verify_token),
        held: held(look, graph),
        attempts_unread: None,
        begun,
        process,
    };
    observed.process.pin_sent = materials.pin.as_ref().and_then(|pin| seen.sent_by(pin)).map(Into::into);
    (observed, materials)
}

/// Since when the number has read as it reads now. A look that failed shows nothing.
fn stood(look: &Look, search: &[Searched], before: Stood) -> Stood {
    let target = look.accounts.iter().find(|wanted| wanted.facts.is_some());
    let list = target.and_then(|target| search.iter().find(|searched| searched.account == target.account));
    let Some(Searched { list: ListState::Complete { begun }, numbers, .. }) = list else { return before };
    let is_it = |number: &&Arc<Number>| look.number.as_ref().is_none_or(|id| number.id == *id);
    numbers.iter().find(is_it).map(|number| before.after(number, *begun)).unwrap_or_default()
}

/// Asked after the reads, which count against the same budget.
fn held<G: Graph>(look: &Look, graph: Option<&G>) -> BTreeMap<StepKind, Timestamp> {
    let target = look.accounts.iter().find(|wanted| wanted.facts.is_some());
    let (Some(target), Some(graph)) = (target, graph) else { return BTreeMap::new() };
    let held = |kind| Some((kind, graph.held_until(&target.account, kind)?));
    StepKind::at_meta().filter_map(held).collect()
}

async fn read_if<S: Secrets>(wanted: bool, secrets: &S, key: Option<&SecretKey>) -> Option<SecretRead> {
    match key {
        Some(key) if wanted => Some(secrets.read(key).await),
        _ => None,
    }
}

async fn read_picture<S: Secrets>(
    look: &Look,
    secrets: &S,
    source: Option<&PictureSource>,
) -> Option<(PictureFact, Option<Picture>)> {
    let source = source.filter(|_| look.picture)?;
    Some(picture::checked(secrets.picture(source).await))
}

/// What Meta said in this look.
struct FromMeta {
    account: Fact<Arc<Account>>,
    search: Vec<Searched>,
    subscribed: Fact<Subscribed>,
    profile: Fact<Profile>,
    /// Whether the number has a picture, where that was read.
    picture_shown: Option<Shown>,
    username: Fact<Username>,
    official: Fact<Official>,
    /// Begin of the oldest list, if every list could be read.
    seen: Option<Timestamp>,
}

async fn read_meta<G: Graph>(desired: &Desired, look: &Look, graph: Option<&G>) -> FromMeta {
    let reads = stream::iter(look.accounts.clone())
        .map(|wanted| read_account(desired, look, wanted, graph))
        .buffered(ACCOUNTS_AT_ONCE)
        .collect::<Vec<_>>();
    let (reads, subscribed) = futures::join!(reads, read_subscription(look, graph));
    let mut account = Fact::NotAsked;
    let mut search = Vec::with_capacity(reads.len());
    for (searched, facts) in reads {
        if !matches!(facts, Fact::NotAsked) {
            account = facts;
        }
        search.push(searched);
    }
    let profile = read_profile(look, &search, graph).await;
    let picture_shown = picture_shown(look, graph).await;
    let username = read_username(look, &search, graph).await;
    let official = read_official(look, &search, graph).await;
    let seen = seen(&search);
    FromMeta { account, search, subscribed, profile, picture_shown, username, official, seen }
}

async fn picture_shown<G: Graph>(look: &Look, graph: Option<&G>) -> Option<Shown> {
    let (number, account) = look.picture_shown.as_ref().zip(look.accounts.first())?;
    shown(graph?.has_picture(&account.account, number, look.urgency).await)
}

/// A read that failed says nothing of the picture. `None`: Meta was not asked.
fn shown(read: Result<bool, Failure>) -> Option<Shown> {
    match read {
        Ok(true) => Some(Shown::Picture),
        Ok(false) => Some(Shown::NoPicture),
        Err(Failure::NotSent(_) | Failure::Throttled(_)) => None,
        Err(failure) => Some(Shown::Unknown(failure)),
    }
}

/// A look counts as a success when at least one list was read whole and none failed.
fn seen(search: &[Searched]) -> Option<Timestamp> {
    if search.iter().any(|s| matches!(s.list, ListState::Failed(_))) {
        return None;
    }
    search
        .iter()
        .filter_map(|s| match s.list {
            ListState::Complete { begun } => Some(begun),
            _ => None,
        })
        .min()
}

fn no_credential() -> Failure {
    Failure::NotSent("no credential of the portfolio is known to work".into())
}

async fn read_account<G: Graph>(
    desired: &Desired,
    look: &Look,
    wanted: AccountLook,
    graph: Option<&G>,
) -> (Searched, Fact<Arc<Account>>) {
    let nothing = |list| {
        let account = wanted.account.clone();
        Searched { account, list, numbers: Vec::new(), without_digits: Vec::new() }
    };
    let Some(graph) = graph else {
        let facts = if wanted.facts.is_some() { Fact::Unknown(no_credential()) } else { Fact::NotAsked };
        return (nothing(ListState::Failed(no_credential())), facts);
    };
    let facts = async {
        let Some(not_before) = wanted.facts else { return Fact::NotAsked };
        fact(graph.account(&wanted.account, not_before, look.urgency).await)
    };
    // The target is the one whose facts are read.
    let within = look.others_within.filter(|_| wanted.facts.is_none());
    let list = soon(within, graph.numbers(&wanted.account, wanted.not_before, look.urgency));
    let (list, facts) = futures::join!(list, facts);
    let searched = match list {
        Ok(list) => {
            let numbers = list.entries_of(&desired.number.canonical(), look.number.as_ref());
            let without_digits = list.without_digits.clone();
            let list = ListState::Complete { begun: list.begun };
            Searched { account: wanted.account.clone(), list, numbers, without_digits }
        }
        Err(failure) if is_not_checkable(&failure) => nothing(ListState::NotCheckable(failure)),
        Err(failure) => nothing(ListState::Failed(failure)),
    };
    (searched, facts)
}

/// A read that is not waited for goes on for whoever asks next.
async fn soon<T>(
    within: Option<Duration>,
    read: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(within) = within else { return read.await };
    let late = |_| Err(Failure::NotSent("it has not answered yet, and somebody waits for a code".into()));
    tokio::time::timeout(within, read).await.unwrap_or_else(late)
}

/// Refused for good: not for this token, no such object, or an account that Meta restricts (368) or locked (131031).
/// Waiting helps with none of these, and an account that cannot be read must not block all others.
fn is_not_checkable(failure: &Failure) -> bool {
    failure
        .refusal()
        .is_some_and(|refusal| refusal.is_answer() && (refusal.denies_object() || refusal.shuts_account()))
}

/// What a read of a portfolio's own facts gave.
#[derive(Clone, Debug, Default)]
pub struct PortfolioFacts {
    pub business: Fact<BusinessFacts>,
    pub owned: Fact<Arc<[Reachable]>>,
    pub client: Fact<Arc<[Reachable]>>,
    /// What newer lists have shown so far beyond these.
    pub seen: Vec<Reachable>,
}

/// Asks Meta about a portfolio and the accounts that it owns or shares, and waits for every page.
pub async fn portfolio_facts<G: Graph>(graph: &G, now: Timestamp, urgency: Urgency) -> PortfolioFacts {
    let owned = whole(now, || graph.owned_accounts(now, urgency));
    let client = whole(now, || graph.client_accounts(now, urgency));
    let (business, owned, client) = futures::join!(graph.business(urgency), owned, client);
    PortfolioFacts { business: fact(business), owned: fact(owned), client: fact(client), seen: Vec::new() }
}

/// Reads a list of accounts to its end, or to the first page that fails.
///
/// # Errors
///
/// The failure of that page.
pub async fn whole<R: Future<Output = Listing>>(
    not_before: Timestamp,
    page: impl Fn() -> R,
) -> Result<Arc<[Reachable]>, Failure> {
    loop {
        let listing = page().await;
        if let Some(list) = listing.since(not_before) {
            return Ok(Arc::clone(&list.accounts));
        }
        if let Some((failure, _)) = listing.held {
            return Err(failure);
        }
    }
}

/// Reads something for which the token needs its scopes, where what Meta says about it leaves a doubt: a page of a list of
/// accounts, else an account that the token names.
pub async fn prove<G: Graph>(graph: &G, token: &Fact<TokenFacts>, now: Timestamp) -> Fact<()> {
    if !needs_proof(token) {
        return Fact::NotAsked;
    }
    let listing = graph.owned_accounts(now, Urgency::Edit).await;
    let mut proof = listing.held.map_or(Fact::Known(()), |(failure, _)| Fact::Unknown(failure));
    let is_denied = |proof: &Fact<()>| matches!(proof, Fact::Unknown(failure) if failure.refusal().is_some_and(Refusal::is_permission));
    if !is_denied(&proof) {
        return proof;
    }
    let targets = token.known().and_then(|facts| facts.targets.as_deref()).unwrap_or_default();
    for account in targets.iter().take(TARGETS_TRIED) {
        proof = fact(graph.account(account, now, Urgency::Edit).await.map(|_| ()));
        // One that is gone proves nothing.
        if matches!(proof, Fact::Known(())) {
            break;
        }
    }
    proof
}

/// A read that failed is a fact that says so.
pub fn fact<T>(read: Result<T, Failure>) -> Fact<T> {
    read.map_or_else(Fact::Unknown, Fact::Known)
}

/// Who needs no read of it takes what others read.
async fn read_subscription<G: Graph>(look: &Look, graph: Option<&G>) -> Fact<Subscribed> {
    let Some(account) = &look.subscription else {
        let target = look.accounts.iter().find(|wanted| wanted.facts.is_some());
        let known = target.zip(graph).and_then(|(wanted, graph)| graph.subscribed_known(&wanted.account));
        return known.map_or(Fact::NotAsked, |apps| Fact::Known(Subscribed::clone(&apps)));
    };
    let Some(graph) = graph else { return Fact::Unknown(no_credential()) };
    let not_before = look
        .accounts
        .iter()
        .find(|wanted| wanted.account == *account)
        .map_or(Timestamp::MIN, |wanted| wanted.not_before);
    fact(graph.subscribed(account, not_before, look.urgency).await)
}

/// The profile from the list where Meta grants the expansion, else by a read of its own.
async fn read_profile<G: Graph>(look: &Look, search: &[Searched], graph: Option<&G>) -> Fact<Profile> {
    let Some((number, max_age)) = &look.profile else { return Fact::NotAsked };
    let mut account: Option<&AccountId> = None;
    for searched in search {
        if let Some(found) = searched.numbers.iter().find(|n| n.id == *number) {
            if let Field::Is(profile) = &found.profile {
                return Fact::Known((**profile).clone());
            }
            account = Some(&searched.account);
        }
    }
    let account = account.or_else(|| look.accounts.first().map(|wanted| &wanted.account));
    match (account, graph) {
        (Some(account), Some(graph)) => fact(graph.profile(account, number, *max_age, look.urgency).await),
        (None, _) => Fact::Unknown(Failure::NotSent("no account was read".into())),
        (_, None) => Fact::Unknown(no_credential()),
    }
}

/// The entry of a number, and its account; the account that was looked at first, where no list has it.
fn entry<'a>(
    look: &'a Look,
    search: &'a [Searched],
    number: &NumberId,
) -> Option<(&'a AccountId, Option<&'a Number>)> {
    let mut found = search.iter().filter_map(|searched| {
        let entry = searched.numbers.iter().find(|entry| entry.id == *number)?;
        Some((&searched.account, Some(&**entry)))
    });
    found.next().or_else(|| look.accounts.first().map(|wanted| (&wanted.account, None)))
}

/// The username by a read of its own, unless the list shows the one that people were seen to be able to see.
async fn read_username<G: Graph>(look: &Look, search: &[Searched], graph: Option<&G>) -> Fact<Username> {
    let Some(wanted) = &look.username else { return Fact::NotAsked };
    let Some((account, entry)) = entry(look, search, &wanted.number) else { return Fact::NotAsked };
    let Some(graph) = graph else { return Fact::Unknown(no_credential()) };
    let last = wanted.last.name.as_deref();
    let is_final = wanted.last.status == Some(UsernameStatus::Approved);
    let max_age = match entry.map(|entry| &entry.username) {
        Some(Field::Is(name))
            if last == Some(name.as_str()) && is_final && wanted.max_age > Duration::ZERO =>
        {
            return Fact::Known(wanted.last.clone());
        }
        Some(Field::Is(name)) if last != Some(name.as_str()) => wanted.if_changed,
        Some(Field::Absent) if is_final && last.is_some() => wanted.if_changed,
        _ => wanted.max_age,
    };
    fact(graph.username(account, &wanted.number, max_age, look.urgency).await)
}

/// What becomes of a request for an official business account, where the list does not show it.
async fn read_official<G: Graph>(look: &Look, search: &[Searched], graph: Option<&G>) -> Fact<Official> {
    let Some((number, max_age)) = &look.official else { return Fact::NotAsked };
    match (entry(look, search, number), graph) {
        (None, _) => Fact::NotAsked,
        (Some((_, Some(entry))), _) if entry.official.value().is_some() => Fact::NotAsked,
        (Some(_), None) => Fact::Unknown(no_credential()),
        (Some((account, _)), Some(graph)) => {
            fact(graph.official(account, number, *max_age, look.urgency).await)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::failure::Class;

    #[test]
    fn an_account_that_is_hidden_or_shut_for_good_is_not_checkable_and_any_other_failure_holds_up() {
        use crate::engine::{failure::Refusal, fixture::refusal};
        let refused = |code, subcode, class| {
            is_not_checkable(&Failure::Refused(Refusal { class, ..refusal(code, subcode, "T1") }))
        };
        for (code, subcode) in
            [(10, None), (33, None), (100, Some(33)), (200, None), (803, None), (131_005, None)]
        {
            assert!(refused(code, subcode, Class::Credentials), "{code}");
        }
        for code in [368, 131_031] {
            assert!(refused(code, None, Class::Person), "{code}");
        }
        for (code, class) in [(1, Class::Retry), (80_008, Class::WaitUntil), (190, Class::Credentials)] {
            assert!(!refused(code, None, class), "{code}");
        }
        assert!(!is_not_checkable(&Failure::NoAnswer("time-out".into())));
    }

    #[test]
    fn a_read_that_failed_shows_neither_a_picture_nor_none() {
        assert_eq!(shown(Ok(true)), Some(Shown::Picture));
        assert_eq!(shown(Ok(false)), Some(Shown::NoPicture));
        let refused = Failure::Refused(crate::engine::fixture::refusal(100, Some(33), "T1"));
        for failure in [refused, Failure::NoAnswer("time-out".into()), Failure::TooLarge("5 MB".into())] {
            assert_eq!(shown(Err(failure.clone())), Some(Shown::Unknown(failure)));
        }
        for failure in [Failure::NotSent("no route".into()), Failure::Throttled(Timestamp::UNIX_EPOCH)] {
            assert_eq!(shown(Err(failure)), None);
        }
    }
}
