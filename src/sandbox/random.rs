//! Randomness that a seed fixes.
//!
//! A draw depends on the seed, on what it is for and on how often that was drawn
//! before, not on what else happened: two tests that interleave differently still
//! get the same code for the same number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A source of numbers, one independent sequence per purpose.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Dice {
    seed: u64,
    drawn: BTreeMap<String, u64>,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, drawn: BTreeMap::new() }
    }

    /// The next number for this purpose.
    pub(super) fn draw(&mut self, purpose: &str) -> u64 {
        let count = self.drawn.entry(purpose.to_owned()).or_insert(0);
        *count += 1;
        mix(mix(self.seed ^ hash(purpose.as_bytes())).wrapping_add(*count))
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, purpose: &str, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low).saturating_add(1);
        low + self.draw(purpose) % span.max(1)
    }

    /// True with that probability.
    pub(super) fn chance(&mut self, purpose: &str, probability: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a fault's probability needs no more than 53 bits")]
        let unit = (self.draw(purpose) >> 11) as f64 / (1_u64 << 53) as f64;
        unit < probability
    }
}

/// FNV-1a; for purposes and entity tags, not for secrets.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finaliser of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
