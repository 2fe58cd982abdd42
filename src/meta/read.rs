//! Reads: lists to their last page, and what is left of a read when Meta refuses some of its fields.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{
    budget::Claim,
    call::{Call, Trouble},
    client::GraphClient,
    edge::Edge,
    json,
    port::NumberList,
    refused::asked_as,
    wire::{self, Asked, Next},
};
use crate::engine::{
    failure::Failure,
    id::{AccountId, AppId, NumberId, PlatformType},
    look::Urgency,
    observed::{Account, Profile},
    portfolio::{BusinessFacts, Reachable, TokenFacts},
};

/// Entries of a page: the most that Meta gives.
const PAGE: &str = "100";
/// Pages of one list; a list beyond it is refused instead of cut short.
const MOST_PAGES: usize = 50;

impl GraphClient {
    /// Sends a read that asks for fields, and leaves out those that Meta refuses: now and for a
    /// day. `skipped` holds what was left out. `fragile` is a field that may fail the read
    /// without being named.
    async fn read_fields(
        &self,
        call: &mut Call<'_>,
        asked: &'static [Asked],
        fragile: Option<&'static str>,
        skipped: &mut BTreeSet<&'static str>,
    ) -> Result<Value, Failure> {
        let given = call.query.len();
        let mut suspect = None;
        let inner = &self.inner;
        skipped.extend(inner.refused.recent(self.payer(), call.edge, self.now()));
        loop {
            let fields: Vec<_> =
                asked.iter().filter(|f| !skipped.contains(f.name)).map(|f| f.expression).collect();
            call.query.truncate(given);
            call.query.push(("fields", fields.join(",")));
            let trouble = match self.call(call).await {
                Ok(answer) => {
                    if let Some(name) = suspect {
                        inner.refused.remember(self.payer(), call.edge, name, self.now());
                    }
                    return Ok(answer);
                }
                Err(trouble) => trouble,
            };
            let named = trouble.field.as_deref().and_then(|field| asked_as(asked, field));
            match (named, fragile) {
                (Some(name), _) if !wire::INDISPENSABLE.contains(&name) && skipped.insert(name) => {
                    inner.refused.remember(self.payer(), call.edge, name, self.now());
                }
                (None, Some(name)) if trouble.may_blame(name) && skipped.insert(name) => {
                    suspect = Some(name);
                }
                _ => return Err(trouble.into_failure()),
            }
        }
    }

    /// Reads every page of a list, or fails: a part never passes for the whole.
    async fn list(
        &self,
        edge: Edge,
        account: Option<&AccountId>,
        node: &str,
        asked: &'static [Asked],
        fragile: Option<&'static str>,
        claim: Claim,
    ) -> Result<(Vec<Value>, BTreeSet<&'static str>), Failure> {
        let (mut entries, mut skipped, mut seen) = (Vec::new(), BTreeSet::new(), HashSet::new());
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut call = Call::read(edge, account, node, claim);
            call.query.push(("limit", PAGE.to_owned()));
            call.query.extend(cursor.take().map(|cursor| ("after", cursor)));
            let answer = if asked.is_empty() {
                self.call(&call).await.map_err(Trouble::into_failure)?
            } else {
                self.read_fields(&mut call, asked, fragile, &mut skipped).await?
            };
            let (page, next) =
                wire::page(&answer).ok_or_else(|| Failure::NoAnswer("Meta's answer is not a list".into()))?;
            entries.extend_from_slice(page);
            match next {
                Next::End => return Ok((entries, skipped)),
                Next::After(next) if seen.insert(next.clone()) => cursor = Some(next),
                Next::After(_) => return Err(Failure::NoAnswer("Meta's list goes in a circle".into())),
                Next::Lost => return Err(Failure::NoAnswer("Meta's list goes on without a cursor".into())),
            }
        }
        Err(Failure::NoAnswer(format!("Meta's list has more than {MOST_PAGES} pages")))
    }

    /// What Meta tells about the token, and so its app.
    pub(super) async fn read_token(&self) -> Result<TokenFacts, Failure> {
        let mut call = Call::read(Edge::DebugToken, None, "", Claim::Read(Urgency::Edit));
        call.query.push(("input_token", self.credential.token.expose_secret().to_owned()));
        let answer = self.call(&call).await.map_err(Trouble::into_failure)?;
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
        let mut skipped = BTreeSet::new();
        let fragile = Some(wire::PRIMARY_PAGE);
        let answer = self.read_fields(&mut call, wire::BUSINESS, fragile, &mut skipped).await?;
        match json::text(&answer, "id") {
            Some(id) if id == business => Ok(wire::business(&answer)),
            _ => Err(Failure::NoAnswer("Meta's answer is about another portfolio".into())),
        }
    }

    pub(super) async fn accounts(&self, edge: Edge) -> Result<Vec<Reachable>, Failure> {
        let business = self.credential.business.as_str();
        let claim = Claim::Read(Urgency::Edit);
        let (entries, _) = self.list(edge, None, business, wire::REACHABLE, None, claim).await?;
        let owned = edge == Edge::OwnedAccounts;
        entries
            .iter()
            .map(|entry| wire::reachable(entry, owned))
            .collect::<Option<_>>()
            .ok_or_else(|| Failure::NoAnswer("an account in Meta's list has no id".into()))
    }

    pub(super) async fn read_account(self, account: AccountId, urgency: Urgency) -> Result<Account, Failure> {
        let mut call = Call::read(Edge::Account, Some(&account), account.as_str(), Claim::Read(urgency));
        let mut skipped = BTreeSet::new();
        let answer = self.read_fields(&mut call, wire::ACCOUNT, Some(wire::FUNDING), &mut skipped).await?;
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
        let (entries, skipped) = self
            .list(
                Edge::Numbers,
                Some(&account),
                account.as_str(),
                wire::NUMBER,
                Some(wire::PROFILE_EXPANSION),
                Claim::Read(urgency),
            )
            .await?;
        let mut list = NumberList { begun, numbers: HashMap::new() };
        let mut seen = HashSet::new();
        for entry in &entries {
            let number = wire::number(entry, &skipped)
                .ok_or_else(|| Failure::NoAnswer("a number in Meta's list has no id or no digits".into()))?;
            if number.platform.value() == Some(&PlatformType::CloudApi) {
                self.inner.budget.registered_seen(&self.payer(), &account, begun);
            }
            // A list that changes between two pages may show a number twice.
            if seen.insert(number.id.clone()) {
                let digits = wire::digits(&number.display_phone_number);
                list.numbers.entry(digits).or_default().push(Arc::new(number));
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

    pub(super) async fn read_subscribed(&self, account: &AccountId, claim: Claim) -> Result<bool, Failure> {
        let app = self.app().await?;
        let node = account.as_str();
        let (entries, _) = self.list(Edge::SubscribedApps, Some(account), node, &[], None, claim).await?;
        let mut apps = entries.iter().map(wire::subscribed_app);
        let is_ours = |subscribed: &Option<AppId>| subscribed.as_ref() == Some(&app);
        if apps.clone().any(|subscribed| is_ours(&subscribed)) {
            return Ok(true);
        }
        match apps.all(|subscribed| subscribed.is_some()) {
            true => Ok(false),
            false => Err(Failure::NoAnswer("an app in Meta's list has no id".into())),
        }
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
}

#[cfg(test)]
mod tests;
