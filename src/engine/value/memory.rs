//! Memory: what the engine remembers between passes. Given in, given back.
//!
//! It is stored in the status of the channel and nowhere else, so it survives restarts,
//! leader changes and kill -9. It holds nothing secret and nothing from which a
//! secret can be computed.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::engine::value::{
    display_name::is_same,
    failure::Refusal,
    id::{AccountId, BusinessId, NumberId},
    secret::SecretVersion,
    step::{Cause, Shows, StepKind},
    time::later,
    word::{Cautious, Vocabulary, Word, words},
};

/// Everything that is remembered of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Memory {
    /// The first resolution, fixed for the life of the object.
    pub business: Option<BusinessId>,
    pub account: Option<AccountId>,
    pub number: Option<NumberId>,
    pub ledger: Ledger,
    pub in_flight: Option<Intent>,
    /// The last answer to each consent.
    pub consents: BTreeMap<ConsentKind, ConsentAnswer>,
    /// The answers before it, oldest first and in short: without reasons.
    pub earlier: BTreeMap<ConsentKind, Vec<ConsentAnswer>>,
    pub marks: Marks,
    /// Since when each wait lasts, keyed by action; carried while the wait lasts.
    pub since: BTreeMap<String, Timestamp>,
    /// What of it this version does not understand, as a clause; never written. While there is something, nothing is done.
    pub unknown: Option<String>,
}

/// A step that cannot be repeated, written down before it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Unique for each intent; who finds it in status knows whose step it is.
    pub id: String,
    /// One of a newer version is kept, and decided by nobody else.
    pub step: Word<StepKind>,
    /// Why, for people.
    pub reason: String,
    pub started_at: Timestamp,
    /// The call is not sent after this.
    pub send_before: Timestamp,
    /// An effect counts as absent only in an observation begun after this.
    pub settle_until: Timestamp,
    /// Generation that asked for it.
    pub generation: i64,
    /// What was sent that is needed to decide an unknown outcome: the name, or the version of the code Secret. Never a secret.
    pub subject: Option<String>,
    /// Add: whether every list was complete and without the number before the intent.
    pub absent_before: Option<bool>,
}

/// Attempts that count, newest last, at most ten of each kind.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ledger {
    pub registrations: Vec<Entry>,
    pub codes: Vec<Entry>,
    pub verifications: Vec<Entry>,
    pub names: Vec<Entry>,
    /// Refused adds; not scarce, but paced.
    pub adds: Vec<Entry>,
    pub pins: Vec<Entry>,
    pub deregistrations: Vec<Entry>,
    pub pictures: Vec<Entry>,
    pub syncs: Vec<Entry>,
    pub usernames: Vec<Entry>,
    pub officials: Vec<Entry>,
    /// Pacing of the repeatable steps.
    pub repeatable: BTreeMap<StepKind, Pace>,
}

/// An answer comes a moment after its call was written down; what is read to check it has to be newer.
const ANSWERED: Duration = Duration::from_secs(1);

/// How exactly status keeps times.
const KEPT: Duration = Duration::from_secs(1);

/// No clock is set back by more, or behind that of another node, and what is remembered of a later time is not waited for.
const BEHIND: Duration = Duration::from_secs(600);

impl Memory {
    /// Whether this object brought the number into the account, so that its whole history is known.
    ///
    /// ```
    /// use whatsapp_operator::engine::memory::{Memory, Origin};
    /// let mut memory = Memory::default();
    /// assert!(!memory.knows_history());
    /// memory.marks.origin = Origin::Added("2026-03-01T12:00:00Z".parse().unwrap());
    /// assert!(memory.knows_history());
    /// ```
    pub fn knows_history(&self) -> bool {
        matches!(self.marks.origin, Origin::Added(_))
    }

    /// When something was last written that a look can show, as far as this memory tells. A request for a code, a PIN
    /// and a Secret change nothing in a list, so they make none too old; only 136024 may mean that the number is verified
    /// already, which a list shows.
    pub(in crate::engine) fn last_listed_write(&self) -> Option<Timestamp> {
        let ledger = &self.ledger;
        let listed = StepKind::ALL.iter().filter(|kind| kind.shows() == Shows::InList);
        let attempts = listed.filter_map(|kind| ledger.last(*kind)).map(|entry| entry.at);
        let paces = ledger.repeatable.iter().filter(|(kind, _)| kind.shows() != Shows::Nowhere);
        let asked = ledger.last(StepKind::RequestCode).filter(|last| last.refused_with(136_024).is_some());
        let asked = asked.map(|last| later(last.at, ANSWERED));
        attempts.chain(asked).chain(paces.filter_map(|(_, pace)| pace.last)).max()
    }

    /// When an attempt begins that is begun now: not in the second of anything that attempts are compared with, since in
    /// status it would not come after it any more.
    pub(in crate::engine) fn begins(&self, now: Timestamp) -> Timestamp {
        let attempts = StepKind::ALL.iter().flat_map(|kind| self.ledger.of(*kind)).map(|entry| entry.at);
        let marks =
            [self.marks.new_proof_since(), self.marks.fell_back_since(), self.marks.seen_registered()];
        let next = attempts.chain(marks.into_iter().flatten()).map(|at| later(at, KEPT));
        let next = next.filter(|next| *next <= later(now, BEHIND)).max();
        next.map_or(now, |next| next.max(now))
    }

    /// Whether the last registration was of a number that was registered already. It shows only in the name that it
    /// makes live.
    pub(in crate::engine) fn has_registered_again(&self) -> bool {
        let last = self.ledger.last(StepKind::Register);
        match self.marks.registration {
            Registration::Seen { first, fell_back: None, .. } => last.is_some_and(|last| last.at > first),
            Registration::Seen { .. } | Registration::NotSeen => false,
        }
    }

    /// Whether this object made the attempt since it has the number. One of an object before counts, and proves nothing.
    pub(in crate::engine) fn is_own(&self, entry: &Entry) -> bool {
        self.marks.origin.at().is_none_or(|at| entry.at >= at)
    }

    /// Whether an attempt of this object's may have done what is seen now. One that was to have shown by a time, and was
    /// looked for in vain then, did nothing: what shows later was done by somebody else.
    pub(in crate::engine) fn may_have_done(&self, entry: &Entry) -> bool {
        let is_open = || self.in_flight.as_ref().is_some_and(|intent| intent.id == entry.id);
        self.is_own(entry)
            && match entry.outcome {
                EntryOutcome::Accepted => true,
                EntryOutcome::Started | EntryOutcome::NoAnswer => is_open(),
                EntryOutcome::Refused => entry.is_inconclusive() && entry.settle_until.is_some(),
                EntryOutcome::NotSent => false,
            }
    }

    /// Whether there may be a registration that this object made.
    pub(in crate::engine) fn may_have_registered(&self) -> bool {
        let may_be_ours =
            || self.ledger.last(StepKind::Register).is_some_and(|last| self.may_have_done(last));
        self.marks.has_registered() || may_be_ours()
    }

    /// A registration was accepted, so the PIN that came with it counts from now on. One of a number that is registered says
    /// nothing about its PIN, unless that was the matter before.
    pub(crate) fn note_pin_of_registration(&mut self, subject: Option<&str>, has_kept_other: bool) {
        let mut earlier = self.ledger.registrations.iter().rev().filter(|entry| entry.counts()).skip(1);
        let was_wrong = earlier.next().is_some_and(|entry| entry.refused_with(133_005).is_some());
        if self.is_unfinished() {
            self.marks.pin = if has_kept_other { Some(String::new()) } else { subject.map(Into::into) };
        } else if was_wrong && !has_kept_other {
            self.marks.pin = subject.map(Into::into);
        }
    }

    /// Whether the number was deregistered for its storage region, and no registration followed yet.
    pub(in crate::engine) fn comes_back(&self) -> bool {
        let last = |kind| self.ledger.last(kind).map(|last| last.at);
        self.marks.is_moving && last(StepKind::Register) < last(StepKind::Deregister)
    }

    /// Not seen registered, or seen to have fallen back.
    pub(in crate::engine) fn is_unfinished(&self) -> bool {
        match self.marks.registration {
            Registration::NotSeen => true,
            Registration::Seen { fell_back, .. } => fell_back.is_some(),
        }
    }
}

impl Marks {
    /// Since when the number is taken for one that this object found and did not bring.
    pub fn adopted_since(&self) -> Option<Timestamp> {
        match self.origin {
            Origin::Adopted(at) => Some(at),
            Origin::Unknown | Origin::Added(_) => None,
        }
    }

    /// This object brought the number into the account. What was seen of an entry from before, which was deleted, says
    /// nothing about the new one.
    pub(crate) fn note_added(&mut self, at: Timestamp) {
        self.origin = Origin::Added(at);
        self.missing_since = None;
        self.connected_since = None;
        self.registration = Registration::NotSeen;
    }

    /// Meta wants a new proof: what was read until now proves nothing. Noting it once more changes nothing.
    pub(crate) fn require_proof(&mut self, at: Timestamp) {
        self.automatic_code_used.get_or_insert(at);
        if self.new_proof_since().is_none_or(|since| since < at) {
            self.proof = Proof::Required { since: at, lapsed: None };
        }
    }

    /// Since when Meta wants a new proof.
    pub fn new_proof_since(&self) -> Option<Timestamp> {
        match self.proof {
            Proof::AsShown => None,
            Proof::Required { since, .. } => Some(since),
        }
    }

    /// Whether Meta wants a new proof, so that what it shows may be the old one.
    pub fn needs_new_proof(&self) -> bool {
        self.new_proof_since().is_some()
    }

    /// When Meta first showed, after it wanted a new proof, that the old one is gone.
    pub fn proof_lapsed(&self) -> Option<Timestamp> {
        match self.proof {
            Proof::AsShown => None,
            Proof::Required { lapsed, .. } => lapsed,
        }
    }

    /// The old proof is seen to be gone; the first time counts.
    pub(crate) fn note_lapsed(&mut self, at: Timestamp) {
        if let Proof::Required { lapsed, .. } = &mut self.proof {
            lapsed.get_or_insert(at);
        }
    }

    /// The new proof is there.
    pub(crate) fn note_proven(&mut self) {
        self.proof = Proof::AsShown;
    }

    /// Since when a number that was registered reads as not registered.
    pub fn fell_back_since(&self) -> Option<Timestamp> {
        match self.registration {
            Registration::NotSeen => None,
            Registration::Seen { fell_back, .. } => fell_back,
        }
    }

    /// When the number was first seen registered, by whomever.
    pub(in crate::engine) fn seen_registered(&self) -> Option<Timestamp> {
        match self.registration {
            Registration::NotSeen => None,
            Registration::Seen { first, .. } => Some(first),
        }
    }

    /// Whether a registration of this object's own was seen to hold.
    pub fn has_registered(&self) -> bool {
        matches!(self.registration, Registration::Seen { own: Some(_), .. })
    }

    /// The number is seen registered, perhaps by this object.
    pub(crate) fn note_registered(&mut self, at: Timestamp, may_be_own: bool) {
        let (first, before, has_fallen) = match self.registration {
            Registration::NotSeen => (at, None, false),
            Registration::Seen { first, own, fell_back } => (first, own, fell_back.is_some()),
        };
        // One more registration of a number that somebody else has registered makes nobody its owner.
        let is_new = may_be_own && (has_fallen || self.registration == Registration::NotSeen);
        let own = if is_new { Some(at) } else { before };
        self.registration = Registration::Seen { first, own, fell_back: None };
        self.connected_since = None;
    }

    /// The number is seen not registered. Where it never was, that is no news; the first time counts.
    pub(crate) fn note_not_registered(&mut self, at: Timestamp) {
        if let Registration::Seen { fell_back, .. } = &mut self.registration {
            // Nobody knows what is left of what was set for the registration that ended.
            if fell_back.is_none() {
                self.storage = None;
            }
            fell_back.get_or_insert(at);
        }
    }

    /// Whether the PIN in this version of its Secret is the one that Meta was last given or found with.
    pub fn is_pin_of(&self, version: &SecretVersion) -> bool {
        let is_it = |pin: &str| pin.split('/').take(2).eq([&*version.uid, &*version.resource_version]);
        self.pin.as_deref().is_some_and(is_it)
    }

    /// Whether Meta declined this name.
    pub(in crate::engine) fn has_declined(&self, name: &str) -> bool {
        self.declined.keys().any(|declined| is_same(declined, name))
    }

    /// Whether the one registration that this name gets while it is in review was made.
    pub(in crate::engine) fn was_tried_in_review(&self, name: &str) -> bool {
        self.tried_in_review.keys().any(|tried| is_same(tried, name))
    }

    /// Notes the one registration that a name in review gets. Status holds a bounded number of names; the
    /// oldest go first, long after their registrations left every window.
    pub(crate) fn note_tried_in_review(&mut self, name: &str, at: Timestamp) {
        const NAMES: usize = 60;
        self.tried_in_review.insert(name.to_owned(), at);
        while self.tried_in_review.len() > NAMES {
            let oldest = self.tried_in_review.iter().min_by_key(|(_, at)| **at).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { break };
            self.tried_in_review.remove(&oldest);
        }
    }

    /// Counts a repair of a field; only the last few say whether there are too many.
    pub(crate) fn note_repair(&mut self, field: &str, at: Timestamp, keep: usize) {
        let repairs = self.repairs.entry(field.to_owned()).or_default();
        if repairs.at.last().is_none_or(|last| *last < at) {
            repairs.at.push(at);
            repairs.at.drain(..repairs.at.len().saturating_sub(keep));
            repairs.is_open = true;
        }
    }

    /// Meta took, or may have taken, this webhook address for the number.
    pub(crate) fn note_route(&mut self, url: &str) {
        const URLS: usize = 4;
        self.routed.retain(|routed| routed != url);
        self.routed.push(url.to_owned());
        self.routed.drain(..self.routed.len().saturating_sub(URLS));
    }

    /// The same, unless it is remembered already.
    pub(in crate::engine) fn keep_route(&mut self, url: &str) {
        if !self.routed.iter().any(|routed| routed == url) {
            self.note_route(url);
        }
    }

    /// Whether an attempt was made since Meta required a new proof; one from before proves nothing any more.
    pub(in crate::engine) fn is_current(&self, entry: &Entry) -> bool {
        self.new_proof_since().is_none_or(|required| entry.at > required)
    }
}

impl Ledger {
    /// The attempts of a kind; repeatable steps have none.
    pub fn of(&self, kind: StepKind) -> &[Entry] {
        match kind {
            StepKind::AddNumber => &self.adds,
            StepKind::RequestCode => &self.codes,
            StepKind::VerifyCode => &self.verifications,
            StepKind::SubmitName => &self.names,
            StepKind::SetPin => &self.pins,
            StepKind::Register => &self.registrations,
            StepKind::Deregister => &self.deregistrations,
            StepKind::WritePicture => &self.pictures,
            StepKind::StartSync => &self.syncs,
            StepKind::ClaimUsername => &self.usernames,
            StepKind::RequestOfficial => &self.officials,
            StepKind::CreatePin
            | StepKind::SubscribeApp
            | StepKind::RouteWebhook
            | StepKind::WriteProfile
            | StepKind::UnrouteWebhook
            | StepKind::SetStorage => &[],
        }
    }

    /// The same, to be changed.
    pub(crate) fn of_mut(&mut self, kind: StepKind) -> Option<&mut Vec<Entry>> {
        match kind {
            StepKind::AddNumber => Some(&mut self.adds),
            StepKind::RequestCode => Some(&mut self.codes),
            StepKind::VerifyCode => Some(&mut self.verifications),
            StepKind::SubmitName => Some(&mut self.names),
            StepKind::SetPin => Some(&mut self.pins),
            StepKind::Register => Some(&mut self.registrations),
            StepKind::Deregister => Some(&mut self.deregistrations),
            StepKind::WritePicture => Some(&mut self.pictures),
            StepKind::StartSync => Some(&mut self.syncs),
            StepKind::ClaimUsername => Some(&mut self.usernames),
            StepKind::RequestOfficial => Some(&mut self.officials),
            StepKind::CreatePin
            | StepKind::SubscribeApp
            | StepKind::RouteWebhook
            | StepKind::WriteProfile
            | StepKind::UnrouteWebhook
            | StepKind::SetStorage => None,
        }
    }

    /// The last attempt of a kind that counts.
    pub fn last(&self, kind: StepKind) -> Option<&Entry> {
        self.of(kind).iter().rev().find(|entry| entry.counts())
    }

    /// Attempts of a kind that count and were made after a time.
    pub fn since(&self, kind: StepKind, from: Option<Timestamp>) -> impl Iterator<Item = &Entry> {
        self.of(kind).iter().filter(move |entry| entry.counts() && from.is_none_or(|from| entry.at > from))
    }

    /// Adds an attempt. Entries that do not count go first when the list is full, then the oldest; since the
    /// list is longer than every limit that is counted in it, no count falls below its limit by that.
    ///
    /// ```
    /// use whatsapp_operator::engine::{memory::{Entry, EntryOutcome, Ledger}, step::{Cause, StepKind}};
    /// let entry = |id: &str, outcome| Entry {
    ///     id: id.into(),
    ///     at: jiff::Timestamp::UNIX_EPOCH,
    ///     outcome,
    ///     cause: Cause::Automatic,
    ///     subject: None,
    ///     settle_until: None,
    ///     secret_before: None,
    ///     trace_id: None,
    ///     refusal: None,
    /// };
    /// let mut ledger = Ledger::default();
    /// ledger.push(StepKind::Register, entry("a", EntryOutcome::Accepted), 10);
    /// ledger.push(StepKind::Register, entry("b", EntryOutcome::NotSent), 10);
    /// // What was not sent does not count.
    /// assert!(!ledger.of(StepKind::Register)[1].counts());
    /// assert_eq!(ledger.last(StepKind::Register).map(|last| last.id.as_str()), Some("a"));
    /// assert_eq!(ledger.since(StepKind::Register, None).count(), 1);
    /// ```
    pub fn push(&mut self, kind: StepKind, entry: Entry, keep: usize) {
        let Some(list) = self.of_mut(kind) else { return };
        list.push(entry);
        while list.len() > keep {
            let drop = list.iter().position(|entry| !entry.counts()).unwrap_or(0);
            list.remove(drop);
        }
    }
}

impl Entry {
    /// Whether it is an attempt at all: what was proven not to have been sent is none.
    pub fn counts(&self) -> bool {
        self.outcome != EntryOutcome::NotSent
    }

    /// Whether it added a number under this display name, or submitted it.
    pub(in crate::engine) fn is_about_name(&self, name: &str) -> bool {
        self.subject.as_deref().is_some_and(|subject| is_same(subject, name))
    }

    /// Whether two adds, or two submissions, were about one display name.
    pub(in crate::engine) fn is_about_same_name(&self, other: &Self) -> bool {
        other.subject.as_deref().map_or(self.subject.is_none(), |name| self.is_about_name(name))
    }

    /// Whether the answer does not say if it took effect.
    pub(in crate::engine) fn is_inconclusive(&self) -> bool {
        match self.outcome {
            EntryOutcome::Started | EntryOutcome::NoAnswer => true,
            EntryOutcome::Refused => self.refusal.as_ref().is_some_and(Refusal::may_have_happened),
            EntryOutcome::Accepted | EntryOutcome::NotSent => false,
        }
    }

    /// Meta's refusal with this number as code or subcode.
    pub(in crate::engine) fn refused_with(&self, number: i64) -> Option<&Refusal> {
        self.refusal.as_ref().filter(|refusal| self.outcome == EntryOutcome::Refused && refusal.names(number))
    }
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The id of the intent.
    pub id: String,
    pub at: Timestamp,
    pub outcome: EntryOutcome,
    /// What allowed it.
    pub cause: Cause,
    /// A name, the version of the code Secret, or the sum of a picture. Never a secret.
    pub subject: Option<String>,
    pub settle_until: Option<Timestamp>,
    /// Code requests: the version of the code Secret when it was asked for; `None` also when it was absent.
    pub secret_before: Option<SecretVersion>,
    /// Meta's trace id of the answer that accepted it; that of a refusal is the refusal's.
    pub trace_id: Option<String>,
    pub refusal: Option<Refusal>,
}

words! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum EntryOutcome {
        /// Written before the call; stays when the process died.
        Started,
        Accepted,
        Refused,
        /// Sent, and no usable answer, or no effect in its time. Counts as an attempt.
        NoAnswer,
        /// Proven not to have been sent. Does not count.
        NotSent,
    }
}

/// It counts as an attempt, and its effect may still show.
impl Cautious for EntryOutcome {
    const CAUTIOUS: Self = Self::NoAnswer;
}

/// Pace of a repeatable step.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Pace {
    pub generation: i64,
    pub secret: Option<SecretVersion>,
    /// Tries in a row that were refused or had no effect.
    pub failed: u32,
    /// Accepted in this generation without visible effect.
    pub accepted: u32,
    pub last: Option<Timestamp>,
    /// Until when the effect of an accepted write may still be invisible.
    pub settle_until: Option<Timestamp>,
    /// The last try was never sent, and is made again from then on.
    pub held_until: Option<Timestamp>,
    pub refusal: Option<Refusal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConsentKind {
    SendCode,
    Retry,
    Official,
    Reconcile,
}

/// How a consent value was answered; a value is answered once.
///
/// A `send-code` or `retry` value with neither a use nor a refusal is kept since `at`; a `reconcile` value
/// is answered by being here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentAnswer {
    pub value: String,
    pub at: Timestamp,
    /// What it was used for; `None` when it was refused.
    pub used_for: Option<Word<StepKind>>,
    /// Why it was refused, for people.
    pub refused: Option<String>,
    /// When the value was seen to be set again, and refused for that.
    pub again: Option<Timestamp>,
}

/// How the number came to this object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Origin {
    /// It was not found yet.
    #[default]
    Unknown,
    /// This object brought it into the account, so its whole history is known.
    Added(Timestamp),
    /// It was in the account already; others may have tried anything before.
    Adopted(Timestamp),
}

impl Origin {
    /// Since when that is so.
    pub fn at(self) -> Option<Timestamp> {
        match self {
            Self::Unknown => None,
            Self::Added(at) | Self::Adopted(at) => Some(at),
        }
    }

    /// The same, and only from then on: somebody else had the number in between.
    #[must_use]
    pub(in crate::engine) fn moved(self, to: Timestamp) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Added(_) => Self::Added(to),
            Self::Adopted(_) => Self::Adopted(to),
        }
    }
}

/// What Meta's code status proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Proof {
    /// VERIFIED means that ownership is proven.
    #[default]
    AsShown,
    /// 133006 or a lapse: a new code is needed, by consent, until one succeeds.
    Required {
        since: Timestamp,
        /// When the status was first read as not VERIFIED after that, so that VERIFIED proves something again.
        lapsed: Option<Timestamp>,
    },
}

/// What was seen of a registration with the Cloud API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Registration {
    #[default]
    NotSeen,
    Seen {
        /// When it was first seen, by whomever it was made.
        first: Timestamp,
        /// Since when one of this object's own is seen to hold.
        own: Option<Timestamp>,
        /// Since when the number reads NOT_APPLICABLE.
        fell_back: Option<Timestamp>,
    },
}

/// Facts about the past that Meta does not keep for us. Never evicted, each with its time.
///
/// ```
/// use whatsapp_operator::engine::memory::{Marks, Origin, Proof, Registration};
/// let day = |day: &str| format!("2026-03-{day}T00:00:00Z").parse().ok();
/// let found = Marks {
///     origin: Origin::Adopted(day("01").unwrap()),
///     proof: Proof::Required { since: day("02").unwrap(), lapsed: day("03") },
///     registration: Registration::Seen { first: day("01").unwrap(), own: None, fell_back: day("04") },
///     ..Marks::default()
/// };
/// assert_eq!((found.adopted_since(), found.new_proof_since()), (day("01"), day("02")));
/// assert!(found.needs_new_proof() && !found.has_registered());
/// assert_eq!((found.proof_lapsed(), found.fell_back_since()), (day("03"), day("04")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Marks {
    pub origin: Origin,
    /// The automatic code is used up: requested, or barred by EXPIRED, 133006 or a refusal.
    pub automatic_code_used: Option<Timestamp>,
    pub proof: Proof,
    pub pin_set: Option<Timestamp>,
    /// Which version of the PIN's Secret, and which key, Meta was last given or was found with: another one is another PIN.
    /// Empty: Meta said that it kept a PIN from before.
    pub pin: Option<String>,
    /// Where Meta stores the number's messages, as this object set it for the registration that holds, or for the next.
    pub storage: Option<String>,
    /// The last region for which the number was deregistered, and when.
    pub moved: Option<(String, Timestamp)>,
    /// It was deregistered for that, and has to be registered again.
    pub is_moving: bool,
    pub registration: Registration,
    /// This object saw the number become connected, so it knows when that was, also where Meta does not tell it.
    pub has_seen_onboarding: bool,
    /// Since when a number that was found is absent from its account's list.
    pub missing_since: Option<Timestamp>,
    /// When a number that is not registered first read CONNECTED.
    pub connected_since: Option<Timestamp>,
    /// Names for which one registration was tried while they were in review, or not known to be usable.
    pub tried_in_review: BTreeMap<String, Timestamp>,
    /// The last twenty names that Meta declined.
    pub declined: BTreeMap<String, Timestamp>,
    /// 2388001 that is not about the name: mostly, the number is in use elsewhere; one try per `retry`.
    pub on_phone: Option<Timestamp>,
    /// The desired name of a registered number, once Meta approved it and until it is live, and since when that shows.
    pub approved: Option<(String, Timestamp)>,
    /// Of each managed field: a sum of the desired value that Meta was last seen to have.
    pub in_sync: BTreeMap<String, i64>,
    /// SHA-256 of the bytes of the picture that Meta took last, and when.
    pub picture: Option<(String, Timestamp)>,
    /// The number was found while the spec wanted a picture already, and no upload of ours followed: where it shows one, that
    /// one is taken for the picture of the source.
    pub picture_found: bool,
    /// Since when Meta shows no picture any more, of the one that it took.
    pub picture_lost: Option<Timestamp>,
    /// Of each managed field that somebody else changed: what was done about it.
    pub repairs: BTreeMap<String, Repairs>,
    /// Webhook addresses that this object gave the number, until Meta shows that they are gone. Newest last.
    pub routed: Vec<String>,
}

/// Writes that brought back what somebody else had changed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Repairs {
    /// The last of them, newest last.
    pub at: Vec<Timestamp>,
    /// Whether Meta was not seen to have the value since the last of them.
    pub is_open: bool,
    /// Somebody else has the last word: what he wrote, in short, and since when it is left.
    pub contended: Option<(String, Timestamp)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_a_list_of_its_own_unless_it_is_repeatable() {
        let mut ledger = Ledger::default();
        for step in StepKind::ALL.iter().copied() {
            assert_eq!(ledger.of_mut(step).is_none(), step.is_repeatable(), "{step:?}");
        }
    }
}
