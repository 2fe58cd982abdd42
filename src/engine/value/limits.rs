//! Every number of the policy, once, with its source and its reason.
//!
//! Meta's own limits are cited by the page that states them; ours lie well below.

use std::time::Duration;

const MINUTE: u64 = 60;

const HOUR: u64 = 60 * MINUTE;

const DAY: u64 = 24 * HOUR;

/// The numbers. One value is handed through the program, so a test may shorten a wait and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Automatic registrations per number within [`Self::registration_window`]. Meta allows 10 (page "Registration").
    pub registrations_automatic: usize,
    /// All registrations with `retry` in the window; one stays for a person in Meta's tools.
    pub registrations_total: usize,
    /// Registrations in a row that say that the number does not exist, although reads show it.
    pub registrations_hidden: usize,
    pub registration_window: Duration,
    /// Pause after the first, the second and any later registration.
    pub registration_pauses: [Duration; 3],
    /// Unknown history: one automatic registration in this time, for the first [`Self::registration_window`].
    pub registration_unknown_history: Duration,
    /// Without `name_status`: pause after the first registration.
    pub registration_blind_pause: Duration,
    /// Code requests by consent in 24 h. Meta's allowance is not published, and a request beyond it locks the number, so one less
    /// than the five that may be all of it.
    pub codes_by_consent: usize,
    pub codes_window: Duration,
    /// All code requests, the automatic one too. An integrator counts 10 in 72 h and stops at 9 (recordings of September
    /// 2026).
    pub codes_total: usize,
    pub codes_total_window: Duration,
    /// After 136024 without VERIFIED: not before the first, then the second.
    pub code_refused_pauses: [Duration; 2],
    /// Meta: typically 10 minutes (OpenAPI); a little more, because we do not see when the code is sent.
    pub code_life: Duration,
    /// From here on a refused code may have expired at Meta as well as be wrong (OpenAPI: typically 10 minutes).
    pub code_doubtful: Duration,
    pub verifications_per_code: usize,
    /// Name submissions in [`Self::names_window`]. Meta allows 10 in 30 days (page "Display names").
    pub names: usize,
    pub names_window: Duration,
    /// Between submissions of an EXPIRED name.
    pub name_expired_pause: Duration,
    /// How long an approved name of a registered number is given to become live by itself. Meta's newest page says that it
    /// does, and two others that it takes one more registration, as was recorded in August 2026.
    pub name_live_pause: Duration,
    /// How long Meta keeps an approval that was not applied (page "Display names").
    pub name_approval: Duration,
    /// Repairs of one field in [`Self::repairs_window`] after which whoever goes on changing it has the last word. A name
    /// costs a review each time, so those are counted in [`Self::names_window`].
    pub repairs: usize,
    /// At least; longer for a field that is looked at so rarely that fewer looks fall into it.
    pub repairs_window: Duration,
    /// No field is looked at more rarely, as far as that window goes.
    pub looked_at_least: Duration,
    /// Claims of one username that nobody asked for, in [`Self::names_window`]: the first, and those whose answer was lost.
    pub usernames_automatic: usize,
    /// Between requests for an official business account (page "Official business accounts").
    pub official_pause: Duration,
    /// How long a number has to be on the platform before Meta considers it (page "Official business accounts").
    pub official_age: Duration,
    /// After an add refused with a plain 100.
    pub add_refused_pause: Duration,
    pub add_refused_tries: usize,
    /// Repeats of an add after which "unknown" (code 1), "something went wrong" (131000) and "could not be made" (300)
    /// are a person's (page "Error codes", reference of the edge).
    pub add_unknown_repeats: usize,
    pub add_wrong_repeats: usize,
    pub add_not_made_repeats: usize,
    /// An add refused because the portfolio has no slot left is tried again this often (page "Phone numbers").
    pub add_limit_pause: Duration,
    /// A number deleted just now (133015): Meta's page names five minutes.
    pub deleted_pause: Duration,
    /// Too many wrong PINs (133008) and PINs entered too fast (133009), where Meta names no time.
    pub pin_locked_pause: Duration,
    pub pin_fast_pause: Duration,
    /// A step that could not be sent is tried again after this.
    pub not_sent_pause: Duration,
    /// Throttled, and Meta names no time.
    pub throttled_pause: Duration,
    /// No channel goes without a look for longer, whatever it waits for.
    pub look_at_least: Duration,
    pub settle_register: Duration,
    /// Meta's pages lag up to 90 s behind a deregistration (a recording of May 2026).
    pub settle_deregister: Duration,
    pub settle_verify: Duration,
    pub settle_add: Duration,
    pub settle_name: Duration,
    pub settle_other: Duration,
    pub call_timeout: Duration,
    pub send_before: Duration,
    /// After our own write: how often and how many times to look.
    pub fresh_after_write: Duration,
    pub fresh_after_write_times: u32,
    /// A shared list at rest or in transition (an operator flag).
    pub fresh_list: Duration,
    /// While a person waits for a code, the lists of other accounts are waited for no longer than this.
    pub others_within: Duration,
    pub fresh_profile: Duration,
    /// What only a read of its own shows of a username or an official business account.
    pub fresh_aside: Duration,
    /// Token, portfolio, and the facts of an account that is usable.
    pub fresh_portfolio: Duration,
    /// A list that an add relies on.
    pub fresh_for_add: Duration,
    /// Credential Secrets are read again: of a portfolio that waits for something, and of one that is Ready.
    pub credential_poll: Duration,
    pub credential_poll_ready: Duration,
    /// How often a Secret that ends a wait is read: while a code is live, and otherwise.
    pub secret_poll_live: Duration,
    pub secret_poll: Duration,
    /// How often the PIN's Secret of a number at rest is read: rarely, since nothing waits for it.
    pub pin_poll: Duration,
    /// How long after its onboarding Meta takes the syncs of a number of the WhatsApp Business app (page "Onboarding WhatsApp
    /// Business app users").
    pub sync_window: Duration,
    /// A consent is kept while a step is in flight or the account is throttled, at most.
    pub consent_kept: Duration,
    /// When a claim ends, the next channel acts after this pause.
    pub claim_pause: Duration,
    /// A claim is kept for this long after its portfolio's credentials are known not to work.
    pub claim_kept: Duration,
    /// A number that this object just registered and that reads BANNED counts as banned only after this: one was read
    /// CONNECTED half a day later, without an appeal (a recording of September 2026).
    pub ban_confirmed: Duration,
    /// `status` and `platform_type` of a number may turn within minutes (a recording of a number of the Business app). What
    /// holds against a registered number counts once every look for the first showed it, and is looked at this often.
    pub shown_confirmed: Duration,
    pub shown_watched: Duration,
    /// A status in which nothing but such words changed is written this often.
    pub facts_pause: Duration,
    /// All deregistrations of a number in [`Self::registration_window`]. Meta allows 10 (page "Registration").
    pub deregistrations_total: usize,
    /// Deregistrations of one deletion.
    pub cleanup_tries: usize,
    /// Pauses after a step of a deletion that was refused or had no effect: short, since it usually has ten minutes.
    pub cleanup_pauses: [Duration; 4],
    /// A process that has just begun to work tries for this long at least, however long ago the deletion was.
    pub cleanup_least: Duration,
    /// Uploads of a picture in [`Self::pictures_window`]: more than edits of a day need.
    pub pictures: usize,
    pub pictures_window: Duration,
    /// How often the source of a picture that Meta took is read: in the cluster, and at an address.
    pub picture: Duration,
    pub picture_url: Duration,
    /// How often an address is read whose picture Meta did not take yet; in the cluster [`Self::look_at_least`].
    pub picture_url_again: Duration,
    /// How often Meta is asked whether the number still has a picture. Where its answer to the first question was lost:
    /// [`Self::picture_url_again`].
    pub picture_shown: Duration,
    /// Pauses of a repeatable step that was refused or had no effect.
    pub repeatable_pauses: [Duration; 4],
    pub repeatable_without_effect: u32,
    /// Without a successful look, `Ready` becomes Unknown after this (an operator flag).
    pub unseen: Duration,
    /// The longest interval that a spec may have, whatever it asks for (an operator flag).
    pub longest_interval: Duration,
    /// Calls per account and hour to the fast list before the first registered number, then.
    pub budget_list_first: u32,
    pub budget_list: u32,
    /// Calls per account and hour to everything else.
    pub budget_rest: u32,
    /// Share of each bucket that only writes may use, in percent.
    pub budget_for_writes: u32,
    /// Profiles read by the round-robin per account and hour.
    pub profiles_per_hour: u32,
    pub ledger_entries: usize,
    pub declined_names: usize,
    /// Least characters of a display name (Meta's help centre), most (Meta: 75), and where a warning begins.
    pub name_min: usize,
    pub name_max: usize,
    pub name_warn: usize,
    /// A refused field is tried again after this.
    pub refused_field: Duration,
    /// A field that may have caused an unknown error of Meta's (code 1) is tried again after this.
    pub suspected_field: Duration,
    /// `TokenExpiresSoon` is said this long before the end.
    pub token_warning: Duration,
}

impl Limits {
    /// How often a number at rest is looked at whose spec asks for this interval.
    ///
    /// ```
    /// use std::time::Duration;
    /// use whatsapp_operator::engine::limits::Limits;
    /// let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    /// let limits = Limits { longest_interval: Duration::from_secs(3600), ..Limits::default() };
    /// assert_eq!([limits.interval(hours(24)), limits.interval(None)], [hours(1), None]);
    /// assert_eq!(Limits::default().interval(hours(24)), hours(24));
    /// ```
    pub fn interval(&self, asked: Option<Duration>) -> Option<Duration> {
        asked.map(|asked| asked.min(self.longest_interval))
    }

    /// How long a number that is looked at this often goes without a look before that is told: as long as any, once a look was
    /// due.
    pub fn unseen_at(&self, interval: Option<Duration>) -> Duration {
        self.unseen + interval.unwrap_or_default().saturating_sub(self.fresh_list)
    }

    /// How long an attempt counts at most: the longest window in which any are counted.
    ///
    /// ```
    /// use whatsapp_operator::engine::limits::Limits;
    /// let limits = Limits::default();
    /// assert_eq!(limits.longest_window(), limits.names_window);
    /// assert!(limits.codes_total_window <= limits.longest_window());
    /// ```
    pub fn longest_window(&self) -> Duration {
        let windows = [
            self.registration_window,
            self.codes_window,
            self.codes_total_window,
            self.names_window,
            self.official_pause,
        ];
        windows.into_iter().max().unwrap_or_default()
    }
}

impl Default for Limits {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            registrations_automatic: 3,
            registrations_total: 9,
            registrations_hidden: 2,
            registration_window: s(72 * HOUR),
            registration_pauses: [s(5 * MINUTE), s(2 * HOUR), s(12 * HOUR)],
            registration_unknown_history: s(24 * HOUR),
            registration_blind_pause: s(12 * HOUR),
            codes_by_consent: 4,
            codes_window: s(DAY),
            codes_total: 8,
            codes_total_window: s(72 * HOUR),
            code_refused_pauses: [s(HOUR), s(12 * HOUR)],
            code_life: s(15 * MINUTE),
            code_doubtful: s(10 * MINUTE),
            verifications_per_code: 2,
            names: 8,
            names_window: s(30 * DAY),
            name_expired_pause: s(DAY),
            name_live_pause: s(2 * HOUR),
            name_approval: s(14 * DAY),
            repairs: 3,
            repairs_window: s(HOUR),
            looked_at_least: s(DAY),
            usernames_automatic: 3,
            official_pause: s(30 * DAY),
            official_age: s(30 * DAY),
            add_refused_pause: s(6 * HOUR),
            add_refused_tries: 3,
            add_unknown_repeats: 5,
            add_wrong_repeats: 3,
            add_not_made_repeats: 1,
            add_limit_pause: s(DAY),
            deleted_pause: s(5 * MINUTE),
            pin_locked_pause: s(12 * HOUR),
            pin_fast_pause: s(5 * MINUTE),
            not_sent_pause: s(MINUTE),
            throttled_pause: s(5 * MINUTE),
            look_at_least: s(15 * MINUTE),
            settle_register: s(10 * MINUTE),
            settle_deregister: s(2 * MINUTE),
            settle_verify: s(2 * MINUTE),
            settle_add: s(2 * MINUTE),
            settle_name: s(10 * MINUTE),
            settle_other: s(MINUTE),
            call_timeout: s(20),
            send_before: s(10),
            fresh_after_write: s(30),
            fresh_after_write_times: 10,
            fresh_list: s(5 * MINUTE),
            others_within: s(1),
            fresh_profile: s(HOUR),
            fresh_aside: s(DAY),
            fresh_portfolio: s(HOUR),
            fresh_for_add: s(MINUTE),
            credential_poll: s(MINUTE),
            credential_poll_ready: s(5 * MINUTE),
            secret_poll_live: s(5),
            secret_poll: s(MINUTE),
            pin_poll: s(DAY),
            sync_window: s(DAY),
            consent_kept: s(15 * MINUTE),
            claim_pause: s(30),
            claim_kept: s(HOUR),
            ban_confirmed: s(DAY),
            shown_confirmed: s(10 * MINUTE),
            shown_watched: s(MINUTE),
            facts_pause: s(10 * MINUTE),
            deregistrations_total: 9,
            cleanup_tries: 3,
            cleanup_pauses: [s(30), s(2 * MINUTE), s(5 * MINUTE), s(30 * MINUTE)],
            cleanup_least: s(MINUTE),
            pictures: 8,
            pictures_window: s(DAY),
            picture: s(HOUR),
            picture_url: s(DAY),
            picture_url_again: s(HOUR),
            picture_shown: s(DAY),
            repeatable_pauses: [s(5 * MINUTE), s(30 * MINUTE), s(2 * HOUR), s(6 * HOUR)],
            repeatable_without_effect: 3,
            unseen: s(6 * HOUR),
            longest_interval: s(24 * HOUR),
            budget_list_first: 150,
            budget_list: 1_500,
            budget_rest: 150,
            budget_for_writes: 30,
            profiles_per_hour: 60,
            ledger_entries: 10,
            declined_names: 20,
            name_min: 3,
            name_max: 75,
            name_warn: 64,
            refused_field: s(DAY),
            suspected_field: s(10 * MINUTE),
            token_warning: s(7 * DAY),
        }
    }
}
