//! Steps: one call each, with its reason and everything `act` needs to know.
//!
//! A step leaves no choice to the code that carries it out. It holds no secret: values of
//! Secrets are handed to `act` beside it. What is true of a step whatever it holds stands in one row of a table.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::value::{
    desired::{AppData, DesiredProfile, OfficialApplication, SecretKey},
    id::{AccountId, NumberId},
    limits::Limits,
    phone::E164,
    reason::Reason,
    secret::SecretVersion,
    word::{Vocabulary, words},
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
    /// An upload to the app, then `POST {number}/whatsapp_business_profile` with its handle. The bytes are those with this
    /// sum.
    WritePicture { account: AccountId, number: NumberId, sum: String },
    /// `POST {number}` with an empty `webhook_configuration`: our app's own override goes.
    UnrouteWebhook { account: AccountId, number: NumberId },
    /// `POST {number}/settings` with `storage_configuration`; only while the number is not registered.
    SetStorage { account: AccountId, number: NumberId, region: String },
    /// `POST {number}/smb_app_data`. Also says which onboarding it belongs to.
    StartSync { account: AccountId, number: NumberId, sync: AppData, onboarded: Timestamp },
    /// `POST {number}/deregister`; with a region the number is registered again, to be stored there.
    Deregister { account: AccountId, number: NumberId, region: Option<String> },
    /// `POST {number}/username`; with a transfer another number of the portfolio loses it.
    ClaimUsername { account: AccountId, number: NumberId, username: String, transfer: bool },
    /// `POST {number}/official_business_account`.
    RequestOfficial { account: AccountId, number: NumberId, application: OfficialApplication },
}

words! {
    /// How the code travels, in Meta's word.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum CodeMethod { Sms = "SMS", Voice = "VOICE" }
}

/// Where a step is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    AtMeta,
    InCluster,
}

/// What a look can show of a step's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// An account's list of numbers shows it.
    InList,
    /// It shows as a setting that matches.
    InSettings,
    /// Nothing shows it.
    Nowhere,
}

/// What doing it twice costs.
#[derive(Clone, Copy, Debug)]
enum Again {
    /// Nothing that cannot be had back.
    Repeatable,
    /// Each attempt is kept in the ledger, and counted against this limit.
    Counted(fn(&Limits) -> usize),
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
struct Row {
    done: Done,
    shows: Shows,
    again: Again,
    settle: fn(&Limits) -> Duration,
    reason: Reason,
}

macro_rules! steps {
    ($($step:ident: $done:ident, $shows:ident, $settle:ident, $reason:ident, $again:ident $(($limit:expr))?;)+) => {
        words! {
            /// The steps, by name.
            ///
            /// ```
            /// use whatsapp_operator::engine::{limits::Limits, step::{Shows, StepKind}};
            /// let (limits, register) = (Limits::default(), StepKind::Register);
            /// assert!(StepKind::at_meta().all(|step| step != StepKind::CreatePin));
            /// assert_eq!((register.shows(), register.settle(&limits).as_secs()), (Shows::InList, 600));
            /// // A limit that is counted in the ledger never meets its end.
            /// assert!(register.remembered(&limits) > limits.registrations_total);
            /// assert_eq!(StepKind::WriteProfile.remembered(&limits), 0);
            /// ```
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum StepKind { $($step),+ }
        }

        impl Step {
            /// Its name.
            pub fn kind(&self) -> StepKind {
                match self { $(Self::$step { .. } => StepKind::$step,)+ }
            }
        }

        impl StepKind {
            fn row(self) -> Row {
                match self {
                    $(Self::$step => Row {
                        done: Done::$done,
                        shows: Shows::$shows,
                        again: Again::$again $(($limit))?,
                        settle: |limits| limits.$settle,
                        reason: Reason::$reason,
                    },)+
                }
            }
        }
    };
}

steps! {
    // Step: where it is done, what shows its effect, how long that may take, what it is called while it is under way,
    // and what doing it twice costs.
    AddNumber: AtMeta, InList, settle_add, AddingNumber,
        Counted(|limits| limits.add_refused_tries.max(limits.add_unknown_repeats + 1));
    RequestCode: AtMeta, Nowhere, settle_other, RequestingCode, Counted(|limits| limits.codes_total.max(limits.codes_by_consent + 1));
    VerifyCode: AtMeta, InList, settle_verify, VerifyingCode, Counted(|limits| limits.verifications_per_code);
    SubmitName: AtMeta, InList, settle_name, SubmittingName, Counted(|limits| limits.names);
    CreatePin: InCluster, Nowhere, settle_other, CreatingPin, Repeatable;
    SetPin: AtMeta, Nowhere, settle_other, SettingPin, Counted(|_| 1);
    Register: AtMeta, InList, settle_register, Registering, Counted(|limits| limits.registrations_total);
    SubscribeApp: AtMeta, InSettings, settle_other, Subscribing, Repeatable;
    RouteWebhook: AtMeta, InSettings, settle_other, RoutingWebhook, Repeatable;
    WriteProfile: AtMeta, InSettings, settle_other, WritingProfile, Repeatable;
    WritePicture: AtMeta, Nowhere, settle_other, WritingPicture, Counted(|limits| limits.pictures);
    UnrouteWebhook: AtMeta, InSettings, settle_other, CleaningUp, Repeatable;
    SetStorage: AtMeta, Nowhere, settle_other, SettingStorage, Repeatable;
    StartSync: AtMeta, Nowhere, settle_other, StartingSync, Counted(|_| 2);
    Deregister: AtMeta, InList, settle_deregister, Deregistering, Counted(|limits| limits.deregistrations_total);
    ClaimUsername: AtMeta, Nowhere, settle_other, ClaimingUsername, Counted(|limits| limits.usernames_automatic);
    RequestOfficial: AtMeta, Nowhere, settle_other, RequestingOfficialAccount, Counted(|_| 1);
}

impl StepKind {
    /// Those that are calls to Meta.
    pub fn at_meta() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|step| step.row().done == Done::AtMeta)
    }

    /// Whether it may be done twice without cost.
    pub fn is_repeatable(self) -> bool {
        matches!(self.row().again, Again::Repeatable)
    }

    /// What shows its effect.
    pub fn shows(self) -> Shows {
        self.row().shows
    }

    /// How long its effect is given to show.
    pub fn settle(self, limits: &Limits) -> Duration {
        (self.row().settle)(limits)
    }

    /// How many attempts are remembered: always more than the limit that is counted in them.
    pub fn remembered(self, limits: &Limits) -> usize {
        match self.row().again {
            Again::Repeatable => 0,
            Again::Counted(limit) => limits.ledger_entries.max(limit(limits) + 1),
        }
    }

    /// What it is called while it is under way.
    pub fn reason(self) -> Reason {
        self.row().reason
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// By the policy's own schedule.
    Automatic,
    /// By a `send-code` consent with this value.
    SendCode(String),
    /// By a `retry` consent with this value.
    Retry(String),
    /// By a `request-official-account` consent with this value.
    Official(String),
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
