//! Identifiers and Meta's open vocabularies, as values.
//!
//! Ids are decimal strings that may exceed 2^53, so they are never numbers. Every
//! vocabulary of Meta's is open: a word we do not know is kept as it came and is
//! treated as "not ready, do not act", never as an error.

use std::{fmt, sync::Arc};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is; shape is checked where input enters.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The id as Meta writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    };
}

id!(
    /// A Meta business portfolio.
    BusinessId
);
id!(
    /// A WhatsApp Business Account (WABA).
    AccountId
);
id!(
    /// A phone number in an account; discovered, never user input.
    NumberId
);
id!(
    /// The Meta app that a token belongs to.
    AppId
);

macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A word that this version does not know, as Meta wrote it.
            Other(Arc<str>),
        }

        impl $name {
            /// Meta's raw word.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }

            /// Whether this version knows the word.
            pub fn is_known(&self) -> bool {
                !matches!(self, Self::Other(_))
            }

            /// Every word that this version knows, for tables and tests.
            pub const KNOWN: &'static [&'static str] = &[$($word),+];
        }

        impl From<&str> for $name {
            /// Compares without case, as some of Meta's texts differ in it.
            fn from(word: &str) -> Self {
                $(if word.eq_ignore_ascii_case($word) { return Self::$variant; })+
                Self::Other(word.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

open_enum!(
    /// `status` of a number.
    NumberStatus {
        Pending = "PENDING",
        Unverified = "UNVERIFIED",
        Connected = "CONNECTED",
        Disconnected = "DISCONNECTED",
        Flagged = "FLAGGED",
        Restricted = "RESTRICTED",
        RateLimited = "RATE_LIMITED",
        Banned = "BANNED",
        Migrated = "MIGRATED",
        Deleted = "DELETED",
    }
);
open_enum!(
    /// `code_verification_status`: the ownership code, not the PIN.
    CodeStatus {
        NotVerified = "NOT_VERIFIED",
        /// How Meta's OpenAPI writes `NOT_VERIFIED`.
        Unverified = "UNVERIFIED",
        Verified = "VERIFIED",
        Expired = "EXPIRED",
    }
);
open_enum!(
    /// `name_status` and `new_name_status`.
    NameStatus {
        None = "NONE",
        /// Only in SDK enums; means `NONE`.
        NonExists = "NON_EXISTS",
        AvailableWithoutReview = "AVAILABLE_WITHOUT_REVIEW",
        PendingReview = "PENDING_REVIEW",
        Approved = "APPROVED",
        Declined = "DECLINED",
        Expired = "EXPIRED",
    }
);
open_enum!(
    /// `platform_type`: where the number is registered.
    PlatformType {
        CloudApi = "CLOUD_API",
        OnPremise = "ON_PREMISE",
        NotApplicable = "NOT_APPLICABLE",
    }
);
open_enum!(
    /// `account_mode` of a number.
    AccountMode { Live = "LIVE", Sandbox = "SANDBOX" }
);
open_enum!(
    /// `can_send_message` of a health entity.
    Sendability { Available = "AVAILABLE", Limited = "LIMITED", Blocked = "BLOCKED" }
);
open_enum!(
    /// `status` of an account.
    AccountStatus {
        Active = "ACTIVE",
        Pending = "PENDING",
        Restricted = "RESTRICTED",
        Disabled = "DISABLED",
        Inactive = "INACTIVE",
    }
);
open_enum!(
    /// `account_review_status` of an account.
    ReviewStatus {
        Approved = "APPROVED",
        Pending = "PENDING",
        Deferred = "DEFERRED",
        Rejected = "REJECTED",
        Restricted = "RESTRICTED",
        LimitReached = "LIMIT_REACHED",
    }
);
open_enum!(
    /// `verification_status` of a portfolio.
    VerificationStatus {
        NotVerified = "not_verified",
        PendingSubmission = "pending_submission",
        Pending = "pending",
        PendingNeedMoreInfo = "pending_need_more_info",
        Verified = "verified",
        Rejected = "rejected",
        Failed = "failed",
        Revoked = "revoked",
        Expired = "expired",
        Ineligible = "ineligible",
    }
);
open_enum!(
    /// `quality_rating` of a number.
    Quality { Green = "GREEN", Yellow = "YELLOW", Red = "RED", Unknown = "UNKNOWN", NotApplicable = "NA" }
);
open_enum!(
    /// `throughput.level` of a number.
    Throughput { Standard = "STANDARD", High = "HIGH", NotApplicable = "NOT_APPLICABLE" }
);
open_enum!(
    /// `whatsapp_business_manager_messaging_limit`: a portfolio's, shown on each number.
    MessagingLimit {
        Tier250 = "TIER_250",
        Tier2K = "TIER_2K",
        Tier10K = "TIER_10K",
        Tier100K = "TIER_100K",
        Unlimited = "TIER_UNLIMITED",
        Untiered = "UNTIERED",
    }
);
open_enum!(
    /// `status` of a username.
    UsernameStatus { Approved = "approved", Reserved = "reserved" }
);
open_enum!(
    /// `oba_status` of a number: what becomes of a request for an official business account.
    OfficialStatus {
        NotStarted = "NOT_STARTED",
        Pending = "PENDING",
        UnderReview = "UNDER_REVIEW",
        Approved = "APPROVED",
        Rejected = "REJECTED",
        Expired = "EXPIRED",
        Cancelled = "CANCELLED",
    }
);
open_enum!(
    /// `type` of a token, as `debug_token` tells it.
    TokenType { SystemUser = "SYSTEM_USER", User = "USER", Page = "PAGE", App = "APP" }
);

/// One field of a read that succeeded.
///
/// Meta leaves out what is unset or hidden, and refuses a whole read that asks for a
/// field it does not have; the two mean different things to a decision.
///
/// ```
/// use whatsapp_operator::engine::id::{Field, NumberStatus};
/// let field = Field::Is(NumberStatus::from("CONNECTED"));
/// assert_eq!(field.value(), Some(&NumberStatus::Connected));
/// assert!(Field::<NumberStatus>::Refused.is_refused());
/// // A word that this version does not know is kept.
/// let new = NumberStatus::from("NOVEL");
/// assert!(!new.is_known());
/// assert_eq!(new.as_str(), "NOVEL");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Field<T> {
    /// Meta refused the field for this app and version, so it was not asked for.
    Refused,
    /// Asked for and left out: unset, not applicable or not permitted.
    #[default]
    Absent,
    /// Meta's value.
    Is(T),
}

impl<T> Field<T> {
    /// The value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Refused | Self::Absent => None,
        }
    }

    /// Whether Meta refused to be asked.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused)
    }
}

/// A whole read: not needed, failed, or answered.
///
/// ```
/// use whatsapp_operator::engine::id::{AccountId, Fact};
/// let read = Fact::Known(AccountId::new("300000000000001"));
/// assert_eq!(read.known().map(AccountId::as_str), Some("300000000000001"));
/// assert_eq!(Fact::<AccountId>::NotAsked.known(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Fact<T> {
    /// Not read in this pass.
    #[default]
    NotAsked,
    /// Asked; no answer about the fact. Says nothing about it.
    Unknown(super::failure::Failure),
    /// Meta's answer.
    Known(T),
}

impl<T> Fact<T> {
    /// The answer, if there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::NotAsked | Self::Unknown(_) => None,
        }
    }

    /// The same about what is made of the answer.
    pub fn map<U>(self, of: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::NotAsked => Fact::NotAsked,
            Self::Known(value) => Fact::Known(of(value)),
            Self::Unknown(failure) => Fact::Unknown(failure),
        }
    }
}
