//! What happened: effects and calls.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One effect at Meta.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Virtual time.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// The kinds of effect. No code, PIN or token is ever in one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A number came into an account.
    NumberAdded {
        /// The number.
        digits: String,
        /// Where.
        account: String,
        /// Its new id.
        id: String,
    },
    /// A code went out to the phone.
    CodeSent {
        /// The number.
        digits: String,
    },
    /// A code was tried.
    VerifyAttempt {
        /// The number.
        digits: String,
        /// It was right.
        accepted: bool,
    },
    /// Ownership was proven.
    CodeVerified {
        /// The number.
        digits: String,
    },
    /// A registration was tried.
    RegisterAttempt {
        /// The number.
        digits: String,
        /// It went through.
        accepted: bool,
    },
    /// The number serves on Cloud API.
    Registered {
        /// The number.
        digits: String,
    },
    /// The number left Cloud API.
    Deregistered {
        /// The number.
        digits: String,
    },
    /// The PIN was replaced, other than by registering.
    PinSet {
        /// The number.
        digits: String,
    },
    /// Where messages are stored was set.
    StorageSet {
        /// The number.
        digits: String,
        /// The country.
        region: String,
    },
    /// The WhatsApp Business app was asked for what it holds.
    SyncStarted {
        /// The number.
        digits: String,
        /// `smb_app_state_sync` or `history`.
        kind: String,
    },
    /// A name went into review after the number was added.
    NameSubmitted {
        /// The number.
        digits: String,
        /// The name.
        name: String,
    },
    /// An app was subscribed; an override that was there is gone.
    Subscribed {
        /// The account.
        account: String,
        /// The app.
        app: String,
    },
    /// An app was unsubscribed.
    Unsubscribed {
        /// The account.
        account: String,
        /// The app.
        app: String,
    },
    /// A webhook was routed elsewhere; without a URL the override was removed.
    Overridden {
        /// The digits of a number, or the id of an account.
        target: String,
        /// Where to.
        url: Option<String>,
    },
    /// An app was given a webhook of its own.
    AppWebhookSet {
        /// The app.
        app: String,
        /// Where it goes.
        url: String,
    },
    /// A picture was set.
    PictureSet {
        /// The number.
        digits: String,
        /// SHA-256 of its bytes, in hex.
        sha256: String,
    },
    /// A username was claimed.
    UsernameClaimed {
        /// The number.
        digits: String,
        /// The username.
        username: String,
    },
    /// An official business account was requested.
    OfficialRequested {
        /// The number.
        digits: String,
    },
    /// A profile was written.
    ProfileWritten {
        /// The number.
        digits: String,
    },
}

/// One call that was received.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Virtual time.
    pub at: Timestamp,
    /// The method.
    pub method: String,
    /// The path with ids replaced, such as `/{phone}/register`.
    pub path: String,
    /// The account that it is about.
    pub account: Option<String>,
    /// The id in its path.
    pub id: Option<String>,
    /// The names of its parameters; never their values.
    pub parameters: Vec<String>,
    /// The HTTP status; none when no answer was given.
    pub status: Option<u16>,
    /// The code of the error, if the answer holds one.
    pub code: Option<i64>,
    /// Bytes of the answer, its headers included.
    pub bytes: usize,
    /// The faults that it met.
    pub faults: Vec<String>,
}
