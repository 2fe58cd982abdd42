//! One line of the log for one cause in a minute, however many objects it is about.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// A cause is told again after this long.
const EVERY: Duration = Duration::from_secs(60);
/// Causes that are remembered. One beyond them is told each time.
const CAUSES: usize = 64;

/// What was told of each cause.
#[derive(Debug, Default)]
pub struct Repeats(Mutex<HashMap<String, Told>>);

#[derive(Debug)]
struct Told {
    at: Instant,
    since: u64,
}

impl Repeats {
    /// Whether this cause is to be told now, and how often it came since it was last told.
    pub fn tell(&self, cause: &str) -> Option<u64> {
        let now = Instant::now();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = told.get_mut(cause) {
            if now.duration_since(before.at) < EVERY {
                before.since += 1;
                return None;
            }
            before.at = now;
            return Some(std::mem::take(&mut before.since));
        }
        told.retain(|_, before| now.duration_since(before.at) < EVERY);
        if told.len() < CAUSES {
            told.insert(cause.to_owned(), Told { at: now, since: 0 });
        }
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_cause_is_told_once_a_minute_with_how_often_it_came() {
        let repeats = Repeats::default();
        assert_eq!(repeats.tell("away"), Some(0));
        for _ in 0..9_999 {
            assert_eq!(repeats.tell("away"), None);
        }
        assert_eq!(repeats.tell("refused"), Some(0), "another cause is its own");
        tokio::time::advance(EVERY).await;
        assert_eq!(repeats.tell("away"), Some(9_999));
        assert_eq!(repeats.tell("away"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn causes_are_forgotten_and_do_not_grow() {
        let repeats = Repeats::default();
        for n in 0..1_000 {
            assert_eq!(repeats.tell(&n.to_string()), Some(0));
        }
        assert_eq!(repeats.0.lock().unwrap().len(), CAUSES);
        tokio::time::advance(EVERY).await;
        assert_eq!(repeats.tell("new"), Some(0));
        assert_eq!(repeats.0.lock().unwrap().len(), 1);
    }
}
