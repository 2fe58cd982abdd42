//! Steps: one call each, with its reason and everything `act` needs to know.
//!
//! A step leaves no choice to the code that carries it out. It holds no secret: values of
//! Secrets are handed to `act` beside it.

use crate::engine::value::{
    desired::{DesiredProfile, SecretKey},
    id::{AccountId, NumberId},
    phone::E164,
    secret::SecretVersion,
    word::vocabulary,
};

/// One call.
///
/// ```
/// use whatsapp_operator::engine::step::{CodeMethod, Step, StepKind};
/// let step = Step::SubscribeApp { account: "300000000000001".into() };
/// assert_eq!(step.kind(), StepKind::SubscribeApp);
/// assert!(step.kind().is_repeatable() && !StepKind::Register.is_repeatable());
/// assert_eq!((StepKind::Register.as_str(), CodeMethod::Sms.as_str()), ("Register", "SMS"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `POST {account}/phone_numbers`.
    AddNumber { account: AccountId, number: E164, name: String },
    /// `POST {number}/request_code`: a real SMS or call.
    RequestCode {
        account: AccountId,
        number: NumberId,
        method: CodeMethod,
        language: String,
        secret_before: Option<SecretVersion>,
    },
    /// `POST {number}/verify_code` with the code in this version of the Secret.
    VerifyCode { account: AccountId, number: NumberId, secret: SecretVersion },
    /// `POST {number}` with `new_display_name`.
    SubmitName { account: AccountId, number: NumberId, name: String },
    /// Creates the PIN Secret in the cluster; AlreadyExists means read it.
    CreatePin { secret: SecretKey },
    /// `POST {number}` with `pin`.
    SetPin { account: AccountId, number: NumberId, secret: SecretVersion },
    /// `POST {number}/register` with the PIN in this version of the Secret.
    Register { account: AccountId, number: NumberId, secret: SecretVersion, in_review: Option<String> },
    /// `POST {account}/subscribed_apps` without a body; only when our app is missing.
    SubscribeApp { account: AccountId },
    /// `POST {number}` with `webhook_configuration`.
    RouteWebhook { account: AccountId, number: NumberId, url: String, secret: SecretVersion },
    /// `POST {number}/whatsapp_business_profile` with just these fields.
    WriteProfile { account: AccountId, number: NumberId, fields: DesiredProfile },
}

/// How the code travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeMethod {
    Sms,
    Voice,
}

impl CodeMethod {
    /// Meta's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "SMS",
            Self::Voice => "VOICE",
        }
    }
}

impl Step {
    /// Its name.
    pub fn kind(&self) -> StepKind {
        match self {
            Self::AddNumber { .. } => StepKind::AddNumber,
            Self::RequestCode { .. } => StepKind::RequestCode,
            Self::VerifyCode { .. } => StepKind::VerifyCode,
            Self::SubmitName { .. } => StepKind::SubmitName,
            Self::CreatePin { .. } => StepKind::CreatePin,
            Self::SetPin { .. } => StepKind::SetPin,
            Self::Register { .. } => StepKind::Register,
            Self::SubscribeApp { .. } => StepKind::SubscribeApp,
            Self::RouteWebhook { .. } => StepKind::RouteWebhook,
            Self::WriteProfile { .. } => StepKind::WriteProfile,
        }
    }
}

/// The steps, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKind {
    AddNumber,
    RequestCode,
    VerifyCode,
    SubmitName,
    CreatePin,
    SetPin,
    Register,
    SubscribeApp,
    RouteWebhook,
    WriteProfile,
}

impl StepKind {
    /// Those that are calls to Meta.
    pub const AT_META: [Self; 9] = [
        Self::AddNumber,
        Self::RequestCode,
        Self::VerifyCode,
        Self::SubmitName,
        Self::SetPin,
        Self::Register,
        Self::SubscribeApp,
        Self::RouteWebhook,
        Self::WriteProfile,
    ];

    /// Whether it may be done twice without cost.
    pub fn is_repeatable(self) -> bool {
        matches!(self, Self::CreatePin | Self::SubscribeApp | Self::RouteWebhook | Self::WriteProfile)
    }
}

vocabulary!(StepKind {
    AddNumber,
    RequestCode,
    VerifyCode,
    SubmitName,
    CreatePin,
    SetPin,
    Register,
    SubscribeApp,
    RouteWebhook,
    WriteProfile,
});

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// By the policy's own schedule.
    Automatic,
    /// By a `send-code` consent with this value.
    SendCode(String),
    /// By a `retry` consent with this value.
    Retry(String),
    /// By a new version of a Secret.
    Secret,
}

/// A step with why it is taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub step: Step,
    /// For people: plans, logs, `inFlight.reason`.
    pub why: String,
    pub cause: Cause,
}
