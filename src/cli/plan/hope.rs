//! What everybody is hoped to do in a forecast: one row for each act that may be waited for.
//!
//! A row says what happens, after how long in virtual time, and what is taken for given by it. Where nobody can be
//! hoped to act, because a person has to decide something first or because what Meta shows then cannot be known, the
//! forecast ends there and says so.

use std::time::Duration;

use crate::engine::action::Action;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What somebody does in the simulated world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    AskForCode,
    EnterCode,
    /// Asks for one more attempt; what was in its way is gone.
    Retry,
    ReleaseNumber,
    ConnectInApp,
    CreateAccount,
    AssignAccount,
    GrantPermissions,
    AddByHand,
    RaiseLimit,
    VerifyBusiness,
    AddPaymentMethod,
    SubscribeToMessages,
    LabelSecret,
    ProvideVerifyToken,
    ProvidePin,
    AllowSecrets,
    ApproveName,
    ApproveAccount,
    Answer,
}

/// What is hoped of one act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hope {
    /// It is done so long after it was first waited for.
    Done { after: Duration, deed: Deed, says: &'static str, assumes: &'static str },
    /// Time ends the wait; nobody has to do anything.
    Time,
    /// Nobody can be hoped to do it, and why.
    Nobody(&'static str),
}

const fn done(after: Duration, deed: Deed, says: &'static str, assumes: &'static str) -> Hope {
    Hope::Done { after, deed, says, assumes }
}

/// The same act is hoped for at most this often on one channel.
pub const TIMES: usize = 3;

/// The wait for Meta whose date somebody knows, so that he does not act before it.
pub fn follows(action: Action) -> Option<Action> {
    (action == Action::AskForCode).then_some(Action::AllowCode)
}

/// The table.
pub fn hope(action: Action) -> Hope {
    match action {
        // The phone holder is there, and acts within a minute.
        Action::AskForCode => {
            done(MINUTE, Deed::AskForCode, "asks for a code, with the phone at hand", "the phone is at hand")
        }
        // Meta's codes live for ten minutes.
        Action::EnterCode => done(
            MINUTE,
            Deed::EnterCode,
            "enters the code from the phone into its Secret",
            "each code is entered within a minute",
        ),
        // Finding out who uses a number, and releasing it, is more than a moment's work.
        Action::FreeNumber => done(
            DAY,
            Deed::ReleaseNumber,
            "has the number released where it is in use, then asks for one more attempt",
            "whoever uses the number lets it go",
        ),
        // The sign-up of a partner, in the app.
        Action::ConnectInApp => done(
            DAY,
            Deed::ConnectInApp,
            "connects the number in the WhatsApp Business app",
            "the sign-up in the app succeeds",
        ),
        // An account is made in minutes, and has no payment method yet.
        Action::CreateAccount => done(
            HOUR,
            Deed::CreateAccount,
            "creates an account and assigns it to the system user",
            "Meta makes the new account active at once, and it has no number yet",
        ),
        // What is in an account that nobody could read yet is not known.
        Action::AssignAccount => done(
            HOUR,
            Deed::AssignAccount,
            "assigns the account to the system user",
            "the account is active, belongs to the portfolio, and does not have the number yet",
        ),
        // What the token may not see now is not known.
        Action::GrantPermissions => done(
            HOUR,
            Deed::GrantPermissions,
            "grants the permissions that are missing",
            "what the token may not read now does not hold the number",
        ),
        // A form in WhatsApp Manager.
        Action::AddNumberAgain | Action::AddByHand => done(
            HOUR,
            Deed::AddByHand,
            "adds the number in WhatsApp Manager",
            "Meta lets the number be added by hand",
        ),
        // Verifying the business, or deleting a number that nobody uses.
        Action::AllowNumber | Action::RaiseNumberLimit => done(
            DAY,
            Deed::RaiseLimit,
            "makes room for one more number, then asks for one more attempt",
            "Meta lets the portfolio have one more number",
        ),
        // Meta: minutes to 14 working days.
        Action::VerifyBusiness | Action::ReviewBusiness => done(
            7 * DAY,
            Deed::VerifyBusiness,
            "verifies the business",
            "Meta verifies the business within seven days",
        ),
        // A form on the billing page.
        Action::AddPaymentMethod => done(
            HOUR,
            Deed::AddPaymentMethod,
            "adds a payment method to the account",
            "Meta accepts the payment method",
        ),
        // A form in the App Dashboard.
        Action::SubscribeToMessages => done(
            HOUR,
            Deed::SubscribeToMessages,
            "has the app receive the webhook field messages, then asks for one more attempt",
            "the app's own callback is verified",
        ),
        // Whoever asks has removed what the message names.
        Action::Retry => done(
            HOUR,
            Deed::Retry,
            "removes the cause, then asks for one more attempt",
            "the cause that Meta named is removed",
        ),
        Action::MendWebhook => done(
            HOUR,
            Deed::Retry,
            "mends the webhook, then asks for one more attempt",
            "the webhook answers Meta's handshake",
        ),
        // One command each.
        Action::ApplyName => done(
            MINUTE,
            Deed::Retry,
            "asks for one more registration, which makes the approved name live",
            "Meta makes an approved name live when the number is registered once more",
        ),
        Action::LabelSecret => {
            done(MINUTE, Deed::LabelSecret, "labels the Secret that the message names", "")
        }
        Action::ProvideVerifyToken => {
            done(MINUTE, Deed::ProvideVerifyToken, "creates the Secret with the verify token", "")
        }
        // Somebody knows it, or has it switched off.
        Action::ProvidePin => done(
            HOUR,
            Deed::ProvidePin,
            "puts the number's PIN into its Secret",
            "somebody knows the two-step PIN of the number",
        ),
        // A role and its binding.
        Action::AllowSecret => done(
            HOUR,
            Deed::AllowSecrets,
            "lets the operator read the Secrets",
            "the Secrets that cannot be read hold what they are for",
        ),
        // The API server is back.
        Action::CheckCluster => done(
            5 * MINUTE,
            Deed::AllowSecrets,
            "does nothing; the API server answers again",
            "the Secrets that cannot be read hold what they are for",
        ),
        // Meta: minutes to some days.
        Action::ReviewName => done(
            DAY,
            Deed::ApproveName,
            "approves the display name",
            "Meta approves the display name within a day",
        ),
        Action::ReviewAccount => {
            done(DAY, Deed::ApproveAccount, "approves the account", "Meta approves the account within a day")
        }
        // An outage is short.
        Action::Answer => done(
            15 * MINUTE,
            Deed::Answer,
            "answers again",
            "what could not be read now does not hold the number, and stands as it should",
        ),
        // The operator's own pauses, and Meta's.
        Action::AllowAdding
        | Action::AllowCode
        | Action::AllowName
        | Action::AllowRegistration
        | Action::AllowCalls
        | Action::ShowEffect
        | Action::ShowName
        | Action::ConfirmChange => Hope::Time,
        Action::Resume => Hope::Nobody("the channel is suspended, and its manifest wants it so"),
        Action::AllowManagement => Hope::Nobody("the channel only observes, and its manifest wants it so"),
        Action::ResolveClaim => Hope::Nobody("another channel manages the number"),
        Action::ConfirmTakeover => Hope::Nobody(
            "taking a number away from another account is for a person to decide, and no forecast decides it",
        ),
        Action::ChangeSpec
        | Action::ProvidePicture
        | Action::NameAccount
        | Action::CorrectAccount
        | Action::CorrectPortfolio
        | Action::CorrectBusiness
        | Action::ChooseName
        | Action::AlignName
        | Action::ResolveContention
        | Action::AlignSettings
        | Action::AdoptAppWebhook
        | Action::MendAppWebhook
        | Action::SubscribeApp => {
            Hope::Nobody("a manifest or a setting has to be chosen anew, and which is not known")
        }
        Action::ReplaceToken | Action::ProvideCredentials | Action::ReplaceAppSecret | Action::UnblockApp => {
            Hope::Nobody("until then nothing can be read from Meta, and what it shows then is not known")
        }
        Action::Appeal | Action::ResolveBlock => {
            Hope::Nobody("whether Meta lifts what it has imposed is not known")
        }
        Action::RequestOfficialAccount | Action::ReviewOfficialAccount | Action::AllowOfficialAccount => {
            Hope::Nobody("whether Meta makes a number an official business account is not known")
        }
        Action::ShowField | Action::ChangeStatus => Hope::Nobody("what Meta will show is not known"),
        Action::RunNewerVersion => {
            Hope::Nobody("only a newer version of the operator understands what the status remembers")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::action::{ACTIONS, Actor};

    #[test]
    fn what_is_hoped_for_is_told_in_words_and_happens_within_the_forecast() {
        for row in ACTIONS {
            match hope(row.action) {
                Hope::Done { after, says, assumes, .. } => {
                    assert!(!says.is_empty() && !says.ends_with('.'), "{}", row.name);
                    assert!(!assumes.ends_with('.') && after >= MINUTE && after <= 7 * DAY, "{}", row.name);
                }
                Hope::Time => {
                    assert_eq!(
                        row.action.actor(),
                        Actor::Meta,
                        "{}: a person does not act by time",
                        row.name
                    );
                }
                Hope::Nobody(why) => assert!(!why.is_empty() && !why.ends_with('.'), "{}", row.name),
            }
        }
    }

    #[test]
    fn nobody_is_hoped_to_lift_a_ban_or_to_decide_for_another() {
        for action in [Action::Appeal, Action::ConfirmTakeover, Action::ResolveClaim, Action::Resume] {
            assert!(matches!(hope(action), Hope::Nobody(_)), "{action:?}");
        }
    }
}
