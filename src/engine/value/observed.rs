//! Observed: what Meta and the cluster last said. Unknown is a case, not a default.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use crate::engine::value::{
    failure::Failure,
    id::{
        AccountId, AccountMode, AccountStatus, AppId, BusinessId, CodeStatus, Fact, Field, MessagingLimit,
        NameStatus, NumberId, NumberStatus, OfficialStatus, PlatformType, Quality, ReviewStatus, Sendability,
        Throughput, UsernameStatus,
    },
    picture::PictureFacts,
    portfolio::PortfolioView,
    secret::SecretFact,
    step::StepKind,
};

/// Everything a pass knows, gathered before anything is decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    pub claim: Claim,
    pub portfolio: PortfolioState,
    /// The account that the channel uses, when one was read.
    pub account: Fact<Arc<Account>>,
    /// One entry for each account in reach whose numbers were searched.
    pub search: Vec<Searched>,
    /// Whether our app is subscribed to the account.
    pub subscribed: Fact<bool>,
    /// When this process subscribed our app again after somebody had ended that: the last times, oldest first.
    pub resubscribed: Arc<[Timestamp]>,
    /// The other apps that are subscribed to it, where that was read.
    pub other_apps: Arc<[OtherApp]>,
    pub profile: Fact<Profile>,
    pub username: Fact<Username>,
    /// What becomes of a request for an official business account, where the list does not show it.
    pub official: Fact<Official>,
    pub code_secret: SecretFact,
    pub pin_secret: SecretFact,
    pub verify_token: SecretFact,
    /// Steps that our own budget holds back, with the time at which there is room for each.
    pub held: BTreeMap<StepKind, Timestamp>,
    /// Why the attempts of objects before this one could not be read, where they are needed.
    pub attempts_unread: Option<String>,
    /// When this look began; facts inside carry their own times.
    pub begun: Timestamp,
    /// What only the process knows; never in status.
    pub process: ProcessFacts,
}

/// The apps that are subscribed to an account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subscribed {
    pub ours: bool,
    pub others: Arc<[OtherApp]>,
    /// Where our app has the events of the account sent, unless it is the app's own URL.
    pub override_url: Option<Arc<str>>,
    /// When this process subscribed our app again after the account had shown it: the last times, oldest first.
    pub again: Arc<[Timestamp]>,
}

impl Subscribed {
    /// Whether an app that is not Meta's own is subscribed: else messages to the account's numbers reach nobody.
    ///
    /// ```
    /// use whatsapp_operator::engine::observed::{OtherApp, Subscribed};
    /// let of = |name: &str| Subscribed {
    ///     ours: false,
    ///     others: [OtherApp { id: "200000000000002".into(), name: Some(name.into()) }].into(),
    ///     override_url: None,
    ///     again: [].into(),
    /// };
    /// assert!(of("Acme CRM").is_received());
    /// assert!(!of("WA DevX Webhook Events 1P App").is_received(), "Meta's own is on every new account");
    /// ```
    pub fn is_received(&self) -> bool {
        is_received(self.ours, &self.others)
    }
}

fn is_received(ours: bool, others: &[OtherApp]) -> bool {
    ours || foreign(others).next().is_some()
}

/// The apps of somebody who may depend on the account. Meta's own is none: nobody reads or sends with it. It is known by its
/// name alone. Whoever takes that name for an app gives up what protects the app, and harms nobody else.
fn foreign(others: &[OtherApp]) -> impl Iterator<Item = &OtherApp> {
    others.iter().filter(|app| !app.is_of_meta())
}

/// An app of somebody else that is subscribed to an account. It gets every message too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OtherApp {
    pub id: AppId,
    pub name: Option<Box<str>>,
}

impl OtherApp {
    /// Meta subscribes an app of its own to new accounts, and again after it was removed. Its id is not published.
    pub const OF_META: &str = "WA DevX Webhook Events 1P App";

    fn is_of_meta(&self) -> bool {
        self.name.as_deref() == Some(Self::OF_META)
    }

    /// Its name with its id.
    pub(in crate::engine) fn told(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} ({})", self.id),
            None => self.id.to_string(),
        }
    }
}

impl Observed {
    /// Whether an app that is not Meta's own is subscribed to the account, where that is known.
    pub(crate) fn is_received(&self) -> Option<bool> {
        self.subscribed.known().map(|ours| is_received(*ours, &self.other_apps))
    }

    /// The other apps that are not Meta's own, as far as they were read.
    pub(in crate::engine) fn foreign_apps(&self) -> impl Iterator<Item = &OtherApp> {
        foreign(&self.other_apps)
    }

    /// The number's profile: read by itself, or inside the list.
    pub(in crate::engine) fn profile_of<'a>(&'a self, number: &'a Number) -> Option<&'a Profile> {
        self.profile.known().or_else(|| number.profile.value().map(AsRef::as_ref))
    }

    /// What becomes of a request for an official business account: inside the list, or read by itself.
    pub(in crate::engine) fn official_of<'a>(&'a self, number: &'a Number) -> Option<&'a Official> {
        number.official.value().or_else(|| self.official.known())
    }
}

/// Facts of this process, for rules that speak of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Since when it works, by its own clock.
    pub started: Timestamp,
    /// How the ids of its intents begin. None: nobody works here, and every time is believed as it was written.
    pub intents: Option<Arc<str>>,
    /// Last successful look at this channel by this process.
    pub last_success: Option<Timestamp>,
    /// The one before this look.
    pub looked_before: Option<Timestamp>,
    pub stood: Stood,
    pub picture: PictureFacts,
    /// Why the Secret with the PIN could not be created, in the words of the cluster.
    pub pin_not_created: Option<Box<str>>,
    /// The attempt that sent the PIN that is in the Secret now, where that was the last one and this process made it. A version
    /// that something else made is the same PIN.
    pub pin_sent: Option<Box<str>>,
    /// Another channel that takes its code from the same key of the same Secret.
    pub code_shared: Option<CodeShared>,
    /// Labels that an object has to carry for this process to see it.
    pub labels: Option<Arc<str>>,
}

/// A channel of the same namespace that takes its code from the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeShared {
    pub name: Box<str>,
    /// A code was asked for there as well, and it has not come.
    pub is_awaited: bool,
}

impl ProcessFacts {
    /// Of a process that has not looked yet.
    pub fn new(started: Timestamp) -> Self {
        Self {
            started,
            intents: None,
            last_success: None,
            looked_before: None,
            stood: Stood::default(),
            picture: PictureFacts::default(),
            pin_not_created: None,
            pin_sent: None,
            code_shared: None,
            labels: None,
        }
    }

    /// Whether what has this id was begun by this process, or is to be taken so.
    pub(in crate::engine) fn is_own(&self, id: &str) -> bool {
        self.intents.as_deref().is_none_or(|own| id.starts_with(own))
    }
}

/// Since when every look of this process showed the number otherwise than registered and CONNECTED. Meta's words may turn
/// within minutes, so they are counted here, and not in status.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Stood {
    /// Registered and not CONNECTED, whatever the word.
    pub not_connected: Option<Timestamp>,
    /// This `status`, unless it is CONNECTED.
    pub status: Option<(NumberStatus, Timestamp)>,
    /// This `platform_type`, or none, unless it is CLOUD_API.
    pub platform: Option<(Option<PlatformType>, Timestamp)>,
}

impl Stood {
    /// After one more look that showed the number. What it does not tell goes on to be counted.
    ///
    /// ```
    /// use whatsapp_operator::engine::{id::{Field, NumberStatus, PlatformType}, observed::{Number, Stood}};
    /// let at = |second| jiff::Timestamp::from_second(second).unwrap();
    /// let mut number = Number::bare("100000000000001".into(), "+55 11 91234-5678");
    /// number.platform = Field::Is(PlatformType::CloudApi);
    /// number.status = Field::Is(NumberStatus::Disconnected);
    /// let stood = Stood::default().after(&number, at(60)).after(&number, at(120));
    /// assert_eq!(stood.not_connected, Some(at(60)));
    /// number.status = Field::Is(NumberStatus::Connected);
    /// assert_eq!(stood.after(&number, at(180)), Stood::default());
    /// ```
    #[must_use]
    pub fn after(&self, number: &Number, at: Timestamp) -> Self {
        let is_test = number.account_mode.value() == Some(&AccountMode::Sandbox);
        let status = number.status.value();
        let not_connected = match (number.platform.value(), status) {
            (Some(PlatformType::NotApplicable | PlatformType::OnPremise | PlatformType::Other(_)), _)
            | (_, Some(NumberStatus::Connected)) => None,
            // These count at once.
            (_, Some(NumberStatus::Banned | NumberStatus::Migrated | NumberStatus::Deleted)) => {
                self.not_connected
            }
            (Some(PlatformType::CloudApi), Some(_)) if is_test => None,
            (Some(PlatformType::CloudApi), Some(_)) => self.not_connected.or(Some(at)),
            (_, None) | (None, _) => self.not_connected,
        };
        let platform = number.platform.value().cloned();
        Self {
            not_connected,
            status: match status {
                None => self.status.clone(),
                Some(NumberStatus::Connected) => None,
                Some(word) => Some(since(self.status.as_ref(), word.clone(), at)),
            },
            platform: (platform != Some(PlatformType::CloudApi))
                .then(|| since(self.platform.as_ref(), platform, at)),
        }
    }
}

/// The same word goes on to be counted, another one begins.
fn since<T: PartialEq>(before: Option<&(T, Timestamp)>, word: T, at: Timestamp) -> (T, Timestamp) {
    let since = before.filter(|(stood, _)| *stood == word).map_or(at, |(_, since)| *since);
    (word, since)
}

/// Whether this channel manages its number, among several with the same digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Not every watched namespace is in the cache yet, so no channel acts.
    Undecided,
    /// Ours. It acts at this time at the earliest, because there is a pause after another claim ended.
    Ours { act_from: Option<Timestamp> },
    /// Another channel manages the number. Its name is given only within the same namespace.
    Other { name: Option<String> },
}

/// How the portfolio looks from the channel's namespace.
#[derive(Clone, Debug, PartialEq)]
pub enum PortfolioState {
    /// Not found, or not to be used from here: deliberately one case.
    NotUsable,
    /// Exists and may be used, but has not been looked at yet.
    NotYet,
    /// The controller's view of it.
    View(Arc<PortfolioView>),
}

impl PortfolioState {
    /// The view, where channels may act below it. Where they may not, the portfolio wakes them once they may.
    pub(in crate::engine) fn usable(&self) -> Option<&PortfolioView> {
        match self {
            Self::View(view) if view.hold.is_none() && view.credential_version.is_some() => Some(view),
            Self::NotUsable | Self::NotYet | Self::View(_) => None,
        }
    }
}

/// One account searched for the number.
#[derive(Clone, Debug, PartialEq)]
pub struct Searched {
    pub account: AccountId,
    pub list: ListState,
    /// Every entry with our digits (one may be MIGRATED or DELETED).
    pub numbers: Vec<Arc<Number>>,
    /// Entries that show no digits, each with its id.
    pub without_digits: Vec<Arc<Number>>,
}

impl Searched {
    /// Entries of which each may be a number that no other entry is, and whose id is not known: they show no digits.
    pub fn unread(&self) -> impl Iterator<Item = &Arc<Number>> {
        let is_found = self.numbers.iter().any(|number| !number.has_left());
        self.without_digits.iter().filter(move |entry| !is_found && !entry.has_left())
    }
}

/// How the list of an account's numbers came out.
#[derive(Clone, Debug, PartialEq)]
pub enum ListState {
    /// All pages, begun at this time: a number that is not in it is absent.
    Complete { begun: Timestamp },
    /// Refused by permission or 100/33: not checkable, and no reason to wait.
    NotCheckable(Failure),
    /// Could not be read now: says nothing.
    Failed(Failure),
}

/// A WhatsApp Business Account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Account {
    pub id: Option<AccountId>,
    pub name: Option<String>,
    pub currency: Option<String>,
    pub country: Option<String>,
    /// Meta's numeric time zone, as text.
    pub timezone_id: Option<String>,
    pub status: Field<AccountStatus>,
    pub review: Field<ReviewStatus>,
    pub owner: Option<BusinessId>,
    pub ownership_type: Option<String>,
    /// `primary_funding_id`; `"0"` and absent both read as none.
    pub funding: Field<String>,
    pub health: Field<Health>,
}

impl Account {
    /// Whether Meta shows a payment method. That it shows none says little: partners alone may see it.
    ///
    /// ```
    /// use whatsapp_operator::engine::{id::Field, observed::Account};
    /// let of = |id: &str| Account { funding: Field::Is(id.into()), ..Account::default() };
    /// assert!(of("700000000000001").has_payment_method());
    /// assert!(!of("0").has_payment_method() && !of("").has_payment_method());
    /// ```
    pub fn has_payment_method(&self) -> bool {
        self.funding.value().is_some_and(|id| !matches!(id.as_str(), "" | "0"))
    }
}

/// A phone number in an account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    pub id: NumberId,
    pub display_phone_number: String,
    pub status: Field<NumberStatus>,
    pub code: Field<CodeStatus>,
    pub platform: Field<PlatformType>,
    pub verified_name: Field<String>,
    pub name_status: Field<NameStatus>,
    pub new_display_name: Field<String>,
    pub new_name_status: Field<NameStatus>,
    pub quality: Option<Quality>,
    pub throughput: Option<Throughput>,
    pub messaging_limit: Option<MessagingLimit>,
    pub account_mode: Field<AccountMode>,
    pub is_official: Option<bool>,
    pub username: Field<String>,
    pub official: Field<Official>,
    pub is_on_biz_app: Field<bool>,
    /// When it was last onboarded by a sign-up.
    pub onboarded: Field<Timestamp>,
    pub is_pin_enabled: Field<bool>,
    pub health: Field<Health>,
    pub webhook: Field<Box<WebhookConfiguration>>,
    /// Inside the list read, where Meta grants the expansion.
    pub profile: Field<Box<Profile>>,
}

impl Number {
    /// A number about which nothing but its id and digits is known.
    ///
    /// ```
    /// use whatsapp_operator::engine::{id::{Field, PlatformType}, observed::Number};
    /// let mut number = Number::bare("100000000000001".into(), "+55 11 91234-5678");
    /// assert!(!number.is_registered());
    /// number.platform = Field::Is(PlatformType::CloudApi);
    /// assert!(number.is_registered());
    /// ```
    pub fn bare(id: NumberId, display_phone_number: impl Into<String>) -> Self {
        Self {
            id,
            display_phone_number: display_phone_number.into(),
            status: Field::Absent,
            code: Field::Absent,
            platform: Field::Absent,
            verified_name: Field::Absent,
            name_status: Field::Absent,
            new_display_name: Field::Absent,
            new_name_status: Field::Absent,
            quality: None,
            throughput: None,
            messaging_limit: None,
            account_mode: Field::Absent,
            is_official: None,
            username: Field::Absent,
            official: Field::Absent,
            is_on_biz_app: Field::Absent,
            onboarded: Field::Absent,
            is_pin_enabled: Field::Absent,
            health: Field::Absent,
            webhook: Field::Absent,
            profile: Field::Absent,
        }
    }

    /// Whether it is registered with Cloud API.
    pub fn is_registered(&self) -> bool {
        self.platform.value() == Some(&PlatformType::CloudApi)
    }

    /// Whether whoever has this entry proved that the number is theirs: both takes the code that Meta sends to it.
    ///
    /// ```
    /// use whatsapp_operator::engine::{id::{CodeStatus, Field, NumberStatus, PlatformType}, observed::Number};
    /// let number = Number::bare("100000000000001".into(), "+55 11 91234-5678");
    /// assert!(!number.is_owned());
    /// assert!(Number { code: Field::Is(CodeStatus::Verified), ..number.clone() }.is_owned());
    /// let live = Number { platform: Field::Is(PlatformType::CloudApi), ..number };
    /// assert!(live.is_owned());
    /// assert!(!Number { status: Field::Is(NumberStatus::Migrated), ..live }.is_owned());
    /// ```
    pub fn is_owned(&self) -> bool {
        !self.has_left() && (self.is_registered() || self.code.value() == Some(&CodeStatus::Verified))
    }

    /// Whether the entry itself says that the number is no longer in this account.
    pub fn has_left(&self) -> bool {
        matches!(self.status.value(), Some(NumberStatus::Migrated | NumberStatus::Deleted))
    }
}

/// `webhook_configuration`: a key is there only for a level that has a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct WebhookConfiguration {
    pub number: Option<String>,
    pub account: Option<String>,
    pub application: Option<String>,
}

/// `health_status`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Health {
    pub can_send: Sendability,
    /// Those that something is said about: lists of numbers are kept, and most have nothing to say.
    pub entities: Vec<HealthEntity>,
}

impl Health {
    /// A number that is not registered cannot send; its `health_status` says so by this code.
    pub const NOT_REGISTERED: i64 = 141_000;
    /// A payment method is missing or does not work (Meta, page "Messaging and calling health status").
    pub const PAYMENT: [i64; 2] = [141_006, 131_042];
    /// Calls over SIP are not set up, which says nothing about messages.
    const CALLS: [i64; 2] = [138_024, 138_025];

    /// Whether something blocks sending.
    pub(in crate::engine) fn is_blocked(&self) -> bool {
        self.can_send == Sendability::Blocked || self.blocked().next().is_some()
    }

    /// Whether every entity that blocks sending says why, and says nothing but these codes.
    pub(in crate::engine) fn is_blocked_only_by(&self, codes: &[i64]) -> bool {
        let is_explained = |entity: &HealthEntity| {
            let mut errors =
                entity.errors.iter().filter(|error| !Self::CALLS.contains(&error.code)).peekable();
            errors.peek().is_some() && errors.all(|error| codes.contains(&error.code))
        };
        self.blocked().next().is_some() && self.blocked().all(is_explained)
    }

    fn blocked(&self) -> impl Iterator<Item = &HealthEntity> {
        self.entities.iter().filter(|entity| entity.can_send == Sendability::Blocked)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthEntity {
    /// `PHONE_NUMBER`, `WABA`, `BUSINESS`, `APP`, or a new word.
    pub kind: String,
    pub can_send: Sendability,
    pub info: Vec<String>,
    pub errors: Vec<HealthError>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthError {
    pub code: i64,
    pub description: String,
    pub solution: String,
}

/// The username of a number. A list shows no more than its name.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Username {
    /// `None` when the number has none.
    pub name: Option<String>,
    pub status: Option<UsernameStatus>,
}

impl Username {
    /// Whether the number has this one. Meta tells usernames apart without regard to capitals.
    pub(in crate::engine) fn is(&self, name: &str) -> bool {
        self.name.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name))
    }
}

/// `official_business_account`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Official {
    pub status: OfficialStatus,
    /// Meta's reason.
    pub message: Option<Box<str>>,
}

/// The text fields of a business profile; an unset one is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Profile {
    pub about: Option<String>,
    pub address: Option<String>,
    pub description: Option<String>,
    pub email: Option<String>,
    pub websites: Vec<String>,
    pub vertical: Option<String>,
}
