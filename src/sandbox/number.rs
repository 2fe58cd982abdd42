//! The life of one number.
//!
//! added → code requested → verified → registered, next to the review of its name.
//! The functions here change one number at one date and say what Meta would refuse;
//! they know nothing of HTTP, tokens or other numbers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::budget::minutes_until;
use super::clock::{after_days, after_secs, later};
use super::envelope::{Refusal, UserText};
use super::part::{Late, Official, Override, Profile, Username, only_digits};
use super::rival::{Apps, Rival, Shared};
use super::switch::{
    AlreadyVerified, CodeRefusal, NotRegistered, PinMismatch, RegisteredPin, Switches, WrongCode,
};

/// A code lives this long.
const CODE_LIFE_SECS: u64 = 600;
/// Registrations of one number within `REGISTER_WINDOW_HOURS`.
const REGISTERS_ALLOWED: usize = 10;
/// The window of registrations, and the length of the block after it.
const REGISTER_WINDOW_HOURS: i64 = 72;
/// Changes of name within `NAME_WINDOW_DAYS`.
const NAMES_ALLOWED: usize = 10;
/// The window of name changes.
const NAME_WINDOW_DAYS: i64 = 30;
/// A number from the pool stays verified this many days.
const POOL_DAYS: u32 = 90;

/// A business phone number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Number {
    /// Meta's phone number id.
    pub id: String,
    /// The account that holds it.
    pub account: String,
    /// Accounts that list it as well, under the same id: the number is shared.
    pub also_in: BTreeSet<String>,
    /// The number itself: country code and national number, digits only.
    pub digits: String,
    /// The current name, approved or not.
    pub verified_name: String,
    /// Where the review of that name stands.
    pub name_status: String,
    /// The name that was asked for, while a change is open.
    pub new_display_name: Option<String>,
    /// Where the review of the change stands.
    pub new_name_status: Option<String>,
    /// Operating status.
    pub status: String,
    /// Proof of ownership by code; not the PIN.
    pub code_verification_status: String,
    /// `CLOUD_API`, `ON_PREMISE`, or `NOT_APPLICABLE` while not registered.
    pub platform_type: String,
    /// `LIVE` or `SANDBOX`.
    pub account_mode: String,
    /// `GREEN` and so on.
    pub quality_rating: String,
    /// The blue badge.
    pub is_official_business_account: bool,
    /// Where a request for it stands.
    pub official: Official,
    /// The name by which people find it.
    pub username: Option<Username>,
    /// The number lives in the WhatsApp Business app as well.
    pub is_on_biz_app: bool,
    /// It came verified from a partner's pool.
    pub is_preverified_number: bool,
    /// `VISIBLE` or `NON_VISIBLE`.
    pub search_visibility: String,
    /// When it was added.
    pub added: Timestamp,
    /// Last completion of Embedded Signup, if any.
    pub last_onboarded_time: Option<Timestamp>,
    /// The webhook of its own.
    pub webhook: Override,
    /// The public profile.
    pub profile: Profile,
    /// The two-step PIN, which Meta never shows.
    pub pin: Option<String>,
    /// Where its messages are stored, if that was set.
    pub storage_region: Option<String>,
    /// What the app was asked for since it was last connected: `smb_app_state_sync`, `history`.
    pub syncs: Vec<String>,
    /// When ownership was proven.
    pub verified: Option<Timestamp>,
    /// When the current name was approved, until it is registered.
    pub name_approved: Option<Timestamp>,
    /// When the new name was approved, until it is registered.
    pub new_name_approved: Option<Timestamp>,
    /// The review that runs.
    pub review: Option<Review>,
    /// The last code sent.
    pub code: Option<Code>,
    /// An earlier deregistration is incomplete: registering gives 133000.
    pub deregistration_incomplete: bool,
    /// No code ever arrives.
    pub unreachable: bool,
    /// The number that this one replaces in another account.
    pub migrates_from: Option<String>,
    /// Somebody else who manages it.
    pub rival: Option<Rival>,
    /// What Meta counts about it.
    pub attempts: Attempts,
    /// When lists begin to show it.
    pub listed_from: Option<Timestamp>,
    /// What shows late.
    pub late: Vec<Late>,
    /// Raw values on top, by field; null leaves a field out.
    pub raw: BTreeMap<String, Value>,
}

/// A review of a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// Whether it is about the new name or the first one.
    pub of_new: bool,
    /// When it is decided; none waits for a word by hand.
    pub decide_at: Option<Timestamp>,
    /// What comes out.
    pub verdict: Verdict,
}

/// What a reviewer says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The name may be used.
    #[default]
    Approve,
    /// It may not.
    Decline,
    /// Not decided yet.
    Defer,
}

/// A code that was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Code {
    /// Six digits.
    pub value: String,
    /// When it was sent.
    pub sent: Timestamp,
    /// It was accepted once and never is again.
    pub used: bool,
}

/// The counters and lock-outs that Meta keeps to itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attempts {
    /// Requests for a code.
    pub codes: Vec<Timestamp>,
    /// Requests are refused until then.
    pub codes_locked: Option<Timestamp>,
    /// Wrong codes in a row.
    pub wrong_codes: u32,
    /// Verifying is refused until then.
    pub verify_locked: Option<Timestamp>,
    /// Registrations.
    pub registers: Vec<Timestamp>,
    /// Registering is blocked until then.
    pub register_blocked: Option<Timestamp>,
    /// Deregistrations.
    pub deregisters: Vec<Timestamp>,
    /// Deregistering is blocked until then.
    pub deregister_blocked: Option<Timestamp>,
    /// Wrong PINs in a row.
    pub wrong_pins: u32,
    /// The last wrong PIN.
    pub last_wrong_pin: Option<Timestamp>,
    /// Registering is refused until then for wrong PINs.
    pub pin_locked: Option<Timestamp>,
    /// Name submissions.
    pub names: Vec<Timestamp>,
}

impl Default for Number {
    fn default() -> Self {
        Self::new("", "", "", "")
    }
}

impl Number {
    /// A number as it is right after it was added, its name usable without review.
    pub fn new(id: &str, account: &str, digits: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            account: account.to_owned(),
            also_in: BTreeSet::new(),
            digits: only_digits(digits),
            verified_name: name.to_owned(),
            name_status: "AVAILABLE_WITHOUT_REVIEW".to_owned(),
            new_display_name: None,
            new_name_status: None,
            status: "PENDING".to_owned(),
            code_verification_status: "NOT_VERIFIED".to_owned(),
            platform_type: "NOT_APPLICABLE".to_owned(),
            account_mode: "LIVE".to_owned(),
            quality_rating: "UNKNOWN".to_owned(),
            is_official_business_account: false,
            official: Official::default(),
            username: None,
            is_on_biz_app: false,
            is_preverified_number: false,
            search_visibility: "VISIBLE".to_owned(),
            added: Timestamp::UNIX_EPOCH,
            last_onboarded_time: None,
            webhook: Override::default(),
            profile: Profile::default(),
            pin: None,
            storage_region: None,
            syncs: Vec::new(),
            verified: None,
            name_approved: None,
            new_name_approved: None,
            review: None,
            code: None,
            deregistration_incomplete: false,
            unreachable: false,
            migrates_from: None,
            rival: None,
            attempts: Attempts::default(),
            listed_from: None,
            late: Vec::new(),
            raw: BTreeMap::new(),
        }
    }

    /// The same, shared with another account.
    #[must_use]
    pub fn also_in(mut self, account: &str) -> Self {
        self.also_in.insert(account.to_owned());
        self
    }

    /// Whether an account lists it.
    pub(super) fn is_in(&self, account: &str) -> bool {
        self.account == account || self.also_in.contains(account)
    }

    /// The same with ownership proven at that date.
    #[must_use]
    pub fn verified(mut self, at: Timestamp) -> Self {
        self.code_verification_status = "VERIFIED".to_owned();
        self.verified = Some(at);
        self
    }

    /// The same, serving on Cloud API with that PIN, its name approved.
    #[must_use]
    pub fn registered(mut self, pin: &str) -> Self {
        self.code_verification_status = "EXPIRED".to_owned();
        self.platform_type = "CLOUD_API".to_owned();
        self.status = "CONNECTED".to_owned();
        self.name_status = "APPROVED".to_owned();
        self.quality_rating = "GREEN".to_owned();
        self.pin = Some(pin.to_owned());
        self
    }

    /// The same as it is in the WhatsApp Business app and on Cloud API at once.
    #[must_use]
    pub fn coexisting(mut self) -> Self {
        self = self.registered("000000");
        self.pin = None;
        self.is_on_biz_app = true;
        self
    }

    /// A test number that Meta issued and registered.
    #[must_use]
    pub fn sandbox(mut self) -> Self {
        self = self.registered("000000");
        self.code_verification_status = "NOT_VERIFIED".to_owned();
        self.name_status = "AVAILABLE_WITHOUT_REVIEW".to_owned();
        self.status = "DISCONNECTED".to_owned();
        self.account_mode = "SANDBOX".to_owned();
        self.search_visibility = "NON_VISIBLE".to_owned();
        self
    }

    /// The same on an installation of the customer.
    #[must_use]
    pub fn on_premise(mut self) -> Self {
        self = self.registered("000000");
        self.platform_type = "ON_PREMISE".to_owned();
        self
    }

    pub(super) fn is_registered(&self) -> bool {
        self.platform_type == "CLOUD_API"
    }

    pub(super) fn is_coexisting(&self) -> bool {
        self.is_on_biz_app && self.is_registered()
    }

    /// Meta keeps its id but not the number.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.status.as_str(), "DELETED" | "MIGRATED")
    }

    pub(super) fn is_verified(&self) -> bool {
        self.code_verification_status == "VERIFIED"
    }

    /// The date that lists sort by.
    pub(super) fn onboarded(&self) -> Timestamp {
        self.last_onboarded_time.unwrap_or(self.added)
    }

    /// A review is open, of either name.
    fn is_in_review(&self) -> bool {
        self.name_status == "PENDING_REVIEW" || self.new_name_status.as_deref() == Some("PENDING_REVIEW")
    }

    /// A certificate can be made: the current or the new name may be used.
    fn has_usable_name(&self, switches: &Switches) -> bool {
        let current = matches!(self.name_status.as_str(), "APPROVED" | "AVAILABLE_WITHOUT_REVIEW");
        current
            || self.new_name_status.as_deref() == Some("APPROVED")
            || (switches.register_in_review && self.is_in_review())
    }

    /// What time does by itself up to now, to the number and to the apps that are subscribed to its account.
    pub(super) fn tick(&mut self, apps: Option<&mut Apps>, switches: &Switches, now: Timestamp) {
        if let Some(Review { decide_at: Some(at), verdict, .. }) = self.review
            && at <= now
        {
            self.decide(verdict, switches, at);
        }
        let days = if self.is_preverified_number { POOL_DAYS } else { switches.verification_days };
        let lapses = !self.is_registered() || switches.registered_code_expires;
        if lapses && self.is_verified() && self.verified.is_some_and(|at| after_days(at, days) <= now) {
            self.code_verification_status = "EXPIRED".to_owned();
        }
        let lapsed =
            |at: Option<Timestamp>| at.is_some_and(|at| after_days(at, switches.certificate_days) <= now);
        if self.name_status == "APPROVED" && !self.is_registered() && lapsed(self.name_approved) {
            self.name_status = "EXPIRED".to_owned();
        }
        if self.new_name_status.as_deref() == Some("APPROVED") && lapsed(self.new_name_approved) {
            self.new_name_status = Some("EXPIRED".to_owned());
        }
        self.late.retain(|late| late.until > now);
        self.act(apps, switches, now);
    }

    /// What somebody else does to it by now.
    fn act(&mut self, apps: Option<&mut Apps>, switches: &Switches, now: Timestamp) {
        let Some(rival) = self.rival.take() else { return };
        let is_registered = self.is_registered();
        let mut shared = Shared {
            name: self.verified_name.clone(),
            callback: self.webhook.callback.clone(),
            profile: self.profile.clone(),
            is_registered,
            username: self.username.clone(),
            subscribed: apps.as_deref().cloned().unwrap_or_default(),
        };
        self.rival = rival.act(&mut shared, now);
        match (is_registered, shared.is_registered) {
            // Meta may refuse it; then he tries again.
            (true, false) => drop(self.deregister(switches, now)),
            (false, true) => {
                self.platform_type = "CLOUD_API".to_owned();
                self.status = "CONNECTED".to_owned();
            }
            _ => {}
        }
        (self.verified_name, self.webhook.callback, self.profile, self.username) =
            (shared.name, shared.callback, shared.profile, shared.username);
        if let Some(apps) = apps {
            *apps = shared.subscribed;
        }
    }

    /// Ends the open review, or judges the current name when none is open.
    pub(super) fn decide(&mut self, verdict: Verdict, switches: &Switches, at: Timestamp) {
        let of_new = self.review.as_ref().map_or(self.new_display_name.is_some(), |review| review.of_new);
        match verdict {
            Verdict::Defer => {
                if let Some(review) = &mut self.review {
                    review.decide_at = None;
                }
                return;
            }
            Verdict::Approve if of_new => {
                self.new_name_status = Some("APPROVED".to_owned());
                self.new_name_approved = Some(at);
                if !switches.rename_needs_register {
                    self.take_new_name(at);
                }
            }
            Verdict::Approve => {
                self.name_status = "APPROVED".to_owned();
                self.name_approved = (!self.is_registered()).then_some(at);
            }
            Verdict::Decline if of_new => self.new_name_status = Some("DECLINED".to_owned()),
            Verdict::Decline => self.name_status = "DECLINED".to_owned(),
        }
        self.review = None;
    }

    /// The approved new name becomes the current one.
    fn take_new_name(&mut self, at: Timestamp) {
        if let Some(name) = self.new_display_name.take() {
            self.verified_name = name;
            self.name_status = "APPROVED".to_owned();
            let approved = self.new_name_approved.take().unwrap_or(at);
            self.name_approved = (!self.is_registered()).then_some(approved);
        }
        self.new_name_status = None;
    }

    /// The new name becomes the current one while its review goes on, as recorded for a registered number in August 2026.
    fn take_name_in_review(&mut self) {
        if let Some(name) = self.new_display_name.take() {
            self.verified_name = name;
            self.name_status = "PENDING_REVIEW".to_owned();
            if let Some(review) = &mut self.review {
                review.of_new = false;
            }
        }
        self.new_name_status = None;
    }

    /// Says why no code can be sent now; counts the request if one can.
    pub(super) fn allow_code(&mut self, switches: &Switches, now: Timestamp) -> Result<(), Refusal> {
        if self.is_coexisting() {
            return Err(not_for_app());
        }
        if self.is_verified() {
            return Err(match switches.already_verified {
                AlreadyVerified::Generic => {
                    Refusal::new(136_024, "Request code error").user(UserText::AlreadyVerified)
                }
                AlreadyVerified::NotEligible => {
                    Refusal::invalid("the number is not in a state to receive a code").subcode(2_388_091)
                }
            });
        }
        if self.is_registered() && !switches.reregister_needs_verified {
            return Err(Refusal::invalid("the number is not in a state to receive a code").subcode(2_388_091));
        }
        let window = after_secs(Timestamp::UNIX_EPOCH, switches.code_request_window_secs)
            .duration_since(Timestamp::UNIX_EPOCH);
        let since = later(now, -window);
        self.attempts.codes.retain(|at| *at > since);
        let locked = self.attempts.codes_locked.is_some_and(|until| until > now);
        if !locked && self.attempts.codes.len() >= switches.codes_allowed as usize {
            self.attempts.codes_locked = Some(after_secs(now, switches.code_request_lock_secs));
        } else if !locked {
            self.attempts.codes.push(now);
            return Ok(());
        }
        let minutes = self.attempts.codes_locked.map_or(0, |until| minutes_until(until, now));
        let refusal = match switches.code_refusal {
            CodeRefusal::Generic => Refusal::new(136_024, "Request code error"),
            CodeRefusal::CannotSend => Refusal::invalid("the code could not be sent").subcode(2_388_004),
            CodeRefusal::CustomLimit => Refusal::new(613, "Calls to this api have exceeded the rate limit"),
        };
        Err(refusal.user(UserText::CodeNotSent { minutes }))
    }

    /// Checks a code.
    pub(super) fn verify(&mut self, code: &str, switches: &Switches, now: Timestamp) -> Result<(), Refusal> {
        if self.is_coexisting() {
            return Err(
                Refusal::new(136_025, "Verify code error").details("not available for numbers in the app")
            );
        }
        if self.is_verified() {
            return Err(match switches.already_verified {
                AlreadyVerified::Generic => {
                    Refusal::new(136_025, "Verify code error").user(UserText::AlreadyVerified)
                }
                AlreadyVerified::NotEligible => {
                    Refusal::invalid("the number is not in a state to verify a code").subcode(2_388_093)
                }
            });
        }
        if let Some(until) = self.attempts.verify_locked.filter(|until| *until > now) {
            return Err(Refusal::new(136_025, "Verify code error")
                .user(UserText::CodeLocked { minutes: minutes_until(until, now) }));
        }
        let valid = |sent: &&mut Code| {
            sent.value == code && !sent.used && after_secs(sent.sent, CODE_LIFE_SECS) > now
        };
        if let Some(sent) = self.code.as_mut().filter(valid) {
            sent.used = true;
            self.attempts.wrong_codes = 0;
            self.code_verification_status = "VERIFIED".to_owned();
            self.verified = Some(now);
            return Ok(());
        }
        self.attempts.wrong_codes += 1;
        if self.attempts.wrong_codes >= switches.wrong_codes_allowed {
            self.attempts.wrong_codes = 0;
            self.attempts.verify_locked = Some(after_secs(now, switches.wrong_code_lock_secs));
        }
        Err(match switches.wrong_code {
            WrongCode::Generic => Refusal::new(136_025, "Verify code error"),
            WrongCode::Plain => Refusal::invalid("the code is not valid"),
        }
        .user(UserText::WrongCode))
    }

    /// Counts an attempt to register, or says that the number is blocked.
    pub(super) fn allow_register(&mut self, now: Timestamp) -> Result<(), Refusal> {
        allow(&mut self.attempts.registers, &mut self.attempts.register_blocked, now)
    }

    /// Takes back the attempt that was just counted.
    pub(super) fn forget_register(&mut self) {
        self.attempts.registers.pop();
    }

    /// Registers with Cloud API, or says what is missing. `on_phone` says that the
    /// number is in use in an app.
    pub(super) fn register(
        &mut self,
        pin: &str,
        on_phone: bool,
        switches: &Switches,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if self.is_coexisting() && !switches.register_coexistence {
            return Err(not_for_app());
        }
        if self.deregistration_incomplete {
            return Err(Refusal::new(133_000, "Incomplete deregistration")
                .details("a previous deregistration is incomplete"));
        }
        let sandbox = self.account_mode == "SANDBOX";
        let again = self.is_registered() && !switches.reregister_needs_verified;
        if !sandbox && !again && !self.is_verified() {
            return Err(Refusal::new(133_006, "Phone number re-verification needed")
                .details("verify the number before registering it"));
        }
        if on_phone {
            return Err(certificate(UserText::NumberOnPhone));
        }
        if !sandbox && !self.has_usable_name(switches) {
            return Err(certificate(UserText::NameNotReady));
        }
        if !self.keeps_pin(switches) {
            self.check_pin(pin, switches, now)?;
            self.pin = Some(pin.to_owned());
        }
        match self.new_name_status.as_deref() {
            Some("APPROVED") => self.take_new_name(now),
            Some("PENDING_REVIEW") if self.is_registered() || switches.register_takes_pending_name => {
                self.take_name_in_review();
            }
            _ => {}
        }
        self.name_approved = None;
        self.platform_type = "CLOUD_API".to_owned();
        self.status = if sandbox { "DISCONNECTED" } else { "CONNECTED" }.to_owned();
        Ok(())
    }

    /// Whether a registration leaves the PIN that is set, whatever comes with it.
    pub(super) fn keeps_pin(&self, switches: &Switches) -> bool {
        self.is_registered() && switches.registered_pin == RegisteredPin::Kept
    }

    /// Compares a PIN with the one set, if one is set.
    fn check_pin(&mut self, pin: &str, switches: &Switches, now: Timestamp) -> Result<(), Refusal> {
        let Some(set) = &self.pin else { return Ok(()) };
        if let Some(until) = self.attempts.pin_locked.filter(|until| *until > now) {
            let wait = format!("try again in {} minutes", minutes_until(until, now));
            return Err(Refusal::new(133_008, "Too many PIN guesses").details(wait));
        }
        let soon = |at: Timestamp| after_secs(at, switches.pin_interval_secs) > now;
        if self.attempts.last_wrong_pin.is_some_and(soon) {
            let wait = format!("try again in {} seconds", switches.pin_interval_secs);
            return Err(Refusal::new(133_009, "PIN guessed too fast").details(wait));
        }
        if set == pin {
            self.attempts.wrong_pins = 0;
            self.attempts.last_wrong_pin = None;
            return Ok(());
        }
        self.attempts.wrong_pins += 1;
        self.attempts.last_wrong_pin = Some(now);
        if self.attempts.wrong_pins >= switches.wrong_pins_allowed {
            self.attempts.wrong_pins = 0;
            self.attempts.pin_locked = Some(after_secs(now, switches.wrong_pin_lock_secs));
        }
        Err(match switches.pin_mismatch {
            PinMismatch::Mismatch => Refusal::new(133_005, "Two step verification PIN Mismatch")
                .details("the PIN is not the one set"),
            PinMismatch::Locked => {
                Refusal::new(131_031, "Account has been locked").details("the data given does not match")
            }
        })
    }

    /// Leaves Cloud API; name, history and PIN remain.
    pub(super) fn deregister(&mut self, switches: &Switches, now: Timestamp) -> Result<(), Refusal> {
        if self.is_coexisting() {
            return Err(not_for_app());
        }
        if !self.is_registered() && !self.deregistration_incomplete {
            return Err(match switches.not_registered {
                NotRegistered::Plain => Refusal::new(133_010, "Phone number not registered"),
                NotRegistered::Parameter => {
                    Refusal::invalid("the phone number is not registered").subcode(2_207_051)
                }
            });
        }
        if switches.deregisters_share_limit {
            allow(&mut self.attempts.registers, &mut self.attempts.register_blocked, now)?;
        } else {
            allow(&mut self.attempts.deregisters, &mut self.attempts.deregister_blocked, now)?;
        }
        self.deregistration_incomplete = false;
        self.platform_type = "NOT_APPLICABLE".to_owned();
        self.status = "DISCONNECTED".to_owned();
        Ok(())
    }

    /// The phone holder connects it from the app.
    pub(super) fn connect_in_app(&mut self, now: Timestamp) {
        *self = self.clone().coexisting();
        self.last_onboarded_time = Some(now);
        self.syncs.clear();
    }

    /// It leaves the platform, as after two weeks in which nobody opened the app.
    pub(super) fn disconnect_in_app(&mut self) {
        self.is_on_biz_app = false;
        self.platform_type = "NOT_APPLICABLE".to_owned();
        self.status = "DISCONNECTED".to_owned();
    }

    /// Has the app send what it holds, each kind once and within a day.
    pub(super) fn start_sync(&mut self, kind: &str, now: Timestamp) -> Result<(), Refusal> {
        if !self.is_registered() {
            return Err(Refusal::new(133_010, "Account not registered"));
        }
        if !self.is_on_biz_app {
            return Err(Refusal::invalid("the number is not in the WhatsApp Business app"));
        }
        if !["smb_app_state_sync", "history"].contains(&kind) {
            return Err(Refusal::invalid("sync_type is not one of the known values"));
        }
        if self.syncs.iter().any(|asked| asked == kind) {
            return Err(Refusal::new(2_593_107, "Sync request already used"));
        }
        if now > after_days(self.onboarded(), 1) {
            return Err(Refusal::new(2_593_108, "Sync request is past the allowed 24 hours"));
        }
        self.syncs.push(kind.to_owned());
        Ok(())
    }

    /// Sets where messages are stored, which only a number takes that is not registered.
    pub(super) fn set_storage(&mut self, status: &str, region: &str) -> Result<(), Refusal> {
        if self.is_coexisting() {
            return Err(not_for_app());
        }
        if self.is_registered() {
            return Err(Refusal::invalid(
                "storage_configuration can be set only while the number is not registered",
            ));
        }
        if status != "IN_COUNTRY_STORAGE_ENABLED" || !REGIONS.contains(&region) {
            return Err(Refusal::invalid("storage_configuration is not one of the known values"));
        }
        self.storage_region = Some(region.to_owned());
        Ok(())
    }

    /// Says whether the PIN may be replaced, which needs no old one.
    pub(super) fn check_new_pin(&self, pin: &str, switches: &Switches) -> Result<(), Refusal> {
        if self.is_coexisting() {
            return Err(not_for_app());
        }
        if !is_pin(pin) || is_simple(pin) {
            return Err(Refusal::invalid("pin must be six digits, and not too simple").subcode(2_388_092));
        }
        if !self.is_registered() && !switches.pin_on_unregistered {
            return Err(Refusal::new(133_010, "Phone number not registered"));
        }
        Ok(())
    }

    /// Opens a change of name.
    pub(super) fn submit_name(&mut self, name: &str, review: Review, now: Timestamp) {
        self.attempts.names.push(now);
        self.new_display_name = Some(name.to_owned());
        self.new_name_status = Some("PENDING_REVIEW".to_owned());
        self.new_name_approved = None;
        self.review = Some(review);
    }

    /// Says whether a name may be submitted now; `false` means that it is the one in
    /// review already, which is harmless and changes nothing.
    pub(super) fn check_name(&self, name: &str, now: Timestamp) -> Result<bool, Refusal> {
        if self.is_coexisting() {
            return Err(not_for_app());
        }
        check_name_length(name)?;
        let pending = if self.new_name_status.as_deref() == Some("PENDING_REVIEW") {
            self.new_display_name.as_deref()
        } else if self.name_status == "PENDING_REVIEW" {
            Some(self.verified_name.as_str())
        } else {
            None
        };
        if pending == Some(name) {
            return Ok(false);
        }
        if pending.is_some() {
            return Err(Refusal::invalid("another display name is in review").user(UserText::NameInReview));
        }
        let since = later(now, SignedDuration::from_hours(-24 * NAME_WINDOW_DAYS));
        if self.attempts.names.iter().filter(|at| **at > since).count() >= NAMES_ALLOWED {
            return Err(Refusal::invalid("the display name was changed too often").user(UserText::NameLimit));
        }
        Ok(true)
    }
}

/// The rolling allowance that registering and deregistering share in kind.
fn allow(past: &mut Vec<Timestamp>, blocked: &mut Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    past.retain(|at| *at > later(now, SignedDuration::from_hours(-REGISTER_WINDOW_HOURS)));
    let is_blocked = blocked.is_some_and(|until| until > now);
    if !is_blocked && past.len() < REGISTERS_ALLOWED {
        past.push(now);
        return Ok(());
    }
    if !is_blocked {
        *blocked = Some(later(now, SignedDuration::from_hours(REGISTER_WINDOW_HOURS)));
    }
    Err(Refusal::new(133_016, "Account register deregister rate limit exceeded")
        .details("10 attempts in 72 hours"))
}

/// A number in the app takes no such order.
fn not_for_app() -> Refusal {
    Refusal::invalid("not available for SMB businesses")
}

/// The one error with two meanings.
pub(super) fn certificate(text: UserText) -> Refusal {
    Refusal::invalid("cannot create certificate").subcode(2_388_001).user(text)
}

/// A PIN is six digits.
pub(super) fn is_pin(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Countries in which messages are stored.
const REGIONS: &[&str] =
    &["AU", "ID", "IN", "JP", "SG", "KR", "DE", "CH", "GB", "BR", "BH", "ZA", "AE", "CA"];

/// One digit six times.
fn is_simple(pin: &str) -> bool {
    pin.bytes().all(|byte| pin.as_bytes().first() == Some(&byte))
}

/// A display name has 2 to 75 characters.
pub(super) fn check_name_length(name: &str) -> Result<(), Refusal> {
    if (2..=75).contains(&name.chars().count()) {
        Ok(())
    } else {
        Err(Refusal::invalid("a display name has 2 to 75 characters"))
    }
}
