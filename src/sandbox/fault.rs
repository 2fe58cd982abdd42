//! Faults on order.
//!
//! A fault names the calls that it meets and what happens to them. Several may meet
//! one call; they apply in the order in which they were injected. Chance comes from
//! the seed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::random::Dice;

/// A fault and the calls it meets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Which calls.
    #[serde(default)]
    pub on: Match,
    /// What happens.
    pub kind: FaultKind,
}

/// Which calls a fault meets: all conditions that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Match {
    /// `GET` or `POST`.
    pub method: Option<String>,
    /// The edge, such as `register` or `phone_numbers`; `business`, `waba` and
    /// `phone` for the nodes themselves; empty or `*` for any.
    pub edge: String,
    /// Only the call with this number among those that match, from 1.
    pub nth: Option<u64>,
    /// Only calls about this account or its numbers.
    pub account: Option<String>,
    /// Only calls with a token of this app.
    pub app: Option<String>,
    /// Not from this date on.
    pub until: Option<Timestamp>,
    /// At most this many times.
    pub times: Option<u32>,
    /// With this probability.
    pub probability: Option<f64>,
}

impl Match {
    /// Every call.
    pub fn any() -> Self {
        Self::default()
    }

    /// Calls of this method on this edge.
    pub fn on(method: &str, edge: &str) -> Self {
        Self { method: Some(method.to_owned()), edge: edge.to_owned(), ..Self::default() }
    }

    /// The same, but at most this many times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// The same, but only the nth call that matches, from 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = Some(nth);
        self
    }
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum FaultKind {
    /// It takes this long, on the clock of tokio.
    Latency {
        /// Milliseconds.
        ms: u64,
    },
    /// The call never arrives, and no answer comes.
    TimeoutBefore,
    /// The call has its effect, and no answer comes.
    TimeoutAfter,
    /// The connection is closed at once, without effect.
    Disconnect,
    /// This HTTP status with an empty body, without effect.
    Status {
        /// HTTP status.
        code: u16,
    },
    /// This HTTP status with an empty body, after the effect.
    StatusAfter {
        /// HTTP status.
        code: u16,
    },
    /// A page of an edge proxy, without effect.
    Html {
        /// HTTP status.
        code: u16,
    },
    /// This body, without effect; the HTTP status follows from `error.code`.
    Error {
        /// The body, normally `{"error": {...}}`.
        envelope: Value,
    },
    /// The account (80007, 80008) or the app (4) is throttled for that time.
    Throttle {
        /// Code of the error.
        code: i64,
        /// Minutes, which go on while the client calls.
        minutes: u64,
    },
    /// Keys that no document knows, in every object of the answer.
    UnknownField {
        /// The keys and their values.
        fields: Map<String, Value>,
    },
    /// A value that no document knows, wherever the field is in the answer.
    UnknownEnum {
        /// The field.
        field: String,
        /// The value.
        value: Value,
    },
    /// A read that names the field is refused: as nonexisting, or with an envelope.
    RefuseField {
        /// The field.
        field: String,
        /// `{"error": {"code": …, "message": …}}`; code, subcode and message count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        envelope: Option<Value>,
    },
    /// This HTTP status with this body, whatever it holds, without effect.
    RawBody {
        /// HTTP status.
        code: u16,
        /// The body. It need not be JSON.
        body: String,
    },
    /// The answer breaks off in the middle.
    TruncatedBody,
    /// The answer is followed by this many bytes.
    HugeBody {
        /// Bytes.
        bytes: usize,
    },
    /// What the call changes shows only after that time.
    LateEffect {
        /// Virtual seconds.
        secs: u64,
    },
    /// The connection breaks when so much of a part of a file has come.
    BrokenUpload {
        /// Bytes.
        bytes: usize,
    },
    /// No answer comes, and the call is carried out only after that time.
    DelayedEffect {
        /// Virtual seconds.
        secs: u64,
    },
}

impl Fault {
    /// Reads a faults file: a JSON list.
    ///
    /// # Errors
    ///
    /// When the text is no such list.
    pub fn list_from_json(text: &str) -> Result<Vec<Self>, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// A field that a fault refuses, and the envelope that says so in the place of the usual one.
pub(super) type RefusedField = (String, Option<Value>);

/// What a fault is matched against.
pub(super) struct Subject<'a> {
    pub(super) method: &'a str,
    pub(super) edge: &'a str,
    pub(super) account: Option<&'a str>,
    pub(super) app: Option<&'a str>,
    pub(super) now: Timestamp,
}

/// A fault that was injected and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Injected {
    fault: Fault,
    /// Names its sequence of chance.
    serial: u64,
    seen: u64,
    applied: u32,
}

impl Injected {
    pub(super) fn new(fault: Fault, serial: u64) -> Self {
        Self { fault, serial, seen: 0, applied: 0 }
    }

    /// The fault, if it meets this call.
    pub(super) fn meet(&mut self, subject: &Subject<'_>, dice: &mut Dice) -> Option<FaultKind> {
        let on = &self.fault.on;
        let matches = on.method.as_deref().is_none_or(|method| method.eq_ignore_ascii_case(subject.method))
            && (matches!(on.edge.as_str(), "" | "*") || on.edge == subject.edge)
            && (on.account.is_none() || on.account.as_deref() == subject.account)
            && (on.app.is_none() || on.app.as_deref() == subject.app)
            && on.until.is_none_or(|until| subject.now < until);
        if !matches {
            return None;
        }
        self.seen += 1;
        if on.nth.is_some_and(|nth| nth != self.seen) || on.times.is_some_and(|times| self.applied >= times) {
            return None;
        }
        if on
            .probability
            .is_some_and(|probability| !dice.chance(&format!("fault/{}", self.serial), probability))
        {
            return None;
        }
        self.applied += 1;
        Some(self.fault.kind.clone())
    }
}

impl FaultKind {
    /// The word for it in records.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::TimeoutBefore => "timeoutBefore",
            Self::TimeoutAfter => "timeoutAfter",
            Self::Disconnect => "disconnect",
            Self::Status { .. } => "status",
            Self::StatusAfter { .. } => "statusAfter",
            Self::Html { .. } => "html",
            Self::Error { .. } => "error",
            Self::Throttle { .. } => "throttle",
            Self::UnknownField { .. } => "unknownField",
            Self::UnknownEnum { .. } => "unknownEnum",
            Self::RefuseField { .. } => "refuseField",
            Self::RawBody { .. } => "rawBody",
            Self::TruncatedBody => "truncatedBody",
            Self::HugeBody { .. } => "hugeBody",
            Self::LateEffect { .. } => "lateEffect",
            Self::BrokenUpload { .. } => "brokenUpload",
            Self::DelayedEffect { .. } => "delayedEffect",
        }
    }
}

/// Adds keys to every object of a body.
pub(super) fn add_fields(body: &mut Value, fields: &Map<String, Value>) {
    match body {
        Value::Object(object) => {
            object.values_mut().for_each(|value| add_fields(value, fields));
            object.extend(fields.clone());
        }
        Value::Array(list) => list.iter_mut().for_each(|value| add_fields(value, fields)),
        _ => {}
    }
}

/// Replaces a field wherever it is in a body.
pub(super) fn replace_field(body: &mut Value, field: &str, with: &Value) {
    match body {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                if key == field {
                    *value = with.clone();
                } else {
                    replace_field(value, field, with);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| replace_field(value, field, with)),
        _ => {}
    }
}
