//! What went wrong with a call, as a value that decisions can use.
//!
//! `meta` classifies every error by one table. Decisions use the class, and a code only in the few places where Meta's
//! documentation gives that code a meaning of its own.

use jiff::Timestamp;

use crate::engine::value::word::{Cautious, words};

words! {
    /// What an error asks for.
    ///
    /// ```
    /// use whatsapp_operator::engine::failure::{Class, Scope};
    /// assert!(Class::WaitUntil.is_pause());
    /// assert!(Class::Spec.asks_for_a_person() && !Class::Spec.is_denied());
    /// assert_eq!(Class::Person.who_moves(), "a person");
    /// assert_eq!((Class::WaitUntil.in_reference(), Scope::Account.in_reference()), ("wait", "account"));
    /// ```
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
}

impl Class {
    /// Its word in the reference of errors.
    pub fn in_reference(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::WaitUntil => "wait",
            Self::Person => "person",
            Self::Spec => "spec",
            Self::Credentials => "credentials",
            Self::AlreadyDone => "done",
        }
    }
}

impl Class {
    /// Whether Meta decided, as against asking for another try or a pause. What it decided about may be the credential.
    ///
    /// ```
    /// use whatsapp_operator::engine::failure::Class;
    ///
    /// assert!(Class::Person.is_decision() && Class::Credentials.is_decision());
    /// assert!(!Class::Retry.is_decision() && !Class::WaitUntil.is_decision());
    /// ```
    pub fn is_decision(self) -> bool {
        !matches!(self, Self::Retry | Self::WaitUntil)
    }

    /// Whether it asks for a pause, with or without a date.
    pub fn is_pause(self) -> bool {
        self == Self::WaitUntil
    }

    /// Whether a person has to change something before the same call can succeed.
    pub fn asks_for_a_person(self) -> bool {
        matches!(self, Self::Person | Self::Spec | Self::Credentials)
    }

    /// Whether the token, a permission or the app secret has to change.
    pub fn is_denied(self) -> bool {
        self == Self::Credentials
    }

    /// Who moves next, for people.
    pub fn who_moves(self) -> &'static str {
        match self {
            Self::Retry => "the operator: it says nothing about what was asked for, and is tried again later",
            Self::WaitUntil => "time: the operator waits as long as Meta says",
            Self::Person => "a person",
            Self::Spec => "the author of the manifest: another value is needed",
            Self::Credentials => {
                "the owner of the credentials: another token, permission or app secret is needed"
            }
            Self::AlreadyDone => "no one: the effect is there already",
        }
    }
}

/// Nothing is tried again by itself, and a person may allow it.
impl Cautious for Class {
    const CAUTIOUS: Self = Self::Person;
}

words! {
    /// How far an error reaches.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Scope {
        Call,
        Channel,
        Account,
        Portfolio,
        App,
    }
}

impl Scope {
    /// Its word in the reference of errors.
    pub fn in_reference(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Channel => "channel",
            Self::Account => "account",
            Self::Portfolio => "portfolio",
            Self::App => "app",
        }
    }
}

/// The widest: nothing that the refusal may reach is taken to be free.
impl Cautious for Scope {
    const CAUTIOUS: Self = Self::App;
}

words! {
    /// What a sentence of Meta's says that no code says.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Said {
        /// Meta keeps the whole app from calling.
        AppBlocked,
        /// The token's user lacks a permission on the account or the number.
        PermissionMissing,
        /// The business has to accept the Cloud API terms first.
        TermsNotAccepted,
        /// The number is one of the WhatsApp Business app, so no call registers it.
        BusinessAppNumber,
        /// The number is registered to an account of WhatsApp, in an app or elsewhere on the platform.
        NumberInUse,
    }
}

/// Meta's error envelope, classified. Texts are redacted and bounded before they get here.
///
/// ```
/// use whatsapp_operator::engine::failure::{Class, Refusal, Scope};
/// let refusal = |code, class| Refusal {
///     code,
///     class,
///     scope: Scope::Account,
/// #     subcode: None, title: None, message: String::new(), said: None, trace_id: None, until: None,
/// };
/// let locked = refusal(131_031, Class::Person);
/// assert!(locked.is(131_031, None) && locked.names(131_031));
/// assert!(locked.is_answer() && locked.asks_for_a_person() && locked.shuts_account());
/// let hidden = refusal(200, Class::Credentials);
/// assert!(hidden.is_denied() && hidden.is_permission() && hidden.denies_object() && !hidden.is_about_credentials());
/// let busy = refusal(2, Class::Retry);
/// assert!(busy.may_have_happened() && !busy.is_pause() && busy.paused_until().is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: i64,
    pub subcode: Option<i64>,
    /// `error_user_title`, for people.
    pub title: Option<String>,
    /// The best sentence Meta gave: `error_user_msg`, else `error_data.details`, else `message`.
    pub message: String,
    /// What its sentences say, where they are known and no code says it.
    pub said: Option<Said>,
    pub trace_id: Option<String>,
    pub class: Class,
    pub scope: Scope,
    /// When Meta says that calls are welcome again, from headers or `details`.
    pub until: Option<Timestamp>,
}

impl Refusal {
    /// Whether it is an answer about the object of the call: Meta decided, and not about the credential. Any
    /// other refusal says nothing about the object, so nothing may be concluded from it.
    pub fn is_answer(&self) -> bool {
        self.class.is_decision() && !self.is_about_credentials()
    }

    /// Whether the call may have had its effect although it was refused.
    pub fn may_have_happened(&self) -> bool {
        self.class == Class::Retry
    }

    /// Whether the effect was there already, so the call was not needed.
    pub(in crate::engine) fn holds_already(&self) -> bool {
        self.class == Class::AlreadyDone
    }

    /// Whether the same call would be refused again until a person changes something.
    pub fn asks_for_a_person(&self) -> bool {
        self.class.asks_for_a_person()
    }

    /// Whether it asks for a pause, with or without a date.
    pub fn is_pause(&self) -> bool {
        self.class.is_pause()
    }

    /// The end of the pause that it asks for, if it tells one.
    pub fn paused_until(&self) -> Option<Timestamp> {
        self.until.filter(|_| self.is_pause())
    }

    /// Whether a permission is missing, of the token or of its user; see also [`Self::is_about_credentials`].
    pub fn is_denied(&self) -> bool {
        self.class.is_denied()
    }

    /// Whether Meta asks for a permission, of the token or of its app, and names no object that is hidden.
    pub fn is_permission(&self) -> bool {
        (matches!(self.code, 3 | 10 | 200..=299) && self.is_denied()) || self.says(Said::PermissionMissing)
    }

    /// Whether, as the answer about a token, it only refuses to tell about it. That says nothing about whether the token
    /// works.
    ///
    /// ```
    /// # use whatsapp_operator::engine::failure::{Class, Refusal, Scope};
    /// # let refusal = |code, message: &str| Refusal {
    /// #     code, subcode: None, title: None, message: message.into(), said: None, trace_id: None,
    /// #     class: Class::Spec, scope: Scope::Call, until: None,
    /// # };
    /// assert!(refusal(100, "may not be inspected").refuses_inspection());
    /// assert!(!refusal(100, "Invalid appsecret_proof").refuses_inspection());
    /// assert!(!refusal(190, "expired").refuses_inspection());
    /// ```
    pub fn refuses_inspection(&self) -> bool {
        self.code == 100 && !self.is_about_credentials()
    }

    /// Whether a sentence of it says this.
    ///
    /// ```
    /// use whatsapp_operator::engine::failure::{Class, Refusal, Said, Scope};
    /// let refusal = Refusal {
    ///     code: 100,
    ///     class: Class::Credentials,
    ///     scope: Scope::Portfolio,
    ///     said: Some(Said::PermissionMissing),
    /// #   subcode: None, title: None, message: String::new(), trace_id: None, until: None,
    /// };
    /// assert!(refusal.says(Said::PermissionMissing) && !refusal.says(Said::NumberInUse));
    /// // Of this object. The credential itself is sound.
    /// assert!(refusal.is_denied() && refusal.denies_object() && !refusal.is_about_credentials());
    /// ```
    pub fn says(&self, what: Said) -> bool {
        self.said == Some(what)
    }

    /// Whether code and subcode are these; `None` matches only an absent subcode.
    pub fn is(&self, code: i64, subcode: Option<i64>) -> bool {
        self.code == code && self.subcode == subcode
    }

    /// Whether this is the code or the subcode: Meta sends large numbers in either place.
    pub fn names(&self, number: i64) -> bool {
        self.code == number || self.subcode == Some(number)
    }

    /// What Meta calls the object that the id of the call belongs to, where a message tells it. Another type than the one
    /// meant says that the id is wrong.
    ///
    /// ```
    /// # use whatsapp_operator::engine::failure::{Class, Refusal, Scope};
    /// # let refusal = |message: &str| Refusal {
    /// #     code: 100, subcode: None, title: None, message: message.into(), said: None, trace_id: None,
    /// #     class: Class::Spec, scope: Scope::Call, until: None,
    /// # };
    /// let wrong = refusal("(#100) Tried accessing nonexisting field (currency) on node type (Business)");
    /// assert_eq!(wrong.node_type(), Some("Business"));
    /// assert_eq!(refusal("(#100) Tried accessing nonexisting field (currency)").node_type(), None);
    /// ```
    pub fn node_type(&self) -> Option<&str> {
        let (_, name) = self.message.split_once("on node type (").filter(|_| self.code == 100)?;
        name.split_once(')').map(|(name, _)| name)
    }

    /// Whether it says that there is no such object. It may be hidden from the token as well: Meta does not tell which.
    ///
    /// ```
    /// # use whatsapp_operator::engine::failure::{Class, Refusal, Scope};
    /// # let refusal = |code, subcode| Refusal {
    /// #     code, subcode, title: None, message: String::new(), said: None, trace_id: None,
    /// #     class: Class::Person, scope: Scope::Channel, until: None,
    /// # };
    /// assert!(refusal(100, Some(33)).hides_object() && refusal(33, None).hides_object());
    /// assert!(refusal(803, None).hides_object() && !refusal(100, None).hides_object());
    /// ```
    pub fn hides_object(&self) -> bool {
        matches!(self.code, 33 | 803) || self.is(100, Some(33))
    }

    /// Whether it says that the token has no access to the object, or that the object does not exist.
    pub fn denies_object(&self) -> bool {
        matches!(self.code, 3 | 10 | 200..=299 | 131_005)
            || self.hides_object()
            || self.says(Said::PermissionMissing)
    }

    /// Whether Meta has restricted or locked the account (368, 131031). Only an appeal ends that; waiting does not help.
    pub fn shuts_account(&self) -> bool {
        matches!((self.class, self.code), (Class::Person, 368 | 131_031))
    }

    /// Whether a write was refused because of the token, a permission or the account, and not because of its values.
    /// Another value would be refused too. A write to what a read shows and Meta then hides lacks a permission.
    pub(in crate::engine) fn is_shut_out(&self) -> bool {
        let is_hidden = self.hides_object() && self.asks_for_a_person();
        let wants_terms = self.says(Said::TermsNotAccepted);
        self.is_about_credentials() || self.is_denied() || self.shuts_account() || wants_terms || is_hidden
    }

    /// Whether it is about the signature that is made with the app secret, and not about the token.
    ///
    /// ```
    /// # use whatsapp_operator::engine::failure::{Class, Refusal, Scope};
    /// # let refusal = |code, scope| Refusal {
    /// #     code, subcode: None, title: None, message: String::new(), said: None, trace_id: None,
    /// #     class: Class::Credentials, scope, until: None,
    /// # };
    /// assert!(refusal(100, Scope::Portfolio).is_about_app_secret());
    /// assert!(!refusal(190, Scope::Portfolio).is_about_app_secret());
    /// ```
    pub fn is_about_app_secret(&self) -> bool {
        self.code == 100 && self.is_about_credentials()
    }

    /// Whether it is about the credential, and says nothing about the object of the call. A permission that is
    /// missing on one object is not about the credential.
    pub fn is_about_credentials(&self) -> bool {
        match self.code {
            0 | 102 | 104 | 190 => true,
            _ if self.says(Said::PermissionMissing) => false,
            // A wrong proof; the sentence for people may not name it.
            100 => {
                (self.is_denied() && self.scope == Scope::Portfolio)
                    || self.message.to_ascii_lowercase().contains("appsecret_proof")
            }
            _ => false,
        }
    }
}

/// Why a call gave no answer that can be used.
///
/// ```
/// use whatsapp_operator::engine::failure::Failure;
/// let later = "2026-03-01T12:00:00Z".parse()?;
/// // Never sent, so it is certain that nothing happened.
/// assert!(Failure::Throttled(later).is_definite());
/// assert_eq!(Failure::Throttled(later).paused_until(), Some(later));
/// // Perhaps sent: nobody knows.
/// let lost = Failure::NoAnswer("time-out".into());
/// assert!(!lost.is_definite() && !lost.is_decision() && lost.refusal().is_none());
/// # Ok::<(), jiff::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Meta answered with an error envelope.
    Refused(Refusal),
    /// Sent, or perhaps sent, and no usable answer: time-out, lost connection, 5xx, HTML, truncated or huge body.
    NoAnswer(String),
    /// Meta answered, with more than is read of an answer or a list; and which bound that is.
    TooLarge(String),
    /// Never sent, and why: no connection could be made, or `sendBefore` had passed.
    NotSent(String),
    /// Not sent: our own budget or an open breaker; calls are welcome at this time.
    Throttled(Timestamp),
    /// A list was not read to its end: others take up what the operator keeps in memory for lists. It is read at this time.
    NoRoom(Timestamp),
}

impl Failure {
    /// Meta's envelope, if there was one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether it is an answer about the object of the call, as against no answer, or one about the credential.
    ///
    /// ```
    /// use whatsapp_operator::engine::failure::{Class, Failure, Refusal, Scope};
    ///
    /// let refused = |code, class| {
    ///     Failure::Refused(Refusal {
    ///         code,
    ///         subcode: None,
    ///         title: None,
    ///         message: String::new(),
    ///         said: None,
    ///         trace_id: None,
    ///         class,
    ///         scope: Scope::Account,
    ///         until: None,
    ///     })
    /// };
    /// // A permission that is missing on this account says something about it, a revoked token does not.
    /// assert!(refused(200, Class::Credentials).is_answer());
    /// assert!(!refused(190, Class::Credentials).is_answer());
    /// assert!(!refused(2, Class::Retry).is_answer());
    /// assert!(!Failure::NoAnswer("no answer in time".into()).is_answer());
    /// ```
    pub fn is_answer(&self) -> bool {
        self.refusal().is_some_and(Refusal::is_answer)
    }

    /// Why the call came to nothing, in words.
    ///
    /// ```
    /// use whatsapp_operator::engine::failure::Failure;
    /// assert_eq!(Failure::NoAnswer("no answer in time".into()).told(), "no answer in time");
    /// // Meta is not to blame for a bound of the operator's.
    /// assert!(!Failure::NoRoom(jiff::Timestamp::UNIX_EPOCH).told().contains("Meta"));
    /// ```
    pub fn told(&self) -> String {
        match self {
            Self::Refused(refusal) => {
                let subcode = refusal.subcode.map(|subcode| format!("/{subcode}")).unwrap_or_default();
                format!("Meta: {} ({}{subcode})", refusal.message, refusal.code)
            }
            Self::NoAnswer(why) | Self::TooLarge(why) | Self::NotSent(why) => why.clone(),
            Self::Throttled(until) => {
                format!("calls to Meta are held back until {until}")
            }
            Self::NoRoom(until) => {
                format!(
                    "the operator is reading other large lists, and has no room in memory for this one; it reads it after {until}"
                )
            }
        }
    }

    /// Whether Meta decided, about the object or about the credential.
    pub fn is_decision(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.class.is_decision())
    }

    /// The date that came in place of an answer.
    pub fn paused_until(&self) -> Option<Timestamp> {
        match self {
            Self::Refused(refusal) => refusal.paused_until(),
            Self::Throttled(until) | Self::NoRoom(until) => Some(*until),
            Self::NoAnswer(_) | Self::TooLarge(_) | Self::NotSent(_) => None,
        }
    }

    /// Whether Meta refused in a way that proves that nothing happened.
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Refused(refusal) => !refusal.may_have_happened(),
            Self::NotSent(_) | Self::Throttled(_) | Self::NoRoom(_) => true,
            Self::NoAnswer(_) | Self::TooLarge(_) => false,
        }
    }
}
