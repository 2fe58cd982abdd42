//! Secrets as a pass sees them: the port through which they are read, the facts that they become, and their values.
//!
//! A fact tells of a Secret whether it is there and well-formed. Its value never becomes part of a fact. Where
//! Secrets come from is not known here.

use std::{
    future::Future,
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
    time::Duration,
};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{
    attempts::Keeping,
    picture::{Picture, PictureBytes},
};
use crate::engine::{
    desired::{PictureSource, SecretKey},
    observed::Stood,
    picture::PictureFacts,
    secret::{SecretFact, SecretVersion},
    time::{is_set_back, later},
};

/// Bytes of the longest text that is sent as a token. Meta's have a few hundred.
const LONGEST: usize = 4 * 1024;
/// Values kept of one code; a request and two verifications make three.
const VALUES_KEPT: usize = 8;

/// One read of one Secret, by name. The only way in which `run` sees Secrets.
#[derive(Debug)]
pub enum SecretRead {
    /// A live read said 404.
    Missing,
    /// We may not read it, in the words of the cluster.
    Forbidden(String),
    /// Could not be read now, with why.
    Failed(String),
    /// What stands under the key is longer than anything that is sent, and was not read.
    TooLarge { version: SecretVersion, is_verify_token: bool },
    Found {
        version: SecretVersion,
        /// The value under the key, if the key is there and is text.
        value: Option<SecretString>,
        /// Whether it carries the label `whatsapp-operator.dev/use: verify-token`.
        is_verify_token: bool,
    },
}

/// Secrets of one namespace, by name, and what else stands beside a channel.
pub trait Secrets: Send + Sync {
    fn read(&self, key: &SecretKey) -> impl Future<Output = SecretRead> + Send;

    /// Reads a picture from where its source says, and no more of it than may be uploaded.
    fn picture(&self, source: &PictureSource) -> impl Future<Output = PictureBytes> + Send;

    /// Creates the PIN Secret with a random PIN; whoever finds one there reads it.
    fn create_pin(&self, key: &SecretKey) -> impl Future<Output = Result<(), String>> + Send;
}

/// Values that `act` may need, held beside `Observed` and dropped with the pass.
#[derive(Default)]
pub struct Materials {
    pub code: Option<SecretString>,
    pub pin: Option<SecretString>,
    pub verify_token: Option<SecretString>,
    pub picture: Option<Picture>,
}

/// What passes over a channel remember in memory only.
#[derive(Clone, Default)]
pub struct Volatile {
    /// Codes that are no answer: seen when a code was asked for, or tried since. Kept for the code's life; after a restart
    /// the version of the Secret alone decides.
    values: Vec<(SecretString, Timestamp)>,
    /// What looks showed until now.
    pub(super) stood: Stood,
    /// What they showed of the picture.
    pub(super) picture: PictureFacts,
    /// Since and until when no status is written for changed facts alone.
    facts_paused: Option<(Timestamp, Timestamp)>,
    /// Which attempts are known to be kept beside the channel.
    pub(super) keeping: Keeping,
    /// The PIN that Meta was last given or found with, as a number that means nothing outside of this process.
    pin: Option<u64>,
    /// The one that was sent last, and by which attempt, while it is not the one that counts.
    sent_pin: Option<(u64, Box<str>)>,
    /// Why the Secret with the PIN could not be created, in the words of the cluster.
    pub(super) pin_not_created: Option<Box<str>>,
}

impl Volatile {
    /// Remembers a value for `life` from `now`.
    pub fn remember(&mut self, value: &SecretString, now: Timestamp, life: Duration) {
        let until = now + life;
        self.forget(now);
        match self.values.iter_mut().find(|(kept, _)| same(kept, value)) {
            Some((_, end)) => *end = until,
            None => {
                if self.values.len() == VALUES_KEPT {
                    self.values.remove(0);
                }
                self.values.push((value.clone(), until));
            }
        }
    }

    /// Whether this value was seen, and its code may still live.
    pub fn has_seen(&self, value: &SecretString, now: Timestamp) -> bool {
        self.values.iter().any(|(kept, until)| *until > now && same(kept, value))
    }

    /// What is known of the PIN that counts, for whoever keeps no more than that.
    pub fn known_pin(&self) -> Option<u64> {
        self.pin
    }

    /// Of a channel of which only that was kept.
    pub fn of_pin(pin: Option<u64>) -> Self {
        Self { pin, ..Self::default() }
    }

    /// Remembers the PIN that counts.
    pub fn note_pin(&mut self, pin: &SecretString) {
        let sum = sum(pin);
        self.pin = Some(sum);
        self.sent_pin.take_if(|(sent, _)| *sent == sum);
    }

    /// Remembers the PIN that an attempt sent.
    pub fn note_sent_pin(&mut self, pin: &SecretString, attempt: &str) {
        self.sent_pin = Some((sum(pin), attempt.into()));
    }

    /// The attempt that sent this PIN, if that was the last one.
    pub fn sent_by(&self, pin: &SecretString) -> Option<&str> {
        self.sent_pin.as_ref().filter(|(sent, _)| *sent == sum(pin)).map(|(_, attempt)| &**attempt)
    }

    /// Whether this is the PIN that counts. Not after a restart: then the version of the Secret alone decides.
    pub fn is_pin(&self, pin: &SecretString) -> bool {
        self.pin == Some(sum(pin))
    }

    /// Whether no status is written for changed facts alone.
    pub(super) fn are_facts_paused(&self, now: Timestamp) -> bool {
        is_on(self.facts_paused, now)
    }

    /// None is, for this long.
    pub(super) fn pause_facts(&mut self, now: Timestamp, pause: Duration) {
        self.facts_paused = Some((now, later(now, pause)));
    }

    /// Whether it holds nothing that the next pass would miss. That attempts are kept is looked up again, and a PIN that is
    /// sent once more changes nothing.
    pub fn is_spare(&self, now: Timestamp) -> bool {
        let Self { values, stood, picture, facts_paused, keeping: _, pin: _, sent_pin, pin_not_created } =
            self;
        values.iter().all(|(_, until)| *until <= now)
            && *stood == Stood::default()
            && *picture == PictureFacts::default()
            && !is_on(*facts_paused, now)
            && sent_pin.is_none()
            && pin_not_created.is_none()
    }

    /// Whether it holds nothing but what [`Self::of_pin`] begins with.
    pub fn is_empty(&self, now: Timestamp) -> bool {
        self.is_spare(now) && self.keeping.is_empty()
    }

    /// Drops what is older than its code's life, which is as long as a value is kept.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.values.retain(|(_, until)| *until > now);
    }
}

/// Whether a pause is not over. One that was noted before the clock was set back is.
fn is_on(pause: Option<(Timestamp, Timestamp)>, now: Timestamp) -> bool {
    pause.is_some_and(|(since, until)| now < until && !is_set_back(since, now))
}

/// Six digits could be found from a plain digest, so the key is random, and both stay in this process.
fn sum(pin: &SecretString) -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEY.hash_one(pin.expose_secret())
}

fn same(a: &SecretString, b: &SecretString) -> bool {
    a.expose_secret() == b.expose_secret()
}

/// What a Secret is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Code,
    Pin,
    VerifyToken,
}

/// Reads one Secret and returns only whether and in which version it exists: a cheap poll.
pub async fn glance<S: Secrets>(secrets: &S, purpose: Purpose, key: &SecretKey) -> SecretFact {
    let read = Some(secrets.read(key).await);
    match purpose {
        Purpose::Code => digits_fact(Digits::Code, read, &mut None, |_| false),
        Purpose::Pin => digits_fact(Digits::Pin, read, &mut None, |_| false),
        Purpose::VerifyToken => token_fact(read, &mut None),
    }
}

/// Whether two facts are about the same version of a Secret. One that could not be read says nothing.
pub fn is_same_version(before: &SecretFact, now: &SecretFact) -> bool {
    match (before, now) {
        (_, SecretFact::Unreadable(_)) => true,
        _ => match (before.version(), now.version()) {
            (Some(before), Some(now)) => before == now,
            (None, None) => before == now,
            _ => false,
        },
    }
}

/// What a Secret of six digits is for; people write codes as Meta shows them, with a hyphen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Digits {
    Code,
    Pin,
}

/// Six digits, with surrounding white space dropped, and inside a code any hyphen or space.
fn six_digits(what: Digits, value: &SecretString) -> Option<SecretString> {
    let dropped = |c: &char| what == Digits::Code && matches!(c, '-' | ' ');
    let digits: String = value.expose_secret().trim().chars().filter(|c| !dropped(c)).collect();
    (digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.into())
}

/// The fact about a Secret that must hold six digits; the digits go to `material`.
pub(super) fn digits_fact(
    what: Digits,
    read: Option<SecretRead>,
    material: &mut Option<SecretString>,
    seen: impl FnOnce(&SecretString) -> bool,
) -> SecretFact {
    let (version, value) = match read {
        None => return SecretFact::NotAsked,
        Some(SecretRead::Missing) => return SecretFact::Missing,
        Some(SecretRead::Forbidden(why)) => return SecretFact::Forbidden(why),
        Some(SecretRead::Failed(why)) => return SecretFact::Unreadable(why),
        Some(SecretRead::TooLarge { version, .. }) => return malformed(version),
        Some(SecretRead::Found { version, value: None, .. }) => return SecretFact::KeyMissing { version },
        Some(SecretRead::Found { version, value: Some(value), .. }) => (version, value),
    };
    if value.expose_secret().trim().is_empty() {
        return SecretFact::KeyMissing { version };
    }
    match six_digits(what, &value) {
        Some(digits) => {
            let seen_before = seen(&digits);
            *material = Some(digits);
            SecretFact::Present { version, well_formed: true, seen_before }
        }
        None => malformed(version),
    }
}

fn malformed(version: SecretVersion) -> SecretFact {
    SecretFact::Present { version, well_formed: false, seen_before: false }
}

/// The fact about a verify token. It goes to the user's own URL, so without the label nothing of the content
/// is used or told, not even whether the key is there.
pub(super) fn token_fact(read: Option<SecretRead>, material: &mut Option<SecretString>) -> SecretFact {
    match read {
        None => SecretFact::NotAsked,
        Some(SecretRead::Missing) => SecretFact::Missing,
        Some(SecretRead::Forbidden(why)) => SecretFact::Forbidden(why),
        Some(SecretRead::Failed(why)) => SecretFact::Unreadable(why),
        Some(
            SecretRead::Found { is_verify_token: false, .. }
            | SecretRead::TooLarge { is_verify_token: false, .. },
        ) => SecretFact::Unlabelled,
        Some(SecretRead::TooLarge { version, .. }) => malformed(version),
        Some(SecretRead::Found { version, value, .. }) => {
            match value.filter(|v| !v.expose_secret().trim().is_empty()) {
                None => SecretFact::KeyMissing { version },
                Some(value) if value.expose_secret().trim().len() > LONGEST => malformed(version),
                Some(value) => {
                    *material = Some(value.expose_secret().trim().to_owned().into());
                    SecretFact::Present { version, well_formed: true, seen_before: false }
                }
            }
        }
    }
}

/// The fact about a verify token that is read by itself, and the token where it can be used.
pub fn verify_token(read: SecretRead) -> (SecretFact, Option<SecretString>) {
    let mut token = None;
    let fact = token_fact(Some(read), &mut token);
    (fact, token)
}

/// The fact about a Secret that may hold any token, and version and value beside it when they can be used.
pub fn credential_fact(read: SecretRead) -> (SecretFact, Option<(SecretVersion, SecretString)>) {
    match read {
        SecretRead::Missing => (SecretFact::Missing, None),
        SecretRead::Forbidden(why) => (SecretFact::Forbidden(why), None),
        SecretRead::Failed(why) => (SecretFact::Unreadable(why), None),
        SecretRead::TooLarge { version, .. } => (malformed(version), None),
        SecretRead::Found { version, value: None, .. } => (SecretFact::KeyMissing { version }, None),
        SecretRead::Found { version, value: Some(value), .. } => {
            if value.expose_secret().trim().is_empty() {
                return (SecretFact::KeyMissing { version }, None);
            }
            let well_formed = is_of_meta(value.expose_secret());
            let fact = SecretFact::Present { version: version.clone(), well_formed, seen_before: false };
            (fact, well_formed.then_some((version, value)))
        }
    }
}

/// Whether a text can be a token or an app secret: visible ASCII, and no file that came under the key by mistake, for
/// which Meta's servers and those before them have an answer of their own. A line break at its end is from writing it by
/// hand.
pub fn is_of_meta(text: &str) -> bool {
    let text = text.trim();
    text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: Option<&str>, is_verify_token: bool) -> Option<SecretRead> {
        let version = SecretVersion { uid: "u".into(), resource_version: "1".into() };
        Some(SecretRead::Found { version, value: value.map(SecretString::from), is_verify_token })
    }

    fn code(value: &str) -> (SecretFact, Option<String>) {
        let mut material = None;
        let fact = digits_fact(Digits::Code, found(Some(value), false), &mut material, |_| false);
        (fact, material.map(|m| m.expose_secret().to_owned()))
    }

    #[test]
    fn a_code_is_taken_as_people_write_it() {
        for written in ["123456", "123-456", "123 456", " 123456\n"] {
            let (fact, digits) = code(written);
            assert!(matches!(fact, SecretFact::Present { well_formed: true, .. }), "{written}");
            assert_eq!(digits.as_deref(), Some("123456"));
        }
        for written in ["12345", "1234567", "12345a", "１２３４５６"] {
            assert!(
                matches!(code(written), (SecretFact::Present { well_formed: false, .. }, None)),
                "{written}"
            );
        }
        assert!(matches!(code(" "), (SecretFact::KeyMissing { .. }, None)));
    }

    #[test]
    fn a_pin_is_taken_as_it_stands() {
        let mut material = None;
        let fact = digits_fact(Digits::Pin, found(Some("123-456"), false), &mut material, |_| false);
        assert!(matches!(fact, SecretFact::Present { well_formed: false, .. }));
        assert!(material.is_none());
    }

    #[test]
    fn without_its_label_nothing_is_said_about_a_verify_token() {
        for value in [None, Some(""), Some("hunter2")] {
            let mut material = None;
            assert_eq!(token_fact(found(value, false), &mut material), SecretFact::Unlabelled);
            assert!(material.is_none());
        }
        let mut material = None;
        let fact = token_fact(found(Some("hunter2\n"), true), &mut material);
        assert!(matches!(fact, SecretFact::Present { well_formed: true, .. }));
        assert_eq!(material.map(|m| m.expose_secret().to_owned()).as_deref(), Some("hunter2"));
    }

    #[test]
    fn a_pause_of_facts_is_over_when_its_time_has_come_or_the_clock_was_set_back() {
        let at = |second: i64| Timestamp::from_second(1_764_000_000 + second).unwrap();
        let mut volatile = Volatile::default();
        volatile.pause_facts(at(0), Duration::from_secs(600));
        for (second, is_on) in [(-3_600, false), (-30, true), (599, true), (600, false), (3_600, false)] {
            assert_eq!(volatile.are_facts_paused(at(second)), is_on, "{second}");
            assert_eq!(volatile.is_spare(at(second)), !is_on, "{second}");
        }
    }

    #[test]
    fn a_value_that_was_seen_is_no_answer_for_the_life_of_its_code() {
        let life = Duration::from_secs(900);
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let (old, new) = (SecretString::from("111111"), SecretString::from("222222"));
        let mut volatile = Volatile::default();
        volatile.remember(&old, at(0), life);
        assert!(volatile.has_seen(&old, at(899)));
        assert!(!volatile.has_seen(&new, at(1)));
        assert!(!volatile.has_seen(&old, at(900)));
        volatile.forget(at(900));
        assert!(volatile.values.is_empty(), "kept no longer than that");
        for n in 0..20 {
            volatile.remember(&SecretString::from(format!("{n:06}")), at(1), life);
        }
        assert!(volatile.values.len() <= VALUES_KEPT);
    }

    #[test]
    fn the_pin_that_was_sent_last_is_known_again_until_it_is_the_one_that_counts() {
        let [a, b] = ["111111", "222222"].map(SecretString::from);
        let now = Timestamp::from_second(0).unwrap();
        let mut volatile = Volatile::default();
        volatile.note_sent_pin(&a, "one");
        assert_eq!((volatile.sent_by(&a), volatile.sent_by(&b)), (Some("one"), None));
        assert!(!volatile.is_spare(now), "it is not dropped while it may save a registration");
        volatile.note_sent_pin(&b, "two");
        assert_eq!((volatile.sent_by(&a), volatile.sent_by(&b)), (None, Some("two")), "the last one alone");
        volatile.note_pin(&a);
        assert_eq!(volatile.sent_by(&b), Some("two"));
        volatile.note_pin(&b);
        assert!(volatile.sent_by(&b).is_none() && volatile.is_spare(now));
    }

    #[test]
    fn the_pin_that_counts_is_known_again_and_no_other() {
        let [pin, other] = ["482913", "775533"].map(SecretString::from);
        let mut volatile = Volatile::default();
        assert!(!volatile.is_pin(&pin), "nothing is known after a start");
        volatile.note_pin(&pin);
        assert!(volatile.is_pin(&pin) && !volatile.is_pin(&other));
        volatile.note_pin(&other);
        assert!(!volatile.is_pin(&pin) && volatile.is_pin(&other));
    }

    #[test]
    fn a_secret_that_cannot_be_read_says_nothing_new() {
        let version = |n: &str| SecretFact::KeyMissing {
            version: SecretVersion { uid: "u".into(), resource_version: n.into() },
        };
        assert!(is_same_version(&version("1"), &SecretFact::Unreadable("down".into())));
        assert!(is_same_version(&version("1"), &version("1")));
        assert!(!is_same_version(&version("1"), &version("2")));
        assert!(!is_same_version(&SecretFact::Missing, &version("1")));
        assert!(is_same_version(&SecretFact::Missing, &SecretFact::Missing));
    }

    #[test]
    fn a_credential_that_cannot_be_one_is_told_and_not_handed_on() {
        let credential = |value| found(value, false).map(credential_fact).unwrap();
        assert!(matches!(
            credential(Some("EAAx1")),
            (SecretFact::Present { well_formed: true, .. }, Some(_))
        ));
        assert!(matches!(credential(Some("EAA x1")), (SecretFact::Present { well_formed: false, .. }, None)));
        for nothing in [None, Some(" \n")] {
            assert!(matches!(credential(nothing), (SecretFact::KeyMissing { .. }, None)));
        }
    }

    #[test]
    fn what_is_too_long_is_malformed_and_its_version_is_known() {
        let version = || SecretVersion { uid: "u".into(), resource_version: "1".into() };
        let read = |is_verify_token| SecretRead::TooLarge { version: version(), is_verify_token };
        let malformed = malformed(version());
        for what in [Digits::Code, Digits::Pin] {
            assert_eq!(digits_fact(what, Some(read(false)), &mut None, |_| false), malformed);
        }
        assert_eq!(token_fact(Some(read(true)), &mut None), malformed);
        assert_eq!(token_fact(Some(read(false)), &mut None), SecretFact::Unlabelled);
        let (fact, credential) = credential_fact(read(false));
        assert!(fact == malformed && credential.is_none());

        let mut material = None;
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(token_fact(found(Some(&long), true), &mut material), malformed);
        assert!(material.is_none(), "none of it is sent");
    }

    #[test]
    fn only_visible_ascii_can_be_a_token() {
        for (text, expected) in [
            ("EAAx1\n", true),
            ("EAA x1", false),
            ("EAA\nx1", false),
            ("“EAAx1”", false),
            ("EAAx1\u{200b}", false),
        ] {
            assert_eq!(is_of_meta(text), expected, "{text:?}");
        }
        assert!(is_of_meta(&("x".repeat(LONGEST) + "\n")));
        assert!(!is_of_meta(&"x".repeat(LONGEST + 1)));
    }
}
