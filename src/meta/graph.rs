//! The port over the client: what each call sends, and what is shared of what each read brings.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    budget::Claim,
    call::{Call, Trouble},
    client::GraphClient,
    edge::Edge,
    listing::Key,
    port::{Graph, Listing, NumberList, Spent, ToldUsage},
    wire,
};
use crate::engine::{
    desired::{AppData, DesiredProfile, OfficialApplication},
    failure::{Failure, Refusal},
    id::{AccountId, NumberId},
    look::{Look, Urgency},
    observed::{Account, Official, Profile, Subscribed, Username},
    outcome::Accepted,
    phone::{self, E164},
    picture::PictureKind,
    portfolio::{AppSubscription, BusinessFacts, TokenFacts},
    spelling::Canonical,
    step::{CodeMethod, StepKind},
};

impl GraphClient {
    /// Reads the next page of a list of accounts, or joins whoever does.
    async fn listing(&self, edge: Edge, not_before: Timestamp, urgency: Urgency) -> Listing {
        let (business, version) = (self.credential.business.clone(), self.credential.version.clone());
        let key = Key { business, version, edge };
        let read = |from| {
            let client = self.clone();
            async move { client.read_accounts(edge, from, urgency).await }
        };
        self.inner.lists.go_on(key, not_before, urgency, &self.inner.clock, read).await
    }
}

impl Graph for GraphClient {
    async fn debug_token(&self) -> Result<TokenFacts, Failure> {
        self.read_token().await
    }

    async fn business(&self, urgency: Urgency) -> Result<BusinessFacts, Failure> {
        self.read_business(urgency).await
    }

    async fn owned_accounts(&self, not_before: Timestamp, urgency: Urgency) -> Listing {
        self.listing(Edge::OwnedAccounts, not_before, urgency).await
    }

    async fn client_accounts(&self, not_before: Timestamp, urgency: Urgency) -> Listing {
        self.listing(Edge::ClientAccounts, not_before, urgency).await
    }

    async fn account(
        &self,
        account: &AccountId,
        not_before: Timestamp,
        urgency: Urgency,
    ) -> Result<Arc<Account>, Failure> {
        let read = || self.clone().read_account(account.clone(), urgency);
        self.inner.accounts.get(self.key(account), not_before, urgency, read).await
    }

    async fn numbers(
        &self,
        account: &AccountId,
        not_before: Timestamp,
        urgency: Urgency,
    ) -> Result<Arc<NumberList>, Failure> {
        let key = self.key(account);
        if self.inner.numbers.kept(&key, not_before).is_none()
            && let Some(until) = self.inner.budget.gathers(&self.payer(), account, urgency, self.now())
        {
            return Err(Failure::Throttled(until));
        }
        let read = || self.clone().read_numbers(account.clone(), urgency);
        self.inner.numbers.get(key, not_before, urgency, read).await
    }

    async fn subscribed(
        &self,
        account: &AccountId,
        not_before: Timestamp,
        urgency: Urgency,
    ) -> Result<Subscribed, Failure> {
        let read = || {
            let (client, account) = (self.clone(), account.clone());
            async move { client.read_subscribed(&account, Claim::Read(urgency)).await }
        };
        self.inner
            .subscribed
            .get(self.key(account), not_before, urgency, read)
            .await
            .map(|subscribed| Subscribed::clone(&subscribed))
    }

    async fn app_subscription(&self) -> Result<Option<AppSubscription>, Failure> {
        self.read_app_subscription().await
    }

    async fn profile(
        &self,
        account: &AccountId,
        number: &NumberId,
        max_age: Duration,
        urgency: Urgency,
    ) -> Result<Profile, Failure> {
        let key = self.profile_key(number);
        let oldest = self.now().checked_sub(max_age).unwrap_or(Timestamp::MIN);
        let profiles = &self.inner.profiles;
        if profiles.kept(&key, oldest).is_none()
            && let Some(list) = self.inner.numbers.kept(&self.key(account), oldest.max(profiles.floor(&key)))
            && let Some(profile) = list
                .numbers
                .values()
                .flatten()
                .find(|listed| listed.id == *number)
                .and_then(|listed| listed.profile.value())
        {
            return Ok((**profile).clone());
        }
        let read = || self.clone().read_profile(account.clone(), number.clone(), urgency);
        profiles.get(key, oldest, urgency, read).await.map(|profile| Profile::clone(&profile))
    }

    async fn username(
        &self,
        account: &AccountId,
        number: &NumberId,
        max_age: Duration,
        urgency: Urgency,
    ) -> Result<Username, Failure> {
        let oldest = self.now().checked_sub(max_age).unwrap_or(Timestamp::MIN);
        let read = || self.clone().read_username(account.clone(), number.clone(), urgency);
        let kept = self.inner.usernames.get(self.profile_key(number), oldest, urgency, read).await?;
        Ok(Username::clone(&kept))
    }

    async fn official(
        &self,
        account: &AccountId,
        number: &NumberId,
        max_age: Duration,
        urgency: Urgency,
    ) -> Result<Official, Failure> {
        let oldest = self.now().checked_sub(max_age).unwrap_or(Timestamp::MIN);
        let read = || self.clone().read_official(account.clone(), number.clone(), urgency);
        let kept = self.inner.officials.get(self.profile_key(number), oldest, urgency, read).await?;
        Ok(Official::clone(&kept))
    }

    async fn add_number(&self, account: &AccountId, number: &E164, name: &str) -> Result<Accepted, Failure> {
        // As the user wrote them, and never the form that numbers are compared by: a Brazilian mobile was taken with eight
        // digits and is shown with eight (public report of August 2026), whether nine are taken alike is not known.
        let (cc, national) = phone::split(number);
        let body = json!({"cc": cc, "phone_number": national, "verified_name": name});
        let call = Call::write(Edge::AddNumber, account, account.as_str(), Some(body));
        let (answer, trace_id) = self.call_traced(&call).await.map_err(Trouble::into_failure)?;
        let number = wire::id(&answer, "id")
            .map(NumberId::new)
            .ok_or_else(|| Failure::NoAnswer("Meta did not tell the id of the new number".into()))?;
        Ok(Accepted { number: Some(number), trace_id, ..Accepted::default() })
    }

    async fn request_code(
        &self,
        account: &AccountId,
        number: &NumberId,
        method: CodeMethod,
        language: &str,
    ) -> Result<Accepted, Failure> {
        let body = json!({"code_method": method.as_str(), "language": language});
        self.write(Call::write(Edge::RequestCode, account, number.as_str(), Some(body))).await
    }

    async fn verify_code(
        &self,
        account: &AccountId,
        number: &NumberId,
        code: &SecretString,
    ) -> Result<Accepted, Failure> {
        let body = json!({"code": code.expose_secret()});
        let call = Call::write(Edge::VerifyCode, account, number.as_str(), Some(body));
        self.write(Call { secret: Some(code), ..call }).await
    }

    async fn submit_name(
        &self,
        account: &AccountId,
        number: &NumberId,
        name: &str,
    ) -> Result<Accepted, Failure> {
        let body = json!({"new_display_name": name});
        self.write(Call::write(Edge::SubmitName, account, number.as_str(), Some(body))).await
    }

    async fn set_pin(
        &self,
        account: &AccountId,
        number: &NumberId,
        pin: &SecretString,
    ) -> Result<Accepted, Failure> {
        let body = json!({"pin": pin.expose_secret()});
        let call = Call::write(Edge::SetPin, account, number.as_str(), Some(body));
        self.write(Call { secret: Some(pin), ..call }).await
    }

    async fn register(
        &self,
        account: &AccountId,
        number: &NumberId,
        pin: &SecretString,
    ) -> Result<Accepted, Failure> {
        let body = json!({"messaging_product": "whatsapp", "pin": pin.expose_secret()});
        let call = Call::write(Edge::Register, account, number.as_str(), Some(body));
        self.told(&Call { secret: Some(pin), ..call }).await
    }

    async fn subscribe(&self, account: &AccountId) -> Result<Accepted, Failure> {
        let not_read =
            |why: &str| Failure::NotSent(format!("the subscriptions could not be read first: {why}"));
        let look = async {
            let turn = self.turn(account).lock_owned().await;
            (turn, self.read_subscribed(account, Claim::Write).await)
        };
        // The turn, every page and a second try of each: all of it has the time of one call, so that a shutdown can
        // wait for it.
        let (_turn, read) = tokio::time::timeout(self.inner.limits.call_timeout, look)
            .await
            .map_err(|_| not_read("their turn or their answer did not come in time"))?;
        let read = read.map_err(|failure| match failure {
            Failure::NoAnswer(why) | Failure::TooLarge(why) => not_read(&why),
            Failure::Refused(refusal) if refusal.may_have_happened() => not_read(&refusal.message),
            failure => failure,
        })?;
        let outcome = if read.ours {
            Ok(Accepted::default())
        } else {
            self.write(Call::write(Edge::Subscribe, account, account.as_str(), None))
                .await
                .inspect(|_| self.note_subscribed(account))
        };
        self.inner.subscribed.forget(&self.key(account));
        outcome
    }

    async fn route_webhook(
        &self,
        account: &AccountId,
        number: &NumberId,
        url: &str,
        verify_token: &SecretString,
    ) -> Result<Accepted, Failure> {
        let body = json!({"webhook_configuration": {
            "override_callback_uri": url,
            "verify_token": verify_token.expose_secret(),
        }});
        let call = Call::write(Edge::RouteWebhook, account, number.as_str(), Some(body));
        self.write(Call { secret: Some(verify_token), ..call }).await
    }

    async fn unroute_webhook(&self, account: &AccountId, number: &NumberId) -> Result<Accepted, Failure> {
        let body = json!({"webhook_configuration": {"override_callback_uri": ""}});
        self.write(Call::write(Edge::UnrouteWebhook, account, number.as_str(), Some(body))).await
    }

    async fn set_storage(
        &self,
        account: &AccountId,
        number: &NumberId,
        region: &str,
    ) -> Result<Accepted, Failure> {
        let body = json!({"storage_configuration": {
            "status": "IN_COUNTRY_STORAGE_ENABLED",
            "data_localization_region": region,
        }});
        self.write(Call::write(Edge::SetStorage, account, number.as_str(), Some(body))).await
    }

    async fn start_sync(
        &self,
        account: &AccountId,
        number: &NumberId,
        sync: AppData,
    ) -> Result<Accepted, Failure> {
        let body = json!({"messaging_product": "whatsapp", "sync_type": sync.as_str()});
        let call = Call::write(Edge::StartSync, account, number.as_str(), Some(body));
        let (answer, trace_id) = self.call_traced(&call).await.map_err(Trouble::into_failure)?;
        let is_begun = answer.get("request_id").is_some_and(Value::is_string);
        is_begun
            .then(|| Accepted { trace_id, ..Accepted::default() })
            .ok_or_else(|| Failure::NoAnswer("Meta did not tell the id of the request".into()))
    }

    async fn deregister(&self, account: &AccountId, number: &NumberId) -> Result<Accepted, Failure> {
        self.write(Call::write(Edge::Deregister, account, number.as_str(), None)).await
    }

    async fn write_profile(
        &self,
        account: &AccountId,
        number: &NumberId,
        fields: &DesiredProfile,
    ) -> Result<Accepted, Failure> {
        let body = Some(wire::profile_fields(fields));
        let outcome = self.write(Call::write(Edge::WriteProfile, account, number.as_str(), body)).await;
        self.inner.profiles.forget(&self.profile_key(number));
        outcome
    }

    async fn set_app_webhook(
        &self,
        url: &str,
        verify_token: &SecretString,
        fields: &[String],
    ) -> Result<(), Failure> {
        let (client, app) = self.as_app()?;
        let body = json!({
            "object": wire::OBJECT,
            "callback_url": url,
            "verify_token": verify_token.expose_secret(),
            "fields": fields.join(","),
            "include_values": true,
        });
        let mut call = Call::read(Edge::SetAppWebhook, None, app.as_str(), Claim::Write);
        (call.body, call.secret) = (Some(body), Some(verify_token));
        client.write(call).await.map(drop)
    }

    async fn has_picture(
        &self,
        account: &AccountId,
        number: &NumberId,
        urgency: Urgency,
    ) -> Result<bool, Failure> {
        let claim = Claim::Read(urgency);
        let mut call = Call::read(Edge::Profile, Some(account), number.as_str(), claim);
        call.query = vec![("fields", wire::PICTURE.into())];
        let answer = self.call(&call).await.map_err(Trouble::into_failure)?;
        wire::has_picture(&answer).ok_or_else(|| Failure::NoAnswer("Meta's answer holds no profile".into()))
    }

    async fn write_picture(
        &self,
        account: &AccountId,
        number: &NumberId,
        bytes: &Bytes,
        kind: PictureKind,
    ) -> Result<Accepted, Failure> {
        let write = async {
            let handle = self.upload(bytes, kind).await?;
            let body =
                json!({"messaging_product": "whatsapp", "profile_picture_handle": handle.expose_secret()});
            let call = Call::write(Edge::WritePicture, account, number.as_str(), Some(body));
            self.write(Call { secret: Some(&handle), ..call }).await
        };
        // A shutdown waits for as long as any other step takes at most, its time to be sent included.
        let limits = &self.inner.limits;
        let time = (limits.call_timeout * 2).saturating_sub(limits.send_before);
        let late = |_| Err(Failure::NoAnswer("the upload did not end in time".into()));
        tokio::time::timeout(time, write).await.unwrap_or_else(late)
    }

    async fn claim_username(
        &self,
        account: &AccountId,
        number: &NumberId,
        username: &str,
        transfer: bool,
    ) -> Result<Accepted, Failure> {
        let action = if transfer { "force_transfer" } else { "none" };
        let body = json!({"username": username, "transfer_action": action});
        let call = Call::write(Edge::ClaimUsername, account, number.as_str(), Some(body));
        let answer = self.call_traced(&call).await.map_err(Trouble::into_failure);
        self.inner.usernames.forget(&self.profile_key(number));
        let (answer, trace_id) = answer?;
        // What becomes of it is read: it may be reserved, or visible.
        wire::claimed(&answer)
            .map(|()| Accepted { trace_id, ..Accepted::default() })
            .ok_or_else(|| Failure::NoAnswer("Meta did not tell the state of the username".into()))
    }

    async fn request_official(
        &self,
        account: &AccountId,
        number: &NumberId,
        application: &OfficialApplication,
    ) -> Result<Accepted, Failure> {
        let body = Some(wire::application(application));
        let outcome = self.write(Call::write(Edge::RequestOfficial, account, number.as_str(), body)).await;
        self.inner.officials.forget(&self.profile_key(number));
        outcome
    }

    fn held_until(&self, account: &AccountId, step: StepKind) -> Option<Timestamp> {
        self.inner.budget.held_until(&self.payer(), account, step, self.now())
    }

    fn known(&self, look: &Look, number: &Canonical) -> Option<bool> {
        let inner = &*self.inner;
        let mut has_it = false;
        for wanted in &look.accounts {
            let key = self.key(&wanted.account);
            let list = inner.numbers.kept(&key, wanted.not_before)?;
            if let Some(not_before) = wanted.facts {
                inner.accounts.kept(&key, not_before)?;
                has_it = !list.entries_of(number, None).is_empty();
            }
            if look.subscription.as_ref() == Some(&wanted.account) {
                inner.subscribed.kept(&key, wanted.not_before)?;
            }
        }
        let is_listed = look.profile.is_none() && look.username.is_none() && look.official.is_none();
        is_listed.then_some(has_it)
    }

    fn subscribed_known(&self, account: &AccountId) -> Option<Arc<Subscribed>> {
        self.inner.subscribed.kept(&self.key(account), Timestamp::MIN)
    }

    fn let_go(&self, account: &AccountId) {
        self.inner.numbers.let_go(&self.key(account));
    }

    fn throttled_until(&self, account: Option<&AccountId>) -> Option<Timestamp> {
        self.inner.budget.throttled_until(&self.payer(), account, self.now())
    }

    fn spent(&self) -> Vec<Spent> {
        self.inner.budget.spent(&self.payer(), self.now())
    }

    fn told(&self) -> Vec<ToldUsage> {
        self.inner.budget.told(&self.payer(), self.now())
    }

    fn app_blocked(&self) -> Option<Refusal> {
        self.inner.budget.block_of(&self.payer(), self.now())
    }

    fn refused_fields(&self) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        self.all_refused()
    }
}

#[cfg(test)]
mod tests;
