//! Every reason a condition may carry, once: which conditions, what it means, what to do, of what kind it is, and who
//! has to do what where.
//!
//! The table makes the documentation, and decides `Reconciling`, `Stalled` and `waitingFor`. The first
//! condition of a row is the one that the reason is about; the others repeat it, because
//! they cannot become True before the first does.

use crate::engine::value::{action::Action, condition_type::ConditionType, page::Page, word::words};

words! {
    /// What a reason says about who moves next.
    ///
    /// ```
    /// use whatsapp_operator::engine::reason::{Reason, ReasonKind};
    /// assert_eq!(Reason::NameDeclined.kind(), ReasonKind::Stalled);
    /// assert_eq!(Reason::NameDeclined.kind().as_str(), "Stalled");
    /// assert_eq!(Reason::NameDeclined.row().name, Reason::NameDeclined.as_str());
    /// ```
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
}

/// One row of the table.
///
/// ```
/// use whatsapp_operator::engine::{action::Action, reason::Reason};
/// assert_eq!(Reason::Suspended.row().actions().next(), Some(Action::Resume));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub reason: Reason,
    pub name: &'static str,
    pub kind: ReasonKind,
    /// The condition that the reason is about, then those that repeat it. `Ready`, `Reconciling` and `Stalled`
    /// copy reasons and are listed only where a reason is theirs alone.
    pub conditions: &'static [ConditionType],
    /// Who ends it, how and where; `None` where nobody has to act.
    pub asks: Option<Asks>,
    /// What a block may ask for instead, in a situation that ends differently.
    pub or_asks: &'static [Action],
    pub meaning: &'static str,
    pub remedy: &'static str,
}

/// The act that a reason waits for; its actor is the action's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asks {
    pub action: Action,
    /// Meta's page on which it is done, where there is one.
    pub page: Option<Page>,
}

/// Which conditions a row is about, by the point of the way where it holds things up.
#[allow(clippy::enum_glob_use, reason = "a table of nothing but conditions")]
mod on {
    use super::ConditionType::*;
    use crate::engine::value::condition_type::ConditionType;

    pub const NONE: &[ConditionType] = &[];
    pub const READY: &[ConditionType] = &[Ready];
    /// Everything on the way, from the portfolio on.
    pub const PORTFOLIO: &[ConditionType] = &ConditionType::WAY;
    /// A portfolio's credentials, and everything below.
    pub const CREDENTIALS: &[ConditionType] = &and_the_way(CredentialsValid);
    /// A portfolio's identity, and everything below.
    pub const IDENTITY: &[ConditionType] = &and_the_way(IdentityConfirmed);
    pub const ACCOUNT: &[ConditionType] = PORTFOLIO.split_at(1).1;
    pub const NUMBER: &[ConditionType] = PORTFOLIO.split_at(2).1;
    pub const CODE: &[ConditionType] = &[
        NumberVerified,
        Registered,
        Healthy,
        WebhookRouted,
        ProfileSynced,
        RegistrationSynced,
        UsernameClaimed,
        OfficialAccount,
        AppSynced,
    ];
    pub const NAME: &[ConditionType] = &[
        DisplayNameApproved,
        NumberVerified,
        Registered,
        Healthy,
        WebhookRouted,
        ProfileSynced,
        RegistrationSynced,
        UsernameClaimed,
        OfficialAccount,
        AppSynced,
    ];
    pub const REGISTER: &[ConditionType] = &[
        Registered,
        NumberVerified,
        Healthy,
        WebhookRouted,
        ProfileSynced,
        RegistrationSynced,
        UsernameClaimed,
        OfficialAccount,
        AppSynced,
    ];
    /// The same, and the name of a registered number that becomes live by one more registration.
    pub const REGISTER_AGAIN: &[ConditionType] = &[
        Registered,
        NumberVerified,
        Healthy,
        WebhookRouted,
        ProfileSynced,
        RegistrationSynced,
        UsernameClaimed,
        OfficialAccount,
        AppSynced,
        DisplayNameApproved,
    ];
    pub const HEALTH: &[ConditionType] = &[
        Healthy,
        Registered,
        NumberVerified,
        WebhookRouted,
        ProfileSynced,
        RegistrationSynced,
        UsernameClaimed,
        OfficialAccount,
        AppSynced,
    ];
    pub const USERNAME: &[ConditionType] = &[UsernameClaimed];
    pub const OFFICIAL: &[ConditionType] = &[OfficialAccount];
    pub const WEBHOOK: &[ConditionType] = &[WebhookRouted];
    pub const PROFILE: &[ConditionType] = &[ProfileSynced];
    pub const REGISTRATION: &[ConditionType] = &[RegistrationSynced];
    pub const SYNC: &[ConditionType] = &[AppSynced];
    pub const SETTINGS: &[ConditionType] = &[WebhookRouted, ProfileSynced];
    pub const FIELDS: &[ConditionType] =
        &[WebhookRouted, ProfileSynced, DisplayNameApproved, UsernameClaimed];
    pub const PORTFOLIO_ONLY: &[ConditionType] = &[PortfolioReady];
    pub const ACCOUNT_ONLY: &[ConditionType] = &[AccountUsable];
    pub const NUMBER_ONLY: &[ConditionType] = &[NumberAdded];
    pub const VERIFIED_ONLY: &[ConditionType] = &[NumberVerified];
    pub const NAME_ONLY: &[ConditionType] = &[DisplayNameApproved];
    pub const REGISTERED_ONLY: &[ConditionType] = &[Registered];
    pub const HEALTH_ONLY: &[ConditionType] = &[Healthy];
    pub const CREDENTIALS_ONLY: &[ConditionType] = &[CredentialsValid];
    pub const IDENTITY_ONLY: &[ConditionType] = &[IdentityConfirmed];
    pub const APP_WEBHOOK: &[ConditionType] = &[AppWebhookSet];
    pub const BUSINESS: &[ConditionType] = &[BusinessVerified];
    pub const PAYMENT: &[ConditionType] = &[PaymentReady];
    /// First states.
    pub const FIRST: &[ConditionType] = &ConditionType::JUDGED;

    const fn and_the_way(first: ConditionType) -> [ConditionType; 1 + ConditionType::WAY.len()] {
        let mut list = [first; 1 + ConditionType::WAY.len()];
        list.split_at_mut(1).1.copy_from_slice(&ConditionType::WAY);
        list
    }
}

/// What a row waits for: `nobody`, an action, or an action `at` a page; `or` others follow.
macro_rules! asks {
    (nobody) => {
        None
    };
    ($action:ident) => {
        Some(Asks { action: Action::$action, page: None })
    };
    ($action:ident at $page:ident) => {
        Some(Asks { action: Action::$action, page: Some(Page::$page) })
    };
}

macro_rules! reasons {
    ($(
        $name:ident: $kind:ident, $on:ident, $action:ident $(at $page:ident)? $(or $other:ident)*,
            $meaning:literal,
            $remedy:literal;
    )+) => {
        /// A reason, as it stands in conditions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($name,)+ }

        /// The table, in the order of the enum.
        pub const TABLE: &[Row] = &[$(Row {
            reason: Reason::$name,
            name: stringify!($name),
            kind: ReasonKind::$kind,
            conditions: on::$on,
            asks: asks!($action $(at $page)?),
            or_asks: &[$(Action::$other,)*],
            meaning: $meaning,
            remedy: $remedy,
        },)+];
    };
}

reasons! {
    // Not looked at yet, or nothing known.
    NotObservedYet: Progress, FIRST, nobody,
        "Not read from Meta yet.",
        "Nothing; the operator reads it as soon as it can.";
    NotObserved: Time, READY, nobody,
        "Nothing could be read from Meta for hours, so a condition that was True may no longer be; nothing shows that it is False.",
        "See whether the cluster reaches graph.facebook.com and whether Meta reports an outage. It ends when the operator can read from Meta again.";
    // Good.
    PortfolioUsable: Settled, PORTFOLIO_ONLY, nobody,
        "The portfolio resolves, may be used from this namespace, and its credentials work.",
        "Nothing.";
    AccountActive: Settled, ACCOUNT_ONLY, nobody,
        "The account is in reach, reviewed and active.",
        "Nothing.";
    InAccount: Settled, NUMBER_ONLY, nobody,
        "The number is in the account and its id is known.",
        "Nothing.";
    CodeVerified: Settled, VERIFIED_ONLY, nobody,
        "Ownership of the number is proven by a code.",
        "Nothing; register within 14 days, or a new code is needed.";
    NotNeededWhenRegistered: Settled, VERIFIED_ONLY, nobody,
        "The number is registered, so no code is needed, whatever the code status reads.",
        "Nothing.";
    NameApproved: Settled, NAME_ONLY, nobody,
        "The desired display name is live and approved.",
        "Nothing.";
    NameAvailableWithoutReview: Settled, NAME_ONLY, nobody,
        "The desired display name is live and may be used; Meta reviews it later.",
        "Nothing.";
    RegisteredWithCloudApi: Settled, REGISTERED_ONLY, nobody,
        "The number is registered with Cloud API.",
        "Nothing.";
    CanSend: Settled, HEALTH_ONLY, nobody,
        "Nothing that Meta shows keeps the number from sending.",
        "Nothing.";
    Limited: Settled, HEALTH_ONLY, nobody,
        "Meta names limits, within which the number can send.",
        "Read the message; most limits end by themselves, a payment problem does not.";
    NumberFlagged: Settled, HEALTH_ONLY, nobody,
        "Meta flags the number, because its quality is low. It can send.",
        "Improve what is sent, and to whom. Meta takes the flag back by itself after seven days.";
    NumberRestricted: Settled, HEALTH_ONLY, nobody,
        "Meta restricts the number. Either it used up its limit of 24 hours, or a policy was broken.",
        "Wait for the end of the 24 hours. If it stays, look at Business Support Home.";
    NumberRateLimited: Settled, HEALTH_ONLY, nobody,
        "Meta slows the number down for now.",
        "Send less for a while. It ends by itself.";
    Routed: Settled, WEBHOOK, nobody,
        "Our app is subscribed and the number's webhook is the desired one.",
        "Nothing.";
    NotManaged: Settled, NONE, nobody,
        "Not asked for by the spec.",
        "Nothing.";
    PinSet: Settled, REGISTRATION, nobody,
        "The PIN in the Secret was changed, and Meta took the new one.",
        "Nothing.";
    SyncsAsked: Settled, SYNC, nobody,
        "Meta was asked to send what the WhatsApp Business app holds.",
        "Nothing; it arrives at the webhook, in the fields smb_app_state_sync and history.";
    SyncUnanswered: Settled, SYNC, nobody,
        "Meta was asked to send what the WhatsApp Business app holds, and no usable answer came. It counts as asked for, since Meta takes that only once.",
        "See whether it arrives at the webhook. If it does not: disconnect the number in the app, and connect it again through the partner's sign-up.";
    InSync: Settled, PROFILE, nobody,
        "Every managed profile field matches.",
        "Nothing.";
    UsernameApproved: Settled, USERNAME, nobody,
        "The username is the number's, and people can see it.",
        "Nothing.";
    UsernameReserved: Settled, USERNAME, nobody,
        "Meta holds the username for the number, and people cannot see it yet.",
        "Nothing; Meta makes it visible by itself, where usernames are available.";
    OfficialAccountApproved: Settled, OFFICIAL, nobody,
        "The number is an official business account.",
        "Nothing.";
    BusinessIsVerified: Settled, BUSINESS, nobody,
        "Meta has verified the business.",
        "Nothing.";
    PaymentMethodPresent: Settled, PAYMENT, nobody,
        "The account has a payment method.",
        "Nothing.";
    PaymentNotKnown: Settled, PAYMENT, nobody,
        "Meta shows neither a payment method nor a payment problem.",
        "Look at the billing page of the account in Meta Business Suite; without a method, messages that cost are refused; replies cost as well since October 2026.";
    TokenAccepted: Settled, CREDENTIALS_ONLY, nobody,
        "Meta accepts the token, and it has the permissions that the operator needs.",
        "Nothing.";
    IdentityMatches: Settled, IDENTITY_ONLY, nobody,
        "The portfolio's name is the expected one.",
        "Nothing.";
    IdentityNotCheckable: Settled, IDENTITY_ONLY, nobody,
        "There is no expected name, or Meta does not show the portfolio's name to this token.",
        "To have it checked, set expect.name and give the token business_management.";
    Usable: Settled, READY, nobody,
        "The object can be used. Of a channel, everything that readyWhen asks for is True.",
        "Nothing.";
    UsableUnderAnotherName: Settled, READY, nobody,
        "Everything that readyWhen asks for is True, and the number serves under another display name than the desired one.",
        "See DisplayNameApproved: it says how far the new name is, and waitingFor who has to act.";
    // The operator is at it.
    AddingNumber: Progress, NUMBER, nobody,
        "The number is about to be added to the account.",
        "Nothing.";
    RequestingCode: Progress, CODE, nobody,
        "A code is about to be asked for.",
        "Have the phone at hand.";
    VerifyingCode: Progress, CODE, nobody,
        "The code is about to be handed to Meta.",
        "Nothing.";
    SettingStorage: Progress, REGISTER, nobody,
        "It is about to be set where Meta stores the number's messages.",
        "Nothing.";
    Deregistering: Progress, REGISTER, nobody,
        "The number is about to be deregistered, and is registered again right after.",
        "Nothing.";
    SubmittingName: Progress, NAME, nobody,
        "The display name is about to be submitted for review.",
        "Nothing.";
    CreatingPin: Progress, REGISTER, nobody,
        "The Secret with the two-step PIN is about to be created.",
        "Nothing.";
    SettingPin: Progress, REGISTER, nobody,
        "The two-step PIN is about to be replaced.",
        "Nothing.";
    Registering: Progress, REGISTER, nobody,
        "The number is about to be registered with Cloud API.",
        "Nothing.";
    Subscribing: Progress, WEBHOOK, nobody,
        "The app is about to be subscribed to the account.",
        "Nothing.";
    RoutingWebhook: Progress, WEBHOOK, nobody,
        "The number's webhook is about to be set.",
        "Nothing; your endpoint must answer Meta's handshake.";
    WritingPicture: Progress, PROFILE, nobody,
        "The profile picture is about to be uploaded.",
        "Nothing.";
    StartingSync: Progress, SYNC, nobody,
        "Meta is about to be asked to send what the WhatsApp Business app holds.",
        "Nothing.";
    WritingProfile: Progress, PROFILE, nobody,
        "The profile is about to be written.",
        "Nothing.";
    ClaimingUsername: Progress, USERNAME, nobody,
        "The username is about to be claimed.",
        "Nothing.";
    RequestingOfficialAccount: Progress, OFFICIAL, nobody,
        "The official business account is about to be requested.",
        "Nothing.";
    EffectNotVisibleYet: Progress, NUMBER, nobody,
        "A write was sent; Meta does not show its effect yet.",
        "Nothing; the operator looks again by itself.";
    NotSentYet: Progress, NUMBER, nobody,
        "A step was due and did not get to Meta: it was not sent in time, no connection was made, or calls were held back. It counts as no attempt.",
        "Nothing; it is sent at the time in the message.";
    JustRegistered: Progress, HEALTH_ONLY, nobody,
        "The number was registered a moment ago; Meta does not show it as connected yet.",
        "Nothing; this takes minutes.";
    // A person has to act.
    NewerStepOpen: Person, NUMBER, RunNewerVersion,
        "A newer version of the operator began a step that this version does not know, and it is not decided.",
        "Run that version, or a later one: only it can decide the step. Until then nothing that cannot be repeated is done.";
    StatusNotUnderstood: Person, NUMBER, RunNewerVersion,
        "What the status remembers has a format, a word or a member that this version of the operator does not know. A newer version wrote it, or somebody edited it.",
        "Run the version that wrote it, or a later one. If somebody edited it by hand: correct what the message names with kubectl edit whatsappchannel NAME --subresource=status. Until then nothing is done, and nothing of it is lost.";
    CodeNeeded: Person, CODE, AskForCode,
        "The number has to be verified with a code, and no code was requested.",
        "With the phone at hand: kubectl whatsapp send-code NAME.";
    CodeAwaited: Person, CODE, EnterCode,
        "A code was asked for and has not arrived in its Secret.",
        "Type it within minutes: kubectl whatsapp code NAME. None came: kubectl whatsapp send-code NAME.";
    CodeMayHaveBeenSent: Person, CODE, EnterCode,
        "A code was asked for and Meta's answer was lost; it counts as sent.",
        "If one arrives: kubectl whatsapp code NAME; if not: kubectl whatsapp send-code NAME.";
    CodeWrong: Person, CODE, EnterCode or AskForCode,
        "Meta did not accept the code, or does not show that it did: it was wrong, or had expired. Meta's answer is the same for both.",
        "Compare the digits and enter the right ones: kubectl whatsapp code NAME; or ask for a new one: kubectl whatsapp send-code NAME.";
    CodeLapsed: Person, CODE, AskForCode,
        "The code was entered too late, or could not be sent before it expired.",
        "Ask for a new one with the phone at hand: kubectl whatsapp send-code NAME. If none came by text, set verification.method: Voice first; a call reaches numbers that a text does not.";
    CodeMalformed: Person, CODE, EnterCode,
        "The Secret does not hold six digits under the key.",
        "Enter the six digits again: kubectl whatsapp code NAME.";
    CodeSecretShared: Person, CODE, ChangeSpec,
        "Two channels wait for a code in the same Secret, and whose code comes there cannot be told.",
        "Set verification.codeSecretRef of one of them to a Secret of its own, or leave it out; then enter each code where it belongs.";
    CodeRequestRefused: Person, CODE, AskForCode,
        "Meta refused to send a code.",
        "Read Meta's words in the message; check that the line takes calls and texts from abroad; then: kubectl whatsapp send-code NAME.";
    CodeFoundUnasked: Person, CODE, AskForCode,
        "The Secret holds a code that this object did not request.",
        "If it is a fresh one for this number: kubectl whatsapp retry NAME; else ask for one: kubectl whatsapp send-code NAME.";
    ReverificationNeeded: Person, CODE, AskForCode,
        "Meta requires that the number is verified again before it is registered.",
        "With the phone at hand: kubectl whatsapp send-code NAME.";
    PinNeeded: Person, REGISTER_AGAIN, ProvidePin at Numbers or AllowSecret,
        "The two-step PIN is missing, and the operator must not create one: the number has a PIN already, or the Secret lacks the key or may not be read.",
        "Put the six digits into the PIN Secret. If nobody knows them, have two-step verification switched off where the number is registered, or was registered last: in that account, or with that provider.";
    PinMalformed: Person, REGISTER_AGAIN, ProvidePin at Numbers,
        "The PIN Secret does not hold six digits under the key.",
        "Put exactly six digits there.";
    PinMismatch: Person, REGISTER_AGAIN, ProvidePin at Numbers,
        "Meta says that this is not the PIN of the number.",
        "Put the right PIN into the Secret. If nobody knows it, have two-step verification switched off where the number is registered, or was registered last: in that account, or with that provider. registration.pinPolicy: Overwrite replaces it, which Meta refuses with 133010 while the number is registered nowhere. Then: kubectl whatsapp retry NAME.";
    StorageRegionRefused: Person, REGISTER, ChangeSpec or Retry,
        "Meta did not take the storage region, and the number is not registered without it.",
        "Read Meta's words in the message. Correct registration.storageRegion, or remove it to register the number without. Or: kubectl whatsapp retry NAME.";
    StorageRegionDiffers: Person, REGISTRATION, ChangeSpec or Retry,
        "The number is registered, and not known to be stored where the spec wants it. Meta changes that only while a number is not registered.",
        "To have it deregistered and registered again, which takes some minutes in which it can neither send nor receive: acknowledge: [ReregisterForStorageRegion]. Else set registration.storageRegion back, or remove it.";
    PinNotSet: Person, REGISTRATION, ProvidePin at Numbers or Retry,
        "The PIN in the Secret was changed, and it is not known that Meta took it: Meta refused it, or did not answer. The one from before may still be in force.",
        "Read Meta's words in the message. Put other six digits into the PIN Secret, or have these sent once more: kubectl whatsapp retry NAME.";
    NumberOnPhone: Person, NUMBER, FreeNumber,
        "The number is registered to another account of WhatsApp: in an app on a phone, or in another WhatsApp Business Account.",
        "To keep it in the WhatsApp Business app: set connection to Coexistence, and connect it in the app. In another WhatsApp Business Account: have it deregistered there. Only if an app has it and its account and chats are not needed any more: delete the account in that app (Settings, Account; uninstalling is not enough), and wait five minutes. Then: kubectl whatsapp retry NAME.";
    CertificateRefused: Person, NUMBER, Retry at Numbers,
        "Meta refused the certificate of the number, and the operator does not know the reason that Meta gives. Known reasons are: the number is in use in a WhatsApp app, or in another account; the display name is not ready; or two-step verification was switched on elsewhere.",
        "Read Meta's words in the message, and look at the number in WhatsApp Manager; once the cause is removed: kubectl whatsapp retry NAME. Do not delete an account on a guess.";
    NumberLimitReached: Person, NUMBER, RaiseNumberLimit at Support,
        "The portfolio has as many numbers as Meta allows it.",
        "Verify the business, remove a number that is no longer used in WhatsApp Manager, or ask Meta's support for more; it is tried again daily, or at once: kubectl whatsapp retry NAME.";
    AddRefused: Person, NUMBER, Retry at Numbers or FreeNumber or AllowNumber,
        "Meta refused to add the number without naming one cause: it is in use in a WhatsApp app or with another provider, banned, or number or name are not valid; after a plain permission error, the portfolio is full or the token's user lacks full control of the account.",
        "Read Meta's words, and go through the causes that the message names; then: kubectl whatsapp retry NAME.";
    EntryWithoutNumber: Person, NUMBER, Retry at Numbers,
        "An entry in an account's list of numbers shows no number. It may be this one, so this one is not added by itself.",
        "Look at the entry, whose id the message names, in WhatsApp Manager. If it is the number of an account that the channel does not use, create the channel anew with that accountId. Else: kubectl whatsapp retry NAME. It adds the number once; if the entry is the number, Meta says so, nothing is added, and the entry is taken up.";
    AddedByHandOnly: Person, NUMBER, AddByHand at Numbers,
        "Meta lets no number be added to this account through the API.",
        "Add the number in WhatsApp Manager; it is found and taken up there. An account of the WhatsApp Business app takes no second number: create another account, and the channel anew with its accountId.";
    NameRefused: Person, NAME, ChooseName at Numbers,
        "Meta refused to take the display name.",
        "Read Meta's words, change displayName, or: kubectl whatsapp retry NAME.";
    NameNotTaken: Person, NAME, Retry at Numbers,
        "Meta accepted the display name and does not show it, or took another one since.",
        "Look at the number in WhatsApp Manager, then: kubectl whatsapp retry NAME.";
    CoexistenceNotOnboarded: Person, NUMBER, ConnectInApp,
        "The number is to stay in the WhatsApp Business app and is not connected to the platform there; no call can do that.",
        "Connect it in the app through the partner's sign-up, or set connection to CloudApi.";
    CoexistenceEnded: Person, NUMBER, ConnectInApp,
        "The number was connected from the WhatsApp Business app, and is not any more. No read tells why. Meta names: the app was not opened on the phone for about 14 days, or a linked device not for about 30; disconnected in the app; moved to the consumer app; another number on the phone; registered anew on a phone.",
        "Open the app on the phone. After a change of the phone Meta connects the number again by itself, mostly within minutes. Else connect it in the app through the partner's sign-up, or set connection to CloudApi.";
    SyncAwaitsWebhook: Person, SYNC, AlignSettings,
        "What the WhatsApp Business app holds is asked for once the webhook is as desired or, without spec.webhook, an app is subscribed: Meta sends it there, and only once.",
        "See WebhookRouted. Or set spec.webhook; or have the app subscribed that is to get it. Meta takes it within a day of the onboarding; the message has the time.";
    SyncTooLate: Person, SYNC, ConnectInApp,
        "What the WhatsApp Business app holds is not asked for: Meta takes that within 24 hours of the onboarding only. The number works without.",
        "Remove it from spec.coexistence. Or disconnect the number in the app (Settings, Account, Business Platform), and connect it again through the partner's sign-up.";
    SyncOnboardingUnknown: Person, SYNC, Retry,
        "Nobody knows whether what the WhatsApp Business app holds was asked for already: Meta does not tell when the number was onboarded, and the channel found it connected. The number works without.",
        "If it was onboarded less than 24 hours ago and nobody asked: kubectl whatsapp retry NAME. Else remove it from spec.coexistence.";
    SyncRefused: Person, SYNC, Retry,
        "Meta refused to send what the WhatsApp Business app holds. The number works without.",
        "Read Meta's words in the message, remove the cause, then: kubectl whatsapp retry NAME.";
    RegistrationRefused: Person, REGISTER_AGAIN, Retry at Numbers,
        "Meta refused the registration.",
        "Read Meta's words in the message, remove the cause, then: kubectl whatsapp retry NAME.";
    IncompleteDeregistration: Person, REGISTER_AGAIN, Retry at Numbers,
        "An earlier deregistration of this number is not finished.",
        "Have the number deregistered again where it was registered last; then: kubectl whatsapp retry NAME.";
    SandboxNumberNotVerified: Person, REGISTER, Retry at Numbers,
        "This is a test number that Meta shows as not verified; Meta registers those itself.",
        "If it really has to be registered: kubectl whatsapp retry NAME.";
    FellBack: Person, REGISTER, Retry at Numbers or AskForCode or ReviewName,
        "The number was registered, and Meta now shows it as not registered: a person, or another partner of the number, may have deregistered or moved it.",
        "Ask whoever else uses the number whether that was on purpose; registering it again may undo a move. To register it again: kubectl whatsapp retry NAME; where the number is not verified any more, kubectl whatsapp send-code NAME first. Not while Meta reviews a changed name.";
    ObserveOnly: Person, NUMBER, AllowManagement,
        "Something is to be done, and managementPolicy is ObserveOnly.",
        "Do it in Meta's tools, or set managementPolicy: Full.";
    Suspended: Person, READY, Resume,
        "The channel is suspended: nothing is read and nothing is done.",
        "Set suspend: false.";
    NoAccountInReach: Person, ACCOUNT, CreateAccount at Accounts,
        "The token reaches no WhatsApp Business Account of the portfolio.",
        "Assign an account to the system user of the token. Where there is none, create one in WhatsApp Manager; a portfolio with an address in Brazil or India cannot do that there, and creates it in the App Dashboard (WhatsApp, API Setup) or through Embedded Signup. It is looked for once an hour; at once with: kubectl whatsapp retry NAME.";
    AccountAmbiguous: Person, ACCOUNT, NameAccount at Accounts,
        "More than one account is in reach, and the spec does not say which.",
        "Set accountId.";
    AccountReachUnknown: Person, ACCOUNT, NameAccount at Accounts,
        "The token may not list accounts.",
        "Set accountId, or use the token of an admin system user.";
    AccountNotInReach: Person, ACCOUNT, AssignAccount at Accounts or NameAccount,
        "The account that the spec names is not in reach of the token, or may not be used from this namespace.",
        "Check accountId (not a portfolio's or a number's id), assign the account to the system user, or have it added to the portfolio's access.";
    AccountRestricted: Person, ACCOUNT, Appeal at Support,
        "Meta has restricted the account.",
        "See Business Support Home for the cause, and appeal there.";
    AccountLocked: Person, ACCOUNT, Appeal at Support,
        "Meta has locked the account.",
        "See Business Support Home for the cause, and appeal there.";
    PermissionMissing: Person, ACCOUNT, GrantPermissions at SystemUsers,
        "The token may not do this with the account or the number.",
        "In Business settings, give the system user full control of the account, and the token the scopes whatsapp_business_management and whatsapp_business_messaging. Where a registration is refused although they are there, the number may be one of the WhatsApp Business app.";
    TermsNotAccepted: Person, ACCOUNT, Retry,
        "Meta wants the business to accept the Cloud API terms before this.",
        "Have a person who administers the portfolio accept the Cloud API terms; no call can. Then: kubectl whatsapp retry NAME.";
    AppBlocked: Person, PORTFOLIO, UnblockApp at Apps,
        "Meta blocks the API access of the token's app. Token, account and number are not the cause, and what was True stays.",
        "Open the app in the App Dashboard, and do what its alerts and required actions ask for. Meta releases an app after hours or days; the operator notices it by itself.";
    PortfolioNotUsable: Person, PORTFOLIO, CorrectPortfolio,
        "There is no portfolio of that name that may be used from this namespace.",
        "Check portfolioRef, or have the portfolio's owner add this namespace to spec.access.";
    SecretMissing: Person, CREDENTIALS, ProvideCredentials or ProvideVerifyToken,
        "The Secret with the credentials does not exist.",
        "Create it, with the names that spec.credentials gives.";
    SecretKeyMissing: Person, CREDENTIALS, ProvideCredentials or ProvideVerifyToken,
        "The Secret exists, the key in it does not, or is empty.",
        "Add the key that spec.credentials names.";
    SecretForbidden: Person, CREDENTIALS, AllowSecret,
        "The operator may not read the Secret.",
        "Grant its service account get on this Secret.";
    TokenInvalid: Person, CREDENTIALS, ReplaceToken at SystemUsers,
        "Meta does not accept the token.",
        "Generate a token for the system user and put it into the Secret; it is taken up within a minute.";
    TokenExpired: Person, CREDENTIALS, ReplaceToken at SystemUsers,
        "The token has expired.",
        "Generate a token for the system user, preferably one that never expires, and put it into the Secret.";
    TokenTypeNotUsable: Person, CREDENTIALS, ReplaceToken at SystemUsers,
        "The token is not one that can work for long: a page's, an app's, or a person's that soon expires.",
        "Generate a token for a system user of the portfolio.";
    TokenExpiresSoon: Settled, CREDENTIALS_ONLY, ReplaceToken at SystemUsers,
        "The token works, and will soon expire.",
        "Generate a new one, preferably one that never expires, and put it into the Secret; the old one is used until then.";
    ScopesMissing: Person, CREDENTIALS, GrantPermissions at SystemUsers,
        "The token lacks a scope without which nothing can be done.",
        "Generate a token with whatsapp_business_management, whatsapp_business_messaging and business_management.";
    AppSecretWrong: Person, CREDENTIALS, ReplaceAppSecret at Apps,
        "The app secret, or the app id, does not belong to the token's app.",
        "Copy the app secret from the app's basic settings into the Secret, or leave appSecretRef out.";
    NewTokenRejected: Settled, CREDENTIALS_ONLY, ReplaceToken at SystemUsers,
        "The Secret holds a new token that does not work; the one before it is still used.",
        "Put a working token into the Secret before the operator restarts.";
    VerifyTokenUnlabelled: Person, WEBHOOK, LabelSecret,
        "The Secret of the verify token does not permit its use: the value is sent to a URL of your choice.",
        "Label it: kubectl label secret SECRET whatsapp-operator.dev/use=verify-token.";
    WebhookHandshakeFailed: Person, WEBHOOK, MendWebhook,
        "Your webhook did not answer Meta's handshake as it should.",
        "Make callbackUrl answer a GET with hub.challenge when hub.verify_token is the one in the Secret; then: kubectl whatsapp retry NAME.";
    AppNotSubscribedToMessages: Person, WEBHOOK, SubscribeToMessages at Apps,
        "Meta wants the app to have a verified callback URL of its own, and to receive the field messages, before a number's webhook can be set.",
        "In the App Dashboard, WhatsApp, Configuration: enter a callback URL and have it verified, then subscribe the webhook field messages. It is looked at again by itself; where the message names retry, it is tried at once with: kubectl whatsapp retry NAME.";
    NotTakenByMeta: Person, SETTINGS, ChangeSpec at Numbers,
        "Meta accepted the write three times and still shows the old value.",
        "Compare in WhatsApp Manager; change the spec, or: kubectl whatsapp retry NAME.";
    WebhookRefused: Person, WEBHOOK, MendWebhook,
        "Meta refused the webhook.",
        "Read Meta's words; callbackUrl must be HTTPS and at most 200 characters.";
    WebhookNotReadable: Settled, WEBHOOK, nobody,
        "Meta does not show this app where a number's webhook goes; it was written once for this generation.",
        "Send a message to the number and see whether it arrives.";
    ProfileRefused: Person, PROFILE, ChangeSpec,
        "Meta refused the profile.",
        "Read Meta's words, and change the field that they name.";
    PictureUnlabelled: Person, PROFILE, LabelSecret,
        "The Secret of the profile picture does not permit its use: what is in it becomes public. The number works without it.",
        "If it holds the picture, label it: kubectl label secret SECRET whatsapp-operator.dev/use=picture. It is looked at again by itself, at once with: kubectl whatsapp retry NAME.";
    PictureUnusable: Person, PROFILE, ProvidePicture,
        "The source of the profile picture holds none that may be uploaded, or is not there. The number works without it.",
        "Do what the message says: a JPEG or PNG of at most 5 MB, with sides of 192 to 8192 pixels. It is looked at again by itself, at once with: kubectl whatsapp retry NAME.";
    PictureUnreadable: Person, PROFILE, ProvidePicture,
        "The source of the profile picture could not be read now. The number works without it.",
        "Nothing, where it passes: it is looked at again by itself. Else see whether the address of the message answers.";
    PictureRefused: Person, PROFILE, ProvidePicture,
        "Meta refused the profile picture. The number works without it.",
        "Read Meta's words, and put another picture into the source.";
    AppIdMissing: Person, PROFILE, CorrectPortfolio,
        "A picture is uploaded to the app of the token, and the id of that app is not known. The number works without it.",
        "Set credentials.appId of the portfolio to the id of the app that the token was generated for.";
    ProfileDiffers: Person, PROFILE, AlignSettings,
        "The profile differs from the spec, and is not written here.",
        "See status.drift; change it in Meta's tools, or the spec.";
    WebhookDiffers: Person, WEBHOOK, AlignSettings,
        "The webhook differs from the spec, and is not written here.",
        "See status.drift; change it in Meta's tools, or the spec.";
    NameDiffers: Person, NAME_ONLY, AlignName at Numbers or ShowField,
        "The number is registered, its live display name is not the desired one, and it is not renamed by itself: it was found live under another name, driftPolicy is Report, managementPolicy is ObserveOnly, or the number lives in the WhatsApp Business app.",
        "Set displayName to the live name. Where the message names retry, kubectl whatsapp retry NAME has the number renamed, which costs a review. Else change the name where the number is managed.";
    NameNotLive: Person, NAME_ONLY, ApplyName or ShowField,
        "Meta approved the display name of a registered number, and another one is live, also after the number was registered once more.",
        "kubectl whatsapp retry NAME registers the number once more, with the PIN in its Secret. That is one of the ten registrations that Meta takes in 72 hours. Do not submit the name once more: an approval was lost that way.";
    UsernameTaken: Person, USERNAME, ChangeSpec,
        "Meta does not give this username: somebody else has it, or Meta keeps it back.",
        "Set another username. If you know that it became free: kubectl whatsapp retry NAME.";
    UsernameInUse: Person, USERNAME, ChangeSpec at Numbers,
        "Another number of the portfolio has this username.",
        "To move it to this number, add TransferUsername to acknowledge; the other number loses it. Else set another username.";
    UsernameLimitTooLow: Person, USERNAME, Retry at SecurityCenter,
        "The messaging limit of the portfolio is too low for a username.",
        "Raise the limit, for example by verifying the business; then: kubectl whatsapp retry NAME.";
    UsernameNotLinked: Person, USERNAME, Retry at BusinessInfo,
        "A Facebook Page or an Instagram account has this username, and is not linked.",
        "Link the page or the account that the message names in Meta Business Suite; then: kubectl whatsapp retry NAME.";
    UsernameRefused: Person, USERNAME, ChangeSpec at Numbers,
        "Meta refused the username.",
        "Read Meta's words; set another username, or remove the cause, then: kubectl whatsapp retry NAME.";
    UsernameNotShown: Person, USERNAME, Retry at Numbers,
        "The username was claimed, and Meta does not show it.",
        "Look at the number in WhatsApp Manager; then: kubectl whatsapp retry NAME.";
    UsernameRevoked: Person, USERNAME, Retry at Numbers,
        "The number had the username, and has none now: Meta revoked it, somebody removed it, or it was moved to another number.",
        "Find out which in WhatsApp Manager. To claim it again: kubectl whatsapp retry NAME. Else remove username.";
    UsernameDiffers: Person, USERNAME, Retry at Numbers or AlignSettings,
        "The number has another username, and the desired one is not claimed by itself.",
        "Set username to the one that the number has. Where the message names retry, kubectl whatsapp retry NAME claims the desired one, and the number loses the other one.";
    OfficialAccountNotRequested: Person, OFFICIAL, RequestOfficialAccount at Numbers or AlignSettings,
        "No request for an official business account is open, and one goes out only when a person asks for it.",
        "See that the requirements in the message are met; then: kubectl whatsapp request-official-account NAME.";
    OfficialAccountRejected: Person, OFFICIAL, RequestOfficialAccount at Numbers,
        "Meta rejected the request for an official business account.",
        "Read Meta's reason in the message. 30 days after the request: kubectl whatsapp request-official-account NAME.";
    OfficialAccountRefused: Person, OFFICIAL, RequestOfficialAccount at Numbers,
        "Meta refused to take the request for an official business account.",
        "Read Meta's words, correct officialBusinessAccount; then: kubectl whatsapp request-official-account NAME.";
    ContendedBy: Person, FIELDS, ResolveContention at Numbers,
        "Somebody else changed the same field again and again, each time after it was written, and is left the last word.",
        "Find out who else writes the field, and agree on one of you. Then: change the spec to the other value, or kubectl whatsapp retry NAME, which writes the field once more.";
    AppWebhookMatches: Settled, APP_WEBHOOK, nobody,
        "The app's own webhook is the desired one.",
        "Nothing.";
    AppWebhookNotReadable: Settled, APP_WEBHOOK, nobody,
        "Meta does not show the app's own webhook now, so nothing is written to it.",
        "Read Meta's words in the message; see whether appSecretRef holds the secret of the token's app.";
    AppWebhookDiffers: Progress, APP_WEBHOOK, nobody,
        "The app's own webhook is not the desired one. It is written, and looked at again.",
        "Nothing.";
    AppWebhookForeign: Person, APP_WEBHOOK, AdoptAppWebhook,
        "The app has a webhook that this object did not set.",
        "Find out who uses that address. If nobody needs it, set appWebhook.adopt: true, or where it is true already the annotation reconcile on the portfolio; else make callbackUrl that address.";
    AppWebhookRefused: Person, APP_WEBHOOK, MendAppWebhook,
        "Meta did not take the app's webhook.",
        "Read Meta's words. Make appWebhook.callbackUrl answer a GET with hub.challenge when hub.verify_token is the one in the Secret. It is tried again by itself.";
    AppVerifyTokenNotUsable: Person, APP_WEBHOOK, ProvideVerifyToken,
        "The verify token of the app's webhook cannot be used.",
        "Create the Secret and the key that appWebhook.verifyTokenSecretRef names, and label it: kubectl label secret SECRET whatsapp-operator.dev/use=verify-token.";
    NoAppSubscribed: Person, READY, SubscribeApp,
        "No app is subscribed to the account, so messages to the number reach nobody. Only with readyWhen Operational.",
        "Set spec.webhook: the operator then subscribes its app. Or have the app subscribed that is to receive the messages.";
    PaymentProblem: Person, PAYMENT, AddPaymentMethod at Billing,
        "Meta names a payment problem: messages that cost are refused. Since October 2026 replies cost as well, beyond a free number of them.",
        "Add or correct the payment method on the billing page of the account in Meta Business Suite.";
    BusinessNotVerified: Person, BUSINESS, VerifyBusiness at SecurityCenter,
        "The business is not verified.",
        "Start or finish verification in the Security Centre of Business settings.";
    Blocked: Person, HEALTH_ONLY, ResolveBlock at Support,
        "Meta does not let the number send.",
        "Read Meta's words in the message; Business Support Home shows the cause.";
    // Meta or time.
    PicturePaused: Time, PROFILE, AllowCalls,
        "The profile picture is uploaded later: the last upload brought no answer, or there were too many in a day.",
        "Nothing; the next upload has a date.";
    NameInReview: Time, NAME, ReviewName at Numbers,
        "Meta is reviewing the display name.",
        "Nothing; it takes from minutes to some days.";
    NameChangeQueued: Time, NAME, ReviewName at Numbers,
        "Another name of this number is in review; only one can be at a time, so the desired one is submitted after it.",
        "Nothing.";
    NameExpiredWaits: Time, NAME, ReviewName at Numbers,
        "The name's approval has expired, and it was submitted again not long ago.",
        "Nothing; the next submission has a date.";
    NameNotLiveYet: Time, NAME_ONLY, ShowName at Numbers,
        "Meta approved the display name of a registered number, and may make it live by itself.",
        "Nothing; if it is not live at the date in the message, the number is registered once more, which makes it live.";
    NameNotReady: Time, NAME, ReviewName at Numbers,
        "Meta has not made the name usable yet.",
        "Nothing; it takes from minutes to some days.";
    NameLimitReached: Time, NAME, AllowName at Numbers,
        "The operator's limit of name submissions in 30 days is reached; Meta allows ten.",
        "Wait for the date in the message.";
    AccountInReview: Time, ACCOUNT, ReviewAccount at Accounts,
        "Meta is reviewing the account.",
        "Nothing; Meta decides.";
    AddingRestricted: Time, NUMBER, AllowAdding at Support,
        "Meta does not let this account add numbers for now.",
        "Wait for the date, if there is one; Business Support Home shows the cause.";
    Throttled: Time, ACCOUNT, AllowCalls,
        "Meta's call budget is spent, or Meta asks for a pause.",
        "Nothing; it goes on at the time in the message.";
    CodeLimitReached: Time, CODE, AllowCode,
        "The operator's limit of codes in one day is reached.",
        "Wait for the date in the message, and find out why no code arrives.";
    CodeRequestPaused: Time, CODE, AllowCode,
        "Meta refused to send a code; the next one may be asked for at the time in the message.",
        "After that time, with the phone at hand: kubectl whatsapp send-code NAME.";
    RegistrationLimitReached: Time, REGISTER_AGAIN, AllowRegistration at Numbers,
        "The operator's limit of registrations in 72 hours is reached; Meta blocks a number at ten.",
        "Wait for the date in the message.";
    RegistrationPaused: Time, REGISTER_AGAIN, AllowRegistration at Numbers,
        "The next registration has a date, so that Meta's limit is not spent.",
        "Nothing. Where the message names retry, it can be had at once: kubectl whatsapp retry NAME.";
    PinLocked: Time, REGISTER_AGAIN, AllowRegistration at Numbers,
        "Too many wrong PINs: Meta refuses any for a while.",
        "Wait for the date in the message, and find out the right PIN until then.";
    NumberDeletedRecently: Time, NUMBER, AllowAdding at Numbers or AllowRegistration,
        "The number was deleted a moment ago; Meta needs some minutes.",
        "Nothing.";
    MetaUnavailable: Time, ACCOUNT, Answer,
        "Meta could not be reached, or did not give a usable answer.",
        "Nothing; it is tried again by itself.";
    ObservationIncomplete: Time, NUMBER, ShowField at Numbers or ChangeStatus or ConfirmChange or Answer or CheckCluster,
        "Meta did not show a fact without which nothing may be written to the number.",
        "Nothing; if it lasts, look whether the system user of the token has full control of the account.";
    StatusNotKnown: Time, ACCOUNT, ChangeStatus at Numbers,
        "Meta shows a status that this version does not know, so nothing is written.",
        "Look in WhatsApp Manager; update the operator if the word is a new one.";
    ClaimPause: Time, NUMBER, ShowEffect,
        "Another channel managed this number until a moment ago; this one starts after a short pause.",
        "Nothing.";
    OfficialAccountInReview: Time, OFFICIAL, ReviewOfficialAccount at Numbers,
        "Meta is reviewing the request for an official business account.",
        "Nothing; it takes some days.";
    OfficialAccountPaused: Time, OFFICIAL, AllowOfficialAccount at Numbers,
        "An official business account was requested less than 30 days ago, and Meta takes no other request before.",
        "Wait for the date in the message; then: kubectl whatsapp request-official-account NAME.";
    BusinessInReview: Time, BUSINESS, ReviewBusiness at SecurityCenter,
        "Meta is reviewing the business.",
        "Nothing; it takes from minutes to 14 working days.";
    PortfolioNotReadYet: Progress, PORTFOLIO, nobody,
        "The portfolio has not been read yet.",
        "Nothing.";
    // Nothing but an edit or a person at Meta.
    NameDeclined: Stalled, NAME, ChooseName at Numbers,
        "Meta declined the display name.",
        "Set another displayName that follows Meta's guidelines, or appeal in WhatsApp Manager.";
    NumberBanned: Stalled, HEALTH, Appeal at Support,
        "Meta has banned the number.",
        "Appeal in Business Support Home.";
    NumberMigrated: Stalled, NUMBER, ChangeSpec at Numbers,
        "The number was moved to another account.",
        "Delete this channel, and create one with the accountId of the account where the number is now.";
    NumberDeleted: Stalled, NUMBER, AddNumberAgain at Numbers or Retry,
        "The number was deleted from the account.",
        "To use the number again, add it in WhatsApp Manager; where the message names retry, kubectl whatsapp retry NAME adds it too; else delete this channel.";
    NumberInOtherAccount: Stalled, NUMBER, NameAccount at Numbers,
        "The number is in another account; adding it here would not move it.",
        "Create the channel anew with that account in accountId; or have the number shared with this account, or registered in it, by those who have it now.";
    NumberLiveElsewhere: Person, REGISTER, ConfirmTakeover at Numbers,
        "The number is live under another id, in another account in reach or in its own, and registering this entry takes it away from there.",
        "Create the channel anew with that account in accountId, which takes up the entry that is live, or have the number deregistered there; to take it over: kubectl whatsapp send-code NAME for the code, and kubectl whatsapp retry NAME for the registration.";
    NumberOnPremises: Stalled, REGISTER, ConnectInApp,
        "Meta shows the number with the platform ON_PREMISE. That API ended in 2025; the word is shown for numbers of the WhatsApp Business app.",
        "To keep it in the app: set connection to Coexistence, and connect it in the app. To use it without the app: have it leave the app first, which ends its account and its chats there.";
    NumberClaimed: Stalled, NUMBER, ResolveClaim,
        "Another channel manages this number.",
        "Delete one of the two channels. Where you may not see the other one, delete this one, or ask whoever runs the operator: kubectl get whatsappchannels --all-namespaces shows it.";
    AccountRejected: Stalled, ACCOUNT, Appeal at Support,
        "Meta has rejected the account.",
        "Request a review in Business Support Home, or use another account.";
    AccountDisabled: Stalled, ACCOUNT, Appeal at Support,
        "Meta has disabled the account.",
        "Appeal in Business Support Home.";
    NotAnAccount: Stalled, ACCOUNT, CorrectAccount at Accounts,
        "accountId is not the id of a WhatsApp Business Account.",
        "Create the channel anew with the account's id; nothing was done at Meta.";
    AccountChanged: Stalled, ACCOUNT, CorrectAccount,
        "The spec names another account than the one this channel has used.",
        "Set accountId back, or create a new channel.";
    PortfolioChanged: Stalled, PORTFOLIO, CorrectPortfolio,
        "portfolioRef leads to another business than the one this channel has used.",
        "Set portfolioRef back, or create a new channel.";
    IdentityMismatch: Stalled, IDENTITY, CorrectBusiness at BusinessInfo,
        "The portfolio is not the expected one.",
        "Check businessId and the token; if both are right, correct expect. The portfolio is read once an hour; at once with: kubectl whatsapp retry NAME.";
    CountryMismatch: Stalled, ACCOUNT, CorrectAccount at Accounts,
        "The account's country is not the expected one.",
        "Check accountId; if it is right, correct expect.country of the portfolio.";
    ConnectionContradictsNumber: Stalled, REGISTER_AGAIN, ChangeSpec at Numbers,
        "What connection asks for contradicts what the number is: a number in the WhatsApp Business app is never changed.",
        "Set connection to Coexistence for a number that stays in the app, else to CloudApi. Moving the number out of the app means deleting its account there: that ends the chats, and was seen to take the number off the platform as well.";
    SpecInvalid: Stalled, PORTFOLIO, ChangeSpec or CorrectPortfolio,
        "The spec cannot be carried out.",
        "Correct the field that the message names.";
    // Facts that came with the assessment.
    NotConnected: Person, HEALTH_ONLY, ResolveBlock at Support,
        "The number is registered, but Meta does not show it as connected.",
        "Look at the number in WhatsApp Manager and at Business Support Home.";
    BusinessNotReadable: Settled, BUSINESS, nobody,
        "The token may not read the portfolio.",
        "Give the token business_management.";
    WrongBusiness: Stalled, IDENTITY, CorrectBusiness at BusinessInfo,
        "businessId is not the id of a portfolio that this token can see.",
        "Copy the portfolio's id from Business settings, Business info; a phone number or the id of an account does not belong there.";
    BusinessIneligible: Stalled, BUSINESS, VerifyBusiness at SecurityCenter,
        "Meta does not offer verification to this business at present.",
        "See the Security Centre of Business settings.";
    CleaningUp: Progress, READY, nobody,
        "The object is being deleted, and what its deletionPolicy names is taken back at Meta before it goes.",
        "Nothing: it ends by itself after deletionTimeoutSeconds at the latest. To let it go as it is, give the object the annotation whatsapp-operator.dev/skip-cleanup with the value true.";
    WaitsForRegistration: Time, NAME_ONLY, nobody,
        "The display name is approved, and becomes the live one when the number is registered.",
        "Nothing.";
}

impl Row {
    /// Every action that it may ask for, the usual one first.
    pub fn actions(&self) -> impl Iterator<Item = Action> {
        self.asks.iter().map(|asks| asks.action).chain(self.or_asks.iter().copied())
    }
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

    /// Who has to do what, and where.
    ///
    /// ```
    /// use whatsapp_operator::engine::{action::Action, reason::Reason};
    /// assert_eq!(Reason::CodeNeeded.asks().map(|asks| asks.action), Some(Action::AskForCode));
    /// assert_eq!(Reason::AddingNumber.asks(), None);
    /// ```
    pub fn asks(self) -> Option<Asks> {
        self.row().asks
    }

    /// Whether a block that is about it may ask for an action.
    ///
    /// ```
    /// use whatsapp_operator::engine::{action::Action, reason::Reason};
    /// assert!(Reason::CodeWrong.may_ask(Action::EnterCode) && Reason::CodeWrong.may_ask(Action::AskForCode));
    /// assert!(!Reason::CodeWrong.may_ask(Action::Appeal));
    /// ```
    pub fn may_ask(self, action: Action) -> bool {
        self.row().actions().any(|own| own == action)
    }

    /// Reads a constant back, from a stored condition.
    ///
    /// ```
    /// use whatsapp_operator::engine::reason::Reason;
    /// assert_eq!(Reason::from_name("NameDeclined"), Some(Reason::NameDeclined));
    /// assert_eq!(Reason::from_name("SomethingElse"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.reason)
    }

    /// Whether a condition may carry it. `Ready` copies the reasons of conditions, `Reconciling` those that say
    /// that the operator is at work, `Stalled` those that nothing but an edit or a person at Meta ends.
    ///
    /// ```
    /// use whatsapp_operator::engine::{condition_type::ConditionType, reason::Reason};
    /// assert!(Reason::NameDeclined.may_be_on(ConditionType::Registered));
    /// assert!(!Reason::NameDeclined.may_be_on(ConditionType::PaymentReady));
    /// ```
    pub fn may_be_on(self, condition: ConditionType) -> bool {
        let row = self.row();
        match condition {
            ConditionType::Ready => {
                row.conditions == on::READY || row.conditions.iter().any(|c| c.may_block())
            }
            // A number that is Ready without it has no other condition that tells that edits are not followed.
            ConditionType::Reconciling => {
                row.kind == ReasonKind::Progress || self == Self::StatusNotUnderstood
            }
            ConditionType::Stalled => row.kind == ReasonKind::Stalled,
            other => row.conditions.contains(&other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::value::action::Actor;

    #[test]
    fn every_reason_has_a_meaning_and_a_remedy_in_sentences() {
        for row in TABLE {
            assert!(row.meaning.ends_with('.'), "{}", row.name);
            assert!(row.remedy.ends_with('.'), "{}", row.name);
        }
    }

    #[test]
    fn every_condition_that_is_judged_has_a_reason_of_its_own_to_be_true_and_not_to_be() {
        for kind in ConditionType::JUDGED {
            let own = || TABLE.iter().filter(move |row| row.conditions.first() == Some(&kind));
            assert!(own().any(|row| row.kind == ReasonKind::Settled), "{kind:?} has no reason to be True");
            assert!(
                own().any(|row| row.kind != ReasonKind::Settled),
                "{kind:?} has no reason not to be True"
            );
        }
    }

    #[test]
    fn what_holds_up_the_registration_among_others_holds_up_all_that_comes_behind_it() {
        let behind = ConditionType::WAY.into_iter().filter(|kind| *kind > ConditionType::Registered);
        for row in TABLE.iter().filter(|row| row.conditions.len() > 1) {
            for kind in behind.clone().filter(|_| row.conditions.contains(&ConditionType::Registered)) {
                assert!(row.conditions.contains(&kind), "{} is not on {kind:?}", row.name);
            }
        }
    }

    #[test]
    fn every_row_stands_at_the_place_of_its_reason() {
        for row in TABLE {
            assert_eq!(row.reason.row().name, row.name);
            assert_eq!(Reason::from_name(row.name), Some(row.reason));
        }
    }

    #[test]
    fn a_reason_that_waits_for_a_person_or_an_edit_tells_what_to_do() {
        for row in TABLE.iter().filter(|r| matches!(r.kind, ReasonKind::Person | ReasonKind::Stalled)) {
            assert_ne!(row.remedy, "Nothing.", "{}", row.name);
        }
    }

    #[test]
    fn who_is_waited_for_agrees_with_the_kind() {
        for row in TABLE {
            let is_of_meta = row.asks.map(|asks| asks.action.actor() == Actor::Meta);
            let expected = match (row.kind, row.reason) {
                // They tell that a token which still works has to be replaced.
                (ReasonKind::Settled, Reason::TokenExpiresSoon | Reason::NewTokenRejected) => Some(false),
                // What has to be done before stands beside them.
                (ReasonKind::Time, Reason::NotObserved | Reason::WaitsForRegistration) => None,
                (ReasonKind::Settled | ReasonKind::Progress, _) => None,
                (ReasonKind::Person | ReasonKind::Stalled, _) => Some(false),
                (ReasonKind::Time, _) => Some(true),
            };
            assert_eq!(is_of_meta, expected, "{}", row.name);
        }
    }

    #[test]
    fn an_action_is_asked_for_by_some_reason_and_listed_once() {
        for action in super::super::action::ACTIONS {
            assert!(TABLE.iter().any(|row| row.reason.may_ask(action.action)), "{}", action.name);
        }
        for row in TABLE {
            let default = row.asks.map(|asks| asks.action);
            assert!(row.or_asks.iter().all(|other| Some(*other) != default), "{}", row.name);
            assert!(default.is_some() || row.or_asks.is_empty(), "{}", row.name);
        }
    }

    #[test]
    fn only_the_phone_and_the_cluster_act_without_a_page() {
        for row in TABLE {
            let Some(asks) = row.asks else { continue };
            if asks.action.actor() == Actor::PortfolioAdmin {
                assert!(asks.page.is_some(), "{}: who acts at Meta is told where", row.name);
            }
            if asks.action.actor() == Actor::PhoneHolder {
                assert_eq!(asks.page, None, "{}: the phone is no page of Meta's", row.name);
            }
        }
    }

    #[test]
    fn every_reason_is_on_some_condition() {
        for row in TABLE.iter().filter(|r| r.reason != Reason::NotManaged) {
            assert!(!row.conditions.is_empty(), "{}", row.name);
        }
    }

    #[test]
    fn verification_and_registration_repeat_what_holds_up_the_name_and_the_pin() {
        for reason in [Reason::NameDeclined, Reason::NameInReview, Reason::PinNeeded] {
            assert!(reason.may_be_on(ConditionType::NumberVerified));
            assert!(reason.may_be_on(ConditionType::Registered));
        }
    }
}
