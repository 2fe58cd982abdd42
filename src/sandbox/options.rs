//! How a sandbox behaves, as values.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::clock::Pace;
use super::review::ReviewPolicy;
use super::switch::Switches;

/// How late effects show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Lag {
    /// At once.
    #[default]
    None,
    /// Each changed field by its own, at most this late on the virtual clock.
    Seeded {
        /// Virtual seconds.
        max_secs: u64,
    },
}

/// What becomes of a connection whose reply is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Hold {
    /// It is dropped at once: the client sees a transport error.
    #[default]
    Drop,
    /// It is held this long, unless the client gives up first.
    Keep {
        /// Seconds on the clock of tokio.
        secs: u64,
    },
}

/// How a sandbox behaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Options {
    /// Where all chance comes from.
    pub seed: u64,
    /// The virtual date at the start.
    pub start: Timestamp,
    /// How virtual time passes.
    pub pace: Pace,
    /// How late effects show.
    pub lag: Lag,
    /// What becomes of a connection whose reply is lost.
    pub hold: Hold,
    /// How names are reviewed.
    pub review: ReviewPolicy,
    /// The language of texts for users, such as `pt_BR`.
    pub locale: String,
    /// What the documentation leaves open.
    pub switches: Switches,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            start: Timestamp::from_second(1_790_812_800).unwrap_or(Timestamp::UNIX_EPOCH),
            pace: Pace::default(),
            lag: Lag::default(),
            hold: Hold::default(),
            review: ReviewPolicy::default(),
            locale: "en_US".to_owned(),
            switches: Switches::default(),
        }
    }
}

impl Options {
    /// For a process that people and other programs use: time follows the clock from
    /// `now` on, and a lost reply is held, as a real one is.
    pub fn live(seed: u64, now: Timestamp) -> Self {
        Self {
            seed,
            start: now,
            pace: Pace::Follow { speed: 1.0 },
            hold: Hold::Keep { secs: 60 },
            ..Self::default()
        }
    }
}
