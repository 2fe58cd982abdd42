//! What Meta's documentation leaves open, as switches.
//!
//! Each default is the most likely reading; each other value is one that a client
//! must survive as well, so tests run both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `status` of a number right after it was added, until it is registered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InitialStatus {
    /// `PENDING`, and of one number in nine `CONNECTED`: recorded in 2026 of nine numbers that were added and never
    /// registered, eight and one. Nothing that was recorded tells the one from the eight, so digits choose.
    #[default]
    AsRecorded,
    /// This word of every number.
    #[serde(untagged)]
    Word(String),
}

impl InitialStatus {
    /// The same word for all numbers.
    pub fn word(word: &str) -> Self {
        Self::Word(word.to_owned())
    }

    /// What a number with these digits shows.
    pub(super) fn of(&self, digits: &str) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::AsRecorded if ninth(digits) => "CONNECTED".to_owned(),
            Self::AsRecorded => "PENDING".to_owned(),
        }
    }
}

/// One number in nine: divided by nine it leaves four.
fn ninth(digits: &str) -> bool {
    digits.bytes().map(|digit| u32::from(digit - b'0')).sum::<u32>() % 9 == 4
}

/// The answer to a request for a code that Meta refuses to send now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CodeRefusal {
    /// 136024, the general one.
    #[default]
    Generic,
    /// 100 with subcode 2388004.
    CannotSend,
    /// 613, a custom rate limit.
    CustomLimit,
}

/// The answer to a code request or a verification on a number that is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AlreadyVerified {
    /// 136024 for a request, 136025 for a verification.
    #[default]
    Generic,
    /// 100 with subcode 2388091 for a request, 2388093 for a verification.
    NotEligible,
}

/// The answer to a wrong code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WrongCode {
    /// 136025.
    #[default]
    Generic,
    /// A plain 100 with a text for the user.
    Plain,
}

/// The answer to a PIN that is not the one set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PinMismatch {
    /// 133005.
    #[default]
    Mismatch,
    /// 131031, which also means a locked account.
    Locked,
}

/// What becomes of another PIN that comes with the registration of a number that is registered already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RegisteredPin {
    /// It is compared, and refused: recorded from a live answer of September 2026.
    #[default]
    Compared,
    /// It is not looked at, and the one that is set stays in force, which the answer says: Meta's pages of September
    /// and October 2026. They do not publish the member that says it.
    Kept,
}

/// The answer to a deregistration of a number that is not registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NotRegistered {
    /// 133010.
    #[default]
    Plain,
    /// 100 with subcode 2207051.
    Parameter,
}

/// What shows in `new_name_status` while no change is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NoChange {
    /// `NONE`.
    #[default]
    None,
    /// The key is left out.
    Absent,
}

/// The answer to an add beyond the portfolio's number limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NumberLimit {
    /// 200 with subcode 1349175.
    #[default]
    Permission,
    /// 200 without a subcode.
    PlainPermission,
    /// 200000.
    Generic,
}

/// The answer to an add of a number that another account holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NumberElsewhere {
    /// A plain 100.
    #[default]
    Plain,
    /// 200000.
    Generic,
}

/// The answer to an add of a number that is in use in an app on a phone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnPhoneAtAdd {
    /// 100 with subcode 2388001.
    #[default]
    Certificate,
    /// A plain 100.
    Plain,
    /// Adding works; the registration is refused.
    Accept,
}

/// The answer for an object that is missing or not shared with the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MissingObject {
    /// HTTP 400, code 100, subcode 33.
    #[default]
    Invisible,
    /// HTTP 404, code 803.
    NotFound,
}

/// What a webhook that the sandbox does not call for real answers to a handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EndpointAnswer {
    /// The challenge, as it should.
    #[default]
    Echo,
    /// HTTP 200 with something else.
    WrongChallenge,
    /// An HTTP error.
    Refuse,
    /// Nothing at all.
    Silent,
}

/// Why a username is not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HeldUsername {
    /// Somebody else has it: 147001.
    Taken,
    /// The limit of the portfolio is too low for it: 147002.
    Limit,
    /// A Facebook Page has it that is not linked: 147003.
    Page,
    /// An Instagram account has it that is not linked: 147004.
    Instagram,
}

/// How a number is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NumberSpelling {
    /// As recorded: Brazil without the ninth digit in some areas, Mexico with a 1, Argentina with a 9.
    #[default]
    Live,
    /// As it was added.
    Plain,
}

/// Every fact that is open, with its most likely reading as default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Switches {
    /// `status` of a number right after it was added.
    pub initial_status: InitialStatus,
    /// How `display_phone_number` spells a number.
    pub number_spelling: NumberSpelling,
    /// Codes that may be requested per number in `code_request_window_secs`.
    pub codes_allowed: u32,
    /// The window of `codes_allowed`.
    pub code_request_window_secs: u64,
    /// How long the next request is refused once the allowance is spent.
    pub code_request_lock_secs: u64,
    /// Which error refuses a code request.
    pub code_refusal: CodeRefusal,
    /// Which error answers a number that is verified already.
    pub already_verified: AlreadyVerified,
    /// Which error answers a wrong code.
    pub wrong_code: WrongCode,
    /// Wrong codes in a row before verifying is locked.
    pub wrong_codes_allowed: u32,
    /// How long verifying stays locked.
    pub wrong_code_lock_secs: u64,
    /// Which error answers a wrong PIN.
    pub pin_mismatch: PinMismatch,
    /// Wrong PINs in a row before registering is locked (133008).
    pub wrong_pins_allowed: u32,
    /// How long registering stays locked after wrong PINs.
    pub wrong_pin_lock_secs: u64,
    /// A PIN sent sooner than this after a wrong one is too fast (133009).
    pub pin_interval_secs: u64,
    /// What becomes of another PIN at the registration of a number that is registered.
    pub registered_pin: RegisteredPin,
    /// A PIN may be set on a number that is not registered; else 133010, as recorded in June 2026.
    pub pin_on_unregistered: bool,
    /// Which error answers the deregistration of a number that is not registered.
    pub not_registered: NotRegistered,
    /// Registrations and deregistrations count against one allowance; else each has its own.
    pub deregisters_share_limit: bool,
    /// A registration that is refused counts among the 10 in 72 hours.
    pub failed_registers_count: bool,
    /// A registration of a number in the app is accepted; else a plain 100.
    pub register_coexistence: bool,
    /// Registering a registered number again asks for a verified one (133006).
    pub reregister_needs_verified: bool,
    /// The proof of ownership lapses on registered numbers too.
    pub registered_code_expires: bool,
    /// A number may be registered while its name is in review, as recorded in August and September 2026; else 2388001.
    pub register_in_review: bool,
    /// The registration of a number that is not registered makes a name in review live too; else that of a registered one
    /// alone, as recorded in August 2026.
    pub register_takes_pending_name: bool,
    /// An approved rename takes effect by registering again; else at once.
    pub rename_needs_register: bool,
    /// Days until an approved name that was not registered lapses.
    pub certificate_days: u32,
    /// Days until a proof of ownership that was not used lapses.
    pub verification_days: u32,
    /// What shows while no change of name is open.
    pub no_change: NoChange,
    /// Which error answers the number limit.
    pub number_limit: NumberLimit,
    /// Which error answers a number of another account.
    pub number_elsewhere: NumberElsewhere,
    /// Which error answers a number that is on a phone.
    pub on_phone_at_add: OnPhoneAtAdd,
    /// A number that was migrated away still reads, as `MIGRATED`; else 100/33.
    pub migrated_reads: bool,
    /// The code of the per-account throttle, 80008 or 80007.
    pub account_throttle_code: i64,
    /// A list nested in a node counts as a call of its own.
    pub nested_read_counts: bool,
    /// Usage headers are sent from this percentage on.
    pub usage_from_percent: u32,
    /// `Retry-After` is sent with throttling.
    pub retry_after: bool,
    /// `error_data` is JSON text instead of an object.
    pub error_data_as_text: bool,
    /// Errors carry subcodes.
    pub subcodes: bool,
    /// The parameter `locale` chooses the language of texts for users.
    pub locale_parameter: bool,
    /// A matching `If-None-Match` is answered with 304.
    pub not_modified: bool,
    /// The answer for what is missing or invisible.
    pub missing_object: MissingObject,
    /// A dead token may inspect itself (`is_valid` false); else 190.
    pub dead_token_inspects_itself: bool,
    /// The profile of an unregistered number may be written; else 133010.
    pub profile_on_unregistered: bool,
    /// A write of an app's webhook takes away the fields that it does not name; else it adds those that it names.
    pub app_fields_are_replaced: bool,
    /// Empty texts and lists clear a profile field; else a plain 100.
    pub profile_clears: bool,
    /// Websites come back with a trailing slash.
    pub websites_normalised: bool,
    /// The address of the next page holds the token of the call; else no credential.
    pub next_holds_token: bool,
    /// A first page is empty and each later one holds half of what is left, and `next` goes on; else only the last
    /// page is short.
    pub short_pages: bool,
    /// `whatsapp_business_profile` may be expanded on a number.
    pub profile_expansion: bool,
    /// An account without payment method says `"0"` in `primary_funding_id`.
    pub funding_zero: bool,
    /// Usernames that no number can have, in small letters.
    pub held_usernames: BTreeMap<String, HeldUsername>,
    /// A username that is claimed is reserved; else people can see it at once.
    pub usernames_reserved: bool,
    /// The field `username` of a number shows a reserved one too.
    pub reserved_usernames_listed: bool,
    /// What webhooks answer that are neither on this machine nor in the table.
    pub unknown_webhook: EndpointAnswer,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            initial_status: InitialStatus::default(),
            number_spelling: NumberSpelling::default(),
            codes_allowed: 10,
            code_request_window_secs: 72 * 3600,
            code_request_lock_secs: 12 * 3600,
            code_refusal: CodeRefusal::default(),
            already_verified: AlreadyVerified::default(),
            wrong_code: WrongCode::default(),
            wrong_codes_allowed: 5,
            wrong_code_lock_secs: 12 * 3600,
            pin_mismatch: PinMismatch::default(),
            wrong_pins_allowed: 5,
            wrong_pin_lock_secs: 12 * 3600,
            pin_interval_secs: 30,
            registered_pin: RegisteredPin::default(),
            pin_on_unregistered: false,
            not_registered: NotRegistered::default(),
            deregisters_share_limit: false,
            failed_registers_count: true,
            register_coexistence: false,
            reregister_needs_verified: false,
            registered_code_expires: true,
            register_in_review: true,
            register_takes_pending_name: false,
            rename_needs_register: true,
            certificate_days: 14,
            verification_days: 14,
            no_change: NoChange::default(),
            number_limit: NumberLimit::default(),
            number_elsewhere: NumberElsewhere::default(),
            on_phone_at_add: OnPhoneAtAdd::default(),
            migrated_reads: true,
            account_throttle_code: 80008,
            nested_read_counts: false,
            usage_from_percent: 0,
            retry_after: false,
            error_data_as_text: false,
            subcodes: true,
            locale_parameter: true,
            not_modified: false,
            missing_object: MissingObject::default(),
            dead_token_inspects_itself: true,
            profile_on_unregistered: true,
            app_fields_are_replaced: false,
            profile_clears: true,
            websites_normalised: true,
            next_holds_token: false,
            short_pages: false,
            profile_expansion: true,
            funding_zero: false,
            held_usernames: BTreeMap::new(),
            usernames_reserved: false,
            reserved_usernames_listed: false,
            unknown_webhook: EndpointAnswer::default(),
        }
    }
}
