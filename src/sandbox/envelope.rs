//! Errors as Meta sends them.
//!
//! The HTTP status says little: nearly every refusal is a 400. The texts are ours,
//! in Meta's manner; only the part before the first colon of a nonexisting field is
//! something that a client may read.

use serde_json::{Map, Value, json};

use super::switch::Switches;

/// A text for the end user. Meta localises these, so a client must not match them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UserText {
    NumberOnPhone,
    NameNotReady,
    AlreadyListed,
    CodeNotSent { minutes: i64 },
    AlreadyVerified,
    WrongCode,
    CodeLocked { minutes: i64 },
    MigrationRefused(&'static str),
    NumberLimit,
    AddRestricted,
    NameInReview,
    NameLimit,
}

impl UserText {
    /// Title and sentence in the language of a locale such as `pt_BR`.
    fn in_locale(&self, locale: &str) -> (String, String) {
        let language = locale.get(..2).unwrap_or("en");
        let (title, message): (&str, &str) = match (self, language) {
            (Self::NumberOnPhone, "pt") => (
                "Não é possível criar o certificado",
                "Este número já tem uma conta do WhatsApp. Apague a conta no aplicativo.",
            ),
            (Self::NumberOnPhone, "es") => (
                "No se puede crear el certificado",
                "Este número ya tiene una cuenta de WhatsApp. Elimínala en la aplicación.",
            ),
            (Self::NumberOnPhone, "de") => (
                "Zertifikat kann nicht erstellt werden",
                "Diese Nummer hat schon ein WhatsApp-Konto. Lösche es in der App.",
            ),
            (Self::NumberOnPhone, _) => (
                "Cannot Create Certificate",
                "This number is registered to an existing WhatsApp account. To use this number, disconnect it from the existing account.",
            ),
            (Self::NameNotReady, "pt") => (
                "Não é possível criar o certificado",
                "O nome de exibição ainda não foi processado. Tente mais tarde.",
            ),
            (Self::NameNotReady, "es") => (
                "No se puede crear el certificado",
                "El nombre visible todavía no se ha procesado. Inténtalo más tarde.",
            ),
            (Self::NameNotReady, "de") => (
                "Zertifikat kann nicht erstellt werden",
                "Der Anzeigename ist noch nicht bearbeitet. Versuche es später.",
            ),
            (Self::NameNotReady, _) => {
                ("Cannot create certificate", "The display name has not been processed yet. Try again later.")
            }
            (Self::AlreadyListed, _) => {
                ("Number already added", "This phone number is in your list already.")
            }
            (Self::AlreadyVerified, _) => {
                ("No code needed", "The ownership of this phone number is verified already.")
            }
            (Self::WrongCode, _) => {
                ("Code not accepted", "The code is wrong or has lapsed. Ask for a new one.")
            }
            (Self::MigrationRefused(why), _) => ("Number cannot be migrated", why),
            (Self::NumberLimit, _) => {
                ("Number limit reached", "Your business cannot add more phone numbers.")
            }
            (Self::AddRestricted, _) => {
                ("Adding is restricted", "Your account cannot add phone numbers at the moment.")
            }
            (Self::NameInReview, _) => {
                ("Name in review", "Another display name of this number is in review.")
            }
            (Self::NameLimit, _) => {
                ("Too many name changes", "The display name was changed too often in 30 days.")
            }
            (Self::CodeNotSent { minutes }, _) => {
                return (
                    "Code not sent".to_owned(),
                    format!("We could not send the code. Try again in {minutes} minutes."),
                );
            }
            (Self::CodeLocked { minutes }, _) => {
                return (
                    "Too many attempts".to_owned(),
                    format!("Too many wrong codes. Try again in {minutes} minutes."),
                );
            }
        };
        (title.to_owned(), message.to_owned())
    }
}

/// A refusal, before it is put into the envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i64,
    pub(super) subcode: Option<i64>,
    message: String,
    details: Option<String>,
    user: Option<UserText>,
    kind: &'static str,
    is_of_upload: bool,
}

impl Refusal {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            subcode: None,
            message: message.into(),
            details: None,
            user: None,
            kind: "OAuthException",
            is_of_upload: false,
        }
    }

    /// A plain 100.
    pub(super) fn invalid(details: impl Into<String>) -> Self {
        Self::new(100, "Invalid parameter").details(details)
    }

    /// A field that the node does not have; the whole read fails. The message of a list names no type of node.
    pub(super) fn unknown_field(field: &str, node: Option<&str>) -> Self {
        let on = node.map(|node| format!(" on node type ({node})")).unwrap_or_default();
        Self::new(100, format!("Tried accessing nonexisting field ({field}){on}"))
    }

    /// What this body says: its `error` with code, subcode and message.
    pub(super) fn of_envelope(envelope: &Value) -> Self {
        let error = &envelope["error"];
        let message = error["message"].as_str().unwrap_or_default();
        let code = error["code"].as_i64().unwrap_or(100);
        let prefix = format!("(#{code}) ");
        let refusal = Self::new(code, message.strip_prefix(&prefix).unwrap_or(message));
        error["error_subcode"].as_i64().map_or(refusal.clone(), |subcode| refusal.subcode(subcode))
    }

    pub(super) fn permission(message: impl Into<String>) -> Self {
        Self::new(200, message)
    }

    pub(super) fn subcode(mut self, subcode: i64) -> Self {
        self.subcode = Some(subcode);
        self
    }

    pub(super) fn details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }

    pub(super) fn user(mut self, user: UserText) -> Self {
        self.user = Some(user);
        self
    }

    pub(super) fn method(mut self) -> Self {
        self.kind = "GraphMethodException";
        self
    }

    /// In the shape that uploads have for the bytes.
    pub(super) fn upload(mut self) -> Self {
        self.is_of_upload = true;
        self
    }

    pub(super) fn status(&self) -> u16 {
        http_status(self.code)
    }

    /// The body of the answer.
    pub(super) fn envelope(&self, switches: &Switches, locale: &str, trace: &str) -> Value {
        if self.is_of_upload {
            let message = self.details.as_ref().unwrap_or(&self.message);
            return json!({"debug_info": {"retriable": false, "type": self.kind, "message": message}});
        }
        let mut error = Map::new();
        let message = if self.kind == "GraphMethodException" {
            self.message.clone()
        } else {
            format!("(#{}) {}", self.code, self.message)
        };
        error.insert("message".to_owned(), json!(message));
        error.insert("type".to_owned(), json!(self.kind));
        error.insert("code".to_owned(), json!(self.code));
        if let Some(subcode) = self.subcode.filter(|_| switches.subcodes) {
            error.insert("error_subcode".to_owned(), json!(subcode));
        }
        if matches!(self.code, 2 | 131_016 | 133_004) {
            error.insert("is_transient".to_owned(), json!(true));
        }
        if let Some(user) = &self.user {
            let (title, sentence) = user.in_locale(locale);
            error.insert("error_user_title".to_owned(), json!(title));
            error.insert("error_user_msg".to_owned(), json!(sentence));
        }
        if let Some(details) = &self.details {
            let data = json!({"messaging_product": "whatsapp", "details": details});
            let data = if switches.error_data_as_text { json!(data.to_string()) } else { data };
            error.insert("error_data".to_owned(), data);
        }
        error.insert("fbtrace_id".to_owned(), json!(trace));
        json!({"error": error})
    }
}

/// The HTTP status that comes with a code. Live answers are 400 for nearly every refusal, permissions included; the
/// documents name 403 and 404 for some of them.
pub(super) fn http_status(code: i64) -> u16 {
    match code {
        0 | 190 => 401,
        3 | 131_000 | 131_016 | 133_000 => 500,
        2 | 133_004 => 503,
        131_005 => 403,
        803 => 404,
        _ => 400,
    }
}
