//! The app's own webhook: is it the desired one, and may it be written?

use jiff::Timestamp;

use crate::engine::{
    assess::apply,
    rule::{drift::same_url, say, waiting::of_reason},
    value::{
        condition::{Condition, ConditionSet, Truth},
        condition_type::ConditionType,
        desired::{DesiredAppWebhook, DesiredPortfolio},
        failure::Failure,
        id::Fact,
        portfolio::AppSubscription,
        reason::{Reason, ReasonKind},
        secret::{SecretFact, Unread},
        status::WaitingFor,
    },
};

/// What is known of the app's own webhook.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppObserved {
    /// What the app has; nothing, where it has none.
    pub live: Fact<Option<AppSubscription>>,
    /// Addresses that this object set, or was about to set.
    pub written: Vec<String>,
    /// Addresses of others that it replaced already, since somebody last asked for that.
    pub adopted: Vec<String>,
    /// Read only where something is to be written.
    pub verify_token: SecretFact,
    /// Since when its Secret cannot be read.
    pub unread: Option<Unread>,
    /// How often it was written since it was last edited.
    pub tries: u32,
    /// Why the last write did not do.
    pub refused: Option<Failure>,
}

/// How the live webhook stands to the desired one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It could not be read, or was not asked for.
    Unread,
    Same,
    /// Somebody else set it: its address.
    Foreign(String),
    /// It may be written, with these fields.
    Differs {
        what: String,
        fields: Vec<String>,
    },
}

/// Compares them.
///
/// Fields that the app receives beyond those that are desired stay: whether a write takes away what it leaves out is not
/// known, so it names them all.
pub fn standing(desired: &DesiredAppWebhook, observed: &AppObserved) -> Standing {
    let Fact::Known(live) = &observed.live else { return Standing::Unread };
    let nothing = AppSubscription::default();
    let live = live.as_ref().unwrap_or(&nothing);
    let is_desired = |url: &String| same_url(url, &desired.callback_url);
    let is_own = |url: &String| observed.written.iter().any(|own| same_url(own, url));
    // Whoever sets it again has the last word: two who replace each other's would go on for ever. No more addresses are
    // remembered than status has room for, so nothing is replaced that could not be remembered.
    let may_adopt = |url: &String| desired.adopt && !was_adopted(observed, url) && !is_full(observed);
    let missing: Vec<&str> =
        desired.fields.iter().filter(|field| !live.fields.contains(*field)).map(String::as_str).collect();
    let what = match &live.callback_url {
        None => "the app has no webhook".to_owned(),
        Some(url) if !is_desired(url) && !is_own(url) && !may_adopt(url) => {
            return Standing::Foreign(url.clone());
        }
        Some(url) if !is_desired(url) => format!("the app's webhook is {url}"),
        Some(_) if live.is_active == Some(false) => "Meta shows the app's webhook as not active".to_owned(),
        Some(_) if !missing.is_empty() => format!("the app is not told of {}", missing.join(", ")),
        Some(_) => return Standing::Same,
    };
    let mut fields = live.fields.clone();
    fields.extend(desired.fields.iter().cloned());
    Standing::Differs { what, fields: fields.into_iter().collect() }
}

fn was_adopted(observed: &AppObserved, url: &str) -> bool {
    observed.adopted.iter().any(|theirs| same_url(theirs, url))
}

/// Addresses of others that are replaced by one consent, at most.
pub const MOST_ADOPTED: usize = 4;

fn is_full(observed: &AppObserved) -> bool {
    observed.adopted.len() >= MOST_ADOPTED
}

/// Sets the condition of the app's webhook among the others of its portfolio, and asks for what a person has to do.
pub fn assess_app(
    desired: &DesiredPortfolio,
    observed: &AppObserved,
    (before, waiting_before): (&ConditionSet, &[WaitingFor]),
    (set, waiting_for): (&mut ConditionSet, &mut Vec<WaitingFor>),
    now: Timestamp,
) {
    let kind = ConditionType::AppWebhookSet;
    let Some(webhook) = &desired.app_webhook else { return set.remove(kind) };
    let told = before.get(kind).map_or("", |c| c.message.as_str());
    let judged = judge(webhook, observed, told, now).map(|judged| (judged, desired.generation));
    let stands = before.get(kind).map(|c| ((c.status, c.reason, c.message.clone()), c.observed_generation));
    // What cannot be read any more is as it was.
    let is_kept = stands.as_ref().is_some_and(|((status, ..), _)| *status != Truth::Unknown);
    let judged = judged.filter(|((status, ..), _)| *status != Truth::Unknown || !is_kept);
    let ((status, reason, message), observed_generation) = judged.or(stands).unwrap_or_else(|| {
        let message = "not read from Meta yet".to_owned();
        ((Truth::Unknown, Reason::NotObservedYet, message), desired.generation)
    });
    if status != Truth::True && reason.kind() == ReasonKind::Person {
        let asked = of_reason(reason, Some(&desired.business), now);
        waiting_for.extend(asked.map(|wait| {
            let before = waiting_before.iter().find(|old| old.action == wait.action);
            WaitingFor { since: before.map_or(now, |old| old.since), ..wait }
        }));
    }
    apply::place(set, before, Condition { kind, status, reason, message, since: now, observed_generation });
}

/// `told` is the message that stands.
fn judge(
    desired: &DesiredAppWebhook,
    observed: &AppObserved,
    told: &str,
    now: Timestamp,
) -> Option<(Truth, Reason, String)> {
    let what = match standing(desired, observed) {
        Standing::Unread => {
            let Fact::Unknown(failure) = &observed.live else { return None };
            // What was not answered says nothing.
            let refusal = failure.is_answer().then(|| failure.told())?;
            let message = format!("Meta does not show the app's webhook: {refusal}");
            return Some((Truth::Unknown, Reason::AppWebhookNotReadable, message));
        }
        Standing::Same => {
            let message = "the app's webhook is callbackUrl, with every field of spec.appWebhook".to_owned();
            return Some((Truth::True, Reason::AppWebhookMatches, message));
        }
        Standing::Foreign(url) => {
            let again = match desired.adopt {
                true if was_adopted(observed, &url) => {
                    "; it was replaced once, and somebody set it again; find out who, for example another operator with the same app; an edit, or the annotation whatsapp-operator.dev/reconcile, replaces it once more"
                }
                true if is_full(observed) => {
                    "; addresses of others were replaced four times already, and somebody sets new ones; find out who, for example another operator with the same app; an edit, or the annotation whatsapp-operator.dev/reconcile, replaces this one too"
                }
                _ => "",
            };
            let message = format!("the app's webhook is {url}, which this object did not set{again}");
            return Some((Truth::False, Reason::AppWebhookForeign, message));
        }
        Standing::Differs { what, .. } => what,
    };
    if let Some(why) = not_usable(desired, &observed.verify_token) {
        return Some((Truth::False, Reason::AppVerifyTokenNotUsable, format!("{what}; {why}")));
    }
    let (reason, message) = match &observed.refused {
        Some(Failure::Refused(refusal)) => {
            (Reason::AppWebhookRefused, format!("{what}; Meta refused the write: {}", say::words(refusal)))
        }
        None if observed.tries >= TRIES => (
            Reason::AppWebhookRefused,
            format!("{what}; Meta accepted the write {} times and does not show it", observed.tries),
        ),
        Some(_) | None => (Reason::AppWebhookDiffers, with_unread(what, desired, observed, told, now)),
    };
    Some((Truth::False, reason, message))
}

/// Writes that Meta accepts without any effect, before a person is asked.
const TRIES: u32 = 3;

fn not_usable(desired: &DesiredAppWebhook, token: &SecretFact) -> Option<String> {
    let name = &desired.verify_token.name;
    Some(match token {
        SecretFact::NotAsked | SecretFact::Present { well_formed: true, .. } | SecretFact::Unreadable(_) => {
            return None;
        }
        SecretFact::Present { .. } => {
            format!("the verify token in Secret {name} is longer than 4 KiB; write a shorter one there")
        }
        SecretFact::Missing => format!("there is no Secret {name}"),
        SecretFact::KeyMissing { .. } => format!("Secret {name} has no text under the key"),
        SecretFact::Forbidden(why) => say::forbidden(&format!("Secret {name}"), None, why),
        SecretFact::Unlabelled => {
            format!("Secret {name} does not carry the label whatsapp-operator.dev/use=verify-token")
        }
    })
}

/// Adds what passes by itself, and holds the write up until then. Told once, it stays: a new process has not seen it begin.
fn with_unread(
    what: String,
    desired: &DesiredAppWebhook,
    observed: &AppObserved,
    told: &str,
    now: Timestamp,
) -> String {
    let Some(unread) = &observed.unread else { return what };
    let begin = format!("{what}; Secret {} could not be read from the cluster", desired.verify_token.name);
    if told.starts_with(&begin) {
        return told.to_owned();
    }
    if !unread.is_lasting(now) {
        return what;
    }
    let Unread { since, why } = unread;
    format!("{begin} since {} ({why}); it is read again by itself", say::time(*since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{
        fixture::{self, now},
        value::{action::Action, desired::SecretKey, failure::Class, secret::SecretVersion},
    };

    const OURS: &str = "https://bot.acme.example/wa";
    const THEIRS: &str = "https://crm.example/wa";

    fn desired() -> DesiredAppWebhook {
        DesiredAppWebhook {
            callback_url: OURS.into(),
            verify_token: SecretKey { name: "bot".into(), key: "verify".into() },
            fields: vec!["messages".into()],
            adopt: false,
        }
    }

    fn live(url: &str, fields: &[&str]) -> AppObserved {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        let live = AppSubscription { callback_url: Some(url.into()), is_active: Some(true), fields };
        AppObserved { live: Fact::Known(Some(live)), ..AppObserved::default() }
    }

    fn fields(standing: Standing) -> Vec<String> {
        match standing {
            Standing::Differs { fields, .. } => fields,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_webhook_that_is_as_desired_is_left_alone_whatever_else_it_is_told_of() {
        assert_eq!(standing(&desired(), &live(OURS, &["messages"])), Standing::Same);
        assert_eq!(standing(&desired(), &live(OURS, &["account_update", "messages"])), Standing::Same);
    }

    #[test]
    fn an_address_that_differs_by_its_last_slash_is_of_somebody_else() {
        let theirs = live("https://bot.acme.example/wa/", &[]);
        let foreign = Standing::Foreign("https://bot.acme.example/wa/".into());
        assert_eq!(standing(&desired(), &theirs), foreign, "however its fields are");
        let own = AppObserved { written: vec!["https://bot.acme.example/wa/".into()], ..theirs };
        assert_eq!(fields(standing(&desired(), &own)), ["messages"], "and an edit of ours is followed");
    }

    #[test]
    fn where_there_is_none_it_is_written() {
        let none = AppObserved { live: Fact::Known(None), ..AppObserved::default() };
        assert_eq!(fields(standing(&desired(), &none)), ["messages"]);
    }

    #[test]
    fn a_write_names_the_fields_that_are_there_already() {
        let lacking = live(OURS, &["account_update"]);
        assert_eq!(fields(standing(&desired(), &lacking)), ["account_update", "messages"]);
        let mut off = live(OURS, &["messages"]);
        if let Fact::Known(Some(live)) = &mut off.live {
            live.is_active = Some(false);
        }
        assert_eq!(fields(standing(&desired(), &off)), ["messages"]);
    }

    #[test]
    fn what_somebody_else_set_is_replaced_only_with_consent() {
        let foreign = live(THEIRS, &["messages"]);
        assert_eq!(standing(&desired(), &foreign), Standing::Foreign(THEIRS.into()));
        let adopting = DesiredAppWebhook { adopt: true, ..desired() };
        assert_eq!(fields(standing(&adopting, &foreign)), ["messages"]);
        let own = AppObserved { written: vec![THEIRS.into()], ..foreign };
        assert_eq!(fields(standing(&desired(), &own)), ["messages"], "it was this object's before an edit");
    }

    #[test]
    fn an_address_that_comes_back_after_it_was_replaced_has_the_last_word() {
        let adopting = DesiredAppWebhook { adopt: true, ..desired() };
        let adopted = |url: &str| AppObserved { adopted: vec![url.into()], ..live(THEIRS, &["messages"]) };
        assert_eq!(standing(&adopting, &adopted(THEIRS)), Standing::Foreign(THEIRS.into()));
        let (_, reason, message) = judge(&adopting, &adopted(THEIRS), "", now()).expect("a judgement");
        assert!(reason == Reason::AppWebhookForeign && message.contains("replaced once"), "{message}");
        let other = adopted("https://old.example/wa");
        assert_eq!(fields(standing(&adopting, &other)), ["messages"], "each address once");
        let (.., message) = judge(&desired(), &adopted(THEIRS), "", now()).expect("a judgement");
        assert!(!message.contains("replaced once"), "nobody asks for that any more: {message}");
    }

    #[test]
    fn an_address_that_could_not_be_remembered_is_not_replaced() {
        let adopting = DesiredAppWebhook { adopt: true, ..desired() };
        let adopted = |most: usize| {
            let adopted = (0..most).map(|n| format!("https://{n}.example/wa")).collect();
            AppObserved { adopted, ..live(THEIRS, &["messages"]) }
        };
        assert_eq!(fields(standing(&adopting, &adopted(MOST_ADOPTED - 1))), ["messages"]);
        let full = adopted(MOST_ADOPTED);
        assert_eq!(standing(&adopting, &full), Standing::Foreign(THEIRS.into()));
        let (_, reason, message) = judge(&adopting, &full, "", now()).expect("a judgement");
        assert!(reason == Reason::AppWebhookForeign && message.contains("four times"), "{message}");
        let (.., message) = judge(&desired(), &full, "", now()).expect("a judgement");
        assert!(!message.contains("four times"), "nobody asks for that any more: {message}");
        let own = AppObserved { adopted: full.adopted, ..live(OURS, &[]) };
        assert_eq!(fields(standing(&adopting, &own)), ["messages"], "an address of ours is kept up");
    }

    #[test]
    fn what_was_not_read_is_neither_written_nor_judged() {
        let silent = Fact::Unknown(Failure::NoAnswer("time-out".into()));
        for unread in [Fact::NotAsked, silent] {
            let observed = AppObserved { live: unread, ..AppObserved::default() };
            assert_eq!(standing(&desired(), &observed), Standing::Unread);
            assert_eq!(judge(&desired(), &observed, "", now()), None);
        }
    }

    fn refusal() -> Failure {
        let refusal = fixture::refusal(2200, None, "T1");
        Failure::Refused(crate::engine::failure::Refusal { class: Class::Person, ..refusal })
    }

    #[test]
    fn each_state_has_its_reason() {
        let differs = live(OURS, &[]);
        let with = |observed: AppObserved| {
            judge(&desired(), &observed, "", now()).map(|(truth, reason, _)| (truth, reason))
        };
        let version = SecretVersion { uid: "u".into(), resource_version: "1".into() };
        let present = SecretFact::Present { version, well_formed: true, seen_before: false };
        for (observed, expected) in [
            (live(OURS, &["messages"]), (Truth::True, Reason::AppWebhookMatches)),
            (live(THEIRS, &["messages"]), (Truth::False, Reason::AppWebhookForeign)),
            (differs.clone(), (Truth::False, Reason::AppWebhookDiffers)),
            (
                AppObserved { verify_token: SecretFact::Unlabelled, ..differs.clone() },
                (Truth::False, Reason::AppVerifyTokenNotUsable),
            ),
            (
                AppObserved { verify_token: SecretFact::Missing, ..differs.clone() },
                (Truth::False, Reason::AppVerifyTokenNotUsable),
            ),
            (
                AppObserved { verify_token: present, refused: Some(refusal()), tries: 1, ..differs.clone() },
                (Truth::False, Reason::AppWebhookRefused),
            ),
            (AppObserved { tries: TRIES, ..differs.clone() }, (Truth::False, Reason::AppWebhookRefused)),
            (AppObserved { tries: TRIES - 1, ..differs }, (Truth::False, Reason::AppWebhookDiffers)),
            (
                AppObserved { live: Fact::Unknown(refusal()), ..AppObserved::default() },
                (Truth::Unknown, Reason::AppWebhookNotReadable),
            ),
        ] {
            assert_eq!(with(observed.clone()), Some(expected), "{observed:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_verify_token_is_told_in_the_words_of_the_cluster() {
        let told = |verify_token| {
            let observed = AppObserved { verify_token, ..live(OURS, &[]) };
            judge(&desired(), &observed, "", now())
                .map(|(_, reason, message)| (reason, message))
                .expect("a judgement")
        };
        let version = SecretVersion { uid: "u".into(), resource_version: "1".into() };
        let too_long = SecretFact::Present { version, well_formed: false, seen_before: false };
        for (token, expected, says) in [
            (too_long, Reason::AppVerifyTokenNotUsable, "Secret bot is longer than 4 KiB"),
            (
                SecretFact::Forbidden("rule 7: ask team-x".into()),
                Reason::AppVerifyTokenNotUsable,
                "(rule 7: ask team-x)",
            ),
        ] {
            let (reason, message) = told(token);
            assert!(reason == expected && message.contains(says), "{reason:?}: {message}");
        }
    }

    #[test]
    fn a_verify_token_that_cannot_be_read_for_long_is_told_in_words_that_stay() {
        let at = |minutes: u64| now() + std::time::Duration::from_secs(60 * minutes);
        let message = |since: u64, looked: u64, why: &str, told: &str| {
            let verify_token = SecretFact::Unreadable(format!("{why}, request {looked}"));
            let unread = Some(Unread { since: at(since), why: why.into() });
            let observed = AppObserved { verify_token, unread, ..live(OURS, &[]) };
            let (_, reason, message) = judge(&desired(), &observed, told, at(looked)).expect("a judgement");
            assert_eq!(reason, Reason::AppWebhookDiffers);
            message
        };
        let plain = message(0, 0, "error decrypting key", "");
        assert_eq!(plain, "the app is not told of messages");
        assert_eq!(message(0, 4, "error decrypting key", &plain), plain);
        let told = message(0, 5, "error decrypting key", &plain);
        assert!(
            told.starts_with(&plain) && told.contains("Secret bot could not be read from the cluster since")
        );
        assert!(told.contains("(error decrypting key)"), "{told}");
        assert_eq!(message(0, 600, "error decrypting key", &told), told);
        // After a restart it is as if it had begun now.
        for looked in [600, 610] {
            assert_eq!(message(600, looked, "another word", &told), told);
        }
        let readable = judge(&desired(), &live(OURS, &[]), &told, at(611)).expect("a judgement");
        assert_eq!(readable.2, plain);
    }

    #[test]
    fn the_condition_is_there_only_when_managed_and_asks_for_a_person_since_the_first_look() {
        let mut portfolio = fixture::desired_portfolio();
        let (none, mut set, mut waits) = (ConditionSet::default(), ConditionSet::default(), Vec::new());
        let foreign = live(THEIRS, &["messages"]);
        assess_app(&portfolio, &foreign, (&none, &[]), (&mut set, &mut waits), now());
        assert!(set.get(ConditionType::AppWebhookSet).is_none() && waits.is_empty());
        portfolio.app_webhook = Some(desired());
        assess_app(&portfolio, &foreign, (&none, &[]), (&mut set, &mut waits), now());
        assert_eq!(waits[0].action, Action::AdoptAppWebhook.as_str());
        assert!(waits[0].if_done.is_some(), "{waits:?}");
        let (before, waiting) = (set.clone(), waits.clone());
        let later = now() + std::time::Duration::from_secs(60);
        let unread = AppObserved::default();
        let silent =
            AppObserved { live: Fact::Unknown(Failure::NoAnswer("time-out".into())), ..unread.clone() };
        let hidden = AppObserved { live: Fact::Unknown(refusal()), ..unread.clone() };
        for observed in [&foreign, &unread, &silent, &hidden] {
            (set, waits) = (before.clone(), Vec::new());
            assess_app(&portfolio, observed, (&before, &waiting), (&mut set, &mut waits), later);
            assert_eq!((&set, &waits), (&before, &waiting), "nothing changes merely because somebody looked");
        }
    }

    #[test]
    fn a_webhook_that_becomes_unreadable_leaves_its_condition_as_it_was() {
        let mut portfolio = fixture::desired_portfolio();
        portfolio.app_webhook = Some(desired());
        let hidden = AppObserved { live: Fact::Unknown(refusal()), ..AppObserved::default() };
        let after = |shown: &[&AppObserved]| {
            let mut before = ConditionSet::default();
            for observed in shown {
                let (mut set, mut waits) = (before.clone(), Vec::new());
                assess_app(&portfolio, observed, (&before, &[]), (&mut set, &mut waits), now());
                before = set;
            }
            before.get(ConditionType::AppWebhookSet).map(|c| (c.status, c.reason))
        };
        let (matching, lacking) = (live(OURS, &["messages"]), live(OURS, &[]));
        assert_eq!(after(&[&matching, &hidden]), Some((Truth::True, Reason::AppWebhookMatches)));
        assert_eq!(after(&[&lacking, &hidden]), Some((Truth::False, Reason::AppWebhookDiffers)));
        assert_eq!(after(&[&hidden]), Some((Truth::Unknown, Reason::AppWebhookNotReadable)));
        assert_eq!(after(&[&hidden, &matching]), Some((Truth::True, Reason::AppWebhookMatches)));
    }
}
