//! What went wrong with a call, as a value that decisions can use.
//!
//! `meta` classifies once, by one table; nothing behind it looks at codes again
//! except the few places where the contract names a code.

use jiff::Timestamp;

use super::word::{Cautious, vocabulary};

/// What an error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Says nothing about the request: try again later, the effect may have happened.
    Retry,
    /// Known wait: throttles and lock-outs.
    WaitUntil,
    /// A person has to act.
    Person,
    /// The manifest has to change.
    Spec,
    /// The token, its scopes or the app secret have to change.
    Credentials,
    /// What was asked for already holds.
    AlreadyDone,
}

vocabulary!(Class { Retry, WaitUntil, Person, Spec, Credentials, AlreadyDone });

/// Nothing is tried again by itself, and a person may allow it.
impl Cautious for Class {
    const CAUTIOUS: Self = Self::Person;
}

/// How far an error reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    Call,
    Channel,
    Account,
    Portfolio,
    App,
}

vocabulary!(Scope { Call, Channel, Account, Portfolio, App });

/// The widest: nothing that the refusal may reach is taken to be free.
impl Cautious for Scope {
    const CAUTIOUS: Self = Self::App;
}

/// Meta's error envelope, classified. Texts are redacted and bounded before they get here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: i64,
    pub subcode: Option<i64>,
    /// `error_user_title`, for people.
    pub title: Option<String>,
    /// The best sentence Meta gave: `error_user_msg`, else `error_data.details`, else `message`.
    pub message: String,
    pub trace_id: Option<String>,
    pub class: Class,
    pub scope: Scope,
    /// When Meta says that calls are welcome again, from headers or `details`.
    pub until: Option<Timestamp>,
}

impl Refusal {
    /// Whether code and subcode are these; `None` matches only an absent subcode.
    pub fn is(&self, code: i64, subcode: Option<i64>) -> bool {
        self.code == code && self.subcode == subcode
    }

    /// Whether a number of Meta's stands in either place: large ones come as code or as subcode.
    pub fn names(&self, number: i64) -> bool {
        self.code == number || self.subcode == Some(number)
    }

    /// Whether it says that the token may not have the object, or that there is none: an answer about it.
    pub fn denies_object(&self) -> bool {
        matches!(self.code, 3 | 10 | 33 | 200..=299 | 803 | 131_005) || self.is(100, Some(33))
    }

    /// Whether Meta keeps the account itself from being used (368, 131031): appeals end that, no clock does.
    pub fn shuts_account(&self) -> bool {
        matches!((self.class, self.code), (Class::Person, 368 | 131_031))
    }

    /// Whether a write was refused for what it was sent with or about (the token, a permission, the account) and not
    /// for what it said: nothing that is entered again would help.
    pub fn is_shut_out(&self) -> bool {
        self.is_about_credentials() || self.class == Class::Credentials || self.shuts_account()
    }

    /// Whether it speaks of the credential, and so of nothing that the call was about. A permission that is
    /// missing on one object does not.
    pub fn is_about_credentials(&self) -> bool {
        match self.code {
            0 | 102 | 104 | 190 => true,
            // A wrong proof; the sentence for people may not name it.
            100 => {
                (self.class == Class::Credentials && self.scope == Scope::Portfolio)
                    || self.message.to_ascii_lowercase().contains("appsecret_proof")
            }
            _ => false,
        }
    }
}

/// Why a call gave no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Meta answered with an error envelope.
    Refused(Refusal),
    /// Sent, or perhaps sent, and no usable answer: time-out, lost connection, 5xx, HTML, truncated or huge body.
    NoAnswer(String),
    /// Never sent, and why: no connection could be made, or `sendBefore` had passed.
    NotSent(String),
    /// Not sent: our own budget or an open breaker; calls are welcome at this time.
    Throttled(Timestamp),
}

impl Failure {
    /// Meta's envelope, if there was one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether Meta refused in a way that proves that nothing happened.
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.class != Class::Retry,
            Self::NotSent(_) | Self::Throttled(_) => true,
            Self::NoAnswer(_) => false,
        }
    }
}
