//! The port: the few calls that the engine's steps need.
//!
//! Used as a generic, so there is no `async-trait` and no boxing. Everything that
//! implements it classifies failures the same way and never retries a write.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::engine::{
    desired::{AppData, DesiredProfile, OfficialApplication},
    failure::{Failure, Refusal},
    id::{AccountId, AppId, BusinessId, NumberId},
    look::{Look, Urgency},
    observed::{Account, Number, Official, Profile, Subscribed, Username},
    outcome::Accepted,
    phone::E164,
    picture::PictureKind,
    portfolio::{AppSubscription, BusinessFacts, Reachable, TokenFacts},
    spelling::Canonical,
    step::{CodeMethod, StepKind},
};

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// What opens the Graph API for one portfolio.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Whose credential it is, part of every cache key.
    pub business: BusinessId,
    /// Changes whenever the token or the app secret may have changed.
    pub version: String,
    pub token: SecretString,
    pub app_secret: Option<SecretString>,
    /// From the spec, else learnt from the token.
    pub app: Option<AppId>,
}

/// What was used of one allowance in the last hour, and what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// A word for the allowance.
    pub lane: &'static str,
    pub used: u32,
    pub left: u32,
}

/// What Meta itself told of its limits in usage headers and by throttles, and what waits because of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToldUsage {
    /// Whose limits.
    pub of: &'static str,
    /// Percent that is used, and when Meta told it; not once that is an hour ago.
    pub used: Option<(u32, Timestamp)>,
    /// Until when reads wait, and until when every call does.
    pub reads_wait: Option<Timestamp>,
    pub all_wait: Option<Timestamp>,
}

/// Makes a [`Graph`] for a credential. Budgets, breakers and shared reads live behind it and are shared by
/// every Graph that it makes, keyed so that nothing crosses credentials.
pub trait GraphSource: Send + Sync + 'static {
    type Graph: Graph;

    fn graph(&self, credential: Credential) -> Self::Graph;

    /// Another process acted until now. What was read before is not believed any more, and what it spent of the budgets is
    /// unknown.
    fn take_over(&self);
}

/// Every entry of an account's list.
#[derive(Debug)]
pub struct NumberList {
    /// When the first page was asked for.
    pub begun: Timestamp,
    /// By what `display_phone_number` shows.
    pub numbers: HashMap<Canonical, Vec<Arc<Number>>>,
    /// Those that show no number that can be read. Each may be any number that is not among the others.
    pub without_digits: Vec<Arc<Number>>,
    /// About as many as it has in memory.
    pub bytes: usize,
}

impl NumberList {
    /// The entries of one number: the one with its id, where that is known, in whatever digits it is shown, and those
    /// with its digits in any spelling.
    pub fn entries_of(&self, number: &Canonical, id: Option<&NumberId>) -> Vec<Arc<Number>> {
        let mut entries = self.numbers.get(number).cloned().unwrap_or_default();
        let is_known = |entry: &Arc<Number>| Some(&entry.id) == id;
        if id.is_some() && !entries.iter().any(is_known) {
            let mut all = self.numbers.values().flatten().chain(&self.without_digits);
            entries.extend(all.find(|entry| is_known(entry)).cloned());
        }
        entries
    }
}

/// What is known of a list of accounts, which is read page by page.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The last list that was read to its end.
    pub whole: Option<AccountList>,
    /// What a newer list has shown so far beyond it.
    pub newer: Vec<Reachable>,
    /// Why the newer list does not go on now, and when it may.
    pub held: Option<(Failure, Timestamp)>,
}

/// A list of accounts that was read to its end.
#[derive(Clone, Debug)]
pub struct AccountList {
    /// When the first page was asked for.
    pub begun: Timestamp,
    /// By id, each once.
    pub accounts: Arc<[Reachable]>,
}

impl Listing {
    /// The whole list, if it was begun at `not_before` or later.
    pub fn since(&self, not_before: Timestamp) -> Option<&AccountList> {
        self.whole.as_ref().filter(|list| list.begun >= not_before)
    }
}

/// The calls. A failed read says nothing about the fact. A write gives what Meta said to it.
pub trait Graph: Clone + Send + Sync + 'static {
    /// `GET /debug_token` for its own token.
    fn debug_token(&self) -> impl Future<Output = Result<TokenFacts, Failure>> + Send;

    /// `GET /{business}`.
    fn business(&self, urgency: Urgency) -> impl Future<Output = Result<BusinessFacts, Failure>> + Send;

    /// `GET /{business}/owned_whatsapp_business_accounts`, its next page, unless a list that was begun at `not_before` or
    /// later is whole. Pages are shared, and one that failed is asked for again, not those before it.
    fn owned_accounts(&self, not_before: Timestamp, urgency: Urgency)
    -> impl Future<Output = Listing> + Send;

    /// `GET /{business}/client_whatsapp_business_accounts`, in the same way.
    fn client_accounts(
        &self,
        not_before: Timestamp,
        urgency: Urgency,
    ) -> impl Future<Output = Listing> + Send;

    /// `GET /{account}`, shared; a read begun before `not_before` does not serve.
    fn account(
        &self,
        account: &AccountId,
        not_before: Timestamp,
        urgency: Urgency,
    ) -> impl Future<Output = Result<Arc<Account>, Failure>> + Send;

    /// `GET /{account}/phone_numbers`, all pages and fields, shared and single-flight.
    fn numbers(
        &self,
        account: &AccountId,
        not_before: Timestamp,
        urgency: Urgency,
    ) -> impl Future<Output = Result<Arc<NumberList>, Failure>> + Send;

    /// `GET /{account}/subscribed_apps`, shared like the list.
    fn subscribed(
        &self,
        account: &AccountId,
        not_before: Timestamp,
        urgency: Urgency,
    ) -> impl Future<Output = Result<Subscribed, Failure>> + Send;

    /// `GET /{app}/subscriptions`, as the app: its own webhook for WhatsApp accounts, if it has one.
    fn app_subscription(&self) -> impl Future<Output = Result<Option<AppSubscription>, Failure>> + Send;

    /// `GET /{number}/whatsapp_business_profile`, at most `max_age` old; `Failure::Throttled` when the round-robin is spent.
    fn profile(
        &self,
        account: &AccountId,
        number: &NumberId,
        max_age: Duration,
        urgency: Urgency,
    ) -> impl Future<Output = Result<Profile, Failure>> + Send;

    /// `GET /{number}/username`, at most `max_age` old.
    fn username(
        &self,
        account: &AccountId,
        number: &NumberId,
        max_age: Duration,
        urgency: Urgency,
    ) -> impl Future<Output = Result<Username, Failure>> + Send;

    /// `GET /{number}/official_business_account`, at most `max_age` old.
    fn official(
        &self,
        account: &AccountId,
        number: &NumberId,
        max_age: Duration,
        urgency: Urgency,
    ) -> impl Future<Output = Result<Official, Failure>> + Send;

    /// `POST /{account}/phone_numbers`.
    fn add_number(
        &self,
        account: &AccountId,
        number: &E164,
        name: &str,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{number}/request_code`.
    fn request_code(
        &self,
        account: &AccountId,
        number: &NumberId,
        method: CodeMethod,
        language: &str,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{number}/verify_code`.
    fn verify_code(
        &self,
        account: &AccountId,
        number: &NumberId,
        code: &SecretString,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{number}` with `new_display_name`.
    fn submit_name(
        &self,
        account: &AccountId,
        number: &NumberId,
        name: &str,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{number}` with `pin`.
    fn set_pin(
        &self,
        account: &AccountId,
        number: &NumberId,
        pin: &SecretString,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{number}/register`. It tells whether Meta said that it left another PIN in force.
    fn register(
        &self,
        account: &AccountId,
        number: &NumberId,
        pin: &SecretString,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{account}/subscribed_apps` without a body. Serialised per account, and sent only if a read right
    /// before it still lacks our app: it would erase an override.
    fn subscribe(&self, account: &AccountId) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{number}` with `webhook_configuration`.
    fn route_webhook(
        &self,
        account: &AccountId,
        number: &NumberId,
        url: &str,
        verify_token: &SecretString,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{number}` with an empty address in `webhook_configuration`, which removes the override of our app.
    fn unroute_webhook(
        &self,
        account: &AccountId,
        number: &NumberId,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{number}/settings` with where messages are stored.
    fn set_storage(
        &self,
        account: &AccountId,
        number: &NumberId,
        region: &str,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{number}/smb_app_data`: what the WhatsApp Business app holds is sent to the webhook, each kind once.
    fn start_sync(
        &self,
        account: &AccountId,
        number: &NumberId,
        sync: AppData,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{number}/deregister`.
    fn deregister(
        &self,
        account: &AccountId,
        number: &NumberId,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{number}/whatsapp_business_profile` with just these fields.
    fn write_profile(
        &self,
        account: &AccountId,
        number: &NumberId,
        fields: &DesiredProfile,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{app}/subscriptions`, as the app. Meta calls the address before it answers.
    fn set_app_webhook(
        &self,
        url: &str,
        verify_token: &SecretString,
        fields: &[String],
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// `GET /{number}/whatsapp_business_profile`, and of it only whether there is a picture; never its address.
    fn has_picture(
        &self,
        account: &AccountId,
        number: &NumberId,
        urgency: Urgency,
    ) -> impl Future<Output = Result<bool, Failure>> + Send;

    /// `POST /{app}/uploads` begins an upload,
    /// `POST /{upload}` sends the bytes,
    /// `GET /{upload}` says how many came where they broke off, and the rest follows, and
    /// `POST /{number}/whatsapp_business_profile` takes the handle. All of it has half a minute.
    fn write_picture(
        &self,
        account: &AccountId,
        number: &NumberId,
        bytes: &Bytes,
        kind: PictureKind,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{number}/username`; with `transfer` it is taken from another number of the portfolio.
    fn claim_username(
        &self,
        account: &AccountId,
        number: &NumberId,
        username: &str,
        transfer: bool,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// `POST /{number}/official_business_account`.
    fn request_official(
        &self,
        account: &AccountId,
        number: &NumberId,
        application: &OfficialApplication,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// When there is room for a step in this account; `None` if there is now. Counts nothing.
    fn held_until(&self, account: &AccountId, step: StepKind) -> Option<Timestamp>;

    /// Whether the account of a look has the number. None, where what the look reads of accounts was not all read before, so
    /// that it would wait for a call.
    fn known(&self, look: &Look, number: &Canonical) -> Option<bool>;

    /// What was last read of the apps that are subscribed to an account, however long ago. Never a call.
    fn subscribed_known(&self, account: &AccountId) -> Option<Arc<Subscribed>>;

    /// Nobody needs the list of an account before it is due to be read again. It is read anew for whoever does.
    fn let_go(&self, account: &AccountId);

    /// Until when calls for this account (or the whole app) are held back, for status.
    fn throttled_until(&self, account: Option<&AccountId>) -> Option<Timestamp>;

    /// What was used of each allowance in the last hour, and what is left: of the app's, and of those of the account where the
    /// fewest calls are left. Counts nothing.
    fn spent(&self) -> Vec<Spent>;

    /// What Meta told of the app's limits, and of those of its accounts: the most that is used, and the longest pause.
    fn told(&self) -> Vec<ToldUsage>;

    /// What Meta said when it blocked the whole app, until it lets a call through.
    fn app_blocked(&self) -> Option<Refusal>;

    /// Fields that Meta refuses to the app, at some account at least, by the type of the object, in Meta's words. A type of
    /// which nothing was read yet is not there.
    fn refused_fields(&self) -> BTreeMap<&'static str, BTreeSet<&'static str>>;
}
