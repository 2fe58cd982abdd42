//! One line of the log for one cause in a minute, however many objects it is about.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// A cause is told again after this long.
const EVERY: Duration = Duration::from_secs(60);
/// Causes that are remembered. All beyond them share one line.
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
    /// Whether what this text is about is to be told now, and how often it came since it was last told.
    pub fn tell(&self, text: &str) -> Option<u64> {
        let now = Instant::now();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cause = cause(text);
        if !told.contains_key(&cause) {
            told.retain(|_, before| now.duration_since(before.at) < EVERY);
            if told.len() >= CAUSES {
                cause.clear();
            }
        }
        if let Some(before) = told.get_mut(&cause) {
            if now.duration_since(before.at) < EVERY {
                before.since += 1;
                return None;
            }
            before.at = now;
            return Some(std::mem::take(&mut before.since));
        }
        told.insert(cause, Told { at: now, since: 0 });
        Some(0)
    }
}

/// The text without what it quotes, which are names of objects in the words of the API server. Names of resources stay:
/// what is not permitted for one may be for another.
fn cause(text: &str) -> String {
    let mut cause = String::with_capacity(text.len());
    for (n, part) in text.split('"').enumerate() {
        if n % 2 == 0 || cause.ends_with("resource ") {
            cause.push_str(part);
        }
    }
    cause
}

/// What a test hears of the log.
#[cfg(test)]
pub mod heard {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing::{Dispatch, subscriber::DefaultGuard};

    /// The log of this thread, as long as it is there.
    pub struct Heard {
        text: Kept,
        /// With a single subscriber, whichever test logs a line first decides whether it is on for all.
        _second: Dispatch,
        _guard: DefaultGuard,
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("sound").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Heard {
        pub fn from_now_on() -> Self {
            let text = Kept::default();
            let writer = text.clone();
            let second = Dispatch::new(tracing_subscriber::fmt().with_writer(io::sink).finish());
            let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
            Self { text, _second: second, _guard: tracing::subscriber::set_default(log) }
        }

        /// The lines with all of these.
        pub fn lines(&self, texts: &[&str]) -> Vec<String> {
            let text = String::from_utf8(self.text.0.lock().expect("sound").clone()).expect("text");
            let has_all = |line: &&str| texts.iter().all(|text| line.contains(text));
            text.lines().filter(has_all).map(str::to_owned).collect()
        }
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
    async fn what_is_refused_alike_for_a_crowd_is_one_cause() {
        let repeats = Repeats::default();
        let refused = |verb: &str, resource: &str, n: usize| {
            format!(
                "not permitted: whatsappchannels.whatsapp-operator.dev \"one-{n}\" is forbidden: User \"system:serviceaccount:ns:op\" cannot {verb} resource \"{resource}\" in API group \"whatsapp-operator.dev\" in the namespace \"shop-{n}\""
            )
        };
        let told =
            |text: &dyn Fn(usize) -> String| (0..150).filter(|n| repeats.tell(&text(*n)).is_some()).count();
        assert_eq!(told(&|n| refused("get", "whatsappchannels", n)), 1);
        assert_eq!(told(&|n| refused("patch", "whatsappchannels", n)), 1, "another verb is another cause");
        assert_eq!(told(&|n| refused("patch", "whatsappchannels/status", n)), 1, "so is another resource");
        assert_eq!(told(&|n| format!("refused: 400: \"one-{n}\" is not what the rule of {}", n % 2)), 2);
        // The words of the API server are cut off where they are long.
        assert_eq!(told(&|n| format!("refused: 422: \"one-{}…", "x".repeat(n))), 1);
        tokio::time::advance(EVERY).await;
        assert_eq!(repeats.tell(&refused("get", "whatsappchannels", 7)), Some(149));
    }

    #[tokio::test(start_paused = true)]
    async fn causes_are_forgotten_and_do_not_grow() {
        let repeats = Repeats::default();
        let told = (0..1_000).filter(|n| repeats.tell(&n.to_string()).is_some()).count();
        assert_eq!(told, CAUSES + 1, "those for which there is no room share a line");
        assert_eq!(repeats.0.lock().unwrap().len(), CAUSES + 1);
        tokio::time::advance(EVERY).await;
        assert_eq!(repeats.tell("new"), Some(0));
        assert_eq!(repeats.0.lock().unwrap().len(), 1);
    }
}
