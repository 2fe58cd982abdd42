//! The table of Meta's codes: what each asks for and how far it reaches.
//!
//! Nothing else in the program knows what a code means, except the few places where the
//! contract names one. The table is also the source of `docs/errors.md`.

use std::time::Duration;

use super::edge::{About, Edge};
use crate::engine::failure::{Class, Said, Scope};

/// What a row of the table matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
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

    pub(super) fn text(self) -> String {
        match self {
            Self::Exact(code, subcode) => format!("{code} / {subcode}"),
            Self::Number(n) => format!("{n} (either place)"),
            Self::Numbers(from, to) => format!("{from} to {to} (either place)"),
            Self::Code(code) => code.to_string(),
            Self::Family(from, to) => format!("{from} to {to}"),
        }
    }
}

/// The calls that a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    All,
    /// Those about a portfolio or its credential.
    Portfolio,
    /// Those about a number.
    Number,
    Reads,
    These(&'static [Edge]),
}

impl Calls {
    /// Whether it is among them.
    pub fn contain(self, edge: Edge) -> bool {
        match self {
            Self::All => true,
            Self::Portfolio => edge.about() == About::Portfolio,
            Self::Number => edge.about() == About::Number,
            Self::Reads => !edge.is_write(),
            Self::These(edges) => edges.contains(&edge),
        }
    }

    /// Their names, unless they are all.
    pub fn names(self) -> Option<String> {
        let edges = || Edge::ALL.into_iter().filter(|edge| self.contain(*edge)).map(Edge::as_str);
        (self != Self::All).then(|| edges().collect::<Vec<_>>().join(", "))
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) calls: Calls,
    pub(super) class: Class,
    pub(super) scope: Scope,
    /// Wait that the page names, for when the answer itself gives no time.
    pub(super) wait: Option<u64>,
    pub(super) meaning: &'static str,
    pub(super) source: &'static str,
}

impl Entry {
    const fn on(mut self, calls: Calls) -> Self {
        self.calls = calls;
        self
    }

    const fn wait(mut self, seconds: u64) -> Self {
        self.wait = Some(seconds);
        self
    }
}

const fn row(key: Key, class: Class, scope: Scope, meaning: &'static str, source: &'static str) -> Entry {
    Entry { key, calls: Calls::All, class, scope, wait: None, meaning, source }
}

/// What the table says about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub class: Class,
    pub scope: Scope,
    /// Wait that Meta's page names, if any.
    pub wait: Option<Duration>,
}

impl Verdict {
    /// The same, where the words name a time at which it ends.
    pub(super) fn until_then(self) -> Self {
        Self { class: Class::WaitUntil, ..self }
    }
}

/// What a wrong proof means. It comes as a plain 100, and the message is all that tells it apart.
pub(super) const WRONG_PROOF: Verdict =
    Verdict { class: Class::Credentials, scope: Scope::Portfolio, wait: None };

const ERRORS: &str = "Error codes";
const GRAPH: &str = "Graph API, Handle errors";
const TOKEN: &str = "Access tokens; Debug token";
const RATE: &str = "Graph API, Rate limits";
const REGISTRATION: &str = "Registration";
const NUMBERS: &str = "Business phone numbers";
const REFERENCE: &str = "reference page of the edge";
const OPENAPI: &str = "Meta's OpenAPI (samples)";
const ONBOARDING: &str = "Onboarding WhatsApp Business app users";
const USERNAMES: &str = "Business usernames";
const FIELD: &str = "seen in the field";

const PIN_CALLS: Calls = Calls::These(&[Edge::Register, Edge::SetPin]);
const DEREGISTERING: Calls = Calls::These(&[Edge::Deregister]);
const SYNCING: Calls = Calls::These(&[Edge::StartSync]);
const CLAIMING: Calls = Calls::These(&[Edge::ClaimUsername]);
const ADDING: Calls = Calls::These(&[Edge::AddNumber]);

pub(super) const MINUTE: u64 = 60;
pub(super) const HOUR: u64 = 60 * MINUTE;

use Class::{AlreadyDone, Credentials, Person, Retry, Spec, WaitUntil};
use Key::{Code, Exact, Family, Number, Numbers};
use Scope::{Account, App, Call, Channel, Portfolio};

/// The table. Within it the most exact row wins, and a row for the edge wins over one for all.
pub(super) const TABLE: &[Entry] = &[
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
        .on(Calls::Portfolio),
    row(Family(200, 299), Credentials, Account, "The token's user lacks a permission on the asset.", ERRORS),
    row(
        Family(200, 299),
        Credentials,
        Portfolio,
        "The token's user may not read the portfolio or list its accounts.",
        ERRORS,
    )
    .on(Calls::Portfolio),
    row(Exact(200, 1_349_174), Credentials, Account, "The token's user has no permission.", OPENAPI),
    row(Exact(200, 1_349_175), Credentials, Account, "The app is not linked to the account.", OPENAPI),
    row(Exact(200, 1_349_175), Person, Portfolio, "The portfolio may hold no further number.", OPENAPI)
        .on(ADDING),
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
    row(Number(2_593_107), AlreadyDone, Call, "The sync was asked for before.", ONBOARDING).on(SYNCING),
    row(
        Number(2_593_108),
        Spec,
        Call,
        "A sync can be asked for within 24 hours of the onboarding only.",
        ONBOARDING,
    )
    .on(SYNCING),
    row(Number(2_494_100), WaitUntil, Channel, "The number is in maintenance.", FIELD).wait(5 * MINUTE),
    row(Code(131_059), Retry, Call, "The paging cursor is not valid: the list starts over.", ERRORS),
    // Objects and parameters.
    row(Code(33), Person, Channel, "The number or account was deleted, or is hidden from the token.", ERRORS),
    row(Code(803), Person, Channel, "No such object, or hidden from the token.", OPENAPI),
    row(Code(803), Person, Portfolio, "No such portfolio, or hidden from the token.", OPENAPI)
        .on(Calls::Portfolio),
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
    .on(Calls::Portfolio),
    row(
        Exact(100, 33),
        Person,
        Channel,
        "No such number, or hidden from the token: no proof of deletion.",
        GRAPH,
    )
    .on(Calls::Number),
    row(Code(100), Spec, Channel, "A value is not accepted.", ERRORS),
    row(Code(100), Spec, Call, "The read asks for something that Meta does not know.", ERRORS)
        .on(Calls::Reads),
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
    row(
        Exact(200_000, 3_095_008),
        Person,
        Account,
        "The account takes no number by a call, for example one of the WhatsApp Business app.",
        FIELD,
    ),
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
    .on(ADDING),
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
    // Usernames.
    row(Code(147_001), Spec, Channel, "The username is not available.", USERNAMES).on(CLAIMING),
    row(Code(147_002), Person, Channel, "The username needs a higher messaging limit.", USERNAMES)
        .on(CLAIMING),
    row(Code(147_003), Person, Channel, "The Facebook Page with the username is not linked.", USERNAMES)
        .on(CLAIMING),
    row(Code(147_004), Person, Channel, "The Instagram account with the username is not linked.", USERNAMES)
        .on(CLAIMING),
    row(Code(147_005), Spec, Channel, "Another number of the business has the username.", USERNAMES)
        .on(CLAIMING),
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
        "The code was not accepted: wrong, expired, or too many tries.",
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
    row(Code(133_010), AlreadyDone, Call, "The number is not registered.", OPENAPI).on(DEREGISTERING),
    row(Code(133_012), Person, Channel, "Not described by Meta.", FIELD),
    row(Code(133_015), WaitUntil, Channel, "The number was deleted a moment ago.", ERRORS).wait(5 * MINUTE),
    row(Code(133_016), WaitUntil, Channel, "Registered or deregistered ten times in 72 hours.", REGISTRATION)
        .wait(72 * HOUR),
    row(Code(131_031), Person, Account, "The account is locked.", ERRORS),
    row(Code(131_031), Person, Channel, "The account is locked, or the PIN is not the number's PIN.", ERRORS)
        .on(PIN_CALLS),
    row(Code(131_037), WaitUntil, Channel, "The number needs an approved display name first.", ERRORS),
    row(
        Code(131_045),
        Person,
        Channel,
        "The number is not registered correctly: it has to be registered again.",
        ERRORS,
    ),
    row(Number(2_655_093), Person, Channel, "Another partner is still connected to the number.", FIELD),
    row(Number(2_655_094), Person, Channel, "Another partner is still connected to the number.", FIELD),
    row(
        Number(2_655_121),
        Person,
        Channel,
        "Not described by Meta; perhaps another partner is connected.",
        FIELD,
    ),
    row(
        Number(2_655_122),
        Person,
        Channel,
        "Not described by Meta; perhaps another partner is connected.",
        FIELD,
    ),
    row(Number(3_441_041), Person, Channel, "The number is in another account.", FIELD),
    row(Number(3_441_042), Person, Channel, "The app on the phone is not verified.", FIELD),
    row(Number(3_441_045), Person, Channel, "The app on the phone is too old.", FIELD),
    row(Number(3_441_049), Person, Channel, "Another partner is still connected to the number.", FIELD),
    row(Number(4_563_015), Person, Channel, "The app on the phone is too old.", FIELD),
    row(Exact(100, 36_007), Person, Channel, "The code of the sign-up has expired.", FIELD),
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

/// The texts of an error: the one in English for developers, and the one in the language of the token's user for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    ForDevelopers,
    ForPeople,
}

impl Text {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ForDevelopers => "message",
            Self::ForPeople => "error_user_msg",
        }
    }
}

/// A sentence that says what its code does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sentence {
    /// The code that it comes with, and the subcode.
    pub(super) code: i64,
    pub(super) subcode: Option<i64>,
    /// Which of the texts it is.
    pub(super) text: Text,
    /// A part of it, in lower case.
    pub(super) part: &'static str,
    pub(super) said: Said,
    /// What it makes of its code, if not what the table says.
    class: Option<(Class, Scope)>,
    pub(super) meaning: &'static str,
    pub(super) source: &'static str,
}

/// The sentences that were recorded from live answers. Every other one is shown and nothing is concluded from it.
pub(super) const SENTENCES: &[Sentence] = &[
    Sentence {
        code: 200,
        subcode: None,
        text: Text::ForDevelopers,
        part: "api access blocked",
        said: Said::AppBlocked,
        class: Some((WaitUntil, App)),
        meaning: "Meta keeps the app from calling. A person finds out why in the app's dashboard; Meta releases it.",
        source: "recorded from live answers, 2026",
    },
    Sentence {
        code: 200,
        subcode: None,
        text: Text::ForDevelopers,
        part: "must accept",
        said: Said::TermsNotAccepted,
        class: Some((Person, Account)),
        meaning: "The business has to accept the Cloud API terms, which no call can do.",
        source: "recorded from a live answer, May 2026",
    },
    Sentence {
        code: 100,
        subcode: None,
        text: Text::ForDevelopers,
        part: "not available for smb businesses",
        said: Said::BusinessAppNumber,
        class: Some((Person, Channel)),
        meaning: "The number is one of the WhatsApp Business app: no call registers it.",
        source: "recorded from live answers, May to August 2026",
    },
    Sentence {
        code: 100,
        subcode: None,
        text: Text::ForDevelopers,
        part: "permission",
        said: Said::PermissionMissing,
        class: Some((Credentials, Account)),
        meaning: "The token's user lacks a permission on the object.",
        source: "recorded from live answers, August and September 2026",
    },
    Sentence {
        code: 100,
        subcode: Some(2_388_001),
        text: Text::ForPeople,
        part: "registered to an existing whatsapp account",
        said: Said::NumberInUse,
        class: Some((Person, Channel)),
        meaning: "The number is registered to an account in an app or elsewhere on the platform.",
        source: "recorded from a live answer, October 2026",
    },
];

/// The known sentence that is among the texts of an error. A plain 100 says nothing else about its cause; a field or an
/// object that does not exist is no matter of permissions.
pub(super) fn sentence(
    code: i64,
    subcode: Option<i64>,
    text: impl Fn(Text) -> Option<String>,
) -> Option<&'static Sentence> {
    SENTENCES.iter().find(|sentence| {
        let is_its_code = (sentence.code, sentence.subcode) == (code, subcode);
        let text =
            is_its_code.then(|| text(sentence.text)).flatten().unwrap_or_default().to_ascii_lowercase();
        let is_other = ["nonexisting field", "does not exist", "appsecret_proof"];
        text.contains(sentence.part) && !is_other.iter().any(|other| text.contains(other))
    })
}

impl Sentence {
    /// What it makes of what the table says about its code.
    pub(super) fn verdict(&self, edge: Edge, of_code: Verdict) -> Verdict {
        let Some((class, scope)) = self.class else { return of_code };
        let scope = if scope == Account && edge.about() == About::Portfolio { Portfolio } else { scope };
        Verdict { class, scope, wait: None }
    }
}

/// Looks an error up: code with subcode first, then a number in either place, then the code,
/// then the family; a row for the edge beats one for all.
///
/// `is_transient` makes a retry of everything that is not a known wait, a credential or done
/// already. What the table does not know is a retry after a 5xx and else a person's matter:
/// guessing costs more than asking.
pub fn verdict(edge: Edge, code: i64, subcode: Option<i64>, is_transient: bool, http: u16) -> Verdict {
    let found = TABLE
        .iter()
        .filter(|entry| entry.calls.contain(edge))
        .filter_map(|entry| Some(((entry.key.rank(code, subcode)?, entry.calls != Calls::All), entry)))
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

/// What the table says about an error, for whoever looks a code up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub calls: Calls,
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
            calls: entry.calls,
            class: entry.class,
            scope: entry.scope,
            meaning: entry.meaning,
        })
        .collect()
}

#[cfg(test)]
mod tests;
