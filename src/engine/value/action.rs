//! Who may be waited for, and every act that one of them may be asked for, once.
//!
//! An act belongs to one actor. Which reason asks for which act stands in the table of reasons; nothing here knows
//! reasons, channels or portfolios.

macro_rules! actors {
    ($($name:ident: $meaning:literal, $if_ignored:expr;)+) => {
        /// Who has to act.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Actor { $($name,)+ }

        /// The table of actors, in the order of the enum.
        pub const ACTORS: &[ActorRow] = &[$(ActorRow {
            actor: Actor::$name,
            name: stringify!($name),
            meaning: $meaning,
            if_ignored: $if_ignored,
        },)+];
    };
}

macro_rules! destroys {
    () => {
        None
    };
    ($what:literal) => {
        Some($what)
    };
}

macro_rules! actions {
    ($($name:ident: $actor:ident, $meaning:literal, $remedy:literal $(, destroys $if_done:literal)?;)+) => {
        /// An act that somebody is asked for, as it stands in `waitingFor`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $($name,)+ }

        /// The table of actions, in the order of the enum.
        pub const ACTIONS: &[ActionRow] = &[$(ActionRow {
            action: Action::$name,
            name: stringify!($name),
            actor: Actor::$actor,
            meaning: $meaning,
            remedy: $remedy,
            if_done: destroys!($($if_done)?),
        },)+];
    };
}

/// One row of the table of actors.
#[derive(Clone, Copy, Debug)]
pub struct ActorRow {
    pub actor: Actor,
    pub name: &'static str,
    pub meaning: &'static str,
    /// What happens while they do not act, where a block does not say it more exactly.
    pub if_ignored: Option<&'static str>,
}

/// One row of the table of actions.
#[derive(Clone, Copy, Debug)]
pub struct ActionRow {
    pub action: Action,
    pub name: &'static str,
    pub actor: Actor,
    /// Why it is asked for.
    pub meaning: &'static str,
    /// What exactly to do.
    pub remedy: &'static str,
    /// What the act destroys or interrupts, where the documents say that it does.
    pub if_done: Option<&'static str>,
}

actors! {
    PhoneHolder:
        "The person with the phone of the number.",
        Some("the number stays as it is; no code is requested again by itself");
    PortfolioAdmin:
        "A person who administers the business portfolio at Meta.",
        Some("the number stays as it is");
    ClusterUser:
        "A person who may edit the channel, the portfolio or their Secrets in the cluster.",
        Some("the number stays as it is");
    Meta:
        "Meta. No person can end the wait sooner, and the operator goes on by itself after it.",
        None;
}

actions! {
    // The phone.
    AskForCode: PhoneHolder,
        "A code is needed that proves who holds the number.",
        "With the phone at hand, run kubectl whatsapp send-code NAME, or have it run.";
    EnterCode: PhoneHolder,
        "A code was sent to the phone and has not been entered.",
        "Within ten minutes, run kubectl whatsapp code NAME and enter the six digits.";
    FreeNumber: PhoneHolder,
        "The number is, or may be, in use in a WhatsApp app or with another provider.",
        "Find out who uses it. If it is to stay in the WhatsApp Business app, have connection set to Coexistence. If another provider has it, have it released there. Delete an account in an app only if it is there and nobody needs it or its chats. Then run kubectl whatsapp retry NAME.",
        destroys "an account that is deleted in an app takes its chats with it, and the app cannot be used with this number until the number is deregistered from the Cloud API";
    ConnectInApp: PhoneHolder,
        "The number is to stay in the WhatsApp Business app, and only the app can connect it.",
        "Connect it in the WhatsApp Business app, through the sign-up of the partner.",
        destroys "WhatsApp for Windows and on Wear OS can no longer be used with the number; disappearing messages, view-once messages and live location are switched off in its chats, and broadcast lists can only be read";
    // The portfolio at Meta.
    CreateAccount: PortfolioAdmin,
        "The token reaches no WhatsApp Business Account.",
        "In Business settings, assign an account to the system user of the token with full control. Where there is none, create one in WhatsApp Manager; a portfolio with an address in Brazil or India creates it in the App Dashboard, WhatsApp, API Setup, or through Embedded Signup.";
    AssignAccount: PortfolioAdmin,
        "The account is not in reach of the token.",
        "In Business settings, assign the account to the system user of the token with full control.";
    GrantPermissions: PortfolioAdmin,
        "The token lacks a scope, or its system user lacks control of the account.",
        "In Business settings, give the system user full control of the account; if a scope is missing, generate a token that has it and put it into the Secret.";
    ReplaceToken: PortfolioAdmin,
        "The token does not work, or soon will not.",
        "In Business settings, generate a token for the system user, preferably one that never expires, and have it put into the Secret.";
    UnblockApp: PortfolioAdmin,
        "Meta blocks the API access of the token's app.",
        "In the App Dashboard, open the app, and do what its alerts and required actions ask for.";
    AddNumberAgain: PortfolioAdmin,
        "The number was deleted from its account.",
        "Add the number to the account again in WhatsApp Manager.";
    AddByHand: PortfolioAdmin,
        "Meta lets no number be added to this account through the API.",
        "Add the number in WhatsApp Manager; the operator finds it there and goes on by itself.";
    AllowNumber: PortfolioAdmin,
        "Meta does not let the number be added: the portfolio is full, the number is in use, or the token lacks a right.",
        "Go through the causes that the message names: verify the business, delete a number that is no longer used, release the number where it is in use, or give the system user full control of the account.";
    RaiseNumberLimit: PortfolioAdmin,
        "The portfolio has as many numbers as Meta allows it.",
        "Verify the business, delete a number that is no longer used, or ask Meta's support for a higher limit.";
    Appeal: PortfolioAdmin,
        "Meta has restricted, locked, rejected, disabled or banned something.",
        "Read the cause in Business Support Home, and request a review there.";
    ResolveBlock: PortfolioAdmin,
        "Meta does not let the number send.",
        "Read the cause in Business Support Home, and remove it.";
    VerifyBusiness: PortfolioAdmin,
        "The business is not verified.",
        "Start or finish the verification in the Security Centre; where Meta offers none, the page says why.";
    AddPaymentMethod: PortfolioAdmin,
        "Meta names a payment problem.",
        "Add or correct the payment method on the billing page of the account; replies cost as well since October 2026.";
    SubscribeToMessages: PortfolioAdmin,
        "The app has no verified callback URL, or does not receive the webhook field messages.",
        "In the App Dashboard, WhatsApp, Configuration: enter a callback URL and have it verified, then subscribe the webhook field messages. It is looked at again by itself; where the message names retry, run kubectl whatsapp retry NAME to have it tried at once.";
    // The cluster.
    Resume: ClusterUser,
        "The channel is suspended.",
        "Set suspend: false.";
    AllowManagement: ClusterUser,
        "Something is to be done, and managementPolicy is ObserveOnly.",
        "Set managementPolicy: Full, or do in Meta's tools what the message names.";
    ResolveClaim: ClusterUser,
        "Two channels have the same number.",
        "Delete one of the two channels. Where you may not see the other one, delete this one, or ask whoever runs the operator.";
    ConfirmTakeover: ClusterUser,
        "The number is live under another id, in another account or in its own, and would be taken away from there.",
        "Create the channel anew with that accountId, which takes up the entry that is live; or take the number over with kubectl whatsapp send-code NAME for the code and kubectl whatsapp retry NAME for the registration.",
        destroys "whoever sends with the number from the other account, or by its other id, can no longer send with it";
    Retry: ClusterUser,
        "Something failed that is tried again only when a person asks.",
        "Remove the cause that the message names; then run kubectl whatsapp retry NAME.";
    RequestOfficialAccount: ClusterUser,
        "An official business account is requested only when a person asks for it.",
        "See that the requirements in the message are met; then run kubectl whatsapp request-official-account NAME.";
    ChangeSpec: ClusterUser,
        "The manifest asks for what cannot be carried out as things are.",
        "Edit the manifest as the message says; where a field is fixed, delete the channel and create it anew (the number stays at Meta).";
    NameAccount: ClusterUser,
        "It is not clear which account is meant, or another one has the number.",
        "Set accountId; where the channel has used another account, create it anew with the right one. A number that is to stay there can be shared with this account, or registered in it, by those who have it.";
    CorrectAccount: ClusterUser,
        "The account is not the one that was used or expected.",
        "Set accountId to the account that is meant; if the portfolio's expect.country is wrong, correct that.";
    CorrectPortfolio: ClusterUser,
        "The portfolio that portfolioRef names cannot be used, or is another one than before.",
        "Correct portfolioRef, or have the WhatsAppPortfolio that it names created or corrected.";
    CorrectBusiness: ClusterUser,
        "The portfolio at Meta is not the expected one.",
        "Compare businessId and expect with Business settings, Business info, and correct the one that is wrong.";
    ChooseName: ClusterUser,
        "Meta does not accept the display name.",
        "Set another displayName that follows Meta's guidelines.";
    AlignName: ClusterUser,
        "The registered number has another display name, and is not renamed by itself.",
        "Set displayName to the live name; or, where the message names retry, run kubectl whatsapp retry NAME to have the number renamed; or have the name changed where the number is managed.";
    ApplyName: ClusterUser,
        "The display name is approved, and becomes live with one more registration of the number.",
        "Run kubectl whatsapp retry NAME; it costs one of the ten registrations that Meta takes in 72 hours.";
    ResolveContention: ClusterUser,
        "Somebody else changes the same field again and again.",
        "Find out who else writes the field, and agree on one of you. Then change the spec to the other value, or run kubectl whatsapp retry NAME.";
    AlignSettings: ClusterUser,
        "Webhook, profile, username or official business account differ from the spec and are not written here.",
        "Compare with status.drift; change the spec, or have the setting changed in Meta's tools.";
    SubscribeApp: ClusterUser,
        "No app is subscribed to the account, so messages to the number reach nobody.",
        "Set spec.webhook: the operator then subscribes its app. Or have the app subscribed that is to receive the messages; it does that itself, with its own token.";
    MendWebhook: ClusterUser,
        "Meta does not accept the webhook.",
        "Make callbackUrl an HTTPS URL of at most 200 characters that answers Meta's handshake; then run kubectl whatsapp retry NAME.";
    AdoptAppWebhook: ClusterUser,
        "The app has a webhook that the portfolio did not set.",
        "Find out who uses that address. If nobody needs it, set appWebhook.adopt: true, or where it is true already the annotation reconcile on the portfolio; else make appWebhook.callbackUrl that address.",
        destroys "what the app is told of goes to callbackUrl, and no longer to the address that it has now";
    MendAppWebhook: ClusterUser,
        "Meta did not take the app's webhook.",
        "Make appWebhook.callbackUrl an HTTPS URL that answers Meta's handshake. It is tried again by itself.";
    LabelSecret: ClusterUser,
        "The Secret of a verify token or of a picture does not permit its use.",
        "If it holds just that, run kubectl label secret SECRET whatsapp-operator.dev/use=verify-token, or whatsapp-operator.dev/use=picture for a picture.";
    ProvideVerifyToken: ClusterUser,
        "The verify token of the webhook is not there.",
        "Create the Secret and the key that webhook.verifyTokenSecretRef names.";
    ProvidePicture: ClusterUser,
        "There is no picture that may be uploaded.",
        "Put a JPEG or PNG of at most 5 MB where spec.profile.pictureRef points.";
    ProvidePin: ClusterUser,
        "The two-step PIN is not there, or is not the number's.",
        "Put the six digits into the PIN Secret; if nobody knows them, have two-step verification switched off in the account, or with the provider, where the number is registered or was registered last.";
    ProvideCredentials: ClusterUser,
        "The credentials of the portfolio are not there.",
        "Create the Secret and the keys that spec.credentials of the portfolio names.";
    RunNewerVersion: ClusterUser,
        "The status holds what this version of the operator does not know: a step that is not decided, a word, or another format.",
        "Run the version of the operator that wrote it, or a later one. If somebody edited the status by hand, correct it.";
    AllowSecret: ClusterUser,
        "The operator may not read a Secret.",
        "Let the operator's service account get the Secret that the message names.";
    ReplaceAppSecret: ClusterUser,
        "The app secret, or the app id, does not belong to the token's app.",
        "Copy the app secret from the app's basic settings into the Secret, or leave appSecretRef out.";
    CheckCluster: ClusterUser,
        "The cluster did not give the operator a Secret now.",
        "Nothing at first: it is read again by itself. If it lasts, see whether the API server answers.";
    // Meta.
    ReviewName: Meta,
        "Meta is reviewing a display name, or has not made it usable yet.",
        "Nothing; it takes from minutes to some days.";
    ShowName: Meta,
        "Meta approved a display name, and does not show it as the live one yet.",
        "Nothing; if that lasts, the number is registered once more by itself.";
    ReviewAccount: Meta,
        "Meta is reviewing the account.",
        "Nothing; Meta decides.";
    ReviewBusiness: Meta,
        "Meta is reviewing the business.",
        "Nothing; it takes from minutes to 14 working days.";
    ReviewOfficialAccount: Meta,
        "Meta is reviewing the request for an official business account.",
        "Nothing; it takes some days.";
    AllowOfficialAccount: Meta,
        "No official business account can be requested for a while.",
        "Nothing until the time in the message; then run kubectl whatsapp request-official-account NAME.";
    AllowAdding: Meta,
        "No number can be added for a while.",
        "Nothing; the number is added at the time in the message.";
    AllowCode: Meta,
        "No code can be asked for, or entered, for a while.",
        "Nothing until the time in the message; then, with the phone at hand, run kubectl whatsapp send-code NAME.";
    AllowName: Meta,
        "No display name can be submitted for a while.",
        "Nothing; the name is submitted at the time in the message.";
    AllowRegistration: Meta,
        "The number cannot be registered for a while.",
        "Nothing; it is registered at the time in the message.";
    AllowCalls: Meta,
        "Calls to Meta are held back for a while.",
        "Nothing; the operator goes on at the time in the message.";
    Answer: Meta,
        "Meta gave no usable answer.",
        "Nothing; the operator asks again by itself.";
    ShowField: Meta,
        "Meta does not show a fact that is needed before anything may be written.",
        "Nothing; the operator looks again by itself. If it lasts, see whether the token has full control of the account.";
    ShowEffect: Meta,
        "What was sent a moment ago may still take effect at Meta.",
        "Nothing; the operator goes on by itself.";
    ChangeStatus: Meta,
        "Meta shows a status that is not known here, or statuses that contradict each other.",
        "Nothing at first. If it lasts, look in WhatsApp Manager, and update the operator if the word is a new one.";
    ConfirmChange: Meta,
        "Meta shows a change that counts only when a second look shows it too.",
        "Nothing; the operator looks again by itself.";
}

impl Actor {
    /// Its row.
    pub fn row(self) -> &'static ActorRow {
        &ACTORS[self as usize]
    }

    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// Reads a constant back, from a stored wait.
    ///
    /// ```
    /// use whatsapp_operator::engine::action::Actor;
    /// assert_eq!(Actor::from_name("PhoneHolder"), Some(Actor::PhoneHolder));
    /// assert_eq!(Actor::from_name("SomebodyElse"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        ACTORS.iter().find(|row| row.name == name).map(|row| row.actor)
    }
}

impl Action {
    /// Its row.
    pub fn row(self) -> &'static ActionRow {
        &ACTIONS[self as usize]
    }

    /// The constant as users see it.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// Who has to do it.
    ///
    /// ```
    /// use whatsapp_operator::engine::action::{Action, Actor};
    /// assert_eq!(Action::EnterCode.actor(), Actor::PhoneHolder);
    /// ```
    pub fn actor(self) -> Actor {
        self.row().actor
    }

    /// Reads a constant back, from a stored wait.
    ///
    /// ```
    /// use whatsapp_operator::engine::action::Action;
    /// assert_eq!(Action::from_name("EnterCode"), Some(Action::EnterCode));
    /// assert_eq!(Action::from_name("SomethingElse"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        ACTIONS.iter().find(|row| row.name == name).map(|row| row.action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_actor_and_action_is_described_in_sentences() {
        for row in ACTORS {
            assert!(row.meaning.ends_with('.'), "{}", row.name);
        }
        for row in ACTIONS {
            assert!(row.meaning.ends_with('.') && row.remedy.ends_with('.'), "{}", row.name);
        }
    }

    #[test]
    fn every_row_stands_at_the_place_of_its_constant() {
        for row in ACTORS {
            assert_eq!((row.actor.as_str(), Actor::from_name(row.name)), (row.name, Some(row.actor)));
        }
        for row in ACTIONS {
            assert_eq!((row.action.as_str(), Action::from_name(row.name)), (row.name, Some(row.action)));
        }
    }

    #[test]
    fn only_an_act_of_meta_needs_nothing() {
        for row in ACTIONS {
            let needs_nothing = row.remedy.starts_with("Nothing");
            let is_of_meta = row.actor == Actor::Meta;
            assert_eq!(needs_nothing, is_of_meta || row.action == Action::CheckCluster, "{}", row.name);
        }
    }

    #[test]
    fn every_actor_is_asked_for_something() {
        for row in ACTORS {
            assert!(ACTIONS.iter().any(|action| action.actor == row.actor), "{}", row.name);
        }
    }
}
