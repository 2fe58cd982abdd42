//! Every reason a condition may carry, once: which conditions, what it means, what to do, and of what kind it is.
//!
//! The table makes the documentation, and decides `Reconciling` and `Stalled`.

use super::condition::ConditionType;

/// What a reason says about who moves next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReasonKind {
    /// Nothing is open: the condition is as it should be, or is only told.
    Settled,
    /// The operator still has something to do.
    Progress,
    /// A person has to act.
    Person,
    /// Meta or time ends it.
    Time,
    /// No clock ends it and nothing is tried again: only an edit or a person at Meta.
    Stalled,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub reason: Reason,
    pub name: &'static str,
    pub kind: ReasonKind,
    pub conditions: &'static [ConditionType],
    pub meaning: &'static str,
    pub remedy: &'static str,
}

macro_rules! reasons {
    ($($name:ident: $kind:ident, [$($on:ident),* $(,)?], $meaning:literal, $remedy:literal;)+) => {
        /// A reason, as it stands in conditions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($name,)+ }

        /// The table, in the order of the enum.
        pub const TABLE: &[Row] = &[$(Row {
            reason: Reason::$name,
            name: stringify!($name),
            kind: ReasonKind::$kind,
            conditions: &[$(ConditionType::$on),*],
            meaning: $meaning,
            remedy: $remedy,
        },)+];
    };
}

reasons! {
    // Not looked at yet, or nothing known.
    NotObservedYet: Progress, [], "", "";
    NotObserved: Time, [Ready], "", "";
    // Good.
    PortfolioUsable: Settled, [PortfolioReady], "", "";
    AccountActive: Settled, [AccountUsable], "", "";
    InAccount: Settled, [NumberAdded], "", "";
    CodeVerified: Settled, [NumberVerified], "", "";
    NotNeededWhenRegistered: Settled, [NumberVerified], "", "";
    NameApproved: Settled, [DisplayNameApproved], "", "";
    NameAvailableWithoutReview: Settled, [DisplayNameApproved], "", "";
    RegisteredWithCloudApi: Settled, [Registered], "", "";
    CanSend: Settled, [Healthy], "", "";
    Limited: Settled, [Healthy], "", "";
    Routed: Settled, [WebhookRouted], "", "";
    NotManaged: Settled, [], "", "";
    InSync: Settled, [ProfileSynced], "", "";
    BusinessIsVerified: Settled, [BusinessVerified], "", "";
    PaymentMethodPresent: Settled, [PaymentReady], "", "";
    PaymentNotKnown: Settled, [PaymentReady], "", "";
    TokenAccepted: Settled, [CredentialsValid], "", "";
    IdentityMatches: Settled, [IdentityConfirmed], "", "";
    IdentityNotCheckable: Settled, [IdentityConfirmed], "", "";
    Usable: Settled, [Ready], "", "";
    // The operator is at it.
    AddingNumber: Progress, [], "", "";
    RequestingCode: Progress, [], "", "";
    VerifyingCode: Progress, [], "", "";
    SubmittingName: Progress, [], "", "";
    CreatingPin: Progress, [], "", "";
    SettingPin: Progress, [], "", "";
    Registering: Progress, [], "", "";
    Subscribing: Progress, [], "", "";
    RoutingWebhook: Progress, [], "", "";
    WritingProfile: Progress, [], "", "";
    EffectNotVisibleYet: Progress, [], "", "";
    JustRegistered: Progress, [Healthy], "", "";
    // A person has to act.
    CodeNeeded: Person, [], "", "";
    CodeAwaited: Person, [], "", "";
    CodeMayHaveBeenSent: Person, [], "", "";
    CodeWrong: Person, [], "", "";
    CodeLapsed: Person, [], "", "";
    CodeMalformed: Person, [], "", "";
    CodeRequestRefused: Person, [], "", "";
    CodeFoundUnasked: Person, [], "", "";
    ReverificationNeeded: Person, [], "", "";
    PinNeeded: Person, [], "", "";
    PinMalformed: Person, [], "", "";
    PinMismatch: Person, [], "", "";
    NumberOnPhone: Person, [], "", "";
    NumberLimitReached: Person, [], "", "";
    AddRefused: Person, [], "", "";
    NameRefused: Person, [], "", "";
    NameNotTaken: Person, [NumberVerified, DisplayNameApproved, Registered, Ready], "Meta accepted the display name and does not show it.", "Look at the number in WhatsApp Manager, then set the retry consent to submit the name again.";
    CoexistenceNotOnboarded: Person, [NumberAdded, NumberVerified, Registered, Ready], "The number is to stay in the WhatsApp Business app and is not connected to the platform yet.", "Connect it in the app through the partner's sign-up; no call can do that.";
    RegistrationRefused: Person, [], "", "";
    IncompleteDeregistration: Person, [], "", "";
    SandboxNumberNotVerified: Person, [], "", "";
    FellBack: Person, [], "", "";
    ObserveOnly: Person, [], "", "";
    Suspended: Person, [], "", "";
    NoAccountInReach: Person, [], "", "";
    AccountAmbiguous: Person, [], "", "";
    AccountReachUnknown: Person, [], "", "";
    AccountNotInReach: Person, [], "", "";
    AccountRestricted: Person, [], "", "";
    AccountLocked: Person, [], "", "";
    PermissionMissing: Person, [], "", "";
    PortfolioNotUsable: Person, [], "", "";
    SecretMissing: Person, [], "", "";
    SecretKeyMissing: Person, [], "", "";
    SecretForbidden: Person, [], "", "";
    TokenInvalid: Person, [CredentialsValid], "", "";
    TokenExpired: Person, [CredentialsValid], "", "";
    TokenTypeNotUsable: Person, [CredentialsValid], "", "";
    TokenExpiresSoon: Settled, [CredentialsValid], "", "";
    ScopesMissing: Person, [CredentialsValid], "", "";
    AppSecretWrong: Person, [CredentialsValid], "", "";
    NewTokenRejected: Settled, [CredentialsValid], "", "";
    VerifyTokenUnlabelled: Person, [WebhookRouted], "", "";
    WebhookHandshakeFailed: Person, [WebhookRouted], "", "";
    AppNotSubscribedToMessages: Person, [WebhookRouted], "", "";
    NotTakenByMeta: Person, [WebhookRouted, ProfileSynced], "", "";
    WebhookRefused: Person, [WebhookRouted], "", "";
    WebhookNotReadable: Settled, [WebhookRouted], "", "";
    ProfileRefused: Person, [ProfileSynced], "", "";
    ProfileDiffers: Person, [ProfileSynced], "", "";
    WebhookDiffers: Person, [WebhookRouted], "", "";
    RenameNotManaged: Person, [DisplayNameApproved], "", "";
    PaymentProblem: Person, [PaymentReady], "", "";
    BusinessNotVerified: Person, [BusinessVerified], "", "";
    Blocked: Person, [Healthy], "", "";
    // Meta or time.
    NameInReview: Time, [], "", "";
    NameChangeQueued: Time, [], "", "";
    NameExpiredWaits: Time, [], "", "";
    NameNotReady: Time, [], "", "";
    NameLimitReached: Time, [], "", "";
    AccountInReview: Time, [], "", "";
    AddingRestricted: Time, [], "", "";
    Throttled: Time, [], "", "";
    CodeLimitReached: Time, [], "", "";
    CodeRequestPaused: Time, [], "", "";
    RegistrationLimitReached: Time, [], "", "";
    RegistrationPaused: Time, [], "", "";
    PinLocked: Time, [], "", "";
    NumberDeletedRecently: Time, [], "", "";
    MetaUnavailable: Time, [], "", "";
    ObservationIncomplete: Time, [], "", "";
    StatusNotKnown: Time, [], "", "";
    ClaimPause: Time, [], "", "";
    BusinessInReview: Time, [BusinessVerified], "", "";
    PortfolioNotReadYet: Progress, [], "", "";
    // Nothing but an edit or a person at Meta.
    NameDeclined: Stalled, [], "", "";
    NumberBanned: Stalled, [], "", "";
    NumberMigrated: Stalled, [], "", "";
    NumberDeleted: Stalled, [], "", "";
    NumberInOtherAccount: Stalled, [], "", "";
    NumberOnPremises: Stalled, [], "", "";
    NumberClaimed: Stalled, [], "", "";
    AccountRejected: Stalled, [], "", "";
    AccountDisabled: Stalled, [], "", "";
    AccountChanged: Stalled, [], "", "";
    PortfolioChanged: Stalled, [], "", "";
    IdentityMismatch: Stalled, [], "", "";
    CountryMismatch: Stalled, [], "", "";
    ConnectionContradictsNumber: Stalled, [], "", "";
    SpecInvalid: Stalled, [], "", "";
}

impl Reason {
    /// Its row.
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// Of what kind it is.
    pub fn kind(self) -> ReasonKind {
        self.row().kind
    }

    /// Reads a constant back, from a stored condition.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.reason)
    }
}
