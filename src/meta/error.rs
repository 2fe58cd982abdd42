//! What Meta refuses and why: the error envelope in every shape, and one table of codes.
//!
//! Nothing else in the program knows what a code means, except the few places where the
//! contract names one. The table is also the source of `docs/errors.md`.

use std::{fmt::Write, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::wire;
use crate::engine::failure::{Class, Refusal, Scope};

/// A call of the port, as far as codes, budgets and counters tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    DebugToken,
    Business,
    OwnedAccounts,
    ClientAccounts,
    Account,
    Numbers,
    SubscribedApps,
    Profile,
    AddNumber,
    RequestCode,
    VerifyCode,
    SubmitName,
    SetPin,
    Register,
    Subscribe,
    RouteWebhook,
    WriteProfile,
}

impl Edge {
    /// Every edge, reads first.
    pub const ALL: [Self; 17] = [
        Self::DebugToken,
        Self::Business,
        Self::OwnedAccounts,
        Self::ClientAccounts,
        Self::Account,
        Self::Numbers,
        Self::SubscribedApps,
        Self::Profile,
        Self::AddNumber,
        Self::RequestCode,
        Self::VerifyCode,
        Self::SubmitName,
        Self::SetPin,
        Self::Register,
        Self::Subscribe,
        Self::RouteWebhook,
        Self::WriteProfile,
    ];

    /// Its name in logs, counters and the reference.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DebugToken => "debug_token",
            Self::Business => "business",
            Self::OwnedAccounts => "owned_accounts",
            Self::ClientAccounts => "client_accounts",
            Self::Account => "account",
            Self::Numbers => "numbers",
            Self::SubscribedApps => "subscribed_apps",
            Self::Profile => "profile",
            Self::AddNumber => "add_number",
            Self::RequestCode => "request_code",
            Self::VerifyCode => "verify_code",
            Self::SubmitName => "submit_name",
            Self::SetPin => "set_pin",
            Self::Register => "register",
            Self::Subscribe => "subscribe",
            Self::RouteWebhook => "route_webhook",
            Self::WriteProfile => "write_profile",
        }
    }

    /// Whether the call changes something at Meta, and so must never be repeated by itself.
    pub fn is_write(self) -> bool {
        matches!(
            self,
            Self::AddNumber
                | Self::RequestCode
                | Self::VerifyCode
                | Self::SubmitName
                | Self::SetPin
                | Self::Register
                | Self::Subscribe
                | Self::RouteWebhook
                | Self::WriteProfile
        )
    }
}

/// What a row of the table matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// This code with this subcode.
    Exact(i64, i64),
    /// This number in either place: Meta gives large ones as code or as subcode.
    Number(i64),
    /// A range of such numbers.
    Numbers(i64, i64),
    /// This code with any subcode.
    Code(i64),
    /// A family of codes.
    Family(i64, i64),
}

impl Key {
    /// How exactly the key matches, if it does.
    fn rank(self, code: i64, subcode: Option<i64>) -> Option<u8> {
        let either = |test: &dyn Fn(i64) -> bool| test(code) || subcode.is_some_and(test);
        match self {
            Self::Exact(c, s) => (code == c && subcode == Some(s)).then_some(4),
            Self::Number(n) => either(&|x| x == n).then_some(3),
            Self::Numbers(from, to) => either(&|x| (from..=to).contains(&x)).then_some(2),
            Self::Code(c) => (code == c).then_some(1),
            Self::Family(from, to) => (from..=to).contains(&code).then_some(0),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Exact(code, subcode) => format!("{code} / {subcode}"),
            Self::Number(n) => format!("{n} (either place)"),
            Self::Numbers(from, to) => format!("{from} to {to} (either place)"),
            Self::Code(code) => code.to_string(),
            Self::Family(from, to) => format!("{from} to {to}"),
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
struct Entry {
    key: Key,
    /// Edges that the row is about; empty for all.
    edges: &'static [Edge],
    class: Class,
    scope: Scope,
    /// Wait that the page names, for when the answer itself gives no time.
    wait: Option<u64>,
    meaning: &'static str,
    source: &'static str,
}

impl Entry {
    const fn on(mut self, edges: &'static [Edge]) -> Self {
        self.edges = edges;
        self
    }

    const fn wait(mut self, seconds: u64) -> Self {
        self.wait = Some(seconds);
        self
    }
}

const fn row(key: Key, class: Class, scope: Scope, meaning: &'static str, source: &'static str) -> Entry {
    Entry { key, edges: &[], class, scope, wait: None, meaning, source }
}

/// What the table says about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub class: Class,
    pub scope: Scope,
    /// Wait that Meta's page names, if any.
    pub wait: Option<Duration>,
}

const ERRORS: &str = "Error codes";
const GRAPH: &str = "Graph API, Handle errors";
const TOKEN: &str = "Access tokens; Debug token";
const RATE: &str = "Graph API, Rate limits";
const REGISTRATION: &str = "Registration";
const NUMBERS: &str = "Business phone numbers";
const REFERENCE: &str = "reference page of the edge";
const OPENAPI: &str = "Meta's OpenAPI (samples)";
const FIELD: &str = "seen in the field";

const PORTFOLIO_EDGES: &[Edge] =
    &[Edge::Business, Edge::OwnedAccounts, Edge::ClientAccounts, Edge::DebugToken];
const NUMBER_EDGES: &[Edge] = &[
    Edge::Profile,
    Edge::RequestCode,
    Edge::VerifyCode,
    Edge::SubmitName,
    Edge::SetPin,
    Edge::Register,
    Edge::RouteWebhook,
    Edge::WriteProfile,
];
const READS: &[Edge] = &[
    Edge::DebugToken,
    Edge::Business,
    Edge::OwnedAccounts,
    Edge::ClientAccounts,
    Edge::Account,
    Edge::Numbers,
    Edge::SubscribedApps,
    Edge::Profile,
];
const PIN_EDGES: &[Edge] = &[Edge::Register, Edge::SetPin];

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

use Class::{AlreadyDone, Credentials, Person, Retry, Spec, WaitUntil};
use Key::{Code, Exact, Family, Number, Numbers};
use Scope::{Account, App, Call, Channel, Portfolio};

/// The table. Within it the most exact row wins, and a row for the edge wins over one for all.
const TABLE: &[Entry] = &[
    // Tokens and permissions.
    row(Code(0), Credentials, Portfolio, "The token's user could not be authenticated.", ERRORS),
    row(Code(102), Credentials, Portfolio, "The session behind the token is not valid.", GRAPH),
    row(
        Code(104),
        Credentials,
        Portfolio,
        "No token came along, or the proof made with the app secret is wrong.",
        GRAPH,
    ),
    row(Code(190), Credentials, Portfolio, "The token is not valid or has expired.", ERRORS),
    row(
        Exact(190, 458),
        Credentials,
        Portfolio,
        "The app is no longer installed for the token's user.",
        TOKEN,
    ),
    row(
        Exact(190, 459),
        Credentials,
        Portfolio,
        "The token's user has to pass a security check of Meta's.",
        TOKEN,
    ),
    row(Exact(190, 460), Credentials, Portfolio, "The password of the token's user was changed.", TOKEN),
    row(Exact(190, 463), Credentials, Portfolio, "The token has expired.", TOKEN),
    row(Exact(190, 464), Credentials, Portfolio, "The account of the token's user is not confirmed.", TOKEN),
    row(Exact(190, 467), Credentials, Portfolio, "The token was revoked.", TOKEN),
    row(
        Exact(190, 492),
        Credentials,
        Portfolio,
        "The token's user lost the role that the session needs.",
        TOKEN,
    ),
    row(Code(3), Credentials, App, "The app lacks the capability.", ERRORS),
    row(Code(10), Credentials, Account, "A permission is missing or was taken away.", ERRORS),
    row(Code(10), Credentials, Portfolio, "A permission on the portfolio is missing.", ERRORS)
        .on(PORTFOLIO_EDGES),
    row(Family(200, 299), Credentials, Account, "The token's user lacks a permission on the asset.", ERRORS),
    row(
        Family(200, 299),
        Credentials,
        Portfolio,
        "The token's user may not read the portfolio or list its accounts.",
        ERRORS,
    )
    .on(PORTFOLIO_EDGES),
    row(Exact(200, 1_349_174), Credentials, Account, "The token's user has no permission.", OPENAPI),
    row(Exact(200, 1_349_175), Credentials, Account, "The app is not linked to the account.", OPENAPI),
    row(Exact(200, 1_349_175), Person, Portfolio, "The portfolio may hold no further number.", OPENAPI)
        .on(&[Edge::AddNumber]),
    row(Exact(200, 1_349_176), Credentials, Account, "The token lacks a scope.", OPENAPI),
    row(Code(131_005), Credentials, Account, "Access denied.", ERRORS),
    // Throttles.
    row(Code(4), WaitUntil, App, "The app made too many calls.", RATE),
    row(Exact(4, 2_446_079), WaitUntil, App, "The app made too many calls.", OPENAPI),
    row(Exact(4, 2_446_080), WaitUntil, App, "The app made too many calls.", OPENAPI),
    row(Code(17), WaitUntil, App, "The token's user made too many calls.", RATE),
    row(Exact(17, 2_446_079), WaitUntil, App, "The token's user made too many calls.", OPENAPI),
    row(Code(32), WaitUntil, App, "Too many calls at page level.", RATE),
    row(Code(341), WaitUntil, App, "The app reached a temporary limit.", GRAPH),
    row(Code(613), WaitUntil, Account, "Too many calls of this kind.", RATE).wait(HOUR),
    row(Exact(613, 1996), WaitUntil, Account, "Too many calls of this kind in a short time.", RATE)
        .wait(HOUR),
    row(Code(80_007), WaitUntil, Account, "Too many calls for this account.", ERRORS),
    row(Exact(80_007, 2_446_079), WaitUntil, Account, "Too many calls for this account.", OPENAPI),
    row(Code(80_008), WaitUntil, Account, "Too many management calls for this account.", RATE),
    // Faults of Meta's.
    row(Code(1), Retry, Call, "Unknown: a malformed request or trouble at Meta's.", GRAPH),
    row(Code(2), Retry, Call, "The service is down for a short time.", GRAPH),
    row(Code(300), Retry, Call, "The change could not be made.", REFERENCE),
    row(Code(131_000), Retry, Call, "Something went wrong at Meta's.", ERRORS),
    row(Code(131_016), Retry, Call, "A service of Meta's is not available.", ERRORS),
    row(Code(133_004), Retry, Call, "The server is not available for a short time.", ERRORS),
    row(
        Code(131_057),
        WaitUntil,
        Channel,
        "The number is in maintenance, for example while its throughput is raised.",
        ERRORS,
    )
    .wait(2 * MINUTE),
    row(Number(2_494_100), WaitUntil, Channel, "The number is in maintenance.", FIELD).wait(5 * MINUTE),
    row(Code(131_059), Retry, Call, "The paging cursor is not valid: the list starts over.", ERRORS),
    // Objects and parameters.
    row(Code(33), Person, Channel, "The number or account was deleted, or is hidden from the token.", ERRORS),
    row(Code(803), Person, Channel, "No such object, or hidden from the token.", OPENAPI),
    row(Code(803), Person, Portfolio, "No such portfolio, or hidden from the token.", OPENAPI)
        .on(PORTFOLIO_EDGES),
    row(
        Exact(100, 33),
        Person,
        Account,
        "No such object, or hidden from the token: no proof of deletion.",
        GRAPH,
    ),
    row(
        Exact(100, 33),
        Person,
        Portfolio,
        "No such portfolio, or hidden from the token: no proof of deletion.",
        GRAPH,
    )
    .on(PORTFOLIO_EDGES),
    row(
        Exact(100, 33),
        Person,
        Channel,
        "No such number, or hidden from the token: no proof of deletion.",
        GRAPH,
    )
    .on(NUMBER_EDGES),
    row(Code(100), Spec, Channel, "A value is not accepted.", ERRORS),
    row(Code(100), Spec, Call, "The read asks for something that Meta does not know.", ERRORS).on(READS),
    row(Code(131_008), Spec, Call, "A required value is missing.", ERRORS),
    row(Code(131_009), Spec, Channel, "A value is not accepted.", ERRORS),
    row(
        Code(135_000),
        Spec,
        Channel,
        "The request was refused without a reason; usually a value is not accepted.",
        ERRORS,
    ),
    row(Code(506), AlreadyDone, Call, "The same write was made a moment ago.", GRAPH),
    row(Number(1_675_030), Person, Call, "The query could not be carried out.", OPENAPI),
    row(Number(2_207_013), Person, Call, "Not described by Meta.", OPENAPI),
    row(Number(2_207_051), AlreadyDone, Call, "The number is not registered.", OPENAPI),
    row(
        Code(2200),
        Person,
        Channel,
        "The webhook's address did not answer Meta's handshake.",
        "Webhooks, Getting started",
    ),
    row(
        Code(2201),
        Person,
        Channel,
        "The webhook's address answered Meta's handshake with another text.",
        "Webhooks, Getting started",
    ),
    // Adding a number.
    row(Number(200_000), Person, Account, "The number cannot be added to the account.", REFERENCE),
    row(
        Number(2_388_001),
        WaitUntil,
        Channel,
        "The certificate cannot be made: the name is not processed yet, or the number is in use elsewhere.",
        FIELD,
    )
    .wait(HOUR),
    row(
        Number(2_388_001),
        Person,
        Channel,
        "The certificate cannot be made: the number is in use elsewhere, or the name cannot be used.",
        FIELD,
    )
    .on(&[Edge::AddNumber]),
    row(Number(2_388_004), WaitUntil, Channel, "The code could not be sent now.", FIELD).wait(HOUR),
    row(Number(2_388_012), AlreadyDone, Channel, "The number is in the account's list already.", ERRORS),
    row(Number(2_388_091), Person, Channel, "The number cannot receive a code in its present state.", ERRORS),
    row(Number(2_388_093), Person, Channel, "The number cannot be verified in its present state.", ERRORS),
    row(Number(2_388_103), Person, Channel, "The number cannot be moved here.", ERRORS),
    row(
        Numbers(2_388_000, 2_388_999),
        Person,
        Channel,
        "Not described by Meta; the text for people says more.",
        FIELD,
    ),
    // Verification and registration.
    row(
        Number(136_024),
        WaitUntil,
        Channel,
        "The code was not requested: verified already, too many requests, or not deliverable.",
        REFERENCE,
    )
    .wait(HOUR),
    row(
        Number(136_025),
        Person,
        Channel,
        "The code was not accepted: wrong, lapsed, or too many tries.",
        REFERENCE,
    ),
    row(
        Code(133_000),
        Person,
        Channel,
        "An earlier deregistration is incomplete: deregister again, then register.",
        ERRORS,
    ),
    row(Code(133_005), Person, Channel, "The two-step PIN is not the number's PIN.", ERRORS),
    row(Code(133_006), Person, Channel, "The number has to be verified before it can be registered.", ERRORS),
    // Meta names the wait in `details`; twelve hours is what is reported when it does not.
    row(Code(133_008), WaitUntil, Channel, "Too many wrong PINs.", ERRORS).wait(12 * HOUR),
    row(Code(133_009), WaitUntil, Channel, "PINs came too quickly.", ERRORS).wait(5 * MINUTE),
    row(Code(133_010), WaitUntil, Channel, "The number is not registered.", ERRORS),
    row(Code(133_012), Person, Channel, "Not described by Meta.", FIELD),
    row(Code(133_015), WaitUntil, Channel, "The number was deleted a moment ago.", ERRORS).wait(5 * MINUTE),
    row(Code(133_016), WaitUntil, Channel, "Registered or deregistered ten times in 72 hours.", REGISTRATION)
        .wait(72 * HOUR),
    row(Code(131_031), Person, Account, "The account is locked.", ERRORS),
    row(Code(131_031), Person, Channel, "The account is locked, or the PIN is not the number's PIN.", ERRORS)
        .on(PIN_EDGES),
    row(Code(131_037), WaitUntil, Channel, "The number needs an approved display name first.", ERRORS),
    row(
        Code(131_045),
        Person,
        Channel,
        "The number is not registered correctly: it has to be registered again.",
        ERRORS,
    ),
    row(Number(2_655_121), Person, Channel, "Not described by Meta.", FIELD),
    // Accounts, payment, integrity.
    row(Code(368), Person, Account, "The account is restricted or disabled for a breach of policy.", ERRORS),
    row(Code(130_497), Person, Account, "The account may not message people in some countries.", ERRORS),
    row(Code(131_042), Person, Account, "The account has a payment problem.", ERRORS),
    row(Code(131_044), Person, Account, "The account has a payment problem with calls.", ERRORS),
    row(Code(134_011), Person, Account, "The terms of WhatsApp Payments are not accepted.", ERRORS),
    row(Code(139_000), Person, Account, "Meta does not trust the account yet.", FIELD),
    row(Code(139_001), Person, Account, "Meta does not trust the account yet.", FIELD),
    row(Number(1_752_041), AlreadyDone, Account, "The account takes part in the programme already.", ERRORS),
    row(Number(2_593_079), Person, Account, "A remainder of a partner's old access: Meta's support.", ERRORS),
    row(Number(2_593_085), Person, Account, "A remainder of a partner's old access: Meta's support.", ERRORS),
    // Numbers that stay in the WhatsApp Business app.
    row(Code(131_060), Person, Call, "A message cannot be shown by this platform.", ERRORS),
    row(Number(2_593_107), AlreadyDone, Channel, "The synchronisation was asked for already.", ERRORS),
    row(Number(2_593_108), Person, Channel, "The 24 hours for the synchronisation have passed.", ERRORS),
    row(Number(2_593_109), Person, Channel, "The user does not share the history.", ERRORS),
    // User names.
    row(Code(147_001), Spec, Channel, "The user name is not available.", ERRORS),
    row(Code(147_002), Person, Channel, "The messaging limit is too low for a user name.", ERRORS),
    row(Code(147_003), Person, Channel, "A Facebook page has to be linked for the user name.", ERRORS),
    row(Code(147_004), Person, Channel, "An Instagram account has to be linked for the user name.", ERRORS),
    row(Code(147_005), Spec, Channel, "Another number of the portfolio has the user name.", ERRORS),
    // Health reasons.
    row(Code(138_000), WaitUntil, Channel, "Calling is not enabled.", ERRORS),
    row(Code(138_018), WaitUntil, Channel, "Calling cannot be enabled yet.", ERRORS),
    row(Code(138_024), Person, Call, "SIP is not enabled.", "Messaging and calling health status"),
    row(Code(138_025), Person, Call, "SIP is not configured.", "Messaging and calling health status"),
    row(
        Family(141_000, 141_010),
        Person,
        Account,
        "A reason why messages cannot be sent.",
        "Messaging and calling health status",
    ),
    row(Code(141_002), Person, Call, "A template is not approved.", "Messaging and calling health status"),
    row(
        Code(141_006),
        Person,
        Account,
        "There is no valid way to pay.",
        "Messaging and calling health status",
    ),
    row(
        Code(141_010),
        Person,
        Account,
        "A limit of the account or portfolio.",
        "Messaging and calling health status",
    ),
    row(
        Family(141_011, 141_999),
        Person,
        Account,
        "A reason why messages cannot be sent.",
        "Messaging and calling health status",
    ),
    // Messages, templates, calls: recognised, and never expected here.
    row(Code(130_403), Person, Call, "Messages only: sending was refused.", ERRORS),
    row(Code(130_429), WaitUntil, Channel, "Messages only: throughput.", ERRORS),
    row(Code(130_472), Person, Call, "Messages only: the user takes part in an experiment.", ERRORS),
    row(Code(131_021), Person, Call, "Messages only: sender and recipient are the same.", ERRORS),
    row(Code(131_026), Person, Call, "Messages only: not deliverable.", ERRORS),
    row(Family(131_047, 131_053), Person, Call, "Messages only.", ERRORS),
    row(Code(131_055), Person, Call, "Messages only: not allowed.", ERRORS),
    row(Code(131_056), WaitUntil, Call, "Messages only: too many to one recipient.", ERRORS),
    row(Code(131_063), Person, Call, "Messages only: templates.", ERRORS),
    row(Code(131_064), Person, Call, "Messages only: template limits.", ERRORS),
    row(Family(132_000, 132_999), Person, Call, "Templates and flows only.", ERRORS),
    row(Family(134_100, 134_102), Person, Call, "Messages only: marketing messages.", ERRORS),
    row(Code(137_000), Person, Call, "Messages only: the identity hash does not match.", ERRORS),
    row(Family(138_001, 138_999), Person, Call, "Calls only.", ERRORS),
    row(Code(139_100), Person, Call, "Block list: some users could not be blocked.", "Block users"),
    row(Code(139_101), Person, Call, "Block list: full.", "Block users"),
    row(Code(139_102), Retry, Call, "Block list: changed by another call.", "Block users"),
    row(Code(139_103), Retry, Call, "Block list: fault of Meta's.", "Block users"),
    row(Family(200_005, 200_007), Person, Call, "Templates only.", ERRORS),
    row(Numbers(2_018_000, 2_018_999), Person, Call, "Messenger only.", OPENAPI),
    // Numbers that are listed above with their code, when they come alone.
    row(Number(2_446_079), WaitUntil, Account, "Too many calls.", OPENAPI),
    row(Number(2_446_080), WaitUntil, App, "Too many calls.", OPENAPI),
    row(Number(1_349_174), Credentials, Account, "No permission.", OPENAPI),
    row(Number(1_349_176), Credentials, Account, "The token lacks a scope.", NUMBERS),
];

/// Looks an error up: code with subcode first, then a number in either place, then the code,
/// then the family; a row for the edge beats one for all.
///
/// `is_transient` makes a retry of everything that is not a known wait, a credential or done
/// already. What the table does not know is a retry after a 5xx and else a person's matter:
/// guessing costs more than asking.
pub fn verdict(edge: Edge, code: i64, subcode: Option<i64>, is_transient: bool, http: u16) -> Verdict {
    let found = TABLE
        .iter()
        .filter(|entry| entry.edges.is_empty() || entry.edges.contains(&edge))
        .filter_map(|entry| Some(((entry.key.rank(code, subcode)?, !entry.edges.is_empty()), entry)))
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, entry)| entry);
    let (class, scope, wait) = match found {
        Some(entry) => (entry.class, entry.scope, entry.wait.map(Duration::from_secs)),
        None if http >= 500 => (Retry, Call, None),
        None if matches!(http, 401 | 403) => (Credentials, Account, None),
        None => (Person, Channel, None),
    };
    let class = match class {
        Person | Spec if is_transient => Retry,
        class => class,
    };
    Verdict { class, scope, wait }
}

/// Whether an error says that too many calls were made, so that the next ones have to wait too.
pub fn is_throttle(code: i64, subcode: Option<i64>) -> bool {
    matches!(code, 4 | 17 | 32 | 341 | 613 | 80_007 | 80_008)
        || [Some(code), subcode].into_iter().flatten().any(|n| matches!(n, 2_446_079 | 2_446_080))
}

/// Meta's error envelope as it came.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Envelope {
    pub code: i64,
    pub subcode: Option<i64>,
    pub message: String,
    pub title: Option<String>,
    pub user_message: Option<String>,
    pub details: Option<String>,
    pub trace_id: Option<String>,
    pub is_transient: bool,
}

impl Envelope {
    /// Reads the envelope of an answer: `{"error": {...}}` in every shape.
    ///
    /// `Ok(None)` when there is none; `Err` with what it says when it has no code, which is
    /// then no answer that anything may be concluded from.
    pub fn of(answer: &Value) -> Result<Option<Self>, String> {
        match answer.get("error") {
            None | Some(Value::Null) => Ok(None),
            Some(error) => Self::from_error(error).map(Some),
        }
    }

    /// Reads the object under `error`, also where it stands inside `debug_token`'s data.
    pub fn from_error(error: &Value) -> Result<Self, String> {
        if let Value::String(text) = error {
            return Err(text.clone());
        }
        let data = error.get("error_data").map(|data| match data {
            Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| data.clone()),
            other => other.clone(),
        });
        let details = match &data {
            Some(Value::String(text)) => Some(text.clone()),
            Some(data) => wire::text(data, "details"),
            None => None,
        };
        let message = wire::text(error, "message").unwrap_or_default();
        let subcode = wire::integer(error, "error_subcode").or_else(|| wire::integer(error, "subcode"));
        let Some(code) = wire::integer(error, "code").or(subcode) else {
            return Err(message);
        };
        Ok(Self {
            code,
            subcode: subcode.filter(|subcode| *subcode != 0 && *subcode != code),
            message,
            title: wire::text(error, "error_user_title"),
            user_message: wire::text(error, "error_user_msg"),
            details,
            trace_id: wire::text(error, "fbtrace_id"),
            is_transient: wire::truth(error, "is_transient") == Some(true),
        })
    }

    /// Takes a secret of ours out of every text.
    pub fn hide(&mut self, secret: &str) {
        let texts = [
            Some(&mut self.message),
            self.title.as_mut(),
            self.user_message.as_mut(),
            self.details.as_mut(),
            self.trace_id.as_mut(),
        ];
        texts.into_iter().flatten().for_each(|text| hide(text, secret));
    }

    /// The field that the node does not have, when that is what the message says.
    ///
    /// The one place where a message is read: Meta names the field nowhere else.
    pub fn nonexisting_field(&self) -> Option<&str> {
        if self.code != 100 {
            return None;
        }
        let at = find_ignoring_case(&self.message, "nonexisting field")?;
        let rest = &self.message[at..];
        let open = rest.find('(')? + 1;
        let close = open + rest[open..].find(')')?;
        Some(rest[open..close].trim()).filter(|name| !name.is_empty())
    }

    /// Classifies, redacts and bounds it. `until` is what the headers of the answer said: they speak of the calls of
    /// an app or an account, and so end a throttle, and never a lock of a number.
    pub fn refusal(self, edge: Edge, http: u16, until: Option<Timestamp>, now: Timestamp) -> Refusal {
        let mut verdict = verdict(edge, self.code, self.subcode, self.is_transient, http);
        // A wrong proof comes as a plain 100, and the message is all that tells it apart.
        if self.code == 100 && find_ignoring_case(&self.message, "appsecret_proof").is_some() {
            verdict = Verdict { class: Class::Credentials, scope: Scope::Portfolio, wait: None };
        }
        let said = until
            .filter(|_| is_throttle(self.code, self.subcode))
            .or_else(|| Some(after(now, wait_in(self.details.as_deref()?)?)));
        let until = (verdict.class == Class::WaitUntil)
            .then(|| said.or_else(|| verdict.wait.map(|wait| after(now, wait))))
            .flatten();
        let known = [Some(self.code), self.subcode];
        let known: Vec<i64> = known.into_iter().flatten().collect();
        let best = [self.user_message, self.details, Some(self.message)];
        let best = best.into_iter().flatten().find(|text| !text.trim().is_empty()).unwrap_or_default();
        Refusal {
            code: self.code,
            subcode: self.subcode,
            title: self.title.filter(|title| !title.trim().is_empty()).map(|title| redact(&title, &known)),
            message: redact(&best, &known),
            trace_id: self.trace_id.map(|id| id.chars().filter(|c| c.is_ascii_graphic()).take(64).collect()),
            class: verdict.class,
            scope: verdict.scope,
            until,
        }
    }
}

fn find_ignoring_case(text: &str, what: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(what)
}

/// A time this much later, or the end of time.
pub(crate) fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// The first wait that a sentence names in English: "after 30 minutes", "in 12 hours".
fn wait_in(details: &str) -> Option<Duration> {
    let words: Vec<&str> = details.split_whitespace().collect();
    words.windows(2).find_map(|pair| {
        let count: u64 = pair[0].parse().ok()?;
        let unit = pair[1].trim_matches(|c: char| !c.is_alphabetic()).to_ascii_lowercase();
        let seconds = match unit.as_str() {
            "second" | "seconds" => 1,
            "minute" | "minutes" => MINUTE,
            "hour" | "hours" => HOUR,
            "day" | "days" => 24 * HOUR,
            _ => return None,
        };
        // More than a week is no wait that we would believe.
        count.checked_mul(seconds).filter(|s| (1..=7 * 24 * HOUR).contains(s)).map(Duration::from_secs)
    })
}

/// Most characters of a text of Meta's that are kept.
const MOST_CHARACTERS: usize = 300;

/// Makes a text of Meta's fit to be shown: no tokens, nothing that may be a PIN or a code,
/// no control characters, and bounded.
///
/// Six digits that stand alone, or as 123-456, may be a PIN or a code; longer runs are numbers
/// and ids. `known` are the codes of the same error, which may stay.
pub fn redact(text: &str, known: &[i64]) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut out = String::with_capacity(clean.len());
    let mut rest = clean.as_str();
    while let Some(c) = rest.chars().next() {
        let word = match out.chars().next_back() {
            Some(before) if before.is_ascii_alphanumeric() => "",
            _ => rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or(""),
        };
        let taken = if is_token(word) {
            out.push_str(REDACTED);
            word.len()
        } else if c.is_ascii_digit() {
            let (run, groups) = digit_run(rest);
            out.push_str(if may_be_secret(&groups, known) { REDACTED } else { &rest[..run] });
            run
        } else {
            out.push(c);
            c.len_utf8()
        };
        rest = &rest[taken..];
    }
    let out = out.trim();
    match out.char_indices().nth(MOST_CHARACTERS) {
        None => out.to_owned(),
        Some((at, _)) => format!("{}…", out[..at].trim_end()),
    }
}

const REDACTED: &str = "[redacted]";

/// Takes a secret of ours out of a text; one that short says nothing, and would tear words apart.
pub fn hide(text: &mut String, secret: &str) {
    if secret.len() >= 4 && text.contains(secret) {
        *text = text.replace(secret, REDACTED);
    }
}

/// Groups of digits with a single space, hyphen or dot between them: length of the text, and the groups.
fn digit_run(text: &str) -> (usize, Vec<&str>) {
    let bytes = text.as_bytes();
    let (mut groups, mut start, mut at) = (Vec::new(), 0, 0);
    while let Some(b) = bytes.get(at) {
        if b.is_ascii_digit() {
            at += 1;
        } else if matches!(b, b' ' | b'-' | b'.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
            groups.push(&text[start..at]);
            at += 1;
            start = at;
        } else {
            break;
        }
    }
    groups.push(&text[start..at]);
    (at, groups)
}

/// Whether a run holds six digits that stand together, or is six digits in all.
fn may_be_secret(groups: &[&str], known: &[i64]) -> bool {
    let is_known = |group: &str| known.iter().any(|k| k.to_string() == group);
    groups.iter().any(|group| group.len() == 6 && !is_known(group))
        || (groups.len() > 1 && groups.iter().map(|group| group.len()).sum::<usize>() == 6)
}

/// Whether a word looks like a token: Meta's begin with EAA; nothing else that long is for people.
fn is_token(word: &str) -> bool {
    let is_number = word.bytes().all(|b| b.is_ascii_digit());
    (word.starts_with("EAA") && word.len() > 12) || (word.len() >= 32 && !is_number)
}

/// What the table says about an error, for whoever looks a code up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Calls that the row is about; empty for all.
    pub edges: &'static [Edge],
    pub class: Class,
    pub scope: Scope,
    pub meaning: &'static str,
}

/// Every row that speaks of this error, the most exact first. Without a subcode every row of the code is given.
pub fn meanings(code: i64, subcode: Option<i64>) -> Vec<Meaning> {
    let mut found: Vec<(u8, &Entry)> = TABLE
        .iter()
        .filter_map(|entry| {
            let rank = match (entry.key, subcode) {
                (Key::Exact(of, _), None) => (of == code).then_some(0),
                (key, subcode) => key.rank(code, subcode),
            };
            Some((rank?, entry))
        })
        .collect();
    found.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    found
        .into_iter()
        .map(|(_, entry)| Meaning {
            edges: entry.edges,
            class: entry.class,
            scope: entry.scope,
            meaning: entry.meaning,
        })
        .collect()
}

/// The reference of errors: `docs/errors.md`.
pub fn reference() -> String {
    let mut out = String::from(
        "<!-- Generated from the table in src/meta/error.rs: make gen -->\n\n\
         # Errors of Meta's\n\n\
         What the operator makes of every code and subcode. The most exact row wins: a code with its subcode, then a \
         number that may come as code or as subcode, then the code, then the family; a row for a call beats one for \
         all calls.\n\n\
         The **class** says what an error asks for: *retry* says nothing about the request and is tried again later; \
         *wait* has a known end; *person* needs somebody to act; *spec* needs another value; *credentials* needs another \
         token, permission or app secret; *done* means that what was asked for already holds. The **scope** says how far \
         it reaches. An error marked `is_transient` is a *retry*, unless its class is *wait*, *credentials* or *done*. A code \
         that is not listed is a *retry* with HTTP 5xx, *credentials* with 401 or 403, and else a matter for a *person*.\n\n\
         The source is the Meta page that names the code; waits in brackets hold when the answer names no time.\n\n\
         | Code / subcode | Calls | Class | Scope | Meaning | Source |\n|---|---|---|---|---|---|\n",
    );
    for entry in TABLE {
        let edges = match entry.edges {
            [] => "all".to_owned(),
            edges => edges.iter().map(|edge| edge.as_str()).collect::<Vec<_>>().join(", "),
        };
        let class = match entry.class {
            Retry => "retry",
            WaitUntil => "wait",
            Person => "person",
            Spec => "spec",
            Credentials => "credentials",
            AlreadyDone => "done",
        };
        let scope = match entry.scope {
            Call => "call",
            Channel => "channel",
            Account => "account",
            Portfolio => "portfolio",
            App => "app",
        };
        let wait = match entry.wait {
            None => String::new(),
            Some(seconds) if seconds % HOUR == 0 => format!(" ({} h)", seconds / HOUR),
            Some(seconds) => format!(" ({} min)", seconds / MINUTE),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "| {} | {edges} | {class}{wait} | {scope} | {} | {} |",
            entry.key.text(),
            entry.meaning,
            entry.source
        );
    }
    out
}

#[cfg(test)]
mod tests;
