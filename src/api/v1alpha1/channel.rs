//! The kind of a number: what its spec says.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{UNSEEN, secret::SecretKeyRef, status::WhatsAppChannelStatus};
use crate::api::rule;

/// What the number should be, and how to get there. Fields that are left out are not managed.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "whatsapp-operator.dev",
    version = "v1alpha1",
    kind = "WhatsAppChannel",
    plural = "whatsappchannels",
    namespaced,
    status = "WhatsAppChannelStatus",
    derive = "PartialEq",
    doc = "One WhatsApp Business phone number, brought to the state that its spec describes and kept there.",
    shortname = "wac",
    category = "whatsapp",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Stage", type_ = "string", json_path = ".status.stage"),
    printcolumn(name = "Waiting-For", type_ = "string", json_path = ".status.waitingFor[0].actor"),
    printcolumn(name = "Action", type_ = "string", json_path = ".status.waitingFor[0].action"),
    printcolumn(name = "Number", type_ = "string", json_path = ".spec.phoneNumber"),
    printcolumn(name = "Name", type_ = "string", json_path = ".status.facts.verifiedName"),
    printcolumn(name = "Quality", type_ = "string", json_path = ".status.facts.quality"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Name-Status",
        type_ = "string",
        json_path = ".status.facts.nameStatus",
        priority = 1
    ),
    printcolumn(name = "Limit", type_ = "string", json_path = ".status.facts.messagingLimit", priority = 1),
    printcolumn(name = "Throughput", type_ = "string", json_path = ".status.facts.throughput", priority = 1),
    printcolumn(name = "Can-Send", type_ = "string", json_path = ".status.facts.health", priority = 1),
    printcolumn(name = "Username", type_ = "string", json_path = ".status.facts.username", priority = 1),
    printcolumn(name = "Official", type_ = "boolean", json_path = ".status.facts.official", priority = 1),
    printcolumn(name = "Other-Apps", type_ = "string", json_path = ".status.facts.otherApps", priority = 1),
    printcolumn(name = "Account", type_ = "string", json_path = ".status.accountId", priority = 1),
    printcolumn(name = "Number-Id", type_ = "string", json_path = ".status.phoneNumberId", priority = 1),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.waitingFor[0].since", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    validation = rule::object_name(),
    validation = rule::code_and_pin_apart(),
    validation = rule::coexistence_stays(),
    validation = rule::storage_of_cloud_api(),
    validation = rule::syncs_of_the_app(),
    cel
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::not_removed("accountId"))]
pub struct WhatsAppChannelSpec {
    /// The portfolio whose credentials reach the number.
    pub portfolio_ref: PortfolioRef,
    /// Id of the WhatsApp Business Account that holds the number. May be left out while exactly one account
    /// is in reach. Once set it can be neither changed nor removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rule::not_a_phone_number("accountId", "a WhatsApp Business Account"))]
    #[x_kube(validation = rule::digits("accountId", "a WhatsApp Business Account"))]
    #[x_kube(validation = rule::unchanged("accountId", "cannot be changed once set"))]
    pub account_id: Option<String>,
    /// The number with country and area code, digits only after the plus, in quotes: "+5511912345678".
    /// Immutable.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rule::phone_plus())]
    #[x_kube(validation = rule::phone_digits())]
    #[x_kube(validation = rule::phone_leading_zero())]
    #[x_kube(validation = rule::phone_length())]
    #[x_kube(validation = rule::unchanged("phoneNumber", "is immutable"))]
    pub phone_number: String,
    /// The name that people see in their chats. Meta reviews it, also after every change.
    #[schemars(length(min = 3, max = 75))]
    #[x_kube(validation = rule::trimmed("displayName"))]
    pub display_name: String,
    /// How the number is connected: CloudApi (the meaning of an unset field), or Coexistence for a number
    /// that stays in the WhatsApp Business app: its webhook is managed, and nothing else is written to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// What the WhatsApp Business app holds and is asked for, once each. Only with connection Coexistence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coexistence: Option<Coexistence>,
    /// How ownership of the number is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// How the number is registered with the Cloud API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
    /// Texts and picture of the business profile. Fields that are left out are not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// IANA name of the time zone that the account is expected to have. It is compared, never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = rule::time_zone())]
    pub time_zone: Option<String>,
    /// Where this number's messages go. Left out: the number's webhook is not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// Name by which people find the number: 3 to 35 of a to z, 0 to 9, '.' and '_'. It is claimed once. Left out: it is
    /// not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 35))]
    #[x_kube(validation = rule::username_characters())]
    #[x_kube(validation = rule::username_shape())]
    pub username: Option<String>,
    /// What Meta is told when an official business account is requested, which takes the annotation
    /// whatsapp-operator.dev/request-official-account. Left out: it is not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub official_business_account: Option<OfficialBusinessAccount>,
    /// What Ready means: Registered (the meaning of an unset field), Operational (an app is subscribed as well, and no
    /// payment is refused), NameApproved, or FullyVerified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_when: Option<ReadyWhen>,
    /// Full (the meaning of an unset field), or ObserveOnly: looks and reports, writes nothing at Meta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_policy: Option<ManagementPolicy>,
    /// What becomes of a managed field that somebody else changed at Meta: Enforce (the meaning of an unset field) writes
    /// it again, Report only shows it. What an edit of the spec asks for is written in both cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_policy: Option<DriftPolicy>,
    /// What is taken back at Meta when this object is deleted: Retain (the meaning of an unset field) nothing;
    /// Unroute the webhook override of spec.webhook; Deregister that, and the registration where this object made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// How long a deletion tries that, in seconds. Then the object goes, and an event says what is left. Left out: 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::count")]
    #[x_kube(validation = rule::deletion_timeout())]
    pub deletion_timeout_seconds: Option<u32>,
    /// Consents to what may harm others: DeregisterSharedNumber, to deregister a number although other apps or
    /// accounts have it too; ReregisterForStorageRegion, to deregister and register it for another storageRegion;
    /// TransferUsername, to take the username from another number of the portfolio.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub acknowledge: Vec<Acknowledgement>,
    /// How often a number that needs nothing is compared with Meta, as in 30m or 6h: at most 24h. What is below the operator's
    /// --list-freshness counts as that, and so does a field that is left out. What is above its --longest-interval counts as
    /// that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16))]
    #[x_kube(validation = rule::interval())]
    pub interval: Option<String>,
    /// While true: no call to Meta, no step, no Secret read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

impl WhatsAppChannel {
    /// The status that an operator wrote. None: no operator has seen the object yet. The schema gives such a one a
    /// generation below all others and nothing else, so that nobody who waits takes it for current.
    pub fn seen(&self) -> Option<&WhatsAppChannelStatus> {
        let unseen =
            WhatsAppChannelStatus { observed_generation: Some(UNSEEN), ..WhatsAppChannelStatus::default() };
        self.status.as_ref().filter(|status| **status != unseen)
    }
}

/// Where a portfolio object is.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PortfolioRef {
    /// Name of the WhatsAppPortfolio.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rule::dns_name("portfolioRef.name", "of a WhatsAppPortfolio"))]
    pub name: String,
    /// Its namespace; left out: the channel's own. The portfolio's `access` has to allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rule::dns_label("portfolioRef.namespace"))]
    pub namespace: Option<String>,
}

/// How a number is connected.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Connection {
    CloudApi,
    Coexistence,
}

/// How ownership is proven.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// How the code travels: Auto (the meaning of an unset field: a certain fixed line by voice, everything
    /// else by SMS), Sms or Voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<VerificationMethod>,
    /// Language of the code's text or call, in Meta's form: pt_BR. Left out: en_US.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(validation = rule::language())]
    pub language: Option<String>,
    /// OnDemand (the meaning of an unset field): a code is sent when somebody asks for it. Automatic: the
    /// first one goes out by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<CodeRequest>,
    /// Where the received code is put. Left out: Secret <channel>-code, key code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_secret_ref: Option<SecretKeyRef>,
}

/// How the code travels.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum VerificationMethod {
    Auto,
    Sms,
    Voice,
}

/// Who asks for the first code.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum CodeRequest {
    OnDemand,
    Automatic,
}

/// How the number is registered.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The six digits of two-step verification. Left out: Secret <channel>-pin, key pin; created when it
    /// is absent and no PIN can be in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_secret_ref: Option<SecretKeyRef>,
    /// Keep (the meaning of an unset field), or Overwrite: an unknown PIN may be replaced once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_policy: Option<PinPolicy>,
    /// TryOnce (the meaning of an unset field): one attempt while Meta reviews the name. Wait: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub while_name_in_review: Option<WhileNameInReview>,
    /// Where Meta stores the number's messages, by country. It is set before the first registration. A later change needs
    /// acknowledge ReregisterForStorageRegion. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_region: Option<StorageRegion>,
}

/// What the WhatsApp Business app is asked for. Meta takes that within 24 hours of the onboarding.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Coexistence {
    /// The contacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_contacts: Option<bool>,
    /// The chats of up to six months.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_history: Option<bool>,
}

/// Countries in which Meta stores messages.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum StorageRegion {
    Au,
    Id,
    In,
    Jp,
    Sg,
    Kr,
    De,
    Ch,
    Gb,
    Br,
    Bh,
    Za,
    Ae,
    Ca,
}

/// What happens to a PIN that nobody knows.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum PinPolicy {
    Keep,
    Overwrite,
}

/// Whether to register while the name is in review.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum WhileNameInReview {
    TryOnce,
    Wait,
}

/// Texts and picture of the business profile.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// The line below the name. Meta does not let it be emptied again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 139))]
    pub about: Option<String>,
    /// Postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub address: Option<String>,
    /// What the business does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub description: Option<String>,
    /// Contact address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rule::email())]
    pub email: Option<String>,
    /// One or two sites, each with http:// or https://.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2), inner(length(min = 1, max = 256)))]
    #[x_kube(validation = rule::websites())]
    pub websites: Option<Vec<String>>,
    /// Line of business, by Meta's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vertical: Option<Vertical>,
    /// The picture: a JPEG or PNG of at most 5 MB, with sides of 192 to 8192 pixels, 640 x 640 at best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture_ref: Option<PictureRef>,
}

/// Where a picture comes from: one of a ConfigMap, a Secret and an address.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::one_picture())]
pub struct PictureRef {
    /// A key in binaryData of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKeyRef>,
    /// A key in a Secret. What is in it becomes public, so the Secret must carry the label whatsapp-operator.dev/use with the
    /// value picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// An https address on the public Internet. It is looked at once a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = rule::picture_url())]
    pub url: Option<String>,
}

/// A key in a ConfigMap of the object's own namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKeyRef {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rule::dns_name("name", "of a ConfigMap"))]
    pub name: String,
    /// Key in the ConfigMap's binaryData.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rule::config_map_key())]
    pub key: String,
}

/// Meta's words for a line of business.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Vertical {
    Alcohol,
    Apparel,
    Auto,
    Beauty,
    Edu,
    Entertain,
    EventPlan,
    Finance,
    Govt,
    Grocery,
    Health,
    Hotel,
    Nonprofit,
    OnlineGambling,
    OtcDrugs,
    Other,
    PhysicalGambling,
    ProfServices,
    Restaurant,
    Retail,
    Travel,
}

impl Vertical {
    /// Meta's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alcohol => "ALCOHOL",
            Self::Apparel => "APPAREL",
            Self::Auto => "AUTO",
            Self::Beauty => "BEAUTY",
            Self::Edu => "EDU",
            Self::Entertain => "ENTERTAIN",
            Self::EventPlan => "EVENT_PLAN",
            Self::Finance => "FINANCE",
            Self::Govt => "GOVT",
            Self::Grocery => "GROCERY",
            Self::Health => "HEALTH",
            Self::Hotel => "HOTEL",
            Self::Nonprofit => "NONPROFIT",
            Self::OnlineGambling => "ONLINE_GAMBLING",
            Self::OtcDrugs => "OTC_DRUGS",
            Self::Other => "OTHER",
            Self::PhysicalGambling => "PHYSICAL_GAMBLING",
            Self::ProfServices => "PROF_SERVICES",
            Self::Restaurant => "RESTAURANT",
            Self::Retail => "RETAIL",
            Self::Travel => "TRAVEL",
        }
    }
}

/// Where a number's messages go.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// An https URL; Meta calls it with the messages of this number.
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(validation = rule::callback_url("webhook"))]
    pub callback_url: String,
    /// The token that Meta repeats in its handshake with that URL. The Secret has to carry the label
    /// whatsapp-operator.dev/use with the value verify-token.
    pub verify_token_secret_ref: SecretKeyRef,
}

/// What Meta is told with a request for an official business account.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OfficialBusinessAccount {
    /// Web site of the business.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = rule::web_address("officialBusinessAccount.businessWebsiteUrl"))]
    pub business_website_url: String,
    /// Country in which the business mainly works.
    #[schemars(length(min = 1, max = 64))]
    pub primary_country_of_operation: String,
    /// Language that the business mainly uses.
    #[schemars(length(min = 1, max = 64))]
    pub primary_language: String,
    /// Business or brand that the business belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub parent_business_or_brand: Option<String>,
    /// At most five addresses that show how well known the business is, such as articles about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), inner(length(min = 1, max = 256)))]
    #[x_kube(validation = rule::supporting_links())]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub supporting_links: Vec<String>,
    /// What else speaks for the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub additional_supporting_information: Option<String>,
}

/// What Ready means.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ReadyWhen {
    Registered,
    Operational,
    NameApproved,
    FullyVerified,
}

/// What becomes of a managed field that somebody else changed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum DriftPolicy {
    Enforce,
    Report,
}

/// What is taken back when the object is deleted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum DeletionPolicy {
    Retain,
    Unroute,
    Deregister,
}

/// What somebody consents to.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Acknowledgement {
    DeregisterSharedNumber,
    ReregisterForStorageRegion,
    TransferUsername,
}

/// How much the operator may do.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ManagementPolicy {
    Full,
    ObserveOnly,
}
