//! How names are reviewed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::clock::after_secs;
use super::number::{Review, Verdict};
use super::random::Dice;

/// What happens to names that are submitted from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ReviewPolicy {
    /// `name_status` of a name at add: `PENDING_REVIEW` starts a review, any other
    /// word, such as `AVAILABLE_WITHOUT_REVIEW` or `NONE`, does not.
    pub first_name: String,
    /// A review takes at least this long.
    pub min_secs: u64,
    /// A review takes at most this long; the seed chooses.
    pub max_secs: u64,
    /// What comes out. `Defer` waits for a word by hand.
    pub verdict: Verdict,
}

impl Default for ReviewPolicy {
    fn default() -> Self {
        Self {
            first_name: "PENDING_REVIEW".to_owned(),
            min_secs: 24 * 3600,
            max_secs: 48 * 3600,
            verdict: Verdict::Approve,
        }
    }
}

impl ReviewPolicy {
    /// First names are usable at once; changes are approved after a day or two.
    pub fn without_first_review() -> Self {
        Self { first_name: "AVAILABLE_WITHOUT_REVIEW".to_owned(), ..Self::default() }
    }

    /// A review that starts now, of the first name or of a new one.
    pub(super) fn review(&self, of_new: bool, digits: &str, dice: &mut Dice, now: Timestamp) -> Review {
        let takes = dice.between(&format!("review/{digits}"), self.min_secs, self.max_secs);
        let decide_at = (self.verdict != Verdict::Defer).then(|| after_secs(now, takes));
        Review { of_new, decide_at, verdict: self.verdict }
    }
}
