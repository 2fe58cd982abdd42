//! The types of conditions, in the order of their depth.

/// The conditions of a channel, in the order of their depth: `Ready` copies the first that blocks it.
///
/// ```
/// use whatsapp_operator::engine::condition_type::ConditionType;
/// assert!(ConditionType::PortfolioReady < ConditionType::Registered);
/// assert!(ConditionType::Registered.may_block() && !ConditionType::PaymentReady.may_block());
/// assert_eq!(ConditionType::NumberVerified.blocks(), "until Registered");
/// assert_eq!(ConditionType::PaymentReady.as_str(), "PaymentReady");
/// assert_eq!(ConditionType::PaymentReady.meaning(), "The account has a payment method.");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    PortfolioReady,
    AccountUsable,
    NumberAdded,
    NumberVerified,
    DisplayNameApproved,
    Registered,
    Healthy,
    WebhookRouted,
    ProfileSynced,
    BusinessVerified,
    PaymentReady,
    Ready,
    Reconciling,
    Stalled,
    /// Of a portfolio only.
    CredentialsValid,
    /// Of a portfolio only.
    IdentityConfirmed,
}

impl ConditionType {
    /// The types of a channel, in order.
    pub const CHANNEL: [Self; 14] = [
        Self::PortfolioReady,
        Self::AccountUsable,
        Self::NumberAdded,
        Self::NumberVerified,
        Self::DisplayNameApproved,
        Self::Registered,
        Self::Healthy,
        Self::WebhookRouted,
        Self::ProfileSynced,
        Self::BusinessVerified,
        Self::PaymentReady,
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
    ];

    /// What has to be True before the number is usable, in order. The other types only inform.
    pub const WAY: [Self; 9] = [
        Self::PortfolioReady,
        Self::AccountUsable,
        Self::NumberAdded,
        Self::NumberVerified,
        Self::DisplayNameApproved,
        Self::Registered,
        Self::Healthy,
        Self::WebhookRouted,
        Self::ProfileSynced,
    ];

    /// Whether `Ready`, of a channel or of a portfolio, may ever copy it.
    pub fn may_block(self) -> bool {
        !matches!(
            self,
            Self::ProfileSynced | Self::PaymentReady | Self::Ready | Self::Reconciling | Self::Stalled
        )
    }

    /// What True means, for the documentation.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::PortfolioReady => {
                "The portfolio resolves, may be used from this namespace, and its credentials work."
            }
            Self::AccountUsable => "The account is in reach, reviewed and active.",
            Self::NumberAdded => "The number is in the account, and its id is known.",
            Self::NumberVerified => {
                "Ownership is proven by a code, or needs no proof since the number is registered."
            }
            Self::DisplayNameApproved => {
                "The desired name is live, and approved or available without review."
            }
            Self::Registered => "The number is registered with Cloud API.",
            Self::Healthy => "The number can send. Limits show as reason Limited.",
            Self::WebhookRouted => {
                "Our app is subscribed, and the number's webhook is the desired one. There only when spec.webhook is set."
            }
            Self::ProfileSynced => {
                "Every managed profile field matches. There only when spec.profile is set."
            }
            Self::BusinessVerified => "Meta has verified the business.",
            Self::PaymentReady => "The account has a payment method.",
            Self::Ready => "Usable in the sense of readyWhen.",
            Self::Reconciling => "The operator still has something to do. There only when True.",
            Self::Stalled => "Nothing but an edit or a person at Meta helps. There only when True.",
            Self::CredentialsValid => "The credentials in use work.",
            Self::IdentityConfirmed => "The portfolio is the expected one.",
        }
    }

    /// When it prevents `Ready` of a channel, for the documentation.
    pub fn blocks(self) -> &'static str {
        match self {
            Self::PortfolioReady
            | Self::AccountUsable
            | Self::NumberAdded
            | Self::Registered
            | Self::Healthy => "always",
            Self::NumberVerified => "until Registered",
            Self::DisplayNameApproved => "readyWhen NameApproved and FullyVerified",
            Self::WebhookRouted => "always when managed",
            Self::BusinessVerified => "readyWhen FullyVerified",
            _ => "never",
        }
    }

    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PortfolioReady => "PortfolioReady",
            Self::AccountUsable => "AccountUsable",
            Self::NumberAdded => "NumberAdded",
            Self::NumberVerified => "NumberVerified",
            Self::DisplayNameApproved => "DisplayNameApproved",
            Self::Registered => "Registered",
            Self::Healthy => "Healthy",
            Self::WebhookRouted => "WebhookRouted",
            Self::ProfileSynced => "ProfileSynced",
            Self::BusinessVerified => "BusinessVerified",
            Self::PaymentReady => "PaymentReady",
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::CredentialsValid => "CredentialsValid",
            Self::IdentityConfirmed => "IdentityConfirmed",
        }
    }
}
