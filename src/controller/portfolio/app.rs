//! The app's own webhook: read once a day and after an edit, and written where the spec asks for it.
//!
//! The write may be repeated. Its address is noted in status before it is first sent, so that it is known as this
//! object's whatever becomes of the answer, and of the process.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use tracing::{Instrument as _, info};

use crate::{
    api::{lower, v1alpha1::AppWebhookSeen},
    controller::pace,
    engine::{
        assess::portfolio::{AppObserved, Standing, standing},
        condition::{ConditionSet, Truth},
        condition_type::ConditionType,
        desired::{DesiredAppWebhook, DesiredPortfolio},
        drift::same_url,
        failure::Failure,
        id::Fact,
        limits::Limits,
        portfolio::AppSubscription,
        secret::{SecretFact, Unread},
        time::later,
    },
    meta::port::{Clock, Graph},
    run::{
        pass::Shell,
        secret::{Secrets, verify_token},
    },
};

/// A read that is due and gave no answer is made again after this long.
const AGAIN: Duration = Duration::from_secs(300);

/// What this process knows of the app's own webhook.
#[derive(Debug, Default)]
pub struct AppState {
    /// The generation of the spec that this is about.
    generation: Option<i64>,
    /// The day for which it was read.
    day: Option<Timestamp>,
    live: Fact<Option<AppSubscription>>,
    /// When it is read again, beside once a day.
    read_at: Option<Timestamp>,
    /// When it may be written again.
    write_from: Option<Timestamp>,
    tries: u32,
    /// How many of them Meta took.
    taken: u32,
    refused: Option<Failure>,
    verify_token: SecretFact,
    /// Since when its Secret cannot be read.
    unread: Option<Unread>,
}

impl AppState {
    /// When something is due.
    pub fn due(&self) -> Option<Timestamp> {
        self.read_at
    }

    /// Takes note of the spec, and of who wants it looked at now. What status shows of this generation needs no read.
    fn note(&mut self, generation: i64, is_read: bool, is_asked: bool, day: Timestamp, now: Timestamp) {
        if self.generation != Some(generation) {
            *self = Self { generation: Some(generation), day: Some(day), ..Self::default() };
            self.read_at = (!is_read).then_some(now);
        }
        if is_asked {
            (self.read_at, self.write_from, self.tries, self.taken) = (Some(now), None, 0, 0);
        }
    }

    fn is_due(&self, day: Timestamp, now: Timestamp) -> bool {
        self.day != Some(day) || self.read_at.is_some_and(|at| at <= now)
    }

    fn was_read(
        &mut self,
        live: Fact<Option<AppSubscription>>,
        is_managed: bool,
        day: Timestamp,
        now: Timestamp,
    ) {
        let is_open = matches!(&live, Fact::Unknown(failure) if !failure.is_answer());
        (self.live, self.day) = (live, Some(day));
        self.read_at = (is_open && is_managed).then(|| later(now, AGAIN));
    }

    /// It is read again at this time, unless an earlier read is due.
    fn read_by(&mut self, at: Timestamp) {
        self.read_at = Some(self.read_at.map_or(at, |due| due.min(at)));
    }

    /// After a read of the verify token.
    fn note_token(&mut self, token: SecretFact, now: Timestamp) {
        let why_not = match &token {
            SecretFact::Unreadable(why) => Some(why.as_str()),
            _ => None,
        };
        self.unread = Unread::after(self.unread.take(), why_not, now);
        self.verify_token = token;
    }

    /// After a write. It is looked at again when its effect has had time to show, and at the latest before the next one.
    fn was_written(&mut self, outcome: Result<(), Failure>, limits: &Limits, now: Timestamp) {
        let at = usize::try_from(self.tries).unwrap_or(usize::MAX).min(limits.repeatable_pauses.len() - 1);
        let pause = later(now, limits.repeatable_pauses[at]);
        match outcome {
            Err(Failure::Throttled(until) | Failure::NoRoom(until)) => {
                (self.read_at, self.write_from) = (Some(until), Some(until));
            }
            Err(failure @ (Failure::Refused(_) | Failure::NotSent(_))) => {
                self.tries += 1;
                (self.read_at, self.write_from, self.refused) = (Some(pause), Some(pause), Some(failure));
            }
            Ok(()) | Err(Failure::NoAnswer(_) | Failure::TooLarge(_)) => {
                self.tries += 1;
                self.taken += u32::from(outcome.is_ok());
                (self.read_at, self.write_from, self.refused) =
                    (Some(later(now, limits.settle_other)), Some(pause), None);
            }
        }
    }

    /// What is known, for a judgement.
    pub fn observed(&self, seen: Option<&AppWebhookSeen>) -> AppObserved {
        AppObserved {
            live: self.live.clone(),
            written: seen.map(|seen| seen.written.clone()).unwrap_or_default(),
            adopted: seen.map(|seen| seen.adopted.clone()).unwrap_or_default(),
            verify_token: self.verify_token.clone(),
            unread: self.unread.clone(),
            tries: self.tries,
            refused: self.refused.clone(),
        }
    }
}

/// What a look at the app's webhook is made from.
pub struct Upkeep<'a, G, S, C> {
    pub graph: &'a G,
    pub shell: &'a Shell<C>,
    pub secrets: &'a S,
    pub desired: &'a DesiredPortfolio,
    pub before: &'a ConditionSet,
    /// Somebody wants it looked at now.
    pub is_asked: bool,
    /// The portfolio's own annotation asks for that, so its owner has the last word.
    pub is_reconciled: bool,
    /// The object is not being deleted.
    pub may_write: bool,
}

impl<G: Graph, S: Secrets, C: Clock> Upkeep<'_, G, S, C> {
    /// Reads what is due, and writes what may be written. Gives back what status shows of it from now on.
    pub async fn go_on(&self, state: &mut AppState, seen: Option<&AppWebhookSeen>) -> Option<AppWebhookSeen> {
        let desired = self.desired;
        desired.app_secret.as_ref()?;
        let (now, generation) = (self.now(), desired.generation);
        let day = pace::day_of(&desired.business, now);
        let managed = desired.app_webhook.as_ref();
        let stands = self.before.get(ConditionType::AppWebhookSet);
        let holds = |generation| {
            stands.is_some_and(|c| c.status == Truth::True && c.observed_generation == generation)
        };
        let is_read = seen.and_then(|seen| seen.read_for) == Some(generation)
            && (managed.is_none() || holds(generation));
        state.note(generation, is_read, self.is_asked, day, now);
        let mut seen = seen.cloned();
        if let Some(seen) = seen.as_mut().filter(|_| self.is_reconciled) {
            seen.adopted.clear();
        }
        let is_due = state.is_due(day, now);
        if is_due {
            let live = self.graph.app_subscription().await;
            let live = live.map_or_else(Fact::Unknown, Fact::Known);
            if let Fact::Known(live) = &live {
                seen = Some(lower::app_webhook(live.as_ref(), generation, seen.as_ref()));
            }
            state.was_read(live, managed.is_some(), day, self.now());
        }
        match managed {
            Some(webhook) => Some(self.keep(state, seen.unwrap_or_default(), webhook, is_due).await),
            None => seen,
        }
    }

    /// `was_read`: the live one is of this look. Nothing is sent on what an older one saw, since somebody may have set an
    /// address of his own meanwhile.
    async fn keep(
        &self,
        state: &mut AppState,
        seen: AppWebhookSeen,
        webhook: &DesiredAppWebhook,
        was_read: bool,
    ) -> AppWebhookSeen {
        // Meta took the write twice and shows the address of before, or one more: somebody set it again.
        let theirs = replaced(&seen, webhook);
        let is_back = state.taken > 1 && theirs == seen.adopting;
        let is_another = theirs.is_some() && theirs != seen.adopting;
        let seen =
            if seen.adopting.is_some() && (is_back || is_another) { lower::with_adopted(seen) } else { seen };
        let fields = match standing(webhook, &state.observed(Some(&seen))) {
            Standing::Differs { fields, .. } => fields,
            Standing::Same => {
                (state.tries, state.taken, state.refused) = (0, 0, None);
                state.note_token(SecretFact::NotAsked, self.now());
                return lower::with_adopted(seen);
            }
            Standing::Unread | Standing::Foreign(_) => return seen,
        };
        let now = self.now();
        if !self.may_write {
            return seen;
        }
        if let Some(from) = state.write_from.filter(|from| now < *from) {
            state.read_by(from);
            return seen;
        }
        let (fact, token) = verify_token(self.secrets.read(&webhook.verify_token).await);
        state.note_token(fact, now);
        let Some(token) = token else {
            state.read_by(later(now, AGAIN));
            return seen;
        };
        if !was_read {
            state.read_at = Some(now);
            return seen;
        }
        let adopting = replaced(&seen, webhook).or_else(|| seen.adopting.clone());
        if !seen.written.contains(&webhook.callback_url) || adopting != seen.adopting {
            // It is sent once this stands.
            state.read_at = Some(now);
            return lower::with_written(AppWebhookSeen { adopting, ..seen }, &webhook.callback_url);
        }
        let outcome = self.send(webhook, token, fields).await;
        state.was_written(outcome, &self.shell.limits, self.now());
        seen
    }

    /// Goes on to its end even when whoever asked goes away.
    async fn send(
        &self,
        webhook: &DesiredAppWebhook,
        token: SecretString,
        fields: Vec<String>,
    ) -> Result<(), Failure> {
        if !self.shell.may_work.borrow().holds() {
            return Err(Failure::NotSent("another replica is at work".into()));
        }
        info!("the app's webhook is written");
        let (graph, url) = (self.graph.clone(), webhook.callback_url.clone());
        let sent = async move { graph.set_app_webhook(&url, &token, &fields).await };
        let lost = |_| Err(Failure::NoAnswer("the call ended without a result".into()));
        self.shell.tasks.spawn(sent.in_current_span()).await.unwrap_or_else(lost)
    }

    fn now(&self) -> Timestamp {
        self.shell.clock.now()
    }
}

/// The address of somebody else that a write replaces.
fn replaced(seen: &AppWebhookSeen, webhook: &DesiredAppWebhook) -> Option<String> {
    let mut ours = seen.written.iter().chain([&webhook.callback_url]);
    seen.callback_url.clone().filter(|url| !ours.any(|own| same_url(own, url)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{failure::Refusal, fixture};

    const MINUTE: Duration = Duration::from_secs(60);

    fn live() -> Fact<Option<AppSubscription>> {
        Fact::Known(None)
    }

    fn lost<T>() -> Result<T, Failure> {
        Err(Failure::NoAnswer("time-out".into()))
    }

    #[test]
    fn it_is_read_for_each_generation_of_the_spec_and_then_once_a_day() {
        let (now, day) = (fixture::now(), fixture::now() - MINUTE);
        let mut state = AppState::default();
        state.note(1, false, false, day, now);
        assert!(state.is_due(day, now), "never read");
        state.was_read(live(), false, day, now);
        assert!(!state.is_due(day, now) && state.due().is_none());
        assert!(state.is_due(day + MINUTE * 60 * 24, now), "the next day");
        state.note(1, true, false, day, now);
        assert!(!state.is_due(day, now));
        state.note(2, false, false, day, now);
        assert!(state.is_due(day, now), "another generation");
    }

    #[test]
    fn a_verify_token_that_cannot_be_read_is_told_in_its_first_words_until_it_can() {
        let (now, mut state) = (fixture::now(), AppState::default());
        let unread = |state: &AppState| state.observed(None).unread.map(|unread| (unread.since, unread.why));
        state.note_token(SecretFact::Unreadable("webhook call 1".into()), now);
        state.note_token(SecretFact::Unreadable("webhook call 2".into()), now + MINUTE);
        assert_eq!(unread(&state), Some((now, "webhook call 1".to_owned())));
        state.note_token(SecretFact::Missing, now + MINUTE);
        assert_eq!(unread(&state), None);
    }

    #[test]
    fn a_restart_reads_nothing_that_status_shows() {
        let (now, day) = (fixture::now(), fixture::now() - MINUTE);
        let mut state = AppState::default();
        state.note(7, true, false, day, now);
        assert!(!state.is_due(day, now));
        state.note(7, true, true, day, now);
        assert!(state.is_due(day, now), "unless somebody asks");
    }

    #[test]
    fn a_read_without_an_answer_is_made_again_only_where_the_spec_asks_for_a_webhook() {
        let (now, day) = (fixture::now(), fixture::now() - MINUTE);
        for (is_managed, again) in [(true, Some(later(now, AGAIN))), (false, None)] {
            let mut state = AppState::default();
            let silent = lost().map_or_else(Fact::Unknown, Fact::Known);
            state.was_read(silent, is_managed, day, now);
            assert_eq!(state.due(), again);
        }
    }

    #[test]
    fn a_write_is_repeated_later_and_later_and_never_before_it_was_looked_at_again() {
        let (limits, now) = (Limits::default(), fixture::now());
        let refused = || Err(Failure::Refused(Refusal { ..fixture::refusal(2200, None, "T1") }));
        let mut state = AppState::default();
        let mut pauses = Vec::new();
        for _ in 0..6 {
            state.was_written(refused(), &limits, now);
            let from = state.write_from.unwrap();
            assert_eq!(state.due(), Some(from), "it is read again before it is written again");
            pauses.push(Duration::try_from(from.duration_since(now)).unwrap());
        }
        let [first, second, third, last] = limits.repeatable_pauses;
        assert_eq!(pauses, [first, second, third, last, last, last]);
        let mut state = AppState::default();
        for outcome in [Ok(()), lost()] {
            state.was_written(outcome, &limits, now);
            assert_eq!(state.due(), Some(later(now, limits.settle_other)), "whether it shows is seen soon");
            assert!(state.write_from > state.due(), "and not repeated before");
        }
        assert_eq!((state.tries, state.refused), (2, None));
        let mut state = AppState::default();
        state.was_written(Err(Failure::Throttled(now + MINUTE)), &limits, now);
        assert_eq!((state.tries, state.due()), (0, Some(now + MINUTE)), "nothing was sent");
    }
}
