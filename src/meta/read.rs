//! Reads: lists to their last page, and what is left of a read when Meta refuses some of its fields.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{
    bounded::Room,
    budget::Claim,
    call::{Call, Trouble},
    client::GraphClient,
    edge::Edge,
    json,
    listing::{AccountsPage, Position},
    port::NumberList,
    refused::{Asker, Ground},
    wire::{self, Asked, Fields, Next},
};
use crate::engine::{
    failure::{Failure, Refusal},
    id::{AccountId, AppId, NumberId, PlatformType},
    look::Urgency,
    observed::{Account, Official, OtherApp, Profile, Subscribed, Username, WebhookConfiguration},
    portfolio::{AppSubscription, BusinessFacts, TokenFacts},
    spelling::Canonical,
    time::later,
};

/// Entries of a page: the most that Meta gives.
const PAGE: &str = "100";
/// Enough of a list to hear whether Meta refuses a field.
const ONE: &str = "1";
/// What one list has at most; a list beyond it is refused instead of cut short. A number with its profile has some 3 KiB.
const ROOM: Room = Room { entries: 10_000, bytes: 64 * 1024 * 1024, pages: 50 };
/// What a number of a list has in memory beside itself and its texts: its profile and webhook, and its place in the list.
const BESIDE: usize = size_of::<Profile>() + size_of::<WebhookConfiguration>() + 128;
/// When a list is read again that found no room beside others.
const ROOM_AGAIN: Duration = Duration::from_secs(10);

/// Names of fields.
type Names = BTreeSet<&'static str>;

/// What a refusal of a read says about the fields that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    /// This one is refused.
    Field(&'static str),
    /// One of them may be refused, and none is named.
    Unnamed,
    /// Nothing. Also where the id belongs to an object of another type, which has none of the fields.
    Other,
}

impl Blame {
    fn of(trouble: &Trouble, fields: &Fields) -> Self {
        match &trouble.nonexisting {
            None if trouble.may_be_about_a_field() => Self::Unnamed,
            None => Self::Other,
            Some(none) if none.node_type.as_ref().is_some_and(|node| node != fields.node_type) => Self::Other,
            Some(none) => match fields.asked_as(&none.field) {
                Some(name) if !fields.needs(name) => Self::Field(name),
                _ => Self::Other,
            },
        }
    }
}

/// Adds the members of an answer to those of another.
fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}

/// The reads that ask for more than everybody is shown.
const WITH_EXTRAS: [(Edge, &Fields); 3] =
    [(Edge::Business, &wire::BUSINESS), (Edge::Account, &wire::ACCOUNT), (Edge::Numbers, &wire::NUMBER)];

/// A list that was read to its end.
struct Listed<T> {
    entries: Vec<T>,
    /// About as many as they have in memory.
    bytes: usize,
}

impl GraphClient {
    /// Sends a read that asks for fields, and leaves out those that Meta refuses: now and for a day. One that is left out
    /// because of an unknown error is asked for again soon, and left out for a day if the same happens.
    ///
    /// A refusal that names a field, or that is known to come from one, costs one more call. After any other refusal
    /// that may be about a field the fields are tried by themselves. `page` is the number of entries, of a list.
    /// `skipped` holds what the answer does not tell.
    async fn read_fields(
        &self,
        call: &mut Call<'_>,
        fields: &'static Fields,
        page: Option<&'static str>,
        skipped: &mut Names,
    ) -> Result<Value, Failure> {
        let _first = match call.claim {
            Claim::Read(Urgency::Person) => None,
            _ => self.inner.refused.wait_for_the_first(&self.asker(call, None)).await,
        };
        let begun = self.now();
        let answer = self.read_shown(call, fields, page, skipped).await?;
        let shown = fields.all().map(|field| field.name).filter(|name| !skipped.contains(name)).collect();
        self.inner.refused.note_answer(&self.askers(call), &shown, begun, self.now());
        Ok(answer)
    }

    async fn read_shown(
        &self,
        call: &mut Call<'_>,
        fields: &'static Fields,
        page: Option<&'static str>,
        skipped: &mut Names,
    ) -> Result<Value, Failure> {
        if self.inner.refused.is_object(&self.asker(call, None), self.now()) {
            self.read_needed(call, fields, page).await?;
        }
        skipped.extend(self.inner.refused.fields(&self.askers(call), self.now()));
        let mut suspected = None;
        loop {
            let asked = fields.all().filter(|field| !skipped.contains(field.name));
            let trouble = match self.ask(call, page, asked).await {
                Ok(answer) => {
                    if let Some((name, code)) = suspected {
                        self.remember_field(call, name, code);
                    }
                    return Ok(answer);
                }
                Err(trouble) => trouble,
            };
            let suspect = fields.suspect.as_ref().filter(|suspect| !skipped.contains(suspect.name));
            match (Blame::of(&trouble, fields), suspect) {
                (Blame::Field(name), _) if skipped.insert(name) => {
                    self.remember_field(call, name, trouble.code());
                }
                (Blame::Unnamed | Blame::Other, Some(suspect)) if trouble.may_blame(suspect) => {
                    skipped.insert(suspect.name);
                    suspected = Some((suspect.name, trouble.code()));
                }
                (Blame::Unnamed, _) => break,
                _ => return Err(trouble.into_failure()),
            }
        }
        if let Some((name, _)) = suspected {
            skipped.remove(name);
        }
        self.read_by_parts(call, fields, page, skipped).await
    }

    /// Reads what is needed alone, then the core, then each of the other fields by itself. Of an object the parts make
    /// the answer. Of a list they tell what to ask for: an entry by itself is no whole list.
    ///
    /// When calls are held back on the way, what was not asked for is left out of this answer, and is not remembered.
    async fn read_by_parts(
        &self,
        call: &mut Call<'_>,
        fields: &'static Fields,
        page: Option<&'static str>,
        skipped: &mut Names,
    ) -> Result<Value, Failure> {
        let mut answer = self.read_needed(call, fields, page).await?;
        let mut told: Names = fields.needed.iter().map(|field| field.name).collect();
        let mut shown = told.clone();
        let mut blamed = skipped.clone();
        let (mut is_through, mut is_apart) = (true, false);
        let extra = fields.extra.iter().map(|field| vec![field]);
        let mut parts: VecDeque<Vec<&'static Asked>> =
            std::iter::once(fields.core.iter().collect()).chain(extra).collect();
        while let Some(mut part) = parts.pop_front() {
            part.retain(|field| !blamed.contains(field.name));
            let Some(first) = part.first() else { continue };
            let is_single = part.len() == 1;
            let entries = page.map(|page| if is_single { ONE } else { page });
            let trouble =
                match self.ask(call, entries, fields.needed.iter().chain(part.iter().copied())).await {
                    Ok(more) => {
                        shown.extend(part.iter().map(|field| field.name));
                        match page {
                            None => merge(&mut answer, more),
                            Some(_) if is_single => continue,
                            Some(_) => answer = more,
                        }
                        told.clone_from(&shown);
                        continue;
                    }
                    Err(trouble) => trouble,
                };
            match Blame::of(&trouble, fields) {
                Blame::Field(name) if blamed.insert(name) => {
                    self.remember_field(call, name, trouble.code());
                    parts.push_front(part);
                }
                Blame::Unnamed if is_single => {
                    blamed.insert(first.name);
                    self.remember_field(call, first.name, trouble.code());
                }
                Blame::Unnamed => part.into_iter().rev().for_each(|field| parts.push_front(vec![field])),
                _ => {
                    is_through = false;
                    break;
                }
            }
        }
        // Nothing is to be blamed: the refusal has passed, or the fields are shown by themselves alone.
        let is_doubtful = is_through && blamed == *skipped;
        if is_doubtful || (page.is_some() && shown.len() > told.len()) {
            match self.ask(call, page, fields.all().filter(|field| shown.contains(field.name))).await {
                Ok(whole) => (answer, told) = (whole, shown),
                Err(trouble) => is_apart = Blame::of(&trouble, fields) == Blame::Unnamed,
            }
        }
        if is_doubtful && is_apart {
            let apart = fields.extra.iter().filter(|field| !blamed.contains(field.name));
            apart.for_each(|field| self.remember_field(call, field.name, None));
        }
        skipped.extend(fields.all().map(|field| field.name).filter(|name| !told.contains(name)));
        Ok(answer)
    }

    /// Reads an object, or a list, without anything that could be left out, and remembers whether Meta shows it.
    async fn read_needed(
        &self,
        call: &mut Call<'_>,
        fields: &'static Fields,
        page: Option<&'static str>,
    ) -> Result<Value, Failure> {
        let answer = self.ask(call, page, fields.needed.iter()).await;
        let is_refused = answer.as_ref().err().is_some_and(Trouble::may_be_about_a_field);
        if is_refused || answer.is_ok() {
            self.inner.refused.remember_object(self.asker(call, None), is_refused, self.now());
        }
        answer.map_err(Trouble::into_failure)
    }

    /// Sends a read for these fields.
    async fn ask(
        &self,
        call: &mut Call<'_>,
        page: Option<&str>,
        fields: impl Iterator<Item = &Asked>,
    ) -> Result<Value, Trouble> {
        let expressions: Vec<_> = fields.map(|field| field.expression).collect();
        call.query.retain(|(key, _)| !["limit", "fields"].contains(key));
        call.query.extend(page.map(|page| ("limit", page.to_owned())));
        call.query.push(("fields", expressions.join(",")));
        self.call(call).await
    }

    /// Who is refused something by this call. A code that speaks of the app or of its business, and not of the account,
    /// holds for all accounts.
    fn asker(&self, call: &Call<'_>, code: Option<i64>) -> Asker {
        let is_of_app = matches!(code, Some(3 | 10));
        Asker { payer: self.payer(), edge: call.edge, account: call.account.filter(|_| !is_of_app).cloned() }
    }

    fn remember_field(&self, call: &Call<'_>, name: &'static str, code: Option<i64>) {
        // Code 1 is Meta's unknown error, which the field need not have caused.
        let ground = if code == Some(1) { Ground::Suspected } else { Ground::Refused };
        self.inner.refused.remember_field(self.asker(call, code), name, ground, self.now());
    }

    /// Whoever a call may have been refused something as: for this account, as the app, and as the credential before its
    /// app was known.
    fn askers(&self, call: &Call<'_>) -> [Asker; 4] {
        let account = self.asker(call, None);
        let of_all = |asker: &Asker| Asker { account: None, ..asker.clone() };
        let unknown = Asker { payer: self.before_its_app(), ..account.clone() };
        [of_all(&account), of_all(&unknown), account, unknown]
    }

    /// What Meta refuses to the app, by the type of the object. A type of which nothing was read yet is not there.
    pub(super) fn all_refused(&self) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        let payers = [self.payer(), self.before_its_app()];
        let of =
            |(edge, fields): (Edge, &Fields)| Some((fields.node_type, self.inner.refused.of(&payers, edge)?));
        WITH_EXTRAS.into_iter().filter_map(of).collect()
    }

    /// Reads every page of a list, or fails: a part never passes for the whole. Of each entry no more is kept than `keep`
    /// makes of it; an entry of which it makes nothing fails the list.
    async fn list<T>(
        &self,
        mut call: Call<'_>,
        fields: Option<&'static Fields>,
        keep: impl Fn(&Value, &Names) -> Result<T, &'static str>,
    ) -> Result<Listed<T>, Failure> {
        let (mut entries, mut skipped, mut seen) = (Vec::new(), Names::new(), HashSet::new());
        let (mut room, mut share, mut kept) = (ROOM, self.inner.together.share(), 0);
        let (edge, account) = (call.edge.as_str(), call.account.map(AccountId::as_str));
        let (business, repeats) = (&self.credential.business, &self.inner.repeats);
        let too_large = |why: String| {
            if let Some(repeated) = repeats.tell(&format!("list of {edge}: {why}")) {
                tracing::warn!(edge, %business, account, why, repeated, "a list cannot be read");
            }
            Failure::TooLarge(why)
        };
        // Nobody is to blame, least of all Meta.
        let too_many = || {
            if let Some(repeated) = repeats.tell(&format!("no room for a list of {edge}")) {
                tracing::warn!(edge, %business, account, repeated, "large lists are being read; this one is read later");
            }
            Failure::NoRoom(later(self.now(), ROOM_AGAIN))
        };
        loop {
            let answer = if let Some(fields) = fields {
                self.read_fields(&mut call, fields, Some(PAGE), &mut skipped).await?
            } else {
                call.query.retain(|(key, _)| *key != "limit");
                call.query.push(("limit", PAGE.to_owned()));
                self.call(&call).await.map_err(Trouble::into_failure)?
            };
            let (page, next) =
                wire::page(&answer).ok_or_else(|| Failure::NoAnswer("Meta's answer is not a list".into()))?;
            let bytes = json::weight(&answer);
            room.take(page.len(), bytes, &ROOM).map_err(too_large)?;
            if !share.hold(kept + bytes).await {
                return Err(too_many());
            }
            for entry in page {
                kept += size_of::<T>() + json::texts(entry);
                entries.push(keep(entry, &skipped).map_err(|why| Failure::NoAnswer(why.into()))?);
            }
            let cursor = match next {
                Next::End => return Ok(Listed { entries, bytes: kept }),
                Next::After(_) if room.pages == 0 => return Err(too_large(ROOM.pages_told())),
                Next::After(next) if seen.insert(next.clone()) => next,
                Next::After(_) => return Err(Failure::NoAnswer("Meta's list goes in a circle".into())),
                Next::Lost => return Err(Failure::NoAnswer("Meta's list goes on without a cursor".into())),
            };
            drop(answer);
            // Before it is paid for: the next page is like this one.
            if !share.hold(kept + bytes).await {
                return Err(too_many());
            }
            call.query.retain(|(key, _)| *key != "after");
            call.query.push(("after", cursor));
        }
    }

    /// What Meta tells about the token, and so its app.
    pub(super) async fn read_token(&self) -> Result<TokenFacts, Failure> {
        let mut call = Call::read(Edge::DebugToken, None, "", Claim::Read(Urgency::Edit));
        call.query.push(("input_token", self.credential.token.expose_secret().to_owned()));
        call.secret = Some(&self.credential.token);
        let answer = match (self.call(&call).await, self.of_app()) {
            (Ok(answer), _) => answer,
            // Meta does not let this token inspect itself; its app may. What is wrong with the app's own call says
            // nothing about the token.
            (Err(trouble), Some(app))
                if trouble.failure.refusal().is_some_and(Refusal::refuses_inspection) =>
            {
                app.call(&call).await.map_err(|_| trouble.into_failure())?
            }
            (Err(trouble), _) => return Err(trouble.into_failure()),
        };
        let now = self.now();
        let facts = answer
            .get("data")
            .and_then(|data| wire::token(data, |e| self.refusal(e, &call, StatusCode::OK, None, now)))
            .ok_or_else(|| Failure::NoAnswer("Meta's answer says nothing about the token".into()))?;
        if let Some(app) = &facts.app {
            self.inner.apps.learn(&self.credential, app, now);
        }
        Ok(facts)
    }

    pub(super) async fn read_business(&self, urgency: Urgency) -> Result<BusinessFacts, Failure> {
        let business = self.credential.business.as_str();
        let mut call = Call::read(Edge::Business, None, business, Claim::Read(urgency));
        let answer = self.read_fields(&mut call, &wire::BUSINESS, None, &mut Names::new()).await?;
        match json::text(&answer, "id") {
            Some(id) if id == business => Ok(wire::business(&answer)),
            _ => Err(Failure::NoAnswer("Meta's answer is about another portfolio".into())),
        }
    }

    /// One page of a list of accounts. Which fields Meta refuses is found out on the first: a refusal of a later one may be
    /// about its cursor.
    pub(super) async fn read_accounts(
        &self,
        edge: Edge,
        mut from: Position,
        urgency: Urgency,
    ) -> Result<AccountsPage, Failure> {
        let business = self.credential.business.as_str();
        let mut call = Call::read(edge, None, business, Claim::Read(urgency));
        let (mut share, is_first) = (self.inner.together.share(), from.after.is_none());
        let no_room = || Failure::NoRoom(later(self.now(), ROOM_AGAIN));
        // Before it is paid for: it is like the one before.
        if !is_first && !share.hold(from.bytes).await {
            return Err(no_room());
        }
        let answer = match from.after {
            None => self.read_fields(&mut call, &wire::REACHABLE, Some(PAGE), &mut from.skipped).await?,
            Some(cursor) => {
                call.query.push(("after", cursor));
                let asked = wire::REACHABLE.all().filter(|field| !from.skipped.contains(field.name));
                self.ask(&mut call, Some(PAGE), asked).await.map_err(Trouble::into_failure)?
            }
        };
        let bytes = json::weight(&answer);
        if !share.hold(bytes).await {
            return Err(no_room());
        }
        let (entries, next) =
            wire::page(&answer).ok_or_else(|| Failure::NoAnswer("Meta's answer is not a list".into()))?;
        let owned = edge == Edge::OwnedAccounts;
        let accounts: Option<_> = entries.iter().map(|entry| wire::reachable(entry, owned)).collect();
        let accounts =
            accounts.ok_or_else(|| Failure::NoAnswer("an account in Meta's list has no id".into()))?;
        Ok(AccountsPage { accounts, bytes, skipped: from.skipped, next })
    }

    pub(super) async fn read_account(self, account: AccountId, urgency: Urgency) -> Result<Account, Failure> {
        let mut call = Call::read(Edge::Account, Some(&account), account.as_str(), Claim::Read(urgency));
        let mut skipped = Names::new();
        let answer = self.read_fields(&mut call, &wire::ACCOUNT, None, &mut skipped).await?;
        let facts = wire::account(&answer, &skipped);
        match &facts.id {
            Some(id) if *id == account => Ok(facts),
            _ => Err(Failure::NoAnswer("Meta's answer is about another account".into())),
        }
    }

    pub(super) async fn read_numbers(
        self,
        account: AccountId,
        urgency: Urgency,
    ) -> Result<NumberList, Failure> {
        let begun = self.now();
        let call = Call::read(Edge::Numbers, Some(&account), account.as_str(), Claim::Read(urgency));
        let numbers = self.list(call, Some(&wire::NUMBER), |entry, skipped| {
            wire::number(entry, skipped).ok_or("a number in Meta's list has no id")
        });
        let Listed { entries, bytes } = numbers.await?;
        let bytes = bytes + entries.len() * BESIDE;
        let mut list = NumberList { begun, numbers: HashMap::new(), without_digits: Vec::new(), bytes };
        let mut seen = HashSet::new();
        for number in entries {
            if number.platform.value() == Some(&PlatformType::CloudApi) {
                self.inner.budget.registered_seen(&self.payer(), &account, begun);
            }
            // A list that changes between two pages may show a number twice.
            if seen.insert(number.id.clone()) {
                let entries = match Canonical::shown(&number.display_phone_number) {
                    Some(digits) => list.numbers.entry(digits).or_default(),
                    None => &mut list.without_digits,
                };
                entries.push(Arc::new(number));
            }
        }
        Ok(list)
    }

    /// The app that subscriptions of this token are for.
    async fn app(&self) -> Result<AppId, Failure> {
        if let Some(app) = self.learnt_app().or_else(|| self.credential.app.clone()) {
            return Ok(app);
        }
        let facts = self.read_token().await?;
        facts.app.ok_or_else(|| Failure::NoAnswer("the token does not tell its app".into()))
    }

    pub(super) async fn read_subscribed(
        &self,
        account: &AccountId,
        claim: Claim,
    ) -> Result<Subscribed, Failure> {
        let app = self.app().await?;
        let call = Call::read(Edge::SubscribedApps, Some(account), account.as_str(), claim);
        let apps = self.list(call, None, |entry, _| {
            wire::subscribed_app(entry).ok_or("an app in Meta's list has no id")
        });
        let (ours, others): (Vec<_>, Vec<_>) =
            apps.await?.entries.into_iter().partition(|listed| listed.id == app);
        let mut others: Vec<_> =
            others.into_iter().map(|listed| OtherApp { id: listed.id, name: listed.name }).collect();
        // Meta's order means nothing.
        others.sort_by(|a, b| a.id.cmp(&b.id));
        let override_url = ours.iter().find_map(|listed| listed.override_url.clone());
        let again = self.resubscribed(account, !ours.is_empty());
        Ok(Subscribed { ours: !ours.is_empty(), others: others.into(), override_url, again })
    }

    /// The client that calls as the app, with the app's id.
    pub(super) fn as_app(&self) -> Result<(Self, AppId), Failure> {
        let app = self.learnt_app().or_else(|| self.credential.app.clone());
        let unknown = || Failure::NotSent("the app, or its secret, is not known".into());
        self.of_app().zip(app).ok_or_else(unknown)
    }

    /// The app's own webhook for WhatsApp accounts.
    pub(super) async fn read_app_subscription(&self) -> Result<Option<AppSubscription>, Failure> {
        let (client, app) = self.as_app()?;
        let call = Call::read(Edge::AppSubscriptions, None, app.as_str(), Claim::Read(Urgency::Drift));
        let answer = client.call(&call).await.map_err(Trouble::into_failure)?;
        let (entries, _) =
            wire::page(&answer).ok_or_else(|| Failure::NoAnswer("Meta's answer is not a list".into()))?;
        Ok(entries.iter().find_map(wire::app_subscription))
    }

    pub(super) async fn read_profile(
        self,
        account: AccountId,
        number: NumberId,
        urgency: Urgency,
    ) -> Result<Profile, Failure> {
        let mut call = Call::read(Edge::Profile, Some(&account), number.as_str(), Claim::Read(urgency));
        call.query.push(("fields", wire::PROFILE.to_owned()));
        let answer = self.call(&call).await.map_err(Trouble::into_failure)?;
        wire::page(&answer)
            .and_then(|_| wire::profile(&answer))
            .ok_or_else(|| Failure::NoAnswer("Meta's answer holds no profile".into()))
    }

    pub(super) async fn read_username(
        self,
        account: AccountId,
        number: NumberId,
        urgency: Urgency,
    ) -> Result<Username, Failure> {
        let call = Call::read(Edge::Username, Some(&account), number.as_str(), Claim::Read(urgency));
        let answer = self.call(&call).await.map_err(Trouble::into_failure)?;
        wire::username(&answer).ok_or_else(|| Failure::NoAnswer("Meta's answer is about no username".into()))
    }

    pub(super) async fn read_official(
        self,
        account: AccountId,
        number: NumberId,
        urgency: Urgency,
    ) -> Result<Official, Failure> {
        let mut call = Call::read(Edge::Official, Some(&account), number.as_str(), Claim::Read(urgency));
        call.query.push(("fields", wire::OFFICIAL.to_owned()));
        let answer = self.call(&call).await.map_err(Trouble::into_failure)?;
        wire::official(&answer)
            .ok_or_else(|| Failure::NoAnswer("Meta's answer is about no official business account".into()))
    }
}

#[cfg(test)]
mod tests;
