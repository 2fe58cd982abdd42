//! Desired: what a channel asks for, validated once.
//!
//! Nothing behind this point looks at a raw spec. Unset optional fields stay unset:
//! the engine never makes up a value that would then be written to Meta.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::engine::value::{
    id::{AccountId, AppId, BusinessId},
    phone::E164,
    word::words,
};

/// A validated channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Name of the channel, for texts and commands.
    pub name: String,
    /// Namespace of the channel, for commands.
    pub namespace: String,
    /// Identity of the object; a re-created object is another one.
    pub uid: String,
    pub generation: i64,
    pub portfolio: PortfolioRef,
    pub account: Option<AccountId>,
    pub number: E164,
    pub display_name: String,
    pub connection: Connection,
    /// What the WhatsApp Business app holds and is asked for, in order.
    pub syncs: Vec<AppData>,
    pub verification: Verification,
    pub registration: Registration,
    pub profile: DesiredProfile,
    /// Where the profile's picture comes from.
    pub picture: Option<PictureSource>,
    /// IANA name; compared, never written.
    pub time_zone: Option<String>,
    pub webhook: Option<Webhook>,
    pub username: Option<Username>,
    pub official: Option<OfficialApplication>,
    pub ready_when: ReadyWhen,
    pub management: Management,
    pub drift: DriftPolicy,
    /// How often it is looked at while at rest; `None`: as often as any.
    pub interval: Option<Duration>,
    pub suspend: bool,
    pub deletion: Deletion,
    /// Values of the consent annotations, as they stand on the object.
    pub consents: DesiredConsents,
}

/// Where the portfolio object is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortfolioRef {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    CloudApi,
    Coexistence,
}

words! {
    /// What the WhatsApp Business app can send, in Meta's word.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum AppData { Contacts = "smb_app_state_sync", History = "history" }
}

impl AppData {
    /// For people.
    pub(in crate::engine) fn name(self) -> &'static str {
        match self {
            Self::Contacts => "the contacts",
            Self::History => "the history",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    pub method: VerificationMethod,
    /// Meta's form: `pt_BR`.
    pub language: String,
    pub request: CodeRequest,
    pub code_secret: SecretKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerificationMethod {
    Auto,
    Sms,
    Voice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeRequest {
    OnDemand,
    Automatic,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    pub pin_secret: SecretKey,
    /// The spec names that Secret, so that it is followed whoever registered the number.
    pub is_pin_named: bool,
    /// Where Meta stores messages, in Meta's word; `None` is not managed.
    pub storage_region: Option<String>,
    /// A registered number may be deregistered and registered again for it.
    pub may_move: bool,
    pub pin_policy: PinPolicy,
    pub while_name_in_review: WhileNameInReview,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinPolicy {
    Keep,
    Overwrite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhileNameInReview {
    TryOnce,
    Wait,
}

/// A key in a Secret of the channel's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretKey {
    pub name: String,
    pub key: String,
}

/// Where a picture comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PictureSource {
    /// A key in `binaryData` of a ConfigMap of the channel's namespace.
    ConfigMap(SecretKey),
    /// A key in a Secret of the channel's namespace.
    Secret(SecretKey),
    /// An https address.
    Url(String),
}

impl PictureSource {
    /// The field that names it.
    pub fn field(&self) -> &'static str {
        match self {
            Self::ConfigMap(_) => "spec.profile.pictureRef.configMapKeyRef",
            Self::Secret(_) => "spec.profile.pictureRef.secretKeyRef",
            Self::Url(_) => "spec.profile.pictureRef.url",
        }
    }

    /// All of it, to be compared. An address may hold a signature, so this is never shown.
    pub(in crate::engine) fn whole(&self) -> String {
        match self {
            Self::ConfigMap(of) => format!("configmap {} {}", of.name, of.key),
            Self::Secret(of) => format!("secret {} {}", of.name, of.key),
            Self::Url(url) => format!("url {url}"),
        }
    }
}

/// Managed profile fields; `None` is not managed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DesiredProfile {
    pub about: Option<String>,
    pub address: Option<String>,
    pub description: Option<String>,
    pub email: Option<String>,
    pub websites: Option<Vec<String>>,
    pub vertical: Option<String>,
}

impl DesiredProfile {
    /// Whether any field is managed.
    ///
    /// ```
    /// use whatsapp_operator::engine::desired::DesiredProfile;
    /// assert!(!DesiredProfile::default().is_managed());
    /// assert!(DesiredProfile { about: Some("Open 9-17".into()), ..DesiredProfile::default() }.is_managed());
    /// ```
    pub fn is_managed(&self) -> bool {
        *self != Self::default()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    pub callback_url: String,
    pub verify_token: SecretKey,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    /// In small letters.
    pub name: String,
    /// It may be taken from another number of the portfolio.
    pub may_transfer: bool,
}

/// What Meta is told with a request for an official business account.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OfficialApplication {
    pub website: String,
    pub country: String,
    pub language: String,
    pub parent: Option<String>,
    pub links: Vec<String>,
    pub information: Option<String>,
}

words! {
    /// What a number has to be before it is ready. From NameApproved on each level asks for more than the one before;
    /// Operational asks for what the others do not.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum ReadyWhen { Registered, Operational, NameApproved, FullyVerified }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Management {
    Full,
    ObserveOnly,
}

/// What becomes of a managed field that somebody else changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftPolicy {
    /// It is written again.
    Enforce,
    /// It is told, and left as it is.
    Report,
}

/// What becomes of the number at Meta when the channel is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    pub policy: DeletionPolicy,
    /// How long is tried, counted from the deletion.
    pub timeout: Duration,
    /// A number may be deregistered although other apps are subscribed to its account.
    pub may_deregister_shared: bool,
    /// Since when the object is being deleted.
    pub since: Option<Timestamp>,
    /// Somebody wants it deleted as it is.
    pub is_skipped: bool,
}

/// How long is tried where the spec says nothing.
const DELETION_TIMEOUT: Duration = Duration::from_secs(600);

impl Default for Deletion {
    fn default() -> Self {
        Self {
            policy: DeletionPolicy::Retain,
            timeout: DELETION_TIMEOUT,
            may_deregister_shared: false,
            since: None,
            is_skipped: false,
        }
    }
}

words! {
    /// How much is taken back; each level takes back more than the one before.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum DeletionPolicy { Retain, Unroute, Deregister }
}

impl Desired {
    /// Whether the object may go only after somebody saw to what is left at Meta: to take it back, or to tell of it.
    ///
    /// ```
    /// use whatsapp_operator::api::{lower, v1alpha1::WhatsAppChannel};
    /// use whatsapp_operator::engine::desired::{DeletionPolicy, Management};
    /// # let manifest = serde_json::json!({
    /// #     "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": "WhatsAppChannel",
    /// #     "metadata": {"name": "support-br", "namespace": "shop"},
    /// #     "spec": {"portfolioRef": {"name": "acme"}, "phoneNumber": "+5511912345678", "displayName": "Acme Suporte"},
    /// # });
    /// let channel: WhatsAppChannel = serde_json::from_value(manifest)?;
    /// let mut desired = lower::channel(&channel).expect("a valid spec");
    /// assert!(!desired.needs_cleanup(), "a number is retained unless the spec says otherwise");
    /// desired.deletion.policy = DeletionPolicy::Unroute;
    /// desired.management = Management::ObserveOnly;
    /// assert!(desired.needs_cleanup(), "who only observes takes nothing back, and tells what stays");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn needs_cleanup(&self) -> bool {
        self.deletion.policy > DeletionPolicy::Retain
    }

    /// Whether it matters which apps are subscribed to the account.
    pub(in crate::engine) fn needs_apps(&self) -> bool {
        self.webhook.is_some() || self.ready_when == ReadyWhen::Operational
    }

    /// Whether the object is being deleted, and may take something back at Meta.
    pub(in crate::engine) fn is_cleaning_up(&self) -> bool {
        self.deletion.since.is_some()
            && self.needs_cleanup()
            && self.management == Management::Full
            && !self.deletion.is_skipped
            && !self.suspend
    }
}

/// Values of the consent annotations. When one was set counts for those that are good for a while only, and so does
/// whether it came with the object, and says no time of its own. A look does no harm later either.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DesiredConsents {
    pub send_code: Option<String>,
    /// When that was set, as far as the object tells.
    pub send_code_set: Option<Timestamp>,
    pub send_code_came: bool,
    pub retry: Option<String>,
    /// When that was set, as far as the object tells.
    pub retry_set: Option<Timestamp>,
    pub retry_came: bool,
    pub official: Option<String>,
    /// When that was set, as far as the object tells.
    pub official_set: Option<Timestamp>,
    pub official_came: bool,
    pub reconcile: Option<String>,
}

impl DesiredConsents {
    /// The same for who meets these values now, and met some of them before: no value was set after it was first met, and one
    /// that came with the object did so for good.
    ///
    /// ```
    /// use whatsapp_operator::engine::desired::DesiredConsents;
    /// let (noon, one): (jiff::Timestamp, jiff::Timestamp) =
    ///     ("2026-03-01T12:00:00Z".parse().unwrap(), "2026-03-01T13:00:00Z".parse().unwrap());
    /// let met = |value: &str| DesiredConsents { retry: Some(value.into()), ..DesiredConsents::default() };
    /// let first = met("anna-1").met(None, noon);
    /// assert_eq!(met("anna-1").met(Some(&first), one).retry_set, Some(noon));
    /// assert_eq!(met("anna-2").met(Some(&first), one).retry_set, Some(one));
    /// ```
    #[must_use]
    pub fn met(mut self, before: Option<&Self>, now: Timestamp) -> Self {
        let earliest = |set: Option<Timestamp>, before: Option<Timestamp>| {
            [set, before].into_iter().flatten().fold(now, Timestamp::min)
        };
        let before = before.cloned().unwrap_or_default();
        let is_same = self.send_code == before.send_code;
        self.send_code_set = Some(earliest(self.send_code_set, before.send_code_set.filter(|_| is_same)));
        self.send_code_came |= is_same && before.send_code_came;
        let is_same = self.retry == before.retry;
        self.retry_set = Some(earliest(self.retry_set, before.retry_set.filter(|_| is_same)));
        self.retry_came |= is_same && before.retry_came;
        let is_same = self.official == before.official;
        self.official_set = Some(earliest(self.official_set, before.official_set.filter(|_| is_same)));
        self.official_came |= is_same && before.official_came;
        self
    }

    /// Whether there is one that is good for a while only.
    pub fn is_timed(&self) -> bool {
        self.send_code.is_some() || self.retry.is_some() || self.official.is_some()
    }
}

/// A validated portfolio.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredPortfolio {
    pub name: String,
    pub namespace: String,
    pub generation: i64,
    pub business: BusinessId,
    pub access_token: SecretKey,
    pub app_secret: Option<SecretKey>,
    pub app: Option<AppId>,
    pub expect_name: Option<String>,
    pub expect_country: Option<String>,
    pub access: Arc<[Access]>,
    /// Where the app itself has its events sent. `None`: it is not managed.
    pub app_webhook: Option<DesiredAppWebhook>,
}

/// The webhook of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredAppWebhook {
    pub callback_url: String,
    pub verify_token: SecretKey,
    /// Fields that it has to receive; it may receive others.
    pub fields: Vec<String>,
    /// One that somebody else set may be replaced.
    pub adopt: bool,
}

impl DesiredPortfolio {
    /// As a channel refers to it.
    pub fn reference(&self) -> PortfolioRef {
        PortfolioRef { namespace: self.namespace.as_str().into(), name: self.name.as_str().into() }
    }
}

/// Who may use a portfolio from beyond its own namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `*` is everyone.
    pub namespaces: Names,
    /// `None`: all accounts in reach.
    pub accounts: Option<Names>,
}

/// Names, in one piece of memory: of every portfolio they are known all the time, and each may have thousands.
///
/// ```
/// use whatsapp_operator::engine::desired::Names;
/// let names: Names = ["shop", "bar"].into();
/// assert_eq!(names.iter().collect::<Vec<_>>(), ["shop", "bar"]);
/// assert_eq!(Names::from([]).iter().count(), 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Box<str>);

impl Names {
    /// One after the other. No name has a line break.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.lines()
    }
}

impl<T: AsRef<str>> FromIterator<T> for Names {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        let lines = names.into_iter().fold(String::new(), |lines, name| lines + name.as_ref() + "\n");
        Self(lines.into())
    }
}

impl<const N: usize> From<[&str; N]> for Names {
    fn from(names: [&str; N]) -> Self {
        names.into_iter().collect()
    }
}
