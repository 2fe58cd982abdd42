//! Look + Graph + Secrets → Observed. Gathers, never decides.
//!
//! A read that failed becomes a fact that says so; nothing here turns a failure into
//! an absence. What a Secret holds goes into [`Materials`], never into [`Observed`].

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    engine::{
        desired::{Desired, SecretKey},
        failure::{Class, Failure},
        id::{AccountId, Fact, Field},
        look::{AccountLook, Look, Urgency},
        observed::{Account, Claim, ListState, Observed, PortfolioState, ProcessFacts, Profile, Searched},
        secret::{SecretFact, SecretVersion},
        step::StepKind,
    },
    meta::port::{Clock, Graph},
};

/// How many accounts of one look are read at the same time. The budget is shared anyway; this only bounds sockets.
const ACCOUNTS_AT_ONCE: usize = 4;

/// Values kept of one code; a request and two verifications make three.
const VALUES_KEPT: usize = 8;

/// One read of one Secret, by name. The only way in which `run` sees Secrets.
#[derive(Debug)]
pub enum SecretRead {
    /// A live read said 404.
    Missing,
    Forbidden,
    /// Could not be read now, with why.
    Failed(String),
    Found {
        version: SecretVersion,
        /// The value under the key, if the key is there and is text.
        value: Option<SecretString>,
        /// Whether it carries the label `whatsapp-operator.dev/use: verify-token`.
        is_verify_token: bool,
    },
}

/// Secrets of one namespace, by name.
pub trait Secrets: Send + Sync {
    fn read(&self, key: &SecretKey) -> impl Future<Output = SecretRead> + Send;

    /// Creates the PIN Secret with a random PIN; whoever finds one there reads it.
    fn create_pin(&self, key: &SecretKey) -> impl Future<Output = Result<(), String>> + Send;
}

/// Values that `act` may need, held beside `Observed` and dropped with the pass.
#[derive(Default)]
pub struct Materials {
    pub code: Option<SecretString>,
    pub pin: Option<SecretString>,
    pub verify_token: Option<SecretString>,
}

/// Codes that are no answer: seen when a code was asked for, or tried since.
///
/// In memory only and for the code's life; after a restart the version of the Secret
/// alone decides.
#[derive(Clone, Default)]
pub struct Volatile {
    values: Vec<(SecretString, Timestamp)>,
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

    /// Drops what is older than its code's life, which is as long as a value is kept.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.values.retain(|(_, until)| *until > now);
    }
}

fn same(a: &SecretString, b: &SecretString) -> bool {
    a.expose_secret() == b.expose_secret()
}

/// Gathers what `look` asks for.
///
/// `graph` is `None` while no credential is known to work; then every fact of Meta is
/// unknown. The last success in the process's facts moves when every list that was
/// asked for could be read.
#[allow(clippy::too_many_arguments)]
pub async fn observe<G: Graph, S: Secrets, C: Clock>(
    desired: &Desired,
    look: &Look,
    claim: Claim,
    portfolio: PortfolioState,
    graph: Option<&G>,
    secrets: &S,
    mut process: ProcessFacts,
    clock: &C,
    volatile: &Volatile,
) -> (Observed, Materials) {
    let begun = clock.now();
    let mut materials = Materials::default();
    let (meta, code_secret, pin_secret, verify_token) = futures::join!(
        read_meta(desired, look, graph),
        read_if(look.code_secret, secrets, Some(&desired.verification.code_secret)),
        read_if(look.pin_secret, secrets, Some(&desired.registration.pin_secret)),
        read_if(look.verify_token, secrets, desired.webhook.as_ref().map(|w| &w.verify_token)),
    );
    if let Some(seen) = meta.seen {
        process.last_success = process.last_success.max(Some(seen));
    }
    let now = clock.now();
    let observed = Observed {
        claim,
        portfolio,
        account: meta.account,
        search: meta.search,
        subscribed: meta.subscribed,
        profile: meta.profile,
        code_secret: digits_fact(Digits::Code, code_secret, &mut materials.code, |code| {
            volatile.has_seen(code, now)
        }),
        pin_secret: digits_fact(Digits::Pin, pin_secret, &mut materials.pin, |_| false),
        verify_token: token_fact(verify_token, &mut materials.verify_token),
        held: held(look, graph),
        begun,
        process,
    };
    (observed, materials)
}

/// Asked after the reads, which count against the same budget.
fn held<G: Graph>(look: &Look, graph: Option<&G>) -> BTreeMap<StepKind, Timestamp> {
    let target = look.accounts.iter().find(|wanted| wanted.facts.is_some());
    let (Some(target), Some(graph)) = (target, graph) else { return BTreeMap::new() };
    let held = |kind| Some((kind, graph.held_until(&target.account, kind)?));
    StepKind::AT_META.into_iter().filter_map(held).collect()
}

/// What a Secret is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Code,
    Pin,
    VerifyToken,
}

/// Reads one Secret and tells only its fact: the cheap way to poll a wait.
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

async fn read_if<S: Secrets>(wanted: bool, secrets: &S, key: Option<&SecretKey>) -> Option<SecretRead> {
    match key {
        Some(key) if wanted => Some(secrets.read(key).await),
        _ => None,
    }
}

/// What Meta said in this look.
struct FromMeta {
    account: Fact<Arc<Account>>,
    search: Vec<Searched>,
    subscribed: Fact<bool>,
    profile: Fact<Profile>,
    /// Begin of the oldest list, if every list could be read.
    seen: Option<Timestamp>,
}

async fn read_meta<G: Graph>(desired: &Desired, look: &Look, graph: Option<&G>) -> FromMeta {
    let reads = stream::iter(look.accounts.clone())
        .map(|wanted| read_account(desired, look.urgency, wanted, graph))
        .buffered(ACCOUNTS_AT_ONCE)
        .collect::<Vec<_>>();
    let (reads, subscribed) = futures::join!(reads, read_subscription(look, graph));
    let mut account = Fact::NotAsked;
    let mut search = Vec::with_capacity(reads.len());
    for (searched, facts) in reads {
        if !matches!(facts, Fact::NotAsked) {
            account = facts;
        }
        search.push(searched);
    }
    let profile = read_profile(look, &search, graph).await;
    let seen = seen(&search);
    FromMeta { account, search, subscribed, profile, seen }
}

/// A look counts as a success when at least one list was read whole and none failed.
fn seen(search: &[Searched]) -> Option<Timestamp> {
    if search.iter().any(|s| matches!(s.list, ListState::Failed(_))) {
        return None;
    }
    search
        .iter()
        .filter_map(|s| match s.list {
            ListState::Complete { begun } => Some(begun),
            _ => None,
        })
        .min()
}

fn no_credential() -> Failure {
    Failure::NotSent("no credential of the portfolio is known to work".into())
}

async fn read_account<G: Graph>(
    desired: &Desired,
    urgency: Urgency,
    wanted: AccountLook,
    graph: Option<&G>,
) -> (Searched, Fact<Arc<Account>>) {
    let nothing = |list| Searched { account: wanted.account.clone(), list, numbers: Vec::new() };
    let Some(graph) = graph else {
        let facts = if wanted.facts.is_some() { Fact::Unknown(no_credential()) } else { Fact::NotAsked };
        return (nothing(ListState::Failed(no_credential())), facts);
    };
    let facts = async {
        let Some(not_before) = wanted.facts else { return Fact::NotAsked };
        fact(graph.account(&wanted.account, not_before, urgency).await)
    };
    let (list, facts) = futures::join!(graph.numbers(&wanted.account, wanted.not_before, urgency), facts);
    let searched = match list {
        Ok(list) => Searched {
            account: wanted.account.clone(),
            list: ListState::Complete { begun: list.begun },
            numbers: list.numbers.get(desired.number.digits()).cloned().unwrap_or_default(),
        },
        Err(failure) if is_not_checkable(&failure) => nothing(ListState::NotCheckable(failure)),
        Err(failure) => nothing(ListState::Failed(failure)),
    };
    (searched, facts)
}

/// Refused for good: not for this token, no such object, or an account that Meta restricts (368) or locked (131031).
/// No clock ends any of these, and what cannot be looked into must not hold up every other account for ever.
fn is_not_checkable(failure: &Failure) -> bool {
    failure.refusal().is_some_and(|refusal| {
        let is_for_good = !matches!(refusal.class, Class::Retry | Class::WaitUntil);
        is_for_good && (refusal.denies_object() || refusal.shuts_account())
    })
}

fn fact<T>(read: Result<T, Failure>) -> Fact<T> {
    read.map_or_else(Fact::Unknown, Fact::Known)
}

async fn read_subscription<G: Graph>(look: &Look, graph: Option<&G>) -> Fact<bool> {
    let Some(account) = &look.subscription else { return Fact::NotAsked };
    let Some(graph) = graph else { return Fact::Unknown(no_credential()) };
    let not_before = look
        .accounts
        .iter()
        .find(|wanted| wanted.account == *account)
        .map_or(Timestamp::MIN, |wanted| wanted.not_before);
    fact(graph.subscribed(account, not_before, look.urgency).await)
}

/// The profile from the list where Meta grants the expansion, else by a read of its own.
async fn read_profile<G: Graph>(look: &Look, search: &[Searched], graph: Option<&G>) -> Fact<Profile> {
    let Some((number, max_age)) = &look.profile else { return Fact::NotAsked };
    let mut account: Option<&AccountId> = None;
    for searched in search {
        if let Some(found) = searched.numbers.iter().find(|n| n.id == *number) {
            if let Field::Is(profile) = &found.profile {
                return Fact::Known((**profile).clone());
            }
            account = Some(&searched.account);
        }
    }
    let account = account.or_else(|| look.accounts.first().map(|wanted| &wanted.account));
    match (account, graph) {
        (Some(account), Some(graph)) => fact(graph.profile(account, number, *max_age, look.urgency).await),
        (None, _) => Fact::Unknown(Failure::NotSent("no account was read".into())),
        (_, None) => Fact::Unknown(no_credential()),
    }
}

/// What a Secret of six digits is for; people write codes as Meta shows them, with a hyphen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Digits {
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
fn digits_fact(
    what: Digits,
    read: Option<SecretRead>,
    material: &mut Option<SecretString>,
    seen: impl FnOnce(&SecretString) -> bool,
) -> SecretFact {
    let (version, value) = match read {
        None => return SecretFact::NotAsked,
        Some(SecretRead::Missing) => return SecretFact::Missing,
        Some(SecretRead::Forbidden) => return SecretFact::Forbidden,
        Some(SecretRead::Failed(why)) => return SecretFact::Unreadable(why),
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
        None => SecretFact::Present { version, well_formed: false, seen_before: false },
    }
}

/// The fact about a verify token. It goes to the user's own URL, so without the label nothing of the content
/// is used or told, not even whether the key is there.
fn token_fact(read: Option<SecretRead>, material: &mut Option<SecretString>) -> SecretFact {
    match read {
        None => SecretFact::NotAsked,
        Some(SecretRead::Missing) => SecretFact::Missing,
        Some(SecretRead::Forbidden) => SecretFact::Forbidden,
        Some(SecretRead::Failed(why)) => SecretFact::Unreadable(why),
        Some(SecretRead::Found { is_verify_token: false, .. }) => SecretFact::Unlabelled,
        Some(SecretRead::Found { version, value, .. }) => {
            match value.filter(|v| !v.expose_secret().trim().is_empty()) {
                None => SecretFact::KeyMissing { version },
                Some(value) => {
                    *material = Some(value.expose_secret().trim().to_owned().into());
                    SecretFact::Present { version, well_formed: true, seen_before: false }
                }
            }
        }
    }
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
        assert!(matches!(fact, SecretFact::Present { .. }));
        assert_eq!(material.map(|m| m.expose_secret().to_owned()).as_deref(), Some("hunter2"));
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
    fn an_account_that_is_hidden_or_shut_for_good_is_not_checkable_and_any_other_failure_holds_up() {
        use crate::engine::{face_fixture::refusal, failure::Refusal};
        let refused = |code, subcode, class| {
            is_not_checkable(&Failure::Refused(Refusal { class, ..refusal(code, subcode, "T1") }))
        };
        for (code, subcode) in
            [(10, None), (33, None), (100, Some(33)), (200, None), (803, None), (131_005, None)]
        {
            assert!(refused(code, subcode, Class::Credentials), "{code}");
        }
        for code in [368, 131_031] {
            assert!(refused(code, None, Class::Person), "{code}");
        }
        for (code, class) in [(1, Class::Retry), (80_008, Class::WaitUntil), (190, Class::Credentials)] {
            assert!(!refused(code, None, class), "{code}");
        }
        assert!(!is_not_checkable(&Failure::NoAnswer("time-out".into())));
    }
}
